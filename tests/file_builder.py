"""Building .scf files field by field, with any settings that SPEC.md allows, or does not."""

from dataclasses import dataclass

import naive
import numpy as np

from softcomp_codec import arithmetic, container, layers, planes, residuals, shapes
from softcomp_codec.bitstream import BitWriter
from softcomp_codec.codebook import part_for
from softcomp_codec.container import Header
from softcomp_codec.shapes import Placements


@dataclass(frozen=True)
class Settings:
    """Settings of a plane (SPEC 5.1); `default` leaves them to the plane book."""

    predictor: int
    low_bits: int
    parameter: int = 0
    default: bool = False


def most_cells(fitting):
    """Of the fitting shapes the first that covers most; see `naive.cover`."""
    return max(fitting, key=lambda choice: (len(choice[1]), -choice[0]))[0]


def shape_layer(plane, sample_range, predictor, low_bits):
    """The high layer of a plane."""
    mapped = residuals.map_residuals(plane, predictor, sample_range)
    return layers.shape_layer(mapped, low_bits)


def cover(high, book, choose=most_cells):
    """(shape, gap) placements of a high layer; None where a cell has no shape."""
    nested = [book.shapes.window(index).tolist() for index in range(len(book.shapes))]
    return naive.cover(high.tolist(), nested, choose)


def write_settings(writer, settings, book):
    """The settings of a plane; nothing is checked."""
    writer.write(int(settings.default), 1)
    if not settings.default:
        writer.write(settings.predictor, 2)
        writer.write(settings.low_bits, 4)
        if settings.low_bits < book.sample_bits:
            writer.write(settings.parameter, 10)


def write_placements(writer, pairs, book, parameter=0):
    """(shape, gap) placements and the end mark; nothing is checked."""
    placements = Placements(
        np.array([shape for shape, _ in pairs], np.int32),
        np.array([gap for _, gap in pairs], np.int64),
        np.zeros(len(pairs), np.int32),  # for statistics only
    )
    n_bits = sum(100 + (gap // parameter if parameter else 0) for _, gap in pairs) + 100
    shapes.write_placements(writer, placements, book.shapes, parameter, n_bits)


def payload_of(array, settings, *, book=None, transform=0, choose=most_cells):
    """The payload of an array with the given settings of each plane (SPEC 5.1)."""
    mode = planes.mode_of_array(array)
    part = part_for(book, mode, transform)
    ranges = planes.plane_ranges(mode, transform)
    components = planes.transform_colours(planes.split_planes(array, mode), transform)
    writer = BitWriter()
    if mode.n_planes == 3:
        writer.write(transform, 2)
    low_layers = []
    for plane, sample_range, plane_book, one in zip(
        components, ranges, part.planes, settings, strict=True
    ):
        mapped = residuals.map_residuals(plane, one.predictor, sample_range)
        write_settings(writer, one, plane_book)
        if one.low_bits < plane_book.sample_bits:
            pairs = cover(layers.shape_layer(mapped, one.low_bits), plane_book, choose)
            assert pairs is not None, "a cell has no shape"
            write_placements(writer, pairs, plane_book, 0 if one.default else one.parameter)
        if one.low_bits:
            low_layers.append((mapped, one.low_bits, plane_book.states(one.low_bits)))
    return writer.to_bytes() + low_code(*low_layers)


def low_code(*low_layers):
    """The arithmetic code of the low layers of (mapped, low_bits, states) (SPEC 5.9)."""
    if not low_layers:
        return b""
    sizes = (arithmetic.worst_size(mapped.shape, n_bits) for mapped, n_bits, _ in low_layers)
    encoder = arithmetic.ArithmeticEncoder(sum(sizes))
    for layer in low_layers:
        encoder.encode(*layer)
    return encoder.finish()


def file_of(array, payload, *, book=None, reference_bytes=8, file_check=False, **fields):
    """The file of an array's payload; `fields` replace those of the header."""
    mode = planes.mode_of_array(array)
    height, width = array.shape[:2]
    usual = {
        "mode": mode,
        "width": width,
        "height": height,
        "coder": container.SHAPES,
        "codebook_reference": b"" if book is None else book.identifier[:reference_bytes],
        "checksum": checksum(array),
    }
    return container.write_file(Header(**{**usual, **fields}), payload, file_check=file_check)


def checksum(array):
    """The checksum of an array (SPEC 2.5)."""
    mode = planes.mode_of_array(array)
    samples = planes.canonical_samples(array, mode)
    return container.checksum(mode, array.shape[1], array.shape[0], samples)
