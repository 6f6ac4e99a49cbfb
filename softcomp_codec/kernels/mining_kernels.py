"""Counting every window of a shape layer that may become a shape (training only)."""

import numpy as np

from .allocation import zero_array
from .jit import inlined, kernel
from .shape_kernels import add_prefix_row, window_hash


@inlined
def _dense_row_runs(layer, max_height, max_width, runs):
    """Fill runs[row, column, width]: how many rows from `row` on are dense there, up to a limit.

    A row of a window is dense when at most half its cells are 0.
    """
    n_rows, n_columns = layer.shape
    for row in range(n_rows - 1, -1, -1):
        for column in range(n_columns):
            n_zeros = 0
            for width in range(1, min(max_width, n_columns - column) + 1):
                if layer[row, column + width - 1] == 0:
                    n_zeros += 1
                below = runs[row + 1, column, width] if row + 1 < n_rows else 0
                runs[row, column, width] = min(below + 1, max_height) if 2 * n_zeros <= width else 0


@kernel
def mine_windows(
    layer, image, max_height, max_width, powers, buckets, share, n_shares, threshold, keys, counts,
    examples, room,
):  # fmt: skip
    """Visit every dense window of more than one cell: in each row and each column at most half 0.

    Only windows of one `share` of the buckets, 0..n_shares - 1, are counted; shares write to
    different places, so they can run side by side. With `threshold` 0, each is counted in `buckets`
    (uint32, length a power of two, by its hash). Else those whose bucket reached the threshold are
    counted in the table `keys` (uint64), `counts` (int64), `examples` (int32: image, row, column,
    height, width). Returns (windows visited, table entries added), the latter -1 once there would
    be more than `room`.
    """
    n_rows, n_columns = layer.shape
    row_runs = zero_array((n_rows, n_columns, max_width + 1), np.int16)
    column_runs = zero_array((n_columns, n_rows, max_height + 1), np.int16)
    _dense_row_runs(layer, max_height, max_width, row_runs)
    _dense_row_runs(layer.T, max_width, max_height, column_runs)
    prefix = zero_array((n_rows + 1, n_columns + 1), np.uint64)
    for row in range(n_rows):
        add_prefix_row(layer, row, powers, prefix)
    bucket_mask = np.uint64(len(buckets) - 1)
    table_mask = np.uint64(len(keys) - 1)
    n_windows = 0
    n_added = 0
    for row in range(n_rows):
        for column in range(n_columns):
            for width in range(1, min(max_width, n_columns - column) + 1):
                for height in range(1, row_runs[row, column, width] + 1):
                    if column_runs[column, row, height] < width or height * width == 1:
                        continue
                    key = window_hash(prefix, row, column, height, width, powers)
                    bucket = (key >> np.uint64(20)) & bucket_mask
                    if np.int64(bucket) * n_shares // len(buckets) != share:
                        continue
                    n_windows += 1
                    if threshold == 0:
                        buckets[bucket] += 1
                        continue
                    if buckets[bucket] < threshold:
                        continue
                    slot = key & table_mask
                    while keys[slot] != 0 and keys[slot] != key:
                        slot = (slot + np.uint64(1)) & table_mask
                    if keys[slot] == 0:
                        if n_added == room:
                            return n_windows, -1
                        keys[slot] = key
                        examples[slot, 0] = image
                        examples[slot, 1] = row
                        examples[slot, 2] = column
                        examples[slot, 3] = height
                        examples[slot, 4] = width
                        n_added += 1
                    counts[slot] += 1
    return n_windows, n_added
