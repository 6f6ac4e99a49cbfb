"""Finding a codebook by name, ID or reference (SPEC 6.8)."""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_data_path

from . import container
from .bundled import HEAD_BYTES, INDEX, SUFFIX, bundled_folder, stated_identifier
from .codebook import Codebook
from .errors import CodebookError, CodebookNotFoundError, ScfError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from os import PathLike

PATH_VARIABLE = "SOFTCOMP_CODEBOOK_PATH"

_registered: dict[bytes, Codebook] = {}
_lock = threading.Lock()


def _renew_lock() -> None:
    """Make a new lock in a forked child, where a thread that held it does not exist."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@dataclass(frozen=True)
class StoredCodebook:
    """A codebook and where it was found.

    Attributes
    ----------
    book : Codebook
    origin : str
        ``"registered"``, ``"bundled"``, ``"$SOFTCOMP_CODEBOOK_PATH"`` or ``"user"``.
    path : str
        Its file; empty for a registered one.
    """

    book: Codebook
    origin: str
    path: str


def register_codebook(book: Codebook) -> None:
    """Make a codebook known to this process, by its ID and name."""
    with _lock:
        _registered[book.identifier] = book


@contextmanager
def known_for_now(books: Iterable[Codebook]) -> Iterator[None]:
    """Make codebooks known to this process until the block ends."""
    with _lock:
        new = {b.identifier: b for b in books if b.identifier not in _registered}
        _registered.update(new)
    try:
        yield
    finally:
        with _lock:
            for identifier in new:
                _registered.pop(identifier, None)


def _registered_books() -> list[Codebook]:
    with _lock:
        return list(_registered.values())


@lru_cache(maxsize=64)
def _read_file(path: str, _modified_ns: int, _size: int) -> Codebook:
    return _shared(Codebook.load(path))


_by_identifier: dict[bytes, Codebook] = {}


def _shared(book: Codebook) -> Codebook:
    """Return the one object of this content, so that tables are built once for all threads."""
    with _lock:
        return _by_identifier.setdefault(book.identifier, book)


def _load_path(path: Path) -> Codebook:
    status = path.stat()
    return _read_file(str(path), status.st_mtime_ns, status.st_size)


@dataclass(frozen=True)
class BundledFile:
    """A codebook that travels with the package, unpacked when it is needed.

    Attributes
    ----------
    name : str
    identifier : bytes
    modes : frozenset of int
        Identifiers of the modes that it serves.
    read : callable
        Returns the file's bytes.
    """

    name: str
    identifier: bytes
    modes: frozenset[int]
    read: Callable[[], bytes] = field(repr=False)

    @cached_property
    def book(self) -> Codebook:
        """The codebook itself."""
        return _shared(Codebook.from_bytes(self.read()))

    @classmethod
    def of(cls, book: Codebook) -> BundledFile:
        """Return what stands for a codebook that is loaded already."""
        return cls(book.name, book.identifier, served_modes(book), book.to_bytes)


def served_modes(book: Codebook) -> frozenset[int]:
    """Return the identifiers of the modes that a codebook serves."""
    return frozenset(mode.identifier for mode in container.MODES.values() if book.fits(mode))


@cache
def bundled_files() -> tuple[BundledFile, ...]:
    """Return the codebooks that travel with the package, by name.

    The index beside them says what each serves, so that an image loads those alone that may help;
    it is believed of a file that states the same ID.
    """
    folder = bundled_folder()
    path = folder / INDEX
    index = json.loads(path.read_bytes()) if path.is_file() else {}
    files = []
    for entry in folder.iterdir():
        if not entry.name.endswith(SUFFIX):
            continue
        name = entry.name.removesuffix(SUFFIX)
        with entry.open("rb") as stream:
            identifier = stated_identifier(stream.read(HEAD_BYTES))
        known = index.get(name, {})
        if known.get("id") == identifier.hex():
            modes = frozenset(known["modes"])
            files.append(BundledFile(name, identifier, modes, entry.read_bytes))
        else:
            files.append(BundledFile.of(_shared(Codebook.from_bytes(entry.read_bytes()))))
    return tuple(sorted(files, key=lambda file: file.name))


def bundled_codebooks(mode: container.Mode | None = None) -> tuple[Codebook, ...]:
    """Return the codebooks that travel with the package, by name; all, or those for a mode."""
    return tuple(
        file.book for file in bundled_files() if mode is None or mode.identifier in file.modes
    )


def user_folder() -> Path | None:
    """Return the user's folder of codebooks, None for a user without a home."""
    try:
        return user_data_path("softcomp-codec", appauthor=False) / "codebooks"
    except (OSError, RuntimeError):
        return None


def _folders(source: str | None) -> Iterator[tuple[str, Path]]:
    for entry in os.environ.get(PATH_VARIABLE, "").split(os.pathsep):
        if entry:
            yield f"${PATH_VARIABLE}", Path(entry)
    if (folder := user_folder()) is not None:
        yield "user", folder
    if source is not None:
        yield "beside the file", Path(source).resolve().parent


def _in_folder(folder: Path) -> Iterator[tuple[Path, Codebook]]:
    """Readable codebooks of a folder; a damaged one must not hide the others."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)
    except OSError:
        return
    for path in paths:
        try:
            yield path, _load_path(path)
        except (ScfError, OSError):
            continue


def list_codebooks() -> list[StoredCodebook]:
    """Return every codebook of the usual places, in the order of look-up."""
    found = [StoredCodebook(book, "registered", "") for book in _registered_books()]
    folder = bundled_folder()
    found += [
        StoredCodebook(file.book, "bundled", str(folder / f"{file.name}{SUFFIX}"))
        for file in bundled_files()
    ]
    return found + _in_folders()


def _in_folders() -> list[StoredCodebook]:
    return [
        StoredCodebook(book, origin, str(path))
        for origin, place in _folders(None)
        for path, book in _in_folder(place)
    ]


def load_codebook(choice: str | PathLike[str] | Codebook) -> Codebook:
    """Return a codebook by name, hexadecimal ID (8 digits or more) or path.

    Raises
    ------
    CodebookNotFoundError
        No such codebook, or several of different content.
    """
    if isinstance(choice, Codebook):
        return choice
    text = os.fspath(choice)
    if text.endswith(SUFFIX) or os.path.sep in text:
        path = Path(text)
        if not path.is_file():
            raise CodebookNotFoundError(b"", text, (str(path),))
        return _load_path(path)

    def means(book: Codebook | BundledFile) -> bool:
        by_id = len(text) >= 8 and book.identifier.hex().startswith(text.lower())
        return book.name == text or by_id

    matching = {stored.book.identifier: stored.book for stored in _in_folders()}
    matching |= {file.identifier: file.book for file in bundled_files() if means(file)}
    matching |= {book.identifier: book for book in _registered_books()}
    matching = {identifier: book for identifier, book in matching.items() if means(book)}
    if not matching:
        raise CodebookNotFoundError(b"", text, _places(None))
    if len(matching) > 1:
        identifiers = ", ".join(sorted(identifier.hex()[:16] for identifier in matching))
        raise CodebookError(f"{len(matching)} codebooks are called {text!r}; name one by ID: "
                            f"{identifiers}")  # fmt: skip
    return next(iter(matching.values()))


def _places(source: str | None) -> tuple[str, ...]:
    folders = tuple(f"{origin} {place}" for origin, place in _folders(source))
    return ("registered in this process", "bundled with the package", *folders)


def find_codebooks(
    header: container.Header, *, source: str | None = None, extra: Sequence[Codebook] = ()
) -> list[Codebook]:
    """Return every codebook that a file's reference names, in the order of look-up (SPEC 3.2).

    Embedded, and then no other; `extra`, registered, bundled; only where none of these fits,
    ``$SOFTCOMP_CODEBOOK_PATH``, the user's folder, beside the file.

    Raises
    ------
    CodebookNotFoundError
        None was found.
    """
    reference = header.codebook_reference
    embedded = header.segment(container.SEGMENT_CODEBOOK)
    if embedded is not None:
        book = _embedded(embedded)
        if not book.identifier.startswith(reference):
            raise CodebookError(
                f"the embedded codebook has ID {book.identifier.hex()}, the file refers to "
                f"{reference.hex()}"
            )
        return [book]
    near = [*extra, *_registered_books()]
    found = {book.identifier: book for book in near if book.identifier.startswith(reference)}
    for file in bundled_files():
        if file.identifier.startswith(reference):
            found.setdefault(file.identifier, file.book)
    if not found:
        for _, place in _folders(source):
            for _, book in _in_folder(place):
                if book.identifier.startswith(reference):
                    found.setdefault(book.identifier, book)
    if not found:
        raise CodebookNotFoundError(reference, header.codebook_name, _places(source))
    return list(found.values())


@lru_cache(maxsize=8)
def _embedded(data: bytes) -> Codebook:
    return _shared(Codebook.from_bytes(data))
