"""The compressible indicator function: when shape coding pays.

Xin and Fan (2021) describe it as the threshold on the average number of bits that a location may
cost; their printed formula is not at hand, so this follows the meaning. Let shape i be placed n_i
times with a codeword of l_i bits, N the sum of all n_i, and B the bits that the covered samples
would cost without shapes. Shape coding pays exactly when a location costs, on average, less than

    (B - sum of n_i l_i) / N

bits. For one shape this is what a placement of it saves, less its codeword. Nothing here reaches a
bitstream, so the averages may be floating-point numbers; decisions compare integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import layers, planes, residuals, shapes
from .arithmetic import coded_bytes
from .codebook import kind_of, part_for
from .kernels.residual_kernels import MED, NO_PREDICTOR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from .codebook import Codebook, PlaneBook
    from .container import Mode
    from .planes import Plane


@dataclass(frozen=True)
class Indicator:
    """What the shapes of a plane, an image or a set cost and save; add them up by `total`.

    Attributes
    ----------
    n_placed : int
        Placements, N.
    location_bits : int
        Bits of all locations.
    codeword_bits : int
        Bits of all shapes' codewords, end marks included.
    fallback_bits : int
        B under the coder's own fallback: what the planes cost without a shape layer, less what
        their low layers cost beside one.
    raw_bits : int
        B, the non-zero cells of the shape layer counted as raw samples of it.
    """

    n_placed: int
    location_bits: int
    codeword_bits: int
    fallback_bits: int
    raw_bits: int = 0

    @property
    def location_cost(self) -> float:
        """Average bits of a location; 0 where nothing is placed."""
        return self.location_bits / self.n_placed if self.n_placed else 0.0

    @property
    def against_raw(self) -> float:
        """Average bits that a location may cost before raw samples are cheaper."""
        return self._threshold(self.raw_bits)

    @property
    def against_fallback(self) -> float:
        """Average bits that a location may cost before coding without shapes is cheaper."""
        return self._threshold(self.fallback_bits)

    @property
    def pays(self) -> bool:
        """Whether the locations cost less than the indicator allows."""
        return self.location_bits < self.fallback_bits - self.codeword_bits

    def _threshold(self, bits: int) -> float:
        return (bits - self.codeword_bits) / self.n_placed if self.n_placed else 0.0


def total(parts: Iterable[Indicator]) -> Indicator:
    """Return the indicator of an image from its planes, or of a set from its images."""
    sums = np.array(
        [
            (p.n_placed, p.location_bits, p.codeword_bits, p.fallback_bits, p.raw_bits)
            for p in parts
        ],
        np.int64,
    ).reshape(-1, 5)
    return Indicator(*sums.sum(axis=0).tolist())


def image_indicators(
    array: NDArray[Any], mode: Mode, book: Codebook | None
) -> list[Indicator | None]:
    """Return the indicator of each plane of an image, placed as the codebook says.

    Parameters
    ----------
    array : ndarray
        Samples of `mode`.
    mode : Mode
    book : Codebook or None
        None for the built-in prior.

    Returns
    -------
    list
        None for planes for which the codebook has no shapes.
    """
    transform = planes.NO_TRANSFORM if book is None else book.parts[kind_of(mode)].transform
    part = part_for(book, mode, transform)
    ranges = planes.plane_ranges(mode, part.transform)
    components = planes.transform_colours(planes.split_planes(array, mode), part.transform)
    return [
        _plane_indicator(*column) for column in zip(components, ranges, part.planes, strict=True)
    ]


def _plane_indicator(
    plane: Plane, sample_range: tuple[int, int], book: PlaneBook
) -> Indicator | None:
    if not len(book.shapes):
        return None
    mapped = residuals.map_residuals(plane, book.predictor, sample_range)
    layer = layers.shape_layer(mapped, book.low_bits)
    placements = shapes.match_shapes(layer, book.shapes, book.cell_value)
    if placements is None:
        return None
    lengths = book.shapes.code_lengths.astype(np.int64)
    codeword_bits = int(lengths[placements.placed].sum() + lengths[-1])
    beside = coded_bytes(mapped, book.low_bits, book.low_states) if book.low_bits else 0
    if book.predictor == NO_PREDICTOR:  # without a shape layer a plane is always predicted
        mapped = residuals.map_residuals(plane, MED, sample_range)
    without = coded_bytes(mapped, book.sample_bits, book.full_states)
    return Indicator(
        len(placements.placed),
        shapes.placement_bits(placements, book.shapes)[0] - codeword_bits,
        codeword_bits,
        8 * (without - beside),
        int(placements.fresh.sum()) * (book.sample_bits - book.low_bits),
    )


def bits_saved(
    uses: NDArray[np.int64],
    fresh: NDArray[np.int64],
    code_lengths: NDArray[np.uint8],
    cell_value: int,
) -> NDArray[np.int64]:
    """Return what each shape's placements save, less their codewords, in 1/256 bit.

    Divided by `uses` this is the indicator of each shape. Integers, as training needs them.

    Parameters
    ----------
    uses, fresh : ndarray, int64, shape (n,)
        How often each shape was placed, and the non-zero cells that it was the first to cover.
    code_lengths : ndarray, uint8, shape (n,)
        Of their codewords, in bits.
    cell_value : int
        What a covered cell would cost otherwise, in 1/256 bit.
    """
    return np.asarray(fresh * cell_value - 256 * uses * code_lengths.astype(np.int64))
