"""The coder of quantised DCT coefficients, both directions (SPEC 5J.5).

Encoder and decoder are one kernel: whatever must agree is computed once. Blocks lie in a buffer
with a margin of empty blocks above and at both sides, so that every block has neighbours.
"""

import numpy as np

from . import status
from .allocation import zero_array
from .entropy_kernels import _TOP, VIRTUAL_BYTES
from .jit import inlined, kernel
from .lanes import mix_lanes, train_lanes, update_lanes
from .vectors import LANES

N_NODES = 32
"""Decisions of a context: 16 for the bits of a magnitude, then its second bit by their number."""

N_CONTEXTS = 2048
"""Contexts of each lane, for each kind of component."""

N_KINDS = 3

COUNT_NODES = 64
N_COUNT_CONTEXTS = 256
"""Contexts of the number of inner coefficients, of `COUNT_NODES` decisions."""

SIDE_NODES = 8
N_SIDE_CONTEXTS = 1024
"""Contexts of the numbers of coefficients at the sides, of `SIDE_NODES` decisions."""

CONTEXTS_AND_NODES = (
    (N_CONTEXTS, N_NODES),
    (N_COUNT_CONTEXTS, COUNT_NODES),
    (N_SIDE_CONTEXTS, SIDE_NODES),
)
"""Of each table of contexts, in the order of their states within a lane."""

N_LEVELS = 16

# Where the states of each lane begin within a kind
_COUNTS = N_CONTEXTS * N_NODES
_SIDES = _COUNTS + N_COUNT_CONTEXTS * COUNT_NODES
STATES_OF_LANE = _SIDES + N_SIDE_CONTEXTS * SIDE_NODES
STATES_OF_KIND = LANES * STATES_OF_LANE

# Rows of weights of a kind
_BY_COEFFICIENT = 0
_BY_LEVEL = _BY_COEFFICIENT + 64 * N_NODES
_BY_COUNT = _BY_LEVEL + 3 * N_LEVELS * N_NODES
_BY_SIDE = _BY_COUNT + COUNT_NODES
ROWS_OF_KIND = _BY_SIDE + 2 * SIDE_NODES
ROWS_OF_MAGNITUDES = _BY_COUNT
"""The first rows of a kind, `N_NODES` of each context of weights."""

# Plain states of a kind: signs, and the low bits of magnitudes
N_SIGNS = 81
_LOW_BITS = 64 * N_SIGNS
PLAIN_OF_KIND = _LOW_BITS + 64 * 17 * 16

HASTE_BLOCKS = 64
"""After so many blocks what is added to the weights' pace is half of that at the start."""

MAX_WEIGHT = 1 << 19
MAX_BITS = 16

NODE_PLACES = (0, 1, *range(2, 30, 2), 30, *range(3, 33, 2))
"""Where the states and weights of a magnitude's decisions lie: those met together are near."""

WORST_BYTES = 64 * 34
"""More than the code of one block takes."""

_U0 = np.uint64(0)

_HIGHEST_LEVEL = 192
"""Larger sums are of the same level."""

# What is coded of a block, in this order; a number of coefficients is before each but the last
_INNER, _COLUMN, _ROW, _FIRST, _DONE = range(5)


@inlined
def _level(value):
    """Return 0..15 for a magnitude sum: about two levels for each doubling."""
    if value < 4:
        return value
    bits = np.int64(2)
    while value >> (bits + 1):
        bits += 1
    return min(2 * bits + ((value >> (bits - 1)) & 1), np.int64(N_LEVELS - 1))


@inlined
def _grade(value):
    """Return 0..7 for a magnitude."""
    large = np.int64(value > 4) + np.int64(value > 8) + np.int64(value > 16)
    return min(value, np.int64(3)) + large + np.int64(value > 32)


@inlined
def _sign(value):
    return np.int64(value > 0) - np.int64(value < 0)


@inlined
def _size(blocks, at):
    return abs(np.int64(blocks[np.uint64(at)]))


@inlined
def _count_block(blocks, at):
    """Return how many inner coefficients, of the first column, and of the first row are not 0."""
    n_all = n_column = n_row = np.int64(0)
    for k in range(64):
        n_all += np.int64(blocks[np.uint64(at + k)] != 0)
    for k in range(1, 8):
        n_column += np.int64(blocks[np.uint64(at + 8 * k)] != 0)
        n_row += np.int64(blocks[np.uint64(at + k)] != 0)
    n_first = np.int64(blocks[np.uint64(at)] != 0)
    return n_all - n_column - n_row - n_first, n_column, n_row


@inlined
def _split(low, high, chance):
    """Return the last code value of the part for a 1, of a chance in 65536ths (SPEC 4.4)."""
    return low + (((high - low) * chance) >> 16)


@kernel
def code_blocks(
    source, blocks, others, geometry, steps, order, edges, states, weights, plain, stretch, squash,
    rates, counts, interval, data, decoding,
):  # fmt: skip
    """Code all blocks of a component; returns (status, row of blocks) (SPEC 5J.5).

    All of a block is coded by one loop, whose rounds code a number of coefficients or one
    coefficient: so each kind of decision is in one place, and everything stays in registers.

    Parameters
    ----------
    source : ndarray, int16, flat
        What is encoded, laid out as `blocks`.
    blocks : ndarray, int16, flat
        Filled with what is known so far: (1 + blocks down, 2 + blocks across, 64) with the margin
        of empty blocks.
    others : ndarray, int16, flat
        The same of the component before, empty for the first.
    geometry : tuple of int
        Blocks down, blocks across, kind; blocks down and across of the component before; by which
        power of two its blocks are finer, down and across; limit of counts; pace of the weights,
        and what is added to it at the start, times `HASTE_BLOCKS`.
    steps : ndarray, int64, (64,)
        Quantiser steps.
    order : ndarray, int64, (49,)
        The inner coefficients in their order.
    edges : ndarray, int64, (8,)
        What a coefficient's cosine is at the block's edge, in 8192ths of the first.
    counts : ndarray, uint32
        How often each state met a 0 and a 1, of all mixed and then all plain ones; empty where
        that is not asked.
    """
    (
        n_down, n_across, kind, other_down, other_across, finer_down, finer_across, limit,
        last_pace, haste,
    ) = geometry  # fmt: skip
    inputs = zero_array(2 * LANES, np.int32)
    seen = zero_array(2 * LANES, np.uint32)
    masks = zero_array(4 * LANES, np.int32)
    for lane in range(LANES):
        masks[lane] = -1
    slots = zero_array(LANES, np.uint64)
    levels = zero_array(_HIGHEST_LEVEL + 1, np.int64)
    for value in range(_HIGHEST_LEVEL + 1):
        levels[value] = _level(np.int64(value))
    # what each coefficient adds at the edge beside it, along its row and along its column
    along_rows, along_columns = zero_array(64, np.int64), zero_array(64, np.int64)
    for at in range(64):
        along_rows[at] = edges[at & 7] * steps[at]
        along_columns[at] = edges[at >> 3] * steps[at]
    base0 = np.int64(kind * STATES_OF_KIND)
    base1, base2 = base0 + STATES_OF_LANE, base0 + 2 * STATES_OF_LANE
    base3, base4 = base0 + 3 * STATES_OF_LANE, base0 + 4 * STATES_OF_LANE
    base5, base6 = base0 + 5 * STATES_OF_LANE, base0 + 6 * STATES_OF_LANE
    base7 = base0 + 7 * STATES_OF_LANE
    rows = np.int64(kind * ROWS_OF_KIND)
    plain_at = np.int64(kind * PLAIN_OF_KIND)
    stride = np.int64(64 * (n_across + 2))
    # numbers of coefficients, of this row of blocks and the one before: inner, column, row
    numbers = zero_array((2, 3, n_across + 2), np.int64)
    rests = zero_array((2, n_across + 2), np.int64)
    slack = -VIRTUAL_BYTES if decoding else WORST_BYTES
    has_other, is_counting = len(others) > 0, len(counts) > 0
    n_mixed, n_data = np.int64(len(states)), np.int64(len(data))
    low, high, code, position = interval[0], interval[1], interval[2], interval[3]
    for i in range(n_down):
        line, before = i & 1, 1 - (i & 1)
        for j in range(n_across):
            if position + slack > n_data:
                return (status.TRUNCATED if decoding else status.FULL), i
            here = np.int64((i + 1) * stride + (j + 1) * 64)
            west, north = here - 64, here - stride
            beyond_north = north - stride if i > 0 else north
            other = np.int64(0)
            n_other = m_column = m_row = np.int64(0)
            if has_other:
                above = min(i << finer_down, other_down - 1) + 1
                beside = min(j << finer_across, other_across - 1) + 1
                other = np.int64((above * (other_across + 2) + beside) * 64)
                n_other, m_column, m_row = _count_block(others, other)
            c_inner = c_column = c_row = np.int64(0)
            if not decoding:
                c_inner, c_column, c_row = _count_block(source, here)
            pace = last_pace + haste // (i * n_across + j + HASTE_BLOCKS)
            inner = sides = np.int64(0)
            n_column = np.int64(0)
            predicted = from_west = from_north = np.int64(0)
            expected = distance = np.int64(0)
            stage, left, k = np.int64(_INNER), np.int64(-1), np.int64(0)
            while stage != _DONE:
                is_side = stage not in (_INNER, _FIRST)
                is_number = left < 0 and stage != _FIRST
                at = np.int64(0)
                value = sign = np.int64(0)
                if is_number:
                    n_west, n_north = numbers[line, stage, j], numbers[before, stage, j + 1]
                    n_corner = numbers[before, stage, j + 2] if j + 1 < n_across else n_north
                    if i == 0:
                        n_north = n_corner = n_west
                    elif j == 0:
                        n_west = n_north
                    if stage == _INNER:
                        value = c_inner
                        both = (n_west + n_north + 1) >> 1
                        table = np.int64(_COUNTS)
                        number_first = np.int64(_BY_COUNT)
                        context0, context1, context2, context3 = both, n_north, n_west, n_other
                        context4 = (n_north + n_corner + 1) >> 1
                        context5 = (n_west >> 2) * 13 + (n_north >> 2)
                        context6 = (n_other >> 2) * 13 + (both >> 2)
                        context7 = np.int64(0)
                        width = np.int64(COUNT_NODES)
                    else:
                        is_row = np.int64(stage == _ROW)
                        value = c_row if is_row else c_column
                        m_other = m_row if is_row else m_column
                        table = _SIDES + is_row * (N_SIDE_CONTEXTS // 2) * SIDE_NODES
                        number_first = _BY_SIDE + is_row * SIDE_NODES
                        context0, context1 = n_west * 8 + n_north, inner
                        context2 = (inner >> 2) * 16 + n_west + n_north
                        context3 = m_other * 8 + n_column
                        context4 = (inner >> 2) * 8 + n_column
                        context5, context7 = n_north, n_west
                        context6 = (inner >> 2) * 8 + m_other
                        width = np.int64(SIDE_NODES)
                    first = second = rows + number_first
                elif stage == _INNER:
                    table, width = np.int64(0), np.int64(N_NODES)
                    at = order[np.uint64(k)]
                    u, v = at >> 3, at & 7
                    value = np.int64(source[np.uint64(here + at)])
                    of_west = np.int64(blocks[np.uint64(west + at)])
                    of_north = np.int64(blocks[np.uint64(north + at)])
                    a, b = abs(of_west), abs(of_north)
                    near = (
                        3 * (a + b) + _size(blocks, north - 64 + at)
                        + _size(blocks, north + 64 + at) + _size(blocks, west - 64 + at)
                        + _size(blocks, beyond_north + at)
                    )  # fmt: skip
                    inside, beyond = np.int64(0), np.int64(0)
                    if u > 1:
                        inside += 2 * _size(blocks, here + at - 8)
                        if v > 1:
                            inside += _size(blocks, here + at - 9)
                        if v < 7:
                            beyond += _size(blocks, here + at - 7)
                    if v > 1:
                        inside += 2 * _size(blocks, here + at - 1)
                        if u < 7:
                            beyond += _size(blocks, here + at + 7)
                    partner = beyond
                    sign = (_sign(of_west) + 1) * 3 + _sign(of_north) + 1
                    if has_other:
                        of_other = np.int64(others[np.uint64(other + at)])
                        partner = abs(of_other)
                        sign = sign * 3 + _sign(of_other) + 1
                    share = min(8 * left // (49 - k), np.int64(7))
                    level = levels[np.uint64(min(near, np.int64(_HIGHEST_LEVEL)))]
                    few = min(left, np.int64(8)) + min(left >> 3, np.int64(6))
                    around = levels[np.uint64(min(near + 2 * inside, np.int64(_HIGHEST_LEVEL)))]
                    within = levels[np.uint64(min(inside, np.int64(_HIGHEST_LEVEL)))]
                    context0, context1 = k * 15 + few, k * 16 + level
                    context2 = (
                        k * 36 + min(_grade(a), np.int64(5)) * 6 + min(_grade(b), np.int64(5))
                    )
                    context3 = k * 16 + within
                    context4 = (k >> 2) * 128 + share * 16 + level
                    context5 = k * 32 + _grade(partner) * 4 + min(beyond + a + b, np.int64(3))
                    context6 = around * 64 + k
                    context7 = around * 64 + share * 8 + min(left, np.int64(7))
                    first = rows + _BY_COEFFICIENT + at * N_NODES
                    second = rows + _BY_LEVEL + few * N_NODES
                elif is_side:
                    table, width = np.int64(0), np.int64(N_NODES)
                    is_row = np.int64(stage == _ROW)
                    unit, run = (np.int64(1), np.int64(8)) if is_row else (np.int64(8), np.int64(1))
                    beside = north if is_row else west
                    at = k * unit
                    value = np.int64(source[np.uint64(here + at)])
                    expected = np.int64(0)
                    if (i if is_row else j) > 0:
                        for m in range(8):
                            place = at + m * run
                            there = np.int64(blocks[np.uint64(beside + place)])
                            there = -there if m & 1 else there
                            if m > 0:
                                there -= np.int64(blocks[np.uint64(here + place)])
                            along = along_columns if is_row else along_rows
                            expected += along[np.uint64(place)] * there
                        expected = (expected // steps[np.uint64(at)]) >> 11  # in quarters of a step
                    distance = min(abs(expected), np.int64(1 << 14))
                    likely = levels[np.uint64(min(distance, np.int64(_HIGHEST_LEVEL)))]
                    a, b = _size(blocks, west + at), _size(blocks, north + at)
                    near = (
                        3 * (a + b) + _size(blocks, north - 64 + at)
                        + _size(blocks, north + 64 + at)
                    )  # fmt: skip
                    level = levels[np.uint64(min(near, np.int64(_HIGHEST_LEVEL)))]
                    last = _size(blocks, here + at + unit) if k < 7 else np.int64(0)
                    diagonal = _size(blocks, here + at + run)
                    partner = _size(others, other + at) if has_other else diagonal
                    place = k - 1 + 7 * is_row
                    context0 = 736 + place * 8 + left
                    context1 = 49 * 16 + place * 64 + (level >> 1) * 8 + (inner >> 3)
                    context2 = 49 * 36 + place * 16 + likely
                    context3 = 49 * 16 + place * 64 + _grade(last) * 8 + _grade(diagonal)
                    context4 = 1664 + (is_row * 16 + likely) * 8 + left
                    context5 = 49 * 32 + place * 32 + _grade(partner) * 4
                    context5 += min(likely >> 2, np.int64(3))
                    context6 = 1024 + place * 64 + (likely >> 1) * 8 + (level >> 1)
                    context7 = 1024 + place * 64 + (likely >> 1) * 8 + left
                    first = rows + _BY_COEFFICIENT + at * N_NODES
                    second = rows + _BY_LEVEL + (N_LEVELS + likely) * N_NODES
                    sign = ((_sign(expected) + 1) * 8 + _grade(distance)) * 3 - 1
                else:
                    table, width = np.int64(0), np.int64(N_NODES)
                    for m in range(8):
                        across, down = np.int64(0), np.int64(0)
                        if j > 0:
                            across = np.int64(blocks[np.uint64(west + m)])
                            across = -across if m & 1 else across
                            if m > 0:
                                across -= np.int64(blocks[np.uint64(here + m)])
                        if i > 0:
                            down = np.int64(blocks[np.uint64(north + 8 * m)])
                            down = -down if m & 1 else down
                            if m > 0:
                                down -= np.int64(blocks[np.uint64(here + 8 * m)])
                        from_west += along_rows[m] * across
                        from_north += along_columns[8 * m] * down
                    from_west = (from_west // steps[0]) >> 10
                    from_north = (from_north // steps[0]) >> 10
                    if i == 0:
                        from_north = from_west
                    elif j == 0:
                        from_west = from_north
                    predicted = (from_west + from_north + 8) >> 4
                    spread = min(abs(from_west - from_north) >> 3, np.int64(_HIGHEST_LEVEL))
                    value = np.int64(source[np.uint64(here)]) - predicted
                    value = ((value + 32768) & 65535) - 32768
                    rest_west, rest_north = rests[line, j], rests[before, j + 1]
                    apart = levels[np.uint64(spread)]
                    drift = levels[
                        np.uint64(min(abs(rest_west) + abs(rest_north), np.int64(_HIGHEST_LEVEL)))
                    ]
                    context0, context1, context2 = np.int64(2047), 1024 + apart, 2000 + drift
                    context3, context4 = 1700 + apart * 16 + drift, 1930 + inner
                    context5, context6 = 2030 + sides, 1930 + drift
                    context7 = 1930 + (apart >> 1) * 8 + min(sides >> 1, np.int64(7))
                    first = rows + _BY_COEFFICIENT
                    second = rows + _BY_LEVEL + (2 * N_LEVELS + apart) * N_NODES
                    sign = (_sign(rest_west) + 1) * 9 + (_sign(rest_north) + 1) * 3
                    sign += 1 + _sign(from_west - from_north)
                slots[0] = base0 + table + context0 * width
                slots[1] = base1 + table + context1 * width
                slots[2] = base2 + table + context2 * width
                slots[3] = base3 + table + context3 * width
                slots[4] = base4 + table + context4 * width
                slots[5] = base5 + table + context5 * width
                slots[6] = base6 + table + context6 * width
                slots[7] = base7 + table + context7 * width
                # ---- A number bit by bit; of a magnitude how many bits it has, and its second
                wanted = abs(value)
                n_bits = found = np.int64(0)
                node = np.int64(1) if is_number else np.int64(0)
                place = node
                shift = np.int64(5) if stage == _INNER else np.int64(2)
                while True:
                    bit = np.int64(0)
                    step = np.uint64(place)
                    one = np.uint64((first + place) * LANES)
                    two = np.uint64((second + place) * LANES)
                    dot = np.int64(
                        mix_lanes(
                            states, slots, _U0, step, stretch, masks, weights, one, two, two,
                            inputs, seen,
                        )
                    )  # fmt: skip
                    index = min(max(dot >> 16, np.int64(-2047)), np.int64(2047)) + 2048
                    mixed = np.int64(squash[np.uint64(index)])
                    middle = _split(low, high, min(max(mixed, np.int64(32)), np.int64(65504)))
                    if decoding:
                        bit = np.int64(code <= middle)
                    elif is_number:
                        bit = (wanted >> shift) & 1
                    elif node < MAX_BITS:
                        bit = np.int64((wanted >> n_bits) > 0)
                    else:
                        bit = (wanted >> (n_bits - 2)) & 1
                    error = np.int32((((bit << 16) - mixed) * pace) >> 6)
                    train_lanes(weights, one, two, two, inputs, _U0, error, np.int32(MAX_WEIGHT))
                    update_lanes(
                        states, slots, _U0, step, seen, rates, np.int32(4194303 * bit),
                        np.int32(limit),
                    )  # fmt: skip
                    if is_counting:
                        for lane in range(LANES):
                            counts[2 * (np.int64(slots[lane]) + place) + bit] += np.uint32(1)
                    low, high = (low, middle) if bit else (middle + 1, high)
                    while ((low ^ high) >> 24) == 0:
                        if decoding:
                            code = (code << 8) & _TOP
                            if position < n_data:
                                code |= np.int64(data[np.uint64(position)])
                        else:
                            data[np.uint64(position)] = high >> 24
                        position += 1
                        low = (low << 8) & _TOP
                        high = (high << 8) & _TOP | 255
                    if is_number:
                        node = node << 1 | bit
                        place = node
                        shift -= 1
                        if shift < 0:
                            break
                    elif node >= MAX_BITS:
                        found = 2 | bit
                        break
                    else:
                        n_bits += bit
                        if bit and n_bits < MAX_BITS:
                            node = n_bits
                            place = node if node < 2 else 2 * node - 2
                        elif n_bits < 2:
                            found = n_bits
                            break
                        else:
                            node = np.int64(MAX_BITS)
                            place = 2 * n_bits - 1
                if is_number:
                    left = node & (63 if stage == _INNER else 7)
                    numbers[line, stage, j + 1] = left
                    if stage == _INNER:
                        if left > 49:
                            return status.SAMPLE_OUT_OF_RANGE, i
                        inner, k = left, np.int64(0)
                    else:
                        k = np.int64(7)
                        sides += left
                        n_column = left  # asked of the row only
                else:
                    # ---- The lower bits of a magnitude, and its sign
                    shift = n_bits - 3
                    negative = np.int64(0)
                    while n_bits > 0:
                        if shift >= 0:
                            plain_place = plain_at + _LOW_BITS + (at * 17 + n_bits) * 16 + shift
                            bit = (wanted >> shift) & 1
                        else:
                            plain_place = plain_at + at * N_SIGNS + sign
                            if is_side:
                                plain_place += min(found, np.int64(3))
                            bit = np.int64(value < 0)
                        state = np.int64(plain[np.uint64(plain_place)])
                        chance = min(max(state >> 16, np.int64(32)), np.int64(65504))
                        middle = _split(low, high, chance)
                        if decoding:
                            bit = np.int64(code <= middle)
                        chance, count = state >> 10, state & 1023
                        rate = np.int64(rates[np.uint64(count)])
                        chance += (((4194303 * bit - chance) >> 3) * rate) >> 13
                        count += np.int64(count < limit)
                        plain[np.uint64(plain_place)] = np.uint32(chance << 10 | count)
                        if is_counting:
                            counts[2 * (n_mixed + plain_place) + bit] += np.uint32(1)
                        low, high = (low, middle) if bit else (middle + 1, high)
                        while ((low ^ high) >> 24) == 0:
                            if decoding:
                                code = (code << 8) & _TOP
                                if position < n_data:
                                    code |= np.int64(data[np.uint64(position)])
                            else:
                                data[np.uint64(position)] = high >> 24
                            position += 1
                            low = (low << 8) & _TOP
                            high = (high << 8) & _TOP | 255
                        if shift < 0:
                            negative = bit
                            break
                        found = found << 1 | bit
                        shift -= 1
                    found = -found if negative else found
                    if stage == _FIRST:
                        rests[line, j + 1] = found
                        found = ((found + predicted + 32768) & 65535) - 32768
                    blocks[np.uint64(here + at)] = found
                    left -= np.int64(n_bits > 0)
                    k += np.int64(1) if stage == _INNER else np.int64(-1)
                if left == 0 or stage == _FIRST or k == (49 if stage == _INNER else 0):
                    stage, left = stage + 1, np.int64(-1)
    interval[0], interval[1], interval[2], interval[3] = low, high, code, position
    return status.OK, n_down
