"""Where shapes were placed in a file, and where its bits went: read-only, for pictures and reports.

The picture is decoded, its layers are made again and its shapes placed again: the encoder is
deterministic. What comes out is compared with what the payload says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import container, context_coder, layers, planes, residuals, shapes, shapes_coder
from .codebook import part_for
from .decoder import decode_file
from .errors import ScfError, UnsupportedStreamError
from .kernels import cost_kernels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .codebook import Codebook, PlaneBook
    from .container import Header, Mode
    from .context_coder import PlaneRange
    from .layers import Layer
    from .planes import Plane
    from .shapes import Placements, ShapeSet
    from .shapes_coder import PayloadStatistics, PlaneStatistics

PLANE_NAMES = {
    planes.NO_TRANSFORM: ("R", "G", "B"),
    planes.RCT: ("Y", "R - G", "B - G"),
    planes.GREEN_DIFFERENCE: ("G", "R - G", "B - G"),
    planes.RED_DIFFERENCE: ("R", "G - R", "B - (R + G) / 2"),
    planes.LATTICE: ("Y", "Cb", "Cr", "corrections"),
}

EXPLAINED = (container.STORED, container.SHAPES, container.CONTEXT)
"""Coders whose files `trace_file` explains."""


@dataclass(frozen=True, eq=False)
class TracedPlane:
    """What the coder did with one plane.

    Attributes
    ----------
    name : str
    predictor : str
    low_bits, sample_bits : int
    layer : ndarray, uint16, shape (H, W)
        The shape layer; all 0 where the plane has none.
    boxes : ndarray, int32, shape (n, 4)
        Top, left, height and width of each placement.
    placed : ndarray, int32, shape (n,)
        Index of the shape of each placement in the codebook.
    codeword_bits, location_bits, low_layer_bits : float
        Bits of the codewords and the end mark, of the gaps, and of the low layer.
    sample_costs : ndarray, float64, shape (H, W)
        The same bits, those of a shape spread over its cells.
    """

    name: str
    predictor: str
    low_bits: int
    sample_bits: int
    layer: Layer
    boxes: NDArray[np.int32]
    placed: NDArray[np.int32]
    codeword_bits: float
    location_bits: float
    low_layer_bits: float
    sample_costs: NDArray[np.float64]

    @property
    def n_bits(self) -> float:
        """All bits of the plane but its settings."""
        return self.codeword_bits + self.location_bits + self.low_layer_bits

    @property
    def parts(self) -> list[tuple[str, float]]:
        """(Part, bits)."""
        return [
            ("low layer", self.low_layer_bits),
            ("shapes", self.codeword_bits),
            ("locations", self.location_bits),
        ]


@dataclass(frozen=True, eq=False)
class TracedContextPlane:
    """What the context coder did with one plane.

    Attributes
    ----------
    name : str
    limits : PlaneRange
        What the payload says of the plane.
    zero_bits, sign_bits, size_bits : float
        Bits that say whether residuals are 0, their signs, and their sizes.
    sample_costs : ndarray, float64, shape (H, W)
        The same bits, by sample.
    """

    name: str
    limits: PlaneRange
    zero_bits: float
    sign_bits: float
    size_bits: float
    sample_costs: NDArray[np.float64]

    @property
    def n_bits(self) -> float:
        """All bits of the plane but what is said of it before."""
        return self.zero_bits + self.sign_bits + self.size_bits

    @property
    def parts(self) -> list[tuple[str, float]]:
        """(Part, bits)."""
        return [
            ("zero or not", self.zero_bits),
            ("signs", self.sign_bits),
            ("sizes", self.size_bits),
        ]


@dataclass(frozen=True, eq=False)
class Trace:
    """Where the bits of a file went, `planes` of the first frame; empty where it is stored.

    Attributes
    ----------
    array : ndarray
        The picture, or its coded samples where it has a sample map.
    coder, transform, codebook : str
        Names; the codebook's is empty for the built-in prior.
    file_bytes, header_bytes, payload_bytes : int
        Of the file, of all before the first payload, of the first frame's payload.
    settings_bits : int
        Colour transform, planes' settings and padding.
    raw_bytes : int
        Size of the picture's samples.
    """

    array: NDArray[Any]
    coder: str
    transform: str
    codebook: str
    file_bytes: int
    header_bytes: int
    payload_bytes: int
    settings_bits: int
    planes: tuple[TracedPlane | TracedContextPlane, ...]
    raw_bytes: int = 0

    @property
    def parts(self) -> list[tuple[str, list[tuple[str, float]]]]:
        """(Plane, [(part, bits)]) for each plane, and last what surrounds them; parts of 0 not."""
        rows = [(plane.name, plane.parts) for plane in self.planes]
        if not self.planes:
            rows.append(("samples", [("stored samples", 8.0 * self.payload_bytes)]))
        around = 8.0 * (self.file_bytes - self.payload_bytes) + self.settings_bits
        rows.append(("the rest", [("header and settings", around)]))
        return [(name, [part for part in parts if part[1] > 0]) for name, parts in rows]


def trace_file(
    data: bytes, *, source: str | None = None, codebooks: Sequence[Codebook] = ()
) -> Trace:
    """Return where the bits of an ``.scf`` file went.

    Files of the stored, the shapes and the context coder are explained; of pictures with a sample
    map the coded samples.

    Parameters
    ----------
    data : bytes
    source : str, optional
        The file's path: codebooks are also looked for beside it.
    codebooks : sequence of Codebook
        Tried before those of the usual places.

    Raises
    ------
    UnsupportedStreamError
        Another coder wrote it.
    ScfError
        It cannot be decoded, or an encoder wrote it that places shapes in another way.
    """
    header, payload = container.read_file(data)
    payload = container.frame_payload(header, payload, 0)
    offset, raw_bytes = header.payload_offset, header.raw_size
    header = container.frame_header(header, 0).as_coded
    coder = container.CODER_NAMES[header.coder]
    if header.coder not in EXPLAINED:
        explained = ", ".join(container.CODER_NAMES[each] for each in EXPLAINED)
        raise UnsupportedStreamError(
            f"files of the {coder} coder cannot be explained, only those of: {explained}"
        )
    decoded = decode_file(data, source=source, codebooks=codebooks)
    array, book = decoded.coded_array, decoded.codebook
    if header.coder == container.STORED:
        return Trace(array, coder, "none", "", len(data), offset, len(payload), 0, (), raw_bytes)
    if header.coder == container.CONTEXT:
        traced = _trace_context(payload, header, array, book, len(data), offset)
        return replace(traced, raw_bytes=raw_bytes)
    statistics = shapes_coder.describe_payload(payload, header, book)
    shape_bits = sum(plane.shape_bits for plane in statistics.planes)
    return Trace(
        array, coder, statistics.transform, book.name if book else "", len(data), offset,
        len(payload), 8 * (len(payload) - statistics.low_bytes) - shape_bits,
        _trace_planes(array, header, book, statistics), raw_bytes,
    )  # fmt: skip


def _trace_context(
    payload: bytes,
    header: Header,
    array: NDArray[Any],
    book: Codebook | None,
    file_bytes: int,
    header_bytes: int,
) -> Trace:
    """Decode once more, by the kernel that notes what each sample costs."""
    said = context_coder.describe_payload(payload, header)
    priors = book.context_priors(header.mode) if book else {}
    costs = np.zeros(said.costs_shape(header.height, header.width))
    context_coder.decode_payload(payload, header, priors=priors, costs=costs)
    head_bytes = context_coder.count_head_bytes(payload, header)
    total = float(costs.sum())
    costs *= 8 * (len(payload) - head_bytes) / total if total else 1.0
    names = plane_names(header.mode, _key_of(planes.TRANSFORM_NAMES, said.transform))
    traced = tuple(
        _traced_context_plane(*each) for each in zip(names, said.ranges, costs, strict=True)
    )
    return Trace(
        array, container.CODER_NAMES[header.coder], said.transform, book.name if book else "",
        file_bytes, header_bytes, len(payload), 8 * head_bytes, traced,
    )  # fmt: skip


def _traced_context_plane(
    name: str, limits: PlaneRange, costs: NDArray[np.float64]
) -> TracedContextPlane:
    zero_bits, sign_bits, size_bits = costs.sum(axis=(0, 1)).tolist()
    return TracedContextPlane(name, limits, zero_bits, sign_bits, size_bits, costs.sum(axis=2))


def plane_names(mode: Mode, transform: int) -> tuple[str, ...]:
    """Return a name of each plane under a colour transform."""
    if mode.plain:
        return tuple(f"plane {index}" for index in range(mode.n_planes))
    colours = PLANE_NAMES[transform] if mode.n_planes >= 3 else (mode.name.split(",")[0],)
    return (*colours, "alpha") if mode.n_planes in (2, 4) else colours


def _trace_planes(
    array: NDArray[Any], header: Header, book: Codebook | None, statistics: PayloadStatistics
) -> tuple[TracedPlane, ...]:
    mode = header.mode
    transform = _key_of(planes.TRANSFORM_NAMES, statistics.transform)
    part = part_for(book, mode, transform)
    ranges = planes.plane_ranges(mode, transform)
    components = planes.transform_colours(planes.split_planes(array, mode), transform)
    names = plane_names(mode, transform)
    columns = zip(names, components, ranges, part.planes, statistics.planes, strict=True)
    traced = [_trace_plane(*column) for column in columns]
    low_total = sum(plane.low_layer_bits for plane in traced)
    factor = 8 * statistics.low_bytes / low_total if low_total else 1.0
    return tuple(_scaled(plane, factor) for plane in traced)


def _trace_plane(
    name: str,
    plane: Plane,
    sample_range: tuple[int, int],
    book: PlaneBook,
    statistics: PlaneStatistics,
) -> TracedPlane:
    predictor = _key_of(residuals.PREDICTOR_NAMES, statistics.predictor)
    low_bits = statistics.low_bits
    mapped = residuals.map_residuals(plane, predictor, sample_range)
    costs = np.zeros(plane.shape, np.float64)
    if low_bits:
        cost_kernels.measure_low_layer(mapped, low_bits, book.states(low_bits).copy(), costs)
    low_layer_bits = float(costs.sum())
    layer = layers.shape_layer(mapped, low_bits)
    placed = np.zeros(0, np.int32)
    boxes = np.zeros((0, 4), np.int32)
    codeword_bits = location_bits = 0
    if low_bits < book.sample_bits:
        placements, gap_bits = _place_again(layer, book, statistics)
        placed = placements.placed
        boxes = _locate(placements, book.shapes, plane.shape)
        lengths = book.shapes.code_lengths
        codeword_bits = int(lengths[placed].sum()) + int(lengths[-1])
        location_bits = int(gap_bits.sum())
        for (top, left, height, width), n_bits in zip(
            boxes.tolist(), (lengths[placed] + gap_bits).tolist(), strict=True
        ):
            costs[top : top + height, left : left + width] += n_bits / (height * width)
    return TracedPlane(
        name, statistics.predictor, low_bits, book.sample_bits, layer, boxes, placed,
        codeword_bits, location_bits, low_layer_bits, costs,
    )  # fmt: skip


def _place_again(
    layer: Layer, book: PlaneBook, statistics: PlaneStatistics
) -> tuple[Placements, NDArray[np.int64]]:
    """Return the encoder's placements and the bits of each gap."""
    placements = shapes.match_shapes(layer, book.shapes, book.cell_value)
    if placements is not None:
        n_bits, parameter = shapes.placement_bits(placements, book.shapes)
        if (n_bits, len(placements.placed)) == (statistics.shape_bits, statistics.n_shapes):
            gap_bits = np.zeros(len(placements.gaps), np.int64)
            cost_kernels.measure_each_gap(
                placements.gaps, book.shapes.gap_lengths, parameter, gap_bits
            )
            return placements, gap_bits
    raise ScfError(
        f"its {statistics.n_shapes} shapes take {statistics.shape_bits} bits and are not where "
        "this release's encoder puts them; decode it, and explain the picture"
    )


def _locate(
    placements: Placements, shape_set: ShapeSet, size: tuple[int, ...]
) -> NDArray[np.int32]:
    boxes = np.zeros((len(placements.placed), 4), np.int32)
    inside = cost_kernels.locate_placements(
        placements.placed, placements.gaps, shape_set.heights, shape_set.widths,
        shape_set.anchors, boxes, np.zeros(size, np.uint8),
    )  # fmt: skip
    assert inside, "placements of a plane lie inside it"
    return boxes


def _scaled(plane: TracedPlane, factor: float) -> TracedPlane:
    """Return a plane whose low layer has its share of the arithmetic code's whole bytes."""
    return replace(plane, low_layer_bits=plane.low_layer_bits * factor)


def _key_of(names: dict[int, str], name: str) -> int:
    return next(key for key, value in names.items() if value == name)
