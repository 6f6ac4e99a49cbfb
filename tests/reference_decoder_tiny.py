"""The tiny coder (SPEC.md 5F) and its priors (6.6), written from SPEC.md alone.

A part of reference_decoder.py.
"""

import struct
from dataclasses import dataclass

from reference_decoder_numbers import (
    ArithmeticDecoder,
    ByteReader,
    SpecError,
    clip,
    read_marked,
    squash,
)

# The first fifteen taps as rows and columns from the sample (5F.2).
TAPS = (
    *((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, 2), (-1, -2)),
    *((-2, -1), (-2, 1), (0, -3), (-3, 0), (-2, 2), (-2, -2), (-1, 3)),
)
CONTEXTS = 9
NODES = 32
INPUTS = 10


@dataclass(frozen=True)
class TinyPrior:
    """A prior (6.6): coefficients by position, log-odds by context, node and slot."""

    size: tuple[int, int]
    inverted: bool
    slot_bits: int
    coefficients: list[tuple[int, ...]]
    log_odds: dict[tuple[int, int, int], int]
    weights: list[list[tuple[int, ...]]]


def read_tiny_prior(content: bytes) -> TinyPrior:
    """Read a prior (6.6)."""
    file = ByteReader(content)
    height, width, flags, slot_bits = file.take(4)
    if not (1 <= height <= 64 and 1 <= width <= 64):
        raise SpecError("corrupt: the size of a tiny prior")
    if flags > 1 or not 6 <= slot_bits <= 16:
        raise SpecError("corrupt: the flags or slot bits of a tiny prior")
    coefficients = list(struct.iter_unpack("<19h", file.take(38 * height * width)))
    known = read_marked(file, CONTEXTS * NODES << slot_bits)
    odds = struct.unpack(f"{len(known)}b", file.take(len(known)))
    if any(value in (0, -128) for value in odds):
        raise SpecError("corrupt: log-odds of a tiny prior")
    log_odds = {}
    for place, value in zip(known, odds, strict=True):
        context_and_node, slot = divmod(place, 1 << slot_bits)
        log_odds[(*divmod(context_and_node, NODES), slot)] = value
    nodes = list(struct.iter_unpack(f"{INPUTS}b", file.take((72 + 128) * NODES * INPUTS)))
    if not file.at_end:
        raise SpecError("corrupt: bytes behind a tiny prior")
    weights = [nodes[start : start + NODES] for start in range(0, len(nodes), NODES)]
    return TinyPrior((height, width), bool(flags), slot_bits, coefficients, log_odds, weights)


@dataclass(frozen=True)
class Surroundings:
    """What the decisions of a sample depend on (5F.3, 5F.5)."""

    slots: list[int]
    first_row: int
    second_row: int


class TinyDecoder:
    """Decodes one image (5F)."""

    def __init__(self, payload: bytes, prior: TinyPrior) -> None:
        self.arithmetic = ArithmeticDecoder(payload)
        self.prior = prior
        self.height, self.width = prior.size
        self.samples = [[0] * self.width for _ in range(self.height)]
        self.residuals = [[0] * self.width for _ in range(self.height)]
        self.highest = 0

    def decode(self) -> list[list[int]]:
        """Return the samples."""
        for row in range(self.height):
            for column in range(self.width):
                prediction = self.prediction(row, column)
                around = self.surroundings(row, column, prediction)
                sample = self.read_sample(prediction, around)
                self.samples[row][column] = sample
                self.residuals[row][column] = sample - prediction
                self.highest = max(self.highest, sample)
        self.arithmetic.finish()
        if self.prior.inverted:
            return [[255 - sample for sample in row] for row in self.samples]
        return self.samples

    def at(self, grid: list[list[int]], row: int, column: int) -> int:
        """Return a number of a grid, 0 outside the image."""
        if 0 <= row < self.height and 0 <= column < self.width:
            return grid[row][column]
        return 0

    def mirrored(self, row: int, column: int, k: int) -> int:
        """Return M_k (5F.2)."""
        place = self.width - 1 - column + k
        return self.samples[row][place] if 0 <= place < column else 0

    def prediction(self, row: int, column: int) -> int:
        """Return p (5F.2)."""
        taps = [self.at(self.samples, row + down, column + right) for down, right in TAPS]
        taps += [self.mirrored(row, column, k) for k in (0, 1, -1)] + [16]
        coefficients = self.prior.coefficients[row * self.width + column]
        total = sum(c * t for c, t in zip(coefficients, taps, strict=True))
        return (min(max((total + 256) >> 9, 0), 2040) + 4) >> 3

    def edges(self, row: int) -> tuple[int, int]:
        """Return the first and last column of a row with a sample other than 0 (5F.3)."""
        columns = [j for j in range(self.width) if self.at(self.samples, row, j)]
        return (columns[0], columns[-1]) if columns else (self.width, -1)

    def surroundings(self, row: int, column: int, p: int) -> Surroundings:
        """Return slots and rows of weights (5F.3, 5F.5)."""

        def sample(down: int, right: int) -> int:
            return self.at(self.samples, row + down, column + right)

        def error(down: int, right: int) -> int:
            return abs(self.at(self.residuals, row + down, column + right))

        w, n, nw, ne = sample(0, -1), sample(-1, 0), sample(-1, -1), sample(-1, 1)
        ww, nn, nee = sample(0, -2), sample(-2, 0), sample(-1, 2)
        energy = 2 * error(0, -1) + 2 * error(-1, 0) + error(-1, 1) + error(-1, -1)
        activity = energy.bit_length()
        zeros = [value == 0 for value in (w, n, nw, ne, nn, ww, nee)]
        pattern = sum(zero << bit for bit, zero in enumerate(zeros))
        left, right = self.edges(row - 1)
        drift = left - self.edges(row - 2)[0] + 3
        if not 0 <= drift <= 6:
            drift = 7
        here = [j for j in range(column) if self.samples[row][j]]
        begun = column - here[0] if here else 64
        m_0, m_1 = self.mirrored(row, column, 0), self.mirrored(row, column, 1)

        def pair(u: int, v: int) -> int:
            return 32 * (clip(u, 15) + 15) + clip(v, 15) + 15

        def grade(v: int) -> int:
            return 1 + (10 * v >> 8) if v else 0

        symmetric = (1 << 22) + pattern
        if self.width - column < column:
            symmetric = 16 * (clip((w + m_0 - m_1 - p) >> 1, 63) + 64) + activity
        numbers = [
            pair(w - p, n - p),
            16 * (32 * (self.highest >> 4) + (p >> 3)) + activity,
            12 * (12 * (12 * grade(w) + grade(n)) + grade(nw)) + grade(ne),
            pair(n + w - nw - p, ne - p),
            2 * (16 * p + activity) + (w == 0),
            symmetric,
            pair((2 * w - ww - p) >> 1, (2 * n - nn - p) >> 1),
            64 * (8 * (128 * (column - left + 64) + begun) + drift) + ((right - column) >> 1) + 32,
            4096 * pattern + self.width * row + column,
        ]
        slots = [
            ((number + (k << 40)) * 0x9E3779B97F4A7C15 % 2**64) >> (64 - self.prior.slot_bits)
            for k, number in enumerate(numbers)
        ]
        return Surroundings(slots, 8 * min(activity, 8) + 2 * (pattern % 4) + (m_0 > 0), pattern)

    def decide(self, node: int, around: Surroundings) -> int:
        """Decode one decision (5F.5)."""
        odds = [self.prior.log_odds.get((k, node, s), 0) for k, s in enumerate(around.slots)]
        first = self.prior.weights[around.first_row][node]
        second = self.prior.weights[72 + around.second_row][node]
        y = sum((u + v) * s for u, v, s in zip(first, second, [*odds, 16], strict=True)) >> 2
        return self.arithmetic.decide(min(max(squash(clip(y, 2047)), 24), 65512))

    def read_sample(self, p: int, around: Surroundings) -> int:
        """Decode a sample (5F.4)."""
        q = min(max(p, 1), 255)
        if self.decide(0, around):
            return 0
        if not self.decide(1, around):
            return q
        less = q == 255 or (q != 1 and self.decide(2, around))
        size = self.read_size(q - 1 if less else 255 - q, 11 if less else 3, around)
        sample = q - size if less else q + size
        if not 1 <= sample <= 255:
            raise SpecError("corrupt: a sample outside 1..255")
        return sample

    def read_size(self, reach: int, node: int, around: Surroundings) -> int:
        """Decode the distance of a sample from q (5F.4)."""
        floor = width = 1
        ones = 0
        while floor + width <= reach and self.decide(node, around):
            floor += width
            if ones > 0:
                width *= 2
            ones += 1
            node += 1
        if ones < 2:
            return floor
        node = 19 if ones == 2 else 20 + 3 * min(ones - 3, 3)
        rest = 0
        for index in range(ones - 1):
            if index == 0:
                bit = self.decide(node, around)
            elif index == 1:
                bit = self.decide(node + 1 + rest, around)
            else:
                bit = self.arithmetic.even_bit()
            rest = 2 * rest + bit
        return floor + rest


def decode_tiny(payload: bytes, prior: TinyPrior) -> list[list[int]]:
    """Decode a payload of the tiny coder (5F.1)."""
    return TinyDecoder(payload, prior).decode()
