"""``scf pack``: many pictures into one file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..container import read_header
from ..idx_files import is_idx_file, read_idx_file
from ..metadata import metadata_of
from .batch import files_below
from .console import complain, n_bytes, note, plural, progress, ratio, say
from .pictures import SCF_SUFFIX
from .safe_files import DropOption
from .set_lines import is_set_file
from .sources import all_kinds, encode_source, may_be_idx_file, read_source, wanted_suffixes

if TYPE_CHECKING:
    from ..codebook import Codebook
    from ..encoder import ImageLike
    from ..set_writer import SetWriter
    from .sources import Source

MAX_TRAINING_IMAGES = 10_000
"""Most images that ``--codebook train`` looks at."""


@dataclass(frozen=True)
class Item:
    """A file to pack, and the name of its picture; of idx files, what all its names begin with."""

    path: Path
    name: str | None
    is_idx: bool = False


@dataclass(frozen=True)
class Read:
    """What a file holds: images, the frames of one, or one encoded with its metadata.

    Attributes
    ----------
    images : list or ndarray
        Empty where `file` is given.
    file : bytes
        An ``.scf`` file.
    raw_size : int
    dropped : tuple of str
        Kinds of metadata that were dropped.
    """

    images: Any
    file: bytes
    raw_size: int
    dropped: tuple[str, ...] = ()


@dataclass
class Tally:
    """What was packed."""

    n_images: int = 0
    raw_size: int = 0
    source_size: int = 0
    failed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


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
    drop_metadata: DropOption = False,
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
    numbers. A picture that .scf cannot keep exactly, with its metadata, is refused, the others are
    packed. The set
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
    options = Options(book, effort, coder, drop_metadata, threads)
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
            for done, (item, result) in enumerate(read_all(sources, options), 1):
                _add(writer, item, result, tally, move)
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


def find_sources(inputs: Sequence[Path], output: Path) -> tuple[list[Item], int]:
    """Return the files to pack, and how many files of folders are no pictures by name.

    Raises
    ------
    ValueError, OSError
        Two files would have the same name in the set, or there is no such file.
    """
    suffixes = wanted_suffixes() | {SCF_SUFFIX}
    sources: list[Item] = []
    n_skipped = 0
    for path in inputs:
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such folder or file")
        below = (
            [(each, each.relative_to(path)) for each in files_below(path)] if path.is_dir() else []
        )
        for file, name in below:
            is_idx = may_be_idx_file(file)
            if _same_file(file, output):
                continue
            if file.suffix.lower() in suffixes or is_idx:
                sources.append(Item(file, name.as_posix(), is_idx))
            else:
                n_skipped += 1
        if not path.is_dir():
            is_idx = is_idx_file(path)
            alone = is_idx and len(inputs) == 1
            sources.append(Item(path, None if alone else path.name, is_idx))
    by_name: dict[str | None, Path] = {}
    for source in sources:
        other = by_name.setdefault(source.name, source.path)
        if other is not source.path:
            raise ValueError(f"{other} and {source.path} would both be called {source.name!r}")
    return sources, n_skipped


def _same_file(path: Path, other: Path) -> bool:
    return other.exists() and path.samefile(other)


@dataclass(frozen=True)
class Options:
    """How pictures are read and encoded."""

    codebook: Codebook | str
    effort: int
    coder: str
    drop_metadata: bool
    threads: int


def read_all(items: Sequence[Item], options: Options) -> Iterator[tuple[Item, Read | Exception]]:
    """Read files on threads, a few ahead."""

    def attempt(item: Item) -> Read | Exception:
        try:
            return read(item, options)
        except Exception as error:  # one bad file must not stop the others
            return error

    with ThreadPoolExecutor(options.threads) as pool:
        for start in range(0, len(items), options.threads):
            some = items[start : start + options.threads]
            yield from zip(some, pool.map(attempt, some), strict=True)


def read(item: Item, options: Options) -> Read:
    """Read a file; what carries metadata is encoded with them, and refused as ``scf encode`` does.

    Raises
    ------
    OSError
        It is no picture, or one that cannot be kept as it is.
    """
    if item.is_idx:
        images = read_idx_file(item.path)
        return Read(images, b"", images.nbytes)
    if is_set_file(item.path):
        raise OSError("it is a set itself: unpack it first")
    source = read_source(item.path)
    bare = source.is_arrays and not (source.untold or source.told)
    if bare or (not source.is_arrays and len(source.frames) == 1 and not _tells(source)):
        return Read(source.frames, b"", sum(_raw_size(frame) for frame in source.frames))
    chosen = {
        "codebook": options.codebook, "effort": options.effort, "coder": options.coder,
    }  # fmt: skip
    data, dropped = encode_source(source, chosen, drop_metadata=options.drop_metadata)
    header = read_header(data)
    return Read([], data, header.raw_size * header.n_frames, dropped)


def _tells(source: Source) -> bool:
    """Whether a file tells more than its pixels."""
    return bool(all_kinds(source) or metadata_of(source.frames))


def _add(
    writer: SetWriter,
    item: Item,
    result: Read | Exception,
    tally: Tally,
    move: Callable[[str, int, int], None],
) -> None:
    """Add the pictures of one file, or say why not."""
    if isinstance(result, Exception):
        complain(result, item.path)
        tally.failed += 1
        return
    try:
        if item.is_idx:
            for index, image in enumerate(result.images):
                writer.add(image, None if item.name is None else f"{item.name}/{index}")
                move(item.path.name, index + 1, len(result.images))
        elif result.file:
            writer.add_file(result.file, item.name)
        else:
            writer.add_frames(result.images, item.name, metadata=False)
    except (TypeError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the set cannot be written
        complain(error, item.path)
        tally.failed += 1
        return
    tally.n_images += len(result.images) if item.is_idx else 1
    tally.raw_size += result.raw_size
    tally.source_size += item.path.stat().st_size
    for kind in result.dropped:
        tally.dropped[kind] = tally.dropped.get(kind, 0) + 1


def _raw_size(image: ImageLike) -> int:
    from ..encoder import as_picture

    return as_picture(image).raw_size


def _train(sources: Sequence[Item], name: str, threads: int) -> Codebook:
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

    for kind, count in sorted(tally.dropped.items()):
        note(f"{kind} of {plural(count, 'picture')} was dropped")
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
