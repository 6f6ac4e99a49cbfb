"""Tiny images that share a block of a set: decoding them, all checked together (SPEC 7.2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import codebook_store, container, planes
from .coders import CODERS
from .errors import CodebookMismatchError, CorruptStreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .codebook import Codebook
    from .container import Header, Segment
    from .set_format import GroupBlock


def decode_share(
    block: GroupBlock,
    index: int,
    segments: tuple[Segment, ...],
    *,
    source: str | None = None,
    codebooks: Sequence[Codebook] = (),
) -> list[NDArray[Any]]:
    """Return the images of a group that have their checksum together with one of them.

    Parameters
    ----------
    block : GroupBlock
    index : int
        One of them: 0 up to the number of images of the group - 1.
    segments : tuple of Segment
        What the set says about the codebook that the group refers to.
    source : str, optional
        The set's path: codebooks are also looked for beside it.
    codebooks : sequence of Codebook
        Tried before those of the usual places.

    Raises
    ------
    ScfError
        One of its kinds; `CorruptStreamError` where the samples do not match their checksum.
    """
    share = block.images_with(index)
    headers = {number: block.header(number, segments) for number in share}
    referring = [header for header in headers.values() if header.codebook_reference]
    if not referring:
        return _decode_checked(block, headers, None)
    found = codebook_store.find_codebooks(referring[0], source=source, extra=codebooks)
    failure: CorruptStreamError | None = None
    for book in found:
        try:
            return _decode_checked(block, headers, book)
        except CorruptStreamError as error:
            failure = error
    assert failure is not None
    if len(found) > 1:
        raise CodebookMismatchError(
            f"{len(found)} codebooks match {block.reference.hex()} and none decodes to the exact "
            f"pictures; last failure: {failure}"
        ) from failure
    raise failure


def _decode_checked(
    block: GroupBlock, headers: dict[int, Header], book: Codebook | None
) -> list[NDArray[Any]]:
    """Return the images of a share, which match their common checksum."""
    images = [_decode(block, number, header, book) for number, header in headers.items()]
    samples = b"".join(planes.canonical_samples(image, block.mode) for image in images)
    found = container.checksum(block.mode, block.width, block.height, samples)
    expected = block.checksums[min(headers) // block.share]
    if found != expected:
        raise CorruptStreamError(
            f"checksum of images {block.position + min(headers)} to "
            f"{block.position + max(headers)} is {found:08x}, the set says {expected:08x}: it is "
            "damaged, or its codebook is another one"
        )
    return images


def _decode(block: GroupBlock, index: int, header: Header, book: Codebook | None) -> NDArray[Any]:
    """Decode one image, without its checksum."""
    payload = block.payloads[index]
    if header.coder == container.STORED:
        if len(payload) != header.raw_size:
            raise CorruptStreamError(
                f"image {block.position + index}: {len(payload)} stored bytes, expected "
                f"{header.raw_size}"
            )
        try:
            return planes.array_from_samples(payload, header.mode, header.width, header.height)
        except ValueError as error:
            raise CorruptStreamError(f"image {block.position + index}: {error}") from error
    coder = CODERS[header.coder]
    prior, missing = None, coder.needs_codebook
    if header.codebook_reference and book is not None:
        if not book.fits(header.mode):
            raise CorruptStreamError(
                f"codebook {book.name!r} has no part for {header.mode.name} pictures"
            )
        prior = coder.prior(book, header.mode, header.height, header.width)
        missing = coder.needs_prior
    if missing and prior is None:
        raise CorruptStreamError(
            f"image {block.position + index}: the {coder.name} coder needs a codebook for images "
            f"of {header.width} x {header.height}"
        )
    try:
        return coder.decode(payload, header, prior, False)[0]
    except CorruptStreamError as error:
        raise CorruptStreamError(f"image {block.position + index}: {error}") from error
