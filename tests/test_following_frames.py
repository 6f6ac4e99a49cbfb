"""Frames that follow the one before: sizes, any order, parts, damage, and the plain decoder."""

import io
import pickle
from dataclasses import replace

import numpy as np
import pytest
import reference_decoder as reference
from made_images import noise
from PIL import Image
from small_codebooks import made_prior, prior_book

import softcomp_codec
from softcomp_codec import container, context_coder, decoder, encoder
from softcomp_codec.container import CONTEXT, MODES, SHAPES, STORED, Frame, Header
from softcomp_codec.decoder import decode_file
from softcomp_codec.errors import CorruptStreamError, TruncatedStreamError
from softcomp_codec.planes import dtype_of, mode_of_array

FORMS = [(np.uint8, 1), (np.uint8, 2), (np.uint8, 3), (np.uint8, 4), (np.uint16, 1), (np.uint16, 3)]


def stack(dtype=np.uint8, n_planes=1, n_frames=5, height=24, width=30, seed=0):
    """Frames that differ by little noise."""
    rng = np.random.default_rng(seed)
    rows, columns, planes = np.mgrid[0:height, 0:width, 0:n_planes]
    ground = 20 + (3 * rows + 2 * columns + 7 * planes) % 120
    ground += rng.integers(0, 30, ground.shape)
    frames = [ground + rng.integers(0, 3, ground.shape) for _ in range(n_frames)]
    factor = 100 if dtype is np.uint16 else 1
    return [
        (frame * factor if n_planes > 1 else frame[:, :, 0] * factor).astype(dtype)
        for frame in frames
    ]


def follows(data):
    return [frame.follows for frame in softcomp_codec.read_header(data).frames]


def assert_same(found, array):
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("effort", [1, 5, 9])
def test_frames_alike_predict_each_other(form, effort):
    arrays = stack(*form)
    data = softcomp_codec.encode_frames(arrays, codebook=None, effort=effort)
    assert follows(data) == [False, True, True, True, True]
    alone = [softcomp_codec.encode(array, codebook=None, effort=effort) for array in arrays]
    assert len(data) < 0.9 * sum(map(len, alone))
    for found, array in zip(softcomp_codec.decode_frames(data), arrays, strict=True):
        assert_same(found, array)
    for frame in (4, 0, 3, 1, 4, 2):
        assert_same(decode_file(data, frame=frame).array, arrays[frame])


@pytest.mark.parametrize(("dtype", "n_planes"), FORMS)
def test_the_plain_decoder_reads_them(dtype, n_planes):
    for effort in (1, 6, 9):
        arrays = stack(dtype, n_planes, 3, 7, 9)
        data = softcomp_codec.encode_frames(arrays, codebook=None, effort=effort)
        if not any(follows(data)):  # very small frames of many planes may be smaller alone
            continue
        for picture, array in zip(reference.decode_frames(data), arrays, strict=True):
            samples = array.astype(array.dtype.newbyteorder("<")).tobytes()
            assert picture.samples == samples


@pytest.mark.parametrize("size", [(30, 40), (500, 400)])
def test_never_larger_than_alone(size, monkeypatch):
    """Frames of which some resemble each other; large ones are tried on their middle."""
    rng = np.random.default_rng(5)
    ground = rng.integers(0, 250, size)
    arrays = [
        ground, ground + 3, rng.integers(0, 200, size), rng.integers(0, 200, size),
        np.zeros(size), np.zeros(size), ground,
    ]  # fmt: skip
    arrays = [array.astype(np.uint8) for array in arrays]
    data = softcomp_codec.encode_frames(arrays, codebook=None, effort=1)
    monkeypatch.setattr(encoder, "KEY_INTERVAL", 1)
    alone = softcomp_codec.encode_frames(arrays, codebook=None, effort=1)
    assert not any(follows(alone))
    assert follows(data)[1]
    for own, other in zip(
        softcomp_codec.read_header(data).frames, softcomp_codec.read_header(alone).frames,
        strict=True,
    ):  # fmt: skip
        assert own.n_bytes <= other.n_bytes
    for found, array in zip(softcomp_codec.decode_frames(data), arrays, strict=True):
        assert_same(found, array)


def test_key_frames():
    arrays = stack(n_frames=37, height=10, width=12)
    data = softcomp_codec.encode_frames(arrays, codebook=None, effort=1)
    header = softcomp_codec.read_header(data)
    keys = [index for index, each in enumerate(follows(data)) if not each]
    assert set(keys) >= {0, 16, 32}
    assert container.frames_needed(header, 20) == range(max(k for k in keys if k <= 20), 21)
    assert container.frames_needed(header, 16) == range(16, 17)


def test_other_coders_and_modes_are_left_alone():
    still = [(noise((20, 30), 2) > 0)] * 3
    assert not any(follows(softcomp_codec.encode_frames(still, codebook=None)))
    gray = stack()
    for choice in ("shapes", "few-colour"):
        assert not any(follows(softcomp_codec.encode_frames(gray, codebook=None, coder=choice)))
    assert any(follows(softcomp_codec.encode_frames(gray, codebook=None, coder="context")))
    # by choice, bits and indices can follow, too
    data = softcomp_codec.encode_frames(still, codebook=None, coder="context")
    for found in softcomp_codec.decode_frames(data):
        assert_same(found, still[0])
    pictures = [Image.fromarray(array % 9).convert("P") for array in gray]
    data = softcomp_codec.encode_frames(pictures, codebook=None, coder="context")
    for found, picture in zip(softcomp_codec.decode_frames(data), pictures, strict=True):
        assert_same(found, np.asarray(picture))


def test_constant_planes_and_other_ranges():
    """A plane that is constant in one frame, and samples before that are outside its range."""
    first = stack(np.uint8, 3, 1)[0]
    second = first.copy()
    second[:, :, 1] = second[:, :, 0]  # U is 0
    third = np.clip(first, 100, 110)
    for arrays in ([first, second, first], [first, third, first], [second, second, third]):
        data = softcomp_codec.encode_frames(arrays, codebook=None)
        for found, array in zip(softcomp_codec.decode_frames(data), arrays, strict=True):
            assert_same(found, array)
    deep = [array.astype(np.uint16) * scale for array, scale in ((first, 257), (first, 2))]
    for found, array in zip(
        softcomp_codec.decode_frames(softcomp_codec.encode_frames(deep)), deep, strict=True
    ):
        assert_same(found, array)


def test_with_a_codebook():
    """Frames that follow use no codebook, and say so."""
    book = prior_book(made_prior())
    arrays = stack(n_frames=3)
    data = softcomp_codec.encode_frames(arrays, coder="context", codebook=None)
    header = softcomp_codec.read_header(data)
    priors = book.context_priors(header.mode)
    key = context_coder.encode_payload(arrays[0], header.mode, priors=priors)
    frames = (replace(header.frames[0], n_bytes=len(key)),
              *(replace(each, built_in=True) for each in header.frames[1:]))  # fmt: skip
    named = replace(header, codebook_reference=book.identifier[:8], frames=frames)
    start = header.payload_offset + header.frames[0].n_bytes
    with_book = container.write_file(named, key + data[start:])
    for frame in (2, 0, 1):
        assert_same(decode_file(with_book, frame=frame, codebooks=[book]).array, arrays[frame])
    for found, picture in zip(
        softcomp_codec.decode_frames(with_book, codebooks=[book]),
        reference.decode_frames(with_book, [book.to_bytes()]), strict=True,
    ):  # fmt: skip
        assert found.tobytes() == picture.samples


# --- parts, order ---------------------------------------------------------------------------------


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(context_coder, "TILE_PIXELS", 300)
    monkeypatch.setattr(context_coder, "TILE_SIDE", 15)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize(("dtype", "n_planes"), [(np.uint8, 1), (np.uint8, 3), (np.uint16, 1)])
def test_parts_of_frames(dtype, n_planes):
    arrays = stack(dtype, n_planes, 4, 50, 70)
    data = softcomp_codec.encode_frames(arrays, codebook=None, effort=2)
    assert all(follows(data)[1:])
    opened = softcomp_codec.open(data)
    for frame in (3, 0, 2):
        for box in ((0, 0, 70, 50), (13, 14, 15, 16), (69, 49, 70, 50), (20, 3, 60, 40)):
            left, top, right, bottom = box
            found = opened.read(box, frame)
            assert_same(found, arrays[frame][top:bottom, left:right])


@pytest.mark.usefixtures("small_tiles")
def test_damage_in_other_tiles_does_not_matter():
    arrays = stack(n_frames=3, height=50, width=70)
    data = bytearray(softcomp_codec.encode_frames(arrays, coder="context", codebook=None, effort=2))
    header = softcomp_codec.read_header(data)
    end_of_key = header.payload_offset + header.frames[0].n_bytes
    data[end_of_key - 3] ^= 0x40  # in the key frame's last tile
    opened = softcomp_codec.open(data)
    for frame in range(3):
        assert_same(opened.read((0, 0, 9, 9), frame), arrays[frame][:9, :9])
        with pytest.raises(CorruptStreamError, match="tile"):
            opened.read((60, 40, 70, 50), frame)
    with pytest.raises(CorruptStreamError, match="frame 0, which frame 2 follows: payload, tile"):
        opened.read((60, 40, 70, 50), 2)


def test_each_frame_is_decoded_once_in_order(monkeypatch):
    arrays = stack(n_frames=12)
    data = softcomp_codec.encode_frames(arrays, coder="context", codebook=None, effort=1)
    count = []
    inner = context_coder.decode_payload

    def counting(*arguments, **options):
        count.append(1)
        return inner(*arguments, **options)

    monkeypatch.setattr(context_coder, "decode_payload", counting)
    for found, array in zip(softcomp_codec.decode_frames(data), arrays, strict=True):
        assert_same(found, array)
    assert len(count) == 12
    count.clear()
    opened = softcomp_codec.open(data)
    for frame in range(12):
        found = opened.read(frame=frame)
        assert_same(found, arrays[frame])
        found[:] = 0  # the caller's own: the next frame is none the worse
    assert len(count) == 12
    opened.read(frame=11)
    assert len(count) <= 12 + 12
    again = pickle.loads(pickle.dumps(opened))
    assert_same(again.read(frame=5), arrays[5])


def test_nothing_is_kept_longer_than_the_header():
    arrays = stack(n_frames=3)
    data = softcomp_codec.encode_frames(arrays, codebook=None, effort=1)
    header = softcomp_codec.read_header(data)
    before = len(decoder.last_frames)
    decode_file(data, header=header, frame=1)
    assert len(decoder.last_frames) == before + 1
    del header
    assert len(decoder.last_frames) == before


def test_pillow_seeks_in_any_order():
    arrays = stack(np.uint8, 3, 6)
    data = softcomp_codec.encode_frames(arrays, codebook=None)
    assert any(follows(data))
    with Image.open(io.BytesIO(data)) as image:
        for frame in (5, 0, 1, 2, 4, 3, 3, 0):
            image.seek(frame)
            assert_same(np.asarray(image), arrays[frame])
    with Image.open(io.BytesIO(data)) as image:
        image.verify()


# --- damage ---------------------------------------------------------------------------------------


def test_damage_reaches_the_frames_that_follow_and_no_others(monkeypatch):
    monkeypatch.setattr(encoder, "KEY_INTERVAL", 3)
    arrays = stack(n_frames=8)
    data = softcomp_codec.encode_frames(arrays, codebook=None, effort=1)
    header = softcomp_codec.read_header(data)
    assert follows(data) == [False, True, True, False, True, True, False, True]
    starts = [header.payload_offset + offset for offset in header.frame_offsets]
    for hurt, lost in ((0, {0, 1, 2}), (3, {3, 4, 5}), (4, {4, 5}), (7, {7})):
        damaged = bytearray(data)
        damaged[(starts[hurt] + starts[hurt + 1]) // 2] ^= 0x10
        for frame in range(8):
            if frame not in lost:
                assert_same(decode_file(damaged, frame=frame).array, arrays[frame])
                continue
            where = "" if frame == hurt else f"frame {hurt}, which frame {frame} follows: "
            with pytest.raises(CorruptStreamError, match=f"^{where}"):
                decode_file(damaged, frame=frame)
    cut = data[: starts[4] + 5]
    for frame in range(4):
        assert_same(decode_file(cut, frame=frame).array, arrays[frame])
    with pytest.raises(TruncatedStreamError, match="frame 4, which frame 5 follows: frame 4 has 5"):
        decode_file(cut, frame=5)
    lenient = decode_file(cut, frame=5, allow_truncated=True)
    assert not lenient.complete
    assert lenient.array.shape == arrays[5].shape


def test_frames_that_cannot_follow():
    arrays = stack(n_frames=2)
    data = softcomp_codec.encode_frames(arrays, codebook=None)
    header = softcomp_codec.read_header(data)
    first, second = header.frames
    payload = data[header.payload_offset :]
    for frames, reference_bytes in (
        ((replace(first, follows=True), second), b""),
        ((first, replace(second, coder=SHAPES)), b""),
        ((first, replace(second, coder=STORED)), b""),
        ((first, second), bytes(8)),
    ):
        bad = replace(header, frames=frames, codebook_reference=reference_bytes)
        file = container.write_file(bad, payload)
        with pytest.raises(CorruptStreamError, match="has coder byte 0x"):
            softcomp_codec.decode_frames(file)
        with pytest.raises(reference.SpecError, match="corrupt"):
            reference.decode_frames(file)


def test_the_lattice_does_not_follow():
    shape = (6, 7, 3)
    array = np.zeros(shape, np.uint8)
    mode = mode_of_array(array)
    header = Header(mode, 7, 6, CONTEXT, b"", 0)
    payload = bytes([4 << 4 | 5, 0]) + bytes(30)
    with pytest.raises(CorruptStreamError, match="colour transform 4 of a frame that follows"):
        context_coder.decode_payload(payload, header, previous=array)


@pytest.mark.parametrize("mode", MODES.values(), ids=lambda mode: mode.name)
def test_any_payload_that_follows_ends(mode):
    """Past all checksums: an array of the right form or an error of ours."""
    rng = np.random.default_rng(mode.identifier)
    header = Header(mode, 13, 9, CONTEXT, b"", 0)
    before = rng.integers(0, 2**mode.bits_per_sample, header.shape).astype(dtype_of(mode))
    for _ in range(40):
        head = bytes([rng.integers(0, 2) * 48 | rng.integers(1, 16), 0])
        scales = bytes(rng.integers(0, 9, mode.n_planes * (mode.bits_per_sample == 16)).tolist())
        payload = head + scales + rng.bytes(int(rng.integers(0, 400)))
        for allow_truncated in (False, True):
            try:
                found, _ = context_coder.decode_payload(
                    payload, header, allow_truncated, previous=before
                )
            except CorruptStreamError:
                continue
            assert found.shape == header.shape
            assert found.dtype == before.dtype


def test_the_frame_table_comes_back():
    frames = (Frame(CONTEXT, False, 10, 1), Frame(CONTEXT, False, 4, 2, follows=True))
    header = Header(MODES[1], 5, 4, CONTEXT, b"", 1, (), frames)
    assert container.read_header(container.write_header(header)).frames == frames
