"""Shapes: matching, painting, and placements as bits, against the naive twins."""

import re

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_images import filled, glyphs, noise

from softcomp_codec import huffman
from softcomp_codec.bitstream import BitReader, BitWriter
from softcomp_codec.codebook import built_in_part
from softcomp_codec.errors import CorruptStreamError, TruncatedStreamError
from softcomp_codec.kernels import status
from softcomp_codec.kernels.shape_kernels import NEW_ZERO_VALUE
from softcomp_codec.shapes import (
    N_GAP_SYMBOLS,
    Placements,
    match_shapes,
    placement_bits,
    read_placements,
    shape_set,
    write_placements,
)

LARGEST = 3
EQUAL_GAPS = huffman.code_lengths([1] * N_GAP_SYMBOLS)
ERRORS = {
    "location": status.MESSAGES[status.BAD_LOCATION],
    "outside": status.MESSAGES[status.SHAPE_OUTSIDE],
    "value": status.MESSAGES[status.BAD_SHAPE_VALUE],
}


def as_set(shapes, counts=None, gap_lengths=EQUAL_GAPS):
    """A `ShapeSet` of nested lists; `counts` of the shapes and the end mark give the code."""
    lengths = huffman.code_lengths(counts or [1] * (len(shapes) + 1))
    return shape_set([np.array(shape, np.uint16) for shape in shapes], lengths, gap_lengths)


def as_placements(pairs):
    return Placements(
        np.array([shape for shape, _ in pairs], np.int32),
        np.array([gap for _, gap in pairs], np.int64),
        np.zeros(len(pairs), np.int32),  # for statistics only
    )


def naive_bits(pairs, shapes, parameter):
    words = naive.canonical_codewords(shapes.code_lengths.tolist())
    gap_lengths = shapes.gap_lengths.tolist()
    text = ""
    for shape, gap in pairs:
        text += words[shape]
        text += naive.golomb(gap, parameter) if parameter else naive.trained_gap(gap, gap_lengths)
    return text + words[-1]


def written(pairs, shapes, parameter=0, lead=0):
    """Bytes of the placements behind `lead` bits, equal to those of the naive twin."""
    text = "1" * lead + naive_bits(pairs, shapes, parameter)
    writer = BitWriter()
    writer.write((1 << lead) - 1, lead)
    write_placements(writer, as_placements(pairs), shapes, parameter, len(text) - lead)
    assert writer.position == len(text)
    data = writer.to_bytes()
    assert "".join(f"{byte:08b}" for byte in data) == text + "0" * (-len(text) % 8)
    return data


def read(data, shapes, size, parameter=0, lead=0, largest=LARGEST):
    layer = np.zeros(size, np.uint16)
    reader = BitReader(data)
    reader.position = lead
    return read_placements(reader, shapes, parameter, largest, layer), layer


@st.composite
def nested_shapes(draw, n_most=6):
    """Shapes as nested lists; some of one size with different anchors, some twice."""
    shapes = []
    for _ in range(draw(st.integers(1, n_most))):
        height, width = draw(st.sampled_from([(1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 2)]))
        cells = st.lists(st.integers(0, LARGEST), min_size=width, max_size=width)
        first = draw(cells.filter(any))
        shapes.append([first, *(draw(cells) for _ in range(height - 1))])
    return shapes


singles = [[[value]] for value in range(1, LARGEST + 1)]
parameters = st.sampled_from([0, 0, 1, 2, 3, 7, 64, 1023])
sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


# --- reading and writing ------------------------------------------------------------------------


@given(
    nested_shapes(),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12)), max_size=8),
    sizes,
    parameters,
    st.integers(0, 9),
)
def test_any_placements_paint_as_the_naive_painter(shapes, pairs, size, parameter, lead):
    """Streams that no encoder would write: overlaps, odd choices, and impossible locations."""
    shapes = [*shapes, *singles]
    pairs = [(shape % len(shapes), gap) for shape, gap in pairs]
    book = as_set(shapes)
    data = written(pairs, book, parameter, lead)
    expected = naive.paint(shapes, pairs, *size, LARGEST)
    if isinstance(expected, str):
        with pytest.raises(
            CorruptStreamError, match=rf"bit \d+, placement \d+: {re.escape(ERRORS[expected])}"
        ):
            read(data, book, size, parameter, lead)
        return
    n_placed, layer = read(data, book, size, parameter, lead)
    assert n_placed == len(pairs)
    assert layer.tolist() == expected


@given(nested_shapes(), sizes, parameters, st.data())
def test_any_cover_comes_back(shapes, size, parameter, data):
    """Each cell is covered by any shape that fits, not by the one that pays."""
    shapes = [*shapes, *singles]
    content = data.draw(st.sampled_from(["noise", "sparse", "extremes", "highest", "lowest"]))
    layer = filled(size, content, LARGEST, data.draw(st.integers(0, 99))).tolist()
    pairs = naive.cover(
        layer, shapes, lambda fitting: data.draw(st.sampled_from([i for i, _ in fitting]))
    )
    book = as_set(shapes)
    assert read(written(pairs, book, parameter), book, size, parameter)[1].tolist() == layer


def test_gaps_do_not_count_covered_cells():
    book = as_set([[[1], [1], [1]], [[2]]])
    pairs = [
        (0, 1),  # row 0, column 1; the cells below are covered
        (0, 1),  # over column 2 to column 3
        (1, 2),  # over row 0, column 4 and row 1, column 0; column 1 is covered: to column 2
        (1, 0),  # column 3 is covered: to column 4
        (1, 3),  # over columns 0, 2, 4 of row 2, to row 3
    ]
    n_placed, layer = read(written(pairs, book), book, (4, 5))
    assert n_placed == 5
    assert layer.tolist() == [
        [0, 1, 0, 1, 0],
        [0, 1, 2, 1, 2],
        [0, 1, 0, 1, 0],
        [2, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize(
    ("shapes", "pairs", "size", "message"),
    [
        ([[[1]]], [(0, 6)], (2, 3), "location"),
        ([[[1]]], [(0, 5), (0, 0)], (2, 3), "location"),
        ([[[1]]], [(0, 0)] * 7, (2, 3), "location"),
        ([[[1]]], [(0, 1 << 31)], (2, 3), "location"),
        ([[[1]]], [(0, (1 << 32) - 1)], (2, 3), "location"),
        ([[[1, 1]]], [(0, 2)], (2, 3), "outside"),
        ([[[1], [0]]], [(0, 3)], (2, 3), "outside"),
        ([[[0, 1]]], [(0, 0)], (2, 3), "outside"),
        ([[[0, 1]]], [(0, 3)], (2, 3), "outside"),
        ([[[4]]], [(0, 0)], (2, 3), "value"),
        ([[[1, 4]]], [(0, 0)], (2, 3), "value"),
        ([[[1], [1]], [[0, 1]]], [(0, 0), (1, 2)], (2, 3), "value"),
    ],
)
def test_hostile_placements(shapes, pairs, size, message):
    assert naive.paint(shapes, pairs, *size, LARGEST) == message
    book = as_set(shapes)
    n_good = next(
        n for n in range(len(pairs))
        if naive.paint(shapes, pairs[: n + 1], *size, LARGEST) == message
    )  # fmt: skip
    bit = len(naive_bits(pairs[: n_good + 1], book, 0)) - int(book.code_lengths[-1])
    with pytest.raises(
        CorruptStreamError,
        match=f"payload, bit {bit}, placement {n_good}: {re.escape(ERRORS[message])}",
    ) as caught:
        read(written(pairs, book), book, size)
    assert not isinstance(caught.value, TruncatedStreamError)


@given(nested_shapes(), parameters)
def test_truncated_at_every_byte(shapes, parameter):
    book = as_set(shapes, gap_lengths=huffman.code_lengths(list(range(153, 0, -1))))
    size = (20, 9)
    pairs = [(0, 150), (len(shapes) - 1, 12)]
    data = written(pairs, book, parameter)
    for n_bytes in range(len(data)):
        # What was read before the end may be wrong in itself; the end must not be read over.
        with pytest.raises(CorruptStreamError, match="placement"):
            read(data[:n_bytes], book, size, parameter)
    with pytest.raises(TruncatedStreamError, match="bit 0, placement 0: the payload ends too"):
        read(b"", book, size, parameter)


@pytest.mark.parametrize(
    ("n_bytes", "placement"),
    [
        (1, 0),  # in the gap's codeword
        (2, 0),  # in the gap's further bits
        (3, 1),  # in the end mark
    ],
)
def test_truncated_inside_each_field(n_bytes, placement):
    lengths = np.array([8] * 128 + [10] * 25, np.uint8)
    book = as_set([[[1]]], gap_lengths=lengths)
    data = written([(0, 1 << 13)], book)  # 1 + 10 + 13 bits, then the end mark
    assert len(data) == 4
    with pytest.raises(TruncatedStreamError, match=rf"bit \d+, placement {placement}: the payload"):
        read(data[:n_bytes], book, (300, 300))


def test_codewords_that_no_symbol_has():
    short = np.array([3, 3], np.uint8)  # 000 and 001
    book = shape_set([np.array([[1]], np.uint16)], short, EQUAL_GAPS)
    with pytest.raises(CorruptStreamError, match="placement 0: no shape has this codeword"):
        read(b"\xff" * 4, book, (2, 2))
    gaps = np.full(N_GAP_SYMBOLS, 9, np.uint8)  # 153 of 512 codewords
    book = shape_set([np.array([[1]], np.uint16)], np.array([1, 1], np.uint8), gaps)
    with pytest.raises(CorruptStreamError, match="placement 0: no shape has this codeword"):
        read(b"\x7f" + b"\xff" * 4, book, (2, 2))


def test_a_set_without_shapes():
    book = shape_set([], np.array([1], np.uint8), EQUAL_GAPS)
    assert len(book) == 0
    assert read(written([], book), book, (3, 3))[1].sum() == 0
    assert match_shapes(np.zeros((3, 3), np.uint16), book, 512).placed.size == 0
    assert match_shapes(np.ones((3, 3), np.uint16), book, 512) is None
    with pytest.raises(CorruptStreamError, match="no shape has this codeword"):
        read(b"\xff" * 3, book, (3, 3))


# --- matching -----------------------------------------------------------------------------------


@given(
    nested_shapes(),
    sizes,
    st.sampled_from([0, 256, 512, 3072]),
    st.booleans(),
    st.data(),
)
def test_matching_equals_naive_twin(shapes, size, cell_value, complete, data):
    shapes = [*shapes, *singles] if complete else shapes
    counts = [data.draw(st.integers(0, 50)) for _ in range(len(shapes) + 1)]
    book = as_set(shapes, counts)
    seed = data.draw(st.integers(0, 999))
    content = data.draw(st.sampled_from(["noise", "sparse", "extremes"]))
    layer = filled(size, content, LARGEST, seed)
    for index, row, column in noise((4, 3), 1 << 20, seed).tolist():  # so that larger shapes fit
        shape = np.array(shapes[index % len(shapes)])
        top, left = row % size[0], column % size[1]
        window = layer[top : top + shape.shape[0], left : left + shape.shape[1]]
        window[:] = shape[: window.shape[0], : window.shape[1]]
    layer = layer.astype(np.uint16)
    expected = naive.match(
        layer.tolist(), shapes, book.code_lengths.tolist(), cell_value, NEW_ZERO_VALUE
    )
    found = match_shapes(layer, book, cell_value)
    if expected is None:
        assert found is None
        return
    assert list(zip(found.placed.tolist(), found.gaps.tolist(), strict=True)) == expected
    assert found.fresh.tolist() == naive.fresh_cells(shapes, expected, *size)
    assert found.fresh.sum() == np.count_nonzero(layer)
    n_bits, parameter = placement_bits(found, book)
    assert n_bits == len(naive_bits(expected, book, parameter))
    n_placed, painted = read(written(expected, book, parameter), book, size, parameter)
    assert n_placed == len(expected)
    assert np.array_equal(painted, layer)


def test_same_size_with_different_anchors():
    shapes = [[[1, 1]], [[0, 1]], [[1, 0]], [[0, 2]], [[2, 0]], *singles]
    layer = np.array([[0, 1, 0, 2, 0, 1, 1, 2], [1, 0, 0, 0, 2, 0, 0, 3]], np.uint16)
    book = as_set(shapes)
    assert book.anchors.tolist() == [0, 1, 0, 1, 0, 0, 0, 0]
    found = match_shapes(layer, book, 3072)
    pairs = list(zip(found.placed.tolist(), found.gaps.tolist(), strict=True))
    assert pairs == naive.match(
        layer.tolist(), shapes, book.code_lengths.tolist(), 3072, NEW_ZERO_VALUE
    )
    assert np.array_equal(read(written(pairs, book), book, layer.shape)[1], layer)


def test_equal_shapes_keep_the_first():
    book = as_set([[[1]], [[1, 1]], [[1, 1]], [[1]]])
    assert match_shapes(np.array([[1, 1, 0, 1]], np.uint16), book, 3072).placed.tolist() == [1, 0]


def test_shapes_as_large_as_they_can_be():
    wide = np.ones((1, 255), np.uint16)
    high = np.ones((255, 1), np.uint16)
    square = np.ones((255, 255), np.uint16)
    late = np.zeros((2, 255), np.uint16)
    late[0, 254] = 1
    book = as_set([w.tolist() for w in (wide, high, square, late, np.ones((1, 1), np.uint16))])
    assert book.anchors.tolist() == [0, 0, 0, 254, 0]
    layer = np.zeros((260, 600), np.uint16)
    layer[1:256, 300:555] = 1
    layer[258, :255] = 1
    layer[258, 599] = 1
    found = match_shapes(layer, book, 512)
    assert found.placed.tolist() == [2, 0, 3]
    pairs = list(zip(found.placed.tolist(), found.gaps.tolist(), strict=True))
    assert np.array_equal(read(written(pairs, book), book, layer.shape)[1], layer)


@pytest.mark.parametrize("seed", range(3))
def test_built_in_shapes_cover_everything(seed):
    plane = built_in_part(0, 0).planes[0]
    for page in (glyphs(70, 90, seed), noise((33, 65), 2, seed), np.ones((65, 129), bool)):
        layer = page.astype(np.uint16)
        found = match_shapes(layer, plane.shapes, plane.cell_value)
        pairs = list(zip(found.placed.tolist(), found.gaps.tolist(), strict=True))
        n_bits, parameter = placement_bits(found, plane.shapes)
        data = written(pairs, plane.shapes, parameter)
        assert len(data) == (n_bits + 7) // 8
        assert np.array_equal(read(data, plane.shapes, layer.shape, parameter)[1], layer)


def test_the_cheaper_gap_code_is_taken():
    gap_lengths = huffman.code_lengths([1000] + [1] * (N_GAP_SYMBOLS - 1))
    book = as_set([[[1]]], gap_lengths=gap_lengths)
    assert placement_bits(as_placements([(0, 0)] * 50), book) == (2 * 50 + 1, 0)
    near_nine = as_placements([(0, 9), (0, 11)] * 50)
    n_bits, parameter = placement_bits(near_nine, book)
    assert parameter > 0
    trained = len(naive_bits([(0, 9), (0, 11)] * 50, book, 0))
    assert n_bits == len(naive_bits([(0, 9), (0, 11)] * 50, book, parameter)) < trained - 10
