"""What every plugin of Pillow's should do, in every mode that the format holds.

Each test is a row of a table by which ten plugins were compared; none of them passes all rows.
"""

import copy
import gc
import io
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from metadata_files import EXIF, ICC, XMP, exif_object
from PIL import Image, ImageFile, UnidentifiedImageError
from plugin_files import ReadOnly, WriteOnly, any_image

from softcomp_codec.container import PILLOW_MODES, read_header
from softcomp_codec.pillow_plugin import ScfImageFile

EVERY_MODE = (
    "1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV",
    "I;16", "I;16B", "I;16L", "I;16N", "I", "F",
)  # fmt: skip
"""All of Pillow's."""


@pytest.fixture(params=PILLOW_MODES)
def mode(request):
    return request.param


@pytest.fixture
def image(mode):
    return any_image(mode, 31, 24)


@pytest.fixture
def data(image):
    return saved(image)


def saved(image, **options):
    stream = io.BytesIO()
    image.save(stream, "SCF", **{"codebook": None, **options})
    return stream.getvalue()


def assert_same(found, expected):
    assert (found.mode, found.size) == (expected.mode, expected.size)
    assert found.tobytes() == expected.tobytes()
    if expected.mode in ("P", "PA"):
        assert found.getpalette(None) == expected.getpalette(None)


def rng():
    return np.random.default_rng(20)


# The twelve rows in which the others differ


def test_a_bad_file_is_a_syntax_error():
    for bad in (b"", b"\xf7", b"\xf7SB\0", b"RIFF    WEBP", b"plain text", bytes(99)):
        with pytest.raises(SyntaxError):
            ScfImageFile(io.BytesIO(bad))
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(bad))


def test_truncation_gives_usual_errors_only(data):
    for length in {*range(0, len(data), 5), *range(len(data) - 9, len(data)), *range(20)}:
        with pytest.raises((OSError, SyntaxError), match=r"\w"), io.BytesIO(data[:length]) as cut:
            Image.open(cut).load()


def test_truncated_images_are_loaded_where_that_is_wanted(data, image, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    start = read_header(data).payload_offset
    for length in (start + 1, (start + len(data)) // 2, len(data) - 3):
        with Image.open(io.BytesIO(data[:length])) as opened:
            opened.load()
            assert (opened.mode, opened.size) == (image.mode, image.size)
    with Image.open(io.BytesIO(data)) as opened:
        assert_same(opened, image)


def test_byte_flips_give_usual_errors_only(data):
    for position in rng().integers(len(data), size=60).tolist():
        damaged = bytearray(data)
        damaged[position] ^= 0xFF
        try:
            Image.open(io.BytesIO(damaged)).load()
        except (OSError, SyntaxError, Image.DecompressionBombError):
            continue


def test_every_bit_flip_is_detected(data):
    n_found = 0
    for bit in rng().choice(8 * len(data), 40, replace=False).tolist():
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((OSError, SyntaxError, Image.DecompressionBombError)):
            Image.open(io.BytesIO(damaged)).load()
        n_found += 1
    assert n_found == 40


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (61, 47)])
def test_lossless(mode, size):
    for seed in range(2):
        image = any_image(mode, *size, seed)
        with Image.open(io.BytesIO(saved(image))) as opened:
            assert_same(opened, image)


@pytest.mark.parametrize("step", [1, 17, 1 << 20])
def test_parser(data, image, step):
    with ImageFile.Parser() as parser:
        for start in range(0, len(data), step):
            parser.feed(data[start : start + step])
        assert_same(parser.close(), image)


@pytest.mark.parametrize("load_first", [False, True])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(data, image, protocol, load_first):
    with Image.open(io.BytesIO(data)) as opened:
        if load_first:
            opened.load()
        for clone in (
            pickle.loads(pickle.dumps(opened, protocol)),
            copy.copy(opened),
            copy.deepcopy(opened),
        ):
            assert_same(clone, image)
            assert clone.info == opened.info


def test_a_mode_that_is_not_held_is_an_oserror(tmp_path):
    refused = [mode for mode in EVERY_MODE if mode not in PILLOW_MODES]
    for mode in refused:
        with pytest.raises(OSError, match=f"cannot write mode {mode} as SCF"):
            Image.new(mode, (3, 3)).save(tmp_path / "x.scf")
        assert not (tmp_path / "x.scf").exists()
    assert set(EVERY_MODE) == {*refused, *PILLOW_MODES}


@pytest.mark.parametrize("exif", [EXIF, exif_object()])
def test_exif_icc_and_xmp_are_kept(image, exif):
    data = saved(image, exif=exif, icc_profile=ICC, xmp=XMP)
    for _ in range(2):
        with Image.open(io.BytesIO(data)) as opened:
            assert (opened.info["exif"], opened.info["icc_profile"]) == (EXIF, ICC)
            assert opened.info["xmp"] == XMP
            assert opened.getexif()[0x0112] == 3
            assert_same(opened, image)
            data = saved(opened)  # without any option


@pytest.mark.parametrize("dpi", [(72, 72), (299.9994, 300.5), (1e-3, 1e9)])
def test_dpi_is_kept(image, dpi):
    for data in (saved(image, dpi=dpi), saved(Image.open(io.BytesIO(saved(image, dpi=dpi))))):
        with Image.open(io.BytesIO(data)) as opened:
            assert opened.info["dpi"] == dpi


def test_output_that_cannot_seek(image, data):
    output = WriteOnly()
    image.save(output, "SCF", codebook=None)
    assert output.getvalue() == data
    with Image.open(ReadOnly(data)) as opened:
        assert_same(opened, image)


# What all of the others do


@pytest.mark.parametrize("name", ["x.scf", "X.SCF"])
def test_save_by_extension(image, tmp_path, name):
    image.save(tmp_path / name)
    with Image.open(tmp_path / name) as opened:
        assert opened.format == "SCF"
        assert_same(opened, image)


def test_callers_file_stays_open_and_our_own_is_closed(image, data, tmp_path):
    path = tmp_path / "x.scf"
    path.write_bytes(data)
    with path.open("rb") as stream:
        with Image.open(stream) as opened:
            opened.load()
        assert not stream.closed
    opened = Image.open(path)
    stream = opened.fp
    opened.load()
    assert stream.closed
    with path.open("wb") as stream:
        image.save(stream, "SCF")
        assert not stream.closed


def test_context_manager_and_no_resource_warning(image, data, tmp_path):
    path = tmp_path / "x.scf"
    path.write_bytes(data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Image.open(path) as opened:
            stream = opened.fp
        assert stream.closed
        with Image.open(path) as opened:
            assert_same(opened, image)
        Image.open(path).load()
        Image.open(path).verify()
        image.save(path)
        gc.collect()
    assert [str(each.message) for each in caught] == []


def test_bombs_are_noticed_before_decoding(data, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("decoded too early")

    monkeypatch.setattr("softcomp_codec.decoder.decode_file", refuse)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 31 * 24 - 1)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(data))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 31 * 24 // 2 - 1)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))


def test_sixteen_threads(image, data):
    with Image.open(io.BytesIO(data)) as shared, ThreadPoolExecutor(16) as pool:
        for found in pool.map(lambda _: shared.tobytes(), range(16)):
            assert found == image.tobytes()
        many = pool.map(lambda _: Image.open(io.BytesIO(data)).tobytes(), range(32))
        assert set(many) == {image.tobytes()}
        assert set(pool.map(lambda _: saved(image), range(16))) == {data}


def test_the_same_bytes_again(image, data):
    assert saved(image) == saved(image.copy()) == data
    for options in ({"dpi": (1, 2)}, {"exif": EXIF}, {"text": {"b": "1", "a": "2"}}):
        assert saved(image, **options) == saved(image, **options)
    turned = dict(reversed({"b": "1", "a": "2"}.items()))
    assert saved(image, text=turned) == saved(image, text={"b": "1", "a": "2"})


def test_verify(data):
    Image.open(io.BytesIO(data)).verify()
    damaged = bytearray(data)
    damaged[-5] ^= 4
    with pytest.raises(OSError, match=r"\w"):
        Image.open(io.BytesIO(damaged)).verify()


# Frames


def test_frames(mode):
    frames = [any_image(mode, 12, 9, seed) for seed in range(3)]
    data = saved(frames[0], save_all=True, append_images=frames[1:], duration=[1, 2, 3.5], loop=0)
    with Image.open(io.BytesIO(data)) as opened:
        assert (opened.n_frames, opened.is_animated) == (3, True)
        for index in (2, 0, 1):
            opened.seek(index)
            assert opened.tell() == index
            assert opened.info["duration"] == (1, 2, 3.5)[index]
            assert_same(opened, frames[index])
        for index in (3, -1):
            with pytest.raises(EOFError):
                opened.seek(index)
        assert_same(opened, frames[1])
        clone = pickle.loads(pickle.dumps(opened))
        assert_same(clone, frames[1])
        assert clone.info["duration"] == 2
