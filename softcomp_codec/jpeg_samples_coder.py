"""Pictures that were JPEGs once, as their samples before upsampling (SPEC 5J.8).

For those whose coefficients cannot be had: quantiser steps of 1, another decoder's transform, a
picture that was edited all over. pixels -> luma and chroma as the JPEG had them, each by the
context coder, and corrections of the pixels -> bits, and back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import container, context_coder
from .arithmetic import NEUTRAL_STATE
from .container import ByteReader, Header, write_varint
from .errors import CorruptStreamError, TruncatedStreamError
from .jpeg_emulation import BLOCK, FANCY, Past, bound_luma, convert_colours, upsample
from .kernels import correction_kernels, entropy_kernels, status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .jpeg_emulation import Component
    from .jpeg_recovery import Unsampled

EXTENSION = 1
"""The further byte of coder 7 (SPEC 2.4)."""

_GRAY = container.MODES[1]
_PIXELS_BIT = 8
_BUFFER_RESERVE = 1 << 17
_NO_TABLES = ((1,) * 64,) * 3


def encode_payload(picture: NDArray[Any], found: Unsampled, effort: int) -> bytes | None:
    """Return the payload of an (H, W, 3) picture, None where it would be larger than the samples.

    Inverse of `decode_payload` (SPEC 5J.8).
    """
    past, (height, width) = found.past, picture.shape[:2]
    chroma = [
        upsample(past, index, plane, height, width) for index, plane in enumerate(found.chroma, 1)
    ]
    luma = luma_wanted(picture, found.luma, *chroma)
    left = picture.astype(np.int16) - convert_colours(luma, *chroma)
    parts = [
        context_coder.encode_payload(plane.astype(np.uint8), _GRAY, effort=effort)
        for plane in (luma, *found.chroma)
    ]
    tail = _code_pixels(picture, left) if left.any() else b""
    if tail is None or any(part is None for part in parts):
        return None
    flags = 1 | (past.sampling[0] - 1) << 1 | (past.sampling[1] - 1) << 2
    flags |= (past.upsampling != FANCY) << 5
    head = bytes([EXTENSION, flags, *past.phase, _PIXELS_BIT if tail else 0])
    return head + b"".join(write_varint(len(part)) + part for part in parts if part) + tail


def decode_payload(payload: bytes, header: Header) -> NDArray[Any]:
    """Return the picture; inverse of `encode_payload` (SPEC 5J.8).

    Raises
    ------
    CorruptStreamError, TruncatedStreamError
    """
    past, corrected, parts, tail = _read(payload, header)
    height, width = header.height, header.width
    shown = []
    for index, part in enumerate(parts):
        rows, columns = _shape(past, index, height, width)
        plane, _ = context_coder.decode_payload(
            part, Header(_GRAY, columns, rows, container.CONTEXT, b"", 0)
        )
        plane = plane.astype(np.int32)
        shown.append(upsample(past, index, plane, height, width) if index else plane)
    picture = convert_colours(*shown)
    if not corrected:
        if tail:
            raise CorruptStreamError(f"payload: {len(tail)} bytes follow the samples")
        return picture
    return _correct_pixels(picture, tail)


def describe_payload(payload: bytes, header: Header) -> dict[str, Any]:
    """Return what a payload says of the JPEG, for reports."""
    past, _, parts, tail = _read(payload, header)
    return {
        "past": past,
        "sample_bytes": [len(part) for part in parts],
        "correction_bytes": len(tail),
    }


def _read(payload: bytes, header: Header) -> tuple[Past, bool, list[bytes], bytes]:
    """Return the past, whether pixels are corrected, the components' payloads and what follows."""
    reader = ByteReader(payload, "payload")
    _, flags, rows, columns, kinds = reader.take(5, "samples of a JPEG past")
    sampling = (1 + (flags >> 1 & 1), 1 + (flags >> 2 & 1))
    if header.mode.n_planes != 3 or flags & ~0x26 != 1 or sampling == (1, 1):
        raise CorruptStreamError(
            f"payload: flags {flags:#04x} of samples with {header.mode.n_planes} planes"
        )
    if rows >= sampling[0] or columns >= sampling[1]:
        raise CorruptStreamError(f"payload: phase {rows}, {columns} of samples")
    if kinds not in (0, _PIXELS_BIT):
        raise CorruptStreamError(f"payload: corrections {kinds:#x} of samples")
    past = Past(sampling, (rows, columns), (False, False), flags >> 5 & 1, _NO_TABLES)
    parts = []
    for index in range(3):
        n_bytes = reader.varint(f"length of component {index}", 1 << 40)
        if n_bytes > len(payload) - reader.offset:
            raise TruncatedStreamError(
                f"payload: {len(payload) - reader.offset} bytes are left, expected {n_bytes} of "
                f"component {index}"
            )
        parts.append(reader.take(n_bytes, f"component {index}"))
    return past, kinds != 0, parts, payload[reader.offset :]


def _shape(past: Past, index: int, height: int, width: int) -> tuple[int, int]:
    """Return rows and columns of a component: all of the chroma, of the luma what is shown."""
    return past.component_shape(index, height, width) if index else (height, width)


# Pixels


def luma_wanted(picture: NDArray[Any], luma: Component, cb: Component, cr: Component) -> Component:
    """Return the nearest luma that gives the pixels with this chroma, or nearly gives them."""
    return np.clip(luma, *bound_luma(picture, cb, cr))


def blocks_of(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return zeros for each square of 8 x 8."""
    return np.zeros((-(-shape[0] // BLOCK), -(-shape[1] // BLOCK)), np.uint8)


def blocks_with(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return which squares of 8 x 8 have any value but 0."""
    height, width = values.shape
    n_down, n_across = -(-height // BLOCK), -(-width // BLOCK)
    found = np.zeros((BLOCK * n_down, BLOCK * n_across), np.bool_)
    np.not_equal(values, 0, out=found[:height, :width])
    eights = found.view(np.uint64).reshape(n_down, BLOCK, n_across)
    squares: NDArray[np.uint8] = (np.bitwise_or.reduce(eights, axis=1) != 0).astype(np.uint8)
    return squares


def blocks_with_pixels(differences: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return which squares of 8 x 8 pixels have any difference in any of the three components."""
    return blocks_with(differences[:, :, 0] | differences[:, :, 1] | differences[:, :, 2])


def _code_pixels(picture: NDArray[Any], left: NDArray[np.int16]) -> bytes | None:
    """Return the code of the pixels' corrections, None where the samples are smaller."""
    data = np.empty(picture.size + _BUFFER_RESERVE, np.uint8)
    interval = np.array([0, 0xFFFFFFFF, 0, 0], np.int64)
    states = np.full(correction_kernels.N_PIXEL_STATES, NEUTRAL_STATE, np.uint32)
    result, _ = correction_kernels.code_pixels(
        (picture.astype(np.int16) - left).astype(np.uint8), left,
        blocks_with_pixels(left), states, interval, data, False,
    )  # fmt: skip
    if result != status.OK:
        return None
    end = entropy_kernels.finish_arithmetic(interval[:2].copy(), data, int(interval[3]))
    return data[: int(end)].tobytes()


def _correct_pixels(predicted: NDArray[Any], tail: bytes) -> NDArray[Any]:
    """Return the picture; inverse of `_code_pixels`."""
    data = np.frombuffer(bytearray(tail), np.uint8)
    start = int.from_bytes(tail[:4].ljust(4, b"\0"), "big")
    interval = np.array([0, 0xFFFFFFFF, start, 4], np.int64)
    states = np.full(correction_kernels.N_PIXEL_STATES, NEUTRAL_STATE, np.uint32)
    differences = np.zeros(predicted.shape, np.int16)
    result, row = correction_kernels.code_pixels(
        predicted, differences, blocks_of(predicted.shape), states, interval, data, True
    )
    if result != status.OK:
        raise TruncatedStreamError(
            f"payload, corrections of pixels, row {row}: the code ends too early"
        )
    end = int(entropy_kernels.end_of_arithmetic(interval[:2], int(interval[3])))
    if len(tail) < end:
        raise TruncatedStreamError(
            f"payload: {len(tail)} bytes of corrections, their code has {end}"
        )
    if len(tail) > end:
        raise CorruptStreamError(
            f"payload: {len(tail) - end} bytes follow the end of the corrections"
        )
    picture = predicted.astype(np.int16) + differences
    if picture.min() < 0 or picture.max() > 255:
        raise CorruptStreamError("payload: a corrected pixel is outside 0..255")
    return picture.astype(np.uint8)
