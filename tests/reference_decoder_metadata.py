"""A plain reader of metadata, written from SPEC 3.5 alone; shares nothing with the program."""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any

from reference_decoder_numbers import SpecError

BLOBS = {0x81: "exif", 0x82: "icc_profile", 0x83: "xmp"}
TYPES = {
    "dpi": {5},
    "aspect": {5},
    "gamma": {1, 2},
    "chromaticity": {5},
    "srgb": {1},
    "transparency": {1, 4, 5},
    "background": {1, 5},
    "comment": {4},
}
LENGTHS = {"dpi": 2, "aspect": 2, "chromaticity": 8}
LIMIT = 1 << 26


class Bytes:
    """What is left of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, n_bytes: int) -> bytes:
        if n_bytes > len(self.data):
            raise SpecError("the data end too early")
        piece, self.data = self.data[:n_bytes], self.data[n_bytes:]
        return piece

    def varint(self) -> int:
        value = 0
        for index in range(9):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if byte == 0 and index:
                    raise SpecError("a varint is not in its shortest form")
                return value
        raise SpecError("a varint of more than 9 bytes")

    def value(self) -> tuple[int, Any]:
        """Type and value (3.5.2)."""
        kind = self.take(1)[0]
        if kind == 0:
            return kind, None
        if kind == 1:
            code = self.varint()
            if code > (1 << 63) - 2:
                raise SpecError("an integer is too large")
            return kind, -(code + 1) // 2 if code % 2 else code // 2
        if kind == 2:
            (number,) = struct.unpack("<d", self.take(8))
            if not math.isfinite(number):
                raise SpecError("a float is not finite")
            return kind, number
        if kind in (3, 4):
            data = self.take(self.varint())
            return kind, text(data) if kind == 3 else data
        if kind == 5:
            items = []
            for _ in range(self.varint()):
                item_kind, item = self.value()
                if item_kind not in (1, 2):
                    raise SpecError("an item of a list is no number")
                items.append(item)
            return kind, tuple(items)
        raise SpecError(f"a value of type {kind}")


def text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SpecError("no UTF-8") from error


def read_metadata(data: bytes) -> dict[str, Any]:
    """The metadata of a file; `durations` as they are stored."""
    segments, n_frames = read_segments(data)
    found: dict[str, Any] = {}
    for kind, name in BLOBS.items():
        if segments.get(kind):
            found[name] = segments[kind]
    if 0x84 in segments:
        read_properties(Bytes(segments[0x84]), found)
    if 0x85 in segments:
        read_timing(Bytes(segments[0x85]), n_frames, found)
    return found


def read_segments(data: bytes) -> tuple[dict[int, bytes], int]:
    """The segments of metadata, inflated, and the number of frames (2.1, 3, 3.5.1)."""
    file = Bytes(data)
    flags = file.take(4)[3]
    file.take(1)
    file.varint()
    file.varint()
    file.take((0, 4, 8, 32)[flags & 3] + 4)
    segments: dict[int, bytes] = {}
    n_frames, room = 1, LIMIT
    while flags & 4 and (kind := file.take(1)[0]) != 0:
        head = bytes([kind])
        before = file.data
        n_bytes = file.varint()
        head += before[: len(before) - len(file.data)]
        content = file.take(n_bytes)
        if struct.unpack("<I", file.take(4))[0] != zlib.crc32(head + content):
            raise SpecError("a segment's CRC is wrong")
        if kind == 0x05:
            n_frames = Bytes(content).varint()
        plain = kind & ~0x10
        if 0x81 <= plain <= 0x85 and plain not in segments:
            segments[plain] = inflated(content, room) if kind & 0x10 else content
            room -= len(segments[plain])
    if room < 0:
        raise SpecError("more metadata than this reader takes")
    return segments, n_frames


def inflated(content: bytes, room: int) -> bytes:
    source = Bytes(content)
    n_bytes = source.varint()
    if n_bytes > room:
        raise SpecError("more metadata than this reader takes")
    inflate = zlib.decompressobj(-15)
    try:
        out = inflate.decompress(source.data, n_bytes + 1)
    except zlib.error as error:
        raise SpecError("deflated data are damaged") from error
    if len(out) != n_bytes or not inflate.eof or inflate.unused_data:
        raise SpecError("deflated data of another length")
    return out


def read_properties(source: Bytes, found: dict[str, Any]) -> None:
    last: tuple[bytes, int] = (b"", -1)
    while source.data:
        key = source.take(source.varint())
        kind, value = source.value()
        if not key or (key, kind) <= last:
            raise SpecError("properties are out of order")
        last = (key, kind)
        name = text(key)
        if kind == 3:
            found.setdefault("text", {})[name] = value
        elif kind == 0:
            if name != "XML:com.adobe.xmp" or "xmp" not in found:
                raise SpecError("a property that is nothing")
            found.setdefault("text", {})[name] = text(found["xmp"])
        elif name in TYPES:
            check_property(name, kind, value, found)
            found[name] = value


def check_property(name: str, kind: int, value: Any, found: dict[str, Any]) -> None:
    if kind not in TYPES[name] or name in found:
        raise SpecError(f"{name} of type {kind}, or twice")
    if name in LENGTHS and len(value) != LENGTHS[name]:
        raise SpecError(f"{name} has {len(value)} numbers")
    if name == "srgb" and value < 0:
        raise SpecError("srgb is negative")
    colour = name in ("transparency", "background") and kind == 5
    if colour and any(isinstance(each, float) for each in value):
        raise SpecError(f"{name} is no list of integers")


def read_timing(source: Bytes, n_frames: int, found: dict[str, Any]) -> None:
    kind, loop = source.value()
    if kind > 1 or (loop is not None and loop < 0):
        raise SpecError("the loop is no count")
    durations = []
    while source.data:
        kind, duration = source.value()
        if kind > 2 or (duration is not None and duration < 0):
            raise SpecError("a duration is no number")
        durations.append(duration)
    if len(durations) not in (0, 1, n_frames):
        raise SpecError("another number of durations than frames")
    if loop is not None:
        found["loop"] = loop
    if durations:
        found["durations"] = tuple(durations)
