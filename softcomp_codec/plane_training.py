"""Training what a codebook knows of one plane: predictor, layers, shapes, codes and states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from . import huffman, layers, mining, residuals, shapes
from .arithmetic import coded_bytes, neutral_states
from .codebook import PlaneBook, rounded_states
from .indicator import bits_saved
from .kernels import entropy_kernels
from .kernels.bit_kernels import GAP_DIRECT
from .kernels.entropy_kernels import N_CONTEXTS, N_ENERGIES
from .kernels.residual_kernels import GAP, MED, NO_PREDICTOR
from .shapes import N_GAP_SYMBOLS, ShapeSet, shape_set

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from .arithmetic import States
    from .layers import Layer
    from .planes import Plane
    from .training import TrainingOptions

Progress = Callable[[str, int, int], None]
_T = TypeVar("_T")
_R = TypeVar("_R")

CELL_VALUES = (256, 384, 512, 768, 1024, 1536, 2048, 3072)
"""Worth of a covered cell, in 1/256 bit, that training tries."""

COUNT_CAPS = (4, 16, 60, 255)
"""Confidence in the trained states that training tries: small for sets that vary."""

MAX_ROUNDS = 6
SAMPLE_CELLS = 16_000_000
"""Trials look at images of about this many cells in all; the last count looks at every image."""

LAYER_CELLS = 6_000_000
"""The choice of the low layer's bits looks at fewer images."""

UNTESTED_LOW_BITS = 4
"""What the authors of soft compression use."""


@dataclass(frozen=True)
class SplitTrial:
    """What a split into low layer and shapes costs on images that did not teach it."""

    placements: int
    location_bits: int
    codeword_bits: int
    low_layer_bits: int
    chosen_bits: int
    """All bits where the encoder takes shapes for those images only for which they pay."""


class PlaneTrainer:
    """Trains plane books; holds options, threads and progress.

    Attributes
    ----------
    report : dict
        By plane: what each choice cost and how the total fell, in whole bits.
    """

    def __init__(
        self, options: TrainingOptions, pool: Executor, workers: int, progress: Progress
    ) -> None:
        self.options = options
        self.pool = pool
        self.workers = workers
        self.progress = progress
        self.report: dict[str, dict[str, Any]] = {}

    def map(self, stage: str, function: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
        """Apply `function` to all items on the threads, in order, reporting progress."""
        results: list[_R] = []
        size = max(1, min(256, len(items) // (4 * self.workers)))
        chunks = [items[start : start + size] for start in range(0, len(items), size)]
        for chunk in self.pool.map(lambda chunk: [function(item) for item in chunk], chunks):
            results += chunk
            self.progress(stage, len(results), len(items))
        return results

    def plane(self, name: str, images: list[Plane], sample_range: tuple[int, int]) -> PlaneBook:
        """Return the plane book of images (int32 planes) with samples in `sample_range`."""
        sample_bits = (sample_range[1] - sample_range[0]).bit_length()
        entry: dict[str, Any] = {}
        self.report[name] = entry
        predictor = self._choose_predictor(images, sample_range, entry)
        predicted = self._predict(name, images, predictor, sample_range)
        above = predicted  # a shape layer of bilevel images is the image itself
        if sample_bits == 1:
            above = self._predict(name, images, NO_PREDICTOR, sample_range)
        largest = sample_range[1] - sample_range[0]
        low_bits = self._choose_low_bits(name, above, predicted, sample_bits, largest, entry)
        full_states = self._states(f"{name}: whole samples", predicted, sample_bits, N_ENERGIES)[1]
        low_states = full_states
        shape_book, cell_value = self._no_shapes(), 0
        if low_bits != sample_bits:
            high = [layers.shape_layer(image, low_bits) for image in above]
            shape_book, cell_value = self._shapes(name, high, largest >> low_bits, entry)
            low_states = self._low_states(name, above, low_bits)
            if sample_bits == 1:
                predictor = NO_PREDICTOR
        return PlaneBook(
            sample_bits, predictor, low_bits, cell_value, shape_book, low_states, full_states
        )

    def _predict(
        self, name: str, images: list[Plane], predictor: int, sample_range: tuple[int, int]
    ) -> list[Layer]:
        predict = partial(residuals.map_residuals, predictor=predictor, sample_range=sample_range)
        return self.map(f"{name}: predicting", predict, images)

    def _choose_predictor(
        self, images: list[Plane], sample_range: tuple[int, int], entry: dict[str, Any]
    ) -> int:
        """Return the predictor with the smaller cost without shapes; MED for bilevel images."""
        if sample_range[1] - sample_range[0] == 1:
            return MED
        trial = spread(images, SAMPLE_CELLS)
        costs = [
            untrained_bytes(trial, predictor, sample_range, self.pool) for predictor in (MED, GAP)
        ]
        entry["predictor_bytes"] = {"MED": costs[0], "GAP": costs[1]}
        return MED if costs[0] <= costs[1] else GAP

    def _choose_low_bits(
        self,
        name: str,
        above: list[Layer],
        predicted: list[Layer],
        sample_bits: int,
        largest: int,
        entry: dict[str, Any],
    ) -> int:
        """Return the bits of the low layer that cost least, all of them where no shapes pay.

        Three quarters of some images teach, one quarter is coded. As in the encoder, an image takes
        shapes only if its locations cost less than the compressible indicator allows, which is the
        same as a smaller total.
        """
        lowest = max(0, sample_bits - 8)  # a shape's cell has 8 bits at most (SPEC 6.3)
        wanted = self.options.low_bits
        if wanted is None and not self.options.use_indicator:
            wanted = UNTESTED_LOW_BITS
        if wanted is not None and sample_bits == 1:
            return 0
        if wanted is not None:
            return min(max(lowest, wanted), sample_bits)
        step = spread_step(above, LAYER_CELLS)
        above, predicted = above[::step], predicted[::step]
        period = min(4, len(above))
        taught, coded = _parted(above, period)
        taught_whole, coded_whole = _parted(predicted, period)
        stage = f"{name}: choosing layers"
        cap, states = self._states(stage, taught_whole, sample_bits, N_ENERGIES)
        whole_bits = [8 * coded_bytes(image, sample_bits, states) for image in coded_whole]
        splits = {
            low_bits: self._try_split(
                stage, taught, coded, low_bits, largest >> low_bits, whole_bits, cap
            )
            for low_bits in self._splits(sample_bits)
        }
        entry["without_shapes_bits"] = sum(whole_bits)
        entry["splits"] = {str(low_bits): vars(split) for low_bits, split in splits.items()}
        costs = [(sum(whole_bits), -sample_bits)]
        costs += [(split.chosen_bits, -low_bits) for low_bits, split in splits.items()]
        return -min(costs)[1]

    def _try_split(
        self,
        stage: str,
        taught: list[Layer],
        coded: list[Layer],
        low_bits: int,
        largest: int,
        whole_bits: list[int],
        cap: int,
    ) -> SplitTrial:
        """Train shapes and states up to count `cap`; return what other images cost with them."""
        high = [layers.shape_layer(image, low_bits) for image in taught]
        book, cell_value = self._shapes(stage, high, largest, {})
        low_layer_bits = [0] * len(coded)
        if low_bits:
            states = _states_of(self._count(taught, low_bits, N_CONTEXTS), cap)
            code = partial(coded_bytes, low_bits=low_bits, states=states)
            low_layer_bits = [8 * n for n in self.map(f"{stage}: low layer", code, coded)]
        placed = self._placed(
            stage, [layers.shape_layer(image, low_bits) for image in coded], book, cell_value
        )
        each = zip(placed.each_bits, low_layer_bits, whole_bits, strict=True)
        return SplitTrial(
            placements=int(placed.uses[:-1].sum()),
            location_bits=placed.location_bits,
            codeword_bits=placed.codeword_bits,
            low_layer_bits=sum(low_layer_bits),
            chosen_bits=sum(min(high + low, whole) for high, low, whole in each),
        )

    @staticmethod
    def _splits(sample_bits: int) -> tuple[int, ...]:
        if sample_bits == 1:
            return (0,)
        return (sample_bits - 1, sample_bits - 2, sample_bits - 4, *range(4, sample_bits - 4))

    def _low_states(self, name: str, above: list[Layer], low_bits: int) -> States:
        if low_bits == 0:
            return neutral_states(0, N_CONTEXTS)
        return self._states(f"{name}: low layer", above, low_bits, N_CONTEXTS)[1]

    def _count(self, mapped: list[Layer], low_bits: int, n_contexts: int) -> NDArray[np.int64]:
        """Return how often each state met a 0 and a 1."""

        def count(layers: list[Layer]) -> NDArray[np.int64]:
            counts: NDArray[np.int64] = np.zeros((n_contexts, 1 << low_bits, 2), np.int64)
            for layer in layers:
                entropy_kernels.count_low_layer(layer, low_bits, counts)
            return counts

        shares = [mapped[start :: self.workers] for start in range(self.workers)]
        total: NDArray[np.int64] = np.sum(list(self.pool.map(count, shares)), axis=0)
        return total

    def _states(
        self, stage: str, mapped: list[Layer], low_bits: int, n_contexts: int
    ) -> tuple[int, States]:
        """Count all images; choose how far to trust the counts by coding some images."""
        counts = self._count(mapped, low_bits, n_contexts)
        trial = spread(mapped, SAMPLE_CELLS)
        best: tuple[int, int, States] | None = None
        for cap in COUNT_CAPS:
            states = _states_of(counts, cap)
            cost = sum(
                self.map(stage, partial(coded_bytes, low_bits=low_bits, states=states), trial)
            )
            if best is None or cost < best[0]:
                best = (cost, cap, states)
        assert best is not None
        return best[1:]

    @staticmethod
    def _no_shapes() -> ShapeSet:
        gap_lengths = huffman.code_lengths([1] * N_GAP_SYMBOLS)
        return shape_set([], np.array([1], np.uint8), gap_lengths)

    def _shapes(
        self,
        name: str,
        high: list[Layer],
        largest: int,
        entry: dict[str, Any],
    ) -> tuple[ShapeSet, int]:
        """Mine windows, then encode, recount, reweight and prune until the total stops falling."""
        side = self.options.max_side or (28 if max(max(h.shape) for h in high) <= 64 else 6)
        candidates = mining.mine_windows(
            high,
            side,
            self.options.n_candidates,
            self.pool,
            self.workers,
            lambda done, total: self.progress(f"{name}: mining", done, total),
        )
        singles = [np.array([[value]], np.uint16) for value in range(1, largest + 1)]
        n_values = np.sum([np.bincount(h.ravel(), minlength=largest + 1)[1:] for h in high], axis=0)
        windows = singles + [window for _, window in candidates]
        counts = n_values.tolist()
        counts += [1 + count // int(np.count_nonzero(window)) for count, window in candidates]
        counts.append(len(high))
        trial = spread(high, SAMPLE_CELLS)
        gap_counts = np.ones(N_GAP_SYMBOLS, np.int64)
        best: tuple[int, ShapeSet, int, list[int]] | None = None
        cell_value = 0
        totals = []
        for round_ in range(MAX_ROUNDS + 1):
            book = shape_set(
                windows, huffman.code_lengths(counts), huffman.code_lengths(gap_counts.tolist())
            )
            stage = f"{name}: placing shapes, round {round_ + 1}"
            values = CELL_VALUES if round_ == 0 else _near(cell_value)
            n_bits, cell_value = min(
                (self._placed(stage, trial, book, value).n_bits, value) for value in values
            )
            totals.append(n_bits)
            if best is not None and n_bits >= best[0]:
                break
            if round_:  # the first book holds every candidate, used or not
                best = (n_bits, book, cell_value, counts)
            placed = self._placed(f"{stage}, all images", high, book, cell_value)
            entry["shapes"] = placed.summary()
            windows, counts = self._kept(windows, book, placed, cell_value, largest)
            gap_counts = placed.gap_counts + 1
        assert best is not None
        entry["round_bits"] = totals
        entry["most_used"] = mining.most_used(best[3][:-1])
        return best[1], best[2]

    def _kept(
        self, windows: list[Layer], book: ShapeSet, placed: _Placed, cell_value: int, n_singles: int
    ) -> tuple[list[Layer], list[int]]:
        """Keep the single cells, and of the larger shapes those that save most bits."""
        uses = placed.uses
        saved = bits_saved(uses[:-1], placed.fresh, book.code_lengths[:-1], cell_value)
        larger = np.arange(n_singles, len(windows))
        larger = larger[uses[larger] >= self.options.min_uses]
        order = np.argsort(-saved[larger], kind="stable")[: self.options.max_shapes]
        kept = [*range(n_singles), *np.sort(larger[order]).tolist()]
        return [windows[i] for i in kept], [*(int(uses[i]) for i in kept), int(uses[-1])]

    def _placed(self, stage: str, high: list[Layer], book: ShapeSet, cell_value: int) -> _Placed:
        def place(layer: Layer) -> tuple[int, shapes.Placements]:
            placements = shapes.match_shapes(layer, book, cell_value)
            assert placements is not None  # every single cell is a shape
            return shapes.placement_bits(placements, book)[0], placements

        return _Placed(book, self.map(stage, place, high))


def _parted(items: list[_T], period: int) -> tuple[list[_T], list[_T]]:
    """Return all but each `period`-th item, and those; one item is in both."""
    if period == 1:
        return items, items
    kept = [item for index, item in enumerate(items) if (index + 1) % period]
    return kept, items[period - 1 :: period]


class _Placed:
    """Sums over the placements of some images."""

    def __init__(self, book: ShapeSet, results: list[tuple[int, shapes.Placements]]) -> None:
        placed = np.concatenate([placements.placed for _, placements in results])
        fresh = np.concatenate([placements.fresh for _, placements in results])
        self.each_bits = [n_bits for n_bits, _ in results]
        self.n_bits = sum(self.each_bits)
        self.uses = np.bincount(placed, minlength=len(book) + 1).astype(np.int64)
        self.uses[-1] = len(results)
        self.fresh = np.zeros(len(book), np.int64)
        np.add.at(self.fresh, placed, fresh.astype(np.int64))
        self.gap_counts = _gap_histogram(
            np.concatenate([placements.gaps for _, placements in results])
        )
        self.codeword_bits = int((self.uses * book.code_lengths.astype(np.int64)).sum())
        self.location_bits = self.n_bits - self.codeword_bits

    def summary(self) -> dict[str, int]:
        """Return what the training record keeps, for the indicator of the set."""
        return {
            "placements": int(self.uses[:-1].sum()),
            "covered_cells": int(self.fresh.sum()),
            "location_bits": self.location_bits,
            "codeword_bits": self.codeword_bits,
        }


def _near(cell_value: int) -> tuple[int, ...]:
    position = CELL_VALUES.index(cell_value)
    return CELL_VALUES[max(0, position - 1) : position + 2]


def _gap_histogram(gaps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the symbols of the trained gap code (SPEC 5.8)."""
    histogram = np.zeros(N_GAP_SYMBOLS, np.int64)
    histogram[:GAP_DIRECT] = np.bincount(gaps[gaps < GAP_DIRECT], minlength=GAP_DIRECT)
    for power in range(7, 32):
        inside = (gaps >= 1 << power) & (gaps < 1 << (power + 1))
        histogram[GAP_DIRECT + power - 7] = np.count_nonzero(inside)
    return histogram


def spread_step(items: Sequence[Any], n_cells: int) -> int:
    """Return the step that picks items of about `n_cells` cells in all."""
    n_items = max(1, n_cells // int(items[0].size))
    return -(-len(items) // n_items)


def spread(items: list[_T], n_cells: int) -> list[_T]:
    """Return evenly spread items of about `n_cells` cells in all."""
    return items[:: spread_step(items, n_cells)]


def _states_of(counts: NDArray[np.int64], cap: int) -> States:
    """Return states of (n1 + 2/5) / (n + 4/5), in integers, trusted as at most `cap` samples."""
    n_zeros, n_ones = counts[..., 0], counts[..., 1]
    total = n_zeros + n_ones
    probability = ((5 * n_ones + 2) << 22) // (5 * total + 4)
    states = probability << 10 | np.minimum(total, cap)
    return rounded_states(states.astype(np.uint32))


def untrained_bytes(
    images: Sequence[Plane], predictor: int, sample_range: tuple[int, int], pool: Executor
) -> int:
    """Return the bytes of planes that are coded without codebook and shapes."""
    low_bits = (sample_range[1] - sample_range[0]).bit_length()
    states = neutral_states(low_bits, N_ENERGIES)

    def n_bytes(plane: Plane) -> int:
        mapped = residuals.map_residuals(plane, predictor, sample_range)
        return coded_bytes(mapped, low_bits, states)

    return sum(pool.map(n_bytes, images))
