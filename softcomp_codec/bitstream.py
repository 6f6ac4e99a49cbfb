"""Bits, most significant first, in a growing buffer (SPEC 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .errors import CorruptStreamError, TruncatedStreamError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class BitWriter:
    """Collects bits; kernels write behind `position` into a buffer of zeros from `reserve`."""

    def __init__(self) -> None:
        self._buffer = np.zeros(256, np.uint8)
        self.position = 0

    def reserve(self, n_bits: int) -> NDArray[np.uint8]:
        """Return the buffer with room for `n_bits` more bits; set `position` after use."""
        needed = (self.position + n_bits + 7) // 8
        if needed > len(self._buffer):
            grown = np.zeros(max(needed, 2 * len(self._buffer)), np.uint8)
            grown[: len(self._buffer)] = self._buffer
            self._buffer = grown
        return self._buffer

    def write(self, value: int, n_bits: int) -> None:
        """Append the `n_bits` low bits of `value`."""
        if not 0 <= value < 1 << n_bits:
            raise ValueError(f"{value} does not fit into {n_bits} bits")
        buffer = self.reserve(n_bits)
        for shift in range(n_bits - 1, -1, -1):
            buffer[self.position >> 3] |= (value >> shift & 1) << (7 - (self.position & 7))
            self.position += 1

    def to_bytes(self) -> bytes:
        """Return all bits, the last byte padded with 0."""
        return self._buffer[: (self.position + 7) // 8].tobytes()


class BitReader:
    """Reads bits of a payload; inverse of `BitWriter`.

    Attributes
    ----------
    data : ndarray, uint8
    position : int
        Bits read so far.
    """

    def __init__(self, payload: bytes) -> None:
        # A writable copy: kernels then have one signature.
        self.data = np.frombuffer(payload, np.uint8).copy()
        self.position = 0

    def read(self, n_bits: int, field_name: str) -> int:
        """Return the next `n_bits` bits as a number."""
        end = self.position + n_bits
        if end > 8 * len(self.data):
            raise TruncatedStreamError(
                f"payload, bit {self.position}: {field_name} needs {n_bits} bits, only "
                f"{8 * len(self.data) - self.position} are left"
            )
        value = 0
        for bit in range(self.position, end):
            value = value << 1 | int(self.data[bit >> 3]) >> (7 - (bit & 7)) & 1
        self.position = end
        return value

    def skip_padding(self) -> None:
        """Go on to the next whole byte; the bits skipped must be 0."""
        n_bits = -self.position % 8
        start = self.position
        if self.read(n_bits, "padding"):
            raise CorruptStreamError(f"payload, bit {start}: padding bits are not 0")
