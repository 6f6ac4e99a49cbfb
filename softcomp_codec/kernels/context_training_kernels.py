"""Statistics from which the context coder's predictors are trained."""

import numpy as np

from .allocation import zero_array
from .context_kernels import MARGIN, MARGIN_ROWS, N_TAPS
from .jit import kernel

SIDE = N_TAPS + 1
"""Taps and, as the last one, what they are to predict."""


@kernel
def sum_products(samples, residuals, geometry, levels, sums, n_samples):
    """Add the products of each two taps to `sums` (N_LEVELS, SIDE, SIDE), by level of energy.

    `samples` and `residuals` are those of all planes as the context coder left them: the taps are
    the ones that it saw (SPEC 5C.3).
    """
    n_rows, n_columns, plane, scale, n_taps = geometry
    stride = n_columns + 2 * MARGIN
    area = (n_rows + MARGIN_ROWS + 1) * stride
    x = samples[plane * area : (plane + 1) * area]
    x1 = samples[max(plane - 1, 0) * area : (max(plane - 1, 0) + 1) * area]
    x2 = samples[max(plane - 2, 0) * area : (max(plane - 2, 0) + 1) * area]
    r = residuals[plane * area : (plane + 1) * area]
    taps = zero_array(SIDE, np.int64)
    flat = sums.reshape(-1)
    for row in range(n_rows):
        at = (row + MARGIN_ROWS) * stride + MARGIN
        for _column in range(n_columns):
            w = np.int64(x[at - 1])
            taps[0] = x[at - stride] - w
            taps[1] = x[at - stride - 1] - w
            taps[2] = x[at - stride + 1] - w
            taps[3] = x[at - 2] - w
            taps[4] = x[at - 2 * stride] - w
            taps[5] = x[at - 2 * stride + 1] - w
            taps[6] = x[at - 2 * stride - 1] - w
            taps[7] = x[at - stride - 2] - w
            taps[8] = x[at - stride + 2] - w
            taps[9] = x[at - 3] - w
            taps[10] = x[at - 3 * stride] - w
            if plane > 0:
                c = np.int64(x1[at])
                taps[11] = c - x1[at - 1]
                taps[12] = c - x1[at - stride]
                taps[13] = c - x1[at - stride - 1]
                taps[14] = c - x1[at - stride + 1]
                taps[15] = c - x1[at + 1]
                taps[16] = c - x1[at + stride]
            if plane > 1:
                c = np.int64(x2[at])
                taps[17] = c - x2[at - 1]
                taps[18] = c - x2[at - stride]
                taps[19] = c - x2[at + 1]
                taps[20] = c - x2[at + stride]
            taps[n_taps] = x[at] - w
            energy = 2 * abs(np.int64(r[at - 1])) + 2 * abs(np.int64(r[at - stride]))
            energy += abs(np.int64(r[at - stride - 1])) + abs(np.int64(r[at - stride + 1]))
            energy += abs(np.int64(r[at - 2]))
            level = np.int64(levels[min(energy >> (1 + scale), np.int64(4095))])
            n_samples[level] += 1
            first = np.uint64(level * SIDE * SIDE)
            for i in range(n_taps):
                tap = taps[np.uint64(i)]
                for j in range(i, n_taps + 1):
                    flat[first + np.uint64(i * SIDE + j)] += tap * taps[np.uint64(j)]
            at += 1
