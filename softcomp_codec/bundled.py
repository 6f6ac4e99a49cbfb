"""Where the bundled codebooks lie, and the heads of codebook files; loads no NumPy, no Numba."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SUFFIX = ".scfb"
INDEX = "index.json"
"""Beside the bundled codebooks: ID and modes of each, by name."""

MAGIC = b"\xf7SB"
HEAD_BYTES = 36
_ID_OFFSET = 4


def stated_identifier(head: bytes) -> bytes:
    """Return the ID that the first bytes of a codebook file state, empty for other files."""
    return head[_ID_OFFSET:HEAD_BYTES] if head.startswith(MAGIC) else b""


def bundled_folder() -> Traversable:
    """Return the folder of bundled codebooks, of the installed package or of a checkout.

    In a checkout that is imported without being installed, as by ``python -m`` in its folder, the
    codebooks are not below the package.
    """
    try:
        return files("softcomp_codec.codebooks")
    except ModuleNotFoundError:
        return Path(__file__).resolve().parent.parent / "codebooks"
