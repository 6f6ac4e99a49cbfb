"""The context coder: every sample from its neighbours, by mixed adaptive models (SPEC 5C).

planes -> tiles -> predictions, contexts and decisions -> bits, and back. Encoder and decoder run
the same kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import planes, tiles
from .colour_lattice import lattice_share
from .container import ByteReader, write_varint
from .context_slots import FACTOR_RULES, N_TERM_RULES, slot_rules
from .context_tables import tables
from .errors import CorruptStreamError, TruncatedStreamError
from .kernels import entropy_kernels, status
from .kernels.context_kernels import (
    CODE_PLANE,
    CURVE_POINTS,
    FEW,
    LEAST_SQUARES,
    LINE,
    MANY,
    MARGIN,
    MARGIN_ROWS,
    N_COST_PARTS,
    N_LEVELS,
    N_TAPS,
    N_TEXTURES,
    N_UNARY,
    SEVERAL,
    SIZE_COST,
    SUMMED_VARIANTS,
    WIDE_N_UNARY,
    variant_of,
)
from .kernels.lanes import FEW_LANES
from .kernels.sample_vectors import N_RULES, RULE_LANES
from .kernels.summed_states import FIRST_RATE, MOVING, RATE_BITS
from .kernels.vectors import LANES
from .tiles import TILE_SIDE, Tile
from .worker_threads import on_threads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .container import Header, Mode, Payload
    from .context_prior import ContextPrior
    from .planes import Plane
    from .tiles import Box, Entry

    Priors = Mapping[int, ContextPrior]

CONTEXTS_BY_EFFORT = {1: 2, 2: 3, 3: 4, 4: 5, 5: 7, 6: 8, 7: 10, 8: 12, 9: 15}
MAX_CONTEXTS = 15

PRIOR_CONTEXTS = 7
"""Contexts of a prior's first states and weights (SPEC 6.4); it may have others for the later ones
and weights for `MAX_CONTEXTS`."""

_NOTHING_COUNTED: NDArray[np.uint32] = np.zeros(0, np.uint32)
_NOTHING_TRACED: NDArray[np.float64] = np.zeros(0, np.float64)

MAX_KINDS = 4
"""Planes from the fourth on share what is learnt (SPEC 5C.1)."""

NODES, WIDE_NODES = 32, 48
"""Decisions of a slot, for samples of up to 8 bits and of more."""

START_WEIGHT = 29491
"""Sum of the first weights of all contexts in each set, in 65536ths."""

SLOTS = (1024, 1024, 1573, 1024, 6561, 1024, 1024, 1024, 1024, 1024, 2197, 6561, 2048, 1024, 2048)
"""Slots of each context, for each kind of plane (SPEC 5C.5)."""

STATE_BYTES = 4

HUGE_PAGE, LARGE = 1 << 21, 1 << 20
"""Bytes of a huge page, and of states that are to lie in such pages."""

TILE_PIXELS = 1 << 20
"""Larger images are cut into tiles of about so many pixels (SPEC 5C.1)."""

RATE_LIMIT, LEAST_RATE_LIMIT = 60, 120
"""Counts of states stop here; the latter with the least-squares predictor."""

PACES, LEAST_PACES = (6, 200_000), (4, 100_000)
"""How fast weights learn, in the end and at the start (SPEC 5C.6); likewise."""

MIXED_PIXELS = 1 << 18
"""Larger images have log-odds that add up: they learn more slowly, but take three quarters of the
time and, in the end, about as many bytes."""

PRIOR_ODDS_SHIFT = 6
"""A prior's log-odds count a quarter where they add up: each was learnt to stand alone."""

PRIOR_RATE, RATE_OF_COUNT = 600, 45
"""What a prior's states have seen lowers their first rates by so much a bit, to so much."""

FEWEST_TESTED = 256
"""A sample of fewer pixels does not tell whether an image was a JPEG."""

MAX_FOLLOWING = 8
"""Images of more planes are not predicted by the frame before; of their planes only the two before
one are in memory while it is coded."""

MAX_VARINT_PLANES = 60
"""The narrowed planes of more are told in bytes (SPEC 5C.1)."""

PACE_SHIFT = 12
"""The unit of the second of a prior's paces, as a power of two."""

SCALE_BITS = 5
MAX_SCALE = 8


@dataclass(frozen=True)
class PlaneRange:
    """What is said of a plane before its samples (SPEC 5C.1).

    Attributes
    ----------
    lowest, highest : int
        Of all samples; a plane where they are equal has no code.
    scale : int
        Differences count in units of 2**scale, 0 for planes of up to 8 bits.
    """

    lowest: int
    highest: int
    scale: int


def tile_grid(height: int, width: int) -> list[Tile]:
    """Return the tiles of an image, row by row (SPEC 5C.1)."""
    return tiles.tile_grid(height, width, TILE_PIXELS, TILE_SIDE)


@dataclass
class PayloadFacts:
    """What a payload of the context coder says before its samples; see `describe_payload`.

    `summed`: log-odds add up (SPEC 5C.10).
    """

    transform: str
    n_contexts: int
    summed: bool
    n_tiles: int
    ranges: list[PlaneRange]

    def costs_shape(self, height: int, width: int) -> tuple[int, ...]:
        """Return the shape of the `costs` of `decode_payload`."""
        return len(self.ranges), height, width, N_COST_PARTS


class Model:
    """The adaptive state of one tile, all planes, at its start: neutral, or a codebook's prior."""

    def __init__(
        self,
        n_contexts: int,
        n_planes: int,
        *,
        wide: bool,
        summed: bool = False,
        prior: ContextPrior | None = None,
    ) -> None:
        n_kinds = min(n_planes, MAX_KINDS)
        number = np.int64 if wide else np.int32
        self.wide, self.summed = wide, summed
        self.n_contexts = n_contexts
        self.n_nodes = WIDE_NODES if wide else NODES
        variant = variant_of(n_contexts)
        n_lanes = FEW_LANES if variant == FEW else 2 * LANES if variant >= MANY else LANES
        sizes = [slots * n_kinds for slots in SLOTS[:n_contexts]]
        self.offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        n_slots = int(self.offsets[-1]) + 1
        self.states = _empty_lines((self.n_nodes // LINE, n_slots, LINE))
        places = _places(self.n_nodes)
        self.steps = places // LINE * np.uint64(n_slots * LINE) + places % LINE
        n_sets, self._n_curves = {
            FEW: (2, 0), SEVERAL: (2, 1), MANY: (2, 1), LEAST_SQUARES: (3, 2)
        }[variant]  # fmt: skip
        first: NDArray[np.int32] = np.zeros(n_lanes, np.int32)
        first[:n_contexts] = 2 * START_WEIGHT // (n_sets * n_contexts)
        self._n_rows = n_kinds * N_LEVELS * self.n_nodes
        self.weights = np.tile(first, 0 if summed else n_sets * self._n_rows)
        self.filters = np.zeros((2, n_kinds, N_TAPS), number)
        self.filters[:, :, 0] = 104857
        self.filters[:, :, 2] = 26214
        self.least_squares = np.zeros(n_kinds * N_LEVELS * N_TAPS, number)
        least = variant == LEAST_SQUARES
        self.paces = LEAST_PACES if least else PACES
        self.count_limit = LEAST_RATE_LIMIT if least else RATE_LIMIT
        self._prior = prior
        if prior is not None:
            if prior.has_least_squares:
                self.least_squares[:] = prior.least_squares_table
            if prior.has_filters:
                self.filters[:] = prior.filters_table
            if prior.has_weights and not summed and n_contexts == PRIOR_CONTEXTS:
                self.weights[:] = prior.weights_table
            if prior.has_full_weights and n_contexts == MAX_CONTEXTS:
                self.weights[:] = prior.full_weights_table
                self.paces = prior.paces[0], prior.paces[1] << PACE_SHIFT
                self.count_limit = prior.count_limit
        self.restart()

    def rules(self, first: bool, kind: int, scale: int) -> NDArray[Any]:
        """Return how the kernel finds the slots of the contexts of a kind of plane.

        Parameters
        ----------
        first : bool
            Whether it is the first plane.
        kind : int
            0..3.
        scale : int
            See `PlaneRange`.

        Returns
        -------
        ndarray, (160,)
            See `kernels.sample_vectors.put_slots`.
        """
        least = variant_of(self.n_contexts) == LEAST_SQUARES
        of_terms, middles = slot_rules(first, least, scale)
        rules = np.zeros((N_RULES, RULE_LANES), self.filters.dtype)
        *_, in_use, first_slots = rules
        in_use[: self.n_contexts] = -1
        rules[:N_TERM_RULES] = of_terms
        rules[FACTOR_RULES] *= LINE
        rules[FACTOR_RULES] &= in_use
        first_slots[:] = self.offsets[-1] * LINE
        slots = self.offsets[:-1] + kind * np.array(SLOTS[: self.n_contexts])
        first_slots[: self.n_contexts] = (slots + middles[: self.n_contexts]) * LINE
        return rules.reshape(-1)

    def restart(self) -> None:
        """Start what adapts within an image anew, except the weights."""
        prior = self._prior
        n_known = 0
        if prior is not None and prior.has_states:
            n_known = int(self.offsets[min(self.n_contexts, PRIOR_CONTEXTS)])
            first = prior.summed_lines if self.summed else prior.states_lines
            self.states[:, :n_known] = first[:, :n_known]
            if prior.has_later_states:
                n_first, n_known = n_known, int(self.offsets[-1])
                later = prior.later_summed_lines if self.summed else prior.later_states_lines
                self.states[:, n_first:n_known] = later[:, : n_known - n_first]
        self.states[:, n_known:] = FIRST_RATE if self.summed else 1 << 31
        if self.summed:
            self.states[:, -1] = 0  # what lanes without a context add
        squash = tables().squash
        curve = np.append(squash[::128], squash[-1])
        assert len(curve) == CURVE_POINTS
        self.curves = np.tile(curve, self._n_curves * self._n_rows)
        n_kinds = self.filters.shape[1]
        self.biases = np.zeros(n_kinds * N_LEVELS * N_TEXTURES, self.filters.dtype)


def _empty_lines(shape: tuple[int, int, int]) -> NDArray[np.uint32]:
    """Return an array of states that starts where a line of the cache does.

    A large one starts where a huge page does, in a buffer for which NumPy asks for such pages, as
    it does from 4 MB on; what is never touched of it takes no memory.
    """
    n_states = shape[0] * shape[1] * shape[2]
    boundary, spare = LINE, LINE
    if n_states * STATE_BYTES >= LARGE:
        boundary, spare = HUGE_PAGE // STATE_BYTES, 2 * HUGE_PAGE // STATE_BYTES
    buffer: NDArray[np.uint32] = np.empty(n_states + spare, np.uint32)
    start = -(buffer.ctypes.data // STATE_BYTES) % boundary
    return buffer[start : start + n_states].reshape(shape)


@lru_cache(maxsize=2)
def _places(n_nodes: int) -> NDArray[np.uint64]:
    """Return where the state of each node is in its slot: the first line holds the frequent ones.

    These are zero, sign, the first five unary nodes of each sign and those of the leading bits.
    """
    n_unary = WIDE_N_UNARY if n_nodes == WIDE_NODES else N_UNARY
    positive, negative, bits = 2, 2 + n_unary, 2 + 2 * n_unary
    order = [0, 1, *range(positive, positive + 5), *range(negative, negative + 5)]
    order += [bits, bits + 3, bits + 4, bits + 6]
    order += [*range(positive + 5, positive + 9), *range(negative + 5, negative + 9)]
    order += [node for node in range(bits, n_nodes) if node not in order]
    order += [node for node in range(n_nodes) if node not in order]
    places: NDArray[np.uint64] = np.empty(n_nodes, np.uint64)
    places[order] = np.arange(n_nodes)
    return places


def states_in_lines(states: NDArray[np.uint32], n_nodes: int) -> NDArray[np.uint32]:
    """Return states by slot and node as `Model.states` has them: by line, slot and place in it."""
    order = np.argsort(_places(n_nodes))
    lines = states.reshape(-1, n_nodes)[:, order].reshape(-1, n_nodes // LINE, LINE)
    return np.ascontiguousarray(lines.transpose(1, 0, 2))


def summed_states(states: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return a prior's states as log-odds that add up (SPEC 5C.10)."""
    odds = tables().stretch[states >> 20].astype(np.int64) << PRIOR_ODDS_SHIFT
    rates = FIRST_RATE - RATE_OF_COUNT * (states & 1023).astype(np.int64)
    summed: NDArray[np.int64] = odds << RATE_BITS | np.maximum(rates, PRIOR_RATE)
    return summed.astype(np.uint32)


def allowed_transforms(bits_per_sample: int, n_planes: int, plain: bool = False) -> tuple[int, ...]:
    """Return the colour transforms of such images (SPEC 5C.1); `plain` planes are no colours."""
    if n_planes not in (3, 4) or plain:
        return (planes.NO_TRANSFORM,)
    if bits_per_sample != 8:
        return (planes.NO_TRANSFORM, planes.RED_DIFFERENCE)
    return (planes.NO_TRANSFORM, planes.RED_DIFFERENCE, planes.LATTICE)


def encode_payload(
    array: NDArray[Any],
    mode: Mode,
    *,
    effort: int = 5,
    priors: Priors | None = None,
    previous: NDArray[Any] | None = None,
    summed: bool | None = None,
) -> bytes | None:
    """Return the payload of an image (SPEC 5C); inverse of `decode_payload`.

    Parameters
    ----------
    array : ndarray
        Samples of `mode`.
    mode : Mode
    effort : int
        1 to 9.
    priors : mapping of int to ContextPrior, optional
        A codebook's priors for this mode, by colour transform; not with `previous`.
    previous : ndarray, optional
        The frame before, where it is to predict this one (SPEC 5C.9).
    summed : bool, optional
        Whether log-odds add up (SPEC 5C.10); by default in images of more than `MIXED_PIXELS`.

    Raises
    ------
    ValueError
        Where they cannot add up at this effort.

    Returns
    -------
    bytes, or None where the samples themselves are smaller.
    """
    n_contexts = CONTEXTS_BY_EFFORT[effort]
    grid = tile_grid(*array.shape[:2])
    transform = choose_transform(planes.split_planes(_sample(array, len(grid)), mode), mode)
    if previous is not None and transform == planes.LATTICE:
        transform = planes.RED_DIFFERENCE
    if previous is not None and mode.n_planes > MAX_FOLLOWING:
        return None
    prior = (priors or {}).get(transform)
    can_sum = variant_of(n_contexts) in SUMMED_VARIANTS
    if summed is None:
        summed = can_sum and array.shape[0] * array.shape[1] > MIXED_PIXELS
    elif summed and not can_sum:
        raise ValueError(f"log-odds of {n_contexts} contexts do not add up: effort {effort}")

    def components_of(tile: Tile) -> list[Plane]:
        return planes.transform_colours(planes.split_planes(tile.of(array), mode), transform)

    def known_of(tile: Tile) -> list[Plane] | None:
        return None if previous is None else _known_planes(tile.of(previous), mode, transform)

    if len(grid) == 1:
        components = components_of(grid[0])
        components_of = partial(_same, components)
    ranges = _joint_ranges(
        on_threads(lambda tile: [_survey(plane, mode) for plane in components_of(tile)], grid), mode
    )
    code = tiles.encode_tiles(
        array, mode, grid,
        lambda tile: _encode_tile(
            components_of(tile), ranges, n_contexts, mode, prior, known_of(tile), summed
        ),
    )  # fmt: skip
    if code is None:
        return None
    limits = planes.plane_ranges(mode, transform)
    settings = bytes([summed << 7 | transform << 4 | n_contexts])
    return settings + _write_ranges(ranges, limits, mode) + code


def _known_planes(previous: NDArray[Any], mode: Mode, transform: int) -> list[Plane]:
    """Return the planes of the frame before as they predict those of a frame (SPEC 5C.9)."""
    return planes.transform_colours(planes.split_planes(previous, mode), transform)


def _same(components: list[Plane], _tile: Tile) -> list[Plane]:
    return components


def _sample(array: NDArray[Any], n_tiles: int) -> NDArray[Any]:
    """Return some of the pixels of a large image, about as many as a tile has."""
    n_rows = array.shape[0]
    return array[::n_tiles] if n_rows >= n_tiles else array[:, : TILE_PIXELS // n_rows]


def decode_payload(
    payload: Payload,
    header: Header,
    allow_truncated: bool = False,
    priors: Priors | None = None,
    costs: NDArray[np.float64] | None = None,
    box: Box | None = None,
    previous: NDArray[Any] | None = None,
) -> tuple[NDArray[Any], bool]:
    """Return (array, whether it is complete); inverse of `encode_payload` (SPEC 5C).

    Where there is no prior for the payload's transform, the models start neutral. `costs`, of shape
    (planes, H, W, `N_COST_PARTS`), takes in the bits of each sample, for reports. Of a `box` only
    the tiles that it touches are read. `previous` is the frame before, or its part in the box, if
    it predicts this one; the box consists of whole tiles then.

    Raises
    ------
    CorruptStreamError, TruncatedStreamError
        The latter not with `allow_truncated`: rows whose first plane is missing are 0 then, and
        where only later planes are missing, the picture is colourless and opaque.
    """
    mode = header.mode
    reader = ByteReader(payload, "payload")
    grid = tile_grid(header.height, header.width)
    try:
        facts, transform = _read_head(reader, header)
        if previous is not None and transform == planes.LATTICE:
            raise CorruptStreamError("payload, byte 0: colour transform 4 of a frame that follows")
        if previous is not None and mode.n_planes > MAX_FOLLOWING:
            raise CorruptStreamError(f"payload: {mode.n_planes} planes of a frame that follows")
        in_part = allow_truncated or box is not None
        entries = tiles.read_directory(payload, reader, header, grid, in_part=in_part)
    except TruncatedStreamError:
        if allow_truncated:
            return np.zeros(header.shape, planes.dtype_of(mode)), False
        raise
    prior = (priors or {}).get(transform)
    missing = _missing_samples(mode, transform) if allow_truncated else None
    if costs is not None:
        _note_raw_tiles(costs, grid, entries, mode)

    def decode(index: int, data: bytes) -> tuple[NDArray[Any], bool]:
        tile = grid[index]
        traced = _NOTHING_TRACED if costs is None else np.zeros(facts.costs_shape(*tile.shape))
        before = None
        if previous is not None:
            top, left = (box.top, box.left) if box else (0, 0)
            window = previous[tile.top - top :, tile.left - left :]
            before = _known_planes(window[: tile.shape[0], : tile.shape[1]], mode, transform)
        components, complete, known = _decode_tile(
            data, tile.shape, facts, mode, index, missing, prior, traced, before
        )
        if costs is not None:
            costs[:, tile.top : tile.bottom, tile.left : tile.right] = traced
        restored = _restore_colours(list(components), transform, complete)
        for plane in restored:
            plane[known:] = 0
        return planes.merge_checked(restored, mode, complete), complete

    return tiles.decode_tiles(payload, header, grid, entries, decode, allow_truncated, box)


def _note_raw_tiles(
    costs: NDArray[np.float64], grid: Sequence[Tile], entries: Sequence[Entry], mode: Mode
) -> None:
    """Put down the bits of tiles that were not coded."""
    for tile, entry in zip(grid, entries, strict=True):
        if entry.is_raw:
            window = costs[: mode.n_planes, tile.top : tile.bottom, tile.left : tile.right]
            window[..., SIZE_COST] = mode.bits_per_sample


def transform_of(payload: bytes) -> int:
    """Return the colour transform that a payload names."""
    return payload[0] >> 4 & 7


def describe_payload(payload: bytes, header: Header) -> PayloadFacts:
    """Return what a payload says before its samples."""
    return _read_head(ByteReader(payload, "payload"), header)[0]


def count_head_bytes(payload: bytes, header: Header) -> int:
    """Return the bytes of a payload before its first tile."""
    reader = ByteReader(payload, "payload")
    _read_head(reader, header)
    grid = tile_grid(header.height, header.width)
    return tiles.read_directory(payload, reader, header, grid, in_part=True)[0].start


def _missing_samples(mode: Mode, transform: int) -> list[int | None]:
    """Return what stands for the samples of each plane that a truncated payload lacks.

    None: the highest of the plane, which makes a picture opaque.
    """
    alpha: list[int | None] = [None] * (mode.n_planes in (2, 4) and not mode.plain)
    if transform == planes.LATTICE:
        return [0, 128, 128, 0, *alpha]
    return [*[0] * (mode.n_planes - len(alpha)), *alpha]


def _restore_colours(components: list[Plane], transform: int, complete: bool) -> list[Plane]:
    """Undo the transform; the last samples before a cut may be any, and are no damage."""
    try:
        return planes.restore_colours(components, transform)
    except CorruptStreamError:
        if complete:
            raise
        components[3][:] = 0  # without corrections every triple is a pixel
        return planes.restore_colours(components, transform)


def choose_transform(components: list[Plane], mode: Mode) -> int:
    """Return the lattice for images that were a JPEG once, else the difference to red."""
    if mode.n_planes not in (3, 4) or mode.plain:
        return planes.NO_TRANSFORM
    if mode.bits_per_sample == 8:
        n_exact, n_tested = lattice_share(*components[:3])
        if n_tested >= FEWEST_TESTED and 4 * n_exact >= 3 * n_tested:
            return planes.LATTICE
    return planes.RED_DIFFERENCE


def plane_range(plane: Plane, mode: Mode) -> PlaneRange:
    """Return what is said of a plane (SPEC 5C.1)."""
    return _joint_ranges([[_survey(plane, mode)]], mode)[0]


class _Survey(NamedTuple):
    """What `_joint_ranges` needs of a plane of a tile.

    Attributes
    ----------
    lowest, highest : int
        Of the samples.
    steps, n_steps : int
        Sum and number of the differences between neighbours in a row; of up to 8 bits 0.
    """

    lowest: int
    highest: int
    steps: int
    n_steps: int


def _survey(plane: Plane, mode: Mode) -> _Survey:
    steps = n_steps = 0
    if mode.bits_per_sample > 8:
        steps = int(np.abs(np.diff(plane, axis=1)).sum(dtype=np.int64))
        n_steps = plane.shape[0] * (plane.shape[1] - 1)
    return _Survey(int(plane.min()), int(plane.max()), steps, n_steps)


def _joint_ranges(surveys: Sequence[Sequence[_Survey]], mode: Mode) -> list[PlaneRange]:
    """Return the range of each plane of an image from those of its tiles."""
    ranges = []
    for of_plane in zip(*surveys, strict=True):
        lowest = min(each.lowest for each in of_plane)
        highest = max(each.highest for each in of_plane)
        n_steps = sum(each.n_steps for each in of_plane)
        scale = 0
        if lowest != highest and n_steps:
            mean_step = sum(each.steps for each in of_plane) // n_steps
            scale = min(max(0, mean_step.bit_length() - SCALE_BITS), MAX_SCALE)
        ranges.append(PlaneRange(lowest, highest, scale))
    return ranges


def _write_ranges(
    ranges: Sequence[PlaneRange], limits: Sequence[tuple[int, int]], mode: Mode
) -> bytes:
    """Write what is said of the planes (SPEC 5C.1); inverse of `_read_head`'s second half."""
    mask = 0
    parts = []
    for index, (each, (lowest, highest)) in enumerate(zip(ranges, limits, strict=True)):
        if (each.lowest, each.highest) != (lowest, highest):
            mask |= 1 << index
            parts += [write_varint(each.lowest - lowest), write_varint(highest - each.highest)]
        if mode.bits_per_sample > 8:
            parts.append(bytes([each.scale]))
    if len(ranges) > MAX_VARINT_PLANES:
        return mask.to_bytes((len(ranges) + 7) // 8, "little") + b"".join(parts)
    return write_varint(mask) + b"".join(parts)


def _read_head(reader: ByteReader, header: Header) -> tuple[PayloadFacts, int]:
    mode = header.mode
    first = reader.take(1, "settings")[0]
    summed, transform, n_contexts = bool(first >> 7), first >> 4 & 7, first & 15
    allowed = allowed_transforms(mode.bits_per_sample, mode.n_planes, mode.plain)
    if transform not in allowed:
        raise CorruptStreamError(
            f"payload, byte 0: colour transform {transform}, none of {allowed}"
        )
    if not 1 <= n_contexts <= MAX_CONTEXTS:
        raise CorruptStreamError(f"payload, byte 0: {n_contexts} contexts, expected 1..15")
    if summed and variant_of(n_contexts) not in SUMMED_VARIANTS:
        raise CorruptStreamError(
            f"payload, byte 0: log-odds of {n_contexts} contexts that add up, expected 4..12"
        )
    limits = planes.plane_ranges(mode, transform)
    if len(limits) > MAX_VARINT_PLANES:
        mask = int.from_bytes(reader.take((len(limits) + 7) // 8, "narrowed planes"), "little")
        if mask >> len(limits):
            raise CorruptStreamError("payload: narrowed planes beyond the last")
    else:
        mask = reader.varint("narrowed planes", (1 << len(limits)) - 1)
    ranges = []
    for index, limit in enumerate(limits):
        lowest, highest = limit
        if mask >> index & 1:
            lowest += reader.varint("lowest sample", highest - lowest)
            highest -= reader.varint("highest sample", highest - lowest)
            if (lowest, highest) == limit:
                raise CorruptStreamError(f"payload: plane {index} is narrowed to its whole range")
        scale = reader.take(1, "scale")[0] if mode.bits_per_sample > 8 else 0
        if scale > MAX_SCALE:
            raise CorruptStreamError(f"payload: scale {scale} of plane {index}, expected 0..8")
        ranges.append(PlaneRange(lowest, highest, scale))
    n_tiles = len(tile_grid(header.height, header.width))
    name = planes.TRANSFORM_NAMES[transform]
    return PayloadFacts(name, n_contexts, summed, n_tiles, ranges), transform


def _buffers(
    n_planes: int,
    shape: tuple[int, ...],
    number: Any,
    ranges: Sequence[PlaneRange],
    known: Sequence[Plane] | None,
) -> tuple[NDArray[Any], ...]:
    """Return samples and residuals of all planes with their margins, and errors of two rows.

    Planes that are known are there with their margins, each in front of one to code.
    """
    n_buffers = min(n_planes, _window(n_planes)) if known is None else 2 * n_planes
    padded = (n_buffers, shape[0] + MARGIN_ROWS + 1, shape[1] + 2 * MARGIN)
    samples, residuals = np.zeros(padded, number), np.zeros(padded, number)
    for buffer, plane, each in zip(samples[::2], known or (), ranges, strict=False):
        buffer[MARGIN_ROWS:-1, MARGIN:-MARGIN] = plane
        _fill_margins(buffer, (each.lowest + each.highest + 1) >> 1)
    error_number = np.int16 if number == np.int32 else np.int64
    return samples, residuals, np.zeros(16 * padded[2], error_number)


def _window(n_planes: int) -> int:
    """Return how many planes are in memory at the same time."""
    return n_planes if n_planes <= MAX_FOLLOWING else 3


def _fill_margins(buffer: NDArray[Any], middle: int) -> None:
    """Fill the margins of a plane as the kernel does (SPEC 5C.3)."""
    rows = buffer[MARGIN_ROWS:-1]
    buffer[:MARGIN_ROWS, : 2 * MARGIN] = middle
    buffer[:MARGIN_ROWS, 2 * MARGIN :] = rows[0, MARGIN:-MARGIN]
    rows[0, :MARGIN] = middle
    rows[1:, :MARGIN] = rows[:-1, MARGIN : MARGIN + 1]
    rows[:, -MARGIN:] = rows[:, -MARGIN - 1, None]
    buffer[-1] = rows[-1]


def _run_planes(
    model: Model,
    ranges: Sequence[PlaneRange],
    shape: tuple[int, ...],
    samples: NDArray[Any],
    residuals: NDArray[Any],
    errors: NDArray[Any],
    interval: NDArray[np.int64],
    data: NDArray[np.uint8],
    *,
    decoding: bool,
    counts: NDArray[np.uint32] = _NOTHING_COUNTED,
    costs: NDArray[np.float64] = _NOTHING_TRACED,
    planes_of_tile: Sequence[NDArray[Any]] = (),
) -> tuple[int, int, int]:
    """Code all planes that are not constant; return (status, plane, row).

    Where there are twice as many planes as ranges, each has the frame before's in front of it.
    Where there are fewer, they are the last ones, which come from, or go to, `planes_of_tile`.
    """
    follows = len(samples) > len(ranges)
    moves = len(samples) < len(ranges)
    variant = variant_of(model.n_contexts)
    code = CODE_PLANE[variant, model.wide, model.summed, len(costs) > 0]
    flat, flat_residuals = samples.reshape(-1), residuals.reshape(-1)
    flat_states = model.states.reshape(-1)
    for index, each in enumerate(ranges):
        place, kind = (2 * index + 1, index + 1) if follows else (index, index)
        if moves:
            place = min(index, len(samples) - 1)
            _move_on(samples, index)
            _move_on(residuals, index)
            if not decoding:
                samples[place, MARGIN_ROWS:-1, MARGIN:-MARGIN] = planes_of_tile[index]
        if each.lowest == each.highest:
            samples[place] = each.lowest
            if moves and decoding:
                planes_of_tile[index][:] = each.lowest
            continue
        geometry = (
            shape[0], shape[1], place, min(kind, MAX_KINDS - 1), each.lowest, each.highest,
            each.scale, model.n_contexts, model.n_nodes, model.count_limit, *model.paces,
        )  # fmt: skip
        errors[:] = 0
        result, row = code(
            flat, flat_residuals, errors, geometry, flat_states, model.steps,
            model.rules(place == 0, min(kind, MAX_KINDS - 1), each.scale),
            model.weights, model.curves, model.biases, model.filters, model.least_squares,
            *tables(), MOVING, interval, data, decoding, counts,
            costs[(index - place) * shape[0] * shape[1] * N_COST_PARTS :]
            if moves and len(costs) else costs,
        )  # fmt: skip
        if moves and decoding:
            planes_of_tile[index][:] = samples[place, MARGIN_ROWS:-1, MARGIN:-MARGIN]
        if result != status.OK:
            return int(result), index, int(row)
    return status.OK, len(ranges), 0


def _move_on(buffers: NDArray[Any], index: int) -> None:
    """Make room for a plane behind the last ones."""
    if index >= len(buffers):
        buffers[:-1] = buffers[1:]
        buffers[-1] = 0


def _encode_tile(
    tile: Sequence[Plane],
    ranges: Sequence[PlaneRange],
    n_contexts: int,
    mode: Mode,
    prior: ContextPrior | None,
    known: Sequence[Plane] | None = None,
    summed: bool = False,
) -> bytes | None:
    """Return the code of a tile, None where it would be larger than the samples."""
    n_planes = len(tile) + (known is not None)
    model = Model(n_contexts, n_planes, wide=mode.bits_per_sample > 8, summed=summed, prior=prior)
    return code_samples(model, tile, ranges, known=known).code


@dataclass(frozen=True)
class CodedSamples:
    """What `code_samples` leaves.

    Attributes
    ----------
    code : bytes or None
        None where it would be larger than the samples.
    samples, residuals : ndarray
        Of all planes, with their margins as the kernel filled them.
    """

    code: bytes | None
    samples: NDArray[Any]
    residuals: NDArray[Any]


def code_samples(
    model: Model,
    tile: Sequence[Plane],
    ranges: Sequence[PlaneRange],
    counts: NDArray[np.uint32] = _NOTHING_COUNTED,
    known: Sequence[Plane] | None = None,
) -> CodedSamples:
    """Encode a tile, with the frame before's if it predicts it.

    `counts` takes in how often each node met a 0 and a 1, if it is not empty.
    """
    shape = tile[0].shape
    samples, residuals, errors = _buffers(len(tile), shape, model.filters.dtype, ranges, known)
    if len(samples) >= len(tile):
        for target, plane in zip(samples if known is None else samples[1::2], tile, strict=True):
            target[MARGIN_ROWS:-1, MARGIN:-MARGIN] = plane
    raw_size = tile[0].size * len(tile) * (2 if model.wide else 1)
    data: NDArray[np.uint8] = np.empty(raw_size + 80 * shape[1] + 64, np.uint8)
    interval = np.array([0, 0xFFFFFFFF, 0, 0], np.int64)
    result, _, _ = _run_planes(
        model, ranges, shape, samples, residuals, errors, interval, data, decoding=False,
        counts=counts, planes_of_tile=tile,
    )  # fmt: skip
    if result != status.OK:
        return CodedSamples(None, samples, residuals)
    end = entropy_kernels.finish_arithmetic(interval[:2].copy(), data, int(interval[3]))
    return CodedSamples(data[: int(end)].tobytes(), samples, residuals)


def _decode_tile(
    code: bytes,
    shape: tuple[int, int],
    facts: PayloadFacts,
    mode: Mode,
    index: int,
    missing: list[int | None] | None,
    prior: ContextPrior | None,
    costs: NDArray[np.float64] = _NOTHING_TRACED,
    known: Sequence[Plane] | None = None,
) -> tuple[NDArray[Any], bool, int]:
    """Return (samples of all planes, whether they are complete, rows that the first plane has).

    Inverse of `_encode_tile`; `known` are the planes of the frame before. `missing` are those of
    `_missing_samples`, None where truncation is not allowed.
    """
    if not code and all(each.lowest == each.highest for each in facts.ranges):
        flat = [np.full(shape, each.lowest, np.int32) for each in facts.ranges]
        return np.stack(flat), True, shape[0]
    wide = mode.bits_per_sample > 8
    n_planes = len(facts.ranges) + (known is not None)
    model = Model(facts.n_contexts, n_planes, wide=wide, summed=facts.summed, prior=prior)
    samples, residuals, errors = _buffers(
        len(facts.ranges), shape, model.filters.dtype, facts.ranges, known
    )
    own = samples if known is None else samples[1::2]
    moved: NDArray[np.int32] = np.empty((0, *shape), np.int32)
    if len(own) < len(facts.ranges):
        own = moved = np.empty((len(facts.ranges), *shape), np.int32)
    for target, each in zip(own, facts.ranges, strict=True):
        target[:] = each.lowest
    data = np.frombuffer(bytearray(code), np.uint8)  # writable, as the kernel's other users
    first = int.from_bytes(code[:4].ljust(4, b"\0"), "big")
    interval = np.array([0, 0xFFFFFFFF, first, 4], np.int64)
    result, plane, row = _run_planes(
        model, facts.ranges, shape, samples, residuals, errors, interval, data, decoding=True,
        costs=costs.reshape(-1), planes_of_tile=list(moved),
    )  # fmt: skip
    complete = result == status.OK
    if complete:
        end = int(entropy_kernels.end_of_arithmetic(interval[:2], int(interval[3])))
        if len(data) > end and missing is None:
            raise CorruptStreamError(
                f"payload, tile {index}: {len(data) - end} bytes follow the end of its code"
            )
        complete = len(data) == end
    tile = own if len(moved) else own[:, MARGIN_ROWS:-1, MARGIN:-MARGIN]
    if result not in (status.OK, status.TRUNCATED) and missing is None:
        raise CorruptStreamError(
            f"payload, tile {index}, plane {plane}, row {row}: {status.MESSAGES[result]}"
        )
    if not complete and missing is None:
        raise TruncatedStreamError(
            f"payload, tile {index}: its code ends at plane {plane}, row {row} of {shape[0]}"
        )
    if result != status.OK:
        assert missing is not None
        for later in range(plane, len(tile)):
            each, value = facts.ranges[later], missing[later]
            value = each.highest if value is None else min(max(value, each.lowest), each.highest)
            tile[later, row if later == plane else 0 :] = value
    return tile, complete, row if result != status.OK and plane == 0 else shape[0]
