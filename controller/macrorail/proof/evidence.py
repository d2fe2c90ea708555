"""All evidence of one run in one place: frames go in, verdicts and what is missing come out.

It runs in the caller's own process and at once; ``run_proof.py`` puts it into a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from macrorail.proof.findings import COVERED, NOT_PROVABLE, UNCOVERED, Findings, find
from macrorail.proof.judge import Judge
from macrorail.proof.lost_steps import true_places
from macrorail.proof.picture import write_map
from macrorail.proof.settings import ProofSettings
from macrorail.proof.standstill import stood_still
from macrorail.quantity import format_length

MAP_PICTURE = "coverage.png"

# How often a slice is added within this share of a depth of field before the gap is left open.
_TRIES = 2
_SAME_PLACE = 0.25


class Evidence:
    """A ``macrorail.run.interfaces.FrameProof`` without a process.

    Parameters
    ----------
    settings
        What is to be proven.
    folder
        Takes the coverage map.
    """

    def __init__(self, settings: ProofSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._judge = Judge(settings)
        self._verdicts: list[dict[str, Any]] = []
        self._budget = settings.extra_slices
        self._refused = ""
        self._asked_um: list[float] = []
        self._followed: set[int] = set()

    def add(
        self, number: int, attempt: int, frame: Path, position_um: float, dof_um: float
    ) -> None:
        """See ``FrameProof``."""
        self._verdicts += self._judge.add(number, attempt, frame, position_um, dof_um)

    def verdicts(self) -> list[dict[str, Any]]:
        """See ``FrameProof``."""
        told, self._verdicts = self._verdicts, []
        return told

    def last_verdicts(self, check: Callable[[], None]) -> list[dict[str, Any]]:
        """See ``FrameProof``."""
        del check
        self._verdicts += self._judge.flush()
        return self.verdicts()

    def relocate(
        self, numbers: list[int], error_um: float, check: Callable[[], None]
    ) -> dict[str, Any]:
        """See ``FrameProof``."""
        del check
        true_um = true_places(list(self._judge.accepted.values()), set(numbers), error_um)
        self._judge.relocate(true_um)
        return {"numbers": list(true_um), "positions_um": list(true_um.values())}

    def missing(self, check: Callable[[], None]) -> dict[str, Any]:
        """See ``FrameProof``."""
        del check
        found = self._find()
        margins = self._margins(found)
        wanted = [um for um in found.missing_um if not self._tried_often(um)] + margins
        if len(wanted) > self._budget:
            self._refused = (
                f"only {self._settings.extra_slices} slices may be added; raise "
                f"'proof: extra_slices'"
            )
            wanted = wanted[: self._budget]
        self._budget -= len(wanted)
        self._asked_um += wanted
        why = ", ".join([found.why] * bool(found.why) + ["a margin at an end"] * bool(margins))
        return {"positions_um": wanted, "why": why}

    def finish(self, check: Callable[[], None]) -> dict[str, Any]:
        """See ``FrameProof``."""
        del check
        found = self._find()
        looks = list(self._judge.accepted.values())
        report = _report(found, self._settings, self._refused)
        if stood_still(looks):
            report["proven"] = False
            report["reason"] = (
                "every frame shows the same plane: the first differs from the last no more than "
                "noise does, though they are said to be from different places. Nothing moves: "
                "check coupling and motor, or the switch on the lens's barrel"
            )
        if looks:
            write_map(self._folder / MAP_PICTURE, found, looks)
            seen = looks[0].seen
            report["map"] = {
                "path": MAP_PICTURE,
                "rows": seen.rows,
                "columns": seen.columns,
                "tile_px": seen.tile_px,
            }
            for gap in report["gaps"]:
                gap["boxes_px"] = [
                    [
                        tile % seen.columns * seen.tile_px,
                        tile // seen.columns * seen.tile_px,
                        seen.tile_px,
                        seen.tile_px,
                    ]
                    for tile in gap.pop("tiles")
                ]
        return report

    def _margins(self, found: Findings) -> list[float]:
        """One slice more at each end that was followed beyond the range, once nothing gets sharper
        there any more: single hairs and points are too little for a tile to tell."""
        margins = []
        rising = (found.near_tiles, found.far_tiles)
        for end, (tiles, position_um) in enumerate(zip(rising, found.margins_um, strict=True)):
            if tiles:
                self._followed.add(end)
            elif end in self._followed and position_um is not None:
                self._followed.remove(end)
                margins.append(position_um)
        return margins

    def _tried_often(self, position_um: float) -> bool:
        """Whether slices were asked for at this place and did not help."""
        near_um = _SAME_PLACE * self._settings.optics.dof_um
        times = sum(abs(position_um - um) < near_um for um in self._asked_um)
        if times < _TRIES:
            return False
        self._refused = (
            f"{times} slices added at {format_length(position_um, 6)} did not close the gap: the "
            f"axis does not get there, or the specimen has too little texture to tell"
        )
        return True

    def close(self) -> None:
        """Nothing to end."""

    def _find(self) -> Findings:
        found = find(list(self._judge.accepted.values()), self._settings)
        places_um = found.positions_um if found.shortfalls else {}
        if self._judge.located(places_um, found.lost_um):
            found = find(list(self._judge.accepted.values()), self._settings)
        return found


def _report(found: Findings, settings: ProofSettings, refused: str) -> dict[str, Any]:
    """The manifest's ``coverage.images``."""
    reasons = [
        f"{tiles} tiles were still getting sharper at the {end} end"
        for end, tiles in (("near", found.near_tiles), ("far", found.far_tiles))
        if tiles
    ]
    if found.coverage is not None and not found.coverage.proven:
        reasons.insert(0, str(found.coverage.error()))
    advice = refused or (
        f"the run may go from {format_length(settings.lowest_um, 6)} to "
        f"{format_length(settings.highest_um, 6)} and {format_length(settings.extend_um)} beyond "
        f"the range ('proof: extend'); widen the range, or write 'extend: 0 %' if it is meant"
    )
    return {
        "proven": not reasons if found.provable else None,
        "reason": "; ".join([*reasons, advice]) if reasons else "",
        "positions_um": {str(number): um for number, um in found.positions_um.items()},
        "shortfalls": found.shortfalls,
        "near_tiles_rising": found.near_tiles,
        "far_tiles_rising": found.far_tiles,
        "tiles": {
            "covered": int((found.state == COVERED).sum()),
            "uncovered": int((found.state == UNCOVERED).sum()),
            "not_provable": int((found.state == NOT_PROVABLE).sum()),
        },
        "gaps": [dict(gap) for gap in found.gaps],
        "dof": found.dof,
        "settings": {"extend_um": asdict(settings)["extend_um"], "reshoots": settings.reshoots},
    }
