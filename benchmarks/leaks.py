"""Whether opening and saving many images leaks memory or file handles.

    python benchmarks/leaks.py                    # 10,500 rounds: 1,500 of each kind
    python benchmarks/leaks.py --rounds 10000     # of each kind

A round saves an image and opens it again, through Pillow (by path, by file object, with metadata,
of several frames, without loading it, cut off) and through imageio. After a tenth of the rounds,
when every cache is full, memory and open files are measured, and again at the end.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
from PIL import Image

import softcomp_codec

if TYPE_CHECKING:
    from collections.abc import Callable

ALLOWED_BYTES = 4 << 20
"""Growth between the two measurements that is no leak: the allocator's own."""

TAGS = Image.Exif()
TAGS[0x010E] = "a picture"
INFO = {"exif": TAGS.tobytes(), "dpi": (72, 72.5), "Title": "a title", "loop": 0}


def resident_bytes() -> int:
    """Return the memory of this process, in bytes."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def n_open_files() -> int:
    """Return the number of open file handles of this process."""
    return len(os.listdir("/proc/self/fd"))


def rounds(folder: Path) -> dict[str, Callable[[int], None]]:
    """Return what a round of each kind does with its number."""
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 16, (40, 50)).astype(np.uint8) for _ in range(7)]
    colours = [np.stack([array, array, array + 1], axis=2) for array in arrays]
    path = folder / "x.scf"

    def by_path(index: int) -> None:
        Image.fromarray(arrays[index % 7]).save(path, codebook=None)
        with Image.open(path) as image:
            image.load()

    def by_file_object(index: int) -> None:
        stream = io.BytesIO()
        Image.fromarray(colours[index % 7]).save(stream, "SCF", codebook=None)
        Image.open(stream).load()

    def with_metadata(index: int) -> None:
        Image.fromarray(arrays[index % 7]).save(path, codebook=None, metadata=INFO)
        with Image.open(path) as image:
            image.getexif()
            image.load()

    def of_frames(index: int) -> None:
        frames = [Image.fromarray(array) for array in arrays[:3]]
        frames[0].save(path, save_all=True, append_images=frames[1:], codebook=None, duration=5)
        with Image.open(path) as image:
            image.seek(index % 3)
            image.load()

    def opened_only(index: int) -> None:
        Image.open(path).close()

    def cut_off(index: int) -> None:
        data = softcomp_codec.encode(arrays[0], codebook=None)
        try:
            Image.open(io.BytesIO(data[: len(data) - 1 - index % 20])).load()
        except OSError:
            return
        raise AssertionError("a file that was cut off was read")

    def by_imageio(index: int) -> None:
        iio.imwrite(path, colours[index % 7], plugin="SCF", codebook=None, dpi=(1, 2))
        iio.imread(path, plugin="SCF")
        iio.immeta(path, plugin="SCF")

    by_path(0)  # leaves a file for `opened_only`, whatever is run
    return {
        each.__name__.replace("_", " "): each
        for each in (by_path, by_file_object, with_metadata, of_frames, opened_only, cut_off,
                     by_imageio)
    }  # fmt: skip


def measure(make_round: Callable[[int], None], n_rounds: int) -> tuple[int, int]:
    """Return by how many bytes and file handles a process grows, after its caches are full."""
    before = (0, 0)
    for index in range(n_rounds):
        if index == n_rounds // 10:
            gc.collect()
            before = resident_bytes(), n_open_files()
        make_round(index)
    gc.collect()
    return resident_bytes() - before[0], n_open_files() - before[1]


def main(arguments: list[str] | None = None) -> int:
    """Run all kinds; return 1 if any leaks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1500, help="of each kind")
    options = parser.parse_args(arguments)
    leaks = False
    with tempfile.TemporaryDirectory() as folder:
        for name, make_round in rounds(Path(folder)).items():
            start = time.perf_counter()
            n_bytes, n_files = measure(make_round, options.rounds)
            seconds = time.perf_counter() - start
            leaking = n_bytes > ALLOWED_BYTES or n_files > 0
            leaks |= leaking
            print(
                f"{name}: {options.rounds} rounds in {seconds:.1f} s, {n_bytes / 1024:+.0f} KiB, "
                f"{n_files:+d} open files{' LEAK' if leaking else ''}",
                flush=True,
            )
    return int(leaks)


if __name__ == "__main__":
    sys.exit(main())
