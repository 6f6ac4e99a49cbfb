import copy
import gc
import io
import os
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, ImageFile, UnidentifiedImageError
from plugin_files import (
    PILLOW_MODES,
    CountingBytes,
    ReadOnly,
    Reluctant,
    WriteOnly,
    encoded,
    encoded_frames,
    file_header,
    noise,
    picture,
    run_python,
    stored_file,
    taught_codebook,
    taught_picture,
)

import softcomp_codec
from softcomp_codec import codebook_store, container, decoder
from softcomp_codec.errors import (
    CodebookNotFoundError,
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from softcomp_codec.pillow_plugin import ScfImageFile

SIZES = ((1, 1), (1, 13), (13, 1), (8, 8), (23, 17), (61, 47))


@pytest.fixture
def no_codebooks(monkeypatch, tmp_path):
    """Only bundled codebooks, and those that the test puts somewhere."""
    monkeypatch.setattr(codebook_store, "_registered", {})
    monkeypatch.setattr(codebook_store, "user_folder", lambda: tmp_path / "no such folder")
    monkeypatch.delenv("SOFTCOMP_CODEBOOK_PATH", raising=False)


@pytest.fixture
def book():
    return taught_codebook()


@pytest.fixture
def needy_file(book, no_codebooks):
    """The bytes of a file whose codebook is nowhere to be found."""
    return softcomp_codec.encode(taught_picture(), codebook=book)


@pytest.fixture
def gray_file():
    return encoded(picture("L"))


@pytest.fixture
def gray_path(gray_file, tmp_path):
    path = tmp_path / "gray.scf"
    path.write_bytes(gray_file)
    return path


def saved(image, **options):
    stream = io.BytesIO()
    image.save(stream, "SCF", **{"codebook": None, **options})
    return stream.getvalue()


# Round trips


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", PILLOW_MODES)
@pytest.mark.parametrize("draw", [picture, noise])
def test_round_trip(draw, mode, size):
    image = Image.fromarray(draw(mode, *size))
    assert (image.mode, image.size) == (mode, size)
    with Image.open(io.BytesIO(saved(image))) as reopened:
        assert reopened.format == "SCF"
        assert (reopened.mode, reopened.size) == (mode, size)
        assert reopened.tobytes() == image.tobytes()
        assert np.array_equal(np.asarray(reopened), np.asarray(image))


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_round_trip_with_the_default_codebook(mode):
    image = Image.fromarray(picture(mode))
    stream = io.BytesIO()
    image.save(stream, "SCF")
    with Image.open(stream) as reopened:
        assert reopened.tobytes() == image.tobytes()


@pytest.mark.parametrize("name", ["x.scf", "X.SCF", "x.y.Scf"])
@pytest.mark.parametrize("kind", [str, os.fsencode, lambda path: path])
def test_save_by_extension(tmp_path, name, kind):
    image = Image.fromarray(picture("RGB"))
    path = tmp_path / name
    image.save(kind(path), codebook=None)
    assert path.read_bytes().startswith(container.MAGIC)
    with Image.open(kind(path)) as reopened:
        assert reopened.tobytes() == image.tobytes()


def test_open_by_content_whatever_the_name(tmp_path, gray_file):
    path = tmp_path / "x.png"
    path.write_bytes(gray_file)
    with Image.open(path) as image:
        assert image.format == "SCF"
    with Image.open(path, formats=["SCF"]) as image:
        assert image.format == "SCF"


def test_saved_bytes_are_those_of_encode_and_always_the_same():
    array = picture("RGB")
    image = Image.fromarray(array)
    assert saved(image) == saved(image) == encoded(array)


def test_mime_type_and_description(gray_file):
    with Image.open(io.BytesIO(gray_file)) as image:
        assert image.get_format_mimetype() == "image/x-scf"
        assert "compression" in image.format_description


def test_save_an_image_over_its_own_file(gray_path):
    expected = picture("L")
    with Image.open(gray_path) as image:
        image.save(gray_path, codebook=None)
    with Image.open(gray_path) as image:
        assert np.array_equal(np.asarray(image), expected)


# Opening is lazy


def test_open_decodes_nothing(monkeypatch, gray_file):
    def refuse(*arguments, **options):
        raise AssertionError("decoded too early")

    monkeypatch.setattr(decoder, "decode_file", refuse)
    with Image.open(io.BytesIO(gray_file)) as image:
        assert image.size == (23, 17)
        assert image.getexif() == {}
        assert image.draft("L", (5, 5)) is None
        with pytest.raises(AssertionError, match="too early"):
            image.load()


def test_open_does_not_read_the_payload():
    data = stored_file(noise("L", 500, 400), 1)
    stream = CountingBytes(data)
    with Image.open(stream) as image:
        assert image.size == (500, 400)
        assert stream.n_read < 1000
        image.load()
    assert stream.n_read >= len(data)


def test_open_imports_neither_numpy_nor_numba(gray_path):
    code = (
        "import sys, softcomp_codec; from PIL import Image\n"
        f"with Image.open({str(gray_path)!r}) as image: print(image.size, image.mode, image.info)\n"
        "print([name for name in ('numpy', 'numba') if name in sys.modules])"
    )
    output, _ = run_python(code)
    assert output.splitlines() == ["(23, 17) L {'scf_version': 0}", "[]"]


def test_decompression_bomb_is_noticed_before_decoding(monkeypatch):
    bomb = io.BytesIO(file_header(60000, 60000))
    with pytest.raises(Image.DecompressionBombError):
        Image.open(bomb)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100 * 99)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(file_header(100, 100)))


def test_info_of_a_file_without_codebook(gray_file):
    with Image.open(io.BytesIO(gray_file)) as image:
        assert image.info == {"scf_version": 0}


def test_a_missing_codebook_matters_to_load_only(needy_file, book):
    with Image.open(io.BytesIO(needy_file)) as image:
        assert (image.mode, image.size) == ("L", (80, 64))
        assert image.info == {
            "scf_version": 0,
            "codebook_id": book.identifier[:8].hex(),
            "codebook_name": "always-five",
        }
        for _ in range(2):
            with pytest.raises(CodebookNotFoundError, match="always-five") as caught:
                image.load()
            assert isinstance(caught.value, OSError)
            assert caught.value.reference == book.identifier[:8]
        softcomp_codec.register_codebook(book)
        assert np.array_equal(np.asarray(image), taught_picture())


def test_codebook_beside_the_file(needy_file, book, tmp_path, monkeypatch):
    (tmp_path / "x.scf").write_bytes(needy_file)
    book.save(tmp_path / "any-name.scfb")
    with Image.open(tmp_path / "x.scf") as image:
        assert np.array_equal(np.asarray(image), taught_picture())
    with (tmp_path / "x.scf").open("rb") as stream, Image.open(stream) as image:
        assert np.array_equal(np.asarray(image), taught_picture())
    monkeypatch.chdir(tmp_path)
    with Image.open("x.scf") as image:
        monkeypatch.chdir("/")
        assert np.array_equal(np.asarray(image), taught_picture())


def test_embedded_codebook(no_codebooks, book):
    image = Image.fromarray(taught_picture())
    data = saved(image, codebook=book, embed_codebook=True)
    with Image.open(io.BytesIO(data)) as reopened:
        assert reopened.info["codebook_id"] == book.identifier[:8].hex()
        assert reopened.tobytes() == image.tobytes()


# File objects


def test_own_file_is_closed_after_loading(gray_path):
    image = Image.open(gray_path)
    stream = image.fp
    assert not stream.closed
    image.load()
    assert stream.closed
    assert image.fp is None


@pytest.mark.parametrize("position", [0, 5])
def test_callers_file_stays_open_and_usable(gray_path, position):
    with gray_path.open("rb") as stream:
        stream.seek(position)
        image = Image.open(stream)
        stream.seek(2)
        image.load()
        assert not stream.closed
        stream.seek(0)
        assert stream.read() == gray_path.read_bytes()
        with Image.open(stream) as again:
            again.load()
        assert not stream.closed


def test_context_manager_closes_what_was_not_loaded(gray_path):
    with Image.open(gray_path) as image:
        stream = image.fp
    assert stream.closed
    with pytest.raises(ValueError, match="file was closed"):
        image.load()


def test_close(gray_path):
    for load_first in (False, True):
        image = Image.open(gray_path)
        if load_first:
            image.load()
        image.close()
        with pytest.raises(ValueError, match="closed image"):
            image.load()


def test_nothing_is_left_open(gray_path, tmp_path):
    damaged = tmp_path / "damaged.scf"
    damaged.write_bytes(gray_path.read_bytes()[:-1] + b"\0")
    foreign = tmp_path / "foreign.scf"
    foreign.write_bytes(b"no picture at all")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Image.open(gray_path).load()
        Image.open(gray_path).verify()
        with pytest.raises(ScfError):
            Image.open(damaged).load()
        with pytest.raises(ScfError):
            Image.open(damaged).verify()
        with pytest.raises(UnidentifiedImageError):
            Image.open(foreign)
        with pytest.raises(SyntaxError):
            ScfImageFile(foreign)
        Image.open(gray_path).save(tmp_path / "y.scf", codebook=None)
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_input_that_cannot_seek(gray_file):
    with Image.open(ReadOnly(gray_file)) as image:
        assert np.array_equal(np.asarray(image), picture("L"))


def test_class_starts_where_the_stream_stands(gray_file):
    stream = io.BytesIO(b"something before" + gray_file)
    stream.seek(16)
    assert np.array_equal(np.asarray(ScfImageFile(stream)), picture("L"))


def test_a_file_that_changes_between_open_and_load(gray_path):
    with Image.open(gray_path) as image:
        gray_path.write_bytes(encoded(picture("L", 5, 5)))
        with pytest.raises(CorruptStreamError, match="changed between opening and loading"):
            image.load()


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_output_that_cannot_seek(mode):
    image = Image.fromarray(picture(mode))
    stream = WriteOnly()
    image.save(stream, "SCF", codebook=None)
    assert stream.pieces == [saved(image)]
    slow = Reluctant()
    image.save(slow, "SCF", codebook=None)
    assert slow.getvalue() == saved(image)


def test_output_that_is_full():
    with pytest.raises(OSError, match="took 20 of"):
        Image.fromarray(noise("L")).save(Reluctant(capacity=20), "SCF", codebook=None)


def test_unbuffered_file(tmp_path):
    image = Image.fromarray(picture("L"))
    with (tmp_path / "x.scf").open("wb", buffering=0) as stream:
        image.save(stream, codebook=None)
        assert not stream.closed
    assert (tmp_path / "x.scf").read_bytes() == saved(image)


# The rest of Pillow's interface


@pytest.mark.parametrize("step", [1, 3, 64, 10**6])
@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_parser(mode, step):
    array = picture(mode)
    data = encoded(array)
    with ImageFile.Parser() as parser:
        for start in range(0, len(data), step):
            parser.feed(data[start : start + step])
        image = parser.close()
    assert np.array_equal(np.asarray(image), array)


def test_parser_of_bad_data(gray_file):
    for data in (gray_file[:2], gray_file[:8], gray_file[:-3], gray_file[:-1] + b"\0", b"no image"):
        parser = ImageFile.Parser()
        parser.feed(data)
        with pytest.raises(OSError, match=r"\w"):
            parser.close()


@pytest.mark.parametrize("load_first", [False, True])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(gray_path, protocol, load_first):
    with Image.open(gray_path) as image:
        if load_first:
            image.load()
        clone = pickle.loads(pickle.dumps(image, protocol))
        assert clone == image
    assert clone.format == "SCF"
    clone.load()
    with pytest.raises(RuntimeError, match="directly after open"):
        clone.verify()
    clone.close()


@pytest.mark.parametrize("load_first", [False, True])
@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda image: image.copy()])
def test_copy(gray_path, make, load_first):
    with Image.open(gray_path) as image:
        if load_first:
            image.load()
        clone = make(image)
        clone.putpixel((0, 0), 77)
        assert image.getpixel((0, 0)) == 0
    assert clone.getpixel((0, 0)) == 77


def test_loaded_image_can_be_changed(gray_path):
    with Image.open(gray_path) as image:
        image.putpixel((1, 2), 99)
        image.paste(7, (5, 5, 8, 8))
        assert (image.getpixel((1, 2)), image.getpixel((6, 6))) == (99, 7)


def test_frames(gray_path):
    with Image.open(gray_path) as image:
        assert image.tell() == 0
        image.seek(0)
        for frame in (1, -1):
            with pytest.raises(EOFError):
                image.seek(frame)
        image.load()
        image.seek(0)
        assert (image.n_frames, image.is_animated) == (1, False)


@pytest.mark.parametrize(
    "use",
    [
        lambda image: image.convert("RGBA").tobytes(),
        lambda image: image.resize((5, 6)).tobytes(),
        lambda image: image.crop((2, 3, 9, 9)).tobytes(),
        lambda image: image.transpose(Image.Transpose.ROTATE_90).tobytes(),
        lambda image: image.histogram(),
        lambda image: image.getextrema(),
        lambda image: image.split()[0].tobytes(),
        lambda image: np.asarray(image).tolist(),
    ],
)
@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_operations_load_by_themselves(mode, use):
    array = picture(mode)
    with Image.open(io.BytesIO(encoded(array))) as image:
        assert use(image) == use(Image.fromarray(array))


def test_thumbnail(gray_path):
    with Image.open(gray_path) as image:
        image.thumbnail((10, 10))
        assert image.size == (10, 7)


def test_metadata_getters(gray_path):
    with Image.open(gray_path) as image:
        assert len(image.getexif()) == 0
        image.load()
        assert len(image.getexif()) == 0
        assert image.get_child_images() == []


def test_threads():
    arrays = [picture("RGB", seed=seed) for seed in range(16)]

    def travel(array):
        data = saved(Image.fromarray(array))
        with Image.open(io.BytesIO(data)) as image:
            return data, np.asarray(image)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(travel, arrays))
    for array, (data, found) in zip(arrays, results, strict=True):
        assert np.array_equal(found, array)
        assert data == encoded(array)


def test_threads_that_share_an_image(gray_path):
    for _ in range(10):
        with Image.open(gray_path) as image, ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _, image=image: image.getpixel((3, 4)), range(8)))
        assert found == [picture("L")[4, 3]] * 8


# Verify


@pytest.mark.parametrize("file_check", [False, True])
def test_verify(tmp_path, file_check):
    path = tmp_path / "x.scf"
    path.write_bytes(encoded(picture("L"), file_check=file_check))
    image = Image.open(path)
    stream = image.fp
    image.verify()
    assert stream.closed
    with pytest.raises(ValueError, match="file was closed"):
        image.load()
    with pytest.raises(RuntimeError, match="directly after open"):
        image.verify()
    with Image.open(path) as image:
        image.load()
        with pytest.raises(RuntimeError, match="directly after open"):
            image.verify()


def test_verify_leaves_the_callers_file_open(gray_path):
    with gray_path.open("rb") as stream:
        Image.open(stream).verify()
        assert not stream.closed


def test_verify_finds_damaged_pixels():
    data = stored_file(noise("L"), 1)
    for position in (len(data) - 1, len(data) // 2):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        with pytest.raises(CorruptStreamError, match="checksum"):
            Image.open(io.BytesIO(damaged)).verify()


def test_verify_needs_the_codebook_but_the_file_check_does_not(needy_file, book):
    with pytest.raises(CodebookNotFoundError):
        Image.open(io.BytesIO(needy_file)).verify()
    data = softcomp_codec.encode(taught_picture(), codebook=book, file_check=True)
    with pytest.raises(CodebookNotFoundError):
        Image.open(io.BytesIO(data)).verify()
    with pytest.raises(CorruptStreamError, match="file check"):
        Image.open(io.BytesIO(data[:-1] + bytes([data[-1] ^ 1]))).verify()


def test_verify_is_strict_about_truncation(gray_file, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(TruncatedStreamError):
        Image.open(io.BytesIO(gray_file[:-40])).verify()


# Bad data


def test_foreign_data_are_a_syntax_error():
    for data in (b"", b"\xf7S", b"\xf7S\0", b"\x89PNG\r\n\x1a\n", b"anything at all"):
        with pytest.raises(SyntaxError, match="not an SCF file"):
            ScfImageFile(io.BytesIO(data))
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (picture("L")[:, :, np.newaxis], r"gray8, shape \(H, W, 1\)"),
        (picture("I;16")[:, :, np.newaxis], r"gray16, shape \(H, W, 1\)"),
        (picture("rgb16"), "rgb16"),
        (picture("rgba16"), "rgba16"),
        (picture("la16"), "la16"),
    ],
)
def test_arrays_that_pillow_cannot_hold_are_a_syntax_error(array, text):
    for data in (encoded(array), encoded_frames([array, array])):
        with pytest.raises(SyntaxError, match=f"Pillow cannot hold {text}; read it by imageio"):
            ScfImageFile(io.BytesIO(data))
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(data))


def test_versions_and_modes_of_the_future(gray_file):
    for position, value in ((3, 0xF0), (4, 0x3E)):
        data = bytearray(gray_file)
        data[position] = value
        with pytest.raises(UnsupportedStreamError, match=f"byte {position}"):
            Image.open(io.BytesIO(data))


@pytest.mark.parametrize("draw", [picture, noise])
@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_truncated_anywhere(mode, draw, monkeypatch):
    data = encoded(draw(mode, 9, 7), file_check=draw is picture)
    for length in range(len(data)):
        with pytest.raises(OSError, match=r"\w"):
            Image.open(io.BytesIO(data[:length])).load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    header = container.read_header(data)
    for length in range(header.payload_offset):
        with pytest.raises(OSError, match=r"\w"):
            Image.open(io.BytesIO(data[:length])).load()
    for length in range(header.payload_offset, len(data)):
        with Image.open(io.BytesIO(data[:length])) as image, suppress(CorruptStreamError):
            image.load()  # a part of a range coder's code can be the whole code of other pixels
            assert (image.mode, image.size) == (mode, (9, 7))


@pytest.mark.parametrize("make", [encoded, lambda array: stored_file(array, 1)])
def test_truncated_picture_keeps_its_first_rows(monkeypatch, make):
    array = noise("L", 40, 40)
    if make is encoded:
        array = array // 16 * 16
    data = make(array)
    with pytest.raises(TruncatedStreamError):
        Image.open(io.BytesIO(data[: len(data) // 2])).load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with Image.open(io.BytesIO(data[: len(data) // 2])) as image:
        found = np.asarray(image)
    assert np.array_equal(found[:15], array[:15])
    assert not found[-15:].any()


def test_truncated_picture_can_be_loaded_after_all(gray_file, monkeypatch):
    with Image.open(io.BytesIO(gray_file[:-40])) as image:
        with pytest.raises(TruncatedStreamError):
            image.load()
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        image.load()


def test_bytes_after_the_picture(gray_file):
    for data in (gray_file, stored_file(noise("L"), 1)):
        with pytest.raises(CorruptStreamError, match="follow"):
            Image.open(io.BytesIO(data + b"\0")).load()


def flipped(data, bits):
    for bit in bits:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        yield io.BytesIO(damaged)


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_flipped_bits_give_the_exact_picture_or_an_error(mode):
    array = picture(mode, 9, 7)
    data = encoded(array)
    n_refused = 0
    for stream in flipped(data, range(8 * len(data))):
        try:
            with Image.open(stream) as image:
                assert np.array_equal(np.asarray(image), array)
        except (OSError, Image.DecompressionBombError):  # the latter is Pillow's, for huge sizes
            n_refused += 1
    assert n_refused > 8 * len(data) - 8


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_verify_with_a_file_check_notices_every_flipped_bit(mode):
    data = encoded(picture(mode, 9, 7), file_check=True)
    for stream in flipped(data, range(8 * len(data))):
        with pytest.raises(OSError, match=r"\w"):
            Image.open(stream).verify()


def test_flipped_bits_around_a_codebook(needy_file, book):
    softcomp_codec.register_codebook(book)
    rng = np.random.default_rng(3)
    header_bits = range(8 * container.read_header(needy_file).payload_offset)
    payload_bits = rng.integers(len(header_bits), 8 * len(needy_file) - 16, 60).tolist()
    for stream in flipped(needy_file, (*header_bits, *payload_bits)):
        with pytest.raises(OSError, match=r"\w"):
            Image.open(stream).load()


# Options and refusals


def test_unsupported_modes(tmp_path):
    """There are none among Pillow's own."""
    image = Image.new("L", (4, 4))
    image._mode = "XYZ"
    with pytest.raises(OSError, match=r"cannot write mode XYZ as SCF; .*1, L, RGB, I;16, LA, .*F"):
        image.save(tmp_path / "x.scf")
    assert not (tmp_path / "x.scf").exists()
    output = WriteOnly()
    with pytest.raises(OSError, match="mode XYZ"):
        image.save(output, "SCF")
    assert output.pieces == []


def test_colours_under_full_transparency_come_back():
    image = Image.new("RGBA", (7, 5), (250, 3, 77, 0))
    image.putpixel((3, 2), (1, 2, 3, 255))
    with Image.open(io.BytesIO(saved(image))) as reopened:
        assert reopened.mode == "RGBA"
        assert reopened.tobytes() == image.tobytes()
        assert reopened.getpixel((0, 0)) == (250, 3, 77, 0)
        assert reopened.has_transparency_data


def test_samples_of_16_bits():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for image in (Image.fromarray(values), Image.frombytes("I;16", (256, 256), values.tobytes())):
        with Image.open(io.BytesIO(saved(image))) as reopened:
            assert reopened.mode == "I;16"
            assert reopened.getextrema() == (0, 65535)
            assert np.asarray(reopened).dtype == np.uint16
            assert np.array_equal(np.asarray(reopened), values)
            assert reopened.getpixel((2, 1)) == 258


@pytest.mark.parametrize("mode", ["I;16", "LA", "RGBA"])
def test_from_png_and_back(mode, tmp_path):
    """Nothing is lost between PNG and SCF."""
    image = Image.fromarray(picture(mode))
    image.save(tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as opened:
        opened.save(tmp_path / "x.scf")
    with Image.open(tmp_path / "x.scf") as opened:
        assert opened.mode == mode
        opened.save(tmp_path / "y.png")
    with Image.open(tmp_path / "y.png") as opened:
        assert (opened.mode, opened.tobytes()) == (mode, image.tobytes())


def test_empty_image():
    with pytest.raises(ValueError, match="empty"):
        saved(Image.new("L", (0, 5)))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"effort": 0}, ValueError, "effort"),
        ({"effort": 10}, ValueError, "effort"),
        ({"effort": "high"}, TypeError, "effort"),
        ({"effort": True}, TypeError, "effort"),
        ({"effort": 4.5}, TypeError, "effort"),
        ({"reference_bytes": 5}, ValueError, "reference_bytes"),
        ({"reference_bytes": "8"}, ValueError, "reference_bytes"),
        ({"embed_codebook": "yes"}, TypeError, "embed_codebook"),
        ({"file_check": 1}, TypeError, "file_check"),
        ({"codebook": 17}, TypeError, "17|int"),
        ({"codebook": "no-such-book"}, CodebookNotFoundError, "no-such-book"),
        ({"codebook": "no/such/book.scfb"}, CodebookNotFoundError, "book.scfb"),
    ],
)
def test_options_that_cannot_be(options, error, text, tmp_path, no_codebooks):
    path = tmp_path / "x.scf"
    with pytest.raises(error, match=text):
        Image.fromarray(picture("L")).save(path, **options)
    assert not path.exists()


def test_options_reach_the_encoder(book, no_codebooks, tmp_path):
    array = taught_picture()
    image = Image.fromarray(array)
    book.save(tmp_path / "b.scfb")
    for options in (
        {"effort": 1},
        {"effort": 9},
        {"effort": np.int64(3)},
        {"file_check": True},
        {"codebook": "none"},
        {"codebook": book},
        {"codebook": tmp_path / "b.scfb"},
        {"codebook": book, "reference_bytes": 32},
        {"codebook": book, "reference_bytes": 4},
        {"codebook": book, "embed_codebook": True},
    ):
        assert saved(image, **options) == encoded(array, **options)
    header = container.read_header(saved(image, codebook=book, reference_bytes=32))
    assert header.codebook_reference == book.identifier


def test_options_of_other_formats_are_ignored(tmp_path):
    image = Image.fromarray(picture("L"))
    assert saved(image, quality=90, optimize=True, subsampling=0) == saved(image)


def test_save_all_of_one_frame(gray_path):
    image = Image.fromarray(picture("L"))
    assert saved(image, save_all=True) == saved(image)
    assert saved(image, save_all=True, append_images=[]) == saved(image)
    assert saved(image, save_all=False) == saved(image)
    with Image.open(gray_path) as opened:
        assert saved(opened, save_all=True) == saved(image)


def test_save_all_of_several_frames():
    arrays = [picture("L", seed=seed) for seed in range(3)]
    image, *others = (Image.fromarray(array) for array in arrays)
    expected = encoded_frames(arrays)
    for append_images in (others, iter(others)):
        assert saved(image, save_all=True, append_images=append_images) == expected


@pytest.mark.parametrize("wrap", [list, iter])
def test_append_images_is_not_forgotten_where_save_all_is_off(wrap, tmp_path):
    image = Image.fromarray(picture("L"))
    path = tmp_path / "x.scf"
    with pytest.raises(OSError, match="append_images needs save_all=True"):
        image.save(path, append_images=wrap([image]), save_all=False)
    assert not path.exists()


def test_frames_with_different_palettes_become_colours(tmp_path):
    frames = [Image.fromarray(picture("L", seed=seed)).convert("P") for seed in range(2)]
    frames[1].putpalette(bytes(range(9)))
    frames[0].save(tmp_path / "x.scf", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "x.scf") as opened:
        for index, frame in enumerate(frames):
            opened.seek(index)
            assert opened.mode == "RGB"
            assert opened.tobytes() == frame.convert("RGB").tobytes()
