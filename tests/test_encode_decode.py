"""Whole round trips in every mode, options, and files that the encoder would never write."""

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import reference_decoder
from hypothesis import given, settings
from hypothesis import strategies as st
from made_images import (
    CONTENTS,
    KINDS,
    SHAPES_OF_KINDS,
    SHAPES_OF_MODES,
    colours,
    filled,
    glyphs,
    image,
    images,
    noise,
    pictures,
    slope,
    top_of,
    typical,
)
from PIL import Image
from small_codebooks import gray_codebook, named, reference_codebook
from strange_files import strange_files

import softcomp_codec
from softcomp_codec import coders, container, decoder, planes, reference_coder, shapes_coder
from softcomp_codec.decoder import decode_file
from softcomp_codec.errors import CorruptStreamError, ScfError, UnsupportedStreamError
from softcomp_codec.training import TrainingOptions


def kind_of(array):
    """Name of the kind of image that an array is, or of one that is nearly that."""
    if array.dtype == bool:
        return "bilevel"
    return "rgb8" if array.ndim == 3 and array.shape[2] == 3 else "gray8"


def assert_same(found, array):
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert np.array_equal(found, array)


# --- round trips --------------------------------------------------------------------------------

CHOICES = ("none", "matching", "similar", "another kind", "embedded")


@given(
    pictures(shapes=SHAPES_OF_MODES),
    st.sampled_from(CHOICES),
    st.sampled_from([1, 3, 5, 9]),
    st.sampled_from([None, 4, 8, 32]),
    st.booleans(),
)
def test_round_trips(books, other_books, array, choice, effort, reference_bytes, file_check):
    kind = kind_of(array)
    book = {
        "none": None,
        "matching": books[kind],
        "similar": other_books[kind],
        "another kind": books["gray8" if kind == "bilevel" else "bilevel"],
        "embedded": books[kind],
    }[choice]
    options = {
        "codebook": book,
        "effort": effort,
        "reference_bytes": reference_bytes,
        "file_check": file_check,
        "embed_codebook": choice == "embedded",
    }
    data = softcomp_codec.encode(array, **options)
    assert softcomp_codec.encode(array, **options) == data
    given_ones = () if book is None or choice == "embedded" else (book,)
    decoded = decode_file(data, codebooks=given_ones)
    assert_same(decoded.array, array)
    assert decoded.complete
    header = softcomp_codec.read_header(data)
    assert header.shape == array.shape
    assert bool(header.codebook_reference) == (decoded.codebook is not None)
    if header.codebook_reference:
        assert decoded.codebook.identifier == book.identifier
        assert len(header.codebook_reference) == (
            reference_bytes or (4 if header.raw_size < 4096 else 8)
        )
    if not (choice == "embedded" and header.codebook_reference):
        asked_for = 14 * file_check + 28 * (reference_bytes == 32)
        assert len(data) <= header.raw_size + 32 + asked_for
    assert container.file_check_matches(data, header) is (True if file_check else None)


@given(strange_files())
def test_files_that_the_encoder_would_never_write(strange):
    books = () if strange.book is None else (strange.book,)
    assert_same(softcomp_codec.decode(strange.data, codebooks=books), strange.array)
    picture = reference_decoder.decode(strange.data, [book.to_bytes() for book in books])
    mode = planes.mode_of_array(strange.array)
    assert picture.shape == strange.array.shape
    assert picture.samples == planes.canonical_samples(strange.array, mode)


@pytest.mark.parametrize("kind", KINDS)
def test_larger_images(books, kind):
    """More than one row of everything, and planes on threads."""
    for array in (image(kind, 300, 301), image(kind, 1, 3000), image(kind, 3000, 1)):
        for book in (None, books[kind]):
            data = softcomp_codec.encode(array, codebook=book)
            assert_same(softcomp_codec.decode(data, codebooks=list(books.values())), array)


@pytest.mark.parametrize("maker", [glyphs, slope, colours])
def test_big_images(maker):
    array = maker(700, 500)
    data = softcomp_codec.encode(array)
    assert len(data) < array.nbytes // 2
    assert_same(softcomp_codec.decode(data), array)


@pytest.mark.parametrize(("dtype", "n_planes"), SHAPES_OF_MODES)
@pytest.mark.parametrize("content", CONTENTS)
def test_every_content(dtype, n_planes, content):
    shape = (33, 29) if n_planes is None else (33, 29, n_planes)
    array = filled(shape, content, top_of(dtype)).astype(dtype)
    data = softcomp_codec.encode(array)
    assert_same(softcomp_codec.decode(data), array)
    if content in ("lowest", "highest") and (dtype, n_planes) in SHAPES_OF_KINDS:
        assert len(data) < 120


@pytest.mark.parametrize("size", [(64, 64), (1, 4096), (300, 200), (5, 5)])
@pytest.mark.parametrize(("dtype", "n_planes"), SHAPES_OF_MODES)
@pytest.mark.parametrize("effort", [1, 5])
def test_noise_is_never_much_larger_than_raw(dtype, n_planes, size, effort):
    shape = size if n_planes is None else (*size, n_planes)
    array = noise(shape, top_of(dtype) + 1).astype(dtype)
    data = softcomp_codec.encode(array, effort=effort)
    header = softcomp_codec.read_header(data)
    assert header.coder == container.STORED
    assert len(data) <= header.raw_size + 19
    assert_same(softcomp_codec.decode(data), array)


def test_a_codebook_that_hardly_pays_is_left_out():
    """Its reference must be earned; its name, which is for messages only, is not counted."""
    book = named(gray_codebook(probability=32768), "n" * 64)
    array = noise((64, 64), 256).astype(np.uint8)
    for n_zeros in range(0, 400, 50):
        array[:, : n_zeros // 64] = 0
        data = softcomp_codec.encode(array, codebook=book)
        header = softcomp_codec.read_header(data)
        name = sum(6 + len(segment.data) for segment in header.segments)
        assert len(data) - name <= array.size + 32


# --- arrays in every state ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_layouts(books, kind):
    array = image(kind, 19, 23, seed=99)
    expected = softcomp_codec.encode(array, codebook=books[kind])
    frozen = array.copy()
    frozen.setflags(write=False)
    channel_last = np.asfortranarray(array)
    twice = np.repeat(np.repeat(array, 2, axis=0), 3, axis=1)[::2, ::3]
    backwards = array[::-1, ::-1].copy()[::-1, ::-1]
    transposed = np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(0, 1)
    subclass = array.view(np.ma.MaskedArray)
    broadcast = np.broadcast_to(array, array.shape)
    for variant in (
        frozen, channel_last, twice, backwards, transposed, subclass, broadcast, array.tolist()
        if kind == "bilevel" else array,
    ):  # fmt: skip
        assert softcomp_codec.encode(variant, codebook=books[kind]) == expected
    assert softcomp_codec.encode(Image.fromarray(array), codebook=books[kind]) == expected
    assert np.array_equal(array, image(kind, 19, 23, seed=99))  # and was not changed


@pytest.mark.parametrize("kind", KINDS)
def test_decoded_arrays_are_the_callers_own(books, kind):
    array = image(kind, seed=99)
    for book in (None, books[kind]):
        data = softcomp_codec.encode(array, codebook=book)
        first, second = (softcomp_codec.decode(data, codebooks=[books[kind]]) for _ in range(2))
        first[:] = 0
        assert_same(second, array)
        assert first.flags.c_contiguous


def test_data_of_every_kind():
    array = image("gray8")
    data = softcomp_codec.encode(array, codebook=None)
    for variant in (data, bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
        assert_same(softcomp_codec.decode(variant), array)
    for wrong in ("text", None):
        with pytest.raises(TypeError):
            softcomp_codec.decode(wrong)


# --- modes without a kind: 16 bits, alpha -------------------------------------------------------

OTHER_SHAPES = [form for form in SHAPES_OF_MODES if form not in SHAPES_OF_KINDS]


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2), (7, 5), (33, 64), (129, 3)])
@pytest.mark.parametrize(("dtype", "n_planes"), OTHER_SHAPES)
def test_extreme_samples(dtype, n_planes, size):
    shape = size if n_planes is None else (*size, n_planes)
    top = top_of(dtype)
    squares = np.indices(shape).sum(axis=0) % 2
    arrays = [
        np.zeros(shape, dtype),
        np.full(shape, top, dtype),
        (squares * top).astype(dtype),
        ((1 - squares) * top).astype(dtype),
        noise(shape, top + 1).astype(dtype),
        typical(shape, dtype),
    ]
    for array in arrays:
        for options in ({}, {"codebook": None, "effort": 1}, {"file_check": True, "effort": 9}):
            data = softcomp_codec.encode(array, **options)
            assert_same(softcomp_codec.decode(data), array)
            header = softcomp_codec.read_header(data)
            assert header.shape == array.shape
            assert header.raw_size == array.nbytes
    for array, found in zip(
        arrays, softcomp_codec.decode_frames(softcomp_codec.encode_frames(arrays)), strict=True
    ):
        assert_same(found, array)


def test_stored_samples_are_little_endian_and_interleaved():
    array = np.array([[[1, 0x0203], [0xFFFE, 4]]], np.uint16)
    header, payload = container.read_file(softcomp_codec.encode(array))
    assert (header.mode.name, header.coder) == ("la16", container.STORED)
    assert payload.hex() == "01000302feff0400"


@pytest.mark.parametrize(("dtype", "n_planes"), OTHER_SHAPES)
def test_layouts_of_other_modes(dtype, n_planes):
    """Byte order, strides and rights of the caller's array do not matter, and it stays the same."""
    shape = (19, 23) if n_planes is None else (19, 23, n_planes)
    array = noise(shape, top_of(dtype) + 1).astype(dtype)
    expected = softcomp_codec.encode(array)
    assert_same(softcomp_codec.decode(expected), array)
    frozen = array.copy()
    frozen.setflags(write=False)
    swapped = array.astype(array.dtype.newbyteorder("S"))
    big, little = array.astype(np.dtype(dtype).newbyteorder(">")), array.astype("<u2")
    planes_first = np.moveaxis(np.ascontiguousarray(np.moveaxis(array, -1, 0)), 0, -1)
    variants = [
        frozen,
        swapped,
        big,
        big[::-1, ::-1].copy()[::-1, ::-1],
        np.asfortranarray(swapped),
        np.repeat(np.repeat(swapped, 2, axis=0), 3, axis=1)[::2, ::3],
        planes_first,
        array.view(np.ma.MaskedArray),
    ]
    if dtype is np.uint16:
        variants.append(little)
    for variant in variants:
        before = variant.tobytes(), variant.dtype
        assert softcomp_codec.encode(variant) == expected
        assert (variant.tobytes(), variant.dtype) == before
    assert softcomp_codec.encode_frames(variants) == softcomp_codec.encode_frames(
        [array] * len(variants)
    )
    first = softcomp_codec.decode(expected)
    assert first.dtype.isnative
    assert first.flags.c_contiguous
    first[...] = 0
    assert_same(softcomp_codec.decode(expected), array)


def test_colours_of_transparent_pixels_are_kept():
    array = noise((9, 9, 4), 256).astype(np.uint8)
    array[..., 3] = 0
    for image_ in (array, Image.fromarray(array), array[..., [0, 3]]):
        found = softcomp_codec.decode(softcomp_codec.encode(image_))
        assert np.array_equal(found, np.asarray(image_))


@pytest.mark.parametrize(("dtype", "n_planes"), OTHER_SHAPES)
def test_codebooks_do_not_fit_other_modes(books, dtype, n_planes):
    shape = (40, 40) if n_planes is None else (40, 40, n_planes)
    array = np.zeros(shape, dtype)
    mode = planes.mode_of_array(array)
    assert mode.kind is None
    for kind in KINDS:
        assert not books[kind].fits(mode)
        for options in ({}, {"embed_codebook": True, "reference_bytes": 32}):
            data = softcomp_codec.encode(array, codebook=books[kind], **options)
            assert data == softcomp_codec.encode(array, codebook=None)
    message = f"cannot train on {re.escape(mode.name)} images without priors: shapes are for "
    options = TrainingOptions(train_priors=False)
    with pytest.raises(ValueError, match=message):
        softcomp_codec.train([array], name="x", options=options)
    with pytest.raises(ValueError, match="cannot train on"):
        softcomp_codec.train([array], name="x", settings="reference")


EMPTY_PALETTE = (container.Segment(container.SEGMENT_PALETTE, b"\x06\0"),)


@pytest.mark.parametrize("coder", container.KIND_CODERS)
@pytest.mark.parametrize("mode", [mode for mode in container.MODES.values() if mode.kind is None])
def test_coders_that_do_not_code_other_modes(books, mode, coder):
    """In the header and in a frame table, with and without a codebook (SPEC 2.4)."""
    message = rf"coder {coder} \({container.CODER_NAMES[coder]}\) does not code {mode.name[:5]}"
    palette = EMPTY_PALETTE if mode == container.PALETTE else ()
    for reference in (b"", books["gray8"].identifier[:8]):
        header = container.Header(mode, 3, 2, coder, reference, 0, palette)
        with pytest.raises(UnsupportedStreamError, match=f"header, byte 4: {message}"):
            softcomp_codec.decode(container.write_file(header, b"x"), codebooks=[books["gray8"]])
        frames = (container.Frame(0, False, 0, 0), container.Frame(coder, False, 0, 0))
        header = container.Header(mode, 3, 2, 0, reference, 0, palette, frames)
        with pytest.raises(UnsupportedStreamError, match=f"frame table: frame 1: {message}"):
            softcomp_codec.decode(container.write_file(header, b""))
    header = container.Header(mode, 3, 2, coder, b"", 0)
    with pytest.raises(ScfError):
        shapes_coder.decode_payload(b"\x80" * 20, header, None)
    part = reference_codebook("gray8").reference[1]
    with pytest.raises(ScfError):
        reference_coder.decode_payload(b"\x80" * 20, header, part)


# --- many ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [None, 1, 3])
def test_encode_many_equals_encode(books, threads):
    arrays = [picture for kind in KINDS for picture in images(kind, 5, height=17)]
    for book in (None, books["gray8"], "none"):
        options = {"codebook": book, "effort": 3, "file_check": True}
        files = softcomp_codec.encode_many(iter(arrays), threads=threads, **options)
        assert files == [softcomp_codec.encode(array, **options) for array in arrays]
        found = softcomp_codec.decode_many(iter(files), threads=threads, codebooks=books.values())
        for one, array in zip(found, arrays, strict=True):
            assert_same(one, array)
    assert softcomp_codec.encode_many([]) == []
    assert softcomp_codec.decode_many([]) == []


def test_encode_many_reports_what_is_wrong():
    with pytest.raises(TypeError, match="complex128"):
        softcomp_codec.encode_many([image("gray8"), np.zeros((3, 3), complex)], codebook=None)
    with pytest.raises(CorruptStreamError, match=r"not an \.scf file"):
        softcomp_codec.decode_many([b"GIF89a"])


def test_many_threads_give_the_same_bytes(books):
    arrays = [image(kind, 90, 70, seed) for kind in KINDS for seed in range(4)]
    expected = [softcomp_codec.encode(array, codebook=books[kind_of(array)]) for array in arrays]

    def there_and_back(array):
        data = softcomp_codec.encode(array, codebook=books[kind_of(array)])
        found = softcomp_codec.decode(data, codebooks=list(books.values()))
        return data, np.array_equal(found, array)

    with ThreadPoolExecutor(8) as pool:
        for (data, same), wanted in zip(pool.map(there_and_back, arrays), expected, strict=True):
            assert data == wanted
            assert same


def test_decoding_frames_reads_the_header_once(monkeypatch):
    """Else a stack takes a time that grows with the square of its length."""
    data = softcomp_codec.encode_frames(images("gray8", 30, height=4), codebook=None)
    calls = []
    read = container.read_header
    monkeypatch.setattr(container, "read_header", lambda d: calls.append(1) or read(d))
    assert len(decoder.decode_frames(data)) == 30
    assert len(calls) < 10


# --- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"effort": 0}, ValueError, "effort is 0, expected 1 to 9"),
        ({"effort": 10}, ValueError, "effort is 10, expected 1 to 9"),
        ({"effort": -1}, ValueError, "effort is -1, expected 1 to 9"),
        ({"effort": 5.0}, TypeError, r"effort is 5\.0, expected an integer from 1 to 9"),
        ({"effort": "5"}, TypeError, "effort is '5', expected an integer"),
        ({"effort": None}, TypeError, "effort is None, expected an integer"),
        ({"effort": True}, TypeError, "effort is True, expected an integer"),
        ({"reference_bytes": 0}, ValueError, "reference_bytes is 0, expected 4, 8 or 32"),
        ({"reference_bytes": 16}, ValueError, "reference_bytes is 16, expected 4, 8 or 32"),
        ({"reference_bytes": "8"}, ValueError, "reference_bytes is '8'"),
        ({"embed_codebook": 1}, TypeError, "embed_codebook and file_check are True or False"),
        ({"file_check": "yes"}, TypeError, "embed_codebook and file_check are True or False"),
        ({"codebook": 5}, TypeError, "int"),
        ({"quality": 90}, TypeError, "quality"),
    ],
)
def test_options_that_cannot_be(options, error, message):
    with pytest.raises(error, match=message):
        softcomp_codec.encode(image("gray8"), **options)


@pytest.mark.parametrize("effort", [*range(1, 10), np.int64(5), np.uint8(9)])
def test_every_effort(books, effort):
    array = image("rgb8")
    data = softcomp_codec.encode(array, effort=effort, codebook=books["rgb8"])
    assert_same(softcomp_codec.decode(data, codebooks=[books["rgb8"]]), array)


def test_more_effort_is_not_larger(books):
    for kind in KINDS:
        sizes = [
            sum(map(len, softcomp_codec.encode_many(
                images(kind, 4, seed=5), effort=effort, codebook=books[kind]
            )))
            for effort in (1, 5, 9)
        ]  # fmt: skip
        assert sizes == sorted(sizes, reverse=True)


def test_embedding_without_a_codebook_is_no_error():
    array = image("gray8")
    data = softcomp_codec.encode(array, codebook=None, embed_codebook=True)
    assert data == softcomp_codec.encode(array, codebook=None)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 3), np.complex64),
        np.zeros((3, 3), np.longdouble),
        np.zeros((3, 3, 4097), np.uint8),
        np.zeros((3,), np.uint8),
        np.zeros((1, 3, 3, 3), np.uint8),
        np.zeros((1, 3, 3, 3), np.uint16),
        np.array([["a"]]),
        np.array([[None]]),
        5,
        "text",
        None,
    ],
)
def test_arrays_that_the_format_does_not_hold(array):
    message = r"cannot encode an array of dtype .* supported: arrays of bool, uint8, uint16"
    with pytest.raises(TypeError, match=message):
        softcomp_codec.encode(array)


def test_ragged_lists():
    with pytest.raises(ValueError, match="inhomogeneous"):
        softcomp_codec.encode([[1, 2], [3]])


def test_empty_arrays():
    with pytest.raises(ValueError, match="empty array"):
        softcomp_codec.encode(np.zeros((0, 4), np.uint8))


# --- truncation that is allowed -----------------------------------------------------------------


@settings(max_examples=20)
@given(pictures(shapes=SHAPES_OF_MODES), st.booleans(), st.data())
def test_what_is_left_of_a_truncated_file(books, array, uses_book, data):
    book = books[kind_of(array)] if uses_book else None
    whole = softcomp_codec.encode(array, codebook=book)
    header = softcomp_codec.read_header(whole)
    n_bytes = data.draw(st.integers(header.payload_offset, len(whole) - 1))
    cut = whole[:n_bytes]
    with pytest.raises(CorruptStreamError):
        softcomp_codec.decode(cut, codebooks=list(books.values()))
    decoded = decode_file(cut, codebooks=list(books.values()), allow_truncated=True)
    assert not decoded.complete
    assert decoded.array.shape == array.shape
    assert decoded.array.dtype == array.dtype


def test_the_rows_before_the_cut_are_right():
    array = slope(60, 60)
    whole = softcomp_codec.encode(array, codebook=None)
    offset = softcomp_codec.read_header(whole).payload_offset
    cut = whole[: offset + (len(whole) - offset) // 2]
    found = decode_file(cut, allow_truncated=True).array
    assert np.array_equal(found[:20], array[:20])
    assert not found[50:].any()


def test_complete_files_may_be_read_as_truncated():
    array = image("rgb8")
    data = softcomp_codec.encode(array, codebook=None)
    decoded = decode_file(data, allow_truncated=True)
    assert decoded.complete
    assert_same(decoded.array, array)


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "coder"),
    [
        *((mode, container.STORED) for mode in container.MODES),
        *((mode, container.SHAPES) for mode in (0, 1, 2)),
    ],
)
def test_more_pixels_than_this_program_decodes(mode, coder):
    rows = (1 << 13) + 1 if coder == container.SHAPES else (1 << 15) + 1
    for size in ((1 << 15, rows), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1)):
        palette = EMPTY_PALETTE if mode == container.PALETTE.identifier else ()
        header = container.Header(container.MODES[mode], *size, coder, b"", 0, palette)
        with pytest.raises(
            UnsupportedStreamError, match=rf"{size[0]} x {size[1]} pixels .* this program's limit"
        ):
            softcomp_codec.decode(container.write_file(header, b"x"))


@pytest.mark.parametrize(
    ("mode", "size"), [(10, (1 << 15, (1 << 14) + 1)), (9, (1 << 15, 1 << 15)), (10, (1, 1 << 30))]
)
def test_more_bytes_than_this_program_decodes(mode, size):
    mode = container.MODES[mode]
    data = container.write_file(container.Header(mode, *size, container.STORED, b"", 0), b"x")
    for allow_truncated in (False, True):
        with pytest.raises(
            UnsupportedStreamError, match=rf"bytes of {mode.name} samples .* limit of 4294967296"
        ):
            decode_file(data, allow_truncated=allow_truncated)
    array = np.broadcast_to(np.uint16(0), (size[1], size[0], mode.n_planes))
    with pytest.raises(ValueError, match="bytes are more than this program's limit of 4294967296"):
        planes.mode_of_array(array)
    assert planes.mode_of_array(array[: 1 << 13, : 1 << 13]) is mode


def test_too_little_memory_is_our_error(monkeypatch):
    def fail(*arguments, **options):
        raise MemoryError

    data = softcomp_codec.encode(image("gray8", 5, 6), codebook=None)
    monkeypatch.setattr(coders.shapes_coder, "decode_payload", fail)
    with pytest.raises(ScfError, match="not enough memory for 6 x 5 gray8"):
        softcomp_codec.decode(data)
