"""Measure how fast a large photograph is decoded beside JPEG XL, on one core and on two.

    python benchmarks/large_images.py --data DIR [--turns 21] [--effort N ...] [--out DIR]

A mosaic of Kodak images, of two megapixels, is encoded once by each codec, with the bundled
codebooks and with none, compared when it is decoded, and then decoded in turns. Told are medians of
the clock and the median of the turns' own ratios to JPEG XL, with their quartiles: what else the
machine does in a turn slows all alike. On two cores that needs both of them. Writes Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray
from peer_tables import DEFAULT_EFFORT, MOSAIC, YARDSTICK, mosaic
from provenance import describe_machine

import softcomp_codec
from softcomp_codec import peers, worker_threads
from softcomp_codec.planes import mode_of_array

Array = NDArray[Any]
MOST_TIME = 1.7
"""What the default effort may take on two cores, by JPEG XL's time."""


def contenders(image: Array, efforts: list[int], threads: int) -> dict[str, Callable[[], Array]]:
    """Return what decodes the image, by name; each has been compared."""
    found: dict[str, Callable[[], Array]] = {}
    for peer in peers.peers_for(mode_of_array(image), threads=threads).values():
        if peer.name == YARDSTICK:
            data = peer.encode(image)
            found[f"{YARDSTICK}: {len(data):,} bytes"] = partial(peer.decode, data)
    for effort in efforts:
        for choice in ("none", "auto"):
            data = softcomp_codec.encode(image, effort=effort, codebook=choice)
            name = f"SCF, effort {effort}" + (", no codebook" if choice == "none" else "")
            found[f"{name}: {len(data):,} bytes"] = partial(softcomp_codec.decode, data)
    for name, decode in found.items():
        if not np.array_equal(decode(), image):
            raise AssertionError(f"{name}: not the same picture")
    return found


def measure(decoders: dict[str, Callable[[], Array]], turns: int) -> dict[str, list[float]]:
    """Return the seconds of each turn of each decoder."""
    seconds: dict[str, list[float]] = {name: [] for name in decoders}
    for turn in range(turns):
        for name in list(decoders)[:: 1 if turn % 2 else -1]:
            start = time.perf_counter()
            decoders[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def table(seconds: dict[str, list[float]]) -> list[str]:
    """Return the lines of one table."""
    base = next(taken for name, taken in seconds.items() if name.startswith(YARDSTICK))
    lines = ["| codec | decodes in s | by JPEG XL's time | quartiles |", "|---|---:|---:|---:|"]
    for name, taken in seconds.items():
        ratios = [a / b for a, b in zip(taken, base, strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        lines.append(f"| {name} | {median(taken):.3f} | {middle:.2f} | {low:.2f} to {high:.2f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the shared sets")
    parser.add_argument("--turns", type=int, default=21)
    parser.add_argument("--effort", type=int, nargs="+", default=[1, DEFAULT_EFFORT])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    if arguments.turns < 2:
        parser.error("--turns: quartiles need two turns or more")
    image = mosaic(datasets.pictures(arguments.data / "kodak"), *MOSAIC)
    parts = [
        "# Decoding a large photograph",
        f"A mosaic of Kodak images, {MOSAIC[1]} x {MOSAIC[0]}, RGB; {arguments.turns} turns, "
        "seconds by the clock. The default effort shall take at most "
        f"{MOST_TIME} of JPEG XL's time on two cores. Measured by `benchmarks/large_images.py`.",
        describe_machine("imagecodecs").rstrip(),
    ]
    for threads in (1, 2):
        token = worker_threads.thread_limit.set(threads)
        found = measure(contenders(image, arguments.effort, threads), arguments.turns)
        worker_threads.thread_limit.reset(token)
        parts += [f"## On {threads} core{'s'[: threads - 1]}", "\n".join(table(found))]
    text = "\n\n".join(parts) + "\n"
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "large-images.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
