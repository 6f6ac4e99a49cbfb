"""The options of every save call, whichever library it comes through.

Those of `SAVE_OPTIONS` are of the encoder, those of `metadata.METADATA_OPTIONS` change what is kept
besides the pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

SAVE_OPTIONS = (
    "codebook",
    "effort",
    "coder",
    "embed_codebook",
    "reference_bytes",
    "file_check",
)
"""Keyword options of `softcomp_codec.encode`."""

_FLAGS = ("embed_codebook", "file_check")


def save_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the given options that `softcomp_codec.encode` knows.

    Raises
    ------
    TypeError
        A flag that is not a bool, or an effort that is not an integer. The values themselves are
        checked by `softcomp_codec.encode`.
    """
    options = {name: given[name] for name in SAVE_OPTIONS if name in given}
    for name in _FLAGS:
        if not isinstance(flag := options.get(name, False), bool):
            raise TypeError(f"{name} is {flag!r}, expected True or False")
    effort = options.get("effort", 5)
    if isinstance(effort, bool) or not hasattr(effort, "__index__"):
        raise TypeError(f"effort is {effort!r}, expected an integer from 1 to 9")
    return options
