"""The Pillow plugin: `ScfImageFile` reads, `save` and `save_all` write.

Opening an image reads its header only; NumPy, Numba and the codebook are needed by `load` alone.
"""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import IO, TYPE_CHECKING

from PIL import Image, ImageFile, ImagePalette

from .collector import collector_rests
from .container import (
    FORMAT_VERSION,
    MAGIC,
    Header,
    file_check_matches,
    read_header,
    read_header_from,
)
from .errors import CorruptStreamError
from .file_objects import path_of, write_all
from .metadata import Metadata, durations_of, metadata_from, metadata_of_pillow, with_options
from .palettes import Palette, transparency_of
from .save_options import save_options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from PIL._imaging import PixelAccess

    from .codebook import Codebook


class ScfImageFile(ImageFile.ImageFile):
    """An ``.scf`` file that Pillow opened.

    ``info`` holds the metadata of the file under Pillow's usual keys (``exif``, ``icc_profile``,
    ``xmp``, ``dpi``, ``gamma``, ``transparency``, ``comment``, ``loop``, ``duration`` of the frame,
    text, ...), ``scf_version`` and, where the file refers to a codebook, ``codebook_id`` (its first
    bytes in hexadecimal) and ``codebook_name``. Images are never turned by their EXIF orientation.
    Where loading fails because the codebook is missing, it can be tried again once the codebook is
    there. A file of several frames stays in memory until the image is closed.
    """

    format = "SCF"
    format_description = "Soft compression (lossless, trained codebooks)"

    n_frames = 1
    is_animated = False

    _frame = 0
    _min_frame = 0  # Pillow's, which an unpickled image lacks
    _mode = ""
    _own_palette: ImagePalette.ImagePalette | None = None
    _codebooks: tuple[Codebook, ...] = ()
    """Tried first; those of the set that an image comes from."""
    _data: bytes | None = None
    """The whole file, from the first attempt to load it until that is not needed any more."""

    def _open(self) -> None:
        assert self.fp is not None
        self._start = self.fp.tell()
        if self.fp.read(len(MAGIC)) != MAGIC:
            raise SyntaxError("not an SCF file")
        self.fp.seek(self._start)
        header = read_header_from(self.fp)
        if header.mode.pillow_mode is None:
            raise SyntaxError(
                f"Pillow cannot hold {header.mode.name}; read it by imageio or softcomp_codec"
            )
        self._header = header
        self._form = header.mode.pillow_mode, (header.width, header.height)
        self._mode, self._size = self._form
        self.n_frames = header.n_frames
        self.is_animated = header.n_frames > 1
        self._source = path_of(self.fp, self.filename)
        self._lock = Lock()
        self._metadata = Metadata.from_header(header)
        self.info.update(self._metadata.info())
        self.info.update(header_info(header))
        transparency = transparency_of(header)
        if transparency is not None:
            self.info["transparency"] = transparency

    @property
    def palette(self) -> ImagePalette.ImagePalette | None:
        """The palette, which is decoded when it is asked for; None of images without one."""
        header = self.__dict__.get("_header")  # an unpickled image has none
        if self._own_palette is None and self._mode in ("P", "PA") and header is not None:
            known = Palette.from_header(header)
            if known is not None:
                self._own_palette = ImagePalette.ImagePalette(known.mode, known.entries)
        return self._own_palette

    @palette.setter
    def palette(self, palette: ImagePalette.ImagePalette | None) -> None:
        self._own_palette = palette

    @property
    def text(self) -> dict[str, str]:
        """The text of ``info``, as PNG images have it."""
        return dict(Metadata.from_info(self.info).text)

    def load(self) -> PixelAccess | None:
        """Decode the pixels, once.

        Raises
        ------
        ScfError
            One of its kinds. A truncated picture is none where
            ``PIL.ImageFile.LOAD_TRUNCATED_IMAGES`` is set: what is missing stays black then.
        """
        if self._im is None:
            with self._lock:
                self._load_once()
        return Image.Image.load(self)

    def seek(self, frame: int) -> None:
        """Go to a frame; ``EOFError`` where there is none.

        What was changed in the frame before, its size and mode included, is forgotten. ``info``
        stays, but for the frame's ``duration``.
        """
        if self._seek_check(frame):
            with self._lock:
                self._frame = frame
                self.info.pop("duration", None)
                if (duration := self._metadata.duration(frame)) is not None:
                    self.info["duration"] = duration
                self._im = None
                self._mode, self._size = self._form
                self.palette = None

    def tell(self) -> int:
        """Return the number of the frame, from 0."""
        return self._frame

    def verify(self) -> None:
        """Check the file against its checksums, of the bytes where it has one and of the pixels.

        As in Pillow's own plugins it must be called right after opening, and the image must be
        opened again to load it.

        Raises
        ------
        ScfError
            One of its kinds.
        RuntimeError
            The image was already loaded or closed.
        """
        if self._im is not None or getattr(self, "fp", None) is None:
            raise RuntimeError("verify must be called directly after open")
        try:
            data = self._read_file()
            if file_check_matches(data, self._header) is False:
                raise CorruptStreamError("the bytes of the file do not match its file check")
            for frame in range(self.n_frames):
                self._frame = frame
                self._decode(allow_truncated=False)
        finally:
            self._frame = 0
            self._data = None
            self._let_go_of_file()

    def close(self) -> None:
        """Close the file and release the memory."""
        self._data = None
        super().close()

    def _load_once(self) -> None:
        if self._im is None:  # else another thread was faster
            image = self._decode(allow_truncated=ImageFile.LOAD_TRUNCATED_IMAGES)
            self.im = image.im
            self.palette = image.palette
            self.readonly = 0
            if self.n_frames == 1:
                self._data = None

    def _decode(self, *, allow_truncated: bool) -> Image.Image:
        with collector_rests:
            from . import decoder, planes

        decoded = decoder.decode_file(
            self._read_file(),
            header=self._header,
            frame=self._frame,
            source=self._source,
            codebooks=self._codebooks,
            allow_truncated=allow_truncated,
        )
        image = planes.pillow_image(decoded.array, decoded.header.mode)
        if decoded.palette is not None:
            image.putpalette(decoded.palette.entries, decoded.palette.mode)
        return image

    def _read_file(self) -> bytes:
        """Return the whole file; nothing needs the file object after that."""
        if self._data is None:
            if self.fp is None:
                raise ValueError("cannot load the image: its file was closed")
            self.fp.seek(self._start)
            data = self.fp.read()
            self._let_go_of_file()
            if read_header(data) != self._header:
                raise CorruptStreamError("the file changed between opening and loading")
            self._data = data
        return self._data

    def _let_go_of_file(self) -> None:
        """Close the file object if it is ours; the caller's stays open."""
        if self.fp is not None and self._exclusive_fp and self._close_exclusive_fp_after_loading:
            self.fp.close()
        self.fp = None


def header_info(header: Header) -> dict[str, Any]:
    """Return what a header tells about version and codebook, for ``info`` and metadata."""
    info: dict[str, Any] = {"scf_version": FORMAT_VERSION}
    if header.codebook_reference:
        info["codebook_id"] = header.codebook_reference.hex()
    if header.codebook_name is not None:
        info["codebook_name"] = header.codebook_name
    return info


def save(image: Image.Image, stream: IO[bytes], filename: str | bytes) -> None:
    """Write one image, the current frame; Pillow calls this for ``image.save``.

    The options ``codebook``, ``effort``, ``coder``, ``embed_codebook``, ``reference_bytes`` and
    ``file_check`` are those of `softcomp_codec.encode`. Metadata of ``image.info`` are kept, and
    the EXIF tags of TIFF images. ``metadata=False`` drops them; ``exif``, ``icc_profile``, ``xmp``,
    ``dpi``, ``gamma``, ``transparency``, ``background``, ``comment``, ``text``, ``pnginfo``,
    ``loop``, ``duration`` and their like replace one of them, or drop it if they are None or empty.
    Other options are ignored, as by Pillow's own plugins. The output need not be seekable, and
    nothing is written unless encoding succeeds. Pillow, however, empties an existing file before it
    calls any plugin: to replace a file only by a complete one, use
    `softcomp_codec.atomic_files.write_atomically` with `softcomp_codec.encode`.

    Raises
    ------
    OSError
        A mode that the format does not hold, ``append_images`` without ``save_all``, tags of a TIFF
        image that cannot be kept, or an output that cannot be written.
    TypeError, ValueError
        An option that cannot be.
    """
    with collector_rests:
        from .encoder import encode

    given = image.encoderinfo
    if list(given.get("append_images") or ()):
        raise OSError("append_images needs save_all=True")
    image = _with_transparency(image, given)
    metadata = _metadata_of(image, given)
    write_all(stream, encode(image, metadata=metadata, **save_options(given)))


def save_all(image: Image.Image, stream: IO[bytes], filename: str | bytes) -> None:
    """Write all frames of an image and of those of the option ``append_images``.

    Pillow calls this for ``image.save(save_all=True)``. See `save`. Each image stays at its frame.
    The durations are those of the option ``duration``, a number or one a frame, or those of the
    frames. Frames of several modes or palettes, as those of GIF, become RGB, or RGBA where any
    may be transparent; gray ones stay gray where all are.

    Raises
    ------
    OSError
        As `save`, and frames that differ in size, or in mode where that would change a colour.
    """
    with collector_rests:
        from .encoder import encode_pictures
        from .frame_modes import pictures_of, with_common_mode

    given = image.encoderinfo
    of_frames = (
        given.get("metadata") is None or given["metadata"] is True
    ) and "duration" not in given
    metadata: Metadata | None = None
    durations = []
    pictures = []
    images = (image, *(given.get("append_images") or ()))
    for frame, picture in pictures_of(images, lambda each: _with_transparency(each, given)):
        if metadata is None:
            metadata = _metadata_of(frame, given)
        durations.append(frame.info.get("duration"))
        pictures.append(picture)
    assert metadata is not None
    if of_frames:
        metadata = replace(metadata, durations=durations_of(durations))
    common = with_common_mode(pictures)
    if common is not pictures:
        metadata = _metadata_of_colours(metadata, pictures[0].palette)
    write_all(stream, encode_pictures(common, metadata=metadata, **save_options(given)))


def _metadata_of_colours(metadata: Metadata, palette: Palette | None) -> Metadata:
    """Return the metadata of frames that became RGB or the like: no index means anything there."""
    if palette is not None:
        return replace(metadata, transparency=None, background=None)
    if metadata.transparency is not None:
        raise OSError("cannot write a transparent colour and frames of different modes as SCF")
    return metadata


def _metadata_of(image: Image.Image, given: Mapping[str, Any]) -> Metadata:
    def own() -> Metadata:
        return metadata_of_pillow(image, with_exif="exif" not in given)

    return with_options(metadata_from(given.get("metadata"), own), given)


def _with_transparency(image: Image.Image, given: Mapping[str, Any]) -> Image.Image:
    """Return the image with the transparency that the option says; it belongs to the palette."""
    if "transparency" not in given or image.mode not in ("P", "PA"):
        return image
    image = image.copy()
    image.info.pop("transparency", None)
    if given["transparency"] is not None:
        image.info["transparency"] = given["transparency"]
    return image
