"""Which coder and which codebook make an image smallest, found at a small part of the cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import codebook_store, context_coder, few_colour_coder, jpeg_past_coder, prior_choice
from .coders import (
    BILEVEL,
    CODERS,
    CONTEXT,
    FEW_COLOUR,
    JPEG_PAST,
    REFERENCE,
    SHAPES,
    TINY,
    TINY_PIXELS,
    with_past,
)
from .container import PALETTE
from .worker_threads import all_on_threads, on_threads

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from .codebook import Codebook
    from .coders import Coder, Picture, Prior

    CodebookChoice = str | PathLike[str] | Codebook | None
    Coded = tuple[bytes, Coder, bool]
    """A payload, its coder, and whether it needs the codebook."""

CODER_CHOICES = {
    "auto": (TINY, BILEVEL, FEW_COLOUR, CONTEXT, SHAPES, JPEG_PAST),
    "bilevel": (BILEVEL,),
    "context": (CONTEXT,),
    "few-colour": (FEW_COLOUR,),
    "jpeg-past": (JPEG_PAST,),
    "pixels": (TINY, BILEVEL, FEW_COLOUR, CONTEXT, SHAPES),
    "shapes": (SHAPES,),
    "tiny": (TINY,),
}

CHOOSING = ("auto", "pixels")
"""Choices of several coders, of which that is taken which makes the file smaller; `pixels` is
`auto` but for pictures that were JPEGs once."""

STORE_OTHERS = ("shapes", "tiny")
"""Choices by which images that they do not code are stored, not left to the context coder."""

THOROUGH_EFFORT = 7
"""From this effort on, tiny images are coded in every way, whatever their looks."""

TRIAL_SIDE = 384
TRIAL_FRAMES = 4
"""`auto` compares codebooks on the middle of this size of at most so many frames."""

FEW_COLOURS_SIDE = 128
"""The same for coders that code larger images with a codebook and without."""

AUTO_PIXELS = 1 << 18
"""In larger images priors are chosen on small parts, since they save little there; bilevel ones
take none by themselves."""

TRIAL_EFFORT = 5
"""From this effort on, a codebook is compared with none."""

FOLLOWING_SIDE, FOLLOWING_GAIN = 192, 64
"""The middle of this size of a large frame must become so smaller by the frame before that it
saves one in so many bytes."""

TRIAL_REFERENCE = 4
"""Bytes that naming a codebook costs a trial."""


def coders_for(choice: str, pictures: Sequence[Picture]) -> tuple[Coder, ...]:
    """Return the coders that may be the smallest for such images.

    Images that the chosen coder does not code are left to the context coder, or to none.

    Raises
    ------
    ValueError
        No such choice.
    """
    if choice not in CODER_CHOICES:
        raise ValueError(f"coder is {choice!r}, expected one of {', '.join(CODER_CHOICES)}")
    coders = [
        coder
        for coder in CODER_CHOICES[choice]
        if coder.codes(pictures[0].mode) and coder.holds(pictures[0].n_pixels, pictures[0].raw_size)
    ]
    if choice not in CHOOSING:
        return tuple(coders) if coders or choice in STORE_OTHERS else (CONTEXT,)
    mode = pictures[0].mode
    dropped = set()
    if not jpeg_past_coder.may_win(pictures[0].height, pictures[0].width):
        dropped.add(JPEG_PAST)
    if mode.bits_per_sample == 1 or mode == PALETTE:
        dropped.add(CONTEXT)
    if pictures[0].n_pixels > TINY_PIXELS or mode == PALETTE:
        dropped |= {SHAPES, TINY}
    arrays = [picture.array for picture in pictures]
    if FEW_COLOUR in coders and mode != PALETTE and not few_colour_coder.may_win(arrays):
        dropped.add(FEW_COLOUR)
    return tuple(coder for coder in coders if coder not in dropped)


def code_at_once(
    choice: CodebookChoice, picture: Picture, effort: int, coders: Sequence[Coder]
) -> tuple[Coded, Codebook] | None:
    """Return (coded samples, codebook) of a tiny image that a prior suits well, else None.

    A thousand images a second could not be coded in other ways as well.
    """
    quick = [coder for coder in coders if coder.suits]
    if picture.n_pixels > TINY_PIXELS or not quick or choice is None or choice == "none":
        return None
    if effort >= THOROUGH_EFFORT and len(coders) > 1:
        return None
    if choice == "auto":
        books = codebook_store.bundled_codebooks(picture.mode)
    else:
        books = (codebook_store.load_codebook(choice),)
    found: tuple[Coded, Codebook] | None = None
    for book in books:
        for coder in quick:
            prior = _prior_of(coder, book, picture)
            coded = coder.encode(picture, effort, prior) if prior else None
            if coded is not None and (found is None or len(coded[0]) < len(found[0][0])):
                found = (coded[0], coder, coded[1]), book
    if found is None:
        return None
    payload, coder, uses_book = found[0]
    suits = coder.suits is not None and uses_book and coder.suits(picture, payload)
    return found if suits else None


def choose_codebook(
    choice: CodebookChoice, pictures: Sequence[Picture], coders: Sequence[Coder], effort: int
) -> Codebook | None:
    """Return the codebook to code with; `auto` tries the bundled ones on a part of the samples."""
    if choice is None or choice == "none":
        return None
    if choice != "auto":
        book = codebook_store.load_codebook(choice)
        return book if book.fits(pictures[0].mode) else None
    coders = [coder for coder in coders if coder is not JPEG_PAST]  # see `look_for_past`
    some = pictures[:: -(-len(pictures) // TRIAL_FRAMES)]
    mode = pictures[0].mode
    if pictures[0].n_pixels > AUTO_PIXELS and SHAPES not in coders and FEW_COLOUR not in coders:
        if effort < TRIAL_EFFORT or CONTEXT not in coders:
            return None
        arrays = [picture.array for picture in some]
        return prior_choice.likely_codebook(arrays, mode, codebook_store.bundled_codebooks(mode))
    fitting: list[Codebook | None] = [
        book
        for book in codebook_store.bundled_codebooks(mode)
        if any(_prior_of(coder, book, pictures[0]) for coder in [*coders, REFERENCE])
    ]
    if not fitting:
        return None
    fitting.append(None)
    sides = [coder.trial_side or FEW_COLOURS_SIDE for coder in coders]
    side = TRIAL_SIDE if SHAPES in coders else min(sides, default=TRIAL_SIDE)
    trial = [middle_of(picture, side) for picture in some]
    sizes = [
        sum(_trial_size(picture, book, coders) for picture in trial)
        + (len(trial) * TRIAL_REFERENCE if book else 0)
        for book in fitting
    ]
    return fitting[sizes.index(min(sizes))]


def _prior_of(coder: Coder, book: Codebook, picture: Picture) -> Prior:
    return coder.prior(book, picture.mode, picture.height, picture.width)


def _trial_size(picture: Picture, book: Codebook | None, coders: Sequence[Coder]) -> int:
    """Return the bytes of a part of an image by the best of the coders that a codebook helps."""
    sizes = [picture.raw_size]
    for coder in coders:
        prior = _prior_of(coder, book, picture) if book else None
        if prior or not (book or coder.needs_codebook):
            coded = coder.encode(picture, TRIAL_EFFORT, prior)
            sizes += [len(coded[0])] if coded else []
    return min(sizes)


def middle_of(picture: Picture, side: int) -> Picture:
    """Return the middle of an image, of at most so many rows and columns."""
    part = prior_choice.middle_of(picture.array, side)
    return picture._replace(array=part, recovered="unknown")


def look_for_past(
    choice: CodebookChoice, picture: Picture, coders: Sequence[Coder], effort: int
) -> tuple[Picture, Codebook | None]:
    """Return the picture with what is found of its JPEG past, and the codebook for that.

    `auto` takes the bundled one, or none, that makes a part of the coefficients smallest. Where
    nothing was found there is none.
    """
    if JPEG_PAST not in coders:
        return picture, None
    given = None
    if choice not in (None, "none", "auto"):
        given = choose_codebook(choice, [picture], coders, effort)
        if given is not None and _is_for_reference(given, picture):
            return picture._replace(recovered=None), None
    picture = with_past(picture, effort)
    if picture.recovered is None or choice != "auto":
        return picture, given if picture.recovered else None
    return picture, _book_of_past(picture)


def _book_of_past(picture: Picture) -> Codebook | None:
    recovered = picture.recovered
    if recovered is None or recovered == "unknown":
        return None
    if not jpeg_past_coder.has_coefficients(recovered):
        return None
    priors: list[tuple[Codebook | None, Prior]] = [
        (book, prior)
        for book in codebook_store.bundled_codebooks(picture.mode)
        if (prior := _prior_of(JPEG_PAST, book, picture))
    ]
    if not priors:
        return None
    priors.append((None, None))
    sizes = on_threads(lambda each: jpeg_past_coder.n_trial_bytes(recovered, each[1]), priors)
    return priors[sizes.index(min(sizes))][0]


def code_as_past(
    picture: Picture, book: Codebook | None, effort: int, coders: Sequence[Coder]
) -> tuple[Coded | None, bool]:
    """Return what an image is as one that was a JPEG, None of others, and whether that settles it.

    It does where no other coder can come near; those are not tried then.
    """
    picture = with_past(picture, effort) if JPEG_PAST in coders else picture
    if JPEG_PAST not in coders or picture.recovered is None:
        return None, False
    prior = _prior_of(JPEG_PAST, book, picture) if book else None
    may_settle = all(coder in (CONTEXT, FEW_COLOUR, JPEG_PAST) for coder in coders)

    def most_bytes() -> int:
        if not may_settle:
            return -1
        return jpeg_past_coder.most_bytes_of_far_smaller(picture.array, picture.mode)

    found, settling = all_on_threads(lambda: JPEG_PAST.encode(picture, effort, prior), most_bytes)
    if found is None:
        return None, False
    return (found[0], JPEG_PAST, found[1]), len(found[0]) <= settling


def code_samples(
    picture: Picture,
    book: Codebook | None,
    effort: int,
    overhead: int,
    coders: Sequence[Coder],
    past: Coded | None = None,
) -> Coded | None:
    """Return the smallest of what the coders make of an image; None where nothing was coded.

    `overhead` is what naming the codebook adds to the payload's bytes, `past` what `code_as_past`
    has made. A codebook that has nothing for an image but a part for the reference settings is used
    by those, as published.
    """
    if book is not None and _is_for_reference(book, picture):
        coders, past = (REFERENCE,), None
    tried = [
        (payload, coder, uses_book)
        for coder in coders
        if coder is not JPEG_PAST and coder.holds(picture.n_pixels, picture.raw_size)
        for payload, uses_book in _code_by(coder, picture, book, effort)
    ]
    tried += [past] if past else []
    return min(tried, key=lambda each: len(each[0]) + overhead * each[2], default=None)


def code_from_previous(
    picture: Picture, previous: Picture, effort: int, n_bytes: int
) -> bytes | None:
    """Return the payload of a frame predicted by the one before; None unless it is smaller.

    `n_bytes` is what the frame takes by itself. Large frames are tried where their middle becomes
    clearly smaller.
    """
    array, mode, before = picture.array, picture.mode, previous.array
    if picture.n_pixels > TRIAL_SIDE**2:
        parts = [prior_choice.middle_of(each, FOLLOWING_SIDE) for each in (array, before)]
        alone, following = (
            context_coder.encode_payload(parts[0], mode, effort=effort, previous=known)
            for known in (None, parts[1])
        )
        if following is None:
            return None
        if alone is not None and FOLLOWING_GAIN * (len(alone) - len(following)) < len(alone):
            return None
    payload = context_coder.encode_payload(array, mode, effort=effort, previous=before)
    return payload if payload is not None and len(payload) < n_bytes else None


def _is_for_reference(book: Codebook, picture: Picture) -> bool:
    """Whether a codebook has a part for the reference settings alone."""
    return [coder for coder in CODERS.values() if _prior_of(coder, book, picture)] == [REFERENCE]


def _code_by(
    coder: Coder, picture: Picture, book: Codebook | None, effort: int
) -> list[tuple[bytes, bool]]:
    """Return payloads of a coder, each with whether it needs the codebook."""
    prior = _prior_of(coder, book, picture) if book else None
    starts: list[Prior] = [prior or None]
    if prior and effort >= TRIAL_EFFORT and not coder.needs_codebook:
        starts = _starts_to_try(coder, picture, prior, effort)
    elif coder.needs_codebook and not prior:
        return []
    coded = [coder.encode(picture, effort, start) for start in starts]
    return [each for each in coded if each is not None]


def _starts_to_try(coder: Coder, picture: Picture, prior: Prior, effort: int) -> list[Prior]:
    """Return the prior and none; of a large image, that of both which is smaller on the middle."""
    if coder is CONTEXT and picture.n_pixels > AUTO_PIXELS:
        pays = prior_choice.prior_pays(picture.array, picture.mode, prior)
        return [prior if pays else None]
    starts = [prior, None]
    middle = middle_of(picture, coder.trial_side) if coder.trial_side else picture
    if middle.n_pixels == picture.n_pixels:
        return starts
    sizes = []
    for start in starts:
        coded = coder.encode(middle, effort, start)
        sizes.append(len(coded[0]) if coded else middle.raw_size)
    return [starts[sizes.index(min(sizes))]]
