"""Pictures of every mode through ``scf encode`` and ``decode``; formats that cannot hold one."""

import json
import struct

import numpy as np
import pytest
from cli_commands import pixels, pixels_of, run, write_deep_png
from PIL import Image, PngImagePlugin

import softcomp_codec
from softcomp_codec.cli import deep_png, pictures
from softcomp_codec.metadata import Metadata

pytestmark = pytest.mark.usefixtures("nothing_of_the_user")

DEEP = np.arange(35, dtype=np.uint16).reshape(5, 7) * np.uint16(1871)
ALPHA = (np.arange(140).reshape(5, 7, 4) * 7 % 256).astype(np.uint8)
SAMPLES = {"I;16": DEEP, "LA": ALPHA[..., [0, 3]], "RGBA": ALPHA}
CODERS = {"I;16": "shapes", "LA": "stored", "RGBA": "context"}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("mode", SAMPLES)
def test_encode_and_decode_deep_and_transparent_pictures(mode, suffix, tmp_path):
    source = tmp_path / f"source{suffix}"
    Image.fromarray(SAMPLES[mode]).save(source)
    run("encode", source, "--codebook", "none")
    coded = source.with_suffix(".scf")
    assert pixels(coded) == pixels(source) == (mode, (7, 5), SAMPLES[mode].tobytes())
    name = {"I;16": "gray16", "LA": "la8", "RGBA": "rgba8"}[mode]
    assert f"7 x 5, {name}" in run("info", coded)
    facts = json.loads(run("info", "--json", "--indicator", coded))
    assert (facts["mode"], facts["coder"], facts["codebook"]) == (name, CODERS[mode], None)
    assert facts["raw_bytes"] == SAMPLES[mode].nbytes
    assert "1 picture verified" in run("verify", coded)
    explained = json.loads(run("explain", source, "--codebook", "none", "--json"))
    assert (explained["coder"], explained["raw_bytes"]) == (CODERS[mode], SAMPLES[mode].nbytes)
    for target in ("again.png", "again.tif", "again.npy"):
        run("decode", coded, "-o", tmp_path / target)
    for target in ("again.png", "again.tif"):
        assert pixels(tmp_path / target) == pixels(source)
    assert np.array_equal(np.load(tmp_path / "again.npy"), SAMPLES[mode])


def test_encode_a_big_endian_tiff(tmp_path):
    """Pillow's mode is I;16B then; the samples are kept."""
    source = tmp_path / "big.tif"
    Image.fromarray(DEEP.astype(">u2")).save(source)
    with Image.open(source) as image:
        assert image.mode == "I;16B"
    run("encode", source)
    assert np.array_equal(softcomp_codec.decode((tmp_path / "big.scf").read_bytes()), DEEP)
    with Image.open(tmp_path / "big.scf") as image:
        assert image.mode == "I;16B"
    run("decode", tmp_path / "big.scf", "-o", tmp_path / "again.tif")
    assert pixels(tmp_path / "again.tif") == pixels(source)


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "PA", "I", "F", "I;16B", "YCbCr"])
def test_encode_and_decode_further_modes(mode, tmp_path):
    source = tmp_path / "source.tif"
    blank = Image.new(mode, (9, 7))
    samples = bytes(index * 7 % 251 for index in range(len(blank.tobytes())))
    image = Image.frombytes(mode, (9, 7), samples)
    if mode == "PA":
        image.putpalette(bytes(range(99)))
    image.save(source)
    expected = pixels(source)
    assert expected[0] == mode
    run("encode", source, "--verify")
    coded = tmp_path / "source.scf"
    assert pixels(coded) == expected
    assert f"Pillow's mode {mode}" in run("info", coded)
    run("decode", coded, "-o", tmp_path / "again.tif")
    assert pixels(tmp_path / "again.tif") == expected
    run("decode", coded, "-o", tmp_path / "again.npy")
    assert np.array_equal(np.load(tmp_path / "again.npy"), np.asarray(Image.open(source)))


def test_encode_pages_of_a_deep_tiff(tmp_path):
    pages = [Image.fromarray(DEEP + np.uint16(page)) for page in range(3)]
    source = tmp_path / "pages.tif"
    pages[0].save(source, save_all=True, append_images=pages[1:])
    run("encode", source)
    run("decode", tmp_path / "pages.scf", "-o", tmp_path / "again.tif")
    with Image.open(tmp_path / "again.tif") as image:
        for index, page in enumerate(pages):
            image.seek(index)
            assert (image.mode, image.tobytes()) == ("I;16", page.tobytes())


@pytest.mark.parametrize(
    ("array", "suffix", "message"),
    [
        *((ALPHA.astype(np.uint16)[..., :n], suffix, f"Pillow cannot write {name} to")
          for n, name in ((2, "la16"), (3, "rgb16"), (4, "rgba16"))
          for suffix in (".png", ".tif", ".bmp", ".ppm", ".tga")),
        (DEEP, ".bmp", "cannot write mode I;16 as BMP"),
        (DEEP, ".ppm", "PPM would keep it as mode I, it is I;16"),
        (DEEP, ".tga", "cannot write mode I;16 as TGA"),
        (ALPHA[..., [0, 3]], ".bmp", "cannot write mode LA as BMP"),
        (ALPHA[..., [0, 3]], ".ppm", "cannot write mode LA as PPM"),
        (ALPHA, ".bmp", "BMP would keep it as mode RGB, it is RGBA"),
        (ALPHA, ".ppm", "PPM would keep it as mode RGB, it is RGBA"),
    ],
)  # fmt: skip
def test_decode_refuses_formats_that_cannot_hold_the_mode(
    array, suffix, message, tmp_path, monkeypatch
):
    monkeypatch.setattr(deep_png, "find_spec", lambda name: None)  # imagecodecs writes more
    path = tmp_path / "a.scf"
    path.write_bytes(softcomp_codec.encode(array))
    assert message in run("decode", path, "-o", tmp_path / f"a{suffix}", code=1)
    assert not (tmp_path / f"a{suffix}").exists()
    run("decode", path, "--format", "npy")
    again = np.load(tmp_path / "a.npy")
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert np.array_equal(again, array)


def test_decode_deep_gray_of_one_channel(tmp_path):
    path = tmp_path / "a.scf"
    path.write_bytes(softcomp_codec.encode(DEEP[:, :, None]))
    assert "gray16, shape (H, W, 1)" in run("info", path)
    run("decode", path)
    assert pixels(tmp_path / "a.png") == ("I;16", (7, 5), DEEP.tobytes())


@pytest.mark.parametrize("n_planes", [2, 3, 4])
def test_deep_png_survives_with_what_it_tells(n_planes, tmp_path):
    pytest.importorskip("imagecodecs", reason="needs imagecodecs: pip install '.[bench]'")
    write_deep_png(tmp_path / "plain.png", n_planes)
    samples = np.arange(16 * n_planes, dtype=np.uint16).reshape(4, 4, n_planes) * 1021
    facts = {"dpi": (300, 300), "icc_profile": b"profile", "gamma": 0.45455, "Title": "deep"}
    data = deep_png.write_deep_png(samples, pictures.save_options([facts], "PNG"))
    (tmp_path / "told.png").write_bytes(data)
    run("encode", tmp_path / "plain.png", tmp_path / "told.png", "-o", tmp_path / "out", "--verify")
    plain = softcomp_codec.decode((tmp_path / "out" / "plain.scf").read_bytes())
    assert (
        plain.tobytes()
        == np.frombuffer(bytes(range(4 * n_planes)) * 2, ">u2").astype(np.uint16).tobytes()
    )
    told = (tmp_path / "out" / "told.scf").read_bytes()
    assert np.array_equal(softcomp_codec.decode(told), samples)
    run("decode", tmp_path / "out", "-o", tmp_path / "back")
    with Image.open(tmp_path / "back" / "told.png") as again:
        array = deep_png.read_deep_png(tmp_path / "back" / "told.png", again)
        again.load()
        assert array.dtype == np.uint16
        assert np.array_equal(array, samples)
        assert (again.info["icc_profile"], again.info["Title"]) == (b"profile", "deep")
        assert again.info["gamma"] == 0.45455
    assert "cannot keep its" in run(
        "decode", tmp_path / "out" / "told.scf", "-o", tmp_path / "a.npy", code=1
    )
    run("decode", tmp_path / "out" / "told.scf", "-o", tmp_path / "a.npy", "--drop-metadata")
    run("pack", tmp_path / "told.png", "-o", tmp_path / "set.scf")
    run("encode", tmp_path / "told.png", "-o", tmp_path / "bare.scf", "--drop-metadata")
    bare = softcomp_codec.read_header((tmp_path / "bare.scf").read_bytes())
    assert not Metadata.from_header(bare)


def test_decode_keeps_gamma_and_chromaticity(tmp_path):
    colours = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"gAMA", struct.pack(">I", 45_455))
    chunks.add(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in colours)))
    Image.new("RGB", (9, 7), (1, 2, 3)).save(tmp_path / "a.png", pnginfo=chunks)
    run("encode", tmp_path / "a.png", "--verify")
    run("decode", tmp_path / "a.scf", "-o", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as again:
        assert again.info["gamma"] == 0.45455
        assert again.info["chromaticity"] == pytest.approx(colours, abs=1e-9)


def test_pictures_above_the_limit_of_pillow_are_converted(tmp_path, monkeypatch):
    picture = Image.new("L", (300, 200), 7)
    picture.save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    run("encode", tmp_path / "a.png", "--verify")
    run("decode", tmp_path / "a.scf", "-o", tmp_path / "again.png")
    assert Image.MAX_IMAGE_PIXELS == 100
    monkeypatch.undo()
    assert pixels(tmp_path / "again.png") == pixels_of(picture)


def test_frames_survive_encode_and_decode(tmp_path):
    rng = np.random.default_rng(3)
    pages = [Image.fromarray(rng.integers(0, 9, (20, 30), np.uint8)) for _ in range(3)]
    source = tmp_path / "pages.tif"
    pages[0].save(source, save_all=True, append_images=pages[1:])
    run("encode", source)
    coded = tmp_path / "pages.scf"
    assert "3 frames" in run("info", coded)
    assert "1 picture verified" in run("verify", coded)
    assert "which BMP cannot keep" in run("decode", coded, "--format", "bmp", code=1)
    assert "pages.tif exists already" in run("decode", coded, code=1)
    again = tmp_path / "again.tif"
    run("decode", coded, "-o", again)
    with Image.open(again) as image:
        assert image.n_frames == 3
        for index, page in enumerate(pages):
            image.seek(index)
            assert image.tobytes() == page.tobytes()
    run("decode", coded, "-o", tmp_path / "pages.npy")
    assert np.load(tmp_path / "pages.npy").shape == (3, 20, 30)
    damaged = bytearray(coded.read_bytes())
    damaged[-20] ^= 16
    coded.write_bytes(damaged)
    run("verify", coded, code=1)
