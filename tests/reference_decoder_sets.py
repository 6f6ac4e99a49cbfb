"""Sets of images (7.2) for the slow decoder, from SPEC.md alone; see reference_decoder.py."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reference_decoder import candidates, decode_frames, decode_payload
from reference_decoder_codebook import Codebook
from reference_decoder_container import (
    BITS_OF_MODE,
    IMAGE_MAGIC,
    LAST_AXIS_OF_MODE,
    REFERENCE,
    REFERENCE_BYTES,
    SEGMENT_CODEBOOK,
    SEGMENT_CODEBOOK_NAME,
    STORED,
    TINY,
    Header,
    Picture,
    canonical_samples,
    check_coder,
    read_segments,
    read_side,
    read_stored,
)
from reference_decoder_numbers import ByteReader, SpecError, write_varint

IMAGE, GROUP, INDEX = 1, 2, 0x81


@dataclass(frozen=True)
class Head:
    """What stands before the blocks (7.2.1); the segments that images take over, as bytes."""

    reference: bytes
    embedded: bytes | None
    segments: bytes
    length: int


@dataclass(frozen=True)
class Block:
    """A block whose CRC is right (7.2.2)."""

    start: int
    end: int
    kind: int
    content: bytes


def read_head(data: bytes) -> Head:
    """Read the head (7.2.1)."""
    file = ByteReader(data)
    if file.take(3) != IMAGE_MAGIC:
        raise SpecError("corrupt: no SCF file")
    flags = file.byte()
    if flags >> 4 != 0 or not flags & 8:
        raise SpecError("unsupported: another version, or no set")
    reference = file.take(REFERENCE_BYTES[flags & 3])
    start = file.position
    segments = read_segments(file, bool(reference)) if flags & 4 else {}
    if any(kind < 0x80 for kind in segments):
        raise SpecError("corrupt: a critical segment in the head")
    end = file.position
    if file.uint32() != zlib.crc32(data[:end]):
        raise SpecError("corrupt: the CRC of the head")
    taken = b""
    for kind in (SEGMENT_CODEBOOK, SEGMENT_CODEBOOK_NAME):
        if kind in segments:
            body = bytes([kind]) + write_varint(len(segments[kind])) + segments[kind]
            taken += body + zlib.crc32(body).to_bytes(4, "little")
    assert start <= end
    return Head(reference, segments.get(SEGMENT_CODEBOOK), taken, file.position)


def read_blocks(data: bytes, head: Head) -> Iterator[Block]:
    """Yield the blocks one after another; a set that is cut off ends in an error (7.2.2)."""
    file = ByteReader(data)
    file.take(head.length)
    while not file.at_end:
        start = file.position
        kind = file.byte()
        content = file.take(file.varint())
        end = file.position
        if file.uint32() != zlib.crc32(data[start:end]):
            raise SpecError("corrupt: the CRC of a block")
        if kind < 0x80 and kind not in (IMAGE, GROUP):
            raise SpecError("unsupported: a critical block")
        yield Block(start, file.position, kind, content)


def decode_set(data: bytes, codebooks: Sequence[bytes] = ()) -> list[tuple[str, list[Picture]]]:
    """Decode a whole set: the name and the frames of each image, in their order (7.2).

    Raises
    ------
    SpecError
        If it is not whole, or anything of it is corrupt.
    """
    head = read_head(data)
    images: list[tuple[str, list[Picture]]] = []
    listed: list[tuple[int, int]] = []
    last_index = None
    whole = False
    for block in read_blocks(data, head):
        before = len(images)
        whole = block.kind == INDEX
        if whole:
            check_index(block, last_index, len(images), listed)
            last_index, listed = block.start, []
            continue
        named = False
        if block.kind in (IMAGE, GROUP):
            new, named = decode_block(block, head, before, codebooks)
            images += new
        length = block.end - block.start
        listed.append((length, 2 * (len(images) - before) + named))
    if not whole:
        raise SpecError("truncated: the set does not end with an index")
    if len({name for name, _ in images}) != len(images):
        raise SpecError("corrupt: two images of one name")
    return images


def check_index(
    block: Block, last_index: int | None, number: int, listed: list[tuple[int, int]]
) -> None:
    """Compare an index with what it lists (7.2.5)."""
    file = ByteReader(block.content)
    distance = 0 if last_index is None else block.start - last_index
    if (file.varint(), file.varint()) != (number, distance):
        raise SpecError("corrupt: the index counts other images, or another index before")
    if [(file.varint(), file.varint()) for _ in range(file.varint())] != listed:
        raise SpecError("corrupt: the index lists other blocks")
    if file.uint32() != block.end - block.start or not file.at_end:
        raise SpecError("corrupt: the end of the index")


def decode_block(
    block: Block, head: Head, number: int, codebooks: Sequence[bytes]
) -> tuple[list[tuple[str, list[Picture]]], bool]:
    """Decode the images of a block, and whether they are named (7.2.2)."""
    file = ByteReader(block.content)
    if file.varint() != number:
        raise SpecError("corrupt: the position of a block")
    flags = file.byte()
    of_set, named = bool(flags & 8), bool(flags & 16)
    if flags & 0b11100000 or (of_set and (flags & 3 or not head.reference)):
        raise SpecError("corrupt: the flags of a block")
    if block.kind == GROUP:
        names, pictures = decode_group(file, flags, head, number, codebooks)
        frames = [[picture] for picture in pictures]
    else:
        names = [read_name(file.take(file.varint())) if named else str(number)]
        reference = head.reference if of_set else file.take(REFERENCE_BYTES[flags & 3])
        frames = [decode_frames(file_of(file, flags, reference, of_set, head), codebooks)]
    return list(zip(names, frames, strict=True)), named


def file_of(file: ByteReader, flags: int, reference: bytes, of_set: bool, head: Head) -> bytes:
    """Return the file that a block of one image stands for (7.2.3)."""
    coder_and_mode = file.byte()
    width, height, checksum = read_side(file), read_side(file), file.take(4)
    rest = file.rest()
    taken = head.segments if of_set else b""
    if not flags & 4:
        rest = b"\0" + rest
    elif read_segments(ByteReader(rest), bool(reference)).get(0x88) is not None:
        raise SpecError("corrupt: a file check in a set")
    version = 4 | REFERENCE_BYTES.index(len(reference))
    start = IMAGE_MAGIC + bytes([version, coder_and_mode])
    return start + write_varint(width) + write_varint(height) + reference + checksum + taken + rest


def read_name(name: bytes) -> str:
    """Read a name (7.2.6)."""
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        raise SpecError("corrupt: a name that is no UTF-8") from None
    codes = [ord(letter) for letter in text]
    if not 1 <= len(name) <= 1024 or any(c < 0x20 or 0x7F <= c <= 0x9F or c == 0x5C for c in codes):
        raise SpecError("corrupt: the length or a letter of a name")
    if any(part in ("", ".", "..") for part in text.split("/")):
        raise SpecError("corrupt: a part of a name")
    return text


def decode_group(
    file: ByteReader, flags: int, head: Head, number: int, codebooks: Sequence[bytes]
) -> tuple[list[str], list[Picture]]:
    """Decode a group (7.2.4)."""
    mode = file.byte()
    if mode >= len(BITS_OF_MODE):
        raise SpecError("unsupported: a reserved mode")
    width, height = read_side(file), read_side(file)
    of_set = bool(flags & 8)
    reference = head.reference if of_set else file.take(REFERENCE_BYTES[flags & 3])
    if flags & 4 or mode > 11 or width * height > 1 << 14:
        raise SpecError("corrupt: a group with segments, or of large images")
    coders = read_runs(file, mode, bool(reference))
    share = file.varint()
    if not 1 <= share <= len(coders):
        raise SpecError("corrupt: the images of a checksum")
    checksums = [file.uint32() for _ in range(0, len(coders), share)]
    names = [str(number + index) for index in range(len(coders))]
    if flags & 16:
        names = read_names(file, len(coders))
    headers = []
    for byte, payload in zip(coders, read_payloads(file, len(coders)), strict=True):
        own = b"" if byte & 1 or byte >> 5 == STORED else reference
        embedded = head.embedded if of_set else None
        headers.append(
            Header(
                coder=byte >> 5, mode=mode, width=width, height=height, reference=own, checksum=0,
                embedded=embedded, frame_table=None, palette=None, payload=payload,
            )
        )  # fmt: skip
    pictures: list[Picture] = []
    for first, checksum in zip(range(0, len(coders), share), checksums, strict=True):
        pictures += decode_share(headers[first : first + share], checksum, codebooks)
    return names, pictures


def read_runs(file: ByteReader, mode: int, has_reference: bool) -> list[int]:
    """Read the coder bytes of all images (7.2.4)."""
    coders: list[int] = []
    most = 256 if BITS_OF_MODE[mode] == 1 else 16
    for _ in range(file.varint()):
        byte, same = file.byte(), file.varint()
        check_coder(byte >> 5, mode)
        always = byte >> 5 in (STORED, REFERENCE, TINY) or not has_reference
        if byte & 0b11110 or (byte & 1 and always) or not same or len(coders) + same > most:
            raise SpecError("corrupt: a run of coders")
        coders += [byte] * same
    if not coders:
        raise SpecError("corrupt: a group without images")
    return coders


def read_names(file: ByteReader, number: int) -> list[str]:
    """Read the names of a group (7.2.4)."""
    names: list[str] = []
    before = b""
    for _ in range(number):
        first, last = file.varint(), file.varint()
        middle = file.take(file.varint())
        if first + last > len(before):
            raise SpecError("corrupt: a name shares more than there is")
        before = before[:first] + middle + before[len(before) - last :]
        names.append(read_name(before))
    return names


def read_payloads(file: ByteReader, number: int) -> list[bytes]:
    """Read the payloads of a group (7.2.4)."""
    lengths = []
    if number > 1:
        least, bits = file.varint(), file.byte()
        if bits > 32:
            raise SpecError("corrupt: the bits of a length")
        packed = file.take((bits * (number - 1) + 7) // 8)
        digits = "".join(f"{byte:08b}" for byte in packed)
        for index in range(number - 1):
            lengths.append(least + int("0" + digits[bits * index : bits * (index + 1)], 2))
        if "1" in digits[bits * (number - 1) :]:
            raise SpecError("corrupt: bits behind the lengths")
    return [file.take(length) for length in lengths] + [file.rest()]


def decode_share(headers: list[Header], checksum: int, codebooks: Sequence[bytes]) -> list[Picture]:
    """Decode the images that have a checksum together, with the codebook that fits (2.6)."""
    problem = SpecError("the codebook of a group is not there")
    referring = [header for header in headers if header.reference]
    books: list[Codebook | None] = (
        list(candidates(referring[0], codebooks)) if referring else [None]
    )
    for book in books:
        try:
            return decode_checked(headers, checksum, book)
        except SpecError as error:
            problem = error
    raise problem


def decode_checked(headers: list[Header], checksum: int, book: Codebook | None) -> list[Picture]:
    """Decode images and compare their checksum."""
    first = headers[0]
    covered = bytes([first.mode])
    covered += first.width.to_bytes(4, "little") + first.height.to_bytes(4, "little")
    pictures = []
    for header in headers:
        if header.coder == STORED:
            planes = read_stored(header)
        else:
            planes = decode_payload(header, book if header.reference else None)
        samples = canonical_samples(header, planes)
        covered += samples
        last_axis = LAST_AXIS_OF_MODE[header.mode]
        shape = (header.height, header.width) + (() if last_axis is None else (last_axis,))
        pictures.append(Picture(header.mode, header.width, header.height, shape, planes, samples))
    if zlib.crc32(covered) != checksum:
        raise SpecError("corrupt: the checksum of a group")
    return pictures
