"""Pictures whose JPEG decoder did not round the samples (SPEC 5J.9).

quantised coefficients -> samples with fractions -> the pixels that the decoder made of them; the
picture, retouched or not, follows those as a frame follows another -> bits, and back. Finding the
coefficients is in `jpeg_unrounded_recovery`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import coefficient_coder, container, context_coder
from .container import ByteReader, Header, write_varint
from .errors import CorruptStreamError, TruncatedStreamError
from .jpeg_emulation import BLOCK, FANCY
from .jpeg_pasts import read_past, write_past
from .kernels import unrounded_kernels as kernels
from .kernels.unrounded_kernels import EXACT, SCALED
from .quantiser_estimation import cosines
from .worker_threads import all_on_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .coefficient_prior import CoefficientPrior
    from .container import Payload
    from .jpeg_emulation import Coefficients, Past

EXTENSION = 2
"""The further byte of coder 7 (SPEC 2.4)."""

DECODERS = {EXACT: "exact", SCALED: "scaled"}
"""Names of the decoders, for reports."""

_SCALES = (16384, 22725, 21407, 19266, 16384, 12873, 8867, 4520)
"""Scale of each frequency of a dimension, in 16384ths (SPEC 5J.9)."""


@dataclass(frozen=True)
class Unrounded:
    """What was found of a picture whose decoder did not round the samples.

    Attributes
    ----------
    past : Past
        Of three components, none of them subsampled.
    decoder : int
        `EXACT` or `SCALED`.
    coefficients : list of ndarray, int16, (blocks down, blocks across, 64)
    trial_bytes : dict
        What `jpeg_past_coder.n_trial_bytes` found, by prior.
    """

    past: Past
    decoder: int
    coefficients: list[Coefficients]
    trial_bytes: dict[CoefficientPrior | None, int] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )


class _Parts(NamedTuple):
    """What a payload holds."""

    past: Past
    decoder: int
    code: bytes
    rest: bytes


def render(found: Unrounded, height: int, width: int) -> NDArray[np.uint8]:
    """Return the picture that the decoder makes of coefficients, (H, W, 3) (SPEC 5J.9)."""
    samples = []
    for blocks, table in zip(found.coefficients, found.past.tables, strict=True):
        plane = np.empty((blocks.shape[0] * BLOCK, blocks.shape[1] * BLOCK), np.int32)
        whole, steps = np.ascontiguousarray(blocks), np.array(table, np.int64)
        if found.decoder == EXACT:
            kernels.invert_exact_blocks(whole, steps, cosines(kernels.COSINE_BITS), plane)
        else:
            kernels.invert_scaled_blocks(whole, steps * _scales(), plane)
        samples.append(plane)
    picture: NDArray[np.uint8] = np.empty((height, width, 3), np.uint8)
    kernels.convert_unrounded(*samples, found.decoder, *found.past.phase, picture)
    return picture


@cache
def _scales() -> NDArray[np.int64]:
    """Return the scales of all 64 coefficients, in 4096ths and in fourths of a sample."""
    ones = np.array(_SCALES, np.int64)
    return ((ones[:, None] * ones[None, :] + (1 << 13)) >> 14).reshape(-1)


def write_payloads(
    picture: NDArray[Any],
    found: Unrounded,
    starts: Sequence[CoefficientPrior | None],
    effort: int,
) -> list[bytes]:
    """Return the payload of an (H, W, 3) picture from each start; none where it is too large.

    Inverse of `decode_payload` (SPEC 5J.9).
    """

    def code_rest() -> bytes | None:
        rendered = render(found, *picture.shape[:2])
        return context_coder.encode_payload(picture, _MODE, effort=effort, previous=rendered)

    def code_coefficients(prior: CoefficientPrior | None) -> bytes | None:
        past = found.past
        return coefficient_coder.encode_coefficients(
            found.coefficients, past.tables, past.all_sampling, prior
        )

    rest, *codes = all_on_threads(
        code_rest, *(partial(code_coefficients, start) for start in starts)
    )
    payloads = []
    for prior, code in zip(starts, codes, strict=True):
        if code is None or rest is None:
            return []
        head = bytes([EXTENSION, found.decoder])
        head += write_past(found.past, prior.tables if prior else ()) + write_varint(len(code))
        payloads.append(head + code + rest)
    return payloads


def decode_payload(
    payload: bytes,
    header: Header,
    prior: CoefficientPrior | None = None,
    allow_truncated: bool = False,
) -> tuple[NDArray[Any], bool]:
    """Return (picture, whether it is complete); inverse of `write_payloads` (SPEC 5J.9).

    Raises
    ------
    CorruptStreamError, TruncatedStreamError
        The latter not with `allow_truncated` where the coefficients are there: the picture is what
        the JPEG's decoder makes of them then.
    """
    parts = _read(payload, header, prior)
    rendered = _rendered(parts, header, prior)
    try:
        return _follow(parts, header, rendered), True
    except TruncatedStreamError:
        if not allow_truncated:
            raise
        return rendered, False


def describe_payload(
    payload: bytes, header: Header, prior: CoefficientPrior | None = None
) -> dict[str, Any]:
    """Return what a payload says of the JPEG, for reports; it is decoded."""
    parts = _read(payload, header, prior)
    rendered = _rendered(parts, header, prior)
    picture = _follow(parts, header, rendered)
    return {
        "past": parts.past,
        "decoder": DECODERS[parts.decoder],
        "exact_pixels": round(float((rendered == picture).all(axis=2).mean()), 4),
        "coefficient_bytes": len(parts.code),
        "remainder_bytes": len(parts.rest),
    }


_MODE = container.MODES[2]


def _read(payload: bytes, header: Header, prior: CoefficientPrior | None) -> _Parts:
    reader = ByteReader(payload, "payload")
    _, decoder = reader.take(2, "decoder of a JPEG past")
    if decoder not in DECODERS:
        raise CorruptStreamError(f"payload, byte 1: decoder {decoder}, expected 0 or 1")
    past = read_past(reader, header.mode.n_planes, prior.tables if prior else ())
    if past.n_components != 3 or past.sampling != (1, 1) or past.upsampling != FANCY:
        raise CorruptStreamError("payload: samples with fractions of a gray or subsampled picture")
    n_bytes = reader.varint("length of the coefficients", 1 << 40)
    left = len(payload) - reader.offset
    if n_bytes > left:
        raise TruncatedStreamError(
            f"payload: {left} bytes are left, expected {n_bytes} of coefficients"
        )
    code = reader.take(n_bytes, "coefficients")
    return _Parts(past, decoder, code, payload[reader.offset :])


def _rendered(parts: _Parts, header: Header, prior: CoefficientPrior | None) -> NDArray[np.uint8]:
    """Return what the JPEG's decoder makes of the coefficients."""
    past, (height, width) = parts.past, (header.height, header.width)
    shapes = [past.block_shape(index, height, width) for index in range(3)]
    coefficients = coefficient_coder.decode_coefficients(
        parts.code, shapes, past.tables, past.all_sampling, prior
    )
    return render(Unrounded(past, parts.decoder, coefficients), height, width)


def _follow(parts: _Parts, header: Header, rendered: NDArray[np.uint8]) -> NDArray[Any]:
    """Return the picture that follows the rendered one."""
    rest: Payload = parts.rest
    plain = Header(_MODE, header.width, header.height, container.CONTEXT, b"", 0)
    return context_coder.decode_payload(rest, plain, previous=rendered)[0]
