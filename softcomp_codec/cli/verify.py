"""``scf verify``: whether files are undamaged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .batch import files_below, run_all
from .codebook import CodebookOption, load_extra
from .console import complain, note, plural, say
from .pictures import SCF_SUFFIX
from .set_lines import is_set_file, verify_set

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..codebook import Codebook

MAX_LISTED = 40
"""Most files that get a line of their own even if they are well."""


@dataclass(frozen=True)
class Verdict:
    """What could be checked of an undamaged file.

    Attributes
    ----------
    picture : bool
        Whether the picture was decoded and its checksum matches.
    file_check : bool
        Whether the file has a file check, which matches.
    obstacle : str
        Why the picture was not checked.
    n_images : int
        Of a set; 0 of other files.
    """

    picture: bool
    file_check: bool
    obstacle: str = ""
    n_images: int = 0


def verify(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help=".scf files, and folders of them.", show_default=False),
    ],
    codebook: CodebookOption = None,
    jobs: Annotated[
        int | None,
        typer.Option("-j", "--jobs", min=1, help="Files at once; by default one a core."),
    ] = None,
) -> None:
    """Check .scf files for damage.

    Each is decoded and compared with its checksums; nothing is written. Where a codebook is
    missing, the file check is compared if the file has one. Exit code 1 if a file is damaged, or
    if nothing of it could be checked.
    """
    books = load_extra(codebook)
    paths = _paths(files)
    listed = len(paths) <= MAX_LISTED
    n_whole = n_partly = n_bad = n_unknown = 0
    for path, result in run_all(
        paths, lambda path: check(path, books), threads=jobs, label="verifying"
    ):
        if isinstance(result, Exception):
            complain(result, path)
            n_bad += 1
        elif result.picture:
            n_whole += 1
            if listed:
                checked = " (picture and file check)" if result.file_check else ""
                checked = f" ({plural(result.n_images, 'image')})" if result.n_images else checked
                say(f"{path}: ok{checked}")
        elif result.file_check:
            n_partly += 1
            note(f"{path}: file check ok, picture not checked: {result.obstacle}")
        else:
            n_unknown += 1
            complain(f"NOT CHECKED, it has no file check: {result.obstacle}", path)
    say(_summary(n_whole, n_partly, n_bad, n_unknown))
    if n_bad or n_unknown:
        raise typer.Exit(1)


def check(path: Path, books: Sequence[Codebook]) -> Verdict:
    """Check one file; damage of any kind is raised as `ScfError`."""
    from ..container import file_check_matches, read_header
    from ..decoder import decode_file
    from ..errors import CodebookNotFoundError, CorruptStreamError

    if is_set_file(path):
        n_images, obstacle = verify_set(path, books)
        return Verdict(not obstacle, bool(obstacle), obstacle, n_images)
    data = path.read_bytes()
    header = read_header(data)
    matches = file_check_matches(data, header)
    if matches is False:
        raise CorruptStreamError("the bytes of the file do not match its file check")
    try:
        for frame in range(header.n_frames):
            decode_file(data, header=header, frame=frame, source=str(path), codebooks=books)
    except CodebookNotFoundError as error:
        return Verdict(picture=False, file_check=matches is True, obstacle=str(error))
    return Verdict(picture=True, file_check=matches is True)


def _paths(files: Sequence[Path]) -> list[Path]:
    paths: list[Path] = []
    for path in files:
        if path.is_dir():
            paths += [each for each in files_below(path) if each.suffix.lower() == SCF_SUFFIX]
        else:
            paths.append(path)
    return paths


def _summary(n_whole: int, n_partly: int, n_bad: int, n_unknown: int) -> str:
    parts = [f"{plural(n_whole, 'picture')} verified"]
    if n_partly:
        parts.append(f"{n_partly:,} by the file check only")
    if n_bad:
        parts.append(f"{n_bad:,} DAMAGED or unreadable")
    if n_unknown:
        parts.append(f"{n_unknown:,} not checked")
    return ", ".join(parts)
