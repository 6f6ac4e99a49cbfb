"""``scf decode``: ``.scf`` files to pictures of other lossless formats."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .batch import INTERRUPTED, Job, make_plan, run_all, write_output
from .codebook import CodebookOption, load_extra
from .completion import complete_format
from .console import n_bytes, plural, say
from .pictures import (
    LOSSLESS_FORMATS,
    SCF_SUFFIX,
    default_suffix,
    facts_of_frames,
    lossless_suffix,
    write_picture,
)
from .safe_files import (
    DeleteOption,
    DropOption,
    ForceOption,
    HiddenOption,
    InPlaceOption,
    JobsOption,
    ResumeOption,
    Safety,
    Tally,
    VerifyOption,
    collect,
    delete_source,
    different,
    is_of_that_time,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from ..codebook import Codebook
    from ..container import Header

    Box = tuple[int, int, int, int]
    """Left, top, right, bottom."""


@dataclass(frozen=True)
class Written:
    """What became of one file: bytes of its samples, of the file and of the picture."""

    raw_size: int
    source_size: int
    size: int
    deleted: bool = False
    resumed: bool = False


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
    in_place: InPlaceOption = False,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="png, tif, bmp, ppm, tga, webp or npy; by default that of OUT, else png where it "
            "holds the picture, else tif, else npy.",
            show_default=False,
            autocompletion=complete_format,
        ),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(
            metavar="L,T,R,B",
            help="Only columns L to R - 1 and rows T to B - 1 of each picture; of large ones no "
            "more than the tiles there are decoded.",
            show_default=False,
        ),
    ] = None,
    codebook: CodebookOption = None,
    verify: VerifyOption = False,
    delete_sources: DeleteOption = False,
    resume: ResumeOption = False,
    drop_metadata: DropOption = False,
    hidden: HiddenOption = False,
    force: ForceOption = False,
    jobs: JobsOption = None,
) -> None:
    """Decode .scf files to PNG or another lossless format.

    Every picture is checked against its checksum, and what is to be written is read back and
    compared before; --verify compares what is on the disk, too. Parts of pictures (--box) have no
    checksum of their own. A format that cannot hold a
    picture, its frames or its metadata is refused. a.scf and a.png.scf become a.png. Folders need
    -o or --in-place. Each file is written whole or not at all, with the times of its .scf file.
    Existing files are not replaced without --force; --resume goes on after an interruption. Exit
    code 1 if a file failed, 130 after Ctrl-C.
    """
    from ..codebook_store import known_for_now

    part = None if box is None else _parsed_box(box)
    if part is not None and (output is None or resume or delete_sources):
        raise typer.BadParameter(
            "--box needs -o, and neither --resume nor --delete-source go with it"
        )
    suffix = _suffix(output, file_format)
    books = load_extra(codebook)
    plan = make_plan(
        inputs,
        output,
        target_name=lambda path: _name_of(path, suffix),
        is_wanted=lambda path: path.suffix.lower() == SCF_SUFFIX,
        is_file_name=lambda path: bool(path.suffix),
        force=force,
        in_place=in_place,
        resume=resume,
        hidden=hidden,
    )
    safety = Safety(force, resume, verify, delete_sources, drop_metadata)
    tally = Tally(n_failed=plan.failures)
    results = run_all(
        plan.jobs,
        lambda job: decode_to_file(job, job.target.suffix.lower(), books, safety, part),
        threads=jobs,
        label="decoding",
        measure=lambda result: (result.raw_size, result.source_size),
    )
    with known_for_now(books):
        done = collect(results, tally)
    plan.found.report("not named .scf")
    _summarise(done, tally, len(plan.jobs) + plan.failures)
    if tally.interrupted:
        raise typer.Exit(INTERRUPTED)
    if tally.n_failed:
        raise typer.Exit(1)


def decode_to_file(
    job: Job,
    suffix: str,
    books: Sequence[Codebook],
    safety: Safety,
    box: Box | None = None,
) -> Written:
    """Decode one file and write its picture, or a part; delete the file where that is asked for."""
    from ..palettes import Palette

    seen = os.stat(job.source)
    header, frames_of = _opened(job.source, books, box)
    raw_size = header.raw_size * header.n_frames
    resumed = safety.resume and job.exists and _is_done(job, seen, safety, frames_of)
    size = job.target.stat().st_size if resumed else 0
    if not resumed:
        frames = frames_of()
        raw_size = sum(header.mode.raw_size(*each.shape[1::-1]) for each in frames)
        picture = write_picture(
            frames,
            header.mode,
            suffix,
            Palette.from_header(header),
            facts_of_frames(job.source, header),
            drop_metadata=safety.drop_metadata,
        )
        size = len(picture)

        def check(temporary: str) -> None:
            if Path(temporary).read_bytes() != picture:
                raise OSError("VERIFICATION FAILED, nothing was written: other bytes came back")

        write_output(
            job.target,
            picture,
            force=safety.may_replace(job),
            like=seen,
            check=check if safety.verifies else None,
        )
    deleted = safety.delete_source and delete_source(job, seen)
    return Written(raw_size, seen.st_size, size, deleted, resumed)


def _opened(
    path: Path, books: Sequence[Codebook], box: Box | None
) -> tuple[Header, Callable[[], list[NDArray[Any]]]]:
    """Return the header of a file, and what decodes its frames, or a part of each."""
    from ..container import read_header
    from ..decoder import decode_file
    from ..opened_file import open as open_file

    if box is not None:

        def parts() -> list[NDArray[Any]]:
            with open_file(path, codebooks=books) as opened:
                return [opened.read(box, index) for index in range(opened.n_frames)]

        with open_file(path) as opened:
            return opened.header, parts
    data = path.read_bytes()
    header = read_header(data)

    def frames() -> list[NDArray[Any]]:
        return [
            decode_file(data, header=header, frame=index, source=str(path), codebooks=books).array
            for index in range(header.n_frames)
        ]

    return header, frames


def _parsed_box(text: str) -> Box:
    """Return the box that an option says, left, top, right, bottom."""
    try:
        left, top, right, bottom = (int(side) for side in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"--box is {text!r}, expected four whole numbers: left,top,right,bottom"
        ) from None
    return left, top, right, bottom


def _is_done(
    job: Job,
    seen: os.stat_result,
    safety: Safety,
    frames_of: Callable[[], list[NDArray[Any]]],
) -> bool:
    """Whether the existing output is whole and of this file; False where it must be made again.

    Raises
    ------
    OSError
        It is whole but another picture.
    """
    from .sources import read_source

    try:
        found = read_source(job.target)
    except OSError:
        return False  # damaged
    if is_of_that_time(job.target, seen) and not safety.verifies:
        return True
    if found.is_arrays:
        same = _same_arrays(found.frames, frames_of())
    else:
        from .sources import differences

        same = differences(job.source.read_bytes(), found, ()) is None
    if not same and not safety.force:
        raise different(job.target, "it holds another picture")
    return same


def _same_arrays(found: list[NDArray[Any]], expected: list[NDArray[Any]]) -> bool:
    return len(found) == len(expected) and all(
        (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
        for one, other in zip(found, expected, strict=True)
    )


def _name_of(path: Path, suffix: str | None) -> str:
    """Return the name of the picture of a file: a.scf and a.png.scf become a.png."""
    if suffix is None:
        from ..container import read_header_from

        with path.open("rb") as stream:
            suffix = default_suffix(read_header_from(stream))
    stem = path.stem if path.suffix.lower() == SCF_SUFFIX else path.name
    return stem if stem.lower().endswith(suffix) and stem.lower() != suffix else stem + suffix


def _summarise(done: list[tuple[Job, Written]], tally: Tally, n_jobs: int) -> None:
    new = [(job, result) for job, result in done if not result.resumed]
    tally.n_done = len(new)
    tally.n_resumed = len(done) - len(new)
    tally.n_deleted = sum(result.deleted for _, result in done)
    text = f"{plural(len(new), 'picture')} decoded"
    if len(new) == n_jobs == 1:
        text += f" to {new[0][0].target}"
    if new:
        text += f", {n_bytes(sum(result.size for _, result in new))} bytes"
    say("; ".join([text, *tally.parts(n_jobs)]))


def _suffix(output: Path | None, file_format: str | None) -> str | None:
    """Return the suffix of the format asked for; None: that which holds each picture."""
    by_name = None
    if output is not None and output.suffix and not output.is_dir():
        by_name = output.suffix
    if file_format and by_name and lossless_suffix(file_format) != lossless_suffix(by_name):
        raise typer.BadParameter(f"--format is {file_format}, but -o is {output}")
    name = file_format or by_name
    if name is None:
        return None
    suffix = lossless_suffix(name)
    if suffix is None:
        known = ", ".join(sorted(each[1:] for each in LOSSLESS_FORMATS))
        raise typer.BadParameter(
            f"{name.lstrip('.')} is not known to keep every pixel; lossless formats: {known}"
        )
    return suffix
