"""What a file keeps besides its pixels: EXIF, ICC, XMP, resolution, text, times (SPEC 3.5).

Pure Python on purpose: opening a file with metadata needs neither NumPy nor Numba.
"""

from __future__ import annotations

import math
import operator
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from .container import (
    DEFLATED,
    SEGMENT_EXIF,
    SEGMENT_ICC,
    SEGMENT_NAMES,
    SEGMENT_PROPERTIES,
    SEGMENT_TIMING,
    SEGMENT_XMP,
    ByteReader,
    Segment,
    write_varint,
)
from .errors import CorruptStreamError, TruncatedStreamError, UnsupportedStreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .container import Header

    Number = int | float
    MetadataChoice = "Metadata | Mapping[str, Any] | bool | None"

MAX_METADATA_BYTES = 1 << 26
"""Most bytes of metadata of one file, unpacked; this program's limit, not the format's."""

MAX_INTEGER = 1 << 62
"""Integers of metadata are smaller than this, whatever their sign (SPEC 3.5.2)."""

XMP_TEXT = "XML:com.adobe.xmp"
"""The text under which PNG keeps XMP, which is stored once."""

INFO_NOT_TEXT = ("codebook_id", "codebook_name", "compression", "image_name")
"""Strings of Pillow's ``info`` that describe a file's form."""

_EMPTY_EXIF_BYTES = 20
"""What ``PIL.Image.Exif`` without any tag has: mark, header, no entries, no further list."""

_NONE, _INTEGER, _FLOAT, _STRING, _BYTES, _LIST = range(6)

_BLOBS = {"exif": SEGMENT_EXIF, "icc_profile": SEGMENT_ICC, "xmp": SEGMENT_XMP}


@dataclass(frozen=True)
class Metadata:
    """What a file keeps besides its pixels; names and forms are those of Pillow's ``info``.

    Attributes
    ----------
    exif, icc_profile, xmp : bytes or None
        Kept byte for byte. EXIF may also be given as a ``PIL.Image.Exif``, XMP as a string.
    dpi, aspect : tuple of two numbers or None
        Resolution; the pixels' shape where the resolution is not known.
    gamma : float or None
    chromaticity : tuple of eight numbers or None
        White, red, green and blue point.
    srgb : int or None
        Rendering intent of an sRGB image.
    transparency : int, tuple of int, bytes or None
        The colour that is transparent in images without alpha. That of palette images belongs to
        the palette, not to the metadata.
    background : int, tuple of int or None
    comment : bytes or None
    text : mapping of str to str
    loop : int or None
        How often an animation is shown, 0 for ever.
    durations : tuple of numbers or None
        Milliseconds of each frame, or of all of them; None for a frame that has none.

    Integers stay integers and floats keep every bit; other numbers become the nearest float.

    Raises
    ------
    TypeError, ValueError
        What cannot be kept.
    """

    exif: bytes | None = None
    icc_profile: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[Number, ...] | None = None
    aspect: tuple[Number, ...] | None = None
    gamma: Number | None = None
    chromaticity: tuple[Number, ...] | None = None
    srgb: int | None = None
    transparency: int | tuple[int, ...] | bytes | None = None
    background: int | tuple[int, ...] | None = None
    comment: bytes | None = None
    text: Mapping[str, str] = field(default_factory=dict)
    loop: int | None = None
    durations: tuple[Number | None, ...] = ()

    def __post_init__(self) -> None:
        for each in fields(self):
            value = _checked(each.name, getattr(self, each.name))
            object.__setattr__(self, each.name, value)

    def __bool__(self) -> bool:
        """Whether there is anything to keep."""
        return self != _NOTHING

    def info(self, frame: int = 0) -> dict[str, Any]:
        """Return it as Pillow's ``info`` of a frame; inverse of `from_info`."""
        found: dict[str, Any] = dict(self.text)
        for name in (*_BLOBS, *_PROPERTIES, "loop"):
            if (value := getattr(self, name)) is not None:
                found[name] = value
        if (duration := self.duration(frame)) is not None:
            found["duration"] = duration
        return found

    def duration(self, frame: int) -> Number | None:
        """Return the milliseconds of a frame, None where it has none."""
        if len(self.durations) <= 1:
            return self.durations[0] if self.durations else None
        return self.durations[frame]

    @classmethod
    def from_info(cls, info: Mapping[Any, Any], *, strict: bool = False) -> Metadata:
        """Return what Pillow's ``info`` of an image says.

        Parameters
        ----------
        info : mapping
            Strings that do not describe a file's form are text; other keys that are no fields of
            `Metadata` are ignored.
        strict : bool
            Raise for fields of wrong types and values, which are ignored otherwise.
        """
        found: dict[str, Any] = {}
        text = {
            key: value
            for key, value in info.items()
            if isinstance(key, str) and isinstance(value, str)
            and key not in (*INFO_NOT_TEXT, "xmp")
        }  # fmt: skip
        for key in (*_BLOBS, *_PROPERTIES, "loop", "duration"):
            value = info.get(key)
            if value is None or key in text:
                continue
            name, value = ("durations", value) if key == "duration" else (key, value)
            try:
                found[name] = _checked(name, value)
            except (TypeError, ValueError):
                if strict:
                    raise
        return cls(text={k: str(v) for k, v in text.items()}, **found)

    def to_segments(self) -> tuple[Segment, ...]:
        """Return the segments that hold it (SPEC 3.5), none for nothing.

        Raises
        ------
        ValueError
            More than `MAX_METADATA_BYTES`.
        """
        pieces = [(kind, getattr(self, name) or b"") for name, kind in _BLOBS.items()]
        pieces.append((SEGMENT_PROPERTIES, self._properties()))
        pieces.append((SEGMENT_TIMING, self._timing()))
        if (n_bytes := sum(len(data) for _, data in pieces)) > MAX_METADATA_BYTES:
            raise ValueError(
                f"metadata of {n_bytes} bytes are more than this program's limit of "
                f"{MAX_METADATA_BYTES}"
            )
        return tuple(_packed(kind, data) for kind, data in pieces if data)

    @classmethod
    def from_header(cls, header: Header) -> Metadata:
        """Return the metadata of a file; inverse of `to_segments`.

        Raises
        ------
        CorruptStreamError
            Segments that break a rule of SPEC 3.5.
        UnsupportedStreamError
            More than `MAX_METADATA_BYTES`.
        """
        room = MAX_METADATA_BYTES
        found: dict[int, bytes] = {}
        for segment in header.segments:
            kind = segment.kind & ~DEFLATED
            if kind in METADATA_KINDS and segment.kind >= 0x80 and kind not in found:
                found[kind] = _unpacked(segment, room)
                room -= len(found[kind])
        values: dict[str, Any] = {name: found.get(kind) for name, kind in _BLOBS.items()}
        try:
            _read_properties(found.get(SEGMENT_PROPERTIES, b""), values)
            if SEGMENT_TIMING in found:
                _read_timing(found[SEGMENT_TIMING], header.n_frames, values)
            return cls(**values)
        except TruncatedStreamError as error:  # the segment is whole, its content is not
            raise CorruptStreamError(str(error)) from error
        except CorruptStreamError:
            raise
        except (TypeError, ValueError) as error:
            raise CorruptStreamError(f"metadata: {error}") from error

    def for_frames(self, n_frames: int, *, palette: bool) -> Metadata:
        """Return what a file of so many frames keeps; a palette knows its own transparency.

        Raises
        ------
        ValueError
            There are neither as many durations as frames nor one.
        """
        if len(self.durations) > 1 and len(self.durations) != n_frames:
            raise ValueError(f"{len(self.durations)} durations of {n_frames} frames")
        return replace(self, transparency=None) if palette else self

    def _properties(self) -> bytes:
        values: list[tuple[bytes, int, bytes]] = []
        for key, text in self.text.items():
            told = None if key == XMP_TEXT and text.encode() == self.xmp else text
            values.append(_property(key, told))
        for name in _PROPERTIES:
            if (value := getattr(self, name)) is not None:
                values.append(_property(name, value))
        out = bytearray()
        for name_bytes, _, written in sorted(values):
            out += write_varint(len(name_bytes)) + name_bytes + written
        return bytes(out)

    def _timing(self) -> bytes:
        if self.loop is None and not self.durations:
            return b""
        return b"".join(_write_value(value) for value in (self.loop, *self.durations))


def metadata_from(
    choice: Metadata | Mapping[str, Any] | bool | None,
    default: Callable[[], Metadata],
) -> Metadata:
    """Return the metadata that the option ``metadata`` means.

    Parameters
    ----------
    choice : Metadata, mapping, bool or None
        A mapping as Pillow's ``info``. False for none; None and True for what the image has.
    default : callable
        Returns what the image has.
    """
    if isinstance(choice, Metadata):
        return choice
    if choice is None or choice is True:
        return default()
    if choice is False:
        return Metadata()
    if isinstance(choice, Mapping):
        return Metadata.from_info(choice, strict=True)
    raise TypeError(
        f"metadata is a {type(choice).__name__}, expected a Metadata, a mapping, True, False or "
        "None"
    )


def with_options(base: Metadata, options: Mapping[str, Any]) -> Metadata:
    """Return metadata changed by the options of a save call, each of which drops where it is empty.

    Parameters
    ----------
    base : Metadata
    options : mapping
        Of `METADATA_OPTIONS`; others are ignored. ``pnginfo`` and ``text`` replace all text,
        ``pnginfo`` first.

    Raises
    ------
    TypeError, ValueError
        What cannot be kept.
    """
    changes: dict[str, Any] = {}
    for name in (*_BLOBS, *_PROPERTIES, "loop"):
        if name in options:
            changes[name] = options[name]
    if isinstance(comment := changes.get("comment"), str):
        changes["comment"] = comment.encode()
    if "duration" in options:
        changes["durations"] = () if options["duration"] is None else options["duration"]
    text = options.get("text", {}) or {}
    if not isinstance(text, Mapping):
        raise TypeError(f"text is a {type(text).__name__}, expected a mapping of str to str")
    if options.get("pnginfo") is not None:
        changes["text"] = {**text_of_pnginfo(options["pnginfo"]), **text}
    elif "text" in options:
        changes["text"] = text
    return replace(base, **changes) if changes else base


def metadata_of(images: Sequence[Any]) -> Metadata:
    """Return what Pillow images have, the first's and everybody's duration; nothing of arrays."""
    if not images or not hasattr(images[0], "getbands"):
        return Metadata()
    first = metadata_of_pillow(images[0])
    infos = [getattr(image, "info", {}) for image in images]
    return replace(first, durations=durations_of([info.get("duration") for info in infos]))


def metadata_of_pillow(image: Any, *, with_exif: bool = True) -> Metadata:
    """Return what a Pillow image has, which is complete only once it is loaded.

    Raises
    ------
    OSError
        Tags of a TIFF file that Pillow cannot write.
    """
    image.load()
    info = dict(image.info)
    if with_exif and "exif" not in info and hasattr(image, "tag_v2"):
        info["exif"] = _exif_of_tiff(image)
    return Metadata.from_info(info)


def durations_of(found: Iterable[Any]) -> tuple[Number | None, ...]:
    """Return durations of frames, one where they are all alike; what is no duration is none."""
    durations: list[Number | None] = []
    for each in found:
        try:
            duration = None if each is None else _number("duration", each)
        except (TypeError, ValueError):
            duration = None
        durations.append(None if duration is None or duration < 0 else duration)
    return _shortest(tuple(durations))


def text_of_pnginfo(pnginfo: Any) -> dict[str, str]:
    """Return the text of a ``PIL.PngImagePlugin.PngInfo``.

    Raises
    ------
    TypeError
        It is none.
    ValueError
        It has chunks that are no text.
    """
    text = {}
    try:
        chunks = [(bytes(kind), bytes(data)) for kind, data, *_ in pnginfo.chunks]
    except (AttributeError, TypeError, ValueError) as error:
        raise TypeError(f"pnginfo is {pnginfo!r}, expected a PngInfo") from error
    for kind, data in chunks:
        key, _, rest = data.partition(b"\0")
        if kind == b"tEXt":
            value = rest.decode("latin-1")
        elif kind == b"zTXt":
            value = zlib.decompress(rest[1:]).decode("latin-1")
        elif kind == b"iTXt":
            raw = rest[2:].split(b"\0", 2)[2]  # behind language, key in that language, text
            value = (zlib.decompress(raw) if rest[:1] == b"\1" else raw).decode()
        else:
            raise ValueError(f"pnginfo: chunk {kind!r} is no text and cannot be kept in SCF")
        text[key.decode("latin-1")] = value
    return text


def _shortest(durations: tuple[Number | None, ...]) -> tuple[Number | None, ...]:
    if all(each is None for each in durations):
        return ()
    alike = {(type(each), each) for each in durations}
    return durations[:1] if len(alike) == 1 else durations


# Tags that say how a TIFF file stores its pixels, or that are kept elsewhere: nothing of the image.
_TIFF_FORM = frozenset((
    254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 288,
    289, 290, 291, 292, 293, 297, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330, 332, 338, 339,
    340, 341, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 559, 700, 34675,
))  # fmt: skip


def _exif_of_tiff(image: Any) -> bytes | None:
    """Return the tags of a TIFF image that say something of the image, as EXIF."""
    from PIL import Image

    tags = image.getexif()
    kept = Image.Exif()
    for tag, value in tags.items():
        if tag not in _TIFF_FORM:
            kept[tag] = tags.get_ifd(tag) if tag in (0x8769, 0x8825) else value
    if not _descriptive(kept):
        return None
    try:
        return kept.tobytes()
    except Exception as error:
        raise OSError(
            f"cannot keep the tags of this TIFF file ({error}): pass exif=None to drop them"
        ) from error


def _descriptive(tags: Any) -> bool:
    """Whether there are tags other than the resolution, which is kept as dpi."""
    return any(tag not in (282, 283, 296) for tag in tags)


# --- checking ------------------------------------------------------------------------------------


def _checked(name: str, value: Any) -> Any:
    if name in _BLOBS:
        return _blob(name, value)
    if name == "text":
        return _text(value)
    if name == "durations":
        return _durations(value)
    return None if value is None else _CHECKS[name](name, value)


def _blob(name: str, value: Any) -> bytes | None:
    if value is None:
        return None
    if name == "xmp" and isinstance(value, str):
        value = value.encode()
    if name == "exif" and hasattr(value, "get_ifd"):
        value = value.tobytes()
        value = value if len(value) > _EMPTY_EXIF_BYTES else b""
    if not isinstance(value, bytes | bytearray | memoryview):
        if value in ("", ()):
            return None
        raise TypeError(f"{name} is a {type(value).__name__}, expected bytes")
    return bytes(value) or None


def _text(value: Any) -> dict[str, str]:
    text = dict(value or {})
    for key, each in text.items():
        if not isinstance(key, str) or not isinstance(each, str):
            raise TypeError(f"text {key!r} is {each!r}, expected str for both")
        if not key:
            raise ValueError("text without a key")
        (key + each).encode()  # a ValueError where it cannot be written
    return {str(key): str(each) for key, each in text.items()}


def _number(name: str, value: Any) -> Number:
    if isinstance(value, bool | str | bytes):
        raise TypeError(f"{name} is {value!r}, expected a number")
    if hasattr(value, "__index__"):
        return _integer(name, value)
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}, expected a finite number")
    return number


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError(f"{name} is {value}, expected an integer")
    number = operator.index(value)
    if abs(number) >= MAX_INTEGER:
        raise ValueError(f"{name} is {number}, expected less than {MAX_INTEGER}")
    return number


def _natural(name: str, value: Any) -> int:
    if (number := _integer(name, value)) < 0:
        raise ValueError(f"{name} is {number}, expected 0 or more")
    return number


def _numbers(n_numbers: int) -> Callable[[str, Any], tuple[Number, ...]]:
    def check(name: str, value: Any) -> tuple[Number, ...]:
        numbers = tuple(_number(name, each) for each in _items(name, value))
        if len(numbers) != n_numbers:
            raise ValueError(f"{name} has {len(numbers)} numbers, expected {n_numbers}")
        return numbers

    return check


def _colour(name: str, value: Any) -> int | tuple[int, ...]:
    if hasattr(value, "__index__"):
        return _integer(name, value)
    if isinstance(value, str | bytes | bytearray):
        raise TypeError(f"{name} is {value!r}, expected an integer or several")
    return tuple(_integer(name, each) for each in _items(name, value))


def _items(name: str, value: Any) -> Iterable[Any]:
    if not hasattr(value, "__iter__"):
        raise TypeError(f"{name} is {value!r}, expected several numbers")
    found: Iterable[Any] = value
    return found


def _transparency(name: str, value: Any) -> int | tuple[int, ...] | bytes:
    return bytes(value) if isinstance(value, bytes | bytearray) else _colour(name, value)


def _comment(name: str, value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray):
        raise TypeError(f"{name} is a {type(value).__name__}, expected bytes")
    return bytes(value)


def _durations(value: Any) -> tuple[Number | None, ...]:
    if value is None:
        return ()
    several = value if isinstance(value, list | tuple) else (value,)
    durations = tuple(None if each is None else _number("duration", each) for each in several)
    if any(each is not None and each < 0 for each in durations):
        raise ValueError(
            f"duration {min(each for each in durations if each is not None)} is below 0"
        )
    return _shortest(durations)


_PROPERTIES: dict[str, tuple[int, ...]] = {
    "dpi": (_LIST,),
    "aspect": (_LIST,),
    "gamma": (_INTEGER, _FLOAT),
    "chromaticity": (_LIST,),
    "srgb": (_INTEGER,),
    "transparency": (_INTEGER, _BYTES, _LIST),
    "background": (_INTEGER, _LIST),
    "comment": (_BYTES,),
}
"""Fields in the properties, with the types that they have there."""

_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "dpi": _numbers(2),
    "aspect": _numbers(2),
    "gamma": _number,
    "chromaticity": _numbers(8),
    "srgb": _natural,
    "transparency": _transparency,
    "background": _colour,
    "comment": _comment,
    "loop": _natural,
}

METADATA_KINDS = (*_BLOBS.values(), SEGMENT_PROPERTIES, SEGMENT_TIMING)
"""Kinds of the segments of metadata; each also comes deflated."""

METADATA_OPTIONS = (*_BLOBS, *_PROPERTIES, "text", "pnginfo", "loop", "duration")
"""Options of a save call that change the metadata, besides ``metadata`` itself."""

_NOTHING = Metadata()

# --- bytes ---------------------------------------------------------------------------------------


def _packed(kind: int, data: bytes) -> Segment:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    short = write_varint(len(data)) + deflate.compress(data) + deflate.flush()
    return Segment(kind | DEFLATED, short) if len(short) < len(data) else Segment(kind, data)


def _unpacked(segment: Segment, room: int) -> bytes:
    where = f"segment {SEGMENT_NAMES[segment.kind]}"
    data = segment.data
    if not segment.kind & DEFLATED:
        _check_room(where, len(data), room)
        return data
    try:
        reader = ByteReader(data, where)
        n_bytes = reader.varint("length of the content", MAX_INTEGER)
    except TruncatedStreamError as error:  # the segment is whole, its content is not
        raise CorruptStreamError(str(error)) from error
    _check_room(where, n_bytes, room)
    inflate = zlib.decompressobj(-15)
    try:
        content = inflate.decompress(data[reader.offset :], n_bytes + 1)
    except zlib.error as error:
        raise CorruptStreamError(f"{where}: its deflated data are damaged: {error}") from error
    if len(content) != n_bytes or not inflate.eof or inflate.unused_data:
        raise CorruptStreamError(f"{where}: its deflated data do not give {n_bytes} bytes")
    return content


def _check_room(where: str, n_bytes: int, room: int) -> None:
    if n_bytes > room:
        raise UnsupportedStreamError(
            f"{where}: with its {n_bytes} bytes the metadata are more than this program's limit of "
            f"{MAX_METADATA_BYTES}"
        )


def _property(key: str, value: Any) -> tuple[bytes, int, bytes]:
    written = _write_value(value)
    return key.encode(), written[0], written


def _write_value(value: Any) -> bytes:
    """Return type and content of a value (SPEC 3.5.2); inverse of `_read_value`."""
    if value is None:
        return bytes([_NONE])
    if isinstance(value, int):
        return bytes([_INTEGER]) + write_varint(2 * value if value >= 0 else -2 * value - 1)
    if isinstance(value, float):
        return bytes([_FLOAT]) + struct.pack("<d", value)
    if isinstance(value, tuple):
        return bytes([_LIST]) + write_varint(len(value)) + b"".join(_write_value(v) for v in value)
    kind, data = (_STRING, value.encode()) if isinstance(value, str) else (_BYTES, value)
    return bytes([kind]) + write_varint(len(data)) + data


def _read_value(reader: ByteReader, types: tuple[int, ...]) -> Any:
    """Read a value of one of some types."""
    start = reader.offset
    kind = reader.take(1, "type of a value")[0]
    if kind not in types:
        raise CorruptStreamError(f"{reader.what}, byte {start}: a value of type {kind}")
    if kind == _NONE:
        return None
    if kind == _INTEGER:
        code = reader.varint("integer", 2 * MAX_INTEGER - 2)
        return -(code + 1) // 2 if code & 1 else code // 2
    if kind == _FLOAT:
        (number,) = struct.unpack("<d", reader.take(8, "float"))
        if not math.isfinite(number):
            raise CorruptStreamError(f"{reader.what}, byte {start}: a float of {number}")
        return number
    left = len(reader.data) - reader.offset
    n_items = reader.varint("length of a value", left)
    if kind == _LIST:
        return tuple(_read_value(reader, (_INTEGER, _FLOAT)) for _ in range(n_items))
    data = reader.take(n_items, "value")
    return _decoded(data, reader) if kind == _STRING else data


def _decoded(data: bytes, reader: ByteReader) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise CorruptStreamError(f"{reader.what}: a string is no UTF-8: {error}") from error


def _read_properties(data: bytes, values: dict[str, Any]) -> None:
    """Add the properties to the fields of a `Metadata`; those of unknown names are ignored."""
    reader = ByteReader(data, "segment properties")
    text: dict[str, str] = {}
    before = (b"", -1)
    while reader.offset < len(data):
        start = reader.offset
        key = reader.take(reader.varint("length of a key", len(data)), "key")
        kind = reader.data[reader.offset : reader.offset + 1]
        place = (key, kind[0] if kind else -1)
        if not key or place <= before:
            raise CorruptStreamError(f"segment properties, byte {start}: keys are out of order")
        before = place
        value = _read_value(reader, tuple(range(6)))
        name = _decoded(key, reader)
        if isinstance(value, str):
            text[name] = value
        elif value is None:
            if name != XMP_TEXT or values["xmp"] is None:
                raise CorruptStreamError(f"segment properties, byte {start}: {name!r} is nothing")
            text[name] = _decoded(values["xmp"], reader)
        elif name in _PROPERTIES:
            if place[1] not in _PROPERTIES[name] or name in values:
                raise CorruptStreamError(
                    f"segment properties, byte {start}: {name} of type {place[1]}"
                )
            values[name] = value
    values["text"] = text


def _read_timing(data: bytes, n_frames: int, values: dict[str, Any]) -> None:
    reader = ByteReader(data, "segment timing")
    values["loop"] = _read_value(reader, (_NONE, _INTEGER))
    durations = []
    while reader.offset < len(data):
        durations.append(_read_value(reader, (_NONE, _INTEGER, _FLOAT)))
        if len(durations) > n_frames:
            break
    if len(durations) not in (0, 1, n_frames):
        raise CorruptStreamError(
            f"segment timing: {len(durations)} durations, the file has {n_frames} frames"
        )
    values["durations"] = tuple(durations)
