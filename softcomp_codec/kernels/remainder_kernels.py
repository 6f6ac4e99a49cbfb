"""What unrounded samples leave of the pixels (SPEC 5J.9), by the coder of SPEC 4.4."""

import numpy as np

from . import status
from .allocation import zero_array
from .correction_kernels import (
    N_MAGNITUDE_STATES,
    WORST_BITS,
    _code,
    _code_magnitude,
    _is_over,
)
from .jit import kernel

N_FRACTIONS, N_TROUBLES, N_CHANNELS = 32, 3, 3
N_PLACES = N_CHANNELS * 64

_NONZERO = 0
_SIGN = _NONZERO + N_CHANNELS * N_TROUBLES * 8 * N_FRACTIONS
_MAGNITUDE = _SIGN + N_CHANNELS * N_TROUBLES * N_FRACTIONS
N_REMAINDER_STATES = _MAGNITUDE + N_CHANNELS * N_TROUBLES * N_MAGNITUDE_STATES

WORST_BYTES = N_CHANNELS * 24 * WORST_BITS // 8
"""Bytes that one pixel can take."""

_LEVEL_BITS = 10
"""Predictions are in 1024ths of a level, their biases in 64ths of that."""

_RED_OF_CR, _BLUE_OF_CB, _GREEN_OF_CR, _GREEN_OF_CB = 91881, 116130, 46802, 22554
"""JFIF's conversion, in 65536ths."""

_HIGHEST = 255 << _LEVEL_BITS
_LARGEST_MOVE = 2 << _LEVEL_BITS


@kernel
def code_remainders(y, cb, cr, top, left, picture, states, interval, data, decoding):
    """Code what is left of the pixels after the prediction by unrounded samples (SPEC 5J.9).

    Parameters
    ----------
    y, cb, cr : ndarray, int32, (rows, columns)
        The components' samples in 64ths, half a sample added, about 0.
    top, left : int
        Their rows and columns above and left of the picture.
    picture : ndarray, uint8, (H, W, 3)
        Filled where `decoding`.
    states : ndarray, uint32, (N_REMAINDER_STATES,)
    interval : ndarray, int64, (4,)
        The coder's low, high, code and position in `data`.

    Returns
    -------
    (status, row)
    """
    n_rows, n_columns = picture.shape[0], picture.shape[1]
    biases = zero_array(N_PLACES, np.int64)
    sizes = zero_array((n_columns + 1, N_CHANNELS), np.int64)  # of N, and before them that of W
    predicted = zero_array(N_CHANNELS, np.int64)
    half = np.int64(1) << (_LEVEL_BITS - 1)
    for i in range(n_rows):
        if _is_over(interval, data, decoding, WORST_BYTES * n_columns):
            return (status.TRUNCATED if decoding else status.FULL), i
        sizes[0] = 0
        row = (i + top) & 7
        for j in range(n_columns):
            luma = (np.int64(y[i + top, j + left]) - 32 + (128 << 6)) << 16
            blue = np.int64(cb[i + top, j + left]) - 32
            red = np.int64(cr[i + top, j + left]) - 32
            predicted[0] = luma - _GREEN_OF_CB * blue - _GREEN_OF_CR * red
            predicted[1] = luma + _RED_OF_CR * red
            predicted[2] = luma + _BLUE_OF_CB * blue
            for step in range(N_CHANNELS):
                channel = 1 - step if step < 2 else 2  # green, red, blue
                place = 64 * step + 8 * row + ((j + left) & 7)
                exact = ((predicted[step] + 2048) >> 12) + (biases[place] >> 6)
                exact = min(max(exact, np.int64(0)), np.int64(_HIGHEST))
                level = (exact + half) >> _LEVEL_BITS
                fraction = ((exact + half) & (2 * half - 1)) >> (_LEVEL_BITS - 5)
                largest = max(sizes[0, step], sizes[j + 1, step])
                trouble = np.int64(largest > 1) + np.int64(largest > 3)
                kind = N_TROUBLES * step + trouble
                left_over = np.int64(picture[i, j, channel]) - level
                at = _NONZERO + (kind * 8 + row) * N_FRACTIONS + fraction
                size = np.int64(0)
                if _code(np.int64(left_over != 0), states, at, interval, data, decoding):
                    at = _SIGN + kind * N_FRACTIONS + fraction
                    negative = _code(np.int64(left_over < 0), states, at, interval, data, decoding)
                    at = _MAGNITUDE + kind * N_MAGNITUDE_STATES
                    size = _code_magnitude(abs(left_over), states, at, interval, data, decoding)
                    left_over = -size if negative else size
                elif decoding:
                    left_over = np.int64(0)
                sample = level + left_over
                if decoding:
                    if sample < 0 or sample > 255:
                        return status.SAMPLE_OUT_OF_RANGE, i
                    picture[i, j, channel] = sample
                move = min(max((sample << _LEVEL_BITS) - exact, -_LARGEST_MOVE), _LARGEST_MOVE)
                biases[place] += move >> 2
                sizes[0, step] = size
                sizes[j + 1, step] = size
    return status.OK, n_rows
