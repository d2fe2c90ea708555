"""Finds which slices an axis was behind at, once its reference has shown by how much in all.

That the axis fell behind, and by how much, is certain then; the images only have to tell where. So
a loss is found that they alone would not dare to claim, and where they contradict the axis nothing
is claimed.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from macrorail.proof.curves import Curves, Samples, fit, information, misfit, sample, with_noise
from macrorail.proof.depths import DepthScale
from macrorail.proof.judge import Look
from macrorail.proof.measure import Floats
from macrorail.proof.positions import locate
from macrorail.proof.tiles import tabulate

#: Not blur: behind a large loss a frame looks blurred beside those it is said to stand between.
_BLINDING = {"exposure", "shift"}
_LEAST_SLICES = 4
_LEAST_TILES = 8
#: How much better the images must be explained for another loss, or for any at all.
_SURE = 32.0
_MOST = 6
#: So many slices of a long sweep are tried for a loss of all at once, then those around the best.
_LOOKS = 24
_TRIALS = 4
_ROUNDS = 4
#: Smaller losses, in depths of field, are not worth a place of their own.
_LEAST = 0.02
_LONGEST = 0.4
_FIRST_NOISE = 0.15
#: What may be left of the loss without a place among the slices, depths of field.
_OUTSIDE = 0.3


@dataclass(frozen=True)
class _Shares:
    """How a loss is spread over the slices; nothing of it is left over.

    Attributes
    ----------
    first
        Of each share, the first slice that it put off, in the order of time.
    size
        (shares,) depths of field, > 0.
    curves
        Fitted with the slices where these shares leave them.
    """

    first: tuple[int, ...]
    size: Floats
    curves: Curves


def true_places(looks: Sequence[Look], doubtful: Set[int], error_um: float) -> dict[int, float]:
    """Where slices truly were in whose course an axis fell behind.

    Parameters
    ----------
    looks
        In the order of time, those in doubt last.
    doubtful
        Numbers of the slices that were shot since the axis was last known to be right.
    error_um
        How far the axis is behind after the last of them; below 0 ahead.

    Returns
    -------
    dict
        Micrometres by the numbers in ``doubtful``. Empty when the images cannot tell: too little
        texture, too few slices, a frame that shows nothing, or steps that were lost before the
        first slice or after the last.
    """
    seen = [look for look in looks if not _BLINDING & {fault.kind for fault in look.faults}]
    if not doubtful <= {look.slice for look in seen} or len(seen) < _LEAST_SLICES:
        return {}
    table = tabulate(seen)
    if len(table.level) < _LEAST_TILES:
        return {}
    told_um = np.array([look.position_um for look in seen])
    dof_um = np.array([look.dof_um for look in seen])
    scale = DepthScale(told_um, dof_um)
    told = scale.to_dof(told_um)
    begin = min(index for index, look in enumerate(seen) if look.slice in doubtful)
    lost = error_um / float(dof_um[-1])
    behind = _Sweep(sample(table.level, table.weight, told), told, begin, lost).behind()
    if behind is None:
        return {}
    true_um = told_um - behind * dof_um[-1]
    return {
        look.slice: float(um)
        for look, um in zip(seen, true_um, strict=True)
        if look.slice in doubtful
    }


class _Sweep:
    """The slices in doubt, and how well a way to spread the loss over them explains the images.

    Parameters
    ----------
    told
        (slices,) where the axis said they were, in depths of field and in the order of time.
    begin
        The first slice that can have been put off.
    lost
        How far behind the axis was in the end, depths of field.
    """

    def __init__(self, samples: Samples, told: Floats, begin: int, lost: float) -> None:
        self.samples, self.told, self.lost = samples, told, abs(lost)
        self.count = len(told)
        self.candidates = range(max(begin, 1), self.count)
        # One column a share, and a last one for what was lost when no slice followed any more.
        self.columns = np.zeros((self.count, self.count + 1))
        for first in self.candidates:
            self.columns[first:, first] = -np.sign(lost)

    def places(self, shares: _Shares) -> Floats:
        """(slices,) where the slices were, in depths of field."""
        places: Floats = self.told + self.columns[:, shares.first] @ shares.size
        return places

    def misfit(self, shares: _Shares) -> float:
        return misfit(shares.curves, self.samples, self.places(shares))

    def with_own_noise(self, shares: _Shares) -> _Shares:
        places = self.places(shares)
        curves = with_noise(shares.curves, self.samples, places)
        return replace(shares, curves=fit(self.samples, places, curves, rounds=10))

    def information(self, shares: _Shares) -> tuple[Floats, Floats]:
        """What the images say about the size of each share there can be."""
        matrix, pull = information(shares.curves, self.samples, self.places(shares))
        return self.columns.T @ matrix @ self.columns, self.columns.T @ pull

    def with_another(self, shares: _Shares) -> list[_Shares]:
        """The same with one share more, where by a first estimate it explains most."""
        normal, along = self.information(shares)
        found = []
        for first in self.candidates:
            if first in shares.first:
                continue
            longer = (*shares.first, first)
            step, gain = _step(normal, along, longer)
            if step[-1] > _LEAST:
                size = np.maximum(np.append(shares.size, 0.0) + step, 0.0)
                size *= self.lost / size.sum()
                found.append((gain, _Shares(longer, size, shares.curves)))
        found.sort(key=lambda one: -one[0])
        return [self.refined(one) for _, one in found[:_TRIALS]]

    def all_at_once(self, shares: _Shares) -> _Shares:
        """All of it lost on the way to one slice, which may be too far for a first estimate."""
        stride = -(-self.count // _LOOKS)
        best = self.likeliest(self.candidates[::stride], shares)
        near = self.candidates.index(best.first[0])
        around = self.candidates[max(0, near - stride + 1) : near + stride]
        return self.likeliest(around, shares) if stride > 1 else best

    def likeliest(self, candidates: Sequence[int], shares: _Shares) -> _Shares:
        """Of all at one slice, the one that explains most."""
        trials = []
        for first in candidates:
            trial = replace(shares, first=(first,), size=np.array([self.lost]))
            curves = fit(self.samples, self.places(trial), shares.curves, rounds=8)
            trials.append(replace(trial, curves=curves))
        return min(trials, key=self.misfit)

    def refined(self, shares: _Shares) -> _Shares:
        """Sizes and curves by Newton's steps; a share that vanishes is left out."""
        first, size, curves = shares.first, shares.size, shares.curves
        for _ in range(_ROUNDS):
            curves = fit(self.samples, self.places(_Shares(first, size, curves)), curves, rounds=5)
            step, _ = _step(*self.information(_Shares(first, size, curves)), first)
            size = np.maximum(size + np.clip(step, -_LONGEST, _LONGEST), 0.0)
            size *= self.lost / size.sum()
            kept = size >= min(_LEAST, size.max())
            first, size = tuple(np.array(first)[kept].tolist()), size[kept]
            size *= self.lost / size.sum()
        final = _Shares(first, size, curves)
        return replace(final, curves=fit(self.samples, self.places(final), curves, rounds=5))

    def behind(self) -> Floats | None:
        """(slices,) how far each was behind, depths of field; ``None`` when that is not to be
        seen."""
        curves = fit(self.samples, self.told)
        # What wrong places add to the tiles' noise would hide the loss that made them wrong.
        curves = replace(curves, noise=np.full_like(curves.noise, _FIRST_NOISE))
        curves = fit(self.samples, self.told, curves, rounds=10)
        best = _Shares((self.count,), np.array([self.lost]), curves)
        trials = [self.all_at_once(best), *self.with_another(best)]
        while trials and len(best.first) <= _MOST:
            trial = min(trials, key=self.misfit)
            if self.misfit(best) - self.misfit(trial) < _SURE:
                break
            best = self.with_own_noise(trial)
            trials = self.with_another(best)
        outside = float(best.size[np.array(best.first) == self.count].sum())
        if outside > _OUTSIDE:
            return None
        best = self.all_inside(best)
        if locate(self.samples, self.places(best)).departures:
            return None  # the images have something else to say
        behind: Floats = self.told - self.places(best)
        return behind

    def all_inside(self, shares: _Shares) -> _Shares:
        """The same with all of the loss spread over the slices."""
        inside = np.array(shares.first) < self.count
        if inside.any():
            first = tuple(np.array(shares.first)[inside].tolist())
            size = shares.size[inside] * self.lost / shares.size[inside].sum()
            return self.refined(_Shares(first, size, shares.curves))
        # Too small to be seen: at the wrong slice it does no harm, and all that follow are right.
        whole = np.array([self.lost])
        ways = [replace(shares, first=(first,), size=whole) for first in self.candidates]
        return min(ways, key=self.misfit)


def _step(normal: Floats, along: Floats, first: tuple[int, ...]) -> tuple[Floats, float]:
    """Newton's step for the sizes of these shares with their sum kept, and what it explains more
    of the images."""
    normal = normal[np.ix_(first, first)] + 1e-9 * np.eye(len(first))
    along = along[list(first)]
    free, even = np.linalg.solve(normal, np.stack([along, np.ones(len(along))], axis=1)).T
    step = free - even * free.sum() / even.sum()
    return step, float(along @ step - step @ normal @ step / 2)
