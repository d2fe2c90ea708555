"""Many stacks: which they are, and which are finished already."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from macrorail.batch.finding import find_stacks
from macrorail.batch.job import BatchSettings, StackJob
from macrorail.batch.local import stack_locally
from macrorail.batch.progress import StackOutcome
from macrorail.batch.work import is_finished, make_stack, read_stack_record
from macrorail.cli import main
from macrorail.errors import StackError
from macrorail.stacking.stacker import Fused, Stacker
from macrorail.workers import Worker
from tests import made_stack
from tests.made_run import SCALE_PER_SLICE, make_run


def photograph(folder: Path, count: int = 3, seed: int = 1) -> Path:
    folder.mkdir(parents=True)
    for k, frame in enumerate(made_stack.make_stack(count, 240, 160, seed=seed).frames):
        cv2.imwrite(str(folder / f"{k}.png"), frame)
    return folder


def only(folder: Path, out: Path, **settings: Any) -> StackJob:
    (job,) = find_stacks([folder], out, BatchSettings(**settings)).jobs
    return job


@pytest.mark.slow
def test_what_is_finished_stays_so_until_a_frame_or_a_setting_changes(tmp_path: Path) -> None:
    folder, out = photograph(tmp_path / "one"), tmp_path / "out"
    job = only(folder, out)
    assert not is_finished(job)
    assert make_stack(job) == read_stack_record(out / "one")
    assert is_finished(only(folder, out))
    # Touched, but the same to the last byte: the hash decides.
    (folder / "1.png").touch()
    assert is_finished(job)
    assert not is_finished(only(folder, out, quality="fast"))
    assert not is_finished(only(folder, out, reference="middle"))
    assert not is_finished(replace(job, frames=job.frames[:2]))

    frame = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(frame.replace(b"IDAT", b"IDAt", 1))
    assert not is_finished(job)
    (folder / "1.png").write_bytes(frame)
    assert is_finished(job, thoroughly=True)
    (out / "one" / "depth.tif").unlink()
    assert not is_finished(job)


def test_a_frame_that_is_still_being_written_gives_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photograph(tmp_path / "one")
    job = only(folder, tmp_path / "out")

    class Slow(Stacker):
        def finish(self) -> Fused:
            with (folder / "2.png").open("ab") as file:
                file.write(b"more")
            return super().finish()

    monkeypatch.setattr("macrorail.batch.work.Stacker", Slow)
    with pytest.raises(StackError, match=r"2\.png was changed"):
        make_stack(job)
    assert not list((tmp_path / "out").glob("**/*.tif"))


def test_a_run_is_restacked_in_its_own_order_and_scale(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", 4)
    (tmp_path / "runs" / "journal.jsonl").touch()  # as a campaign has it
    job = only(tmp_path / "runs", tmp_path / "out")
    record = make_stack(job)
    for name in ("fused.tif", "depth.tif"):
        assert np.array_equal(tifffile.imread(job.out / name), tifffile.imread(run / name))
    told = [one.scale for one in job.frames]
    assert told == [SCALE_PER_SLICE**k for k in range(4)], "for whoever aligns them anew"
    assert StackJob.from_dict(job.to_dict()).frames == job.frames
    assert record["um_per_px"] == 2.5


def test_folders_are_found_however_deep_and_results_have_names_of_their_own(
    tmp_path: Path,
) -> None:
    for name in ("drawer-1/left", "drawer-2/left", "drawer-2/.trash/left", "drawer-2/right"):
        photograph(tmp_path / "photos" / name, 1)
    out = tmp_path / "photos" / "out"
    photograph(out / "older", 1)
    jobs = find_stacks(
        [tmp_path / "photos", tmp_path / "photos" / "drawer-1"], out, BatchSettings()
    ).jobs
    assert [job.name for job in jobs] == ["drawer-1-left", "drawer-2-left", "right"]
    assert len({job.out for job in jobs}) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not a folder"),
        (["{here}"], "contains neither runs nor photographs"),
        (["{here}/one", "--reference", "77"], "a number from 1 to 3"),
        (["{here}/one", "--scheduler", "gopher://x"], "--scheduler gopher://x"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_stacked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    if "{here}/one" in arguments:
        photograph(tmp_path / "one")
    given = [one.format(here=tmp_path) for one in arguments]
    assert main(["batch", *given, "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert "bug" not in said.err
    assert not (tmp_path / "out").exists()


def test_memory_is_foretold_for_sixteen_bits_too(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", np.zeros((400, 600, 3), np.uint16), photometric="rgb")
    wide = only(folder, tmp_path / "out").needed_bytes()
    (folder / "a.tif").unlink()
    cv2.imwrite(str(folder / "a.jpg"), np.zeros((400, 600, 3), np.uint8))
    assert wide > only(folder, tmp_path / "out").needed_bytes()


def test_a_job_survives_the_way_to_a_worker(tmp_path: Path) -> None:
    job = only(photograph(tmp_path / "one"), tmp_path / "out")
    assert StackJob.from_dict(job.to_dict()).to_dict() == job.to_dict()


def test_a_stack_beyond_the_memory_is_named_and_no_process_is_started(tmp_path: Path) -> None:
    job = only(photograph(tmp_path / "one"), tmp_path / "out")
    assert job.needed_bytes() > 100e6
    told: list[StackOutcome] = []
    stack_locally([job], told.append, print, lambda: None, memory_bytes=100e6)
    assert [outcome.state for outcome in told] == ["failed"]
    assert "GB of memory, but this machine has only 0.1 GB" in told[0].reason


@pytest.mark.slow
def test_a_process_that_dies_costs_only_its_stack_a_second_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mortal(Worker):
        begun = 0

        def send(self, verb: str, **arguments: Any) -> int:
            request = super().send(verb, **arguments)
            Mortal.begun += 1
            # The first stack kills its process once, the second one whenever it is tried.
            if Mortal.begun in (1, 3, 4):
                os.kill(self.pid, signal.SIGKILL)
            return request

    monkeypatch.setattr("macrorail.batch.local.Worker", Mortal)
    for name in ("a", "b", "c"):
        photograph(tmp_path / "photos" / name)
    jobs = find_stacks([tmp_path / "photos"], tmp_path / "out", BatchSettings()).jobs
    told: list[StackOutcome] = []
    said: list[str] = []
    stack_locally(jobs, told.append, said.append, lambda: None)
    assert [(one.job.name, one.state) for one in told] == [
        ("a", "done"),
        ("b", "failed"),
        ("c", "done"),
    ]
    assert "died 2 times" in told[1].reason
    assert ["a" in said[0], "retried" in said[0]] == [True, True]
