"""Save and open every image of some folders through Pillow, with several codebooks.

    python benchmarks/round_trips.py FOLDER [FOLDER ...]

Images of other modes than 1, L and RGB are counted and left out. Each image is saved with each
bundled codebook and with none, opened again, and compared sample by sample.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections import Counter
from pathlib import Path

from PIL import Image

from softcomp_codec import codebook_store

MODES = ("1", "L", "RGB")


def check(path: Path, codebooks: list[str]) -> tuple[str, list[str]]:
    """Return (mode, the codebooks with which the image did not survive)."""
    with Image.open(path) as image:
        image.load()
    if image.mode not in MODES:
        return image.mode, []
    failed = []
    for codebook in codebooks:
        buffer = io.BytesIO()
        image.save(buffer, "SCF", codebook=codebook)
        with Image.open(buffer) as again:
            if (again.mode, again.size, again.tobytes()) != (
                image.mode, image.size, image.tobytes(),
            ):  # fmt: skip
                failed.append(codebook)
    return image.mode, failed


def main() -> int:
    """Check all images; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    arguments = parser.parse_args()
    bundled = [stored.book.name for stored in codebook_store.list_codebooks()]
    codebooks = ["auto", "none", *bundled]
    print("codebooks:", ", ".join(codebooks))
    n_failed = 0
    for folder in arguments.folders:
        modes: Counter[str] = Counter()
        failures = 0
        for path in sorted(folder.rglob("*.png")):
            mode, failed = check(path, codebooks)
            modes[mode] += 1
            failures += len(failed)
            for codebook in failed:
                print(f"  NOT EXACT: {path} with {codebook}")
        n_failed += failures
        exact = sum(n for mode, n in modes.items() if mode in MODES)
        left_out = {mode: n for mode, n in modes.items() if mode not in MODES}
        print(f"{folder}: {exact} images x {len(codebooks)} choices, {failures} not exact; "
              f"other modes left out: {left_out or 'none'}", flush=True)  # fmt: skip
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
