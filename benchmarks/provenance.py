"""What a results file says of where it comes from."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


def describe_machine(*more: str) -> str:
    """Return machine, versions (of `more` packages, too) and commit as Markdown lines."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "pillow", *more))
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return (
        f"- machine: {platform.machine()}, {platform.system()}, {_processor()}\n"
        f"- Python {platform.python_version()}, {packages}, softcomp-codec "
        f"{version('softcomp-codec')}, commit {commit or 'unknown'}\n"
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "processor unknown"
