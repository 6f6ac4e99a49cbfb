"""The bilevel coder (coder 3): round trips, cut and hostile payloads, what encoding chooses."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from file_builder import checksum, file_of
from helpers_of_kernels import standing_alone
from hypothesis import given
from hypothesis import strategies as st
from made_images import colours, glyphs, noise, slope
from small_codebooks import bilevel_book, made_bilevel_prior

import softcomp_codec
from softcomp_codec import bilevel_coder, container, worker_threads
from softcomp_codec.bilevel_coder import (
    BLOCK_PIXELS,
    CONTEXTS_BY_EFFORT,
    MOST_PIXELS,
    TILE_PIXELS,
    Settings,
    tile_grid,
)
from softcomp_codec.container import MODES, Header
from softcomp_codec.decoder import decode_file
from softcomp_codec.errors import (
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from softcomp_codec.kernels import bilevel_kernels

EFFORTS = tuple(range(1, 10))
SIDES = [(1, 1), (1, 2), (2, 1), (1, 64), (64, 1), (3, 15), (5, 16), (4, 17), (23, 31), (64, 64)]
CONTENTS = {
    "zeros": lambda shape: np.zeros(shape, bool),
    "ones": lambda shape: np.ones(shape, bool),
    "noise": lambda shape: noise(shape, 2) == 1,
    "sparse": lambda shape: noise(shape, 29) == 0,
    "dense": lambda shape: noise(shape, 29) != 0,
    "checks": lambda shape: np.indices(shape).sum(axis=0) % 2 == 1,
    "stripes": lambda shape: np.indices(shape)[1] % 7 < 3,
    "dithered": lambda shape: noise(shape, shape[1]) < np.indices(shape)[1],
    "glyphs": lambda shape: glyphs(*shape),
    "inverted glyphs": lambda shape: ~glyphs(*shape),
}


def header_of(array):
    height, width = array.shape[:2]
    mode = MODES[0 if array.ndim == 2 else 4]
    return Header(mode, width, height, container.BILEVEL, b"", checksum(array))


def coded_by_force(array, settings, prior=None):
    """The payload under given settings, however large; one tile."""
    pixels = bilevel_coder.pixels_of(array) ^ np.uint8(settings.inverted)
    model = bilevel_coder.Model(settings, pixels.size, prior)
    code = bilevel_coder.code_tile(model, pixels)
    return None if code is None else settings.to_byte() + code


def assert_same(found, array):
    assert found.dtype == np.bool_
    assert found.shape == array.shape
    assert np.array_equal(found, array)


def comes_back(array, effort=5, prior=None):
    """Round trip by the coder itself; returns the payload, None where the samples are smaller."""
    payload = bilevel_coder.encode_payload(array, effort=effort, prior=prior)
    if payload is not None:
        found, complete = bilevel_coder.decode_payload(payload, header_of(array), prior=prior)
        assert complete
        assert_same(found, array)
    return payload


def files_come_back(array, **options):
    data = softcomp_codec.encode(array, codebook=None, **options)
    assert_same(softcomp_codec.decode(data), array)
    raw_size = MODES[0].raw_size(array.shape[1], array.shape[0])
    assert len(data) <= raw_size + 32
    return data


def page(height=600, width=500, seed=0):
    """Large enough for blocks: letters in the middle, white around."""
    array = np.zeros((height, width), bool)
    top, left = height // 4, width // 6
    array[top:-top, left:-left] = glyphs(height - 2 * top, width - 2 * left, seed)
    array[-top // 2, left:] = True
    return array


# --- round trips --------------------------------------------------------------------------------


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("size", SIDES, ids=str)
def test_every_size_and_content(size, content):
    array = CONTENTS[content](size)
    for effort in (1, 5, 9):
        comes_back(array, effort)
        files_come_back(array, effort=effort, coder="bilevel")
    files_come_back(array[:, :, None])


@pytest.mark.parametrize("effort", EFFORTS)
def test_every_effort(effort):
    array = glyphs(60, 70)
    payload = comes_back(array, effort)
    said = bilevel_coder.describe_payload(payload, header_of(array), None)
    assert said["contexts"] == CONTEXTS_BY_EFFORT[effort]
    assert not said["by_blocks"]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000), st.integers(2, 40))
def test_any_small_image(height, width, seed, n_values):
    comes_back(noise((height, width), n_values, seed) == 0)


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("shape", [(1, 65535), (4, 65535), (65535, 1), (5000, 3)], ids=str)
def test_long_sides(shape, content):
    if content.endswith("glyphs"):
        pytest.skip("letters are drawn one by one")
    files_come_back(CONTENTS[content](shape), coder="bilevel")


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("by_blocks", [False, True])
@pytest.mark.parametrize("content", CONTENTS)
def test_all_settings(content, by_blocks, inverted):
    """Blocks of every kind of edge: width no multiple of 16, of 64, or less than a block."""
    for shape in ((70, 9), (70, 16), (70, 65), (90, 200), (60, 128)):
        array = CONTENTS[content](shape)
        payload = coded_by_force(array, Settings(7, inverted, by_blocks))
        if payload is not None:
            found, complete = bilevel_coder.decode_payload(payload, header_of(array))
            assert complete
            assert_same(found, array)


def test_single_pixels_in_blocks():
    """The first pixel that differs, at each place of a block, of both colours."""
    for column in [*range(40), 127, 128, 191, 192, 199]:
        for value in (False, True):
            array = np.full((60, 200), value)
            array[40, column] = not value
            array[41:, :7] = not value
            payload = coded_by_force(array, Settings(5, value, by_blocks=True))
            assert_same(bilevel_coder.decode_payload(payload, header_of(array))[0], array)


@pytest.mark.parametrize("inverted", [False, True])
def test_pages(inverted):
    array = page() ^ inverted
    assert array.size >= BLOCK_PIXELS
    payload = comes_back(array)
    said = bilevel_coder.describe_payload(payload, header_of(array), None)
    assert said["by_blocks"]
    assert said["inverted"] is inverted
    assert len(payload) == len(comes_back(page()))


def test_blocks_leave_few_decisions():
    """Blank pages take a few bytes, however large."""
    for value in (False, True):
        assert len(comes_back(np.full((2000, 2000), value))) < 30


def test_odd_booleans():
    """A library may store True as another byte than 1; Pillow does."""
    array = (glyphs(20, 30) * 255).astype(np.uint8).view(np.bool_)
    assert bilevel_coder.encode_payload(array) == bilevel_coder.encode_payload(glyphs(20, 30))


def test_noise_is_never_larger_than_its_samples():
    for shape in ((1, 1), (9, 9), (60, 60), (3, 5000)):
        array = noise(shape, 2, 5) == 1
        for effort in (1, 9):
            data = files_come_back(array, effort=effort, coder="bilevel")
            raw_size = MODES[0].raw_size(shape[1], shape[0])
            assert len(data) <= raw_size + 32
            payload = comes_back(array, effort)
            assert payload is None or len(payload) <= raw_size + 1100


# --- tiles and threads ----------------------------------------------------------------------------


def test_tile_grid():
    for size in ((1, 1), (4096, 4096), (1, MOST_PIXELS)):
        assert [tile.shape for tile in tile_grid(*size)] == [size]
    assert len(tile_grid(4097, 4096)) == 2 * 3
    assert [tile.shape for tile in tile_grid(1, 2 * MOST_PIXELS)] == [(1, TILE_PIXELS)] * 8
    assert sum(height * width for height, width in
               (tile.shape for tile in tile_grid(10_000, 10_001))) == 10_000 * 10_001  # fmt: skip


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(bilevel_coder, "MOST_PIXELS", 1 << 10)
    monkeypatch.setattr(bilevel_coder, "TILE_PIXELS", 1 << 10)


@pytest.mark.usefixtures("small_tiles")
def test_tiles_come_back_with_any_number_of_threads():
    array = glyphs(100, 90)
    payloads = []
    for threads in (1, 2, 5):
        token = worker_threads.thread_limit.set(threads)
        try:
            payloads.append(comes_back(array))
        finally:
            worker_threads.thread_limit.reset(token)
    assert len(set(payloads)) == 1
    said = bilevel_coder.describe_payload(payloads[0], header_of(array), None)
    assert said["tiles"] == 9
    files_come_back(array)
    for length in range(len(payloads[0])):
        with pytest.raises((TruncatedStreamError, CorruptStreamError)):
            softcomp_codec.decode(
                file_of(array, payloads[0][:length], coder=container.BILEVEL)
            )  # a code that is cut may be another whole one: the checksum tells
        found, complete = bilevel_coder.decode_payload(
            payloads[0][:length], header_of(array), allow_truncated=True
        )
        assert not (complete and np.array_equal(found, array))
        assert found.shape == array.shape


def test_many_images_on_threads():
    arrays = [glyphs(40 + index, 50, index) for index in range(12)]
    alone = [softcomp_codec.encode(array, codebook=None) for array in arrays]
    for threads in (1, 3):
        assert softcomp_codec.encode_many(arrays, threads=threads, codebook=None) == alone
    for found, array in zip(softcomp_codec.decode_many(alone, threads=3), arrays, strict=True):
        assert_same(found, array)


# --- damage ---------------------------------------------------------------------------------------


def payloads_of_all_kinds():
    general, positional = made_bilevel_prior(), made_bilevel_prior((28, 28))
    small = glyphs(28, 28)
    for array, settings, prior in (
        (glyphs(40, 45), Settings(5), None),
        (~glyphs(40, 45), Settings(15, True, True), None),
        (page(80, 90), Settings(7, False, True), None),
        (small, Settings(5, frozen=True), general),
        (small, Settings(5, by_blocks=True), general),
        (small, Settings.of_prior(positional), positional),
    ):
        yield array, coded_by_force(array, settings, prior), prior


def test_cut_payloads():
    for array, payload, prior in payloads_of_all_kinds():
        header = header_of(array)
        for length in range(len(payload)):
            found, complete = bilevel_coder.decode_payload(payload[:length], header, True, prior)
            assert found.shape == array.shape
            if complete:  # what is left is the whole code of another picture
                assert not np.array_equal(found, array)
                continue
            with pytest.raises((TruncatedStreamError, CorruptStreamError)):
                bilevel_coder.decode_payload(payload[:length], header, prior=prior)
        for more in (b"\0", b"\xff" * 9):
            with pytest.raises(CorruptStreamError, match="follow the end of its code"):
                bilevel_coder.decode_payload(payload + more, header, prior=prior)


def test_a_cut_picture_keeps_its_first_rows():
    array = glyphs(80, 80)
    payload = comes_back(array)
    found, _ = bilevel_coder.decode_payload(payload[: len(payload) // 2], header_of(array), True)
    assert np.array_equal(found[:20], array[:20])
    assert not found[-5:].any()


def test_flipped_bits():
    """The exact picture, another picture, which the checksum tells, or an error."""
    for array, payload, prior in payloads_of_all_kinds():
        for bit in range(8 * len(payload)):
            damaged = bytearray(payload)
            damaged[bit // 8] ^= 128 >> bit % 8
            try:
                found, complete = bilevel_coder.decode_payload(
                    bytes(damaged), header_of(array), prior=prior
                )
            except ScfError:
                continue
            assert complete
            assert found.shape == array.shape


def test_flipped_bits_of_files():
    array = glyphs(24, 30)
    payload = comes_back(array)
    data = file_of(array, payload, coder=container.BILEVEL)
    assert_same(softcomp_codec.decode(data), array)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 128 >> bit % 8
        try:
            found = softcomp_codec.decode(bytes(damaged))
        except ScfError:
            continue
        assert np.array_equal(found, array)


@given(st.binary(max_size=60), st.sampled_from([(1, 1), (7, 100), (64, 64), (100, 17)]))
def test_any_payload(payload, shape):
    array = np.zeros(shape, bool)
    for first in (b"", b"\x05", b"\x2e", b"\x37"):
        for allow_truncated in (False, True):
            try:
                found, _ = bilevel_coder.decode_payload(
                    first + payload, header_of(array), allow_truncated
                )
            except ScfError:
                continue
            assert found.shape == array.shape


def test_a_block_beyond_the_edge():
    """The first other pixel of the last block, of 3 columns, may not be its 16th."""
    found = set()
    for seed in range(400):
        payload = b"\x25" + noise((60,), 256, seed).astype(np.uint8).tobytes()
        try:
            bilevel_coder.decode_payload(payload, header_of(np.zeros((500, 19), bool)))
        except ScfError as error:
            found.add(str(error).rsplit(": ", 1)[1])
    assert "a location lies beyond the plane's last cell" in found


@pytest.mark.parametrize("first", [0x00, 0x04, 0x24, 0x45, 0x85, 0xC5, 0xFF])
def test_settings_that_cannot_be(first):
    with pytest.raises(CorruptStreamError, match="payload, byte 0"):
        bilevel_coder.decode_payload(bytes([first]) + bytes(20), header_of(glyphs(9, 9)))


def test_other_modes_are_unsupported():
    array = slope(9, 9)
    with pytest.raises(UnsupportedStreamError, match="does not code gray8 pictures"):
        softcomp_codec.decode(file_of(array, b"\x05\0\0", coder=container.BILEVEL))


# --- what encoding chooses ------------------------------------------------------------------------


def coder_of(data):
    return container.read_header(data).coder


def test_auto_takes_it():
    for array in (glyphs(60, 60), page(), glyphs(200, 140)):
        data = files_come_back(array)
        assert coder_of(data) == container.BILEVEL
        assert data == files_come_back(array, coder="bilevel")
        assert len(data) < len(files_come_back(array, coder="shapes"))


def test_auto_takes_shapes_where_they_are_smaller():
    array = np.zeros((20, 20), bool)
    array[2:6, 3:11] = True
    data = files_come_back(array)
    by_each = [len(files_come_back(array, coder=coder)) for coder in ("bilevel", "shapes")]
    assert len(data) == min(by_each)


def test_other_images_are_left_to_the_context_coder():
    for array in (slope(40, 40), colours(40, 40)):
        data = softcomp_codec.encode(array, codebook=None, coder="bilevel")
        assert coder_of(data) == container.CONTEXT
        assert np.array_equal(softcomp_codec.decode(data), array)


def test_frames():
    frames = [glyphs(30, 40, seed) for seed in range(4)] + [noise((30, 40), 2) == 1]
    data = softcomp_codec.encode_frames(frames, codebook=None)
    header = container.read_header(data)
    assert {frame.coder for frame in header.frames} == {container.BILEVEL, container.STORED}
    for found, array in zip(softcomp_codec.decode_frames(data), frames, strict=True):
        assert_same(found, array)


def test_truncated_files():
    array = page(200, 200)
    data = softcomp_codec.encode(array, codebook=None)
    decoded = decode_file(data[:-20], allow_truncated=True)
    assert not decoded.complete
    assert np.array_equal(decoded.array[:90], array[:90])


# --- the same everywhere --------------------------------------------------------------------------


def test_masks_of_the_kernel():
    """The window's rows have 8, 15, 13, 11, 9 and 7 pixels; those that enter it are cleared."""
    entering = {0, 8, 23, 36, 47, 56}
    kept = sum(1 << bit for bit in range(63) if bit not in entering)
    assert int(bilevel_kernels._KEPT) == kept
    assert int(bilevel_kernels._ALL) == (1 << 63) - 1


def test_classes_of_lengths():
    limits = (0, 1, 2, 5, 7, 11, 15, 23, 31, 47, 63, 95, 191, 383, 767)
    length = standing_alone(bilevel_kernels._length)
    for n in range(2000):
        assert length(np.int64(n)) == sum(n > limit for limit in limits)


def test_plain_python_gives_the_same():
    """The kernels without Numba: nothing wraps, overflows or rounds by luck."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_bilevel_coder as t;"
        "import hashlib; parts = [p for _, p, _ in t.payloads_of_all_kinds()];"
        "print(hashlib.sha256(b''.join(parts)).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore::RuntimeWarning", "-c", script, os.path.dirname(__file__)],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    parts = [payload for _, payload, _ in payloads_of_all_kinds()]
    assert done.stdout.strip() == hashlib.sha256(b"".join(parts)).hexdigest()


def test_a_codebook_for_other_sizes_does_not_decode():
    array = glyphs(28, 28)
    book = bilevel_book(made_bilevel_prior((28, 28)))
    payload = bilevel_coder.encode_payload(array, prior=book.bilevel_prior(28, 28))
    data = file_of(array, payload, book=book, coder=container.BILEVEL)
    assert_same(softcomp_codec.decode(data, codebooks=[book]), array)
    other = glyphs(28, 27)
    data = file_of(other, payload, book=book, coder=container.BILEVEL)
    with pytest.raises(
        CorruptStreamError, match="no part for bilevel pictures of 27 x 28 by the bilevel coder"
    ):
        softcomp_codec.decode(data, codebooks=[book])
