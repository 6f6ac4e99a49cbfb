"""Runs commands of ``scf`` for tests; what imports it is skipped without Typer and Rich."""

import struct
import subprocess
import sys
import zlib

import pytest
from PIL import Image

typer_testing = pytest.importorskip("typer.testing")
pytest.importorskip("rich")

from softcomp_codec.cli.app import build_app  # noqa: E402


def run(*args, code=0):
    """Run a command in this process and return all that it printed."""
    result = typer_testing.CliRunner().invoke(build_app(), [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    assert "\x1b" not in result.output
    return result.output


def run_process(*args, code=0):
    """Run a command in a process of its own; returns (stdout, stderr)."""
    done = subprocess.run(
        [sys.executable, "-m", "softcomp_codec.cli", *map(str, args)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def pixels(path):
    with Image.open(path) as image:
        return pixels_of(image)


def pixels_of(image):
    return image.mode, image.size, image.tobytes()


def damage(path):
    data = bytearray(path.read_bytes())
    data[-2] ^= 0x10
    path.write_bytes(data)


def write_deep_png(path, n_planes):
    """Write a PNG of 16 bits a sample and several planes, which Pillow would read as 8 bits."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    rows = b"".join(b"\0" + bytes(range(4 * n_planes)) for _ in range(2))
    colour_type = {2: 4, 3: 2, 4: 6}[n_planes]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, colour_type, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
