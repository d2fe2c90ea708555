"""Computes the layout of the report's charts; the template draws them as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH = 1000
HEIGHT = 250
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 44


@dataclass(frozen=True)
class Tick:
    """A tick on an axis: its coordinate and label."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """One slice on a chart.

    Attributes
    ----------
    x, y
        Coordinates.
    tip
        Text of the tooltip.
    bad
        Whether the mark is drawn as a warning.
    x_from, x_to
        Coordinates of the ends of the slice's depth of field, if the chart shows it.
    """

    x: float
    y: float
    tip: str
    bad: bool = False
    x_from: float = 0.0
    x_to: float = 0.0


@dataclass(frozen=True)
class Chart:
    """One chart of size ``WIDTH`` x ``HEIGHT``."""

    marks: list[Mark]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    x_name: str
    y_name: str
    level: Tick | None = None
    holes: list[tuple[float, float]] = field(default_factory=list)

    @property
    def line(self) -> str:
        """The line through the marks, as SVG ``points``."""
        return " ".join(f"{mark.x:.1f},{mark.y:.1f}" for mark in self.marks)


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def sharpness_chart(slices: Sequence[dict[str, float]]) -> Chart | None:
    """Return a chart of sharpness over position; ``None`` when no sharpness was measured."""
    known = [one for one in slices if one["sharpness"] is not None]
    if not known:
        return None
    x = _positions(known)
    highest = max(one["sharpness"] for one in known) or 1.0
    y = _Scale(0, highest * 1.08, HEIGHT - BOTTOM, TOP)
    return Chart(
        [
            Mark(
                x(one["achieved_um"]),
                y(one["sharpness"]),
                f"slice {one['index']:.0f} at {_mm(one['achieved_um'])}: {one['sharpness']:.3g}",
            )
            for one in known
        ],
        _position_ticks(x),
        [Tick(y(value), f"{value:g}") for value in _round_values(0, y.high, 4)],
        "position, mm",
        "sharpness",
    )


def overlap_chart(
    slices: Sequence[dict[str, float]],
    minimum: float,
    gaps: Sequence[dict[str, float]],
) -> Chart | None:
    """Return a chart of each slice's overlap with the previous slice, over position.

    Each mark is as wide as the slice's depth of field. ``None`` when there are no overlaps.
    """
    known = [one for one in slices if one["overlap"] is not None]
    if not known:
        return None
    x = _positions(slices)
    overlaps = [one["overlap"] for one in known]
    # A large gap would compress the rest of the chart, so marks below -100 % are drawn at -100 %.
    lowest, highest = max(min(0.0, *overlaps), -1.0), max(minimum, *overlaps)
    y = _Scale(lowest, min(1.0, highest * 1.15), HEIGHT - BOTTOM, TOP)
    marks = [
        Mark(
            x(one["achieved_um"]),
            y(max(one["overlap"], y.low)),
            f"slice {one['index']:.0f} at {_mm(one['achieved_um'])}: {one['overlap']:.0%}",
            one["overlap"] < minimum,
            x(one["achieved_um"] - one["dof_um"] / 2),
            x(one["achieved_um"] + one["dof_um"] / 2),
        )
        for one in known
    ]
    return Chart(
        marks,
        _position_ticks(x),
        [Tick(y(value), f"{value:.0%}") for value in _round_values(y.low, y.high, 4)],
        "position, mm",
        "overlap",
        Tick(y(minimum), f"required: {minimum:.0%}"),
        [(x(gap["near_um"]), x(gap["far_um"])) for gap in gaps],
    )


def _positions(slices: Sequence[dict[str, float]]) -> _Scale:
    low = min(one["achieved_um"] - one["dof_um"] / 2 for one in slices)
    high = max(one["achieved_um"] + one["dof_um"] / 2 for one in slices)
    return _Scale(low, max(high, low + 1e-3), LEFT, WIDTH - RIGHT)


def _position_ticks(x: _Scale) -> list[Tick]:
    low_mm, high_mm = x.low / 1e3, x.high / 1e3
    return [Tick(x(value * 1e3), f"{value:g}") for value in _round_values(low_mm, high_mm, 8)]


def _round_values(low: float, high: float, wanted: int) -> list[float]:
    """Return about ``wanted`` round values (1, 2 or 5 times a power of ten) from low to high."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 9) for number in range(first, last + 1)]


def _mm(length_um: float) -> str:
    return f"{length_um / 1e3:.4f} mm"
