"""Ranges of planes and colour transforms (SPEC.md 5.2, 5.2.1), written from SPEC.md alone.

A part of reference_decoder.py.
"""

from reference_decoder_container import BITS_OF_MODE, PLANES_OF_MODE
from reference_decoder_numbers import Range, SpecError
from reference_decoder_samples import PlanePicture

CORRECTIONS = (
    (0, 0, 0),
    (0, 1, 0),
    (0, -1, 0),
    (0, 0, 1),
    (1, 0, 0),
    (-1, 0, 0),
    (0, 0, -1),
    (1, 0, -1),
)


def plane_ranges(kind: int, transform: int) -> list[Range]:
    """Return the ranges of the planes (5.2)."""
    if kind == 0:
        return [Range(0, 1)]
    if kind == 1:
        return [Range(0, 255)]
    difference = Range(0, 255) if transform == 0 else Range(-255, 255)
    return [Range(0, 255), difference, difference]


def context_ranges(mode: int, transform: int) -> list[Range]:
    """Return the ranges of the planes (5.2, 5.2.1, 5C.1)."""
    components, bits = PLANES_OF_MODE[mode], BITS_OF_MODE[mode]
    colours = 3 <= components <= 4 and not isinstance(mode, PlanePicture)
    allowed = (0,) if not colours else (0, 3, 4) if bits == 8 else (0, 3)
    if transform not in allowed:
        raise SpecError("corrupt: colour transform")
    highest = (1 << bits) - 1
    component = Range(0, highest)
    if transform == 0:
        return [component] * components
    if transform == 3:
        first = [component, Range(-highest, highest), Range(-highest, highest)]
    else:
        first = [component, component, component, Range(0, 7)]
    return first + [component] * (components - 3)


def invert_transform(transform: int, planes: list[list[list[int]]]) -> list[list[list[int]]]:
    """Return the component planes of coded planes (5.2)."""
    if transform == 0:
        return planes
    components: list[list[list[int]]] = [[], [], []]
    for rows in zip(*planes, strict=True):
        restored = []
        for first, u, v in zip(*rows, strict=True):
            green = first - ((u + v) >> 2) if transform == 1 else first
            pixel = (u + green, green, v + green)
            if not all(0 <= component <= 255 for component in pixel):
                raise SpecError("corrupt: a restored component outside 0..255")
            restored.append(pixel)
        for component, row in zip(components, zip(*restored, strict=True), strict=True):
            component.append(list(row))
    return components


def red_differences(planes: list[list[list[int]]]) -> list[list[list[int]]]:
    """Return the planes of transform 3 of component planes (5.2)."""
    pairs = [list(zip(*rows, strict=True)) for rows in zip(*planes[:3], strict=True)]
    return [
        planes[0],
        [[green - red for red, green, _ in row] for row in pairs],
        [[blue - ((red + green) >> 1) for red, green, blue in row] for row in pairs],
        *planes[3:],
    ]


def invert_context_transform(
    transform: int, planes: list[list[list[int]]], highest: int
) -> list[list[list[int]]]:
    """Return the component planes of transforms 0, 3 and 4 (5.2, 5.2.1)."""
    if transform == 0:
        return planes
    used = 3 if transform == 3 else 4
    inverse = invert_red if transform == 3 else invert_lattice
    rows = [
        [inverse(*pixel) for pixel in zip(*row, strict=True)]
        for row in zip(*planes[:used], strict=True)
    ]
    colours = [[[pixel[index] for pixel in row] for row in rows] for index in range(3)]
    if any(not 0 <= sample <= highest for plane in colours for row in plane for sample in row):
        raise SpecError("corrupt: a component outside the range")
    return colours + planes[used:]


def invert_red(red: int, u: int, v: int) -> tuple[int, int, int]:
    """Return the components of a pixel of transform 3 (5.2)."""
    green = u + red
    return red, green, v + ((red + green) >> 1)


def invert_lattice(luma: int, cb: int, cr: int, correction: int) -> tuple[int, int, int]:
    """Return the components of a pixel of transform 4 (5.2.1)."""
    b, r = cb - 128, cr - 128
    red = luma + ((91881 * r + 32768) >> 16)
    green = luma + ((-22554 * b - 46802 * r + 32768) >> 16)
    blue = luma + ((116130 * b + 32768) >> 16)
    differences = CORRECTIONS[correction]
    byte = Range(0, 255)
    return (
        byte.clamp(red) + differences[0],
        byte.clamp(green) + differences[1],
        byte.clamp(blue) + differences[2],
    )
