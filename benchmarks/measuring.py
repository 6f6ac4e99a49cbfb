"""Coding sets of images by codecs, in processes: file bytes, counted bits and CPU time.

Every file is decoded and compared with its image. Times are CPU seconds of the process that did
the work, all its threads together, so that other work on the machine hardly matters.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import peers
from numpy.typing import NDArray
from peers import Array

import softcomp_codec
from softcomp_codec.codebook import kind_of
from softcomp_codec.planes import mode_of_array

SCF_DEFAULT, SCF_REFERENCE = "scf-default", "scf-reference"
SCF_AUTO = {effort: f"scf-auto-{effort}" for effort in (1, 5, 9)}
"""The shapes coder, the reference coder, and what `encode` takes by itself at some efforts."""

SCF_PIXELS = "scf-pixels-5"
"""The same at effort 5 without looking for JPEG pasts."""


@dataclass(frozen=True)
class CodecSpec:
    """Names a codec in a way that can be sent to another process.

    Attributes
    ----------
    key : str
        That of a peer, `SCF_DEFAULT`, `SCF_REFERENCE`, `SCF_PIXELS` or one of `SCF_AUTO`.
    kind : str
        Kind of images.
    codebook : str
        Path of SCF's codebook.
    """

    key: str
    kind: str
    codebook: str = ""


@dataclass(frozen=True)
class Measured:
    """What a codec made of a set of images; one entry an image."""

    raw_bits: NDArray[np.float64]
    file_bytes: NDArray[np.float64]
    counted_bits: NDArray[np.float64]
    encode_seconds: NDArray[np.float64]
    decode_seconds: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.raw_bits)

    def select(self, which: Any) -> Measured:
        """Return the entries of some images."""
        return Measured(*(values[which] for values in vars(self).values()))

    @staticmethod
    def together(sets: Sequence[Measured]) -> Measured:
        """Return the entries of several sets."""
        columns = zip(*(vars(each).values() for each in sets), strict=True)
        return Measured(*(np.concatenate(column) for column in columns))

    @property
    def total_ratio(self) -> float:
        """Raw bits of all images over bits of all files."""
        return float(self.raw_bits.sum() / (8 * self.file_bytes.sum()))

    @property
    def mean_ratio(self) -> float:
        """Mean of the images' ratios, by file bytes."""
        return float((self.raw_bits / (8 * self.file_bytes)).mean())

    @property
    def counted_total_ratio(self) -> float:
        """Raw bits of all images over bits as the authors count them."""
        return float(self.raw_bits.sum() / self.counted_bits.sum())

    @property
    def counted_mean_ratio(self) -> float:
        """Mean of the images' ratios, by bits as the authors count them."""
        return float((self.raw_bits / self.counted_bits).mean())

    @property
    def encode_speed(self) -> float:
        """MB of raw samples a CPU second."""
        return float(self.raw_bits.sum() / 8e6 / max(self.encode_seconds.sum(), 1e-9))

    @property
    def decode_speed(self) -> float:
        """MB of raw samples a CPU second."""
        return float(self.raw_bits.sum() / 8e6 / max(self.decode_seconds.sum(), 1e-9))


class Meter:
    """Measures codecs on `workers` processes; on this one where there is only 1 worker."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool = None
        if workers > 1:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(workers, mp_context=context)

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def measure(self, spec: CodecSpec, arrays: Sequence[Array]) -> Measured:
        """Code and decode all images; exits where one does not come back exactly."""
        size = max(1, min(500, -(-len(arrays) // (4 * self._workers))))
        chunks = [arrays[start : start + size] for start in range(0, len(arrays), size)]
        work: Callable[..., Any] = map if self._pool is None else self._pool.map
        rows = [row for rows in work(_measure_chunk, [spec] * len(chunks), chunks) for row in rows]
        inexact = [index for index, row in enumerate(rows) if row is None]
        if inexact:
            sys.exit(f"{spec.key}: image {inexact[0]} did not come back exactly")
        return Measured(*np.array(rows, np.float64).T)


@dataclass(frozen=True)
class _Codec:
    encode: Callable[[Array], bytes]
    decode: Callable[[bytes], Array]
    count_bits: Callable[[Array, bytes], int]


@cache
def _codec(spec: CodecSpec) -> _Codec:
    if spec.key not in (SCF_DEFAULT, SCF_REFERENCE, SCF_PIXELS, *SCF_AUTO.values()):
        peer = peers.peers_for(spec.kind)[spec.key]
        return _Codec(peer.encode, peer.decode, lambda _, data: 8 * len(data))
    book = softcomp_codec.Codebook.load(spec.codebook)

    def payload_bits(_: Array, data: bytes) -> int:
        return 8 * (len(data) - softcomp_codec.read_header(data).payload_offset)

    choices = {key: ("auto", effort) for effort, key in SCF_AUTO.items()}
    choices[SCF_PIXELS] = ("pixels", 5)
    coder, effort = choices.get(spec.key, ("shapes", 5))
    return _Codec(
        lambda array: softcomp_codec.encode(array, codebook=book, coder=coder, effort=effort),
        lambda data: softcomp_codec.decode(data, codebooks=[book]),
        _reference_counter(book) if spec.key == SCF_REFERENCE else payload_bits,
    )


def _reference_counter(book: softcomp_codec.Codebook) -> Callable[[Array, bytes], int]:
    """Return the authors' way to count bits, whatever the file holds around them."""
    from softcomp_codec import reference_coder

    def count(array: Array, _: bytes) -> int:
        mode = mode_of_array(array)
        return int(reference_coder.count_bits(array, mode, book.reference[kind_of(mode)]))

    return count


_warm: set[CodecSpec] = set()


def _measure_chunk(spec: CodecSpec, arrays: Sequence[Array]) -> list[tuple[float, ...] | None]:
    """Return a row of `Measured` for each image, None for one that did not come back."""
    codec = _codec(spec)
    if spec not in _warm:  # loads libraries and kernels, builds the codebook's tables
        codec.decode(codec.encode(arrays[0]))
        _warm.add(spec)
    rows: list[tuple[float, ...] | None] = []
    for array in arrays:
        start = time.process_time()
        data = codec.encode(array)
        encoded = time.process_time()
        again = codec.decode(data)
        decoded = time.process_time()
        raw_bits = array.size * (1 if array.dtype == np.bool_ else 8)
        same = again.dtype == array.dtype and np.array_equal(again, array)
        row = (raw_bits, len(data), codec.count_bits(array, data), encoded - start,
               decoded - encoded)  # fmt: skip
        rows.append(row if same else None)
    return rows
