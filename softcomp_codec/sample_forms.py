"""Samples of every type as unsigned integers of the same order, and back (SPEC 3.1.4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .container import SAMPLE_TYPES

MULTIPLES, FRACTIONS = 1, 2
"""Ladders: floating-point numbers that stand for integers (SPEC 3.1.4)."""

LARGEST_STEPS = {16: 1 << 24, 32: 1 << 24, 64: 1 << 53}
"""Largest integer on a ladder, whatever its sign, by the bits of its numbers."""


def unsigned_type(sample_type: str) -> np.dtype[Any]:
    """Return the type of unsigned integers as wide as samples of a type; of bool uint8."""
    return np.dtype(f"uint{max(8, SAMPLE_TYPES[sample_type])}")


def to_unsigned(array: NDArray[Any], sample_type: str) -> NDArray[Any]:
    """Return samples as unsigned integers of the same order; inverse of `from_unsigned`.

    Floating-point numbers keep their bits: -0.0 comes before 0.0, and every NaN has a place of its
    own beyond infinity.
    """
    kind = unsigned_type(sample_type)
    if array.dtype.kind in "ub":
        return array.astype(kind, copy=False)
    top = kind.type(1 << (8 * kind.itemsize - 1))
    bits: NDArray[Any] = np.ascontiguousarray(array).view(kind)
    if array.dtype.kind == "i":
        flipped: NDArray[Any] = bits ^ top
        return flipped
    ordered: NDArray[Any] = np.where(bits & top, ~bits, bits | top)
    return ordered


def from_unsigned(numbers: NDArray[Any], sample_type: str) -> NDArray[Any]:
    """Return samples of a type from unsigned integers as wide; inverse of `to_unsigned`."""
    target = np.dtype(sample_type)
    if target.kind in "ub":
        return numbers.astype(target, copy=False)
    kind = unsigned_type(sample_type)
    numbers = numbers.astype(kind, copy=False)
    top = kind.type(1 << (8 * kind.itemsize - 1))
    samples: NDArray[Any]
    if target.kind == "i":
        samples = (numbers ^ top).view(target)
        return samples
    samples = np.where(numbers & top, numbers ^ top, ~numbers).view(target)
    return samples


def is_scale(number: int, sample_type: str) -> bool:
    """Whether the bits of a number are those of one that a ladder may count: normal, positive."""
    bits = SAMPLE_TYPES[sample_type]
    n_fraction = np.finfo(sample_type).nmant
    return 0 < number >> n_fraction < (1 << (bits - 1 - n_fraction)) - 1


def on_ladder(steps: NDArray[np.int64], sample_type: str, ladder: int, scale: int) -> NDArray[Any]:
    """Return the numbers of a ladder at some integers, of which none exceeds `LARGEST_STEPS`.

    One product or quotient, rounded once to the nearest number of the type, ties to even. Where the
    type has at most 32 bits the product is exact in 64 bits, and a quotient of such integers
    is never so near to a tie that rounding it twice could differ.
    """
    target = np.dtype(sample_type)
    counted = steps.astype(np.float64)
    with np.errstate(over="ignore"):
        if ladder == FRACTIONS:
            return (counted / np.float64(scale)).astype(target)
        factor = np.array(scale, f"uint{8 * target.itemsize}").view(target).astype(np.float64)
        return (counted * factor).astype(target)


def steps_of(samples: NDArray[Any], kind: str, ladder: int, scale: int) -> NDArray[np.int64]:
    """Return the integers nearest to samples on a ladder; those of samples that are on it exactly.

    Numbers that are none become 0, too large ones the largest.
    """
    wide = samples.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        if ladder == FRACTIONS:
            steps = wide * scale
        else:
            unit = np.array(scale, f"uint{SAMPLE_TYPES[kind]}").view(kind).astype(np.float64)
            steps = wide / unit
    largest = LARGEST_STEPS[SAMPLE_TYPES[kind]]
    nearest = np.nan_to_num(np.clip(np.rint(steps), -largest, largest), nan=0.0)
    whole: NDArray[np.int64] = nearest.astype(np.int64)
    return whole
