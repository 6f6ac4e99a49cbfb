"""The package's peers, and those that only the paper's tables have: see `softcomp_codec.peers`."""

from __future__ import annotations

import struct
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softcomp_codec import peers, residuals
from softcomp_codec.container import MODES
from softcomp_codec.kernels.entropy_kernels import (
    _probability,
    _split,
    _updated,
    finish_arithmetic,
    start_arithmetic,
)
from softcomp_codec.kernels.jit import kernel
from softcomp_codec.kernels.residual_kernels import GAP
from softcomp_codec.peers import Peer
from softcomp_codec.planes import dtype_of

Array = NDArray[Any]

KEYS = ("png", "jpeg2000", "jpegls", "jpegls-difference", "arithmetic", "webp", "jpegxl-7",
        "jpegxl-9")  # fmt: skip
"""In the order of the tables' columns."""


def missing_requirements() -> list[str]:
    """Return one line for each thing that the peers need and this environment lacks."""
    return list(map(str, peers.missing_peers(bilevel=False)))


def peers_for(kind: str) -> dict[str, Peer]:
    """Return the peers of a kind of images ("bilevel", "gray8", "rgb8"), by key."""
    mode = next(mode for mode in MODES.values() if mode.name == kind)
    bits = " of bits" if kind == "bilevel" else " of bytes"
    found = peers.peers_for(mode)
    found["arithmetic"] = Peer(
        "Arithmetic coding", "GAP residuals of each component, mapped within the samples' range, "
        f"all components through one adaptive order-0 model{bits} (this benchmark, with the "
        "package's kernels)", _encode_arithmetic, partial(_decode_arithmetic, dtype_of(mode)),
    )  # fmt: skip
    if kind == "rgb8":
        found["jpegls-difference"] = _with_difference(found["jpegls"])
    return {key: found[key] for key in KEYS if key in found}


def _with_difference(jpegls: Peer) -> Peer:
    """Return JPEG-LS behind a reversible colour transform."""

    def encode(array: Array) -> bytes:
        red, green, blue = np.moveaxis(array, 2, 0)
        return jpegls.encode(np.stack([red - green, green, blue - green], axis=2))

    def decode(data: bytes) -> Array:
        u, green, v = np.moveaxis(jpegls.decode(data), 2, 0)
        return np.stack([u + green, green, v + green], axis=2)

    return Peer("JPEG-LS, green diff.", "the same after R - G, G, B - G modulo 256", encode, decode)


# ---- Adaptive arithmetic coding: GAP, then one order-0 model -------------------------------------

_HEADER = struct.Struct(">BBHH")  # bits of a sample, components, height, width


@kernel
def _encode_order_0(values, n_bits, buffer):  # type: ignore[no-untyped-def]
    """Code `values` (uint16) by a binary tree of adaptive states; return the number of bytes."""
    states = np.full(1 << n_bits, np.uint32(1 << 31), np.uint32)
    low, high = np.int64(0), np.int64(0xFFFFFFFF)
    position = 0
    for index in range(len(values)):
        node = 1
        for shift in range(n_bits - 1, -1, -1):
            bit = (np.int64(values[index]) >> shift) & 1
            middle = _split(low, high, _probability(states[node]))
            if bit:
                high = middle
            else:
                low = middle + 1
            while (low ^ high) >> 24 == 0:
                buffer[position] = high >> 24
                position += 1
                low = (low << 8) & 0xFFFFFFFF
                high = (high << 8) & 0xFFFFFFFF | 255
            states[node] = _updated(states[node], bit)
            node = node << 1 | bit
    return position, low, high


@kernel
def _decode_order_0(data, interval, position, n_bits, values):  # type: ignore[no-untyped-def]
    """Fill `values` (uint16); inverse of `_encode_order_0`."""
    states = np.full(1 << n_bits, np.uint32(1 << 31), np.uint32)
    low, high, code = interval[0], interval[1], interval[2]
    for index in range(len(values)):
        node = 1
        for _ in range(n_bits):
            middle = _split(low, high, _probability(states[node]))
            if code <= middle:
                bit = 1
                high = middle
            else:
                bit = 0
                low = middle + 1
            while (low ^ high) >> 24 == 0:
                low = (low << 8) & 0xFFFFFFFF
                high = (high << 8) & 0xFFFFFFFF | 255
                byte = np.int64(data[position]) if position < len(data) else np.int64(0)
                code = (code << 8) & 0xFFFFFFFF | byte
                position += 1
            states[node] = _updated(states[node], bit)
            node = node << 1 | bit
        values[index] = node - (1 << n_bits)


def _encode_arithmetic(array: Array) -> bytes:
    n_bits = 1 if array.dtype == np.bool_ else 8
    stack = array.reshape(*array.shape[:2], -1)
    ranges = (0, (1 << n_bits) - 1)
    mapped = [
        residuals.map_residuals(np.ascontiguousarray(stack[:, :, i], np.int32), GAP, ranges)
        for i in range(stack.shape[2])
    ]
    values = np.concatenate([plane.ravel() for plane in mapped])
    buffer = np.empty(len(values) * (n_bits * 11 // 8 + 2) + 64, np.uint8)
    position, low, high = _encode_order_0(values, n_bits, buffer)
    end = finish_arithmetic(np.array([low, high], np.int64), buffer, position)
    header = _HEADER.pack(n_bits, stack.shape[2], *array.shape[:2])
    return header + buffer[:end].tobytes()


def _decode_arithmetic(dtype: np.dtype[Any], data: bytes) -> Array:
    n_bits, n_planes, height, width = _HEADER.unpack_from(data)
    code = np.frombuffer(data, np.uint8, offset=_HEADER.size)
    interval = np.zeros(3, np.int64)
    position = start_arithmetic(code, 0, interval)
    values = np.empty(n_planes * height * width, np.uint16)
    _decode_order_0(code, interval, position, n_bits, values)
    restored = [
        residuals.unmap_residuals(mapped, GAP, (0, (1 << n_bits) - 1))
        for mapped in values.reshape(n_planes, height, width)
    ]
    stack = np.stack(restored, axis=2).astype(dtype)
    return stack if n_planes > 1 else stack[:, :, 0]
