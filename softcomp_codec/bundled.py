"""Where the bundled codebooks lie; loads neither NumPy nor Numba."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def bundled_folder() -> Traversable:
    """Return the folder of bundled codebooks, of the installed package or of a checkout.

    In a checkout that is imported without being installed, as by ``python -m`` in its folder, the
    codebooks are not below the package.
    """
    try:
        return files("softcomp_codec.codebooks")
    except ModuleNotFoundError:
        return Path(__file__).resolve().parent.parent / "codebooks"
