"""Arrays and Pillow images to and from planes, and reversible colour transforms (SPEC 2.5, 5.2).

A plane is an int32 array (H, W). The canonical samples are the bytes that the checksum of a file
covers and that the stored coder keeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .container import MAX_PIXELS, MODES, Mode
from .errors import CorruptStreamError

if TYPE_CHECKING:
    from PIL import Image

Plane = NDArray[np.int32]

NO_TRANSFORM, RCT, GREEN_DIFFERENCE, RED_DIFFERENCE = range(4)
TRANSFORM_NAMES = {
    NO_TRANSFORM: "none",
    RCT: "reversible colour transform",
    GREEN_DIFFERENCE: "green difference",
    RED_DIFFERENCE: "red difference",
}

SHAPES_TRANSFORMS = (NO_TRANSFORM, RCT, GREEN_DIFFERENCE)
"""Those that the shapes coder may use (SPEC 5.2)."""

_SUPPORTED = (
    "bool or uint8 arrays of shape (H, W) or (H, W, 1), uint8 arrays of shape (H, W, 3), "
    "and Pillow images of mode 1, L and RGB"
)


def mode_of_array(array: NDArray[Any]) -> Mode:
    """Return the format's mode for an array.

    Raises
    ------
    TypeError
        A dtype or shape that the format does not hold yet.
    ValueError
        An axis of length 0, or more pixels than `MAX_PIXELS`.
    """
    if array.ndim in (2, 3) and 0 in array.shape:
        raise ValueError(f"cannot encode an empty array of shape {array.shape}")
    if array.ndim in (2, 3) and array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise ValueError(
            f"array of shape {array.shape}: more pixels than this program's limit of {MAX_PIXELS}"
        )
    bits = {np.dtype(np.bool_): 1, np.dtype(np.uint8): 8}.get(array.dtype)
    for mode in MODES.values():
        shape_fits = array.ndim == 3 and array.shape[2] == mode.n_planes
        if bits == mode.bits_per_sample and (shape_fits if mode.channel_axis else array.ndim == 2):
            return mode
    raise TypeError(
        f"cannot encode an array of dtype {array.dtype} and shape {array.shape}; "
        f"supported: {_SUPPORTED}"
    )


def array_from_pillow(image: Image.Image) -> NDArray[Any]:
    """Return a Pillow image's samples: bool (H, W), uint8 (H, W) or uint8 (H, W, 3).

    Raises
    ------
    OSError
        A mode that the format does not hold yet, as Pillow's own writers do.
    """
    if image.mode not in {mode.pillow_mode for mode in MODES.values()} - {None}:
        raise OSError(
            f"cannot write mode {image.mode} as SCF; supported modes: 1, L, RGB "
            "(convert the image first)"
        )
    return np.asarray(image)


def canonical_samples(array: NDArray[Any], mode: Mode) -> bytes:
    """Return the samples in the order that checksum and stored coder use (SPEC 2.5).

    Inverse of `array_from_samples`; the same bytes as Pillow's ``tobytes()`` for its modes.
    """
    if mode.bits_per_sample == 1:
        rows = array.reshape(array.shape[0], -1)
        return np.packbits(rows, axis=1).tobytes()
    return array.tobytes()


def array_from_samples(samples: bytes, mode: Mode, width: int, height: int) -> NDArray[Any]:
    """Return the array of canonical samples; inverse of `canonical_samples`.

    Padding bits of bilevel rows must be 0, else ``ValueError``.
    """
    shape = (height, width, mode.n_planes) if mode.channel_axis else (height, width)
    flat = np.frombuffer(samples, np.uint8)
    if mode.bits_per_sample != 1:
        return flat.reshape(shape).copy()
    bits = np.unpackbits(flat.reshape(height, -1), axis=1)
    if bits[:, width:].any():
        raise ValueError("padding bits of a bilevel row are not 0")
    return bits[:, :width].astype(np.bool_).reshape(shape)


def split_planes(array: NDArray[Any], mode: Mode) -> list[Plane]:
    """Return the planes of an array; inverse of `merge_planes`."""
    stack = array.reshape(*array.shape[:2], mode.n_planes)
    return [np.ascontiguousarray(stack[:, :, i], dtype=np.int32) for i in range(mode.n_planes)]


def merge_planes(planes: list[Plane], mode: Mode) -> NDArray[Any]:
    """Return the array of planes whose samples are all in range; inverse of `split_planes`."""
    dtype = np.bool_ if mode.bits_per_sample == 1 else np.uint8
    stack: NDArray[Any] = np.stack(planes, axis=2).astype(dtype)
    return stack if mode.channel_axis else stack[:, :, 0]


def plane_ranges(mode: Mode, transform: int) -> list[tuple[int, int]]:
    """Return (lowest, highest) of each transformed plane's samples (SPEC 5.2)."""
    top = (1 << mode.bits_per_sample) - 1
    if transform == NO_TRANSFORM:
        return [(0, top)] * mode.n_planes
    return [(0, top), (-top, top), (-top, top)] + [(0, top)] * (mode.n_planes - 3)


def transform_colours(planes: list[Plane], transform: int) -> list[Plane]:
    """Apply a colour transform to three planes (SPEC 5.2); inverse of `restore_colours`."""
    if transform == NO_TRANSFORM:
        return planes
    red, green, blue, *others = planes
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
