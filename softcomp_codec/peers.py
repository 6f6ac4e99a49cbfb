"""The lossless codecs that ``.scf`` is compared with, behind one interface.

Bilevel images are bool arrays: PNG and JBIG1, which takes part with them only, keep them as 1 bit
a sample, JPEG 2000 and JPEG XL are told that samples have 1 bit, JPEG-LS gets samples 0 and 1.
WebP, which knows RGB and RGBA only, gets gray as three equal components. Each file holds all that
its decoder needs.
"""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, features

from .planes import dtype_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .container import Mode

    Array = NDArray[Any]

TINY_SIDE = 64
"""Images up to this size are given to JPEG 2000 without wavelet levels, which is smaller."""

JPEGXL_EFFORTS = (3, 7, 9)

NO_LIMIT = 1 << 31
_IMAGECODECS = {"JPEGLS": "JPEG-LS", "JPEG2K": "JPEG 2000", "JPEGXL": "JPEG XL"}
_JBIG_PROGRAMS = ("pbmtojbg", "jbgtopbm")


@dataclass(frozen=True)
class Peer:
    """A codec.

    Attributes
    ----------
    encode, decode : callable
        `decode` returns what `encode` got, sample for sample.
    max_side : int
        Largest width and height of its format.
    """

    name: str
    description: str
    encode: Callable[[Array], bytes]
    decode: Callable[[bytes], Array]
    max_side: int = NO_LIMIT


@dataclass(frozen=True)
class Missing:
    """A codec that this environment lacks, and what to install."""

    name: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.remedy}"


def missing_peers(*, bilevel: bool = True) -> list[Missing]:
    """Return what this environment lacks; JBIG1 is missed by bilevel images only."""
    lacking = []
    if not features.check("webp"):
        lacking.append(Missing("WebP", "needs a Pillow with WebP: pip install -U pillow"))
    if find_spec("imagecodecs") is None:
        names = ", ".join(_IMAGECODECS.values())
        lacking.append(Missing(names, "need imagecodecs: pip install 'softcomp-codec[bench]'"))
    else:
        lacking += [
            Missing(name, f"needs an imagecodecs with {key}: pip install -U imagecodecs")
            for key, name in _IMAGECODECS.items()
            if not _has_imagecodec(key)
        ]
    if bilevel and not all(map(shutil.which, _JBIG_PROGRAMS)):
        programs = " and ".join(_JBIG_PROGRAMS)
        lacking.append(Missing("JBIG1", f"needs {programs} on the PATH: the package jbigkit-bin"))
    return lacking


def peers_for(mode: Mode, *, threads: int = 1) -> dict[str, Peer]:
    """Return the codecs that are there and can hold images of a mode, by key.

    `threads` is for JPEG 2000 and JPEG XL; the others know one only.
    """
    return {key: peer for key, peer in _installed(mode, threads).items() if not _refusal(key, mode)}


def refusals(mode: Mode) -> dict[str, str]:
    """Return why codecs that are there cannot hold a mode, by the codec's name."""
    return {
        peer.name: reason
        for key, peer in _installed(mode, 1).items()
        if (reason := _refusal(key, mode))
    }


def _has_imagecodec(key: str) -> bool:
    if find_spec("imagecodecs") is None:
        return False
    import imagecodecs

    return bool(getattr(imagecodecs, key).available)


def _installed(mode: Mode, threads: int) -> dict[str, Peer]:
    restore = partial(_restored, mode=mode)
    bits = mode.bits_per_sample
    found = {"png": Peer("PNG", "Pillow, optimize=True", _encode_png, _decode_with_pillow)}
    if features.check("webp"):
        note = "; gray as three equal components" if mode.n_planes < 3 else ""
        found["webp"] = Peer(
            "WebP lossless", f"Pillow, method 6, quality 100, exact{note}", _encode_webp,
            _decode_with_pillow, max_side=16383,
        )  # fmt: skip
    if _has_imagecodec("JPEGLS"):
        found["jpegls"] = Peer(
            "JPEG-LS", "CharLS through imagecodecs", _encode_jpegls, _decode_jpegls, max_side=65535
        )
    if _has_imagecodec("JPEG2K"):
        found["jpeg2000"] = Peer(
            "JPEG 2000", "OpenJPEG through imagecodecs: codestream, reversible; no wavelet levels "
            f"for images up to {TINY_SIDE} x {TINY_SIDE}",
            partial(_encode_jpeg2000, bits=bits, threads=threads),
            partial(_decode_jpeg2000, threads=threads),
        )  # fmt: skip
    if _has_imagecodec("JPEGXL"):
        for effort in JPEGXL_EFFORTS:
            found[f"jpegxl-{effort}"] = Peer(
                f"JPEG XL, effort {effort}", "libjxl through imagecodecs, no container",
                partial(_encode_jpegxl, effort=effort, bits=bits, threads=threads),
                partial(_decode_jpegxl, threads=threads),
            )  # fmt: skip
    if bits == 1 and all(map(shutil.which, _JBIG_PROGRAMS)):
        found["jbig1"] = Peer(
            "JBIG1", "pbmtojbg -q and jbgtopbm; times include starting the programs",
            _encode_jbig1, _decode_jbig1,
        )  # fmt: skip
    return {
        key: Peer(
            peer.name, peer.description, partial(_code_native, peer.encode),
            partial(_decode_restored, peer.decode, restore), peer.max_side,
        )
        for key, peer in found.items()
    }  # fmt: skip


def _refusal(key: str, mode: Mode) -> str | None:
    """Return why a codec cannot hold a mode; None where it can."""
    if key == "png" and mode.bits_per_sample == 16 and mode.n_planes > 1:
        return "Pillow keeps 16 bits of gray only"
    if key == "webp" and mode.bits_per_sample == 16:
        return "8 bits a sample only"
    if key == "jpegls" and mode.n_planes == 2:
        return "imagecodecs gives it 1, 3 or 4 components, not 2"
    return None


def _code_native(encode: Callable[[Array], bytes], array: Array) -> bytes:
    """Give codecs (H, W) for images of one component."""
    return encode(array[:, :, 0] if array.shape[2:] == (1,) else array)


def _decode_restored(
    decode: Callable[[bytes], Array], restore: Callable[[Array], Array], data: bytes
) -> Array:
    return restore(decode(data))


def _restored(array: Array, mode: Mode) -> Array:
    """Return a decoded array as one of its mode, where the codec knows RGB or bytes only."""
    stack = array.reshape(*array.shape[:2], -1)
    if stack.shape[2] == 3 and mode.n_planes in (2, 4):  # WebP keeps no alpha that is all opaque
        stack = np.concatenate([stack, np.full_like(stack[:, :, :1], 255)], axis=2)
    if stack.shape[2] > mode.n_planes:
        stack = stack[:, :, [0, -1]] if mode.n_planes == 2 else stack[:, :, : mode.n_planes]
    stack = stack if mode.channel_axis else stack[:, :, 0]
    return np.asarray(stack > 0) if dtype_of(mode) == np.bool_ else stack


def _gray_samples(array: Array) -> Array:
    """Return samples 0 and 1 for bilevel images."""
    return array.astype(np.uint8) if array.dtype == np.bool_ else array


def _encode_png(array: Array) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _encode_webp(array: Array) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(array)
    if image.mode not in ("RGB", "RGBA"):
        image = image.convert("RGBA") if image.mode == "LA" else image.convert("L").convert("RGB")
    image.save(stream, "WEBP", lossless=True, method=6, quality=100, exact=True)
    return stream.getvalue()


def _decode_with_pillow(data: bytes) -> Array:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def _encode_jpeg2000(array: Array, *, bits: int, threads: int) -> bytes:
    import imagecodecs

    resolutions = 1 if max(array.shape[:2]) <= TINY_SIDE else None
    return bytes(
        imagecodecs.jpeg2k_encode(
            _gray_samples(array), level=0, reversible=True, codecformat="j2k", bitspersample=bits,
            resolutions=resolutions, numthreads=threads,
        )
    )  # fmt: skip


def _decode_jpeg2000(data: bytes, *, threads: int) -> Array:
    import imagecodecs

    return np.asarray(imagecodecs.jpeg2k_decode(data, numthreads=threads))


def _encode_jpegls(array: Array) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpegls_encode(_gray_samples(array)))


def _decode_jpegls(data: bytes) -> Array:
    import imagecodecs

    return np.asarray(imagecodecs.jpegls_decode(data))


def _encode_jpegxl(array: Array, *, effort: int, bits: int, threads: int) -> bytes:
    import imagecodecs

    return bytes(
        imagecodecs.jpegxl_encode(
            _gray_samples(array), lossless=True, effort=effort, usecontainer=False,
            numthreads=threads, bitspersample=bits,
        )
    )  # fmt: skip


def _decode_jpegxl(data: bytes, *, threads: int) -> Array:
    import imagecodecs

    return np.asarray(imagecodecs.jpegxl_decode(data, numthreads=threads))


def _encode_jbig1(array: Array) -> bytes:
    height, width = array.shape
    packed = np.packbits(~array, axis=1)  # in PBM files 1 is black
    return _run("pbmtojbg", "-q", given=b"P4\n%d %d\n" % (width, height) + packed.tobytes())


def _decode_jbig1(data: bytes) -> Array:
    pbm = _run("jbgtopbm", given=data)
    _, width, height = pbm.split(maxsplit=3)[:3]
    columns, rows = int(width), int(height)
    row_bytes = (columns + 7) // 8
    packed = np.frombuffer(pbm, np.uint8, offset=len(pbm) - row_bytes * rows)
    black = np.unpackbits(packed.reshape(rows, row_bytes), axis=1, count=columns)
    return np.asarray(black == 0)


def _run(program: str, *options: str, given: bytes) -> bytes:
    done = subprocess.run([program, *options], input=given, capture_output=True, check=False)
    if done.returncode or not done.stdout:
        message = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise OSError(f"{program}: {message}")
    return done.stdout
