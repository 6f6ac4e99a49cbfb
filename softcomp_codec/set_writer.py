"""Writing sets of images, a few at a time, and adding to them (SPEC 7.2)."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import IO, TYPE_CHECKING, Any, Protocol

from . import codebook_store, container, planes, set_format
from .container import Segment, checksum
from .encoder import TINY_RAW_BYTES, as_picture, encode_pictures
from .errors import CorruptStreamError
from .metadata import Metadata, metadata_from, metadata_of
from .set_format import GroupBlock, Index, check_name, may_be_grouped, most_of_group
from .set_reader import ImageSet
from .worker_threads import map_many

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike

    from .codebook import Codebook
    from .coder_choice import CodebookChoice
    from .coders import Picture
    from .encoder import ImageLike, MetadataChoice

BATCH_IMAGES = 256
BATCH_BYTES = 1 << 26
"""So many images, or raw bytes, are encoded at once; a number that bytes depend on."""

SHARE, BILEVEL_SHARE = 6, 64
"""Images of a group that have a checksum together: opening one decodes as many."""

VOTERS = 16
"""Images of a kind that decide which bundled codebook the kind is coded with."""

REFERENCE_BYTES = 8
"""Of the codebook's ID in the head."""

_WITHOUT = ("auto", "none", None)

Kind = tuple[int, int, int]
"""Mode, height and width of tiny images."""


@dataclass(frozen=True)
class _Pending:
    """What was added and is not written yet: frames, or a whole file."""

    pictures: tuple[Picture, ...]
    name: str | None
    metadata: Metadata
    file: bytes = b""

    @property
    def raw_size(self) -> int:
        return len(self.file) + sum(picture.raw_size for picture in self.pictures)

    @property
    def kind(self) -> Kind | None:
        """What groups and codebooks go by; None of what is no tiny image."""
        if self.file:
            return None
        first = self.pictures[0]
        tiny = len(self.pictures) == 1 and first.raw_size < TINY_RAW_BYTES
        if tiny and may_be_grouped(first.mode, first.width, first.height):
            return first.mode.identifier, first.height, first.width
        return None


@dataclass(frozen=True)
class _Encoded:
    """An image as a file of its own."""

    pending: _Pending
    file: bytes
    header: container.Header
    of_set: bool

    @property
    def key(self) -> tuple[Any, ...] | None:
        """Equal for images that may share a block; None of what has a block of its own."""
        kind = self.pending.kind
        if kind is None or self.header.segments or self.header.frames:
            return None
        return (*kind, self.pending.name is None)


class SetWriter:
    """Write a set of images, or add to one.

    A new set goes to a temporary file beside `path` and takes its place when it is whole; until
    `close` nothing is to be seen of it. Adding leaves every byte that was there, and writes behind
    them; if it is interrupted, what was whole can be read by ``open_set(path, recover=True)``, and
    adding can go on with ``recover=True``. As a context manager the writer closes at the end, and
    takes everything back where an exception ends it.

    Parameters
    ----------
    path : str or path
        An existing file is replaced, unless `append`.
    codebook : str, path, Codebook or None
        As in `encode`. With ``"auto"`` tiny images of one mode and size share the codebook that
        most of the first of them chose. A set that embeds its codebook is added to with this one.
    effort : int
        1 (fast) to 9 (small).
    coder : str
        As in `encode`.
    embed_codebook : bool, optional
        Whether the set carries its codebook; by default if that is not bundled with the program.
    append : bool
        Add to the set at `path`.
    recover : bool
        Add to a set that was cut off, too: what is not whole at its end is removed.
    threads : int, optional
        Default: one a core. The bytes do not depend on it.

    Raises
    ------
    TypeError, ValueError
        An option that cannot be.
    OSError
        The file cannot be written; `ScfError` for a set that cannot be added to.

    Examples
    --------
    >>> with softcomp_codec.SetWriter("set.scf") as writer:  # doctest: +SKIP
    ...     for name, image in images:
    ...         writer.add(image, name)
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        codebook: CodebookChoice = "auto",
        effort: int = 5,
        coder: str = "auto",
        embed_codebook: bool | None = None,
        append: bool = False,
        recover: bool = False,
        threads: int | None = None,
    ) -> None:
        if embed_codebook not in (None, True, False):
            raise TypeError(f"embed_codebook is {embed_codebook!r}, expected True, False or None")
        self._options: dict[str, Any] = {"effort": effort, "coder": coder}
        self._embed = embed_codebook
        self._threads = threads
        self._book = None if codebook in _WITHOUT else codebook_store.load_codebook(codebook)
        self._auto = codebook == "auto"
        self._pending: list[_Pending] = []
        self._pending_bytes = 0
        self._by_kind: dict[Kind, Codebook | None] = {}
        self._names: set[str] = set()
        self._blocks: list[tuple[int, int, bool]] = []
        self._n_added = self._n_written = 0
        self._identifier: bytes | None = None
        self._last_index: int | None = None
        self._offset = 0
        self._has_head = False
        self._file: _Output | None = None
        if append:
            self._open_again(path, recover)
        else:
            self._file = _NewFile(path)

    def _open_again(self, path: str | PathLike[str], recover: bool) -> None:
        """Read what there is, and stand behind it."""
        output = _ExistingFile(path)
        try:
            with ImageSet(output.stream, recover=recover) as present:
                contents = present._contents
                if present.damage and not contents.torn:
                    raise CorruptStreamError(
                        f"{os.fspath(path)}: damaged, not only cut off: {present.damage[0]}; "
                        "unpack what is whole, and pack it anew"
                    )
                self._names = set(present.names)
                if len(self._names) != len(present):
                    raise CorruptStreamError(f"{os.fspath(path)}: several images have one name")
                self._n_added = self._n_written = len(present)
                self._adopt_codebook(present)
            self._last_index = contents.last_index
            self._blocks = [
                (entry.n_bytes, entry.n_images, entry.named)
                for entry in contents.entries
                if contents.last_index is None or entry.offset > contents.last_index
            ]
            self._offset = contents.end
            self._has_head = True
            output.start_at(contents.end)
        except BaseException:
            output.abandon()
            raise
        self._file = output

    def _adopt_codebook(self, present: ImageSet) -> None:
        """Take the codebook of the set that is added to."""
        reference = present.head.codebook_reference
        if not reference:
            if self._book is not None and not _is_bundled(self._book):
                raise ValueError(
                    f"the set refers to no codebook: it cannot be added to with {self._book.name!r}"
                )
            return
        books = present.codebooks()
        if self._book is not None and not self._book.identifier.startswith(reference):
            if not _is_bundled(self._book):
                raise ValueError(
                    f"the set has codebook {books[0].name!r}: it cannot be added to with "
                    f"{self._book.name!r}"
                )
            return
        self._identifier = books[0].identifier
        if self._auto and not _is_bundled(books[0]):
            self._book = books[0]

    def add(
        self, image: ImageLike, name: str | None = None, *, metadata: MetadataChoice = None
    ) -> None:
        """Add an image.

        Parameters
        ----------
        image : array_like or PIL.Image.Image
            As in `encode`.
        name : str, optional
            Parts separated by ``/``, as of a file below a folder; by default the image's number.
        metadata : Metadata, mapping, bool or None
            As in `encode`: by default what a Pillow image has.

        Raises
        ------
        TypeError, ValueError, OSError
            An image or a name that cannot be kept, or a name that the set has already.
        """
        self._add([image], name, metadata)

    def add_frames(
        self,
        images: Iterable[ImageLike],
        name: str | None = None,
        *,
        metadata: MetadataChoice = None,
    ) -> None:
        """Add images of one mode and size as the frames of one image; see `add`."""
        self._add(images, name, metadata)

    def add_file(self, data: bytes, name: str | None = None) -> None:
        """Add an ``.scf`` file as it is, with its metadata and its codebook reference.

        Raises
        ------
        ValueError
            As `add`; also for a file with a file check, which would not be true of the set.
        ScfError
            The file's header is damaged, or it is a set itself.
        """
        header = container.read_header(data)
        if header.segment(container.SEGMENT_FILE_CHECK) is not None:
            raise ValueError("a file with a file check cannot be added as it is")
        self._take(_Pending((), name, Metadata(), bytes(data)))

    def _add(self, images: Iterable[ImageLike], name: str | None, metadata: MetadataChoice) -> None:
        images = list(images)
        if not images:
            raise ValueError("no frames to add")
        pictures = []
        for image in images:
            picture = as_picture(image)
            pictures.append(picture._replace(array=picture.array.copy()))
        kept = metadata_from(metadata, lambda: metadata_of(images))
        self._take(_Pending(tuple(pictures), name, kept))

    def _take(self, pending: _Pending) -> None:
        """Take in one more image under a name that is free."""
        if self._file is None:
            raise ValueError("the writer was closed")
        known = str(self._n_added) if pending.name is None else check_name(pending.name)
        if known in self._names:
            raise ValueError(f"the set has an image {known!r} already")
        self._names.add(known)
        self._n_added += 1
        self._pending.append(pending)
        self._pending_bytes += pending.raw_size
        if len(self._pending) >= BATCH_IMAGES or self._pending_bytes >= BATCH_BYTES:
            self._flush()

    def __len__(self) -> int:
        return self._n_added

    @property
    def names(self) -> frozenset[str]:
        """The names of all images, those that were there before included."""
        return frozenset(self._names)

    def close(self) -> None:
        """Write what is left and the index; the set is whole then."""
        if self._file is None:
            return
        try:
            self._flush(last=True)
            previous = 0 if self._last_index is None else self._offset - self._last_index
            index = Index(self._n_written, previous, tuple(self._blocks))
            self._file.finish(set_format.write_index(index))
        except BaseException:
            self.abort()
            raise
        self._file = None

    def abort(self) -> None:
        """Take back what was written: no new file, or the set as it was."""
        if self._file is not None:
            self._file.abandon()
            self._file = None

    def __enter__(self) -> SetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        if self.__dict__.get("_file") is not None:
            self.abort()

    # --- encoding -------------------------------------------------------------------------------

    def _flush(self, *, last: bool = False) -> None:
        """Encode and write what is pending."""
        batch, self._pending, self._pending_bytes = self._pending, [], 0
        self._choose_codebooks(batch)
        files = map_many(self._encode, batch, self._threads) if batch else []
        headers = [container.read_header(file) for file in files]
        if not self._has_head and (batch or last):
            self._write_head(headers)
        encoded = [self._as_encoded(*each) for each in zip(batch, files, headers, strict=True)]
        for group in _groups(encoded):
            if len(group) > 1:
                block = self._group_block(group)
            else:
                only = group[0]
                block = set_format.write_image_block(
                    self._n_written, only.pending.name, only.file, of_set=only.of_set
                )
            self._write(block)
            self._blocks.append((len(block), len(group), group[0].pending.name is not None))
            self._n_written += len(group)

    def _choose_codebooks(self, batch: Sequence[_Pending]) -> None:
        """Let the first images of each kind choose its codebook among the bundled ones."""
        if not self._auto or self._book is not None:
            return
        by_kind: dict[Kind, list[_Pending]] = {}
        for each in batch:
            if each.kind is not None and each.kind not in self._by_kind:
                by_kind.setdefault(each.kind, []).append(each)
        for kind, members in by_kind.items():
            voters = members[:: -(-len(members) // VOTERS)]
            files = map_many(self._encode, voters, self._threads)
            references = [container.read_header(file).codebook_reference for file in files]
            self._by_kind[kind] = _most_wanted(references)

    def _encode(self, pending: _Pending) -> bytes:
        if pending.file:
            return pending.file
        choice: CodebookChoice = self._book
        if choice is None and self._auto:
            choice = (self._by_kind.get(pending.kind) if pending.kind else None) or "auto"
        return encode_pictures(
            list(pending.pictures), codebook=choice, metadata=pending.metadata, **self._options
        )

    def _as_encoded(self, pending: _Pending, file: bytes, header: container.Header) -> _Encoded:
        """Return an image without what the head says."""
        reference = header.codebook_reference
        embeds = header.segment(container.SEGMENT_CODEBOOK) is not None
        of_set = bool(reference) and (self._identifier or b"").startswith(reference) and not embeds
        segments = header.segments
        if of_set:
            segments = tuple(s for s in segments if s.kind != container.SEGMENT_CODEBOOK_NAME)
        if segments != header.segments:
            payload = file[header.payload_offset :]
            header = replace(header, segments=segments)
            file = container.write_file(header, payload)
            header = container.read_header(file)
        return _Encoded(pending, file, header, of_set)

    def _write_head(self, headers: Sequence[container.Header]) -> None:
        book = self._book
        if book is None and self._auto:
            book = _most_wanted([header.codebook_reference for header in headers])
        reference, segments = b"", list[Segment]()
        if book is not None:
            self._identifier = book.identifier
            reference = book.identifier[:REFERENCE_BYTES]
            embed = not _is_bundled(book) if self._embed is None else self._embed
            if embed:
                segments.append(Segment(container.SEGMENT_CODEBOOK, book.to_bytes()))
            else:
                segments.append(Segment(container.SEGMENT_CODEBOOK_NAME, book.name.encode()))
        self._write(set_format.write_head(reference, segments))
        self._has_head = True

    def _group_block(self, group: Sequence[_Encoded]) -> bytes:
        first = group[0]
        mode, pictures = first.header.mode, [each.pending.pictures[0] for each in group]
        samples = [planes.canonical_samples(each.array, mode) for each in pictures]
        share = min(len(group), BILEVEL_SHARE if mode.bits_per_sample == 1 else SHARE)
        checksums = tuple(
            checksum(
                mode, first.header.width, first.header.height, b"".join(samples[k : k + share])
            )
            for k in range(0, len(group), share)
        )
        using = [each for each in group if each.header.codebook_reference]
        has_book = bool(using)
        coders = tuple((each.header.coder, _says_built_in(each.header, has_book)) for each in group)
        names = tuple(each.pending.name for each in group if each.pending.name is not None)
        return set_format.write_group_block(
            GroupBlock(
                self._n_written, names or None, has_book and using[0].of_set,
                using[0].header.codebook_reference if has_book else b"",
                mode, first.header.width, first.header.height, share, checksums, coders,
                tuple(each.file[each.header.payload_offset :] for each in group),
            )
        )  # fmt: skip

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write(data)
        self._offset += len(data)


def _says_built_in(header: container.Header, has_book: bool) -> bool:
    """Whether the coder's byte must say that an image does not use the group's codebook."""
    return has_book and not header.codebook_reference and header.coder != container.STORED


def _is_bundled(book: Codebook) -> bool:
    return any(file.identifier == book.identifier for file in codebook_store.bundled_files())


def _most_wanted(references: Iterable[bytes]) -> Codebook | None:
    """Return the bundled codebook that most references name, the first of several."""
    counts = Counter(reference for reference in references if reference)
    identifiers: Counter[bytes] = Counter()
    books = {file.identifier: file for file in codebook_store.bundled_files()}
    for reference, n_images in counts.items():
        for identifier in books:
            if identifier.startswith(reference):
                identifiers[identifier] += n_images
    best = identifiers.most_common(1)
    return books[best[0][0]].book if best else None


def _groups(encoded: Sequence[_Encoded]) -> list[list[_Encoded]]:
    """Return neighbours that may share a block together, everything else alone."""
    groups: list[list[_Encoded]] = []
    references: set[bytes] = set()
    for each in encoded:
        last = groups[-1] if groups else []
        reference = {each.header.codebook_reference} - {b""}
        alike = bool(last) and each.key is not None and last[0].key == each.key
        if (
            alike
            and len(last) < most_of_group(each.header.mode)
            and len(references | reference) < 2
        ):
            last.append(each)
            references |= reference
        else:
            groups.append([each])
            references = reference
    return groups


def write_set(
    path: str | PathLike[str],
    images: Iterable[ImageLike],
    *,
    names: Iterable[str] | None = None,
    **options: Any,
) -> None:
    """Write a set of images.

    Parameters
    ----------
    path : str or path
    images : iterable of array_like or PIL.Image.Image
        Taken a few at a time.
    names : iterable of str, optional
        As many as images; by default their numbers.
    **options
        Those of `SetWriter`.

    Raises
    ------
    TypeError, ValueError, OSError
        As `SetWriter` and its ``add``; no file is left then.
    """
    with SetWriter(path, **options) as writer:
        if names is None:
            for image in images:
                writer.add(image)
        else:
            for image, name in zip(images, names, strict=True):
                writer.add(image, name)


# --- files --------------------------------------------------------------------------------------


class _Output(Protocol):
    """Where the bytes of a set go."""

    def write(self, data: bytes) -> None:
        """Write more bytes."""

    def finish(self, data: bytes) -> None:
        """Write the last bytes, which make the set whole."""

    def abandon(self) -> None:
        """Take back what was written."""


def _named(error: OSError, path: str) -> OSError:
    """Return an error that names the file that was meant."""
    return type(error)(error.errno, error.strerror, path) if error.errno else error


class _NewFile:
    """A file that takes its place when it is whole."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._target = os.path.realpath(path)
        try:
            self._mode: int | None = os.stat(self._target).st_mode
        except FileNotFoundError:
            self._mode = None
        if self._mode is not None and not stat.S_ISREG(self._mode):
            raise OSError(errno.EINVAL, "a set needs a file of its own", self._path)
        if self._mode is not None and not os.access(self._target, os.W_OK):
            raise PermissionError(errno.EACCES, "the file is write-protected", self._path)
        folder = os.path.dirname(self._target)
        self._temporary = os.path.join(folder, f".scf-{token_hex(8)}.tmp")
        try:
            self._stream: IO[bytes] = open(self._temporary, "xb")  # noqa: SIM115
        except OSError as error:
            raise _named(error, self._path) from error

    def write(self, data: bytes) -> None:
        """Write more bytes."""
        try:
            self._stream.write(data)
        except OSError as error:
            raise _named(error, self._path) from error

    def finish(self, data: bytes) -> None:
        """Write the last bytes and take the old file's place."""
        self.write(data)
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            if self._mode is not None:
                os.chmod(self._temporary, stat.S_IMODE(self._mode))
            os.replace(self._temporary, self._target)
        except OSError as error:
            raise _named(error, self._path) from error

    def abandon(self) -> None:
        """Remove the temporary file."""
        with suppress(OSError):  # a full disk, told already
            self._stream.close()
        with suppress(OSError):
            os.unlink(self._temporary)


class _ExistingFile:
    """A file that grows behind its end, and is cut back where that fails."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = os.fspath(path)
        self.stream: IO[bytes] = open(path, "r+b")  # noqa: SIM115
        self._end: int | None = None
        try:
            _lock(self.stream, self._path)
        except BaseException:
            self.stream.close()
            raise

    def start_at(self, end: int) -> None:
        """Go behind what is whole."""
        self.stream.truncate(end)
        self.stream.seek(end)
        self._end = end

    def write(self, data: bytes) -> None:
        """Write more bytes."""
        try:
            self.stream.write(data)
        except OSError as error:
            raise _named(error, self._path) from error

    def finish(self, data: bytes) -> None:
        """Write the last bytes once all others are on the disk."""
        try:
            for piece in (b"", data):
                self.stream.write(piece)
                self.stream.flush()
                os.fsync(self.stream.fileno())
            self.stream.close()
        except OSError as error:
            raise _named(error, self._path) from error

    def abandon(self) -> None:
        """Cut the file back to what it was."""
        if self._end is not None:
            with suppress(OSError):
                os.ftruncate(self.stream.fileno(), self._end)
        with suppress(OSError):
            self.stream.close()
        if self._end is not None and os.path.getsize(self._path) > self._end:
            with suppress(OSError):  # what the buffer still held
                os.truncate(self._path, self._end)


def _lock(stream: IO[bytes], path: str) -> None:
    """Keep others from adding to the same file, where the system can."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OSError(errno.EAGAIN, "somebody else is adding to this set", path) from error
    except OSError:  # a file system without locks
        return
