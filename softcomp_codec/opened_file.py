"""Opened files: parts of large images, and frames, without reading the rest of the file."""

from __future__ import annotations

import builtins
import os
from io import BytesIO
from operator import index
from typing import IO, TYPE_CHECKING, Any, cast

from . import container, decoder, planes
from .file_objects import FilePart, SeekableFile, path_of
from .tiles import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .codebook import Codebook
    from .container import Header

    BytesLike = bytes | bytearray | memoryview
    Source = str | os.PathLike[str] | BytesLike | IO[bytes]


class OpenedFile:
    """An ``.scf`` file of which any part can be read; see `softcomp_codec.open`.

    Any number of threads may read at the same time. It can be pickled: the copy opens the file of
    the same path again, or has the same bytes where there is no path. A context manager.

    Attributes
    ----------
    header : Header
        Everything of the file but its pictures.
    """

    header: Header

    def __init__(self, source: Source, *, codebooks: Sequence[Codebook] = ()) -> None:
        self._codebooks = tuple(codebooks)
        self._open(source)

    def _open(self, source: Source, start: int | None = None) -> None:
        self._path: str | None = None
        self._owned: IO[bytes] | None = None
        self._start = 0
        stream: IO[bytes]
        if isinstance(source, str | os.PathLike):
            self._path = os.path.abspath(os.fspath(source))
            stream = self._owned = builtins.open(self._path, "rb")  # noqa: SIM115
            self._start = start or 0
        elif hasattr(source, "read"):
            stream = cast("IO[bytes]", source)
            self._path = path_of(stream)
            if stream.seekable():
                self._start = stream.tell()
            else:
                stream, self._path = BytesIO(stream.read()), None
        else:
            stream = BytesIO(memoryview(source))
        try:
            stream.seek(self._start)
            self.header = container.read_header_from(stream)
            decoder.check_size(self.header)
            file = SeekableFile(stream, self._start)
            self._payloads: FilePart | None = FilePart(
                file, self.header.payload_offset, file.n_bytes
            )
        except BaseException:
            if self._owned is not None:
                self._owned.close()
            raise
        self._file = file

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array of a whole frame: (H, W) or (H, W, channels)."""
        return self.header.shape

    @property
    def dtype(self) -> Any:
        """Data type of the arrays."""
        return planes.dtype_of(self.header.mode)

    @property
    def n_frames(self) -> int:
        """Number of frames, at least 1."""
        return self.header.n_frames

    def read(self, box: tuple[int, int, int, int] | None = None, frame: int = 0) -> NDArray[Any]:
        """Return a part of a frame, exactly; of large images only the tiles there are read.

        Parameters
        ----------
        box : tuple of int, optional
            (left, top, right, bottom) as for ``PIL.Image.crop``: columns left to right - 1, rows
            top to bottom - 1. By default the whole frame.
        frame : int
            0 up to `n_frames` - 1.

        Returns
        -------
        ndarray
            As ``decode(data)[top:bottom, left:right]``.

        Raises
        ------
        ScfError
            One of its kinds, where what is asked for is damaged, or its codebook missing. Damage
            elsewhere is not noticed, nor is the file check compared.
        ValueError
            A box that is empty or reaches outside the image, or the file was closed.
        IndexError
            There is no such frame.
        TypeError
            A box or frame that is not of integers.
        """
        if self._payloads is None:
            raise ValueError("the file was closed")
        decoded = decoder.decode_payloads(
            self._payloads,
            self.header,
            frame=index(frame),
            box=None if box is None else self._checked(box),
            source=self._path,
            codebooks=self._codebooks,
        )
        return decoded.array

    def close(self) -> None:
        """Close the file, unless it was given as a file object; nothing can be read afterwards."""
        self._payloads = None
        if self._owned is not None:
            self._owned.close()

    def __enter__(self) -> OpenedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        header = self.header
        frames = f", {header.n_frames} frames" if header.n_frames > 1 else ""
        return f"<OpenedFile {header.width} x {header.height} {header.mode.name}{frames}>"

    def __getstate__(self) -> dict[str, Any]:
        if self._payloads is None:
            raise ValueError("the file was closed")
        if self._path is not None:
            return {
                "path": self._path, "start": self._start, "header": self.header,
                "codebooks": self._codebooks,
            }  # fmt: skip
        return {"data": self._file.read(0, self._file.n_bytes), "codebooks": self._codebooks}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._codebooks = state["codebooks"]
        if "data" in state:
            self._open(state["data"])
            return
        self._open(state["path"], state["start"])
        if self.header != state["header"]:
            self.close()
            raise ValueError(f"{state['path']} is another file than was opened before")

    def _checked(self, box: tuple[int, int, int, int]) -> Box:
        found = Box(*(index(side) for side in box)) if len(box) == 4 else None
        if found is None:
            raise ValueError(f"box {box!r} has {len(box)} numbers, expected 4")
        width, height = self.header.width, self.header.height
        in_width = 0 <= found.left < found.right <= width
        if not (in_width and 0 <= found.top < found.bottom <= height):
            raise ValueError(
                f"box {tuple(found)} is empty or not inside the image of {width} x {height}"
            )
        return found


def open(source: Source, *, codebooks: Sequence[Codebook] = ()) -> OpenedFile:  # noqa: A001
    """Open an ``.scf`` file to read parts of its image, or single frames.

    Parameters
    ----------
    source : str, path, bytes-like or file object
        A file object is read from where it stands, and must be seekable unless the file is to be
        read as a whole; it stays open.
    codebooks : sequence of Codebook
        Tried before those of the usual places.

    Returns
    -------
    OpenedFile
        With ``header``, ``shape``, ``dtype``, ``n_frames``, ``read(box, frame)`` and ``close()``.

    Raises
    ------
    ScfError
        No ``.scf`` file, or one whose header is damaged or not supported.
    OSError
        The file cannot be opened.

    Examples
    --------
    >>> import numpy as np, softcomp_codec
    >>> image = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    >>> with softcomp_codec.open(softcomp_codec.encode(image)) as opened:
    ...     part = opened.read((10, 20, 40, 60))
    >>> part.shape, bool((part == image[20:60, 10:40]).all())
    ((40, 30), True)
    """
    return OpenedFile(source, codebooks=codebooks)
