"""Rebuild the bundled codebooks from their data: the same data give the same IDs.

    python codebooks/build.py --data DIR --fashion-mnist DIR [--only NAME] [--check]

``--data`` holds ``mnist/*.gz`` and the folders of PNG and JPEG images that are named below,
``--fashion-mnist`` the IDX files of Debian's package dataset-fashion-mnist. ``--check`` compares
IDs and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image

import softcomp_codec
from softcomp_codec.bundled import INDEX
from softcomp_codec.codebook_store import served_modes
from softcomp_codec.idx_files import read_idx_file
from softcomp_codec.training import TrainingOptions

HERE = Path(__file__).parent
DEFAULT_FASHION = Path("/usr/share/datasets/fashion-mnist")


LARGE_SETS = (
    ("dermoscopy", "ph2/train", "PH2, 30 training images (research use)"),
    ("photographs", "kodak", "Kodak, 12 photographs (free use)"),
    ("electron-microscopy", "em-membrane/train", "ISBI 2012, 20 training images (research use)"),
    ("ct", "ct16/train", "TCIA, 24 CT slices of 16 bits"),
    ("cells-gray", "cells-gray/train", "DSB 2018, 60 gray training images (CC0)"),
    ("cells-rgb", "cells-rgb/train", "DSB 2018, 40 RGB training images (CC0)"),
    ("ultrasound", "ultrasound/train", "BUSI, 60 training images, resized (research use)"),
    ("bilevel-lines", "bilevel-lines/train", "400 scanned lines of Fraktur (ocropus)"),
    ("bilevel-pages", "bilevel-docs", "4 ITU fax test pages, 30 pages of DIBCO"),
    ("map-tiles", "maptiles-berlin/train", "150 map tiles of Berlin (OpenStreetMap)"),
    ("charts", "charts/train", "70 plots (plotnine, MIT)"),
    ("icons", "icons/train", "150 Oxygen icons, 48 x 48 (LGPL-3+)"),
)
"""Sets for which shapes do not pay: priors of the other coders alone."""


def digits(folder: Path, threshold: int) -> list[NDArray[Any]]:
    """Return MNIST's training digits, thresholded."""
    return list(read_idx_file(folder / "mnist" / "train-images-idx3-ubyte.gz") > threshold)


def pictures(folder: Path) -> list[Image.Image]:
    """Return all PNG images of a folder and of those in it."""
    return opened(sorted(folder.rglob("*.png")))


def odd_pictures(folder: Path) -> list[Image.Image]:
    """Return the JPEG images of a folder whose names end with an odd digit."""
    return opened(sorted(path for path in folder.glob("*.jpg") if path.stem[-1] in "13579"))


def opened(paths: list[Path]) -> list[Image.Image]:
    """Return the images of files."""
    images = []
    for path in paths:
        with Image.open(path) as image:
            image.load()
        images.append(image)
    return images


def recipes(data: Path, fashion: Path) -> dict[str, tuple[Callable[[], list[Any]], dict[str, Any]]]:
    """Return loader and training arguments of each bundled codebook."""
    many = TrainingOptions(n_candidates=60_000, max_shapes=16_000)
    return {
        "fashion-mnist": (
            lambda: list(read_idx_file(fashion / "train-images-idx3-ubyte.gz")),
            {"source": "Fashion-MNIST, 60,000 training images (MIT)", "options": many},
        ),
        "mnist": (
            lambda: list(read_idx_file(data / "mnist" / "train-images-idx3-ubyte.gz")),
            {
                "source": "MNIST, 60,000 training images",
                "options": TrainingOptions(train_shapes=False),
            },
        ),
        "retina": (
            lambda: pictures(data / "drive/train"),
            {"source": "DRIVE, 20 training images (research use)"},
        ),
        "blood-cells": (
            lambda: odd_pictures(data / "bccd"),
            {
                "source": "BCCD, the 19 of 40 images with odd numbers (MIT)",
                "options": TrainingOptions(train_shapes=False),
            },
        ),
        "mnist-binary": (
            lambda: digits(data, 0),
            {"source": "MNIST, 60,000 training images, thresholded at > 0", "options": many},
        ),
        "mnist-binary-127": (
            lambda: digits(data, 127),
            {"source": "MNIST, 60,000 training images, thresholded at > 127", "options": many},
        ),
        **{
            name: (
                lambda folder=folder: pictures(data / folder),
                {"source": source, "options": TrainingOptions(train_shapes=False)},
            )
            for name, folder, source in LARGE_SETS
        },
    }


def write_index(folder: Path) -> None:
    """Write what each codebook of a folder serves, so that images load only those that may help."""
    books = {path.stem: softcomp_codec.Codebook.load(path) for path in folder.glob("*.scfb")}
    index = {
        name: {"id": book.identifier.hex(), "modes": sorted(served_modes(book))}
        for name, book in sorted(books.items())
    }
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Build or check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fashion-mnist", type=Path, default=DEFAULT_FASHION)
    parser.add_argument("--only", action="append", metavar="NAME")
    parser.add_argument("--check", action="store_true", help="compare IDs, write nothing")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("-j", type=int, default=2, metavar="THREADS")
    arguments = parser.parse_args()
    differing = 0
    for name, (load, options) in recipes(arguments.data, arguments.fashion_mnist).items():
        if arguments.only and name not in arguments.only:
            continue
        start = time.monotonic()
        book = softcomp_codec.train(load(), name=name, workers=arguments.j, **options)
        path = arguments.out / f"{name}.scfb"
        line = f"{name}: {book.identifier.hex()}, {len(book.to_bytes()):,} bytes"
        if arguments.check:
            same = (
                path.exists() and softcomp_codec.Codebook.load(path).identifier == book.identifier
            )
            differing += not same
            line += ", the same ID" if same else ", ANOTHER ID than the bundled one"
        else:
            book.save(path)
            write_index(arguments.out)
        report = book.record["report"]
        print(f"{line}; {time.monotonic() - start:.0f} s; held out: {report}", flush=True)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
