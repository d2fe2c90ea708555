"""Deliveries: what is in them, what is not, and what other tools say about them."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import rocrate
from rocrate.rocrate import ROCrate

from macrorail.cli import main
from tests.made_run import make_run

VALIDATOR = Path(sys.prefix) / "crate-validator" / "bin" / "python"
PROTOCOL = """specimen:
  id: NHM-1
  occurrence_id: urn:catalog:NHM:1
  catalog_number: NHM(E) 1
  institution: NHM
  scientific_name: Cetonia aurata
  orientation: dorsal
range: {near: 10 mm, far: 10.2 mm}
step: 50 um
settle: 0 s
exposure: {aperture: f/5.6, shutter: 1/60 s}
operator: Åsa Öst
rights: CC BY 4.0
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is done, one that is not, and one with a frame that was altered."""
    root = tmp_path_factory.mktemp("delivery") / "runs"
    done = make_run(root, 3, 120, 80, protocol=PROTOCOL)
    altered = root / "20261122-210000-altered"
    shutil.copytree(done, altered)
    frame = altered / "frames" / "0002.jpg"
    frame.write_bytes(frame.read_bytes() + b"x")
    broken_off = make_run(root / "later", 2, 120, 80, finished=False)
    broken_off.rename(root / "20261122-220000-broken-off")
    (root / "later").rmdir()
    return root


@pytest.fixture(scope="module")
def package(runs: Path) -> Path:
    out = runs.parent / "drawer-12"
    assert main(["deliver", str(runs), "-o", str(out), "--frames", "--name", "Drawer 12"]) == 0
    return out


NAME = "20261122-200000-made"


def test_only_runs_that_hold_are_delivered_and_the_rest_is_named(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["deliver", str(runs), "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(out)
    assert "20261122-210000-altered" in said.err and "0002.jpg" in said.err
    assert "20261122-220000-broken-off" in said.err and "macrorail resume" in said.err
    assert [path.name for path in (out / "data").iterdir() if path.is_dir()] == [NAME]
    assert not (out / "data" / NAME / "frames").exists()


def test_runs_in_quarantine_are_delivered_only_by_name(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "runs" / "quarantine" / "20261122-230000-doubtful"
    shutil.copytree(runs / NAME, place)
    shutil.copytree(runs / NAME, tmp_path / "runs" / NAME)
    (place / "reason.txt").write_text("the lamp was off\n")
    assert main(["deliver", str(tmp_path / "runs"), "-o", str(tmp_path / "one")]) == 0
    assert "in quarantine: the lamp was off" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "one" / "data").iterdir() if path.is_dir()] == [NAME]
    assert main(["deliver", str(place), "-o", str(tmp_path / "two")]) == 0


def test_every_file_is_under_a_checksum_that_sha256sum_confirms(package: Path) -> None:
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        subprocess.run(
            ["sha256sum", "--check", "--strict", "--quiet", manifest], cwd=package, check=True
        )
    listed = {
        line.split(maxsplit=1)[1]
        for line in (package / "manifest-sha256.txt").read_text().splitlines()
    }
    there = {
        str(path.relative_to(package)) for path in (package / "data").rglob("*") if path.is_file()
    }
    assert listed == there
    assert f"data/{NAME}/frames/0001.jpg" in there


def test_bagits_own_program_finds_a_file_that_was_altered(package: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(package, copy)
    command = [sys.executable, "-m", "bagit", "--validate", "--quiet", str(copy)]
    assert subprocess.run(command, check=False, timeout=120).returncode == 0
    with (copy / "data" / NAME / "fused.tif").open("r+b") as file:
        file.seek(500)
        file.write(b"!")
    assert (
        subprocess.run(command, check=False, timeout=120, stderr=subprocess.DEVNULL).returncode != 0
    )


def test_the_crate_tells_what_was_made_from_what(package: Path, runs: Path) -> None:
    crate: Any = ROCrate(package / "data")
    assert crate.name == "Drawer 12"
    action = crate.dereference(f"#shooting-{NAME}")
    assert action["agent"]["name"] == "Åsa Öst"
    assert action["instrument"]["name"] == "macrorail"
    assert {one["name"] for one in crate.dereference(f"{NAME}/")["mentions"]} == {
        "D850",
        "test rail",
    }
    results = {one.id for one in action["result"]}
    pictures = ("fused.tif", "fused.jpg", "depth.tif", "depth-confidence.png")
    assert results == {f"{NAME}/{name}" for name in pictures}
    fused = crate.dereference(f"{NAME}/fused.tif")
    manifest = json.loads((runs / NAME / "manifest.json").read_text())
    assert fused["sha256"] == manifest["fused"]["sha256"]
    about = crate.dereference(f"{NAME}/")["about"]
    assert about["identifier"] == ["urn:catalog:NHM:1", "NHM(E) 1", "made"]


def test_the_collection_database_gets_its_tables(package: Path) -> None:
    def rows(name: str) -> list[dict[str, str]]:
        with (package / "data" / name).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    (specimen,), (picture,) = rows("specimens.csv"), rows("multimedia.csv")
    assert specimen["catalogNumber"] == "NHM(E) 1"
    assert specimen["scientificName"] == "Cetonia aurata"
    assert (package / "data" / specimen["associatedMedia"]).is_file()
    assert picture["subjectOrientation"] == "dorsal"
    assert picture["rights"] == "CC BY 4.0"
    assert picture["accessURI"] == specimen["associatedMedia"]


def test_a_delivery_is_never_written_over_and_an_empty_one_is_refused(
    package: Path, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deliver", str(runs), "-o", str(package)]) == 2
    assert "never overwritten" in capsys.readouterr().err
    broken = runs / "20261122-220000-broken-off"
    assert main(["deliver", str(broken), "-o", str(tmp_path / "x")]) == 2
    assert "no run to deliver" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not VALIDATOR.is_file(), reason="no RO-Crate validator: make crate-validator")
def test_another_tool_finds_nothing_that_an_ro_crate_must_have_missing(package: Path) -> None:
    context = Path(str(rocrate.__file__)).parent / "data" / "ro-crate.jsonld"
    script = Path(__file__).parents[1] / "crate_validator.py"
    done = subprocess.run(
        [VALIDATOR, script, package / "data", context],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(one.get("checks", 0) for one in told) > 100
    assert [one for one in told if one.get("severity") == "REQUIRED"] == []
    # What nobody told macrorail is not made up.
    unsaid = ("affiliation", "have a URL", "have a url", "absolute URI")
    said = [one["message"] for one in told if "message" in one]
    assert [message for message in said if not any(part in message for part in unsaid)] == []
