"""Vectors of integers as values of kernels: they stay in registers.

What goes to memory in two halves and comes back as a whole waits until both have arrived. Numba has
no such values; these are LLVM's, whose arithmetic is that of integers on every processor. What is
put together here is for `lanes` and `sample_vectors`; without compiling, arrays of NumPy stand for
vectors.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core import config as numba_config
from numba.core.datamodel import models
from numba.extending import register_model
from numba.np.arrayobj import make_array

config: Any = numba_config

LANES = 8

INT32 = ir.IntType(32)
INT64 = ir.IntType(64)


class Vector(types.Type):
    """The type of `n` integers of the type `number`."""

    def __init__(self, number: Any, n: int = LANES) -> None:
        self.dtype, self.n = number, n
        super().__init__(name=f"vector({number}, {n})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        lane = ir.IntType(kind.dtype.bitwidth)
        super().__init__(manager, kind, ir.VectorType(lane, kind.n))


def data_of(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """Return the pointer to an array's first number."""
    return make_array(array_type)(context, builder, array).data


def pointer(
    context: Any, builder: Any, array_type: Any, array: Any, index: Any, n: int = LANES
) -> Any:
    """Return the pointer to `n` numbers of an array from a place on, as a vector."""
    data = data_of(context, builder, array_type, array)
    vector = ir.VectorType(ir.IntType(array_type.dtype.bitwidth), n)
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def load(
    context: Any, builder: Any, array_type: Any, array: Any, index: Any, n: int = LANES
) -> Any:
    """Return `n` numbers of an array from a place on."""
    place = pointer(context, builder, array_type, array, index, n)
    return builder.load(place, align=array_type.dtype.bitwidth // 8)


def store(context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector: Any) -> None:
    """Put a vector into an array from a place on; inverse of `load`."""
    place = pointer(context, builder, array_type, array, index, vector.type.count)
    builder.store(vector, place, align=array_type.dtype.bitwidth // 8)


def place_of(lane: int) -> Any:
    """Return the constant that names a lane."""
    return ir.Constant(INT32, lane)


def splat(builder: Any, value: Any, n: int = LANES) -> Any:
    """Return a vector of one number."""
    undefined = ir.Constant(ir.VectorType(value.type, n), ir.Undefined)
    first = builder.insert_element(undefined, value, place_of(0))
    return choose(builder, first, undefined, [0] * n)


def same(vector_type: Any, value: int) -> Any:
    """Return a constant vector of one number."""
    return ir.Constant(vector_type, [value] * vector_type.count)


def choose(builder: Any, first: Any, second: Any, order: list[int]) -> Any:
    """Return lanes of two vectors; those of the second are counted on from the first's."""
    return builder.shuffle_vector(
        first, second, ir.Constant(ir.VectorType(INT32, len(order)), order)
    )


def clamp(builder: Any, vector: Any, lowest: Any, highest: Any) -> Any:
    """Return the lanes within their limits."""
    vector = builder.select(builder.icmp_signed("<", vector, highest), vector, highest)
    return builder.select(builder.icmp_signed(">", vector, lowest), vector, lowest)


def total(builder: Any, vector: Any) -> Any:
    """Return the sum of all lanes, modulo two to the bits of one."""
    kind = vector.type
    reduce = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind.element, [kind]),
        f"llvm.vector.reduce.add.v{kind.count}i{kind.element.width}",
    )
    return builder.call(reduce, [vector])
