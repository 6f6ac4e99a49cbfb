"""Vector arithmetic of 4 or 8 lanes that Numba's loop vectorizer leaves scalar.

Numba does not vectorize loops of eight rounds whose arrays might overlap. These helpers emit vector
instructions of LLVM, which exist on every processor that Numba supports; the arithmetic is that of
integers, so every processor gives the same numbers.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core import config as numba_config
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

config: Any = numba_config

LANES = 8
FEW_LANES = 4

_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)


def _data(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    return make_array(array_type)(context, builder, array).data


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, n: int) -> Any:
    data = _data(context, builder, array_type, array)
    vector = ir.VectorType(ir.IntType(array_type.dtype.bitwidth), n)
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _splat(builder: Any, value: Any, n: int) -> Any:
    vector = ir.VectorType(value.type, n)
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INT32, n), [0] * n))


def _same(vector: Any, value: int) -> Any:
    return ir.Constant(vector, [value] * vector.count)


def _places(builder: Any, states: Any, slots: Any, start: Any, step: Any, n: int) -> list[Any]:
    """Return pointers to states[slots[start + lane] + step] of all lanes."""
    places = []
    for lane in range(n):
        at = builder.gep(slots, [builder.add(start, ir.Constant(_INT64, lane))])
        places.append(builder.gep(states, [builder.add(builder.load(at), step)]))
    return places


def _mix(n: int, n_sets: int = 2) -> Any:
    @intrinsic
    def mix_lanes(
        typing_context, states, slots, start, step, stretch, masks, weights, one, two, three,
        inputs, seen,
    ):  # fmt: skip
        u64 = types.uint64
        signature = types.int32(
            states, slots, u64, u64, stretch, masks, weights, u64, u64, u64, inputs, seen
        )

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            (
                states_type, slots_type, _, _, stretch_type, masks_type, weights_type, _, _, _,
                inputs_type, seen_type,
            ) = signature.args  # fmt: skip
            (
                states, slots, start, step, stretch, masks, weights, one, two, three, inputs, seen,
            ) = arguments  # fmt: skip
            vector = ir.VectorType(_INT32, n)
            table = _data(context, builder, stretch_type, stretch)
            places = _places(
                builder, _data(context, builder, states_type, states),
                _data(context, builder, slots_type, slots), start, step, n,
            )  # fmt: skip
            found = ir.Constant(vector, ir.Undefined)
            mapped = ir.Constant(vector, ir.Undefined)
            for lane, place in enumerate(places):
                state = builder.load(place)
                index = builder.zext(builder.lshr(state, ir.Constant(_INT32, 20)), _INT64)
                value = builder.sext(builder.load(builder.gep(table, [index])), _INT32)
                found = builder.insert_element(found, state, ir.Constant(_INT32, lane))
                mapped = builder.insert_element(mapped, value, ir.Constant(_INT32, lane))

            def at(kind: Any, array: Any, index: Any) -> Any:
                return _pointer(context, builder, kind, array, index, n)

            sixteen = ir.Constant(_INT64, 2 * LANES)
            kept = builder.load(at(masks_type, masks, start), align=4)
            fixed = builder.load(at(masks_type, masks, builder.add(start, sixteen)), align=4)
            mapped = builder.or_(builder.and_(mapped, kept), fixed)
            builder.store(mapped, at(inputs_type, inputs, start), align=4)
            builder.store(found, at(seen_type, seen, start), align=4)
            weight = builder.add(
                builder.load(at(weights_type, weights, one), align=4),
                builder.load(at(weights_type, weights, two), align=4),
            )
            if n_sets == 3:
                third = builder.load(at(weights_type, weights, three), align=4)
                weight = builder.add(weight, third)
            products = builder.mul(weight, mapped)
            reduce = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(_INT32, [vector]),
                f"llvm.vector.reduce.add.v{n}i32",
            )
            return builder.call(reduce, [products])

        return signature, generate

    return mix_lanes


def _update(n: int) -> Any:
    @intrinsic
    def update_lanes(typing_context, states, slots, start, step, seen, rates, target, limit):
        u64 = types.uint64
        signature = types.void(states, slots, u64, u64, seen, rates, types.int32, types.int32)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            states_type, slots_type, _, _, seen_type, rates_type, _, _ = signature.args
            states, slots, start, step, seen, rates, target, limit = arguments
            vector, wide = ir.VectorType(_INT32, n), ir.VectorType(_INT64, n)
            table = _data(context, builder, rates_type, rates)
            places = _places(
                builder, _data(context, builder, states_type, states),
                _data(context, builder, slots_type, slots), start, step, n,
            )  # fmt: skip
            found = builder.load(_pointer(context, builder, seen_type, seen, start, n), align=4)
            counts = builder.and_(found, _same(vector, 1023))
            chances = builder.lshr(found, _same(vector, 10))
            rate = ir.Constant(vector, ir.Undefined)
            for lane in range(n):
                place = ir.Constant(_INT32, lane)
                index = builder.zext(builder.extract_element(counts, place), _INT64)
                rate = builder.insert_element(
                    rate, builder.load(builder.gep(table, [index])), place
                )
            gap = builder.ashr(builder.sub(_splat(builder, target, n), chances), _same(vector, 3))
            move = builder.mul(builder.sext(gap, wide), builder.sext(rate, wide))
            move = builder.trunc(builder.ashr(move, _same(wide, 13)), vector)
            chances = builder.shl(builder.add(chances, move), _same(vector, 10))
            highest = _splat(builder, limit, n)
            counts = builder.add(counts, _same(vector, 1))
            counts = builder.select(builder.icmp_signed("<", counts, highest), counts, highest)
            moved = builder.or_(chances, counts)
            for lane, place in enumerate(places):
                builder.store(builder.extract_element(moved, ir.Constant(_INT32, lane)), place)
            return context.get_dummy_value()

        return signature, generate

    return update_lanes


def _train(n: int, n_sets: int = 2) -> Any:
    @intrinsic
    def train_lanes(typing_context, weights, first, second, third, inputs, start, error, largest):
        signature = types.void(
            weights,
            types.uint64,
            types.uint64,
            types.uint64,
            inputs,
            types.uint64,
            types.int32,
            types.int32,
        )

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            weights_type, inputs_type = signature.args[0], signature.args[4]
            weights, first, second, third, inputs, start, error, largest = arguments
            vector = ir.VectorType(_INT32, n)
            places = [
                _pointer(context, builder, weights_type, weights, index, n)
                for index in (first, second, third)[:n_sets]
            ]
            source = _pointer(context, builder, inputs_type, inputs, start, n)
            products = builder.mul(builder.load(source, align=4), _splat(builder, error, n))
            rounded = builder.add(products, _same(vector, 8192))
            steps = builder.ashr(rounded, _same(vector, 14))
            highest = _splat(builder, largest, n)
            lowest = _splat(builder, builder.neg(largest), n)
            moved = []
            for place in places:
                value = builder.add(builder.load(place, align=4), steps)
                value = builder.select(builder.icmp_signed("<", value, highest), value, highest)
                moved.append(builder.select(builder.icmp_signed(">", value, lowest), value, lowest))
            for place, value in zip(places, moved, strict=True):
                builder.store(value, place, align=4)
            return context.get_dummy_value()

        return signature, generate

    return train_lanes


@intrinsic
def _average_errors(typing_context, errors, here, above, averages):
    signature = types.void(errors, types.uint64, types.uint64, averages)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        errors, here, above, averages = arguments
        errors_type, averages_type = signature.args[0], signature.args[3]
        n_bytes = errors_type.dtype.bitwidth // 8

        def at(place: Any, lanes_before: int) -> Any:
            index = builder.sub(place, ir.Constant(_INT64, lanes_before))
            pointer = _pointer(context, builder, errors_type, errors, index, LANES)
            return builder.load(pointer, align=n_bytes)

        near = builder.add(at(here, LANES), at(above, 0))
        far = builder.add(at(above, LANES), at(above, -LANES))
        total = builder.add(builder.add(builder.add(near, near), far), at(here, 2 * LANES))
        target = _pointer(context, builder, averages_type, averages, ir.Constant(_INT64, 0), LANES)
        builder.store(builder.ashr(total, _same(total.type, 3)), target, align=n_bytes)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _note_errors(typing_context, errors, here, predictions, value, limit):
    signature = types.void(errors, types.uint64, predictions, errors.dtype, errors.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        errors, here, predictions, value, limit = arguments
        errors_type, _, predictions_type = signature.args[:3]
        n_bytes = errors_type.dtype.bitwidth // 8
        source = _pointer(
            context, builder, predictions_type, predictions, ir.Constant(_INT64, 0), LANES
        )
        gaps = builder.sub(_splat(builder, value, LANES), builder.load(source, align=n_bytes))
        negative = builder.icmp_signed("<", gaps, _same(gaps.type, 0))
        sizes = builder.select(negative, builder.neg(gaps), gaps)
        highest = _splat(builder, limit, LANES)
        sizes = builder.select(builder.icmp_signed("<", sizes, highest), sizes, highest)
        target = _pointer(context, builder, errors_type, errors, here, LANES)
        builder.store(sizes, target, align=n_bytes)
        return context.get_dummy_value()

    return signature, generate


def _average_errors_plainly(errors, here, above, averages):
    here, above = int(here), int(above)
    for lane in range(LANES):
        near = int(errors[here - LANES + lane]) + int(errors[above + lane])
        far = int(errors[above - LANES + lane]) + int(errors[above + LANES + lane])
        averages[lane] = (2 * near + far + int(errors[here - 2 * LANES + lane])) >> 3


def _note_errors_plainly(errors, here, predictions, value, limit):
    for lane in range(LANES):
        errors[int(here) + lane] = min(abs(int(value) - int(predictions[lane])), int(limit))


def _mix_plainly(n: int, n_sets: int = 2) -> Any:
    def mix_lanes(
        states, slots, start, step, stretch, masks, weights, one, two, three, inputs, seen
    ):
        total = 0
        for lane in range(int(start), int(start) + n):
            state = states[int(slots[lane]) + int(step)]
            seen[lane] = state
            inputs[lane] = int(stretch[int(state) >> 20]) & int(masks[lane]) | int(
                masks[lane + 2 * LANES]
            )
            place = lane - int(start)
            weight = sum(int(weights[int(row) + place]) for row in (one, two, three)[:n_sets])
            total += weight * int(inputs[lane])
        return total

    return mix_lanes


def _update_plainly(n: int) -> Any:
    def update_lanes(states, slots, start, step, seen, rates, target, limit):
        for lane in range(int(start), int(start) + n):
            state = int(seen[lane])
            count, chance = state & 1023, state >> 10
            chance += ((int(target) - chance) >> 3) * int(rates[count]) >> 13
            states[int(slots[lane]) + int(step)] = chance << 10 | min(count + 1, int(limit))

    return update_lanes


def _train_plainly(n: int, n_sets: int = 2) -> Any:
    def train_lanes(weights, first, second, third, inputs, start, error, largest):
        for lane in range(n):
            step = (int(error) * int(inputs[int(start) + lane]) + 8192) >> 14
            for row in (first, second, third)[:n_sets]:
                moved = int(weights[int(row) + lane]) + step
                weights[int(row) + lane] = min(max(moved, -int(largest)), int(largest))

    return train_lanes


@intrinsic
def _shift_right(typing_context, value, n_bits):
    signature = value(value, value)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ashr(*arguments)

    return signature, generate


def _shift_right_plainly(value, n_bits):
    return value >> n_bits


_plain = bool(config.DISABLE_JIT)

shift_right = _shift_right_plainly if _plain else _shift_right
"""Return value >> n_bits of their own type, where Numba would compute in 64 bits."""


mix_few = (_mix_plainly if _plain else _mix)(FEW_LANES)
mix_lanes = (_mix_plainly if _plain else _mix)(LANES)
mix_three = (_mix_plainly if _plain else _mix)(LANES, 3)
"""Return the sum of weight * input over eight (four) lanes, modulo 2^32.

Arguments: states (uint32), slots (uint64), the first lane (uint64), the node (uint64), the table of
stretched probabilities (int32), masks (int32: 16 that keep an input, 16 fixed inputs), weights
(int32) and the two offsets into them (uint64). Leaves inputs (int32) and states seen (uint32).
"""

update_few = (_update_plainly if _plain else _update)(FEW_LANES)
update_lanes = (_update_plainly if _plain else _update)(LANES)
"""Move eight (four) states towards `target` (int32, of 22 bits) and count up to `limit` (int32)."""

train_few = (_train_plainly if _plain else _train)(FEW_LANES)
train_lanes = (_train_plainly if _plain else _train)(LANES)
train_three = (_train_plainly if _plain else _train)(LANES, 3)
"""Move two times eight (four) weights by (error * input + 2^13) >> 14, within +-`largest`.

Arguments: weights, first and second offset (uint64) into them, inputs (int32) and the offset of
their first lane (uint64), error (int32), largest (int32).
"""

average_errors = _average_errors_plainly if _plain else _average_errors
"""Fill `averages` with (2 (W + N) + NE + NW + WW) >> 3 of the errors of eight predictions.

Arguments: errors (any integers), the place of the sample's own (uint64) and of those above it
(uint64), averages.
"""

note_errors = _note_errors_plainly if _plain else _note_errors
"""Put min(|value - prediction|, limit) of eight predictions into the errors from a place on.

Arguments: errors (any integers), the place (uint64), predictions, value and limit, all of the
type of the errors.
"""
