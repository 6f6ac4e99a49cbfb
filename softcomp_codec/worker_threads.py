"""Work on threads: all kernels release the interpreter's lock."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_T = TypeVar("_T")
_R = TypeVar("_R")

MOST_IN_CHUNK = 64
CHUNKS_A_THREAD = 8
"""Tiny images go to a thread by the chunk: handing each over would cost as much as coding it."""

thread_limit: ContextVar[int | None] = ContextVar("thread_limit", default=None)
"""Most threads that one image is coded on, for measurements; None: one a core."""


def on_threads(function: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
    """Apply a function to each of a few items; on threads where there are several of both."""
    n_threads = min(len(items), thread_limit.get() or os.cpu_count() or 1)
    if n_threads < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(function, items))


def in_parallel(first: Callable[[], _T], second: Callable[[], _R]) -> tuple[_T, _R]:
    """Return what two functions return; on two threads where there may be several."""
    if (thread_limit.get() or os.cpu_count() or 1) < 2:
        return first(), second()
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(second)
        return first(), found.result()


def map_many(function: Callable[[_T], _R], items: Iterable[_T], n_threads: int | None) -> list[_R]:
    """Apply a function to each of many items on threads, by default one a core; in their order."""
    everything = list(items)
    n_threads = n_threads or os.cpu_count() or 1
    size = min(max(1, len(everything) // (CHUNKS_A_THREAD * n_threads)), MOST_IN_CHUNK)
    chunks = [everything[start : start + size] for start in range(0, len(everything), size)]
    with ThreadPoolExecutor(n_threads) as pool:
        done = pool.map(lambda chunk: [function(item) for item in chunk], chunks)
        return [result for chunk in done for result in chunk]
