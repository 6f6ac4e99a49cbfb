"""Parts of images: `softcomp_codec.open`, its sources, and tiles that are checked one by one."""

import io
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from file_builder import checksum, file_of
from made_images import image, noise
from PIL import Image
from small_codebooks import made_prior, prior_book

import softcomp_codec
from softcomp_codec import bilevel_coder, container, context_coder, few_colour_coder, tiles
from softcomp_codec.coders import CODERS
from softcomp_codec.container import MODES, Header, Segment
from softcomp_codec.decoder import decode_file
from softcomp_codec.errors import (
    CodebookNotFoundError,
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from softcomp_codec.planes import dtype_of, mode_of_array

HEIGHT, WIDTH = 90, 110
BORDER_BOXES = (
    (0, 0, WIDTH, HEIGHT), (0, 0, 1, 1), (WIDTH - 1, HEIGHT - 1, WIDTH, HEIGHT), (24, 20, 26, 70),
    (21, 9, 22, 10), (22, 10, 23, 11), (0, 17, WIDTH, 18), (43, 0, 45, HEIGHT), (30, 31, 101, 77),
)  # fmt: skip


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Tiles of about a thousand pixels, about 25 wide in the context coder."""
    monkeypatch.setattr(context_coder, "TILE_PIXELS", 1000)
    monkeypatch.setattr(context_coder, "TILE_SIDE", 25)
    for coder in (bilevel_coder, few_colour_coder):
        monkeypatch.setattr(coder, "MOST_PIXELS", 1000)
        monkeypatch.setattr(coder, "TILE_PIXELS", 1000)


def picture(mode, height=HEIGHT, width=WIDTH):
    """Few colours and slopes, so that every coder makes it smaller."""
    rows, columns = np.mgrid[0:height, 0:width]
    shade = (rows // 9 + columns // 7) % 4 * 60 + (rows * columns > 3000) * 7
    n_planes = mode.n_planes if mode.channel_axis else 1
    stack = np.stack([(shade + 5 * plane) % 256 for plane in range(n_planes)], axis=2)
    array = (stack > 100) if mode.bits_per_sample == 1 else stack * (257 if
             mode.bits_per_sample == 16 else 1)  # fmt: skip
    return (array if mode.channel_axis else array[:, :, 0]).astype(dtype_of(mode))


def crop(array, box):
    left, top, right, bottom = box
    return array[top:bottom, left:right]


def assert_same(found, array):
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert np.array_equal(found, array)


def large_image(side=400):
    """An image of many tiles whose file is much longer than what is read at once."""
    return (image("gray8", side, side) // 2 + noise((side, side), 60)).astype(np.uint8)


ARRAY_MODES = [mode for mode in MODES.values() if mode != container.PALETTE]


@pytest.mark.parametrize("mode", ARRAY_MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("choice", ["auto", "context", "few-colour", "bilevel", "shapes"])
def test_parts_of_every_mode_and_coder(mode, choice):
    array = picture(mode)
    data = softcomp_codec.encode(array, coder=choice, codebook=None, effort=2)
    opened = softcomp_codec.open(data)
    assert (opened.shape, opened.dtype, opened.n_frames) == (array.shape, array.dtype, 1)
    assert opened.header == softcomp_codec.read_header(data)
    assert_same(opened.read(), array)
    for box in BORDER_BOXES:
        part = opened.read(box)
        assert_same(part, crop(array, box))
        assert part.flags.writeable
        assert part.flags.owndata or part.base.size == part.size
    coder = CODERS.get(opened.header.coder)
    if coder is not None and coder.grid is not None:
        assert len(coder.grid(HEIGHT, WIDTH)) > 8


def test_parts_of_a_palette_image():
    pillow = Image.fromarray(picture(MODES[2])).quantize(16)
    data = softcomp_codec.encode(pillow, codebook=None)
    assert softcomp_codec.read_header(data).coder == container.FEW_COLOUR
    for box in BORDER_BOXES:
        assert_same(softcomp_codec.open(data).read(box), crop(np.asarray(pillow), box))


def test_stored_images():
    array = noise((60, 70), 256).astype(np.uint8)
    data = softcomp_codec.encode(array)
    assert softcomp_codec.read_header(data).coder == container.STORED
    opened = softcomp_codec.open(data)
    assert_same(opened.read((3, 4, 50, 60)), array[4:60, 3:50])
    damaged = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(CorruptStreamError, match="checksum"):
        softcomp_codec.open(damaged).read((0, 0, 2, 2))


def test_images_of_one_tile_are_checked_as_a_whole():
    array = picture(MODES[1], 20, 30)
    data = softcomp_codec.encode(array, coder="context", codebook=None)
    assert_same(softcomp_codec.open(data).read((1, 2, 3, 4)), array[2:4, 1:3])
    wrong = bytearray(data)
    wrong[7] ^= 1  # of the checksum
    with pytest.raises(CorruptStreamError, match="checksum of the decoded picture"):
        softcomp_codec.open(wrong).read((1, 2, 3, 4))


def test_with_a_codebook():
    array = picture(MODES[1])
    book = prior_book(made_prior())
    payload = context_coder.encode_payload(array, MODES[1], priors=book.context_priors(MODES[1]))
    header = Header(
        MODES[1], WIDTH, HEIGHT, container.CONTEXT, book.identifier[:8], checksum(array)
    )
    data = container.write_file(header, payload)
    segments = (Segment(container.SEGMENT_CODEBOOK, book.to_bytes()),)
    embedding = container.write_file(replace(header, segments=segments), payload)
    assert_same(softcomp_codec.open(embedding).read((5, 6, 40, 50)), array[6:50, 5:40])
    with pytest.raises(CodebookNotFoundError):
        softcomp_codec.open(data).read((5, 6, 40, 50))
    opened = softcomp_codec.open(data, codebooks=[book])
    assert_same(pickle.loads(pickle.dumps(opened)).read((5, 6, 40, 50)), array[6:50, 5:40])


@pytest.mark.parametrize(
    ("box", "error"),
    [
        ((-1, 0, 5, 5), ValueError), ((0, -1, 5, 5), ValueError),
        ((0, 0, WIDTH + 1, 5), ValueError),
        ((0, 0, 5, HEIGHT + 1), ValueError), ((5, 0, 5, 5), ValueError), ((0, 6, 5, 5), ValueError),
        ((0, 0, 0, 0), ValueError), ((0, 0, 2**70, 5), ValueError), ((0, 0, 5), ValueError),
        ((0, 0, 5, 5, 5), ValueError), ((0, 0, 5.0, 5), TypeError), (("0", 0, 5, 5), TypeError),
        (7, TypeError),
    ],
)  # fmt: skip
def test_boxes_that_cannot_be(box, error):
    opened = softcomp_codec.open(softcomp_codec.encode(picture(MODES[1])))
    with pytest.raises(error) as caught:
        opened.read(box)
    assert not isinstance(caught.value, ScfError)


def test_numpy_integers_are_integers():
    array = picture(MODES[1])
    opened = softcomp_codec.open(softcomp_codec.encode(array))
    box = tuple(np.array([1, 2, 30, 40], np.uint16))
    assert_same(opened.read(box, frame=np.int64(0)), array[2:40, 1:30])
    assert_same(opened.read([1, 2, 30, 40]), array[2:40, 1:30])


def test_frames():
    arrays = [picture(MODES[2]), picture(MODES[2])[::-1].copy(), noise((HEIGHT, WIDTH, 3), 256)]
    arrays[2] = arrays[2].astype(np.uint8)
    data = softcomp_codec.encode_frames(arrays, codebook=None)
    opened = softcomp_codec.open(data)
    assert opened.n_frames == 3
    for frame in (2, 0, 1, 2):
        assert_same(opened.read(frame=frame), arrays[frame])
        assert_same(opened.read((20, 30, 60, 80), frame), arrays[frame][30:80, 20:60])
    for frame in (-1, 3):
        with pytest.raises(IndexError):
            opened.read(frame=frame)
    with pytest.raises(TypeError):
        opened.read(frame="1")


# --- damage ---------------------------------------------------------------------------------------

FIRST, LAST = (0, 0, 3, 3), (WIDTH - 3, HEIGHT - 3, WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("mode", "choice"), [(1, "context"), (0, "bilevel"), (2, "few-colour")], ids=str
)
def test_damage_matters_where_it_is(mode, choice):
    array = picture(MODES[mode])
    data = softcomp_codec.encode(array, coder=choice, codebook=None)
    assert softcomp_codec.read_header(data).coder in (2, 3, 4)
    good = softcomp_codec.open(data)
    first, last = good.read(FIRST), good.read(LAST)
    damaged = data[:-4] + bytes(byte ^ 0x55 for byte in data[-4:])
    opened = softcomp_codec.open(damaged)
    assert_same(opened.read(FIRST), first)
    with pytest.raises(CorruptStreamError, match="tile"):
        opened.read(LAST)
    with pytest.raises(CorruptStreamError, match="tile"):
        opened.read()
    for cut in (data[:-2], data[:-9]):
        assert_same(softcomp_codec.open(cut).read(FIRST), first)
        with pytest.raises(CorruptStreamError, match="tile"):
            softcomp_codec.open(cut).read(LAST)
        with pytest.raises(TruncatedStreamError, match="its last tile ends at byte"):
            softcomp_codec.decode(cut)
    assert_same(softcomp_codec.open(data + b"more").read(LAST), last)
    with pytest.raises(CorruptStreamError, match="4 bytes follow the last tile"):
        softcomp_codec.decode(data + b"more")


def test_the_check_of_a_tile_is_about_that_tile():
    array = picture(MODES[1])
    data = softcomp_codec.encode(array, coder="context", codebook=None)
    header = softcomp_codec.read_header(data)
    payload = data[header.payload_offset :]
    reader = container.ByteReader(payload, "payload")
    context_coder._read_head(reader, header)
    check = header.payload_offset + reader.offset
    damaged = data[:check] + bytes([data[check] ^ 4]) + data[check + 1 :]
    opened = softcomp_codec.open(damaged)
    with pytest.raises(CorruptStreamError, match="tile 0: its samples have check"):
        opened.read(FIRST)
    with pytest.raises(CorruptStreamError, match="tile 0: its samples have check"):
        softcomp_codec.decode(damaged)
    assert_same(opened.read(LAST), crop(array, LAST))
    lenient = decode_file(damaged, allow_truncated=True)
    assert_same(lenient.array, array)


@pytest.mark.parametrize("choice", ["context", "few-colour"])
def test_a_part_is_exact_or_an_error(choice):
    """Every bit of header, head and directory."""
    array = picture(MODES[1], 60, 70)
    data = softcomp_codec.encode(array, coder=choice, codebook=None, effort=1)
    boxes = ((0, 0, 3, 3), (30, 20, 50, 40), (60, 50, 70, 60))
    n_errors = n_exact = 0
    for position in range(80):
        for bit in (0, 4, 7):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            for box in boxes:
                try:
                    part = softcomp_codec.open(damaged).read(box)
                except (ScfError, ValueError):
                    n_errors += 1
                else:
                    assert_same(part, crop(array, box))
                    n_exact += 1
    assert n_errors > 200
    assert n_exact > 50


def test_noise_among_what_can_be_coded():
    """Tiles that cannot be coded are kept as they are, the others coded."""
    for mode, shape in ((1, ()), (5, ()), (2, (3,)), (0, ())):
        array = picture(MODES[mode])
        top = 2 if array.dtype == bool else np.iinfo(array.dtype).max + 1
        array[22:51, 20:80] = noise((29, 60, *shape), top).astype(array.dtype)
        data = softcomp_codec.encode(array, codebook=None)
        assert softcomp_codec.read_header(data).coder != container.STORED
        assert len(data) < 0.8 * MODES[mode].raw_size(WIDTH, HEIGHT)
        assert_same(softcomp_codec.decode(data), array)
        for box in BORDER_BOXES:
            assert_same(softcomp_codec.open(data).read(box), crop(array, box))


def test_padding_bits_of_a_raw_tile():
    array = picture(MODES[0])
    grid = bilevel_coder.tile_grid(HEIGHT, WIDTH)
    settings = bilevel_coder.choose_settings(array.view(np.uint8), 5, None)

    def encode(tile):
        if tile is grid[-1]:
            return None
        pixels = bilevel_coder.pixels_of(tile.of(array)) ^ np.uint8(settings.inverted)
        return bilevel_coder.code_tile(bilevel_coder.Model(settings, pixels.size), pixels)

    payload = settings.to_byte() + tiles.encode_tiles(array, MODES[0], grid, encode)
    data = bytearray(file_of(array, payload, coder=container.BILEVEL))
    assert_same(softcomp_codec.decode(data), array)
    data[-1] |= 1
    with pytest.raises(CorruptStreamError, match="tile 9: padding bits"):
        softcomp_codec.decode(data)
    assert_same(softcomp_codec.open(data).read(FIRST), crop(array, FIRST))


def test_raw_tiles_alone_are_stored():
    array = noise((60, 60), 256).astype(np.uint8)
    mode = mode_of_array(array)
    assert tiles.encode_tiles(array, mode, context_coder.tile_grid(60, 60), lambda _: None) is None


# --- sources --------------------------------------------------------------------------------------


class CountingFile(io.BytesIO):
    """A file that knows how many bytes were read."""

    n_read = 0

    def read(self, size=-1):
        data = super().read(size)
        self.n_read += len(data)
        return data


def test_only_what_is_needed_is_read():
    array = large_image()
    data = softcomp_codec.encode(array, codebook=None, coder="context", effort=1)
    assert len(data) > 110_000
    file = CountingFile(data)
    opened = softcomp_codec.open(file)
    assert file.n_read < 2000
    assert_same(opened.read((390, 390, 400, 400)), array[390:, 390:])
    assert file.n_read < 75_000
    before = file.n_read
    assert_same(opened.read((200, 390, 210, 400)), array[390:, 200:210])
    assert file.n_read - before < 2000


def test_paths_and_file_objects(tmp_path):
    array = picture(MODES[1])
    data = softcomp_codec.encode(array)
    path = tmp_path / "picture.scf"
    path.write_bytes(data)
    for source in (path, str(path), data, bytearray(data), memoryview(data)):
        with softcomp_codec.open(source) as opened:
            assert_same(opened.read((1, 2, 40, 50)), array[2:50, 1:40])
        with pytest.raises(ValueError, match="was closed"):
            opened.read()
        opened.close()
    for file in (io.BytesIO(b"before" + data), path.open("rb")):
        with file:
            if isinstance(file, io.BytesIO):
                file.seek(6)
            with softcomp_codec.open(file) as opened:
                assert_same(opened.read((1, 2, 40, 50)), array[2:50, 1:40])
            assert not file.closed
    assert "110 x 90 gray8" in repr(opened)


def test_a_file_that_cannot_be_sought():
    class Pipe(io.RawIOBase):
        def __init__(self, data):
            self._data = io.BytesIO(data)

        def readable(self):
            return True

        def readinto(self, buffer):
            return self._data.readinto(buffer)

    array = picture(MODES[1])
    opened = softcomp_codec.open(Pipe(softcomp_codec.encode(array)))
    assert_same(opened.read((1, 2, 40, 50)), array[2:50, 1:40])


def test_what_is_no_file(tmp_path):
    path = tmp_path / "picture.scf"
    path.write_bytes(b"GIF89a...")
    for source in (path, b"", b"GIF89a", io.BytesIO(b"\xf7S")):
        with pytest.raises(ScfError):
            softcomp_codec.open(source)
    with pytest.raises(FileNotFoundError):
        softcomp_codec.open(tmp_path / "missing.scf")
    with pytest.raises(TypeError):
        softcomp_codec.open(7)
    with pytest.raises(UnsupportedStreamError, match="limit"):
        softcomp_codec.open(
            file_of(np.zeros((1, 1), np.uint8), b"")[:5] + b"\xff" * 4 + b"\7\7" * 9
        )


def test_a_file_that_becomes_shorter(tmp_path):
    path = tmp_path / "picture.scf"
    path.write_bytes(softcomp_codec.encode(large_image(200), codebook=None))
    with softcomp_codec.open(path) as opened, path.open("r+b") as file:
        file.truncate(100)
        with pytest.raises(TruncatedStreamError, match="the file ends at byte 100"):
            opened.read((100, 100, 110, 110))


def test_pickling(tmp_path):
    array = picture(MODES[2])
    data = softcomp_codec.encode(array)
    path = tmp_path / "picture.scf"
    path.write_bytes(data)
    with path.open("rb") as file:
        for source in (path, data, file, io.BytesIO(data)):
            opened = softcomp_codec.open(source)
            stored = pickle.dumps(opened)
            assert (data in stored) == (source is data or isinstance(source, io.BytesIO))
            again = pickle.loads(stored)
            assert again.header == opened.header
            assert_same(again.read((1, 2, 40, 50)), array[2:50, 1:40])
            opened.close()
            with pytest.raises(ValueError, match="was closed"):
                pickle.dumps(opened)
            assert_same(again.read((1, 2, 40, 50)), array[2:50, 1:40])
            again.close()
            file.seek(0)
    with softcomp_codec.open(path) as opened:
        stored = pickle.dumps(opened)
    path.write_bytes(softcomp_codec.encode(array[:50]))
    with pytest.raises(ValueError, match="another file than was opened before"):
        pickle.loads(stored)


def test_many_threads_read_at_once(tmp_path):
    array = large_image(300)
    path = tmp_path / "picture.scf"
    path.write_bytes(softcomp_codec.encode(array, codebook=None, effort=1))
    barrier = threading.Barrier(16)

    def read(seed):
        barrier.wait()
        for left, top in np.random.default_rng(seed).integers(0, 280, (6, 2)).tolist():
            part = opened.read((left, top, left + 20, top + 20))
            assert_same(part, array[top : top + 20, left : left + 20])
        return True

    with softcomp_codec.open(path) as opened, ThreadPoolExecutor(16) as pool:
        assert all(pool.map(read, range(16)))


def test_no_file_stays_open(tmp_path):
    path = tmp_path / "picture.scf"
    path.write_bytes(b"no picture")
    for _ in range(3):
        with suppress(ScfError):
            softcomp_codec.open(path)  # a ResourceWarning is an error
    path.unlink()
