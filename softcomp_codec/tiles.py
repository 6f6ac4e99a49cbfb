"""Tiles: large images in parts, each with a code and a check of its own (SPEC 7.1)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import container, planes
from .container import write_varint
from .errors import CorruptStreamError, TruncatedStreamError
from .worker_threads import on_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from .container import ByteReader, Header, Mode, Payload

    Decoded = tuple[NDArray[Any], bool]
    """Samples of a tile, and whether they are complete."""

TILE_SIDE = 2048
"""Larger images are cut into tiles about so wide, where tiles have columns at all."""

MAX_TILE_BYTES = 1 << 40
"""More than any tile's code; no less, since those of truncated payloads exceed what is left."""


class Box(NamedTuple):
    """A part of an image: columns left..right - 1, rows top..bottom - 1, as Pillow's crop."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Tile:
    """Rows and columns of a tile."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the tile's part of an image's array."""
        return array[self.top : self.bottom, self.left : self.right]

    def touches(self, box: Box) -> bool:
        """Whether the tile has pixels of a box."""
        return (
            self.top < box.bottom
            and box.top < self.bottom
            and self.left < box.right
            and box.left < self.right
        )


@dataclass(frozen=True)
class Entry:
    """What the directory says of a tile.

    Attributes
    ----------
    start, end : int
        Where its bytes lie in the payload.
    is_raw : bool
        Whether these are its canonical samples.
    check : int or None
        CRC-32 of its canonical samples (SPEC 7.1); None in an image of one tile.
    """

    start: int
    end: int
    is_raw: bool = False
    check: int | None = None


def tile_grid(height: int, width: int, tile_pixels: int, side: int = TILE_SIDE) -> list[Tile]:
    """Return tiles of about so many pixels and about so wide, row by row (SPEC 7.1)."""
    n_tiles = -(-height * width // tile_pixels)
    n_across = min(n_tiles, -(-width // side))
    n_down = min(-(-n_tiles // n_across), height)
    rows = [height * index // n_down for index in range(n_down + 1)]
    columns = [width * index // n_across for index in range(n_across + 1)]
    return [
        Tile(top, bottom, left, right)
        for top, bottom in pairwise(rows)
        for left, right in pairwise(columns)
    ]


def tile_check(mode: Mode, size: tuple[int, int], tile: Tile, samples: bytes) -> int:
    """Return the CRC-32 of a tile's canonical samples and of where they lie (SPEC 7.1).

    `size` is the image's width and height.
    """
    place = struct.pack("<II", tile.left, tile.top)
    return zlib.crc32(samples, container.checksum(mode, *size, place))


def encode_tiles(
    array: NDArray[Any],
    mode: Mode,
    grid: Sequence[Tile],
    encode: Callable[[Tile], bytes | None],
) -> bytes | None:
    """Return directory and codes of all tiles, coded on threads; inverse of `decode_tiles`.

    Parameters
    ----------
    array : ndarray
        Samples of `mode`.
    mode : Mode
    grid : sequence of Tile
    encode : callable
        Tile to its code, None where the samples are smaller.

    Returns
    -------
    bytes, or None where no tile is smaller than its samples.
    """
    if len(grid) == 1:
        return encode(grid[0])
    size = (array.shape[1], array.shape[0])

    def encode_checked(tile: Tile) -> tuple[bytes, int, bool]:
        samples = planes.canonical_samples(tile.of(array), mode)
        check = tile_check(mode, size, tile, samples)
        code = encode(tile)
        is_raw = code is None or len(code) >= len(samples)
        return samples if code is None or is_raw else code, check, is_raw

    coded = on_threads(encode_checked, grid)
    if all(is_raw for _, _, is_raw in coded):
        return None
    parts = [
        struct.pack("<I", check) + write_varint(0 if is_raw else len(code) + 1)
        for code, check, is_raw in coded
    ]
    return b"".join(parts + [code for code, _, _ in coded])


def read_directory(
    payload: Payload,
    reader: ByteReader,
    header: Header,
    grid: Sequence[Tile],
    *,
    in_part: bool,
) -> list[Entry]:
    """Read the directory of the tiles (SPEC 7.1), at which `reader` stands.

    Raises
    ------
    CorruptStreamError, TruncatedStreamError
        With `in_part` it does not matter where the last tile ends.
    """
    n_bytes = len(payload)
    if len(grid) == 1:
        return [Entry(reader.offset, n_bytes)]
    listed = []
    for tile in grid:
        (check,) = struct.unpack("<I", reader.take(4, "check of a tile"))
        length = reader.varint("tile length", MAX_TILE_BYTES) - 1
        if length < 0:
            listed.append((header.mode.raw_size(*tile.shape[::-1]), True, check))
        else:
            listed.append((length, False, check))
    entries = []
    start = reader.offset
    for length, is_raw, check in listed:
        entries.append(Entry(start, start + length, is_raw, check))
        start += length
    if start > n_bytes and not in_part:
        raise TruncatedStreamError(f"payload: its last tile ends at byte {start}, found {n_bytes}")
    if start < n_bytes and not in_part:
        raise CorruptStreamError(f"payload: {n_bytes - start} bytes follow the last tile")
    return entries


def decode_tiles(
    payload: Payload,
    header: Header,
    grid: Sequence[Tile],
    entries: Sequence[Entry],
    decode: Callable[[int, bytes], Decoded],
    allow_truncated: bool = False,
    box: Box | None = None,
) -> Decoded:
    """Decode the tiles that a box touches, on threads; inverse of `encode_tiles`.

    Parameters
    ----------
    payload : bytes-like, or a slice of a file
    header : Header
        Of the frame.
    grid, entries : sequence of Tile, of Entry
    decode : callable
        (number of a tile, its code) to samples and whether they are complete.
    allow_truncated : bool
        Checks are not insisted on.
    box : Box, optional
        Inside the image, which it is by default.

    Returns
    -------
    The box's samples, and whether they are exact as far as the tiles' checks tell.

    Raises
    ------
    CorruptStreamError, TruncatedStreamError
        What `decode` raises, and the former where samples do not match their tile's check.
    """
    mode, size = header.mode, (header.width, header.height)
    if len(grid) == 1 and box is None:
        return decode(0, bytes(payload[entries[0].start : entries[0].end]))
    box = box or Box(0, 0, *size)
    shape = (box.bottom - box.top, box.right - box.left, *header.shape[2:])
    array = np.zeros(shape, planes.dtype_of(mode))

    def decode_into(index: int) -> bool:
        tile, entry = grid[index], entries[index]
        data = bytes(payload[entry.start : entry.end])
        if entry.is_raw:
            samples, complete = _raw_samples(data, mode, tile, index, allow_truncated)
        else:
            samples, complete = decode(index, data)
        if entry.check is not None and complete:
            found = tile_check(mode, size, tile, planes.canonical_samples(samples, mode))
            complete = found == entry.check
            if not complete and not allow_truncated:
                raise CorruptStreamError(
                    f"payload, tile {index}: its samples have check {found:08x}, the file says "
                    f"{entry.check:08x}: the file is damaged, or its codebook is another one"
                )
        top, left = max(tile.top, box.top), max(tile.left, box.left)
        bottom, right = min(tile.bottom, box.bottom), min(tile.right, box.right)
        inside = samples[top - tile.top : bottom - tile.top, left - tile.left : right - tile.left]
        array[top - box.top : bottom - box.top, left - box.left : right - box.left] = inside
        return complete

    touched = [index for index, tile in enumerate(grid) if tile.touches(box)]
    complete = all(on_threads(decode_into, touched))
    return array, complete


def _raw_samples(
    data: bytes, mode: Mode, tile: Tile, index: int, allow_truncated: bool
) -> tuple[NDArray[Any], bool]:
    """Return the samples of a tile that was not coded."""
    height, width = tile.shape
    n_bytes = mode.raw_size(width, height)
    if len(data) < n_bytes and not allow_truncated:
        raise TruncatedStreamError(
            f"payload, tile {index}: {len(data)} bytes of samples, expected {n_bytes}"
        )
    try:
        samples = planes.array_from_samples(data.ljust(n_bytes, b"\0"), mode, width, height)
    except ValueError as error:
        raise CorruptStreamError(f"payload, tile {index}: {error}") from error
    return samples, len(data) == n_bytes
