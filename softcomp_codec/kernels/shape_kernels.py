"""Matching, painting and coding of shapes and their locations (SPEC 5.7, 5.8)."""

import numpy as np

from . import status
from .allocation import zero_array
from .bit_kernels import (
    GAP_DIRECT,
    gap_symbol,
    golomb_length,
    read_bits,
    read_codeword,
    read_golomb,
    write_bits,
    write_golomb,
)
from .jit import inlined, kernel

# Odd, so that their powers have inverses modulo 2**64.
ROW_BASE = 0x9E3779B97F4A7C15
COLUMN_BASE = 0xC2B2AE3D27D4EB4F

NEW_ZERO_VALUE = 8
"""What covering one more empty cell is worth, in 1/256 bit; an encoder's choice."""


@inlined
def _scramble(word):
    """Return a bijective mix of a 64-bit word."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@inlined
def add_prefix_row(layer, row, powers, prefix):
    """Fill row ``row + 1`` of the ring of prefix sums from `layer`'s row.

    `prefix[k % ring, c]` is the sum of scramble(value) * R**i * C**j over rows i < k, columns
    j < c, modulo 2**64. `powers` rows: R**i, R**-i, C**j, C**-j.
    """
    ring = prefix.shape[0]
    above, below = prefix[row % ring], prefix[(row + 1) % ring]
    total = np.uint64(0)
    for column in range(layer.shape[1]):
        value = layer[row, column]
        if value:
            total += (
                _scramble(np.uint64(value) * np.uint64(ROW_BASE))
                * powers[0, row]
                * powers[2, column]
            )
        below[column + 1] = above[column + 1] + total


@inlined
def window_hash(prefix, row, column, height, width, powers):
    """Return the hash of a window, the same wherever the same cells occur; never 0."""
    ring = prefix.shape[0]
    top, bottom = prefix[row % ring], prefix[(row + height) % ring]
    total = bottom[column + width] - bottom[column] - top[column + width] + top[column]
    total = total * powers[1, row] * powers[3, column]
    size = np.uint64(height) << np.uint64(32) | np.uint64(width)
    return _scramble(total + size * np.uint64(0xD6E8FEB86659FD93)) | np.uint64(1)


@kernel
def index_shapes(heights, widths, offsets, cells, powers, keys, shape_ids):
    """Fill the hash table (`keys`, `shape_ids`) that `match_shapes` looks windows up in.

    Equal shapes keep the first. The table's length is a power of two above the number of shapes.
    """
    mask = np.uint64(len(keys) - 1)
    for shape in range(len(heights)):
        height, width = heights[shape], widths[shape]
        window = cells[offsets[shape] : offsets[shape + 1]].reshape(height, width)
        prefix = zero_array((height + 1, width + 1), np.uint64)
        for row in range(height):
            add_prefix_row(window, row, powers, prefix)
        key = window_hash(prefix, 0, 0, height, width, powers)
        slot = key & mask
        while keys[slot] != 0 and keys[slot] != key:
            slot = (slot + np.uint64(1)) & mask
        if keys[slot] == 0:
            keys[slot] = key
            shape_ids[slot] = shape


@inlined
def _gain(layer, covered, row, column, height, width, cells, cell_value):
    """Return (what covering the window's new cells saves in 1/256 bit, new non-zero cells).

    The saving is -1 where the window differs from the shape.
    """
    gain = np.int64(0)
    n_fresh = 0
    index = 0
    for i in range(row, row + height):
        for j in range(column, column + width):
            if layer[i, j] != cells[index]:
                return np.int64(-1), 0
            index += 1
            if covered[i, j] == 0:
                if layer[i, j]:
                    gain += cell_value
                    n_fresh += 1
                else:
                    gain += NEW_ZERO_VALUE
    return gain, n_fresh


@kernel
def match_shapes(
    layer, classes, keys, shape_ids, anchors, offsets, cells, code_lengths, powers, cell_value,
    placed, gaps, fresh,
):  # fmt: skip
    """Cover every non-zero cell of `layer` (uint16) by shapes, greedily in raster order.

    At each non-zero cell not covered yet, the shape whose first non-zero cell it is and that saves
    most is placed: `cell_value` / 256 bits for each newly covered non-zero cell, less its codeword.
    `classes` rows: height, width, anchor column; larger areas first. Fills `placed` (shape),
    `gaps` (cells skipped that were not covered) and `fresh` (non-zero cells newly covered); returns
    the number of placements, or -1 - the raster position of a cell that no shape can cover.
    """
    n_rows, n_columns = layer.shape
    max_height = np.int64(1)
    for index in range(len(classes)):
        max_height = max(max_height, np.int64(classes[index, 0]))
    prefix = zero_array((max_height + 1, n_columns + 1), np.uint64)
    covered = zero_array((n_rows, n_columns), np.uint8)
    mask = np.uint64(len(keys) - 1)
    n_placed = 0
    gap = 0
    next_row = 0
    for row in range(n_rows):
        while next_row < min(row + max_height, n_rows):
            add_prefix_row(layer, next_row, powers, prefix)
            next_row += 1
        for column in range(n_columns):
            if covered[row, column]:
                continue
            if layer[row, column] == 0:
                gap += 1
                continue
            best = np.int64(-1)
            best_gain = np.int64(0)
            best_class = 0
            best_fresh = 0
            for index in range(len(classes)):
                height = np.int64(classes[index, 0])
                width = np.int64(classes[index, 1])
                left = column - np.int64(classes[index, 2])
                if left < 0 or row + height > n_rows or left + width > n_columns:
                    continue
                key = window_hash(prefix, row, left, height, width, powers)
                slot = key & mask
                while keys[slot] != 0 and keys[slot] != key:
                    slot = (slot + np.uint64(1)) & mask
                if keys[slot] == 0:
                    continue
                shape = np.int64(shape_ids[slot])
                if anchors[shape] != classes[index, 2]:
                    continue
                gain, n_fresh = _gain(
                    layer, covered, row, left, height, width, cells[offsets[shape] :], cell_value
                )
                if gain < 0:
                    continue
                gain -= np.int64(code_lengths[shape]) * 256
                if best < 0 or gain > best_gain:
                    best, best_gain, best_class, best_fresh = shape, gain, index, n_fresh
            if best < 0:
                return -1 - (row * n_columns + column)
            left = column - np.int64(classes[best_class, 2])
            height, width = np.int64(classes[best_class, 0]), np.int64(classes[best_class, 1])
            covered[row : row + height, left : left + width] = 1
            placed[n_placed] = best
            gaps[n_placed] = gap
            fresh[n_placed] = best_fresh
            n_placed += 1
            gap = 0
    return n_placed


@kernel
def measure_gaps(gaps, gap_lengths, parameters, golomb_bits):
    """Return the bits of `gaps` under the trained code, and fill `golomb_bits` per parameter."""
    trained = np.int64(0)
    for gap in gaps:
        symbol, n_extra = gap_symbol(gap)
        trained += np.int64(gap_lengths[symbol]) + n_extra
        for index in range(len(parameters)):
            golomb_bits[index] += golomb_length(gap, parameters[index])
    return trained


@kernel
def write_placements(
    buffer, position, placed, gaps, codewords, code_lengths, gap_codewords, gap_lengths, parameter
):
    """Write the placements and the end mark (SPEC 5.8); return the new bit position.

    `parameter` is Golomb's, 0 for the trained gap code.
    """
    for index in range(len(placed)):
        shape = placed[index]
        position = write_bits(
            buffer, position, np.int64(codewords[shape]), np.int64(code_lengths[shape])
        )
        gap = np.int64(gaps[index])
        if parameter:
            position = write_golomb(buffer, position, gap, parameter)
        else:
            symbol, n_extra = gap_symbol(gap)
            position = write_bits(
                buffer, position, np.int64(gap_codewords[symbol]), np.int64(gap_lengths[symbol])
            )
            position = write_bits(buffer, position, gap, n_extra)
    end = len(code_lengths) - 1
    return write_bits(buffer, position, np.int64(codewords[end]), np.int64(code_lengths[end]))


@inlined
def _read_gap(data, position, parameter, first_code, first_index, symbols):
    """Return (gap, new position); gap -1 truncated, -2 no such codeword (SPEC 5.8)."""
    if parameter:
        return read_golomb(data, position, parameter)
    symbol, position = read_codeword(data, position, first_code, first_index, symbols)
    if symbol < GAP_DIRECT:
        return symbol, position
    n_extra = symbol - GAP_DIRECT + 7
    extra, position = read_bits(data, position, n_extra)
    if extra < 0:
        return extra, position
    return (np.int64(1) << n_extra) | extra, position


@inlined
def _paint(layer, covered, row, column, height, width, cells, largest):
    """Put a shape into the layer; False where a value is too large or contradicts (SPEC 5.7)."""
    index = 0
    for i in range(row, row + height):
        for j in range(column, column + width):
            value = cells[index]
            index += 1
            if value > largest or (covered[i, j] and layer[i, j] != value):
                return False
            layer[i, j] = value
            covered[i, j] = 1
    return True


@kernel
def read_placements(
    data, position, parameter, shape_code, gap_code, heights, widths, anchors, offsets, cells,
    largest, layer,
):  # fmt: skip
    """Paint `layer` (zeros, uint16) from its placements (SPEC 5.7, 5.8).

    `shape_code` and `gap_code` are (first_code, first_index, symbols). Returns (status, new bit
    position, number of placements).
    """
    n_rows, n_columns = layer.shape
    covered = zero_array((n_rows, n_columns), np.uint8)
    end = len(heights)
    cursor = np.int64(0)
    n_placed = 0
    while True:
        shape, position = read_codeword(data, position, shape_code[0], shape_code[1], shape_code[2])
        if shape < 0:
            return status.TRUNCATED if shape == -1 else status.BAD_CODEWORD, position, n_placed
        if shape == end:
            return status.OK, position, n_placed
        gap, position = _read_gap(data, position, parameter, gap_code[0], gap_code[1], gap_code[2])
        if gap < 0:
            return status.TRUNCATED if gap == -1 else status.BAD_CODEWORD, position, n_placed
        while cursor < n_rows * n_columns:
            if covered[cursor // n_columns, cursor % n_columns] == 0:
                if gap == 0:
                    break
                gap -= 1
            cursor += 1
        if cursor >= n_rows * n_columns:
            return status.BAD_LOCATION, position, n_placed
        row, left = cursor // n_columns, cursor % n_columns - np.int64(anchors[shape])
        height, width = np.int64(heights[shape]), np.int64(widths[shape])
        if left < 0 or row + height > n_rows or left + width > n_columns:
            return status.SHAPE_OUTSIDE, position, n_placed
        fits = _paint(layer, covered, row, left, height, width, cells[offsets[shape] :], largest)
        if not fits:
            return status.BAD_SHAPE_VALUE, position, n_placed
        n_placed += 1
