"""What a codebook knows about images of the context coder: where its models start (SPEC 6.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .container import MODES, ByteReader
from .context_coder import (
    MAX_CONTEXTS,
    NODES,
    PRIOR_CONTEXTS,
    SLOTS,
    START_WEIGHT,
    WIDE_NODES,
    allowed_transforms,
    states_in_lines,
    summed_states,
)
from .context_tables import tables
from .errors import CorruptStreamError, UnsupportedStreamError
from .kernels.context_kernels import N_LEVELS, N_TAPS
from .kernels.vectors import LANES
from .planes import LATTICE, TRANSFORM_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

TAPS_BY_KIND = (11, 17, 21, 21)
"""Taps that each kind of plane has; the other ones are 0 (SPEC 5C.3)."""

COUNT_CLASSES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 255)
"""Counts that are told apart; a class stands for its smallest."""

LARGEST_LOG_ODDS = 63
LOG_ODDS_SHIFT = 5
"""Log-odds are in eighths; the tables' are in 1/256."""

LARGEST_LATER_LOG_ODDS = 15
LATER_LOG_ODDS_SHIFT = 7
"""Those of contexts 7 to 14 are in halves."""

FILTER_SHIFT, WEIGHT_SHIFT = 4, 4
"""Units of the stored filters and weights, in powers of two of the models' own."""

LARGEST_WEIGHT = 65536

FULL_WEIGHT_SHIFT, LARGEST_FULL_WEIGHT = 8, 32768
"""Of the weights of 15 contexts."""

LARGEST_PACES = (15, 63)

_LEAST_SQUARES, _FILTERS, _STATES, _WEIGHTS, _LATER_STATES, _FULL_WEIGHTS = 1, 2, 4, 8, 16, 32

FIRST, LATER = range(PRIOR_CONTEXTS), range(PRIOR_CONTEXTS, MAX_CONTEXTS)
"""Contexts whose states are a part each."""

_LATER_NAME, _FULL_NAME = "states of contexts 7 to 14", "weights of 15 contexts"

Key = tuple[int, int, int]
"""Bits of a sample, planes, colour transform."""


@dataclass(frozen=True, eq=False)
class ContextPrior:
    """Where the context coder's models start in images of one kind (SPEC 6.4).

    Each part may be empty: then the models start there as without a codebook.

    Attributes
    ----------
    bits_per_sample : {8, 16}
    n_planes : int
        1 to 4.
    transform : int
        Colour transform.
    least_squares : ndarray, int16
        In 1/16384: by kind of plane, level and tap; of a kind's own taps only.
    filters : ndarray, int16
        Both adaptive filters at their start, in 1/16384: by kind of plane and tap.
    count_cap : int
        Largest count of a state at its start, 1 to 255; 0 without states.
    used : ndarray, uint8
        A bit for each node of the first 7 contexts, most significant first, by context, kind of
        plane, node and slot: whether its state is known; the others are neutral.
    log_odds : ndarray, int8
        Of a 1, in 1/8, -63 to 63, of each known node.
    count_classes : ndarray, uint8
        Index of `COUNT_CLASSES` of each known node.
    weights : ndarray, int16
        Both sets, less the standard weights, in 1/4096: (set, kind, level, node, lane).
    later_used : ndarray, uint8
        The same as `used` of the nodes of contexts 7 to 14; not without states. Their counts are
        the largest one.
    later_log_odds : ndarray, int8
        In 1/2, -15 to 15, of each of these nodes that is known.
    paces : tuple of int
        How fast the weights of 15 contexts learn in the end, 0 to 15, and what is added to it at
        the start, in 1/4, 0 to 63.
    count_limit : int
        Where counts of states stop beside these weights, 1 to 255; 0 without them.
    full_weights : ndarray, int8
        Of 15 contexts, three sets, less the standard weights, in 1/256, likewise.
    """

    bits_per_sample: int
    n_planes: int
    transform: int
    least_squares: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    filters: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    count_cap: int = 0
    used: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    log_odds: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    count_classes: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    weights: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    later_used: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    later_log_odds: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    paces: tuple[int, int] = (0, 0)
    count_limit: int = 0
    full_weights: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))

    @property
    def key(self) -> Key:
        """For which images it is."""
        return self.bits_per_sample, self.n_planes, self.transform

    @property
    def n_kinds(self) -> int:
        """Kinds of planes that such images have (SPEC 5C.1)."""
        return n_kinds_of(self.key)

    @property
    def mode_name(self) -> str:
        """Name of the simplest mode of such images."""
        return next(
            mode.name
            for mode in MODES.values()
            if (mode.bits_per_sample, mode.n_planes) == self.key[:2]
        )

    @property
    def label(self) -> str:
        """The mode's name, with the colour transform of colour images."""
        if self.n_planes < 3:
            return self.mode_name
        return f"{self.mode_name}, {TRANSFORM_NAMES[self.transform]}"

    @property
    def has_least_squares(self) -> bool:
        """Whether it has coefficients of the trained predictor."""
        return len(self.least_squares) > 0

    @property
    def has_filters(self) -> bool:
        """Whether it has the start of the adaptive filters."""
        return len(self.filters) > 0

    @property
    def has_states(self) -> bool:
        """Whether it has states."""
        return len(self.used) > 0

    @property
    def has_weights(self) -> bool:
        """Whether it has weights of 7 contexts."""
        return len(self.weights) > 0

    @property
    def has_later_states(self) -> bool:
        """Whether it has states of contexts 7 to 14."""
        return len(self.later_used) > 0

    @property
    def has_full_weights(self) -> bool:
        """Whether it has weights of 15 contexts."""
        return len(self.full_weights) > 0

    @property
    def n_known(self) -> int:
        """Number of the nodes whose state is known."""
        return len(self.log_odds) + len(self.later_log_odds)

    @property
    def part_names(self) -> list[str]:
        """What it has, for people."""
        parts = {
            "least squares": self.has_least_squares,
            "filters": self.has_filters,
            f"states up to count {self.count_cap}": self.has_states,
            "weights": self.has_weights,
            _LATER_NAME: self.has_later_states,
            _FULL_NAME: self.has_full_weights,
        }
        return [name for name, there in parts.items() if there]

    def part_names_for(self, n_contexts: int, *, summed: bool) -> list[str]:
        """Return those parts that a payload of so many contexts starts with (SPEC 6.4, 5C.10)."""
        unused = set()
        if n_contexts != PRIOR_CONTEXTS or summed:
            unused.add("weights")
        if n_contexts <= PRIOR_CONTEXTS:
            unused.add(_LATER_NAME)
        if n_contexts != MAX_CONTEXTS:
            unused.add(_FULL_NAME)
        return [name for name in self.part_names if name not in unused]

    @cached_property
    def least_squares_table(self) -> NDArray[np.int64]:
        """Coefficients as the kernel takes them, all 24 taps."""
        table = np.zeros((self.n_kinds, N_LEVELS, N_TAPS), np.int64)
        start = 0
        for kind, n_taps in enumerate(TAPS_BY_KIND[: self.n_kinds]):
            part = self.least_squares[start : start + N_LEVELS * n_taps]
            table[kind, :, :n_taps] = part.reshape(N_LEVELS, n_taps)
            start += N_LEVELS * n_taps
        return table.reshape(-1)

    @cached_property
    def filters_table(self) -> NDArray[np.int64]:
        """The start of both filters as the kernel takes it, (plane kinds, 24)."""
        table = np.zeros((self.n_kinds, N_TAPS), np.int64)
        start = 0
        for kind, n_taps in enumerate(TAPS_BY_KIND[: self.n_kinds]):
            table[kind, :n_taps] = self.filters[start : start + n_taps]
            start += n_taps
        return table << FILTER_SHIFT

    @cached_property
    def states_lines(self) -> NDArray[np.uint32]:
        """The states of the first 7 contexts, as `Model.states` has them."""
        return states_in_lines(self.states_table, n_nodes_of(self.bits_per_sample))

    @cached_property
    def later_states_lines(self) -> NDArray[np.uint32]:
        """The states of contexts 7 to 14, likewise."""
        return states_in_lines(self.later_states_table, n_nodes_of(self.bits_per_sample))

    @cached_property
    def summed_lines(self) -> NDArray[np.uint32]:
        """The states of the first 7 contexts, as log-odds that add up."""
        return summed_states(self.states_lines)

    @cached_property
    def later_summed_lines(self) -> NDArray[np.uint32]:
        """The states of contexts 7 to 14, likewise."""
        return summed_states(self.later_states_lines)

    @property
    def states_table(self) -> NDArray[np.uint32]:
        """The states of the first 7 contexts, by context, kind of plane, slot and node."""
        counts = np.minimum(COUNT_CLASSES, self.count_cap).astype(np.uint32)[self.count_classes]
        odds = self.log_odds.astype(np.int64) << LOG_ODDS_SHIFT
        return self._states(FIRST, self.used, odds, counts)

    @property
    def later_states_table(self) -> NDArray[np.uint32]:
        """The states of contexts 7 to 14, likewise."""
        odds = self.later_log_odds.astype(np.int64) << LATER_LOG_ODDS_SHIFT
        return self._states(LATER, self.later_used, odds, np.uint32(self.count_cap))

    def _states(
        self,
        contexts: range,
        used: NDArray[np.uint8],
        odds: NDArray[np.int64],
        counts: NDArray[np.uint32] | np.uint32,
    ) -> NDArray[np.uint32]:
        """Return the states of contexts from those of the known nodes; `odds` in 1/256."""
        by_node: NDArray[np.uint32] = np.full(n_prior_nodes(self.key, contexts), 1 << 31, np.uint32)
        chances = tables().squash[2048 + odds].astype(np.uint32) << np.uint32(6)
        known = np.unpackbits(used).astype(bool)
        by_node[known] = chances << np.uint32(10) | counts
        states = np.empty_like(by_node)
        for part, n_slots, n_nodes in _parts_of_states(self.key, contexts):
            states[part] = by_node[part].reshape(n_nodes, n_slots).T.reshape(-1)
        return states

    @cached_property
    def weights_table(self) -> NDArray[np.int32]:
        """Weights of both sets, for 7 contexts."""
        return _add_standard(self.weights)

    @cached_property
    def full_weights_table(self) -> NDArray[np.int32]:
        """Weights of the three sets, for 15 contexts."""
        return _add_full_standard(self.full_weights)

    def to_bytes(self) -> bytes:
        """Return the canonical serialisation (SPEC 6.4); inverse of `from_bytes`."""
        flags = (
            _LEAST_SQUARES * self.has_least_squares
            | _FILTERS * self.has_filters
            | _STATES * self.has_states
            | _WEIGHTS * self.has_weights
            | _LATER_STATES * self.has_later_states
            | _FULL_WEIGHTS * self.has_full_weights
        )
        out = bytearray([*self.key, flags])
        out += self.least_squares.astype("<i2").tobytes()
        out += self.filters.astype("<i2").tobytes()
        if self.has_states:
            out.append(self.count_cap)
            out += self.used.tobytes() + self.log_odds.tobytes() + self.count_classes.tobytes()
        out += self.weights.astype("<i2").tobytes()
        out += self.later_used.tobytes() + self.later_log_odds.tobytes()
        if self.has_full_weights:
            out += bytes([*self.paces, self.count_limit])
            out += self.full_weights.tobytes()
        return bytes(out)

    @classmethod
    def from_bytes(cls, data: bytes) -> ContextPrior:
        """Read a prior, which may be anything; inverse of `to_bytes` (SPEC 6.4).

        Raises
        ------
        CorruptStreamError, TruncatedStreamError, UnsupportedStreamError
        """
        reader = ByteReader(data, "context prior")
        bits, n_planes, transform, flags = reader.take(4, "kind of image and parts")
        known = {(mode.bits_per_sample, mode.n_planes) for mode in MODES.values()}
        if bits == 1 or (bits, n_planes) not in known:
            raise UnsupportedStreamError(
                f"context prior: images of {n_planes} planes of {bits} bits are unknown"
            )
        alone = flags & (_STATES | _LATER_STATES) == _LATER_STATES
        if transform not in allowed_transforms(bits, n_planes) or not 1 <= flags <= 63 or alone:
            raise CorruptStreamError(
                f"context prior: colour transform {transform}, parts {flags:02x}h"
            )
        key = (bits, n_planes, transform)
        parts: dict[str, Any] = {}
        n_taps = sum(TAPS_BY_KIND[: n_kinds_of(key)])
        if flags & _LEAST_SQUARES:
            parts["least_squares"] = _read_int16(reader, N_LEVELS * n_taps, "coefficients")
        if flags & _FILTERS:
            parts["filters"] = _read_int16(reader, n_taps, "filters")
        if flags & _STATES:
            cap = reader.take(1, "count cap")[0]
            if cap == 0:
                raise CorruptStreamError("context prior: its states have a count cap of 0")
            parts["count_cap"] = cap
            parts["used"], parts["log_odds"] = _read_nodes(
                reader, n_prior_nodes(key), LARGEST_LOG_ODDS
            )
            classes = np.frombuffer(reader.take(len(parts["log_odds"]), "counts"), np.uint8)
            if classes.max(initial=0) >= len(COUNT_CLASSES):
                raise CorruptStreamError("context prior: a state that is none")
            parts["count_classes"] = classes
        if flags & _WEIGHTS:
            parts["weights"] = _read_int16(reader, n_prior_weights(key), "weights")
            if np.abs(_add_standard(parts["weights"])).max() > LARGEST_WEIGHT:
                raise CorruptStreamError("context prior: a weight is too large")
        if flags & _LATER_STATES:
            parts["later_used"], parts["later_log_odds"] = _read_nodes(
                reader, n_prior_nodes(key, LATER), LARGEST_LATER_LOG_ODDS
            )
        if flags & _FULL_WEIGHTS:
            parts |= _read_full_weights(reader, n_full_weights(key))
        if reader.offset != len(data):
            raise CorruptStreamError(
                f"context prior: {len(data) - reader.offset} bytes follow its last part"
            )
        return cls(*key, **parts)


def n_nodes_of(bits_per_sample: int) -> int:
    """Return the nodes of a slot."""
    return WIDE_NODES if bits_per_sample > 8 else NODES


def n_kinds_of(key: Key) -> int:
    """Return the kinds of planes of such images: the lattice has a plane more (SPEC 5C.1)."""
    _, n_planes, transform = key
    return min(4, n_planes + (transform == LATTICE))


def n_prior_nodes(key: Key, contexts: range = FIRST) -> int:
    """Return the number of nodes of some contexts, those that a prior knows first or later."""
    return sum(SLOTS[k] for k in contexts) * n_kinds_of(key) * n_nodes_of(key[0])


def by_nodes(values: NDArray[Any], key: Key, contexts: range = FIRST) -> NDArray[Any]:
    """Return what belongs to the states of some contexts in the order of a prior."""
    ordered = np.empty_like(values)
    for part, n_slots, n_nodes in _parts_of_states(key, contexts):
        ordered[part] = values[part].reshape(n_slots, n_nodes).T.reshape(-1)
    return ordered


def _parts_of_states(key: Key, contexts: range) -> Iterator[tuple[slice, int, int]]:
    """Yield (where its states are, slots, nodes of a slot) of each context and kind of plane."""
    n_nodes = n_nodes_of(key[0])
    start = 0
    for n_slots in (SLOTS[k] for k in contexts):
        for _ in range(n_kinds_of(key)):
            yield slice(start, start + n_slots * n_nodes), n_slots, n_nodes
            start += n_slots * n_nodes


def n_prior_weights(key: Key) -> int:
    """Return the number of weights of both sets, for 7 contexts."""
    return 2 * n_kinds_of(key) * N_LEVELS * n_nodes_of(key[0]) * LANES


def stored_weights(weights: NDArray[np.int32]) -> NDArray[np.int16]:
    """Return the weights of 7 contexts as they are stored."""
    difference = weights.reshape(-1, LANES) - _standard_weights()
    stored = (difference + (1 << (WEIGHT_SHIFT - 1))) >> WEIGHT_SHIFT
    limit = LARGEST_WEIGHT >> WEIGHT_SHIFT
    start = -(-START_WEIGHT // PRIOR_CONTEXTS >> WEIGHT_SHIFT) + 1
    clipped: NDArray[np.int16] = np.clip(stored, -limit, limit - start).astype(np.int16)
    return clipped.reshape(-1)


def n_full_weights(key: Key) -> int:
    """Return the number of weights of the three sets, for 15 contexts."""
    return 3 * n_kinds_of(key) * N_LEVELS * n_nodes_of(key[0]) * 2 * LANES


def stored_full_weights(weights: NDArray[np.int32]) -> NDArray[np.int8]:
    """Return the weights of 15 contexts as they are stored."""
    difference = weights.reshape(-1, 2 * LANES) - _standard_full_weights()
    stored = (difference + (1 << (FULL_WEIGHT_SHIFT - 1))) >> FULL_WEIGHT_SHIFT
    limit = (LARGEST_FULL_WEIGHT - _standard_full_weights()[0]) >> FULL_WEIGHT_SHIFT
    clipped: NDArray[np.int8] = np.clip(stored, -limit, limit).astype(np.int8)
    return clipped.reshape(-1)


def _standard_full_weights() -> NDArray[np.int32]:
    first: NDArray[np.int32] = np.zeros(2 * LANES, np.int32)
    first[:MAX_CONTEXTS] = 2 * START_WEIGHT // (3 * MAX_CONTEXTS)
    return first


def _add_full_standard(stored: NDArray[np.int8]) -> NDArray[np.int32]:
    weights = (stored.astype(np.int32) << FULL_WEIGHT_SHIFT).reshape(-1, 2 * LANES)
    weights += _standard_full_weights()
    return weights.reshape(-1)


def _standard_weights() -> NDArray[np.int32]:
    first: NDArray[np.int32] = np.zeros(LANES, np.int32)
    first[:PRIOR_CONTEXTS] = START_WEIGHT // PRIOR_CONTEXTS
    return first


def _add_standard(stored: NDArray[np.int16]) -> NDArray[np.int32]:
    weights = (stored.astype(np.int32) << WEIGHT_SHIFT).reshape(-1, LANES) + _standard_weights()
    return weights.reshape(-1)


def _read_int16(reader: ByteReader, n_numbers: int, what: str) -> NDArray[np.int16]:
    return np.frombuffer(reader.take(2 * n_numbers, what), "<i2").astype(np.int16)


def _read_nodes(
    reader: ByteReader, n_nodes: int, limit: int
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Return the bits of the known nodes and their log-odds, -limit to limit."""
    used = np.frombuffer(reader.take(n_nodes // 8, "bits of the known nodes"), np.uint8)
    n_known = int(np.unpackbits(used).sum())
    odds = np.frombuffer(reader.take(n_known, "log-odds"), np.int8)
    if np.abs(odds.astype(np.int64)).max(initial=0) > limit:
        raise CorruptStreamError("context prior: a state that is none")
    return used, odds


def _read_full_weights(reader: ByteReader, n_weights: int) -> dict[str, Any]:
    final, start, limit = reader.take(3, "paces and count limit")
    if final > LARGEST_PACES[0] or start > LARGEST_PACES[1] or limit == 0:
        raise CorruptStreamError(f"context prior: paces {final}, {start}, count limit {limit}")
    weights = np.frombuffer(reader.take(n_weights, "weights of 15 contexts"), np.int8)
    if np.abs(_add_full_standard(weights)).max() > LARGEST_FULL_WEIGHT:
        raise CorruptStreamError("context prior: a weight of 15 contexts is too large")
    return {"paces": (final, start), "count_limit": limit, "full_weights": weights}
