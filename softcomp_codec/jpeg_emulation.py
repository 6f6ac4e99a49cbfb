"""What a JPEG decoder makes of quantised coefficients, to the bit (SPEC 5J.3).

This is libjpeg's usual way: its accurate integer inverse DCT, interpolating ("fancy") upsampling,
and JFIF colours. Encoder and decoder of decoded JPEGs share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .kernels import jpeg_kernels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Coefficients = NDArray[np.int16]
    """(blocks down, blocks across, 64), each block row by row."""

    Component = NDArray[np.int32]
    """Samples of a component, or something about each of them."""

FANCY, REPLICATION = 0, 1

SMALLEST_FANCY = 3
"""Components of fewer columns that are doubled across are repeated (SPEC 5J.4)."""

BLOCK = 8


@dataclass(frozen=True)
class Past:
    """How the picture lies in the JPEG that it was cut from (SPEC 5J.2).

    Attributes
    ----------
    sampling : tuple of int
        (down, across), 1 or 2: pixels for each chroma sample; (1, 1) of gray pictures.
    phase : tuple of int
        Rows and columns of the first MCU above and left of the picture.
    cut : tuple of bool
        (bottom, right): whether the JPEG went on there; then its samples go on to the end of the
        last MCU.
    upsampling : int
        `FANCY` or `REPLICATION`.
    tables : tuple of tuple of int
        64 quantiser steps of each component, row by row; one component or three.
    """

    sampling: tuple[int, int]
    phase: tuple[int, int]
    cut: tuple[bool, bool]
    upsampling: int
    tables: tuple[tuple[int, ...], ...]

    @property
    def n_components(self) -> int:
        """1 or 3."""
        return len(self.tables)

    @property
    def all_sampling(self) -> list[tuple[int, int]]:
        """`sampling_of` of all components."""
        return [self.sampling_of(component) for component in range(self.n_components)]

    def sampling_of(self, component: int) -> tuple[int, int]:
        """Return pixels for each sample of a component, down and across."""
        return self.sampling if component else (1, 1)

    def component_shape(self, component: int, height: int, width: int) -> tuple[int, int]:
        """Return rows and columns of a component for a picture of this size (SPEC 5J.2)."""
        sides = []
        for axis, side in enumerate((height, width)):
            size = self.phase[axis] + side
            if self.cut[axis]:
                mcu = BLOCK * self.sampling[axis]
                size = -(-size // mcu) * mcu
            sides.append(-(-size // self.sampling_of(component)[axis]))
        return sides[0], sides[1]

    def block_shape(self, component: int, height: int, width: int) -> tuple[int, int]:
        """Return blocks of a component, down and across."""
        rows, columns = self.component_shape(component, height, width)
        return -(-rows // BLOCK), -(-columns // BLOCK)


def invert_transform(
    coefficients: Coefficients, table: Sequence[int], shape: tuple[int, int]
) -> Component:
    """Return a component's samples before rounding, in 64ths, half a sample added (SPEC 5J.3)."""
    n_down, n_across = coefficients.shape[:2]
    fine = np.empty((BLOCK * n_down, BLOCK * n_across), np.int32)
    steps = np.array(table, np.int64)
    jpeg_kernels.invert_blocks(np.ascontiguousarray(coefficients), steps, fine)
    return fine[: shape[0], : shape[1]]


def round_samples(fine: Component, corrections: Component) -> Component:
    """Return a component's samples 0..255 (SPEC 5J.3)."""
    plane = np.empty(fine.shape, np.int32)
    jpeg_kernels.round_samples(fine, corrections, plane)
    return plane


def upsample(past: Past, component: int, plane: Component, height: int, width: int) -> Component:
    """Return a component at the pixels of the picture (SPEC 5J.4)."""
    down, across = past.sampling_of(component)
    fancy = past.upsampling == FANCY and (across == 1 or plane.shape[1] >= SMALLEST_FANCY)
    out = np.empty((height, width), np.int32)
    jpeg_kernels.upsample(plane, down, across, fancy, *past.phase, out)
    return out


def convert_colours(y: Component, cb: Component, cr: Component) -> NDArray[Any]:
    """Return the (H, W, 3) uint8 pixels of JFIF colours (SPEC 5.2.1)."""
    picture = np.empty((*y.shape, 3), np.uint8)
    jpeg_kernels.convert_pixels(y, cb, cr, picture)
    return picture


def bound_luma(picture: NDArray[Any], cb: Component, cr: Component) -> tuple[Component, Component]:
    """Return the lowest and highest luma that gives the pixels with this chroma, or nearly does."""
    lowest, highest = np.empty(cb.shape, np.int32), np.empty(cb.shape, np.int32)
    jpeg_kernels.bound_luma(picture, cb, cr, lowest, highest)
    return lowest, highest


def render(
    past: Past, coefficients: Sequence[Coefficients], height: int, width: int
) -> NDArray[Any]:
    """Return the picture that libjpeg decodes, (H, W) or (H, W, 3), uint8."""
    shown = []
    for component, (blocks, table) in enumerate(zip(coefficients, past.tables, strict=True)):
        shape = past.component_shape(component, height, width)
        fine = invert_transform(blocks, table, shape)
        plane = round_samples(fine, np.zeros_like(fine))
        shown.append(upsample(past, component, plane, height, width))
    return convert_colours(*shown) if len(shown) == 3 else shown[0].astype(np.uint8)
