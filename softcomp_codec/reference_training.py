"""Training a part of a codebook as published: count windows, prune, weight (SPEC 5R).

All statistics are integer sums over the images, so neither their order nor the number of threads
changes the part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import huffman, mining, planes
from .kernels import covering_kernels, tile_kernels
from .reference_books import (
    ADAPTIVE,
    MODE_I,
    MODE_II,
    NO_TILES,
    SCHEMES,
    PlaneScheme,
    ReferencePart,
    ReferencePlane,
    kind_of_mode,
    reference_plane,
)
from .reference_coder import split_plane
from .shapes import hash_powers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from .container import Mode
    from .planes import Plane

    Layer = NDArray[np.uint16]
    Windows = dict[tuple[tuple[int, ...], bytes], int]
    """Counts of windows, by shape and cells."""

Progress = Callable[[str, int, int], None]

TINY_SIDE, TINY_WINDOW, WINDOW = 64, 28, 4
"""Windows have up to 28 x 28 cells in sets of images up to 64 x 64, else up to 4 x 4."""

DEGREES = {0: (1, 100), 1: (1, 10), 2: (1, 2)}
"""By kind of image: a window is kept if it occurs more often than this times the images."""

MAX_LARGER = {0: 1 << 16, 1: 1 << 16, 2: 3000}
"""Shapes of more than one cell that a plane keeps, by kind: published for colour, else ours."""

_LOG_BITS, _MANTISSA_BITS = 24, 64
"""Fractional bits of a logarithm, and of the number on the way to it."""

MAX_WINDOWS = 1 << 18
"""Windows of a class that are looked at one by one; this program's limit."""


@dataclass(frozen=True)
class ReferenceOptions:
    """What `train_reference_part` may vary.

    Attributes
    ----------
    max_side : int
        Largest height and width of a shape; 0: 28 for sets of gray and bilevel images up to
        64 x 64, else 4.
    scheme_id : int
        For colour images, 2 for mode i, 3 for mode ii; 0 chooses by entropy.
    """

    max_side: int = 0
    scheme_id: int = 0


def train_reference_part(
    arrays: Sequence[NDArray[Any]],
    mode: Mode,
    *,
    options: ReferenceOptions | None = None,
    groups: Sequence[int] | None = None,
    pool: Executor | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    report: dict[str, Any] | None = None,
) -> ReferencePart:
    """Train a part for the reference settings on images of one kind.

    Parameters
    ----------
    arrays : sequence of ndarray
        Samples of `mode`'s kind: bool, or uint8 with 1 or 3 planes.
    mode : Mode
        Any mode of that kind.
    options : ReferenceOptions, optional
    groups : sequence of int, optional
        The class of each image. Windows are then pruned class by class before the counts are added
        up, as the published merged codebooks are.
    pool : Executor, optional
        Threads, at least `workers`.
    workers : int
    progress : callable, optional
        Called with (stage, done, total).
    report : dict, optional
        Gets an entry for each plane, for the training record.

    Raises
    ------
    ValueError
        No images, an image of another kind, or another number of groups than images.
    """
    if not arrays:
        raise ValueError("no images to train on")
    if groups is not None and len(groups) != len(arrays):
        raise ValueError(f"{len(groups)} groups for {len(arrays)} images")
    options = options or ReferenceOptions()
    kind = kind_of_mode(mode)
    if kind is None:
        raise ValueError(f"the reference settings are not for {mode.name} images")
    if options.scheme_id and SCHEMES[options.scheme_id].kind != kind:
        raise ValueError(f"scheme {options.scheme_id} is not for {mode.name} images")
    if pool is None:
        with ThreadPoolExecutor(workers) as own_pool:
            trainer = _Trainer(kind, options, groups, own_pool, workers, progress, report)
            return trainer.part(arrays)
    return _Trainer(kind, options, groups, pool, workers, progress, report).part(arrays)


class _Trainer:
    """Holds what all planes share."""

    def __init__(
        self,
        kind: int,
        options: ReferenceOptions,
        groups: Sequence[int] | None,
        pool: Executor,
        workers: int,
        progress: Progress | None,
        report: dict[str, Any] | None,
    ) -> None:
        self.kind = kind
        self.options = options
        self.groups = groups
        self.pool = pool
        self.workers = workers
        self.progress = progress or (lambda stage, done, total: None)
        self.report = {} if report is None else report

    def part(self, arrays: Sequence[NDArray[Any]]) -> ReferencePart:
        components = []
        for array in arrays:
            mode = planes.mode_of_array(array)
            if kind_of_mode(mode) != self.kind:
                raise ValueError(f"a {mode.name} image among {SCHEMES[self.kind].mode.name} ones")
            image = planes.split_planes(array, mode)
            components.append(
                planes.transform_colours(image, planes.RCT) if len(image) == 3 else image
            )
        scheme_id = self.options.scheme_id or self.kind
        if self.kind == 2 and not self.options.scheme_id:
            scheme_id = choose_mode(components)
        scheme = SCHEMES[scheme_id]
        trained = [
            self._plane(
                mining.plane_label(scheme.name, index, len(scheme.planes)),
                [image[index] for image in components],
                plane_scheme,
            )
            for index, plane_scheme in enumerate(scheme.planes)
        ]
        return ReferencePart(scheme_id, tuple(trained))

    def _plane(self, name: str, images: list[Plane], scheme: PlaneScheme) -> ReferencePlane:
        self.progress(f"{name}: predicting", 0, 1)
        split = list(self.pool.map(lambda plane: split_plane(plane, scheme), images))
        self.progress(f"{name}: predicting", 1, 1)
        windows, counts = self._shapes(name, [high for _, high in split], scheme)
        self.report[name] = {"most_used": mining.most_used(counts)}
        code_lengths = huffman.code_lengths(counts)
        tiles, samples = count_low_layer((low for low, _ in split), scheme)
        if scheme.tile_code == NO_TILES:
            return reference_plane(windows, code_lengths, samples.astype(np.uint8), tiles)
        np.maximum(tiles, 1, out=tiles)
        if scheme.tile_code == ADAPTIVE:  # the count over the mean count, rounded up
            tiles = -(-tiles * len(tiles) // tiles.sum())
        else:
            tiles = huffman.code_lengths(tiles.tolist()).astype(np.int64)
        return reference_plane(windows, code_lengths, huffman.code_lengths(samples.tolist()), tiles)

    def _shapes(
        self, name: str, high: list[Layer], scheme: PlaneScheme
    ) -> tuple[list[Layer], list[int]]:
        """Return windows in the order of covering, and their counts."""
        found: Windows = {}
        for number, members in enumerate(self._members(high)):
            stage = f"{name}: mining, class {number + 1}" if self.groups else f"{name}: mining"
            for key, count in self._mine(stage, members).items():
                found[key] = found.get(key, 0) + count
        if self.kind == 1:
            found = without_contained(found)
        larger = sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))
        larger = larger[: MAX_LARGER[self.kind]]
        values = _count_values(high, scheme)
        entries = [
            (np.array([[value]], np.uint16), max(1, int(values[value])))
            for value in range(1, scheme.largest + 1)
        ]
        entries += [(_window(key), count) for key, count in larger]
        entries.sort(key=lambda entry: (-np.count_nonzero(entry[0]), -entry[1]))  # stable
        return [window for window, _ in entries], [count for _, count in entries]

    def _members(self, high: list[Layer]) -> Iterable[list[Layer]]:
        if self.groups is None:
            return [high]
        return [
            [layer for layer, other in zip(high, self.groups, strict=True) if other == group]
            for group in sorted(set(self.groups))
        ]

    def _mine(self, stage: str, high: list[Layer]) -> Windows:
        """Count the windows of more than one cell that are frequent enough (SPEC 5R)."""
        numerator, denominator = DEGREES[self.kind]
        tiny = self.kind != 2 and max(max(layer.shape) for layer in high) <= TINY_SIDE
        counts, examples = mining.count_windows(
            high,
            self.options.max_side or (TINY_WINDOW if tiny else WINDOW),
            max(2, len(high) * numerator // denominator + 1),
            self.pool,
            self.workers,
            lambda done, total: self.progress(stage, done, total),
        )
        if len(counts) > MAX_WINDOWS:  # drop the rarest, all of one count
            enough = counts > np.partition(counts, -MAX_WINDOWS)[-MAX_WINDOWS]
            counts, examples = counts[enough], examples[enough]
        windows = {}
        for count, (image, row, column, height, width) in zip(
            counts.tolist(), examples.tolist(), strict=True
        ):
            window = high[image][row : row + height, column : column + width]
            if self.kind != 2 or window[0, 0]:
                windows[window.shape, window.tobytes()] = count
        return windows


def count_low_layer(
    low_layers: Iterable[Layer], scheme: PlaneScheme
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how often each tile occurs among the complete ones, and each sample anywhere."""
    tiles: NDArray[np.int64] = np.zeros(scheme.n_tiles, np.int64)
    samples: NDArray[np.int64] = np.zeros(scheme.n_samples, np.int64)
    if scheme.tile_code != NO_TILES:
        for low in low_layers:
            tile_kernels.count_tiles(
                low, scheme.low_bits, scheme.tile_height, scheme.tile_width, tiles, samples
            )
    return tiles, samples


def _count_values(high_layers: Iterable[Layer], scheme: PlaneScheme) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = np.zeros(scheme.largest + 1, np.int64)
    for high in high_layers:
        counts += np.bincount(high.ravel(), minlength=scheme.largest + 1)
    return counts


def log2_fixed(number: int) -> int:
    """Return 2**24 log2(number), rounded down, of a whole number >= 1; integers alone."""
    exponent = number.bit_length() - 1
    mantissa = (number << _MANTISSA_BITS) >> exponent  # 1 to 2
    result = exponent
    for _ in range(_LOG_BITS):
        mantissa = mantissa * mantissa >> _MANTISSA_BITS
        above = mantissa >> (_MANTISSA_BITS + 1)
        result = result << 1 | above
        mantissa >>= above
    return result


def _entropy_bits(counts: NDArray[np.int64]) -> int:
    """Return n log2(total / n), summed, in 2**-24 bits."""
    total = int(counts.sum())
    return sum(n * (log2_fixed(total) - log2_fixed(n)) for n in counts.tolist() if n)


def choose_mode(images: Sequence[Sequence[Plane]]) -> int:
    """Return the mode of a set of colour images, by entropy; i where they are equal (SPEC 5R.1).

    Parameters
    ----------
    images : sequence of sequence of ndarray, int32, shape (H, W)
        The three planes of each image after the colour transform. Compared are the order-0
        entropies, over all images, of what each mode codes: tiles and high layers.
    """
    n_bits = {}
    for scheme_id in (MODE_I, MODE_II):
        n_bits[scheme_id] = 0
        for index, scheme in enumerate(SCHEMES[scheme_id].planes):
            split = [split_plane(image[index], scheme) for image in images]
            tiles, _ = count_low_layer((low for low, _ in split), scheme)
            cells = _count_values((high for _, high in split), scheme)
            n_bits[scheme_id] += _entropy_bits(tiles) + _entropy_bits(cells)
    return MODE_II if n_bits[MODE_II] < n_bits[MODE_I] else MODE_I


def without_contained(windows: Windows) -> Windows:
    """Drop each window that another one of the same count contains (published for gray images)."""
    if not windows:
        return windows
    keys = sorted(windows)
    none = np.zeros(0, np.uint8)
    plane = reference_plane([_window(key) for key in keys], none, none, none.astype(np.int64))
    counts = np.array([windows[key] for key in keys], np.int64)
    _, inverse, sizes = np.unique(counts, return_inverse=True, return_counts=True)
    contained = np.zeros(len(keys), np.bool_)
    _, table, shape_ids = plane.matcher
    covering_kernels.mark_contained(
        plane.heights, plane.widths, plane.offsets, plane.cells, counts, sizes[inverse] > 1,
        table, shape_ids, hash_powers(1, 1), contained,
    )  # fmt: skip
    return {
        key: windows[key] for key, drop in zip(keys, contained.tolist(), strict=True) if not drop
    }


def _window(key: tuple[tuple[int, ...], bytes]) -> Layer:
    return np.frombuffer(key[1], np.uint16).reshape(key[0])
