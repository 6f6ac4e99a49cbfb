"""Work on threads: all kernels release the interpreter's lock."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_T = TypeVar("_T")
_R = TypeVar("_R")

MOST_IN_CHUNK = 64
CHUNKS_A_THREAD = 8
"""Tiny images go to a thread by the chunk: handing each over would cost as much as coding it."""

thread_limit: ContextVar[int | None] = ContextVar("thread_limit", default=None)
"""Most threads that one image is coded on, for measurements; None: one a core."""


def n_threads_for(n_items: int) -> int:
    """Return on how many threads so many items of one image are worked on."""
    return min(n_items, thread_limit.get() or os.cpu_count() or 1)


def on_threads(function: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
    """Apply a function to each of a few items; on threads where there are several of both.

    They are begun in their order, and the first of the errors in that order is raised. The calling
    thread is one of the threads.
    """
    n_threads = n_threads_for(len(items))
    if n_threads < 2:
        return [function(item) for item in items]
    results: dict[int, _R] = {}
    errors: dict[int, BaseException] = {}
    lock, places = threading.Lock(), iter(range(len(items)))

    def work() -> None:
        while not errors:
            with lock:
                place = next(places, None)
            if place is None:
                return
            try:
                results[place] = function(items[place])
            except BaseException as error:  # raised below
                errors[place] = error

    with ThreadPoolExecutor(n_threads - 1) as pool:
        for _ in range(n_threads - 1):
            pool.submit(copy_context().run, work)
        work()
    if errors:
        raise errors[min(errors)]
    return [results[place] for place in range(len(items))]


def all_on_threads(*functions: Callable[[], Any]) -> list[Any]:
    """Return what some functions return, which are called as `on_threads` does; longest first."""
    return on_threads(lambda function: function(), functions)


def on_wavefront(function: Callable[[int, int], object], n_rows: int, n_columns: int) -> None:
    """Call a function for each (row, column) of a grid, for those above and to the left before."""
    n_threads = n_threads_for(min(n_rows, n_columns))
    diagonals = [
        [(row, last - row) for row in range(n_rows) if 0 <= last - row < n_columns]
        for last in range(n_rows + n_columns - 1)
    ]
    if n_threads < 2:
        for cell in [cell for cells in diagonals for cell in cells]:
            function(*cell)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        for cells in diagonals:
            list(pool.map(lambda cell: function(*cell), cells))


def map_many(function: Callable[[_T], _R], items: Iterable[_T], n_threads: int | None) -> list[_R]:
    """Apply a function to each of many items on threads, by default one a core; in their order."""
    everything = list(items)
    n_threads = n_threads or os.cpu_count() or 1
    size = min(max(1, len(everything) // (CHUNKS_A_THREAD * n_threads)), MOST_IN_CHUNK)
    chunks = [everything[start : start + size] for start in range(0, len(everything), size)]
    with ThreadPoolExecutor(n_threads) as pool:
        done = pool.map(lambda chunk: [function(item) for item in chunk], chunks)
        return [result for chunk in done for result in chunk]
