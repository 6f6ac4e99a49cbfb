"""What the Pillow and imageio plugins need of file objects, however little these offer."""

from __future__ import annotations

import os
from threading import Lock
from typing import IO

from .errors import TruncatedStreamError

CACHED_BYTES = 1 << 16
"""Small reads of a part of a file come from a piece of this size."""


class SeekableFile:
    """Reading anywhere in a file object, by any thread.

    Parameters
    ----------
    stream : file object
        Seekable; nobody else moves it while something is read.
    start : int
        What is position 0.
    """

    def __init__(self, stream: IO[bytes], start: int = 0) -> None:
        self._stream = stream
        self._start = start
        self._lock = Lock()
        self.n_bytes = max(0, stream.seek(0, os.SEEK_END) - start)

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`.

        Raises
        ------
        TruncatedStreamError
            The file became shorter.
        """
        with self._lock:
            self._stream.seek(self._start + start)
            data = self._stream.read(end - start)
            while 0 < len(data) < end - start:  # of an unbuffered stream
                piece = self._stream.read(end - start - len(data))
                if not piece:
                    break
                data += piece
        if len(data) != end - start:
            raise TruncatedStreamError(
                f"the file ends at byte {start + len(data)} while bytes up to {end} are read"
            )
        return data


class FilePart:
    """A part of a file as a sequence of bytes, of which only what is looked at is read."""

    def __init__(self, file: SeekableFile, start: int, end: int) -> None:
        self._file = file
        self._start = start
        self._end = max(start, min(end, file.n_bytes))
        self._head: bytes | None = None

    def __len__(self) -> int:
        return self._end - self._start

    def __getitem__(self, part: slice, /) -> bytes:
        start, end, _ = part.indices(len(self))
        if end > CACHED_BYTES:
            return self._file.read(self._start + start, self._start + end) if end > start else b""
        if self._head is None:
            last = min(self._end, self._start + CACHED_BYTES)
            self._head = self._file.read(self._start, last)
        return self._head[start:end]

    def part(self, start: int, end: int) -> FilePart:
        """Return a part of it, which ends where it ends at the latest."""
        return FilePart(self._file, self._start + start, min(self._start + end, self._end))


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
