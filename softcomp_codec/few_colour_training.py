"""Training the few-colour coder's prior: which pictures its models should have seen.

Pictures are taken in the order of a hash of their content, so that the same images give the same
prior whatever their order, and however many threads work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import few_colour_coder
from .few_colour_prior import ALL_PARTS, MATCHES, STATES, FewColourPrior

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from .container import Mode
    from .palettes import Palette

    Keys = NDArray[np.uint32]

Progress = Callable[[str, int, int], None]

PRIOR_PIXELS = 400_000
"""Most pixels of a prior: its models code them before the first image."""

PRIOR_BYTES = 64_000
"""Largest code of a prior: half a second is spent on it when a process first uses it."""

CROP_SIDE = 256
"""Of larger images the busiest square of this side is a candidate."""

HELD_OUT = 4
"""One image of so many does not become part of the prior that is tried."""

MAX_HELD_OUT = 24
HELD_OUT_SIDE = 512
"""Most images on which priors are tried, and the side of the part that is coded."""

SHARES = (1, 2, 4, 8)
"""Priors of all pixels, of half of them and so on are tried."""

LEAST_GAIN = 100
"""A prior must save one byte of so many."""

PARTS = {
    ALL_PARTS: "all",
    STATES: "no matches",
    MATCHES: "no states",
    0: "weights alone",
}
"""What is kept of the models that saw the pictures; all of it is tried with the most pictures."""

FEWEST_IMAGES = 4


@dataclass(frozen=True)
class _Candidate:
    """A picture that may be shown to the models."""

    n_planes: int
    keys: Keys


def train_few_colour_prior(
    images: Sequence[tuple[NDArray[Any], Mode, Palette | None]],
    *,
    pool: Executor,
    progress: Progress,
    report: dict[str, Any],
) -> FewColourPrior | None:
    """Return the prior of images in the order of their hashes; None where it does not pay.

    Parameters
    ----------
    images : sequence of (array, mode, palette)
        Of all modes; those that are not few-coloured are left out.
    pool : Executor
    progress : callable
        Called with (stage, done, total).
    report : dict
        Filled with what was measured.
    """
    candidates = [
        _candidate(array, mode, palette)
        for array, mode, palette in images
        if mode.bits_per_sample == 8 and (palette is not None or few_colour_coder.may_win([array]))
    ]
    if len(candidates) < FEWEST_IMAGES or 2 * len(candidates) < len(images):
        return None
    progress("few colours: pictures", 0, len(SHARES) + 2)
    held_out = candidates[HELD_OUT - 1 :: HELD_OUT][:MAX_HELD_OUT]
    shown = [each for i, each in enumerate(candidates) if i % HELD_OUT != HELD_OUT - 1]
    tried = {"untrained": sum(pool.map(lambda each: _cost(each, None), held_out))}
    best, lowest = (0, 0), tried["untrained"] - tried["untrained"] // LEAST_GAIN
    variants = PARTS
    for done, share in enumerate(SHARES, 1):
        progress("few colours: pictures", done, len(SHARES) + 2)
        prior = _prior_of(shown, PRIOR_PIXELS // share)
        if prior is None:
            continue
        for parts, name in variants.items():
            with_parts = prior.variant(parts)
            with_parts.model(few_colour_coder.CONTEXTS_BY_EFFORT[5])  # once for all threads
            cost = sum(pool.map(lambda each, p=with_parts: _cost(each, p), held_out))
            tried[f"{prior.n_pixels} pixels, {name}"] = cost
            if 1000 * cost < 998 * lowest:
                best, lowest = (share, parts), cost
        if best[0]:
            variants = {best[1]: PARTS[best[1]]}
    progress("few colours: pictures", len(SHARES) + 1, len(SHARES) + 2)
    share, parts = best
    final = _prior_of(candidates, PRIOR_PIXELS // share) if share else None
    final = final and final.variant(parts)
    report["few-colour"] = {
        "held_out_images": len(held_out),
        "bytes": tried,
        "chosen_bytes": lowest if share else tried["untrained"],
        "parts": PARTS[final.parts] if final else "none",
        "pictures": len(final.outlines) if final else 0,
        "pixels": final.n_pixels if final else 0,
    }
    progress("few colours: pictures", len(SHARES) + 2, len(SHARES) + 2)
    return final


def _candidate(array: NDArray[Any], mode: Mode, palette: Palette | None) -> _Candidate:
    if palette is None:
        return _Candidate(mode.n_planes, few_colour_coder.keys_of(array))
    keys = few_colour_coder.keys_of(palette.colours()[array])
    return _Candidate(4 if (keys < few_colour_coder.OPAQUE).any() else 3, keys)


def _middle(keys: Keys, side: int) -> Keys:
    top, left = ((length - min(length, side)) // 2 for length in keys.shape)
    return np.ascontiguousarray(keys[top : top + side, left : left + side])


def _cost(image: _Candidate, prior: FewColourPrior | None) -> int:
    keys = _middle(image.keys, HELD_OUT_SIDE)
    array = few_colour_coder.array_of(keys, image.n_planes)
    payload = few_colour_coder.encode_keys(keys, image.n_planes, prior=prior)
    return array.nbytes if payload is None else len(payload)


def _busiest(keys: Keys) -> Keys:
    """Return the square in which neighbours differ most often."""
    height, width = keys.shape
    if height <= CROP_SIDE and width <= CROP_SIDE:
        return keys
    edges: NDArray[np.int64] = np.zeros((height + 1, width + 1), np.int64)
    edges[1:, 2:] = (keys[:, 1:] != keys[:, :-1]).cumsum(axis=0).cumsum(axis=1)
    rows, columns = min(height, CROP_SIDE), min(width, CROP_SIDE)
    tops = np.arange(0, height - rows + 1, 16)
    lefts = np.arange(0, width - columns + 1, 16)
    sums = (
        edges[tops + rows][:, lefts + columns] - edges[tops][:, lefts + columns]
        - edges[tops + rows][:, lefts] + edges[tops][:, lefts]
    )  # fmt: skip
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    first, second = int(tops[top]), int(lefts[left])
    return np.ascontiguousarray(keys[first : first + rows, second : second + columns])


def _prior_of(candidates: Sequence[_Candidate], n_pixels: int) -> FewColourPrior | None:
    """Return the prior of the first candidates that fit, spread over all of them."""
    crops = [(each.n_planes, _busiest(each.keys)) for each in candidates]
    crops = [crop for crop in crops if len(few_colour_coder.distinct_colours(crop[1])) > 1]
    while crops:
        total = sum(keys.size for _, keys in crops)
        step = -(-total // n_pixels)
        chosen: list[tuple[int, Keys]] = []
        left = n_pixels
        for crop in crops[::step]:
            if crop[1].size <= left:
                chosen.append(crop)
                left -= crop[1].size
        if not chosen:
            return None
        prior = FewColourPrior.of(chosen)
        if len(prior.code) <= PRIOR_BYTES:
            return prior
        n_pixels = (n_pixels - left) * 3 // 4
    return None
