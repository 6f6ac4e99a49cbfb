"""The imageio plugin: `ScfPlugin`, a `PluginV3` for both of imageio's interfaces.

It reads and writes every array that the format holds, those that Pillow has no mode for included.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO, UnsupportedOperation
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from imageio.core.request import (
    URI_BYTES,
    URI_FILENAME,
    ImageMode,
    InitializationError,
    IOMode,
    Request,
)
from imageio.core.v3_plugin_api import ImageProperties, PluginV3

from .atomic_files import write_atomically
from .collector import collector_rests
from .container import CODER_NAMES, MAGIC, Header, frame_header, read_header_from
from .file_objects import path_of, write_all
from .metadata import METADATA_OPTIONS, Metadata, metadata_from, metadata_of, with_options
from .palettes import Palette
from .pillow_plugin import header_info
from .registration import EXTENSION
from .save_options import SAVE_OPTIONS, save_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import EllipsisType, TracebackType

    from numpy.typing import ArrayLike, NDArray

    from .codebook import Codebook
    from .coders import Picture

    Index = int | EllipsisType | None

_DESCRIPTION = ("mode", "coder")
"""Strings of `ScfPlugin.metadata` that describe the file; no text."""

_OPTIONS = (*SAVE_OPTIONS, "metadata", *METADATA_OPTIONS, "fps")


class ScfPlugin(PluginV3):
    """Read or write one ``.scf`` file, of one image or a stack.

    Images to write are gathered, and the file is written when the plugin is closed. If an exception
    leaves the ``with`` block, nothing is written; only the writer of ``imageio.v2.get_writer``,
    which does not pass exceptions on, writes the images that it had until then. The functions
    ``volread`` and ``volwrite`` of ``imageio.v2`` take the stack as one volume.

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
        self._gathered: list[Picture] = []
        self._options: dict[str, Any] = {}
        self._metadata = Metadata()
        self._encoded: bytes | None = None
        if request.mode.io_mode == IOMode.read:
            self._data = _check_magic(request)
        else:
            _check_name(request)
        # Only now: closing this object must not finish a request that the next plugin goes on with.
        super().__init__(request)
        self._closed = False

    def read(self, *, index: Index = None, codebooks: Sequence[Codebook] = ()) -> NDArray[Any]:
        """Decode an image or a stack.

        Parameters
        ----------
        index : int, None or ...
            One image; ``...`` all of them as a stack; None the image of a file of one, else the
            stack.
        codebooks : sequence of Codebook
            Tried before those of the usual places.

        Returns
        -------
        ndarray
            Exactly the samples, dtype and shape that were written; of palette images their
            colours, RGB, or RGBA where any may be transparent.

        Raises
        ------
        ValueError
            There is no image of this index.
        ScfError
            One of its kinds, for bad data and for a codebook that is missing.
        """
        frame = self._frame_of(index)
        if frame is not None:
            return self._decode(frame, codebooks)
        return np.stack(list(self.iter(codebooks=codebooks)))

    def iter(self, *, codebooks: Sequence[Codebook] = ()) -> Iterator[NDArray[Any]]:
        """Yield the images one by one; see `read`."""
        for frame in range(self._read_header().n_frames):
            yield self._decode(frame, codebooks)

    def _decode(self, frame: int, codebooks: Sequence[Codebook]) -> NDArray[Any]:
        with collector_rests:
            from .decoder import decode_file

        decoded = decode_file(
            self._read_file(),
            header=self._read_header(),
            frame=frame,
            source=self._source(),
            codebooks=codebooks,
        )
        if decoded.palette is None:
            return decoded.array
        return decoded.palette.colours_of(decoded.array)

    def write(
        self,
        ndimage: ArrayLike | list[ArrayLike],
        *,
        is_batch: bool | None = None,
        **options: Any,
    ) -> bytes | None:
        """Add one image or a stack to those of the file, which `close` writes.

        A local file is replaced in one step when it is complete, or not at all.

        Parameters
        ----------
        ndimage : array_like or list of array_like
            One image, or a list or stack of images of one shape.
        is_batch : bool, optional
            Whether the first axis counts images. By default lists of images are stacks, and so are
            arrays of more than three axes and those of three whose last is longer than 4; a narrow
            stack needs ``is_batch=True``.
        **options
            Those of `softcomp_codec.encode`, and ``exif``, ``icc_profile``, ``xmp``, ``dpi``,
            ``text``, ``loop``, ``duration`` (milliseconds: a number or one an image) or ``fps``,
            and the others by which Pillow's ``save`` changes metadata. ``metadata`` may be what
            `metadata` returned. They hold for the whole file; where calls differ, the last one
            decides.

        Returns
        -------
        bytes or None
            Where the target is ``"<bytes>"``, the file of all images until now.

        Raises
        ------
        TypeError, ValueError
            An array or option that cannot be, or an image unlike those before; it is not added.
        """
        with collector_rests:
            from .encoder import encode_pictures

        self._check_open(IOMode.write)
        if unknown := options.keys() - set(_OPTIONS):
            raise TypeError(
                f"unknown option {', '.join(sorted(unknown))}; known: {', '.join(_OPTIONS)}"
            )
        metadata = self._metadata_after(ndimage, options)
        options = {**self._options, **save_options(options)}
        if self.request.mode.image_mode == ImageMode.single_volume:
            is_batch = True
        pictures = _copies(_images(ndimage, is_batch), *self._gathered[:1])
        # Options that cannot be shall not show only in `close`.
        pixel = pictures[0]._replace(array=pictures[0].array[:1, :1])
        encode_pictures([pixel], metadata=replace(metadata, durations=()), **options)
        self._gathered += pictures
        self._options, self._metadata, self._encoded = options, metadata, None
        return self._encode() if self.request._uri_type == URI_BYTES else None

    def _metadata_after(self, ndimage: Any, options: dict[str, Any]) -> Metadata:
        """Return the metadata of the file after a call of `write`."""
        given = dict(options)
        if "fps" in given:
            if "duration" in given:
                raise TypeError("both duration and fps, expected one of them")
            given["duration"] = 1000 / given.pop("fps")
        choice = given.get("metadata")
        if isinstance(choice, Mapping):
            choice = {key: choice[key] for key in choice if key not in _DESCRIPTION}
        images = ndimage if isinstance(ndimage, list | tuple) else [ndimage]
        return with_options(
            metadata_from(choice, lambda: self._metadata or metadata_of(images)), given
        )

    def _encode(self) -> bytes:
        with collector_rests:
            from .encoder import encode_pictures

        if self._encoded is None:
            self._encoded = encode_pictures(
                self._gathered, metadata=self._metadata, **self._options
            )
        return self._encoded

    def properties(self, index: Index = None) -> ImageProperties:
        """Return shape and dtype, of an image or of the stack, without decoding."""
        from .planes import dtype_of

        header = self._read_header()
        stacked = self._frame_of(index) is None
        shape = header.shape
        if (palette := Palette.from_header(header)) is not None:
            shape = (*shape[:2], palette.n_channels if len(shape) == 2 else 4)
        return ImageProperties(
            shape=(header.n_frames, *shape) if stacked else shape,
            dtype=dtype_of(header.mode),
            n_images=header.n_frames if stacked else None,
            is_batch=stacked,
        )

    def _frame_of(self, index: Index) -> int | None:
        """Return the frame that an index names, None for the stack."""
        n_frames = self._read_header().n_frames
        if index is ...:
            return None
        if self.request.mode.image_mode == ImageMode.single_volume and index == 0:
            return None
        if index is None:
            return 0 if n_frames == 1 else None
        if not 0 <= operator.index(index) < n_frames:
            raise ValueError(f"index is {index}, the file holds {n_frames} image(s), from 0")
        return operator.index(index)

    def metadata(self, index: Index = None, exclude_applied: bool = True) -> dict[str, Any]:
        """Return mode, coder, version, codebook and metadata, without decoding.

        The keys of metadata are those of Pillow's ``info``; nothing is ever applied. The coder of a
        stack is that of its first image, and its ``duration`` a list.
        """
        header = self._read_header()
        frame = self._frame_of(index)
        kept = Metadata.from_header(header)
        found = kept.info(frame or 0)
        if frame is None and kept.durations:
            found["duration"] = [kept.duration(each) for each in range(header.n_frames)]
        return {
            **found,
            "mode": header.mode.name,
            "coder": CODER_NAMES[frame_header(header, frame or 0).coder],
            "n_frames": header.n_frames,
            **header_info(header),
        }

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the resource, without writing anything if there was an exception."""
        if error is not None:
            self._gathered = []
        self.close()

    def close(self) -> None:
        """Write what was gathered and close the resource.

        An object whose initialization failed owns none.

        Raises
        ------
        OSError
            The output cannot be written.
        """
        if getattr(self, "_closed", True):
            return
        self._closed = True
        try:
            if self._gathered:
                self._put(self._encode())
        finally:
            self._gathered, self._encoded, self._data, self._header = [], None, None, None
            self.request.finish()

    def _check_open(self, io_mode: IOMode) -> None:
        if self._closed:
            raise ValueError("I/O operation on a closed image resource")
        if self.request.mode.io_mode != io_mode:
            raise UnsupportedOperation(
                f"the image resource is open for {self.request.mode.io_mode.name} only"
            )

    def _source(self) -> str | None:
        """Where the file lies, for the codebooks beside it."""
        if self.request._uri_type == URI_FILENAME:
            return path_of(None, self.request.filename)
        return path_of(self.request.get_file())

    def _read_file(self) -> bytes:
        """Return the whole file, which is kept for its other images."""
        self._check_open(IOMode.read)
        if self._data is None:
            stream = self.request.get_file()
            stream.seek(0)  # where Pillow starts too
            self._data = stream.read()
        return self._data

    def _read_header(self) -> Header:
        self._check_open(IOMode.read)
        if self._header is None:
            stream = self.request.get_file() if self._data is None else BytesIO(self._data)
            stream.seek(0)
            self._header = read_header_from(stream)
        return self._header

    def _put(self, data: bytes) -> None:
        if self.request._uri_type == URI_FILENAME:
            write_atomically(self.request.get_local_filename(), data)
        else:
            write_all(self.request.get_file(), data)


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


def _images(ndimage: Any, is_batch: bool | None) -> list[Any]:
    """Return the images of what imageio passes: an image, a list or a stack."""
    is_list = isinstance(ndimage, list | tuple) and all(np.ndim(each) >= 2 for each in ndimage)
    if not is_list and not hasattr(ndimage, "getbands"):
        ndimage = np.asarray(ndimage)
    if is_batch is None:
        shape: tuple[int, ...] = () if is_list else np.shape(ndimage)
        is_batch = is_list or len(shape) > 3 or (len(shape) == 3 and shape[2] > 4)
    if not is_batch:
        return [np.asarray(ndimage) if is_list else ndimage]
    if len(ndimage) == 0:
        raise ValueError("cannot write a stack of no images")
    return list(ndimage)


def _copies(images: list[Any], *before: Picture) -> list[Picture]:
    """Return pictures that stay as they are when the caller reuses its own, if they are alike."""
    from .encoder import as_picture

    pictures = [as_picture(image) for image in images]
    pictures = [picture._replace(array=np.array(picture.array)) for picture in pictures]
    first = (*before, *pictures)[0]
    for picture in pictures:
        array = picture.array
        if (array.shape, picture.mode) != (first.array.shape, first.mode):
            raise ValueError(
                f"image of {array.dtype} and shape {array.shape}, the first is "
                f"{first.array.dtype} of shape {first.array.shape}: all images of a file must be "
                "alike"
            )
    return pictures
