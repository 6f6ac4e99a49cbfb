"""Files that are valid by SPEC.md but that the encoder never writes.

Any settings, any cover of the shape layer, any gap code, codebooks made of noise.
"""

from dataclasses import dataclass

import file_builder
import numpy as np
from file_builder import Settings
from hypothesis import strategies as st
from made_images import noise, pictures
from small_codebooks import noisy_states

from softcomp_codec import huffman, planes
from softcomp_codec.codebook import Codebook, KindBook, PlaneBook, kind_of, part_for
from softcomp_codec.container import Segment
from softcomp_codec.kernels.entropy_kernels import N_CONTEXTS, N_ENERGIES
from softcomp_codec.shapes import N_GAP_SYMBOLS, shape_set

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
    components = planes.transform_colours(planes.split_planes(array, mode), transform)
    book = None
    if draw(st.booleans()):
        others = draw(st.integers(0, 4)) == 0 and mode.n_planes == 3
        book_transform = draw(st.integers(0, 2)) if others else transform
        ranges = planes.plane_ranges(mode, book_transform)
        books = tuple(map(draw, map(_plane_books, components, ranges)))
        book = Codebook({"name": "strange"}, {kind_of(mode): KindBook(book_transform, books)})
    ranges = planes.plane_ranges(mode, transform)
    part = part_for(book, mode, transform)
    settings = tuple(map(draw, map(_settings, components, ranges, part.planes)))
    payload = file_builder.payload_of(
        array,
        settings,
        book=book,
        transform=transform,
        choose=lambda fitting: draw(st.sampled_from([index for index, _ in fitting])),
    )
    data = file_builder.file_of(
        array,
        payload,
        book=book,
        reference_bytes=draw(st.sampled_from([4, 8, 32])),
        segments=(Segment(0x90, b"unknown"),) * draw(st.integers(0, 2)),
        file_check=draw(st.booleans()),
    )
    return Strange(data, array, book)


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
        within = np.clip(plane, lowest, highest)
        high = file_builder.shape_layer(within, sample_range, predictor, low_bits)
        largest = (highest - lowest) >> low_bits
        windows = [np.array([[value]], np.uint16) for value in range(1, largest + 1)]
        for row, column, height, width in noise((6, 4), 1 << 20, draw(st.integers(0, 99))).tolist():
            top, left = row % high.shape[0], column % high.shape[1]
            window = high[top : top + 1 + height % 4, left : left + 1 + width % 4]
            if window[0].any():
                windows.append(np.ascontiguousarray(window))
    counts = noise((len(windows) + 1 + N_GAP_SYMBOLS,), 200, draw(st.integers(0, 99))).tolist()

    def states(n_bits, n_contexts):
        seed = draw(st.integers(0, 99))
        return noisy_states(n_bits, n_contexts, lambda shape, n: noise(shape, n, seed))

    full = states(sample_bits, N_ENERGIES)
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
        full if low_bits == sample_bits else states(low_bits, N_CONTEXTS),
        full,
    )


@st.composite
def _settings(draw, plane, sample_range, book):
    """Settings that can code a plane: the book's, any, or those without a shape layer."""
    choices = [
        Settings(book.predictor, book.low_bits, default=True),
        Settings(
            draw(st.integers(0, 2)),
            draw(st.integers(0, book.sample_bits)),
            draw(st.sampled_from([0, 1, 2, 5, 40, 1023])),
        ),
        Settings(draw(st.integers(0, 2)), book.sample_bits),
    ]
    if draw(st.booleans()):
        choices = choices[1:]
    for settings in choices:
        high = file_builder.shape_layer(plane, sample_range, settings.predictor, settings.low_bits)
        if settings.low_bits == book.sample_bits or file_builder.cover(high, book) is not None:
            return settings
    raise AssertionError("without a shape layer every plane can be coded")
