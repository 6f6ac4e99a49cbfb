"""The few-colour coder (SPEC.md 5E), palettes (3.1.1, 3.1.2) and the prior (6.7).

A part of reference_decoder.py, written from SPEC.md alone.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from reference_decoder_numbers import (
    ArithmeticDecoder,
    ByteReader,
    SpecError,
    clip,
    curve_value,
    first_curve,
    squash,
    stretch_table,
    update_curve,
    update_state,
)

MODULUS = 2**64
A = 0x9E3779B97F4A7C15
B = 0xD6E8FEB86659FD93
COMPONENTS = {1: (1,), 2: (0, 1), 3: (1, 2, 3), 4: (0, 1, 2, 3)}
SHIFTS = (24, 16, 8, 0)
PALETTE_CONTEXTS = PRIOR_CONTEXTS = 10


# Palettes (3.1.1, 3.1.2)


@dataclass(frozen=True)
class Palette:
    """The colours of a palette image; transparency is an index, or alphas, or nothing."""

    components: int
    colours: list[tuple[int, ...]]
    transparency: int | bytes | None

    def description(self) -> bytes:
        """Return what the checksum covers (2.5)."""
        out = bytes([self.components]) + len(self.colours).to_bytes(2, "little")
        out += bytes(component for colour in self.colours for component in colour)
        if self.transparency is None:
            return out + b"\x00"
        if isinstance(self.transparency, int):
            return out + bytes([1, self.transparency])
        return out + b"\x02" + len(self.transparency).to_bytes(2, "little") + self.transparency

    def keys(self) -> list[int]:
        """Return the keys of the 256 indices (5E.2)."""
        keys: list[int] = []
        for index in range(256):
            black = (0, 0, 0, 255)[: self.components]
            colour = self.colours[index] if index < len(self.colours) else black
            red, green, blue, alpha = (*colour, 255)[:4]
            if isinstance(self.transparency, int) and index == self.transparency:
                alpha = 0
            if isinstance(self.transparency, bytes) and index < len(self.transparency):
                alpha = self.transparency[index]
            key = alpha << 24 | green << 16 | red << 8 | blue
            while key in keys:
                key = (key + 1) % 2**32
            keys.append(key)
        return keys


def read_palette(content: bytes, transparency: bytes | None) -> Palette:
    """Read the segments of a palette image (3.1.1, 3.1.2)."""
    file = ByteReader(content)
    components, form = divmod(file.byte(), 2)
    number = file.varint()
    if components not in (3, 4) or number > 256:
        raise SpecError("corrupt: the components or the number of colours of a palette")
    if form == 0:
        colours = [tuple(file.take(components)) for _ in range(number)]
        if not file.at_end:
            raise SpecError("corrupt: bytes behind a palette")
    elif number == 0:
        raise SpecError("corrupt: a coded palette without colours")
    else:
        arithmetic = ArithmeticDecoder(file.rest())
        keys = Models(PALETTE_CONTEXTS, number).code_grid(arithmetic, 1, number, components)[0]
        arithmetic.finish()
        colours = [
            tuple(key >> SHIFTS[component] & 255 for component in (2, 1, 3, 0))[:components]
            for key in keys
        ]
    return Palette(components, colours, read_transparency(transparency))


def read_transparency(content: bytes | None) -> int | bytes | None:
    """Read the transparency of a palette image (3.1.2)."""
    if content is None:
        return None
    file = ByteReader(content)
    form = file.byte()
    if form > 1:
        raise SpecError("corrupt: the form of a transparency")
    transparency: int | bytes
    if form == 0:
        transparency = file.byte()
    else:
        number = file.varint()
        if number > 256:
            raise SpecError("corrupt: more than 256 alphas")
        transparency = file.rest()
        if len(transparency) > number:
            raise SpecError("corrupt: bytes behind a transparency")
        transparency += b"\xff" * (number - len(transparency))
    if not file.at_end:
        raise SpecError("corrupt: bytes behind a transparency")
    return transparency


# The prior (6.7)


@dataclass(frozen=True)
class PriorPicture:
    """A picture of a prior, its keys not decoded yet."""

    planes: int
    height: int
    width: int
    colours: int


@dataclass(frozen=True)
class FewColourPrior:
    """A prior (6.7)."""

    with_states: bool
    with_matches: bool
    cap: int
    pictures: list[PriorPicture]
    code: bytes


def read_few_colour_prior(content: bytes) -> FewColourPrior:
    """Read a prior up to its code (6.7)."""
    file = ByteReader(content)
    parts, cap = file.take(2)
    number = file.varint()
    if parts > 3 or not 1 <= cap <= 60 or not 1 <= number <= 4096:
        raise SpecError("corrupt: the first fields of a few-colour prior")
    pictures = []
    for _ in range(number):
        kind, planes = divmod(file.byte(), 16)
        height, width = file.varint(), file.varint()
        if kind > 1 or not 1 <= planes <= 4 or 0 in (height, width):
            raise SpecError("corrupt: a picture of a few-colour prior")
        colours = read_number_of_colours(file, width * height) if kind else 0
        pictures.append(PriorPicture(planes, height, width, colours))
    if sum(picture.height * picture.width for picture in pictures) > 1 << 20:
        raise SpecError("corrupt: the pixels of a few-colour prior")
    return FewColourPrior(bool(parts & 1), bool(parts & 2), cap, pictures, file.rest())


def read_number_of_colours(file: ByteReader, pixels: int) -> int:
    """Read a number of colours (5E.1)."""
    number = file.varint()
    if not 1 <= number <= min(65536, pixels):
        raise SpecError("corrupt: the number of colours")
    return number


def prior_models(prior: FewColourPrior, contexts: int) -> "Models":
    """Return models as they are after the pictures of a prior (6.7)."""
    arithmetic = ArithmeticDecoder(prior.code)
    pixels = sum(picture.height * picture.width for picture in prior.pictures)
    models = Models(PRIOR_CONTEXTS, pixels)
    decoded: list[tuple[list[int], list[list[int]]]] = []
    for picture in prior.pictures:
        colours: list[int] = []
        if picture.colours:
            colours = read_colours(arithmetic, models, picture.colours, picture.planes)
        keys = models.code_grid(arithmetic, picture.height, picture.width, picture.planes, colours)
        decoded.append((colours, keys))
    arithmetic.finish()
    if contexts != PRIOR_CONTEXTS:
        models = Models(contexts, pixels)
        for picture, (colours, keys) in zip(prior.pictures, decoded, strict=True):
            if colours:
                models.code_grid(None, 1, picture.colours, picture.planes, (), [colours])
            models.code_grid(None, picture.height, picture.width, picture.planes, colours, keys)
    models.keep(prior)
    return models


# Payloads (5E.1)


def decode_few_colour(
    payload: bytes,
    width: int,
    height: int,
    planes: int,
    palette: Palette | None,
    prior: FewColourPrior | None,
) -> list[list[list[int]]]:
    """Decode a payload of the few-colour coder into component planes (5E.1)."""
    file = ByteReader(payload)
    kind, contexts = divmod(file.byte(), 16)
    if kind > 1 or not 1 <= contexts <= 14 or (palette and kind == 0):
        raise SpecError("corrupt: the kind or the contexts of the few-colour coder")
    number = 0
    if kind == 1 and not palette:
        number = read_number_of_colours(file, width * height)
    arithmetic = ArithmeticDecoder(file.rest())
    models = prior_models(prior, contexts) if prior else Models(contexts, width * height)
    colours = palette.keys() if palette else []
    if number:
        colours = read_colours(arithmetic, models, number, planes)
    keys = models.code_grid(arithmetic, height, width, planes, colours)
    arithmetic.finish()
    if palette:
        indices = {key: index for index, key in enumerate(palette.keys())}
        return [[[indices[key] for key in row] for row in keys]]
    order = {1: (3,), 2: (3, 0), 3: (2, 1, 3), 4: (2, 1, 3, 0)}[planes]
    return [[[key >> SHIFTS[c] & 255 for key in row] for row in keys] for c in order]


def read_colours(
    arithmetic: ArithmeticDecoder, models: "Models", number: int, planes: int
) -> list[int]:
    """Decode a grid of colours (5E.1)."""
    colours = models.code_grid(arithmetic, 1, number, planes)[0]
    if any(first >= second for first, second in pairwise(colours)):
        raise SpecError("corrupt: the colours do not ascend")
    return colours


# Hashes and the order of a palette (5E.3, 5E.4)


def h(a: int, b: int) -> int:
    """Return a hash (5E.3)."""
    y = (a + b * A + A) * B % MODULUS
    return y ^ (y >> 32)


def coordinates(key: int) -> tuple[int, int, int, int]:
    """Return the four coordinates of a key (5E.4)."""
    alpha, green, red, blue = (key >> shift & 255 for shift in SHIFTS)
    return 2 * alpha, (2 * red + 5 * green + blue) >> 2, 2 * (red - green), 2 * (blue - green)


def tree_order(keys: list[int]) -> list[int]:
    """Return keys in tree order (5E.4)."""
    if len(keys) <= 1:
        return keys
    axes = list(zip(*map(coordinates, keys), strict=True))
    spans = [max(axis) - min(axis) for axis in axes]
    widest = spans.index(max(spans))
    keys = sorted(keys, key=lambda key: (coordinates(key)[widest], coordinates(key), key))
    cut = 1 << ((len(keys) - 1).bit_length() - 1)
    return tree_order(keys[:cut]) + tree_order(keys[cut:])


def bits_of(least: int, most: int, number: int) -> int:
    """Return bits(a, b, x) (5E.5)."""
    return min(most, max(least, number.bit_length()))


# Models (5E.5)


@dataclass
class Around:
    """A pixel's neighbours, hashes and patterns (5E.3)."""

    w: int
    n: int
    nw: int
    ne: int
    ww: int
    nn: int
    h1: int
    h2: int
    h4: int
    h12: int
    contexts: list[int]
    pattern: int


@dataclass
class Grid:
    """A grid that is coded, its place and its long match (5E.3, 5E.6)."""

    columns: int
    planes: int
    palette: list[int] | None
    rank: dict[int, int]
    match: int = 0
    match_length: int = 0

    @property
    def rank_bits(self) -> int:
        """Bits to a rank (5E.4)."""
        return (len(self.rank) - 1).bit_length()


class Models:
    """All that adapts (5E.5), and the buffers of all grids so far, one behind the other (5E.3)."""

    def __init__(self, contexts: int, pixels: int) -> None:
        self.k = contexts
        self.q = min(9, contexts + 2)
        self.table_bits = bits_of(12, 22, 3 * pixels)
        self.match_bits = bits_of(8, 18, pixels)
        self.guess_bits = bits_of(8, 16, pixels)
        self.states: dict[tuple[str, int], list[int]] = defaultdict(lambda: [1 << 21, 0])
        self.weights: dict[int, list[int]] = {}
        self.curves: dict[int, list[int]] = defaultdict(first_curve)
        self.long: dict[int, int] = defaultdict(int)
        self.short: dict[int, int] = defaultdict(int)
        self.guesses: dict[int, int] = defaultdict(int)
        self.seen = 0
        self.buffer: list[int] = []
        self.arithmetic: ArithmeticDecoder | None = None

    def keep(self, prior: FewColourPrior) -> None:
        """Forget what an image does not take over from a prior (6.7)."""
        self.seen = 0
        if not prior.with_states:
            self.states.clear()
        for state in self.states.values():
            state[1] = min(state[1], prior.cap)
        if not prior.with_matches:
            self.buffer = []
            for table in (self.long, self.short, self.guesses):
                table.clear()

    def weights_of(self, row: int) -> list[int]:
        """Return a row of weights."""
        if row not in self.weights:
            if row < 2304:
                used, start = self.k + 2, 39321 // self.k
            elif row < 4352:
                used, start = self.q + 2, 39321 // self.q
            else:
                used, start = self.k, 39321 // self.k
            self.weights[row] = [start] * used + [0] * (20 - used)
        return self.weights[row]

    def slot(self, table: int, context: int, number: int) -> list[int]:
        """Return a state of a table."""
        mixed = ((context ^ number) % MODULUS * B % MODULUS) >> 34
        return self.states["table", (table << self.table_bits) + mixed % (1 << self.table_bits)]

    def plain(self, number: int) -> list[int]:
        """Return a plain state."""
        return self.states["plain", number]

    def decide(
        self, states: list[list[int]], rows: tuple[int, int], curves: tuple[int, int], known: int
    ) -> int:
        """Decode one decision, or learn one that is known, where there is no code."""
        w, v = (self.weights_of(row) for row in rows)
        first, second = (self.curves[curve] for curve in curves)
        inputs = [stretch_table()[state[0] >> 10] for state in states] + [256]
        y = sum(i * (w[k] + v[k]) for k, i in enumerate(inputs)) >> 16
        x = clip(y, 2047)
        mixed = squash(x)
        chance = (2 * mixed + curve_value(first, x) + curve_value(second, x)) >> 2
        yes = known
        if self.arithmetic:
            yes = self.arithmetic.decide(min(max(chance, 32), 65504))
        pace = 6 + 200000 // (self.seen + 16384)
        error = (((yes << 16) - mixed) * pace) >> 6
        for those in (w, v):
            for k, i in enumerate(inputs):
                those[k] = clip(those[k] + ((error * i + 8192) >> 14), 1 << 19)
        update_curve(first, x, yes)
        update_curve(second, x, yes)
        for state in states:
            update_state(state, yes, 60)
        return yes

    # Grids (5E.3)

    def code_grid(
        self,
        arithmetic: ArithmeticDecoder | None,
        rows: int,
        columns: int,
        planes: int,
        colours: Sequence[int] = (),
        known: list[list[int]] | None = None,
    ) -> list[list[int]]:
        """Decode the keys of a grid, or learn them where they are known (5E.3)."""
        self.arithmetic = arithmetic
        palette = tree_order(list(colours)) if colours else None
        rank = {key: index for index, key in enumerate(palette or ())}
        grid = Grid(columns, planes, palette, rank)
        stride = columns + 8
        start = len(self.buffer)
        first = palette[0] if palette else 0xFFFFFFFF if planes % 2 else 0
        self.buffer += [first] * (3 * stride) + [0] * ((rows + 1) * stride)
        for row in range(rows):
            place = start + (row + 3) * stride + 4
            self.buffer[place - 4 : place] = [self.buffer[place - stride]] * 4
            if row:
                grid.match += 8
            for column in range(columns):
                key = known[row][column] if known else 0
                self.buffer[place + column] = self.code_pixel(grid, place + column, key)
                self.seen += 1
            end = place + columns
            self.buffer[end : end + 4] = [self.buffer[end - 1]] * 4
        places = [start + (row + 3) * stride + 4 for row in range(rows)]
        return [self.buffer[place : place + columns] for place in places]

    def look_around(self, grid: Grid, place: int) -> Around:
        """Return a pixel's neighbours (5E.3)."""
        above = place - grid.columns - 8
        w, ww, www = (self.buffer[place - k] for k in (1, 2, 3))
        nww, nw, n, ne, nee = self.buffer[above - 2 : above + 3]
        above -= grid.columns + 8
        nnw, nn, nne = self.buffer[above - 1 : above + 2]
        nnn = self.buffer[above - grid.columns - 8]
        h1 = h(w, 1)
        h2 = h(h1, n)
        h3 = h(h2, nw)
        h4 = h(h3, ne)
        h6 = h(h(h4, ww), nn)
        h9 = h(h(h(h6, nne), nww), nee)
        h12 = h(h(h(h9, www), nnn), nnw)
        equal = (w == n, n == nw, n == ne, w == ww, nn == n, nw == w)
        pattern = sum(bit << index for index, bit in enumerate(equal))
        equal_too = (
            *(ne == nee, nw == nww, ww == www, nn == nne),
            *(nnw == nn, nnn == nn, ne == nne, w == ne),
        )
        wider = sum(bit << index for index, bit in enumerate(equal_too))
        contexts = [
            *(h4, h2, h9, h(pattern + 64 * wider, 3), h6, h1, h12, h3, h(n, 8), h(0, 9)),
            *(h(h(ne, nw), 10), h(h(w, ww), 11), h(h(n, ne), 12), h(h(n, nn), 13)),
        ]
        return Around(w, n, nw, ne, ww, nn, h1, h2, h4, h12, contexts, pattern)

    # Pixels (5E.6, 5E.7)

    def code_pixel(self, grid: Grid, place: int, known: int) -> int:
        """Decode a pixel's key, or learn a known one, and keep the matches."""
        around = self.look_around(grid, place)
        entry = (around.h12 >> 20) % (1 << self.match_bits)
        if grid.match_length == 0:
            grid.match = self.long[entry]
            if grid.match > 0:
                grid.match_length = self.equal_keys(grid.match, place)
        self.long[entry] = place
        entry = (around.h4 >> 20) % (1 << self.match_bits)
        short = self.short[entry]
        self.short[entry] = place
        key = self.code_key(grid, around, short, known)
        if grid.match_length > 0:
            same = self.buffer[grid.match] == key
            grid.match_length = min(grid.match_length + 1, 400) if same else 0
            grid.match += 1
        return key

    def equal_keys(self, match: int, place: int) -> int:
        """Return how many keys before two places are equal, at most 16 (5E.6)."""
        length = 0
        while (
            length < 16
            and match - length > 0
            and self.buffer[match - 1 - length] == self.buffer[place - 1 - length]
        ):
            length += 1
        return length

    def code_key(self, grid: Grid, around: Around, short: int, known: int) -> int:
        """Decode or learn a key by candidates, then otherwise (5E.6)."""
        told = self.buffer[grid.match] if grid.match_length else None
        told_too = self.buffer[short] if short else None
        candidates: list[int] = []
        for key in (
            *(around.w, around.n, told, told_too),
            *(around.ne, around.nw, around.ww, around.nn),
        ):
            if key is None or key in candidates or (grid.palette and key not in grid.rank):
                continue
            candidates.append(key)
        length = grid.match_length
        length_class = length if length < 16 else min(16 + (length >> 5), 22)
        for j, key in enumerate(candidates):
            states = []
            for k in range(self.k):
                context, number = around.contexts[k], h(key, 21)
                if k == 3:
                    context, number = (context + j * A) % MODULUS, 0
                states.append(self.slot(k, context, number))
            e = sum(state[1] > 0 for state in states)
            z = 0 if told is None else 1 + (told == key)
            z_too = 0 if told_too is None else 1 + (told_too == key)
            j_few = min(j, 3)
            states.append(self.plain(24 * (3 * j_few + z) + length_class))
            states.append(self.plain(512 + 3 * (3 * j_few + z_too) + z))
            rows = (
                9 * around.pattern + j,
                9 * (64 + 3 * (3 * e + z) + min(length_class >> 3, 2)) + j,
            )
            curves = (64 * j_few + around.pattern, 256 + 24 * (3 * j_few + z) + length_class)
            if self.decide(states, rows, curves, int(key == known)):
                return key
        if grid.palette:
            return self.code_rank(grid, around, known)
        return self.code_components(grid, around, known)

    def code_rank(self, grid: Grid, around: Around, known: int) -> int:
        """Decode or learn a key by its rank (5E.7)."""
        d = grid.rank_bits
        a, b, f = max(d - 3, 0), max(d - 5, 0), max(d - 2, 0)
        neighbours = (around.w, around.n, around.nw, around.ne, around.ww, around.nn)
        w, n, nw, ne, ww, nn = (grid.rank[key] for key in neighbours)
        contexts = list(around.contexts)
        contexts[3] = h(h(8 * (w >> a) + (n >> a), nw >> a), ne >> a)
        contexts[6] = h(h(w >> b, n >> b), 5)
        contexts[7] = h(
            h(4096 * (w >> f) + 64 * (n >> f) + (ne >> f), nw >> f), 64 * (ww >> f) + (nn >> f)
        )
        known_rank = grid.rank.get(known, 0)
        x = 1
        for i in range(d):
            states = [self.slot(k, contexts[k], x * A % MODULUS) for k in range(self.k)]
            e = sum(state[1] > 0 for state in states)
            rows = (4352 + 32 * i, 4353 + 32 * i + e)
            bit = self.decide(states, rows, (600 + i, 620 + e), known_rank >> (d - 1 - i) & 1)
            x = 2 * x + bit
        rank = x - (1 << d)
        if grid.palette is None or rank >= len(grid.palette):
            raise SpecError("corrupt: a rank of no colour")
        return grid.palette[rank]

    def code_components(self, grid: Grid, around: Around, known: int) -> int:
        """Decode or learn a key by its components (5E.8)."""
        before, energy = 1, 0
        differences: list[int] = []
        values = {0: 255}
        for c in COMPONENTS[grid.planes]:
            shift = SHIFTS[c]
            known_value = known >> shift & 255
            component = Component(self, around, c, before, energy, differences)
            value = component.code(known_value)
            values[c] = value
            differences.append(value - component.med)
            energy += min(abs(value - component.prediction), 7)
            before = h(before, value)
        green = values[1]
        red, blue = values.get(2, green), values.get(3, green)
        return values[0] << 24 | green << 16 | red << 8 | blue


class Component:
    """One component of a pixel (5E.8)."""

    def __init__(
        self,
        models: Models,
        around: Around,
        c: int,
        before: int,
        energy: int,
        differences: list[int],
    ) -> None:
        self.models, self.c = models, c
        w, n, nw, ne = (
            key >> SHIFTS[c] & 255 for key in (around.w, around.n, around.nw, around.ne)
        )
        self.med = w + n - nw
        if nw >= max(w, n):
            self.med = min(w, n)
        elif nw <= min(w, n):
            self.med = max(w, n)
        q = self.med
        if c > 1:
            q = min(max(q + differences[-1], 0), 255)
        self.prediction = q
        spread = abs(w - nw) + abs(n - nw) + abs(n - ne)
        self.s = min(spread.bit_length(), 9)
        seed = c + 32
        two = 0
        if differences:
            two = clip(differences[-1], 15) + 16
        if len(differences) >= 2:
            two += 32 * (clip(differences[-2], 15) + 16)
        self.contexts = [
            h(16 * self.s + min(energy, 15), seed),
            h(64 * (clip(w - q, 20) + 20) + clip(n - q, 20) + 20, seed + 8),
            h(h(before, seed), q),
            h(h(256 * w + n, before), seed),
            h(h(around.h2, before), seed),
            h(two, seed + 64),
            h(q, seed + 128),
            h(h(around.h1, before), seed + 192),
            h(h(w - nw + 256, n - nw + 256), seed + 256),
        ][: models.q]
        size = 1 << models.guess_bits
        self.entries = [(h(a, b) >> 24) % size for a, b in ((before, seed), (around.h2, before))]
        self.guesses = [models.guesses[entry] for entry in self.entries]
        self.x = 1
        self.ones = 0

    def decide(self, phase: int, told: list[int], known: bool) -> int:
        """Decode or learn one decision, with what both guesses tell."""
        models = self.models
        states = [models.slot(k, v, self.x * A % MODULUS) for k, v in enumerate(self.contexts)]
        for i, (guess, answer) in enumerate(zip(self.guesses, told, strict=True)):
            number = 4 * (3 * (2 * (4 * self.c + phase) + i) + answer)
            states.append(models.plain(1024 + number + max(guess >> 8, 1) - 1))
        o = (0, 1, 2 + min(self.ones, 8), 11 + min(self.ones, 8))[phase]
        y = 2304 + 16 * (32 * self.c + o)
        curves = (700 + 32 * self.c + o, 900 + 4 * (10 * self.c + self.s) + phase)
        yes = models.decide(states, (y, y + 1 + self.s), curves, int(known))
        self.x = 2 * self.x + yes
        return yes

    def guessed(self) -> list[int | None]:
        """Return g' of both guesses, None for an empty entry."""
        return [guess % 256 - self.prediction if guess else None for guess in self.guesses]

    def code(self, known: int) -> int:
        """Decode or learn the value."""
        value = self.prediction + self.code_residual(known - self.prediction)
        if not 0 <= value <= 255:
            raise SpecError("corrupt: a component outside 0..255")
        for entry in self.entries:
            count, last = divmod(self.models.guesses[entry], 256)
            same = count > 0 and last == value
            self.models.guesses[entry] = 256 * (min(count + 1, 4) if same else 1) + value
        return value

    def code_residual(self, known: int) -> int:
        """Decode or learn the residual, by the steps of 5E.8."""
        q = self.prediction
        guessed = self.guessed()
        if not self.decide(0, [2 if g is None else int(g != 0) for g in guessed], known != 0):
            return 0
        negative = q == 255
        if 0 < q < 255:
            told = [int(g < 0) if g else 2 for g in guessed]
            negative = bool(self.decide(1, told, known < 0))
        reach = q if negative else 255 - q
        sizes = [abs(g) if g and (g < 0) == negative else 0 for g in guessed]
        size = self.code_size(reach, sizes, abs(known))
        return -size if negative else size

    def code_size(self, reach: int, sizes: list[int], known: int) -> int:
        """Decode or learn a size, with those that the guesses give, 0 for none."""
        floor = width = 1
        while floor + width <= reach:
            told = [2 if size < floor else int(size >= floor + width) for size in sizes]
            if not self.decide(2, told, known >= floor + width):
                break
            floor += width
            if self.ones > 0:
                width *= 2
            self.ones += 1
        rest = 0
        worth = width >> 1
        while worth:
            least = floor + rest
            told = [
                (size - floor) // worth % 2 if least <= size < least + 2 * worth else 2
                for size in sizes
            ]
            if self.decide(3, told, bool((known - floor) & worth)):
                rest += worth
            worth >>= 1
        return floor + rest
