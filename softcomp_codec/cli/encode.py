"""``scf encode``: pictures to ``.scf`` files."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .batch import INTERRUPTED, Job, make_plan, run_all, write_output
from .completion import complete_codebook, complete_coder
from .console import n_bytes, note, plural, print_table, ratio, say
from .pictures import SCF_SUFFIX
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
    from ..codebook import Codebook
    from ..container import Header
    from .sources import Source

MAX_LISTED = 40
"""Most files that get a line of their own in the summary."""


@dataclass(frozen=True)
class Encoded:
    """What became of one picture.

    Attributes
    ----------
    raw_size, source_size, size : int
        Bytes of the samples, of the input and of the output.
    coded_by : str
        Coder and codebook.
    has_codebook : bool
    dropped : tuple of str
        Kinds of metadata that were dropped.
    lossy_format : str or None
        The input's format if its file holds more than the pixels.
    deleted, resumed : bool
        Whether the input was deleted, and whether the output was there already.
    """

    raw_size: int
    source_size: int
    size: int
    coded_by: str
    has_codebook: bool
    dropped: tuple[str, ...] = ()
    lossy_format: str | None = None
    deleted: bool = False
    resumed: bool = False


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
    in_place: InPlaceOption = False,
    codebook: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="auto, none, or a codebook's name, ID or path.",
            autocompletion=complete_codebook,
        ),
    ] = "auto",
    effort: Annotated[int, typer.Option(min=1, max=9, help="1 is fast, 9 is small.")] = 5,
    coder: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=(
                "auto, or for comparisons bilevel, context, few-colour, jpeg-past, pixels (auto "
                "without JPEG pasts), shapes or tiny."
            ),
            autocompletion=complete_coder,
        ),
    ] = "auto",
    embed_codebook: Annotated[
        bool, typer.Option("--embed-codebook", help="Put the codebook into each file.")
    ] = False,
    file_check: Annotated[
        bool,
        typer.Option("--file-check", help="Add a checksum that needs no codebook to be checked."),
    ] = False,
    append_suffix: Annotated[
        bool,
        typer.Option(
            "--append-suffix", help="a.png becomes a.png.scf, not a.scf; decoding undoes that."
        ),
    ] = False,
    verify: VerifyOption = False,
    delete_sources: DeleteOption = False,
    delete_lossy: Annotated[
        bool,
        typer.Option(
            "--delete-lossy",
            help="With --delete-source: JPEG and other lossy files, too.",
        ),
    ] = False,
    resume: ResumeOption = False,
    drop_metadata: DropOption = False,
    hidden: HiddenOption = False,
    force: ForceOption = False,
    jobs: JobsOption = None,
) -> None:
    """Encode pictures losslessly.

    Takes every file that Pillow or imageio reads, .npy arrays and idx files. A picture that .scf
    cannot keep exactly, with its metadata, is refused. Folders are searched for pictures and need
    -o, where the files keep their places, or --in-place. Each file is written whole or not at all,
    with the times of its picture. --delete-source leaves JPEG and other lossy files where they are,
    as they cannot be made again from their pixels, unless --delete-lossy. Existing files are not
    replaced without --force; --resume goes on after an interruption. Exit code 1 if a file failed,
    130 after Ctrl-C.
    """
    from ..codebook_store import known_for_now
    from .sources import may_be_idx_file, wanted_suffixes

    suffixes = wanted_suffixes()
    _check_output_name(output, suffixes)
    _check_coder(coder)
    book = _load(codebook)
    if book is not None and delete_sources and not embed_codebook:
        _check_codebook_is_found(book)
    plan = make_plan(
        inputs,
        output,
        target_name=lambda path: (
            path.name + SCF_SUFFIX if append_suffix else path.with_suffix(SCF_SUFFIX).name
        ),
        is_wanted=lambda path: path.suffix.lower() in suffixes or may_be_idx_file(path),
        is_file_name=lambda path: path.suffix.lower() == SCF_SUFFIX,
        force=force,
        in_place=in_place,
        resume=resume,
        hidden=hidden,
    )
    options = {
        "codebook": codebook if book is None else book,
        "effort": effort,
        "coder": coder,
        "embed_codebook": embed_codebook,
        "file_check": file_check,
    }
    safety = Safety(force, resume, verify, delete_sources, drop_metadata)
    tally = Tally(n_failed=plan.failures)
    results = run_all(
        plan.jobs,
        lambda job: encode_file(job, options, safety, delete_lossy=delete_lossy),
        threads=jobs,
        label="encoding",
        measure=lambda result: (result.raw_size, result.size),
    )
    with known_for_now([] if book is None else [book]):
        done = collect(results, tally)
    plan.found.report("no pictures by name")
    _summarise(done, tally, len(plan.jobs) + plan.failures, set(inputs))
    if book is not None and not embed_codebook and any(each.has_codebook for _, each in done):
        _say_what_is_needed(book)
    if tally.interrupted:
        raise typer.Exit(INTERRUPTED)
    if tally.n_failed:
        raise typer.Exit(1)


def encode_file(
    job: Job, options: dict[str, Any], safety: Safety, *, delete_lossy: bool = False
) -> Encoded:
    """Encode one picture and write its file; delete the picture where that is asked for."""
    from .. import container
    from .sources import differences, encode_source, read_source

    seen = os.stat(job.source)
    source: Source | None = None
    dropped: tuple[str, ...] = ()
    data = None
    if safety.resume and job.exists:
        source, data = _look_at_target(job, seen, safety)
    resumed = data is not None
    if data is None:
        source = source or read_source(job.source)
        picture = source
        data, dropped = encode_source(source, options, drop_metadata=safety.drop_metadata)

        def check(temporary: str) -> None:
            if how := differences(Path(temporary).read_bytes(), picture, dropped):
                raise OSError(f"VERIFICATION FAILED, nothing was written: {how}")

        write_output(
            job.target,
            data,
            force=safety.may_replace(job),
            like=seen,
            check=check if safety.verifies else None,
        )
    lossy = source.lossy_format if source is not None else None
    deleted = safety.delete_source and (lossy is None or delete_lossy) and delete_source(job, seen)
    header = container.read_header(data)
    return Encoded(
        header.raw_size * header.n_frames,
        seen.st_size,
        len(data),
        coded_by(header, options["codebook"]),
        bool(header.codebook_reference),
        dropped,
        lossy,
        deleted,
        resumed,
    )


def _look_at_target(
    job: Job, seen: os.stat_result, safety: Safety
) -> tuple[Source | None, bytes | None]:
    """Return the picture, if it was read, and the existing output if that is whole and of it.

    Raises
    ------
    OSError
        The output is whole but not of this picture, its codebook is missing, or the picture cannot
        be read.
    """
    from ..container import MAGIC
    from ..decoder import decode_frames
    from ..errors import CodebookNotFoundError, ScfError
    from .sources import all_kinds, differences, read_source

    data = job.target.read_bytes()
    try:
        if is_of_that_time(job.target, seen) and not safety.verifies:
            decode_frames(data)
            return None, data
        source = read_source(job.source)
        dropped = all_kinds(source) if safety.drop_metadata else ()
        how = differences(data, source, dropped)
    except CodebookNotFoundError as error:
        raise different(job.target, f"cannot be compared: {error}") from error
    except ScfError:
        if data and not data.startswith(MAGIC):
            raise different(job.target, "is no .scf file") from None
        return None, None  # damaged: made again
    if how is None:
        return source, data
    if safety.force:
        return source, None
    raise different(job.target, how)


def coded_by(header: Header, choice: Codebook | str) -> str:
    """Return the coder, and the name of the codebook, that encoding chose."""
    from ..codebook_store import bundled_files
    from ..container import CODER_NAMES

    coder = CODER_NAMES[header.coder]
    if not header.codebook_reference:
        return coder
    books = bundled_files() if isinstance(choice, str) else (choice,)
    names = (b.name for b in books if b.identifier.startswith(header.codebook_reference))
    return f"{coder}, {next(names, header.codebook_reference.hex())}"


def _check_output_name(output: Path | None, suffixes: frozenset[str]) -> None:
    if output is not None and output.suffix.lower() in suffixes and not output.is_dir():
        raise typer.BadParameter(f"-o {output}: encode writes {SCF_SUFFIX} files")


def _check_coder(choice: str) -> None:
    from ..coder_choice import CODER_CHOICES

    if choice not in CODER_CHOICES:
        names = ", ".join(CODER_CHOICES)
        raise typer.BadParameter(f"--coder {choice}: expected one of {names}")


def _load(choice: str) -> Codebook | None:
    """Return a codebook that was named; None for the choices that name none."""
    if choice in ("auto", "none"):
        return None
    from ..codebook_store import load_codebook

    return load_codebook(choice)


def _check_codebook_is_found(book: Codebook) -> None:
    """Refuse to delete pictures whose files would need a codebook that only this command knows."""
    from ..codebook_store import PATH_VARIABLE, list_codebooks, user_folder

    if all(book.identifier != stored.book.identifier for stored in list_codebooks()):
        folder = user_folder()
        where = f"{folder} or a folder" if folder else "a folder"
        raise typer.BadParameter(
            f"--delete-source: the codebook {book.name!r} is in none of the usual places; use "
            f"--embed-codebook, or copy it to {where} of ${PATH_VARIABLE}"
        )


def _summarise(
    done: list[tuple[Job, Encoded]], tally: Tally, n_jobs: int, named: set[Path]
) -> None:
    new = [(job, result) for job, result in done if not result.resumed]
    results = [result for _, result in new]
    tally.n_done = len(new)
    tally.n_resumed = len(done) - len(new)
    tally.n_deleted = sum(result.deleted for _, result in done)
    raw = sum(result.raw_size for result in results)
    size = sum(result.size for result in results)
    if 0 < len(new) <= MAX_LISTED:
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
                for job, result in new
            ],
            foldable=("file", "coder"),
        )
    dropped = Counter(kind for result in results for kind in result.dropped)
    for kind, count in sorted(dropped.items()):
        note(f"{kind} of {plural(count, 'picture')} dropped")
    _say_what_is_lossy(done, named, deletes=tally.n_deleted > 0)
    before = sum(result.source_size for result in results)
    text = f"{plural(len(new), 'picture')} encoded"
    if new:
        text += (
            f": {n_bytes(raw)} raw bytes ({n_bytes(before)} in the files before) became "
            f"{n_bytes(size)}, ratio {ratio(raw, size)}"
        )
    say("; ".join([text, *tally.parts(n_jobs)]))


def _say_what_is_lossy(done: list[tuple[Job, Encoded]], named: set[Path], *, deletes: bool) -> None:
    """Say what lossy files take as ``.scf``, a line each of the `named`, and what is not kept."""
    lossy = [(job, result) for job, result in done if result.lossy_format is not None]
    if not lossy:
        return
    single = [(job, result) for job, result in lossy if job.source in named]
    if len(single) <= MAX_LISTED:
        for job, result in single:
            note(
                f"{job.source}: {n_bytes(result.source_size)} bytes as {result.lossy_format}, "
                f"{n_bytes(result.size)} as .scf ({_part(result.size, result.source_size)}); its "
                "decoded pixels are kept, not the file, which cannot be made again from them"
            )
    others = lossy if len(single) > MAX_LISTED else [each for each in lossy if each not in single]
    if others:
        formats = ", ".join(sorted({str(result.lossy_format) for _, result in others}))
        before = sum(result.source_size for _, result in others)
        size = sum(result.size for _, result in others)
        note(
            f"{plural(len(others), 'picture')} came from lossy files ({formats}), "
            f"{n_bytes(before)} bytes, and take {n_bytes(size)} as .scf ({_part(size, before)}): "
            "the decoded pixels are kept, from which such a file cannot be made again"
        )
    if deletes and not all(result.deleted for _, result in lossy):
        note("lossy files were not deleted (--delete-lossy does)")


def _part(size: int, before: int) -> str:
    return f"{size / before:.2f} of it" if before else "-"


def _say_what_is_needed(book: Codebook) -> None:
    from ..codebook_store import bundled_files

    if all(book.identifier != bundled.identifier for bundled in bundled_files()):
        note(
            f"to open these files the codebook {book.name!r} ({book.identifier.hex()[:16]}) is "
            "needed; keep its .scfb file safe, or use --embed-codebook"
        )
