"""Frames of old runs: what goes, what never does, and that the run can be verified afterwards."""

from __future__ import annotations

import fcntl
import json
import shutil
from pathlib import Path

import pytest

from macrorail.cli import main
from macrorail.results.verify import verify
from macrorail.run_folder.journal import JOURNAL
from macrorail.run_folder.record import REMOVED, hash_file, read_record
from macrorail.run_folder.reserve import RESERVED
from tests.made_run import make_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = make_run(tmp_path / "runs", count=3, width=96, height=64)
    (folder / "plan.json").write_text("{}")
    (folder / "frames" / "rejected-0002-1.jpg").write_bytes(b"a shaken frame")
    (folder / "checks").mkdir()
    (folder / "checks" / "0001-1.jpg").write_bytes(b"a look at the scene")
    (folder / RESERVED).write_bytes(b"\0" * 100)
    return folder


def tidy(run: Path, *options: str) -> int:
    return main(["tidy", str(run.parent), "--days", "0", *options])


def names(run: Path) -> set[str]:
    return {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}


GOOD = {f"frames/000{n}.jpg" for n in (1, 2, 3)}
BAD = {"frames/rejected-0002-1.jpg", "checks/0001-1.jpg", RESERVED}


def test_nothing_goes_unless_it_is_said_twice(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = names(run)
    assert tidy(run, "--remove", "frames") == 0
    assert names(run) == before
    said = capsys.readouterr()
    assert "6 file(s)" in said.out and "could be removed" in said.out
    assert "--yes" in said.err


def test_rejects_go_and_what_is_in_the_picture_stays(run: Path) -> None:
    before = names(run)
    assert tidy(run, "--yes") == 0
    assert names(run) == before - BAD | {REMOVED}
    assert all(check.holds for check in verify(read_record(run)))


def test_frames_go_and_the_run_can_still_be_verified(run: Path) -> None:
    before = names(run)
    hashes = {name: hash_file(run / name) for name in GOOD}
    assert tidy(run, "--yes") == 0  # in two steps: what went first is not forgotten
    assert tidy(run, "--remove", "frames", "--yes") == 0
    assert names(run) == before - BAD - GOOD | {REMOVED}
    removed = json.loads((run / REMOVED).read_text())["files"]
    assert set(removed) == BAD | GOOD
    assert hashes.items() <= removed.items()
    checks = {check.name: check for check in verify(read_record(run))}
    assert all(check.holds for check in checks.values())
    assert "3 removed intentionally" in checks["frames"].seen
    (run / "fused.tif").write_bytes(b"another picture")
    assert not all(check.holds for check in verify(read_record(run)))


def test_a_frame_that_is_missing_is_not_called_removed(run: Path) -> None:
    assert tidy(run, "--yes") == 0
    (run / "frames" / "0002.jpg").unlink()
    [frames] = [check for check in verify(read_record(run)) if check.name == "frames"]
    assert not frames.holds


@pytest.mark.parametrize("what", ["altered", "cut off", "young", "at work", "no faithful copy"])
def test_what_never_goes(run: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--remove", "frames", "--yes"]
    if what == "altered":
        (run / "frames" / "0002.jpg").write_bytes(b"another frame")
    if what == "cut off":
        lines = (run / JOURNAL).read_bytes().splitlines(keepends=True)
        (run / JOURNAL).write_bytes(b"".join(lines[:-1]))
    if what == "young":
        options += ["--days", "30"]
    if what == "no faithful copy":
        archive = run.parents[1] / "archive"
        shutil.copytree(run, archive / run.name)
        (archive / run.name / "frames" / "0003.jpg").write_bytes(b"half a fra")
        options += ["--copied-to", str(archive)]
    before = names(run)
    with (run / JOURNAL).open("rb") as controller:
        if what == "at work":
            fcntl.flock(controller, fcntl.LOCK_EX)
        assert tidy(run, *options) == 0
    assert names(run) == before
    assert "is kept: " in capsys.readouterr().err


def test_what_is_archived_faithfully_goes(run: Path) -> None:
    archive = run.parents[1] / "archive"
    shutil.copytree(run, archive / run.name)
    assert tidy(run, "--remove", "frames", "--yes", "--copied-to", str(archive)) == 0
    assert not names(run) & GOOD


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    assert main(["tidy", str(tmp_path)]) == 2
