"""Layers, planes, colour transforms and canonical samples: forth, back, and refusals."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_images import SHAPES_OF_MODES, filled, noise, pictures
from PIL import Image

from softcomp_codec import planes
from softcomp_codec.container import MAX_PIXELS, MODES, checksum
from softcomp_codec.layers import mapped_above, shape_layer

# --- layers -------------------------------------------------------------------------------------


@given(st.integers(0, 9), st.sampled_from([1, 255, 510]), st.integers(0, 99))
def test_layers_come_back(low_bits, largest, seed):
    mapped = noise((5, 7), largest + 1, seed).astype(np.uint16)
    high = shape_layer(mapped, low_bits)
    above = mapped_above(high, low_bits)
    assert high.dtype == above.dtype == np.uint16
    assert high.tolist() == (mapped.astype(int) // 2**low_bits).tolist()
    assert above.tolist() == (mapped.astype(int) // 2**low_bits * 2**low_bits).tolist()
    assert np.array_equal(above | mapped % 2**low_bits, mapped)


# --- colour transforms --------------------------------------------------------------------------

EXTREMES = np.array(np.meshgrid(*[[0, 1, 127, 128, 254, 255]] * 3)).reshape(3, -1, 1)


@pytest.mark.parametrize("transform", planes.TRANSFORM_NAMES)
def test_colour_transforms_come_back(transform):
    for image in (EXTREMES, noise((3, 40, 50), 256)):
        components = list(image.astype(np.int32))
        coded = planes.transform_colours(components, transform)
        assert len(coded) == 3 + (transform == planes.LATTICE)
        ranges = planes.plane_ranges(MODES[2], transform)
        for plane, (lowest, highest) in zip(coded, ranges, strict=True):
            assert plane.dtype == np.int32
            assert lowest <= plane.min()
            assert plane.max() <= highest
        for plane, found in zip(components, planes.restore_colours(coded, transform), strict=True):
            assert np.array_equal(plane, found)


@pytest.mark.parametrize(
    ("transform", "coded"),
    [
        (planes.NO_TRANSFORM, (200, 100, 51)),
        (planes.RCT, (100 + ((100 - 49) >> 2), 100, -49)),  # G + floor((U + V) / 4), R - G, B - G
        (planes.GREEN_DIFFERENCE, (100, 100, -49)),
    ],
)
def test_colour_transforms_by_hand(transform, coded):
    pixel = [np.array([[value]], np.int32) for value in (200, 100, 51)]
    assert tuple(int(p[0, 0]) for p in planes.transform_colours(pixel, transform)) == coded


def test_floor_division_of_negative_sums():
    pixel = [np.array([[value]], np.int32) for value in (0, 1, 1)]  # U + V = -1
    assert planes.transform_colours(pixel, planes.RCT)[0][0, 0] == 0  # 1 + floor(-1 / 4)


def test_ranges():
    assert planes.plane_ranges(MODES[0], 0) == [(0, 1)]
    assert planes.plane_ranges(MODES[1], 0) == [(0, 255)]
    assert planes.plane_ranges(MODES[2], 0) == [(0, 255)] * 3
    for transform in (1, 2):
        assert planes.plane_ranges(MODES[2], transform) == [(0, 255), (-255, 255), (-255, 255)]


# --- arrays -------------------------------------------------------------------------------------


@given(pictures(shapes=SHAPES_OF_MODES))
def test_planes_and_samples_come_back(array):
    mode = planes.mode_of_array(array)
    split = planes.split_planes(array, mode)
    assert [plane.shape for plane in split] == [array.shape[:2]] * mode.n_planes
    assert all(plane.dtype == np.int32 and plane.flags.c_contiguous for plane in split)
    height, width = array.shape[:2]
    samples = planes.canonical_samples(array, mode)
    assert len(samples) == mode.raw_size(width, height)
    for found in (
        planes.merge_planes(split, mode),
        planes.array_from_samples(samples, mode, width, height),
    ):
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        assert np.array_equal(found, array)
        assert found.flags.c_contiguous
        assert found.flags.writeable


@pytest.mark.parametrize("pillow_mode", ["1", "I;16", "L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (8, 2), (9, 5), (16, 1), (23, 17)])
def test_canonical_samples_are_those_of_pillow(pillow_mode, size):
    raw = noise((size[1], size[0], 4), 256).astype(np.uint8)
    if pillow_mode == "I;16":
        image = Image.fromarray(raw.view(np.uint16)[:, :, 0])
    else:
        image = Image.fromarray(raw).convert(pillow_mode)
    array = planes.array_from_pillow(image)
    mode = planes.mode_of_array(array)
    assert mode.pillow_mode == pillow_mode
    samples = planes.canonical_samples(array, mode)
    assert samples == image.tobytes()
    assert Image.frombytes(pillow_mode, size, samples).tobytes() == samples
    description = bytes([mode.identifier]) + b"".join(n.to_bytes(4, "little") for n in size)
    assert checksum(mode, *size, samples) == zlib.crc32(description + samples)


def test_bilevel_rows_start_new_bytes():
    array = np.zeros((2, 9), bool)
    array[0, 0] = array[0, 8] = array[1, 7] = True
    assert planes.canonical_samples(array, MODES[0]).hex() == "80800100"


@pytest.mark.parametrize("mode", [MODES[0], MODES[4]])
def test_padding_bits_must_be_zero(mode):
    assert planes.array_from_samples(b"\x80\x80", mode, 9, 1).sum() == 2
    with pytest.raises(ValueError, match="padding bits"):
        planes.array_from_samples(b"\x80\xc0", mode, 9, 1)


@pytest.mark.parametrize(
    ("dtype", "shape", "identifier"),
    [
        (bool, (3, 2), 0),
        (np.uint8, (3, 2), 1),
        (np.uint8, (3, 2, 3), 2),
        (np.uint8, (3, 2, 1), 3),
        (bool, (3, 2, 1), 4),
        (np.uint8, (3, 3), 1),
        (np.uint8, (1, 1, 1), 3),
        (np.uint16, (3, 2), 5),
        (">u2", (3, 2), 5),
        ("<u2", (3, 2), 5),
        (np.uint16, (3, 2, 1), 6),
        (np.uint8, (3, 2, 2), 7),
        (np.uint8, (3, 2, 4), 8),
        (np.uint16, (3, 2, 3), 9),
        (">u2", (3, 2, 4), 10),
        (np.uint16, (3, 2, 2), 11),
        (np.uint16, (1, 1, 1), 6),
    ],
)
def test_modes_of_arrays(dtype, shape, identifier):
    assert planes.mode_of_array(np.zeros(shape, dtype)).identifier == identifier


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        *[(dtype, (4, 5)) for dtype in
          ("c8", "S2", "S3", "V2", "U2", "O", "M8[s]", "g")],
        *[(dtype, shape) for dtype in ("u1", "u2", ">u2", "f4") for shape in
          ((5,), (), (4, 5, 4097), (2, 4, 5, 3), (3, 4, 5, 1))],
        (bool, (5,)),
    ],
)  # fmt: skip
def test_arrays_that_the_format_does_not_hold(dtype, shape):
    array = np.zeros(shape, dtype)
    with pytest.raises(TypeError) as caught:
        planes.mode_of_array(array)
    text = str(caught.value)
    assert f"dtype {array.dtype} and shape {array.shape}" in text
    assert "supported: arrays of bool, uint8, uint16" in text
    assert "1, L, RGB, I;16, LA, RGBA" in text


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (0, 5, 3), (5, 5, 0)])
def test_empty_arrays(shape):
    with pytest.raises(ValueError, match=r"cannot encode an empty array of shape \(\d"):
        planes.mode_of_array(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(1, MAX_PIXELS + 1), (1 << 15, (1 << 15) + 1), (2**31, 1)])
@pytest.mark.parametrize("n_planes", [None, 1, 3])
def test_arrays_with_too_many_pixels(shape, n_planes):
    shape = shape if n_planes is None else (*shape, n_planes)
    array = np.broadcast_to(np.uint8(0), shape)
    with pytest.raises(ValueError, match=f"more pixels than this program's limit of {MAX_PIXELS}"):
        planes.mode_of_array(array)
    assert planes.mode_of_array(array[: 1 << 14, : 1 << 14]).bits_per_sample == 8


@pytest.mark.parametrize("mode", ["P", "PA"])
def test_indices_without_their_palette_are_refused(mode):
    with pytest.raises(
        OSError, match=rf"mode {mode} as SCF; supported modes: 1, L, RGB, I;16, .*its indices mean"
    ):
        planes.array_from_pillow(Image.new(mode, (3, 2)))


@pytest.mark.parametrize("mode", ["I;16B", "I;16L", "I;16N"])
def test_16_bits_come_in_native_order(mode):
    raw = np.array([[0, 300, 65535]], ">u2" if mode == "I;16B" else "<u2")
    image = Image.frombytes(mode, (3, 1), raw.tobytes())
    array = planes.array_from_pillow(image)
    assert array.dtype == np.uint16
    assert array.tolist() == raw.tolist()


def test_pillow_images_come_as_they_are():
    for shape, dtype in (
        ((4, 5), bool), ((4, 5), np.uint8), ((4, 5, 3), np.uint8),
        ((4, 5), np.uint16), ((4, 5, 2), np.uint8), ((4, 5, 4), np.uint8),
    ):  # fmt: skip
        top = 65535 if dtype is np.uint16 else 255
        array = filled(shape, "noise", top).astype(dtype)
        found = planes.array_from_pillow(Image.fromarray(array))
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)
