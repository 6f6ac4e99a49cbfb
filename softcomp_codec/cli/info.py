"""``scf info``: what a file is, from its header, and what its coder did, by decoding it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import container
from ..errors import CodebookNotFoundError, ScfError
from ..metadata import Metadata
from ..sample_map import type_of
from . import indicator_lines
from .codebook import CodebookOption, load_extra
from .codebook_files import find_codebook, read_identifier
from .console import complain, n_bytes, print_facts
from .metadata_lines import metadata_facts, metadata_lines
from .set_lines import describe_set, is_set_file, set_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..codebook import Codebook
    from ..indicator import Indicator


def info(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help=".scf files.", show_default=False)
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line for each file.")
    ] = False,
    details: Annotated[
        bool,
        typer.Option(
            "--details/--header",
            help="Also what the coder did, where the codebook is there, or the header alone: fast.",
        ),
    ] = True,
    with_indicator: Annotated[
        bool,
        typer.Option(
            "--indicator",
            help="Also the compressible indicator: how many bits a shape's location may cost.",
        ),
    ] = False,
    codebook: CodebookOption = None,
) -> None:
    """Show what .scf files hold.

    Only the details (colour transform, predictors, layers, shapes placed) and the indicator need
    the codebook.
    """
    books = load_extra(codebook)
    failed = False
    measured: list[Indicator | None] = []
    for path in files:
        try:
            is_set = is_set_file(path)
            facts = describe_set(path, books) if is_set else describe(path, books, details=details)
            if with_indicator and not is_set:
                image = indicator_lines.measure_file(path, books)
                facts["indicator"] = indicator_lines.image_facts(image)
                measured += image or []
        except (OSError, ValueError) as error:
            is_codebook = path.is_file() and read_identifier(path)
            complain("it is a codebook: see scf codebook show" if is_codebook else error, path)
            failed = True
            continue
        if as_json:
            print(json.dumps(facts))
        else:
            print_facts(set_lines(facts) if is_set else _lines(facts), title=str(path))
    if with_indicator and len(files) > 1:
        facts = indicator_lines.set_facts(measured)
        if as_json:
            print(json.dumps({"set": facts}))
        else:
            print_facts(indicator_lines.set_lines(facts), title=f"all {len(files)} files")
    if failed:
        raise typer.Exit(1)


def describe(path: Path, books: Sequence[Codebook], *, details: bool) -> dict[str, Any]:
    """Return what there is to say about a file, ready for JSON."""
    with path.open("rb") as stream:
        header = container.read_header_from(stream)
    size = path.stat().st_size
    payload_bytes = size - header.payload_offset
    raw_bytes = header.raw_size * header.n_frames
    n_samples = header.width * header.height * header.mode.n_planes * header.n_frames
    facts: dict[str, Any] = {
        "file": str(path),
        "format_version": container.FORMAT_VERSION,
        "mode": header.mode.name,
        "pillow_mode": header.mode.pillow_mode,
        "dtype": type_of(header.mode),
        "coded_as": header.as_coded.mode.name if header.sample_map is not None else None,
        "sample_map": [] if header.sample_map is None else header.sample_map.describe(),
        "width": header.width,
        "height": header.height,
        "frames": header.n_frames,
        "coder": container.CODER_NAMES[header.coder],
        "codebook": _codebook(header, path, books),
        "segments": [
            {"name": segment.name, "bytes": len(segment.data)} for segment in header.segments
        ],
        "metadata": metadata_facts(Metadata.from_header(header)),
        "file_bytes": size,
        "header_bytes": header.payload_offset,
        "payload_bytes": payload_bytes,
        "raw_bytes": raw_bytes,
        "ratio": round(raw_bytes / size, 4),
        "bits_per_sample": round(8 * size / n_samples, 4),
        "picture_checksum": f"{header.checksum:08x}",
        "file_check": _file_check(path, header),
    }
    if details:
        facts["details"] = _details(path, books)
    return facts


def _codebook(
    header: container.Header, path: Path, books: Sequence[Codebook]
) -> dict[str, Any] | None:
    reference = header.codebook_reference
    if not reference:
        return None
    found: str | None
    if any(book.identifier.startswith(reference) for book in books):
        found = "given by --codebook"
    else:
        place = find_codebook(header, path)
        found = None if place is None else str(place)
    return {"id": reference.hex(), "name": header.codebook_name, "found": found}


def _file_check(path: Path, header: container.Header) -> str | None:
    if header.segment(container.SEGMENT_FILE_CHECK) is None:
        return None
    return "ok" if container.file_check_matches(path.read_bytes(), header) else "DAMAGED"


def _details(path: Path, books: Sequence[Codebook]) -> dict[str, Any] | None:
    """Return what the coder of samples did.

    None for other coders and without the codebook.
    """
    header, payload = container.read_file(path.read_bytes())
    payload = container.frame_payload(header, payload, 0)
    named, header = header, container.frame_header(header, 0).as_coded
    if header.coder == container.CONTEXT:
        return _context_details(named, header, payload, path, books)
    if header.coder == container.FEW_COLOUR:
        return _few_colour_details(header, payload)
    if header.coder == container.TINY:
        return {"code_bytes": len(payload), "adaptive": False}
    if header.coder in (container.SHAPES, container.BILEVEL, container.JPEG_PAST):
        return _details_by_codebook(named, header, payload, path, books)
    return None


def _details_by_codebook(
    named: container.Header,
    header: container.Header,
    payload: bytes,
    path: Path,
    books: Sequence[Codebook],
) -> dict[str, Any] | None:
    """Return what a coder did whose payloads only the codebook explains; None without it."""
    from .. import codebook_store

    candidates: Sequence[Codebook | None] = (None,)
    if header.codebook_reference:
        try:
            candidates = codebook_store.find_codebooks(named, source=str(path), extra=books)
        except CodebookNotFoundError:
            return None
    if header.coder == container.BILEVEL:
        return _bilevel_details(header, payload, candidates[0])
    if header.coder == container.JPEG_PAST:
        return _jpeg_past_details(header, payload, candidates[0])
    return _shapes_details(header, payload, candidates)


def _bilevel_details(
    header: container.Header, payload: bytes, book: Codebook | None
) -> dict[str, Any]:
    from .. import bilevel_coder

    prior = book.bilevel_prior(header.height, header.width) if book else None
    return bilevel_coder.describe_payload(payload, header, prior)


def _jpeg_past_details(
    header: container.Header, payload: bytes, book: Codebook | None
) -> dict[str, Any]:
    from .. import jpeg_past_coder

    prior = book.jpeg_past_prior(header.mode) if book else None
    return jpeg_past_coder.describe_payload(payload, header, prior)


def _shapes_details(
    header: container.Header, payload: bytes, candidates: Sequence[Codebook | None]
) -> dict[str, Any]:
    """Return what the shapes coder did, by the first of the codebooks that explains it."""
    from .. import shapes_coder

    failure: ScfError | None = None
    for book in candidates:
        try:
            statistics = shapes_coder.describe_payload(payload, header, book)
        except ScfError as error:
            failure = error
            continue
        return {
            "colour_transform": statistics.transform,
            "low_layer_bytes": statistics.low_bytes,
            "planes": [
                {
                    "predictor": plane.predictor,
                    "low_bits": plane.low_bits,
                    "sample_bits": plane.sample_bits,
                    "shapes": plane.n_shapes,
                    "shape_bits": plane.shape_bits,
                    "gap_code": plane.gap_code,
                }
                for plane in statistics.planes
            ],
        }
    assert failure is not None
    raise failure


def _context_details(
    named: container.Header,
    header: container.Header,
    payload: bytes,
    path: Path,
    books: Sequence[Codebook],
) -> dict[str, Any]:
    """Return what a payload of the context coder says, and what its codebook's prior has.

    "prior" is a list of parts, empty without a prior; None where the codebook is missing.
    """
    from .. import codebook_store, context_coder

    said = context_coder.describe_payload(payload, header)
    prior: list[str] | None = []
    if header.codebook_reference:
        transform = context_coder.transform_of(payload)
        try:
            found = codebook_store.find_codebooks(named, source=str(path), extra=books)
        except CodebookNotFoundError:
            prior = None
        else:
            known = [book.context_priors(header.mode).get(transform) for book in found]
            prior = next(
                (
                    each.part_names_for(said.n_contexts, summed=said.summed)
                    for each in known
                    if each
                ),
                [],
            )
    return {
        "colour_transform": said.transform,
        "contexts": said.n_contexts,
        "log_odds": "summed" if said.summed else "mixed",
        "tiles": said.n_tiles,
        "prior": prior,
        "planes": [
            {"lowest": each.lowest, "highest": each.highest, "scale": each.scale}
            for each in said.ranges
        ],
    }


def _few_colour_details(header: container.Header, payload: bytes) -> dict[str, Any]:
    from .. import few_colour_coder

    said = few_colour_coder.describe_payload(payload, header)
    return {"contexts": said.n_contexts, "colours": said.n_colours, "new_colours": said.new_colours}


def _lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the facts as names and values for people."""
    lines = [
        ("format", f"scf version {facts['format_version']}"),
        (
            "picture",
            f"{facts['width']} x {facts['height']}, {facts['mode']}"
            + (f", {facts['frames']:,} frames" if facts["frames"] > 1 else ""),
        ),
        ("samples", _samples_line(facts)),
        *([("sample map", "; ".join(facts["sample_map"]))] if facts["sample_map"] else []),
        ("coder", facts["coder"]),
        ("codebook", _codebook_line(facts["codebook"])),
        (
            "file",
            f"{n_bytes(facts['file_bytes'])} bytes: header {n_bytes(facts['header_bytes'])}, "
            f"payload {n_bytes(facts['payload_bytes'])}",
        ),
        (
            "raw",
            f"{n_bytes(facts['raw_bytes'])} bytes, ratio {facts['ratio']:.3f}, "
            f"{facts['bits_per_sample']:.3f} bits a sample",
        ),
        ("picture checksum", facts["picture_checksum"]),
        ("file check", facts["file_check"] or "none"),
    ]
    if facts["segments"]:
        segments = [
            f"{each['name']} ({n_bytes(each['bytes'])} bytes)" for each in facts["segments"]
        ]
        lines.append(("segments", ", ".join(segments)))
    lines += metadata_lines(facts["metadata"])
    if "details" in facts:
        lines += _detail_lines(facts)
    if "indicator" in facts:
        lines += indicator_lines.image_lines(facts["indicator"])
    return lines


def _samples_line(facts: dict[str, Any]) -> str:
    """Say what the samples are, for Pillow and NumPy, and how they are coded."""
    line: str = facts["dtype"]
    if facts["pillow_mode"] is not None:
        line += f", Pillow's mode {facts['pillow_mode']}"
    return line + (f", coded as {facts['coded_as']}" if facts["coded_as"] else "")


def _codebook_line(codebook: dict[str, Any] | None) -> str:
    if codebook is None:
        return "none needed"
    name = f" {codebook['name']}" if codebook["name"] else ""
    where = f"found: {codebook['found']}" if codebook["found"] else "MISSING: only pixels need it"
    return f"{codebook['id']}{name} ({where})"


def _detail_lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    details = facts["details"]
    if details is None:
        missing = facts["codebook"] is not None and facts["codebook"]["found"] is None
        return [("details", "not without the codebook" if missing else "none of this coder")]
    lines = [("details", "of the first frame")] if facts["frames"] > 1 else []
    for key, describe_it in (
        ("by_blocks", _bilevel_lines),
        ("sample_bytes", _jpeg_samples_lines),
        ("subsampling", _jpeg_past_lines),
    ):
        if key in details:
            return lines + describe_it(details)
    if "adaptive" in details:
        code = f"{n_bytes(details['code_bytes'])} bytes of code, by the codebook's frozen tables"
        return [*lines, ("payload", code)]
    if "new_colours" in details:
        lines.append(("contexts", f"{details['contexts']} a decision"))
        if details["colours"] is not None:
            lines.append(("colours", n_bytes(details["colours"])))
        return [*lines, ("new colours", details["new_colours"])]
    if details["planes"][1:]:
        lines.append(("colour transform", details["colour_transform"]))
    if "contexts" in details:
        return lines + _context_lines(details)
    for index, plane in enumerate(details["planes"]):
        low, high = plane["low_bits"], plane["sample_bits"] - plane["low_bits"]
        shapes = (
            f"{n_bytes(plane['shapes'])} shapes in {n_bytes(plane['shape_bits'])} bits, gap code "
            f"{plane['gap_code']}"
            if high
            else "no shape layer"
        )
        layers = f"low layer of {low} bits, shape layer of {high}"
        lines.append((f"plane {index}", f"predictor {plane['predictor']}; {layers}; {shapes}"))
    lines.append(("low layers", f"{n_bytes(details['low_layer_bytes'])} bytes"))
    return lines


def _jpeg_past_lines(details: dict[str, Any]) -> list[tuple[str, str]]:
    """Say what JPEG the picture was decoded from."""
    grid = details["grid"]
    is_rounded = "exact_blocks" in details
    samples = ", samples repeated" if details["repeated_samples"] else ""
    if not is_rounded:
        samples += f", samples not rounded by its {details['decoder']} decoder"
    lines = [
        ("JPEG past", f"{details['subsampling']}{samples}"),
        ("grid", f"first block {grid['rows']} rows above and {grid['columns']} columns before"),
    ]
    before: list[int] = []
    for index, steps in enumerate(details["tables"]):
        if steps != before:
            name = "quantiser" if index == 0 else "of chroma" if index == 1 else "of the last"
            lines.append((name, _table_line(details, index)))
        before = steps
    if is_rounded:
        exact = ", ".join(f"{100 * share:.1f} %" for share in details["exact_blocks"])
        lines.append(("exact blocks", f"{exact}; pixels {100 * details['exact_pixels']:.2f} %"))
    else:
        lines.append(("exact pixels", f"{100 * details['exact_pixels']:.2f} %"))
    left = "correction" if is_rounded else "remainder"
    return [
        *lines,
        ("models at the start", "the codebook's" if details["prior"] else "neutral"),
        ("coefficients", f"{n_bytes(details['coefficient_bytes'])} bytes"),
        (f"{left}s", f"{n_bytes(details[f'{left}_bytes'])} bytes"),
    ]


def _jpeg_samples_lines(details: dict[str, Any]) -> list[tuple[str, str]]:
    """Say the same of a picture whose coefficients were not found."""
    repeated = ", repeated" if details["repeated_samples"] else ""
    luma, *chroma = map(n_bytes, details["sample_bytes"])
    return [
        ("JPEG past", f"{details['subsampling']}{repeated}, without its coefficients"),
        ("samples", f"luma {luma} bytes, chroma {' and '.join(chroma)}"),
        ("corrections", f"{n_bytes(details['correction_bytes'])} bytes"),
    ]


def _table_line(details: dict[str, Any], index: int) -> str:
    """Say which quantiser table a component has."""
    steps = details["tables"][index]
    quality = details["qualities"][index]
    if quality is not None:
        name = f"libjpeg's table of quality {quality}"
    else:
        name = f"a table of its own, nearest to quality {details['nearest_qualities'][index]}"
    rows = [" ".join(map(str, steps[start : start + 8])) for start in range(0, 64, 8)]
    return f"{name}: {' / '.join(rows)}"


def _bilevel_lines(details: dict[str, Any]) -> list[tuple[str, str]]:
    start = "neutral, as without a codebook"
    if details["prior"]:
        start = "the codebook's, by position" if details["positional"] else "the codebook's"
        start += ", unchanged" if details["frozen"] else ""
    return [
        ("contexts", f"{details['contexts']} a decision"),
        ("tiles", n_bytes(details["tiles"])),
        ("background", "ones" if details["inverted"] else "zeros"),
        ("even blocks", "at once" if details["by_blocks"] else "pixel by pixel"),
        ("states at the start", start),
    ]


def _context_lines(details: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [
        ("contexts", f"{details['contexts']} a decision, their log-odds {details['log_odds']}"),
        ("tiles", n_bytes(details["tiles"])),
        ("prior", _prior_line(details["prior"])),
    ]
    for index, plane in enumerate(details["planes"]):
        constant = plane["lowest"] == plane["highest"]
        value = (
            f"{plane['lowest']} everywhere"
            if constant
            else (
                f"samples {plane['lowest']}..{plane['highest']}"
                + (f", in units of {1 << plane['scale']}" if plane["scale"] else "")
            )
        )
        lines.append((f"plane {index}", value))
    return lines


def _prior_line(parts: list[str] | None) -> str:
    if parts is None:
        return "the codebook's, which is missing"
    return f"the codebook's: {', '.join(parts)}" if parts else "none"
