"""Training the prior of pictures that were JPEGs once: usual pasts, states, weights, what pays.

Counts are integer sums over pictures, and weights are taught by one picture after the other in
the order of their content, so that neither the pictures' order nor the number of threads changes a
prior. Each part is measured by coding pictures that did not teach it.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import coefficient_coder, jpeg_past_coder
from .coefficient_prior import (
    MAX_PASTS,
    CoefficientPrior,
    by_nodes,
    label_of,
    stored_weights,
)
from .context_prior import COUNT_CLASSES, LARGEST_LOG_ODDS, LOG_ODDS_SHIFT
from .context_tables import tables

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from .container import Mode
    from .jpeg_recovery import Recovered
    from .jpeg_unrounded_coder import Unrounded

    Images = Sequence[tuple[NDArray[Any], Mode]]

Progress = Callable[[str, int, int], None]


@dataclass
class Found:
    """The coefficients of an image, and what `_count` has seen of them, compressed."""

    recovered: Recovered | Unrounded
    counts: bytes = b""


Known = dict[int, Found | None]
"""What was found of images, by the identity of their arrays, which the caller keeps."""

COUNT_CAPS = (12, 48, 160, 255)
"""Confidence in the trained states that training tries: small for sets that vary."""

TRIAL_CAP = 160
"""Of the states beside which the weights are first trained."""

FEWEST_USES = 2
"""States that a picture meets less often on average stay neutral."""

TRAINING_SAMPLES = 48_000_000
MAX_IMAGES = 512
"""Samples and images from which a prior is trained at most."""

EFFORT = 5
"""With which coefficients are looked for."""

N_PROBES = 8
"""So many images are looked at first; where none of them was a JPEG the set has no such past."""

FEWEST_FOUND = 4
FOUND_SHARE = 4
"""At least one image of so many must have been a JPEG."""

HELD_OUT_SHARE = 4
"""One image of so many does not teach the first prior, on which the parts are tried."""

MOSTLY_FOUND = 90
"""Percent of the images that must have been JPEGs for the others not to matter."""

TAUGHT_SHARE = 3
MOST_TAUGHT = 12
"""One image of so many teaches weights, and no states beside them; at most so many."""


def train_coefficient_priors(
    images: Images,
    *,
    pool: Executor,
    progress: Progress,
    report: dict[str, Any],
    known: Known | None = None,
    trial: tuple[dict[int, CoefficientPrior], dict[str, dict[str, Any]]] | None = None,
) -> dict[int, CoefficientPrior]:
    """Train a prior for gray and one for colour pictures, where enough of them were JPEGs once.

    Parameters
    ----------
    images : sequence of (ndarray, Mode)
        In the order of their content; of all modes.
    pool : Executor
    progress : callable
        Called with (stage, done, total).
    report : dict
        What was measured, by the priors' labels; filled in.
    known : dict, optional
        What was found of images, looked at and filled in: each is searched once.
    trial : (dict, dict), optional
        Priors and report of a training on most of these images: the parts that paid there are
        trained, and nothing is measured again.
    """
    priors = {}
    known = {} if known is None else known
    for n_components in (1, 3):
        suitable = [image for image in images if _n_components(*image) == n_components]
        trainer = _Trainer(n_components, pool, progress, known)
        label = label_of(n_components)
        if trial is not None and label in trial[1]:
            other = trial[0].get(n_components)
            prior = trainer.prior_like(other, trial[1][label], suitable, report)
        else:
            prior = trainer.prior(suitable, report)
        if prior is not None:
            priors[n_components] = prior
    return priors


def without_served(images: Images, report: dict[str, Any]) -> Images:
    """Return the images for which the coders of pixels matter.

    Where almost all images of a kind were JPEGs, as the report says, all are coded as such.
    """
    served = set()
    for n_components in (1, 3):
        entry = report.get(label_of(n_components))
        if entry is None or not entry["parts"]:
            continue
        if 100 * entry["training_images"] >= MOSTLY_FOUND * entry["searched_images"]:
            served.add(n_components)
    return [image for image in images if _n_components(*image) not in served]


def _n_components(array: NDArray[Any], mode: Mode) -> int:
    """Return the components that an image would have had as a JPEG, 0 of others."""
    suits = mode.kind is not None and mode.bits_per_sample == 8
    return mode.n_planes if suits and jpeg_past_coder.may_win(*array.shape[:2]) else 0


class _Trainer:
    """Trains one prior."""

    def __init__(self, n_components: int, pool: Executor, progress: Progress, known: Known) -> None:
        self._n_components = n_components
        self._pool = pool
        self._progress = progress
        self._known = known

    def prior(self, images: Images, report: dict[str, Any]) -> CoefficientPrior | None:
        """Return the prior with the parts that pay, None where none does."""
        label = label_of(self._n_components)
        pictures, n_searched = self._recovered(images)
        if len(pictures) < FEWEST_FOUND:
            return None
        self._progress(f"{label}: states", 1, 3)
        kept = [each for i, each in enumerate(pictures) if (i + 1) % HELD_OUT_SHARE]
        held_out = pictures[HELD_OUT_SHARE - 1 :: HELD_OUT_SHARE]
        tried = {"untrained": self._cost(None, held_out)}
        counts = self._count(kept)
        weights = self._weights(kept, counts, TRIAL_CAP)
        by_cap = {cap: self._with_states(counts, len(kept), cap) for cap in COUNT_CAPS}
        for cap, with_states in by_cap.items():
            with_weights = replace(with_states, weights=weights)
            tried[f"states_{cap}_weights"] = self._cost(with_weights, held_out)
        cap = min(COUNT_CAPS, key=lambda cap: tried[f"states_{cap}_weights"])
        tried[f"states_{cap}"] = self._cost(by_cap[cap], held_out)
        cheapest = min(f"states_{cap}_weights", f"states_{cap}", key=lambda name: tried[name])
        final: CoefficientPrior | None = None
        if 1000 * tried[cheapest] < 995 * tried["untrained"]:
            self._progress(f"{label}: all images", 2, 3)
            final = self._all_images(pictures, cap, has_weights=cheapest.endswith("_weights"))
        self._progress(f"{label}: all images", 3, 3)
        report[label] = {
            "held_out_images": len(held_out),
            "training_images": len(pictures),
            "searched_images": n_searched,
            "bytes": tried,
            "chosen_bytes": tried[cheapest if final else "untrained"],
            "parts": final.part_names if final else [],
        }
        return final

    def prior_like(
        self,
        other: CoefficientPrior | None,
        measured: dict[str, Any],
        images: Images,
        report: dict[str, Any],
    ) -> CoefficientPrior | None:
        """Return the prior with the parts of another, which was `measured`; None without one."""
        label = label_of(self._n_components)
        pictures, n_searched = self._recovered(images)
        counted = {"training_images": len(pictures), "searched_images": n_searched}
        report[label] = measured | counted
        if other is None or len(pictures) < FEWEST_FOUND:
            report[label]["parts"] = []
            return None
        self._progress(f"{label}: all images", 1, 2)
        final = self._all_images(pictures, other.count_cap, has_weights=len(other.weights) > 0)
        self._progress(f"{label}: all images", 2, 2)
        report[label]["parts"] = final.part_names
        return final

    def _all_images(
        self, pictures: Sequence[Found], cap: int, *, has_weights: bool
    ) -> CoefficientPrior:
        """Return the prior that all pictures teach."""
        counts = self._count(pictures)
        final = self._with_states(counts, len(pictures), cap)
        if has_weights:
            final = replace(final, weights=self._weights(pictures, counts, cap))
        return replace(final, pasts=_usual_pasts(pictures))

    def _recovered(self, images: Images) -> tuple[list[Found], int]:
        """Return the coefficients of images that were JPEGs, and how many images were searched.

        Nothing of sets with few of them.
        """
        n_samples = sum(array.size for array, _ in images)
        step = max(-(-n_samples // TRAINING_SAMPLES), -(-len(images) // MAX_IMAGES), 1)
        images = images[::step]
        if len(images) < FEWEST_FOUND:
            return [], 0
        label = label_of(self._n_components)
        self._progress(f"{label}: coefficients", 0, 3)
        apart = -(-len(images) // N_PROBES)
        found = self._look_for(images, range(0, len(images), apart))
        if not any(found.values()):
            return [], len(found)
        found |= self._look_for(images, [at for at in range(len(images)) if at not in found])
        pictures = [each for at in range(len(images)) if (each := found[at]) is not None]
        if FOUND_SHARE * len(pictures) < len(images):
            pictures = []
        return pictures, len(images)

    def _look_for(self, images: Images, places: Sequence[int]) -> dict[int, Found | None]:
        def find(at: int) -> Found | None:
            array, mode = images[at]
            if id(array) not in self._known:
                found = jpeg_past_coder.recover_past(array, mode, EFFORT)
                self._known[id(array)] = _without_boxes(found)
            return self._known[id(array)]

        return dict(zip(places, self._pool.map(find, places), strict=True))

    def _cost(self, prior: CoefficientPrior | None, pictures: Sequence[Found]) -> int:
        """Return the bytes of pictures' coefficients, each coded from a prior."""
        return sum(self._pool.map(lambda each: _n_bytes(each, prior), pictures))

    def _count(self, pictures: Sequence[Found]) -> NDArray[np.int64]:
        """Return how often each state met a 0 and a 1, (2, states) in the order of a prior."""
        n_states = coefficient_coder.n_states(self._n_components)

        def count(picture: Found) -> NDArray[np.uint32]:
            counts: NDArray[np.uint32] = np.zeros(2 * n_states, np.uint32)
            if picture.counts:
                return np.frombuffer(zlib.decompress(picture.counts), np.uint32)
            _n_bytes(picture, None, counts)
            picture.counts = zlib.compress(counts.tobytes(), 1)  # some 30 times smaller
            return counts

        total = np.zeros(2 * n_states, np.int64)
        for start in range(0, len(pictures), _CHUNK):  # some megabytes each
            for counts in self._pool.map(count, pictures[start : start + _CHUNK]):
                total += counts
        ordered = [by_nodes(total[bit::2], self._n_components) for bit in (0, 1)]
        return np.stack(ordered)

    def _with_states(
        self, counts: NDArray[np.int64], n_pictures: int, cap: int
    ) -> CoefficientPrior:
        """Return the prior of what some pictures' states met."""
        zeros, ones = counts
        known = zeros + ones >= FEWEST_USES * n_pictures
        zeros, ones = zeros[known], ones[known]
        chances = (5 * ones + 2) * 4096 // (5 * (ones + zeros) + 4)
        odds = (tables().stretch[chances] + (1 << (LOG_ODDS_SHIFT - 1))) >> LOG_ODDS_SHIFT
        highest = COUNT_CLASSES[int(np.searchsorted(COUNT_CLASSES, cap))]
        told_apart = np.minimum(zeros + ones, highest)
        classes = np.searchsorted(COUNT_CLASSES, told_apart, side="right") - 1
        return CoefficientPrior(
            self._n_components,
            pasts=(),
            count_cap=cap,
            used=np.packbits(known),
            log_odds=np.clip(odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS).astype(np.int8),
            count_classes=classes.astype(np.uint8),
        )

    def _weights(
        self, pictures: Sequence[Found], counts: NDArray[np.int64], cap: int
    ) -> NDArray[np.int8]:
        """Return weights from a few pictures, which start with what the others teach."""
        chosen = pictures[:: max(TAUGHT_SHARE, -(-len(pictures) // MOST_TAUGHT))]
        n_others = len(pictures) - len(chosen)
        prior = self._with_states(counts - self._count(chosen), n_others, cap)
        weights: NDArray[np.int32] = np.full(
            coefficient_coder.n_weights(self._n_components),
            coefficient_coder.START_WEIGHT,
            np.int32,
        )
        for picture in chosen:
            _n_bytes(picture, prior, weights=weights)
        return stored_weights(weights)


_CHUNK = 16


def _n_bytes(
    picture: Found,
    prior: CoefficientPrior | None,
    counts: NDArray[np.uint32] | None = None,
    weights: NDArray[np.int32] | None = None,
) -> int:
    """Return the bytes of a picture's coefficients."""
    past, coefficients = picture.recovered.past, picture.recovered.coefficients
    code = coefficient_coder.encode_coefficients(
        coefficients, past.tables, past.all_sampling, prior, counts, weights
    )
    return sum(each.nbytes for each in coefficients) if code is None else len(code)


def _without_boxes(found: jpeg_past_coder.Found | None) -> Found | None:
    """Return what training needs of a picture, None where it has no coefficients."""
    from .jpeg_recovery import Recovered

    if found is None or not jpeg_past_coder.has_coefficients(found):
        return None
    return Found(replace(found, boxes=[]) if isinstance(found, Recovered) else found)


def _usual_pasts(pictures: Sequence[Found]) -> tuple[Any, ...]:
    """Return the most frequent pasts; of equally frequent ones those of earlier pictures."""
    return tuple(
        past for past, _ in Counter(each.recovered.past for each in pictures).most_common(MAX_PASTS)
    )
