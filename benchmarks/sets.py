"""Sets of images: what they cost, how fast they open, and what survives cuts, kills and full disks.

    python benchmarks/sets.py --data DIR            # MNIST below DIR, Fashion-MNIST as a package
    python benchmarks/sets.py --data DIR --images 500 --kills 5 --cuts 20

Writes benchmarks/results/sets.md. The full disk and the read-only mount need the right to mount a
tmpfs; without it these lines say so.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
from PIL import Image
from provenance import describe_machine

import softcomp_codec
from softcomp_codec import container
from softcomp_codec.errors import ScfError, TruncatedStreamError
from softcomp_codec.idx_files import read_idx_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESULTS = Path(__file__).parent / "results" / "sets.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fashion-mnist", type=Path, default=datasets.DEFAULT_FASHION)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--opens", type=int, default=200)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    fashion = read_idx_file(arguments.fashion_mnist / "t10k-images-idx3-ubyte.gz")
    mnist = read_idx_file(arguments.data / "mnist" / "t10k-images-idx3-ubyte.gz")
    n_images = arguments.images
    lines = ["# Sets of images", "", describe_machine()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = []
        for label, images in (
            ("Fashion-MNIST, test", fashion[:n_images]),
            ("MNIST > 0, test", mnist[:n_images] > 0),
            ("MNIST > 127, test", mnist[:n_images] > 127),
        ):
            path = folder / f"{len(rows)}.scf"
            rows.append((label, path, measure(path, images, arguments.opens)))
        lines += cost_lines(rows)
        lines += ["## Cuts", "", cut_line(folder / "0.scf", fashion[:n_images], arguments.cuts), ""]
        lines += ["## kill -9", ""]
        pictures = folder / "pictures"
        pictures.mkdir()
        for index, image in enumerate(fashion[:600]):
            Image.fromarray(image).save(pictures / f"{index:05}.png")
        for append in (False, True):
            lines.append(kill_line(folder, pictures, append, arguments.kills))
        lines += ["", "## Disks", "", *disk_lines(folder, pictures)]
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return 0


def measure(path: Path, images: NDArray[Any], n_opens: int) -> dict[str, float]:
    """Write a set; return its bytes and the times of opening single images."""
    start = time.perf_counter()
    softcomp_codec.write_set(path, images)
    written = time.perf_counter() - start
    facts: dict[str, float] = {"images": len(images), "write": written}
    with softcomp_codec.open_set(path) as found:
        payloads = 0
        for index, image in enumerate(images):
            if not np.array_equal(found.read(index), image):
                sys.exit(f"{path}: image {index} differs")
            file = found.file(index)
            payloads += len(file) - container.read_header(file).payload_offset
        facts["payloads"] = payloads
    facts["bytes"] = path.stat().st_size
    chosen = random.Random(6)
    times = []
    for _ in range(n_opens):
        index = chosen.randrange(len(images))
        start = time.perf_counter()
        with softcomp_codec.open_set(path) as found:  # nothing is decoded yet
            opened = time.perf_counter()
            found[index]
            times.append((opened - start, time.perf_counter() - opened))
    facts["open"] = statistics.median(each[0] for each in times)
    facts["first"] = statistics.median(each[1] for each in times)
    facts["worst"] = sorted(each[1] for each in times)[-1]
    return facts


def cost_lines(rows: list[tuple[str, Path, dict[str, float]]]) -> list[str]:
    lines = [
        "Bundled codebooks, chosen by `auto`; every image is compared. Opening: a set is opened "
        "anew and one image of it taken, at random; after one such opening.",
        "",
        "| set | images | bytes an image | payloads | around them | open the set, ms | one image, "
        "ms: median | worst | write, images a second |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for label, _, facts in rows:
        n_images = facts["images"]
        lines.append(
            f"| {label} | {n_images:,} | {facts['bytes'] / n_images:.3f} | "
            f"{facts['payloads'] / n_images:.3f} | "
            f"{(facts['bytes'] - facts['payloads']) / n_images:.3f} | {1000 * facts['open']:.2f} | "
            f"{1000 * facts['first']:.2f} | {1000 * facts['worst']:.2f} | "
            f"{n_images / facts['write']:,.0f} |"
        )
    return [*lines, ""]


def cut_line(path: Path, images: NDArray[Any], n_cuts: int) -> str:
    """Cut a set at random places and compare what is left."""
    data = path.read_bytes()
    with softcomp_codec.open_set(path) as found:
        entries, head = found.entries, found.head.n_bytes
    chosen = random.Random(7)
    for _ in range(n_cuts):
        end = chosen.randrange(head, len(data))
        stream = BytesIO(data[:end])
        try:
            softcomp_codec.open_set(stream)
            sys.exit(f"cut at byte {end}: it claims to be whole")
        except TruncatedStreamError:
            stream.seek(0)
        with softcomp_codec.open_set(stream, recover=True) as rest:
            whole = sum(e.n_images for e in entries if e.offset + e.n_bytes <= end)
            if len(rest) != whole:
                sys.exit(f"cut at byte {end}: {len(rest)} images, {whole} are whole")
            for index in {0, whole // 2, whole - 1} if whole else ():
                if not np.array_equal(rest.read(index), images[index]):
                    sys.exit(f"cut at byte {end}: image {index} differs")
    return (
        f"Fashion-MNIST cut at {n_cuts} random bytes: never opened as a whole set, always all "
        "images of all blocks that are whole by `recover=True`."
    )


def scf(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "softcomp_codec.cli", *map(str, arguments)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def kill_line(folder: Path, pictures: Path, append: bool, n_kills: int) -> str:
    """Kill `scf pack` at random moments and look at what it leaves."""
    base = folder / "base.scf"
    old = [np.full((20, 20), value, np.uint8) for value in range(9)]
    softcomp_codec.write_set(base, old, codebook=None)
    target = folder / "killed.scf"
    more = ["--append"] if append else []

    def start() -> subprocess.Popen[str]:
        if append:
            target.write_bytes(base.read_bytes())
        else:
            target.unlink(missing_ok=True)
        return scf("pack", pictures, "-o", target, *more)

    began = time.perf_counter()
    if start().wait():
        sys.exit("scf pack fails")
    duration = time.perf_counter() - began
    chosen = random.Random(8)
    counts = {"whole": 0, "as before": 0, "none": 0, "recovered": 0}
    for _ in range(n_kills):
        process = start()
        time.sleep(chosen.random() * duration)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        counts[_state(target, old if append else [], len(list(pictures.iterdir())))] += 1
    for rest in folder.glob(".scf-*.tmp"):
        rest.unlink()
    told = ", ".join(f"{state}: {count}" for state, count in counts.items() if count)
    what = "`scf pack --append`" if append else "`scf pack`"
    return (
        f"- {what} of 600 PNG files killed at {n_kills} random moments of its {duration:.1f} s: "
        f"{told}. Never a file that claims to be whole and is not; no image that was there is lost."
    )


def _state(target: Path, old: list[NDArray[Any]], n_new: int) -> str:
    if not target.exists():
        return "none"
    try:
        images, state = softcomp_codec.open_set(target), "whole"
    except ScfError:
        images, state = softcomp_codec.open_set(target, recover=True), "recovered"
    with images:
        for index, image in enumerate(old):
            if not np.array_equal(images.read(index), image):
                sys.exit(f"killed: image {index} of before differs")
        for index in range(len(images)):
            images.read(index)
        if state == "whole" and len(images) == len(old) and old:
            return "as before"
        if state == "whole" and len(images) != len(old) + n_new:
            sys.exit(f"killed: {len(images)} images in a set that claims to be whole")
    return state


def disk_lines(folder: Path, pictures: Path) -> list[str]:
    """Pack to a full disk, and to one that may only be read."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.name == "nt" or subprocess.run(mount, capture_output=True, check=False).returncode:
        return ["- not measured: no right to mount a tmpfs"]
    lines = []
    try:
        for what, options in (("full disk", ["--codebook", "none"]), ("read-only mount", [])):
            if options == []:
                subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            process = scf("pack", pictures, "-o", disk / "set.scf", *options)
            said = process.communicate()[1].strip().replace(str(disk), "DISK")
            left = sorted(path.name for path in disk.iterdir())
            lines.append(f"- {what}: exit code {process.returncode}, `{said}`, left there: {left}")
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        old = [np.full((9, 9), value, np.uint8) for value in range(9)]
        softcomp_codec.write_set(disk / "set.scf", old, codebook=None)
        before = (disk / "set.scf").read_bytes()
        process = scf("pack", pictures, "-o", disk / "set.scf", "--append", "--codebook", "none")
        said = process.communicate()[1].strip().replace(str(disk), "DISK")
        same = (disk / "set.scf").read_bytes() == before
        lines.append(
            f"- full disk, `--append`: exit code {process.returncode}, `{said}`, the set is "
            f"{'as before' if same else 'CHANGED'}"
        )
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    return lines


if __name__ == "__main__":
    sys.exit(main())
