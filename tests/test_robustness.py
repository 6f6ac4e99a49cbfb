"""Damaged and hostile data: the exact picture or our errors, within time and memory."""

import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from file_builder import checksum
from hypothesis import given
from hypothesis import strategies as st
from mutations import Corpus

import softcomp_codec
from softcomp_codec.bundled import MAGIC
from softcomp_codec.codebook import Codebook
from softcomp_codec.container import JPEG_PAST
from softcomp_codec.decoder import decode_file
from softcomp_codec.errors import CorruptStreamError, ScfError, TruncatedStreamError

HERE = Path(__file__).parent
CASES = int(os.environ.get("SCF_FUZZ_CASES", "1500"))
SEED = os.environ.get("SCF_FUZZ_SEED", "0")


@pytest.fixture(scope="module")
def corpus():
    return Corpus()


def run_script(name, *arguments, seconds):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(HERE / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-500:]
    return done.stdout


def test_mutations(tmp_path):
    """More of them: SCF_FUZZ_CASES=100000 SCF_FUZZ_SEED=7 pytest tests/test_robustness.py."""
    keep = Path(os.environ.get("SCF_FUZZ_KEEP", tmp_path))
    report = run_script(
        "mutations.py", "--cases", CASES, "--seed", SEED, "--keep", keep, seconds=600 + CASES
    )
    counts = [int(line.rsplit(": ", 1)[1]) for line in report.splitlines()]
    assert sum(counts) == CASES
    for what in ("file, repaired: picture", "book, repaired: picture", "file: error"):
        assert what in report  # damage gets past the checksums, and does not always


def test_hostile_sizes():
    """Pictures of gigabytes in files of a few bytes."""
    assert "slowest" in run_script("hostile_files.py", seconds=1200)


def test_files_cut_at_every_byte(corpus):
    for data, pictures in corpus.files:
        offset = softcomp_codec.read_header(data).payload_offset
        step = 1 if len(data) < 400 else 7
        for n_bytes in [*range(offset), *range(offset, len(data), step), len(data) - 1]:
            found = None
            with suppress(TruncatedStreamError if 0 < n_bytes < offset else CorruptStreamError):
                found = softcomp_codec.decode_frames(data[:n_bytes], codebooks=corpus.books)
            if found is not None:  # the last bits of a JPEG past may tell nothing that is shown
                assert softcomp_codec.read_header(data).coder == JPEG_PAST
                assert n_bytes == len(data) - 1
                assert np.array_equal(found, pictures)
        assert len(pictures) == softcomp_codec.read_header(data).n_frames


def test_files_with_something_behind(corpus):
    for data, _ in corpus.files:
        for more in (b"\0", b"\n", b"\xff", b"\0" * 5, data):
            with pytest.raises(CorruptStreamError):
                softcomp_codec.decode_frames(data + more, codebooks=corpus.books)


def test_every_bit_of_a_small_file_counts(corpus):
    """All bits but those that only name things: exactly the picture, or an error."""
    for data, (picture, *_) in corpus.files[::4]:
        if len(data) > 120:
            continue
        for bit in range(8 * len(data)):
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << (bit % 8)
            try:
                found = softcomp_codec.decode(bytes(damaged), codebooks=corpus.books)
            except ScfError:
                continue
            assert found.dtype == picture.dtype
            assert np.array_equal(found, picture)


def test_noise_after_a_good_header(corpus):
    """Random payloads; most of those that decode at all fail by their checksum."""
    rng = random.Random(0)
    for data, _ in corpus.files:
        header = softcomp_codec.read_header(data)
        for n_bytes in (0, 1, 2, 5, 30, 300):
            noisy = data[: header.payload_offset] + rng.randbytes(n_bytes)
            with pytest.raises(ScfError):
                softcomp_codec.decode_frames(noisy, codebooks=corpus.books)
            try:
                decoded = decode_file(noisy, codebooks=corpus.books, allow_truncated=True)
            except ScfError:
                continue
            assert decoded.array.shape == header.shape


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xf7SC", b"\xf7SC\0\x21\x05\x05"]))
def test_any_bytes(data, start):
    try:
        array = softcomp_codec.decode(start + data)
    except ScfError:
        return
    header = softcomp_codec.read_header(start + data)
    assert checksum(array) == header.checksum


@given(st.binary(max_size=200), st.sampled_from([b"", MAGIC, MAGIC + b"\0", MAGIC + b"\1"]))
def test_any_bytes_as_a_codebook(data, start):
    with pytest.raises(ScfError):
        Codebook.from_bytes(start + data)


def test_errors_are_errors_of_both_kinds(corpus):
    """Pillow and imageio expect an OSError, callers a ValueError."""
    for error in (OSError, ValueError, ScfError):
        with pytest.raises(error):
            softcomp_codec.decode(corpus.files[0][0][:-1])
