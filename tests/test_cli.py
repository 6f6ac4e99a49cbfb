"""Every command of ``scf``: what it does, what it says, and its exit code."""

import gzip
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from file_builder import file_of
from made_images import decoded_jpeg, figure, made_past, noise
from PIL import Image, PngImagePlugin, features
from small_codebooks import tiny_codebook

import softcomp_codec
from softcomp_codec import codebook_store, container, jpeg_past_coder, training
from softcomp_codec.jpeg_recovery import Recovered
from softcomp_codec.metadata import Metadata
from softcomp_codec.samples import list_samples

typer_testing = pytest.importorskip("typer.testing")
pytest.importorskip("rich")

from softcomp_codec.cli import (  # noqa: E402
    codebook_files,
    console,
    deep_png,
    demo,
    pictures,
    warmup,
)
from softcomp_codec.cli.__main__ import main  # noqa: E402
from softcomp_codec.cli.app import build_app  # noqa: E402

compiled = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="takes long without compiled kernels"
)


@pytest.fixture(scope="session")
def book():
    """A codebook of one digit at many places, which pays for that digit."""
    with Image.open(list_samples()["digit-2"]) as opened:
        digit = np.asarray(opened)
    images = [np.roll(digit, (i % 5 - 2, i // 5 - 2), axis=(0, 1)) for i in range(25)]
    options = training.TrainingOptions(train_priors=False)
    return softcomp_codec.train(images, name="twos", holdout=0, options=options)


@pytest.fixture(autouse=True)
def nothing_of_the_user(monkeypatch, tmp_path):
    """Neither the user's codebooks nor settings of the terminal may change what is tested."""
    monkeypatch.setenv("SOFTCOMP_CODEBOOK_PATH", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "no-data"))
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def book_file(book, tmp_path):
    path = tmp_path / "books" / "twos.scfb"
    path.parent.mkdir()
    book.save(path)
    return path


@pytest.fixture
def digit(tmp_path):
    """A copy of a sample in a folder of its own."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    return Path(shutil.copy(list_samples()["digit-2"], folder / "digit.png"))


def run(*args, code=0):
    """Run a command in this process and return all that it printed."""
    result = typer_testing.CliRunner().invoke(build_app(), [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    assert "\x1b" not in result.output
    return result.output


def run_process(*args, code=0):
    """Run a command in a process of its own; returns (stdout, stderr)."""
    done = subprocess.run(
        [sys.executable, "-m", "softcomp_codec.cli", *map(str, args)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def pixels(path):
    with Image.open(path) as image:
        return pixels_of(image)


def pixels_of(image):
    return image.mode, image.size, image.tobytes()


def write_deep_png(path, n_planes):
    """Write a PNG of 16 bits a sample and several planes, which Pillow would read as 8 bits."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    rows = b"".join(b"\0" + bytes(range(4 * n_planes)) for _ in range(2))
    colour_type = {2: 4, 3: 2, 4: 6}[n_planes]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, colour_type, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def write_premultiplied_tiff(path):
    """Write an RGBA TIFF whose ExtraSamples say that alpha is multiplied into the colours."""
    stream = io.BytesIO()
    Image.new("RGBA", (4, 4), (9, 8, 7, 6)).save(stream, "TIFF")
    tag = struct.pack("<HHII", 338, 3, 1, 2)
    data = stream.getvalue()
    assert data.count(tag) == 1
    path.write_bytes(data.replace(tag, struct.pack("<HHII", 338, 3, 1, 1)))


def damage(path):
    data = bytearray(path.read_bytes())
    data[-2] ^= 0x10
    path.write_bytes(data)


# ---- The whole -----------------------------------------------------------------------------------


def test_version():
    assert run("--version") == f"scf {softcomp_codec.__version__}\n"


def test_help_names_every_command():
    text = run("--help")
    for name in (
        "demo",
        "encode",
        "decode",
        "info",
        "verify",
        "bench",
        "train",
        "codebook",
        "warmup",
    ):
        assert name in text


def test_unknown_commands_and_options_are_usage_errors():
    assert "frobnicate" in run("frobnicate", code=2)
    assert "--frobnicate" in run("info", "--frobnicate", code=2)


def test_without_typer_there_is_one_helpful_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "pip install 'softcomp-codec[cli]'" in message


@pytest.mark.parametrize("args", [["--help"], ["info", "--header", "--json"], ["encode", "--help"]])
def test_help_and_info_load_neither_numba_nor_numpy(args, tmp_path):
    if args[0] == "info":
        path = tmp_path / "a.scf"
        path.write_bytes(softcomp_codec.encode(np.zeros((8, 8), np.uint8)))
        args = [*args, str(path)]
    code = (
        "import sys, atexit\n"
        "from softcomp_codec.cli.__main__ import main\n"
        "atexit.register(lambda: print({'numba', 'numpy'} & set(sys.modules), file=sys.stderr))\n"
        f"sys.argv = ['scf', *{args!r}]\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"


def test_errors_are_one_line_on_stderr_and_results_go_to_stdout(digit, tmp_path):
    out, err = run_process("encode", digit, tmp_path / "none.png", code=1)
    assert err == f"scf: error: {tmp_path / 'none.png'}: there is no such file\n"
    assert "1 picture encoded" in out
    assert "\x1b" not in out + err


def test_debug_shows_the_traceback(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"no picture")
    assert "Traceback" not in run_process("encode", path, code=1)[1]
    assert "Traceback" in run_process("--debug", "encode", path, code=1)[1]


def test_file_names_cannot_harm_the_terminal(tmp_path):
    path = tmp_path / "\x1b[31mred\udcff.png"
    try:
        path.write_bytes(b"no picture")
    except (OSError, UnicodeError):
        pytest.skip("the file system has no such names")
    assert "\\x1b[31mred\\xff" in run("encode", path, code=1).replace("\\udcff", "\\xff")


# ---- encode --------------------------------------------------------------------------------------


def test_encode_writes_beside_the_picture(digit):
    text = run("encode", digit)
    assert pixels(digit.with_suffix(".scf")) == pixels(digit)
    assert "1 picture encoded: 112 raw bytes" in text


def test_encode_never_replaces_without_force(digit):
    target = digit.with_suffix(".scf")
    target.write_bytes(b"precious")
    assert "exists already; --force" in run("encode", digit, code=1)
    assert target.read_bytes() == b"precious"
    run("encode", digit, "--force")
    assert pixels(target) == pixels(digit)


def test_encode_to_a_file_and_to_a_folder(digit, tmp_path):
    run("encode", digit, "-o", tmp_path / "new" / "name.SCF")
    run("encode", digit, "-o", tmp_path / "folder")
    assert pixels(tmp_path / "new" / "name.SCF") == pixels(tmp_path / "folder" / "digit.scf")


def test_encode_a_folder_keeps_the_places(tmp_path):
    source = tmp_path / "in"
    for number, place in ((2, "a.png"), (3, "deep/b.PNG"), (7, "deep/er/a.png")):
        (source / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(list_samples()[f"digit-{number}"], source / place)
    (source / "notes.txt").write_text("no picture")
    text = run("encode", source, "-o", tmp_path / "out", "-j", 2)
    written = {
        p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.scf")
    }
    assert written == {"a.scf", "deep/b.scf", "deep/er/a.scf"}
    assert f"1 file left alone, no pictures by name: {source / 'notes.txt'}" in text
    assert "3 pictures encoded" in text


def test_encode_options_reach_the_file(digit, book_file):
    target = digit.with_suffix(".scf")
    text = run("encode", digit, "--codebook", book_file, "--effort", 9, "--file-check")
    assert "shapes, twos" in text
    assert "the codebook 'twos'" in text
    assert softcomp_codec.read_header(target.read_bytes()).segments[0].name == "file check"
    text = run("encode", digit, "--codebook", book_file, "--embed-codebook", "-f")
    assert "keep its .scfb file" not in text
    assert np.array_equal(softcomp_codec.decode(target.read_bytes()), np.asarray(Image.open(digit)))
    run("encode", digit, "--codebook", "none", "-f")
    assert softcomp_codec.read_header(target.read_bytes()).codebook_reference == b""


def test_encode_refuses_what_it_cannot_keep_and_goes_on(digit, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)  # it would read the deep ones
    folder = digit.parent
    gray = Image.new("L", (4, 4), 7)
    gray.convert("CMYK").save(folder / "cmyk.tif")
    gray.convert("P").save(folder / "palette.png")
    gray.convert("F").save(folder / "float.tif")
    gray.save(folder / "transparent.png", transparency=7)
    gray.save(folder / "animated.gif", save_all=True, append_images=[Image.new("L", (4, 4), 9)])
    write_deep_png(folder / "deep-rgb.png", 3)
    write_deep_png(folder / "deep-la.png", 2)
    write_deep_png(folder / "deep-rgba.png", 4)
    write_premultiplied_tiff(folder / "premultiplied.tif")
    (folder / "deeper.ppm").write_bytes(b"P6 1 1 65535\n" + bytes(6))
    (folder / "broken.png").write_bytes(digit.read_bytes()[:60])
    (folder / "text.png").write_text("no picture")
    lines = run("encode", folder, "-o", tmp_path / "out", code=1).splitlines()
    said = {
        Path(line.split(": ")[2]).name: line for line in lines if line.startswith("scf: error:")
    }
    for name in ("cmyk.tif", "float.tif", "palette.png"):
        assert name not in said
    for name in ("deep-rgb.png", "deep-la.png", "deep-rgba.png"):
        assert "Pillow would keep less of a sample" in said[name]
    assert "colours are multiplied by their alpha" in said["premultiplied.tif"]
    assert "Pillow would keep less of a sample" in said["deeper.ppm"]
    assert "no picture that Pillow can read" in said["text.png"]
    assert "broken.png" in said
    assert len(said) == 7
    kept = ["animated", "cmyk", "digit", "float", "palette", "transparent"]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"{name}.scf" for name in kept]
    for name in ("cmyk", "float"):
        source, coded = folder / f"{name}.tif", tmp_path / "out" / f"{name}.scf"
        assert pixels(coded) == pixels(source)
        run("decode", coded, "-o", tmp_path / f"{name}.tif")
        assert pixels(tmp_path / f"{name}.tif") == pixels(source)
    assert "6 pictures encoded" in lines[-1]
    assert "7 failed" in lines[-1]


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


def write_with_iptc(path):
    """Write a JPEG with a Photoshop block, which .scf has no place for, and EXIF."""
    exif = Image.Exif()
    exif[0x010E] = "a digit"
    stream = io.BytesIO()
    Image.new("L", (8, 8), 3).save(stream, "JPEG", exif=exif)
    block = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x04abcd"
    data = stream.getvalue()
    path.write_bytes(data[:2] + b"\xff\xed" + struct.pack(">H", len(block) + 2) + block + data[2:])


def test_encode_refuses_to_lose_metadata(tmp_path):
    path = tmp_path / "a.jpg"
    write_with_iptc(path)
    text = run("encode", path, code=1)
    assert "IPTC and Photoshop data cannot be kept (--drop-metadata" in text
    assert not path.with_suffix(".scf").exists()
    text = run("encode", path, "--drop-metadata")
    assert "IPTC and Photoshop data of 1 picture dropped" in text
    assert "EXIF of 1 picture dropped" in text
    with Image.open(path.with_suffix(".scf")) as image:
        assert set(image.info) == {"scf_version"}


def test_encode_refuses_two_inputs_with_one_output(digit):
    with Image.open(digit) as image:
        image.save(digit.with_suffix(".bmp"))
    text = run("encode", digit, digit.with_suffix(".bmp"), code=1)
    assert "digit.bmp would both become" in text
    assert "1 collision of names; nothing was written" in text
    assert not digit.with_suffix(".scf").exists()


def test_encode_does_not_replace_its_own_input(digit):
    run("encode", digit)
    target = digit.with_suffix(".scf")
    before = target.read_bytes()
    assert "its own input" in run("encode", target, "--force", code=1)
    assert target.read_bytes() == before


def test_encode_usage_errors(digit, tmp_path):
    assert "-o OUT must name a folder" in run("encode", digit.parent, code=2)
    assert "writes .scf files" in run("encode", digit, "-o", tmp_path / "a.png", code=2)
    assert "several inputs" in run("encode", digit, digit, "-o", tmp_path / "a.scf", code=2)
    (tmp_path / "file").touch()
    assert "is no folder" in run("encode", digit, "-o", tmp_path / "file", code=2)
    run("encode", digit, "--effort", 10, code=2)
    run("encode", digit, "-j", 0, code=2)
    run("encode", code=2)
    assert not list(tmp_path.rglob("*.scf"))


def test_encode_with_an_unknown_codebook_does_nothing(digit):
    assert "'nonesuch'" in run("encode", digit, "--codebook", "nonesuch", code=1)
    assert not digit.with_suffix(".scf").exists()


# ---- decode --------------------------------------------------------------------------------------


@pytest.fixture
def coded(digit, book, tmp_path):
    """The digit as .scf with a codebook that is found nowhere."""
    path = tmp_path / "coded" / "digit.scf"
    path.parent.mkdir()
    with Image.open(digit) as image:
        path.write_bytes(softcomp_codec.encode(image, codebook=book, file_check=True))
    assert softcomp_codec.read_header(path.read_bytes()).codebook_reference
    return path


@pytest.mark.parametrize("name", ["digit-2", "digit-5"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".PPM", ".tga"])
def test_decode_by_the_name_of_the_output(name, suffix, tmp_path):
    run("encode", list_samples()[name], "-o", tmp_path)
    target = tmp_path / f"out{suffix}"
    run("decode", tmp_path / f"{name}.scf", "-o", target)
    assert pixels(target) == pixels(list_samples()[name])


def test_decode_colours_and_default_png(tmp_path):
    colours = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    path = tmp_path / "colours.scf"
    path.write_bytes(softcomp_codec.encode(colours))
    text = run("decode", path)
    assert pixels(tmp_path / "colours.png") == ("RGB", (7, 5), colours.tobytes())
    assert "1 picture decoded" in text
    assert "exists already" in run("decode", path, code=1)
    run("decode", path, "--force")


def test_decode_arrays_that_pillow_cannot_hold(tmp_path):
    array = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    path = tmp_path / "a.scf"
    path.write_bytes(softcomp_codec.encode(array))
    run("decode", path, "--format", "npy")
    again = np.load(tmp_path / "a.npy")
    assert again.shape == array.shape
    assert np.array_equal(again, array)
    run("decode", path)
    assert pixels(tmp_path / "a.png") == ("L", (4, 3), array.tobytes())


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


def test_decode_parts_of_pictures(tmp_path):
    colours = np.arange(50 * 70 * 3, dtype=np.uint8).reshape(50, 70, 3)
    indices = Image.fromarray(colours[:, :, 0] % 5, "P")
    indices.putpalette(bytes(range(15)))
    frames = [Image.fromarray(colours), Image.fromarray(255 - colours)]
    (tmp_path / "a.scf").write_bytes(softcomp_codec.encode(colours))
    (tmp_path / "b.scf").write_bytes(softcomp_codec.encode(indices))
    (tmp_path / "c.scf").write_bytes(softcomp_codec.encode_frames(frames))
    box = (3, 10, 33, 50)
    run("decode", tmp_path / "a.scf", tmp_path / "b.scf", "-o", tmp_path / "out", "--box",
        "3,10,33,50")  # fmt: skip
    assert pixels(tmp_path / "out" / "a.png") == pixels_of(frames[0].crop(box))
    assert pixels(tmp_path / "out" / "b.png") == pixels_of(indices.crop(box))
    run("decode", tmp_path / "c.scf", "-o", tmp_path / "c.tif", "--box", "3,10,33,50")
    with Image.open(tmp_path / "c.tif") as again:
        for index, frame in enumerate(frames):
            again.seek(index)
            assert pixels_of(again) == pixels_of(frame.crop(box))


@pytest.mark.parametrize(
    ("box", "code", "message"),
    [
        ("0,0,71,50", 1, "not inside the image of 70 x 50"),
        ("4,4,4,9", 1, "is empty or not inside"),
        ("1,2,3", 2, "expected four whole numbers"),
        ("1,2,3,x", 2, "expected four whole numbers"),
    ],
)
def test_decode_refuses_parts_that_are_not_there(box, code, message, tmp_path):
    path = tmp_path / "a.scf"
    path.write_bytes(softcomp_codec.encode(np.zeros((50, 70), np.uint8)))
    text = run("decode", path, "-o", tmp_path / "a.png", "--box", box, code=code)
    assert message in " ".join(text.split()).replace(" │ │ ", " ")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("more", [["--resume", "-o", "out"], ["--delete-source", "-o", "out"], []])
def test_decode_never_takes_a_part_for_the_whole(more, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.scf").write_bytes(softcomp_codec.encode(np.zeros((50, 70), np.uint8)))
    run("decode", "a.scf", "--box", "0,0,9,9", *more, code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.scf"]


def test_pictures_above_the_limit_of_pillow_are_converted(tmp_path, monkeypatch):
    picture = Image.new("L", (300, 200), 7)
    picture.save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    run("encode", tmp_path / "a.png", "--verify")
    run("decode", tmp_path / "a.scf", "-o", tmp_path / "again.png")
    assert Image.MAX_IMAGE_PIXELS == 100
    monkeypatch.undo()
    assert pixels(tmp_path / "again.png") == pixels_of(picture)


def test_decode_a_folder(tmp_path):
    for number in (2, 3):
        run("encode", list_samples()[f"digit-{number}"], "-o", tmp_path / "in" / str(number))
    run("decode", tmp_path / "in", "-o", tmp_path / "out", "--format", "bmp")
    for number in (2, 3):
        name = f"digit-{number}"
        assert pixels(tmp_path / "out" / str(number) / f"{name}.bmp") == pixels(
            list_samples()[name]
        )


def test_decode_refuses_lossy_formats(coded, tmp_path):
    for args in (["-o", tmp_path / "a.jpg"], ["--format", "jpeg"], ["-o", tmp_path / "a.gif"]):
        assert "not known to keep every pixel" in run("decode", coded, *args, code=2)
    assert "--format is png" in run(
        "decode", coded, "-o", tmp_path / "a.bmp", "--format", "png", code=2
    )


@pytest.mark.skipif(not features.check("webp"), reason="this Pillow has no WebP")
def test_decode_refuses_a_format_that_would_change_the_mode(tmp_path):
    path = tmp_path / "a.scf"
    path.write_bytes(softcomp_codec.encode(np.arange(12, dtype=np.uint8).reshape(3, 4)))
    assert "as mode RGB" in run("decode", path, "-o", tmp_path / "a.webp", code=1)
    assert not (tmp_path / "a.webp").exists()


def test_decode_needs_the_codebook(coded, book_file):
    assert "was not found; searched" in run("decode", coded, code=1)
    run("decode", coded, "--codebook", book_file)
    assert coded.with_suffix(".png").exists()


def test_decode_finds_codebooks_in_the_usual_places(coded, book_file, monkeypatch):
    monkeypatch.setenv("SOFTCOMP_CODEBOOK_PATH", str(book_file.parent))
    run("decode", coded)
    monkeypatch.setenv("SOFTCOMP_CODEBOOK_PATH", "")
    shutil.copy(book_file, coded.parent)
    run("decode", coded, "-f")


def test_decode_reports_damage_and_goes_on(coded, book_file):
    good = coded.with_name("good.scf")
    shutil.copy(coded, good)
    damage(coded)
    text = run("decode", coded, good, "--codebook", book_file, code=1)
    assert "scf: error:" in text
    assert "1 picture decoded" in text
    assert "1 failed" in text
    assert not coded.with_suffix(".png").exists()


# ---- info ----------------------------------------------------------------------------------------


def test_info_without_the_codebook(coded, book):
    text = run("info", coded)
    for part in ("28 x 28, bilevel", "shapes", book.identifier.hex()[:8], "MISSING", "version 0"):
        assert part in text
    assert "not without the codebook" in run("info", "--details", coded)


def test_info_as_json(coded, book, book_file):
    path = coded.with_name("plain.scf")
    path.write_bytes(softcomp_codec.encode(np.zeros((30, 40, 3), np.uint8)))
    first, second = map(json.loads, run("info", "--json", coded, path).splitlines())
    assert (first["width"], first["height"], first["mode"]) == (28, 28, "bilevel")
    assert first["codebook"] == {"id": book.identifier.hex()[:8], "name": None, "found": None}
    assert first["file_check"] == "ok"
    assert first["file_bytes"] == coded.stat().st_size
    assert first["header_bytes"] + first["payload_bytes"] == first["file_bytes"]
    assert [segment["name"] for segment in first["segments"]] == ["file check"]
    assert first["details"] is None
    assert second["codebook"] is None
    assert second["file_check"] is None
    assert second["raw_bytes"] == 3600
    shutil.copy(book_file, coded.parent)
    assert json.loads(run("info", "--json", coded))["codebook"]["found"].startswith("beside")


def test_info_details(coded, book_file, tmp_path):
    text = run("info", "--details", "--codebook", book_file, coded)
    assert "given by --codebook" in text
    assert "predictor none; low layer of 0 bits, shape layer of 1" in text
    facts = json.loads(run("info", "--json", "--codebook", book_file, coded))
    assert facts["details"]["planes"][0]["shapes"] > 0
    colours = tmp_path / "colours.scf"
    colours.write_bytes(softcomp_codec.encode(np.zeros((30, 40, 3), np.uint8), coder="shapes"))
    text = run("info", colours)
    assert "colour transform" in text
    assert "plane 2" in text
    stored = tmp_path / "stored.scf"
    stored.write_bytes(softcomp_codec.encode(np.zeros((1, 1), np.uint8)))
    assert "none of this coder" in run("info", stored)
    assert "none of this coder" not in run("info", "--header", stored)


def test_info_details_of_the_bilevel_coder(tmp_path):
    path = tmp_path / "page.scf"
    page = np.ones((600, 600), bool)
    page[300:330, 200:400] = np.indices((30, 200)).sum(axis=0) % 9 < 4
    path.write_bytes(softcomp_codec.encode(page, codebook=None))
    text = run("info", path)
    for line in (
        r"coder +bilevel",
        r"contexts +14 a decision",
        r"background +ones",
        r"even blocks +at once",
        r"states at the start +neutral",
    ):
        assert re.search(line, text), (line, text)


def test_info_details_of_a_jpeg_past(tmp_path):
    own = replace(made_past((2, 2), (3, 5), 85), tables=(tuple(range(2, 66)),) * 3)
    for past, table in (
        (made_past((2, 2), (3, 5), 85), "libjpeg's table of quality 85: 5 3 3 5 7 12 15 18 /"),
        (own, "a table of its own, nearest to quality "),
    ):
        decoded, coefficients = decoded_jpeg(past, 96, 112)
        shapes = [past.component_shape(index, 96, 112) for index in range(3)]
        boxes = [(np.zeros(s, np.int32), np.full(s, 255, np.int32)) for s in shapes]
        recovered = Recovered(past, coefficients, boxes, (1.0,) * 3)
        payload = jpeg_past_coder.write_payload(decoded, recovered)
        path = tmp_path / "past.scf"
        path.write_bytes(file_of(decoded, payload, coder=container.JPEG_PAST))
        text = " ".join(run("info", path).split())
        assert "JPEG past 4:2:0" in text
        assert "first block 3 rows above and 5 columns before" in text
        assert table in text
        assert "exact blocks 100.0 %, 100.0 %, 100.0 %; pixels 100.00 %" in text
        details = json.loads(run("info", "--json", path))["details"]
        assert details["exact_blocks"] == [1.0] * 3
        assert details["tables"][0] == list(past.tables[0])
    stream = io.BytesIO()
    slopes = np.add.outer(np.arange(96), np.arange(112))[:, :, None] // np.arange(2, 5)
    picture = (slopes + 60 + noise((96, 112, 3), 5)).astype(np.uint8)
    Image.fromarray(picture).save(stream, "JPEG", quality=100, subsampling=2)
    array = np.asarray(Image.open(stream))
    path.write_bytes(softcomp_codec.encode(array, codebook=None, coder="jpeg-past"))
    text = " ".join(run("info", path).split())
    assert "JPEG past 4:2:0, without its coefficients" in text
    assert "samples luma " in text


def test_info_details_of_the_context_coder(tmp_path):
    path = tmp_path / "colours.scf"
    array = np.zeros((30, 40, 4), np.uint8)
    array[:, :, 0] = np.arange(40) * 5
    array[:, :, 3] = 9
    path.write_bytes(softcomp_codec.encode(array, coder="context"))
    text = run("info", path)
    for line in (
        r"coder +context",
        r"colour transform +red difference",
        r"contexts +7 a decision",
        r"tiles +1\b",
        r"plane 0 +samples 0\.\.195",
        r"plane 1 +samples -195\.\.0",
        r"plane 2 +samples -97\.\.0",
        r"plane 3 +9 everywhere",
    ):
        assert re.search(line, text), (line, text)
    assert json.loads(run("info", "--json", path))["details"] == {
        "colour_transform": "red difference",
        "contexts": 7,
        "tiles": 1,
        "prior": [],
        "planes": [
            {"lowest": 0, "highest": 195, "scale": 0},
            {"lowest": -195, "highest": 0, "scale": 0},
            {"lowest": -97, "highest": 0, "scale": 0},
            {"lowest": 9, "highest": 9, "scale": 0},
        ],
    }
    assert "contexts" not in run("info", "--header", path)
    deep = np.tile(np.arange(40, dtype=np.uint16) * np.uint16(300), (30, 1))
    path.write_bytes(softcomp_codec.encode(deep, effort=9, coder="context"))
    text = run("info", path)
    assert "samples 0..11700, in units of 16" in text
    assert "15 a decision" in text
    assert "colour transform" not in text
    data = softcomp_codec.encode(deep)
    path.write_bytes(data[: softcomp_codec.read_header(data).payload_offset + 1])
    assert "payload, byte 1" in run("info", path, code=1)


def test_files_of_the_tiny_coder(tmp_path):
    tiny = tiny_codebook(12)
    tiny.save(tmp_path / "tiny.scfb")
    path = tmp_path / "figure.scf"
    array = figure(12, 12, 5001)
    path.write_bytes(softcomp_codec.encode(array, codebook=tiny, coder="tiny"))
    facts = json.loads(run("info", "--json", path))
    assert facts["coder"] == "tiny"
    assert facts["details"] == {"code_bytes": facts["payload_bytes"], "adaptive": False}
    assert "by the codebook's frozen tables" in " ".join(run("info", path).split())
    text = run("explain", path, code=1)
    assert "files of the tiny coder cannot be explained" in " ".join(text.split())
    assert "known states" in run("codebook", "show", tmp_path / "tiny.scfb")


@pytest.mark.parametrize("coder", ["auto", "context", "shapes"])
def test_encode_with_a_coder(coder, tmp_path):
    path = tmp_path / "a.png"
    array = np.tile(np.arange(40, dtype=np.uint8), (30, 1))
    Image.fromarray(array).save(path)
    run("encode", "--coder", coder, path)
    data = path.with_suffix(".scf").read_bytes()
    assert data == softcomp_codec.encode(array, coder=coder)
    if coder != "auto":
        assert json.loads(run("info", "--json", path.with_suffix(".scf")))["coder"] == coder


def test_encode_with_a_coder_that_there_is_not(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(path)
    text = run("encode", "--coder", "stored", path, code=2)
    assert (
        "expected one of auto, bilevel, context, few-colour, jpeg-past, pixels, shapes, tiny"
        in " ".join(text.replace("│", " ").split())
    )
    assert not path.with_suffix(".scf").exists()


def test_info_indicator_of_planes_image_and_set(coded, book, book_file, tmp_path):
    facts = json.loads(run("info", "--json", "--indicator", "--codebook", book_file, coded))
    plane, image = facts["indicator"]["planes"][0], facts["indicator"]["image"]
    assert plane == image
    assert plane["placements"] == facts["details"]["planes"][0]["shapes"]
    assert (
        plane["location_bits"] + plane["codeword_bits"]
        == (facts["details"]["planes"][0]["shape_bits"])
    )
    saved = plane["bits_without_shapes"] - plane["codeword_bits"]
    assert plane["indicator"] == round(saved / plane["placements"], 3)
    assert plane["pays"] == (plane["location_cost"] < plane["indicator"])
    text = run("info", "--indicator", "--codebook", book_file, coded, coded)
    assert "shapes pay" in text
    assert "all 2 files" in text
    twice = run("info", "--indicator", "--json", "--codebook", book_file, coded, coded)
    assert json.loads(twice.splitlines()[-1])["set"]["placements"] == 2 * plane["placements"]


def test_info_indicator_where_there_are_no_shapes(coded, tmp_path):
    assert "MISSING" not in run("info", "--indicator", coded, code=1)
    colours = tmp_path / "colours.scf"
    colours.write_bytes(softcomp_codec.encode(np.zeros((30, 40, 3), np.uint8), coder="context"))
    assert "none: no shapes coder wrote it" in run("info", "--indicator", colours)
    colours.write_bytes(softcomp_codec.encode(np.zeros((30, 40, 3), np.uint8), coder="shapes"))
    text = run("info", "--indicator", colours)
    assert "indicator, plane 2" in text
    assert "no shapes: the codebook has none here" in text
    colours.write_bytes(softcomp_codec.encode(np.zeros((1, 1), np.uint8)))
    assert "none: no shapes coder wrote it" in run("info", "--indicator", colours)


def test_info_sees_the_embedded_codebook(digit, book, tmp_path):
    path = tmp_path / "a.scf"
    with Image.open(digit) as image:
        path.write_bytes(softcomp_codec.encode(image, codebook=book, embed_codebook=True))
    assert "embedded in the file" in run("info", path)


def test_info_of_other_files(coded, book_file, tmp_path):
    text = run("info", list_samples()["digit-2"], tmp_path / "none.scf", book_file, coded, code=1)
    assert "not an .scf file" in text
    assert "No such file" in text
    assert "scf codebook show" in text
    assert "28 x 28" in text


def test_info_looks_where_decoding_looks(tmp_path, monkeypatch):
    monkeypatch.setenv("SOFTCOMP_CODEBOOK_PATH", os.pathsep.join(["one", "", "two"]))
    source = tmp_path / "a.scf"
    places = list(codebook_files.places(source))
    assert places[0][0] == "bundled"
    assert places[1:] == list(codebook_store._folders(str(source)))


# ---- verify --------------------------------------------------------------------------------------


def test_verify_whole_files_and_folders(coded, book_file):
    plain = coded.parent / "deep" / "plain.scf"
    plain.parent.mkdir()
    plain.write_bytes(softcomp_codec.encode(np.zeros((9, 9), np.uint8)))
    text = run("verify", coded.parent, "--codebook", book_file)
    assert "2 pictures verified" in text
    assert f"{coded}: ok (picture and file check)" in text
    assert f"{plain}: ok" in text


def test_verify_finds_damage(coded, book_file, tmp_path):
    plain = tmp_path / "plain.scf"
    plain.write_bytes(softcomp_codec.encode(np.arange(256, dtype=np.uint8).reshape(16, 16)))
    whole = plain.read_bytes()
    for data in (whole[:-1], whole[:5], b"", whole + b"\0", whole[:8] + b"\xff" + whole[9:]):
        plain.write_bytes(data)
        assert "1 DAMAGED" in run("verify", plain, code=1)
    damage(coded)
    assert "file check" in run("verify", coded, code=1)
    assert "1 DAMAGED" in run("verify", coded, "--codebook", book_file, code=1)


def test_verify_without_the_codebook(coded, book, digit):
    text = run("verify", coded)
    assert "file check ok, picture not checked" in text
    assert "1 by the file check only" in text
    with Image.open(digit) as image:
        coded.write_bytes(softcomp_codec.encode(image, codebook=book))
    text = run("verify", coded, code=1)
    assert "NOT CHECKED" in text
    assert "1 not checked" in text


def test_verify_a_missing_file(tmp_path):
    assert "No such file" in run("verify", tmp_path / "none.scf", code=1)


# ---- train and codebook --------------------------------------------------------------------------


def test_train_on_a_folder(tmp_path):
    folder = tmp_path / "set"
    (folder / "deep").mkdir(parents=True)
    for name in ("digit-2", "digit-3"):
        shutil.copy(list_samples()[name], folder)
    shutil.copy(list_samples()["digit-7"], folder / "deep")
    (folder / "notes.txt").write_text("no picture")
    Image.new("RGBA", (4, 4)).save(folder / "alpha.png")
    Image.new("I;16", (4, 4)).save(folder / "deep.png")
    Image.new("CMYK", (4, 4)).save(folder / "print.tif")
    target = tmp_path / "few.scfb"
    text = run("train", folder, "-o", target, "--holdout", 0.34, "-j", 2)
    assert "left out" in text
    assert "notes.txt: no picture by name" in text
    assert "print.tif: mode CMYK is not trained on" in text
    assert "trained on 5 images" in " ".join(text.split())
    assert "held out 1 image" in " ".join(text.split())
    book = softcomp_codec.load_codebook(target)
    assert book.name == "few"
    assert book.kinds == ("bilevel",)
    again = tmp_path / "again.scfb"
    run("train", folder, "-o", again, "--holdout", 0.34, "-j", 1, "--name", "few")
    assert again.read_bytes() == target.read_bytes()


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["gzip", "plain"])
def test_train_on_idx_files(pack, tmp_path):
    digits = np.stack([np.asarray(Image.open(list_samples()[f"digit-{n}"])) for n in (5, 8)])
    images = tmp_path / "images-idx3-ubyte"
    images.write_bytes(pack(struct.pack(">IIII", 0x803, 2, 28, 28) + digits.tobytes()))
    labels = tmp_path / "labels-idx1-ubyte"
    labels.write_bytes(pack(struct.pack(">II", 0x801, 2) + b"\5\10"))
    target = tmp_path / "b.scfb"
    text = run("train", tmp_path, "-o", target, "--threshold", 127, "--holdout", 0)
    assert "trained on 2 images" in " ".join(text.split())
    assert "labels-idx1-ubyte: no picture" in text
    assert softcomp_codec.load_codebook(target).kinds == ("bilevel",)


def test_train_leaves_out_damaged_idx_files(tmp_path):
    whole = struct.pack(">IIII", 0x803, 2, 3, 3) + bytes(18)
    for number, data in enumerate(
        (whole[:-1], whole + b"\0", whole[:9], gzip.compress(whole)[:-9], whole[:4] + bytes(12))
    ):
        (tmp_path / f"{number}.idx").write_bytes(data)
    text = run("train", tmp_path, "-o", tmp_path / "b.scfb", code=1)
    assert text.count("left out") == 5
    assert text.count("idx file: ") == 5
    assert "no picture to train on" in text


def test_train_refuses_before_it_works(digit, book_file):
    before = book_file.read_bytes()
    assert "exists already" in run("train", digit, "-o", book_file, code=1)
    assert "named .scfb" in run("train", digit, "-o", digit.with_suffix(".book"), code=2)
    assert "no such folder" in run("train", "nowhere", "-o", digit.with_suffix(".scfb"), code=1)
    run("train", digit, "-o", digit.with_suffix(".scfb"), "--holdout", 0.9, code=2)
    assert "64" in run("train", digit, "-o", digit.with_suffix(".scfb"), "--name", "x" * 65, code=1)
    assert book_file.read_bytes() == before
    assert not digit.with_suffix(".scfb").exists()


def test_codebook_list(book, book_file, monkeypatch):
    monkeypatch.setenv("SOFTCOMP_CODEBOOK_PATH", str(book_file.parent))
    assert "twos" in run("codebook", "list")
    listed = [json.loads(line) for line in run("codebook", "list", "--json").splitlines()]
    mine = next(each for each in listed if each["name"] == "twos")
    assert mine["id"] == book.identifier.hex()
    assert mine["origin"] == "$SOFTCOMP_CODEBOOK_PATH"
    assert mine["path"] == str(book_file)


def test_codebook_show(book, book_file, monkeypatch):
    text = run("codebook", "show", book_file)
    assert book.identifier.hex() in text
    assert "trained on 25 images" in " ".join(text.split())
    assert "a location costs" in text
    assert "bytes, round by round" in text
    monkeypatch.setenv("SOFTCOMP_CODEBOOK_PATH", str(book_file.parent))
    facts = json.loads(run("codebook", "show", "twos", "--json"))
    assert facts["record"] == book.record
    assert facts["kinds"]["bilevel"][0]["shapes"] == book.planes_of("bilevel")[0].n_shapes
    assert json.loads(run("codebook", "show", facts["id"][:12], "--json")) == facts


@pytest.mark.parametrize(
    "planes", [5, {"bilevel": 5}, {"bilevel": {"splits": [], "without_shapes_bits": 1}},
               {"bilevel": {"splits": {"0": {}}, "without_shapes_bits": "x", "round_bits": [[]]}},
               {"bilevel": {"splits": {"0": 3}, "without_shapes_bits": 1, "round_bits": 7}}]
)  # fmt: skip
def test_codebook_show_of_another_trainers_record(planes, book, tmp_path):
    path = tmp_path / "other.scfb"
    softcomp_codec.Codebook({**book.record, "planes": planes}, book.parts).save(path)
    text = run("codebook", "show", path)
    assert "a location costs" not in text
    assert "trained on" in text


def test_codebook_show_of_what_is_none(digit):
    assert "'nonesuch'" in run("codebook", "show", "nonesuch", code=1)
    assert "not a codebook" in run("codebook", "show", digit, code=1)


# ---- warmup and demo -----------------------------------------------------------------------------


def test_warmup_says_how_long_it_took():
    assert "all kernels are ready" in run("warmup")


@compiled
def test_demo_in_a_process_of_its_own():
    out, _ = run_process("demo")
    lines = out.splitlines()
    for name in list_samples():
        assert any(line.split()[0] == name for line in lines)
    assert "total" in lines[-2]
    assert lines[-1] == "Pillow and imageio both returned the exact pixels of every sample."


@pytest.mark.parametrize("library", ["Pillow", "imageio"])
def test_demo_fails_if_a_pixel_differs(library, monkeypatch):
    def trial(name, path, folder):
        same = {"Pillow": True, "imageio": True, library: False}
        return demo.Trial(name, "L", "1 x 1", 1, 1, 1, "stored", same["Pillow"], same["imageio"])

    monkeypatch.setattr(demo, "note_compiling", lambda: False)
    monkeypatch.setattr(demo, "try_sample", trial)
    text = run("demo", code=1)
    assert f"{library} did not return the exact pixels" in text
    assert "both returned" not in text


@compiled
def test_the_first_run_says_that_it_compiles(monkeypatch, tmp_path):
    monkeypatch.setattr("softcomp_codec.kernels.jit.has_compiled_kernels", lambda: False)
    assert "scf: compiling kernels, once" in run("warmup")


@compiled
@pytest.mark.parametrize("code", ["raise SystemExit(3)", "import time; time.sleep(99)", "print(1)"])
def test_the_second_process_may_end_as_it_likes(code, capfd):
    begun = time.monotonic()
    with warmup.helping(code, wanted=True):
        pass
    assert time.monotonic() - begun < 30
    assert capfd.readouterr() == ("", "")


@compiled
def test_there_is_no_second_process_unless_it_helps(monkeypatch):
    monkeypatch.setattr(warmup.subprocess, "Popen", None)
    with warmup.helping("", wanted=False):
        pass
    monkeypatch.setattr(warmup.os, "cpu_count", lambda: 1)
    with warmup.helping("", wanted=True):
        pass
    monkeypatch.setattr(warmup.os, "cpu_count", lambda: 2)
    monkeypatch.setattr("softcomp_codec.kernels.jit.cache_folder", lambda: None)
    with warmup.helping("", wanted=True):
        pass


@compiled
def test_the_samples_backwards():
    demo.code_backwards()


# ---- What is printed -----------------------------------------------------------------------------


def test_printable_escapes_controls_only():
    assert console.printable("a b\nÄ\x1b[0m\x07") == "a b\nÄ\\x1b[0m\\x07"


def test_errors_without_text_still_say_something():
    assert console.describe_error(ValueError()) == "ValueError"
    assert console.describe_error(KeyError("x")) == "KeyError: 'x'"
    assert console.describe_error(FileNotFoundError(2, "No such file", "a")) == "a: No such file"


def test_tables_are_not_cut_where_piped(capsys):
    console.print_table([("name", "left"), ("n", "right")], [("x" * 500, "1")])
    out = capsys.readouterr().out
    assert "x" * 500 in out
    assert all(line == line.rstrip() for line in out.splitlines())


# ---- frames --------------------------------------------------------------------------------------


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
