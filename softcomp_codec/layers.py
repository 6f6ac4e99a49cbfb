"""Splitting mapped residuals into the low layer and the shape layer (SPEC 5.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Layer = NDArray[np.uint16]


def split_layers(mapped: Layer, low_bits: int) -> tuple[Layer, Layer]:
    """Return (low layer, high layer) of mapped residuals; inverse of `merge_layers`.

    Parameters
    ----------
    mapped : ndarray, uint16, shape (H, W)
    low_bits : int
        Bits of the low layer, 0..9.
    """
    return mapped & np.uint16((1 << low_bits) - 1), mapped >> np.uint16(low_bits)


def merge_layers(low: Layer, high: Layer, low_bits: int) -> Layer:
    """Return the mapped residuals; inverse of `split_layers`."""
    return high << np.uint16(low_bits) | low
