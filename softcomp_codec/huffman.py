"""Canonical Huffman codes (SPEC 4.2): lengths from counts, codewords and tables from lengths."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import numpy as np

from .kernels.bit_kernels import MAX_CODE_LENGTH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DecodeTable = tuple["NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.int64]"]


def code_lengths(counts: Sequence[int]) -> NDArray[np.uint8]:
    """Return the codeword length of each symbol.

    Parameters
    ----------
    counts : sequence of int
        How often each symbol occurs; less than 1 counts as 1.

    Returns
    -------
    ndarray, uint8, values 1..24
        Lengths of a complete code. Where the optimal code is longer than 24 bits, all counts are
        halved until it is not. Ties go to the earlier symbol, so lengths depend on `counts` only.
    """
    weights = [max(1, int(count)) for count in counts]
    while True:
        lengths = _depths(weights)
        if max(lengths) <= MAX_CODE_LENGTH:
            return np.array(lengths, np.uint8)
        weights = [(weight + 1) >> 1 for weight in weights]


def _depths(weights: list[int]) -> list[int]:
    n_symbols = len(weights)
    if n_symbols == 1:
        return [1]
    heap = [(weight, node) for node, weight in enumerate(weights)]
    heapq.heapify(heap)
    parent = [0] * (2 * n_symbols - 1)
    for node in range(n_symbols, 2 * n_symbols - 1):
        left, right = heapq.heappop(heap), heapq.heappop(heap)
        parent[left[1]] = parent[right[1]] = node
        heapq.heappush(heap, (left[0] + right[0], node))
    depth = [0] * (2 * n_symbols - 1)
    for node in range(2 * n_symbols - 3, -1, -1):
        depth[node] = depth[parent[node]] + 1
    return depth[:n_symbols]


def is_prefix_code(lengths: NDArray[np.uint8]) -> bool:
    """Whether lengths are within 1..24 and no more codewords are claimed than exist."""
    if len(lengths) == 0 or lengths.min() < 1 or lengths.max() > MAX_CODE_LENGTH:
        return False
    return int((1 << (MAX_CODE_LENGTH - lengths.astype(np.int64))).sum()) <= 1 << MAX_CODE_LENGTH


def codewords(lengths: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the canonical codeword of each symbol, right-aligned; see `decode_table`."""
    first_code, first_index, symbols = decode_table(lengths)
    words = np.empty(len(lengths), np.uint32)
    ordered = lengths[symbols].astype(np.int64)
    words[symbols] = first_code[ordered] + np.arange(len(symbols)) - first_index[ordered]
    return words


def decode_table(lengths: NDArray[np.uint8]) -> DecodeTable:
    """Return (first_code, first_index, symbols) of a canonical code (SPEC 4.2).

    ``first_code[n]`` is the first codeword of n bits; the symbols of that length, in ascending
    order, are ``symbols[first_index[n]:first_index[n + 1]]``.
    """
    symbols = np.argsort(lengths, kind="stable").astype(np.int64)
    per_length = np.bincount(lengths, minlength=MAX_CODE_LENGTH + 2).astype(np.int64)
    first_index = np.zeros(MAX_CODE_LENGTH + 2, np.int64)
    first_code = np.zeros(MAX_CODE_LENGTH + 2, np.int64)
    for length in range(1, MAX_CODE_LENGTH + 1):
        first_index[length + 1] = first_index[length] + per_length[length]
        first_code[length + 1] = (first_code[length] + per_length[length]) << 1
    return first_code, first_index, symbols
