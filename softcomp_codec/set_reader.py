"""Reading sets of images: whole ones by their index, cut ones by what is whole (SPEC 7.2)."""

from __future__ import annotations

import os
from bisect import bisect_right
from dataclasses import dataclass, replace
from io import BytesIO
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, cast

from . import container, set_format
from .errors import CorruptStreamError, ScfError, TruncatedStreamError
from .set_format import END_BYTES, HEAD_OF_BLOCK, Entry, GroupBlock, ImageBlock, SetHead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike

    from numpy.typing import NDArray
    from PIL import Image

    from .codebook import Codebook
    from .container import Header

    SetSource = str | PathLike[str] | IO[bytes]

_FIRST_READ = 1024
"""Bytes of a block that are read for name and sizes."""

_KEPT_SHARES = 8
"""So many shares of groups stay decoded."""

_N_LOCKS = 16
"""A share is decoded once, whichever threads ask for its images."""


class SetFile:
    """Reading anywhere in a file, by any thread, and by forked processes where the system can."""

    def __init__(self, source: SetSource) -> None:
        self._own = not hasattr(source, "read")
        stream = open(cast("str", source), "rb") if self._own else cast("IO[bytes]", source)  # noqa: SIM115
        self._stream: IO[bytes] | None = stream
        self._lock = Lock()
        self._start = 0 if self._own else stream.tell()
        self.n_bytes = max(0, stream.seek(0, os.SEEK_END) - self._start)

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Return so many bytes.

        Raises
        ------
        TruncatedStreamError
            The file ends before.
        """
        stream = self._stream
        if stream is None:
            raise ValueError("the set was closed")
        if offset + n_bytes > self.n_bytes:
            raise TruncatedStreamError(
                f"set: bytes {offset} to {offset + n_bytes} are wanted, it has {self.n_bytes}"
            )
        data = b""
        while len(data) < n_bytes:
            piece = self._piece(stream, self._start + offset + len(data), n_bytes - len(data))
            if not piece:
                raise TruncatedStreamError(f"set: it ends at byte {offset + len(data)} by now")
            data = data + piece if data else piece
        return data

    def _piece(self, stream: IO[bytes], offset: int, n_bytes: int) -> bytes:
        if self._own and hasattr(os, "pread"):
            return os.pread(stream.fileno(), n_bytes, offset)
        with self._lock:
            stream.seek(offset)
            return stream.read(n_bytes)

    def close(self) -> None:
        """Close a file that was opened here; the caller's stays open."""
        if self._own and self._stream is not None:
            self._stream.close()
        self._stream = None


@dataclass(frozen=True)
class Contents:
    """The blocks of a set.

    Attributes
    ----------
    head : SetHead
    entries : tuple of Entry
    end : int
        Where the last whole block ends.
    last_index : int or None
        Where the last whole index starts.
    damage : tuple of str
        What is not whole; empty for a whole set.
    torn : bool
        Whether nothing is wrong but that the file ends too early.
    """

    head: SetHead
    entries: tuple[Entry, ...]
    end: int
    last_index: int | None
    damage: tuple[str, ...] = ()
    torn: bool = False


def read_head(file: SetFile) -> SetHead:
    """Read the head of a set."""
    wanted = 4096
    while True:
        n_bytes = min(wanted, file.n_bytes)
        try:
            return set_format.read_head(file.read(0, n_bytes))
        except TruncatedStreamError:
            if n_bytes == file.n_bytes:
                raise
        wanted *= 4


def read_contents(file: SetFile) -> Contents:
    """Read the contents of a whole set from its indexes.

    Raises
    ------
    TruncatedStreamError
        The set has no index at its end: it was cut off, or an append was interrupted.
    CorruptStreamError
        An index is damaged or lies.
    """
    head = read_head(file)
    start, end = _last_index(file, head)
    last_index, indexes = start, []
    while True:
        index = set_format.read_index(file.read(start, end - start), start)
        indexes.append((start, end, index))
        if not index.previous:
            break
        if not 0 < index.previous <= start - head.n_bytes:
            raise CorruptStreamError(f"index at byte {start}: the index before lies outside")
        start -= index.previous
        end = start + _block_length(file, start)
        if end > indexes[-1][0]:
            raise CorruptStreamError(f"index at byte {start}: it overlaps the next one")
    entries: list[Entry] = []
    offset, position = head.n_bytes, 0
    for start, end, index in reversed(indexes):
        for n_bytes, n_images, named in index.blocks:
            entries.append(Entry(offset, n_bytes, n_images, named, position))
            offset, position = offset + n_bytes, position + n_images
        if offset != start or position != index.n_images:
            raise CorruptStreamError(
                f"index at byte {start}: its blocks end at byte {offset}, with {position} images "
                f"of {index.n_images}"
            )
        offset = end
    return Contents(head, tuple(entries), file.n_bytes, last_index)


def _last_index(file: SetFile, head: SetHead) -> tuple[int, int]:
    """Return where the index at the end of a whole set starts and ends."""
    cut = "set: no index at its end: it was cut off, or adding to it was interrupted"
    if file.n_bytes < head.n_bytes + END_BYTES:
        raise TruncatedStreamError(f"{cut} ({file.n_bytes} bytes)")
    length = int.from_bytes(file.read(file.n_bytes - END_BYTES, 4), "little")
    start = file.n_bytes - length
    if start < head.n_bytes or length < END_BYTES:
        raise TruncatedStreamError(cut)
    try:
        set_format.read_index(file.read(start, length), start)
    except ScfError as error:
        raise TruncatedStreamError(f"{cut} ({error})") from error
    return start, file.n_bytes


def _block_length(file: SetFile, offset: int) -> int:
    data = file.read(offset, min(HEAD_OF_BLOCK, file.n_bytes - offset))
    return set_format.read_block_start(data, offset)[2]


def scan_contents(file: SetFile) -> Contents:
    """Read every block of a set and return those that are whole, whatever its end is like.

    Behind a block whose length is damaged it goes on where an index says that another one starts.
    """
    head = read_head(file)
    try:
        listed = read_contents(file)
    except ScfError as error:
        starts, damage = [], [str(error)]
    else:
        starts, damage = [entry.offset for entry in listed.entries], []
    entries: list[Entry] = []
    offset = end = head.n_bytes
    last_index, first_bad, at_end = None, None, True
    while offset < file.n_bytes:
        n_bytes = 0
        try:
            n_bytes = _block_length(file, offset)
            kind, data = set_format.read_block(file.read(offset, n_bytes), offset)
            if kind == set_format.INDEX_BLOCK:
                last_index = offset
            else:
                entries.append(_entry_of(kind, data, offset, n_bytes, head, entries))
        except ScfError as error:
            damage.append(str(error))
            first_bad = offset if first_bad is None else first_bad
            overrun = not n_bytes or offset + n_bytes > file.n_bytes
            at_end &= overrun or offset + n_bytes == file.n_bytes
            following = starts[bisect_right(starts, offset) :]
            if not following and overrun:
                break
            offset = following[0] if following else offset + n_bytes
            continue
        end = offset = offset + n_bytes
    torn = bool(damage) and at_end and (first_bad is None or first_bad >= end)
    return Contents(head, tuple(entries), end, last_index, tuple(damage), torn)


def _entry_of(
    kind: int, data: bytes, offset: int, n_bytes: int, head: SetHead, before: list[Entry]
) -> Entry:
    """Return the entry of a block that was read."""
    last = before[-1].position + before[-1].n_images if before else 0
    block = _parse(kind, data, offset, head)
    if block is None:
        return Entry(offset, n_bytes, 0, False, last)
    n_images, named = _extent(block)
    if block.position < last:
        raise CorruptStreamError(
            f"block at byte {offset}: it starts with image {block.position}, expected {last}"
        )
    return Entry(offset, n_bytes, n_images, named, block.position)


def _extent(block: ImageBlock | GroupBlock) -> tuple[int, bool]:
    """Return (number of images, whether they have names)."""
    if isinstance(block, ImageBlock):
        return 1, block.name is not None
    return len(block.coders), block.names is not None


def _parse(
    kind: int, data: bytes, offset: int, head: SetHead, *, whole: bool = True
) -> ImageBlock | GroupBlock | None:
    """Return what the data of a block hold; None for blocks without images."""
    try:
        if kind == set_format.IMAGE_BLOCK:
            return set_format.read_image_block(data, offset, head)
        if kind == set_format.GROUP_BLOCK:
            return set_format.read_group_block(data, offset, head, whole=whole)
    except TruncatedStreamError as error:
        if not whole:
            raise
        raise CorruptStreamError(str(error)) from error
    return None


def open_set(
    source: SetSource, *, codebooks: Sequence[Codebook] = (), recover: bool = False
) -> ImageSet:
    """Open a set of images.

    Parameters
    ----------
    source : path or binary file object
        A file object must be seekable, and stay as it is while the set is used.
    codebooks : sequence of Codebook
        Tried before those of the usual places.
    recover : bool
        Read the whole file and give what is whole of a set that was cut off or damaged; see
        `ImageSet.damage`. Otherwise such a set is refused.

    Raises
    ------
    TruncatedStreamError
        The set was cut off, or adding to it was interrupted, and `recover` is False.
    ScfError
        One of its kinds: the file is no set, or damaged where its index or head lies.

    Examples
    --------
    >>> with softcomp_codec.open_set("set.scf") as images:  # doctest: +SKIP
    ...     picture = images["a/b.png"]
    """
    return ImageSet(source, codebooks=codebooks, recover=recover)


class ImageSet:
    """The images of a set, by index or name; see `open_set`.

    ``len``, ``in`` (names), iteration (images in their order), ``images[0]`` and
    ``images["a/b.png"]`` (Pillow images, loaded) work as in a sequence and a mapping. Only what is
    asked for is read and decoded, and all of it is checked. Threads may share a set; it can be
    pickled where it was opened by its path.

    Attributes
    ----------
    damage : tuple of str
        What is not whole of a set opened with ``recover=True``; empty for a whole one.
    """

    def __init__(
        self, source: SetSource, *, codebooks: Sequence[Codebook] = (), recover: bool = False
    ) -> None:
        self._path = None if hasattr(source, "read") else os.path.abspath(cast("str", source))
        self._source = self._path
        self._codebooks = tuple(codebooks)
        self._recover = recover
        self._file = SetFile(source)
        try:
            self._contents = (scan_contents if recover else read_contents)(self._file)
        except BaseException:
            self._file.close()
            raise
        self._blocks = [entry for entry in self._contents.entries if entry.n_images]
        self._firsts: list[int] = []
        n_images = 0
        for entry in self._blocks:
            self._firsts.append(n_images)
            n_images += entry.n_images
        self._n_images = n_images
        self._by_name: dict[str, int] | None = None
        self._shares: dict[tuple[int, int], list[NDArray[Any]]] = {}
        self._make_locks()

    def _make_locks(self) -> None:
        self._lock = Lock()
        self._share_locks = [Lock() for _ in range(_N_LOCKS)]

    # --- as a container of images ---------------------------------------------------------------

    def __len__(self) -> int:
        return self._n_images

    def __iter__(self) -> Iterator[Image.Image]:
        return (self[index] for index in range(len(self)))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def __getitem__(self, which: int | str) -> Image.Image:
        """Return an image as a loaded Pillow image; of a stack it is a file of several frames.

        Raises
        ------
        IndexError, KeyError
            No such image.
        OSError
            Pillow has no mode for it: use `read`.
        ScfError
            One of its kinds.
        """
        entry, number = self._place(which)
        block = self._block(entry)
        mode = self._header(block, number).mode
        if mode.pillow_mode is None:
            raise OSError(f"Pillow cannot hold {mode.name}; use read")
        from .pillow_plugin import ScfImageFile

        image = ScfImageFile(BytesIO(self._single_file(entry, block, number)))
        image._source, image._codebooks = self._source, self._books_of(block)
        image.load()
        return image

    @property
    def names(self) -> list[str]:
        """All names, in the order of the images."""
        return list(self._names())

    def items(self) -> Iterator[tuple[str, Image.Image]]:
        """Yield (name, image)."""
        return ((name, self[index]) for index, name in enumerate(self.names))

    def name(self, index: int) -> str:
        """Return the name of an image; only its block is looked at."""
        number, image = self._place(index)
        entry = self._blocks[number]
        return self._names_of(number)[image] if entry.named else str(entry.position + image)

    def index(self, name: str) -> int:
        """Return the index of an image, ``KeyError`` where there is none of this name."""
        found = self._find(name)
        if found is None:
            raise KeyError(name)
        return found

    def read(self, which: int | str) -> NDArray[Any]:
        """Return an image as an array; the frames of a stack are one more axis in front.

        Raises
        ------
        IndexError, KeyError
            No such image.
        ScfError
            One of its kinds.
        """
        import numpy as np

        entry, number = self._place(which)
        block = self._block(entry)
        if isinstance(block, GroupBlock):
            return self._of_group(entry, block, number).copy()
        from .decoder import decode_file

        header = self._header(block, number)
        books = self._books_of(block)
        frames = [
            decode_file(
                block.file, header=header, frame=frame, source=self._source, codebooks=books
            ).array
            for frame in range(header.n_frames)
        ]
        return np.stack(frames) if frames[1:] else frames[0]

    def header(self, which: int | str) -> Header:
        """Return mode, size and metadata of an image; only the beginning of its block is read.

        Images that share a block have a common checksum, which is not in their headers.
        """
        entry, number = self._place(which)
        return self._beginning(entry, number)[1]

    def file(self, which: int | str, *, embed_codebook: bool = False) -> bytes:
        """Return an image as an ``.scf`` file of its own.

        Parameters
        ----------
        which : int or str
        embed_codebook : bool
            Put the codebook into the file where the image refers to one that the set embeds.
        """
        entry, number = self._place(which)
        block = self._block(entry)
        segments = self.head.codebook_segments() if embed_codebook and block.of_set else ()
        return self._single_file(entry, block, number, segments)

    def verify(self) -> None:
        """Decode everything and compare it with all checksums.

        Raises
        ------
        ScfError
            One of its kinds, of the first image that is not whole.
        """
        if self.damage:
            raise CorruptStreamError(self.damage[0])
        names = self.names
        if len(set(names)) != len(names):
            raise CorruptStreamError("set: several images have one name")
        for index in range(len(self)):
            self.read(index)

    # --- the file -------------------------------------------------------------------------------

    @property
    def head(self) -> SetHead:
        """The set's codebook reference and segments."""
        return self._contents.head

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The blocks with images, in their order."""
        return tuple(self._blocks)

    @property
    def n_bytes(self) -> int:
        """Length of the file."""
        return self._file.n_bytes

    @property
    def damage(self) -> tuple[str, ...]:
        """What is not whole; empty for a whole set."""
        return self._contents.damage

    def close(self) -> None:
        """Close the file, unless it is the caller's."""
        self._file.close()

    def __enter__(self) -> ImageSet:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        if "_file" in self.__dict__:
            self._file.close()

    def __repr__(self) -> str:
        return f"<softcomp_codec.ImageSet of {len(self)} images, {self._path or 'a file object'}>"

    def __getstate__(self) -> dict[str, Any]:
        if self._path is None:
            raise TypeError("a set that was opened from a file object cannot be pickled")
        books = [book.to_bytes() for book in self._codebooks]
        return {"path": self._path, "books": books, "recover": self._recover}

    def __setstate__(self, state: dict[str, Any]) -> None:
        books: list[Codebook] = []
        if state["books"]:
            from .codebook import Codebook

            books = [Codebook.from_bytes(data) for data in state["books"]]
        ImageSet.__init__(self, state["path"], codebooks=books, recover=state["recover"])

    @property
    def source(self) -> str | None:
        """The path of the set, beside which codebooks are looked for, too."""
        return self._source

    def codebooks_of(self, which: int | str) -> tuple[Codebook, ...]:
        """Return the codebooks with which to try an image first, when it is a file of its own."""
        entry, number = self._place(which)
        return self._books_of(self._beginning(entry, number)[0])

    def set_source(self, path: str | None) -> None:
        """Say where a file object comes from: codebooks are also looked for beside that."""
        self._source = path

    # --- inside ---------------------------------------------------------------------------------

    def _place(self, which: int | str) -> tuple[int, int]:
        """Return (number of the block, number of the image in it)."""
        index = self.index(which) if isinstance(which, str) else which.__index__()
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of a set of {len(self)}")
        index %= len(self)
        block = bisect_right(self._firsts, index) - 1
        return block, index - self._firsts[block]

    def _block(self, number: int) -> ImageBlock | GroupBlock:
        """Read a block with images, and check it against its CRC and the index."""
        entry = self._blocks[number]
        data = self._file.read(entry.offset, entry.n_bytes)
        kind, content = set_format.read_block(data, entry.offset)
        block = _parse(kind, content, entry.offset, self.head)
        self._check(block, entry)
        assert block is not None
        return block

    def _single_file(
        self,
        entry: int,
        block: ImageBlock | GroupBlock,
        number: int,
        segments: tuple[container.Segment, ...] = (),
    ) -> bytes:
        """Return an image as a file; one of a group is decoded, for its checksum."""
        if isinstance(block, ImageBlock):
            header = self._header(block, number)
            if not segments:
                return block.file
            payload = block.file[header.payload_offset :]
            return container.write_file(
                replace(header, segments=(*segments, *header.segments)), payload
            )
        from . import planes

        samples = planes.canonical_samples(self._of_group(entry, block, number), block.mode)
        crc = container.checksum(block.mode, block.width, block.height, samples)
        return container.write_file(block.header(number, segments, crc), block.payloads[number])

    def _check(self, block: ImageBlock | GroupBlock | None, entry: Entry) -> None:
        found = (0, False, 0) if block is None else (*_extent(block), block.position)
        expected = entry.n_images, entry.named, entry.position
        if found != expected:
            raise CorruptStreamError(
                f"block at byte {entry.offset} has {found[0]} images from {found[2]} on, the index "
                f"says {expected[0]} from {expected[2]} on, or whether they have names differs"
            )

    def _beginning(self, number: int, image: int) -> tuple[ImageBlock | GroupBlock, Header]:
        """Read so much of a block that names and the header of an image are known."""
        entry = self._blocks[number]
        wanted = _FIRST_READ
        while wanted < entry.n_bytes:
            data = self._file.read(entry.offset, wanted)
            kind, start, _ = set_format.read_block_start(data[:HEAD_OF_BLOCK], entry.offset)
            try:
                block = _parse(kind, data[start:], entry.offset, self.head, whole=False)
                self._check(block, entry)
                assert block is not None
                return block, self._header(block, image)
            except TruncatedStreamError:
                wanted *= 8
        block = self._block(number)
        return block, self._header(block, image)

    @staticmethod
    def _header(block: ImageBlock | GroupBlock, image: int) -> Header:
        if isinstance(block, GroupBlock):
            return block.header(image)
        header = container.read_header(block.file)
        if header.segment(container.SEGMENT_FILE_CHECK) is not None:
            raise CorruptStreamError(f"image {block.position}: a file check in a set")
        return header

    def _names(self) -> Iterator[str]:
        for number, entry in enumerate(self._blocks):
            names = self._names_of(number) if entry.named else None
            for image in range(entry.n_images):
                yield names[image] if names else str(entry.position + image)

    def _names_of(self, number: int) -> Sequence[str]:
        block, _ = self._beginning(number, 0)
        names = (block.name,) if isinstance(block, ImageBlock) else block.names
        assert names is not None
        return cast("Sequence[str]", names)

    def _find(self, name: str) -> int | None:
        if self._by_name is None:
            if not any(entry.named for entry in self._blocks) and not self.damage:
                index = int(name) if name.isascii() and name.isdecimal() and len(name) < 16 else -1
                return index if str(index) == name and index < len(self) else None
            by_name: dict[str, int] = {}
            for index, each in enumerate(self._names()):
                if by_name.setdefault(each, index) != index:
                    raise CorruptStreamError(f"set: two images are called {each!r}")
            self._by_name = by_name
        return self._by_name.get(name)

    def _books_of(self, block: ImageBlock | GroupBlock) -> tuple[Codebook, ...]:
        """Return the codebooks to try first: the one that the set embeds, and then no other."""
        if block.of_set and self.head.segment_of_codebook() is not None:
            return self.codebooks()
        return self._codebooks

    def codebooks(self) -> tuple[Codebook, ...]:
        """Return the codebooks that the set's reference may mean, the embedded one alone.

        Raises
        ------
        CodebookError
            None was found, or the embedded one is damaged.
        """
        from .codebook_store import find_codebooks

        head = self.head
        if not head.codebook_reference:
            return ()
        header = container.Header(
            container.MODES[1], 1, 1, container.CONTEXT, head.codebook_reference, 0,
            head.codebook_segments(),
        )  # fmt: skip
        return tuple(find_codebooks(header, source=self._source, extra=self._codebooks))

    def _of_group(self, number: int, block: GroupBlock, image: int) -> NDArray[Any]:
        """Decode an image of a group, with those of the same checksum; they are kept for a while.

        The array is not the caller's to change.
        """
        share = block.images_with(image)
        key = number, share.start
        with self._share_locks[hash(key) % _N_LOCKS]:
            images = self._shares.get(key)
            if images is None:
                from .set_groups import decode_share

                images = decode_share(
                    block, image, self.head.codebook_segments() if block.of_set else (),
                    source=self._source, codebooks=self._codebooks,
                )  # fmt: skip
                with self._lock:
                    while len(self._shares) >= _KEPT_SHARES:
                        del self._shares[next(iter(self._shares))]
                    self._shares[key] = images
        return images[image - share.start]
