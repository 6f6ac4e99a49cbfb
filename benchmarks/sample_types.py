"""Measure that samples of other types and modes cost what they hold, and no more.

    python benchmarks/sample_types.py --data DIR [--images N] [--out FILE.md]

Each line codes the same pictures in two forms: as 8 or 16 bits, or as the format can hold them
more simply, and as other programs hand them over. Floating-point pictures are compared with TIFF's
deflate behind its predictor for them. Every file is decoded and compared bit for bit.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import datasets
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from provenance import describe_machine

import softcomp_codec

Image = NDArray[Any]
Form = Callable[[Image], Image]


def file_bytes(array: Image) -> int:
    """Return the bytes of a picture's file, which comes back exactly."""
    data = softcomp_codec.encode(array, codebook=None)
    found = softcomp_codec.decode(data)
    if (found.dtype, found.shape) != (array.dtype, array.shape) or (
        (found != array).any()
        if array.dtype == np.bool_
        else found.tobytes() != np.ascontiguousarray(array).tobytes()
    ):
        raise SystemExit(f"a picture of {array.dtype} did not come back exactly")
    return len(data)


def tiff_bytes(array: Image) -> int:
    """Return the bytes of a TIFF file's samples, deflated behind its predictor 3, in one strip."""
    predicted = imagecodecs.floatpred_encode(np.ascontiguousarray(array), axis=-1)
    return len(imagecodecs.zlib_encode(predicted.tobytes(), 9))


def smoothed(array: Image, sigma: float) -> Image:
    """Return a picture behind a Gaussian filter, as float32."""
    radius = int(4 * sigma + 0.5)
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    found = array.astype(np.float64)
    for _ in range(2):
        padded = np.pad(found, ((radius, radius), (0, 0)), "symmetric")
        parts = [w * padded[k : k + len(found)] for k, w in enumerate(weights)]
        found = np.sum(parts, axis=0).T
    return found.astype(np.float32)


def in_rgb(array: Image) -> Image:
    """Return a gray picture as colours."""
    return np.stack([array] * 3, axis=2)


def opaque(array: Image) -> Image:
    """Return a picture with alpha 255 everywhere."""
    channels = array if array.ndim == 3 else array[:, :, None]
    full = np.full((*channels.shape[:2], 1), 255, np.uint8)
    return np.concatenate([channels, full], axis=2)


def stretched(array: Image) -> Image:
    """Return 12 bits as 16 by the usual rounding, which leaves gaps."""
    return np.rint(array * (65535 / 4095)).astype(np.uint16)


SAME_PICTURES: list[tuple[str, str, Form, Form]] = [
    ("cells-gray", "RGB of gray / gray", lambda a: a, in_rgb),
    ("cells-gray", "RGBA of gray, opaque / gray", lambda a: a, lambda a: opaque(in_rgb(a))),
    ("cells-rgb", "RGB, opaque / RGB", lambda a: a, opaque),
    ("cells-gray", "float32 of 0..255 / 8 bits", lambda a: a, lambda a: a.astype(np.float32)),
    (
        "cells-gray", "float32, divided by 255 / 8 bits", lambda a: a,
        lambda a: a.astype(np.float32) / np.float32(255),
    ),
    ("cells-gray", "float64, divided by 255 / 8 bits", lambda a: a, lambda a: a / 255),
    (
        "cells-gray", "16 bits, times 257 / 8 bits", lambda a: a,
        lambda a: a.astype(np.uint16) * np.uint16(257),
    ),
    ("ct16", "int32 / uint16", lambda a: a, lambda a: a.astype(np.int32)),
    ("ct16", "float32 / uint16", lambda a: a, lambda a: a.astype(np.float32)),
    ("ct16", "shifted left by 4 / uint16", lambda a: a, lambda a: a << np.uint16(4)),
    ("ct16", "stretched to 16 bits / uint16", lambda a: a, stretched),
    (
        "bilevel-lines", "gray of two tones / bilevel", lambda a: a,
        lambda a: a.astype(np.uint8) * np.uint8(255),
    ),
]  # fmt: skip

FLOATS: list[tuple[str, str, Form]] = [
    (
        "em-membrane", "Gaussian filter, sigma 1.5",
        lambda a: smoothed(a, 1.5),
    ),
    (
        "cells-gray", "Gaussian filter, sigma 1",
        lambda a: smoothed(a / 255, 1),
    ),
    (
        "em-membrane", "mean 0, deviation 1",
        lambda a: ((a - a.mean()) / a.std()).astype(np.float32),
    ),
    (
        "em-membrane", "flat field, varying in both directions",
        lambda a: (a * (1 + 0.3 * np.add.outer(
            np.sin(np.arange(a.shape[0]) / 90), np.cos(np.arange(a.shape[1]) / 70)
        ))).astype(np.float32),
    ),
    (
        "ct16", "Gaussian filter, sigma 1",
        lambda a: smoothed(a, 1),
    ),
]  # fmt: skip


def compare_same(data: Path, n_images: int) -> list[str]:
    """Return the table of pictures in two forms."""
    lines = [
        "| set | forms | pictures | simple | other form | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for name, what, simple, other in SAME_PICTURES:
        pictures = datasets.pictures(data / name / "test")[:n_images]
        sizes = [(file_bytes(simple(each)), file_bytes(other(each))) for each in pictures]
        first, second = (sum(column) for column in zip(*sizes, strict=True))
        lines.append(
            f"| {name} | {what} | {len(pictures)} | {first:,} | {second:,} | {second / first:.4f} |"
        )
        print(lines[-1], flush=True)
    return lines


def compare_floats(data: Path, n_images: int) -> list[str]:
    """Return the table of floating-point pictures."""
    lines = [
        "| set | pictures of float32 | pictures | TIFF | SCF | ratio |", "|---|---|---|---|---|---|"
    ]  # fmt: skip
    for name, what, form in FLOATS:
        pictures = [form(each) for each in datasets.pictures(data / name / "test")[:n_images]]
        tiff = sum(tiff_bytes(each) for each in pictures)
        own = sum(file_bytes(each) for each in pictures)
        lines.append(
            f"| {name} | {what} | {len(pictures)} | {tiff:,} | {own:,} | {own / tiff:.3f} |"
        )
        print(lines[-1], flush=True)
    return lines


def looking_time(data: Path, n_images: int) -> list[str]:
    """Return which share of encoding goes to looking for a map where there is none."""
    from softcomp_codec.encoder import as_picture
    from softcomp_codec.sample_choice import map_for

    lines = ["| set | effort | encoding, s | looking, s | share |", "|---|---|---|---|---|"]
    for name in ("kodak", "em-membrane"):
        folder = data / name
        folder = folder / "test" if (folder / "test").is_dir() else folder
        pictures = datasets.pictures(folder)[:n_images]
        for effort in (1, 5):
            softcomp_codec.encode(pictures[0], codebook=None, effort=effort)
            start = process_time()
            for each in pictures:
                softcomp_codec.encode(each, codebook=None, effort=effort)
            encoding, start = process_time() - start, process_time()
            for each in pictures:
                map_for([as_picture(each)], effort)
            looking = process_time() - start
            lines.append(
                f"| {name} | {effort} | {encoding:.2f} | {looking:.4f} "
                f"| {100 * looking / encoding:.2f} % |"
            )
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Measure everything, print and write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results/sample-types.md"
    )
    arguments = parser.parse_args()
    tables = [
        "Bytes of files without codebook at effort 5, the other form over the simple one.\n",
        *compare_same(arguments.data, arguments.images),
        "\nTIFF: deflate at level 9 behind predictor 3, by imagecodecs; its samples alone.\n",
        *compare_floats(arguments.data, arguments.images),
        "\nProcessor time of encoding, and of looking for a map in pictures that get none.\n",
        *looking_time(arguments.data, arguments.images),
    ]
    arguments.out.write_text(
        "# Samples of other types and modes\n\n"
        "Written by `benchmarks/sample_types.py`; every file was decoded and compared.\n\n"
        f"{describe_machine()}\n" + "\n".join(tables) + "\n"
    )


if __name__ == "__main__":
    main()
