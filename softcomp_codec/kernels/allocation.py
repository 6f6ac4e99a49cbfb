"""New arrays inside of kernels, in place of `np.zeros` and `np.empty`.

Numba compiles several functions for each type and number of dimensions that those make, a fifth of
a second of processor time altogether; these are instructions of the kernel itself.
"""

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_new_ref
from numba.extending import intrinsic
from numba.np import arrayobj

from .jit import config

_allocate: Any = getattr(arrayobj, "_empty_nd_impl", None)


def _new(*, cleared: bool) -> Any:
    def new(typing_context, shape, number):
        n_dimensions = len(shape) if isinstance(shape, types.BaseTuple) else 1
        array_type = types.Array(number.dtype, n_dimensions, "C")
        sides: Any = types.intp
        if isinstance(shape, types.BaseTuple):
            sides = types.UniTuple(types.intp, n_dimensions)
        signature = array_type(sides, number)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            shapes = [arguments[0]]
            if isinstance(signature.args[0], types.BaseTuple):
                shapes = cgutils.unpack_tuple(builder, arguments[0])
            array = _allocate(context, builder, array_type, shapes)
            if cleared:
                n_bytes = builder.mul(array.itemsize, array.nitems)
                cgutils.memset(builder, array.data, n_bytes, 0)
            return impl_ret_new_ref(context, builder, array_type, array._getvalue())

        return signature, generate

    return intrinsic(new)


_as_numpy = bool(config.DISABLE_JIT) or _allocate is None

empty_array = np.empty if _as_numpy else _new(cleared=False)
"""Return a new array of a shape (an integer, or a tuple of them) and a NumPy type."""

zero_array = np.zeros if _as_numpy else _new(cleared=True)
"""The same, filled with 0."""
