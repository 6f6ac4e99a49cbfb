"""The container: what surrounds a payload in an ``.scf`` file (SPEC 2 and 3).

Pure Python on purpose: opening a file and reading its size needs neither NumPy nor Numba.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import IO, TYPE_CHECKING, Protocol

from .errors import CorruptStreamError, TruncatedStreamError, UnsupportedStreamError

if TYPE_CHECKING:
    from .palettes import Palette
    from .sample_map import SampleMap

MAGIC = b"\xf7SC"
FORMAT_VERSION = 0

# Coders (SPEC 2.4)
STORED, SHAPES, CONTEXT, BILEVEL, FEW_COLOUR, REFERENCE, TINY, JPEG_PAST = range(8)
CODER_NAMES = {
    0: "stored",
    1: "shapes",
    2: "context",
    3: "bilevel",
    4: "few-colour",
    5: "reference",
    6: "tiny",
    7: "JPEG past",
}
READABLE_CODERS = (STORED, SHAPES, CONTEXT, BILEVEL, FEW_COLOUR, REFERENCE, TINY, JPEG_PAST)

# Segments (SPEC 3.1); bit 7 marks the ancillary ones
SEGMENT_END = 0x00
SEGMENT_PALETTE = 0x01
SEGMENT_TRANSPARENCY = 0x02
SEGMENT_ARRAY = 0x03
SEGMENT_TILES = 0x04
SEGMENT_FRAMES = 0x05
SEGMENT_JPEG_PAST = 0x06
SEGMENT_SAMPLE_MAP = 0x07
SEGMENT_EXIF = 0x81
SEGMENT_ICC = 0x82
SEGMENT_XMP = 0x83
SEGMENT_PROPERTIES = 0x84
SEGMENT_TIMING = 0x85
SEGMENT_CODEBOOK = 0x86
SEGMENT_SET_INDEX = 0x87
SEGMENT_FILE_CHECK = 0x88
SEGMENT_CODEBOOK_NAME = 0x89
DEFLATED = 0x10
"""Added to the kind of a segment of metadata whose data are deflated (SPEC 3.5.1)."""
SEGMENT_NAMES = {
    SEGMENT_PALETTE: "palette",
    SEGMENT_TRANSPARENCY: "transparency",
    SEGMENT_ARRAY: "array description",
    SEGMENT_TILES: "tiles",
    SEGMENT_FRAMES: "frame table",
    SEGMENT_JPEG_PAST: "JPEG past",
    SEGMENT_SAMPLE_MAP: "sample map",
    SEGMENT_EXIF: "EXIF",
    SEGMENT_ICC: "ICC profile",
    SEGMENT_XMP: "XMP",
    SEGMENT_PROPERTIES: "properties",
    SEGMENT_TIMING: "timing",
    SEGMENT_CODEBOOK: "embedded codebook",
    SEGMENT_SET_INDEX: "set index",
    SEGMENT_FILE_CHECK: "file check",
    SEGMENT_CODEBOOK_NAME: "codebook name",
    SEGMENT_EXIF | DEFLATED: "EXIF, deflated",
    SEGMENT_ICC | DEFLATED: "ICC profile, deflated",
    SEGMENT_XMP | DEFLATED: "XMP, deflated",
    SEGMENT_PROPERTIES | DEFLATED: "properties, deflated",
    SEGMENT_TIMING | DEFLATED: "timing, deflated",
}

READABLE_SEGMENTS = (
    SEGMENT_PALETTE,
    SEGMENT_TRANSPARENCY,
    SEGMENT_ARRAY,
    SEGMENT_FRAMES,
    SEGMENT_SAMPLE_MAP,
)
"""Critical segments that this release knows."""

REFERENCE_LENGTHS = (0, 4, 8, 32)
_FLAG_REFERENCE = 0b0011
_FLAG_SEGMENTS = 0b0100
FLAG_SET = 0b1000

MAX_SIDE = 2**31 - 1
"""Largest width or height of the format (SPEC 2.3)."""

MAX_PIXELS = 1 << 30
"""Largest picture that is coded, in pixels; this program's limit, not the format's."""

MAX_RAW_BYTES = 1 << 32
"""Largest canonical samples of a picture that is coded; this program's limit, too."""

MAX_SEGMENT_BYTES = 1 << 30
"""Largest segment that this program reads; its limit, not the format's."""

MAX_SEGMENTS = 1024
"""Most segments that this program reads in one file; its limit, not the format's."""


@dataclass(frozen=True)
class Mode:
    """One entry of the registry of modes (SPEC 2.2).

    Attributes
    ----------
    identifier : int
        0..31, as stored.
    name : str
        Name in messages.
    pillow_mode : str or None
        The Pillow mode of the same samples, None where Pillow has none.
    bits_per_sample, n_planes : int
        Bits of a sample, and samples of a pixel.
    channel_axis : bool
        Whether the array has a third axis.
    kind : int or None
        The kind of image that codebooks, the shapes and the reference coder know it as (SPEC 6.2);
        None where they do not code it.
    sample_type : str
        Name of the samples' type; by default the unsigned one of so many bits.
    plain : bool
        Whether the components stand for no colours: no colour transform is tried.
    """

    identifier: int
    name: str
    pillow_mode: str | None
    bits_per_sample: int
    n_planes: int
    channel_axis: bool
    kind: int | None = None
    sample_type: str = ""
    plain: bool = False

    @property
    def has_palette(self) -> bool:
        """Whether the first component is an index (SPEC 3.1.1)."""
        return self.pillow_mode in ("P", "PA")

    @property
    def is_coded(self) -> bool:
        """Whether the coders know the samples as they are (SPEC 2.2.1)."""
        return self.identifier in MODES or self.identifier == CODED

    def raw_size(self, width: int, height: int) -> int:
        """Bytes of the canonical samples: bilevel rows are padded to whole bytes (SPEC 2.5)."""
        if self.bits_per_sample == 1:
            return (width * self.n_planes + 7) // 8 * height
        return width * height * self.n_planes * (self.bits_per_sample // 8)


MODES = {
    mode.identifier: mode
    for mode in (
        Mode(0, "bilevel", "1", 1, 1, channel_axis=False, kind=0),
        Mode(1, "gray8", "L", 8, 1, channel_axis=False, kind=1),
        Mode(2, "rgb8", "RGB", 8, 3, channel_axis=True, kind=2),
        Mode(3, "gray8, shape (H, W, 1)", None, 8, 1, channel_axis=True, kind=1),
        Mode(4, "bilevel, shape (H, W, 1)", None, 1, 1, channel_axis=True, kind=0),
        Mode(5, "gray16", "I;16", 16, 1, channel_axis=False),
        Mode(6, "gray16, shape (H, W, 1)", None, 16, 1, channel_axis=True),
        Mode(7, "la8", "LA", 8, 2, channel_axis=True),
        Mode(8, "rgba8", "RGBA", 8, 4, channel_axis=True),
        Mode(9, "rgb16", None, 16, 3, channel_axis=True),
        Mode(10, "rgba16", None, 16, 4, channel_axis=True),
        Mode(11, "la16", None, 16, 2, channel_axis=True),
        Mode(12, "palette", "P", 8, 1, channel_axis=False),
    )
}

FURTHER_MODES = {
    mode.identifier: mode
    for mode in (
        Mode(13, "pa8, palette", "PA", 8, 2, channel_axis=True),
        Mode(14, "cmyk8", "CMYK", 8, 4, channel_axis=True),
        Mode(15, "ycbcr8", "YCbCr", 8, 3, channel_axis=True, plain=True),
        Mode(16, "lab8", "LAB", 8, 3, channel_axis=True, plain=True),
        Mode(17, "hsv8", "HSV", 8, 3, channel_axis=True, plain=True),
        Mode(18, "la8, premultiplied", "La", 8, 2, channel_axis=True),
        Mode(19, "rgba8, premultiplied", "RGBa", 8, 4, channel_axis=True),
        Mode(20, "rgbx8", "RGBX", 8, 4, channel_axis=True),
        Mode(21, "gray16, big-endian", "I;16B", 16, 1, channel_axis=False),
        Mode(22, "int32", "I", 32, 1, channel_axis=False, sample_type="int32"),
        Mode(23, "float32", "F", 32, 1, channel_axis=False, sample_type="float32"),
        Mode(24, "gray16, little-endian", "I;16L", 16, 1, channel_axis=False),
        Mode(25, "gray16, native", "I;16N", 16, 1, channel_axis=False),
    )
}
"""Modes whose samples are coded as those of `MODES` or of `coded_mode` (SPEC 2.2.1)."""

ARRAY = 31
"""The mode that segment 03h describes."""

CODED = 32
"""The identifier of coded samples that no entry of `MODES` has; it is in no file."""

SAMPLE_TYPES = {
    "bool": 1,
    "uint8": 8,
    "uint16": 16,
    "uint32": 32,
    "uint64": 64,
    "int8": 8,
    "int16": 16,
    "int32": 32,
    "int64": 64,
    "float16": 16,
    "float32": 32,
    "float64": 64,
}
"""Types of samples in the order of their numbers in segment 03h, with their bits (SPEC 3.1.3)."""

MAX_COMPONENTS = 4096
"""Most components of a pixel (SPEC 3.1.3)."""

PILLOW_MODES = {
    mode.pillow_mode: mode
    for mode in (*MODES.values(), *FURTHER_MODES.values())
    if mode.pillow_mode is not None
}
"""The Pillow modes that the format holds."""

KIND_CODERS = (SHAPES, REFERENCE)
"""Coders of the modes that have a kind; see `codes_mode` for the others (SPEC 2.4)."""


@lru_cache(maxsize=256)
def array_mode(sample_type: str, n_components: int | None) -> Mode:
    """Return the mode of arrays (H, W), or (H, W, `n_components`), of a type of `SAMPLE_TYPES`."""
    bits, n_planes = SAMPLE_TYPES[sample_type], n_components or 1
    default = sample_type in ("bool", f"uint{bits}")
    for mode in (*MODES.values(), *FURTHER_MODES.values()):
        if mode.channel_axis == (n_components is not None) and (
            (mode.bits_per_sample, mode.n_planes) == (bits, n_planes)
            and (mode.sample_type == sample_type or (default and not mode.sample_type))
        ):
            return mode
    axes = "(H, W)" if n_components is None else f"(H, W, {n_components})"
    return Mode(
        ARRAY, f"{sample_type}, shape {axes}", None, bits, n_planes,
        channel_axis=n_components is not None, sample_type=sample_type,
    )  # fmt: skip


@lru_cache(maxsize=256)
def coded_mode(bits_per_sample: int, n_planes: int, plain: bool = False) -> Mode:
    """Return the mode in which coders see planes of 1, 8 or 16 bits (SPEC 2.2.1).

    `plain` planes are no colours; there is one of the table for others of up to four planes.
    """
    for mode in MODES.values():
        if (mode.bits_per_sample, mode.n_planes) == (bits_per_sample, n_planes) and (
            mode.channel_axis == (n_planes > 1) and (n_planes == 1 or not plain)
        ):
            return mode
    return Mode(
        CODED, f"{n_planes} planes of {bits_per_sample} bits", None, bits_per_sample, n_planes,
        channel_axis=True, plain=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Segment:
    """A typed block between header and payload (SPEC 3)."""

    kind: int
    data: bytes

    def __post_init__(self) -> None:
        if not 1 <= self.kind <= 0xFF:
            raise ValueError(f"segment kind {self.kind} is outside 1..255")

    @property
    def critical(self) -> bool:
        """Whether a reader that does not know this kind must refuse the file."""
        return self.kind < 0x80

    @property
    def name(self) -> str:
        """The registered name, or the number of an unregistered kind."""
        return SEGMENT_NAMES.get(self.kind, f"kind 0x{self.kind:02x}")


@dataclass(frozen=True)
class Frame:
    """One entry of the frame table (SPEC 3.4).

    Attributes
    ----------
    coder : int
        Entry of the registry of coders (SPEC 2.4).
    built_in : bool
        Whether the frame is coded by the built-in prior although the file names a codebook.
    n_bytes : int
        Length of its payload.
    checksum : int
        CRC-32 over description and samples (SPEC 2.5).
    follows : bool
        Whether the frame before predicts this one.
    """

    coder: int
    built_in: bool
    n_bytes: int
    checksum: int
    follows: bool = False


@dataclass(frozen=True)
class Header:
    """Everything of a file but its payloads (SPEC 2).

    Attributes
    ----------
    mode : Mode
    width, height : int
        1..2**31 - 1.
    coder : int
        Entry of the registry of coders (SPEC 2.4); of the first frame.
    codebook_reference : bytes
        0, 4, 8 or 32 bytes: prefix of the codebook's ID; empty for the built-in prior.
    checksum : int
        CRC-32 over description and samples (SPEC 2.5); of the first frame.
    segments : tuple of Segment
    frames : tuple of Frame
        The frame table; empty where the file holds one image.
    payload_offset : int
        Where the payload starts in the file; 0 in a header that was not read from one.
    """

    mode: Mode
    width: int
    height: int
    coder: int
    codebook_reference: bytes
    checksum: int
    segments: tuple[Segment, ...] = ()
    frames: tuple[Frame, ...] = ()
    payload_offset: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        for name, value in (("width", self.width), ("height", self.height)):
            if not 1 <= value <= MAX_SIDE:
                raise CorruptStreamError(f"header: {name} {value} is outside 1..{MAX_SIDE}")
        if len(self.codebook_reference) not in REFERENCE_LENGTHS:
            raise ValueError(
                f"codebook reference of {len(self.codebook_reference)} bytes, expected one of "
                f"{REFERENCE_LENGTHS}"
            )

    @cached_property
    def sample_map(self) -> SampleMap | None:
        """How the coded samples stand for the picture's; None where they are these (SPEC 3.1.4).

        Raises
        ------
        CorruptStreamError
        """
        if self.mode.is_coded and not any(s.kind == SEGMENT_SAMPLE_MAP for s in self.segments):
            return None
        from .sample_map import SampleMap

        return SampleMap.from_header(self)

    @cached_property
    def as_coded(self) -> Header:
        """The header of the coded samples, which the coders work by (SPEC 2.2.1)."""
        if self.sample_map is None:
            return self
        segments = tuple(s for s in self.segments if s.kind != SEGMENT_SAMPLE_MAP)
        return replace(self, mode=self.sample_map.coded, segments=segments)

    @property
    def n_frames(self) -> int:
        """Number of images, at least 1."""
        return max(1, len(self.frames))

    @cached_property
    def frame_offsets(self) -> list[int]:
        """Where each frame's payload starts behind the header, and where the last ends."""
        return list(accumulate((frame.n_bytes for frame in self.frames), initial=0))

    @property
    def raw_size(self) -> int:
        """Bytes of the canonical samples of one frame."""
        return self.mode.raw_size(self.width, self.height)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the decoded array."""
        if self.mode.channel_axis:
            return (self.height, self.width, self.mode.n_planes)
        return (self.height, self.width)

    def segment(self, kind: int) -> bytes | None:
        """Return the data of the first segment of this kind, None where there is none."""
        return next((s.data for s in self.segments if s.kind == kind), None)

    @property
    def codebook_name(self) -> str | None:
        """The codebook's name, where the file carries it."""
        data = self.segment(SEGMENT_CODEBOOK_NAME)
        return None if data is None else data.decode("utf-8", "replace")


PALETTE, PALETTE_ALPHA = MODES[12], FURTHER_MODES[13]
"""The modes of indices with a palette, which arrays alone never have."""


def checksum(
    mode: Mode, width: int, height: int, samples: bytes, palette: Palette | None = None
) -> int:
    """Return the CRC-32 over the canonical description and the samples (SPEC 2.5)."""
    description = struct.pack("<BII", mode.identifier, width, height)
    if mode.identifier == ARRAY:
        description += write_array_mode(mode)
    if palette is not None:
        description += palette.description()
    return zlib.crc32(samples, zlib.crc32(description))


def write_array_mode(mode: Mode) -> bytes:
    """Return the data of segment 03h (SPEC 3.1.3); inverse of `read_array_mode`."""
    number = list(SAMPLE_TYPES).index(mode.sample_type)
    return bytes([number]) + write_varint(mode.n_planes if mode.channel_axis else 0)


def read_array_mode(data: bytes) -> Mode:
    """Return the mode that segment 03h describes.

    Raises
    ------
    CorruptStreamError
        Also for arrays that have a mode of their own.
    UnsupportedStreamError
        A type of samples that this release does not know.
    """
    reader = ByteReader(data, "segment array description")
    try:
        number = reader.take(1, "type of samples")[0]
        n_components = reader.varint("number of components", MAX_COMPONENTS)
    except TruncatedStreamError as error:  # the segment is whole, its content is not
        raise CorruptStreamError(str(error)) from error
    if reader.offset != len(data):
        raise CorruptStreamError("segment array description: bytes follow its end")
    if number >= len(SAMPLE_TYPES):
        raise UnsupportedStreamError(
            f"segment array description: type of samples {number} is unknown; known: "
            f"0..{len(SAMPLE_TYPES) - 1}"
        )
    mode = array_mode(list(SAMPLE_TYPES)[number], n_components or None)
    if mode.identifier != ARRAY:
        raise CorruptStreamError(
            f"segment array description: arrays of {mode.name} have mode {mode.identifier}"
        )
    return mode


def write_varint(value: int) -> bytes:
    """Return `value` (>= 0) as a little-endian base-128 number (SPEC 1.2)."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Payload(Protocol):
    """Bytes in memory or in a file: slices of them are bytes-like."""

    def __len__(self) -> int:
        """Return the number of bytes."""

    def __getitem__(self, part: slice, /) -> bytes | memoryview:
        """Return some of the bytes."""


class ByteReader:
    """Bounds-checked reading of bytes; every error names the offset.

    Parameters
    ----------
    data : bytes, or a part of a file
    what : str
        What is being read, for messages.
    """

    def __init__(self, data: Payload, what: str) -> None:
        self.data = data
        self.what = what
        self.offset = 0

    def take(self, n_bytes: int, field_name: str) -> bytes:
        """Return the next `n_bytes` bytes."""
        end = self.offset + n_bytes
        if end > len(self.data):
            raise TruncatedStreamError(
                f"{self.what}, byte {self.offset}: {field_name} needs {n_bytes} bytes, "
                f"only {len(self.data) - self.offset} are left"
            )
        piece = bytes(self.data[self.offset : end])
        self.offset = end
        return piece

    def varint(self, field_name: str, largest: int) -> int:
        """Return the next varint; more than `largest` or an over-long form is corrupt."""
        start, value, shift = self.offset, 0, 0
        while True:
            byte = self.take(1, field_name)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift > 63:
                raise CorruptStreamError(
                    f"{self.what}, byte {start}: {field_name} is longer than 9 bytes"
                )
        if byte == 0 and shift > 7:
            raise CorruptStreamError(
                f"{self.what}, byte {start}: {field_name} is not in its shortest form"
            )
        if value > largest:
            raise CorruptStreamError(
                f"{self.what}, byte {start}: {field_name} is {value}, expected at most {largest}"
            )
        return value


def write_segment(segment: Segment) -> bytes:
    """Return a segment's bytes: kind, length, data, CRC-32 (SPEC 3)."""
    head = bytes([segment.kind]) + write_varint(len(segment.data))
    return head + segment.data + struct.pack("<I", zlib.crc32(segment.data, zlib.crc32(head)))


def _read_segment(reader: ByteReader) -> Segment | None:
    start = reader.offset
    kind = reader.take(1, "segment kind")[0]
    if kind == SEGMENT_END:
        return None
    name = SEGMENT_NAMES.get(kind, f"kind 0x{kind:02x}")
    length = reader.varint(f"length of segment {name}", MAX_SEGMENT_BYTES)
    head = bytes(reader.data[start : reader.offset])
    data = reader.take(length, f"segment {name}")
    (found,) = struct.unpack("<I", reader.take(4, f"checksum of segment {name}"))
    expected = zlib.crc32(data, zlib.crc32(head))
    if found != expected:
        raise CorruptStreamError(
            f"{reader.what}, byte {start}: segment {name} has checksum {found:08x}, its data "
            f"give {expected:08x}"
        )
    if kind < 0x80 and kind not in READABLE_SEGMENTS:
        known = "is not built yet" if kind in SEGMENT_NAMES else "is unknown"
        raise UnsupportedStreamError(
            f"{reader.what}, byte {start}: critical segment {name} {known}; "
            "a newer softcomp_codec may read this file"
        )
    return Segment(kind, data)


def read_segments(reader: ByteReader) -> list[Segment]:
    """Read a list of segments up to its end (SPEC 3)."""
    segments: list[Segment] = []
    while (segment := _read_segment(reader)) is not None:
        segments.append(segment)
        if len(segments) > MAX_SEGMENTS:
            raise CorruptStreamError(f"{reader.what}: more than {MAX_SEGMENTS} segments")
    return segments


def _write_frames(frames: tuple[Frame, ...]) -> bytes:
    """Return the data of a frame table (SPEC 3.4); inverse of `_read_frames`."""
    out = bytearray(write_varint(len(frames)))
    for frame in frames:
        out.append(frame.coder << 5 | frame.follows << 1 | frame.built_in)
        out += write_varint(frame.n_bytes) + struct.pack("<I", frame.checksum)
    return bytes(out)


def _read_frames(
    data: bytes, mode: Mode, coder: int, crc: int, reference: bytes
) -> tuple[Frame, ...]:
    reader = ByteReader(data, "frame table")
    try:
        frames = _read_frame_entries(reader, mode, reference)
    except TruncatedStreamError as error:  # the segment is whole, its content is not
        raise CorruptStreamError(str(error)) from error
    if reader.offset != len(data):
        raise CorruptStreamError("frame table: bytes follow the last frame")
    if not frames or (frames[0].coder, frames[0].checksum) != (coder, crc):
        raise CorruptStreamError("frame table: its first frame is not the header's")
    return tuple(frames)


def _read_frame_entries(reader: ByteReader, mode: Mode, reference: bytes) -> list[Frame]:
    n_frames = reader.varint("number of frames", len(reader.data))
    frames = []
    for index in range(n_frames):
        kind = reader.take(1, f"coder of frame {index}")[0]
        n_bytes = reader.varint(f"payload length of frame {index}", 1 << 62)
        (frame_crc,) = struct.unpack("<I", reader.take(4, f"checksum of frame {index}"))
        _check_coder(kind >> 5, mode, f"frame table: frame {index}")
        built_in_in_vain = kind & 1 and (not reference or kind >> 5 in (STORED, REFERENCE, TINY))
        follows = bool(kind & 2)
        with_codebook = reference and not kind & 1
        follows_in_vain = follows and (index == 0 or kind >> 5 != CONTEXT or with_codebook)
        if kind & 0b11100 or built_in_in_vain or follows_in_vain:
            raise CorruptStreamError(f"frame table: frame {index} has coder byte 0x{kind:02x}")
        frames.append(Frame(kind >> 5, bool(kind & 1), n_bytes, frame_crc, follows))
    return frames


MAX_FEW_COLOUR_PLANES = 4
"""Most components of a pixel that the few-colour coder codes (SPEC 2.4)."""


def codes_mode(coder: int, mode: Mode) -> bool:
    """Whether a coder codes images of a mode (SPEC 2.4)."""
    if not mode.is_coded:
        return coder == STORED
    if coder == BILEVEL:
        return mode.bits_per_sample == 1
    if coder == FEW_COLOUR:
        return mode.bits_per_sample == 8 and mode.n_planes <= MAX_FEW_COLOUR_PLANES
    if coder == TINY:
        return (mode.bits_per_sample, mode.n_planes) == (8, 1) and mode.kind is not None
    if coder == JPEG_PAST:
        return mode.bits_per_sample == 8 and mode.kind is not None
    return mode.kind is not None or coder not in KIND_CODERS


def _check_coder(coder: int, mode: Mode | None, where: str) -> None:
    if coder not in READABLE_CODERS:
        raise UnsupportedStreamError(
            f"{where}: coder {coder} ({CODER_NAMES.get(coder, 'unregistered')}) cannot be read by "
            "this release"
        )
    if mode is not None and not codes_mode(coder, mode):
        raise UnsupportedStreamError(
            f"{where}: coder {coder} ({CODER_NAMES[coder]}) does not code {mode.name} pictures"
        )


def write_header(header: Header) -> bytes:
    """Return the bytes in front of the payload (SPEC 2.1); inverse of `read_header`."""
    flags = REFERENCE_LENGTHS.index(len(header.codebook_reference))
    segments = list(header.segments)
    if header.mode.identifier == ARRAY:
        segments.append(Segment(SEGMENT_ARRAY, write_array_mode(header.mode)))
    if header.frames:
        segments.append(Segment(SEGMENT_FRAMES, _write_frames(header.frames)))
    if segments:
        flags |= _FLAG_SEGMENTS
    out = bytearray(MAGIC)
    out.append(FORMAT_VERSION << 4 | flags)
    out.append(header.coder << 5 | header.mode.identifier)
    out += write_varint(header.width) + write_varint(header.height)
    out += header.codebook_reference
    out += struct.pack("<I", header.checksum)
    if segments:
        for segment in segments:
            out += write_segment(segment)
        out.append(SEGMENT_END)
    return bytes(out)


def is_set(data: bytes) -> bool:
    """Whether a file that starts with these four bytes is a set of images (SPEC 7.2)."""
    return data.startswith(MAGIC) and len(data) > len(MAGIC) and bool(data[3] & FLAG_SET)


def read_header(data: bytes) -> Header:
    """Read the header of a file; inverse of `write_header`.

    Parameters
    ----------
    data : bytes
        The file, or enough of its beginning.

    Raises
    ------
    CorruptStreamError
        Foreign magic, reserved bits, sizes or checksums that cannot be.
    TruncatedStreamError
        `data` ends inside the header.
    UnsupportedStreamError
        Another format version, a mode, coder or critical segment that this release cannot read.
    """
    if not data.startswith(MAGIC[: len(data)]) or not data:
        raise CorruptStreamError(
            f"not an .scf file: it starts with {data[:3].hex(' ') or 'nothing'}, "
            f"expected {MAGIC.hex(' ')}"
        )
    reader = ByteReader(data, "header")
    reader.take(3, "magic")
    version_flags = reader.take(1, "version")[0]
    if version_flags >> 4 != FORMAT_VERSION:
        raise UnsupportedStreamError(
            f"header, byte 3: format version {version_flags >> 4}, this release reads version "
            f"{FORMAT_VERSION}"
        )
    if version_flags & FLAG_SET:
        raise UnsupportedStreamError(
            "header, byte 3: a set of images, which softcomp_codec.open_set and scf unpack read"
        )
    coder, identifier = divmod(reader.take(1, "coder and mode")[0], 32)
    mode = MODES.get(identifier) or FURTHER_MODES.get(identifier)
    if mode is None and identifier != ARRAY:
        raise UnsupportedStreamError(
            f"header, byte 4: mode {identifier} is unknown; known: "
            f"{sorted([*MODES, *FURTHER_MODES, ARRAY])}"
        )
    is_plain = identifier in MODES and not version_flags & _FLAG_SEGMENTS
    _check_coder(coder, mode if is_plain else None, "header, byte 4")
    width = reader.varint("width", MAX_SIDE)
    height = reader.varint("height", MAX_SIDE)
    reference = reader.take(
        REFERENCE_LENGTHS[version_flags & _FLAG_REFERENCE], "codebook reference"
    )
    (crc,) = struct.unpack("<I", reader.take(4, "checksum"))
    if mode is not None and is_plain and mode != PALETTE:
        return Header(mode, width, height, coder, reference, crc, payload_offset=reader.offset)
    segments = read_segments(reader) if version_flags & _FLAG_SEGMENTS else []
    for index, segment in enumerate(segments):
        if segment.kind == SEGMENT_FILE_CHECK and (index or len(segment.data) != 4):
            raise CorruptStreamError("header: the file check is not 4 bytes in the first segment")
    mode = mode or _described_mode(segments)
    _check_segments(mode, segments)
    kept = (SEGMENT_FRAMES, SEGMENT_ARRAY)
    header = Header(
        mode,
        width,
        height,
        coder,
        reference,
        crc,
        tuple(segment for segment in segments if segment.kind not in kept),
        payload_offset=reader.offset,
    )
    coded = header.as_coded.mode
    _check_coder(coder, coded, "header, byte 4")
    for segment in segments:
        if segment.kind == SEGMENT_FRAMES:
            frames = _read_frames(segment.data, coded, coder, crc, reference)
            return replace(header, frames=frames)
    return header


def _described_mode(segments: list[Segment]) -> Mode:
    """Return the mode that an array description says."""
    for segment in segments:
        if segment.kind == SEGMENT_ARRAY:
            return read_array_mode(segment.data)
    raise CorruptStreamError("header: mode 31 without array description")


def _check_segments(mode: Mode, segments: list[Segment]) -> None:
    """Check which segments there are, and how often (SPEC 3.1)."""
    _check_palette(mode, segments)
    kinds = [segment.kind for segment in segments]
    if kinds.count(SEGMENT_FRAMES) > 1:
        raise CorruptStreamError("header: more than one frame table")
    if kinds.count(SEGMENT_SAMPLE_MAP) > 1:
        raise CorruptStreamError("header: more than one sample map")
    if kinds.count(SEGMENT_ARRAY) > (mode.identifier == ARRAY):
        raise CorruptStreamError(
            f"header: {kinds.count(SEGMENT_ARRAY)} segments array description in a file of "
            f"{mode.name} pictures"
        )


def _check_palette(mode: Mode, segments: list[Segment]) -> None:
    """Palette images have a palette, others have neither it nor transparency (SPEC 3.1.1)."""
    kinds = [segment.kind for segment in segments]
    for kind in (SEGMENT_PALETTE, SEGMENT_TRANSPARENCY):
        if kinds.count(kind) > mode.has_palette:
            raise CorruptStreamError(
                f"header: {kinds.count(kind)} segments {SEGMENT_NAMES[kind]} in a file of "
                f"{mode.name} pictures"
            )
    if mode.has_palette and SEGMENT_PALETTE not in kinds:
        raise CorruptStreamError("header: a palette picture without palette")


def read_header_from(stream: IO[bytes]) -> Header:
    """Read the header from a file object without reading the payload.

    The stream is left somewhere after the header; `Header.payload_offset` counts from where the
    stream stood.
    """
    data = b""
    wanted = 256
    while True:
        piece = stream.read(wanted)
        data += piece
        try:
            return read_header(data)
        except TruncatedStreamError:
            if not piece:
                raise
        wanted = len(data)


def write_file(header: Header, payload: bytes, *, file_check: bool = False) -> bytes:
    """Return a whole file (SPEC 2); inverse of `read_file`.

    Parameters
    ----------
    header : Header
    payload : bytes
        The coder's output, of all frames.
    file_check : bool
        Whether to add a CRC-32 of the file's own bytes (SPEC 3.3).
    """
    if not file_check:
        return write_header(header) + payload
    marked = replace(header, segments=(Segment(SEGMENT_FILE_CHECK, bytes(4)), *header.segments))
    data = write_header(marked) + payload
    before, after = _file_check_gap(header)
    crc = zlib.crc32(data[after:], zlib.crc32(data[:before]))
    segment = write_segment(Segment(SEGMENT_FILE_CHECK, struct.pack("<I", crc)))
    return data[:before] + segment[2:] + data[after:]


def _file_check_gap(header: Header) -> tuple[int, int]:
    """Where data and checksum of the file check lie: it is always the first segment."""
    bare = len(write_header(replace(header, mode=MODES[0], segments=(), frames=())))
    return bare + 2, bare + 10


def file_check_matches(data: bytes | memoryview, header: Header) -> bool | None:
    """Whether the bytes of a file match its file check; None where it has none (SPEC 3.3)."""
    if not header.segments or header.segments[0].kind != SEGMENT_FILE_CHECK:
        return None
    before, after = _file_check_gap(header)
    view = memoryview(data)
    crc = zlib.crc32(view[after:], zlib.crc32(view[:before]))
    return header.segments[0].data == struct.pack("<I", crc)


def read_file(data: bytes) -> tuple[Header, bytes]:
    """Split a whole file into header and payload; inverse of `write_file`."""
    header = read_header(data)
    return header, data[header.payload_offset :]


def frame_payload(header: Header, payload: bytes | memoryview, index: int) -> bytes:
    """Return one frame's part of a file's payload (SPEC 2.7, 3.4).

    Less than its length is returned where the file is truncated. Errors: see `frame_bounds`.
    """
    start, end = frame_bounds(header, len(payload), index)
    return bytes(payload[start:end])


def frame_bounds(header: Header, n_bytes: int, index: int) -> tuple[int, int]:
    """Return where one frame's part of a payload of so many bytes starts and ends.

    The end lies behind the payload's where the file is truncated.

    Raises
    ------
    IndexError
        There is no such frame.
    CorruptStreamError
        Bytes follow the last frame.
    """
    if not 0 <= index < header.n_frames:
        raise IndexError(f"frame {index} of a file of {header.n_frames}")
    if not header.frames:
        return 0, n_bytes
    start = header.frame_offsets[index]
    end = start + header.frames[index].n_bytes
    if index == len(header.frames) - 1 and end < n_bytes:
        raise CorruptStreamError(f"{n_bytes - end} bytes follow the last frame")
    return start, end


def frames_needed(header: Header, index: int) -> range:
    """Return the frames that one frame is decoded from, itself the last (SPEC 3.4)."""
    first = index
    while header.frames and header.frames[first].follows:
        first -= 1
    return range(first, index + 1)


def frame_header(header: Header, index: int) -> Header:
    """Return the header of one frame as that of a file of its own."""
    if not header.frames:
        return header
    frame = header.frames[index]
    reference = b"" if frame.built_in or frame.coder == STORED else header.codebook_reference
    return replace(
        header,
        coder=frame.coder,
        checksum=frame.checksum,
        codebook_reference=reference,
        frames=(),
    )
