"""Where the bits of a payload go, sample by sample: for pictures and reports, never for coding."""

import numpy as np

from .bit_kernels import gap_symbol, golomb_length
from .entropy_kernels import _context, _probability, _updated
from .jit import kernel


@kernel
def locate_placements(placed, gaps, heights, widths, anchors, boxes, covered):
    """Fill `boxes` (n, 4: top, left, height, width) from gaps, as painting does (SPEC 5.8).

    `covered` (uint8, zeros) is marked. Returns False where a box would leave the plane.
    """
    n_rows, n_columns = covered.shape
    cursor = np.int64(0)
    for index in range(len(placed)):
        gap = np.int64(gaps[index])
        while cursor < n_rows * n_columns:
            if covered[cursor // n_columns, cursor % n_columns] == 0:
                if gap == 0:
                    break
                gap -= 1
            cursor += 1
        shape = placed[index]
        row, left = cursor // n_columns, cursor % n_columns - np.int64(anchors[shape])
        height, width = np.int64(heights[shape]), np.int64(widths[shape])
        if left < 0 or row + height > n_rows or left + width > n_columns:
            return False
        covered[row : row + height, left : left + width] = 1
        boxes[index, 0], boxes[index, 1] = row, left
        boxes[index, 2], boxes[index, 3] = height, width
    return True


@kernel
def measure_each_gap(gaps, gap_lengths, parameter, n_bits):
    """Fill `n_bits` with the bits of each gap (SPEC 5.8); parameter 0 is the trained code."""
    for index in range(len(gaps)):
        gap = np.int64(gaps[index])
        if parameter:
            n_bits[index] = golomb_length(gap, parameter)
        else:
            symbol, n_extra = gap_symbol(gap)
            n_bits[index] = np.int64(gap_lengths[symbol]) + n_extra


@kernel
def measure_low_layer(mapped, low_bits, states, n_bits):
    """Add to `n_bits` (float64, shape of `mapped`) what each sample's low bits cost (SPEC 5.9).

    `states` adapts, as `encode_low_layer` does.
    """
    n_contexts = states.shape[0]
    for row in range(mapped.shape[0]):
        for column in range(mapped.shape[1]):
            context = _context(mapped, row, column, low_bits, n_contexts)
            value = np.int64(mapped[row, column])
            node = 1
            cost = 0.0
            for shift in range(low_bits - 1, -1, -1):
                bit = (value >> shift) & 1
                state = states[context, node]
                share = _probability(state) / 65536.0
                cost -= np.log2(share if bit else 1.0 - share)
                states[context, node] = _updated(state, bit)
                node = node << 1 | bit
            n_bits[row, column] += cost
