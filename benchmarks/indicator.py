"""Measure what the compressible indicator is worth: training with and without it.

    python benchmarks/indicator.py --data DIR [--fashion-mnist DIR] [--out FILE.md]

File bytes of test images in one run, with codebooks trained on the same images: once the
indicator decides, in training how the layers of each plane are split and in each image whether its
shapes are used; once all planes have shapes, gray and colour ones above four low bits, as
published. The files written with the indicator are decoded and compared.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray
from provenance import describe_machine

import softcomp_codec
from softcomp_codec import shapes_coder
from softcomp_codec.encoder import _codebook_overhead
from softcomp_codec.planes import mode_of_array
from softcomp_codec.training import TrainingOptions

N_TINY = 10_000
"""Training images of the sets of tiny images."""


def file_bytes(
    train: list[NDArray[Any]], test: list[NDArray[Any]], threads: int, *, use_indicator: bool
) -> tuple[int, str]:
    """Return the bytes of all test files and the low bits of each plane."""
    options = TrainingOptions(use_indicator=use_indicator)
    book = softcomp_codec.train(
        train, name="indicator", workers=threads, holdout=0, options=options
    )
    if use_indicator:
        files = softcomp_codec.encode_many(test, threads=threads, codebook=book)
        again = softcomp_codec.decode_many(files, threads=threads, codebooks=[book])
        for array, other in zip(test, again, strict=True):
            if not np.array_equal(array, other):
                raise SystemExit("an image did not come back exactly")
        n_bytes = sum(map(len, files))
    else:
        mode = mode_of_array(test[0])
        plain = softcomp_codec.read_header(softcomp_codec.encode(test[0], codebook=None))
        around = plain.payload_offset + _codebook_overhead(book, plain.raw_size, None)
        n_bytes = sum(
            around + len(shapes_coder.encode_payload(array, mode, book, use_shapes=True))
            for array in test
        )
    planes = book.planes_of(book.kinds[0])
    split = ", ".join(
        f"{plane.low_bits} of {plane.sample_bits}" if plane.n_shapes else "no shapes"
        for plane in planes
    )
    return n_bytes, split


def main() -> None:
    """Measure all sets, print and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fashion-mnist", type=Path, default=datasets.DEFAULT_FASHION)
    parser.add_argument("-j", type=int, default=2, metavar="THREADS")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/indicator.md")
    arguments = parser.parse_args()
    data, fashion = arguments.data, arguments.fashion_mnist
    sets = {
        "Fashion-MNIST": (
            list(datasets.labelled_set("Fashion-MNIST", fashion, "train").images[:N_TINY]),
            list(datasets.labelled_set("Fashion-MNIST", fashion, "t10k").images[:1000]),
        ),
        "MNIST > 0": (
            list(datasets.labelled_set("MNIST", data / "mnist", "train", 0).images[:N_TINY]),
            list(datasets.labelled_set("MNIST", data / "mnist", "t10k", 0).images[:1000]),
        ),
        "DRIVE": tuple(datasets.pictures(data / "drive" / part) for part in ("train", "test")),
        "PH2": tuple(datasets.pictures(data / "ph2" / part) for part in ("train", "test")),
    }
    lines = [
        "| set | training images | test images | indicator off | low bits | indicator on "
        "| low bits | smaller by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (train, test) in sets.items():
        off, off_split = file_bytes(train, test, arguments.j, use_indicator=False)
        on, on_split = file_bytes(train, test, arguments.j, use_indicator=True)
        lines.append(
            f"| {name} | {len(train):,} | {len(test):,} | {off:,} | {off_split} | {on:,} "
            f"| {on_split} | {100 * (1 - on / off):.2f} % |"
        )
        print(lines[-1], flush=True)
    arguments.out.write_text(
        "# The compressible indicator, on and off\n\n"
        "Written by `benchmarks/indicator.py`; whole files of images that did not teach.\n\n"
        f"{describe_machine()}\n" + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    main()
