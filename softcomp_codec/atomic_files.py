"""Writing a file so that the old content survives until the new one is complete.

The temporary file lies in the folder of the target. Where the system has `flock`, its writer holds
a lock on it, so that what a killed process left behind can be told from what another process is
writing at this moment.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_TEMPORARY = re.compile(r"\.scf-[0-9a-f]{16}\.tmp")
_NO_LINKS = frozenset(
    getattr(errno, name, -1) for name in ("EPERM", "ENOSYS", "EOPNOTSUPP", "ENOTSUP", "EMLINK")
)
"""Errors of file systems without hard links."""


def write_atomically(
    path: str | PathLike[str],
    data: bytes,
    *,
    replace: bool = True,
    like: os.stat_result | None = None,
    check: Callable[[str], None] | None = None,
) -> None:
    """Write a whole file, or leave what was there as it was.

    The bytes go to a temporary file in the same directory, are flushed to the disk, and take the
    place of the old file in one step. An existing file keeps its permission bits, a symbolic link
    stays one (the file that it points to is replaced), and a device or pipe is written to.

    Parameters
    ----------
    path : str or path
    data : bytes-like
    replace : bool
        Whether an existing file may be replaced; one that appears meanwhile is safe, too, where
        the file system has hard links.
    like : os.stat_result, optional
        The file gets the times of this one and, where it is new, those of its permission bits that
        let somebody read or write.
    check : callable, optional
        Called with the path of the complete temporary file; if it raises, nothing is replaced.

    Raises
    ------
    FileExistsError
        The file exists and `replace` is false.
    OSError
        The file cannot be written; nothing was changed and no temporary file is left.
    """
    target = os.path.realpath(path)
    mode = _mode_of(target)
    if mode is not None and not replace:
        raise FileExistsError(errno.EEXIST, "the file exists already", os.fspath(path))
    if mode is not None and not stat.S_ISREG(mode):
        with open(target, "wb") as stream:
            stream.write(data)
        return
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is write-protected", os.fspath(path))
    try:
        with _temporary_file(os.path.dirname(target)) as (temporary, descriptor):
            with open(os.dup(descriptor), "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(descriptor)
            if mode is not None:
                os.chmod(temporary, stat.S_IMODE(mode))
            elif like is not None:
                os.chmod(temporary, stat.S_IMODE(like.st_mode) & 0o666 | stat.S_IWUSR)
            if check is not None:
                check(temporary)
            if like is not None:
                os.utime(temporary, ns=(like.st_atime_ns, like.st_mtime_ns))
            _put_in_place(temporary, target, replace=replace)
    except OSError as error:
        if error.filename is not None and not _is_temporary(os.fspath(error.filename)):
            raise
        if error.errno is None or type(error).__module__ != "builtins":
            raise
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from error
    flush_folder(os.path.dirname(target))


def flush_folder(folder: str | PathLike[str]) -> None:
    """Bring a folder's entries to the disk, where the system can."""
    if os.name != "posix":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(folder: str | PathLike[str]) -> int:
    """Delete temporary files whose writer is gone; return how many.

    Where the system has no locks none is deleted.
    """
    if fcntl is None:
        return 0
    removed = 0
    with suppress(OSError):
        for name in os.listdir(folder):
            if _TEMPORARY.fullmatch(name):
                removed += _remove_if_left(os.path.join(folder, name))
    return removed


def _remove_if_left(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    except OSError:  # its writer is at work
        return False
    finally:
        os.close(descriptor)
    return True


@contextmanager
def _temporary_file(folder: str) -> Iterator[tuple[str, int]]:
    """Make and lock a temporary file; it is gone afterwards, whatever happens."""
    while True:
        path = os.path.join(folder, f".scf-{token_hex(8)}.tmp")
        descriptor = os.open(path, _NEW_FILE, 0o666)
        try:
            if fcntl is not None:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not os.path.exists(path):  # taken for a leftover before it was locked
                continue
            yield path, descriptor
            return
        finally:
            with suppress(OSError):
                os.unlink(path)
            with suppress(OSError):
                os.close(descriptor)


def _put_in_place(temporary: str, target: str, *, replace: bool) -> None:
    if not replace:
        try:
            os.link(temporary, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, "the file exists already", target) from error
        else:
            return
    os.replace(temporary, target)


def _is_temporary(path: str | bytes) -> bool:
    return _TEMPORARY.fullmatch(os.path.basename(os.fsdecode(path))) is not None


def _mode_of(target: str) -> int | None:
    try:
        return os.stat(target).st_mode
    except FileNotFoundError:
        return None
