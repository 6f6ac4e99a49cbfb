"""A slow decoder of SCF files, written from SPEC.md alone, to show that the document suffices.

It shares no code with the package and needs the standard library only. The numbers in the
docstrings are the sections of SPEC.md. Plain statements come before speed everywhere.

This module has the container, codebooks and coders 0, 1, 2 and 5; coders 3, 4, 6 and 7 and
their priors have modules of their own, and what they share is in reference_decoder_numbers.py.
"""

import hashlib
import json
import lzma
import struct
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

from reference_decoder_bilevel import (
    BilevelPrior,
    decode_bilevel,
    read_bilevel_prior,
    read_settings,
)
from reference_decoder_few_colour import (
    FewColourPrior,
    Palette,
    decode_few_colour,
    read_few_colour_prior,
    read_palette,
)
from reference_decoder_jpeg import JpegPrior, decode_jpeg, read_jpeg_prior
from reference_decoder_numbers import (
    ArithmeticDecoder,
    BitReader,
    ByteReader,
    HuffmanCode,
    Range,
    SpecError,
    State,
    check_code_lengths,
    clip,
    curve_value,
    first_curve,
    read_count_cap,
    read_golomb,
    read_known_states,
    read_later_states,
    squash,
    stretch_table,
    update_curve,
    update_state,
    write_varint,  # noqa: F401
)
from reference_decoder_samples import (
    PALETTE_MODES,
    PlanePicture,
    Presented,
    describe,
    read_presented,
)
from reference_decoder_tiny import TinyPrior, decode_tiny, read_tiny_prior

IMAGE_MAGIC = b"\xf7SC"
CODEBOOK_MAGIC = b"\xf7SB"
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
PLANES_OF_KIND = (1, 1, 3)
GAP_SYMBOLS = 153
ENERGY_CLASSES = 16
LOW_CONTEXTS = 256
ERROR_LIMITS = (5, 15, 25, 42, 60, 85, 140)
ENERGY_LIMITS = (0, 2, 4, 7, 11, 15, 20, 27, 36, 49, 66, 90, 130, 200, 350)

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

# Limits of this decoder, not of the format (1.3, 6.1).
MAX_SAMPLES = 1 << 24
MAX_SERIALISATION = 64 << 20

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
class Prior:
    """Where the models of the context coder start (6.4); a part that is not there is empty.

    Coefficients are by kind of plane and level, filters by kind, states by context, kind, node and
    slot, weights (of 7 contexts) and full weights (of 15) by set, kind, level and node. Learning:
    both paces and the count limit beside the full weights.
    """

    key: tuple[int, int, int]
    coefficients: dict[tuple[int, int], list[int]]
    filters: dict[int, list[int]]
    states: dict[tuple[int, int, int, int], tuple[int, int]]
    weights: dict[tuple[int, int, int, int], list[int]]
    full_weights: dict[tuple[int, int, int, int], list[int]]
    learning: tuple[int, int, int] | None


@dataclass(frozen=True)
class Codebook:
    """A codebook file (6): its ID, its training record and its parts by kind of image."""

    id: bytes
    record: dict[str, Any]
    parts: dict[int, Part]
    reference_parts: dict[int, ReferencePart]
    priors: list[Prior]
    bilevel_priors: dict[tuple[int, int], BilevelPrior]
    tiny_priors: dict[tuple[int, int], TinyPrior]
    few_colour_prior: FewColourPrior | None
    jpeg_priors: dict[int, JpegPrior]

    def bilevel_prior_for(self, height: int, width: int) -> BilevelPrior:
        """Return the prior of the bilevel coder for images of a size (6.5)."""
        prior = self.bilevel_priors.get((height, width), self.bilevel_priors.get((0, 0)))
        if prior is None:
            raise SpecError("the codebook has no prior for bilevel images of this size")
        return prior

    def priors_for(self, mode: int) -> dict[int, Prior]:
        """Return the priors for images of a mode, by colour transform (6.4)."""
        image = (BITS_OF_MODE[mode], PLANES_OF_MODE[mode])
        found = {prior.key[2]: prior for prior in self.priors if prior.key[:2] == image}
        kind = KIND_OF_MODE[mode]
        if not found and kind not in self.parts and kind not in self.reference_parts:
            raise SpecError("the codebook does not fit the mode")
        return found


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


# Bytes and numbers (1.2)


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
            return decode_one_by_one(frames, codebook)
        except SpecError as error:
            problem = error
    if any(frame.reference for frame in frames):
        raise problem
    return decode_one_by_one(frames, None)


def decode_one_by_one(frames: list[Header], codebook: Codebook | None) -> list[Picture]:
    """Decode frames, each with the one before if it follows (3.4)."""
    pictures: list[Picture] = []
    for frame in frames:
        previous = (pictures[-1].coded or pictures[-1].planes) if frame.follows else None
        pictures.append(decode_frame(frame, codebook, previous))
    return pictures


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


def decode_frame(
    header: Header, codebook: Codebook | None, previous: list[list[list[int]]] | None = None
) -> Picture:
    """Decode one image with a codebook, if it refers to one, and compare its checksum.

    `previous` are the component planes of the frame before, if this one follows.
    """
    if header.coder == STORED:
        if header.presented and header.presented.coded_mode is None:
            stored = header.presented.read_stored(header.payload, header.width, header.height)
            return check_presented(header, header.presented, stored, [])
        return check_picture(header, read_stored(header))
    if header.width * header.height * PLANES_OF_MODE[header.mode] > MAX_SAMPLES:
        raise SpecError(f"more than {MAX_SAMPLES} samples, a limit of this decoder")
    if not header.reference:
        codebook = None
    return check_picture(header, decode_payload(header, codebook, previous))


def decode_payload(
    header: Header, codebook: Codebook | None, previous: list[list[list[int]]] | None = None
) -> list[list[list[int]]]:
    """Decode a payload that is not stored into component planes (2.4)."""
    height, width = header.height, header.width
    if header.coder == CONTEXT:
        priors = codebook.priors_for(header.mode) if codebook else {}
        return decode_context(header, priors, previous)
    if header.coder == SHAPES:
        return decode_shapes(header, codebook.parts if codebook else {})
    if header.coder == BILEVEL:
        bilevel_prior = codebook.bilevel_prior_for(height, width) if codebook else None
        return decode_bilevel_tiles(header, bilevel_prior)
    if header.coder == FEW_COLOUR:
        prior = codebook.few_colour_prior if codebook else None
        return decode_few_colour_tiles(header, prior)
    if header.coder == JPEG_PAST:
        planes = decode_jpeg_past(header, codebook)
    elif header.coder == TINY:
        if not codebook or (height, width) not in codebook.tiny_priors:
            raise SpecError("no codebook with a tiny prior for images of this size")
        planes = [decode_tiny(header.payload, codebook.tiny_priors[height, width])]
    else:
        planes = decode_reference(header, codebook.reference_parts if codebook else {})
    return planes


def decode_jpeg_past(header: Header, codebook: Codebook | None = None) -> list[list[list[int]]]:
    """Decode a payload of the coder of pictures that were JPEGs once (5J)."""
    colour = PLANES_OF_MODE[header.mode] == 3

    def decode_gray(payload: bytes, height: int, width: int) -> list[list[int]]:
        gray = Header(CONTEXT, 1, width, height, b"", 0, None, None, None, payload)
        return decode_context(gray, {}, None)[0]

    return decode_jpeg(
        header.payload,
        header.height,
        header.width,
        colour,
        lambda luma, cb, cr: invert_lattice(luma, cb, cr, 0),
        decode_gray,
        codebook.jpeg_priors.get(3 if colour else 1) if codebook else None,
    )


def decode_bilevel_tiles(header: Header, prior: BilevelPrior | None) -> list[list[list[int]]]:
    """Decode a payload of the bilevel coder (5D.1)."""
    file = ByteReader(header.payload)
    settings = read_settings(file, prior)
    return join_tiles(
        header,
        read_tiles_of(file, header, 1 << 24, 1 << 22),
        lambda tile: [
            decode_bilevel(
                tile.code, tile.right - tile.left, tile.bottom - tile.top, settings, prior
            )
        ],
    )


def decode_few_colour_tiles(header: Header, prior: FewColourPrior | None) -> list[list[list[int]]]:
    """Decode a payload of the few-colour coder (5E.1)."""
    planes = PLANES_OF_MODE[header.mode]
    return join_tiles(
        header,
        read_tiles_of(ByteReader(header.payload), header, 1 << 24, 1 << 22),
        lambda tile: decode_few_colour(
            tile.code,
            tile.right - tile.left,
            tile.bottom - tile.top,
            planes,
            header.palette if header.mode == PALETTE_MODE else None,
            prior,
        ),
    )


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


# Tiles (7.1)


@dataclass(frozen=True)
class Tile:
    """A tile with what the directory says of it; an image of one tile has no directory."""

    top: int
    left: int
    bottom: int
    right: int
    code: bytes
    raw: bool = False
    check: int | None = None


def tile_grid(width: int, height: int, pixels: int) -> list[tuple[int, int, int, int]]:
    """Return top, left, bottom and right of the tiles."""
    tiles = -(-height * width // pixels)
    columns = min(tiles, -(-width // 2048))
    rows = min(height, -(-tiles // columns))
    tops = [height * i // rows for i in range(rows + 1)]
    lefts = [width * j // columns for j in range(columns + 1)]
    return [
        (tops[i], lefts[j], tops[i + 1], lefts[j + 1]) for i in range(rows) for j in range(columns)
    ]


def read_tiles_of(file: ByteReader, header: Header, most: int, pixels: int) -> list[Tile]:
    """Read directory and codes of the tiles of images of more than `most` pixels."""
    if header.width * header.height <= most:
        return [Tile(0, 0, header.height, header.width, file.rest())]
    listed = []
    for place in tile_grid(header.width, header.height, pixels):
        check, number = file.uint32(), file.varint()
        if number > 1 << 40:
            raise SpecError("corrupt: the length of a tile")
        size = raw_size(header.mode, place[3] - place[1], place[2] - place[0])
        listed.append((place, check, number == 0, number - 1 if number else size))
    tiles = [
        Tile(*place, code=file.take(size), raw=raw, check=check)
        for place, check, raw, size in listed
    ]
    if not file.at_end:
        raise SpecError("corrupt: bytes behind the last tile")
    return tiles


def join_tiles(
    header: Header, tiles: list[Tile], decode: Callable[[Tile], list[list[list[int]]]]
) -> list[list[list[int]]]:
    """Decode and check all tiles, and put them together."""
    if tiles[0].check is None:
        return decode(tiles[0])
    planes = range(PLANES_OF_MODE[header.mode])
    image = [[[0] * header.width for _ in range(header.height)] for _ in planes]
    for tile in tiles:
        size = {"width": tile.right - tile.left, "height": tile.bottom - tile.top}
        alone = replace(header, payload=tile.code, **size)
        decoded = read_stored(alone) if tile.raw else decode(tile)
        check_tile(header, tile, canonical_samples(alone, decoded))
        for rows, found in zip(image, decoded, strict=True):
            for row, samples in enumerate(found, tile.top):
                rows[row][tile.left : tile.right] = samples
    return image


def check_tile(header: Header, tile: Tile, samples: bytes) -> None:
    """Compare the check of a tile."""
    numbers = header.mode, header.width, header.height, tile.left, tile.top
    if zlib.crc32(struct.pack("<BIIII", *numbers) + samples) != tile.check:
        raise SpecError("corrupt: the check of a tile differs")


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


# The context coder (5C)

LEVELS = (0, 1, 2, 4, 7, 11, 18, 30, 50, 80, 128, 200)
LOG_LIMITS = (0, 1, 3, 7, 15, 31)
CORRECTIONS = (
    (0, 0, 0),
    (0, 1, 0),
    (0, -1, 0),
    (0, 0, 1),
    (1, 0, 0),
    (-1, 0, 0),
    (0, 0, -1),
    (1, 0, -1),
)
# Places of the neighbours whose differences from W are taps (5C.3, 5C.8).
OWN_TAPS = (
    *((-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)),
    *((-2, 1), (-2, -1), (-1, -2), (-1, 2), (0, -3), (-3, 0)),
)
FAR_TAPS = ((-2, 2), (-2, -2), (-1, -3), (-1, 3), (-3, -1), (-3, 1), (0, -4))
TAPS_BEFORE = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, 1), (1, 0))
TAPS_TWO_BEFORE = ((0, -1), (-1, 0), (0, 1), (1, 0))
MOST_TAPS = 21
PRIOR_SLOTS = (1024, 1024, 1573, 1024, 6561, 1024, 1024)
LATER_PRIOR_SLOTS = (1024, 1024, 1024, 2197, 6561, 2048, 1024, 2048)
NO_PRIOR = Prior((8, 1, 0), {}, {}, {}, {}, {}, None)


def med(u: int, v: int, w: int) -> int:
    """Return the median of three numbers (5C.3)."""
    return min(max(w, min(u, v)), max(u, v))


def level(value: int) -> int:
    """Return the class of an amount (5C.2)."""
    return sum(limit < min(value, 4095) for limit in LEVELS)


def share(error: int) -> int:
    """Return a prediction's weight by its recent error (5C.2)."""
    return max(1, 2**30 // (min(error, 2047) + 4) ** 4)


def norm(power: int) -> int:
    """Return the step of a filter by the taps' squares (5C.2)."""
    if power < 4096:
        return 2**22 // (4 * (power >> 2) + 22)
    return 2**22 // (4096 * min(power >> 12, 1535) + 2068)


def log(value: int) -> int:
    """Return a coarse logarithm with sign, 0..12 (5C.4)."""
    size = sum(limit < abs(value) for limit in LOG_LIMITS)
    return 6 + size if value >= 0 else 6 - size


@dataclass(frozen=True)
class ContextPlane:
    """What the payload says about a plane (5C.1)."""

    limits: Range
    scale: int


def context_ranges(mode: int, transform: int) -> list[Range]:
    """Return the ranges of the planes (5.2, 5.2.1, 5C.1)."""
    components, bits = PLANES_OF_MODE[mode], BITS_OF_MODE[mode]
    colours = 3 <= components <= 4 and not isinstance(mode, PlanePicture)
    allowed = (0,) if not colours else (0, 3, 4) if bits == 8 else (0, 3)
    if transform not in allowed:
        raise SpecError("corrupt: colour transform")
    highest = (1 << bits) - 1
    component = Range(0, highest)
    if transform == 0:
        return [component] * components
    if transform == 3:
        first = [component, Range(-highest, highest), Range(-highest, highest)]
    else:
        first = [component, component, component, Range(0, 7)]
    return first + [component] * (components - 3)


def read_context_planes(file: ByteReader, mode: int, transform: int) -> list[ContextPlane]:
    """Read what the payload says about the planes (5C.1)."""
    ranges = context_ranges(mode, transform)
    if len(ranges) > 60:
        narrowed = int.from_bytes(file.take((len(ranges) + 7) // 8), "little")
    else:
        narrowed = file.varint()
    if narrowed >> len(ranges):
        raise SpecError("corrupt: a narrowed plane that is not there")
    planes = []
    for index, limits in enumerate(ranges):
        lowest, highest, scale = limits.lowest, limits.highest, 0
        if narrowed >> index & 1:
            lowest += file.varint()
            highest -= file.varint()
            if (lowest, highest) == (limits.lowest, limits.highest):
                raise SpecError("corrupt: narrowed to the whole range")
        if lowest > highest:
            raise SpecError("corrupt: lowest above highest")
        if BITS_OF_MODE[mode] == 16:
            scale = file.byte()
        if scale > 8:
            raise SpecError("corrupt: a scale above 8")
        planes.append(ContextPlane(Range(lowest, highest), scale))
    return planes


@dataclass(frozen=True)
class ContextPayload:
    """A payload of the context coder (5C.1)."""

    transform: int
    contexts: int
    planes: list[ContextPlane]
    tiles: list[Tile]


def read_context_payload(header: Header) -> ContextPayload:
    """Read the payload of the context coder up to its codes (5C.1)."""
    file = ByteReader(header.payload)
    transform, contexts = divmod(file.byte(), 16)
    if contexts == 0:
        raise SpecError("corrupt: no contexts")
    planes = read_context_planes(file, header.mode, transform)
    tiles = read_tiles_of(file, header, 1 << 20, 1 << 20)
    return ContextPayload(transform, contexts, planes, tiles)


def red_differences(planes: list[list[list[int]]]) -> list[list[list[int]]]:
    """Return the planes of transform 3 of component planes (5.2)."""
    pairs = [list(zip(*rows, strict=True)) for rows in zip(*planes[:3], strict=True)]
    return [
        planes[0],
        [[green - red for red, green, _ in row] for row in pairs],
        [[blue - ((red + green) >> 1) for red, green, blue in row] for row in pairs],
        *planes[3:],
    ]


def decode_context(
    header: Header, priors: dict[int, Prior], previous: list[list[list[int]]] | None = None
) -> list[list[list[int]]]:
    """Decode the payload of the context coder into component planes (5C.1, 5C.9)."""
    payload = read_context_payload(header)
    prior = priors.get(payload.transform)
    bits = BITS_OF_MODE[header.mode]
    if previous and len(previous) > 8:
        raise SpecError("corrupt: more than eight planes of a frame that follows")
    if previous and payload.transform == 4:
        raise SpecError("corrupt: transform 4 of a frame that follows")

    def decode(tile: Tile) -> list[list[list[int]]]:
        sides = tile.right - tile.left, tile.bottom - tile.top
        known = None
        if previous:
            part = [
                [row[tile.left : tile.right] for row in plane[tile.top : tile.bottom]]
                for plane in previous
            ]
            known = part if payload.transform == 0 else red_differences(part)
        planes = decode_tile(tile.code, payload, prior, bits, *sides, known=known)
        return invert_context_transform(payload.transform, planes, (1 << bits) - 1)

    return join_tiles(header, payload.tiles, decode)


def invert_context_transform(
    transform: int, planes: list[list[list[int]]], highest: int
) -> list[list[list[int]]]:
    """Return the component planes of transforms 0, 3 and 4 (5.2, 5.2.1)."""
    if transform == 0:
        return planes
    used = 3 if transform == 3 else 4
    inverse = invert_red if transform == 3 else invert_lattice
    rows = [
        [inverse(*pixel) for pixel in zip(*row, strict=True)]
        for row in zip(*planes[:used], strict=True)
    ]
    colours = [[[pixel[index] for pixel in row] for row in rows] for index in range(3)]
    if any(not 0 <= sample <= highest for plane in colours for row in plane for sample in row):
        raise SpecError("corrupt: a component outside the range")
    return colours + planes[used:]


def invert_red(red: int, u: int, v: int) -> tuple[int, int, int]:
    """Return the components of a pixel of transform 3 (5.2)."""
    green = u + red
    return red, green, v + ((red + green) >> 1)


def invert_lattice(luma: int, cb: int, cr: int, correction: int) -> tuple[int, int, int]:
    """Return the components of a pixel of transform 4 (5.2.1)."""
    b, r = cb - 128, cr - 128
    red = luma + ((91881 * r + 32768) >> 16)
    green = luma + ((-22554 * b - 46802 * r + 32768) >> 16)
    blue = luma + ((116130 * b + 32768) >> 16)
    differences = CORRECTIONS[correction]
    byte = Range(0, 255)
    return (
        byte.clamp(red) + differences[0],
        byte.clamp(green) + differences[1],
        byte.clamp(blue) + differences[2],
    )


def decode_tile(
    code: bytes,
    payload: ContextPayload,
    prior: Prior | None,
    bits: int,
    width: int,
    height: int,
    known: list[list[list[int]]] | None = None,
) -> list[list[list[int]]]:
    """Decode a tile, with the bits of the image's samples (5C.1), and the frame before (5C.9)."""
    arithmetic = ArithmeticDecoder(code)
    models = [ContextModel(payload.contexts, kind, prior) for kind in range(4)]
    done: list[TilePlane] = []
    for index, plane in enumerate(payload.planes):
        model, before = models[min(index + bool(known), 3)], done[::-1]
        if known:
            frame_before = TilePlane(arithmetic, model, plane, [], bits, width, height)
            frame_before.samples = known[index]
            frame_before.residuals = [[0] * width for _ in range(height)]
            before = [frame_before, *done[-1:]]
        done.append(TilePlane(arithmetic, model, plane, before, bits, width, height))
        done[-1].decode()
    arithmetic.finish()
    return [plane.samples for plane in done]


@dataclass(frozen=True)
class Situation:
    """What chooses the states, weights and curves of a sample's decisions (5C.4, 5C.6)."""

    slots: list[int]
    weight_rows: list[int]
    curve_rows: list[int]
    pace: int


class ContextModel:
    """What a tile has learnt about the planes of a kind (5C.3, 5C.6), from its start on (6.4)."""

    def __init__(self, contexts: int, kind: int, prior: Prior | None) -> None:
        self.contexts = contexts
        self.kind = kind
        self.prior = prior or NO_PRIOR
        self.large = contexts >= 13
        self.bound = 65536 if contexts < 8 else 32768
        self.paces = (4, 100000) if self.large else (6, 200000)
        self.count_limit = 120 if self.large else 60
        if contexts == 15 and self.prior.learning:
            final, start, self.count_limit = self.prior.learning
            self.paces = (final, 4096 * start)
        weights = [58982 // ((3 if self.large else 2) * contexts)] * contexts + [0]
        self.biases: dict[tuple[int, int], int] = defaultdict(int)
        self.standard_weights = weights
        self.states: dict[tuple[int, int, int], list[int]] = {}
        self.weights: dict[tuple[int, int, int], list[int]] = {}
        self.curves: dict[tuple[int, int, int], list[int]] = defaultdict(first_curve)

    def coefficients(self, activity: int) -> list[int]:
        """Return L of an activity (5C.3)."""
        return self.prior.coefficients.get((self.kind, activity), [0] * MOST_TAPS)

    def first_filter(self) -> list[int]:
        """Return what F and S are at the start of a plane (5C.7, 6.4)."""
        standard = [104857, 0, 26214] + [0] * (MOST_TAPS - 3)
        return list(self.prior.filters.get(self.kind, standard))

    def state(self, context: int, slot: int, node: int) -> list[int]:
        """Return a state, Q and n (5C.6, 6.4)."""
        if (context, slot, node) not in self.states:
            place = (context, self.kind, node, slot)
            self.states[context, slot, node] = list(self.prior.states.get(place, (1 << 21, 0)))
        return self.states[context, slot, node]

    def weights_of(self, number: int, row: int, node: int) -> list[int]:
        """Return the weights of a set, row and node (5C.6, 6.4)."""
        if (number, row, node) not in self.weights:
            start = self.standard_weights
            if self.contexts == 7:
                start = self.prior.weights.get((number, self.kind, row, node), start)
            if self.contexts == 15:
                start = self.prior.full_weights.get((number, self.kind, row, node), start)
            self.weights[number, row, node] = list(start)
        return self.weights[number, row, node]

    def decide(self, arithmetic: ArithmeticDecoder, node: int, situation: Situation) -> int:
        """Decode one decision and learn from it (5C.6)."""
        states = [self.state(k, slot, node) for k, slot in enumerate(situation.slots)]
        weights = [self.weights_of(k, row, node) for k, row in enumerate(situation.weight_rows)]
        curves = [self.curves[k, row, node] for k, row in enumerate(situation.curve_rows)]
        inputs = [stretch_table()[state[0] >> 10] for state in states] + [256]
        total = sum(i * sum(w) for i, w in zip(inputs, zip(*weights, strict=True), strict=True))
        x = clip(total >> 16, 2047)
        mixed = squash(x)
        values = [curve_value(curve, x) for curve in curves]
        chance = (2 * mixed + sum(values)) >> 2 if self.large else (mixed + values[0]) >> 1
        if self.contexts < 4:
            chance = mixed
        yes = arithmetic.decide(min(max(chance, 32), 65504))
        error = (((yes << 16) - mixed) * situation.pace) >> 6
        for those in weights:
            for k, i in enumerate(inputs):
                those[k] = clip(those[k] + ((error * i + 8192) >> 14), self.bound)
        for curve in curves:
            update_curve(curve, x, yes)
        for state in states:
            update_state(state, yes, self.count_limit)
        return yes


@dataclass(frozen=True)
class ContextNeighbours:
    """What a sample is predicted from (5C.3): its taps, and C, C[0,-1], C[-1,0], C[-1,-1]."""

    w: int
    n: int
    nw: int
    ne: int
    ww: int
    nn: int
    before: list[int]
    taps: list[int]
    square_taps: list[int]


@dataclass(frozen=True)
class Guess:
    """What the predictions say about a sample (5C.3); precise is p."""

    predictions: list[int]
    precise: int
    q: int
    activity: int
    texture: int
    doubt: int
    fine: int


class TilePlane:
    """A plane of a tile while it is decoded, and afterwards (5C.3 to 5C.8)."""

    def __init__(
        self,
        arithmetic: ArithmeticDecoder,
        model: ContextModel,
        plane: ContextPlane,
        before: list["TilePlane"],
        bits: int,
        width: int,
        height: int,
    ) -> None:
        self.arithmetic, self.model, self.before = arithmetic, model, before
        self.limits, self.scale = plane.limits, plane.scale
        self.tree_depth = 17 if bits == 16 else 9
        self.width, self.height = width, height
        self.row = self.column = 0
        self.middle = (self.limits.lowest + self.limits.highest + 1) >> 1
        self.samples: list[list[int]] = []
        self.residuals: list[list[int]] = []
        self.errors: list[list[list[int]]] = []
        self.fast, self.slow = model.first_filter(), model.first_filter()
        self.squares = LeastSquares(18 if not before else 17 if len(before) == 1 else 21, plane)

    def decode(self) -> None:
        """Decode all samples."""
        if self.limits.span == 0:
            self.samples = [[self.limits.lowest] * self.width for _ in range(self.height)]
            self.residuals = [[0] * self.width for _ in range(self.height)]
            return
        for row in range(self.height):
            self.row = row
            self.samples.append([])
            self.residuals.append([])
            self.errors.append([])
            for column in range(self.width):
                self.column = column
                self.decode_sample()

    def sample_at(self, row: int, column: int) -> int:
        """Return x(row, column), inside the tile or outside (5C.3)."""
        if row < 0:
            return self.samples[0][column - 4] if column >= 4 else self.middle
        if column < 0:
            return self.samples[row - 1][0] if row > 0 else self.middle
        return self.samples[min(row, self.height - 1)][min(column, self.width - 1)]

    def around(self, values: list[list[Any]], zero: Any) -> list[Any]:
        """Return values at W, N, NW, NE, WW and NN, zero outside the tile (5C.3)."""
        found = []
        for i, j in ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)):
            row, column = self.row + i, self.column + j
            inside = row >= 0 and 0 <= column < self.width
            found.append(values[row][column] if inside else zero)
        return found

    def decode_sample(self) -> None:
        """Predict a sample, decode its residual and learn from it (5C.3 to 5C.8)."""
        model, s, limits = self.model, self.scale, self.limits
        near = self.neighbours()
        residuals = self.around(self.residuals, 0)
        r_w, r_n, r_nw, r_ne, r_ww, _ = map(abs, residuals)
        activity = level((2 * r_w + 2 * r_n + r_nw + r_ne + r_ww) >> (1 + s))
        predictions = self.predict(near, activity)
        blend, total = self.blend(predictions)
        texture = sum(
            (16 * value > blend) << bit
            for bit, value in enumerate((near.n, near.w, near.nw, near.ne, near.nn, near.ww))
        )
        precise = blend + (model.biases[activity, texture] >> 12)
        compared = [*predictions[:4], predictions[5]]
        fine = next((number for number in range(24) if total >> number <= 7), 23)
        guess = Guess(
            predictions=predictions,
            precise=precise,
            q=limits.clamp((precise + 8) >> 4),
            activity=activity,
            texture=texture,
            doubt=level((max(compared) - min(compared)) >> (3 + s)),
            fine=fine if model.large else 0,
        )
        slots = self.slots(near, residuals, guess)[: model.contexts]
        steps = self.row * self.width + 16384
        third = guess.fine * 13 // 24
        if model.large:
            rows = [activity, guess.doubt, third], [activity, third]
        else:
            rows = [activity, guess.doubt], [activity]
        final, start = model.paces
        situation = Situation(slots, *rows, pace=final + start // steps)
        sample = guess.q + self.decode_residual(guess.q, situation)
        if sample != limits.clamp(sample):
            raise SpecError("corrupt: a sample outside its range")
        self.samples[self.row].append(sample)
        self.residuals[self.row].append(sample - guess.q)
        self.errors[self.row].append([min(abs(16 * sample - k), 4080 << s) for k in predictions])
        model.biases[activity, texture] += ((sample << 16) - (precise << 12)) >> 6
        self.learn(near, predictions, sample)

    def neighbours(self) -> ContextNeighbours:
        """Return the neighbours of the current sample and the taps (5C.3, 5C.8)."""

        def at(plane: TilePlane, place: tuple[int, int]) -> int:
            return plane.sample_at(self.row + place[0], self.column + place[1])

        west = at(self, (0, -1))
        own = [at(self, place) - west for place in OWN_TAPS]
        taps = list(own)
        for plane, places in zip(self.before, (TAPS_BEFORE, TAPS_TWO_BEFORE), strict=False):
            taps += [at(plane, (0, 0)) - at(plane, place) for place in places]
        far = [] if self.before else [at(self, place) - west for place in FAR_TAPS]
        n, nw, ne, ww, nn = (west + difference for difference in own[:5])
        before = [at(self.before[0], (i, j)) for i in (0, -1) for j in (0, -1) if self.before]
        return ContextNeighbours(west, n, nw, ne, ww, nn, before, taps, taps + far)

    def predict(self, near: ContextNeighbours, activity: int) -> list[int]:
        """Return P_0, P_1 and so on (5C.3)."""
        w, n, nw, ne = near.w, near.n, near.nw, near.ne
        trained = self.model.coefficients(activity)
        fast, slow = (
            sum(t * (c >> 4) for t, c in zip(near.taps, coefficients, strict=False)) >> 10
            for coefficients in (self.fast, self.slow)
        )
        third = 16 * n + 4 * (ne - nw) + 8 * (w - nw)
        if self.before:
            c, c_w, c_n, c_nw = near.before
            u, v = w - c_w, n - c_n
            third = 16 * (c + med(u, v, u + v - (nw - c_nw)))
        predictions = [
            16 * w + fast,
            16 * med(w, n, n + w - nw),
            16 * w + (sum(t * c for t, c in zip(near.taps, trained, strict=False)) >> 10),
            third,
            16 * w + 8 * (ne - n) + 4 * (n - nw),
            16 * w + slow,
        ]
        if self.model.large:
            predictions.append(16 * w + self.squares.predict(near.square_taps))
        return predictions

    def blend(self, predictions: list[int]) -> tuple[int, int]:
        """Return P and T (5C.3)."""
        shares = []
        for e in zip(*self.around(self.errors, [0] * len(predictions)), strict=True):
            recent = (2 * e[0] + 2 * e[1] + e[2] + e[3] + e[4]) >> 3
            shares.append(share(recent >> self.scale))
        base = 16 * self.limits.lowest - 4096
        raised = sum(g * (p - base) for g, p in zip(shares, predictions, strict=True))
        return base + max(0, raised) // sum(shares), sum(shares)

    def slots(self, near: ContextNeighbours, residuals: list[int], guess: Guess) -> list[int]:
        """Return the slot numbers of all contexts (5C.4)."""
        s, q, a, p = self.scale, guess.q, guess.activity, guess.precise
        w, n, nw, ne, ww, nn = near.w, near.n, near.nw, near.ne, near.ww, near.nn
        r_w, r_n, _, _, r_ww, r_nn = residuals
        h, f = 4 << s, (p + 8) & 15
        off = [prediction - p for prediction in guess.predictions]

        def pair(u: int, v: int) -> int:
            return 32 * (clip(u >> s, 15) + 15) + clip(v >> s, 15) + 15

        def nears(u: int, m: int, v: int, n: int) -> int:
            first, second = (
                clip((d + (1 << (k - 1 + s))) >> (k + s), 15) + 15 for d, k in ((u, m), (v, n))
            )
            return 32 * first + second

        def two(u: int, v: int) -> int:
            return 9 * (clip(u >> s, 4) + 4) + clip(v >> s, 4) + 4

        z = next(z for z in range(18) if self.limits.span >> z <= 1023)
        pos = (q - self.limits.lowest) >> z
        wide = 11 * (clip((off[0] + h) >> (3 + s), 5) + 5)
        wide = 13 * (wide + clip((off[3] + 2 * h) >> (4 + s), 5) + 5) + guess.doubt
        grad = 8 * (clip((w + n - nw - q) >> s, 31) + 31) + (f >> 1)
        tex = 4 * (4 * guess.texture + (f >> 2)) + min(a // 3, 3)
        twos = 81 * two(r_w, r_ww) + two(r_n, r_nn)
        fast_and_fourth = nears(off[0], 2, off[4], 3)
        last = 8 * guess.fine + (f >> 1)
        if not self.before:
            return [
                pair(w - q, n - q),
                pos,
                wide,
                tex,
                twos,
                nears(off[5], 2, off[6 if self.model.large else 2], 2),
                pair(ww - q, nn - q),
                pair(ne - q, nw - q),
                pair(r_w, r_n),
                fast_and_fourth,
                13 * (clip((off[1] + h) >> (3 + s), 20) + 20) + a,
                grad,
                16 * (q & 127) + clip((n + w - 2 * q) >> (1 + s), 7) + 7,
                pair(n - ne, w - nw),
                last,
            ]
        before, two_before = (
            plane.residuals[self.row][self.column] for plane in (self.before * 2)[:2]
        )
        pair_before = 21 * (clip(before >> s, 10) + 10) + clip(two_before >> s, 10) + 10
        return [
            pair(w - q, n - q),
            2 * pair_before + (a > 5),
            grad,
            pos,
            wide,
            pair(r_w, r_n),
            pair(ne - q, nw - q),
            nears(off[3], 3, off[1], 3),
            nears(off[0], 2, off[6], 2) if self.model.large else fast_and_fourth,
            tex,
            13 * (13 * log(near.taps[11] >> s) + log(near.taps[12] >> s)) + a,
            twos,
            pair(before, r_w),
            pair(ww - q, nn - q),
            last,
        ]

    def learn(self, near: ContextNeighbours, predictions: list[int], sample: int) -> None:
        """Adapt the filters to a sample (5C.7, 5C.8)."""
        s, most = self.scale, (1 << 21) - 1
        step = norm(sum(t * t for t in near.taps) >> (2 * s)) * 64
        fast_step = ((16 * sample - predictions[0]) * step) >> (14 + s)
        slow_step = ((16 * sample - predictions[5]) * step) >> (16 + s)
        for k, t in enumerate(near.taps):
            self.fast[k] = clip(self.fast[k] + ((fast_step * t) >> (6 + s)), most)
            self.slow[k] = clip(self.slow[k] + ((slow_step * t) >> (6 + s)), most)
        if self.model.large:
            self.squares.learn(near.square_taps, sample - near.w)

    def decode_residual(self, q: int, situation: Situation) -> int:
        """Decode a residual by its decisions (5C.5)."""
        up, down = self.limits.highest - q, q - self.limits.lowest

        def ask(node: int) -> int:
            return self.model.decide(self.arithmetic, node, situation)

        if max(up, down) == 0 or not ask(0):
            return 0
        negative = up == 0 or (down > 0 and bool(ask(1)))
        reach = down if negative else up
        floor = width = 1
        ones = 0
        node = 2 + self.tree_depth if negative else 2
        while floor + width <= reach and ones < self.tree_depth and ask(node):
            floor += width
            if ones > 0:
                width *= 2
            ones += 1
            node += 1
        digits = width.bit_length() - 1
        node = 2 + 2 * self.tree_depth + 3 * min(ones - 2, 3)
        rest = 0
        for digit in range(digits):
            if digit == 0:
                bit = ask(node)
            elif digit == 1:
                bit = ask(node + 1 + rest)
            else:
                bit = self.arithmetic.even_bit()
            rest = 2 * rest + bit
        return -(floor + rest) if negative else floor + rest


class LeastSquares:
    """The least-squares predictor of a plane (5C.8)."""

    def __init__(self, taps: int, plane: ContextPlane) -> None:
        self.taps = taps
        self.highest = 16 * plane.limits.span
        self.shift = max(plane.scale - 2, 0)
        self.coefficients = [6553, 0, 1638] + [0] * (taps - 3)
        self.matrix = [[0] * taps for _ in range(taps)]
        self.vector = [0] * taps
        self.turn = 0

    def predict(self, taps: list[int]) -> int:
        """Return P_6 minus 16 W (5C.3)."""
        products = (c * v for c, v in zip(self.coefficients, taps, strict=True))
        return clip(sum(products) >> 10, self.highest)

    def learn(self, taps: list[int], difference: int) -> None:
        """Learn from a sample minus W."""
        u = [clip(v >> self.shift, 2047) for v in taps]
        g = clip(difference >> self.shift, 2047)
        for i in range(self.taps):
            line = self.matrix[i]
            for j in range(self.taps):
                line[j] += ((u[i] * u[j] << 14) - line[j]) >> 11
            self.vector[i] += ((u[i] * g << 14) - self.vector[i]) >> 11
        for _ in range(4):
            line, turn = self.matrix[self.turn], self.turn
            products = (m * c for m, c in zip(line, self.coefficients, strict=True))
            gap = (self.vector[turn] << 14) - sum(products)
            step = gap // (line[turn] + 8192)
            self.coefficients[turn] = clip(self.coefficients[turn] + step, 262143)
            self.turn = (turn + 1) % self.taps


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
    sections = read_serialisation(serialisation)
    return Codebook(codebook_id, **vars(sections))


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


@dataclass
class Sections:
    """What the sections of a codebook hold (6.2)."""

    record: dict[str, Any] | None
    parts: dict[int, Part]
    reference_parts: dict[int, ReferencePart]
    priors: list[Prior]
    bilevel_priors: dict[tuple[int, int], BilevelPrior]
    tiny_priors: dict[tuple[int, int], TinyPrior]
    few_colour_prior: FewColourPrior | None
    jpeg_priors: dict[int, JpegPrior]


def read_serialisation(serialisation: bytes) -> Sections:
    """Read the sections of a codebook and check their canonical order (6.2)."""
    file = ByteReader(serialisation)
    sections = Sections(None, {}, {}, [], {}, {}, None, {})
    last: tuple[Any, ...] = (0,)
    while not file.at_end:
        kind = file.byte()
        key = read_section(kind, file.take(file.varint()), sections)
        if (kind, key) <= last or (last == (0,)) != (kind == 1):
            raise SpecError("corrupt: the sections are not in canonical order")
        last = kind, key
    if len(last) == 1 or last[0] == 1:
        raise SpecError("corrupt: a codebook without a training record or without parts")
    return sections


def read_section(kind: int, content: bytes, sections: Sections) -> tuple[int, ...]:
    """Read a section and return what the order of its kind goes by (6.2)."""
    key: tuple[int, ...] = ()
    if kind == 1:
        sections.record = read_record(content)
    elif kind == 2:
        part = read_part(content)
        sections.parts[part.kind] = part
        key = (part.kind,)
    elif kind == 3:
        reference_part = read_reference_part(content)
        key = (KIND_OF_SCHEME[reference_part.scheme],)
        sections.reference_parts[key[0]] = reference_part
    elif kind == 4:
        prior = read_prior(content)
        sections.priors.append(prior)
        key = prior.key
    elif kind == 5:
        bilevel_prior = read_bilevel_prior(content)
        sections.bilevel_priors[bilevel_prior.size] = bilevel_prior
        key = bilevel_prior.size
    elif kind == 6:
        tiny_prior = read_tiny_prior(content)
        sections.tiny_priors[tiny_prior.size] = tiny_prior
        key = tiny_prior.size
    elif kind == 7:
        sections.few_colour_prior = read_few_colour_prior(content)
    elif kind == 8:
        jpeg_prior = read_jpeg_prior(content)
        sections.jpeg_priors[jpeg_prior.components] = jpeg_prior
        key = (jpeg_prior.components,)
    elif kind < 0x80:
        raise SpecError(f"unsupported: critical section {kind:02X}h")
    else:
        raise SpecError(f"corrupt: ancillary section {kind:02X}h")
    return key


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


def read_prior(content: bytes) -> Prior:
    """Read a prior of the context coder (6.4)."""
    file = ByteReader(content)
    bits, planes, transform, parts = file.take(4)
    if bits not in (8, 16) or not 1 <= planes <= 4:
        raise SpecError("unsupported: a prior for other images")
    transforms = [0] if planes < 3 else [0, 3] if bits == 16 else [0, 3, 4]
    if transform not in transforms or not 1 <= parts <= 63 or parts & 20 == 16:
        raise SpecError("corrupt: the transform or the parts of a prior")
    taps = (11, 17, 21, 21)
    kinds = range(min(planes + (transform == 4), 4))
    nodes = 32 if bits == 8 else 48

    def signed(number: int) -> list[int]:
        """Return so many numbers of 2 bytes."""
        return [value for (value,) in struct.iter_unpack("<h", file.take(2 * number))]

    coefficients, filters, weights = {}, {}, {}
    states: dict[tuple[int, int, int, int], tuple[int, int]] = {}
    if parts & 1:
        coefficients = {(k, row): signed(taps[k]) for k in kinds for row in range(13)}
    if parts & 2:
        filters = {k: [16 * value for value in signed(taps[k])] for k in kinds}
    if parts & 4:
        cap = read_count_cap(file)
        known = read_known_states(file, sum(PRIOR_SLOTS) * len(kinds) * nodes, cap)
        states = by_place(known, range(7), len(kinds), nodes)
    if parts & 8:
        rows = [(i, k, row, n) for i in (0, 1) for k in kinds for row in range(13)
                for n in range(nodes)]  # fmt: skip
        standard = [58982 // 14] * 7 + [0]
        weights = {
            place: [start + 16 * value for start, value in zip(standard, signed(8), strict=True)]
            for place in rows
        }
        if any(abs(weight) > 65536 for row in weights.values() for weight in row):
            raise SpecError("corrupt: a weight of a prior")
    if parts & 16:
        known = read_later_states(file, sum(LATER_PRIOR_SLOTS) * len(kinds) * nodes, cap)
        states |= by_place(known, range(7, 15), len(kinds), nodes)
    learning, full_weights = read_full_weights(file, kinds, nodes) if parts & 32 else (None, {})
    if not file.at_end:
        raise SpecError("corrupt: bytes behind a prior")
    key = (bits, planes, transform)
    return Prior(key, coefficients, filters, states, weights, full_weights, learning)


def read_full_weights(
    file: ByteReader, kinds: range, nodes: int
) -> tuple[tuple[int, int, int], dict[tuple[int, int, int, int], list[int]]]:
    """Read both paces, the count limit and the weights of 15 contexts (6.4)."""
    final, start, limit = file.take(3)
    if final > 15 or start > 63 or limit == 0:
        raise SpecError("corrupt: how full weights learn")
    standard = [58982 // 45] * 15 + [0]
    weights = {}
    for place in product(range(3), kinds, range(13), range(nodes)):
        stored = struct.unpack("16b", file.take(16))
        weights[place] = [
            first + 256 * value for first, value in zip(standard, stored, strict=True)
        ]
        if any(abs(weight) > 32768 for weight in weights[place]):
            raise SpecError("corrupt: a full weight of a prior")
    return (final, start, limit), weights


def by_place(
    known: dict[int, tuple[int, int]], contexts: range, kinds: int, nodes: int
) -> dict[tuple[int, int, int, int], tuple[int, int]]:
    """Return the known states of some contexts by context, kind, node and slot (6.4)."""
    places = (
        (context, kind, node, slot)
        for context in contexts
        for kind in range(kinds)
        for node in range(nodes)
        for slot in range((PRIOR_SLOTS + LATER_PRIOR_SLOTS)[context])
    )
    return {place: known[index] for index, place in enumerate(places) if index in known}


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
