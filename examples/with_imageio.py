"""Write and read .scf with both interfaces of imageio."""

from pathlib import Path
from tempfile import TemporaryDirectory

import imageio
import imageio.v3 as iio
import numpy as np

import softcomp_codec  # this import makes .scf known to Pillow and imageio
from softcomp_codec.samples import list_samples


def main() -> None:
    array = iio.imread(list_samples()["microscopy"])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cells.scf"

        iio.imwrite(path, array)  # by the file's name, or with plugin="SCF"
        assert np.array_equal(iio.imread(path), array)
        print("properties without decoding:", iio.improps(path).shape, iio.improps(path).dtype)

        imageio.imwrite(path, array, format="SCF")  # the older interface
        assert np.array_equal(imageio.v2.imread(path), array)

        mask = array > 40  # arrays of bool are kept as such, one bit a sample
        iio.imwrite(path, mask, plugin="SCF")
        restored = iio.imread(path, plugin="SCF")
        assert restored.dtype == np.bool_
        assert np.array_equal(restored, mask)
        header = softcomp_codec.read_header(path.read_bytes())
        print(f"mask: {header.mode.name}, {header.raw_size:,} bytes of samples became "
              f"{path.stat().st_size:,} bytes")  # fmt: skip


if __name__ == "__main__":
    main()
