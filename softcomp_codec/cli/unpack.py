"""``scf unpack``: the pictures of a set as files of their own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ScfError
from .batch import run_all, write_output
from .codebook import CodebookOption, load_extra
from .console import complain, n_bytes, note, plural, say
from .pictures import (
    LOSSLESS_FORMATS,
    SCF_SUFFIX,
    facts_of_frames,
    lossless_suffix,
    picture_suffixes,
    write_picture,
)
from .safe_files import DropOption
from .set_lines import is_set_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..set_reader import ImageSet

_NOT_ON_WINDOWS = frozenset('<>:"|?*')


@dataclass(frozen=True)
class Target:
    """One image of the set, and its file."""

    index: int
    name: str
    path: Path


def unpack(
    source: Annotated[Path, typer.Argument(metavar="SET", help="The set.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="DIR", help="A folder.", show_default=False),
    ],
    file_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="scf, or png, tif, bmp, ppm, tga, webp or npy where that keeps every pixel.",
        ),
    ] = "scf",
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="NAME", help="This image; may be repeated.", show_default=False
        ),
    ] = None,
    recover: Annotated[
        bool,
        typer.Option("--recover", help="Give what is whole of a set that was cut off or damaged."),
    ] = False,
    codebook: CodebookOption = None,
    drop_metadata: DropOption = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace existing files.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option("-j", "--jobs", min=1, help="Files at once; by default one a core."),
    ] = None,
) -> None:
    """Unpack the pictures of a set.

    They become .scf files, or files of another lossless format, called by their names in the set
    with the suffix of that format: a set keeps pictures, not the files that they came from. Two
    that would get the same name keep their old suffix before the new one. A codebook that the set
    carries is written beside .scf files. Every picture is checked.
    """
    from ..set_reader import open_set

    suffix = _suffix(file_format)
    if not is_set_file(source):
        raise ValueError(f"{source} is no set; see scf decode")
    if output.exists() and not output.is_dir():
        raise typer.BadParameter(f"-o {output} is no folder")
    try:
        images = open_set(source, codebooks=load_extra(codebook), recover=recover)
    except ScfError as error:
        if recover:
            raise
        raise type(error)(f"{source}: {error}; --recover gives what is whole") from error
    n_done = size = failed = 0
    with images:
        for what in images.damage:
            complain(what, source)
        plan = make_targets(images, output, suffix, only)
        existing = [target.path for target in plan if target.path.exists()]
        if existing and not force:
            raise FileExistsError(
                f"{plural(len(existing), 'file')} would be replaced, such as {existing[0]}; "
                "--force does so"
            )
        if suffix == SCF_SUFFIX:
            _write_codebook(images, plan)
        for target, result in run_all(
            plan, lambda target: write_image(
                images, target, suffix, force=force, drop_metadata=drop_metadata
            ), threads=jobs,
            label="unpacking",
        ):  # fmt: skip
            if isinstance(result, Exception):
                complain(result, target.name)
                failed += 1
            else:
                n_done, size = n_done + 1, size + result
        damaged = bool(images.damage)
    text = f"{plural(n_done, 'image')} unpacked to {output}, {n_bytes(size)} bytes"
    if damaged:
        text += "; the set was NOT WHOLE"
    say(text + (f"; {failed:,} failed" if failed else ""))
    if failed or damaged:
        raise typer.Exit(1)


def _suffix(file_format: str) -> str:
    if file_format.lower().lstrip(".") == "scf":
        return SCF_SUFFIX
    suffix = lossless_suffix(file_format)
    if suffix is None:
        known = ", ".join(sorted(each[1:] for each in (SCF_SUFFIX, *LOSSLESS_FORMATS)))
        raise typer.BadParameter(
            f"{file_format} is not known to keep every pixel; formats: {known}"
        )
    return suffix


def make_targets(
    images: ImageSet, output: Path, suffix: str, only: Sequence[str] | None
) -> list[Target]:
    """Return where each image goes: below the folder, each to another file.

    Raises
    ------
    ValueError
        Two images would go to one file, or one outside the folder.
    KeyError
        There is no image of a name that is asked for.
    """
    names = images.names
    wanted = range(len(names)) if only is None else [_index(images, name) for name in only]
    known = picture_suffixes() | set(LOSSLESS_FORMATS) | {SCF_SUFFIX}
    stems: dict[str, int] = {}
    for index in wanted:
        stem = _stem(names[index], known).casefold()
        stems[stem] = stems.get(stem, 0) + 1
    targets: dict[str, Target] = {}
    folder = output.resolve()
    for index in wanted:
        name = names[index]
        stem = _stem(name, known)
        below = (stem if stems[stem.casefold()] == 1 else name) + suffix
        if (other := targets.get(below.casefold())) is not None:
            raise ValueError(f"{other.name} and {name} would both become {below}")
        if os.name == "nt" and _NOT_ON_WINDOWS & set(below):
            raise ValueError(f"{name!r} cannot be a file's name on this system")
        path = output / below
        if not path.resolve().is_relative_to(folder):
            raise ValueError(f"{name!r} would lie outside {output}: a folder in it is a link")
        targets[below.casefold()] = Target(index, name, path)
    return list(targets.values())


def _index(images: ImageSet, name: str) -> int:
    if name not in images:
        raise ValueError(f"the set has no image {name!r}")
    return images.index(name)


def _stem(name: str, known: frozenset[str] | set[str]) -> str:
    """Return a name without the suffix, where that is one of pictures."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in known else name


def _write_codebook(images: ImageSet, plan: Sequence[Target]) -> None:
    """Write the codebook that a set carries beside the files that need it."""
    segment = images.head.segment_of_codebook()
    if segment is None:
        return
    (book,) = images.codebooks()
    folders = sorted({target.path.parent for target in plan})
    name = f"codebook-{book.identifier.hex()[:8]}.scfb"
    for folder in folders:
        write_output(folder / name, segment, force=True)
    note(f"the set's codebook is beside the files, as {name}: they need it")


def write_image(
    images: ImageSet, target: Target, suffix: str, *, force: bool, drop_metadata: bool
) -> int:
    """Write one image; return the bytes written."""
    from ..container import read_header
    from ..decoder import decode_file

    data = images.file(target.index)
    header = read_header(data)
    books = images.codebooks_of(target.index)
    decoded = [
        decode_file(data, header=header, frame=frame, source=images.source, codebooks=books)
        for frame in range(header.n_frames)
    ]
    if suffix != SCF_SUFFIX:
        data = write_picture(
            [each.array for each in decoded],
            header.mode,
            suffix,
            decoded[0].palette,
            facts_of_frames(BytesIO(data), header),
            drop_metadata=drop_metadata,
        )
    write_output(target.path, data, force=force)
    return len(data)
