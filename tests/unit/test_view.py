"""A run as people follow it: what the journal says is what is shown."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from macrorail.clock import WorldClock
from macrorail.dashboard.operator_lock import LEASE_S, NotOperator, OperatorLock
from macrorail.dashboard.runs import NoSuchRun, RunFolders, catch_up, running_process
from macrorail.errors import JournalError
from macrorail.run_folder.journal import JOURNAL, Entry, Journal
from macrorail.run_folder.view import RunView
from macrorail.running.commands import Commands
from macrorail.session.command_socket import CommandServer
from macrorail.session.status import RunStatus
from macrorail.states import State
from tests.made_events import made

PLAN: dict[str, Any] = {
    "slices": [{"target_um": 20_000.0 + 50 * n, "dof_um": 70.0} for n in range(4)],
    "near_um": 20_000.0,
    "far_um": 20_150.0,
    "closest_approach_um": 45_000.0,
}


def hear(view: RunView, *events: tuple[str, dict[str, Any]], every_s: float = 2.0) -> None:
    for event, fields in events:
        at_s = 1000.0 if view.last_s is None else view.last_s + every_s
        view.on_entry(Entry(view.entries + 1, 0.0, made(event, **fields)), at_s)


def shot(number: int, attempt: int = 1) -> list[tuple[str, dict[str, Any]]]:
    where = {"slice": number, "attempt": attempt, "achieved_um": 20_000.0 + 50 * number}
    counted = {**where, "dof_um": 70.0, "frame": f"frames/{number:04d}.jpg"}
    return [
        ("moved", where),
        ("intent", {**where, "dof_um": 70.0}),
        ("exposed", {"slice": number, "attempt": attempt}),
        ("counted", counted),
    ]


def test_a_run_is_followed_from_start_to_end() -> None:
    view = RunView(PLAN)
    assert view.state == "starting"
    hear(
        view,
        ("started", {"specimen": {"id": "moth"}, "bench": None}),
        ("homed", {"position_um": 200.0}),
    )
    assert view.left_s is None
    hear(view, *shot(1), *shot(2))
    assert (view.done, view.specimen, view.position_um) == (2, "moth", 20_100.0)
    assert view.left_s == pytest.approx(2 * 8.0)  # two slices left, four entries of 2 s a slice
    hear(view, ("aligned", {"number": 1, "sharpness": 0.4}))
    assert view.slices[1].sharpness == 0.4
    hear(view, ("coverage", {"proven": True, "gaps": [], "overlaps": [1]}))
    assert view.state == "finishing"
    hear(view, ("ended", {"state": "done", "reason": "completed", "message": ""}))
    assert view.ended and view.left_s is None
    json.dumps(view.head())


def test_only_what_has_changed_is_told() -> None:
    view = RunView(PLAN)
    hear(view, ("started", {}), *shot(1))
    assert len(view.slices_since(-1)) == 4
    known = view.entries
    hear(view, *shot(3))
    assert [piece["number"] for piece in view.slices_since(known)] == [3]
    assert view.slices_since(view.entries) == []


def test_faults_pauses_and_insertions_are_told_in_words() -> None:
    view = RunView(PLAN)
    hear(view, ("started", {}), *shot(1)[:3])
    fault = {"slice": 1, "attempt": 1, "message": "the frame did not come", "remedy": "recover"}
    hear(view, ("fault", fault))
    assert view.slices[1].state == "planned"
    assert [note["kind"] for note in view.notes] == ["fault", "remedy"]
    assert view.notes[-1]["text"] == "reopening the device"
    hear(view, ("paused", {"why": "paused by hand"}))
    assert (view.state, view.message, view.left_s) == ("paused", "paused by hand", None)
    hear(view, ("unpaused", {"why": "resumed by hand", "paused_s": 3.0}))
    assert view.message == ""
    hear(view, ("inserted", {"slices": [5], "positions_um": [20_075.0], "why": "a gap"}))
    assert view.slices[5].inserted and view.slices[5].dof_um == 70.0
    assert len(view.slices) == 5


def test_optics_that_the_images_do_not_believe_are_told() -> None:
    view = RunView(PLAN)
    images = {"dof": {"ratio": 1.4, "warning": "the measured depth of field is 1.4 times"}}
    hear(view, ("coverage", {"proven": True, "gaps": [], "overlaps": [1], "images": images}))
    assert view.notes[-1]["text"] == "The measured depth of field is 1.4 times"


def test_a_resumed_run_shoots_again_what_was_on_its_way() -> None:
    view = RunView(PLAN)
    hear(view, ("started", {}), *shot(1), *shot(2)[:3])
    hear(view, ("resumed", {}))
    assert (view.slices[1].state, view.slices[2].state) == ("counted", "planned")


def run_folder(parent: Path, name: str = "20260101-moth") -> Path:
    folder = parent / name
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps(PLAN))
    (folder / "protocol.yaml").write_text("specimen: {id: moth}\n")
    return folder


def test_half_a_line_is_waited_for_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    journal = Journal(folder / JOURNAL, lambda: 0.0)
    journal.append(made("homed"))
    journal.append(made("moved"))
    journal.close()
    whole = (folder / JOURNAL).read_bytes()
    first, second = whole.splitlines(keepends=True)
    (folder / JOURNAL).write_bytes(first + second[:-9])
    view, offset = catch_up(RunView(PLAN), folder, 0)
    assert (view.entries, offset) == (1, len(first))
    (folder / JOURNAL).write_bytes(first + second.replace(b"moved", b"mived"))
    with pytest.raises(JournalError, match=r"journal.jsonl:2: this line is damaged"):
        catch_up(view, folder, offset)
    (folder / JOURNAL).write_bytes(first + first)
    with pytest.raises(JournalError, match=r"journal.jsonl:2: found entry 1 here"):
        catch_up(view, folder, offset)
    (folder / JOURNAL).write_bytes(whole)
    assert catch_up(view, folder, offset)[1] == len(whole)


def test_who_holds_the_journal_is_at_work_and_looking_does_not_disturb(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    assert running_process(folder) is None
    journal = Journal(folder / JOURNAL, lambda: 0.0)
    assert running_process(folder) is not None
    assert RunFolders(tmp_path).live() == [folder.name]
    journal.close()
    assert RunFolders(tmp_path).live() == []


def test_the_page_shows_the_state_that_the_run_reports(tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="the page is not installed")
    from macrorail.dashboard.follow import RunFollowers
    from macrorail.dashboard.launch import Launcher
    from macrorail.dashboard.restack import Restacker

    folder = run_folder(tmp_path)
    status, clock = RunStatus(folder.name, slices=4), WorldClock()
    followers = RunFollowers(Launcher(RunFolders(tmp_path), tmp_path / "rig.yaml"), Restacker())

    async def shown() -> list[str]:
        states: list[str] = []
        updates = followers.of(folder).updates(-1)
        states.append((await anext(updates))["head"]["state"])
        for state in (State.VERIFYING, State.PAUSED):
            status.on_state(state)
            async with asyncio.timeout(60):
                states.append((await anext(updates))["head"]["state"])
        await updates.aclose()
        return states

    with (
        closing(Journal(folder / JOURNAL, lambda: 0.0)) as journal,
        closing(CommandServer(folder, Commands(clock), status)),
    ):
        for event, fields in shot(1):
            journal.append(made(event, **fields))
        # From the journal alone a display can only guess; then the run itself says it.
        assert asyncio.run(shown()) == ["moving", "verifying", "paused"]


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../x", ".hidden", "x" * 200, "a\0b"])
def test_names_that_are_no_run(tmp_path: Path, name: str) -> None:
    run_folder(tmp_path)
    with pytest.raises(NoSuchRun):
        RunFolders(tmp_path).find(name)


def test_one_operates_until_gone_or_relieved() -> None:
    now = [0.0]
    lock = OperatorLock(lambda: now[0])
    lock.require("ann")
    with pytest.raises(NotOperator):
        lock.require("bob")
    now[0] += LEASE_S - 1
    lock.seen("bob")
    lock.seen("ann")
    now[0] += LEASE_S - 1
    assert lock.operator == "ann"
    lock.take("bob")
    assert lock.operator == "bob"
    now[0] += LEASE_S + 1
    lock.require("ann")
    lock.release("ann")
    assert lock.operator is None
