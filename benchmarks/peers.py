"""The lossless codecs that soft compression is compared with, and SCF itself, behind one interface.

Bilevel images are bool arrays: PNG and SCF keep them as 1 bit a sample, JPEG 2000 and JPEG XL are
told that samples have 1 bit, JPEG-LS gets samples 0 and 1, WebP, which knows RGB only, gets black
and white. Each codec's files hold all that its decoder needs, SCF's codebook apart.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from softcomp_codec import residuals
from softcomp_codec.kernels.entropy_kernels import (
    _probability,
    _split,
    _updated,
    finish_arithmetic,
    start_arithmetic,
)
from softcomp_codec.kernels.jit import inlined
from softcomp_codec.kernels.residual_kernels import GAP

Array = NDArray[Any]

TINY_SIDE = 64
"""Images up to this size are given to JPEG 2000 without wavelet levels, which is smaller."""


@dataclass(frozen=True)
class Peer:
    """A codec; `decode` returns what `encode` got, sample for sample."""

    name: str
    description: str
    encode: Callable[[Array], bytes]
    decode: Callable[[bytes], Array]


def missing_requirements() -> list[str]:
    """Return one line for each thing that the peers need and this environment lacks."""
    lacking = []
    if find_spec("imagecodecs") is None:
        lacking.append("imagecodecs: pip install 'softcomp-codec[bench]'")
    else:
        import imagecodecs

        lacking += [
            f"an imagecodecs with {name}: pip install -U imagecodecs"
            for name in ("JPEG2K", "JPEGLS", "JPEGXL")
            if not getattr(imagecodecs, name).available
        ]
    if not features.check("webp"):
        lacking.append("a Pillow with WebP: pip install -U pillow")
    return lacking


def peers_for(kind: str) -> dict[str, Peer]:
    """Return the peers of a kind of images ("bilevel", "gray8", "rgb8"), by key."""
    bilevel = kind == "bilevel"
    found = {
        "png": Peer("PNG", "Pillow, optimize=True", _encode_png, _decode_with_pillow),
        "jpeg2000": Peer("JPEG 2000", "OpenJPEG through imagecodecs: codestream, reversible; no "
                         f"wavelet levels for images up to {TINY_SIDE} x {TINY_SIDE}",
                         _encode_jpeg2000, _decode_jpeg2000),
        "jpegls": Peer("JPEG-LS", "CharLS through imagecodecs", _encode_jpegls, _decode_jpegls),
        "jpegls-difference": Peer("JPEG-LS, green diff.", "the same after R - G, G, B - G modulo "
                                  "256", _encode_jpegls_difference, _decode_jpegls_difference),
        "arithmetic": Peer("Arithmetic coding", "GAP residuals of each component, mapped within "
                           "the samples' range, all components through one adaptive order-0 model"
                           + (" of bits" if bilevel else " of bytes") + " (this benchmark, with "
                           "the package's kernels)", _encode_arithmetic, _decode_arithmetic),
        "webp": Peer("WebP lossless", "Pillow, method 6, quality 100, exact", _encode_webp,
                     _decode_with_pillow),
        "jpegxl-7": Peer("JPEG XL, effort 7", "libjxl through imagecodecs, no container",
                         lambda array: _encode_jpegxl(array, 7), _decode_jpegxl),
        "jpegxl-9": Peer("JPEG XL, effort 9", "libjxl through imagecodecs, no container",
                         lambda array: _encode_jpegxl(array, 9), _decode_jpegxl),
    }  # fmt: skip
    if kind == "rgb8":
        return found
    del found["jpegls-difference"]
    return {key: _of_one_component(peer, bilevel=bilevel) for key, peer in found.items()}


def _of_one_component(peer: Peer, *, bilevel: bool) -> Peer:
    """Return a peer whose decoder gives (H, W), also where its format knows RGB only."""

    def decode(data: bytes) -> Array:
        array = peer.decode(data)
        array = array if array.ndim == 2 else array[:, :, 0]
        return array > 0 if bilevel else array

    return replace(peer, decode=decode)


def _gray_bits(array: Array) -> tuple[Array, int]:
    """Return samples 0 and 1 for bilevel images, and the bits of a sample."""
    return (array.astype(np.uint8), 1) if array.dtype == np.bool_ else (array, 8)


def _encode_png(array: Array) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _encode_webp(array: Array) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(array)
    image = image if image.mode == "RGB" else image.convert("L").convert("RGB")
    image.save(stream, "WEBP", lossless=True, method=6, quality=100, exact=True)
    return stream.getvalue()


def _decode_with_pillow(data: bytes) -> Array:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def _encode_jpeg2000(array: Array) -> bytes:
    import imagecodecs

    samples, n_bits = _gray_bits(array)
    resolutions = 1 if max(array.shape[:2]) <= TINY_SIDE else None
    return bytes(
        imagecodecs.jpeg2k_encode(
            samples, level=0, reversible=True, codecformat="j2k", bitspersample=n_bits,
            resolutions=resolutions, numthreads=1,
        )
    )  # fmt: skip


def _decode_jpeg2000(data: bytes) -> Array:
    import imagecodecs

    return np.asarray(imagecodecs.jpeg2k_decode(data, numthreads=1))


def _encode_jpegls(array: Array) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpegls_encode(_gray_bits(array)[0]))


def _decode_jpegls(data: bytes) -> Array:
    import imagecodecs

    return np.asarray(imagecodecs.jpegls_decode(data))


def _encode_jpegls_difference(array: Array) -> bytes:
    red, green, blue = np.moveaxis(array, 2, 0)
    return _encode_jpegls(np.stack([red - green, green, blue - green], axis=2))


def _decode_jpegls_difference(data: bytes) -> Array:
    u, green, v = np.moveaxis(_decode_jpegls(data), 2, 0)
    return np.stack([u + green, green, v + green], axis=2)


def _encode_jpegxl(array: Array, effort: int) -> bytes:
    import imagecodecs

    samples, n_bits = _gray_bits(array)
    return bytes(
        imagecodecs.jpegxl_encode(
            samples, lossless=True, effort=effort, usecontainer=False, numthreads=1,
            bitspersample=n_bits,
        )
    )  # fmt: skip


def _decode_jpegxl(data: bytes) -> Array:
    import imagecodecs

    return np.asarray(imagecodecs.jpegxl_decode(data, numthreads=1))


# ---- Adaptive arithmetic coding: GAP, then one order-0 model -------------------------------------

_HEADER = struct.Struct(">BBHH")  # bits of a sample, components, height, width


@inlined
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


@inlined
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


def _decode_arithmetic(data: bytes) -> Array:
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
    stack = np.stack(restored, axis=2).astype(np.uint8)
    return stack if n_planes > 1 else stack[:, :, 0]
