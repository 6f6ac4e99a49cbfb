"""Measure the bundled codebooks on the test images of their sets, beside PNG.

    python benchmarks/bundled.py --data DIR [--fashion-mnist DIR] [--out FILE.md]

Real file bytes in one run: PNG by Pillow (optimize=True), `.scf` with the bundled codebook, with
the shapes coder alone, that with the shape layer left empty, and with no codebook. Every file is
decoded and compared.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from provenance import describe_machine

import softcomp_codec
from softcomp_codec import shapes_coder
from softcomp_codec.planes import mode_of_array


def png_bytes(array: NDArray[Any]) -> int:
    """Return the size of Pillow's optimized PNG."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", optimize=True)
    return buffer.tell()


def measure(name: str, arrays: list[NDArray[Any]], codebook: str) -> dict[str, Any]:
    """Return totals over a set; raise if one image does not come back exactly."""
    book = softcomp_codec.load_codebook(codebook)
    mode = mode_of_array(arrays[0])
    softcomp_codec.encode_many(arrays[:2], codebook=book)
    start = time.perf_counter()
    files = softcomp_codec.encode_many(arrays, codebook=book)
    encoded = time.perf_counter()
    decoded = softcomp_codec.decode_many(files)
    seconds = encoded - start, time.perf_counter() - encoded
    for array, again in zip(arrays, decoded, strict=True):
        if not np.array_equal(array, again):
            raise SystemExit(f"{name}: an image did not come back exactly")
    headers = [softcomp_codec.read_header(data) for data in files]
    overhead = [header.payload_offset for header in headers]
    shapes = off = None
    if mode.kind in book.parts:
        shapes = sum(map(len, softcomp_codec.encode_many(arrays, codebook=book, coder="shapes")))
        off = sum(overhead)
        off += sum(
            len(shapes_coder.encode_payload(a, mode, book, use_shapes=False)) for a in arrays
        )
    raw = sum(header.raw_size for header in headers)
    return {
        "set": name,
        "images": len(arrays),
        "raw": raw,
        "png": sum(map(png_bytes, arrays)),
        "scf": sum(map(len, files)),
        "shapes": shapes,
        "off": off,
        "none": sum(map(len, softcomp_codec.encode_many(arrays, codebook=None))),
        "payload": (sum(map(len, files)) - sum(overhead)) / len(arrays),
        "encode": raw / 1e6 / seconds[0],
        "decode": raw / 1e6 / seconds[1],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "| set | images | raw bytes | PNG | SCF | SCF ratio | PNG ratio | SCF, no codebook "
        "| SCF, shapes coder | shapes left out | payload bytes an image | encode MB/s "
        "| decode MB/s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['set']} | {r['images']:,} | {r['raw']:,} | {r['png']:,} | {r['scf']:,} "
        f"| **{r['raw'] / r['scf']:.3f}** | {r['raw'] / r['png']:.3f} | {r['none']:,} "
        f"| {_number(r['shapes'])} | {_number(r['off'])} | {r['payload']:.2f} "
        f"| {r['encode']:.1f} | {r['decode']:.1f} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def _number(n_bytes: int | None) -> str:
    return "-" if n_bytes is None else f"{n_bytes:,}"


LARGE_SETS = {
    "DRIVE test": ("drive/test", "retina"),
    "PH2 test": ("ph2/test", "dermoscopy"),
    "EM test": ("em-membrane/test", "electron-microscopy"),
    "CT test, 16 bits": ("ct16/test", "ct"),
    "cells, gray, test": ("cells-gray/test", "cells-gray"),
    "cells, RGB, test": ("cells-rgb/test", "cells-rgb"),
    "ultrasound test": ("ultrasound/test", "ultrasound"),
}


def main() -> None:
    """Measure all sets, print and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fashion-mnist", type=Path, default=datasets.DEFAULT_FASHION)
    parser.add_argument("--images", type=int, default=1000, help="of the sets of tiny images")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/bundled.md")
    arguments = parser.parse_args()
    n_images = arguments.images
    rows = [
        measure("Fashion-MNIST t10k", datasets.fashion(arguments.fashion_mnist, n_images),
                "fashion-mnist"),
        measure("MNIST t10k > 0", datasets.digits(arguments.data, n_images, 0), "mnist-binary"),
        measure("MNIST t10k > 127", datasets.digits(arguments.data, n_images, 127),
                "mnist-binary-127"),
        *(
            measure(name, datasets.pictures(arguments.data / folder), codebook)
            for name, (folder, codebook) in LARGE_SETS.items()
        ),
    ]  # fmt: skip
    text = (
        "# Bundled codebooks on their sets' test images\n\n"
        "Written by `benchmarks/bundled.py`; real file bytes.\n\n"
        f"{describe_machine()}\n{table(rows)}"
    )
    arguments.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
