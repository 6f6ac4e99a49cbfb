"""A slow decoder of SCF files, written from SPEC.md alone, to show that the document suffices.

It shares no code with the package and needs the standard library only. The numbers in the
docstrings are the sections of SPEC.md. Plain statements come before speed everywhere.

This module chooses codebook and coder; container, tiles, codebooks and each coder have modules
of their own, named reference_decoder_*.py, and what they share is in reference_decoder_numbers.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from reference_decoder_bilevel import BilevelPrior, decode_bilevel, read_settings
from reference_decoder_codebook import Codebook, read_codebook
from reference_decoder_colours import invert_lattice
from reference_decoder_container import (
    BILEVEL,
    CONTEXT,
    FEW_COLOUR,
    JPEG_PAST,
    PALETTE_MODE,
    PLANES_OF_MODE,
    SHAPES,
    STORED,
    TINY,
    Header,
    Picture,
    check_picture,
    check_presented,
    read_header,
    read_stored,
    split_frames,
)
from reference_decoder_context import decode_context
from reference_decoder_few_colour import FewColourPrior, decode_few_colour
from reference_decoder_jpeg import decode_jpeg
from reference_decoder_numbers import ByteReader, SpecError
from reference_decoder_published import decode_reference
from reference_decoder_shapes import decode_shapes
from reference_decoder_tiles import join_tiles, read_tiles_of
from reference_decoder_tiny import decode_tiny

# A limit of this decoder, not of the format (1.3).
MAX_SAMPLES = 1 << 24


def decode(data: bytes, codebooks: Sequence[bytes] = ()) -> Picture:
    """Decode a file with one image (2), or the first frame of a file with several (3.4).

    Parameters
    ----------
    data
        The whole `.scf` file.
    codebooks
        Whole `.scfb` files that the file may refer to.

    Returns
    -------
    Picture
        The image that was encoded.

    Raises
    ------
    SpecError
        If the file is corrupt, truncated or unsupported, or its codebook is not there.
    """
    header = read_header(data)
    return try_codebooks(header, split_frames(header)[:1], codebooks)[0]


def decode_frames(data: bytes, codebooks: Sequence[bytes] = ()) -> list[Picture]:
    """Decode all images of a file (2, 3.4), parameters and errors as of `decode`."""
    header = read_header(data)
    return try_codebooks(header, split_frames(header), codebooks)


def try_codebooks(
    header: Header, frames: list[Header], codebooks: Sequence[bytes]
) -> list[Picture]:
    """Decode frames with the codebook that is referred to (2.6)."""
    problem = SpecError("the codebook of the file is not there")
    for codebook in candidates(header, codebooks):
        try:
            return decode_one_by_one(frames, codebook)
        except SpecError as error:
            problem = error
    if any(frame.reference for frame in frames):
        raise problem
    return decode_one_by_one(frames, None)


def decode_one_by_one(frames: list[Header], codebook: Codebook | None) -> list[Picture]:
    """Decode frames, each with the one before if it follows (3.4)."""
    pictures: list[Picture] = []
    for frame in frames:
        previous = (pictures[-1].coded or pictures[-1].planes) if frame.follows else None
        pictures.append(decode_frame(frame, codebook, previous))
    return pictures


def candidates(header: Header, codebooks: Sequence[bytes]) -> Iterator[Codebook]:
    """Yield what the codebook reference may mean, an embedded codebook alone (2.6, 3.2)."""
    if not header.reference:
        return
    if header.embedded is not None:
        embedded = read_codebook(header.embedded)
        if not embedded.id.startswith(header.reference):
            raise SpecError("corrupt: the embedded codebook is not the one referred to")
        yield embedded
        return
    for codebook in map(read_codebook, codebooks):
        if codebook.id.startswith(header.reference):
            yield codebook


def decode_frame(
    header: Header, codebook: Codebook | None, previous: list[list[list[int]]] | None = None
) -> Picture:
    """Decode one image with a codebook, if it refers to one, and compare its checksum.

    `previous` are the component planes of the frame before, if this one follows.
    """
    if header.coder == STORED:
        if header.presented and header.presented.coded_mode is None:
            stored = header.presented.read_stored(header.payload, header.width, header.height)
            return check_presented(header, header.presented, stored, [])
        return check_picture(header, read_stored(header))
    if header.width * header.height * PLANES_OF_MODE[header.mode] > MAX_SAMPLES:
        raise SpecError(f"more than {MAX_SAMPLES} samples, a limit of this decoder")
    if not header.reference:
        codebook = None
    return check_picture(header, decode_payload(header, codebook, previous))


def decode_payload(
    header: Header, codebook: Codebook | None, previous: list[list[list[int]]] | None = None
) -> list[list[list[int]]]:
    """Decode a payload that is not stored into component planes (2.4)."""
    height, width = header.height, header.width
    if header.coder == CONTEXT:
        priors = codebook.priors_for(header.mode) if codebook else {}
        return decode_context(header, priors, previous)
    if header.coder == SHAPES:
        return decode_shapes(header, codebook.parts if codebook else {})
    if header.coder == BILEVEL:
        bilevel_prior = codebook.bilevel_prior_for(height, width) if codebook else None
        return decode_bilevel_tiles(header, bilevel_prior)
    if header.coder == FEW_COLOUR:
        prior = codebook.few_colour_prior if codebook else None
        return decode_few_colour_tiles(header, prior)
    if header.coder == JPEG_PAST:
        planes = decode_jpeg_past(header, codebook)
    elif header.coder == TINY:
        if not codebook or (height, width) not in codebook.tiny_priors:
            raise SpecError("no codebook with a tiny prior for images of this size")
        planes = [decode_tiny(header.payload, codebook.tiny_priors[height, width])]
    else:
        planes = decode_reference(header, codebook.reference_parts if codebook else {})
    return planes


def decode_jpeg_past(header: Header, codebook: Codebook | None = None) -> list[list[list[int]]]:
    """Decode a payload of the coder of pictures that were JPEGs once (5J)."""
    colour = PLANES_OF_MODE[header.mode] == 3

    def decode_gray(payload: bytes, height: int, width: int) -> list[list[int]]:
        gray = Header(CONTEXT, 1, width, height, b"", 0, None, None, None, payload)
        return decode_context(gray, {}, None)[0]

    def decode_following(payload: bytes, before: list[list[list[int]]]) -> list[list[list[int]]]:
        following = replace(header, coder=CONTEXT, reference=b"", payload=payload)
        return decode_context(following, {}, before)

    return decode_jpeg(
        header.payload,
        header.height,
        header.width,
        colour,
        lambda luma, cb, cr: invert_lattice(luma, cb, cr, 0),
        decode_gray,
        decode_following,
        codebook.jpeg_priors.get(3 if colour else 1) if codebook else None,
    )


def decode_bilevel_tiles(header: Header, prior: BilevelPrior | None) -> list[list[list[int]]]:
    """Decode a payload of the bilevel coder (5D.1)."""
    file = ByteReader(header.payload)
    settings = read_settings(file, prior)
    return join_tiles(
        header,
        read_tiles_of(file, header, 1 << 24, 1 << 22),
        lambda tile: [
            decode_bilevel(
                tile.code, tile.right - tile.left, tile.bottom - tile.top, settings, prior
            )
        ],
    )


def decode_few_colour_tiles(header: Header, prior: FewColourPrior | None) -> list[list[list[int]]]:
    """Decode a payload of the few-colour coder (5E.1)."""
    planes = PLANES_OF_MODE[header.mode]
    return join_tiles(
        header,
        read_tiles_of(ByteReader(header.payload), header, 1 << 24, 1 << 22),
        lambda tile: decode_few_colour(
            tile.code,
            tile.right - tile.left,
            tile.bottom - tile.top,
            planes,
            header.palette if header.mode == PALETTE_MODE else None,
            prior,
        ),
    )
