"""The plain decoder's sample maps: what coded samples stand for (SPEC 2.2.1, 3.1.3, 3.1.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

from reference_decoder_numbers import ArithmeticDecoder, ByteReader, SpecError, State

Plane = list[list[int]]

ENERGY_LIMITS = (0, 2, 4, 7, 11, 15, 20, 27, 36, 49, 66, 90, 130, 200, 350)

UNSIGNED, SIGNED, FLOATING = range(3)
TYPES = (
    (UNSIGNED, 1), (UNSIGNED, 8), (UNSIGNED, 16), (UNSIGNED, 32), (UNSIGNED, 64),
    (SIGNED, 8), (SIGNED, 16), (SIGNED, 32), (SIGNED, 64),
    (FLOATING, 16), (FLOATING, 32), (FLOATING, 64),
)  # fmt: skip
"""Kind and bits of each type of samples, in the order of 3.1.3."""

EXPONENT_BITS = {16: 5, 32: 8, 64: 11}

TYPES_OF_MODES = (
    0, 1, 1, 1, 0, 2, 2, 1, 1, 2, 2, 2, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 2, 7, 10, 2, 2,
)  # fmt: skip
AXES_OF_MODES = (
    None, None, 3, 1, 1, None, 1, 2, 4, 3, 4, 2, None,
    2, 4, 3, 3, 3, 2, 4, 4, None, None, None, None, None,
)  # fmt: skip
"""Of modes 0 to 25 (2.2): the type of their samples, and the length of the third axis."""

NO_COLOURS = (15, 16, 17)
PALETTE_MODES = (12, 13)
ARRAY_MODE = 31
COLOUR_MODES = {
    (1, 1): 0, (8, 1): 1, (8, 2): 7, (8, 3): 2, (8, 4): 8,
    (16, 1): 5, (16, 2): 11, (16, 3): 9, (16, 4): 10,
}  # fmt: skip


class PlanePicture(int):
    """The mode of planes that are no colours (2.2.1), whose number is 32."""

    bits: int
    planes: int

    def __new__(cls, bits: int, planes: int) -> PlanePicture:
        """Return the mode of so many planes."""
        mode = super().__new__(cls, 32)
        mode.bits, mode.planes = bits, planes
        return mode


@dataclass(frozen=True)
class Component:
    """What a component is (3.1.4)."""

    form: int
    ladder: int
    scale: int
    number: int
    step: int = 1
    bits: int = 0
    listed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Presented:
    """What a file holds whose coded samples are others: `components` is empty without a map."""

    mode: int
    type: int
    axis: int | None
    description: bytes
    coded_mode: int | None
    plane_bits: int
    components: tuple[Component, ...]

    @property
    def bits(self) -> int:
        """Bits of a sample."""
        return TYPES[self.type][1]

    def samples_of(self, planes: list[Plane]) -> list[Plane]:
        """Return the bits of all samples, by component, from the coded planes."""
        places = self.places_of(planes)
        found: list[Plane] = []
        for component, of_component in zip(self.components, places, strict=True):
            if component.form == 2:
                found.append(found[component.number])
            elif component.form == 1:
                bits = self.bits_of(component.number)
                found.append([[bits] * len(row) for row in planes[0]])
            else:
                known: dict[int, int] = {}
                for place in {place for row in of_component for place in row}:
                    known[place] = self.sample_at(component, place)
                found.append([[known[place] for place in row] for row in of_component])
        return found

    def places_of(self, planes: list[Plane]) -> list[Plane]:
        """Put the planes of each component together."""
        sizes = [plane_sizes(each, self.bits, self.plane_bits) for each in self.components]
        places: list[Plane] = [[[0] * len(row) for row in planes[0]] for _ in sizes]
        left = list(planes)
        for level in range(max(map(len, sizes))):
            for index, of_component in enumerate(sizes):
                if level < len(of_component):
                    bits = of_component[level]
                    for row, samples in zip(places[index], left.pop(0), strict=True):
                        if max(samples) >> bits:
                            raise SpecError("corrupt: a place of too many bits")
                        row[:] = [
                            place << bits | sample
                            for place, sample in zip(row, samples, strict=True)
                        ]
        return places

    def sample_at(self, component: Component, place: int) -> int:
        """Return the bits of the sample at a place."""
        if component.form == 0:
            return self.bits_of(place)
        if component.form == 3:
            number = component.number + component.step * place
        elif place >= len(component.listed):
            raise SpecError("corrupt: a place without a number")
        else:
            number = component.listed[place]
        if not component.ladder:
            return self.bits_of(number)
        if abs(number) > (1 << 53 if self.bits == 64 else 1 << 24):
            raise SpecError("corrupt: too large an integer on a ladder")
        if component.ladder == 1:
            return rounded(number * number_of(component.scale, self.bits), self.bits)
        return rounded(Fraction(number, component.scale), self.bits)

    def bits_of(self, number: int) -> int:
        """Return the bits of the sample that has a number."""
        if number >> self.bits:
            raise SpecError("corrupt: a number that no sample has")
        kind, bits = TYPES[self.type]
        top = 1 << (bits - 1)
        if kind == UNSIGNED:
            return number
        if kind == SIGNED or number & top:
            return number ^ top
        return number ^ ((1 << bits) - 1)

    def canonical_samples(self, components: list[Plane]) -> bytes:
        """Return the canonical samples (2.5)."""
        out = bytearray()
        for rows in zip(*components, strict=True):
            samples = list(chain.from_iterable(zip(*rows, strict=True)))
            if self.bits == 1:
                digits = "".join(map(str, samples)) + "0" * (-len(samples) % 8)
                out += int(digits, 2).to_bytes(len(digits) // 8, "big")
            else:
                for sample in samples:
                    out += sample.to_bytes(self.bits // 8, "little")
        return bytes(out)

    def read_stored(self, payload: bytes, width: int, height: int) -> list[Plane]:
        """Read canonical samples (2.5)."""
        n_components = self.axis or 1
        n_samples = width * n_components
        row_bytes = (n_samples * self.bits + 7) // 8
        if len(payload) != row_bytes * height:
            raise SpecError("a stored payload of another length")
        found: list[Plane] = [[] for _ in range(n_components)]
        for row in range(height):
            data = payload[row * row_bytes : (row + 1) * row_bytes]
            if self.bits == 1:
                samples = [byte >> (7 - bit) & 1 for byte in data for bit in range(8)]
                if any(samples[n_samples:]):
                    raise SpecError("corrupt: a padding bit is 1")
            else:
                size = self.bits // 8
                samples = [
                    int.from_bytes(data[at : at + size], "little")
                    for at in range(0, len(data), size)
                ]
            for index, plane in enumerate(found):
                plane.append(samples[index:n_samples:n_components])
        return found


def plane_sizes(component: Component, sample_bits: int, plane_bits: int) -> list[int]:
    """Return the bits of each plane of a component, the most significant first."""
    if component.form in (1, 2):
        return []
    left = {0: sample_bits, 3: component.bits}.get(component.form)
    if left is None:
        left = max(1, (len(component.listed) - 1).bit_length())
    sizes = []
    while left:
        sizes.append(min(left, plane_bits))
        left -= sizes[-1]
    return sizes


def number_of(pattern: int, bits: int) -> Fraction:
    """Return the value of a positive normal number (IEEE 754)."""
    n_fraction = bits - 1 - EXPONENT_BITS[bits]
    exponent = pattern >> n_fraction
    if not 0 < exponent < (1 << EXPONENT_BITS[bits]) - 1:
        raise SpecError("corrupt: the unit of a ladder")
    bias = (1 << (EXPONENT_BITS[bits] - 1)) - 1
    fraction = pattern & ((1 << n_fraction) - 1) | 1 << n_fraction
    return Fraction(fraction) * Fraction(2) ** (exponent - bias - n_fraction)


def rounded(value: Fraction, bits: int) -> int:
    """Return the bits of the floating-point number nearest to a value, ties to even."""
    n_fraction = bits - 1 - EXPONENT_BITS[bits]
    bias = (1 << (EXPONENT_BITS[bits] - 1)) - 1
    sign = (1 << (bits - 1)) if value < 0 else 0
    value = abs(value)
    if value == 0:
        return 0
    exponent = 1 - bias
    while value >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - n_fraction)
    steps = round(value / unit)  # of two even ones the nearest
    pattern = ((exponent + bias - 1) << n_fraction) + steps
    infinity = ((1 << EXPONENT_BITS[bits]) - 1) << n_fraction
    return sign | min(pattern, infinity)


def read_presented(mode: int, segments: dict[int, bytes]) -> Presented | None:
    """Return what a file holds, None where its samples are the coded ones (2.2.1)."""
    described = segments.get(0x03)
    if (mode == ARRAY_MODE) != (described is not None):
        raise SpecError("corrupt: an array description that does not belong, or none")
    if described is not None:
        number, axis = read_array(described)
    elif mode < len(TYPES_OF_MODES):
        number, axis = TYPES_OF_MODES[mode], AXES_OF_MODES[mode]
    else:
        raise SpecError("unsupported: a reserved mode")
    n_components, bits = axis or 1, TYPES[number][1]
    data = segments.get(0x07)
    if data is None:
        if mode < 13:
            return None
        coded = None
        plain: tuple[Component, ...] = ()
        if bits in (8, 16):
            plain = (Component(0, 0, 0, 0),) * n_components
            coded = coded_mode(mode, bits, n_components, False)
        return Presented(mode, number, axis, described or b"", coded, bits, plain)
    if mode == 12:
        raise SpecError("corrupt: a sample map of indices")
    try:
        plane_bits, uncoloured, components = read_map(ByteReader(data), number, n_components)
    except SpecError as error:
        raise SpecError(f"corrupt: {error}") from error
    sizes = [plane_sizes(each, bits, plane_bits) for each in components]
    n_planes = sum(map(len, sizes))
    if n_planes == 0 or (plane_bits == 1 and n_planes > 1):
        raise SpecError("corrupt: planes of a sample map")
    split = max(map(len, sizes)) > 1
    coded = coded_mode(mode, plane_bits, n_planes, uncoloured or split)
    return Presented(mode, number, axis, described or b"", coded, plane_bits, components)


def coded_mode(mode: int, bits: int, n_planes: int, uncoloured: bool) -> int:
    """Return the coded mode (2.2.1)."""
    if n_planes > 1 and (uncoloured or mode in NO_COLOURS):
        return PlanePicture(bits, n_planes)
    found = COLOUR_MODES.get((bits, n_planes))
    return PlanePicture(bits, n_planes) if found is None else found


def read_array(data: bytes) -> tuple[int, int | None]:
    """Read segment 03h (3.1.3)."""
    file = ByteReader(data)
    try:
        number, n_components = file.byte(), file.varint()
    except SpecError as error:
        raise SpecError("corrupt: an array description") from error
    if n_components > 4096 or not file.at_end:
        raise SpecError("corrupt: an array description")
    if number >= len(TYPES):
        raise SpecError("unsupported: a type of samples")
    axis = n_components or None
    own = [*range(12), 22, 23]
    if any((TYPES_OF_MODES[mode], AXES_OF_MODES[mode]) == (number, axis) for mode in own):
        raise SpecError("corrupt: an array that has a mode of its own")
    return number, axis


def read_map(
    file: ByteReader, number: int, n_components: int
) -> tuple[int, bool, tuple[Component, ...]]:
    """Read segment 07h (3.1.4)."""
    flags = file.byte()
    if flags >> 3 or flags & 3 == 3:
        raise SpecError("planes")
    plane_bits = (1, 8, 16)[flags & 3]
    components: list[Component] = []
    n_listed = 0
    while len(components) < n_components:
        n_alike = file.varint()
        if not 1 <= n_alike <= n_components - len(components):
            raise SpecError("components alike")
        component = read_component(file, number, len(components), plane_bits)
        n_listed += len(component.listed)
        if n_listed > 1 << 20:
            raise SpecError("too many numbers in lists")
        components += [component] * n_alike
    if not file.at_end:
        raise SpecError("bytes behind the map")
    return plane_bits, bool(flags & 4), tuple(components)


def read_component(file: ByteReader, number: int, first: int, plane_bits: int) -> Component:
    """Read what components are."""
    kind, bits = TYPES[number]
    ladder, form = divmod(file.byte(), 16)
    if form > 4 or ladder > 2 or (ladder and (form < 3 or kind != FLOATING)):
        raise SpecError("form")
    scale = read_scale(file, ladder, bits)
    if form == 0:
        if bits > min(plane_bits, 16):
            raise SpecError("plain samples in planes of too few bits")
        return Component(0, 0, 0, 0)
    if form == 2:
        source = file.varint()
        if source >= first:
            raise SpecError("a copy of what is not known")
        return Component(2, 0, 0, source)
    start = read_number(file, ladder, bits)
    if form == 1:
        return Component(1, 0, 0, start)
    if form == 3:
        step, place_bits = file.varint(), file.byte()
        if step == 0 or not 1 <= place_bits <= 64:
            raise SpecError("a line")
        return Component(3, ladder, scale, start, step, place_bits)
    n_numbers = file.varint()
    if not 1 <= n_numbers <= 1 << 16:
        raise SpecError("numbers of a list")
    gaps = read_gaps(file.take(file.varint()), n_numbers - 1)
    numbers = [start]
    for gap in gaps:
        numbers.append(numbers[-1] + gap + 1)
    return Component(4, ladder, scale, start, listed=tuple(numbers))


def read_scale(file: ByteReader, ladder: int, bits: int) -> int:
    """Read the unit or the denominator of a ladder."""
    scale = 0
    if ladder == 1:
        scale = int.from_bytes(file.take(bits // 8), "little")
        number_of(scale, bits)
    elif ladder == 2:
        scale = file.varint()
        if not 1 <= scale <= 1 << 24:
            raise SpecError("denominator")
    return scale


def read_number(file: ByteReader, ladder: int, bits: int) -> int:
    """Read the number of a sample, or an integer of a ladder."""
    if ladder:
        twice = file.varint()
        number = -((twice + 1) // 2) if twice % 2 else twice // 2
        if abs(number) > 1 << 53:
            raise SpecError("a number")
    else:
        number = int.from_bytes(file.take((bits + 7) // 8), "little")
        if number >> bits:
            raise SpecError("a number")
    return number


def read_gaps(data: bytes, number: int) -> list[int]:
    """Read the gaps of a list."""
    file = ByteReader(data)
    if number == 0:
        if data:
            raise SpecError("bytes behind a list of one number")
        return []
    bits = file.byte()
    if bits == 0:
        gaps = [0] * number
    elif bits <= 12:
        return read_row(file.rest(), number, bits)
    elif bits == 255:
        lengths = read_row(file.take(file.varint()), number, 7)
        if max(lengths) > 64:
            raise SpecError("a gap of too many bits")
        digits = "".join(f"{byte:08b}" for byte in file.rest())
        gaps = []
        for length in lengths:
            if length < 2:
                gaps.append(length)
                continue
            own, digits = digits[: length - 1], digits[length - 1 :]
            if len(own) < length - 1:
                raise SpecError("gaps end too early")
            gaps.append(int("1" + own, 2))
        if len(digits) > 7 or "1" in digits:
            raise SpecError("bits behind the gaps")
        return gaps
    else:
        raise SpecError("bits of a gap")
    if not file.at_end:
        raise SpecError("bytes behind the gaps")
    return gaps


def read_row(code: bytes, number: int, bits: int) -> list[int]:
    """Read a low layer of one row (5.9, with the neighbours of 5.3)."""
    arithmetic = ArithmeticDecoder(code)
    states = [[State(1 << 21, 0) for _ in range(1 << bits)] for _ in range(16)]
    row: list[int] = []
    for column in range(number):
        west = row[-1] if column else 0
        before = row[-2] if column > 1 else west
        context = sum(limit < 7 * west + before for limit in ENERGY_LIMITS)
        node = 1
        for _ in range(bits):
            node = 2 * node + arithmetic.bit(states[context][node])
        row.append(node - (1 << bits))
    arithmetic.finish()
    return row


def describe(presented: Presented, width: int, height: int) -> bytes:
    """Return what the checksum covers before the samples, without a palette (2.5)."""
    description = struct.pack("<BII", presented.mode, width, height)
    return description + presented.description
