"""Metadata: what is kept, what is dropped, its bytes, hostile ones, and every way in and out."""

import io
import struct
import sys
import zlib
from dataclasses import replace
from types import ModuleType
from xml.etree import ElementTree

import imageio.v3 as iio
import numpy as np
import pytest
import reference_decoder_metadata
from hypothesis import given
from hypothesis import strategies as st
from metadata_files import EXIF, FULL, ICC, XMP, exif_object, from_other_format
from PIL import Image, PngImagePlugin
from plugin_files import any_image, encoded, encoded_frames, noise, picture, run_python

import softcomp_codec
from softcomp_codec import container, metadata
from softcomp_codec.container import DEFLATED, PILLOW_MODES, Segment, write_varint
from softcomp_codec.errors import CorruptStreamError, ScfError, UnsupportedStreamError
from softcomp_codec.metadata import Metadata, durations_of, text_of_pnginfo, with_options

GRAY = picture("L", 9, 7)


def saved(image, **options):
    stream = io.BytesIO()
    image.save(stream, "SCF", **{"codebook": None, **options})
    return stream.getvalue()


def reopened(image, **options):
    return Image.open(io.BytesIO(saved(image, **options)))


def info_of(image, **options):
    """The info of an image that was saved, without what describes the file."""
    with reopened(image, **options) as opened:
        found = dict(opened.info)
    assert found.pop("scf_version") == 0
    return found


def gray_with(info):
    image = Image.fromarray(GRAY)
    image.info.update(info)
    return image


def with_segments(*segments, frames=1):
    """A file with these segments."""
    data = encoded(GRAY) if frames == 1 else encoded_frames([GRAY] * frames)
    header, payload = container.read_file(data)
    return container.write_file(replace(header, segments=segments), payload)


def header_of(*segments, frames=1):
    return container.read_header(with_segments(*segments, frames=frames))


# --- the object and its segments ----------------------------------------------------------------

NUMBERS = st.integers(-(2**62) + 1, 2**62 - 1) | st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
COLOURS = st.integers(0, 65535) | st.lists(st.integers(0, 65535), max_size=4).map(tuple)
ANY = st.builds(
    Metadata,
    exif=st.none() | st.binary(min_size=1, max_size=90),
    icc_profile=st.none() | st.binary(min_size=1, max_size=90),
    xmp=st.none() | st.binary(min_size=1, max_size=90),
    dpi=st.none() | st.tuples(NUMBERS, NUMBERS),
    aspect=st.none() | st.tuples(NUMBERS, NUMBERS),
    gamma=st.none() | NUMBERS,
    chromaticity=st.none() | st.lists(NUMBERS, min_size=8, max_size=8).map(tuple),
    srgb=st.none() | st.integers(0, 3),
    transparency=st.none() | COLOURS | st.binary(max_size=9),
    background=st.none() | COLOURS,
    comment=st.none() | st.binary(max_size=60),
    text=st.dictionaries(WORDS.filter(bool), WORDS, max_size=4),
    loop=st.none() | st.integers(0, 99),
    durations=st.lists(
        st.none() | st.integers(0, 9999) | st.floats(0, 1e9), min_size=3, max_size=3
    ),
)


@given(ANY)
def test_segments_and_back(kept):
    header = header_of(*kept.to_segments(), frames=3)
    found = Metadata.from_header(header)
    assert found == kept
    bare = replace(found, text={}), replace(kept, text={})
    assert repr(bare[0]) == repr(bare[1])  # integers stay integers, and floats keep their bits
    assert reference_decoder_metadata.read_metadata(write(header)) == expected_by_reference(kept)


def write(header):
    return container.write_header(header)


def expected_by_reference(kept):
    """The fields as the plain decoder of the tests names them."""
    found = {k: v for k, v in vars(kept).items() if v is not None and k != "text"}
    if not kept.durations:
        del found["durations"]
    if kept.text:
        found["text"] = dict(kept.text)
    return found


@given(ANY)
def test_info_and_back(kept):
    kept = replace(kept, durations=kept.durations[:1], text={"Title": "a"})
    assert Metadata.from_info(kept.info(), strict=True) == kept


def test_nothing_costs_nothing():
    assert not Metadata()
    assert Metadata().to_segments() == ()
    assert encoded(GRAY, metadata=Metadata()) == encoded(GRAY) == encoded(GRAY, metadata={})
    assert encoded(GRAY, metadata=Metadata(exif=b"", text={}, durations=[])) == encoded(GRAY)
    assert Metadata(gamma=0)


def test_forms_that_are_made_even():
    kept = Metadata(
        exif=bytearray(b"e"), icc_profile=memoryview(b"i"), xmp="<x/>", dpi=[72, np.float64(1.5)],
        gamma=np.float32(0.5), srgb=np.uint8(3), durations=[np.int64(5), 5],
    )  # fmt: skip
    assert kept == Metadata(b"e", b"i", b"<x/>", (72, 1.5), gamma=0.5, srgb=3, durations=(5,))
    assert [type(each) for each in kept.dpi] == [int, float]
    assert Metadata(durations=[5, 5.0]).durations == (5, 5.0)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"exif": "text"}, TypeError),
        ({"icc_profile": 5}, TypeError),
        ({"xmp": 5}, TypeError),
        ({"dpi": 72}, TypeError),
        ({"dpi": (72,)}, ValueError),
        ({"dpi": ("72", "72")}, TypeError),
        ({"dpi": (72, float("nan"))}, ValueError),
        ({"gamma": float("inf")}, ValueError),
        ({"gamma": True}, TypeError),
        ({"gamma": 1 << 62}, ValueError),
        ({"chromaticity": (1, 2)}, ValueError),
        ({"srgb": -1}, ValueError),
        ({"srgb": 1.5}, TypeError),
        ({"transparency": "red"}, TypeError),
        ({"background": (1, 2.5)}, TypeError),
        ({"background": b"\0"}, TypeError),
        ({"comment": "text"}, TypeError),
        ({"text": {"a": 5}}, TypeError),
        ({"text": {5: "a"}}, TypeError),
        ({"text": {"": "a"}}, ValueError),
        ({"text": {"a": "\ud800"}}, ValueError),
        ({"loop": -1}, ValueError),
        ({"loop": "x"}, TypeError),
        ({"durations": -1}, ValueError),
        ({"durations": ["fast"]}, TypeError),
    ],
)
def test_fields_that_cannot_be(fields, error):
    with pytest.raises(error, match=r"\w"):
        Metadata(**fields)
    (name,) = fields
    as_info = {"duration" if name == "durations" else name: fields[name]}
    if name != "text" and not isinstance(fields[name], str):
        with pytest.raises(error, match=r"\w"):
            Metadata.from_info(as_info, strict=True)
        assert not Metadata.from_info(as_info)
        with pytest.raises(error, match=r"\w"):
            saved(gray_with({}), **as_info)


def test_more_than_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(metadata, "MAX_METADATA_BYTES", 1000)
    fine = Metadata(exif=bytes(500), xmp=bytes(500))
    assert Metadata.from_header(header_of(*fine.to_segments())) == fine
    with pytest.raises(ValueError, match="1001 bytes are more than this program's limit of 1000"):
        encoded(GRAY, metadata=replace(fine, icc_profile=b"x"))


def test_deflated_only_where_that_is_smaller():
    kinds = [
        segment.kind for segment in Metadata(exif=bytes(range(99)), xmp=b"x" * 99).to_segments()
    ]
    assert kinds == [container.SEGMENT_EXIF, container.SEGMENT_XMP | DEFLATED]


def test_xmp_of_png_is_stored_once():
    twice = Metadata(xmp=noisy_text(3000), text={metadata.XMP_TEXT: noisy_text(3000).decode()})
    other = replace(twice, text={metadata.XMP_TEXT: "another"})
    sizes = [sum(len(s.data) for s in kept.to_segments()) for kept in (twice, other)]
    assert sizes[0] < sizes[1]
    for kept in (twice, other):
        assert Metadata.from_header(header_of(*kept.to_segments())) == kept


def noisy_text(n_bytes):
    rng = np.random.default_rng(0)
    return bytes(rng.integers(33, 127, n_bytes).astype(np.uint8))


# --- bad segments -------------------------------------------------------------------------------


def deflated(kind, content, n_bytes=None):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(content) + deflate.flush()
    return Segment(
        kind | DEFLATED, write_varint(len(content) if n_bytes is None else n_bytes) + packed
    )


PROPERTIES, TIMING = container.SEGMENT_PROPERTIES, container.SEGMENT_TIMING
STRING = b"\x03\x01x"


@pytest.mark.parametrize(
    ("segment", "text"),
    [
        (deflated(0x81, b"x" * 50, 49), "do not give 49 bytes"),
        (deflated(0x81, b"x" * 50, 51), "do not give 51 bytes"),
        (Segment(0x91, b"\x05garbage"), "deflated data are damaged|do not give"),
        (Segment(0x91, deflated(0x81, b"x" * 50).data + b"\0"), "do not give 50"),
        (Segment(0x91, deflated(0x81, b"x" * 50).data[:-1]), "do not give 50"),
        (Segment(0x91, b""), "length of the content"),
        (Segment(PROPERTIES, b"\x01"), "key needs 1 bytes"),
        (Segment(PROPERTIES, b"\0" + STRING), "out of order"),
        (Segment(PROPERTIES, b"\x01b" + STRING + b"\x01a" + STRING), "out of order"),
        (Segment(PROPERTIES, (b"\x01a" + STRING) * 2), "out of order"),
        (Segment(PROPERTIES, b"\x01\xff" + STRING), "no UTF-8"),
        (Segment(PROPERTIES, b"\x01a\x03\x01\xff"), "no UTF-8"),
        (Segment(PROPERTIES, b"\x01a\x03\x09x"), "length of a value is 9"),
        (Segment(PROPERTIES, b"\x01a\x06"), "value of type 6"),
        (Segment(PROPERTIES, b"\x01a\0"), "'a' is nothing"),
        (Segment(PROPERTIES, b"\x05gamma\x04\0"), "gamma of type 4"),
        (Segment(PROPERTIES, b"\x05gamma\x02" + struct.pack("<d", np.nan)), "a float of nan"),
        (Segment(PROPERTIES, b"\x05gamma\x02\0\0"), "float needs 8 bytes"),
        (Segment(PROPERTIES, b"\x03dpi\x05\x01\x01\x02"), "dpi has 1 numbers"),
        (Segment(PROPERTIES, b"\x03dpi\x05\x02\x03\x01"), "value of type 3"),
        (Segment(PROPERTIES, b"\x04srgb\x01\x01"), "srgb is -1"),
        (Segment(TIMING, b""), "type of a value"),
        (Segment(TIMING, b"\x02" + bytes(8)), "value of type 2"),
        (Segment(TIMING, b"\0\x01\x02\x01\x04"), "2 durations, the file has 1 frames"),
        (Segment(TIMING, b"\0\x01\x01"), "below 0"),
        (Segment(TIMING, b"\x01\x01"), "loop is -1"),
    ],
)
def test_bad_segments(segment, text):
    data = with_segments(segment)
    with pytest.raises(CorruptStreamError, match=text):
        Metadata.from_header(container.read_header(data))
    with pytest.raises(CorruptStreamError, match=text):
        Image.open(io.BytesIO(data))
    with pytest.raises(CorruptStreamError, match=text):
        iio.immeta(data, plugin="SCF")
    with pytest.raises(reference_decoder_metadata.SpecError):
        reference_decoder_metadata.read_metadata(data)
    assert np.array_equal(softcomp_codec.decode(data), GRAY)  # the pixels do not need it


def test_bytes_after_an_empty_list_of_durations():
    assert Metadata.from_header(header_of(Segment(TIMING, b"\x01\0"))) == Metadata(loop=0)


def test_unknown_properties_and_later_segments_are_ignored():
    segments = (
        Segment(PROPERTIES, b"\x05later\x01\x02\x05title" + STRING),
        Segment(0x81, b"first"),
        deflated(0x81, b"second" * 9),
    )
    found = Metadata.from_header(header_of(*segments))
    assert found == Metadata(exif=b"first", text={"title": "x"})


def test_a_deflate_bomb_takes_no_memory():
    """A thousandfold: refused by what it says, and cut off where it says less than it gives."""
    import tracemalloc

    bomb = deflated(0x83, bytes(100 << 20))
    lying = Segment(bomb.kind, write_varint(1000) + bomb.data[4:])
    tracemalloc.start()
    with pytest.raises(UnsupportedStreamError, match="limit of 67108864"):
        Metadata.from_header(header_of(bomb))
    with pytest.raises(CorruptStreamError, match="do not give 1000"):
        Metadata.from_header(header_of(lying))
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()
    many = [deflated(kind, bytes(40 << 20)) for kind in (0x81, 0x82)]
    with pytest.raises(UnsupportedStreamError, match="limit"):
        Image.open(io.BytesIO(with_segments(*many)))


def test_every_flipped_bit_of_metadata_shows():
    data = saved(gray_with(FULL))
    start, end = 11, container.read_header(data).payload_offset
    for bit in range(8 * start, 8 * end):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ScfError):
            Image.open(io.BytesIO(damaged)).load()


# --- from other formats, and options ------------------------------------------------------------


@pytest.mark.parametrize("name", ["PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF"])
def test_from_other_formats(name, monkeypatch):
    package = ModuleType("defusedxml")  # which Pillow's getxmp asks for
    package.ElementTree = ElementTree
    monkeypatch.setitem(sys.modules, "defusedxml", package)
    data, kept = from_other_format(name)
    with Image.open(io.BytesIO(data)) as source, reopened(source) as found:
        assert found.tobytes() == source.tobytes()
        assert found.size == source.size
        for key in kept:
            assert found.info[key] == source.info[key], key
            assert type(found.info[key]) is type(source.info[key]) or isinstance(
                source.info[key], str
            ), key
        assert found.getexif().get(0x0112) == source.getexif().get(0x0112)
        if name != "BMP":
            assert found.getexif().get(0x010E) == source.getexif().get(0x010E)
        if name in ("PNG", "JPEG", "WEBP"):
            assert found.getxmp() == source.getxmp() != {}
            assert dict(found.getexif()) == dict(source.getexif())
            assert found.getexif().get_ifd(0x8769) == source.getexif().get_ifd(0x8769)
        if name == "PNG":
            assert found.text == source.text
        with Image.open(io.BytesIO(saved(found))) as again:  # and from SCF to SCF
            assert again.info == found.info


def test_tags_of_tiff_become_exif():
    data, _ = from_other_format("TIFF")
    with Image.open(io.BytesIO(data)) as source, reopened(source) as found:
        assert found.getexif()[0x010E] == "a picture"
        assert found.getexif().get_ifd(0x8769) == source.getexif().get_ifd(0x8769) != {}
        assert 273 not in found.getexif()
    with Image.open(io.BytesIO(data)) as source, reopened(source, exif=None) as found:
        assert "exif" not in found.info


def test_full_info_comes_back():
    assert info_of(gray_with(FULL)) == FULL
    assert info_of(gray_with({**FULL, "jfif": 257, "compression": "raw", "sizes": {1}})) == FULL


def test_nothing_is_turned():
    exif = exif_object(orientation=6)
    with reopened(Image.fromarray(GRAY), exif=exif) as found:
        assert found.size == (9, 7)
        assert np.array_equal(np.asarray(found), GRAY)
        assert found.info["exif"] == exif.tobytes()
        assert found.getexif()[0x0112] == 6


@pytest.mark.parametrize("empty", [None, b""])
@pytest.mark.parametrize("name", ["exif", "icc_profile", "xmp"])
def test_one_kind_is_dropped_or_replaced(name, empty):
    rest = {key: value for key, value in FULL.items() if key != name}
    assert info_of(gray_with(FULL), **{name: empty}) == rest
    assert info_of(gray_with(FULL), **{name: b"other"}) == {**rest, name: b"other"}


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"dpi": (300, 300.5)}, {"dpi": (300, 300.5)}),
        ({"dpi": None}, {"dpi": None}),
        ({"gamma": 1 / 3}, {"gamma": 1 / 3}),
        ({"gamma": None}, {"gamma": None}),
        ({"transparency": 255}, {"transparency": 255}),
        ({"transparency": None}, {"transparency": None}),
        ({"comment": "Grüße"}, {"comment": "Grüße".encode()}),
        ({"comment": None}, {"comment": None}),
        ({"background": (1, 2, 3)}, {"background": (1, 2, 3)}),
        ({"loop": None, "duration": None}, {"loop": None, "duration": None}),
        ({"duration": 12.5}, {"duration": 12.5}),
        ({"text": {"New": "n"}}, {"Title": None, "Autor": None, "New": "n"}),
        ({"text": None}, {"Title": None, "Autor": None}),
        ({"exif": Image.Exif()}, {"exif": None}),
        ({"exif": exif_object()}, {"exif": exif_object().tobytes()}),
        ({"xmp": "<a/>"}, {"xmp": b"<a/>"}),
    ],
)
def test_options(options, changed):
    expected = {k: v for k, v in {**FULL, **changed}.items() if v is not None}
    assert info_of(gray_with(FULL), **options) == expected


def test_all_is_dropped():
    assert saved(gray_with(FULL), metadata=False) == encoded(GRAY)
    assert encoded(gray_with(FULL), metadata=False) == encoded(GRAY)
    assert info_of(gray_with(FULL), metadata=False, dpi=(1, 2)) == {"dpi": (1, 2)}
    assert saved(gray_with(FULL), metadata=True) == saved(gray_with(FULL))
    with pytest.raises(TypeError, match="metadata is a int"):
        saved(gray_with({}), metadata=5)


def test_metadata_as_a_mapping_or_an_object():
    as_object = Metadata.from_info(FULL)
    assert saved(gray_with({"gamma": 3.0}), metadata=FULL) == saved(gray_with(FULL))
    assert saved(gray_with({"gamma": 3.0}), metadata=as_object) == saved(gray_with(FULL))
    for given_ in (FULL, as_object):
        assert encoded(GRAY, metadata=given_) == encoded(gray_with(FULL)) == saved(gray_with(FULL))
    with pytest.raises(TypeError, match="dpi"):
        encoded(GRAY, metadata={"dpi": 5})


def test_text_by_pnginfo():
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "äöü")
    info.add_text("Long", "x" * 500, zip=True)
    info.add_itxt("Wide", "日本", "ja", "広い")
    info.add_itxt("Wide, long", "日本" * 90, zip=True)
    text = {"Title": "äöü", "Long": "x" * 500, "Wide": "日本", "Wide, long": "日本" * 90}
    assert text_of_pnginfo(info) == text
    assert info_of(gray_with({"Old": "x"}), pnginfo=info) == text
    assert info_of(gray_with({}), pnginfo=info, text={"Title": "b"}) == {**text, "Title": "b"}
    info.add(b"prIv", b"x")
    with pytest.raises(ValueError, match="chunk b'prIv' is no text"):
        saved(gray_with({}), pnginfo=info)
    with pytest.raises(TypeError, match="expected a PngInfo"):
        saved(gray_with({}), pnginfo={"a": "b"})


def test_text_is_that_of_the_image_now():
    with reopened(gray_with({"a": "1"})) as image:
        assert image.text == {"a": "1"}
        image.info["b"] = "2"
        assert image.text == {"a": "1", "b": "2"}
        with reopened(image) as again:
            assert again.text == image.text


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_every_mode(mode):
    image = any_image(mode)
    info = {**FULL, "transparency": image.info.get("transparency")}
    info = {key: value for key, value in info.items() if value is not None}
    image.info.update(info)
    with reopened(image) as found:
        assert (found.mode, found.tobytes()) == (mode, image.tobytes())
        assert {k: v for k, v in found.info.items() if k != "scf_version"} == info


@pytest.mark.parametrize(
    ("mode", "transparency"), [("L", 3), ("1", 255), ("RGB", (1, 2, 300)), ("I;16", 65535)]
)
def test_transparent_colour(mode, transparency):
    image = any_image(mode)
    image.info["transparency"] = transparency
    with reopened(image) as found:
        assert found.info["transparency"] == transparency
        assert found.has_transparency_data
    assert "transparency" not in info_of(image, transparency=None)


def test_transparency_of_palettes_is_an_option_too():
    image = any_image("P")
    for transparency in (5, b"\0\xff\x80", None):
        found = info_of(image, transparency=transparency)
        assert found.get("transparency") == transparency
        assert "transparency" not in image.info
    image.info["transparency"] = 7
    assert info_of(image, metadata=False) == {"transparency": 7}
    assert info_of(image, transparency=None) == {}
    assert image.info["transparency"] == 7


def test_files_without_metadata_are_as_ever():
    for mode in ("L", "RGB", "I;16"):
        array = picture(mode)
        assert container.read_header(encoded(array)).segments == ()
        assert saved(Image.fromarray(array)) == encoded(array)


def test_reading_metadata_loads_neither_numpy_nor_numba(tmp_path):
    path = tmp_path / "x.scf"
    path.write_bytes(saved(gray_with(FULL)))
    code = (
        "import sys, softcomp_codec; from PIL import Image\n"
        f"with Image.open({str(path)!r}) as image: print(image.info['dpi'], image.getexif()[274])\n"
        "print([name for name in ('numpy', 'numba') if name in sys.modules])"
    )
    assert run_python(code)[0].splitlines() == ["(299.9994, 72) 3", "[]"]


# --- frames -------------------------------------------------------------------------------------


def gray_frames(n_frames, durations=None):
    images = [Image.fromarray(picture("L", 9, 7, seed)) for seed in range(n_frames)]
    for image, duration in zip(images, durations or (), strict=False):
        image.info["duration"] = duration
    return images


def frame_infos(data):
    with Image.open(io.BytesIO(data)) as image:
        found = []
        for index in range(image.n_frames):
            image.seek(index)
            found.append((image.info.get("duration"), image.info.get("loop")))
        for index in range(image.n_frames):
            image.seek(image.n_frames - 1 - index)
            assert image.info.get("duration") == found[image.n_frames - 1 - index][0]
    return found


@pytest.mark.parametrize(
    ("durations", "option", "expected"),
    [
        ([10, 20.5, 30], {}, [10, 20.5, 30]),
        ([10, None, 30], {}, [10, None, 30]),
        ([40, 40, 40], {}, [40, 40, 40]),
        (None, {"duration": 7}, [7, 7, 7]),
        ([1, 2, 3], {"duration": [3, 2, 100 / 3]}, [3, 2, 100 / 3]),
        ([1, 2, 3], {"duration": (3, 2, 1)}, [3, 2, 1]),
        ([1, 2, 3], {"duration": None}, [None, None, None]),
        ([1, 2, 3], {"metadata": False}, [None, None, None]),
        ([1, 2, 3], {"metadata": {"duration": 9}}, [9, 9, 9]),
        (None, {}, [None, None, None]),
    ],
)
def test_durations(durations, option, expected):
    first, *others = gray_frames(3, durations)
    data = saved(first, save_all=True, append_images=others, **option)
    found = [duration for duration, _ in frame_infos(data)]
    assert [repr(each) for each in found] == [repr(each) for each in expected]


@pytest.mark.parametrize("loop", [None, 0, 1, 70000])
def test_loop(loop):
    first, *others = gray_frames(3)
    data = saved(first, save_all=True, append_images=others, loop=loop, duration=5)
    assert frame_infos(data) == [(5, loop)] * 3
    data = saved(Image.open(io.BytesIO(data)), save_all=True)
    assert frame_infos(data) == [(5, loop)] * 3


def test_durations_that_do_not_fit():
    first, *others = gray_frames(3)
    with pytest.raises(ValueError, match="2 durations of 3 frames"):
        saved(first, save_all=True, append_images=others, duration=[1, 2])
    with pytest.raises(ValueError, match="2 durations of 1 frames"):
        saved(first, duration=[1, 2])
    with pytest.raises(ValueError, match="2 durations of 3 frames"):
        encoded_frames([GRAY] * 3, metadata=Metadata(durations=(1, 2)))


def test_encode_frames_keeps_the_durations_of_pillow_images():
    images = gray_frames(3, [10, 20, 30])
    images[0].info["Title"] = "t"
    data = encoded_frames(images)
    assert [duration for duration, _ in frame_infos(data)] == [10, 20, 30]
    assert Metadata.from_header(container.read_header(data)).text == {"Title": "t"}
    assert encoded_frames([np.asarray(image) for image in images]) == encoded_frames(
        images, metadata=False
    )


def animation(name):
    frames = [Image.fromarray(np.roll(picture("L", 24, 20), 3 * i, 1)) for i in range(4)]
    stream = io.BytesIO()
    options = {"lossless": True} if name == "WEBP" else {}
    if name == "GIF":
        frames = [frame.convert("P") for frame in frames]
    frames[0].save(
        stream, name, save_all=True, append_images=frames[1:], duration=[100, 50, 70, 100],
        loop=3, **options,
    )  # fmt: skip
    return stream.getvalue()


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG"])
def test_animations_of_other_formats(name):
    with Image.open(io.BytesIO(animation(name))) as source:
        data = saved(source, save_all=True)
        assert source.tell() == 0
        with Image.open(io.BytesIO(data)) as found:
            assert found.n_frames == source.n_frames == 4
            assert found.info["loop"] == 3
            for index in range(4):
                source.seek(index)
                found.seek(index)
                source.load()
                assert found.info["duration"] == source.info["duration"]
                colours = source.convert("RGBA").tobytes()
                assert found.convert("RGBA").tobytes() == colours
    back = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.save(back, "GIF", save_all=True)
    with Image.open(back) as image:
        assert (image.n_frames, image.info["loop"], image.info["duration"]) == (4, 3, 100)


def test_frames_of_several_modes():
    gray, bilevel = Image.fromarray(picture("L")), Image.fromarray(picture("1"))
    colour = Image.fromarray(picture("RGB"))
    palette = gray.convert("P")
    palette.putpalette(bytes(range(256)) * 3)
    clear = palette.copy()
    clear.info["transparency"] = 9
    alpha = Image.fromarray(picture("LA"))
    for frames, mode in (
        ([gray, bilevel], "L"),
        ([gray, alpha], "LA"),
        ([gray, colour], "RGB"),
        ([palette, gray], "RGB"),
        ([bilevel, colour, palette], "RGB"),
        ([alpha, colour], "RGBA"),
        ([clear, palette], "RGBA"),
        ([clear, colour], "RGBA"),
        ([Image.fromarray(picture("RGBA")), bilevel], "RGBA"),
    ):
        data = saved(frames[0], save_all=True, append_images=frames[1:])
        with Image.open(io.BytesIO(data)) as found:
            assert "transparency" not in found.info
            for index, frame in enumerate(frames):
                found.seek(index)
                assert found.mode == mode
                assert found.tobytes() == frame.convert("RGBA").convert(mode).tobytes()
    keyed = gray.copy()
    keyed.info["transparency"] = 3
    deep = Image.fromarray(picture("I;16"))
    for first, second in ((keyed, colour), (gray, deep), (gray, gray.crop((0, 0, 4, 4)))):
        with pytest.raises(OSError, match=r"different (sizes or )?modes"):
            saved(first, save_all=True, append_images=[second])


def test_durations_found_in_strange_infos():
    assert durations_of([5, "x", -1, None]) == (5, None, None, None)
    assert durations_of([None, "x"]) == ()
    assert with_options(Metadata(gamma=2.0), {"quality": 5}) == Metadata(gamma=2.0)


# --- imageio ------------------------------------------------------------------------------------


def test_imageio_writes_and_reads_metadata():
    data = iio.imwrite("<bytes>", GRAY, extension=".scf", codebook=None, metadata=FULL)
    assert data == encoded(GRAY, metadata=FULL)
    found = iio.immeta(data, plugin="SCF")
    assert {key: found[key] for key in FULL} == FULL
    assert found["mode"] == "gray8"
    again = iio.imwrite("<bytes>", GRAY, extension=".scf", codebook=None, metadata=found)
    assert again == data
    short = iio.imwrite(
        "<bytes>", GRAY, extension=".scf", codebook=None, exif=EXIF, icc_profile=ICC, xmp=XMP,
        dpi=(72.5, 72), text={"a": "b"},
    )  # fmt: skip
    assert short == encoded(GRAY, metadata=Metadata(EXIF, ICC, XMP, (72.5, 72), text={"a": "b"}))


def test_imageio_keeps_what_a_pillow_image_has():
    data = iio.imwrite("<bytes>", gray_with(FULL), extension=".scf", codebook=None)
    assert data == saved(gray_with(FULL))
    data = iio.imwrite("<bytes>", gray_with(FULL), extension=".scf", codebook=None, metadata=False)
    assert data == encoded(GRAY)


def test_imageio_stacks_have_times():
    stack = np.stack([GRAY, noise("L", 9, 7), GRAY])
    for options, durations in (
        ({"duration": 40}, [40] * 3),
        ({"duration": [1, 2.5, 3]}, [1, 2.5, 3]),
        ({"fps": 30}, [1000 / 30] * 3),
    ):
        data = iio.imwrite("<bytes>", stack, extension=".scf", codebook=None, loop=2, **options)
        assert iio.immeta(data, index=..., plugin="SCF")["duration"] == durations
        assert [iio.immeta(data, index=i, plugin="SCF")["duration"] for i in range(3)] == durations
        assert iio.immeta(data, index=1, plugin="SCF")["loop"] == 2
        assert [duration for duration, _ in frame_infos(data)] == durations
        assert np.array_equal(iio.imread(data, plugin="SCF"), stack)
        assert iio.improps(data, plugin="SCF").n_images == 3
    data = iio.imwrite("<bytes>", stack, plugin="pillow", extension=".scf", is_batch=True, loop=1,
                       duration=[4, 5, 6])  # fmt: skip
    assert iio.immeta(data, index=..., plugin="SCF")["duration"] == [4, 5, 6]
    with pytest.raises(TypeError, match="both duration and fps"):
        iio.imwrite("<bytes>", stack, extension=".scf", duration=5, fps=5)


def test_imageio_metadata_holds_for_the_whole_file():
    stream = io.BytesIO()
    with iio.imopen(stream, "w", plugin="SCF") as file:
        file.write(GRAY, codebook=None, dpi=(1, 2), text={"a": "b"})
        file.write(GRAY)
        file.write(GRAY, dpi=(3, 4), duration=5)
        with pytest.raises(TypeError, match="dpi"):
            file.write(GRAY, dpi="x")
    expected = Metadata(dpi=(3, 4), text={"a": "b"}, durations=(5,))
    assert stream.getvalue() == encoded_frames([GRAY] * 3, metadata=expected)
