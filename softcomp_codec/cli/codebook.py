"""``scf codebook``: which codebooks there are, and what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import indicator_lines
from .batch import write_output
from .completion import complete_codebook_to_show
from .console import n_bytes, note, plural, print_facts, print_table, ratio, say
from .explain import ForceOption, PlotOption, check_plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..codebook import Codebook

CodebookOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--codebook",
        metavar="FILE",
        help="A .scfb file to try before the usual places; may be repeated.",
        show_default=False,
    ),
]

app = typer.Typer(no_args_is_help=True, help="List and show codebooks.")


def load_extra(paths: Sequence[Path] | None) -> list[Codebook]:
    """Return the codebooks that ``--codebook`` names."""
    if not paths:
        return []
    from ..codebook import Codebook

    return [Codebook.load(path) for path in paths]


@app.command("list")
def list_all(
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line for each codebook.")
    ] = False,
) -> None:
    """List the codebooks of the usual places, in the order of look-up."""
    from ..codebook_store import PATH_VARIABLE, list_codebooks, user_folder

    stored = list_codebooks()
    if as_json:
        for each in stored:
            print(json.dumps(summary(each.book) | {"origin": each.origin, "path": each.path}))
        return
    own = f"{folder} or to a folder" if (folder := user_folder()) else "a folder"
    note(f"your own codebooks go to {own} of ${PATH_VARIABLE}")
    if not stored:
        note("there are none yet")
        return
    columns = [("name", "left"), ("ID", "left"), ("pictures", "left"), ("shapes", "right")]
    columns += [("bytes", "right"), ("found", "left")]
    print_table(
        columns,
        [
            (
                each.book.name,
                each.book.identifier.hex()[:16],
                ", ".join(each.book.kinds),
                n_bytes(n_shapes(each.book)),
                n_bytes(len(each.book.to_bytes())),
                each.origin if each.origin == "bundled" else f"{each.origin} {each.path}".strip(),
            )
            for each in stored
        ],
    )


@app.command("show")
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME_OR_PATH",
            help="A codebook's name, ID or .scfb file.",
            autocompletion=complete_codebook_to_show,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    plot: PlotOption = None,
    force: ForceOption = False,
) -> None:
    """Show what a codebook was trained on, what it reached, and what it holds.

    --plot draws its commonest shapes with their code lengths; this needs Matplotlib.
    """
    from ..codebook import Codebook
    from ..codebook_store import load_codebook

    check_plot(plot, force=force)
    book = Codebook.load(name) if Path(name).is_file() else load_codebook(name)
    if as_json:
        print(json.dumps(summary(book) | {"record": book.record}, ensure_ascii=False))
    else:
        print_facts(facts(book), title=f"codebook {book.name}")
    if plot is not None:
        from ..plots import draw_codebook

        write_output(plot, draw_codebook(book), force=force)
        if not as_json:
            say(f"drawn to {plot}")


def n_shapes(book: Codebook) -> int:
    """Return the number of shapes of all planes."""
    default = sum(plane.n_shapes for kind in book.kinds for plane in book.planes_of(kind))
    return default + sum(part.n_shapes for part in book.reference.values())


def summary(book: Codebook) -> dict[str, Any]:
    """Return what a codebook is, ready for JSON."""
    from ..codebook import KIND_NAMES
    from ..residuals import PREDICTOR_NAMES

    return {
        "name": book.name,
        "id": book.identifier.hex(),
        "file_bytes": len(book.to_bytes()),
        "kinds": {
            kind: [
                {
                    "predictor": PREDICTOR_NAMES[plane.predictor],
                    "low_bits": plane.low_bits,
                    "sample_bits": plane.sample_bits,
                    "shapes": plane.n_shapes,
                }
                for plane in book.planes_of(kind)
            ]
            for kind in book.kinds
        },
        "reference": {
            KIND_NAMES[kind]: {"scheme": part.scheme.name, "shapes": part.n_shapes}
            for kind, part in book.reference.items()
        },
        "priors": {
            prior.label: {"parts": prior.part_names, "known_states": prior.n_known}
            for _, prior in sorted(book.priors.items())
        },
        "bilevel_priors": {
            prior.label: {"contexts": len(prior.contexts), "known_states": len(prior.log_odds)}
            for _, prior in sorted(book.bilevel_priors.items())
        },
        "tiny": {
            prior.label: {"known_states": prior.n_known} for _, prior in sorted(book.tiny.items())
        },
        "few_colour": book.few_colour
        and {"pictures": len(book.few_colour.outlines), "pixels": book.few_colour.n_pixels},
        "jpeg_pasts": {
            prior.label: {
                "parts": prior.part_names,
                "known_states": len(prior.log_odds),
                "pasts": len(prior.pasts),
            }
            for _, prior in sorted(book.jpeg_pasts.items())
        },
    }


def facts(book: Codebook) -> list[tuple[str, str]]:
    """Return what a codebook is, as names and values for people."""
    described = summary(book)
    lines = [("ID", described["id"]), ("file", f"{n_bytes(described['file_bytes'])} bytes")]
    record = book.record
    if isinstance(record.get("images"), int):
        lines.append(("trained on", plural(record["images"], "image") + _source(record)))
    for kind, planes in described["kinds"].items():
        for index, plane in enumerate(planes):
            label = f"{kind} plane {index}" if len(planes) > 1 else kind
            lines.append(
                (
                    label,
                    f"{plural(plane['shapes'], 'shape')}, predictor {plane['predictor']}, "
                    f"{plane['low_bits']} of {plane['sample_bits']} bits in the low layer",
                )
            )
    for kind, part in described["reference"].items():
        lines.append(
            (kind, f"reference settings, {part['scheme']}: {plural(part['shapes'], 'shape')}")
        )
    for label, prior in described["priors"].items():
        parts = ", ".join(prior["parts"])
        if prior["known_states"]:
            parts += f" ({n_bytes(prior['known_states'])} known)"
        lines.append((f"{label}, context coder", parts))
    for label, prior in described["bilevel_priors"].items():
        known = f"{prior['contexts']} contexts, {n_bytes(prior['known_states'])} known states"
        lines.append((f"{label}, bilevel coder", known))
    for label, tiny in described["tiny"].items():
        lines.append((f"{label}, tiny coder", f"{n_bytes(tiny['known_states'])} known states"))
    few = described["few_colour"]
    if few is not None:
        pictures, pixels = few["pictures"], few["pixels"]
        text = f"{plural(pictures, 'picture')} of {n_bytes(pixels)} pixels"
        lines.append(("few-colour coder", text))
    for label, known in described["jpeg_pasts"].items():
        text = ", ".join(known["parts"]) + f" ({n_bytes(known['known_states'])} known)"
        text += f", {plural(known['pasts'], 'usual JPEG')}"
        lines.append((label, text))
    lines += indicator_lines.training_lines(record)
    lines += prior_lines(record)
    lines += tiny_lines(record)
    lines += report_lines(record)
    if isinstance(record.get("manifest"), str):
        lines.append(("manifest", record["manifest"]))
    return lines


def prior_lines(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what training measured of each prior; records of other trainers may lack it."""
    priors = record.get("priors")
    lines: list[tuple[str, str]] = []
    for label, entry in priors.items() if isinstance(priors, dict) else ():
        try:
            untrained, chosen = entry["bytes"]["untrained"], entry["chosen_bytes"]
            held_out = plural(entry["held_out_images"], "image")
            found = f"{n_bytes(chosen)} bytes, {n_bytes(untrained)} without, of {held_out}"
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        lines.append((f"{label}, trial", found))
    return lines


def tiny_lines(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what training measured of the tiny coder; records of other trainers may lack it."""
    measured = record.get("tiny")
    lines: list[tuple[str, str]] = []
    for label, entry in measured.items() if isinstance(measured, dict) else ():
        try:
            own, context = n_bytes(entry["bytes"]), n_bytes(entry["bytes_of_context_coder"])
            held_out = plural(entry["held_out_images"], "image")
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        found = f"{own} bytes, {context} by the context coder, of {held_out}"
        lines.append((f"{label}, tiny trial", found))
    return lines


def report_lines(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the hold-out report of a training record; records of other trainers may lack it."""
    report = record.get("report")
    keys = ("images", "raw_bytes", "file_bytes", "file_bytes_without_codebook")
    if not isinstance(report, dict) or not all(isinstance(report.get(key), int) for key in keys):
        return []
    raw, with_book, without = (report[key] for key in keys[1:])
    return [
        ("held out", f"{plural(report['images'], 'image')}, {n_bytes(raw)} raw bytes"),
        ("  with it", f"{n_bytes(with_book)} bytes, ratio {ratio(raw, with_book)}"),
        ("  without", f"{n_bytes(without)} bytes, ratio {ratio(raw, without)}"),
    ]


def _source(record: dict[str, Any]) -> str:
    source = record.get("source")
    return f": {source}" if isinstance(source, str) and source else ""
