"""SPEC.md and the code name the same things."""

import re
from pathlib import Path

import pytest

import softcomp_codec
from softcomp_codec import bundled, codebook, container, planes
from softcomp_codec.kernels import residual_kernels

SPEC = (Path(__file__).parent.parent / "SPEC.md").read_text(encoding="utf-8")
PACKAGE = Path(softcomp_codec.__file__).parent
SOURCES = {
    path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}

HEADINGS = re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\.? ", SPEC, re.MULTILINE)
NORMATIVE = [number for number in HEADINGS if re.fullmatch(r"[2-6]\.\d+", number)]

_NUMBER = r"\d+(?:\.\d+)?"
_CITATION = re.compile(rf"\bSPEC ({_NUMBER}(?:(?:, | and | to ){_NUMBER})*)")


def citations(text):
    """All section numbers that a text cites: "SPEC 5.3 to 5.6", "SPEC 2 and 3"."""
    found = []
    for match in _CITATION.finditer(" ".join(text.replace("#", " ").split())):
        found += re.findall(_NUMBER, match[1])
        for first, last in re.findall(rf"({_NUMBER}) to ({_NUMBER})", match[1]):
            section = first.partition(".")[0]
            numbers = range(int(first.partition(".")[2]), int(last.partition(".")[2]))
            found += [f"{section}.{number}" for number in numbers]
    return found


def test_citations_are_found():
    text = "see (SPEC 2 and 3), SPEC\n    5.3 to 5.5; SPEC 4.4, 5.9. SPEC.md"
    assert set(citations(text)) == {"2", "3", "5.3", "5.4", "5.5", "4.4", "5.9"}


def test_headings_are_numbered_in_order():
    assert len(set(HEADINGS)) == len(HEADINGS)
    as_numbers = [tuple(map(int, number.split("."))) for number in HEADINGS]
    assert as_numbers == sorted(as_numbers)
    assert len(NORMATIVE) > 20


@pytest.mark.parametrize("name", [name for name, text in SOURCES.items() if "SPEC " in text])
def test_cited_sections_exist(name):
    assert set(citations(SOURCES[name])) <= set(HEADINGS)


@pytest.mark.parametrize("number", NORMATIVE)
def test_normative_sections_are_cited(number):
    assert any(number in citations(text) for text in SOURCES.values())


def test_sections_that_the_spec_refers_to_exist():
    refs = re.findall(r"(?:section|sections|see) (\d+(?:\.\d+)?)\b", SPEC)
    refs += re.findall(r"\((\d\.\d+)\)", SPEC)
    refs = [number for number in refs if not number.startswith("0")]  # of a codebook, "section 01h"
    assert len(refs) > 20
    assert set(refs) <= set(HEADINGS)


# --- registries ---------------------------------------------------------------------------------


def table(number):
    """Rows of the first table of a section, without its head."""
    section = re.split(rf"^### {re.escape(number)} ", SPEC, maxsplit=1, flags=re.MULTILINE)[1]
    section = re.split(r"^##", section, maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\|(.*)\|$", section, re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in rows[2:]]


def test_registry_of_modes():
    rows = [row for row in table("2.2") if "reserved" not in row[1]]
    known = {**container.MODES, **container.FURTHER_MODES}
    assert [int(row[0]) for row in rows] == [*sorted(known), container.ARRAY]
    for number, name, sample_type, n_planes, pillow_mode, shape in rows[:-1]:
        mode = known[int(number)]
        assert mode.name.startswith(name)
        assert f"{mode.bits_per_sample}" in sample_type
        assert mode.n_planes == int(n_planes)
        assert mode.pillow_mode == (pillow_mode or None)
        assert mode.channel_axis == (shape.count(",") == 2)


def test_registry_of_coders():
    rows = table("2.4")
    named = {int(row[0]): row[1] for row in rows if row[0].isdigit()}
    named = {number: name for number, name in named.items() if not name.startswith("reserved")}
    assert named == container.CODER_NAMES
    readable = {number for number in named if "reserved" not in rows[number][2]}
    assert readable == set(container.READABLE_CODERS)


def test_registry_of_segments():
    rows = {int(row[0].removesuffix("h"), 16): row for row in table("3.1")}
    assert {kind: row[1] for kind, row in rows.items()} == container.SEGMENT_NAMES


def test_registry_of_colour_transforms():
    rows = {int(row[0].split()[0]): row[0].split(" ", 1)[1] for row in table("5.2")}
    assert rows.keys() == planes.TRANSFORM_NAMES.keys()
    for number, name in rows.items():
        assert planes.TRANSFORM_NAMES[number].startswith(name)


def test_numbers_that_the_text_gives():
    assert f"magic `{container.MAGIC.hex(' ').upper()}`" in SPEC
    assert f"magic `{bundled.MAGIC.hex(' ').upper()}`" in SPEC
    assert f"version {container.FORMAT_VERSION}" in SPEC.splitlines()[0]
    assert codebook.FORMAT_VERSION == container.FORMAT_VERSION
    assert codebook.MAX_CODEBOOK_BYTES == 64 << 20
    assert codebook.XZ_MEMORY == 256 << 20
    assert "64 MiB" in SPEC
    assert "256 MiB" in SPEC
    for predictor in (residual_kernels.NO_PREDICTOR, residual_kernels.MED):
        assert re.search(rf"Predictor {predictor} ", SPEC)
    assert f"Predictor {residual_kernels.GAP}: GAP" in SPEC
    kinds = ", ".join(f"{number} {name}" for number, name in codebook.KIND_NAMES.items())
    for kind in kinds.split(", "):
        assert kind in SPEC.split("Kinds of image: ")[1]
