"""Vectors of one sample of the context coder: its taps, its predictions, its contexts' slots.

Numbers are 32 bits wide where samples have up to 8 bits, else 64; all arithmetic is modulo that.
Vectors have eight lanes. Neighbours are named as in SPEC 5C.3, by the points of the compass.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .vectors import (
    INT32,
    INT64,
    LANES,
    Vector,
    choose,
    clamp,
    config,
    data_of,
    load,
    place_of,
    same,
    splat,
    store,
    total,
)

FILTER_LIMIT = (1 << 21) - 1
ERROR_LIMIT = 2047
"""Greatest average of errors that `sum_shares` tells from others."""

N_RULES = 10
RULE_LANES = 2 * LANES
"""Rows of `put_slots`' rules, and their lanes: one for each context."""

_BEFORE = 3
"""Numbers in front of the own column that a loaded row begins with."""

_u64 = types.uint64


def _row(context: Any, builder: Any, kind: Any, array: Any, at: Any, *strides: Any) -> Any:
    """Return eight numbers of a row some strides above `at`, the own column as lane `_BEFORE`."""
    for stride in strides:
        at = builder.sub(at, stride)
    return load(context, builder, kind, array, builder.sub(at, ir.Constant(INT64, _BEFORE)))


def _one(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    return builder.load(builder.gep(data_of(context, builder, kind, array), [at]))


@intrinsic
def _near_taps(typing_context, x, at, stride, w, ww):
    signature = Vector(x.dtype)(x, _u64, _u64, x.dtype, x.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, at, stride, w, ww = arguments
        kind = signature.args[0]
        north = _row(context, builder, kind, x, at, stride)
        north_north = _row(context, builder, kind, x, at, stride, stride)
        taps = choose(builder, north, north_north, [3, 2, 4, 0, 11, 12, 10, 1])
        taps = builder.insert_element(taps, ww, place_of(3))
        return builder.sub(taps, splat(builder, w))

    return signature, generate


@intrinsic
def _far_taps(typing_context, x, at, stride, w, www):
    signature = Vector(x.dtype)(x, _u64, _u64, x.dtype, x.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, at, stride, w, www = arguments
        kind = signature.args[0]
        east = builder.add(builder.sub(at, stride), ir.Constant(INT64, 2))
        north = builder.sub(at, builder.mul(stride, ir.Constant(INT64, 3)))
        neighbours = (
            _one(context, builder, kind, x, east), www, _one(context, builder, kind, x, north)
        )  # fmt: skip
        taps = same(context.get_value_type(signature.return_type), 0)
        for lane, neighbour in enumerate(neighbours):
            taps = builder.insert_element(taps, builder.sub(neighbour, w), place_of(lane))
        return taps

    return signature, generate


@intrinsic
def _with_plane_before(typing_context, taps, x, at, stride):
    signature = taps(taps, x, _u64, _u64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        taps, x, at, stride = arguments
        kind = signature.args[1]
        row = _row(context, builder, kind, x, at)
        north = _row(context, builder, kind, x, at, stride)
        neighbours = choose(builder, row, north, [3, 3, 3, 2, 11, 10, 12, 4])
        gaps = builder.sub(choose(builder, row, row, [_BEFORE] * LANES), neighbours)
        return choose(builder, taps, gaps, [0, 1, 2, 11, 12, 13, 14, 15])

    return signature, generate


@intrinsic
def _south_of_plane_before(typing_context, x, at, stride):
    signature = Vector(x.dtype)(x, _u64, _u64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, at, stride = arguments
        kind = signature.args[0]
        south = _one(context, builder, kind, x, builder.add(at, stride))
        gap = builder.sub(_one(context, builder, kind, x, at), south)
        taps = same(context.get_value_type(signature.return_type), 0)
        return builder.insert_element(taps, gap, place_of(0))

    return signature, generate


@intrinsic
def _with_second_plane_before(typing_context, taps, x, at, stride):
    signature = taps(taps, x, _u64, _u64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        taps, x, at, stride = arguments
        kind = signature.args[1]
        row = _row(context, builder, kind, x, at)
        north = _one(context, builder, kind, x, builder.sub(at, stride))
        south = _one(context, builder, kind, x, builder.add(at, stride))
        neighbours = choose(builder, row, row, [3, 2, 3, 4, 3, 3, 3, 3])
        neighbours = builder.insert_element(neighbours, north, place_of(2))
        neighbours = builder.insert_element(neighbours, south, place_of(4))
        gaps = builder.sub(choose(builder, row, row, [_BEFORE] * LANES), neighbours)
        return choose(builder, taps, gaps, [0, *range(LANES + 1, 2 * LANES)])

    return signature, generate


@intrinsic
def _zero_vector(typing_context, array):
    signature = Vector(array.dtype)(array)

    def generate(context: Any, _builder: Any, signature: Any, _arguments: Any) -> Any:
        return same(context.get_value_type(signature.return_type), 0)

    return signature, generate


@intrinsic
def _put_taps(typing_context, array, near, far, last):
    signature = types.void(array, near, far, last)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, *taps = arguments
        for number, vector in enumerate(taps):
            place = ir.Constant(INT64, number * LANES)
            store(context, builder, signature.args[0], array, place, vector)
        return context.get_dummy_value()

    return signature, generate


def _sum_of_products(builder: Any, pairs: Any) -> Any:
    products = [builder.mul(*pair) for pair in pairs]
    return total(builder, builder.add(builder.add(*products[:2]), products[2]))


@intrinsic
def _weigh_taps(typing_context, near, far, last, weights, start):
    signature = near.dtype(near, far, last, weights, _u64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *taps, weights, start = arguments
        pairs = []
        for number, vector in enumerate(taps):
            at = builder.add(start, ir.Constant(INT64, number * LANES))
            pairs.append((vector, load(context, builder, signature.args[3], weights, at)))
        return _sum_of_products(builder, pairs)

    return signature, generate


@intrinsic
def _filter_taps(typing_context, near, far, last, weights):
    signature = near.dtype(near, far, last, weights)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *taps, weights = arguments
        pairs = []
        for number, vector in enumerate(taps):
            at = ir.Constant(INT64, number * LANES)
            part = load(context, builder, signature.args[3], weights, at)
            pairs.append((vector, builder.ashr(part, same(part.type, 4))))
        return _sum_of_products(builder, pairs)

    return signature, generate


@intrinsic
def _power_of_taps(typing_context, near, far, last):
    signature = near.dtype(near, far, last)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _sum_of_products(builder, [(vector, vector) for vector in arguments])

    return signature, generate


@intrinsic
def _adapt_filter(typing_context, weights, near, far, last, gain, shift):
    number = weights.dtype
    signature = types.void(weights, near, far, last, number, number)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        weights, *taps, gain, shift = arguments
        kind = signature.args[0]
        gains, shifts = splat(builder, gain), splat(builder, shift)
        lowest, highest = (same(gains.type, limit) for limit in (-FILTER_LIMIT, FILTER_LIMIT))
        for number, vector in enumerate(taps):
            at = ir.Constant(INT64, number * LANES)
            moves = builder.ashr(builder.mul(vector, gains), shifts)
            moved = builder.add(load(context, builder, kind, weights, at), moves)
            store(context, builder, kind, weights, at, clamp(builder, moved, lowest, highest))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _vector_of(typing_context, a, b, c, d, e, f, g, h):
    signature = Vector(a)(*[a] * LANES)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        vector = ir.Constant(ir.VectorType(arguments[0].type, LANES), ir.Undefined)
        for lane, value in enumerate(arguments):
            vector = builder.insert_element(vector, value, place_of(lane))
        return vector

    return signature, generate


def _widened(builder: Any, value: Any) -> Any:
    return value if value.type == INT64 else builder.sext(value, INT64)


def _share_sums(n_predictions: int) -> Any:
    @intrinsic
    def sum_shares(
        typing_context, errors, above, west, west_of_west, shift, table, base, a, b, c, d, e, f, g
    ):
        i64 = types.int64
        signature = types.UniTuple(i64, 2)(
            errors, _u64, west, west_of_west, errors.dtype, table, i64, a, b, c, d, e, f, g
        )

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            errors, above, west, west_of_west, shift, table, base, *predictions = arguments

            def northern(columns: int) -> Any:
                at = builder.add(above, ir.Constant(INT64, columns * LANES))
                return load(context, builder, signature.args[0], errors, at)

            near = builder.add(west, northern(0))
            far = builder.add(northern(-1), northern(1))
            average = builder.add(builder.add(builder.add(near, near), far), west_of_west)
            average = builder.ashr(average, same(average.type, 3))
            average = builder.ashr(average, splat(builder, shift))
            highest = same(average.type, ERROR_LIMIT)
            is_less = builder.icmp_signed("<", average, highest)
            average = builder.select(is_less, average, highest)
            shares = data_of(context, builder, signature.args[5], table)
            of_all = weighted = ir.Constant(INT64, 0)
            for lane, prediction in enumerate(predictions[:n_predictions]):
                index = _widened(builder, builder.extract_element(average, place_of(lane)))
                share = _widened(builder, builder.load(builder.gep(shares, [index])))
                distance = builder.sub(_widened(builder, prediction), base)
                of_all = builder.add(of_all, share)
                weighted = builder.add(weighted, builder.mul(share, distance))
            return context.make_tuple(builder, signature.return_type, [of_all, weighted])

        return signature, generate

    return sum_shares


@intrinsic
def _note_errors(typing_context, errors, here, predictions, value, limit):
    number = predictions.dtype
    signature = Vector(errors.dtype)(errors, _u64, predictions, number, number)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        errors, here, predictions, value, limit = arguments
        gaps = builder.sub(splat(builder, value), predictions)
        is_negative = builder.icmp_signed("<", gaps, same(gaps.type, 0))
        sizes = builder.select(is_negative, builder.neg(gaps), gaps)
        highest = splat(builder, limit)
        sizes = builder.select(builder.icmp_signed("<", sizes, highest), sizes, highest)
        n_bits = signature.args[0].dtype.bitwidth
        if n_bits < sizes.type.element.width:
            sizes = builder.trunc(sizes, ir.VectorType(ir.IntType(n_bits), LANES))
        store(context, builder, signature.args[0], errors, here, sizes)
        return sizes

    return signature, generate


@intrinsic
def _move_near_taps(typing_context, near, distance):
    signature = near(near, near.dtype)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        near, distance = arguments
        near = builder.insert_element(near, distance.type(0), place_of(LANES - 1))
        return builder.add(near, splat(builder, distance))

    return signature, generate


@intrinsic
def _subtract(typing_context, vector, number):
    signature = vector(vector, vector.dtype)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        vector, number = arguments
        return builder.sub(vector, splat(builder, number))

    return signature, generate


_GAPS = {f"s{lane}": lane for lane in range(LANES)}
_NEIGHBOURS = {"n": 0, "nw": 1, "ne": 2, "ww": 3, "nn": 4, "w": 7}
_NUMBERS = "abcd"


def _terms(*names: str) -> Any:
    order = []
    for lane, name in enumerate(names):
        order.append(LANES + _NEIGHBOURS[name] if name in _NEIGHBOURS else _GAPS.get(name, lane))

    @intrinsic
    def put_together(typing_context, gaps, neighbours, a, b, c, d):
        signature = gaps(gaps, neighbours, *[gaps.dtype] * len(_NUMBERS))

        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            gaps, neighbours, *numbers = arguments
            vector = same(gaps.type, 0)
            if any(name in _GAPS or name in _NEIGHBOURS for name in names):
                vector = choose(builder, gaps, neighbours, order)
            for number, letter in zip(numbers, _NUMBERS, strict=True):
                if letter in names:
                    vector = builder.insert_element(vector, number, place_of(names.index(letter)))
            return vector

        return signature, generate

    return put_together


@intrinsic
def _put_slots(typing_context, slots, start, first, second, rest, rules):
    signature = types.void(slots, _u64, first, second, rest, rules)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        slots, start, first, second, rest, rules = arguments

        def rule(row: int) -> Any:
            at = builder.add(start, ir.Constant(INT64, row * RULE_LANES))
            return load(context, builder, signature.args[5], rules, at)

        # terms come last, by as few steps as can be: theirs is the longer way
        places = builder.and_(builder.shl(rest, same(rest.type, 4)), rule(8))
        places = builder.add(places, rule(9))
        parts = []
        for row, difference in ((0, first), (4, second)):
            rounded = builder.add(difference, rule(row))
            limit = rule(row + 2)
            term = builder.ashr(rounded, rule(row + 1))
            term = clamp(builder, term, builder.neg(limit), limit)
            parts.append(builder.mul(term, rule(row + 3)))
        places = builder.add(places, builder.add(*parts))
        if places.type.element != INT32:
            places = builder.trunc(places, ir.VectorType(INT32, LANES))
        store(context, builder, signature.args[0], slots, start, places)
        return context.get_dummy_value()

    return signature, generate


def _near_taps_plainly(x, at, stride, w, ww):
    at, stride = int(at), int(stride)
    n, nn = at - stride, at - 2 * stride
    taps = [x[n], x[n - 1], x[n + 1], ww, x[nn], x[nn + 1], x[nn - 1], x[n - 2]]
    return np.array(taps, x.dtype) - w


def _far_taps_plainly(x, at, stride, w, www):
    at, stride = int(at), int(stride)
    taps = np.zeros(LANES, x.dtype)
    taps[:3] = np.array([x[at - stride + 2], www, x[at - 3 * stride]], x.dtype) - w
    return taps


def _with_plane_before_plainly(taps, x, at, stride):
    at, north = int(at), int(at) - int(stride)
    taps = taps.copy()
    taps[3:] = x[at] - x[[at - 1, north, north - 1, north + 1, at + 1]]
    return taps


def _south_of_plane_before_plainly(x, at, stride):
    taps = np.zeros(LANES, x.dtype)
    taps[0] = x[int(at)] - x[int(at) + int(stride)]
    return taps


def _with_second_plane_before_plainly(taps, x, at, stride):
    at, stride = int(at), int(stride)
    taps = taps.copy()
    taps[1:5] = x[at] - x[[at - 1, at - stride, at + 1, at + stride]]
    return taps


def _zero_vector_plainly(array):
    return np.zeros(LANES, array.dtype)


def _put_taps_plainly(array, *taps):
    array[:] = np.concatenate(taps)


def _weigh_taps_plainly(near, far, last, weights, start):
    part = weights[int(start) : int(start) + 3 * LANES]
    return (np.concatenate([near, far, last]) * part).sum(dtype=near.dtype)


def _filter_taps_plainly(near, far, last, weights):
    return (np.concatenate([near, far, last]) * (weights >> 4)).sum(dtype=near.dtype)


def _power_of_taps_plainly(*taps):
    return (np.concatenate(taps) ** 2).sum(dtype=taps[0].dtype)


def _adapt_filter_plainly(weights, near, far, last, gain, shift):
    moves = (np.concatenate([near, far, last]) * gain) >> shift
    weights[:] = np.clip(weights + moves, -FILTER_LIMIT, FILTER_LIMIT)


def _vector_of_plainly(*numbers):
    return np.array(numbers)


def _share_sums_plainly(n_predictions: int) -> Any:
    def sum_shares(errors, above, west, west_of_west, shift, table, base, *predictions):
        above = int(above)
        of_all = weighted = np.int64(0)
        for lane in range(n_predictions):
            near = int(west[lane]) + int(errors[above + lane])
            far = int(errors[above - LANES + lane]) + int(errors[above + LANES + lane])
            average = (2 * near + far + int(west_of_west[lane])) >> 3 >> int(shift)
            share = np.int64(table[min(average, ERROR_LIMIT)])
            of_all += share
            weighted += share * (np.int64(predictions[lane]) - base)
        return of_all, weighted

    return sum_shares


def _note_errors_plainly(errors, here, predictions, value, limit):
    sizes = np.minimum(np.abs(value - predictions), limit).astype(errors.dtype)
    errors[int(here) : int(here) + LANES] = sizes
    return sizes


def _move_near_taps_plainly(near, distance):
    return np.append(near[:-1], near.dtype.type(0)) + distance


def _subtract_plainly(vector, number):
    return vector - number


def _terms_plainly(*names: str) -> Any:
    def put_together(gaps, neighbours, *numbers):
        vector = np.zeros_like(gaps)
        for lane, name in enumerate(names):
            if name in _GAPS:
                vector[lane] = gaps[_GAPS[name]]
            elif name in _NEIGHBOURS:
                vector[lane] = neighbours[_NEIGHBOURS[name]]
            elif name:
                vector[lane] = numbers[_NUMBERS.index(name)]
        return vector

    return put_together


def _put_slots_plainly(slots, start, first, second, rest, rules):
    lanes = slice(int(start), int(start) + LANES)
    rows = rules.reshape(N_RULES, RULE_LANES)[:, lanes].astype(np.int64)
    places = (rest.astype(np.int64) * 16 & rows[8]) + rows[9]
    for term, (half, shift, limit, factor) in ((first, rows[:4]), (second, rows[4:8])):
        places += np.clip((term + half) >> shift, -limit, limit) * factor
    slots[lanes] = places


_plain = bool(config.DISABLE_JIT)

near_taps = _near_taps_plainly if _plain else _near_taps
"""Return taps 0 to 7 (SPEC 5C.3) of the sample at a place of the plane's buffer (uint64).

Arguments: buffer, place and stride (uint64), and the samples W and WW.
"""

far_taps = _far_taps_plainly if _plain else _far_taps
"""Return taps 8 to 10, then zeros. Arguments: as above, and the samples W and WWW."""

with_plane_before = _with_plane_before_plainly if _plain else _with_plane_before
"""Return taps 8 to 15 from 8 to 10 and the plane before's buffer, place and stride."""

south_of_plane_before = _south_of_plane_before_plainly if _plain else _south_of_plane_before
"""Return tap 16, then zeros, from the plane before's buffer, place and stride."""

with_second_plane_before = (
    _with_second_plane_before_plainly if _plain else _with_second_plane_before
)
"""Return taps 16 to 20 from 16 and the buffer of the plane before that, place and stride."""

zero_vector = _zero_vector_plainly if _plain else _zero_vector
"""Return eight zeros of the type of an array's numbers."""

put_taps = _put_taps_plainly if _plain else _put_taps
"""Put three vectors of taps into an array of 24 numbers."""

weigh_taps = _weigh_taps_plainly if _plain else _weigh_taps
"""Return the sum of all taps by weights of an array from a place (uint64) on."""

filter_taps = _filter_taps_plainly if _plain else _filter_taps
"""Return the sum of all taps by an array of 24 weights in sixteenths."""

power_of_taps = _power_of_taps_plainly if _plain else _power_of_taps
"""Return the sum of the taps' squares."""

adapt_filter = _adapt_filter_plainly if _plain else _adapt_filter
"""Move an array of 24 weights by (gain * tap) >> shift, within +-`FILTER_LIMIT` (SPEC 5C.7).

Arguments: weights, three vectors of taps, gain and shift.
"""

vector_of = _vector_of_plainly if _plain else _vector_of
"""Return a vector of eight numbers of one type."""

_share_sums_of = _share_sums_plainly if _plain else _share_sums
sum_six_shares, sum_seven_shares = _share_sums_of(6), _share_sums_of(7)
"""Return the predictors' shares together, and the sum of share * (prediction - base) (SPEC 5C.3).

Arguments: errors (any integers), the place of N's in them (uint64), those of W and WW (vectors),
scale (of their type), table of shares by average error, base (int64), seven predictions.
"""

note_errors = _note_errors_plainly if _plain else _note_errors
"""Return min(|value - prediction|, limit) of eight predictions, and put it into `errors`.

Arguments: errors (any integers), the place (uint64), predictions (a vector), value and limit, all
three of one type; the limit fits the errors.
"""

move_near_taps = _move_near_taps_plainly if _plain else _move_near_taps
"""Return taps 0 to 6, and 0 as the last, with a number added: W less the prediction makes them
differences to the prediction, W's own the last."""

subtract = _subtract_plainly if _plain else _subtract
"""Return a vector with a number subtracted from each lane."""

terms = _terms_plainly if _plain else _terms
"""Return a function of (gaps, neighbours, a, b, c, d) that puts a vector together by names: "s0" to
"s7" for lanes of gaps, "n", "nw", "ne", "ww", "nn" and "w" for those of `move_near_taps`, "a" to
"d" for the four numbers, "" for what does not matter where there are others, else 0."""

put_slots = _put_slots_plainly if _plain else _put_slots
"""Put the places of eight contexts' slots into `slots` (uint32) from a lane (uint64) on.

A place counts states. It is that of the slot with index 0 (row 9) and, for a context in use, 16
times the rest and two terms more; of a term, rules say by lane what is added, the shift to the
right, the limit at either side and the factor, in states (rows 0 to 3, and 4 to 7; 0 for a context
not in use). Row 8 is -1 for a context in use, else 0.
"""
