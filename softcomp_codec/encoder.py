"""From an image to the bytes of an ``.scf`` file: the table of contents of encoding."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from . import (
    bilevel_coder,
    codebook_store,
    container,
    context_coder,
    planes,
    reference_coder,
    shapes_coder,
)
from .codebook import Codebook, kind_of, reference_part_for
from .container import Frame, Header, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray
    from PIL import Image

    from .bilevel_prior import BilevelPrior

    ImageLike = ArrayLike | Image.Image
    CodebookChoice = str | PathLike[str] | Codebook | None

TINY_RAW_BYTES = 4096
"""Images of fewer raw bytes refer to their codebook by 4 bytes instead of 8 (SPEC 2.6)."""

TINY_REFERENCE = 4

TINY_PIXELS = 1 << 14
"""Images of up to so many pixels may be smaller by the shapes coder."""

CODER_CHOICES = {
    "auto": (container.CONTEXT, container.SHAPES),
    "context": (container.CONTEXT,),
    "bilevel": (container.BILEVEL,),
    "shapes": (container.SHAPES,),
}

BILEVEL_AUTO = (container.BILEVEL, container.SHAPES)
"""What `auto` tries for bilevel images of up to `TINY_PIXELS`; for larger ones the first alone."""

GOOD_SHARE = 4
"""A prior that makes the samples so many times smaller needs no comparison."""

TRIAL_SIDE = 384
TRIAL_FRAMES = 4
"""`auto` compares codebooks on the middle of this size of at most so many frames."""

AUTO_PIXELS = 1 << 18
"""In larger images a prior saves less than trying several would cost time."""

PRIOR_TRIAL_SIDE = 160
PRIOR_TRIAL_EFFORT = 5
"""From this effort on, the middle of an image tells whether a context prior pays."""


def encode(
    image: ImageLike,
    *,
    codebook: CodebookChoice = "auto",
    effort: int = 5,
    coder: str = "auto",
    embed_codebook: bool = False,
    reference_bytes: int | None = None,
    file_check: bool = False,
) -> bytes:
    """Encode one image losslessly.

    Parameters
    ----------
    image : array_like or PIL.Image.Image
        bool, uint8 or uint16 of shape (H, W) or (H, W, 1), uint8 or uint16 of shape (H, W, 2),
        (H, W, 3) or (H, W, 4), of any byte order; Pillow modes 1, L, RGB, I;16, LA, RGBA.
    codebook : str, path, Codebook or None
        ``"auto"`` tries the bundled codebooks and none, None or ``"none"`` uses none; else a name,
        a hexadecimal ID, a ``.scfb`` path or a `Codebook`. One that does not fit the image's mode,
        or does not make the file smaller, is left out.
    effort : int
        1 (fast) to 9 (small).
    coder : {"auto", "context", "bilevel", "shapes"}
        ``"auto"`` takes what makes the file smaller; the others are for comparisons. Images that
        ``"bilevel"`` or ``"shapes"`` does not code are coded as by ``"context"`` or stored.
    embed_codebook : bool
        Put the codebook into the file, so that it decodes everywhere.
    reference_bytes : {4, 8, 32}, optional
        Bytes of the codebook's ID in the file; by default 4 in tiny images and 8 in others.
    file_check : bool
        Add a CRC-32 of the file's own bytes, which is checked without the codebook.

    Returns
    -------
    bytes
        The ``.scf`` file; the same bytes on every machine.

    Raises
    ------
    TypeError, ValueError
        An array or option that cannot be.
    OSError
        A Pillow mode that is not supported.
    CodebookNotFoundError
        No codebook of that name, ID or path.

    Examples
    --------
    >>> import numpy as np
    >>> gradient = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    >>> bool((decode(encode(gradient)) == gradient).all())
    True
    """
    return _encode(
        [as_array(image)], codebook, effort, coder, embed_codebook, reference_bytes, file_check
    )


def encode_frames(
    images: Iterable[ImageLike],
    *,
    codebook: CodebookChoice = "auto",
    effort: int = 5,
    coder: str = "auto",
    embed_codebook: bool = False,
    reference_bytes: int | None = None,
    file_check: bool = False,
) -> bytes:
    """Encode images of one size and mode into one file, as its frames.

    Each frame can be decoded by itself. Parameters and errors are those of `encode`; in addition
    ``ValueError`` for no images and for images that differ in size or mode.
    """
    arrays = [as_array(image) for image in images]
    if not arrays:
        raise ValueError("no frames to encode")
    for index, array in enumerate(arrays):
        if (array.shape, array.dtype) != (arrays[0].shape, arrays[0].dtype):
            raise ValueError(
                f"frame {index} is {array.dtype} of shape {array.shape}, frame 0 is "
                f"{arrays[0].dtype} of shape {arrays[0].shape}: all frames must be alike"
            )
    return _encode(arrays, codebook, effort, coder, embed_codebook, reference_bytes, file_check)


def encode_many(
    images: Iterable[ImageLike], *, threads: int | None = None, **options: Any
) -> list[bytes]:
    """Encode images on threads; the same bytes as `encode` gives, in the same order.

    Parameters
    ----------
    images : iterable of array_like or PIL.Image.Image
    threads : int, optional
        Default: one a core.
    **options
        Those of `encode`.
    """
    if isinstance(choice := options.get("codebook", "auto"), str | None):
        options["codebook"] = choice
    else:
        options["codebook"] = codebook_store.load_codebook(choice)
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        return list(pool.map(lambda image: encode(image, **options), images))


def as_array(image: ImageLike) -> NDArray[Any]:
    """Return the array of an array-like or of a Pillow image, in native byte order."""
    if hasattr(image, "getbands") and hasattr(image, "tobytes"):
        return planes.array_from_pillow(cast("Image.Image", image))
    return planes.in_native_order(np.ascontiguousarray(image))


def _encode(
    arrays: list[NDArray[Any]],
    codebook: CodebookChoice,
    effort: int,
    coder: str,
    embed_codebook: bool,
    reference_bytes: int | None,
    file_check: bool,
) -> bytes:
    _check_options(effort, reference_bytes, embed_codebook, file_check)
    mode = planes.mode_of_array(arrays[0])
    coders = _coders_to_try(coder, mode, arrays[0].shape)
    book = _choose_codebook(codebook, arrays, mode, coders)
    raw_bytes = mode.raw_size(arrays[0].shape[1], arrays[0].shape[0])
    overhead = _codebook_overhead(book, raw_bytes, reference_bytes)
    coded = [_code_frame(array, mode, book, effort, overhead, coders) for array in arrays]
    frames = tuple(frame for frame, _, _ in coded)
    if not any(uses_book for _, _, uses_book in coded):
        book = None
        frames = tuple(replace(frame, built_in=False) for frame in frames)
    height, width = arrays[0].shape[:2]
    header = Header(
        mode,
        width,
        height,
        frames[0].coder,
        _reference(book, raw_bytes, reference_bytes),
        frames[0].checksum,
        _segments(book, raw_bytes, embed_codebook),
        frames if len(frames) > 1 else (),
    )
    payload = b"".join(payload for _, payload, _ in coded)
    return container.write_file(header, payload, file_check=file_check)


def _coders_to_try(choice: str, mode: container.Mode, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the coders that may be the smallest for such images."""
    if choice not in CODER_CHOICES:
        raise ValueError(f"coder is {choice!r}, expected one of {', '.join(CODER_CHOICES)}")
    if choice == "bilevel" and mode.bits_per_sample != 1:
        return CODER_CHOICES["context"]
    if mode.kind is None:
        return CODER_CHOICES["context"] if choice != "shapes" else ()
    if choice != "auto":
        return CODER_CHOICES[choice]
    if mode.bits_per_sample == 1:
        tiny = shape[0] * shape[1] <= TINY_PIXELS
        return BILEVEL_AUTO if tiny else CODER_CHOICES["bilevel"]
    if shape[0] * shape[1] > TINY_PIXELS:
        return CODER_CHOICES["context"]
    return CODER_CHOICES["auto"]


def _check_options(effort: int, reference_bytes: int | None, *flags: bool) -> None:
    if not all(isinstance(flag, bool) for flag in flags):
        raise TypeError("embed_codebook and file_check are True or False")
    if isinstance(effort, bool) or not hasattr(effort, "__index__"):
        raise TypeError(f"effort is {effort!r}, expected an integer from 1 to 9")
    if effort not in range(1, 10):
        raise ValueError(f"effort is {effort!r}, expected 1 to 9")
    if reference_bytes not in (None, 4, 8, 32):
        raise ValueError(f"reference_bytes is {reference_bytes!r}, expected 4, 8 or 32")


def _choose_codebook(
    choice: CodebookChoice,
    arrays: list[NDArray[Any]],
    mode: container.Mode,
    coders: tuple[int, ...],
) -> Codebook | None:
    """Return the codebook to code with; `auto` tries the bundled ones on a part of the samples."""
    if choice is None or choice == "none":
        return None
    if choice != "auto":
        book = codebook_store.load_codebook(choice)
        return book if book.fits(mode) else None
    height, width = arrays[0].shape[:2]
    if container.SHAPES not in coders and height * width > AUTO_PIXELS:
        return None
    fitting: list[Codebook | None] = [
        book
        for book in codebook_store.bundled_codebooks()
        if _may_help(book, mode, coders, arrays[0].shape)
    ]
    fitting.append(None)
    if len(fitting) == 1:
        return None
    side = TRIAL_SIDE if container.SHAPES in coders else PRIOR_TRIAL_SIDE
    trial = [_middle(array, side) for array in arrays[:: -(-len(arrays) // TRIAL_FRAMES)]]
    sizes = [
        sum(_trial_size(array, mode, book, coders) for array in trial)
        + (len(trial) * TINY_REFERENCE if book else 0)
        for book in fitting
    ]
    return fitting[sizes.index(min(sizes))]


def _may_help(
    book: Codebook, mode: container.Mode, coders: tuple[int, ...], shape: tuple[int, ...]
) -> bool:
    """Whether a codebook has something for images of a mode, a shape and one of the coders."""
    if container.BILEVEL in coders and book.bilevel_prior(shape[0], shape[1]) is not None:
        return True
    if container.CONTEXT in coders and book.context_priors(mode):
        return True
    return container.SHAPES in coders and (mode.kind in book.parts or mode.kind in book.reference)


def _trial_size(
    array: NDArray[Any], mode: container.Mode, book: Codebook | None, coders: tuple[int, ...]
) -> int:
    """Return the bytes of a part of an image by the best of the coders that a codebook helps."""
    sizes = []
    if container.SHAPES in coders and (book is None or mode.kind in book.parts):
        sizes.append(len(shapes_coder.encode_payload(array, mode, book)))
    priors = book.context_priors(mode) if book else None
    if container.CONTEXT in coders and (book is None or priors):
        context = context_coder.encode_payload(array, mode, priors=priors)
        sizes.append(array.nbytes if context is None else len(context))
    prior = book.bilevel_prior(*array.shape[:2]) if book else None
    if container.BILEVEL in coders and (book is None or prior is not None):
        pixels = bilevel_coder.encode_payload(array, prior=prior)
        sizes.append(
            mode.raw_size(array.shape[1], array.shape[0]) if pixels is None else len(pixels)
        )
    return min(sizes, default=array.nbytes)


def _middle(array: NDArray[Any], side: int) -> NDArray[Any]:
    top, left = ((length - min(length, side)) // 2 for length in array.shape[:2])
    return np.ascontiguousarray(array[top : top + side, left : left + side])


def _codebook_overhead(book: Codebook | None, raw_bytes: int, reference_bytes: int | None) -> int:
    """Return the bytes that naming the codebook costs a file."""
    if book is None:
        return 0
    segments = sum(len(container.write_segment(s)) for s in _segments(book, raw_bytes, False))
    return len(_reference(book, raw_bytes, reference_bytes)) + segments + (segments > 0)


def _code_frame(
    array: NDArray[Any],
    mode: container.Mode,
    book: Codebook | None,
    effort: int,
    overhead: int,
    coders: tuple[int, ...],
) -> tuple[Frame, bytes, bool]:
    """Return frame, payload and whether it needs the codebook, in the smallest way tried.

    `overhead` is what naming the codebook adds to the payload's bytes.
    """
    samples = planes.canonical_samples(array, mode)
    payload, coder, uses_book = samples, container.STORED, False
    coded = _code_samples(array, mode, book, effort, overhead, coders)
    if coded is not None and len(coded[0]) + overhead * coded[2] < len(samples):
        payload, coder, uses_book = coded
    height, width = array.shape[:2]
    crc = container.checksum(mode, width, height, samples)
    built_in = not uses_book and coder != container.STORED
    return Frame(coder, built_in, len(payload), crc), payload, uses_book


def _code_samples(
    array: NDArray[Any],
    mode: container.Mode,
    book: Codebook | None,
    effort: int,
    overhead: int,
    coders: tuple[int, ...],
) -> tuple[bytes, int, bool] | None:
    """Return payload, coder and whether the codebook is needed: the smallest of what is tried.

    A codebook that has a part for the reference settings alone is used by those, as published.
    """
    reference = reference_part_for(book, mode)
    if (
        book is not None
        and reference is not None
        and kind_of(mode) not in book.parts
        and not book.context_priors(mode)
        and not (container.BILEVEL in coders and book.bilevel_priors)
    ):
        return reference_coder.encode_payload(array, mode, reference), container.REFERENCE, True
    tried: list[tuple[int, bytes, int, bool]] = []
    if container.CONTEXT in coders:
        for context, uses_book in _code_by_context(array, mode, book, effort):
            cost = len(context) + overhead * uses_book
            tried.append((cost, context, container.CONTEXT, uses_book))
    if container.BILEVEL in coders:
        for pixels, uses_book in _code_by_bilevel(array, mode, book, effort):
            cost = len(pixels) + overhead * uses_book
            tried.append((cost, pixels, container.BILEVEL, uses_book))
            if uses_book and GOOD_SHARE * cost <= mode.raw_size(array.shape[1], array.shape[0]):
                coders = CODER_CHOICES["bilevel"]
    if container.SHAPES in coders:
        if book is not None and mode.kind in book.parts:
            payload = shapes_coder.encode_payload(array, mode, book, effort=effort)
            tried.append((len(payload) + overhead, payload, container.SHAPES, True))
        if book is None or mode.kind not in book.parts or effort >= 5:
            payload = shapes_coder.encode_payload(array, mode, None, effort=effort)
            tried.append((len(payload), payload, container.SHAPES, False))
    if not tried:
        return None
    _, payload, coder, uses_book = min(tried, key=lambda each: each[0])
    return payload, coder, uses_book


def _code_by_context(
    array: NDArray[Any], mode: container.Mode, book: Codebook | None, effort: int
) -> list[tuple[bytes, bool]]:
    """Return payloads of the context coder, each with whether it needs the codebook.

    Images that are not larger than a trial are coded in both ways.
    """
    priors = book.context_priors(mode) if book else {}
    starts = [priors, {}] if priors else [{}]
    if len(starts) > 1:
        middle = _middle(array, PRIOR_TRIAL_SIDE)
        if effort < PRIOR_TRIAL_EFFORT:
            starts = [priors]
        elif middle.shape != array.shape:
            sizes = [
                len(context_coder.encode_payload(middle, mode, effort=effort, priors=start) or b"")
                or middle.nbytes
                for start in starts
            ]
            starts = [starts[sizes.index(min(sizes))]]
    payloads = [
        context_coder.encode_payload(array, mode, effort=effort, priors=start) for start in starts
    ]
    return [
        (payload, context_coder.transform_of(payload) in start)
        for payload, start in zip(payloads, starts, strict=True)
        if payload is not None
    ]


def _code_by_bilevel(
    array: NDArray[Any], mode: container.Mode, book: Codebook | None, effort: int
) -> list[tuple[bytes, bool]]:
    """Return payloads of the bilevel coder, each with whether it needs the codebook.

    Without the codebook only where its prior is not clearly good, or the middle says so.
    """
    height, width = array.shape[:2]
    prior = book.bilevel_prior(height, width) if book else None
    starts: list[BilevelPrior | None] = [None] if prior is None else [prior, None]
    if prior is not None and effort < PRIOR_TRIAL_EFFORT:
        starts = [prior]
    elif prior is not None and height * width > TINY_PIXELS:
        middle = _middle(array, TRIAL_SIDE)
        if middle.shape != array.shape:
            sizes = [
                len(bilevel_coder.encode_payload(middle, effort=effort, prior=start) or b"")
                or middle.size
                for start in starts
            ]
            starts = [starts[sizes.index(min(sizes))]]
    payloads: list[tuple[bytes, bool]] = []
    for start in starts:
        payload = bilevel_coder.encode_payload(array, effort=effort, prior=start)
        if payload is None:
            continue
        payloads.append((payload, start is not None))
        if start is not None and GOOD_SHARE * len(payload) <= mode.raw_size(width, height):
            break
    return payloads


def _reference(book: Codebook | None, raw_bytes: int, reference_bytes: int | None) -> bytes:
    if book is None:
        return b""
    return book.identifier[: reference_bytes or (4 if raw_bytes < TINY_RAW_BYTES else 8)]


def _segments(book: Codebook | None, raw_bytes: int, embed: bool) -> tuple[Segment, ...]:
    if book is None:
        return ()
    if embed:
        return (Segment(container.SEGMENT_CODEBOOK, book.to_bytes()),)
    if raw_bytes < TINY_RAW_BYTES:
        return ()
    return (Segment(container.SEGMENT_CODEBOOK_NAME, book.name.encode()),)
