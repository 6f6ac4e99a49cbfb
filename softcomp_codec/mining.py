"""Mining a set of shape layers for windows that occur often (training only)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .kernels import mining_kernels
from .shapes import hash_powers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from .layers import Layer

BUCKETS = 1 << 26
TABLE = 1 << 23

IMAGES_PER_COUNT = 1000
"""A window must occur once in so many images, and at least twice."""


def mine_windows(
    high: Sequence[Layer],
    max_side: int,
    n_wanted: int,
    progress: Callable[[int, int], None],
) -> list[tuple[int, Layer]]:
    """Count every dense window of every layer; return the most promising ones.

    A window is dense when in each of its rows and in each of its columns at most half the cells
    are 0 (the paper's density condition). Occurrences overlap freely. A first pass counts hashes,
    a second one the windows whose hash was frequent enough, so the result does not depend on the
    order of the layers.

    Parameters
    ----------
    high : sequence of ndarray, uint16
        Shape layers.
    max_side : int
        Largest height and width.
    n_wanted : int
        How many windows to return.
    progress : callable
        Called with (layers done, layers in all); each layer is visited twice or more.

    Returns
    -------
    list of (count, window)
        Those of the largest count times (number of non-zero cells - 1); ties by content.
    """
    powers = hash_powers(*np.max([layer.shape for layer in high], axis=0).tolist())
    buckets = np.zeros(BUCKETS, np.uint32)
    empty = np.zeros((1,), np.uint64), np.zeros(1, np.int64), np.zeros((1, 5), np.int32)
    for index, layer in enumerate(high):
        mining_kernels.mine_windows(layer, index, max_side, max_side, powers, buckets, 0, *empty, 0)
        if index % 64 == 0:
            progress(index, 2 * len(high))
    threshold = max(2, len(high) // IMAGES_PER_COUNT)
    while (table := _count_frequent(high, max_side, powers, buckets, threshold, progress)) is None:
        threshold *= 2
    keys, counts, examples = table
    slots = np.nonzero((keys != 0) & (counts >= threshold))[0]
    progress(2 * len(high), 2 * len(high))
    return _most_promising(high, counts[slots], examples[slots], n_wanted)


def _count_frequent(
    high: Sequence[Layer],
    max_side: int,
    powers: NDArray[np.uint64],
    buckets: NDArray[np.uint32],
    threshold: int,
    progress: Callable[[int, int], None],
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int32]] | None:
    """Second pass; None where the windows do not fit into the table."""
    keys = np.zeros(TABLE, np.uint64)
    counts = np.zeros(TABLE, np.int64)
    examples = np.zeros((TABLE, 5), np.int32)
    n_used = 0
    for index, layer in enumerate(high):
        _, n_added = mining_kernels.mine_windows(
            layer, index, max_side, max_side, powers, buckets, threshold, keys, counts, examples,
            TABLE // 2 - n_used,
        )  # fmt: skip
        if n_added < 0:
            return None
        n_used += n_added
        if index % 64 == 0:
            progress(len(high) + index, 2 * len(high))
    return keys, counts, examples


def _most_promising(
    high: Sequence[Layer], counts: NDArray[np.int64], examples: NDArray[np.int32], n_wanted: int
) -> list[tuple[int, Layer]]:
    windows = []
    for count, (image, row, column, height, width) in zip(
        counts.tolist(), examples.tolist(), strict=True
    ):
        window = high[image][row : row + height, column : column + width]
        windows.append((count * (int(np.count_nonzero(window)) - 1), count, window))
    windows.sort(key=lambda entry: (-entry[0], entry[2].shape, entry[2].tobytes()))
    return [(count, np.ascontiguousarray(window)) for _, count, window in windows[:n_wanted]]
