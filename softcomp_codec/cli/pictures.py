"""Reading pictures that can be kept exactly, and writing them to other lossless formats."""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..container import MODES, PILLOW_MODES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from ..container import Mode
    from ..palettes import Palette

SCF_SUFFIX = ".scf"
BIG_ENDIAN = "I;16B"
"""Pillow's mode of big-endian TIFF files, whose samples are those of I;16 in another order."""

# Pillow's name and options of each format that decoded pictures may be written to
LOSSLESS_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".bmp": ("BMP", {}),
    ".pbm": ("PPM", {}),
    ".pgm": ("PPM", {}),
    ".ppm": ("PPM", {}),
    ".pnm": ("PPM", {}),
    ".tga": ("TGA", {}),
    ".webp": ("WEBP", {"lossless": True, "exact": True}),
    ".npy": ("NPY", {}),
}

_DEEP_RAW_MODE = re.compile(r";(1[0-6]|32|64)")
_METADATA = {
    "exif": "EXIF",
    "icc_profile": "ICC profile",
    "xmp": "XMP",
    "duration": "frame duration",
}


def picture_suffixes() -> frozenset[str]:
    """Return the file suffixes that Pillow knows, without our own."""
    from PIL import Image

    return frozenset(Image.registered_extensions()) - {SCF_SUFFIX}


def read_picture(path: Path) -> tuple[list[Image.Image], tuple[str, ...]]:
    """Read a picture, or the frames of one, that ``.scf`` keeps exactly.

    Returns
    -------
    frames : list of PIL.Image.Image
        Loaded; of one of `PILLOW_MODES`.
    lost : tuple of str
        Kinds of metadata that the picture has and ``.scf`` does not keep yet.

    Raises
    ------
    OSError
        The file is no picture, is damaged, or holds more than pictures of these modes.
    """
    from PIL import Image, ImageSequence, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            frames = []
            lost: dict[str, None] = {}
            for frame in ImageSequence.Iterator(image):
                _refuse_what_would_change(frame)
                lost.update((name, None) for key, name in _METADATA.items() if frame.info.get(key))
                frames.append(_in_usual_order(frame) if frame.mode == BIG_ENDIAN else frame.copy())
            return frames, tuple(lost)
    except UnidentifiedImageError as error:
        raise OSError("no picture that Pillow can read") from error
    except OSError:
        raise
    except Exception as error:  # Pillow's plugins raise many kinds on damaged files
        raise OSError(f"cannot be read: {error or type(error).__name__}") from error


def _in_usual_order(image: Image.Image) -> Image.Image:
    """Return the same samples in mode I;16; `Image.convert` would cut off what is above 255."""
    import numpy as np
    from PIL import Image

    return Image.fromarray(np.asarray(image).astype(np.uint16))


def _refuse_what_would_change(image: Image.Image) -> None:
    if image.mode not in (*PILLOW_MODES, BIG_ENDIAN):
        raise OSError(
            f"mode {image.mode} cannot be kept exactly yet; supported are "
            f"{', '.join(PILLOW_MODES)} (convert the picture first)"
        )
    if "transparency" in image.info and image.mode != "P":
        raise OSError("it has a transparent colour, which cannot be kept yet")
    raw_modes = _raw_modes(image)
    if not image.mode.startswith("I;16") and any(map(_DEEP_RAW_MODE.search, raw_modes)):
        raise OSError("it has more than 8 bits a sample, of which Pillow would keep 8")
    if any(raw_mode.startswith("RGBa") for raw_mode in raw_modes):
        raise OSError(
            "its colours are multiplied by their alpha, which Pillow would undo inexactly"
        )


def _raw_modes(image: Image.Image) -> list[str]:
    """Return the names of what the file holds, as told by Pillow's decoders."""
    names: list[str] = []
    for tile in getattr(image, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        names += [each for each in arguments if isinstance(each, str)]
        if tile[0] in ("ppm", "ppm_plain"):
            names += [";16" for each in arguments if isinstance(each, int) and each > 255]
    return names


def lossless_suffix(name: str) -> str | None:
    """Return the suffix of a format that keeps every pixel, None if it is not known to."""
    suffix = name.lower() if name.startswith(".") else f".{name.lower()}"
    return suffix if suffix in LOSSLESS_FORMATS else None


def write_picture(
    arrays: list[NDArray[Any]], mode: Mode, suffix: str, palette: Palette | None = None
) -> bytes:
    """Return the file of a decoded picture or of its frames, read back and compared.

    Raises
    ------
    OSError
        The format would change the picture, or cannot hold several frames.
    """
    import numpy as np
    from PIL import Image, ImageSequence

    from ..planes import canonical_samples

    stream = BytesIO()
    name, options = LOSSLESS_FORMATS[suffix]
    if name == "NPY":
        np.save(stream, np.stack(arrays) if arrays[1:] else arrays[0], allow_pickle=False)
        return stream.getvalue()
    if arrays[1:] and name != "TIFF":
        raise OSError(f"it holds {len(arrays)} frames, which {name} cannot keep; use tif or npy")
    pillow_mode = _pillow_mode(mode)
    if pillow_mode is None:
        raise OSError(f"Pillow cannot write {mode.name} to {name}; use npy")
    frames = [
        Image.frombytes(
            pillow_mode, (array.shape[1], array.shape[0]), canonical_samples(array, mode)
        )
        for array in arrays
    ]
    if palette is not None:
        options = {**options, **_add_palette(frames, palette, name)}
    if arrays[1:]:
        options = {**options, "save_all": True, "append_images": frames[1:]}
    frames[0].save(stream, name, **options)
    with Image.open(stream) as again:
        for frame, same in zip(frames, ImageSequence.Iterator(again), strict=True):
            if same.mode != frame.mode or same.tobytes() != frame.tobytes():
                raise OSError(
                    f"{name} would keep it as mode {same.mode}, it is {frame.mode}; choose "
                    "another format"
                )
            if palette is not None and not _same_palette(same, palette):
                raise OSError(f"{name} would change its palette or transparency; choose png")
    return stream.getvalue()


def _add_palette(frames: list[Image.Image], palette: Palette, name: str) -> dict[str, Any]:
    """Give frames their palette; return the options with which a format keeps transparency."""
    for frame in frames:
        frame.putpalette(palette.entries, palette.mode)
        if palette.transparency is not None:
            frame.info["transparency"] = palette.transparency
    if name == "PNG" and palette.transparency is not None:
        return {"transparency": palette.transparency}
    return {}


def _same_palette(image: Image.Image, palette: Palette) -> bool:
    """Whether an image shows the colours of a palette for the indices that it has."""
    import numpy as np

    from ..palettes import palette_of

    found = palette_of(image)
    if found is None:
        return False
    used = np.unique(np.asarray(image))
    return np.array_equal(found.colours()[used], palette.colours()[used])


def _pillow_mode(mode: Mode) -> str | None:
    """Return the Pillow mode of the same samples, whatever the shape; None where there is none."""
    if mode.pillow_mode is not None:
        return mode.pillow_mode
    return next(
        (
            each.pillow_mode
            for each in MODES.values()
            if each.pillow_mode is not None
            and (each.bits_per_sample, each.n_planes) == (mode.bits_per_sample, mode.n_planes)
        ),
        None,
    )
