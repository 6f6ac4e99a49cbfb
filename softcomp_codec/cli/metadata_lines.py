"""What ``scf info`` says of a file's metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .console import n_bytes

if TYPE_CHECKING:
    from ..metadata import Metadata

_SIZES = {"exif": "EXIF", "icc_profile": "ICC profile", "xmp": "XMP", "comment": "comment"}
_NUMBERS = {
    "dpi": "resolution",
    "aspect": "pixel aspect",
    "gamma": "gamma",
    "chromaticity": "chromaticity",
    "srgb": "sRGB intent",
    "transparency": "transparent",
    "background": "background",
}


def metadata_facts(metadata: Metadata) -> dict[str, Any]:
    """Return the metadata ready for JSON: of bytes their number, of the others what they are."""
    facts: dict[str, Any] = {}
    for name in _SIZES:
        if (data := getattr(metadata, name)) is not None:
            facts[f"{name}_bytes"] = len(data)
    for name in _NUMBERS:
        value = getattr(metadata, name)
        if value is not None:
            facts[name] = list(value) if isinstance(value, tuple | bytes) else value
    if metadata.text:
        facts["text"] = dict(metadata.text)
    if metadata.loop is not None:
        facts["loop"] = metadata.loop
    if metadata.durations:
        facts["durations"] = list(metadata.durations)
    return facts


def metadata_lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what `metadata_facts` found as names and values for people."""
    lines = []
    for name, label in _SIZES.items():
        if (size := facts.get(f"{name}_bytes")) is not None:
            lines.append((label, f"{n_bytes(size)} bytes"))
    for name, label in _NUMBERS.items():
        if (value := facts.get(name)) is not None:
            numbers = value if isinstance(value, list) else [value]
            between, unit = (" x ", " dpi") if name == "dpi" else (", ", "")
            lines.append((label, between.join(f"{each:.12g}" for each in numbers) + unit))
    if text := facts.get("text"):
        lines.append(("text", ", ".join(sorted(text))))
    if (loop := facts.get("loop")) is not None:
        lines.append(("shown", "for ever" if loop == 0 else f"{loop} times"))
    if durations := facts.get("durations"):
        lines.append(("durations", _durations_line(durations)))
    return lines


def _durations_line(durations: list[Any]) -> str:
    if len(durations) == 1:
        return f"{durations[0]:.12g} ms a frame"
    known = [each for each in durations if each is not None]
    without = len(durations) - len(known)
    some = f", none of {without} frames" if without else ""
    return f"{min(known):.12g} to {max(known):.12g} ms, {sum(known):.12g} ms together{some}"
