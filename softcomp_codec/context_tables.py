"""Tables of the context coder, built with integers alone (SPEC 5C.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ONE = 1 << 96
_STEP = 0xFF801FFAAB554445B04105B0
"""floor(2^96 exp(-1/512))."""

LEVEL_LIMITS = (0, 1, 2, 4, 7, 11, 18, 30, 50, 80, 128, 200)


class Tables(NamedTuple):
    """Arguments of the kernels of `context_kernels`, small since they compete for the cache.

    Attributes
    ----------
    stretch : (4096,)
        ln(p / (1 - p)) of p = (i + 1/2) / 4096, in 1/256.
    squash : (4096,)
        Its inverse at (i - 2048) / 256, in 1/65536.
    rates : (1024,)
        Share of the error by which a state moves after n bits, in 1/65536.
    levels : (4096,)
        Class 0..12 of an energy.
    blend : (2048,)
        Weight of a predictor by its recent error.
    norms : (2560,)
        Reciprocals of the taps' power: 0..4095 in steps of 4, then in steps of 4096.
    """

    stretch: NDArray[np.int16]
    squash: NDArray[np.uint16]
    rates: NDArray[np.int32]
    levels: NDArray[np.uint8]
    blend: NDArray[np.int32]
    norms: NDArray[np.int32]


@lru_cache(maxsize=1)
def tables() -> Tables:
    """Return the tables; they are the same for every image."""
    decay = [_ONE]  # exp(-j / 512)
    for _ in range(4096):
        decay.append(decay[-1] * _STEP >> 96)
    squash: NDArray[np.int32] = np.empty(4096, np.int32)
    for distance in range(2049):
        high = ((_ONE << 17) // (_ONE + decay[2 * distance]) + 1) >> 1
        high = min(high, 65504)
        squash[2048 - distance] = 65536 - high
        if distance < 2048:
            squash[2048 + distance] = high
    stretch: NDArray[np.int32] = np.empty(4096, np.int32)
    steps = 0
    for index in range(2048, 4096):
        odds, against = 2 * index + 1, 8191 - 2 * index
        while steps < 4094 and _ONE * against <= odds * decay[steps + 1]:
            steps += 1
        stretch[index] = min((steps + 1) >> 1, 2047)
        stretch[4095 - index] = -stretch[index]
    numbers: NDArray[np.int64] = np.arange(4096)
    levels = (numbers[:, None] > np.array(LEVEL_LIMITS)).sum(axis=1)
    norms = np.concatenate([numbers[:1024] * 4 + 22, numbers[:1536] * 4096 + 2068])
    return Tables(
        stretch.astype(np.int16),
        squash.astype(np.uint16),
        (655360 // (10 * numbers[:1024] + 16)).astype(np.int32),
        levels.astype(np.uint8),
        np.maximum(1, (1 << 30) // (numbers[:2048] + 4) ** 4).astype(np.int32),
        ((1 << 22) // norms).astype(np.int32),
    )
