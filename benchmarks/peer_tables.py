"""Compare `.scf` with other lossless formats on the shared sets, and with each set's target.

    python benchmarks/peer_tables.py --data DIR [--sets kodak,ph2,...] [--train] [--images N]
                                     [--effort N ...] [--repeat N] [-j N] [--out DIR]

Totals of real files over the test images of each set, every decoded image compared: `.scf` at some
efforts with no codebook, with the bundled ones ("auto") and, with ``--train``, with one trained on
the set's training images, beside PNG, WebP, JPEG-LS, JPEG 2000 and JPEG XL. Kodak has no training
images: codebooks are trained on one half and tested on the other, both ways round. The codecs take
turns on each image. A mosaic of Kodak images, of two megapixels, shows the speeds on one thread
and on two. Writes Markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray
from provenance import describe_machine

import softcomp_codec
from softcomp_codec import comparison
from softcomp_codec.cli.bench import heading, markdown_table, refusals
from softcomp_codec.comparison import Group
from softcomp_codec.peers import missing_peers
from softcomp_codec.planes import mode_of_array

Array = NDArray[Any]

TARGETS = {
    "kodak": 0.935,
    "ph2": 0.90,
    "drive": 0.77,
    "em-membrane": 0.982,
    "ct16": 0.967,
    "cells-gray": 0.957,
    "cells-rgb": 0.957,
    "ultrasound": 0.95,
}
"""What the default effort shall reach on each set: its bytes by those of `YARDSTICK`."""

DEFAULT_EFFORT = 5

YARDSTICK = "JPEG XL, effort 9"
TRAINED = "SCF, effort {}, trained"
EFFORTS = (1, 5, 9)
MOSAIC = (1024, 2048)
"""Height and width of the large image: two megapixels, several tiles."""


@dataclass(frozen=True)
class Fold:
    """Images to test on, and what to train on for them."""

    train: list[Array]
    test: list[Array]


@dataclass
class SetResult:
    """What came of a set."""

    name: str
    group: Group
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Verdict:
    """How a set stands to its target; `found` is None where that could not be compared."""

    name: str
    codec: str
    target: float
    found: float | None

    @property
    def text(self) -> str:
        """Reached, or missed by how much."""
        if self.found is None:
            return "not compared"
        distance = f"{100 * abs(self.found / self.target - 1):.1f} %"
        return (
            f"reached, {distance} below" if self.found <= self.target else f"missed by {distance}"
        )


def folds_of(name: str, data: Path, n_images: int | None) -> list[Fold]:
    """Return the training and test images of a set; of Kodak's two halves, each way round."""
    if name == "kodak":
        images = datasets.pictures(data / name)
        halves = images[::2], images[1::2]
        return [Fold(halves[0], halves[1][:n_images]), Fold(halves[1], halves[0][:n_images])]
    train, test = (datasets.pictures(data / name / part) for part in ("train", "test"))
    return [Fold(train, test[:n_images])]


def measure_set(name: str, folds: Sequence[Fold], arguments: argparse.Namespace) -> SetResult:
    """Compare all codecs on a set."""
    remarks: list[str] = []
    groups = []
    for number, fold in enumerate(folds, 1):
        contenders = [
            comparison.scf(effort, choice)
            for choice in ("none", "auto")
            for effort in arguments.effort
        ]
        if arguments.train:
            title = name if len(folds) == 1 else f"{name}, half {number}"
            contenders += _trained(title, fold.train, arguments, remarks)
        found = comparison.compare(
            fold.test, contenders, repeats=arguments.repeat, progress=_progress(name)
        )
        groups.append(found[-1])
    group = groups[0] if len(groups) == 1 else comparison.together(name, groups)
    group.name = f"{name}, {mode_of_array(folds[0].test[0]).name}"
    return SetResult(name, group, remarks)


def _trained(
    title: str, images: Sequence[Array], arguments: argparse.Namespace, remarks: list[str]
) -> list[comparison.Contender]:
    """Return `.scf` with a codebook of these images; none where there is no training for them."""
    start = time.monotonic()
    try:
        book = softcomp_codec.train(images, name=title, workers=arguments.j, holdout=0)
    except (ValueError, TypeError, softcomp_codec.ScfError) as error:
        remarks.append(f"no codebook trained: {error}")
        return []
    seconds = time.monotonic() - start
    remarks.append(
        f"codebook {title}: trained on {len(images)} images in {seconds:.0f} s, "
        f"{len(book.to_bytes()):,} bytes, which are not counted"
    )
    _tell(remarks[-1])
    found = [comparison.scf(effort, book) for effort in arguments.effort]
    return [
        comparison.Contender(TRAINED.format(effort), each.encode, each.decode)
        for effort, each in zip(arguments.effort, found, strict=True)
    ]


def verdict(result: SetResult, effort: int) -> Verdict:
    """Return how a set stands to its target at an effort, with its codebook if there is."""
    names = (TRAINED.format(effort), f"SCF, effort {effort}")
    ours = next(each for name in names if (each := result.group.outcome(name)) is not None)
    theirs = result.group.outcome(YARDSTICK)
    found = None
    if theirs is not None and not theirs.refusal and not ours.refusal:
        found = ours.total_bytes / theirs.total_bytes
    return Verdict(result.name, ours.name, TARGETS[result.name], found)


def mosaic(images: Sequence[Array], height: int, width: int) -> Array:
    """Return one image of the size, tiled with others of any sizes, each cut to the smallest."""
    upright = [image if image.shape[0] <= image.shape[1] else np.rot90(image) for image in images]
    rows = min(image.shape[0] for image in upright)
    columns = min(image.shape[1] for image in upright)
    across, down = -(-width // columns), -(-height // rows)
    cut = [image[:rows, :columns] for image in upright]
    lines = [
        np.concatenate([cut[(line * across + place) % len(cut)] for place in range(across)], axis=1)
        for line in range(down)
    ]
    return np.ascontiguousarray(np.concatenate(lines)[:height, :width])


def measure_mosaic(arguments: argparse.Namespace) -> list[Group]:
    """Return the comparisons of the large image on one thread and on two."""
    image = mosaic(datasets.pictures(arguments.data / "kodak"), *MOSAIC)
    groups = []
    for threads in (1, 2):
        contenders = [comparison.scf(effort) for effort in arguments.effort]
        group = comparison.compare(
            [image], contenders, repeats=max(3, arguments.repeat), threads=threads,
            progress=_progress(f"mosaic, {threads} threads"),
        )[0]  # fmt: skip
        group.name = f"mosaic of {MOSAIC[1]} x {MOSAIC[0]}, {threads} thread{'s'[: threads - 1]}"
        groups.append(group)
    return groups


def report(
    results: Sequence[SetResult],
    mosaics: Sequence[Group],
    arguments: argparse.Namespace,
    seconds: float,
) -> str:
    """Return the whole document."""
    parts = ["# `.scf` beside other lossless formats"]
    if arguments.images is not None:
        parts.append(f"**Reduced run: only the first {arguments.images} test images of each set.**")
    if not arguments.train:
        parts.append("**No codebooks were trained in this run (`--train`).**")
    parts.append(
        f"Written by `benchmarks/peer_tables.py` in {seconds / 60:.1f} minutes. Totals of real "
        "files; ratio: raw samples to files; to best peer: size relative to that of the best other "
        "codec (\\*). MB/s of raw samples on one thread by CPU time, on two by the clock (which "
        f"needs two idle cores); medians of {arguments.repeat} turns an image, of the mosaic at "
        "least 3; the codecs take turns on each image. JPEG-LS, PNG and WebP know one thread only. "
        "Every decoded image was compared. Samples of 16 bits are given to all codecs as 16 bits, "
        "whatever their highest value. WebP gets gray as three equal components. Codebooks are "
        "not counted in sizes."
    )
    parts.append(describe_machine("imagecodecs").rstrip())
    lacking = [f"- left out: {each}" for each in missing_peers(bilevel=False)]
    parts += ["\n".join(lacking)] if lacking else []
    parts += ["## Targets", _targets(results, arguments.effort)]
    for result in results:
        parts += [f"## {heading(result.group)}", markdown_table(result.group)]
        notes = [*(f"no figures for {line}" for line in refusals(result.group)), *result.remarks]
        parts += ["\n".join(f"- {line}" for line in notes)] if notes else []
    for group in mosaics:
        parts += [f"## {heading(group)}", markdown_table(group)]
        reasons = [f"- no figures for {line}" for line in refusals(group)]
        parts += ["\n".join(reasons)] if reasons else []
    return "\n\n".join(parts) + "\n"


def _targets(results: Sequence[SetResult], efforts: Sequence[int]) -> str:
    """Return how the sets stand to their targets at the default effort and the highest."""
    shown = sorted({min(efforts, key=lambda each: abs(each - DEFAULT_EFFORT)), max(efforts)})
    lines = [
        f"Bytes of `.scf` by bytes of {YARDSTICK}; the targets are those of the default effort, "
        f"{DEFAULT_EFFORT}. Less: bytes at effort {shown[-1]} by those at effort {shown[0]}.\n",
        "| set | codec | found | target | | best peer | to best peer | less |",
        "|---|---|---:|---:|---|---|---:|---:|",
    ]
    for result in results:
        first: int | None = None
        for effort in shown:
            each = verdict(result, effort)
            found = "-" if each.found is None else f"{each.found:.4f}"
            best, ours = result.group.best_peer, result.group.outcome(each.codec)
            peer, to_best, less = "-", "-", ""
            if ours is not None and not ours.refusal:
                if best is not None:
                    peer, to_best = best.name, f"{ours.total_bytes / best.total_bytes:.4f}"
                less = f"{ours.total_bytes / first:.4f}" if first else ""
                first = ours.total_bytes
            lines.append(
                f"| {each.name} | {each.codec} | {found} | {each.target} | {each.text} | {peer} "
                f"| {to_best} | {less} |"
            )
    return "\n".join(lines)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _progress(name: str) -> comparison.Progress:
    """Return what tells on stderr how many images are done."""

    def tell(stage: str, done: int, total: int) -> None:
        if not stage:
            _tell(f"{name}: {done} of {total}")

    return tell


def main(argv: Sequence[str] | None = None) -> None:
    """Measure the sets and the mosaic, print and write the tables."""
    arguments = _parse(argv)
    start = time.monotonic()
    results, mosaics = [], []
    for name in arguments.sets:
        results.append(
            measure_set(name, folds_of(name, arguments.data, arguments.images), arguments)
        )
        for effort in arguments.effort:
            each = verdict(results[-1], effort)
            _tell(f"{name}: {each.codec}: target {each.target}: {each.text}")
    if not arguments.without_mosaic:
        mosaics = measure_mosaic(arguments)
    text = report(results, mosaics, arguments, time.monotonic() - start)
    arguments.out.mkdir(parents=True, exist_ok=True)
    reduced = arguments.images is not None or set(arguments.sets) != set(TARGETS)
    path = arguments.out / f"peers{'-trained' * arguments.train}{'-reduced' * reduced}.md"
    path.write_text(text, encoding="utf-8")
    print(text)
    _tell(f"written to {path}")
    faults = [
        f"{group.name}: {each.name}: {each.refusal}"
        for group in (*(result.group for result in results), *mosaics)
        for each in group.outcomes
        if each.is_fault
    ]
    if faults:
        sys.exit("; ".join(faults))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--sets", type=lambda text: text.split(","), default=list(TARGETS), help=",".join(TARGETS)
    )
    parser.add_argument("--train", action="store_true", help="train a codebook for each set")
    parser.add_argument("--images", type=int, metavar="N", help="only the first N test images")
    parser.add_argument("--effort", type=int, action="append", choices=range(1, 10), metavar="N")
    parser.add_argument("--repeat", type=int, default=1, metavar="N")
    parser.add_argument("-j", type=int, default=2, metavar="N", help="threads of the training")
    parser.add_argument("--without-mosaic", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args(argv)
    arguments.effort = sorted(set(arguments.effort or EFFORTS))
    if unknown := [name for name in arguments.sets if name not in TARGETS]:
        parser.error(f"no set {unknown[0]}; there are {', '.join(TARGETS)}")
    for name in ("images", "repeat", "j"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            parser.error(f"{name} is {value}, expected at least 1")
    return arguments


if __name__ == "__main__":
    main()
