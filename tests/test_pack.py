"""``scf pack`` and ``unpack``, and what ``info`` and ``verify`` say about sets."""

import gzip
import json
import shutil
import struct

import numpy as np
import pytest
from cli_commands import pixels, run
from made_images import colours, figure, glyphs, slope
from PIL import Image
from small_codebooks import tiny_codebook

import softcomp_codec


@pytest.fixture
def folder(tmp_path):
    """A folder of pictures, one folder in it, and a text."""
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    for seed in range(5):
        Image.fromarray(figure(9, 9, seed)).save(folder / f"{seed}.png")
    Image.fromarray(colours(20, 30)).save(folder / "sub" / "a.png")
    Image.fromarray(glyphs(20, 30)).save(folder / "sub" / "b.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def packed(folder, tmp_path):
    run("pack", folder, "-o", tmp_path / "set.scf", "--codebook", "none")
    return tmp_path / "set.scf"


NAMES = ["0.png", "1.png", "2.png", "3.png", "4.png", "sub/a.png", "sub/b.png"]


def test_packing_a_folder(folder, tmp_path):
    target = tmp_path / "set.scf"
    said = run("pack", folder, "-o", target, "--codebook", "none", "-j", 2)
    assert f"7 images packed into {target}: 2,285 raw bytes" in said
    assert "1 file in the folders left alone" in said
    with softcomp_codec.open_set(target) as images:
        assert images.names == NAMES
        assert images["sub/a.png"].tobytes() == colours(20, 30).tobytes()
    assert "exists already" in run("pack", folder, "-o", target, code=1)
    run("pack", folder, "-o", target, "--force", "--codebook", "none")


@pytest.mark.parametrize("suffix", ["png", "tif", "npy", "scf"])
def test_unpacking(folder, packed, tmp_path, suffix):
    out = tmp_path / "out"
    said = run("unpack", packed, "-o", out, "--format", suffix)
    assert f"7 images unpacked to {out}" in said
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))
    assert found == [name.replace("png", suffix) for name in NAMES]
    for name in NAMES:
        path = out / name.replace("png", suffix)
        if suffix == "npy":
            assert np.array_equal(np.load(path), np.asarray(Image.open(folder / name)))
        else:
            assert pixels(path) == pixels(folder / name)
    assert "would be replaced" in run("unpack", packed, "-o", out, "--format", suffix, code=1)
    run("unpack", packed, "-o", out, "--format", suffix, "--force")


def test_unpacking_some(packed, tmp_path):
    run("unpack", packed, "-o", tmp_path / "out", "--only", "sub/a.png")
    assert [path.name for path in (tmp_path / "out").rglob("*.scf")] == ["a.scf"]
    assert "no image 'c'" in run("unpack", packed, "-o", tmp_path / "o", "--only", "c", code=1)
    assert "no set" in run("unpack", tmp_path / "out/sub/a.scf", "-o", tmp_path / "o", code=1)
    run("unpack", packed, "-o", tmp_path / "o", "--format", "jpg", code=2)


def test_equal_stems_keep_their_suffix(tmp_path):
    path = tmp_path / "set.scf"
    softcomp_codec.write_set(
        path, [slope(9, 9)] * 4, names=["a.png", "a.jpg", "A.b", "b.2"], codebook=None
    )
    run("unpack", path, "-o", tmp_path / "out")
    found = {each.name for each in (tmp_path / "out").iterdir()}
    assert found == {"a.png.scf", "a.jpg.scf", "A.b.scf", "b.2.scf"}
    clash = tmp_path / "clash.scf"
    softcomp_codec.write_set(clash, [slope(9, 9)] * 2, names=["a", "A"], codebook=None)
    assert "both become" in run("unpack", clash, "-o", tmp_path / "none", code=1)
    assert not (tmp_path / "none").exists()


def test_nothing_is_written_through_a_link(packed, tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "sub").symlink_to(elsewhere)
    assert "outside" in run("unpack", packed, "-o", out, code=1)
    assert list(elsewhere.iterdir()) == []
    assert [path.name for path in out.iterdir()] == ["sub"]


def test_a_private_codebook_goes_along(tmp_path, empty_store):
    book, folder = tmp_path / "mine.scfb", tmp_path / "pictures"
    tiny_codebook(9).save(book)
    folder.mkdir()
    for seed in range(3):
        Image.fromarray(figure(9, 9, seed)).save(folder / f"{seed}.png")
    said = run("pack", folder, "-o", tmp_path / "set.scf", "--codebook", book)
    assert "its codebook is in it" in said
    book.unlink()
    said = run("unpack", tmp_path / "set.scf", "-o", tmp_path / "out")
    assert "they need it" in said
    assert pixels(tmp_path / "out" / "2.scf") == pixels(folder / "2.png")
    assert "embedded in the file" in run("info", tmp_path / "set.scf")
    tiny_codebook(9).save(book)
    run("pack", folder, "-o", tmp_path / "refers.scf", "--codebook", book, "--refer")
    assert (tmp_path / "refers.scf").stat().st_size < 200
    book.unlink()
    assert "by the file check only" in run("verify", tmp_path / "refers.scf")


def test_metadata_are_kept_or_refused(folder, tmp_path):
    image = Image.fromarray(slope(20, 20))
    image.save(folder / "dpi.png", dpi=(300, 300), icc_profile=b"profile")
    target = tmp_path / "set.scf"
    run("pack", folder, "-o", target, "--codebook", "none")
    with softcomp_codec.open_set(target) as images:
        assert images["dpi.png"].info["icc_profile"] == b"profile"
    run("unpack", target, "-o", tmp_path / "png", "--format", "png")
    with Image.open(tmp_path / "png" / "dpi.png") as found:
        assert found.info["icc_profile"] == b"profile"
        assert round(found.info["dpi"][0]) == 300
    said = run("unpack", target, "-o", tmp_path / "npy", "--format", "npy", code=1)
    assert "dpi.png" in said
    run("unpack", target, "-o", tmp_path / "npy", "--format", "npy", "-f", "--drop-metadata")
    said = run("pack", folder, "-o", target, "-f", "--codebook", "none", "--drop-metadata")
    assert "ICC profile of 1 picture was dropped" in said
    with softcomp_codec.open_set(target) as images:
        assert "icc_profile" not in images["dpi.png"].info


def test_idx_files(tmp_path):
    digits = np.stack([figure(9, 9, seed) for seed in range(30)])
    idx = tmp_path / "digits.gz"
    idx.write_bytes(gzip.compress(struct.pack(">IIII", 0x803, 30, 9, 9) + digits.tobytes()))
    run("pack", idx, "-o", tmp_path / "set.scf", "--codebook", "none")
    with softcomp_codec.open_set(tmp_path / "set.scf") as images:
        assert images.names[-1] == "29"
        assert np.array_equal(images.read(17), digits[17])
    Image.fromarray(digits[0]).save(tmp_path / "a.png")
    run("pack", idx, tmp_path / "a.png", "-o", tmp_path / "two.scf", "--codebook", "none")
    with softcomp_codec.open_set(tmp_path / "two.scf") as images:
        assert images.names[28:] == ["digits.gz/28", "digits.gz/29", "a.png"]


def test_training_on_the_set_itself(tmp_path, empty_store):
    digits = np.stack([figure(9, 9, seed) for seed in range(60)])
    idx = tmp_path / "digits"
    idx.write_bytes(struct.pack(">IIII", 0x803, 60, 9, 9) + digits.tobytes())
    run("pack", idx, "-o", tmp_path / "set.scf", "--codebook", "train")
    with softcomp_codec.open_set(tmp_path / "set.scf") as images:
        assert images.codebooks()[0].name == "set"
        images.verify()


def test_adding(folder, packed, tmp_path):
    assert "has an image '0.png' already" in run("pack", folder, "-o", packed, "--append", code=1)
    more = tmp_path / "more"
    more.mkdir()
    Image.fromarray(slope(9, 9)).save(more / "new.png")
    said = run("pack", more, "-o", packed, "--append")
    assert "the set has 8 images" in said
    with softcomp_codec.open_set(packed) as images:
        assert images.names == [*NAMES, "new.png"]
    packed.write_bytes(packed.read_bytes()[:-3])
    (more / "new.png").rename(more / "newer.png")
    assert "no index" in run("pack", more, "-o", packed, "--append", code=1)
    run("pack", more, "-o", packed, "--append", "--recover")
    with softcomp_codec.open_set(packed) as images:
        assert images.names == [*NAMES, "new.png", "newer.png"]


def test_what_cannot_be_packed_is_told_and_the_rest_is_packed(folder, tmp_path):
    target = tmp_path / "set.scf"
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:60])
    softcomp_codec.write_set(folder / "set.scf", [slope(9, 9)], codebook=None)
    said = run("pack", folder, "-o", target, "--codebook", "none", code=1)
    assert "cut.png: " in said
    assert "it is a set itself" in said
    assert "7 images packed" in said
    assert "2 failed" in said
    for path in folder.rglob("*.*"):
        if path.name != "cut.png":
            path.unlink()
    assert "nothing was written" in run("pack", folder, "-o", tmp_path / "b.scf", code=1)
    assert not (tmp_path / "b.scf").exists()


def test_equal_names_are_refused_before_anything_is_written(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    said = run("pack", folder, other, "-o", tmp_path / "set.scf", code=1)
    assert "would both be called '0.png'" in said
    assert not (tmp_path / "set.scf").exists()


def test_a_set_in_its_own_folder(folder):
    run("pack", folder, "-o", folder / "set.scf", "--codebook", "none")
    run("pack", folder, "-o", folder / "set.scf", "--force", "--codebook", "none")
    with softcomp_codec.open_set(folder / "set.scf") as images:
        assert images.names == NAMES


@pytest.mark.parametrize(
    "arguments",
    [
        ["-o", "set.png"],
        ["-o", "set.scf", "--recover"],
        ["-o", "set.scf", "--append", "--force"],
        ["-o", "set.scf", "--coder", "none"],
    ],
)
def test_bad_options(folder, arguments):
    run("pack", folder, *arguments, code=2)


def test_info(packed):
    said = run("info", packed)
    for text in ("a set of images", "7 in 3 blocks", "5 of 9 x 9, gray8", "0.png, 1.png"):
        assert text in said
    facts = json.loads(run("info", packed, "--json"))
    assert facts["names"] == NAMES
    assert facts["whole"]
    assert facts["head_bytes"] + facts["block_bytes"] + facts["index_bytes"] == facts["file_bytes"]
    assert facts["file_bytes"] == packed.stat().st_size


def test_cut_and_damaged_sets(packed, tmp_path):
    assert "ok (7 images)" in run("verify", packed)
    data = packed.read_bytes()
    packed.write_bytes(data[:-20])
    assert "NOT WHOLE" in run("info", packed)
    assert json.loads(run("info", packed, "--json"))["whole"] is False
    assert "can be had by scf unpack --recover" in run("verify", packed, code=1)
    assert "--recover gives what is whole" in run("unpack", packed, "-o", tmp_path / "o", code=1)
    said = run("unpack", packed, "-o", tmp_path / "o", "--recover", code=1)
    assert "images unpacked" in said
    assert "the set was NOT WHOLE" in said
    packed.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    assert "has checksum" in run("verify", packed, code=1)


def test_other_commands_say_what_to_do(packed, tmp_path):
    assert "scf unpack" in run("decode", packed, "-o", tmp_path / "x.png", code=1)
