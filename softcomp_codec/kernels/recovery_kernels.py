"""From pixels back to quantised DCT coefficients: the encoder's search (no part of the format)."""

import numpy as np

from .jit import inlined, kernel
from .lattice_kernels import FIRST_CB, FIRST_CR, _chroma_range, _clipped_triple, _is_clipped, _luma

_MAX_PASSES = 20


@inlined
def _propagate(lowest, highest, n_seen, phase, low, high, n, scale, even, odd):
    """Narrow low <= x <= high by lowest <= (3 x[i] + x[i -+ 1] + even or odd) // scale <= highest.

    Seen place s is place s + phase of the doubled line, whose even (odd) places lie nearer to the
    one before (after). Whatever contradicts is left alone; returns how often that happened in the
    last pass.
    """
    n_against = np.int64(0)
    for _ in range(_MAX_PASSES):
        changed = False
        n_against = np.int64(0)
        for walk in range(2 * n_seen):
            seen = walk if walk < n_seen else 2 * n_seen - 1 - walk
            place = seen + phase
            i = place >> 1
            if place & 1:
                j, rounding = min(i + 1, n - 1), odd
            else:
                j, rounding = max(i - 1, 0), even
            if i == j:
                # an edge looks the same where the JPEG went on beyond it, but is not
                continue
            least = scale * lowest[seen] - rounding
            most = scale * highest[seen] + scale - 1 - rounding
            first = max(-((high[j] - least) // 3), low[i])
            last = min((most - low[j]) // 3, high[i])
            if first > last:
                n_against += 1
                continue
            other_first = max(least - 3 * last, low[j])
            other_last = min(most - 3 * first, high[j])
            if other_first > other_last:
                n_against += 1
                continue
            if other_first > low[j]:
                low[j] = other_first
                changed = True
            if other_last < high[j]:
                high[j] = other_last
                changed = True
            if first > low[i]:
                low[i] = first
                changed = True
            if last < high[i]:
                high[i] = last
                changed = True
        if not changed:
            break
    return n_against


@kernel
def narrow_lines(lowest, highest, phase, low, high, scale, even, odd):
    """Narrow each line's samples by what the picture shows of it, doubled (SPEC 5J.4).

    `lowest`, `highest`: int32, (lines, seen); `low`, `high`: int32, (lines, samples), narrowed.
    Returns how many seen samples contradict, each counted twice.
    """
    n_against = np.int64(0)
    for line in range(low.shape[0]):
        n_against += _propagate(
            lowest[line], highest[line], lowest.shape[1], phase, low[line], high[line],
            low.shape[1], scale, even, odd,
        )  # fmt: skip
    return n_against


@kernel
def narrow_triples(red, green, blue, conversion, first, lows, highs):
    """Narrow YCbCr intervals (int32, (3, H, W)) of pixels to the triples that give them."""
    for i in range(red.shape[0]):
        for j in range(red.shape[1]):
            if (
                lows[0, i, j] == highs[0, i, j]
                and lows[1, i, j] == highs[1, i, j]
                and lows[2, i, j] == highs[2, i, j]
            ):
                continue
            r, g, b = np.int64(red[i, j]), np.int64(green[i, j]), np.int64(blue[i, j])
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
            if high_y >= 0:
                lows[0, i, j], highs[0, i, j] = low_y, high_y
                lows[1, i, j], highs[1, i, j] = low_cb, high_cb
                lows[2, i, j], highs[2, i, j] = low_cr, high_cr


@kernel
def nearest_triples(red, green, blue, conversion, first, triples):
    """Move the YCbCr of clipped pixels to the nearest that give them, near `triples` as they are.

    `triples`: int32, (3, H, W).
    """
    for i in range(red.shape[0]):
        for j in range(red.shape[1]):
            r, g, b = np.int64(red[i, j]), np.int64(green[i, j]), np.int64(blue[i, j])
            if not _is_clipped(r, g, b):
                continue
            exact, y, cb, cr = _clipped_triple(
                r, g, b, _luma(r, g, b), np.int64(triples[0, i, j]), np.int64(triples[1, i, j]),
                np.int64(triples[2, i, j]), conversion, first,
            )  # fmt: skip
            if exact:
                triples[0, i, j], triples[1, i, j], triples[2, i, j] = y, cb, cr
