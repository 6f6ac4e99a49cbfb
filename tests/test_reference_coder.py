"""The reference coder: round trips, agreement with a plain model, hostile data, training."""

import math
from dataclasses import replace
from functools import cache

import naive_reference as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_images import CONTENTS, filled, glyphs, image, images, noise, pictures

from softcomp_codec import planes
from softcomp_codec.container import MODES, Header
from softcomp_codec.errors import (
    CodebookError,
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from softcomp_codec.huffman import code_lengths
from softcomp_codec.kernels import covering_kernels
from softcomp_codec.reference_books import (
    MODE_I,
    MODE_II,
    SCHEMES,
    ReferencePart,
    kind_of_mode,
    reference_plane,
)
from softcomp_codec.reference_coder import (
    count_bits,
    cover,
    decode_payload,
    encode_payload,
    split_plane,
)
from softcomp_codec.reference_training import (
    ReferenceOptions,
    choose_mode,
    log2_fixed,
    train_reference_part,
    without_contained,
)

KIND_OF_SCHEME = {0: "bilevel", 1: "gray8", 2: "rgb8", 3: "rgb8"}
BILEVEL, GRAY, MODE_1, MODE_2 = range(4)


@cache
def trained(scheme_id):
    kind = KIND_OF_SCHEME[scheme_id]
    return train_reference_part(
        images(kind, 8, seed=3, height=20, width=21),
        SCHEMES[scheme_id].mode,
        options=ReferenceOptions(max_side=5, scheme_id=scheme_id if kind == "rgb8" else 0),
    )


@cache
def by_hand(scheme_id, *windows):
    """A part with the given shapes (nested tuples) before the single cells, all equally likely."""
    books = []
    for scheme in SCHEMES[scheme_id].planes:
        layers = [np.array(w, np.uint16) for w in windows]
        layers += [np.array([[v]], np.uint16) for v in range(1, scheme.largest + 1)]
        samples = code_lengths([1] * scheme.n_samples) if scheme.n_samples else np.zeros(0, "u1")
        tiles = np.ones(scheme.n_tiles, np.int64)
        if scheme_id == GRAY:
            tiles = code_lengths([1] * scheme.n_tiles).astype(np.int64)
        books.append(reference_plane(layers, code_lengths([1] * len(layers)), samples, tiles))
    return ReferencePart(scheme_id, tuple(books))


def head(array):
    mode = planes.mode_of_array(array)
    return Header(mode, array.shape[1], array.shape[0], 5, b"", 0)


def schemes_of(array):
    return {0: (BILEVEL,), 1: (GRAY,), 2: (MODE_1, MODE_2)}[kind_of_mode(head(array).mode)]


def check(array, part):
    """Round trip; the same bytes again; length as counted. Returns the payload."""
    mode = head(array).mode
    payload = encode_payload(array, mode, part)
    restored, complete = decode_payload(payload, head(array), part)
    assert complete
    assert restored.dtype == array.dtype
    assert np.array_equal(restored, array)
    assert encode_payload(array, mode, part) == payload
    fields = {0: 8, 1: 17, 2: 27}[part.kind]
    n_bits = count_bits(array, mode, part) - fields - sum(n.bit_length() for n in array.shape[:2])
    n_end_bits = 8 * len(payload) - n_bits
    assert 0 <= n_end_bits < 8 + {0: 6, 1: 63, 2: 0}[part.kind]
    return payload


def as_books(part):
    """What the plain decoder needs."""
    return [
        {
            "shapes": [plane.window(i).tolist() for i in range(len(plane))],
            "lengths": plane.code_lengths.tolist(),
            "samples": plane.sample_lengths.tolist(),
            "tiles": plane.tiles.tolist(),
        }
        for plane in part.planes
    ]


def transformed(array):
    components = planes.split_planes(array, planes.mode_of_array(array))
    if len(components) == 3:
        components = planes.transform_colours(components, planes.RCT)
    return [component.tolist() for component in components]


# --- round trips --------------------------------------------------------------------------------


@given(pictures())
def test_round_trips(array):
    for scheme_id in schemes_of(array):
        check(array, trained(scheme_id))


@pytest.mark.parametrize("scheme_id", SCHEMES)
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("size", [(1, 1), (1, 37), (41, 1), (2, 3), (33, 50)])
def test_round_trips_of_awkward_sizes(scheme_id, content, size):
    mode = SCHEMES[scheme_id].mode
    shape = size if mode.n_planes == 1 else (*size, 3)
    top = (1 << mode.bits_per_sample) - 1
    array = filled(shape, content, top, 5).astype(np.bool_ if top == 1 else np.uint8)
    check(array, trained(scheme_id))
    check(array, by_hand(scheme_id))


@given(pictures(sides=(1, 2, 3, 5, 8, 11)))
def test_a_plain_decoder_agrees(array):
    for scheme_id in schemes_of(array):
        part = trained(scheme_id)
        payload = encode_payload(array, head(array).mode, part)
        found = naive.decode(payload, scheme_id, as_books(part), *array.shape[:2])
        assert found == transformed(array)


@pytest.mark.parametrize("scheme_id", SCHEMES)
def test_typical_images(scheme_id):
    kind = KIND_OF_SCHEME[scheme_id]
    for array in (image(kind, 24, 25, 77), image(kind, 131, 97, 78)):
        payload = check(array, trained(scheme_id))
        assert len(payload) < array.size // (4 if scheme_id == BILEVEL else 1)


# --- the cases on which the published code fails ------------------------------------------------


def test_gray_image_of_one_shape():
    array = np.full((1, 1), 100, np.uint8)
    _, high = split_plane(array.astype(np.int32), SCHEMES[GRAY].planes[0])
    assert np.count_nonzero(high) == 1
    check(array, by_hand(GRAY))


def test_gray_image_whose_shapes_are_all_adjacent():
    array = np.array([[200, 20]], np.uint8)  # the only distance is 1, m = 1
    _, high = split_plane(array.astype(np.int32), SCHEMES[GRAY].planes[0])
    assert np.count_nonzero(high) == 2
    check(array, by_hand(GRAY))


@pytest.mark.parametrize("scheme_id", SCHEMES)
def test_no_shape_at_all(scheme_id):
    mode = SCHEMES[scheme_id].mode
    shape = (9, 7) if mode.n_planes == 1 else (9, 7, 3)
    array = np.zeros(shape, np.bool_ if mode.bits_per_sample == 1 else np.uint8)
    check(array, by_hand(scheme_id))


def test_bilevel_shape_of_more_than_255_cells():
    block = tuple((1,) * 20 for _ in range(20))
    array = np.zeros((50, 60), bool)
    array[3:23, 5:25] = array[25:45, 31:51] = True
    assert len(check(array, by_hand(BILEVEL, block))) <= 10


def test_last_row_and_column_are_mined():
    array = np.zeros((6, 6), bool)
    array[5, 2:] = array[2:, 5] = True
    part = train_reference_part([array] * 4, MODES[0])
    windows = [part.planes[0].window(index).tolist() for index in range(part.n_shapes)]
    assert [[1] * 4] in windows
    assert [[1]] * 4 in windows
    assert len(check(array, part)) <= 4


def test_differences_of_more_than_255():
    array = np.zeros((4, 5, 3), np.uint8)
    array[::2, ::2, 0] = array[1::2, 1::2, 1] = array[::2, 1::2, 2] = 255
    u = np.array(transformed(array)[1])
    assert u.max() - u.min() == 510
    for scheme_id in (MODE_1, MODE_2):
        check(array, by_hand(scheme_id))


def test_negative_chroma_is_predicted_in_mode_2():
    """The authors clamp it to 0..255; a smooth plane of -200 then costs a shape everywhere."""
    array = np.zeros((20, 20, 3), np.uint8)
    array[:, :, 1] = 200
    _, high = split_plane(np.full((20, 20), -200, np.int32), SCHEMES[MODE_2].planes[1])
    assert np.count_nonzero(high) <= 20
    check(array, by_hand(MODE_2))


def test_sides_of_more_than_32767():
    array = noise((1, 40_000), 2, 4).astype(bool)
    check(array, trained(BILEVEL))
    check(array.T.copy(), trained(BILEVEL))


# --- predictors ---------------------------------------------------------------------------------


@given(
    st.sampled_from(CONTENTS),
    st.sampled_from([(1, 1), (1, 9), (9, 1), (2, 2), (3, 7), (24, 31)]),
    st.integers(0, 99),
    st.booleans(),
    st.integers(1, 255),
)
def test_predictors_equal_the_plain_model(content, size, seed, signed, top):
    lowest = -255 if signed else 0
    plane = filled(size, content, top, seed) + (lowest if seed % 2 else 0)
    scheme_ids = (MODE_1, MODE_2)
    models = (naive.Med(), naive.Gap(lowest, 255))
    for scheme_id, model in zip(scheme_ids, models, strict=True):
        scheme = SCHEMES[scheme_id].planes[1 if signed else 0]
        low, high = split_plane(plane.astype(np.int32), scheme)
        mapped = high.astype(np.int64) << scheme.low_bits | low
        assert mapped.tolist() == naive.mapped_residuals(plane.tolist(), model)


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_fixed_point_is_the_published_real_arithmetic(kind):
    """Sums halved a few times are still whole 65536ths, so nothing differs at these sizes."""
    plane = [
        image("gray8", 60, 50, 5).astype(np.int64),
        noise((40, 50), 256, 9),
        filled((40, 50), "slope", 255, 3),
        glyphs(60, 60, 2).astype(np.int64) * 90 + noise((60, 60), 3, 1),
    ][kind].tolist()
    rounded = naive.mapped_residuals(plane, naive.Gap(0, 255))
    assert rounded == naive.mapped_residuals(plane, naive.Gap(0, 255, exact=True))


# --- covering -----------------------------------------------------------------------------------


@given(st.integers(0, 300), st.sampled_from([(1, 1), (3, 9), (12, 13)]), st.data())
def test_covering_equals_the_plain_one(seed, size, data):
    shapes = []
    for index in range(data.draw(st.integers(0, 6))):
        sides = data.draw(st.sampled_from([(1, 2), (2, 1), (2, 2), (3, 2), (1, 3)]))
        shape = noise(sides, 3, 10 * seed + index)
        if shape.any():
            shapes.append(shape)
    layer = noise(size, 3, seed) * (noise(size, 3, seed + 1) > 0)
    for index, shape in enumerate(shapes):
        top, left = noise((2,), 1 << 20, seed + index).tolist()
        window = layer[top % size[0] :, left % size[1] :][: shape.shape[0], : shape.shape[1]]
        window[:] = shape[: window.shape[0], : window.shape[1]]
    part = by_hand(MODE_1, *(tuple(map(tuple, shape.tolist())) for shape in shapes))
    placed, locations = cover(layer.astype(np.uint16), part.planes[0])
    found = list(zip(locations.tolist(), placed.tolist(), strict=True))
    assert found == naive.cover(layer.tolist(), as_books(part)[0]["shapes"])


def test_covering_where_windows_are_too_many():
    sizes = sorted(((h, w) for h in range(1, 13) for w in range(1, 13)), key=lambda s: -s[0] * s[1])
    windows = [tuple((1,) * w for _ in range(h)) for h, w in sizes[:-1]]
    part = by_hand(BILEVEL, *windows)
    layer = (noise((40, 37), 40, 3) > 0).astype(np.uint16)
    full = np.ones((40, 37), np.uint16)
    assert 2 * covering_kernels._LEAST_ROOM < 12 * 12 * 30 * 27
    for cells in (layer, full):
        placed, locations = cover(cells, part.planes[0])
        found = list(zip(locations.tolist(), placed.tolist(), strict=True))
        assert found == naive.cover(cells.tolist(), as_books(part)[0]["shapes"])
        check(cells.astype(bool), part)


# --- hostile payloads ---------------------------------------------------------------------------


def payload_of(text):
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def golomb(n, m):
    k = (m - 1).bit_length()
    c, r = (1 << k) - m, n % m
    tail = format(r, f"0{k - 1}b") if r < c and k > 1 else format(r + c, f"0{k}b") if r >= c else ""
    return "1" * (n // m) + "0" + (tail if k else "")


PAIR = ((1, 1),)
WORDS = {"pair": "0", "one": "1"}


def bilevel_payload(m, row, column, *shapes_and_distances):
    """Of an image of 4 x 5, with the shapes `pair` (1 x 2) and `one`."""
    text = f"{m:05b}{row:03b}{column:03b}"
    for item in shapes_and_distances:
        text += WORDS[item] if isinstance(item, str) else golomb(item, m)
    return payload_of(text)


def decode_bilevel(payload, **options):
    return decode_payload(
        payload, Header(MODES[0], 5, 4, 5, b"", 0), by_hand(BILEVEL, PAIR), **options
    )


def test_a_payload_by_hand():
    found, complete = decode_bilevel(bilevel_payload(3, 1, 2, "pair", 7, "one", 1, "pair", 0))
    assert complete
    assert found.astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1],
        [1, 1, 0, 0, 0],
    ]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ((3, 4, 0, "one", 0), "bit 11, placement 0: a location"),
        ((3, 1, 5, "one", 0), "bit 11, placement 0: a location"),
        ((3, 3, 4, "one", 1, "one", 0), r"bit 15, placement 1: a location"),
        ((3, 0, 0, "one", 20, "one", 0), r"placement 1: a location"),
        ((31, 0, 0, "one", 31 * 60, "one", 0), r"placement 1: a location"),
        ((3, 0, 4, "pair", 0), "bit 12, placement 0: a shape reaches outside"),
        ((3, 0, 1, "pair", 1, "one", 0), "placement 1: a shape lies on another"),
    ],
)
def test_hostile_shapes(items, message):
    for options in ({}, {"allow_truncated": True}):
        with pytest.raises(CorruptStreamError, match=message) as caught:
            decode_bilevel(bilevel_payload(*items), **options)
        assert not isinstance(caught.value, TruncatedStreamError)


def test_no_such_codeword():
    part = by_hand(BILEVEL)  # one shape, codeword 0
    with pytest.raises(CorruptStreamError, match="placement 0: no shape has this codeword"):
        decode_payload(
            payload_of("00001" + "000000" + "1" * 24), Header(MODES[0], 5, 4, 5, b"", 0), part
        )


@pytest.mark.parametrize(
    ("n_zeros", "message"), [(3, "a location lies|a shape lies"), (40, "is too large")]
)
def test_number_of_shapes(n_zeros, message):
    array = np.full((1, 1), 3, np.uint8)
    tile = "0" * 4  # the only sample
    text = tile + f"{5:010b}" + "0" * n_zeros + "1" + "0" * 60
    with pytest.raises(CorruptStreamError, match=message):
        decode_payload(payload_of(text), head(array), by_hand(GRAY))


@pytest.mark.parametrize("scheme_id", SCHEMES)
def test_truncated_and_extended(scheme_id):
    array = image(KIND_OF_SCHEME[scheme_id], 15, 17, 6)
    part = trained(scheme_id)
    payload = check(array, part)
    for n_bytes in range(len(payload)):
        with pytest.raises(TruncatedStreamError):
            decode_payload(payload[:n_bytes], head(array), part)
        found, complete = decode_payload(payload[:n_bytes], head(array), part, allow_truncated=True)
        assert not complete
        assert found.shape == array.shape
    for tail in (b"\0", b"\1", b"\0" * 9):
        with pytest.raises(CorruptStreamError, match="bytes follow the last shape"):
            decode_payload(payload + tail, head(array), part)


def test_rows_that_are_known_survive_truncation():
    array = image("bilevel", 60, 40, 8)
    part = trained(BILEVEL)
    payload = encode_payload(array, MODES[0], part)
    found, complete = decode_payload(payload[: len(payload) // 2], head(array), part, True)
    assert not complete
    known = np.flatnonzero(found.any(axis=1)).max() + 1
    assert known > 10
    assert np.array_equal(found[:known], array[:known])
    colours = image("rgb8", 30, 40, 8)
    payload = encode_payload(colours, MODES[2], trained(MODE_1))
    found, _ = decode_payload(payload[:-3], head(colours), trained(MODE_1), True)
    assert found.any()


def test_padding_bits():
    payload = bilevel_payload(3, 1, 2, "pair", 0)  # 5 + 3 + 3 + 1 + 2 bits
    assert len(payload) == 2
    with pytest.raises(CorruptStreamError, match="padding"):
        decode_bilevel(payload[:1] + bytes([payload[1] | 1]))


@given(st.sampled_from(sorted(SCHEMES)), st.binary(max_size=60), st.booleans())
def test_random_bytes(scheme_id, data, allow_truncated):
    mode = SCHEMES[scheme_id].mode
    header = Header(mode, 9, 7, 5, b"", 0)
    try:
        array, _ = decode_payload(data, header, trained(scheme_id), allow_truncated)
    except ScfError:
        return
    assert array.shape[:2] == (7, 9)


@given(st.sampled_from(sorted(SCHEMES)), st.integers(0, 10**6), st.integers(0, 7))
def test_flipped_bits(scheme_id, where, bit):
    array = image(KIND_OF_SCHEME[scheme_id], 15, 17, 6)
    data = bytearray(encode_payload(array, head(array).mode, trained(scheme_id)))
    data[where % len(data)] ^= 1 << bit
    try:
        found, _ = decode_payload(bytes(data), head(array), trained(scheme_id))
    except ScfError:
        return
    assert found.shape == array.shape


def test_another_kind_of_image():
    array = image("gray8")
    with pytest.raises(CodebookError, match="rgb8"):
        encode_payload(array, MODES[1], trained(MODE_1))
    with pytest.raises(CodebookError, match="bilevel"):
        decode_payload(b"", head(array), trained(BILEVEL))


# --- parts of codebooks -------------------------------------------------------------------------


@pytest.mark.parametrize("scheme_id", SCHEMES)
def test_parts_come_back(scheme_id):
    for part in (trained(scheme_id), by_hand(scheme_id)):
        data = part.to_bytes()
        again = ReferencePart.from_bytes(data)
        assert again.to_bytes() == data
        assert again.kind == part.kind
        array = image(KIND_OF_SCHEME[scheme_id], 15, 17, 6)
        mode = head(array).mode
        assert encode_payload(array, mode, again) == encode_payload(array, mode, part)


@pytest.mark.parametrize("scheme_id", SCHEMES)
def test_truncated_and_extended_parts(scheme_id):
    data = trained(scheme_id).to_bytes()
    step = max(1, len(data) // 300)
    for n_bytes in range(0, len(data), step):
        with pytest.raises(CorruptStreamError):
            ReferencePart.from_bytes(data[:n_bytes])
    with pytest.raises(CorruptStreamError, match="1 bytes follow"):
        ReferencePart.from_bytes(data + b"\0")


@given(st.sampled_from((BILEVEL, MODE_1, MODE_2)), st.integers(0, 10**6), st.integers(0, 255))
def test_damaged_parts_are_refused_or_serve(scheme_id, where, byte):
    data = bytearray(trained(scheme_id).to_bytes())
    data[where % len(data)] = byte
    try:
        part = ReferencePart.from_bytes(bytes(data))
    except ScfError:
        return
    if part.scheme_id == scheme_id:
        check(image(KIND_OF_SCHEME[scheme_id], 9, 10, 6), part)


def test_rules_of_parts():
    part = by_hand(BILEVEL, PAIR)
    plane = part.planes[0]

    def refused(message, kind=CorruptStreamError, **changes):
        with pytest.raises(kind, match=message):
            ReferencePart.from_bytes(replace(part, planes=(replace(plane, **changes),)).to_bytes())

    assert len(part.to_bytes()) == 1 + 1 + 2 + 2 + 3 + 2
    refused("holds 2, expected at most 1", cells=np.array([1, 2, 1], np.uint16))
    refused("a shape is empty", cells=np.array([0, 0, 1], np.uint16))
    refused("no cells", widths=np.array([2, 0], np.int32))
    refused("single cell is missing", cells=np.array([1, 1, 1, 0], np.uint16),
            widths=np.array([2, 2], np.int32))  # fmt: skip
    refused("shapes that no prefix", code_lengths=np.array([1, 0], np.uint8))
    with pytest.raises(CorruptStreamError, match="missing"):
        ReferencePart.from_bytes(b"\0\0")
    with pytest.raises(UnsupportedStreamError, match="scheme 4"):
        ReferencePart.from_bytes(b"\4")
    with pytest.raises(CorruptStreamError, match="number of shapes is"):
        ReferencePart.from_bytes(b"\0" + b"\xff" * 4 + b"\1")
    colour = by_hand(MODE_1)
    tiles = colour.planes[2].tiles.copy()
    tiles[7] = 0
    damaged = (*colour.planes[:2], replace(colour.planes[2], tiles=tiles))
    with pytest.raises(CorruptStreamError, match="frequency 0"):
        ReferencePart.from_bytes(ReferencePart(MODE_1, damaged).to_bytes())
    lengths = np.zeros(16, np.uint8)
    damaged = (replace(colour.planes[0], sample_lengths=lengths), *colour.planes[1:])
    with pytest.raises(CorruptStreamError, match="samples that no prefix"):
        ReferencePart.from_bytes(ReferencePart(MODE_1, damaged).to_bytes())


# --- training -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme_id", [BILEVEL, MODE_2])
def test_training_does_not_depend_on_order_or_threads(scheme_id):
    kind = KIND_OF_SCHEME[scheme_id]
    set_ = images(kind, 8, seed=3, height=20, width=21)
    options = ReferenceOptions(max_side=5, scheme_id=MODE_II if kind == "rgb8" else 0)
    mode = SCHEMES[scheme_id].mode
    again = train_reference_part(set_[::-1], mode, options=options, workers=2)
    assert again.to_bytes() == trained(scheme_id).to_bytes()


def test_order_of_covering_and_thresholds():
    part = trained(BILEVEL)
    filled_cells = [np.count_nonzero(part.planes[0].window(i)) for i in range(part.n_shapes)]
    assert filled_cells == sorted(filled_cells, reverse=True)
    pattern = np.zeros((9, 9), bool)
    pattern[2, 2:5] = True
    blank = np.zeros((9, 9), bool)
    for n_patterns, n_shapes in ((1, 2), (2, 3), (3, 3)):  # once is never enough
        arrays = [pattern] * n_patterns + [blank] * (10 - n_patterns)
        part = train_reference_part(arrays, MODES[0])
        assert part.n_shapes == n_shapes
    arrays = [pattern] * 2 + [blank] * 298  # 0.01 of the images, not more
    assert train_reference_part(arrays, MODES[0]).n_shapes == 2  # 1 x 2 occurs 4 times, 1 x 3 twice
    groups = [0] * 2 + [1] * 298
    assert train_reference_part(arrays, MODES[0], groups=groups).n_shapes == 3


def test_contained_windows():
    def key(rows):
        window = np.array(rows, np.uint16)
        return window.shape, window.tobytes()

    inner, outer, other = key([[1, 2]]), key([[1, 2], [3, 1]]), key([[3, 1]])
    column = key([[2], [1]])
    windows = {inner: 5, outer: 5, other: 6, column: 5, key([[2, 2]]): 5}
    assert set(without_contained(windows)) == {outer, other, key([[2, 2]])}
    assert without_contained({}) == {}


def test_logarithms_of_whole_numbers():
    """The result n / 2**24 is exact: 2**(n / 2**24) <= number < 2**((n + 1) / 2**24)."""
    for number in (1, 2, 3, 5, 7, 1000, 65535, 65536, 10**9 + 7, 2**40 - 1):
        expected = math.log2(number) * 2**24
        assert log2_fixed(number) in (math.floor(expected - 1e-5), math.floor(expected + 1e-5))
    assert [log2_fixed(1 << n) for n in (0, 1, 31)] == [0, 1 << 24, 31 << 24]


def test_mode_is_chosen_by_entropy():
    def lumas(arrays):
        return [[np.array(p, np.int32) for p in transformed(array)] for array in arrays]

    smooth = images("rgb8", 4, seed=1, height=40, width=40)
    rough = [noise((40, 40, 3), 256, seed).astype(np.uint8) for seed in range(4)]
    flat = [np.full((40, 40, 3), 7, np.uint8)]
    assert choose_mode(lumas(flat)) == MODE_I
    chosen = {
        name: choose_mode(lumas(set_)) for name, set_ in (("smooth", smooth), ("rough", rough))
    }
    for name, set_ in (("smooth", smooth), ("rough", rough)):
        part = train_reference_part(set_, MODES[2])
        assert part.scheme_id == chosen[name]


def test_mistakes_of_callers():
    with pytest.raises(ValueError, match="no images"):
        train_reference_part([], MODES[0])
    with pytest.raises(ValueError, match="2 groups for 1"):
        train_reference_part([glyphs(5, 5)], MODES[0], groups=[1, 2])
    with pytest.raises(ValueError, match="among"):
        train_reference_part([image("gray8")], MODES[0])
    with pytest.raises(ValueError, match="scheme 2"):
        train_reference_part([glyphs(5, 5)], MODES[0], options=ReferenceOptions(scheme_id=2))
