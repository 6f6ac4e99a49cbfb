"""``scf decode``: ``.scf`` files to pictures of other lossless formats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .batch import Job, make_plan, run_all, write_output
from .codebook import CodebookOption, load_extra
from .console import complain, n_bytes, note, plural, say
from .pictures import LOSSLESS_FORMATS, SCF_SUFFIX, lossless_suffix, write_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..codebook import Codebook


def decode(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUTS", help=".scf files, and folders of them.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="A picture file, or a folder; by default beside each file.",
            show_default=False,
        ),
    ] = None,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="png, tif, bmp, ppm, tga, webp or npy; by default that of OUT, else png.",
            show_default=False,
        ),
    ] = None,
    codebook: CodebookOption = None,
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace existing files.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option("-j", "--jobs", min=1, help="Files at once; by default one a core."),
    ] = None,
) -> None:
    """Decode .scf files to PNG or another lossless format.

    Every picture is checked against its checksum, and the file written is read back and compared.
    """
    suffix = _suffix(output, file_format)
    plan = make_plan(
        inputs,
        output,
        suffix=suffix,
        is_wanted=lambda path: path.suffix.lower() == SCF_SUFFIX,
        is_file_name=lambda path: bool(path.suffix),
        force=force,
    )
    books = load_extra(codebook)
    n_done, size, failed = 0, 0, plan.failures
    for job, result in run_all(
        plan.jobs,
        lambda job: decode_to_file(job, suffix, books, force=force),
        threads=jobs,
        label="decoding",
    ):
        if isinstance(result, Exception):
            complain(result, job.source)
            failed += 1
        else:
            n_done, size = n_done + 1, size + result
    if plan.skipped:
        note(f"{plural(plan.skipped, 'file')} in the folders left alone: not named .scf")
    text = f"{plural(n_done, 'picture')} decoded"
    if n_done == 1 and len(plan.jobs) == 1:
        text += f" to {plan.jobs[0].target}"
    if n_done:
        text += f", {n_bytes(size)} bytes"
    say(text + (f"; {failed:,} failed" if failed else ""))
    if failed:
        raise typer.Exit(1)


def decode_to_file(job: Job, suffix: str, books: Sequence[Codebook], *, force: bool) -> int:
    """Decode one file and write its picture; return the bytes written."""
    from ..container import read_header
    from ..decoder import decode_file

    data = job.source.read_bytes()
    header = read_header(data)
    decoded = [
        decode_file(data, header=header, frame=index, source=str(job.source), codebooks=books)
        for index in range(header.n_frames)
    ]
    frames = [each.array for each in decoded]
    data = write_picture(frames, header.mode, suffix, decoded[0].palette)
    write_output(job.target, data, force=force)
    return len(data)


def _suffix(output: Path | None, file_format: str | None) -> str:
    """Return the suffix of the format asked for."""
    by_name = None
    if output is not None and output.suffix and not output.is_dir():
        by_name = output.suffix
    if file_format and by_name and lossless_suffix(file_format) != lossless_suffix(by_name):
        raise typer.BadParameter(f"--format is {file_format}, but -o is {output}")
    name = file_format or by_name or ".png"
    suffix = lossless_suffix(name)
    if suffix is None:
        known = ", ".join(sorted(each[1:] for each in LOSSLESS_FORMATS))
        raise typer.BadParameter(
            f"{name.lstrip('.')} is not known to keep every pixel; lossless formats: {known}"
        )
    return suffix
