"""``python -m softcomp_codec autoload``: lets ``Image.open`` know ``.scf`` without an import.

Enabling writes three files into the folder of packages: a copy of `autoload_hook`, a ``.pth`` file
whose line Python runs when it starts, and for Python 3.15 and later a ``.start`` file (PEP 829),
which replaces the line there.
"""

from __future__ import annotations

import argparse
import os
import site
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from .atomic_files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

MODULE = "softcomp_codec_autoload"

_LINE = (
    f'import sys; exec("try:\\n import {MODULE}\\n {MODULE}.start()\\nexcept ImportError:\\n pass")'
)
"""Harmless where the module is gone."""


def files_of(folder: Path) -> dict[Path, str]:
    """Return the files that a folder of packages gets, with their content."""
    hook = Path(__file__).with_name("autoload_hook.py").read_text(encoding="utf-8")
    return {
        folder / f"{MODULE}.py": hook,
        folder / f"{MODULE}.pth": f"{_LINE}\n",
        folder / f"{MODULE}.start": f"{MODULE}:start\n",
    }


def packages_folder(*, user: bool) -> Path:
    """Return the folder of the running Python's packages.

    Raises
    ------
    OSError
        Python does not look into the user's folder.
    """
    if not user:
        return Path(sysconfig.get_path("purelib"))
    if not site.ENABLE_USER_SITE:
        raise OSError("this Python does not look into the user's folder (a virtual environment?)")
    return Path(site.getusersitepackages())


def enable(folder: Path) -> None:
    """Write the files, the ``.pth`` last; again if they are there.

    Raises
    ------
    OSError
        The folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    order = sorted(files_of(folder).items(), key=lambda item: item[0].suffix != ".py")
    for path, text in order:
        write_atomically(path, text.encode())


def disable(folder: Path) -> bool:
    """Delete the files, the ``.pth`` first; return whether there were any.

    Raises
    ------
    OSError
        A file cannot be deleted.
    """
    found = False
    for path in sorted(files_of(folder), key=lambda path: path.suffix == ".py"):
        if path.exists():
            path.unlink()
            found = True
    return found


def state(folder: Path) -> str:
    """Return ``"enabled"``, ``"outdated"`` (written by another release) or ``"disabled"``."""
    files = files_of(folder)
    if not any(path.exists() for path in files):
        return "disabled"
    same = (path.is_file() and path.read_text(encoding="utf-8") == text
            for path, text in files.items())  # fmt: skip
    return "enabled" if all(same) else "outdated"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m softcomp_codec autoload",
        description="Let Pillow and imageio know .scf in every program of this Python environment, "
        "without an import. Costs about a millisecond when Python starts; --disable undoes it.",
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--enable", action="store_true", help="write the files")
    action.add_argument("--disable", action="store_true", help="delete them")
    action.add_argument("--status", action="store_true", help="exit code 0 if enabled, else 1")
    parser.add_argument("--user", action="store_true", help="in the user's folder of packages")
    chosen = parser.parse_args(arguments)
    try:
        return _run(chosen, packages_folder(user=chosen.user))
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"autoload: error: {where}{error.strerror or error}", file=sys.stderr)
        if isinstance(error, PermissionError) and not chosen.user and site.ENABLE_USER_SITE:
            print("autoload: --user takes your own folder", file=sys.stderr)
        return 1


def _run(chosen: argparse.Namespace, folder: Path) -> int:
    if chosen.enable:
        before = state(folder)
        enable(folder)
        print(f"autoload {'was enabled already' if before == 'enabled' else 'enabled'} in {folder}")
        if os.fspath(folder) not in sys.path:
            print(f"autoload: Python does not look into {folder} yet; it will when it is started "
                  "again", file=sys.stderr)  # fmt: skip
        return 0
    if chosen.disable:
        print(f"autoload {'disabled' if disable(folder) else 'was not enabled'} in {folder}")
        return 0
    found = state(folder)
    if found == "outdated":
        print(f"autoload in {folder} is of another release; --enable renews it")
    else:
        print(f"autoload is {found} in {folder}")
    return 0 if found == "enabled" else 1
