"""Pictures that were JPEGs once: their quantised coefficients, found from the pixels alone.

pixels -> intervals of YCbCr samples -> intervals of the components before upsampling -> blocks of
quantised coefficients. The encoder's search only: whatever it finds, the coder's corrections make
the picture exact. All arithmetic is that of integers, so that every machine finds the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from . import colour_lattice, quantiser_estimation, quantiser_tables
from .jpeg_emulation import (
    BLOCK,
    FANCY,
    REPLICATION,
    Past,
    bound_luma,
    convert_colours,
    invert_transform,
    round_samples,
    upsample,
)
from .jpeg_samples_coder import blocks_with
from .kernels import block_search_kernels
from .kernels import recovery_kernels as kernels
from .worker_threads import n_threads_for, on_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from .coefficient_prior import CoefficientPrior
    from .jpeg_emulation import Coefficients, Component
    from .quantiser_tables import Table

    Box = tuple[Component, Component]
    """Lowest and highest value of each sample."""

SMALLEST_PART = 16
"""Pixels a side of the least part that upsampling can be tried on."""

FEWEST_TESTED = 256
"""Pixels that must tell something about the colours."""

LEAST_SHARE = 90
"""Percent of the pixels that must have a YCbCr triple."""

MOST_AGAINST = 2
"""Percent of samples that may contradict a right upsampling, by edits or noise."""

WINDOW_PIXELS = 96
"""Side of the part that upsampling is tried on."""

LEAST_GOOD = 85
"""Percent of a sample's luma blocks that the coefficients must give, or nearly give."""

STEPS_BY_EFFORT = (0, 8, 12, 16, 32, 60, 100, 200, 300, 500)
ROUNDS_BY_EFFORT = (0, 1, 1, 1, 1, 2, 3, 4, 8, 12)
SEARCHED_STEP = 3
"""Larger quantiser steps leave no doubt, but beside saturated samples."""

N_TOLD = 600
"""Most blocks that tables are estimated from."""

FEWEST_TOLD = 4

MOST_DOUBT = 16
"""Sum of the widths of a block's intervals up to which it tells something."""

NEARLY_ZERO = 3686
"""In 4096ths: what rounding noise makes of a zero."""

GRID_PIXELS = 256
"""Side of the part by which the place of the chroma's blocks is told."""

WINDOW = 7
"""Blocks a side of the windows by which the grid is found."""

SAMPLINGS = ((2, 2), (1, 2), (2, 1), (1, 1))

NO_TABLES = ((1,) * 64,) * 3

PARTS = 8
"""Into which pictures and lists of blocks are split, to be worked on by threads."""


@dataclass(frozen=True)
class Recovered:
    """What was found.

    Attributes
    ----------
    past : Past
    coefficients : list of ndarray, int16, (blocks down, blocks across, 64)
    boxes : list of tuple of ndarray
        Lowest and highest value of each component's samples; those of the chroma count.
    exact : tuple of float
        Share of each component's blocks whose samples all lie within.
    trial_bytes : dict
        What `jpeg_past_coder.n_trial_bytes` found, by prior.
    """

    past: Past
    coefficients: list[Coefficients]
    boxes: list[Box]
    exact: tuple[float, ...]
    trial_bytes: dict[CoefficientPrior | None, int] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )


@dataclass(frozen=True)
class Unsampled:
    """What was found of a picture whose coefficients cannot be had.

    Attributes
    ----------
    past : Past
        Without tables.
    luma : ndarray, int32, (H, W)
    chroma : list of ndarray, int32
        Samples of both components before upsampling.
    """

    past: Past
    luma: Component
    chroma: list[Component]


@dataclass
class _Known:
    """What is known of the picture's samples.

    Attributes
    ----------
    picture : ndarray
    boxes : list of (lowest, highest)
        Of Y, Cb and Cr at the pixels, or of the gray samples.
    guess : list of ndarray
        Likely values within.
    colours : tuple of ndarray, int32, (H, W)
        Red, green and blue of colour pictures.
    bounds : tuple of ndarray, int32, (3, H, W)
        All lowest and all highest values of theirs, which `boxes` are parts of.
    components : dict
        Intervals before upsampling that were found.
    """

    picture: NDArray[Any]
    boxes: list[Box]
    guess: list[Component]
    colours: tuple[Component, ...] = ()
    bounds: tuple[Component, ...] = ()
    components: dict[tuple[Any, ...], Box] = field(default_factory=dict)

    def component(self, past: Past, index: int) -> Box:
        """Return the intervals of a component's samples before upsampling."""
        if index == 0:
            return _placed(past, self.boxes[0])
        key = (past.sampling, past.phase, past.cut, past.upsampling, index)
        if key not in self.components:
            self.components[key], _ = _component_box(past, self.boxes[index])
        return self.components[key]


@cache
def basis() -> NDArray[np.int32]:
    """Return the products of cosines of each coefficient (rows) and sample, in 4096ths."""
    cosines = (32768, 32138, 30274, 27246, 23170, 18205, 12540, 6393, 0)

    def cosine(turn: int) -> int:
        turn %= 32
        turn = min(turn, 32 - turn)
        return cosines[turn] if turn <= 8 else -cosines[16 - turn]

    lines = np.array(
        [[23170 if not u else cosine((2 * x + 1) * u) for x in range(8)] for u in range(8)],
        np.int64,
    )
    products = lines[:, None, :, None] * lines[None, :, None, :]
    return ((products.reshape(64, 64) + (1 << 19)) >> 20).astype(np.int32)


def recover(picture: NDArray[Any], effort: int) -> Recovered | Unsampled | None:
    """Return the coefficients of a picture that was a JPEG once, None of others.

    Or its samples before upsampling, where coefficients cannot be had.

    Parameters
    ----------
    picture : ndarray, uint8, (H, W) or (H, W, 3)
    effort : int
        1 to 9: how long to search.
    """
    known = _know(picture)
    if known is None:
        return None
    past = _find(known)
    return _unsampled(known) if past is None else _Search(known, past, effort).run()


def find_past(picture: NDArray[Any]) -> Past | None:
    """Return the past alone of a picture that was a JPEG once; see `recover`."""
    known = _know(picture)
    if known is None:
        return None
    past = _find(known)
    if past is None and (unsampled := _unsampled(known)) is not None:
        return unsampled.past
    return past


def _find(known: _Known) -> Past | None:
    return next((each for each in _likely_pasts(known) if _fits(known, each)), None)


def _unsampled(known: _Known) -> Unsampled | None:
    """Return the samples before upsampling of a picture without coefficients, None without any."""
    if len(known.boxes) == 1:
        return None
    for sampling in SAMPLINGS[:-1]:
        for row in range(sampling[0]):
            for column in range(sampling[1]):
                past = Past(sampling, (row, column), (False, False), FANCY, NO_TABLES)
                for held in _upsamplings(known, past):
                    return Unsampled(held, known.guess[0], _chroma_of(known, held))
    return None


def _chroma_of(known: _Known, past: Past) -> list[Component]:
    """Return the likeliest samples before upsampling within their intervals."""
    size = known.picture.shape[:2]
    chroma = []
    for index in (1, 2):
        box = known.component(past, index)
        now = np.clip(downsampled(past, index, known.guess[index]), *box)
        gap = known.guess[index] - upsample(past, index, now, *size)
        chroma.append(np.clip(now + downsampled(past, index, gap), *box))
    return chroma


def _know(picture: NDArray[Any]) -> _Known | None:
    """Return the intervals of the picture's samples; None where no JPEG decoder gives them."""
    if picture.ndim == 2:
        gray = picture.astype(np.int32)
        return _Known(picture, [(gray, gray)], [gray])
    red, green, blue = (np.ascontiguousarray(picture[:, :, i], np.int32) for i in range(3))
    n_exact, n_tested = colour_lattice.lattice_share(red, green, blue)
    if n_tested < FEWEST_TESTED or 100 * n_exact < LEAST_SHARE * n_tested:
        return None
    triples, corrections = colour_lattice.split_lattice(red, green, blue)
    lows, highs = (np.empty((3, *red.shape), np.int32) for _ in range(2))
    _by_rows(
        lambda rows: kernels.narrow_triples(
            red, green, blue, colour_lattice.first_chroma(), *triples, corrections, rows, lows,
            highs,
        ),
        len(red), n_threads_for(PARTS),
    )  # fmt: skip
    boxes = list(zip(lows, highs, strict=True))
    return _Known(picture, boxes, list(triples), (red, green, blue), (lows, highs))


def _by_rows(
    function: Callable[[NDArray[np.int64]], object], n_rows: int, n_parts: int = PARTS
) -> None:
    """Call a function for parts of the rows, on threads; with the first and one after the last."""
    ends = np.linspace(0, n_rows, n_parts + 1).astype(np.int64)
    on_threads(function, [ends[part : part + 2] for part in range(n_parts)])


# Where the picture lies in the JPEG


def _likely_pasts(known: _Known) -> Iterator[Past]:
    """Yield pasts with their tables, the likeliest first."""
    n_components = len(known.boxes)
    luma_phase = find_grid(known.guess[0])
    if luma_phase is None:
        return
    if n_components == 1:
        past = _past((1, 1), luma_phase, ())
        yield from _with_tables(known, past)
        return
    for sampling in SAMPLINGS:
        past = _past(sampling, luma_phase, ())
        # phases that are 8 apart show the same samples, in other blocks
        for held in _upsamplings(known, past) if sampling != (1, 1) else [past]:
            phases = [
                (luma_phase[0] + row, luma_phase[1] + column)
                for row in range(0, BLOCK * sampling[0], BLOCK)
                for column in range(0, BLOCK * sampling[1], BLOCK)
            ]
            if len(phases) > 1:
                zeros = _zeros_of_chroma(known, held, phases)
                phases.sort(key=lambda phase: -zeros[phase])
            for phase in phases:
                cut = phase != (0, 0)
                yield from _with_tables(known, replace(held, phase=phase, cut=(cut, cut)))


def _zeros_of_chroma(
    known: _Known, past: Past, phases: list[tuple[int, int]]
) -> dict[tuple[int, int], int]:
    """Return how many chroma coefficients in 65,536 are nearly 0, most on the right grid.

    By phases that differ from that of `past` by 0 or 8.
    """
    # a part that lies in its MCUs as the whole picture does
    starts = [
        max(0, side // 2 - GRID_PIXELS // 2) // (BLOCK * by) * (BLOCK * by)
        for side, by in zip(known.picture.shape, past.sampling, strict=False)
    ]
    rows, columns = (slice(start, start + GRID_PIXELS) for start in starts)
    boxes = on_threads(
        lambda box: _component_box(past, _part(box, rows, columns))[0], known.boxes[1:]
    )
    found = {}
    for phase in phases:
        down, across = (
            (there - here) // by
            for there, here, by in zip(phase, past.phase, past.sampling, strict=True)
        )
        # what lies before the first whole block is left out
        seen = slice(-down % BLOCK, None), slice(-across % BLOCK, None)
        told = np.concatenate([_told(_part(box, *seen)) for box in boxes])
        n_small = int((np.abs(told) < NEARLY_ZERO).sum())
        found[phase] = n_small * 65536 // max(1, int(told.size))
    return found


def _part(box: Box, rows: slice, columns: slice) -> Box:
    low, high = (np.ascontiguousarray(each[rows, columns]) for each in box)
    return low, high


def _past(sampling: tuple[int, int], phase: tuple[int, int], tables: tuple[Table, ...]) -> Past:
    cut = phase != (0, 0)
    return Past(sampling, phase, (cut, cut), FANCY, tables)


def find_grid(plane: Component) -> tuple[int, int] | None:
    """Return the phase of the grid of 8 x 8 blocks in a plane, None where it shows none.

    Blocks of the right grid have more coefficients that are nearly 0.
    """
    height, width = plane.shape
    blocks = min(WINDOW, height // BLOCK - 1, width // BLOCK - 1)
    if blocks < 1:
        return None
    # the busiest of some windows: flat ones have no grid
    side = BLOCK * (blocks + 1)
    places = [
        (top, left)
        for top in np.linspace(0, height - side, 5).astype(int)
        for left in np.linspace(0, width - side, 5).astype(int)
    ]

    def activity(place: tuple[int, int]) -> int:
        window = plane[place[0] : place[0] + side, place[1] : place[1] + side]
        steps = np.abs(np.diff(window, axis=1))
        return int(np.minimum(steps, 8).sum())

    top, left = sorted(places, key=activity)[len(places) * 3 // 4]
    counts = quantiser_estimation.zeros_by_grid(plane, top, left, blocks)
    best = int(counts.argmax())
    second = int(np.partition(counts.reshape(-1), -2)[-2])
    most, n_all = int(counts.reshape(-1)[best]), blocks * blocks * 63
    # noise of nothing but chance varies by less than this
    if (most - second) ** 2 * 2 < n_all or most <= second:
        return None
    row, column = divmod(best, BLOCK)
    return int(-(top + row)) % BLOCK, int(-(left + column)) % BLOCK


def _upsamplings(known: _Known, past: Past) -> list[Past]:
    """Return the past with the way of upsampling that the picture's middle contradicts less.

    None where it contradicts both.
    """
    pasts = [replace(past, upsampling=each) for each in (FANCY, REPLICATION)]
    against = [_share_against(known, pasts[0])]
    if against[0]:
        against.append(_share_against(known, pasts[1]))
    best = min(range(len(against)), key=against.__getitem__)
    return [pasts[best]] if against[best] <= MOST_AGAINST else []


def _share_against(known: _Known, past: Past) -> int:
    """Return how many percent of the middle's chroma have no values before upsampling.

    That of the worse component; 0 only where all have some.
    """
    starts = []
    for side, phase, by in zip(known.picture.shape, past.phase, past.sampling, strict=False):
        # inside of an MCU, where nothing depends on what the picture does not show
        start, mcu = max(0, (side - WINDOW_PIXELS) // 2), BLOCK * by
        start += (mcu // 2 - phase - start) % mcu
        starts.append(start if start + SMALLEST_PART <= side else 0)
    rows, columns = (slice(start, start + WINDOW_PIXELS) for start in starts)
    row, column = (
        (each + start) % (BLOCK * by)
        for each, start, by in zip(past.phase, starts, past.sampling, strict=True)
    )
    part = replace(past, phase=(row, column), cut=(True, True))
    shares = []
    for box in known.boxes[1:]:
        _, n_against = _component_box(part, _part(box, rows, columns))
        shares.append(-(-50 * n_against // box[0][rows, columns].size))
        if shares[-1] > MOST_AGAINST:
            break
    return max(shares)


def _with_tables(known: _Known, past: Past) -> Iterator[Past]:
    """Yield the past with the tables that its blocks tell, chroma's the same for both."""
    luma = _told(_placed(past, known.boxes[0]))
    if len(luma) < FEWEST_TOLD:
        return
    table, quality = quantiser_estimation.estimate_table(luma, quantiser_tables.LUMA)
    tables = [table]
    if len(known.boxes) > 1:
        chroma = np.concatenate(
            on_threads(lambda index: _told(known.component(past, index)), (1, 2))
        )
        table, _ = quantiser_estimation.estimate_table(chroma, quantiser_tables.CHROMA, quality)
        tables += [table, table]
    yield replace(past, tables=tuple(tables))


def _told(box: Box) -> NDArray[np.int32]:
    """Return the DCT of the blocks whose samples are known best, without flat ones."""
    low, high = _blocks(box[0]), _blocks(box[1])
    widths = (high - low).sum(axis=1)
    told = np.flatnonzero((widths <= MOST_DOUBT) & (low.max(axis=1) - low.min(axis=1) > 2))
    told = told[np.argsort(widths[told], kind="stable")]
    clean = int(np.searchsorted(widths[told], 1))
    if clean >= N_TOLD:
        told = told[:clean][:: clean // N_TOLD]
    told = told[:N_TOLD]
    return quantiser_estimation.transform(low[told] + high[told] - 256)


def _fits(known: _Known, past: Past) -> bool:
    """Whether clean luma blocks are what the coefficients give, nearly all of them."""
    low, high = (_blocks(each) for each in _placed(past, known.boxes[0]))
    clean = np.flatnonzero((low == high).all(axis=1) & (low.max(axis=1) > low.min(axis=1) + 2))
    if len(clean) < 4:
        return False
    clean = clean[:: max(1, len(clean) // 200)]
    low = np.ascontiguousarray(low[clean])
    found, _ = _solve(low * 2, low, low, past.tables[0], 0)
    fine = invert_transform(found.reshape(1, -1, 64), past.tables[0], (BLOCK, BLOCK * len(low)))
    samples = round_samples(fine, np.zeros_like(fine))
    shown = samples.reshape(BLOCK, -1, BLOCK).transpose(1, 0, 2).reshape(-1, 64)
    wrong = (np.abs(shown - low) > 1).any(axis=1) | ((shown != low).sum(axis=1) > 24)
    # a table of ones fits whatever there is
    tells = sum(step > 1 for step in past.tables[0]) >= 8
    return tells and 100 * int((~wrong).sum()) >= LEAST_GOOD * len(low)


# Intervals


def _placed(past: Past, box: Box) -> Box:
    """Return the intervals of a component of full size, 0..255 where the picture shows none."""
    height, width = box[0].shape
    shape = past.component_shape(0, height, width)
    if shape == box[0].shape and box[0].dtype == np.int32:
        return box
    planes = []
    for each, otherwise in zip(box, (0, 255), strict=True):
        plane = np.full(shape, otherwise, np.int32)
        top, left = past.phase
        plane[top : top + height, left : left + width] = each
        planes.append(plane)
    return planes[0], planes[1]


def _component_box(past: Past, box: Box) -> tuple[Box, int]:
    """Return the intervals of a chroma component's samples before upsampling.

    And how many of the seen samples contradict, each counted twice.
    """
    down, across = past.sampling
    if (down, across) == (1, 1):
        return _placed(past, box), 0
    height, width = box[0].shape
    rows, columns = past.component_shape(1, height, width)
    if past.upsampling == REPLICATION:
        return _repeated_box(past, box, (rows, columns))
    top, left = past.phase
    low, high = (np.full((rows, columns), each, np.int32) for each in (0, 255))
    if down == 1:
        n_against = kernels.narrow_lines(*box, False, left, top, low, high, 4, 1, 2)
    elif across == 1:
        n_against = kernels.narrow_lines(*box, True, top, left, low, high, 4, 1, 2)
    else:
        # sums of two rows first, 0..1020, then the samples of each column
        sums = [np.full((height, columns), each, np.int32) for each in (0, 1020)]
        for _ in range(2):
            n_against = kernels.narrow_lines(*box, False, left, 0, *sums, 16, 8, 7)
            n_against += kernels.narrow_lines(*sums, True, top, 0, low, high, 1, 0, 0)
            _bound_sums(low, high, top, sums)
    return (low, high), int(n_against)


def _repeated_box(past: Past, box: Box, shape: tuple[int, int]) -> tuple[Box, int]:
    """Return the intervals of samples each of which is repeated; and as `_component_box`."""
    (down, across), (rows, columns) = past.sampling, shape
    height, width = box[0].shape
    top, left = past.phase
    bounds = []
    for each, otherwise in zip(box, (0, 255), strict=True):
        full = np.full((rows * down, columns * across), otherwise, np.int32)
        full[top : top + height, left : left + width] = each
        bounds.append([full[i::down, j::across] for i in range(down) for j in range(across)])
    low = np.maximum.reduce(bounds[0])
    high = np.minimum.reduce(bounds[1])
    n_against = 2 * down * across * int((low > high).sum())
    return (np.minimum(low, high), np.maximum(low, high)), n_against


def _bound_sums(low: Component, high: Component, top: int, sums: list[Component]) -> None:
    """Narrow the sums of two rows by the samples' intervals."""
    place = np.arange(top, top + len(sums[0]))
    row = place >> 1
    other = np.clip(np.where(place & 1, row + 1, row - 1), 0, len(low) - 1)
    first = np.maximum(sums[0], 3 * low[row] + low[other])
    last = np.minimum(sums[1], 3 * high[row] + high[other])
    sums[0][:] = np.where(first <= last, first, sums[0])
    sums[1][:] = np.where(first <= last, last, sums[1])


def downsampled(past: Past, index: int, plane: Component) -> Component:
    """Return the means of the pixels that show each of a component's samples most."""
    shape = past.component_shape(index, *plane.shape)
    down, across = past.sampling_of(index)
    margins = []
    for axis, by in enumerate((down, across)):
        before = past.phase[axis]
        margins.append((before, max(0, shape[axis] * by - before - plane.shape[axis])))
    full = np.pad(plane, margins, "edge")[: shape[0] * down, : shape[1] * across]
    total: Component = np.zeros(shape, np.int32)
    for row in range(down):
        for column in range(across):
            total += full[row::down, column::across]
    return (2 * total + down * across) // (2 * down * across)


# Blocks


def _blocks(plane: Component, outside: int | None = None) -> Component:
    """Return (n, 64) blocks of a plane, which is continued by a value.

    Without any by its last row and column.
    """
    height, width = plane.shape
    n_down, n_across = -(-height // BLOCK), -(-width // BLOCK)
    whole = np.empty((BLOCK * n_down, BLOCK * n_across), np.int32)
    whole[:height, :width] = plane
    whole[:height, width:] = plane[:, -1:] if outside is None else outside
    whole[height:] = whole[height - 1] if outside is None else outside
    # lines of blocks are moved as one element each
    lines = whole.view(f"V{BLOCK * whole.itemsize}").reshape(n_down, BLOCK, n_across)
    blocks = np.ascontiguousarray(lines.transpose(0, 2, 1))
    return blocks.view(np.int32).reshape(-1, BLOCK * BLOCK)


def _blocks_of_box(box: Box) -> tuple[Component, Component]:
    """Return the blocks of intervals, 0..255 where the component has no samples."""
    return _blocks(box[0], 0), _blocks(box[1], 255)


def _unsure(box: Box) -> NDArray[np.bool_]:
    """Return which blocks have samples that are not known exactly."""
    return blocks_with(box[0] < box[1]).reshape(-1) > 0


def _solve(
    centre: Component, low: Component, high: Component, table: Table, n_steps: int,
    before: tuple[NDArray[np.int16], NDArray[np.bool_]] | None = None,
    again: NDArray[np.bool_] | None = None, *, keep: bool = False,
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:  # fmt: skip
    """Return coefficients of blocks and whether they are exact; those `before` may stay.

    With `keep` those stay that still hold, and the search of others begins with them.
    """
    if before is None:
        found, exact = np.zeros(low.shape, np.int16), np.zeros(len(low), np.bool_)
    else:
        found, exact = before[0].copy(), before[1].copy()
    todo = ~exact if again is None else ~exact | again
    steps = np.array(table, np.int64)
    _by_rows(
        lambda blocks: block_search_kernels.search_blocks(
            centre, low, high, steps, basis(), n_steps, SEARCHED_STEP, todo,
            keep and before is not None, found, exact, blocks,
        ),
        len(low),
    )  # fmt: skip
    return found, exact


def _rounded(fine: Component) -> Component:
    """Return a component's samples."""
    return round_samples(fine, np.zeros_like(fine))


class _Search:
    """The search for the coefficients of one picture, its past known."""

    def __init__(self, known: _Known, past: Past, effort: int) -> None:
        self._known, self._past = known, past
        self._size = known.picture.shape[:2]
        self._n_steps = STEPS_BY_EFFORT[effort]
        self._n_rounds = ROUNDS_BY_EFFORT[effort]

    def run(self) -> Recovered:
        """Return what is found."""
        known, past = self._known, self._past
        if past.n_components == 1:
            box = _placed(past, known.boxes[0])
            found, exact = self._find(0, box, box[0] + box[1], None)
            return Recovered(past, [self._shaped(0, found)], [box], (float(exact.mean()),))
        boxes = [known.component(past, index) for index in (1, 2)]
        unsure = [_unsure(_placed(past, known.boxes[0])), *map(_unsure, boxes)]
        states: list[Any] = [None, None, None]
        best: tuple[int, list[Any], Box] | None = None
        guess = known.guess
        samples = [downsampled(past, i, known.guess[i]) for i in (1, 2)]
        for left in range(self._n_rounds - 1, -1, -1):
            for index, box in zip((1, 2), boxes, strict=True):
                now = samples[index - 1]
                gap = guess[index] - upsample(past, index, now, *self._size)
                start = np.clip(now + downsampled(past, index, gap), *box)
                state = self._find(index, box, 2 * start, states[index], unsure[index])
                fine = self._fine(index, state[0])
                states[index], samples[index - 1] = state, _rounded(fine)
                if index == 1:
                    guess = [guess[0], guess[1], self._second_chroma(fine, guess[2])]
            chroma = [upsample(past, i, samples[i - 1], *self._size) for i in (1, 2)]
            luma_box = _placed(past, self._luma_box(*chroma))
            middle = np.clip(_placed(past, (guess[0], guess[0]))[0], *luma_box)
            states[0] = self._find(0, luma_box, 2 * middle, states[0], unsure[0])
            luma = _rounded(self._fine(0, states[0][0]))
            shown = [upsample(past, 0, luma, *self._size), *chroma]
            n_wrong = int(np.count_nonzero(convert_colours(*shown) != known.picture))
            if best is None or n_wrong < best[0]:
                best = n_wrong, list(states), luma_box
            if not left or not n_wrong or not any(each.any() for each in unsure):
                break
            guess = self._nearest(shown)
        assert best is not None
        return Recovered(
            past,
            [self._shaped(index, state[0]) for index, state in enumerate(best[1])],
            [best[2], *boxes],
            tuple(float(state[1].mean()) for state in best[1]),
        )

    def _find(
        self, index: int, box: Box, centre: Component, before: Any,
        again: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:  # fmt: skip
        low, high = _blocks_of_box(box)
        return _solve(
            _blocks(centre), low, high, self._past.tables[index], self._n_steps, before, again,
            keep=index == 0,
        )  # fmt: skip

    def _shaped(self, index: int, found: NDArray[np.int16]) -> Coefficients:
        return found.reshape(*self._past.block_shape(index, *self._size), 64)

    def _fine(self, index: int, found: NDArray[np.int16]) -> Component:
        """Return a component's samples before rounding, in 64ths."""
        shape = self._past.component_shape(index, *self._size)
        return invert_transform(self._shaped(index, found), self._past.tables[index], shape)

    def _second_chroma(self, fine: Component, guess: Component) -> Component:
        """Return a guess of Cr but for the pixels one of whose components is clipped.

        Those follow from the first chroma's samples before rounding.
        """
        known, chosen = self._known, guess.copy()
        shown = upsample(self._past, 1, fine - 32, *self._size)
        _by_rows(
            lambda rows: kernels.second_chroma(*known.colours, shown, *known.bounds, rows, chosen),
            len(chosen),
        )
        return chosen

    def _luma_box(self, cb: Component, cr: Component) -> Box:
        """Return the luma that gives the pixels with this chroma; what is known where none does."""
        picture, (first, last) = self._known.picture, self._known.boxes[0]
        low, high = bound_luma(picture, cb, cr)
        keep = first == last
        np.copyto(low, first, where=keep)
        np.copyto(high, last, where=keep)
        return low, high

    def _nearest(self, shown: list[Component]) -> list[Component]:
        """Return what is shown where pixels are clipped, moved to what gives them; else known."""
        triples = np.stack(shown)
        _by_rows(
            lambda rows: kernels.nearest_triples(
                *self._known.colours, colour_lattice.conversion(), colour_lattice.first_chroma(),
                *self._known.bounds, rows, triples,
            ),
            triples.shape[1],
        )  # fmt: skip
        return list(triples)
