"""Sets of images in one file: head, blocks and index as bytes, both directions (SPEC 7.2).

Pure Python on purpose: opening a set and listing its names needs neither NumPy nor Numba.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from . import container
from .container import FLAG_SET, FORMAT_VERSION, MAGIC, REFERENCE_LENGTHS, ByteReader, write_varint
from .errors import CorruptStreamError, TruncatedStreamError, UnsupportedStreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .container import Header, Mode, Segment

IMAGE_BLOCK, GROUP_BLOCK, INDEX_BLOCK = 0x01, 0x02, 0x81
"""Kinds of blocks; bit 7 marks those that a reader may skip (SPEC 7.2.2)."""

BLOCK_NAMES = {IMAGE_BLOCK: "image", GROUP_BLOCK: "group", INDEX_BLOCK: "index"}

MAX_GROUP, MAX_BILEVEL_GROUP = 16, 256
"""Most images of a group, of bilevel ones (SPEC 7.2.4)."""

MAX_GROUP_PIXELS = 1 << 14
"""Largest image of a group."""

MAX_NAME_BYTES = 1024
"""Longest name (SPEC 7.2.6)."""

MAX_IMAGES = 1 << 40
MAX_BLOCK_BYTES = 1 << 40
"""Largest numbers that are believed at all; a block must fit into its file besides."""

FRAME_BYTES = 5
"""Bytes of a block around its data, without the length: kind and CRC-32."""

HEAD_OF_BLOCK = 10
"""Most bytes of kind and length."""

END_BYTES = 8
"""The last bytes of a whole set: length and CRC-32 of its last index."""

_SEGMENTS, _SET_BOOK, _NAMED = 0b00100, 0b01000, 0b10000
LAST_GROUP_MODE = 11
"""The modes behind it need segments, or are coded in other forms: they are not grouped."""


@dataclass(frozen=True)
class SetHead:
    """What stands before the blocks (SPEC 7.2.1).

    Attributes
    ----------
    codebook_reference : bytes
        0, 4, 8 or 32 bytes.
    segments : tuple of Segment
    n_bytes : int
        Its length: where the blocks start.
    """

    codebook_reference: bytes = b""
    segments: tuple[Segment, ...] = ()
    n_bytes: int = 0

    def segment_of_codebook(self) -> bytes | None:
        """Return the codebook file that the set embeds, None where there is none."""
        kind = container.SEGMENT_CODEBOOK
        return next((segment.data for segment in self.segments if segment.kind == kind), None)

    def codebook_segments(self) -> tuple[Segment, ...]:
        """Return the segments that tell about the codebook."""
        kinds = (container.SEGMENT_CODEBOOK, container.SEGMENT_CODEBOOK_NAME)
        return tuple(segment for segment in self.segments if segment.kind in kinds)


@dataclass(frozen=True)
class Entry:
    """A block as the index lists it (SPEC 7.2.5).

    Attributes
    ----------
    offset, n_bytes : int
        Where the block lies.
    n_images : int
        0 for blocks that are no images.
    named : bool
        Whether the block names its images.
    position : int
        Of its first image in the set.
    """

    offset: int
    n_bytes: int
    n_images: int
    named: bool
    position: int


@dataclass(frozen=True)
class Index:
    """An index block (SPEC 7.2.5).

    Attributes
    ----------
    n_images : int
        Images of the set up to here.
    previous : int
        How far before this block the index before starts, 0 where there is none.
    blocks : tuple of (int, int, bool)
        Of each block since then its length, number of images, and whether it names them.
    """

    n_images: int
    previous: int
    blocks: tuple[tuple[int, int, bool], ...]


@dataclass(frozen=True)
class ImageBlock:
    """One image: a file of its own without what the set's head says (SPEC 7.2.3).

    Attributes
    ----------
    position : int
    name : str or None
        None: its position is its name.
    of_set : bool
        Whether it refers to the set's codebook.
    file : bytes
        The file, with the reference that it means; only its beginning where the block was read in
        part.
    """

    position: int
    name: str | None
    of_set: bool
    file: bytes


@dataclass(frozen=True)
class GroupBlock:
    """Several tiny images of one mode and size (SPEC 7.2.4).

    Attributes
    ----------
    position : int
        Of the first.
    names : tuple of str, or None
    of_set : bool
        Whether the codebook reference is the set's.
    reference : bytes
    mode : Mode
    width, height : int
    share : int
        So many images have a checksum together, perhaps fewer at the end.
    checksums : tuple of int
        CRC-32s over the description and the samples of each share.
    coders : tuple of (int, bool)
        Of each image its coder, and whether it uses the built-in prior all the same.
    payloads : tuple of bytes
        Empty where the block was read in part.
    """

    position: int
    names: tuple[str, ...] | None
    of_set: bool
    reference: bytes
    mode: Mode
    width: int
    height: int
    share: int
    checksums: tuple[int, ...]
    coders: tuple[tuple[int, bool], ...]
    payloads: tuple[bytes, ...]

    def images_with(self, index: int) -> range:
        """Return the numbers of the images that have their checksum together with one."""
        first = index - index % self.share
        return range(first, min(first + self.share, len(self.coders)))

    def header(self, index: int, segments: tuple[Segment, ...] = (), crc: int = 0) -> Header:
        """Return the header of one image as that of a file of its own."""
        coder, built_in = self.coders[index]
        reference = b"" if built_in or coder == container.STORED else self.reference
        return container.Header(
            self.mode, self.width, self.height, coder, reference, crc, segments if reference else ()
        )


def check_name(name: str) -> str:
    """Return a name that may stand in a set (SPEC 7.2.6).

    Raises
    ------
    ValueError
        It might lead out of a folder, or cannot be a file's name.
    """
    try:
        n_bytes = len(name.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"name {name!r} is no UTF-8") from error
    if not 1 <= n_bytes <= MAX_NAME_BYTES:
        raise ValueError(f"name of {n_bytes} bytes, expected 1 to {MAX_NAME_BYTES}")
    if any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 or letter == "\\" for letter in name):
        raise ValueError(f"name {name!r} has a control character or a backslash")
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise ValueError(f"name {name!r} is no path of names below a folder")
    return name


def _read_name(data: bytes, what: str) -> str:
    try:
        return check_name(data.decode())
    except ValueError as error:
        raise CorruptStreamError(f"{what}: {error}") from error


# --- head ---------------------------------------------------------------------------------------


def write_head(reference: bytes, segments: Sequence[Segment]) -> bytes:
    """Return what stands before the blocks; inverse of `read_head`."""
    flags = FLAG_SET | _SEGMENTS * bool(segments) | REFERENCE_LENGTHS.index(len(reference))
    out = bytearray(MAGIC) + bytes([FORMAT_VERSION << 4 | flags]) + reference
    if segments:
        for segment in segments:
            out += container.write_segment(segment)
        out.append(container.SEGMENT_END)
    return bytes(out + struct.pack("<I", zlib.crc32(out)))


def read_head(data: bytes) -> SetHead:
    """Read what stands before the blocks; inverse of `write_head`.

    Raises
    ------
    CorruptStreamError, TruncatedStreamError, UnsupportedStreamError
    """
    if not container.is_set(data):
        if MAGIC.startswith(data[:3]) and len(data) < 4:
            raise TruncatedStreamError(f"set: {len(data)} bytes are no head")
        found = data[:4].hex(" ")
        raise CorruptStreamError(f"not a set of images: it starts with {found}")
    reader = ByteReader(data, "head of the set")
    reader.take(3, "magic")
    flags = reader.take(1, "version")[0]
    if flags >> 4 != FORMAT_VERSION:
        raise UnsupportedStreamError(
            f"head of the set, byte 3: format version {flags >> 4}, this release reads version "
            f"{FORMAT_VERSION}"
        )
    reference = reader.take(REFERENCE_LENGTHS[flags & 0b11], "codebook reference")
    segments = container.read_segments(reader) if flags & _SEGMENTS else []
    end = reader.offset
    (found_crc,) = struct.unpack("<I", reader.take(4, "checksum"))
    expected = zlib.crc32(data[:end])
    if found_crc != expected:
        raise CorruptStreamError(
            f"head of the set has checksum {found_crc:08x}, its bytes give {expected:08x}"
        )
    for segment in segments:
        if segment.critical:
            raise CorruptStreamError(f"head of the set: segment {segment.name} of an image")
    head = SetHead(reference, tuple(segments), reader.offset)
    if head.codebook_segments() and not reference:
        raise CorruptStreamError("head of the set: a codebook segment without codebook reference")
    return head


# --- blocks -------------------------------------------------------------------------------------


def write_block(kind: int, data: bytes) -> bytes:
    """Return a block: kind, length, data, CRC-32 over all these, as segments have it."""
    return container.write_segment(container.Segment(kind, data))


def read_block_start(data: bytes, offset: int) -> tuple[int, int, int]:
    """Return (kind, bytes before its data, bytes of the whole block) from its first bytes."""
    reader = ByteReader(data, f"block at byte {offset}")
    kind = reader.take(1, "kind")[0]
    n_data = reader.varint("length", MAX_BLOCK_BYTES)
    if kind not in BLOCK_NAMES and kind < 0x80:
        raise UnsupportedStreamError(
            f"block at byte {offset}: kind 0x{kind:02x} is unknown; a newer softcomp_codec may "
            "read this set"
        )
    return kind, reader.offset, reader.offset + n_data + 4


def read_block(data: bytes, offset: int) -> tuple[int, bytes]:
    """Return (kind, data) of a whole block, whose CRC-32 is checked."""
    kind, start, n_bytes = read_block_start(data[:HEAD_OF_BLOCK], offset)
    if n_bytes != len(data):
        raise CorruptStreamError(
            f"block at byte {offset} has {n_bytes} bytes, the index says {len(data)}"
        )
    (found,) = struct.unpack("<I", data[-4:])
    expected = zlib.crc32(memoryview(data)[:-4])
    if found != expected:
        raise CorruptStreamError(
            f"block at byte {offset} has checksum {found:08x}, its bytes give {expected:08x}"
        )
    return kind, data[start:-4]


def write_image_block(position: int, name: str | None, file: bytes, *, of_set: bool) -> bytes:
    """Return the block of one image; inverse of `read_image_block`.

    Parameters
    ----------
    position : int
    name : str or None
    file : bytes
        The image as a file of its own.
    of_set : bool
        Whether its codebook reference means the set's codebook, and is left out.
    """
    before, after = _reference_bounds(file, container.REFERENCE_LENGTHS[file[3] & 0b11])
    flags = file[3] & 0b111 | _NAMED * (name is not None)
    reference = file[before:after]
    if of_set:
        flags, reference = flags & ~0b11 | _SET_BOOK, b""
    out = write_varint(position) + bytes([flags])
    if name is not None:
        encoded = name.encode()
        out += write_varint(len(encoded)) + encoded
    return write_block(IMAGE_BLOCK, out + reference + file[4:before] + file[after:])


def _reference_bounds(file: bytes, length: int) -> tuple[int, int]:
    """Return where the codebook reference of a file lies."""
    reader = ByteReader(file, "header")
    reader.take(5, "magic, version and mode")
    reader.varint("width", container.MAX_SIDE)
    reader.varint("height", container.MAX_SIDE)
    return reader.offset, reader.offset + length


def read_image_block(data: bytes, offset: int, head: SetHead) -> ImageBlock:
    """Read the data of a block of one image, or their beginning; inverse of `write_image_block`.

    Raises
    ------
    TruncatedStreamError
        `data` ends before the image's sizes.
    CorruptStreamError
    """
    what = f"block at byte {offset}"
    reader = ByteReader(data, what)
    position = reader.varint("position", MAX_IMAGES)
    flags = reader.take(1, "flags")[0]
    name = None
    if flags & _NAMED:
        n_bytes = reader.varint("length of the name", MAX_NAME_BYTES)
        name = _read_name(reader.take(n_bytes, "name"), what)
    reference = _read_reference(reader, flags, head)
    of_set = bool(flags & _SET_BOOK)
    rest = data[reader.offset :]
    start, _ = _reference_bounds(MAGIC + b"\0" + rest, 0)
    version = FORMAT_VERSION << 4 | flags & _SEGMENTS | REFERENCE_LENGTHS.index(len(reference))
    file = MAGIC + bytes([version]) + rest[: start - 4] + reference + rest[start - 4 :]
    return ImageBlock(position, name, of_set, file)


def _read_reference(reader: ByteReader, flags: int, head: SetHead) -> bytes:
    """Return the codebook reference that a block's flags mean: the set's, or its own."""
    in_vain = flags & _SET_BOOK and (flags & 0b11 or not head.codebook_reference)
    if flags & 0b11100000 or in_vain:
        raise CorruptStreamError(f"{reader.what}: flags 0x{flags:02x}")
    if flags & _SET_BOOK:
        return head.codebook_reference
    return reader.take(REFERENCE_LENGTHS[flags & 0b11], "codebook reference")


def most_of_group(mode: Mode) -> int:
    """Return how many images a group of a mode may have."""
    return MAX_BILEVEL_GROUP if mode.bits_per_sample == 1 else MAX_GROUP


def may_be_grouped(mode: Mode, width: int, height: int) -> bool:
    """Whether images of a mode and size may share a block (SPEC 7.2.4)."""
    return mode.identifier <= LAST_GROUP_MODE and width * height <= MAX_GROUP_PIXELS


def write_group_block(group: GroupBlock) -> bytes:
    """Return the block of several images; inverse of `read_group_block`."""
    flags = _SET_BOOK if group.of_set else REFERENCE_LENGTHS.index(len(group.reference))
    out = bytearray(write_varint(group.position))
    out += bytes([flags | _NAMED * (group.names is not None), group.mode.identifier])
    out += write_varint(group.width) + write_varint(group.height)
    out += b"" if group.of_set else group.reference
    out += _write_coders(group.coders) + write_varint(group.share)
    out += b"".join(struct.pack("<I", crc) for crc in group.checksums)
    if group.names is not None:
        out += _write_names(group.names)
    out += _write_lengths([len(payload) for payload in group.payloads[:-1]])
    return write_block(GROUP_BLOCK, bytes(out) + b"".join(group.payloads))


def read_group_block(data: bytes, offset: int, head: SetHead, *, whole: bool = True) -> GroupBlock:
    """Read the data of a block of several images; inverse of `write_group_block`.

    Parameters
    ----------
    data : bytes
    offset : int
        The block's, for messages.
    head : SetHead
    whole : bool
        Whether payloads are needed; otherwise the beginning of the data will do.

    Raises
    ------
    TruncatedStreamError
        `data` ends too early.
    CorruptStreamError, UnsupportedStreamError
    """
    what = f"block at byte {offset}"
    reader = ByteReader(data, what)
    position = reader.varint("position", MAX_IMAGES)
    flags, identifier = reader.take(2, "flags and mode")
    mode = container.MODES.get(identifier)
    if mode is None:
        raise UnsupportedStreamError(f"{what}: mode {identifier} is unknown")
    width = reader.varint("width", container.MAX_SIDE)
    height = reader.varint("height", container.MAX_SIDE)
    reference = _read_reference(reader, flags, head)
    if not width * height or flags & _SEGMENTS or not may_be_grouped(mode, width, height):
        raise CorruptStreamError(
            f"{what}: a group of {mode.name} images of {width} x {height}, flags 0x{flags:02x}"
        )
    coders = _read_coders(reader, mode, bool(reference))
    share = reader.varint("images of a checksum", len(coders))
    if not share:
        raise CorruptStreamError(f"{what}: checksums of 0 images")
    n_checksums = -(-len(coders) // share)
    checksums = struct.unpack(f"<{n_checksums}I", reader.take(4 * n_checksums, "checksums"))
    names = _read_names(reader, len(coders)) if flags & _NAMED else None
    payloads: tuple[bytes, ...] = ()
    if whole:
        bounds = list(accumulate(_read_lengths(reader, len(coders) - 1), initial=reader.offset))
        if bounds[-1] > len(data):
            raise CorruptStreamError(f"{what}: payloads of {bounds[-1]} bytes in {len(data)}")
        payloads = tuple(data[start:end] for start, end in pairwise([*bounds, len(data)]))
    return GroupBlock(
        position, names, bool(flags & _SET_BOOK), reference, mode, width, height, share, checksums,
        coders, payloads,
    )  # fmt: skip


def _write_coders(coders: Sequence[tuple[int, bool]]) -> bytes:
    """Return runs of equal coders."""
    runs: list[tuple[int, int]] = []
    for coder, built_in in coders:
        byte = coder << 5 | built_in
        n_same = runs.pop()[1] if runs and runs[-1][0] == byte else 0
        runs.append((byte, n_same + 1))
    out = write_varint(len(runs))
    return out + b"".join(bytes([byte]) + write_varint(n_same) for byte, n_same in runs)


def _read_coders(reader: ByteReader, mode: Mode, has_book: bool) -> tuple[tuple[int, bool], ...]:
    coders: list[tuple[int, bool]] = []
    most = most_of_group(mode)
    for _ in range(reader.varint("number of runs", most)):
        byte = reader.take(1, "coder")[0]
        n_same = reader.varint("length of a run", most)
        _check_coder(byte, mode, has_book, reader.what)
        if not n_same or len(coders) + n_same > most:
            raise CorruptStreamError(
                f"{reader.what}: a run of {n_same} images behind {len(coders)}"
            )
        coders += [(byte >> 5, bool(byte & 1))] * n_same
    if not coders:
        raise CorruptStreamError(f"{reader.what}: a group without images")
    return tuple(coders)


def _check_coder(byte: int, mode: Mode, has_book: bool, what: str) -> None:
    """Check a coder's byte, as that of a frame that does not follow another (SPEC 3.4)."""
    coder, built_in = byte >> 5, byte & 1
    if coder not in container.READABLE_CODERS or not container.codes_mode(coder, mode):
        raise UnsupportedStreamError(f"{what}: coder {coder} for {mode.name} pictures")
    always = coder in (container.STORED, container.REFERENCE, container.TINY)
    if byte & 0b11110 or (built_in and (always or not has_book)):
        raise CorruptStreamError(f"{what}: coder byte 0x{byte:02x}")


def _write_names(names: Sequence[str]) -> bytes:
    """Return names, each as what it does not share with the name before."""
    out, before = bytearray(), b""
    for name in names:
        encoded = name.encode()
        n_first = _n_shared(before, encoded)
        rest, rest_before = encoded[n_first:], before[n_first:]
        n_last = _n_shared(rest_before[::-1], rest[::-1])
        middle = rest[: len(rest) - n_last]
        out += write_varint(n_first) + write_varint(n_last) + write_varint(len(middle)) + middle
        before = encoded
    return bytes(out)


def _n_shared(first: bytes, second: bytes) -> int:
    """Return with how many equal bytes two strings begin."""
    pairs = zip(first, second, strict=False)
    return next((k for k, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _read_names(reader: ByteReader, n_images: int) -> tuple[str, ...]:
    names, before = [], b""
    for _ in range(n_images):
        n_first = reader.varint("shared beginning of a name", len(before))
        n_last = reader.varint("shared end of a name", len(before) - n_first)
        n_middle = reader.varint("length of a name", MAX_NAME_BYTES)
        middle = reader.take(n_middle, "name")
        before = before[:n_first] + middle + before[len(before) - n_last :]
        names.append(_read_name(before, reader.what))
    return tuple(names)


def _write_lengths(lengths: Sequence[int]) -> bytes:
    """Return lengths, the same number of bits each above the least; nothing for none."""
    if not lengths:
        return b""
    least = min(lengths)
    n_bits = max(length - least for length in lengths).bit_length()
    number = 0
    for length in lengths:
        number = number << n_bits | length - least
    n_bytes = (n_bits * len(lengths) + 7) // 8
    number <<= 8 * n_bytes - n_bits * len(lengths)
    return write_varint(least) + bytes([n_bits]) + number.to_bytes(n_bytes, "big")


def _read_lengths(reader: ByteReader, n_lengths: int) -> list[int]:
    if not n_lengths:
        return []
    least = reader.varint("least length", MAX_BLOCK_BYTES)
    n_bits = reader.take(1, "bits of a length")[0]
    if n_bits > 32:
        raise CorruptStreamError(f"{reader.what}: lengths of {n_bits} bits")
    n_bytes = (n_bits * n_lengths + 7) // 8
    number = int.from_bytes(reader.take(n_bytes, "lengths"), "big")
    spare = 8 * n_bytes - n_bits * n_lengths
    if number & ((1 << spare) - 1):
        raise CorruptStreamError(f"{reader.what}: padding of the lengths is not 0")
    number >>= spare
    mask = (1 << n_bits) - 1
    return [least + (number >> n_bits * k & mask) for k in reversed(range(n_lengths))]


# --- index --------------------------------------------------------------------------------------


def write_index(index: Index) -> bytes:
    """Return an index block; inverse of `read_index`. Its last 8 bytes tell where it starts."""
    out = bytearray(write_varint(index.n_images) + write_varint(index.previous))
    out += write_varint(len(index.blocks))
    for n_bytes, n_images, named in index.blocks:
        out += write_varint(n_bytes) + write_varint(n_images << 1 | named)
    n_data = len(out) + 4
    length = FRAME_BYTES + len(write_varint(n_data)) + n_data
    return write_block(INDEX_BLOCK, bytes(out) + struct.pack("<I", length))


def read_index(data: bytes, offset: int) -> Index:
    """Read a whole index block; inverse of `write_index`."""
    kind, content = read_block(data, offset)
    what = f"index at byte {offset}"
    if kind != INDEX_BLOCK or content[-4:] != struct.pack("<I", len(data)):
        raise CorruptStreamError(f"block at byte {offset} is no index")
    reader = ByteReader(content[:-4], what)
    try:
        n_images = reader.varint("number of images", MAX_IMAGES)
        previous = reader.varint("distance of the index before", MAX_BLOCK_BYTES)
        blocks = []
        for _ in range(reader.varint("number of blocks", len(content))):
            n_bytes = reader.varint("length of a block", MAX_BLOCK_BYTES)
            number = reader.varint("images of a block", 2 * MAX_BILEVEL_GROUP + 1)
            if n_bytes <= FRAME_BYTES:
                raise CorruptStreamError(f"{what}: a block of {n_bytes} bytes")
            blocks.append((n_bytes, number >> 1, bool(number & 1)))
    except TruncatedStreamError as error:  # the block is whole, its content is not
        raise CorruptStreamError(str(error)) from error
    if reader.offset != len(content) - 4:
        raise CorruptStreamError(f"{what}: bytes follow its last block")
    return Index(n_images, previous, tuple(blocks))
