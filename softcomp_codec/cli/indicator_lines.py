"""The compressible indicator in ``scf info`` and in the report of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import container
from .console import n_bytes, plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..codebook import Codebook
    from ..indicator import Indicator


def measure_file(path: Path, books: Sequence[Codebook]) -> list[Indicator | None] | None:
    """Return the indicator of each plane of a file's first frame, None where it has no shapes.

    None for files that no shapes coder wrote.
    """
    from ..decoder import decode_file
    from ..indicator import image_indicators

    data = path.read_bytes()
    header = container.frame_header(container.read_file(data)[0], 0).as_coded
    if header.coder != container.SHAPES:
        return None
    decoded = decode_file(data, source=str(path), codebooks=books)
    return image_indicators(decoded.coded_array, header.mode, decoded.codebook)


def image_facts(planes: Sequence[Indicator | None] | None) -> dict[str, Any] | None:
    """Return the indicators of an image, ready for JSON."""
    from ..indicator import total

    if planes is None:
        return None
    return {
        "planes": [None if plane is None else _facts(plane) for plane in planes],
        "image": _facts(total(plane for plane in planes if plane is not None)),
    }


def set_facts(measured: Sequence[Indicator | None]) -> dict[str, Any]:
    """Return the indicator of a set from all its planes, ready for JSON."""
    from ..indicator import total

    return _facts(total(plane for plane in measured if plane is not None))


def image_lines(facts: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Return the indicators of an image for people."""
    if facts is None:
        return [("indicator", "none: no shapes coder wrote it")]
    if len(facts["planes"]) == 1:
        return [("indicator", _sentence(facts["planes"][0]))]
    lines = [
        (f"indicator, plane {index}", _sentence(plane))
        for index, plane in enumerate(facts["planes"])
    ]
    return [*lines, ("indicator, image", _sentence(facts["image"]))]


def set_lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the indicator of a set for people."""
    return [("indicator", _sentence(facts))]


def training_lines(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a training saw of each plane; records of other trainers may lack it."""
    lines: list[tuple[str, str]] = []
    planes = record.get("planes")
    for name, entry in planes.items() if isinstance(planes, dict) else ():
        for part in (_split_lines, _round_lines):
            try:
                lines += part(name, entry)
            except (KeyError, TypeError, ValueError, AttributeError):
                continue
    return lines


def _facts(part: Indicator) -> dict[str, Any]:
    return {
        "placements": part.n_placed,
        "location_bits": part.location_bits,
        "codeword_bits": part.codeword_bits,
        "bits_without_shapes": part.fallback_bits,
        "raw_bits": part.raw_bits,
        "indicator": round(part.against_fallback, 3),
        "indicator_against_raw": round(part.against_raw, 3),
        "location_cost": round(part.location_cost, 3),
        "pays": part.pays,
    }


def _sentence(facts: dict[str, Any] | None) -> str:
    if facts is None or not facts["placements"]:
        return "no shapes: the codebook has none here, or none fits"
    verdict = "shapes pay" if facts["pays"] else "shapes do not pay"
    return (
        f"a location costs {facts['location_cost']:.2f} bits and may cost "
        f"{facts['indicator']:.2f} ({facts['indicator_against_raw']:.2f} against raw samples): "
        f"{verdict}; {plural(facts['placements'], 'placement')}"
    )


def _split_lines(name: str, entry: dict[str, Any]) -> list[tuple[str, str]]:
    from ..indicator import Indicator

    whole = entry["without_shapes_bits"]
    lines = [(f"{name}, trial", f"without shapes {n_bytes(whole // 8)} bytes")]
    for low_bits, trial in entry["splits"].items():
        placements, low_layer_bits = trial["placements"], trial["low_layer_bits"]
        location_bits, codeword_bits = trial["location_bits"], trial["codeword_bits"]
        part = Indicator(placements, location_bits, codeword_bits, whole - low_layer_bits)
        verdict = "shapes pay" if part.pays else "shapes do not pay"
        if part.n_placed:
            verdict = (
                f"a location costs {part.location_cost:.2f} bits and may cost "
                f"{part.against_fallback:.2f}: {verdict}"
            )
        elif part.pays:
            verdict = "no shape placed, the empty layer pays"
        size = n_bytes((location_bits + codeword_bits + low_layer_bits) // 8)
        lines.append((f"  low layer of {low_bits} bits", f"{size} bytes; {verdict}"))
    return lines


def _round_lines(name: str, entry: dict[str, Any]) -> list[tuple[str, str]]:
    rounds = " > ".join(n_bytes(bits // 8) for bits in entry["round_bits"])
    return [(f"{name}, shapes", f"{rounds} bytes, round by round")]
