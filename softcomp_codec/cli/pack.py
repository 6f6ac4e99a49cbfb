"""``scf pack``: many pictures into one file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..idx_files import is_idx_file, read_idx_file
from .batch import files_below
from .console import complain, n_bytes, note, plural, progress, ratio, say
from .pictures import SCF_SUFFIX, picture_suffixes, read_picture
from .set_lines import is_set_file

if TYPE_CHECKING:
    from ..codebook import Codebook
    from ..encoder import ImageLike
    from ..set_writer import SetWriter

MAX_TRAINING_IMAGES = 10_000
"""Most images that ``--codebook train`` looks at."""


@dataclass(frozen=True)
class Source:
    """A file to pack, and the name of its picture; of idx files, what all its names begin with."""

    path: Path
    name: str | None
    is_idx: bool = False


@dataclass
class Tally:
    """What was packed."""

    n_images: int = 0
    raw_size: int = 0
    source_size: int = 0
    failed: int = 0
    lost: dict[str, int] = field(default_factory=dict)


def pack(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUTS",
            help="Folders of pictures, pictures, and idx files.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="SET", help="The set.", show_default=False)
    ],
    codebook: Annotated[
        str,
        typer.Option(metavar="NAME", help="auto, none, train, or a codebook's name, ID or path."),
    ] = "auto",
    effort: Annotated[int, typer.Option(min=1, max=9, help="1 is fast, 9 is small.")] = 5,
    coder: Annotated[
        str, typer.Option(metavar="NAME", help="auto, or for comparisons that of scf encode.")
    ] = "auto",
    embed: Annotated[
        bool | None,
        typer.Option(
            "--embed-codebook/--refer",
            help="Put the codebook into the set, or only its ID; by default it is put there unless "
            "it is bundled with scf.",
            show_default=False,
        ),
    ] = None,
    append: Annotated[bool, typer.Option("--append", help="Add to the set.")] = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="Add to a set that was cut off, too.")
    ] = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace an existing set.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option("-j", "--jobs", min=1, help="Threads; by default one a core."),
    ] = None,
) -> None:
    """Pack many pictures into one file, a set.

    Pictures are called by their paths below the folders, those of a single idx file by their
    numbers. A picture that .scf cannot keep exactly is refused, the others are packed. The set
    takes its place when it is whole; --append leaves what is there as it is.
    """
    from ..set_writer import SetWriter

    _check(output, coder, append=append, recover=recover, force=force)
    sources, n_skipped = find_sources(inputs, output)
    if not sources:
        raise ValueError("there is no picture to pack")
    threads = jobs or os.cpu_count() or 1
    book: Codebook | str = codebook
    if codebook == "train":
        book = _train(sources, output.stem, threads)
    tally = Tally()
    with SetWriter(
        output, codebook=book, effort=effort, coder=coder, embed_codebook=embed, append=append,
        recover=recover, threads=jobs,
    ) as writer:  # fmt: skip
        taken = [each.name for each in sources if each.name in writer.names]
        if taken:
            raise ValueError(
                f"{output} has an image {taken[0]!r} already"
                + (f", and {plural(len(taken) - 1, 'more')}" if taken[1:] else "")
            )
        before = len(writer)
        with progress("packing", len(sources)) as move:
            for done, (source, result) in enumerate(_read(sources, threads), 1):
                _add(writer, source, result, tally, move)
                move("", done, len(sources))
        if len(writer) == before:
            raise ValueError("none of the pictures could be packed; nothing was written")
    _summarise(output, tally, n_skipped)
    if tally.failed:
        raise typer.Exit(1)


def _check(output: Path, coder: str, *, append: bool, recover: bool, force: bool) -> None:
    if output.suffix.lower() != SCF_SUFFIX:
        raise typer.BadParameter(f"-o {output}: sets are named {SCF_SUFFIX}")
    from ..coder_choice import CODER_CHOICES

    if coder not in CODER_CHOICES:
        raise typer.BadParameter(f"--coder {coder}: expected one of {', '.join(CODER_CHOICES)}")
    if recover and not append:
        raise typer.BadParameter("--recover goes with --append")
    if append and force:
        raise typer.BadParameter("--append and --force exclude each other")
    if append and not output.is_file():
        raise FileNotFoundError(f"{output}: there is no such set to add to")
    if output.exists() and not (append or force):
        raise FileExistsError(f"{output} exists already; --force replaces it, --append adds to it")


def find_sources(inputs: Sequence[Path], output: Path) -> tuple[list[Source], int]:
    """Return the files to pack, and how many files of folders are no pictures by name.

    Raises
    ------
    ValueError, OSError
        Two files would have the same name in the set, or there is no such file.
    """
    suffixes = picture_suffixes() | {SCF_SUFFIX}
    sources: list[Source] = []
    n_skipped = 0
    for path in inputs:
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such folder or file")
        below = (
            [(each, each.relative_to(path)) for each in files_below(path)] if path.is_dir() else []
        )
        for file, name in below:
            if file.suffix.lower() not in suffixes or _same_file(file, output):
                n_skipped += not _same_file(file, output)
            else:
                sources.append(Source(file, name.as_posix()))
        if not path.is_dir():
            is_idx = is_idx_file(path)
            alone = is_idx and len(inputs) == 1
            sources.append(Source(path, None if alone else path.name, is_idx))
    by_name: dict[str | None, Path] = {}
    for source in sources:
        other = by_name.setdefault(source.name, source.path)
        if other is not source.path:
            raise ValueError(f"{other} and {source.path} would both be called {source.name!r}")
    return sources, n_skipped


def _same_file(path: Path, other: Path) -> bool:
    return other.exists() and path.samefile(other)


def _read(
    sources: Sequence[Source], threads: int
) -> Iterator[tuple[Source, tuple[Any, tuple[str, ...]] | Exception]]:
    """Read files on threads, a few ahead; yield (images or frames, metadata that is lost)."""

    def attempt(source: Source) -> tuple[Any, tuple[str, ...]] | Exception:
        try:
            if source.is_idx:
                return read_idx_file(source.path), ()
            if is_set_file(source.path):
                raise OSError("it is a set itself: unpack it first")
            return read_picture(source.path)
        except Exception as error:  # one bad file must not stop the others
            return error

    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(sources), threads):
            some = sources[start : start + threads]
            yield from zip(some, pool.map(attempt, some), strict=True)


def _add(
    writer: SetWriter,
    source: Source,
    result: tuple[Any, tuple[str, ...]] | Exception,
    tally: Tally,
    move: Callable[[str, int, int], None],
) -> None:
    """Add the pictures of one file, or say why not."""
    if isinstance(result, Exception):
        complain(result, source.path)
        tally.failed += 1
        return
    images, lost = result
    try:
        if source.is_idx:
            for index, image in enumerate(images):
                writer.add(image, None if source.name is None else f"{source.name}/{index}")
                move(source.path.name, index + 1, len(images))
            tally.n_images += len(images)
            tally.raw_size += images.nbytes
        else:
            writer.add_frames(images, source.name)
            tally.n_images += 1
            tally.raw_size += sum(_raw_size(image) for image in images)
    except (TypeError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the set cannot be written
        complain(error, source.path)
        tally.failed += 1
        return
    tally.source_size += source.path.stat().st_size
    for kind in lost:
        tally.lost[kind] = tally.lost.get(kind, 0) + 1


def _raw_size(image: ImageLike) -> int:
    from ..encoder import as_picture

    return as_picture(image).raw_size


def _train(sources: Sequence[Source], name: str, threads: int) -> Codebook:
    """Return a codebook of the pictures themselves, or of some of them evenly chosen."""
    from .. import training
    from .train import read_images

    if all(source.is_idx for source in sources):
        images = [image for source in sources for image in read_idx_file(source.path)]
    else:
        some = sources[:: -(-len(sources) // MAX_TRAINING_IMAGES)]
        images = read_images([source.path for source in some], None, threads)
    images = images[:: -(-max(1, len(images)) // MAX_TRAINING_IMAGES)]
    with progress("training") as move:
        return training.train(images, name=name[:64], workers=threads, holdout=0, progress=move)


def _summarise(output: Path, tally: Tally, n_skipped: int) -> None:
    from ..set_reader import open_set

    for kind, count in sorted(tally.lost.items()):
        note(f"{kind} of {plural(count, 'picture')} was not kept: this release keeps pixels only")
    if n_skipped:
        note(f"{plural(n_skipped, 'file')} in the folders left alone: no picture by name")
    size = output.stat().st_size
    parts = [
        f"{plural(tally.n_images, 'image')} packed into {output}: {n_bytes(tally.raw_size)} raw "
        f"bytes ({n_bytes(tally.source_size)} in the files before)"
    ]
    with open_set(output) as images:
        if len(images) == tally.n_images:
            parts[0] += f" became {n_bytes(size)}, ratio {ratio(tally.raw_size, size)}"
        else:
            parts[0] += f"; the set has {plural(len(images), 'image')} in {n_bytes(size)} bytes"
        head = images.head
    if head.segment_of_codebook() is not None:
        parts.append(f"its codebook is in it ({n_bytes(head.n_bytes)} bytes)")
    if tally.failed:
        parts.append(f"{tally.failed:,} failed")
    say("; ".join(parts))
