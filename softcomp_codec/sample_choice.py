"""Which sample map a picture gets: what its components have in common, and which numbers occur.

The encoder's search; the format leaves it free. Ordinary pictures are left alone after a look at
some of their rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import coder_choice
from .coders import TINY_PIXELS, Picture
from .container import PALETTE, SAMPLE_TYPES
from .sample_forms import (
    FRACTIONS,
    MULTIPLES,
    from_unsigned,
    is_scale,
    on_ladder,
    steps_of,
    to_unsigned,
)
from .sample_map import (
    CONSTANT,
    COPY,
    LINE,
    MAX_LIST,
    MAX_STEP,
    PLAIN,
    Mapping,
    SampleMap,
    list_of,
    natural_type,
    type_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .container import Mode

    Numbers = NDArray[Any]

LOOK_SAMPLES = 1 << 12
"""Pixels that show whether components may be constant or alike."""

HISTOGRAM_SAMPLES = 1 << 16
"""Samples of a component that show whether its histogram may have gaps."""

GAP_SHARE = 4
"""Numbers are worth a list where one in so many between the least and the largest is missing."""

USES = 4
"""So often at least each number of a list must be used on average."""

DENSE_SPAN = 1 << 22
"""Numbers that lie so close together are counted in a table."""

TRIAL_SIDE = 192
"""The middle of this size of larger pictures tells which map is the smallest."""

DENOMINATORS = (255, 65535, 4095, 1023, 16383, 32767, 127, 10, 100, 1000, 10000, 256, 65536)
"""Of which samples are often made multiples."""


class _Found(NamedTuple):
    """The numbers of a group of components.

    Attributes
    ----------
    lowest, highest, step : int
        All are lowest plus a multiple of step.
    listed : list of int, or None
        All of them, unless they are too many.
    """

    lowest: int
    highest: int
    step: int
    listed: list[int] | None

    @property
    def n_places(self) -> int:
        """Places of a line."""
        return (self.highest - self.lowest) // self.step + 1


def map_for(
    pictures: Sequence[Picture], effort: int, *, only_needed: bool = False
) -> list[SampleMap | None]:
    """Return the sample maps that may make pictures smallest, the likeliest first.

    None stands for the picture's own samples. Of larger pictures there is one; tiny ones are to be
    coded by each.

    Parameters
    ----------
    pictures : sequence of Picture
        The frames of a file, all alike, which share a map.
    effort : int
    only_needed : bool
        Whether samples that can be coded as they are shall be.
    """
    mode = pictures[0].mode
    own = SampleMap.natural(mode)
    needed = not mode.is_coded and own is None
    if mode == PALETTE or (mode.bits_per_sample == 1 and mode.n_planes == 1):
        return [None]
    if only_needed and not needed:
        return [own]
    maps = _maps(pictures)
    large = pictures[0].n_pixels > TINY_PIXELS
    if not (needed or own in maps or (large and _drops_planes(maps[0]))):
        maps.append(own)
    if len(maps) > 1 and large:
        sizes = [_trial_size(pictures, each, effort) for each in maps]
        maps = [maps[sizes.index(min(sizes))]]
    return maps


def _drops_planes(sample_map: SampleMap | None) -> bool:
    """Whether a component needs no plane, which makes larger pictures smaller in any case."""
    return sample_map is not None and any(not each.has_places for each in sample_map.components)


def map_without_copies(picture: Picture) -> SampleMap | None:
    """Return the map that leaves out constant components and copies of others, nothing else.

    By whatever map a larger picture gets, these are not coded (`map_for`): training need not see
    them. None stands for the picture's own samples.
    """
    mode = picture.mode
    own = SampleMap.natural(mode)
    if picture.palette is not None or not mode.is_coded or own is not None:
        return own
    known = _constants_and_copies([_stack(picture)], mode)
    if len(known) == mode.n_planes:
        known.pop(0)
    components = [known.get(index, Mapping(PLAIN)) for index in range(mode.n_planes)]
    return _assembled(mode, components)


def coded_picture(picture: Picture, sample_map: SampleMap | None) -> Picture:
    """Return what the coders see of a picture."""
    if sample_map is None:
        return picture
    return Picture(sample_map.apply(picture.array), sample_map.coded)


def _trial_size(pictures: Sequence[Picture], sample_map: SampleMap | None, effort: int) -> float:
    """Return about how large a picture becomes, by its middle."""
    picture = pictures[len(pictures) // 2]
    part = coded_picture(coder_choice.middle_of(picture, TRIAL_SIDE), sample_map)
    coders = coder_choice.coders_for("auto", [part])
    coded = coder_choice.code_samples(part, None, min(effort, 5), 0, coders)
    n_bytes = part.raw_size if coded is None else min(len(coded[0]), part.raw_size)
    segments = () if sample_map is None else sample_map.to_segments()
    return sum(len(s.data) for s in segments) + n_bytes * len(pictures) * (
        picture.n_pixels / part.n_pixels
    )


# --- components ---------------------------------------------------------------------------------


def _stack(picture: Picture) -> Numbers:
    """Return a picture's samples with an axis of components."""
    return picture.array.reshape(*picture.array.shape[:2], -1)


def _maps(pictures: Sequence[Picture]) -> list[SampleMap | None]:
    mode = pictures[0].mode
    stacks = [_stack(picture) for picture in pictures]
    known = _constants_and_copies(stacks, mode)
    active = [index for index in range(mode.n_planes) if index not in known]
    if not active:
        active = [0]
        known.pop(0)
    maps: list[SampleMap | None] = []
    options = [_options(stacks, group, mode, len(active)) for group in _groups(mode, active)]
    for rank in range(max(len(each) for each in options)):
        mappings = dict(known)
        for group, each in zip(_groups(mode, active), options, strict=True):
            mappings.update(dict.fromkeys(group, each[min(rank, len(each) - 1)]))
        found = _assembled(mode, [mappings[index] for index in range(mode.n_planes)])
        if found not in maps:
            maps.append(found)
    return maps


def _groups(mode: Mode, active: list[int]) -> list[list[int]]:
    """Return the components that share a line or list: colours, and alpha."""
    has_alpha = mode.n_planes in (2, 4) and mode.pillow_mode not in ("CMYK", "RGBX")
    last = mode.n_planes - 1
    if has_alpha and last in active and active != [last]:
        return [active[:-1], [last]]
    return [active]


def _assembled(mode: Mode, components: list[Mapping]) -> SampleMap | None:
    """Return the map of what all components are; None where they are coded as they are."""
    kind = type_of(mode)
    own = SampleMap.natural(mode)
    if all(each.form == PLAIN for each in components) and (own is not None or mode.is_coded):
        return own
    places = [each.bits_of_place(kind) for each in components if each.has_places]
    plane_bits = 16 if max(places) > 8 else 8
    if len(places) == 1 and places[0] == 1:
        plane_bits = 1
    mappings: list[tuple[int, Mapping]] = []
    for each in components:
        if mappings and mappings[-1][1] == each:
            mappings[-1] = mappings[-1][0] + 1, each
        else:
            mappings.append((1, each))
    return SampleMap(mode, plane_bits, tuple(mappings))


def _constants_and_copies(stacks: Sequence[Numbers], mode: Mode) -> dict[int, Mapping]:
    """Return what components are constant or copies of others."""
    n_components = mode.n_planes
    if n_components == 1:
        return {}
    kind = type_of(mode)
    first = stacks[0]
    step = max(1, first.shape[0] * first.shape[1] // LOOK_SAMPLES // first.shape[1])
    rows = to_unsigned(first[step // 2 :: step], kind)
    found: dict[int, Mapping] = {}
    alike: dict[bytes, list[int]] = {}
    for index in range(n_components):
        look = rows[:, :, index]
        value = look[0, 0]
        if (look == value).all() and _is_constant(stacks, index, kind, value):
            found[index] = Mapping(CONSTANT, int(value))
            continue
        before = alike.setdefault(look.tobytes(), [])
        for other in before[:4]:
            if all(
                np.array_equal(
                    to_unsigned(each[:, :, index], kind), to_unsigned(each[:, :, other], kind)
                )
                for each in stacks
            ):
                found[index] = Mapping(COPY, other)
                break
        else:
            before.append(index)
    return found


def _is_constant(stacks: Sequence[Numbers], index: int, kind: str, value: Any) -> bool:
    return all(bool((to_unsigned(each[:, :, index], kind) == value).all()) for each in stacks)


# --- numbers ------------------------------------------------------------------------------------


def _options(
    stacks: Sequence[Numbers], group: list[int], mode: Mode, n_active: int
) -> list[Mapping]:
    """Return what components that are coded alike may be, the likeliest first."""
    kind = type_of(mode)
    bits = SAMPLE_TYPES[kind]
    if bits == 1:
        return [Mapping(PLAIN)]
    n_pixels = stacks[0].shape[0] * stacks[0].shape[1] * len(stacks)
    tiny = n_pixels <= TINY_PIXELS
    if bits == 8 and not _has_gaps(stacks, group, kind):
        return [Mapping(PLAIN)]
    found = _numbers_of(stacks, group, kind)
    n_samples = n_pixels * len(group)
    two_tone = n_active == 1 and found.listed is not None and len(found.listed) == 2
    if bits == 8:
        if two_tone:
            return [_as_line(found), Mapping(PLAIN)]
        if tiny or found.listed is None or len(found.listed) < 2:
            return [Mapping(PLAIN)]
    options = []
    line = _as_line(found)
    if kind.startswith("float"):
        options += _on_ladders(stacks, group, kind, found, n_samples)
    if found.listed is not None and _is_sparse(found, n_samples):
        options.append(list_of(found.listed))
    saves = found.step > 1 or (bits > 8 and line.n_bits <= 8)
    if bits > 16 or saves:
        options.append(line)
    if natural_type(kind) and not (saves and not tiny):
        options.append(Mapping(PLAIN))
    return options


def _as_line(found: _Found) -> Mapping:
    n_bits = max(1, (found.n_places - 1).bit_length())
    return Mapping(LINE, found.lowest, step=found.step, n_bits=n_bits)


def _is_sparse(found: _Found, n_samples: int) -> bool:
    """Whether a list may be worth its bytes."""
    assert found.listed is not None
    n_listed = len(found.listed)
    if n_listed > MAX_LIST or USES * n_listed > n_samples:
        return False
    return GAP_SHARE * n_listed <= (GAP_SHARE - 1) * found.n_places


def _rows_of(stack: Numbers, group: list[int], n_samples: int) -> Numbers:
    """Return some rows of some components."""
    step = max(1, stack.shape[0] * stack.shape[1] * len(group) // n_samples)
    return stack[step // 2 :: step][:, :, group] if step < stack.shape[0] else stack[:1, :, group]


def _has_gaps(stacks: Sequence[Numbers], group: list[int], kind: str) -> bool:
    """Whether some samples of 8 bits look as if numbers were missing."""
    some = to_unsigned(_rows_of(stacks[0], group, HISTOGRAM_SAMPLES), kind)
    present = np.flatnonzero(np.bincount(some.reshape(-1), minlength=256))
    n_between = int(present[-1] - present[0]) + 1
    return GAP_SHARE * len(present) <= (GAP_SHARE - 1) * n_between


def _numbers_of(stacks: Sequence[Numbers], group: list[int], kind: str) -> _Found:
    """Return the numbers that components have in all frames."""
    lowest, highest = _ends(stacks, group, kind)
    listed: NDArray[np.uint64] | None = None
    if highest - lowest < DENSE_SPAN:
        present = np.zeros(highest - lowest + 1, np.bool_)
        for stack in stacks:
            for index in group:
                numbers = to_unsigned(stack[:, :, index], kind)
                present[numbers - numbers.dtype.type(lowest)] = True
        places = np.flatnonzero(present)
        listed = places.astype(np.uint64) + np.uint64(lowest)
    elif not _looks_dense(stacks, group, kind):
        several = [
            np.unique(to_unsigned(stack[:, :, index], kind)) for stack in stacks for index in group
        ]
        listed = np.unique(np.concatenate(several)).astype(np.uint64)
    if listed is None:
        some = to_unsigned(_rows_of(stacks[0], group, HISTOGRAM_SAMPLES), kind)
        step = _common_step(some.reshape(-1).astype(np.uint64), lowest)
        if step > 1:
            step = _exact_step(stacks, group, kind, lowest)
        return _Found(lowest, highest, step, None)
    step = _common_step(listed, lowest)
    few = len(listed) <= MAX_LIST
    return _Found(lowest, highest, step, [int(each) for each in listed] if few else None)


def _ends(stacks: Sequence[Numbers], group: list[int], kind: str) -> tuple[int, int]:
    ends = []
    for stack in stacks:
        for index in group:
            numbers = to_unsigned(stack[:, :, index], kind)
            ends += [int(numbers.min()), int(numbers.max())]
    return min(ends), max(ends)


def _looks_dense(stacks: Sequence[Numbers], group: list[int], kind: str) -> bool:
    """Whether samples hardly repeat, so that a list would be too long."""
    some = to_unsigned(_rows_of(stacks[0], group, HISTOGRAM_SAMPLES), kind).reshape(-1)
    return len(some) >= LOOK_SAMPLES and 2 * len(np.unique(some)) > len(some)


def _common_step(numbers: NDArray[np.uint64], lowest: int) -> int:
    step = int(np.gcd.reduce(numbers.reshape(-1) - np.uint64(lowest)))
    return step if 1 <= step <= MAX_STEP else 1


def _exact_step(stacks: Sequence[Numbers], group: list[int], kind: str, lowest: int) -> int:
    step = 0
    for stack in stacks:
        for index in group:
            numbers = to_unsigned(stack[:, :, index], kind).astype(np.uint64)
            step = int(np.gcd(step, _common_step(numbers, lowest)))
    return step or 1


# --- ladders ------------------------------------------------------------------------------------


def _on_ladders(
    stacks: Sequence[Numbers], group: list[int], kind: str, found: _Found, n_samples: int
) -> list[Mapping]:
    """Return the mappings of floating-point numbers that stand for integers."""
    if found.listed is not None:
        all_numbers = np.array(found.listed, to_unsigned(stacks[0][:1, :1, 0], kind).dtype)
        parts = [from_unsigned(all_numbers, kind)]
    else:
        parts = [stack[:, :, index] for stack in stacks for index in group]
    some = parts[0].reshape(-1)[:: max(1, parts[0].size // LOOK_SAMPLES)]
    if not np.isfinite(some).all():
        return []
    for ladder, scale in _ladders(some, kind):
        if not _fits([some], kind, ladder, scale) or not _fits(parts, kind, ladder, scale):
            continue
        steps = [steps_of(part, kind, ladder, scale) for part in parts]
        lowest = min(int(each.min()) for each in steps)
        highest = max(int(each.max()) for each in steps)
        step = 0
        for each in steps:
            step = int(np.gcd(step, int(np.gcd.reduce((each - lowest).reshape(-1)))))
        on_it = _Found(lowest, highest, step or 1, None)
        if _as_line(on_it).n_bits >= _as_line(found).n_bits and found.listed is None:
            continue
        options = [replace(_as_line(on_it), ladder=ladder, scale=scale)]
        if found.listed is not None:
            on_it = on_it._replace(listed=[int(each) for each in steps[0]])
            if _is_sparse(on_it, n_samples):
                options.insert(0, list_of(on_it.listed or [], ladder, scale))
        return options
    return []


def _fits(parts: Sequence[NDArray[Any]], kind: str, ladder: int, scale: int) -> bool:
    """Whether all samples are on a ladder, bit for bit."""
    for part in parts:
        again = on_ladder(steps_of(part, kind, ladder, scale), kind, ladder, scale)
        if not np.array_equal(to_unsigned(again, kind), to_unsigned(part, kind)):
            return False
    return True


def _ladders(samples: NDArray[Any], kind: str) -> list[tuple[int, int]]:
    """Return the ladders that samples may be on, the simplest first."""
    bits = SAMPLE_TYPES[kind]
    whole = np.dtype(f"uint{bits}")
    ladders = []
    parts = samples[samples != 0].astype(np.float64)
    if len(parts):
        fractions, exponents = np.frexp(parts)
        digits = (np.abs(fractions) * 2.0**53).astype(np.uint64)
        n_zeros = np.log2((digits & (~digits + np.uint64(1))).astype(np.float64)).astype(np.int64)
        exponent = int((exponents - 53 + n_zeros).min())
        unit = np.ldexp(np.array(1, kind), exponent).astype(kind)
        ladders.append((MULTIPLES, int(unit.view(whole))))
    ladders += [(FRACTIONS, each) for each in DENOMINATORS]
    units = [np.array(1 / each).astype(kind) for each in DENOMINATORS]
    ladders += [(MULTIPLES, int(each.view(whole))) for each in units]
    if len(parts):
        units = [np.abs(parts).min()]
        apart = np.diff(np.unique(parts))
        units += [apart.min()] if len(apart) else []
        ladders += [(MULTIPLES, int(np.array(each).astype(kind).view(whole))) for each in units]
    return [each for each in ladders if each[0] == FRACTIONS or is_scale(each[1], kind)]
