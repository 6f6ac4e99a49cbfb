"""What pixels tell of a JPEG's grid and quantiser steps (the encoder's search, no format)."""

import numpy as np

from .jit import kernel

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
    sizes = np.empty(coefficients.shape[0], np.int32)
    for k in range(64):
        n = 0
        for i in range(coefficients.shape[0]):
            size = np.int32(abs(coefficients[i, k]))
            if size >= nothing:
                sizes[n] = size
                n += 1
        scores[k, 0] = scores[k, 1] = 0
        for step in range(2, n_steps):
            whole = np.int32(step << BASIS_BITS)
            total = np.int64(0)
            for i in range(n):
                size = sizes[i]
                rest = size % whole
                distance = min(rest, whole - rest)
                if distance == size and size < little:
                    continue
                place = distance >> BINS_BITS
                value = worst
                if place < len(likelihoods):
                    value = max(worst, gains[step] + likelihoods[place])
                total += value
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
    lines = np.zeros((8, side, side), np.int32)
    for y in range(side):
        for x in range(side - 7):
            for u in range(8):
                total = np.int32(0)
                for i in range(8):
                    total += cosines[u, i] * plane[top + y, left + x + i]
                lines[u, y, x] = total
    shift = ROW_BITS - COLUMN_BITS
    counts[:] = 0
    for down in range(side - 7):
        row = down & 7
        if down >> 3 >= n_blocks:
            continue
        for u in range(8):
            for v in range(8):
                if u == 0 and v == 0:
                    continue
                for x in range(8 * n_blocks):
                    total = np.int32(0)
                    for i in range(8):
                        total += (cosines[v, i] >> shift) * lines[u, down + i, x]
                    counts[row, x & 7] += np.int64(abs(total) < limit)


@kernel
def transform_blocks(samples, cosines, out):
    """Fill the DCT coefficients of blocks, in 4096ths.

    `samples`: int32, (n, 64), doubled, about 0; `cosines`: int32, (8, 8), in 2 ** 11; `out`: int32,
    (n, 64).
    """
    half = np.int64(1) << 10
    rows = np.empty((8, 8), np.int64)
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
