"""Reading pictures that can be kept exactly, and writing them to other lossless formats."""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..container import PILLOW_MODES, array_mode
from ..sample_map import type_of
from .deep_png import write_deep_png, writes_deep_png

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image, PngImagePlugin

    from ..container import Header, Mode
    from ..palettes import Palette

SCF_SUFFIX = ".scf"

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

MAX_PAGES = 1000
"""Most frames that are written to TIFF unless it is asked for; an array holds them otherwise."""

_PNG_MODES = frozenset(("1", "L", "LA", "RGB", "RGBA", "P", "I;16"))
_TIFF_MODES = frozenset(
    ("1", "L", "LA", "RGB", "RGBA", "P", "PA", "I;16", "I;16B", "I", "F", "CMYK", "LAB", "YCbCr")
)

_DEEP_RAW_MODE = re.compile(r";(1[0-6]|32|64)")
_DEEP_RAW_MODES = {
    "I;16": re.compile(r"$^"),
    "I": re.compile(r"^;|64"),
    "F": re.compile(r"^;|;64|;32(?![BN]*F)"),
}
"""What Pillow reads from a file into some modes with a loss."""

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
                if refusal := refusal_of(frame):
                    raise OSError(refusal)
                lost.update((name, None) for key, name in _METADATA.items() if frame.info.get(key))
                frames.append(frame.copy())
            return frames, tuple(lost)
    except UnidentifiedImageError as error:
        raise OSError("no picture that Pillow can read") from error
    except OSError:
        raise
    except Exception as error:  # Pillow's plugins raise many kinds on damaged files
        raise OSError(f"cannot be read: {error or type(error).__name__}") from error


def refusal_of(image: Image.Image) -> str | None:
    """Return why an image, not loaded yet, would not be the picture that its file holds."""
    if image.mode not in PILLOW_MODES:
        return (
            f"mode {image.mode} cannot be kept exactly yet; supported are "
            f"{', '.join(PILLOW_MODES)} (convert the picture first)"
        )
    raw_modes = _raw_modes(image)
    deep = _DEEP_RAW_MODES.get(image.mode[:4], _DEEP_RAW_MODE)
    if any(map(deep.search, raw_modes)):
        return "Pillow would keep less of a sample than it has, 8 bits of more, or 32 of 64"
    if image.mode != "RGBa" and any(raw_mode.startswith("RGBa") for raw_mode in raw_modes):
        return "its colours are multiplied by their alpha, which Pillow would undo inexactly"
    return None


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


def default_suffix(header: Header) -> str:
    """Return the suffix of the first of PNG, TIFF and NPY that holds the pictures of a file."""
    if header.n_frames == 1 and writes_deep_png(header.mode):
        return ".png"
    alike = _like_pillow(header.mode)
    mode = None if alike is None else alike.pillow_mode
    if mode is None or header.n_frames > MAX_PAGES:
        return ".npy"
    if mode in _PNG_MODES and header.n_frames == 1:
        return ".png"
    return ".tif" if mode in _TIFF_MODES else ".npy"


def facts_of_frames(file: Path | BytesIO, header: Header) -> list[dict[str, Any]]:
    """Return what an ``.scf`` file tells besides its pixels, frame by frame."""
    from PIL import Image

    if header.mode.pillow_mode is None:
        from ..metadata import Metadata

        metadata = Metadata.from_header(header)
        return [metadata.info(index) for index in range(header.n_frames)]
    facts: list[dict[str, Any]] = []
    with Image.open(file, formats=["SCF"]) as image:
        for index in range(header.n_frames):
            image.seek(index)
            facts.append({str(key): value for key, value in image.info.items()})
    return facts


def write_picture(
    arrays: list[NDArray[Any]],
    mode: Mode,
    suffix: str,
    palette: Palette | None = None,
    facts: Sequence[dict[str, Any]] = (),
    *,
    drop_metadata: bool = False,
) -> bytes:
    """Return the file of a decoded picture or of its frames, read back and compared.

    Parameters
    ----------
    arrays : list of ndarray
        The frames.
    mode : Mode
    suffix : str
        Of `LOSSLESS_FORMATS`.
    palette : Palette, optional
    facts : sequence of dict
        What is told of each frame besides, as Pillow's ``info``.
    drop_metadata : bool
        Whether that may be lost; a transparent colour never.

    Raises
    ------
    OSError
        The format would change the picture, or cannot hold several frames or what is told.
    """
    import numpy as np

    from ..planes import pillow_image

    stream = BytesIO()
    name, options = LOSSLESS_FORMATS[suffix]
    if name == "NPY":
        _check_facts(facts, [{} for _ in facts], name, palette, drop_metadata=drop_metadata)
        np.save(stream, np.stack(arrays) if arrays[1:] else arrays[0], allow_pickle=False)
        return stream.getvalue()
    if arrays[1:] and name not in ("TIFF", "PNG"):
        raise OSError(f"it holds {len(arrays)} frames, which {name} cannot keep; use tif or npy")
    if name == "PNG" and not arrays[1:] and writes_deep_png(mode):
        return _write_deep(arrays[0], facts, drop_metadata=drop_metadata)
    if (alike := _like_pillow(mode)) is None:
        raise OSError(f"Pillow cannot write {mode.name} to {name}; use npy")
    frames = [pillow_image(array, alike) for array in arrays]
    if alike.pillow_mode in ("I;16B", "YCbCr") and name == "TIFF":
        options = {}  # from behind a compressor they come as I;16 and RGB
    if palette is not None:
        options = {**options, **_add_palette(frames, palette, name)}
    if facts and not drop_metadata:
        options = {**options, **save_options(facts, name)}
    elif facts and "transparency" in facts[0] and palette is None:
        options = {**options, "transparency": facts[0]["transparency"]}
    if arrays[1:]:
        options = {**options, "save_all": True, "append_images": frames[1:]}
    frames[0].save(stream, name, **options)
    _compare(stream, frames, name, palette, facts, drop_metadata=drop_metadata)
    return stream.getvalue()


def _write_deep(
    array: NDArray[Any], facts: Sequence[dict[str, Any]], *, drop_metadata: bool
) -> bytes:
    """Return the PNG of samples that Pillow does not write, with what is told besides."""
    from PIL import Image

    from .metadata_kinds import facts_of

    told = facts if facts and not drop_metadata else [{}]
    data = write_deep_png(array, save_options(told, "PNG"))
    with Image.open(BytesIO(data)) as again:
        found = facts_of(again)
    if facts:
        _check_facts(facts, [found], "PNG", None, drop_metadata=drop_metadata)
    return data


def _compare(
    stream: BytesIO,
    frames: list[Image.Image],
    name: str,
    palette: Palette | None,
    facts: Sequence[dict[str, Any]],
    *,
    drop_metadata: bool,
) -> None:
    """Read a written picture back; it must be the same, frame by frame."""
    from PIL import Image, ImageSequence

    from .metadata_kinds import facts_of

    found = []
    with Image.open(stream) as again:
        if getattr(again, "n_frames", 1) != len(frames):
            raise OSError(f"{name} would keep {getattr(again, 'n_frames', 1)} of its frames")
        for frame, same in zip(frames, ImageSequence.Iterator(again), strict=True):
            if same.mode != frame.mode or same.tobytes() != frame.tobytes():
                raise OSError(
                    f"{name} would keep it as mode {same.mode}, it is {frame.mode}; choose "
                    "another format"
                )
            if palette is not None and not _same_palette(same, palette):
                raise OSError(f"{name} would change its palette or transparency; choose png")
            found.append(facts_of(same))
    if facts:
        _check_facts(facts, found, name, palette, drop_metadata=drop_metadata)


def _check_facts(
    facts: Sequence[dict[str, Any]],
    found: Sequence[dict[str, Any]],
    name: str,
    palette: Palette | None,
    *,
    drop_metadata: bool,
) -> None:
    from .metadata_kinds import TRANSPARENCY, lost_kinds

    lost: dict[str, None] = {}
    for before, after in zip(facts, found, strict=True):
        lost.update(
            dict.fromkeys(
                lost_kinds(before, after, is_palette=palette is not None, n_frames=len(facts))
            )
        )
    if TRANSPARENCY in lost:
        raise OSError(f"{name} cannot keep its {TRANSPARENCY}; choose png")
    if lost and not drop_metadata:
        raise OSError(
            f"{name} cannot keep its {' and '.join(lost)} (another --format may, --drop-metadata "
            "decodes it without)"
        )


def save_options(facts: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the options with which Pillow writes what is told of frames, as far as it can."""
    first = facts[0]
    options: dict[str, Any] = {
        key: first[key] for key in ("exif", "icc_profile", "dpi", "transparency") if key in first
    }
    if len(facts) > 1 and name == "PNG":
        options["duration"] = [each.get("duration", 0) for each in facts]
        options["loop"] = first.get("loop", 0)
    if name == "PNG":
        options["pnginfo"] = _png_chunks(first)
    elif name == "TIFF":
        options |= _tiff_options(options, first)
    elif "xmp" in first:
        options["xmp"] = first["xmp"]
    return options


def _png_chunks(facts: dict[str, Any]) -> PngImagePlugin.PngInfo:
    from PIL import PngImagePlugin

    from .metadata_kinds import is_text

    chunks = PngImagePlugin.PngInfo()
    if "gamma" in facts:
        chunks.add(b"gAMA", round(facts["gamma"] * 100_000).to_bytes(4, "big"))
    if "chromaticity" in facts:
        values = [round(value * 100_000) for value in facts["chromaticity"]]
        if len(values) == 8 and all(0 <= value < 1 << 31 for value in values):
            chunks.add(b"cHRM", b"".join(value.to_bytes(4, "big") for value in values))
    if "xmp" in facts:
        xmp = facts["xmp"]
        text = xmp if isinstance(xmp, str) else bytes(xmp).decode("utf-8", "surrogateescape")
        chunks.add_itxt("XML:com.adobe.xmp", text, zip=True)
    for key, value in facts.items():
        if is_text(key, value) and key != "XML:com.adobe.xmp":
            if value.isascii():
                chunks.add_text(key, value)
            else:
                chunks.add_itxt(key, value)
    return chunks


def _tiff_options(options: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """Return EXIF as the tags of a TIFF file, and XMP among them."""
    from PIL import Image

    exif = Image.Exif()
    if "exif" in options:
        exif.load(options["exif"])
    if "xmp" in facts:
        xmp = facts["xmp"]
        exif[700] = xmp.encode() if isinstance(xmp, str) else bytes(xmp)
    return {"exif": exif} if "exif" in options or "xmp" in facts else {}


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
    array = np.asarray(image)
    used = np.unique(array if array.ndim == 2 else array[:, :, 0])
    return np.array_equal(found.colours()[used], palette.colours()[used])


def _like_pillow(mode: Mode) -> Mode | None:
    """Return a mode of Pillow's for the same samples, whatever the shape; None if there is none."""
    if mode.pillow_mode is not None:
        return mode
    if mode.n_planes == 1:
        alike = array_mode(type_of(mode), None)
        return alike if alike.pillow_mode is not None else None
    return None
