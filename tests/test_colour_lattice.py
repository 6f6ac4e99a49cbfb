"""Pixels to and from YCbCr triples: libjpeg's conversion, round trips, damage, the share."""

import io

import numpy as np
import pytest
from made_images import noise
from PIL import Image

from softcomp_codec import colour_lattice, worker_threads
from softcomp_codec.colour_lattice import CORRECTIONS, lattice_share, merge_lattice, split_lattice
from softcomp_codec.errors import CorruptStreamError

VALUES = (0, 1, 2, 50, 127, 128, 129, 200, 253, 254, 255)


def naive_pixel(y, cb, cr):
    """libjpeg's ycc_rgb_convert (jdcolor.c), its constants written as it computes them."""

    def fix(x):
        return int(x * 65536 + 0.5)

    red = y + ((fix(1.40200) * (cr - 128) + 32768) >> 16)
    green = y + ((-fix(0.34414) * (cb - 128) + 32768 - fix(0.71414) * (cr - 128)) >> 16)
    blue = y + ((fix(1.77200) * (cb - 128) + 32768) >> 16)
    return [min(max(component, 0), 255) for component in (red, green, blue)]


def planes_of(pixels):
    """Return three int32 planes of an array (H, W, 3)."""
    return [np.ascontiguousarray(pixels[:, :, i], dtype=np.int32) for i in range(3)]


def assert_comes_back(planes):
    """Split and merge; return the triples and corrections, whose ranges are checked."""
    triples, corrections = split_lattice(*planes)
    for plane in (*triples, corrections):
        assert plane.dtype == np.int32
        assert plane.shape == planes[0].shape
        assert plane.min() >= 0
    assert max(plane.max() for plane in triples) <= 255
    assert corrections.max() < len(CORRECTIONS)
    for plane, found in zip(planes, merge_lattice(*triples, corrections), strict=True):
        assert found.dtype == np.int32
        assert np.array_equal(plane, found)
    return triples, corrections


def smooth(height, width):
    """A photograph of sorts, with parts that are clipped (uint8)."""
    rows, columns = np.mgrid[:height, :width]
    waves = [
        (rows * (3 + i) + columns * (5 - i)) % 400 - 70 + noise((height, width), 9, i)
        for i in range(3)
    ]
    return np.clip(np.stack(waves, axis=2), 0, 255).astype(np.uint8)


def decoded_jpeg(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    with Image.open(file) as image:
        return np.asarray(image)


def test_conversion_is_libjpegs():
    y, cb, cr = (plane.reshape(11, 121).astype(np.int32) for plane in np.meshgrid(*[VALUES] * 3))
    found = merge_lattice(y, cb, cr, np.zeros_like(y))
    wanted = [naive_pixel(*triple) for triple in zip(y.flat, cb.flat, cr.flat, strict=True)]
    assert np.stack(found, axis=2).reshape(-1, 3).tolist() == np.array(wanted, int).tolist()


@pytest.mark.parametrize("options", [
    {"quality": 95, "subsampling": 0},
    {"quality": 75, "subsampling": 2},
    {"quality": 20, "subsampling": 1},
])  # fmt: skip
def test_decoded_jpegs_lie_on_the_lattice(options):
    planes = planes_of(decoded_jpeg(smooth(61, 83), **options))
    _, corrections = assert_comes_back(planes)
    assert not corrections.any()
    n_exact, n_tested = lattice_share(*planes)
    assert n_exact == n_tested > 1000


def test_every_triple_is_found_again_or_gives_the_same_pixel():
    triples = noise((3, 64, 65), 256, 3).astype(np.int32)
    pixels = np.array(merge_lattice(*triples, np.zeros((64, 65), np.int32)))
    found, corrections = assert_comes_back(list(pixels))
    assert not corrections.any()
    clear = ((pixels > 0) & (pixels < 255)).all(axis=0)
    assert clear.sum() > 500
    assert np.array_equal(np.array(found)[:, clear], triples[:, clear])


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (2, 2), (31, 17)])
@pytest.mark.parametrize("n_values", [2, 256])
def test_noise_comes_back(shape, n_values):
    step = 255 // (n_values - 1)
    assert_comes_back(list(noise((3, *shape), n_values, 5).astype(np.int32) * step))


def test_all_extremes_come_back():
    planes = np.array(np.meshgrid(*[VALUES] * 3), np.int32).reshape(3, 11, 121)
    assert_comes_back(list(planes))
    assert_comes_back([np.ascontiguousarray(plane[::-1, ::-1]) for plane in planes])


def test_a_sample_of_all_colours_comes_back():
    """All 2^24 take 2 seconds compiled; with this step every component takes every value."""
    colours = np.arange(0, 1 << 24, 251).astype(np.int32)[: 257 * 260].reshape(257, 260)
    planes = [colours >> 16, colours >> 8 & 255, colours & 255]
    _, corrections = assert_comes_back(planes)
    assert set(np.unique(corrections)) == set(range(len(CORRECTIONS)))
    share = (corrections == 0).mean()
    assert 0.2 < share < 0.3


def test_clipped_pixels_take_smooth_triples():
    """A clipped area has the triples that its neighbours suggest, not those of its pixels."""
    y, cb, cr = (np.full((8, 12), value, np.int32) for value in (200, 110, 200))
    y[:, 3:] += 40
    pixels = merge_lattice(y, cb, cr, np.zeros_like(y))
    assert (pixels[0] == 255).all()
    (_, found_cb, found_cr), corrections = split_lattice(*pixels)
    assert not corrections.any()
    assert len(np.unique(found_cb)) == len(np.unique(found_cr)) == 1


def test_the_same_on_any_number_of_threads():
    planes = planes_of(np.clip(smooth(420, 330).astype(int) * 2 - 60, 0, 255))
    found = []
    for threads in (1, 2, 3):
        token = worker_threads.thread_limit.set(threads)
        triples, corrections = split_lattice(*planes)
        worker_threads.thread_limit.reset(token)
        found.append(np.stack([*triples, corrections]))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_corrections_are_distinct_and_small():
    assert CORRECTIONS[0] == (0, 0, 0)
    assert len(set(CORRECTIONS)) == len(CORRECTIONS)
    assert {abs(part) for difference in CORRECTIONS for part in difference} == {0, 1}


@pytest.mark.parametrize(("code", "wanted"), list(enumerate(CORRECTIONS)))
def test_corrections_are_added(code, wanted):
    planes = [np.full((1, 1), value, np.int32) for value in (100, 90, 140, code)]
    found = [int(plane[0, 0]) for plane in merge_lattice(*planes)]
    assert found == (np.array(naive_pixel(100, 90, 140)) + wanted).tolist()


@pytest.mark.parametrize(("plane", "value"), [
    (0, -1), (0, 256), (1, -1), (1, 256), (2, -(1 << 31)), (2, (1 << 31) - 1), (3, -1),
    (3, len(CORRECTIONS)), (3, 1 << 30),
])  # fmt: skip
def test_damaged_planes_are_refused(plane, value):
    planes = [np.full((3, 4), sample, np.int32) for sample in (100, 128, 128, 0)]
    planes[plane][1, 2] = value
    with pytest.raises(CorruptStreamError, match=rf"row 1, column 2: .*{value}"):
        merge_lattice(*planes)


@pytest.mark.parametrize(("sample", "code"), [(255, 1), (0, 2), (255, 4), (0, 7)])
def test_corrections_that_leave_the_range_are_refused(sample, code):
    planes = [np.full((1, 1), value, np.int32) for value in (sample, 128, 128, code)]
    with pytest.raises(CorruptStreamError, match="row 0, column 0"):
        merge_lattice(*planes)


def test_share_of_noise_is_a_quarter_and_of_gray_unknown():
    n_exact, n_tested = lattice_share(*noise((3, 100, 200)).astype(np.int32))
    assert 4000 < n_tested <= 2 * colour_lattice.N_SHARE_SAMPLES
    assert 0.2 < n_exact / n_tested < 0.28
    gray = noise((50, 60)).astype(np.int32)
    assert lattice_share(gray, gray, gray) == (0, 0)
    flat = [np.full((50, 60), value, np.int32) for value in (90, 100, 120)]
    assert lattice_share(*flat)[1] == 1
    assert lattice_share(*[plane[:1, :1] for plane in flat])[1] == 1


@pytest.mark.parametrize("call", [split_lattice, lattice_share])
def test_planes_of_different_shapes_are_the_callers_mistake(call):
    plane = np.zeros((2, 3), np.int32)
    with pytest.raises(ValueError, match="shapes"):
        call(plane, plane, plane[:1])
    with pytest.raises(ValueError, match="shapes"):
        merge_lattice(plane, plane, plane, plane[:1])


@pytest.mark.parametrize("sample", [-1, 256])
def test_samples_outside_their_range_are_the_callers_mistake(sample):
    plane = np.zeros((2, 3), np.int32)
    with pytest.raises(ValueError, match=r"expected 0\.\.255"):
        split_lattice(plane, plane, plane + sample)
