"""Take every image of some folders through Pillow and imageio; nothing may be lost.

    python benchmarks/plugin_round_trips.py FOLDER [FOLDER ...] [--effort N] [-j N]

A folder, with those in it, holds pictures that Pillow reads. Each is saved and opened again by
Pillow: mode, size, samples, palette, transparency and metadata must be the same. Its array, and the
metadata as options, are written and read by imageio: dtype, shape, samples and metadata must be the
same. What does not survive is named, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from PIL import Image, UnidentifiedImageError

from softcomp_codec.metadata import metadata_of_pillow
from softcomp_codec.palettes import palette_of

OPTIONS = ("exif", "icc_profile", "xmp", "dpi", "gamma", "comment")
"""What imageio's caller gives besides the array; text is given, too."""


def by_pillow(image: Image.Image, effort: int) -> list[str]:
    """Return what of an image does not survive Pillow."""
    buffer = io.BytesIO()
    image.save(buffer, "SCF", effort=effort)
    with Image.open(buffer) as again:
        again.load()
        checks = {
            "mode": again.mode == image.mode,
            "size": again.size == image.size,
            "samples": again.tobytes() == image.tobytes(),
            "palette": palette_of(again) == palette_of(image) if image.mode == "P" else True,
            "transparency": again.info.get("transparency") == image.info.get("transparency"),
            "metadata": metadata_of_pillow(again) == metadata_of_pillow(image),
        }
    return [f"Pillow: {what}" for what, same in checks.items() if not same]


def by_imageio(image: Image.Image, effort: int) -> list[str]:
    """Return what of an image's array and metadata does not survive imageio."""
    array = np.asarray(image)
    kept = metadata_of_pillow(image)
    info = kept.info()
    options = {key: info[key] for key in OPTIONS if key in info}
    if kept.text:
        options["text"] = dict(kept.text)
    data = iio.imwrite("<bytes>", array, extension=".scf", effort=effort, **options)
    again = iio.imread(data, extension=".scf")
    found = iio.immeta(data, extension=".scf")
    checks = {
        "dtype": again.dtype == array.dtype,
        "shape": again.shape == array.shape,
        "samples": np.array_equal(again, array, equal_nan=array.dtype.kind == "f"),
        **{key: found.get(key) == info[key] for key in OPTIONS if key in info},
        "text": all(found.get(key) == value for key, value in dict(kept.text).items()),
    }
    return [f"imageio: {what}" for what, same in checks.items() if not same]


def check(path: Path, effort: int) -> tuple[str | None, bool, list[str]]:
    """Return mode (None of what is no picture), whether it has metadata, and what did not survive.

    Frames of an animation are taken one by one.
    """
    try:
        opened = Image.open(path)
    except UnidentifiedImageError:
        return None, False, []
    lost: list[str] = []
    with opened as image:
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            image.load()
            for survives in (by_pillow, by_imageio):
                try:
                    lost += survives(image, effort)
                except Exception as error:  # named, and counted as lost
                    lost.append(f"{survives.__name__}: {type(error).__name__}: {error}")
        return image.mode, bool(metadata_of_pillow(image).info()), lost


def main() -> int:
    """Check all images; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--effort", type=int, default=5, metavar="N")
    parser.add_argument("-j", type=int, default=2, metavar="N", help="processes")
    arguments = parser.parse_args()
    if lacking := [str(folder) for folder in arguments.folders if not folder.is_dir()]:
        parser.error(f"no folder {', '.join(lacking)}")
    n_failed = 0
    with ProcessPoolExecutor(arguments.j, get_context("spawn")) as pool:
        for folder in arguments.folders:
            start = time.monotonic()
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            results = pool.map(check, paths, [arguments.effort] * len(paths))
            modes: Counter[str] = Counter()
            n_others = n_told = 0
            for path, (mode, tells, lost) in zip(paths, results, strict=True):
                if mode is None:
                    n_others += 1
                    continue
                modes[mode] += 1
                n_told += tells
                n_failed += bool(lost)
                for each in lost:
                    print(f"  LOST: {path}: {each}")
            print(
                f"{folder}: {modes.total()} images ({dict(modes)}), {n_told} with metadata; "
                f"{n_others} files are no pictures; {time.monotonic() - start:.0f} s",
                flush=True,
            )
    print("all survived" if not n_failed else f"{n_failed} images did not survive")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
