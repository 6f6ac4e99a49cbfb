"""The reference coder: soft compression as published, both directions (SPEC 5R).

planes -> residuals -> layers -> tiles, then shapes -> bits, and back. It serves comparisons; the
shapes coder is smaller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import planes
from .bitstream import BitReader, BitWriter
from .errors import CodebookError, CorruptStreamError, TruncatedStreamError
from .kernels import covering_kernels, reference_kernels, status, tile_kernels
from .kernels.bit_kernels import MAX_CODE_LENGTH
from .kernels.residual_kernels import NO_PREDICTOR
from .reference_books import ADAPTIVE, NO_TILES, kind_of_mode
from .shapes import hash_powers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .container import Header, Mode
    from .planes import Plane
    from .reference_books import PlaneScheme, ReferencePart, ReferencePlane

    Layer = NDArray[np.uint16]

_MAX_TILE_BITS = 31
"""No tile costs more: frequencies sum up to less than 2**30, and codewords have 24 bits at most."""

_MAX_NUMBER_BITS = 32

_HEADER_FIELDS = {0: 8, 1: 17, 2: 27}
"""Fixed bits of the authors' stream header, by kind: digits of height and width, L, tiles, mode."""


def encode_payload(array: NDArray[Any], mode: Mode, part: ReferencePart) -> bytes:
    """Return the payload of an image (SPEC 5R.2); inverse of `decode_payload`.

    Parameters
    ----------
    array : ndarray
        Samples of `mode`.
    mode : Mode
    part : ReferencePart
        For images of this kind.

    Raises
    ------
    CodebookError
        The part is for another kind of image.
    """
    return _encode(array, mode, part)[0].to_bytes()


def count_bits(array: NDArray[Any], mode: Mode, part: ReferencePart) -> int:
    """Return the bits of an image as the authors count them, so that ratios compare.

    The payload's bits without the padding of the last byte, and the header that their streams
    begin with: 47 bits of a colour image of 584 x 565, 27 or 18 of a gray or bilevel one of
    28 x 28. Not counted are container and codebook, and in gray and bilevel images what says where
    the list of shapes ends: in their files the end of the file does.
    """
    height, width = array.shape[:2]
    n_header_bits = _HEADER_FIELDS[part.kind] + height.bit_length() + width.bit_length()
    writer, n_end_bits = _encode(array, mode, part)
    if part.kind != 2:
        n_header_bits -= n_end_bits
    return int(writer.position + n_header_bits)


def decode_payload(
    payload: bytes, header: Header, part: ReferencePart, allow_truncated: bool = False
) -> tuple[NDArray[Any], bool]:
    """Return (array, whether it is complete); inverse of `encode_payload` (SPEC 5R.2).

    Raises
    ------
    CodebookError
        The part is for another kind of image.
    CorruptStreamError, TruncatedStreamError
        The latter not with `allow_truncated`, which fills what is missing with 0.
    """
    _check_kind(header.mode, part)
    reader = BitReader(payload)
    shape = header.height, header.width
    components = [np.zeros(shape, np.int32) for _ in part.planes]
    complete = True
    try:
        for plane, book, scheme in zip(components, part.planes, part.scheme.planes, strict=True):
            _read_plane(reader, book, scheme, plane)
        _check_end(reader)
    except TruncatedStreamError:
        if not allow_truncated:
            raise
        complete = False
    return _merge(components, header.mode, complete), complete


def _check_kind(mode: Mode, part: ReferencePart) -> None:
    if kind_of_mode(mode) != part.kind:
        raise CodebookError(
            f"reference part for {part.scheme.mode.name} images, the image is {mode.name}"
        )


def _encode(array: NDArray[Any], mode: Mode, part: ReferencePart) -> tuple[BitWriter, int]:
    """Return the payload's bits and how many of them say where the shapes end."""
    _check_kind(mode, part)
    components = planes.split_planes(array, mode)
    if len(components) == 3:
        components = planes.transform_colours(components, planes.RCT)
    writer = BitWriter()
    n_end_bits = 0
    for plane, book, scheme in zip(components, part.planes, part.scheme.planes, strict=True):
        low, high = split_plane(plane, scheme)
        if scheme.tile_code != NO_TILES:
            _write_low_layer(writer, low, book, scheme)
        n_end_bits += _write_shapes(writer, high, book, scheme)
    return writer, n_end_bits


def split_plane(plane: Plane, scheme: PlaneScheme) -> tuple[Layer, Layer]:
    """Return (low layer, high layer) of a plane (SPEC 5R.5).

    Parameters
    ----------
    plane : ndarray, int32, shape (H, W), values in the scheme's range
    scheme : PlaneScheme
    """
    mapped = np.empty(plane.shape, np.uint16)
    if scheme.predictor == NO_PREDICTOR:
        mapped[:] = plane
    else:
        reference_kernels.map_published(
            plane, scheme.predictor, scheme.lowest, scheme.highest, mapped
        )
    return mapped & np.uint16((1 << scheme.low_bits) - 1), mapped >> np.uint16(scheme.low_bits)


def _join_plane(low: Layer, high: Layer, scheme: PlaneScheme, plane: Plane, n_rows: int) -> None:
    """Fill the first `n_rows` rows of a plane of zeros; inverse of `split_plane` (SPEC 5R.5)."""
    mapped = high << np.uint16(scheme.low_bits) | low
    if scheme.predictor == NO_PREDICTOR:
        plane[:n_rows] = mapped[:n_rows]
        return
    code, position = reference_kernels.unmap_published(
        mapped, scheme.predictor, scheme.lowest, scheme.highest, plane, n_rows
    )
    if code != status.OK:
        row, column = divmod(int(position), plane.shape[1])
        raise CorruptStreamError(
            f"row {row}, column {column}: {status.MESSAGES[code]} {scheme.lowest}..{scheme.highest}"
        )


def _write_low_layer(
    writer: BitWriter, low: Layer, book: ReferencePlane, scheme: PlaneScheme
) -> None:
    """Write the complete tiles, then the other samples (SPEC 5R.6); see `_read_low_layer`."""
    height, width = scheme.tile_height, scheme.tile_width
    n_tiles = (low.shape[0] // height) * (low.shape[1] // width)
    n_others = low.size - n_tiles * height * width
    buffer = writer.reserve(n_tiles * _MAX_TILE_BITS + n_others * MAX_CODE_LENGTH + 64)
    position = writer.position
    if n_tiles and scheme.tile_code == ADAPTIVE:
        position = tile_kernels.encode_tiles(
            low, scheme.low_bits, height, width, book.tiles, buffer, position
        )
    elif n_tiles:
        position = tile_kernels.write_static_tiles(
            low, scheme.low_bits, height, width, book.tile_codewords, book.tiles, buffer, position
        )
    position = tile_kernels.write_rest(
        low, height, width, book.sample_codewords, book.sample_lengths, buffer, position
    )
    writer.position = int(position)


def _read_low_layer(
    reader: BitReader, low: Layer, book: ReferencePlane, scheme: PlaneScheme
) -> None:
    """Fill a low layer; inverse of `_write_low_layer` (SPEC 5R.6, 5R.7)."""
    height, width = scheme.tile_height, scheme.tile_width
    code, position = status.OK, reader.position
    if low.shape[0] >= height and low.shape[1] >= width:
        if scheme.tile_code == ADAPTIVE:
            code, position = tile_kernels.decode_tiles(
                reader.data, position, scheme.low_bits, height, width, book.tiles, low
            )
        else:
            code, position = tile_kernels.read_static_tiles(
                reader.data, position, scheme.low_bits, height, width, book.tile_table, low
            )
    if code == status.OK:
        code, position = tile_kernels.read_rest(
            reader.data, position, height, width, book.sample_table, low
        )
    if code != status.OK:
        kind = TruncatedStreamError if code == status.TRUNCATED else CorruptStreamError
        raise kind(f"payload, bit {position}, low layer: {status.MESSAGES[code]}")
    reader.position = int(position)


def cover(high: Layer, book: ReferencePlane) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return (shapes, raster positions) that cover a high layer, in raster order (SPEC 5R.8)."""
    n_cells = int(np.count_nonzero(high))
    placed, locations = np.empty(n_cells, np.int32), np.empty(n_cells, np.int64)
    if n_cells:
        n_placed = covering_kernels.cover_layer(
            high, *book.matcher, book.heights, book.widths, book.offsets, book.cells,
            hash_powers(*high.shape), placed, locations,
        )  # fmt: skip
        assert n_placed > 0, "every single cell is a shape"
        order = np.argsort(locations[:n_placed])
        placed, locations = placed[order], locations[order]
    return placed, locations


def _write_shapes(writer: BitWriter, high: Layer, book: ReferencePlane, scheme: PlaneScheme) -> int:
    """Write a high layer as shapes and locations (SPEC 5R.8); inverse of `_read_shapes`.

    Returns how many bits say where the shapes end.
    """
    placed, locations = cover(high, book)
    if not len(placed):
        writer.write(0, scheme.parameter_bits)
        return 0
    distances = np.diff(locations, prepend=0) - scheme.nearest
    distances[0] = 0
    parameter, n_bits = _best_parameter(distances[1:], scheme.parameter_bits)
    n_bits += int(book.code_lengths[placed].sum(dtype=np.int64))
    writer.write(parameter, scheme.parameter_bits)
    n_end_bits = 2 * len(placed).bit_length() - 1 if scheme.nearest else _zero_length(parameter)
    if scheme.nearest:
        writer.write(len(placed), n_end_bits)
    row, column = divmod(int(locations[0]), high.shape[1])
    writer.write(row, high.shape[0].bit_length())
    writer.write(column, high.shape[1].bit_length())
    buffer = writer.reserve(n_bits)
    start = writer.position
    writer.position = int(
        reference_kernels.write_shapes(
            buffer, start, placed, distances, book.codewords, book.code_lengths, parameter
        )
    )
    assert writer.position == start + n_bits
    if not scheme.nearest:
        writer.write(0, n_end_bits)
    return n_end_bits


def _best_parameter(distances: NDArray[np.int64], parameter_bits: int) -> tuple[int, int]:
    """Return (the smallest parameter of the cheapest Golomb code, its bits)."""
    different, counts = np.unique(distances, return_counts=True)
    bits = np.zeros((1 << parameter_bits) - 1, np.int64)
    reference_kernels.measure_distances(different, counts, bits)
    best = int(np.argmin(bits))
    return best + 1, int(bits[best])


def _zero_length(parameter: int) -> int:
    """Return the length of Golomb's codeword of 0, whose bits are all 0 (SPEC 4.3)."""
    width = (parameter - 1).bit_length()
    return width + 1 if parameter == 1 << width else width


def _read_shapes(
    reader: BitReader, high: Layer, book: ReferencePlane, scheme: PlaneScheme
) -> tuple[int, TruncatedStreamError | None]:
    """Paint a layer of zeros; inverse of `_write_shapes` (SPEC 5R.8).

    Returns the number of rows that are known, and the error where these are not all.
    """
    parameter = reader.read(scheme.parameter_bits, "Golomb parameter")
    if parameter == 0:
        return high.shape[0], None
    n_wanted = _read_number(reader) if scheme.nearest else 0
    row = reader.read(high.shape[0].bit_length(), "first row")
    column = reader.read(high.shape[1].bit_length(), "first column")
    code, position, n_placed = status.BAD_LOCATION, reader.position, 0
    if row < high.shape[0] and column < high.shape[1]:
        code, position, n_placed, last = reference_kernels.read_shapes(
            reader.data, position, parameter, scheme.nearest, n_wanted,
            row * high.shape[1] + column, book.shape_table, book.heights, book.widths,
            book.offsets, book.cells, high,
        )  # fmt: skip
    message = f"payload, bit {position}, placement {n_placed}: {status.MESSAGES.get(code)}"
    if code == status.TRUNCATED:
        return int(last) // high.shape[1], TruncatedStreamError(message)
    if code != status.OK:
        raise CorruptStreamError(message)
    reader.position = int(position)
    return high.shape[0], None


def _read_number(reader: BitReader) -> int:
    """Read the number of shapes: one 0 for each of its digits but the first, then the number."""
    n_more = 0
    while not reader.read(1, "number of shapes"):
        n_more += 1
        if n_more > _MAX_NUMBER_BITS:
            raise CorruptStreamError(
                f"payload, bit {reader.position}: the number of shapes is too large"
            )
    return 1 << n_more | reader.read(n_more, "number of shapes")


def _read_plane(reader: BitReader, book: ReferencePlane, scheme: PlaneScheme, plane: Plane) -> None:
    """Fill a plane of zeros, as far as it is known where the payload is truncated (SPEC 5R.2)."""
    low, high = np.zeros(plane.shape, np.uint16), np.zeros(plane.shape, np.uint16)
    if scheme.tile_code != NO_TILES:
        _read_low_layer(reader, low, book, scheme)
    n_rows, error = _read_shapes(reader, high, book, scheme)
    _join_plane(low, high, scheme, plane, n_rows)
    if error is not None:
        raise error


def _check_end(reader: BitReader) -> None:
    """Raise unless the payload ends with the byte of its last bit (SPEC 5R.2)."""
    reader.skip_padding()
    n_left = len(reader.data) - reader.position // 8
    if n_left:
        raise CorruptStreamError(
            f"payload, byte {reader.position // 8}: {n_left} bytes follow the last shape"
        )


def _merge(components: list[Plane], mode: Mode, complete: bool) -> NDArray[Any]:
    """Merge planes; after the colour transform damaged data can leave the samples' range."""
    if len(components) == 3:
        components = planes.restore_colours(components, planes.RCT)
        for index, plane in enumerate(components):
            if plane.min() < 0 or plane.max() > 255:
                if complete:
                    found = plane.min() if plane.min() < 0 else plane.max()
                    raise CorruptStreamError(
                        f"component {index}: a sample is {found}, expected 0..255"
                    )
                np.clip(plane, 0, 255, out=plane)
    return planes.merge_planes(components, mode)
