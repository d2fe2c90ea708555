"""How much memory a stack takes, foretold: it depends on the size of its frames alone."""

from __future__ import annotations

from controller.errors import StackError
from controller.stacking.blend import Quality

# Python and its libraries, bytes.
_PROGRAM = 420e6
# Bytes per pixel of the running sums, pyramids and depth, and of 8-bit frames: read, read ahead,
# laid on the reference, and the bounds of what was seen. Measured, rounded up.
_SUMS = {"best": 30, "fast": 21}
_FRAMES = 15
# Of the other methods' own sums.
_SMOOTH = 25


def bytes_needed(
    width: int, height: int, bits: int, quality: Quality, smooth: bool = False
) -> float:
    """The most memory that a stack of such frames takes, however many there are.

    ``smooth``: by another method than the pyramid.
    """
    sums = _SUMS[quality] + _SMOOTH * smooth
    return _PROGRAM + width * height * (sums + _FRAMES * bits / 8)


def check_memory(
    width: int, height: int, bits: int, quality: Quality, smooth: bool, allowed: float
) -> None:
    """Refuse a stack that would need more memory than it may take.

    Raises
    ------
    StackError
        With what is needed, and what to do.
    """
    needed = bytes_needed(width, height, bits, quality, smooth)
    if needed <= allowed:
        return
    fast = bytes_needed(width, height, bits, "fast", smooth)
    way_out = "give more, or smaller frames"
    if fast <= allowed and quality == "best":
        way_out = f"--quality fast needs {fast / 1e9:.1f} GB"
    raise StackError(
        f"frames of {width} x {height} px and {bits} bits need {needed / 1e9:.1f} GB to stack, and "
        f"--memory allows {allowed / 1e9:.1f} GB; {way_out}"
    )
