"""The context coder (SPEC.md 5C), written from SPEC.md alone.

A part of reference_decoder.py.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from reference_decoder_colours import context_ranges, invert_context_transform, red_differences
from reference_decoder_container import BITS_OF_MODE, Header
from reference_decoder_context_prior import Prior
from reference_decoder_numbers import (
    ArithmeticDecoder,
    ByteReader,
    Range,
    SpecError,
    clip,
    curve_value,
    first_curve,
    squash,
    stretch_table,
    update_curve,
    update_state,
)
from reference_decoder_tiles import Tile, join_tiles, read_tiles_of

LEVELS = (0, 1, 2, 4, 7, 11, 18, 30, 50, 80, 128, 200)
LOG_LIMITS = (0, 1, 3, 7, 15, 31)
# Places of the neighbours whose differences from W are taps (5C.3, 5C.8).
OWN_TAPS = (
    *((-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)),
    *((-2, 1), (-2, -1), (-1, -2), (-1, 2), (0, -3), (-3, 0)),
)
FAR_TAPS = ((-2, 2), (-2, -2), (-1, -3), (-1, 3), (-3, -1), (-3, 1), (0, -4))
TAPS_BEFORE = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, 1), (1, 0))
TAPS_TWO_BEFORE = ((0, -1), (-1, 0), (0, 1), (1, 0))
MOST_TAPS = 21
NO_PRIOR = Prior((8, 1, 0), {}, {}, {}, {}, {}, None)


def med(u: int, v: int, w: int) -> int:
    """Return the median of three numbers (5C.3)."""
    return min(max(w, min(u, v)), max(u, v))


def level(value: int) -> int:
    """Return the class of an amount (5C.2)."""
    return sum(limit < min(value, 4095) for limit in LEVELS)


def share(error: int) -> int:
    """Return a prediction's weight by its recent error (5C.2)."""
    return max(1, 2**30 // (min(error, 2047) + 4) ** 4)


def norm(power: int) -> int:
    """Return the step of a filter by the taps' squares (5C.2)."""
    if power < 4096:
        return 2**22 // (4 * (power >> 2) + 22)
    return 2**22 // (4096 * min(power >> 12, 1535) + 2068)


def log(value: int) -> int:
    """Return a coarse logarithm with sign, 0..12 (5C.4)."""
    size = sum(limit < abs(value) for limit in LOG_LIMITS)
    return 6 + size if value >= 0 else 6 - size


@dataclass(frozen=True)
class ContextPlane:
    """What the payload says about a plane (5C.1)."""

    limits: Range
    scale: int


def read_context_planes(file: ByteReader, mode: int, transform: int) -> list[ContextPlane]:
    """Read what the payload says about the planes (5C.1)."""
    ranges = context_ranges(mode, transform)
    if len(ranges) > 60:
        narrowed = int.from_bytes(file.take((len(ranges) + 7) // 8), "little")
    else:
        narrowed = file.varint()
    if narrowed >> len(ranges):
        raise SpecError("corrupt: a narrowed plane that is not there")
    planes = []
    for index, limits in enumerate(ranges):
        lowest, highest, scale = limits.lowest, limits.highest, 0
        if narrowed >> index & 1:
            lowest += file.varint()
            highest -= file.varint()
            if (lowest, highest) == (limits.lowest, limits.highest):
                raise SpecError("corrupt: narrowed to the whole range")
        if lowest > highest:
            raise SpecError("corrupt: lowest above highest")
        if BITS_OF_MODE[mode] == 16:
            scale = file.byte()
        if scale > 8:
            raise SpecError("corrupt: a scale above 8")
        planes.append(ContextPlane(Range(lowest, highest), scale))
    return planes


@dataclass(frozen=True)
class ContextPayload:
    """A payload of the context coder (5C.1); summed: its log-odds add up (5C.10)."""

    summed: bool
    transform: int
    contexts: int
    planes: list[ContextPlane]
    tiles: list[Tile]


def read_context_payload(header: Header) -> ContextPayload:
    """Read the payload of the context coder up to its codes (5C.1)."""
    file = ByteReader(header.payload)
    first = file.byte()
    summed, transform, contexts = bool(first >> 7), first >> 4 & 7, first & 15
    if contexts == 0:
        raise SpecError("corrupt: no contexts")
    if summed and not 4 <= contexts <= 12:
        raise SpecError("corrupt: log-odds of so many contexts that add up")
    planes = read_context_planes(file, header.mode, transform)
    tiles = read_tiles_of(file, header, 1 << 20, 1 << 20)
    return ContextPayload(summed, transform, contexts, planes, tiles)


def decode_context(
    header: Header, priors: dict[int, Prior], previous: list[list[list[int]]] | None = None
) -> list[list[list[int]]]:
    """Decode the payload of the context coder into component planes (5C.1, 5C.9)."""
    payload = read_context_payload(header)
    prior = priors.get(payload.transform)
    bits = BITS_OF_MODE[header.mode]
    if previous and len(previous) > 8:
        raise SpecError("corrupt: more than eight planes of a frame that follows")
    if previous and payload.transform == 4:
        raise SpecError("corrupt: transform 4 of a frame that follows")

    def decode(tile: Tile) -> list[list[list[int]]]:
        sides = tile.right - tile.left, tile.bottom - tile.top
        known = None
        if previous:
            part = [
                [row[tile.left : tile.right] for row in plane[tile.top : tile.bottom]]
                for plane in previous
            ]
            known = part if payload.transform == 0 else red_differences(part)
        planes = decode_tile(tile.code, payload, prior, bits, *sides, known=known)
        return invert_context_transform(payload.transform, planes, (1 << bits) - 1)

    return join_tiles(header, payload.tiles, decode)


def decode_tile(
    code: bytes,
    payload: ContextPayload,
    prior: Prior | None,
    bits: int,
    width: int,
    height: int,
    known: list[list[list[int]]] | None = None,
) -> list[list[list[int]]]:
    """Decode a tile, with the bits of the image's samples (5C.1), and the frame before (5C.9)."""
    arithmetic = ArithmeticDecoder(code)
    model_type, plane_type = ContextModel, TilePlane
    if payload.summed:
        model_type, plane_type = SummingModel, WaitingPlane
    models = [model_type(payload.contexts, kind, prior) for kind in range(4)]
    done: list[TilePlane] = []
    for index, plane in enumerate(payload.planes):
        model, before = models[min(index + bool(known), 3)], done[::-1]
        if known:
            frame_before = TilePlane(arithmetic, model, plane, [], bits, width, height)
            frame_before.samples = known[index]
            frame_before.residuals = [[0] * width for _ in range(height)]
            before = [frame_before, *done[-1:]]
        done.append(plane_type(arithmetic, model, plane, before, bits, width, height))
        done[-1].decode()
    arithmetic.finish()
    return [plane.samples for plane in done]


@dataclass(frozen=True)
class Situation:
    """What chooses the states, weights and curves of a sample's decisions (5C.4, 5C.6)."""

    slots: list[int]
    weight_rows: list[int]
    curve_rows: list[int]
    pace: int


class ContextModel:
    """What a tile has learnt about the planes of a kind (5C.3, 5C.6), from its start on (6.4)."""

    def __init__(self, contexts: int, kind: int, prior: Prior | None) -> None:
        self.contexts = contexts
        self.kind = kind
        self.prior = prior or NO_PRIOR
        self.large = contexts >= 13
        self.bound = 65536 if contexts < 8 else 32768
        self.paces = (4, 100000) if self.large else (6, 200000)
        self.count_limit = 120 if self.large else 60
        if contexts == 15 and self.prior.learning:
            final, start, self.count_limit = self.prior.learning
            self.paces = (final, 4096 * start)
        weights = [58982 // ((3 if self.large else 2) * contexts)] * contexts + [0]
        self.biases: dict[tuple[int, int], int] = defaultdict(int)
        self.standard_weights = weights
        self.states: dict[tuple[int, int, int], list[int]] = {}
        self.weights: dict[tuple[int, int, int], list[int]] = {}
        self.curves: dict[tuple[int, int, int], list[int]] = defaultdict(first_curve)

    def coefficients(self, activity: int) -> list[int]:
        """Return L of an activity (5C.3)."""
        return self.prior.coefficients.get((self.kind, activity), [0] * MOST_TAPS)

    def first_filter(self) -> list[int]:
        """Return what F and S are at the start of a plane (5C.7, 6.4)."""
        standard = [104857, 0, 26214] + [0] * (MOST_TAPS - 3)
        return list(self.prior.filters.get(self.kind, standard))

    def state(self, context: int, slot: int, node: int) -> list[int]:
        """Return a state (5C.6, 5C.10, 6.4)."""
        if (context, slot, node) not in self.states:
            place = (context, self.kind, node, slot)
            start = self.prior.states.get(place, (1 << 21, 0))
            self.states[context, slot, node] = self.first_state(*start)
        return self.states[context, slot, node]

    def first_state(self, probability: int, count: int) -> list[int]:
        """Return a state at the start, Q and n (5C.6)."""
        return [probability, count]

    def weights_of(self, number: int, row: int, node: int) -> list[int]:
        """Return the weights of a set, row and node (5C.6, 6.4)."""
        if (number, row, node) not in self.weights:
            start = self.standard_weights
            if self.contexts == 7:
                start = self.prior.weights.get((number, self.kind, row, node), start)
            if self.contexts == 15:
                start = self.prior.full_weights.get((number, self.kind, row, node), start)
            self.weights[number, row, node] = list(start)
        return self.weights[number, row, node]

    def decide(self, arithmetic: ArithmeticDecoder, node: int, situation: Situation) -> int:
        """Decode one decision and learn from it (5C.6)."""
        states = [self.state(k, slot, node) for k, slot in enumerate(situation.slots)]
        weights = [self.weights_of(k, row, node) for k, row in enumerate(situation.weight_rows)]
        curves = [self.curves[k, row, node] for k, row in enumerate(situation.curve_rows)]
        inputs = [stretch_table()[state[0] >> 10] for state in states] + [256]
        total = sum(i * sum(w) for i, w in zip(inputs, zip(*weights, strict=True), strict=True))
        x = clip(total >> 16, 2047)
        mixed = squash(x)
        values = [curve_value(curve, x) for curve in curves]
        chance = (2 * mixed + sum(values)) >> 2 if self.large else (mixed + values[0]) >> 1
        if self.contexts < 4:
            chance = mixed
        yes = arithmetic.decide(min(max(chance, 32), 65504))
        error = (((yes << 16) - mixed) * situation.pace) >> 6
        for those in weights:
            for k, i in enumerate(inputs):
                those[k] = clip(those[k] + ((error * i + 8192) >> 14), self.bound)
        for curve in curves:
            update_curve(curve, x, yes)
        for state in states:
            update_state(state, yes, self.count_limit)
        return yes


class SummingModel(ContextModel):
    """What a tile has learnt about the planes of a kind where log-odds add up (5C.10)."""

    def first_state(self, probability: int, count: int) -> list[int]:
        """Return a state at the start, L and r, by the Q and n of 5C.6."""
        return [64 * stretch_table()[probability >> 10], max(600, 1696 - 45 * count)]

    def decide(self, arithmetic: ArithmeticDecoder, node: int, situation: Situation) -> int:
        """Decode one decision and learn from it."""
        states = [self.state(k, slot, node) for k, slot in enumerate(situation.slots)]
        curve = self.curves[0, situation.curve_rows[0], node]
        x = clip(sum(4096 * odds + rate for odds, rate in states) >> 20, 2047)
        yes = arithmetic.decide(min(max(curve_value(curve, x), 32), 65504))
        error = ((yes << 16) - squash(x)) >> 1
        for state in states:
            odds, rate = state
            state[0] = clip(odds + ((rate * error + 4096) >> 13), (1 << 19) - 1)
            state[1] = rate - ((rate - 100) >> 7)
        update_curve(curve, x, yes, 7)
        return yes


@dataclass(frozen=True)
class ContextNeighbours:
    """What a sample is predicted from (5C.3): its taps, and C, C[0,-1], C[-1,0], C[-1,-1]."""

    w: int
    n: int
    nw: int
    ne: int
    ww: int
    nn: int
    before: list[int]
    taps: list[int]
    square_taps: list[int]


@dataclass(frozen=True)
class Guess:
    """What the predictions say about a sample (5C.3); precise is p."""

    predictions: list[int]
    precise: int
    q: int
    activity: int
    texture: int
    doubt: int
    fine: int


class TilePlane:
    """A plane of a tile while it is decoded, and afterwards (5C.3 to 5C.8)."""

    def __init__(
        self,
        arithmetic: ArithmeticDecoder,
        model: ContextModel,
        plane: ContextPlane,
        before: list["TilePlane"],
        bits: int,
        width: int,
        height: int,
    ) -> None:
        self.arithmetic, self.model, self.before = arithmetic, model, before
        self.limits, self.scale = plane.limits, plane.scale
        self.tree_depth = 17 if bits == 16 else 9
        self.width, self.height = width, height
        self.row = self.column = 0
        self.middle = (self.limits.lowest + self.limits.highest + 1) >> 1
        self.samples: list[list[int]] = []
        self.residuals: list[list[int]] = []
        self.errors: list[list[list[int]]] = []
        self.fast, self.slow = model.first_filter(), model.first_filter()
        self.squares = LeastSquares(18 if not before else 17 if len(before) == 1 else 21, plane)

    def decode(self) -> None:
        """Decode all samples."""
        if self.limits.span == 0:
            self.samples = [[self.limits.lowest] * self.width for _ in range(self.height)]
            self.residuals = [[0] * self.width for _ in range(self.height)]
            return
        for row in range(self.height):
            self.row = row
            self.samples.append([])
            self.residuals.append([])
            self.errors.append([])
            for column in range(self.width):
                self.column = column
                self.decode_sample()

    def sample_at(self, row: int, column: int) -> int:
        """Return x(row, column), inside the tile or outside (5C.3)."""
        if row < 0:
            return self.samples[0][column - 4] if column >= 4 else self.middle
        if column < 0:
            return self.samples[row - 1][0] if row > 0 else self.middle
        return self.samples[min(row, self.height - 1)][min(column, self.width - 1)]

    def around(self, values: list[list[Any]], zero: Any) -> list[Any]:
        """Return values at W, N, NW, NE, WW and NN, zero outside the tile (5C.3)."""
        found = []
        for i, j in ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)):
            row, column = self.row + i, self.column + j
            inside = row >= 0 and 0 <= column < self.width
            found.append(values[row][column] if inside else zero)
        return found

    def decode_sample(self) -> None:
        """Predict a sample, decode its residual and learn from it (5C.3 to 5C.8)."""
        model, s, limits = self.model, self.scale, self.limits
        near = self.neighbours()
        residuals = self.around(self.residuals, 0)
        r_w, r_n, r_nw, r_ne, r_ww, _ = map(abs, residuals)
        activity = level((2 * r_w + 2 * r_n + r_nw + r_ne + r_ww) >> (1 + s))
        predictions = self.predict(near, activity)
        blend, total = self.blend(predictions)
        texture = sum(
            (16 * value > blend) << bit
            for bit, value in enumerate((near.n, near.w, near.nw, near.ne, near.nn, near.ww))
        )
        precise = blend + (model.biases[activity, texture] >> 12)
        compared = [*predictions[:4], predictions[5]]
        fine = next((number for number in range(24) if total >> number <= 7), 23)
        guess = Guess(
            predictions=predictions,
            precise=precise,
            q=limits.clamp((precise + 8) >> 4),
            activity=activity,
            texture=texture,
            doubt=level((max(compared) - min(compared)) >> (3 + s)),
            fine=fine if model.large else 0,
        )
        slots = self.slots(near, residuals, guess)[: model.contexts]
        steps = self.row * self.width + 16384
        third = guess.fine * 13 // 24
        if model.large:
            rows = [activity, guess.doubt, third], [activity, third]
        else:
            rows = [activity, guess.doubt], [activity]
        final, start = model.paces
        situation = Situation(slots, *rows, pace=final + start // steps)
        sample = guess.q + self.decode_residual(guess.q, situation)
        if sample != limits.clamp(sample):
            raise SpecError("corrupt: a sample outside its range")
        self.samples[self.row].append(sample)
        self.residuals[self.row].append(sample - guess.q)
        self.errors[self.row].append([min(abs(16 * sample - k), 4080 << s) for k in predictions])
        model.biases[activity, texture] += ((sample << 16) - (precise << 12)) >> 6
        self.learn(near, predictions, sample)

    def neighbours(self) -> ContextNeighbours:
        """Return the neighbours of the current sample and the taps (5C.3, 5C.8)."""

        def at(plane: TilePlane, place: tuple[int, int]) -> int:
            return plane.sample_at(self.row + place[0], self.column + place[1])

        west = at(self, (0, -1))
        own = [at(self, place) - west for place in OWN_TAPS]
        taps = list(own)
        for plane, places in zip(self.before, (TAPS_BEFORE, TAPS_TWO_BEFORE), strict=False):
            taps += [at(plane, (0, 0)) - at(plane, place) for place in places]
        far = [] if self.before else [at(self, place) - west for place in FAR_TAPS]
        n, nw, ne, ww, nn = (west + difference for difference in own[:5])
        before = [at(self.before[0], (i, j)) for i in (0, -1) for j in (0, -1) if self.before]
        return ContextNeighbours(west, n, nw, ne, ww, nn, before, taps, taps + far)

    def predict(self, near: ContextNeighbours, activity: int) -> list[int]:
        """Return P_0, P_1 and so on (5C.3)."""
        w, n, nw, ne = near.w, near.n, near.nw, near.ne
        trained = self.model.coefficients(activity)
        fast, slow = (
            sum(t * (c >> 4) for t, c in zip(near.taps, coefficients, strict=False)) >> 10
            for coefficients in (self.fast, self.slow)
        )
        third = 16 * n + 4 * (ne - nw) + 8 * (w - nw)
        if self.before:
            c, c_w, c_n, c_nw = near.before
            u, v = w - c_w, n - c_n
            third = 16 * (c + med(u, v, u + v - (nw - c_nw)))
        predictions = [
            16 * w + fast,
            16 * med(w, n, n + w - nw),
            16 * w + (sum(t * c for t, c in zip(near.taps, trained, strict=False)) >> 10),
            third,
            16 * w + 8 * (ne - n) + 4 * (n - nw),
            16 * w + slow,
        ]
        if self.model.large:
            predictions.append(16 * w + self.squares.predict(near.square_taps))
        return predictions

    def blend(self, predictions: list[int]) -> tuple[int, int]:
        """Return P and T (5C.3)."""
        shares = []
        for e in zip(*self.around(self.errors, [0] * len(predictions)), strict=True):
            recent = (2 * e[0] + 2 * e[1] + e[2] + e[3] + e[4]) >> 3
            shares.append(share(recent >> self.scale))
        base = 16 * self.limits.lowest - 4096
        raised = sum(g * (p - base) for g, p in zip(shares, predictions, strict=True))
        return base + max(0, raised) // sum(shares), sum(shares)

    def slots(self, near: ContextNeighbours, residuals: list[int], guess: Guess) -> list[int]:
        """Return the slot numbers of all contexts (5C.4)."""
        s, q, a, p = self.scale, guess.q, guess.activity, guess.precise
        w, n, nw, ne, ww, nn = near.w, near.n, near.nw, near.ne, near.ww, near.nn
        r_w, r_n, _, _, r_ww, r_nn = residuals
        h, f = 4 << s, (p + 8) & 15
        off = [prediction - p for prediction in guess.predictions]

        def pair(u: int, v: int) -> int:
            return 32 * (clip(u >> s, 15) + 15) + clip(v >> s, 15) + 15

        def nears(u: int, m: int, v: int, n: int) -> int:
            first, second = (
                clip((d + (1 << (k - 1 + s))) >> (k + s), 15) + 15 for d, k in ((u, m), (v, n))
            )
            return 32 * first + second

        def two(u: int, v: int) -> int:
            return 9 * (clip(u >> s, 4) + 4) + clip(v >> s, 4) + 4

        z = next(z for z in range(18) if self.limits.span >> z <= 1023)
        pos = (q - self.limits.lowest) >> z
        wide = 11 * (clip((off[0] + h) >> (3 + s), 5) + 5)
        wide = 13 * (wide + clip((off[3] + 2 * h) >> (4 + s), 5) + 5) + guess.doubt
        grad = 8 * (clip((w + n - nw - q) >> s, 31) + 31) + (f >> 1)
        tex = 4 * (4 * guess.texture + (f >> 2)) + min(a // 3, 3)
        twos = 81 * two(r_w, r_ww) + two(r_n, r_nn)
        fast_and_fourth = nears(off[0], 2, off[4], 3)
        last = 8 * guess.fine + (f >> 1)
        if not self.before:
            return [
                pair(w - q, n - q),
                pos,
                wide,
                tex,
                twos,
                nears(off[5], 2, off[6 if self.model.large else 2], 2),
                pair(ww - q, nn - q),
                pair(ne - q, nw - q),
                pair(r_w, r_n),
                fast_and_fourth,
                13 * (clip((off[1] + h) >> (3 + s), 20) + 20) + a,
                grad,
                16 * (q & 127) + clip((n + w - 2 * q) >> (1 + s), 7) + 7,
                pair(n - ne, w - nw),
                last,
            ]
        before, two_before = (
            plane.residuals[self.row][self.column] for plane in (self.before * 2)[:2]
        )
        pair_before = 21 * (clip(before >> s, 10) + 10) + clip(two_before >> s, 10) + 10
        return [
            pair(w - q, n - q),
            2 * pair_before + (a > 5),
            grad,
            pos,
            wide,
            pair(r_w, r_n),
            pair(ne - q, nw - q),
            nears(off[3], 3, off[1], 3),
            nears(off[0], 2, off[6], 2) if self.model.large else fast_and_fourth,
            tex,
            13 * (13 * log(near.taps[11] >> s) + log(near.taps[12] >> s)) + a,
            twos,
            pair(before, r_w),
            pair(ww - q, nn - q),
            last,
        ]

    def learn(self, near: ContextNeighbours, predictions: list[int], sample: int) -> None:
        """Adapt the filters to a sample (5C.7, 5C.8)."""
        s, most = self.scale, (1 << 21) - 1
        step = norm(sum(t * t for t in near.taps) >> (2 * s)) * 64
        fast_step = ((16 * sample - predictions[0]) * step) >> (14 + s)
        slow_step = ((16 * sample - predictions[5]) * step) >> (16 + s)
        for k, t in enumerate(near.taps):
            self.fast[k] = clip(self.fast[k] + ((fast_step * t) >> (6 + s)), most)
            self.slow[k] = clip(self.slow[k] + ((slow_step * t) >> (6 + s)), most)
        if self.model.large:
            self.squares.learn(near.square_taps, sample - near.w)

    def decode_residual(self, q: int, situation: Situation) -> int:
        """Decode a residual by its decisions (5C.5)."""
        up, down = self.limits.highest - q, q - self.limits.lowest

        def ask(node: int) -> int:
            return self.model.decide(self.arithmetic, node, situation)

        if max(up, down) == 0 or not ask(0):
            return 0
        negative = up == 0 or (down > 0 and bool(ask(1)))
        reach = down if negative else up
        floor = width = 1
        ones = 0
        node = 2 + self.tree_depth if negative else 2
        while floor + width <= reach and ones < self.tree_depth and ask(node):
            floor += width
            if ones > 0:
                width *= 2
            ones += 1
            node += 1
        digits = width.bit_length() - 1
        node = 2 + 2 * self.tree_depth + 3 * min(ones - 2, 3)
        rest = 0
        for digit in range(digits):
            if digit == 0:
                bit = ask(node)
            elif digit == 1:
                bit = ask(node + 1 + rest)
            else:
                bit = self.arithmetic.even_bit()
            rest = 2 * rest + bit
        return -(floor + rest) if negative else floor + rest


class WaitingPlane(TilePlane):
    """A plane whose filters learn from a sample when the next in its row is predicted (5C.10)."""

    learnt_later: tuple[ContextNeighbours, list[int], int]

    def predict(self, near: ContextNeighbours, activity: int) -> list[int]:
        """Return P_0, P_1 and so on, and learn from the sample to the left."""
        predictions = super().predict(near, activity)
        if self.column > 0:
            super().learn(*self.learnt_later)
        return predictions

    def learn(self, near: ContextNeighbours, predictions: list[int], sample: int) -> None:
        """Keep what the filters learn from when the next sample of the row is predicted."""
        self.learnt_later = near, predictions, sample


class LeastSquares:
    """The least-squares predictor of a plane (5C.8)."""

    def __init__(self, taps: int, plane: ContextPlane) -> None:
        self.taps = taps
        self.highest = 16 * plane.limits.span
        self.shift = max(plane.scale - 2, 0)
        self.coefficients = [6553, 0, 1638] + [0] * (taps - 3)
        self.matrix = [[0] * taps for _ in range(taps)]
        self.vector = [0] * taps
        self.turn = 0

    def predict(self, taps: list[int]) -> int:
        """Return P_6 minus 16 W (5C.3)."""
        products = (c * v for c, v in zip(self.coefficients, taps, strict=True))
        return clip(sum(products) >> 10, self.highest)

    def learn(self, taps: list[int], difference: int) -> None:
        """Learn from a sample minus W."""
        u = [clip(v >> self.shift, 2047) for v in taps]
        g = clip(difference >> self.shift, 2047)
        for i in range(self.taps):
            line = self.matrix[i]
            for j in range(self.taps):
                line[j] += ((u[i] * u[j] << 14) - line[j]) >> 11
            self.vector[i] += ((u[i] * g << 14) - self.vector[i]) >> 11
        for _ in range(4):
            line, turn = self.matrix[self.turn], self.turn
            products = (m * c for m, c in zip(line, self.coefficients, strict=True))
            gap = (self.vector[turn] << 14) - sum(products)
            step = gap // (line[turn] + 8192)
            self.coefficients[turn] = clip(self.coefficients[turn] + step, 262143)
            self.turn = (turn + 1) % self.taps
