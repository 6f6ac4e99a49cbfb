"""Training the context coder's priors: least squares, counts, weights, and what of them pays.

All statistics are integer sums over images, so that neither their order nor the number of threads
changes a prior. Each part is measured by coding images that did not teach it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from . import context_coder, planes
from .context_coder import MAX_CONTEXTS, PRIOR_CONTEXTS, Model
from .context_prior import (
    COUNT_CLASSES,
    FIRST,
    LARGEST_LATER_LOG_ODDS,
    LARGEST_LOG_ODDS,
    LATER,
    LATER_LOG_ODDS_SHIFT,
    LOG_ODDS_SHIFT,
    TAPS_BY_KIND,
    ContextPrior,
    by_nodes,
    n_prior_nodes,
    stored_full_weights,
    stored_weights,
)
from .context_tables import tables
from .kernels import context_training_kernels
from .kernels.context_kernels import N_LEVELS
from .kernels.context_training_kernels import SIDE

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from .container import Mode
    from .context_coder import CodedSamples, PlaneRange
    from .context_prior import Key
    from .planes import Plane

Progress = Callable[[str, int, int], None]
_T = TypeVar("_T")

COUNT_CAPS = (4, 10, 24, 60)
"""Confidence in the trained states that training tries: small for sets that vary."""

TRIAL_CAP = 24
"""Of the states beside which the weights are first trained."""

FEWEST_USES = 16
USES_SHIFT = 19
"""Nodes met less often, or in fewer than one of 2**19 samples, stay neutral."""

FEWEST_LATER_USES = 32
"""The same of contexts 7 to 14."""

PACES = ((1, 12), (3, 24))
"""How fast the weights of 15 contexts learn that training tries; without a codebook (4, 24)."""

COUNT_LIMITS = (250, 120)
"""Where counts of states of 15 contexts stop; the last as without a codebook."""

LATER_SAMPLES = 12_000_000
LATER_HELD_OUT_SAMPLES = 1_000_000
"""Samples that teach what a prior knows of 15 contexts, and on which that is tried."""

TRAINING_SAMPLES = 24_000_000
HELD_OUT_SAMPLES = 3_000_000
WEIGHT_SAMPLES = 1_500_000
"""Samples from which a prior is trained, on which its parts are tried, and that teach weights."""

MAX_IMAGES = 8192
MAX_HELD_OUT = 512
HELD_OUT_SHARE = 4
"""One image of so many does not teach the first prior, on which the parts are tried."""

RARE_SHARE = 8
"""A colour transform that fewer than one image of so many chooses gets no prior."""

SMALLEST_CROP = 1 << 16
"""Samples of an image that are left where a set is too large."""

POOLED_SAMPLES = 256
"""Weight of all levels' statistics in the coefficients of each level."""


@dataclass(frozen=True)
class _Picture:
    """One image, or the middle of it, as the context coder codes it."""

    planes: list[Plane]
    ranges: list[PlaneRange]

    @property
    def n_samples(self) -> int:
        return sum(plane.size for plane in self.planes)


@dataclass
class _Sums:
    """What least squares need of a set of images: sums by kind of plane and level."""

    products: NDArray[np.int64]
    n_samples: NDArray[np.int64]

    @classmethod
    def none(cls, n_kinds: int) -> _Sums:
        return cls(
            np.zeros((n_kinds, N_LEVELS, SIDE, SIDE), np.int64),
            np.zeros((n_kinds, N_LEVELS), np.int64),
        )

    def add(self, other: _Sums) -> None:
        self.products += other.products
        self.n_samples += other.n_samples


def train_priors(
    images: Sequence[tuple[NDArray[Any], Mode]],
    *,
    pool: Executor,
    workers: int,
    progress: Progress,
    report: dict[str, dict[str, Any]],
    trial: tuple[dict[Key, ContextPrior], dict[str, dict[str, Any]]] | None = None,
) -> dict[Key, ContextPrior]:
    """Train a prior for each mode and colour transform that is frequent among images.

    Parameters
    ----------
    images : sequence of (ndarray, Mode)
        In the order of their content; bilevel ones are left out.
    pool : Executor
    workers : int
        Threads of `pool`.
    progress : callable
    report : dict
        What was measured, by the priors' labels; filled in.
    trial : (dict, dict), optional
        Priors and report of a training on most of these images: the parts that paid there are
        trained, and nothing is measured again.
    """
    suitable = [image for image in images if image[1].bits_per_sample > 1]
    transforms = pool.map(_transform_of, suitable)
    by_key: dict[Key, list[NDArray[Any]]] = {}
    modes: dict[Key, Mode] = {}
    for (array, mode), transform in zip(suitable, transforms, strict=True):
        key = (mode.bits_per_sample, mode.n_planes, transform)
        by_key.setdefault(key, []).append(array)
        modes.setdefault(key, mode)
    priors = {}
    for key in sorted(by_key):
        arrays = by_key[key]
        of_mode = sum(len(other) for each, other in by_key.items() if each[:2] == key[:2])
        if len(arrays) < 2 or RARE_SHARE * len(arrays) < of_mode:
            continue
        pictures = _pictures(arrays, modes[key], key[2], pool)
        trainer = _PriorTrainer(key, pictures, pool, workers, progress)
        label = ContextPrior(*key).label
        if trial is not None and label in trial[1]:
            prior = trainer.prior_like(trial[0].get(key), trial[1][label], report)
        else:
            prior = trainer.prior(report)
        if prior is not None:
            priors[key] = prior
    return priors


def _transform_of(image: tuple[NDArray[Any], Mode]) -> int:
    array, mode = image
    return context_coder.choose_transform(planes.split_planes(array, mode), mode)


def _pictures(
    arrays: Sequence[NDArray[Any]], mode: Mode, transform: int, pool: Executor
) -> list[_Picture]:
    """Return evenly spread images, or the middles of them, of TRAINING_SAMPLES in all."""
    fair = max(TRAINING_SAMPLES // len(arrays), SMALLEST_CROP)
    kept = [min(array.size, fair) for array in arrays]
    step = max(-(-sum(kept) // TRAINING_SAMPLES), -(-len(arrays) // MAX_IMAGES))
    limit = max(fair, TRAINING_SAMPLES // -(-len(arrays) // step))
    limit = min(limit, context_coder.TILE_PIXELS * mode.n_planes)

    def prepare(array: NDArray[Any]) -> _Picture:
        middle = _middle(array, limit // mode.n_planes)
        components = planes.transform_colours(planes.split_planes(middle, mode), transform)
        ranges = [context_coder.plane_range(plane, mode) for plane in components]
        return _Picture(components, ranges)

    return list(pool.map(prepare, arrays[::step]))


def _middle(array: NDArray[Any], n_pixels: int) -> NDArray[Any]:
    """Return the middle of an image that has at most so many pixels, of about its proportions."""
    height, width = array.shape[:2]
    rows, columns = height, width
    while rows * columns > n_pixels:
        rows, columns = max(1, rows * 15 // 16), max(1, columns * 15 // 16)
    top, left = (height - rows) // 2, (width - columns) // 2
    return np.ascontiguousarray(array[top : top + rows, left : left + columns])


class _PriorTrainer:
    """Trains one prior."""

    def __init__(
        self,
        key: Key,
        pictures: list[_Picture],
        pool: Executor,
        workers: int,
        progress: Progress,
    ) -> None:
        self._empty = ContextPrior(*key)
        self._pictures = pictures
        self._pool = pool
        self._workers = workers
        self._progress = progress

    def prior(self, report: dict[str, dict[str, Any]]) -> ContextPrior | None:
        """Return the prior with the parts that pay, None where none does."""
        label = self._empty.label
        step = min(HELD_OUT_SHARE, len(self._pictures))
        held_out: list[_Picture] = []
        kept: list[_Picture] = []
        rest: list[_Picture] = []
        left = HELD_OUT_SAMPLES
        for index, picture in enumerate(self._pictures):
            if index % step == step - 1:
                rest.append(picture)
                if left > 0 and len(held_out) < MAX_HELD_OUT:
                    held_out.append(picture)
                    left -= picture.n_samples
            else:
                kept.append(picture)
        self._progress(f"{label}: predictor", 0, 4)
        sums = self._sum_products(kept)
        best = self._empty
        tried = {"untrained": self._cost(best, held_out)}
        lowest = tried["untrained"]
        for name, prior in self._predictors(sums).items():
            tried[name] = self._cost(prior, held_out)
            if tried[name] < lowest:
                best, lowest = prior, tried[name]
        self._progress(f"{label}: states", 1, 4)
        counts = self._count(best, kept)
        weights = self._weights(best, kept, counts, TRIAL_CAP)
        trials = {}
        for cap in COUNT_CAPS:
            with_states = self._with_states(best, counts, cap)
            if weights is None:
                trials[f"states_{cap}"] = with_states
            else:
                trials[f"states_{cap}_weights"] = replace(with_states, weights=weights)
        costs = {name: self._cost(prior, held_out) for name, prior in trials.items()}
        cheapest = min(costs, key=lambda name: costs[name])
        if weights is not None:
            alone = cheapest.removesuffix("_weights")
            trials[alone] = replace(trials[cheapest], weights=self._empty.weights)
            costs[alone] = self._cost(trials[alone], held_out)
            cheapest = min(costs, key=lambda name: costs[name])
        tried |= costs
        if 1000 * costs[cheapest] < 999 * lowest:
            best, lowest = trials[cheapest], costs[cheapest]
        self._progress(f"{label}: 15 contexts", 2, 4)
        tried_later, chosen_later = self._try_later(best, kept, held_out)
        self._progress(f"{label}: all images", 3, 4)
        sums.add(self._sum_products(rest))
        final = self._all_images(best, sums)
        if chosen_later is not None:
            final = self._later_of(final, self._pictures, chosen_later)
        self._progress(f"{label}: all images", 4, 4)
        report[label] = {
            "held_out_images": len(held_out),
            "training_images": len(self._pictures),
            "bytes": tried,
            "chosen_bytes": lowest,
            "bytes_of_15_contexts": tried_later,
            "parts": final.part_names,
        }
        return final if final.part_names else None

    def prior_like(
        self,
        other: ContextPrior | None,
        measured: dict[str, Any],
        report: dict[str, dict[str, Any]],
    ) -> ContextPrior | None:
        """Return the prior with the parts of another, which was `measured`; None without one."""
        label = self._empty.label
        report[label] = measured | {"training_images": len(self._pictures)}
        if other is None:
            return None
        self._progress(f"{label}: predictor", 0, 2)
        final = self._all_images(other, self._sum_products(self._pictures))
        self._progress(f"{label}: 15 contexts", 1, 2)
        if other.has_full_weights:
            final = self._later_of(final, self._pictures, other)
        self._progress(f"{label}: 15 contexts", 2, 2)
        report[label]["parts"] = final.part_names
        return final

    def _predictor_of(self, prior: ContextPrior) -> ContextPrior:
        return replace(self._empty, least_squares=prior.least_squares, filters=prior.filters)

    def _all_images(self, chosen: ContextPrior, sums: _Sums) -> ContextPrior:
        """Return the same parts, trained on all images."""
        final = self._empty
        if chosen.has_least_squares:
            name = "least_squares_filters" if chosen.has_filters else "least_squares"
            final = self._predictors(sums)[name]
        if not chosen.has_states:
            return final
        counts = self._count(final, self._pictures)
        weights = None
        if chosen.has_weights:
            weights = self._weights(final, self._pictures, counts, chosen.count_cap)
        final = self._with_states(final, counts, chosen.count_cap)
        return final if weights is None else replace(final, weights=weights)

    def _try_later(
        self, best: ContextPrior, kept: Sequence[_Picture], held_out: Sequence[_Picture]
    ) -> tuple[dict[str, int], ContextPrior | None]:
        """Return the bytes of 15 contexts by what starts them, and which parts pay, None if none.

        Later states have to save as much as any part beyond what the weights alone do.
        """
        n_samples = sum(picture.n_samples for picture in held_out)
        held_out = held_out[:: max(1, n_samples // LATER_HELD_OUT_SAMPLES)]
        tried = {"first_parts": self._cost(best, held_out, MAX_CONTEXTS)}
        taught = self._later_of(best, kept) if best.has_states else best
        if not taught.has_full_weights:
            return tried, None
        costs: dict[ContextPrior, int] = {}
        for paces in PACES:
            trial = replace(taught, paces=paces, count_limit=COUNT_LIMITS[0])
            costs[trial] = self._cost(trial, held_out, MAX_CONTEXTS)
        for limit in COUNT_LIMITS[1:]:
            trial = replace(min(costs, key=lambda each: costs[each]), count_limit=limit)
            costs[trial] = self._cost(trial, held_out, MAX_CONTEXTS)
        for prior, n_bytes in costs.items():
            tried["_".join(map(str, ["paces", *prior.paces, "limit", prior.count_limit]))] = n_bytes
        chosen = min(costs, key=lambda each: costs[each])
        lowest = costs[chosen]
        alone = _without_later_states(chosen)
        tried["weights_alone"] = self._cost(alone, held_out, MAX_CONTEXTS)
        if 1000 * lowest >= 999 * tried["weights_alone"]:
            chosen, lowest = alone, tried["weights_alone"]
        return tried, chosen if 1000 * lowest < 999 * tried["first_parts"] else None

    def _later_of(
        self,
        prior: ContextPrior,
        pictures: Sequence[_Picture],
        chosen: ContextPrior | None = None,
    ) -> ContextPrior:
        """Return a prior with what it may know of 15 contexts, or those parts that were chosen.

        Each half of the images teaches weights beside the states of the other half.
        """
        n_samples = sum(picture.n_samples for picture in pictures)
        some = pictures[:: max(1, -(-n_samples // LATER_SAMPLES))]
        halves = some[::2], some[1::2]
        if not halves[1]:
            return prior
        counts = [self._count(prior, half, MAX_CONTEXTS) for half in halves]
        cap = prior.count_cap
        models = []
        for other in counts[::-1]:
            start = self._with_states(self._predictor_of(prior), other, cap)
            models.append(self._model(self._with_later_states(start, other), MAX_CONTEXTS))
        parts = [_spread(half, _n_to_teach(half, len(half))) for half in halves]
        taught = self._pool.map(_teach, models, parts, [len(part) // 3 for part in parts])
        first, second = taught
        weights = stored_full_weights(((first + second) // 2).astype(np.int32))
        final = self._with_later_states(replace(prior, full_weights=weights), counts[0] + counts[1])
        if chosen is None:
            return final
        final = replace(final, paces=chosen.paces, count_limit=chosen.count_limit)
        return final if chosen.has_later_states else _without_later_states(final)

    def _model(self, prior: ContextPrior, n_contexts: int = PRIOR_CONTEXTS) -> Model:
        wide = prior.bits_per_sample > 8
        return Model(n_contexts, prior.n_kinds, wide=wide, prior=prior)

    def _in_chunks(
        self, function: Callable[[Sequence[_Picture]], list[_T]], pictures: Sequence[_Picture]
    ) -> list[_T]:
        """Apply a function to parts of a list, on threads; results in the list's order."""
        n_chunks = min(len(pictures), 4 * self._workers)
        bounds = [len(pictures) * index // n_chunks for index in range(n_chunks + 1)]
        chunks = [pictures[bounds[i] : bounds[i + 1]] for i in range(n_chunks)]
        return [each for results in self._pool.map(function, chunks) for each in results]

    def _cost(
        self,
        prior: ContextPrior,
        pictures: Sequence[_Picture],
        n_contexts: int = PRIOR_CONTEXTS,
    ) -> int:
        """Return the bytes of images, each coded from a prior."""

        def costs(chunk: Sequence[_Picture]) -> list[int]:
            return [_n_bytes(_code(self._model(prior, n_contexts), each), each) for each in chunk]

        return sum(self._in_chunks(costs, pictures))

    def _sum_products(self, pictures: Sequence[_Picture]) -> _Sums:
        """Return the sums of images, with the residuals of a neutral start."""

        def sum_up(chunk: Sequence[_Picture]) -> list[_Sums]:
            sums = _Sums.none(self._empty.n_kinds)
            for picture in chunk:
                _add_products(sums, self._model(self._empty), picture)
            return [sums]

        total = _Sums.none(self._empty.n_kinds)
        for each in self._in_chunks(sum_up, pictures):
            total.add(each)
        return total

    def _predictors(self, sums: _Sums) -> dict[str, ContextPrior]:
        coefficients, pooled = _solve_all(sums)
        return {
            "least_squares": replace(self._empty, least_squares=coefficients),
            "least_squares_filters": replace(
                self._empty, least_squares=coefficients, filters=pooled
            ),
        }

    def _count(
        self,
        prior: ContextPrior,
        pictures: Sequence[_Picture],
        n_contexts: int = PRIOR_CONTEXTS,
    ) -> NDArray[np.uint32]:
        """Return how often each node met a 0 and a 1; what states are met with has no influence."""
        predictor = self._predictor_of(prior)
        n_counts = 2 * n_prior_nodes(prior.key, range(n_contexts))

        def count(chunk: Sequence[_Picture]) -> list[NDArray[np.uint32]]:
            counts: NDArray[np.uint32] = np.zeros(n_counts, np.uint32)
            for picture in chunk:
                _code(self._model(predictor, n_contexts), picture, counts)
            return [counts]

        total = np.zeros(n_counts, np.uint32)
        for each in self._in_chunks(count, pictures):
            total += each
        return total

    def _with_states(
        self, prior: ContextPrior, counts: NDArray[np.uint32], cap: int
    ) -> ContextPrior:
        """Return a prior with the states that counts, perhaps of later contexts too, give."""
        zeros, ones = _zeros_and_ones(counts, prior.key, FIRST)
        n_samples = sum(picture.n_samples for picture in self._pictures)
        known = zeros + ones >= max(FEWEST_USES, n_samples >> USES_SHIFT)
        zeros, ones = zeros[known], ones[known]
        odds = _log_odds(zeros, ones, LOG_ODDS_SHIFT)
        told_apart = np.minimum(zeros + ones, COUNT_CLASSES[_class_of_cap(cap)])
        classes = np.searchsorted(COUNT_CLASSES, told_apart, side="right") - 1
        return replace(
            prior,
            count_cap=cap,
            used=np.packbits(known),
            log_odds=np.clip(odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS).astype(np.int8),
            count_classes=classes.astype(np.uint8),
        )

    def _with_later_states(self, prior: ContextPrior, counts: NDArray[np.uint32]) -> ContextPrior:
        """Return a prior with the states that counts of 15 contexts give those from 7 on."""
        zeros, ones = _zeros_and_ones(counts, prior.key, LATER)
        known = zeros + ones >= FEWEST_LATER_USES
        odds = _log_odds(zeros[known], ones[known], LATER_LOG_ODDS_SHIFT)
        return replace(
            prior,
            later_used=np.packbits(known),
            later_log_odds=np.clip(odds, -LARGEST_LATER_LOG_ODDS, LARGEST_LATER_LOG_ODDS).astype(
                np.int8
            ),
        )

    def _weights(
        self,
        predictor: ContextPrior,
        pictures: Sequence[_Picture],
        counts: NDArray[np.uint32],
        cap: int,
    ) -> NDArray[np.int16] | None:
        """Return weights from a few images that are left out of the states; None of few images."""
        n_taught = _n_to_teach(pictures, len(pictures) // 3)
        if n_taught == 0:
            return None
        chosen = _spread(pictures, n_taught)
        rest = counts - self._count(predictor, chosen)
        model = self._model(self._with_states(self._predictor_of(predictor), rest, cap))
        return stored_weights(_teach(model, chosen, n_taught - 1).astype(np.int32))


def _without_later_states(prior: ContextPrior) -> ContextPrior:
    neutral = ContextPrior(*prior.key)
    return replace(prior, later_used=neutral.later_used, later_log_odds=neutral.later_log_odds)


def _n_to_teach(pictures: Sequence[_Picture], limit: int) -> int:
    """Return how many images have about as many samples as are to teach weights."""
    n_samples = sum(picture.n_samples for picture in pictures)
    return min(max(2, WEIGHT_SAMPLES * len(pictures) // n_samples), limit)


def _spread(pictures: Sequence[_Picture], n_chosen: int) -> list[_Picture]:
    """Return so many evenly spread images."""
    return [pictures[len(pictures) * (2 * i + 1) // (2 * n_chosen)] for i in range(n_chosen)]


def _teach(model: Model, pictures: Sequence[_Picture], first: int) -> NDArray[np.int64]:
    """Return the mean of the weights after each image from the `first` on, one after the other."""
    filters = model.filters.copy()
    total = np.zeros(len(model.weights), np.int64)
    for index, picture in enumerate(pictures):
        model.restart()
        model.filters[:] = filters
        _code(model, picture)
        if index >= first:
            total += model.weights
    return total // (len(pictures) - first)


def _zeros_and_ones(
    counts: NDArray[np.uint32], key: Key, contexts: range
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how often each node of some contexts met a 0 and a 1, in the order of a prior."""
    start = 2 * n_prior_nodes(key, range(contexts.start))
    part = counts[start : start + 2 * n_prior_nodes(key, contexts)]
    zeros, ones = (by_nodes(part[bit::2], key, contexts).astype(np.int64) for bit in (0, 1))
    return zeros, ones


def _log_odds(zeros: NDArray[np.int64], ones: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """Return the log-odds of a 1, in units of 2**shift of the tables' own."""
    chances = (5 * ones + 2) * 4096 // (5 * (ones + zeros) + 4)
    odds: NDArray[np.int64] = tables().stretch[chances].astype(np.int64)
    return (odds + (1 << (shift - 1))) >> shift


def _class_of_cap(cap: int) -> int:
    """Return the lowest class whose counts a cap makes equal to those of all higher classes."""
    return int(np.searchsorted(COUNT_CLASSES, cap))


def _code(
    model: Model, picture: _Picture, counts: NDArray[np.uint32] | None = None
) -> CodedSamples:
    if counts is None:
        return context_coder.code_samples(model, picture.planes, picture.ranges)
    return context_coder.code_samples(model, picture.planes, picture.ranges, counts)


def _n_bytes(coded: CodedSamples, picture: _Picture) -> int:
    """Return the bytes of an image; those of its samples where they are fewer."""
    if coded.code is not None:
        return len(coded.code)
    return sum(
        each.size * (-(-(r.highest - r.lowest).bit_length() // 8))
        for each, r in zip(picture.planes, picture.ranges, strict=True)
    )


def _add_products(sums: _Sums, model: Model, picture: _Picture) -> None:
    coded = _code(model, picture)
    height, width = picture.planes[0].shape
    for plane, each in enumerate(picture.ranges):
        if each.lowest == each.highest:
            continue
        kind = min(plane, len(TAPS_BY_KIND) - 1)
        geometry = (height, width, plane, each.scale, TAPS_BY_KIND[kind])
        context_training_kernels.sum_products(
            coded.samples.reshape(-1), coded.residuals.reshape(-1), geometry, tables().levels,
            sums.products[kind], sums.n_samples[kind],
        )  # fmt: skip


def _solve_all(sums: _Sums) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return the coefficients of each kind of plane and level, and those of all levels together."""
    by_level: list[int] = []
    pooled: list[int] = []
    for kind, n_taps in enumerate(TAPS_BY_KIND[: len(sums.products)]):
        products = [as_integers(level, n_taps) for level in sums.products[kind]]
        n_samples = [int(n) for n in sums.n_samples[kind]]
        n_all = sum(n_samples)
        everything = _weighted_sum(products, [1] * N_LEVELS)
        pooled += _solve(everything)
        for level in products:
            weights = [n_all, POOLED_SAMPLES] if n_all else [0, 0]
            by_level += _solve(_weighted_sum([level, everything], weights))
    return np.array(by_level, np.int16), np.array(pooled, np.int16)


def as_integers(products: NDArray[np.int64], n_taps: int) -> list[list[int]]:
    """Return the symmetric matrix of a level's sums with its right side, as Python's integers."""
    upper = products[:n_taps, :n_taps]
    square = np.triu(upper) + np.triu(upper, 1).T
    rows: list[list[int]] = np.column_stack([square, products[:n_taps, n_taps]]).tolist()
    return rows


def _weighted_sum(matrices: Sequence[list[list[int]]], weights: Sequence[int]) -> list[list[int]]:
    return [
        [
            sum(w * x for w, x in zip(weights, cells, strict=True))
            for cells in zip(*rows, strict=True)
        ]
        for rows in zip(*matrices, strict=True)
    ]


def _solve(matrix: list[list[int]]) -> list[int]:
    """Return the solution of a system of normal equations, in 1/16384.

    Each pivot is raised a little, so that every system has a solution.
    """
    size = len(matrix)
    rows = [row[:] for row in matrix]
    ridge = sum(rows[i][i] for i in range(size)) // size // 65536 + 1
    for i in range(size):
        rows[i][i] += ridge
    return solve_exactly(rows, 16384)


def solve_exactly(rows: list[list[int]], unit: int) -> list[int]:
    """Return the solution of a system in 1/unit, exact up to its rounding (Bareiss's algorithm).

    `rows`, each with its right side as the last number, are positive definite, and are changed.
    Numbers beyond 16 bits are clipped.
    """
    size = len(rows)
    previous = 1
    for i in range(size):
        pivot = rows[i][i]
        for k in range(size):
            if k == i:
                continue
            factor = rows[k][i]
            rows[k] = [
                (pivot * x - factor * y) // previous for x, y in zip(rows[k], rows[i], strict=True)
            ]
        previous = pivot
    numbers = ((row[size] * 2 * unit + previous) // (2 * previous) for row in rows)
    return [min(max(number, -32768), 32767) for number in numbers]
