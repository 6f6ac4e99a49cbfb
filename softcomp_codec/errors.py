"""Errors that encoding and decoding raise.

Bad data raises a kind of `ScfError`, which is an ``OSError`` because Pillow and imageio expect one.
A caller's mistake (wrong option, wrong dtype) stays a plain ``ValueError`` or ``TypeError``.
"""


class ScfError(OSError, ValueError):
    """Base of every error that data can cause."""


class CorruptStreamError(ScfError):
    """The bytes are no valid ``.scf`` or ``.scfb`` data, or a checksum does not match."""


class TruncatedStreamError(CorruptStreamError):
    """The data ends before the picture, header or codebook is complete."""


class UnsupportedStreamError(ScfError):
    """The data is of a version, mode, coder or segment that this release cannot read."""


class CodebookError(ScfError):
    """Base of the errors about codebooks."""


class CodebookNotFoundError(CodebookError):
    """The codebook that a file refers to is in none of the places searched.

    Attributes
    ----------
    reference : bytes
        The prefix of the codebook ID that the file holds.
    name : str or None
        The codebook's name, where the file carries it.
    searched : tuple of str
        Every place that was searched, in order.
    """

    def __init__(self, reference: bytes, name: str | None, searched: tuple[str, ...]) -> None:
        self.reference = reference
        self.name = name
        self.searched = searched
        called = f" {reference.hex()}" if reference else ""
        called += f" {name!r}" if name and not reference else f" (named {name!r})" if name else ""
        places = "; ".join(searched) if searched else "nowhere to search"
        super().__init__(
            f"codebook{called} was not found; searched: {places}. "
            "Put its .scfb file in one of these places, or name it by the codebook option"
        )


class CodebookMismatchError(CodebookError):
    """A codebook was found for the reference, but the picture's checksum denies it.

    Raised where several codebooks match a short reference and none decodes to the exact picture.
    """
