"""``scf encode``: pictures to ``.scf`` files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .batch import Job, make_plan, run_all, write_output
from .console import complain, n_bytes, note, plural, print_table, ratio, say
from .pictures import SCF_SUFFIX, picture_suffixes, read_picture

if TYPE_CHECKING:
    from ..codebook import Codebook
    from ..container import Header

MAX_LISTED = 40
"""Most files that get a line of their own in the summary."""


@dataclass(frozen=True)
class Encoded:
    """What became of one picture."""

    raw_size: int
    source_size: int
    size: int
    coded_by: str
    has_codebook: bool
    lost: tuple[str, ...]


def encode(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUTS", help="Pictures, and folders of pictures.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="An .scf file, or a folder; by default beside each picture.",
            show_default=False,
        ),
    ] = None,
    codebook: Annotated[
        str, typer.Option(metavar="NAME", help="auto, none, or a codebook's name, ID or path.")
    ] = "auto",
    effort: Annotated[int, typer.Option(min=1, max=9, help="1 is fast, 9 is small.")] = 5,
    coder: Annotated[
        str, typer.Option(metavar="NAME", help="auto, context, shapes or tiny: for comparisons.")
    ] = "auto",
    embed_codebook: Annotated[
        bool, typer.Option("--embed-codebook", help="Put the codebook into each file.")
    ] = False,
    file_check: Annotated[
        bool,
        typer.Option("--file-check", help="Add a checksum that needs no codebook to be checked."),
    ] = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace existing files.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option("-j", "--jobs", min=1, help="Files at once; by default one a core."),
    ] = None,
) -> None:
    """Encode pictures losslessly.

    A picture that .scf cannot keep exactly is refused. Folders are searched for pictures and need
    -o, where the files keep their places. Existing files are not replaced without --force.
    """
    _check_output_name(output)
    _check_coder(coder)
    suffixes = picture_suffixes()
    plan = make_plan(
        inputs,
        output,
        suffix=SCF_SUFFIX,
        is_wanted=lambda path: path.suffix.lower() in suffixes,
        is_file_name=lambda path: path.suffix.lower() == SCF_SUFFIX,
        force=force,
    )
    book = _load(codebook)
    options = {
        "codebook": codebook if book is None else book,
        "effort": effort,
        "coder": coder,
        "embed_codebook": embed_codebook,
        "file_check": file_check,
    }
    done: list[tuple[Job, Encoded]] = []
    failed = plan.failures
    for job, result in run_all(
        plan.jobs,
        lambda job: encode_file(job, options, force=force),
        threads=jobs,
        label="encoding",
    ):
        if isinstance(result, Exception):
            complain(result, job.source)
            failed += 1
        else:
            done.append((job, result))
    _summarise(done, failed, plan.skipped)
    if book is not None and not embed_codebook and any(each.has_codebook for _, each in done):
        _say_what_is_needed(book)
    if failed:
        raise typer.Exit(1)


def encode_file(job: Job, options: dict[str, Any], *, force: bool) -> Encoded:
    """Encode one picture and write its file."""
    from .. import container, encoder

    frames, lost = read_picture(job.source)
    data = encoder.encode_frames(frames, **options)
    write_output(job.target, data, force=force)
    header = container.read_header(data)
    return Encoded(
        header.raw_size * header.n_frames,
        job.source.stat().st_size,
        len(data),
        coded_by(header, options["codebook"]),
        bool(header.codebook_reference),
        lost,
    )


def coded_by(header: Header, choice: Codebook | str) -> str:
    """Return the coder, and the name of the codebook, that encoding chose."""
    from ..codebook_store import bundled_codebooks
    from ..container import CODER_NAMES

    coder = CODER_NAMES[header.coder]
    if not header.codebook_reference:
        return coder
    books = bundled_codebooks() if isinstance(choice, str) else (choice,)
    names = (b.name for b in books if b.identifier.startswith(header.codebook_reference))
    return f"{coder}, {next(names, header.codebook_reference.hex())}"


def _check_output_name(output: Path | None) -> None:
    if output is not None and output.suffix.lower() in picture_suffixes() and not output.is_dir():
        raise typer.BadParameter(f"-o {output}: encode writes {SCF_SUFFIX} files")


def _check_coder(choice: str) -> None:
    from ..encoder import CODER_CHOICES

    if choice not in CODER_CHOICES:
        names = ", ".join(CODER_CHOICES)
        raise typer.BadParameter(f"--coder {choice}: expected one of {names}")


def _load(choice: str) -> Codebook | None:
    """Return a codebook that was named; None for the choices that name none."""
    if choice in ("auto", "none"):
        return None
    from ..codebook_store import load_codebook

    return load_codebook(choice)


def _summarise(done: list[tuple[Job, Encoded]], failed: int, skipped: int) -> None:
    results = [result for _, result in done]
    raw = sum(result.raw_size for result in results)
    size = sum(result.size for result in results)
    if 0 < len(done) <= MAX_LISTED:
        columns = [("file", "left"), ("raw", "right"), ("before", "right"), ("scf", "right")]
        columns += [("ratio", "right"), ("coder", "left")]
        print_table(
            columns,
            [
                (
                    str(job.target),
                    n_bytes(result.raw_size),
                    n_bytes(result.source_size),
                    n_bytes(result.size),
                    ratio(result.raw_size, result.size),
                    result.coded_by,
                )
                for job, result in done
            ],
            foldable=("file", "coder"),
        )
    lost = Counter(kind for result in results for kind in result.lost)
    for kind, count in sorted(lost.items()):
        note(f"{kind} of {plural(count, 'picture')} was not kept: this release keeps pixels only")
    if skipped:
        note(f"{plural(skipped, 'file')} in the folders left alone: no picture by name")
    before = sum(result.source_size for result in results)
    parts = [f"{plural(len(done), 'picture')} encoded"]
    if done:
        parts[0] += (
            f": {n_bytes(raw)} raw bytes ({n_bytes(before)} in the files before) became "
            f"{n_bytes(size)}, ratio {ratio(raw, size)}"
        )
    if failed:
        parts.append(f"{failed:,} failed")
    say("; ".join(parts))


def _say_what_is_needed(book: Codebook) -> None:
    from ..codebook_store import bundled_codebooks

    if all(book.identifier != bundled.identifier for bundled in bundled_codebooks()):
        note(
            f"to open these files the codebook {book.name!r} ({book.identifier.hex()[:16]}) is "
            "needed; keep its .scfb file safe, or use --embed-codebook"
        )
