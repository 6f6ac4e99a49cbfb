"""Lossless image format ``.scf`` with trained codebooks, for Pillow and imageio.

Importing this package registers the format with Pillow and imageio. It loads neither NumPy nor
Numba; the first image does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .collector import collector_rests
from .errors import (
    CodebookError,
    CodebookMismatchError,
    CodebookNotFoundError,
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from .registration import register

if TYPE_CHECKING:
    from .codebook import Codebook
    from .codebook_store import load_codebook, register_codebook
    from .container import read_header
    from .decoder import decode, decode_frames, decode_many
    from .encoder import encode, encode_frames, encode_many
    from .opened_file import OpenedFile, open  # noqa: A004
    from .set_reader import ImageSet, open_set
    from .set_writer import SetWriter, write_set
    from .training import train
    from .warming import warmup

__version__ = "0.1.0"

_PUBLIC = {
    "Codebook": "codebook",
    "OpenedFile": "opened_file",
    "ImageSet": "set_reader",
    "SetWriter": "set_writer",
    "decode": "decoder",
    "decode_frames": "decoder",
    "decode_many": "decoder",
    "encode": "encoder",
    "encode_frames": "encoder",
    "encode_many": "encoder",
    "load_codebook": "codebook_store",
    "open": "opened_file",
    "open_set": "set_reader",
    "read_header": "container",
    "register_codebook": "codebook_store",
    "train": "training",
    "warmup": "warming",
    "write_set": "set_writer",
}

__all__ = [
    "Codebook",
    "CodebookError",
    "CodebookMismatchError",
    "CodebookNotFoundError",
    "CorruptStreamError",
    "ImageSet",
    "OpenedFile",
    "ScfError",
    "SetWriter",
    "TruncatedStreamError",
    "UnsupportedStreamError",
    "__version__",
    "decode",
    "decode_frames",
    "decode_many",
    "encode",
    "encode_frames",
    "encode_many",
    "load_codebook",
    "open",
    "open_set",
    "read_header",
    "register",
    "register_codebook",
    "train",
    "warmup",
    "write_set",
]


if not TYPE_CHECKING:  # else every name would pass for a public one

    def __getattr__(name: str) -> Any:
        if name not in _PUBLIC:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        with collector_rests:
            module = import_module(f".{_PUBLIC[name]}", __name__)
        value = getattr(module, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)


register()
