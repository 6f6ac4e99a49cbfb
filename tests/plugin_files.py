"""Pictures, a codebook and awkward file objects for the tests of the plugins."""

import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
from PIL import Image

import softcomp_codec
from softcomp_codec.codebook import Codebook, KindBook, built_in_part
from softcomp_codec.container import MODES, Header, checksum, write_file
from softcomp_codec.planes import canonical_samples

GRAY = 1
PILLOW_MODES = ("1", "L", "RGB", "I;16", "LA", "RGBA")
ARRAY_FORMS = {"LA": 2, "RGB": 3, "RGBA": 4, "la16": 2, "rgb16": 3, "rgba16": 4}
"""Planes of the modes with a third axis; those in small letters are no modes of Pillow's."""


def picture(mode, width=23, height=17, seed=0):
    """A picture with smooth and noisy parts, of a mode of Pillow's or of one of `ARRAY_FORMS`."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    smooth = rows * 3 + columns * 5
    noise = rng.integers(0, 9, (height, width)) * (columns > width // 2)
    gray = ((smooth + noise) % 256).astype(np.uint8)
    if mode == "1":
        return gray > 90
    if mode == "L":
        return gray
    if "16" in mode:
        gray = gray * np.uint16(257) + rows.astype(np.uint16)
        gray[0, 0], gray[-1, -1] = 0, 65535
    if mode == "I;16":
        return gray
    planes = [gray, gray[::-1], np.iinfo(gray.dtype).max - gray // 2]
    if ARRAY_FORMS[mode] == 2:
        planes = planes[:1]
    if ARRAY_FORMS[mode] != 3:
        planes.append(gray * (columns > width // 3))  # all transparent on the left
    return np.stack(planes, axis=2).astype(gray.dtype)


def noise(mode, width=23, height=17):
    """A picture that cannot be compressed."""
    rng = np.random.default_rng(7)
    if mode == "1":
        return rng.integers(0, 2, (height, width)).astype(bool)
    shape = (height, width, ARRAY_FORMS[mode]) if mode in ARRAY_FORMS else (height, width)
    if "16" in mode:
        return rng.integers(0, 65536, shape).astype(np.uint16)
    return rng.integers(0, 256, shape).astype(np.uint8)


def any_image(mode, width=9, height=7, seed=3):
    """A noisy image of any mode of Pillow's, of 8 colours where it has a palette."""
    image = Image.new(mode, (width, height))
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 256, len(image.tobytes())).astype(np.uint8)
    if mode == "F":
        data = rng.random(width * height, np.float32).view(np.uint8)
    image.frombytes(data.tobytes())
    if mode in ("P", "PA"):
        image.putpalette(bytes(range(24)))
    return image


def taught_picture(width=80, height=64):
    """A picture whose low nibble is always 5, as `taught_codebook` knows."""
    values = np.random.default_rng(1).integers(0, 16, (height, width))
    return (values * 16 + 5).astype(np.uint8)


def taught_codebook(name="always-five"):
    """A codebook that makes `taught_picture` smaller."""
    plane = built_in_part(GRAY, 0).planes[0]
    states = plane.full_states.copy()
    for top in range(16):
        node = 16 + top
        for bit in (0, 1, 0, 1):
            states[:, node] = (65000 if bit else 536) << 16 | 20
            node = 2 * node + bit
    taught = replace(plane, predictor=0, low_states=states, full_states=states)
    return Codebook({"name": name}, {GRAY: KindBook(0, (taught,))})


def encoded(array, **options):
    """A file that refers to no codebook."""
    return softcomp_codec.encode(array, **{"codebook": None, **options})


def encoded_frames(arrays, **options):
    """A file of several frames that refers to no codebook."""
    return softcomp_codec.encode_frames(arrays, **{"codebook": None, **options})


def stored_file(array, mode_identifier):
    """A file of the stored coder."""
    mode = MODES[mode_identifier]
    height, width = array.shape[:2]
    samples = canonical_samples(array, mode)
    header = Header(mode, width, height, 0, b"", checksum(mode, width, height, samples))
    return write_file(header, samples)


def file_header(width, height, mode_identifier=GRAY):
    """A file that ends after its header."""
    return write_file(Header(MODES[mode_identifier], width, height, 1, b"", 0), b"")


class WriteOnly:
    """An output that offers nothing but ``write``."""

    def __init__(self):
        self.pieces = []

    def write(self, data):
        self.pieces.append(bytes(data))
        return len(data)

    def getvalue(self):
        return b"".join(self.pieces)


class Reluctant(WriteOnly):
    """An unbuffered output that takes a few bytes at a time, and no more than `capacity`."""

    def __init__(self, capacity=1 << 30):
        super().__init__()
        self.capacity = capacity

    def write(self, data):
        taken = min(len(data), 7, self.capacity)
        self.capacity -= taken
        return super().write(data[:taken])


class ReadOnly:
    """An input that offers ``read`` and ``close`` but cannot seek or tell."""

    def __init__(self, data):
        self._stream = io.BytesIO(data)
        self.closed = False

    def read(self, size=-1):
        return self._stream.read(size)

    def close(self):
        self.closed = True


class CountingBytes(io.BytesIO):
    """An input that counts the bytes that were read."""

    n_read = 0

    def read(self, size=-1):
        piece = super().read(size)
        self.n_read += len(piece)
        return piece


def run_python(code, *options):
    """Run code in a fresh interpreter where warnings are errors; returns (stdout, stderr)."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr
