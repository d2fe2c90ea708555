"""Predicts how much memory a stack needs; it depends only on the size and depth of its frames."""

from __future__ import annotations

from macrorail.errors import StackError
from macrorail.stacking.blend import Quality

# Memory of Python and its libraries, bytes.
_PROGRAM = 380e6
# Bytes per pixel for the running sums, pyramids and depth; and for 8-bit frames: the frame being
# read, the one read ahead, the aligned one, the reference, and the bounds. Measured, rounded up.
_SUMS = {"best": 22, "fast": 16}
_FRAMES = 24
# Bytes per pixel for the additional sums of the methods other than the pyramid.
_SMOOTH = 20
# Bytes per pixel that stay in memory when the sums are in files, by bits per channel. With 8 bits
# the peak is reached while the picture and depth map are written, with 16 bits while frames are
# read and aligned.
_LEAST = {8: 16, 16: 31}


def bytes_needed(
    width: int, height: int, bits: int, quality: Quality, smooth: bool = False
) -> float:
    """Return the peak memory in bytes that a stack of any number of such frames needs.

    ``smooth`` means a method other than the pyramid.
    """
    sums = _SUMS[quality] + _SMOOTH * smooth
    return _PROGRAM + width * height * (sums + _FRAMES * bits / 8)


def least_bytes(width: int, height: int, bits: int) -> float:
    """Return the least memory in bytes needed to stack such frames, with the sums in files."""
    return _PROGRAM + width * height * _LEAST[bits]


def fits(
    width: int, height: int, bits: int, quality: Quality, smooth: bool, allowed: float
) -> bool:
    """Return whether the sums of a stack fit in memory; otherwise they must be in files.

    Raises
    ------
    StackError
        The stack would need more than ``allowed`` bytes even with its sums in files. The message
        states the need and what to do.
    """
    needed = bytes_needed(width, height, bits, quality, smooth)
    if needed <= allowed:
        return True
    least = least_bytes(width, height, bits)
    if least <= allowed:
        return False
    raise StackError(
        f"frames of {width} x {height} px and {bits} bits need {least / 1e9:.1f} GB to stack, and "
        f"--memory allows {allowed / 1e9:.1f} GB; allow more memory, or use smaller frames"
    )
