"""The coder of pictures that were JPEGs once: coefficients, and what they leave (SPEC 5J).

pixels -> quantised coefficients, the samples and pixels that libjpeg makes of them, corrections of
both -> bits, and back. Finding the coefficients is in `jpeg_recovery`; any found ones decode to
the exact picture, good ones to small files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from . import coefficient_coder, jpeg_samples_coder, jpeg_unrounded_coder, quantiser_tables
from .arithmetic import NEUTRAL_STATE
from .container import ByteReader, write_varint
from .errors import CorruptStreamError, TruncatedStreamError
from .jpeg_emulation import (
    FANCY,
    convert_colours,
    invert_transform,
    round_samples,
    upsample,
)
from .jpeg_pasts import read_past, write_past
from .jpeg_samples_coder import blocks_of, blocks_with, blocks_with_pixels, luma_wanted
from .kernels import correction_kernels, entropy_kernels, estimation_kernels, status
from .worker_threads import all_on_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .coefficient_prior import CoefficientPrior
    from .container import Header, Mode
    from .jpeg_emulation import Component, Past
    from .jpeg_recovery import Recovered, Unsampled
    from .jpeg_unrounded_coder import Unrounded

    Found = Recovered | Unsampled | Unrounded
    """What is found of a JPEG past."""

SMALLEST_SIDE = 16
SMALLEST_PIXELS = 1 << 12
"""Smaller pictures tell too little of their past."""

LARGEST_PIXELS = 1 << 24
"""The search takes some 60 bytes a pixel."""

FAR_SMALLER, FAR_SMALLER_THAN_FLAT = 60, 20
"""Percent of the estimate of `most_bytes_of_far_smaller` below which nothing else is as small; of
pictures most of whose samples lie in flat parts, such as charts."""

FLAT_SHARE = 55
"""Percent of the samples that make a picture such a one."""

TRIAL_BLOCKS = 400
"""Luma blocks on which priors are compared."""

LARGE_TRIAL, CLEAR_SHARE = 8, 20
"""A picture of so many times these blocks, of which a prior saves one byte in so many, is not coded
without the prior as well."""

REFERENCE_BYTES = 24
"""What naming a codebook costs a file, or a little more."""

EXTENSION = 0
"""The further byte of coder 7 (SPEC 2.4)."""

_NAMES = {(1, 1): "4:4:4", (1, 2): "4:2:2", (2, 2): "4:2:0", (2, 1): "4:4:0"}

_PIXELS_BIT = 8
_BUFFER_RESERVE = 1 << 17


@dataclass(frozen=True)
class Corrections:
    """What coefficients leave of a picture (SPEC 5J.5).

    Attributes
    ----------
    samples : list of ndarray, int32
        Of each component's samples.
    pixels : ndarray, int16, (H, W, 3), or None
        Of the pixels of colour pictures.
    """

    samples: list[Component]
    pixels: NDArray[np.int16] | None


def may_win(height: int, width: int) -> bool:
    """Whether a picture of this size may tell whether it was a JPEG."""
    large_enough = min(height, width) >= SMALLEST_SIDE
    return large_enough and SMALLEST_PIXELS <= height * width <= LARGEST_PIXELS


def most_bytes_of_far_smaller(array: NDArray[Any], mode: Mode) -> int:
    """Return up to how many bytes of a payload no coder of pixels can come near it.

    By an estimate from some of the rows: what MED's residuals in YCbCr take by their own
    statistics. Coders of pixels take at least a given part of that, which is less where a picture
    is mostly flat (DECISIONS).
    """
    picture = np.ascontiguousarray(array).reshape(*array.shape[:2], mode.n_planes)
    shape = mode.n_planes, estimation_kernels.N_LEVELS, estimation_kernels.N_RESIDUALS
    counts = np.zeros(shape, np.int64)
    n_bits = int(estimation_kernels.simple_bits(picture, counts))
    is_flat = 100 * int(counts[:, 0].sum()) > FLAT_SHARE * int(counts.sum())
    percent = FAR_SMALLER_THAN_FLAT if is_flat else FAR_SMALLER
    return percent * n_bits // (8 * 256 * 100)


def find_past(array: NDArray[Any], mode: Mode) -> Past | None:
    """Return what JPEG a picture seems to have been decoded from, without its coefficients."""
    from . import jpeg_recovery, jpeg_unrounded_recovery  # decoding does without

    picture = _as_components(array, mode)
    if not may_win(*picture.shape[:2]):
        return None
    past = jpeg_recovery.find_past(picture)
    if past is None and (unrounded := jpeg_unrounded_recovery.recover(picture)) is not None:
        return unrounded.past
    return past


def recover_past(array: NDArray[Any], mode: Mode, effort: int) -> Found | None:
    """Return the coefficients of a picture that was a JPEG once, None of others.

    Where coefficients cannot be had, the samples before upsampling.
    """
    from . import jpeg_recovery, jpeg_unrounded_recovery

    picture = _as_components(array, mode)
    if not may_win(*picture.shape[:2]):
        return None
    return jpeg_recovery.recover(picture, effort) or jpeg_unrounded_recovery.recover(picture)


def has_coefficients(found: Found) -> TypeGuard[Recovered | Unrounded]:
    """Whether coefficients were found."""
    from .jpeg_recovery import Unsampled

    return not isinstance(found, Unsampled)


def encode_payload(
    array: NDArray[Any], mode: Mode, *, effort: int = 5, prior: CoefficientPrior | None = None
) -> bytes | None:
    """Return the payload of a picture (SPEC 5J); inverse of `decode_payload`.

    None where no JPEG past was found.
    """
    recovered = recover_past(array, mode, effort)
    if recovered is None:
        return None
    coded = encode_smallest(array, mode, recovered, prior, effort=effort, or_without=False)
    return None if coded is None else coded[0]


def encode_smallest(
    array: NDArray[Any],
    mode: Mode,
    recovered: Found,
    prior: CoefficientPrior | None,
    *,
    effort: int,
    or_without: bool = True,
) -> tuple[bytes, bool] | None:
    """Return the payload and whether it needs the prior, which is used where it pays.

    It is used in any case where it shall not be coded without (`or_without`), and where a part of a
    large picture tells that it pays.
    """
    from .jpeg_recovery import Recovered, Unsampled

    picture = _as_components(array, mode)
    if isinstance(recovered, Unsampled):
        payload = jpeg_samples_coder.encode_payload(picture, recovered, effort)
        return None if payload is None else (payload, False)
    starts = [prior]
    if prior is not None and or_without and not _pays_clearly(recovered, prior):
        starts.append(None)
    if isinstance(recovered, Recovered):
        payloads = _write_payloads(picture, recovered, starts)
    else:
        payloads = jpeg_unrounded_coder.write_payloads(picture, recovered, starts, effort)
    sizes = [
        len(payload) + (REFERENCE_BYTES if start else 0)
        for payload, start in zip(payloads, starts, strict=False)
    ]
    if not sizes:
        return None
    best = sizes.index(min(sizes))
    return payloads[best], starts[best] is not None


def _pays_clearly(recovered: Recovered | Unrounded, prior: CoefficientPrior) -> bool:
    """Whether the middle of a large picture becomes so much smaller that the whole must, too."""
    luma = recovered.coefficients[0]
    if luma.shape[0] * luma.shape[1] < LARGE_TRIAL * TRIAL_BLOCKS:
        return False
    without = n_trial_bytes(recovered, None)
    return CLEAR_SHARE * (without - n_trial_bytes(recovered, prior)) >= without


def _as_components(array: NDArray[Any], mode: Mode) -> NDArray[Any]:
    picture = np.ascontiguousarray(array)
    return picture.reshape(array.shape[:2]) if mode.n_planes == 1 else picture


def write_payload(
    picture: NDArray[Any], recovered: Recovered, prior: CoefficientPrior | None = None
) -> bytes | None:
    """Return the payload of a picture with its coefficients; None where corrections fill it."""
    return next(iter(_write_payloads(picture, recovered, [prior])), None)


def _write_payloads(
    picture: NDArray[Any], recovered: Recovered, starts: Sequence[CoefficientPrior | None]
) -> list[bytes]:
    """Return the payload from each start; none where corrections fill it."""
    height, width = picture.shape[:2]
    past, coefficients = recovered.past, recovered.coefficients
    fine = [
        invert_transform(blocks, table, past.component_shape(index, height, width))
        for index, (blocks, table) in enumerate(zip(coefficients, past.tables, strict=True))
    ]

    def code_corrections() -> tuple[int, bytes | None]:
        corrections = find_corrections(picture, past, fine, recovered.boxes)
        return _code_corrections(past, fine, corrections, picture)

    def code_coefficients(prior: CoefficientPrior | None) -> bytes | None:
        return coefficient_coder.encode_coefficients(
            coefficients, past.tables, past.all_sampling, prior
        )

    *codes, (kinds, tail) = all_on_threads(
        *(partial(code_coefficients, prior) for prior in starts), code_corrections
    )
    payloads = []
    for prior, code in zip(starts, codes, strict=True):
        if code is None or tail is None:
            return []
        known = prior.tables if prior else ()
        head = bytes([EXTENSION]) + write_past(past, known) + bytes([kinds])
        payloads.append(head + (write_varint(len(code)) if kinds else b"") + code + tail)
    return payloads


def n_trial_bytes(recovered: Recovered | Unrounded, prior: CoefficientPrior | None) -> int:
    """Return the bytes of some rows of blocks in the middle: quick, to compare priors."""
    if prior in recovered.trial_bytes:
        return recovered.trial_bytes[prior]
    past, luma = recovered.past, recovered.coefficients[0]
    n_rows = min(max(2, TRIAL_BLOCKS // luma.shape[1]), luma.shape[0])
    top = (luma.shape[0] - n_rows) // 2 & ~1
    rows = []
    for blocks, (down, _) in zip(recovered.coefficients, past.all_sampling, strict=True):
        first = min(top // down, blocks.shape[0] - 1)
        rows.append(blocks[first : first + -(-n_rows // down)])
    code = coefficient_coder.encode_coefficients(rows, past.tables, past.all_sampling, prior)
    n_bytes = sum(each.nbytes for each in rows) if code is None else len(code)
    recovered.trial_bytes[prior] = n_bytes
    return n_bytes


def decode_payload(
    payload: bytes,
    header: Header,
    allow_truncated: bool = False,
    prior: CoefficientPrior | None = None,
) -> tuple[NDArray[Any], bool]:
    """Return (array, whether it is complete); inverse of `encode_payload` (SPEC 5J).

    Raises
    ------
    CorruptStreamError, TruncatedStreamError
        The latter not with `allow_truncated`: the picture is black then, or what the JPEG's decoder
        makes of the coefficients where they are there.
    """
    is_complete = True
    try:
        if payload[:1] == bytes([jpeg_unrounded_coder.EXTENSION]):
            picture, is_complete = jpeg_unrounded_coder.decode_payload(
                payload, header, prior, allow_truncated
            )
        else:
            picture = _decode(payload, header, prior)
    except TruncatedStreamError:
        if not allow_truncated:
            raise
        return np.zeros(header.shape, np.uint8), False
    return picture.reshape(header.shape), is_complete


def describe_payload(
    payload: bytes, header: Header, prior: CoefficientPrior | None = None
) -> dict[str, Any]:
    """Return what a payload says of the JPEG, for reports; it is decoded.

    Raises
    ------
    CorruptStreamError, TruncatedStreamError
        As `decode_payload`.
    """
    if payload[:1] == bytes([jpeg_samples_coder.EXTENSION]):
        said = jpeg_samples_coder.describe_payload(payload, header)
        past = said.pop("past")
        repeated = past.upsampling != FANCY
        return {"subsampling": _NAMES[past.sampling], "repeated_samples": repeated, **said}
    if payload[:1] == bytes([jpeg_unrounded_coder.EXTENSION]):
        said = jpeg_unrounded_coder.describe_payload(payload, header, prior)
        return {**_said_of(said.pop("past"), prior), **said}
    codes, n_coefficients = _read_codes(payload, header, prior)
    codes.decode()
    return {
        **_said_of(codes.past, prior),
        "exact_blocks": [round(share, 4) for share in codes.exact_blocks],
        "exact_pixels": round(codes.exact_pixels, 4),
        "coefficient_bytes": n_coefficients,
        "correction_bytes": len(codes.data),
    }


def _said_of(past: Past, prior: CoefficientPrior | None) -> dict[str, Any]:
    """Return what is said of where the picture lies in the JPEG."""
    kinds = [quantiser_tables.LUMA, quantiser_tables.CHROMA, quantiser_tables.CHROMA]
    return {
        "subsampling": _NAMES[past.sampling] if past.n_components == 3 else "gray",
        "repeated_samples": past.upsampling != FANCY and past.sampling != (1, 1),
        "grid": {"rows": past.phase[0], "columns": past.phase[1]},
        "qualities": [quantiser_tables.quality_of(table) for table in past.tables],
        "nearest_qualities": [
            quantiser_tables.nearest_quality(table, kind)
            for table, kind in zip(past.tables, kinds, strict=False)
        ],
        "tables": [list(table) for table in past.tables],
        "prior": prior is not None,
    }


def _open(payload: bytes) -> ByteReader:
    reader = ByteReader(payload, "payload")
    if (number := reader.take(1, "coder")[0]) != EXTENSION:
        raise CorruptStreamError(
            f"payload, byte 0: coder 7 with number {number}, expected 0, 1 or 2"
        )
    return reader


def _decode(payload: bytes, header: Header, prior: CoefficientPrior | None) -> NDArray[Any]:
    if payload[:1] == bytes([jpeg_samples_coder.EXTENSION]):
        return jpeg_samples_coder.decode_payload(payload, header)
    return _read_codes(payload, header, prior)[0].decode()


def _read_codes(
    payload: bytes, header: Header, prior: CoefficientPrior | None
) -> tuple[_Codes, int]:
    """Return what the coefficients give, with the corrections' code, and the bytes of theirs."""
    reader = _open(payload)
    past = read_past(reader, header.mode.n_planes, prior.tables if prior else ())
    height, width = header.height, header.width
    kinds = reader.take(1, "corrections")[0]
    if kinds >= 2 * _PIXELS_BIT or (past.n_components == 1 and kinds > 1):
        raise CorruptStreamError(f"payload: corrections {kinds:#x} of {past.n_components} planes")
    left = len(payload) - reader.offset
    if kinds:
        n_bytes = reader.varint("length of the coefficients", 1 << 40)
        left = len(payload) - reader.offset
        if n_bytes > left:
            raise TruncatedStreamError(
                f"payload: {left} bytes are left, expected {n_bytes} of coefficients"
            )
    else:
        n_bytes = left
    code = reader.take(n_bytes, "coefficients")
    shapes = [past.block_shape(index, height, width) for index in range(past.n_components)]
    coefficients = coefficient_coder.decode_coefficients(
        code, shapes, past.tables, past.all_sampling, prior
    )
    fine = [
        invert_transform(blocks, table, past.component_shape(index, height, width))
        for index, (blocks, table) in enumerate(zip(coefficients, past.tables, strict=True))
    ]
    data = np.frombuffer(bytearray(payload[reader.offset :]), np.uint8)
    return _Codes(past, fine, kinds, data, height, width), n_bytes


# What coefficients leave


def find_corrections(
    picture: NDArray[Any],
    past: Past,
    fine: Sequence[Component],
    boxes: Sequence[tuple[Component, Component]],
) -> Corrections:
    """Return corrections that make the picture exact; few where the boxes hold (SPEC 5J.5)."""
    height, width = picture.shape[:2]
    rounded = [round_samples(each, np.zeros_like(each)) for each in fine]
    samples = [np.zeros_like(each) for each in fine]
    for index in range(1, past.n_components):
        lowest, highest = (each.astype(np.int32) for each in boxes[index])
        wanted = np.minimum(np.maximum(rounded[index], lowest), highest)
        samples[index] = np.where(lowest <= highest, wanted - rounded[index], 0)
    if past.n_components == 1:
        wanted = picture.astype(np.int32)
    else:
        chroma = [
            upsample(past, index, rounded[index] + samples[index], height, width)
            for index in (1, 2)
        ]
        wanted = luma_wanted(picture, _visible(rounded[0], past, height, width), *chroma)
    seen = _visible(samples[0], past, height, width)
    seen[:] = wanted - _visible(rounded[0], past, height, width)
    if past.n_components == 1:
        return Corrections(samples, None)
    predicted = convert_colours(wanted, *chroma)
    return Corrections(samples, picture.astype(np.int16) - predicted)


def _visible(plane: Component, past: Past, height: int, width: int) -> Component:
    """Return the part of the luma that the picture shows."""
    top, left = past.phase
    return plane[top : top + height, left : left + width]


# The codes


class _Codes:
    """The arithmetic code of all corrections, read in the order in which they are needed.

    Attributes
    ----------
    past : Past
    data : ndarray, uint8
        The code.
    exact_blocks : list of float
        Share of each component's blocks without corrections, once decoded.
    exact_pixels : float
        Share of the pixels without, once decoded.
    """

    def __init__(
        self,
        past: Past,
        fine: Sequence[Component],
        kinds: int,
        data: NDArray[np.uint8],
        height: int,
        width: int,
    ) -> None:
        self.past, self.data = past, data
        self.exact_blocks: list[float] = []
        self.exact_pixels = 1.0
        self._fine, self._kinds, self._size = fine, kinds, (height, width)
        code = int.from_bytes(data[:4].tobytes().ljust(4, b"\0"), "big")
        self._interval = np.array([0, 0xFFFFFFFF, code, 4], np.int64)

    def decode(self) -> NDArray[Any]:
        """Return the picture."""
        past, (height, width) = self.past, self._size
        beside: NDArray[np.uint8] | None = None
        shown = []
        for index, fine in enumerate(self._fine):
            corrections = np.zeros_like(fine)
            dirty = blocks_of(fine.shape)
            if self._kinds >> index & 1:
                states = np.full(correction_kernels.N_COMPONENT_STATES, NEUTRAL_STATE, np.uint32)
                result, row = correction_kernels.code_component(
                    fine, corrections, dirty, _same_blocks(dirty, beside), states, self._interval,
                    self.data, True,
                )  # fmt: skip
                self._check(result, f"component {index}, row {row}")
            beside = dirty
            self.exact_blocks.append(1 - float(dirty.mean()))
            plane = round_samples(fine, corrections)
            shown.append(upsample(past, index, plane, height, width))
        if past.n_components == 1:
            self._check_end()
            return shown[0].astype(np.uint8)
        picture = convert_colours(*shown).astype(np.int16)
        if self._kinds & _PIXELS_BIT:
            differences = np.zeros(picture.shape, np.int16)
            states = np.full(correction_kernels.N_PIXEL_STATES, NEUTRAL_STATE, np.uint32)
            result, row = correction_kernels.code_pixels(
                picture.astype(np.uint8), differences, blocks_of(picture.shape), states,
                self._interval, self.data, True,
            )  # fmt: skip
            self._check(result, f"pixels, row {row}")
            picture += differences
            self.exact_pixels = 1 - float((differences != 0).any(axis=2).mean())
            if picture.min() < 0 or picture.max() > 255:
                raise CorruptStreamError("payload: a corrected pixel is outside 0..255")
        self._check_end()
        return picture.astype(np.uint8)

    def _check(self, result: int, where: str) -> None:
        if result != status.OK:
            raise TruncatedStreamError(f"payload, corrections of {where}: the code ends too early")

    def _check_end(self) -> None:
        if not self._kinds:
            return
        end = int(entropy_kernels.end_of_arithmetic(self._interval[:2], int(self._interval[3])))
        if len(self.data) < end:
            raise TruncatedStreamError(
                f"payload: {len(self.data)} bytes of corrections, their code has {end}"
            )
        if len(self.data) > end:
            raise CorruptStreamError(
                f"payload: {len(self.data) - end} bytes follow the end of the corrections"
            )


def _code_corrections(
    past: Past, fine: Sequence[Component], corrections: Corrections, picture: NDArray[Any]
) -> tuple[int, bytes | None]:
    """Return which corrections there are, and their code; None where the samples are smaller."""
    kinds = 0
    data = np.empty(picture.size + _BUFFER_RESERVE, np.uint8)
    interval = np.array([0, 0xFFFFFFFF, 0, 0], np.int64)
    beside: NDArray[np.uint8] | None = None
    results = []
    for index, samples in enumerate(corrections.samples):
        dirty = blocks_with(samples)
        if dirty.any():
            kinds |= 1 << index
            states = np.full(correction_kernels.N_COMPONENT_STATES, NEUTRAL_STATE, np.uint32)
            result, _ = correction_kernels.code_component(
                fine[index], samples, dirty, _same_blocks(dirty, beside), states, interval, data,
                False,
            )  # fmt: skip
            results.append(result)
        beside = dirty
    left = corrections.pixels
    if left is not None and left.any():
        kinds |= _PIXELS_BIT
        states = np.full(correction_kernels.N_PIXEL_STATES, NEUTRAL_STATE, np.uint32)
        predicted = (picture.astype(np.int16) - left).astype(np.uint8)
        result, _ = correction_kernels.code_pixels(
            predicted, left, blocks_with_pixels(left), states, interval, data, False
        )
        results.append(result)
    if any(result != status.OK for result in results):
        return kinds, None
    if not kinds:
        return 0, b""
    end = entropy_kernels.finish_arithmetic(interval[:2].copy(), data, int(interval[3]))
    return kinds, data[: int(end)].tobytes()


def _same_blocks(dirty: NDArray[np.uint8], beside: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Return the blocks of the component before, zeros where it has another size."""
    if beside is None or beside.shape != dirty.shape:
        return np.zeros_like(dirty)
    return beside
