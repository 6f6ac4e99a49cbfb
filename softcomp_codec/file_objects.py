"""What the Pillow and imageio plugins need of file objects, however little these offer."""

from __future__ import annotations

import os
from typing import IO


def path_of(stream: IO[bytes] | None, filename: str | bytes | None = None) -> str | None:
    """Return the absolute path behind a file object, None where there is none.

    Parameters
    ----------
    stream : file object or None
        Asked for its ``name`` where `filename` is empty.
    filename : str or bytes, optional
    """
    name = filename or getattr(stream, "name", None)
    if not name or not isinstance(name, str | bytes):
        return None
    path = os.path.abspath(os.fsdecode(name))
    return path if os.path.isfile(path) else None


def write_all(stream: IO[bytes], data: bytes) -> None:
    """Write all of `data`; one call of ``write`` unless an unbuffered stream takes only a part.

    Raises
    ------
    OSError
        The stream takes no more bytes.
    """
    done = _written(stream, data)
    while done < len(data):
        step = _written(stream, data[done:])
        if step == 0:
            raise OSError(f"the output took {done} of {len(data)} bytes")
        done += step
    if hasattr(stream, "flush"):
        stream.flush()


def _written(stream: IO[bytes], piece: bytes) -> int:
    """Write once and return how much was taken; streams that do not say so take everything."""
    taken = stream.write(piece)
    return taken if isinstance(taken, int) else len(piece)
