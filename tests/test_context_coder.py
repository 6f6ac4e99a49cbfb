"""The context coder (coder 2): round trips of every mode, cut and hostile files, hard images."""

import hashlib
import io
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from file_builder import checksum, file_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from made_images import (
    CONTENTS,
    SHAPES_OF_MODES,
    colours,
    filled,
    jpeg_colours,
    noise,
    slope,
    top_of,
    typical,
)
from PIL import Image, ImageFile

import softcomp_codec
from softcomp_codec import container, context_coder, planes, warming
from softcomp_codec.container import MODES, Header, write_varint
from softcomp_codec.context_coder import MAX_SCALE, TILE_PIXELS, TILE_SIDE, tile_grid
from softcomp_codec.decoder import decode_file
from softcomp_codec.errors import (
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from softcomp_codec.palettes import Palette


def deep(height, width, n_planes=None):
    """A slope of 16 bits with some noise, which can be compressed."""
    rows, columns = np.mgrid[:height, :width]
    planes = [
        301 * rows + 77 * columns + 9 * noise((height, width), 40, seed)
        for seed in range(n_planes or 1)
    ]
    return np.stack(planes, axis=2).astype(np.uint16).reshape(shaped((height, width), n_planes))


EFFORTS = (1, 5, 9)
SUMMED_EFFORTS = range(3, 9)
DEEP_MODES = [form for form in SHAPES_OF_MODES if form[0] is np.uint16]
TONE_MODES = [form for form in SHAPES_OF_MODES if form[0] is not np.bool_]
"""Sample type and third axis of what the coder is made for."""

SIDES = [(1, 1), (1, 2), (2, 1), (2, 2), (1, 37), (37, 1), (3, 3), (5, 7), (23, 17), (4, 64)]


def shaped(size, n_planes):
    return size if n_planes is None else (*size, n_planes)


def name_of(form):
    dtype, n_planes = form
    return f"{np.dtype(dtype).name}-{n_planes}"


def payload_and_header(array, effort=5, summed=None):
    """The payload even where the samples are smaller; None where its buffer is too short."""
    mode = planes.mode_of_array(array)
    payload = context_coder.encode_payload(array, mode, effort=effort, summed=summed)
    height, width = array.shape[:2]
    return payload, Header(mode, width, height, container.CONTEXT, b"", checksum(array))


def context_file(array, effort=5, summed=None):
    payload, _ = payload_and_header(array, effort, summed)
    assert payload is not None
    return file_of(array, payload, coder=container.CONTEXT)


def assert_same(found, array):
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert np.array_equal(found, array)


def comes_back(array, efforts=EFFORTS):
    """Round trip by the coder itself, in both ways, and by files; returns the payloads."""
    payloads = []
    for effort in efforts:
        for summed in (None, True) if effort in SUMMED_EFFORTS else (None,):
            payload, header = payload_and_header(array, effort, summed)
            if payload is not None:
                found, complete = context_coder.decode_payload(payload, header)
                assert complete
                assert_same(found, array)
                payloads.append(payload)
        data = softcomp_codec.encode(array, effort=effort, coder="context")
        assert_same(softcomp_codec.decode(data), array)
        assert len(data) <= array.nbytes + 32
    return payloads


def head_of(payload, array):
    return context_coder.describe_payload(payload, payload_and_header(array)[1])


# --- round trips --------------------------------------------------------------------------------


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("size", SIDES, ids=str)
@pytest.mark.parametrize("form", SHAPES_OF_MODES, ids=name_of)
def test_every_mode_and_size(form, size, effort):
    dtype, n_planes = form
    if dtype is np.bool_:
        array = filled(shaped(size, n_planes), "noise", 1).astype(bool)
    else:
        array = typical(shaped(size, n_planes), dtype)
    comes_back(array, [effort])


@pytest.mark.parametrize("effort", list(range(1, 10)))
def test_every_effort(effort):
    for array in (slope(30, 31), colours(30, 31), deep(20, 21, 4)):
        payloads = comes_back(array, [effort])
        assert len(payloads) == 1 + (effort in SUMMED_EFFORTS)
        for summed, payload in zip((False, True), payloads, strict=False):
            facts = head_of(payload, array)
            assert facts.n_contexts == context_coder.CONTEXTS_BY_EFFORT[effort]
            assert facts.summed == summed


MORE_CONTENTS = ("checks", "two values", "ramp", "steps", "gray", "saturated", "one pixel differs")


def content_of(name, shape, top):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    if name == "checks":
        plane = (rows + columns) % 2 * top
    elif name == "two values":
        plane = np.where(noise(shape[:2], 2) == 1, top // 3, top // 3 + 7)
    elif name == "ramp":
        plane = (rows * shape[1] + columns) * top // (shape[0] * shape[1])
    elif name == "steps":
        plane = columns // 8 % 2 * top
    elif name == "gray":
        plane = noise(shape[:2], 40) + rows + columns
    elif name == "saturated":
        plane = np.clip(noise(shape[:2], 3 * top + 1) - top, 0, top)
    elif name == "one pixel differs":
        plane = (rows == shape[0] // 2) * (columns == shape[1] // 2) * top
    else:
        return filled(shape, name, top)
    return plane if len(shape) == 2 else np.repeat(plane[:, :, None], shape[2], axis=2)


@pytest.mark.parametrize("content", [*CONTENTS, *MORE_CONTENTS])
@pytest.mark.parametrize("form", TONE_MODES, ids=name_of)
def test_every_content(form, content):
    dtype, n_planes = form
    array = content_of(content, shaped((25, 33), n_planes), top_of(dtype)).astype(dtype)
    comes_back(array)


@pytest.mark.parametrize("form", TONE_MODES, ids=name_of)
def test_constant_images_take_a_few_bytes(form):
    dtype, n_planes = form
    for value in (0, 77, top_of(dtype)):
        array = np.full(shaped((90, 40), n_planes), value, dtype)
        for payload in comes_back(array):
            assert len(payload) <= 1 + 1 + 9 * (n_planes or 1)


@pytest.mark.parametrize("form", TONE_MODES, ids=name_of)
def test_noise_is_never_much_larger_than_its_samples(form):
    dtype, n_planes = form
    for size in ((1, 1), (1, 100), (50, 60)):
        array = noise(shaped(size, n_planes), top_of(dtype) + 1, 3).astype(dtype)
        for coder in ("auto", "context", "shapes"):
            assert len(softcomp_codec.encode(array, coder=coder)) <= array.nbytes + 32


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_all_that_a_small_array_can_hold(dtype):
    limits = (0, 1, top_of(dtype) - 1, top_of(dtype))
    for first in limits:
        for second in limits:
            for third in (0, top_of(dtype)):
                array = np.array([[first, second, third]], dtype)
                comes_back(array, [5])
                comes_back(array.T.copy(), [5])
                comes_back(array[None].copy(), [5])


@st.composite
def small_arrays(draw):
    dtype, n_planes = draw(st.sampled_from(SHAPES_OF_MODES))
    size = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    elements = None
    if dtype is not np.bool_ and draw(st.booleans()):
        top = top_of(dtype)
        elements = st.sampled_from([0, 1, 2, top // 2, top - 1, top])
    return draw(hnp.arrays(dtype, shaped(size, n_planes), elements=elements))


@settings(max_examples=60, deadline=None)
@given(small_arrays(), st.integers(1, 9), st.booleans())
def test_any_small_array(array, effort, summed):
    payload, header = payload_and_header(array, effort, summed and effort in SUMMED_EFFORTS)
    if payload is not None:
        assert_same(context_coder.decode_payload(payload, header)[0], array)
    data = softcomp_codec.encode(array, effort=effort, coder="context")
    assert_same(softcomp_codec.decode(data), array)


# --- the lattice of decoded JPEGs ---------------------------------------------------------------


def decoded_jpeg(height, width, quality=90):
    stream = io.BytesIO()
    Image.fromarray(colours(height, width, 4)).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def transform_of(array):
    payload, header = payload_and_header(array)
    assert_same(context_coder.decode_payload(payload, header)[0], array)
    return context_coder.describe_payload(payload, header).transform


LATTICE = planes.TRANSFORM_NAMES[planes.LATTICE]
RED_DIFFERENCE = planes.TRANSFORM_NAMES[planes.RED_DIFFERENCE]


@pytest.mark.parametrize("make", [decoded_jpeg, jpeg_colours])
def test_decoded_jpegs(make):
    array = make(72, 65)
    assert transform_of(array) == LATTICE
    comes_back(array)
    altered = array.copy()
    altered[::9, ::7] = noise(altered[::9, ::7].shape, 256)
    assert transform_of(altered) == LATTICE
    comes_back(altered)
    opaque = np.concatenate([altered, slope(72, 65)[:, :, None]], axis=2)
    assert transform_of(opaque) == LATTICE
    comes_back(opaque)
    opaque[:, :, 3] = 255
    comes_back(opaque)
    assert transform_of(opaque) == LATTICE


def test_images_that_were_no_jpeg():
    assert transform_of(colours(40, 40)) == RED_DIFFERENCE
    assert transform_of(np.repeat(slope(40, 40)[:, :, None], 3, axis=2)) == RED_DIFFERENCE
    few = jpeg_colours(4, 4)  # too few pixels tell
    assert transform_of(few) == RED_DIFFERENCE
    deep = jpeg_colours(40, 40).astype(np.uint16)
    assert transform_of(deep) == RED_DIFFERENCE
    assert transform_of(slope(40, 40)) == planes.TRANSFORM_NAMES[planes.NO_TRANSFORM]


# --- tiles --------------------------------------------------------------------------------------


@given(st.integers(1, 70_000), st.integers(1, 70_000))
def test_tiles_cover_the_image_once(height, width):
    grid = tile_grid(height, width)
    assert sum((t.bottom - t.top) * (t.right - t.left) for t in grid) == height * width
    assert grid[0].top == grid[0].left == 0
    assert (grid[-1].bottom, grid[-1].right) == (height, width)
    for tile in grid:
        assert tile.top < tile.bottom
        assert tile.left < tile.right
        assert (tile.bottom - tile.top) * (tile.right - tile.left) <= TILE_PIXELS + height + width
        assert tile.right - tile.left <= max(TILE_SIDE, TILE_PIXELS // height + 1)
    assert (len(grid) == 1) == (height * width <= TILE_PIXELS)


def test_an_image_of_one_tile_has_no_lengths():
    assert len(tile_grid(1024, 1024)) == 1
    assert len(tile_grid(1, TILE_PIXELS)) == 1
    assert len(tile_grid(1, 65535)) == len(tile_grid(3, 65535)) == 1
    assert len(tile_grid(1024, 1025)) == len(tile_grid(1, TILE_PIXELS + 1)) == 2


WIDE_AND_TALL = [(1, 65535), (65535, 1), (3, 65535), (65535, 3)]


@pytest.mark.parametrize("size", WIDE_AND_TALL, ids=str)
def test_long_images(size):
    for array in (slope(*size), typical(size, np.uint16)):
        comes_back(array, [1])


def stepped(height, width, n_planes=None):
    """Other samples in every tile, so that borders are steps."""
    shape = shaped((height, width), n_planes)
    array = np.empty(shape, np.uint8)
    for index, tile in enumerate(tile_grid(height, width)):
        window = array[tile.top : tile.bottom, tile.left : tile.right]
        window[:] = index % 2 * 250
        window[::7, ::5] = 40 + index
    return array


@pytest.mark.parametrize(
    ("height", "width"), [(1025, 1024), (1024, 1025), (500, 2100), (2100, 500), (17, 65535)]
)
def test_images_of_several_tiles(height, width):
    array = stepped(height, width)
    (payload,) = comes_back(array, [1])
    assert head_of(payload, array).n_tiles == len(tile_grid(height, width)) > 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_log_odds_add_up_in_large_images_at_some_efforts(dtype):
    large = np.tile(slope(64, 50), (9, 12))[:513, :512].astype(dtype)
    for array, efforts in ((large, (1, 2, 3, 5, 8, 9)), (large[:512], (3, 5, 8))):
        for effort in efforts:
            payload, header = payload_and_header(array, effort)
            facts = context_coder.describe_payload(payload, header)
            assert facts.summed == (len(array) > 512 and effort in SUMMED_EFFORTS)
            assert_same(context_coder.decode_payload(payload, header)[0], array)


def test_tiles_whose_log_odds_add_up():
    array = stepped(1030, 1024)
    payload, header = payload_and_header(array)
    assert head_of(payload, array).summed
    assert head_of(payload, array).n_tiles == 2
    assert_same(context_coder.decode_payload(payload, header)[0], array)


def test_tiles_of_every_kind_of_image():
    for array in (
        np.repeat(stepped(600, 2050)[:, :, None], 3, axis=2),
        stepped(1030, 1024).astype(np.uint16) * np.uint16(257),
    ):
        comes_back(array, [1])


def test_the_same_bytes_on_one_thread_and_on_many(monkeypatch):
    array = stepped(2100, 1100) + (noise((2100, 1100), 4)).astype(np.uint8)
    expected, header = payload_and_header(array, 1)
    for n_cores in (1, 2, 7, None):
        monkeypatch.setattr(os, "cpu_count", lambda n_cores=n_cores: n_cores)
        assert payload_and_header(array, 1)[0] == expected
        assert_same(context_coder.decode_payload(expected, header)[0], array)


def test_a_tile_is_coded_as_an_image_of_its_own():
    """But for the ranges, which are those of the whole image."""
    array = slope(1024, 2050) % 100
    array[0, 0], array[-1, -1] = 0, 200
    payload, header = payload_and_header(array, 1)
    assert_same(context_coder.decode_payload(payload, header)[0], array)


# --- several images -----------------------------------------------------------------------------

FEW = [
    slope(30, 40),
    colours(30, 40),
    jpeg_colours(30, 40),
    deep(30, 40),
    deep(20, 9, 4),
    typical((20, 9, 2), np.uint8),
]

DETERMINISM = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import hashlib
import softcomp_codec
from test_context_coder import FEW
digest = hashlib.sha256()
for array in FEW:
    for effort in (1, 5, 9):
        digest.update(softcomp_codec.encode(array, coder="context", effort=effort))
print(digest.hexdigest())
"""


def run_python(code, **environment):
    package = str(Path(softcomp_codec.__file__).parents[1])
    variables = {**os.environ, "PYTHONPATH": package, **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True,
        timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_another_process_makes_the_same_bytes():
    digest = hashlib.sha256()
    for array in FEW:
        for effort in EFFORTS:
            digest.update(softcomp_codec.encode(array, coder="context", effort=effort))
    assert run_python(DETERMINISM).strip() == digest.hexdigest()


def test_many_at_once():
    arrays = FEW * 4
    expected = [softcomp_codec.encode(array, coder="context") for array in arrays]
    for threads in (1, 3, None):
        data = softcomp_codec.encode_many(arrays, coder="context", threads=threads)
        assert data == expected
        for found, array in zip(
            softcomp_codec.decode_many(data, threads=threads), arrays, strict=True
        ):
            assert_same(found, array)


@pytest.mark.parametrize("array", FEW, ids=lambda array: f"{array.dtype}-{array.shape}")
def test_frames(array):
    frames = [array, array[::-1], np.zeros_like(array), array]
    data = softcomp_codec.encode_frames(frames, coder="context", file_check=True)
    header = softcomp_codec.read_header(data)
    coders = [frame.coder for frame in header.frames]
    assert coders[2] == container.CONTEXT
    for index, frame in enumerate(frames):
        assert_same(decode_file(data, frame=index).array, frame)
    assert header.frames[0].checksum == header.frames[3].checksum
    assert header.frames[3].n_bytes <= header.frames[0].n_bytes


# --- which coder is taken -----------------------------------------------------------------------


def coder_of(array, **options):
    return softcomp_codec.read_header(softcomp_codec.encode(array, **options)).coder


def test_the_choice_of_coders():
    bilevel = filled((60, 60), "slope", 255) > 99
    assert coder_of(bilevel) == container.BILEVEL
    assert coder_of(bilevel, coder="shapes") == container.SHAPES
    assert coder_of(bilevel, coder="context") == container.CONTEXT
    large = slope(129, 128)
    assert coder_of(large) == coder_of(large, coder="context") == container.CONTEXT
    assert coder_of(large, coder="shapes") == container.SHAPES
    for form in SHAPES_OF_MODES[5:]:
        smooth = np.ones(shaped((40, 50), form[1]), form[0])
        assert coder_of(smooth, coder="context") == container.CONTEXT
        few = {container.FEW_COLOUR} if form[0] == np.uint8 else set()
        assert coder_of(smooth) in {container.CONTEXT, *few}
        assert coder_of(smooth, coder="shapes") == container.STORED


@pytest.mark.parametrize("make", [slope, colours])
def test_small_images_take_the_smaller_one(make):
    for height, width in ((5, 5), (12, 15), (40, 40), (128, 128)):
        sizes = {
            coder: len(softcomp_codec.encode(make(height, width), codebook=None, coder=coder))
            for coder in ("auto", "context", "shapes")
        }
        assert sizes["auto"] == min(sizes.values())


@pytest.mark.parametrize("coder", ["", "stored", "Context", "reference", None, 2, b"context"])
def test_coders_that_there_are_not(coder, tmp_path):
    array = slope(4, 4)
    image = Image.fromarray(array)
    for encode in (
        lambda: softcomp_codec.encode(array, coder=coder),
        lambda: softcomp_codec.encode_frames([array], coder=coder),
        lambda: softcomp_codec.encode_many([array], coder=coder),
        lambda: image.save(io.BytesIO(), "SCF", coder=coder),
        lambda: image.save(io.BytesIO(), "SCF", coder=coder, save_all=True),
        lambda: _write_by_imageio(array, coder=coder),
    ):
        with pytest.raises(ValueError, match="expected one of auto, bilevel, context, few-colour"):
            encode()


def _write_by_imageio(array, **options):
    import imageio.v3 as iio

    return iio.imwrite("<bytes>", array, extension=".scf", plugin="SCF", **options)


@pytest.mark.parametrize("coder", ["auto", "context", "shapes"])
def test_coders_by_the_plugins(coder):
    array = slope(40, 40)
    expected = softcomp_codec.encode(array, coder=coder)
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "SCF", coder=coder)
    assert stream.getvalue() == expected
    assert _write_by_imageio(array, coder=coder) == expected


WARMED = """
from softcomp_codec.kernels import bilevel_kernels, context_kernels, lattice_kernels
from softcomp_codec.kernels import unrounded_kernels
from softcomp_codec.warming import warmup
warmup()
for kernel in (
    *(code for key, code in context_kernels.CODE_PLANE.items() if not key[3]),
    lattice_kernels.split_pixels, lattice_kernels.merge_pixels, lattice_kernels.count_exact,
    bilevel_kernels.code_bilevel, unrounded_kernels.invert_scaled_blocks,
    unrounded_kernels.invert_exact_blocks, unrounded_kernels.convert_unrounded,
):
    print(len(kernel.signatures))
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="nothing is compiled")
def test_warmup_compiles_the_kernels():
    assert run_python(WARMED).split() == ["1"] * 19
    assert warming.warmup() > 0


# --- truncation ---------------------------------------------------------------------------------

SHORT = [
    slope(9, 11),
    colours(6, 7),
    jpeg_colours(20, 16),
    typical((7, 8), np.uint16),
    deep(9, 10),
    typical((5, 4, 4), np.uint8),
    np.zeros((30, 30), np.uint8),
    np.full((8, 9, 2), 40000, np.uint16),
    filled((9, 9), "noise", 1).astype(bool),
]


@pytest.mark.parametrize("summed", [False, True], ids=["mixed", "summed"])
@pytest.mark.parametrize("array", SHORT, ids=lambda array: f"{array.dtype}-{array.shape}")
def test_cut_at_every_byte(array, summed):
    data = context_file(array, summed=summed)
    assert softcomp_codec.read_header(data).coder == container.CONTEXT
    offset = softcomp_codec.read_header(data).payload_offset
    for n_bytes in range(len(data)):
        with pytest.raises(CorruptStreamError):  # TruncatedStreamError is one
            softcomp_codec.decode(data[:n_bytes])
    for n_bytes in range(offset, (offset + len(data)) // 2):
        with pytest.raises(TruncatedStreamError):
            softcomp_codec.decode(data[:n_bytes])
    for n_bytes in range(offset, len(data)):
        decoded = decode_file(data[:n_bytes], allow_truncated=True)
        assert not decoded.complete or np.array_equal(decoded.array, array)
        assert (decoded.array.shape, decoded.array.dtype) == (array.shape, array.dtype)
    for more in (b"\0", b"\xff", bytes(40)):
        with pytest.raises(CorruptStreamError, match="follow the end of its code") as caught:
            softcomp_codec.decode(data + more)
        assert not isinstance(caught.value, TruncatedStreamError)


def test_rows_before_the_cut():
    array = slope(80, 50, 3) // 2 + 100
    data = context_file(array)
    offset = softcomp_codec.read_header(data).payload_offset
    found = decode_file(data[: offset + (len(data) - offset) // 2], allow_truncated=True).array
    assert np.array_equal(found[:10], array[:10])
    assert not found[65:].any()


def test_colours_before_the_cut():
    array = colours(60, 50)
    data = context_file(array)
    offset = softcomp_codec.read_header(data).payload_offset
    n_bytes = len(data) - offset
    late = decode_file(data[:-5], allow_truncated=True).array
    assert np.array_equal(late[:40], array[:40])
    early = decode_file(data[: offset + n_bytes // 20], allow_truncated=True).array
    assert not early[-10:].any()
    some = decode_file(data[: offset + n_bytes * 3 // 5], allow_truncated=True).array
    assert np.array_equal(some[:10, :, 0], array[:10, :, 0])
    # The colour nearest to gray that the ranges allow
    differences = some[-20:].astype(int) - some[-20:, :, :1]
    assert np.unique(differences[:, :, 1]).tolist() == [-20]


@pytest.mark.parametrize("make", [colours, jpeg_colours])
def test_what_is_missing_of_an_alpha_plane_is_opaque(make):
    array = np.concatenate([make(40, 50), noise((40, 50, 1), 256)], axis=2).astype(np.uint8)
    data = context_file(array)
    decoded = decode_file(data[:-400], allow_truncated=True)
    assert np.array_equal(decoded.array[:, :, :3], array[:, :, :3])
    assert (decoded.array[-4:, :, 3] == array[:, :, 3].max()).all()


def test_a_lattice_cut_anywhere():
    """What is made up after the cut may be no pixel, which is no damage then."""
    array = decoded_jpeg(24, 32, 60)
    data = context_file(array)
    assert transform_of(array) == LATTICE
    for n_bytes in range(softcomp_codec.read_header(data).payload_offset, len(data)):
        assert not decode_file(data[:n_bytes], allow_truncated=True).complete


def test_tiles_before_the_cut():
    array = stepped(1025, 1024)
    array[:, :60] = noise((1025, 60), 256)
    data = context_file(array, 1)
    first, second = tile_grid(1025, 1024)
    decoded = decode_file(data[:-9000], allow_truncated=True)
    assert np.array_equal(decoded.array[: first.bottom], array[: first.bottom])
    assert not decoded.array[-20:].any()
    head = decode_file(data[: softcomp_codec.read_header(data).payload_offset + 3],
                       allow_truncated=True)  # fmt: skip
    assert not head.array[second.top + 500 :].any()
    with pytest.raises(TruncatedStreamError, match="its last tile ends at byte"):
        softcomp_codec.decode(data[:30])


def test_pillow_loads_truncated_images(monkeypatch):
    array = slope(80, 50, 3)
    data = context_file(array)
    cut = data[: len(data) * 2 // 3]
    with Image.open(io.BytesIO(cut)) as image, pytest.raises(TruncatedStreamError):
        image.load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with Image.open(io.BytesIO(cut)) as image:
        found = np.asarray(image)
    assert np.array_equal(found[:20], array[:20])
    assert not found[75:].any()


# --- hostile payloads ---------------------------------------------------------------------------


ALLOWED = {
    (1, 8): {0}, (1, 16): {0}, (2, 8): {0}, (2, 16): {0}, (1, 1): {0},
    (3, 8): {0, 3, 4}, (4, 8): {0, 3, 4}, (3, 16): {0, 3}, (4, 16): {0, 3},
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES.values(), ids=lambda mode: mode.name)
def test_colour_transforms_of_other_modes(mode):
    header = Header(mode, 4, 4, container.CONTEXT, b"", 0)
    for transform, summed in product(range(8), (0, 1 << 7)):
        payload = bytes([summed | transform << 4 | 5]) + bytes(60)
        if transform in ALLOWED[mode.n_planes, mode.bits_per_sample]:
            assert context_coder.describe_payload(payload, header).n_contexts == 5
        else:
            with pytest.raises(CorruptStreamError, match=f"colour transform {transform}, none of"):
                context_coder.decode_payload(payload, header)


def test_no_contexts():
    payload, header = payload_and_header(slope(9, 9))
    with pytest.raises(CorruptStreamError, match=r"byte 0: 0 contexts, expected 1\.\.15"):
        context_coder.decode_payload(bytes([payload[0] & 0xF0]) + payload[1:], header)


@pytest.mark.parametrize("effort", [1, 2, 9])
def test_efforts_at_which_log_odds_do_not_add_up(effort):
    with pytest.raises(ValueError, match=f"contexts do not add up: effort {effort}"):
        context_coder.encode_payload(slope(9, 9), MODES[1], effort=effort, summed=True)


@pytest.mark.parametrize("n_contexts", [*range(1, 4), *range(13, 16)])
def test_numbers_of_contexts_whose_log_odds_do_not_add_up(n_contexts):
    payload, header = payload_and_header(slope(9, 9), summed=True)
    other = bytes([payload[0] & 0xF0 | n_contexts]) + payload[1:]
    with pytest.raises(CorruptStreamError, match=rf"log-odds of {n_contexts} .*expected 4\.\.12"):
        context_coder.decode_payload(other, header)


@pytest.mark.parametrize("n_contexts", range(1, 16))
def test_every_number_of_contexts_decodes_to_something(n_contexts):
    for array in (slope(9, 9), deep(5, 6, 4), jpeg_colours(20, 16)):
        for summed in (False, True):
            payload, header = payload_and_header(array, summed=summed)
            other = bytes([payload[0] & 0xF0 | n_contexts]) + payload[1:]
            with suppress(CorruptStreamError):
                context_coder.decode_payload(other, header)


def test_ranges_that_cannot_be():
    header = Header(MODES[1], 4, 4, container.CONTEXT, b"", 0)
    for mask, lowest, highest, message in (
        (2, 0, 0, "narrowed planes is 2, expected at most 1"),
        (1, 256, 0, "lowest sample is 256, expected at most 255"),
        (1, 200, 56, "highest sample is 56, expected at most 55"),
        (1, 0, 256, "highest sample is 256, expected at most 255"),
    ):
        head = b"\x05" + b"".join(map(write_varint, (mask, lowest, highest)))
        with pytest.raises(CorruptStreamError, match=message):
            context_coder.decode_payload(head + bytes(9), header)
    head = b"\x05" + b"".join(map(write_varint, (1, 200, 55)))
    array, complete = context_coder.decode_payload(head, header)
    assert complete
    assert (array == 200).all()
    with pytest.raises(CorruptStreamError, match="narrowed planes is not in its shortest form"):
        context_coder.decode_payload(b"\x05\x81\x00\x00\x00" + bytes(9), header)


def test_scales():
    array = deep(20, 30)
    payload, header = payload_and_header(array)
    assert head_of(payload, array).ranges[0].scale in range(MAX_SCALE + 1)
    narrowed = payload[1] & 1
    assert narrowed  # mask, two varints of the range, the scale
    reader = container.ByteReader(payload, "payload")
    reader.take(1, "settings")
    for _ in range(3):
        reader.varint("field", 1 << 20)
    for scale in (MAX_SCALE + 1, 16, 63, 64, 255):
        other = payload[: reader.offset] + bytes([scale]) + payload[reader.offset + 1 :]
        with pytest.raises(CorruptStreamError, match=rf"scale {scale} of plane 0, expected 0\.\."):
            context_coder.decode_payload(other, header)
    for scale in range(MAX_SCALE + 1):
        other = payload[: reader.offset] + bytes([scale]) + payload[reader.offset + 1 :]
        with suppress(CorruptStreamError):
            context_coder.decode_payload(other, header)


@pytest.mark.parametrize("form", DEEP_MODES, ids=name_of)
def test_the_scale_of_the_wildest_images_is_allowed(form):
    """A mean step of 16 bits and more asks for a larger scale than there is."""
    dtype, n_planes = form
    for content in ("checks", "noise", "extremes", "sparse"):
        array = content_of(content, shaped((25, 33), n_planes), 65535).astype(dtype)
        if n_planes in (3, 4):
            array[:, :, 1] = 65535 - array[:, :, 1]
        for payload in comes_back(array):
            assert max(each.scale for each in head_of(payload, array).ranges) <= MAX_SCALE


def test_tile_directory():
    array = stepped(1025, 1024)
    payload, header = payload_and_header(array, 1)
    reader = container.ByteReader(payload, "payload")
    context_coder._read_head(reader, header)
    start = reader.offset
    entries = [
        (reader.take(4, "check"), reader.varint("tile length", len(payload)) - 1) for _ in range(2)
    ]
    head, codes = payload[:start], payload[reader.offset :]

    def with_entries(*changed, tail=codes):
        written = [check + write_varint(length + 1) for check, length in changed]
        return head + b"".join(written) + tail

    (first, length), (second, last) = entries
    assert with_entries(*entries) == payload
    assert length + last == len(codes)
    for bad, error, message in (
        (with_entries((first, 1 << 40), entries[1]), CorruptStreamError, "tile length is"),
        (with_entries((first, len(codes)), entries[1]), TruncatedStreamError, "last tile ends at"),
        (with_entries((first, length + 1), (second, last - 1)), CorruptStreamError, "tile [01]"),
        (with_entries((first, length - 1), (second, last + 1)), CorruptStreamError, "tile [01]"),
        (with_entries(*entries, tail=codes + b"\0"), CorruptStreamError, "1 bytes follow the last"),
        (with_entries((first, length), (second, last + 1), tail=codes + b"\0"), CorruptStreamError,
         "tile 1: .* bytes follow the end of its code"),
        (with_entries((second, length), (first, last)), CorruptStreamError,
         "tile [01]: its samples have check"),
        (head + first + b"\x80\x00" + codes, CorruptStreamError, "shortest form"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            context_coder.decode_payload(bad, header)


def test_tiles_of_noise_are_kept_as_they_are():
    """An image is not stored for one part that cannot be coded."""
    array = stepped(1025, 1024)
    tile = tile_grid(1025, 1024)[1]
    tile.of(array)[:] = np.random.default_rng(3).integers(0, 256, tile.shape)
    (payload,) = comes_back(array, [1])
    assert payload.endswith(tile.of(array).tobytes())
    assert len(payload) < array.nbytes * 0.6
    header = payload_and_header(array, 1)[1]
    cut, complete = context_coder.decode_payload(payload[:-3000], header, allow_truncated=True)
    assert not complete
    assert np.array_equal(cut[:-3], array[:-3])
    assert not cut[-2:].any()
    noisy = np.random.default_rng(4).integers(0, 256, (1025, 1024)).astype(np.uint8)
    assert context_coder.encode_payload(noisy, MODES[1], effort=1) is None


def test_bilevel_images_are_planes_of_zeros_and_ones():
    for array in (filled((20, 30), "noise", 1).astype(bool), np.zeros((5, 5, 1), bool)):
        for payload in comes_back(array):
            assert head_of(payload, array).transform == "none"
            ranges = head_of(payload, array).ranges
            assert [(each.lowest, each.highest) for each in ranges] in ([(0, 1)], [(0, 0)])


SIZES_TOO_LARGE = [
    (2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (1, 2**31 - 1), (1 << 16, 1 << 15), (65535, 65535)
]  # fmt: skip


@pytest.mark.parametrize("size", SIZES_TOO_LARGE, ids=str)
def test_huge_sizes_are_refused_at_once(size, monkeypatch):
    monkeypatch.setattr(context_coder, "decode_payload", None)  # is not reached
    for mode in MODES.values():
        segments = Palette("RGB", b"").to_segments() if mode == container.PALETTE else ()
        header = Header(mode, *size, container.CONTEXT, b"", 0, segments)
        for allow_truncated in (False, True):
            with pytest.raises(UnsupportedStreamError, match="this program's limit"):
                decode_file(container.write_file(header, b"\x05" + bytes(30)),
                            allow_truncated=allow_truncated)  # fmt: skip


@pytest.mark.parametrize("size", [(1 << 15, 1 << 15), (1 << 30, 1), (1, 1 << 30)], ids=str)
def test_the_largest_sizes_need_their_tiles(size, monkeypatch):
    """A few bytes that claim 1024 megapixels are refused before an array is allocated."""
    monkeypatch.setattr(np, "full", None)
    monkeypatch.setattr(np, "zeros", None)
    for payload in (b"", b"\x05", b"\x05\x00", b"\x05\x00" + b"\x7f" * 40, b"\x05" + bytes(9999)):
        header = Header(MODES[1], *size, container.CONTEXT, b"", 0)
        with pytest.raises(TruncatedStreamError):
            softcomp_codec.decode(container.write_file(header, payload))


def flipped(payload, position, bit):
    return payload[:position] + bytes([payload[position] ^ 1 << bit]) + payload[position + 1 :]


def decode_whatever(payload, header):
    """Past all checksums: an array of the right form, or a kind of `ScfError`."""
    for allow_truncated in (False, True):
        try:
            array, _ = context_coder.decode_payload(payload, header, allow_truncated)
        except ScfError:
            continue
        assert array.shape == header.shape
        assert array.dtype == planes.dtype_of(header.mode)


def hit_all(array, step=1, summed=None):
    payload, header = payload_and_header(array, summed=summed)
    for position in range(0, len(payload), step):
        for bit in (0, 3, 7):
            decode_whatever(flipped(payload, position, bit), header)
        decode_whatever(payload[:position], header)
        decode_whatever(payload[:position] + payload[position + 1 :], header)


@pytest.mark.parametrize("summed", [False, True], ids=["mixed", "summed"])
@pytest.mark.parametrize("array", SHORT, ids=lambda array: f"{array.dtype}-{array.shape}")
def test_flipped_bits_without_checksums(array, summed):
    hit_all(array, summed=summed)


@pytest.mark.parametrize("array", SHORT, ids=lambda array: f"{array.dtype}-{array.shape}")
def test_flipped_bits_are_noticed(array):
    data = context_file(array)
    for position in range(len(data)):
        try:
            found = softcomp_codec.decode(flipped(data, position, position % 8))
        except ScfError:
            continue
        assert_same(found, array)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(MODES.values())), st.binary(max_size=60), st.data())
def test_any_payload(mode, payload, data):
    size = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    decode_whatever(payload, Header(mode, *size, container.CONTEXT, b"", 0))


def test_payloads_of_other_modes_and_sizes():
    for array in SHORT:
        payload, header = payload_and_header(array)
        for mode in MODES.values():
            for width, height in ((header.width, header.height), (1, 1), (40, 3), (1, 200)):
                decode_whatever(payload, replace(header, mode=mode, width=width, height=height))


# --- hard on the numbers ------------------------------------------------------------------------


def hard_images(dtype):
    """Images that drive weights, filters and averages to their limits."""
    top = top_of(dtype)
    rows, columns = np.mgrid[:64, :96]
    jump = np.zeros((64, 96), np.int64)
    jump[40:, 50:] = top
    late = np.full((64, 96), top)
    late[-1, -1] = 0
    bars = columns % 2 * top
    yield from (jump, top - jump, late, bars, bars.T[:64, :64])
    yield (rows + columns) % 2 * top
    yield (columns // 24 + rows // 24) % 2 * top
    yield np.where(rows < 50, (rows + columns) % 2 * top, top - (rows + columns) % 2 * top)
    for period in (3, 5, 7, 16):
        pattern = noise((period, period), 2, period) * top
        yield np.tile(pattern, (64 // period + 1, 96 // period + 1))[:64, :96]
    steep = columns * (top // 95)
    yield from (steep, steep[:, ::-1], np.where(rows % 2, steep, top - steep))
    yield np.where(rows < 48, rows * 0, noise((64, 96), top + 1))
    yield np.where(noise((64, 96), 50) == 0, top, 0)
    yield np.where(columns < 90, top // 2, (rows % 2) * top)
    yield (noise((64, 96), 2, 1) * top + noise((64, 96), 2, 2) * (top // 2)) % (top + 1)
    yield rows * 0 + noise((1, 96), 2, 3) * top
    yield np.minimum((1 << (columns % 17)) - 1, top)
    yield np.abs((rows * columns * columns) % (2 * top + 1) - top)


def stacks(plane, top):
    """The same as colours that agree, oppose each other or alternate."""
    yield plane
    yield np.stack([plane, top - plane], axis=2)
    yield np.stack([plane, plane, top - plane], axis=2)
    yield np.stack([plane, top - plane, plane, top - plane], axis=2)
    yield np.stack([plane, plane[::-1], plane[:, ::-1], plane], axis=2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_hard_images(dtype):
    top = top_of(dtype)
    for plane in hard_images(dtype):
        for stack in stacks(plane, top):
            comes_back(np.ascontiguousarray(stack).astype(dtype), [5])
        comes_back(plane.astype(dtype), [1, 9])


def test_hard_images_of_several_planes_at_the_highest_effort():
    for plane in list(hard_images(np.uint16))[::4]:
        comes_back(np.stack([plane, 65535 - plane, plane], axis=2).astype(np.uint16), [9])


def test_long_runs_before_a_jump():
    for dtype in (np.uint8, np.uint16):
        array = np.zeros((300, 300), dtype)
        array[-3:] = noise((3, 300), top_of(dtype) + 1)
        array[150, 150] = top_of(dtype)
        comes_back(array, [1, 9])


SMALL = f"""
import hashlib, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_context_coder as tests

digest = hashlib.sha256()
for array in tests.small_images():
    for effort, summed in ((1, False), (5, False), (7, False), (9, False), (5, True), (7, True)):
        digest.update(tests.context_file(array, effort, summed))
print(digest.hexdigest())
"""


def small_images():
    """Gray and colours of 8 and 16 bits."""
    for dtype in (np.uint8, np.uint16):
        yield typical((7, 8), dtype)
        plane = slope(7, 8).astype(dtype)
        yield np.stack([plane, plane[::-1], plane[:, ::-1]], axis=2)


def test_plain_python_gives_the_same():
    """The kernel without Numba: vectors are what their plain versions say."""
    assert run_python(SMALL, NUMBA_DISABLE_JIT="1") == run_python(SMALL)


BOUNDS = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import numpy as np
from numba.core import config
assert config.BOUNDSCHECK
import test_context_coder as tests

for dtype in (np.uint8, np.uint16):
    for index, plane in enumerate(tests.hard_images(dtype)):
        for number, stack in enumerate(tests.stacks(plane[:24, :40], tests.top_of(dtype))):
            if (index + number) % 3 == 0:
                effort = [1, 5, 9][index % 3]
                tests.comes_back(np.ascontiguousarray(stack).astype(dtype), [effort])
for array in tests.SHORT:
    for effort in (1, 5, 7, 9):
        tests.comes_back(array, [effort])
    tests.hit_all(array, 3)
    tests.hit_all(array, 3, summed=True)
for n_contexts in (1, 6, 8, 15):
    tests.test_every_number_of_contexts_decodes_to_something(n_contexts)
tests.test_payloads_of_other_modes_and_sizes()
tests.test_scales()
print("works")
"""


def test_nothing_is_read_out_of_bounds():
    assert run_python(BOUNDS, NUMBA_BOUNDSCHECK="1").strip() == "works"
