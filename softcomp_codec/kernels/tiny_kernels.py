"""The coder of tiny images, both directions, and what its training counts and learns (SPEC 5F).

Everything that an image is coded with was learned before and does not adapt: nothing is copied
for an image. One source makes two kernels, that of the coder and that of training, so that what
training sees is what the coder meets.
"""

from typing import Any

import numpy as np

from . import status
from .allocation import zero_array
from .entropy_kernels import VIRTUAL_BYTES, _n_final_bytes
from .jit import inlined, kernel

MAX_SIDE = 64

MARGIN_ROWS, MARGIN = 3, 4
"""Rows above, and columns at either side, that the kernel's buffers have beyond the samples."""

N_TAPS = 19
"""Neighbours, mirrored samples of the same row, and a constant (SPEC 5F.2)."""

N_CONTEXTS = 9
N_NODES = 32
LANES = 12
"""Inputs of a decision: the contexts, a constant, and room."""

N_ENERGY_ROWS, N_PATTERN_ROWS = 72, 128
"""Rows of the two sets of weights."""

CONSTANT_INPUT = 16
LARGEST_INPUT = 127
LEARNED_SHIFT = 10
"""Training has the weights in 1/65536, the coder in 1/64."""

WEIGHT_LIMIT = 127 << LEARNED_SHIFT

WORST_BYTES = 80
"""More than the code of one sample takes."""

COUNTING, LEARNING = 0, 1

_U1, _U2, _U3 = np.uint64(1), np.uint64(2), np.uint64(3)
_U32, _ULANES = np.uint64(N_NODES), np.uint64(LANES)
_TOP = 0xFFFFFFFF
_HASH = np.uint64(0x9E3779B97F4A7C15)


@inlined
def _clip(value, limit):
    return min(max(value, -limit), limit)


@inlined
def _grade(value):
    """Return 0 for the background, 1..10 for others, brighter ones higher."""
    return np.int64(0) if value == 0 else 1 + (value * 10 >> 8)


@inlined
def _slot(number, context, slot_bits):
    """Return the index of a context's slot (SPEC 5F.3)."""
    word = np.uint64(number + (np.int64(context) << 40)) * _HASH
    slot = word >> np.uint64(64 - slot_bits)
    return ((np.uint64(context) << np.uint64(slot_bits)) + slot) * _U32


@inlined
def _logarithm(logarithms, count):
    """Return 256 ln(count + 2/5), of large counts about."""
    more = np.int64(0)
    while count >= len(logarithms):
        count >>= 1
        more += 177
    return np.int64(logarithms[np.uint64(count)]) + more


@inlined
def log_odds(zeros, ones, fewest, logarithms):
    """Return the log-odds of a 1 in sixteenths, 0 for what was met less than `fewest` times."""
    if zeros + ones < fewest:
        return np.int64(0)
    odds = _logarithm(logarithms, ones) - _logarithm(logarithms, zeros)
    return _clip((odds + 8) >> 4, np.int64(LARGEST_INPUT))


def _make_code_image(training: bool) -> Any:
    """Return the kernel of the coder, or that of training."""

    @kernel
    def code_image(
        image, geometry, coefficients, states, weights, lengths, squash, logarithms, data, purpose,
    ):  # fmt: skip
        """Code an image (uint8, flat); returns (status, row, end of its code in `data`).

        `purpose` is whether it is decoded, in training COUNTING or LEARNING. `states` are
        log-odds (int8), in training how often each node met a 0 and a 1 (uint32).
        """
        n_rows, n_columns, slot_bits, inverted, fewest, rate = geometry
        decoding = not training and purpose == 1
        learning = training and purpose == LEARNING
        stride = np.uint64(n_columns + 2 * MARGIN)
        area = (n_rows + MARGIN_ROWS) * (n_columns + 2 * MARGIN)
        x = zero_array(area, np.int64)
        r = zero_array(area, np.int64)
        slots = zero_array(LANES, np.uint64)
        inputs = zero_array(LANES, np.int32)
        inputs[N_CONTEXTS] = CONSTANT_INPUT
        second_set = np.uint64(N_ENERGY_ROWS * N_NODES * LANES)
        low, high, code, position = np.int64(0), np.int64(_TOP), np.int64(0), np.int64(0)
        if decoding:
            for index in range(4):
                byte = np.int64(data[np.uint64(index)]) if index < len(data) else np.int64(0)
                code = code << 8 | byte
            position = np.int64(4)
        north_west, north_east, north_north = stride + _U1, stride - _U1, stride + stride
        highest = np.int64(0)
        left, right, left_before = np.int64(n_columns), np.int64(-1), np.int64(n_columns)
        done = np.uint64(0)
        for row in range(n_rows):
            if decoding:
                if position > len(data) + VIRTUAL_BYTES:
                    return status.TRUNCATED, row, position
            elif not training and position + WORST_BYTES * n_columns > len(data):
                return status.FULL, row, position
            at = np.uint64(row + MARGIN_ROWS) * stride + np.uint64(MARGIN)
            start = at
            first, last = np.int64(n_columns), np.int64(-1)
            for column in range(n_columns):
                # ---- Prediction (SPEC 5F.2)
                w, n = x[at - _U1], x[at - stride]
                nw, ne = x[at - north_west], x[at - north_east]
                ww, nn = x[at - _U2], x[at - north_north]
                nee = x[at - north_east + _U1]
                mirror = n_columns - 1 - column
                mirrored = mirrored_before = mirrored_after = np.int64(0)
                if mirror < column:
                    mirrored = x[start + np.uint64(mirror)]
                if 0 < mirror <= column:
                    mirrored_after = x[start + np.uint64(mirror - 1)]
                if mirror + 1 < column:
                    mirrored_before = x[start + np.uint64(mirror + 1)]
                tap = done * np.uint64(N_TAPS)
                total = np.int64(coefficients[tap]) * w
                total += np.int64(coefficients[tap + _U1]) * n
                total += np.int64(coefficients[tap + _U2]) * nw
                total += np.int64(coefficients[tap + _U3]) * ne
                total += np.int64(coefficients[tap + np.uint64(4)]) * ww
                total += np.int64(coefficients[tap + np.uint64(5)]) * nn
                total += np.int64(coefficients[tap + np.uint64(6)]) * nee
                total += np.int64(coefficients[tap + np.uint64(7)]) * x[at - north_west - _U1]
                total += np.int64(coefficients[tap + np.uint64(8)]) * x[at - north_north - _U1]
                total += np.int64(coefficients[tap + np.uint64(9)]) * x[at - north_north + _U1]
                total += np.int64(coefficients[tap + np.uint64(10)]) * x[at - _U3]
                total += np.int64(coefficients[tap + np.uint64(11)]) * x[at - north_north - stride]
                total += np.int64(coefficients[tap + np.uint64(12)]) * x[at - north_north + _U2]
                total += np.int64(coefficients[tap + np.uint64(13)]) * x[at - north_north - _U2]
                total += np.int64(coefficients[tap + np.uint64(14)]) * x[at - north_east + _U2]
                total += np.int64(coefficients[tap + np.uint64(15)]) * mirrored
                total += np.int64(coefficients[tap + np.uint64(16)]) * mirrored_before
                total += np.int64(coefficients[tap + np.uint64(17)]) * mirrored_after
                total += np.int64(coefficients[tap + np.uint64(18)]) * 16
                eighths = min(max((total + 256) >> 9, np.int64(0)), np.int64(2040))
                p = (eighths + 4) >> 3
                # ---- Contexts (SPEC 5F.3)
                rw, rn = r[at - _U1], r[at - stride]
                rne, rnw = r[at - north_east], r[at - north_west]
                energy = 2 * abs(rw) + 2 * abs(rn) + abs(rne) + abs(rnw)
                activity = np.int64(lengths[np.uint64(energy)])
                pattern = np.int64(w == 0) + 2 * np.int64(n == 0) + 4 * np.int64(nw == 0)
                pattern += 8 * np.int64(ne == 0) + 16 * np.int64(nn == 0)
                pattern += 32 * np.int64(ww == 0) + 64 * np.int64(nee == 0)
                place = np.int64(done)
                slots[0] = _slot((_clip(w - p, 15) + 15) * 32 + _clip(n - p, 15) + 15, 0, slot_bits)
                slots[1] = _slot(((highest >> 4) * 32 + (p >> 3)) * 16 + activity, 1, slot_bits)
                slots[2] = _slot(
                    ((_grade(w) * 12 + _grade(n)) * 12 + _grade(nw)) * 12 + _grade(ne), 2, slot_bits
                )
                slots[3] = _slot(
                    (_clip(n + w - nw - p, 15) + 15) * 32 + _clip(ne - p, 15) + 15, 3, slot_bits
                )
                slots[4] = _slot((p * 16 + activity) * 2 + np.int64(w == 0), 4, slot_bits)
                symmetry = (np.int64(1) << 22) + pattern
                if mirror + 1 < column:
                    symmetry = (_clip((w + mirrored - mirrored_before - p) >> 1, 63) + 64) * 16
                    symmetry += activity
                slots[5] = _slot(symmetry, 5, slot_bits)
                ahead_west = _clip((2 * w - ww - p) >> 1, 15) + 15
                ahead_north = _clip((2 * n - nn - p) >> 1, 15) + 15
                slots[6] = _slot(ahead_west * 32 + ahead_north, 6, slot_bits)
                begun = column - first if first < n_columns else np.int64(64)
                drift = left - left_before + 3
                if drift < 0 or drift > 6:
                    drift = np.int64(7)
                extent = ((column - left + 64) * 128 + begun) * 8 + drift
                slots[7] = _slot(extent * 64 + ((right - column) >> 1) + 32, 7, slot_bits)
                slots[8] = _slot(pattern * 4096 + place, 8, slot_bits)
                energy_row = min(activity, np.int64(8)) * 8 + (pattern & 3) * 2
                energy_row += np.int64(mirrored > 0)
                first_row = np.uint64(energy_row * N_NODES)
                second_row = np.uint64(pattern * N_NODES)
                # ---- Decisions (SPEC 5F.4)
                # Steps: 0 background, 1 exact, 2 sign, 3 size, 4 and 5 its first bits, 6 others.
                q = min(max(p, np.int64(1)), np.int64(255))
                value = np.int64(0)
                if not decoding:
                    value = np.int64(image[done])
                    if inverted:
                        value = 255 - value
                step, node = np.int64(0), np.int64(0)
                size = abs(value - q)
                negative = np.int64(value < q)
                floor, width, ones, reach = np.int64(1), np.int64(1), np.int64(0), np.int64(0)
                bits_left = np.int64(0)
                while True:
                    bit = np.int64(0)
                    if not decoding:
                        if step == 0:
                            bit = np.int64(value == 0)
                        elif step == 1:
                            bit = np.int64(size != 0)
                        elif step == 2:
                            bit = negative
                        elif step == 3:
                            bit = np.int64(size >= floor + width)
                        else:
                            bit = ((size - floor) >> (bits_left - 1)) & 1
                    # ---- One decision (SPEC 5F.5)
                    unode = np.uint64(node)
                    middle = low + ((high - low) >> 1)
                    if step < 6:
                        if training:
                            for k in range(N_CONTEXTS):
                                entry = (slots[np.uint64(k)] + unode) << _U1
                                if learning:
                                    zeros = np.int64(states[entry]) - (1 - bit)
                                    seen = np.int64(states[entry + _U1]) - bit
                                    inputs[k] = log_odds(zeros, seen, fewest, logarithms)
                                else:
                                    states[entry + np.uint64(bit)] += np.uint32(1)
                        else:
                            for k in range(N_CONTEXTS):
                                inputs[k] = np.int32(states[slots[np.uint64(k)] + unode])
                        if learning or not training:
                            in_first = (first_row + unode) * _ULANES
                            in_second = second_set + (second_row + unode) * _ULANES
                            dot = np.int32(0)
                            for k in range(LANES):
                                lane = np.uint64(k)
                                weight = np.int32(weights[in_first + lane])
                                weight = np.int32(weight + weights[in_second + lane])
                                dot = np.int32(dot + np.int32(weight * inputs[lane]))
                            odds = np.int64(dot) >> (2 + LEARNED_SHIFT if training else 2)
                            odds = _clip(odds, np.int64(2047)) + 2048
                            mixed = np.int64(squash[np.uint64(odds)])
                            if learning:
                                error = np.int64((bit << 16) - mixed) * rate
                                for k in range(N_CONTEXTS + 1):
                                    lane = np.uint64(k)
                                    change = (error * np.int64(inputs[lane]) + 8192) >> 14
                                    weights[in_first + lane] = np.int32(
                                        _clip(weights[in_first + lane] + change, WEIGHT_LIMIT)
                                    )
                                    weights[in_second + lane] = np.int32(
                                        _clip(weights[in_second + lane] + change, WEIGHT_LIMIT)
                                    )
                            chance = min(max(mixed, np.int64(24)), np.int64(65512))
                            span = high - low
                            middle = low + (span >> 16) * chance
                            middle += ((span & 0xFFFF) * chance) >> 16
                    if not training:
                        if decoding:
                            bit = np.int64(code <= middle)
                        if bit:
                            high = middle
                        else:
                            low = middle + 1
                        while (low ^ high) >> 24 == 0:
                            if decoding:
                                byte = np.int64(0)
                                if position < len(data):
                                    byte = np.int64(data[np.uint64(position)])
                                code = (code << 8) & _TOP | byte
                            else:
                                data[np.uint64(position)] = high >> 24
                            position += 1
                            low = (low << 8) & _TOP
                            high = (high << 8) & _TOP | 255
                    # ---- What it says, and what is asked next
                    if step == 0:
                        if bit:
                            break
                        step, node = np.int64(1), np.int64(1)
                        continue
                    if step == 1:
                        if not bit:
                            value = q
                            break
                        step, node = np.int64(2), np.int64(2)
                        if 1 < q < 255:
                            continue
                        bit = np.int64(q == 255)
                    if step == 2:
                        negative = bit
                        reach = q - 1 if negative else 255 - q
                        step, node = np.int64(3), np.int64(11) if negative else np.int64(3)
                        if floor + width <= reach:
                            continue
                        bit = np.int64(0)
                    if step == 3:
                        if bit:
                            floor += width
                            if ones > 0:
                                width *= 2
                            ones += 1
                            node += 1
                            if floor + width <= reach:
                                continue
                        if decoding:
                            size = floor
                        if ones < 2:
                            value = q - size if negative else q + size
                            break
                        bits_left = ones - 1
                        step = np.int64(4)
                        node = np.int64(19) if ones == 2 else 20 + 3 * min(ones - 3, np.int64(3))
                        continue
                    bits_left -= 1
                    if decoding:
                        size += bit << bits_left
                    if bits_left == 0:
                        value = q - size if negative else q + size
                        break
                    if step < 6:
                        step += 1
                    if step == 5:
                        node += 1 + bit
                if value < 0 or value > 255 or (decoding and value == 0 and step > 0):
                    return status.SAMPLE_OUT_OF_RANGE, row, position
                if decoding:
                    image[done] = 255 - value if inverted else value
                x[at] = value
                r[at] = value - p
                if value > 0:
                    if first == n_columns:
                        first = np.int64(column)
                    last = np.int64(column)
                    highest = max(highest, value)
                at += _U1
                done += _U1
            left_before, left, right = left, first, last
        if training:
            return status.OK, n_rows, position
        n_final = _n_final_bytes(low, high)
        if decoding:
            return status.OK, n_rows, position - 4 + n_final
        mask = (np.int64(1) << (32 - 8 * n_final)) - 1
        final = (low + mask) & ~mask
        for index in range(n_final):
            data[np.uint64(position)] = (final >> (24 - 8 * index)) & 255
            position += 1
        return status.OK, n_rows, position

    return code_image


code_image = _make_code_image(training=False)
learn_image = _make_code_image(training=True)


@kernel
def rough_cost(image, n_columns, lengths):
    """Return about how many bits an image (uint8, flat) takes without knowing its kind."""
    n_bits = np.int64(0)
    for index in range(len(image)):
        value = np.int64(image[np.uint64(index)])
        west = np.int64(image[np.uint64(index - 1)]) if index % n_columns else np.int64(0)
        north = north_west = np.int64(0)
        if index >= n_columns:
            north = np.int64(image[np.uint64(index - n_columns)])
            if index % n_columns:
                north_west = np.int64(image[np.uint64(index - n_columns - 1)])
            else:
                west = north_west = north
        else:
            north = north_west = west
        low, high = min(west, north), max(west, north)
        prediction = min(max(west + north - north_west, low), high)
        n_bits += lengths[np.uint64(2 * abs(value - prediction))]
    return n_bits
