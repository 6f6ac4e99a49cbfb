"""Bits, canonical Huffman codewords and Golomb codewords in a byte array (SPEC 4)."""

import numpy as np

from .jit import inlined

GAP_DIRECT = 128
"""Gaps below this have a symbol each; above, a symbol per power of two (SPEC 5.8)."""

MAX_CODE_LENGTH = 24
"""Longest Huffman codeword in bits (SPEC 4.2)."""


@inlined
def write_bits(buffer, position, value, n_bits):
    """Write the `n_bits` low bits of `value`, most significant first; return the new position.

    The buffer must hold zeros from `position` on.
    """
    for shift in range(n_bits - 1, -1, -1):
        if (value >> shift) & 1:
            buffer[position >> 3] |= np.uint8(0x80 >> (position & 7))
        position += 1
    return position


@inlined
def read_bits(data, position, n_bits):
    """Return (value, new position); value -1 where the data end first."""
    if position + n_bits > len(data) * 8:
        return np.int64(-1), position
    value = np.int64(0)
    for _ in range(n_bits):
        value = value << 1 | (data[position >> 3] >> (7 - (position & 7))) & 1
        position += 1
    return value, position


@inlined
def read_codeword(data, position, first_code, first_index, symbols):
    """Return (symbol, new position) of a canonical Huffman code (SPEC 4.2).

    Symbol -1 where the data end first, -2 where no symbol has this codeword.
    """
    code = np.int64(0)
    end = len(data) * 8
    for length in range(1, MAX_CODE_LENGTH + 1):
        if position >= end:
            return np.int64(-1), position
        code = code << 1 | (data[position >> 3] >> (7 - (position & 7))) & 1
        position += 1
        n_codes = first_index[length + 1] - first_index[length]
        offset = code - first_code[length]
        if 0 <= offset < n_codes:
            return np.int64(symbols[first_index[length] + offset]), position
    return np.int64(-2), position


@inlined
def bit_width(value):
    """Return the number of binary digits of `value`; 0 for 0."""
    width = 0
    while value > 0:
        value >>= 1
        width += 1
    return width


@inlined
def gap_symbol(gap):
    """Return (symbol, number of extra bits) of a gap under a trained code (SPEC 5.8)."""
    if gap < GAP_DIRECT:
        return gap, 0
    width = bit_width(gap)
    return np.int64(GAP_DIRECT + width - 8), width - 1


@inlined
def golomb_length(value, parameter):
    """Return the bits of `value` >= 0 under Golomb's code (SPEC 4.3)."""
    width = bit_width(parameter - 1)
    short = (1 << width) - parameter
    remainder = value % parameter
    return value // parameter + 1 + width - (1 if remainder < short else 0)


@inlined
def write_golomb(buffer, position, value, parameter):
    """Write `value` >= 0 under Golomb's code (SPEC 4.3); return the new position."""
    quotient, remainder = value // parameter, value % parameter
    for _ in range(quotient):
        position = write_bits(buffer, position, 1, 1)
    position = write_bits(buffer, position, 0, 1)
    width = bit_width(parameter - 1)
    short = (1 << width) - parameter
    if remainder < short:
        return write_bits(buffer, position, remainder, width - 1)
    return write_bits(buffer, position, remainder + short, width)


@inlined
def read_golomb(data, position, parameter):
    """Return (value, new position), inverse of `write_golomb`; -1 where the data end first."""
    quotient = np.int64(0)
    while True:
        bit, position = read_bits(data, position, 1)
        if bit < 0:
            return np.int64(-1), position
        if bit == 0:
            break
        quotient += 1
    width = bit_width(parameter - 1)
    short = (1 << width) - parameter
    remainder, position = read_bits(data, position, max(width - 1, 0))
    if remainder < 0:
        return np.int64(-1), position
    if remainder >= short and width > 0:
        bit, position = read_bits(data, position, 1)
        if bit < 0:
            return np.int64(-1), position
        remainder = (remainder << 1 | bit) - short
    return quotient * parameter + remainder, position
