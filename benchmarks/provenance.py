"""What a results file says of where it comes from."""

from __future__ import annotations

import subprocess
from pathlib import Path

from softcomp_codec.machine import machine, versions


def describe_machine(*more: str) -> str:
    """Return machine, versions (of `more` packages, too) and commit as Markdown lines."""
    facts = machine()
    packages = ", ".join(f"{name} {number}" for name, number in versions(*more).items())
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return (
        f"- machine: {facts['architecture']}, {facts['system']}, {facts['processor']}\n"
        f"- {packages}, commit {commit or 'unknown'}\n"
    )
