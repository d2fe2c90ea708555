"""The whole state x trigger grid, and the shape of the table."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest

from macrorail.states import FINAL, TABLE, IllegalStep, RunStateMachine, State, Trigger, diagram

ALLOWED = {(source, trigger): to for trigger, sources, to in TABLE for source in sources}

# Written out by hand from the life of a slice, so that a slip in the table shows.
OVERLAPPED_CYCLE = "prepare move settle expose move settle collect verify expose move settle"
SERIAL_CYCLE = "prepare move settle expose collect verify move settle expose collect verify"


def machine_in(state: State) -> RunStateMachine:
    """A machine led to ``state`` by the shortest way through the table."""
    ways = {State.IDLE: []}
    queue = deque([State.IDLE])
    while queue:
        here = queue.popleft()
        for (source, trigger), to in ALLOWED.items():
            if source is here and to not in ways:
                ways[to] = [*ways[here], trigger]
                queue.append(to)
    machine = RunStateMachine()
    for trigger in ways[state]:
        machine.step(trigger)
    assert machine.state is state
    return machine


@pytest.mark.parametrize("trigger", Trigger)
@pytest.mark.parametrize("state", State)
def test_grid(state: State, trigger: Trigger) -> None:
    machine = machine_in(state)
    expected = ALLOWED.get((state, trigger))
    assert machine.may(trigger) is (expected is not None)
    if expected is None:
        with pytest.raises(IllegalStep, match=f"cannot {trigger.value} while {state.value}"):
            machine.step(trigger)
        assert machine.state is state
    else:
        assert machine.step(trigger) is expected


@pytest.mark.parametrize("way", [OVERLAPPED_CYCLE, SERIAL_CYCLE])
def test_cycles(way: str) -> None:
    machine = RunStateMachine()
    for verb in way.split():
        machine.step(Trigger(verb))
    assert not machine.ended


def test_nothing_leaves_an_end() -> None:
    assert not [source for source, _ in ALLOWED if source in FINAL]


def test_every_state_can_be_stopped() -> None:
    for state in set(State) - FINAL:
        assert ALLOWED[state, Trigger.ABORT] is State.ABORTED
        assert ALLOWED[state, Trigger.FAIL] is State.FAILED


def test_each_trigger_enters_one_state() -> None:
    assert len(TABLE) == len(Trigger) == len({trigger for trigger, _, _ in TABLE})


def test_the_listener_hears_each_step_once_and_only_after_it() -> None:
    heard: list[tuple[Trigger, State]] = []
    machine = RunStateMachine(lambda trigger, state: heard.append((trigger, state)))
    machine.step(Trigger.PREPARE)
    with pytest.raises(IllegalStep):
        machine.step(Trigger.SETTLE)
    assert heard == [(Trigger.PREPARE, State.PREPARING)]


def test_ten_thousand_slices_do_not_recurse() -> None:
    machine = RunStateMachine()
    machine.step(Trigger.PREPARE)
    machine.step(Trigger.MOVE)
    for _ in range(10_000):
        for trigger in (Trigger.SETTLE, Trigger.EXPOSE, Trigger.MOVE):
            machine.step(trigger)
    assert machine.state is State.MOVING


def test_the_readme_shows_the_table() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    shown = readme.split("<!-- states -->")[1].split("<!-- /states -->")[0]
    assert shown == f"\n```mermaid\n{diagram()}```\n", "paste macrorail.states.diagram() there"
