"""Aligns each frame to the reference, to a fraction of a pixel, neighbour by neighbour.

Neighbouring slices look alike but distant ones do not. So each frame is aligned to the nearest
frame already placed, and the transforms are chained. Detail is followed from where the previous
frames predict it (``register.py``). The resulting transform is checked tile by tile
(``agreement.py``). If the check fails, features are matched over the complete picture
(``features.py``). A frame for which both methods fail, or that is dark, covered or shows something
else, is refused. A transform converts a frame's pixel coordinates (x, y; the centre of the first
pixel is 0, 0) to those of the reference frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.errors import AlignError
from macrorail.stacking.agreement import Agreement, agreement
from macrorail.stacking.features import fit_similarity, match_features
from macrorail.stacking.forms import Comparison, compare_forms
from macrorail.stacking.look import Look, shrink_factor
from macrorail.stacking.loop_closure import ClosureError, LoopClosure
from macrorail.stacking.register import (
    Motion,
    Prior,
    Registration,
    Transform,
    enlarge,
    register,
)
from macrorail.stacking.trend import Trend, change_about_middle

#: Trust from which on a transform is accepted without a doubt and without trying other transforms.
TRUSTED = 0.6
# A transform with less trust is refused if there was enough detail to check it. In strongly
# defocused frames fewer tiles agree than elsewhere, but far more than by chance.
_LEAST_TRUST = 0.35
# Smallest accepted correlation of large forms, seen at the smallest size; slices are far above it.
_LEAST_LIKENESS = 0.6
# Frames without detail have at least this correlation of large forms unless they are displaced far.
_ALIKE = 0.9
# Contrast of large forms, in 8-bit display steps, below which there is nothing to compare.
_FORMLESS = 1.5
# Largest share of the picture that may look different, and of well exposed areas that may be white.
_MOST_CHANGED = 0.045
_MOST_BLOWN = 0.4
# Largest share of the changed area in which detail may be hidden as if something covered it. Then
# the share of the picture from which on a change without hidden detail is reported as a doubt.
_MOST_HIDDEN = 0.15
_MUCH_CHANGED = 0.09
# Difference in stops between a frame and the reference. Above the first the frame is left out.
# Above the second its noise or its clipped areas are visible in the picture.
_MOST_STOPS = 3.0
_MANY_STOPS = 1.5
# Largest change of size by one step, and smallest part of the frame that must remain in common.
_LARGEST_SCALE_CHANGE = 0.3
_LEAST_COMMON = 0.25
# A frame without detail is placed at its expected position only if that is known this accurately,
# in pixels at the corners of the picture used for alignment.
_KNOWN_BEFOREHAND_PX = 4.0
# Number of matching tiles that show that a frame is elsewhere; fewer can match by chance.
_FEW_MATCHES = 3
# A result further than this many standard deviations from the expectation contradicts it. The
# search is then repeated with an expectation that is only this accurate.
_HARDLY = 3.0
_FREE_PX = 10.0
# Accuracy of a transform from matched features, in pixels at the corners.
_FEATURES_PX = 3.0
# Motions in which the size of the picture may change; for others the optics' scale is not used.
_GROWS = (Motion.SIMILARITY, Motion.AFFINE)


@dataclass(frozen=True)
class Placement:
    """The alignment of a frame to the reference.

    Attributes
    ----------
    transform
        (2, 3) float64: frame pixel coordinates to reference pixel coordinates.
    correlation
        Correlation of fine detail with the neighbour it was aligned to, -1..1; 1 for the reference.
    neighbour
        Index of the frame it was aligned to; ``None`` for the reference.
    expected
        True when the frame shows too little detail to align it and was placed where the steady
        course of the axis predicts it.
    closing
        Comparison of the chain of transforms with a direct alignment, if there is one.
    trust
        How far the transform can be trusted, 0..1; see :class:`Agreement`. ``None`` if the
        transform was given and not computed.
    doubts
        Sentences, without full stop, about possible faults of the frame.
    """

    transform: Transform
    correlation: float
    neighbour: int | None
    expected: bool
    closing: ClosureError | None = None
    trust: float | None = None
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Placed:
    frame: Look
    to_reference: Transform  # (3, 3)
    stops: float  # how much brighter than the reference


@dataclass(frozen=True)
class _Step:
    """One possible alignment of a frame to a frame already placed."""

    onto: _Placed
    found: Registration
    agreement: Agreement
    globally: bool


class Aligner:
    """Aligns the frames of one stack in any order; the first frame is the reference.

    Memory use does not depend on the number of frames: only the reference, the placed frames at
    both ends, and the last placed frame are kept, small and grey.
    """

    def __init__(self, motion: Motion = Motion.SIMILARITY) -> None:
        self._motion = motion
        self._begin()

    def _begin(self) -> None:
        self._kept: list[_Placed] = []
        self._trend: Trend | None = None
        self._jumps = 0
        self._surveyed: dict[int, Placement] = {}
        self._loop_closure = LoopClosure(self._motion)

    def survey(self, frames: Sequence[Look]) -> None:
        """Align the first frames of a stack to each other before the first is placed.

        At an end of the stack little is sharp, and all frames depend on how the reference is
        aligned. So these frames are aligned from the last one back to the reference, starting with
        the sharper ones. :meth:`surveyed` then returns the results. A frame that cannot be aligned
        is skipped here; :meth:`place` reports it.
        """
        reference = frames[0].index
        found: dict[int, tuple[Placement, Transform]] = {}
        while len(frames) > 1:
            found = self._place_backwards(frames)
            # An unusable frame at the end, which few others match, must not be the first.
            if reference in found and 2 * len(found) > len(frames):
                break
            frames = frames[:-1]
            self._begin()
        else:
            return
        onto = np.linalg.inv(found[reference][1])
        dark = next(one.stops for one in self._kept if one.frame.index == reference)
        self._kept = [
            replace(one, to_reference=onto @ one.to_reference, stops=one.stops - dark)
            for one in self._kept
        ]
        for frame, following in pairwise(one for one in frames if one.index in found):
            step = found[frame.index][0]  # from the following frame to this one
            self._surveyed[following.index] = replace(
                step,
                transform=(onto @ found[following.index][1])[:2],
                neighbour=frame.index,
            )
        self._surveyed[reference] = Placement(np.eye(2, 3), 1.0, None, False, trust=1.0)

    def _place_backwards(self, frames: Sequence[Look]) -> dict[int, tuple[Placement, Transform]]:
        found = {}
        for frame in reversed(frames):
            with suppress(AlignError):
                placement = self.place(frame)
                found[frame.index] = placement, np.vstack([placement.transform, [0, 0, 1]])
        return found

    def surveyed(self, index: int) -> Placement | None:
        """Return the survey's result for a frame and forget it; ``None`` if there is no result."""
        return self._surveyed.pop(index, None)

    def place(self, frame: Look) -> Placement:
        """Find the transform of one frame.

        Raises
        ------
        AlignError
            The frame cannot be aligned, or is dark, covered or overexposed, or shows something
            else.
        """
        height, width = frame.scales[0].even.shape
        if self._trend is None:
            self._trend = Trend(width, height, self._motion)
            self._kept.append(_Placed(frame, np.eye(3), 0.0))
            return Placement(np.eye(2, 3), 1.0, None, False, trust=1.0)
        near = sorted(self._kept, key=lambda one: abs(one.frame.position - frame.position))
        prior, told = self._expect(near[0].frame, frame)
        step = self._follow(near[0], frame, prior, globally=False)
        if step.agreement.trust < TRUSTED or _contradicts(step.found, prior, frame):
            for other in self._search(near, frame, step):
                enough = other.agreement.agreeing > _FEW_MATCHES
                if enough and _merit(other) > _merit(step):
                    step = other
                if other.agreement.trust >= TRUSTED:
                    break
        seen = compare_forms(step.onto.frame.forms, frame.forms, step.found.warp, (height, width))
        doubts = [*self._check(step, frame, prior, seen)]
        stops = self._check_forms(step, frame, seen, doubts)
        factor = shrink_factor(frame.shape)
        to_neighbour = np.linalg.inv(enlarge(step.found.warp, factor)).astype(np.float64)
        _check_plausible(to_neighbour, frame)
        self._learn(step, frame, prior, told)
        to_reference = step.onto.to_reference @ to_neighbour
        self._keep(_Placed(frame, to_reference, stops))
        return Placement(
            to_reference[:2].copy(),
            step.found.correlation,
            step.onto.frame.index,
            step.found.expected,
            self._loop_closure.check(step.onto.frame, frame, to_neighbour),
            round(step.agreement.trust, 3),
            tuple(doubts),
        )

    def _expect(self, neighbour: Look, frame: Look) -> tuple[Prior, float | None]:
        """Return the transform expected from previous frames, and the scale from the optics."""
        assert self._trend is not None
        travel = frame.position - neighbour.position
        if frame.scale is None or neighbour.scale is None or self._motion not in _GROWS:
            return self._trend.predict(travel), None
        told = neighbour.scale / frame.scale
        return self._trend.predict_scaled(travel, told), told

    def _follow(self, onto: _Placed, frame: Look, prior: Prior, globally: bool) -> _Step:
        """Follow detail, starting from where it is expected."""
        try:
            found = register(onto.frame.scales, frame.scales, self._motion, prior)
        except np.linalg.LinAlgError:  # no detail to follow in any direction
            found = Registration(prior.warp, 0.0, prior.spread, True)
        else:
            if not found.expected and _contradicts(found, prior, frame):
                # The expectation has kept the result from what the pictures show.
                height, width = frame.scales[0].even.shape
                free = np.maximum(prior.spread, _free_spread(width, height))
                freed = register(
                    onto.frame.scales, frame.scales, self._motion, Prior(found.warp, free)
                )
                if freed.correlation >= found.correlation:
                    found = replace(freed, expected=False)
        if globally:
            found = replace(found, expected=False)
        agree = agreement(onto.frame.scales, frame.scales, found.warp)
        return _Step(onto, found, agree, globally)

    def _search(self, near: list[_Placed], frame: Look, local: _Step) -> Iterator[_Step]:
        """Yield alignments of a frame without the expected transform, the fastest method first."""
        if self._motion is Motion.NONE:
            return
        height, width = frame.scales[0].even.shape
        corner = _FEATURES_PX / (float(np.hypot(width, height)) / 2)
        shift = _FEATURES_PX
        spread = np.array([corner, corner, shift, corner, corner, shift])
        points = local.agreement.points
        fitted = fit_similarity(points[:, :2], points[:, 2:], _FEATURES_PX, _FEW_MATCHES + 1)
        # Where tiles agree already, there is no better alignment to find.
        if fitted is not None and local.agreement.trust < TRUSTED:
            warp = self._limited(fitted, width, height)
            yield self._follow(local.onto, frame, Prior(warp, spread), globally=True)
        for onto in near:
            matched = match_features(onto.frame.features, frame.features)
            if matched is not None:
                warp = self._limited(matched, width, height)
                yield self._follow(onto, frame, Prior(warp, spread), globally=True)

    def _limited(self, warp: Transform, width: int, height: int) -> Transform:
        """Return the transform restricted to the changes that the motion allows."""
        if self._motion is not Motion.SHIFT:
            return warp
        change = change_about_middle(warp, width, height)
        return np.array([[1, 0, change[2]], [0, 1, change[5]], [0, 0, 1.0]])

    def _check(self, step: _Step, frame: Look, prior: Prior, seen: Comparison) -> Iterator[str]:
        """Yield doubts about a step; raise if the pictures contradict or cannot determine it."""
        agree, name, neighbour = step.agreement, frame.name, step.onto.frame.name
        if agree.trust >= TRUSTED:
            return
        if self._motion is Motion.NONE:
            if agree.matching > _FEW_MATCHES:
                yield (
                    f"{name} does not match {neighbour} as it is: {agree.agreeing} of "
                    f"{agree.matching} places compared agree; stack without '--align none'"
                )
            return
        formless = max(_contrast(frame), _contrast(step.onto.frame)) < _FORMLESS
        height, width = frame.scales[0].even.shape
        known_px = _corner_spread(prior.spread, width, height)
        harmless = formless or known_px < _KNOWN_BEFOREHAND_PX or seen.likeness > _ALIKE
        if agree.matching > _FEW_MATCHES and agree.trust >= _LEAST_TRUST:
            if _contradicts(step.found, prior, frame):
                yield (
                    f"{name} may be misaligned: only {agree.agreeing} of {agree.matching} places "
                    f"compared with {neighbour} agree"
                )
            return
        if agree.matching > _FEW_MATCHES or not harmless:
            raise AlignError(
                f"{name} cannot be aligned to {neighbour}: {agree.agreeing} of {agree.matching} "
                f"places that match agree with any one transform; leave the frame out or check "
                f"that it belongs to this stack"
            )
        yield (
            f"{name} shows too little detail to check its alignment: it was placed where the "
            f"previous frames predict it"
        )

    def _check_forms(self, step: _Step, frame: Look, seen: Comparison, doubts: list[str]) -> float:
        """Refuse a frame that is dark, covered or shows something else.

        Returns how many stops the frame is brighter than the reference.
        """
        neighbour = step.onto.frame
        stops = step.onto.stops + seen.stops
        formless = max(_contrast(neighbour), _contrast(frame)) < _FORMLESS
        advice = "leave the frame out or check that it belongs to this stack"
        if abs(stops) > _MOST_STOPS or seen.blown > _MOST_BLOWN:
            how = f"{abs(stops):.1f} stops {'darker' if stops < 0 else 'brighter'}"
            if seen.blown > _MOST_BLOWN:
                how = (
                    f"overexposed: {seen.blown:.0%} of the area that is well exposed in "
                    f"{neighbour.name} is white"
                )
            else:
                how += " than the reference"
            raise AlignError(f"{frame.name} is {how}; a flash or lamp may have failed; {advice}")
        if formless:
            return stops
        differs = (
            f"{frame.name} differs from {neighbour.name} over {seen.changed:.0%} of the picture"
        )
        if seen.changed > _MOST_CHANGED and seen.hidden > _MOST_HIDDEN:
            raise AlignError(f"{differs}, as if something covered one of them; {advice}")
        if seen.changed > _MUCH_CHANGED:
            doubts.append(f"{differs}: something moved, or the viewpoint changed; check this area")
        if seen.likeness < _LEAST_LIKENESS:
            raise AlignError(
                f"{frame.name} cannot be aligned to {neighbour.name}: their large forms correlate "
                f"by {seen.likeness:.2f}, at least {_LEAST_LIKENESS} is needed; {advice}"
            )
        if abs(stops) > _MANY_STOPS:
            doubts.append(
                f"{frame.name} is {abs(stops):.1f} stops {'darker' if stops < 0 else 'brighter'} "
                f"than the reference; its noise or its clipped areas show in the picture"
            )
        return stops

    def _learn(self, step: _Step, frame: Look, prior: Prior, told: float | None) -> None:
        """Update the trend of the transforms, unless a knock has displaced the frame."""
        assert self._trend is not None
        self._jumps = self._jumps + 1 if step.globally else 0
        travel = frame.position - step.onto.frame.position
        if self._jumps > 1:
            # Two in a row: the axis follows another course than assumed.
            height, width = frame.scales[0].even.shape
            self._trend = Trend(width, height, self._motion)
        if not step.globally or self._jumps > 1:
            self._trend.learn(travel, step.found.warp, step.found.spread)
        if told is not None and not step.globally:
            self._trend.learn_scaled(told, prior, step.found.warp, step.found.spread)

    def _keep(self, placed: _Placed) -> None:
        known = [*self._kept, placed]
        lowest = min(known, key=lambda one: one.frame.position)
        highest = max(known, key=lambda one: one.frame.position)
        kept = (known[0], lowest, highest, placed)
        self._kept = [one for one in known if any(one is each for each in kept)]


def _merit(step: _Step) -> tuple[float, float]:
    """Return a key that orders possible alignments of a frame, better ones higher.

    Tiles count before fine detail, because fine detail correlates by chance where the two frames
    are sharp in different places.
    """
    return step.agreement.trust, step.found.correlation


def _contrast(frame: Look) -> float:
    return float(frame.forms.grey.std())


def _contradicts(found: Registration, prior: Prior, frame: Look) -> bool:
    """Return whether the measured transform is too improbable according to the expected one."""
    height, width = frame.scales[0].even.shape
    off = change_about_middle(np.linalg.inv(prior.warp) @ found.warp, width, height)
    return bool((np.abs(off) > _HARDLY * prior.spread).any())


def _free_spread(width: int, height: int) -> NDArray[np.float64]:
    corner = _FREE_PX / (float(np.hypot(width, height)) / 2)
    return np.array([corner, corner, _FREE_PX, corner, corner, _FREE_PX])


def _corner_spread(spread: NDArray[np.float64], width: int, height: int) -> float:
    """Return the standard deviation, in pixels at the corners, of a transform with this spread."""
    reach = np.array([width / 2, height / 2, 1, width / 2, height / 2, 1])
    return float(np.linalg.norm(spread * reach))


def _check_plausible(transform: Transform, frame: Look) -> None:
    height, width = frame.shape[:2]
    stretch = np.linalg.svd(transform[:2, :2], compute_uv=False)
    change = float(np.abs(stretch - 1).max())
    corners = np.array([[x, y, 1] for x, y in ((0, 0), (width, 0), (width, height), (0, height))])
    laid = (corners @ transform[:2].T).astype(np.float32)
    whole = corners[:, :2].astype(np.float32)
    common = float(cv2.intersectConvexConvex(laid, whole)[0]) / (width * height)
    if change > _LARGEST_SCALE_CHANGE or common < _LEAST_COMMON:
        raise AlignError(
            f"{frame.name} does not fit its neighbour: aligning it would change its scale by "
            f"{change:.1%} and leave an overlap of {common:.0%}. Frames of one stack change less "
            f"or overlap more. Leave the frame out, or check that it belongs to this stack"
        )
