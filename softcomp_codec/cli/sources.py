"""Whatever Pillow or imageio reads, NumPy's ``.npy`` and idx files, as what ``.scf`` can keep."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..errors import ScfError
from ..idx_files import is_idx_file, read_idx_file
from ..metadata import Metadata
from .deep_png import read_deep_png
from .metadata_kinds import TRANSPARENCY, facts_of, lost_kinds, without_metadata
from .pictures import SCF_SUFFIX, picture_suffixes, refusal_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

ARRAY_SUFFIX = ".npy"
IMAGEIO_SUFFIXES = frozenset((".dcm", ".lsm"))
"""Pictures that imageio reads and Pillow does not."""

NEEDS_IMAGECODECS = " (with imagecodecs it is read: pip install 'softcomp-codec[bench]')"

UNTOLD = "what its format tells besides"
"""Metadata of files that imageio read, which it gives in other forms or not at all."""

_NO_RASTERS = frozenset(("BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"))
"""Formats of Pillow that hold no raster picture by themselves."""

_SEVERAL_SIZES = frozenset(("CUR", "DCX", "ICNS", "ICO", "PSD"))
"""Formats that hold pictures of several sizes, or layers."""

_LOSSY = frozenset(("AVIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PCD"))
_LOSSY_IN_TIFF = frozenset(("jpeg", "tiff_jpeg", "old_jpeg", "webp", "jpeg2000"))
_SKIPPED_PLUGINS = ("pillow", "SCF", "opencv", "pyav", "FFMPEG")
"""imageio's plugins that were tried before, or that convert samples."""


@dataclass
class Source:
    """A picture, or the frames of one.

    Attributes
    ----------
    frames : list of PIL.Image.Image, or of ndarray
        Loaded.
    facts : list of dict
        What the file tells besides the pixels, for each frame; of images only.
    lossy_format : str or None
        The format, where the file may hold more than its pixels: data of a lossy codec.
    untold : tuple of str
        Kinds of metadata that cannot be kept in any case.
    told : dict
        What the file tells besides the samples of an array.
    """

    frames: list[Any]
    facts: list[dict[str, Any]] = field(default_factory=list)
    lossy_format: str | None = None
    untold: tuple[str, ...] = ()
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def is_arrays(self) -> bool:
        """Whether the frames are arrays."""
        return not self.facts


def wanted_suffixes() -> frozenset[str]:
    """Return the file suffixes of pictures."""
    from PIL import Image

    known = picture_suffixes()
    rasters = {
        suffix
        for suffix in known
        if (name := Image.EXTENSION[suffix]) in Image.OPEN and name not in _NO_RASTERS
    }
    return frozenset(rasters) | IMAGEIO_SUFFIXES | {ARRAY_SUFFIX} - {SCF_SUFFIX}


def may_be_idx_file(path: Path) -> bool:
    """Whether a file is an idx file of images, of those named like one."""
    name = path.name.lower()
    return ("idx" in name or path.suffix in (".gz", "")) and is_idx_file(path)


def read_source(path: Path) -> Source:
    """Read a picture, or the frames of one.

    Raises
    ------
    OSError
        The file is no picture, is damaged, or holds what ``.scf`` does not keep.
    """
    if path.suffix.lower() == ARRAY_SUFFIX:
        return Source(_read_array(path))
    if may_be_idx_file(path):
        return Source(list(read_idx_file(path)))
    try:
        return _by_pillow(path)
    except OSError as error:
        arrays = None if isinstance(error, ScfError) else _by_imageio(path)
        if arrays is None:
            raise
        return Source(arrays, untold=(UNTOLD,))


def _read_array(path: Path) -> list[NDArray[Any]]:
    import numpy as np

    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise OSError(f"no array that can be read: {error}") from error
    if array.ndim not in (2, 3, 4):
        raise OSError(f"an array of {array.ndim} axes; pictures have 2 or 3, stacks 3 or 4")
    if 0 in array.shape:
        raise OSError(f"an array of shape {array.shape} holds no samples")
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] <= 4):
        return [array]
    if len(array) == 1:
        raise OSError(f"a stack of one, shape {array.shape}: its first axis would be lost")
    return list(array)


def _by_imageio(path: Path) -> list[NDArray[Any]] | None:
    """Return what imageio reads where Pillow did not, None if it does not either."""
    from imageio import config
    from imageio.core import imopen as openers

    imopen: Any = openers.imopen

    for extension in config.known_extensions.get(path.suffix.lower(), ()):
        for name in extension.priority:
            if name in _SKIPPED_PLUGINS or name.endswith(("-PIL", "-FI")):
                continue
            try:
                with imopen(path, "r", plugin=name) as opened:
                    return _as_frames(list(opened.iter()))
            except Exception:  # plugins raise whatever they like, and many are not installed
                continue
    return None


def _as_frames(arrays: Sequence[Any]) -> list[NDArray[Any]]:
    import numpy as np

    frames: list[NDArray[Any]] = []
    for each in arrays:
        array = np.asarray(each)
        if array.ndim == 2 or (array.ndim == 3 and array.shape[2] <= 4):
            frames.append(array)
        else:
            frames += list(array)
    if not frames:
        raise OSError("no picture in it")
    return frames


def _by_pillow(path: Path) -> Source:
    from PIL import Image, ImageSequence, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            _refuse_several_sizes(image)
            frames, facts = [], []
            lossy = _lossy_format(image, path)
            for frame in ImageSequence.Iterator(image):
                if refusal := refusal_of(frame):
                    if (array := read_deep_png(path, image)) is not None:
                        image.load()
                        return Source([array], told=facts_of(image))
                    raise OSError(refusal + (NEEDS_IMAGECODECS if image.format == "PNG" else ""))
                frames.append(frame.copy())
                facts.append(facts_of(frame))  # once it is loaded: PNG may tell at the end
            return Source(frames, facts, lossy)
    except UnidentifiedImageError as error:
        raise OSError("no picture that Pillow can read") from error
    except OSError:
        raise
    except Exception as error:  # Pillow's plugins raise many kinds on damaged files
        raise OSError(f"cannot be read: {error or type(error).__name__}") from error


def _refuse_several_sizes(image: Image.Image) -> None:
    if image.format not in _SEVERAL_SIZES:
        return
    sizes = image.info.get("sizes") or ()
    n_parts = max(len(sizes), getattr(image, "n_frames", 1))
    if n_parts > 1:
        raise OSError(f"{image.format} with {n_parts} sizes or layers, of which one would be kept")


def _lossy_format(image: Image.Image, path: Path) -> str | None:
    """Return the format of a picture whose file cannot be made again from its pixels."""
    name = image.format
    if name in _LOSSY:
        return name
    if name == "TIFF" and image.info.get("compression") in _LOSSY_IN_TIFF:
        return f"TIFF with {image.info['compression']}"
    if name == "WEBP":
        with path.open("rb") as stream:
            if b"VP8 " in stream.read(1 << 16):
                return "lossy WEBP"
    return None


def encode_source(
    source: Source, options: dict[str, Any], *, drop_metadata: bool
) -> tuple[bytes, tuple[str, ...]]:
    """Encode a picture with what its file tells besides.

    Returns
    -------
    data : bytes
        The ``.scf`` file.
    dropped : tuple of str
        Kinds of metadata that were dropped.

    Raises
    ------
    OSError
        A picture that cannot be kept, or metadata where they may not be dropped.
    """
    if source.is_arrays:
        from ..encoder import encode_frames

        told = Metadata.from_info({} if drop_metadata else source.told)
        data = encode_frames(source.frames, metadata=told, **options)
        lost: tuple[str, ...] = (*source.untold, *_lost_of_array(data, source))
        _refuse_loss(lost, drop_metadata=drop_metadata)
        return data, lost
    data = _encode_images(source, source.facts, options)
    lost = _lost_in(data, source)
    _refuse_loss(lost, drop_metadata=drop_metadata)
    if drop_metadata:
        bare = [without_metadata(facts) for facts in source.facts]
        lost = all_kinds(source)
        if lost:
            data = _encode_images(source, bare, options)
            if TRANSPARENCY in _lost_in(data, source):
                raise OSError(f"its {TRANSPARENCY} cannot be kept")
    return data, lost


def _lost_of_array(data: bytes, source: Source) -> tuple[str, ...]:
    """Return the kinds of metadata of an array that an encoded file does not tell."""
    from ..container import read_header

    found = Metadata.from_header(read_header(data)).info()
    return lost_kinds(source.told, found, is_palette=False, n_frames=1)


def _encode_images(
    source: Source, facts: Sequence[dict[str, Any]], options: dict[str, Any]
) -> bytes:
    for frame, info in zip(source.frames, facts, strict=True):
        frame.info = dict(info)
    stream = BytesIO()
    first, *others = source.frames
    more = {"save_all": True, "append_images": others} if others else {}
    try:
        first.save(stream, "SCF", **more, **options)
    finally:
        for frame, info in zip(source.frames, source.facts, strict=True):
            frame.info = dict(info)
    return stream.getvalue()


def _lost_in(data: bytes, source: Source) -> tuple[str, ...]:
    """Return the kinds of metadata that an encoded file does not tell as its source does."""
    from PIL import Image

    lost: dict[str, None] = {}
    with Image.open(BytesIO(data), formats=["SCF"]) as image:
        for index, (frame, facts) in enumerate(zip(source.frames, source.facts, strict=True)):
            image.seek(index)
            kinds = lost_kinds(
                facts,
                facts_of(image),
                is_palette=frame.mode in ("P", "PA"),
                n_frames=len(source.frames),
            )
            lost.update(dict.fromkeys(kinds))
    return tuple(lost)


def all_kinds(source: Source) -> tuple[str, ...]:
    """Return the kinds of metadata that a file tells."""
    kinds: dict[str, None] = {}
    for facts in source.facts:
        found = lost_kinds(facts, {}, is_palette=False, n_frames=len(source.frames))
        kinds.update(dict.fromkeys(kind for kind in found if kind != TRANSPARENCY))
    return tuple(kinds)


def _refuse_loss(lost: tuple[str, ...], *, drop_metadata: bool) -> None:
    if TRANSPARENCY in lost:
        raise OSError(f"its {TRANSPARENCY} cannot be kept")
    if lost and not drop_metadata:
        raise OSError(f"{' and '.join(lost)} cannot be kept (--drop-metadata encodes it without)")


def differences(data: bytes, source: Source, dropped: Sequence[str] = ()) -> str | None:
    """Return how an ``.scf`` file differs from the picture that it should hold, None if nowise.

    It is opened as anybody would, by Pillow, or as arrays if the source is arrays.

    Raises
    ------
    ScfError
        The file cannot be decoded.
    """
    if source.is_arrays:
        lost = set(_lost_of_array(data, source)) - set(dropped)
        different = f"{' and '.join(sorted(lost))} differ" if lost else None
        return _array_differences(data, source.frames) or different
    from PIL import Image

    from ..container import read_header
    from ..palettes import palette_of

    read_header(data)  # an error of ours where it is none or cut off
    palettes = [palette_of(frame) for frame in source.frames]
    mixed = any(
        (frame.mode, palette) != (source.frames[0].mode, palettes[0])
        for frame, palette in zip(source.frames, palettes, strict=True)
    )
    with Image.open(BytesIO(data), formats=["SCF"]) as image:
        n_frames = getattr(image, "n_frames", 1)
        if n_frames != len(source.frames):
            return f"it holds {n_frames} frames instead of {len(source.frames)}"
        for index, frame in enumerate(source.frames):
            where = f" of frame {index}" if index else ""
            image.seek(index)
            image.load()
            expected = frame
            if mixed and image.mode in ("L", "LA", "RGB", "RGBA"):  # as frames of GIF
                expected = frame.convert(image.mode)
            if (image.mode, image.size) != (expected.mode, expected.size):
                return f"mode and size{where} are {image.mode} and {image.size}"
            if image.tobytes() != expected.tobytes():
                return f"the pixels{where} differ"
            if palette_of(image) != palette_of(expected):
                return f"the palette{where} differs"
    lost = set(_lost_in(data, source)) - set(dropped)
    return f"{' and '.join(sorted(lost))} differ" if lost else None


def _array_differences(data: bytes, arrays: Sequence[NDArray[Any]]) -> str | None:
    import numpy as np

    from ..decoder import decode_frames

    found = decode_frames(data)
    if len(found) != len(arrays):
        return f"it holds {len(found)} frames instead of {len(arrays)}"
    for index, (one, other) in enumerate(zip(found, arrays, strict=True)):
        native = other.astype(other.dtype.newbyteorder("="))
        if (one.dtype, one.shape) != (native.dtype, native.shape):
            return f"frame {index} is {one.dtype} of shape {one.shape}"
        if np.ascontiguousarray(one).tobytes() != np.ascontiguousarray(native).tobytes():
            return f"the samples of frame {index} differ"
    return None
