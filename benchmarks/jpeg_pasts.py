"""Measure `.scf` on pictures that were JPEGs once, beside JPEG XL and the JPEG files.

    python benchmarks/jpeg_pasts.py --data DIR [--sets drive ph2 bccd kodak] [--efforts 5 9]
                                    [--images N] [--out DIR]

DRIVE, PH2 and BCCD as they are; Kodak re-compressed by Pillow at qualities 75 to 95, with each
subsampling and gray, whole and cut out at odd offsets. Real files without codebooks and, beside
them, with what `auto` takes of the bundled ones; each is decoded and compared. Times are processor
time of one run without codebooks, all codecs in turn on each picture.
Writes Markdown.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from provenance import describe_machine

import softcomp_codec
from softcomp_codec.container import JPEG_PAST

Array = NDArray[Any]
SETS = ("drive", "ph2", "bccd", "kodak")
QUALITIES = (75, 85, 90, 95)
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
CUT = (slice(37, 400), slice(51, 500))
YARDSTICK_EFFORT = 9


@dataclass
class Row:
    """Totals of one set."""

    n_images: int = 0
    n_found: int = 0
    raw: int = 0
    jpeg: int = 0
    jxl: int = 0
    jxl_seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])
    ours: dict[int, int] = field(default_factory=dict)
    seconds: dict[int, list[float]] = field(default_factory=dict)
    with_books: dict[int, int] = field(default_factory=dict)
    n_larger: int = 0
    """Files that a codebook made larger."""


def pictures(name: str, data: Path, n_images: int | None) -> Iterator[tuple[str, Array, int]]:
    """Yield (set, picture, bytes of its JPEG file or 0)."""
    if name in ("drive", "ph2"):
        for array in datasets.pictures(data / name / "test")[:n_images]:
            yield f"{name}/test", array, 0
    elif name == "bccd":
        for path in sorted((data / "bccd").glob("*.jpg"))[:n_images]:
            with Image.open(path) as image:
                taught = path.stem[-1] in "13579"
                part = "bccd, odd numbers (teach `blood-cells`)" if taught else "bccd, even numbers"
                yield part, np.asarray(image), path.stat().st_size
    else:
        yield from recompressed(data, n_images)


def recompressed(data: Path, n_images: int | None) -> Iterator[tuple[str, Array, int]]:
    """Yield Kodak images through Pillow's JPEG."""
    for original in datasets.pictures(data / "kodak")[:n_images]:
        image = Image.fromarray(original)
        for quality in QUALITIES:
            made = {
                name: through_jpeg(image, quality=quality, subsampling=number)
                for number, name in enumerate(SUBSAMPLINGS)
            }
            made["gray"] = through_jpeg(image.convert("L"), quality=quality)
            for name, (decoded, n_bytes) in made.items():
                yield f"kodak, quality {quality}, {name}", decoded, n_bytes
                cut = np.ascontiguousarray(decoded[CUT])
                yield f"kodak, quality {quality}, {name}, cut out", cut, 0


def through_jpeg(image: Image.Image, **options: Any) -> tuple[Array, int]:
    """Return what Pillow decodes of its own JPEG, and the bytes of that."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    with Image.open(stream) as decoded:
        return np.asarray(decoded).copy(), len(stream.getvalue())


def measure(picture: Array, jpeg: int, efforts: list[int], row: Row) -> None:
    """Add one picture to a set's totals."""
    row.n_images += 1
    row.raw += picture.nbytes
    row.jpeg += jpeg
    start = time.process_time()
    coded = imagecodecs.jpegxl_encode(picture, lossless=True, effort=YARDSTICK_EFFORT, numthreads=1)
    middle = time.process_time()
    same = np.array_equal(imagecodecs.jpegxl_decode(coded, numthreads=1).squeeze(), picture)
    row.jxl_seconds[0] += middle - start
    row.jxl_seconds[1] += time.process_time() - middle
    row.jxl += len(coded)
    assert same, "JPEG XL"
    for effort in efforts:
        start = time.process_time()
        data = softcomp_codec.encode(picture, codebook=None, effort=effort)
        middle = time.process_time()
        decoded = softcomp_codec.decode(data)
        end = time.process_time()
        assert np.array_equal(decoded, picture), "not exact"
        row.ours[effort] = row.ours.get(effort, 0) + len(data)
        seconds = row.seconds.setdefault(effort, [0.0, 0.0])
        seconds[0] += middle - start
        seconds[1] += end - middle
        by_auto = softcomp_codec.encode(picture, effort=effort)
        assert np.array_equal(softcomp_codec.decode(by_auto), picture), "not exact"
        row.with_books[effort] = row.with_books.get(effort, 0) + len(by_auto)
        row.n_larger += len(by_auto) > len(data)
    row.n_found += softcomp_codec.read_header(data).coder == JPEG_PAST


def report(rows: dict[str, Row], efforts: list[int]) -> str:
    """Return the table."""
    lines = [
        "# Pictures that were JPEGs once",
        "Written by `benchmarks/jpeg_pasts.py`. Files without codebooks, and bytes with what "
        "`auto` takes of the bundled ones, which made "
        f"{sum(row.n_larger for row in rows.values())} files larger; every picture was decoded "
        f"and compared. JPEG XL: effort {YARDSTICK_EFFORT} on the pixels. Times: its processor "
        "time by that of `.scf` (encode: more is better for `.scf`), and that of `.scf` by its "
        "(decode: less is better).",
        describe_machine("imagecodecs").rstrip(),
    ]
    heads = ["set", "pictures", "recognised", "raw", "JPEG files", "JPEG XL"]
    for effort in efforts:
        heads += [f"SCF, effort {effort}", "ratio", "of JPEG XL", "of JPEG", "encode", "decode"]
        heads += ["with codebooks", "of those without"]
    table = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, row in rows.items():
        cells = [name, f"{row.n_images}", f"{row.n_found}", f"{row.raw:,}"]
        cells += [f"{row.jpeg:,}" if row.jpeg else "-", f"{row.jxl:,}"]
        for effort in efforts:
            ours = row.ours[effort]
            encode, decode = row.seconds[effort]
            cells += [f"{ours:,}", f"{row.raw / ours:.3f}", f"{ours / row.jxl:.3f}"]
            cells += [f"{ours / row.jpeg:.3f}" if row.jpeg else "-"]
            cells += [f"{row.jxl_seconds[0] / encode:.1f}", f"{decode / row.jxl_seconds[1]:.2f}"]
            cells += [f"{row.with_books[effort]:,}", f"{row.with_books[effort] / ours:.3f}"]
        table.append("| " + " | ".join(cells) + " |")
    return "\n\n".join([*lines, "\n".join(table)]) + "\n"


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--efforts", type=int, nargs="+", default=[5, 9])
    parser.add_argument("--images", type=int, help="only the first of each set")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    rows: dict[str, Row] = {}
    for each in arguments.sets:
        for name, picture, jpeg in pictures(each, arguments.data, arguments.images):
            if name not in rows:  # loads and compiles what such pictures need
                for effort in arguments.efforts:
                    softcomp_codec.decode(
                        softcomp_codec.encode(picture, codebook=None, effort=effort)
                    )
            measure(picture, jpeg, arguments.efforts, rows.setdefault(name, Row()))
    text = report(rows, arguments.efforts)
    arguments.out.mkdir(parents=True, exist_ok=True)
    reduced = "-reduced" if arguments.images is not None else ""
    some = "" if set(arguments.sets) == set(SETS) else "-" + "-".join(arguments.sets)
    (arguments.out / f"jpeg-pasts{some}{reduced}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
