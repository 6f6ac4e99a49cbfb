"""``scf explain``: where shapes were placed in a picture, and where its bits went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .batch import write_output
from .console import n_bytes, note, plural, print_facts, print_table, ratio, say
from .pictures import SCF_SUFFIX, read_picture

if TYPE_CHECKING:
    from ..tracing import Trace

PlotOption = Annotated[
    Path | None,
    typer.Option("--plot", metavar="OUT.png", help="Draw it, too.", show_default=False),
]
ForceOption = Annotated[bool, typer.Option("-f", "--force", help="Replace an existing plot.")]


def explain(
    image: Annotated[
        Path,
        typer.Argument(metavar="IMAGE", help="A picture, or an .scf file.", show_default=False),
    ],
    codebook: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="auto, none, or a codebook's name, ID or path; for .scf files one to try first.",
        ),
    ] = "auto",
    plot: PlotOption = None,
    force: ForceOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show where the bits of a picture went, and draw where its shapes were placed.

    The picture is encoded in memory, by the shapes coder; of several frames the first one is
    explained. Files of the other coders cannot be explained. Drawing needs
    Matplotlib.
    """
    check_plot(plot, force=force)
    trace = _trace(image, codebook)
    if as_json:
        print(json.dumps(summary(trace) | {"file": str(image)}))
    else:
        print_facts(facts(trace), title=str(image))
        columns = [("plane", "left"), ("part", "left"), ("bits", "right"), ("share", "right")]
        print_table(columns, rows(trace))
    if plot is not None:
        from ..plots import draw_trace

        coded_by = f"{trace.coder}, codebook {trace.codebook}" if trace.codebook else trace.coder
        write_output(plot, draw_trace(trace, f"{image.name} ({coded_by})"), force=force)
        if not as_json:
            say(f"drawn to {plot}")


def check_plot(plot: Path | None, *, force: bool) -> None:
    """Refuse before the work what could not be drawn after it."""
    if plot is None:
        return
    from ..plots import require_matplotlib

    if plot.suffix.lower() != ".png":
        raise typer.BadParameter(f"--plot {plot}: plots are named .png")
    if plot.exists() and not force:
        raise FileExistsError(f"{plot} exists already; --force replaces it")
    try:
        require_matplotlib()
    except ImportError as error:
        raise OSError(str(error)) from error


def _trace(path: Path, codebook: str) -> Trace:
    from ..codebook_store import load_codebook
    from ..encoder import encode
    from ..tracing import trace_file

    book = None if codebook in ("auto", "none") else load_codebook(codebook)
    if path.suffix.lower() == SCF_SUFFIX:
        return trace_file(path.read_bytes(), source=str(path), codebooks=[book] if book else [])
    frames, _ = read_picture(path)
    if frames[1:]:
        note(f"{path} has {len(frames)} frames; this explains the first")
    data = encode(frames[0], codebook=codebook if book is None else book, coder="shapes")
    return trace_file(data, codebooks=[book] if book else [])


def rows(trace: Trace) -> list[tuple[str, str, str, str]]:
    """Return (plane, part, bits, share of the file) for people."""
    total = 8 * trace.file_bytes
    return [
        (plane, part, f"{n_bits:,.0f}", f"{100 * n_bits / total:.1f} %")
        for plane, parts in trace.parts
        for part, n_bits in parts
    ]


def facts(trace: Trace) -> list[tuple[str, str]]:
    """Return what the coder did, as names and values for people."""
    height, width = trace.array.shape[:2]
    raw = raw_bytes(trace)
    lines = [
        ("picture", f"{width} x {height}, {n_bytes(raw)} raw bytes"),
        ("file", f"{n_bytes(trace.file_bytes)} bytes, ratio {ratio(raw, trace.file_bytes)}"),
        ("coder", trace.coder),
        ("codebook", trace.codebook or "none"),
    ]
    if trace.planes[1:]:
        lines.append(("colour transform", trace.transform))
    for plane in trace.planes:
        high = plane.sample_bits - plane.low_bits
        shapes = f"shape layer of {high}: {plural(len(plane.boxes), 'shape')} placed"
        lines.append((
            plane.name,
            f"predictor {plane.predictor}; low layer of {plane.low_bits} bits, "
            + (shapes if high else "no shape layer"),
        ))  # fmt: skip
    return lines


def raw_bytes(trace: Trace) -> int:
    """Return the size of the picture's samples."""
    from ..planes import mode_of_array

    height, width = trace.array.shape[:2]
    return mode_of_array(trace.array).raw_size(width, height)


def summary(trace: Trace) -> dict[str, Any]:
    """Return what the coder did, ready for JSON."""
    return {
        "coder": trace.coder,
        "codebook": trace.codebook or None,
        "colour_transform": trace.transform,
        "file_bytes": trace.file_bytes,
        "raw_bytes": raw_bytes(trace),
        "bits": {
            plane: {part: round(n_bits) for part, n_bits in parts} for plane, parts in trace.parts
        },
        "planes": [
            {
                "name": plane.name,
                "predictor": plane.predictor,
                "low_bits": plane.low_bits,
                "sample_bits": plane.sample_bits,
                "shapes": len(plane.boxes),
            }
            for plane in trace.planes
        ],
    }
