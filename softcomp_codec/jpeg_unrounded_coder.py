"""Pictures whose JPEG decoder did not round the samples (SPEC 5J.9).

quantised coefficients -> samples with fractions -> predicted pixels, and what those leave -> bits,
and back. Finding the coefficients is in `jpeg_unrounded_recovery`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import coefficient_coder
from .arithmetic import NEUTRAL_STATE
from .container import ByteReader, write_varint
from .errors import CorruptStreamError, TruncatedStreamError
from .jpeg_emulation import FANCY, invert_transform
from .jpeg_pasts import read_past, write_past
from .kernels import entropy_kernels, remainder_kernels, status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .coefficient_prior import CoefficientPrior
    from .container import Header
    from .jpeg_emulation import Coefficients, Component, Past
    from .jpeg_unrounded_recovery import Unrounded

EXTENSION = 2
"""The further byte of coder 7 (SPEC 2.4)."""

_BUFFER_RESERVE = 1 << 17


def write_payloads(
    picture: NDArray[Any], found: Unrounded, starts: Sequence[CoefficientPrior | None]
) -> list[bytes]:
    """Return the payload of an (H, W, 3) picture from each start; none where it is too large.

    Inverse of `decode_payload` (SPEC 5J.9).
    """
    past, coefficients = found.past, found.coefficients
    tail = _code_remainders(picture, past, coefficients)
    payloads = []
    for prior in starts:
        code = coefficient_coder.encode_coefficients(
            coefficients, past.tables, past.all_sampling, prior
        )
        if code is None or tail is None:
            return []
        head = bytes([EXTENSION]) + write_past(past, prior.tables if prior else ())
        payloads.append(head + write_varint(len(code)) + code + tail)
    return payloads


def decode_payload(
    payload: bytes, header: Header, prior: CoefficientPrior | None = None
) -> NDArray[Any]:
    """Return the picture; inverse of `write_payloads` (SPEC 5J.9).

    Raises
    ------
    CorruptStreamError, TruncatedStreamError
    """
    past, code, tail = _read(payload, header, prior)
    height, width = header.height, header.width
    shapes = [past.block_shape(index, height, width) for index in range(3)]
    coefficients = coefficient_coder.decode_coefficients(
        code, shapes, past.tables, past.all_sampling, prior
    )
    return _decode_remainders(tail, past, coefficients, height, width)


def describe_payload(
    payload: bytes, header: Header, prior: CoefficientPrior | None = None
) -> dict[str, Any]:
    """Return what a payload says of the JPEG, for reports."""
    past, code, tail = _read(payload, header, prior)
    return {"past": past, "coefficient_bytes": len(code), "remainder_bytes": len(tail)}


def _read(
    payload: bytes, header: Header, prior: CoefficientPrior | None
) -> tuple[Past, bytes, bytes]:
    """Return the past, the coefficients' code and the remainders'."""
    reader = ByteReader(payload, "payload")
    reader.take(1, "coder")
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
    return past, code, payload[reader.offset :]


def _samples(
    past: Past, coefficients: Sequence[Coefficients], height: int, width: int
) -> list[Component]:
    """Return the components' samples in 64ths (SPEC 5J.3)."""
    shape = past.component_shape(0, height, width)
    # whole components are contiguous, of cut ones the kernel would be compiled once more
    return [
        np.ascontiguousarray(invert_transform(blocks, table, shape))
        for blocks, table in zip(coefficients, past.tables, strict=True)
    ]


def _states() -> NDArray[np.uint32]:
    return np.full(remainder_kernels.N_REMAINDER_STATES, NEUTRAL_STATE, np.uint32)


def _code_remainders(
    picture: NDArray[Any], past: Past, coefficients: Sequence[Coefficients]
) -> bytes | None:
    """Return the remainders' code, None where it is larger than the samples."""
    samples = _samples(past, coefficients, *picture.shape[:2])
    row_reserve = remainder_kernels.WORST_BYTES * picture.shape[1]
    data = np.empty(picture.size + row_reserve + _BUFFER_RESERVE, np.uint8)
    interval = np.array([0, 0xFFFFFFFF, 0, 0], np.int64)
    result, _ = remainder_kernels.code_remainders(
        *samples, *past.phase, picture.copy(), _states(), interval, data, False
    )
    if result != status.OK:
        return None
    end = entropy_kernels.finish_arithmetic(interval[:2].copy(), data, int(interval[3]))
    return data[: int(end)].tobytes()


def _decode_remainders(
    tail: bytes, past: Past, coefficients: Sequence[Coefficients], height: int, width: int
) -> NDArray[Any]:
    """Return the picture; inverse of `_code_remainders`."""
    samples = _samples(past, coefficients, height, width)
    data = np.frombuffer(bytearray(tail), np.uint8)
    start = int.from_bytes(tail[:4].ljust(4, b"\0"), "big")
    interval = np.array([0, 0xFFFFFFFF, start, 4], np.int64)
    picture = np.zeros((height, width, 3), np.uint8)
    result, row = remainder_kernels.code_remainders(
        *samples, *past.phase, picture, _states(), interval, data, True
    )
    n_read = int(interval[3])
    end = int(entropy_kernels.end_of_arithmetic(interval[:2], n_read))
    # whatever zeros behind the end decode to tells nothing but that the end is missing
    if result == status.TRUNCATED or len(tail) < (end if result == status.OK else n_read):
        raise TruncatedStreamError(f"payload, remainders, row {row}: the code ends too early")
    if result != status.OK:
        raise CorruptStreamError(f"payload, remainders, row {row}: a pixel is outside 0..255")
    if len(tail) > end:
        raise CorruptStreamError(
            f"payload: {len(tail) - end} bytes follow the end of the remainders"
        )
    return picture
