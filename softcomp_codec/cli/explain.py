"""``scf explain``: where the bits of a picture went, and where shapes were placed in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .batch import write_output
from .completion import complete_codebook, complete_coder
from .console import n_bytes, note, plural, print_facts, print_table, ratio, say
from .pictures import SCF_SUFFIX, read_picture

if TYPE_CHECKING:
    from ..codebook import Codebook
    from ..context_coder import PlaneRange
    from ..tracing import Trace, TracedContextPlane, TracedPlane

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
            autocompletion=complete_codebook,
        ),
    ] = "auto",
    effort: Annotated[
        int, typer.Option(min=1, max=9, help="Of pictures: 1 is fast, 9 is small.")
    ] = 5,
    coder: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Of pictures: auto, context or shapes.",
            autocompletion=complete_coder,
        ),
    ] = "auto",
    plot: PlotOption = None,
    force: ForceOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show where the bits of a picture went, and draw where they went and its shapes were placed.

    A picture is encoded in memory, as scf encode does; of several frames the first one is
    explained. Files of the stored, the shapes and the context coder can be explained; pictures that
    another coder would take are explained as the shapes coder's. Drawing needs Matplotlib.
    """
    check_plot(plot, force=force)
    check_coder(coder)
    trace = _trace(image, codebook, effort, coder)
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


def check_coder(coder: str) -> None:
    """Refuse a coder that there is not."""
    from ..coder_choice import CODER_CHOICES

    if coder not in CODER_CHOICES:
        raise typer.BadParameter(f"--coder {coder}: expected one of {', '.join(CODER_CHOICES)}")


def _trace(path: Path, codebook: str, effort: int, coder: str) -> Trace:
    from ..codebook_store import load_codebook
    from ..container import read_header
    from ..encoder import encode
    from ..tracing import EXPLAINED, trace_file

    book = None if codebook in ("auto", "none") else load_codebook(codebook)
    books: list[Codebook] = [book] if book else []
    if path.suffix.lower() == SCF_SUFFIX:
        return trace_file(path.read_bytes(), source=str(path), codebooks=books)
    frames, _ = read_picture(path)
    if frames[1:]:
        note(f"{path} has {len(frames)} frames; this explains the first")
    choice = codebook if book is None else book
    data = encode(frames[0], codebook=choice, effort=effort, coder=coder)
    if coder == "auto" and read_header(data).coder not in EXPLAINED:
        data = encode(frames[0], codebook=choice, effort=effort, coder="shapes")
    return trace_file(data, codebooks=books)


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
    raw = trace.raw_bytes
    lines = [
        ("picture", f"{width} x {height}, {n_bytes(raw)} raw bytes"),
        ("file", f"{n_bytes(trace.file_bytes)} bytes, ratio {ratio(raw, trace.file_bytes)}"),
        ("coder", trace.coder),
        ("codebook", trace.codebook or "none"),
    ]
    if trace.planes[1:]:
        lines.append(("colour transform", trace.transform))
    return lines + [(plane.name, _plane_line(plane)) for plane in trace.planes]


def _plane_line(plane: TracedPlane | TracedContextPlane) -> str:
    from ..tracing import TracedPlane

    if not isinstance(plane, TracedPlane):
        per_sample = plane.n_bits / plane.sample_costs.size
        return f"{limits_line(plane.limits)}; {per_sample:.3f} bits a sample"
    high = plane.sample_bits - plane.low_bits
    shapes = f"shape layer of {high}: {plural(len(plane.boxes), 'shape')} placed"
    layers = f"low layer of {plane.low_bits} bits, " + (shapes if high else "no shape layer")
    return f"predictor {plane.predictor}; {layers}"


def limits_line(limits: PlaneRange) -> str:
    """Return what a payload of the context coder says of a plane, for people."""
    if limits.lowest == limits.highest:
        return f"{limits.lowest} everywhere"
    units = f", in units of {1 << limits.scale}" if limits.scale else ""
    return f"samples {limits.lowest}..{limits.highest}{units}"


def summary(trace: Trace) -> dict[str, Any]:
    """Return what the coder did, ready for JSON."""
    return {
        "coder": trace.coder,
        "codebook": trace.codebook or None,
        "colour_transform": trace.transform,
        "file_bytes": trace.file_bytes,
        "raw_bytes": trace.raw_bytes,
        "bits": {
            plane: {part: round(n_bits) for part, n_bits in parts} for plane, parts in trace.parts
        },
        "planes": [_plane_summary(plane) for plane in trace.planes],
    }


def _plane_summary(plane: TracedPlane | TracedContextPlane) -> dict[str, Any]:
    from ..tracing import TracedPlane

    if not isinstance(plane, TracedPlane):
        limits = plane.limits
        return {
            "name": plane.name,
            "lowest": limits.lowest,
            "highest": limits.highest,
            "scale": limits.scale,
        }
    return {
        "name": plane.name,
        "predictor": plane.predictor,
        "low_bits": plane.low_bits,
        "sample_bits": plane.sample_bits,
        "shapes": len(plane.boxes),
    }
