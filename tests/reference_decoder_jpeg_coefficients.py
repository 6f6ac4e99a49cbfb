"""Coefficients of pictures that were JPEGs once (SPEC.md 5J.2, 5J.5) and their priors (6.9).

A part of reference_decoder.py, written from SPEC.md alone.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from reference_decoder_numbers import (
    ArithmeticDecoder,
    ByteReader,
    SpecError,
    clip,
    read_count_cap,
    read_known_states,
    squash,
    stretch_table,
    write_varint,
)

# Tables K.1 and K.2 of ITU-T T.81, row by row.
LUMA_STEPS = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA_STEPS = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *(99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99),
    *(99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99),
)
OTHER_TABLE, TABLE_BEFORE = 254, 255
EDGE = (8192, 11363, 10703, 9633, 8192, 6436, 4433, 2260)
LANES = 8
MOST_INNER = 49
FIRST_WEIGHT = 6500
PACE, HASTE, HASTE_BLOCKS = 14, 6000, 64
PACE_OF_KNOWN = 8
WEIGHT_BOUND = 1 << 19
MOST_BITS = 16
UNARY_STATES = 12

Grid = list[list[int]]


def zigzag() -> Iterator[tuple[int, int]]:
    """Yield the 49 inner places (u, v) in zigzag order (5J.5)."""
    for diagonal in range(15):
        places = [(u, diagonal - u) for u in range(8) if 0 <= diagonal - u < 8]
        yield from (
            place for place in (places if diagonal % 2 else reversed(places)) if min(place) > 0
        )


INNER = tuple(zigzag())


def sign(value: int) -> int:
    """Return -1, 0 or 1."""
    return (value > 0) - (value < 0)


def wrap(value: int) -> int:
    """Return a number modulo 2^16 in -32768..32767 (5J.5)."""
    return (value + 32768) % 65536 - 32768


def grade(n: int) -> int:
    """Return L(n) (5J.5)."""
    if n < 4:
        return n
    b = n.bit_length() - 1
    return min(2 * b + (n >> (b - 1) & 1), 15)


def coarse(n: int) -> int:
    """Return G(n) (5J.5)."""
    return n if n < 3 else 3 + sum(n > limit for limit in (2, 4, 8, 16, 32)) - 1


# Where the picture lies (5J.2)


@dataclass
class Component:
    """A component: its size, which of its directions are halved, its steps and what is decoded."""

    height: int
    width: int
    down: int
    across: int
    steps: list[int]
    blocks: list[list["Block"]] = field(default_factory=list)
    fine: Grid = field(default_factory=list)
    corrections: Grid = field(default_factory=list)
    corrected: set[tuple[int, int]] = field(default_factory=set)

    @property
    def grid(self) -> tuple[int, int]:
        """Numbers of rows and columns of blocks."""
        return self.block_rows, self.block_columns

    @property
    def block_rows(self) -> int:
        """Number of rows of blocks."""
        return -(-self.height // 8)

    @property
    def block_columns(self) -> int:
        """Number of columns of blocks."""
        return -(-self.width // 8)

    def samples(self) -> Grid:
        """Return the samples (5J.3)."""
        return [
            [byte(byte((fine >> 6) + 128) + k) for fine, k in zip(*rows, strict=True)]
            for rows in zip(self.fine, self.corrections, strict=True)
        ]


@dataclass(frozen=True)
class Place:
    """Where the picture lies in the JPEG (5J.2)."""

    rows: int
    columns: int
    repeated: bool
    components: list[Component]


def byte(value: int) -> int:
    """Return the nearest number of 0..255."""
    return min(max(value, 0), 255)


def read_past(
    file: ByteReader, colour: bool, known: list[list[int]]
) -> tuple[int, int, int, list[list[int]]]:
    """Read flags, rows, columns and the components' steps (5J.2)."""
    flags = file.byte()
    down, across = flags >> 1 & 1, flags >> 2 & 1
    if flags > 63 or bool(flags & 1) != colour or (not colour and flags & 0b100110):
        raise SpecError("corrupt: the flags of a picture that was a JPEG")
    rows, columns = file.byte(), file.byte()
    if rows >= 8 << down or columns >= 8 << across:
        raise SpecError("corrupt: where the picture lies in the JPEG")
    tables: list[list[int]] = []
    for _ in range(3 if colour else 1):
        tables.append(read_steps(file, tables[-1] if tables else None, known))
    return flags, rows, columns, tables


def read_place(
    file: ByteReader, colour: bool, height: int, width: int, known: list[list[int]]
) -> Place:
    """Read where the picture lies (5J.2)."""
    flags, rows, columns, tables = read_past(file, colour, known)
    down, across, repeated = flags >> 1 & 1, flags >> 2 & 1, flags >> 5 & 1
    full_height, full_width = rows + height, columns + width
    if flags & 8:
        full_height += -full_height % (8 << down)
    if flags & 16:
        full_width += -full_width % (8 << across)
    components = []
    for index, steps in enumerate(tables):
        v, h = (down, across) if index else (0, 0)
        size = ((full_height + v) >> v, (full_width + h) >> h)
        components.append(Component(*size, v, h, steps))
    return Place(rows, columns, bool(repeated), components)


def libjpeg_steps(number: int) -> list[int]:
    """Return libjpeg's table of a number below 200 (5J.2)."""
    quality = number % 100 + 1
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    base = LUMA_STEPS if number < 100 else CHROMA_STEPS
    return [min(max((step * scale + 50) // 100, 1), 255) for step in base]


def read_steps(file: ByteReader, before: list[int] | None, known: list[list[int]]) -> list[int]:
    """Read a quantiser table (5J.2)."""
    number = file.byte()
    if number < 200:
        return libjpeg_steps(number)
    if number < 200 + len(known):
        return known[number - 200]
    if number == OTHER_TABLE:
        steps = [file.varint() for _ in range(64)]
        if not all(1 <= step <= 65535 for step in steps):
            raise SpecError("corrupt: a quantiser step")
        return steps
    if number != TABLE_BEFORE or before is None:
        raise SpecError("corrupt: a quantiser table")
    return before


# The coefficients (5J.5)


class Block:
    """A block's coefficients, by 8 u + v, and what later blocks look at."""

    def __init__(self) -> None:
        self.coefficients = [0] * 64
        self.inner_count = 0
        self.side_counts = [0, 0]
        self.value = 0

    def size(self, u: int, v: int) -> int:
        """Return the magnitude of a coefficient, 0 for one that is not inside."""
        return abs(self.coefficients[8 * u + v])

    def line(self, side: int, k: int) -> list[int]:
        """Return row k (side 0) or column k (side 1) of the coefficients."""
        return self.coefficients[8 * k : 8 * k + 8] if side == 0 else self.coefficients[k::8]

    def found_inside(self) -> int:
        """Return how many inner coefficients are not 0."""
        return sum(self.size(u, v) > 0 for u, v in INNER)

    def found_on(self, side: int) -> int:
        """Return how many coefficients of a side are not 0."""
        return sum(value != 0 for value in self.line(1 - side, 0)[1:])


NO_BLOCK = Block()


@dataclass(frozen=True)
class Around:
    """The neighbours of a block, `NO_BLOCK` outside, and the co-located one if there is one."""

    w: Block
    n: Block
    nw: Block
    ne: Block
    ww: Block
    nn: Block
    other: Block | None
    row: int
    column: int
    last_column: bool

    def near(self, at: int) -> int:
        """Return near (5J.5)."""
        w, n, nw, ne = (abs(block.coefficients[at]) for block in (self.w, self.n, self.nw, self.ne))
        return 3 * (w + n) + nw + ne


@dataclass(frozen=True)
class Mix:
    """What a mixed decision depends on besides its node (5J.5)."""

    table: str
    contexts: tuple[int, ...]
    rows: tuple[tuple[str, int], tuple[str, int]]


def move(state: list[int], bit: int) -> None:
    """Let a state, Q and n, learn from a bit."""
    rate = 655360 // (10 * state[1] + 23)
    state[0] += (((4194303 * bit - state[0]) >> 3) * rate) >> 13
    state[1] = min(state[1] + 1, 255)


class Start:
    """Where the models of a component start without a codebook."""

    pace, haste = PACE, HASTE

    def state(self, *_key: Any) -> tuple[int, int]:
        """Return Q and n of a state."""
        return 1 << 21, 0

    def row(self, *_key: Any) -> list[int]:
        """Return the weights of a row and a node."""
        return [FIRST_WEIGHT] * LANES


# Sizes of the tables: nodes and contexts (6.9).
TABLES = {"I": (32, 2048), "C": (64, 256), "S": (8, 1024)}
STATES_OF_LANE = sum(nodes * contexts for nodes, contexts in TABLES.values())
SIGN_CONTEXTS = 81
PLAIN_STATES = 64 * SIGN_CONTEXTS + 64 * 17 * 16
ROWS = 64 * 32 + 48 * 32 + 64 + 2 * 8


@dataclass(frozen=True)
class JpegPrior:
    """A prior of pictures that were JPEGs once (6.9)."""

    components: int
    tables: list[list[int]]
    states: dict[int, tuple[int, int]]
    weights: tuple[int, ...]


class KnownStart(Start):
    """Where the models of a component start with a prior (6.9)."""

    def __init__(self, prior: JpegPrior, component: int) -> None:
        self.prior = prior
        self.component = component
        if prior.weights:
            self.pace, self.haste = PACE_OF_KNOWN, 0

    def state(self, *key: Any) -> tuple[int, int]:
        """Return Q and n of a state."""
        return self.prior.states.get(self.place(*key), (1 << 21, 0))

    def place(self, table: str, *key: int) -> int:
        """Return the number of a state."""
        if table in ("sign", "bit"):
            start = self.prior.components * LANES * STATES_OF_LANE + self.component * PLAIN_STATES
            if table == "sign":
                at, context = key
                return start + at * SIGN_CONTEXTS + context
            at, bits, place = key
            return start + 64 * SIGN_CONTEXTS + (at * 17 + bits) * 16 + place
        lane, context, node = key
        start = (self.component * LANES + lane) * STATES_OF_LANE
        if table[0] == "S":
            context += 512 * int(table[1])
        for name, (nodes, contexts) in TABLES.items():
            if name == table[0]:
                return start + node * contexts + context
            start += nodes * contexts
        raise AssertionError(table)

    def row(self, *key: Any) -> list[int]:
        """Return the weights of a row and a node."""
        if not self.prior.weights:
            return super().row(*key)
        name, number, node = key
        row = {
            "at": 32 * number + node,
            "level": 64 * 32 + 32 * number + node,
            "count": (64 + 48) * 32 + node,
            "side count": (64 + 48) * 32 + 64 + 8 * number + node,
        }[name.removesuffix(" again")]
        start = (self.component * ROWS + row) * LANES
        stored = self.prior.weights[start : start + LANES]
        return [FIRST_WEIGHT + 256 * weight for weight in stored]


def written_tables(tables: list[list[int]], libjpegs: list[list[int]]) -> bytes:
    """Return the tables of a past as a prior has them (6.9)."""
    out = b""
    for index, table in enumerate(tables):
        if index and table == tables[index - 1]:
            out += bytes([TABLE_BEFORE])
        elif table in libjpegs:
            out += bytes([libjpegs.index(table)])
        else:
            out += bytes([OTHER_TABLE]) + b"".join(map(write_varint, table))
    return out


def read_jpeg_prior(content: bytes) -> JpegPrior:
    """Read a prior of pictures that were JPEGs once (6.9)."""
    file = ByteReader(content)
    components, number = file.byte(), file.byte()
    if components not in (1, 3) or number > 16:
        raise SpecError("corrupt: components or pasts of a prior")
    tables: list[list[int]] = []
    libjpegs = [libjpeg_steps(index) for index in range(200)]
    for _ in range(number):
        first = file.position + 3
        steps = read_past(file, components == 3, [])[3]
        if content[first : file.position] != written_tables(steps, libjpegs):
            raise SpecError("corrupt: a table of a prior is not in its canonical form")
        for table in steps:
            if table not in libjpegs and table not in tables:
                tables.append(table)
    cap = read_count_cap(file)
    states = read_known_states(file, components * (LANES * STATES_OF_LANE + PLAIN_STATES), cap)
    weighted = file.byte()
    if weighted > 1:
        raise SpecError("corrupt: weights of a prior")
    n_weights = components * ROWS * LANES * weighted
    weights = struct.unpack(f"{n_weights}b", file.take(n_weights))
    if not file.at_end:
        raise SpecError("corrupt: bytes behind a prior")
    return JpegPrior(components, tables, states, weights)


class CoefficientReader:
    """Reads the coefficients of one component (5J.5)."""

    def __init__(
        self,
        arithmetic: ArithmeticDecoder,
        component: Component,
        before: Component | None,
        start: "Start",
    ) -> None:
        self.arithmetic = arithmetic
        self.component = component
        self.before = before
        self.start = start
        self.states: dict[tuple[Any, ...], list[int]] = {}
        self.weights: dict[tuple[Any, ...], list[int]] = {}

    def read(self) -> None:
        """Read all blocks."""
        blocks = self.component.blocks
        for row in range(self.component.block_rows):
            blocks.append([])
            for column in range(self.component.block_columns):
                number = row * self.component.block_columns + column
                self.pace = self.start.pace + self.start.haste // (number + HASTE_BLOCKS)
                block = Block()
                around = self.around(row, column)
                self.read_inner(block, around)
                for side in range(2):
                    self.read_side(block, side, around)
                self.read_first(block, around)
                blocks[row].append(block)

    def around(self, row: int, column: int) -> Around:
        """Return the neighbours of a block."""
        blocks = self.component.blocks
        last = self.component.block_columns - 1

        def at(i: int, j: int) -> Block:
            return blocks[i][j] if i >= 0 and 0 <= j <= last else NO_BLOCK

        other = None
        if self.before:
            a = self.component.down - self.before.down
            b = self.component.across - self.before.across
            i = min(row << a, self.before.block_rows - 1)
            other = self.before.blocks[i][min(column << b, self.before.block_columns - 1)]
        return Around(
            w=at(row, column - 1),
            n=at(row - 1, column),
            nw=at(row - 1, column - 1),
            ne=at(row - 1, column + 1),
            ww=at(row, column - 2),
            nn=at(row - 2, column),
            other=other,
            row=row,
            column=column,
            last_column=column == last,
        )

    def state(self, *key: Any) -> list[int]:
        """Return the state of a table, a lane or not, and a place there."""
        if key not in self.states:
            self.states[key] = list(self.start.state(*key))
        return self.states[key]

    def row(self, *key: Any) -> list[int]:
        """Return the weights of a row and a node."""
        if key not in self.weights:
            self.weights[key] = list(self.start.row(*key))
        return self.weights[key]

    def decide_plain(self, *key: Any) -> int:
        """Decode a plain decision."""
        state = self.state(*key)
        bit = self.arithmetic.decide(min(max(state[0] >> 6, 32), 65504))
        move(state, bit)
        return bit

    def decide(self, mix: Mix, node: int) -> int:
        """Decode a mixed decision."""
        states = [
            self.state(mix.table, lane, context, node) for lane, context in enumerate(mix.contexts)
        ]
        first, second = (self.row(*row, node) for row in mix.rows)
        inputs = [stretch_table()[state[0] >> 10] for state in states]
        total = sum(i * (u + v) for i, u, v in zip(inputs, first, second, strict=True))
        squashed = squash(clip(total >> 16, 2047))
        bit = self.arithmetic.decide(min(max(squashed, 32), 65504))
        error = ((65536 * bit - squashed) * self.pace) >> 6
        for weights in (first, second):
            for lane, i in enumerate(inputs):
                weights[lane] = clip(weights[lane] + ((error * i + 8192) >> 14), WEIGHT_BOUND)
        for state in states:
            move(state, bit)
        return bit

    def read_count(self, bits: int, mix: Mix) -> int:
        """Read a count, the highest bit first."""
        node = 1
        for _ in range(bits):
            node = 2 * node + self.decide(mix, node)
        return node - (1 << bits)

    def read_magnitude(self, at: int, mix: Mix) -> int:
        """Read a magnitude."""
        bits = 0
        while bits < MOST_BITS and self.decide(mix, bits):
            bits += 1
        if bits < 2:
            return bits
        magnitude = 2 + self.decide(mix, 15 + bits)
        for place in range(bits - 3, -1, -1):
            magnitude = 2 * magnitude + self.decide_plain("bit", at, bits, place)
        return magnitude

    def read_inner(self, block: Block, around: Around) -> None:
        """Read the inner coefficients (steps 1 and 2)."""
        w, n = around.w.inner_count, around.n.inner_count
        e = n if around.last_column else around.ne.inner_count
        if around.row == 0:
            n = e = w
        elif around.column == 0:
            w = n
        m = (w + n + 1) >> 1
        o = around.other.found_inside() if around.other else 0
        contexts = (
            *(m, n, w, o, (n + e + 1) >> 1),
            *(13 * (w >> 2) + (n >> 2), 13 * (o >> 2) + (m >> 2), 0),
        )
        count = self.read_count(6, Mix("C", contexts, (("count", 0), ("count again", 0))))
        if count > MOST_INNER:
            raise SpecError("corrupt: more than 49 inner coefficients")
        block.inner_count = left = count
        for k, (u, v) in enumerate(INNER):
            if left == 0:
                break
            value = self.read_inner_coefficient(block, around, (k, u, v), left)
            block.coefficients[8 * u + v] = wrap(value)
            left -= value != 0

    def read_inner_coefficient(
        self, block: Block, around: Around, place: tuple[int, int, int], left: int
    ) -> int:
        """Read an inner coefficient (step 2)."""
        k, u, v = place
        at = 8 * u + v
        a, b = around.w.size(u, v), around.n.size(u, v)
        near = around.near(at) + abs(around.ww.coefficients[at]) + abs(around.nn.coefficients[at])
        inside = beyond = 0
        if u > 1:
            inside += 2 * block.size(u - 1, v)
        if v > 1:
            inside += 2 * block.size(u, v - 1)
        if u > 1 and v > 1:
            inside += block.size(u - 1, v - 1)
        if u > 1 and v < 7:
            beyond += block.size(u - 1, v + 1)
        if v > 1 and u < 7:
            beyond += block.size(u + 1, v - 1)
        partner = around.other.size(u, v) if around.other else beyond
        share = min(8 * left // (49 - k), 7)
        level = grade(near)
        few = min(left, 8) + min(left >> 3, 6)
        both = grade(near + 2 * inside)
        contexts = (
            15 * k + few,
            16 * k + level,
            36 * k + 6 * min(coarse(a), 5) + min(coarse(b), 5),
            16 * k + grade(inside),
            128 * (k >> 2) + 16 * share + level,
            32 * k + 4 * coarse(partner) + min(coarse(beyond + a + b), 3),
            64 * both + k,
            64 * both + 8 * share + min(left, 7),
        )
        magnitude = self.read_magnitude(at, Mix("I", contexts, (("at", at), ("level", few))))
        if magnitude == 0:
            return 0
        context = 3 * (sign(around.w.coefficients[at]) + 1) + sign(around.n.coefficients[at]) + 1
        if around.other:
            context = 3 * context + sign(around.other.coefficients[at]) + 1
        return -magnitude if self.decide_plain("sign", at, context) else magnitude

    def edge(self, block: Block, neighbour: Block, side: int, k: int) -> int:
        """Return x, what the neighbour says of coefficient k of a side (steps 3 and 4)."""
        steps = self.component.steps[8 * k : 8 * k + 8] if side == 0 else self.component.steps[k::8]
        here, there = block.line(side, k), neighbour.line(side, k)
        factors = [e * step for e, step in zip(EDGE, steps, strict=True)]
        x = sum((-1) ** m * factors[m] * there[m] for m in range(8))
        x -= sum(factors[m] * here[m] for m in range(1, 8))
        return x // steps[0]

    def read_side(self, block: Block, side: int, around: Around) -> None:
        """Read the first column or row but for the first coefficient (step 3)."""
        p, q = around.w.side_counts[side], around.n.side_counts[side]
        if around.row == 0:
            q = p
        elif around.column == 0:
            p = q
        o = around.other.found_on(side) if around.other else 0
        f = block.side_counts[0] if side else 0
        c = block.inner_count
        contexts = (
            *(8 * p + q, c, 16 * (c >> 2) + p + q, 8 * o + f),
            *(8 * (c >> 2) + f, q, 8 * (c >> 2) + o, p),
        )
        rows = (("side count", side), ("side count again", side))
        count = self.read_count(3, Mix(f"S{side}", contexts, rows))
        block.side_counts[side] = left = count
        for k in range(7, 0, -1):
            if left == 0:
                break
            value = self.read_side_coefficient(block, side, around, k, left)
            block.coefficients[k if side else 8 * k] = wrap(value)
            left -= value != 0

    def read_side_coefficient(
        self, block: Block, side: int, around: Around, k: int, left: int
    ) -> int:
        """Read coefficient k of a side (step 3)."""
        at = k if side else 8 * k
        expected = 0
        if around.row if side else around.column:
            expected = self.edge(block, around.n if side else around.w, side, k) >> 11
        distance = min(abs(expected), 1 << 14)
        likely = grade(distance)
        level = grade(around.near(at))
        last = 0
        if k < 7:
            last = abs(block.coefficients[k + 1 if side else 8 * (k + 1)])
        diagonal = block.size(1, k) if side else block.size(k, 1)
        partner = abs(around.other.coefficients[at]) if around.other else diagonal
        place = k - 1 + 7 * side
        contexts = (
            736 + 8 * place + left,
            784 + 64 * place + 8 * (level >> 1) + (block.inner_count >> 3),
            1764 + 16 * place + likely,
            784 + 64 * place + 8 * coarse(last) + coarse(diagonal),
            1664 + 8 * (16 * side + likely) + left,
            1568 + 32 * place + 4 * coarse(partner) + min(likely >> 2, 3),
            1024 + 64 * place + 8 * (likely >> 1) + (level >> 1),
            1024 + 64 * place + 8 * (likely >> 1) + left,
        )
        rows = (("at", at), ("level", 16 + likely))
        magnitude = self.read_magnitude(at, Mix("I", contexts, rows))
        if magnitude == 0:
            return 0
        context = 3 * (8 * (sign(expected) + 1) + coarse(distance)) + min(magnitude, 3) - 1
        return -magnitude if self.decide_plain("sign", at, context) else magnitude

    def read_first(self, block: Block, around: Around) -> None:
        """Read the first coefficient (step 4)."""
        x = self.edge(block, around.w, 0, 0) >> 10 if around.column else 0
        y = self.edge(block, around.n, 1, 0) >> 10 if around.row else 0
        if around.row == 0:
            y = x
        elif around.column == 0:
            x = y
        r, t = around.w.value, around.n.value
        apart = grade(min(abs(x - y) >> 3, 1 << 14))
        drift = grade(min(abs(r) + abs(t), 1 << 14))
        c, d = block.inner_count, sum(block.side_counts)
        contexts = (
            *(2047, 1024 + apart, 2000 + drift, 1700 + 16 * apart + drift),
            *(1930 + c, 2030 + d, 1930 + drift, 1930 + 8 * (apart >> 1) + min(d >> 1, 7)),
        )
        value = self.read_magnitude(0, Mix("I", contexts, (("at", 0), ("level", 32 + apart))))
        context = 9 * (sign(r) + 1) + 3 * (sign(t) + 1) + sign(x - y) + 1
        if value and self.decide_plain("sign", 0, context):
            value = -value
        block.value = wrap(value)
        predicted = (x + y + 8) >> 4
        block.coefficients[0] = wrap(value + predicted)
