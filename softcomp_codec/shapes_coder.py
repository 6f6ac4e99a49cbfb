"""The shapes coder: soft compression of one image, both directions (SPEC 5).

planes -> residuals -> layers -> placements and low layer -> bits, and back.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from . import arithmetic, layers, planes, residuals, shapes
from .arithmetic import ArithmeticDecoder, ArithmeticEncoder
from .bitstream import BitReader, BitWriter
from .codebook import KindBook, PlaneBook, kind_of, part_for
from .errors import CorruptStreamError, TruncatedStreamError
from .kernels.residual_kernels import GAP, MED, NO_PREDICTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from .codebook import Codebook
    from .container import Header, Mode
    from .layers import Layer
    from .planes import Plane
    from .shapes import Placements

_R = TypeVar("_R")

THREADED_SAMPLES = 1 << 16
"""Planes of at least so many samples are coded side by side."""

_CROP_SIDE = 256
"""Side of the crop on which the colour transform is chosen where no codebook says it."""


@dataclass(frozen=True)
class PlaneSettings:
    """How one plane is coded (SPEC 5.1)."""

    predictor: int
    low_bits: int
    gap_parameter: int


@dataclass(frozen=True, eq=False)
class CodedPlane:
    """One plane, ready to be written: the cheapest of the settings that were tried."""

    settings: PlaneSettings
    mapped: Layer
    placements: Placements | None
    placement_bits: int
    cost: int


@dataclass
class PlaneStatistics:
    """What one plane's part of a payload holds."""

    predictor: str
    low_bits: int
    sample_bits: int
    gap_code: str
    n_shapes: int = 0
    shape_bits: int = 0


@dataclass
class PayloadStatistics:
    """What a payload of the shapes coder holds; see `describe_payload`."""

    transform: str = ""
    planes: list[PlaneStatistics] = field(default_factory=list)
    low_bytes: int = 0

    @property
    def n_shapes(self) -> int:
        """Shapes placed in all planes."""
        return sum(plane.n_shapes for plane in self.planes)


def encode_payload(
    array: NDArray[Any],
    mode: Mode,
    book: Codebook | None,
    *,
    effort: int = 5,
    use_shapes: bool | None = None,
) -> bytes:
    """Return the payload of an image (SPEC 5); inverse of `decode_payload`.

    Parameters
    ----------
    array : ndarray
        Samples of `mode`.
    mode : Mode
    book : Codebook or None
        None for the built-in prior.
    effort : int
        1 to 9: how many settings are tried.
    use_shapes : bool, optional
        By default planes take shapes where they pay. True takes them wherever the codebook has
        some, False nowhere: for measuring what they save.
    """
    components = planes.split_planes(array, mode)
    transform = _choose_transform(components, mode, book, effort)
    part = part_for(book, mode, transform)
    ranges = planes.plane_ranges(mode, transform)
    transformed = planes.transform_colours(components, transform)
    code = partial(_code_plane, effort=effort, use_shapes=use_shapes)
    coded = _map_planes(code, transformed, ranges, part.planes)
    writer = BitWriter()
    if mode.n_planes == 3:
        writer.write(transform, 2)
    for plane, plane_book in zip(coded, part.planes, strict=True):
        _write_plane(writer, plane, plane_book)
    return writer.to_bytes() + _encode_low_layers(coded, part)


def decode_payload(
    payload: bytes, header: Header, book: Codebook | None, allow_truncated: bool = False
) -> tuple[NDArray[Any], bool]:
    """Return (array, whether it is complete); inverse of `encode_payload` (SPEC 5).

    Raises
    ------
    CorruptStreamError, TruncatedStreamError
        The latter not with `allow_truncated`, which fills what is missing with 0.
    """
    array, complete, _ = _decode(payload, header, book, allow_truncated)
    return array, complete


def describe_payload(payload: bytes, header: Header, book: Codebook | None) -> PayloadStatistics:
    """Return what a payload holds, by decoding it."""
    return _decode(payload, header, book, allow_truncated=False)[2]


def _map_planes(function: Callable[..., _R], *columns: Sequence[Any]) -> list[_R]:
    """Apply a function to each plane; on threads where planes are large enough to pay for them."""
    if len(columns[0]) == 1 or columns[0][0].size < THREADED_SAMPLES:
        return list(map(function, *columns))
    with ThreadPoolExecutor(len(columns[0])) as pool:
        return list(pool.map(function, *columns))


def _choose_transform(
    components: list[Plane], mode: Mode, book: Codebook | None, effort: int
) -> int:
    """Return the codebook's colour transform, else the one that codes the middle best."""
    if mode.n_planes != 3:
        return planes.NO_TRANSFORM
    if book is not None:
        return book.parts[kind_of(mode)].transform
    if effort < 3:
        return planes.RCT
    crop = [_middle(plane) for plane in components]
    costs = []
    for transform in planes.SHAPES_TRANSFORMS:
        part = part_for(None, mode, transform)
        ranges = planes.plane_ranges(mode, transform)
        coded = planes.transform_colours(crop, transform)
        costs.append(
            sum(
                _code_plane(*plane, 1, use_shapes=False).cost
                for plane in zip(coded, ranges, part.planes, strict=True)
            )
        )
    return costs.index(min(costs))


def _middle(plane: Plane) -> Plane:
    top, left = ((length - min(length, _CROP_SIDE)) // 2 for length in plane.shape)
    return np.ascontiguousarray(plane[top : top + _CROP_SIDE, left : left + _CROP_SIDE])


def _code_plane(
    plane: Plane,
    sample_range: tuple[int, int],
    book: PlaneBook,
    effort: int,
    use_shapes: bool | None = None,
) -> CodedPlane:
    """Try the codebook's settings and a few others; return the cheapest, the first of equals."""
    tried: list[CodedPlane] = []
    mapped: dict[int, Layer] = {}
    for predictor, low_bits in _settings_to_try(book, effort, use_shapes):
        if predictor not in mapped:
            mapped[predictor] = residuals.map_residuals(plane, predictor, sample_range)
        coded = _code_layers(mapped[predictor], predictor, low_bits, book)
        if coded is not None:
            tried.append(coded)
    return min(tried, key=lambda coded: coded.cost)


def _settings_to_try(
    book: PlaneBook, effort: int, use_shapes: bool | None
) -> list[tuple[int, int]]:
    """Return (predictor, low bits) pairs; those without a shape layer can code every plane."""
    default = (book.predictor, book.low_bits)
    without_shapes = [(book.predictor or MED, book.sample_bits)]
    if effort >= 3 and book.sample_bits > 1 and not book.n_shapes:
        without_shapes = [(MED, book.sample_bits), (GAP, book.sample_bits)]
    if default in without_shapes or use_shapes is False:
        return without_shapes
    return [default] if use_shapes else [default, *without_shapes]


def _code_layers(
    mapped: Layer, predictor: int, low_bits: int, book: PlaneBook
) -> CodedPlane | None:
    """Split into layers and match shapes; None where a cell cannot be covered."""
    placements, n_bits, parameter = None, 0, 0
    if low_bits < book.sample_bits:
        layer = layers.shape_layer(mapped, low_bits)
        placements = shapes.match_shapes(layer, book.shapes, book.cell_value)
        if placements is None:
            return None
        n_bits, parameter = shapes.placement_bits(placements, book.shapes)
    settings = PlaneSettings(predictor, low_bits, parameter)
    cost = n_bits + _settings_bits(settings, book)
    if low_bits:
        cost += 8 * arithmetic.coded_bytes(mapped, low_bits, book.states(low_bits))
    return CodedPlane(settings, mapped, placements, n_bits, cost)


def _default_settings(book: PlaneBook) -> PlaneSettings:
    return PlaneSettings(book.predictor, book.low_bits, 0)


def _settings_bits(settings: PlaneSettings, book: PlaneBook) -> int:
    if settings == _default_settings(book):
        return 1
    return 17 if settings.low_bits < book.sample_bits else 7


def _write_plane(writer: BitWriter, coded: CodedPlane, book: PlaneBook) -> None:
    """Write a plane's settings and placements (SPEC 5.1, 5.8); inverse of `_read_plane`."""
    settings = coded.settings
    if settings == _default_settings(book):
        writer.write(1, 1)
    else:
        writer.write(0, 1)
        writer.write(settings.predictor, 2)
        writer.write(settings.low_bits, 4)
        if settings.low_bits < book.sample_bits:
            writer.write(settings.gap_parameter, 10)
    if coded.placements is not None:
        shapes.write_placements(
            writer, coded.placements, book.shapes, settings.gap_parameter, coded.placement_bits
        )


def _encode_low_layers(coded: list[CodedPlane], part: KindBook) -> bytes:
    """Return the arithmetic code of all low layers (SPEC 5.9); inverse of `_decode_low_layers`."""
    if not any(plane.settings.low_bits for plane in coded):
        return b""
    encoder = ArithmeticEncoder(
        sum(arithmetic.worst_size(plane.mapped.shape, plane.settings.low_bits) for plane in coded)
    )
    for plane, book in zip(coded, part.planes, strict=True):
        if plane.settings.low_bits:
            states = book.states(plane.settings.low_bits)
            encoder.encode(plane.mapped, plane.settings.low_bits, states)
    return encoder.finish()


def _decode(
    payload: bytes, header: Header, book: Codebook | None, allow_truncated: bool
) -> tuple[NDArray[Any], bool, PayloadStatistics]:
    mode = header.mode
    reader = BitReader(payload)
    statistics = PayloadStatistics()
    n_planes = mode.n_planes
    mapped = [np.zeros((header.height, header.width), np.uint16) for _ in range(n_planes)]
    settings: list[PlaneSettings] = []
    n_samples = [0] * n_planes
    transform, part = planes.NO_TRANSFORM, None
    complete = True
    try:
        transform = reader.read(2, "colour transform") if n_planes == 3 else planes.NO_TRANSFORM
        if transform not in planes.SHAPES_TRANSFORMS:
            raise CorruptStreamError(f"payload, bit 0: colour transform {transform} is unknown")
        part = part_for(book, mode, transform)
        statistics.transform = planes.TRANSFORM_NAMES[transform]
        ranges = planes.plane_ranges(mode, transform)
        for plane_book, layer, (lowest, highest) in zip(part.planes, mapped, ranges, strict=True):
            settings.append(_read_settings(reader, plane_book))
            _read_shapes(reader, settings[-1], plane_book, layer, highest - lowest, statistics)
        _decode_low_layers(reader, settings, part, mapped, n_samples, statistics)
    except TruncatedStreamError:
        if not allow_truncated:
            raise
        complete = False
    components = [np.zeros((header.height, header.width), np.int32) for _ in range(n_planes)]
    if part is not None:
        ranges = planes.plane_ranges(mode, transform)
        n_rows = [n // header.width for n in n_samples]
        predictors = [setting.predictor for setting in settings]
        known = _map_planes(residuals.unmap_residuals, mapped, predictors, ranges, n_rows)
        components[: len(known)] = known
    restored = planes.restore_colours(components, transform)
    return planes.merge_checked(restored, mode, complete), complete, statistics


def _read_settings(reader: BitReader, book: PlaneBook) -> PlaneSettings:
    """Inverse of the first part of `_write_plane` (SPEC 5.1)."""
    if reader.read(1, "settings flag"):
        return _default_settings(book)
    start = reader.position
    predictor = reader.read(2, "predictor")
    low_bits = reader.read(4, "low bits")
    if predictor not in (NO_PREDICTOR, MED, GAP) or low_bits > book.sample_bits:
        raise CorruptStreamError(
            f"payload, bit {start}: predictor {predictor} with {low_bits} low bits, expected 0..2 "
            f"and at most {book.sample_bits}"
        )
    parameter = reader.read(10, "gap parameter") if low_bits < book.sample_bits else 0
    return PlaneSettings(predictor, low_bits, parameter)


def _read_shapes(
    reader: BitReader,
    settings: PlaneSettings,
    book: PlaneBook,
    layer: Layer,
    largest: int,
    statistics: PayloadStatistics,
) -> None:
    parameter = settings.gap_parameter
    entry = PlaneStatistics(
        residuals.PREDICTOR_NAMES[settings.predictor],
        settings.low_bits,
        book.sample_bits,
        f"Golomb, m = {parameter}" if parameter else "trained",
    )
    statistics.planes.append(entry)
    if settings.low_bits < book.sample_bits:
        start = reader.position
        entry.n_shapes = shapes.read_placements(
            reader, book.shapes, parameter, largest >> settings.low_bits, layer
        )
        entry.shape_bits = reader.position - start
        layer[...] = layers.mapped_above(layer, settings.low_bits)


def _decode_low_layers(
    reader: BitReader,
    settings: list[PlaneSettings],
    part: KindBook,
    mapped: list[Layer],
    n_samples: list[int],
    statistics: PayloadStatistics,
) -> None:
    """Inverse of `_encode_low_layers`; `n_samples` says how many of each plane are known."""
    reader.skip_padding()
    offset = reader.position // 8
    statistics.low_bytes = len(reader.data) - offset
    if not any(setting.low_bits for setting in settings):
        n_samples[:] = [layer.size for layer in mapped]
        if statistics.low_bytes:
            raise CorruptStreamError(
                f"payload, byte {offset}: {statistics.low_bytes} bytes follow the last shape"
            )
        return
    decoder = ArithmeticDecoder(reader.data, offset)
    for index, (setting, book) in enumerate(zip(settings, part.planes, strict=True)):
        n_samples[index] = mapped[index].size
        if setting.low_bits:
            n_samples[index] = decoder.decode(
                mapped[index], setting.low_bits, book.states(setting.low_bits)
            )
        if n_samples[index] < mapped[index].size:
            raise TruncatedStreamError(
                f"payload: it ends at sample {n_samples[index]} of {mapped[index].size} "
                f"of plane {index}"
            )
    decoder.check_end()
