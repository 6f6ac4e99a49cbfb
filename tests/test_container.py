"""The container: headers, segments and file checks, valid and not."""

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from made_images import image

import softcomp_codec
from softcomp_codec import container
from softcomp_codec.container import (
    MAX_SIDE,
    MODES,
    ByteReader,
    Frame,
    Header,
    Segment,
    read_file,
    read_header,
    read_header_from,
    write_file,
    write_header,
    write_segment,
    write_varint,
)
from softcomp_codec.errors import (
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
)

MAGIC = b"\xf7SC"
PLAIN = Header(MODES[1], 28, 300, container.SHAPES, b"", 0x12345678)

sides = st.one_of(st.integers(1, 300), st.integers(1, MAX_SIDE), st.just(MAX_SIDE))
kinds = st.integers(0x80, 0xFF).filter(lambda kind: kind != container.SEGMENT_FILE_CHECK)
segments = st.builds(Segment, kinds, st.binary(max_size=300))


WITHOUT_PALETTE = [mode for mode in MODES.values() if mode != container.PALETTE]


def coders_of(mode):
    """The coders that code a mode."""
    return [c for c in container.READABLE_CODERS if container.codes_mode(c, mode)]


headers = st.builds(
    lambda mode_and_coder, width, height, *rest: Header(
        mode_and_coder[0], width, height, mode_and_coder[1], *rest
    ),
    st.sampled_from([(mode, coder) for mode in WITHOUT_PALETTE for coder in coders_of(mode)]),
    sides,
    sides,
    st.sampled_from(container.REFERENCE_LENGTHS).flatmap(
        lambda n_bytes: st.binary(min_size=n_bytes, max_size=n_bytes)
    ),
    st.integers(0, 2**32 - 1),
    st.lists(segments, max_size=4).map(tuple),
)


@st.composite
def with_frames(draw):
    """A header with a frame table, and payloads of the frames' lengths."""
    header = draw(headers)
    frames = [
        Frame(
            draw(st.sampled_from(coders_of(header.mode))),
            False,
            draw(st.integers(0, 300)),
            draw(st.integers(0, 2**32 - 1)),
        )
        for _ in range(draw(st.integers(1, 5)))
    ]
    if header.codebook_reference:
        frames = [
            replace(frame, built_in=frame.coder == container.SHAPES and draw(st.booleans()))
            for frame in frames
        ]
    payloads = [bytes([index]) * frame.n_bytes for index, frame in enumerate(frames)]
    first = frames[0]
    return replace(
        header, coder=first.coder, checksum=first.checksum, frames=tuple(frames)
    ), payloads


def header_bytes(**fields):
    """A header of `PLAIN` with some fields replaced by other bytes."""
    order = ("magic", "version", "coder_mode", "width", "height", "reference", "crc", "rest")
    usual = (MAGIC, b"\0", b"\x21", b"\x1c", b"\xac\x02", b"", b"\x78\x56\x34\x12", b"")
    assert set(fields) <= set(order)
    return b"".join(fields.get(name, value) for name, value in zip(order, usual, strict=True))


# --- headers ------------------------------------------------------------------------------------


def test_a_header_by_hand():
    assert write_header(PLAIN) == header_bytes()
    found = read_header(header_bytes() + b"payload")
    assert found == PLAIN
    assert found.payload_offset == len(header_bytes()) == 12
    assert (found.shape, found.raw_size, found.codebook_name) == ((300, 28), 8400, None)


@given(headers, st.binary(max_size=20), st.booleans())
def test_headers_come_back(header, payload, file_check):
    data = write_file(header, payload, file_check=file_check)
    found, rest = read_file(data)
    assert rest == payload
    assert found.payload_offset == len(data) - len(payload)
    if file_check:
        assert found.segments[0].kind == container.SEGMENT_FILE_CHECK
        assert container.file_check_matches(data, found) is True
        found = replace(found, segments=found.segments[1:])
    assert found == header


@given(headers, st.integers(1, 50))
def test_headers_from_streams(header, step):
    class Slow(io.BytesIO):
        def read(self, n_bytes=-1):
            return super().read(min(n_bytes, step))

    data = write_header(header)
    stream = Slow(b"before" + data + b"payload" * 100)
    stream.seek(6)
    found = read_header_from(stream)
    assert found == header
    assert found.payload_offset == len(data)


@given(headers)
def test_headers_cut_at_every_byte(header):
    data = write_header(header)
    assert read_header(data) == header
    for n_bytes in range(1, len(data)):
        with pytest.raises(TruncatedStreamError, match=r"(header|segment).*only \d+ are left"):
            read_header(data[:n_bytes])
        with pytest.raises(TruncatedStreamError):
            read_header_from(io.BytesIO(data[:n_bytes]))


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"magic": b"\x89PNG"}, CorruptStreamError, r"not an \.scf file: .* 89 50 4e, .* f7 53 43"),
        ({"magic": b"\xf7SB"}, CorruptStreamError, "starts with f7 53 42"),
        *[
            ({"version": bytes([version << 4])}, UnsupportedStreamError,
             f"header, byte 3: format version {version}, .* version 0")
            for version in (1, 2, 9, 15)
        ],
        ({"version": b"\x08"}, UnsupportedStreamError, "byte 3: a set of images"),
        ({"version": b"\x0f"}, UnsupportedStreamError, "byte 3: a set of images"),
        *[
            ({"coder_mode": bytes([1 << 5 | mode])}, UnsupportedStreamError,
             rf"byte 4: mode {mode} is unknown; known: \[0, 1, 2, .*, 24, 25, 31\]")
            for mode in range(26, 31)
        ],
        ({"coder_mode": bytes([1 << 5 | 31])}, CorruptStreamError,
         "mode 31 without array description"),
        *[
            ({"coder_mode": bytes([coder << 5 | mode])}, UnsupportedStreamError,
             rf"byte 4: coder {coder} .* does not code")
            for coder, mode in ((1, 14), (3, 20), (5, 17), (6, 21), (2, 22), (2, 23), (7, 19))
        ],
        *[
            ({"coder_mode": bytes([coder << 5 | mode])}, UnsupportedStreamError,
             rf"byte 4: coder {coder} \({name}\) does not code {MODES[mode].name[:4]}")
            for coder, name in ((1, "shapes"), (5, "reference")) for mode in range(5, 12)
        ],
        ({"coder_mode": b"\x61"}, UnsupportedStreamError,
         r"byte 4: coder 3 \(bilevel\) does not code gray8"),
        ({"width": b"\0"}, CorruptStreamError, r"width 0 is outside 1\.\.2147483647"),
        ({"height": b"\0"}, CorruptStreamError, r"height 0 is outside 1\.\.2147483647"),
        ({"width": write_varint(2**31)}, CorruptStreamError,
         "header, byte 5: width is 2147483648, expected at most 2147483647"),
        ({"height": write_varint(2**62)}, CorruptStreamError, f"byte 6: height is {2**62}, exp"),
        ({"width": b"\x9c\0"}, CorruptStreamError, "byte 5: width is not in its shortest form"),
        ({"width": b"\x80\0"}, CorruptStreamError, "byte 5: width is not in its shortest form"),
        ({"height": b"\xac\x82\0"}, CorruptStreamError, "byte 6: height is not in its shortest"),
        ({"width": b"\xff" * 9 + b"\x01"}, CorruptStreamError, "byte 5: width "),
        ({"width": b"\x80" * 11}, CorruptStreamError, "width is longer than 9 bytes"),
    ],
)  # fmt: skip
def test_forbidden_fields(fields, error, message):
    with pytest.raises(error, match=message) as caught:
        read_header(header_bytes(**fields) + b"payload" * 9)
    assert type(caught.value) is error


@pytest.mark.parametrize("data", [b"", b"\xf6", b"GIF89a", b"\xf7SD\0", b"\xf7C"])
def test_foreign_magic_is_not_truncation(data):
    with pytest.raises(CorruptStreamError, match=r"not an \.scf file: it starts with") as caught:
        read_header(data)
    assert not isinstance(caught.value, TruncatedStreamError)


@pytest.mark.parametrize("data", [b"\xf7", b"\xf7S", MAGIC])
def test_part_of_the_magic_is_truncation(data):
    with pytest.raises(TruncatedStreamError, match="header, byte "):
        read_header(data)


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (-1, 1), (2**31, 1), (1, 2**31)])
def test_sizes_are_checked_by_the_constructor(width, height):
    with pytest.raises(CorruptStreamError, match=r"is outside 1\.\.2147483647"):
        Header(MODES[1], width, height, 1, b"", 0)


@pytest.mark.parametrize("n_bytes", [1, 2, 3, 5, 7, 9, 31, 33])
def test_reference_lengths(n_bytes):
    with pytest.raises(ValueError, match=rf"reference of {n_bytes} bytes, expected one of \(0, 4"):
        Header(MODES[1], 1, 1, 1, bytes(n_bytes), 0)


@pytest.mark.parametrize(
    ("mode", "size", "raw_size", "shape"),
    [
        (0, (1, 1), 1, (1, 1)),
        (0, (8, 3), 3, (3, 8)),
        (0, (9, 3), 6, (3, 9)),
        (4, (9, 3), 6, (3, 9, 1)),
        (1, (9, 3), 27, (3, 9)),
        (3, (9, 3), 27, (3, 9, 1)),
        (2, (9, 3), 81, (3, 9, 3)),
        (5, (9, 3), 54, (3, 9)),
        (6, (9, 3), 54, (3, 9, 1)),
        (7, (9, 3), 54, (3, 9, 2)),
        (8, (9, 3), 108, (3, 9, 4)),
        (9, (9, 3), 162, (3, 9, 3)),
        (10, (9, 3), 216, (3, 9, 4)),
        (11, (9, 3), 108, (3, 9, 2)),
    ],
)
def test_raw_sizes_and_shapes(mode, size, raw_size, shape):
    header = Header(MODES[mode], *size, 1, b"", 0)
    assert header.raw_size == raw_size
    assert header.shape == shape


# --- overhead -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bilevel", "gray8", "rgb8"])
def test_overhead_of_a_small_image_with_a_codebook(books, kind):
    """A 28 x 28 image has 15 bytes around its payload (SPEC 2.1)."""
    array = image(kind, 28, 28, seed=97)
    coder = "shapes" if kind == "bilevel" else "auto"
    data = softcomp_codec.encode(array, codebook=books[kind], coder=coder)
    header, payload = read_file(data)
    assert header.codebook_reference == books[kind].identifier[:4]
    assert len(data) - len(payload) == 15
    data = softcomp_codec.encode(array, codebook=None)
    assert len(data) - len(read_file(data)[1]) == 11


@pytest.mark.parametrize(
    ("size", "around"),
    [((1, 1), 11), ((127, 127), 11), ((128, 127), 12), ((16384, 128), 14), ((MAX_SIDE, 1), 15)],
)
def test_overhead_without_a_codebook(size, around):
    assert len(write_header(Header(MODES[0], *size, 1, b"", 0))) == around


# --- varints and bytes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "code"),
    [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02"), (16383, "ff7f"),
     (16384, "808001"), (MAX_SIDE, "ffffffff07"), (2**63 - 1, "ff" * 8 + "7f")],
)  # fmt: skip
def test_varints_by_hand(value, code):
    assert write_varint(value).hex() == code
    assert ByteReader(bytes.fromhex(code), "test").varint("field", 2**63) == value


@given(st.integers(0, 2**63 - 1), st.binary(max_size=3))
def test_varints_come_back(value, behind):
    code = write_varint(value)
    reader = ByteReader(code + behind, "test")
    assert reader.varint("field", value) == value
    assert reader.offset == len(code) <= 9
    if value:
        with pytest.raises(CorruptStreamError, match=f"test, byte 0: field is {value}, expected"):
            ByteReader(code, "test").varint("field", value - 1)
    for n_bytes in range(len(code)):
        with pytest.raises(TruncatedStreamError, match=f"test, byte {n_bytes}: field needs 1 byte"):
            ByteReader(code[:n_bytes], "test").varint("field", value)


def test_bytes_that_are_missing():
    reader = ByteReader(b"abcdef", "thing")
    assert reader.take(4, "start") == b"abcd"
    with pytest.raises(
        TruncatedStreamError, match="thing, byte 4: end needs 3 bytes, only 2 are left"
    ):
        reader.take(3, "end")
    assert reader.take(2, "end") == b"ef"


# --- segments -----------------------------------------------------------------------------------


def with_segments(*pieces):
    return header_bytes(version=b"\x04", rest=b"".join(pieces))


def test_a_segment_by_hand():
    body = b"\x84\x03abc"
    data = body + struct.pack("<I", zlib.crc32(body))
    assert write_segment(Segment(0x84, b"abc")) == data
    found = read_header(with_segments(data, b"\0") + b"payload")
    assert found.segments == (Segment(0x84, b"abc"),)
    assert not found.segments[0].critical
    assert found.segments[0].name == "properties"
    assert found.payload_offset == len(with_segments(data, b"\0"))


def test_no_segments_behind_the_flag():
    assert read_header(with_segments(b"\0")).segments == ()


@pytest.mark.parametrize("kind", [0x80, 0x81, 0x85, 0x87, 0x8A, 0xFF])
def test_ancillary_segments_are_skipped(kind):
    """Known or not: the picture decodes, and `segment` finds the data."""
    array = image("gray8")
    header, payload = read_file(softcomp_codec.encode(array, codebook=None))
    data = write_file(replace(header, segments=(Segment(kind, b"some data"),)), payload)
    assert read_header(data).segment(kind) == b"some data"
    assert np.array_equal(softcomp_codec.decode(data), array)


@pytest.mark.parametrize("kind", [4, 6, 8, 0x42, 0x7F])
def test_critical_segments_are_refused(kind):
    name = container.SEGMENT_NAMES.get(kind, f"kind 0x{kind:02x}")
    known = "is not built yet" if kind in container.SEGMENT_NAMES else "is unknown"
    assert Segment(kind, b"").critical
    data = with_segments(write_segment(Segment(kind, b"abc")), b"\0")
    with pytest.raises(
        UnsupportedStreamError, match=f"byte 12: critical segment {name} {known}; a newer"
    ):
        read_header(data)


def test_the_first_of_two_segments_counts():
    first, second = Segment(0x89, b"one"), Segment(0x89, b"two")
    header = replace(PLAIN, codebook_reference=bytes(4), segments=(first, second))
    found = read_header(write_header(header))
    assert found.segment(0x89) == b"one"
    assert found.codebook_name == "one"
    assert found.segment(0x81) is None


def test_names_that_are_no_utf8():
    header = replace(PLAIN, segments=(Segment(0x89, b"\xff\xfe"),))
    assert header.codebook_name == "\ufffd\ufffd"


@given(st.integers(0x80, 0xFF), st.binary(max_size=200), st.data())
def test_damaged_segments(kind, content, data):
    segment = bytearray(write_segment(Segment(kind, content)))
    position = data.draw(st.integers(0, len(segment) - 1))
    segment[position] ^= 1 << data.draw(st.integers(0, 7))
    assume(segment[0])  # a 0 ends the list of segments
    with pytest.raises(ScfError):
        read_header(with_segments(bytes(segment), b"\0"))


def test_wrong_checksum_of_a_segment():
    segment = bytearray(write_segment(Segment(0x84, b"abc")))
    segment[-1] ^= 1
    with pytest.raises(
        CorruptStreamError,
        match=r"byte 12: segment properties has checksum [0-9a-f]{8}, its data give [0-9a-f]{8}",
    ):
        read_header(with_segments(bytes(segment), b"\0"))


@pytest.mark.parametrize("kind", [0, -1, 256])
def test_kinds_that_no_segment_has(kind):
    with pytest.raises(ValueError, match=rf"segment kind {kind} is outside 1\.\.255"):
        Segment(kind, b"")


def test_lengths_are_checked_before_reading():
    with pytest.raises(
        CorruptStreamError, match=f"length of segment properties is {2**40}, expected at"
    ):
        read_header(with_segments(b"\x84", write_varint(2**40)))
    with pytest.raises(
        TruncatedStreamError, match=f"segment properties needs {2**30} bytes, only 3"
    ):
        read_header(with_segments(b"\x84", write_varint(2**30), b"abc"))


def test_too_many_segments():
    one = write_segment(Segment(0xFF, b""))
    assert len(read_header(with_segments(one * 1024, b"\0")).segments) == 1024
    with pytest.raises(CorruptStreamError, match="more than 1024 segments"):
        read_header(with_segments(one * 1025, b"\0"))


# --- frames -------------------------------------------------------------------------------------


def frame_table(*entries, count=None):
    """A file of two bytes' payload with a frame table of (coder byte, length, checksum)."""
    data = write_varint(len(entries) if count is None else count)
    for coder, length, crc in entries:
        data += bytes([coder]) + write_varint(length) + struct.pack("<I", crc)
    return data


def framed(table, **fields):
    fields = {"version": b"\x04", **fields}
    rest = write_segment(Segment(container.SEGMENT_FRAMES, table)) + b"\0"
    return header_bytes(**fields, rest=rest) + b"ab"


FIRST = (0x20, 1, 0x12345678)


@given(with_frames(), st.booleans())
def test_frames_come_back(header_and_payloads, file_check):
    header, payloads = header_and_payloads
    data = write_file(header, b"".join(payloads), file_check=file_check)
    found, rest = read_file(data)
    assert found.frames == header.frames
    assert found.n_frames == len(payloads)
    assert container.file_check_matches(data, found) is (True if file_check else None)
    assert found.segments[file_check:] == header.segments
    assert found.frame_offsets[-1] == len(rest)
    for index, payload in enumerate(payloads):
        assert container.frame_payload(found, rest, index) == payload
        single = container.frame_header(found, index)
        frame = header.frames[index]
        assert (single.coder, single.checksum, single.frames) == (frame.coder, frame.checksum, ())
        uses_book = frame.coder != container.STORED and not frame.built_in
        assert single.codebook_reference == (header.codebook_reference if uses_book else b"")
    for index in (-1, len(payloads)):
        with pytest.raises(IndexError, match=f"frame {index} of a file of {len(payloads)}"):
            container.frame_payload(found, rest, index)


def test_a_frame_table_by_hand():
    data = framed(frame_table(FIRST, (0, 1, 7)))
    header, rest = read_file(data)
    assert header.frames == (Frame(1, False, 1, 0x12345678), Frame(0, False, 1, 7))
    assert [container.frame_payload(header, rest, i) for i in (0, 1)] == [b"a", b"b"]
    assert header.segments == ()


def test_a_file_without_a_frame_table():
    header = read_header(header_bytes())
    assert (header.n_frames, header.frames) == (1, ())
    assert container.frame_header(header, 0) is header
    assert container.frame_payload(header, b"all", 0) == b"all"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (frame_table(), "its first frame is not the header's"),
        (frame_table((0, 1, 0x12345678)), "its first frame is not the header's"),
        (frame_table((0x20, 1, 5)), "its first frame is not the header's"),
        (frame_table(FIRST, (0x22, 1, 5)), "frame 1 has coder byte 0x22"),
        (frame_table(FIRST, (0x30, 1, 5)), "frame 1 has coder byte 0x30"),
        (frame_table(FIRST, (0x21, 1, 5)), "frame 1 has coder byte 0x21"),  # no codebook at all
        (frame_table(FIRST) + b"x", "bytes follow the last frame"),
        (frame_table(FIRST, count=2), "coder of frame 1 needs 1 bytes, only 0 are left"),
        (frame_table(count=2**40), f"number of frames is {2**40}, expected at most"),
        (frame_table((0x20, 2**62 + 1, 0x12345678)), "payload length of frame 0 is"),
        (b"", "number of frames needs 1 bytes"),
        (b"\x81\0", "number of frames is not in its shortest form"),
        (frame_table(FIRST)[:-1], "checksum of frame 0 needs 4 bytes, only 3"),
    ],
)
def test_frame_tables_that_cannot_be(table, message):
    with pytest.raises(CorruptStreamError, match=f"frame table.*{message}") as caught:
        read_header(framed(table))
    assert not isinstance(caught.value, TruncatedStreamError)  # the segment is whole


@pytest.mark.parametrize("mode", [0, 4, 5, 6, 9, 10, 11])
def test_the_few_colour_coder_is_for_8_bits(mode):
    header = Header(MODES[mode], 5, 6, container.FEW_COLOUR, b"", 0)
    with pytest.raises(UnsupportedStreamError, match=r"coder 4 \(few-colour\) does not code"):
        read_header(write_header(header))


def test_two_frame_tables():
    table = write_segment(Segment(container.SEGMENT_FRAMES, frame_table(FIRST)))
    with pytest.raises(CorruptStreamError, match="more than one frame table"):
        read_header(with_segments(table, table, b"\0"))


def test_a_stored_frame_of_the_built_in_prior():
    """SPEC 3.4: a stored frame has bit 0 clear."""
    data = framed(frame_table(FIRST, (0x01, 1, 5)), version=b"\x05", reference=bytes(4))
    with pytest.raises(CorruptStreamError, match="frame 1 has coder byte 0x01"):
        read_header(data)


def test_a_frame_of_the_tiny_coder_by_the_built_in_prior():
    """SPEC 3.4: it always needs a codebook."""
    for flag, reference in ((0xC1, bytes(4)), (0xC1, b"")):
        version = b"\x05" if reference else b"\x04"
        data = framed(frame_table(FIRST, (flag, 1, 5)), version=version, reference=reference)
        with pytest.raises(CorruptStreamError, match="frame 1 has coder byte 0xc1"):
            read_header(data)


def test_frames_end_where_their_lengths_say():
    header = read_header(framed(frame_table(FIRST, (0, 3, 7))))
    assert container.frame_payload(header, b"abc", 1) == b"bc"
    assert container.frame_payload(header, b"a", 1) == b""
    assert container.frame_payload(header, b"", 1) == b""
    with pytest.raises(CorruptStreamError, match="2 bytes follow the last frame"):
        container.frame_payload(header, b"abcdef", 1)


# --- file check ---------------------------------------------------------------------------------


def test_a_file_check_by_hand():
    """CRC-32 of all bytes but its own data and the segment's checksum (SPEC 3.3)."""
    array = image("gray8")
    data = softcomp_codec.encode(array, codebook=None, file_check=True)
    found = read_header(data)
    start = data.index(b"\x88\x04") + 2
    assert start == 13  # the first segment
    crc = zlib.crc32(data[:start] + data[start + 8 :])
    assert data[start : start + 4] == struct.pack("<I", crc)
    assert found.segments[0] == Segment(0x88, struct.pack("<I", crc))
    assert container.file_check_matches(data, found) is True
    assert np.array_equal(softcomp_codec.decode(data), array)


def test_a_file_check_finds_every_flipped_bit():
    data = softcomp_codec.encode(image("gray8", 9, 9), codebook=None, file_check=True)
    for position in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            try:
                header = read_header(bytes(damaged))
            except ScfError:
                continue
            # None: the flag of the segments was hit, then they are taken for the payload
            assert container.file_check_matches(bytes(damaged), header) is not True


def test_no_file_check():
    data = softcomp_codec.encode(image("gray8"), codebook=None)
    assert container.file_check_matches(data, read_header(data)) is None


@pytest.mark.parametrize(
    "kinds",
    [
        (Segment(0x88, b""),),
        (Segment(0x88, b"abc"),),
        (Segment(0x88, b"abcde"),),
        (Segment(0x84, b""), Segment(0x88, bytes(4))),
        (Segment(0x88, bytes(4)), Segment(0x88, bytes(4))),
    ],
)
def test_a_file_check_of_another_length_or_place(kinds):
    with pytest.raises(
        CorruptStreamError, match="the file check is not 4 bytes in the first segment"
    ):
        read_header(write_header(replace(PLAIN, segments=kinds)))


def test_a_wrong_file_check():
    """It is compared although the picture is right."""
    header, payload = read_file(softcomp_codec.encode(image("gray8"), codebook=None))
    wrong = replace(header, segments=(Segment(0x88, bytes(4)),))
    with pytest.raises(CorruptStreamError, match="bytes of the file do not match its file check"):
        softcomp_codec.decode(write_file(wrong, payload))


# --- stored payloads ----------------------------------------------------------------------------


def stored(**changes):
    array = image("bilevel", 5, 9)
    samples = np.packbits(array, axis=1).tobytes()
    crc = container.checksum(MODES[0], 9, 5, samples)
    header = Header(MODES[0], 9, 5, container.STORED, b"", crc)
    return array, replace(header, **changes), samples


def test_a_stored_picture():
    array, header, samples = stored()
    assert np.array_equal(softcomp_codec.decode(write_file(header, samples)), array)
    for n_bytes in range(len(samples)):
        with pytest.raises(
            TruncatedStreamError, match=f"stored payload: {n_bytes} bytes, expected 10"
        ):
            softcomp_codec.decode(write_file(header, samples[:n_bytes]))
    with pytest.raises(CorruptStreamError, match="stored payload: 2 bytes follow the picture"):
        softcomp_codec.decode(write_file(header, samples + b"ab"))


def test_a_stored_picture_with_padding_bits():
    _, header, samples = stored()
    with pytest.raises(CorruptStreamError, match="stored payload: padding bits"):
        softcomp_codec.decode(write_file(header, samples[:-1] + b"\x01"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codebook_reference": bytes(4)}, "a stored picture must not refer to a codebook"),
        ({"segments": (Segment(0x89, b"x"),)}, "segment codebook name in a file without codebook"),
        ({"segments": (Segment(0x86, b"x"),)}, "embedded codebook in a file without codebook"),
        ({"checksum": 1}, "checksum of the decoded picture is [0-9a-f]{8}, the file says 00000001"),
    ],
)
def test_stored_pictures_that_cannot_be(changes, message):
    _, header, samples = stored(**changes)
    with pytest.raises(CorruptStreamError, match=message):
        softcomp_codec.decode(write_file(header, samples))


@pytest.mark.parametrize("kind", [0x86, 0x89])
def test_codebook_segments_without_a_codebook(kind):
    header, payload = read_file(softcomp_codec.encode(image("gray8"), codebook=None))
    assert header.coder == container.SHAPES
    with pytest.raises(CorruptStreamError, match="in a file without codebook"):
        softcomp_codec.decode(write_file(replace(header, segments=(Segment(kind, b"x"),)), payload))
