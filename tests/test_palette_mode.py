"""Palette images: indices, palette and transparency, from Pillow through files and back."""

import io

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_images import noise
from PIL import Image

import softcomp_codec
from softcomp_codec import container
from softcomp_codec.container import PALETTE, Header, Segment
from softcomp_codec.decoder import decode_file
from softcomp_codec.errors import CorruptStreamError
from softcomp_codec.palettes import Palette, palette_of, transparency_of

softcomp_codec.register()


def indexed(width=23, height=17, n_entries=40, mode="RGB", transparency=None, seed=0):
    """A palette image of rectangles and some noise."""
    indices = noise((height, width), n_entries, seed) * (noise((height, width), 4, seed + 1) == 0)
    indices[height // 3 :, width // 2 :] = n_entries - 1
    image = Image.fromarray(indices.astype(np.uint8), "L")
    colours = noise((n_entries, len(mode)), 256, seed + 2).astype(np.uint8)
    image.putpalette(colours.tobytes(), mode)
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


def same(found, expected):
    found.load()
    return (
        found.mode == expected.mode == "P"
        and found.size == expected.size
        and found.tobytes() == expected.tobytes()
        and found.getpalette(None) == expected.getpalette(None)
        and found.im.getpalettemode() == expected.im.getpalettemode()
        and found.info.get("transparency") == expected.info.get("transparency")
    )


def reopened(image, **options):
    stream = io.BytesIO()
    image.save(stream, "SCF", **{"codebook": None, **options})
    return Image.open(stream)


IMAGES = {
    "plain": indexed(),
    "whole": indexed(n_entries=256),
    "one colour": indexed(n_entries=1),
    "alpha": indexed(mode="RGBA"),
    "index": indexed(transparency=3),
    "index without colour": indexed(transparency=255),
    "alphas": indexed(transparency=bytes(range(0, 100, 3))),
    "alphas, opaque at the end": indexed(transparency=b"\0\x80\xff\xff"),
    "no alphas": indexed(transparency=b""),
    "all alphas": indexed(n_entries=256, transparency=bytes(range(256))),
    "tiny": indexed(1, 1, 2),
    "row": indexed(90, 1),
    "column": indexed(1, 90),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("effort", [1, 5, 9])
def test_images_come_back(name, effort):
    assert same(reopened(IMAGES[name], effort=effort), IMAGES[name])


@pytest.mark.parametrize("coder", ["auto", "few-colour", "context", "shapes"])
def test_every_coder(coder):
    image = IMAGES["alphas"]
    data = softcomp_codec.encode(image, codebook=None, coder=coder)
    assert same(Image.open(io.BytesIO(data)), image)
    coders = {"auto": 4, "few-colour": 4, "context": 2, "shapes": 0}
    assert container.read_header(data).coder == coders[coder]


def test_noise_is_stored():
    image = Image.fromarray(noise((9, 9), 256).astype(np.uint8), "L")
    image.putpalette(bytes(range(256)) * 3)
    data = softcomp_codec.encode(image, codebook=None)
    assert container.read_header(data).coder == container.STORED
    assert same(Image.open(io.BytesIO(data)), image)
    assert len(data) <= 9 * 9 + 768 + 48


def test_indices_without_a_colour():
    image = Image.fromarray(np.array([[0, 200], [7, 255]], np.uint8), "L")
    image.putpalette([1, 2, 3, 4, 5, 6])
    assert same(reopened(image), image)
    image.putpalette(b"")
    assert image.getpalette(None) == []
    assert same(reopened(image), image)


def test_equal_colours_stay_apart():
    image = Image.fromarray(noise((20, 20), 50).astype(np.uint8), "L")
    image.putpalette(bytes([9, 9, 9]) * 50)
    assert same(reopened(image), image)


@given(st.data())
def test_any_palette(data):
    mode = data.draw(st.sampled_from(["RGB", "RGBA"]))
    n_entries = data.draw(st.integers(0, 256))
    entries = data.draw(st.binary(min_size=len(mode) * n_entries, max_size=len(mode) * n_entries))
    transparency = data.draw(st.one_of(st.none(), st.integers(0, 255), st.binary(max_size=256)))
    palette = Palette(mode, entries, transparency)
    header = Header(PALETTE, 1, 1, 0, b"", 0, palette.to_segments())
    assert Palette.from_header(header) == palette
    assert transparency_of(header) == transparency
    assert len(set(palette.keys().tolist())) == 256
    assert sorted(palette.tree().tolist()) == sorted(palette.keys().tolist())
    assert palette.indices(palette.keys()).tolist() == list(range(256))


def test_a_smooth_palette_is_compressed():
    entries = b"".join(bytes([i, i, 255 - i]) for i in range(256))
    segment = Palette("RGB", entries).to_segments()[0]
    assert len(segment.data) < 100


def test_opening_reads_no_pixels_but_knows_palette_and_transparency():
    image = IMAGES["alphas"]
    data = softcomp_codec.encode(image, codebook=None)
    found = Image.open(io.BytesIO(data[: container.read_header(data).payload_offset]))
    assert found.info["transparency"] == image.info["transparency"]
    assert found.palette.mode == "RGB"
    assert found.palette.tobytes() == image.palette.tobytes()
    assert found.has_transparency_data


def test_conversions_are_those_of_the_image():
    for image in (IMAGES["index"], IMAGES["alphas"], IMAGES["alpha"], IMAGES["plain"]):
        alphas = isinstance(image.info.get("transparency"), bytes)
        for mode in ("RGBA",) if alphas else ("RGB", "RGBA", "L"):
            assert reopened(image).convert(mode).tobytes() == image.convert(mode).tobytes()


def test_frames_share_a_palette():
    frames = [indexed(seed=1), indexed(seed=1)]
    frames[1].paste(5, (2, 2, 9, 9))
    data = softcomp_codec.encode_frames(frames, codebook=None)
    found = Image.open(io.BytesIO(data))
    assert found.n_frames == 2
    for index in (1, 0, 1):
        found.seek(index)
        assert same(found, frames[index])
    decoded = softcomp_codec.decode_frames(data)
    assert [np.array_equal(a, b) for a, b in zip(decoded, frames, strict=True)] == [True, True]
    stream = io.BytesIO()
    frames[0].save(stream, "SCF", save_all=True, append_images=frames[1:], codebook=None)
    assert stream.getvalue() == data
    for other in (indexed(seed=2), indexed(seed=1, transparency=0)):
        with pytest.raises(ValueError, match="frame 1 has another palette"):
            softcomp_codec.encode_frames([frames[0], other])
    with pytest.raises(ValueError, match="frame 1 is a gray8 picture, frame 0 a palette one"):
        softcomp_codec.encode_frames([frames[0], Image.new("L", (23, 17))])


def test_arrays_are_never_palette_images():
    array = np.asarray(IMAGES["plain"])
    assert container.read_header(softcomp_codec.encode(array)).mode.name == "gray8"
    data = softcomp_codec.encode(IMAGES["plain"], codebook=None)
    assert np.array_equal(softcomp_codec.decode(data), array)
    assert decode_file(data).palette == palette_of(IMAGES["plain"])
    assert decode_file(softcomp_codec.encode(array)).palette is None


@pytest.mark.parametrize("name", IMAGES)
def test_imageio_shows_colours(name, tmp_path):
    """As of a PNG file: RGB, or RGBA where anything may be transparent."""
    path, palette = tmp_path / "x.scf", palette_of(IMAGES[name])
    IMAGES[name].save(path, codebook=None)
    colours = iio.imread(path)
    opaque = palette.mode == "RGB" and palette.transparency is None
    assert colours.shape == (*np.asarray(IMAGES[name]).shape, 3 if opaque else 4)
    assert iio.improps(path).shape == colours.shape
    assert iio.improps(path).dtype == colours.dtype
    mode = "RGB" if opaque else "RGBA"
    assert np.array_equal(colours, np.asarray(IMAGES[name].convert(mode)))


@pytest.mark.parametrize("name", ["plain", "whole", "index", "alphas", "alpha"])
def test_command_line_keeps_palette_files(name, tmp_path):
    typer_testing = pytest.importorskip("typer.testing")
    from softcomp_codec.cli.app import build_app

    runner, app = typer_testing.CliRunner(), build_app()
    IMAGES[name].save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        for arguments in (["encode", "a.png"], ["decode", "a.scf", "-o", "b.png"]):
            paths = [str(tmp_path / each) if "." in each else each for each in arguments]
            result = runner.invoke(app, paths)
            assert result.exit_code == 0, result.output
        with Image.open(tmp_path / "b.png") as again:
            assert same(again, image)
    result = runner.invoke(app, ["info", str(tmp_path / "a.scf")])
    assert "few-colour" in result.output
    assert "palette" in result.output


@pytest.mark.parametrize(
    ("transparency", "message"),
    [(256, "transparency 256"), (-1, "transparency -1"), ("x", "'x'"), (bytes(257), "257 alphas")],
)
def test_transparency_that_cannot_be(transparency, message):
    with pytest.raises(OSError, match=message):
        softcomp_codec.encode(indexed(transparency=transparency))


def with_segments(*segments, mode=PALETTE):
    header = Header(mode, 2, 1, container.STORED, b"", 0, segments)
    return container.write_file(header, b"\0\1")


GOOD = Segment(container.SEGMENT_PALETTE, b"\x06\x02abcdef")


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ((), "without palette"),
        ((GOOD, GOOD), "2 segments palette"),
        ((Segment(1, b""),), "form needs"),
        ((Segment(1, b"\x04\0"),), "2 components"),
        ((Segment(1, b"\x0a\0"),), "5 components"),
        ((Segment(1, b"\x06\x81\x02"),), "number of colours is 257"),
        ((Segment(1, b"\x06\x02abcde"),), "5 bytes, expected 6"),
        ((Segment(1, b"\x06\x02abcdefg"),), "7 bytes, expected 6"),
        ((Segment(1, b"\x07\0"),), "code of no colours"),
        ((Segment(1, b"\x07\x02"),), "damaged"),
        ((Segment(1, b"\x07\x02" + bytes(90)),), "damaged"),
        ((GOOD, Segment(2, b"")), "form needs"),
        ((GOOD, Segment(2, b"\2")), "form 2"),
        ((GOOD, Segment(2, b"\0")), "index needs"),
        ((GOOD, Segment(2, b"\0\1\1")), "bytes follow"),
        ((GOOD, Segment(2, b"\1\x81\2")), "number of alphas is 257"),
        ((GOOD, Segment(2, b"\1\1ab")), "2 of 1 alphas"),
        ((GOOD, Segment(2, b"\0\1"), Segment(2, b"\0\1")), "2 segments transparency"),
        ((GOOD,), "checksum"),
    ],
)
def test_hostile_segments(segments, message):
    with pytest.raises(CorruptStreamError, match=message):
        softcomp_codec.decode(with_segments(*segments))


def test_other_pictures_have_no_palette():
    for segment in (GOOD, Segment(2, b"\0\1")):
        with pytest.raises(CorruptStreamError, match=r"1 segments .* in a file of gray8"):
            softcomp_codec.decode(with_segments(segment, mode=container.MODES[1]))


def test_the_checksum_covers_palette_and_transparency():
    image = indexed(transparency=3)
    data = softcomp_codec.encode(image, codebook=None)
    header, payload = container.read_file(data)
    palette = palette_of(image)
    changes = [
        Palette("RGB", bytes([palette.entries[0] ^ 1]) + palette.entries[1:], 3),
        Palette("RGB", palette.entries, 4),
        Palette("RGB", palette.entries, None),
        Palette("RGB", palette.entries, b"\xff\xff\xff\0"),
        Palette("RGB", palette.entries + bytes(3), 3),
    ]
    for other in changes:
        bad = Header(PALETTE, *image.size, header.coder, b"", header.checksum, other.to_segments())
        with pytest.raises(CorruptStreamError):
            softcomp_codec.decode(container.write_file(bad, payload))
