"""The coder of quantised DCT coefficients (SPEC 5J.5): whole components, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .context_tables import tables
from .errors import CorruptStreamError, TruncatedStreamError
from .kernels import coefficient_kernels as kernels
from .kernels import entropy_kernels, status
from .kernels.lanes import LANES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .coefficient_prior import CoefficientPrior
    from .jpeg_emulation import Coefficients
    from .quantiser_tables import Table

ZIGZAG = (
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
)  # fmt: skip

INNER = tuple(at for at in ZIGZAG if at >> 3 and at & 7)

EDGES = (8192, 11363, 10703, 9633, 8192, 6436, 4433, 2260)
"""8192 times the square root of 2 times cos(u pi / 16), the first without the root."""

COUNT_LIMIT = 255
PACE = 10
START_WEIGHT = 0.3


class Model:
    """The adaptive state of all components, neutral or a codebook's."""

    def __init__(self, prior: CoefficientPrior | None = None) -> None:
        n_kinds = kernels.N_KINDS
        self.states = np.full(n_kinds * kernels.STATES_OF_KIND, 1 << 31, np.uint32)
        self.weights = np.full(
            n_kinds * kernels.ROWS_OF_KIND * LANES, int(START_WEIGHT * 65536 / 2), np.int32
        )
        self.plain = np.full(n_kinds * kernels.PLAIN_OF_KIND, 1 << 31, np.uint32)

    def code(self, index, source, blocks, shapes, table, sampling, interval, data, *, decoding):
        """Code one component; `blocks` of all components with their margins."""
        order = np.array(INNER, np.int64)
        edges = np.array(EDGES, np.int64)
        others = blocks[index - 1].reshape(-1) if index else np.zeros(0, np.int16)
        other = shapes[index - 1] if index else (1, 1)
        finer = [0, 0]
        if index:
            finer = [a // b - 1 for a, b in zip(sampling[index], sampling[index - 1], strict=True)]
        geometry = (*shapes[index], index, *other, *finer, COUNT_LIMIT, PACE)
        all_tables = tables()
        return kernels.code_blocks(
            source[index].reshape(-1), blocks[index].reshape(-1), others, geometry, np.array(table, np.int64), order, edges,
            self.states, self.weights, self.plain, all_tables.stretch, all_tables.squash,
            all_tables.rates, interval, data, decoding,
        )  # fmt: skip


def _with_margin(shape):
    return np.zeros((shape[0] + 1, shape[1] + 2, 64), np.int16)


def encode_coefficients(planes, steps, sampling, prior=None):
    model = Model(prior)
    shapes = [plane.shape[:2] for plane in planes]
    source = [_with_margin(shape) for shape in shapes]
    for padded, plane in zip(source, planes, strict=True):
        padded[1:, 1:-1] = plane
    blocks = [_with_margin(shape) for shape in shapes]
    n = sum(plane.size for plane in planes)
    data = np.empty(2 * n + (n // 16) + 4096, np.uint8)
    interval = np.array([0, 0xFFFFFFFF, 0, 0], np.int64)
    for index in range(len(planes)):
        result, row = model.code(index, source, blocks, shapes, steps[index], sampling, interval, data, decoding=False)
        assert result == status.OK
    end = entropy_kernels.finish_arithmetic(interval[:2].copy(), data, int(interval[3]))
    return data[: int(end)].tobytes()


def decode_coefficients(payload, shapes, steps, sampling, prior=None):
    model = Model(prior)
    blocks = [_with_margin(shape) for shape in shapes]
    data = np.frombuffer(bytearray(payload), np.uint8)
    code = int.from_bytes(payload[:4].ljust(4, b"\0"), "big")
    interval = np.array([0, 0xFFFFFFFF, code, 4], np.int64)
    for index in range(len(shapes)):
        result, row = model.code(index, blocks, blocks, shapes, steps[index], sampling, interval, data, decoding=True)
        if result == status.TRUNCATED:
            raise TruncatedStreamError(f"payload: coefficients end at component {index}, block row {row}")
        if result != status.OK:
            raise CorruptStreamError(f"payload: component {index}, block row {row}: too many coefficients")
    end = int(entropy_kernels.end_of_arithmetic(interval[:2], int(interval[3])))
    if len(payload) < end:
        raise TruncatedStreamError(f"payload: {len(payload)} bytes of coefficients, their code has {end}")
    if len(payload) > end:
        raise CorruptStreamError(f"payload: {len(payload) - end} bytes follow the coefficients")
    return [np.ascontiguousarray(each[1:, 1:-1]) for each in blocks]
