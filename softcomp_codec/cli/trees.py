"""Which files of some folders are inputs, and which are left alone."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from .console import note, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_NAMED = 10
"""Most files that a remark names."""


@dataclass
class Found:
    """What lies in some folders.

    Attributes
    ----------
    wanted : list of (Path, Path)
        Each input, and its path below the folder that was named.
    others : list of Path
        Files that are no inputs by name.
    hidden : int
        Files and folders left alone because their names begin with a dot.
    links : list of Path
        Symbolic links to folders, which are not followed, and files that are none (pipes).
    unreadable : list of OSError
        Folders that cannot be listed.
    """

    wanted: list[tuple[Path, Path]] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    hidden: int = 0
    links: list[Path] = field(default_factory=list)
    unreadable: list[OSError] = field(default_factory=list)

    def search(self, folder: Path, is_wanted: Callable[[Path], bool], *, hidden: bool) -> None:
        """Add what lies below a folder, in a fixed order.

        Symbolic links to files are inputs like the files themselves; those to folders are not
        followed. Hidden files and folders are left alone unless `hidden`.
        """
        for place, folders, names in os.walk(folder, onerror=self.unreadable.append):
            folders.sort()
            for name in list(folders):
                if name.startswith(".") and not hidden:
                    self.hidden += 1
                    folders.remove(name)
                elif os.path.islink(os.path.join(place, name)):
                    self.links.append(Path(place, name))
                    folders.remove(name)
            for name in sorted(names):
                if name.startswith(".") and not hidden:
                    self.hidden += 1
                    continue
                path = Path(place, name)
                if not is_wanted(path):
                    self.others.append(path)
                elif _is_special(path):
                    self.links.append(path)
                else:
                    self.wanted.append((path, path.relative_to(folder)))

    def report(self, what_is_wanted: str) -> None:
        """Say what was left alone."""
        if self.others:
            note(
                f"{plural(len(self.others), 'file')} left alone, {what_is_wanted}: "
                f"{_some(self.others)}"
            )
        if self.links:
            note(
                f"{plural(len(self.links), 'link')} to folders and other special files left "
                f"alone: {_some(self.links)}"
            )
        if self.hidden:
            note(f"hidden files and folders left alone: {self.hidden:,} (--hidden takes them)")


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of those in it, in a fixed order."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(place, name)


def ignores_case(folder: Path) -> bool:
    """Whether a file system takes names that differ in case for the same.

    Asked of the folder or of the nearest one above it that exists, by a file that is deleted again;
    where none can be made the answer is no.
    """
    place = folder
    while not place.is_dir() and place != place.parent:
        place = place.parent
    name = f".scf-{token_hex(8)}.probe"
    try:
        with (place / name).open("xb"):
            pass
        try:
            return (place / name.upper()).exists()
        finally:
            (place / name).unlink()
    except OSError:
        return False


def _is_special(path: Path) -> bool:
    """Whether it is a device, pipe or the like; what cannot be examined is left to the reader."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode)


def _some(paths: list[Path]) -> str:
    names = ", ".join(map(str, paths[:MAX_NAMED]))
    more = len(paths) - MAX_NAMED
    return f"{names} and {more:,} more" if more > 0 else names
