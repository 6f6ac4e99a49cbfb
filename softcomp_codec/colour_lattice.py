"""Decoded JPEGs: pixels as the YCbCr triples that libjpeg converted them from (SPEC 5.2.1).

Only about a quarter of all colours come out of that conversion. An image whose pixels all do was a
JPEG once, and its triples take fewer bits than its pixels.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .errors import CorruptStreamError
from .kernels import lattice_kernels, status
from .worker_threads import n_threads_for, on_wavefront

if TYPE_CHECKING:
    from .planes import Plane

Table = NDArray[np.int64]

# Red, green and blue of the pixel minus those of its triple. No colour needs another difference.
CORRECTIONS = (
    (0, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (1, 0, 0), (-1, 0, 0), (0, 0, -1), (1, 0, -1),
)  # fmt: skip
N_SHARE_SAMPLES = 4096

_PARTS, _PARTED_PIXELS = 8, 1 << 17
"""Larger images are split in so many parts down and across, on threads."""


@cache
def conversion() -> Table:
    """Return what Cr adds to red, Cb to blue, and in 65536ths Cr and Cb to green."""
    chroma = np.arange(-128, 128, dtype=np.int64)
    rows = [
        (91881 * chroma + 32768) >> 16,
        (116130 * chroma + 32768) >> 16,
        -46802 * chroma,
        -22554 * chroma + 32768,
    ]
    return np.stack(rows)


@cache
def first_chroma() -> Table:
    """Return the first Cr (Cb) that adds at least -255..256 to red (blue), 256 where none does."""
    offsets = np.arange(lattice_kernels.LOWEST_OFFSET, 257, dtype=np.int64)
    rows = [
        np.searchsorted(conversion()[lattice_kernels.RED_OF_CR], offsets),
        np.searchsorted(conversion()[lattice_kernels.BLUE_OF_CB], offsets),
    ]
    return np.stack(rows).astype(np.int64)


@cache
def _differences() -> Table:
    return np.array(CORRECTIONS, np.int64)


@cache
def _correction_codes() -> Table:
    """Return the number of each difference at 9 red + 3 green + blue + 13, 99 where it has none."""
    codes = np.full(27, 99, np.int64)
    codes[_differences() @ np.array([9, 3, 1]) + 13] = np.arange(len(CORRECTIONS))
    return codes


def _check_pixels(red: Plane, green: Plane, blue: Plane) -> None:
    """Raise ``ValueError`` unless these are three planes of one shape with samples 0..255."""
    if not red.shape == green.shape == blue.shape or red.ndim != 2:
        raise ValueError(f"planes of shapes {red.shape}, {green.shape} and {blue.shape}")
    for plane in (red, green, blue):
        if plane.size and (plane.min() < 0 or plane.max() > 255):
            raise ValueError(f"samples {plane.min()}..{plane.max()}, expected 0..255")


def split_lattice(
    red: Plane, green: Plane, blue: Plane
) -> tuple[tuple[Plane, Plane, Plane], Plane]:
    """Return ((Y, Cb, Cr), corrections) of an image; inverse of `merge_lattice`.

    Parameters
    ----------
    red, green, blue : ndarray, int32, shape (H, W), values 0..255

    Returns
    -------
    planes : tuple of ndarray, int32, shape (H, W), values 0..255
    corrections : ndarray, int32, shape (H, W)
        0 where the triple gives the pixel, else the number of the difference in
        `CORRECTIONS`.
    """
    _check_pixels(red, green, blue)
    y, cb, cr, corrections = (np.empty(red.shape, np.int32) for _ in range(4))
    n_parts = _PARTS if y.size >= _PARTED_PIXELS and n_threads_for(_PARTS) > 1 else 1
    rows = np.linspace(0, red.shape[0], n_parts + 1).astype(np.int64)
    columns = np.linspace(0, red.shape[1], n_parts + 1).astype(np.int64)

    def split(i: int, j: int) -> None:
        lattice_kernels.split_pixels(
            red, green, blue, conversion(), first_chroma(), _correction_codes(),
            np.array([*rows[i : i + 2], *columns[j : j + 2]]), y, cb, cr, corrections,
        )  # fmt: skip

    on_wavefront(split, n_parts, n_parts)
    return (y, cb, cr), corrections


def merge_lattice(y: Plane, cb: Plane, cr: Plane, corrections: Plane) -> tuple[Plane, Plane, Plane]:
    """Return (red, green, blue) of triples and corrections; inverse of `split_lattice`.

    Raises
    ------
    CorruptStreamError
        A sample, correction or restored component is outside its range.
    """
    if not y.shape == cb.shape == cr.shape == corrections.shape or y.ndim != 2:
        raise ValueError(
            f"planes of shapes {y.shape}, {cb.shape}, {cr.shape} and {corrections.shape}"
        )
    red, green, blue = (np.empty(y.shape, np.int32) for _ in range(3))
    given = [np.ascontiguousarray(plane) for plane in (y, cb, cr, corrections)]
    code, position = lattice_kernels.merge_pixels(
        *given, conversion(), _differences(), red, green, blue
    )
    if code != status.OK:
        row, column = divmod(int(position), y.shape[1])
        triple = ", ".join(str(plane[row, column]) for plane in (y, cb, cr))
        raise CorruptStreamError(
            f"row {row}, column {column}: YCbCr {triple} with correction "
            f"{corrections[row, column]} gives no pixel; expected 0..255, corrections up to "
            f"{len(CORRECTIONS) - 1} and components 0..255"
        )
    return red, green, blue


def lattice_share(red: Plane, green: Plane, blue: Plane) -> tuple[int, int]:
    """Return (exact, tested): how many pixels of a regular sample a triple gives exactly.

    About a quarter of the tested in an image without a JPEG past, and all in a decoded JPEG.
    Pixels that tell nothing (gray, or with a component 0 or 255) are not tested, so that `tested`
    lies between 0 and somewhat more than `N_SHARE_SAMPLES`.
    """
    if not red.shape == green.shape == blue.shape or red.ndim != 2:
        raise ValueError(f"planes of shapes {red.shape}, {green.shape} and {blue.shape}")
    n_exact, n_tested = lattice_kernels.count_exact(
        red, green, blue, N_SHARE_SAMPLES, conversion(), first_chroma()
    )
    return int(n_exact), int(n_tested)
