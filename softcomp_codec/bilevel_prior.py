"""What a codebook knows about bilevel images: where the bilevel coder's models start (SPEC 6.5)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .bilevel_coder import (
    LEAST_CONTEXTS,
    START_WEIGHT,
    Context,
    context_arrays,
    n_lanes,
    n_states,
    n_weight_rows,
)
from .container import ByteReader
from .context_prior import COUNT_CLASSES, LARGEST_LOG_ODDS, LOG_ODDS_SHIFT
from .context_tables import tables
from .errors import CorruptStreamError
from .kernels.bilevel_kernels import LARGEST_WEIGHT
from .kernels.vectors import LANES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_PRIOR_CONTEXTS = 2 * LANES - 1
FEWEST_PRIOR_DIGITS, MOST_PRIOR_DIGITS = 4, 20
MAX_STATES = 1 << 22
"""Most states of a prior."""

LARGEST_SIDE = 64
"""Of the images of a positional prior."""

WEIGHT_SHIFT = 8
"""Weights are stored in 1/256."""

WINDOW_MASK = (1 << 63) - 1
REACH_MASK = (1 << 28) - 1

Key = tuple[int, int]
"""Height and width of the images of a positional prior; 0 and 0 for images of any size."""

_CONTEXT = struct.Struct("<QIB")


@dataclass(frozen=True, eq=False)
class BilevelPrior:
    """Where the bilevel coder's models start (SPEC 6.5).

    Attributes
    ----------
    key : (int, int)
        Height and width of the images of a positional prior, whose states never change; (0, 0)
        for images of any size.
    contexts : sequence of Context
    count_cap : int
        Largest count of a state at its start, 1 to 255.
    used : ndarray, uint8
        A bit for each state, most significant first: whether it is known; the others are neutral.
    log_odds : ndarray, int8
        Of a 1, in 1/8, -63 to 63, of each known state.
    count_classes : ndarray, uint8
        Index of `COUNT_CLASSES` of each known state.
    weights : ndarray, int16
        All three sets, less the standard weights, in 1/256: (row, context or constant).
    """

    key: Key
    contexts: Sequence[Context]
    count_cap: int
    used: NDArray[np.uint8]
    log_odds: NDArray[np.int8]
    count_classes: NDArray[np.uint8]
    weights: NDArray[np.int16]

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width of a positional prior's images, else None."""
        return self.key if self.key != (0, 0) else None

    @property
    def label(self) -> str:
        """For which images it is, for people."""
        if self.shape is None:
            return "bilevel images of any size"
        return f"bilevel images of {self.key[1]} x {self.key[0]}"

    @cached_property
    def masks(self) -> tuple[NDArray[np.uint64], ...]:
        """The contexts as the kernel takes them."""
        return context_arrays(tuple(self.contexts))

    @cached_property
    def states_table(self) -> NDArray[np.uint32]:
        """All states as the kernel takes them."""
        total = n_states(self.contexts)
        states: NDArray[np.uint32] = np.full(total, 1 << 31, np.uint32)
        odds = self.log_odds.astype(np.int64) << LOG_ODDS_SHIFT
        chances = tables().squash[2048 + odds].astype(np.uint32) << np.uint32(6)
        counts = np.minimum(COUNT_CLASSES, self.count_cap).astype(np.uint32)[self.count_classes]
        known = np.unpackbits(self.used)[:total].astype(bool)
        states[known] = chances << np.uint32(10) | counts
        return states

    @cached_property
    def weights_table(self) -> NDArray[np.int32]:
        """All weights as the kernel takes them."""
        n_contexts = len(self.contexts)
        rows = n_weight_rows(self.shape)
        stored = self.weights.reshape(rows, n_contexts + 1).astype(np.int32) << WEIGHT_SHIFT
        stored[:, :n_contexts] += START_WEIGHT // n_contexts
        weights: NDArray[np.int32] = np.zeros((rows, n_lanes(n_contexts)), np.int32)
        weights[:, : n_contexts + 1] = stored
        return weights.reshape(-1)

    def to_bytes(self) -> bytes:
        """Return the canonical serialisation (SPEC 6.5); inverse of `from_bytes`."""
        out = bytearray([*self.key, len(self.contexts)])
        for context in self.contexts:
            out += _CONTEXT.pack(*context)
        out.append(self.count_cap)
        out += self.used.tobytes() + self.log_odds.tobytes() + self.count_classes.tobytes()
        lanes = self.weights.reshape(-1, len(self.contexts) + 1).T
        out += np.ascontiguousarray(lanes).astype("<i2").tobytes()
        return bytes(out)

    @classmethod
    def from_bytes(cls, data: bytes) -> BilevelPrior:
        """Read a prior, which may be anything; inverse of `to_bytes` (SPEC 6.5).

        Raises
        ------
        CorruptStreamError, TruncatedStreamError
        """
        reader = ByteReader(data, "bilevel prior")
        height, width, n_contexts = reader.take(3, "size of image and contexts")
        if max(height, width) > LARGEST_SIDE or (height == 0) != (width == 0):
            raise CorruptStreamError(f"bilevel prior: images of {width} x {height}")
        if not LEAST_CONTEXTS <= n_contexts <= MAX_PRIOR_CONTEXTS:
            raise CorruptStreamError(
                f"bilevel prior: {n_contexts} contexts, expected {LEAST_CONTEXTS} to "
                f"{MAX_PRIOR_CONTEXTS}"
            )
        contexts = [_read_context(reader) for _ in range(n_contexts)]
        total = n_states(contexts)
        if total > MAX_STATES:
            raise CorruptStreamError(f"bilevel prior: {total} states, expected at most 2^22")
        cap = reader.take(1, "count cap")[0]
        if cap == 0:
            raise CorruptStreamError("bilevel prior: its states have a count cap of 0")
        used = np.frombuffer(reader.take(-(-total // 8), "bits of the known states"), np.uint8)
        n_known = int(np.unpackbits(used)[:total].sum())
        odds = np.frombuffer(reader.take(n_known, "log-odds"), np.int8)
        classes = np.frombuffer(reader.take(n_known, "counts"), np.uint8)
        largest = int(np.abs(odds.astype(np.int64)).max(initial=0))
        if largest > LARGEST_LOG_ODDS or classes.max(initial=0) >= len(COUNT_CLASSES):
            raise CorruptStreamError("bilevel prior: a state that is none")
        key = (height, width)
        rows = n_weight_rows(key if height else None)
        packed = reader.take(2 * rows * (n_contexts + 1), "weights")
        lanes = np.frombuffer(packed, "<i2").astype(np.int16).reshape(n_contexts + 1, rows)
        prior = cls(
            key, contexts, cap, used, odds, classes, np.ascontiguousarray(lanes.T).reshape(-1)
        )
        if np.abs(prior.weights_table).max() > LARGEST_WEIGHT:
            raise CorruptStreamError("bilevel prior: a weight is too large")
        if int(np.unpackbits(used)[total:].sum()) or reader.offset != len(data):
            raise CorruptStreamError("bilevel prior: it does not end where it should")
        return prior


def _read_context(reader: ByteReader) -> Context:
    context = Context(*_CONTEXT.unpack(reader.take(_CONTEXT.size, "context")))
    if (
        context.window > WINDOW_MASK
        or context.reach > REACH_MASK
        or not FEWEST_PRIOR_DIGITS <= context.digits <= MOST_PRIOR_DIGITS
    ):
        raise CorruptStreamError(f"bilevel prior: a context that is none: {context}")
    return context


def stored_weights(weights: NDArray[np.int32], n_contexts: int) -> NDArray[np.int16]:
    """Return weights of the kernel as they are stored."""
    rows = weights.reshape(-1, n_lanes(n_contexts))[:, : n_contexts + 1].astype(np.int64)
    rows[:, :n_contexts] -= START_WEIGHT // n_contexts
    stored = (rows + (1 << (WEIGHT_SHIFT - 1))) >> WEIGHT_SHIFT
    limit = LARGEST_WEIGHT >> WEIGHT_SHIFT
    highest = limit - -(-START_WEIGHT // n_contexts >> WEIGHT_SHIFT) - 1
    clipped: NDArray[np.int16] = np.clip(stored, -limit, highest).astype(np.int16)
    return clipped.reshape(-1)
