"""The image sets that benchmarks run on; none of them travels with the project."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from softcomp_codec.idx_files import read_idx_file

DEFAULT_FASHION = Path("/usr/share/datasets/fashion-mnist")


def fashion(folder: Path, n_images: int) -> list[NDArray[Any]]:
    """Return the first test images of Fashion-MNIST."""
    return list(read_idx_file(folder / "t10k-images-idx3-ubyte.gz")[:n_images])


def digits(data: Path, n_images: int, threshold: int) -> list[NDArray[Any]]:
    """Return the first test digits of MNIST, thresholded."""
    return list(read_idx_file(data / "mnist" / "t10k-images-idx3-ubyte.gz")[:n_images] > threshold)


def pictures(folder: Path) -> list[NDArray[Any]]:
    """Return all PNG images of a folder as arrays."""
    paths = sorted(folder.glob("*.png"))
    if not paths:
        sys.exit(f"{folder} holds no PNG images")
    return [np.asarray(Image.open(path)) for path in paths]
