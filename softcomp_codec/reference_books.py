"""What the reference settings learn from a set: one part of a codebook (SPEC 5R.1, 5R.9)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from . import huffman
from .container import MODES, ByteReader, write_varint
from .errors import CorruptStreamError, UnsupportedStreamError
from .kernels import shape_kernels
from .kernels.residual_kernels import GAP, MED, NO_PREDICTOR
from .shapes import hash_powers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .container import Mode

NO_TILES, STATIC, ADAPTIVE = range(3)
"""How tiles of the low layer are coded (SPEC 5R.1)."""

MAX_SHAPES = 1 << 22
MAX_WEIGHT = 0xFFFF


@dataclass(frozen=True)
class PlaneScheme:
    """The published choices for one plane (SPEC 5R.1).

    Attributes
    ----------
    lowest, highest : int
        Range of the plane's samples.
    predictor : {NO_PREDICTOR, MED, GAP}
    low_bits : int
    tile_height, tile_width : int
    tile_code : {NO_TILES, STATIC, ADAPTIVE}
    parameter_bits : int
        Width of the field of Golomb's parameter.
    nearest : int
        The distance that Golomb's code has a 0 for: 1, or 0 where that ends the list.
    """

    lowest: int
    highest: int
    predictor: int
    low_bits: int
    tile_height: int
    tile_width: int
    tile_code: int
    parameter_bits: int = 10
    nearest: int = 0

    @property
    def largest(self) -> int:
        """Largest value of a cell of the high layer."""
        if self.predictor == NO_PREDICTOR:
            return self.highest
        return 2 * (self.highest - self.lowest) >> self.low_bits

    @property
    def n_tiles(self) -> int:
        """Number of different tiles."""
        if self.tile_code == NO_TILES:
            return 0
        return 1 << (self.low_bits * self.tile_height * self.tile_width)

    @property
    def n_samples(self) -> int:
        """Number of different samples of the low layer; 0 without one."""
        return 0 if self.tile_code == NO_TILES else 1 << self.low_bits


@dataclass(frozen=True)
class Scheme:
    """A published variant: kind of image, what it is called, and its planes (SPEC 5R.1)."""

    kind: int
    name: str
    planes: tuple[PlaneScheme, ...]

    @property
    def mode(self) -> Mode:
        """The simplest mode of this kind of image."""
        return MODES[self.kind]


_CHROMA_1 = PlaneScheme(-255, 255, MED, 4, 1, 2, ADAPTIVE)
_CHROMA_2 = PlaneScheme(-255, 255, GAP, 5, 1, 2, ADAPTIVE)
SCHEMES = {
    0: Scheme(0, "binary", (PlaneScheme(0, 1, NO_PREDICTOR, 0, 1, 1, NO_TILES, 5),)),
    1: Scheme(1, "gray", (PlaneScheme(0, 255, GAP, 4, 2, 2, STATIC, nearest=1),)),
    2: Scheme(2, "mode i", (PlaneScheme(0, 255, MED, 4, 1, 2, ADAPTIVE), _CHROMA_1, _CHROMA_1)),
    3: Scheme(2, "mode ii", (PlaneScheme(0, 255, GAP, 8, 1, 1, ADAPTIVE), _CHROMA_2, _CHROMA_2)),
}
"""By identifier."""

MODE_I, MODE_II = 2, 3


def kind_of_mode(mode: Mode) -> int | None:
    """Return the kind of image (SPEC 6.2) that a mode is, None where it is of none."""
    return mode.kind


@dataclass(frozen=True, eq=False)
class ReferencePlane:
    """What was learned about one plane (SPEC 5R.9).

    Attributes
    ----------
    heights, widths : ndarray, int32, shape (n,), values 1..255
        In the order of covering.
    offsets : ndarray, int64, shape (n + 1,)
        Where each shape's cells start in `cells`.
    cells : ndarray, uint16
        All shapes' cells, row by row; every single cell of a value that can occur is a shape.
    code_lengths : ndarray, uint8, shape (n,), values 1..24
    sample_lengths : ndarray, uint8, shape (2**low_bits,) or (0,)
        Codeword lengths of samples outside the complete tiles.
    tiles : ndarray, int64, shape (number of different tiles,)
        Codeword lengths of the tiles (STATIC), or their first frequencies (ADAPTIVE).
    """

    heights: NDArray[np.int32]
    widths: NDArray[np.int32]
    offsets: NDArray[np.int64]
    cells: NDArray[np.uint16]
    code_lengths: NDArray[np.uint8]
    sample_lengths: NDArray[np.uint8]
    tiles: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.heights)

    def window(self, shape: int) -> NDArray[np.uint16]:
        """Return one shape's cells, (height, width)."""
        flat = self.cells[self.offsets[shape] : self.offsets[shape + 1]]
        return flat.reshape(self.heights[shape], self.widths[shape])

    @cached_property
    def matcher(self) -> tuple[NDArray[Any], NDArray[np.uint64], NDArray[np.int32]]:
        """Classes of shapes of one size, and the hash table of the shapes, for covering.

        A class: height, width, fewest non-zero cells, first and last shape.
        """
        n_filled = np.add.reduceat(self.cells != 0, self.offsets[:-1], dtype=np.int64)
        sizes = self.heights.astype(np.int64) << 8 | self.widths
        classes = np.empty((len(np.unique(sizes)), 5), np.int64)
        for line, size in zip(classes, np.unique(sizes).tolist(), strict=True):
            shapes = np.nonzero(sizes == size)[0]
            line[:] = size >> 8, size & 255, n_filled[shapes].min(), shapes[0], shapes[-1]
        table_size = 1 << (2 * len(self) + 1).bit_length()
        keys, shape_ids = np.zeros(table_size, np.uint64), np.zeros(table_size, np.int32)
        shape_kernels.index_shapes(
            self.heights, self.widths, self.offsets, self.cells, hash_powers(1, 1), keys, shape_ids
        )
        return classes, keys, shape_ids

    @cached_property
    def codewords(self) -> NDArray[np.uint32]:
        """Canonical codewords of the shapes."""
        return huffman.codewords(self.code_lengths)

    @cached_property
    def shape_table(self) -> huffman.DecodeTable:
        """Decoding table of the shapes' code."""
        return huffman.decode_table(self.code_lengths)

    @cached_property
    def sample_codewords(self) -> NDArray[np.uint32]:
        """Canonical codewords of the samples outside the complete tiles."""
        return huffman.codewords(self.sample_lengths)

    @cached_property
    def sample_table(self) -> huffman.DecodeTable:
        """Decoding table of those samples."""
        return huffman.decode_table(self.sample_lengths)

    @cached_property
    def tile_codewords(self) -> NDArray[np.uint32]:
        """Canonical codewords of the tiles (STATIC)."""
        return huffman.codewords(self.tiles.astype(np.uint8))

    @cached_property
    def tile_table(self) -> huffman.DecodeTable:
        """Decoding table of the tiles' code (STATIC)."""
        return huffman.decode_table(self.tiles.astype(np.uint8))


def reference_plane(
    windows: list[NDArray[np.uint16]],
    code_lengths: NDArray[np.uint8],
    sample_lengths: NDArray[np.uint8],
    tiles: NDArray[np.int64],
) -> ReferencePlane:
    """Return the `ReferencePlane` of a list of windows in the order of covering."""
    heights = np.array([window.shape[0] for window in windows], np.int32)
    widths = np.array([window.shape[1] for window in windows], np.int32)
    offsets = np.zeros(len(windows) + 1, np.int64)
    np.cumsum(heights.astype(np.int64) * widths, out=offsets[1:])
    cells = np.concatenate([np.ascontiguousarray(w, np.uint16).ravel() for w in windows])
    return ReferencePlane(heights, widths, offsets, cells, code_lengths, sample_lengths, tiles)


@dataclass(frozen=True, eq=False)
class ReferencePart:
    """A codebook's part for the reference settings and one kind of image (SPEC 5R.9).

    Attributes
    ----------
    scheme_id : int
        Key of `SCHEMES`.
    planes : tuple of ReferencePlane
    """

    scheme_id: int
    planes: tuple[ReferencePlane, ...]

    @property
    def scheme(self) -> Scheme:
        """The published variant."""
        return SCHEMES[self.scheme_id]

    @property
    def kind(self) -> int:
        """Kind of image: 0 bilevel, 1 gray8, 2 rgb8."""
        return self.scheme.kind

    @property
    def n_shapes(self) -> int:
        """Number of shapes of all planes."""
        return sum(len(plane) for plane in self.planes)

    def to_bytes(self) -> bytes:
        """Return the canonical serialisation (SPEC 5R.9); inverse of `from_bytes`."""
        out = bytearray([self.scheme_id])
        for plane, scheme in zip(self.planes, self.scheme.planes, strict=True):
            out += write_varint(len(plane))
            out += plane.heights.astype(np.uint8).tobytes()
            out += plane.widths.astype(np.uint8).tobytes()
            out += plane.cells.astype(np.uint8).tobytes()
            out += plane.code_lengths.tobytes() + plane.sample_lengths.tobytes()
            out += plane.tiles.astype("<u2" if scheme.tile_code == ADAPTIVE else "<u1").tobytes()
        return bytes(out)

    @classmethod
    def from_bytes(cls, data: bytes) -> ReferencePart:
        """Read a part, which may be anything; inverse of `to_bytes` (SPEC 5R.9).

        Raises
        ------
        CorruptStreamError, TruncatedStreamError, UnsupportedStreamError
        """
        reader = ByteReader(data, "reference part")
        scheme_id = reader.take(1, "scheme")[0]
        if scheme_id not in SCHEMES:
            raise UnsupportedStreamError(f"reference part: scheme {scheme_id} is unknown")
        schemes = SCHEMES[scheme_id].planes
        planes = tuple(_read_plane(reader, scheme) for scheme in schemes)
        if reader.offset != len(data):
            raise CorruptStreamError(
                f"reference part: {len(data) - reader.offset} bytes follow its last plane"
            )
        return cls(scheme_id, planes)


def _read_plane(reader: ByteReader, scheme: PlaneScheme) -> ReferencePlane:
    n_shapes = reader.varint("number of shapes", MAX_SHAPES)
    heights = np.frombuffer(reader.take(n_shapes, "heights"), np.uint8).astype(np.int32)
    widths = np.frombuffer(reader.take(n_shapes, "widths"), np.uint8).astype(np.int32)
    if n_shapes < scheme.largest or min(heights.min(), widths.min()) == 0:
        raise CorruptStreamError("reference part: shapes are missing or have no cells")
    offsets = np.zeros(n_shapes + 1, np.int64)
    np.cumsum(heights.astype(np.int64) * widths, out=offsets[1:])
    cells = np.frombuffer(reader.take(int(offsets[-1]), "cells"), np.uint8).astype(np.uint16)
    if int(cells.max()) > scheme.largest:
        raise CorruptStreamError(
            f"reference part: a shape holds {cells.max()}, expected at most {scheme.largest}"
        )
    if not np.logical_or.reduceat(cells != 0, offsets[:-1]).all():
        raise CorruptStreamError("reference part: a shape is empty")
    singles = cells[offsets[:-1][heights * widths == 1]]
    if len(np.unique(singles)) != scheme.largest:
        raise CorruptStreamError("reference part: a single cell is missing")
    code_lengths = _read_lengths(reader, n_shapes, "shapes")
    empty = np.zeros(0, np.uint8)
    if scheme.tile_code == NO_TILES:
        tiles = empty.astype(np.int64)
        return ReferencePlane(heights, widths, offsets, cells, code_lengths, empty, tiles)
    sample_lengths = _read_lengths(reader, scheme.n_samples, "samples")
    if scheme.tile_code == STATIC:
        tiles = _read_lengths(reader, scheme.n_tiles, "tiles").astype(np.int64)
    else:
        stored = reader.take(2 * scheme.n_tiles, "frequencies of the tiles")
        tiles = np.frombuffer(stored, "<u2").astype(np.int64)
        if tiles.min() == 0:
            raise CorruptStreamError("reference part: a tile has the frequency 0")
    return ReferencePlane(heights, widths, offsets, cells, code_lengths, sample_lengths, tiles)


def _read_lengths(reader: ByteReader, n_symbols: int, what: str) -> NDArray[np.uint8]:
    lengths = np.frombuffer(reader.take(n_symbols, f"code lengths of the {what}"), np.uint8).copy()
    if not huffman.is_prefix_code(lengths):
        raise CorruptStreamError(
            f"reference part: code lengths of the {what} that no prefix code has"
        )
    return lengths
