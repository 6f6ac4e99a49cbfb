"""``scf encode``: where it writes, what it refuses and what it says."""

import io
import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_commands import pixels, run, write_deep_png
from PIL import Image

import softcomp_codec
from softcomp_codec.samples import list_samples

pytestmark = pytest.mark.usefixtures("nothing_of_the_user")


def write_premultiplied_tiff(path):
    """Write an RGBA TIFF whose ExtraSamples say that alpha is multiplied into the colours."""
    stream = io.BytesIO()
    Image.new("RGBA", (4, 4), (9, 8, 7, 6)).save(stream, "TIFF")
    tag = struct.pack("<HHII", 338, 3, 1, 2)
    data = stream.getvalue()
    assert data.count(tag) == 1
    path.write_bytes(data.replace(tag, struct.pack("<HHII", 338, 3, 1, 1)))


def write_with_iptc(path):
    """Write a JPEG with a Photoshop block, which .scf has no place for, and EXIF."""
    exif = Image.Exif()
    exif[0x010E] = "a digit"
    stream = io.BytesIO()
    Image.new("L", (8, 8), 3).save(stream, "JPEG", exif=exif)
    block = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x04abcd"
    data = stream.getvalue()
    path.write_bytes(data[:2] + b"\xff\xed" + struct.pack(">H", len(block) + 2) + block + data[2:])


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
