"""Files of several frames: arrays, Pillow's sequences, imageio's stacks, and hostile tables."""

import copy
import gc
import io
import os
import pickle
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import imageio.v2 as iio2
import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image, ImageFile, ImageSequence
from plugin_files import (
    GRAY,
    PILLOW_MODES,
    CountingBytes,
    ReadOnly,
    WriteOnly,
    encoded,
    encoded_frames,
    noise,
    picture,
    taught_codebook,
    taught_picture,
)

import softcomp_codec
from softcomp_codec import codebook_store, container, decoder, encoder
from softcomp_codec.container import MODES, SHAPES, STORED, Header, Segment, write_varint
from softcomp_codec.errors import (
    CodebookNotFoundError,
    CorruptStreamError,
    TruncatedStreamError,
)

OPTIONS = {"codebook": None}


def pictures(mode="L", n_frames=3, width=23, height=17):
    return [picture(mode, width, height, seed) for seed in range(n_frames)]


STACKS = {
    "bilevel": pictures("1"),
    "gray": pictures("L"),
    "rgb": pictures("RGB"),
    "gray, one channel": [array[:, :, np.newaxis] for array in pictures("L")],
    "bilevel, one channel": [array[:, :, np.newaxis] for array in pictures("1")],
    "two wide": pictures("L", width=2),
    "one pixel": pictures("L", 3, 1, 1),
    "16-bit gray": pictures("I;16"),
    "16-bit gray, one channel": [array[:, :, np.newaxis] for array in pictures("I;16")],
    "gray with alpha": pictures("LA"),
    "rgb with alpha": pictures("RGBA"),
    "16-bit rgb": pictures("rgb16"),
    "16-bit rgb with alpha": pictures("rgba16"),
    "16-bit gray with alpha": pictures("la16"),
}
FORMS = {
    (np.dtype(bool), 1): "1", (np.dtype(np.uint8), 1): "L", (np.dtype(np.uint8), 3): "RGB",
    (np.dtype(np.uint8), 2): "LA", (np.dtype(np.uint8), 4): "RGBA",
    (np.dtype(np.uint16), 1): "I;16", (np.dtype(np.uint16), 2): "la16",
    (np.dtype(np.uint16), 3): "rgb16", (np.dtype(np.uint16), 4): "rgba16",
}  # fmt: skip
"""What `picture` calls the arrays of a sample type and a number of planes."""


@pytest.fixture(params=STACKS.values(), ids=STACKS.keys())
def arrays(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.scf"


@pytest.fixture
def no_codebooks(monkeypatch, tmp_path):
    """Only bundled codebooks, and those that the test puts somewhere."""
    monkeypatch.setattr(codebook_store, "_registered", {})
    monkeypatch.setattr(codebook_store, "user_folder", lambda: tmp_path / "no such folder")
    monkeypatch.delenv(codebook_store.PATH_VARIABLE, raising=False)


@pytest.fixture
def gray_path(path):
    path.write_bytes(encoded_frames(pictures()))
    return path


def assert_same(found, expected):
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(found, expected)


def assert_all_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert_same(np.asarray(one), other)


def saved(image, **options):
    stream = io.BytesIO()
    image.save(stream, "SCF", **{"save_all": True, **OPTIONS, **options})
    return stream.getvalue()


# Arrays


@pytest.mark.parametrize("n_frames", [1, 2, 7])
@pytest.mark.parametrize("codebook", ["auto", None])
@pytest.mark.parametrize("make", [picture, lambda mode, **_: noise(mode)], ids=["smooth", "noise"])
@pytest.mark.parametrize("shape", STACKS)
def test_round_trip(shape, make, codebook, n_frames):
    like = STACKS[shape][0]
    mode = FORMS[like.dtype, like.shape[2] if like.ndim == 3 else 1]
    arrays = [make(mode, seed=seed) for seed in range(n_frames)]
    if like.shape[2:] == (1,):
        arrays = [array[:, :, np.newaxis] for array in arrays]
    data = softcomp_codec.encode_frames(arrays, codebook=codebook)
    assert_all_same(softcomp_codec.decode_frames(data), arrays)
    assert_same(softcomp_codec.decode(data), arrays[0])
    for index, array in enumerate(arrays):
        assert_same(decoder.decode_file(data, frame=index).array, array)
    assert softcomp_codec.read_header(data).n_frames == n_frames
    assert data == softcomp_codec.encode_frames(np.stack(arrays), codebook=codebook)


def test_one_frame_is_an_ordinary_file():
    array = picture("RGB")
    assert encoded_frames([array]) == encoded(array)
    assert_all_same(softcomp_codec.decode_frames(encoded(array)), [array])


def test_a_generator_and_pillow_images():
    arrays = pictures("1")
    assert encoded_frames(iter(arrays)) == encoded_frames(arrays)
    assert encoded_frames(Image.fromarray(array) for array in arrays) == encoded_frames(arrays)


def mixed_arrays():
    return [taught_picture(), noise("L", 80, 64), picture("L", 80, 64), taught_picture()[::-1]]


def mixed_file(book, order=(0, 1, 2, 3), **options):
    arrays = mixed_arrays()
    return softcomp_codec.encode_frames(
        [arrays[i] for i in order], codebook=book, **{"coder": "shapes", **options}
    )


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 2, 0, 3), (2, 3, 0, 1)])
@pytest.mark.parametrize("embed", [False, True])
def test_every_coder_in_one_file(order, embed, no_codebooks):
    book = taught_codebook()
    data = mixed_file(book, order, embed_codebook=embed, file_check=True)
    kinds = [(SHAPES, False), (STORED, False), (SHAPES, True), (SHAPES, False)]
    header = container.read_header(data)
    assert [(frame.coder, frame.built_in) for frame in header.frames] == [kinds[i] for i in order]
    assert header.codebook_reference == book.identifier[:8]
    arrays = [mixed_arrays()[i] for i in order]
    assert_all_same(softcomp_codec.decode_frames(data, codebooks=[book]), arrays)
    if embed:
        assert_all_same(softcomp_codec.decode_frames(data), arrays)
    assert len(data) < sum(len(encoded(array, coder="shapes")) for array in arrays)


@pytest.mark.parametrize("file_check", [False, True])
def test_context_and_shapes_in_one_file(file_check, no_codebooks):
    """Each frame takes the smaller one; that of the context coder needs no codebook."""
    book = taught_codebook()
    rows, columns = np.mgrid[:64, :80]
    arrays = [*mixed_arrays(), ((rows * rows + columns * rows) // 40 % 256).astype(np.uint8)]
    data = softcomp_codec.encode_frames(arrays, codebook=book, file_check=file_check)
    frames = container.read_header(data).frames
    kinds = [(frame.coder, frame.built_in) for frame in frames]
    assert kinds[:2] == [(SHAPES, False), (STORED, False)]
    assert kinds[4] == (container.CONTEXT, True)
    assert_all_same(softcomp_codec.decode_frames(data, codebooks=[book]), arrays)
    for index in (1, 4):
        assert_same(decoder.decode_file(data, frame=index).array, arrays[index])
    shapes = softcomp_codec.encode_frames(arrays, codebook=book, coder="shapes")
    assert len(data) < len(shapes)


def test_without_the_codebook_the_other_frames_decode(no_codebooks, path):
    path.write_bytes(mixed_file(taught_codebook()))
    arrays = mixed_arrays()
    with Image.open(path) as image:
        for index in (0, 1, 2, 3, 1):
            image.seek(index)
            if index in (1, 2):
                assert_same(np.asarray(image), arrays[index])
            else:
                with pytest.raises(CodebookNotFoundError, match="always-five"):
                    image.load()
        taught_codebook().save(path.with_name("b.scfb"))
        image.seek(3)
        assert_same(np.asarray(image), arrays[3])
    assert_same(iio.imread(path), np.stack(arrays))


def test_a_codebook_that_helps_no_frame_is_left_out(no_codebooks):
    arrays = [noise("L", 80, 64), picture("L", 80, 64)]
    data = softcomp_codec.encode_frames(arrays, codebook=taught_codebook())
    assert data == encoded_frames(arrays)
    assert not any(frame.built_in for frame in container.read_header(data).frames)


@pytest.mark.parametrize(
    "other",
    [
        picture("L", 22, 17),
        picture("L", 23, 16),
        picture("L", 17, 23),
        picture("1"),
        picture("RGB"),
        picture("L")[:, :, np.newaxis],
        picture("L").astype(np.uint16),
        picture("LA"),
        picture("RGBA"),
        picture("rgb16"),
    ],
)
def test_frames_that_differ(other, path):
    first = picture("L")
    for arrays in ([first, other], [first, first, other]):
        with pytest.raises(ValueError, match=f"frame {len(arrays) - 1} is .* must be alike"):
            softcomp_codec.encode_frames(iter(arrays))
        with pytest.raises(ValueError, match="must be alike"):
            iio.imwrite(path, arrays)
    assert not path.exists()


def test_frames_that_cannot_be():
    with pytest.raises(ValueError, match="no frames"):
        softcomp_codec.encode_frames([])
    with pytest.raises(TypeError, match="cannot encode"):
        softcomp_codec.encode_frames([np.zeros((4, 4), complex)])
    with pytest.raises(ValueError, match="frame 1 is a palette picture, frame 0 a gray8 one"):
        softcomp_codec.encode_frames([Image.new("L", (4, 4)), Image.new("P", (4, 4))])
    data = encoded_frames(pictures())
    for index in (-1, 3):
        with pytest.raises(IndexError, match=f"frame {index} of a file of 3"):
            decoder.decode_file(data, frame=index)


def test_threads():
    def travel(seed):
        arrays = [picture("RGB", seed=seed + i) for i in range(3)]
        data = encoded_frames(arrays)
        assert_all_same(softcomp_codec.decode_frames(data), arrays)
        with Image.open(io.BytesIO(data)) as image:
            for index in (2, 0, 1, 2):
                image.seek(index)
                assert_same(np.asarray(image), arrays[index])
        assert_same(iio.imread(data, plugin="SCF"), np.stack(arrays))
        return data

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(travel, range(16)))
    assert found == [travel(seed) for seed in range(16)]


# Pillow: reading


def pickled(image):
    return pickle.loads(pickle.dumps(image))


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_pillow_reads_frames(mode):
    arrays = pictures(mode, 4)
    with Image.open(io.BytesIO(encoded_frames(arrays))) as image:
        assert (image.n_frames, image.is_animated, image.tell()) == (4, True, 0)
        assert (image.mode, image.size) == (mode, (23, 17))
        for index in (3, 1, 1, 0, 2, 3):
            image.seek(index)
            assert image.tell() == index
            assert_same(np.asarray(image), arrays[index])
        assert_all_same(ImageSequence.Iterator(image), arrays)
        assert_same(np.asarray(ImageSequence.Iterator(image)[2]), arrays[2])
        assert_all_same(ImageSequence.all_frames(image), arrays)
        assert image.tell() == 2


def test_seek_where_there_is_no_frame(gray_path):
    with Image.open(gray_path) as image:
        image.seek(1)
        for index in (-1, 3, 1000):
            with pytest.raises(EOFError):
                image.seek(index)
            assert image.tell() == 1
        assert_same(np.asarray(image), pictures()[1])


def test_arrays_that_pillow_cannot_hold():
    data = encoded_frames(STACKS["gray, one channel"])
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(data))


def test_open_reads_neither_payloads_nor_frames(monkeypatch):
    arrays = [noise("L", 500, 400)] * 3
    stream = CountingBytes(encoded_frames(arrays))
    monkeypatch.setattr(decoder, "decode_file", None)
    with Image.open(stream) as image:
        image.seek(2)
        assert (image.n_frames, image.size) == (3, (500, 400))
    with iio.imopen(stream, "r", plugin="SCF") as file:
        assert file.properties().shape == (3, 400, 500)
    assert stream.n_read < 2000


@pytest.mark.parametrize("first", [0, 2])
def test_seek_after_the_file_was_closed(gray_path, first):
    arrays = pictures()
    with Image.open(gray_path) as image:
        stream = image.fp
        image.seek(first)
        image.load()
        assert stream.closed
    gray_path.unlink()
    for index in (1, 0, 2, 1):
        image.seek(index)
        assert_same(np.asarray(image), arrays[index])
    image.close()
    image.seek(2)
    with pytest.raises(ValueError, match="file was closed"):
        image.load()


def test_seek_where_the_file_was_closed_before_loading(gray_path):
    with Image.open(gray_path) as image:
        image.seek(1)
    with pytest.raises(ValueError, match="file was closed"):
        image.load()


def test_callers_file_stays_open(gray_path):
    arrays = pictures()
    with gray_path.open("rb") as stream:
        image = Image.open(stream)
        for index in (2, 0, 1):
            image.seek(index)
            assert_same(np.asarray(image), arrays[index])
            stream.seek(3)
        assert not stream.closed
        stream.seek(0)
        assert_all_same(ImageSequence.Iterator(Image.open(stream)), arrays)
    assert_all_same(ImageSequence.Iterator(image), arrays)


def test_frames_of_input_that_cannot_seek(arrays):
    data = encoded_frames(arrays)
    if container.read_header(data).mode.pillow_mode is not None:
        with Image.open(ReadOnly(data)) as image:
            assert_all_same(ImageSequence.Iterator(image), arrays)
    with iio.imopen(ReadOnly(data), "r", plugin="SCF") as file:
        assert_all_same([file.read(index=index) for index in range(3)], arrays)


def test_parser():
    data = encoded_frames(pictures())
    with ImageFile.Parser() as parser:
        for start in range(0, len(data), 50):
            parser.feed(data[start : start + 50])
        image = parser.close()
    assert_all_same(ImageSequence.Iterator(image), pictures())


@pytest.mark.parametrize("load_first", [False, True])
@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, Image.Image.copy, pickled])
def test_copies_hold_one_frame(gray_path, make, load_first):
    arrays = pictures()
    with Image.open(gray_path) as image:
        image.seek(1)
        if load_first:
            image.load()
        clone = make(image)
        assert image.tell() == 1
        image.seek(2)
        assert_same(np.asarray(clone), arrays[1])
        clone.putpixel((0, 0), 77)
        image.seek(1)
        assert_same(np.asarray(image), arrays[1])
    assert getattr(clone, "n_frames", 1) == 1
    clone.seek(0)
    with pytest.raises(EOFError):
        clone.seek(1)
    assert clone.getpixel((0, 0)) == 77
    assert container.read_header(saved(clone)).n_frames == 1


def change_size(image):
    image.thumbnail((10, 10))


def change_mode(image):
    image.putalpha(7)


def add_palette(image):
    image.putpalette(list(range(256)) * 3)


@pytest.mark.parametrize(
    "change", [lambda image: image.paste(9, (0, 0, 5, 5)), change_size, change_mode, add_palette]
)
def test_changes_are_those_of_one_frame(gray_path, change):
    arrays = pictures()
    with Image.open(gray_path) as image:
        for index in (0, 2, 1, 0):
            image.seek(index)
            assert (image.mode, image.size, image.palette) == ("L", (23, 17), None)
            assert_same(np.asarray(image), arrays[index])
            change(image)
            assert image.tobytes() != arrays[index].tobytes() or image.mode != "L"


def test_threads_that_share_an_image(gray_path):
    for index in range(3):
        with Image.open(gray_path) as image, ThreadPoolExecutor(8) as pool:
            image.seek(index)
            found = list(pool.map(lambda _, image=image: image.getpixel((3, 4)), range(8)))
        assert found == [pictures()[index][4, 3]] * 8


@pytest.mark.parametrize(
    "arrays", [pictures()[:2], pictures() * 2, pictures("RGB"), pictures(width=9), pictures()[::-1]]
)
def test_a_file_that_changes_between_open_and_load(arrays):
    for index in (0, 2):
        stream = io.BytesIO(encoded_frames(pictures()))
        with Image.open(stream) as image:
            stream.seek(0)
            stream.truncate()
            stream.write(encoded_frames(arrays))
            image.seek(index)
            with pytest.raises(CorruptStreamError, match="changed between opening and loading"):
                image.load()


# Damage


def frame_spans(data):
    """(start, end) of each frame's payload in the file."""
    header = container.read_header(data)
    offsets = [header.payload_offset + offset for offset in header.frame_offsets]
    return list(pairwise(offsets))


@pytest.mark.parametrize("file_check", [False, True])
@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_verify_notices_damage_in_any_frame(no_codebooks, kind, file_check):
    softcomp_codec.register_codebook(taught_codebook())
    data = mixed_file(taught_codebook(), file_check=file_check)
    Image.open(io.BytesIO(data)).verify()
    start, end = frame_spans(data)[kind]
    for position in (start, start + 1, (start + end) // 2, end - 20):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        with pytest.raises(CorruptStreamError, match=r"\w"):
            Image.open(io.BytesIO(damaged)).verify()
        if not file_check:
            with Image.open(io.BytesIO(damaged)) as image:
                for index, array in enumerate(mixed_arrays()):
                    image.seek(index)
                    if index == kind:
                        with pytest.raises(CorruptStreamError, match=r"\w"):
                            image.load()
                    else:
                        assert_same(np.asarray(image), array)
            with pytest.raises(CorruptStreamError, match=r"\w"):
                softcomp_codec.decode_frames(bytes(damaged))


def test_verify_leaves_nothing_behind(gray_path):
    with gray_path.open("rb") as stream:
        image = Image.open(stream)
        image.seek(2)
        image.verify()
        assert not stream.closed
        image.seek(1)
        with pytest.raises(ValueError, match="file was closed"):
            image.load()
    image = Image.open(gray_path)
    stream = image.fp
    image.verify()
    assert stream.closed


@pytest.mark.parametrize("file_check", [False, True])
@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_truncated_anywhere(mode, file_check):
    data = encoded_frames([*pictures(mode, 2, 9, 7), noise(mode, 9, 7)], file_check=file_check)
    payload_offset = container.read_header(data).payload_offset
    for length in range(1, len(data)):
        error = TruncatedStreamError if length < payload_offset else CorruptStreamError
        with pytest.raises(error, match=r"\w"):
            softcomp_codec.decode_frames(data[:length])
        if length >= 3:
            with pytest.raises(error, match=r"\w"):
                Image.open(io.BytesIO(data[:length])).verify()
            with pytest.raises(error, match=r"\w"):
                iio.imread(data[:length], plugin="SCF")


@pytest.mark.parametrize("codebook", [None, "taught"])
def test_truncated_second_frame(monkeypatch, codebook, no_codebooks):
    softcomp_codec.register_codebook(taught_codebook())
    book = taught_codebook() if codebook else None
    array = taught_picture()
    arrays = [array, array[::-1], array[:, ::-1]]
    data = softcomp_codec.encode_frames(arrays, codebook=book)
    start, end = frame_spans(data)[1]
    with Image.open(io.BytesIO(data[: (start + end) // 2])) as image:
        assert image.n_frames == 3
        assert_same(np.asarray(image), arrays[0])
        for index in (1, 2):
            image.seek(index)
            with pytest.raises(TruncatedStreamError):
                image.load()
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        image.seek(1)
        found = np.asarray(image)
        assert np.array_equal(found[:24], arrays[1][:24])
        assert not found[-24:].any()
        image.seek(2)
        assert not np.asarray(image).any()
        image.seek(0)
        assert_same(np.asarray(image), arrays[0])
    with pytest.raises(TruncatedStreamError):
        Image.open(io.BytesIO(data[:end])).verify()


def test_truncated_stored_frame(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    arrays = [noise("L"), noise("L")[::-1]]
    data = encoded_frames(arrays)
    with Image.open(io.BytesIO(data[: -5 * 23])) as image:
        assert_same(np.asarray(image), arrays[0])
        image.seek(1)
        found = np.asarray(image)
    assert np.array_equal(found[:-5], arrays[1][:-5])
    assert not found[-5:].any()


def test_bytes_after_the_last_frame():
    for arrays in (pictures(), [noise("L")] * 2):
        data = encoded_frames(arrays) + b"\0"
        with Image.open(io.BytesIO(data)) as image:
            assert_same(np.asarray(image), arrays[0])
            image.seek(image.n_frames - 1)
            with pytest.raises(CorruptStreamError, match="follow the last frame"):
                image.load()
        with pytest.raises(CorruptStreamError, match="follow the last frame"):
            Image.open(io.BytesIO(data)).verify()
        with pytest.raises(CorruptStreamError, match="follow the last frame"):
            iio.imread(data, plugin="SCF")


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_flipped_bits_give_the_exact_frames_or_an_error(mode):
    arrays = [*pictures(mode, 2, 7, 5), noise(mode, 7, 5)]
    data = encoded_frames(arrays)
    n_refused = 0
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert_all_same(softcomp_codec.decode_frames(bytes(damaged)), arrays)
        except OSError:
            n_refused += 1
    assert n_refused > 8 * len(data) - 24


# Hostile frame tables: the front doors; tests/test_container.py has the fields one by one


def entry(kind, n_bytes, crc):
    return bytes([kind]) + write_varint(n_bytes) + struct.pack("<I", crc)


def hostile(*tables, coder=STORED, crc=None, reference=b"", payload=None):
    """A file with frame tables as they are, in front of two stored frames."""
    arrays, crcs = stored_pair()
    header = Header(
        MODES[GRAY],
        5,
        4,
        coder,
        reference,
        crcs[0] if crc is None else crc,
        tuple(Segment(container.SEGMENT_FRAMES, table) for table in tables),
    )
    if payload is None:
        payload = b"".join(array.tobytes() for array in arrays)
    return container.write_header(header) + payload


def stored_pair():
    arrays = [noise("L", 5, 4), noise("L", 5, 4)[::-1]]
    return arrays, [container.checksum(MODES[GRAY], 5, 4, array.tobytes()) for array in arrays]


A, B = (entry(0, 20, crc) for crc in stored_pair()[1])
CRC_A, CRC_B = stored_pair()[1]


def test_a_frame_table_by_hand():
    data = hostile(b"\2" + A + B)
    assert_all_same(softcomp_codec.decode_frames(data), stored_pair()[0])
    Image.open(io.BytesIO(data)).verify()
    data = hostile(b"\2" + A + B, reference=bytes(8))  # a codebook that no frame uses
    assert_all_same(softcomp_codec.decode_frames(data), stored_pair()[0])


def test_a_table_of_one_frame():
    arrays, _ = stored_pair()
    data = hostile(b"\1" + A, payload=arrays[0].tobytes())
    assert_all_same(softcomp_codec.decode_frames(data), arrays[:1])
    with Image.open(io.BytesIO(data)) as image:
        assert (image.n_frames, image.is_animated) == (1, False)
        assert_same(np.asarray(image), arrays[0])
        with pytest.raises(EOFError):
            image.seek(1)
    assert_same(iio.imread(data, plugin="SCF"), arrays[0])


OPEN_ERRORS = {
    "no data": (hostile(b""), CorruptStreamError),
    "zero frames": (hostile(b"\0"), CorruptStreamError),
    "zero frames, entries": (hostile(b"\0" + A + B), CorruptStreamError),
    "too few frames": (hostile(b"\1" + A + B), CorruptStreamError),
    "too many frames": (hostile(b"\3" + A + B), CorruptStreamError),
    "far too many frames": (hostile(write_varint(2**62) + A + B), CorruptStreamError),
    "over-long count": (hostile(b"\x82\0" + A + B), CorruptStreamError),
    "endless count": (hostile(b"\xff" * 12), CorruptStreamError),
    "far too long frame": (hostile(b"\2" + A + entry(0, 2**63 - 1, 0)), CorruptStreamError),
    "two tables": (hostile(b"\2" + A + B, b"\2" + A + B), CorruptStreamError),
    "two tables of one": (hostile(b"\1" + A, b"\1" + B), CorruptStreamError),
    "first checksum": (hostile(b"\2" + B + A), CorruptStreamError),
    "first coder": (hostile(b"\2" + entry(1 << 5, 20, CRC_A) + B), CorruptStreamError),
    "header's coder": (hostile(b"\2" + A + B, coder=SHAPES), CorruptStreamError),
    "header's checksum": (hostile(b"\2" + A + B, crc=CRC_B), CorruptStreamError),
    "built-in without reference": (
        hostile(b"\2" + A + entry(1 << 5 | 1, 20, CRC_B)),
        CorruptStreamError,
    ),
    **{
        f"reserved bit {bit}": (hostile(b"\2" + A + entry(1 << bit, 20, CRC_B)), CorruptStreamError)
        for bit in (1, 2, 3, 4)
    },
    **{
        f"table cut to {length}": (hostile((b"\2" + A + B)[:length]), CorruptStreamError)
        for length in range(1 + len(A + B))
    },
}


@pytest.mark.parametrize(("data", "error"), OPEN_ERRORS.values(), ids=OPEN_ERRORS.keys())
def test_tables_that_cannot_be(data, error):
    assert_refused(data, error)
    with pytest.raises(error, match=r"\w"):
        Image.open(io.BytesIO(data))
    with pytest.raises(error, match=r"\w"):
        iio.improps(data, plugin="SCF")


SUM_ERRORS = {
    "sum too small": (entry(0, 20, CRC_A), entry(0, 19, CRC_B), CorruptStreamError),
    "first longer": (entry(0, 21, CRC_A), entry(0, 19, CRC_B), CorruptStreamError),
    "first shorter": (entry(0, 19, CRC_A), entry(0, 21, CRC_B), TruncatedStreamError),
    "first far too long": (entry(0, 2**61, CRC_A), entry(0, 20, CRC_B), CorruptStreamError),
    "empty first": (entry(0, 0, CRC_A), entry(0, 40, CRC_B), TruncatedStreamError),
    "empty second": (entry(0, 40, CRC_A), entry(0, 0, CRC_B), CorruptStreamError),
    "second checksum": (entry(0, 20, CRC_A), entry(0, 20, CRC_B ^ 1), CorruptStreamError),
    "second coder": (entry(0, 20, CRC_A), entry(1 << 5, 20, CRC_B), CorruptStreamError),
}


@pytest.mark.parametrize(("first", "second", "error"), SUM_ERRORS.values(), ids=SUM_ERRORS.keys())
def test_tables_that_do_not_fit_the_payload(first, second, error):
    data = hostile(b"\2" + first + second)
    assert_refused(data, error)
    assert_refused(data[:-1], CorruptStreamError)


@pytest.mark.parametrize("n_bytes", [21, 2**61])
def test_a_last_frame_that_is_shorter_than_its_length(n_bytes):
    data = hostile(b"\2" + A + entry(0, n_bytes, CRC_B))
    assert_refused(data, TruncatedStreamError)


def assert_refused(data, error):
    with pytest.raises(error, match=r"\w"):
        softcomp_codec.decode_frames(data)
    with pytest.raises(error, match=r"\w"):
        Image.open(io.BytesIO(data)).verify()
    with pytest.raises(error, match=r"\w"):
        iio.imread(data, plugin="SCF")


def test_a_table_of_very_many_frames():
    n_frames = 20000
    payload = 3 * stored_pair()[0][0].tobytes()
    data = hostile(write_varint(n_frames) + A * n_frames, payload=payload)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == n_frames
        image.seek(n_frames - 1)
        with pytest.raises(TruncatedStreamError, match=f"frame {n_frames - 1} has 0 of 20"):
            image.load()
    with pytest.raises(TruncatedStreamError, match=r"0 (bytes, expected|of) 20"):
        iio.imread(data, plugin="SCF")


# Pillow: writing


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_save_all(mode, path):
    arrays = pictures(mode, 4)
    first, *others = (Image.fromarray(array) for array in arrays)
    for append_images in (others, tuple(others), iter(others)):
        first.save(path, save_all=True, append_images=append_images, **OPTIONS)
        assert path.read_bytes() == encoded_frames(arrays)
    output = WriteOnly()
    first.save(output, "SCF", save_all=True, append_images=others, **OPTIONS)
    assert output.pieces == [encoded_frames(arrays)]
    with Image.open(path) as image:
        assert_all_same(ImageSequence.Iterator(image), arrays)


def test_save_all_with_the_default_codebook_and_other_options(no_codebooks):
    arrays = pictures()
    first, *others = (Image.fromarray(array) for array in arrays)
    for options in ({}, {"effort": 1, "file_check": True}, {"codebook": taught_codebook()}):
        stream = io.BytesIO()
        first.save(stream, "SCF", save_all=True, append_images=others, duration=50, **options)
        expected = softcomp_codec.encode_frames(arrays, metadata={"duration": 50}, **options)
        assert stream.getvalue() == expected
    with pytest.raises(ValueError, match="effort"):
        saved(first, append_images=others, effort=0)


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_save_all_from_tiff(mode, tmp_path, path):
    arrays = pictures(mode)
    first, *others = (Image.fromarray(array) for array in arrays)
    first.save(tmp_path / "x.tif", save_all=True, append_images=others)
    with Image.open(tmp_path / "x.tif") as image:
        assert image.n_frames == 3
        image.seek(1)
        kept = {"dpi": image.info["dpi"]}
        image.save(path, save_all=True, **OPTIONS)
        assert image.tell() == 1
        assert path.read_bytes() == encoded_frames(arrays, metadata=kept)
        image.save(path, **OPTIONS)
        assert path.read_bytes() == encoded(arrays[1], metadata=kept)


@pytest.mark.parametrize("mode", ["1", "L"])
def test_save_all_from_gif(mode, tmp_path, path):
    arrays = pictures(mode)
    first, *others = (Image.fromarray(array).convert("L") for array in arrays)
    first.save(tmp_path / "x.gif", save_all=True, append_images=others)
    with Image.open(tmp_path / "x.gif") as image:
        image.save(path, save_all=True, **OPTIONS)  # first frame P, others RGB
        assert_all_same(
            iio.imread(path), [np.asarray(frame.convert("RGB")) for frame in (first, *others)]
        )
        first, *others = (frame.convert(mode) for frame in ImageSequence.Iterator(image))
    first.save(path, save_all=True, append_images=others, metadata=False, **OPTIONS)
    assert path.read_bytes() == encoded_frames(arrays)


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_save_all_from_scf(mode, path, tmp_path):
    data = encoded_frames(pictures(mode))
    path.write_bytes(data)
    with Image.open(path) as image:
        for index in (0, 2, 1):
            image.seek(index)
            image.save(tmp_path / "y.scf", save_all=True, **OPTIONS)
            assert (tmp_path / "y.scf").read_bytes() == data
            assert image.tell() == index
            assert_same(np.asarray(image), pictures(mode)[index])
            assert saved(image, save_all=False) == encoded(pictures(mode)[index])
        image.save(path, save_all=True, **OPTIONS)  # over its own file
        assert path.read_bytes() == data
        image.save(tmp_path / "y.tif", save_all=True)
    with Image.open(tmp_path / "y.tif") as image:
        assert_all_same(ImageSequence.Iterator(image), pictures(mode))


def test_append_images_of_several_frames(gray_path, tmp_path):
    arrays = pictures()
    plain = Image.fromarray(picture("L", seed=9))
    with Image.open(gray_path) as image, Image.open(gray_path) as other:
        image.seek(2)
        other.seek(1)
        data = saved(image, append_images=[plain, other, plain, image])
        assert (image.tell(), other.tell()) == (2, 1)
    nine = picture("L", seed=9)
    assert data == encoded_frames([*arrays, nine, *arrays, nine, *arrays])


def test_append_images_that_differ(path):
    image = Image.fromarray(picture("L"))
    for other in (Image.new("L", (22, 17)), Image.new("RGB", (23, 18))):
        with pytest.raises(OSError, match="frames of different sizes or modes"):
            image.save(path, save_all=True, append_images=[image, other])
    for other in (Image.new("I;16", (23, 17)), Image.new("RGB", (17, 23))):
        with pytest.raises(OSError, match="frames of different sizes or modes"):
            image.save(path, save_all=True, append_images=[other])
    for mode in ("CMYK", "F", "HSV", "PA"):
        with pytest.raises(OSError, match="frames of different sizes or modes"):
            image.save(path, save_all=True, append_images=[Image.new(mode, (23, 17))])
    assert not path.exists()


# imageio: reading


def test_imread(arrays, path):
    path.write_bytes(encoded_frames(arrays))
    stack = np.stack(arrays)
    data = path.read_bytes()
    for source, hint in (
        (path, {}),
        (data, {"extension": ".scf"}),
        (io.BytesIO(data), {"plugin": "SCF"}),
    ):
        for index in (None, ...):
            assert_same(iio.imread(source, index=index, **hint), stack)
        for index in (2, 0, np.int64(1)):
            assert_same(iio.imread(source, index=index, **hint), arrays[index])
        assert_all_same(iio.imiter(source, **hint), arrays)
    for index in (-1, 3, 1000):
        for read in (iio.imread, iio.improps, iio.immeta):
            with pytest.raises(ValueError, match=f"index is {index}, the file holds 3 image"):
                read(path, index=index)
    with pytest.raises(TypeError):
        iio.imread(path, index=0.0)


def test_improps_and_immeta(arrays, path, monkeypatch):
    path.write_bytes(encoded_frames(arrays))
    monkeypatch.setattr(decoder, "decode_file", None)
    for index in (None, ...):
        stack = iio.improps(path, index=index)
        assert (stack.shape, stack.dtype) == ((3, *arrays[0].shape), arrays[0].dtype)
        assert (stack.n_images, stack.is_batch) == (3, True)
    single = iio.improps(path, index=2)
    assert (single.shape, single.dtype) == (arrays[0].shape, arrays[0].dtype)
    assert (single.n_images, single.is_batch) == (None, False)
    for index in (None, ..., 0, 2):
        assert iio.immeta(path, index=index)["n_frames"] == 3


def test_metadata_of_a_frame_tells_its_coder():
    data = encoded_frames([noise("L"), picture("L")], coder="shapes")
    with iio.imopen(data, "r", plugin="SCF") as file:
        coders = [file.metadata(index=index)["coder"] for index in (0, 1, None)]
    assert coders == ["stored", "shapes", "stored"]
    data = encoded_frames([noise("L"), picture("L")], coder="context")
    with iio.imopen(data, "r", plugin="SCF") as file:
        assert file.metadata(index=1)["coder"] == "context"


def test_codebooks_reach_every_frame(no_codebooks, path):
    book = taught_codebook()
    path.write_bytes(mixed_file(book))
    with pytest.raises(CodebookNotFoundError):
        iio.imread(path)
    assert_same(iio.imread(path, codebooks=[book]), np.stack(mixed_arrays()))
    assert_same(iio.imread(path, index=3, codebooks=[book]), mixed_arrays()[3])
    assert_all_same(iio.imiter(path, codebooks=[book]), mixed_arrays())


def test_the_file_is_read_once():
    data = encoded_frames(pictures("RGB", 7))
    stream = CountingBytes(data)
    with iio.imopen(stream, "r", plugin="SCF") as file:
        assert_all_same(file.iter(), pictures("RGB", 7))
        assert_same(file.read(index=3), pictures("RGB", 7)[3])
    assert stream.n_read < len(data) + 1000


def test_a_closed_resource(gray_path):
    with iio.imopen(gray_path, "r", plugin="SCF") as file:
        file.read()
        frames = file.iter()
        next(frames)
    for use in (file.read, file.metadata, file.properties, partial(file.read, index=1)):
        with pytest.raises(ValueError, match="closed"):
            use()
    with pytest.raises(ValueError, match="closed"):
        next(frames)


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_through_imageios_pillow_plugin(mode, path):
    stack = np.stack(pictures(mode))
    path.write_bytes(encoded_frames(stack))
    assert_same(iio.imread(path, plugin="pillow", index=...), stack)
    assert_same(iio.imread(path, plugin="pillow", index=2), stack[2])
    assert_all_same(iio.imiter(path, plugin="pillow"), stack)
    with iio.imopen(path, "w", plugin="pillow") as file:
        for array in stack[::-1]:
            file.write(array, is_batch=False, **OPTIONS)
    assert path.read_bytes() == encoded_frames(stack[::-1])


# imageio: writing


def test_imwrite(arrays, path):
    stack = np.stack(arrays)
    for images in (arrays, tuple(arrays), stack):
        iio.imwrite(path, images, is_batch=True, **OPTIONS)
        assert path.read_bytes() == encoded_frames(arrays)
    assert iio.imwrite("<bytes>", arrays, extension=".scf", **OPTIONS) == encoded_frames(arrays)
    if stack.ndim == 4 or stack.shape[2] > 4:
        iio.imwrite(path, stack[::-1], **OPTIONS)
        assert path.read_bytes() == encoded_frames(arrays[::-1])


def test_write_again_and_again(arrays, path):
    before = b"what was there"
    path.write_bytes(before)
    with iio.imopen(path, "w", plugin="SCF") as file:
        for array in arrays:
            assert file.write(array, is_batch=False, **OPTIONS) is None
            assert path.read_bytes() == before
        file.write(np.stack(arrays), is_batch=True)
    assert path.read_bytes() == encoded_frames([*arrays, *arrays])
    assert list(path.parent.iterdir()) == [path]


def test_write_again_to_other_targets(tmp_path):
    arrays = pictures()
    expected = encoded_frames(arrays)
    stream = WriteOnly()
    stream.close = lambda: None
    for target in (stream, f"{tmp_path}/set.zip/x.scf"):
        with iio.imopen(target, "w", plugin="SCF") as file:
            for array in arrays:
                file.write(array, **OPTIONS)
    assert stream.pieces == [expected]
    with zipfile.ZipFile(tmp_path / "set.zip") as archive:
        assert archive.read("x.scf") == expected


def test_write_again_to_bytes():
    arrays = pictures()
    with iio.imopen("<bytes>", "w", plugin="SCF") as file:
        for n_frames in (1, 2, 3):
            data = file.write(arrays[n_frames - 1], **OPTIONS)
            assert data == encoded_frames(arrays[:n_frames])


def test_the_callers_array_may_be_reused(path):
    arrays = pictures()
    buffer = np.empty_like(arrays[0])
    with iio.imopen(path, "w", plugin="SCF") as file:
        for array in arrays:
            buffer[...] = array
            file.write(buffer, **OPTIONS)
        buffer[...] = 0
    assert_same(iio.imread(path), np.stack(arrays))


@pytest.mark.parametrize(
    ("bad", "options", "error"),
    [
        (picture("L", 22, 17), {}, ValueError),
        (picture("RGB"), {}, ValueError),
        ([picture("L"), picture("1")], {}, ValueError),
        (np.zeros((17, 23)), {}, ValueError),
        (np.zeros(23), {}, TypeError),
        ([], {}, ValueError),
        (picture("L"), {"effort": 10}, ValueError),
        (picture("L"), {"effort": "9"}, TypeError),
        (picture("L"), {"efort": 9}, TypeError),
        (picture("L"), {"codebook": "no-such-book"}, CodebookNotFoundError),
    ],
)
def test_a_mistake_shows_at_once_and_changes_nothing(bad, options, error, path):
    arrays = pictures()
    with iio.imopen(path, "w", plugin="SCF") as file:
        file.write(arrays[0], **OPTIONS)
        with pytest.raises(error):
            file.write(bad, **options)
        file.write(arrays[1])
    assert path.read_bytes() == encoded_frames(arrays[:2])


def test_the_last_options_hold(path):
    arrays = mixed_arrays()
    with iio.imopen(path, "w", plugin="SCF") as file:
        file.write(arrays[0], codebook=None, effort=9)
        file.write(arrays[1], effort=1, file_check=True)
        file.write(arrays[2])
    assert path.read_bytes() == encoded_frames(arrays[:3], effort=1, file_check=True)


def test_nothing_is_written_where_an_exception_leaves_the_block(gray_path, tmp_path):
    def interrupted(target):
        with iio.imopen(target, "w", plugin="SCF") as file:
            file.write(picture("L", seed=9))
            raise KeyError("half-way")

    before = gray_path.read_bytes()
    stream = WriteOnly()
    stream.close = lambda: None
    for target in (gray_path, f"{tmp_path}/set.zip/x.scf", stream, "<bytes>"):
        with pytest.raises(KeyError, match="half-way"):
            interrupted(target)
        gc.collect()
    assert gray_path.read_bytes() == before
    assert stream.pieces == []
    assert os.listdir(tmp_path) == ["x.scf"]


def test_errors_of_the_output_come_from_close(gray_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("the disk is full")

    before = gray_path.read_bytes()
    for module, name in ((os, "fsync"), (encoder, "encode_pictures")):
        file = iio.imopen(gray_path, "w", plugin="SCF")
        file.write(picture("L", seed=9))
        with monkeypatch.context() as patch:
            patch.setattr(module, name, fail)
            with pytest.raises(OSError, match="disk is full"):
                file.close()
        file.close()
        with pytest.raises(ValueError, match="closed"):
            file.write(picture("L"))
        del file
        gc.collect()
        assert gray_path.read_bytes() == before


def test_a_forgotten_close_loses_nothing(path):
    file = iio.imopen(path, "w", plugin="SCF")
    file.write(pictures(), **OPTIONS)
    del file
    gc.collect()
    assert path.read_bytes() == encoded_frames(pictures())


def test_reading_what_is_open_for_writing_and_the_reverse(gray_path):
    before = gray_path.read_bytes()
    with iio.imopen(gray_path, "w", plugin="SCF") as file:
        for use in (file.read, file.properties, file.metadata, lambda: next(file.iter())):
            with pytest.raises(io.UnsupportedOperation, match="open for write only"):
                use()
    file = iio.imopen(gray_path, "r", plugin="SCF")
    with file, pytest.raises(io.UnsupportedOperation, match="open for read only"):
        file.write(picture("L", seed=9))
    assert gray_path.read_bytes() == before


# imageio.v2


def test_v2_multi_image_functions(arrays, path):
    stack = np.stack(arrays)
    for images in (arrays, stack):
        if isinstance(images, list) or stack.ndim == 4 or stack.shape[2] > 4:
            iio2.mimwrite(path, images, format="SCF", **OPTIONS)
            assert path.read_bytes() == encoded_frames(arrays)
            path.unlink()
    path.write_bytes(encoded_frames(arrays))
    assert_all_same(iio2.mimread(path, format="SCF"), arrays)
    assert_same(np.asarray(iio2.imread(path)), arrays[0])


@pytest.mark.parametrize("shape", ["bilevel", "gray", "rgb", "gray, one channel"])
def test_v2_volumes(shape, path):
    volume = np.stack(STACKS[shape])
    iio2.volwrite(path, volume, format="SCF", **OPTIONS)
    assert path.read_bytes() == encoded_frames(volume)
    assert_same(np.asarray(iio2.volread(path, format="SCF")), volume)


def test_v2_writer_and_reader(arrays, path):
    with iio2.get_writer(path, format="SCF", **OPTIONS) as writer:
        for array in arrays:
            writer.append_data(array)
        assert not path.exists()
    assert path.read_bytes() == encoded_frames(arrays)
    with iio2.get_reader(path, format="SCF") as reader:
        assert len(reader) == 3
        assert_all_same([reader.get_data(index) for index in (0, 1, 2)], arrays)
        assert_all_same(reader, arrays)
        with pytest.raises(ValueError, match="index is 3"):
            reader.get_data(3)


def test_v2_writer_of_bytes():
    with iio2.get_writer("<bytes>", format="SCF", **OPTIONS) as writer:
        for array in pictures():
            writer.append_data(array)
    assert writer.request.get_result() == encoded_frames(pictures())


def test_v2_writer_writes_what_it_has(path):
    """imageio does not tell the plugin of an exception in the block of this old interface."""

    def interrupted():
        with iio2.get_writer(path, format="SCF", **OPTIONS) as writer:
            for array in pictures()[:2]:
                writer.append_data(array)
            raise KeyError("half-way")

    with pytest.raises(KeyError, match="half-way"):
        interrupted()
    assert path.read_bytes() == encoded_frames(pictures()[:2])
