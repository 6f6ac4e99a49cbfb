"""The Markdown of `paper_tables.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import Measured
from provenance import describe_machine

if TYPE_CHECKING:
    from paper_tables import Results, Run

TITLES = {
    "2": "Table 2: Fashion-MNIST, one codebook of all classes",
    "3": "Table 3: DRIVE and PH2",
    "4": "Table 4: Fashion-MNIST across classes",
    "binary": "Binary table: MNIST thresholded at > 127, across classes",
}
IMAGES = {
    "2": "Test images: Fashion-MNIST t10k, 28 x 28 gray. Codebook: all training images together.",
    "3": "Test images: the folders `test` of both sets, RGB. Codebooks: the folders `train`.",
    "4": "Test images: Fashion-MNIST t10k, 28 x 28 gray. Codebooks: the training images of one "
         "class each.",
    "binary": "Test images: MNIST t10k, 28 x 28, white where the sample is above 127. Codebooks: "
              "the training images of one class each. Raw size: 1 bit a pixel, 784 bits an image.",
}  # fmt: skip

AUTHORS = {
    "2": ("first 20 test images of each class", 20, None, 1.763),
    "3": ("DRIVE 01 to 10", 10, "DRIVE", 3.283),
    "4": ("first 20 test images of each class, codebook of the same class", 20, None, 1.794),
    "binary": ("first 10 test images of each class, codebook of the same class", 10, None, 3.766),
}
"""What the authors' code reaches, measured by running it: (images, how many of each group, the
group, mean of the images' ratios, by bits as it counts them)."""


def report(run: Run, results: Results, seconds: float, plot: str) -> str:
    """Return the whole document."""
    sections = [_head(run, results, seconds, plot), *_summaries(results), _groups(results)]
    sections += [_matrix(results, coder) for coder in results.matrices]
    sections += [_against_authors(run, results), _notes(run, results)]
    return "\n".join(section for section in sections if section)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, left: int = 1) -> str:
    """Return a Markdown table; the first `left` columns are text."""
    lines = ["| " + " | ".join(columns) + " |"]
    lines.append("|" + "|".join("---" if i < left else "---:" for i in range(len(columns))) + "|")
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _head(run: Run, results: Results, seconds: float, plot: str) -> str:
    reduced = []
    what = "set" if run.table == "3" else "class"
    if run.images is not None:
        reduced.append(f"only the first {run.images} test images of each {what}")
    if run.train_images is not None:
        reduced.append(f"codebooks of only the first {run.train_images} training images of each "
                       f"{what}")  # fmt: skip
    lines = [f"# {TITLES[run.table]}\n"]
    if reduced:
        lines.append(f"**Reduced run: {'; '.join(reduced)}.**\n")
    if "SCF reference" not in run.coders:
        lines.append("**Left out by option: the column of the reference settings.**\n")
    n_images = sum(map(len, next(iter(results.cells.values()))))
    lines.append(
        f"{IMAGES[run.table]} {n_images:,} test images. Written by `benchmarks/paper_tables.py "
        f"--table {run.table} -j {run.workers}` in {seconds / 60:.1f} minutes, training included.\n"
    )
    lines.append(describe_machine("imagecodecs", "matplotlib"))
    lines.append(f"![plot]({plot})\n")
    return "\n".join(lines)


def _summaries(results: Results) -> list[str]:
    """Return the table of all images, or one for each set of photographs."""
    if results.kind == "rgb8":
        return [
            f"## {group}\n\n" + _summary(results, lambda sets, i=index: sets[i], [group])
            for index, group in enumerate(results.groups)
        ]
    heading = "## All test images\n\n"
    if results.matrices:
        heading += "SCF with the codebook of the images' own class.\n\n"
    return [heading + _summary(results, Measured.together, None)]


def _summary(
    results: Results,
    choose: Callable[[list[Measured]], Measured],
    groups: Sequence[str] | None,
) -> str:
    columns = ["codec", "file bytes", "ratio by totals", "mean of ratios", "counted bits",
               "ratio by totals, counted", "mean of ratios, counted", "codebook bytes",
               "encode MB/s", "decode MB/s"]  # fmt: skip
    rows = []
    for name, sets in results.cells.items():
        measured = choose(sets)
        settings = "SCF default" if name.startswith("SCF auto") else name
        books = [book for book in results.books if book.settings == settings
                 and (groups is None or book.name in groups)]  # fmt: skip
        size = f"{sum(book.n_bytes for book in books):,}" if books else "-"
        size += f" ({len(books)} codebooks)" if len(books) > 1 else ""
        rows.append((
            _strong(name), f"{measured.file_bytes.sum():,.0f}", f"{measured.total_ratio:.3f}",
            f"{measured.mean_ratio:.3f}", f"{measured.counted_bits.sum():,.0f}",
            f"{measured.counted_total_ratio:.3f}", f"{measured.counted_mean_ratio:.3f}", size,
            _speed(measured.encode_speed), _speed(measured.decode_speed),
        ))  # fmt: skip
    raw = choose(next(iter(results.cells.values()))).raw_bits.sum() / 8
    return f"Raw: {raw:,.0f} bytes.\n\n" + table(columns, rows)


def _strong(name: str) -> str:
    return f"**{name}**" if name.startswith("SCF") else name


def _speed(value: float) -> str:
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _groups(results: Results) -> str:
    """Return the ratios of each class, three ways."""
    if results.kind == "rgb8":
        return ""
    wanted = (
        ("Ratio by totals, by class", "total_ratio"),
        ("Mean of the images' ratios, by class", "mean_ratio"),
        ("Mean of the images' ratios, by class, counted as the authors count",
         "counted_mean_ratio"),
    )  # fmt: skip
    sections = []
    for title, attribute in wanted:
        rows = [
            [group] + [f"{getattr(sets[index], attribute):.3f}" for sets in results.cells.values()]
            for index, group in enumerate(results.groups)
        ]
        columns = ["class", *(_strong(name) for name in results.cells)]
        sections.append(f"## {title}\n\n{table(columns, rows)}")
    return "\n".join(sections)


def _matrix(results: Results, coder: str) -> str:
    """Return the matrices of one of SCF's settings: codebook's class by images' class."""
    sections = []
    for title, attribute in (
        ("ratio by totals, real files", "total_ratio"),
        ("mean of the images' ratios, real files", "mean_ratio"),
        ("mean of the images' ratios, counted as the authors count", "counted_mean_ratio"),
    ):
        values = np.array(
            [[getattr(cell, attribute) for cell in row] for row in results.matrices[coder]]
        )
        rows = [
            [f"**{name}**", *(f"**{v:.3f}**" if i == j else f"{v:.3f}" for j, v in enumerate(row))]
            for i, (name, row) in enumerate(zip(results.groups, values.tolist(), strict=True))
        ]
        same = float(np.diag(values).mean())
        other = float(values[~np.eye(len(values), dtype=bool)].mean())
        sections.append(
            f"## {coder}: {title}\n\nRows: class of the codebook; columns: class of the images. "
            f"Mean of the diagonal {same:.3f}, of the other cells {other:.3f}.\n\n"
            + table(["codebook", *results.groups], rows)
        )
    return "\n".join(sections)


def _against_authors(run: Run, results: Results) -> str:
    """Return how both settings stand beside what the authors' code reaches on the same images."""
    images, number, group, authors = AUTHORS[run.table]
    chosen = range(len(results.groups)) if group is None else [results.groups.index(group)]
    if min(len(results.cells[run.coders[0]][index]) for index in chosen) < number:
        text = f"Not compared: that takes the {images}, and this run has fewer.\n"
    else:
        rows = []
        for coder in run.coders:
            cells = results.cells[coder]
            measured = Measured.together([cells[index].select(slice(number)) for index in chosen])
            rows.append((
                coder, f"{measured.counted_mean_ratio:.3f}", f"{measured.mean_ratio:.3f}",
                f"{measured.file_bytes.sum():,.0f}",
            ))  # fmt: skip
        columns = ["settings", "mean of ratios, counted", "mean of ratios, real files",
                   "file bytes"]  # fmt: skip
        fewer = " This run's codebooks had fewer." if run.train_images is not None else ""
        text = (
            f"The {images}. The authors' own code, run on these images with codebooks of all "
            f"training images, gives a mean of ratios of {authors:.3f} as it counts.{fewer}\n\n"
            + table(columns, rows)
        )
    if {"SCF default", "SCF reference"} <= set(run.coders):
        total = {
            coder: Measured.together(results.cells[coder]).file_bytes.sum() for coder in run.coders
        }
        saved = 100 * (1 - total["SCF default"] / total["SCF reference"])
        text += f"\nOn all test images the default is {saved:.1f} % smaller than reference, in "
        text += "real file bytes.\n"
    return f"## Beside the authors' code\n\n{text}"


def _notes(run: Run, results: Results) -> str:
    rows = [
        (book.name, ", ".join(filter(None, (book.settings, book.scheme))), f"{book.n_images:,}",
         f"{book.n_bytes:,}", f"{book.seconds:.0f}")
        for book in results.books
    ]  # fmt: skip
    lines = [
        "## Codebooks\n",
        table(["codebook", "settings", "images", "file bytes", "training seconds"], rows, left=2),
        "## Notes\n",
        "- *Ratio by totals*: raw bits of all images over the bits of all files. *Mean of ratios*: "
        "mean over the images of raw bits by file bits, as the paper reports.",
        "- *Counted*: soft compression as bare payload bits, the other codecs as whole files, as "
        "the authors do. For the reference settings this includes the header that the authors' "
        "streams begin with (18, 27 and 47 bits in bilevel, gray and colour images of these "
        "sizes); the default's header is part of the container and not counted, so compare the "
        "two by real files. The codebook is never part of a ratio; its bytes stand beside it.",
        "- *MB/s*: raw samples a CPU second of the process that codes, one image after the other, "
        f"with {run.workers} such processes side by side; loading and compiling left out.",
    ]
    if results.matrices:
        lines.append("- SCF leaves a codebook out of a file where the file is smaller without it: "
                     "codebooks of other classes cost nothing then.")  # fmt: skip
    lines += [f"- {peer.name}: {peer.description}." for peer in results.peers.values()]
    lines.append("- SCF default and reference: `softcomp_codec.encode(image, codebook=..., "
                 "coder=\"shapes\")` with its default effort, the coder of soft compression. SCF "
                 "auto: `coder=\"auto\"` at that effort and with the default's codebooks, which "
                 "takes the context coder where that is smaller, never in bilevel images, and "
                 "finds images that were JPEGs once; *without JPEG pasts*: `coder=\"pixels\"`, "
                 "which does not look for that. "
                 "Codebooks are those of `softcomp_codec.train(..., holdout=0)`, the reference "
                 "ones with `settings=\"reference\"`.")  # fmt: skip
    if results.kind == "rgb8" and "SCF reference" in run.coders:
        lines.append("- Reference settings: DRIVE has mode i, as published; the mode of PH2 is "
                     "what training chooses by entropy.")  # fmt: skip
    return "\n".join(lines) + "\n"
