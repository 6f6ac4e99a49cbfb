"""What a table of measurements says of where it was made."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import __version__

COMMON_PACKAGES = ("numpy", "numba", "pillow")


def machine() -> dict[str, str | int]:
    """Return processor, cores and system."""
    return {
        "architecture": platform.machine(),
        "system": platform.system(),
        "processor": processor(),
        "cores": os.cpu_count() or 1,
    }


def versions(*more: str) -> dict[str, str]:
    """Return the versions of Python, this package, those it codes with, and `more` if installed."""
    found = {"Python": platform.python_version()}
    for name in (*COMMON_PACKAGES, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {**found, "softcomp-codec": __version__}


def processor() -> str:
    """Return the processor's name as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "processor unknown"
