"""Measure what looking for a JPEG past costs pictures that have none: time, and bytes.

    python benchmarks/jpeg_detection.py --data DIR [--images 6] [--repeats 5] [--effort 5]
                                        [--sets kodak charts ...] [--out DIR]

Each picture is coded with ``coder="auto"`` and with ``coder="pixels"``, which is the same without
the search, in turns; times are medians of processor time on one thread, without codebooks, whose
choice would only hide it. Exits with 1 if a file grew by more than 1 byte. Writes Markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from provenance import describe_machine

import softcomp_codec
from softcomp_codec import worker_threads
from softcomp_codec.container import JPEG_PAST

Array = NDArray[Any]
SETS = {
    "kodak": "kodak", "em-membrane": "em-membrane/test", "cells-gray": "cells-gray/test",
    "cells-rgb": "cells-rgb/test", "textures": "textures", "aerials": "aerials",
    "ct16": "ct16/test", "charts": "charts/test", "screenshots": "screenshots/test",
    "maptiles": "maptiles-berlin/test", "ultrasound": "ultrasound/test", "icons": "icons/test",
}  # fmt: skip
CODERS = ("auto", "pixels")
MOST_GROWTH, MOST_TIME = 1, 1.1


@dataclass
class Row:
    """What became of one set; sizes and seconds by coder, one entry an image."""

    sizes: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in CODERS})
    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in CODERS})
    n_found: int = 0

    @property
    def growth(self) -> int:
        """Bytes that the file which grew most grew by."""
        return max(a - b for a, b in zip(*self.sizes.values(), strict=True))

    @property
    def ratios(self) -> list[float]:
        """Time of `auto` by that of `pixels`, of each image."""
        return [a / b for a, b in zip(*self.seconds.values(), strict=True)]


def measure(picture: Array | Image.Image, row: Row, effort: int, repeats: int) -> None:
    """Code a picture both ways in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in CODERS}
    found: dict[str, bytes] = {}
    for turn in range(repeats + 1):
        for name in CODERS if turn % 2 else CODERS[::-1]:
            start = time.process_time()
            found[name] = softcomp_codec.encode(picture, codebook=None, effort=effort, coder=name)
            if turn:  # the first compiles and loads
                seconds[name].append(time.process_time() - start)
    assert np.array_equal(softcomp_codec.decode(found["auto"]), np.asarray(picture))
    row.n_found += softcomp_codec.read_header(found["auto"]).coder == JPEG_PAST
    for name in CODERS:
        row.sizes[name].append(len(found[name]))
        row.seconds[name].append(median(seconds[name]))


def report(rows: dict[str, Row], arguments: argparse.Namespace) -> str:
    """Return the table."""
    lines = [
        "# What the search for JPEG pasts costs others",
        "Written by `benchmarks/jpeg_detection.py`: `auto` beside `pixels`, which does not look "
        f"for a JPEG past, at effort {arguments.effort}, without codebooks, on one thread. Times: "
        f"processor time of `auto` by that of `pixels`, medians of {arguments.repeats} runs of "
        "each, in turns: of all images together, and of the image where it is worst.",
        describe_machine().rstrip(),
    ]
    heads = ["set", "images", "taken for JPEGs", "bytes, pixels", "bytes, auto", "most growth",
             "time", "worst image"]  # fmt: skip
    table = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for name, row in rows.items():
        total = sum(row.seconds["auto"]) / sum(row.seconds["pixels"])
        cells = [name, f"{len(row.ratios)}", f"{row.n_found}"]
        cells += [f"{sum(row.sizes[each]):,}" for each in ("pixels", "auto")]
        cells += [f"{row.growth}", f"{total:.3f}", f"{max(row.ratios):.3f}"]
        table.append("| " + " | ".join(cells) + " |")
    return "\n\n".join([*lines, "\n".join(table)]) + "\n"


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--images", type=int, default=6, help="the first of each set")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--effort", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    worker_threads.thread_limit.set(1)
    rows: dict[str, Row] = {}
    for name in arguments.sets:
        row = rows[name] = Row()
        for image in datasets.opened_pictures(arguments.data / SETS[name])[: arguments.images]:
            measure(image if image.mode == "P" else np.asarray(image), row, arguments.effort,
                    arguments.repeats)  # fmt: skip
        total = sum(row.seconds["auto"]) / sum(row.seconds["pixels"])
        print(f"{name}: time {total:.3f}, growth {row.growth}", file=sys.stderr, flush=True)
    text = report(rows, arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    some = "" if set(arguments.sets) == set(SETS) else "-" + "-".join(arguments.sets)
    (arguments.out / f"jpeg-detection{some}.md").write_text(text, encoding="utf-8")
    print(text)
    sys.exit(1 if any(row.growth > MOST_GROWTH for row in rows.values()) else 0)


if __name__ == "__main__":
    main()
