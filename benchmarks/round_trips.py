"""Save and open every image of some folders through Pillow, with several codebooks.

    python benchmarks/round_trips.py FOLDER [FOLDER ...]

Images of other modes than 1, L and RGB are counted and left out. Each image is saved with each
fitting bundled codebook, with none, and with codebooks trained on the first images of its folder:
by the reference settings, and with shapes in every plane. It is opened again and compared.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from softcomp_codec import Codebook, codebook_store, register_codebook, train
from softcomp_codec.planes import mode_of_array
from softcomp_codec.training import TrainingOptions

MODES = ("1", "L", "RGB")


N_TAUGHT = 3
TAUGHT_SIDE = 512
"""A folder's own codebooks are trained on the middle of so many of its images."""


def middle(image: Image.Image) -> Image.Image:
    """Return the middle of an image."""
    left = max(0, (image.width - TAUGHT_SIDE) // 2)
    top = max(0, (image.height - TAUGHT_SIDE) // 2)
    right, bottom = min(image.width, left + TAUGHT_SIDE), min(image.height, top + TAUGHT_SIDE)
    return image.crop((left, top, right, bottom))


def own_codebooks(paths: list[Path]) -> dict[str, list[Codebook]]:
    """Return the codebooks trained on a folder's first images, by mode; registered."""
    taught: dict[str, list[Image.Image]] = {mode: [] for mode in MODES}
    for path in paths:
        with Image.open(path) as image:
            if image.mode in MODES and len(taught[image.mode]) < N_TAUGHT:
                taught[image.mode].append(middle(image))
    books: dict[str, list[Codebook]] = {}
    for mode, images in taught.items():
        if images:
            shapes = TrainingOptions(low_bits=4, n_candidates=3000, max_shapes=1000)
            books[mode] = [
                train(images, name="reference", settings="reference", holdout=0),
                train(images, name="shapes everywhere", options=shapes, holdout=0),
            ]
            for book in books[mode]:
                register_codebook(book)
    return books


def check(
    path: Path, bundled: list[Codebook], own: dict[str, list[Codebook]]
) -> tuple[str, list[str]]:
    """Return (mode, the codebooks with which the image did not survive)."""
    with Image.open(path) as image:
        image.load()
    if image.mode not in MODES:
        return image.mode, []
    failed = []
    fitting = [book for book in bundled if book.fits(mode_of_array(np.asarray(image)))]
    for codebook in ["auto", "none", *fitting, *own[image.mode]]:
        buffer = io.BytesIO()
        image.save(buffer, "SCF", codebook=codebook)
        with Image.open(buffer) as again:
            if (again.mode, again.size, again.tobytes()) != (
                image.mode, image.size, image.tobytes(),
            ):  # fmt: skip
                failed.append(str(codebook))
    return image.mode, failed


def main() -> int:
    """Check all images; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    arguments = parser.parse_args()
    bundled = [stored.book for stored in codebook_store.list_codebooks()]
    print("bundled codebooks:", ", ".join(book.name for book in bundled))
    n_failed = 0
    for folder in arguments.folders:
        modes: Counter[str] = Counter()
        failures = 0
        paths = sorted(folder.rglob("*.png"))
        own = own_codebooks(paths)
        for path in paths:
            mode, failed = check(path, bundled, own)
            modes[mode] += 1
            failures += len(failed)
            for codebook in failed:
                print(f"  NOT EXACT: {path} with {codebook}")
        n_failed += failures
        exact = sum(n for mode, n in modes.items() if mode in MODES)
        left_out = {mode: n for mode, n in modes.items() if mode not in MODES}
        print(f"{folder}: {exact} images x all fitting codebooks, {failures} not exact; "
              f"other modes left out: {left_out or 'none'}", flush=True)  # fmt: skip
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
