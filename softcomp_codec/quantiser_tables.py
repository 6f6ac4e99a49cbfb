"""Quantiser tables of JPEGs: libjpeg's by their quality, others step by step (SPEC 5J.2)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from .container import write_varint
from .errors import CorruptStreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .container import ByteReader

    Table = tuple[int, ...]
    """64 steps, row by row."""

LUMA, CHROMA = 0, 1

_EXPLICIT, _AS_BEFORE = 0xFE, 0xFF
_N_QUALITIES = 100
_FIRST_KNOWN = 200
"""Number of the first of the codebook's tables, of which there are at most 48 (SPEC 6.9)."""

MAX_STEP = 65535

# Tables K.1 and K.2 of ITU-T T.81, which libjpeg scales
_BASES = (
    (
        16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
        14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
        18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
        49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
    ),
    (
        17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
        24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    ),
)  # fmt: skip


@cache
def libjpeg_table(kind: int, quality: int) -> Table:
    """Return libjpeg's table of a quality 1..100, `LUMA` or `CHROMA` (SPEC 5J.2)."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return tuple(min(max((base * scale + 50) // 100, 1), 255) for base in _BASES[kind])


@cache
def _known_tables() -> dict[Table, int]:
    """Return the number of each of libjpeg's tables; the first where qualities share one."""
    known: dict[Table, int] = {}
    for kind in (LUMA, CHROMA):
        for quality in range(1, _N_QUALITIES + 1):
            known.setdefault(libjpeg_table(kind, quality), _N_QUALITIES * kind + quality - 1)
    return known


def quality_of(table: Table) -> int | None:
    """Return the quality of one of libjpeg's tables, None of another."""
    number = _known_tables().get(table)
    return None if number is None else number % _N_QUALITIES + 1


def nearest_quality(table: Table, kind: int) -> int:
    """Return the quality of libjpeg whose table, `LUMA` or `CHROMA`, differs least."""

    def difference(quality: int) -> int:
        known = libjpeg_table(kind, quality)
        return sum(abs(a - b) * 64 // (a + b) for a, b in zip(known, table, strict=True))

    return min(range(1, _N_QUALITIES + 1), key=difference)


def write_tables(tables: tuple[Table, ...], known: Sequence[Table] = ()) -> bytes:
    """Write the table of each component (SPEC 5J.2); inverse of `read_tables`.

    `known` are the codebook's.
    """
    parts = []
    for index, table in enumerate(tables):
        number = _known_tables().get(table)
        if index and table == tables[index - 1]:
            parts.append(bytes([_AS_BEFORE]))
        elif number is not None:
            parts.append(bytes([number]))
        elif table in known:
            parts.append(bytes([_FIRST_KNOWN + known.index(table)]))
        else:
            parts.append(bytes([_EXPLICIT]) + b"".join(write_varint(step) for step in table))
    return b"".join(parts)


def read_tables(
    reader: ByteReader, n_components: int, known: Sequence[Table] = ()
) -> tuple[Table, ...]:
    """Read the table of each component (SPEC 5J.2).

    `known` are the codebook's.
    """
    tables: list[Table] = []
    for index in range(n_components):
        number = reader.take(1, "quantiser table")[0]
        if number == _AS_BEFORE and tables:
            tables.append(tables[-1])
        elif number == _EXPLICIT:
            steps = tuple(reader.varint("quantiser step", MAX_STEP) for _ in range(64))
            if 0 in steps:
                raise CorruptStreamError(f"{reader.what}: quantiser step 0 of component {index}")
            tables.append(steps)
        elif number < 2 * _N_QUALITIES:
            kind, quality = divmod(number, _N_QUALITIES)
            tables.append(libjpeg_table(kind, quality + 1))
        elif number < _FIRST_KNOWN + len(known):
            tables.append(known[number - _FIRST_KNOWN])
        else:
            raise CorruptStreamError(
                f"{reader.what}: quantiser table {number} of component {index}; the codebook has "
                f"{len(known)}"
            )
    return tuple(tables)
