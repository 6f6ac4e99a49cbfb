"""The package and the decoder written from SPEC.md alone agree on what a file means."""

import hashlib
import io
import itertools
import random
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import reference_decoder as reference
import reference_decoder_container
import reference_decoder_published as published
from file_builder import file_of
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from reference_decoder_colours import context_ranges, invert_lattice, plane_ranges
from reference_decoder_container import (
    BITS_OF_MODE,
    KIND_OF_MODE,
    PLANES_OF_MODE,
    Picture,
    split_frames,
)
from reference_decoder_context import decode_context, decode_tile, read_context_payload
from reference_decoder_numbers import ArithmeticDecoder, ByteReader, write_varint
from reference_decoder_shapes import decode_shapes
from reference_decoder_tiles import check_tile, tile_grid

import softcomp_codec
from softcomp_codec import context_coder
from softcomp_codec.planes import mode_of_array
from softcomp_codec.reference_training import ReferenceOptions
from softcomp_codec.training import TrainingOptions

SPEC = Path(__file__).resolve().parents[1] / "SPEC.md"
KINDS = ("bilevel", "gray", "rgb")
STYLES = ("noise", "flat", "ramp", "smooth", "boxes", "checks")
SIZES = ((1, 1), (1, 9), (7, 1), (2, 2), (3, 5), (8, 8), (12, 9))
MANY = settings(max_examples=max(60, settings.default.max_examples), deadline=None)
SHAPES = TrainingOptions(use_indicator=False)


def encoded(image, **options):
    """A file of the coders that the other decoder knows."""
    return softcomp_codec.encode(image, **{"coder": "shapes", **options})


def encoded_frames(images, **options):
    return softcomp_codec.encode_frames(images, **{"coder": "shapes", **options})


def make_image(kind, style, height, width, seed=0):
    rng = np.random.default_rng([KINDS.index(kind), STYLES.index(style), height, width, seed])
    planes = 3 if kind == "rgb" else 1
    y, x = np.mgrid[:height, :width]
    if style == "noise":
        values = rng.integers(0, 256, (height, width, planes))
    elif style == "flat":
        values = np.zeros((height, width, planes)) + rng.integers(0, 256, planes)
    elif style == "ramp":
        slopes = rng.normal(0, 6, (2, planes))
        values = 128 + y[..., None] * slopes[0] + x[..., None] * slopes[1]
        values = values + rng.normal(0, 1.5, (height, width, 1))
    elif style == "smooth":
        values = 128 + 60 * np.sin(x / 5 + seed)[..., None] + 40 * np.cos(y / 4)[..., None]
        values = values + rng.normal(0, 3, (height, width, planes))
    elif style == "boxes":
        values = np.zeros((height, width, planes))
        for _ in range(4):
            top, left = rng.integers(0, height), rng.integers(0, width)
            tall, wide = rng.integers(1, 6, 2)
            values[top : top + tall, left : left + wide] = rng.integers(0, 256, planes)
    else:
        values = np.zeros((height, width, planes)) + 255 * ((y // 3 + x // 2) % 2)[..., None]
    image = np.clip(values, 0, 255).astype(np.uint8)
    if kind == "bilevel":
        image = image > 127
    return image if kind == "rgb" or seed % 2 else image[..., 0]


def canonical_samples(image):
    if image.dtype == np.bool_:
        return np.packbits(image.reshape(image.shape[:2]), axis=1).tobytes()
    return image.astype("<u2").tobytes() if image.dtype == np.uint16 else image.tobytes()


def as_array(picture):
    dtype = {1: np.bool_, 8: np.uint8, 16: np.uint16}[BITS_OF_MODE[picture.mode]]
    return np.array(picture.planes).transpose(1, 2, 0).reshape(picture.shape).astype(dtype)


def assert_same(picture, image):
    assert (picture.height, picture.width) == image.shape[:2]
    assert picture.shape == image.shape
    assert picture.samples == canonical_samples(image)
    np.testing.assert_array_equal(as_array(picture), image, strict=True)


def outcome(decode):
    """Return what a decoder makes of a file: (shape, samples), or None where it refuses it."""
    try:
        result = decode()
    except (reference.SpecError, softcomp_codec.ScfError):
        return None
    if isinstance(result, Picture):
        return result.shape, result.samples
    return result.shape, canonical_samples(result)


def outcomes(file, book=None):
    """Return both decoders' outcomes, or two None for a size that would take too long."""
    try:
        header = reference.read_header(file)
        if header.width * header.height > 1 << 12:
            return None, None
    except reference.SpecError:
        pass
    packed, books = ([book.to_bytes()], [book]) if book else ([], [])
    return (
        outcome(lambda: reference.decode(file, packed)),
        outcome(lambda: softcomp_codec.decode(file, codebooks=books)),
    )


def with_checksum(file, samples):
    """Return a file without segments, its checksum made to fit other canonical samples (2.5)."""
    header = reference.read_header(file)
    description = bytes([header.mode])
    description += header.width.to_bytes(4, "little") + header.height.to_bytes(4, "little")
    checksum = zlib.crc32(description + samples).to_bytes(4, "little")
    start = len(file) - len(header.payload)
    return file[: start - 4] + checksum + file[start:]


def decode_without_checksum(file, parts, decode=decode_shapes):
    """Return canonical samples of a file that is not stored, whatever its checksum, or None."""
    header = reference.read_header(file)
    try:
        planes = decode(header, parts)
    except reference.SpecError:
        return None
    return reference_decoder_container.canonical_samples(header, planes)


def segment(kind, content):
    body = bytes([kind]) + write_varint(len(content)) + content
    return body + zlib.crc32(body).to_bytes(4, "little")


def stored_file(segments):
    """Return a stored gray image of 2 x 1 with these segments behind its checksum."""
    samples = b"\x07\x09"
    file = b"\xf7SC\x04\x01\x02\x01" + bytes(4) + samples
    file = with_checksum(file[:3] + b"\x00" + file[4:], samples)
    return file[:3] + b"\x04" + file[4:-2] + b"".join(segments) + b"\x00" + samples


@pytest.fixture(scope="module")
def books():
    """Return a codebook and images like those it was trained on, by kind."""
    trained = {}
    for kind in KINDS:
        images = [make_image(kind, "boxes", 16, 16, seed) for seed in range(0, 40, 2)]
        images += [make_image(kind, "ramp", 16, 16, seed) for seed in range(0, 40, 2)]
        book = softcomp_codec.train(images, name="t", holdout=0, options=SHAPES)
        trained[kind] = book, images[-12:] + images[:12] + [make_image(kind, "boxes", 13, 18, 90)]
    return trained


def test_example_of_the_spec():
    section = SPEC.read_text(encoding="utf-8").split("\n## 8.")[1].split("\n## 9.")[0]
    lines = re.search(r"```hex\n(.*?)\n```", section, re.DOTALL)[1].splitlines()
    file = bytes.fromhex("".join(re.split(r" {2,}", line)[0] for line in lines))
    drawing = re.findall(r"^ {4}([.#]+)$", section, re.MULTILINE)
    image = np.array([[cell == "#" for cell in row] for row in drawing])
    assert image.shape == (6, 16)
    assert_same(reference.decode(file), image)
    np.testing.assert_array_equal(softcomp_codec.decode(file), image, strict=True)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", KINDS)
def test_no_codebook(kind, style):
    for number, (height, width) in enumerate(SIZES):
        for seed in (0, 1):
            image = make_image(kind, style, height, width, seed)
            file = encoded(
                image, codebook=None, effort=(1, 5, 9)[number % 3], file_check=bool(seed)
            )
            assert_same(reference.decode(file), image)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", ["smooth", "boxes"])
def test_larger_image(kind, style):
    image = make_image(kind, style, 45, 70)
    assert_same(reference.decode(encoded(image, codebook=None)), image)


@MANY
@given(data=st.data())
def test_any_array(data):
    dtype = data.draw(st.sampled_from([np.bool_, np.uint8]))
    endings = [(), (1,)] if dtype is np.bool_ else [(), (1,), (3,)]
    sides = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    image = data.draw(hnp.arrays(dtype, sides + data.draw(st.sampled_from(endings))))
    assert_same(reference.decode(encoded(image, codebook=None)), image)


@pytest.mark.parametrize("kind", KINDS)
def test_codebook(books, kind):
    book, images = books[kind]
    packed = book.to_bytes()
    referring = 0
    for number, image in enumerate(images):
        options = (
            {},
            {"reference_bytes": 32, "file_check": True},
            {"reference_bytes": 4, "effort": 9},
            {"effort": 1},
        )[number % 4]
        file = encoded(image, codebook=book, **options)
        assert_same(reference.decode(file, [packed]), image)
        if reference.read_header(file).reference:
            referring += 1
            with pytest.raises(reference.SpecError, match="not there"):
                reference.decode(file)
        file = encoded(image, codebook=book, embed_codebook=True, **options)
        assert_same(reference.decode(file), image)
    assert referring


@pytest.mark.parametrize("kind", KINDS)
def test_codebook_of_another_kind(books, kind):
    other = books[KINDS[KINDS.index(kind) - 1]][0]
    image = books[kind][1][0]
    file = encoded(image, codebook=other)
    assert_same(reference.decode(file, [other.to_bytes()]), image)


@pytest.mark.parametrize("kind", KINDS)
def test_codebook_without_a_part_for_the_image(books, kind):
    other = books[KINDS[KINDS.index(kind) - 1]][0]
    file = encoded(make_image(kind, "boxes", 12, 12), codebook=None)
    assert reference.read_header(file).coder == 1
    identifier = reference.read_codebook(other.to_bytes()).id
    file = file[:3] + b"\x01" + file[4:7] + identifier[:4] + file[7:]
    assert outcomes(file, other) == (None, None)


@pytest.mark.parametrize("kind", KINDS)
def test_read_codebook(books, kind):
    book, _ = books[kind]
    packed = book.to_bytes()
    read = reference.read_codebook(packed)
    assert read.record == book.record
    assert list(read.parts) == [KINDS.index(kind)]
    assert read.id == hashlib.sha256(book.serialised).digest()


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_codebook(books, kind):
    packed = books[kind][0].to_bytes()
    rng = np.random.default_rng(1)
    damaged = [packed[:-1], packed[:40], packed + b"\x00", b""]
    for position in rng.integers(0, len(packed), 60):
        changed = bytearray(packed)
        changed[position] ^= 1 << rng.integers(0, 8)
        damaged.append(bytes(changed))
    for data in damaged:
        try:
            read = reference.read_codebook(data)
        except reference.SpecError:
            with pytest.raises(softcomp_codec.ScfError):
                softcomp_codec.Codebook.from_bytes(data)
        else:
            assert softcomp_codec.Codebook.from_bytes(data).record == read.record


@pytest.mark.parametrize("kind", KINDS)
@MANY
@given(data=st.data())
def test_damaged_file(books, kind, data):
    book, images = books[kind]
    options = st.sampled_from([{}, {"file_check": True}, {"codebook": None}])
    image = images[data.draw(st.integers(0, len(images) - 1))]
    file = encoded(image, **{"codebook": book, **data.draw(options)})
    position = data.draw(st.integers(0, len(file) - 1))
    inserted = data.draw(st.binary(max_size=3))
    removed = data.draw(st.integers(0, 3))
    ours, theirs = outcomes(file[:position] + inserted + file[position + removed :], book)
    assert ours == theirs
    assert ours in (None, (image.shape, canonical_samples(image)))


@pytest.mark.parametrize("kind", KINDS)
def test_other_lengths(books, kind):
    book, images = books[kind]
    for image in images[::6]:
        for choice in (book, None):
            file = encoded(image, codebook=choice)
            packed = [book.to_bytes()]
            for end in (*range(0, min(60, len(file)), 3), *range(60, len(file), 29)):
                with pytest.raises(reference.SpecError):
                    reference.decode(file[:end], packed)
            for more in (b"\x00", b"\xff", b"\x00\x00\x00\x00\x00"):
                with pytest.raises(reference.SpecError):
                    reference.decode(file + more, packed)


@pytest.mark.parametrize("kind", KINDS)
@MANY
@given(data=st.data())
def test_damaged_payload_with_fitting_checksum(books, kind, data):
    """The rules of the payload, which the checksum hides otherwise."""
    book, images = books[kind]
    choice = data.draw(st.sampled_from([book, None]))
    image = images[data.draw(st.integers(0, len(images) - 1))]
    file = encoded(image, codebook=choice)
    header = reference.read_header(file)
    if header.coder != 1:
        return
    start = len(file) - len(header.payload)
    position = data.draw(st.integers(start, len(file)))
    inserted = data.draw(st.binary(max_size=2))
    file = file[:position] + inserted + file[position + data.draw(st.integers(0, 2)) :]
    parts = reference.read_codebook(book.to_bytes()).parts if header.reference else {}
    samples = decode_without_checksum(file, parts)
    if samples is not None:
        file = with_checksum(file, samples)
    ours, theirs = outcomes(file, book)
    assert ours == theirs
    assert ours == (None if samples is None else (image.shape, samples))


@st.composite
def plane_of_any_settings(draw, limits):
    """Return bits of a plane without codebook: settings, and shapes of one cell at gaps 0 (5.1)."""
    low_bits = draw(st.integers(0, limits.sample_bits))
    parameter = draw(st.sampled_from([0, 1, 2, 3, 5, 64, 1023]))
    bits = f"0{draw(st.integers(0, 2)):02b}{low_bits:04b}"
    if draw(st.booleans()):
        low_bits = 0 if limits.span == 1 else limits.sample_bits
        parameter, bits = 0, "1"
    elif low_bits < limits.sample_bits:
        bits += f"{parameter:010b}"
    if low_bits == limits.sample_bits:
        return bits
    if limits.span > 1:
        return bits + "0"
    remainder = {0: 6, 1: 0, 2: 1, 3: 1, 5: 2, 64: 6, 1023: 9}[parameter]
    gap = "0" + "0" * remainder
    return bits + ("00000" + gap) * draw(st.integers(0, 3)) + "111111"


@MANY
@given(data=st.data())
def test_payload_of_any_settings(data):
    """Settings and codes that the package's encoder would not choose."""
    mode = data.draw(st.sampled_from([0, 1, 2]))
    width, height = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    transform = data.draw(st.integers(0, 2)) if mode == 2 else 0
    bits = f"{transform:02b}" if mode == 2 else ""
    for limits in plane_ranges(KIND_OF_MODE[mode], transform):
        bits += data.draw(plane_of_any_settings(limits))
    bits += "0" * (-len(bits) % 8)
    file = b"\xf7SC\x00" + bytes([32 + mode, width, height]) + bytes(4)
    file += int(bits, 2).to_bytes(len(bits) // 8, "big")
    code = data.draw(st.binary(min_size=8, max_size=60))
    for end in (0, *range(len(code), 0, -3)):
        samples = decode_without_checksum(file + code[:end], {})
        if samples is not None:
            ours, theirs = outcomes(with_checksum(file + code[:end], samples))
            assert ours is not None
            assert ours == theirs


@pytest.mark.parametrize(
    ("flags", "coder_and_mode", "message"),
    [
        (0x10, 0x01, "version"),
        (0x08, 0x01, "set"),
        (0x00, 0x0C, "palette"),
        (0x00, 0x0D, "palette"),
        *[(0x00, mode, "mode") for mode in range(26, 31)],
        *[(0x00, 0x20 + mode, "mode") for mode in range(5, 12)],
        *[(0x00, 0xA0 + mode, "mode") for mode in range(5, 12)],
        (0x00, 0x1F, "array description"),
        *[(0x00, 0x20 + mode, "mode") for mode in (14, 18, 20)],
        *[(0x00, 0x40 + mode, "samples") for mode in (22, 23)],
        *[(0x00, 0x60 + mode, "planes") for mode in (15, 16, 17)],
        *[(0x00, 0x60 + mode, "mode") for mode in (1, 2, 3, *range(5, 12))],
        *[(0x00, 0x80 + mode, "mode") for mode in (0, 4, 5, 6, 9, 10, 11)],
        *[(0x00, 0xC0 + mode, "mode") for mode in (0, 2, *range(4, 12))],
        (0x00, 0xC1, "codebook"),
        *[(0x00, 0xE0 + mode, "mode") for mode in (0, *range(4, 12))],
        (0x00, 0xE1, "JPEG"),
        (0x01, 0x01, "reference"),
    ],
)
def test_unsupported_header(flags, coder_and_mode, message):
    file = stored_file([])
    file = file[:3] + bytes([flags, coder_and_mode]) + file[5:]
    with pytest.raises(reference.SpecError, match=message):
        reference.decode(file)
    with pytest.raises(softcomp_codec.ScfError):
        softcomp_codec.decode(file)


@pytest.mark.parametrize(
    ("segments", "good"),
    [
        ([], True),
        ([segment(0xF0, b"?")], True),
        ([segment(0x81, b""), segment(0x81, b"x")], True),
        ([segment(0xF0, b"?")[:-1]], False),
        ([segment(0xF0, b"?")[:-1] + b"?"], False),
        ([segment(0x10, b"")], False),
        ([segment(0x04, b"\x01\x01")], False),
        ([segment(0x86, b"")], False),
        ([segment(0x89, b"t")], False),
    ],
)
def test_segments(segments, good):
    file = stored_file(segments)
    picture = ((1, 2), b"\x07\x09") if good else None
    assert outcomes(file) == (picture, picture)


def test_file_check():
    image = make_image("gray", "ramp", 6, 6)
    file = encoded(image, codebook=None, file_check=True)
    assert_same(reference.decode(file), image)
    with pytest.raises(reference.SpecError, match="file check"):
        reference.decode(stored_file([segment(0x88, b"\x00\x00\x00\x00")]))


@pytest.mark.parametrize(
    ("dtype", "last_axis"),
    [*((np.uint16, axis) for axis in (None, 1, 2, 3, 4)), (np.uint8, 2), (np.uint8, 4)],
)
@pytest.mark.parametrize("size", SIZES)
def test_stored_modes(dtype, last_axis, size):
    shape = size if last_axis is None else (*size, last_axis)
    rng = np.random.default_rng(len(shape))
    image = rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    image.flat[0] = np.iinfo(dtype).max
    file = encoded(image)
    assert_same(reference.decode(file), image)
    pictures = reference.decode_frames(encoded_frames([image, image[::-1]]))
    for picture, frame in zip(pictures, (image, image[::-1]), strict=True):
        assert_same(picture, frame)
    assert outcomes(file[:-1]) == outcomes(file + b"\0") == (None, None)


@pytest.mark.parametrize("side", [b"\x00", b"\x81\x00", b"\x80\x80\x80\x80\x08", b"\x80" * 9])
def test_bad_width(side):
    file = stored_file([])
    file = file[:5] + side + file[6:]
    assert outcomes(file) == (None, None)


SCHEMES = {"binary": 0, "gray": 1, "mode i": 2, "mode ii": 3}
REFERENCE_SIZES = ((1, 1), (1, 2), (2, 1), (1, 30), (30, 1), (2, 2), (7, 9), (25, 33))


def kind_of(scheme):
    return KINDS[published.KIND_OF_SCHEME[SCHEMES[scheme]]]


@pytest.fixture(scope="module")
def reference_books():
    """Return a codebook of the reference settings for each scheme."""
    trained = {}
    for scheme, number in SCHEMES.items():
        kind = kind_of(scheme)
        images = [make_image(kind, ("boxes", "smooth")[i % 2], 14, 14, 2 * i) for i in range(6)]
        options = ReferenceOptions(scheme_id=number) if kind == "rgb" else None
        book = softcomp_codec.train(
            images, name="t", holdout=0, settings="reference", options=options
        )
        trained[scheme] = book
        part = reference.read_codebook(book.to_bytes()).reference_parts[KINDS.index(kind)]
        assert part.scheme == number
    return trained


def reference_file(image, book, payload):
    """Return a file of the reference coder with any payload and a checksum that does not fit."""
    mode = KINDS.index(
        "bilevel" if image.dtype == np.bool_ else "gray" if image.ndim < 3 else "rgb"
    )
    height, width = image.shape[:2]
    identifier = reference.read_codebook(book.to_bytes()).id[:4]
    return b"\xf7SC\x01" + bytes([0xA0 + mode, width, height]) + identifier + bytes(4) + payload


@pytest.mark.parametrize("style", STYLES[1:])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_reference_coder(reference_books, scheme, style):
    book = reference_books[scheme]
    coders = set()
    for height, width in REFERENCE_SIZES:
        image = make_image(kind_of(scheme), style, height, width, 1)
        file = encoded(image, codebook=book, embed_codebook=True)
        coders.add(reference.read_header(file).coder)
        assert_same(reference.decode(file), image)
        np.testing.assert_array_equal(softcomp_codec.decode(file), image, strict=True)
        file = encoded(image, codebook=book)
        assert_same(reference.decode(file, [book.to_bytes()]), image)
    assert (scheme, style) == ("gray", "checks") or 5 in coders


@pytest.mark.parametrize("scheme", SCHEMES)
def test_reference_coder_larger_image(reference_books, scheme):
    """Long enough for the halved sums of GAP."""
    book = reference_books[scheme]
    image = make_image(kind_of(scheme), "smooth", 45, 70, 1)
    file = encoded(image, codebook=book)
    assert reference.read_header(file).coder == 5
    assert_same(reference.decode(file, [book.to_bytes()]), image)


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_damaged_reference_payload(reference_books, scheme, data):
    book = reference_books[scheme]
    style = data.draw(st.sampled_from(["smooth", "boxes", "flat"]))
    height, width = data.draw(st.sampled_from([(7, 9), (5, 12), (1, 30)]))
    image = make_image(kind_of(scheme), style, height, width, 1)
    file = encoded(image, codebook=book)
    header = reference.read_header(file)
    if header.coder != 5:
        return
    start = len(file) - len(header.payload)
    position = data.draw(st.integers(start, len(file)))
    inserted = data.draw(st.binary(max_size=2))
    file = file[:position] + inserted + file[position + data.draw(st.integers(0, 2)) :]
    ours, theirs = outcomes(file, book)
    assert ours == theirs
    assert ours in (None, (image.shape, canonical_samples(image)))
    parts = reference.read_codebook(book.to_bytes()).reference_parts
    samples = decode_without_checksum(file, parts, published.decode_reference)
    if samples is not None:
        file = with_checksum(file, samples)
        ours, theirs = outcomes(file, book)
        assert ours == theirs == (image.shape, samples)


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_any_reference_payload(reference_books, scheme, data):
    """Payloads that no encoder would write: those of them that are good, at each length."""
    book = reference_books[scheme]
    sides = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    image = make_image(kind_of(scheme), "flat", *sides)
    some_bytes = st.one_of(st.sampled_from([0, 0, 255]), st.integers(0, 255))
    payload = bytes(data.draw(st.lists(some_bytes, min_size=6, max_size=14)))
    parts = reference.read_codebook(book.to_bytes()).reference_parts
    for end in range(len(payload)):
        for unused in range(8):
            last = payload[end] >> unused << unused
            file = reference_file(image, book, payload[:end] + bytes([last]))
            samples = decode_without_checksum(file, parts, published.decode_reference)
            if samples is not None:
                ours, theirs = outcomes(with_checksum(file, samples), book)
                assert ours == theirs == (image.shape, samples)
                event("good")
                good = with_checksum(file, samples)
                for other in (
                    good[:-1],
                    good + b"\x00",
                    *(good[:-1] + bytes([last ^ 1 << bit]) for bit in range(8)),
                ):
                    ours, theirs = outcomes(other, book)
                    assert ours == theirs


def paint_anything(shape, top, left, layer, covered):
    """Paint what 5R.8 calls corrupt: shapes over others and outside the plane."""
    for index, value in enumerate(shape.cells):
        i, j = top + index // shape.width, left + index % shape.width
        if i < len(layer) and j < len(layer[0]):
            layer[i][j] = value


def test_reference_shapes_that_are_corrupt(reference_books):
    """Also with the checksum of what a careless decoder makes of them."""
    book = reference_books["binary"]
    parts = reference.read_codebook(book.to_bytes()).reference_parts
    rng = np.random.default_rng(3)
    corrupt = 0
    for _ in range(400):
        height, width = rng.integers(1, 7, 2)
        image = np.zeros((height, width), np.bool_)
        payload = bytearray(rng.bytes(int(rng.integers(3, 7))))
        payload[0] &= 0x3F
        for unused in range(8):
            payload[-1] = payload[-1] >> unused << unused
            file = reference_file(image, book, bytes(payload))
            if decode_without_checksum(file, parts, published.decode_reference) is not None:
                continue
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(published, "paint_reference", paint_anything)
                samples = decode_without_checksum(file, parts, published.decode_reference)
            if samples is not None:
                assert outcomes(with_checksum(file, samples), book) == (None, None)
                corrupt += 1
    assert corrupt > 5


@pytest.mark.parametrize("scheme", SCHEMES)
def test_reference_payload_of_other_lengths(reference_books, scheme):
    book = reference_books[scheme]
    image = make_image(kind_of(scheme), "smooth", 8, 11, 1)
    file = encoded(image, codebook=book)
    assert reference.read_header(file).coder == 5
    for end in range(0, len(file), 5):
        assert outcomes(file[:end], book) == (None, None)
    for more in (b"\x00", b"\xff", b"\x00" * 5):
        assert outcomes(file + more, book) == (None, None)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_reference_coder_without_part(books, reference_books, scheme):
    kind = kind_of(scheme)
    image = make_image(kind, "flat", 9, 9, 1)
    file = encoded(image, codebook=reference_books[scheme])
    header = reference.read_header(file)
    assert header.coder == 5
    identifier = reference.read_codebook(books[kind][0].to_bytes()).id[: len(header.reference)]
    other = file.replace(header.reference, identifier, 1)
    assert outcomes(other, books[kind][0]) == (None, None)
    without = file[:3] + b"\x00" + file[4:].replace(header.reference, b"", 1)
    assert outcomes(without) == (None, None)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_read_reference_part(reference_books, scheme):
    """Each byte of the part changed, or the section put elsewhere: both accept or both refuse."""
    serialisation = reference_books[scheme].serialised
    sections = ByteReader(serialisation)
    assert sections.byte() == 1
    record = sections.take(sections.varint())
    assert sections.byte() == 3
    part = sections.take(sections.varint())
    assert sections.at_end
    rng = np.random.default_rng(1)
    variants = [[(1, record), (3, part)], [(3, part), (1, record)], [(1, record)]]
    variants += [[(1, record), (3, part), (3, part)], [(1, record), (3, part), (0x80, b"")]]
    variants += [[(1, record), (3, part[:-1])], [(1, record), (3, part + b"\x01")]]
    places = {0, 1, 2, *range(3, len(part), max(1, len(part) // 12))}
    for place in sorted(places):
        for value in (0, 1, 25, 64, 255, int(rng.integers(0, 256))):
            changed = part[:place] + bytes([value]) + part[place + 1 :]
            variants.append([(1, record), (3, changed)])
    for variant in variants:
        packed = b"".join(
            bytes([number]) + write_varint(len(content)) + content for number, content in variant
        )
        head = b"\xf7SB\x00" + hashlib.sha256(packed).digest()
        data = head + write_varint(len(packed)) + packed
        try:
            reference.read_codebook(data)
        except reference.SpecError:
            with pytest.raises(softcomp_codec.ScfError):
                softcomp_codec.Codebook.from_bytes(data)
        else:
            assert softcomp_codec.Codebook.from_bytes(data).serialised == packed


def frames_outcome(decode):
    """Return what a decoder makes of the frames of a file, or None where it refuses it."""
    try:
        results = decode()
    except (reference.SpecError, softcomp_codec.ScfError):
        return None
    return [outcome(lambda result=result: result) for result in results]


@pytest.mark.parametrize("settings_name", ["default", "reference"])
@pytest.mark.parametrize("kind", KINDS)
def test_frames(books, reference_books, kind, settings_name):
    book = books[kind][0]
    if settings_name == "reference":
        book = next(b for scheme, b in reference_books.items() if kind_of(scheme) == kind)
    images = [make_image(kind, style, 9, 11, 1) for style in ("boxes", "noise", "flat", "smooth")]
    packed = [book.to_bytes()]
    for options in ({}, {"embed_codebook": True}, {"codebook": None}, {"file_check": True}):
        file = encoded_frames(images, **{"codebook": book, **options})
        pictures = reference.decode_frames(file, packed)
        for picture, image in zip(pictures, images, strict=True):
            assert_same(picture, image)
        assert_same(reference.decode(file, packed), images[0])
    file = encoded_frames(images, codebook=book)
    rng = np.random.default_rng(2)
    damaged = [file[:-1], file + b"\x00"]
    for position in rng.integers(8, len(file), 40):
        changed = bytearray(file)
        changed[position] ^= 1 << rng.integers(0, 8)
        damaged.append(bytes(changed))
    for data in damaged:
        ours = frames_outcome(lambda data=data: reference.decode_frames(data, packed))
        theirs = frames_outcome(
            lambda data=data: softcomp_codec.decode_frames(data, codebooks=[book])
        )
        assert ours == theirs
        assert ours in (None, [(image.shape, canonical_samples(image)) for image in images])


def test_bytes_of_a_frame_table():
    """Each field of a table of two stored frames set to each of some values."""
    samples = (b"\x07\x09", b"\x01\x02")
    description = b"\x01" + (2).to_bytes(4, "little") + (1).to_bytes(4, "little")
    checksums = [zlib.crc32(description + both).to_bytes(4, "little") for both in samples]
    table = b"\x02\x00\x02" + checksums[0] + b"\x00\x02" + checksums[1]
    accepted = 0
    for place in range(len(table)):
        for value in (table[place], 0, 1, 2, 3, 16, 0x20, 0x21, 0x40, 0xA0, 0x80, 0xFF):
            changed = table[:place] + bytes([value]) + table[place + 1 :]
            for segments in ([segment(5, changed)], [segment(5, changed)] * 2):
                file = stored_file(segments) + samples[1]
                ours = frames_outcome(lambda file=file: reference.decode_frames(file))
                theirs = frames_outcome(lambda file=file: softcomp_codec.decode_frames(file))
                assert ours == theirs
                assert ours in (None, [((1, 2), both) for both in samples])
                accepted += ours is not None
    assert accepted


CONTEXT_STYLES = ("noise", "smooth", "constant", "equal", "extremes", "half")
EFFORTS = {1: 2, 3: 4, 5: 7, 7: 10, 9: 15}


def make_wide_image(style, height, width, planes, dtype):
    """Return an image of any number of planes and bits; 0 planes for no last axis."""
    top = np.iinfo(dtype).max
    shape = (height, width, max(planes, 1))
    rng = np.random.default_rng([height, width, planes, top])
    y, x = np.mgrid[:height, :width]
    waves = (0.5 + 0.3 * np.sin(x / 5) + 0.2 * np.cos(y / 4))[..., None]
    smooth = waves * np.linspace(1, 0.7, shape[2]) * top + rng.normal(0, top / 90, shape)
    values = {
        "noise": rng.integers(0, top, shape, endpoint=True),
        "smooth": smooth,
        "constant": np.zeros(shape) + top // 3 + np.arange(shape[2]),
        "equal": smooth[..., :1] + np.zeros(shape),
        "extremes": top * (smooth > top / 2),
        "half": np.where(x[..., None] < width // 5, rng.integers(0, top, shape), smooth),
    }[style]
    if style == "half":
        values[..., 1:2] = top // 2
    image = np.clip(values, 0, top).astype(dtype)
    return image if planes else image[..., 0]


def encode_context(image, effort=5):
    """Return a file of the context coder, or a stored one where that is shorter."""
    mode = mode_of_array(image)
    payload = context_coder.encode_payload(image, mode, effort=effort)
    if payload is None:
        return file_of(image, canonical_samples(image), coder=0)
    assert payload[0] % 16 == EFFORTS[effort]
    return file_of(image, payload, coder=2)


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("planes", [0, 1, 2, 3, 4])
def test_context_coder(planes, dtype, effort):
    coders = []
    for number, style in enumerate(CONTEXT_STYLES):
        side = 15 if (number + planes + effort // 2) % 4 == 0 else 9
        image = make_wide_image(style, side, side + 2, planes, dtype)
        file = encode_context(image, effort)
        coders.append(reference.read_header(file).coder)
        assert_same(reference.decode(file), image)
    assert coders.count(2) >= 2


@pytest.mark.parametrize("effort", EFFORTS)
def test_context_coder_of_regular_images(effort):
    """Probabilities, counts and weights up to their limits."""
    almost_constant = np.zeros((60, 60), np.uint8)
    almost_constant[::13, ::11] = 1
    rows = np.random.default_rng(1).integers(0, 256, (40, 1), np.uint8) * np.ones(200, np.uint8)
    rows[:, ::2] ^= 128
    for image in (almost_constant, rows):
        file = encode_context(image, effort)
        assert reference.read_header(file).coder == 2
        assert_same(reference.decode(file), image)


@pytest.mark.parametrize("effort", [1, 5, 9])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (1, 50), (50, 1), (2, 30), (30, 3)])
def test_context_coder_of_odd_sizes(size, effort):
    for planes, dtype in ((0, np.uint8), (2, np.uint16), (3, np.uint8), (4, np.uint16)):
        for style in ("smooth", "constant"):
            image = make_wide_image(style, *size, planes, dtype)
            assert_same(reference.decode(encode_context(image, effort)), image)


@pytest.mark.parametrize("effort", [1, 9])
def test_context_coder_of_bilevel_images(effort):
    for style in STYLES:
        for seed in (0, 1):
            image = make_image("bilevel", style, 24, 19, seed)
            assert_same(reference.decode(encode_context(image, effort)), image)


def jpeg(height, width, quality, contrast):
    """Return the pixels of a decoded JPEG."""
    values = make_wide_image("smooth", height, width, 3, np.uint8).astype(float)
    values = 128 + contrast * (values - 140)
    buffer = io.BytesIO()
    picture = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    picture.save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as decoded:
        return np.array(decoded)


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("contrast", [0.4, 1.2])
def test_context_coder_of_decoded_jpegs(contrast, effort):
    pixels = jpeg(20, 25, 75, contrast)
    touched = pixels.copy()
    touched[::7, ::5, 1] ^= 1
    alpha = make_wide_image("smooth", 20, 25, 0, np.uint8)
    for image in (pixels, touched, np.dstack([touched, alpha])):
        file = encode_context(image, effort)
        assert reference.read_header(file).payload[0] >> 4 == 4
        assert_same(reference.decode(file), image)


def test_lattice_examples_of_the_spec():
    section = SPEC.read_text(encoding="utf-8").split("5.2.1 The lattice")[1].split("\n###")[0]
    examples = re.findall(r"(\d+), (\d+), (\d+), (\d) -> (\d+), (\d+), (\d+)", section)
    assert len(examples) == 6
    for example in examples:
        numbers = tuple(map(int, example))
        assert invert_lattice(*numbers[:4]) == numbers[4:]


def test_corrections_of_the_lattice():
    """Every correction, also where a component leaves 0..255."""
    refused = 0
    for pixel in itertools.product((0, 90, 255), (0, 120, 255), (0, 131, 255), range(8)):
        fields = b"".join(bytes(write(v) + write(255 - v)) for v in pixel[:3])
        fields += bytes([pixel[3], 7 - pixel[3]])
        file = context_file(2, 1, 1, b"\x41\x0f" + fields)
        components = invert_lattice(*pixel)
        if not all(0 <= component <= 255 for component in components):
            refused += 1
            components = [component % 256 for component in components]
            expected = None
        else:
            expected = (1, 1, 3), bytes(components)
        assert outcomes(with_checksum(file, bytes(components))) == (expected, expected)
    assert 10 < refused < 150


write = write_varint


def context_file(mode, width, height, payload):
    """Return a file of the context coder with a checksum that does not fit."""
    return b"\xf7SC\x00" + bytes([0x40 + mode]) + write(width) + write(height) + bytes(4) + payload


def make_context_payload(rng, mode):
    """Return the fields of a payload up to its code, chosen at random."""
    bits, components = BITS_OF_MODE[mode], PLANES_OF_MODE[mode]
    top = (1 << bits) - 1
    transform = rng.choice([0] if components < 3 else [0, 3, 4] if bits == 8 else [0, 3])
    part = rng.choice([64, 8, 6])
    inside = {  # ranges that keep most components within theirs
        0: [],
        3: [(top // 3, top // 2), (-top // part, top // part), (-top // 8, top // 8)],
        4: [(100, 150), (110, 140), (118, 136)],
    }[transform]
    narrowed, fields = 0, b""
    for index, limits in enumerate(context_ranges(mode, transform)):
        lowest, highest = limits.lowest, limits.highest
        if index < len(inside):
            lowest, highest = inside[index]
        elif rng.random() < 0.4:
            lowest += rng.randint(0, highest - lowest)
            highest -= rng.choice([0, rng.randint(0, highest - lowest), highest - lowest])
        if (lowest, highest) != (limits.lowest, limits.highest) or rng.random() < 0.2:
            narrowed |= 1 << index
            fields += write(lowest - limits.lowest) + write(limits.highest - highest)
        if bits == 16:
            fields += bytes([rng.choice([0, 0, 1, 2, 3, 5, 8])])
    return bytes([transform * 16 + rng.randint(1, 15)]) + write(narrowed) + fields


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_context_payload(seed):
    """Codes that no encoder would write, cut where they end."""
    rng = random.Random(seed)
    mode = rng.randrange(12)
    sides = rng.choice([(rng.randint(1, 15), rng.randint(1, 15)), (1, 40), (40, 1), (9, 2)])
    head = make_context_payload(rng, mode)
    length = 20 * sides[0] * sides[1] + 8
    code = rng.choice([rng.randbytes(length), bytes(length), rng.randbytes(9) + bytes(length)])
    code = rng.choice([code, code[: length // 3] + b"\xff" * length])
    ends = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArithmeticDecoder, "finish", lambda decoder: ends.append(decoder.end()))
        decode_without_checksum(context_file(mode, *sides, head + code), {}, decode_context)
    if not ends:  # a sample left its range
        assert outcomes(context_file(mode, *sides, head + code)) == (None, None)
        return
    file = context_file(mode, *sides, head + code[: ends[0]])
    samples = decode_without_checksum(file, {}, decode_context)
    if samples is not None:
        event(f"good, transform {head[0] >> 4}")
        file = with_checksum(file, samples)
        shape = reference.decode(file).shape
        assert outcomes(file) == ((shape, samples),) * 2
        assert outcomes(file + b"\x00") == (None, None)
        if ends[0]:
            ours, theirs = outcomes(file[:-1])
            assert ours == theirs


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damaged_context_payload(data):
    """The rules of the payload, with a checksum that fits where it can."""
    planes, dtype = data.draw(st.sampled_from([(0, np.uint8), (3, np.uint8), (4, np.uint16)]))
    style = data.draw(st.sampled_from(["smooth", "equal", "constant"]))
    image = make_wide_image(style, 9, 12, planes, dtype)
    file = encode_context(image, data.draw(st.sampled_from([1, 9])))
    header = reference.read_header(file)
    if header.coder != 2:
        return
    start = len(file) - len(header.payload)
    position = data.draw(st.integers(start, min(len(file), start + 12)))
    inserted = data.draw(st.binary(max_size=2))
    file = file[:position] + inserted + file[position + data.draw(st.integers(0, 2)) :]
    assert outcomes(file) in [(None,) * 2, ((image.shape, canonical_samples(image)),) * 2]
    samples = decode_without_checksum(file, {}, decode_context)
    if samples is not None:
        event("good")
        file = with_checksum(file, samples)
    ours, theirs = outcomes(file)
    assert ours == theirs
    assert ours == (None if samples is None else (image.shape, samples))


@pytest.mark.parametrize(
    ("payload", "good"),
    [
        (b"\x01\x01\x07\xf8\x01", True),
        (b"\x0f\x01\x07\xf8\x01", True),
        (b"\x00\x01\x07\xf8\x01", False),
        (b"\x11\x01\x07\xf8\x01", False),
        (b"\x31\x01\x07\xf8\x01", False),
        (b"\x41\x01\x07\xf8\x01", False),
        (b"\x01\x03\x07\xf8\x01", False),
        (b"\x01\x01\x07\xf9\x01", False),
        (b"\x01\x01\x07\xff\xff\xff\xff\xff\xff\xff\xff\x7f", False),
        (b"\x01\x81\x00\x07\xf8\x01", False),
        (b"\x01\x01\x07\xf8\x01\x00", False),
        (b"\x01\x01\x07\xf8", False),
        (b"\x01\x01", False),
        (b"\x01", False),
        (b"", False),
    ],
)
def test_fields_of_a_context_payload(payload, good):
    """A gray image of sevens."""
    samples = b"\x07" * 6
    expected = ((2, 3), samples) if good else None
    file = with_checksum(context_file(1, 3, 2, payload), samples)
    assert outcomes(file) == (expected, expected)


def test_scales_and_transforms_of_a_context_payload():
    """A pixel of sevens, its planes constant, in all transforms."""
    first = {3: [7, 0, 0], 4: [7, 128, 128, 0]}
    accepted = set()
    for mode in (5, 7, 8, 9, 10, 11):
        bits, components = BITS_OF_MODE[mode], PLANES_OF_MODE[mode]
        samples = (7).to_bytes(bits // 8, "little") * components
        for transform, scale in itertools.product(range(16), (0, 8, 9, 255)):
            try:
                ranges = context_ranges(mode, transform)
            except reference.SpecError:
                ranges = context_ranges(mode, 0)
            values = first.get(transform, [])[: len(ranges)]
            values += [7] * (len(ranges) - len(values))
            payload = bytes([16 * transform + 1]) + write((1 << len(ranges)) - 1)
            for value, limits in zip(values, ranges, strict=True):
                payload += write(value - limits.lowest) + write(limits.highest - value)
                payload += bytes([scale]) if bits == 16 else b""
            file = with_checksum(context_file(mode, 1, 1, payload), samples)
            ours, theirs = outcomes(file)
            assert ours == theirs
            if ours is not None:
                accepted.add((mode, transform, scale if bits == 16 else 0))
    assert accepted == {
        *((mode, 0, scale) for mode in (5, 9, 10, 11) for scale in (0, 8)),
        *((mode, 3, scale) for mode in (9, 10) for scale in (0, 8)),
        *((7, 0, 0), (8, 0, 0), (8, 3, 0), (8, 4, 0)),
    }


def test_context_coder_starts_with_the_codebook_that_is_named(books):
    """In a file of one image, and in a frame whose byte does not say otherwise (3.4, 6.4)."""
    book = books["gray"][0]
    image = make_image("gray", "smooth", 12, 12)
    file = encode_context(image)
    header = reference.read_header(file)
    identifier = reference.read_codebook(book.to_bytes()).id[:4]
    assert file[:7] == b"\xf7SC\x00\x41\x0c\x0c"
    assert outcomes(b"\xf7SC\x01" + file[4:7] + identifier + file[7:], book) == (None, None)
    for byte, good in ((0x40, False), (0x41, True), (0x43, False)):
        table = b"\x01" + bytes([byte]) + write(len(header.payload)) + file[7:11]
        framed = b"\xf7SC\x05" + file[4:7] + identifier + file[7:11] + segment(5, table) + b"\x00"
        outcome_of_image = (image.shape, canonical_samples(image)) if good else None
        assert outcomes(framed + header.payload, book) == (outcome_of_image,) * 2


def test_frames_of_the_context_coder():
    images = [make_wide_image(style, 9, 11, 3, np.uint8) for style in CONTEXT_STYLES]
    file = softcomp_codec.encode_frames(images, coder="context", codebook=None, effort=1)
    frames = split_frames(reference.read_header(file))
    assert {frame.coder for frame in frames} == {0, 2}
    for picture, image in zip(reference.decode_frames(file), images, strict=True):
        assert_same(picture, image)


@pytest.mark.parametrize(
    ("size", "tiles"),
    [
        ((1024, 1024), 1),
        ((1025, 1024), 2),
        ((1, 1 << 20), 1),
        ((1, (1 << 20) + 1), 2),
        ((3, 400000), 2),
        ((40, 70000), 3),
        ((700, 2049), 2),
        ((1300, 2100), 4),
        (((1 << 20) + 1, 1), 2),
    ],
)
def test_number_of_tiles(size, tiles):
    """The payload of a constant image has a check and a length 0 for each tile."""
    assert len(tile_grid(size[1], size[0], 1 << 20)) == tiles
    header = reference.read_header(encode_context(np.full(size, 7, np.uint8)))
    assert header.payload[1:5] == b"\x01\x07\xf8\x01"
    directory = header.payload[5:]
    assert len(directory) == (5 * tiles if tiles > 1 else 0)
    assert set(directory[4::5]) <= {1}


@pytest.mark.parametrize("size", [(1 << 20, 1), (1025, 1030)])
def test_constant_images_of_one_tile_and_of_two(size):
    image = np.full(size, 7, np.uint8)
    assert_same(reference.decode(encode_context(image)), image)
    with pytest.raises(reference.SpecError, match=r"bytes behind|early|later"):
        reference.decode(encode_context(np.full(size, 7, np.uint8)) + b"\0")


def test_tiles_that_are_raw():
    """Two tiles: one constant, one with samples of its own, and then a wrong check."""
    image = np.full((1024, 1025), 9, np.uint8)
    second = context_coder.tile_grid(1024, 1025)[1]
    second.of(image)[:] = np.random.default_rng(1).integers(9, 256, second.shape)
    file = encode_context(image, 1)
    header = reference.read_header(file)
    payload = read_context_payload(header)
    assert [tile.raw for tile in payload.tiles] == [False, True]
    assert payload.tiles[1].code == second.of(image).tobytes()
    for tile, place in zip(payload.tiles, context_coder.tile_grid(1024, 1025), strict=True):
        samples = place.of(image).tobytes()
        check_tile(header, tile, samples)
        with pytest.raises(reference.SpecError, match="check of a tile"):
            check_tile(header, tile, samples[:-1] + bytes([samples[-1] ^ 1]))


@pytest.mark.parametrize("size", [(1300, 2100), (2100, 600)])
def test_tiles(size):
    """Some tiles, or their first two rows where they have more than three."""
    rng = np.random.default_rng(size)
    image = (rng.integers(0, 40, size) + (np.arange(size[1]) // 50)[None] % 60).astype(np.uint8)
    header = reference.read_header(encode_context(image, 1))
    payload = read_context_payload(header)
    assert len(payload.tiles) > 1
    for number in {1, len(payload.tiles) - 1}:
        tile = payload.tiles[number]
        top, left, bottom, right = tile.top, tile.left, tile.bottom, tile.right
        check_tile(header, tile, image[top:bottom, left:right].tobytes())
        with pytest.MonkeyPatch.context() as patch:
            if bottom - top > 3:
                bottom = top + 2
                patch.setattr(ArithmeticDecoder, "finish", lambda decoder: None)
            sides = right - left, bottom - top
            rows = decode_tile(tile.code, payload, None, 8, *sides)[0]
        np.testing.assert_array_equal(rows, image[top:bottom, left:right])
