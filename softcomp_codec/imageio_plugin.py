"""The imageio plugin: `ScfPlugin`, a `PluginV3` for both of imageio's interfaces.

It reads and writes every array that the format holds, those that Pillow has no mode for included.
"""

from __future__ import annotations

import operator
from io import BytesIO
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from imageio.core.request import URI_BYTES, URI_FILENAME, InitializationError, IOMode, Request
from imageio.core.v3_plugin_api import ImageProperties, PluginV3

from .atomic_files import write_atomically
from .container import CODER_NAMES, MAGIC, Header, read_header_from
from .file_objects import path_of, write_all
from .pillow_plugin import header_info
from .registration import EXTENSION
from .save_options import SAVE_OPTIONS, frames_error, save_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import EllipsisType
    from typing import IO

    from numpy.typing import ArrayLike, NDArray

    from .codebook import Codebook

    Index = int | EllipsisType | None


class ScfPlugin(PluginV3):
    """Read or write one ``.scf`` file.

    Parameters
    ----------
    request : Request
        What to read from or to write to.

    Raises
    ------
    InitializationError
        The resource is no ``.scf`` file; imageio tries its next plugin then.
    """

    def __init__(self, request: Request) -> None:
        self._data: bytes | None = None
        self._header: Header | None = None
        self._written = False
        if request.mode.io_mode == IOMode.read:
            self._data = _check_magic(request)
        else:
            _check_name(request)
        # Only now: closing this object must not finish a request that the next plugin goes on with.
        super().__init__(request)
        self._closed = False

    def read(self, *, index: Index = None, codebooks: Sequence[Codebook] = ()) -> NDArray[Any]:
        """Decode the image.

        Parameters
        ----------
        index : {0, None, ...}
            The image, or with ``...`` the image as a stack of one.
        codebooks : sequence of Codebook
            Tried before those of the usual places.

        Returns
        -------
        ndarray
            Exactly the samples, dtype and shape that were written.

        Raises
        ------
        ValueError
            Another index: the file holds one image.
        ScfError
            One of its kinds, for bad data and for a codebook that is missing.
        """
        from .decoder import decode_file

        stacked = _is_stack(index)
        array = decode_file(self._read_file(), source=self._source(), codebooks=codebooks).array
        if not array.flags.writeable:
            array = array.copy()
        return array[np.newaxis] if stacked else array

    def iter(self, *, codebooks: Sequence[Codebook] = ()) -> Iterator[NDArray[Any]]:
        """Yield the only image; see `read`."""
        yield self.read(index=0, codebooks=codebooks)

    def write(
        self,
        ndimage: ArrayLike | list[ArrayLike],
        *,
        is_batch: bool | None = None,
        **options: Any,
    ) -> bytes | None:
        """Encode one image and write it; a local file is replaced in one step, or not at all.

        Parameters
        ----------
        ndimage : array_like or list of array_like
            One image, or a list or stack of one image.
        is_batch : bool, optional
            Whether the first axis counts images. By default lists of images are stacks, and so are
            arrays of more than three axes and those of three whose last is longer than 4; a narrow
            stack needs ``is_batch=True``.
        **options
            Those of `softcomp_codec.encode`.

        Returns
        -------
        bytes or None
            The file, where the target is ``"<bytes>"``.

        Raises
        ------
        OSError
            Several images, or an output that cannot be written.
        TypeError, ValueError
            An array or option that cannot be.
        """
        from .encoder import encode

        if unknown := options.keys() - set(SAVE_OPTIONS):
            raise TypeError(
                f"unknown option {', '.join(sorted(unknown))}; known: {', '.join(SAVE_OPTIONS)}"
            )
        if self._written:
            raise frames_error("a second image")
        data = encode(_single_image(ndimage, is_batch), **save_options(options))
        self._put(data)
        self._written = True
        return data if self.request._uri_type == URI_BYTES else None

    def properties(self, index: Index = None) -> ImageProperties:
        """Return shape and dtype, of the image or of the stack of one, without decoding."""
        stacked = _is_stack(index)
        header = self._read_header()
        return ImageProperties(
            shape=(1, *header.shape) if stacked else header.shape,
            dtype=np.dtype(np.bool_ if header.mode.bits_per_sample == 1 else np.uint8),
            n_images=1 if stacked else None,
            is_batch=stacked,
        )

    def metadata(self, index: Index = None, exclude_applied: bool = True) -> dict[str, Any]:
        """Return mode, coder, version and codebook, without decoding; nothing is ever applied."""
        _is_stack(index)
        header = self._read_header()
        return {
            "mode": header.mode.name,
            "coder": CODER_NAMES[header.coder],
            **header_info(header),
        }

    def close(self) -> None:
        """Close the resource; an object whose initialization failed owns none."""
        if not getattr(self, "_closed", True):
            self._closed = True
            self._data = None
            self.request.finish()

    def _stream(self) -> IO[bytes]:
        """Return the file object, when reading at its beginning, where Pillow starts too."""
        if self._closed:
            raise ValueError("I/O operation on a closed image resource")
        stream: IO[bytes] = self.request.get_file()
        if self.request.mode.io_mode == IOMode.read:
            stream.seek(0)
        return stream

    def _source(self) -> str | None:
        """Where the file lies, for the codebooks beside it."""
        if self.request._uri_type == URI_FILENAME:
            return path_of(None, self.request.filename)
        return path_of(self.request.get_file())

    def _read_file(self) -> bytes:
        return self._data if self._data is not None else self._stream().read()

    def _read_header(self) -> Header:
        if self._header is None:
            stream = self._stream() if self._data is None else BytesIO(self._data)
            self._header = read_header_from(stream)
        return self._header

    def _put(self, data: bytes) -> None:
        if self._closed:
            raise ValueError("I/O operation on a closed image resource")
        if self.request._uri_type == URI_FILENAME:
            write_atomically(self.request.get_local_filename(), data)
        else:
            write_all(self._stream(), data)


def _check_magic(request: Request) -> bytes | None:
    """Refuse foreign files; returns all bytes of a stream that cannot go back, else None."""
    stream = request.get_file()
    data: bytes | None = None
    try:
        position = stream.tell()
        stream.seek(0)
    except (AttributeError, OSError):
        data = stream.read()
        prefix = data[: len(MAGIC)]
    else:
        prefix = stream.read(len(MAGIC))
        stream.seek(position)
    if prefix != MAGIC:
        raise InitializationError(f"{request.filename} is not an SCF file")
    return data


def _check_name(request: Request) -> None:
    """Refuse foreign extensions; ``x.scf.part``, as temporary files are called, is none.

    imageio asks every plugin to write a file whose extension nobody knows, so a mistyped one must
    be refused here.
    """
    extension = request.extension
    suffixes = [suffix.lower() for suffix in PurePath(request.filename).suffixes]
    if extension is not None and EXTENSION not in (extension.lower(), *suffixes):
        raise InitializationError(
            f"{request.filename} does not end in {EXTENSION}; to write SCF to it nevertheless, "
            f"pass extension={EXTENSION!r} (format={EXTENSION!r} in imageio.v2)"
        )


def _is_stack(index: Index) -> bool:
    """Whether ``...`` was asked for; refuses what is not in a file of one image."""
    if index is ...:
        return True
    if index is not None and operator.index(index) != 0:
        raise ValueError(f"index is {index}, but the file holds one image: expected 0, None or ...")
    return False


def _single_image(ndimage: Any, is_batch: bool | None) -> Any:
    """Return the only image of what imageio passes: an image, a list or a stack."""
    is_list = isinstance(ndimage, list | tuple) and all(np.ndim(each) >= 2 for each in ndimage)
    if not is_list and not hasattr(ndimage, "getbands"):
        ndimage = np.asarray(ndimage)
    shape: tuple[int, ...] = (len(ndimage),) if is_list else np.shape(ndimage)
    deep = len(shape) > 3 or (len(shape) == 3 and shape[2] > 4)
    if is_batch is None:
        is_batch = is_list or deep
    if not is_batch:
        if deep:
            raise frames_error(f"a volume of shape {shape}")
        return np.asarray(ndimage) if is_list else ndimage
    if shape[0] == 0:
        raise ValueError("cannot write a stack of no images")
    if shape[0] > 1:
        raise frames_error(f"{shape[0]} images")
    return ndimage[0]
