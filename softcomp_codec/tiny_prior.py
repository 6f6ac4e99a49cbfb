"""What a codebook knows about tiny images of one size: all that codes them (SPEC 6.6)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .container import ByteReader
from .errors import CorruptStreamError
from .kernels.tiny_kernels import (
    LANES,
    LARGEST_INPUT,
    MAX_SIDE,
    N_CONTEXTS,
    N_ENERGY_ROWS,
    N_NODES,
    N_PATTERN_ROWS,
    N_TAPS,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_WEIGHTS = N_CONTEXTS + 1
"""Weights of a node in each set: of the contexts, then of the constant."""

N_WEIGHT_ROWS = N_ENERGY_ROWS + N_PATTERN_ROWS

LEAST_SLOT_BITS, MOST_SLOT_BITS = 6, 16

_INVERTED = 1

TinyKey = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True, eq=False)
class TinyPrior:
    """All that 8-bit gray images of one size are coded with (SPEC 6.6).

    Attributes
    ----------
    height, width : int
        1 to 64.
    inverted : bool
        Whether the background is 255 instead of 0.
    slot_bits : int
        6 to 16: each context has 2**slot_bits slots.
    coefficients : ndarray, int16
        Of the prediction, in 1/4096: by row, column and tap.
    log_odds : ndarray, int8
        Of a 1, in 1/16, -127 to 127, 0 where nothing is known: by context, node and slot.
    weights : ndarray, int8
        Both sets, in 1/64: by row, node and input.
    """

    height: int
    width: int
    inverted: bool
    slot_bits: int
    coefficients: NDArray[np.int16]
    log_odds: NDArray[np.int8]
    weights: NDArray[np.int8]

    @property
    def key(self) -> TinyKey:
        """For which images it is."""
        return self.height, self.width

    @property
    def label(self) -> str:
        """The images' mode and size, for people."""
        return f"gray8, {self.width} x {self.height}"

    @property
    def n_known(self) -> int:
        """Number of nodes of which something is known."""
        return int(np.count_nonzero(self.log_odds))

    @cached_property
    def states_table(self) -> NDArray[np.int8]:
        """The log-odds as the kernel takes them: by context, slot and node."""
        by_node = self.log_odds.reshape(N_CONTEXTS, N_NODES, -1)
        return np.ascontiguousarray(by_node.transpose(0, 2, 1)).reshape(-1)

    @cached_property
    def weights_table(self) -> NDArray[np.int8]:
        """The weights as the kernel takes them, in lanes."""
        table: NDArray[np.int8] = np.zeros((N_WEIGHT_ROWS * N_NODES, LANES), np.int8)
        table[:, :N_WEIGHTS] = self.weights.reshape(-1, N_WEIGHTS)
        return table.reshape(-1)

    def to_bytes(self) -> bytes:
        """Return the canonical serialisation (SPEC 6.6); inverse of `from_bytes`."""
        known = self.log_odds != 0
        head = bytes([self.height, self.width, _INVERTED * self.inverted, self.slot_bits])
        return b"".join(
            (
                head,
                self.coefficients.astype("<i2").tobytes(),
                np.packbits(known).tobytes(),
                self.log_odds[known].tobytes(),
                self.weights.tobytes(),
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> TinyPrior:
        """Read a prior, which may be anything; inverse of `to_bytes` (SPEC 6.6).

        Raises
        ------
        CorruptStreamError, TruncatedStreamError
        """
        reader = ByteReader(data, "tiny prior")
        height, width, flags, slot_bits = reader.take(4, "size, flags and slots")
        if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE and flags <= _INVERTED):
            raise CorruptStreamError(
                f"tiny prior: {width} x {height} pixels, flags {flags:02x}h; sides are 1 to "
                f"{MAX_SIDE}"
            )
        if not LEAST_SLOT_BITS <= slot_bits <= MOST_SLOT_BITS:
            raise CorruptStreamError(
                f"tiny prior: {slot_bits} bits of a slot, expected "
                f"{LEAST_SLOT_BITS}..{MOST_SLOT_BITS}"
            )
        coefficients = _read_int16(reader, height * width * N_TAPS, "coefficients")
        n_nodes = n_nodes_of(slot_bits)
        known = np.frombuffer(reader.take(n_nodes // 8, "bits of the known nodes"), np.uint8)
        is_known = np.unpackbits(known).astype(bool)
        odds = np.frombuffer(reader.take(int(is_known.sum()), "log-odds"), np.int8)
        if (odds == 0).any() or (odds < -LARGEST_INPUT).any():
            raise CorruptStreamError("tiny prior: log-odds that are none")
        log_odds: NDArray[np.int8] = np.zeros(n_nodes, np.int8)
        log_odds[is_known] = odds
        n_weights = N_WEIGHT_ROWS * N_NODES * N_WEIGHTS
        weights = np.frombuffer(reader.take(n_weights, "weights"), np.int8)
        if reader.offset != len(data):
            raise CorruptStreamError(
                f"tiny prior: {len(data) - reader.offset} bytes follow its last part"
            )
        return cls(height, width, bool(flags), slot_bits, coefficients, log_odds, weights)


def n_nodes_of(slot_bits: int) -> int:
    """Return the number of nodes of all contexts."""
    return N_CONTEXTS * N_NODES << slot_bits


def _read_int16(reader: ByteReader, n_numbers: int, what: str) -> NDArray[np.int16]:
    return np.frombuffer(reader.take(2 * n_numbers, what), "<i2").astype(np.int16)
