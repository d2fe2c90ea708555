"""Finds at which slices an axis lost steps, after its home switch has shown the total loss.

The total loss is then certain, and the images only have to show where the steps were lost. So this
module also finds losses that the images alone would not prove. If images and axis contradict each
other, nothing is reported.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from macrorail.proof.curves import (
    Curves,
    SharpnessSamples,
    fit,
    information,
    misfit,
    sample,
    with_noise,
)
from macrorail.proof.dof_scale import DofScale
from macrorail.proof.frame_checker import MeasuredFrame
from macrorail.proof.measure import Floats
from macrorail.proof.positions import locate
from macrorail.proof.tiles import tabulate_sharpness

#: Blur is not included: after a large loss a frame looks blurred next to the wrong neighbours.
_BLINDING = {"exposure", "shift"}
_FEWEST_SLICES = 4
_LEAST_TILES = 8
#: Gain in log-likelihood that each further part of the loss must achieve.
_REQUIRED_GAIN = 32.0
_MOST_PARTS = 6
#: In a long stack, this many slices are tried as the place of the complete loss, then the slices
#: around the best of them.
_COARSE_TRIALS = 24
_TRIALS = 4
_ROUNDS = 4
#: Smallest part of the loss, in depths of field.
_SMALLEST_PART = 0.02
_LONGEST_STEP = 0.4
_FIRST_NOISE = 0.15
#: Largest part of the loss that may remain outside the slices, in depths of field.
_LARGEST_OUTSIDE = 0.3


@dataclass(frozen=True)
class _LossSplit:
    """A division of the loss over the slices; the parts add up to the complete loss.

    Attributes
    ----------
    first
        First slice displaced by each part, in the order of shooting.
    size
        (parts,) sizes of the parts in depths of field, > 0.
    curves
        Curves fitted with the slices at the resulting positions.
    """

    first: tuple[int, ...]
    size: Floats
    curves: Curves


def true_positions(
    frames: Sequence[MeasuredFrame], doubtful: Set[int], error_um: float
) -> dict[int, float]:
    """Find the true positions of slices among which an axis lost steps.

    Parameters
    ----------
    frames
        All frames in the order of shooting; those in doubt come last.
    doubtful
        Numbers of the slices shot since the position of the axis was last known to be right.
    error_um
        How far the axis lags behind its reported position at the end; negative when it is ahead.

    Returns
    -------
    dict
        True positions in micrometres of the slices in ``doubtful``, by number. Empty if the
        images cannot show them: too little texture, too few slices, an unusable frame, or steps
        lost before the first slice or after the last.
    """
    usable = [frame for frame in frames if not _BLINDING & {fault.kind for fault in frame.faults}]
    if not doubtful <= {frame.slice for frame in usable} or len(usable) < _FEWEST_SLICES:
        return {}
    table = tabulate_sharpness(usable)
    if len(table.level) < _LEAST_TILES:
        return {}
    reported_um = np.array([frame.position_um for frame in usable])
    dof_um = np.array([frame.dof_um for frame in usable])
    scale = DofScale(reported_um, dof_um)
    reported = scale.to_dof(reported_um)
    begin = min(index for index, frame in enumerate(usable) if frame.slice in doubtful)
    lost = error_um / float(dof_um[-1])
    behind = _LossSearch(
        sample(table.level, table.weight, reported), reported, begin, lost
    ).behind()
    if behind is None:
        return {}
    true_um = reported_um - behind * dof_um[-1]
    return {
        frame.slice: float(um)
        for frame, um in zip(usable, true_um, strict=True)
        if frame.slice in doubtful
    }


class _LossSearch:
    """Searches for the division of the loss that explains the images best.

    Parameters
    ----------
    reported
        (slices,) positions that the axis reported, in depths of field, in the order of shooting.
    begin
        The first slice that can be displaced.
    lost
        Complete loss in depths of field.
    """

    def __init__(
        self, samples: SharpnessSamples, reported: Floats, begin: int, lost: float
    ) -> None:
        self.samples, self.reported, self.lost = samples, reported, abs(lost)
        self.count = len(reported)
        self.candidates = range(max(begin, 1), self.count)
        # One column for each possible part; the last column is for steps lost after the last slice.
        self.columns = np.zeros((self.count, self.count + 1))
        for first in self.candidates:
            self.columns[first:, first] = -np.sign(lost)

    def positions(self, split: _LossSplit) -> Floats:
        """Return the positions of the slices, (slices,), in depths of field."""
        positions: Floats = self.reported + self.columns[:, split.first] @ split.size
        return positions

    def misfit(self, split: _LossSplit) -> float:
        return misfit(split.curves, self.samples, self.positions(split))

    def with_own_noise(self, split: _LossSplit) -> _LossSplit:
        positions = self.positions(split)
        curves = with_noise(split.curves, self.samples, positions)
        return replace(split, curves=fit(self.samples, positions, curves, rounds=10))

    def information(self, split: _LossSplit) -> tuple[Floats, Floats]:
        """Return information matrix and gradient for the sizes of all possible parts."""
        matrix, pull = information(split.curves, self.samples, self.positions(split))
        return self.columns.T @ matrix @ self.columns, self.columns.T @ pull

    def with_another(self, split: _LossSplit) -> list[_LossSplit]:
        """Return divisions with one more part each, at the slices where the part explains most."""
        normal, along = self.information(split)
        found = []
        for first in self.candidates:
            if first in split.first:
                continue
            longer = (*split.first, first)
            step, gain = _step(normal, along, longer)
            if step[-1] > _SMALLEST_PART:
                size = np.maximum(np.append(split.size, 0.0) + step, 0.0)
                size *= self.lost / size.sum()
                found.append((gain, _LossSplit(longer, size, split.curves)))
        found.sort(key=lambda one: -one[0])
        return [self.refined(one) for _, one in found[:_TRIALS]]

    def all_at_once(self, split: _LossSplit) -> _LossSplit:
        """Return the division with the complete loss at one slice.

        The slice is found by trying slices, because the loss can be too large for a linear
        estimate.
        """
        stride = -(-self.count // _COARSE_TRIALS)
        best = self.likeliest(self.candidates[::stride], split)
        near = self.candidates.index(best.first[0])
        around = self.candidates[max(0, near - stride + 1) : near + stride]
        return self.likeliest(around, split) if stride > 1 else best

    def likeliest(self, candidates: Sequence[int], split: _LossSplit) -> _LossSplit:
        """Return the division with the complete loss at the best-fitting candidate slice."""
        trials = []
        for first in candidates:
            trial = replace(split, first=(first,), size=np.array([self.lost]))
            curves = fit(self.samples, self.positions(trial), split.curves, rounds=8)
            trials.append(replace(trial, curves=curves))
        return min(trials, key=self.misfit)

    def refined(self, split: _LossSplit) -> _LossSplit:
        """Refine sizes and curves by Newton steps, and drop parts whose size vanishes."""
        first, size, curves = split.first, split.size, split.curves
        for _ in range(_ROUNDS):
            curves = fit(
                self.samples, self.positions(_LossSplit(first, size, curves)), curves, rounds=5
            )
            step, _ = _step(*self.information(_LossSplit(first, size, curves)), first)
            size = np.maximum(size + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP), 0.0)
            size *= self.lost / size.sum()
            kept = size >= min(_SMALLEST_PART, size.max())
            first, size = tuple(np.array(first)[kept].tolist()), size[kept]
            size *= self.lost / size.sum()
        final = _LossSplit(first, size, curves)
        return replace(final, curves=fit(self.samples, self.positions(final), curves, rounds=5))

    def behind(self) -> Floats | None:
        """Return (slices,) each slice's lag behind its reported position, in depths of field.

        Returns ``None`` if the images cannot show where the steps were lost.
        """
        curves = fit(self.samples, self.reported)
        # Wrong positions increase the estimated noise, which would hide the loss, so the noise is
        # fixed.
        curves = replace(curves, noise=np.full_like(curves.noise, _FIRST_NOISE))
        curves = fit(self.samples, self.reported, curves, rounds=10)
        best = _LossSplit((self.count,), np.array([self.lost]), curves)
        trials = [self.all_at_once(best), *self.with_another(best)]
        while trials and len(best.first) <= _MOST_PARTS:
            trial = min(trials, key=self.misfit)
            if self.misfit(best) - self.misfit(trial) < _REQUIRED_GAIN:
                break
            best = self.with_own_noise(trial)
            trials = self.with_another(best)
        outside = float(best.size[np.array(best.first) == self.count].sum())
        if outside > _LARGEST_OUTSIDE:
            return None
        best = self.all_inside(best)
        if locate(self.samples, self.positions(best)).short_moves:
            return None  # the images contradict the axis
        behind: Floats = self.reported - self.positions(best)
        return behind

    def all_inside(self, split: _LossSplit) -> _LossSplit:
        """Return the division scaled so that the complete loss is within the slices."""
        inside = np.array(split.first) < self.count
        if inside.any():
            first = tuple(np.array(split.first)[inside].tolist())
            size = split.size[inside] * self.lost / split.size[inside].sum()
            return self.refined(_LossSplit(first, size, split.curves))
        # The loss is too small to be visible, so a wrong slice does no harm.
        whole = np.array([self.lost])
        ways = [replace(split, first=(first,), size=whole) for first in self.candidates]
        return min(ways, key=self.misfit)


def _step(normal: Floats, along: Floats, first: tuple[int, ...]) -> tuple[Floats, float]:
    """Return the Newton step for the sizes of the parts, with a constant sum, and the step's gain.

    The gain is in log-likelihood.
    """
    normal = normal[np.ix_(first, first)] + 1e-9 * np.eye(len(first))
    along = along[list(first)]
    free, even = np.linalg.solve(normal, np.stack([along, np.ones(len(along))], axis=1)).T
    step = free - even * free.sum() / even.sum()
    return step, float(along @ step - step @ normal @ step / 2)
