"""The bilevel coder (SPEC.md 5D) and its priors (6.5), written from SPEC.md alone.

A part of reference_decoder.py.
"""

import struct
from collections import defaultdict
from dataclasses import dataclass

from reference_decoder_numbers import (
    ArithmeticDecoder,
    ByteReader,
    SpecError,
    clip,
    curve_value,
    first_curve,
    read_count_cap,
    read_known_states,
    squash,
    stretch_table,
    update_curve,
    update_state,
)

MODULUS = 2**64
FULL_WINDOW = 2**63 - 1
BLOCK_STATES = 128
LENGTH_LIMITS = (0, 1, 2, 5, 7, 11, 15, 23, 31, 47, 63, 95, 191, 383, 767)
# Rows above and columns to the right of the pixel, from bit 0 on (5D.2).
WINDOW = [(0, -column) for column in range(1, 9)]
for _above, _far in ((1, 7), (2, 6), (3, 5), (4, 4), (5, 3)):
    WINDOW += [(_above, column) for column in range(_far, -_far - 1, -1)]
STANDARD_MASKS = (
    (0x000000002001C003, 0xF0F),
    (0x00000200F803E007, 0),
    (0x00080F81FC07F00F, 0),
    (0x00000000007FFFFF, 0),
    (0x1C7F3FE3FE1FFC1F, 0),
    (0x000000002001C003, 0),
    (0x000181F07F87FC0F, 0),
    (0x0000000FFFFFFFFF, 0),
    (0x3E3E0F80F803E003, 0),
    (0x000001E07E03F807, 0),
    (0x00000000F803E003, 0xFFFF),
    (0x0000000000018001, 0),
    (0x1C1C07007001C001, 0),
    (0x000000007003E003, 0),
    (0x00003C03F00FE007, 0),
)


@dataclass(frozen=True)
class Context:
    """Two masks and a number of digits (5D.3)."""

    window: int
    reach: int
    digits: int


@dataclass(frozen=True)
class BilevelPrior:
    """A prior (6.5): known states by number, and weights by set and row."""

    size: tuple[int, int]
    contexts: list[Context]
    states: dict[int, tuple[int, int]]
    weights: dict[tuple[int, int], list[int]]

    @property
    def positional(self) -> bool:
        """Whether it is for images of one size."""
        return self.size != (0, 0)


def read_bilevel_prior(content: bytes) -> BilevelPrior:
    """Read a prior (6.5)."""
    file = ByteReader(content)
    height, width, number = file.take(3)
    if (height, width) != (0, 0) and not (1 <= height <= 64 and 1 <= width <= 64):
        raise SpecError("corrupt: the size of a bilevel prior")
    if not 5 <= number <= 15:
        raise SpecError("corrupt: the contexts of a bilevel prior")
    contexts = [Context(*struct.unpack("<QIB", file.take(13))) for _ in range(number)]
    for context in contexts:
        if context.window >> 63 or context.reach >> 28 or not 4 <= context.digits <= 20:
            raise SpecError("corrupt: a context of a bilevel prior")
    total = BLOCK_STATES + sum(1 << context.digits for context in contexts)
    if total > 1 << 22:
        raise SpecError("corrupt: the states of a bilevel prior")
    states = read_known_states(file, total, read_count_cap(file))
    third = height * width if height else 256
    rows = [(i, row) for i, size in enumerate((1024, 64, third)) for row in range(size)]
    start = 34952 // number
    lanes = []
    for first in [start] * number + [0]:
        values = struct.unpack(f"<{len(rows)}h", file.take(2 * len(rows)))
        lanes.append([first + 256 * value for value in values])
    if not file.at_end:
        raise SpecError("corrupt: bytes behind a bilevel prior")
    if any(abs(weight) > 43690 for lane in lanes for weight in lane):
        raise SpecError("corrupt: a weight of a bilevel prior")
    weights = {row: list(those) for row, those in zip(rows, zip(*lanes, strict=True), strict=True)}
    return BilevelPrior((height, width), contexts, states, weights)


@dataclass(frozen=True)
class Settings:
    """What a payload says before its codes (5D.1)."""

    frozen: bool
    by_blocks: bool
    inverted: bool
    contexts: int


def read_settings(file: ByteReader, prior: BilevelPrior | None) -> Settings:
    """Read the byte of settings, if there is one (5D.1)."""
    if prior and prior.positional:
        return Settings(True, False, False, len(prior.contexts))
    byte = file.byte()
    contexts = byte & 15
    if byte & 128 or (byte & 64 and not prior):
        raise SpecError("corrupt: the settings of the bilevel coder")
    if contexts < 5 or (prior and contexts != len(prior.contexts)):
        raise SpecError("corrupt: the contexts of the bilevel coder")
    return Settings(bool(byte & 64), bool(byte & 32), bool(byte & 16), contexts)


def decode_bilevel(
    code: bytes, width: int, height: int, settings: Settings, prior: BilevelPrior | None
) -> list[list[int]]:
    """Decode a tile of the bilevel coder (5D.1)."""
    rows = BilevelTile(code, width, height, settings, prior).decode()
    if settings.inverted:
        return [[1 - pixel for pixel in row] for row in rows]
    return rows


def length(number: int) -> int:
    """Return the class of a length (5D.3)."""
    return sum(limit < number for limit in LENGTH_LIMITS)


def standard_contexts(number: int, pixels: int) -> list[Context]:
    """Return the contexts of a tile without a prior (5D.3)."""
    most = min(max(pixels.bit_length() - 2, 6), 20)
    return [
        Context(window, reach, min(window.bit_count() + reach.bit_count() + 2, most))
        for window, reach in STANDARD_MASKS[:number]
    ]


class BilevelTile:
    """Decodes one tile (5D)."""

    def __init__(
        self, code: bytes, width: int, height: int, settings: Settings, prior: BilevelPrior | None
    ) -> None:
        self.arithmetic = ArithmeticDecoder(code)
        self.width, self.height = width, height
        self.settings = settings
        self.positional = prior is not None and prior.positional
        self.contexts = (
            prior.contexts if prior else standard_contexts(settings.contexts, width * height)
        )
        self.first_states = prior.states if prior else {}
        self.first_weights = prior.weights if prior else {}
        self.standard_weights = [34952 // settings.contexts] * settings.contexts + [0]
        self.states: dict[int, list[int]] = {}
        self.weights: dict[tuple[int, int], list[int]] = {}
        self.curves: dict[int, list[int]] = defaultdict(first_curve)
        self.pixels: list[list[int]] = []
        self.plain_in_row: set[int] = set()
        self.kept = (0, 0)
        self.stretches_in_vain: list[int] = []

    def decode(self) -> list[list[int]]:
        """Return the pixels of the tile."""
        for row in range(self.height):
            self.pixels.append([])
            self.plain_in_row = set()
            self.kept = (0, 0)
            self.stretches_in_vain = []
            while len(self.pixels[row]) < self.width:
                if not self.read_block(row, len(self.pixels[row])):
                    self.pixels[row].append(self.read_pixel(row, len(self.pixels[row])))
        self.arithmetic.finish()
        return self.pixels

    def state(self, number: int) -> list[int]:
        """Return a state, Q and n, by its number in a prior (5D.5, 6.5)."""
        if number not in self.states:
            self.states[number] = list(self.first_states.get(number, (1 << 21, 0)))
        return self.states[number]

    def weights_of(self, number: int, row: int) -> list[int]:
        """Return a row of a set of weights (5D.5, 6.5)."""
        if (number, row) not in self.weights:
            start = self.first_weights.get((number, row), self.standard_weights)
            self.weights[number, row] = list(start)
        return self.weights[number, row]

    def at(self, row: int, column: int) -> int:
        """Return a decoded pixel, 0 outside the tile."""
        return self.pixels[row][column] if row >= 0 and 0 <= column < self.width else 0

    # Windows and contexts (5D.2, 5D.3)

    def window(self, row: int, column: int) -> int:
        """Return the window of a pixel (5D.2), with what plain blocks leave in it (5D.4)."""
        window = 0
        behind, value = self.kept
        for bit, (above, right) in enumerate(WINDOW):
            pixel = self.at(row - above, column + right)
            if self.width <= column + right <= behind + 8 - above and above:
                pixel = value
            window |= pixel << bit
        return window

    def changes_left(self, row: int, column: int) -> tuple[int, int]:
        """Return x - a and b (5D.3)."""
        changes = [x for x in range(column) if self.at(row, x) != self.at(row, x - 1)]
        last, before = [0, 0, *changes][-1], [0, 0, *changes][-2]
        return column - last, last - before

    def change_above(self, row: int, column: int) -> int:
        """Return y - t of a column (5D.3)."""
        if column >= self.width:
            return row
        changes = [y for y in range(row) if self.at(y, column) != self.at(y - 1, column)]
        return row - [0, *changes][-1]

    # Blocks (5D.4)

    def read_block(self, row: int, column: int) -> bool:
        """Decode a block or stretch, if one begins here."""
        if not self.settings.by_blocks or column % 16:
            return False
        window = self.window(row, column)
        if window not in (0, FULL_WINDOW):
            return False
        value = int(window > 0)
        block = column // 16
        nearby = [other for other in range(block - 2, block + 3) if other >= 0]
        if not all(self.calm(other, value, row) for other in nearby):
            return False
        size = int(any(block < start + 4 for start in self.stretches_in_vain))
        if (
            block % 4 == 0
            and column + 64 < self.width
            and all(self.calm(other, value, row) for other in (block + 3, block + 4))
        ):
            if self.read_plain(row, block, 4, 2, value):
                return True
            self.stretches_in_vain.append(block)
            size = 1
        if not self.read_plain(row, block, 1, size, value):
            self.read_first_other(row, block, value)
        return True

    def other(self, block: int, value: int, row: int) -> int:
        """Return the last row in which a block is not all of a value so far (5D.4)."""
        left, right = 16 * block, 16 * block + 16
        for y in range(row, -1, -1):
            if left < self.width and any(pixel != value for pixel in self.pixels[y][left:right]):
                return y
        return -1 if value else -13

    def calm(self, block: int, value: int, row: int) -> bool:
        """Return whether a block is calm (5D.4)."""
        return self.other(block, value, row) < row - 12

    def read_plain(self, row: int, block: int, number: int, size: int, value: int) -> bool:
        """Decode whether blocks are plain, and fill them if they are (5D.4, step 1)."""
        skipped = 0
        while skipped < 3 and block - 1 - skipped in self.plain_in_row:
            skipped += 1
        depth = sum(self.other(b, value, row) < row - 18 for b in (block, block + number))
        state = 1 + 2 * (3 * (3 * skipped + depth) + size) + value
        if not self.decide(state):
            return False
        self.plain_in_row.update(range(block, block + number))
        right = min(16 * (block + number), self.width)
        self.pixels[row] += [value] * (right - len(self.pixels[row]))
        self.kept = (right, value)
        return True

    def read_first_other(self, row: int, block: int, value: int) -> None:
        """Decode where the first other pixel of a block is (5D.4, step 3)."""
        node = 1
        for _ in range(4):
            node = 2 * node + self.decide(80 + 16 * value + node)
        place = node - 16
        if 16 * block + place >= self.width:
            raise SpecError("corrupt: the first other pixel of a block is outside the tile")
        self.pixels[row] += [value] * place + [1 - value]

    def decide(self, number: int) -> int:
        """Decode one decision with a state of blocks (5D.4)."""
        state = self.state(number)
        yes = self.arithmetic.decide(min(max(state[0] >> 6, 32), 65504))
        if not self.settings.frozen:
            update_state(state, yes, 255)
        return yes

    # Pixels (5D.5)

    def states_of(self, window: int, reach: int) -> list[list[int]]:
        """Return the state of each context (5D.3)."""
        states = []
        first = BLOCK_STATES
        for context in self.contexts:
            k = (window & context.window) * 0x9E3779B97F4A7C15 % MODULUS
            k = (k + (reach & context.reach) * 0xC2B2AE3D27D4EB4F) % MODULUS
            k ^= k >> 29
            slot = (k * 0xD6E8FEB86659FD93 % MODULUS) >> (64 - context.digits)
            states.append(self.state(first + slot))
            first += 1 << context.digits
        return states

    def read_pixel(self, row: int, column: int) -> int:
        """Decode a pixel and learn from it (5D.5)."""
        window = self.window(row, column)
        run, run_before = self.changes_left(row, column)
        above = self.change_above(row, column)
        reach = length(run) | length(run_before) << 4 | length(above) << 8
        reach |= length(self.change_above(row, column + 1)) << 12
        reach |= row % 64 << 16 | column % 64 << 22
        states = self.states_of(window, reach)
        near = window & 3 | (window >> 13 & 31) << 2 | (window >> 28 & 7) << 7
        seen = [sum(state[1] > limit for limit in (0, 2, 10)) for state in states]
        third = self.width * row + column
        if not self.positional:
            third = 16 * length(above) + length(run)
        weights = [
            self.weights_of(0, near),
            self.weights_of(1, 16 * seen[4] + 4 * seen[2] + seen[0]),
            self.weights_of(2, third),
        ]
        inputs = [stretch_table()[state[0] >> 10] for state in states] + [256]
        total = sum(i * sum(w) for i, w in zip(inputs, zip(*weights, strict=True), strict=True))
        x = clip(total >> 16, 2047)
        mixed = squash(x)
        frozen = self.settings.frozen
        curve = self.curves[near]
        chance = mixed if frozen else (mixed + curve_value(curve, x)) >> 1
        bit = self.arithmetic.decide(min(max(chance, 8), 65528))
        if frozen:
            return bit
        error = (((bit << 16) - mixed) * 6) >> 6
        for those in weights:
            for k, i in enumerate(inputs):
                those[k] = clip(those[k] + ((error * i + 8192) >> 14), 43690)
        update_curve(curve, x, bit)
        for state in states:
            update_state(state, bit, 100)
        return bit
