"""Tiles (SPEC.md 7.1), written from SPEC.md alone.

A part of reference_decoder.py.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from reference_decoder_container import (
    PLANES_OF_MODE,
    Header,
    canonical_samples,
    raw_size,
    read_stored,
)
from reference_decoder_numbers import ByteReader, SpecError


@dataclass(frozen=True)
class Tile:
    """A tile with what the directory says of it; an image of one tile has no directory."""

    top: int
    left: int
    bottom: int
    right: int
    code: bytes
    raw: bool = False
    check: int | None = None


def tile_grid(width: int, height: int, pixels: int) -> list[tuple[int, int, int, int]]:
    """Return top, left, bottom and right of the tiles."""
    tiles = -(-height * width // pixels)
    columns = min(tiles, -(-width // 2048))
    rows = min(height, -(-tiles // columns))
    tops = [height * i // rows for i in range(rows + 1)]
    lefts = [width * j // columns for j in range(columns + 1)]
    return [
        (tops[i], lefts[j], tops[i + 1], lefts[j + 1]) for i in range(rows) for j in range(columns)
    ]


def read_tiles_of(file: ByteReader, header: Header, most: int, pixels: int) -> list[Tile]:
    """Read directory and codes of the tiles of images of more than `most` pixels."""
    if header.width * header.height <= most:
        return [Tile(0, 0, header.height, header.width, file.rest())]
    listed = []
    for place in tile_grid(header.width, header.height, pixels):
        check, number = file.uint32(), file.varint()
        if number > 1 << 40:
            raise SpecError("corrupt: the length of a tile")
        size = raw_size(header.mode, place[3] - place[1], place[2] - place[0])
        listed.append((place, check, number == 0, number - 1 if number else size))
    tiles = [
        Tile(*place, code=file.take(size), raw=raw, check=check)
        for place, check, raw, size in listed
    ]
    if not file.at_end:
        raise SpecError("corrupt: bytes behind the last tile")
    return tiles


def join_tiles(
    header: Header, tiles: list[Tile], decode: Callable[[Tile], list[list[list[int]]]]
) -> list[list[list[int]]]:
    """Decode and check all tiles, and put them together."""
    if tiles[0].check is None:
        return decode(tiles[0])
    planes = range(PLANES_OF_MODE[header.mode])
    image = [[[0] * header.width for _ in range(header.height)] for _ in planes]
    for tile in tiles:
        size = {"width": tile.right - tile.left, "height": tile.bottom - tile.top}
        alone = replace(header, payload=tile.code, **size)
        decoded = read_stored(alone) if tile.raw else decode(tile)
        check_tile(header, tile, canonical_samples(alone, decoded))
        for rows, found in zip(image, decoded, strict=True):
            for row, samples in enumerate(found, tile.top):
                rows[row][tile.left : tile.right] = samples
    return image


def check_tile(header: Header, tile: Tile, samples: bytes) -> None:
    """Compare the check of a tile."""
    numbers = header.mode, header.width, header.height, tile.left, tile.top
    if zlib.crc32(struct.pack("<BIIII", *numbers) + samples) != tile.check:
        raise SpecError("corrupt: the check of a tile differs")
