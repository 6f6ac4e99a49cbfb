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
    from .container import Segment
    from .set_format import GroupBlock


def decode_group(
    block: GroupBlock,
    segments: tuple[Segment, ...],
    *,
    source: str | None = None,
    codebooks: Sequence[Codebook] = (),
) -> list[NDArray[Any]]:
    """Return the images of a group.

    Parameters
    ----------
    block : GroupBlock
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
    headers = [block.header(index, segments) for index in range(len(block.coders))]
    referring = [header for header in headers if header.codebook_reference]
    if not referring:
        return _checked(block, [_decode(block, headers, index, None) for index in _all(block)])
    found = codebook_store.find_codebooks(referring[0], source=source, extra=codebooks)
    failure: CorruptStreamError | None = None
    for book in found:
        try:
            return _checked(block, [_decode(block, headers, index, book) for index in _all(block)])
        except CorruptStreamError as error:
            failure = error
    assert failure is not None
    if len(found) > 1:
        raise CodebookMismatchError(
            f"{len(found)} codebooks match {block.reference.hex()} and none decodes to the exact "
            f"pictures; last failure: {failure}"
        ) from failure
    raise failure


def _all(block: GroupBlock) -> range:
    return range(len(block.coders))


def _decode(
    block: GroupBlock, headers: list[container.Header], index: int, book: Codebook | None
) -> NDArray[Any]:
    """Decode one image, without its checksum."""
    header, payload = headers[index], block.payloads[index]
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


def _checked(block: GroupBlock, images: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return the images, which match their common checksum."""
    samples = b"".join(planes.canonical_samples(image, block.mode) for image in images)
    found = container.checksum(block.mode, block.width, block.height, samples)
    if found != block.checksum:
        raise CorruptStreamError(
            f"checksum of the decoded group is {found:08x}, the set says {block.checksum:08x}: it "
            "is damaged, or its codebook is another one"
        )
    return images
