"""Mining a set of shape layers for windows that occur often (training only)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from .kernels import mining_kernels
from .shapes import hash_powers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from .layers import Layer

    Table = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int32]]

BUCKETS = 1 << 26
TABLE = 1 << 23

N_REPORTED = 128
"""Shapes whose counts the training record keeps."""

IMAGES_PER_COUNT = 1000
"""A window must occur once in so many images, and at least twice."""


def mine_windows(
    high: Sequence[Layer],
    max_side: int,
    n_wanted: int,
    pool: Executor,
    workers: int,
    progress: Callable[[int, int], None],
) -> list[tuple[int, Layer]]:
    """Count every dense window of every layer; return the most promising ones.

    A window is dense when in each of its rows and in each of its columns at most half the cells
    are 0 (the paper's density condition). Occurrences overlap freely. A first pass counts hashes,
    a second one the windows whose hash was frequent enough. Both are sums, and each thread counts a
    share of the hashes, so the result depends neither on the order of the layers nor on `workers`.

    Parameters
    ----------
    high : sequence of ndarray, uint16
        Shape layers.
    max_side : int
        Largest height and width.
    n_wanted : int
        How many windows to return.
    pool : Executor
        Threads, at least `workers`.
    workers : int
        Shares of the hashes; each visits all layers.
    progress : callable
        Called with (layers done, layers in all); each layer is visited twice or more.

    Returns
    -------
    list of (count, window)
        Those of the largest count times (number of non-zero cells - 1); ties by content.
    """
    counts, examples = count_windows(
        high, max_side, max(2, len(high) // IMAGES_PER_COUNT), pool, workers, progress
    )
    windows = _windows(high, counts, examples)
    windows.sort(key=lambda entry: (-entry[0], entry[2].shape, entry[2].tobytes()))
    return [(count, np.ascontiguousarray(window)) for _, count, window in windows[:n_wanted]]


def count_windows(
    high: Sequence[Layer],
    max_side: int,
    threshold: int,
    pool: Executor,
    workers: int,
    progress: Callable[[int, int], None],
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Count every dense window of more than one cell; see `mine_windows`.

    Returns
    -------
    counts : ndarray, int64, shape (n,)
        All at least `threshold`, which is doubled until the windows fit into a table.
    examples : ndarray, int32, shape (n, 5)
        Where each occurs: layer, row, column, height, width. In no particular order.
    """
    powers = hash_powers(*np.max([layer.shape for layer in high], axis=0).tolist())
    buckets = np.zeros(BUCKETS, np.uint32)

    def count_share(share: int, threshold: int) -> Table | None:
        """Visit all layers; None where the frequent windows do not fit into a table."""
        size = TABLE if threshold else 1
        table = np.zeros(size, np.uint64), np.zeros(size, np.int64), np.zeros((size, 5), np.int32)
        n_used = 0
        for index, layer in enumerate(high):
            _, n_added = mining_kernels.mine_windows(
                layer, index, max_side, max_side, powers, buckets, share, workers, threshold,
                *table, TABLE // 2 - n_used,
            )  # fmt: skip
            if n_added < 0:
                return None
            n_used += n_added
            if share == 0 and index % 64 == 0:
                progress(index + (len(high) if threshold else 0), 2 * len(high))
        return table

    def count_all(threshold: int) -> list[Table | None]:
        return list(pool.map(partial(count_share, threshold=threshold), range(workers)))

    count_all(0)
    while not _fit(tables := count_all(threshold)):
        threshold *= 2
    progress(2 * len(high), 2 * len(high))
    found = []
    for table in tables:
        assert table is not None
        keys, counts, examples = table
        slots = np.nonzero((keys != 0) & (counts >= threshold))[0]
        found.append((counts[slots], examples[slots]))
    return np.concatenate([c for c, _ in found]), np.concatenate([e for _, e in found])


def most_used(counts: Sequence[int]) -> list[list[int]]:
    """Return [shape, count] of the shapes with the largest counts, the earlier of equals first."""
    order = sorted(range(len(counts)), key=lambda shape: (-counts[shape], shape))
    return [[shape, counts[shape]] for shape in order[:N_REPORTED]]


def plane_label(kind: str, index: int, n_planes: int) -> str:
    """Return what a plane is called in the training record."""
    return f"{kind} plane {index + 1}/{n_planes}" if n_planes > 1 else kind


def _fit(tables: Sequence[Table | None]) -> bool:
    """Whether all windows would fit into one table, whatever the number of shares."""
    n_used = 0
    for table in tables:
        if table is None:
            return False
        n_used += int(np.count_nonzero(table[0]))
    return n_used <= TABLE // 2


def _windows(
    high: Sequence[Layer], counts: NDArray[np.int64], examples: NDArray[np.int32]
) -> list[tuple[int, int, Layer]]:
    """Return (rank, count, window) of the windows that a table found."""
    windows = []
    for count, (image, row, column, height, width) in zip(
        counts.tolist(), examples.tolist(), strict=True
    ):
        window = high[image][row : row + height, column : column + width]
        windows.append((count * (int(np.count_nonzero(window)) - 1), count, window))
    return windows
