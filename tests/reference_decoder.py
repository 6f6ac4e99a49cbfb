"""A slow decoder of SCF files, written from SPEC.md alone, to show that the document suffices.

It shares no code with the package and needs the standard library only. The numbers in the
docstrings are the sections of SPEC.md. Plain statements come before speed everywhere.
"""

import hashlib
import json
import lzma
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

IMAGE_MAGIC = b"\xf7SC"
CODEBOOK_MAGIC = b"\xf7SB"
REFERENCE_BYTES = (0, 4, 8, 32)
KIND_OF_MODE = (0, 1, 2, 1, 0, None, None, None, None, None, None, None)
BITS_OF_MODE = (1, 8, 8, 8, 1, 16, 16, 8, 8, 16, 16, 16)
PLANES_OF_MODE = (1, 1, 3, 1, 1, 1, 1, 2, 4, 3, 4, 2)
LAST_AXIS_OF_MODE = (None, None, 3, 1, 1, None, 1, 2, 4, 3, 4, 2)
PLANES_OF_KIND = (1, 1, 3)
GAP_SYMBOLS = 153
ENERGY_CLASSES = 16
LOW_CONTEXTS = 256
LONGEST_CODEWORD = 24
ERROR_LIMITS = (5, 15, 25, 42, 60, 85, 140)
ENERGY_LIMITS = (0, 2, 4, 7, 11, 15, 20, 27, 36, 49, 66, 90, 130, 200, 350)

STORED, SHAPES, REFERENCE = 0, 1, 5

# Limits of this decoder, not of the format (1.3, 6.1).
MAX_SAMPLES = 1 << 24
MAX_SERIALISATION = 64 << 20

SEGMENT_FRAMES = 0x05
SEGMENT_CODEBOOK = 0x86
SEGMENT_FILE_CHECK = 0x88
SEGMENT_CODEBOOK_NAME = 0x89


class SpecError(ValueError):
    """What SPEC.md calls corrupt, truncated or unsupported."""


@dataclass(frozen=True)
class Picture:
    """A decoded image (2.2, 2.5): component planes as rows of numbers, and canonical samples."""

    mode: int
    width: int
    height: int
    shape: tuple[int, ...]
    planes: list[list[list[int]]]
    samples: bytes


@dataclass(frozen=True)
class Shape:
    """A rectangle of cells of the high layer (1.1, 5.7)."""

    height: int
    width: int
    cells: tuple[int, ...]

    @property
    def anchor(self) -> int:
        """Column of the first non-zero cell of the first row (5.7)."""
        return next(column for column in range(self.width) if self.cells[column])


@dataclass(frozen=True)
class PlaneBook:
    """What encoder and decoder share about one plane (6.3).

    The states are lists of contexts, each a list of (P, n) by node; node 0 is not used.
    """

    sample_bits: int
    predictor: int
    low_bits: int
    cell_value: int
    shapes: list[Shape]
    shape_lengths: list[int]
    gap_lengths: list[int]
    low_states: list[list[tuple[int, int]]]
    full_states: list[list[tuple[int, int]]]


@dataclass(frozen=True)
class Part:
    """The plane books of a codebook for one kind of image (6.3)."""

    kind: int
    transform: int
    plane_books: list[PlaneBook]


@dataclass(frozen=True)
class Scheme:
    """What the reference coder does to one plane (5R.1)."""

    lowest: int
    highest: int
    predictor: str
    low_bits: int
    tile_height: int
    tile_width: int
    tile_code: str
    largest_cell: int

    @property
    def tile_symbols(self) -> int:
        """Number of different tiles."""
        return 1 << (self.low_bits * self.tile_height * self.tile_width)


SCHEMES = (
    [Scheme(0, 1, "none", 0, 0, 0, "none", 1)],
    [Scheme(0, 255, "GAP", 4, 2, 2, "static", 31)],
    [
        Scheme(0, 255, "MED", 4, 1, 2, "adaptive", 31),
        Scheme(-255, 255, "MED", 4, 1, 2, "adaptive", 63),
        Scheme(-255, 255, "MED", 4, 1, 2, "adaptive", 63),
    ],
    [
        Scheme(0, 255, "GAP", 8, 1, 1, "adaptive", 1),
        Scheme(-255, 255, "GAP", 5, 1, 2, "adaptive", 31),
        Scheme(-255, 255, "GAP", 5, 1, 2, "adaptive", 31),
    ],
)
KIND_OF_SCHEME = (0, 1, 2, 2)


@dataclass(frozen=True)
class ReferencePlane:
    """What a codebook says about one plane for the reference coder (5R.9)."""

    shapes: list[Shape]
    shape_lengths: bytes
    sample_lengths: bytes
    tile_lengths: bytes
    tile_frequencies: list[int]


@dataclass(frozen=True)
class ReferencePart:
    """A part for the reference coder (5R.9)."""

    scheme: int
    planes: list[ReferencePlane]


@dataclass(frozen=True)
class Codebook:
    """A codebook file (6): its ID, its training record and its parts by kind of image."""

    id: bytes
    record: dict[str, Any]
    parts: dict[int, Part]
    reference_parts: dict[int, ReferencePart]


@dataclass(frozen=True)
class Header:
    """A file up to its payload (2.1), or what stands for it of one of its frames (3.4)."""

    coder: int
    mode: int
    width: int
    height: int
    reference: bytes
    checksum: int
    embedded: bytes | None
    frame_table: bytes | None
    payload: bytes

    @property
    def kind(self) -> int | None:
        """Kind of image (6.2), which the modes that only coder 0 codes have none of (2.4)."""
        return KIND_OF_MODE[self.mode]


@dataclass(frozen=True)
class Range:
    """Lowest and highest value of a plane (5.2)."""

    lowest: int
    highest: int

    @property
    def span(self) -> int:
        """Highest minus lowest."""
        return self.highest - self.lowest

    @property
    def sample_bits(self) -> int:
        """Number of binary digits of highest minus lowest (5.2)."""
        return self.span.bit_length()

    def clamp(self, value: int) -> int:
        """Return the nearest value inside the range."""
        return min(max(value, self.lowest), self.highest)


# Bytes and numbers (1.2)


class ByteReader:
    """Takes fields from the front of a byte string (1.2)."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    @property
    def at_end(self) -> bool:
        """Whether all bytes are taken."""
        return self.position == len(self.data)

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        if count > len(self.data) - self.position:
            raise SpecError("truncated: a field reaches behind the end")
        self.position += count
        return self.data[self.position - count : self.position]

    def byte(self) -> int:
        """Return the next byte as a number."""
        return self.take(1)[0]

    def uint32(self) -> int:
        """Return the next four bytes as a little-endian number."""
        return int(struct.unpack("<I", self.take(4))[0])

    def varint(self) -> int:
        """Return the next varint (1.2)."""
        value = 0
        for index in range(9):
            byte = self.byte()
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if byte == 0 and index > 0:
                    raise SpecError("corrupt: a varint is not in its shortest form")
                return value
        raise SpecError("corrupt: a varint has more than 9 bytes")

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        return self.take(len(self.data) - self.position)


def write_varint(value: int) -> bytes:
    """Return the varint of a number (1.2)."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


# The container (2, 3)


def read_segments(file: ByteReader, with_reference: bool) -> dict[int, bytes]:
    """Read segments up to the closing byte 0 and verify their CRCs and the file check (3)."""
    first_of_kind: dict[int, bytes] = {}
    while True:
        start = file.position
        kind = file.byte()
        if kind == 0:
            return first_of_kind
        content = file.take(file.varint())
        end_of_content = file.position
        if file.uint32() != zlib.crc32(file.data[start:end_of_content]):
            raise SpecError("corrupt: the CRC of a segment is wrong")
        if kind < 0x80 and kind != SEGMENT_FRAMES:
            raise SpecError(f"unsupported: critical segment {kind:02X}h")
        if kind == SEGMENT_FRAMES and kind in first_of_kind:
            raise SpecError("corrupt: a second frame table")
        if kind in (SEGMENT_CODEBOOK, SEGMENT_CODEBOOK_NAME) and not with_reference:
            raise SpecError("corrupt: a codebook segment in a file without a codebook reference")
        if kind == SEGMENT_FILE_CHECK:
            if first_of_kind:
                raise SpecError("corrupt: the file check is not the first segment")
            check_file(file.data, content, end_of_content)
        first_of_kind.setdefault(kind, content)


def check_file(data: bytes, content: bytes, end_of_content: int) -> None:
    """Compare the file check with the file's bytes (3.3)."""
    if len(content) != 4:
        raise SpecError("corrupt: the file check has not four bytes")
    covered = data[: end_of_content - 4] + data[end_of_content + 4 :]
    if int.from_bytes(content, "little") != zlib.crc32(covered):
        raise SpecError("corrupt: the file check differs")


def read_side(file: ByteReader) -> int:
    """Read a width or height (2.3)."""
    side = file.varint()
    if not 1 <= side <= 2**31 - 1:
        raise SpecError("corrupt: a side is 0 or more than 2^31 - 1")
    return side


def read_header(data: bytes) -> Header:
    """Read a file up to its payload (2.1)."""
    file = ByteReader(data)
    if file.take(3) != IMAGE_MAGIC:
        raise SpecError("corrupt: no SCF file")
    flags = file.byte()
    if flags >> 4 != 0:
        raise SpecError("unsupported: another version")
    if flags & 8:
        raise SpecError("unsupported: a set")
    coder_and_mode = file.byte()
    coder, mode = coder_and_mode >> 5, coder_and_mode & 31
    if mode >= len(KIND_OF_MODE):
        raise SpecError("unsupported: a reserved mode")
    check_coder(coder, mode)
    width = read_side(file)
    height = read_side(file)
    reference = file.take(REFERENCE_BYTES[flags & 3])
    stored_with_reference = coder == STORED and bool(reference)
    if stored_with_reference and not flags & 4:
        raise SpecError("corrupt: a stored image with a codebook reference")
    checksum = file.uint32()
    segments = read_segments(file, bool(reference)) if flags & 4 else {}
    if stored_with_reference and SEGMENT_FRAMES not in segments:
        raise SpecError("corrupt: a stored image with a codebook reference")
    return Header(
        coder=coder,
        mode=mode,
        width=width,
        height=height,
        reference=reference,
        checksum=checksum,
        embedded=segments.get(SEGMENT_CODEBOOK),
        frame_table=segments.get(SEGMENT_FRAMES),
        payload=file.rest(),
    )


def check_coder(coder: int, mode: int) -> None:
    """Refuse the coders that are reserved, and those that do not code the mode (2.4)."""
    if coder not in (STORED, SHAPES, REFERENCE):
        raise SpecError("unsupported: a reserved coder")
    if coder != STORED and mode > 4:
        raise SpecError("unsupported: a mode that this coder does not code")


def split_frames(header: Header) -> list[Header]:
    """Return the headers and payloads of the frames, one by one (3.4)."""
    if header.frame_table is None:
        return [header]
    table, payloads = ByteReader(header.frame_table), ByteReader(header.payload)
    number = table.varint()
    if number == 0:
        raise SpecError("corrupt: a frame table without frames")
    frames = []
    for _ in range(number):
        byte, length, checksum = table.byte(), table.varint(), table.uint32()
        coder, by_prior = byte >> 5, bool(byte & 1)
        check_coder(coder, header.mode)
        if byte & 0b11110 or (by_prior and (coder == STORED or not header.reference)):
            raise SpecError("corrupt: the byte of a frame")
        reference = b"" if by_prior or coder == STORED else header.reference
        payload = payloads.take(length)
        frames.append(
            replace(header, coder=coder, reference=reference, checksum=checksum, payload=payload)
        )
    if not table.at_end or not payloads.at_end:
        raise SpecError("corrupt: bytes behind the frame table or the last frame")
    if (frames[0].coder, frames[0].checksum) != (header.coder, header.checksum):
        raise SpecError("corrupt: the header is not the first frame's")
    return frames


def decode(data: bytes, codebooks: Sequence[bytes] = ()) -> Picture:
    """Decode a file with one image (2), or the first frame of a file with several (3.4).

    Parameters
    ----------
    data
        The whole `.scf` file.
    codebooks
        Whole `.scfb` files that the file may refer to.

    Returns
    -------
    Picture
        The image that was encoded.

    Raises
    ------
    SpecError
        If the file is corrupt, truncated or unsupported, or its codebook is not there.
    """
    header = read_header(data)
    return try_codebooks(header, split_frames(header)[:1], codebooks)[0]


def decode_frames(data: bytes, codebooks: Sequence[bytes] = ()) -> list[Picture]:
    """Decode all images of a file (2, 3.4), parameters and errors as of `decode`."""
    header = read_header(data)
    return try_codebooks(header, split_frames(header), codebooks)


def try_codebooks(
    header: Header, frames: list[Header], codebooks: Sequence[bytes]
) -> list[Picture]:
    """Decode frames with the codebook that is referred to (2.6)."""
    problem = SpecError("the codebook of the file is not there")
    for codebook in candidates(header, codebooks):
        try:
            return [decode_frame(frame, codebook) for frame in frames]
        except SpecError as error:
            problem = error
    if any(frame.reference for frame in frames):
        raise problem
    return [decode_frame(frame, None) for frame in frames]


def candidates(header: Header, codebooks: Sequence[bytes]) -> Iterator[Codebook]:
    """Yield what the codebook reference may mean, an embedded codebook alone (2.6, 3.2)."""
    if not header.reference:
        return
    if header.embedded is not None:
        embedded = read_codebook(header.embedded)
        if not embedded.id.startswith(header.reference):
            raise SpecError("corrupt: the embedded codebook is not the one referred to")
        yield embedded
        return
    for codebook in map(read_codebook, codebooks):
        if codebook.id.startswith(header.reference):
            yield codebook


def decode_frame(header: Header, codebook: Codebook | None) -> Picture:
    """Decode one image with a codebook, if it refers to one, and compare its checksum."""
    if header.coder == STORED:
        return check_picture(header, read_stored(header))
    if header.width * header.height * PLANES_OF_MODE[header.mode] > MAX_SAMPLES:
        raise SpecError(f"more than {MAX_SAMPLES} samples, a limit of this decoder")
    if not header.reference:
        codebook = None
    if header.coder == SHAPES:
        return check_picture(header, decode_shapes(header, codebook.parts if codebook else {}))
    parts = codebook.reference_parts if codebook else {}
    return check_picture(header, decode_reference(header, parts))


def read_stored(header: Header) -> list[list[list[int]]]:
    """Take the component planes from a stored payload (2.4)."""
    payload, width, height = header.payload, header.width, header.height
    bits, planes = BITS_OF_MODE[header.mode], PLANES_OF_MODE[header.mode]
    row_bytes = (width + 7) // 8 if bits == 1 else width * planes * bits // 8
    if len(payload) < row_bytes * height:
        raise SpecError("truncated: a stored payload")
    if len(payload) > row_bytes * height:
        raise SpecError("corrupt: bytes behind a stored payload")
    rows = [payload[row * row_bytes : (row + 1) * row_bytes] for row in range(height)]
    if bits == 1:
        digits = [[byte >> (7 - bit) & 1 for byte in row for bit in range(8)] for row in rows]
        if any(any(row[width:]) for row in digits):
            raise SpecError("corrupt: a padding bit is 1")
        return [[row[:width] for row in digits]]
    if bits == 8:
        samples = [list(row) for row in rows]
    else:
        samples = [
            [low + 256 * high for low, high in zip(row[0::2], row[1::2], strict=True)]
            for row in rows
        ]
    return [[row[plane::planes] for row in samples] for plane in range(planes)]


def canonical_samples(header: Header, planes: list[list[list[int]]]) -> bytes:
    """Return the canonical samples of component planes (2.5)."""
    out = bytearray()
    bits = BITS_OF_MODE[header.mode]
    for rows in zip(*planes, strict=True):
        if bits == 1:
            digits = "".join(map(str, rows[0])) + "0" * (-header.width % 8)
            out += int(digits, 2).to_bytes(len(digits) // 8, "big")
            continue
        for pixel in zip(*rows, strict=True):
            for sample in pixel:
                out += sample.to_bytes(bits // 8, "little")
    return bytes(out)


def check_picture(header: Header, planes: list[list[list[int]]]) -> Picture:
    """Compare the checksum (2.5) and return the picture."""
    samples = canonical_samples(header, planes)
    description = struct.pack("<BII", header.mode, header.width, header.height)
    if zlib.crc32(description + samples) != header.checksum:
        raise SpecError("corrupt: the checksum differs")
    last_axis = LAST_AXIS_OF_MODE[header.mode]
    shape: tuple[int, ...] = (header.height, header.width)
    if last_axis is not None:
        shape += (last_axis,)
    return Picture(header.mode, header.width, header.height, shape, planes, samples)


# Bits and codes (4)


class BitReader:
    """Takes bits, most significant first (4.1)."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def bit(self) -> int:
        """Return the next bit."""
        index, offset = divmod(self.position, 8)
        if index >= len(self.data):
            raise SpecError("truncated: the payload ends inside its bits")
        self.position += 1
        return self.data[index] >> (7 - offset) & 1

    def bit_or_zero(self) -> int:
        """Return the next bit, 0 behind the end (5R.7)."""
        if self.position < 8 * len(self.data):
            return self.bit()
        self.position += 1
        return 0

    def number(self, bits: int) -> int:
        """Return a number of so many bits, most significant first."""
        value = 0
        for _ in range(bits):
            value = 2 * value + self.bit()
        return value

    def rest_after_padding(self) -> bytes:
        """Check the bits 0 up to a whole byte and return the bytes behind them (5.1)."""
        while self.position % 8:
            if self.bit():
                raise SpecError("corrupt: a padding bit is 1")
        return self.data[self.position // 8 :]


class HuffmanCode:
    """A canonical Huffman code, given by its lengths (4.2)."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.symbols: dict[tuple[int, int], int] = {}
        codeword = -1
        last_length = 0
        for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths)):
            codeword = (codeword + 1) << (length - last_length)
            last_length = length
            self.symbols[length, codeword] = symbol

    def read(self, bits: BitReader) -> int:
        """Return the next symbol."""
        codeword = 0
        for length in range(1, LONGEST_CODEWORD + 1):
            codeword = 2 * codeword + bits.bit()
            symbol = self.symbols.get((length, codeword))
            if symbol is not None:
                return symbol
        raise SpecError("corrupt: no codeword")


def check_code_lengths(lengths: Sequence[int]) -> None:
    """Check the lengths of a code (4.2)."""
    if not all(1 <= length <= LONGEST_CODEWORD for length in lengths):
        raise SpecError("corrupt: a code length is not 1..24")
    if sum(1 << (LONGEST_CODEWORD - length) for length in lengths) > 1 << LONGEST_CODEWORD:
        raise SpecError("corrupt: the code lengths are no prefix code")


def read_golomb(bits: BitReader, parameter: int) -> int:
    """Read a number in Golomb's code (4.3)."""
    quotient = 0
    while bits.bit():
        quotient += 1
    digits = (parameter - 1).bit_length()
    if digits == 0:
        return quotient
    shorter = (1 << digits) - parameter
    remainder = bits.number(digits - 1)
    if remainder >= shorter:
        remainder = 2 * remainder + bits.bit() - shorter
    return quotient * parameter + remainder


class State:
    """An adaptive probability (22 bits) of a 1, and a count (4.4)."""

    def __init__(self, probability: int, count: int) -> None:
        self.probability = probability
        self.count = count

    def update(self, bit: int) -> None:
        """Learn from a bit."""
        target = 4194303 if bit else 0
        rate = 131072 // (2 * self.count + 3)
        self.probability += ((target - self.probability) * rate) >> 16
        self.count = min(self.count + 1, 255)


class ArithmeticDecoder:
    """The adaptive binary arithmetic decoder (4.4)."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.low = 0
        self.high = 0xFFFFFFFF
        self.dropped = 0
        self.code = int.from_bytes((data[:4] + bytes(4))[:4], "big")

    def bit(self, state: State) -> int:
        """Decode a bit with a state and let the state learn from it."""
        probability = min(max(state.probability >> 6, 32), 65504)
        width = self.high - self.low
        middle = self.low + (width >> 16) * probability + (((width & 0xFFFF) * probability) >> 16)
        bit = int(self.code <= middle)
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while self.low >> 24 == self.high >> 24:
            self.drop_byte()
        state.update(bit)
        return bit

    def drop_byte(self) -> None:
        """Drop the leading byte and take in the next, 0 behind the end of the payload."""
        if self.dropped >= len(self.data):
            raise SpecError("truncated: the arithmetic code ends too early")
        following = self.dropped + 4
        next_byte = self.data[following] if following < len(self.data) else 0
        self.low = (self.low << 8) & 0xFFFFFFFF
        self.high = (self.high << 8 | 0xFF) & 0xFFFFFFFF
        self.code = (self.code << 8 | next_byte) & 0xFFFFFFFF
        self.dropped += 1

    def finish(self) -> None:
        """Check that the payload ends where the encoder ended it."""
        for last_bytes in range(5):
            zero_bits = 32 - 8 * last_bytes
            least = -(-self.low >> zero_bits) << zero_bits
            if least <= self.high:
                break
        end = self.dropped + last_bytes
        if len(self.data) < end:
            raise SpecError("truncated: the arithmetic code ends too early")
        if len(self.data) > end:
            raise SpecError("corrupt: bytes behind the arithmetic code")


# The shapes coder (5)


@dataclass(frozen=True)
class CodedPlane:
    """The settings (5.1) and the high layer (5.7) of a plane."""

    limits: Range
    book: PlaneBook
    predictor: int
    low_bits: int
    high_layer: list[list[int]]


def plane_ranges(kind: int, transform: int) -> list[Range]:
    """Return the ranges of the planes (5.2)."""
    if kind == 0:
        return [Range(0, 1)]
    if kind == 1:
        return [Range(0, 255)]
    difference = Range(0, 255) if transform == 0 else Range(-255, 255)
    return [Range(0, 255), difference, difference]


def flat_states(contexts: int, bits: int) -> list[list[tuple[int, int]]]:
    """Return states that know nothing (5.9, 5.10)."""
    return [[(1 << 21, 0)] * (1 << bits) for _ in range(contexts)]


def prior_book(kind: int, limits: Range) -> PlaneBook:
    """Return the plane book of the built-in prior (5.10)."""
    bits = limits.sample_bits
    shapes = []
    shape_lengths = [1]
    low_bits = bits
    if kind == 0:
        sides = (1, 2, 4, 8, 16, 32, 64)
        sizes = sorted((height * width, height, width) for height in sides for width in sides)
        shapes = [Shape(height, width, (1,) * area) for area, height, width in sizes]
        shape_lengths = [5] * 14 + [6] * 36
        low_bits = 0
    return PlaneBook(
        sample_bits=bits,
        predictor=0 if kind == 0 else 1,
        low_bits=low_bits,
        cell_value=0,
        shapes=shapes,
        shape_lengths=shape_lengths,
        gap_lengths=[7] * 103 + [8] * 50,
        low_states=flat_states(LOW_CONTEXTS, low_bits),
        full_states=flat_states(ENERGY_CLASSES, bits),
    )


def decode_shapes(header: Header, parts: dict[int, Part]) -> list[list[list[int]]]:
    """Decode the payload of the shapes coder into component planes (5.1)."""
    bits = BitReader(header.payload)
    transform = bits.number(2) if header.kind == 2 else 0
    if transform == 3:
        raise SpecError("corrupt: colour transform 3")
    ranges = plane_ranges(header.kind, transform)
    if header.reference and header.kind not in parts:
        raise SpecError("corrupt: the codebook has no part for this kind of image")
    part = parts.get(header.kind)
    if part is not None and part.transform == transform:
        books = part.plane_books
    else:
        books = [prior_book(header.kind, limits) for limits in ranges]
    coded = [
        read_plane(bits, limits, book, header.width, header.height)
        for limits, book in zip(ranges, books, strict=True)
    ]
    arithmetic_code = bits.rest_after_padding()
    if any(plane.low_bits for plane in coded):
        arithmetic = ArithmeticDecoder(arithmetic_code)
        mapped = [read_low_layer(arithmetic, plane) for plane in coded]
        arithmetic.finish()
    elif arithmetic_code:
        raise SpecError("corrupt: bytes behind the payload")
    else:
        mapped = [plane.high_layer for plane in coded]
    planes = [restore_plane(plane, rows) for plane, rows in zip(coded, mapped, strict=True)]
    return invert_transform(transform, planes)


def read_plane(
    bits: BitReader, limits: Range, book: PlaneBook, width: int, height: int
) -> CodedPlane:
    """Read the settings of a plane (5.1) and its placements (5.8)."""
    predictor, low_bits, parameter = book.predictor, book.low_bits, 0
    if not bits.bit():
        predictor = bits.number(2)
        low_bits = bits.number(4)
        if predictor == 3:
            raise SpecError("corrupt: predictor 3")
        if low_bits > limits.sample_bits:
            raise SpecError("corrupt: L is above the sample bits")
        if low_bits < limits.sample_bits:
            parameter = bits.number(10)
    high_layer = [[0] * width for _ in range(height)]
    if low_bits < limits.sample_bits:
        read_placements(bits, book, parameter, limits.span >> low_bits, high_layer)
    return CodedPlane(limits, book, predictor, low_bits, high_layer)


def read_placements(
    bits: BitReader, book: PlaneBook, parameter: int, highest: int, layer: list[list[int]]
) -> None:
    """Paint the placements of a plane into its high layer (5.8)."""
    shape_code = HuffmanCode(book.shape_lengths)
    gap_code = HuffmanCode(book.gap_lengths)
    end_mark = len(book.shapes)
    width, cells = len(layer[0]), len(layer) * len(layer[0])
    covered = [[False] * width for _ in layer]
    cursor = 0
    while (symbol := shape_code.read(bits)) != end_mark:
        gap = read_golomb(bits, parameter) if parameter else read_gap(bits, gap_code)
        while cursor < cells and (gap or covered[cursor // width][cursor % width]):
            if not covered[cursor // width][cursor % width]:
                gap -= 1
            cursor += 1
        if cursor == cells:
            raise SpecError("corrupt: a location behind the last cell")
        row, column = divmod(cursor, width)
        paint(book.shapes[symbol], row, column, highest, layer, covered)


def read_gap(bits: BitReader, code: HuffmanCode) -> int:
    """Read a gap in the trained code (5.8)."""
    symbol = code.read(bits)
    if symbol < 128:
        return symbol
    more = 7 + symbol - 128
    return (1 << more) + bits.number(more)


def paint(
    shape: Shape,
    row: int,
    column: int,
    highest: int,
    layer: list[list[int]],
    covered: list[list[bool]],
) -> None:
    """Paint a shape with its anchor at a location (5.7)."""
    left = column - shape.anchor
    if left < 0 or left + shape.width > len(layer[0]) or row + shape.height > len(layer):
        raise SpecError("corrupt: a shape reaches outside the plane")
    if max(shape.cells) > highest:
        raise SpecError("corrupt: a shape holds a value above the highest")
    for index, value in enumerate(shape.cells):
        i, j = row + index // shape.width, left + index % shape.width
        if covered[i][j] and layer[i][j] != value:
            raise SpecError("corrupt: a shape differs from a covered cell")
        layer[i][j] = value
        covered[i][j] = True


def read_low_layer(arithmetic: ArithmeticDecoder, plane: CodedPlane) -> list[list[int]]:
    """Read the low layer of a plane and return its mapped residuals (5.9, 5.7)."""
    high, low_bits, book = plane.high_layer, plane.low_bits, plane.book
    if low_bits == 0:
        return high
    full = low_bits == plane.limits.sample_bits
    if full:
        initial = book.full_states
    elif low_bits == book.low_bits:
        initial = book.low_states
    else:
        initial = flat_states(LOW_CONTEXTS, low_bits)
    states = [[State(*state) for state in context] for context in initial]
    mapped: list[list[int]] = []
    for row in range(len(high)):
        mapped.append([])
        for column in range(len(high[0])):
            context = energy_class(mapped, row, column)
            if not full:
                context += 16 * layer_class(high, row, column)
            node = 1
            for _ in range(low_bits):
                node = 2 * node + arithmetic.bit(states[context][node])
            low = node - (1 << low_bits)
            mapped[row].append((high[row][column] << low_bits) + low)
    return mapped


def energy_class(mapped: list[list[int]], row: int, column: int) -> int:
    """Return q, the energy class of a sample, from the mapped residuals before it (5.9)."""
    around = neighbours_of(mapped, row, column)
    energy = 2 * around.w + 2 * around.n + around.nw + around.ne + around.ww + around.nn
    return sum(limit < energy for limit in ENERGY_LIMITS)


def layer_class(high: list[list[int]], row: int, column: int) -> int:
    """Return 4 min(h, 3) + k, the class of a sample's place in the high layer (5.9)."""
    not_zero = 0
    for i in range(max(row - 1, 0), min(row + 2, len(high))):
        for j in range(max(column - 1, 0), min(column + 2, len(high[0]))):
            not_zero += (i, j) != (row, column) and high[i][j] != 0
    return 4 * min(high[row][column], 3) + (0, 1, 1, 2, 2, 3, 3, 3, 3)[not_zero]


@dataclass(frozen=True)
class Neighbours:
    """The known samples around one, named by direction (5.3)."""

    w: int
    n: int
    nw: int
    ne: int
    ww: int
    nn: int
    nne: int


def neighbours_of(samples: list[list[int]], row: int, column: int) -> Neighbours:
    """Return the neighbours with their substitutes outside the plane (5.3)."""
    last = len(samples[0]) - 1
    w = samples[row][column - 1] if column > 0 else 0
    n = samples[row - 1][column] if row > 0 else w
    if column == 0:
        w = n
    nw = samples[row - 1][column - 1] if row > 0 and column > 0 else n
    ne = samples[row - 1][column + 1] if row > 0 and column < last else n
    ww = samples[row][column - 2] if column > 1 else w
    nn = samples[row - 2][column] if row > 1 else n
    nne = samples[row - 2][column + 1] if row > 1 and column < last else ne
    return Neighbours(w, n, nw, ne, ww, nn, nne)


class ZeroPredictor:
    """Predictor 0 (5.4)."""

    def __init__(self, limits: Range) -> None:
        self.limits = limits

    def estimate(self, around: Neighbours) -> int:
        """Return a prediction that may lie outside the range."""
        return 0

    def predict(self, around: Neighbours, column: int) -> int:
        """Return the prediction of a sample."""
        return self.limits.clamp(self.estimate(around))

    def learn(self, sample: int) -> None:
        """Take notice of the sample that was predicted."""


class MedPredictor(ZeroPredictor):
    """Predictor 1, the median edge detector (5.4)."""

    def estimate(self, around: Neighbours) -> int:
        """Return a prediction that may lie outside the range."""
        if around.nw >= max(around.w, around.n):
            return min(around.w, around.n)
        if around.nw <= min(around.w, around.n):
            return max(around.w, around.n)
        return around.w + around.n - around.nw


class GapPredictor(ZeroPredictor):
    """Predictor 2, GAP with error feedback (5.5), in sixteenths."""

    def __init__(self, limits: Range) -> None:
        super().__init__(limits)
        self.counts = [0] * (8 * 256)
        self.sums = [0] * (8 * 256)
        self.base = self.corrected = self.context = 0

    def predict(self, around: Neighbours, column: int) -> int:
        """Return the prediction of a sample."""
        error = abs(16 * around.w - self.base) >> 4 if column > 0 else 0
        horizontal = (
            abs(around.w - around.ww) + abs(around.n - around.nw) + abs(around.n - around.ne)
        )
        vertical = (
            abs(around.w - around.nw) + abs(around.n - around.nn) + abs(around.ne - around.nne)
        )
        self.base = gradient_adjusted(around, vertical - horizontal)
        self.context = 8 * texture(around, self.base) + sum(
            limit < horizontal + vertical + 2 * error for limit in ERROR_LIMITS
        )
        count = self.counts[self.context]
        self.corrected = self.base
        if count:
            self.corrected += 16 * self.sums[self.context] // count
        lowest, highest = 16 * self.limits.lowest, 16 * self.limits.highest
        return -(-min(max(self.corrected, lowest), highest) // 16)

    def learn(self, sample: int) -> None:
        """Add the error of the corrected prediction to the context."""
        self.counts[self.context] += 1
        self.sums[self.context] += (16 * sample - self.corrected) >> 4
        if self.counts[self.context] == 128:
            self.counts[self.context] = 64
            self.sums[self.context] >>= 1


def gradient_adjusted(around: Neighbours, slope: int) -> int:
    """Return p, in sixteenths, from the neighbours and t (5.5)."""
    w, n = around.w, around.n
    if slope > 80:
        return 16 * w
    if slope < -80:
        return 16 * n
    p = 8 * (w + n) + 4 * (around.ne - around.nw)
    if slope > 32:
        p = (p + 16 * w) >> 1
    elif slope > 8:
        p = (3 * p + 16 * w) >> 2
    elif slope < -32:
        p = (p + 16 * n) >> 1
    elif slope < -8:
        p = (3 * p + 16 * n) >> 2
    return p


def texture(around: Neighbours, base: int) -> int:
    """Return the texture number B (5.5)."""
    items = (
        2 * around.w - around.ww,
        2 * around.n - around.nn,
        around.ww,
        around.nn,
        around.ne,
        around.nw,
        around.w,
        around.n,
    )
    number = 0
    for item in items:
        number = 2 * number + (16 * item < base)
    return number


def unmap(mapped: int, prediction: int, limits: Range) -> int:
    """Return the sample of a mapped residual (5.6)."""
    below, above = prediction - limits.lowest, limits.highest - prediction
    both = min(below, above)
    if mapped > limits.span:
        raise SpecError("corrupt: a sample outside its range")
    if mapped > 2 * both:
        return prediction + (mapped - both if above > below else both - mapped)
    return prediction + (-(mapped + 1) // 2 if mapped % 2 else mapped // 2)


def restore_plane(plane: CodedPlane, mapped: list[list[int]]) -> list[list[int]]:
    """Return the samples of a plane from its mapped residuals (5.3 to 5.6)."""
    predictor = (ZeroPredictor, MedPredictor, GapPredictor)[plane.predictor](plane.limits)
    samples = [[0] * len(row) for row in mapped]
    for row, mapped_row in enumerate(mapped):
        for column, value in enumerate(mapped_row):
            prediction = predictor.predict(neighbours_of(samples, row, column), column)
            sample = unmap(value, prediction, plane.limits)
            predictor.learn(sample)
            samples[row][column] = sample
    return samples


def invert_transform(transform: int, planes: list[list[list[int]]]) -> list[list[list[int]]]:
    """Return the component planes of coded planes (5.2)."""
    if transform == 0:
        return planes
    components: list[list[list[int]]] = [[], [], []]
    for rows in zip(*planes, strict=True):
        restored = []
        for first, u, v in zip(*rows, strict=True):
            green = first - ((u + v) >> 2) if transform == 1 else first
            pixel = (u + green, green, v + green)
            if not all(0 <= component <= 255 for component in pixel):
                raise SpecError("corrupt: a restored component outside 0..255")
            restored.append(pixel)
        for component, row in zip(components, zip(*restored, strict=True), strict=True):
            component.append(list(row))
    return components


# The reference coder (5R)


@lru_cache(maxsize=16)
def huffman_code(lengths: bytes) -> HuffmanCode:
    """Return a code by its lengths, each time the same object: one has 65,536 codewords."""
    return HuffmanCode(lengths)


def decode_reference(header: Header, parts: dict[int, ReferencePart]) -> list[list[list[int]]]:
    """Decode the payload of the reference coder into component planes (5R.2)."""
    part = parts.get(header.kind)
    if part is None:
        raise SpecError("the codebook has no part for the reference coder and this kind of image")
    bits = BitReader(header.payload)
    planes = []
    for scheme, book in zip(SCHEMES[part.scheme], part.planes, strict=True):
        low = [[0] * header.width for _ in range(header.height)]
        high = [[0] * header.width for _ in range(header.height)]
        if scheme.low_bits:
            read_tiles(bits, scheme, book, low)
        read_reference_shapes(bits, part.scheme, book, high)
        planes.append(restore_reference_plane(scheme, low, high))
    if bits.rest_after_padding():
        raise SpecError("corrupt: bytes behind the payload")
    return invert_transform(1 if header.kind == 2 else 0, planes)


def read_tiles(bits: BitReader, scheme: Scheme, book: ReferencePlane, low: list[list[int]]) -> None:
    """Read the low layer of a plane (5R.6)."""
    tall, wide = scheme.tile_height, scheme.tile_width
    rows, columns = len(low) // tall * tall, len(low[0]) // wide * wide
    tiles = [(row, column) for row in range(0, rows, tall) for column in range(0, columns, wide)]
    if scheme.tile_code == "static":
        tile_code = huffman_code(book.tile_lengths)
        symbols = [tile_code.read(bits) for _ in tiles]
    else:
        symbols = read_adaptive(bits, book.tile_frequencies, len(tiles))
    for (row, column), symbol in zip(tiles, symbols, strict=True):
        rest = symbol
        for i in reversed(range(row, row + tall)):
            for j in reversed(range(column, column + wide)):
                low[i][j] = rest % (1 << scheme.low_bits)
                rest >>= scheme.low_bits
    sample_code = huffman_code(book.sample_lengths)
    for i, low_row in enumerate(low):
        for j in range(len(low_row)):
            if i >= rows or j >= columns:
                low_row[j] = sample_code.read(bits)


def read_adaptive(bits: BitReader, first_frequencies: list[int], number: int) -> list[int]:
    """Read so many symbols in the adaptive arithmetic code (5R.7)."""
    if number == 0:
        return []
    frequencies = list(first_frequencies)
    low, high = 0, 0xFFFFFFFF
    code = 0
    for _ in range(32):
        code = 2 * code + bits.bit_or_zero()
    symbols = []
    for _ in range(number):
        total, span = sum(frequencies), high - low + 1
        value = ((code - low + 1) * total - 1) // span
        symbol, a = 0, 0
        while value >= a + frequencies[symbol]:
            a += frequencies[symbol]
            symbol += 1
        b = a + frequencies[symbol]
        low, high = low + span * a // total, low + span * b // total - 1
        while low >> 31 == high >> 31:
            low = 2 * low % 2**32
            high = (2 * high + 1) % 2**32
            code = (2 * code + bits.bit_or_zero()) % 2**32
        while low >> 30 & 1 and not high >> 30 & 1:
            low = 2 * low % 2**31
            high = 2**31 + (2 * high + 1) % 2**31
            code = (code >> 31 << 31) + (2 * code + bits.bit_or_zero()) % 2**31
        frequencies[symbol] += 1
        symbols.append(symbol)
    bits.position -= 30
    if bits.position > 8 * len(bits.data):
        raise SpecError("truncated: the arithmetic code of tiles ends too early")
    return symbols


def read_reference_shapes(
    bits: BitReader, scheme: int, book: ReferencePlane, high: list[list[int]]
) -> None:
    """Read the shapes and locations of a plane into its high layer (5R.8)."""
    parameter = bits.number(5 if scheme == 0 else 10)
    if parameter == 0:
        return
    number = read_number_of_shapes(bits) if scheme == 1 else None
    height, width = len(high), len(high[0])
    row, column = bits.number(height.bit_length()), bits.number(width.bit_length())
    if row >= height or column >= width:
        raise SpecError("corrupt: a location that is not in the plane")
    shape_code = huffman_code(book.shape_lengths)
    covered = [[False] * width for _ in high]
    done = 0
    while True:
        paint_reference(book.shapes[shape_code.read(bits)], row, column, high, covered)
        done += 1
        if done == number:
            return
        distance = read_golomb(bits, parameter)
        if number is not None:
            distance += 1
        if distance == 0:
            return
        row, column = divmod(row * width + column + distance, width)
        if row >= height:
            raise SpecError("corrupt: a location that is not in the plane")


def read_number_of_shapes(bits: BitReader) -> int:
    """Read the number of shapes in scheme 1 (5R.8)."""
    digits = 1
    while not bits.bit():
        digits += 1
        if digits > 33:
            raise SpecError("corrupt: a number of shapes of more than 33 digits")
    return (1 << (digits - 1)) + bits.number(digits - 1)


def paint_reference(
    shape: Shape, top: int, left: int, layer: list[list[int]], covered: list[list[bool]]
) -> None:
    """Paint a shape with its top left cell at a location (5R.8)."""
    if top + shape.height > len(layer) or left + shape.width > len(layer[0]):
        raise SpecError("corrupt: a shape reaches outside the plane")
    for index, value in enumerate(shape.cells):
        i, j = top + index // shape.width, left + index % shape.width
        if covered[i][j]:
            raise SpecError("corrupt: a shape over a cell that another one covers")
        layer[i][j] = value
        covered[i][j] = True


def reference_med(samples: list[list[int]], row: int, column: int) -> int:
    """Return the prediction of MED (5R.3)."""
    if row == 0:
        return samples[0][column - 1] if column > 0 else 0
    n = samples[row - 1][column]
    if column == 0:
        return n
    w, nw = samples[row][column - 1], samples[row - 1][column - 1]
    if nw >= max(w, n):
        return min(w, n)
    if nw < min(w, n):
        return max(w, n)
    return w + n - nw


def gap_base(around: Neighbours) -> tuple[int, int]:
    """Return dh + dv and p, in sixteenths (5.5)."""
    dh = abs(around.w - around.ww) + abs(around.n - around.nw) + abs(around.n - around.ne)
    dv = abs(around.w - around.nw) + abs(around.n - around.nn) + abs(around.ne - around.nne)
    return dh + dv, gradient_adjusted(around, dv - dh)


class ReferenceGap:
    """GAP with error feedback of the reference coder (5R.4)."""

    def __init__(self, samples: list[list[int]], limits: Range) -> None:
        self.samples = samples
        self.limits = limits
        self.counts = [0] * (255 * 7 + 1)
        self.sums = [0] * (255 * 7 + 1)
        self.base = self.corrected = self.context = 0

    def at(self, row: int, column: int) -> int:
        """Return a sample, 0 outside the plane."""
        inside = row >= 0 and 0 <= column < len(self.samples[0])
        return self.samples[row][column] if inside else 0

    def neighbours(self, row: int, column: int) -> Neighbours:
        """Return the neighbours with their substitutes."""
        w, n = self.at(row, column - 1), self.at(row - 1, column)
        ww, nn = self.at(row, column - 2), self.at(row - 2, column)
        nw = self.at(row - 1, column - 1)
        if row == 0 and column > 0:
            n = nn = w
        if row == 1 and column > 0:
            nn = nw
        if column == 0 and row > 0:
            w = ww = n
        if column == 1 and row > 0:
            ww = nw
        ne, nne = self.at(row - 1, column + 1), self.at(row - 2, column + 1)
        return Neighbours(w, n, nw, ne, ww, nn, nne)

    def predict(self, row: int, column: int) -> int:
        """Return the prediction of a sample."""
        if column > 0:
            error = abs(16 * self.at(row, column - 1) - self.base)
        else:
            before = Neighbours(0, 0, 0, self.at(row - 1, 0), 0, 0, self.at(row - 2, 0))
            error = abs(gap_base(before)[1])
        around = self.neighbours(row, column)
        gradients, self.base = gap_base(around)
        energy = 16 * gradients + 2 * error
        level = sum(16 * limit < energy for limit in ERROR_LIMITS)
        self.context = texture(around, self.base) * level
        self.corrected = 4096 * self.base
        if self.counts[self.context]:
            self.corrected += self.sums[self.context] // self.counts[self.context]
        lowest, highest = 65536 * self.limits.lowest, 65536 * self.limits.highest
        return -(-min(max(self.corrected, lowest), highest) // 65536)

    def learn(self, sample: int) -> None:
        """Add the error of the corrected prediction to the context."""
        self.counts[self.context] += 1
        self.sums[self.context] += 65536 * ((65536 * sample - self.corrected) >> 16)
        if self.counts[self.context] == 128:
            self.counts[self.context] = 64
            self.sums[self.context] >>= 1


def restore_reference_plane(
    scheme: Scheme, low: list[list[int]], high: list[list[int]]
) -> list[list[int]]:
    """Return the samples of a plane from its layers (5R.5)."""
    samples = [[0] * len(row) for row in low]
    gap = ReferenceGap(samples, Range(scheme.lowest, scheme.highest))
    for row in range(len(low)):
        for column in range(len(low[0])):
            sample = (high[row][column] << scheme.low_bits) + low[row][column]
            if scheme.predictor != "none":
                sample = -(sample + 1) // 2 if sample % 2 else sample // 2
            if scheme.predictor == "MED":
                sample += reference_med(samples, row, column)
            elif scheme.predictor == "GAP":
                sample += gap.predict(row, column)
                gap.learn(sample)
            if not scheme.lowest <= sample <= scheme.highest:
                raise SpecError("corrupt: a sample outside its range")
            samples[row][column] = sample
    return samples


# Codebook files (6)


def read_codebook(data: bytes) -> Codebook:
    """Read a whole `.scfb` file (6).

    Parameters
    ----------
    data
        The bytes of the file.

    Returns
    -------
    Codebook
        Its ID, training record and parts.

    Raises
    ------
    SpecError
        If the file is corrupt, truncated or unsupported.
    """
    file = ByteReader(data)
    if file.take(3) != CODEBOOK_MAGIC:
        raise SpecError("corrupt: no codebook file")
    version_and_compression = file.byte()
    if version_and_compression >> 4 != 0:
        raise SpecError("unsupported: another version")
    codebook_id = file.take(32)
    length = file.varint()
    if length > MAX_SERIALISATION:
        raise SpecError(f"more than {MAX_SERIALISATION} bytes, a limit of this decoder")
    serialisation = decompress(version_and_compression & 15, file.rest(), length)
    if hashlib.sha256(serialisation).digest() != codebook_id:
        raise SpecError("corrupt: the ID is not that of the content")
    return Codebook(codebook_id, *read_serialisation(serialisation))


def decompress(compression: int, packed: bytes, length: int) -> bytes:
    """Return the serialisation, which must have the length given (6.1)."""
    if compression == 0:
        unpacked = packed
    elif compression == 1:
        unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ)
        try:
            unpacked = unpacker.decompress(packed, max_length=length + 1)
        except lzma.LZMAError as error:
            raise SpecError(f"corrupt: {error}") from error
        if len(unpacked) == length and not unpacker.eof:
            raise SpecError("truncated: the compressed data of a codebook")
        if unpacker.unused_data:
            raise SpecError("corrupt: bytes behind the compressed data")
    else:
        raise SpecError("unsupported: another compression")
    if len(unpacked) != length:
        raise SpecError("corrupt: the serialisation has another length")
    return unpacked


def read_serialisation(
    serialisation: bytes,
) -> tuple[dict[str, Any], dict[int, Part], dict[int, ReferencePart]]:
    """Read the sections of a codebook and check their canonical order (6.2)."""
    file = ByteReader(serialisation)
    record: dict[str, Any] | None = None
    parts: dict[int, Part] = {}
    reference_parts: dict[int, ReferencePart] = {}
    priors: list[tuple[int, int, int]] = []
    while not file.at_end:
        kind = file.byte()
        content = file.take(file.varint())
        if kind == 1:
            if record is not None or parts or reference_parts or priors:
                raise SpecError("corrupt: the training record is not the first section")
            record = read_record(content)
        elif kind == 2:
            part = read_part(content)
            late = record is None or bool(reference_parts or priors)
            if late or any(part.kind <= known for known in parts):
                raise SpecError("corrupt: the sections are not in canonical order")
            parts[part.kind] = part
        elif kind == 3:
            reference_part = read_reference_part(content)
            image_kind = KIND_OF_SCHEME[reference_part.scheme]
            late = record is None or bool(priors)
            if late or any(image_kind <= known for known in reference_parts):
                raise SpecError("corrupt: the sections are not in canonical order")
            reference_parts[image_kind] = reference_part
        elif kind == 4:
            prior = read_prior_key(content)
            if record is None or any(prior <= known for known in priors):
                raise SpecError("corrupt: the sections are not in canonical order")
            priors.append(prior)
        elif kind < 0x80:
            raise SpecError(f"unsupported: critical section {kind:02X}h")
        else:
            raise SpecError(f"corrupt: ancillary section {kind:02X}h")
    if record is None or not (parts or reference_parts or priors):
        raise SpecError("corrupt: a codebook without a training record or without parts")
    return record, parts, reference_parts


def read_record(content: bytes) -> dict[str, Any]:
    """Read the training record: canonical JSON with a name (6.2)."""
    try:
        record = json.loads(content.decode("utf-8"))
        canonical = json.dumps(
            record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        ).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise SpecError(f"corrupt: the training record: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("name"), str):
        raise SpecError("corrupt: the training record is no object with a name")
    if canonical != content:
        raise SpecError("corrupt: the training record is not canonical")
    return record


def read_prior_key(content: bytes) -> tuple[int, int, int]:
    """Check a prior of the context coder and return its bits, planes and transform (6.4)."""
    file = ByteReader(content)
    bits, planes, transform, parts = file.take(4)
    if bits not in (8, 16) or not 1 <= planes <= 4:
        raise SpecError("unsupported: a prior for other images")
    transforms = [0] if planes < 3 else [0, 3] if bits == 16 else [0, 3, 4]
    if transform not in transforms or not 1 <= parts <= 15:
        raise SpecError("corrupt: the transform or the parts of a prior")
    taps = sum([11, 17, 21, 21][:planes])
    if parts & 1:
        file.take(2 * 13 * taps)
    if parts & 2:
        file.take(2 * taps)
    nodes = 32 if bits == 8 else 48
    if parts & 4:
        if file.byte() == 0:
            raise SpecError("corrupt: a count cap of 0")
        slots = 1024 + 1024 + 1573 + 1024 + 6561 + 1024 + 1024
        known = sum(byte.bit_count() for byte in file.take(slots * planes * nodes // 8))
        if any(64 <= byte <= 192 for byte in file.take(known)):  # signed: above 63, below -63
            raise SpecError("corrupt: log-odds of a state")
        if any(byte > 15 for byte in file.take(known)):
            raise SpecError("corrupt: count class of a state")
    if parts & 8:
        for index in range(2 * planes * 13 * nodes * 8):
            stored = int.from_bytes(file.take(2), "little", signed=True)
            start = 29491 // 7 if index % 8 < 7 else 0
            if abs(16 * stored + start) > 65536:
                raise SpecError("corrupt: a weight of a prior")
    if not file.at_end:
        raise SpecError("corrupt: bytes behind a prior")
    return bits, planes, transform


def read_part(content: bytes) -> Part:
    """Read the part for one kind of image (6.3)."""
    file = ByteReader(content)
    kind, transform, planes = file.take(3)
    if kind >= len(PLANES_OF_KIND) or planes != PLANES_OF_KIND[kind]:
        raise SpecError("corrupt: kind of image and number of planes")
    if transform > (2 if kind == 2 else 0):
        raise SpecError("corrupt: the colour transform of a part")
    books = [read_plane_book(file, limits) for limits in plane_ranges(kind, transform)]
    if not file.at_end:
        raise SpecError("corrupt: bytes behind the plane books")
    return Part(kind, transform, books)


def read_plane_book(file: ByteReader, limits: Range) -> PlaneBook:
    """Read a plane book (6.3)."""
    bits = limits.sample_bits
    sample_bits, predictor, low_bits = file.take(3)
    if sample_bits != bits or predictor > 2 or not bits - 8 <= low_bits <= bits:
        raise SpecError("corrupt: sample bits, predictor or L of a plane book")
    cell_value = file.varint()
    number = file.varint()
    if cell_value > 1 << 20 or number > 1 << 22:
        raise SpecError("corrupt: cell value or number of shapes")
    shapes = read_shape_set(file, number, limits.span >> low_bits)
    if not all(any(shape.cells[: shape.width]) for shape in shapes):
        raise SpecError("corrupt: a shape without an anchor")
    shape_lengths = list(file.take(number + 1))
    gap_lengths = list(file.take(GAP_SYMBOLS))
    check_code_lengths(shape_lengths)
    check_code_lengths(gap_lengths)
    low_states = read_states(file, LOW_CONTEXTS, low_bits) if low_bits < bits else []
    return PlaneBook(
        sample_bits=sample_bits,
        predictor=predictor,
        low_bits=low_bits,
        cell_value=cell_value,
        shapes=shapes,
        shape_lengths=shape_lengths,
        gap_lengths=gap_lengths,
        low_states=low_states,
        full_states=read_states(file, ENERGY_CLASSES, bits),
    )


def read_reference_part(content: bytes) -> ReferencePart:
    """Read a part for the reference coder (5R.9)."""
    file = ByteReader(content)
    scheme = file.byte()
    if scheme >= len(SCHEMES):
        raise SpecError("unsupported: another scheme of the reference coder")
    planes = [read_reference_plane(file, plane) for plane in SCHEMES[scheme]]
    if not file.at_end:
        raise SpecError("corrupt: bytes behind the planes of a part")
    return ReferencePart(scheme, planes)


def read_reference_plane(file: ByteReader, scheme: Scheme) -> ReferencePlane:
    """Read what a part for the reference coder says about one plane (5R.9)."""
    number = file.varint()
    if number > 1 << 22:
        raise SpecError("corrupt: number of shapes")
    shapes = read_shape_set(file, number, scheme.largest_cell)
    if not {(value,) for value in range(1, scheme.largest_cell + 1)} <= {s.cells for s in shapes}:
        raise SpecError("corrupt: a value that is no shape of one cell")
    shape_lengths = file.take(number)
    sample_lengths = file.take(1 << scheme.low_bits) if scheme.low_bits else b""
    tile_lengths = file.take(scheme.tile_symbols) if scheme.tile_code == "static" else b""
    frequencies: list[int] = []
    if scheme.tile_code == "adaptive":
        symbols = scheme.tile_symbols
        frequencies = list(struct.unpack(f"<{symbols}H", file.take(2 * symbols)))
    for lengths in (shape_lengths, sample_lengths, tile_lengths):
        check_code_lengths(lengths)
    if 0 in frequencies:
        raise SpecError("corrupt: a first frequency is 0")
    return ReferencePlane(shapes, shape_lengths, sample_lengths, tile_lengths, frequencies)


def read_shape_set(file: ByteReader, number: int, highest: int) -> list[Shape]:
    """Read the shapes of a plane book (6.3, 5R.9)."""
    heights = file.take(number)
    widths = file.take(number)
    shapes = []
    for height, width in zip(heights, widths, strict=True):
        cells = file.take(height * width)
        if not any(cells):
            raise SpecError("corrupt: a shape without a cell that is not 0")
        if max(cells) > highest:
            raise SpecError("corrupt: a cell of a shape above the highest")
        shapes.append(Shape(height, width, tuple(cells)))
    return shapes


def read_states(file: ByteReader, contexts: int, bits: int) -> list[list[tuple[int, int]]]:
    """Read the states of so many contexts with nodes 1..2^bits - 1 (6.3)."""
    nodes = (1 << bits) - 1
    total = contexts * nodes
    probabilities = struct.unpack(f"<{total}H", file.take(2 * total))
    counts = file.take(total)
    states = [(p << 6, count) for p, count in zip(probabilities, counts, strict=True)]
    unused = (0, 0)
    return [[unused, *states[i * nodes : (i + 1) * nodes]] for i in range(contexts)]
