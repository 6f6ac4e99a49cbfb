"""What libjpeg does between quantised coefficients and pixels, to the bit (SPEC 5J.3)."""

import numpy as np

from .allocation import empty_array
from .jit import inlined, kernel

FINE_BITS = 6
"""Samples before rounding are kept in 64ths, half a sample added."""

_FIRST_SHIFT, _SECOND_SHIFT = 11, 18
_FINE_LIMIT = 1 << 20
_SMALL = 30000
"""Sum of the magnitudes of a block's coefficients up to which 32 bits hold the transform."""

_U1 = np.uint64(1)


@inlined
def _plus(a, b):
    return np.int32(a + b)


@inlined
def _times(a, factor):
    return np.int32(a * factor)


@inlined
def _transform8(s0, s1, s2, s3, s4, s5, s6, s7):
    """Return the 8 outputs of libjpeg's accurate integer transform, in 2**13 (SPEC 5J.3).

    In 32 bits, or what is left of them.
    """
    z1 = _times(_plus(s2, s6), 4433)
    even_2 = _plus(z1, _times(s6, -15137))
    even_3 = _plus(z1, _times(s2, 6270))
    even_0 = _times(_plus(s0, s4), 8192)
    even_1 = _times(_plus(s0, -s4), 8192)
    e0, e3 = _plus(even_0, even_3), _plus(even_0, -even_3)
    e1, e2 = _plus(even_1, even_2), _plus(even_1, -even_2)
    z5 = _times(_plus(_plus(s7, s3), _plus(s5, s1)), 9633)
    z1, z2 = _times(_plus(s7, s1), -7373), _times(_plus(s5, s3), -20995)
    z3 = _plus(_times(_plus(s7, s3), -16069), z5)
    z4 = _plus(_times(_plus(s5, s1), -3196), z5)
    o0 = _plus(_plus(_times(s7, 2446), z1), z3)
    o1 = _plus(_plus(_times(s5, 16819), z2), z4)
    o2 = _plus(_plus(_times(s3, 25172), z2), z3)
    o3 = _plus(_plus(_times(s1, 12299), z1), z4)
    return (
        _plus(e0, o3), _plus(e1, o2), _plus(e2, o1), _plus(e3, o0),
        _plus(e3, -o0), _plus(e2, -o1), _plus(e1, -o2), _plus(e0, -o3),
    )  # fmt: skip


@inlined
def _transform_columns(values, half, shift):
    """Transform each column of 8 x 8 in place, in 32 bits; then shift, rounding."""
    for i in range(8):
        out = _transform8(
            values[i], values[8 + i], values[16 + i], values[24 + i],
            values[32 + i], values[40 + i], values[48 + i], values[56 + i],
        )  # fmt: skip
        values[i] = _plus(out[0], half) >> shift
        values[8 + i] = _plus(out[1], half) >> shift
        values[16 + i] = _plus(out[2], half) >> shift
        values[24 + i] = _plus(out[3], half) >> shift
        values[32 + i] = _plus(out[4], half) >> shift
        values[40 + i] = _plus(out[5], half) >> shift
        values[48 + i] = _plus(out[6], half) >> shift
        values[56 + i] = _plus(out[7], half) >> shift


@inlined
def _invert_large(coefficients, at, steps, scratch, values, fine):
    """Fill what `invert_block` does, in 64 bits: sums of what each coefficient adds."""
    for k in range(64):
        values[k] = np.int32(k % 9 == 0)
    _transform_columns(values, np.int32(0), 0)
    for i in range(8):
        for y in range(8):
            total = np.int64(1) << (_FIRST_SHIFT - 1)
            for k in range(8):
                value = np.int64(coefficients[at + 8 * k + i]) * steps[8 * k + i]
                total += value * values[8 * y + k]
            scratch[8 * y + i] = total >> _FIRST_SHIFT
    for x in range(8):
        for y in range(8):
            total = np.int64(1) << (_SECOND_SHIFT - 1)
            for k in range(8):
                total += scratch[8 * y + k] * values[8 * x + k]
            total >>= _SECOND_SHIFT - FINE_BITS
            fine[8 * x + y] = min(max(total, -_FINE_LIMIT), _FINE_LIMIT)


@inlined
def invert_block(coefficients, at, steps, scratch, values, fine):
    """Fill the 8 x 8 samples of one block, column by column (SPEC 5J.3).

    Sums of 32 bits hold what small coefficients give: a pass adds up to 11364 times their
    magnitudes, of which the first then drops 11 bits.

    Parameters
    ----------
    coefficients : ndarray, int16, flat
        The block's 64 begin at `at`.
    steps : ndarray, int64, (64,)
    scratch, values : ndarray, int64 and int32, (64,)
        May hold anything.
    fine : ndarray, int32, (64,)
    """
    magnitude = np.int64(0)
    for k in range(64):
        value = np.int64(coefficients[np.uint64(at + k)]) * steps[k]
        values[k] = value
        magnitude += abs(value)
    if magnitude > _SMALL:
        _invert_large(coefficients, at, steps, scratch, values, fine)
        return
    _transform_columns(values, np.int32(1 << (_FIRST_SHIFT - 1)), _FIRST_SHIFT)
    for i in range(8):
        for j in range(8):
            fine[8 * j + i] = values[8 * i + j]
    _transform_columns(fine, np.int32(1 << (_SECOND_SHIFT - 1)), _SECOND_SHIFT - FINE_BITS)


@kernel
def invert_blocks(coefficients, steps, fine):
    """Fill the samples of all blocks, in 64ths before rounding (SPEC 5J.3).

    Parameters
    ----------
    coefficients : ndarray, int16, (blocks down, blocks across, 64)
    steps : ndarray, int64, (64,)
    fine : ndarray, int32, (8 blocks down, 8 blocks across)
    """
    n_down, n_across = coefficients.shape[0], coefficients.shape[1]
    flat = coefficients.reshape(-1)
    scratch = empty_array(64, np.int64)
    values, block = empty_array(64, np.int32), empty_array(64, np.int32)
    for i in range(n_down):
        for j in range(n_across):
            invert_block(flat, 64 * (i * n_across + j), steps, scratch, values, block)
            for y in range(8):
                line = fine[8 * i + y]
                for x in range(8):
                    line[np.uint64(8 * j + x)] = block[8 * x + y]


@kernel
def round_samples(fine, corrections, plane):
    """Fill the samples 0..255 of a component: rounded, clamped, and corrected (SPEC 5J.3)."""
    for i in range(plane.shape[0]):
        for j in range(plane.shape[1]):
            value = min(max((fine[i, j] >> FINE_BITS) + 128, 0), 255) + corrections[i, j]
            plane[i, j] = min(max(value, 0), 255)


@inlined
def _between(sums, place, rounding, shift):
    """Return a sample at a place of the doubled line (SPEC 5J.4)."""
    column = place >> 1
    last = np.int64(len(sums) - 1)
    beside = min(column + 1, last) if place & 1 else max(column - 1, 0)
    return (3 * np.int64(sums[column]) + sums[beside] + rounding) >> shift


@kernel
def upsample(plane, rows_by, columns_by, fancy, top, left, out):
    """Fill a component's samples at the pixels of the picture (SPEC 5J.4).

    Parameters
    ----------
    plane : ndarray, int32, (component rows, component columns)
        Less than 2 ** 26 in size.
    rows_by, columns_by : int
        1 or 2: pixels for each sample.
    fancy : bool
        Whether they are interpolated; else repeated.
    top, left : int
        The picture's first pixel in the virtual picture.
    out : ndarray, int32, (H, W)
    """
    n_rows, n_columns = plane.shape
    sums = empty_array(n_columns, np.int32)
    both = 2 if rows_by == 2 and columns_by == 2 else 0
    # (3a + b + 1 or 2) >> 2 in rows alone, (3a + b + 8 or 7) >> 4 in both directions
    even, odd = np.int32(8 if both else 1), np.int32(7 if both else 2)
    shift = np.int32(2 + both)
    # columns both of whose places are seen, and which have others at both sides
    first = min(max((left + 1) >> 1, 1), n_columns)
    end = max(min((out.shape[1] + left) >> 1, n_columns - 1), first)
    for y in range(out.shape[0]):
        place = y + top
        row = place >> (rows_by - 1)
        if fancy and rows_by == 2:
            other = min(row + 1, n_rows - 1) if place & 1 else max(row - 1, 0)
            for j in range(n_columns):
                sums[j] = 3 * plane[row, j] + plane[other, j]
        else:
            for j in range(n_columns):
                sums[j] = plane[row, j]
        line = out[y]
        if fancy and columns_by == 2:
            for x in range(min(2 * first - left, len(line))):
                line[x] = _between(sums, x + left, odd if (x + left) & 1 else even, shift)
            for column in range(first, end):
                at, x = np.uint64(column), np.uint64(2 * column - left)
                triple = np.int32(3 * sums[at])
                before, after = sums[np.uint64(column - 1)], sums[np.uint64(column + 1)]
                line[x] = np.int32(np.int32(triple + before) + even) >> shift
                line[np.uint64(x + _U1)] = np.int32(np.int32(triple + after) + odd) >> shift
            for x in range(2 * end - left, len(line)):
                line[x] = _between(sums, x + left, odd if (x + left) & 1 else even, shift)
        elif fancy and rows_by == 2:
            rounding = 2 if place & 1 else 1
            for x in range(len(line)):
                line[x] = (sums[x + left] + rounding) >> 2
        else:
            for x in range(len(line)):
                line[x] = sums[(x + left) >> (columns_by - 1)]


@inlined
def _added(cb, cr):
    """Return what chroma adds to red, green and blue (SPEC 5.2.1), in 32 bits."""
    cb, cr = np.int32(np.int32(cb) - 128), np.int32(np.int32(cr) - 128)
    red = np.int32(np.int32(np.int32(91881 * cr) + np.int32(32768)) >> 16)
    green = np.int32(np.int32(-46802 * cr) + np.int32(-22554 * cb))
    green = np.int32(np.int32(green + np.int32(32768)) >> 16)
    blue = np.int32(np.int32(np.int32(116130 * cb) + np.int32(32768)) >> 16)
    return red, green, blue


@inlined
def _clamped(value):
    return np.uint8(min(max(np.int32(value), np.int32(0)), np.int32(255)))


@kernel
def convert_pixels(luma, cb, cr, picture):
    """Fill the pixels (uint8, (H, W, 3)) of samples 0..255 (SPEC 5.2.1)."""
    for row in range(luma.shape[0]):
        lumas, cbs, crs, pixels = luma[row], cb[row], cr[row], picture[row].reshape(-1)
        for column in range(len(lumas)):
            at = np.uint64(column)
            red, green, blue = _added(cbs[at], crs[at])
            y = np.int32(lumas[at])
            pixels[np.uint64(3 * column)] = _clamped(y + red)
            pixels[np.uint64(3 * column + 1)] = _clamped(y + green)
            pixels[np.uint64(3 * column + 2)] = _clamped(y + blue)


@inlined
def _bounded(value, added, low, high):
    """Return the bounds of the luma narrowed by those of one colour."""
    bound = np.int32(np.int32(value) - added)
    low = max(low, bound) if value > 0 else low
    return low, (min(high, bound) if value < 255 else high)


@kernel
def bound_luma(picture, cb, cr, lowest, highest):
    """Fill the luma (int32, (H, W)) that gives the pixels with this chroma, or nearly gives them.

    Where none does, the bounds are those that contradict, in order. Components of 0 and 255 bound
    one side only.
    """
    for row in range(cb.shape[0]):
        cbs, crs, pixels = cb[row], cr[row], picture[row].reshape(-1)
        lows, highs = lowest[row], highest[row]
        for column in range(len(cbs)):
            at = np.uint64(column)
            red, green, blue = _added(cbs[at], crs[at])
            low, high = np.int32(0), np.int32(255)
            low, high = _bounded(pixels[np.uint64(3 * column)], red, low, high)
            low, high = _bounded(pixels[np.uint64(3 * column + 1)], green, low, high)
            low, high = _bounded(pixels[np.uint64(3 * column + 2)], blue, low, high)
            lows[at] = min(max(min(low, high), np.int32(0)), np.int32(255))
            highs[at] = min(max(low, high, np.int32(0)), np.int32(255))
