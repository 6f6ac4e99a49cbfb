"""Training the bilevel coder's priors: counts of states, weights, and whether they pay.

All statistics are integer sums over images, and the weights are taught by some of the images in a
fixed order, so that neither the order of the images nor the number of threads changes a prior.
What pays is measured by coding images that did not teach it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from . import bilevel_coder
from .bilevel_coder import Context, Model, Settings, n_states
from .bilevel_prior import LARGEST_SIDE, BilevelPrior, stored_weights
from .container import MODES
from .context_prior import COUNT_CLASSES, LARGEST_LOG_ODDS, LOG_ODDS_SHIFT
from .context_tables import tables
from .kernels.bilevel_kernels import ADAPT_WEIGHTS

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from .bilevel_coder import Pixels
    from .bilevel_prior import Key
    from .container import Mode

Progress = Callable[[str, int, int], None]
_T = TypeVar("_T")

GENERAL = (0, 0)
"""Key of the prior for images of any size."""

N_CONTEXTS = 12
PRIOR_DIGITS = 16
"""Of the standard contexts that general priors know, and of the numbers of their slots."""

POSITIONAL_CONTEXTS = (
    Context(0x00000000F803E003, 0x0FFF0000, 18),
    Context(0x00000200F803E007, 0x00000000, 16),
    Context(0x00080F81FC07F00F, 0x00000000, 18),
    Context(0x00000000007FFFFF, 0x00000000, 18),
    Context(0x1C7F3FE3FE1FFC1F, 0x00000000, 20),
    Context(0x00000700F807F007, 0x0FBE0000, 18),
)
"""Contexts of positional priors: the first one knows the pixel's place, the last one about."""

COUNT_CAPS = (10, 30)
"""Confidence in the trained states that training tries."""

POSITIONAL_CAP = 12
"""Of states that stay as they are: their counts choose weights, and no more are told apart."""

FEWEST_USES = 16
USES_SHIFT = 19
"""States met less often, or by fewer than one of 2**19 pixels, stay neutral."""

LOG_ODDS_STEP = 4
"""Log-odds are stored in eighths, rounded to halves: a sixth of the codebook less."""

TRAINING_PIXELS = 1 << 26
HELD_OUT_PIXELS = 3 << 20
WEIGHT_PIXELS = 3 << 20
POSITIONAL_WEIGHT_PIXELS = 1 << 23
"""Pixels from which a prior is trained, on which it is tried, and that teach weights."""

SMALLEST_CROP = 1 << 20
"""Pixels of an image that are left where a set is too large."""

HELD_OUT_SHARE = 4
"""One image of so many does not teach the first prior, which is tried on them."""

TAUGHT_SHARE = 4
"""Weights are taught by at most one image of so many, which teach no states meanwhile."""

FEWEST_OF_A_SIZE = 64
"""A positional prior needs so many images."""

PACES, POSITIONAL_PACES = (6,), (6, 2)
"""Paces of the weights in each pass."""


def train_bilevel_priors(
    images: Sequence[tuple[NDArray[Any], Mode]],
    *,
    pool: Executor,
    workers: int,
    progress: Progress,
    report: dict[str, dict[str, Any]],
) -> dict[Key, BilevelPrior]:
    """Train a positional prior for each frequent tiny size, and one for the other images.

    Parameters
    ----------
    images : sequence of (ndarray, Mode)
        In the order of their content; only bilevel ones are looked at.
    pool : Executor
    workers : int
        Threads of `pool`.
    progress : callable
    report : dict
        What was measured, by the priors' labels; filled in.
    """
    by_key: dict[Key, list[NDArray[Any]]] = {}
    for array, mode in images:
        if mode.bits_per_sample == 1:
            height, width = array.shape[:2]
            by_key.setdefault((height, width), []).append(array)
    rest: list[NDArray[Any]] = []
    for key in sorted(by_key):
        if max(key) > LARGEST_SIDE or len(by_key[key]) < FEWEST_OF_A_SIZE:
            rest += by_key.pop(key)
    if len(rest) > 1:
        by_key[GENERAL] = rest
    priors = {}
    for key in sorted(by_key):
        trainer = PriorTrainer(key, pool, workers, progress)
        prior = trainer.prior(trainer.pictures(by_key[key]), report)
        if prior is not None:
            priors[key] = prior
    return priors


class PriorTrainer:
    """Trains the prior of one key."""

    def __init__(self, key: Key, pool: Executor, workers: int, progress: Progress) -> None:
        self.key = key
        self._pool = pool
        self._workers = workers
        self._progress = progress
        self._positional = key != GENERAL
        self._empty = empty_prior(key)

    def pictures(self, arrays: Sequence[NDArray[Any]]) -> list[Pixels]:
        """Return evenly spread images, or rows from their middle, of TRAINING_PIXELS in all.

        Their background is 0, as the coder takes them.
        """
        fair = max(TRAINING_PIXELS // len(arrays), SMALLEST_CROP)
        step = max(1, -(-sum(min(array.size, fair) for array in arrays) // TRAINING_PIXELS))

        def prepare(array: NDArray[Any]) -> Pixels:
            height, width = array.shape[:2]
            n_rows = min(height, max(1, fair // width))
            top = (height - n_rows) // 2
            pixels = bilevel_coder.pixels_of(array[top : top + n_rows])
            if self._positional:
                return pixels
            return pixels ^ np.uint8(bilevel_coder.choose_settings(pixels, 5, None).inverted)

        return list(self._pool.map(prepare, arrays[::step]))

    def prior(
        self, pictures: Sequence[Pixels], report: dict[str, dict[str, Any]]
    ) -> BilevelPrior | None:
        """Return a prior trained on images; None where it does not pay."""
        label = self._empty.label
        step = min(HELD_OUT_SHARE, len(pictures))
        held_out: list[Pixels] = []
        left = HELD_OUT_PIXELS
        for picture in pictures[step - 1 :: step]:
            if left > 0:
                held_out.append(picture)
                left -= picture.size
        kept = [picture for index, picture in enumerate(pictures) if index % step != step - 1]
        self._progress(label, 0, 3)
        tried = {"untrained": self._cost(None, held_out)}
        best = POSITIONAL_CAP
        for cap in (POSITIONAL_CAP,) if self._positional else COUNT_CAPS:
            tried[f"states_{cap}"] = self._cost(self._train(kept, cap), held_out)
            if tried[f"states_{cap}"] <= min(tried.values()):
                best = cap
            self._progress(label, 1, 3)
        chosen = min(tried, key=lambda name: tried[name])
        final = None
        if 1000 * tried[chosen] < 995 * tried["untrained"]:
            final = self._train(pictures, best)
        self._progress(label, 3, 3)
        report[label] = {
            "held_out_images": len(held_out),
            "training_images": len(pictures),
            "bytes": tried,
            "chosen_bytes": tried[chosen if final else "untrained"],
            "parts": [] if final is None else [f"states up to count {best}", "weights"],
        }
        return final

    def _train(self, pictures: Sequence[Pixels], cap: int) -> BilevelPrior:
        """Return a prior of the states of all images, and of weights that some of them taught."""
        limit = POSITIONAL_WEIGHT_PIXELS if self._positional else WEIGHT_PIXELS
        n_pixels = sum(picture.size for picture in pictures)
        n_taught = min(limit * len(pictures) // n_pixels + 1, len(pictures) // TAUGHT_SHARE)
        fewest = max(FEWEST_USES, n_pixels >> USES_SHIFT)
        counts = self._count(pictures)
        prior = self._with_states(counts, cap, fewest)
        if n_taught:
            taught = [pictures[len(pictures) * i // n_taught] for i in range(n_taught)]
            others = self._with_states(counts - self._count(taught), cap, fewest)
            prior = replace(prior, weights=self._weights(others, taught))
        return prior

    def _in_chunks(
        self, function: Callable[[Sequence[Pixels]], _T], pictures: Sequence[Pixels]
    ) -> list[_T]:
        """Apply a function to parts of a list, on threads."""
        n_chunks = min(len(pictures), 4 * self._workers)
        bounds = [len(pictures) * index // n_chunks for index in range(n_chunks + 1)]
        chunks = [pictures[bounds[i] : bounds[i + 1]] for i in range(n_chunks)]
        return list(self._pool.map(function, chunks))

    def _cost(self, prior: BilevelPrior | None, pictures: Sequence[Pixels]) -> int:
        """Return the bytes of images, each coded from a prior."""

        def costs(chunk: Sequence[Pixels]) -> int:
            return sum(_n_bytes(picture, prior) for picture in chunk)

        return sum(self._in_chunks(costs, pictures))

    def _count(self, pictures: Sequence[Pixels]) -> NDArray[np.uint32]:
        """Return how often each state met a 0 and a 1; what it is met with has no influence."""
        total: NDArray[np.uint32] = np.zeros(2 * n_states(self._empty.contexts), np.uint32)

        def count(chunk: Sequence[Pixels]) -> NDArray[np.uint32]:
            counts = np.zeros_like(total)
            for picture in chunk:
                bilevel_coder.code_tile(self._model(self._empty, frozen=True), picture, counts)
            return counts

        for each in self._in_chunks(count, pictures):
            total += each
        return total

    def _model(self, prior: BilevelPrior, *, frozen: bool) -> Model:
        settings = Settings(
            len(prior.contexts), by_blocks=not self._positional, frozen=frozen,
            positional=self._positional,
        )  # fmt: skip
        return Model(settings, 0, prior)

    def _with_states(self, counts: NDArray[np.uint32], cap: int, fewest: int) -> BilevelPrior:
        zeros, ones = counts[::2].astype(np.int64), counts[1::2].astype(np.int64)
        known = zeros + ones >= fewest
        zeros, ones = zeros[known], ones[known]
        chances = (5 * ones + 2) * 4096 // (5 * (ones + zeros) + 4)
        unit = LOG_ODDS_STEP << LOG_ODDS_SHIFT
        odds = (tables().stretch[chances] + unit // 2) // unit * LOG_ODDS_STEP
        limit = COUNT_CLASSES[int(np.searchsorted(COUNT_CLASSES, cap))]
        told_apart = np.minimum(zeros + ones, limit)
        classes = np.searchsorted(COUNT_CLASSES, told_apart, side="right") - 1
        return replace(
            self._empty,
            count_cap=cap,
            used=np.packbits(known),
            log_odds=np.clip(odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS).astype(np.int8),
            count_classes=classes.astype(np.uint8),
        )

    def _weights(self, prior: BilevelPrior, pictures: Sequence[Pixels]) -> NDArray[np.int16]:
        """Return what images teach the weights, one after the other."""
        weights = prior.weights_table.copy()
        for pace in POSITIONAL_PACES if self._positional else PACES:
            for picture in pictures:
                model = self._model(prior, frozen=self._positional)
                model.weights, model.pace = weights, pace
                model.adapting |= ADAPT_WEIGHTS
                bilevel_coder.code_tile(model, picture)
        return stored_weights(weights, len(prior.contexts))


def empty_prior(key: Key) -> BilevelPrior:
    """Return a prior of states that know nothing and of standard weights."""
    positional = key != GENERAL
    contexts = list(POSITIONAL_CONTEXTS)
    if not positional:
        contexts = [
            Context(each.window, each.reach, min(each.digits, PRIOR_DIGITS))
            for each in bilevel_coder.standard_contexts(N_CONTEXTS, bilevel_coder.TILE_PIXELS)
        ]
    n_rows = bilevel_coder.n_weight_rows(key if positional else None)
    return BilevelPrior(
        key,
        tuple(contexts),
        1,
        np.zeros(-(-n_states(contexts) // 8), np.uint8),
        np.zeros(0, np.int8),
        np.zeros(0, np.uint8),
        np.zeros(n_rows * (len(contexts) + 1), np.int16),
    )


def _n_bytes(picture: Pixels, prior: BilevelPrior | None) -> int:
    """Return the bytes of an image; those of its samples where they are fewer."""
    payload = bilevel_coder.encode_payload(picture.view(np.bool_), prior=prior)
    raw_size = MODES[0].raw_size(picture.shape[1], picture.shape[0])
    return raw_size if payload is None else min(raw_size, len(payload))
