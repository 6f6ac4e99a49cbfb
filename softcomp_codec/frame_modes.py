"""Frames of several modes in one file: Pillow's GIF reader gives the first one as P, others as RGB.

Gray, palettes and colours become RGB without a change of any colour, or RGBA where any pixel may be
transparent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageSequence

from .coders import Picture
from .encoder import as_picture
from .planes import mode_of_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray
    from PIL import Image

_CHANNELS = {"1": 1, "L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
"""Channels of the modes that others become without a change."""


def pictures_of(
    images: Iterable[Image.Image], prepared: Callable[[Image.Image], Image.Image]
) -> Iterator[tuple[Image.Image, Picture]]:
    """Yield all frames of images, loaded, and what is coded of each; images stay at their frame.

    Parameters
    ----------
    images : iterable of PIL.Image.Image
    prepared : callable
        Returns a frame as it is to be coded.
    """
    for image in images:
        position = image.tell()
        try:
            for frame in ImageSequence.Iterator(image):
                picture = as_picture(prepared(frame))
                yield frame, picture._replace(array=picture.array.copy())
        finally:
            image.seek(position)


def with_common_mode(pictures: list[Picture]) -> list[Picture]:
    """Return pictures of one mode and palette: as they are, or gray, RGB or RGBA.

    Raises
    ------
    OSError
        They differ in size, or their modes have none in common that keeps every colour.
    """
    sizes = {picture.array.shape[:2] for picture in pictures}
    modes = {picture.mode.name: picture.mode.pillow_mode for picture in pictures}
    first = pictures[0]
    alike = len(sizes) == 1 and len(modes) == 1
    if alike and all(picture.palette == first.palette for picture in pictures):
        return pictures
    if len(sizes) > 1 or not all(mode == "P" or mode in _CHANNELS for mode in modes.values()):
        raise OSError("cannot write frames of different sizes or modes into one SCF file")
    arrays = [_as_colours(picture) for picture in pictures]
    needed = {array.shape[2] for array in arrays}
    n_channels = max(needed)
    if n_channels == 3 and 2 in needed:
        n_channels = 4
    common = []
    for array in arrays:
        wide = _with_channels(array, n_channels)
        common.append(Picture(wide, mode_of_array(wide)))
    return common


def _as_colours(picture: Picture) -> NDArray[np.uint8]:
    """Return a picture's colours, (H, W, 1 to 4)."""
    if picture.palette is not None:
        return picture.palette.colours_of(picture.array)
    array = picture.array
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    return array if array.ndim == 3 else array[:, :, np.newaxis]


def _with_channels(array: NDArray[np.uint8], n_channels: int) -> NDArray[np.uint8]:
    """Return colours with more channels: gray thrice, alpha 255; one channel has no axis."""
    found = array.shape[2]
    if found != n_channels:
        colour, alpha = (array, None) if found in (1, 3) else (array[:, :, :-1], array[:, :, -1:])
        if n_channels > 2 and colour.shape[2] == 1:
            colour = np.repeat(colour, 3, axis=2)
        if n_channels in (2, 4):
            if alpha is None:
                alpha = np.full((*array.shape[:2], 1), 255, np.uint8)
            colour = np.concatenate([colour, alpha], axis=2)
        array = colour
    return np.ascontiguousarray(array[:, :, 0] if n_channels == 1 else array)
