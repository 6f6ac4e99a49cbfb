"""Slow, obvious twins of the kernels, written from SPEC.md with plain integers and lists."""

import math
from collections import Counter


def neighbours(plane, row, column):
    """W, N, NW, NE, WW, NN, NNE (SPEC 5.3)."""

    def sample(up, left):
        i, j = row - up, column - left
        return plane[i][j] if i >= 0 and 0 <= j < len(plane[0]) else None

    def first(*choices):
        return next(choice for choice in choices if choice is not None)

    w, n = sample(0, 1), sample(1, 0)
    w, n = first(w, n, 0), first(n, w, 0)
    nw, ne = first(sample(1, 1), n), first(sample(1, -1), n)
    return w, n, nw, ne, first(sample(0, 2), w), first(sample(2, 0), n), first(sample(2, -1), ne)


def med(w, n, nw):
    """The median edge detector (SPEC 5.4)."""
    return sorted([w, n, w + n - nw])[1]


class Gap:
    """The gradient-adjusted predictor with error feedback (SPEC 5.5)."""

    def __init__(self, lowest, highest):
        self.lowest, self.highest = lowest, highest
        self.counts, self.sums = Counter(), Counter()
        self.p = 0

    def predict(self, plane, row, column):
        w, n, nw, ne, ww, nn, nne = neighbours(plane, row, column)
        dh = abs(w - ww) + abs(n - nw) + abs(n - ne)
        dv = abs(w - nw) + abs(n - nn) + abs(ne - nne)
        t = dv - dh
        middle = 8 * (w + n) + 4 * (ne - nw)
        if abs(t) > 80:
            p = 16 * (w if t > 0 else n)
        elif abs(t) > 32:
            p = math.floor((middle + 16 * (w if t > 0 else n)) / 2)
        elif abs(t) > 8:
            p = math.floor((3 * middle + 16 * (w if t > 0 else n)) / 4)
        else:
            p = middle
        items = [2 * w - ww, 2 * n - nn, ww, nn, ne, nw, w, n]
        texture = int("".join("1" if 16 * item < p else "0" for item in items), 2)
        error = math.floor(abs(16 * w - self.p) / 16) if column else 0
        energy = dh + dv + 2 * error
        level = sum(limit < energy for limit in (5, 15, 25, 42, 60, 85, 140))
        self.context, self.p = 8 * texture + level, p
        count = self.counts[self.context]
        self.x = p + (16 * self.sums[self.context] // count if count else 0)
        clamped = min(max(self.x, 16 * self.lowest), 16 * self.highest)
        return -(-clamped // 16)

    def learn(self, sample):
        self.counts[self.context] += 1
        self.sums[self.context] += (16 * sample - self.x) // 16
        if self.counts[self.context] == 128:
            self.counts[self.context] = 64
            self.sums[self.context] //= 2


class Simple:
    """Predictors 0 and 1 (SPEC 5.4)."""

    def __init__(self, predictor, lowest, highest):
        self.predictor, self.lowest, self.highest = predictor, lowest, highest

    def predict(self, plane, row, column):
        value = med(*neighbours(plane, row, column)[:3]) if self.predictor else 0
        return min(max(value, self.lowest), self.highest)

    def learn(self, sample):
        pass


def _predictor(predictor, lowest, highest):
    return Gap(lowest, highest) if predictor == 2 else Simple(predictor, lowest, highest)


def _mapping(prediction, lowest, highest):
    """Mapped residual of every sample of the range (SPEC 5.6)."""
    both = min(prediction - lowest, highest - prediction)
    mapped = {}
    for sample in range(lowest, highest + 1):
        e = sample - prediction
        mapped[sample] = abs(e) + both if abs(e) > both else 2 * e if e >= 0 else -2 * e - 1
    return mapped


def map_residuals(plane, predictor, lowest, highest):
    """Mapped residuals of a plane (SPEC 5.3 to 5.6)."""
    guess = _predictor(predictor, lowest, highest)
    tables = {}
    mapped = []
    for row, samples in enumerate(plane):
        mapped.append([])
        for column, sample in enumerate(samples):
            prediction = guess.predict(plane, row, column)
            if prediction not in tables:
                tables[prediction] = _mapping(prediction, lowest, highest)
            mapped[-1].append(tables[prediction][sample])
            guess.learn(sample)
    return mapped


def unmap_residuals(mapped, predictor, lowest, highest):
    """The plane of mapped residuals, or (row, column) of the first that no sample has."""
    guess = _predictor(predictor, lowest, highest)
    tables = {}
    plane = [[None] * len(values) for values in mapped]
    for row, values in enumerate(mapped):
        for column, value in enumerate(values):
            prediction = guess.predict(plane, row, column)
            if prediction not in tables:
                table = _mapping(prediction, lowest, highest)
                tables[prediction] = {number: sample for sample, number in table.items()}
            if value not in tables[prediction]:
                return row, column
            plane[row][column] = tables[prediction][value]
            guess.learn(plane[row][column])
    return plane


def anchor(shape):
    """Column of the first non-zero cell of a shape's first row (SPEC 5.7)."""
    return next(column for column, value in enumerate(shape[0]) if value)


def paint(shapes, placements, n_rows, n_columns, largest):
    """The layer of (shape, gap) placements, or what is wrong with them (SPEC 5.7, 5.8)."""
    layer = [[0] * n_columns for _ in range(n_rows)]
    covered = set()
    cursor = 0
    for index, gap in placements:
        free = [c for c in range(cursor, n_rows * n_columns) if c not in covered]
        if gap >= len(free):
            return "location"
        cursor = free[gap]
        shape = shapes[index]
        top, left = cursor // n_columns, cursor % n_columns - anchor(shape)
        if left < 0 or top + len(shape) > n_rows or left + len(shape[0]) > n_columns:
            return "outside"
        for i, values in enumerate(shape, top):
            for j, value in enumerate(values, left):
                cell = i * n_columns + j
                if value > largest or (cell in covered and layer[i][j] != value):
                    return "value"
                layer[i][j] = value
                covered.add(cell)
    return layer


def cover(layer, shapes, choose):
    """(shape, gap) placements that paint `layer`; None where a cell has no shape.

    `choose` picks one of the fitting shapes, a list of (index, values of the newly covered cells).
    """
    n_rows, n_columns = len(layer), len(layer[0])
    covered = set()
    placements = []
    gap = 0
    for cell in range(n_rows * n_columns):
        row, column = divmod(cell, n_columns)
        if cell in covered:
            continue
        if not layer[row][column]:
            gap += 1
            continue
        fitting = []
        for index, shape in enumerate(shapes):
            left = column - anchor(shape)
            if left < 0 or row + len(shape) > n_rows or left + len(shape[0]) > n_columns:
                continue
            if shape != [values[left:][: len(shape[0])] for values in layer[row:][: len(shape)]]:
                continue
            cells = {
                i * n_columns + j: value
                for i, values in enumerate(shape, row)
                for j, value in enumerate(values, left)
            }
            fitting.append((index, [cells[c] for c in cells if c not in covered], cells))
        if not fitting:
            return None
        chosen = choose([(index, values) for index, values, _ in fitting])
        covered.update(next(cells for index, _, cells in fitting if index == chosen))
        placements.append((chosen, gap))
        gap = 0
    return placements


def match(layer, shapes, code_lengths, cell_value, new_zero_value):
    """Placements by the encoder's greedy rule; None where a cell has no shape.

    Of equal shapes only the first is used.
    """

    def rank(choice):
        index, values = choice
        worth = sum(cell_value if value else new_zero_value for value in values)
        height, width = len(shapes[index]), len(shapes[index][0])
        gain = worth - 256 * code_lengths[index]
        return -gain, -height * width, height, width, anchor(shapes[index]), index

    def best(fitting):
        distinct = [choice for choice in fitting if shapes.index(shapes[choice[0]]) == choice[0]]
        return min(distinct, key=rank)[0]

    return cover(layer, shapes, best)


def fresh_cells(shapes, placements, n_rows, n_columns):
    """Non-zero cells that each of some valid (shape, gap) placements is the first to cover."""
    counts = []
    covered = set()
    cursor = 0
    for index, gap in placements:
        cursor = [c for c in range(cursor, n_rows * n_columns) if c not in covered][gap]
        shape = shapes[index]
        first = cursor - anchor(shape)
        cells = {
            first + i * n_columns + j: value
            for i, values in enumerate(shape)
            for j, value in enumerate(values)
        }
        counts.append(sum(value != 0 for cell, value in cells.items() if cell not in covered))
        covered.update(cells)
    return counts


def canonical_codewords(lengths):
    """Codewords as strings (SPEC 4.2)."""
    words = {}
    code, last = 0, None
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths)):
        if last is not None:
            code = (code + 1) << (length - last)
        words[symbol] = format(code, f"0{length}b")
        last = length
    return [words[symbol] for symbol in range(len(lengths))]


def golomb(value, parameter):
    """Golomb's codeword as a string (SPEC 4.3)."""
    quotient, remainder = divmod(value, parameter)
    k = 0
    while 1 << k < parameter:
        k += 1
    spare = (1 << k) - parameter
    width = k - 1 if remainder < spare else k
    tail = remainder if remainder < spare else remainder + spare
    return "1" * quotient + "0" + (format(tail, f"0{width}b") if width > 0 else "")


def trained_gap(gap, gap_lengths):
    """A gap's codeword and extra bits under a trained code, as a string (SPEC 5.8)."""
    words = canonical_codewords(gap_lengths)
    if gap < 128:
        return words[gap]
    digits = format(gap, "b")
    return words[128 + len(digits) - 8] + digits[1:]


ENERGY_LIMITS = (0, 2, 4, 7, 11, 15, 20, 27, 36, 49, 66, 90, 130, 200, 350)


def energy_class(mapped, row, column):
    """Energy class of a sample, from the mapped residuals before it (SPEC 5.9)."""
    w, n, nw, ne, ww, nn, _ = neighbours(mapped, row, column)
    energy = 2 * w + 2 * n + nw + ne + ww + nn
    return sum(limit < energy for limit in ENERGY_LIMITS)


def surroundings(high, row, column):
    """What the shape layer at and around a sample adds to its context (SPEC 5.9)."""
    around = [
        high[i][j]
        for i in range(row - 1, row + 2)
        for j in range(column - 1, column + 2)
        if (i, j) != (row, column) and 0 <= i < len(high) and 0 <= j < len(high[0])
    ]
    filled = sum(value != 0 for value in around)
    return 4 * min(high[row][column], 3) + [0, 1, 1, 2, 2, 3, 3, 3, 3][filled]


class ArithmeticEncoder:
    """The adaptive arithmetic coder (SPEC 4.4)."""

    def __init__(self):
        self.low, self.high, self.out = 0, 0xFFFFFFFF, bytearray()

    def encode(self, bit, state):
        """Code a bit; `state` is [P, n]."""
        probability, count = state
        p = min(max(probability >> 6, 32), 65504)
        span = self.high - self.low
        middle = self.low + (span >> 16) * p + (((span & 0xFFFF) * p) >> 16)
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while self.low >> 24 == self.high >> 24:
            self.out.append(self.low >> 24)
            self.low = (self.low << 8) % (1 << 32)
            self.high = ((self.high << 8) | 0xFF) % (1 << 32)
        target = 4194303 if bit else 0
        state[0] += ((target - probability) * (131072 // (2 * count + 3))) >> 16
        state[1] = min(count + 1, 255)

    def finish(self):
        """All bytes, the last 0 to 4 included."""
        for k in range(5):
            unit = 1 << (32 - 8 * k)
            least = -(-self.low // unit) * unit
            if least <= self.high:
                return bytes(self.out) + least.to_bytes(4, "big")[:k]
        raise AssertionError("low is above high")


def contexts(mapped, low_bits, beside_shapes):
    """Context of each sample of a low layer (SPEC 5.9)."""
    high = [[value >> low_bits for value in values] for values in mapped]
    return [
        [
            energy_class(mapped, i, j) + (16 * surroundings(high, i, j) if beside_shapes else 0)
            for j in range(len(values))
        ]
        for i, values in enumerate(mapped)
    ]


def encode_low_layers(planes):
    """Code of the low layers of (mapped, low_bits, states); states are [context][node] words."""
    encoder = ArithmeticEncoder()
    for mapped, low_bits, states in planes:
        table = [[[word >> 10, word & 1023] for word in nodes] for nodes in states]
        known = contexts(mapped, low_bits, beside_shapes=len(table) == 256)
        for values, numbers in zip(mapped, known, strict=True):
            for value, number in zip(values, numbers, strict=True):
                nodes = table[number]
                node = 1
                for digit in format(value % (1 << low_bits), f"0{low_bits}b"):
                    encoder.encode(int(digit), nodes[node])
                    node = 2 * node + int(digit)
    return encoder.finish()


def dense_windows(layer, max_side):
    """Count the windows of more than one cell whose rows and columns are at most half empty."""
    counts = Counter()
    n_rows, n_columns = len(layer), len(layer[0])
    for top in range(n_rows):
        for left in range(n_columns):
            for height in range(1, min(max_side, n_rows - top) + 1):
                for width in range(1, min(max_side, n_columns - left) + 1):
                    window = tuple(
                        tuple(values[left : left + width]) for values in layer[top : top + height]
                    )
                    lines = [*window, *zip(*window, strict=True)]
                    dense = all(2 * line.count(0) <= len(line) for line in lines)
                    if height * width > 1 and dense:
                        counts[window] += 1
    return counts
