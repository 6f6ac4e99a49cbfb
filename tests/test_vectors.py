"""The frozen files: all are there, decode for ever, or give the error that they must give."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference_decoder
import reference_decoder_metadata
import reference_decoder_sets

import softcomp_codec
from softcomp_codec import container, planes, sample_map
from softcomp_codec.codebook import Codebook
from softcomp_codec.errors import (
    CodebookError,
    CodebookNotFoundError,
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from softcomp_codec.metadata import Metadata

VECTORS = Path(__file__).parent / "vectors"
sys.path.insert(0, str(VECTORS))

import make_vectors  # noqa: E402

FROZEN = dict(
    reversed(line.split("  "))
    for line in (VECTORS / "hashes.txt").read_text(encoding="utf-8").splitlines()
)
SETS = sorted(path for path in FROZEN if path.startswith("sets/") and path.endswith(".scf"))
VALID = sorted(path for path in FROZEN if path.startswith("valid/") and path.endswith(".scf"))
REGRESSIONS = sorted(path for path in FROZEN if path.startswith("regressions/"))

INVALID = {
    # name: (error, what its message says)
    "book-compression-2.scfb": (UnsupportedStreamError, "version 0, compression 2"),
    "book-content-truncated.scfb": (TruncatedStreamError, "section 2 needs"),
    "book-id-wrong.scfb": (CorruptStreamError, "its content has ID .* the file says 0000"),
    "book-length-too-large.scfb": (CorruptStreamError, "serialised length is 134217728"),
    "book-record-twice.scfb": (CorruptStreamError, "not in its canonical form"),
    "book-record-with-spaces.scfb": (CorruptStreamError, "not in its canonical form"),
    "book-section-ancillary.scfb": (CorruptStreamError, "section 128 is reserved"),
    "book-section-unknown.scfb": (UnsupportedStreamError, "critical section 127 is unknown"),
    "book-truncated.scfb": (TruncatedStreamError, "bytes of content, expected"),
    "book-version-1.scfb": (UnsupportedStreamError, "version 1, compression 0"),
    "book-without-record.scfb": (CorruptStreamError, "training record and a part are needed"),
    "book-xz-damaged.scfb": (CorruptStreamError, "compressed data are damaged"),
    "checksum-of-colours-wrong.scf": (CorruptStreamError, "checksum of the decoded picture"),
    "checksum-wrong.scf": (CorruptStreamError, "checksum of the decoded picture"),
    "codebook-embedded-another.scf": (CodebookError, "embedded codebook has ID .* refers to"),
    "codebook-embedded-damaged.scf": (TruncatedStreamError, "codebook: .* bytes of content"),
    "codebook-of-another-kind.scf": (CorruptStreamError, "has no part for gray8"),
    "codebook-unknown.scf": (CodebookNotFoundError, "codebook 6e6f6e65 was not found"),
    "codebook-wrong.scf": (CorruptStreamError, "checksum of the decoded picture"),
    "codeword-of-no-shape.scf": (CorruptStreamError, "no shape has this codeword"),
    "coder-3.scf": (UnsupportedStreamError, r"coder 3 \(bilevel\)"),
    "coder-7.scf": (CorruptStreamError, "coder 7 with number"),
    "component-outside.scf": (CorruptStreamError, "plane 0: a sample is 510"),
    "end-bits-not-zero.scf": (CorruptStreamError, "bit 7: padding bits are not 0"),
    "end-bytes-follow.scf": (CorruptStreamError, "1 bytes follow the last shape"),
    "end-mark-missing.scf": (TruncatedStreamError, "placement 0: the payload ends too early"),
    "file-check-of-three-bytes.scf": (CorruptStreamError, "file check is not 4 bytes"),
    "file-check-second.scf": (CorruptStreamError, "file check is not .* in the first segment"),
    "file-check-wrong.scf": (CorruptStreamError, "do not match its file check"),
    "flag-of-sets.scf": (UnsupportedStreamError, "a set of images"),
    "frames-coder-of-the-first-differs.scf": (CorruptStreamError, "is not the header's"),
    "frames-follow-by-another-coder.scf": (CorruptStreamError, "frame 1 has coder byte 0x22"),
    "frames-follow-nothing.scf": (CorruptStreamError, "frame 0 has coder byte 0x42"),
    "frames-length-wrong.scf": (CorruptStreamError, ""),
    "frames-none.scf": (CorruptStreamError, "first frame is not the header's"),
    "frames-stored-by-the-built-in-prior.scf": (CorruptStreamError, "frame 1 has coder byte 0x01"),
    "frames-too-long.scf": (CorruptStreamError, "1 bytes follow the last frame"),
    "frames-truncated.scf": (TruncatedStreamError, "frame 1 has 46 of 48 bytes"),
    "gap-beyond-the-plane.scf": (CorruptStreamError, "beyond the plane's last cell"),
    "gap-golomb-without-end.scf": (TruncatedStreamError, "the payload ends too early"),
    "gap-truncated.scf": (TruncatedStreamError, "the payload ends too early"),
    "header-truncated.scf": (TruncatedStreamError, "checksum needs 4 bytes, only 2"),
    "height-0.scf": (CorruptStreamError, "height 0 is outside"),
    "magic-foreign.scf": (CorruptStreamError, r"not an \.scf file: it starts with f7 53 44"),
    "magic-of-a-codebook.scf": (CorruptStreamError, r"not an \.scf file: .* f7 53 42"),
    "magic-truncated.scf": (TruncatedStreamError, "magic needs 3 bytes, only 2"),
    "array-in-another-mode.scf": (CorruptStreamError, "1 segments array description in a file of"),
    "array-of-a-mode.scf": (CorruptStreamError, "arrays of rgb8 have mode 2"),
    "array-of-an-unknown-type.scf": (UnsupportedStreamError, "type of samples 12 is unknown"),
    "array-too-long.scf": (CorruptStreamError, "bytes follow its end"),
    "map-of-a-copy-of-itself.scf": (CorruptStreamError, "component 0 is a copy of 0"),
    "map-of-a-ladder-of-integers.scf": (CorruptStreamError, "form 0x13"),
    "map-of-indices.scf": (CorruptStreamError, "a sample map of palette indices"),
    "map-place-without-number.scf": (CorruptStreamError, "the sample map has 2 numbers"),
    "map-too-short.scf": (CorruptStreamError, "gaps needs 1 bytes, only 0 are left"),
    "map-without-planes.scf": (CorruptStreamError, "0 planes of 8 bits"),
    "mode-30.scf": (UnsupportedStreamError, "mode 30 is unknown"),
    "mode-31.scf": (CorruptStreamError, "mode 31 without array description"),
    "mode-12.scf": (CorruptStreamError, "a palette picture without palette"),
    "mode-5-in-a-frame-of-the-shapes-coder.scf": (
        UnsupportedStreamError,
        r"frame 1: coder 1 \(shapes\) does not code gray16",
    ),
    "mode-5.scf": (UnsupportedStreamError, r"coder 1 \(shapes\) does not code gray16"),
    "mode-8-of-the-reference-coder.scf": (
        UnsupportedStreamError,
        r"coder 5 \(reference\) does not code rgba8",
    ),
    "mode-of-another-shape.scf": (CorruptStreamError, "checksum of the decoded picture"),
    "nothing.scf": (CorruptStreamError, "starts with nothing"),
    "padding-bits.scf": (CorruptStreamError, "bit 1: padding bits are not 0"),
    "payload-flipped.scf": (CorruptStreamError, "checksum of the decoded picture"),
    "payload-missing.scf": (TruncatedStreamError, "settings flag needs 1 bits, only 0"),
    "payload-too-long.scf": (CorruptStreamError, "1 bytes follow the end of the code"),
    "payload-truncated.scf": (TruncatedStreamError, "it ends at sample 59 of 63"),
    "sample-outside.scf": (CorruptStreamError, "outside the range of its plane -255"),
    "segment-checksum-wrong.scf": (CorruptStreamError, "segment codebook name has checksum"),
    "segment-codebook-without-reference.scf": (CorruptStreamError, "in a file without codebook"),
    "segment-critical-unknown.scf": (UnsupportedStreamError, "kind 0x42 is unknown"),
    "segment-name-without-codebook.scf": (CorruptStreamError, "in a file without codebook"),
    "segment-tiles.scf": (UnsupportedStreamError, "segment tiles is not built yet"),
    "segment-too-long.scf": (CorruptStreamError, "length of segment codebook name is 2147483648"),
    "segments-truncated.scf": (TruncatedStreamError, "checksum of segment codebook name needs"),
    "settings-nine-low-bits.scf": (CorruptStreamError, "predictor 1 with 9 low bits"),
    "settings-predictor-3.scf": (CorruptStreamError, "predictor 3"),
    "settings-truncated.scf": (TruncatedStreamError, "gap parameter needs 10 bits, only 1"),
    "shape-contradicts.scf": (CorruptStreamError, "placement 1: .* contradicts"),
    "shape-outside-below.scf": (CorruptStreamError, "a shape reaches outside the plane"),
    "shape-outside-right.scf": (CorruptStreamError, "a shape reaches outside the plane"),
    "shape-value-too-large.scf": (CorruptStreamError, "placement 0: .* too large"),
    "size-of-terabytes.scf": (UnsupportedStreamError, "this program's limit"),
    "stored-gray16-of-the-other-byte-order.scf": (
        CorruptStreamError,
        "checksum of the decoded picture",
    ),
    "stored-gray16-too-short.scf": (TruncatedStreamError, "17 bytes, expected 18"),
    "stored-padding-bits.scf": (CorruptStreamError, "padding bits of a bilevel row"),
    "stored-too-long.scf": (CorruptStreamError, "1 bytes follow the picture"),
    "stored-too-short.scf": (TruncatedStreamError, "3 bytes, expected 4"),
    "stored-with-reference.scf": (CorruptStreamError, "must not refer to a codebook"),
    "context-summed-3.scf": (CorruptStreamError, "log-odds of 3 contexts .* expected 4..12"),
    "context-summed-13.scf": (CorruptStreamError, "log-odds of 13 contexts .* expected 4..12"),
    "transform-3.scf": (CorruptStreamError, "colour transform 3 is unknown"),
    "tiles-check-wrong.scf": (CorruptStreamError, "tile 1: its samples have check"),
    "tiles-too-long.scf": (CorruptStreamError, "1 bytes follow the last tile"),
    "tiles-too-short.scf": (TruncatedStreamError, "tile length needs 1 bytes"),
    "version-1.scf": (UnsupportedStreamError, "format version 1"),
    "version-15.scf": (UnsupportedStreamError, "format version 15"),
    "width-0.scf": (CorruptStreamError, "width 0 is outside"),
    "width-not-shortest.scf": (CorruptStreamError, "width is not in its shortest form"),
    "width-of-ten-bytes.scf": (CorruptStreamError, "width is "),
    "width-one-more.scf": (CorruptStreamError, ""),
    "width-too-large.scf": (CorruptStreamError, "width is 2147483648, expected at most"),
}


@pytest.fixture(scope="module")
def vector_books():
    return [Codebook.load(path) for path in sorted((VECTORS / "books").glob("*.scfb"))]


# --- nothing is missing, nothing was changed ----------------------------------------------------


def test_the_list_is_complete():
    found = {
        path.relative_to(VECTORS).as_posix()
        for folder in ("books", "valid", "sets", "invalid", "regressions")
        for path in (VECTORS / folder).iterdir()
    }
    assert found == set(FROZEN)
    assert {path.removeprefix("invalid/") for path in found if path.startswith("invalid/")} \
        == set(INVALID)  # fmt: skip
    assert len(VALID) >= 14


@pytest.mark.parametrize("path", FROZEN)
def test_files_are_frozen(path):
    assert hashlib.sha256((VECTORS / path).read_bytes()).hexdigest() == FROZEN[path]


def test_the_vectors_can_be_made_again():
    done = subprocess.run(
        [sys.executable, str(VECTORS / "make_vectors.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_encoder_makes_the_same_bytes():
    """A change on purpose: run make_vectors.py, and say so in CHANGELOG.md."""
    pinned = (VECTORS / "encoder_hashes.txt").read_text(encoding="utf-8").splitlines()
    assert make_vectors.encoder_lines() == pinned


# --- valid --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", VALID)
def test_valid(path, vector_books):
    data = (VECTORS / path).read_bytes()
    expected = (VECTORS / path).with_suffix(".bin").read_bytes()
    header = softcomp_codec.read_header(data)
    assert container.file_check_matches(data, header) in (True, None)
    arrays = softcomp_codec.decode_frames(data, codebooks=vector_books)
    assert all(array.shape == header.shape for array in arrays)
    samples = [planes.canonical_samples(array, header.mode) for array in arrays]
    assert b"".join(samples) == expected
    assert np.array_equal(softcomp_codec.decode(data, codebooks=vector_books), arrays[0])


@pytest.mark.parametrize("path", VALID)
def test_valid_by_the_reference_decoder(path, vector_books):
    books = [book.to_bytes() for book in vector_books]
    pictures = reference_decoder.decode_frames((VECTORS / path).read_bytes(), books)
    expected = (VECTORS / path).with_suffix(".bin").read_bytes()
    assert b"".join(picture.samples for picture in pictures) == expected


METADATA = {
    "metadata-all": {
        "exif": b"Exif\0\0II*\0\x08" + bytes(9), "icc_profile": b"profile", "xmp": b"<x/>",
        "dpi": (299.9994, 72), "aspect": (2, 1), "gamma": 0.45455,
        "chromaticity": (0, 1, 2, 3, 4, 5, 6, 7), "srgb": 0, "transparency": (1, 2, 65535),
        "background": -3, "comment": b"\0\xff",
        "text": {"XML:com.adobe.xmp": "<x/>", "dpi": "text", "Ü": "日"}, "loop": 3,
        "durations": (40,),
    },
    "metadata-deflated": {"exif": b"x" * 300, "text": {"title": "t"}},
    "metadata-times": {"transparency": 7, "loop": 0, "durations": (1, None, 33.3)},
    "segments-unknown": {"exif": b"Exif"},
}  # fmt: skip


@pytest.mark.parametrize("name", METADATA)
def test_metadata(name):
    data = (VECTORS / "valid" / f"{name}.scf").read_bytes()
    found = Metadata.from_header(softcomp_codec.read_header(data))
    assert found == Metadata(**METADATA[name])
    assert reference_decoder_metadata.read_metadata(data) == METADATA[name]


def test_valid_vectors_cover_the_registries(vector_books):
    headers = [softcomp_codec.read_header((VECTORS / path).read_bytes()) for path in VALID]
    known = {*container.MODES, *container.FURTHER_MODES, container.ARRAY}
    assert {header.mode.identifier for header in headers} == known
    types = {sample_map.type_of(header.mode) for header in headers}
    assert types == set(container.SAMPLE_TYPES)
    assert {header.coder for header in headers} == set(container.READABLE_CODERS)
    lengths = {len(header.codebook_reference) for header in headers}
    assert lengths == set(container.REFERENCE_LENGTHS)
    for settings in ("parts", "reference"):
        kinds = {kind for book in vector_books for kind in getattr(book, settings)}
        assert kinds == {0, 1, 2}


# --- sets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SETS)
def test_sets(path, vector_books):
    names = (VECTORS / path).with_suffix(".txt").read_text(encoding="utf-8").split("\n")
    expected = (VECTORS / path).with_suffix(".bin").read_bytes()
    for recover in (False, True):
        with softcomp_codec.open_set(
            VECTORS / path, codebooks=vector_books, recover=recover
        ) as images:
            assert images.names == names
            assert images.damage == ()
            samples = [
                planes.canonical_samples(images.read(name), images.header(name).mode)
                for name in names
            ]
            assert b"".join(samples) == expected


@pytest.mark.parametrize("path", SETS)
def test_sets_by_the_reference_decoder(path, vector_books):
    books = [book.to_bytes() for book in vector_books]
    found = reference_decoder_sets.decode_set((VECTORS / path).read_bytes(), books)
    names = (VECTORS / path).with_suffix(".txt").read_text(encoding="utf-8").split("\n")
    assert [name for name, _ in found] == names
    expected = (VECTORS / path).with_suffix(".bin").read_bytes()
    assert b"".join(frames[0].samples for _, frames in found) == expected


# --- invalid ------------------------------------------------------------------------------------


def read(name, data, books):
    """Read a picture or a codebook."""
    if name.endswith(".scfb"):
        return Codebook.from_bytes(data)
    return softcomp_codec.decode_frames(data, codebooks=books)


@pytest.mark.parametrize("name", INVALID)
def test_invalid(name, vector_books):
    data = (VECTORS / "invalid" / name).read_bytes()
    error, message = INVALID[name]
    with pytest.raises(error) as caught:
        read(name, data, vector_books)
    if message:
        assert type(caught.value) is error
        assert re.search(message, str(caught.value))


@pytest.mark.parametrize("name", [name for name in INVALID if name.endswith(".scf")])
def test_invalid_by_the_reference_decoder(name, vector_books):
    books = [book.to_bytes() for book in vector_books]
    with pytest.raises(reference_decoder.SpecError):
        reference_decoder.decode((VECTORS / "invalid" / name).read_bytes(), books)


@pytest.mark.parametrize("path", REGRESSIONS)
def test_regressions(path, vector_books):
    data = (VECTORS / path).read_bytes()
    with pytest.raises(ScfError):
        read(path, data, vector_books)
