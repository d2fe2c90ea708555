"""macrorail verify: what was changed, lost or mixed up after a run is found, and named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from macrorail.cli import main
from macrorail.results.export import ExportKind, export
from macrorail.results.verify import verify
from macrorail.run_folder.record import read_record
from tests.made_run import make_run


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("runs"), count=4)
    export(read_record(folder), [ExportKind.JPEG], folder / "exports")
    return folder


@pytest.fixture
def folder(untouched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(untouched, tmp_path / untouched.name))


def test_an_untouched_run_holds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(folder), "--restack"]) == 0
    told = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in told]
    assert names == ["journal", "manifest", "frames", "picture", "exports", "restack"]
    assert "4 frames unchanged" in told[2]


def test_the_raw_file_beside_a_jpeg_belongs_to_its_slice(folder: Path) -> None:
    (folder / "frames" / "0002.nef").write_bytes(b"II*\0 and so on")
    assert all(check.holds for check in verify(read_record(folder)))


def _flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _swap(folder: Path) -> None:
    one, two, aside = (folder / "frames" / name for name in ("0002.jpg", "0003.jpg", "aside"))
    one.rename(aside)
    two.rename(one)
    aside.rename(two)


def _edit_the_manifest_with_the_frame(folder: Path) -> None:
    """A forger who knows the manifest, but not the journal."""
    import hashlib

    path = folder / "frames" / "0001.jpg"
    path.write_bytes((folder / "frames" / "0004.jpg").read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["slices"][0]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _replace_the_picture(folder: Path) -> None:
    pixels = tifffile.imread(folder / "fused.tif")
    tifffile.imwrite(folder / "fused.tif", pixels, photometric="rgb")


@pytest.mark.parametrize(
    ("spoil", "named", "sentence"),
    [
        (lambda f: _flip_a_bit(f / "frames/0002.jpg"), {"frames"}, "frames/0002.jpg (slice 2) is"),
        (lambda f: (f / "frames/0003.jpg").unlink(), {"frames"}, "0003.jpg (slice 3) is missing"),
        (_swap, {"frames"}, "0003.jpg (slice 3) is not what the camera delivered"),
        (
            lambda f: shutil.copy(f / "frames/0001.jpg", f / "frames/0009.jpg"),
            {"frames"},
            "frames/0009.jpg belongs to no slice",
        ),
        (
            _edit_the_manifest_with_the_frame,
            {"manifest", "frames"},
            "'sha256' of slice 1 in manifest",
        ),
        (_replace_the_picture, {"picture"}, "not the picture that this run fused"),
        (lambda f: (f / "fused.tif").unlink(), {"picture"}, "fused.tif is missing"),
        (lambda f: _flip_a_bit(f / "fused.jpg"), {"picture"}, "fused.jpg is not the picture"),
        (lambda f: _flip_a_bit(f / "depth.tif"), {"picture"}, "depth.tif is not the picture"),
        (
            lambda f: (f / "depth-confidence.png").unlink(),
            {"picture"},
            "depth-confidence.png is missing",
        ),
        (
            lambda f: _flip_a_bit(next((f / "exports").glob("*.jpg"))),
            {"exports"},
            "has been changed since it was exported",
        ),
        (lambda f: (f / "manifest.json").unlink(), {"manifest"}, "manifest.json is missing"),
    ],
)
def test_what_is_wrong_is_named(
    folder: Path, spoil: Callable[[Path], object], named: set[str], sentence: str
) -> None:
    spoil(folder)
    checks = list(verify(read_record(folder)))
    assert {check.name for check in checks if not check.holds} == named
    assert any(sentence in trouble for check in checks for trouble in check.troubles)


def test_a_damaged_journal_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"frames/0002.jpg"', b'"frames/0003.jpg"'))
    assert main(["verify", str(folder)]) == 2
    assert "journal.jsonl:" in capsys.readouterr().err


def test_stacking_again_finds_pixels_that_the_frames_do_not_give(folder: Path) -> None:
    """Even when the hash in journal and manifest has been made to fit."""
    pixels = tifffile.imread(folder / "fused.tif")
    pixels[100:110, 100:110] = 0
    tifffile.imwrite(folder / "fused.tif", pixels, photometric="rgb")
    (check,) = [c for c in verify(read_record(folder), restack=True) if c.name == "restack"]
    assert "fused.tif: " in check.troubles[0] and "values differ" in check.troubles[0]
    assert not any(trouble.startswith("depth.tif") for trouble in check.troubles)


def test_the_verb_says_what_does_not_hold(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _flip_a_bit(folder / "frames/0001.jpg")
    assert main(["verify", str(folder), "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["verified"] is False
    assert [check["name"] for check in told["checks"] if not check["holds"]] == ["frames"]


def test_an_interrupted_run_does_not_pass(tmp_path: Path) -> None:
    folder = make_run(tmp_path, count=2, finished=False)
    failed = {check.name for check in verify(read_record(folder)) if not check.holds}
    assert failed == {"journal", "manifest", "picture"}


def test_made_frames_are_not_all_alike(untouched: Path) -> None:
    """Or swapping them would prove nothing."""
    frames = [cv2.imread(str(path)) for path in sorted((untouched / "frames").iterdir())]
    assert not np.array_equal(frames[1], frames[2])
