"""``scf train`` and ``scf codebook``."""

import gzip
import json
import shutil
import struct

import numpy as np
import pytest
from cli_commands import run
from PIL import Image

import softcomp_codec
from softcomp_codec.samples import list_samples

pytestmark = pytest.mark.usefixtures("nothing_of_the_user")


def test_train_on_a_folder(tmp_path):
    folder = tmp_path / "set"
    (folder / "deep").mkdir(parents=True)
    for name in ("digit-2", "digit-3"):
        shutil.copy(list_samples()[name], folder)
    shutil.copy(list_samples()["digit-7"], folder / "deep")
    (folder / "notes.txt").write_text("no picture")
    Image.frombytes("RGBA", (4, 4), bytes(range(64))).save(folder / "alpha.png")
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
