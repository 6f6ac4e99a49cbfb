"""What a codebook knows about few-colour images: pictures that its models have seen (SPEC 6.7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np

from . import few_colour_coder
from .container import ByteReader, write_varint
from .errors import CorruptStreamError, TruncatedStreamError
from .few_colour_coder import COMPONENTS, EXPLICIT, LARGEST_TRIED, RATE_LIMIT, Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Keys = NDArray[np.uint32]

MAX_PICTURES = 1 << 12
MAX_PIXELS = 1 << 20
"""Of all pictures together: models of a prior see them before its first image."""

STATES, MATCHES = 1, 2
ALL_PARTS = STATES | MATCHES

OWN_CONTEXTS = few_colour_coder.CONTEXTS_BY_EFFORT[5]
"""Contexts with which the pictures are stored."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of a prior.

    Attributes
    ----------
    kind : int
        How its colours are coded, see `few_colour_coder`.
    n_planes : int
        1 to 4.
    keys : ndarray
        Its pixels.
    """

    kind: int
    n_planes: int
    keys: Keys


@dataclass(frozen=True)
class _Outline:
    """What is told of a picture before its pixels."""

    kind: int
    n_planes: int
    height: int
    width: int
    n_colours: int


class _Seen:
    """Pictures once they are decoded, and models that have seen them, by their contexts."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.pictures: tuple[Picture, ...] | None = None
        self.models: dict[int, Model] = {}


@dataclass(frozen=True, eq=False)
class FewColourPrior:
    """Pictures of a set, which the few-colour coder codes before any image (SPEC 6.7).

    So its models start with the set's colours, symbols and texts. The pictures are decoded at
    their first use.

    Attributes
    ----------
    outlines : tuple
        Sizes and colours of the pictures.
    code : bytes
        All pictures, in one code.
    parts : int
        What is kept of the models besides weights and curves: `STATES`, `MATCHES`.
    count_cap : int
        Largest count of a state at its start.
    """

    outlines: tuple[_Outline, ...]
    code: bytes
    parts: int = STATES | MATCHES
    count_cap: int = 1
    _seen: _Seen = field(default_factory=_Seen, repr=False)
    _starts: dict[int, Model] = field(default_factory=dict, repr=False)

    def variant(self, parts: int, count_cap: int = 1) -> FewColourPrior:
        """Return a prior of the same pictures that keeps other parts of the models."""
        return FewColourPrior(self.outlines, self.code, parts, count_cap, self._seen)

    @property
    def n_pixels(self) -> int:
        """Pixels of all pictures."""
        return sum(each.height * each.width for each in self.outlines)

    @classmethod
    def of(cls, pictures: Sequence[tuple[int, Keys]]) -> FewColourPrior:
        """Return the prior of pictures, each with its number of planes, in this order."""
        outlines = []
        chosen = []
        for n_planes, keys in pictures:
            colours = few_colour_coder.distinct_colours(keys)
            few = len(colours) <= min(LARGEST_TRIED, keys.size // 4)
            kind = EXPLICIT if few else COMPONENTS
            chosen.append(Picture(kind, n_planes, keys))
            height, width = keys.shape
            n_colours = len(colours) if few else 0
            outlines.append(_Outline(kind, n_planes, height, width, n_colours))
        n_pixels = sum(each.keys.size for each in chosen)
        coder = few_colour_coder.Coder.to_encode(
            Model(OWN_CONTEXTS, n_pixels), 16 * n_pixels + (1 << 16)
        )
        for picture in chosen:
            _code_picture(coder, picture)
        return cls(tuple(outlines), coder.finish())

    def to_bytes(self) -> bytes:
        """Return the canonical serialisation (SPEC 6.7); inverse of `from_bytes`."""
        out = bytearray([self.parts, self.count_cap]) + write_varint(len(self.outlines))
        for each in self.outlines:
            out.append(each.kind << 4 | each.n_planes)
            out += write_varint(each.height) + write_varint(each.width)
            if each.kind == EXPLICIT:
                out += write_varint(each.n_colours)
        return bytes(out) + self.code

    @classmethod
    def from_bytes(cls, data: bytes) -> FewColourPrior:
        """Read a prior, which may be anything; inverse of `to_bytes` (SPEC 6.7).

        Raises
        ------
        CorruptStreamError, TruncatedStreamError
            The pictures themselves may be found corrupt when they are used.
        """
        reader = ByteReader(data, "few-colour prior")
        parts, count_cap = reader.take(2, "parts and count cap")
        if parts > ALL_PARTS or not 1 <= count_cap <= RATE_LIMIT:
            raise CorruptStreamError(f"few-colour prior: parts {parts:02x}h, count cap {count_cap}")
        outlines = []
        left = MAX_PIXELS
        n_pictures = reader.varint("number of pictures", MAX_PICTURES)
        for _ in range(n_pictures):
            kind, n_planes = divmod(reader.take(1, "kind and planes")[0], 16)
            if kind > EXPLICIT or not 1 <= n_planes <= 4:
                raise CorruptStreamError(
                    f"few-colour prior: kind {kind} of a picture of {n_planes} planes"
                )
            height = reader.varint("height", left)
            width = reader.varint("width", left // max(height, 1))
            n_colours = 0
            if kind == EXPLICIT:
                n_colours = reader.varint("number of colours", min(1 << 16, height * width))
            if height * width == 0 or (n_colours == 0 and kind == EXPLICIT):
                raise CorruptStreamError("few-colour prior: a picture of no pixels or no colours")
            left -= height * width
            outlines.append(_Outline(kind, n_planes, height, width, n_colours))
        if not outlines:
            raise CorruptStreamError("few-colour prior: no pictures")
        return cls(tuple(outlines), data[reader.offset :], parts, count_cap)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures; `CorruptStreamError` where their code is damaged."""
        seen = self._seen
        with seen.lock:
            if seen.pictures is None:
                model = Model(OWN_CONTEXTS, self.n_pixels)
                coder = few_colour_coder.Coder.to_decode(model, self.code)
                pictures = tuple(_decode_picture(coder, outline) for outline in self.outlines)
                if coder.end() != len(self.code):
                    raise CorruptStreamError("few-colour prior: its code ends elsewhere")
                seen.models[OWN_CONTEXTS] = model
                seen.pictures = pictures
            return seen.pictures

    def model(self, n_contexts: int) -> Model:
        """Return the start of an image's model, which is the caller's own (SPEC 6.7)."""
        with self._seen.lock:
            if n_contexts not in self._starts:
                self._starts[n_contexts] = self._start(self._model_that_saw(n_contexts))
            return self._starts[n_contexts].copy()

    def _model_that_saw(self, n_contexts: int) -> Model:
        pictures = self.pictures
        models = self._seen.models
        if n_contexts not in models:
            model = Model(n_contexts, self.n_pixels)
            coder = few_colour_coder.Coder.to_encode(model, 16 * self.n_pixels + (1 << 16))
            for picture in pictures:
                _code_picture(coder, picture)
            models[n_contexts] = model
        return models[n_contexts]

    def _start(self, seen: Model) -> Model:
        start = seen.copy()
        start.progress[:] = 0
        if self.parts & STATES:
            counts = np.minimum(start.states & np.uint32(1023), np.uint32(self.count_cap))
            start.states = start.states & ~np.uint32(1023) | counts
        else:
            start.states[:] = 1 << 31
        if not self.parts & MATCHES:
            start.matches[:] = 0
            start.guesses[:] = 0
            start.history = start.history[:0]
        return start


def _code_picture(coder: few_colour_coder.Coder, picture: Picture) -> None:
    none = picture.keys[:0, 0]
    palette = none
    if picture.kind == EXPLICIT:
        colours = few_colour_coder.distinct_colours(picture.keys)
        coder.run((1, len(colours)), colours[None], picture.n_planes, none)
        palette = few_colour_coder.in_tree_order(colours)
    height, width = picture.keys.shape
    coder.run((height, width), picture.keys, picture.n_planes, palette)


def _decode_picture(coder: few_colour_coder.Coder, outline: _Outline) -> Picture:
    try:
        palette = few_colour_coder.read_colours(coder, outline.n_colours, outline.n_planes)
        shape = (outline.height, outline.width)
        keys = coder.read(shape, outline.n_planes, palette)
    except TruncatedStreamError as error:
        raise CorruptStreamError(f"few-colour prior: {error}") from error
    return Picture(outline.kind, outline.n_planes, keys)
