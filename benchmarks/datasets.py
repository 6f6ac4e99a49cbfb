"""The image sets that benchmarks run on; none of them travels with the project."""

from __future__ import annotations

import gzip
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from softcomp_codec.idx_files import read_idx_file

DEFAULT_FASHION = Path("/usr/share/datasets/fashion-mnist")


_CLASS_NAMES = {
    "Fashion-MNIST": ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt",
                      "sneaker", "bag", "ankle boot"),
    "MNIST": tuple("0123456789"),
}  # fmt: skip


@dataclass(frozen=True)
class LabelledSet:
    """Images of ten classes, with their labels."""

    name: str
    images: NDArray[Any]
    labels: NDArray[Any]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return _CLASS_NAMES[self.name]

    def of_class(self, label: int) -> list[NDArray[Any]]:
        """Return the images of a class, in the order of the set."""
        return list(self.images[self.labels == label])

    def first(self, n_images: int | None) -> LabelledSet:
        """Return the first images of each class; all where there is no number."""
        if n_images is None:
            return self
        rank = np.zeros(len(self.labels), np.int64)
        for label in range(10):
            which = self.labels == label
            rank[which] = np.arange(np.count_nonzero(which))
        return LabelledSet(self.name, self.images[rank < n_images], self.labels[rank < n_images])


def labelled_set(name: str, folder: Path, part: str, threshold: int | None = None) -> LabelledSet:
    """Return the "train" or "t10k" part of "MNIST" or "Fashion-MNIST", thresholded or gray."""
    for path in labelled_paths(folder, part):
        if not path.is_file():
            hint = ""
            if name == "Fashion-MNIST":
                hint = (
                    "; apt-get install dataset-fashion-mnist, or name its folder by --fashion-mnist"
                )
            sys.exit(f"{path} is missing: the four idx files of {name} are needed{hint}")
    images_path, labels_path = labelled_paths(folder, part)
    images = read_idx_file(images_path)
    labels = np.frombuffer(gzip.decompress(labels_path.read_bytes()), np.uint8, offset=8)
    if len(labels) != len(images):
        sys.exit(f"{labels_path} has {len(labels)} labels for {len(images)} images")
    return LabelledSet(name, images if threshold is None else images > threshold, labels)


def labelled_paths(folder: Path, part: str) -> tuple[Path, Path]:
    """Return the files of images and labels."""
    return folder / f"{part}-images-idx3-ubyte.gz", folder / f"{part}-labels-idx1-ubyte.gz"


def fashion(folder: Path, n_images: int) -> list[NDArray[Any]]:
    """Return the first test images of Fashion-MNIST."""
    return list(read_idx_file(folder / "t10k-images-idx3-ubyte.gz")[:n_images])


def digits(data: Path, n_images: int, threshold: int) -> list[NDArray[Any]]:
    """Return the first test digits of MNIST, thresholded."""
    return list(read_idx_file(data / "mnist" / "t10k-images-idx3-ubyte.gz")[:n_images] > threshold)


def pictures(folder: Path) -> list[NDArray[Any]]:
    """Return all PNG images of a folder as arrays."""
    return [np.asarray(image) for image in opened_pictures(folder)]


def opened_pictures(folder: Path) -> list[Image.Image]:
    """Return all PNG images of a folder, loaded."""
    paths = sorted(folder.glob("*.png"))
    if not paths:
        sys.exit(f"{folder} holds no PNG images")
    images = []
    for path in paths:
        with Image.open(path) as image:
            image.load()
        images.append(image)
    return images
