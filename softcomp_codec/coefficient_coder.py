"""The coder of quantised DCT coefficients (SPEC 5J.5): whole components, one after the other."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from .context_tables import tables
from .errors import CorruptStreamError, TruncatedStreamError
from .kernels import coefficient_kernels as kernels
from .kernels import entropy_kernels, status
from .kernels.vectors import LANES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .coefficient_prior import CoefficientPrior
    from .jpeg_emulation import Coefficients
    from .quantiser_tables import Table

    Shape = tuple[int, int]
    """Blocks down and across."""

    Sampling = tuple[int, int]
    """Pixels for each sample, down and across."""

ZIGZAG = (
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
)  # fmt: skip

INNER = tuple(at for at in ZIGZAG if at >> 3 and at & 7)
"""Coefficients that are in neither the first row nor the first column, in their order."""

EDGES = (8192, 11363, 10703, 9633, 8192, 6436, 4433, 2260)
"""8192, and 8192 times the square root of 2 times cos(u pi / 16) for u of 1 to 7."""

NEUTRAL = 1 << 31
"""A state of which nothing is known."""

COUNT_LIMIT = 255
PACE, HASTE = 14, 6000
"""Of the weights: for ever, and what is added at the start of a component."""

PACE_OF_KNOWN = 8
"""Of weights that a codebook teaches, from the start."""

START_WEIGHT = 6500

MOST_SPARE = 2
"""So often the memory of states, 9 MB, is kept for the next model: the system takes milliseconds to
give it anew."""

_spare_states: list[NDArray[np.uint32]] = []

WORST_BYTES = kernels.WORST_BYTES
MOST_BYTES = 4
"""A coefficient; more than those of any picture take."""


@cache
def _rates() -> NDArray[np.int32]:
    """Return the share of the error by which a state moves after n bits, in 1/65536."""
    numbers: NDArray[np.int64] = np.arange(COUNT_LIMIT + 1)
    return (655360 // (10 * numbers + 23)).astype(np.int32)


def n_states(n_components: int) -> int:
    """Return the number of states: the mixed ones of all components, then the plain ones."""
    return n_components * (kernels.STATES_OF_KIND + kernels.PLAIN_OF_KIND)


def n_weights(n_components: int) -> int:
    """Return the number of weights of all components."""
    return n_components * kernels.ROWS_OF_KIND * LANES


class _Model:
    """The adaptive state of all components, and the blocks known so far.

    With `counts` (uint32, 2 for each state) it counts the 0s and 1s that the states meet.
    """

    def __init__(
        self,
        shapes: Sequence[Shape],
        steps: Sequence[Table],
        sampling: Sequence[Sampling],
        prior: CoefficientPrior | None = None,
        counts: NDArray[np.uint32] | None = None,
    ) -> None:
        n_kinds = len(shapes)
        self._shapes, self._steps, self._sampling = shapes, steps, sampling
        weights = None if prior is None else prior.weights_table
        self._all_states = _take_states()
        states = self._all_states[: n_states(n_kinds)]
        states[:] = NEUTRAL if prior is None else prior.states_table
        n_mixed = n_kinds * kernels.STATES_OF_KIND
        self._states, self._plain = states[:n_mixed], states[n_mixed:]
        self.weights = np.full(n_weights(n_kinds), START_WEIGHT, np.int32)
        if weights is not None:
            self.weights[:] = weights
        self._paces = (PACE, HASTE) if weights is None else (PACE_OF_KNOWN, 0)
        self._counts = np.zeros(0, np.uint32) if counts is None else counts
        self.blocks = [_with_margin(shape) for shape in shapes]

    def code(
        self,
        index: int,
        source: NDArray[np.int16],
        interval: NDArray[np.int64],
        data: NDArray[np.uint8],
        *,
        decoding: bool,
    ) -> tuple[int, int]:
        """Code one component, after those before it; return (status, row of blocks)."""
        others, other, finer = np.zeros(0, np.int16), (1, 1), [0, 0]
        if index:
            others, other = self.blocks[index - 1].reshape(-1), self._shapes[index - 1]
            pairs = zip(self._sampling[index], self._sampling[index - 1], strict=True)
            finer = [ours // theirs - 1 for ours, theirs in pairs]
        geometry = (*self._shapes[index], index, *other, *finer, COUNT_LIMIT, *self._paces)
        shared = tables()
        result, row = kernels.code_blocks(
            source.reshape(-1), self.blocks[index].reshape(-1), others, geometry,
            np.array(self._steps[index], np.int64), np.array(INNER, np.int64),
            np.array(EDGES, np.int64), self._states, self.weights, self._plain, shared.stretch,
            shared.squash, _rates(), self._counts, interval, data, decoding,
        )  # fmt: skip
        return int(result), int(row)

    def give_back(self) -> None:
        """Leave the memory of the states to the next model."""
        if len(_spare_states) < MOST_SPARE:
            _spare_states.append(self._all_states)


def _take_states() -> NDArray[np.uint32]:
    """Return memory for the states of most components, with anything in it."""
    try:
        return _spare_states.pop()
    except IndexError:
        return np.empty(n_states(kernels.N_KINDS), np.uint32)


def _with_margin(shape: Shape) -> Coefficients:
    return np.zeros((shape[0] + 1, shape[1] + 2, 64), np.int16)


def encode_coefficients(
    planes: Sequence[Coefficients],
    steps: Sequence[Table],
    sampling: Sequence[Sampling],
    prior: CoefficientPrior | None = None,
    counts: NDArray[np.uint32] | None = None,
    weights: NDArray[np.int32] | None = None,
) -> bytes | None:
    """Return the code of all components (SPEC 5J.5); inverse of `decode_coefficients`.

    None of hopeless ones.

    Parameters
    ----------
    planes : sequence of ndarray, int16, (blocks down, blocks across, 64)
        Coefficients row by row; one component or three.
    steps : sequence of tuple of int
        64 quantiser steps of each component.
    sampling : sequence of tuple of int
        Pixels for each sample of a component, down and across.
    prior : CoefficientPrior, optional
        Where the models start.
    counts : ndarray, uint32, optional
        The 0s and 1s that each state meets are added to it; for training.
    weights : ndarray, int32, optional
        The weights at the start, instead of the prior's, and at the end; for training.
    """
    shapes = [(int(plane.shape[0]), int(plane.shape[1])) for plane in planes]
    model = _Model(shapes, steps, sampling, prior, counts)
    if weights is not None:
        model.weights = weights
    data = np.empty(MOST_BYTES * sum(plane.size for plane in planes) + WORST_BYTES, np.uint8)
    interval = np.array([0, 0xFFFFFFFF, 0, 0], np.int64)
    for index, (plane, shape) in enumerate(zip(planes, shapes, strict=True)):
        source = _with_margin(shape)
        source[1:, 1:-1] = plane
        result, _ = model.code(index, source, interval, data, decoding=False)
        if result != status.OK:
            return None
    model.give_back()
    end = entropy_kernels.finish_arithmetic(interval[:2].copy(), data, int(interval[3]))
    return data[: int(end)].tobytes()


def decode_coefficients(
    code: bytes,
    shapes: Sequence[Shape],
    steps: Sequence[Table],
    sampling: Sequence[Sampling],
    prior: CoefficientPrior | None = None,
) -> list[Coefficients]:
    """Return the coefficients of all components; inverse of `encode_coefficients` (SPEC 5J.5).

    Raises
    ------
    CorruptStreamError, TruncatedStreamError
        The code holds too many coefficients of a block, or ends elsewhere than its last decision.
    """
    model = _Model(shapes, steps, sampling, prior)
    data = np.frombuffer(bytearray(code), np.uint8)
    start = int.from_bytes(code[:4].ljust(4, b"\0"), "big")
    interval = np.array([0, 0xFFFFFFFF, start, 4], np.int64)
    for index, blocks in enumerate(model.blocks):
        result, row = model.code(index, blocks, interval, data, decoding=True)
        where = f"payload, coefficients of component {index}, row {row} of blocks"
        if result == status.TRUNCATED:
            raise TruncatedStreamError(f"{where}: the code ends too early")
        if result != status.OK:
            raise CorruptStreamError(f"{where}: more than 49 inner coefficients in a block")
    model.give_back()
    end = int(entropy_kernels.end_of_arithmetic(interval[:2], int(interval[3])))
    if len(code) < end:
        raise TruncatedStreamError(
            f"payload: {len(code)} bytes of coefficients, their code has {end}"
        )
    if len(code) > end:
        raise CorruptStreamError(f"payload: {len(code) - end} bytes follow the coefficients' code")
    return [np.ascontiguousarray(each[1:, 1:-1]) for each in model.blocks]
