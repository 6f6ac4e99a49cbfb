"""Codebook files: forth and back, and every rule of SPEC 6 broken once."""

import hashlib
import json
import lzma
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_images import KINDS, noise
from small_codebooks import codebook_file, gray_codebook, named, noisy_states, section, with_windows

from softcomp_codec import codebook, container, huffman
from softcomp_codec.codebook import Codebook, KindBook, PlaneBook, built_in_part, part_for
from softcomp_codec.container import MODES, write_varint
from softcomp_codec.errors import (
    CodebookError,
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from softcomp_codec.kernels.entropy_kernels import N_CONTEXTS, N_ENERGIES
from softcomp_codec.shapes import N_GAP_SYMBOLS, shape_set

RECORD = b'{"name":"by hand"}'


def plane_bytes(**fields):
    """A plane book of a gray part, written by hand from SPEC 6.3."""
    usual = {
        "sample_bits": b"\x08",
        "predictor": b"\x01",
        "low_bits": b"\x04",
        "cell_value": b"\x80\x04",
        "n_shapes": b"\x02",
        "heights": b"\x01\x02",
        "widths": b"\x01\x02",
        "cells": b"\x01" + b"\x00\x0f\x00\x00",
        "code_lengths": b"\x01\x02\x02",
        "gap_lengths": bytes([7] * 103 + [8] * 50),
        "low_states": b"\xff\x7f" * 256 * 15 + b"\x03" * 256 * 15,
        "full_states": b"\0\x80" * 16 * 255 + b"\xff" * 16 * 255,
    }
    assert set(fields) <= set(usual)
    return b"".join({**usual, **fields}.values())


def part(*planes, kind=1, transform=0, n_planes=None):
    n_planes = len(planes) if n_planes is None else n_planes
    return bytes([kind, transform, n_planes]) + b"".join(planes)


def serialised(*parts, record=RECORD):
    return section(1, record) + b"".join(section(2, data) for data in parts)


PLAIN = serialised(part(plane_bytes()))


def load(content):
    return Codebook.from_bytes(codebook_file(content))


# --- forth and back -----------------------------------------------------------------------------


def test_a_codebook_by_hand():
    book = load(PLAIN)
    assert (book.name, book.kinds) == ("by hand", ("gray8",))
    assert book.identifier == hashlib.sha256(PLAIN).digest()
    (plane,) = book.planes_of("gray8")
    assert (plane.sample_bits, plane.predictor, plane.low_bits) == (8, 1, 4)
    assert (plane.cell_value, plane.n_shapes) == (512, 2)
    assert [plane.shapes.window(i).tolist() for i in (0, 1)] == [[[1]], [[0, 15], [0, 0]]]
    assert plane.shapes.anchors.tolist() == [0, 1]
    assert plane.shapes.code_lengths.tolist() == [1, 2, 2]
    assert plane.low_states.shape == (256, 16)
    assert (plane.low_states[:, 1:] == 0x7FFF0003).all()
    assert plane.full_states.shape == (16, 256)
    assert (plane.full_states[:, 1:] == 0x800000FF).all()
    assert book.serialised == PLAIN


def assert_equal(first, second):
    assert first.record == second.record
    assert first.identifier == second.identifier
    assert first.parts.keys() == second.parts.keys()
    for kind, one in first.parts.items():
        other = second.parts[kind]
        assert one.transform == other.transform
        for a, b in zip(one.planes, other.planes, strict=True):
            for name in ("sample_bits", "predictor", "low_bits", "cell_value"):
                assert getattr(a, name) == getattr(b, name)
            for name in ("heights", "widths", "offsets", "cells", "code_lengths", "gap_lengths"):
                x, y = getattr(a.shapes, name), getattr(b.shapes, name)
                assert x.dtype == y.dtype
                assert np.array_equal(x, y)
            assert np.array_equal(a.low_states[:, 1:], b.low_states[:, 1:])
            assert np.array_equal(a.full_states[:, 1:], b.full_states[:, 1:])


@pytest.mark.parametrize("kind", KINDS)
def test_trained_codebooks_come_back(books, kind, tmp_path):
    book = books[kind]
    data = book.to_bytes()
    assert_equal(Codebook.from_bytes(data), book)
    assert Codebook.from_bytes(data).to_bytes() == data
    book.save(tmp_path / "x.scfb")
    assert (tmp_path / "x.scfb").read_bytes() == data
    assert_equal(Codebook.load(str(tmp_path / "x.scfb")), book)
    assert book.kinds == (kind,)
    assert [book.fits(mode) for mode in MODES.values()] == [
        kind == served for served in ("bilevel", "gray8", "rgb8", "gray8", "bilevel", *[None] * 8)
    ]


@st.composite
def codebooks(draw):
    """Codebooks of any kinds, transforms, shapes, codes and states."""
    parts = {}
    for kind in draw(st.sets(st.integers(0, 2), min_size=1)):
        transform = draw(st.integers(0, 2)) if kind == 2 else 0
        ranges = codebook.planes.plane_ranges(MODES[kind], transform)
        parts[kind] = KindBook(transform, tuple(draw(plane_books(high - low))
                                                for low, high in ranges))  # fmt: skip
    record = draw(
        st.dictionaries(
            st.text(st.characters(codec="utf-8"), max_size=5),
            st.one_of(st.integers(), st.text(st.characters(codec="utf-8"), max_size=9), st.none()),
            max_size=3,
        )
    )
    return Codebook({**record, "name": draw(st.text(st.characters(codec="utf-8")))}, parts)


@st.composite
def plane_books(draw, largest):
    sample_bits = largest.bit_length()
    low_bits = draw(st.integers(max(0, sample_bits - 8), sample_bits))
    seed = draw(st.integers(0, 999))
    windows = []
    for index in range(draw(st.integers(0, 3)) if low_bits < sample_bits else 0):
        size = draw(st.sampled_from([(1, 1), (1, 5), (3, 2), (255, 1), (2, 255)]))
        window = noise(size, (largest >> low_bits) + 1, seed + index).astype(np.uint16)
        window[0, seed % size[1]] |= 1
        windows.append(window)
    counts = draw(st.lists(st.integers(0, 99), min_size=154, max_size=154))

    def states(n_bits, n_contexts):
        return noisy_states(n_bits, n_contexts, lambda shape, n: noise(shape, n, seed))

    full = states(sample_bits, N_ENERGIES)
    return PlaneBook(
        sample_bits,
        draw(st.integers(0, 2)),
        low_bits,
        draw(st.integers(0, 1 << 20)),
        shape_set(
            windows,
            huffman.code_lengths(counts[: len(windows) + 1]),
            huffman.code_lengths(counts[:N_GAP_SYMBOLS]),
        ),
        full if low_bits == sample_bits else states(low_bits, N_CONTEXTS),
        full,
    )


@given(codebooks())
def test_any_codebook_comes_back(book):
    assert_equal(Codebook.from_bytes(book.to_bytes()), book)


def test_the_id_does_not_depend_on_the_compressor(books):
    book = books["gray8"]
    identifier = hashlib.sha256(book.serialised).digest()
    packings = [
        (0, book.serialised),
        (1, lzma.compress(book.serialised, preset=0)),
        (1, lzma.compress(book.serialised, check=lzma.CHECK_NONE)),
        (1, lzma.compress(book.serialised, check=lzma.CHECK_SHA256, preset=6)),
    ]
    for method, packed in packings:
        file = codebook_file(book.serialised, method=method, packed=packed)
        assert file[4:36] == identifier
        assert Codebook.from_bytes(file).to_bytes() == book.to_bytes()
    assert len(book.to_bytes()) < len(book.serialised)


def test_errors_name_the_file(tmp_path):
    path = tmp_path / "bad.scfb"
    for data, error in (
        (b"", CorruptStreamError),
        (b"GIF89a", CorruptStreamError),
        (codebook_file(PLAIN)[:50], CorruptStreamError),
        (codebook_file(PLAIN)[:20], TruncatedStreamError),
        (codebook_file(PLAIN, version=3), UnsupportedStreamError),
    ):
        path.write_bytes(data)
        with pytest.raises(error, match=r"bad\.scfb: .*codebook"):
            Codebook.load(path)
    with pytest.raises(FileNotFoundError):
        Codebook.load(tmp_path / "none.scfb")


# --- the built-in prior -------------------------------------------------------------------------


def test_built_in_prior():
    """SPEC 5.10."""
    (plane,) = built_in_part(0, 0).planes
    assert (plane.sample_bits, plane.predictor, plane.low_bits, plane.n_shapes) == (1, 0, 0, 49)
    sizes = [plane.shapes.window(i).shape for i in range(49)]
    assert all(plane.shapes.window(i).all() for i in range(49))
    assert sizes[:4] == [(1, 1), (1, 2), (2, 1), (1, 4)]
    assert sizes[-1] == (64, 64)
    assert sizes == sorted(sizes, key=lambda size: (size[0] * size[1], size[0]))
    assert plane.shapes.code_lengths.tolist() == [5] * 14 + [6] * 36
    bits = {(1, 0): [8], (2, 0): [8, 8, 8], (2, 1): [8, 9, 9], (2, 2): [8, 9, 9]}
    for (kind, transform), sample_bits in bits.items():
        planes = built_in_part(kind, transform).planes
        assert [plane.sample_bits for plane in planes] == sample_bits
        for plane in planes:
            assert (plane.predictor, plane.low_bits, plane.n_shapes) == (1, plane.sample_bits, 0)
            assert plane.shapes.gap_lengths.tolist() == [7] * 103 + [8] * 50
            assert plane.full_states.shape == (16, 1 << plane.sample_bits)
            assert (plane.full_states == 1 << 31).all()


def test_parts_are_used_for_their_own_transform(books):
    book = books["rgb8"]
    own = book.parts[2]
    for transform in range(3):
        expected = own if transform == own.transform else built_in_part(2, transform)
        assert part_for(book, MODES[2], transform) is expected
    assert part_for(None, MODES[3], 0) is built_in_part(1, 0)
    with pytest.raises(CodebookError, match=r"codebook 'small-rgb8-0' has no part for bilevel"):
        part_for(book, MODES[0], 0)


# --- every rule of SPEC 6.3 ---------------------------------------------------------------------

FULL = b"\xff" * 153
CODES = "code lengths that no prefix code has"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sample_bits": b"\x07"}, "plane of 7 bits, predictor 1, 4 low bits"),
        ({"sample_bits": b"\x09"}, "plane of 9 bits"),
        ({"sample_bits": b"\0"}, "plane of 0 bits"),
        ({"predictor": b"\x03"}, "predictor 3"),
        ({"predictor": b"\xff"}, "predictor 255"),
        ({"low_bits": b"\x09"}, "9 low bits"),
        ({"low_bits": b"\xff"}, "255 low bits"),
        ({"cell_value": write_varint((1 << 20) + 1)}, "cell value is 1048577, expected at most"),
        ({"cell_value": b"\x80\0"}, "cell value is not in its shortest form"),
        ({"n_shapes": write_varint((1 << 22) + 1)}, "number of shapes is 4194305, expected at"),
        ({"n_shapes": write_varint(1 << 22)}, "heights needs 4194304 bytes, only "),
        ({"n_shapes": b"\x82\0"}, "number of shapes is not in its shortest form"),
        ({"heights": b"\x00\x02"}, "a shape without cells"),
        ({"widths": b"\x01\x00"}, "a shape without cells"),
        ({"heights": b"\xff\xff", "widths": b"\xff\xff"}, "cells needs 130050 bytes, only"),
        ({"cells": b"\x00" + b"\0\x0f\0\0"}, "a shape whose first row is empty"),
        ({"cells": b"\x01" + b"\0\0\x0f\x0f"}, "a shape whose first row is empty"),
        ({"cells": b"\x10" + b"\0\x0f\0\0"}, "a shape holds 16, too large for its plane"),
        ({"cells": b"\x01" + b"\0\x0f\xff\0"}, "a shape holds 255, too large for its plane"),
        ({"code_lengths": b"\0\x02\x02"}, CODES),
        ({"code_lengths": b"\x19\x02\x02"}, CODES),
        ({"code_lengths": b"\x01\x01\x02"}, CODES),
        ({"gap_lengths": bytes([7] * 104 + [8] * 49)}, CODES),
        ({"gap_lengths": bytes([0] + [8] * 152)}, CODES),
        ({"gap_lengths": bytes([25] + [8] * 152)}, CODES),
        ({"gap_lengths": FULL}, CODES),
        ({"low_states": b""}, "probabilities needs 8160 bytes, only 720"),
        ({"low_states": b"", "full_states": b""}, "probabilities needs 7680 bytes, only 0"),
        ({"full_states": b"\0\x80" * 16 * 255}, "counts needs 4080 bytes, only 0"),
        ({"full_states": b"\0\x80" * 16 * 255 + b"\x03" * 4081}, "bytes follow the last plane"),
        ({"low_bits": b"\x08"}, "a shape holds 15, too large for its plane"),
    ],
)
def test_fields_of_a_plane_that_cannot_be(fields, message):
    with pytest.raises(CorruptStreamError, match=f"codebook.*{message}"):
        load(serialised(part(plane_bytes(**fields))))


def test_incomplete_codes_and_other_limits_are_allowed():
    for fields in (
        {"code_lengths": b"\x18\x18\x18"},
        {"gap_lengths": b"\x18" * 153},
        {"cell_value": write_varint(1 << 20)},
        {"cell_value": b"\0"},
        {"predictor": b"\x02"},
        {"low_bits": b"\x00", "low_states": b"", "cells": b"\xff\0\x01\0\0"},
        {"low_bits": b"\x08", "low_states": b"", "n_shapes": b"\0", "heights": b"", "widths": b"",
         "cells": b"", "code_lengths": b"\x01"},
    ):  # fmt: skip
        content = serialised(part(plane_bytes(**fields)))
        assert load(content).serialised == content


def test_a_nine_bit_plane_needs_a_low_layer(books):
    """A cell has 8 bits, so L is at least the sample bits - 8."""
    content = books["rgb8"].serialised
    book = books["rgb8"]
    index = next(i for i, plane in enumerate(book.parts[2].planes) if plane.sample_bits == 9)
    assert index
    head = bytes([9, book.parts[2].planes[index].predictor, 4])
    start = content.index(head, 40)
    wrong = content[: start + 2] + b"\0" + content[start + 3 :]
    with pytest.raises(CorruptStreamError, match=r"plane of 9 bits, predictor \d, 0 low bits"):
        load(wrong)


GRAY = plane_bytes()


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (part(GRAY, kind=3), UnsupportedStreamError, "kind of image 3 is unknown"),
        (part(GRAY, kind=255), UnsupportedStreamError, "kind of image 255 is unknown"),
        (part(GRAY, n_planes=0), CorruptStreamError, "gray8: 0 planes with colour transform 0"),
        (part(GRAY, GRAY), CorruptStreamError, "gray8: 2 planes"),
        (part(GRAY, transform=3), CorruptStreamError, "colour transform 3"),
        (part(GRAY, transform=1), CorruptStreamError, "a colour transform needs three planes"),
        (part(GRAY, GRAY, GRAY, kind=2, transform=1), CorruptStreamError, "plane of 8 bits"),
        (part(GRAY, GRAY, kind=2), CorruptStreamError, "rgb8: 2 planes"),
        (part(GRAY, kind=0), CorruptStreamError, "plane of 8 bits"),
        (part(GRAY) + b"\0", CorruptStreamError, "bytes follow the last plane"),
        (b"", TruncatedStreamError, "kind, transform and number of planes needs 3 bytes"),
        (b"\x01\0", TruncatedStreamError, "kind, transform and number of planes needs 3 bytes"),
    ],
)
def test_parts_that_cannot_be(data, error, message):
    with pytest.raises(error, match=f"codebook.*{message}"):
        load(serialised(data))


RGB = part(GRAY, GRAY, GRAY, kind=2)
CANONICAL = "it is not in its canonical form"


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", CorruptStreamError, "a training record and a part are needed"),
        (section(1, RECORD), CorruptStreamError, "a training record and a part are needed"),
        (section(2, part(GRAY)), CorruptStreamError, "a training record and a part are needed"),
        (section(2, part(GRAY)) + section(1, RECORD), CorruptStreamError, CANONICAL),
        (section(1, RECORD) * 2 + section(2, part(GRAY)), CorruptStreamError, CANONICAL),
        (serialised(part(GRAY), part(GRAY)), CorruptStreamError, CANONICAL),
        (serialised(RGB, part(GRAY)), CorruptStreamError, CANONICAL),
        (PLAIN + section(9, b""), UnsupportedStreamError, "critical section 9 is unknown"),
        (PLAIN + section(0, b""), UnsupportedStreamError, "critical section 0 is unknown"),
        (PLAIN + section(0x7F, b"x"), UnsupportedStreamError, "critical section 127 is unknown"),
        (PLAIN + section(0x80, b""), CorruptStreamError, "section 128 is reserved"),
        (section(0xFF, b"x") + PLAIN, CorruptStreamError, "section 255 is reserved"),
        (PLAIN + b"\x02", TruncatedStreamError, "section length needs 1 bytes"),
        (PLAIN + b"\x02\x05abc", TruncatedStreamError, "section 2 needs 5 bytes, only 3"),
        (PLAIN + b"\x02" + write_varint(1 << 27), CorruptStreamError, "section length is"),
        (PLAIN + b"\x80\x80\0", CorruptStreamError, "section length is not in its shortest form"),
    ],
)
def test_sections_that_cannot_be(content, error, message):
    with pytest.raises(error, match=f"codebook.*{message}"):
        load(content)


def test_parts_of_several_kinds():
    content = serialised(part(GRAY), RGB)
    assert load(content).kinds == ("gray8", "rgb8")
    assert load(content).serialised == content


DEEP = 100_000


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b'{"name":"\xff"}', "is no JSON"),
        (b"[" * DEEP + b"]" * DEEP, "is no JSON"),
        (b"null", "has no name"),
        (b'["name"]', "has no name"),
        (b"{}", "has no name"),
        (b'{"name":null}', "has no name"),
        (b'{"name":5}', "has no name"),
        (b'{"name": "x"}', CANONICAL),
        (b'{"name":"x"}\n', CANONICAL),
        (b'{"name":"x","a":1}', CANONICAL),
        (b'{"name":"x","name":"x"}', CANONICAL),
        (b'{"name":"\\u00e9"}', CANONICAL),
        (b'{"a":1.0e0,"name":"x"}', CANONICAL),
        (b'\xef\xbb\xbf{"name":"x"}', ""),
        ('{"name":"x"}'.encode("utf-16"), CANONICAL),
    ],
)
def test_records_that_cannot_be(record, message):
    with pytest.raises(CorruptStreamError, match=f"codebook: .*{message}"):
        load(serialised(part(GRAY), record=record))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_no_json(number):
    record = f'{{"a":{number},"name":"x"}}'.encode()
    with pytest.raises(CorruptStreamError, match="codebook: its training record is bad"):
        load(serialised(part(GRAY), record=record))


def test_half_a_surrogate_pair():
    with pytest.raises(CorruptStreamError, match="codebook: its training record is bad"):
        load(serialised(part(GRAY), record=b'{"name":"\\ud800"}'))


def test_records_as_deep_as_can_be_read():
    """What can just be parsed can be too deep to be written again."""
    refused = 0
    for depth in range(300, 1000):
        record = b'{"a":' + b"[" * depth + b"]" * depth + b',"name":"x"}'
        try:
            load(serialised(part(GRAY), record=record))
        except CorruptStreamError:
            refused += 1
    assert refused


def test_a_record_keeps_everything():
    record = {"name": "é ÷ 象", "a": [1, 2.5, None, True, {"b": "\x00\u2028"}], "big": 10**40}
    text = json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    book = load(serialised(part(GRAY), record=text.encode()))
    assert book.record == record
    assert book.name == "é ÷ 象"


# --- the file around it -------------------------------------------------------------------------


PACKED = lzma.compress(PLAIN)


@pytest.mark.parametrize(
    ("file", "error", "message"),
    [
        (b"", CorruptStreamError, "not a codebook: it starts with nothing, expected f7 53 42"),
        (b"\xf7SC" + bytes(60), CorruptStreamError, "not a codebook: it starts with f7 53 43"),
        (codebook_file(PLAIN, version=1), UnsupportedStreamError, "byte 3: version 1, compression"),
        (codebook_file(PLAIN, method=2), UnsupportedStreamError, "version 0, compression 2"),
        (codebook_file(PLAIN, method=15), UnsupportedStreamError, "version 0, compression 15"),
        (codebook_file(PLAIN, identifier=bytes(32)), CorruptStreamError,
         f"its content has ID {hashlib.sha256(PLAIN).hexdigest()}, the file says {'00' * 32}"),
        (codebook_file(PLAIN, length=(1 << 26) + 1), CorruptStreamError,
         "serialised length is 67108865, expected at most 67108864"),
        (codebook_file(PLAIN, length=len(PLAIN) - 1), CorruptStreamError, "bytes of content, exp"),
        (codebook_file(PLAIN, length=len(PLAIN) + 1), TruncatedStreamError, "bytes of content, e"),
        (codebook_file(PLAIN) + b"\0", CorruptStreamError, "bytes of content, expected"),
        (codebook_file(PLAIN, method=1), CorruptStreamError, "compressed data are damaged"),
        (codebook_file(PLAIN, method=1, packed=b""), TruncatedStreamError,
         f"the data end after 0 of {len(PLAIN)} bytes of content"),
        (codebook_file(PLAIN, method=1, packed=PACKED[:-9]), CorruptStreamError,
         "compressed data do not end where they should"),
        (codebook_file(PLAIN, method=1, packed=PACKED + bytes(4)), CorruptStreamError,
         "compressed data do not end where they should"),
        (codebook_file(PLAIN, method=1, packed=PACKED + lzma.compress(b"")), CorruptStreamError,
         "compressed data do not end where they should"),
        (codebook_file(PLAIN, method=1, packed=lzma.compress(PLAIN[:-1])), TruncatedStreamError,
         f"{len(PLAIN) - 1} bytes of content, expected {len(PLAIN)}"),
        (codebook_file(PLAIN, method=1, packed=lzma.compress(PLAIN + b"x")), CorruptStreamError,
         "compressed data do not end|bytes of content"),
        (codebook_file(PLAIN, method=1, packed=lzma.compress(PLAIN, format=lzma.FORMAT_ALONE)),
         CorruptStreamError, "compressed data are damaged"),
    ],
)  # fmt: skip
def test_files_that_cannot_be(file, error, message):
    with pytest.raises(error, match=message) as caught:
        Codebook.from_bytes(file)
    assert type(caught.value) is error


@pytest.mark.parametrize("method", [0, 1])
def test_files_cut_at_every_byte(method):
    packed = lzma.compress(PLAIN) if method else PLAIN
    file = codebook_file(PLAIN, method=method, packed=packed)
    assert Codebook.from_bytes(file).serialised == PLAIN
    for n_bytes in range(len(file)):
        with pytest.raises(CorruptStreamError):
            Codebook.from_bytes(file[:n_bytes])


@pytest.mark.parametrize("method", [0, 1])
def test_files_with_any_bit_flipped(method):
    packed = lzma.compress(PLAIN) if method else PLAIN
    file = codebook_file(PLAIN, method=method, packed=packed)
    for position in range(0, len(file), 1 if method or len(file) < 200 else 3):
        damaged = bytearray(file)
        damaged[position] ^= 1 << (position % 8)
        with pytest.raises(ScfError):
            Codebook.from_bytes(bytes(damaged))


def test_serialisations_cut_at_every_byte():
    """With the right ID and length, so that the parser itself meets the end."""
    for n_bytes in range(len(PLAIN)):
        with pytest.raises(CorruptStreamError):
            load(PLAIN[:n_bytes])


def zeros_packed(n_bytes, **options):
    packer = lzma.LZMACompressor(preset=0, **options)
    chunk = bytes(1 << 20)
    return b"".join(packer.compress(chunk) for _ in range(n_bytes >> 20)) + packer.flush()


@pytest.mark.parametrize("length", [100, 1 << 20])
def test_bombs_are_not_unpacked(length):
    """Only one byte more than the file promises is ever unpacked."""
    file = codebook_file(b"", method=1, packed=zeros_packed(1 << 26), length=length)
    tracemalloc.start()
    try:
        with pytest.raises(CorruptStreamError, match="do not end where they should"):
            Codebook.from_bytes(file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * length + (4 << 20)


def test_a_dictionary_that_would_need_a_gigabyte():
    """The size of the dictionary is a byte in the header of an .xz block."""
    packed = bytearray(lzma.compress(PLAIN))
    size = 4 * (packed[12] + 1)
    header = packed[12 : 12 + size]
    position = header.index(b"\x21\x01") + 2
    header[position] = 36  # 1 GiB
    header[-4:] = zlib.crc32(header[:-4]).to_bytes(4, "little")
    packed[12 : 12 + size] = header
    with pytest.raises(UnsupportedStreamError, match=r"more memory than .* limit of 256 MiB"):
        Codebook.from_bytes(codebook_file(PLAIN, method=1, packed=bytes(packed)))


def test_codebooks_are_not_changed_by_use(books):
    """The arrays of a parsed codebook are its own and keep its content."""
    book = books["gray8"]
    assert named(book, "other").identifier != book.identifier
    assert named(book, book.name).identifier == book.identifier
    smaller = with_windows(book, 1, 0, [np.array([[3]], np.uint16)])
    assert smaller.planes_of("gray8")[0].n_shapes == 1
    assert Codebook.from_bytes(smaller.to_bytes()).identifier == smaller.identifier
    assert gray_codebook("a").identifier != gray_codebook("b").identifier
    assert container.MODES[1].name == "gray8"
