"""The few-colour coder by itself: round trips, limits, damage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_images import colours, glyphs, noise, slope

import softcomp_codec
from softcomp_codec import container, few_colour_coder, planes
from softcomp_codec.container import Header
from softcomp_codec.errors import (
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from softcomp_codec.few_colour_coder import COMPONENTS, EXPLICIT, MAX_COLOURS
from softcomp_codec.tracing import trace_file

SHAPES = {"gray": (), "gray-axis": (1,), "la": (2,), "rgb": (3,), "rgba": (4,)}


def header_of(array):
    mode = planes.mode_of_array(array)
    return Header(mode, array.shape[1], array.shape[0], container.FEW_COLOUR, b"", 0)


def payload_of(array, **options):
    return few_colour_coder.encode_payload(array, planes.mode_of_array(array), **options)


def decoded(payload, array, **options):
    return few_colour_coder.decode_payload(payload, header_of(array), **options)


def check(array, **options):
    payload = payload_of(array, **options)
    if payload is None:
        return None
    found, complete = decoded(payload, array)
    np.testing.assert_array_equal(found, array, strict=True)
    assert complete
    return payload


def content(name, height, width, n_planes, seed=0):
    shape = (height, width, n_planes)
    if name == "one colour":
        return np.full(shape, 7 + seed, np.uint8)
    if name == "noise":
        return noise(shape, 256, seed).astype(np.uint8)
    if name == "dithered":
        palette = noise((3, n_planes), 256, seed).astype(np.uint8)
        return palette[noise((height, width), 3, seed + 1)]
    if name == "repeats":
        tile = noise((5, 7, n_planes), 256, seed).astype(np.uint8)
        return np.tile(tile, (height // 5 + 1, width // 7 + 1, 1))[:height, :width]
    if name == "gradient":
        rows, columns = np.mgrid[:height, :width]
        return np.stack([(rows * (k + 1) + columns) % 256 for k in range(n_planes)], axis=2).astype(
            np.uint8
        )
    if name == "text":
        page = glyphs(height, width, seed).astype(np.uint8)[:, :, None]
        return np.where(page, np.uint8(20), np.uint8(250)) + np.zeros(n_planes, np.uint8)
    raise ValueError(name)


CONTENTS = ("one colour", "noise", "dithered", "repeats", "gradient", "text")


@pytest.mark.parametrize("form", SHAPES)
@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 3), (1, 64), (64, 1), (17, 40)])
def test_round_trips(form, name, size):
    axis = SHAPES[form]
    check(content(name, *size, axis[0] if axis else 1).reshape(*size, *axis))


@given(st.integers(1, 64), st.integers(1, 64), st.sampled_from(list(SHAPES)), st.data())
def test_any_size(height, width, form, data):
    axis = SHAPES[form]
    name = data.draw(st.sampled_from(CONTENTS))
    effort = data.draw(st.integers(1, 9))
    array = content(name, height, width, axis[0] if axis else 1, data.draw(st.integers(0, 99)))
    check(array.reshape(height, width, *axis), effort=effort)


@pytest.mark.parametrize("effort", range(1, 10))
@pytest.mark.parametrize("form", SHAPES)
def test_every_effort(effort, form):
    axis = SHAPES[form]
    for name in ("dithered", "gradient", "text"):
        array = content(name, 20, 30, axis[0] if axis else 1).reshape(20, 30, *axis)
        payload = check(array, effort=effort)
        if payload is not None:
            assert payload[0] & 15 == few_colour_coder.CONTEXTS_BY_EFFORT[effort]


def test_hidden_colours_of_transparent_pixels():
    array = colours(30, 30, 1)
    alpha = np.zeros((30, 30, 1), np.uint8)
    alpha[5:20, 5:20] = 255
    picture = np.concatenate([array, alpha], axis=2)
    assert check(picture) is not None


def test_wide_and_high():
    strip = np.repeat(noise((1, 1000), 5), 66, axis=1)[:, :65535].astype(np.uint8)
    assert len(check(strip)) < 3000
    assert len(check(np.ascontiguousarray(strip.T))) < 3000


def test_kinds():
    few = content("dithered", 40, 40, 3)
    many = np.dstack([slope(64, 64, k) for k in range(3)])
    kinds = [payload_of(few)[0] >> 4, payload_of(many)[0] >> 4]
    assert kinds == [EXPLICIT, COMPONENTS]
    assert len(np.unique(many.reshape(-1, 3), axis=0)) > 1000


def test_more_colours_than_are_listed():
    rows, columns = np.mgrid[:128, :128]
    array = np.stack([rows, columns, rows ^ columns], axis=2).astype(np.uint8)
    assert check(array)[0] >> 4 == COMPONENTS


def test_repeats_cost_next_to_nothing():
    one = noise((24, 24, 3), 256).astype(np.uint8)
    array = np.concatenate([one, one, one, one], axis=1)
    rows = np.concatenate([array, array])
    assert len(check(rows)) < 1.4 * one.size


def test_flat_images_take_a_few_bytes():
    assert len(check(np.full((300, 300, 3), 9, np.uint8))) < 30
    data = softcomp_codec.encode(np.full((300, 300, 4), 9, np.uint8), codebook=None)
    assert len(data) < 60


@pytest.mark.parametrize("form", SHAPES)
def test_no_expansion(form):
    for size in ((1, 1), (2, 3), (40, 40)):
        array = noise((*size, *SHAPES[form]), 256).astype(np.uint8)
        data = softcomp_codec.encode(array, codebook=None, coder="few-colour")
        assert len(data) <= array.nbytes + 32
        assert np.array_equal(softcomp_codec.decode(data), array)


def test_auto_chooses_it_for_few_colours_only():
    few = content("dithered", 64, 64, 3)
    few[10:50, 10:50] = few[0, 0]
    photograph = np.dstack([slope(64, 64, k) for k in range(3)])
    coders = [
        container.read_header(softcomp_codec.encode(each, codebook=None)).coder
        for each in (few, photograph)
    ]
    assert coders[0] == container.FEW_COLOUR
    assert coders[1] != container.FEW_COLOUR
    assert few_colour_coder.may_win([few])
    assert not few_colour_coder.may_win([photograph])
    assert not few_colour_coder.may_win([noise((50, 50), 256).astype(np.uint8)])


def test_the_choice_is_for_8_bits_only():
    deep = noise((9, 9), 65536).astype(np.uint16)
    for array in (deep, glyphs(20, 20, 1)):
        data = softcomp_codec.encode(array, codebook=None, coder="few-colour")
        assert container.read_header(data).coder != container.FEW_COLOUR
        assert np.array_equal(softcomp_codec.decode(data), array)


def test_files_cannot_be_explained():
    data = softcomp_codec.encode(content("dithered", 30, 30, 3), codebook=None, coder="few-colour")
    with pytest.raises(UnsupportedStreamError, match="few-colour coder cannot be explained"):
        trace_file(data)


def test_frames():
    arrays = [content("dithered", 30, 30, 3, seed) for seed in range(3)]
    data = softcomp_codec.encode_frames(arrays, codebook=None, coder="few-colour")
    assert all(map(np.array_equal, softcomp_codec.decode_frames(data), arrays))


def test_keys():
    for n_planes in (1, 2, 3, 4):
        array = noise((5, 6, n_planes), 256).astype(np.uint8)
        keys = few_colour_coder.keys_of(array)
        assert np.array_equal(few_colour_coder.array_of(keys, n_planes), array)
    assert few_colour_coder.keys_of(np.uint8([[[1, 2, 3]]]))[0, 0] == 0xFF020103
    assert few_colour_coder.keys_of(np.uint8([[[1, 2, 3, 4]]]))[0, 0] == 0x04020103
    assert few_colour_coder.keys_of(np.uint8([[5]]))[0, 0] == 0xFF050505


def naive_tree(points):
    """The order of (axes, key), by the recursion of SPEC 5E.4."""
    if len(points) < 2:
        return points
    spans = [max(p[0][k] for p in points) - min(p[0][k] for p in points) for k in range(4)]
    axis = spans.index(max(spans))
    points = sorted(points, key=lambda p: (p[0][axis], *p[0], p[1]))
    half = 1
    while 2 * half < len(points):
        half *= 2
    return naive_tree(points[:half]) + naive_tree(points[half:])


@given(st.sets(st.integers(0, 2**32 - 1), min_size=1, max_size=90))
def test_tree_order(keys):
    points = []
    for key in sorted(keys):
        alpha, green, red, blue = (key >> shift & 255 for shift in (24, 16, 8, 0))
        luma = (2 * red + 5 * green + blue) >> 2
        points.append(((2 * alpha, luma, 2 * (red - green), 2 * (blue - green)), key))
    found = few_colour_coder.in_tree_order(np.array(sorted(keys), np.uint32))
    assert found.tolist() == [key for _, key in naive_tree(points)]


# --- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dithered", "gradient"])
@pytest.mark.parametrize("n_planes", [1, 3, 4])
def test_truncation(name, n_planes):
    array = content(name, 24, 24, n_planes)
    array = array if n_planes > 1 else array[:, :, 0]
    payload = payload_of(array)
    n_refused = 0
    for n_bytes in range(0, len(payload), 3):
        found, complete = decoded(payload[:n_bytes], array, allow_truncated=True)
        assert found.shape == array.shape
        try:
            another, _ = decoded(payload[:n_bytes], array)
        except (TruncatedStreamError, CorruptStreamError):
            assert not complete
            n_refused += 1
        else:  # fewer bytes may happen to be the code of another picture
            assert not np.array_equal(another, array)
    assert n_refused >= len(payload) // 3 - 2
    for more in (b"\0", b"\xff\xff\xff"):
        with pytest.raises(CorruptStreamError, match="bytes follow"):
            decoded(payload + more, array)


def test_a_truncated_picture_keeps_its_first_rows():
    array = content("noise", 60, 60, 1)[:, :, 0] & 0xF0
    payload = payload_of(array)
    found, complete = decoded(payload[: len(payload) // 2], array, allow_truncated=True)
    assert not complete
    assert np.array_equal(found[:20], array[:20])
    assert not found[-10:].any()


def test_bit_flips_end_well():
    array = content("dithered", 12, 12, 3)
    data = softcomp_codec.encode(array, codebook=None, coder="few-colour")
    assert container.read_header(data).coder == container.FEW_COLOUR
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = softcomp_codec.decode(bytes(damaged))
        except ScfError:
            continue
        assert np.array_equal(found, array)


@given(st.binary(max_size=60), st.sampled_from(list(SHAPES)), st.integers(0, 1))
def test_any_payload(tail, form, kind):
    array = np.zeros((7, 9, *SHAPES[form]), np.uint8)
    try:
        found, complete = decoded(bytes([kind << 4 | 5]) + tail, array)
    except ScfError:
        return
    assert complete
    assert found.shape == array.shape


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "settings"),
        (b"\x25\1", "kind 2"),
        (b"\x00", "0 contexts"),
        (b"\x0f", "15 contexts"),
        (b"\x15\0", "palette of no colours"),
        (b"\x15\x65", "number of colours is 101"),
        (b"\x15\x80\x80\x08", "number of colours is"),
        (b"\x15", "number of colours"),
        (b"\x15\x02\xff\xff\xff\xff\xff\xff", "not in ascending order|ends|follow"),
    ],
)
def test_bad_payloads(payload, message):
    with pytest.raises(ScfError, match=message):
        decoded(payload, np.zeros((10, 10, 3), np.uint8))


def test_huge_pictures_in_a_few_bytes_end_early():
    mode = container.MODES[8]
    for width, height in ((1 << 14, 1 << 9), (1 << 23, 1)):
        header = Header(mode, width, height, container.FEW_COLOUR, b"", 0)
        with pytest.raises(ScfError):
            few_colour_coder.decode_payload(b"\x05\1\2\3", header)
    assert MAX_COLOURS == 65536
