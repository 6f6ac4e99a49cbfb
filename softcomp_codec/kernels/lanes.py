"""Eight-lane vector arithmetic that Numba's loop vectorizer leaves scalar.

Numba does not vectorize loops of eight rounds whose arrays might overlap. These helpers emit vector
instructions of LLVM, which exist on every processor that Numba supports; the arithmetic is that of
32-bit integers, so every processor gives the same numbers.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import config as numba_config
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

config: Any = numba_config

LANES = 8

_INT32 = ir.IntType(32)
_VECTOR = ir.VectorType(_INT32, LANES)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


def _splat(builder: Any, value: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_VECTOR, [0] * LANES))


@intrinsic
def _train_lanes(typing_context, weights, first, second, inputs, start, error, largest):
    signature = types.void(
        weights, types.uint64, types.uint64, inputs, types.uint64, types.int32, types.int32
    )

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        weights_type, inputs_type = signature.args[0], signature.args[3]
        weights, first, second, inputs, start, error, largest = arguments
        places = [
            _pointer(context, builder, weights_type, weights, index) for index in (first, second)
        ]
        source = _pointer(context, builder, inputs_type, inputs, start)
        products = builder.mul(builder.load(source, align=4), _splat(builder, error))
        rounded = builder.add(products, ir.Constant(_VECTOR, [8192] * LANES))
        steps = builder.ashr(rounded, ir.Constant(_VECTOR, [14] * LANES))
        highest = _splat(builder, largest)
        lowest = _splat(builder, builder.neg(largest))
        moved = []
        for place in places:
            value = builder.add(builder.load(place, align=4), steps)
            value = builder.select(builder.icmp_signed("<", value, highest), value, highest)
            moved.append(builder.select(builder.icmp_signed(">", value, lowest), value, lowest))
        for place, value in zip(places, moved, strict=True):
            builder.store(value, place, align=4)
        return context.get_dummy_value()

    return signature, generate


def _train_lanes_plainly(weights, first, second, inputs, start, error, largest):
    for lane in range(LANES):
        step = (int(error) * int(inputs[int(start) + lane]) + 8192) >> 14
        for offset in (int(first) + lane, int(second) + lane):
            weights[offset] = min(max(int(weights[offset]) + step, -int(largest)), int(largest))


train_lanes = _train_lanes_plainly if config.DISABLE_JIT else _train_lanes
"""Move two times eight weights (int32) by (error * input + 2^13) >> 14, within +-`largest`.

Arguments: weights, first and second offset (uint64) into them, inputs (int32) and the offset of
their first lane (uint64), error (int32), largest (int32).
"""
