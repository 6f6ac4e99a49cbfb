"""What libjpeg does between quantised coefficients and pixels, to the bit (SPEC 5J.3)."""

import numpy as np

from .allocation import empty_array
from .jit import inlined, kernel
from .lattice_kernels import BLUE_OF_CB, GREEN_OF_CB, GREEN_OF_CR, RED_OF_CR

FINE_BITS = 6
"""Samples before rounding are kept in 64ths, half a sample added."""

FIRST_SHIFT, SECOND_SHIFT = 11, 18
_FINE_LIMIT = 1 << 20


@inlined
def _transform8(s0, s1, s2, s3, s4, s5, s6, s7):
    """Return the 8 outputs of libjpeg's accurate integer transform, in 2**13 (SPEC 5J.3)."""
    z1 = (s2 + s6) * 4433
    even_2 = z1 - s6 * 15137
    even_3 = z1 + s2 * 6270
    even_0 = (s0 + s4) << 13
    even_1 = (s0 - s4) << 13
    e0, e3 = even_0 + even_3, even_0 - even_3
    e1, e2 = even_1 + even_2, even_1 - even_2
    z5 = (s7 + s3 + s5 + s1) * 9633
    z1, z2 = (s7 + s1) * -7373, (s5 + s3) * -20995
    z3, z4 = (s7 + s3) * -16069 + z5, (s5 + s1) * -3196 + z5
    o0 = s7 * 2446 + z1 + z3
    o1 = s5 * 16819 + z2 + z4
    o2 = s3 * 25172 + z2 + z3
    o3 = s1 * 12299 + z1 + z4
    return e0 + o3, e1 + o2, e2 + o1, e3 + o0, e3 - o0, e2 - o1, e1 - o2, e0 - o3


@inlined
def invert_block(coefficients, at, steps, scratch, fine, row, column):
    """Fill the 8 x 8 samples of one block into `fine` at a row and column (SPEC 5J.3).

    `coefficients` is flat; the block's 64 begin at `at`. `scratch` (64) may hold anything.
    """
    half = np.int64(1) << (FIRST_SHIFT - 1)
    for i in range(8):
        out = _transform8(
            np.int64(coefficients[at + i]) * steps[i],
            np.int64(coefficients[at + 8 + i]) * steps[8 + i],
            np.int64(coefficients[at + 16 + i]) * steps[16 + i],
            np.int64(coefficients[at + 24 + i]) * steps[24 + i],
            np.int64(coefficients[at + 32 + i]) * steps[32 + i],
            np.int64(coefficients[at + 40 + i]) * steps[40 + i],
            np.int64(coefficients[at + 48 + i]) * steps[48 + i],
            np.int64(coefficients[at + 56 + i]) * steps[56 + i],
        )
        scratch[i] = (out[0] + half) >> FIRST_SHIFT
        scratch[8 + i] = (out[1] + half) >> FIRST_SHIFT
        scratch[16 + i] = (out[2] + half) >> FIRST_SHIFT
        scratch[24 + i] = (out[3] + half) >> FIRST_SHIFT
        scratch[32 + i] = (out[4] + half) >> FIRST_SHIFT
        scratch[40 + i] = (out[5] + half) >> FIRST_SHIFT
        scratch[48 + i] = (out[6] + half) >> FIRST_SHIFT
        scratch[56 + i] = (out[7] + half) >> FIRST_SHIFT
    half = np.int64(1) << (SECOND_SHIFT - 1)
    for i in range(8):
        line = 8 * i
        out = _transform8(
            scratch[line], scratch[line + 1], scratch[line + 2], scratch[line + 3],
            scratch[line + 4], scratch[line + 5], scratch[line + 6], scratch[line + 7],
        )  # fmt: skip
        for j in range(8):
            value = (out[j] + half) >> (SECOND_SHIFT - FINE_BITS)
            fine[row + i, column + j] = min(max(value, -_FINE_LIMIT), _FINE_LIMIT)


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
    for i in range(n_down):
        for j in range(n_across):
            invert_block(flat, 64 * (i * n_across + j), steps, scratch, fine, 8 * i, 8 * j)


@kernel
def round_samples(fine, corrections, plane):
    """Fill the samples 0..255 of a component: rounded, clamped, and corrected (SPEC 5J.3)."""
    for i in range(plane.shape[0]):
        for j in range(plane.shape[1]):
            value = min(max((fine[i, j] >> FINE_BITS) + 128, 0), 255) + corrections[i, j]
            plane[i, j] = min(max(value, 0), 255)


@kernel
def upsample(plane, rows_by, columns_by, fancy, top, left, out):
    """Fill a component's samples at the pixels of the picture (SPEC 5J.4).

    Parameters
    ----------
    plane : ndarray, (component rows, component columns)
    rows_by, columns_by : int
        1 or 2: pixels for each sample.
    fancy : bool
        Whether they are interpolated; else repeated.
    top, left : int
        The picture's first pixel in the virtual picture.
    out : ndarray, (H, W)
    """
    n_rows, n_columns = plane.shape
    sums = empty_array(n_columns, np.int64)
    both = 2 if rows_by == 2 and columns_by == 2 else 0
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
        if fancy and columns_by == 2:
            # (3a + b + 1 or 2) >> 2 in rows alone, (3a + b + 8 or 7) >> 4 in both directions
            even = 8 if both else 1
            odd = 7 if both else 2
            for x in range(out.shape[1]):
                place_x = x + left
                column = place_x >> 1
                if place_x & 1:
                    beside = min(column + 1, n_columns - 1)
                    out[y, x] = (3 * sums[column] + sums[beside] + odd) >> (2 + both)
                else:
                    beside = max(column - 1, 0)
                    out[y, x] = (3 * sums[column] + sums[beside] + even) >> (2 + both)
        elif fancy and rows_by == 2:
            rounding = 2 if place & 1 else 1
            for x in range(out.shape[1]):
                out[y, x] = (sums[x + left] + rounding) >> 2
        else:
            for x in range(out.shape[1]):
                out[y, x] = sums[(x + left) >> (columns_by - 1)]


@kernel
def convert_pixels(luma, cb, cr, conversion, picture):
    """Fill the pixels (uint8, (H, W, 3)) of samples 0..255 (SPEC 5.2.1)."""
    for row in range(luma.shape[0]):
        for column in range(luma.shape[1]):
            y = np.int64(luma[row, column])
            at_cb, at_cr = np.uint64(cb[row, column]), np.uint64(cr[row, column])
            red = y + conversion[RED_OF_CR, at_cr]
            green = y + ((conversion[GREEN_OF_CB, at_cb] + conversion[GREEN_OF_CR, at_cr]) >> 16)
            blue = y + conversion[BLUE_OF_CB, at_cb]
            picture[row, column, 0] = min(max(red, 0), 255)
            picture[row, column, 1] = min(max(green, 0), 255)
            picture[row, column, 2] = min(max(blue, 0), 255)


@kernel
def bound_luma(picture, cb, cr, conversion, lowest, highest):
    """Fill the luma (int32, (H, W)) that gives the pixels with this chroma, or nearly gives them.

    Where none does, the bounds are those that contradict, in order. Components of 0 and 255 bound
    one side only.
    """
    for row in range(cb.shape[0]):
        for column in range(cb.shape[1]):
            at_cb, at_cr = np.uint64(cb[row, column]), np.uint64(cr[row, column])
            green = (conversion[GREEN_OF_CB, at_cb] + conversion[GREEN_OF_CR, at_cr]) >> 16
            low, high = np.int64(0), np.int64(255)
            for channel in range(3):
                term = green
                if channel == 0:
                    term = conversion[RED_OF_CR, at_cr]
                elif channel == 2:
                    term = conversion[BLUE_OF_CB, at_cb]
                value = np.int64(picture[row, column, channel])
                if value > 0:
                    low = max(low, value - term)
                if value < 255:
                    high = min(high, value - term)
            lowest[row, column] = min(max(min(low, high), 0), 255)
            highest[row, column] = min(max(low, high, 0), 255)
