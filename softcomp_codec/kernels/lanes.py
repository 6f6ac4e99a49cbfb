"""Vector arithmetic of 4 or 8 lanes that Numba's loop vectorizer leaves scalar.

Numba does not vectorize loops of eight rounds whose arrays might overlap. These helpers emit vector
instructions of LLVM, which exist on every processor that Numba supports; the arithmetic is that of
integers, so every processor gives the same numbers.
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
    pointer,
    same,
    splat,
    total,
)

FEW_LANES = 4


def _places(builder: Any, states: Any, slots: Any, start: Any, step: Any, n: int) -> list[Any]:
    """Return pointers to states[slots[start + lane] + step] of all lanes."""
    places = []
    for lane in range(n):
        at = builder.gep(slots, [builder.add(start, ir.Constant(INT64, lane))])
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
            vector = ir.VectorType(INT32, n)
            table = data_of(context, builder, stretch_type, stretch)
            places = _places(
                builder, data_of(context, builder, states_type, states),
                data_of(context, builder, slots_type, slots), start, step, n,
            )  # fmt: skip
            found = ir.Constant(vector, ir.Undefined)
            mapped = ir.Constant(vector, ir.Undefined)
            for lane, place in enumerate(places):
                state = builder.load(place)
                index = builder.zext(builder.lshr(state, ir.Constant(INT32, 20)), INT64)
                value = builder.sext(builder.load(builder.gep(table, [index])), INT32)
                found = builder.insert_element(found, state, ir.Constant(INT32, lane))
                mapped = builder.insert_element(mapped, value, ir.Constant(INT32, lane))

            def at(kind: Any, array: Any, index: Any) -> Any:
                return pointer(context, builder, kind, array, index, n)

            sixteen = ir.Constant(INT64, 2 * LANES)
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
            return total(builder, products)

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
            vector, wide = ir.VectorType(INT32, n), ir.VectorType(INT64, n)
            table = data_of(context, builder, rates_type, rates)
            places = _places(
                builder, data_of(context, builder, states_type, states),
                data_of(context, builder, slots_type, slots), start, step, n,
            )  # fmt: skip
            found = builder.load(pointer(context, builder, seen_type, seen, start, n), align=4)
            counts = builder.and_(found, same(vector, 1023))
            chances = builder.lshr(found, same(vector, 10))
            rate = ir.Constant(vector, ir.Undefined)
            for lane in range(n):
                place = ir.Constant(INT32, lane)
                index = builder.zext(builder.extract_element(counts, place), INT64)
                rate = builder.insert_element(
                    rate, builder.load(builder.gep(table, [index])), place
                )
            gap = builder.ashr(builder.sub(splat(builder, target, n), chances), same(vector, 3))
            move = builder.mul(builder.sext(gap, wide), builder.sext(rate, wide))
            move = builder.trunc(builder.ashr(move, same(wide, 13)), vector)
            chances = builder.shl(builder.add(chances, move), same(vector, 10))
            highest = splat(builder, limit, n)
            counts = builder.add(counts, same(vector, 1))
            counts = builder.select(builder.icmp_signed("<", counts, highest), counts, highest)
            moved = builder.or_(chances, counts)
            for lane, place in enumerate(places):
                builder.store(builder.extract_element(moved, ir.Constant(INT32, lane)), place)
            return context.get_dummy_value()

        return signature, generate

    return update_lanes


def slot_places(builder: Any, states: Any, slots: Any, start: Any, step: Any, n: int) -> Any:
    """Return pointers to (states + step)[slots[start + lane]] of some lanes.

    The same places as `_places`, but one addition for all lanes instead of one for each.
    """
    base = builder.gep(states, [step])
    lanes = [builder.add(start, ir.Constant(INT64, lane)) for lane in range(n)]
    found = [builder.load(builder.gep(slots, [lane])) for lane in lanes]
    return [builder.gep(base, [builder.zext(slot, INT64)]) for slot in found]


def _mix_states(n: int, n_states: int, n_sets: int = 2) -> Any:
    @intrinsic
    def mix_states(typing_context, states, slots, start, step, stretch, weights, one, two, three):
        u64 = types.uint64
        result = types.Tuple((types.int32, Vector(types.int32, n)))
        signature = result(states, slots, u64, u64, stretch, weights, u64, u64, u64)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            states_type, slots_type, _, _, stretch_type, weights_type, _, _, _ = signature.args
            states, slots, start, step, stretch, weights, one, two, three = arguments
            table = data_of(context, builder, stretch_type, stretch)
            places = slot_places(
                builder, data_of(context, builder, states_type, states),
                data_of(context, builder, slots_type, slots), start, step, n_states,
            )  # fmt: skip
            shift = ir.Constant(INT32, 20)
            indices = [builder.lshr(builder.load(place), shift) for place in places]
            # Four lanes at a time: their inputs do not wait for each other, and the sum needs
            # no move between the halves of a longer vector.
            short, vector = ir.VectorType(ir.IntType(16), 4), ir.VectorType(INT32, 4)
            products = ir.Constant(vector, [0] * 4)
            parts = []
            for first in range(0, n, 4):

                def at(kind: Any, array: Any, index: Any, first: int = first) -> Any:
                    index = builder.add(index, ir.Constant(INT64, first))
                    return pointer(context, builder, kind, array, index, 4)

                mapped = ir.Constant(short, [256 * (first + lane >= n_states) for lane in range(4)])
                for lane, index in enumerate(indices[first : first + 4]):
                    value = builder.load(builder.gep(table, [builder.zext(index, INT64)]))
                    mapped = builder.insert_element(mapped, value, ir.Constant(INT32, lane))
                mapped = builder.sext(mapped, vector)
                parts.append(mapped)
                weight = ir.Constant(vector, [0] * 4)
                for row in (one, two, three)[:n_sets]:
                    part = builder.load(at(weights_type, weights, row), align=4)
                    weight = builder.add(weight, part)
                products = builder.add(products, builder.mul(weight, mapped))
            inputs = parts[0]
            if n > 4:
                inputs = choose(builder, parts[0], parts[1], list(range(n)))
            found = [total(builder, products), inputs]
            return context.make_tuple(builder, signature.return_type, found)

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
            vector, wide = ir.VectorType(INT32, n), ir.VectorType(INT64, n // 2)
            table = data_of(context, builder, rates_type, rates)
            places = slot_places(
                builder, data_of(context, builder, states_type, states),
                data_of(context, builder, slots_type, slots), start, step, n_states,
            )  # fmt: skip
            found = rate = ir.Constant(vector, [0] * n)
            for lane, place in enumerate(places):
                at, state = ir.Constant(INT32, lane), builder.load(place)
                count = builder.zext(builder.and_(state, ir.Constant(INT32, 1023)), INT64)
                found = builder.insert_element(found, state, at)
                rate = builder.insert_element(rate, builder.load(builder.gep(table, [count])), at)
            mask = builder.load(pointer(context, builder, kept_type, kept, start, n), align=4)
            rate = builder.and_(rate, mask)
            chances = builder.lshr(found, same(vector, 10))
            gap = builder.ashr(builder.sub(splat(builder, target, n), chances), same(vector, 3))

            def products(odd: bool) -> Any:
                """Return the moves of the even lanes, or of the odd ones, in 64 bits."""
                factors = []
                for factor in (gap, rate):
                    pairs = builder.bitcast(factor, wide)
                    if not odd:
                        pairs = builder.shl(pairs, same(wide, 32))
                    factors.append(builder.ashr(pairs, same(wide, 32)))
                return builder.lshr(builder.mul(*factors), same(wide, 13))

            even = builder.bitcast(products(False), vector)
            odd = builder.bitcast(builder.shl(products(True), same(wide, 32)), vector)
            order = ir.Constant(vector, [lane + n * (lane & 1) for lane in range(n)])
            chances = builder.add(chances, builder.shuffle_vector(even, odd, order))
            counts = builder.add(builder.and_(found, same(vector, 1023)), same(vector, 1))
            highest = splat(builder, limit, n)
            counts = builder.select(builder.icmp_signed("<", counts, highest), counts, highest)
            moved = builder.or_(builder.shl(chances, same(vector, 10)), counts)
            for lane, place in enumerate(places):
                builder.store(builder.extract_element(moved, ir.Constant(INT32, lane)), place)
            return context.get_dummy_value()

        return signature, generate

    return update_states


@intrinsic
def _prefetch(typing_context, array, place):
    signature = types.void(array, types.uint64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place = arguments
        byte = ir.IntType(8).as_pointer()
        place = builder.gep(data_of(context, builder, signature.args[0], array), [place])
        kind = ir.FunctionType(ir.VoidType(), [byte, INT32, INT32, INT32])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        hints = [ir.Constant(INT32, hint) for hint in (0, 3, 1)]  # read, keep near, data
        builder.call(fetch, [builder.bitcast(place, byte), *hints])
        return context.get_dummy_value()

    return signature, generate


def _move_weights(
    context: Any, builder: Any, kind: Any, weights: Any, rows: Any, inputs: Any, error: Any,
    largest: Any,
) -> None:  # fmt: skip
    """Move the weights of each row by the error and the inputs."""
    n = inputs.type.count
    products = builder.mul(inputs, splat(builder, error, n))
    steps = builder.ashr(builder.add(products, same(inputs.type, 8192)), same(inputs.type, 14))
    highest, lowest = splat(builder, largest, n), splat(builder, builder.neg(largest), n)
    places = [pointer(context, builder, kind, weights, row, n) for row in rows]
    moved = [builder.add(builder.load(place, align=4), steps) for place in places]
    for place, value in zip(places, moved, strict=True):
        builder.store(clamp(builder, value, lowest, highest), place, align=4)


def _train(n: int, n_sets: int = 2) -> Any:
    @intrinsic
    def train_lanes(typing_context, weights, first, second, third, inputs, start, error, largest):
        u64, i32 = types.uint64, types.int32
        signature = types.void(weights, u64, u64, u64, inputs, u64, i32, i32)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            weights, first, second, third, inputs, start, error, largest = arguments
            found = load(context, builder, signature.args[4], inputs, start, n)
            rows = (first, second, third)[:n_sets]
            _move_weights(context, builder, signature.args[0], weights, rows, found, error, largest)
            return context.get_dummy_value()

        return signature, generate

    return train_lanes


def _learn(n_sets: int = 2) -> Any:
    @intrinsic
    def learn(typing_context, weights, first, second, third, inputs, error, largest):
        u64, i32 = types.uint64, types.int32
        signature = types.void(weights, u64, u64, u64, inputs, i32, i32)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            weights, first, second, third, inputs, error, largest = arguments
            rows = (first, second, third)[:n_sets]
            _move_weights(
                context, builder, signature.args[0], weights, rows, inputs, error, largest
            )
            return context.get_dummy_value()

        return signature, generate

    return learn


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
    def mix_states(states, slots, start, step, stretch, weights, one, two, three):
        inputs = np.full(n, 256, np.int32)
        for lane in range(n_states):
            state = states[int(slots[int(start) + lane]) + int(step)]
            inputs[lane] = stretch[int(state) >> 20]
        weighted = 0
        for lane in range(n):
            weight = sum(int(weights[int(row) + lane]) for row in (one, two, three)[:n_sets])
            weighted += weight * int(inputs[lane])
        return weighted, inputs

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


def _learn_plainly(n_sets: int = 2) -> Any:
    def learn(weights, first, second, third, inputs, error, largest):
        steps = (inputs.astype(np.int64) * int(error) + 8192) >> 14
        for row in (first, second, third)[:n_sets]:
            moved = weights[int(row) : int(row) + len(inputs)]
            moved[:] = np.clip(moved + steps, -int(largest), int(largest))

    return learn


def _train_plainly(n: int, n_sets: int = 2) -> Any:
    learn = _learn_plainly(n_sets)

    def train_lanes(weights, first, second, third, inputs, start, error, largest):
        found = inputs[int(start) : int(start) + n]
        learn(weights, first, second, third, found, error, largest)

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
modulo 2^32; with two or three sets of weights. And the inputs, as a vector.

Arguments: states (uint32), slots (uint32), the first lane (uint64), the place of the node's state
in a slot (uint64), the table of stretched probabilities (int16), weights (int32) and the three
offsets into them (uint64; the third may be unused).
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

train_lanes = (_train_plainly if _plain else _train)(LANES)
train_three = (_train_plainly if _plain else _train)(LANES, 3)
"""Move two (three) times eight weights by (error * input + 2^13) >> 14, within +-`largest`.

Arguments: weights, the offsets (uint64) into them (the third may be unused), inputs (int32) and the
offset of their first lane (uint64), error (int32), largest (int32).
"""

learn = (_learn_plainly if _plain else _learn)()
learn_of_three = (_learn_plainly if _plain else _learn)(3)
"""The same with the inputs as a vector, and as many weights a set as it has lanes."""
