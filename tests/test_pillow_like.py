"""What Pillow's own tests ask of comparable formats: WebP, QOI, the parser, bombs, pickles.

Written anew for SCF.
"""

import io
import pickle

import numpy as np
import pytest
from metadata_files import EXIF, ICC, XMP, exif_object
from PIL import Image, ImageFile
from plugin_files import any_image, file_header, noise, picture

from softcomp_codec.errors import CorruptStreamError, TruncatedStreamError
from softcomp_codec.pillow_plugin import ScfImageFile

COLOUR = Image.fromarray(picture("RGB", 64, 48))


def saved(image, **options):
    stream = io.BytesIO()
    image.save(stream, "SCF", **{"codebook": None, **options})
    return stream.getvalue()


# WebP, lossless


def test_lossless_sanity(tmp_path):
    path = tmp_path / "temp.scf"
    COLOUR.save(path)
    with Image.open(path) as image:
        image.load()
        assert (image.mode, image.size, image.format) == ("RGB", (64, 48), "SCF")
        assert image.tobytes() == COLOUR.tobytes()
        assert image.getextrema() == COLOUR.getextrema()
        assert image.getpixel((5, 6)) == COLOUR.getpixel((5, 6))


def test_alpha_of_transparent_pixels_is_lossless():
    image = any_image("RGBA", 20, 20)
    image.putalpha(0)
    with Image.open(io.BytesIO(saved(image))) as found:
        assert found.tobytes() == image.tobytes()


# WebP, metadata


def test_exif_is_bytes_and_is_read():
    with Image.open(io.BytesIO(saved(COLOUR, exif=EXIF))) as image:
        assert isinstance(image.info["exif"], bytes)
        tags = image.getexif()
        assert (tags[0x010E], tags[0x0112]) == ("a picture", 3)
        assert tags.get_ifd(0x8769)[0x829A] == (1, 50)
        assert tags.get_ifd(0x8825)[1] == "N"


def test_exif_without_its_mark():
    bare = EXIF.removeprefix(b"Exif\0\0")
    with Image.open(io.BytesIO(saved(COLOUR, exif=bare))) as image:
        assert image.info["exif"] == bare
        assert image.getexif()[0x0112] == 3


def test_exif_that_is_changed_and_saved():
    with Image.open(io.BytesIO(saved(COLOUR, exif=EXIF))) as image:
        tags = image.getexif()
        tags[0x0112] = 8
        with Image.open(io.BytesIO(saved(image, exif=tags))) as found:
            assert found.getexif()[0x0112] == 8
            assert found.getexif()[0x010E] == "a picture"


def test_invalid_exif_is_refused():
    with pytest.raises(TypeError, match="exif is a str, expected bytes"):
        saved(COLOUR, exif="no bytes")
    with pytest.raises(TypeError, match="exif is a int"):
        saved(COLOUR, exif=5)


def test_icc_profile():
    with Image.open(io.BytesIO(saved(COLOUR, icc_profile=ICC))) as image:
        assert image.info["icc_profile"] == ICC
        assert image.convert("L").info["icc_profile"] == ICC
        discarded = saved(image, icc_profile=None)
    assert discarded == saved(COLOUR)


def test_no_metadata():
    with Image.open(io.BytesIO(saved(COLOUR))) as image:
        assert not {"exif", "icc_profile", "xmp", "dpi", "loop", "duration"} & image.info.keys()
        assert len(image.getexif()) == 0
        assert image.text == {}


def test_xmp():
    with Image.open(io.BytesIO(saved(COLOUR, xmp=XMP))) as image:
        assert image.info["xmp"] == XMP
    with Image.open(io.BytesIO(saved(COLOUR, xmp=XMP.decode()))) as image:
        assert image.info["xmp"] == XMP


def test_metadata_of_an_animation():
    frames = [any_image("RGB", 8, 8, seed) for seed in range(3)]
    data = saved(
        frames[0], save_all=True, append_images=frames[1:], exif=exif_object(), icc_profile=ICC,
        xmp=XMP, duration=20,
    )  # fmt: skip
    with Image.open(io.BytesIO(data)) as image:
        for index in range(3):
            image.seek(index)
            assert (image.info["exif"], image.info["icc_profile"]) == (EXIF, ICC)
            assert (image.info["xmp"], image.info["duration"]) == (XMP, 20)
            assert image.tobytes() == frames[index].tobytes()


def test_frames_out_of_order_and_beyond():
    frames = [any_image("L", 8, 8, seed) for seed in range(4)]
    with Image.open(io.BytesIO(saved(frames[0], save_all=True, append_images=frames[1:]))) as image:
        assert image.tell() == 0
        for index in (3, 1, 2, 0, 3):
            image.seek(index)
            assert (image.tell(), image.tobytes()) == (index, frames[index].tobytes())
        with pytest.raises(EOFError):
            image.seek(4)
        assert image.tell() < image.n_frames
        assert image.tobytes() == frames[3].tobytes()
    with Image.open(io.BytesIO(saved(frames[0]))) as image:
        assert (image.n_frames, image.is_animated) == (1, False)
        image.seek(0)
        with pytest.raises(EOFError):
            image.seek(1)


# QOI


def test_invalid_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"a text that is no image")
    with pytest.raises(SyntaxError, match="not an SCF file"):
        ScfImageFile(path)


def test_runs_repeats_and_steep_edges():
    for array in (
        np.zeros((40, 50, 3), np.uint8),
        np.tile(np.uint8([[[255, 0, 7]]]), (9, 9, 1)),
        np.arange(40 * 50 * 3).astype(np.uint8).reshape(40, 50, 3),
        np.where(np.indices((30, 30)).sum(0) % 2, 255, 0).astype(np.uint8),
        np.repeat(noise("RGBA", 9, 9), 8, axis=1),
    ):
        image = Image.fromarray(array)
        with Image.open(io.BytesIO(saved(image))) as found:
            assert np.array_equal(np.asarray(found), array)


@pytest.mark.parametrize("n_bytes", [3, 4, 10, 14, 20, 200])
def test_truncated(n_bytes):
    data = saved(COLOUR)
    with pytest.raises(TruncatedStreamError):
        Image.open(io.BytesIO(data[:n_bytes])).load()


# ImageFile


def test_parser_knows_the_picture_before_its_end():
    data = saved(Image.fromarray(noise("RGB", 64, 48)), dpi=(72, 73), exif=EXIF)
    parser = ImageFile.Parser()
    parser.feed(data[:1500])
    assert parser.image is not None
    assert (parser.image.size, parser.image.info["dpi"]) == ((64, 48), (72, 73))
    parser.feed(data[1500:])
    assert np.array_equal(np.asarray(parser.close()), noise("RGB", 64, 48))


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_parser_of_metadata_and_frames(size):
    frames = [any_image("RGB", 30, 20, seed) for seed in range(2)]
    data = saved(
        frames[0],
        save_all=True,
        append_images=frames[1:],
        exif=EXIF,
        icc_profile=ICC,
        duration=[5, 6],
    )
    with ImageFile.Parser() as parser:
        for start in range(0, len(data), size):
            parser.feed(data[start : start + size])
        image = parser.close()
    assert (image.n_frames, image.info["icc_profile"], image.info["duration"]) == (2, ICC, 5)
    assert image.tobytes() == frames[0].tobytes()
    image.seek(1)
    assert (image.tobytes(), image.info["duration"]) == (frames[1].tobytes(), 6)


def test_parser_of_nothing_and_of_the_beginning():
    with pytest.raises(OSError, match="cannot parse"):
        ImageFile.Parser().close()
    data = saved(COLOUR)
    parser = ImageFile.Parser()
    parser.feed(data[:5])
    assert parser.image is None
    parser = ImageFile.Parser()
    parser.feed(data[:-5])
    with pytest.raises(OSError, match=r"\w"):
        parser.close()


def test_broken_data_stream():
    data = bytearray(saved(COLOUR))
    data[len(data) // 2] ^= 0x55
    with Image.open(io.BytesIO(data)) as image, pytest.raises(CorruptStreamError):
        image.load()


def test_truncated_with_and_without_errors(monkeypatch):
    data = saved(Image.fromarray(noise("RGB", 64, 48)), exif=EXIF)
    cut = data[: len(data) // 2]
    with Image.open(io.BytesIO(cut)) as image:
        with pytest.raises(TruncatedStreamError):
            image.load()
        with pytest.raises(TruncatedStreamError):
            image.load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with Image.open(io.BytesIO(cut)) as image:
        image.load()
        assert image.info["exif"] == EXIF
        rows = np.asarray(image)
        assert np.array_equal(rows[:20], noise("RGB", 64, 48)[:20])


# Decompression bombs


def bomb(width, height):
    return io.BytesIO(file_header(width, height))


def test_bomb_limits(monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.open(bomb(40, 25))
    assert len(recwarn) == 0
    with pytest.warns(Image.DecompressionBombWarning, match="1001 pixels"):
        Image.open(bomb(7 * 11, 13))
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(bomb(2000, 1))
    with pytest.raises(Image.DecompressionBombError):
        Image.open(bomb(2001, 1))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert Image.open(bomb(1 << 20, 1 << 20)).size == (1 << 20, 1 << 20)


def test_a_bomb_is_refused_by_ourselves_too(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(OSError, match="this program's limit"):
        Image.open(bomb(1 << 20, 1 << 20)).load()


def test_bomb_in_the_parser(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    parser = ImageFile.Parser()
    with pytest.raises(Image.DecompressionBombError):
        parser.feed(file_header(2001, 1) + bytes(20))


# Pickles


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_in_a_file(tmp_path, protocol):
    data = saved(COLOUR, exif=EXIF, dpi=(72.5, 72), text={"Title": "t"})
    (tmp_path / "x.scf").write_bytes(data)
    with Image.open(tmp_path / "x.scf") as image, (tmp_path / "x.pickle").open("wb") as target:
        pickle.dump(image, target, protocol)
    with (tmp_path / "x.pickle").open("rb") as source:
        clone = pickle.load(source)
    assert clone.tobytes() == COLOUR.tobytes()
    assert clone.info["exif"] == EXIF
    assert clone.info["dpi"] == (72.5, 72)
    assert clone.text == {"Title": "t"}
    assert clone.getexif()[0x0112] == 3
    assert saved(clone) == data


def test_pickle_between_loading_and_changing():
    with Image.open(io.BytesIO(saved(COLOUR))) as image:
        image.putpixel((0, 0), (9, 8, 7))
        clone = pickle.loads(pickle.dumps(image))
    assert clone.getpixel((0, 0)) == (9, 8, 7)
    assert clone.size == (64, 48)
