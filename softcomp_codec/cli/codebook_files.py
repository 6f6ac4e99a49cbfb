"""Finding codebook files by their ID alone: reads 36 bytes of each, loads neither NumPy nor Numba.

The places are those of `codebook_store`; a test holds the two equal.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_data_path

from .. import container
from ..bundled import HEAD_BYTES, SUFFIX, bundled_folder, stated_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class FoundCodebook:
    """Where a codebook that a file refers to was found."""

    origin: str
    path: Path | None

    def __str__(self) -> str:
        return self.origin if self.path is None else f"{self.origin}, {self.path}"


def places(source: Path) -> Iterator[tuple[str, Path]]:
    """Yield (origin, folder) in the order of look-up."""
    yield "bundled", Path(str(bundled_folder()))
    for entry in os.environ.get("SOFTCOMP_CODEBOOK_PATH", "").split(os.pathsep):
        if entry:
            yield "$SOFTCOMP_CODEBOOK_PATH", Path(entry)
    with suppress(OSError, RuntimeError):  # a user without a home
        yield "user", user_data_path("softcomp-codec", appauthor=False) / "codebooks"
    yield "beside the file", source.resolve().parent


def find_codebook(header: container.Header, source: Path) -> FoundCodebook | None:
    """Return where the codebook of a file is, None if it is in none of the places."""
    if header.segment(container.SEGMENT_CODEBOOK) is not None:
        return FoundCodebook("embedded in the file", None)
    for origin, folder in places(source):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            if read_identifier(path).startswith(header.codebook_reference):
                return FoundCodebook(origin, path)
    return None


def read_identifier(path: Path) -> bytes:
    """Return the ID that a codebook file states, empty for other files."""
    try:
        with path.open("rb") as stream:
            return stated_identifier(stream.read(HEAD_BYTES))
    except OSError:
        return b""
