"""The reference settings from end to end: training, files, Pillow, the command line."""

import io
from dataclasses import replace

import numpy as np
import pytest
from made_images import image
from PIL import Image
from typer.testing import CliRunner

import softcomp_codec
from softcomp_codec import container
from softcomp_codec.cli.app import build_app
from softcomp_codec.errors import CorruptStreamError, ScfError
from softcomp_codec.reference_training import ReferenceOptions
from softcomp_codec.training import TrainingOptions

KINDS = ("bilevel", "gray8", "rgb8")


def pictures(kind, count=6):
    return [image(kind, 24, 20 + index % 3, seed=index) for index in range(count)]


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def book(kind):
    return softcomp_codec.train(pictures(kind), name=f"ref-{kind}", settings="reference")


def test_files_come_back(kind, book):
    for picture in pictures(kind):
        data = softcomp_codec.encode(picture, codebook=book)
        header = softcomp_codec.read_header(data)
        assert header.coder == container.REFERENCE
        assert header.codebook_reference == book.identifier[:4]
        again = softcomp_codec.decode(data, codebooks=[book])
        assert again.dtype == picture.dtype
        assert np.array_equal(again, picture)


def test_a_codebook_comes_back(kind, book, tmp_path):
    path = tmp_path / "book.scfb"
    book.save(path)
    again = softcomp_codec.Codebook.load(path)
    assert again.identifier == book.identifier
    assert again.kinds == (kind,)
    assert again.planes_of(kind) == ()
    assert again.record["settings"] == "reference"
    assert again.record["report"]["images"] == 1


def test_the_order_of_images_and_threads_do_not_matter(kind, book):
    shuffled = pictures(kind)[::-1]
    again = softcomp_codec.train(shuffled, name=book.name, settings="reference", workers=2)
    assert again.identifier == book.identifier


def test_through_pillow_with_the_codebook_embedded(kind, book):
    picture = Image.fromarray(pictures(kind)[0])
    stream = io.BytesIO()
    picture.save(stream, "SCF", codebook=book, embed_codebook=True)
    with Image.open(stream) as again:
        assert again.tobytes() == picture.tobytes()


def test_frames_noise_included(kind, book):
    arrays = [array[:24, :20] for array in pictures(kind, 2)]
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 2 if kind == "bilevel" else 256, arrays[0].shape)
    arrays.insert(1, noise.astype(arrays[0].dtype))
    data = softcomp_codec.encode_frames(arrays, codebook=book)
    coders = {frame.coder for frame in softcomp_codec.read_header(data).frames}
    assert container.REFERENCE in coders
    again = softcomp_codec.decode_frames(data, codebooks=[book])
    assert all(np.array_equal(a, b) for a, b in zip(arrays, again, strict=True))


def test_damage_is_noticed(kind, book):
    picture = pictures(kind)[0]
    data = softcomp_codec.encode(picture, codebook=book)
    start = softcomp_codec.read_header(data).payload_offset
    for position in range(start, len(data)):
        for bit in (1, 128):
            damaged = bytearray(data)
            damaged[position] ^= bit
            try:
                found = softcomp_codec.decode(bytes(damaged), codebooks=[book])
            except ScfError:
                continue
            assert np.array_equal(found, picture)
        with pytest.raises(ScfError):
            softcomp_codec.decode(data[:position], codebooks=[book])


def test_a_codebook_without_reference_part(kind, book):
    default = softcomp_codec.train(pictures(kind, 2), name="default", holdout=0)
    data = softcomp_codec.encode(pictures(kind)[0], codebook=book)
    header, payload = container.read_file(data)
    wrong = replace(header, codebook_reference=default.identifier[:4])
    with pytest.raises(CorruptStreamError, match=r"no part for .* by the reference coder"):
        softcomp_codec.decode(container.write_file(wrong, payload), codebooks=[default])
    none = replace(header, codebook_reference=b"")
    with pytest.raises(CorruptStreamError, match="the reference coder needs a codebook"):
        softcomp_codec.decode(container.write_file(none, payload))


@pytest.mark.parametrize("scheme_id", [2, 3])
def test_both_modes_of_colour_images(scheme_id):
    book = softcomp_codec.train(
        pictures("rgb8"),
        name="mode",
        holdout=0,
        settings="reference",
        options=ReferenceOptions(scheme_id=scheme_id),
    )
    assert book.reference[2].scheme_id == scheme_id
    picture = pictures("rgb8")[1]
    data = softcomp_codec.encode(picture, codebook=book)
    assert np.array_equal(softcomp_codec.decode(data, codebooks=[book]), picture)


def test_options_must_belong_to_the_settings():
    with pytest.raises(ValueError, match="settings is 'published'"):
        softcomp_codec.train(pictures("gray8"), name="x", settings="published")
    with pytest.raises(TypeError, match="TrainingOptions does not belong to the reference"):
        softcomp_codec.train(
            pictures("gray8"), name="x", settings="reference", options=TrainingOptions()
        )


def test_on_the_command_line(kind, book, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, picture in enumerate(pictures(kind)):
        Image.fromarray(picture).save(folder / f"{index}.png")

    def run(*arguments):
        result = CliRunner().invoke(build_app(), [str(each) for each in arguments])
        assert result.exit_code == 0, result.output
        return result.output

    path = tmp_path / "ref.scfb"
    run("train", folder, "-o", path, "--name", book.name, "--settings", "reference")
    assert softcomp_codec.Codebook.load(path).identifier == book.identifier
    assert "reference settings" in run("codebook", "show", path)
    coded = tmp_path / "0.scf"
    run("encode", folder / "0.png", "-o", coded, "--codebook", path)
    assert "reference" in run("info", "--codebook", path, coded)
    run("verify", "--codebook", path, coded)
