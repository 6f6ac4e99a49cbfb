"""Golomb's code of the gaps between locations (SPEC 4.3): choice of its parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .kernels import shape_kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PARAMETER = 1023

_TRIED = {round(1.15**power) for power in range(50)} - {0}
PARAMETERS = np.array(sorted(_TRIED | {MAX_PARAMETER}), np.int64)
"""Parameters that the encoder tries, 1 to 1023 in steps of about 15 %."""


def best_parameter(
    gaps: NDArray[np.int64], trained_lengths: NDArray[np.uint8]
) -> tuple[int, int, int]:
    """Return (parameter, its bits, bits under the trained code) for gaps >= 0.

    The parameter is the smallest one among `PARAMETERS` that costs least.
    """
    golomb_bits = np.zeros(len(PARAMETERS), np.int64)
    trained_bits = shape_kernels.measure_gaps(gaps, trained_lengths, PARAMETERS, golomb_bits)
    best = int(np.argmin(golomb_bits))
    return int(PARAMETERS[best]), int(golomb_bits[best]), int(trained_bits)
