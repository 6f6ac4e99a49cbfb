"""Several codecs on the same images: sizes of real files, speeds, and whether all came back.

The codecs take turns on each image, another one first each time, so that whatever else the machine
does hits all alike. Times on one thread are CPU seconds, those on several go by the clock. Before
anything is timed each codec has coded a picture of every mode that it will meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import numpy as np

from . import jpeg_past_coder, peers, worker_threads
from .codebook_store import load_codebook
from .coders import JPEG_PAST
from .decoder import decode
from .encoder import encode
from .planes import mode_of_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .codebook import Codebook
    from .container import Mode

    Array = NDArray[Any]
    Progress = Callable[[str, int, int], None]

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

WARM_SIDE = 256
"""Peers are warmed up on the middle of this size of a picture."""


@dataclass(frozen=True)
class Contender:
    """A codec in a comparison; the peers' places are filled by `peers.peers_for` for each mode."""

    name: str
    encode: Callable[[Array], bytes]
    decode: Callable[[bytes], Array]
    max_side: int = peers.NO_LIMIT
    is_peer: bool = False


@dataclass
class Outcome:
    """What a codec made of images of one mode.

    Attributes
    ----------
    file_bytes : list of int
        Of each image.
    encode_seconds, decode_seconds : list of list of float
        Of each image, in each repeat.
    refusal : str
        Why there are no figures; empty where there are.
    """

    name: str
    is_peer: bool
    file_bytes: list[int] = field(default_factory=list)
    encode_seconds: list[list[float]] = field(default_factory=list)
    decode_seconds: list[list[float]] = field(default_factory=list)
    refusal: str = ""
    is_fault: bool = False

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(self.file_bytes)

    def refuse(self, reason: str, *, is_fault: bool = False) -> None:
        """Take the codec out of the comparison."""
        self.refusal, self.is_fault = reason, is_fault
        self.file_bytes, self.encode_seconds, self.decode_seconds = [], [], []


@dataclass
class Group:
    """Images that are compared together, and what came of it.

    Attributes
    ----------
    name : str
        Of the mode, or of the set.
    n_images, raw_bytes : int
        Bilevel samples count 1 bit, in whole bytes a row.
    outcomes : list of Outcome
    """

    name: str
    n_images: int
    raw_bytes: int
    outcomes: list[Outcome]

    @property
    def best_peer(self) -> Outcome | None:
        """The peer with the smallest files."""
        able = [each for each in self.outcomes if each.is_peer and not each.refusal]
        return min(able, key=lambda each: each.total_bytes, default=None)

    def outcome(self, name: str) -> Outcome | None:
        """Return what the codec of a name made of the images, None if it is not among them."""
        return next((each for each in self.outcomes if each.name == name), None)

    def encode_speed(self, outcome: Outcome) -> float:
        """MB of raw samples a second, by the medians of each image."""
        return self._speed(outcome.encode_seconds)

    def decode_speed(self, outcome: Outcome) -> float:
        """MB of raw samples a second, by the medians of each image."""
        return self._speed(outcome.decode_seconds)

    def _speed(self, seconds: list[list[float]]) -> float:
        return self.raw_bytes / 1e6 / max(sum(map(median, seconds)), 1e-9)


def scf(effort: int, choice: str | Codebook = "auto", coder: str = "auto") -> Contender:
    """Return ``.scf`` at an effort, with ``"auto"``, ``"none"`` or a codebook."""
    book = load_codebook(choice) if choice not in ("auto", "none") else None
    name = f"SCF, effort {effort}"
    if choice != "auto":
        name += f", {book.name}" if book else ", no codebook"
    if coder != "auto":
        name += ", without JPEG pasts" if coder == "pixels" else f", {coder}"
    return Contender(
        name,
        lambda array: encode(array, codebook=book or choice, effort=effort, coder=coder),
        lambda data: decode(data, codebooks=[book] if book else []),
    )


def was_jpeg(array: Array) -> bool:
    """Whether ``.scf`` finds that a picture was a JPEG once."""
    mode = mode_of_array(array)
    return JPEG_PAST.codes(mode) and jpeg_past_coder.find_past(array, mode) is not None


def compare(
    images: Sequence[Array],
    contenders: Sequence[Contender],
    *,
    with_peers: bool = True,
    repeats: int = 1,
    threads: int = 1,
    progress: Progress | None = None,
) -> list[Group]:
    """Code and decode all images by all codecs, in turns.

    Parameters
    ----------
    images : sequence of ndarray
    contenders : sequence of Contender
        Ours; the peers stand after them.
    with_peers : bool
    repeats : int
        Speeds are medians of so many turns; what comes back is compared in each.
    threads : int
        For each codec, where it can use them.
    progress : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    list of Group
        One for each mode, in the order of the images; where there are several, all images last.
    """
    by_mode: dict[str, list[Array]] = {}
    for array in images:
        by_mode.setdefault(mode_of_array(array).name, []).append(array)
    turns = _Turns(progress, len(images) * repeats)
    clock = perf_counter if threads > 1 else cpu_seconds
    groups = []
    with _thread_limit(threads):
        for arrays in by_mode.values():
            mode = mode_of_array(arrays[0])
            codecs, outcomes = _line_up(mode, contenders, with_peers, threads)
            _warm(codecs, outcomes, arrays[0])
            for repeat in range(repeats):
                for index, array in enumerate(arrays):
                    for codec, outcome in _rotated(codecs, outcomes, index + repeat):
                        turns.show(outcome.name)
                        if not outcome.refusal:
                            _take_turn(codec, outcome, array, index, clock)
                    turns.finish()
            groups.append(Group(mode.name, len(arrays), _raw_bytes(arrays), outcomes))
    return groups if len(groups) < 2 else [*groups, together("all images", groups)]


def together(name: str, groups: Sequence[Group]) -> Group:
    """Return groups as one; a codec that holds not all of them has no figures for the whole."""
    names = dict.fromkeys(each.name for group in groups for each in group.outcomes)
    outcomes = []
    for codec in names:
        parts = [(group.name, group.outcome(codec)) for group in groups]
        known = [part for _, part in parts if part is not None]
        whole = Outcome(codec, known[0].is_peer)
        for part in known:
            whole.file_bytes += part.file_bytes
            whole.encode_seconds += part.encode_seconds
            whole.decode_seconds += part.decode_seconds
        reasons: dict[str, list[str]] = {}
        for group_name, found in parts:
            if found is None or found.refusal:
                reason = "not compared" if found is None else found.refusal
                reasons.setdefault(reason, []).append(group_name)
        if reasons:
            text = "; ".join(f"{', '.join(where)}: {reason}" for reason, where in reasons.items())
            whole.refuse(text, is_fault=any(part.is_fault for part in known))
        outcomes.append(whole)
    return Group(
        name,
        sum(group.n_images for group in groups),
        sum(group.raw_bytes for group in groups),
        outcomes,
    )


def cpu_seconds() -> float:
    """Return the CPU time of this process and of the programs that it ran, all threads together."""
    if resource is None:
        return process_time()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return process_time() + children.ru_utime + children.ru_stime


class _Turns:
    """Tells how many images all codecs are through with."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._done, self._total = progress, 0, total

    def show(self, stage: str) -> None:
        if self._progress is not None:
            self._progress(stage, self._done, self._total)

    def finish(self) -> None:
        self._done += 1
        self.show("")


def _rotated(
    codecs: Sequence[Contender], outcomes: Sequence[Outcome], turn: int
) -> list[tuple[Contender, Outcome]]:
    """Return codecs with their outcomes, in an order that differs from turn to turn."""
    pairs = list(zip(codecs, outcomes, strict=False))
    first = turn % max(1, len(pairs))
    return pairs[first:] + pairs[:first]


@contextmanager
def _thread_limit(threads: int) -> Iterator[None]:
    token = worker_threads.thread_limit.set(threads)
    try:
        yield
    finally:
        worker_threads.thread_limit.reset(token)


def _line_up(
    mode: Mode, contenders: Sequence[Contender], with_peers: bool, threads: int
) -> tuple[list[Contender], list[Outcome]]:
    """Return codecs with their outcomes, and after them the outcomes of those that cannot."""
    codecs = list(contenders)
    refused = {}
    if with_peers:
        codecs += [
            Contender(peer.name, peer.encode, peer.decode, peer.max_side, is_peer=True)
            for peer in peers.peers_for(mode, threads=threads).values()
        ]
        refused = peers.refusals(mode)
    outcomes = [Outcome(codec.name, codec.is_peer) for codec in codecs]
    outcomes += [Outcome(name, True, refusal=reason) for name, reason in refused.items()]
    return codecs, outcomes


def _warm(codecs: Sequence[Contender], outcomes: Sequence[Outcome], array: Array) -> None:
    """Let every codec load and compile what it needs; slow peers on the middle of the picture."""
    top, left = ((length - min(length, WARM_SIDE)) // 2 for length in array.shape[:2])
    middle = np.ascontiguousarray(array[top : top + WARM_SIDE, left : left + WARM_SIDE])
    for codec, outcome in zip(codecs, outcomes, strict=False):
        try:
            for picture in (middle,) if codec.is_peer else (middle, array):
                codec.decode(codec.encode(picture))
        except Exception as error:  # one codec's failure must not lose the others' figures
            outcome.refuse(f"failed: {error or type(error).__name__}", is_fault=True)


def _take_turn(
    codec: Contender, outcome: Outcome, array: Array, index: int, clock: Callable[[], float]
) -> None:
    """Code an image, and note what came of it; a codec that fails is out from then on."""
    height, width = array.shape[:2]
    if max(height, width) > codec.max_side:
        outcome.refuse(f"no side above {codec.max_side}, an image has {width} x {height}")
        return
    try:
        start = clock()
        data = codec.encode(array)
        encoded = clock()
        again = codec.decode(data)
        decoded = clock()
    except Exception as error:
        outcome.refuse(f"failed: {error or type(error).__name__}", is_fault=True)
        return
    same = again.dtype == array.dtype and np.array_equal(again, array)
    if not same:
        outcome.refuse(f"image {index + 1} did not come back exactly", is_fault=True)
        return
    if len(outcome.file_bytes) == index:  # the first turn
        outcome.file_bytes.append(len(data))
        outcome.encode_seconds.append([])
        outcome.decode_seconds.append([])
    outcome.encode_seconds[index].append(encoded - start)
    outcome.decode_seconds[index].append(decoded - encoded)


def _raw_bytes(arrays: Sequence[Array]) -> int:
    return sum(mode_of_array(each).raw_size(each.shape[1], each.shape[0]) for each in arrays)
