"""Grain: how much of it frames have, and its weakening in the finished picture.

From frame to frame focus moves on by a slice: in most places what is finest changes by its grain
and by nothing else. In the finished picture, too, grain lies in what is finest; so only that is
weakened, in place after place by as much as grain has of it (Wiener 1949), to where it does not
show beside real detail.
"""

from __future__ import annotations

import numpy as np

from macrorail.stacking.images import Picture
from macrorail.stacking.kernels import Floats, Pixels, compiled
from macrorail.stacking.store import Store

# A sample every so many pixels; the margins, which frames may not reach, are left out.
_EVERY_PX = 16
_MARGIN = 0.1
# Fewer frames, or samples of medium brightness, tell nothing.
_FEWEST = 4
_FEWEST_SAMPLES = 100
# Where focus does more than grain, it is left out: so much of the samples, those that change least,
# is looked at.
_STEADY = 0.75
# Brightness, 8-bit display steps, between which a sensor shows its grain.
_DARK, _BRIGHT = 16, 240
# From the mean change of what is finest between two frames to the deviation of the grain in what is
# finest of the fused picture, by the frames' bits; measured on made stacks. Frames of 8 bits are
# JPEGs, which lose grain where there is nothing else, and in detail have their rounding beside it.
_STRENGTH = {8: 1.2, 16: 0.5}


class Grain:
    """Learns from a stack's frames how strong their grain is."""

    def __init__(self) -> None:
        self._before: tuple[Floats, Floats] | None = None
        self._frames = 0
        self._least = np.inf
        self._bits = 8

    def see(self, picture: Picture) -> None:
        """Look at one more frame, (height, width, 3) uint8 or uint16, laid on the reference."""
        height, width = picture.shape[:2]
        top, left = int(_MARGIN * height) + 1, int(_MARGIN * width) + 1
        self._bits = picture.dtype.itemsize * 8
        unit = np.float32(255 / np.iinfo(picture.dtype).max)

        def green(down: int, across: int) -> Floats:
            rows = slice(top + down, height - top + down, _EVERY_PX)
            columns = slice(left + across, width - left + across, _EVERY_PX)
            return picture[rows, columns, 1].astype(np.float32) * unit

        here = green(0, 0)
        around = green(-1, 0) + green(1, 0) + green(0, -1) + green(0, 1)
        finest = here - around / np.float32(4)
        self._frames += 1
        if self._before is not None:
            shown = (np.minimum(here, self._before[0]) > _DARK) & (here < _BRIGHT)
            change = np.sort(np.abs(finest - self._before[1])[shown])
            if len(change) >= _FEWEST_SAMPLES:
                steady = change[: int(_STEADY * len(change))]
                self._least = min(self._least, float(steady.mean()))
        self._before = here, finest

    @property
    def deviation(self) -> float:
        """Of the grain that the fused picture has in its finest detail, 8-bit display steps; 0
        where frames are too few or too dark to tell."""
        if self._frames < _FEWEST or np.isinf(self._least):
            return 0.0
        return _STRENGTH[self._bits] * self._least


def weakened(picture: Pixels, deviation: float, store: Store) -> Pixels:
    """A picture (h, w, 3) uint16 with less of the grain that has this ``deviation``, 8-bit display
    steps."""
    result: Pixels = store.empty(picture.shape, np.uint16)
    store.by_bands(_weaken, len(picture), picture, (deviation * 257) ** 2, result)
    return result


@compiled
def _finest_row(picture: Pixels, y: int, mixed: Floats, finest: Floats, energy: Floats) -> None:
    """What a row (3 w) has beyond its mean under 1 2 1 either way, and the mean of the squares of
    blue, twice green, and red."""
    last = picture.shape[0] - 1
    above = picture[max(y - 1, 0)].reshape(-1)
    here = picture[y].reshape(-1)
    below = picture[min(y + 1, last)].reshape(-1)
    count = here.shape[0]
    for x in range(count):
        mixed[x] = np.float32(above[x]) + np.float32(2) * np.float32(here[x]) + np.float32(below[x])
    inner = count - 6
    left, middle, right = mixed[:inner], mixed[3 : inner + 3], mixed[6:]
    pixels, out = here[3 : inner + 3], finest[3 : inner + 3]
    for x in range(inner):
        mean = (left[x] + np.float32(2) * middle[x] + right[x]) * np.float32(1 / 16)
        out[x] = np.float32(pixels[x]) - mean
    for x in range(3):
        end = count - 3 + x
        mean = (np.float32(3) * mixed[x] + mixed[x + 3]) * np.float32(1 / 16)
        finest[x] = np.float32(here[x]) - mean
        mean = (np.float32(3) * mixed[end] + mixed[end - 3]) * np.float32(1 / 16)
        finest[end] = np.float32(here[end]) - mean
    for x in range(energy.shape[0]):
        blue, green, red = finest[3 * x], finest[3 * x + 1], finest[3 * x + 2]
        energy[x] = (blue * blue + np.float32(2) * green * green + red * red) * np.float32(0.25)


@compiled
def _weaken(first: int, last: int, picture: Pixels, variance: float, result: Pixels) -> None:
    """``result`` = the picture (h, w, 3) without the part of its finest detail that grain of this
    ``variance`` has in it."""
    height, width = picture.shape[:2]
    least = np.float32(variance)
    mixed = np.empty(3 * width, np.float32)
    share = np.empty(width, np.float32)
    finest = np.empty((3, 3 * width), np.float32)
    energy = np.empty((3, width), np.float32)
    seen = first - 2
    for y in range(first, last):
        while seen < y + 1:
            seen += 1
            inside = min(max(seen, 0), height - 1)
            _finest_row(picture, inside, mixed, finest[seen % 3], energy[seen % 3])
        above, here, below = energy[(y - 1) % 3], energy[y % 3], energy[(y + 1) % 3]
        for x in range(width):
            share[x] = above[x] + np.float32(2) * here[x] + below[x]
        before = share[0]
        for x in range(width):
            now = share[x]
            around = (before + np.float32(2) * now + share[min(x + 1, width - 1)]) * np.float32(
                1 / 16
            )
            share[x] = least / (around + least)
            before = now
        pixels, out, fine = picture[y].reshape(-1), result[y].reshape(-1), finest[y % 3]
        for x in range(width):
            for channel in range(3):
                value = np.float32(pixels[3 * x + channel]) - share[x] * fine[3 * x + channel]
                out[3 * x + channel] = np.uint16(
                    min(max(value, np.float32(0)), np.float32(65535)) + np.float32(0.5)
                )
