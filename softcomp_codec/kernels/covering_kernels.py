"""Covering a layer by shapes as published, fast (SPEC 5R.8)."""

import numpy as np

from .allocation import empty_array, zero_array
from .jit import inlined, kernel
from .shape_kernels import add_prefix_row, window_hash

_LEAST_ROOM = 1 << 15
"""Windows that `cover_layer` keeps in mind at least before it takes fewer shapes at a time."""


@inlined
def _count_filled(layer, filled):
    """Fill `filled` (zeros): non-zero cells above and to the left of each corner."""
    for row in range(layer.shape[0]):
        total = 0
        for column in range(layer.shape[1]):
            if layer[row, column]:
                total += 1
            filled[row + 1, column + 1] = filled[row, column + 1] + total


@inlined
def _equals(layer, row, column, height, width, cells):
    index = 0
    for i in range(row, row + height):
        for j in range(column, column + width):
            if layer[i, j] != cells[index]:
                return False
            index += 1
    return True


@inlined
def is_free(covered, row, column, height, width):
    """Whether no cell of a window is covered."""
    for i in range(row, row + height):
        for j in range(column, column + width):
            if covered[i, j]:
                return False
    return True


@inlined
def _find_windows(
    layer, covered, filled, prefix, powers, classes, keys, shape_ids, offsets, cells, first, last,
    found, places,
):  # fmt: skip
    """List the windows equal to one of the shapes first..last - 1; -1 where there is no room.

    Those of one shape are in raster order, since all its windows are of one class.
    """
    n_rows, n_columns = layer.shape
    mask = np.uint64(len(keys) - 1)
    n_found = 0
    for index in range(len(classes)):
        if classes[index, 3] >= last or classes[index, 4] < first:
            continue
        height, width = np.int64(classes[index, 0]), np.int64(classes[index, 1])
        fewest = classes[index, 2]
        for row in range(n_rows - height + 1):
            top, bottom = filled[row], filled[row + height]
            if bottom[n_columns] - top[n_columns] < fewest:
                continue
            for column in range(n_columns - width + 1):
                right = column + width
                n_filled = bottom[right] - bottom[column] - top[right] + top[column]
                if n_filled < fewest:
                    continue
                if covered[row, column] or covered[row + height - 1, right - 1]:
                    continue
                key = window_hash(prefix, row, column, height, width, powers)
                slot = key & mask
                while keys[slot] != 0 and keys[slot] != key:
                    slot = (slot + np.uint64(1)) & mask
                if keys[slot] == 0:
                    continue
                shape = np.int64(shape_ids[slot])
                if shape < first or shape >= last:
                    continue
                if not _equals(layer, row, column, height, width, cells[offsets[shape] :]):
                    continue
                if n_found == len(found):
                    return -1
                found[n_found] = shape
                places[n_found] = row * n_columns + column
                n_found += 1
    return n_found


@kernel
def cover_layer(
    layer, classes, keys, shape_ids, heights, widths, offsets, cells, powers, placed, locations
):
    """Cover the non-zero cells of `layer` (uint16) as published: greedily, without overlap.

    Each shape in its order is placed wherever, in raster order, its window occurs and none of its
    cells is covered. Plain form: for each shape, for each location. Here all windows that equal
    some shape are found by hash, then sorted by shape; where they are too many, for fewer shapes
    at a time. `classes` rows: height, width, fewest non-zero cells, first and last shape. Fills
    `placed` and `locations` (raster positions), not sorted; returns the number of placements.
    """
    n_rows, n_columns = layer.shape
    filled = zero_array((n_rows + 1, n_columns + 1), np.int32)
    _count_filled(layer, filled)
    n_left = np.int64(filled[n_rows, n_columns])
    prefix = zero_array((n_rows + 1, n_columns + 1), np.uint64)
    for row in range(n_rows):
        add_prefix_row(layer, row, powers, prefix)
    covered = zero_array((n_rows, n_columns), np.uint8)
    room = max(layer.size, _LEAST_ROOM)  # one shape's windows always fit
    found, places = empty_array(room, np.int32), empty_array(room, np.int32)
    sorted_places = empty_array(room, np.int32)
    n_placed = 0
    first, step = 0, len(heights)
    while first < len(heights) and n_left > 0:
        last = min(first + step, len(heights))
        n_found = _find_windows(
            layer, covered, filled, prefix, powers, classes, keys, shape_ids, offsets, cells, first,
            last, found, places,
        )  # fmt: skip
        if n_found < 0:
            step = max((last - first) >> 2, 1)
            continue
        ends = zero_array(last - first + 1, np.int64)
        for index in range(n_found):
            ends[found[index] - first + 1] += 1
        for index in range(last - first):
            ends[index + 1] += ends[index]
        starts = ends.copy()
        for index in range(n_found):
            slot = found[index] - first
            sorted_places[starts[slot]] = places[index]
            starts[slot] += 1
        for shape in range(first, last):
            height, width = np.int64(heights[shape]), np.int64(widths[shape])
            for index in range(ends[shape - first], ends[shape - first + 1]):
                row, column = divmod(np.int64(sorted_places[index]), n_columns)
                if not is_free(covered, row, column, height, width):
                    continue
                covered[row : row + height, column : column + width] = 1
                for i in range(row, row + height):
                    for j in range(column, column + width):
                        if layer[i, j]:
                            n_left -= 1
                placed[n_placed] = shape
                locations[n_placed] = row * n_columns + column
                n_placed += 1
        first = last
        step *= 2
    return n_placed if n_left == 0 else -1


@kernel
def mark_contained(
    heights, widths, offsets, cells, counts, searched, keys, shape_ids, powers, contained
):
    """Mark the shapes of more than one cell that lie in another one of the same count.

    Only shapes with `searched` set are looked into for others (training only).
    """
    mask = np.uint64(len(keys) - 1)
    for shape in range(len(heights)):
        n_rows, n_columns = np.int64(heights[shape]), np.int64(widths[shape])
        if not searched[shape] or n_rows * n_columns == 1:
            continue
        layer = cells[offsets[shape] : offsets[shape + 1]].reshape(n_rows, n_columns)
        prefix = zero_array((n_rows + 1, n_columns + 1), np.uint64)
        for row in range(n_rows):
            add_prefix_row(layer, row, powers, prefix)
        for height in range(1, n_rows + 1):
            for width in range(1, n_columns + 1):
                if height * width == 1 or height * width == n_rows * n_columns:
                    continue
                for row in range(n_rows - height + 1):
                    for column in range(n_columns - width + 1):
                        key = window_hash(prefix, row, column, height, width, powers)
                        slot = key & mask
                        while keys[slot] != 0 and keys[slot] != key:
                            slot = (slot + np.uint64(1)) & mask
                        if keys[slot] == 0:
                            continue
                        inner = np.int64(shape_ids[slot])
                        if counts[inner] != counts[shape] or contained[inner]:
                            continue
                        if _equals(layer, row, column, height, width, cells[offsets[inner] :]):
                            contained[inner] = True
