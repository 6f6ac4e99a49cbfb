"""The adaptive arithmetic coder of the low layer (SPEC 4.4, 5.9).

A state is a uint32: 22 bits of probability that the bit is 1, then 10 bits of count.
"""

import numpy as np

from . import status
from .jit import inlined, kernel

COUNT_LIMIT = 255
N_ENERGIES = 16
"""Contexts of a plane without shape layer: the energy of the samples before (SPEC 5.9)."""

N_CONTEXTS = 16 * N_ENERGIES
"""Contexts of a low layer beside a shape layer (SPEC 5.9)."""

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
def _energy(mapped, row, column):
    """Return the energy class 0..15 of the six mapped residuals before (SPEC 5.9)."""
    west = north = np.int64(0)
    if row > 0:
        north = np.int64(mapped[row - 1, column])
    if column > 0:
        west = np.int64(mapped[row, column - 1])
        if row == 0:
            north = west
    else:
        west = north
    north_west = np.int64(mapped[row - 1, column - 1]) if row > 0 and column > 0 else north
    inside = row > 0 and column + 1 < mapped.shape[1]
    north_east = np.int64(mapped[row - 1, column + 1]) if inside else north
    west_west = np.int64(mapped[row, column - 2]) if column > 1 else west
    north_north = np.int64(mapped[row - 2, column]) if row > 1 else north
    energy = 2 * west + 2 * north + north_west + north_east + west_west + north_north
    if energy <= 15:
        if energy <= 4:
            return (energy > 0) + (energy > 2)
        return 3 + (energy > 7) + (energy > 11)
    if energy <= 49:
        return 6 + (energy > 20) + (energy > 27) + (energy > 36)
    if energy <= 130:
        return 10 + (energy > 66) + (energy > 90)
    return 13 + (energy > 200) + (energy > 350)


@inlined
def _surroundings(mapped, row, column, low_bits):
    """Return 0..15 for the shape layer at and around a sample (SPEC 5.9).

    The shape layer is known as a whole, so neighbours on all sides count.
    """
    n_rows, n_columns = mapped.shape
    n_filled = 0
    for i in range(max(row - 1, 0), min(row + 2, n_rows)):
        for j in range(max(column - 1, 0), min(column + 2, n_columns)):
            if mapped[i, j] >> low_bits:
                n_filled += 1
    value = np.int64(mapped[row, column]) >> low_bits
    if value:
        n_filled -= 1
    level = 3 if n_filled > 4 else (n_filled + 1) >> 1
    return min(value, 3) * 4 + level


@inlined
def _context(mapped, row, column, low_bits, n_contexts):
    """Return the context of a sample of the low layer (SPEC 5.9).

    Of samples from this one on only the bits above `low_bits` count.
    """
    energy = np.int64(_energy(mapped, row, column))
    if n_contexts == N_ENERGIES:
        return energy
    return _surroundings(mapped, row, column, low_bits) * N_ENERGIES + energy


@kernel
def encode_low_layer(mapped, low_bits, states, interval, buffer, position):
    """Code the low bits of mapped residuals (uint16) behind `position` in `buffer` (SPEC 5.9).

    `states`, (N_CONTEXTS, 2**low_bits) or, where no shape layer is, (N_ENERGIES, 2**low_bits),
    adapts. `interval` (int64, 2) is the coder's low and high. Returns the new position, -1 when
    the buffer is full.
    """
    low, high = interval[0], interval[1]
    n_contexts = states.shape[0]
    for row in range(mapped.shape[0]):
        if position + 16 * (mapped.shape[1] + 1) > len(buffer):
            return -1
        for column in range(mapped.shape[1]):
            context = _context(mapped, row, column, low_bits, n_contexts)
            value = np.int64(mapped[row, column])
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
def decode_low_layer(data, position, interval, low_bits, states, mapped):
    """Inverse of `encode_low_layer`; returns (status, new position, raster position) (SPEC 5.9).

    `mapped` holds the shape layer times 2**low_bits, and is filled up.
    """
    low, high, code = interval[0], interval[1], interval[2]
    n_contexts = states.shape[0]
    for row in range(mapped.shape[0]):
        for column in range(mapped.shape[1]):
            context = _context(mapped, row, column, low_bits, n_contexts)
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
            if position > len(data) + VIRTUAL_BYTES:
                return status.TRUNCATED, position, row * mapped.shape[1] + column
            mapped[row, column] |= node - (1 << low_bits)
    interval[0], interval[1], interval[2] = low, high, code
    return status.OK, position, 0


@kernel
def end_of_arithmetic(interval, position):
    """Return where a payload that was decoded up to `position` must end (SPEC 4.4)."""
    return position - 4 + _n_final_bytes(interval[0], interval[1])


@kernel
def count_low_layer(mapped, low_bits, counts):
    """Add to `counts` (contexts, 2**low_bits, 2) how often each node saw a 0 and a 1."""
    n_contexts = counts.shape[0]
    for row in range(mapped.shape[0]):
        for column in range(mapped.shape[1]):
            context = _context(mapped, row, column, low_bits, n_contexts)
            value = np.int64(mapped[row, column])
            node = 1
            for shift in range(low_bits - 1, -1, -1):
                bit = (value >> shift) & 1
                counts[context, node, bit] += 1
                node = node << 1 | bit
