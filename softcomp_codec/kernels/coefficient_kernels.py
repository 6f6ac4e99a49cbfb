"""The coder of quantised DCT coefficients, both directions (SPEC 5J.5).

Encoder and decoder are one kernel: whatever must agree is computed once. Blocks lie in a buffer
with a margin of empty blocks above and at both sides, so that every block has neighbours.
"""

import numpy as np

from . import status
from .allocation import zero_array
from .entropy_kernels import _TOP, VIRTUAL_BYTES
from .jit import inlined, kernel
from .lanes import LANES, mix_lanes, train_lanes, update_lanes

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

# Plain states of a kind: signs, and the low bits of magnitudes
N_SIGNS = 81
_LOW_BITS = 64 * N_SIGNS
PLAIN_OF_KIND = _LOW_BITS + 64 * 17 * 16

HASTE_BLOCKS = 64
"""After so many blocks what is added to the weights' pace is half of that at the start."""

MAX_WEIGHT = 1 << 19
MAX_BITS = 16
WORST_BYTES = 64 * 34
"""More than the code of one block takes."""

_U0, _U1 = np.uint64(0), np.uint64(1)
_LANES = np.uint64(LANES)


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
    if value < 3:
        return value
    if value < 5:
        return np.int64(3)
    if value < 9:
        return np.int64(4)
    if value < 17:
        return np.int64(5)
    return np.int64(6) if value < 33 else np.int64(7)


@inlined
def _put(chance, bit, interval, data, decoding):
    """Code one decision of a chance of 1 in 65536ths; return it (SPEC 4.4)."""
    low, high = interval[0], interval[1]
    span = high - low
    middle = low + (span >> 16) * chance + (((span & 0xFFFF) * chance) >> 16)
    if decoding:
        bit = np.int64(interval[2] <= middle)
    if bit:
        high = middle
    else:
        low = middle + 1
    while ((low ^ high) >> 24) == 0:
        position = interval[3]
        if decoding:
            interval[2] = (interval[2] << 8) & _TOP
            if position < len(data):
                interval[2] |= np.int64(data[np.uint64(position)])
        else:
            data[np.uint64(position)] = high >> 24
        interval[3] = position + 1
        low = (low << 8) & _TOP
        high = (high << 8) & _TOP | 255
    interval[0], interval[1] = low, high
    return bit


@inlined
def _plain(bit, states, at, tables, interval, data, decoding):
    """Code one decision by one state (SPEC 5J.5)."""
    _, _, rates, limit, counts, n_mixed = tables
    state = np.int64(states[np.uint64(at)])
    chance = min(max(state >> 16, np.int64(32)), np.int64(65504))
    bit = _put(chance, bit, interval, data, decoding)
    chance22, count = state >> 10, state & 1023
    chance22 += (((4194303 * bit - chance22) >> 3) * np.int64(rates[np.uint64(count)])) >> 13
    states[np.uint64(at)] = np.uint32(chance22 << 10 | (count + np.int64(count < limit)))
    if len(counts):
        counts[2 * (n_mixed + at) + bit] += np.uint32(1)
    return bit


@inlined
def _mixed(
    bit, node, slots, states, weights, first, second, mix, tables, pace, interval, data, decoding,
):  # fmt: skip
    """Code one decision by the mixed states of eight contexts (SPEC 5J.5)."""
    inputs, seen, masks = mix
    stretch, squash, rates, limit, counts, _ = tables
    step = np.uint64(node)
    one, two = first + step * _LANES, second + step * _LANES
    dot = np.int64(
        mix_lanes(states, slots, _U0, step, stretch, masks, weights, one, two, two, inputs, seen)
    )
    index = min(max(dot >> 16, np.int64(-2047)), np.int64(2047)) + 2048
    mixed = np.int64(squash[np.uint64(index)])
    chance = min(max(mixed, np.int64(32)), np.int64(65504))
    bit = _put(chance, bit, interval, data, decoding)
    error = np.int32((((bit << 16) - mixed) * pace) >> 6)
    train_lanes(weights, one, two, two, inputs, _U0, error, np.int32(MAX_WEIGHT))
    update_lanes(states, slots, _U0, step, seen, rates, np.int32(4194303 * bit), np.int32(limit))
    if len(counts):
        for lane in range(LANES):
            counts[2 * np.int64(slots[lane] + step) + bit] += np.uint32(1)
    return bit


@inlined
def _code_magnitude(
    size, at, plain_at, slots, states, weights, first, second, plain, mix, tables, pace, interval,
    data, decoding,
):  # fmt: skip
    """Code a magnitude 0..65535 of coefficient `at` (SPEC 5J.5)."""
    n_bits = np.int64(0)
    while n_bits < MAX_BITS:
        bit = _mixed(
            np.int64((size >> n_bits) > 0), n_bits, slots, states, weights, first, second, mix,
            tables, pace, interval, data, decoding,
        )  # fmt: skip
        if not bit:
            break
        n_bits += 1
    if n_bits < 2:
        return n_bits
    found = 2 | _mixed(
        (size >> (n_bits - 2)) & 1, 15 + n_bits, slots, states, weights, first, second, mix,
        tables, pace, interval, data, decoding,
    )  # fmt: skip
    for shift in range(n_bits - 3, -1, -1):
        low_at = plain_at + _LOW_BITS + (at * 17 + n_bits) * 16 + shift
        bit = _plain((size >> shift) & 1, plain, low_at, tables, interval, data, decoding)
        found = found << 1 | bit
    return found


@inlined
def _sign(value):
    return np.int64(value > 0) - np.int64(value < 0)


@kernel
def code_blocks(
    source, blocks, others, geometry, steps, order, edges, states, weights, plain, stretch, squash,
    rates, counts, interval, data, decoding,
):  # fmt: skip
    """Code all blocks of a component; returns (status, row of blocks) (SPEC 5J.5).

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
    tables = (stretch, squash, rates, limit, counts, np.int64(len(states)))
    mix = (
        zero_array(2 * LANES, np.int32),
        zero_array(2 * LANES, np.uint32),
        zero_array(4 * LANES, np.int32),
    )
    for lane in range(LANES):
        mix[2][lane] = -1
    slots = zero_array(LANES, np.uint64)
    bases = zero_array(LANES, np.int64)
    for lane in range(LANES):
        bases[lane] = kind * STATES_OF_KIND + lane * STATES_OF_LANE
    rows = np.int64(kind * ROWS_OF_KIND)
    plain_at = np.int64(kind * PLAIN_OF_KIND)
    stride = np.int64(64 * (n_across + 2))
    n_inner = zero_array((2, n_across + 2), np.int64)
    n_side = zero_array((2, 2, n_across + 2), np.int64)
    rests = zero_array((2, n_across + 2), np.int64)
    slack = -VIRTUAL_BYTES if decoding else WORST_BYTES
    has_other = len(others) > 0
    for i in range(n_down):
        line, before = i & 1, 1 - (i & 1)
        for j in range(n_across):
            if interval[3] + slack > len(data):
                return (status.TRUNCATED if decoding else status.FULL), i
            here = np.int64((i + 1) * stride + (j + 1) * 64)
            west, north = here - 64, here - stride
            beyond_north = north - stride if i > 0 else north
            other = np.int64(0)
            if has_other:
                above = min(i << finer_down, other_down - 1) + 1
                beside = min(j << finer_across, other_across - 1) + 1
                other = np.int64((above * (other_across + 2) + beside) * 64)
            pace = last_pace + haste // (i * n_across + j + HASTE_BLOCKS)
            # ---- How many inner coefficients there are
            count, n_other = np.int64(0), np.int64(0)
            for k in range(49):
                if not decoding:
                    count += np.int64(source[here + order[k]] != 0)
                if has_other:
                    n_other += np.int64(others[other + order[k]] != 0)
            n_west, n_north = n_inner[line, j], n_inner[before, j + 1]
            n_corner = n_inner[before, j + 2] if j + 1 < n_across else n_north
            if i == 0:
                n_north = n_corner = n_west
            elif j == 0:
                n_west = n_north
            both = (n_west + n_north + 1) >> 1
            slots[0] = bases[0] + _COUNTS + both * COUNT_NODES
            slots[1] = bases[1] + _COUNTS + n_north * COUNT_NODES
            slots[2] = bases[2] + _COUNTS + n_west * COUNT_NODES
            slots[3] = bases[3] + _COUNTS + n_other * COUNT_NODES
            slots[4] = bases[4] + _COUNTS + ((n_north + n_corner + 1) >> 1) * COUNT_NODES
            slots[5] = bases[5] + _COUNTS + ((n_west >> 2) * 13 + (n_north >> 2)) * COUNT_NODES
            slots[6] = bases[6] + _COUNTS + ((n_other >> 2) * 13 + (both >> 2)) * COUNT_NODES
            slots[7] = bases[7] + _COUNTS
            first = np.uint64((rows + _BY_COUNT) * LANES)
            node = np.int64(1)
            for shift in range(5, -1, -1):
                bit = _mixed(
                    (count >> shift) & 1, node, slots, states, weights, first, first, mix, tables,
                    pace, interval, data, decoding,
                )  # fmt: skip
                node = node << 1 | bit
            count = node & 63
            if count > 49:
                return status.SAMPLE_OUT_OF_RANGE, i
            n_inner[line, j + 1] = count
            # ---- Inner coefficients
            left = count
            for k in range(49):
                if left == 0:
                    break
                at = order[k]
                u, v = at >> 3, at & 7
                value = np.int64(source[here + at])
                a, b = abs(np.int64(blocks[west + at])), abs(np.int64(blocks[north + at]))
                near = (
                    3 * (a + b) + abs(np.int64(blocks[north - 64 + at]))
                    + abs(np.int64(blocks[north + 64 + at]))
                    + abs(np.int64(blocks[west - 64 + at]))
                    + abs(np.int64(blocks[beyond_north + at]))
                )  # fmt: skip
                inside, beyond = np.int64(0), np.int64(0)
                if u > 1:
                    inside += 2 * abs(np.int64(blocks[here + at - 8]))
                    if v > 1:
                        inside += abs(np.int64(blocks[here + at - 9]))
                    if v < 7:
                        beyond += abs(np.int64(blocks[here + at - 7]))
                if v > 1:
                    inside += 2 * abs(np.int64(blocks[here + at - 1]))
                    if u < 7:
                        beyond += abs(np.int64(blocks[here + at + 7]))
                partner = abs(np.int64(others[other + at])) if has_other else beyond
                share = min(8 * left // (49 - k), np.int64(7))
                level = _level(near)
                few = min(left, np.int64(8)) + min(left >> 3, np.int64(6))
                around = _level(near + 2 * inside)
                slots[0] = bases[0] + (k * 15 + few) * N_NODES
                slots[1] = bases[1] + (k * 16 + level) * N_NODES
                slots[2] = (
                    bases[2]
                    + (k * 36 + min(_grade(a), np.int64(5)) * 6 + min(_grade(b), np.int64(5)))
                    * N_NODES
                )
                slots[3] = bases[3] + (k * 16 + _level(inside)) * N_NODES
                slots[4] = bases[4] + ((k >> 2) * 128 + share * 16 + level) * N_NODES
                slots[5] = (
                    bases[5]
                    + (k * 32 + _grade(partner) * 4 + min(_grade(beyond + a + b), np.int64(3)))
                    * N_NODES
                )
                slots[6] = bases[6] + (around * 64 + k) * N_NODES
                slots[7] = bases[7] + (around * 64 + share * 8 + min(left, np.int64(7))) * N_NODES
                first = np.uint64((rows + _BY_COEFFICIENT + at * N_NODES) * LANES)
                second = np.uint64((rows + _BY_LEVEL + few * N_NODES) * LANES)
                size = _code_magnitude(
                    abs(value), at, plain_at, slots, states, weights, first, second, plain, mix,
                    tables, pace, interval, data, decoding,
                )  # fmt: skip
                if size == 0:
                    continue
                left -= 1
                sign = (_sign(blocks[west + at]) + 1) * 3 + _sign(blocks[north + at]) + 1
                if has_other:
                    sign = sign * 3 + _sign(others[other + at]) + 1
                negative = _plain(
                    np.int64(value < 0), plain, plain_at + at * N_SIGNS + sign, tables, interval,
                    data, decoding,
                )  # fmt: skip
                blocks[here + at] = -size if negative else size
            # ---- The first column and the first row
            for side in range(2):
                unit = np.int64(1 if side else 8)  # side 0: the first column, from the west
                run = np.int64(8 if side else 1)
                beside = north if side else west
                known = i > 0 if side else j > 0
                count = np.int64(0)
                for k in range(1, 8):
                    if not decoding:
                        count += np.int64(source[here + k * unit] != 0)
                m_west, m_north = n_side[side, line, j], n_side[side, before, j + 1]
                if i == 0:
                    m_north = m_west
                elif j == 0:
                    m_west = m_north
                inner = n_inner[line, j + 1]
                m_other = np.int64(0)
                if has_other:
                    for k in range(1, 8):
                        m_other += np.int64(others[other + k * unit] != 0)
                n_first = n_side[0, line, j + 1] if side else np.int64(0)
                base = _SIDES + side * (N_SIDE_CONTEXTS // 2) * SIDE_NODES
                slots[0] = bases[0] + base + (m_west * 8 + m_north) * SIDE_NODES
                slots[1] = bases[1] + base + inner * SIDE_NODES
                slots[2] = bases[2] + base + ((inner >> 2) * 16 + m_west + m_north) * SIDE_NODES
                slots[3] = bases[3] + base + (m_other * 8 + n_first) * SIDE_NODES
                slots[4] = bases[4] + base + ((inner >> 2) * 8 + n_first) * SIDE_NODES
                slots[5] = bases[5] + base + m_north * SIDE_NODES
                slots[6] = bases[6] + base + ((inner >> 2) * 8 + m_other) * SIDE_NODES
                slots[7] = bases[7] + base + m_west * SIDE_NODES
                first = np.uint64((rows + _BY_SIDE + side * SIDE_NODES) * LANES)
                node = np.int64(1)
                for shift in range(2, -1, -1):
                    bit = _mixed(
                        (count >> shift) & 1, node, slots, states, weights, first, first, mix,
                        tables, pace, interval, data, decoding,
                    )  # fmt: skip
                    node = node << 1 | bit
                count = node & 7
                n_side[side, line, j + 1] = count
                left = count
                for k in range(7, 0, -1):
                    if left == 0:
                        break
                    at = k * unit
                    value = np.int64(source[here + at])
                    expected = np.int64(0)
                    if known:
                        for m in range(8):
                            weight = -edges[m] if m & 1 else edges[m]
                            place = at + m * run
                            expected += weight * steps[place] * np.int64(blocks[beside + place])
                            if m > 0:
                                expected -= edges[m] * steps[place] * np.int64(blocks[here + place])
                        expected = (expected // steps[at]) >> 11  # in quarters of a step
                    distance = min(abs(expected), np.int64(1 << 14))
                    likely = _level(distance)
                    a, b = abs(np.int64(blocks[west + at])), abs(np.int64(blocks[north + at]))
                    near = (
                        3 * (a + b) + abs(np.int64(blocks[north - 64 + at]))
                        + abs(np.int64(blocks[north + 64 + at]))
                    )  # fmt: skip
                    level = _level(near)
                    last = abs(np.int64(blocks[here + at + unit])) if k < 7 else np.int64(0)
                    diagonal = abs(np.int64(blocks[here + at + run]))
                    partner = abs(np.int64(others[other + at])) if has_other else diagonal
                    place = np.int64(k - 1 + 7 * side)
                    slots[0] = bases[0] + (736 + place * 8 + left) * N_NODES
                    slots[1] = (
                        bases[1]
                        + (49 * 16 + place * 64 + (level >> 1) * 8 + (inner >> 3)) * N_NODES
                    )
                    slots[2] = bases[2] + (49 * 36 + place * 16 + likely) * N_NODES
                    slots[3] = (
                        bases[3]
                        + (49 * 16 + place * 64 + _grade(last) * 8 + _grade(diagonal)) * N_NODES
                    )
                    slots[4] = bases[4] + (1664 + (side * 16 + likely) * 8 + left) * N_NODES
                    slots[5] = (
                        bases[5]
                        + (
                            49 * 32
                            + place * 32
                            + _grade(partner) * 4
                            + min(likely >> 2, np.int64(3))
                        )
                        * N_NODES
                    )
                    slots[6] = (
                        bases[6] + (1024 + place * 64 + (likely >> 1) * 8 + (level >> 1)) * N_NODES
                    )
                    slots[7] = (
                        bases[7]
                        + (1024 + place * 64 + (likely >> 1) * 8 + min(left, np.int64(7))) * N_NODES
                    )
                    first = np.uint64((rows + _BY_COEFFICIENT + at * N_NODES) * LANES)
                    second = np.uint64((rows + _BY_LEVEL + (N_LEVELS + likely) * N_NODES) * LANES)
                    size = _code_magnitude(
                        abs(value), at, plain_at, slots, states, weights, first, second, plain,
                        mix, tables, pace, interval, data, decoding,
                    )  # fmt: skip
                    if size == 0:
                        continue
                    left -= 1
                    sign = (_sign(expected) + 1) * 8 + _grade(distance)
                    sign = sign * 3 + min(size, np.int64(3)) - 1
                    negative = _plain(
                        np.int64(value < 0), plain, plain_at + at * N_SIGNS + sign, tables,
                        interval, data, decoding,
                    )  # fmt: skip
                    blocks[here + at] = -size if negative else size
            # ---- The first of all
            from_west = from_north = np.int64(0)
            for m in range(8):
                weight = -edges[m] if m & 1 else edges[m]
                if j > 0:
                    from_west += weight * steps[m] * np.int64(blocks[west + m])
                    if m > 0:
                        from_west -= edges[m] * steps[m] * np.int64(blocks[here + m])
                if i > 0:
                    from_north += weight * steps[8 * m] * np.int64(blocks[north + 8 * m])
                    if m > 0:
                        from_north -= edges[m] * steps[8 * m] * np.int64(blocks[here + 8 * m])
            from_west = (from_west // steps[0]) >> 10
            from_north = (from_north // steps[0]) >> 10
            if i == 0:
                from_north = from_west
            elif j == 0:
                from_west = from_north
            predicted = (from_west + from_north + 8) >> 4
            spread = min(abs(from_west - from_north) >> 3, np.int64(1 << 14))
            value = np.int64(source[here]) - predicted
            value = ((value + 32768) & 65535) - 32768
            rest_west, rest_north = rests[line, j], rests[before, j + 1]
            apart = _level(spread)
            drift = _level(min(abs(rest_west) + abs(rest_north), np.int64(1 << 14)))
            inner = n_inner[line, j + 1]
            sides = n_side[0, line, j + 1] + n_side[1, line, j + 1]
            slots[0] = bases[0] + 2047 * N_NODES
            slots[1] = bases[1] + (1024 + apart) * N_NODES
            slots[2] = bases[2] + (2000 + drift) * N_NODES
            slots[3] = bases[3] + (1700 + apart * 16 + drift) * N_NODES
            slots[4] = bases[4] + (1930 + inner) * N_NODES
            slots[5] = bases[5] + (2030 + sides) * N_NODES
            slots[6] = bases[6] + (1930 + drift) * N_NODES
            slots[7] = bases[7] + (1930 + (apart >> 1) * 8 + min(sides >> 1, np.int64(7))) * N_NODES
            first = np.uint64((rows + _BY_COEFFICIENT) * LANES)
            second = np.uint64((rows + _BY_LEVEL + (2 * N_LEVELS + apart) * N_NODES) * LANES)
            size = _code_magnitude(
                abs(value), np.int64(0), plain_at, slots, states, weights, first, second, plain,
                mix, tables, pace, interval, data, decoding,
            )  # fmt: skip
            negative = np.int64(value < 0)
            if size:
                sign = (_sign(rest_west) + 1) * 9 + (_sign(rest_north) + 1) * 3
                sign += 1 + _sign(from_west - from_north)
                negative = _plain(
                    negative, plain, plain_at + sign, tables, interval, data, decoding
                )
            value = -size if negative else size
            rests[line, j + 1] = value
            blocks[here] = ((value + predicted + 32768) & 65535) - 32768
    return status.OK, n_down
