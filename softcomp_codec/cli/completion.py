"""What shells complete: names of codebooks, coders and formats."""

from __future__ import annotations

from contextlib import suppress


def complete_codebook(incomplete: str) -> list[tuple[str, str]]:
    """Return ``auto``, ``none`` and the codebooks of the usual places, with their origin."""
    from ..codebook_store import list_codebooks

    names = [("auto", "the smallest of all"), ("none", "no codebook")]
    with suppress(Exception):  # a completion must not print a traceback into the command line
        names += [(stored.book.name, stored.origin) for stored in list_codebooks()]
    return [(name, text) for name, text in dict(names).items() if name.startswith(incomplete)]


def complete_codebook_to_show(incomplete: str) -> list[tuple[str, str]]:
    """Return the codebooks of the usual places, with their origin."""
    return [pair for pair in complete_codebook(incomplete) if pair[0] not in ("auto", "none")]


def complete_coder(incomplete: str) -> list[str]:
    """Return the coders that can be asked for."""
    from ..coder_choice import CODER_CHOICES

    return [name for name in CODER_CHOICES if name.startswith(incomplete)]


def complete_format(incomplete: str) -> list[str]:
    """Return the lossless formats that pictures are decoded to."""
    from .pictures import LOSSLESS_FORMATS

    names = sorted(suffix[1:] for suffix in LOSSLESS_FORMATS)
    return [name for name in names if name.startswith(incomplete)]
