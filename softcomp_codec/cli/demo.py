"""``scf demo``: the bundled samples through Pillow and imageio."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from .console import complain, n_bytes, print_table, progress, ratio, say
from .encode import coded_by
from .warmup import helping, note_compiling

if TYPE_CHECKING:
    from PIL import Image


_BACKWARDS = "from softcomp_codec.cli.demo import code_backwards; code_backwards()"


@dataclass(frozen=True)
class Trial:
    """One sample, written and read back both ways."""

    name: str
    mode: str
    size: str
    raw_bytes: int
    png_bytes: int
    scf_bytes: int
    coded_by: str
    by_pillow: bool
    by_imageio: bool


def demo() -> None:
    """Encode and open the bundled sample pictures.

    Every sample is written as .scf by both libraries to a temporary folder, with the codebook that
    auto picks, and read back by both. The last line says whether all pixels came back.
    """
    from ..samples import list_samples

    first = note_compiling()
    samples = list_samples()
    trials = []
    with (
        helping(_BACKWARDS, wanted=first),
        TemporaryDirectory(prefix="scf-demo-") as folder,
        progress("encoding") as move,
    ):
        for done, (name, path) in enumerate(samples.items()):
            move(name, done, len(samples))
            trials.append(try_sample(name, path, Path(folder)))
    _print_trials(trials)
    wrong = [each for each in trials if not (each.by_pillow and each.by_imageio)]
    for each in wrong:
        library = "imageio" if each.by_pillow else "Pillow"
        complain(f"{library} did not return the exact pixels", each.name)
    if wrong or not trials:
        raise typer.Exit(1)
    say("Pillow and imageio both returned the exact pixels of every sample.")


def code_backwards() -> None:
    """Encode and decode the samples, the last one first, for the kernels that this compiles."""
    from PIL import Image

    from .. import decode, encode
    from ..samples import list_samples

    for path in reversed(list_samples().values()):
        with Image.open(path) as image:
            decode(encode(image))


def try_sample(name: str, path: Path, folder: Path) -> Trial:
    """Write a sample by Pillow and by imageio, open both files by both, and compare."""
    import imageio.v3 as iio
    import numpy as np
    from PIL import Image

    from ..container import read_header

    with Image.open(path) as opened:
        opened.load()
        image = opened.copy()
    array = np.asarray(image)
    by_pillow, by_imageio = folder / f"{name}-pillow.scf", folder / f"{name}-imageio.scf"
    image.save(by_pillow)
    iio.imwrite(by_imageio, array, plugin="SCF")
    same = {"pillow": True, "imageio": True}
    for file in (by_pillow, by_imageio):
        with Image.open(file) as again:
            same["pillow"] &= (again.mode, again.size) == (image.mode, image.size)
            same["pillow"] &= again.tobytes() == image.tobytes()
        read = iio.imread(file, plugin="SCF")
        same["imageio"] &= read.dtype == array.dtype and np.array_equal(read, array)
    data = by_pillow.read_bytes()
    header = read_header(data)
    return Trial(
        name,
        image.mode,
        f"{image.width} x {image.height}",
        header.raw_size,
        _png_bytes(image),
        len(data),
        coded_by(header, "auto"),
        same["pillow"],
        same["imageio"],
    )


def _png_bytes(image: Image.Image) -> int:
    stream = BytesIO()
    image.save(stream, "PNG", optimize=True)
    return len(stream.getvalue())


def _print_trials(trials: list[Trial]) -> None:
    raw = sum(each.raw_bytes for each in trials)
    png = sum(each.png_bytes for each in trials)
    scf = sum(each.scf_bytes for each in trials)
    columns = [("sample", "left"), ("mode", "left"), ("size", "right"), ("raw", "right")]
    columns += [("PNG", "right"), ("SCF", "right"), ("ratio", "right"), ("coder", "left")]
    say("Bytes: raw samples, optimised PNG, SCF; the ratio is that of raw to SCF.")
    print_table(
        columns,
        [
            (
                each.name,
                each.mode,
                each.size,
                n_bytes(each.raw_bytes),
                n_bytes(each.png_bytes),
                n_bytes(each.scf_bytes),
                ratio(each.raw_bytes, each.scf_bytes),
                each.coded_by,
            )
            for each in sorted(trials, key=lambda each: each.raw_bytes)
        ],
        foldable=("coder",),
        totals=("total", "", "", n_bytes(raw), n_bytes(png), n_bytes(scf), ratio(raw, scf), ""),
    )
