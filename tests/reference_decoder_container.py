"""The container, modes and canonical samples (SPEC.md 2, 3), written from SPEC.md alone.

A part of reference_decoder.py.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from reference_decoder_few_colour import Palette, read_palette
from reference_decoder_numbers import ByteReader, SpecError
from reference_decoder_samples import (
    PALETTE_MODES,
    PlanePicture,
    Presented,
    describe,
    read_presented,
)

IMAGE_MAGIC = b"\xf7SC"
REFERENCE_BYTES = (0, 4, 8, 32)


class ModeTable(tuple[Any, ...]):
    """What is so of modes 0 to 12, and of plane pictures (2.2, 2.2.1)."""

    of_planes: Callable[[PlanePicture], Any]

    def __getitem__(self, mode: Any) -> Any:
        """Return what is so of a mode."""
        return self.of_planes(mode) if isinstance(mode, PlanePicture) else super().__getitem__(mode)


def mode_table(values: tuple[Any, ...], of_planes: Callable[[PlanePicture], Any]) -> ModeTable:
    """Return a table with what is so of plane pictures."""
    table = ModeTable(values)
    table.of_planes = of_planes
    return table


KIND_OF_MODE = mode_table((0, 1, 2, 1, 0, *[None] * 8), lambda mode: None)
BITS_OF_MODE = mode_table((1, 8, 8, 8, 1, 16, 16, 8, 8, 16, 16, 16, 8), lambda mode: mode.bits)
PLANES_OF_MODE = mode_table((1, 1, 3, 1, 1, 1, 1, 2, 4, 3, 4, 2, 1), lambda mode: mode.planes)
LAST_AXIS_OF_MODE = mode_table(
    (None, None, 3, 1, 1, None, 1, 2, 4, 3, 4, 2, None), lambda mode: mode.planes
)

PALETTE_MODE = 12
STORED, SHAPES, CONTEXT, BILEVEL, FEW_COLOUR, REFERENCE, TINY, JPEG_PAST = range(8)
MODES_OF_CODER = {
    SHAPES: range(5),
    BILEVEL: (0, 4),
    FEW_COLOUR: [mode for mode, bits in enumerate(BITS_OF_MODE) if bits == 8],
    REFERENCE: range(5),
    TINY: (1, 3),
    JPEG_PAST: (1, 2, 3),
}

SEGMENT_PALETTE = 0x01
SEGMENT_TRANSPARENCY = 0x02
SEGMENT_ARRAY = 0x03
SEGMENT_FRAMES = 0x05
SEGMENT_MAP = 0x07
SEGMENT_CODEBOOK = 0x86
SEGMENT_FILE_CHECK = 0x88
SEGMENT_CODEBOOK_NAME = 0x89


@dataclass(frozen=True)
class Picture:
    """A decoded image (2.2, 2.5): component planes as rows of numbers, and canonical samples."""

    mode: int
    width: int
    height: int
    shape: tuple[int, ...]
    planes: list[list[list[int]]]
    samples: bytes
    palette: Palette | None = None
    coded: list[list[list[int]]] | None = None


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
    palette: Palette | None
    payload: bytes
    follows: bool = False
    presented: Presented | None = None

    @property
    def kind(self) -> int | None:
        """Kind of image (6.2), which the modes that only coder 0 codes have none of (2.4)."""
        return KIND_OF_MODE[self.mode]


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
        known = kind in (
            SEGMENT_PALETTE, SEGMENT_TRANSPARENCY, SEGMENT_ARRAY, SEGMENT_FRAMES, SEGMENT_MAP
        )  # fmt: skip
        if kind < 0x80 and not known:
            raise SpecError(f"unsupported: critical segment {kind:02X}h")
        if known and kind in first_of_kind:
            raise SpecError("corrupt: a second palette, transparency, frame table or the like")
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
    if 26 <= mode <= 30:
        raise SpecError("unsupported: a reserved mode")
    if mode <= PALETTE_MODE and not flags & 4:
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
    palette = None
    if (mode in PALETTE_MODES) != (SEGMENT_PALETTE in segments):
        raise SpecError("corrupt: a palette image without palette, or another with one")
    presented = read_presented(mode, segments)
    check_coder_of(coder, mode, presented)
    if mode in PALETTE_MODES:
        palette = read_palette(segments[SEGMENT_PALETTE], segments.get(SEGMENT_TRANSPARENCY))
    elif SEGMENT_TRANSPARENCY in segments:
        raise SpecError("corrupt: transparency of an image without palette")
    return Header(
        coder=coder,
        mode=mode if presented is None or presented.coded_mode is None else presented.coded_mode,
        width=width,
        height=height,
        reference=reference,
        checksum=checksum,
        presented=presented,
        embedded=segments.get(SEGMENT_CODEBOOK),
        frame_table=segments.get(SEGMENT_FRAMES),
        palette=palette,
        payload=file.rest(),
    )


def check_coder_of(coder: int, mode: int, presented: Presented | None) -> None:
    """Refuse the coders that do not code a file's samples (2.2.1, 2.4)."""
    if presented is None:
        check_coder(coder, mode)
    elif presented.coded_mode is not None:
        check_coder(coder, presented.coded_mode)
    elif coder != STORED:
        raise SpecError("unsupported: samples that this coder does not code")


def check_coder(coder: int, mode: int) -> None:
    """Refuse the coders that do not code the mode (2.4)."""
    if isinstance(mode, PlanePicture):
        few = coder == FEW_COLOUR and mode.bits == 8 and mode.planes <= 4
        if coder not in (STORED, CONTEXT) and not few:
            raise SpecError("unsupported: planes that this coder does not code")
    elif mode not in MODES_OF_CODER.get(coder, range(13)):
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
        check_coder_of(coder, header.mode, header.presented)
        always = coder in (STORED, REFERENCE, TINY) or not header.reference
        follows = bool(byte & 2)
        if byte & 0b11100 or (by_prior and always):
            raise SpecError("corrupt: the byte of a frame")
        if follows and (not frames or coder != CONTEXT or (header.reference and not by_prior)):
            raise SpecError("corrupt: a frame that cannot follow")
        reference = b"" if by_prior or coder == STORED else header.reference
        payload = payloads.take(length)
        frames.append(
            replace(
                header,
                coder=coder,
                reference=reference,
                checksum=checksum,
                payload=payload,
                follows=follows,
            )
        )
    if not table.at_end or not payloads.at_end:
        raise SpecError("corrupt: bytes behind the frame table or the last frame")
    if (frames[0].coder, frames[0].checksum) != (header.coder, header.checksum):
        raise SpecError("corrupt: the header is not the first frame's")
    return frames


def read_stored(header: Header) -> list[list[list[int]]]:
    """Take the component planes from a stored payload (2.4)."""
    payload, width, height = header.payload, header.width, header.height
    bits, planes = BITS_OF_MODE[header.mode], PLANES_OF_MODE[header.mode]
    row_bytes = raw_size(header.mode, width, 1)
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


def raw_size(mode: int, width: int, height: int) -> int:
    """Return the number of bytes of canonical samples (2.5)."""
    bits, planes = BITS_OF_MODE[mode], PLANES_OF_MODE[mode]
    return height * ((width + 7) // 8 if bits == 1 else width * planes * bits // 8)


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
    if header.presented is not None:
        found = header.presented.samples_of(planes)
        return check_presented(header, header.presented, found, planes)
    samples = canonical_samples(header, planes)
    description = struct.pack("<BII", header.mode, header.width, header.height)
    if header.palette:
        description += header.palette.description()
    if zlib.crc32(description + samples) != header.checksum:
        raise SpecError("corrupt: the checksum differs")
    last_axis = LAST_AXIS_OF_MODE[header.mode]
    shape: tuple[int, ...] = (header.height, header.width)
    if last_axis is not None:
        shape += (last_axis,)
    return Picture(header.mode, header.width, header.height, shape, planes, samples, header.palette)


def check_presented(
    header: Header,
    presented: Presented,
    components: list[list[list[int]]],
    planes: list[list[list[int]]],
) -> Picture:
    """Compare the checksum of a picture whose coded samples, `planes`, are others."""
    samples = presented.canonical_samples(components)
    description = describe(presented, header.width, header.height)
    if header.palette:
        description += header.palette.description()
    if zlib.crc32(description + samples) != header.checksum:
        raise SpecError("corrupt: the checksum differs")
    shape: tuple[int, ...] = (header.height, header.width)
    if presented.axis is not None:
        shape += (presented.axis,)
    return Picture(
        presented.mode, header.width, header.height, shape, components, samples, header.palette,
        planes,
    )  # fmt: skip
