"""``scf warmup``: compile the kernels now."""

from __future__ import annotations

from .console import note, progress, say


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
    with progress("compiling kernels" if first else "loading kernels") as move:
        return warm_up(move)


def note_compiling() -> bool:
    """Say so, and return True, if kernels are used for the first time."""
    from ..kernels.jit import has_compiled_kernels

    first = not has_compiled_kernels()
    if first:
        note("compiling kernels, once")
    return first
