"""Shapes, and a shape layer as placements: match and paint, write and read (SPEC 5.7, 5.8)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from . import golomb, huffman
from .errors import CorruptStreamError, TruncatedStreamError
from .kernels import shape_kernels, status
from .kernels.bit_kernels import GAP_DIRECT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .bitstream import BitReader, BitWriter
    from .layers import Layer

N_GAP_SYMBOLS = GAP_DIRECT + 25
"""Gaps 0..127 and the powers of two 2**7..2**31 (SPEC 5.8)."""

MAX_SHAPE_SIDE = 255

_MODULUS = 1 << 64


@lru_cache(maxsize=4)
def _powers(length: int) -> NDArray[np.uint64]:
    """Powers of the two bases and their inverses, for windows whose origin is below `length`."""
    rows, columns = shape_kernels.ROW_BASE, shape_kernels.COLUMN_BASE
    bases = (rows, pow(rows, -1, _MODULUS), columns, pow(columns, -1, _MODULUS))
    table = np.ones((4, length), np.uint64)
    for line, base in enumerate(bases):
        known = 1
        while known < length:  # each step doubles how many powers are known
            n_more = min(known, length - known)
            factor = np.uint64(pow(base, known, _MODULUS))
            np.multiply(table[line, :n_more], factor, out=table[line, known : known + n_more])
            known += n_more
    return table


def hash_powers(height: int, width: int) -> NDArray[np.uint64]:
    """Return the powers that hashing the windows of a plane needs."""
    return _powers(1 << max(height, width, MAX_SHAPE_SIDE).bit_length())


@dataclass(frozen=True, eq=False)
class ShapeSet:
    """The shapes of one plane of a codebook with their codes.

    Attributes
    ----------
    heights, widths : ndarray, int32, shape (n,), values 1..255
    offsets : ndarray, int64, shape (n + 1,)
        Where each shape's cells start in `cells`.
    cells : ndarray, uint16
        All shapes' cells, row by row; each first row holds a non-zero cell.
    code_lengths : ndarray, uint8, shape (n + 1,), values 1..24
        Of each shape's codeword, and of the end mark.
    gap_lengths : ndarray, uint8, shape (153,), values 1..24
        Of the gap symbols' codewords.
    """

    heights: NDArray[np.int32]
    widths: NDArray[np.int32]
    offsets: NDArray[np.int64]
    cells: NDArray[np.uint16]
    code_lengths: NDArray[np.uint8]
    gap_lengths: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.heights)

    def window(self, shape: int) -> NDArray[np.uint16]:
        """Return one shape's cells, (height, width)."""
        flat = self.cells[self.offsets[shape] : self.offsets[shape + 1]]
        return flat.reshape(self.heights[shape], self.widths[shape])

    @cached_property
    def anchors(self) -> NDArray[np.int32]:
        """Column of the first non-zero cell of each shape's first row."""
        columns = np.zeros(len(self), np.int32)
        open_shapes = np.arange(len(self))
        column = 0
        while len(open_shapes):
            empty = self.cells[self.offsets[open_shapes] + column] == 0
            columns[open_shapes[~empty]] = column
            column += 1
            open_shapes = open_shapes[empty]
        return columns

    @cached_property
    def _matcher(self) -> tuple[NDArray[Any], ...]:
        sizes = np.stack([self.heights, self.widths, self.anchors], axis=1)
        classes = np.unique(sizes, axis=0)
        order = np.argsort(-(classes[:, 0].astype(np.int64) * classes[:, 1]), kind="stable")
        table_size = 1 << (2 * len(self) + 1).bit_length()
        keys = np.zeros(table_size, np.uint64)
        shape_ids = np.zeros(table_size, np.int32)
        shape_kernels.index_shapes(
            self.heights, self.widths, self.offsets, self.cells, hash_powers(1, 1), keys, shape_ids
        )
        return np.ascontiguousarray(classes[order]), keys, shape_ids

    @cached_property
    def codewords(self) -> NDArray[np.uint32]:
        """Canonical codewords of the shapes and the end mark."""
        return huffman.codewords(self.code_lengths)

    @cached_property
    def gap_codewords(self) -> NDArray[np.uint32]:
        """Canonical codewords of the gap symbols."""
        return huffman.codewords(self.gap_lengths)

    @cached_property
    def shape_table(self) -> huffman.DecodeTable:
        """Decoding table of the shapes' code."""
        return huffman.decode_table(self.code_lengths)

    @cached_property
    def gap_table(self) -> huffman.DecodeTable:
        """Decoding table of the gap symbols' code."""
        return huffman.decode_table(self.gap_lengths)


def shape_set(
    windows: Sequence[NDArray[np.uint16]],
    code_lengths: NDArray[np.uint8],
    gap_lengths: NDArray[np.uint8],
) -> ShapeSet:
    """Return the `ShapeSet` of a list of windows."""
    heights = np.array([window.shape[0] for window in windows], np.int32)
    widths = np.array([window.shape[1] for window in windows], np.int32)
    offsets = np.zeros(len(windows) + 1, np.int64)
    np.cumsum(heights.astype(np.int64) * widths, out=offsets[1:])
    cells = [np.ascontiguousarray(window, np.uint16).ravel() for window in windows]
    flat = np.concatenate([*cells, np.zeros(0, np.uint16)])
    return ShapeSet(heights, widths, offsets, flat, code_lengths, gap_lengths)


@dataclass(frozen=True)
class Placements:
    """A shape layer as what is placed.

    Attributes
    ----------
    placed : ndarray, int32
        Index of each shape, in raster order of the anchors.
    gaps : ndarray, int64
        Cells not covered yet that lie between the last anchor and this one.
    fresh : ndarray, int32
        Non-zero cells that each placement is the first to cover.
    """

    placed: NDArray[np.int32]
    gaps: NDArray[np.int64]
    fresh: NDArray[np.int32]


def match_shapes(layer: Layer, shapes: ShapeSet, cell_value: int) -> Placements | None:
    """Cover every non-zero cell of a layer by shapes (SPEC 5.7); inverse of painting.

    Parameters
    ----------
    layer : ndarray, uint16, shape (H, W)
    shapes : ShapeSet
    cell_value : int
        What covering a non-zero cell is worth, in 1/256 bit.

    Returns
    -------
    Placements, or None where a cell cannot be covered.
    """
    n_cells = int(np.count_nonzero(layer))
    placed = np.empty(n_cells, np.int32)
    gaps = np.empty(n_cells, np.int64)
    fresh = np.empty(n_cells, np.int32)
    if n_cells:
        if not len(shapes):
            return None
        classes, keys, shape_ids = shapes._matcher
        n_placed = shape_kernels.match_shapes(
            layer, classes, keys, shape_ids, shapes.anchors, shapes.offsets, shapes.cells,
            shapes.code_lengths, hash_powers(*layer.shape), cell_value, placed, gaps, fresh,
        )  # fmt: skip
        if n_placed < 0:
            return None
        placed, gaps, fresh = placed[:n_placed], gaps[:n_placed], fresh[:n_placed]
    return Placements(placed, gaps, fresh)


def placement_bits(placements: Placements, shapes: ShapeSet) -> tuple[int, int]:
    """Return (bits of placements and end mark, parameter of the cheaper gap code).

    The parameter is Golomb's, 0 where the trained code is at most 10 bits worse, which is what
    naming a parameter costs.
    """
    lengths = shapes.code_lengths.astype(np.int64)
    shape_bits = int(lengths[placements.placed].sum() + lengths[-1])
    parameter, golomb_bits, trained_bits = golomb.best_parameter(
        placements.gaps, shapes.gap_lengths
    )
    if golomb_bits + 10 < trained_bits:
        return shape_bits + golomb_bits, parameter
    return shape_bits + trained_bits, 0


def write_placements(
    writer: BitWriter, placements: Placements, shapes: ShapeSet, parameter: int, n_bits: int
) -> None:
    """Write placements and the end mark (SPEC 5.8); inverse of `read_placements`.

    `parameter` and `n_bits` are those of `placement_bits`.
    """
    buffer = writer.reserve(n_bits)
    end = shape_kernels.write_placements(
        buffer, writer.position, placements.placed, placements.gaps, shapes.codewords,
        shapes.code_lengths, shapes.gap_codewords, shapes.gap_lengths, parameter,
    )  # fmt: skip
    writer.position = int(end)


def read_placements(
    reader: BitReader, shapes: ShapeSet, parameter: int, largest: int, layer: Layer
) -> int:
    """Paint `layer` (zeros) from its placements (SPEC 5.8); inverse of `write_placements`.

    Returns
    -------
    int
        The number of shapes placed.

    Raises
    ------
    CorruptStreamError, TruncatedStreamError
        What was painted so far stays in `layer`.
    """
    code, position, n_placed = shape_kernels.read_placements(
        reader.data, reader.position, parameter, shapes.shape_table, shapes.gap_table,
        shapes.heights, shapes.widths, shapes.anchors, shapes.offsets, shapes.cells, largest, layer,
    )  # fmt: skip
    if code != status.OK:
        kind = TruncatedStreamError if code == status.TRUNCATED else CorruptStreamError
        raise kind(f"payload, bit {position}, placement {n_placed}: {status.MESSAGES[code]}")
    reader.position = int(position)
    return int(n_placed)
