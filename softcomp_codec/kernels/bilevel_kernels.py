"""The bilevel coder, both directions (SPEC 5D).

Encoder and decoder are one kernel: whatever must agree is computed once. Indices are unsigned,
since Numba then leaves out the test for negative ones.
"""

import numpy as np

from . import status
from .allocation import zero_array
from .entropy_kernels import VIRTUAL_BYTES
from .jit import inlined, kernel
from .lanes import mix_three, train_three, update_lanes
from .vectors import LANES

ROWS_ABOVE, LEFT, RIGHT = 5, 8, 8
"""Rows above, and columns at either side, that an image's buffer has beyond its pixels."""

BLOCK, STRETCH = 16, 4
"""Pixels of a block, and blocks of a stretch: coded at once where all around is alike."""

CALM_ROWS = 12
"""Rows above a block that must be alike, and two blocks to its left and right."""

BLOCK_MARGIN = 8
"""Blocks beyond an image's last one of which something is said."""

N_RUNS = 128
"""States of the decisions about blocks; the first is nobody's."""

N_NEAR, N_TRUST, N_REACH = 1024, 64, 256
"""Rows of the three sets of weights; a positional prior has a row a pixel in the third."""

TRUSTED = (4, 2, 0)
"""Contexts whose counts choose the second set's row."""

CURVE_POINTS = 33
RUN_LIMIT = 255
LARGEST_WEIGHT = 43690
"""So that the sum of eight lanes of three sets fits 32 bits."""

LEAST_CHANCE = 8

ADAPT_STATES, ADAPT_WEIGHTS = 1, 2
"""What a model may change while it codes; curves change with either."""

SPARE_BYTES = 512
"""More than the code of a block."""

_TOP = 0xFFFFFFFF
_U0, _U1, _U4, _U8 = (np.uint64(n) for n in (0, 1, 4, 8))
_ALL = np.uint64(0x7FFFFFFFFFFFFFFF)
_KEPT = np.uint64(0x7EFF7FEFFF7FFEFE)
"""A window full of ones, and one with zeros at the places where pixels enter."""


@inlined
def _decide(low, high, code, position, data, chance, bit, decoding):
    """Code one decision (SPEC 4.4); return the coder's state and the decision."""
    span = high - low
    middle = low + (span >> 16) * chance + (((span & 0xFFFF) * chance) >> 16)
    if decoding:
        bit = np.int64(code <= middle)
    if bit:
        high = middle
    else:
        low = middle + 1
    while (low ^ high) >> 24 == 0:
        if decoding:
            byte = np.int64(data[position]) if position < len(data) else np.int64(0)
            code = (code << 8) & _TOP | byte
        else:
            data[position] = np.uint8(high >> 24)
        position += 1
        low = (low << 8) & _TOP
        high = (high << 8) & _TOP | 255
    return low, high, code, position, bit


@inlined
def _chance_of(state):
    return min(max(np.int64(state) >> 16, np.int64(32)), np.int64(65504))


@inlined
def _moved(state, bit, rates):
    """Return the state of a decision about a block after it (SPEC 5D.4)."""
    probability, count = np.int64(state) >> 10, np.int64(state) & 1023
    target = np.int64(4194303) if bit else np.int64(0)
    probability += (((target - probability) >> 3) * np.int64(rates[np.uint64(count)])) >> 13
    return np.uint32(probability << 10 | min(count + 1, np.int64(RUN_LIMIT)))


@inlined
def _trust(state):
    """Return 0..3 for how often a state was met."""
    count = np.int64(state) & 1023
    return np.int64(count > 0) + np.int64(count > 2) + np.int64(count > 10)


@inlined
def _length(n):
    """Return the class 0..15 of a length (SPEC 5D.3)."""
    if n < 8:
        return min(n, np.int64(3)) + np.int64(n > 5)
    if n < 64:
        middle = np.int64(n > 11) + np.int64(n > 15) + np.int64(n > 23)
        return 5 + middle + np.int64(n > 31) + np.int64(n > 47)
    long = np.int64(n > 95) + np.int64(n > 191) + np.int64(n > 383)
    return 11 + long + np.int64(n > 767)


@inlined
def _next_window(window, bit, pixels, here, stride):
    """Return the window of the pixel at `here`, from that of the one to its left, `bit`."""
    window = (window << _U1) & _KEPT
    window |= np.uint64(bit)
    row = here - stride
    window |= np.uint64(pixels[row + np.uint64(7)]) << _U8
    row -= stride
    window |= np.uint64(pixels[row + np.uint64(6)]) << np.uint64(23)
    row -= stride
    window |= np.uint64(pixels[row + np.uint64(5)]) << np.uint64(36)
    row -= stride
    window |= np.uint64(pixels[row + _U4]) << np.uint64(47)
    row -= stride
    return window | np.uint64(pixels[row + np.uint64(3)]) << np.uint64(56)


@inlined
def _first_window(pixels, at, stride):
    """Return the window of the first pixel of a row."""
    window = _U0
    row = at
    for above in range(5):
        row -= stride
        reach = 7 - above
        place = (15, 29, 41, 51, 59)[above]
        for k in range(reach + 1):
            window |= np.uint64(pixels[row + np.uint64(k)]) << np.uint64(place - k)
    return window


@kernel
def code_bilevel(
    pixels, geometry, windows, reaches, shifts, bases, states, weights, curves, stretch, squash,
    rates, lines, interval, data, decoding, counts,
):  # fmt: skip
    """Code a tile of zeros and ones; return (status, row) (SPEC 5D).

    Parameters
    ----------
    pixels : (rows + 5) * (columns + 16) uint8
        The tile within its margins of zeros.
    geometry : tuple of int
        Rows, columns, contexts, largest count, whether blocks are coded at once, whether the
        third set of weights goes by position, what adapts, and the weights' pace.
    windows, reaches, shifts, bases : uint64
        Of each context: which pixels of the window, and which parts of the reach, it looks at;
        64 less the digits of its slots' numbers; its first slot.
    states, weights, curves : uint32, int32, int32
        The model.
    lines : int64
        Scratch: of each column the row where it last changed, and of each block the last row with
        a one, and with a zero.
    interval : (4,) int64
        The coder's low, high, code and position.
    counts : uint32
        Takes in how often each state met a 0 and a 1, if it is not empty.
    """
    n_rows, n_columns, n_contexts, count_limit, by_blocks, positional, adapting, pace = geometry
    stride = np.uint64(n_columns + LEFT + RIGHT)
    low, high, code, position = interval[0], interval[1], interval[2], interval[3]
    n_blocks = (n_columns + BLOCK - 1) // BLOCK
    changed = lines[: n_columns + 1]
    last_one = lines[n_columns + 1 : n_columns + 1 + n_blocks + BLOCK_MARGIN]
    last_zero = lines[n_columns + 1 + n_blocks + BLOCK_MARGIN :]
    counting = len(counts) > 0
    states_move, weights_move = adapting & ADAPT_STATES, adapting & ADAPT_WEIGHTS
    two = n_contexts >= LANES
    inputs = zero_array(2 * LANES, np.int32)
    seen = zero_array(2 * LANES, np.uint32)
    masks = zero_array(4 * LANES, np.int32)
    masks[:n_contexts] = -1
    masks[2 * LANES + n_contexts] = 256
    slots = zero_array(2 * LANES, np.uint64)
    eight = np.uint64(LANES)
    lanes = np.uint64(2 * LANES if two else LANES)
    trust_start, reach_start = np.uint64(N_NEAR) * lanes, np.uint64(N_NEAR + N_TRUST) * lanes
    largest = np.int32(LARGEST_WEIGHT)
    limit = np.int32(count_limit)
    for column in range(n_columns + 1):
        changed[column] = 0
    for block in range(n_blocks + BLOCK_MARGIN):
        last_one[block] = -CALM_ROWS - 1
        last_zero[block] = -1
    for row in range(n_rows):
        at = np.uint64(row + ROWS_ABOVE) * stride + np.uint64(LEFT)
        window = _first_window(pixels, at, stride)
        oldest = row - CALM_ROWS
        column = n_skipped = stretch_end = np.int64(0)
        run_start = run_before = np.int64(0)
        known = np.int64(-1)
        ones = zeros = np.int64(0)
        while column < n_columns:
            if column & (BLOCK - 1) == 0 and column != known:
                block = column // BLOCK
                ones = zeros = np.int64(0)
                if decoding:
                    if position > len(data) + VIRTUAL_BYTES:
                        return status.TRUNCATED, row
                elif position + SPARE_BYTES > len(data):
                    return status.FULL, row
                calm = by_blocks and (window == _U0 or window == _ALL)  # noqa: PLR1714, SIM109
                value = np.int64(window & _U1)
                last_other = last_zero if value else last_one
                if calm:
                    for k in range(max(block - 2, 0), block + 3):
                        if last_other[k] >= oldest:
                            calm = False
                if calm:
                    # ---- A whole block or stretch of one colour? (SPEC 5D.4)
                    length, size = np.int64(1), np.int64(block < stretch_end)
                    whole = column + STRETCH * BLOCK < n_columns and block % STRETCH == 0
                    if whole and last_other[block + 3] < oldest and last_other[block + 4] < oldest:
                        length, size = np.int64(STRETCH), np.int64(2)
                    while True:
                        depth = np.int64(last_other[block] < oldest - 6)
                        depth += np.int64(last_other[block + length] < oldest - 6)
                        place = (min(n_skipped, np.int64(3)) * 3 + depth) * 3 + size
                        place = np.uint64(1 + place * 2 + value)
                        end = min(column + BLOCK * length, n_columns)
                        plain = np.int64(1)
                        if not decoding:
                            for k in range(column, end):
                                if pixels[at + np.uint64(k)] != value:
                                    plain = np.int64(0)
                                    break
                        low, high, code, position, plain = _decide(
                            low, high, code, position, data, _chance_of(states[place]), plain,
                            decoding,
                        )  # fmt: skip
                        if counting:
                            counts[place * np.uint64(2) + np.uint64(plain)] += 1
                        if states_move:
                            states[place] = _moved(states[place], plain, rates)
                        if plain or length == 1:
                            break
                        length = size = np.int64(1)
                        stretch_end = block + STRETCH
                    if plain:
                        last_same = last_one if value else last_zero
                        for k in range(length):
                            last_same[block + k] = row
                        if decoding:
                            for k in range(column, end):
                                pixels[at + np.uint64(k)] = np.uint8(value)
                        column = end
                        n_skipped += length
                        continue
                    # ---- How many pixels of the block come before the first other one
                    n_before = np.int64(0)
                    if not decoding:
                        while np.int64(pixels[at + np.uint64(column + n_before)]) == value:
                            n_before += 1
                    node = np.int64(1)
                    for k in range(3, -1, -1):
                        place = np.uint64(80 + 16 * value + node)
                        low, high, code, position, bit = _decide(
                            low, high, code, position, data, _chance_of(states[place]),
                            (n_before >> k) & 1, decoding,
                        )  # fmt: skip
                        if counting:
                            counts[place * np.uint64(2) + np.uint64(bit)] += 1
                        if states_move:
                            states[place] = _moved(states[place], bit, rates)
                        node = node << 1 | bit
                    n_before = node - 16
                    if n_before >= end - column:
                        return status.BAD_LOCATION, row
                    for _ in range(n_before):
                        here = at + np.uint64(column)
                        pixels[here] = np.uint8(value)
                        window = _next_window(window, value, pixels, here + _U1, stride)
                        column += 1
                    if n_before:
                        ones, zeros = value, 1 - value
                    known = column
                n_skipped = np.int64(0)
            # ---- One pixel
            here = at + np.uint64(column)
            if column == known:
                bit = 1 - np.int64(window & _U1)
                known = np.int64(-1)
            else:
                reach = _length(column - run_start) | _length(run_before) << 4
                reach |= _length(row - changed[column]) << 8
                reach |= _length(row - changed[column + 1]) << 12
                reach |= (row & 63) << 16 | (column & 63) << 22
                far = np.uint64(reach)
                for k in range(n_contexts):
                    key = (window & windows[k]) * np.uint64(0x9E3779B97F4A7C15)
                    key += (far & reaches[k]) * np.uint64(0xC2B2AE3D27D4EB4F)
                    key ^= key >> np.uint64(29)
                    key *= np.uint64(0xD6E8FEB86659FD93)
                    slots[k] = bases[k] + (key >> shifts[k])
                near = window & np.uint64(3) | (window >> np.uint64(11)) & np.uint64(0x7C)
                near |= (window >> np.uint64(21)) & np.uint64(0x380)
                trust = _trust(states[slots[TRUSTED[0]]]) * 16
                trust += _trust(states[slots[TRUSTED[1]]]) * 4 + _trust(states[slots[TRUSTED[2]]])
                third = row * n_columns + column
                if not positional:
                    third = (reach >> 4) & 0xF0 | reach & 15
                first_row = near * lanes
                second_row = trust_start + np.uint64(trust) * lanes
                third_row = reach_start + np.uint64(third) * lanes
                total = np.int64(
                    mix_three(
                        states, slots, _U0, _U0, stretch, masks, weights, first_row, second_row,
                        third_row, inputs, seen,
                    )
                )  # fmt: skip
                if two:
                    total += np.int64(
                        mix_three(
                            states, slots, eight, _U0, stretch, masks, weights, first_row + eight,
                            second_row + eight, third_row + eight, inputs, seen,
                        )
                    )  # fmt: skip
                level = min(max(total >> 16, np.int64(-2047)), np.int64(2047)) + 2048
                mixed = np.int64(squash[np.uint64(level)])
                part = level & 127
                curve = near * np.uint64(CURVE_POINTS) + np.uint64(level >> 7)
                chance = mixed
                if states_move:
                    bent = np.int64(curves[curve]) * (128 - part)
                    bent = (bent + np.int64(curves[curve + _U1]) * part) >> 7
                    chance = (mixed + bent) >> 1
                chance = min(max(chance, np.int64(LEAST_CHANCE)), np.int64(65536 - LEAST_CHANCE))
                low, high, code, position, bit = _decide(
                    low, high, code, position, data, chance, np.int64(pixels[here]), decoding
                )
                if counting:
                    for k in range(n_contexts):
                        counts[slots[k] * np.uint64(2) + np.uint64(bit)] += 1
                if weights_move:
                    error = np.int32((((bit << 16) - mixed) * pace) >> 6)
                    train_three(
                        weights, first_row, second_row, third_row, inputs, _U0, error, largest
                    )
                    if two:
                        train_three(
                            weights, first_row + eight, second_row + eight, third_row + eight,
                            inputs, eight, error, largest,
                        )  # fmt: skip
                if states_move:
                    target = np.int32(4194303 if bit else 0)
                    update_lanes(states, slots, _U0, _U0, seen, rates, target, limit)
                    if two:
                        update_lanes(states, slots, eight, _U0, seen, rates, target, limit)
                    curve += np.uint64(part >> 6)
                    curves[curve] += np.int32((65535 * bit - np.int64(curves[curve])) >> 6)
            if decoding:
                pixels[here] = np.uint8(bit)
            if bit != np.int64(window & _U1):
                run_before = column - run_start
                run_start = column
            if bit != np.int64(pixels[here - stride]):
                changed[column] = row
            ones |= bit
            zeros |= 1 - bit
            column += 1
            window = _next_window(window, bit, pixels, here + _U1, stride)
            if column & (BLOCK - 1) == 0 or column == n_columns:
                block = (column - 1) // BLOCK
                if ones:
                    last_one[block] = row
                if zeros:
                    last_zero[block] = row
    interval[0], interval[1], interval[2], interval[3] = low, high, code, position
    return status.OK, n_rows
