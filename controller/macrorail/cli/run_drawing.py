"""Draws a run as text for a terminal, 50 to 100 columns wide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group
from rich.text import Text

from macrorail.quantity import format_duration, format_length
from macrorail.run_folder.view import RunView, SliceView
from macrorail.run_folder.wording import STATES
from macrorail.states import State

_STATE_STYLES = {
    State.EXPOSING.value: "bold yellow",
    State.PAUSED.value: "bold magenta",
    State.RECOVERING.value: "bold red",
    State.DONE.value: "bold green",
    State.ABORTED.value: "bold magenta",
    State.FAILED.value: "bold red",
}
#: States of a slice, worst first. If several slices share a cell, the best state is drawn.
_ORDER = ("left_out", "planned", "shot", "counted")
_STYLES = {"left_out": "bold red", "planned": "dim", "shot": "yellow", "counted": "green"}
_EXPOSURE = (("aperture", "{}"), ("shutter", "{} s"), ("iso", "ISO {}"))
_WIDEST = 100
_NARROWEST = 50
_LABELS = 10


@dataclass(frozen=True)
class Glyphs:
    """Characters for the drawing; ``bars`` are in order of their height."""

    left_out: str
    planned: str
    shot: str
    counted: str
    gap: str
    carriage: str
    line: str
    forbidden: str
    done: str
    left: str
    bars: str


FINE = Glyphs("×", "░", "▓", "█", " ", "▲", "─", "╳", "━", "━", "▁▂▃▄▅▆▇█")
PLAIN = Glyphs("x", ".", "+", "#", " ", "^", "-", "/", "=", "-", "_.,-=+*#")


def draw_run(
    view: RunView, state: str, width: int, waited_s: float = 0.0, glyphs: Glyphs = FINE
) -> Group:
    """Draw the present state of a run and return the drawing.

    Parameters
    ----------
    view
        View of the run, from its journal.
    state
        State of the run, a value of ``states.State``.
    width
        Columns of the terminal; at most 100 are used.
    waited_s
        Wall time in seconds since the last slice was finished, which is subtracted from the time
        left.
    glyphs
        Characters that the terminal can show.
    """
    width = max(_NARROWEST, min(width, _WIDEST))
    return Group(
        *_head(view, state, width, waited_s, glyphs),
        Text(),
        *_rail(view, width, glyphs),
        *_facts(view, width),
    )


def _head(view: RunView, state: str, width: int, waited_s: float, glyphs: Glyphs) -> list[Text]:
    words, style = STATES.get(state, state), _STATE_STYLES.get(state, "yellow")
    count = Text.assemble(
        "slice ", (str(view.done), "bold"), " of ", (str(len(view.slices)), "bold")
    )
    left = ""
    if view.left_s is not None and state not in {State.PAUSED.value, State.FINISHING.value}:
        left = f"about {format_duration(max(1, round(view.left_s - waited_s)))} left"
    filled = round((view.done / len(view.slices) if view.slices else 0.0) * width)
    return [
        _sides(width, Text(words, style=style), count),
        Text.assemble(
            (glyphs.done * filled, "yellow"), (glyphs.left * (width - filled), "bright_black")
        ),
        _sides(width, Text(view.specimen or "", style="bold"), Text(left)),
    ]


def _rail(view: RunView, width: int, glyphs: Glyphs) -> list[Text]:
    """Return lines that show sharpness, slices and focus position in the range, and the travel."""
    near_um, far_um = view.plan["near_um"], view.plan["far_um"]
    slices, position_um = list(view.slices.values()), view.position_um
    width -= _LABELS
    margin_um = max((piece.dof_um for piece in slices), default=0.0) / 2
    scale = PositionScale(near_um - margin_um, far_um + margin_um, width)
    marker = [" "] * width
    if position_um is not None and scale.low_um <= position_um <= scale.high_um:
        marker[scale.cell(position_um)] = glyphs.carriage
    a, b = f"A {format_length(near_um, 5)}", f"{format_length(far_um, 5)} B"
    where = "" if position_um is None else f"focus at {format_length(position_um, 6)}"
    rows = [
        ("sharpness", _sharpness(slices, scale, glyphs)),
        ("slices", _bands(slices, scale, glyphs)),
        ("", Text("".join(marker), style="bold")),
        ("", Text(f"{a}{where:^{max(1, width - len(a) - len(b))}}{b}")),
    ]
    if view.travel_um is not None:
        rows.append(("travel", _travel(view, width, glyphs)))
    return [Text(f"{label:<{_LABELS}}", style="dim") + row for label, row in rows]


def _facts(view: RunView, width: int) -> list[Text]:
    lines = [Text()]
    exposure = ((view.settings.get(name), form) for name, form in _EXPOSURE)
    known = "  ".join(form.format(str(value).rstrip(" s")) for value, form in exposure if value)
    devices = "  ·  ".join(text for text in (view.camera, view.axis, known) if text)
    if devices:
        lines.append(_cut(devices, width, "dim"))
    if view.message:
        lines.append(_cut(view.message, width, "magenta"))
    faults = [note for note in view.notes if note["kind"] == "fault"]
    if faults:
        times = "one fault" if len(faults) == 1 else f"{len(faults)} faults, the last"
        lines.append(_cut(f"{times}: {_note_text(faults[-1])}", width, "red"))
        remedies = [note["text"] for note in view.notes if note["kind"] == "remedy"]
        if remedies:
            lines.append(_cut(f"action: {remedies[-1]}", width, "red"))
    elif view.entries and not view.ended:
        lines.append(Text("no faults so far", style="dim"))
    return lines


@dataclass(frozen=True)
class PositionScale:
    """Maps positions to the cells of a line of ``width`` cells."""

    low_um: float
    high_um: float
    width: int

    def cell(self, position_um: float) -> int:
        """Return the cell of a position; the first or last cell for positions outside the range."""
        share = (position_um - self.low_um) / max(self.high_um - self.low_um, 1e-9)
        return min(self.width - 1, max(0, int(share * self.width)))

    def middle_um(self, cell: int) -> float:
        """Return the position in the middle of a cell."""
        return self.low_um + (cell + 0.5) * (self.high_um - self.low_um) / self.width


def _bands(slices: Sequence[SliceView], scale: PositionScale, glyphs: Glyphs) -> Text:
    """Draw in each cell the best state of the slices in focus there; a space if there are none."""
    best = [-1] * scale.width
    for piece in slices:
        rank = _ORDER.index(piece.state)
        half_um = piece.dof_um / 2
        first, last = (scale.cell(piece.position_um + side * half_um) for side in (-1, 1))
        for cell in range(first, last + 1):
            inside = abs(scale.middle_um(cell) - piece.position_um) <= half_um
            # A slice whose depth of field is less than a cell is drawn in the cell of its position.
            if inside or cell == scale.cell(piece.position_um):
                best[cell] = max(best[cell], rank)
    drawn = Text()
    for rank in best:
        name = _ORDER[rank] if rank >= 0 else "gap"
        drawn.append(getattr(glyphs, name), style=_STYLES.get(name, ""))
    return drawn


def _sharpness(slices: Sequence[SliceView], scale: PositionScale, glyphs: Glyphs) -> Text:
    heights = [0.0] * scale.width
    for piece in slices:
        cell = scale.cell(piece.position_um)
        heights[cell] = max(heights[cell], piece.sharpness or 0.0)
    most = max(heights)
    if most <= 0:
        return Text()
    steps = len(glyphs.bars) - 1
    bars = (" " if h <= 0 else glyphs.bars[round(h / most * steps)] for h in heights)
    return Text("".join(bars), style="cyan")


def _travel(view: RunView, width: int, glyphs: Glyphs) -> Text:
    """Return a line that shows the axis's travel, the range, and the part that is not allowed."""
    assert view.travel_um is not None
    low_um, high_um = view.travel_um
    scale = PositionScale(low_um, high_um, width)
    first, last = (scale.cell(view.plan[end]) for end in ("near_um", "far_um"))
    closest_um = view.plan["closest_approach_um"]
    drawn = Text()
    for cell in range(width):
        if scale.middle_um(cell) > closest_um:
            drawn.append(glyphs.forbidden, style="red")
        elif view.position_um is not None and cell == scale.cell(view.position_um):
            drawn.append(glyphs.carriage, style="bold")
        elif first <= cell <= last:
            drawn.append(glyphs.counted, style="yellow")
        else:
            drawn.append(glyphs.line, style="dim")
    return drawn


def _note_text(note: dict[str, object]) -> str:
    return f"slice {note['slice']}: {note['text']}" if note["slice"] else str(note["text"])


def _sides(width: int, left: Text, right: Text) -> Text:
    gap = max(1, width - left.cell_len - right.cell_len)
    return Text.assemble(left, " " * gap, right)


def _cut(text: str, width: int, style: str) -> Text:
    line = Text(text.replace("\n", " "), style=style)
    line.truncate(width, overflow="ellipsis")
    return line
