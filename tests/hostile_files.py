"""Tiny files that claim to be huge, decoded in a process of its own with limited memory.

    python tests/hostile_files.py

Each must end in a kind of `ScfError` without taking gigabytes, and none may hang.
"""

import faulthandler
import sys
import time

import numpy as np
from mutations import MEMORY, limit_memory
from small_codebooks import gray_codebook

import softcomp_codec
from softcomp_codec import container
from softcomp_codec.container import MAX_PIXELS, MAX_SIDE, MODES, Frame, Header, Segment
from softcomp_codec.decoder import decode_file
from softcomp_codec.errors import ScfError
from softcomp_codec.planes import dtype_of

SECONDS = 120
SIDES = (
    (MAX_SIDE, MAX_SIDE),
    (65535, 65535),
    (MAX_SIDE, 1),
    (1, MAX_SIDE),
    (1, MAX_PIXELS),
    (1 << 14, 1 << 14),
    (20000, 9000),
)
PAYLOADS = (
    b"",
    b"\0" * 6,
    b"\xfe",  # bilevel: the built-in prior's end mark at once
    b"\xff" * 3,
    b"\x80",
    b"\x40\xaa" * 9,
    bytes(range(256)),
)

BILEVEL_PAYLOADS = (
    b"\x05",
    b"\x2e" + b"\xff" * 3,  # by blocks: all of them plain
    b"\x37" + bytes(9) + b"\xaa" * 40,
    b"\x05" + b"\xff" * 8 + b"\x7f",  # a tile of 2^63 bytes
)


def huge_files():
    """(what, file) of every mode and coder."""
    coded = [(container.STORED, b"abc"), *((container.SHAPES, payload) for payload in PAYLOADS)]
    bilevel = [(container.BILEVEL, payload) for payload in BILEVEL_PAYLOADS]
    for mode in MODES.values():
        if mode.identifier in (3, 4):  # the same but for the shape
            continue
        for width, height in SIDES:
            tried = coded if mode.kind is not None else coded[:2]
            for coder, payload in tried + bilevel * (mode.bits_per_sample == 1):
                header = Header(mode, width, height, coder, b"", 0)
                what = f"{width} x {height} {mode.name}, coder {coder}, {payload[:3].hex()}"
                yield what, container.write_file(header, payload)


def greedy_files():
    """(what, file) of small pictures with much else."""
    book = gray_codebook()
    for n_bytes in (1 << 20, 1 << 22):
        for byte in (0x00, 0x55, 0xAA, 0xFF):
            for mode in MODES.values():
                header = Header(mode, 3000, 3000, container.SHAPES, b"", 0)
                what = f"{n_bytes} bytes {byte:02x}, {mode.name}"
                yield what, container.write_file(header, bytes([byte]) * n_bytes)
    stored = Frame(container.STORED, False, 0, 0)
    for n_frames in (1 << 10, 1 << 16):
        header = Header(MODES[1], 9, 9, container.STORED, b"", 0, (), (stored,) * n_frames)
        yield f"{n_frames} empty frames", container.write_file(header, b"")
    long = Frame(container.SHAPES, False, 1 << 61, 0)
    header = Header(MODES[1], 9, 9, container.SHAPES, b"", 0, (), (long,) * 99)
    yield "frames of 2^61 bytes", container.write_file(header, b"x")
    many = (Segment(0xFF, b""),) * 1024
    header = Header(MODES[1], 9, 9, container.SHAPES, b"", 0, many)
    yield "1024 segments", container.write_file(header, b"x")
    embedded = (Segment(container.SEGMENT_CODEBOOK, book.to_bytes()),)
    reference = book.identifier[:8]
    header = Header(MODES[1], 1 << 14, 1 << 14, container.SHAPES, reference, 0, embedded)
    yield "an embedded codebook", container.write_file(header, b"\x80" + bytes(20))


def main():
    # Kernels are loaded, and threads started, before the memory is limited.
    for mode in MODES.values():
        shape = (300, 300, mode.n_planes) if mode.channel_axis else (300, 300)
        array = np.ones(shape, dtype_of(mode))
        softcomp_codec.decode(softcomp_codec.encode(array, codebook=None))
    limit_memory()
    slowest = 0.0
    for what, data in (*huge_files(), *greedy_files()):
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        start = time.perf_counter()
        for allow_truncated in (False, True):
            try:
                header = softcomp_codec.read_header(data)
                array = decode_file(data, allow_truncated=allow_truncated).array
            except ScfError:
                continue
            assert array.shape == header.shape, what
            assert allow_truncated, f"{what}: decoded"
        slowest = max(slowest, time.perf_counter() - start)
    faulthandler.cancel_dump_traceback_later()
    print(f"slowest: {slowest:.1f} s, limit {MEMORY >> 20} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
