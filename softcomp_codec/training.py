"""Training a codebook on a set of similar images: mine, choose, encode, recount, repeat.

Statistics are integer sums over the images in the order of their content's hash, so that the same
images give the same codebook ID whatever their order, and however many threads worked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict

from . import container, planes
from .bilevel_training import train_bilevel_priors
from .codebook import KIND_NAMES, Codebook, KindBook, kind_of
from .coders import TINY_PIXELS
from .coefficient_training import train_coefficient_priors, without_served
from .context_training import train_priors
from .encoder import as_picture, encode_many
from .few_colour_training import train_few_colour_prior
from .kernels.residual_kernels import MED
from .mining import plane_label
from .plane_training import SAMPLE_CELLS, PlaneTrainer, spread_step, untrained_bytes
from .reference_training import ReferenceOptions, train_reference_part
from .sample_choice import coded_picture, map_without_copies
from .sample_map import SampleMap
from .tiny_coder import serves
from .tiny_training import makes_superfluous, train_tiny_priors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .bilevel_prior import BilevelPrior
    from .coders import Picture
    from .coefficient_prior import CoefficientPrior
    from .coefficient_training import Known
    from .container import Mode
    from .context_prior import ContextPrior, Key
    from .encoder import ImageLike
    from .few_colour_prior import FewColourPrior
    from .palettes import Palette
    from .planes import Plane
    from .reference_books import ReferencePart
    from .tiny_prior import TinyKey, TinyPrior

    Reports = dict[str, dict[str, dict[str, Any]]]

Progress = Callable[[str, int, int], None]


class Parts(TypedDict, total=False):
    """What training makes of a codebook: arguments of `Codebook` beside the record."""

    parts: dict[int, KindBook]
    reference: dict[int, ReferencePart]
    priors: dict[Key, ContextPrior]
    bilevel_priors: dict[tuple[int, int], BilevelPrior]
    tiny: dict[TinyKey, TinyPrior]
    few_colour: FewColourPrior | None
    jpeg_pasts: dict[int, CoefficientPrior]


TRAINER_VERSION = 6

FEWEST_TO_HOLD_OUT = 2
"""Sets of fewer images are not reported on."""


@dataclass(frozen=True)
class TrainingOptions:
    """What `train` may vary; part of the training record.

    Attributes
    ----------
    low_bits : int or None
        Bits of the low layer of gray and colour planes, 0..9; None: what costs least, for each
        plane, which may be all of them, without shapes.
    max_side : int
        Largest height and width of a shape; 0: 28 for sets of images up to 64 x 64, else 6.
    n_candidates : int
        Windows that are tried as shapes.
    max_shapes : int
        Shapes kept per plane, the single cells apart.
    min_uses : int
        Shapes placed less often in the last count are dropped.
    use_indicator : bool
        Whether planes for which shapes do not pay go without them; False: 4 low bits, always
        shapes. Without effect where `low_bits` is given.
    train_shapes : bool
        Whether bilevel, gray and RGB images teach the shapes coder. Images above 16,384 pixels do
        not use it unless it is asked for.
    train_priors : bool
        Whether images also teach the context coder or, bilevel ones, the bilevel coder, and many
        gray ones of one size up to 64 x 64 the tiny coder, and those that were JPEGs once the coder
        of such; without it, images of modes that the
        shapes coder does not know cannot be trained on.
    """

    low_bits: int | None = None
    max_side: int = 0
    n_candidates: int = 30_000
    max_shapes: int = 8_000
    min_uses: int = 2
    use_indicator: bool = True
    train_shapes: bool = True
    train_priors: bool = True

    def __post_init__(self) -> None:
        limits = {
            "low_bits": (0, 9),
            "max_side": (0, 255),
            "n_candidates": (0, 1 << 22),
            "max_shapes": (0, 1 << 22),
            "min_uses": (1, 1 << 62),
        }
        for name, (lowest, highest) in limits.items():
            value = getattr(self, name)
            if value is None and name == "low_bits":
                continue
            if not lowest <= value <= highest:
                raise ValueError(f"{name} is {value}, expected {lowest}..{highest}")


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
    """Train a codebook on similar images.

    Parameters
    ----------
    images : iterable of array_like or PIL.Image.Image
        As `encode` takes them. Each kind among them gets a part of its own; modes that only the
        context coder knows (16 bits, alpha) need two images or more.
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
        No images, images from which nothing is learned, or an option that cannot be.
    TypeError
        Images of samples that codebooks are not for.
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
    with_priors = isinstance(options, TrainingOptions) and options.train_priors
    samples = sorted(
        (_Sample.of(image, any_mode=with_priors) for image in images),
        key=lambda sample: sample.digest,
    )
    if not samples:
        raise ValueError("no images to train on")
    known: Known = {}
    trial: tuple[Parts, Reports] | None = None
    with ThreadPoolExecutor(max(1, workers)) as pool:
        train_parts = partial(
            _train_parts, options, pool, max(1, workers), progress or _silent, known=known
        )
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
            small = [s.mode.kind for s in held_out if s.n_pixels <= TINY_PIXELS]
            tiny = [kind for kind in small if kind is not None]
            trial = train_parts(kept, "held-out trial: ", kinds_of_shapes=tiny)
            record["report"] = _report(
                Codebook(record, **trial[0]), held_out, workers, progress or _silent
            )
        parts, reports = train_parts(samples, "", trial=trial)
        record |= {name: report for name, report in reports.items() if report}
        if not any(parts.values()):
            raise ValueError(
                "these images teach nothing that makes others smaller: there would be nothing in "
                "the codebook"
            )
        return Codebook(record, **parts)


def _train_parts(
    options: TrainingOptions | ReferenceOptions,
    pool: ThreadPoolExecutor,
    workers: int,
    progress: Progress,
    samples: list[_Sample],
    prefix: str,
    *,
    known: Known,
    kinds_of_shapes: Container[int | None] | None = None,
    trial: tuple[Parts, Reports] | None = None,
) -> tuple[Parts, Reports]:
    """Return (default parts, reference parts, priors), and what was measured, for the record.

    `known`: JPEG pasts found. `kinds_of_shapes`: of images that are to have shapes, None of all.
    `trial`: what most of the images gave; large priors get the parts that paid there.
    """

    def report(stage: str, done: int, total: int) -> None:
        progress(prefix + stage, done, total)

    if isinstance(options, TrainingOptions):
        trainer = _Trainer(options, pool, workers, report)
        parts = {}
        if options.train_shapes:
            kinds = KIND_NAMES if kinds_of_shapes is None else kinds_of_shapes
            parts = trainer.parts([sample for sample in samples if sample.mode.kind in kinds])
        measured: dict[str, dict[str, Any]] = {}
        measured_tiny: dict[str, dict[str, Any]] = {}
        priors: dict[Key, ContextPrior] = {}
        bilevel_priors: dict[tuple[int, int], BilevelPrior] = {}
        tiny: dict[TinyKey, TinyPrior] = {}
        few_colour: FewColourPrior | None = None
        jpeg_pasts: dict[int, CoefficientPrior] = {}
        if options.train_priors:
            images = [(s.array, s.mode) for s in samples if s.palette is None]
            tiny = train_tiny_priors(
                images, pool=pool, workers=workers, progress=report, report=measured_tiny
            )
            few_colour = train_few_colour_prior(
                [sample.whole[:3] for sample in samples],  # colours go together in all of a set
                pool=pool, progress=report, report=measured,
            )  # fmt: skip
            if len(tiny) == 1 and all(makes_superfluous(each) for each in measured_tiny.values()):
                # images of this size alone: those of other sizes hardly come
                (size,) = tiny
                images = [(a, mode) for a, mode in images if not _is_tiny(a, mode, size)]
            jpeg_pasts = train_coefficient_priors(
                images, pool=pool, progress=report, report=measured, known=known,
                trial=trial and (trial[0]["jpeg_pasts"], trial[1]["priors"]),
            )  # fmt: skip
            priors = train_priors(
                without_served(images, measured), pool=pool, workers=workers, progress=report,
                report=measured, trial=trial and (trial[0]["priors"], trial[1]["priors"]),
            )  # fmt: skip
            bilevel_priors = train_bilevel_priors(
                images, pool=pool, workers=workers, progress=report, report=measured
            )
        found = {"planes": trainer.report, "priors": measured, "tiny": measured_tiny}
        made: Parts = {
            "parts": parts, "priors": priors, "bilevel_priors": bilevel_priors, "tiny": tiny,
            "few_colour": few_colour, "jpeg_pasts": jpeg_pasts,
        }  # fmt: skip
        return made, found
    reference = {}
    planes_report: dict[str, dict[str, Any]] = {}
    for kind in sorted({kind_of(sample.mode) for sample in samples}):
        reference[kind] = train_reference_part(
            [sample.array for sample in samples if kind_of(sample.mode) == kind],
            container.MODES[kind],
            options=options,
            pool=pool,
            workers=workers,
            progress=report,
            report=planes_report,
        )
    return {"parts": {}, "reference": reference}, {"planes": planes_report}


def _is_tiny(array: NDArray[Any], mode: Mode, size: TinyKey) -> bool:
    return serves(mode, *array.shape[:2]) and array.shape[:2] == size


def _silent(stage: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class _Sample:
    """One training image; `digest` identifies its content.

    Components that are constant or copies of others are not coded, and left out of `array`, except
    where only shapes are learnt; `whole` has them.
    """

    array: NDArray[Any]
    mode: Mode
    digest: bytes
    whole: Picture
    palette: Palette | None = None

    @property
    def n_pixels(self) -> int:
        return int(self.array.shape[0] * self.array.shape[1])

    @classmethod
    def of(cls, image: ImageLike, *, any_mode: bool) -> _Sample:
        shown = as_picture(image)
        whole = coded_picture(shown, SampleMap.natural(shown.mode))
        coded = coded_picture(shown, map_without_copies(shown)) if any_mode else whole
        array, mode, palette = coded[:3]
        if mode.identifier not in container.MODES:
            raise TypeError(
                f"cannot train on {shown.mode.name} images: codebooks are for samples of 1, 8 or "
                "16 bits and up to four components"
            )
        array = array.copy()  # the caller may use its buffer again
        alike = whole.array.shape == array.shape
        whole = whole._replace(array=array if alike else whole.array.copy())
        if mode.kind is None and not any_mode:
            raise ValueError(
                f"cannot train on {mode.name} images without priors: shapes are for "
                f"{', '.join(KIND_NAMES.values())} images"
            )
        kind = _family_of(mode) if mode.kind is None else mode.kind
        head = f"{kind} {array.shape[0]} {array.shape[1]} ".encode()
        colours = b"" if palette is None else palette.description()
        digest = hashlib.sha256(head + planes.canonical_samples(array, mode) + colours).digest()
        return cls(array, mode, digest, whole, palette)

    def image(self) -> ImageLike:
        """Return it as `encode` takes it."""
        return self.array if self.palette is None else self.palette.image(self.array)


def _family_of(mode: Mode) -> str:
    """Return the name of the simplest mode of the same samples."""
    return mode.name.split(",", maxsplit=1)[0]


def _mode_summary(samples: Sequence[_Sample]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for sample in samples:
        entry = summary.setdefault(_family_of(sample.mode), {"images": 0})
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
    arrays = [sample.image() for sample in held_out]
    with_book = encode_many(arrays, threads=workers, codebook=book)
    progress("report on held-out images", 1, 2)
    without = encode_many(arrays, threads=workers, codebook=None)
    progress("report on held-out images", 2, 2)
    return {
        "images": len(held_out),
        "raw_bytes": sum(sample.whole.raw_size for sample in held_out),
        "file_bytes": sum(map(len, with_book)),
        "file_bytes_without_codebook": sum(map(len, without)),
    }


class _Trainer:
    """Trains the parts of a codebook; what each stage found stays in `report`."""

    def __init__(
        self,
        options: TrainingOptions,
        pool: ThreadPoolExecutor,
        workers: int,
        progress: Progress,
    ) -> None:
        self._planes = PlaneTrainer(options, pool, workers, progress)
        self.report = self._planes.report

    def parts(self, samples: list[_Sample]) -> dict[int, KindBook]:
        """Train a part for each kind of image."""
        kinds = sorted({kind_of(sample.mode) for sample in samples})
        return {
            kind: self._part(kind, [s for s in samples if kind_of(s.mode) == kind])
            for kind in kinds
        }

    def _part(self, kind: int, samples: list[_Sample]) -> KindBook:
        mode = container.MODES[kind]
        components = [planes.split_planes(sample.array, sample.mode) for sample in samples]
        transform = self._choose_transform(components, mode)
        ranges = planes.plane_ranges(mode, transform)
        transformed = [planes.transform_colours(planes_, transform) for planes_ in components]
        books = []
        for index, sample_range in enumerate(ranges):
            name = plane_label(KIND_NAMES[kind], index, mode.n_planes)
            books.append(
                self._planes.plane(name, [image[index] for image in transformed], sample_range)
            )
        return KindBook(transform, tuple(books))

    def _choose_transform(self, components: list[list[Plane]], mode: Mode) -> int:
        """Return the colour transform with the smallest order-0 cost under MED."""
        if mode.n_planes != 3:
            return planes.NO_TRANSFORM
        trial = components[:: spread_step([image[0] for image in components], SAMPLE_CELLS // 3)]
        pool = self._planes.pool
        costs = []
        for transform in planes.SHAPES_TRANSFORMS:
            ranges = planes.plane_ranges(mode, transform)
            coded = [planes.transform_colours(image, transform) for image in trial]
            costs.append(
                sum(
                    untrained_bytes([image[i] for image in coded], MED, sample_range, pool)
                    for i, sample_range in enumerate(ranges)
                )
            )
        return costs.index(min(costs))
