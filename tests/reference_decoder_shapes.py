"""The shapes coder (SPEC.md 5) and its parts of codebooks (6.3), written from SPEC.md alone.

A part of reference_decoder.py.
"""

import struct
from dataclasses import dataclass

from reference_decoder_colours import invert_transform, plane_ranges
from reference_decoder_container import Header
from reference_decoder_numbers import (
    ArithmeticDecoder,
    BitReader,
    ByteReader,
    HuffmanCode,
    Range,
    SpecError,
    State,
    check_code_lengths,
    read_golomb,
)

PLANES_OF_KIND = (1, 1, 3)
GAP_SYMBOLS = 153
ENERGY_CLASSES = 16
LOW_CONTEXTS = 256
ERROR_LIMITS = (5, 15, 25, 42, 60, 85, 140)
ENERGY_LIMITS = (0, 2, 4, 7, 11, 15, 20, 27, 36, 49, 66, 90, 130, 200, 350)


@dataclass(frozen=True)
class Shape:
    """A rectangle of cells of the high layer (1.1, 5.7)."""

    height: int
    width: int
    cells: tuple[int, ...]

    @property
    def anchor(self) -> int:
        """Column of the first non-zero cell of the first row (5.7)."""
        return next(column for column in range(self.width) if self.cells[column])


@dataclass(frozen=True)
class PlaneBook:
    """What encoder and decoder share about one plane (6.3).

    The states are lists of contexts, each a list of (P, n) by node; node 0 is not used.
    """

    sample_bits: int
    predictor: int
    low_bits: int
    cell_value: int
    shapes: list[Shape]
    shape_lengths: list[int]
    gap_lengths: list[int]
    low_states: list[list[tuple[int, int]]]
    full_states: list[list[tuple[int, int]]]


@dataclass(frozen=True)
class Part:
    """The plane books of a codebook for one kind of image (6.3)."""

    kind: int
    transform: int
    plane_books: list[PlaneBook]


@dataclass(frozen=True)
class CodedPlane:
    """The settings (5.1) and the high layer (5.7) of a plane."""

    limits: Range
    book: PlaneBook
    predictor: int
    low_bits: int
    high_layer: list[list[int]]


def flat_states(contexts: int, bits: int) -> list[list[tuple[int, int]]]:
    """Return states that know nothing (5.9, 5.10)."""
    return [[(1 << 21, 0)] * (1 << bits) for _ in range(contexts)]


def prior_book(kind: int, limits: Range) -> PlaneBook:
    """Return the plane book of the built-in prior (5.10)."""
    bits = limits.sample_bits
    shapes = []
    shape_lengths = [1]
    low_bits = bits
    if kind == 0:
        sides = (1, 2, 4, 8, 16, 32, 64)
        sizes = sorted((height * width, height, width) for height in sides for width in sides)
        shapes = [Shape(height, width, (1,) * area) for area, height, width in sizes]
        shape_lengths = [5] * 14 + [6] * 36
        low_bits = 0
    return PlaneBook(
        sample_bits=bits,
        predictor=0 if kind == 0 else 1,
        low_bits=low_bits,
        cell_value=0,
        shapes=shapes,
        shape_lengths=shape_lengths,
        gap_lengths=[7] * 103 + [8] * 50,
        low_states=flat_states(LOW_CONTEXTS, low_bits),
        full_states=flat_states(ENERGY_CLASSES, bits),
    )


def decode_shapes(header: Header, parts: dict[int, Part]) -> list[list[list[int]]]:
    """Decode the payload of the shapes coder into component planes (5.1)."""
    bits = BitReader(header.payload)
    transform = bits.number(2) if header.kind == 2 else 0
    if transform == 3:
        raise SpecError("corrupt: colour transform 3")
    ranges = plane_ranges(header.kind, transform)
    if header.reference and header.kind not in parts:
        raise SpecError("corrupt: the codebook has no part for this kind of image")
    part = parts.get(header.kind)
    if part is not None and part.transform == transform:
        books = part.plane_books
    else:
        books = [prior_book(header.kind, limits) for limits in ranges]
    coded = [
        read_plane(bits, limits, book, header.width, header.height)
        for limits, book in zip(ranges, books, strict=True)
    ]
    arithmetic_code = bits.rest_after_padding()
    if any(plane.low_bits for plane in coded):
        arithmetic = ArithmeticDecoder(arithmetic_code)
        mapped = [read_low_layer(arithmetic, plane) for plane in coded]
        arithmetic.finish()
    elif arithmetic_code:
        raise SpecError("corrupt: bytes behind the payload")
    else:
        mapped = [plane.high_layer for plane in coded]
    planes = [restore_plane(plane, rows) for plane, rows in zip(coded, mapped, strict=True)]
    return invert_transform(transform, planes)


def read_plane(
    bits: BitReader, limits: Range, book: PlaneBook, width: int, height: int
) -> CodedPlane:
    """Read the settings of a plane (5.1) and its placements (5.8)."""
    predictor, low_bits, parameter = book.predictor, book.low_bits, 0
    if not bits.bit():
        predictor = bits.number(2)
        low_bits = bits.number(4)
        if predictor == 3:
            raise SpecError("corrupt: predictor 3")
        if low_bits > limits.sample_bits:
            raise SpecError("corrupt: L is above the sample bits")
        if low_bits < limits.sample_bits:
            parameter = bits.number(10)
    high_layer = [[0] * width for _ in range(height)]
    if low_bits < limits.sample_bits:
        read_placements(bits, book, parameter, limits.span >> low_bits, high_layer)
    return CodedPlane(limits, book, predictor, low_bits, high_layer)


def read_placements(
    bits: BitReader, book: PlaneBook, parameter: int, highest: int, layer: list[list[int]]
) -> None:
    """Paint the placements of a plane into its high layer (5.8)."""
    shape_code = HuffmanCode(book.shape_lengths)
    gap_code = HuffmanCode(book.gap_lengths)
    end_mark = len(book.shapes)
    width, cells = len(layer[0]), len(layer) * len(layer[0])
    covered = [[False] * width for _ in layer]
    cursor = 0
    while (symbol := shape_code.read(bits)) != end_mark:
        gap = read_golomb(bits, parameter) if parameter else read_gap(bits, gap_code)
        while cursor < cells and (gap or covered[cursor // width][cursor % width]):
            if not covered[cursor // width][cursor % width]:
                gap -= 1
            cursor += 1
        if cursor == cells:
            raise SpecError("corrupt: a location behind the last cell")
        row, column = divmod(cursor, width)
        paint(book.shapes[symbol], row, column, highest, layer, covered)


def read_gap(bits: BitReader, code: HuffmanCode) -> int:
    """Read a gap in the trained code (5.8)."""
    symbol = code.read(bits)
    if symbol < 128:
        return symbol
    more = 7 + symbol - 128
    return (1 << more) + bits.number(more)


def paint(
    shape: Shape,
    row: int,
    column: int,
    highest: int,
    layer: list[list[int]],
    covered: list[list[bool]],
) -> None:
    """Paint a shape with its anchor at a location (5.7)."""
    left = column - shape.anchor
    if left < 0 or left + shape.width > len(layer[0]) or row + shape.height > len(layer):
        raise SpecError("corrupt: a shape reaches outside the plane")
    if max(shape.cells) > highest:
        raise SpecError("corrupt: a shape holds a value above the highest")
    for index, value in enumerate(shape.cells):
        i, j = row + index // shape.width, left + index % shape.width
        if covered[i][j] and layer[i][j] != value:
            raise SpecError("corrupt: a shape differs from a covered cell")
        layer[i][j] = value
        covered[i][j] = True


def read_low_layer(arithmetic: ArithmeticDecoder, plane: CodedPlane) -> list[list[int]]:
    """Read the low layer of a plane and return its mapped residuals (5.9, 5.7)."""
    high, low_bits, book = plane.high_layer, plane.low_bits, plane.book
    if low_bits == 0:
        return high
    full = low_bits == plane.limits.sample_bits
    if full:
        initial = book.full_states
    elif low_bits == book.low_bits:
        initial = book.low_states
    else:
        initial = flat_states(LOW_CONTEXTS, low_bits)
    states = [[State(*state) for state in context] for context in initial]
    mapped: list[list[int]] = []
    for row in range(len(high)):
        mapped.append([])
        for column in range(len(high[0])):
            context = energy_class(mapped, row, column)
            if not full:
                context += 16 * layer_class(high, row, column)
            node = 1
            for _ in range(low_bits):
                node = 2 * node + arithmetic.bit(states[context][node])
            low = node - (1 << low_bits)
            mapped[row].append((high[row][column] << low_bits) + low)
    return mapped


def energy_class(mapped: list[list[int]], row: int, column: int) -> int:
    """Return q, the energy class of a sample, from the mapped residuals before it (5.9)."""
    around = neighbours_of(mapped, row, column)
    energy = 2 * around.w + 2 * around.n + around.nw + around.ne + around.ww + around.nn
    return sum(limit < energy for limit in ENERGY_LIMITS)


def layer_class(high: list[list[int]], row: int, column: int) -> int:
    """Return 4 min(h, 3) + k, the class of a sample's place in the high layer (5.9)."""
    not_zero = 0
    for i in range(max(row - 1, 0), min(row + 2, len(high))):
        for j in range(max(column - 1, 0), min(column + 2, len(high[0]))):
            not_zero += (i, j) != (row, column) and high[i][j] != 0
    return 4 * min(high[row][column], 3) + (0, 1, 1, 2, 2, 3, 3, 3, 3)[not_zero]


@dataclass(frozen=True)
class Neighbours:
    """The known samples around one, named by direction (5.3)."""

    w: int
    n: int
    nw: int
    ne: int
    ww: int
    nn: int
    nne: int


def neighbours_of(samples: list[list[int]], row: int, column: int) -> Neighbours:
    """Return the neighbours with their substitutes outside the plane (5.3)."""
    last = len(samples[0]) - 1
    w = samples[row][column - 1] if column > 0 else 0
    n = samples[row - 1][column] if row > 0 else w
    if column == 0:
        w = n
    nw = samples[row - 1][column - 1] if row > 0 and column > 0 else n
    ne = samples[row - 1][column + 1] if row > 0 and column < last else n
    ww = samples[row][column - 2] if column > 1 else w
    nn = samples[row - 2][column] if row > 1 else n
    nne = samples[row - 2][column + 1] if row > 1 and column < last else ne
    return Neighbours(w, n, nw, ne, ww, nn, nne)


class ZeroPredictor:
    """Predictor 0 (5.4)."""

    def __init__(self, limits: Range) -> None:
        self.limits = limits

    def estimate(self, around: Neighbours) -> int:
        """Return a prediction that may lie outside the range."""
        return 0

    def predict(self, around: Neighbours, column: int) -> int:
        """Return the prediction of a sample."""
        return self.limits.clamp(self.estimate(around))

    def learn(self, sample: int) -> None:
        """Take notice of the sample that was predicted."""


class MedPredictor(ZeroPredictor):
    """Predictor 1, the median edge detector (5.4)."""

    def estimate(self, around: Neighbours) -> int:
        """Return a prediction that may lie outside the range."""
        if around.nw >= max(around.w, around.n):
            return min(around.w, around.n)
        if around.nw <= min(around.w, around.n):
            return max(around.w, around.n)
        return around.w + around.n - around.nw


class GapPredictor(ZeroPredictor):
    """Predictor 2, GAP with error feedback (5.5), in sixteenths."""

    def __init__(self, limits: Range) -> None:
        super().__init__(limits)
        self.counts = [0] * (8 * 256)
        self.sums = [0] * (8 * 256)
        self.base = self.corrected = self.context = 0

    def predict(self, around: Neighbours, column: int) -> int:
        """Return the prediction of a sample."""
        error = abs(16 * around.w - self.base) >> 4 if column > 0 else 0
        horizontal = (
            abs(around.w - around.ww) + abs(around.n - around.nw) + abs(around.n - around.ne)
        )
        vertical = (
            abs(around.w - around.nw) + abs(around.n - around.nn) + abs(around.ne - around.nne)
        )
        self.base = gradient_adjusted(around, vertical - horizontal)
        self.context = 8 * texture(around, self.base) + sum(
            limit < horizontal + vertical + 2 * error for limit in ERROR_LIMITS
        )
        count = self.counts[self.context]
        self.corrected = self.base
        if count:
            self.corrected += 16 * self.sums[self.context] // count
        lowest, highest = 16 * self.limits.lowest, 16 * self.limits.highest
        return -(-min(max(self.corrected, lowest), highest) // 16)

    def learn(self, sample: int) -> None:
        """Add the error of the corrected prediction to the context."""
        self.counts[self.context] += 1
        self.sums[self.context] += (16 * sample - self.corrected) >> 4
        if self.counts[self.context] == 128:
            self.counts[self.context] = 64
            self.sums[self.context] >>= 1


def gradient_adjusted(around: Neighbours, slope: int) -> int:
    """Return p, in sixteenths, from the neighbours and t (5.5)."""
    w, n = around.w, around.n
    if slope > 80:
        return 16 * w
    if slope < -80:
        return 16 * n
    p = 8 * (w + n) + 4 * (around.ne - around.nw)
    if slope > 32:
        p = (p + 16 * w) >> 1
    elif slope > 8:
        p = (3 * p + 16 * w) >> 2
    elif slope < -32:
        p = (p + 16 * n) >> 1
    elif slope < -8:
        p = (3 * p + 16 * n) >> 2
    return p


def texture(around: Neighbours, base: int) -> int:
    """Return the texture number B (5.5)."""
    items = (
        2 * around.w - around.ww,
        2 * around.n - around.nn,
        around.ww,
        around.nn,
        around.ne,
        around.nw,
        around.w,
        around.n,
    )
    number = 0
    for item in items:
        number = 2 * number + (16 * item < base)
    return number


def unmap(mapped: int, prediction: int, limits: Range) -> int:
    """Return the sample of a mapped residual (5.6)."""
    below, above = prediction - limits.lowest, limits.highest - prediction
    both = min(below, above)
    if mapped > limits.span:
        raise SpecError("corrupt: a sample outside its range")
    if mapped > 2 * both:
        return prediction + (mapped - both if above > below else both - mapped)
    return prediction + (-(mapped + 1) // 2 if mapped % 2 else mapped // 2)


def restore_plane(plane: CodedPlane, mapped: list[list[int]]) -> list[list[int]]:
    """Return the samples of a plane from its mapped residuals (5.3 to 5.6)."""
    predictor = (ZeroPredictor, MedPredictor, GapPredictor)[plane.predictor](plane.limits)
    samples = [[0] * len(row) for row in mapped]
    for row, mapped_row in enumerate(mapped):
        for column, value in enumerate(mapped_row):
            prediction = predictor.predict(neighbours_of(samples, row, column), column)
            sample = unmap(value, prediction, plane.limits)
            predictor.learn(sample)
            samples[row][column] = sample
    return samples


def read_part(content: bytes) -> Part:
    """Read the part for one kind of image (6.3)."""
    file = ByteReader(content)
    kind, transform, planes = file.take(3)
    if kind >= len(PLANES_OF_KIND) or planes != PLANES_OF_KIND[kind]:
        raise SpecError("corrupt: kind of image and number of planes")
    if transform > (2 if kind == 2 else 0):
        raise SpecError("corrupt: the colour transform of a part")
    books = [read_plane_book(file, limits) for limits in plane_ranges(kind, transform)]
    if not file.at_end:
        raise SpecError("corrupt: bytes behind the plane books")
    return Part(kind, transform, books)


def read_plane_book(file: ByteReader, limits: Range) -> PlaneBook:
    """Read a plane book (6.3)."""
    bits = limits.sample_bits
    sample_bits, predictor, low_bits = file.take(3)
    if sample_bits != bits or predictor > 2 or not bits - 8 <= low_bits <= bits:
        raise SpecError("corrupt: sample bits, predictor or L of a plane book")
    cell_value = file.varint()
    number = file.varint()
    if cell_value > 1 << 20 or number > 1 << 22:
        raise SpecError("corrupt: cell value or number of shapes")
    shapes = read_shape_set(file, number, limits.span >> low_bits)
    if not all(any(shape.cells[: shape.width]) for shape in shapes):
        raise SpecError("corrupt: a shape without an anchor")
    shape_lengths = list(file.take(number + 1))
    gap_lengths = list(file.take(GAP_SYMBOLS))
    check_code_lengths(shape_lengths)
    check_code_lengths(gap_lengths)
    low_states = read_states(file, LOW_CONTEXTS, low_bits) if low_bits < bits else []
    return PlaneBook(
        sample_bits=sample_bits,
        predictor=predictor,
        low_bits=low_bits,
        cell_value=cell_value,
        shapes=shapes,
        shape_lengths=shape_lengths,
        gap_lengths=gap_lengths,
        low_states=low_states,
        full_states=read_states(file, ENERGY_CLASSES, bits),
    )


def read_shape_set(file: ByteReader, number: int, highest: int) -> list[Shape]:
    """Read the shapes of a plane book (6.3, 5R.9)."""
    heights = file.take(number)
    widths = file.take(number)
    shapes = []
    for height, width in zip(heights, widths, strict=True):
        cells = file.take(height * width)
        if not any(cells):
            raise SpecError("corrupt: a shape without a cell that is not 0")
        if max(cells) > highest:
            raise SpecError("corrupt: a cell of a shape above the highest")
        shapes.append(Shape(height, width, tuple(cells)))
    return shapes


def read_states(file: ByteReader, contexts: int, bits: int) -> list[list[tuple[int, int]]]:
    """Read the states of so many contexts with nodes 1..2^bits - 1 (6.3)."""
    nodes = (1 << bits) - 1
    total = contexts * nodes
    probabilities = struct.unpack(f"<{total}H", file.take(2 * total))
    counts = file.take(total)
    states = [(p << 6, count) for p, count in zip(probabilities, counts, strict=True)]
    unused = (0, 0)
    return [[unused, *states[i * nodes : (i + 1) * nodes]] for i in range(contexts)]
