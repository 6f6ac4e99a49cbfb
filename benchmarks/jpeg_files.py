"""Quantised coefficients and tables of JPEG files: baseline and progressive, Huffman codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softcomp_codec.coefficient_coder import ZIGZAG

Blocks = NDArray[np.int16]


@dataclass
class Component:
    """One component of a frame.

    Attributes
    ----------
    across, down : int
        Sampling factors.
    table : int
        Number of its quantiser table.
    shape : tuple of int
        Blocks down and across that hold samples.
    blocks : ndarray, int16, (blocks down, blocks across, 64)
        Row by row, whole MCUs.
    """

    number: int
    across: int
    down: int
    table: int
    shape: tuple[int, int] = (0, 0)
    blocks: Blocks = field(default_factory=lambda: np.zeros((0, 0, 64), np.int16))
    codes: tuple[int, int] = (0, 0)
    last: int = 0


@dataclass
class JpegFile:
    """What a file holds.

    Attributes
    ----------
    tables : dict of int to tuple of int
        64 quantiser steps, row by row.
    """

    height: int
    width: int
    components: list[Component]
    tables: dict[int, tuple[int, ...]]
    is_progressive: bool

    @property
    def sampling(self) -> tuple[int, int]:
        """Pixels for each sample of the chroma, down and across."""
        luma = self.components[0]
        return luma.down, luma.across

    def table_of(self, component: int) -> tuple[int, ...]:
        """Return the quantiser steps of a component."""
        return self.tables[self.components[component].table]

    def coefficients_of(self, component: int) -> Blocks:
        """Return the blocks that hold samples."""
        found = self.components[component]
        return np.ascontiguousarray(found.blocks[: found.shape[0], : found.shape[1]])


class _Bits:
    """Bits of a scan up to a restart marker."""

    def __init__(self, data: bytes) -> None:
        self._data = data.replace(b"\xff\x00", b"\xff") + bytes(8)
        self._place = 0

    def peek16(self) -> int:
        start, offset = divmod(self._place, 8)
        three = int.from_bytes(self._data[start : start + 3], "big")
        return three >> (8 - offset) & 0xFFFF

    def skip(self, n_bits: int) -> None:
        self._place += n_bits

    def take(self, n_bits: int) -> int:
        value = self.peek16() >> (16 - n_bits)
        self._place += n_bits
        return value

    def symbol(self, code: list[int]) -> int:
        found = code[self.peek16()]
        self._place += found >> 8
        return found & 255

    def extended(self, n_bits: int) -> int:
        """Return a signed value of a category."""
        if not n_bits:
            return 0
        value = self.take(n_bits)
        return value if value >> (n_bits - 1) else value - (1 << n_bits) + 1


def read_jpeg(data: bytes) -> JpegFile:
    """Return the coefficients and tables of a file; ValueError for what is not read."""
    codes: dict[int, list[int]] = {}
    file = JpegFile(0, 0, [], {}, False)
    interval = 0
    for marker, segment, scan in _segments(data):
        if marker == 0xDB:
            _read_tables(segment, file.tables)
        elif marker == 0xC4:
            _read_codes(segment, codes)
        elif marker == 0xDD:
            interval = int.from_bytes(segment[:2], "big")
        elif marker in (0xC0, 0xC1, 0xC2):
            _read_frame(segment, file)
            file.is_progressive = marker == 0xC2
        elif marker == 0xDA:
            _Scan(file, segment, codes).decode(scan, interval)
        elif 0xC3 <= marker <= 0xCF and marker != 0xC8:
            raise ValueError(f"a frame of kind {marker:#x}")
    return file


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (marker, segment, the scan's code) of a file."""
    at = 2
    while at + 4 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xD9:
            return
        segment = data[at + 4 : at + 2 + length]
        at += 2 + length
        start = at
        if marker == 0xDA:
            while not (data[at] == 0xFF and data[at + 1] and not 0xD0 <= data[at + 1] <= 0xD7):
                at += 1
        yield marker, segment, data[start:at]


def _read_tables(segment: bytes, tables: dict[int, tuple[int, ...]]) -> None:
    while segment:
        wide, number = segment[0] >> 4, segment[0] & 15
        size = 1 + wide
        steps = [0] * 64
        for k, at in enumerate(ZIGZAG):
            steps[at] = int.from_bytes(segment[1 + size * k : 1 + size * (k + 1)], "big")
        tables[number] = tuple(steps)
        segment = segment[1 + 64 * size :]


def _read_codes(segment: bytes, codes: dict[int, list[int]]) -> None:
    """Read Huffman codes as the symbol and the length of each 16 bits that begin with it."""
    while segment:
        lengths = segment[1:17]
        symbols = segment[17 : 17 + sum(lengths)]
        table: list[int] = []
        following = iter(symbols)
        for n_bits, count in enumerate(lengths, 1):
            for _ in range(count):
                table += [n_bits << 8 | next(following)] * (1 << (16 - n_bits))
        codes[segment[0]] = table + [16 << 8] * (65536 - len(table))
        segment = segment[17 + len(symbols) :]


def _read_frame(segment: bytes, file: JpegFile) -> None:
    file.height = int.from_bytes(segment[1:3], "big")
    file.width = int.from_bytes(segment[3:5], "big")
    file.components = [
        Component(segment[at], segment[at + 1] >> 4, segment[at + 1] & 15, segment[at + 2])
        for at in range(6, 6 + 3 * segment[5], 3)
    ]
    if len(file.components) == 1:  # its factors mean nothing
        file.components[0].across = file.components[0].down = 1
    most = [max(c.down for c in file.components), max(c.across for c in file.components)]
    for each in file.components:
        samples = -(-file.height * each.down // most[0]), -(-file.width * each.across // most[1])
        each.shape = -(-samples[0] // 8), -(-samples[1] // 8)
        mcus = -(-file.height // (8 * most[0])), -(-file.width // (8 * most[1]))
        each.blocks = np.zeros((mcus[0] * each.down, mcus[1] * each.across, 64), np.int16)


class _Scan:
    """One scan of a frame."""

    def __init__(self, file: JpegFile, segment: bytes, codes: dict[int, list[int]]) -> None:
        self._file, self._all_codes = file, codes
        self._components: list[Component] = []
        for at in range(1, 1 + 2 * segment[0], 2):
            found = next(each for each in file.components if each.number == segment[at])
            found.codes = segment[at + 1] >> 4, 0x10 | segment[at + 1] & 15
            self._components.append(found)
        self._first, self._last, shifts = segment[-3:]
        self._high, self._low = shifts >> 4, shifts & 15
        self._run = 0

    def decode(self, scan: bytes, interval: int) -> None:
        """Fill in the components' coefficients."""
        parts = _split_at_restarts(scan)
        places = self._places()
        bits = _Bits(b"")
        for number, group in enumerate(places):
            if number == 0 or (interval and number % interval == 0):
                bits = _Bits(next(parts))
                self._run = 0
                for each in self._components:
                    each.last = 0
            for component, row, column in group:
                self._decode_block(bits, component, component.blocks[row, column])

    def _places(self) -> list[list[tuple[Component, int, int]]]:
        """Return the blocks of each MCU."""
        if len(self._components) == 1:
            only = self._components[0]
            rows, columns = only.shape
            return [[(only, row, column)] for row in range(rows) for column in range(columns)]
        first = self._components[0]
        rows, columns = first.blocks.shape[0] // first.down, first.blocks.shape[1] // first.across
        return [
            [
                (each, row * each.down + y, column * each.across + x)
                for each in self._components
                for y in range(each.down)
                for x in range(each.across)
            ]
            for row in range(rows)
            for column in range(columns)
        ]

    def _decode_block(self, bits: _Bits, component: Component, block: Any) -> None:
        if not self._file.is_progressive:
            self._decode_first(bits, component, block)
            self._decode_others(bits, component, block, 1, 63)
        elif self._first == 0:
            if self._high:
                block[0] |= bits.take(1) << self._low
            else:
                self._decode_first(bits, component, block)
        elif self._high:
            self._refine(bits, component, block)
        else:
            self._decode_others(bits, component, block, self._first, self._last)

    def _decode_first(self, bits: _Bits, component: Component, block: Any) -> None:
        n_bits = bits.symbol(self._all_codes[component.codes[0]])
        component.last += bits.extended(n_bits)
        block[0] = component.last << self._low

    def _decode_others(
        self, bits: _Bits, component: Component, block: Any, k: int, last: int
    ) -> None:
        if self._run:
            self._run -= 1
            return
        code = self._all_codes[component.codes[1]]
        while k <= last:
            symbol = bits.symbol(code)
            zeros, n_bits = symbol >> 4, symbol & 15
            if n_bits:
                k += zeros
                block[ZIGZAG[k]] = bits.extended(n_bits) << self._low
                k += 1
            elif zeros == 15:
                k += 16
            else:
                self._run = (1 << zeros) - 1 + (bits.take(zeros) if zeros else 0)
                return

    def _refine(self, bits: _Bits, component: Component, block: Any) -> None:
        k, step = self._first, 1 << self._low
        code = self._all_codes[component.codes[1]]
        while not self._run and k <= self._last:
            symbol = bits.symbol(code)
            zeros, new = symbol >> 4, 0
            if symbol & 15:
                new = step if bits.take(1) else -step
            elif zeros < 15:
                self._run = (1 << zeros) + (bits.take(zeros) if zeros else 0)
                break
            while k <= self._last:
                at = ZIGZAG[k]
                k += 1
                if block[at]:
                    self._refine_one(bits, block, at, step)
                elif zeros == 0:
                    block[at] = new
                    break
                else:
                    zeros -= 1
        if self._run:
            self._run -= 1
            for at in ZIGZAG[k : self._last + 1]:
                if block[at]:
                    self._refine_one(bits, block, at, step)

    @staticmethod
    def _refine_one(bits: _Bits, block: Any, at: int, step: int) -> None:
        if bits.take(1) and not abs(int(block[at])) & step:
            block[at] += step if block[at] > 0 else -step


def _split_at_restarts(scan: bytes) -> Iterator[bytes]:
    start = at = 0
    while (at := scan.find(b"\xff", at)) >= 0 and at + 1 < len(scan):
        if 0xD0 <= scan[at + 1] <= 0xD7:
            yield scan[start:at]
            start = at + 2
        at += 2
    yield scan[start:]
