"""PNG of 16 bits and several components, of which Pillow would keep 8: by imagecodecs.

Without imagecodecs, which the extra ``bench`` brings, such files are neither read nor written.
"""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..container import Mode
from ..sample_map import type_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_OWN_CHUNKS = (b"IHDR", b"IDAT", b"IEND")
_AROUND_CHUNK = 12
"""Bytes of a chunk besides its data: length, kind and CRC."""


def writes_deep_png(mode: Mode) -> bool:
    """Whether a PNG holds the samples of a mode, and can be written, though not by Pillow."""
    deep = type_of(mode) == "uint16" and mode.channel_axis and 2 <= mode.n_planes <= 4
    return deep and find_spec("imagecodecs") is not None


def read_deep_png(path: Path, image: Image.Image) -> NDArray[Any] | None:
    """Return the samples of a PNG that Pillow has opened, (H, W, 2 to 4) of uint16.

    None of other files, of those with a transparent colour, and without imagecodecs.
    """
    if image.format != "PNG" or getattr(image, "n_frames", 1) > 1 or "transparency" in image.info:
        return None
    try:
        from imagecodecs import png_decode
    except ImportError:
        return None
    array: NDArray[Any] = png_decode(path.read_bytes())
    fits = array.dtype == "uint16" and array.ndim == 3 and 2 <= array.shape[2] <= 4
    return array if fits and array.shape[1::-1] == image.size else None


def write_deep_png(array: NDArray[Any], options: dict[str, Any]) -> bytes:
    """Return the PNG of an array of uint16, (H, W, 2 to 4), read back and compared.

    Parameters
    ----------
    array : ndarray
    options : dict
        With which Pillow writes what a PNG tells besides.

    Raises
    ------
    OSError
        Other samples came back.
    """
    import numpy as np
    from imagecodecs import png_decode, png_encode
    from PIL import Image

    stream = BytesIO()
    Image.new("L", (1, 1)).save(stream, "PNG", **options)
    told = [chunk for kind, chunk in _chunks(stream.getvalue()) if kind not in _OWN_CHUNKS]
    chunks = list(_chunks(bytes(png_encode(np.ascontiguousarray(array)))))
    data = b"".join([_SIGNATURE, chunks[0][1], *told, *(chunk for _, chunk in chunks[1:])])
    again = png_decode(data)
    if again.dtype != array.dtype or not np.array_equal(again, array):
        raise OSError("PNG would change its samples; use npy")
    return data


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and bytes of each chunk of a PNG."""
    offset = len(_SIGNATURE)
    while offset < len(data):
        size = _AROUND_CHUNK + int.from_bytes(data[offset : offset + 4], "big")
        yield data[offset + 4 : offset + 8], data[offset : offset + size]
        offset += size
