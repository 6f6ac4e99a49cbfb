"""The codebook that encoder and decoder share, and its ``.scfb`` file (SPEC 6)."""

from __future__ import annotations

import hashlib
import json
import lzma
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import arithmetic, container, huffman, planes
from .atomic_files import write_atomically
from .bilevel_prior import BilevelPrior
from .bundled import MAGIC
from .coefficient_prior import CoefficientPrior
from .container import ByteReader, write_varint
from .context_prior import ContextPrior
from .errors import (
    CodebookError,
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from .few_colour_prior import FewColourPrior
from .kernels.entropy_kernels import N_CONTEXTS, N_ENERGIES
from .kernels.residual_kernels import GAP, MED, NO_PREDICTOR
from .reference_books import ReferencePart
from .shapes import N_GAP_SYMBOLS, ShapeSet, shape_set
from .tiny_coder import serves
from .tiny_prior import TinyPrior

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    from .arithmetic import States
    from .container import Mode
    from .context_prior import Key
    from .tiny_prior import TinyKey

FORMAT_VERSION = 0

SECTIONS = range(1, 9)
(
    SECTION_RECORD,
    SECTION_SHAPES,
    SECTION_REFERENCE,
    SECTION_PRIOR,
    SECTION_BILEVEL_PRIOR,
    SECTION_TINY,
    SECTION_FEW_COLOUR,
    SECTION_JPEG_PASTS,
) = SECTIONS
RAW, XZ = 0, 1

MAX_CODEBOOK_BYTES = 1 << 26
"""Largest serialised codebook that is read; this program's limit, not the format's."""

XZ_MEMORY = 1 << 28
"""Memory for unpacking; this program's limit, not the format's."""

KIND_NAMES = {0: "bilevel", 1: "gray8", 2: "rgb8"}


def kind_of(mode: Mode) -> int:
    """Return the kind of image (SPEC 6.2) that a mode is: 0 bilevel, 1 gray8, 2 rgb8.

    `UnsupportedStreamError` for a mode of no kind.
    """
    if mode.kind is None:
        raise UnsupportedStreamError(
            f"neither codebooks nor the shapes coder serve {mode.name} pictures, only "
            f"{', '.join(KIND_NAMES.values())}"
        )
    return mode.kind


@dataclass(frozen=True, eq=False)
class PlaneBook:
    """What a codebook knows about one plane (SPEC 6.3).

    Attributes
    ----------
    sample_bits : int
        Bits of the mapped residuals: 1 bilevel, 8, or 9 after a colour transform.
    predictor : int
        NO_PREDICTOR, MED or GAP.
    low_bits : int
        0..sample_bits; where equal, the plane has no shape layer.
    cell_value : int
        What the encoder saves by covering a cell, in 1/256 bit.
    shapes : ShapeSet
    low_states : ndarray, uint32, shape (256, 2**low_bits), or full_states where the bits are equal
        Initial states of the low layer beside a shape layer.
    full_states : ndarray, uint32, shape (16, 2**sample_bits)
        Initial states for planes that are coded without a shape layer.
    """

    sample_bits: int
    predictor: int
    low_bits: int
    cell_value: int
    shapes: ShapeSet
    low_states: States
    full_states: States

    @property
    def n_shapes(self) -> int:
        """Number of shapes."""
        return len(self.shapes)

    def states(self, low_bits: int) -> States:
        """Return the initial states of a low layer of `low_bits` bits (SPEC 5.9)."""
        if low_bits == self.sample_bits:
            return self.full_states
        if low_bits == self.low_bits:
            return self.low_states
        return arithmetic.neutral_states(low_bits, N_CONTEXTS)


@dataclass(frozen=True, eq=False)
class KindBook:
    """The part of a codebook for one kind of image: its colour transform and planes."""

    transform: int
    planes: tuple[PlaneBook, ...]


@dataclass(frozen=True, eq=False)
class Codebook:
    """What was learned from a set of similar images; encoder and decoder share it.

    Attributes
    ----------
    record : dict
        The training record: ``name``, what it was trained on, and ``report``.
    parts : dict of int to KindBook
        By kind of image.
    reference : dict of int to ReferencePart
        By kind of image, for the reference settings; a kind has either part, or both.
    priors : dict of (int, int, int) to ContextPrior
        For the context coder, by bits of a sample, planes and colour transform.
    bilevel_priors : dict of (int, int) to BilevelPrior
        For the bilevel coder, by height and width; (0, 0) for images of any size.
    tiny : dict of (int, int) to TinyPrior
        For the coder of tiny images, by height and width.
    few_colour : FewColourPrior or None
        For the few-colour coder, images of 8 bits of all modes.
    jpeg_pasts : dict of int to CoefficientPrior
        For pictures that were JPEGs once, by their number of components, 1 or 3.

    Examples
    --------
    >>> book = load_codebook("fashion-mnist")
    >>> book.kinds
    ('gray8',)
    """

    record: dict[str, Any]
    parts: dict[int, KindBook]
    reference: dict[int, ReferencePart] = field(default_factory=dict)
    priors: dict[Key, ContextPrior] = field(default_factory=dict)
    bilevel_priors: dict[tuple[int, int], BilevelPrior] = field(default_factory=dict)
    tiny: dict[TinyKey, TinyPrior] = field(default_factory=dict)
    few_colour: FewColourPrior | None = None
    jpeg_pasts: dict[int, CoefficientPrior] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The codebook's name."""
        return str(self.record["name"])

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds of images that it serves."""
        names = [KIND_NAMES[kind] for kind in sorted({*self.parts, *self.reference})]
        others = [self.priors[key].mode_name for key in sorted(self.priors)]
        others += [KIND_NAMES[0]] * bool(self.bilevel_priors) + [KIND_NAMES[1]] * bool(self.tiny)
        others += [KIND_NAMES[1 if key == 1 else 2] for key in sorted(self.jpeg_pasts)]
        if self.few_colour is not None:
            others.append("few colours")
        return tuple(dict.fromkeys([*names, *others]))

    def planes_of(self, kind: str) -> tuple[PlaneBook, ...]:
        """Return the plane books of a kind of image, by its name; none under reference settings."""
        named = (part.planes for key, part in self.parts.items() if KIND_NAMES[key] == kind)
        return next(named, ())

    def fits(self, mode: Mode) -> bool:
        """Whether it serves images of this mode."""
        return (
            mode.kind in self.parts
            or mode.kind in self.reference
            or len(self.context_priors(mode)) > 0
            or (mode.bits_per_sample == 1 and len(self.bilevel_priors) > 0)
            or (self.few_colour is not None and mode.bits_per_sample == 8)
            or (bool(self.tiny) and serves(mode, 1, 1))
            or self.jpeg_past_prior(mode) is not None
        )

    def bilevel_prior(self, height: int, width: int) -> BilevelPrior | None:
        """Return the bilevel coder's prior for images of this size (SPEC 6.5)."""
        general = self.bilevel_priors.get((0, 0))
        return self.bilevel_priors.get((height, width), general)

    def context_priors(self, mode: Mode) -> dict[int, ContextPrior]:
        """Return the context coder's priors for images of this mode, by colour transform."""
        return {
            prior.transform: prior
            for key, prior in self.priors.items()
            if key[:2] == (mode.bits_per_sample, mode.n_planes)
        }

    def tiny_prior(self, mode: Mode, height: int, width: int) -> TinyPrior | None:
        """Return the tiny coder's prior for images of this mode and size, None without one."""
        return self.tiny.get((height, width)) if serves(mode, height, width) else None

    def jpeg_past_prior(self, mode: Mode) -> CoefficientPrior | None:
        """Return the prior for images of this mode that were JPEGs once (SPEC 6.9)."""
        known = mode.kind is not None and mode.bits_per_sample == 8
        return self.jpeg_pasts.get(mode.n_planes) if known else None

    @cached_property
    def serialised(self) -> bytes:
        """The canonical serialisation, whose SHA-256 is the ID (SPEC 6.2)."""
        record = json.dumps(
            self.record,
            sort_keys=True,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
        )
        sections = [(SECTION_RECORD, record.encode())]
        sections += [
            (SECTION_SHAPES, _write_part(kind, self.parts[kind])) for kind in sorted(self.parts)
        ]
        sections += [
            (SECTION_REFERENCE, self.reference[kind].to_bytes()) for kind in sorted(self.reference)
        ]
        sections += [(SECTION_PRIOR, self.priors[key].to_bytes()) for key in sorted(self.priors)]
        sections += [
            (SECTION_BILEVEL_PRIOR, self.bilevel_priors[key].to_bytes())
            for key in sorted(self.bilevel_priors)
        ]
        sections += [(SECTION_TINY, self.tiny[key].to_bytes()) for key in sorted(self.tiny)]
        if self.few_colour is not None:
            sections.append((SECTION_FEW_COLOUR, self.few_colour.to_bytes()))
        sections += [
            (SECTION_JPEG_PASTS, self.jpeg_pasts[key].to_bytes()) for key in sorted(self.jpeg_pasts)
        ]
        return b"".join(
            bytes([section]) + write_varint(len(data)) + data for section, data in sections
        )

    @cached_property
    def identifier(self) -> bytes:
        """The 32-byte ID: SHA-256 of the canonical serialisation."""
        return hashlib.sha256(self.serialised).digest()

    @cached_property
    def _file(self) -> bytes:
        packed = lzma.compress(self.serialised, format=lzma.FORMAT_XZ, preset=9)
        method, data = min((XZ, packed), (RAW, self.serialised), key=lambda pair: len(pair[1]))
        head = MAGIC + bytes([FORMAT_VERSION << 4 | method]) + self.identifier
        return head + write_varint(len(self.serialised)) + data

    def to_bytes(self) -> bytes:
        """Return the ``.scfb`` file; inverse of `from_bytes`."""
        return self._file

    def save(self, path: str | PathLike[str]) -> None:
        """Write the ``.scfb`` file, atomically."""
        write_atomically(Path(path), self.to_bytes())

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Codebook:
        """Read a ``.scfb`` file; `CodebookError` or another `ScfError` names it if it is bad."""
        try:
            return cls.from_bytes(Path(path).read_bytes())
        except ScfError as error:
            raise type(error)(f"{path}: {error}") from error

    @classmethod
    def from_bytes(cls, data: bytes) -> Codebook:
        """Read the bytes of a ``.scfb`` file; inverse of `to_bytes` (SPEC 6.1).

        Raises
        ------
        CorruptStreamError, TruncatedStreamError, UnsupportedStreamError
        """
        if data[:3] != MAGIC:
            raise CorruptStreamError(
                f"not a codebook: it starts with {data[:3].hex(' ') or 'nothing'}, expected "
                f"{MAGIC.hex(' ')}"
            )
        reader = ByteReader(data, "codebook")
        reader.take(3, "magic")
        version, method = divmod(reader.take(1, "version")[0], 16)
        if version != FORMAT_VERSION or method not in (RAW, XZ):
            raise UnsupportedStreamError(
                f"codebook, byte 3: version {version}, compression {method}; this release reads "
                f"version {FORMAT_VERSION}, compression 0 and 1"
            )
        identifier = reader.take(32, "ID")
        length = reader.varint("serialised length", MAX_CODEBOOK_BYTES)
        serialised = _unpack(data[reader.offset :], method, length)
        if hashlib.sha256(serialised).digest() != identifier:
            raise CorruptStreamError(
                f"codebook: its content has ID {hashlib.sha256(serialised).hexdigest()}, the file "
                f"says {identifier.hex()}"
            )
        return cls._parse(serialised)

    @classmethod
    def _parse(cls, serialised: bytes) -> Codebook:
        sections = _split_sections(serialised)
        records = [_read_record(data) for data in sections[SECTION_RECORD]]
        references = [ReferencePart.from_bytes(data) for data in sections[SECTION_REFERENCE]]
        priors = [ContextPrior.from_bytes(data) for data in sections[SECTION_PRIOR]]
        bilevel = [BilevelPrior.from_bytes(data) for data in sections[SECTION_BILEVEL_PRIOR]]
        tiny = [TinyPrior.from_bytes(data) for data in sections[SECTION_TINY]]
        few_colours = [FewColourPrior.from_bytes(data) for data in sections[SECTION_FEW_COLOUR]]
        jpeg_pasts = [CoefficientPrior.from_bytes(data) for data in sections[SECTION_JPEG_PASTS]]
        known = (
            dict(_read_part(data) for data in sections[SECTION_SHAPES]),
            {part.kind: part for part in references},
            {prior.key: prior for prior in priors},
            {prior.key: prior for prior in bilevel},
            {prior.key: prior for prior in tiny},
            few_colours[-1] if few_colours else None,
            {prior.key: prior for prior in jpeg_pasts},
        )
        if not records or not any(known):
            raise CorruptStreamError("codebook: a training record and a part are needed")
        book = cls(records[-1], *known)
        try:
            canonical = book.serialised == serialised
        except (ValueError, RecursionError) as error:
            raise CorruptStreamError(f"codebook: its training record is bad: {error}") from error
        if not canonical:
            raise CorruptStreamError("codebook: it is not in its canonical form")
        return book


def _split_sections(serialised: bytes) -> dict[int, list[bytes]]:
    """Return the content of each section, by its number."""
    reader = ByteReader(serialised, "codebook")
    sections: dict[int, list[bytes]] = {section: [] for section in SECTIONS}
    while reader.offset < len(serialised):
        section = reader.take(1, "section")[0]
        length = reader.varint("section length", MAX_CODEBOOK_BYTES)
        data = reader.take(length, f"section {section}")
        if section not in sections:
            if section < 0x80:
                raise UnsupportedStreamError(f"codebook: critical section {section} is unknown")
            raise CorruptStreamError(f"codebook: section {section} is reserved")
        sections[section].append(data)
    return sections


def _unpack(data: bytes, method: int, length: int) -> bytes:
    if method == XZ:
        try:
            unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
            unpacked = unpacker.decompress(data, max_length=length + 1)
        except lzma.LZMAError as error:
            if "limit" in str(error):
                raise UnsupportedStreamError(
                    f"codebook: unpacking needs more memory than this program's limit of "
                    f"{XZ_MEMORY >> 20} MiB"
                ) from error
            raise CorruptStreamError(f"codebook: compressed data are damaged: {error}") from error
        if not unpacker.eof and len(unpacked) < length:
            raise TruncatedStreamError(
                f"codebook: the data end after {len(unpacked)} of {length} bytes of content"
            )
        if not unpacker.eof or unpacker.unused_data:
            raise CorruptStreamError("codebook: compressed data do not end where they should")
        data = unpacked
    if len(data) < length:
        raise TruncatedStreamError(f"codebook: {len(data)} bytes of content, expected {length}")
    if len(data) != length:
        raise CorruptStreamError(f"codebook: {len(data)} bytes of content, expected {length}")
    return data


def _read_record(data: bytes) -> dict[str, Any]:
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptStreamError(f"codebook: its training record is no JSON: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("name"), str):
        raise CorruptStreamError("codebook: its training record has no name")
    return record


def _write_states(states: States) -> bytes:
    """Probability and count of each node 1.. of each context (SPEC 6.3)."""
    nodes = states[:, 1:].ravel()
    return (nodes >> 16).astype("<u2").tobytes() + (nodes & 1023).astype(np.uint8).tobytes()


def _read_states(reader: ByteReader, low_bits: int, n_contexts: int) -> States:
    n_nodes = n_contexts * ((1 << low_bits) - 1)
    probabilities = np.frombuffer(reader.take(2 * n_nodes, "probabilities"), "<u2")
    counts = np.frombuffer(reader.take(n_nodes, "counts"), np.uint8)
    states = arithmetic.neutral_states(low_bits, n_contexts)
    nodes = probabilities.astype(np.uint32) << np.uint32(16) | counts
    states[:, 1:] = nodes.reshape(n_contexts, -1)
    return states


def rounded_states(states: States) -> States:
    """Return states as they come back from a file (SPEC 6.3)."""
    return states & np.uint32(0xFFFF00FF)


def _write_part(kind: int, part: KindBook) -> bytes:
    out = bytearray([kind, part.transform, len(part.planes)])
    for plane in part.planes:
        shapes = plane.shapes
        out += bytes([plane.sample_bits, plane.predictor, plane.low_bits])
        out += write_varint(plane.cell_value) + write_varint(len(shapes))
        out += shapes.heights.astype(np.uint8).tobytes() + shapes.widths.astype(np.uint8).tobytes()
        out += shapes.cells.astype(np.uint8).tobytes()
        out += shapes.code_lengths.tobytes() + shapes.gap_lengths.tobytes()
        if plane.low_bits != plane.sample_bits:
            out += _write_states(plane.low_states)
        out += _write_states(plane.full_states)
    return bytes(out)


def _read_part(data: bytes) -> tuple[int, KindBook]:
    reader = ByteReader(data, "codebook part")
    kind, transform, n_planes = reader.take(3, "kind, transform and number of planes")
    if kind not in KIND_NAMES:
        raise UnsupportedStreamError(f"codebook: kind of image {kind} is unknown")
    mode = container.MODES[kind]
    if n_planes != mode.n_planes or transform not in planes.SHAPES_TRANSFORMS:
        raise CorruptStreamError(
            f"codebook part {KIND_NAMES[kind]}: {n_planes} planes with colour transform {transform}"
        )
    if transform != planes.NO_TRANSFORM and n_planes != 3:
        raise CorruptStreamError("codebook: a colour transform needs three planes")
    ranges = planes.plane_ranges(mode, transform)
    books = tuple(_read_plane(reader, high - low) for low, high in ranges)
    if reader.offset != len(data):
        raise CorruptStreamError("codebook: bytes follow the last plane of a part")
    return kind, KindBook(transform, books)


def _read_plane(reader: ByteReader, largest: int) -> PlaneBook:
    sample_bits, predictor, low_bits = reader.take(3, "sample bits, predictor and low bits")
    if (
        sample_bits != largest.bit_length()
        or predictor not in (NO_PREDICTOR, MED, GAP)
        or low_bits > sample_bits
        or sample_bits - low_bits > 8
    ):
        raise CorruptStreamError(
            f"codebook: plane of {sample_bits} bits, predictor {predictor}, {low_bits} low bits"
        )
    cell_value = reader.varint("cell value", 1 << 20)
    n_shapes = reader.varint("number of shapes", 1 << 22)
    heights = np.frombuffer(reader.take(n_shapes, "heights"), np.uint8).astype(np.int32)
    widths = np.frombuffer(reader.take(n_shapes, "widths"), np.uint8).astype(np.int32)
    if n_shapes and min(heights.min(), widths.min()) == 0:
        raise CorruptStreamError("codebook: a shape without cells")
    offsets = np.zeros(n_shapes + 1, np.int64)
    np.cumsum(heights.astype(np.int64) * widths, out=offsets[1:])
    cells = np.frombuffer(reader.take(int(offsets[-1]), "cells"), np.uint8).astype(np.uint16)
    first_row_ends = offsets[:-1] + widths
    n_filled = np.concatenate([[0], np.cumsum(cells != 0)])
    if (n_filled[first_row_ends] == n_filled[offsets[:-1]]).any():
        raise CorruptStreamError("codebook: a shape whose first row is empty")
    if len(cells) and int(cells.max()) > largest >> low_bits:
        raise CorruptStreamError(f"codebook: a shape holds {cells.max()}, too large for its plane")
    code_lengths = np.frombuffer(reader.take(n_shapes + 1, "code lengths"), np.uint8).copy()
    gap_lengths = np.frombuffer(reader.take(N_GAP_SYMBOLS, "gap lengths"), np.uint8).copy()
    if not huffman.is_prefix_code(code_lengths) or not huffman.is_prefix_code(gap_lengths):
        raise CorruptStreamError("codebook: code lengths that no prefix code has")
    low_states = None
    if low_bits != sample_bits:
        low_states = _read_states(reader, low_bits, N_CONTEXTS)
    full_states = _read_states(reader, sample_bits, N_ENERGIES)
    if low_states is None:
        low_states = full_states
    shapes = ShapeSet(heights, widths, offsets, cells, code_lengths, gap_lengths)
    return PlaneBook(sample_bits, predictor, low_bits, cell_value, shapes, low_states, full_states)


_BUILT_IN_SIDES = (1, 2, 4, 8, 16, 32, 64)
_BUILT_IN_GAPS = np.array([7] * 103 + [8] * 50, np.uint8)


@cache
def built_in_part(kind: int, transform: int) -> KindBook:
    """Return the prior that needs no codebook (SPEC 5.10)."""
    mode = container.MODES[kind]
    if mode.bits_per_sample == 1:
        sizes = sorted(
            ((height, width) for height in _BUILT_IN_SIDES for width in _BUILT_IN_SIDES),
            key=lambda size: (size[0] * size[1], size),
        )
        lengths: NDArray[np.uint8] = np.array([5] * 14 + [6] * 36, np.uint8)
        shapes = shape_set([np.ones(size, np.uint16) for size in sizes], lengths, _BUILT_IN_GAPS)
        low_states = arithmetic.neutral_states(0, N_CONTEXTS)
        full_states = arithmetic.neutral_states(1, N_ENERGIES)
        book = PlaneBook(1, NO_PREDICTOR, 0, 512, shapes, low_states, full_states)
        return KindBook(transform, (book,))
    empty = shape_set([], np.array([1], np.uint8), _BUILT_IN_GAPS)
    books = []
    for low, high in planes.plane_ranges(mode, transform):
        bits = (high - low).bit_length()
        neutral = arithmetic.neutral_states(bits, N_ENERGIES)
        books.append(PlaneBook(bits, MED, bits, 0, empty, neutral, neutral))
    return KindBook(transform, tuple(books))


def part_for(book: Codebook | None, mode: Mode, transform: int) -> KindBook:
    """Return what codes an image: the codebook's part, or the built-in prior (SPEC 5.10).

    A codebook's part is used for its own colour transform only.
    """
    kind = kind_of(mode)
    if book is None:
        return built_in_part(kind, transform)
    if kind not in book.parts:
        raise CodebookError(f"codebook {book.name!r} has no part for {mode.name} images")
    part = book.parts[kind]
    return part if part.transform == transform else built_in_part(kind, transform)


def reference_part_for(book: Codebook | None, mode: Mode) -> ReferencePart | None:
    """Return what codes an image under the reference settings (SPEC 5R), None if there is none."""
    if book is None or mode.kind is None:
        return None
    return book.reference.get(mode.kind)
