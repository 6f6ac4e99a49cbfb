"""``scf decode``: formats, parts of pictures, codebooks and damage."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_commands import damage, pixels, pixels_of, run
from PIL import Image, features

import softcomp_codec
from softcomp_codec.samples import list_samples

pytestmark = pytest.mark.usefixtures("nothing_of_the_user")


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
