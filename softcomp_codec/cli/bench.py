"""``scf bench``: ``.scf`` beside the other lossless formats, on the user's own pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .batch import files_below, run_all, write_output
from .completion import complete_codebook
from .console import complain, n_bytes, note, plural, print_table, progress, ratio, say
from .pictures import SCF_SUFFIX, picture_suffixes, read_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL import Image

    from ..comparison import Group, Outcome

EFFORTS = (1, 5, 9)
COLUMNS = ("codec", "bytes", "ratio", "to best peer", "encode MB/s", "decode MB/s")
NONE = "-"
LEGEND = (
    "Bytes of whole files; ratio: raw samples to files; to best peer: size relative to that of the "
    "best other codec (*). MB/s of raw samples, medians of {repeats}, on {threads} by {clock}; the "
    "codecs take turns on each picture. Every decoded picture was compared."
)


@dataclass(frozen=True)
class Report:
    """All that is printed or written."""

    groups: list[Group]
    facts: dict[str, Any]
    remarks: list[str]


def bench(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUTS", help="Pictures, and folders of pictures.", show_default=False
        ),
    ],
    codebook: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="none, or a codebook's name, ID or path, beside auto; may be repeated.",
            show_default=False,
            autocompletion=complete_codebook,
        ),
    ] = None,
    effort: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            max=9,
            help="Efforts of .scf; may be repeated. 1, 5 and 9 by default.",
            show_default=False,
        ),
    ] = None,
    peers: Annotated[
        bool, typer.Option("--peers/--no-peers", help="Whether to run the other formats, too.")
    ] = True,
    repeat: Annotated[
        int, typer.Option(metavar="N", min=1, help="Speeds are medians of N turns.")
    ] = 3,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads of each codec that can use several.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="FILE", help="Write a Markdown table, too.", show_default=False
        ),
    ] = None,
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace an existing file.")] = False,
) -> None:
    """Compare .scf with PNG, WebP, JPEG-LS, JPEG 2000 and JPEG XL.

    On your own pictures, in memory: they stay as they are. Where some were JPEGs once, .scf is also
    measured without looking for that.

    JPEG-LS, JPEG 2000 and JPEG XL need the extra "bench".

    For bilevel pictures JBIG1 takes part, too, if pbmtojbg is on the PATH.
    """
    from .. import comparison

    _check_output(output, force=force)
    efforts = list(dict.fromkeys(effort or EFFORTS))
    choices = list(dict.fromkeys(["auto", *(codebook or [])]))
    images, n_failed = read_pictures(inputs)
    if not images:
        raise ValueError("there is no picture to compare on")
    coders = ("auto", "pixels") if any(map(comparison.was_jpeg, images)) else ("auto",)
    contenders = [
        comparison.scf(each, choice, coder)
        for choice in choices
        for each in efforts
        for coder in (coders if choice == "auto" else ("auto",))
    ]
    remarks = [*_codebook_remarks(choices), *(_missing(images) if peers else [])]
    with progress("warming up", len(images) * repeat) as move:
        groups = comparison.compare(
            images, contenders, with_peers=peers, repeats=repeat, threads=threads, progress=move
        )
    report = Report(groups, _facts(len(images), repeat, threads), remarks)
    if output is not None:
        write_output(output, markdown(report).encode(), force=force)
    if as_json:
        print(json.dumps(as_dict(report), indent=2))
    else:
        _print(report)
    if output is not None:
        note(f"written to {output}")
    if n_failed or any(each.is_fault for group in groups for each in group.outcomes):
        raise typer.Exit(1)


def _in_colours(frame: Image.Image) -> Image.Image:
    """Return a palette image as RGB or RGBA, which every codec can hold, others as they are."""
    if frame.mode == "PA":
        return frame.convert("RGBA")
    if frame.mode != "P":
        return frame
    return frame.convert("RGBA" if frame.has_transparency_data else "RGB")


def read_pictures(inputs: Sequence[Path]) -> tuple[list[NDArray[Any]], int]:
    """Return all pictures and frames as arrays, and how many files could not be read."""
    import numpy as np

    suffixes = picture_suffixes() | {SCF_SUFFIX}
    paths: list[Path] = []
    skipped = 0
    for path in inputs:
        if path.is_dir():
            below = list(files_below(path))
            wanted = [each for each in below if each.suffix.lower() in suffixes]
            paths += wanted
            skipped += len(below) - len(wanted)
        else:
            paths.append(path)
    images: list[NDArray[Any]] = []
    failed = 0
    for path, result in run_all(paths, read_picture, threads=None, label="reading"):
        if isinstance(result, Exception):
            complain(result, path)
            failed += 1
        else:
            images += [np.asarray(_in_colours(frame)) for frame in result[0]]
    if skipped:
        note(f"{plural(skipped, 'file')} in the folders left alone: no picture by name")
    return images, failed


def _check_output(output: Path | None, *, force: bool) -> None:
    """Refuse before the comparison what could not be written after it."""
    if output is None:
        return
    if output.is_dir():
        raise typer.BadParameter(f"--out {output} is a folder")
    if output.exists() and not force:
        raise FileExistsError(f"{output} exists already; --force replaces it")


def _codebook_remarks(choices: Sequence[str]) -> list[str]:
    from ..codebook_store import load_codebook

    books = [load_codebook(choice) for choice in choices if choice not in ("auto", "none")]
    return [
        f"codebook {book.name}: its {n_bytes(len(book.to_bytes()))} bytes are not counted"
        for book in books
    ]


def _missing(images: Sequence[NDArray[Any]]) -> list[str]:
    from ..peers import missing_peers

    bilevel = any(array.dtype == bool for array in images)
    return [f"left out: {each.name} ({each.remedy})" for each in missing_peers(bilevel=bilevel)]


def _facts(n_images: int, repeats: int, threads: int) -> dict[str, Any]:
    from ..machine import machine, versions

    return {
        "images": n_images,
        "repeats": repeats,
        "threads": threads,
        "clock": "CPU time" if threads == 1 else "the clock",
        "machine": machine(),
        "versions": versions("imagecodecs"),
    }


# ---- What is said --------------------------------------------------------------------------------


def rows(group: Group) -> list[tuple[str, ...]]:
    """Return the cells of a table."""
    best = group.best_peer
    return [
        (
            f"{each.name} *" if each is best else each.name,
            n_bytes(each.total_bytes),
            ratio(group.raw_bytes, each.total_bytes),
            NONE if best is None else f"{each.total_bytes / best.total_bytes:.3f}",
            speed(group.encode_speed(each)),
            speed(group.decode_speed(each)),
        )
        if not each.refusal
        else (each.name, *[NONE] * (len(COLUMNS) - 1))
        for each in group.outcomes
    ]


def speed(value: float) -> str:
    """Return MB/s in three digits or so."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def heading(group: Group) -> str:
    """Return what a table is about."""
    return f"{group.name}: {plural(group.n_images, 'image')}, {n_bytes(group.raw_bytes)} raw bytes"


def refusals(group: Group) -> list[str]:
    """Return why codecs have no figures."""
    return [f"{each.name}: {each.refusal}" for each in group.outcomes if each.refusal]


def _legend(report: Report) -> str:
    facts = report.facts
    return LEGEND.format(
        repeats=plural(facts["repeats"], "turn"),
        threads=plural(facts["threads"], "thread"),
        clock=facts["clock"],
    )


def _origin(report: Report) -> list[str]:
    facts = report.facts
    computer = facts["machine"]
    return [
        f"machine: {computer['architecture']}, {computer['system']}, {computer['processor']}, "
        f"{plural(computer['cores'], 'core')}",
        ", ".join(f"{name} {number}" for name, number in facts["versions"].items()),
    ]


def _print(report: Report) -> None:
    columns = [(name, "left" if name == "codec" else "right") for name in COLUMNS]
    for group in report.groups:
        say(heading(group), style="bold")
        print_table(columns, rows(group), foldable=("codec", *COLUMNS[3:]))
        for line in refusals(group):
            say(f"{NONE} {line}")
    for line in (_legend(report), *report.remarks, *_origin(report)):
        say(line)


def markdown(report: Report) -> str:
    """Return the whole report as Markdown."""
    parts = ["# Lossless formats compared", _legend(report)]
    parts.append("\n".join(f"- {line}" for line in (*_origin(report), *report.remarks)))
    for group in report.groups:
        parts += [f"## {heading(group)}", markdown_table(group)]
        if reasons := refusals(group):
            parts.append("\n".join(f"- no figures for {line}" for line in reasons))
    return "\n\n".join(parts) + "\n"


def markdown_table(group: Group) -> str:
    """Return a group's table as Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |"]
    lines.append("|---|" + "---:|" * (len(COLUMNS) - 1))
    lines += [
        "| " + " | ".join(cell.replace("|", r"\|").replace("*", r"\*") for cell in row) + " |"
        for row in rows(group)
    ]
    return "\n".join(lines)


def as_dict(report: Report) -> dict[str, Any]:
    """Return the whole report for JSON."""
    return {
        **report.facts,
        "remarks": report.remarks,
        "groups": [
            {
                "name": group.name,
                "images": group.n_images,
                "raw_bytes": group.raw_bytes,
                "best_peer": group.best_peer.name if group.best_peer else None,
                "codecs": [_codec_dict(group, each) for each in group.outcomes],
            }
            for group in report.groups
        ],
    }


def _codec_dict(group: Group, outcome: Outcome) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": outcome.name, "is_peer": outcome.is_peer}
    if outcome.refusal:
        return {**facts, "refusal": outcome.refusal}
    best = group.best_peer
    return {
        **facts,
        "bytes": outcome.total_bytes,
        "ratio": group.raw_bytes / outcome.total_bytes,
        "to_best_peer": outcome.total_bytes / best.total_bytes if best else None,
        "encode_mb_per_s": group.encode_speed(outcome),
        "decode_mb_per_s": group.decode_speed(outcome),
    }
