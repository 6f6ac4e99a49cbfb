"""Coefficients of pictures whose JPEG decoder did not round the samples (the encoder's search).

pixels -> luma and chroma with fractions, of which rounding pixels leaves a fifth of a level of
noise -> DCT of the blocks -> quantiser steps -> coefficients. All arithmetic is that of integers.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from . import quantiser_estimation, quantiser_tables
from .jpeg_emulation import BLOCK, FANCY, Past, invert_transform
from .jpeg_recovery import find_grid
from .jpeg_unrounded_coder import DECODERS, Unrounded, render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .jpeg_emulation import Component
    from .quantiser_tables import Table

_COMPONENTS = (
    (19595, 38470, 7471, -(128 << 16)),
    (-11059, -21709, 32768, 0),
    (32768, -27439, -5329, 0),
)
"""Shares of red, green and blue in Y, Cb and Cr, and what is added, in 65536ths."""

_ONE = 1 << 12
"""Coefficients are in 4096ths."""

_NOTHING = 3686
"""0.9: rounding noise has a deviation of 0.2."""


class _Trust(NamedTuple):
    """When a frequency's coefficients are multiples of a step.

    Attributes
    ----------
    share : int
        Percent of them that must be near one.
    near, part : int
        Nearer than either this or one in so many parts of the step.
    """

    share: int
    near: int
    part: int


_DOUBTFUL, _CERTAIN = _Trust(62, 1638, 12), _Trust(90, 2540, 8)
"""For all blocks, and for those that do not contradict what all say."""

_KINDS = (quantiser_tables.LUMA, quantiser_tables.CHROMA, quantiser_tables.CHROMA)

_LARGEST_STEP = 255
_UNKNOWN_STEP = 127
"""Of frequencies that have no coefficients."""

_FEWEST, _RARE = 3, 50
"""A frequency with fewer coefficients, or without a step and with fewer than one in so many blocks,
has none."""

_MOST_LOOKED_AT = 400

_MOST_WRONG = 2
"""A block with more coefficients that are no multiples tells nothing."""

_BUSY = 16
"""A block with so many coefficients tells a table."""

_FEWEST_ABOVE = 48
"""So many steps of a usual table must be above 1."""

_MOST_BUSY, _FEWEST_FITTING, _FITTING_SHARE = 256, 16, 8
"""Of so many busy blocks so many must fit a usual table, and so many percent; others may have been
retouched."""

_MOST_ROUNDS = 8
"""Of completing blocks: what has settled earlier is left."""

_NEAR_TIE = 16
"""Tables that fit fewer blocks by one in so many or less are told apart by how closely they fit."""

_LEAST_EXACT = 10
"""Percent of the pixels that one of the decoders must give."""

_TELLING, _LEAST_TELLING = 20, 6
"""So many frequencies must have a step above 1, each with so many coefficients."""


def recover(picture: NDArray[Any]) -> Unrounded | None:
    """Return the coefficients of a picture that was a JPEG once, None of others.

    Parameters
    ----------
    picture : ndarray, uint8, (H, W, 3)
        Gray pictures, (H, W), have none: their samples are the pixels.
    """
    if picture.ndim == 2:
        return None
    luma = _component(picture, 0)
    phase = find_grid((luma + 32) >> 6)
    if phase is None:
        return None
    is_inside: Any = (picture > 0) & (picture < 255)
    # nor do blocks tell anything of which only a part is shown
    clean = _blocks(is_inside.all(axis=2), phase, "constant").all(axis=2)
    shape = clean.shape
    clean = clean.reshape(-1)
    told = _transform(luma, phase)
    chroma = [_transform(_component(picture, index), phase) for index in (1, 2)]
    tables = _usual_tables_of(told[clean]) or _own_tables(told, chroma, clean)
    if tables is None:
        return None
    planes = (told, *chroma)
    offsets = [_offsets(each[clean], table) for each, table in zip(planes, tables, strict=True)]
    quantised = [_quantised(*each) for each in zip(planes, tables, offsets, strict=True)]
    _complete(picture, phase, tables, offsets, quantised)
    coefficients = [each.reshape(*shape, BLOCK * BLOCK) for each in quantised]
    past = Past((1, 1), phase, (False, False), FANCY, tables)
    found = [Unrounded(past, decoder, coefficients) for decoder in DECODERS]
    shares = [_exact_percent(picture, each) for each in found]
    best = max(range(len(found)), key=shares.__getitem__)
    return found[best] if shares[best] >= _LEAST_EXACT else None


def _complete(
    picture: NDArray[Any],
    phase: tuple[int, int],
    tables: Sequence[Table],
    offsets: Sequence[NDArray[np.int64]],
    quantised: Sequence[NDArray[np.int16]],
) -> None:
    """Find the coefficients of blocks with clipped pixels, or of which only a part is shown.

    What is not known of the pixels is what the coefficients make of them, which gives others.
    """
    shown = _blocks(np.ones(picture.shape[:2], np.bool_), phase, "constant").reshape(-1, 64)
    levels = [_blocks(picture[:, :, channel], phase).reshape(-1, 64) for channel in range(3)]
    pixels = np.stack(levels, axis=2).astype(np.int32)
    unknown: Any = ~shown[:, :, None] | (pixels == 0) | (pixels == 255)
    places = np.flatnonzero(unknown.any(axis=(1, 2)))
    for _ in range(_MOST_ROUNDS):
        if not len(places):
            break
        made = _pixels_of([each[places] for each in quantised], tables)
        there, is_shown = pixels[places], shown[places][:, :, None]
        low, high = is_shown & (there == 0), is_shown & (there == 255)
        values = np.where(is_shown, there << 6, made)
        values = np.where(low, np.minimum(made, 0), values)
        values = np.where(high, np.maximum(made, 255 << 6), values)
        moved = np.zeros(len(places), np.bool_)
        for index, each in enumerate(quantised):
            told = _dct(_component(values, index, 6))
            found = _quantised(told, tables[index], offsets[index])
            moved |= (found != each[places]).any(axis=1)
            each[places] = found
        places = places[moved]


def _pixels_of(
    quantised: Sequence[NDArray[np.int16]], tables: Sequence[Table]
) -> NDArray[np.int32]:
    """Return the pixels (n, 64, 3) of blocks in 64ths, neither rounded nor clipped."""
    planes = []
    for blocks, table in zip(quantised, tables, strict=True):
        fine = invert_transform(blocks.reshape(1, -1, 64), table, (BLOCK, BLOCK * len(blocks)))
        parts = fine.reshape(BLOCK, -1, BLOCK).transpose(1, 0, 2).reshape(-1, BLOCK * BLOCK)
        planes.append(parts.astype(np.int64) - 32)
    y, cb, cr = planes
    y = (y + (128 << 6)) << 16
    rgb = np.stack([y + 91881 * cr, y - 22554 * cb - 46802 * cr, y + 116130 * cb], axis=2)
    return (rgb >> 16).astype(np.int32)


def _exact_percent(picture: NDArray[Any], found: Unrounded) -> int:
    """Return how many percent of the pixels the decoder makes of the coefficients.

    Of those in blocks with details: flat ones fit anything.
    """
    is_exact: Any = (render(found, *picture.shape[:2]) == picture).all(axis=2)
    detailed = found.coefficients[0][:, :, 1:].any(axis=2)
    n_exact, n_shown = (
        int(_blocks(each, found.past.phase, "constant")[detailed].sum())
        for each in (is_exact, np.ones(is_exact.shape, np.bool_))
    )
    return 100 * n_exact // max(1, n_shown)


def _component(colours: NDArray[Any], index: int, n_bits: int = 0) -> Component:
    """Return Y, Cb or Cr in 64ths, about 0, of colours in levels over 2 ** `n_bits`."""
    red, green, blue, offset = _COMPONENTS[index]
    parts: Any = colours.astype(np.int64 if n_bits else np.int32)
    total = parts[..., 0] * red + parts[..., 1] * green + parts[..., 2] * blue
    rounding = (offset << n_bits) + (1 << (9 + n_bits))
    plane: Component = ((total + rounding) >> (10 + n_bits)).astype(np.int32)
    return plane


def _blocks(
    plane: NDArray[Any], phase: tuple[int, int], margin: Literal["edge", "constant"] = "edge"
) -> NDArray[Any]:
    """Return (blocks down, blocks across, 64) of a plane, continued by its margins or by 0."""
    margins = [
        (before, -(before + side) % BLOCK) for before, side in zip(phase, plane.shape, strict=True)
    ]
    plane = np.pad(plane, margins, margin)
    n_down, n_across = plane.shape[0] // BLOCK, plane.shape[1] // BLOCK
    parts = plane.reshape(n_down, BLOCK, n_across, BLOCK).transpose(0, 2, 1, 3)
    return parts.reshape(n_down, n_across, BLOCK * BLOCK)


def _transform(plane: Component, phase: tuple[int, int]) -> NDArray[np.int32]:
    """Return the DCT of all blocks of a plane, (n, 64), in 4096ths."""
    return _dct(_blocks(plane, phase).reshape(-1, BLOCK * BLOCK))


def _dct(blocks: Component) -> NDArray[np.int32]:
    """Return the DCT of blocks (n, 64) of 64ths, in 4096ths."""
    return (quantiser_estimation.transform(blocks) + 16) >> 5


def _steps(
    told: NDArray[np.int32], clean: NDArray[np.bool_]
) -> tuple[list[int], int, NDArray[np.bool_]]:
    """Return the quantiser steps that clean blocks tell, and how many frequencies tell one above 1.

    And those blocks without the ones that others contradict, such as retouched ones.
    """
    steps, n_telling = _steps_of(told[clean], _DOUBTFUL)
    agree = clean
    for _ in range(2):
        if n_telling < _LEAST_TELLING:
            break
        n_wrong = (_distances(told, steps) > _tolerances(steps, _CERTAIN)).sum(axis=1)
        agree = clean & (n_wrong <= _MOST_WRONG)
        if not agree.any():
            break
        steps, n_telling = _steps_of(told[agree], _CERTAIN)
    return steps, n_telling, agree


@cache
def _usual_tables(kind: int) -> NDArray[np.int64]:
    """Return tables that are usual: libjpeg's, and the same rounded down, with steps of 2 or more.

    Those of PH2 (DECISIONS) are of the latter sort.
    """
    tables = [quantiser_tables.libjpeg_table(kind, quality) for quality in range(100, 0, -1)]
    base = np.array(quantiser_tables.libjpeg_table(kind, 50))
    tables += [tuple(np.maximum(base * scale // 100, 2).tolist()) for scale in range(1, 201)]
    return np.array(tables, np.int64)


def _usual_tables_of(told: NDArray[np.int32]) -> tuple[Table, ...] | None:
    """Return the usual tables that some of the luma's blocks are multiples of, None without any."""
    busy = told[(np.abs(told) > 2 * _ONE).sum(axis=1) >= _BUSY]
    busy = busy[:: -(-len(busy) // _MOST_BUSY) or 1]
    counts, closeness = [], []
    for table in _usual_tables(quantiser_tables.LUMA):
        fits = (_distances(busy, table) > _tolerances(table, _CERTAIN)).sum(axis=1) <= _MOST_WRONG
        # what is all zeros fits any steps
        fits &= (2 * np.abs(busy) > table * _ONE).sum(axis=1) >= _BUSY
        fits &= (table > 1).sum() >= _FEWEST_ABOVE  # whatever there is fits steps of 1
        counts.append(int(fits.sum()))
        closeness.append(_closeness(busy[fits], table))
    most = max(counts)
    if most < _FEWEST_FITTING or 100 * most < _FITTING_SHARE * len(busy):
        return None
    likely = [n >= most - most // _NEAR_TIE for n in counts]
    best = int(np.argmax(np.where(likely, closeness, -1)))
    return tuple(tuple(_usual_tables(kind)[best].tolist()) for kind in _KINDS)


def _closeness(told: NDArray[np.int32], table: NDArray[np.int64]) -> int:
    """Return how many bits nearer than a step its multiples are to coefficients, in all.

    A table fits the multiples of its steps, too, but not as closely for its steps as theirs does.
    """
    nearest = np.maximum(_distances(told, table), _ONE // 4)
    _, bits = np.frexp(table * _ONE // nearest)
    return int(bits[np.abs(told) > 2 * _ONE].sum())


def _own_tables(
    told: NDArray[np.int32], chroma: list[NDArray[np.int32]], clean: NDArray[np.bool_]
) -> tuple[Table, ...] | None:
    """Return tables step by step, as clean blocks tell them, None where these tell nothing."""
    steps, n_telling, agree = _steps(told, clean)
    if n_telling < _LEAST_TELLING:
        return None
    of_chroma, _, _ = _steps(np.concatenate(chroma), np.concatenate([agree, agree]))
    return tuple(steps), tuple(of_chroma), tuple(of_chroma)


def _steps_of(told: NDArray[np.int32], trust: _Trust) -> tuple[list[int], int]:
    steps, n_telling = [], 0
    for frequency, column in enumerate(told.T):
        # that of the first coefficients has an offset, and differences none
        sizes = np.abs(
            np.diff(column[: len(column) & ~1].reshape(-1, 2)) if not frequency else column
        )
        found = np.sort(sizes[sizes > _NOTHING].reshape(-1))
        step = (
            _step(found[:: -(-len(found) // _MOST_LOOKED_AT)], trust)
            if len(found) >= _FEWEST
            else 1
        )
        if step == 1 and len(found) * _RARE < len(told):
            step = _UNKNOWN_STEP
        steps.append(step)
        n_telling += 1 < step < _UNKNOWN_STEP and len(found) >= _TELLING
    return steps, n_telling


def _step(sizes: NDArray[np.int32], trust: _Trust) -> int:
    """Return the largest step of which nearly all sizes, in order, are multiples; 1 of none."""
    tenth = int(sizes[len(sizes) // 10])
    highest = min(_LARGEST_STEP, tenth * 8 // (7 * _ONE) + 1)
    steps = np.arange(1, highest + 1)
    distances = _distances(sizes[:, None], steps)
    n_near = (distances < _tolerances(steps, trust)).sum(axis=0)
    fitting = steps[(100 * n_near >= trust.share * len(sizes)) & (steps * _ONE * 7 // 8 <= tenth)]
    if not len(fitting):
        return 1
    likely = fitting[2 * fitting > fitting[-1]]  # others divide those
    return int(likely[distances.sum(axis=0)[likely - 1].argmin()])


def _distances(told: NDArray[np.int32], steps: Any) -> NDArray[np.int32]:
    """Return how far coefficients are from the nearest multiples of steps, column by column."""
    whole = np.array(steps, np.int32) * np.int32(_ONE)
    rest = np.abs(told) % whole
    distances: NDArray[np.int32] = np.minimum(rest, whole - rest)
    return distances


def _tolerances(steps: Any, trust: _Trust) -> NDArray[np.int32]:
    """Return up to which distance a coefficient is a multiple of a step."""
    parts = np.array(steps, np.int32) * np.int32(_ONE) // trust.part
    tolerances: NDArray[np.int32] = np.maximum(trust.near, parts)
    return tolerances


def _offsets(told: NDArray[np.int32], table: Table) -> NDArray[np.int64]:
    """Return by how much coefficients are more than multiples on average.

    Decoders that cut products off have such offsets.
    """
    steps = np.array(table, np.int64) * _ONE
    offsets = np.zeros(BLOCK * BLOCK, np.int64)
    for _ in range(2):
        nearest = (2 * (told - offsets) + steps) // (2 * steps)
        offsets = (told - nearest * steps).sum(axis=0) // len(told)
    return offsets


def _quantised(
    told: NDArray[np.int32], table: Table, offsets: NDArray[np.int64]
) -> NDArray[np.int16]:
    """Return the nearest multiples of the steps, offsets taken off."""
    steps = np.array(table, np.int64) * _ONE
    nearest = (2 * (told - offsets) + steps) // (2 * steps)
    coefficients: NDArray[np.int16] = np.clip(nearest, -32768, 32767).astype(np.int16)
    return coefficients
