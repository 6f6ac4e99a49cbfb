"""Predictors, residuals and their mapping to non-negative numbers (SPEC 5.3 to 5.6)."""

import numpy as np

from . import status
from .allocation import zero_array
from .jit import inlined, kernel

NO_PREDICTOR, MED, GAP = 0, 1, 2

_GAP_CONTEXTS = 256 * 8


@inlined
def _med(west, north, north_west):
    """Predict by the median edge detector (SPEC 5.4)."""
    low, high = min(west, north), max(west, north)
    if north_west >= high:
        return low
    if north_west <= low:
        return high
    return west + north - north_west


@inlined
def _neighbours(plane, row, column):
    """Return W, N, NW, NE, WW, NN, NNE with the borders of SPEC 5.3."""
    west = north = np.int64(0)
    if row > 0:
        north = np.int64(plane[row - 1, column])
    if column > 0:
        west = np.int64(plane[row, column - 1])
        if row == 0:
            north = west
    else:
        west = north
    north_west = np.int64(plane[row - 1, column - 1]) if row > 0 and column > 0 else north
    last = plane.shape[1] - 1
    north_east = np.int64(plane[row - 1, column + 1]) if row > 0 and column < last else north
    west_west = np.int64(plane[row, column - 2]) if column > 1 else west
    north_north = np.int64(plane[row - 2, column]) if row > 1 else north
    far_east = np.int64(plane[row - 2, column + 1]) if row > 1 and column < last else north_east
    return west, north, north_west, north_east, west_west, north_north, far_east


@inlined
def _gap(west, north, north_west, north_east, vertical, horizontal):
    """Predict by the gradient-adjusted predictor, in sixteenths (SPEC 5.5)."""
    slope = vertical - horizontal
    if slope > 80:
        return west * 16
    if slope < -80:
        return north * 16
    value = (west + north) * 8 + (north_east - north_west) * 4
    if slope > 32:
        return (value + west * 16) >> 1
    if slope > 8:
        return (3 * value + west * 16) >> 2
    if slope < -32:
        return (value + north * 16) >> 1
    if slope < -8:
        return (3 * value + north * 16) >> 2
    return value


@inlined
def _energy_level(energy):
    """Quantise the local energy to 0..7 (SPEC 5.5)."""
    level = 0
    if energy > 5:
        level += 1
    if energy > 15:
        level += 1
    if energy > 25:
        level += 1
    if energy > 42:
        level += 1
    if energy > 60:
        level += 1
    if energy > 85:
        level += 1
    if energy > 140:
        level += 1
    return level


@inlined
def _predict(plane, row, column, predictor, feedback, state, lowest, highest):
    """Return the clamped prediction; `state` keeps what `_learn` needs (SPEC 5.4, 5.5).

    Both directions call this with the same causal samples, so they cannot drift apart.
    """
    if predictor == NO_PREDICTOR:
        return min(max(np.int64(0), lowest), highest)
    west, north, north_west, north_east, west_west, north_north, far_east = _neighbours(
        plane, row, column
    )
    if predictor == MED:
        return min(max(_med(west, north, north_west), lowest), highest)
    horizontal = abs(west - west_west) + abs(north - north_west) + abs(north - north_east)
    vertical = abs(west - north_west) + abs(north - north_north) + abs(north_east - far_east)
    plain = _gap(west, north, north_west, north_east, vertical, horizontal)
    texture = (
        (np.int64(2 * west - west_west) * 16 < plain) << 7
        | (np.int64(2 * north - north_north) * 16 < plain) << 6
        | (west_west * 16 < plain) << 5
        | (north_north * 16 < plain) << 4
        | (north_east * 16 < plain) << 3
        | (north_west * 16 < plain) << 2
        | (west * 16 < plain) << 1
        | (north * 16 < plain)
    )
    error_west = abs(west * 16 - state[1]) >> 4 if column > 0 else np.int64(0)
    context = texture * 8 + _energy_level(horizontal + vertical + 2 * error_west)
    refined = plain
    if feedback[context, 0] > 0:
        refined += (feedback[context, 1] * 16) // feedback[context, 0]
    state[0] = context
    state[1] = plain
    state[2] = refined
    return (min(max(refined, lowest * 16), highest * 16) + 15) >> 4


@inlined
def _learn(sample, predictor, feedback, state):
    """Update the error feedback of the context that `_predict` left in `state` (SPEC 5.5)."""
    if predictor != GAP:
        return
    context = state[0]
    feedback[context, 0] += 1
    feedback[context, 1] += (sample * 16 - state[2]) >> 4
    if feedback[context, 0] == 128:
        feedback[context, 0] = 64
        feedback[context, 1] >>= 1


@kernel
def map_residuals(plane, predictor, lowest, highest, mapped):
    """Fill `mapped` (uint16) with the mapped residuals of `plane` (int32) (SPEC 5.6)."""
    feedback = zero_array((_GAP_CONTEXTS, 2), np.int64)
    state = zero_array(3, np.int64)
    low, high = np.int64(lowest), np.int64(highest)
    for row in range(plane.shape[0]):
        for column in range(plane.shape[1]):
            prediction = _predict(plane, row, column, predictor, feedback, state, low, high)
            sample = np.int64(plane[row, column])
            error = sample - prediction
            both = min(prediction - low, high - prediction)
            if error > both or -error > both:
                mapped[row, column] = abs(error) + both
            elif error >= 0:
                mapped[row, column] = 2 * error
            else:
                mapped[row, column] = -2 * error - 1
            _learn(sample, predictor, feedback, state)


@kernel
def unmap_residuals(mapped, predictor, lowest, highest, plane, n_rows):
    """Fill `plane` (int32) from mapped residuals; inverse of `map_residuals` (SPEC 5.6).

    Only the first `n_rows` rows are done. Returns (status, raster position).
    """
    feedback = zero_array((_GAP_CONTEXTS, 2), np.int64)
    state = zero_array(3, np.int64)
    low, high = np.int64(lowest), np.int64(highest)
    for row in range(n_rows):
        for column in range(plane.shape[1]):
            prediction = _predict(plane, row, column, predictor, feedback, state, low, high)
            value = np.int64(mapped[row, column])
            both = min(prediction - low, high - prediction)
            if value > 2 * both:
                error = value - both
                if prediction - low < high - prediction:
                    sample = prediction + error
                else:
                    sample = prediction - error
            elif value & 1:
                sample = prediction - ((value + 1) >> 1)
            else:
                sample = prediction + (value >> 1)
            if sample < low or sample > high:
                return status.SAMPLE_OUT_OF_RANGE, row * plane.shape[1] + column
            plane[row, column] = sample
            _learn(sample, predictor, feedback, state)
    return status.OK, 0
