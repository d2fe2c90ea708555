"""Damaged run folders: whatever happened to a file, the verbs mend it or name it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import macrorail
from macrorail.cli import main
from macrorail.errors import OperatorStop
from macrorail.run_folder.events import SliceCounted
from macrorail.run_folder.journal import Entry, read_journal
from tests.virtual import RAIL, protocol_text

FILES = (
    *("protocol.yaml", "rig.yaml", "plan.json", "journal.jsonl", "manifest.json"),
    *("frames/0001.jpg", "fused.tif", "report.html"),
)
VERBS = ("resume", "report", "verify")


def _missing(path: Path, other: Path) -> None:
    path.unlink()


def _empty(path: Path, other: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path, other: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def _of_another_run(path: Path, other: Path) -> None:
    shutil.copyfile(other, path)


def _edited(path: Path, other: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


DAMAGES: dict[str, Callable[[Path, Path], None]] = {
    "missing": _missing,
    "empty": _empty,
    "cut": _cut,
    "of another run": _of_another_run,
    "edited": _edited,
}


def _shoot(folder: Path, stop_after: int | None, far: str = "10.5 mm") -> Path:
    """A run that is complete, or was stopped after some slices; returns its folder."""
    folder.mkdir()
    (folder / "rig.yaml").write_text(RAIL)
    (folder / "protocol.yaml").write_text(protocol_text(far=far) + "proof: {images: off}\n")
    counted = 0

    def watch(entry: Entry) -> None:
        nonlocal counted
        counted += isinstance(entry.event, SliceCounted)
        if counted == stop_after:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        return macrorail.run(
            folder / "protocol.yaml", rig=folder / "rig.yaml", out=folder / "runs", on_event=watch
        ).folder
    except OperatorStop as stopped:
        assert stopped.run_folder is not None
        return stopped.run_folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    return {
        "complete": _shoot(root / "complete", None),
        "interrupted": _shoot(root / "interrupted", 3),
        "other": _shoot(root / "other", None, far="10.6 mm"),
    }


def _counted(folder: Path) -> list[int]:
    return [
        entry.event.slice
        for entry in read_journal(folder / "journal.jsonl")
        if isinstance(entry.event, SliceCounted)
    ]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_complete_run_is_made_whole_or_its_damage_is_named(
    runs: dict[str, Path],
    name: str,
    damage: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / runs["complete"].name
    shutil.copytree(runs["complete"], folder)
    DAMAGES[damage](folder / name, runs["other"] / name)
    exposures = len(list((folder / "frames").glob("[0-9]*.*")))
    for verb in VERBS:
        code = main([verb, str(folder)])
        said = "".join(capsys.readouterr())
        assert code in {0, 2, 70} and "This is a bug" not in said, said
        if code != 0:
            assert any(word in said for word in (Path(name).name, "journal", "settings")), said
    assert len(list((folder / "frames").glob("[0-9]*.*"))) <= exposures, "nothing is shot again"
    if name in {"manifest.json", "report.html"}:
        assert main(["verify", str(folder)]) == 0, "resume writes them again"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES[:6])
def test_an_interrupted_run_is_finished_or_its_damage_is_named(
    runs: dict[str, Path],
    name: str,
    damage: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / runs["interrupted"].name
    shutil.copytree(runs["interrupted"], folder)
    DAMAGES[damage](folder / name, runs["other"] / name)
    frames = {path.name: path.read_bytes() for path in (folder / "frames").glob("[0-9]*.*")}
    code = main(["resume", str(folder)])
    said = "".join(capsys.readouterr())
    assert "This is a bug" not in said, said
    for frame, data in frames.items():
        assert (folder / "frames" / frame).read_bytes() == data, f"{frame} was touched"
    if code != 0:
        assert Path(name).name in said or "different settings" in said, said
        return
    counted = _counted(folder)
    assert len(counted) == len(set(counted)) >= 5, "every slice once"
    assert main(["verify", str(folder)]) == 0


def test_a_rig_that_moves_otherwise_is_refused_in_the_middle_of_a_run(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / runs["interrupted"].name
    shutil.copytree(runs["interrupted"], folder)
    rig = (folder / "rig.yaml").read_text()
    (folder / "rig.yaml").write_text(rig.replace("  speed:", "  lead: 4 mm\n  speed:"))
    assert main(["resume", str(folder)]) != 0
    assert "'axis.lead' was 2000.0, now it is 4000.0" in "".join(capsys.readouterr())
    (folder / "rig.yaml").write_text(rig.replace("speed: 4 mm/s", "speed: 3 mm/s"))
    assert main(["resume", str(folder)]) == 0, "a slower rail moves no slice"


def test_a_kill_before_the_manifest_leaves_a_run_that_resume_makes_whole(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / runs["complete"].name
    shutil.copytree(runs["complete"], folder)
    before = json.loads((folder / "manifest.json").read_text())
    for name in ("manifest.json", "report.html"):
        (folder / name).unlink()
    assert main(["resume", str(folder)]) == 0
    assert json.loads((folder / "manifest.json").read_text())["slices"] == before["slices"]
    assert (folder / "report.html").is_file()
    assert main(["verify", str(folder)]) == 0
