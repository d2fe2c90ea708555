"""A run folder that goes away in the middle of a run, and comes back or does not."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from macrorail.errors import JournalError, MacrorailError, StorageError
from macrorail.run_folder.journal import JOURNAL, Journal
from macrorail.running.policies import TABLE
from macrorail.running.supervision import RunSupervision
from macrorail.running.watches import DiskWatch
from macrorail.states import FinishReason, State
from tests.faulty import Failing
from tests.system.test_pauses import AT_WORK, SHORT, When
from tests.system.test_resume import assert_done_and_right
from tests.virtual import LENS, RAIL, VirtualRun


class NetworkFolder:
    """Takes a run's folder away; what was open in it leads nowhere from then on."""

    def __init__(self, run: VirtualRun, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run = run
        self.elsewhere = run.folder.with_name("elsewhere")
        self.stale: list[Any] = []
        write, make = Journal._write, Journal.__init__

        def remember(journal: Journal, *arguments: Any, **named: Any) -> None:
            make(journal, *arguments, **named)
            self.journal = journal

        def refuse(journal: Journal, line: bytes) -> None:
            if journal._file in self.stale:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            write(journal, line)

        monkeypatch.setattr(Journal, "__init__", remember)
        monkeypatch.setattr(Journal, "_write", refuse)

    def leave(self) -> None:
        self.run.folder.rename(self.elsewhere)
        self.stale.append(self.journal._file)

    def come_back(self) -> None:
        self.elsewhere.rename(self.run.folder)


def gone_when(
    folder: Path, state: str, monkeypatch: pytest.MonkeyPatch, rig: str = RAIL
) -> tuple[VirtualRun, NetworkFolder, list[str]]:
    """A run whose folder goes away when it is in a state for the third time or so."""
    alarms: list[str] = []
    when = When(state, lambda run: network.leave(), counted=0 if state == "preparing" else 2)
    watch = DiskWatch(folder / "run", 1.0)
    supervision = RunSupervision(watches=(watch,), pause_at_most_s=4 * 3600.0, alarm=alarms.append)
    run = when.run = VirtualRun(folder / "run", rig, SHORT, observe=when, supervision=supervision)
    network = NetworkFolder(run, monkeypatch)
    return run, network, alarms


def after(run: VirtualRun, network: NetworkFolder, wait_s: float, act: Callable[[], None]) -> None:
    """Do something so long after the folder has gone."""
    gone_s: list[float] = []

    def live(now_s: float) -> None:
        if network.stale and not gone_s:
            gone_s.append(now_s)
        if len(gone_s) == 1 and now_s > gone_s[0] + wait_s:
            gone_s.append(now_s)
            act()

    run.bench.clock.attach(live)


@pytest.mark.parametrize("rig", [RAIL, LENS], ids=["rail", "lens"])
@pytest.mark.parametrize("state", AT_WORK)
def test_a_folder_that_comes_back_costs_no_slice(
    tmp_path: Path, state: str, rig: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, network, alarms = gone_when(tmp_path, state, monkeypatch, rig)
    after(run, network, 1800.0, network.come_back)
    end = run.run()
    assert end.reason is FinishReason.COMPLETED, end.message
    assert_done_and_right(run)
    assert "journal.jsonl: cannot write entry" in alarms[0]
    assert "Stale file handle" in run.said("paused")[0]["why"]
    assert 1700 < sum(fields["paused_s"] for fields in run.said("unpaused")) < 2000


def test_a_folder_that_stays_away_ends_the_run_and_it_is_resumed_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, network, _ = gone_when(tmp_path, "moving", monkeypatch)
    end = run.run()
    assert (end.state, end.reason) == (State.FAILED, FinishReason.PAUSED_TOO_LONG)
    assert "cannot be reached" in end.message
    edges = run.bench.board.state.edges
    run.bench.clock.advance(5.0)
    assert run.bench.board.state.edges == edges
    network.come_back()
    assert run.run().reason is FinishReason.COMPLETED
    assert_done_and_right(run)


def test_what_the_folder_refuses_is_tried_as_often_as_the_table_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks well from outside and takes nothing: no watch holds the pause."""
    run, _, alarms = gone_when(tmp_path, "moving", monkeypatch)
    run.supervision = RunSupervision(alarm=alarms.append)
    tried: list[float] = []

    def reopen(journal: Journal) -> None:
        tried.append(run.clock.now())
        raise JournalError("made to fail")

    monkeypatch.setattr(Journal, "reopen", reopen)
    end = run.run()
    assert (end.state, end.reason) == (State.FAILED, FinishReason.STORAGE_FAULT)
    [policy] = [policy for policy in TABLE if policy.fault is JournalError]
    [step] = policy.steps
    gaps = [b - a for a, b in pairwise(tried)][: step.times - 1]
    assert gaps == pytest.approx([step.back_off_s * 2**n for n in range(1, step.times)], rel=0.02)
    assert len(alarms) == 1


def test_an_operator_can_stop_a_run_whose_folder_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, network, _ = gone_when(tmp_path, "exposing", monkeypatch)
    after(run, network, 90.0, lambda: run.clock.request_stop("stopped by SIGINT"))
    end = run.run()
    assert (end.state, end.message) == (State.ABORTED, "stopped by SIGINT")
    network.come_back()
    assert run.run().reason is FinishReason.COMPLETED
    assert_done_and_right(run)


def test_a_folder_that_came_back_without_its_entries_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when an older copy is mounted in its place."""
    run, network, _ = gone_when(tmp_path, "moving", monkeypatch)
    before = b""

    def come_back_older() -> None:
        nonlocal before
        network.come_back()
        lines = (run.folder / JOURNAL).read_bytes().splitlines(keepends=True)
        before = b"".join(lines[:-3])
        (run.folder / JOURNAL).write_bytes(before)

    after(run, network, 90.0, come_back_older)
    end = run.run()
    assert end.reason is FinishReason.STORAGE_FAULT
    assert "are missing now" in end.message
    assert (run.folder / JOURNAL).read_bytes() == before


@pytest.mark.parametrize("operation", ["expose", "collect"])
@pytest.mark.parametrize("fault", [StorageError, JournalError])
def test_a_camera_that_writes_for_itself_is_waited_for_too(
    tmp_path: Path, operation: str, fault: type[MacrorailError]
) -> None:
    """As one that takes a bracket does, in a folder of its own."""
    run = VirtualRun(tmp_path / "run", RAIL, SHORT)
    run.camera = Failing(run.camera, operation, lambda: fault("made to fail"), after=2)
    assert run.run().reason is FinishReason.COMPLETED
    assert_done_and_right(run)
    assert [fields["why"] for fields in run.said("paused")] == ["made to fail"]
