"""From an image to the bytes of an ``.scf`` file: the table of contents of encoding."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from . import codebook_store, container, planes, shapes_coder
from .codebook import Codebook
from .container import Header, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray
    from PIL import Image

    ImageLike = ArrayLike | Image.Image
    CodebookChoice = str | PathLike[str] | Codebook | None

TINY_RAW_BYTES = 4096
"""Images of fewer raw bytes refer to their codebook by 4 bytes instead of 8 (SPEC 2.6)."""

EXPENSIVE_RAW_BYTES = 1 << 18
"""Above this size `auto` compares codebooks on a crop instead of on the whole image."""


def encode(
    image: ImageLike,
    *,
    codebook: CodebookChoice = "auto",
    effort: int = 5,
    embed_codebook: bool = False,
    reference_bytes: int | None = None,
    file_check: bool = False,
) -> bytes:
    """Encode one image losslessly.

    Parameters
    ----------
    image : array_like or PIL.Image.Image
        bool or uint8 of shape (H, W) or (H, W, 1), uint8 (H, W, 3); Pillow modes 1, L, RGB.
    codebook : str, path, Codebook or None
        ``"auto"`` tries the bundled codebooks and none, None or ``"none"`` uses none; else a name,
        a hexadecimal ID, a ``.scfb`` path or a `Codebook`. One that does not fit the image's mode,
        or does not make the file smaller, is left out.
    effort : int
        1 (fast) to 9 (small).
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
    _check_options(effort, reference_bytes)
    array = as_array(image)
    mode = planes.mode_of_array(array)
    payload, coder, book = _smallest_payload(
        array, mode, _candidates(codebook, array, mode), effort
    )
    samples = planes.canonical_samples(array, mode)
    height, width = array.shape[:2]
    header = Header(
        mode,
        width,
        height,
        coder,
        _reference(book, len(samples), reference_bytes),
        container.checksum(mode, width, height, samples),
        _segments(book, len(samples), embed_codebook),
    )
    return container.write_file(header, payload, file_check=file_check)


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
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda image: encode(image, **options), images))


def as_array(image: ImageLike) -> NDArray[Any]:
    """Return the array of an array-like or of a Pillow image."""
    if hasattr(image, "getbands") and hasattr(image, "tobytes"):
        return planes.array_from_pillow(cast("Image.Image", image))
    return np.ascontiguousarray(image)


def _check_options(effort: int, reference_bytes: int | None) -> None:
    if effort not in range(1, 10):
        raise ValueError(f"effort is {effort!r}, expected 1 to 9")
    if reference_bytes not in (None, 4, 8, 32):
        raise ValueError(f"reference_bytes is {reference_bytes!r}, expected 4, 8 or 32")


def _candidates(
    choice: CodebookChoice, array: NDArray[Any], mode: container.Mode
) -> list[Codebook | None]:
    """The codebooks to try, None for the built-in prior, the likely best first."""
    if choice is None or choice == "none":
        return [None]
    if choice != "auto":
        book = codebook_store.load_codebook(choice)
        return [book, None] if book.fits(mode) else [None]
    fitting: list[Codebook | None] = [
        book for book in codebook_store.bundled_codebooks() if book.fits(mode)
    ]
    fitting.append(None)
    if len(fitting) == 1 or array.size <= EXPENSIVE_RAW_BYTES:
        return fitting
    crop = _middle(array)
    sizes = [len(shapes_coder.encode_payload(crop, mode, book)) for book in fitting]
    return [fitting[sizes.index(min(sizes))]]


def _middle(array: NDArray[Any], side: int = 256) -> NDArray[Any]:
    top, left = ((length - min(length, side)) // 2 for length in array.shape[:2])
    return np.ascontiguousarray(array[top : top + side, left : left + side])


def _smallest_payload(
    array: NDArray[Any], mode: container.Mode, books: list[Codebook | None], effort: int
) -> tuple[bytes, int, Codebook | None]:
    """Return payload, coder and codebook of the smallest file; earlier candidates win ties."""
    best: tuple[int, bytes, int, Codebook | None] | None = None
    for book in books:
        payload = shapes_coder.encode_payload(array, mode, book, effort=effort)
        cost = len(payload) + (4 if book else 0)
        if best is None or cost < best[0]:
            best = (cost, payload, container.SHAPES, book)
    assert best is not None
    if best[0] >= mode.raw_size(array.shape[1], array.shape[0]):
        return planes.canonical_samples(array, mode), container.STORED, None
    return best[1:]


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
