"""The length of a scale bar."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ScaleBar:
    """A scale bar of a round length.

    Attributes
    ----------
    length_um
        Length on the specimen: 1, 2 or 5 times a power of ten.
    share
        Length of the bar as a fraction of the picture's width.
    """

    length_um: float
    share: float


def scale_bar(width_px: int, um_per_px: float) -> ScaleBar:
    """Return the longest bar of a round length that is at most a fifth of the picture's width."""
    longest_um = width_px * um_per_px / 5
    power = 10.0 ** math.floor(math.log10(longest_um))
    length_um = max(factor * power for factor in (1, 2, 5) if factor * power <= longest_um)
    return ScaleBar(length_um, length_um / (width_px * um_per_px))
