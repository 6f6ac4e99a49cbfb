"""What commands print: results on stdout, everything else on stderr, plain text when piped."""

from __future__ import annotations

import sys
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

_PIPE_WIDTH = 10_000
"""Columns of the output where it is no terminal: nothing is wrapped or cut then."""


@dataclass
class Settings:
    """Options of the whole command line."""

    debug: bool = False


@dataclass
class Live:
    """The console of the progress bar that is shown now; lines must go through it."""

    console: Console | None = None


live = Live()
settings = Settings()


def printable(text: object) -> str:
    """Return text that cannot harm a terminal: file names may hold escape sequences."""
    decoded = str(text).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1]
        for letter in decoded
    )


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if live.console is not None and stream.isatty():
        return live.console
    console = Console(file=stream, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console = Console(
            file=stream,
            markup=False,
            highlight=False,
            emoji=False,
            no_color=True,
            color_system=None,
            width=_PIPE_WIDTH,
        )
    return console


def error_console() -> Console:
    """Return the console of stderr."""
    return _console(stderr=True)


def _print_line(console: Console, text: str, style: str | None = None) -> None:
    """Print, wrapped between words on terminals, never elsewhere."""
    from rich.text import Text

    # styled by itself: the style of a whole print would colour a progress bar below it, too
    console.print(Text(text, style=style or ""), soft_wrap=not console.is_terminal)


def say(text: str, *, style: str | None = None) -> None:
    """Print a result line."""
    _print_line(_console(), printable(text), style)


def note(text: str) -> None:
    """Print a remark on stderr."""
    _print_line(_console(stderr=True), f"scf: {printable(text)}")


def complain(error: BaseException | str, subject: object = None) -> None:
    """Print an error as one line on stderr, with a traceback where ``--debug`` was given."""
    if settings.debug and isinstance(error, BaseException):
        traceback.print_exception(error)
    text = " ".join(printable(describe_error(error)).split())
    if subject is not None and not text.startswith(start := f"{printable(subject)}: "):
        text = start + text
    _print_line(_console(stderr=True), f"scf: error: {text}", "red")


def describe_error(error: BaseException | str) -> str:
    """Return an error's message, without Python's wrapping."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"{where}{error.strerror}"
    text = str(error)
    if isinstance(error, str | OSError | ValueError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def print_table(
    columns: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[str]],
    *,
    totals: Sequence[str] | None = None,
    foldable: Sequence[str] = (),
) -> None:
    """Print a table.

    Parameters
    ----------
    columns : sequence of (str, str)
        Heading and ``"left"`` or ``"right"``.
    rows : sequence of sequence of str
    totals : sequence of str, optional
        Last row, set apart.
    foldable : sequence of str
        Headings of the columns that take several lines where the terminal is narrow.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE if totals else box.SIMPLE_HEAD,
        show_footer=bool(totals),
        padding=(0, 1, 0, 0),
    )
    for index, (heading, justify) in enumerate(columns):
        table.add_column(
            heading,
            justify="right" if justify == "right" else "left",
            footer=Text(totals[index]) if totals else "",
            no_wrap=heading not in foldable,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    _print_trimmed(table)


def print_facts(facts: Sequence[tuple[str, str]], *, title: str) -> None:
    """Print a heading, and below it names with their values."""
    from rich.table import Table
    from rich.text import Text

    say(title, style="bold")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(f"  {name}", Text(printable(value)))
    _print_trimmed(table)


def _print_trimmed(renderable: Any) -> None:
    """Print without blanks at line ends, and without empty lines around, where piped."""
    console = _console()
    if console.is_terminal:
        console.print(renderable)
        return
    with console.capture() as captured:
        console.print(renderable)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    print("\n".join(line for line in lines if line))


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar on stderr if that is a terminal.

    Yields a function of (stage, done, total) that moves the bar.
    """
    console = _console(stderr=True)
    if not console.is_terminal:
        yield lambda _stage, _done, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    bar = Progress(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    )
    with bar:
        task = bar.add_task(label, total=total)

        def move(stage: str, done: int, of: int) -> None:
            bar.update(task, description=stage or label, completed=done, total=of or None)

        live.console = console
        try:
            yield move
        finally:
            live.console = None


def n_bytes(count: int) -> str:
    """Return a number of bytes for reading."""
    return f"{count:,}"


def ratio(raw: int, coded: int) -> str:
    """Return how many times smaller the coded bytes are."""
    return f"{raw / coded:.3f}" if coded else "-"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, such as ``1 file`` or ``3 files``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
