"""States whose log-odds add up (SPEC 5C.10): their sum, and how they learn from one error.

A state is a signed number of 32 bits: log-odds above, in 2^-16 of a natural logarithm's unit, and
the rate at which they move in the lowest `RATE_BITS`. Sums are taken of whole states, since what
the rates add is nothing.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .lanes import slot_places
from .vectors import (
    INT32,
    INT64,
    LANES,
    Vector,
    clamp,
    config,
    data_of,
    place_of,
    pointer,
    same,
    splat,
)

RATE_BITS = 12
RATE_MASK = (1 << RATE_BITS) - 1
FIRST_RATE, RATE_BASE, RATE_LOSS_BITS = 1696, 100, 7
"""A rate loses 1/128 of what it is above its base whenever its state moves, rounded down; so it
stays at 227 in the end."""

ODDS_LIMIT = (1 << 31 - RATE_BITS) - 1
MOVE_BITS = 13
"""An error of 1/2, which is 2^15, moves log-odds by 4 times the rate."""

MOVING = (1 << MOVE_BITS - 1, -ODDS_LIMIT, ODDS_LIMIT, RATE_BASE)
"""What `moving_vectors` takes: half a unit of a move, the limits of log-odds, the base of rates.

Kernels have it as an argument: constants would be fetched from an address of 64 bits at each
decision, numbers of the running program stay in registers."""

SUM_BITS = 20
"""How far a sum is shifted for the index of `squash`, whose unit is 1/256."""


def _sum_states(n_states: int) -> Any:
    @intrinsic
    def sum_states(typing_context, states, slots, start, step):
        signature = types.int64(states, slots, types.uint64, types.uint64)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            states_type, slots_type, _, _ = signature.args
            states, slots, start, step = arguments
            places = slot_places(
                builder, data_of(context, builder, states_type, states),
                data_of(context, builder, slots_type, slots), start, step, n_states,
            )  # fmt: skip
            found = [builder.sext(builder.load(place), INT64) for place in places]
            while len(found) > 1:
                odd = found[len(found) // 2 * 2 :]
                found = [builder.add(*found[k : k + 2]) for k in range(0, len(found) - 1, 2)] + odd
            return found[0]

        return signature, generate

    return sum_states


@intrinsic
def _moving_vectors(typing_context, numbers):
    signature = types.UniTuple(Vector(types.int32), len(MOVING))(numbers)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (numbers,) = arguments
        found = []
        for place in range(len(MOVING)):
            number = builder.trunc(builder.extract_value(numbers, place), INT32)
            found.append(splat(builder, number))
        return context.make_tuple(builder, signature.return_type, found)

    return signature, generate


def _move_states(n_states: int) -> Any:
    @intrinsic
    def move_states(typing_context, states, slots, start, step, kept, moving, error):
        u64 = types.uint64
        signature = types.void(states, slots, u64, u64, kept, moving, types.int32)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            states_type, slots_type, _, _, kept_type, _, _ = signature.args
            states, slots, start, step, kept, moving, error = arguments
            half, lowest, highest, base = (
                builder.extract_value(moving, place) for place in range(len(MOVING))
            )
            vector = ir.VectorType(INT32, LANES)
            places = slot_places(
                builder, data_of(context, builder, states_type, states),
                data_of(context, builder, slots_type, slots), start, step, n_states,
            )  # fmt: skip
            found = same(vector, 0)
            for lane, place in enumerate(places):
                found = builder.insert_element(found, builder.load(place), place_of(lane))
            rates = builder.and_(found, same(vector, RATE_MASK))
            # both factors are seen to fit 16 bits, whose products are cheaper
            error = builder.sext(builder.trunc(error, ir.IntType(16)), INT32)
            moves = builder.mul(rates, splat(builder, error))
            moves = builder.ashr(builder.add(moves, half), same(vector, MOVE_BITS))
            odds = builder.add(builder.ashr(found, same(vector, RATE_BITS)), moves)
            odds = clamp(builder, odds, lowest, highest)
            losses = builder.ashr(builder.sub(rates, base), same(vector, RATE_LOSS_BITS))
            moved = builder.shl(odds, same(vector, RATE_BITS))
            moved = builder.or_(moved, builder.sub(rates, losses))
            mask = builder.load(pointer(context, builder, kept_type, kept, start), align=4)
            moved = builder.and_(moved, mask)
            for lane, place in enumerate(places):
                builder.store(builder.extract_element(moved, place_of(lane)), place)
            return context.get_dummy_value()

        return signature, generate

    return move_states


def _sum_states_plainly(n_states: int) -> Any:
    def sum_states(states, slots, start, step):
        places = [int(slots[int(start) + lane]) + int(step) for lane in range(n_states)]
        return sum(_signed(states[place]) for place in places)

    return sum_states


def _move_states_plainly(n_states: int) -> Any:
    def move_states(states, slots, start, step, kept, _moving, error):
        for lane in range(n_states):
            place = int(slots[int(start) + lane]) + int(step)
            state = _signed(states[place])
            rate = state & RATE_MASK
            odds = (state >> RATE_BITS) + (rate * int(error) + (1 << MOVE_BITS - 1) >> MOVE_BITS)
            odds = min(max(odds, -ODDS_LIMIT), ODDS_LIMIT)
            rate -= rate - RATE_BASE >> RATE_LOSS_BITS
            moved = (odds << RATE_BITS | rate) & int(kept[int(start) + lane])
            states[place] = moved & 0xFFFFFFFF

    return move_states


def _signed(state: Any) -> int:
    return (int(state) ^ 1 << 31) - (1 << 31)


_plain = bool(config.DISABLE_JIT)

_sum_states_of = _sum_states_plainly if _plain else _sum_states
_move_states_of = _move_states_plainly if _plain else _move_states

sum_seven_states = _sum_states_of(7)
sum_eight_states = _sum_states_of(8)
"""Return the sum of some states, as signed numbers.

Arguments: states (uint32), slots (uint32), the first lane (uint64), the place of the node's state
in a slot (uint64).
"""

moving_vectors = tuple if _plain else _moving_vectors
"""Return the numbers of `MOVING` as vectors, for `move_seven_states` and `move_eight_states`."""

move_seven_states = _move_states_of(7)
move_eight_states = _move_states_of(8)
"""Move the log-odds of states by their rates and by half the error (int32), and lower the rates.

Arguments: states, slots, first lane and place as above, masks (int32) that are -1 for lanes in use
and 0 where a state, which is 0, stays so; `moving_vectors`; the error. Lanes that are not in use
may share a slot.
"""
