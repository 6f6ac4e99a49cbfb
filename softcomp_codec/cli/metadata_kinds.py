"""What Pillow knows of a picture besides its pixels, and what of it a conversion would lose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..metadata import XMP_TEXT, metadata_of_pillow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL import Image

TRANSPARENCY = "transparent colour"
"""No metadata, it changes what is seen: never dropped."""

DPI_STEP = 0.0128
"""Half a dot a metre, in dots an inch: PNG keeps whole dots a metre."""

COLOUR_STEP = 0.000005 + 1e-12
"""Half a unit of gamma and chromaticity as PNG keeps them."""

_KINDS = {
    "exif": "EXIF",
    "icc_profile": "ICC profile",
    "xmp": "XMP",
    "dpi": "DPI",
    "gamma": "gamma",
    "chromaticity": "chromaticity",
    "comment": "text",
    "photoshop": "IPTC and Photoshop data",
    "transparency": TRANSPARENCY,
}
_FRAME_KINDS = {"duration": "frame duration", "loop": "loop count"}

_NO_TEXT = frozenset(
    (
        *("adobe", "aspect", "background", "bbox", "blend", "codebook_id", "codebook_name"),
        *("compression", "default_image", "disposal", "extension", "image_name", "interlace"),
        "jfif",
        *("progression", "progressive", "scf_version", "srgb", "timestamp", "version"),
    )
)
"""Keys of ``info`` that tell how a file was made, not what it shows."""

_EXIF_START = b"Exif\0\0"
_LISTS = (0x8769, 0x8825)
"""Tags of EXIF that point to further lists."""


def facts_of(image: Image.Image) -> dict[str, Any]:
    """Return a copy of an image's ``info`` that holds the tags of a TIFF file as EXIF, too."""
    facts: dict[str, Any] = {str(key): value for key, value in image.info.items()}
    if XMP_TEXT in facts:
        facts.setdefault("xmp", facts[XMP_TEXT])
    if image.format == "TIFF" and "exif" not in facts:
        exif = metadata_of_pillow(image).exif
        if exif:
            facts["exif"] = exif
    return facts


def lost_kinds(
    before: Mapping[str, Any], after: Mapping[str, Any], *, is_palette: bool, n_frames: int
) -> tuple[str, ...]:
    """Return the kinds of what the first ``info`` tells and the second does not, or otherwise."""
    lost: dict[str, None] = {}
    for key, value in before.items():
        kind = _kind_of(key, value, n_frames)
        if kind is None or (key == "transparency" and is_palette):  # compared with the palette
            continue
        if not _same(key, value, after.get(key)):
            lost[kind] = None
    return tuple(lost)


def without_metadata(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return an ``info`` without metadata; a transparent colour stays."""
    return {
        key: value
        for key, value in facts.items()
        if key == "transparency" or _kind_of(key, value, n_frames=2) is None
    }


def _kind_of(key: Any, value: Any, n_frames: int) -> str | None:
    if key == "dpi" and value == (1, 1):  # of TIFF files that tell no resolution
        return None
    if key in _KINDS:
        return _KINDS[key] if value not in (None, b"", "") else None
    if key in _FRAME_KINDS:
        return _FRAME_KINDS[key] if n_frames > 1 and value is not None else None
    if key == XMP_TEXT:
        return "XMP"
    return "text" if is_text(key, value) else None


def is_text(key: Any, value: Any) -> bool:
    """Whether an entry of ``info`` is text that somebody put into the file."""
    return isinstance(key, str) and isinstance(value, str) and key not in _NO_TEXT | _KINDS.keys()


def _same(key: str, before: Any, after: Any) -> bool:
    if after is None:
        return False
    if key == "exif":
        return _exif_block(before) == _exif_block(after) or _tells_as_much(after, before)
    if key in ("dpi", "chromaticity"):
        return len(before) == len(after) and all(
            abs(float(one) - float(other)) <= (DPI_STEP if key == "dpi" else COLOUR_STEP)
            for one, other in zip(before, after, strict=True)
        )
    if key == "gamma":
        return abs(float(before) - float(after)) <= COLOUR_STEP
    if key in ("xmp", XMP_TEXT, "comment"):
        return _as_bytes(before) == _as_bytes(after)
    return bool(before == after)


def _exif_block(data: Any) -> bytes:
    block: bytes = data.tobytes() if hasattr(data, "tobytes") else bytes(data)
    return block[len(_EXIF_START) :] if block.startswith(_EXIF_START) else block


def _tells_as_much(after: Any, before: Any) -> bool:
    """Whether an EXIF block has every tag of another, with the same values."""
    try:
        tags, wanted = _exif_tags(after), _exif_tags(before)
    except Exception:  # Pillow raises many kinds on damaged blocks
        return False
    return all(tag in tags and tags[tag] == value for tag, value in wanted.items())


def _exif_tags(data: Any) -> dict[Any, Any]:
    from PIL import Image

    exif = Image.Exif()
    exif.load(_EXIF_START + _exif_block(data))
    nested = {(tag, each): value for tag in _LISTS for each, value in exif.get_ifd(tag).items()}
    return {tag: value for tag, value in exif.items() if tag not in _LISTS} | nested


def _as_bytes(text: Any) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else bytes(text)
