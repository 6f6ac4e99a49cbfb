"""Files that are valid by SPEC.md but that the encoder never writes.

Any settings, any cover of the shape layer, any gap code, codebooks made of noise.
"""

from dataclasses import dataclass

import naive
import numpy as np
from hypothesis import strategies as st
from made_images import noise, pictures
from small_codebooks import noisy_states

from softcomp_codec import arithmetic, container, huffman, layers, planes, residuals, shapes
from softcomp_codec.bitstream import BitWriter
from softcomp_codec.codebook import Codebook, KindBook, PlaneBook, built_in_part, kind_of
from softcomp_codec.container import Header, Segment
from softcomp_codec.shapes import N_GAP_SYMBOLS, Placements, shape_set

SMALL_SIDES = (1, 2, 3, 5, 7, 8, 11)


@dataclass
class Strange:
    """A file, what it must decode to, and its codebook."""

    data: bytes
    array: np.ndarray
    book: Codebook | None


@st.composite
def strange_files(draw):
    """Files of one picture, with a codebook of their own or the built-in prior."""
    array = draw(pictures(SMALL_SIDES))
    mode = planes.mode_of_array(array)
    transform = draw(st.integers(0, 2)) if mode.n_planes == 3 else 0
    ranges = planes.plane_ranges(mode, transform)
    split = planes.transform_colours(planes.split_planes(array, mode), transform)
    uses_book = draw(st.booleans())
    part_transform = transform
    if uses_book and mode.n_planes == 3 and draw(st.integers(0, 4)) == 0:
        part_transform = draw(st.integers(0, 2))
    if uses_book:
        books = tuple(
            draw(_plane_books(plane, sample_range))
            for plane, sample_range in zip(
                split, planes.plane_ranges(mode, part_transform), strict=True
            )
        )
        book = Codebook({"name": "strange"}, {kind_of(mode): KindBook(part_transform, books)})
    if not uses_book or part_transform != transform:
        books = built_in_part(kind_of(mode), transform).planes
    writer = BitWriter()
    if mode.n_planes == 3:
        writer.write(transform, 2)
    encoder = arithmetic.ArithmeticEncoder(sum(16 * (plane.size + 99) for plane in split) * 2)
    has_low = False
    for plane, sample_range, plane_book in zip(split, ranges, books, strict=True):
        predictor, low_bits = _write_settings(draw, writer, plane, sample_range, plane_book)
        low, high = layers.split_layers(
            residuals.map_residuals(plane, predictor, sample_range), low_bits
        )
        if low_bits:
            has_low = True
            encoder.encode(low, high, low_bits, plane_book.states(low_bits))
    payload = writer.to_bytes() + (encoder.finish() if has_low else b"")
    height, width = array.shape[:2]
    n_bytes = draw(st.sampled_from([4, 8, 32]))
    segments = [Segment(0x90, b"unknown")] * draw(st.integers(0, 1))
    header = Header(
        mode,
        width,
        height,
        container.SHAPES,
        book.identifier[:n_bytes] if uses_book else b"",
        container.checksum(mode, width, height, planes.canonical_samples(array, mode)),
        tuple(segments),
    )
    data = container.write_file(header, payload, file_check=draw(st.booleans()))
    return Strange(data, array, book if uses_book else None)


@st.composite
def _plane_books(draw, plane, sample_range):
    """A plane book whose shapes fit a plane: every value alone, and windows of its high layer."""
    lowest, highest = sample_range
    sample_bits = (highest - lowest).bit_length()
    predictor = draw(st.integers(0, 2))
    least = 0 if sample_bits == 1 else sample_bits - 4
    low_bits = draw(st.integers(least, sample_bits))
    windows = []
    if low_bits < sample_bits:
        usable = np.clip(plane, lowest, highest)
        mapped = residuals.map_residuals(usable, predictor, sample_range)
        _, high = layers.split_layers(mapped, low_bits)
        largest = (highest - lowest) >> low_bits
        windows = [np.array([[value]], np.uint16) for value in range(1, largest + 1)]
        seed = draw(st.integers(0, 99))
        for row, column, height, width in noise((6, 4), 1 << 20, seed).tolist():
            top, left = row % high.shape[0], column % high.shape[1]
            window = high[top : top + 1 + height % 4, left : left + 1 + width % 4]
            if window[0].any():
                windows.append(np.ascontiguousarray(window))
    counts = noise((len(windows) + 1 + N_GAP_SYMBOLS,), 200, draw(st.integers(0, 99))).tolist()

    def states(n_bits, n_contexts):
        seed = draw(st.integers(0, 99))
        return noisy_states(n_bits, n_contexts, lambda shape, n: noise(shape, n, seed))

    full = states(sample_bits, 1)
    return PlaneBook(
        sample_bits,
        predictor,
        low_bits,
        512,
        shape_set(
            windows,
            huffman.code_lengths(counts[: len(windows) + 1]),
            huffman.code_lengths(counts[len(windows) + 1 :]),
        ),
        full if low_bits == sample_bits else states(low_bits, 16),
        full,
    )


def _write_settings(draw, writer, plane, sample_range, book):
    """Write settings and placements of a plane; returns predictor and low bits."""
    settings = [(book.predictor, book.low_bits, True)]
    settings += [(draw(st.integers(0, 2)), draw(st.integers(0, book.sample_bits)), False)]
    settings += [(draw(st.integers(0, 2)), book.sample_bits, False)]
    if draw(st.booleans()):
        settings = settings[1:]
    nested = [book.shapes.window(index).tolist() for index in range(len(book.shapes))]
    for predictor, low_bits, default in settings:
        pairs = None
        if low_bits < book.sample_bits:
            mapped = residuals.map_residuals(plane, predictor, sample_range)
            _, high = layers.split_layers(mapped, low_bits)
            pairs = naive.cover(
                high.tolist(), nested, lambda fitting: draw(st.sampled_from(fitting))[0]
            )
            if pairs is None:
                continue
        parameter = 0
        writer.write(int(default), 1)
        if not default:
            writer.write(predictor, 2)
            writer.write(low_bits, 4)
            if pairs is not None:
                parameter = draw(st.sampled_from([0, 1, 2, 5, 40, 1023]))
                writer.write(parameter, 10)
        if pairs is not None:
            placements = Placements(
                np.array([shape for shape, _ in pairs], np.int32),
                np.array([gap for _, gap in pairs], np.int64),
            )
            shapes.write_placements(
                writer, placements, book.shapes, parameter, 200 * (len(pairs) + 1)
            )
        return predictor, low_bits
    raise AssertionError("samples without a shape layer can always be coded")
