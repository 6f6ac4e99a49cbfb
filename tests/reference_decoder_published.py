"""The reference coder (SPEC.md 5R) and its parts of codebooks (5R.9), written from SPEC.md alone.

A part of reference_decoder.py.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache

from reference_decoder_colours import invert_transform
from reference_decoder_container import Header
from reference_decoder_numbers import (
    BitReader,
    ByteReader,
    HuffmanCode,
    Range,
    SpecError,
    check_code_lengths,
    read_golomb,
)
from reference_decoder_shapes import (
    ERROR_LIMITS,
    Neighbours,
    Shape,
    gradient_adjusted,
    read_shape_set,
    texture,
)


@dataclass(frozen=True)
class Scheme:
    """What the reference coder does to one plane (5R.1)."""

    lowest: int
    highest: int
    predictor: str
    low_bits: int
    tile_height: int
    tile_width: int
    tile_code: str
    largest_cell: int

    @property
    def tile_symbols(self) -> int:
        """Number of different tiles."""
        return 1 << (self.low_bits * self.tile_height * self.tile_width)


SCHEMES = (
    [Scheme(0, 1, "none", 0, 0, 0, "none", 1)],
    [Scheme(0, 255, "GAP", 4, 2, 2, "static", 31)],
    [
        Scheme(0, 255, "MED", 4, 1, 2, "adaptive", 31),
        Scheme(-255, 255, "MED", 4, 1, 2, "adaptive", 63),
        Scheme(-255, 255, "MED", 4, 1, 2, "adaptive", 63),
    ],
    [
        Scheme(0, 255, "GAP", 8, 1, 1, "adaptive", 1),
        Scheme(-255, 255, "GAP", 5, 1, 2, "adaptive", 31),
        Scheme(-255, 255, "GAP", 5, 1, 2, "adaptive", 31),
    ],
)
KIND_OF_SCHEME = (0, 1, 2, 2)


@dataclass(frozen=True)
class ReferencePlane:
    """What a codebook says about one plane for the reference coder (5R.9)."""

    shapes: list[Shape]
    shape_lengths: bytes
    sample_lengths: bytes
    tile_lengths: bytes
    tile_frequencies: list[int]


@dataclass(frozen=True)
class ReferencePart:
    """A part for the reference coder (5R.9)."""

    scheme: int
    planes: list[ReferencePlane]


@lru_cache(maxsize=16)
def huffman_code(lengths: bytes) -> HuffmanCode:
    """Return a code by its lengths, each time the same object: one has 65,536 codewords."""
    return HuffmanCode(lengths)


def decode_reference(header: Header, parts: dict[int, ReferencePart]) -> list[list[list[int]]]:
    """Decode the payload of the reference coder into component planes (5R.2)."""
    part = parts.get(header.kind)
    if part is None:
        raise SpecError("the codebook has no part for the reference coder and this kind of image")
    bits = BitReader(header.payload)
    planes = []
    for scheme, book in zip(SCHEMES[part.scheme], part.planes, strict=True):
        low = [[0] * header.width for _ in range(header.height)]
        high = [[0] * header.width for _ in range(header.height)]
        if scheme.low_bits:
            read_tiles(bits, scheme, book, low)
        read_reference_shapes(bits, part.scheme, book, high)
        planes.append(restore_reference_plane(scheme, low, high))
    if bits.rest_after_padding():
        raise SpecError("corrupt: bytes behind the payload")
    return invert_transform(1 if header.kind == 2 else 0, planes)


def read_tiles(bits: BitReader, scheme: Scheme, book: ReferencePlane, low: list[list[int]]) -> None:
    """Read the low layer of a plane (5R.6)."""
    tall, wide = scheme.tile_height, scheme.tile_width
    rows, columns = len(low) // tall * tall, len(low[0]) // wide * wide
    tiles = [(row, column) for row in range(0, rows, tall) for column in range(0, columns, wide)]
    if scheme.tile_code == "static":
        tile_code = huffman_code(book.tile_lengths)
        symbols = [tile_code.read(bits) for _ in tiles]
    else:
        symbols = read_adaptive(bits, book.tile_frequencies, len(tiles))
    for (row, column), symbol in zip(tiles, symbols, strict=True):
        rest = symbol
        for i in reversed(range(row, row + tall)):
            for j in reversed(range(column, column + wide)):
                low[i][j] = rest % (1 << scheme.low_bits)
                rest >>= scheme.low_bits
    sample_code = huffman_code(book.sample_lengths)
    for i, low_row in enumerate(low):
        for j in range(len(low_row)):
            if i >= rows or j >= columns:
                low_row[j] = sample_code.read(bits)


def read_adaptive(bits: BitReader, first_frequencies: list[int], number: int) -> list[int]:
    """Read so many symbols in the adaptive arithmetic code (5R.7)."""
    if number == 0:
        return []
    frequencies = list(first_frequencies)
    low, high = 0, 0xFFFFFFFF
    code = 0
    for _ in range(32):
        code = 2 * code + bits.bit_or_zero()
    symbols = []
    for _ in range(number):
        total, span = sum(frequencies), high - low + 1
        value = ((code - low + 1) * total - 1) // span
        symbol, a = 0, 0
        while value >= a + frequencies[symbol]:
            a += frequencies[symbol]
            symbol += 1
        b = a + frequencies[symbol]
        low, high = low + span * a // total, low + span * b // total - 1
        while low >> 31 == high >> 31:
            low = 2 * low % 2**32
            high = (2 * high + 1) % 2**32
            code = (2 * code + bits.bit_or_zero()) % 2**32
        while low >> 30 & 1 and not high >> 30 & 1:
            low = 2 * low % 2**31
            high = 2**31 + (2 * high + 1) % 2**31
            code = (code >> 31 << 31) + (2 * code + bits.bit_or_zero()) % 2**31
        frequencies[symbol] += 1
        symbols.append(symbol)
    bits.position -= 30
    if bits.position > 8 * len(bits.data):
        raise SpecError("truncated: the arithmetic code of tiles ends too early")
    return symbols


def read_reference_shapes(
    bits: BitReader, scheme: int, book: ReferencePlane, high: list[list[int]]
) -> None:
    """Read the shapes and locations of a plane into its high layer (5R.8)."""
    parameter = bits.number(5 if scheme == 0 else 10)
    if parameter == 0:
        return
    number = read_number_of_shapes(bits) if scheme == 1 else None
    height, width = len(high), len(high[0])
    row, column = bits.number(height.bit_length()), bits.number(width.bit_length())
    if row >= height or column >= width:
        raise SpecError("corrupt: a location that is not in the plane")
    shape_code = huffman_code(book.shape_lengths)
    covered = [[False] * width for _ in high]
    done = 0
    while True:
        paint_reference(book.shapes[shape_code.read(bits)], row, column, high, covered)
        done += 1
        if done == number:
            return
        distance = read_golomb(bits, parameter)
        if number is not None:
            distance += 1
        if distance == 0:
            return
        row, column = divmod(row * width + column + distance, width)
        if row >= height:
            raise SpecError("corrupt: a location that is not in the plane")


def read_number_of_shapes(bits: BitReader) -> int:
    """Read the number of shapes in scheme 1 (5R.8)."""
    digits = 1
    while not bits.bit():
        digits += 1
        if digits > 33:
            raise SpecError("corrupt: a number of shapes of more than 33 digits")
    return (1 << (digits - 1)) + bits.number(digits - 1)


def paint_reference(
    shape: Shape, top: int, left: int, layer: list[list[int]], covered: list[list[bool]]
) -> None:
    """Paint a shape with its top left cell at a location (5R.8)."""
    if top + shape.height > len(layer) or left + shape.width > len(layer[0]):
        raise SpecError("corrupt: a shape reaches outside the plane")
    for index, value in enumerate(shape.cells):
        i, j = top + index // shape.width, left + index % shape.width
        if covered[i][j]:
            raise SpecError("corrupt: a shape over a cell that another one covers")
        layer[i][j] = value
        covered[i][j] = True


def reference_med(samples: list[list[int]], row: int, column: int) -> int:
    """Return the prediction of MED (5R.3)."""
    if row == 0:
        return samples[0][column - 1] if column > 0 else 0
    n = samples[row - 1][column]
    if column == 0:
        return n
    w, nw = samples[row][column - 1], samples[row - 1][column - 1]
    if nw >= max(w, n):
        return min(w, n)
    if nw < min(w, n):
        return max(w, n)
    return w + n - nw


def gap_base(around: Neighbours) -> tuple[int, int]:
    """Return dh + dv and p, in sixteenths (5.5)."""
    dh = abs(around.w - around.ww) + abs(around.n - around.nw) + abs(around.n - around.ne)
    dv = abs(around.w - around.nw) + abs(around.n - around.nn) + abs(around.ne - around.nne)
    return dh + dv, gradient_adjusted(around, dv - dh)


class ReferenceGap:
    """GAP with error feedback of the reference coder (5R.4)."""

    def __init__(self, samples: list[list[int]], limits: Range) -> None:
        self.samples = samples
        self.limits = limits
        self.counts = [0] * (255 * 7 + 1)
        self.sums = [0] * (255 * 7 + 1)
        self.base = self.corrected = self.context = 0

    def at(self, row: int, column: int) -> int:
        """Return a sample, 0 outside the plane."""
        inside = row >= 0 and 0 <= column < len(self.samples[0])
        return self.samples[row][column] if inside else 0

    def neighbours(self, row: int, column: int) -> Neighbours:
        """Return the neighbours with their substitutes."""
        w, n = self.at(row, column - 1), self.at(row - 1, column)
        ww, nn = self.at(row, column - 2), self.at(row - 2, column)
        nw = self.at(row - 1, column - 1)
        if row == 0 and column > 0:
            n = nn = w
        if row == 1 and column > 0:
            nn = nw
        if column == 0 and row > 0:
            w = ww = n
        if column == 1 and row > 0:
            ww = nw
        ne, nne = self.at(row - 1, column + 1), self.at(row - 2, column + 1)
        return Neighbours(w, n, nw, ne, ww, nn, nne)

    def predict(self, row: int, column: int) -> int:
        """Return the prediction of a sample."""
        if column > 0:
            error = abs(16 * self.at(row, column - 1) - self.base)
        else:
            before = Neighbours(0, 0, 0, self.at(row - 1, 0), 0, 0, self.at(row - 2, 0))
            error = abs(gap_base(before)[1])
        around = self.neighbours(row, column)
        gradients, self.base = gap_base(around)
        energy = 16 * gradients + 2 * error
        level = sum(16 * limit < energy for limit in ERROR_LIMITS)
        self.context = texture(around, self.base) * level
        self.corrected = 4096 * self.base
        if self.counts[self.context]:
            self.corrected += self.sums[self.context] // self.counts[self.context]
        lowest, highest = 65536 * self.limits.lowest, 65536 * self.limits.highest
        return -(-min(max(self.corrected, lowest), highest) // 65536)

    def learn(self, sample: int) -> None:
        """Add the error of the corrected prediction to the context."""
        self.counts[self.context] += 1
        self.sums[self.context] += 65536 * ((65536 * sample - self.corrected) >> 16)
        if self.counts[self.context] == 128:
            self.counts[self.context] = 64
            self.sums[self.context] >>= 1


def restore_reference_plane(
    scheme: Scheme, low: list[list[int]], high: list[list[int]]
) -> list[list[int]]:
    """Return the samples of a plane from its layers (5R.5)."""
    samples = [[0] * len(row) for row in low]
    gap = ReferenceGap(samples, Range(scheme.lowest, scheme.highest))
    for row in range(len(low)):
        for column in range(len(low[0])):
            sample = (high[row][column] << scheme.low_bits) + low[row][column]
            if scheme.predictor != "none":
                sample = -(sample + 1) // 2 if sample % 2 else sample // 2
            if scheme.predictor == "MED":
                sample += reference_med(samples, row, column)
            elif scheme.predictor == "GAP":
                sample += gap.predict(row, column)
                gap.learn(sample)
            if not scheme.lowest <= sample <= scheme.highest:
                raise SpecError("corrupt: a sample outside its range")
            samples[row][column] = sample
    return samples


def read_reference_part(content: bytes) -> ReferencePart:
    """Read a part for the reference coder (5R.9)."""
    file = ByteReader(content)
    scheme = file.byte()
    if scheme >= len(SCHEMES):
        raise SpecError("unsupported: another scheme of the reference coder")
    planes = [read_reference_plane(file, plane) for plane in SCHEMES[scheme]]
    if not file.at_end:
        raise SpecError("corrupt: bytes behind the planes of a part")
    return ReferencePart(scheme, planes)


def read_reference_plane(file: ByteReader, scheme: Scheme) -> ReferencePlane:
    """Read what a part for the reference coder says about one plane (5R.9)."""
    number = file.varint()
    if number > 1 << 22:
        raise SpecError("corrupt: number of shapes")
    shapes = read_shape_set(file, number, scheme.largest_cell)
    if not {(value,) for value in range(1, scheme.largest_cell + 1)} <= {s.cells for s in shapes}:
        raise SpecError("corrupt: a value that is no shape of one cell")
    shape_lengths = file.take(number)
    sample_lengths = file.take(1 << scheme.low_bits) if scheme.low_bits else b""
    tile_lengths = file.take(scheme.tile_symbols) if scheme.tile_code == "static" else b""
    frequencies: list[int] = []
    if scheme.tile_code == "adaptive":
        symbols = scheme.tile_symbols
        frequencies = list(struct.unpack(f"<{symbols}H", file.take(2 * symbols)))
    for lengths in (shape_lengths, sample_lengths, tile_lengths):
        check_code_lengths(lengths)
    if 0 in frequencies:
        raise SpecError("corrupt: a first frequency is 0")
    return ReferencePlane(shapes, shape_lengths, sample_lengths, tile_lengths, frequencies)
