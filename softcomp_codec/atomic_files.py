"""Writing a file so that the old content survives until the new one is complete."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def write_atomically(path: str | PathLike[str], data: bytes) -> None:
    """Write a whole file, or leave what was there as it was.

    The bytes go to a temporary file in the same directory, are flushed to the disk, and take the
    place of the old file in one step. An existing file keeps its permission bits, a symbolic link
    stays one (the file that it points to is replaced), and a device or pipe is written to.

    Parameters
    ----------
    path : str or path
    data : bytes-like

    Raises
    ------
    OSError
        The file cannot be written; nothing was changed and no temporary file is left.
    """
    target = os.path.realpath(path)
    mode = _mode_of(target)
    if mode is not None and not stat.S_ISREG(mode):
        with open(target, "wb") as stream:
            stream.write(data)
        return
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is write-protected", os.fspath(path))
    temporary = os.path.join(os.path.dirname(target), f".scf-{token_hex(8)}.tmp")
    try:
        descriptor = os.open(temporary, _NEW_FILE, 0o666)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _mode_of(target: str) -> int | None:
    try:
        return os.stat(target).st_mode
    except FileNotFoundError:
        return None
