"""Draws the depths of field of a plan to scale, as text."""

from __future__ import annotations

from macrorail.planning.plan import Plan, PlannedSlice

_LEAST_COLUMNS = 7


def draw_bands(plan: Plan, width: int) -> list[str]:
    """Draw the depth of field of each slice as a band, and return the lines of text.

    Overlapping bands are on different lines. If the drawing of the complete range would be too
    fine to read, only the first slices are drawn.

    Parameters
    ----------
    plan
        The plan.
    width
        Columns of the drawing, at least 20.
    """
    shown = _legible(plan.slices, width)
    start_um, end_um = _extent(shown)
    columns_per_um = (width - 1) / (end_um - start_um)

    def column(position_um: float) -> int:
        return round((position_um - start_um) * columns_per_um)

    rows: list[str] = []
    for planned in shown:
        first = column(planned.target_um - planned.dof_um / 2)
        middle = column(planned.target_um)
        last = column(planned.target_um + planned.dof_um / 2)
        band = "┣" + "━" * (middle - first - 1) + "┿" + "━" * (last - middle - 1) + "┫"
        free = next((index for index, row in enumerate(rows) if len(row) <= first), len(rows))
        if free == len(rows):
            rows.append("")
        rows[free] = rows[free].ljust(first) + band
    near, far = f"{shown[0].target_um / 1e3:.4f} mm", f"{shown[-1].target_um / 1e3:.4f} mm"
    lines = [near + far.rjust(width - len(near)), *rows]
    left_out = len(plan.slices) - len(shown)
    if left_out:
        lines.append(f"(the first {len(shown)} slices to scale; {left_out} more follow)")
    return lines


def _legible(slices: tuple[PlannedSlice, ...], width: int) -> tuple[PlannedSlice, ...]:
    count = len(slices)
    while count > 1:
        shown = slices[:count]
        start_um, end_um = _extent(shown)
        thinnest_um = min(planned.dof_um for planned in shown)
        if thinnest_um / (end_um - start_um) * width >= _LEAST_COLUMNS:
            break
        count -= 1
    return slices[:count]


def _extent(slices: tuple[PlannedSlice, ...]) -> tuple[float, float]:
    return (
        min(planned.target_um - planned.dof_um / 2 for planned in slices),
        max(planned.target_um + planned.dof_um / 2 for planned in slices),
    )
