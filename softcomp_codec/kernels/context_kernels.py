"""The context coder of one plane, both directions (SPEC 5C).

Encoder and decoder are one kernel: whatever must agree is computed once. Indices are unsigned,
since Numba then leaves out the test for negative ones, which costs a third of the time.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import status
from .allocation import zero_array
from .entropy_kernels import VIRTUAL_BYTES
from .jit import inlined, kernel
from .lanes import (
    FEW_LANES,
    learn,
    learn_of_three,
    mix_eight_states,
    mix_eight_states_of_three,
    mix_seven_states,
    mix_seven_states_of_three,
    mix_three_states,
    prefetch,
    shift_right,
    update_eight_states,
    update_seven_states,
    update_three_states,
)
from .sample_vectors import (
    N_RULES,
    RULE_LANES,
    adapt_filter,
    far_taps,
    filter_taps,
    move_near_taps,
    near_taps,
    note_errors,
    power_of_taps,
    put_slots,
    put_taps,
    south_of_plane_before,
    subtract,
    sum_seven_shares,
    sum_six_shares,
    terms,
    vector_of,
    weigh_taps,
    with_plane_before,
    with_second_plane_before,
    zero_vector,
)
from .summed_states import (
    SUM_BITS,
    move_eight_states,
    move_seven_states,
    moving_vectors,
    sum_eight_states,
    sum_seven_states,
)
from .vectors import LANES

MARGIN_ROWS, MARGIN = 3, 4
"""Rows above, and columns at either side, that a plane's buffer has beyond its samples."""

N_TAPS = 24
LEAST_CONTEXTS = 13

FEW, SEVERAL, MANY, LEAST_SQUARES = range(4)
"""Variants: below `FEW_LANES` contexts vectors are short and there are no curves; from `LANES` on
there are two vectors; from `LEAST_CONTEXTS` on there are the least-squares predictor, a third set
of weights and a second curve (SPEC 5C). The constant input is the last lane of them all, so that
lanes between it and the contexts have inputs of 0."""

SUMMED_VARIANTS = (SEVERAL, MANY)
"""Variants that there also are with log-odds that add up (SPEC 5C.10)."""

N_UNARY, WIDE_N_UNARY = 9, 17
"""Unary nodes of either sign, for samples of up to 8 bits and of more (SPEC 5C.5)."""

LINE = 16
"""States in a line of the cache. Of each slot so many lie side by side, the next ones a whole
table of lines further on: `steps` has the distance of each node from the slot's first state."""

N_LEVELS = 13
"""Classes of energy, and of disagreement between the predictors."""

N_TEXTURES = 64
CURVE_POINTS = 33

WORST_BYTES = 80
"""More than the code of one sample takes."""

ZERO_COST, SIGN_COST, SIZE_COST, N_COST_PARTS = 0, 1, 2, 3
"""What the bits of a sample say: whether its residual is 0, its sign, its size."""

_U0, _U1, _U2, _U8 = (np.uint64(n) for n in (0, 1, 2, 8))
_U_LINE = np.uint64(LINE)
_TOP = 0xFFFFFFFF


@inlined
def _clip(value, limit):
    return min(max(value, -limit), limit)


@inlined
def _pair(first, second, scale):
    """Return -495..495 for two differences, each -15..15 in units of 2**scale."""
    return _clip(first >> scale, 15) * 32 + _clip(second >> scale, 15)


@inlined
def _history(rw, rww, rn, rnn, scale):
    """Return 0..6560 for four residuals, each -4..4 in units of 2**scale."""
    western = _clip(rw >> scale, 4) * 9 + _clip(rww >> scale, 4)
    northern = _clip(rn >> scale, 4) * 9 + _clip(rnn >> scale, 4)
    return (western + 40) * 81 + northern + 40


@inlined
def _signed_log(difference):
    """Return 0..12 for a difference: thresholds 0, 1, 3, 7, 15, 31 at either side."""
    size = abs(difference)
    steps = np.int64(size > 0) + np.int64(size > 1) + np.int64(size > 3)
    steps += np.int64(size > 7) + np.int64(size > 15) + np.int64(size > 31)
    return 6 + steps if difference >= 0 else 6 - steps


@inlined
def _level(levels, value):
    """Return the class 0..12 of a non-negative number (SPEC 5C.4)."""
    return np.int64(levels[np.uint64(min(value, np.int64(4095)))])


# What slots are computed from, by context (SPEC 5C.4): two terms that `rules` clip and multiply,
# and a rest; of the first plane and of others, for contexts 0 to 7 and for those from 8 on. The
# rules are those of `Model.rules`.
_first_plane_one = terms("w", "a", "s0", "", "", "s5", "ww", "ne")
_first_plane_two = terms("n", "", "s3", "", "", "s2", "nn", "nw")
_first_plane_two_least = terms("n", "", "s3", "", "", "s6", "nn", "nw")
_first_plane_rest = terms("", "", "a", "b", "c", "", "", "")
_other_plane_one = terms("w", "a", "b", "c", "s0", "", "ne", "s3")
_other_plane_two = terms("n", "a", "", "", "s3", "", "nw", "s1")
_other_plane_rest = terms("", "a", "b", "", "c", "d", "", "")
_later_first_plane_one = terms("a", "s0", "s1", "b", "c", "d", "", "")
_later_first_plane_two = terms("a", "s4", "", "", "", "b", "", "")
_later_first_plane_rest = terms("", "", "a", "b", "c", "", "d", "")
_later_other_plane_one = terms("s0", "", "", "", "a", "ww", "", "")
_later_other_plane_two = terms("s4", "", "", "", "a", "nn", "", "")
_later_other_plane_two_least = terms("s6", "", "", "", "a", "nn", "", "")
_later_other_plane_rest = terms("", "a", "b", "c", "", "", "d", "")


def _make_code_plane(
    number: Callable[[Any], Any], variant: int, *, tracing: bool, summed: bool
) -> Any:
    """Return the kernel for planes whose samples and filters are of the type `number`.

    `summed`: states are log-odds that add up (`summed_states`), not probabilities to be mixed.
    `tracing`: adds up the bits of each sample in `costs`, of `N_COST_PARTS` a sample (`ZERO_COST`,
    `SIGN_COST`, `SIZE_COST`). Other kernels never look at it: what `variant` and `tracing` leave
    out is not compiled.
    """
    few, many, least = variant == FEW, variant >= MANY, variant == LEAST_SQUARES
    is_narrow = number is np.int32
    error_number = np.int16 if is_narrow else np.int64
    n_lanes = np.uint64(FEW_LANES if few else 2 * LANES if many else LANES)
    n_unary = N_UNARY if is_narrow else WIDE_N_UNARY
    largest_weight = np.int32(32768 if many else 65536)
    curve_shift = np.int64(7 if summed else 6)

    @kernel
    def code_plane(
        samples, residuals, errors, geometry, states, steps, rules, weights, curves, biases,
        filters, least_squares, stretch, squash, rates, levels, blend, norms, moving, interval,
        data, decoding, counts, costs,
    ):  # fmt: skip
        (
            n_rows, n_columns, plane, kind, lowest, highest, scale, n_contexts, n_nodes, rate_limit,
            pace_base, pace_scale,
        ) = geometry  # fmt: skip
        if is_narrow:
            scale = np.int64(0)
        stride = np.uint64(n_columns + 2 * MARGIN)
        area = (n_rows + MARGIN_ROWS + 1) * (n_columns + 2 * MARGIN)
        x = samples[plane * area : (plane + 1) * area]
        x1 = samples[max(plane - 1, 0) * area : (max(plane - 1, 0) + 1) * area]
        x2 = samples[max(plane - 2, 0) * area : (max(plane - 2, 0) + 1) * area]
        r = residuals[plane * area : (plane + 1) * area]
        r1 = residuals[max(plane - 1, 0) * area : (max(plane - 1, 0) + 1) * area]
        r2 = residuals[max(plane - 2, 0) * area : (max(plane - 2, 0) + 1) * area]
        low, high, code, position = interval[0], interval[1], interval[2], interval[3]
        counting = not summed and len(counts) > 0
        set_rows = len(biases) // N_TEXTURES
        taps = zero_array(N_TAPS, x.dtype)
        fast, slow = zero_array(N_TAPS, x.dtype), zero_array(N_TAPS, x.dtype)
        for k in range(N_TAPS):
            fast[k], slow[k] = filters[0, kind, k], filters[1, kind, k]
        short = max(scale - 2, np.int64(0))
        covariance = zero_array(N_TAPS * N_TAPS, np.int64)
        cross = zero_array(N_TAPS, np.int64)
        coefficients = zero_array(N_TAPS, np.int64)
        coefficients[0], coefficients[2] = 6553, 1638
        wide = zero_array(N_TAPS, np.int64)
        turn = np.uint64(0)
        narrow = zero_array(N_TAPS, np.int32)
        span_limit = np.int64(highest - lowest) * 16
        n_used = np.uint64(18 if plane == 0 else 17 if plane == 1 else 21)
        first_slots = rules[(N_RULES - 1) * RULE_LANES :]
        early_context = 4 if plane == 0 else 5
        early_start = np.uint64(first_slots[early_context])
        moving = moving_vectors(moving)
        slots = zero_array(2 * LANES, np.uint32)
        for k in range(FEW_LANES):
            slots[k] = np.uint32(first_slots[k])
        start_0, start_1 = np.int64(first_slots[0]), np.int64(first_slots[1])
        start_2 = np.int64(first_slots[2])
        kept = zero_array(2 * LANES, np.int32)
        for k in range(n_contexts):
            kept[k] = -1
        count_limit = np.int32(rate_limit)
        north_west, north_east, north_north = stride + _U1, stride - _U1, stride + stride
        error_limit = number(np.int64(4080) << scale)
        none, shift = number(0), number(6 + scale)
        has_least_squares = False
        for k in range(len(least_squares) if summed else 0):
            has_least_squares = has_least_squares or least_squares[k] != 0
        position_shift = np.int64(0)
        while (highest - lowest) >> position_shift > 1023:
            position_shift += 1
        middle_value = (lowest + highest + 1) >> 1
        base = np.int64(lowest) * 16 - 4096
        for index in range(MARGIN_ROWS * (n_columns + 2 * MARGIN)):
            x[np.uint64(index)] = number(middle_value)
        for row in range(n_rows):
            if decoding:
                if position > len(data) + VIRTUAL_BYTES:
                    return status.TRUNCATED, row
            elif position + WORST_BYTES * n_columns > len(data):
                return status.FULL, row
            at = np.uint64(row + MARGIN_ROWS) * stride + np.uint64(MARGIN)
            start = x[at - stride]
            for k in range(1, MARGIN + 1):
                x[at - np.uint64(k)] = start
            here = np.uint64((row & 1) * (n_columns + 2 * MARGIN) * 8 + 8 * MARGIN)
            above = np.uint64(((row & 1) ^ 1) * (n_columns + 2 * MARGIN) * 8 + 8 * MARGIN)
            for k in range(8):
                errors[here - _U8 + np.uint64(k)] = error_number(0)
            west_errors = far_west_errors = zero_vector(errors)
            near_west = far_west = last_west = zero_vector(x)
            g_fast = g_slow = none
            w = ww = www = start
            rw, rww = np.int64(r[at - _U1]), np.int64(r[at - _U2])
            done = np.int64(row) * np.int64(n_columns)
            pace = pace_base + pace_scale // (done + 16384)
            for column in range(n_columns):
                # ---- The context of residuals alone: fetched while predictors are computed
                rn = np.int64(r[at - stride])
                early = np.int64(0)
                if not few and plane == 0:
                    early = _history(rw, rww, rn, np.int64(r[at - north_north]), scale)
                elif not few:
                    early = _pair(rw, rn, scale) + 495
                if n_contexts > early_context:
                    prefetch(states, early_start + np.uint64(early) * _U_LINE)
                # ---- Neighbours and predictors (SPEC 5C.3)
                n = x[at - stride]
                nw, ne = x[at - north_west], x[at - north_east]
                near = near_taps(x, at, stride, w, ww)
                far = far_taps(x, at, stride, w, www)
                last = zero_vector(x)
                median = min(max(number(n + w - nw), min(n, w)), max(n, w))
                along = across = np.int64(0)
                if plane > 0:
                    c, cw, cn, cnw = x1[at], x1[at - _U1], x1[at - stride], x1[at - north_west]
                    far = with_plane_before(far, x1, at, stride)
                    last = south_of_plane_before(x1, at, stride)
                    if plane > 1:
                        last = with_second_plane_before(last, x2, at, stride)
                    if many:
                        along, across = np.int64(c) - np.int64(cw), np.int64(c) - np.int64(cn)
                    dw, dn = number(w - cw), number(n - cn)
                    difference = number(dw + dn - number(nw - cnw))
                    fourth = number((c + min(max(difference, min(dw, dn)), max(dw, dn))) * 16)
                else:
                    fourth = number(n * 16 + (ne - nw) * 4 + (w - nw) * 8)
                energy = 2 * abs(rw) + 2 * abs(rn) + abs(np.int64(r[at - north_west]))
                energy += abs(np.int64(r[at - north_east])) + abs(rww)
                activity = _level(levels, energy >> (1 + scale))
                row_of = np.uint64(kind * N_LEVELS + activity) * np.uint64(N_TAPS)
                w16 = number(w * 16)
                s_fast = number(w16 + (filter_taps(near, far, last, fast) >> number(10)))
                s_slow = number(w16 + (filter_taps(near, far, last, slow) >> number(10)))
                if summed:  # the filters learn from a sample when the next one is predicted
                    adapt_filter(fast, near_west, far_west, last_west, g_fast, shift)
                    adapt_filter(slow, near_west, far_west, last_west, g_slow, shift)
                    near_west, far_west, last_west = near, far, last
                s_trained = w16
                if not summed or has_least_squares:
                    trained = weigh_taps(near, far, last, least_squares, row_of)
                    s_trained = number(w16 + (trained >> number(10)))
                s_median = number(median * 16)
                s_gradient = number(w16 + (ne - n) * 8 + (n - nw) * 4)
                s_least = none
                if least:
                    put_taps(taps, near, far, last)
                    acc = np.int64(0)
                    for k in range(N_TAPS):
                        wide[k] = taps[k]
                    if plane == 0:
                        wide[11] = x[at - north_north + _U2] - w
                        wide[12] = x[at - north_north - _U2] - w
                        wide[13] = x[at - north_west - _U2] - w
                        wide[14] = x[at - north_east + _U2] - w
                        wide[15] = x[at - north_north - north_west] - w
                        wide[16] = x[at - north_north - north_east] - w
                        wide[17] = x[at - _U2 - _U2] - w
                    for k in range(N_TAPS):
                        acc += coefficients[k] * wide[k]
                    s_least = number(w16 + number(_clip(acc >> 10, span_limit)))
                subs = vector_of(
                    s_fast, s_median, s_trained, fourth, s_gradient, s_slow, s_least, none
                )
                # helpers as variables outside of the kernel would keep it from the cache
                if least:
                    total, weighted = sum_seven_shares(
                        errors, above, west_errors, far_west_errors, error_number(scale), blend,
                        base, s_fast, s_median, s_trained, fourth, s_gradient, s_slow, s_least,
                    )  # fmt: skip
                else:
                    total, weighted = sum_six_shares(
                        errors, above, west_errors, far_west_errors, error_number(scale), blend,
                        base, s_fast, s_median, s_trained, fourth, s_gradient, s_slow, s_least,
                    )  # fmt: skip
                blended = base + np.int64(np.uint64(max(weighted, np.int64(0))) // np.uint64(total))
                # a > weighted // total where a * total > weighted, also with 0 for a negative
                # `weighted`, since a is at least 4096: no need to wait for the division
                nn = x[at - north_north]
                texture = np.int64((16 * np.int64(n) - base) * total > weighted)
                texture += np.int64((16 * np.int64(w) - base) * total > weighted) << 1
                texture += np.int64((16 * np.int64(nw) - base) * total > weighted) << 2
                texture += np.int64((16 * np.int64(ne) - base) * total > weighted) << 3
                texture += np.int64((16 * np.int64(nn) - base) * total > weighted) << 4
                texture += np.int64((16 * np.int64(ww) - base) * total > weighted) << 5
                fine = np.int64(0)
                while least and fine < 23 and (total >> fine) > 7:
                    fine += 1
                fine_row = kind * N_LEVELS + fine * 13 // 24
                bias = np.uint64((kind * N_LEVELS + activity) * N_TEXTURES + texture)
                p = blended + (np.int64(biases[bias]) >> 12)
                predicted = min(max((p + 8) >> 4, lowest), highest)
                s0, s2, s5 = np.int64(s_fast), np.int64(s_trained), np.int64(s_slow)
                s1, s3 = np.int64(s_median), np.int64(fourth)
                spread = max(s0, s1, s2, s3, s5) - min(s0, s1, s2, s3, s5)
                doubt = _level(levels, spread >> (3 + scale))
                # ---- Contexts (SPEC 5C.5)
                tone = (predicted - lowest) >> position_shift
                slope = np.int64(n) + np.int64(w) - np.int64(nw) - predicted
                sixteenths = (p + 8) & 15
                eighths = number(sixteenths >> 1)
                if few:
                    index = _pair(np.int64(w) - predicted, np.int64(n) - predicted, scale)
                    slots[0] = start_0 + index * LINE
                    if n_contexts > 1:
                        index = tone
                        if plane > 0:
                            index = _clip(np.int64(r1[at]) >> scale, 10) * 42
                            index += _clip(np.int64(r2[at]) >> scale, 10) * 2
                            index += np.int64(activity > 5)
                        slots[1] = start_1 + index * LINE
                    if n_contexts > 2:
                        if plane > 0:
                            index = _clip(slope >> scale, 31) * 8 + (sixteenths >> 1)
                        else:
                            half = np.int64(4) << scale
                            index = _clip((s0 - p + half) >> (3 + scale), 5) * 143 + doubt
                            index += _clip((s3 - p + 2 * half) >> (4 + scale), 5) * 13
                        slots[2] = start_2 + index * LINE
                else:
                    gaps = subtract(subs, number(p))
                    neighbours = move_near_taps(near, number(np.int64(w) - predicted))
                    shade = texture * 4 + (sixteenths >> 2)
                    shade = number(shade * 4 + min(activity // 3, np.int64(3)))
                    if plane == 0:
                        term_one = _first_plane_one(
                            gaps, neighbours, number(tone), none, none, none
                        )
                        if least:
                            term_two = _first_plane_two_least(
                                gaps, neighbours, none, none, none, none
                            )
                        else:
                            term_two = _first_plane_two(gaps, neighbours, none, none, none, none)
                        term_rest = _first_plane_rest(
                            gaps, neighbours, number(doubt), shade, number(early), none
                        )
                    else:
                        term_one = _other_plane_one(
                            gaps, neighbours, number(r1[at]), number(slope), number(tone), none
                        )
                        term_two = _other_plane_two(
                            gaps, neighbours, number(r2[at]), none, none, none
                        )
                        term_rest = _other_plane_rest(
                            gaps, neighbours, number(activity > 5), eighths, number(doubt),
                            number(early),
                        )  # fmt: skip
                    put_slots(slots, _U0, term_one, term_two, term_rest, rules)
                if many:
                    of_fine = number(fine * 8 + (sixteenths >> 1))
                    if plane == 0:
                        both = np.int64(n) + np.int64(w) - 2 * predicted
                        term_one = _later_first_plane_one(
                            gaps, neighbours, number(rw), number(slope), number(both),
                            number(n - ne),
                        )  # fmt: skip
                        term_two = _later_first_plane_two(
                            gaps, neighbours, number(rn), number(w - nw), none, none
                        )
                        term_rest = _later_first_plane_rest(
                            gaps, neighbours, number(activity), eighths,
                            number((predicted & 127) * 16), of_fine,
                        )  # fmt: skip
                    else:
                        index = _signed_log(along >> scale) * 13 + _signed_log(across >> scale)
                        history = _history(rw, rww, rn, np.int64(r[at - north_north]), scale)
                        term_one = _later_other_plane_one(
                            gaps, neighbours, number(r1[at]), none, none, none
                        )
                        if least:
                            term_two = _later_other_plane_two_least(
                                gaps, neighbours, number(rw), none, none, none
                            )
                        else:
                            term_two = _later_other_plane_two(
                                gaps, neighbours, number(rw), none, none, none
                            )
                        term_rest = _later_other_plane_rest(
                            gaps, neighbours, shade, number(index * 13 + activity), number(history),
                            of_fine,
                        )  # fmt: skip
                    put_slots(slots, _U8, term_one, term_two, term_rest, rules)
                third = np.uint64((2 * set_rows + fine_row) * n_nodes) * n_lanes
                first = np.uint64((kind * N_LEVELS + activity) * n_nodes) * n_lanes
                second = np.uint64((set_rows + kind * N_LEVELS + doubt) * n_nodes) * n_lanes
                curve = np.uint64((kind * N_LEVELS + activity) * n_nodes) * np.uint64(CURVE_POINTS)
                second_curve = np.uint64((set_rows + fine_row) * n_nodes) * np.uint64(CURVE_POINTS)
                # ---- The residual as binary decisions (SPEC 5C.6)
                residual = np.int64(x[at]) - predicted
                size = abs(residual)
                phase = np.int64(0)
                node = np.int64(0)
                floor = np.int64(1)
                n_ones = negative = rest = mask = depth = np.int64(0)
                reach = max(highest - predicted, predicted - lowest)
                wanted = residual != 0  # this and what follows from `size` mean nothing in decoding
                is_zero = True
                if tracing:
                    sample = plane * n_rows * n_columns + row * n_columns + column
                    cost_place = np.uint64(sample * N_COST_PARTS)
                while reach > 0:
                    # ---- One decision (SPEC 5C.7)
                    step = np.uint64(node)
                    one, two = first + step * n_lanes, second + step * n_lanes
                    three = third + step * n_lanes
                    place = steps[step]
                    if summed and many:
                        total = sum_eight_states(states, slots, _U0, place)
                        total += sum_seven_states(states, slots, _U8, place)
                        index = total >> SUM_BITS
                    elif summed:
                        index = sum_seven_states(states, slots, _U0, place) >> SUM_BITS
                    elif few:
                        dot, inputs = mix_three_states(
                            states, slots, _U0, place, stretch, weights, one, two, two
                        )
                        index = np.int64(shift_right(dot, np.int32(16)))
                    elif least:
                        dot, inputs = mix_eight_states_of_three(
                            states, slots, _U0, place, stretch, weights, one, two, three
                        )
                        total = np.int64(dot)
                        dot, more_inputs = mix_seven_states_of_three(
                            states, slots, _U8, place, stretch, weights, one + _U8,
                            two + _U8, three + _U8,
                        )  # fmt: skip
                        index = (total + np.int64(dot)) >> 16
                    elif many:
                        dot, inputs = mix_eight_states(
                            states, slots, _U0, place, stretch, weights, one, two, two
                        )
                        total = np.int64(dot)
                        dot, more_inputs = mix_seven_states(
                            states, slots, _U8, place, stretch, weights, one + _U8, two + _U8, two
                        )
                        index = (total + np.int64(dot)) >> 16
                    else:
                        dot, inputs = mix_seven_states(
                            states, slots, _U0, place, stretch, weights, one, two, two
                        )
                        index = np.int64(shift_right(dot, np.int32(16)))
                    index = _clip(index, np.int64(2047)) + 2048
                    mixed = np.int64(squash[np.uint64(index)])
                    chance = mixed
                    knot = second_knot = _U0
                    weight_right = index & 127
                    if not few:
                        knot = curve + step * np.uint64(CURVE_POINTS) + np.uint64(index >> 7)
                        left, right = np.int64(curves[knot]), np.int64(curves[knot + _U1])
                        refined = (left * (128 - weight_right) + right * weight_right) >> 7
                        chance = refined if summed else (mixed + refined) >> 1
                    if least:
                        second_knot = second_curve + step * np.uint64(CURVE_POINTS)
                        second_knot += np.uint64(index >> 7)
                        left = np.int64(curves[second_knot])
                        right = np.int64(curves[second_knot + _U1])
                        other = (left * (128 - weight_right) + right * weight_right) >> 7
                        chance = (2 * mixed + refined + other) >> 2
                    if not few:  # no curve is above 65504, but it may be below 32
                        chance = max(chance, np.int64(32))
                    middle = low + (((high - low) * chance) >> 16)
                    if decoding:
                        bit = np.int64(code <= middle)
                        if bit:
                            high = middle
                        else:
                            low = middle + 1
                    else:
                        bit = np.int64(wanted)
                        high = middle if wanted else high
                        low = low if wanted else middle + 1
                    while ((low ^ high) >> 24) == 0:
                        if decoding:
                            code = (code << 8) & _TOP
                            if position < len(data):
                                code |= np.int64(data[np.uint64(position)])
                        else:
                            data[np.uint64(position)] = high >> 24
                        position += 1
                        low = (low << 8) & _TOP
                        high = (high << 8) & _TOP | 255
                    if tracing:
                        share = np.float64(chance if bit else 65536 - chance) / 65536.0
                        part = np.uint64(min(phase, np.int64(SIZE_COST)))
                        costs[cost_place + part] -= np.log2(share)
                    if summed:
                        error = np.int32(((bit << 16) - mixed) >> 1)
                    else:
                        error = np.int32((((bit << 16) - mixed) * pace) >> 6)
                    target = 65535 * bit
                    if not few:
                        nearest = knot + np.uint64(weight_right >> 6)
                        old = np.int64(curves[nearest])
                        curves[nearest] = np.uint16(old + ((target - old) >> curve_shift))
                    if least:
                        nearest = second_knot + np.uint64(weight_right >> 6)
                        old = np.int64(curves[nearest])
                        curves[nearest] = np.uint16(old + ((target - old) >> curve_shift))
                    goal = np.int32(4194303 * bit)
                    if summed and many:
                        move_eight_states(states, slots, _U0, place, kept, moving, error)
                        move_seven_states(states, slots, _U8, place, kept, moving, error)
                    elif summed:
                        move_seven_states(states, slots, _U0, place, kept, moving, error)
                    elif few:
                        learn(weights, one, two, two, inputs, error, largest_weight)
                        update_three_states(
                            states, slots, _U0, place, rates, kept, goal, count_limit
                        )
                    elif many:
                        update_eight_states(
                            states, slots, _U0, place, rates, kept, goal, count_limit
                        )
                        update_seven_states(
                            states, slots, _U8, place, rates, kept, goal, count_limit
                        )
                        if least:
                            learn_of_three(weights, one, two, three, inputs, error, largest_weight)
                            learn_of_three(
                                weights, one + _U8, two + _U8, three + _U8, more_inputs, error,
                                largest_weight,
                            )  # fmt: skip
                        else:
                            learn(weights, one, two, two, inputs, error, largest_weight)
                            learn(
                                weights, one + _U8, two + _U8, two, more_inputs, error,
                                largest_weight,
                            )  # fmt: skip
                    else:
                        update_seven_states(
                            states, slots, _U0, place, rates, kept, goal, count_limit
                        )
                        learn(weights, one, two, two, inputs, error, largest_weight)
                    if counting:
                        for k in range(n_contexts):
                            met = np.uint64(slots[k]) // _U_LINE * np.uint64(n_nodes) + step
                            counts[_U2 * met + np.uint64(bit)] += np.uint32(1)
                    # ---- The next decision (SPEC 5C.6)
                    if phase == 2:
                        if bit:
                            n_ones += 1
                            node += 1
                            if 1 << n_ones < reach and n_ones < n_unary:
                                wanted = size > 1 << n_ones
                                continue
                        width = 1 << max(n_ones - 1, np.int64(0))
                        floor = width + np.int64(n_ones > 0)
                        if width == 1:
                            break
                        phase = 3
                        mask = width >> 1
                        node = 2 + 2 * n_unary + 3 * min(n_ones - 2, np.int64(3))
                        wanted = ((size - floor) & mask) != 0
                    elif phase == 3:
                        if bit:
                            rest |= mask
                        node += 1 + bit
                        mask >>= 1
                        depth += 1
                        if mask == 0:
                            break
                        if depth == 2:
                            while mask > 0:
                                if tracing:
                                    costs[cost_place + np.uint64(SIZE_COST)] += 1.0
                                middle = low + ((high - low) >> 1)
                                if decoding:
                                    bit = np.int64(code <= middle)
                                else:
                                    bit = np.int64(((size - floor) & mask) != 0)
                                if bit:
                                    high = middle
                                    rest |= mask
                                else:
                                    low = middle + 1
                                while ((low ^ high) >> 24) == 0:
                                    if decoding:
                                        code = (code << 8) & _TOP
                                        if position < len(data):
                                            code |= np.int64(data[np.uint64(position)])
                                    else:
                                        data[np.uint64(position)] = high >> 24
                                    position += 1
                                    low = (low << 8) & _TOP
                                    high = (high << 8) & _TOP | 255
                                mask >>= 1
                            break
                        wanted = ((size - floor) & mask) != 0
                    else:
                        if phase == 0:
                            if bit == 0:
                                break
                            is_zero = False
                            if lowest < predicted < highest:
                                phase = 1
                                node = 1
                                wanted = residual < 0
                                continue
                            negative = np.int64(predicted == highest)
                        else:
                            negative = bit
                        phase = 2
                        node = 2 + n_unary * negative
                        reach = predicted - lowest if negative else highest - predicted
                        if reach < 2:
                            break
                        wanted = size > 1
                if decoding:
                    residual = np.int64(0)
                    if not is_zero:
                        residual = -(floor + rest) if negative else floor + rest
                    if not lowest <= predicted + residual <= highest:
                        if position > len(data):
                            return status.TRUNCATED, row
                        return status.SAMPLE_OUT_OF_RANGE, row
                    x[at] = number(predicted + residual)
                value = predicted + residual
                r[at] = number(residual)
                # ---- Adaptation (SPEC 5C.8)
                biases[bias] += number(((value << 16) - (p << 12)) >> 6)
                value16 = number(value * 16)
                far_west_errors = west_errors
                west_errors = note_errors(errors, here, subs, value16, error_limit)
                if least:
                    target = _clip((np.int64(value) - np.int64(w)) >> short, np.int64(2047))
                    for k in range(N_TAPS):
                        wide[k] = _clip(wide[k] >> short, np.int64(2047))
                    for k in range(N_TAPS):
                        narrow[k] = np.int32(wide[k])
                    for k in range(np.int64(n_used)):
                        factor = narrow[np.uint64(k)]
                        line = np.uint64(k) * np.uint64(N_TAPS)
                        for m in range(N_TAPS):
                            there = line + np.uint64(m)
                            covariance[there] += (
                                (np.int64(np.int32(factor * narrow[m])) << 14) - covariance[there]
                            ) >> 11
                        cross[np.uint64(k)] += (
                            (np.int64(factor) * target << 14) - cross[np.uint64(k)]
                        ) >> 11
                    for _ in range(4):
                        line = turn * np.uint64(N_TAPS)
                        gap = cross[turn] << 14
                        for m in range(N_TAPS):
                            gap -= covariance[line + np.uint64(m)] * coefficients[m]
                        gap //= covariance[line + turn] + 8192
                        coefficients[turn] = _clip(coefficients[turn] + gap, np.int64(262143))
                        turn += _U1
                        if turn == n_used:
                            turn = _U0
                power = np.int64(power_of_taps(near, far, last)) >> (2 * scale)
                if power < 4096:
                    norm = np.int64(norms[np.uint64(power >> 2)])
                else:
                    norm = np.int64(norms[np.uint64(1024 + min(power >> 12, np.int64(1535)))])
                g_fast = number((np.int64(value16 - s_fast) * norm * 64) >> (14 + scale))
                g_slow = number((np.int64(value16 - s_slow) * norm * 64) >> (16 + scale))
                if not summed:
                    adapt_filter(fast, near, far, last, g_fast, shift)
                    adapt_filter(slow, near, far, last, g_slow, shift)
                www, ww, w = ww, w, number(value)
                rww, rw = rw, residual
                if row == 0 and column + MARGIN < n_columns + MARGIN:
                    for k in range(MARGIN_ROWS):
                        x[np.uint64(k) * stride + np.uint64(column + 2 * MARGIN)] = number(value)
                at += _U1
                here += _U8
                above += _U8
            for k in range(MARGIN):
                x[at + np.uint64(k)] = w
        end = np.uint64(n_rows + MARGIN_ROWS) * stride
        for index in range(n_columns + 2 * MARGIN):
            x[end + np.uint64(index)] = x[end + np.uint64(index) - stride]
        interval[0], interval[1], interval[2], interval[3] = low, high, code, position
        return status.OK, n_rows

    return code_plane


def variant_of(n_contexts: int) -> int:
    """Return which of the kernels codes with so many contexts."""
    if n_contexts < FEW_LANES:
        return FEW
    if n_contexts < LANES:
        return SEVERAL
    return MANY if n_contexts < LEAST_CONTEXTS else LEAST_SQUARES


CODE_PLANE: dict[tuple[int, bool, bool, bool], Any] = {
    (variant, wide, summed, tracing): _make_code_plane(
        np.int64 if wide else np.int32, variant, summed=summed, tracing=tracing
    )
    for variant in (FEW, SEVERAL, MANY, LEAST_SQUARES)
    for wide in (False, True)
    for summed in ((False, True) if variant in SUMMED_VARIANTS else (False,))
    for tracing in (False, True)
}
"""The kernel by: `variant_of` the contexts, samples of more than 8 bits, log-odds that add up,
tracing."""
