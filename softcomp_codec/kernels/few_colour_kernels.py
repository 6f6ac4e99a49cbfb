"""The few-colour coder, both directions (SPEC 5E).

Encoder and decoder are one kernel: whatever must agree is computed once. A pixel is one number, its
*key*; neighbours are compared as whole pixels.
"""

import numpy as np

from . import status
from .allocation import zero_array
from .entropy_kernels import VIRTUAL_BYTES
from .jit import inlined, kernel

MARGIN_ROWS, MARGIN = 3, 4
"""Rows above, and columns at either side, that the keys' buffer has beyond the pixels."""

MAX_PIXEL_CONTEXTS = 14
MAX_VALUE_CONTEXTS = 9
MAX_CANDIDATES = 8
N_MATCHES = 2
N_GUESSES = 2
MAX_INPUTS = 20
"""At least the contexts, the matches or guesses, and the constant."""

PIXEL_ROWS, N_VALUE_ROWS, N_RANK_ROWS = 2304, 2048, 512
"""Rows of weights for pixels, components and ranks."""

N_LENGTHS = 24
N_PLAIN_STATES = 2048
"""States of matches and guesses."""

N_CURVES = 1100
CURVE_POINTS = 33
MAX_WEIGHT = 1 << 19

WORST_BYTES = 160
"""More than the code of one pixel takes."""

_U0, _U1, _U8, _U32, _U64 = (np.uint64(n) for n in (0, 1, 8, 32, 64))
_TOP = 0xFFFFFFFF
_A = np.uint64(0x9E3779B97F4A7C15)
_B = np.uint64(0xD6E8FEB86659FD93)


@inlined
def _hash(first, second):
    """Return a number of 64 bits for two (SPEC 5E.3)."""
    x = (np.uint64(first) + np.uint64(second) * _A + _A) * _B
    return x ^ (x >> _U32)


@inlined
def _clip(value, limit):
    return min(max(value, -limit), limit)


@inlined
def _decide(
    n_inputs, slots, states, weights, first, second, inputs, curves, curve, other, tables, control,
    interval, data, decoding, wanted,
):  # fmt: skip
    """Code one decision with the states that `slots` name; return the answer (SPEC 5E.5)."""
    stretch, squash, rates = tables
    limit, pace = control[0], control[1]
    dot = np.int64(0)
    for k in range(n_inputs):
        state = states[slots[k]]
        x = np.int64(stretch[np.uint64(state >> np.uint32(20))])
        inputs[k] = x
        dot += x * (
            np.int64(weights[first + np.uint64(k)]) + np.int64(weights[second + np.uint64(k)])
        )
    inputs[n_inputs] = 256
    last = np.uint64(n_inputs)
    dot += np.int64(256) * (np.int64(weights[first + last]) + np.int64(weights[second + last]))
    index = _clip(dot >> 16, np.int64(2047)) + 2048
    mixed = np.int64(squash[np.uint64(index)])
    right = index & 127
    knot = curve * np.uint64(CURVE_POINTS) + np.uint64(index >> 7)
    refined = (np.int64(curves[knot]) * (128 - right) + np.int64(curves[knot + _U1]) * right) >> 7
    knot2 = other * np.uint64(CURVE_POINTS) + np.uint64(index >> 7)
    refined2 = (
        np.int64(curves[knot2]) * (128 - right) + np.int64(curves[knot2 + _U1]) * right
    ) >> 7
    chance = (2 * mixed + refined + refined2) >> 2
    chance = min(max(chance, np.int64(32)), np.int64(65504))
    low, high = interval[0], interval[1]
    span = high - low
    middle = low + (span >> 16) * chance + (((span & 0xFFFF) * chance) >> 16)
    bit = np.int64(interval[2] <= middle) if decoding else np.int64(wanted)
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
    error = (((bit << 16) - mixed) * pace) >> 6
    for k in range(n_inputs + 1):
        step = (error * inputs[k] + 8192) >> 14
        at = first + np.uint64(k)
        weights[at] = np.int32(_clip(np.int64(weights[at]) + step, np.int64(MAX_WEIGHT)))
        at = second + np.uint64(k)
        weights[at] = np.int32(_clip(np.int64(weights[at]) + step, np.int64(MAX_WEIGHT)))
    target = 65535 * bit
    nearest = knot + np.uint64(right >> 6)
    curves[nearest] += np.int32((target - np.int64(curves[nearest])) >> 6)
    nearest = knot2 + np.uint64(right >> 6)
    curves[nearest] += np.int32((target - np.int64(curves[nearest])) >> 6)
    goal = 4194303 * bit
    for k in range(n_inputs):
        state = np.int64(states[slots[k]])
        chance22, count = state >> 10, state & 1023
        chance22 += (((goal - chance22) >> 3) * np.int64(rates[np.uint64(count)])) >> 13
        count += np.int64(count < limit)
        states[slots[k]] = np.uint32(chance22 << 10 | count)
    return bit


@inlined
def _find(key, ascending):
    """Return the rank of a key, -1 of one that the palette lacks; `ascending`: keys, ranks."""
    low, high = np.int64(0), np.int64(len(ascending) // 2)
    n_keys = high
    while low < high:
        middle = (low + high) >> 1
        if ascending[np.uint64(middle)] < np.int64(key):
            low = middle + 1
        else:
            high = middle
    if low < n_keys and ascending[np.uint64(low)] == np.int64(key):
        return np.int64(ascending[np.uint64(n_keys + low)])
    return np.int64(-1)


@inlined
def _median(west, north, north_west):
    """Return MED's prediction (SPEC 5.4)."""
    if north_west >= max(west, north):
        return min(west, north)
    if north_west <= min(west, north):
        return max(west, north)
    return west + north - north_west


@kernel
def code_pixels(
    keys, ranks, geometry, palette, ascending, states, weights, curves, matches, guesses, stretch,
    squash, rates, interval, data, decoding, progress,
):  # fmt: skip
    """Code the pixels of one image; returns (status, row).

    `keys` (uint32, flat: alpha, green, red and blue) holds the pixels with their margins behind
    whatever was coded before; `palette` (uint32) are all keys that may occur, and `ranks` (int32,
    flat) the pixels' places there, or both are empty: then pixels of `n_values` components of 8
    bits are coded as such. `ascending` (int64) are the palette's keys in order, then their ranks.
    """
    start, n_rows, n_columns, n_values, n_contexts, n_value_contexts, table_bits, limit = geometry
    stride = np.uint64(n_columns + 2 * MARGIN)
    tables = (stretch, squash, rates)
    slots = zero_array(MAX_INPUTS, np.uint64)
    candidate_ranks = zero_array(MAX_CANDIDATES + 1, np.int64)
    inputs = zero_array(MAX_INPUTS, np.int64)
    control = zero_array(2, np.int64)
    control[0] = limit
    contexts = zero_array(MAX_PIXEL_CONTEXTS, np.uint64)
    candidates = zero_array(MAX_CANDIDATES + 1, np.uint64)
    rank_contexts = zero_array(MAX_PIXEL_CONTEXTS, np.uint64)
    value_contexts = zero_array(MAX_VALUE_CONTEXTS, np.uint64)
    near = zero_array(4, np.int64)
    residuals = zero_array(4, np.int64)
    mask = np.uint64((1 << table_bits) - 1)
    match_mask = np.uint64(len(matches) // 2 - 1)
    guess_mask = np.uint64(len(guesses) - 1)
    n_ranked = len(palette)
    rank_bits = np.int64(0)
    while (1 << rank_bits) < n_ranked:
        rank_bits += 1
    width = np.uint64(MAX_INPUTS)
    value_weights = np.uint64(PIXEL_ROWS)
    rank_weights = np.uint64(PIXEL_ROWS + N_VALUE_ROWS)
    plain = np.uint64(max(n_contexts, n_value_contexts) << table_bits)
    n_seen = progress[0]
    slack = -VIRTUAL_BYTES if decoding else WORST_BYTES
    matched = np.int64(0)  # pixels that the long match has been right for
    match_at = np.int64(0)
    for row in range(n_rows):
        at = np.uint64(start) + np.uint64(row + MARGIN_ROWS) * stride + np.uint64(MARGIN)
        for k in range(1, MARGIN + 1):
            keys[at - np.uint64(k)] = keys[at - stride]
            if n_ranked > 0:
                here = at - np.uint64(start)
                ranks[here - np.uint64(k)] = ranks[here - stride]
        if row > 0:
            match_at += 2 * MARGIN
        for _column in range(n_columns):
            if interval[3] + slack > len(data):
                return status.TRUNCATED if decoding else status.FULL, row
            w = np.uint64(keys[at - _U1])
            ww, www = np.uint64(keys[at - np.uint64(2)]), np.uint64(keys[at - np.uint64(3)])
            up = at - stride
            n, nw, ne = np.uint64(keys[up]), np.uint64(keys[up - _U1]), np.uint64(keys[up + _U1])
            nww, nee = np.uint64(keys[up - np.uint64(2)]), np.uint64(keys[up + np.uint64(2)])
            up2 = up - stride
            nn, nnw = np.uint64(keys[up2]), np.uint64(keys[up2 - _U1])
            nne, nnn = np.uint64(keys[up2 + _U1]), np.uint64(keys[up2 - stride])
            h_w = _hash(w, 1)
            h_wn = _hash(h_w, n)
            h_3 = _hash(h_wn, nw)
            h_4 = _hash(h_3, ne)
            h_6 = _hash(_hash(h_4, ww), nn)
            h_9 = _hash(_hash(_hash(h_6, nne), nww), nee)
            h_12 = _hash(_hash(_hash(h_9, www), nnn), nnw)
            pattern = (
                np.int64(w == n) + 2 * np.int64(n == nw) + 4 * np.int64(n == ne)
                + 8 * np.int64(w == ww) + 16 * np.int64(nn == n) + 32 * np.int64(nw == w)
            )  # fmt: skip
            wider = (
                np.int64(ne == nee) + 2 * np.int64(nw == nww) + 4 * np.int64(ww == www)
                + 8 * np.int64(nn == nne) + 16 * np.int64(nnw == nn) + 32 * np.int64(nnn == nn)
                + 64 * np.int64(ne == nne) + 128 * np.int64(w == ne)
            )  # fmt: skip
            contexts[0] = h_4
            contexts[1] = h_wn
            contexts[2] = h_9
            contexts[3] = _hash(pattern + 64 * wider, 3)
            contexts[4] = h_6
            contexts[5] = h_w
            contexts[6] = h_12
            contexts[7] = h_3
            contexts[8] = _hash(n, 8)
            contexts[9] = _hash(0, 9)
            contexts[10] = _hash(_hash(ne, nw), 10)
            contexts[11] = _hash(_hash(w, ww), 11)
            contexts[12] = _hash(_hash(n, ne), 12)
            contexts[13] = _hash(_hash(n, nn), 13)
            # ---- Matches
            long_slot = h_12 >> np.uint64(20) & match_mask
            if matched == 0:
                match_at = np.int64(matches[long_slot])
                if match_at > 0:
                    while (
                        matched < 16
                        and keys[np.uint64(match_at - 1 - matched)]
                        == keys[at - _U1 - np.uint64(matched)]
                    ):
                        matched += 1
            matches[long_slot] = np.int32(at)
            short_slot = match_mask + _U1 + (h_4 >> np.uint64(20) & match_mask)
            short_at = np.int64(matches[short_slot])
            matches[short_slot] = np.int32(at)
            long_class = np.int64(0)
            if matched > 0:
                long_class = matched if matched < 16 else min(16 + (matched >> 5), np.int64(22))
            # ---- Candidates
            n_candidates = 0
            for k in range(8):
                where = at - _U1
                if k == 1:
                    where = up
                elif k == 2:
                    where = np.uint64(match_at) if matched > 0 else where
                elif k == 3:
                    where = np.uint64(short_at) if short_at > 0 else where
                elif k == 4:
                    where = up + _U1
                elif k == 5:
                    where = up - _U1
                elif k == 6:
                    where = at - np.uint64(2)
                elif k == 7:
                    where = up2
                key = np.uint64(keys[where])
                fresh = True
                for m in range(n_candidates):
                    fresh = fresh and candidates[m] != key
                if fresh and n_ranked > 0:
                    rank = np.int64(-1)
                    if where >= np.uint64(start):
                        rank = np.int64(ranks[where - np.uint64(start)])
                    else:
                        rank = _find(key, ascending)
                    candidate_ranks[n_candidates] = rank
                    fresh = rank >= 0
                if fresh:
                    candidates[n_candidates] = key
                    n_candidates += 1
            actual = np.uint64(keys[at])
            control[1] = 6 + 200000 // (n_seen + 16384)
            n_seen += 1
            found = False
            for stage in range(n_candidates):
                key = candidates[stage]
                node = _hash(key, 21)
                for k in range(n_contexts):
                    mixed_in = contexts[k]
                    if k == 3:
                        mixed_in += np.uint64(stage) * _A
                    else:
                        mixed_in ^= node
                    mixed_in *= _B
                    slots[k] = (np.uint64(k) << np.uint64(table_bits)) | (
                        mixed_in >> np.uint64(34) & mask
                    )
                expected = np.int64(0)
                if matched > 0:
                    expected = 1 + np.int64(np.uint64(keys[np.uint64(match_at)]) == key)
                expected2 = np.int64(0)
                if short_at > 0:
                    expected2 = 1 + np.int64(np.uint64(keys[np.uint64(short_at)]) == key)
                extra = plain
                slots[n_contexts] = extra + np.uint64(
                    (min(stage, 3) * 3 + expected) * N_LENGTHS + long_class
                )
                slots[n_contexts + 1] = extra + np.uint64(
                    512 + ((min(stage, 3) * 3 + expected2) * 3 + expected)
                )
                first = np.uint64(pattern * (MAX_CANDIDATES + 1) + stage) * width
                level = np.int64(0)
                for k in range(n_contexts):
                    level += np.int64(states[slots[k]] & np.uint32(1023) > 0)
                second = (
                    np.uint64(
                        (64 + ((level * 3 + expected) * 3 + min(long_class >> 3, np.int64(2))))
                        * (MAX_CANDIDATES + 1)
                        + stage
                    )
                    * width
                )
                bit = _decide(
                    n_contexts + N_MATCHES, slots, states, weights, first, second, inputs, curves,
                    np.uint64(min(stage, 3) * 64 + pattern),
                    np.uint64(256 + (min(stage, 3) * 3 + expected) * N_LENGTHS + long_class),
                    tables, control, interval, data, decoding, actual == key,
                )  # fmt: skip
                if bit:
                    found = True
                    actual = key
                    if n_ranked > 0:
                        ranks[at - np.uint64(start)] = np.int32(candidate_ranks[stage])
                    break
            if not found and n_ranked > 0:
                there = at - np.uint64(start)
                rw, rn = np.int64(ranks[there - _U1]), np.int64(ranks[there - stride])
                rnw = np.int64(ranks[there - stride - _U1])
                rne = np.int64(ranks[there - stride + _U1])
                rww = np.int64(ranks[there - np.uint64(2)])
                rnn = np.int64(ranks[there - stride - stride])
                coarse = max(rank_bits - 3, np.int64(0))
                coarser = max(rank_bits - 5, np.int64(0))
                fine = max(rank_bits - 2, np.int64(0))
                for k in range(n_contexts):
                    rank_contexts[k] = contexts[k]
                rank_contexts[3] = _hash(
                    _hash((rw >> coarse) * 8 + (rn >> coarse), rnw >> coarse), rne >> coarse
                )
                rank_contexts[6] = _hash(_hash(rw >> coarser, rn >> coarser), 5)
                rank_contexts[7] = _hash(
                    _hash((rw >> fine) * 4096 + (rn >> fine) * 64 + (rne >> fine), rnw >> fine),
                    (rww >> fine) * 64 + (rnn >> fine),
                )
                rank = np.int64(1)
                true_rank = np.int64(ranks[there])
                for depth in range(rank_bits):
                    for k in range(n_contexts):
                        mixed_in = (rank_contexts[k] ^ (np.uint64(rank) * _A)) * _B
                        slots[k] = (np.uint64(k) << np.uint64(table_bits)) | (
                            mixed_in >> np.uint64(34) & mask
                        )
                    base = rank_weights + np.uint64(depth * 32)
                    level = np.int64(0)
                    for k in range(n_contexts):
                        level += np.int64(states[slots[k]] & np.uint32(1023) > 0)
                    bit = _decide(
                        n_contexts, slots, states, weights, base * width,
                        (base + np.uint64(1 + level)) * width, inputs, curves,
                        np.uint64(600 + depth), np.uint64(620 + level), tables, control, interval,
                        data, decoding, (true_rank >> (rank_bits - 1 - depth)) & 1,
                    )  # fmt: skip
                    rank = rank << 1 | bit
                rank -= 1 << rank_bits
                if rank >= n_ranked:
                    if interval[3] > len(data):
                        return status.TRUNCATED, row
                    return status.SAMPLE_OUT_OF_RANGE, row
                actual = np.uint64(palette[np.uint64(rank)])
                ranks[there] = np.int32(rank)
            elif not found:
                made = _U0 if n_values & 1 == 0 else np.uint64(0xFF000000)
                before = _U1
                energy = np.int64(0)
                for index in range(n_values):
                    c = index + np.int64(n_values & 1)
                    shift = np.uint64(8 * (3 - c))
                    wv = np.int64(w >> shift & np.uint64(255))
                    nv = np.int64(n >> shift & np.uint64(255))
                    nwv = np.int64(nw >> shift & np.uint64(255))
                    nev = np.int64(ne >> shift & np.uint64(255))
                    predicted = _median(wv, nv, nwv)
                    near[c] = predicted
                    if c > 1:
                        predicted = min(max(predicted + residuals[c - 1], 0), 255)
                    value = np.int64(actual >> shift & np.uint64(255))
                    spread = abs(wv - nwv) + abs(nv - nwv) + abs(nv - nev)
                    spread_class = np.int64(0)
                    while spread_class < 9 and (spread >> spread_class) > 0:
                        spread_class += 1
                    residual = value - predicted
                    seed = np.uint64(c + 32)
                    value_contexts[0] = _hash(spread_class * 16 + min(energy, np.int64(15)), seed)
                    value_contexts[1] = _hash(
                        (_clip(wv - predicted, np.int64(20)) + 20) * 64
                        + _clip(nv - predicted, np.int64(20)) + 20, seed + _U8,
                    )  # fmt: skip
                    value_contexts[2] = _hash(_hash(before, seed), predicted)
                    value_contexts[3] = _hash(_hash(wv * 256 + nv, before), seed)
                    value_contexts[4] = _hash(_hash(h_wn, before), seed)
                    last_two = np.int64(0)
                    if index > 0:
                        last_two = _clip(residuals[c - 1], np.int64(15)) + 16
                    if index > 1:
                        last_two += 32 * (_clip(residuals[c - 2], np.int64(15)) + 16)
                    value_contexts[5] = _hash(last_two, seed + _U64)
                    value_contexts[6] = _hash(predicted, seed + np.uint64(128))
                    value_contexts[7] = _hash(_hash(h_w, before), seed + np.uint64(192))
                    value_contexts[8] = _hash(
                        _hash(wv - nwv + 256, nv - nwv + 256), seed + np.uint64(256)
                    )
                    guess_at = _hash(before, seed) >> np.uint64(24) & guess_mask
                    guess_at2 = _hash(h_wn, before) >> np.uint64(24) & guess_mask
                    guess = np.int64(guesses[guess_at])
                    guess2 = np.int64(guesses[guess_at2])
                    # binarise: 0 zero, 1 sign, then unary exp-Golomb classes, then mantissa
                    node = np.int64(0)
                    phase = np.int64(0)
                    negative = np.int64(0)
                    size = abs(residual)
                    floor, span = np.int64(1), np.int64(1)
                    ones = np.int64(0)
                    rest, part = np.int64(0), np.int64(0)
                    path = np.int64(1)
                    reach = np.int64(0)
                    zero = False
                    while True:
                        if phase == 0:
                            wanted = residual != 0
                        elif phase == 1:
                            wanted = residual < 0
                        elif phase == 2:
                            wanted = size >= floor + span
                        else:
                            wanted = ((size - floor) & part) != 0
                        for k in range(n_value_contexts):
                            mixed_in = (value_contexts[k] ^ (np.uint64(path) * _A)) * _B
                            slots[k] = (np.uint64(k) << np.uint64(table_bits)) | (
                                mixed_in >> np.uint64(34) & mask
                            )
                        extra = plain
                        for g in range(N_GUESSES):
                            held = guess if g == 0 else guess2
                            expected = np.int64(2)
                            if held > 0:
                                other = (held & 255) - predicted
                                width2 = abs(other)
                                if phase == 0:
                                    expected = np.int64(other != 0)
                                elif other == 0:
                                    expected = np.int64(2)
                                elif phase == 1:
                                    expected = np.int64(other < 0)
                                elif (other < 0) != (negative != 0) or width2 < floor:
                                    expected = np.int64(2)
                                elif phase == 2:
                                    expected = np.int64(width2 >= floor + span)
                                elif width2 >= floor + rest and width2 < floor + rest + 2 * part:
                                    expected = np.int64(((width2 - floor) & part) != 0)
                            slots[n_value_contexts + g] = extra + np.uint64(
                                1024 + (((c * 4 + phase) * 2 + g) * 3 + expected) * 4
                                + min(held >> 8, np.int64(4)) - np.int64(held > 0)
                            )  # fmt: skip
                        kind = phase
                        if phase == 2:
                            kind = 2 + min(ones, np.int64(8))
                        elif phase == 3:
                            kind = 11 + min(ones, np.int64(8))
                        first = value_weights + np.uint64((c * 32 + kind) * 16)
                        second = first + np.uint64(1 + spread_class)
                        bit = _decide(
                            n_value_contexts + N_GUESSES, slots, states, weights, first * width,
                            second * width, inputs, curves, np.uint64(700 + c * 32 + kind),
                            np.uint64(900 + (c * 10 + spread_class) * 4 + phase), tables, control,
                            interval, data, decoding, wanted,
                        )  # fmt: skip
                        path = path << 1 | bit
                        if phase == 2:
                            if bit:
                                floor += span
                                if ones > 0:
                                    span *= 2
                                ones += 1
                                if floor + span <= reach:
                                    continue
                            if span == 1:
                                break
                            phase = 3
                            part = span >> 1
                        elif phase == 3:
                            if bit:
                                rest |= part
                            part >>= 1
                            if part == 0:
                                break
                        else:
                            if phase == 0:
                                if bit == 0:
                                    zero = True
                                    break
                                if 0 < predicted < 255:
                                    phase = 1
                                    continue
                                negative = np.int64(predicted == 255)
                            else:
                                negative = bit
                            phase = 2
                            reach = predicted if negative else 255 - predicted
                            if reach < 2:
                                break
                    if decoding:
                        residual = np.int64(0)
                        if not zero:
                            residual = -(floor + rest) if negative else floor + rest
                        value = predicted + residual
                        if not 0 <= value <= 255:
                            if interval[3] > len(data):
                                return status.TRUNCATED, row
                            return status.SAMPLE_OUT_OF_RANGE, row
                    residuals[c] = value - near[c]
                    energy += min(abs(residual), np.int64(7))
                    for g in range(N_GUESSES):
                        place = guess_at if g == 0 else guess_at2
                        held = np.int64(guesses[place])
                        if held > 0 and held & 255 == value:
                            if held < 4 * 256:
                                held += 256
                        else:
                            held = 256 + value
                        guesses[place] = np.int32(held)
                    made |= np.uint64(value) << shift
                    if n_values < 3 and c == 1:
                        made |= np.uint64(value * 0x101)
                    before = _hash(before, value)
                actual = made
            keys[at] = np.uint32(actual)
            at += _U1
            if matched > 0:
                matched = (
                    matched + 1 if np.uint64(keys[np.uint64(match_at)]) == actual else np.int64(0)
                )
                matched = min(matched, np.int64(400))
                match_at += 1
        last = keys[at - _U1]
        for k in range(MARGIN):
            keys[at + np.uint64(k)] = last
            if n_ranked > 0:
                ranks[at - np.uint64(start) + np.uint64(k)] = ranks[at - np.uint64(start) - _U1]
    progress[0] = n_seen
    return status.OK, n_rows
