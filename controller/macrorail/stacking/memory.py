"""How much memory a stack takes, foretold: it depends on the size of its frames alone."""

from __future__ import annotations

from macrorail.errors import StackError
from macrorail.stacking.blend import Quality

# Python and its libraries, bytes.
_PROGRAM = 380e6
# Bytes per pixel of the running sums, pyramids and depth, and of 8-bit frames: read, read ahead,
# aligned, the reference, and the bounds of what was seen. Measured, rounded up.
_SUMS = {"best": 22, "fast": 16}
_FRAMES = 24
# Of the other methods' own sums.
_SMOOTH = 20
# Of all that stays in memory where the sums lie in files, by the frames' bits: of 8 bits most is
# taken while picture and depth map are written, of 16 bits while frames are read and laid.
_LEAST = {8: 16, 16: 31}


def bytes_needed(
    width: int, height: int, bits: int, quality: Quality, smooth: bool = False
) -> float:
    """The most memory that a stack of such frames takes, however many there are.

    ``smooth``: by another method than the pyramid.
    """
    sums = _SUMS[quality] + _SMOOTH * smooth
    return _PROGRAM + width * height * (sums + _FRAMES * bits / 8)


def least_bytes(width: int, height: int, bits: int) -> float:
    """The least memory that a stack of such frames can do with, its sums in files."""
    return _PROGRAM + width * height * _LEAST[bits]


def fits(
    width: int, height: int, bits: int, quality: Quality, smooth: bool, allowed: float
) -> bool:
    """Whether a stack may have its sums in memory.

    Raises
    ------
    StackError
        It would need more than it may take even with its sums in files: with what is needed, and
        what to do.
    """
    needed = bytes_needed(width, height, bits, quality, smooth)
    if needed <= allowed:
        return True
    least = least_bytes(width, height, bits)
    if least <= allowed:
        return False
    raise StackError(
        f"frames of {width} x {height} px and {bits} bits need {least / 1e9:.1f} GB to stack, and "
        f"--memory allows {allowed / 1e9:.1f} GB; give more, or smaller frames"
    )
