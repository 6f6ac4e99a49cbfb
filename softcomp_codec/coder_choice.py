"""Which coder and which codebook make an image smallest, found at a small part of the cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import codebook_store
from .coders import BILEVEL, CODERS, CONTEXT, REFERENCE, SHAPES, TINY_PIXELS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from numpy.typing import NDArray

    from .codebook import Codebook
    from .coders import Coder, Prior
    from .container import Mode

    CodebookChoice = str | PathLike[str] | Codebook | None
    Coded = tuple[bytes, Coder, bool]
    """A payload, its coder, and whether it needs the codebook."""

CODER_CHOICES = {
    "auto": (BILEVEL, CONTEXT, SHAPES),
    "bilevel": (BILEVEL,),
    "context": (CONTEXT,),
    "shapes": (SHAPES,),
}

THOROUGH_EFFORT = 7
"""From this effort on, tiny images are coded in every way, whatever their looks."""

TRIAL_SIDE = 384
TRIAL_FRAMES = 4
"""`auto` compares codebooks on the middle of this size of at most so many frames."""

AUTO_PIXELS = 1 << 18
"""In larger images a prior saves less than trying several would cost time."""

TRIAL_EFFORT = 5
"""From this effort on, a codebook is compared with none."""

TRIAL_REFERENCE = 4
"""Bytes that naming a codebook costs a trial."""


def coders_for(choice: str, mode: Mode, shape: tuple[int, ...]) -> tuple[Coder, ...]:
    """Return the coders that may be the smallest for such images.

    Raises
    ------
    ValueError
        No such choice.
    """
    if choice not in CODER_CHOICES:
        raise ValueError(f"coder is {choice!r}, expected one of {', '.join(CODER_CHOICES)}")
    coders = [coder for coder in CODER_CHOICES[choice] if coder.codes(mode)]
    if choice != "auto":
        return tuple(coders)
    dropped = set()
    if mode.bits_per_sample == 1:
        dropped.add(CONTEXT)
    if shape[0] * shape[1] > TINY_PIXELS:
        dropped.add(SHAPES)
    return tuple(coder for coder in coders if coder not in dropped)


def code_at_once(
    choice: CodebookChoice, array: NDArray[Any], mode: Mode, effort: int, coders: Sequence[Coder]
) -> tuple[Coded, Codebook] | None:
    """Return (coded samples, codebook) of a tiny image that a prior suits well, else None.

    A thousand images a second could not be coded in other ways as well.
    """
    height, width = array.shape[:2]
    quick = [coder for coder in coders if coder.suits]
    if height * width > TINY_PIXELS or not quick or choice is None or choice == "none":
        return None
    if effort >= THOROUGH_EFFORT and len(coders) > 1:
        return None
    if choice == "auto":
        books = codebook_store.bundled_codebooks(mode)
    else:
        books = (codebook_store.load_codebook(choice),)
    found: tuple[Coded, Codebook] | None = None
    for book in books:
        for coder in quick:
            prior = coder.prior(book, mode, height, width)
            coded = coder.encode(array, mode, effort, prior) if prior else None
            if coded is not None and (found is None or len(coded[0]) < len(found[0][0])):
                found = (coded[0], coder, coded[1]), book
    if found is None:
        return None
    payload, coder, uses_book = found[0]
    suits = coder.suits is not None and uses_book and coder.suits(array, payload)
    return found if suits else None


def choose_codebook(
    choice: CodebookChoice, arrays: Sequence[NDArray[Any]], mode: Mode, coders: Sequence[Coder]
) -> Codebook | None:
    """Return the codebook to code with; `auto` tries the bundled ones on a part of the samples."""
    if choice is None or choice == "none":
        return None
    if choice != "auto":
        book = codebook_store.load_codebook(choice)
        return book if book.fits(mode) else None
    height, width = arrays[0].shape[:2]
    if SHAPES not in coders and height * width > AUTO_PIXELS:
        return None
    fitting: list[Codebook | None] = [
        book
        for book in codebook_store.bundled_codebooks(mode)
        if any(coder.prior(book, mode, height, width) for coder in [*coders, REFERENCE])
    ]
    if not fitting:
        return None
    fitting.append(None)
    side = TRIAL_SIDE if SHAPES in coders else min(coder.trial_side for coder in coders)
    trial = [middle_of(array, side) for array in arrays[:: -(-len(arrays) // TRIAL_FRAMES)]]
    sizes = [
        sum(_trial_size(array, mode, book, coders) for array in trial)
        + (len(trial) * TRIAL_REFERENCE if book else 0)
        for book in fitting
    ]
    return fitting[sizes.index(min(sizes))]


def _trial_size(
    array: NDArray[Any], mode: Mode, book: Codebook | None, coders: Sequence[Coder]
) -> int:
    """Return the bytes of a part of an image by the best of the coders that a codebook helps."""
    sizes = [mode.raw_size(array.shape[1], array.shape[0])]
    for coder in coders:
        prior = coder.prior(book, mode, *array.shape[:2]) if book else None
        if prior or not (book or coder.needs_codebook):
            coded = coder.encode(array, mode, TRIAL_EFFORT, prior)
            sizes += [len(coded[0])] if coded else []
    return min(sizes)


def middle_of(array: NDArray[Any], side: int) -> NDArray[Any]:
    """Return the middle of an image, of at most so many rows and columns."""
    top, left = ((length - min(length, side)) // 2 for length in array.shape[:2])
    return np.ascontiguousarray(array[top : top + side, left : left + side])


def code_samples(
    array: NDArray[Any],
    mode: Mode,
    book: Codebook | None,
    effort: int,
    overhead: int,
    coders: Sequence[Coder],
) -> Coded | None:
    """Return the smallest of what the coders make of an image; None where nothing was coded.

    `overhead` is what naming the codebook adds to the payload's bytes. A codebook that has
    nothing for an image but a part for the reference settings is used by those, as published.
    """
    if book is not None and _is_for_reference(book, mode, array.shape):
        coders = (REFERENCE,)
    tried = [
        (payload, coder, uses_book)
        for coder in coders
        for payload, uses_book in _code_by(coder, array, mode, book, effort)
    ]
    return min(tried, key=lambda each: len(each[0]) + overhead * each[2], default=None)


def _is_for_reference(book: Codebook, mode: Mode, shape: tuple[int, ...]) -> bool:
    """Whether a codebook has a part for the reference settings alone."""
    useful = [coder for coder in CODERS.values() if coder.prior(book, mode, *shape[:2])]
    return useful == [REFERENCE]


def _code_by(
    coder: Coder, array: NDArray[Any], mode: Mode, book: Codebook | None, effort: int
) -> list[tuple[bytes, bool]]:
    """Return payloads of a coder, each with whether it needs the codebook."""
    prior = coder.prior(book, mode, *array.shape[:2]) if book else None
    starts: list[Prior] = [prior or None]
    if prior and effort >= TRIAL_EFFORT and not coder.needs_codebook:
        starts = _starts_to_try(coder, array, mode, prior, effort)
    elif coder.needs_codebook and not prior:
        return []
    coded = [coder.encode(array, mode, effort, start) for start in starts]
    return [each for each in coded if each is not None]


def _starts_to_try(
    coder: Coder, array: NDArray[Any], mode: Mode, prior: Prior, effort: int
) -> list[Prior]:
    """Return the prior and none; of a large image, that of both which is smaller on the middle."""
    starts = [prior, None]
    middle = middle_of(array, coder.trial_side) if coder.trial_side else array
    if middle.shape == array.shape:
        return starts
    sizes = []
    for start in starts:
        coded = coder.encode(middle, mode, effort, start)
        sizes.append(len(coded[0]) if coded else middle.nbytes)
    return [starts[sizes.index(min(sizes))]]
