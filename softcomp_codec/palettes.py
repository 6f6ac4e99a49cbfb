"""Palettes and transparency of palette images (SPEC 3.1.1, 3.1.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from .container import (
    SEGMENT_PALETTE,
    SEGMENT_TRANSPARENCY,
    ByteReader,
    Segment,
    write_varint,
)
from .errors import CorruptStreamError, TruncatedStreamError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from .container import Header

MAX_ENTRIES = 256
_COMPONENTS = {"RGB": 3, "RGBA": 4}
_PLAIN, _CODED = 0, 1
_INDEX, _ALPHAS = 0, 1


@dataclass(frozen=True)
class Palette:
    """The colours of a palette image.

    Attributes
    ----------
    mode : {"RGB", "RGBA"}
    entries : bytes
        The components of up to 256 colours.
    transparency : int, bytes or None
        As in Pillow's ``info``: an index that is transparent, or alphas of the first indices.
    """

    mode: str
    entries: bytes
    transparency: int | bytes | None = None

    @property
    def n_components(self) -> int:
        """Components of a colour."""
        return _COMPONENTS[self.mode]

    @property
    def n_entries(self) -> int:
        """Number of colours."""
        return len(self.entries) // self.n_components

    def colours(self) -> NDArray[np.uint8]:
        """Return red, green, blue, alpha of all 256 indices; those without a colour are black."""
        import numpy as np

        table: NDArray[np.uint8] = np.zeros((MAX_ENTRIES, 4), np.uint8)
        table[:, 3] = 255
        colours = np.frombuffer(self.entries, np.uint8).reshape(-1, self.n_components)
        table[: self.n_entries, : self.n_components] = colours
        if isinstance(self.transparency, int):
            table[self.transparency, 3] = 0
        elif self.transparency is not None:
            table[: len(self.transparency), 3] = np.frombuffer(self.transparency, np.uint8)
        return table

    @property
    def n_channels(self) -> int:
        """Components of the colour of an index: 4 where any may be transparent."""
        return 3 if self.mode == "RGB" and self.transparency is None else 4

    def colours_of(self, indices: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the colours of indices, (H, W) to (H, W, 3), or 4 where any may be transparent.

        Of indices and alphas, (H, W, 2) to (H, W, 4): those alphas count alone.
        """
        import numpy as np

        if indices.ndim == 3:
            colours = self.colours()[:, :3][indices[:, :, 0]]
            return np.concatenate([colours, indices[:, :, 1:]], axis=2)
        shown: NDArray[np.uint8] = self.colours()[:, : self.n_channels][indices]
        return shown

    @cached_property
    def _keys(self) -> NDArray[np.uint32]:
        import numpy as np

        from .few_colour_coder import keys_of

        taken: set[int] = set()
        keys = keys_of(self.colours()[None])[0].tolist()
        for index, first in enumerate(keys):
            key = first
            while key in taken:
                key = (key + 1) & 0xFFFFFFFF
            taken.add(key)
            keys[index] = key
        return np.array(keys, np.uint32)

    def keys(self) -> NDArray[np.uint32]:
        """Return a key for each of 256 indices, no two alike (SPEC 5E.2)."""
        return self._keys

    @cached_property
    def _tree(self) -> NDArray[np.uint32]:
        from .few_colour_coder import in_tree_order

        return in_tree_order(self._keys)

    def tree(self) -> NDArray[np.uint32]:
        """Return the keys in the order of their ranks (SPEC 5E.4)."""
        return self._tree

    def indices(self, keys: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """Return the index of each key; 0 for what is none."""
        import numpy as np

        order = np.argsort(self._keys, kind="stable")
        places = np.searchsorted(self._keys[order], keys)
        return order[np.minimum(places, MAX_ENTRIES - 1)].astype(np.uint8)

    def image(self, indices: NDArray[np.uint8]) -> Image.Image:
        """Return the Pillow image of indices."""
        from PIL import Image

        size = (indices.shape[1], indices.shape[0])
        image = Image.frombytes("PA" if indices.ndim == 3 else "P", size, indices.tobytes())
        image.putpalette(self.entries, self.mode)
        if self.transparency is not None:
            image.info["transparency"] = self.transparency
        return image

    def description(self) -> bytes:
        """Return what the checksum covers (SPEC 2.5)."""
        out = struct.pack("<BH", self.n_components, self.n_entries) + self.entries
        if self.transparency is None:
            return out + b"\0"
        if isinstance(self.transparency, int):
            return out + bytes([1, self.transparency])
        return out + struct.pack("<BH", 2, len(self.transparency)) + self.transparency

    def to_segments(self) -> tuple[Segment, ...]:
        """Return the segments that hold it; inverse of `from_header`."""
        import numpy as np

        from .few_colour_coder import encode_row

        way, data = _PLAIN, self.entries
        if self.n_entries:
            samples = np.frombuffer(self.entries, np.uint8).reshape(-1, self.n_components)
            coded = encode_row(samples)
            if len(coded) < len(data):
                way, data = _CODED, coded
        head = bytes([self.n_components << 1 | way]) + write_varint(self.n_entries)
        segments = [Segment(SEGMENT_PALETTE, head + data)]
        if isinstance(self.transparency, int):
            segments.append(Segment(SEGMENT_TRANSPARENCY, bytes([_INDEX, self.transparency])))
        elif self.transparency is not None:
            head = bytes([_ALPHAS]) + write_varint(len(self.transparency))
            told = self.transparency.rstrip(b"\xff")
            segments.append(Segment(SEGMENT_TRANSPARENCY, head + told))
        return tuple(segments)

    @classmethod
    def from_header(cls, header: Header) -> Palette | None:
        """Return the palette of a file, None of images that have none (SPEC 3.1.1).

        Raises
        ------
        CorruptStreamError
        """
        if not header.mode.has_palette:
            return None
        data = header.segment(SEGMENT_PALETTE)
        assert data is not None  # the header's reader has seen to it
        return _parse(data, transparency_of(header))


@lru_cache(maxsize=8)
def _parse(data: bytes, transparency: int | bytes | None) -> Palette:
    reader = ByteReader(data, "segment palette")
    try:
        n_components, way = divmod(reader.take(1, "form")[0], 2)
        if n_components not in (3, 4):
            raise CorruptStreamError(f"segment palette: {n_components} components")
        n_entries = reader.varint("number of colours", MAX_ENTRIES)
    except TruncatedStreamError as error:  # the segment is whole, its content is not
        raise CorruptStreamError(str(error)) from error
    entries = data[reader.offset :]
    if way == _CODED:
        from .few_colour_coder import decode_row

        if n_entries == 0:
            raise CorruptStreamError("segment palette: the code of no colours")
        entries = decode_row(entries, n_entries, n_components).tobytes()
    if len(entries) != n_entries * n_components:
        raise CorruptStreamError(
            f"segment palette: {len(entries)} bytes, expected {n_entries * n_components}"
        )
    return Palette("RGB" if n_components == 3 else "RGBA", entries, transparency)


def transparency_of(header: Header) -> int | bytes | None:
    """Return the transparency of a palette image's header (SPEC 3.1.2)."""
    data = header.segment(SEGMENT_TRANSPARENCY)
    if data is None:
        return None
    reader = ByteReader(data, "segment transparency")
    try:
        form = reader.take(1, "form")[0]
        if form == _INDEX:
            value = reader.take(1, "index")[0]
            if reader.offset != len(data):
                raise CorruptStreamError("segment transparency: bytes follow the index")
            return value
        if form != _ALPHAS:
            raise CorruptStreamError(f"segment transparency: form {form}")
        n_alphas = reader.varint("number of alphas", MAX_ENTRIES)
    except TruncatedStreamError as error:
        raise CorruptStreamError(str(error)) from error
    told = data[reader.offset :]
    if len(told) > n_alphas:
        raise CorruptStreamError(f"segment transparency: {len(told)} of {n_alphas} alphas")
    return told.ljust(n_alphas, b"\xff")


def palette_of(image: Any) -> Palette | None:
    """Return the palette of a Pillow image of mode P or PA, None of other images.

    Raises
    ------
    OSError
        A palette or transparency that the format does not hold.
    """
    if getattr(image, "mode", None) not in ("P", "PA") or not hasattr(image, "getpalette"):
        return None
    picture: Image.Image = image
    picture.load()
    mode = picture.im.getpalettemode()
    if mode not in _COMPONENTS:
        raise OSError(f"cannot write a palette of mode {mode} as SCF, only RGB and RGBA")
    entries = bytes(picture.getpalette(None) or ())
    transparency = picture.info.get("transparency")
    if isinstance(transparency, bytearray):
        transparency = bytes(transparency)
    if isinstance(transparency, bool) or not isinstance(transparency, int | bytes | None):
        raise OSError(f"cannot write transparency {transparency!r} of a palette image as SCF")
    if isinstance(transparency, int) and not 0 <= transparency < MAX_ENTRIES:
        raise OSError(f"cannot write transparency {transparency} of a palette image as SCF")
    if isinstance(transparency, bytes) and len(transparency) > MAX_ENTRIES:
        raise OSError(f"cannot write {len(transparency)} alphas of a palette image as SCF")
    return Palette(mode, entries, transparency)
