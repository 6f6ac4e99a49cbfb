"""From the bytes of an ``.scf`` file to the exact image: the table of contents of decoding."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from . import codebook_store, container, context_coder, planes
from .coders import CODERS
from .container import Header
from .errors import (
    CodebookMismatchError,
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from .file_objects import FilePart
from .palettes import Palette
from .tiles import Box
from .worker_threads import map_many

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from .codebook import Codebook
    from .coders import Coder, Prior
    from .container import Payload


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
    coded : ndarray, optional
        The coded samples of pictures with a sample map.
    """

    header: Header
    array: NDArray[Any]
    codebook: Codebook | None
    complete: bool = True
    coded: NDArray[Any] | None = field(default=None, repr=False)

    @property
    def coded_array(self) -> NDArray[Any]:
        """The coded samples, which differ from the picture's where there is a sample map."""
        return self.array if self.coded is None else self.coded

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
    if not isinstance(data, bytes):
        data = bytes(memoryview(data))  # a TypeError for what holds no bytes
    if header is None:
        header = container.read_header(data)
    if frame == 0 and not allow_truncated and container.file_check_matches(data, header) is False:
        raise CorruptStreamError("the bytes of the file do not match its file check")
    payloads = memoryview(data)[header.payload_offset :]
    return decode_payloads(
        payloads, header, frame=frame, source=source, codebooks=codebooks,
        allow_truncated=allow_truncated,
    )  # fmt: skip


def decode_payloads(
    payloads: Payload,
    header: Header,
    *,
    frame: int = 0,
    box: Box | None = None,
    source: str | None = None,
    codebooks: Sequence[Codebook] = (),
    allow_truncated: bool = False,
) -> Decoded:
    """Decode one frame, or a part of it, from what follows the header; see `decode_file`.

    Parameters
    ----------
    payloads : bytes-like, or a part of a file
    header : Header
    box : Box, optional
        Inside the image. Only the tiles that it touches are read and decoded, and checked each by
        itself; images without tiles are decoded and checked as a whole.
    """
    check_size(header)
    _check_codebook_segments(header)
    container.frame_bounds(header, len(payloads), frame)  # an IndexError where there is no such
    needed = container.frames_needed(header, frame)
    where = _wider(box, header) if len(needed) > 1 else box
    known = last_frames.latest(header, needed[:-1]) if where is None else None
    previous: Decoded | None = None
    if known is not None:
        needed = range(known[0] + 1, frame + 1)
        previous = Decoded(header, known[1], None)
    for index in needed:
        try:
            previous = _decode_frame(
                payloads, header, index, previous, where, source, codebooks, allow_truncated
            )
        except MemoryError as error:
            raise ScfError(
                f"not enough memory for {header.width} x {header.height} {header.mode.name}"
            ) from error
        except CorruptStreamError as error:
            if index == frame:
                raise
            raise type(error)(f"frame {index}, which frame {frame} follows: {error}") from error
    assert previous is not None
    if where is None and previous.complete:
        last_frames.keep(header, frame, previous.coded_array)
    if box is None or where is None or where == box:
        return previous if where == box else _cropped(previous, box)
    inside = Box(
        box.left - where.left, box.top - where.top, box.right - where.left, box.bottom - where.top
    )
    return _cropped(previous, inside)


def _wider(box: Box | None, header: Header) -> Box | None:
    """Return the box of all tiles that a box touches in frames that follow others.

    None, the whole image, where there is one tile.
    """
    grid = context_coder.tile_grid(header.height, header.width)
    touched = [] if box is None else [tile for tile in grid if tile.touches(box)]
    if box is None or len(grid) == 1:
        return None
    return Box(
        min(tile.left for tile in touched),
        min(tile.top for tile in touched),
        max(tile.right for tile in touched),
        max(tile.bottom for tile in touched),
    )


class LastFrames:
    """The last whole frame that was decoded under each header, as long as the header lives.

    Only of files with frames that follow others, so that reading all frames takes no longer than
    decoding each once. What is kept matched the header's checksum.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[weakref.ref[Header], int, NDArray[Any]]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, header: Header, frame: int, array: NDArray[Any]) -> None:
        """Keep a copy of a frame if the next one follows it."""
        after = header.frames[frame + 1 : frame + 2]
        if not after or not after[0].follows:
            return
        key = id(header)
        alive = weakref.ref(header, lambda _: self._kept.pop(key, None))
        self._kept[key] = alive, frame, array.copy()

    def latest(self, header: Header, frames: range) -> tuple[int, NDArray[Any]] | None:
        """Return (frame, its array) if it is one of some frames."""
        alive, frame, array = self._kept.get(id(header), (None, -1, None))
        if alive is None or array is None or alive() is not header or frame not in frames:
            return None
        return frame, array


last_frames = LastFrames()


def _part(payloads: Payload, start: int, end: int) -> Payload:
    """Return a part of what may lie in a file, without reading it."""
    return payloads.part(start, end) if isinstance(payloads, FilePart) else payloads[start:end]


def check_size(header: Header) -> None:
    """Raise `UnsupportedStreamError` for pictures beyond this program's limits."""
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
    if header.sample_map is not None and header.as_coded.raw_size > container.MAX_RAW_BYTES:
        raise UnsupportedStreamError(
            f"header: {header.as_coded.raw_size} bytes of coded samples are more than this "
            f"program's limit of {container.MAX_RAW_BYTES}"
        )


def _decode_frame(
    payloads: Payload,
    header: Header,
    index: int,
    previous: Decoded | None,
    box: Box | None,
    source: str | None,
    codebooks: Sequence[Codebook],
    allow_truncated: bool,
) -> Decoded:
    """Decode one frame; `previous` is that before, or the same box of it, if it predicts this."""
    start, end = container.frame_bounds(header, len(payloads), index)
    if not allow_truncated and box is None and end > len(payloads):
        found = max(0, len(payloads) - start)
        raise TruncatedStreamError(f"frame {index} has {found} of {end - start} bytes")
    single = container.frame_header(header, index)
    payload = payloads if not header.frames else _part(payloads, start, end)
    coded = single.as_coded
    if single.coder == container.STORED:
        array = _decode_stored(coded, payload, allow_truncated)
        complete = len(payload) == coded.raw_size
        whole = _exact(header, single, array, complete, allow_truncated)
        return _cropped(whole, box)
    coder = CODERS[single.coder]
    if not coder.holds(coded.width * coded.height, coded.raw_size):
        raise UnsupportedStreamError(
            f"header: {coded.width} x {coded.height} pixels of {coded.mode.name} are more than "
            f"this program's limit for the {coder.name} coder"
        )
    if coder.grid is None:
        payload = bytes(payload[0 : len(payload)])
    if single.codebook_reference:
        return _decode_with_codebooks(
            header, single, payload, source, codebooks, allow_truncated, box
        )
    if coder.needs_codebook:
        raise CorruptStreamError(f"header: the {coder.name} coder needs a codebook")
    known = {} if previous is None else {"previous": previous.coded_array}
    decoded = _decode_by(coder, payload, header, single, None, None, allow_truncated, box, **known)
    if previous is None or previous.complete:
        return decoded
    return replace(decoded, complete=False)


def _decode_by(
    coder: Coder,
    payload: Payload,
    header: Header,
    single: Header,
    book: Codebook | None,
    prior: Prior,
    allow_truncated: bool,
    box: Box | None,
    **known: NDArray[Any],
) -> Decoded:
    """Decode a frame, checked by its tiles where a part of them will do."""
    coded = single.as_coded
    in_tiles = coder.grid is not None and len(coder.grid(coded.height, coded.width)) > 1
    if box is not None and in_tiles:
        array, exact = coder.decode(payload, coded, prior, allow_truncated, box, **known)
        return _presented(header, single, array, book, exact, strict=not allow_truncated)
    array, complete = coder.decode(payload, coded, prior, allow_truncated, **known)
    return _cropped(_exact(header, single, array, complete, allow_truncated, book), box)


def _presented(
    header: Header,
    single: Header,
    coded: NDArray[Any],
    book: Codebook | None,
    complete: bool,
    *,
    strict: bool = True,
) -> Decoded:
    """Return the picture of coded samples."""
    if single.sample_map is None:
        return Decoded(header, coded, book, complete)
    array = single.sample_map.restore(coded, strict=strict)
    return Decoded(header, array, book, complete, coded)


def _cropped(decoded: Decoded, box: Box | None) -> Decoded:
    if box is None:
        return decoded
    coded = None if decoded.coded is None else _crop(decoded.coded, box)
    return replace(decoded, array=_crop(decoded.array, box), coded=coded)


def _crop(array: NDArray[Any], box: Box | None) -> NDArray[Any]:
    if box is None:
        return array
    return array[box.top : box.bottom, box.left : box.right].copy()


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


def _decode_stored(header: Header, payload: Payload, allow_truncated: bool) -> NDArray[Any]:
    if len(payload) < header.raw_size and not allow_truncated:
        raise TruncatedStreamError(
            f"stored payload: {len(payload)} bytes, expected {header.raw_size}"
        )
    if len(payload) > header.raw_size:
        raise CorruptStreamError(
            f"stored payload: {len(payload) - header.raw_size} bytes follow the picture"
        )
    samples = payload[0 : len(payload)]
    if len(payload) < header.raw_size:
        samples = bytes(samples).ljust(header.raw_size, b"\0")
    try:
        return planes.array_from_samples(samples, header.mode, header.width, header.height)
    except ValueError as error:
        raise CorruptStreamError(f"stored payload: {error}") from error


def _decode_with_codebooks(
    header: Header,
    single: Header,
    payload: Payload,
    source: str | None,
    codebooks: Sequence[Codebook],
    allow_truncated: bool,
    box: Box | None,
) -> Decoded:
    """Try each codebook that the reference names; the checksum decides between them."""
    failure: CorruptStreamError | None = None
    found = codebook_store.find_codebooks(header, source=source, extra=codebooks)
    for book in found:
        if not book.fits(single.as_coded.mode):
            failure = CorruptStreamError(
                f"codebook {book.name!r} has no part for {single.as_coded.mode.name} pictures"
            )
            continue
        lenient = allow_truncated and book is found[-1]
        try:
            coder, prior = _coder_with(book, single.as_coded)
            return _decode_by(coder, payload, header, single, book, prior, lenient, box)
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


def _coder_with(book: Codebook, header: Header) -> tuple[Coder, Prior]:
    """Return the coder that the header names, with what a codebook has for it."""
    coder = CODERS[header.coder]
    prior = coder.prior(book, header.mode, header.height, header.width)
    if coder.needs_prior and prior is None:
        raise CorruptStreamError(
            f"codebook {book.name!r} has no part for {header.mode.name} pictures of "
            f"{header.width} x {header.height} by the {coder.name} coder"
        )
    return coder, prior


def _exact(
    header: Header,
    single: Header,
    coded: NDArray[Any],
    complete: bool,
    allow_truncated: bool,
    book: Codebook | None = None,
) -> Decoded:
    """Return a whole picture; raises where it is not the exact one and must be (SPEC 2.5)."""
    decoded = _presented(header, single, coded, book, complete, strict=not allow_truncated)
    if not complete:
        return decoded
    found = planes.checksum_of(decoded.array, single.mode, Palette.from_header(single))
    if found != single.checksum and not allow_truncated:
        raise CorruptStreamError(
            f"checksum of the decoded picture is {found:08x}, the file says "
            f"{single.checksum:08x}: the file is damaged, or its codebook is another one"
        )
    return replace(decoded, complete=found == single.checksum)
