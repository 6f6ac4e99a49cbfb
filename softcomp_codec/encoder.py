"""From an image to the bytes of an ``.scf`` file: the table of contents of encoding."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from . import codebook_store, container, planes
from .coder_choice import (
    CHOOSING,
    choose_codebook,
    code_as_past,
    code_at_once,
    code_from_previous,
    code_samples,
    coders_for,
    look_for_past,
)
from .coders import CONTEXT, Picture
from .container import Frame, Header, Segment
from .metadata import Metadata, metadata_from, metadata_of
from .palettes import palette_of
from .sample_choice import coded_picture, map_for
from .sample_map import SampleMap
from .worker_threads import map_many

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray
    from PIL import Image

    from .codebook import Codebook
    from .coder_choice import CodebookChoice, Coded
    from .coders import Coder

    ImageLike = ArrayLike | Image.Image
    MetadataChoice = Metadata | Mapping[str, Any] | bool | None

TINY_RAW_BYTES = 4096
"""Images of fewer raw bytes refer to their codebook by 4 bytes instead of 8 (SPEC 2.6)."""

TINY_REFERENCE = 4

_AROUND_SAMPLES = 16
"""Bytes by which a frame may exceed its samples before these are stored as they are."""

KEY_INTERVAL = 16
"""So many frames at most, of which each but the first may follow from the one before."""


def encode(
    image: ImageLike,
    *,
    codebook: CodebookChoice = "auto",
    effort: int = 5,
    coder: str = "auto",
    embed_codebook: bool = False,
    reference_bytes: int | None = None,
    file_check: bool = False,
    metadata: MetadataChoice = None,
) -> bytes:
    """Encode one image losslessly.

    Parameters
    ----------
    image : array_like or PIL.Image.Image
        bool, signed or unsigned integers of 8 to 64 bits or floating-point numbers of 16 to 64, of
        shape (H, W) or (H, W, C), C up to 4096, and any byte order; images of any Pillow mode.
    codebook : str, path, Codebook or None
        ``"auto"`` tries the bundled codebooks and none, None or ``"none"`` uses none; else a name,
        a hexadecimal ID, a ``.scfb`` path or a `Codebook`. One that does not fit the image's mode,
        or does not make the file smaller, is left out.
    effort : int
        1 (fast) to 9 (small).
    coder : {"auto", "bilevel", "context", "few-colour", "jpeg-past", "pixels", "shapes", "tiny"}
        ``"auto"`` takes what makes the file smaller; the others are for comparisons. ``"pixels"``
        is auto without looking for a JPEG past. Images that the others do not code are coded as by
        ``"context"``, or stored by ``"shapes"`` and ``"tiny"``.
    embed_codebook : bool
        Put the codebook into the file, so that it decodes everywhere.
    reference_bytes : {4, 8, 32}, optional
        Bytes of the codebook's ID in the file; by default 4 in tiny images and 8 in others.
    file_check : bool
        Add a CRC-32 of the file's own bytes, which is checked without the codebook.
    metadata : Metadata, mapping, bool or None
        What to keep besides the pixels: a `softcomp_codec.metadata.Metadata` or a mapping like
        Pillow's ``info``; by default what a Pillow image has; False for nothing.

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
    kept = metadata_from(metadata, lambda: metadata_of([image]))
    return _encode(
        [as_picture(image)], codebook, effort, coder, embed_codebook, reference_bytes, file_check,
        kept,
    )  # fmt: skip


def encode_frames(
    images: Iterable[ImageLike],
    *,
    codebook: CodebookChoice = "auto",
    effort: int = 5,
    coder: str = "auto",
    embed_codebook: bool = False,
    reference_bytes: int | None = None,
    file_check: bool = False,
    metadata: MetadataChoice = None,
) -> bytes:
    """Encode images of one size and mode into one file, as its frames.

    A frame is predicted by the one before where that makes the file smaller, and every sixteenth is
    decoded by itself. Parameters and errors are those of `encode`; in addition ``ValueError`` for
    no images, for images that differ in size or mode, and for another number of durations in the
    metadata. Of Pillow images the first's metadata and all durations are kept.
    """
    images = list(images)
    return encode_pictures(
        [as_picture(image) for image in images], codebook=codebook, effort=effort, coder=coder,
        embed_codebook=embed_codebook, reference_bytes=reference_bytes, file_check=file_check,
        metadata=metadata_from(metadata, lambda: metadata_of(images)),
    )  # fmt: skip


def encode_pictures(
    pictures: list[Picture],
    *,
    codebook: CodebookChoice = "auto",
    effort: int = 5,
    coder: str = "auto",
    embed_codebook: bool = False,
    reference_bytes: int | None = None,
    file_check: bool = False,
    metadata: MetadataChoice = None,
) -> bytes:
    """Encode what `as_picture` returns as the frames of one file; see `encode_frames`."""
    if not pictures:
        raise ValueError("no frames to encode")
    first = pictures[0]
    for index, picture in enumerate(pictures):
        array = picture.array
        if (array.shape, array.dtype) != (first.array.shape, first.array.dtype):
            raise ValueError(
                f"frame {index} is {array.dtype} of shape {array.shape}, frame 0 is "
                f"{first.array.dtype} of shape {first.array.shape}: all frames must be alike"
            )
        if picture.mode != first.mode:
            raise ValueError(
                f"frame {index} is a {picture.mode.name} picture, frame 0 a {first.mode.name} one: "
                "all frames must be alike"
            )
        if picture.palette != first.palette:
            raise ValueError(
                f"frame {index} has another palette than frame 0, or only one of them has any: all "
                "frames must have the same"
            )
    kept = metadata_from(metadata, Metadata)
    return _encode(
        pictures, codebook, effort, coder, embed_codebook, reference_bytes, file_check, kept
    )


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
    choice = options.get("codebook", "auto")
    if choice not in (None, "none", "auto"):  # looked for once
        options["codebook"] = codebook_store.load_codebook(choice)
    return map_many(lambda image: encode(image, **options), images, threads)


def as_array(image: ImageLike) -> NDArray[Any]:
    """Return the array of an array-like or of a Pillow image, in native byte order."""
    if hasattr(image, "getbands") and hasattr(image, "tobytes"):
        return planes.array_from_pillow(cast("Image.Image", image))
    return planes.in_native_order(np.ascontiguousarray(image))


def as_picture(image: ImageLike) -> Picture:
    """Return what is coded of an array-like or of a Pillow image."""
    palette = palette_of(image)
    if palette is not None:
        array = np.asarray(image)
        mode = container.PALETTE if array.ndim == 2 else container.PALETTE_ALPHA
        return Picture(array, mode, palette)
    array = as_array(image)
    mode = planes.mode_of_array(array)
    name = getattr(image, "mode", None)
    if isinstance(name, str) and hasattr(image, "getbands"):
        mode = container.PILLOW_MODES.get(name, mode)
    return Picture(array, mode)


def _encode(
    pictures: list[Picture],
    codebook: CodebookChoice,
    effort: int,
    coder: str,
    embed_codebook: bool,
    reference_bytes: int | None,
    file_check: bool,
    metadata: Metadata,
) -> bytes:
    _check_options(effort, reference_bytes, embed_codebook, file_check)
    if codebook not in (None, "none", "auto"):  # looked for once
        codebook = codebook_store.load_codebook(codebook)
    first = pictures[0]
    metadata = metadata.for_frames(len(pictures), palette=first.palette is not None)
    segments = metadata.to_segments()
    if first.palette is not None:
        segments = (*first.palette.to_segments(), *segments)
    files = []
    maps = map_for(pictures, effort, only_needed=coder not in CHOOSING)
    for sample_map in maps:
        coded = [coded_picture(picture, sample_map) for picture in pictures]
        kept = segments if sample_map is None else (*segments, *sample_map.to_segments())
        files.append(
            _encode_coded(
                pictures, coded, coders_for(coder, coded), kept, codebook, effort, embed_codebook,
                reference_bytes, file_check,
            )
        )  # fmt: skip
    best = min(files, key=len)
    n_raw = sum(picture.raw_size for picture in pictures)
    if maps[0] is not None and n_raw + _AROUND_SAMPLES * len(pictures) < len(best):
        own = SampleMap.natural(first.mode)
        coded = [coded_picture(picture, own) for picture in pictures]
        stored = _encode_coded(pictures, coded, (), segments, None, effort, False, None, file_check)
        best = min(best, stored, key=len)
    return best


def _encode_coded(
    pictures: list[Picture],
    coded_pictures: list[Picture],
    coders: Sequence[Coder],
    kept: tuple[Segment, ...],
    codebook: CodebookChoice,
    effort: int,
    embed_codebook: bool,
    reference_bytes: int | None,
    file_check: bool,
) -> bytes:
    """Return the file of pictures whose samples are coded as those of others."""
    first = coded_pictures[0]
    book: Codebook | None
    at_once = None
    if len(pictures) == 1:
        at_once = code_at_once(codebook, first, effort, coders)
    if at_once is not None:
        samples, book = at_once
        coded = [_as_frame(pictures[0], first, samples, 0)]
    else:
        first, book = look_for_past(codebook, first, coders, effort)
        coded_pictures = [first, *coded_pictures[1:]]
        pasts = [code_as_past(each, book, effort, coders) for each in coded_pictures]
        others = [
            picture for picture, past in zip(coded_pictures, pasts, strict=True) if not past[1]
        ]
        if book is None and others:
            book = choose_codebook(codebook, others, coders, effort)
        overhead = _codebook_overhead(book, first.raw_size, reference_bytes)
        coded = [
            _as_frame(
                shown,
                picture,
                past if settles else code_samples(picture, book, effort, overhead, coders, past),
                overhead,
            )
            for shown, picture, (past, settles) in zip(pictures, coded_pictures, pasts, strict=True)
        ]
        for index, picture in enumerate(coded_pictures):
            if index % KEY_INTERVAL and CONTEXT in coders:
                own = coded[index]
                size = own[0].n_bytes + overhead * own[2]
                followed = code_from_previous(picture, coded_pictures[index - 1], effort, size)
                if followed is not None:
                    frame = replace(
                        own[0], coder=container.CONTEXT, built_in=True, n_bytes=len(followed),
                        follows=True,
                    )  # fmt: skip
                    coded[index] = frame, followed, False
    frames = tuple(frame for frame, _, _ in coded)
    if not any(uses_book for _, _, uses_book in coded):
        book = None
        frames = tuple(replace(frame, built_in=False) for frame in frames)
    segments = (*kept, *_segments(book, first.raw_size, embed_codebook))
    header = Header(
        pictures[0].mode,
        first.width,
        first.height,
        frames[0].coder,
        _reference(book, first.raw_size, reference_bytes),
        frames[0].checksum,
        segments,
        frames if len(frames) > 1 else (),
    )
    payload = b"".join(payload for _, payload, _ in coded)
    return container.write_file(header, payload, file_check=file_check)


def _check_options(effort: int, reference_bytes: int | None, *flags: bool) -> None:
    if not all(isinstance(flag, bool) for flag in flags):
        raise TypeError("embed_codebook and file_check are True or False")
    if isinstance(effort, bool) or not hasattr(effort, "__index__"):
        raise TypeError(f"effort is {effort!r}, expected an integer from 1 to 9")
    if effort not in range(1, 10):
        raise ValueError(f"effort is {effort!r}, expected 1 to 9")
    if reference_bytes not in (None, 4, 8, 32):
        raise ValueError(f"reference_bytes is {reference_bytes!r}, expected 4, 8 or 32")


def _codebook_overhead(book: Codebook | None, raw_bytes: int, reference_bytes: int | None) -> int:
    """Return the bytes that naming the codebook costs a file."""
    if book is None:
        return 0
    segments = sum(len(container.write_segment(s)) for s in _segments(book, raw_bytes, False))
    return len(_reference(book, raw_bytes, reference_bytes)) + segments + (segments > 0)


def _as_frame(
    shown: Picture, picture: Picture, coded: Coded | None, overhead: int
) -> tuple[Frame, bytes, bool]:
    """Return frame, payload and whether it needs the codebook; stored where that is smaller.

    `shown` is the picture whose samples are coded as those of `picture`; `overhead` is what naming
    the codebook adds to the payload's bytes.
    """
    if coded is not None and len(coded[0]) + overhead * coded[2] < picture.raw_size:
        payload, coder, uses_book = coded[0], coded[1].identifier, coded[2]
    else:
        payload = planes.canonical_samples(picture.array, picture.mode)
        coder, uses_book = container.STORED, False
    crc = planes.checksum_of(shown.array, shown.mode, shown.palette)
    built_in = not uses_book and coder != container.STORED
    return Frame(coder, built_in, len(payload), crc), payload, uses_book


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
