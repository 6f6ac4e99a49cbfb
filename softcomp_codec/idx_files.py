"""Reading idx files: image sets in the layout of MNIST, also compressed by gzip."""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_BYTES_OF_3_AXES = b"\x00\x00\x08\x03"
_GZIP = b"\x1f\x8b"
_HEADER_BYTES = 16

MAX_IDX_BYTES = 1 << 31
"""Largest set that is read; this program's limit."""


def is_idx_file(path: Path) -> bool:
    """Whether a file is an idx file of images: bytes in three axes."""
    try:
        return _read(path, 4) == _BYTES_OF_3_AXES
    except (OSError, EOFError, zlib.error):
        return False


def read_idx_file(path: Path) -> NDArray[Any]:
    """Return the images, uint8 (n, H, W).

    Raises
    ------
    OSError
        The file is damaged or too large.
    """
    import numpy as np

    try:
        head = _read(path, _HEADER_BYTES)
        if len(head) < _HEADER_BYTES:
            raise OSError("idx file: it ends in its header")
        count, height, width = struct.unpack(">III", head[4:])
        size = count * height * width
        if not 0 < size <= MAX_IDX_BYTES:
            raise OSError(f"idx file: {count} images of {width} x {height}")
        data = _read(path, _HEADER_BYTES + size + 1)
    except (EOFError, zlib.error) as error:
        raise OSError(f"idx file: damaged: {error}") from error
    if len(data) != _HEADER_BYTES + size:
        raise OSError(f"idx file: it does not hold {count} images of {width} x {height}")
    return np.frombuffer(data, np.uint8, offset=_HEADER_BYTES).reshape(count, height, width)


def _read(path: Path, n_bytes: int) -> bytes:
    with path.open("rb") as stream:
        if stream.read(2) != _GZIP:
            stream.seek(0)
            return stream.read(n_bytes)
        stream.seek(0)
        with gzip.open(stream) as unpacked:
            return unpacked.read(n_bytes)
