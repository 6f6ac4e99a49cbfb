"""The progress bar of commands that work on many files: files, bytes a second, ratio so far."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NARROW = 76
"""Columns of terminals that get no time and no bar of full width."""


@contextmanager
def file_progress(label: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on stderr if that is a terminal.

    Yields a function that counts one more file: (raw bytes, coded bytes) of it.
    """
    where = console.error_console()
    if not where.is_terminal:
        yield lambda _raw, _coded: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=40 if where.width > NARROW else 10),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}", markup=False),
    ]
    if where.width > NARROW:
        columns.append(TimeRemainingColumn())
    bar = Progress(
        *columns, console=where, transient=True, redirect_stdout=False, redirect_stderr=False
    )
    begun = time.monotonic()
    raw = coded = 0
    with bar:
        task = bar.add_task(label, total=total, speed="")

        def count(raw_bytes: int, coded_bytes: int) -> None:
            nonlocal raw, coded
            raw, coded = raw + raw_bytes, coded + coded_bytes
            bar.update(task, advance=1, speed=so_far(raw, coded, time.monotonic() - begun))

        console.live.console = where
        try:
            yield count
        finally:
            console.live.console = None


def so_far(raw: int, coded: int, seconds: float) -> str:
    """Return speed and ratio for reading, such as ``3.2 MB/s, ratio 2.315``."""
    if not raw:
        return ""
    speed = per_second(raw / seconds) if seconds > 0 else ""
    return ", ".join(filter(None, (speed, f"ratio {console.ratio(raw, coded)}" if coded else "")))


def per_second(rate: float) -> str:
    """Return bytes a second with three digits and a unit."""
    for unit in ("B/s", "kB/s", "MB/s", "GB/s"):
        if rate < 999.5 or unit == "GB/s":
            break
        rate /= 1000
    return f"{rate:.3g} {unit}" if rate < 100 else f"{rate:.0f} {unit}"
