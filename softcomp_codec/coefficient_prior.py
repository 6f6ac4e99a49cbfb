"""What a codebook knows about pictures that were JPEGs once (SPEC 6.9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .coefficient_coder import NEUTRAL, START_WEIGHT, n_states, n_weights
from .container import ByteReader
from .context_prior import COUNT_CLASSES, LARGEST_LOG_ODDS, LOG_ODDS_SHIFT
from .context_tables import tables
from .errors import CorruptStreamError
from .jpeg_pasts import read_past, write_past
from .kernels import coefficient_kernels as kernels
from .kernels.vectors import LANES
from .quantiser_tables import quality_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .jpeg_emulation import Past
    from .quantiser_tables import Table

MAX_PASTS = 16

WEIGHT_SHIFT = 8
"""Unit of the stored weights, in powers of two of the models' own."""


@dataclass(frozen=True, eq=False)
class CoefficientPrior:
    """Where the coder of coefficients starts, and which JPEGs are usual (SPEC 6.9).

    Attributes
    ----------
    n_components : {1, 3}
    pasts : tuple of Past
        How pictures of the set lie in their JPEGs, the most frequent first; at most 16.
    count_cap : int
        Largest count of a state at its start, 1 to 255.
    used : ndarray, uint8
        A bit for each state, most significant first, by component, lane, kind of decision, node
        and context, then for the plain ones: whether it is known; the others are neutral.
    log_odds : ndarray, int8
        Of a 1, in 1/8, -63 to 63, of each known state.
    count_classes : ndarray, uint8
        Index of `COUNT_CLASSES` of each known state.
    weights : ndarray, int8
        Less the standard weight, in 1/256 (the models' own are in 1/65536); empty without.
    """

    n_components: int
    pasts: tuple[Past, ...]
    count_cap: int
    used: NDArray[np.uint8]
    log_odds: NDArray[np.int8]
    count_classes: NDArray[np.uint8]
    weights: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))

    @property
    def key(self) -> int:
        """For which pictures it is."""
        return self.n_components

    @property
    def label(self) -> str:
        """For which pictures it is, for people."""
        return label_of(self.n_components)

    @property
    def part_names(self) -> list[str]:
        """What it has, for people."""
        return [f"states up to count {self.count_cap}"] + ["weights"] * (len(self.weights) > 0)

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """The quantiser tables that files may refer to: the pasts' that are none of libjpeg's."""
        found = [table for past in self.pasts for table in past.tables]
        return tuple(dict.fromkeys(table for table in found if quality_of(table) is None))

    @cached_property
    def states_table(self) -> NDArray[np.uint32]:
        """All states as the kernel takes them."""
        stored: NDArray[np.uint32] = np.full(n_states(self.n_components), NEUTRAL, np.uint32)
        odds = self.log_odds.astype(np.int64) << LOG_ODDS_SHIFT
        chances = tables().squash[2048 + odds].astype(np.uint32) << np.uint32(6)
        counts = np.minimum(COUNT_CLASSES, self.count_cap).astype(np.uint32)[self.count_classes]
        known = np.unpackbits(self.used, count=len(stored)).astype(bool)
        stored[known] = chances << np.uint32(10) | counts
        states = stored.copy()
        for part, n_contexts, n_nodes in _mixed_parts(self.n_components):
            by_context = states[part].reshape(n_contexts, n_nodes)
            by_context[:, _places(n_nodes)] = stored[part].reshape(n_nodes, n_contexts).T
        return states

    @cached_property
    def weights_table(self) -> NDArray[np.int32] | None:
        """All weights as the kernel takes them, None without any."""
        if not len(self.weights):
            return None
        stored = (self.weights.astype(np.int32) << WEIGHT_SHIFT) + START_WEIGHT
        weights = stored.copy()
        _weights_by_nodes(weights)[:, :, _places(kernels.N_NODES)] = _weights_by_nodes(stored)
        return weights

    def to_bytes(self) -> bytes:
        """Return the canonical serialisation (SPEC 6.9); inverse of `from_bytes`."""
        out = bytearray([self.n_components, len(self.pasts)])
        out += b"".join(map(write_past, self.pasts))
        out.append(self.count_cap)
        out += self.used.tobytes() + self.log_odds.tobytes() + self.count_classes.tobytes()
        out.append(len(self.weights) > 0)
        return bytes(out) + self.weights.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> CoefficientPrior:
        """Read a prior, which may be anything; inverse of `to_bytes` (SPEC 6.9).

        Raises
        ------
        CorruptStreamError, TruncatedStreamError
        """
        reader = ByteReader(data, "prior of JPEG pasts")
        n_components, n_pasts = reader.take(2, "components and number of pasts")
        if n_components not in (1, 3) or n_pasts > MAX_PASTS:
            raise CorruptStreamError(
                f"prior of JPEG pasts: {n_components} components, {n_pasts} pasts; expected 1 or "
                f"3, and up to {MAX_PASTS}"
            )
        pasts = tuple(read_past(reader, n_components) for _ in range(n_pasts))
        parts = _read_states(reader, n_states(n_components))
        has_weights = reader.take(1, "whether there are weights")[0]
        if has_weights > 1:
            raise CorruptStreamError(f"prior of JPEG pasts: {has_weights} sets of weights")
        if has_weights:
            weights = reader.take(n_weights(n_components), "weights")
            parts["weights"] = np.frombuffer(weights, np.int8)
        if reader.offset != len(data):
            raise CorruptStreamError(
                f"prior of JPEG pasts: {len(data) - reader.offset} bytes follow its last part"
            )
        return cls(n_components, pasts, **parts)


def label_of(n_components: int) -> str:
    """Return for which pictures a prior is, for people."""
    return f"{'gray8' if n_components == 1 else 'rgb8'}, once JPEGs"


def by_nodes(values: NDArray[Any], n_components: int) -> NDArray[Any]:
    """Return what belongs to the states in the order of a prior."""
    ordered = values.copy()
    for part, n_contexts, n_nodes in _mixed_parts(n_components):
        by_context = values[part].reshape(n_contexts, n_nodes)
        ordered[part] = by_context[:, _places(n_nodes)].T.reshape(-1)
    return ordered


def stored_weights(weights: NDArray[np.int32]) -> NDArray[np.int8]:
    """Return weights as they are stored."""
    ordered = weights.copy()
    _weights_by_nodes(ordered)[:] = _weights_by_nodes(weights)[:, :, _places(kernels.N_NODES)]
    difference = (ordered - START_WEIGHT + (1 << (WEIGHT_SHIFT - 1))) >> WEIGHT_SHIFT
    stored: NDArray[np.int8] = np.clip(difference, -128, 127).astype(np.int8)
    return stored


def _places(n_nodes: int) -> NDArray[np.int64]:
    """Return where the kernel keeps each node of a context."""
    places = kernels.NODE_PLACES if n_nodes == kernels.N_NODES else range(n_nodes)
    return np.array(places, np.int64)


def _weights_by_nodes(weights: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return a view of the weights of magnitudes: (components, rows of contexts, nodes, lanes)."""
    kinds = weights.reshape(-1, kernels.ROWS_OF_KIND, LANES)
    magnitudes = kinds[:, : kernels.ROWS_OF_MAGNITUDES]
    return magnitudes.reshape(len(kinds), -1, kernels.N_NODES, LANES)


def _mixed_parts(n_components: int) -> Iterator[tuple[slice, int, int]]:
    """Yield (where its states are, contexts, nodes of a context) of each table of contexts."""
    start = 0
    for _ in range(n_components * LANES):
        for n_contexts, n_nodes in kernels.CONTEXTS_AND_NODES:
            yield slice(start, start + n_contexts * n_nodes), n_contexts, n_nodes
            start += n_contexts * n_nodes


def _read_states(reader: ByteReader, n_all: int) -> dict[str, Any]:
    cap = reader.take(1, "count cap")[0]
    if cap == 0:
        raise CorruptStreamError("prior of JPEG pasts: its states have a count cap of 0")
    used = np.frombuffer(reader.take(n_all // 8, "bits of the known states"), np.uint8)
    n_known = int(np.unpackbits(used).sum())
    odds = np.frombuffer(reader.take(n_known, "log-odds"), np.int8)
    classes = np.frombuffer(reader.take(n_known, "counts"), np.uint8)
    largest = int(np.abs(odds.astype(np.int64)).max(initial=0))
    if largest > LARGEST_LOG_ODDS or classes.max(initial=0) >= len(COUNT_CLASSES):
        raise CorruptStreamError("prior of JPEG pasts: a state that is none")
    return {"count_cap": cap, "used": used, "log_odds": odds, "count_classes": classes}
