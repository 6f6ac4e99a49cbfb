"""The adaptive binary arithmetic coder of the low layer (SPEC 4.4, 5.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .errors import CorruptStreamError, TruncatedStreamError
from .kernels import entropy_kernels, status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .layers import Layer

    States = NDArray[np.uint32]

NEUTRAL_STATE = np.uint32(1 << 31)
"""A state that knows nothing: probability one half, count 0."""


def neutral_states(low_bits: int, n_contexts: int) -> States:
    """Return untrained states of a low layer of `low_bits` bits (SPEC 5.9)."""
    return np.full((n_contexts, 1 << low_bits), NEUTRAL_STATE, np.uint32)


def worst_size(shape: tuple[int, ...], low_bits: int) -> int:
    """Return a buffer size that the code of a low layer never exceeds: 11 bits a decision."""
    return (shape[0] + 1) * (shape[1] + 1) * (low_bits * 11 // 8 + 2) + 16 * (shape[1] + 4)


class ArithmeticEncoder:
    """Codes low layers into `capacity` bytes, their `worst_size`; see `ArithmeticDecoder`."""

    def __init__(self, capacity: int) -> None:
        self._buffer = np.empty(capacity, np.uint8)
        self._interval = np.array([0, 0xFFFFFFFF], np.int64)
        self._position = 0

    def encode(self, mapped: Layer, low_bits: int, states: States) -> None:
        """Append the low layer of mapped residuals; `states` is not changed."""
        position = entropy_kernels.encode_low_layer(
            mapped, low_bits, states.copy(), self._interval, self._buffer, self._position
        )
        assert position >= 0, "capacity is below worst_size"
        self._position = int(position)

    def finish(self) -> bytes:
        """Return the whole code."""
        end = entropy_kernels.finish_arithmetic(self._interval, self._buffer, self._position)
        return self._buffer[:end].tobytes()


class ArithmeticDecoder:
    """Decodes low layers from byte `offset` of a payload on."""

    def __init__(self, data: NDArray[np.uint8], offset: int) -> None:
        self._data = data
        self._interval = np.zeros(3, np.int64)
        self._position = int(entropy_kernels.start_arithmetic(data, offset, self._interval))

    def decode(self, mapped: Layer, low_bits: int, states: States) -> int:
        """Fill the low layer into `mapped`, which holds the rest; `states` is not changed.

        Returns the number of samples decoded: fewer than there are where the payload ends early.
        """
        code, position, raster = entropy_kernels.decode_low_layer(
            self._data, self._position, self._interval, low_bits, states.copy(), mapped
        )
        self._position = int(position)
        return mapped.size if code == status.OK else int(raster)

    def check_end(self) -> None:
        """Raise unless the payload ends exactly where its code does."""
        expected = int(entropy_kernels.end_of_arithmetic(self._interval, self._position))
        found = len(self._data)
        if found < expected:
            raise TruncatedStreamError(
                f"payload, byte {found}: the low layer's code ends at byte {expected}"
            )
        if found > expected:
            raise CorruptStreamError(
                f"payload, byte {expected}: {found - expected} bytes follow the end of the code"
            )


def coded_bytes(mapped: Layer, low_bits: int, states: States) -> int:
    """Return the bytes that the low layer of mapped residuals takes."""
    encoder = ArithmeticEncoder(worst_size(mapped.shape, low_bits))
    encoder.encode(mapped, low_bits, states)
    return len(encoder.finish())
