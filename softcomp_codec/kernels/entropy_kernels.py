"""The adaptive arithmetic coder of the low layer (SPEC 4.4, 5.9).

A state is a uint32: 22 bits of probability that the bit is 1, then 10 bits of count.
"""

import numpy as np

from . import status
from .jit import inlined, kernel

COUNT_LIMIT = 255
N_CONTEXTS = 16
"""Contexts of the low layer beside a shape layer (SPEC 5.9)."""

_TOP = 0xFFFFFFFF
VIRTUAL_BYTES = 4
"""Zero bytes that the decoder may read past the end (SPEC 4.4)."""


@inlined
def _probability(state):
    """Return the coder's 16-bit probability of a 1 (SPEC 4.4)."""
    return min(max(np.int64(state) >> 16, 32), 65504)


@inlined
def _updated(state, bit):
    """Return a state after it has seen `bit` (SPEC 4.4)."""
    probability, count = np.int64(state) >> 10, np.int64(state) & 1023
    target = np.int64(4194303) if bit else np.int64(0)
    probability += ((target - probability) * (131072 // (2 * count + 3))) >> 16
    return np.uint32(probability << 10 | min(count + 1, COUNT_LIMIT))


@inlined
def _split(low, high, probability):
    """Return the last code value of the part for a 1 (SPEC 4.4)."""
    span = high - low
    return low + (span >> 16) * probability + (((span & 0xFFFF) * probability) >> 16)


@inlined
def _n_final_bytes(low, high):
    """Return how many bytes name a code value in low..high whose others are 0 (SPEC 4.4)."""
    for n_bytes in range(4):
        mask = (np.int64(1) << (32 - 8 * n_bytes)) - 1
        if (low + mask) & ~mask <= high:
            return n_bytes
    return 4


@inlined
def _context(high_layer, row, column):
    """Return the context 0..15 of a sample of the low layer (SPEC 5.9).

    The shape layer is known as a whole, so neighbours on all sides count.
    """
    n_rows, n_columns = high_layer.shape
    n_filled = 0
    for i in range(max(row - 1, 0), min(row + 2, n_rows)):
        for j in range(max(column - 1, 0), min(column + 2, n_columns)):
            if high_layer[i, j]:
                n_filled += 1
    value = np.int64(high_layer[row, column])
    if value:
        n_filled -= 1
    level = 3 if n_filled > 4 else (n_filled + 1) >> 1
    return min(value, 3) * 4 + level


@kernel
def encode_low_layer(low_layer, high_layer, low_bits, states, interval, buffer, position):
    """Code the low layer's samples (uint16) behind `position` in `buffer` (SPEC 5.9).

    `states`, (N_CONTEXTS, 2**low_bits) or, where no shape layer is, (1, 2**low_bits), adapts.
    `interval` (int64, 2) is the coder's low and high. Returns the new position, -1 when the buffer
    is full.
    """
    low, high = interval[0], interval[1]
    n_contexts = states.shape[0]
    for row in range(low_layer.shape[0]):
        if position + 16 * (low_layer.shape[1] + 1) > len(buffer):
            return -1
        for column in range(low_layer.shape[1]):
            context = _context(high_layer, row, column) if n_contexts > 1 else 0
            value = np.int64(low_layer[row, column])
            node = 1
            for shift in range(low_bits - 1, -1, -1):
                bit = (value >> shift) & 1
                state = states[context, node]
                middle = _split(low, high, _probability(state))
                if bit:
                    high = middle
                else:
                    low = middle + 1
                while (low ^ high) >> 24 == 0:
                    buffer[position] = high >> 24
                    position += 1
                    low = (low << 8) & _TOP
                    high = (high << 8) & _TOP | 255
                states[context, node] = _updated(state, bit)
                node = node << 1 | bit
    interval[0], interval[1] = low, high
    return position


@kernel
def finish_arithmetic(interval, buffer, position):
    """Write the last bytes of the arithmetic code (SPEC 4.4); return the end."""
    low, high = interval[0], interval[1]
    n_bytes = _n_final_bytes(low, high)
    mask = (np.int64(1) << (32 - 8 * n_bytes)) - 1
    value = (low + mask) & ~mask
    for index in range(n_bytes):
        buffer[position] = (value >> (24 - 8 * index)) & 255
        position += 1
    return position


@inlined
def _byte(data, position):
    """Return a byte of the payload, 0 behind its end."""
    return np.int64(data[position]) if position < len(data) else np.int64(0)


@kernel
def start_arithmetic(data, position, interval):
    """Fill `interval` (int64, 3: low, high, code) for decoding; return the new position."""
    code = np.int64(0)
    for index in range(4):
        code = code << 8 | _byte(data, position + index)
    interval[0], interval[1], interval[2] = 0, _TOP, code
    return position + 4


@kernel
def decode_low_layer(data, position, interval, low_bits, states, high_layer, low_layer):
    """Inverse of `encode_low_layer`; returns (status, new position, raster position) (SPEC 5.9)."""
    low, high, code = interval[0], interval[1], interval[2]
    n_contexts = states.shape[0]
    for row in range(low_layer.shape[0]):
        for column in range(low_layer.shape[1]):
            context = _context(high_layer, row, column) if n_contexts > 1 else 0
            node = 1
            for _ in range(low_bits):
                state = states[context, node]
                middle = _split(low, high, _probability(state))
                if code <= middle:
                    bit = 1
                    high = middle
                else:
                    bit = 0
                    low = middle + 1
                while (low ^ high) >> 24 == 0:
                    low = (low << 8) & _TOP
                    high = (high << 8) & _TOP | 255
                    code = (code << 8) & _TOP | _byte(data, position)
                    position += 1
                states[context, node] = _updated(state, bit)
                node = node << 1 | bit
            low_layer[row, column] = node - (1 << low_bits)
            if position > len(data) + VIRTUAL_BYTES:
                raster = row * low_layer.shape[1] + column
                return status.TRUNCATED, position, raster
    interval[0], interval[1], interval[2] = low, high, code
    return status.OK, position, 0


@kernel
def end_of_arithmetic(interval, position):
    """Return where a payload that was decoded up to `position` must end (SPEC 4.4)."""
    return position - 4 + _n_final_bytes(interval[0], interval[1])


@kernel
def count_low_layer(low_layer, high_layer, low_bits, counts):
    """Add to `counts` (contexts, 2**low_bits, 2) how often each node saw a 0 and a 1."""
    n_contexts = counts.shape[0]
    for row in range(low_layer.shape[0]):
        for column in range(low_layer.shape[1]):
            context = _context(high_layer, row, column) if n_contexts > 1 else 0
            value = np.int64(low_layer[row, column])
            node = 1
            for shift in range(low_bits - 1, -1, -1):
                bit = (value >> shift) & 1
                counts[context, node, bit] += 1
                node = node << 1 | bit
