"""Convert a folder of pictures to .scf, several at once, and check every one.

python examples/convert_folder.py [FOLDER]      # without FOLDER: copies of the bundled samples
"""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

import softcomp_codec
from softcomp_codec.atomic_files import write_atomically
from softcomp_codec.samples import list_samples


def convert(path: Path) -> tuple[int, int]:
    """Write the .scf file beside a picture; return the bytes of both files."""
    with Image.open(path) as image:
        data = softcomp_codec.encode(image)
        target = path.with_suffix(".scf")
        write_atomically(target, data)
        with Image.open(target) as again:
            assert again.mode == image.mode
            assert again.tobytes() == image.tobytes()
    return path.stat().st_size, len(data)


def convert_all(folder: Path) -> None:
    paths = sorted(folder.glob("*.png"))
    with ThreadPoolExecutor() as pool:  # the kernels run without the GIL
        sizes = list(pool.map(convert, paths))
    before, after = (sum(column) for column in zip(*sizes, strict=True))
    print(f"{len(paths)} pictures: {before:,} bytes of PNG became {after:,} bytes of SCF")


def main() -> None:
    if len(sys.argv) > 1:
        convert_all(Path(sys.argv[1]))
        return
    with TemporaryDirectory() as folder:
        for path in list_samples().values():
            shutil.copy(path, folder)
        convert_all(Path(folder))


if __name__ == "__main__":
    main()
