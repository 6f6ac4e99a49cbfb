"""Training the coder of tiny images of one size: predictor, log-odds, weights, and whether it pays.

Products and counts are integer sums, so that neither their order nor the number of threads changes
them. Weights are learned one image after the other in the order of their content, from log-odds
without the decision at hand, so that all images can teach both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from . import context_coder, tiny_coder
from .container import MODES
from .context_tables import tables
from .context_training import as_integers, solve_exactly
from .kernels import tiny_kernels, tiny_training_kernels
from .kernels.tiny_kernels import (
    COUNTING,
    LANES,
    LARGEST_INPUT,
    LEARNED_SHIFT,
    LEARNING,
    N_CONTEXTS,
    N_NODES,
    N_TAPS,
)
from .tiny_prior import (
    N_WEIGHT_ROWS,
    N_WEIGHTS,
    TinyPrior,
    n_nodes_of,
)

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from .container import Mode
    from .context_prior import ContextPrior, Key
    from .tiny_prior import TinyKey

    Images = NDArray[np.uint8]

Progress = Callable[[str, int, int], None]

FEWEST_IMAGES = 64
"""Sets of fewer images of one size do not teach this coder."""

HELD_OUT_IMAGES = 256
HELD_OUT_SHARE = 4
TRIAL_IMAGES = 8192
"""Images on which it is measured, at most one of so many, and that teach the trial."""

REFERENCE_BYTES = 4
"""What naming the codebook takes."""

PAYS, PAYS_MUCH = 98, 90
"""Per cent of the context coder's bytes: what a prior may need, and what makes one of the context
coder superfluous for a set of this size alone."""

LEARNING_IMAGES = 12_000
RATES = (8, 2)
"""Images that teach the weights, and how fast, in passes over them."""

START_WEIGHT = 29491 // N_CONTEXTS
"""Of each context in each set, in 1/65536."""

FEWEST_USES = 6
MOST_KNOWN = 330_000
"""Nodes met less often stay neutral; so do rare ones beyond so many."""

MOST_SLOT_BITS, FEWEST_SLOT_BITS = 14, 8
SAMPLES_PER_SLOT_BITS = 8

RIDGE, OWN_SHARE = 45, 90
"""Of a position's coefficients: the ridge by image, and its own weight against that of its
neighbours' mean, in the same unit."""

_LOGARITHMS = 1 << 16
_ONE = 1 << 96
_STEP = 0xFF801FFAAB554445B04105B0
"""floor(2^96 exp(-1/512))."""

_NOT_CODED: NDArray[np.uint8] = np.zeros(1, np.uint8)


@lru_cache(maxsize=1)
def logarithms() -> NDArray[np.int32]:
    """Return 256 ln(n + 2/5), rounded, of 0..65535; built with integers alone."""
    table: NDArray[np.int32] = np.empty(_LOGARITHMS, np.int32)
    table[0] = -235
    result, border = 0, (_ONE << 96) // _STEP  # exp((2 result + 1) / 512)
    for number in range(1, _LOGARITHMS):
        while 5 * border <= (5 * number + 2) * _ONE:
            result += 1
            border = (border << 192) // (_STEP * _STEP)
        table[number] = result
    return table


def train_tiny_priors(
    images: Sequence[tuple[NDArray[Any], Mode]],
    *,
    priors: dict[Key, ContextPrior] | None = None,
    pool: Executor,
    workers: int,
    progress: Progress,
    report: dict[str, dict[str, Any]],
) -> dict[TinyKey, TinyPrior]:
    """Train a prior for each size that is frequent among tiny gray images, where it pays.

    Parameters
    ----------
    images : sequence of (ndarray, Mode)
        In the order of their content.
    priors : dict, optional
        The context coder's, which it must be smaller than.
    pool : Executor
    workers : int
        Threads of `pool`.
    progress : callable
    report : dict
        What was measured, by the priors' labels; filled in.
    """
    by_size: dict[TinyKey, list[Images]] = {}
    for array, mode in images:
        height, width = array.shape[:2]
        if tiny_coder.serves(mode, height, width):
            by_size.setdefault((height, width), []).append(array.reshape(height, width))
    found = {}
    for size in sorted(by_size):
        if len(by_size[size]) >= FEWEST_IMAGES:
            trainer = _TinyTrainer(np.stack(by_size[size]), pool, workers, progress)
            prior = trainer.prior(priors or {}, report)
            if prior is not None:
                found[size] = prior
    return found


def train_prior(images: Images, workers: int = 1) -> TinyPrior:
    """Train a prior on images (n, height, width), whether it pays or not."""
    with ThreadPoolExecutor(workers) as pool:
        return _TinyTrainer(images, pool, workers, lambda *_: None).on_all()


def makes_superfluous(report: dict[str, Any]) -> bool:
    """Whether a prior of tiny images leaves nothing to gain to one of the context coder."""
    return bool(100 * report["bytes"] <= PAYS_MUCH * report["bytes_of_context_coder"])


class _TinyTrainer:
    """Trains the prior of one size."""

    def __init__(self, images: Images, pool: Executor, workers: int, progress: Progress) -> None:
        self._images = np.array(images)  # writable, as what the decoder fills
        self._pool = pool
        self._workers = workers
        self._progress = progress
        self._inverted = 2 * int((images > 127).sum()) > images.size
        bits = images.size.bit_length() - SAMPLES_PER_SLOT_BITS
        self._slot_bits = min(max(bits, FEWEST_SLOT_BITS), MOST_SLOT_BITS)

    def prior(
        self, priors: dict[Key, ContextPrior], report: dict[str, dict[str, Any]]
    ) -> TinyPrior | None:
        """Return the prior, None where it does not pay on images that did not teach it."""
        step = max(HELD_OUT_SHARE, len(self._images) // HELD_OUT_IMAGES)
        is_held_out = np.arange(len(self._images)) % step == step - 1
        held_out, others = self._images[is_held_out], self._images[~is_held_out]
        trial = self._train(_spread(others, TRIAL_IMAGES), "trial")
        context = {key[2]: each for key, each in priors.items() if key[:2] == (8, 1)}
        own, plain = self._sizes(held_out, trial, context)
        report[trial.label] = {
            "held_out_images": len(held_out),
            "training_images": len(self._images),
            "bytes": own,
            "bytes_of_context_coder": plain,
        }
        if 100 * own > PAYS * plain:
            return None
        return self.on_all()

    def on_all(self) -> TinyPrior:
        """Return the prior that all images teach."""
        return self._train(self._images, "all images")

    def _sizes(
        self, images: Images, prior: TinyPrior, context: dict[int, ContextPrior]
    ) -> tuple[int, int]:
        """Return the bytes of images, references included, by this and by the context coder."""

        def sizes(image: Images) -> tuple[int, int]:
            own = tiny_coder.encode_payload(image, prior)
            other = context_coder.encode_payload(image, MODES[1], priors=context)
            n_own = image.size if own is None else len(own) + REFERENCE_BYTES
            n_other = image.size if other is None else len(other)
            return min(n_own, image.size), min(n_other, image.size)

        pairs = list(self._pool.map(sizes, images))
        return sum(own for own, _ in pairs), sum(other for _, other in pairs)

    def _train(self, images: Images, what: str) -> TinyPrior:
        height, width = images.shape[1:]
        stage = f"gray8, {width} x {height}: {what}"
        self._progress(stage, 0, 3)
        coefficients = self._predictor(images)
        self._progress(stage, 1, 3)
        counts = self._count(images, coefficients)
        zeros, ones = counts[::2].astype(np.int64), counts[1::2].astype(np.int64)
        fewest = _fewest_uses(zeros + ones)
        self._progress(stage, 2, 3)
        weights = self._learn(images, coefficients, counts, fewest)
        self._progress(stage, 3, 3)
        return TinyPrior(
            height,
            width,
            self._inverted,
            self._slot_bits,
            coefficients,
            _stored_log_odds(zeros, ones, fewest),
            _stored_weights(weights),
        )

    def _chunks(self, images: Images) -> list[Images]:
        bounds = [len(images) * index // self._workers for index in range(self._workers + 1)]
        return [images[bounds[i] : bounds[i + 1]] for i in range(self._workers)]

    def _predictor(self, images: Images) -> NDArray[np.int16]:
        """Return the coefficients of each position, least squares over images (SPEC 5F.2)."""
        height, width = images.shape[1:]

        def sum_up(chunk: Images) -> NDArray[np.int64]:
            sums: NDArray[np.int64] = np.zeros((height, width, N_TAPS + 1, N_TAPS + 1), np.int64)
            tiny_training_kernels.sum_products(
                chunk, self._inverted, tiny_training_kernels.TAP_ROWS,
                tiny_training_kernels.TAP_COLUMNS, sums,
            )  # fmt: skip
            return sums

        sums = sum(self._pool.map(sum_up, self._chunks(images)))
        assert isinstance(sums, np.ndarray)
        padded = np.pad(sums, ((1, 1), (1, 1), (0, 0), (0, 0)), mode="edge")
        mixed = OWN_SHARE * sums
        for row in range(3):
            for column in range(3):
                mixed += padded[row : row + height, column : column + width]
        flat = mixed.reshape(-1, N_TAPS + 1, N_TAPS + 1)
        ridge = RIDGE * len(images)
        solved: list[int] = []
        for position in flat:
            rows = as_integers(position, N_TAPS)
            for index in range(N_TAPS):
                rows[index][index] += ridge
            solved += solve_exactly(rows, 4096)
        return np.array(solved, np.int16)

    def _geometry(self, images: Images, fewest: int = 0, rate: int = 0) -> tuple[int, ...]:
        height, width = images.shape[1:]
        return height, width, self._slot_bits, int(self._inverted), fewest, rate

    def _count(self, images: Images, coefficients: NDArray[np.int16]) -> NDArray[np.uint32]:
        """Return how often each node met a 0 and a 1."""
        weights = _first_weights()

        def count(chunk: Images) -> NDArray[np.uint32]:
            counts: NDArray[np.uint32] = np.zeros(2 * n_nodes_of(self._slot_bits), np.uint32)
            geometry = self._geometry(images)
            for image in chunk:
                _learn_image(image, geometry, coefficients, counts, weights, COUNTING)
            return counts

        total: NDArray[np.uint32] = np.zeros(2 * n_nodes_of(self._slot_bits), np.uint32)
        for each in self._pool.map(count, self._chunks(images)):
            total += each
        return total

    def _learn(
        self,
        images: Images,
        coefficients: NDArray[np.int16],
        counts: NDArray[np.uint32],
        fewest: int,
    ) -> NDArray[np.int32]:
        """Return the weights, learned in the order of the images."""
        weights = _first_weights()
        for rate in RATES:
            geometry = self._geometry(images, fewest, rate)
            for image in _spread(images, LEARNING_IMAGES):
                _learn_image(image, geometry, coefficients, counts, weights, LEARNING)
        return weights


def _learn_image(
    image: Images,
    geometry: tuple[int, ...],
    coefficients: NDArray[np.int16],
    counts: NDArray[np.uint32],
    weights: NDArray[np.int32],
    purpose: int,
) -> None:
    tiny_kernels.learn_image(
        image.reshape(-1), geometry, coefficients, counts, weights,
        tiny_coder.bit_lengths(), tables().squash, logarithms(), _NOT_CODED, purpose,
    )  # fmt: skip


def _spread(images: Images, most: int) -> Images:
    """Return at most so many images, evenly spread."""
    if len(images) <= most:
        return images
    return images[np.arange(most) * len(images) // most]


def _fewest_uses(uses: NDArray[np.int64]) -> int:
    """Return how often a node must be met to be known."""
    if len(uses) <= MOST_KNOWN:
        return FEWEST_USES
    rank = len(uses) - MOST_KNOWN - 1
    return max(FEWEST_USES, int(np.partition(uses, rank)[rank]) + 1)


def _first_weights() -> NDArray[np.int32]:
    """Return both sets of weights at their start, in 1/65536."""
    weights: NDArray[np.int32] = np.zeros((N_WEIGHT_ROWS * N_NODES, LANES), np.int32)
    weights[:, :N_CONTEXTS] = START_WEIGHT
    return weights.reshape(-1)


def _stored_log_odds(
    zeros: NDArray[np.int64], ones: NDArray[np.int64], fewest: int
) -> NDArray[np.int8]:
    """Return log-odds in the order of a prior: by context, node and slot."""
    logs = logarithms().astype(np.int64)

    def logarithm(counts: NDArray[np.int64]) -> NDArray[np.int64]:
        shifts = np.zeros_like(counts)
        while (counts >= _LOGARITHMS).any():
            large = counts >= _LOGARITHMS
            counts = np.where(large, counts >> 1, counts)
            shifts += large
        found: NDArray[np.int64] = logs[counts] + 177 * shifts
        return found

    odds = np.clip((logarithm(ones) - logarithm(zeros) + 8) >> 4, -LARGEST_INPUT, LARGEST_INPUT)
    odds[zeros + ones < fewest] = 0
    by_slot = odds.astype(np.int8).reshape(N_CONTEXTS, -1, N_NODES)
    return np.ascontiguousarray(by_slot.transpose(0, 2, 1)).reshape(-1)


def _stored_weights(weights: NDArray[np.int32]) -> NDArray[np.int8]:
    half = 1 << (LEARNED_SHIFT - 1)
    lanes = (weights.reshape(-1, LANES)[:, :N_WEIGHTS] + half) >> LEARNED_SHIFT
    return lanes.astype(np.int8).reshape(-1)
