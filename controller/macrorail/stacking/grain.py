"""Measures the grain of a stack's frames and reduces the grain in the finished picture.

From one frame to the next only the focus changes. So in most places the finest detail changes only
because of grain, and this change gives the strength of the grain. In the finished picture only the
finest detail is reduced: at each place by the share of its energy that grain accounts for (Wiener
1949). Beside real detail, where grain does not show, almost nothing is removed.
"""

from __future__ import annotations

import numpy as np

from macrorail.stacking.images import Picture
from macrorail.stacking.kernels import Floats, Pixels, compiled
from macrorail.stacking.store import Store

# Distance between samples in pixels. The margins, which some frames may not cover, are left out.
_EVERY_PX = 16
_MARGIN = 0.1
# With fewer frames, or fewer samples of medium brightness, grain is not measured.
_FEWEST = 4
_FEWEST_SAMPLES = 100
# Share of the samples that is used: those that change least. In the others focus changes the
# picture more than grain does.
_STEADY = 0.75
# Brightness range, in 8-bit display steps, in which a sensor shows its grain.
_DARK, _BRIGHT = 16, 240
# Factor from the mean change of the finest detail between two frames to the standard deviation of
# the grain in the finest detail of the fused picture, by bits per channel. Measured on synthetic
# stacks. 8-bit frames are JPEGs: they lose grain in areas without detail, and where there is
# detail, JPEG rounding adds to the grain.
_STRENGTH = {8: 1.2, 16: 0.5}


class Grain:
    """Measures how strong the grain of a stack's frames is."""

    def __init__(self) -> None:
        self._before: tuple[Floats, Floats] | None = None
        self._frames = 0
        self._least = np.inf
        self._bits = 8

    def see(self, picture: Picture) -> None:
        """Add one frame, (height, width, 3) uint8 or uint16, aligned to the reference."""
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
        """Standard deviation of the grain in the fused picture's finest detail.

        The unit is 8-bit display steps. The value is 0 if the frames are too few or too dark to
        measure grain.
        """
        if self._frames < _FEWEST or np.isinf(self._least):
            return 0.0
        return _STRENGTH[self._bits] * self._least


def weakened(picture: Pixels, deviation: float, store: Store) -> Pixels:
    """Return a picture (h, w, 3) uint16 with its grain reduced.

    ``deviation`` is the standard deviation of the grain in 8-bit display steps.
    """
    result: Pixels = store.empty(picture.shape, np.uint16)
    store.by_bands(_weaken, len(picture), picture, (deviation * 257) ** 2, result)
    return result


@compiled
def _finest_row(picture: Pixels, y: int, mixed: Floats, finest: Floats, energy: Floats) -> None:
    """Compute the finest detail of a row (3 w), and its energy.

    The finest detail is the difference from a mean weighted 1 2 1 in both directions. The energy is
    the mean of the squares of blue, green counted twice, and red.
    """
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
    """Write the picture (h, w, 3) without the grain's share of its finest detail to ``result``.

    ``variance`` is the variance of the grain.
    """
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
