"""Where a picture lies in the JPEG that it was cut from, as files say it (SPEC 5J.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import quantiser_tables
from .errors import CorruptStreamError
from .jpeg_emulation import BLOCK, FANCY, Past

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .container import ByteReader
    from .quantiser_tables import Table


def write_past(past: Past, known: Sequence[Table] = ()) -> bytes:
    """Write SPEC 5J.2; inverse of `read_past`. `known` are the tables of the codebook."""
    flags = (past.n_components == 3) | (past.sampling[0] - 1) << 1 | (past.sampling[1] - 1) << 2
    flags |= past.cut[0] << 3 | past.cut[1] << 4 | (past.upsampling != FANCY) << 5
    return bytes([flags, *past.phase]) + quantiser_tables.write_tables(past.tables, known)


def read_past(reader: ByteReader, n_planes: int, known: Sequence[Table] = ()) -> Past:
    """Read SPEC 5J.2 of a picture of `n_planes`.

    `known` are the tables of the codebook.

    Raises
    ------
    CorruptStreamError, TruncatedStreamError
    """
    what = reader.what
    flags = reader.take(1, "JPEG past")[0]
    n_components = 3 if flags & 1 else 1
    if n_components != n_planes or flags >> 6:
        raise CorruptStreamError(
            f"{what}: flags {flags:#04x} of a JPEG past with {n_planes} planes"
        )
    sampling = (1 + (flags >> 1 & 1), 1 + (flags >> 2 & 1))
    if n_components == 1 and (sampling != (1, 1) or flags >> 5):
        raise CorruptStreamError(f"{what}: subsampling in a gray picture")
    rows, columns = reader.take(2, "phase")
    if rows >= BLOCK * sampling[0] or columns >= BLOCK * sampling[1]:
        raise CorruptStreamError(f"{what}: phase {rows}, {columns} of a JPEG past")
    tables = quantiser_tables.read_tables(reader, n_components, known)
    cut = bool(flags >> 3 & 1), bool(flags >> 4 & 1)
    return Past(sampling, (rows, columns), cut, flags >> 5 & 1, tables)
