"""Sets of images in Pillow: ``Image.open`` gives the first image, ``seek`` the others."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from PIL import Image, ImageFile

from .container import FORMAT_VERSION
from .file_objects import path_of
from .set_reader import open_set

if TYPE_CHECKING:
    from PIL._imaging import PixelAccess


class SetImageFile(ImageFile.ImageFile):
    """A set that Pillow opened, one image after another.

    ``n_frames`` is the number of its images, which may differ in size and mode; the present one's
    name is ``info["image_name"]``. Of an image that has frames itself, the first is given. The file
    stays open until the image is closed. See `softcomp_codec.open_set` for more.
    """

    format = "SCF"
    format_description = "Soft compression (a set of images)"

    n_frames = 1
    is_animated = False

    _frame = 0
    _min_frame = 0  # Pillow's, which an unpickled image lacks
    _close_exclusive_fp_after_loading = False

    def _open(self) -> None:
        assert self.fp is not None
        self._set = open_set(self.fp)
        self._set.set_source(path_of(self.fp, self.filename))
        if not len(self._set):
            raise SyntaxError("an empty set of images")
        self.n_frames = len(self._set)
        self.is_animated = self.n_frames > 1
        self._lock = Lock()
        self._go(0)

    def _go(self, frame: int) -> None:
        header = self._set.header(frame)
        if header.mode.pillow_mode is None:
            raise OSError(f"Pillow cannot hold {header.mode.name}; read it by open_set")
        self._mode, self._size = header.mode.pillow_mode, (header.width, header.height)
        self.info = {"scf_version": FORMAT_VERSION, "image_name": self._set.name(frame)}
        self._frame = frame
        self._im = None
        self.palette = None

    def load(self) -> PixelAccess | None:
        """Decode the pixels of the present image, once."""
        if self._im is None:
            with self._lock:
                if self._im is None:
                    image = self._set[self._frame]
                    self.palette = image.palette
                    self.info.update(image.info)
                    self.readonly = 0
                    self.im = image.im
        return Image.Image.load(self)

    def seek(self, frame: int) -> None:
        """Go to an image; ``EOFError`` where there is none."""
        if self._seek_check(frame):
            with self._lock:
                self._go(frame)

    def tell(self) -> int:
        """Return the number of the present image, from 0."""
        return self._frame

    def verify(self) -> None:
        """Decode all images and compare them with their checksums; see `ImageSet.verify`."""
        self._set.verify()
