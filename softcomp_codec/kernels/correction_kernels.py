"""Sparse corrections of a decoded JPEG's samples and pixels (SPEC 5J.6, 5J.7).

Each kernel codes and decodes, by the adaptive binary arithmetic coder of SPEC 4.4. `interval`
(int64, 4) is the coder's low, high, code and position in `data`.
"""

import numpy as np

from . import status
from .allocation import zero_array
from .entropy_kernels import _TOP, VIRTUAL_BYTES, _byte, _probability, _split, _updated
from .jit import inlined, kernel
from .jpeg_kernels import FINE_BITS

MOST_UNARY = 12
N_MAGNITUDE_STATES = MOST_UNARY + 256
"""States of one magnitude: unary up to the first, then 8 bits."""

N_DENSITIES, N_NEIGHBOURS, N_MARGINS = 4, 3, 8

# States of a component's corrections, by its kind (luma, first chroma, second)
_DIRTY = 0
_NONZERO = _DIRTY + 10
_SIGN = _NONZERO + N_DENSITIES * N_NEIGHBOURS * N_MARGINS
_MAGNITUDE = _SIGN + 2 * 2 * 3
N_COMPONENT_STATES = _MAGNITUDE + 2 * N_MAGNITUDE_STATES

# States of the pixels' corrections
_CELL = 0
_PIXEL = _CELL + 5
_CHANNEL = _PIXEL + 5 * 2
_CHANNEL_SIGN = _CHANNEL + 3 * 3 * 2
_CHANNEL_MAGNITUDE = _CHANNEL_SIGN + 3 * 3 * 3 * 3
N_PIXEL_STATES = _CHANNEL_MAGNITUDE + 3 * 3 * N_MAGNITUDE_STATES

WORST_BITS = 12
"""Bits that one decision can take."""


@inlined
def _code(bit, states, at, interval, data, decoding):
    """Code one decision with a state, or return the decoded one (SPEC 4.4)."""
    low, high = interval[0], interval[1]
    state = states[at]
    middle = _split(low, high, _probability(state))
    if decoding:
        bit = np.int64(interval[2] <= middle)
    if bit:
        high = middle
    else:
        low = middle + 1
    while (low ^ high) >> 24 == 0:
        if decoding:
            interval[2] = (interval[2] << 8) & _TOP | _byte(data, interval[3])
        else:
            data[interval[3]] = high >> 24
        interval[3] += 1
        low = (low << 8) & _TOP
        high = (high << 8) & _TOP | 255
    interval[0], interval[1] = low, high
    states[at] = _updated(state, bit)
    return bit


@inlined
def _code_magnitude(value, states, at, interval, data, decoding):
    """Code a magnitude 1..255 (SPEC 5J.6)."""
    unary = np.int64(1)
    while unary <= MOST_UNARY:
        if not _code(np.int64(value > unary), states, at + unary - 1, interval, data, decoding):
            return unary
        unary += 1
    node = np.int64(1)
    for shift in range(7, -1, -1):
        bit = _code((value >> shift) & 1, states, at + MOST_UNARY + node, interval, data, decoding)
        node = node << 1 | bit
    return node & 255


@inlined
def _is_over(interval, data, decoding, reserve):
    """Whether the code has ended early, or its buffer is full."""
    if decoding:
        return interval[3] > len(data) + VIRTUAL_BYTES
    return interval[3] + reserve > len(data)


@inlined
def _marked_around(marked, i, j):
    """Return how many of the W, N, NW and NE neighbours are marked (0 or 1 each)."""
    found = np.int64(0)
    if j > 0:
        found += marked[i, j - 1]
    if i > 0:
        found += marked[i - 1, j]
        if j > 0:
            found += marked[i - 1, j - 1]
        if j + 1 < marked.shape[1]:
            found += marked[i - 1, j + 1]
    return found


@inlined
def _sign(value):
    return np.int64(value > 0) - np.int64(value < 0)


@kernel
def code_component(fine, corrections, dirty, beside, states, interval, data, decoding):
    """Code the corrections of a component's samples (SPEC 5J.6).

    Parameters
    ----------
    fine : ndarray, int32, (rows, columns)
        Samples before rounding, in 64ths.
    corrections : ndarray, int32, (rows, columns)
        Filled where `decoding`, all 0 before.
    dirty, beside : ndarray, uint8, (blocks down, blocks across)
        Which blocks have any, and those of the component before of the same size, or zeros.
    states : ndarray, uint32, (N_COMPONENT_STATES,)

    Returns
    -------
    (status, row)
    """
    n_rows, n_columns = fine.shape
    for i in range(dirty.shape[0]):
        for j in range(dirty.shape[1]):
            if _is_over(interval, data, decoding, 8 * 8 * 24 * WORST_BITS):
                return (status.TRUNCATED if decoding else status.FULL), 8 * i
            context = _marked_around(dirty, i, j) + 5 * np.int64(beside[i, j])
            dirty[i, j] = _code(
                np.int64(dirty[i, j]), states, _DIRTY + context, interval, data, decoding
            )
            if not dirty[i, j]:
                continue
            n_seen = n_found = np.int64(0)
            for y in range(8 * i, min(8 * i + 8, n_rows)):
                for x in range(8 * j, min(8 * j + 8, n_columns)):
                    west = north = diagonal = np.int64(0)
                    if x > 0:
                        west = np.int64(corrections[y, x - 1])
                    if y > 0:
                        north = np.int64(corrections[y - 1, x])
                        if x > 0:
                            diagonal = np.int64(corrections[y - 1, x - 1])
                    fraction = np.int64(fine[y, x]) & ((1 << FINE_BITS) - 1)
                    above = fraction >= 32
                    margin = (63 - fraction if above else fraction) >> 2
                    near = min(
                        np.int64(west != 0) + np.int64(north != 0) + np.int64(diagonal != 0), 2
                    )
                    density = np.int64(0)
                    if 16 * n_found >= n_seen:
                        density = (
                            1 + np.int64(6 * n_found >= n_seen) + np.int64(2 * n_found >= n_seen)
                        )
                    at = _NONZERO + (density * N_NEIGHBOURS + near) * N_MARGINS + margin
                    value = np.int64(corrections[y, x])
                    n_seen += 1
                    if not _code(np.int64(value != 0), states, at, interval, data, decoding):
                        continue
                    n_found += 1
                    side = 2 * np.int64(above) + np.int64(margin >= 4)
                    at = _SIGN + side * 3 + 1 + _sign(west)
                    negative = _code(np.int64(value < 0), states, at, interval, data, decoding)
                    large = np.int64(abs(west) > 1 or abs(north) > 1)
                    size = _code_magnitude(
                        abs(value), states, _MAGNITUDE + large * N_MAGNITUDE_STATES, interval, data,
                        decoding,
                    )  # fmt: skip
                    corrections[y, x] = -size if negative else size
    return status.OK, n_rows


@kernel
def code_pixels(predicted, differences, cells, states, interval, data, decoding):
    """Code what is left of the pixels after the colours (SPEC 5J.7).

    Parameters
    ----------
    predicted : ndarray, uint8, (H, W, 3)
    differences : ndarray, int16, (H, W, 3)
        Green, red and blue of the picture less the predicted; filled where `decoding`.
    cells : ndarray, uint8, (cells down, cells across)
        Which squares of 8 x 8 pixels have any.
    states : ndarray, uint32, (N_PIXEL_STATES,)

    Returns
    -------
    (status, row)
    """
    n_rows, n_columns = predicted.shape[0], predicted.shape[1]
    found = zero_array(3, np.int64)
    for i in range(cells.shape[0]):
        for j in range(cells.shape[1]):
            if _is_over(interval, data, decoding, 8 * 8 * 3 * 24 * WORST_BITS):
                return (status.TRUNCATED if decoding else status.FULL), 8 * i
            context = _marked_around(cells, i, j)
            cells[i, j] = _code(
                np.int64(cells[i, j]), states, _CELL + context, interval, data, decoding
            )
            if not cells[i, j]:
                continue
            for y in range(8 * i, min(8 * i + 8, n_rows)):
                for x in range(8 * j, min(8 * j + 8, n_columns)):
                    near = np.int64(0)
                    for channel in range(3):
                        found[channel] = 0
                    if x > 0:
                        for channel in range(3):
                            found[channel] = np.int64(differences[y, x - 1, channel])
                        near += np.int64(found[0] != 0 or found[1] != 0 or found[2] != 0)
                    if y > 0:
                        # the square to the right is not known yet, the one above it is
                        last_known = n_columns if y == 8 * i else min(8 * j + 8, n_columns)
                        for k in range(max(x - 1, 0), min(x + 2, last_known)):
                            near += np.int64(
                                differences[y - 1, k, 0] != 0
                                or differences[y - 1, k, 1] != 0
                                or differences[y - 1, k, 2] != 0
                            )
                    clipped = np.int64(0)
                    nonzero = np.int64(0)
                    for channel in range(3):
                        if predicted[y, x, channel] == 0 or predicted[y, x, channel] == 255:
                            clipped = 1
                        if differences[y, x, channel] != 0:
                            nonzero = 1
                    at = _PIXEL + near * 2 + clipped
                    if not _code(nonzero, states, at, interval, data, decoding):
                        continue
                    last, any_before = np.int64(0), False
                    for step in range(3):
                        channel = 1 - step if step < 2 else 2
                        value = np.int64(differences[y, x, channel])
                        west = found[channel]
                        if step < 2 or any_before:
                            at = _CHANNEL + (3 * step + 1 + _sign(last)) * 2 + np.int64(west != 0)
                            if not _code(
                                np.int64(value != 0), states, at, interval, data, decoding
                            ):
                                last = np.int64(0)
                                continue
                        any_before = True
                        limit = np.int64(predicted[y, x, channel] == 255) - np.int64(
                            predicted[y, x, channel] == 0
                        )
                        at = (
                            _CHANNEL_SIGN + ((3 * step + 1 + _sign(last)) * 3 + 1 + _sign(west)) * 3
                        )
                        at += 1 + limit
                        negative = _code(np.int64(value < 0), states, at, interval, data, decoding)
                        at = 3 * step + min(abs(west), 2)
                        size = _code_magnitude(
                            abs(value), states, _CHANNEL_MAGNITUDE + at * N_MAGNITUDE_STATES,
                            interval, data, decoding,
                        )  # fmt: skip
                        last = -size if negative else size
                        differences[y, x, channel] = last
    return status.OK, n_rows
