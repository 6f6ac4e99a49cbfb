"""Tiny, bilevel and few-colour images: `.scf` beside the formats that are best at them.

    python benchmarks/special_sets.py --data DIR [--fashion-mnist DIR] [--sets NAME,NAME...]
                                      [--images N] [--out DIR]

Totals of real files, every file decoded and compared: `.scf` at the default effort without a
codebook and with what ``auto`` takes of the bundled ones, beside JBIG1 (bilevel images), WebP
lossless and JPEG XL effort 9 (the others; palette images as RGB or RGBA). The test images are none
that a bundled codebook was trained on, except where a row says so. Times are CPU seconds of the
process, the smallest of ``--repeat`` turns; images a second of tiny images are by the clock, on two
threads. Writes Markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from provenance import describe_machine

import softcomp_codec
from softcomp_codec.peers import missing_peers, peers_for
from softcomp_codec.planes import mode_of_array

Array = NDArray[Any]

THREADS = 2


@dataclass(frozen=True)
class Target:
    """What a set shall reach: bytes by those of the best of some peers.

    Attributes
    ----------
    folder : str
    codebook : str
        Of `encode`, for the figure that counts.
    yardsticks : tuple of str
        Keys of `peers_for`.
    share : float
    """

    folder: str
    codebook: str
    yardsticks: tuple[str, ...]
    share: float


BILEVEL, COLOURS = ("jbig1",), ("webp", "jpegxl-9")
TARGETS = {
    "bilevel-lines": Target("bilevel-lines/test", "auto", BILEVEL, 0.85),
    "ccitt": Target("bilevel-docs/ccitt", "none", BILEVEL, 0.90),
    "dibco-gt": Target("bilevel-docs/dibco-gt", "none", BILEVEL, 0.90),
    "maptiles-berlin": Target("maptiles-berlin/test", "auto", COLOURS, 0.86),
    "charts": Target("charts/test", "auto", COLOURS, 0.85),
    "screenshots": Target("screenshots/test", "auto", COLOURS, 0.92),
    "icons": Target("icons/test", "auto", COLOURS, 0.95),
}
TINY_TARGETS = {"fashion-mnist": 330, "mnist": 140, "mnist-binary": 30}
"""Bytes a file, on average over the whole test set."""


@dataclass
class Row:
    """What a codec made of a set."""

    name: str
    n_bytes: int = 0
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0


@dataclass
class Table:
    """What came of a set."""

    name: str
    n_images: int
    n_pixels: int
    rows: dict[str, Row] = field(default_factory=dict)


def timed(function: Callable[[], Any], repeats: int) -> tuple[Any, float]:
    """Return the result and the smallest CPU time of some turns."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        seconds.append(time.process_time() - start)
    return result, min(seconds)


def same(found: Image.Image, image: Image.Image) -> bool:
    """Whether two images agree in mode, size, samples, palette and transparency."""
    facts = [
        (each.mode, each.size, each.getpalette(None), each.info.get("transparency"))
        for each in (found, image)
    ]
    return facts[0] == facts[1] and np.array_equal(np.asarray(found), np.asarray(image))


def save(image: Image.Image, codebook: str) -> bytes:
    """Return an image as an `.scf` file, without metadata, which the peers do not get either."""
    buffer = BytesIO()
    image.save(buffer, "SCF", codebook=codebook, metadata=False)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    """Return the image of an `.scf` file, decoded."""
    image = Image.open(BytesIO(data))
    image.load()
    return image


def as_peers_get(image: Image.Image) -> Array:
    """Return the array that peers code: palette images have their colours."""
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    return np.asarray(image)


def measure(name: str, images: Sequence[Image.Image], repeats: int) -> Table:
    """Measure all codecs on a set, image by image."""
    table = Table(name, len(images), sum(image.width * image.height for image in images))
    target = TARGETS[name]
    for done, image in enumerate(images):
        for codebook in dict.fromkeys(("none", target.codebook)):
            row = table.rows.setdefault(f"scf-{codebook}", Row(f"SCF, codebook {codebook}"))
            save(image, codebook)  # the first call of a kind compiles
            data, seconds = timed(partial(save, image, codebook), repeats)
            row.n_bytes += len(data)
            row.encode_seconds += seconds
            found, seconds = timed(partial(opened, data), repeats)
            row.decode_seconds += seconds
            if not same(found, image):
                sys.exit(f"{name}, image {done}: not exact with codebook {codebook}")
        array = as_peers_get(image)
        peers = peers_for(mode_of_array(array))
        for key in target.yardsticks:
            row = table.rows.setdefault(key, Row(peers[key].name))
            data, seconds = timed(partial(peers[key].encode, array), repeats)
            row.n_bytes += len(data)
            row.encode_seconds += seconds
            found, seconds = timed(partial(peers[key].decode, data), repeats)
            row.decode_seconds += seconds
            if not np.array_equal(found, array):
                sys.exit(f"{name}, image {done}: not exact with {peers[key].name}")
    return table


def tiny_images(name: str, data: Path, fashion: Path) -> list[Array]:
    """Return a tiny set's test images."""
    if name == "fashion-mnist":
        return list(datasets.labelled_set("Fashion-MNIST", fashion, "t10k").images)
    threshold = 0 if name == "mnist-binary" else None
    return list(datasets.labelled_set("MNIST", data / "mnist", "t10k", threshold).images)


def measure_tiny(name: str, images: Sequence[Array]) -> dict[str, Any]:
    """Return bytes a file, and images a second on threads after warm-up; all compared."""
    facts: dict[str, Any] = {"images": len(images)}
    for codebook in ("auto", name):
        softcomp_codec.encode_many(images[:8], threads=THREADS, codebook=codebook)
        start = time.perf_counter()
        files = softcomp_codec.encode_many(images, threads=THREADS, codebook=codebook)
        facts[f"{codebook} encode"] = len(images) / (time.perf_counter() - start)
        facts[f"{codebook} bytes"] = sum(map(len, files)) / len(files)
        softcomp_codec.decode_many(files[:8], threads=THREADS)
        start = time.perf_counter()
        decoded = softcomp_codec.decode_many(files, threads=THREADS)
        facts[f"{codebook} decode"] = len(images) / (time.perf_counter() - start)
        if not all(np.array_equal(a, b) for a, b in zip(decoded, images, strict=True)):
            sys.exit(f"{name}: not exact with codebook {codebook}")
    return facts


def verdict(found: float, target: float) -> str:
    """Reached, or missed by how much."""
    return "reached" if found <= target else f"missed by {100 * (found / target - 1):.1f} %"


def table_text(table: Table) -> str:
    """Return a set's part of the document."""
    target = TARGETS[table.name]
    best = min((table.rows[key] for key in target.yardsticks), key=lambda row: row.n_bytes)
    ours = table.rows[f"scf-{target.codebook}"]
    share = ours.n_bytes / best.n_bytes
    lines = [
        f"## {table.name}\n",
        f"{table.n_images} images, {table.n_pixels:,} pixels. {ours.name}: **{share:.4f}** of "
        f"{best.name}; target {target.share}: {verdict(share, target.share)}.\n",
        "| codec | bytes | of the best peer | encode Mpx/s | decode Mpx/s |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in table.rows.values():
        pace = [table.n_pixels / 1e6 / s for s in (row.encode_seconds, row.decode_seconds) if s > 0]
        speeds = ["-", "-"] if "JBIG1" in row.name else [f"{each:.2f}" for each in pace]
        lines.append(
            f"| {row.name} | {row.n_bytes:,} | {row.n_bytes / best.n_bytes:.4f} | "
            f"{' | '.join(speeds)} |"
        )
    return "\n".join(lines)


def tiny_text(name: str, facts: dict[str, Any]) -> str:
    """Return a tiny set's part of the document."""
    found, target = facts["auto bytes"], TINY_TARGETS[name]
    lines = [
        f"## {name}\n",
        f"{facts['images']:,} test images, a file each: **{found:.2f}** bytes on average by auto; "
        f"target {target}: {verdict(found, target)}.\n",
        f"| codebook | bytes a file | encoded a second | decoded a second, {THREADS} threads |",
        "|---|---:|---:|---:|",
    ]
    for choice in ("auto", name):
        lines.append(
            f"| {choice} | {facts[f'{choice} bytes']:.2f} | {facts[f'{choice} encode']:,.0f} | "
            f"{facts[f'{choice} decode']:,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print and write."""
    arguments = _parse()
    if lacking := missing_peers():
        sys.exit("special_sets.py needs " + "; ".join(map(str, lacking)))
    start = time.monotonic()
    parts = []
    for name in arguments.sets:
        if name in TINY_TARGETS:
            tiny = tiny_images(name, arguments.data, arguments.fashion_mnist)[: arguments.images]
            parts.append(tiny_text(name, measure_tiny(name, tiny)))
        else:
            folder = arguments.data / TARGETS[name].folder
            images = datasets.opened_pictures(folder)[: arguments.images]
            parts.append(table_text(measure(name, images, arguments.repeat)))
        print(parts[-1], "\n", flush=True)
    reduced = arguments.images is not None or set(arguments.sets) != {*TARGETS, *TINY_TARGETS}
    minutes = (time.monotonic() - start) / 60
    head = [
        "# `.scf` on tiny, bilevel and few-colour images",
        f"Written by `benchmarks/special_sets.py` in {minutes:.1f} minutes. Totals of real files, "
        "headers and checksums included, codebooks not; every file was decoded and compared. "
        "Peers: WebP lossless (Pillow, method 6, quality 100, exact), JPEG XL effort 9 "
        f"(imagecodecs), JBIG1 (pbmtojbg -q). Speeds by CPU time, best of "
        f"{arguments.repeat} turns.",
        describe_machine("imagecodecs").rstrip(),
    ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"special-sets{'-reduced' * reduced}.md"
    path.write_text("\n\n".join([*head, *parts]) + "\n", encoding="utf-8")
    print(f"written to {path}", file=sys.stderr)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = [*TARGETS, *TINY_TARGETS]
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fashion-mnist", type=Path, default=datasets.DEFAULT_FASHION)
    parser.add_argument(
        "--sets", type=lambda text: text.split(","), default=names, help=",".join(names)
    )
    parser.add_argument("--images", type=int, metavar="N", help="only the first N test images")
    parser.add_argument("--repeat", type=int, default=1, metavar="N")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.sets if name not in names]:
        parser.error(f"no set {unknown[0]}; there are {', '.join(names)}")
    return arguments


if __name__ == "__main__":
    main()
