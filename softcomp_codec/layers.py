"""The low layer and the shape layer of mapped residuals (SPEC 5.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Layer = NDArray[np.uint16]


def shape_layer(mapped: Layer, low_bits: int) -> Layer:
    """Return the shape layer of mapped residuals, their bits above the low layer.

    Parameters
    ----------
    mapped : ndarray, uint16, shape (H, W)
    low_bits : int
        Bits of the low layer, 0..9.
    """
    return mapped >> np.uint16(low_bits)


def mapped_above(layer: Layer, low_bits: int) -> Layer:
    """Return mapped residuals whose low layer is 0; inverse of `shape_layer` for those."""
    return layer << np.uint16(low_bits)
