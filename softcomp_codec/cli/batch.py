"""Many files in, many files out: which ones, where to, and several at once."""

from __future__ import annotations

import os
import signal
import threading
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import typer

from ..atomic_files import remove_leftovers, write_atomically
from ..worker_threads import thread_limit
from .console import complain, note, plural
from .file_progress import file_progress
from .trees import Found, files_below, ignores_case

__all__ = [
    "INTERRUPTED",
    "Job",
    "Plan",
    "files_below",
    "make_plan",
    "run_all",
    "write_output",
]

T = TypeVar("T")
Item = TypeVar("Item")

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

MAX_COLLISIONS_NAMED = 10
IN_FLIGHT_A_THREAD = 64
"""Files handed to the pool ahead of the one that is waited for: memory stays bounded."""


@dataclass(frozen=True)
class Job:
    """One file to convert.

    Attributes
    ----------
    source, target : Path
    exists : bool
        Whether the target was there when the work was planned.
    """

    source: Path
    target: Path
    exists: bool = False


@dataclass
class Plan:
    """What a command line asks for.

    Attributes
    ----------
    jobs : list of Job
    found : Found
        What the folders hold, and what of it is left alone.
    failures : int
        Inputs that were refused already, each with a message.
    """

    jobs: list[Job] = field(default_factory=list)
    found: Found = field(default_factory=Found)
    failures: int = 0

    def refuse(self, why: BaseException | str, source: object = None) -> None:
        """Report an input that cannot be converted."""
        complain(why, source)
        self.failures += 1


class CollisionError(ValueError):
    """Several inputs would become one file."""


def make_plan(
    inputs: Sequence[Path],
    output: Path | None,
    *,
    target_name: Callable[[Path], str],
    is_wanted: Callable[[Path], bool],
    is_file_name: Callable[[Path], bool],
    force: bool,
    in_place: bool = False,
    resume: bool = False,
    hidden: bool = False,
) -> Plan:
    """Return which file goes where; nothing is written yet, and refused inputs are reported here.

    Parameters
    ----------
    inputs : sequence of Path
        Files, and folders that are searched for wanted files.
    output : Path or None
        A folder, or for a single file also a file name; None is beside each input.
    target_name : callable
        The name of the output of an input; an ``OSError`` where it cannot be read.
    is_wanted, is_file_name : callable
        Whether a file of a folder is an input, and whether `output` names a file.
    force, resume : bool
        Whether existing files may be replaced, or looked at.
    in_place : bool
        Whether the outputs of folders go beside their inputs.
    hidden : bool
        Whether files and folders whose names begin with a dot are searched, too.

    Raises
    ------
    typer.BadParameter
        `output` does not go with the inputs.
    CollisionError
        Several inputs would become one file.
    """
    folders = [path for path in inputs if path.is_dir()]
    if in_place and output is not None:
        raise typer.BadParameter("--in-place and -o exclude each other")
    if folders and output is None and not in_place:
        raise typer.BadParameter(
            f"{folders[0]} is a folder, so -o OUT must name a folder too (or --in-place)"
        )
    plan = Plan()
    if output is not None and not output.is_dir() and is_file_name(output):
        if folders or len(inputs) > 1:
            raise typer.BadParameter(f"-o {output} is one file, but there are several inputs")
        pairs = [(inputs[0], output)]
    else:
        if output is not None and output.exists() and not output.is_dir():
            raise typer.BadParameter(f"-o {output} is no folder")
        pairs = _pairs(inputs, output, target_name, is_wanted, plan, hidden=hidden)
    _check_collisions(pairs)
    sources = {os.path.realpath(source) for source, _ in pairs}
    for source, target in pairs:
        if refusal := _refusal(source, target, sources, may_exist=force or resume):
            plan.refuse(refusal, source)
        else:
            plan.jobs.append(Job(source, target, target.exists()))
    if resume:
        _clean_up({job.target.parent for job in plan.jobs})
    return plan


def _pairs(
    inputs: Sequence[Path],
    output: Path | None,
    target_name: Callable[[Path], str],
    is_wanted: Callable[[Path], bool],
    plan: Plan,
    *,
    hidden: bool,
) -> list[tuple[Path, Path]]:
    """Return source and target of each input, once each."""
    pairs: dict[tuple[str, str], tuple[Path, Path]] = {}

    def add(source: Path, folder: Path) -> None:
        if not source.exists():
            plan.refuse("there is no such file", source)
            return
        try:
            target = folder / target_name(source)
        except OSError as error:
            plan.refuse(error, source)
            return
        pairs.setdefault((os.path.abspath(source), os.path.abspath(target)), (source, target))

    for path in inputs:
        if not path.is_dir():
            add(path, path.parent if output is None else output)
            continue
        start = len(plan.found.wanted)
        plan.found.search(path, is_wanted, hidden=hidden)
        for source, below in plan.found.wanted[start:]:
            add(source, source.parent if output is None else output / below.parent)
    for error in plan.found.unreadable:
        plan.refuse(error)
    return list(pairs.values())


def _check_collisions(pairs: Sequence[tuple[Path, Path]]) -> None:
    exact: dict[str, Path] = {}
    folded: dict[str, tuple[Path, Path]] = {}
    collisions: list[str] = []
    alike: list[tuple[Path, str]] = []
    for source, target in pairs:
        name = os.path.abspath(target)
        if name in exact:
            collisions.append(f"{exact[name]} and {source} would both become {target}")
            continue
        exact[name] = source
        key = unicodedata.normalize("NFC", name).casefold()
        if key in folded:
            first, other = folded[key]
            text = f"{first} and {source} would become {other} and {target}, here the same"
            alike.append((target.parent, text))
        else:
            folded[key] = source, target
    if alike and ignores_case(alike[0][0]):
        collisions += [text for _, text in alike]
    if collisions:
        for text in collisions[:MAX_COLLISIONS_NAMED]:
            complain(text)
        more = len(collisions) - MAX_COLLISIONS_NAMED
        tail = f" ({more:,} more)" if more > 0 else ""
        raise CollisionError(
            f"{plural(len(collisions), 'collision')} of names{tail}; nothing was written"
        )


def _refusal(source: Path, target: Path, sources: set[str], *, may_exist: bool) -> str | None:
    """Why a file cannot be converted, before it is even opened."""
    if not source.exists():
        return "there is no such file"
    if target.is_dir():
        return f"{target} is a folder"
    if target.exists():
        if target.samefile(source):
            return "the output would replace its own input"
        if os.path.realpath(target) in sources:
            return f"the output would replace {target}, which is an input, too"
        if not may_exist:
            return f"{target} exists already; --force replaces it"
    return None


def _clean_up(folders: set[Path]) -> None:
    removed = sum(remove_leftovers(folder) for folder in folders if folder.is_dir())
    if removed:
        note(f"{plural(removed, 'unfinished file')} of an interrupted run deleted")


def write_output(
    target: Path,
    data: bytes,
    *,
    force: bool,
    like: os.stat_result | None = None,
    check: Callable[[str], None] | None = None,
) -> None:
    """Write a whole file; one that appeared meanwhile is kept unless `force`.

    `like` and `check` are those of `write_atomically`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_atomically(target, data, replace=force, like=like, check=check)
    except FileExistsError as error:
        raise FileExistsError(f"{target} exists already; --force replaces it") from error


def run_all(
    items: Sequence[Item],
    work: Callable[[Item], T],
    *,
    threads: int | None,
    label: str,
    measure: Callable[[T], tuple[int, int]] | None = None,
) -> Iterator[tuple[Item, T | Exception]]:
    """Do the work on several threads; yield results in the order of the items, errors included.

    Parameters
    ----------
    items : sequence
    work : callable
    threads : int, optional
        Items at once, by default one a core; the cores are shared out between them.
    label : str
        What the progress bar says.
    measure : callable, optional
        Raw and coded bytes of a result, for the progress bar.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, once what was begun is finished and yielded. A second Ctrl-C ends
        the process at once; files are written in one step, so none is left half.
    """
    cores = os.cpu_count() or 1
    n_threads = max(1, min(threads or cores, len(items)))
    stop = threading.Event()

    def attempt(item: Item) -> T | Exception | None:
        if stop.is_set():
            return None
        try:
            return work(item)
        except Exception as error:  # one bad file must not stop the others
            return error

    pool = ThreadPoolExecutor(
        n_threads, initializer=thread_limit.set, initargs=(max(1, cores // n_threads),)
    )
    waiting: deque[tuple[Item, Future[Any]]] = deque()
    following = iter(items)
    try:
        with _stopping_on_signals(stop), file_progress(label, len(items)) as count:
            while True:
                for item in following if not stop.is_set() else ():
                    waiting.append((item, pool.submit(attempt, item)))
                    if len(waiting) >= n_threads * IN_FLIGHT_A_THREAD:
                        break
                if not waiting:
                    break
                item, future = waiting.popleft()
                result = future.result()
                if result is None:  # not begun before the interruption
                    continue
                if measure is None or isinstance(result, Exception):
                    count(0, 0)
                else:
                    count(*measure(result))
                yield item, result
        if stop.is_set():
            raise KeyboardInterrupt
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


@contextmanager
def _stopping_on_signals(stop: threading.Event) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM set an event; the second SIGINT ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: object) -> None:
        if stop.is_set() and number == signal.SIGINT:
            os._exit(INTERRUPTED)
        if not stop.is_set():
            stop.set()
            note("interrupted: finishing the files that were begun (Ctrl-C again: at once)")

    wanted = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) not in (signal.SIG_IGN, None)  # as `nohup` and `&` leave it
    ]
    previous = {number: signal.signal(number, handle) for number in wanted}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
