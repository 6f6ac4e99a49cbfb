"""Training a codebook on a set of similar images: mine, choose, encode, recount, repeat.

Statistics are integer sums over the images in the order of their content's hash, so that the same
images give the same codebook ID whatever their order, and however many threads worked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from . import arithmetic, container, huffman, layers, mining, planes, residuals, shapes
from .codebook import KIND_NAMES, Codebook, KindBook, PlaneBook, kind_of, rounded_states
from .encoder import as_array, encode_many
from .kernels import entropy_kernels
from .kernels.bit_kernels import GAP_DIRECT
from .kernels.entropy_kernels import N_CONTEXTS
from .kernels.residual_kernels import GAP, MED, NO_PREDICTOR
from .reference_training import ReferenceOptions, train_reference_part
from .shapes import N_GAP_SYMBOLS, ShapeSet, shape_set

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .arithmetic import States
    from .container import Mode
    from .encoder import ImageLike
    from .layers import Layer
    from .planes import Plane
    from .reference_books import ReferencePart

Progress = Callable[[str, int, int], None]
_T = TypeVar("_T")
_R = TypeVar("_R")

TRAINER_VERSION = 1

FEWEST_TO_HOLD_OUT = 2
"""Sets of fewer images are not reported on."""

CELL_VALUES = (256, 384, 512, 768, 1024, 1536, 2048, 3072)
"""Worth of a covered cell, in 1/256 bit, that training tries."""

COUNT_CAPS = (4, 16, 60, 255)
"""Confidence in the trained states that training tries: small for sets that vary."""

MAX_ROUNDS = 6
SAMPLE_CELLS = 16_000_000
"""Trials look at images of about this many cells in all; the last count looks at every image."""


@dataclass(frozen=True)
class TrainingOptions:
    """What `train` may vary; part of the training record.

    Attributes
    ----------
    low_bits : int
        Bits of the low layer of gray and colour planes, 0..8.
    max_side : int
        Largest height and width of a shape; 0: 28 for sets of images up to 64 x 64, else 6.
    n_candidates : int
        Windows that are tried as shapes.
    max_shapes : int
        Shapes kept per plane, the single cells apart.
    min_uses : int
        Shapes placed less often in the last count are dropped.
    """

    low_bits: int = 4
    max_side: int = 0
    n_candidates: int = 30_000
    max_shapes: int = 8_000
    min_uses: int = 2

    def __post_init__(self) -> None:
        limits = {
            "low_bits": (0, 9),
            "max_side": (0, 255),
            "n_candidates": (0, 1 << 22),
            "max_shapes": (0, 1 << 22),
            "min_uses": (1, 1 << 62),
        }
        for name, (lowest, highest) in limits.items():
            if not lowest <= getattr(self, name) <= highest:
                raise ValueError(f"{name} is {getattr(self, name)}, expected {lowest}..{highest}")


def train(
    images: Iterable[ImageLike],
    *,
    name: str,
    workers: int = 1,
    holdout: float = 0.1,
    source: str = "",
    settings: str = "default",
    options: TrainingOptions | ReferenceOptions | None = None,
    progress: Progress | None = None,
) -> Codebook:
    """Train a codebook on images of one kind.

    Parameters
    ----------
    images : iterable of array_like or PIL.Image.Image
        As `encode` takes them. Each kind among them (bilevel, gray, RGB) gets a part of its own.
    name : str
        1 to 64 characters.
    workers : int
        Threads.
    holdout : float
        Share of the images, 0 to 0.5, that a first training leaves out to report on; the codebook
        itself is then trained on all. 0: no report.
    source : str
        Where the images come from, for the training record.
    settings : {"default", "reference"}
        "reference" trains for soft compression as its authors published it, for comparisons: files
        written with such a codebook have the coder of that name.
    options : TrainingOptions or, with the reference settings, ReferenceOptions, optional
    progress : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    Codebook
        Its ``record["report"]`` says what it reached on the images held out.

    Raises
    ------
    ValueError
        No images, or an option that cannot be.
    """
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise ValueError(f"codebook name {name!r}, expected 1 to 64 printable characters")
    if not 0 <= holdout <= 0.5:
        raise ValueError(f"holdout is {holdout}, expected 0 to 0.5")
    if settings not in ("default", "reference"):
        raise ValueError(f"settings is {settings!r}, expected 'default' or 'reference'")
    options = options or (TrainingOptions() if settings == "default" else ReferenceOptions())
    if isinstance(options, TrainingOptions) != (settings == "default"):
        raise TypeError(f"{type(options).__name__} does not belong to the {settings} settings")
    samples = sorted((_Sample.of(image) for image in images), key=lambda sample: sample.digest)
    if not samples:
        raise ValueError("no images to train on")
    with ThreadPoolExecutor(max(1, workers)) as pool:
        train_parts = partial(_train_parts, options, pool, max(1, workers), progress or _silent)
        record: dict[str, Any] = {
            "name": name,
            "images": len(samples),
            "source": source,
            "manifest": hashlib.sha256(b"".join(s.digest for s in samples)).hexdigest(),
            "modes": _mode_summary(samples),
            "trainer": TRAINER_VERSION,
            "options": vars(options),
        }
        if settings == "reference":
            record["settings"] = settings
        step = min(round(1 / holdout), len(samples)) if holdout else 0
        held_out = samples[step - 1 :: step] if step else []
        if held_out and len(samples) >= FEWEST_TO_HOLD_OUT:
            kept = [sample for i, sample in enumerate(samples) if (i + 1) % step]
            book = Codebook(record, *train_parts(kept, "held-out trial: "))
            record["report"] = _report(book, held_out, workers, progress or _silent)
        return Codebook(record, *train_parts(samples, ""))


def _train_parts(
    options: TrainingOptions | ReferenceOptions,
    pool: ThreadPoolExecutor,
    workers: int,
    progress: Progress,
    samples: list[_Sample],
    prefix: str,
) -> tuple[dict[int, KindBook], dict[int, ReferencePart]]:
    """Return the parts of a codebook: those of the default settings, or the reference ones."""
    if isinstance(options, TrainingOptions):
        return _Trainer(options, pool, workers, progress).parts(samples, prefix), {}
    reference = {}
    for kind in sorted({kind_of(sample.mode) for sample in samples}):
        reference[kind] = train_reference_part(
            [sample.array for sample in samples if kind_of(sample.mode) == kind],
            container.MODES[kind],
            options=options,
            pool=pool,
            workers=workers,
            progress=lambda stage, done, total: progress(prefix + stage, done, total),
        )
    return {}, reference


def _silent(stage: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class _Sample:
    """One training image; `digest` identifies its content."""

    array: NDArray[Any]
    mode: Mode
    digest: bytes

    @classmethod
    def of(cls, image: ImageLike) -> _Sample:
        array = as_array(image).copy()  # the caller may use its buffer again
        mode = planes.mode_of_array(array)
        head = f"{kind_of(mode)} {array.shape[0]} {array.shape[1]} ".encode()
        digest = hashlib.sha256(head + planes.canonical_samples(array, mode)).digest()
        return cls(array, mode, digest)


def _mode_summary(samples: Sequence[_Sample]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for sample in samples:
        entry = summary.setdefault(KIND_NAMES[kind_of(sample.mode)], {"images": 0})
        height, width = sample.array.shape[:2]
        low, high = entry.get("smallest", [height, width]), entry.get("largest", [0, 0])
        entry["images"] += 1
        entry["smallest"] = [min(low[0], height), min(low[1], width)]
        entry["largest"] = [max(high[0], height), max(high[1], width)]
    return summary


def _report(
    book: Codebook, held_out: list[_Sample], workers: int, progress: Progress
) -> dict[str, int]:
    progress("report on held-out images", 0, 2)
    arrays = [sample.array for sample in held_out]

    with_book = encode_many(arrays, threads=workers, codebook=book)
    progress("report on held-out images", 1, 2)
    without = encode_many(arrays, threads=workers, codebook=None)
    progress("report on held-out images", 2, 2)
    raw = (s.mode.raw_size(s.array.shape[1], s.array.shape[0]) for s in held_out)
    return {
        "images": len(held_out),
        "raw_bytes": sum(raw),
        "file_bytes": sum(map(len, with_book)),
        "file_bytes_without_codebook": sum(map(len, without)),
    }


class _Trainer:
    """Holds what all stages share: options, threads, progress."""

    def __init__(
        self,
        options: TrainingOptions,
        pool: ThreadPoolExecutor,
        workers: int,
        progress: Progress,
    ) -> None:
        self.options = options
        self.pool = pool
        self.workers = workers
        self.progress = progress
        self.prefix = ""

    def parts(self, samples: list[_Sample], prefix: str) -> dict[int, KindBook]:
        """Train a part for each kind of image."""
        self.prefix = prefix
        kinds = sorted({kind_of(sample.mode) for sample in samples})
        return {
            kind: self._part(kind, [s for s in samples if kind_of(s.mode) == kind])
            for kind in kinds
        }

    def _map(self, stage: str, function: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
        """Apply `function` to all items on the threads, in order, reporting progress."""
        results: list[_R] = []
        stage = self.prefix + stage
        size = max(1, min(256, len(items) // (4 * self.workers)))
        chunks = [items[start : start + size] for start in range(0, len(items), size)]
        for chunk in self.pool.map(lambda chunk: [function(item) for item in chunk], chunks):
            results += chunk
            self.progress(stage, len(results), len(items))
        return results

    def _part(self, kind: int, samples: list[_Sample]) -> KindBook:
        mode = container.MODES[kind]
        components = [planes.split_planes(sample.array, sample.mode) for sample in samples]
        transform = self._choose_transform(components, mode)
        ranges = planes.plane_ranges(mode, transform)
        label = f"{KIND_NAMES[kind]} plane" if mode.n_planes > 1 else KIND_NAMES[kind]
        transformed = [planes.transform_colours(planes_, transform) for planes_ in components]
        books = []
        for index, sample_range in enumerate(ranges):
            name = f"{label} {index + 1}/{mode.n_planes}" if mode.n_planes > 1 else label
            books.append(self._plane(name, [image[index] for image in transformed], sample_range))
        return KindBook(transform, tuple(books))

    def _choose_transform(self, components: list[list[Plane]], mode: Mode) -> int:
        """Return the colour transform with the smallest order-0 cost under MED."""
        if mode.n_planes != 3:
            return planes.NO_TRANSFORM
        trial = _spread(components, 3)
        costs = []
        for transform in planes.TRANSFORM_NAMES:
            ranges = planes.plane_ranges(mode, transform)
            coded = [planes.transform_colours(image, transform) for image in trial]
            costs.append(
                sum(
                    _zero_order_cost([image[i] for image in coded], MED, sample_range)
                    for i, sample_range in enumerate(ranges)
                )
            )
        return costs.index(min(costs))

    def _plane(self, name: str, images: list[Plane], sample_range: tuple[int, int]) -> PlaneBook:
        sample_bits = (sample_range[1] - sample_range[0]).bit_length()
        predictor = NO_PREDICTOR
        if sample_bits > 1:
            trial = _spread(images, 1)
            costs = [_zero_order_cost(trial, p, sample_range) for p in (MED, GAP)]
            predictor = MED if costs[0] <= costs[1] else GAP
        low_bits = max(0, sample_bits - 8)  # a shape's cell has 8 bits at most (SPEC 6.3)
        if sample_bits > 1:
            low_bits = min(max(low_bits, self.options.low_bits), sample_bits)
        mapped = self._map(
            f"{name}: predicting",
            lambda plane: residuals.map_residuals(plane, predictor, sample_range),
            images,
        )
        split = [layers.split_layers(image, low_bits) for image in mapped]
        high = [pair[1] for pair in split]
        largest = (sample_range[1] - sample_range[0]) >> low_bits
        shape_layer, cell_value = self._shapes(name, high, largest)
        if predictor == NO_PREDICTOR:  # without a shape layer a plane is always predicted
            mapped = [residuals.map_residuals(plane, MED, sample_range) for plane in images]
        whole = [layers.split_layers(image, sample_bits) for image in mapped]
        full_states = self._states(f"{name}: whole samples", whole, sample_bits, 1)
        low_states = full_states
        if low_bits != sample_bits:
            low_states = self._states(f"{name}: low layer", split, low_bits, N_CONTEXTS)
        return PlaneBook(
            sample_bits, predictor, low_bits, cell_value, shape_layer, low_states, full_states
        )

    def _states(
        self, stage: str, split: list[tuple[Layer, Layer]], low_bits: int, n_contexts: int
    ) -> States:
        """Count all images; choose how far to trust the counts by coding some images."""
        counts = np.zeros((n_contexts, 1 << low_bits, 2), np.int64)
        for low, high in split:
            entropy_kernels.count_low_layer(low, high, low_bits, counts)
        trial = _spread(split, 1)
        best: tuple[int, States] | None = None
        for cap in COUNT_CAPS:
            states = _states_of(counts, cap)
            coded = partial(_coded_bytes, low_bits=low_bits, states=states)
            cost = sum(self._map(stage, coded, trial))
            if best is None or cost < best[0]:
                best = (cost, states)
        assert best is not None
        return best[1]

    def _shapes(self, name: str, high: list[Layer], largest: int) -> tuple[ShapeSet, int]:
        """Mine windows, then encode, recount, reweight and prune until the total stops falling."""
        if largest == 0:
            gap_lengths = huffman.code_lengths([1] * N_GAP_SYMBOLS)
            return shape_set([], np.array([1], np.uint8), gap_lengths), 0
        side = self.options.max_side or (28 if max(max(h.shape) for h in high) <= 64 else 6)
        candidates = mining.mine_windows(
            high,
            side,
            self.options.n_candidates,
            self.pool,
            self.workers,
            lambda done, total: self.progress(f"{self.prefix}{name}: mining", done, total),
        )
        singles = [np.array([[value]], np.uint16) for value in range(1, largest + 1)]
        n_values = np.sum([np.bincount(h.ravel(), minlength=largest + 1)[1:] for h in high], axis=0)
        windows = singles + [window for _, window in candidates]
        counts = n_values.tolist()
        counts += [1 + count // int(np.count_nonzero(window)) for count, window in candidates]
        counts.append(len(high))
        trial = _spread(high, 1)
        gap_counts = np.ones(N_GAP_SYMBOLS, np.int64)
        best: tuple[int, ShapeSet, int] | None = None
        cell_value = 0
        for round_ in range(MAX_ROUNDS):
            book = shape_set(
                windows, huffman.code_lengths(counts), huffman.code_lengths(gap_counts.tolist())
            )
            stage = f"{name}: placing shapes, round {round_ + 1}"
            values = CELL_VALUES if round_ == 0 else _near(cell_value)
            total, cell_value = min(
                (self._placed(stage, trial, book, value)[0], value) for value in values
            )
            if best is not None and total >= best[0]:
                break
            if round_:  # the first book holds every candidate, used or not
                best = (total, book, cell_value)
            _, uses, gap_uses = self._placed(f"{stage}, all images", high, book, cell_value)
            windows, counts = self._kept(windows, uses, largest)
            gap_counts = gap_uses + 1
        assert best is not None
        return best[1], best[2]

    def _kept(
        self, windows: list[Layer], uses: NDArray[np.int64], n_singles: int
    ) -> tuple[list[Layer], list[int]]:
        """Keep the single cells and the shapes used most; ties go to the earlier shape."""
        larger = np.arange(n_singles, len(windows))
        larger = larger[uses[larger] >= self.options.min_uses]
        order = np.argsort(-uses[larger], kind="stable")[: self.options.max_shapes]
        kept = [*range(n_singles), *np.sort(larger[order]).tolist()]
        return [windows[i] for i in kept], [*(int(uses[i]) for i in kept), int(uses[-1])]

    def _placed(
        self, stage: str, high: list[Layer], book: ShapeSet, cell_value: int
    ) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
        """Return (bits of all placements, uses of each shape and the end mark, gap counts)."""

        def place(layer: Layer) -> tuple[int, NDArray[Any], NDArray[Any]]:
            placements = shapes.match_shapes(layer, book, cell_value)
            assert placements is not None  # every single cell is a shape
            n_bits, _ = shapes.placement_bits(placements, book)
            return n_bits, placements.placed, placements.gaps

        results = self._map(stage, place, high)
        uses = np.bincount(
            np.concatenate([placed for _, placed, _ in results]), minlength=len(book) + 1
        ).astype(np.int64)
        uses[-1] = len(high)
        gaps = np.concatenate([gaps for _, _, gaps in results])
        return sum(n_bits for n_bits, _, _ in results), uses, _gap_histogram(gaps)


def _near(cell_value: int) -> tuple[int, ...]:
    position = CELL_VALUES.index(cell_value)
    return CELL_VALUES[max(0, position - 1) : position + 2]


def _gap_histogram(gaps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the symbols of the trained gap code (SPEC 5.8)."""
    histogram = np.zeros(N_GAP_SYMBOLS, np.int64)
    histogram[:GAP_DIRECT] = np.bincount(gaps[gaps < GAP_DIRECT], minlength=GAP_DIRECT)
    for power in range(7, 32):
        inside = (gaps >= 1 << power) & (gaps < 1 << (power + 1))
        histogram[GAP_DIRECT + power - 7] = np.count_nonzero(inside)
    return histogram


def _spread(items: list[_T], n_planes: int) -> list[_T]:
    """Return evenly spread items of about `SAMPLE_CELLS` cells in all."""
    first = items[0]
    while isinstance(first, list | tuple):
        first = first[0]
    n_items = max(1, SAMPLE_CELLS // (first.size * n_planes))  # type: ignore[attr-defined]
    return items[:: -(-len(items) // n_items)]


def _states_of(counts: NDArray[np.int64], cap: int) -> States:
    """Return states of (n1 + 2/5) / (n + 4/5), in integers, trusted as at most `cap` samples."""
    n_zeros, n_ones = counts[..., 0], counts[..., 1]
    total = n_zeros + n_ones
    probability = ((5 * n_ones + 2) << 22) // (5 * total + 4)
    states = probability << 10 | np.minimum(total, cap)
    return rounded_states(states.astype(np.uint32))


def _coded_bytes(split: tuple[Layer, Layer], low_bits: int, states: States) -> int:
    low, high = split
    encoder = arithmetic.ArithmeticEncoder(arithmetic.worst_size(low.shape, low_bits))
    encoder.encode(low, high, low_bits, states)
    return len(encoder.finish())


def _zero_order_cost(images: Sequence[Plane], predictor: int, sample_range: tuple[int, int]) -> int:
    """Return the bytes of the mapped residuals under one adaptive order-0 model for each image."""
    low_bits = (sample_range[1] - sample_range[0]).bit_length()
    states = arithmetic.neutral_states(low_bits, 1)
    total = 0
    for plane in images:
        mapped = residuals.map_residuals(plane, predictor, sample_range)
        total += _coded_bytes((mapped, np.zeros_like(mapped)), low_bits, states)
    return total
