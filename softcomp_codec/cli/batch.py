"""Many files in, many files out: which ones, where to, and several at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import typer

from ..atomic_files import write_atomically
from .console import complain, progress

T = TypeVar("T")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Job:
    """One file to convert."""

    source: Path
    target: Path


@dataclass
class Plan:
    """What a command line asks for.

    Attributes
    ----------
    jobs : list of Job
    skipped : int
        Files of folders that are no images.
    failures : int
        Inputs that were refused already, each with a message.
    """

    jobs: list[Job] = field(default_factory=list)
    skipped: int = 0
    failures: int = 0


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of those in it, in a fixed order."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(place, name)


def make_plan(
    inputs: Sequence[Path],
    output: Path | None,
    *,
    suffix: str,
    is_wanted: Callable[[Path], bool],
    is_file_name: Callable[[Path], bool],
    force: bool,
) -> Plan:
    """Return which file goes where; refused inputs are reported here.

    Parameters
    ----------
    inputs : sequence of Path
        Files, and folders that are searched for wanted files.
    output : Path or None
        A folder, or for a single file also a file name; None is beside each input.
    suffix : str
        Of the outputs, with the dot.
    is_wanted, is_file_name : callable
        Whether a file of a folder is an input, and whether `output` names a file.
    force : bool
        Whether existing files may be replaced.

    Raises
    ------
    typer.BadParameter
        `output` does not go with the inputs.
    """
    folders = [path for path in inputs if path.is_dir()]
    if folders and output is None:
        raise typer.BadParameter(f"{folders[0]} is a folder, so -o OUT must name a folder too")
    plan = Plan()
    if output is not None and not output.is_dir() and is_file_name(output):
        if folders or len(inputs) > 1:
            raise typer.BadParameter(f"-o {output} is one file, but there are several inputs")
        wanted = [(inputs[0], output)]
    else:
        if output is not None and output.exists() and not output.is_dir():
            raise typer.BadParameter(f"-o {output} is no folder")
        wanted = list(_targets(inputs, output, suffix, is_wanted, plan))
    seen: dict[Path, Path] = {}
    for source, target in wanted:
        if refusal := _refusal(source, target, seen, force):
            complain(refusal, source)
            plan.failures += 1
        else:
            seen[target] = source
            plan.jobs.append(Job(source, target))
    return plan


def _targets(
    inputs: Sequence[Path],
    output: Path | None,
    suffix: str,
    is_wanted: Callable[[Path], bool],
    plan: Plan,
) -> Iterator[tuple[Path, Path]]:
    for path in inputs:
        if output is not None and path.is_dir():
            for file in files_below(path):
                if is_wanted(file):
                    yield file, (output / file.relative_to(path)).with_suffix(suffix)
                else:
                    plan.skipped += 1
        else:
            folder = path.parent if output is None else output
            yield path, (folder / path.name).with_suffix(suffix)


def _refusal(source: Path, target: Path, seen: dict[Path, Path], force: bool) -> str | None:
    """Why a file cannot be converted, before it is even opened."""
    if not source.exists():
        return "there is no such file"
    if target in seen:
        return f"{target} is already the output of {seen[target]}"
    if target.is_dir():
        return f"{target} is a folder"
    if target.exists():
        if target.samefile(source):
            return "the output would replace its own input"
        if not force:
            return f"{target} exists already; --force replaces it"
    return None


def write_output(target: Path, data: bytes, *, force: bool) -> None:
    """Write a whole file; one that appeared meanwhile is kept unless `force`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not force:
        raise FileExistsError(f"{target} exists already; --force replaces it")
    write_atomically(target, data)


def run_all(
    items: Sequence[Item], work: Callable[[Item], T], *, threads: int | None, label: str
) -> Iterator[tuple[Item, T | Exception]]:
    """Do the work on several threads; yield results in the order of the items, errors included."""

    def attempt(item: Item) -> T | Exception:
        try:
            return work(item)
        except Exception as error:  # one bad file must not stop the others
            return error

    pool = ThreadPoolExecutor(threads or os.cpu_count())
    try:
        with progress(label, len(items)) as move:
            results = pool.map(attempt, items)
            for done, (item, result) in enumerate(zip(items, results, strict=True), 1):
                move("", done, len(items))
                yield item, result
    finally:
        pool.shutdown(cancel_futures=True)
