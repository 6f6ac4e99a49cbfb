"""The coder of pictures that were JPEGs once (SPEC.md 5J): samples, what they leave, and the whole.

A part of reference_decoder.py, written from SPEC.md alone.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from reference_decoder_jpeg_coefficients import (
    UNARY_STATES,
    CoefficientReader,
    Component,
    Grid,
    JpegPrior,
    KnownStart,
    Place,
    Start,
    byte,
    read_place,
    sign,
)
from reference_decoder_numbers import ArithmeticDecoder, ByteReader, SpecError, State, clip

ToPixel = Callable[[int, int, int], tuple[int, int, int]]
ToSamples = Callable[[list[int], list[int]], Grid]
DecodeFollowing = Callable[[bytes, list[Grid]], list[Grid]]


# Samples (5J.3)


def transform(s: list[int]) -> list[int]:
    """Return T (5J.3)."""
    z1 = (s[2] + s[6]) * 4433
    a2, a3 = z1 - 15137 * s[6], z1 + 6270 * s[2]
    a0, a1 = (s[0] + s[4]) << 13, (s[0] - s[4]) << 13
    e0, e3, e1, e2 = a0 + a3, a0 - a3, a1 + a2, a1 - a2
    z5 = (s[7] + s[3] + s[5] + s[1]) * 9633
    z1, z2 = -7373 * (s[7] + s[1]), -20995 * (s[5] + s[3])
    z3, z4 = -16069 * (s[7] + s[3]) + z5, -3196 * (s[5] + s[1]) + z5
    b0, b1 = 2446 * s[7] + z1 + z3, 16819 * s[5] + z2 + z4
    b2, b3 = 25172 * s[3] + z2 + z3, 12299 * s[1] + z1 + z4
    return [e0 + b3, e1 + b2, e2 + b1, e3 + b0, e3 - b0, e2 - b1, e1 - b2, e0 - b3]


def fine_block(coefficients: list[int], steps: list[int]) -> Grid:
    """Return the fine samples of a block (5J.3)."""
    scaled = [value * step for value, step in zip(coefficients, steps, strict=True)]
    columns = [[(x + 1024) >> 11 for x in transform(scaled[v::8])] for v in range(8)]
    rows = [transform([column[u] for column in columns]) for u in range(8)]
    return [[clip((x + 131072) >> 12, 1 << 20) for x in row] for row in rows]


def make_fine(component: Component, samples_of: ToSamples) -> None:
    """Make the fine samples of a component, and corrections that are 0 (5J.3).

    `samples_of` makes those of a block's coefficients and steps.
    """
    for row in component.blocks:
        squares = [samples_of(block.coefficients, component.steps) for block in row]
        for u in range(8):
            line = [value for square in squares for value in square[u]]
            component.fine.append(line[: component.width])
    del component.fine[component.height :]
    component.corrections = [[0] * component.width for _ in range(component.height)]


# Corrections (5J.6, 5J.7)


class CorrectionReader:
    """Reads decisions of corrections, with states of its own."""

    def __init__(self, arithmetic: ArithmeticDecoder) -> None:
        self.arithmetic = arithmetic
        self.states: dict[tuple[object, ...], State] = defaultdict(lambda: State(1 << 21, 0))

    def decide(self, *key: object) -> int:
        """Decode a decision."""
        return self.arithmetic.bit(self.states[key])

    def read_magnitude(self, states: int) -> int:
        """Read a magnitude with a set of states (5J.6)."""
        for n in range(1, UNARY_STATES + 1):
            if not self.decide("larger", states, n):
                return n
        node = 1
        for _ in range(8):
            node = 2 * node + self.decide("tree", states, node)
        return node - 256


def squares(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield the rows and columns of squares of 8 x 8 in raster order."""
    for row in range(-(-height // 8)):
        for column in range(-(-width // 8)):
            yield row, column


def count_around(corrected: set[tuple[int, int]], row: int, column: int) -> int:
    """Return how many of the W, N, NW and NE squares have a correction."""
    places = ((row, column - 1), (row - 1, column), (row - 1, column - 1), (row - 1, column + 1))
    return sum(place in corrected for place in places)


def read_sample_corrections(
    arithmetic: ArithmeticDecoder, component: Component, before: Component | None
) -> None:
    """Read the corrections of a component's samples (5J.6)."""
    reader = CorrectionReader(arithmetic)
    alike = before is not None and before.grid == component.grid
    for row, column in squares(component.height, component.width):
        x = int(alike and (row, column) in before.corrected)
        if reader.decide("block", 5 * x + count_around(component.corrected, row, column)):
            component.corrected.add((row, column))
            read_block_corrections(reader, component, row, column)


def read_block_corrections(
    reader: CorrectionReader, component: Component, row: int, column: int
) -> None:
    """Read the corrections of a block's samples (5J.6)."""
    grid = component.corrections
    z = f = 0
    for y in range(8 * row, min(8 * row + 8, component.height)):
        for x in range(8 * column, min(8 * column + 8, component.width)):
            w = grid[y][x - 1] if x else 0
            n = grid[y - 1][x] if y else 0
            nw = grid[y - 1][x - 1] if x and y else 0
            fraction = component.fine[y][x] % 64
            above = fraction >= 32
            margin = (63 - fraction if above else fraction) >> 2
            near = min(2, sum(value != 0 for value in (w, n, nw)))
            density = 0 if 16 * f < z else 1 + (6 * f >= z) + (2 * f >= z)
            z += 1
            if not reader.decide("sample", (3 * density + near) * 8 + margin):
                continue
            f += 1
            negative = reader.decide("negative", 3 * (2 * above + (margin >= 4)) + 1 + sign(w))
            magnitude = reader.read_magnitude(int(abs(w) > 1 or abs(n) > 1))
            grid[y][x] = -magnitude if negative else magnitude


def read_pixel_corrections(
    arithmetic: ArithmeticDecoder, planes: list[Grid], height: int, width: int
) -> None:
    """Read the corrections of pixels and correct the planes (5J.7)."""
    reader = CorrectionReader(arithmetic)
    corrected: set[tuple[int, int]] = set()
    known: dict[tuple[int, int], list[int]] = {}
    for row, column in squares(height, width):
        if not reader.decide("square", count_around(corrected, row, column)):
            continue
        corrected.add((row, column))
        for y in range(8 * row, min(8 * row + 8, height)):
            for x in range(8 * column, min(8 * column + 8, width)):
                pixel = [plane[y][x] for plane in planes]
                around = ((y, x - 1), (y - 1, x - 1), (y - 1, x), (y - 1, x + 1))
                r = sum(place in known for place in around)
                extreme = any(value in (0, 255) for value in pixel)
                if reader.decide("pixel", 2 * r + extreme):
                    known[y, x] = read_pixel_correction(reader, pixel, known.get((y, x - 1)))
    for (y, x), correction in known.items():
        for plane, value in zip(planes, correction, strict=True):
            plane[y][x] += value
            if not 0 <= plane[y][x] <= 255:
                raise SpecError("corrupt: a corrected pixel outside 0..255")


def read_pixel_correction(
    reader: CorrectionReader, pixel: list[int], left: list[int] | None
) -> list[int]:
    """Read the correction of a pixel, red, green and blue (5J.7)."""
    correction = [0, 0, 0]
    before = 0
    for step, index in enumerate((1, 0, 2)):
        w = left[index] if left else 0
        context = 3 * step + 1 + sign(before)
        asked = step < 2 or any(correction)
        if asked and not reader.decide("component", 2 * context + (w != 0)):
            before = 0
            continue
        y = (pixel[index] == 255) - (pixel[index] == 0)
        negative = reader.decide("negative", 3 * (3 * context + 1 + sign(w)) + 1 + y)
        magnitude = reader.read_magnitude(3 * step + min(abs(w), 2))
        before = correction[index] = -magnitude if negative else magnitude
    return correction


# Upsampling (5J.4) and samples without coefficients (5J.8)


@dataclass
class PlainComponent(Component):
    """A component whose samples are in the payload (5J.8)."""

    plain: Grid = field(default_factory=list)

    def samples(self) -> Grid:
        """Return the samples."""
        return self.plain


def upsampler(component: Component, repeated: bool) -> Callable[[int, int], int]:
    """Return the function of a component's number at a pixel of the virtual picture (5J.4)."""
    samples = component.samples()
    down, across = component.down, component.across
    if across and component.width < 3:
        repeated = True

    def beside(place: int, size: int) -> int:
        other = (place >> 1) + (1 if place & 1 else -1)
        return min(max(other, 0), size - 1)

    def number(y: int, x: int) -> int:
        i, j = y >> down, x >> across
        here = samples[i][j]
        if repeated or not (down or across):
            return here
        if not down:
            other = samples[i][beside(x, component.width)]
            return (3 * here + other + (2 if x & 1 else 1)) >> 2
        above = beside(y, component.height)
        mixed = 3 * here + samples[above][j]
        if not across:
            return (mixed + (2 if y & 1 else 1)) >> 2
        k = beside(x, component.width)
        return (3 * mixed + 3 * samples[i][k] + samples[above][k] + (7 if x & 1 else 8)) >> 4

    return number


def convert(planes: list[Grid], to_pixel: ToPixel) -> list[Grid]:
    """Return red, green and blue of Y, Cb and Cr."""
    pixels = [
        [to_pixel(*triple) for triple in zip(*rows, strict=True)]
        for rows in zip(*planes, strict=True)
    ]
    return [[[pixel[index] for pixel in row] for row in pixels] for index in range(3)]


def decode_samples(
    file: ByteReader,
    height: int,
    width: int,
    colour: bool,
    to_pixel: ToPixel,
    decode_gray: Callable[[bytes, int, int], Grid],
) -> list[Grid]:
    """Decode samples without coefficients (5J.8), after the first byte."""
    flags = file.byte()
    down, across, repeated = flags >> 1 & 1, flags >> 2 & 1, bool(flags >> 5 & 1)
    if not colour or flags & 0b11011001 != 1 or not (down or across):
        raise SpecError("corrupt: the flags of samples")
    rows, columns, kinds = file.byte(), file.byte(), file.byte()
    if rows > down or columns > across or kinds not in (0, 8):
        raise SpecError("corrupt: the head of samples")
    sizes = [(height, width)]
    sizes += [((rows + height + down) >> down, (columns + width + across) >> across)] * 2
    codes = [file.take(file.varint()) for _ in range(3)]
    grids = [decode_gray(code, *size) for code, size in zip(codes, sizes, strict=True)]
    planes = [grids[0]]
    for grid, size in zip(grids[1:], sizes[1:], strict=True):
        number = upsampler(PlainComponent(*size, down, across, [], plain=grid), repeated)
        planes.append(
            [[number(y + rows, x + columns) for x in range(width)] for y in range(height)]
        )
    planes = convert(planes, to_pixel)
    rest = file.rest()
    if kinds:
        corrections = ArithmeticDecoder(rest)
        read_pixel_corrections(corrections, planes, height, width)
        corrections.finish()
    elif rest:
        raise SpecError("corrupt: bytes after the samples")
    return planes


# Samples that were not rounded (5J.9)

EXACT, SCALED = 0, 1
SCALES = (16384, 22725, 21407, 19266, 16384, 12873, 8867, 4520)
FACTORS = {2: 60547, 4: 46341, 6: 25080}


def scaled_transform(s: list[int]) -> list[int]:
    """Return T of the scaled decoder (5J.9)."""

    def f(n: int, x: int) -> int:
        return 2 * (x * FACTORS[n] >> 16)

    z = f(4, s[2] - s[6]) - s[2] - s[6]
    e0, e3 = s[0] + s[4] + s[2] + s[6], s[0] + s[4] - s[2] - s[6]
    e1, e2 = s[0] - s[4] + z, s[0] - s[4] - z
    p, q = f(2, s[1] - s[7]), f(6, s[3] - s[5])
    d = s[1] + s[7] - s[3] - s[5]
    o0 = s[1] + s[7] + s[3] + s[5]
    o1 = p + q - o0
    o2 = f(4, d) - o1
    o3 = o0 - f(4, p - q - d)
    return [e0 + o0, e1 + o1, e2 + o2, e3 - o3, e3 + o3, e2 - o2, e1 - o1, e0 - o0]


def scaled_block(coefficients: list[int], steps: list[int]) -> Grid:
    """Return the samples of a block by the scaled decoder (5J.9)."""
    scaled = []
    for at, (value, step) in enumerate(zip(coefficients, steps, strict=True)):
        scale = (SCALES[at // 8] * SCALES[at % 8] + 8192) >> 14
        scaled.append((value * step * scale + 2048) >> 12)
    columns = [scaled_transform(scaled[v::8]) for v in range(8)]
    rows = [scaled_transform([column[u] for column in columns]) for u in range(8)]
    return [[clip(x, 1 << 20) for x in row] for row in rows]


EIGHTHS = (8192, 8035, 7568, 6811, 5793, 4551, 3135, 1598, 0)


def exact_factor(u: int, x: int) -> int:
    """Return K(u, x) of the exact decoder (5J.9)."""
    if u == 0:
        return 5793
    n = (2 * x + 1) * u % 32
    if n > 16:
        n = 32 - n
    return EIGHTHS[n] if n <= 8 else -EIGHTHS[16 - n]


def exact_block(coefficients: list[int], steps: list[int]) -> Grid:
    """Return the samples of a block by the exact decoder (5J.9)."""
    limit = 1 << 20
    c = [clip(value * step, limit) for value, step in zip(coefficients, steps, strict=True)]
    k = [[exact_factor(u, x) for x in range(8)] for u in range(8)]
    inner = [[sum(k[v][x] * c[8 * u + v] for v in range(8)) for x in range(8)] for u in range(8)]
    return [
        [
            clip((sum(k[u][y] * inner[u][x] for u in range(8)) + 32768) >> 16, 1 << 26)
            for x in range(8)
        ]
        for y in range(8)
    ]


def exact_pixel(luma: int, b: int, r: int) -> tuple[int, int, int]:
    """Return red, green and blue of the exact decoder's samples (5J.9)."""
    whole = (luma + 524288) * 65536 + (1 << 27)
    return (
        byte((whole + 91881 * r) >> 28),
        byte((whole - 22554 * b - 46802 * r) >> 28),
        byte((whole + 116130 * b) >> 28),
    )


def scaled_pixel(luma: int, b: int, r: int) -> tuple[int, int, int]:
    """Return red, green and blue of the scaled decoder's samples (5J.9)."""
    whole = luma + 4112
    return (
        byte((whole + (11445 * r >> 13)) >> 5),
        byte((whole + ((-(2819 * b >> 12) - (5850 * r >> 12)) >> 1)) >> 5),
        byte((whole + (14514 * b >> 13)) >> 5),
    )


def decode_unrounded(
    file: ByteReader,
    height: int,
    width: int,
    colour: bool,
    prior: JpegPrior | None,
    decode_following: DecodeFollowing,
) -> list[Grid]:
    """Decode samples that were not rounded (5J.9), after the first byte."""
    decoder = file.byte()
    if decoder not in (EXACT, SCALED):
        raise SpecError("corrupt: the decoder of samples that were not rounded")
    place = read_place(file, colour, height, width, prior.tables if prior else [])
    if not colour or place.repeated or place.components[1].down or place.components[1].across:
        raise SpecError("corrupt: the flags of samples that were not rounded")
    samples_of = exact_block if decoder == EXACT else scaled_block
    read_components(file.take(file.varint()), place, prior, samples_of)
    shown = [
        [row[place.columns :][:width] for row in component.fine[place.rows :][:height]]
        for component in place.components
    ]
    rendered = convert(shown, exact_pixel if decoder == EXACT else scaled_pixel)
    return decode_following(file.rest(), rendered)


# The whole


def read_components(
    code: bytes, place: Place, prior: JpegPrior | None, samples_of: ToSamples = fine_block
) -> None:
    """Read the coefficients of all components and make their fine samples (5J.5, 5J.3)."""
    arithmetic = ArithmeticDecoder(code)
    before = None
    for index, component in enumerate(place.components):
        start = KnownStart(prior, index) if prior else Start()
        CoefficientReader(arithmetic, component, before, start).read()
        make_fine(component, samples_of)
        before = component
    arithmetic.finish()


def decode_jpeg(
    payload: bytes,
    height: int,
    width: int,
    colour: bool,
    to_pixel: ToPixel,
    decode_gray: Callable[[bytes, int, int], Grid],
    decode_following: DecodeFollowing,
    prior: JpegPrior | None = None,
) -> list[Grid]:
    """Decode a payload of coder 7 (5J.1).

    `to_pixel` is 5.2.1 without correction, `decode_gray` decodes a payload of the context coder of
    some height and width (5C), `decode_following` one for a frame that follows the given one
    (5C.9).
    """
    file = ByteReader(payload)
    number = file.byte()
    if number == 1:
        return decode_samples(file, height, width, colour, to_pixel, decode_gray)
    if number == 2:
        return decode_unrounded(file, height, width, colour, prior, decode_following)
    if number != 0:
        raise SpecError("corrupt: coder 7 of another number")
    place = read_place(file, colour, height, width, prior.tables if prior else [])
    kinds = file.byte()
    if kinds >> (4 if colour else 1):
        raise SpecError("corrupt: kinds of corrections")
    code = file.take(file.varint()) if kinds else file.rest()
    read_components(code, place, prior)
    corrections = ArithmeticDecoder(file.rest())
    before = None
    for index, component in enumerate(place.components):
        if kinds >> index & 1:
            read_sample_corrections(corrections, component, before)
        before = component
    numbers = [upsampler(component, place.repeated) for component in place.components]
    planes: list[Grid] = [
        [[number(y + place.rows, x + place.columns) for x in range(width)] for y in range(height)]
        for number in numbers
    ]
    if colour:
        planes = convert(planes, to_pixel)
    if kinds & 8:
        read_pixel_corrections(corrections, planes, height, width)
    corrections.finish()
    return planes
