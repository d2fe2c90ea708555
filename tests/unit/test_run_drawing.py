"""What a terminal shows of a run, in 80 columns and in what it can draw with."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from macrorail.cli.run_display import RunDisplay
from macrorail.cli.run_drawing import FINE, PLAIN, Glyphs, draw_run
from macrorail.run_folder.journal import Entry
from macrorail.run_folder.view import RunView
from macrorail.states import State
from tests.made_events import made

PLAN: dict[str, Any] = {
    "near_um": 20_000.0,
    "far_um": 21_000.0,
    "closest_approach_um": 45_000.0,
    "slices": [{"target_um": 20_000.0 + 100 * n, "dof_um": 140.0} for n in range(11)],
}
COUNTED = {"dof_um": 140.0, "attempt": 1, "frame": "frames/x.jpg"}


def run_of(*events: tuple[str, dict[str, Any]]) -> RunView:
    view = RunView(PLAN)
    opened = ("axis_opened", {"model": "a rail", "travel_um": [0.0, 60_000.0]})
    started = ("started", {"specimen": {"id": "beetle"}})
    for number, (event, fields) in enumerate((started, opened, *events), 1):
        view.on_entry(Entry(number, 0.0, made(event, **fields)), at_s=2.0 * number)
    return view


def counted(number: int, sharpness: float | None = None) -> list[tuple[str, dict[str, Any]]]:
    at_um = 20_000.0 + 100 * (number - 1)
    told: list[tuple[str, dict[str, Any]]] = [
        ("moved", {"achieved_um": at_um}),
        ("counted", {"slice": number, "achieved_um": at_um, **COUNTED}),
    ]
    if sharpness is not None:
        told.append(("aligned", {"number": number, "sharpness": sharpness}))
    return told


def shown(view: RunView, state: str, width: int = 80, glyphs: Glyphs = FINE) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(draw_run(view, state, width, 0.0, glyphs))
    text = console.file.getvalue()
    lines: list[str] = text.splitlines()
    assert max(map(len, lines)) <= width
    return lines


def row(lines: list[str], label: str) -> str:
    return next(line for line in lines if line.startswith(label))[10:]


def test_state_count_and_time_left_come_first() -> None:
    view = run_of(*counted(1), *counted(2), *counted(3))
    lines = shown(view, "settling")
    assert lines[0].split() == ["Settling", "slice", "3", "of", "11"]
    # Eight slices at the four seconds that each took of late.
    assert lines[2].split() == ["beetle", "about", "32", "s", "left"]
    assert "no faults so far" in lines


def test_the_rail_is_drawn_to_scale_and_a_gap_shows_as_one() -> None:
    view = run_of(*counted(1, 5.0), *counted(2, 10.0), ("left_out", {"slice": 3}), *counted(4))
    lines = shown(view, "moving")
    slices, sharpness, travel = (row(lines, name) for name in ("slices", "sharpness", "travel"))
    assert len(slices) == len(travel.rstrip()) == 70
    assert slices[0] == FINE.counted and slices[-1] == FINE.planned
    assert FINE.left_out in slices[10:20]
    assert max(sharpness) == FINE.bars[-1] and sharpness.index(max(sharpness)) in range(8, 13)
    # The range is a sixtieth of the travel, and a quarter of the travel is forbidden.
    assert 1 <= travel.count(FINE.counted) + travel.count(FINE.carriage) <= 3
    assert 16 <= travel.count(FINE.forbidden) <= 19
    wide = dict(PLAN, slices=[dict(PLAN["slices"][0]), dict(PLAN["slices"][-1])])
    gap = row(shown(RunView(wide), "starting"), "slices")
    assert gap[30:40].isspace()


def test_faults_and_what_is_done_about_them() -> None:
    fault = {"slice": 2, "message": "the frame is shaken " * 9, "remedy": "retry"}
    lines = shown(run_of(*counted(1), ("fault", fault)), "recovering")
    assert lines[0].startswith("Recovering")
    assert any(line.startswith("one fault: slice 2: the frame is shaken") for line in lines)
    assert "action: shooting the slice again" in lines
    assert len(lines) < 20


def test_narrow_terminals_and_those_without_fine_characters() -> None:
    view = run_of(*counted(1, 3.0), ("paused", {"why": "paused by the keyboard"}))
    for width in (50, 80, 240):
        assert any("paused by the keyboard" in line for line in shown(view, "paused", width))
    lines = shown(view, "paused", 80, PLAIN)
    assert all(line.isascii() for line in lines)


@pytest.mark.parametrize(
    ("is_terminal", "term", "redrawn"),
    [(True, "xterm", True), (True, "dumb", False), (False, "xterm", False)],
)
def test_a_terminal_is_redrawn_and_a_file_or_a_dumb_terminal_gets_plain_lines(
    is_terminal: bool, term: str, redrawn: bool
) -> None:
    said = io.StringIO()
    console = Console(
        file=said,
        width=80,
        force_terminal=is_terminal,
        color_system=None,
        _environ={"TERM": term},
    )
    with RunDisplay(console, RunView(PLAN)) as display:
        display.on_state(State.MOVING)
        everything = [event for number in range(1, 12) for event in counted(number)]
        for number, (event, fields) in enumerate(everything, 1):
            display.on_entry(Entry(number, 0.0, made(event, **fields)))
        display.on_state(State.DONE)
    text = said.getvalue()
    assert ("\x1b[" in text) == redrawn
    assert ("slice 11 of 11 at 21 mm" in text) != redrawn
    if redrawn:
        assert "Done" in text and "A 20 mm" in text
