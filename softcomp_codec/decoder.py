"""From the bytes of an ``.scf`` file to the exact image: the table of contents of decoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import codebook_store, container, planes
from .coders import CODERS
from .container import Header
from .errors import (
    CodebookMismatchError,
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from .palettes import Palette
from .worker_threads import map_many

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from .codebook import Codebook


@dataclass(frozen=True)
class Decoded:
    """What a file holds.

    Attributes
    ----------
    header : Header
    array : ndarray
        Shape and dtype that were encoded.
    codebook : Codebook or None
    complete : bool
        Whether this is the exact picture; False only where truncation was allowed and met.
    """

    header: Header
    array: NDArray[Any]
    codebook: Codebook | None
    complete: bool = True

    @property
    def palette(self) -> Palette | None:
        """The palette of a palette image, whose array holds indices."""
        return Palette.from_header(self.header)


def decode(data: bytes, *, codebooks: Sequence[Codebook] = ()) -> NDArray[Any]:
    """Decode the image of an ``.scf`` file, or the first of several; see `decode_frames`.

    Parameters
    ----------
    data : bytes-like
    codebooks : sequence of Codebook
        Tried before those of the usual places.

    Returns
    -------
    ndarray
        Exactly the samples, dtype and shape that were encoded.

    Raises
    ------
    ScfError
        One of its kinds: corrupt, truncated or unsupported data, or a codebook that is missing.
    """
    return decode_file(data, codebooks=codebooks).array


def decode_frames(data: bytes, *, codebooks: Sequence[Codebook] = ()) -> list[NDArray[Any]]:
    """Decode all images of an ``.scf`` file; inverse of `encode_frames`. See `decode`."""
    data = bytes(memoryview(data))
    header = container.read_header(data)
    return [
        decode_file(data, header=header, frame=index, codebooks=codebooks).array
        for index in range(header.n_frames)
    ]


def decode_many(
    files: Iterable[bytes], *, threads: int | None = None, codebooks: Sequence[Codebook] = ()
) -> list[NDArray[Any]]:
    """Decode files on threads, in the same order; see `decode`."""
    return map_many(lambda data: decode(data, codebooks=codebooks), files, threads)


def decode_file(
    data: bytes,
    *,
    header: Header | None = None,
    frame: int = 0,
    source: str | None = None,
    codebooks: Sequence[Codebook] = (),
    allow_truncated: bool = False,
) -> Decoded:
    """Decode one frame of a file with all that surrounds the picture.

    Parameters
    ----------
    data : bytes-like
    header : Header, optional
        That of `data`, where the caller has read it: with many frames it is long.
    frame : int
        0 up to the number of frames - 1, else ``IndexError``.
    source : str, optional
        The file's path: codebooks are also looked for beside it.
    codebooks : sequence of Codebook
        Tried before those of the usual places.
    allow_truncated : bool
        Return what could be decoded of a truncated payload, the rest 0, and do not insist on the
        checksum.
    """
    data = bytes(memoryview(data))  # a TypeError for what holds no bytes
    if header is None:
        header = container.read_header(data)
    if frame == 0 and not allow_truncated and container.file_check_matches(data, header) is False:
        raise CorruptStreamError("the bytes of the file do not match its file check")
    if header.width * header.height > container.MAX_PIXELS:
        raise UnsupportedStreamError(
            f"header: {header.width} x {header.height} pixels are more than this program's limit "
            f"of {container.MAX_PIXELS}"
        )
    if header.raw_size > container.MAX_RAW_BYTES:
        raise UnsupportedStreamError(
            f"header: {header.raw_size} bytes of {header.mode.name} samples are more than this "
            f"program's limit of {container.MAX_RAW_BYTES}"
        )
    _check_codebook_segments(header)
    payloads = memoryview(data)[header.payload_offset :]
    payload = container.frame_payload(header, payloads, frame)
    if not allow_truncated and header.frames and len(payload) < header.frames[frame].n_bytes:
        raise TruncatedStreamError(
            f"frame {frame} has {len(payload)} of {header.frames[frame].n_bytes} bytes"
        )
    single = container.frame_header(header, frame)
    try:
        return _decode_frame(header, single, payload, source, codebooks, allow_truncated)
    except MemoryError as error:
        raise ScfError(
            f"not enough memory for {header.width} x {header.height} {header.mode.name}"
        ) from error


def _decode_frame(
    header: Header,
    single: Header,
    payload: bytes,
    source: str | None,
    codebooks: Sequence[Codebook],
    allow_truncated: bool,
) -> Decoded:
    if single.coder == container.STORED:
        array = _decode_stored(single, payload, allow_truncated)
        complete = len(payload) == single.raw_size
        return Decoded(header, array, None, _exact(single, array, complete, allow_truncated))
    if not single.codebook_reference:
        coder = CODERS[single.coder]
        if coder.needs_codebook:
            raise CorruptStreamError(f"header: the {coder.name} coder needs a codebook")
        array, complete = coder.decode(payload, single, None, allow_truncated)
        return Decoded(header, array, None, _exact(single, array, complete, allow_truncated))
    return _decode_with_codebooks(header, single, payload, source, codebooks, allow_truncated)


def _check_codebook_segments(header: Header) -> None:
    """A file must not carry what only a codebook explains, nor name one in vain (SPEC 3.1)."""
    if header.codebook_reference:
        if header.coder == container.STORED and not header.frames:
            raise CorruptStreamError("header: a stored picture must not refer to a codebook")
        return
    for kind in (container.SEGMENT_CODEBOOK, container.SEGMENT_CODEBOOK_NAME):
        if header.segment(kind) is not None:
            raise CorruptStreamError(
                f"header: segment {container.SEGMENT_NAMES[kind]} in a file without codebook"
            )


def _decode_stored(header: Header, payload: bytes, allow_truncated: bool) -> NDArray[Any]:
    if len(payload) < header.raw_size and not allow_truncated:
        raise TruncatedStreamError(
            f"stored payload: {len(payload)} bytes, expected {header.raw_size}"
        )
    if len(payload) > header.raw_size:
        raise CorruptStreamError(
            f"stored payload: {len(payload) - header.raw_size} bytes follow the picture"
        )
    try:
        return planes.array_from_samples(
            payload.ljust(header.raw_size, b"\0"), header.mode, header.width, header.height
        )
    except ValueError as error:
        raise CorruptStreamError(f"stored payload: {error}") from error


def _decode_with_codebooks(
    header: Header,
    single: Header,
    payload: bytes,
    source: str | None,
    codebooks: Sequence[Codebook],
    allow_truncated: bool,
) -> Decoded:
    """Try each codebook that the reference names; the checksum decides between them."""
    failure: CorruptStreamError | None = None
    found = codebook_store.find_codebooks(header, source=source, extra=codebooks)
    for book in found:
        if not book.fits(header.mode):
            failure = CorruptStreamError(
                f"codebook {book.name!r} has no part for {header.mode.name} pictures"
            )
            continue
        lenient = allow_truncated and book is found[-1]
        try:
            array, complete = _decode_by(book, payload, single, lenient)
            return Decoded(header, array, book, _exact(single, array, complete, lenient))
        except CorruptStreamError as error:
            failure = error
    assert failure is not None
    if len(found) > 1:
        names = ", ".join(f"{book.name} ({book.identifier.hex()})" for book in found)
        raise CodebookMismatchError(
            f"{len(found)} codebooks match {header.codebook_reference.hex()} and none decodes to "
            f"the exact picture: {names}; last failure: {failure}"
        ) from failure
    raise failure


def _decode_by(
    book: Codebook, payload: bytes, header: Header, allow_truncated: bool
) -> tuple[NDArray[Any], bool]:
    """Decode by the coder that the header names, with a codebook."""
    coder = CODERS[header.coder]
    prior = coder.prior(book, header.mode, header.height, header.width)
    if coder.needs_prior and prior is None:
        raise CorruptStreamError(
            f"codebook {book.name!r} has no part for {header.mode.name} pictures of "
            f"{header.width} x {header.height} by the {coder.name} coder"
        )
    return coder.decode(payload, header, prior, allow_truncated)


def _exact(header: Header, array: NDArray[Any], complete: bool, allow_truncated: bool) -> bool:
    """Whether the picture is the exact one; raises where it is not and must be (SPEC 2.5)."""
    if not complete:
        return False
    samples = planes.canonical_samples(array, header.mode)
    palette = Palette.from_header(header)
    found = container.checksum(header.mode, header.width, header.height, samples, palette)
    if found != header.checksum and not allow_truncated:
        raise CorruptStreamError(
            f"checksum of the decoded picture is {found:08x}, the file says "
            f"{header.checksum:08x}: the file is damaged, or its codebook is another one"
        )
    return found == header.checksum
