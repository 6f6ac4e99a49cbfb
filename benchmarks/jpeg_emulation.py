"""Decode many JPEG files as `jpeg_emulation` does (SPEC 5J) and as Pillow does, and compare.

    python benchmarks/jpeg_emulation.py [--files 10000] [--seed 1] [--data DIR] [--out DIR]

Files by Pillow: gray, 4:4:4, 4:2:2, 4:2:0 and 4:4:0; sides 1 to 200; qualities 1 to 100 and tables
of chance; baseline, optimised, progressive, with restarts. The pixels are parts of real images
(``--data`` holds ``kodak``; without it they are drawn), noise, and both together. 4:4:0, which
Pillow does not write, are files of 4:2:2 whose header says otherwise: the same blocks in other
places. Exits with 1 if any picture differs. Writes Markdown.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from jpeg_files import read_jpeg
from numpy.typing import NDArray
from PIL import Image
from provenance import describe_machine

from softcomp_codec.jpeg_emulation import FANCY, Past, render

Array = NDArray[Any]
LAYOUTS = ("gray", "4:4:4", "4:2:2", "4:2:0", "4:4:0")
CODINGS = ("baseline", "optimised", "progressive", "restarts")
LONGEST = 200


@dataclass(frozen=True)
class Made:
    """A file, and how it was made."""

    data: bytes
    layout: str
    coding: str
    quality: int
    shape: tuple[int, int]


def drawn_picture() -> Array:
    """Return a picture with slopes, edges and texture, (512, 512, 3), uint8."""
    y, x = np.mgrid[0:512, 0:512]
    discs = ((x // 37 + y // 53) % 3) * 60
    waves = 40 * np.sin(x * y / 900.0)
    layers = [discs + waves + (k + 2) * x // 9 - y // (7 + k) for k in range(3)]
    return np.clip(np.stack(layers, axis=2) + 60, 0, 255).astype(np.uint8)


def made_files(n_files: int, seed: int, pictures: list[Array]) -> Iterator[Made]:
    """Yield files of every kind, by chance."""
    draw = np.random.default_rng(seed)
    pictures = [np.pad(each, ((0, 200), (0, 400), (0, 0)), "reflect") for each in pictures]
    for number in range(n_files):
        layout = LAYOUTS[number % len(LAYOUTS)]
        coding = CODINGS[number // len(LAYOUTS) % len(CODINGS)]
        height, width = (int(side) for side in draw.integers(1, LONGEST + 1, 2))
        if draw.random() < 0.2:  # edges matter most in small ones
            height, width = (int(side) for side in draw.integers(1, 25, 2))
        quality = int(draw.integers(1, 101))
        size = (height, width)
        if layout == "4:4:0":
            size = (-(-height // 16) * 8, -(-width // 8) * 16)
        image = Image.fromarray(_content(draw, pictures, *size))
        data = _save(draw, image, layout, coding, quality)
        if layout == "4:4:0":
            data = turned_sampling(data, height, width)
        yield Made(data, layout, coding, quality, (height, width))


def _content(draw: np.random.Generator, pictures: list[Array], height: int, width: int) -> Array:
    picture = pictures[int(draw.integers(len(pictures)))]
    top = int(draw.integers(picture.shape[0] - height))
    left = int(draw.integers(picture.shape[1] - width))
    part = picture[top : top + height, left : left + width].astype(np.int64)
    kind = int(draw.integers(4))
    if kind == 1:
        return draw.integers(0, 256, part.shape, np.uint8)
    if kind == 2:
        part += draw.integers(-60, 61, part.shape)
    if kind == 3:  # saturated
        part = (part - 128) * 4 + 128
    return np.ascontiguousarray(np.clip(part, 0, 255).astype(np.uint8))


def _save(
    draw: np.random.Generator, image: Image.Image, layout: str, coding: str, quality: int
) -> bytes:
    options: dict[str, Any] = {"quality": quality}
    if layout == "gray":
        image = image.convert("L")
    else:
        options["subsampling"] = "4:2:2" if layout == "4:4:0" else layout
    if coding == "optimised":
        options["optimize"] = True
    elif coding == "progressive":
        options["progressive"] = True
    elif coding == "restarts":
        options["restart_marker_blocks"] = int(draw.integers(1, 9))
    if draw.random() < 0.1:
        n_tables = 1 if layout == "gray" else 2
        options["qtables"] = draw.integers(1, 256, (n_tables, 64)).tolist()
        del options["quality"]
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def turned_sampling(data: bytes, height: int, width: int) -> bytes:
    """Return a file of 4:2:2, of whole MCUs, as one of 4:4:0 with as many."""
    turned = bytearray(data)
    at = 2
    while turned[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(turned[at + 2 : at + 4], "big")
    turned[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    assert turned[at + 11] == 0x21
    turned[at + 11] = 0x12
    return bytes(turned)


def emulated(data: bytes) -> Array:
    """Return the pixels of a file by its coefficients and `jpeg_emulation`."""
    file = read_jpeg(data)
    indices = range(len(file.components))
    tables = tuple(file.table_of(index) for index in indices)
    past = Past(file.sampling, (0, 0), (False, False), FANCY, tables)
    coefficients = [file.coefficients_of(index) for index in indices]
    return render(past, coefficients, file.height, file.width)


def by_pillow(data: bytes) -> Array:
    """Return the pixels that Pillow decodes."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def report(counts: Counter[tuple[str, str]], wrong: list[Made], options: str) -> str:
    """Return what was compared."""
    n_files = sum(counts.values())
    lines = [
        "# Emulation of JPEG decoding",
        f"Written by `benchmarks/jpeg_emulation.py {options}`: pixels by SPEC 5J from the "
        "coefficients of JPEG files, beside those that Pillow decodes.",
        describe_machine().rstrip(),
        f"{n_files:,} files, {len(wrong)} of them with a pixel that differs.",
    ]
    table = ["| | " + " | ".join(CODINGS) + " |", "|---" + "|---:" * len(CODINGS) + "|"]
    for layout in LAYOUTS:
        cells = [f"{counts[layout, coding]:,}" for coding in CODINGS]
        table.append(f"| {layout} | " + " | ".join(cells) + " |")
    lines.append("\n".join(table))
    named = [
        f"- {each.layout}, {each.coding}, quality {each.quality}, {each.shape[1]} x {each.shape[0]}"
        for each in wrong[:50]
    ]
    return "\n\n".join([*lines, "\n".join(named)] if named else lines) + "\n"


def main() -> None:
    """Make, decode, compare; print and write the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    pictures = [drawn_picture()]
    if arguments.data is not None:
        pictures += datasets.pictures(arguments.data / "kodak")
    counts: Counter[tuple[str, str]] = Counter()
    wrong = []
    start = time.monotonic()
    for number, made in enumerate(made_files(arguments.files, arguments.seed, pictures), 1):
        counts[made.layout, made.coding] += 1
        if not np.array_equal(emulated(made.data), by_pillow(made.data)):
            wrong.append(made)
        if number % 500 == 0:
            seconds = time.monotonic() - start
            text = f"{number:,} files, {len(wrong)} differ, {seconds:.0f} s"
            print(text, file=sys.stderr, flush=True)
    options = f"--files {arguments.files} --seed {arguments.seed}"
    options += " --data DIR" if arguments.data is not None else ""
    text = report(counts, wrong, options)
    arguments.out.mkdir(parents=True, exist_ok=True)
    name = "jpeg-emulation" + ("" if arguments.files == parser.get_default("files") else "-reduced")
    (arguments.out / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
