"""The published coder's predictors, shapes and locations (SPEC 5R)."""

import numpy as np

from . import status
from .allocation import zero_array
from .bit_kernels import (
    golomb_length,
    read_codeword,
    read_golomb,
    write_bits,
    write_golomb,
)
from .covering_kernels import is_free
from .jit import inlined, kernel
from .residual_kernels import MED

_N_FEEDBACK = 255 * 7 + 1
_ONE = 1 << 16
"""Predictions with error feedback are in 65536ths (SPEC 5R.4)."""


@inlined
def _at(plane, row, column):
    """Return a sample, 0 outside the plane."""
    if row < 0 or column < 0 or column >= plane.shape[1]:
        return np.int64(0)
    return np.int64(plane[row, column])


@inlined
def _med(plane, row, column):
    """Predict by the median edge detector with the published borders (SPEC 5R.3)."""
    west, north = _at(plane, row, column - 1), _at(plane, row - 1, column)
    if row == 0:
        return west
    if column == 0:
        return north
    north_west = _at(plane, row - 1, column - 1)
    if north_west >= max(west, north):
        return min(west, north)
    if north_west < min(west, north):
        return max(west, north)
    return west + north - north_west


@inlined
def _neighbours(plane, row, column):
    """Return W, N, NW, NE, WW, NN, NNE: 0 outside, with the substitutions of SPEC 5R.4."""
    west, north = _at(plane, row, column - 1), _at(plane, row - 1, column)
    north_west, north_east = _at(plane, row - 1, column - 1), _at(plane, row - 1, column + 1)
    west_west, north_north = _at(plane, row, column - 2), _at(plane, row - 2, column)
    far_east = _at(plane, row - 2, column + 1)
    if column > 0:
        if row == 0:
            north = north_north = west
        elif row == 1:
            north_north = north_west
    if row > 0:
        if column == 0:
            west = west_west = north
        elif column == 1:
            west_west = north_west
    return west, north, north_west, north_east, west_west, north_north, far_east


@inlined
def _gap(west, north, north_west, north_east, slope):
    """Predict by the gradient-adjusted predictor, in sixteenths: exact (SPEC 5R.4)."""
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
    """Quantise the energy, in sixteenths, to 0..7 (SPEC 5R.4)."""
    level = 0
    for limit in (5, 15, 25, 42, 60, 85, 140):
        if energy > 16 * limit:
            level += 1
    return level


@inlined
def _gap_with_feedback(plane, row, column, feedback, state, lowest, highest):
    """Return the prediction; `state` keeps context, GAP and refined value (SPEC 5R.4)."""
    if column == 0:  # the sample left of the plane, 0, predicted from what surrounds it
        beyond, above = _at(plane, row - 1, 0), _at(plane, row - 2, 0)
        slope = abs(beyond - above) - abs(beyond)
        state[1] = _gap(np.int64(0), np.int64(0), np.int64(0), beyond, slope)
    error = abs(_at(plane, row, column - 1) * 16 - state[1])
    west, north, north_west, north_east, west_west, north_north, far_east = _neighbours(
        plane, row, column
    )
    horizontal = abs(west - west_west) + abs(north - north_west) + abs(north - north_east)
    vertical = abs(west - north_west) + abs(north - north_north) + abs(north_east - far_east)
    plain = _gap(west, north, north_west, north_east, vertical - horizontal)
    texture = (
        np.int64((2 * west - west_west) * 16 < plain) << 7
        | np.int64((2 * north - north_north) * 16 < plain) << 6
        | np.int64(west_west * 16 < plain) << 5
        | np.int64(north_north * 16 < plain) << 4
        | np.int64(north_east * 16 < plain) << 3
        | np.int64(north_west * 16 < plain) << 2
        | np.int64(west * 16 < plain) << 1
        | np.int64(north * 16 < plain)
    )
    context = texture * _energy_level((horizontal + vertical) * 16 + 2 * error)
    refined = plain * (_ONE // 16)
    if feedback[context, 0] > 0:
        refined += feedback[context, 1] // feedback[context, 0]
    state[0] = context
    state[1] = plain
    state[2] = refined
    return (min(max(refined, lowest * _ONE), highest * _ONE) + _ONE - 1) >> 16


@inlined
def _learn(sample, feedback, state):
    """Update the error feedback after a sample (SPEC 5R.4)."""
    context = state[0]
    feedback[context, 0] += 1
    feedback[context, 1] += ((sample * _ONE - state[2]) >> 16) * _ONE
    if feedback[context, 0] == 128:
        feedback[context, 0] = 64
        feedback[context, 1] >>= 1


@kernel
def map_published(plane, predictor, lowest, highest, mapped):
    """Fill `mapped` (uint16) with the mapped residuals of `plane` (int32) (SPEC 5R.5)."""
    feedback = zero_array((_N_FEEDBACK, 2), np.int64)
    state = zero_array(3, np.int64)
    low, high = np.int64(lowest), np.int64(highest)
    for row in range(plane.shape[0]):
        for column in range(plane.shape[1]):
            sample = np.int64(plane[row, column])
            if predictor == MED:
                error = sample - _med(plane, row, column)
            else:
                error = sample - _gap_with_feedback(plane, row, column, feedback, state, low, high)
                _learn(sample, feedback, state)
            mapped[row, column] = 2 * error if error >= 0 else -2 * error - 1


@kernel
def unmap_published(mapped, predictor, lowest, highest, plane, n_rows):
    """Fill the first `n_rows` rows of `plane` (int32); inverse of `map_published` (SPEC 5R.5).

    Returns (status, raster position).
    """
    feedback = zero_array((_N_FEEDBACK, 2), np.int64)
    state = zero_array(3, np.int64)
    low, high = np.int64(lowest), np.int64(highest)
    for row in range(n_rows):
        for column in range(plane.shape[1]):
            if predictor == MED:
                sample = _med(plane, row, column)
            else:
                sample = _gap_with_feedback(plane, row, column, feedback, state, low, high)
            value = np.int64(mapped[row, column])
            sample += -((value + 1) >> 1) if value & 1 else value >> 1
            if sample < low or sample > high:
                return status.SAMPLE_OUT_OF_RANGE, row * plane.shape[1] + column
            plane[row, column] = sample
            if predictor != MED:
                _learn(sample, feedback, state)
    return status.OK, 0


@kernel
def measure_distances(distances, counts, bits):
    """Fill bits[m - 1] with the bits of all distances under Golomb's code with parameter m."""
    for index in range(len(bits)):
        total = np.int64(0)
        for i in range(len(distances)):
            total += counts[i] * golomb_length(distances[i], np.int64(index + 1))
        bits[index] = total


@kernel
def write_shapes(buffer, position, placed, distances, codewords, code_lengths, parameter):
    """Write the first shape, then distance and shape of each other (SPEC 5R.8)."""
    for index in range(len(placed)):
        shape = placed[index]
        if index:
            position = write_golomb(buffer, position, np.int64(distances[index]), parameter)
        position = write_bits(
            buffer, position, np.int64(codewords[shape]), np.int64(code_lengths[shape])
        )
    return position


@kernel
def read_shapes(
    data, position, parameter, nearest, n_wanted, location, shape_code, heights, widths, offsets,
    cells, layer,
):  # fmt: skip
    """Paint `layer` (zeros, uint16); inverse of `write_shapes` (SPEC 5R.8).

    `nearest` is the distance that Golomb's code has a 0 for; with 0 that ends the list, else
    `n_wanted` does. Returns (status, new bit position, number of placements, last location).
    """
    n_rows, n_columns = layer.shape
    covered = zero_array((n_rows, n_columns), np.uint8)
    n_placed = np.int64(0)
    while True:
        shape, position = read_codeword(data, position, shape_code[0], shape_code[1], shape_code[2])
        if shape < 0:
            code = status.TRUNCATED if shape == -1 else status.BAD_CODEWORD
            return code, position, n_placed, location
        row, column = location // n_columns, location % n_columns
        height, width = np.int64(heights[shape]), np.int64(widths[shape])
        if row + height > n_rows or column + width > n_columns:
            return status.SHAPE_OUTSIDE, position, n_placed, location
        if not is_free(covered, row, column, height, width):
            return status.SHAPE_OVERLAPS, position, n_placed, location
        index = offsets[shape]
        for i in range(row, row + height):
            for j in range(column, column + width):
                layer[i, j] = cells[index]
                covered[i, j] = 1
                index += 1
        n_placed += 1
        if nearest > 0 and n_placed == n_wanted:
            return status.OK, position, n_placed, location
        distance, position = read_golomb(data, position, parameter)
        if distance < 0:
            return status.TRUNCATED, position, n_placed, location
        if nearest == 0 and distance == 0:
            return status.OK, position, n_placed, location
        distance += nearest
        if distance >= layer.size - location:
            return status.BAD_LOCATION, position, n_placed, location
        location += distance
