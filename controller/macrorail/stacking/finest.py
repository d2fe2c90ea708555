"""The finest level of a stack's pyramid: three quarters of all work, in as few passes as possible.

A frame's pixels are read, converted to light, compared with their surroundings, weighted and added
row by row, while they are in the processor's cache. No intermediate result is as large as the
picture. Bands consist of rows at half size, so that each band contains complete pairs of rows.
Beyond the border the border pixels are repeated.

Shifted rows are array views, and pixels are summed as integers, so that the compiler can vectorise
the loops.
"""

from __future__ import annotations

import numpy as np

from macrorail.stacking.kernels import Floats, Pixels, Spans, compiled, expand_row

# Sharpness is smoothed by a Gaussian of standard deviation 0.7 over three pixels. A smaller window
# follows noise; a larger one spreads the blur of a near edge over what is behind the edge.
MIDDLE, BESIDE = np.float32(0.5811), np.float32(0.20945)
# Sharpness (8-bit display steps) is divided by this, so that its powers stay within float32.
_UNIT = np.float32(64)
# Inverse square of a sharpness of 20 steps, in these units. Well above 20 steps noise no longer
# matters. Weights grow with the sixth power of sharpness below, and with the 24th power above.
_CLEAR = np.float32((64 / 20) ** 2)

# At least the number of picture rows between the last row converted and the last row added.
_AHEAD_ROWS = 10

# Largest factor by which colour from half size is strengthened where a pixel is brighter than its
# surroundings.
_MOST_COLOUR = 3.0


@compiled
def _to_light(row: Pixels, curve: Floats, light: Floats) -> None:
    """Convert display values (n) to light (n), with the polynomial from ``light.curve``."""
    first, second, third, fourth, fifth = curve[0], curve[1], curve[2], curve[3], curve[4]
    for x in range(row.shape[0]):
        value = np.float32(row[x])
        light[x] = value * (
            first + value * (second + value * (third + value * (fourth + value * fifth)))
        )


@compiled
def _split_row(
    row: Pixels,
    curve: Floats,
    grey_unit: np.float32,
    light: Floats,
    even: Floats,
    odd: Floats,
    grey: Floats,
) -> None:
    """Split a row (3 w) into blue, green and red light and grey of its even and odd pixels.

    ``even`` and ``odd`` are (4, w / 2), rounded up. ``grey`` (w) and ``light`` (3 w) receive the
    grey and the light of the complete row.
    """
    width = row.shape[0] // 3
    _to_light(row, curve, light)
    for x in range(width // 2):
        even[0, x], even[1, x], even[2, x] = light[6 * x], light[6 * x + 1], light[6 * x + 2]
        odd[0, x], odd[1, x], odd[2, x] = light[6 * x + 3], light[6 * x + 4], light[6 * x + 5]
    for x in range(width):
        total = (
            np.int32(row[3 * x]) + np.int32(2) * np.int32(row[3 * x + 1]) + np.int32(row[3 * x + 2])
        )
        grey[x] = np.float32(total) * grey_unit
    for x in range(width // 2):
        even[3, x], odd[3, x] = grey[2 * x], grey[2 * x + 1]
    if width % 2:
        x = even.shape[1] - 1
        for plane in range(3):
            even[plane, x] = light[6 * x + plane]
        even[3, x] = grey[2 * x]
        odd[:, x] = even[:, x]


@compiled
def _join_luma(even: Floats, odd: Floats, luma: Floats) -> None:
    """Compute the luma of a complete row from the light returned by :func:`_split_row`."""
    e_blue, e_green, e_red, o_blue, o_green, o_red = (
        even[0],
        even[1],
        even[2],
        odd[0],
        odd[1],
        odd[2],
    )
    for x in range(luma.shape[0] // 2):
        luma[2 * x] = (e_blue[x] + np.float32(2) * e_green[x] + e_red[x]) * np.float32(0.25)
        luma[2 * x + 1] = (o_blue[x] + np.float32(2) * o_green[x] + o_red[x]) * np.float32(0.25)
    if luma.shape[0] % 2:
        x = even.shape[1] - 1
        luma[2 * x] = (e_blue[x] + np.float32(2) * e_green[x] + e_red[x]) * np.float32(0.25)


@compiled
def _halve_row(even: Floats, odd: Floats, half: Floats) -> None:
    """Filter a row by 1 4 6 4 1 and keep every second pixel; the result is 16 times too bright."""
    count = half.shape[0]
    if count < 3:
        for x in range(count):
            half[x] = (
                np.float32(6) * even[x]
                + np.float32(4) * (odd[max(x - 1, 0)] + odd[x])
                + (even[max(x - 1, 0)] + even[min(x + 1, count - 1)])
            )
        return
    inner = count - 2
    left, middle, right = even[:inner], even[1 : inner + 1], even[2:]
    before, after, out = odd[:inner], odd[1 : inner + 1], half[1 : inner + 1]
    for x in range(inner):
        out[x] = (
            np.float32(6) * middle[x]
            + np.float32(4) * (before[x] + after[x])
            + (left[x] + right[x])
        )
    half[0] = np.float32(11) * even[0] + np.float32(4) * odd[0] + even[1]
    half[count - 1] = (
        np.float32(6) * even[count - 1]
        + np.float32(4) * (odd[count - 2] + odd[count - 1])
        + (even[count - 2] + odd[count - 1])
    )


@compiled
def _halve_rows(ring: Floats, y: int, half: Floats) -> None:
    """Compute row ``y`` of half size, ``half`` (4, w / 2).

    ``ring`` contains, at index n % 5, the result of :func:`_halve_row` for row n of the picture.
    """
    for plane in range(4):
        two_above, above = ring[(2 * y - 2) % 5, plane], ring[(2 * y - 1) % 5, plane]
        here, below = ring[(2 * y) % 5, plane], ring[(2 * y + 1) % 5, plane]
        two_below, out = ring[(2 * y + 2) % 5, plane], half[plane]
        for x in range(out.shape[0]):
            out[x] = (
                np.float32(6) * here[x]
                + np.float32(4) * (above[x] + below[x])
                + (two_above[x] + two_below[x])
            ) * np.float32(1 / 256)


@compiled
def _put_half(
    half: Floats, as_luma: bool, blue: Floats, green: Floats, red: Floats, grey: Floats
) -> None:
    """Write the row from :func:`_halve_rows` to the planes; for ``as_luma`` see :func:`add_finest`.

    Each value is written only once, because the neighbouring band may write the same value at the
    same time.
    """
    of_blue, of_green, of_red, of_grey = half[0], half[1], half[2], half[3]
    if as_luma:
        for x in range(grey.shape[0]):
            luma = (of_blue[x] + np.float32(2) * of_green[x] + of_red[x]) * np.float32(0.25)
            blue[x], green[x], red[x] = of_blue[x] - luma, luma, of_red[x] - luma
            grey[x] = of_grey[x]
    else:
        for x in range(grey.shape[0]):
            blue[x], green[x], red[x], grey[x] = of_blue[x], of_green[x], of_red[x], of_grey[x]


@compiled
def smooth_row(row: Floats, smooth: Floats) -> None:
    """Smooth a row by the sharpness window."""
    width = row.shape[0]
    inner = width - 2
    before, here, after, out = row[:inner], row[1 : inner + 1], row[2:], smooth[1 : inner + 1]
    for x in range(inner):
        out[x] = MIDDLE * here[x] + BESIDE * (before[x] + after[x])
    last = width - 1
    smooth[0] = MIDDLE * row[0] + BESIDE * (row[0] + row[min(1, last)])
    smooth[last] = MIDDLE * row[last] + BESIDE * (row[max(last - 1, 0)] + row[last])


@compiled
def weigh_row(sharpness: Floats, fine: bool, weights: Floats, total: Floats) -> None:
    """Compute the ``weights`` from a row's sharpness, and add them to ``total``.

    In a ``fine`` level a much sharper pixel gets almost all the weight, because noise cannot have
    caused the difference; pixels that differ by no more than noise share the weight. Coarse levels
    use the sixth power everywhere, because sharp edges nearby extend into them.
    """
    if fine:
        for x in range(sharpness.shape[0]):
            part = sharpness[x] / _UNIT
            square = part * part
            clear = np.float32(1) + _CLEAR * square
            weight = square * (clear * clear * clear)
            weight = weight * weight * weight
            weights[x] = weight
            total[x] += weight
    else:
        for x in range(sharpness.shape[0]):
            part = sharpness[x] / _UNIT
            square = part * part
            weight = square * square * square
            weights[x] = weight
            total[x] += weight


@compiled
def carry_row(sharp: Floats, half: int, height: int, mixed: Floats, carried: Floats) -> None:
    """Compute a row of sharpness at half size, filtered by 1 4 6 4 1 in both directions.

    ``sharp`` contains, at index n % 5, row n of a level of ``height`` rows, for the rows around
    2 * ``half``. ``mixed`` has the same width and is scratch space.
    """
    last = height - 1
    a, b = sharp[max(2 * half - 2, 0) % 5], sharp[max(2 * half - 1, 0) % 5]
    c = sharp[2 * half % 5]
    d, e = sharp[min(2 * half + 1, last) % 5], sharp[min(2 * half + 2, last) % 5]
    width = c.shape[0]
    for x in range(width):
        mixed[x] = (
            np.float32(6) * c[x] + np.float32(4) * (b[x] + d[x]) + (a[x] + e[x])
        ) * np.float32(1 / 256)
    inner = max((width - 3) // 2, 0)
    out = carried[1 : inner + 1]
    for x in range(inner):
        out[x] = (
            np.float32(6) * mixed[2 * x + 2]
            + np.float32(4) * (mixed[2 * x + 1] + mixed[2 * x + 3])
            + (mixed[2 * x] + mixed[2 * x + 4])
        )
    for n in range(carried.shape[0] - inner):
        x = inner + n if n > 0 else 0
        carried[x] = (
            np.float32(6) * mixed[2 * x]
            + np.float32(4) * (mixed[max(2 * x - 1, 0)] + mixed[min(2 * x + 1, width - 1)])
            + (mixed[max(2 * x - 2, 0)] + mixed[min(2 * x + 2, width - 1)])
        )


@compiled
def _widen(pixels: Pixels, low: Pixels, high: Pixels) -> None:
    for n in range(pixels.shape[0]):
        low[n] = min(low[n], pixels[n])
        high[n] = max(high[n], pixels[n])


@compiled
def add_finest(
    first: int,
    last: int,
    picture: Pixels,
    spans: Spans,
    curve: Floats,
    grey_unit: float,
    noise: float,
    blue: Floats,
    green: Floats,
    red: Floats,
    grey: Floats,
    weights: Floats,
    blues: Floats,
    greens: Floats,
    reds: Floats,
    low: Pixels,
    high: Pixels,
    carried: Floats,
    luma_only: bool,
) -> None:
    """Halve a picture (h, w, 3), weigh its finest detail and add it.

    ``curve`` is that of :func:`_to_light`. ``blue``, ``green``, ``red`` and ``grey`` receive the
    picture at half size: linear light, and display grey, which is ``grey_unit`` times (blue + 2
    green + red). With ``luma_only``, ``green`` receives the luma (the same sum in light), ``blue``
    and ``red`` receive their differences from luma, and only the detail of luma is added.

    Sharpness is the detail of grey in a small window, plus ``noise``. :func:`weigh_row` computes
    the weights from it within the spans. ``weights``, ``blues``, ``greens`` and ``reds`` (h, w) are
    the running sums. ``low`` and ``high`` (h / 2, w, 3) are the lowest and highest values seen in
    each pair of rows. ``carried`` receives the sharpness at half size.
    """
    height, width = picture.shape[:2]
    half_height, half_width = grey.shape
    unit, floor = np.float32(grey_unit), np.float32(noise)
    even = np.empty((4, half_width), np.float32)
    odd = np.empty((4, half_width), np.float32)
    light = np.empty(3 * width, np.float32)
    halves = np.empty((5, 4, half_width), np.float32)
    half_row = np.empty((4, half_width), np.float32)
    # Complete rows, each converted once: row n is at index n % _AHEAD_ROWS.
    lumas = np.empty((_AHEAD_ROWS, width), np.float32)
    greys = np.empty((_AHEAD_ROWS, width), np.float32)
    mixed = np.empty(half_width, np.float32)
    scratch = np.empty(width, np.float32)
    ring = np.empty((3, width), np.float32)
    sharp = np.empty((5, width), np.float32)
    coarse = np.empty((3, width), np.float32)
    # A band needs some rows at half size of its neighbours, and computes them for itself.
    halved = max(first - 2, 0) - 1
    filled = 2 * halved - 1
    seen, weighed = 2 * first - 4, 2 * first - 3
    for half in range(first, last):
        while halved < min(half + 2, half_height - 1):
            halved += 1
            while filled < 2 * halved + 2:
                filled += 1
                row = picture[min(max(filled, 0), height - 1)].reshape(-1)
                place = filled % _AHEAD_ROWS
                _split_row(row, curve, unit, light, even, odd, greys[place])
                if luma_only:
                    _join_luma(even, odd, lumas[place])
                for plane in range(4):
                    _halve_row(even[plane], odd[plane], halves[filled % 5, plane])
            _halve_rows(halves, halved, half_row)
            into = (blue[halved], green[halved], red[halved], grey[halved])
            _put_half(half_row, luma_only, *into)
        while weighed < min(2 * half + 2, height - 1):
            weighed += 1
            while seen < weighed + 1:
                seen += 1
                inside = min(max(seen, 0), height - 1)
                expand_row(grey, inside, mixed, scratch)
                here = greys[inside % _AHEAD_ROWS]
                for x in range(width):
                    scratch[x] = abs(here[x] - scratch[x])
                smooth_row(scratch, ring[seen % 3])
            above, here, below = ring[(weighed - 1) % 3], ring[weighed % 3], ring[(weighed + 1) % 3]
            into = sharp[weighed % 5]
            for x in range(width):
                into[x] = MIDDLE * here[x] + BESIDE * (above[x] + below[x]) + floor
        carry_row(sharp, half, height, scratch, carried[half])
        for y in range(2 * half, min(2 * half + 2, height)):
            begin, end = spans[y, 0], spans[y, 1]
            pixels = picture[y].reshape(-1)[3 * begin : 3 * end]
            # The weights are kept aside, because the row below still needs the sharpness.
            power = scratch[begin:end]
            weigh_row(sharp[y % 5, begin:end], True, power, weights[y, begin:end])
            expand_row(green, y, mixed, coarse[1])
            of_green, from_green = greens[y, begin:end], coarse[1, begin:end]
            if luma_only:
                luma = lumas[y % _AHEAD_ROWS, begin:end]
                for x in range(end - begin):
                    of_green[x] += power[x] * (luma[x] - from_green[x])
            else:
                expand_row(blue, y, mixed, coarse[0])
                expand_row(red, y, mixed, coarse[2])
                of_blue, from_blue = blues[y, begin:end], coarse[0, begin:end]
                of_red, from_red = reds[y, begin:end], coarse[2, begin:end]
                _to_light(pixels, curve, light)
                for x in range(end - begin):
                    of_blue[x] += power[x] * (light[3 * x] - from_blue[x])
                    of_green[x] += power[x] * (light[3 * x + 1] - from_green[x])
                    of_red[x] += power[x] * (light[3 * x + 2] - from_red[x])
            reach = slice(3 * begin, 3 * end)
            _widen(pixels, low[half].reshape(-1)[reach], high[half].reshape(-1)[reach])


@compiled
def _write_row(
    row: Floats, channel: int, low: Pixels, high: Pixels, table: Floats, pixels: Pixels
) -> None:
    """Convert light (w) to one channel of 16-bit pixels (w, 3), limited to the bounds.

    ``table`` is interpolated.
    """
    unit = np.int32(257 if low.itemsize == 1 else 1)
    steps = np.float32(table.shape[0] - 2)
    for x in range(row.shape[0]):
        place = min(max(row[x], np.float32(0)), np.float32(1)) * steps
        index = np.int32(place)
        part = place - np.float32(index)
        value = np.int32(table[index] + part * (table[index + 1] - table[index]) + np.float32(0.5))
        least, most = np.int32(low[x, channel]) * unit, np.int32(high[x, channel]) * unit
        pixels[x, channel] = min(max(value, least), most)


@compiled
def resolve_finest(
    first: int,
    last: int,
    weights: Floats,
    blues: Floats,
    greens: Floats,
    reds: Floats,
    blue: Floats,
    green: Floats,
    red: Floats,
    low: Pixels,
    high: Pixels,
    table: Floats,
    picture: Pixels,
) -> None:
    """Convert the sums of :func:`add_finest` to a picture (h, w, 3), uint16.

    ``blue``, ``green`` and ``red`` are the resolved level at half size. Values are limited to the
    lowest and highest values seen.
    """
    height, width = picture.shape[:2]
    mixed = np.empty(blue.shape[1], np.float32)
    row = np.empty(width, np.float32)
    for half in range(first, last):
        for y in range(2 * half, min(2 * half + 2, height)):
            for channel, (coarse, sums) in enumerate(((blue, blues), (green, greens), (red, reds))):
                expand_row(coarse, y, mixed, row)
                for x in range(width):
                    row[x] += sums[y, x] / weights[y, x]
                _write_row(row, channel, low[half], high[half], table, picture[y])


@compiled
def resolve_finest_luma(
    first: int,
    last: int,
    weights: Floats,
    lumas: Floats,
    blue: Floats,
    luma: Floats,
    red: Floats,
    low: Pixels,
    high: Pixels,
    table: Floats,
    picture: Pixels,
) -> None:
    """Do the same as :func:`resolve_finest` with the sums of luma only.

    The resolved chromas ``blue`` and ``red``, and ``luma``, are at half size.
    """
    height, width = picture.shape[:2]
    mixed = np.empty(luma.shape[1], np.float32)
    rows = np.empty((3, width), np.float32)
    for half in range(first, last):
        for y in range(2 * half, min(2 * half + 2, height)):
            expand_row(blue, y, mixed, rows[0])
            expand_row(luma, y, mixed, rows[1])
            expand_row(red, y, mixed, rows[2])
            for x in range(width):
                coarse = max(rows[1, x], np.float32(0.001))
                mean = rows[1, x] + lumas[y, x] / weights[y, x]
                # Within a pixel or two brightness changes but hue does not, so colour is scaled
                # with luma.
                share = min(max(mean / coarse, np.float32(0)), np.float32(_MOST_COLOUR))
                of_blue, of_red = rows[0, x] * share, rows[2, x] * share
                rows[0, x] = mean + of_blue
                rows[1, x] = mean - np.float32(0.5) * (of_blue + of_red)
                rows[2, x] = mean + of_red
            for channel in range(3):
                _write_row(rows[channel], channel, low[half], high[half], table, picture[y])
