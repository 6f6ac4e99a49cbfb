"""Arrays and Pillow images to and from planes, and reversible colour transforms (SPEC 2.5, 5.2).

A plane is an int32 array (H, W). The canonical samples are the bytes that the checksum of a file
covers and that the stored coder keeps.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .container import (
    MAX_COMPONENTS,
    MAX_PIXELS,
    MAX_RAW_BYTES,
    PILLOW_MODES,
    SAMPLE_TYPES,
    Mode,
    array_mode,
    checksum,
)
from .errors import CorruptStreamError

if TYPE_CHECKING:
    from PIL import Image

    from .palettes import Palette

Plane = NDArray[np.int32]

NO_TRANSFORM, RCT, GREEN_DIFFERENCE, RED_DIFFERENCE, LATTICE = range(5)
TRANSFORM_NAMES = {
    NO_TRANSFORM: "none",
    RCT: "reversible colour transform",
    GREEN_DIFFERENCE: "green difference",
    RED_DIFFERENCE: "red difference",
    LATTICE: "lattice of decoded JPEGs",
}

SHAPES_TRANSFORMS = (NO_TRANSFORM, RCT, GREEN_DIFFERENCE)
"""Those that the shapes coder may use (SPEC 5.2)."""

HIGHEST_CORRECTION = 7
"""Of the fourth plane of the lattice (SPEC 5.2.1)."""

_SUPPORTED = (
    f"arrays of {', '.join(SAMPLE_TYPES)} of shape (H, W) or (H, W, 1 to {MAX_COMPONENTS}), and "
    f"Pillow images of mode {', '.join(PILLOW_MODES)}"
)

_DTYPES = {1: np.dtype(np.bool_), 8: np.dtype(np.uint8), 16: np.dtype(np.uint16)}


def dtype_of(mode: Mode) -> np.dtype[Any]:
    """Return the sample type of a mode's arrays, in native byte order."""
    return np.dtype(mode.sample_type) if mode.sample_type else _DTYPES[mode.bits_per_sample]


def mode_of_array(array: NDArray[Any]) -> Mode:
    """Return the format's mode for an array, of whichever byte order.

    Raises
    ------
    TypeError
        A dtype or shape that the format does not hold yet.
    ValueError
        An axis of length 0, more pixels than `MAX_PIXELS` or more bytes than `MAX_RAW_BYTES`.
    """
    if array.ndim in (2, 3) and 0 in array.shape:
        raise ValueError(f"cannot encode an empty array of shape {array.shape}")
    if array.ndim in (2, 3) and array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise ValueError(
            f"array of shape {array.shape}: more pixels than this program's limit of {MAX_PIXELS}"
        )
    name = array.dtype.newbyteorder("=").name
    n_components = array.shape[2] if array.ndim == 3 else None
    if array.ndim in (2, 3) and name in SAMPLE_TYPES and (n_components or 1) <= MAX_COMPONENTS:
        mode = array_mode(name, n_components)
        _check_bytes(array, mode)
        return mode
    raise TypeError(
        f"cannot encode an array of dtype {array.dtype} and shape {array.shape}; "
        f"supported: {_SUPPORTED}"
    )


def _check_bytes(array: NDArray[Any], mode: Mode) -> None:
    if (n_bytes := mode.raw_size(array.shape[1], array.shape[0])) > MAX_RAW_BYTES:
        raise ValueError(
            f"array of {array.dtype} and shape {array.shape}: {n_bytes} bytes are more than this "
            f"program's limit of {MAX_RAW_BYTES}"
        )


def in_native_order(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array in native byte order."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def array_from_pillow(image: Image.Image) -> NDArray[Any]:
    """Return a Pillow image's samples, those of its mode in `MODES`.

    Raises
    ------
    OSError
        A mode that the format does not hold yet, as Pillow's own writers do.
    """
    if image.mode not in PILLOW_MODES or image.mode in ("P", "PA"):
        advice = "convert the image first"
        if image.mode in ("P", "PA"):
            advice = "its indices mean nothing without its palette: encode the image itself"
        raise OSError(
            f"cannot write mode {image.mode} as SCF; supported modes: {', '.join(PILLOW_MODES)} "
            f"({advice})"
        )
    return in_native_order(np.asarray(image))


def canonical_samples(array: NDArray[Any], mode: Mode) -> bytes:
    """Return the samples in the order that checksum and stored coder use (SPEC 2.5).

    Inverse of `array_from_samples`; the same bytes as Pillow's ``tobytes()`` for its modes.
    """
    if mode.bits_per_sample == 1:
        rows = array.reshape(array.shape[0], -1)
        return np.packbits(rows, axis=1).tobytes()
    return array.astype(dtype_of(mode).newbyteorder("<"), copy=False).tobytes()


def pillow_image(array: NDArray[Any], mode: Mode) -> Image.Image:
    """Return the Pillow image of an array, of the mode of the same samples; without its palette."""
    from PIL import Image

    assert mode.pillow_mode is not None
    if mode.pillow_mode == "I;16B":
        samples = array.astype(">u2").tobytes()
    elif mode.pillow_mode in ("I", "F", "I;16N"):
        samples = array.tobytes()  # in native order
    else:
        samples = canonical_samples(array, mode)
    return Image.frombytes(mode.pillow_mode, (array.shape[1], array.shape[0]), samples)


def checksum_of(
    array: NDArray[Any], mode: Mode, palette: Palette | None = None, *, band: int = 1 << 22
) -> int:
    """Return the checksum of an image (SPEC 2.5), some rows of about `band` pixels at a time."""
    height, width = array.shape[:2]
    n_rows = max(1, band // width)
    found = checksum(mode, width, height, b"", palette)
    for top in range(0, height, n_rows):
        found = zlib.crc32(canonical_samples(array[top : top + n_rows], mode), found)
    return found


def array_from_samples(
    samples: bytes | memoryview, mode: Mode, width: int, height: int
) -> NDArray[Any]:
    """Return the array of canonical samples; inverse of `canonical_samples`.

    Padding bits of bilevel rows must be 0, else ``ValueError``.
    """
    shape = (height, width, mode.n_planes) if mode.channel_axis else (height, width)
    if mode.bits_per_sample != 1:
        flat = np.frombuffer(samples, dtype_of(mode).newbyteorder("<"))
        return flat.reshape(shape).astype(dtype_of(mode))
    packed = np.frombuffer(samples, np.uint8)
    bits = np.unpackbits(packed.reshape(height, -1), axis=1)
    n_columns = width * mode.n_planes
    if bits[:, n_columns:].any():
        raise ValueError("padding bits of a bilevel row are not 0")
    return bits[:, :n_columns].astype(np.bool_).reshape(shape)


def split_planes(array: NDArray[Any], mode: Mode) -> list[Plane]:
    """Return the planes of an array; inverse of `merge_planes`."""
    stack = array.reshape(*array.shape[:2], mode.n_planes)
    return [np.ascontiguousarray(stack[:, :, i], dtype=np.int32) for i in range(mode.n_planes)]


def merge_planes(planes: list[Plane], mode: Mode) -> NDArray[Any]:
    """Return the array of planes whose samples are all in range; inverse of `split_planes`."""
    stack: NDArray[Any] = np.stack(planes, axis=2).astype(dtype_of(mode))
    return stack if mode.channel_axis else stack[:, :, 0]


def plane_ranges(mode: Mode, transform: int) -> list[tuple[int, int]]:
    """Return (lowest, highest) of each transformed plane's samples (SPEC 5.2)."""
    top = (1 << mode.bits_per_sample) - 1
    if transform == NO_TRANSFORM:
        return [(0, top)] * mode.n_planes
    others = [(0, top)] * (mode.n_planes - 3)
    if transform == LATTICE:
        return [(0, top)] * 3 + [(0, HIGHEST_CORRECTION)] + others
    return [(0, top), (-top, top), (-top, top), *others]


def transform_colours(planes: list[Plane], transform: int) -> list[Plane]:
    """Apply a colour transform to three planes (SPEC 5.2); inverse of `restore_colours`."""
    if transform == NO_TRANSFORM:
        return planes
    red, green, blue, *others = planes
    if transform == LATTICE:
        from .colour_lattice import split_lattice  # it compiles; other pictures need not wait

        triples, corrections = split_lattice(red, green, blue)
        return [*triples, corrections, *others]
    if transform == RED_DIFFERENCE:
        return [red, green - red, blue - ((red + green) >> 1), *others]
    u, v = red - green, blue - green
    if transform == RCT:
        return [green + ((u + v) >> 2), u, v]
    return [green, u, v]


def restore_colours(planes: list[Plane], transform: int) -> list[Plane]:
    """Undo `transform_colours` (SPEC 5.2)."""
    if transform == NO_TRANSFORM:
        return planes
    if transform == LATTICE:
        from .colour_lattice import merge_lattice

        y, cb, cr, corrections, *others = planes
        return [*merge_lattice(y, cb, cr, corrections), *others]
    first, u, v, *others = planes
    if transform == RED_DIFFERENCE:
        green = first + u
        return [first, green, v + ((first + green) >> 1), *others]
    green = first - ((u + v) >> 2) if transform == RCT else first
    return [green + u, green, green + v]


def merge_checked(planes: list[Plane], mode: Mode, complete: bool) -> NDArray[Any]:
    """Merge planes; after a colour transform damaged data can leave the samples' range.

    Raises
    ------
    CorruptStreamError
        Only for complete data; else samples are clipped.
    """
    top = (1 << mode.bits_per_sample) - 1
    for index, plane in enumerate(planes):
        if plane.min() < 0 or plane.max() > top:
            if complete:
                found = plane.min() if plane.min() < 0 else plane.max()
                raise CorruptStreamError(f"plane {index}: a sample is {found}, expected 0..{top}")
            np.clip(plane, 0, top, out=plane)
    return merge_planes(planes, mode)
