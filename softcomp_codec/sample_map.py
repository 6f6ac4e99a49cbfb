"""How coded samples stand for those of a picture: segment 07h (SPEC 3.1.4).

A component is constant, a copy of another, or numbers in a line or a list, which are coded by their
places; places of more bits than a plane holds are split. Reading the segment needs no NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, chain, pairwise
from typing import TYPE_CHECKING, Any

from .container import (
    PALETTE,
    SAMPLE_TYPES,
    SEGMENT_SAMPLE_MAP,
    ByteReader,
    Mode,
    Segment,
    coded_mode,
    write_varint,
)
from .errors import CorruptStreamError, TruncatedStreamError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .container import Header

PLAIN, CONSTANT, COPY, LINE, LIST = range(5)
"""What a component may be (SPEC 3.1.4)."""

NO_LADDER, MULTIPLES, FRACTIONS = range(3)

MAX_LIST = 1 << 16
"""Most numbers of a list."""

MAX_LISTED = 1 << 20
"""Most numbers of all lists of a map."""

MAX_STEP = (1 << 63) - 1
"""Longest step of a line."""

MAX_DENOMINATOR = 1 << 24

DIRECT_BITS = 12
"""Gaps of a list of up to so many bits are coded as such, others by their number of bits."""

LENGTHS = 255
_LENGTH_BITS = 7

_PLANE_BITS = (1, 8, 16)
_UNCOLOURED = 0b100

BAND_SAMPLES = 1 << 20
"""Samples of a component are restored about so many at a time."""


def natural_type(sample_type: str) -> bool:
    """Whether samples of a type are coded as they are where there is no segment."""
    return SAMPLE_TYPES[sample_type] in (8, 16)


def type_of(mode: Mode) -> str:
    """Return the name of the type of a mode's samples."""
    bits = mode.bits_per_sample
    return mode.sample_type or ("bool" if bits == 1 else f"uint{bits}")


@dataclass(frozen=True)
class Mapping:
    """What one component is, or several alike.

    Attributes
    ----------
    form : int
        PLAIN, CONSTANT, COPY, LINE or LIST.
    number : int
        The constant, the component that is copied, or the first number of a line or list.
    ladder, scale : int
        Which floating-point numbers the integers of a line or list stand for, if they do; its
        unit's bits, or the denominator.
    step, n_bits : int
        Of a line: from number to number, and bits of a place.
    n_listed : int
        Numbers of a list.
    gaps : bytes
        Code of the gaps of a list.
    """

    form: int
    number: int = 0
    ladder: int = NO_LADDER
    scale: int = 0
    step: int = 1
    n_bits: int = 0
    n_listed: int = 0
    gaps: bytes = b""

    @property
    def has_places(self) -> bool:
        """Whether it takes planes."""
        return self.form in (PLAIN, LINE, LIST)

    def bits_of_place(self, sample_type: str) -> int:
        """Bits of a number's place."""
        if self.form == PLAIN:
            return SAMPLE_TYPES[sample_type]
        if self.form == LIST:
            return max(1, (self.n_listed - 1).bit_length())
        return self.n_bits

    @cached_property
    def listed(self) -> list[int]:
        """The numbers of a list, ascending (SPEC 3.1.4).

        Raises
        ------
        CorruptStreamError
        """
        gaps = _read_gaps(self.gaps, self.n_listed - 1)
        return list(accumulate((gap + 1 for gap in gaps), initial=self.number))

    def describe(self) -> str:
        """Return what it is in words."""
        if self.form == CONSTANT:
            return f"constant, 0x{self.number:x}"
        if self.form == COPY:
            return f"a copy of component {self.number}"
        if self.form == PLAIN:
            return "as it is"
        on_ladder = ""
        if self.ladder == MULTIPLES:
            on_ladder = f" of multiples of one number (0x{self.scale:x})"
        elif self.ladder == FRACTIONS:
            on_ladder = f" of integers divided by {self.scale}"
        if self.form == LIST:
            return f"a list of {self.n_listed:,} numbers{on_ladder}"
        step = f" in steps of {self.step:,}" if self.step > 1 else ""
        return f"places of {self.n_bits} bits{on_ladder}{step}"

    def write(self, sample_type: str) -> bytes:
        """Return its bytes; inverse of `read`."""
        n_bytes = _number_bytes(sample_type)
        out = bytearray([self.form | self.ladder << 4])
        if self.ladder == MULTIPLES:
            out += self.scale.to_bytes(n_bytes, "little")
        elif self.ladder == FRACTIONS:
            out += write_varint(self.scale)
        if self.form == COPY:
            out += write_varint(self.number)
        elif self.ladder:
            out += write_varint(self.number << 1 if self.number >= 0 else -self.number * 2 - 1)
        elif self.form != PLAIN:
            out += self.number.to_bytes(n_bytes, "little")
        if self.form == LINE:
            out += write_varint(self.step) + bytes([self.n_bits])
        elif self.form == LIST:
            out += write_varint(self.n_listed) + write_varint(len(self.gaps)) + self.gaps
        return bytes(out)

    @classmethod
    def read(cls, reader: ByteReader, sample_type: str, first: int) -> Mapping:
        """Read what the components from `first` on are, all alike."""
        kind = reader.take(1, "form")[0]
        form, ladder = kind & 15, kind >> 4
        for_ladders = form >= LINE and sample_type.startswith("float")
        if form > LIST or ladder > (FRACTIONS if for_ladders else NO_LADDER):
            raise CorruptStreamError(f"segment sample map: form 0x{kind:02x}")
        scale = _read_scale(reader, sample_type, ladder)
        if form == PLAIN:
            return cls(PLAIN)
        if form == COPY:
            number = reader.varint("component", 1 << 16)
            if number >= first:
                raise CorruptStreamError(
                    f"segment sample map: component {first} is a copy of {number}"
                )
            return cls(COPY, number)
        number = _read_number(reader, sample_type, ladder)
        if form == CONSTANT:
            return cls(CONSTANT, number)
        if form == LINE:
            step = reader.varint("step", MAX_STEP)
            n_bits = reader.take(1, "bits of a place")[0]
            if not step or not 1 <= n_bits <= 64:
                raise CorruptStreamError(
                    f"segment sample map: a line of step {step}, places of {n_bits} bits"
                )
            return cls(LINE, number, ladder, scale, step, n_bits)
        n_listed = reader.varint("numbers of a list", MAX_LIST)
        if not n_listed:
            raise CorruptStreamError("segment sample map: an empty list")
        n_gaps = reader.varint("bytes of the gaps", len(reader.data))
        gaps = reader.take(n_gaps, "gaps")
        return cls(LIST, number, ladder, scale, n_listed=n_listed, gaps=gaps)


def _read_scale(reader: ByteReader, sample_type: str, ladder: int) -> int:
    """Return the unit of a ladder, or its denominator; 0 without one."""
    if ladder == MULTIPLES:
        from .sample_forms import is_scale

        unit = int.from_bytes(reader.take(_number_bytes(sample_type), "unit"), "little")
        if not is_scale(unit, sample_type):
            raise CorruptStreamError(f"segment sample map: unit 0x{unit:x}")
        return unit
    if ladder == FRACTIONS:
        denominator = reader.varint("denominator", MAX_DENOMINATOR)
        if not denominator:
            raise CorruptStreamError("segment sample map: denominator 0")
        return denominator
    return 0


def _read_number(reader: ByteReader, sample_type: str, ladder: int) -> int:
    """Return a sample as an unsigned integer, or an integer of a ladder."""
    if ladder:
        twice = reader.varint("first number", 1 << 54)
        return -((twice + 1) >> 1) if twice & 1 else twice >> 1
    bits = SAMPLE_TYPES[sample_type]
    number = int.from_bytes(reader.take(_number_bytes(sample_type), "number"), "little")
    if number >> bits:
        raise CorruptStreamError(f"segment sample map: number {number} of {bits} bits")
    return number


def _number_bytes(sample_type: str) -> int:
    return max(1, SAMPLE_TYPES[sample_type] // 8)


def list_of(numbers: list[int], ladder: int = NO_LADDER, scale: int = 0) -> Mapping:
    """Return the mapping of strictly ascending numbers, of which there is at least one."""
    gaps = [after - before - 1 for before, after in pairwise(numbers)]
    return Mapping(LIST, numbers[0], ladder, scale, n_listed=len(numbers), gaps=_write_gaps(gaps))


def _write_gaps(gaps: list[int]) -> bytes:
    """Return the code of the gaps of a list; inverse of `_read_gaps`."""
    if not gaps:
        return b""
    widest = max(gaps).bit_length()
    if widest == 0:
        return b"\0"
    if widest <= DIRECT_BITS:
        return bytes([widest]) + _code_row(gaps, widest)
    lengths = [gap.bit_length() for gap in gaps]
    number = n_bits = 0
    for gap, length in zip(gaps, lengths, strict=True):
        if length > 1:
            number = number << (length - 1) | gap & ((1 << (length - 1)) - 1)
            n_bits += length - 1
    code = _code_row(lengths, _LENGTH_BITS)
    rest = (number << (-n_bits % 8)).to_bytes((n_bits + 7) // 8, "big")
    return bytes([LENGTHS]) + write_varint(len(code)) + code + rest


def _code_row(values: list[int], n_bits: int) -> bytes:
    import numpy as np

    from . import arithmetic
    from .kernels.entropy_kernels import N_ENERGIES

    row = np.array([values], np.uint16)
    encoder = arithmetic.ArithmeticEncoder(arithmetic.worst_size(row.shape, n_bits))
    encoder.encode(row, n_bits, arithmetic.neutral_states(n_bits, N_ENERGIES))
    return encoder.finish()


def _decode_row(code: bytes, n_values: int, n_bits: int) -> list[int]:
    import numpy as np

    from . import arithmetic
    from .kernels.entropy_kernels import N_ENERGIES

    row = np.zeros((1, n_values), np.uint16)
    decoder = arithmetic.ArithmeticDecoder(np.frombuffer(code, np.uint8), 0)
    states = arithmetic.neutral_states(n_bits, N_ENERGIES)
    try:
        if decoder.decode(row, n_bits, states) != n_values:
            raise TruncatedStreamError("its code ends early")
        decoder.check_end()
    except (CorruptStreamError, TruncatedStreamError) as error:
        raise CorruptStreamError(f"segment sample map: {error}") from error
    values: list[int] = row[0].tolist()
    return values


def _read_gaps(data: bytes, n_gaps: int) -> list[int]:
    reader = ByteReader(data, "segment sample map")
    try:
        gaps = _parse_gaps(reader, n_gaps) if n_gaps else []
    except TruncatedStreamError as error:
        raise CorruptStreamError(str(error)) from error
    if reader.offset != len(data):
        raise CorruptStreamError("segment sample map: bytes follow the gaps of a list")
    return gaps


def _parse_gaps(reader: ByteReader, n_gaps: int) -> list[int]:
    widest = reader.take(1, "bits of a gap")[0]
    if widest == 0:
        return [0] * n_gaps
    if widest <= DIRECT_BITS:
        return _decode_row(reader.take(len(reader.data) - reader.offset, "gaps"), n_gaps, widest)
    if widest != LENGTHS:
        raise CorruptStreamError(f"segment sample map: gaps of {widest} bits")
    n_bytes = reader.varint("bytes of the lengths", len(reader.data))
    lengths = _decode_row(reader.take(n_bytes, "lengths of gaps"), n_gaps, _LENGTH_BITS)
    if max(lengths) > 64:
        raise CorruptStreamError(f"segment sample map: a gap of {max(lengths)} bits")
    n_left = sum(max(0, length - 1) for length in lengths)
    rest = int.from_bytes(reader.take((n_left + 7) // 8, "gaps"), "big")
    if rest & ((1 << (-n_left % 8)) - 1):
        raise CorruptStreamError("segment sample map: padding bits are not 0")
    digits = f"{rest >> (-n_left % 8):0{n_left}b}" if n_left else ""
    gaps, at = [], 0
    for length in lengths:
        if length < 2:
            gaps.append(length)
        else:
            gaps.append(1 << (length - 1) | int(digits[at : at + length - 1], 2))
            at += length - 1
    return gaps


@dataclass(frozen=True)
class SampleMap:
    """How the samples of a picture are coded.

    Attributes
    ----------
    mode : Mode
        The picture's.
    plane_bits : {1, 8, 16}
    mappings : tuple of (int, Mapping)
        What so many components are, one after the other.
    uncoloured : bool
        Whether the planes are coded without a colour transform.
    in_file : bool
        Whether it is the one that files without the segment mean.
    """

    mode: Mode
    plane_bits: int
    mappings: tuple[tuple[int, Mapping], ...]
    uncoloured: bool = False
    in_file: bool = True

    @cached_property
    def components(self) -> list[Mapping]:
        """What each component is."""
        return list(chain.from_iterable([each] * n for n, each in self.mappings))

    @cached_property
    def _sizes(self) -> list[list[int]]:
        """Bits of each plane of each component, from the most significant on."""
        sizes: list[list[int]] = []
        kind = type_of(self.mode)
        for each in self.components:
            left = each.bits_of_place(kind) if each.has_places else 0
            sizes.append([])
            while left > 0:
                sizes[-1].append(min(left, self.plane_bits))
                left -= self.plane_bits
        return sizes

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        """(component, level) of each plane: the most significant ones of all come first."""
        n_levels = max(len(sizes) for sizes in self._sizes)
        return [
            (component, level)
            for level in range(n_levels)
            for component, sizes in enumerate(self._sizes)
            if level < len(sizes)
        ]

    @cached_property
    def _planes_of(self) -> dict[int, list[int]]:
        """The planes of each component that has any, from the most significant on."""
        found: dict[int, list[int]] = {}
        for index, (component, _) in enumerate(self._places):
            found.setdefault(component, []).append(index)
        return found

    @property
    def n_planes(self) -> int:
        """Number of coded planes."""
        return sum(len(sizes) for sizes in self._sizes)

    @cached_property
    def coded(self) -> Mode:
        """The mode of the coded samples."""
        is_split = any(level for _, level in self._places)
        uncoloured = self.uncoloured or self.mode.plain or is_split
        return coded_mode(self.plane_bits, self.n_planes, uncoloured)

    # --- bytes ----------------------------------------------------------------------------------

    def to_segments(self) -> tuple[Segment, ...]:
        """Return the segment that holds it, if it needs one; inverse of `from_header`."""
        if not self.in_file:
            return ()
        kind = type_of(self.mode)
        out = bytearray([_PLANE_BITS.index(self.plane_bits) | _UNCOLOURED * self.uncoloured])
        for n_alike, each in self.mappings:
            out += write_varint(n_alike) + each.write(kind)
        return (Segment(SEGMENT_SAMPLE_MAP, bytes(out)),)

    @classmethod
    def natural(cls, mode: Mode) -> SampleMap | None:
        """Return the map of files without segment; None where they hold the samples as they are."""
        if mode.is_coded or not natural_type(type_of(mode)):
            return None
        return cls(mode, mode.bits_per_sample, ((mode.n_planes, Mapping(PLAIN)),), in_file=False)

    @classmethod
    def from_header(cls, header: Header) -> SampleMap | None:
        """Return the map of a file, None where the samples are coded as they are.

        Raises
        ------
        CorruptStreamError
        """
        data = header.segment(SEGMENT_SAMPLE_MAP)
        if data is None:
            return cls.natural(header.mode)
        if header.mode == PALETTE:
            raise CorruptStreamError("header: a sample map of palette indices")
        return _parse(data, header.mode)

    @classmethod
    def _read(cls, reader: ByteReader, mode: Mode) -> SampleMap:
        flags = reader.take(1, "planes")[0]
        if flags > _UNCOLOURED | 2 or flags & 3 > 2:
            raise CorruptStreamError(f"segment sample map: planes 0x{flags:02x}")
        kind, plane_bits = type_of(mode), _PLANE_BITS[flags & 3]
        mappings: list[tuple[int, Mapping]] = []
        n_known = n_listed = 0
        while n_known < mode.n_planes:
            n_alike = reader.varint("components alike", mode.n_planes - n_known)
            if not n_alike:
                raise CorruptStreamError("segment sample map: no components alike")
            mapping = Mapping.read(reader, kind, n_known)
            if mapping.form == PLAIN and SAMPLE_TYPES[kind] > plane_bits:
                raise CorruptStreamError(
                    f"segment sample map: samples of {SAMPLE_TYPES[kind]} bits in planes of "
                    f"{plane_bits}"
                )
            n_listed += mapping.n_listed
            if n_listed > MAX_LISTED:
                raise CorruptStreamError(f"segment sample map: lists of more than {MAX_LISTED}")
            mappings.append((n_alike, mapping))
            n_known += n_alike
        if reader.offset != len(reader.data):
            raise CorruptStreamError("segment sample map: bytes follow the last component")
        found = cls(mode, plane_bits, tuple(mappings), bool(flags & _UNCOLOURED))
        if not found.n_planes or (plane_bits == 1 and found.n_planes > 1):
            raise CorruptStreamError(
                f"segment sample map: {found.n_planes} planes of {plane_bits} bits"
            )
        return found

    def describe(self) -> list[str]:
        """Return what groups of components are, in words."""
        lines, first = [], 0
        for n_alike, each in self.mappings:
            last = first + n_alike - 1
            which = f"component {first}" if n_alike == 1 else f"components {first} to {last}"
            lines.append(f"{which}: {each.describe()}")
            first += n_alike
        return lines

    # --- samples --------------------------------------------------------------------------------

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the coded samples of a picture that the map fits; inverse of `restore`."""
        import numpy as np

        from .planes import dtype_of
        from .sample_forms import to_unsigned

        kind = type_of(self.mode)
        stack = array.reshape(*array.shape[:2], -1)
        target = dtype_of(self.coded)
        out = np.empty((*array.shape[:2], self.n_planes), target)
        last, table = None, None
        for component, indices in self._planes_of.items():
            each, sizes = self.components[component], self._sizes[component]
            if each is not last:
                last, table = each, self._table_of(each)
            for band in _bands(*array.shape[:2]):
                numbers = to_unsigned(stack[band, :, component], kind)
                places = self._places_of(numbers, each, table)
                below = sum(sizes)
                for index, size in zip(indices, sizes, strict=True):
                    below -= size
                    mask = places.dtype.type((1 << size) - 1)
                    out[band, :, index] = (places >> places.dtype.type(below)) & mask
        return out if self.coded.channel_axis else out[:, :, 0]

    def _places_of(
        self, numbers: NDArray[Any], each: Mapping, table: NDArray[Any] | None
    ) -> NDArray[Any]:
        """Return the places of a component's numbers, as unsigned integers as wide or wider."""
        import numpy as np

        kind = type_of(self.mode)
        if each.form == PLAIN:
            return numbers
        if table is not None:
            from .sample_forms import to_unsigned

            ordered = to_unsigned(table, kind)
            if numbers.dtype.itemsize <= 2:
                inverse = np.zeros(1 << 8 * numbers.dtype.itemsize, np.uint16)
                inverse[ordered] = np.arange(len(ordered))
                places: NDArray[Any] = inverse[numbers]
                return places
            return np.searchsorted(ordered, numbers).astype(np.uint64)
        if each.ladder:
            steps = self._steps_of(numbers, each) - each.number
            of_steps: NDArray[Any] = (steps // each.step).astype(np.uint64)
            return of_steps
        apart: NDArray[Any] = numbers - numbers.dtype.type(each.number)
        if each.step > 1:
            apart //= numbers.dtype.type(each.step)
        return apart

    def _steps_of(self, numbers: NDArray[Any], each: Mapping) -> NDArray[np.int64]:
        from .sample_forms import from_unsigned, steps_of

        kind = type_of(self.mode)
        return steps_of(from_unsigned(numbers, kind), kind, each.ladder, each.scale)

    def _table_of(self, each: Mapping) -> NDArray[Any] | None:
        """Return the samples of all places of a list, or of few on a ladder; None of others.

        Raises
        ------
        CorruptStreamError
            A number that no sample is.
        """
        import numpy as np

        from .sample_forms import LARGEST_STEPS, from_unsigned, on_ladder, unsigned_type

        kind = type_of(self.mode)
        bits = SAMPLE_TYPES[kind]
        if each.form == LIST:
            first, last = each.listed[0], each.listed[-1]
            largest = LARGEST_STEPS[bits] if each.ladder else (1 << bits) - 1
            if max(last, -first) > largest:
                raise CorruptStreamError(f"segment sample map: {first} to {last} in a list")
            if each.ladder:
                return on_ladder(np.array(each.listed, np.int64), kind, each.ladder, each.scale)
            return from_unsigned(np.array(each.listed, unsigned_type(kind)), kind)
        if each.form != LINE or not each.ladder or each.n_bits > MAX_LIST.bit_length() - 1:
            return None
        places = np.arange(self._n_places(each), dtype=np.int64)
        return on_ladder(places * each.step + each.number, kind, each.ladder, each.scale)

    def _n_places(self, each: Mapping) -> int:
        """Number of places of a line whose numbers are samples; the others are corrupt."""
        from .sample_forms import LARGEST_STEPS

        bits = SAMPLE_TYPES[type_of(self.mode)]
        largest = LARGEST_STEPS[bits] if each.ladder else (1 << bits) - 1
        if each.number > largest or (each.ladder and each.number < -largest):
            raise CorruptStreamError(f"segment sample map: a line from {each.number} on")
        return min(1 << each.n_bits, (largest - each.number) // each.step + 1)

    def restore(self, coded: NDArray[Any], *, strict: bool = True) -> NDArray[Any]:
        """Return the picture of coded samples; inverse of `apply`.

        Parameters
        ----------
        coded : ndarray
            All of them, or those of some rows and columns.
        strict : bool
            Whether a sample that stands for none is an error.

        Raises
        ------
        CorruptStreamError
        """
        import numpy as np

        from .planes import dtype_of

        target = dtype_of(self.mode)
        planes = coded.reshape(*coded.shape[:2], -1)
        if planes.dtype == np.bool_:
            planes = planes.view(np.uint8)
        out = np.empty((*coded.shape[:2], self.mode.n_planes), target)
        last, table = None, None
        for component, each in enumerate(self.components):
            if each is not last:
                last, table = each, self._table_of(each)
            for band in _bands(*coded.shape[:2]):
                if each.form == COPY:
                    out[band, :, component] = out[band, :, each.number]
                elif each.form == CONSTANT:
                    out[band, :, component] = self._constant(each)
                else:
                    levels = [planes[band, :, index] for index in self._planes_of[component]]
                    out[band, :, component] = self._restored(
                        each, self._sizes[component], levels, table, strict
                    )
        return out if self.mode.channel_axis else out[:, :, 0]

    def _constant(self, each: Mapping) -> Any:
        import numpy as np

        from .sample_forms import from_unsigned, unsigned_type

        kind = type_of(self.mode)
        return from_unsigned(np.array([each.number], unsigned_type(kind)), kind)[0]

    def _restored(
        self,
        each: Mapping,
        sizes: list[int],
        levels: list[NDArray[Any]],
        table: NDArray[Any] | None,
        strict: bool,
    ) -> NDArray[Any]:
        """Return some rows of a component from its planes."""
        import numpy as np

        from .sample_forms import from_unsigned, on_ladder, unsigned_type

        kind = type_of(self.mode)
        if each.form == PLAIN:
            numbers = _checked(levels[0], 1 << SAMPLE_TYPES[kind], strict)
            return from_unsigned(numbers, kind)
        if table is not None and len(levels) == 1:
            return _at(table, levels[0], strict)
        places = np.zeros(levels[0].shape, np.uint64)
        for size, level in zip(sizes, levels, strict=True):
            places <<= np.uint64(size)
            places |= _checked(level, 1 << size, strict).astype(np.uint64)
        if table is not None:
            return _at(table, places, strict)
        places = _checked(places, self._n_places(each), strict)
        if each.ladder:
            steps = places.astype(np.int64) * each.step + each.number
            return on_ladder(steps, kind, each.ladder, each.scale)
        numbers = places * np.uint64(each.step) + np.uint64(each.number)
        return from_unsigned(numbers.astype(unsigned_type(kind)), kind)


@lru_cache(maxsize=8)
def _parse(data: bytes, mode: Mode) -> SampleMap:
    try:
        return SampleMap._read(ByteReader(data, "segment sample map"), mode)
    except TruncatedStreamError as error:  # the segment is whole, its content is not
        raise CorruptStreamError(str(error)) from error


def _bands(height: int, width: int) -> list[slice]:
    """Return some rows after the other, of about `BAND_SAMPLES` samples of a component."""
    n_rows = max(1, BAND_SAMPLES // width)
    return [slice(top, top + n_rows) for top in range(0, height, n_rows)]


def _at(table: NDArray[Any], places: NDArray[Any], strict: bool) -> NDArray[Any]:
    samples: NDArray[Any] = table[_checked(places, len(table), strict)]
    return samples


def _checked(places: NDArray[Any], n_places: int, strict: bool) -> NDArray[Any]:
    """Return places, all of which are among so many; others are corrupt, or the last one."""
    if n_places >> 8 * places.dtype.itemsize or n_places > int(places.max()):
        return places
    if strict:
        raise CorruptStreamError(
            f"a coded sample is {int(places.max())}, the sample map has {n_places} numbers"
        )
    import numpy as np

    nearest: NDArray[Any] = np.minimum(places, places.dtype.type(n_places - 1))
    return nearest
