"""Pixels to and from the YCbCr triples that a JPEG decoder made them of (SPEC 5.2.1)."""

import numpy as np

from . import status
from .jit import inlined, kernel
from .residual_kernels import _med

RED_OF_CR, BLUE_OF_CB, GREEN_OF_CR, GREEN_OF_CB = range(4)
FIRST_CR, FIRST_CB = range(2)
LOWEST_OFFSET = -255

_FAR = 1 << 40
_CR_STEP = 46802
_CB_STEP = 22554
_WINDOW = 16


@inlined
def _converted(y, cb, cr, conversion):
    """Return red, green, blue of a triple (SPEC 5.2.1)."""
    cb_index, cr_index = np.uint64(cb), np.uint64(cr)
    red = y + conversion[RED_OF_CR, cr_index]
    green = y + ((conversion[GREEN_OF_CB, cb_index] + conversion[GREEN_OF_CR, cr_index]) >> 16)
    blue = y + conversion[BLUE_OF_CB, cb_index]
    return min(max(red, 0), 255), min(max(green, 0), 255), min(max(blue, 0), 255)


@inlined
def _luma(red, green, blue):
    """Return the rounded Y of a pixel: that of its triple, if it has one and is not clipped."""
    return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16


@inlined
def _is_clipped(red, green, blue):
    """Whether a component may have been clamped, so that several triples give the pixel."""
    return not (0 < red < 255 and 0 < green < 255 and 0 < blue < 255)


@inlined
def _unclipped_chroma(red, green, blue, y, conversion, first):
    """Return (exact, Cb, Cr) of a pixel that is not clipped: no two triples give such a pixel."""
    cb = first[FIRST_CB, np.uint64(blue - y - LOWEST_OFFSET)]
    cr = first[FIRST_CR, np.uint64(red - y - LOWEST_OFFSET)]
    if cb > 255 or cr > 255:
        return False, cb, cr
    found = _converted(y, cb, cr, conversion)
    return found[0] == red and found[1] == green and found[2] == blue, cb, cr


@inlined
def _chroma_range(component, y, table, first):
    """Return the lowest and highest Cb (Cr) that give this blue (red); none if they cross."""
    offset = component - y - LOWEST_OFFSET
    low, high = np.int64(0), np.int64(255)
    if component > 0:
        low = first[table, np.uint64(offset)]
    if component < 255:
        high = first[table, np.uint64(offset + 1)] - 1
    return low, high


@inlined
def _chroma_near(red, green, blue, y, near_cb, near_cr, most_steps, conversion, first):
    """Return (steps, Cb, Cr), the exact chroma for this Y with the fewest steps from the wanted.

    Steps are `_FAR` where there is none, or none within `most_steps`. A step of Cr changes the
    green more than one of Cb does, and neither by more than 1: moving Cr first is shortest, and no
    exact value is jumped over.
    """
    low_cb, high_cb = _chroma_range(blue, y, FIRST_CB, first)
    low_cr, high_cr = _chroma_range(red, y, FIRST_CR, first)
    cb = min(max(near_cb, low_cb), high_cb)
    cr = min(max(near_cr, low_cr), high_cr)
    steps = abs(cb - near_cb) + abs(cr - near_cr)
    if low_cb > high_cb or low_cr > high_cr or steps > most_steps:
        return np.int64(_FAR), cb, cr
    least, most = np.int64(-_FAR), np.int64(_FAR)
    if green > 0:
        least = (green - y) * 65536
    if green < 255:
        most = (green - y) * 65536 + 65535
    of_cb = conversion[GREEN_OF_CB, np.uint64(cb)]
    value = of_cb + conversion[GREEN_OF_CR, np.uint64(cr)]
    if least <= value <= most:
        return steps, cb, cr
    if value < least:
        cr = max(cr - (least - value + _CR_STEP - 1) // _CR_STEP, low_cr)
        value = of_cb + conversion[GREEN_OF_CR, np.uint64(cr)]
        if value < least:
            cb -= (least - value + _CB_STEP - 1) // _CB_STEP
    else:
        cr = min(cr + (value - most + _CR_STEP - 1) // _CR_STEP, high_cr)
        value = of_cb + conversion[GREEN_OF_CR, np.uint64(cr)]
        if value > most:
            cb += (value - most + _CB_STEP - 1) // _CB_STEP
    if cb < low_cb or cb > high_cb:
        return np.int64(_FAR), cb, cr
    return abs(cb - near_cb) + abs(cr - near_cr), cb, cr


@inlined
def _luma_near(red, green, blue, near_y, near_cb, near_cr, conversion):
    """Return (found, Y), the Y that gives an unclipped component with the wanted chroma."""
    cb_index, cr_index = np.uint64(near_cb), np.uint64(near_cr)
    if 0 < blue < 255:
        return True, blue - conversion[BLUE_OF_CB, cb_index]
    if 0 < red < 255:
        return True, red - conversion[RED_OF_CR, cr_index]
    if 0 < green < 255:
        both = conversion[GREEN_OF_CB, cb_index] + conversion[GREEN_OF_CR, cr_index]
        return True, green - (both >> 16)
    return False, near_y


@inlined
def _clipped_triple(red, green, blue, luma, near_y, near_cb, near_cr, conversion, first):
    """Return (exact, Y, Cb, Cr), the exact triple nearest to the wanted one; chroma counts four.

    Where no component is 0 (255), clamping made none larger (smaller), and Y is at least (at most)
    that of the pixel but for rounding. Away from `_luma_near` each Y takes other chroma: of a step,
    or for all steps of Y but one, which rounding may give, at least 9/16 of a step each. Once a
    triple is found, only `_WINDOW` more Y on each side are tried.
    """
    low_y, high_y = np.int64(0), np.int64(255)
    if red > 0 and green > 0 and blue > 0:
        low_y = max(luma - 1, low_y)
    if red < 255 and green < 255 and blue < 255:
        high_y = min(luma + 1, high_y)
    bound, start = _luma_near(red, green, blue, near_y, near_cb, near_cr, conversion)
    start = min(max(start, low_y), high_y)
    best_y, best_cb, best_cr = near_y, near_cb, near_cr
    best = last = np.int64(_FAR)
    for i in range(2 * max(start - low_y, high_y - start) + 1):
        distance = np.int64((i + 1) >> 1)
        y = start + distance if i & 1 else start - distance
        least = distance
        if bound:
            least = 4 * max((9 * distance + 6) >> 4, np.int64(distance > 0))
        if distance > last or least >= best:
            break
        y_cost = abs(y - near_y)
        if y < low_y or y > high_y or y_cost + (least if bound else 0) >= best:
            continue
        steps, cb, cr = _chroma_near(
            red, green, blue, y, near_cb, near_cr, (best - y_cost) >> 2, conversion, first
        )
        if y_cost + 4 * steps < best:
            if best == _FAR:
                last = distance + _WINDOW
            best, best_y, best_cb, best_cr = y_cost + 4 * steps, y, cb, cr
    return best < _FAR, best_y, best_cb, best_cr


@inlined
def _nearly(red, green, blue, y, near_cb, near_cr, conversion, codes):
    """Return (code, Y, Cb, Cr) of the smallest correction among the triples around the wanted."""
    best = np.int64(_FAR)
    best_y, best_cb, best_cr = y, near_cb, near_cr
    for try_y in range(max(y - 1, 0), min(y + 2, 256)):
        for cb in range(max(near_cb - 1, 0), min(near_cb + 2, 256)):
            for cr in range(max(near_cr - 1, 0), min(near_cr + 2, 256)):
                found = _converted(try_y, cb, cr, conversion)
                d_red, d_green, d_blue = red - found[0], green - found[1], blue - found[2]
                if abs(d_red) > 1 or abs(d_green) > 1 or abs(d_blue) > 1:
                    continue
                code = codes[np.uint64(9 * d_red + 3 * d_green + d_blue + 13)]
                if code < best:
                    best, best_y, best_cb, best_cr = code, try_y, cb, cr
    return best, best_y, best_cb, best_cr


@inlined
def _expected(plane, row, column, otherwise):
    """Return what MED expects of a sample, or `otherwise` for the plane's first (SPEC 5.4)."""
    if row == 0:
        return np.int64(plane[0, column - 1]) if column > 0 else otherwise
    north = np.int64(plane[row - 1, column])
    if column == 0:
        return north
    return _med(np.int64(plane[row, column - 1]), north, np.int64(plane[row - 1, column - 1]))


@kernel
def split_pixels(
    red, green, blue, conversion, first, codes, part, y_plane, cb_plane, cr_plane, corrections
):
    """Fill the triples and corrections of pixels 0..255 (SPEC 5.2.1).

    A clipped pixel has many triples: the one nearest to MED's prediction from the triples already
    chosen is taken. `part` (int64, 4) is the first row and the one after the last, and so of
    columns; what lies above and to the left of it is filled before.
    """
    for row in range(part[0], part[1]):
        for column in range(part[2], part[3]):
            r, g = np.int64(red[row, column]), np.int64(green[row, column])
            b = np.int64(blue[row, column])
            y = _luma(r, g, b)
            cb = (-11059 * r - 21709 * g + 32768 * b + 8421375) >> 16
            cr = (32768 * r - 27439 * g - 5329 * b + 8421375) >> 16
            code = np.int64(0)
            if _is_clipped(r, g, b):
                exact, found_y, found_cb, found_cr = _clipped_triple(
                    r, g, b, y,
                    _expected(y_plane, row, column, y),
                    _expected(cb_plane, row, column, cb),
                    _expected(cr_plane, row, column, cr),
                    conversion, first,
                )  # fmt: skip
            else:
                found_y = y
                exact, found_cb, found_cr = _unclipped_chroma(r, g, b, y, conversion, first)
            if not exact:
                code, found_y, found_cb, found_cr = _nearly(r, g, b, y, cb, cr, conversion, codes)
            y_plane[row, column] = found_y
            cb_plane[row, column] = found_cb
            cr_plane[row, column] = found_cr
            corrections[row, column] = code


@kernel
def merge_pixels(
    y_plane, cb_plane, cr_plane, corrections, conversion, differences, red, green, blue
):
    """Fill the pixels of triples and corrections; inverse of `split_pixels` (SPEC 5.2.1).

    Returns (status, raster position).
    """
    n_codes = differences.shape[0]
    for row in range(red.shape[0]):
        for column in range(red.shape[1]):
            y, cb = np.int64(y_plane[row, column]), np.int64(cb_plane[row, column])
            cr, code = np.int64(cr_plane[row, column]), np.int64(corrections[row, column])
            if (y | cb | cr) & -256 or code < 0 or code >= n_codes:
                return status.SAMPLE_OUT_OF_RANGE, row * red.shape[1] + column
            r, g, b = _converted(y, cb, cr, conversion)
            if code > 0:
                r += differences[np.uint64(code), 0]
                g += differences[np.uint64(code), 1]
                b += differences[np.uint64(code), 2]
                if (r | g | b) & -256:
                    return status.SAMPLE_OUT_OF_RANGE, row * red.shape[1] + column
            red[row, column] = r
            green[row, column] = g
            blue[row, column] = b
    return status.OK, 0


@kernel
def count_exact(red, green, blue, n_samples, conversion, first):
    """Return (exact, tested) of a regular sample of the pixels without those that tell nothing.

    Clipped pixels and gray ones nearly always have a triple, whatever their past. A pixel that
    repeats the sample before it is left out too.
    """
    n_pixels, n_columns = red.shape[0] * red.shape[1], red.shape[1]
    step = max(n_pixels // n_samples, 1)
    n_exact = n_tested = np.int64(0)
    last = np.int64(-1)
    for i in range(n_pixels // step):
        position = i * step + i * 40503 % step
        row, column = position // n_columns, position % n_columns
        r, g = np.int64(red[row, column]), np.int64(green[row, column])
        b = np.int64(blue[row, column])
        colour = r << 16 | g << 8 | b
        if colour == last or (r == g and g == b) or _is_clipped(r, g, b):
            continue
        last = colour
        n_tested += 1
        exact, _, _ = _unclipped_chroma(r, g, b, _luma(r, g, b), conversion, first)
        if exact:
            n_exact += 1
    return n_exact, n_tested
