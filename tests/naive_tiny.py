"""The tiny coder's decoder, slow and plain, as SPEC 5F says it."""


def clip(value, most):
    return min(max(value, -most), most)


def grade(value):
    return 0 if value == 0 else 1 + (10 * value >> 8)


class Code:
    """The arithmetic code (SPEC 4.4), decoding."""

    def __init__(self, data):
        self.data, self.at = data, 0
        self.low, self.high, self.code = 0, 0xFFFFFFFF, 0
        for _ in range(4):
            self.code = self.code << 8 | self._byte()

    def _byte(self):
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def bit(self, chance=None):
        span = self.high - self.low
        middle = self.low + (span >> 1)
        if chance is not None:
            middle = self.low + (span >> 16) * chance + ((span & 0xFFFF) * chance >> 16)
        bit = self.code <= middle
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while self.low >> 24 == self.high >> 24:
            self.low = self.low << 8 & 0xFFFFFFFF
            self.high = self.high << 8 & 0xFFFFFFFF | 255
            self.code = self.code << 8 & 0xFFFFFFFF | self._byte()
        return int(bit)


TAPS = (
    (0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, 2), (-1, -2), (-2, -1), (-2, 1),
    (0, -3), (-3, 0), (-2, 2), (-2, -2), (-1, 3),
)  # fmt: skip


class Decoder:
    """One image; `prior` has the fields of a section 06h (SPEC 6.6), `squash` the table of 5C.2."""

    def __init__(self, data, prior, squash):
        self.code, self.prior, self.squash = Code(data), prior, squash
        self.x, self.r = {}, {}

    def picture(self):
        n_rows, n_columns = self.prior.height, self.prior.width
        extents = [(n_columns, -1), (n_columns, -1)]
        for row in range(n_rows):
            for column in range(n_columns):
                self._sample(row, column, extents)
            filled = [j for j in range(n_columns) if self.x[row, j]]
            extents = [(filled[0], filled[-1]) if filled else (n_columns, -1), extents[0]]
        rows = [[self.x[i, j] for j in range(n_columns)] for i in range(n_rows)]
        return [[255 - v for v in row] for row in rows] if self.prior.inverted else rows

    def _sample(self, row, column, extents):
        width = self.prior.width

        def near(a, b):
            return self.x.get((row + a, column + b), 0)

        def residual(a, b):
            return abs(self.r.get((row + a, column + b), 0))

        def mirrored(k):
            j = width - 1 - column + k
            return self.x[row, j] if 0 <= j < column else 0

        place = width * row + column
        taps = [near(*tap) for tap in TAPS] + [mirrored(k) for k in (0, 1, -1)] + [16]
        coefficients = self.prior.coefficients[19 * place : 19 * place + 19]
        total = sum(int(c) * t for c, t in zip(coefficients, taps, strict=True))
        p = (min(max((total + 256) >> 9, 0), 2040) + 4) >> 3
        w, n, nw, ne, ww, nn, nee = taps[:7]
        energy = 2 * residual(0, -1) + 2 * residual(-1, 0) + residual(-1, 1) + residual(-1, -1)
        activity = energy.bit_length()
        pattern = sum((v == 0) << i for i, v in enumerate((w, n, nw, ne, nn, ww, nee)))
        (left, right), (before, _) = extents
        begun = next((column - j for j in range(column) if self.x[row, j]), 64)
        drift = left - before + 3
        drift = drift if 0 <= drift <= 6 else 7
        symmetry = 2**22 + pattern
        if width - column < column:
            change = (w + mirrored(0) - mirrored(1) - p) >> 1
            symmetry = 16 * (clip(change, 63) + 64) + activity
        numbers = [
            32 * (clip(w - p, 15) + 15) + clip(n - p, 15) + 15,
            16 * (32 * (max(self.x.values(), default=0) >> 4) + (p >> 3)) + activity,
            12 * (12 * (12 * grade(w) + grade(n)) + grade(nw)) + grade(ne),
            32 * (clip(n + w - nw - p, 15) + 15) + clip(ne - p, 15) + 15,
            2 * (16 * p + activity) + (w == 0),
            symmetry,
            32 * (clip((2 * w - ww - p) >> 1, 15) + 15) + clip((2 * n - nn - p) >> 1, 15) + 15,
            64 * (8 * (128 * (column - left + 64) + begun) + drift) + ((right - column) >> 1) + 32,
            4096 * pattern + place,
        ]
        bits = self.prior.slot_bits
        self.slots = [
            ((number + (k << 40)) * 0x9E3779B97F4A7C15) % 2**64 >> (64 - bits)
            for k, number in enumerate(numbers)
        ]
        first_row = 8 * min(activity, 8) + 2 * (pattern % 4) + (mirrored(0) > 0)
        self.rows = (first_row, 72 + pattern)
        value = self._value(min(max(p, 1), 255))
        assert 0 <= value <= 255
        self.x[row, column], self.r[row, column] = value, value - p

    def _value(self, q):
        if self._decide(0):
            return 0
        if not self._decide(1):
            return q
        less = q == 255 or (q > 1 and self._decide(2))
        reach = q - 1 if less else 255 - q
        floor = width = 1
        ones, node = 0, 11 if less else 3
        while floor + width <= reach and self._decide(node):
            floor += width
            width *= 2 if ones else 1
            ones, node = ones + 1, node + 1
        rest = 0
        node = 19 if ones == 2 else 20 + 3 * min(ones - 3, 3)
        for index in range(ones - 1):
            if index == 0:
                bit = self._decide(node)
            elif index == 1:
                bit = self._decide(node + 1 + rest)
            else:
                bit = self.code.bit()
            rest = 2 * rest + bit
        return q - floor - rest if less else q + floor + rest

    def _decide(self, node):
        bits = self.prior.slot_bits
        odds = [
            int(self.prior.log_odds[((k * 32 + node) << bits) + slot])
            for k, slot in enumerate(self.slots)
        ]
        y = 0
        for row in self.rows:
            start = (row * 32 + node) * 10
            weights = self.prior.weights[start : start + 10]
            y += sum(int(w) * s for w, s in zip(weights, [*odds, 16], strict=True))
        mixed = int(self.squash[clip(y >> 2, 2047) + 2048])
        return self.code.bit(min(max(mixed, 24), 65512))
