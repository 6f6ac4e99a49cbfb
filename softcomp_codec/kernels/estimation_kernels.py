"""What pixels tell of a JPEG's grid and quantiser steps (the encoder's search, no format)."""

import numpy as np

from .allocation import empty_array, zero_array
from .jit import inlined, kernel
from .residual_kernels import _med

BASIS_BITS = 12
"""Coefficients are in 4096ths."""

BINS_BITS = 9
"""Distances from a multiple are told apart by eighths."""

ROW_BITS, COLUMN_BITS = 10, 9


@kernel
def score_steps(coefficients, nothing, little, gains, likelihoods, worst, scores):
    """Fill how well each frequency's coefficients are multiples of each step, in 16ths of a bit.

    Parameters
    ----------
    coefficients : ndarray, int32, (n, 64)
        Of samples of 8 bits: below 1800 in size.
    nothing : int
        Smaller coefficients may be zeros and tell nothing.
    little : int
        So do those below beside zero, whatever the step: the rounding of smooth blocks.
    gains : ndarray, int32, (largest step + 1,)
        What a step gains by each multiple.
    likelihoods : ndarray, int32
        Logarithm of the density of rounding noise, by its size.
    worst : int
        No coefficient tells more against a step.
    scores : ndarray, int64, (64, largest step + 1)
    """
    n_steps = scores.shape[1]
    sizes = empty_array(coefficients.shape[0], np.int32)
    values = empty_array(len(likelihoods) + 1, np.int32)
    for k in range(64):
        n = n_large = largest = 0
        for i in range(coefficients.shape[0]):
            size = np.int32(abs(coefficients[i, k]))
            if size >= nothing:
                sizes[n] = size
                n += 1
                n_large += size >= little
                largest = max(largest, size)
        scores[k, 0] = scores[k, 1] = 0
        for step in range(2, n_steps):
            whole = np.int32(step << BASIS_BITS)
            if whole >= 2 * largest:
                # none is nearer to the step than to 0, and what is not little is not near 0
                scores[k, step] = worst * n_large
                continue
            for place in range(len(likelihoods)):
                values[place] = max(worst, gains[step] + likelihoods[place])
            values[len(likelihoods)] = worst
            # a division by the step, exact of less than 2 ** 11
            factor = np.int32((1 << 19) // step + 1)
            half = whole >> 1
            total = np.int32(0)
            for i in range(n):
                size = sizes[i]
                units = np.int32((size + half) >> BASIS_BITS)
                times = np.int32(np.int32(units * factor) >> 19)
                distance = np.int32(abs(np.int32(size - np.int32(times * whole))))
                value = values[np.uint32(min(distance >> BINS_BITS, len(likelihoods)))]
                total = np.int32(total + (0 if distance == size and size < little else value))
            scores[k, step] = total


@kernel
def count_zeros(plane, top, left, n_blocks, cosines, limit, counts):
    """Fill how many coefficients are nearly 0 for each of the 64 grids within a square window.

    Parameters
    ----------
    plane : ndarray, int32, (H, W)
    top, left : int
        The window, of 8 (n_blocks + 1) samples a side.
    n_blocks : int
        Blocks down and across of each grid.
    cosines : ndarray, int32, (8, 8)
        One-dimensional transform in 2 ** ROW_BITS.
    limit : int
        Of nearly 0, in 2 ** (ROW_BITS + COLUMN_BITS).
    counts : ndarray, int64, (8, 8)
    """
    side = 8 * (n_blocks + 1)
    # lines[u, y, x]: frequency u of the 8 samples from column x on
    lines = zero_array((8, side, side), np.int32)
    for y in range(side):
        line = plane[top + y, left : left + side]
        for u in range(8):
            _transform_places(line, cosines[u], lines[u, y])
    hits = zero_array((8, 8 * n_blocks), np.int32)
    for down in range(8 * n_blocks):
        for u in range(8):
            for v in range(8):
                if u or v:
                    _count_places(lines[u, down : down + 8], cosines[v], limit, hits[down & 7])
    counts[:] = 0
    for row in range(8):
        for x in range(8 * n_blocks):
            counts[row, x & 7] += hits[row, x]


@inlined
def _transform_places(line, cosines, out):
    """Fill one frequency of each 8 samples of a line in a row."""
    c0, c1, c2, c3 = cosines[0], cosines[1], cosines[2], cosines[3]
    c4, c5, c6, c7 = cosines[4], cosines[5], cosines[6], cosines[7]
    for x in range(len(out) - 7):
        out[x] = (
            c0 * line[x] + c1 * line[x + 1] + c2 * line[x + 2] + c3 * line[x + 3]
            + c4 * line[x + 4] + c5 * line[x + 5] + c6 * line[x + 6] + c7 * line[x + 7]
        )  # fmt: skip


@inlined
def _count_places(lines, cosines, limit, hits):
    """Count where one frequency of 8 lines is nearly 0."""
    less = ROW_BITS - COLUMN_BITS
    c0, c1, c2, c3 = cosines[0] >> less, cosines[1] >> less, cosines[2] >> less, cosines[3] >> less
    c4, c5, c6, c7 = cosines[4] >> less, cosines[5] >> less, cosines[6] >> less, cosines[7] >> less
    most = np.int32(limit)
    for x in range(len(hits)):
        total = (
            c0 * lines[0, x] + c1 * lines[1, x] + c2 * lines[2, x] + c3 * lines[3, x]
            + c4 * lines[4, x] + c5 * lines[5, x] + c6 * lines[6, x] + c7 * lines[7, x]
        )  # fmt: skip
        hits[x] += np.int32(-most < total < most)


@kernel
def transform_blocks(samples, cosines, out):
    """Fill the DCT coefficients of blocks, in 4096ths.

    `samples`: int32, (n, 64), doubled, about 0; `cosines`: int32, (8, 8), in 2 ** 11; `out`: int32,
    (n, 64).
    """
    half = np.int64(1) << 10
    rows = empty_array((8, 8), np.int64)
    for n in range(samples.shape[0]):
        for y in range(8):
            for u in range(8):
                total = np.int64(0)
                for x in range(8):
                    total += np.int64(cosines[u, x]) * samples[n, 8 * y + x]
                rows[y, u] = total
        for v in range(8):
            for u in range(8):
                total = np.int64(0)
                for y in range(8):
                    total += np.int64(cosines[v, y]) * rows[y, u]
                out[n, 8 * v + u] = (total + half) >> 11


N_LEVELS, N_RESIDUALS = 11, 511
"""Residuals are counted apart by the steps around them, in powers of two."""

_SAMPLED_ROWS = 3
"""Of so many rows one is looked at; it shares no factor with the grids of JPEGs."""


@inlined
def _convert_row(picture, row, out):
    """Fill the components of a row of pixels (int32, (components, W)): YCbCr, or gray."""
    for x in range(picture.shape[1]):
        if picture.shape[2] == 1:
            out[0, x] = picture[row, x, 0]
            continue
        r, g, b = np.int32(picture[row, x, 0]), np.int32(picture[row, x, 1]), picture[row, x, 2]
        b = np.int32(b)
        out[0, x] = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16
        out[1, x] = (-11059 * r - 21709 * g + 32768 * b + 8421375) >> 16
        out[2, x] = (32768 * r - 27439 * g - 5329 * b + 8421375) >> 16


@inlined
def _log2(value):
    """Return log2 of 1..2**40 in 256ths."""
    whole = np.int64(0)
    while value >> (whole + 1):
        whole += 1
    rest = (value << 16) >> whole if whole < 22 else value >> (whole - 16)
    result = whole
    for _ in range(8):
        rest = (rest * rest) >> 16
        result <<= 1
        if rest >= 1 << 17:
            rest >>= 1
            result |= 1
    return result


@kernel
def simple_bits(picture, counts):
    """Return the bits of a picture by MED's residuals, each by how often it is beside such steps.

    Parameters
    ----------
    picture : ndarray, uint8, (H, W, 1 or 3)
    counts : ndarray, int64, (1 or 3, N_LEVELS, N_RESIDUALS)
        0 before.

    Returns
    -------
    n_bits : int
        Of the whole picture, from some of its rows; in 256ths.
    """
    n_rows, n_columns, n_components = picture.shape
    above = empty_array((n_components, n_columns), np.int32)
    line = empty_array((n_components, n_columns), np.int32)
    n_seen = np.int64(0)
    for row in range(1, n_rows, _SAMPLED_ROWS):
        _convert_row(picture, row - 1, above)
        _convert_row(picture, row, line)
        n_seen += 1
        for k in range(n_components):
            for x in range(1, n_columns - 1):
                west, north = line[k, x - 1], above[k, x]
                north_west, north_east = above[k, x - 1], above[k, x + 1]
                steps = abs(west - north_west) + abs(north_west - north) + abs(north - north_east)
                level = 0
                while steps >> level:
                    level += 1
                residual = line[k, x] - _med(west, north, north_west)
                counts[k, level, residual + 255] += 1
    n_bits = np.int64(0)
    for k in range(n_components):
        for level in range(N_LEVELS):
            total = np.int64(0)
            for each in counts[k, level]:
                total += each
            for each in counts[k, level]:
                if each:
                    n_bits += each * (_log2(total) - _log2(each))
    return n_bits * n_rows // max(n_seen, 1)
