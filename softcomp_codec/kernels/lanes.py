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


def _slot_places(builder: Any, states: Any, slots: Any, start: Any, step: Any, n: int) -> Any:
    """Return pointers to (states + step)[slots[start + lane]] of some lanes.

    The same places as `_places`, but one addition for all lanes instead of one for each.
    """
    base = builder.gep(states, [step])
    lanes = [builder.add(start, ir.Constant(_INT64, lane)) for lane in range(n)]
    return [builder.gep(base, [builder.load(builder.gep(slots, [lane]))]) for lane in lanes]


def _mix_states(n: int, n_states: int, n_sets: int = 2) -> Any:
    @intrinsic
    def mix_states(
        typing_context, states, slots, start, step, stretch, weights, one, two, three, inputs
    ):
        u64 = types.uint64
        signature = types.int32(states, slots, u64, u64, stretch, weights, u64, u64, u64, inputs)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            states_type, slots_type, _, _, stretch_type, weights_type, _, _, _, inputs_type = (
                signature.args
            )
            states, slots, start, step, stretch, weights, one, two, three, inputs = arguments
            table = _data(context, builder, stretch_type, stretch)
            places = _slot_places(
                builder, _data(context, builder, states_type, states),
                _data(context, builder, slots_type, slots), start, step, n_states,
            )  # fmt: skip
            shift = ir.Constant(_INT32, 20)
            indices = [builder.lshr(builder.load(place), shift) for place in places]
            # Four lanes at a time: their inputs do not wait for each other, and the sum needs
            # no move between the halves of a longer vector.
            short, vector = ir.VectorType(ir.IntType(16), 4), ir.VectorType(_INT32, 4)
            products = ir.Constant(vector, [0] * 4)
            for first in range(0, n, 4):

                def at(kind: Any, array: Any, index: Any, first: int = first) -> Any:
                    index = builder.add(index, ir.Constant(_INT64, first))
                    return _pointer(context, builder, kind, array, index, 4)

                mapped = ir.Constant(short, [256 * (first + lane >= n_states) for lane in range(4)])
                for lane, index in enumerate(indices[first : first + 4]):
                    value = builder.load(builder.gep(table, [builder.zext(index, _INT64)]))
                    mapped = builder.insert_element(mapped, value, ir.Constant(_INT32, lane))
                mapped = builder.sext(mapped, vector)
                builder.store(mapped, at(inputs_type, inputs, start), align=4)
                weight = ir.Constant(vector, [0] * 4)
                for row in (one, two, three)[:n_sets]:
                    part = builder.load(at(weights_type, weights, row), align=4)
                    weight = builder.add(weight, part)
                products = builder.add(products, builder.mul(weight, mapped))
            reduce = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(_INT32, [vector]), "llvm.vector.reduce.add.v4i32"
            )
            return builder.call(reduce, [products])

        return signature, generate

    return mix_states


def _update_states(n: int, n_states: int) -> Any:
    @intrinsic
    def update_states(typing_context, states, slots, start, step, rates, kept, target, limit):
        u64 = types.uint64
        signature = types.void(states, slots, u64, u64, rates, kept, types.int32, types.int32)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            states_type, slots_type, _, _, rates_type, kept_type, _, _ = signature.args
            states, slots, start, step, rates, kept, target, limit = arguments
            vector, wide = ir.VectorType(_INT32, n), ir.VectorType(_INT64, n // 2)
            table = _data(context, builder, rates_type, rates)
            places = _slot_places(
                builder, _data(context, builder, states_type, states),
                _data(context, builder, slots_type, slots), start, step, n_states,
            )  # fmt: skip
            found = rate = ir.Constant(vector, [0] * n)
            for lane, place in enumerate(places):
                at, state = ir.Constant(_INT32, lane), builder.load(place)
                count = builder.zext(builder.and_(state, ir.Constant(_INT32, 1023)), _INT64)
                found = builder.insert_element(found, state, at)
                rate = builder.insert_element(rate, builder.load(builder.gep(table, [count])), at)
            mask = builder.load(_pointer(context, builder, kept_type, kept, start, n), align=4)
            rate = builder.and_(rate, mask)
            chances = builder.lshr(found, _same(vector, 10))
            gap = builder.ashr(builder.sub(_splat(builder, target, n), chances), _same(vector, 3))

            def products(odd: bool) -> Any:
                """Return the moves of the even lanes, or of the odd ones, in 64 bits."""
                factors = []
                for factor in (gap, rate):
                    pairs = builder.bitcast(factor, wide)
                    if not odd:
                        pairs = builder.shl(pairs, _same(wide, 32))
                    factors.append(builder.ashr(pairs, _same(wide, 32)))
                return builder.lshr(builder.mul(*factors), _same(wide, 13))

            even = builder.bitcast(products(False), vector)
            odd = builder.bitcast(builder.shl(products(True), _same(wide, 32)), vector)
            order = ir.Constant(vector, [lane + n * (lane & 1) for lane in range(n)])
            chances = builder.add(chances, builder.shuffle_vector(even, odd, order))
            counts = builder.add(builder.and_(found, _same(vector, 1023)), _same(vector, 1))
            highest = _splat(builder, limit, n)
            counts = builder.select(builder.icmp_signed("<", counts, highest), counts, highest)
            moved = builder.or_(builder.shl(chances, _same(vector, 10)), counts)
            for lane, place in enumerate(places):
                builder.store(builder.extract_element(moved, ir.Constant(_INT32, lane)), place)
            return context.get_dummy_value()

        return signature, generate

    return update_states


@intrinsic
def _put_eight(typing_context, array, start, a, b, c, d, e, f, g, h):
    signature = types.void(array, types.uint64, *[array.dtype] * LANES)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type = signature.args[0]
        array, start, *values = arguments
        vector = ir.Constant(ir.VectorType(values[0].type, LANES), ir.Undefined)
        for lane, value in enumerate(values):
            vector = builder.insert_element(vector, value, ir.Constant(_INT32, lane))
        place = _pointer(context, builder, array_type, array, start, LANES)
        builder.store(vector, place, align=array_type.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _prefetch(typing_context, array, place):
    signature = types.void(array, types.uint64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place = arguments
        byte = ir.IntType(8).as_pointer()
        place = builder.gep(_data(context, builder, signature.args[0], array), [place])
        kind = ir.FunctionType(ir.VoidType(), [byte, _INT32, _INT32, _INT32])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        hints = [ir.Constant(_INT32, hint) for hint in (0, 3, 1)]  # read, keep near, data
        builder.call(fetch, [builder.bitcast(place, byte), *hints])
        return context.get_dummy_value()

    return signature, generate


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
def _average_errors(typing_context, errors, here, above, shift, averages):
    signature = types.void(errors, types.uint64, types.uint64, errors.dtype, averages)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        errors, here, above, shift, averages = arguments
        errors_type, averages_type = signature.args[0], signature.args[4]
        n_bytes = errors_type.dtype.bitwidth // 8

        def at(place: Any, lanes_before: int) -> Any:
            index = builder.sub(place, ir.Constant(_INT64, lanes_before))
            pointer = _pointer(context, builder, errors_type, errors, index, LANES)
            return builder.load(pointer, align=n_bytes)

        near = builder.add(at(here, LANES), at(above, 0))
        far = builder.add(at(above, LANES), at(above, -LANES))
        total = builder.add(builder.add(builder.add(near, near), far), at(here, 2 * LANES))
        target = _pointer(context, builder, averages_type, averages, ir.Constant(_INT64, 0), LANES)
        total = builder.ashr(
            builder.ashr(total, _same(total.type, 3)), _splat(builder, shift, LANES)
        )
        highest = _same(total.type, 2047)
        total = builder.select(builder.icmp_signed("<", total, highest), total, highest)
        builder.store(total, target, align=n_bytes)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _note_errors(typing_context, errors, here, predictions, value, limit):
    number = predictions.dtype
    signature = types.void(errors, types.uint64, predictions, number, number)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        errors, here, predictions, value, limit = arguments
        errors_type, _, predictions_type = signature.args[:3]
        n_bytes = predictions_type.dtype.bitwidth // 8
        source = _pointer(
            context, builder, predictions_type, predictions, ir.Constant(_INT64, 0), LANES
        )
        gaps = builder.sub(_splat(builder, value, LANES), builder.load(source, align=n_bytes))
        negative = builder.icmp_signed("<", gaps, _same(gaps.type, 0))
        sizes = builder.select(negative, builder.neg(gaps), gaps)
        highest = _splat(builder, limit, LANES)
        sizes = builder.select(builder.icmp_signed("<", sizes, highest), sizes, highest)
        target = _pointer(context, builder, errors_type, errors, here, LANES)
        n_bits = errors_type.dtype.bitwidth
        if n_bits < predictions_type.dtype.bitwidth:
            sizes = builder.trunc(sizes, ir.VectorType(ir.IntType(n_bits), LANES))
        builder.store(sizes, target, align=n_bits // 8)
        return context.get_dummy_value()

    return signature, generate


def _average_errors_plainly(errors, here, above, shift, averages):
    here, above = int(here), int(above)
    for lane in range(LANES):
        near = int(errors[here - LANES + lane]) + int(errors[above + lane])
        far = int(errors[above - LANES + lane]) + int(errors[above + LANES + lane])
        total = 2 * near + far + int(errors[here - 2 * LANES + lane])
        averages[lane] = min(total >> 3 >> int(shift), 2047)


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


def _mix_states_plainly(n: int, n_states: int, n_sets: int = 2) -> Any:
    def mix_states(states, slots, start, step, stretch, weights, one, two, three, inputs):
        total = 0
        for lane in range(n):
            value = 256
            if lane < n_states:
                value = int(stretch[int(states[int(slots[int(start) + lane]) + int(step)]) >> 20])
            inputs[int(start) + lane] = value
            weight = sum(int(weights[int(row) + lane]) for row in (one, two, three)[:n_sets])
            total += weight * value
        return total

    return mix_states


def _update_states_plainly(_n: int, n_states: int) -> Any:
    def update_states(states, slots, start, step, rates, kept, target, limit):
        for lane in range(int(start), int(start) + n_states):
            place = int(slots[lane]) + int(step)
            count, chance = int(states[place]) & 1023, int(states[place]) >> 10
            rate = int(rates[count]) & int(kept[lane])
            chance += ((int(target) - chance) >> 3) * rate >> 13
            states[place] = chance << 10 | min(count + 1, int(limit))

    return update_states


def _prefetch_plainly(array, place):
    pass


def _put_eight_plainly(array, start, *values):
    array[int(start) : int(start) + LANES] = values


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


mix_lanes = (_mix_plainly if _plain else _mix)(LANES)
mix_three = (_mix_plainly if _plain else _mix)(LANES, 3)
"""Return the sum of weight * input over eight lanes, modulo 2^32.

Arguments: states (uint32), slots (uint64), the first lane (uint64), the node (uint64), the table of
stretched probabilities (int32), masks (int32: 16 that keep an input, 16 fixed inputs), weights
(int32) and the two offsets into them (uint64). Leaves inputs (int32) and states seen (uint32).
"""

update_lanes = (_update_plainly if _plain else _update)(LANES)
"""Move eight states towards `target` (int32, of 22 bits) and count up to `limit` (int32)."""

_mix_states_of = _mix_states_plainly if _plain else _mix_states
_update_states_of = _update_states_plainly if _plain else _update_states

mix_three_states = _mix_states_of(FEW_LANES, 3)
mix_seven_states = _mix_states_of(LANES, 7)
mix_eight_states = _mix_states_of(LANES, 8)
mix_seven_states_of_three = _mix_states_of(LANES, 7, 3)
mix_eight_states_of_three = _mix_states_of(LANES, 8, 3)
"""Return the sum of weight * input over some states, and the constant 256 behind seven or three,
modulo 2^32; with two or three sets of weights.

Arguments: states (uint32), slots (uint64), the first lane (uint64), the place of the node's state
in a slot (uint64), the table of stretched probabilities (int16), weights (int32) and the three
offsets into them (uint64; the third may be unused). Leaves inputs (int32).
"""

update_three_states = _update_states_of(FEW_LANES, 3)
update_seven_states = _update_states_of(LANES, 7)
update_eight_states = _update_states_of(LANES, 8)
"""Move states towards `target` (int32, of 22 bits) and count up to `limit` (int32).

Arguments: states, slots, first lane and place as above, the table of rates (int32), masks (int32)
that are -1 for lanes in use and 0 where a state must not move, target and limit. Lanes that are
not in use may share a slot.
"""

prefetch = _prefetch_plainly if _plain else _prefetch
"""Let the processor fetch the line of the cache of a place (uint64) in an array."""

put_eight = _put_eight_plainly if _plain else _put_eight
"""Put eight numbers into an array of their type from a place (uint64) on, as one vector: a later
load of them all does not wait until eight stores are through."""

train_few = (_train_plainly if _plain else _train)(FEW_LANES)
train_lanes = (_train_plainly if _plain else _train)(LANES)
train_three = (_train_plainly if _plain else _train)(LANES, 3)
"""Move two times eight (four) weights by (error * input + 2^13) >> 14, within +-`largest`.

Arguments: weights, first and second offset (uint64) into them, inputs (int32) and the offset of
their first lane (uint64), error (int32), largest (int32).
"""

average_errors = _average_errors_plainly if _plain else _average_errors
"""Fill `averages` with min((2 (W + N) + NE + NW + WW) >> 3 >> shift, 2047) of eight errors.

Arguments: errors (any integers), the place of the sample's own (uint64) and of those above it
(uint64), shift and averages, both of the type of the errors.
"""

note_errors = _note_errors_plainly if _plain else _note_errors
"""Put min(|value - prediction|, limit) of eight predictions into the errors from a place on.

Arguments: errors (any integers), the place (uint64), predictions, value and limit, all three of
one type; the limit fits the errors.
"""
