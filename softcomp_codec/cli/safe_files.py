"""What commands that convert files share: options, resuming, and deleting sources safely."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ..atomic_files import flush_folder
from .console import complain, note, plural

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .batch import Job

T = TypeVar("T")

InPlaceOption = Annotated[
    bool, typer.Option("--in-place", help="Write each output of a folder beside its input.")
]
VerifyOption = Annotated[
    bool,
    typer.Option("--verify", help="Read each written file back from the disk and compare it."),
]
DeleteOption = Annotated[
    bool,
    typer.Option(
        "--delete-source", help="Delete each input once its output is verified and on the disk."
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume", help="Skip inputs whose output is there, whole, and of this very input."
    ),
]
HiddenOption = Annotated[
    bool,
    typer.Option("--hidden", help="Also take files and folders whose names begin with a dot."),
]
DropOption = Annotated[
    bool,
    typer.Option("--drop-metadata", help="Keep pixels only; without it nothing may be lost."),
]
JobsOption = Annotated[
    int | None,
    typer.Option("-j", "--jobs", min=1, help="Files at once; by default one a core."),
]
ForceOption = Annotated[bool, typer.Option("-f", "--force", help="Replace existing files.")]

SAME_TIME_NS = 1_000_000
"""Times that differ by less are the same; file systems that round more are compared fully."""


@dataclass(frozen=True)
class Safety:
    """How careful a conversion is.

    Attributes
    ----------
    force, resume, verify, delete_source, drop_metadata : bool
        The options of these names.
    """

    force: bool = False
    resume: bool = False
    verify: bool = False
    delete_source: bool = False
    drop_metadata: bool = False

    @property
    def verifies(self) -> bool:
        """Whether written files are read back: always before anything may be deleted."""
        return self.verify or self.delete_source

    def may_replace(self, job: Job) -> bool:
        """Whether an existing target is replaced; when resuming, those that are damaged are."""
        return self.force or (self.resume and job.exists)


@dataclass
class Tally:
    """What became of the files of a run."""

    n_done: int = 0
    n_resumed: int = 0
    n_deleted: int = 0
    n_failed: int = 0
    interrupted: bool = False

    def parts(self, n_jobs: int) -> list[str]:
        """Return what the summary says besides the files done."""
        parts = []
        if self.n_resumed:
            parts.append(f"{self.n_resumed:,} done before")
        if self.n_deleted:
            parts.append(f"{plural(self.n_deleted, 'source')} deleted")
        if self.n_failed:
            parts.append(f"{self.n_failed:,} failed")
        if self.interrupted:
            left = n_jobs - self.n_done - self.n_resumed - self.n_failed
            parts.append(f"INTERRUPTED, {max(0, left):,} not begun (--resume goes on)")
        return parts


def collect(results: Iterable[tuple[Job, T | Exception]], tally: Tally) -> list[tuple[Job, T]]:
    """Return what succeeded; failures are reported and counted, an interruption is noted."""
    done = []
    try:
        for job, result in results:
            if isinstance(result, Exception):
                complain(result, job.source)
                tally.n_failed += 1
            else:
                done.append((job, result))
    except KeyboardInterrupt:
        tally.interrupted = True
    return done


class DifferentTargetError(FileExistsError):
    """An existing output that is whole and of another input."""


def different(target: Path, how: str) -> DifferentTargetError:
    """Return the error about an existing output that cannot be skipped."""
    return DifferentTargetError(f"{target} exists already, but {how}; --force replaces it")


def is_of_that_time(target: Path, source: os.stat_result) -> bool:
    """Whether a file has the modification time of its source, as conversions give it."""
    return abs(target.stat().st_mtime_ns - source.st_mtime_ns) < SAME_TIME_NS


def delete_source(job: Job, seen: os.stat_result) -> bool:
    """Delete the input of a verified output, unless it changed or is a symbolic link.

    Raises
    ------
    OSError
        It changed since it was read, or cannot be deleted.
    """
    if job.source.is_symlink():
        note(f"{job.source} is a symbolic link, which is left where it is")
        return False
    now = os.stat(job.source)
    if _identity(now) != _identity(seen):
        raise OSError(f"{job.source} changed while it was converted; it was not deleted")
    job.source.unlink()
    flush_folder(job.source.parent)
    return True


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
