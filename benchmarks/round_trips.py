"""Save and open every image of some folders through Pillow, with several codebooks.

    python benchmarks/round_trips.py FOLDER [FOLDER ...] [--efforts 1 5 9] [--codebooks NAME ...]
                                     [-j N]

A folder, with those in it, holds PNG and JPEG pictures or the IDX files of MNIST; of the latter
each image is taken, also thresholded. Images of modes that the format does not hold are counted
and left out. Each image is saved with `auto`, with none, with each fitting bundled codebook, and
with codebooks trained on the first images of its folder: by the default settings, with shapes in
every plane, and by the reference settings. It is opened again and compared.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import datasets
import numpy as np
from PIL import Image

from softcomp_codec import Codebook, codebook_store, register_codebook, train
from softcomp_codec.container import MODES, PILLOW_MODES
from softcomp_codec.idx_files import is_idx_file
from softcomp_codec.reference_training import ReferenceOptions
from softcomp_codec.training import TrainingOptions

N_TAUGHT = 8
TAUGHT_SIDE = 512
"""A folder's own codebooks are trained on the middle of so many of its images."""

SHAPES_EVERYWHERE = TrainingOptions(
    low_bits=4, n_candidates=3000, max_shapes=1000, train_priors=False
)

CHUNK = 16
SUFFIXES = {".png", ".jpg", ".jpeg"}
IDX_PARTS = ("t10k", "train")

Picture = tuple[str, Image.Image]


def pictures(folder: Path) -> Iterator[Picture]:
    """Yield (name, image) of all that a folder holds."""
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        with Image.open(path) as image:
            image.load()
        yield str(path), image
    for part in IDX_PARTS:
        path, _ = datasets.labelled_paths(folder, part)
        if path.is_file() and is_idx_file(path):
            for index, array in enumerate(datasets.read_idx_file(path)):
                yield f"{path}, image {index}", Image.fromarray(array)
                yield f"{path}, image {index} > 0", Image.fromarray(array > 0)


def middle(image: Image.Image) -> Image.Image:
    """Return the middle of an image."""
    left = max(0, (image.width - TAUGHT_SIDE) // 2)
    top = max(0, (image.height - TAUGHT_SIDE) // 2)
    right, bottom = min(image.width, left + TAUGHT_SIDE), min(image.height, top + TAUGHT_SIDE)
    return image.crop((left, top, right, bottom))


def own_codebooks(images: Iterable[Picture], folder: Path) -> dict[str, list[Path]]:
    """Return files of the codebooks trained on the first images of each mode."""
    taught: dict[str, list[Image.Image]] = {mode: [] for mode in PILLOW_MODES}
    for _, image in images:
        if image.mode in taught and len(taught[image.mode]) < N_TAUGHT:
            taught[image.mode].append(middle(image))
    books: dict[str, list[Path]] = {}
    for mode, group in taught.items():
        books[mode] = []
        kinds = {each.kind for each in MODES.values() if each.pillow_mode == mode}
        settings: list[tuple[str, TrainingOptions | ReferenceOptions | None]] = [("default", None)]
        if kinds != {None}:
            settings += [("default", SHAPES_EVERYWHERE), ("reference", None)]
        for index, (name, options) in enumerate(settings if len(group) > 1 else []):
            try:
                book = train(group, name=name, settings=name, options=options, holdout=0)
            except ValueError as error:  # nothing is learned from few or empty images
                print(f"  no codebook {name} for {mode}: {error}")
                continue
            path = folder / f"{mode}-{index}.scfb".replace(";", "")
            book.save(path)
            books[mode].append(path)
    return books


@cache
def loaded(path: Path) -> Codebook:
    """Return a codebook of this run, once a process, registered."""
    book = Codebook.load(path)
    register_codebook(book)
    return book


def check(
    image: Image.Image, own: Sequence[Path], efforts: Sequence[int], named: Sequence[str]
) -> tuple[int, list[tuple[str, int]]]:
    """Return how many ways were tried, and those in which the image did not survive."""
    choices: list[str | Codebook] = list(named)
    if not named:
        mode = next(mode for mode in MODES.values() if mode.pillow_mode == image.mode)
        fitting = [each.book for each in codebook_store.list_codebooks() if each.book.fits(mode)]
        choices = ["auto", "none", *fitting, *(loaded(path) for path in own)]
    failed = []
    for codebook in choices:
        for effort in efforts:
            buffer = io.BytesIO()
            image.save(buffer, "SCF", codebook=codebook, effort=effort)
            with Image.open(buffer) as again:
                same = (again.mode, again.size) == (image.mode, image.size)
                same = same and np.array_equal(np.asarray(again), np.asarray(image))
                if not (same and again.getpalette() == image.getpalette()):
                    failed.append((getattr(codebook, "name", str(codebook)), effort))
    return len(choices) * len(efforts), failed


def check_chunk(
    chunk: Sequence[Picture],
    own: dict[str, list[Path]],
    efforts: Sequence[int],
    named: Sequence[str],
) -> tuple[Counter[str], int, list[str]]:
    """Return images by mode, ways tried, and a line for each that failed."""
    modes: Counter[str] = Counter()
    n_tried, lines = 0, []
    for name, image in chunk:
        modes[image.mode] += 1
        if image.mode not in PILLOW_MODES:
            continue
        tried, failed = check(image, own.get(image.mode, []), efforts, named)
        n_tried += tried
        lines += [f"  NOT EXACT: {name} with {book}, effort {effort}" for book, effort in failed]
    return modes, n_tried, lines


def chunks(images: Iterable[Picture]) -> Iterator[list[Picture]]:
    """Yield images in groups."""
    group: list[Picture] = []
    for image in images:
        group.append(image)
        if len(group) == CHUNK:
            yield group
            group = []
    if group:
        yield group


def check_folder(
    folder: Path, efforts: Sequence[int], named: Sequence[str], pool: ProcessPoolExecutor
) -> int:
    """Check all images of a folder, print a line, and return how many ways failed."""
    start = time.monotonic()
    modes: Counter[str] = Counter()
    n_tried = n_failed = 0
    with TemporaryDirectory(prefix="scf-round-trips-") as scratch:
        own = {} if named else own_codebooks(pictures(folder), Path(scratch))
        waiting = []
        groups = chunks(pictures(folder))
        while True:
            while len(waiting) < 8 and (group := next(groups, None)) is not None:
                waiting.append(pool.submit(check_chunk, group, own, efforts, named))
            if not waiting:
                break
            found, tried, lines = waiting.pop(0).result()
            modes += found
            n_tried += tried
            n_failed += len(lines)
            for line in lines:
                print(line)
    held = sum(n for mode, n in modes.items() if mode in PILLOW_MODES)
    left_out = {mode: n for mode, n in modes.items() if mode not in PILLOW_MODES}
    print(
        f"{folder}: {held} images, {n_tried} files, {n_failed} not exact; other modes left out: "
        f"{left_out or 'none'}; {time.monotonic() - start:.0f} s",
        flush=True,
    )
    return n_failed


def main() -> int:
    """Check all images; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--efforts", nargs="+", type=int, default=[5], metavar="N")
    parser.add_argument("--codebooks", nargs="+", default=[], metavar="NAME")
    parser.add_argument("-j", type=int, default=2, metavar="N", help="processes")
    arguments = parser.parse_args()
    if lacking := [str(folder) for folder in arguments.folders if not folder.is_dir()]:
        parser.error(f"no folder {', '.join(lacking)}")
    names = [stored.book.name for stored in codebook_store.list_codebooks()]
    print("bundled codebooks:", ", ".join(names), flush=True)
    with ProcessPoolExecutor(arguments.j, get_context("spawn")) as pool:
        n_failed = sum(
            check_folder(each, arguments.efforts, arguments.codebooks, pool)
            for each in arguments.folders
        )
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
