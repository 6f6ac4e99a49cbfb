"""The decoder written from SPEC.md alone reads the sets that the package writes."""

import numpy as np
import pytest
import reference_decoder_sets as reference
from made_images import colours, figure, glyphs, noise, slope
from PIL import Image
from reference_decoder_numbers import SpecError
from small_codebooks import small_codebook, tiny_codebook

import softcomp_codec
from softcomp_codec import planes
from softcomp_codec.encoder import as_picture


def images():
    """Groups, single images, a palette; of several modes."""
    return [
        *(figure(9, 9, seed) for seed in range(18)),
        *(glyphs(10, 9, seed) for seed in range(3)),
        noise((9, 9)).astype(np.uint8),
        slope(40, 30),
        colours(12, 11),
        colours(12, 11, 5),
        Image.fromarray(colours(20, 20)).quantize(5),
    ]


def samples_of(image):
    picture = as_picture(image)
    return planes.canonical_samples(picture.array, picture.mode)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("book", [None, "tiny", "shapes"])
def test_sets(tmp_path, named, book):
    given = images()
    names = [f"folder/{index:03}.png" for index in range(len(given))] if named else None
    codebook = {"tiny": tiny_codebook(9), "shapes": small_codebook("bilevel"), None: None}[book]
    path = tmp_path / "set.scf"
    softcomp_codec.write_set(path, given, names=names, codebook=codebook)
    found = reference.decode_set(path.read_bytes())
    assert [name for name, _ in found] == (names or [str(index) for index in range(len(given))])
    assert [frames[0].samples for _, frames in found] == [samples_of(image) for image in given]
    with softcomp_codec.SetWriter(path, append=True, codebook=None) as writer:
        writer.add_frames([slope(20, 20, 1), slope(20, 20, 2)], "stack")
    name, frames = reference.decode_set(path.read_bytes())[-1]
    assert name == "stack"
    assert [frame.samples for frame in frames] == [slope(20, 20, s).tobytes() for s in (1, 2)]


def test_codebooks_that_are_referred_to(tmp_path):
    book = tiny_codebook(9)
    path = tmp_path / "set.scf"
    given = [figure(9, 9, seed) for seed in range(7)]
    softcomp_codec.write_set(path, given, codebook=book, embed_codebook=False)
    with pytest.raises(SpecError, match="not there"):
        reference.decode_set(path.read_bytes())
    found = reference.decode_set(path.read_bytes(), [book.to_bytes()])
    assert [frames[0].samples for _, frames in found] == [image.tobytes() for image in given]


def test_damaged_and_cut_sets_are_refused(tmp_path):
    path = tmp_path / "set.scf"
    given = [figure(6, 6, seed) for seed in range(3)]
    softcomp_codec.write_set(path, given, names="abc", codebook=None)
    data = path.read_bytes()
    for end in range(len(data)):
        with pytest.raises(SpecError):
            reference.decode_set(data[:end])
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(SpecError):
            reference.decode_set(bytes(flipped))
