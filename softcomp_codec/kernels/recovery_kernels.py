"""From pixels back to quantised DCT coefficients: the encoder's search (no part of the format)."""

import numpy as np

from .allocation import empty_array
from .jit import inlined, kernel
from .lattice_kernels import FIRST_CB, FIRST_CR, _chroma_range, _clipped_triple, _is_clipped, _luma

_MAX_PASSES = 20

LINES = 32
"""Lines that are narrowed together, sample by sample, in arithmetic of 16 bits."""

N_KEPT = 1 << 12
"""Colours whose triples are kept."""

_THIRD_OFFSET = 6144


@inlined
def _third(value):
    """Return the integer below a third of -6144..26000."""
    shifted = np.uint16(np.int16(value + np.int16(_THIRD_OFFSET)))
    product = np.uint32(np.uint32(shifted) * np.uint32(21846))
    return np.int16(np.int16(product >> np.uint32(16)) - np.int16(_THIRD_OFFSET // 3))


@inlined
def _bounds(least, most, x_low, x_high, y_low, y_high):
    """Return what least <= 3 x + y <= most leaves of x and y."""
    first = max(_third(np.int16(np.int16(least - y_high) + np.int16(2))), x_low)
    last = min(_third(np.int16(most - y_low)), x_high)
    y_first = max(np.int16(least - np.int16(np.int16(3) * last)), y_low)
    y_last = min(np.int16(most - np.int16(np.int16(3) * first)), y_high)
    return first, last, y_first, y_last


@inlined
def _narrow_place(least, most, seen, low, high, i, j, new):
    """Narrow the samples i and j of all lines by what is seen at a place.

    Lines where that contradicts are left alone. Returns a number that is not 0 if any changed.
    `new`: int16, (4 LINES,), takes in what is computed: one array is written, so that compilers see
    that the lines are independent.
    """
    changed = np.int16(0)
    for k in range(LINES):
        x_low, x_high, y_low, y_high = low[i, k], high[i, k], low[j, k], high[j, k]
        first, last, y_first, y_last = _bounds(
            least[seen, k], most[seen, k], x_low, x_high, y_low, y_high
        )
        holds = (first <= last) & (y_first <= y_last)
        first, last = (first if holds else x_low), (last if holds else x_high)
        y_first, y_last = (y_first if holds else y_low), (y_last if holds else y_high)
        changed |= np.int16(first ^ x_low) | np.int16(last ^ x_high)
        changed |= np.int16(y_first ^ y_low) | np.int16(y_last ^ y_high)
        new[k] = first
        new[LINES + k] = last
        new[2 * LINES + k] = y_first
        new[3 * LINES + k] = y_last
    if changed:
        for k in range(LINES):
            low[i, k] = new[k]
        for k in range(LINES):
            high[i, k] = new[LINES + k]
        for k in range(LINES):
            low[j, k] = new[2 * LINES + k]
        for k in range(LINES):
            high[j, k] = new[3 * LINES + k]
    return changed


@inlined
def _count_against(least, most, seen, low, high, i, j, n_lines):
    """Return in how many of the first lines what is seen at a place contradicts."""
    n_against = np.int64(0)
    for k in range(n_lines):
        first, last, y_first, y_last = _bounds(
            least[seen, k], most[seen, k], low[i, k], high[i, k], low[j, k], high[j, k]
        )
        n_against += np.int64(first > last or y_first > y_last)
    return n_against


@inlined
def _other(place, n):
    """Return the sample that an interpolated place shows besides that of its half."""
    i = place >> 1
    return min(i + 1, n - 1) if place & 1 else max(i - 1, 0)


@inlined
def _copy_lines(plane, vertical, start, n_lines, group, back):
    """Copy lines from a plane to the columns of `group`, the last to all that are left; or back."""
    for place in range(group.shape[0]):
        for k in range(n_lines if back else LINES):
            line = start + min(k, n_lines - 1)
            if back and vertical:
                plane[place, line] = group[place, k]
            elif back:
                plane[line, place] = group[place, k]
            else:
                group[place, k] = plane[place, line] if vertical else plane[line, place]


@kernel
def narrow_lines(lowest, highest, vertical, phase, first_line, low, high, scale, even, odd):
    """Narrow each line's samples by what the picture shows of it, doubled (SPEC 5J.4).

    low <= x <= high by lowest <= (3 x[i] + x[i -+ 1] + even or odd) // scale <= highest. Seen place
    s is place s + phase of the doubled line, whose even (odd) places lie nearer to the one before
    (after). Whatever contradicts is left alone.

    Parameters
    ----------
    lowest, highest : ndarray, int32, (H, W)
    vertical : bool
        Whether lines are columns.
    phase, first_line : int
        What the picture does not show before its first place of a line, and before its first line.
    low, high : ndarray, int32
        Narrowed.

    Returns
    -------
    n_against : int
        How many seen samples contradict, each counted twice.
    """
    n_lines = lowest.shape[1] if vertical else lowest.shape[0]
    n_seen = lowest.shape[0] if vertical else lowest.shape[1]
    n = low.shape[0] if vertical else low.shape[1]
    least, most = empty_array((n_seen, LINES), np.int16), empty_array((n_seen, LINES), np.int16)
    group_low, group_high = empty_array((n, LINES), np.int16), empty_array((n, LINES), np.int16)
    new = empty_array(4 * LINES, np.int16)
    changes, visits = empty_array(n, np.int64), empty_array(n_seen, np.int64)
    n_against = np.int64(0)
    for start in range(0, n_lines, LINES):
        n_here = min(LINES, n_lines - start)
        _copy_lines(lowest, vertical, start, n_here, least, False)
        _copy_lines(highest, vertical, start, n_here, most, False)
        for seen in range(n_seen):
            rounding = odd if (seen + phase) & 1 else even
            for k in range(LINES):
                least[seen, k] = scale * least[seen, k] - rounding
                most[seen, k] = scale * most[seen, k] + scale - 1 - rounding
        _copy_lines(low, vertical, start + first_line, n_here, group_low, False)
        _copy_lines(high, vertical, start + first_line, n_here, group_high, False)
        # where nothing has changed since the last visit, nothing will
        now = np.int64(0)
        for i in range(n):
            changes[i] = 0
        for seen in range(n_seen):
            visits[seen] = -1
        for _ in range(_MAX_PASSES):
            before = now
            for walk in range(2 * n_seen):
                seen = walk if walk < n_seen else 2 * n_seen - 1 - walk
                i, j = (seen + phase) >> 1, _other(seen + phase, n)
                # an edge looks the same where the JPEG went on beyond it, but is not
                if i == j or max(changes[i], changes[j]) <= visits[seen]:
                    continue
                visits[seen] = now
                if _narrow_place(least, most, seen, group_low, group_high, i, j, new):
                    now += 1
                    changes[i] = changes[j] = now
            if now == before:
                break
        for seen in range(n_seen):
            i, j = (seen + phase) >> 1, _other(seen + phase, n)
            if i != j:
                n_against += 2 * _count_against(
                    least, most, seen, group_low, group_high, i, j, n_here
                )
        _copy_lines(low, vertical, start + first_line, n_here, group_low, True)
        _copy_lines(high, vertical, start + first_line, n_here, group_high, True)
    return n_against


@kernel
def narrow_triples(
    red, green, blue, first, y_plane, cb_plane, cr_plane, corrections, rows, lows, highs
):
    """Fill YCbCr intervals (int32, (3, H, W)) of pixels that hold all triples that give them.

    The planes and `corrections` are those of the lattice transform, whose triples are the only ones
    where nothing is corrected or clipped. What was found of a colour is kept for the next pixels of
    that colour. `rows` (int64, 2) is the first row and the one after the last.
    """
    kept = empty_array(N_KEPT, np.int64)
    for place in range(N_KEPT):
        kept[place] = -1
    bounds = empty_array((N_KEPT, 6), np.int64)
    for i in range(rows[0], rows[1]):
        for j in range(red.shape[1]):
            clipped = _is_clipped(np.int64(red[i, j]), np.int64(green[i, j]), np.int64(blue[i, j]))
            if corrections[i, j] == 0 and not clipped:
                lows[0, i, j] = highs[0, i, j] = y_plane[i, j]
                lows[1, i, j] = highs[1, i, j] = cb_plane[i, j]
                lows[2, i, j] = highs[2, i, j] = cr_plane[i, j]
                continue
            for k in range(3):
                lows[k, i, j], highs[k, i, j] = 0, 255
            r, g, b = np.int64(red[i, j]), np.int64(green[i, j]), np.int64(blue[i, j])
            colour = r << 16 | g << 8 | b
            place = (r * 7 + g * 64 + b) & (N_KEPT - 1)
            if kept[place] == colour:
                if bounds[place, 1] >= 0:
                    for k in range(3):
                        lows[k, i, j] = bounds[place, 2 * k]
                        highs[k, i, j] = bounds[place, 2 * k + 1]
                continue
            luma = _luma(r, g, b)
            first_y, last_y = np.int64(0), np.int64(255)
            if r > 0 and g > 0 and b > 0:
                first_y = max(luma - 1, first_y)
            if r < 255 and g < 255 and b < 255:
                last_y = min(luma + 1, last_y)
            low_y, low_cb, low_cr = np.int64(999), np.int64(999), np.int64(999)
            high_y, high_cb, high_cr = np.int64(-1), np.int64(-1), np.int64(-1)
            for y in range(first_y, last_y + 1):
                cb_first, cb_last = _chroma_range(b, y, FIRST_CB, first)
                cr_first, cr_last = _chroma_range(r, y, FIRST_CR, first)
                if cb_first > cb_last or cr_first > cr_last:
                    continue
                # least <= -46802 (Cr - 128) - 22554 (Cb - 128) <= most gives the green
                least, most = np.int64(-(1 << 40)), np.int64(1 << 40)
                if g > 0:
                    least = (g - y) * 65536 - 32768
                if g < 255:
                    most = (g - y) * 65536 + 32767
                cr_first = max(cr_first, 128 - (most + 22554 * (cb_last - 128)) // 46802)
                cr_last = min(cr_last, 128 + (-least - 22554 * (cb_first - 128)) // 46802)
                cb_first = max(cb_first, 128 - (most + 46802 * (cr_last - 128)) // 22554)
                cb_last = min(cb_last, 128 + (-least - 46802 * (cr_first - 128)) // 22554)
                if cb_first > cb_last or cr_first > cr_last:
                    continue
                low_y, high_y = min(low_y, np.int64(y)), max(high_y, np.int64(y))
                low_cb, high_cb = min(low_cb, cb_first), max(high_cb, cb_last)
                low_cr, high_cr = min(low_cr, cr_first), max(high_cr, cr_last)
            kept[place] = colour
            bounds[place, 0], bounds[place, 1] = low_y, high_y
            bounds[place, 2], bounds[place, 3] = low_cb, high_cb
            bounds[place, 4], bounds[place, 5] = low_cr, high_cr
            if high_y >= 0:
                lows[0, i, j], highs[0, i, j] = low_y, high_y
                lows[1, i, j], highs[1, i, j] = low_cb, high_cb
                lows[2, i, j], highs[2, i, j] = low_cr, high_cr


@kernel
def nearest_triples(red, green, blue, conversion, first, lows, highs, rows, triples):
    """Move the YCbCr of clipped pixels to the nearest that give them, near `triples` as they are.

    Then all into their intervals. `lows`, `highs`, `triples`: int32, (3, H, W); `rows` (int64, 2)
    is the first row and the one after the last.
    """
    for i in range(rows[0], rows[1]):
        for j in range(red.shape[1]):
            r, g, b = np.int64(red[i, j]), np.int64(green[i, j]), np.int64(blue[i, j])
            if _is_clipped(r, g, b):
                exact, y, cb, cr = _clipped_triple(
                    r, g, b, _luma(r, g, b), np.int64(triples[0, i, j]),
                    np.int64(triples[1, i, j]), np.int64(triples[2, i, j]), conversion, first,
                )  # fmt: skip
                if exact:
                    triples[0, i, j], triples[1, i, j], triples[2, i, j] = y, cb, cr
            for k in range(3):
                triples[k, i, j] = min(max(triples[k, i, j], lows[k, i, j]), highs[k, i, j])


@kernel
def second_chroma(red, green, blue, first_chroma, lows, highs, rows, out):
    """Fill the Cr of pixels one of whose components is clipped, given the Cb that they show.

    The luma cancels out in the difference of the other two, which Cb and Cr make up alone.

    Parameters
    ----------
    red, green, blue : ndarray, int32, (H, W)
    first_chroma : ndarray, int32, (H, W)
        Cb less 128, in 64ths.
    lows, highs : ndarray, int32, (3, H, W)
        Intervals.
    rows : ndarray, int64, (2,)
        The first row and the one after the last.
    out : ndarray, int32, (H, W)
    """
    for i in range(rows[0], rows[1]):
        for j in range(red.shape[1]):
            r, g, b = np.int64(red[i, j]), np.int64(green[i, j]), np.int64(blue[i, j])
            red_is_clipped, green_is_clipped = r % 255 == 0, g % 255 == 0
            n_clipped = np.int64(red_is_clipped) + np.int64(green_is_clipped)
            if n_clipped + np.int64(b % 255 == 0) != 1:
                continue
            # all in 64ths, and 65536ths of these
            cb = np.int64(first_chroma[i, j])
            if red_is_clipped:
                difference, share = ((b - g) << 22) - 138684 * cb, np.int64(46802)
            elif green_is_clipped:
                difference, share = ((r - b) << 22) + 116130 * cb, np.int64(91881)
            else:
                difference, share = ((r - g) << 22) - 22554 * cb, np.int64(138683)
            wanted = 128 + (difference + 32 * share) // (64 * share)
            out[i, j] = min(max(wanted, np.int64(lows[2, i, j])), np.int64(highs[2, i, j]))
