"""The search for quantised coefficients whose samples lie within intervals (the encoder's)."""

import numpy as np

from .allocation import empty_array
from .jit import inlined, kernel
from .jpeg_kernels import FINE_BITS, invert_block

BASIS_BITS = 12
"""The 64 x 64 products of cosines of a block are in 4096ths."""

_GAP_BITS = 8
_MOST_GAP = 8191
"""How far samples lie beyond their bounds is compared in 256ths, up to this: 16 bits."""

_MOST_OUT = 511
"""In 128ths: what a sample counts at most where steps are compared; 64 of them fit 16 bits."""

_LIMIT = 32767

_OPEN, _MANY_OPEN = 3, 16
"""Samples are open where their interval is wider; so many tell little of high frequencies."""

_MOST_OPEN_STEPS = 80
"""Longer searches of blocks with intervals gain nothing."""

_MOST_VAIN_STEPS = 16
"""Nor do they after so many steps, or a third of all, that have gained nothing."""

_FARTHEST = 5300
"""Rounding noise of a coefficient is hardly ever larger than 1.3, unless few are not 0."""


@inlined
def _measure(samples, first, last, below, above):
    """Fill how far samples lie below and above their intervals; return the sum of what does."""
    outside = np.int32(0)
    for s in range(64):
        under, over = np.int32(first[s] - samples[s]), np.int32(samples[s] - last[s])
        outside = np.int32(outside + max(under, over, np.int32(0)))
        # 32 bits hold the shift of what is not cut anyway
        under = min(max(under, np.int32(-_MOST_GAP)), np.int32(_MOST_GAP))
        over = min(max(over, np.int32(-_MOST_GAP)), np.int32(_MOST_GAP))
        under, over = under << (_GAP_BITS - FINE_BITS), over << (_GAP_BITS - FINE_BITS)
        below[s] = min(max(under, -_MOST_GAP), _MOST_GAP)
        above[s] = min(max(over, -_MOST_GAP), _MOST_GAP)
    return np.int64(outside)


@inlined
def _outside(below, above, moves, row):
    """Return about what lies outside the intervals after a step, in 128ths.

    Casts keep vectors of 16 bits.
    """
    total = np.int16(0)
    for s in range(64):
        under, over = np.int16(below[s] - moves[row, s]), np.int16(above[s] + moves[row, s])
        out = np.int16(max(under, over, np.int16(0)) >> 1)
        total = np.int16(total + min(out, np.int16(_MOST_OUT)))
    return np.int64(total)


@inlined
def _out(under, over):
    """Return what one sample, so far below and above its interval, counts in a sum: 128ths."""
    return min(np.int16(max(under, over, np.int16(0)) >> 1), np.int16(_MOST_OUT))


@inlined
def _all_outside(below, above, across, totals):
    """Fill `_outside` of all steps, those up before those down.

    `across` has the moves of the steps up sample by sample: sums of many steps side by side need no
    sum within a vector.
    """
    for row in range(128):
        totals[row] = 0
    for s in range(0, 64, 4):
        b0, b1, b2, b3 = below[s], below[s + 1], below[s + 2], below[s + 3]
        a0, a1, a2, a3 = above[s], above[s + 1], above[s + 2], above[s + 3]
        for k in range(64):
            m0, m1, m2, m3 = across[s, k], across[s + 1, k], across[s + 2, k], across[s + 3, k]
            up = np.int16(_out(np.int16(b0 - m0), np.int16(a0 + m0)) + totals[k])
            up = np.int16(_out(np.int16(b1 - m1), np.int16(a1 + m1)) + up)
            up = np.int16(_out(np.int16(b2 - m2), np.int16(a2 + m2)) + up)
            up = np.int16(_out(np.int16(b3 - m3), np.int16(a3 + m3)) + up)
            down = np.int16(_out(np.int16(b0 + m0), np.int16(a0 - m0)) + totals[64 + k])
            down = np.int16(_out(np.int16(b1 + m1), np.int16(a1 - m1)) + down)
            down = np.int16(_out(np.int16(b2 + m2), np.int16(a2 - m2)) + down)
            down = np.int16(_out(np.int16(b3 + m3), np.int16(a3 - m3)) + down)
            totals[k] = up
            totals[64 + k] = down


@inlined
def _lowest(sums, waits, step):
    """Return the step with the lowest sum, -1 if all wait; of several the first, up before down."""
    best = np.int32(1 << 30)
    for k in range(64):
        up, down = np.int32(sums[k]) << 7 | np.int32(2 * k), np.int32(sums[64 + k]) << 7
        here = min(np.int32(up), np.int32(down | np.int32(2 * k + 1)))
        best = min(best, np.int32(1 << 30) if waits[k] > step else here)
    at = np.int64(best & 127)
    return np.int64(-1) if best == 1 << 30 else at >> 1 | (at & 1) << 6


@kernel
def search_blocks(
    centre, low, high, table, basis, n_steps, largest, todo, keep, found, exact, slots
):
    """Find quantised coefficients whose samples lie within their intervals, block by block.

    Rounded coefficients first; then steps of 1 that lower the sum of what lies outside, none taken
    back at once (tabu search).

    Parameters
    ----------
    centre : ndarray, int32, (n, 64)
        Doubled samples to begin with, 0 to 510.
    low, high : ndarray, int32, (n, 64)
        0 and 255 have no bound: libjpeg clamps.
    table : ndarray, int64, (64,)
    basis : ndarray, int32, (64, 64)
    n_steps : int
        Most steps a block.
    largest : int
        Coefficients of larger quantiser steps are certain where all intervals are narrow.
    todo : ndarray, bool, (n,)
    keep : bool
        Whether to begin with `found` where that is nearer; else it is filled anew.
    found : ndarray, int16, (n, 64)
    exact : ndarray, bool, (n,)
    slots : ndarray, int64, (2,)
        First block and the one after the last.
    """
    moves, across = empty_array((128, 64), np.int16), empty_array((64, 64), np.int16)
    sums = empty_array(128, np.int16)
    for k in range(64):
        for s in range(64):
            # samples are in order of their columns from here on
            move = np.int64(basis[k, (s & 7) << 3 | s >> 3]) * table[k]
            move = (move + (1 << (BASIS_BITS - _GAP_BITS - 1))) >> (BASIS_BITS - _GAP_BITS)
            moves[k, s] = min(max(move, -_MOST_GAP), _MOST_GAP)
            moves[64 + k, s] = -moves[k, s]
            across[s, k] = moves[k, s]
    first, last = empty_array(64, np.int32), empty_array(64, np.int32)
    below, above = empty_array(64, np.int16), empty_array(64, np.int16)
    best, now = empty_array(64, np.int64), empty_array(64, np.int64)
    rounded = empty_array(64, np.int64)
    totals, offsets = empty_array(64, np.int64), empty_array(64, np.int64)
    waits = empty_array(64, np.int32)
    scratch = empty_array(64, np.int64)
    block = empty_array(64, np.int16)
    about_0 = empty_array(64, np.int32)
    values, samples = empty_array(64, np.int32), empty_array(64, np.int32)
    for n in range(slots[0], slots[1]):
        if not todo[n]:
            continue
        wide = False
        n_open = np.int64(0)
        for s in range(64):
            # samples in 64ths about 0, half a level added, as `fine` has them
            at = (s & 7) << 3 | s >> 3
            lowest, highest = np.int64(low[n, at]), np.int64(high[n, at])
            first[s] = -(1 << 30) if lowest <= 0 else (lowest - 128) << FINE_BITS
            last[s] = 1 << 30 if highest >= 255 else ((highest - 127) << FINE_BITS) - 1
            wide |= highest > lowest
            n_open += np.int64(highest > lowest + _OPEN)
        for s in range(64):
            about_0[s] = centre[n, s] - 256
        for k in range(64):
            # 32 bits hold it: all that a coefficient's cosines add up to is 8 in 4096ths
            in_32_bits = np.int32(0)
            for s in range(64):
                in_32_bits = np.int32(in_32_bits + np.int32(basis[k, s] * about_0[s]))
            total = np.int64(in_32_bits)
            whole = 2 * table[k] << BASIS_BITS
            rounded[k] = (total + (whole >> 1)) // whole
            if n_open > _MANY_OPEN and k > 0:
                # what open samples are taken for is rough; zeros are likelier
                size = (abs(total) + (5 * whole >> 4)) // whole
                rounded[k] = size if total > 0 else -size
            totals[k] = total >> 1
            now[k] = found[n, k] if keep else rounded[k]
        for k in range(64):
            waits[k] = -1
        least, last_gain = np.int64(1) << 60, 0
        farthest = _FARTHEST
        most_steps = min(n_steps, _MOST_OPEN_STEPS) if wide else n_steps
        for step in range(-2 if keep else 0, most_steps + 1):
            for k in range(64):
                block[k] = min(max(now[k], -_LIMIT), _LIMIT)
            invert_block(block, 0, table, scratch, values, samples)
            outside = _measure(samples, first, last, below, above)
            if outside < least:
                least, last_gain = outside, max(step, 0)
                for k in range(64):
                    best[k] = now[k]
            if outside == 0 or step == most_steps:
                break
            if step < 0:
                # what was found before, then the rounded ones, then the better of both
                for k in range(64):
                    now[k] = rounded[k] if step == -2 else best[k]
                continue
            if step == 0:
                for k in range(64):
                    offsets[k] = totals[k] - (now[k] * table[k] << BASIS_BITS)
            if wide and step - last_gain >= max(_MOST_VAIN_STEPS, most_steps // 3):
                break
            chosen, lowest = np.int64(-1), np.int64(1) << 60
            if wide:
                _all_outside(below, above, across, sums)
                chosen = _lowest(sums, waits, step)
            for k in range(0 if wide else 64):
                if waits[k] > step:
                    continue
                if (table[k] << BASIS_BITS) - abs(offsets[k]) > farthest:
                    continue
                row = k if offsets[k] > 0 else k + 64
                sum_ = _outside(below, above, moves, row)
                if sum_ < lowest:
                    lowest, chosen = sum_, np.int64(row)
            if chosen < 0:
                farthest += farthest >> 1
                continue
            k = chosen & 63
            direction = 1 if chosen < 64 else -1
            now[k] += direction
            offsets[k] -= direction * (table[k] << BASIS_BITS)
            # ever longer waits by and by, from chance that is the same everywhere
            chance = (2654435761 * (4096 * n + 64 * step + k)) >> 16 & 0xFFFF
            waits[k] = step + 2 + chance % (3 + step // 20)
        for k in range(64):
            found[n, k] = min(max(best[k], -_LIMIT), _LIMIT)
        exact[n] = least == 0
