"""Numbers, codes and tables of SPEC.md that several coders share (1.2, 4, 5C.2).

A part of the decoder that was written from SPEC.md alone: see reference_decoder.py.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

LONGEST_CODEWORD = 24
PRIOR_COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 255)


class SpecError(ValueError):
    """What SPEC.md calls corrupt, truncated or unsupported."""


@dataclass(frozen=True)
class Range:
    """Lowest and highest value of a plane (5.2)."""

    lowest: int
    highest: int

    @property
    def span(self) -> int:
        """Highest minus lowest."""
        return self.highest - self.lowest

    @property
    def sample_bits(self) -> int:
        """Number of binary digits of highest minus lowest (5.2)."""
        return self.span.bit_length()

    def clamp(self, value: int) -> int:
        """Return the nearest value inside the range."""
        return min(max(value, self.lowest), self.highest)


class ByteReader:
    """Takes fields from the front of a byte string (1.2)."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    @property
    def at_end(self) -> bool:
        """Whether all bytes are taken."""
        return self.position == len(self.data)

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        if count > len(self.data) - self.position:
            raise SpecError("truncated: a field reaches behind the end")
        self.position += count
        return self.data[self.position - count : self.position]

    def byte(self) -> int:
        """Return the next byte as a number."""
        return self.take(1)[0]

    def uint32(self) -> int:
        """Return the next four bytes as a little-endian number."""
        return int(struct.unpack("<I", self.take(4))[0])

    def varint(self) -> int:
        """Return the next varint (1.2)."""
        value = 0
        for index in range(9):
            byte = self.byte()
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if byte == 0 and index > 0:
                    raise SpecError("corrupt: a varint is not in its shortest form")
                return value
        raise SpecError("corrupt: a varint has more than 9 bytes")

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        return self.take(len(self.data) - self.position)


def write_varint(value: int) -> bytes:
    """Return the varint of a number (1.2)."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class BitReader:
    """Takes bits, most significant first (4.1)."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def bit(self) -> int:
        """Return the next bit."""
        index, offset = divmod(self.position, 8)
        if index >= len(self.data):
            raise SpecError("truncated: the payload ends inside its bits")
        self.position += 1
        return self.data[index] >> (7 - offset) & 1

    def bit_or_zero(self) -> int:
        """Return the next bit, 0 behind the end (5R.7)."""
        if self.position < 8 * len(self.data):
            return self.bit()
        self.position += 1
        return 0

    def number(self, bits: int) -> int:
        """Return a number of so many bits, most significant first."""
        value = 0
        for _ in range(bits):
            value = 2 * value + self.bit()
        return value

    def rest_after_padding(self) -> bytes:
        """Check the bits 0 up to a whole byte and return the bytes behind them (5.1)."""
        while self.position % 8:
            if self.bit():
                raise SpecError("corrupt: a padding bit is 1")
        return self.data[self.position // 8 :]


class HuffmanCode:
    """A canonical Huffman code, given by its lengths (4.2)."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.symbols: dict[tuple[int, int], int] = {}
        codeword = -1
        last_length = 0
        for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths)):
            codeword = (codeword + 1) << (length - last_length)
            last_length = length
            self.symbols[length, codeword] = symbol

    def read(self, bits: BitReader) -> int:
        """Return the next symbol."""
        codeword = 0
        for length in range(1, LONGEST_CODEWORD + 1):
            codeword = 2 * codeword + bits.bit()
            symbol = self.symbols.get((length, codeword))
            if symbol is not None:
                return symbol
        raise SpecError("corrupt: no codeword")


def check_code_lengths(lengths: Sequence[int]) -> None:
    """Check the lengths of a code (4.2)."""
    if not all(1 <= length <= LONGEST_CODEWORD for length in lengths):
        raise SpecError("corrupt: a code length is not 1..24")
    if sum(1 << (LONGEST_CODEWORD - length) for length in lengths) > 1 << LONGEST_CODEWORD:
        raise SpecError("corrupt: the code lengths are no prefix code")


def read_golomb(bits: BitReader, parameter: int) -> int:
    """Read a number in Golomb's code (4.3)."""
    quotient = 0
    while bits.bit():
        quotient += 1
    digits = (parameter - 1).bit_length()
    if digits == 0:
        return quotient
    shorter = (1 << digits) - parameter
    remainder = bits.number(digits - 1)
    if remainder >= shorter:
        remainder = 2 * remainder + bits.bit() - shorter
    return quotient * parameter + remainder


class State:
    """An adaptive probability (22 bits) of a 1, and a count (4.4)."""

    def __init__(self, probability: int, count: int) -> None:
        self.probability = probability
        self.count = count

    def update(self, bit: int) -> None:
        """Learn from a bit."""
        target = 4194303 if bit else 0
        rate = 131072 // (2 * self.count + 3)
        self.probability += ((target - self.probability) * rate) >> 16
        self.count = min(self.count + 1, 255)


class ArithmeticDecoder:
    """The adaptive binary arithmetic decoder (4.4)."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.low = 0
        self.high = 0xFFFFFFFF
        self.dropped = 0
        self.code = int.from_bytes((data[:4] + bytes(4))[:4], "big")

    def bit(self, state: State) -> int:
        """Decode a bit with a state and let the state learn from it."""
        bit = self.decide(min(max(state.probability >> 6, 32), 65504))
        state.update(bit)
        return bit

    def decide(self, probability: int) -> int:
        """Decode a bit with the p of 4.4."""
        width = self.high - self.low
        return self.split(
            self.low + (width >> 16) * probability + (((width & 0xFFFF) * probability) >> 16)
        )

    def even_bit(self) -> int:
        """Decode a bit without a model (5C.5)."""
        return self.split(self.low + ((self.high - self.low) >> 1))

    def split(self, middle: int) -> int:
        """Decode a bit that is 1 up to the middle."""
        bit = int(self.code <= middle)
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while self.low >> 24 == self.high >> 24:
            self.drop_byte()
        return bit

    def drop_byte(self) -> None:
        """Drop the leading byte and take in the next, 0 behind the end of the payload."""
        if self.dropped >= len(self.data):
            raise SpecError("truncated: the arithmetic code ends too early")
        following = self.dropped + 4
        next_byte = self.data[following] if following < len(self.data) else 0
        self.low = (self.low << 8) & 0xFFFFFFFF
        self.high = (self.high << 8 | 0xFF) & 0xFFFFFFFF
        self.code = (self.code << 8 | next_byte) & 0xFFFFFFFF
        self.dropped += 1

    def end(self) -> int:
        """Return where the encoder ended the code."""
        for last_bytes in range(5):
            zero_bits = 32 - 8 * last_bytes
            least = -(-self.low >> zero_bits) << zero_bits
            if least <= self.high:
                break
        return self.dropped + last_bytes

    def finish(self) -> None:
        """Check that the code ends where the encoder ended it."""
        end = self.end()
        if len(self.data) < end:
            raise SpecError("truncated: the arithmetic code ends too early")
        if len(self.data) > end:
            raise SpecError("corrupt: bytes behind the arithmetic code")


def clip(value: int, most: int) -> int:
    """Return the nearest number of -most..most (5C)."""
    if value > most:
        return most
    return -most if value < -most else value


def powers() -> list[int]:
    """Return E (5C.2)."""
    table = [1 << 96]
    for _ in range(4096):
        table.append((table[-1] * 0xFF801FFAAB554445B04105B0) >> 96)
    return table


@lru_cache
def squash_table() -> list[int]:
    """Return squash(-2048..2047) (5C.2)."""
    e = powers()
    upper = [min(((2**113 // (2**96 + e[2 * d])) + 1) >> 1, 65504) for d in range(2049)]
    return [65536 - value for value in reversed(upper[1:])] + upper[:2048]


def squash(x: int) -> int:
    """Return a probability of 16 bits (5C.2)."""
    return squash_table()[x + 2048]


@lru_cache
def stretch_table() -> list[int]:
    """Return stretch(0..4095) (5C.2)."""
    e = powers()
    upper = []
    j = 0
    for i in range(2048, 4096):
        while j < 4094 and (8191 - 2 * i) << 96 <= (2 * i + 1) * e[j + 1]:
            j += 1
        upper.append(min((j + 1) >> 1, 2047))
    return [-value for value in reversed(upper)] + upper


def rate(count: int) -> int:
    """Return how fast a state learns after so many decisions (5C.2)."""
    return 655360 // (10 * count + 16)


def first_curve() -> list[int]:
    """Return what curves are at the start (5C.6)."""
    return [squash(128 * j - 2048) for j in range(32)] + [squash(2047)]


def curve_value(curve: list[int], x: int) -> int:
    """Return a curve's value (5C.6)."""
    j, f = (x + 2048) >> 7, (x + 2048) & 127
    return (curve[j] * (128 - f) + curve[j + 1] * f) >> 7


def update_curve(curve: list[int], x: int, bit: int, slowness: int = 6) -> None:
    """Let the nearest number of a curve learn from a bit (5C.6, 5C.10)."""
    j, f = (x + 2048) >> 7, (x + 2048) & 127
    nearest = j if f < 64 else j + 1
    curve[nearest] += (65535 * bit - curve[nearest]) >> slowness


def update_state(state: list[int], bit: int, most: int) -> None:
    """Let a state, Q and n, learn from a bit; its count stays within a limit (5C.6)."""
    state[0] += (((4194303 * bit - state[0]) >> 3) * rate(state[1])) >> 13
    state[1] = min(state[1] + 1, most)


def read_count_cap(file: ByteReader) -> int:
    """Read the largest count of known states (6.4, 6.5)."""
    cap = file.byte()
    if cap == 0:
        raise SpecError("corrupt: a count cap of 0")
    return cap


def read_known_states(file: ByteReader, number: int, cap: int) -> dict[int, tuple[int, int]]:
    """Read the known ones of so many states, Q and n (6.4, 6.5)."""
    known = read_marked(file, number)
    odds = struct.unpack(f"{len(known)}b", file.take(len(known)))
    classes = file.take(len(known))
    if any(abs(value) > 63 for value in odds):
        raise SpecError("corrupt: log-odds of a state")
    if any(value >= len(PRIOR_COUNTS) for value in classes):
        raise SpecError("corrupt: count class of a state")
    return {
        index: (64 * squash(32 * value), min(cap, PRIOR_COUNTS[count]))
        for index, value, count in zip(known, odds, classes, strict=True)
    }


def read_later_states(file: ByteReader, number: int, cap: int) -> dict[int, tuple[int, int]]:
    """Read the known ones of so many states of contexts 7 to 14, Q and n (6.4)."""
    known = read_marked(file, number)
    odds = struct.unpack(f"{len(known)}b", file.take(len(known)))
    if any(abs(value) > 15 for value in odds):
        raise SpecError("corrupt: log-odds of a state")
    return {
        index: (64 * squash(128 * value), cap) for index, value in zip(known, odds, strict=True)
    }


def read_marked(file: ByteReader, number: int) -> list[int]:
    """Read one bit for each of so many things and return the numbers of those with a 1 (6.4)."""
    bits = file.take((number + 7) // 8)
    marked = [
        8 * index + bit
        for index, byte in enumerate(bits)
        if byte
        for bit in range(8)
        if byte >> (7 - bit) & 1
    ]
    if marked and marked[-1] >= number:
        raise SpecError("corrupt: a bit behind the last")
    return marked
