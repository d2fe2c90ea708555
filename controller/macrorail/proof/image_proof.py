"""Proves coverage from the images of one run: checks each frame and finds what is missing.

The proof works synchronously in the calling process; ``proof_process.py`` runs it in a process of
its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from macrorail.proof.coverage_analysis import (
    COVERED,
    NOT_PROVABLE,
    UNCOVERED,
    CoverageAnalysis,
    analyse_coverage,
)
from macrorail.proof.coverage_map import write_coverage_map
from macrorail.proof.frame_checker import FrameChecker
from macrorail.proof.lost_steps import true_positions
from macrorail.proof.settings import ProofSettings
from macrorail.proof.standstill import stood_still
from macrorail.quantity import format_length

MAP_PICTURE = "coverage.png"

# Number of slices added at the same position before the gap is left open. Positions within this
# fraction of a depth of field count as the same.
_TRIES = 2
_SAME_POSITION = 0.25


class ImageProof:
    """A ``macrorail.running.interfaces.FrameProof`` in the calling process.

    Parameters
    ----------
    settings
        What has to be proven, and the limits.
    folder
        Folder in which the coverage map is written.
    """

    def __init__(self, settings: ProofSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._checker = FrameChecker(settings)
        self._verdicts: list[dict[str, Any]] = []
        self._budget = settings.extra_slices
        self._refused = ""
        self._requested_um: list[float] = []
        self._extended_ends: set[int] = set()

    def add(
        self, number: int, attempt: int, frame: Path, position_um: float, dof_um: float
    ) -> None:
        """See ``FrameProof``."""
        self._verdicts += self._checker.add(number, attempt, frame, position_um, dof_um)

    def verdicts(self) -> list[dict[str, Any]]:
        """See ``FrameProof``."""
        verdicts, self._verdicts = self._verdicts, []
        return verdicts

    def last_verdicts(self, check: Callable[[], None]) -> list[dict[str, Any]]:
        """See ``FrameProof``."""
        del check
        self._verdicts += self._checker.flush()
        return self.verdicts()

    def relocate(
        self, numbers: list[int], error_um: float, check: Callable[[], None]
    ) -> dict[str, Any]:
        """See ``FrameProof``."""
        del check
        true_um = true_positions(list(self._checker.accepted.values()), set(numbers), error_um)
        self._checker.relocate(true_um)
        return {"numbers": list(true_um), "positions_um": list(true_um.values())}

    def missing(self, check: Callable[[], None]) -> dict[str, Any]:
        """See ``FrameProof``."""
        del check
        found = self._find()
        margins = self._margins(found)
        wanted = [um for um in found.missing_um if not self._tried_before(um)] + margins
        if len(wanted) > self._budget:
            self._refused = (
                f"only {self._settings.extra_slices} slices may be added; raise "
                f"'proof: extra_slices'"
            )
            wanted = wanted[: self._budget]
        self._budget -= len(wanted)
        self._requested_um += wanted
        why = ", ".join([found.why] * bool(found.why) + ["a margin at an end"] * bool(margins))
        return {"positions_um": wanted, "why": why}

    def finish(self, check: Callable[[], None]) -> dict[str, Any]:
        """See ``FrameProof``."""
        del check
        found = self._find()
        frames = list(self._checker.accepted.values())
        report = _report(found, self._settings, self._refused)
        if stood_still(frames):
            report["proven"] = False
            report["reason"] = (
                "every frame shows the same plane: the first and the last differ only by noise, "
                "although the axis reported different positions. Nothing moves: check the "
                "coupling and the motor, or the focus switch on the lens"
            )
        if frames:
            write_coverage_map(self._folder / MAP_PICTURE, found, frames)
            measurement = frames[0].measurement
            report["map"] = {
                "path": MAP_PICTURE,
                "rows": measurement.rows,
                "columns": measurement.columns,
                "tile_px": measurement.tile_px,
            }
            for gap in report["gaps"]:
                gap["boxes_px"] = [
                    [
                        tile % measurement.columns * measurement.tile_px,
                        tile // measurement.columns * measurement.tile_px,
                        measurement.tile_px,
                        measurement.tile_px,
                    ]
                    for tile in gap.pop("tiles")
                ]
        return report

    def _margins(self, found: CoverageAnalysis) -> list[float]:
        """Return the position of one more slice for each end at which the range was extended.

        The slice is added once no tile gets sharper there. The slice covers single hairs and
        points, which are too small to show in a tile.
        """
        margins = []
        rising = (found.near_tiles, found.far_tiles)
        for end, (tiles, position_um) in enumerate(zip(rising, found.margins_um, strict=True)):
            if tiles:
                self._extended_ends.add(end)
            elif end in self._extended_ends and position_um is not None:
                self._extended_ends.remove(end)
                margins.append(position_um)
        return margins

    def _tried_before(self, position_um: float) -> bool:
        """Return whether slices added at this position before did not close the gap."""
        near_um = _SAME_POSITION * self._settings.optics.dof_um
        times = sum(abs(position_um - um) < near_um for um in self._requested_um)
        if times < _TRIES:
            return False
        self._refused = (
            f"{times} slices added at {format_length(position_um, 6)} did not close the gap: the "
            f"axis does not reach it, or the specimen has too little texture there"
        )
        return True

    def close(self) -> None:
        """Nothing to close."""

    def _find(self) -> CoverageAnalysis:
        found = analyse_coverage(list(self._checker.accepted.values()), self._settings)
        places_um = found.positions_um if found.shortfalls and found.provable else {}
        if self._checker.apply_true_positions(places_um, found.lost_um):
            found = analyse_coverage(list(self._checker.accepted.values()), self._settings)
        return found


def _report(found: CoverageAnalysis, settings: ProofSettings, refused: str) -> dict[str, Any]:
    """Return the manifest's section ``coverage.images``."""
    reasons = [
        f"{tiles} tiles were still getting sharper at the {end} end"
        for end, tiles in (("near", found.near_tiles), ("far", found.far_tiles))
        if tiles
    ]
    if found.coverage is not None and not found.coverage.proven:
        reasons.insert(0, str(found.coverage.error(settings.resolution_um)))
    measured = found.measured_coverage
    if not reasons and measured is not None and not measured.proven:
        assert found.dof is not None, "the measured coverage comes from it"
        reasons.append(
            f"with the depth of field measured in the images the slices do not overlap enough "
            f"({measured.error()}); {found.dof['warning']}"
        )
        refused = "shoot again after correcting the numbers in the rig"
    advice = refused or (
        f"the run may extend from {format_length(settings.lowest_um, 6)} to "
        f"{format_length(settings.highest_um, 6)} and {format_length(settings.extend_um)} beyond "
        f"the range ('proof: extend'); widen the range, or write 'extend: 0 %' to keep it"
    )
    return {
        "proven": not reasons if found.provable else None,
        "reason": found.not_provable_because or ("; ".join([*reasons, advice]) if reasons else ""),
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
