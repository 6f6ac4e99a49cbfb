"""``scf warmup``: compile the kernels now."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .console import note, progress, say

if TYPE_CHECKING:
    from collections.abc import Iterator

_BACKWARDS = "from softcomp_codec.warming import warm_backwards; warm_backwards()"


def warmup() -> None:
    """Compile all kernels now.

    Otherwise the first picture waits for it. Compiled kernels are kept for later runs.
    """
    seconds = compile_kernels()
    say(f"all kernels are ready ({seconds:.1f} s)")


def compile_kernels() -> float:
    """Compile what is not compiled yet; say so if it is the first time. Returns seconds."""
    from ..warming import warmup as warm_up

    first = note_compiling()
    label = "compiling kernels" if first else "loading kernels"
    with helping(_BACKWARDS, wanted=first), progress(label) as move:
        return warm_up(move)


@contextmanager
def helping(code: str, *, wanted: bool) -> Iterator[None]:
    """Run a second process meanwhile, which compiles what this one has not come to.

    What it has compiled is found in the cache; nothing depends on it, however it ends.
    """
    from ..kernels.jit import cache_folder

    process = None
    alone = not sys.executable or getattr(sys, "frozen", False) or (os.cpu_count() or 1) < 2
    if wanted and not alone and cache_folder() is not None:
        with suppress(OSError):
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()


def note_compiling() -> bool:
    """Say so, and return True, if kernels are used for the first time."""
    from ..kernels.jit import has_compiled_kernels

    first = not has_compiled_kernels()
    if first:
        note("compiling kernels, once")
    return first
