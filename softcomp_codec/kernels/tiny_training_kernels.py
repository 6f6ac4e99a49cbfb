"""Statistics from which the predictor of tiny images is trained."""

import numpy as np

from .allocation import zero_array
from .jit import kernel
from .tiny_kernels import MARGIN, MARGIN_ROWS, N_TAPS

TAP_ROWS = np.array([0, -1, -1, -1, 0, -2, -1, -1, -2, -2, 0, -3, -2, -2, -1])
TAP_COLUMNS = np.array([-1, 0, -1, 1, -2, 0, 2, -2, -1, 1, -3, 0, 2, -2, 3])
"""Where the neighbours lie, in the order of the coefficients (SPEC 5F.2)."""


@kernel
def sum_products(images, inverted, tap_rows, tap_columns, sums):
    """Add the products of each two taps to `sums` (height, width, N_TAPS + 1, N_TAPS + 1).

    The last one of a position's taps is its sample; of each pair only the first order is summed.
    """
    n_images, n_rows, n_columns = images.shape
    x = zero_array((n_rows + MARGIN_ROWS, n_columns + 2 * MARGIN), np.int64)
    taps = zero_array(N_TAPS + 1, np.int64)
    n_near = len(tap_rows)
    for index in range(n_images):
        for row in range(n_rows):
            for column in range(n_columns):
                value = np.int64(images[index, row, column])
                x[row + MARGIN_ROWS, column + MARGIN] = 255 - value if inverted else value
        for row in range(n_rows):
            for column in range(n_columns):
                i, j = row + MARGIN_ROWS, column + MARGIN
                for k in range(n_near):
                    taps[k] = x[i + tap_rows[k], j + tap_columns[k]]
                mirror = n_columns - 1 - column
                for k in range(3):
                    other = mirror + (k if k < 2 else -1)
                    known = 0 <= other < column
                    taps[n_near + k] = x[i, other + MARGIN] if known else 0
                taps[N_TAPS - 1] = 16
                taps[N_TAPS] = x[i, j]
                for a in range(N_TAPS + 1):
                    for b in range(a, N_TAPS + 1):
                        sums[row, column, a, b] += taps[a] * taps[b]
