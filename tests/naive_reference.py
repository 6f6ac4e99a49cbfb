"""The reference coder once more, slow and plain, written from SPEC 5R and not from the package."""

import math
from collections import Counter
from fractions import Fraction

LIMITS = (5, 15, 25, 42, 60, 85, 140)


def bits_of(data):
    return "".join(f"{byte:08b}" for byte in data)


# --- predictors ---------------------------------------------------------------------------------


def _sample(plane, row, column):
    if row < 0 or not 0 <= column < len(plane[0]):
        return 0
    return plane[row][column]


def med(plane, row, column):
    """SPEC 5R.3."""
    if row == 0:
        return _sample(plane, row, column - 1)
    if column == 0:
        return _sample(plane, row - 1, column)
    w, n, nw = plane[row][column - 1], plane[row - 1][column], plane[row - 1][column - 1]
    if nw >= max(w, n):
        return min(w, n)
    return max(w, n) if nw < min(w, n) else w + n - nw


def _gap(plane, row, column):
    """Return (p as a fraction, W, N, the other neighbours, dh + dv); `column` may be -1."""
    w, n = _sample(plane, row, column - 1), _sample(plane, row - 1, column)
    nw, ne = _sample(plane, row - 1, column - 1), _sample(plane, row - 1, column + 1)
    ww, nn = _sample(plane, row, column - 2), _sample(plane, row - 2, column)
    nne = _sample(plane, row - 2, column + 1)
    if row == 0 and column > 0:
        n = nn = w
    if row == 1 and column > 0:
        nn = nw
    if row > 0 and column == 0:
        w = ww = n
    if row > 0 and column == 1:
        ww = nw
    dh = abs(w - ww) + abs(n - nw) + abs(n - ne)
    dv = abs(w - nw) + abs(n - nn) + abs(ne - nne)
    t = dv - dh
    if t > 80:
        p = Fraction(w)
    elif t < -80:
        p = Fraction(n)
    else:
        p = Fraction(w + n, 2) + Fraction(ne - nw, 4)
        if t > 32:
            p = (p + w) / 2
        elif t > 8:
            p = (3 * p + w) / 4
        elif t < -32:
            p = (p + n) / 2
        elif t < -8:
            p = (3 * p + n) / 4
    return p, (w, n, nw, ne, ww, nn), dh + dv


class Gap:
    """Mode ii's predictor (SPEC 5R.4): exact fractions, rounded down where the text says so.

    With `exact` the sums are never rounded, as in real numbers: the published form.
    """

    def __init__(self, lowest, highest, exact=False):
        self.lowest, self.highest, self.exact = lowest, highest, exact
        self.counts, self.sums = Counter(), Counter()

    def _rounded(self, value):
        return value if self.exact else Fraction(math.floor(value * 65536), 65536)

    def predict(self, plane, row, column):
        p, (w, n, nw, ne, ww, nn), gradients = _gap(plane, row, column)
        items = (2 * w - ww, 2 * n - nn, ww, nn, ne, nw, w, n)
        texture = int("".join("1" if item < p else "0" for item in items), 2)
        error = _sample(plane, row, column - 1) - _gap(plane, row, column - 1)[0]
        energy = gradients + 2 * abs(error)
        self.context = texture * sum(limit < energy for limit in LIMITS)
        count = self.counts[self.context]
        self.x = p + (self._rounded(self.sums[self.context] / Fraction(count)) if count else 0)
        return math.ceil(min(max(self.x, self.lowest), self.highest))

    def learn(self, sample):
        self.counts[self.context] += 1
        self.sums[self.context] += math.floor(sample - self.x)
        if self.counts[self.context] == 128:
            self.counts[self.context] = 64
            self.sums[self.context] = self._rounded(Fraction(self.sums[self.context]) / 2)


class Med:
    def predict(self, plane, row, column):
        return med(plane, row, column)

    def learn(self, sample):
        pass


def mapped_residuals(plane, predictor):
    """SPEC 5R.5."""
    mapped = []
    for row, samples in enumerate(plane):
        mapped.append([])
        for column, sample in enumerate(samples):
            e = sample - predictor.predict(plane, row, column)
            mapped[-1].append(2 * e if e >= 0 else -2 * e - 1)
            predictor.learn(sample)
    return mapped


def plane_of(mapped, predictor):
    """Inverse of `mapped_residuals`."""
    plane = [[None] * len(values) for values in mapped]
    for row, values in enumerate(mapped):
        for column, value in enumerate(values):
            e = -(value + 1) // 2 if value % 2 else value // 2
            plane[row][column] = e + predictor.predict(plane, row, column)
            predictor.learn(plane[row][column])
    return plane


# --- covering -----------------------------------------------------------------------------------


def cover(layer, shapes):
    """[(location, shape)] of the published greedy covering, in raster order (SPEC 5R.8)."""
    n_rows, n_columns = len(layer), len(layer[0])
    covered, placed = set(), []
    for shape, rows in enumerate(shapes):
        for top in range(n_rows - len(rows) + 1):
            for left in range(n_columns - len(rows[0]) + 1):
                if any(layer[top + i][left : left + len(r)] != r for i, r in enumerate(rows)):
                    continue
                cells = {(top + i, left + j) for i, r in enumerate(rows) for j in range(len(r))}
                if not cells & covered:
                    covered |= cells
                    placed.append((top * n_columns + left, shape))
    return sorted(placed)


# --- a decoder ----------------------------------------------------------------------------------


class Bits:
    def __init__(self, data):
        self.text, self.position = bits_of(data), 0

    def take(self, n_bits):
        piece = self.text[self.position : self.position + n_bits]
        assert len(piece) == n_bits, "truncated"
        self.position += n_bits
        return int(piece, 2) if piece else 0

    def codeword(self, words):
        word = ""
        while word not in words:
            assert len(word) < 24, "no codeword"
            word += str(self.take(1))
        return words[word]

    def golomb(self, m):
        q = 0
        while self.take(1):
            q += 1
        k = (m - 1).bit_length()
        if k == 0:
            return q
        r = self.take(k - 1)
        if r >= (1 << k) - m:
            r = 2 * r + self.take(1) - ((1 << k) - m)
        return q * m + r


def codewords(lengths):
    """Symbols by codeword (SPEC 4.2)."""
    code, last, words = 0, 0, {}
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths)):
        code = (code + 1) << (length - last) if words else 0
        words[format(code, f"0{length}b")] = symbol
        last = length
    return words


def adaptive_tiles(bits, n_tiles, frequencies):
    """SPEC 5R.7."""
    frequencies = list(frequencies)
    start, n_shifts = bits.position, 0
    low, high = 0, 2**32 - 1
    text = bits.text[start:] + "0" * 64
    code = int(text[:32], 2)
    tiles = []
    for _ in range(n_tiles):
        total, span = sum(frequencies), high - low + 1
        value = ((code - low + 1) * total - 1) // span
        tile = below = 0
        while below + frequencies[tile] <= value:
            below += frequencies[tile]
            tile += 1
        high = low + span * (below + frequencies[tile]) // total - 1
        low = low + span * below // total
        frequencies[tile] += 1
        tiles.append(tile)
        while True:
            if high < 2**31:
                less = 0
            elif low >= 2**31:
                less = 2**31
            elif low >= 2**30 and high < 3 * 2**30:
                less = 2**30
            else:
                break
            n_shifts += 1
            low, high = 2 * (low - less), 2 * (high - less) + 1
            code = 2 * (code - less) + int(text[31 + n_shifts])
    bits.position = start + n_shifts + 2
    assert bits.position <= len(bits.text), "truncated"
    return tiles


SCHEMES = {
    0: [("none", 0, 1, 0, (1, 1))],
    1: [("gap", 0, 255, 4, (2, 2))],
    2: [("med", 0, 255, 4, (1, 2)), *[("med", -255, 255, 4, (1, 2))] * 2],
    3: [("gap", 0, 255, 8, (1, 1)), *[("gap", -255, 255, 5, (1, 2))] * 2],
}
"""Predictor, lowest, highest, L, tile (SPEC 5R.1)."""


def _read_low(bits, book, scheme, low_bits, tile, low):
    """SPEC 5R.6."""
    (height, width), n_rows, n_columns = tile, len(low), len(low[0])
    tops = range(0, n_rows - height + 1, height)
    lefts = range(0, n_columns - width + 1, width)
    n_tiles = len(tops) * len(lefts)
    if scheme == 1:
        words = codewords(book["tiles"])
        tiles = [bits.codeword(words) for _ in range(n_tiles)]
    else:
        tiles = adaptive_tiles(bits, n_tiles, book["tiles"]) if n_tiles else []
    done = set()
    for index, tile_value in enumerate(tiles):
        top, left = divmod(index, len(lefts))
        for cell in range(height * width - 1, -1, -1):
            i, j = top * height + cell // width, left * width + cell % width
            tile_value, low[i][j] = divmod(tile_value, 1 << low_bits)  # noqa: PLW2901
            done.add((i, j))
    words = codewords(book["samples"])
    for i in range(n_rows):
        for j in range(n_columns):
            if (i, j) not in done:
                low[i][j] = bits.codeword(words)


def _read_high(bits, book, scheme, high):
    """SPEC 5R.8."""
    n_rows, n_columns = len(high), len(high[0])
    m = bits.take(5 if scheme == 0 else 10)
    if m == 0:
        return
    n_wanted = None
    if scheme == 1:
        n_digits = 1
        while not bits.take(1):
            n_digits += 1
        n_wanted = 1 << (n_digits - 1) | bits.take(n_digits - 1)
    location = bits.take(n_rows.bit_length()) * n_columns + bits.take(n_columns.bit_length())
    words = codewords(book["lengths"])
    n_placed = 0
    while True:
        for i, cells in enumerate(book["shapes"][bits.codeword(words)]):
            for j, cell in enumerate(cells):
                high[location // n_columns + i][location % n_columns + j] = cell
        n_placed += 1
        if n_placed == n_wanted:
            return
        distance = bits.golomb(m)
        if scheme != 1 and distance == 0:
            return
        location += distance + (scheme == 1)


def decode(payload, scheme, books, height, width):
    """Planes, before the inverse colour transform, of a good payload (SPEC 5R.2)."""
    bits = Bits(payload)
    planes = []
    for (name, lowest, highest, low_bits, tile), book in zip(SCHEMES[scheme], books, strict=True):
        low = [[0] * width for _ in range(height)]
        high = [[0] * width for _ in range(height)]
        if scheme:
            _read_low(bits, book, scheme, low_bits, tile, low)
        _read_high(bits, book, scheme, high)
        mapped = [
            [a + (b << low_bits) for a, b in zip(*rows, strict=True)]
            for rows in zip(low, high, strict=True)
        ]
        if name == "none":
            planes.append(mapped)
        else:
            planes.append(plane_of(mapped, Gap(lowest, highest) if name == "gap" else Med()))
    assert "1" not in bits.text[bits.position :], "padding"
    assert len(bits.text) - bits.position < 8, "bytes follow"
    return planes
