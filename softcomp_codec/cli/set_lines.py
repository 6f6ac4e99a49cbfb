"""What ``scf info`` and ``scf verify`` say about sets of images."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import container
from ..errors import CodebookNotFoundError, ScfError
from .codebook_files import find_codebook
from .console import n_bytes, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..codebook import Codebook
    from ..set_reader import ImageSet

MAX_NAMES = 8
"""Most names, and kinds of images, that are shown."""


def is_set_file(path: Path) -> bool:
    """Whether a file is a set of images."""
    with path.open("rb") as stream:
        return container.is_set(stream.read(4))


def describe_set(path: Path, books: Sequence[Codebook]) -> dict[str, Any]:
    """Return what there is to say about a set, ready for JSON; a cut one is described, too."""
    from ..set_reader import open_set

    try:
        images = open_set(path, codebooks=books)
        damage: tuple[str, ...] = ()
    except ScfError:
        images = open_set(path, codebooks=books, recover=True)
        damage = images.damage
    with images:
        headers = [images.header(index) for index in range(len(images))]
        kinds = Counter((h.mode.name, h.width, h.height, h.n_frames) for h in headers)
        raw = sum(header.raw_size * header.n_frames for header in headers)
        blocks = sum(entry.n_bytes for entry in images.entries)
        return {
            "file": str(path),
            "format_version": container.FORMAT_VERSION,
            "set": True,
            "whole": not damage,
            "damage": list(damage),
            "images": len(images),
            "blocks": len(images.entries),
            "kinds": [
                {"mode": mode, "width": width, "height": height, "frames": frames, "images": count}
                for (mode, width, height, frames), count in kinds.most_common()
            ],
            "codebook": _codebook(images, path, books),
            "file_bytes": images.n_bytes,
            "head_bytes": images.head.n_bytes,
            "block_bytes": blocks,
            "index_bytes": images.n_bytes - images.head.n_bytes - blocks,
            "raw_bytes": raw,
            "ratio": round(raw / images.n_bytes, 4),
            "names": images.names,
        }


def _codebook(images: ImageSet, path: Path, books: Sequence[Codebook]) -> dict[str, Any] | None:
    reference = images.head.codebook_reference
    if not reference:
        return None
    segments = images.head.codebook_segments()
    header = container.Header(container.MODES[1], 1, 1, container.CONTEXT, reference, 0, segments)
    if any(book.identifier.startswith(reference) for book in books):
        found: str | None = "given by --codebook"
    else:
        place = find_codebook(header, path)
        found = None if place is None else str(place)
    return {"id": reference.hex(), "name": header.codebook_name, "found": found}


def set_lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the facts about a set as names and values for people."""
    lines = [("format", f"scf version {facts['format_version']}, a set of images")]
    if not facts["whole"]:
        lines.append(("NOT WHOLE", f"{facts['damage'][0]}; scf unpack --recover gives the rest"))
    lines.append(("images", f"{n_bytes(facts['images'])} in {plural(facts['blocks'], 'block')}"))
    for kind in facts["kinds"][:MAX_NAMES]:
        frames = f", {kind['frames']:,} frames" if kind["frames"] > 1 else ""
        size = f"{kind['width']} x {kind['height']}, {kind['mode']}{frames}"
        lines.append(("", f"{kind['images']:,} of {size}"))
    if (more := len(facts["kinds"]) - MAX_NAMES) > 0:
        lines.append(("", f"{more:,} other kinds"))
    names = facts["names"]
    shown = ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")
    lines.append(("names", shown or "none"))
    book = facts["codebook"]
    if book is None:
        lines.append(("codebook", "none for the whole set"))
    else:
        where = f"found: {book['found']}" if book["found"] else "MISSING"
        lines.append(("codebook", f"{book['id']} {book['name'] or ''}".rstrip() + f" ({where})"))
    lines += [
        (
            "file",
            f"{n_bytes(facts['file_bytes'])} bytes: head {n_bytes(facts['head_bytes'])}, blocks "
            f"{n_bytes(facts['block_bytes'])}, index {n_bytes(facts['index_bytes'])}",
        ),
        ("raw", f"{n_bytes(facts['raw_bytes'])} bytes, ratio {facts['ratio']:.3f}"),
    ]
    return lines


def verify_set(path: Path, books: Sequence[Codebook]) -> tuple[int, str]:
    """Check a set; return the number of its images, and why they could not be decoded.

    Raises
    ------
    ScfError
        It is not whole.
    """
    from ..set_reader import open_set

    try:
        images = open_set(path, codebooks=books)
    except ScfError as error:
        with open_set(path, codebooks=books, recover=True) as rest:
            found = plural(len(rest), "image")
        raise type(error)(f"{error}; {found} can be had by scf unpack --recover") from error
    with images:
        try:
            images.verify()
        except CodebookNotFoundError as error:
            with open_set(path, recover=True) as again:
                if again.damage:
                    raise ScfError(again.damage[0]) from error
            return len(images), str(error)
        return len(images), ""
