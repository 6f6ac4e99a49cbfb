"""The image sets that benchmarks run on; none of them travels with the project."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

DEFAULT_FASHION = Path("/usr/share/datasets/fashion-mnist")


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the images of a gzipped IDX file, (n, H, W) uint8."""
    if not path.exists():
        sys.exit(f"{path} is missing")
    data = gzip.decompress(path.read_bytes())
    n_images, height, width = (int.from_bytes(data[i : i + 4], "big") for i in (4, 8, 12))
    return np.frombuffer(data, np.uint8, offset=16).reshape(n_images, height, width)


def fashion(folder: Path, n_images: int) -> list[NDArray[Any]]:
    """Return the first test images of Fashion-MNIST."""
    return list(read_idx(folder / "t10k-images-idx3-ubyte.gz")[:n_images])


def digits(data: Path, n_images: int, threshold: int) -> list[NDArray[Any]]:
    """Return the first test digits of MNIST, thresholded."""
    return list(read_idx(data / "mnist" / "t10k-images-idx3-ubyte.gz")[:n_images] > threshold)


def pictures(folder: Path) -> list[NDArray[Any]]:
    """Return all PNG images of a folder as arrays."""
    paths = sorted(folder.glob("*.png"))
    if not paths:
        sys.exit(f"{folder} holds no PNG images")
    return [np.asarray(Image.open(path)) for path in paths]
