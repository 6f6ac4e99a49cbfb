"""Pixels of JPEG decoders that do not round the samples before the colours (SPEC 5J.9)."""

import numpy as np

from .allocation import zero_array
from .jit import inlined, kernel

EXACT, SCALED = range(2)
"""The decoders: an exact one, and one with scaled coefficients and short products."""

COSINE_BITS = 14
_EXACT_SHIFT = 16

SCALE_BITS = 12
"""Factors of the scaled transform are steps times scales, in powers of two."""

_LIMIT, _EXACT_LIMIT = 1 << 20, 1 << 26
"""Scaled samples, and coefficients of the exact transform, are clamped to the former on either
side, exact samples to the latter."""

_C2, _C4, _C6 = 60547, 46341, 25080
"""cos(n pi / 16) in 65536ths."""


@inlined
def _product(value, factor):
    """Return twice the product with a cosine, rounded down before it is doubled."""
    return ((value * factor) >> 16) << 1


@inlined
def _transform8(s0, s1, s2, s3, s4, s5, s6, s7):
    """Return the 8 outputs of the scaled transform (SPEC 5J.9)."""
    even, odd = s0 + s4, s0 - s4
    sum_26 = s2 + s6
    turned = _product(s2 - s6, _C4) - sum_26
    e0, e3 = even + sum_26, even - sum_26
    e1, e2 = odd + turned, odd - turned
    sum_35, sum_17 = s5 + s3, s1 + s7
    between = sum_17 - sum_35
    large, small = _product(s1 - s7, _C2), _product(s3 - s5, _C6)
    o0 = sum_17 + sum_35
    o1 = large + small - o0
    o2 = _product(between, _C4) - o1
    o3 = o0 - _product(large - small - between, _C4)
    return e0 + o0, e1 + o1, e2 + o2, e3 - o3, e3 + o3, e2 - o2, e1 - o1, e0 - o0


@kernel
def invert_scaled_blocks(coefficients, factors, out):
    """Fill the samples of a component, about 0, in 32nds (SPEC 5J.9).

    Parameters
    ----------
    coefficients : ndarray, int16, (blocks down, blocks across, 64)
    factors : ndarray, int64, (64,)
        Steps times scales, in 2 ** `SCALE_BITS`.
    out : ndarray, int32, (8 blocks down, 8 blocks across)
    """
    block = zero_array(64, np.int64)
    half = np.int64(1) << (SCALE_BITS - 1)
    for i in range(coefficients.shape[0]):
        for j in range(coefficients.shape[1]):
            for k in range(64):
                block[k] = (np.int64(coefficients[i, j, k]) * factors[k] + half) >> SCALE_BITS
            for x in range(8):
                column = _transform8(
                    block[x], block[8 + x], block[16 + x], block[24 + x], block[32 + x],
                    block[40 + x], block[48 + x], block[56 + x],
                )  # fmt: skip
                for y in range(8):
                    block[8 * y + x] = column[y]
            for y in range(8):
                at = 8 * y
                row = _transform8(
                    block[at], block[at + 1], block[at + 2], block[at + 3], block[at + 4],
                    block[at + 5], block[at + 6], block[at + 7],
                )  # fmt: skip
                for x in range(8):
                    out[8 * i + y, 8 * j + x] = min(max(row[x], -_LIMIT), _LIMIT)


@kernel
def invert_exact_blocks(coefficients, steps, cosines, out):
    """Fill the samples of a component, about 0, in 4096ths (SPEC 5J.9).

    Parameters
    ----------
    coefficients : ndarray, int16, (blocks down, blocks across, 64)
    steps : ndarray, int64, (64,)
    cosines : ndarray, int32, (8, 8)
        One-dimensional transform, frequency by sample, in 2 ** `COSINE_BITS`.
    out : ndarray, int32, (8 blocks down, 8 blocks across)
    """
    block, columns = zero_array(64, np.int64), zero_array(64, np.int64)
    half = np.int64(1) << (_EXACT_SHIFT - 1)
    for i in range(coefficients.shape[0]):
        for j in range(coefficients.shape[1]):
            for k in range(64):
                value = np.int64(coefficients[i, j, k]) * steps[k]
                block[k] = min(max(value, -_LIMIT), _LIMIT)
            for y in range(8):
                for v in range(8):
                    total = np.int64(0)
                    for u in range(8):
                        total += block[8 * u + v] * cosines[u, y]
                    columns[8 * y + v] = total
            for y in range(8):
                for x in range(8):
                    total = half
                    for v in range(8):
                        total += columns[8 * y + v] * cosines[v, x]
                    value = min(max(total >> _EXACT_SHIFT, -_EXACT_LIMIT), _EXACT_LIMIT)
                    out[8 * i + y, 8 * j + x] = value


@kernel
def convert_unrounded(luma, cb, cr, decoder, top, left, picture):
    """Fill the pixels that samples with fractions give (SPEC 5J.9).

    Parameters
    ----------
    luma, cb, cr : ndarray, int32, (rows, columns)
        About 0, in 32nds (`SCALED`) or 4096ths (`EXACT`).
    decoder : int
        `EXACT` or `SCALED`.
    top, left : int
        Their rows and columns above and left of the picture.
    picture : ndarray, uint8, (H, W, 3)
    """
    for i in range(picture.shape[0]):
        for j in range(picture.shape[1]):
            y = np.int64(luma[i + top, j + left])
            blue, red = np.int64(cb[i + top, j + left]), np.int64(cr[i + top, j + left])
            if decoder == SCALED:
                y += (128 << 5) + 16
                r = (y + ((red * 11445) >> 13)) >> 5
                g = (y + ((-((blue * 2819) >> 12) - ((red * 5850) >> 12)) >> 1)) >> 5
                b = (y + ((blue * 14514) >> 13)) >> 5
            else:
                y = ((y + (128 << 12)) << 16) + (1 << 27)
                r = (y + red * 91881) >> 28
                g = (y - blue * 22554 - red * 46802) >> 28
                b = (y + blue * 116130) >> 28
            picture[i, j, 0] = min(max(r, np.int64(0)), np.int64(255))
            picture[i, j, 1] = min(max(g, np.int64(0)), np.int64(255))
            picture[i, j, 2] = min(max(b, np.int64(0)), np.int64(255))
