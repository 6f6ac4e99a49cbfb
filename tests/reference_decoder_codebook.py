"""Codebook files (SPEC.md 6), written from SPEC.md alone.

A part of reference_decoder.py.
"""

import hashlib
import json
import lzma
from dataclasses import dataclass
from typing import Any

from reference_decoder_bilevel import BilevelPrior, read_bilevel_prior
from reference_decoder_container import BITS_OF_MODE, KIND_OF_MODE, PLANES_OF_MODE
from reference_decoder_context_prior import Prior, read_prior
from reference_decoder_few_colour import FewColourPrior, read_few_colour_prior
from reference_decoder_jpeg_coefficients import JpegPrior, read_jpeg_prior
from reference_decoder_numbers import ByteReader, SpecError
from reference_decoder_published import KIND_OF_SCHEME, ReferencePart, read_reference_part
from reference_decoder_shapes import Part, read_part
from reference_decoder_tiny import TinyPrior, read_tiny_prior

CODEBOOK_MAGIC = b"\xf7SB"
# A limit of this decoder, not of the format (6.1).
MAX_SERIALISATION = 64 << 20


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
