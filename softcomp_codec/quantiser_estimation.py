"""The quantiser steps of a JPEG, estimated from decoded samples (the encoder's search)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from . import quantiser_tables
from .kernels import estimation_kernels as kernels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from .quantiser_tables import Table

    Ints = NDArray[np.int32]

LARGEST_STEP = 255

_NOTHING, _LITTLE = 3686, 12288
"""0.9 and 3: rounding noise has a deviation of 0.29, and up to 3 where few are not 0."""

# log2 of the density of rounding noise in eighths of a level, in 16ths
_LIKELIHOODS = (5, 1, -6, -18, -33, -51, -71, -89, -103, -114)
_MILD, _WORST = -24, -96
"""What one coefficient tells against a step at most, with broken blocks and without."""

_BROKEN = 8
"""Blocks with so many coefficients that are no multiples have wrong samples."""

_SAME_QUALITY = 160
"""What chroma must tell against libjpeg's table of the luma's quality, in 16ths of a bit."""

_CUSTOM = 160
"""What a frequency must tell for another step than that of libjpeg's table; if that fits, more."""

_MANY_CUSTOM = 8
"""So many other steps are none of libjpeg's tables."""

_MANY_BUSY = 40
"""So many blocks with several coefficients are enough; blocks with one or two are doubtful."""


@cache
def cosines(n_bits: int) -> Ints:
    """Return the orthonormal DCT of 8 samples (frequency, sample), in 2 ** n_bits."""
    # cos(turn pi / 16) / 2 in 2 ** 20
    turns = (524288, 514214, 484379, 435930, 370728, 291279, 200636, 102283, 0)

    def value(u: int, x: int) -> int:
        if u == 0:
            return turns[4]
        turn = (2 * x + 1) * u % 32
        turn = min(turn, 32 - turn)
        return turns[turn] if turn <= 8 else -turns[16 - turn]

    exact = np.array([[value(u, x) for x in range(8)] for u in range(8)], np.int64)
    signs, sizes = np.sign(exact), np.abs(exact)
    rounded: Any = signs * ((sizes + (1 << (19 - n_bits))) >> (20 - n_bits))
    return np.ascontiguousarray(rounded, np.int32)


@cache
def _gains() -> Ints:
    """Return log2 of each step in 16ths."""
    steps = [0, *((step**16).bit_length() - 1 for step in range(1, LARGEST_STEP + 1))]
    return np.array(steps, np.int32)


def transform(doubled: Ints) -> Ints:
    """Return the DCT in 4096ths of blocks (n, 64) of doubled samples about 0."""
    out = np.empty(doubled.shape, np.int32)
    kernels.transform_blocks(np.ascontiguousarray(doubled, np.int32), cosines(11), out)
    return out


def zeros_by_grid(plane: Ints, top: int, left: int, n_blocks: int) -> NDArray[np.int64]:
    """Return (8, 8): how many coefficients are nearly 0 in blocks from each place on.

    `top` and `left` are those of the window of 8 (n_blocks + 1) samples a side.
    """
    counts = np.zeros((8, 8), np.int64)
    limit = _NOTHING << (kernels.ROW_BITS + kernels.COLUMN_BITS - kernels.BASIS_BITS)
    plane = np.ascontiguousarray(plane, np.int32)
    kernels.count_zeros(plane, top, left, n_blocks, cosines(kernels.ROW_BITS), limit, counts)
    return counts


def busy_blocks(coefficients: Ints) -> Ints:
    """Return the blocks whose rounding noise is that of chance, or all where these are few."""
    busy = (np.abs(coefficients) > _LITTLE).sum(axis=1) >= 4
    return coefficients[busy] if busy.sum() >= _MANY_BUSY else coefficients


def whole_blocks(coefficients: Ints, table: Table) -> Ints:
    """Return the blocks most of whose coefficients are multiples of a table's steps."""
    steps = np.array(table, np.int32) << kernels.BASIS_BITS
    rest = np.abs(coefficients) % steps
    whole = (np.minimum(rest, steps - rest) > _NOTHING).sum(axis=1) < _BROKEN
    return np.ascontiguousarray(coefficients[whole])


def step_scores(coefficients: Ints, worst: int = _WORST) -> NDArray[np.int64]:
    """Return (64, steps + 1): what coefficients tell for each step, in 16ths of a bit."""
    scores = np.zeros((64, LARGEST_STEP + 1), np.int64)
    kernels.score_steps(
        np.ascontiguousarray(coefficients), _NOTHING, _LITTLE, _gains(),
        np.array(_LIKELIHOODS, np.int32), worst, scores,
    )  # fmt: skip
    return scores


def estimate_table(
    coefficients: Ints, kind: int, quality: int | None = None, hints: Iterable[Table] = ()
) -> tuple[Table, int | None]:
    """Return (table, nearest quality of libjpeg) of a component.

    Parameters
    ----------
    coefficients : ndarray, int32, (n, 64)
        DCT of decoded blocks, in 4096ths.
    kind : int
        `quantiser_tables.LUMA` or `CHROMA`.
    quality : int, optional
        Of the luma, which chroma has too unless it tells otherwise.
    hints : iterable of table
        Also likely.
    """
    told = busy_blocks(coefficients)
    likely, _ = _best(step_scores(told, _MILD), kind, quality, tuple(hints))
    scores = step_scores(whole_blocks(told, likely))
    best, found = _best(scores, kind, quality, tuple(hints))
    best_steps = scores.argmax(axis=1)
    now = scores[np.arange(64), np.minimum(np.array(best), LARGEST_STEP)]
    # a JPEG of a JPEG has multiples too, but then libjpeg's table fits
    fits = now[1:].sum() > 0 and (now < -_CUSTOM).sum() < _MANY_CUSTOM
    custom = list(best)
    for k in range(64):
        gain = int(scores[k, best_steps[k]]) - max(int(now[k]), 0)
        if gain > _CUSTOM and (now[k] < 0 or (not fits and gain > 4 * _CUSTOM)):
            custom[k] = max(1, int(best_steps[k]))
    return tuple(custom), found


@cache
def _libjpeg_tables(kind: int) -> NDArray[np.int64]:
    """Return libjpeg's tables of qualities 100 to 1, in that order."""
    tables = [quantiser_tables.libjpeg_table(kind, quality) for quality in range(100, 0, -1)]
    return np.array(tables, np.int64)


def _best(
    scores: NDArray[np.int64], kind: int, quality: int | None, hints: tuple[Table, ...]
) -> tuple[Table, int | None]:
    """Return the table that fits best, and its quality; without the first, which tells little."""
    # libjpeg's other table is rarely meant, but some encoders know only one
    hinted = np.array(hints, np.int64).reshape(-1, 64)
    tables = np.concatenate([hinted, _libjpeg_tables(kind), _libjpeg_tables(1 - kind)])
    told = scores[np.arange(1, 64), np.minimum(tables[:, 1:], LARGEST_STEP)].sum(axis=1)
    told[-100:] -= _SAME_QUALITY
    if quality is not None:
        told[len(hints) + 100 - quality] += _SAME_QUALITY
    best = int(told.argmax())
    found = None if best < len(hints) else 100 - (best - len(hints)) % 100
    return tuple(int(step) for step in tables[best]), found
