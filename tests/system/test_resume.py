"""Resuming in virtual time: from every instant of a run, whatever the crash left behind."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from macrorail.cli import main
from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.journal import JOURNAL, Entry, Journal, read_journal
from macrorail.states import FinishReason, State
from macrorail_sims.bodies.faults import Action, Fault
from tests.made_events import made
from tests.virtual import LENS, RAIL, VirtualRun, protocol_text

SHORT = protocol_text("10.2 mm", "10.45 mm")


def assert_done_and_right(run: VirtualRun) -> None:
    """Every slice once, where it was wanted, its frame on disk and no frame used twice."""
    counted = run.said("counted")
    assert sorted(fields["slice"] for fields in counted) == list(range(1, len(run.plan.slices) + 1))
    hashes = set()
    for fields in counted:
        data = (run.folder / fields["frame"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == fields["sha256"]
        tolerance_um = 10.0 if run.bench.body.lens else 1.0
        assert abs(fields["achieved_um"] - fields["target_um"]) <= tolerance_um
        hashes.add(fields["sha256"])
    assert len(hashes) == len(counted)
    assert run.said("coverage")[-1]["proven"]
    assert values_of(run.entries[-1].event)["reason"] == FinishReason.COMPLETED.value


def crash_after(whole: Path, line: int, folder: Path, keep_frame: bool) -> None:
    """What a run folder holds when its controller died just after a line of the journal.

    ``keep_frame`` says whether the exposure that was under way had come to disk.
    """
    folder.mkdir()
    (folder / "frames").mkdir()
    lines = (whole / JOURNAL).read_bytes().splitlines(keepends=True)
    (folder / JOURNAL).write_bytes(b"".join(lines[:line]))
    entries = read_journal(folder / JOURNAL)
    there = [values_of(e.event)["frame"] for e in entries if kind_of(e.event) == "counted"]
    if keep_frame:
        there += [
            f"frames/{values_of(e.event)['slice']:04d}.jpg" for e in entries[-3:] if is_exposed(e)
        ]
    for frame in there:
        shutil.copyfile(whole / frame, folder / frame)


def is_exposed(entry: Entry) -> bool:
    return kind_of(entry.event) in {"intent", "exposed"}


@pytest.mark.parametrize("rig", [RAIL, LENS], ids=["rail", "lens"])
def test_a_run_goes_on_from_every_line_of_its_journal(tmp_path: Path, rig: str) -> None:
    whole = VirtualRun(tmp_path / "whole", rig, SHORT)
    assert whole.run().state is State.DONE
    lines = len(whole.entries)
    adopted = discarded = 0
    for line in range(lines):
        for keep_frame in (False, True):
            folder = tmp_path / f"after-{line}-{keep_frame}"
            crash_after(whole.folder, line, folder, keep_frame)
            run = VirtualRun(folder, rig, SHORT)
            end = run.run()
            assert end.reason is FinishReason.COMPLETED, f"after line {line}: {end.message}"
            assert_done_and_right(run)
            adopted += any(fields["adopted"] for fields in run.said("counted"))
            discarded += bool(run.said("discarded"))
            shutil.rmtree(folder)
    assert adopted >= len(whole.plan.slices)
    assert discarded >= len(whole.plan.slices)


@pytest.mark.parametrize("event", ["moved", "intent", "exposed", "counted", "coverage", "ended"])
def test_a_run_goes_on_from_a_torn_line(tmp_path: Path, event: str) -> None:
    """Every byte is tried in the journal's own tests; here whole runs, at four places of a line."""
    whole = VirtualRun(tmp_path / "whole", RAIL, SHORT)
    whole.run()
    numbers = [entry.number for entry in whole.entries if kind_of(entry.event) == event]
    number = numbers[len(numbers) // 2]
    line = (whole.folder / JOURNAL).read_bytes().splitlines(keepends=True)[number - 1]
    for kept in (1, 9, len(line) // 2, len(line) - 1):
        folder = tmp_path / f"torn-{kept}"
        crash_after(whole.folder, number - 1, folder, keep_frame=True)
        with (folder / JOURNAL).open("ab") as journal:
            journal.write(line[:kept])
        run = VirtualRun(folder, RAIL, SHORT)
        assert run.run().reason is FinishReason.COMPLETED
        assert_done_and_right(run)


def test_an_old_frame_under_a_new_name_is_not_adopted(tmp_path: Path) -> None:
    """The camera handed out the frame before once more, and the controller died before it saw."""
    whole = VirtualRun(tmp_path / "whole", RAIL, SHORT)
    whole.run()
    third = next(
        e.number
        for e in whole.entries
        if kind_of(e.event) == "exposed" and values_of(e.event)["slice"] == 3
    )
    folder = tmp_path / "stale"
    crash_after(whole.folder, third, folder, keep_frame=False)
    shutil.copyfile(folder / "frames/0002.jpg", folder / "frames/0003.jpg")
    run = VirtualRun(folder, RAIL, SHORT)
    run.run()
    assert_done_and_right(run)
    assert run.said("discarded") == [{"slice": 3, "attempt": 1}]
    assert not any(fields["adopted"] for fields in run.said("counted"))
    assert (folder / "frames/rejected-0003-1.jpg").exists(), "nothing is deleted"


def test_half_of_a_pair_is_not_adopted(tmp_path: Path) -> None:
    """A RAW came to disk, its JPEG did not; the other slices were counted with their JPEG."""
    whole = VirtualRun(tmp_path / "whole", RAIL, SHORT)
    whole.run()
    for slice_number in (1, 3):
        line = next(
            e.number
            for e in whole.entries
            if kind_of(e.event) == "exposed" and values_of(e.event)["slice"] == slice_number
        )
        folder = tmp_path / f"half-{slice_number}"
        crash_after(whole.folder, line, folder, keep_frame=False)
        (folder / f"frames/000{slice_number}.arw").write_bytes(b"raw data")
        run = VirtualRun(folder, RAIL, SHORT)
        run.run()
        assert_done_and_right(run)
        assert run.said("discarded") == [{"slice": slice_number, "attempt": 1}]
        assert (folder / f"frames/rejected-000{slice_number}-1.arw").exists()


def test_a_run_stopped_at_every_slice_is_resumed_every_time(tmp_path: Path) -> None:
    """One world, one journal, as many controllers as slices."""
    ends = []

    def stop_after_each(entry: Entry) -> None:
        if kind_of(entry.event) == "counted":
            run.clock.request_stop("stopped by SIGTERM")

    run = VirtualRun(tmp_path / "run", RAIL, SHORT, listen=stop_after_each)
    while not ends or ends[-1].state is not State.DONE:
        assert len(ends) <= 2 * len(run.plan.slices)
        ends.append(run.run())
    assert {end.state for end in ends[:-1]} == {State.ABORTED}
    assert_done_and_right(run)


def test_what_failed_at_night_is_finished_in_the_morning(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path / "run", RAIL, SHORT)
    run.bench.body.faults.add(Fault("release", Action.DROP, after=3, times=99))
    assert run.run().reason is FinishReason.DEVICE_FAULT
    run.bench.body.faults.clear()
    assert run.run().reason is FinishReason.COMPLETED
    assert_done_and_right(run)


# Through the command line: what it refuses, and what it says.


@pytest.fixture
def finished(tmp_path: Path) -> VirtualRun:
    # The command judges frames by what they show, and the specimen goes on behind this range.
    run = VirtualRun(tmp_path / "run", RAIL, f"{SHORT}proof: {{extend: 0 %}}\n")
    run.run()
    (run.folder / "plan.json").write_text(json.dumps(run.plan.to_dict()))
    return run


def test_a_complete_run_has_nothing_to_resume(
    finished: VirtualRun, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished.folder / JOURNAL).read_bytes()
    assert main(["resume", str(finished.folder)]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(finished.folder)
    assert "nothing to resume" in said.err
    assert (finished.folder / JOURNAL).read_bytes() == before


def test_a_changed_plan_is_refused(
    finished: VirtualRun, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = finished.folder / "protocol.yaml"
    protocol.write_text(protocol.read_text().replace("10.45 mm", "10.6 mm"))
    assert main(["resume", str(finished.folder)]) == 2
    said = capsys.readouterr().err
    assert "now it would be" in said and "its far end was 10.45 mm" in said
    assert "macrorail stack" in said


@pytest.fixture
def cut_short(finished: VirtualRun) -> Path:
    """The folder of a run whose controller died after some slices; nobody holds it."""
    lines = (finished.folder / JOURNAL).read_bytes().splitlines(keepends=True)
    entries = finished.entries
    third = next(
        e.number
        for e in entries
        if kind_of(e.event) == "counted" and values_of(e.event)["slice"] == 3
    )
    folder = finished.folder.with_name("cut-short")
    folder.mkdir()
    (folder / "frames").mkdir()
    (folder / JOURNAL).write_bytes(b"".join(lines[:third]))
    for name in ("protocol.yaml", "rig.yaml", "plan.json", *(f"frames/000{n}.jpg" for n in "123")):
        shutil.copyfile(finished.folder / name, folder / name)
    return folder


def test_a_run_that_was_moved_goes_on_with_another_version_and_a_mended_rig(
    cut_short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Elsewhere on the disk; a version that foretells more; the rail plugged in elsewhere."""
    moved = cut_short.rename(tmp_path / "a disk of its own")
    plan = json.loads((moved / "plan.json").read_text())
    plan |= {"foretold_by_another_version": 1.0, "duration_s": 1.0}
    for planned in plan["slices"]:
        planned["target_um"] += 1e-6
        del planned["criterion"]
    (moved / "plan.json").write_text(json.dumps(plan))
    rig = (moved / "rig.yaml").read_text()
    (moved / "rig.yaml").write_text(rig.replace("speed: 4 mm/s", "speed: 3 mm/s"))
    assert main(["resume", str(moved)]) == 0, capsys.readouterr().err
    entries = read_journal(moved / JOURNAL)
    counted = [
        values_of(entry.event)["slice"] for entry in entries if kind_of(entry.event) == "counted"
    ]
    assert sorted(counted) == list(range(1, len(plan["slices"]) + 1))
    assert (moved / "fused.tif").is_file()


def test_a_changed_exposure_is_refused(cut_short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half a stack at another shutter speed is no stack."""
    (cut_short / JOURNAL).unlink()
    settings = {"aperture": "f/8", "shutter": "1/60", "iso": "100"}
    with closing(Journal(cut_short / JOURNAL, lambda: 0.0)) as journal:
        journal.append(made("started", asked=settings))
    protocol = cut_short / "protocol.yaml"
    protocol.write_text(protocol.read_text().replace("1/60 s", "1/30 s"))
    assert main(["resume", str(cut_short)]) == 2
    assert "its shutter was 1/60" in capsys.readouterr().err


def test_a_full_disk_is_refused_before_anything_moves(
    cut_short: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, size_bytes: int) -> bool:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("macrorail.run_folder.reserve._hold", full)
    before = (cut_short / JOURNAL).read_bytes()
    assert main(["resume", str(cut_short)]) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said and "Free some space" in said
    assert (cut_short / JOURNAL).read_bytes() == before


def test_a_run_that_another_controller_holds_is_refused(
    finished: VirtualRun, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (finished.folder / JOURNAL).read_bytes().splitlines(keepends=True)
    (finished.folder / JOURNAL).write_bytes(b"".join(lines[:-1]))
    holder = Journal(finished.folder / JOURNAL, lambda: 0.0, resume=True)
    try:
        assert main(["resume", str(finished.folder)]) == 2
    finally:
        holder.close()
    assert "another macrorail is using this run folder" in capsys.readouterr().err
    assert (finished.folder / JOURNAL).read_bytes() == b"".join(lines[:-1])


def test_flipped_bits_are_refused_with_place_and_remedy(
    finished: VirtualRun, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (finished.folder / JOURNAL).read_bytes()
    lines = whole.splitlines(keepends=True)
    start = 0
    for number, line in enumerate(lines[:-1], start=1):
        damaged = bytearray(whole)
        damaged[start + len(line) // 2] ^= 4
        (finished.folder / JOURNAL).write_bytes(bytes(damaged))
        assert main(["resume", str(finished.folder)]) == 2
        said = capsys.readouterr().err
        assert f"{JOURNAL}:{number}: this line is damaged" in said
        assert "stack" in said
        start += len(line)


def test_an_altered_frame_is_refused_by_its_name(
    finished: VirtualRun, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (finished.folder / JOURNAL).read_bytes().splitlines(keepends=True)
    (finished.folder / JOURNAL).write_bytes(b"".join(lines[:-1]))
    frame = finished.folder / "frames" / "0002.jpg"
    data = bytearray(frame.read_bytes())
    data[len(data) // 2] ^= 1
    frame.write_bytes(bytes(data))
    assert main(["resume", str(finished.folder)]) == 3
    assert "0002.jpg differs from what the camera delivered" in capsys.readouterr().err
