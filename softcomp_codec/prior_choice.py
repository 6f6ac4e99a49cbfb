"""Which codebook's prior suits a large image, and whether it pays: seen on small parts of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import context_coder, planes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .codebook import Codebook
    from .container import Mode
    from .context_coder import Priors

RANKING_SIDE, RANKING_EFFORT = 32, 3
"""Codebooks are ranked on a part of this side, by few contexts."""

TEST_SIDE, TEST_EFFORT = 56, 5
"""The best of them is compared with none on a part of this side."""

LEAST_GAIN = 64
"""A prior must save one in so many bytes of the part. It saves most at the start: suitable ones
5 % and more, others up to 2 % (DECISIONS)."""


def middle_of(array: NDArray[Any], side: int) -> NDArray[Any]:
    """Return the middle of an image, of at most this height and width."""
    top, left = ((length - min(length, side)) // 2 for length in array.shape[:2])
    return np.ascontiguousarray(array[top : top + side, left : left + side])


def likely_codebook(
    arrays: Sequence[NDArray[Any]], mode: Mode, books: Sequence[Codebook]
) -> Codebook | None:
    """Return the codebook whose prior makes the middle of some images smallest.

    Only those are tried that have a prior for the middle's colour transform; None without any.
    Whether it makes the images smaller is another question: see `prior_pays`.
    """
    parts = [middle_of(array, RANKING_SIDE) for array in arrays]
    transform = context_coder.choose_transform(planes.split_planes(parts[0], mode), mode)
    fitting = [book for book in books if transform in book.context_priors(mode)]
    if len(fitting) < 2:
        return fitting[0] if fitting else None
    sizes = [
        sum(_size(part, mode, RANKING_EFFORT, book.context_priors(mode)) for part in parts)
        for book in fitting
    ]
    return fitting[sizes.index(min(sizes))]


def prior_pays(array: NDArray[Any], mode: Mode, priors: Priors) -> bool:
    """Whether priors make the middle of an image clearly smaller."""
    part = middle_of(array, TEST_SIDE)
    without = _size(part, mode, TEST_EFFORT, {})
    return (without - _size(part, mode, TEST_EFFORT, priors)) * LEAST_GAIN >= without


def _size(part: NDArray[Any], mode: Mode, effort: int, priors: Priors) -> int:
    # as large images are coded, so that no other kernel is compiled for it
    payload = context_coder.encode_payload(part, mode, effort=effort, priors=priors, summed=True)
    return part.nbytes if payload is None else len(payload)
