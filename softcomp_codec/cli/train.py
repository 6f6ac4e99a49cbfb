"""``scf train``: a codebook from a folder of similar pictures."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..container import MODES
from ..idx_files import is_idx_file, read_idx_file
from .batch import files_below, run_all, write_output
from .codebook import facts
from .console import note, plural, print_facts, progress, say
from .pictures import picture_suffixes, read_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..encoder import ImageLike

SUFFIX = ".scfb"
MAX_NAMED = 10
"""Most skipped files that are named."""


def train(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR",
            help="Folders of similar pictures, or picture and idx files.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="The .scfb file.", show_default=False),
    ],
    name: Annotated[
        str | None,
        typer.Option(help="The codebook's name; by default that of FILE.", show_default=False),
    ] = None,
    holdout: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=0.5,
            help="Share of the pictures that a first training leaves out, to report on.",
        ),
    ] = 0.1,
    threshold: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=254,
            help="Make gray pictures bilevel: what is above this is white.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str, typer.Option(help="Where the pictures come from, for the training record.")
    ] = "",
    settings: Annotated[
        str,
        typer.Option(
            help="default; or reference: soft compression as published, for comparisons.",
        ),
    ] = "default",
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace an existing file.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option("-j", "--jobs", min=1, help="Threads; by default one a core."),
    ] = None,
) -> None:
    """Train a codebook on similar pictures.

    The same pictures give the same codebook, whatever their order and the number of threads. Files
    that are no pictures, or cannot be kept exactly, are left out with a note; with --settings
    reference also those of 16 bits or with alpha.
    """
    from .. import training

    if settings not in ("default", "reference"):
        raise typer.BadParameter(f"--settings is {settings}, expected default or reference")
    _check_output(output, force=force)
    workers = jobs or os.cpu_count() or 1
    images = read_images(sources, threshold, workers, any_mode=settings == "default")
    if not images:
        raise ValueError("there is no picture to train on")
    with progress("training") as move:
        book = training.train(
            images,
            name=name or output.stem,
            workers=workers,
            holdout=holdout,
            source=source,
            settings=settings,
            progress=move,
        )
    write_output(output, book.to_bytes(), force=force)
    print_facts(facts(book), title=f"codebook {book.name}")
    say(f"written to {output}")


def read_images(
    sources: Sequence[Path], threshold: int | None, threads: int, *, any_mode: bool = True
) -> list[ImageLike]:
    """Return the pictures of folders and files; what is left out is reported."""
    images: list[ImageLike] = []
    skipped: list[tuple[Path, str]] = []
    paths = _paths(sources)
    for path, result in run_all(
        paths, partial(_read_file, any_mode=any_mode), threads=threads, label="reading"
    ):
        if isinstance(result, Exception):
            skipped.append((path, str(result)))
        else:
            images += result
    for path, why in skipped[:MAX_NAMED]:
        note(f"left out {path}: {why}")
    if len(skipped) > MAX_NAMED:
        note(f"left out {plural(len(skipped) - MAX_NAMED, 'more file')}")
    if threshold is not None:
        return [_thresholded(image, threshold) for image in images]
    return images


def _thresholded(image: ImageLike, threshold: int) -> ImageLike:
    """Return gray images as bilevel ones, others as they are."""
    import numpy as np

    if isinstance(image, np.ndarray) and image.dtype.kind == "u" and image.ndim == 2:
        return image > threshold
    return image


def _check_output(output: Path, *, force: bool) -> None:
    """Refuse before the training what could not be written after it."""
    if output.suffix != SUFFIX:
        raise typer.BadParameter(f"-o {output}: codebook files are named {SUFFIX}")
    if output.exists() and not force:
        raise FileExistsError(f"{output} exists already; --force replaces it")


def _paths(sources: Sequence[Path]) -> list[Path]:
    paths: list[Path] = []
    for source in sources:
        if not source.exists():
            raise FileNotFoundError(f"{source}: there is no such folder or file")
        paths += files_below(source) if source.is_dir() else [source]
    return paths


def _read_file(path: Path, *, any_mode: bool) -> list[ImageLike]:
    import numpy as np

    if is_idx_file(path):
        return list(read_idx_file(path))
    if path.suffix.lower() not in picture_suffixes() | {".scf"}:
        raise OSError("no picture by name")
    frames, _ = read_picture(path)
    trainable = [m.pillow_mode for m in MODES.values() if any_mode or m.kind is not None]
    for frame in frames:
        if frame.mode not in trainable:
            names = ", ".join(filter(None, trainable))
            raise OSError(f"mode {frame.mode} is not trained on; these codebooks are for {names}")
    return [frame if frame.mode == "P" else np.asarray(frame) for frame in frames]
