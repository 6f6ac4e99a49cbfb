"""The published coder's low layer: tiles and single samples (SPEC 5R.6, 5R.7)."""

import numpy as np

from . import status
from .allocation import zero_array
from .bit_kernels import read_codeword, write_bits
from .jit import inlined, kernel

_TOP = 0xFFFFFFFF
_HALF = 1 << 31
_QUARTER = 1 << 30


@inlined
def _tile_symbol(low_layer, row, column, low_bits, height, width):
    """Return a tile's cells as one number, the first cell most significant (SPEC 5R.6)."""
    symbol = np.int64(0)
    for i in range(row, row + height):
        for j in range(column, column + width):
            symbol = symbol << low_bits | np.int64(low_layer[i, j])
    return symbol


@inlined
def _fill_tile(low_layer, row, column, low_bits, height, width, symbol):
    """Inverse of `_tile_symbol`."""
    shift = height * width * low_bits
    for i in range(row, row + height):
        for j in range(column, column + width):
            shift -= low_bits
            low_layer[i, j] = (symbol >> shift) & ((1 << low_bits) - 1)


@kernel
def count_tiles(low_layer, low_bits, height, width, tile_counts, sample_counts):
    """Count the complete tiles and all samples of a low layer (training only)."""
    n_rows, n_columns = low_layer.shape
    for row in range(0, n_rows - height + 1, height):
        for column in range(0, n_columns - width + 1, width):
            tile_counts[_tile_symbol(low_layer, row, column, low_bits, height, width)] += 1
    for row in range(n_rows):
        for column in range(n_columns):
            sample_counts[low_layer[row, column]] += 1


@kernel
def write_static_tiles(
    low_layer, low_bits, height, width, codewords, code_lengths, buffer, position
):
    """Write the codewords of all complete tiles (SPEC 5R.6); return the new bit position."""
    n_rows, n_columns = low_layer.shape
    for row in range(0, n_rows - height + 1, height):
        for column in range(0, n_columns - width + 1, width):
            symbol = _tile_symbol(low_layer, row, column, low_bits, height, width)
            position = write_bits(
                buffer, position, np.int64(codewords[symbol]), np.int64(code_lengths[symbol])
            )
    return position


@kernel
def read_static_tiles(data, position, low_bits, height, width, code, low_layer):
    """Inverse of `write_static_tiles`; returns (status, new bit position) (SPEC 5R.6)."""
    n_rows, n_columns = low_layer.shape
    for row in range(0, n_rows - height + 1, height):
        for column in range(0, n_columns - width + 1, width):
            symbol, position = read_codeword(data, position, code[0], code[1], code[2])
            if symbol < 0:
                return status.TRUNCATED if symbol == -1 else status.BAD_CODEWORD, position
            _fill_tile(low_layer, row, column, low_bits, height, width, symbol)
    return status.OK, position


@kernel
def write_rest(low_layer, height, width, codewords, code_lengths, buffer, position):
    """Write the samples outside the complete tiles (SPEC 5R.6); return the new bit position."""
    n_rows, n_columns = low_layer.shape
    last_row, last_column = n_rows - n_rows % height, n_columns - n_columns % width
    for row in range(n_rows):
        for column in range(last_column if row < last_row else 0, n_columns):
            value = low_layer[row, column]
            position = write_bits(
                buffer, position, np.int64(codewords[value]), np.int64(code_lengths[value])
            )
    return position


@kernel
def read_rest(data, position, height, width, code, low_layer):
    """Inverse of `write_rest`; returns (status, new bit position) (SPEC 5R.6)."""
    n_rows, n_columns = low_layer.shape
    last_row, last_column = n_rows - n_rows % height, n_columns - n_columns % width
    for row in range(n_rows):
        for column in range(last_column if row < last_row else 0, n_columns):
            value, position = read_codeword(data, position, code[0], code[1], code[2])
            if value < 0:
                return status.TRUNCATED if value == -1 else status.BAD_CODEWORD, position
            low_layer[row, column] = value
    return status.OK, position


@inlined
def _start_model(weights):
    """Return binary indexed sums of the weights: entry i ends at symbol i - 1 (SPEC 5R.7)."""
    sums = zero_array(len(weights) + 1, np.int64)
    for symbol in range(len(weights)):
        sums[symbol + 1] += weights[symbol]
        above = symbol + 1 + ((symbol + 1) & -(symbol + 1))
        if above <= len(weights):
            sums[above] += sums[symbol + 1]
    return sums


@inlined
def _sum_below(sums, symbol):
    """Return the frequencies of all symbols below this one."""
    total = np.int64(0)
    while symbol > 0:
        total += sums[symbol]
        symbol &= symbol - 1
    return total


@inlined
def _find_symbol(sums, value):
    """Return (symbol, sum below it): the last symbol whose sum below is at most `value`.

    The number of symbols is a power of two, as every tile alphabet's is.
    """
    symbol, below = 0, np.int64(0)
    step = len(sums) - 1
    while step > 0:
        if symbol + step < len(sums) and below + sums[symbol + step] <= value:
            symbol += step
            below += sums[symbol]
        step >>= 1
    return symbol, below


@inlined
def _count_symbol(sums, symbol):
    """Add 1 to a symbol's frequency."""
    index = symbol + 1
    while index < len(sums):
        sums[index] += 1
        index += index & -index


@kernel
def encode_tiles(low_layer, low_bits, height, width, weights, buffer, position):
    """Code all complete tiles arithmetically (SPEC 5R.7); return the new bit position."""
    n_rows, n_columns = low_layer.shape
    sums = _start_model(weights)
    total = weights.sum()
    low, high = np.int64(0), np.int64(_TOP)
    n_pending = 0
    for row in range(0, n_rows - height + 1, height):
        for column in range(0, n_columns - width + 1, width):
            symbol = _tile_symbol(low_layer, row, column, low_bits, height, width)
            below, above = _sum_below(sums, symbol), _sum_below(sums, symbol + 1)
            span = high - low + 1
            high = low + span * above // total - 1
            low = low + span * below // total
            while (low ^ high) & _HALF == 0:
                bit = low >> 31
                position = write_bits(buffer, position, bit, 1)
                for _ in range(n_pending):
                    position = write_bits(buffer, position, 1 - bit, 1)
                n_pending = 0
                low = (low << 1) & _TOP
                high = (high << 1) & _TOP | 1
            while low & _QUARTER and not high & _QUARTER:
                n_pending += 1
                low = (low << 1) & (_HALF - 1)
                high = (high << 1) & (_HALF - 1) | _HALF | 1
            _count_symbol(sums, symbol)
            total += 1
    bit = 0 if low < _QUARTER else 1
    position = write_bits(buffer, position, bit, 1)
    for _ in range(n_pending + 1):
        position = write_bits(buffer, position, 1 - bit, 1)
    return position


@inlined
def _bit(data, position):
    """Return a bit of the payload, 0 behind its end."""
    if position >= len(data) * 8:
        return np.int64(0)
    return np.int64(data[position >> 3] >> (7 - (position & 7))) & 1


@kernel
def decode_tiles(data, position, low_bits, height, width, weights, low_layer):
    """Inverse of `encode_tiles`; returns (status, new bit position) (SPEC 5R.7)."""
    n_rows, n_columns = low_layer.shape
    sums = _start_model(weights)
    total = weights.sum()
    low, high, code = np.int64(0), np.int64(_TOP), np.int64(0)
    for _ in range(32):
        code = code << 1 | _bit(data, position)
        position += 1
    for row in range(0, n_rows - height + 1, height):
        for column in range(0, n_columns - width + 1, width):
            span = high - low + 1
            symbol, below = _find_symbol(sums, ((code - low + 1) * total - 1) // span)
            above = _sum_below(sums, symbol + 1)
            high = low + span * above // total - 1
            low = low + span * below // total
            while (low ^ high) & _HALF == 0:
                low = (low << 1) & _TOP
                high = (high << 1) & _TOP | 1
                code = (code << 1) & _TOP | _bit(data, position)
                position += 1
            while low & _QUARTER and not high & _QUARTER:
                low = (low << 1) & (_HALF - 1)
                high = (high << 1) & (_HALF - 1) | _HALF | 1
                code = code & _HALF | (code << 1) & (_HALF - 1) | _bit(data, position)
                position += 1
            if position - 30 > len(data) * 8:
                return status.TRUNCATED, len(data) * 8
            _fill_tile(low_layer, row, column, low_bits, height, width, symbol)
            _count_symbol(sums, symbol)
            total += 1
    if position - 30 > len(data) * 8:
        return status.TRUNCATED, len(data) * 8
    return status.OK, position - 30
