"""Mutation fuzzing of .scf and .scfb data, in a process of its own with limited memory.

    python tests/mutations.py --cases 10000 --seed 0 --keep DIR

Half the cases hit the bytes blindly; the others hit one part (payload, header, segment, frame,
codebook) and repair every checksum and codebook ID around it, so that the damage gets past them.
Whatever happens must be an exact picture or a kind of `ScfError`. A failing input is kept in DIR.
"""

import argparse
import faulthandler
import io
import lzma
import random
import sys
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from file_builder import file_of
from made_images import (
    KINDS,
    colours,
    decoded_jpeg,
    figure,
    glyphs,
    image,
    images,
    jpeg_colours,
    made_past,
    noise,
    scaled_jpeg,
    slope,
    typical,
    unrounded_jpeg,
)
from PIL import Image
from small_codebooks import (
    bilevel_book,
    codebook_file,
    made_bilevel_prior,
    made_prior,
    made_tiny_prior,
    prior_book,
    reference_codebook,
    small_codebook,
    tiny_book,
    tiny_codebook,
)

import softcomp_codec
from softcomp_codec import (
    bilevel_coder,
    container,
    context_coder,
    decoder,
    few_colour_coder,
    jpeg_past_coder,
    jpeg_unrounded_coder,
    planes,
    shapes_coder,
    tiny_coder,
)
from softcomp_codec.codebook import Codebook
from softcomp_codec.container import Segment
from softcomp_codec.decoder import decode_file
from softcomp_codec.errors import ScfError
from softcomp_codec.jpeg_recovery import Recovered
from softcomp_codec.jpeg_unrounded_coder import Unrounded
from softcomp_codec.metadata import Metadata

MEMORY = 1 << 30
"""Bytes that a case may use beyond what the interpreter and the kernels need."""

MOST_PIXELS = 1 << 20
"""Limit of the decoder while fuzzing, so that larger sizes are refused at once."""

SECONDS = 60
"""A case that takes longer hangs."""

KINDS_OF_CASES = (*("file", "file, repaired") * 2, "book", "book, repaired")

BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)


class Corpus:
    """Valid files of every coder, mode and section, with their pictures."""

    def __init__(self):
        self.books = [small_codebook(kind) for kind in KINDS]
        self.files = []
        book_of = dict(zip(KINDS, self.books, strict=True))
        for kind in KINDS:
            book = book_of[kind]
            for array in (image(kind, 24, 24, 99), image(kind, 9, 130, 5), image(kind, 1, 1)):
                self._add(array, codebook=None, effort=1)
                self._add(array, codebook=None, effort=9, file_check=True)
                self._add(array, codebook=book, effort=1)
                self._add(array, codebook=book, effort=1, reference_bytes=32, file_check=True)
            self._add(image(kind, 24, 24, 98), codebook=book, embed_codebook=True, effort=1)
            frames = images(kind, 3, height=8, width=11)
            n_values = 2 if kind == "bilevel" else 256
            frames.append(noise(frames[0].shape, n_values).astype(frames[0].dtype))
            self._add_frames(frames, codebook=book, effort=1)
            self._add_frames(frames, codebook=None, file_check=True)
            reference = reference_codebook(kind)
            self.books.append(reference)
            for array in (image(kind, 24, 24, 99), image(kind, 11, 9, 5), image(kind, 1, 30)):
                self._add(array, codebook=reference)
            self._add(image(kind, 24, 23, 98), codebook=reference, embed_codebook=True)
            self._add_frames(frames, codebook=reference)
        priors = prior_book(made_prior(), made_prior((8, 3, 3)), made_prior((16, 1, 0)))
        self.books.append(priors)
        for array in (slope(20, 24), colours(24, 20), slope(20, 20).astype(np.uint16) << 4):
            self._add(array, codebook=priors, coder="context", effort=1)
            self._add(array, codebook=priors, coder="context", effort=5)
        self._add_all_tiny()
        for array in (
            glyphs(20, 20)[:, :, None],
            slope(20, 20)[:, :, None],
            noise((9, 9), 256).astype(np.uint8),
            noise((9, 9), 2).astype(bool),
            noise((5, 5, 3), 256).astype(np.uint8),
            slope(70, 70),
            colours(16, 16)[::-1],
            *(typical((9, 7, n)[: 2 + (n > 0)], np.uint16) for n in range(5)),
            typical((11, 5, 2), np.uint8),
            typical((3, 40, 4), np.uint8),
        ):
            self._add(array, codebook=None)
        for array in (
            slope(24, 24, 99),
            slope(9, 130, 5)[:, :, None],
            colours(24, 24, 99),
            np.repeat(slope(13, 14)[:, :, None], 3, axis=2),
            jpeg_colours(20, 21),
            np.concatenate([jpeg_colours(12, 9), slope(12, 9)[:, :, None]], axis=2),
            glyphs(20, 20),
            typical((12, 20), np.uint16),
            typical((8, 9, 3), np.uint16),
            np.full((5, 6, 2), 9, np.uint8),
            slope(1, 30),
            slope(30, 1),
        ):
            for effort in (1, 9):
                self._add_context(array, effort)
        for array in (slope(24, 24, 97), colours(20, 20, 97)):
            self._add_frames([array, array[::-1], array[::-1, ::-1]], coder="context")
        self._add_bilevel()
        for array in (
            glyphs(30, 30).astype(np.uint8) * 200,
            np.repeat(glyphs(20, 24)[:, :, None], 3, axis=2) * np.uint8([9, 80, 255]),
            typical((12, 9, 4), np.uint8) & np.uint8(0xC0),
        ):
            for effort in (1, 5, 9):
                self._add_few_colours(array, effort)
        self._add_jpeg_pasts()
        self._add_metadata()
        page = Image.fromarray(glyphs(24, 26).astype(np.uint8) * 3)
        for mode, transparency in (("RGB", 3), ("RGBA", None), ("RGB", b"\0\1\2")):
            page.putpalette(bytes(range(24)), mode)
            page.info["transparency"] = transparency
            data = softcomp_codec.encode(page, codebook=None)
            self.files.append((data, [np.asarray(page)]))
        deep = [typical((8, 11), np.uint16, seed) for seed in range(3)]
        self._add_frames(deep, codebook=None, file_check=True)
        self._add_frames([typical((6, 5, 4), np.uint8, seed) for seed in range(2)])
        data, pictures = self.files[0]
        header, payload = container.read_file(data)
        segments = (Segment(0x81, b"some EXIF"), Segment(0xFE, bytes(200)))
        self.files.append((container.write_file(replace(header, segments=segments), payload),
                           pictures))  # fmt: skip
        self.contents = {self._key(picture) for _, pictures in self.files for picture in pictures}

    @staticmethod
    def _key(array):
        return array.dtype.str, array.shape, array.tobytes()

    def _add_context(self, array, effort):
        """By the context coder, even where the samples themselves are smaller."""
        mode = planes.mode_of_array(array)
        payload = context_coder.encode_payload(array, mode, effort=effort)
        data = file_of(array, payload, coder=container.CONTEXT, file_check=effort == 9)
        self.files.append((data, [array]))

    def _add_bilevel(self):
        """By the bilevel coder without a prior, and by priors for any size and for 24 x 24."""
        book = bilevel_book(made_bilevel_prior(), made_bilevel_prior((24, 24)))
        self.books.append(book)
        blank = np.zeros((70, 90), bool)
        blank[60:64, 40:80] = True
        for array in (glyphs(24, 24, 99), glyphs(9, 130, 5)[:, :, None], blank, ~blank):
            prior = book.bilevel_prior(*array.shape[:2])
            for effort, start in ((1, None), (9, None), (5, prior)):
                payload = bilevel_coder.encode_payload(array, effort=effort, prior=start)
                if payload is not None:
                    owner = book if start else None
                    data = file_of(array, payload, book=owner, coder=container.BILEVEL)
                    self.files.append((data, [array]))

    def _add_all_tiny(self):
        """By the tiny coder with a trained and a made prior."""
        learned = tiny_codebook(12)
        made = tiny_book(made_tiny_prior((9, 7)), made_tiny_prior((64, 3), inverted=True))
        self.books += [learned, made]
        for array in (figure(12, 12, 900), figure(12, 12, 901)[:, :, None]):
            self._add(array, codebook=learned, coder="tiny")
            self._add_tiny(array, learned)
        self._add(figure(12, 12, 902), codebook=learned, embed_codebook=True, file_check=True)
        self._add_frames([figure(12, 12, seed) for seed in (3, 4, 5)], codebook=learned)
        for array in (slope(9, 7), noise((9, 7)).astype(np.uint8), slope(64, 3)):
            self._add_tiny(array, made)

    def _add_tiny(self, array, book):
        """By the tiny coder, even where it codes as if others were meant."""
        payload = tiny_coder.encode_payload(array, book.tiny[array.shape[:2]])
        if payload is not None:
            data = file_of(array, payload, coder=container.TINY, book=book, reference_bytes=4)
            self.files.append((data, [array]))

    def _add_few_colours(self, array, effort):
        mode = planes.mode_of_array(array)
        payload = few_colour_coder.encode_payload(array, mode, effort=effort)
        data = file_of(array, payload, coder=container.FEW_COLOUR, file_check=effort == 9)
        self.files.append((data, [array]))

    def _add_jpeg_pasts(self):
        """By decoders that round samples, gray and colour, and by both that do not."""
        for sampling in (None, (1, 1), (2, 2)):
            past = made_past(sampling, (3, 5), 80)
            array, coefficients = decoded_jpeg(past, 19, 22)
            array[5:8, 3:9] ^= 1
            shapes = [past.component_shape(index, 19, 22) for index in range(past.n_components)]
            boxes = [(np.zeros(each, np.int32), np.full(each, 255, np.int32)) for each in shapes]
            found = Recovered(past, coefficients, boxes, (1.0,) * past.n_components)
            payload = jpeg_past_coder.write_payload(array, found)
            self.files.append((file_of(array, payload, coder=container.JPEG_PAST), [array]))
        for number, made in enumerate((unrounded_jpeg, scaled_jpeg)):
            past = made_past((1, 1), (6, 1), 70)
            array, coefficients = made(past, *((19, 22), (9, 40))[number], clipped=3)
            array[5:8, 3:9] ^= 1
            found = Unrounded(past, number, coefficients)
            (payload,) = jpeg_unrounded_coder.write_payloads(array, found, [None], 1 + 4 * number)
            self.files.append((file_of(array, payload, coder=container.JPEG_PAST), [array]))

    def _add_metadata(self):
        """Every kind of metadata, plain and deflated, and times of frames."""
        small = Metadata(b"some EXIF", b"ICC", b"<x/>", (72, 72.5), loop=0, durations=(40,))
        full = Metadata(
            exif=bytes(range(64)) * 3, icc_profile=b"icc" * 50, xmp=b"<x/>" * 40, dpi=(300, 0.5),
            aspect=(1, 2), gamma=0.45455, chromaticity=tuple(range(8)), srgb=1,
            transparency=(1, 2, 3), background=7, comment=b"\0\xff" * 30,
            text={"XML:com.adobe.xmp": "<x/>" * 40, "Title": "t" * 80, "Ü": "日"}, loop=3,
            durations=(1, None, 33.3),
        )  # fmt: skip
        array = slope(13, 9)
        self._add(array, codebook=None, metadata=small)
        self._add(array, codebook=None, metadata=replace(full, durations=()), file_check=True)
        self._add_frames([array, array[::-1], array], codebook=None, metadata=small)
        self._add_frames([array, array[::-1], array], codebook=None, metadata=full)

    def _add(self, array, **options):
        self.files.append((softcomp_codec.encode(array, **options), [array]))

    def _add_frames(self, frames, **options):
        self.files.append((softcomp_codec.encode_frames(frames, **options), frames))

    def knows(self, array):
        return self._key(array) in self.contents


# --- mutations ----------------------------------------------------------------------------------


def mutated(data, rng, others):
    """Bytes that differ from `data` a little: flipped, cut, spliced, extended."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        kind = rng.randrange(9)
        # Half the hits are near the start, where the structure is.
        end = len(data) if rng.random() < 0.5 else min(len(data), 40)
        at = rng.randrange(end) if end else 0
        n_bytes = rng.choice((1, 2, 4, rng.randrange(1, 60)))
        if kind <= 2 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 3 and data:
            data[at] = rng.choice(BYTES)
        elif kind == 4:
            del data[at:]
        elif kind == 5:
            del data[at : at + n_bytes]
        elif kind == 6:
            data[at:at] = rng.choice((bytes(n_bytes), rng.randbytes(n_bytes)))
        elif kind == 7:
            data += rng.choice((bytes(n_bytes), rng.randbytes(n_bytes), b"\xff" * n_bytes))
        else:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            data[at:] = other[start:]
    return bytes(data)


def repaired(data, rng, corpus, keep):
    """A file with one part hit, and the checksums around it right."""
    header, payload = container.read_file(data)
    payloads = [container.read_file(other)[1] for other, _ in corpus.files]
    part = rng.randrange(8)
    if part == 0:
        header = _other_header(header, rng)
    elif part == 1 and header.segments:
        header = _other_segment(header, rng, corpus)
    elif part == 2 and header.frames:
        header = _other_frame(header, rng)
    else:
        payload = mutated(payload, rng, payloads)
    if header.frames:  # their lengths must add up, or nothing is read
        rest = len(payload) - sum(frame.n_bytes for frame in header.frames[:-1])
        last = replace(header.frames[-1], n_bytes=max(0, rest))
        header = replace(header, frames=(*header.frames[:-1], last))
    keep(container.write_file(header, payload))
    header = _with_checksums(header, payload, corpus)
    return container.write_file(header, payload, file_check=rng.random() < 0.2)


def _other_header(header, rng):
    choice = rng.randrange(4)
    if choice == 0:
        modes = [*container.MODES.values(), *container.FURTHER_MODES.values()]
        return replace(header, mode=rng.choice(modes))
    if choice == 1:
        return replace(header, coder=rng.choice(container.READABLE_CODERS))
    if choice == 2:
        n_bytes = rng.choice(container.REFERENCE_LENGTHS)
        return replace(header, codebook_reference=header.codebook_reference[:n_bytes].ljust(
            n_bytes, b"x"))  # fmt: skip
    sides = (1, 2, 7, header.width, header.width + 1, header.height, 300, 1 << 10, 1 << 20, 1 << 30)
    return replace(header, width=rng.choice(sides), height=rng.choice(sides))


def _other_segment(header, rng, corpus):
    index = rng.randrange(len(header.segments))
    segment = header.segments[index]
    data = mutated(segment.data, rng, [b"x" * 9])
    if segment.kind == container.SEGMENT_CODEBOOK and rng.random() < 0.8:
        serialised = Codebook.from_bytes(segment.data).serialised
        data = mutated_codebook(serialised, rng, corpus)
        header = replace(header, codebook_reference=data[4 : 4 + len(header.codebook_reference)])
    segment = replace(segment, data=data)
    return replace(
        header, segments=(*header.segments[:index], segment, *header.segments[index + 1 :])
    )


def _other_frame(header, rng):
    index = rng.randrange(len(header.frames))
    frame = header.frames[index]
    n_bytes = max(0, frame.n_bytes + rng.choice((-1, 1, 5)))
    reference = header.codebook_reference
    frame = rng.choice((
        replace(frame, coder=rng.choice(container.READABLE_CODERS), built_in=False),
        replace(frame, built_in=bool(reference) and frame.coder == container.SHAPES),
        replace(frame, n_bytes=n_bytes),
    ))  # fmt: skip
    return replace(header, frames=(*header.frames[:index], frame, *header.frames[index + 1 :]))


def _with_checksums(header, payload, corpus):
    """The header with the checksums of what the payload decodes to, where it decodes at all."""
    n_frames = header.n_frames
    data = container.write_file(header, payload)
    found = [header.checksum] * n_frames
    exact = decoder._exact
    decoder._exact = lambda header, single, coded, complete, allow_truncated, book=None: (
        decoder._presented(header, single, coded, book, complete)
    )
    try:
        for index in range(n_frames):
            decoded = decode_file(data, frame=index, codebooks=corpus.books)
            found[index] = planes.checksum_of(decoded.array, header.mode, decoded.palette)
    except ScfError:
        pass
    finally:
        decoder._exact = exact
    frames = [replace(f, checksum=crc) for f, crc in zip(header.frames, found, strict=False)]
    coder = header.frames[0].coder if frames else header.coder
    return replace(header, coder=coder, checksum=found[0], frames=tuple(frames))


def mutated_codebook(serialised, rng, corpus):
    """A codebook file whose content was hit and whose ID is right."""
    content = mutated(serialised, rng, [book.serialised for book in corpus.books])
    if rng.random() < 0.5:
        return codebook_file(content)
    packed = lzma.compress(content, preset=0)
    if rng.random() < 0.1:
        packed = mutated(packed, rng, [packed])
    return codebook_file(content, method=1, packed=packed)


# --- what must hold -----------------------------------------------------------------------------


def check_file(data, corpus, blind):
    """Decode in every way; returns how it ended. `blind`: checksums were not repaired."""
    with suppress(ScfError):
        header = container.read_header_from(io.BytesIO(data))
        assert header == softcomp_codec.read_header(data)
        container.file_check_matches(data, header)
    _check_metadata(data)
    outcome = "error"
    try:
        found = decode_file(data, codebooks=corpus.books)
        arrays = softcomp_codec.decode_frames(data, codebooks=corpus.books)
    except ScfError:
        pass
    else:
        outcome = "picture"
        header = softcomp_codec.read_header(data)
        wanted = [frame.checksum for frame in header.frames] or [header.checksum]
        crcs = [planes.checksum_of(array, header.mode, found.palette) for array in arrays]
        assert crcs == wanted
        assert all(array.shape == header.shape for array in arrays)
        assert not blind or all(map(corpus.knows, arrays)), "another picture without an error"
    try:
        decoded = decode_file(data, codebooks=corpus.books, allow_truncated=True)
    except ScfError:
        pass
    else:
        assert decoded.array.shape == decoded.header.shape
        if decoded.complete:
            crc = planes.checksum_of(decoded.array, decoded.header.mode, decoded.palette)
            assert crc == decoded.header.checksum
        _describe(data, decoded)
    return outcome


def _check_metadata(data):
    """Metadata are read or refused; what is read can be written again, and is the same."""
    with suppress(ScfError):
        header = softcomp_codec.read_header(data)
        kept = Metadata.from_header(header)
        segments = kept.to_segments()
        assert Metadata.from_header(replace(header, segments=segments)) == kept
        kept.info(header.n_frames - 1)


def _describe(data, decoded):
    header, payload = container.read_file(data)
    single = container.frame_header(header, 0)
    if single.coder == container.CONTEXT:
        payload = container.frame_payload(header, payload, 0)
        with suppress(ScfError):
            context_coder.describe_payload(payload, single)
    if single.coder == container.SHAPES:
        payload = container.frame_payload(header, payload, 0)
        with suppress(ScfError):
            shapes_coder.describe_payload(payload, single, decoded.codebook)


def check_codebook(data, corpus, rng):
    """Read a codebook; one that is accepted must work, for its own files and for new ones."""
    try:
        book = Codebook.from_bytes(data)
    except ScfError:
        return "error"
    assert book.identifier == data[4:36]
    again = Codebook.from_bytes(book.to_bytes())
    assert again.identifier == book.identifier
    for height, width in sorted(book.tiny)[:2]:
        array = slope(height, width, rng.randrange(100))
        payload = tiny_coder.encode_payload(array, book.tiny[height, width])
        if payload is not None:
            file = file_of(array, payload, coder=container.TINY, book=book)
            assert np.array_equal(softcomp_codec.decode(file, codebooks=[again]), array)
    kind = rng.choice([kind for kind in book.kinds if kind in KINDS] or ["gray8"])
    array = image(kind, rng.randrange(1, 20), rng.randrange(1, 20), rng.randrange(100))
    file = softcomp_codec.encode(array, codebook=book, effort=rng.choice((1, 5)))
    found = softcomp_codec.decode(file, codebooks=[again])
    assert np.array_equal(found, array)
    return "picture"


def run_case(rng, corpus, keep):
    """One mutation; returns (what was hit, how it ended)."""
    data, _ = rng.choice(corpus.files)
    kind = rng.choice(KINDS_OF_CASES)
    if kind == "file":
        data = mutated(data, rng, [other for other, _ in corpus.files])
    elif kind == "file, repaired":
        data = repaired(data, rng, corpus, keep)
    elif kind == "book":
        others = [book.to_bytes() for book in corpus.books]
        data = mutated(rng.choice(others), rng, others)
    else:
        data = mutated_codebook(rng.choice(corpus.books).serialised, rng, corpus)
    keep(data)
    if kind.startswith("book"):
        return kind, check_codebook(data, corpus, rng)
    return kind, check_file(data, corpus, blind=kind == "file")


def limit_memory():
    """Allow `MEMORY` more address space than is used now, where the system can."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, required=True, help="folder for a failing input")
    arguments = parser.parse_args()
    container.MAX_PIXELS = MOST_PIXELS
    corpus = Corpus()
    for data, pictures in corpus.files:
        found = softcomp_codec.decode_frames(data, codebooks=corpus.books)
        assert all(map(np.array_equal, found, pictures))
    limit_memory()
    current = arguments.keep / "current.bin"
    ended = {}
    for case in range(arguments.cases):
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        rng = random.Random(f"{arguments.seed} {case}")
        try:
            outcome = run_case(rng, corpus, current.write_bytes)
        except Exception:
            kept = arguments.keep / f"seed-{arguments.seed}-case-{case}.bin"
            current.replace(kept)
            traceback.print_exc()
            print(f"seed {arguments.seed}, case {case}: {kept}", file=sys.stderr)
            return 1
        ended[outcome] = ended.get(outcome, 0) + 1
    faulthandler.cancel_dump_traceback_later()
    for (kind, outcome), count in sorted(ended.items()):
        print(f"{kind}: {outcome}: {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
