"""The coders of samples, each with what it takes of a codebook: the registry of SPEC 2.4.

Encoder, decoder and the choice between coders know them by this table alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from . import (
    bilevel_coder,
    container,
    context_coder,
    few_colour_coder,
    jpeg_past_coder,
    reference_coder,
    shapes_coder,
    tiny_coder,
)
from .codebook import reference_part_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .codebook import Codebook
    from .container import Header, Mode, Payload
    from .context_coder import Priors
    from .jpeg_past_coder import Found
    from .palettes import Palette
    from .tiles import Box, Tile

    Prior = Any
    """What a coder takes of a codebook; only the coder itself knows more."""

    Encoded = tuple[bytes, bool]
    """A payload, and whether it needs the codebook."""

MAX_UNTILED_PIXELS = 1 << 28
MAX_UNTILED_BYTES = 1 << 30
"""Largest picture, and its largest canonical samples, that coders without tiles code; this
program's limits."""

TINY_PIXELS = 1 << 14
"""Images of up to so many pixels are coded in several ways."""

GOOD_SHARE = 4
"""A prior that makes a tiny bilevel image so many times smaller needs no comparison."""

PRIOR_EFFORT = 5
"""The effort whose contexts every prior knows; in tiny images more contexts may cost more bits."""

PRIOR_PIXELS = 1 << 18
"""In images of up to so many pixels they may do so beside a prior that has no weights for them."""


class Picture(NamedTuple):
    """What is coded.

    Attributes
    ----------
    array : ndarray
        Samples, as `mode` says; indices of a palette image.
    mode : Mode
    palette : Palette or None
    recovered : Found, None or "unknown"
        The coefficients of a picture that was a JPEG once, None of others, where that is known.
    """

    array: NDArray[Any]
    mode: Mode
    palette: Palette | None = None
    recovered: Found | Literal["unknown"] | None = "unknown"

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.array.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.array.shape[1])

    @property
    def n_pixels(self) -> int:
        """Pixels."""
        return self.height * self.width

    @property
    def raw_size(self) -> int:
        """Bytes of its canonical samples."""
        return self.mode.raw_size(self.width, self.height)


@dataclass(frozen=True)
class Coder:
    """One coder.

    Attributes
    ----------
    identifier : int
        Its number in files.
    prior : callable
        (codebook, mode, height, width) to what the codebook has for such images; None, or empty,
        where it has nothing.
    encode : callable
        (picture, effort, prior) to the payload and whether it needs the codebook, None where the
        samples are smaller.
    decode : callable
        (payload, header, prior, allow_truncated) to the array and whether it is complete.
    needs_codebook : bool
        Whether it codes nothing without.
    needs_prior : bool
        Whether a codebook without a prior is an error while decoding; otherwise the coder starts
        as without one.
    trial_side : int
        In larger images the middle of this size tells whether the codebook pays; 0: they are coded
        both ways.
    grid : callable, optional
        (height, width) to the tiles of an image: `decode` takes a part of a file, too, and as
        ``box`` the part of the image to decode. Coders without tiles code no images beyond
        `MAX_UNTILED_PIXELS` and `MAX_UNTILED_BYTES`.
    suits : callable, optional
        (picture, payload) to whether a payload that a prior gave is so small that a tiny image need
        not be coded in other ways.
    """

    identifier: int
    prior: Callable[[Codebook, Mode, int, int], Prior]
    encode: Callable[[Picture, int, Prior], Encoded | None]
    decode: Callable[..., tuple[NDArray[Any], bool]]
    needs_codebook: bool = False
    needs_prior: bool = True
    trial_side: int = 0
    grid: Callable[[int, int], list[Tile]] | None = None
    suits: Callable[[Picture, bytes], bool] | None = None

    @property
    def name(self) -> str:
        """Its name in messages."""
        return container.CODER_NAMES[self.identifier]

    def holds(self, n_pixels: int, raw_size: int) -> bool:
        """Whether it codes images so large."""
        small = n_pixels <= MAX_UNTILED_PIXELS and raw_size <= MAX_UNTILED_BYTES
        return self.grid is not None or small

    def codes(self, mode: Mode) -> bool:
        """Whether it codes images of a mode."""
        return container.codes_mode(self.identifier, mode)


def _shapes_prior(book: Codebook, mode: Mode, _height: int, _width: int) -> Prior:
    return book if mode.kind in book.parts else None


def _encode_shapes(picture: Picture, effort: int, prior: Prior) -> Encoded | None:
    return shapes_coder.encode_payload(
        picture.array, picture.mode, prior, effort=effort
    ), prior is not None


def _decode_shapes(
    payload: bytes, header: Header, prior: Prior, allow_truncated: bool
) -> tuple[NDArray[Any], bool]:
    return shapes_coder.decode_payload(payload, header, prior, allow_truncated)


def _context_prior(book: Codebook, mode: Mode, _height: int, _width: int) -> Prior:
    return book.context_priors(mode)


def _knows_weights(priors: Priors, effort: int) -> bool:
    """Whether priors, if there are any, have the weights of an effort above `PRIOR_EFFORT`."""
    return not priors or (effort == 9 and all(each.has_full_weights for each in priors.values()))


def _encode_context(picture: Picture, effort: int, prior: Prior) -> Encoded | None:
    limit = TINY_PIXELS if _knows_weights(prior or {}, effort) else PRIOR_PIXELS
    fewer = effort > PRIOR_EFFORT and picture.n_pixels <= limit
    efforts = {effort, PRIOR_EFFORT} if fewer else {effort}
    tried = [
        context_coder.encode_payload(picture.array, picture.mode, effort=e, priors=prior)
        for e in efforts
    ]
    payload = min((each for each in tried if each is not None), key=len, default=None)
    if payload is None:
        return None
    return payload, context_coder.transform_of(payload) in (prior or {})


def _decode_context(
    payload: Payload,
    header: Header,
    prior: Prior,
    allow_truncated: bool,
    box: Box | None = None,
    previous: NDArray[Any] | None = None,
) -> tuple[NDArray[Any], bool]:
    return context_coder.decode_payload(
        payload, header, allow_truncated, prior, box=box, previous=previous
    )


def _bilevel_prior(book: Codebook, mode: Mode, height: int, width: int) -> Prior:
    return book.bilevel_prior(height, width) if mode.bits_per_sample == 1 else None


def _encode_bilevel(picture: Picture, effort: int, prior: Prior) -> Encoded | None:
    payload = bilevel_coder.encode_payload(picture.array, effort=effort, prior=prior)
    return None if payload is None else (payload, prior is not None)


def _suits_bilevel(picture: Picture, payload: bytes) -> bool:
    return 8 * GOOD_SHARE * len(payload) <= picture.n_pixels


def _decode_bilevel(
    payload: Payload, header: Header, prior: Prior, allow_truncated: bool, box: Box | None = None
) -> tuple[NDArray[Any], bool]:
    return bilevel_coder.decode_payload(payload, header, allow_truncated, prior, box)


def _tiny_prior(book: Codebook, mode: Mode, height: int, width: int) -> Prior:
    return book.tiny_prior(mode, height, width)


def _encode_tiny(picture: Picture, _effort: int, prior: Prior) -> Encoded | None:
    payload = tiny_coder.encode_payload(picture.array, prior)
    return None if payload is None else (payload, True)


def _suits_tiny(picture: Picture, payload: bytes) -> bool:
    return tiny_coder.suits(picture.array, payload)


def _decode_tiny(
    payload: bytes, header: Header, prior: Prior, allow_truncated: bool
) -> tuple[NDArray[Any], bool]:
    return tiny_coder.decode_payload(payload, header, prior, allow_truncated)


def _few_colour_prior(book: Codebook, mode: Mode, _height: int, _width: int) -> Prior:
    return book.few_colour if mode.bits_per_sample == 8 else None


def _encode_few_colours(picture: Picture, effort: int, prior: Prior) -> Encoded | None:
    array, mode, palette = picture[:3]
    payload = few_colour_coder.encode_payload(
        array, mode, effort=effort, palette=palette, prior=prior
    )
    return None if payload is None else (payload, prior is not None)


def _decode_few_colours(
    payload: Payload, header: Header, prior: Prior, allow_truncated: bool, box: Box | None = None
) -> tuple[NDArray[Any], bool]:
    return few_colour_coder.decode_payload(payload, header, allow_truncated, prior, box)


def _reference_prior(book: Codebook, mode: Mode, _height: int, _width: int) -> Prior:
    return reference_part_for(book, mode)


def _encode_reference(picture: Picture, _effort: int, prior: Prior) -> Encoded:
    return reference_coder.encode_payload(picture.array, picture.mode, prior), True


def _decode_reference(
    payload: bytes, header: Header, prior: Prior, allow_truncated: bool
) -> tuple[NDArray[Any], bool]:
    return reference_coder.decode_payload(payload, header, prior, allow_truncated)


def _jpeg_past_prior(book: Codebook, mode: Mode, _height: int, _width: int) -> Prior:
    return book.jpeg_past_prior(mode)


def with_past(picture: Picture, effort: int) -> Picture:
    """Return the picture with what is found of its JPEG past, which is looked for once."""
    if picture.recovered != "unknown":
        return picture
    found = jpeg_past_coder.recover_past(picture.array, picture.mode, effort)
    return picture._replace(recovered=found)


def _encode_jpeg_past(picture: Picture, effort: int, prior: Prior) -> Encoded | None:
    recovered: Any = with_past(picture, effort).recovered
    if recovered is None:
        return None
    return jpeg_past_coder.encode_smallest(
        picture.array, picture.mode, recovered, prior, effort=effort
    )


def _decode_jpeg_past(
    payload: bytes, header: Header, prior: Prior, allow_truncated: bool
) -> tuple[NDArray[Any], bool]:
    return jpeg_past_coder.decode_payload(payload, header, allow_truncated, prior)


SHAPES = Coder(container.SHAPES, _shapes_prior, _encode_shapes, _decode_shapes)
CONTEXT = Coder(
    container.CONTEXT, _context_prior, _encode_context, _decode_context, needs_prior=False,
    trial_side=160, grid=context_coder.tile_grid,
)  # fmt: skip
BILEVEL = Coder(
    container.BILEVEL, _bilevel_prior, _encode_bilevel, _decode_bilevel, trial_side=384,
    grid=bilevel_coder.tile_grid, suits=_suits_bilevel,
)  # fmt: skip
FEW_COLOUR = Coder(
    container.FEW_COLOUR, _few_colour_prior, _encode_few_colours, _decode_few_colours,
    needs_prior=False, grid=few_colour_coder.tile_grid,
)  # fmt: skip
REFERENCE = Coder(
    container.REFERENCE, _reference_prior, _encode_reference, _decode_reference, needs_codebook=True
)

TINY = Coder(
    container.TINY, _tiny_prior, _encode_tiny, _decode_tiny, needs_codebook=True,
    suits=_suits_tiny,
)  # fmt: skip

JPEG_PAST = Coder(
    container.JPEG_PAST, _jpeg_past_prior, _encode_jpeg_past, _decode_jpeg_past, needs_prior=False
)

CODERS = {
    coder.identifier: coder
    for coder in (SHAPES, CONTEXT, BILEVEL, FEW_COLOUR, REFERENCE, TINY, JPEG_PAST)
}
"""All that code samples; `stored` has nothing to code."""
