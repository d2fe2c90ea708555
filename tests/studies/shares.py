"""Exact bounds on shares that were counted, for campaigns to print."""

from __future__ import annotations

import math
from collections.abc import Callable

ONE_SIDED = 0.05


def lower_bound(hits: int, trials: int) -> float:
    """One-sided 95 % lower bound of a share (Clopper and Pearson, Biometrika 26, 404, 1934)."""
    return 0.0 if hits == 0 else _solve(lambda p: _at_least(hits, trials, p) < ONE_SIDED)


def upper_bound(hits: int, trials: int) -> float:
    """One-sided 95 % upper bound of a share."""
    return 1.0 - lower_bound(trials - hits, trials)


def told(hits: int, trials: int) -> str:
    """``297/300 = 99.0 % (>= 97.4 %)``."""
    if trials == 0:
        return "0/0"
    share = 100 * hits / trials
    return f"{hits}/{trials} = {share:.1f} % (>= {100 * lower_bound(hits, trials):.1f} %)"


def told_rare(hits: int, trials: int) -> str:
    """``0/300 = 0.0 % (<= 1.0 %)``."""
    if trials == 0:
        return "0/0"
    share = 100 * hits / trials
    return f"{hits}/{trials} = {share:.2f} % (<= {100 * upper_bound(hits, trials):.2f} %)"


def _at_least(hits: int, trials: int, p: float) -> float:
    """Probability of that many hits or more."""
    if p in (0.0, 1.0):
        return p
    return sum(
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(k + 1)
            - math.lgamma(trials - k + 1)
            + k * math.log(p)
            + (trials - k) * math.log1p(-p)
        )
        for k in range(hits, trials + 1)
    )


def _solve(too_low: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if too_low(middle) else (low, middle)
    return low
