"""How the kernel finds the slots of contexts: from two clipped differences each (SPEC 5C.4)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .kernels.sample_vectors import N_RULES, RULE_LANES

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_TERM_RULES = N_RULES - 2
FACTOR_RULES = [3, 7]
"""Rows of the terms' factors."""


class _Term(NamedTuple):
    """What a difference adds to the index of a slot: clip((it + half) >> shift, limit) factor.

    `half` and `shift` are those of scale 0. What is `signed` counts from -limit on; what is
    not counts from 0 on and has no scale.
    """

    half: int
    shift: int
    limit: int
    factor: int
    signed: bool = True


_NOTHING = _Term(0, 0, 0, 0)
_TONE = _Term(0, 0, 1023, 1, signed=False)
_PAIR = _Term(0, 0, 15, 32), _Term(0, 0, 15, 1)
_REST = _NOTHING, _NOTHING
_TWO_PREDICTIONS = _Term(4, 3, 5, 143), _Term(8, 4, 5, 13)
_FINE = _Term(2, 2, 15, 32), _Term(2, 2, 15, 1)
_FINE_AND_COARSE = _Term(2, 2, 15, 32), _Term(4, 3, 15, 1)
_COARSE = _Term(4, 3, 15, 32), _Term(4, 3, 15, 1)
_SLOPE = _Term(0, 0, 31, 8), _NOTHING

FIRST_PLANE = (
    _PAIR, (_TONE, _NOTHING), _TWO_PREDICTIONS, _REST, _REST, _FINE, _PAIR, _PAIR, _PAIR,
    _FINE_AND_COARSE, (_Term(4, 3, 20, 13), _NOTHING), _SLOPE, (_Term(0, 1, 7, 1), _NOTHING), _PAIR,
    _REST,
)  # fmt: skip
OTHER_PLANES = (
    _PAIR, (_Term(0, 0, 10, 42), _Term(0, 0, 10, 2)), _SLOPE, (_TONE, _NOTHING), _TWO_PREDICTIONS,
    _REST, _PAIR, _COARSE, _FINE_AND_COARSE, _REST, _REST, _REST, _PAIR, _PAIR, _REST,
)  # fmt: skip
LEAST_SQUARES_PLANES = (*OTHER_PLANES[:8], _FINE, *OTHER_PLANES[9:])
"""The two terms of each context: of the first plane, of others, and of others where there is the
least-squares predictor."""


@lru_cache(maxsize=32)
def slot_rules(first: bool, least: bool, scale: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rules of all contexts, and the index of each one's differences of 0.

    Parameters
    ----------
    first : bool
        Whether for the first plane.
    least : bool
        Whether there is the least-squares predictor.
    scale : int
        The plane's.

    Returns
    -------
    rules : ndarray, (8, 16)
        Rows 0 to 7 of `sample_vectors.put_slots`, but factors in slots, and of all contexts.
    middles : ndarray, (16,)
    """
    rules = np.zeros((N_TERM_RULES, RULE_LANES), np.int64)
    middles: NDArray[np.int64] = np.zeros(RULE_LANES, np.int64)
    contexts = FIRST_PLANE if first else LEAST_SQUARES_PLANES if least else OTHER_PLANES
    for context, pair in enumerate(contexts):
        parts = [
            (term.half << scale, term.shift + scale * term.signed, term.limit, term.factor)
            for term in pair
        ]
        rules[:, context] = np.ravel(parts)
        middles[context] = sum(term.limit * term.factor for term in pair if term.signed)
    return rules, middles
