"""Priors of the context coder (SPEC.md 6.4), written from SPEC.md alone.

A part of reference_decoder.py.
"""

import struct
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate, product

from reference_decoder_numbers import (
    ByteReader,
    SpecError,
    read_count_cap,
    read_known_states,
    read_later_states,
)

PRIOR_SLOTS = (1024, 1024, 1573, 1024, 6561, 1024, 1024)
LATER_PRIOR_SLOTS = (1024, 1024, 1024, 2197, 6561, 2048, 1024, 2048)


@dataclass(frozen=True)
class Prior:
    """Where the models of the context coder start (6.4); a part that is not there is empty.

    Coefficients are by kind of plane and level, filters by kind, states by context, kind, node and
    slot, weights (of 7 contexts) and full weights (of 15) by set, kind, level and node. Learning:
    both paces and the count limit beside the full weights.
    """

    key: tuple[int, int, int]
    coefficients: dict[tuple[int, int], list[int]]
    filters: dict[int, list[int]]
    states: dict[tuple[int, int, int, int], tuple[int, int]]
    weights: dict[tuple[int, int, int, int], list[int]]
    full_weights: dict[tuple[int, int, int, int], list[int]]
    learning: tuple[int, int, int] | None


def read_prior(content: bytes) -> Prior:
    """Read a prior of the context coder (6.4)."""
    file = ByteReader(content)
    bits, planes, transform, parts = file.take(4)
    if bits not in (8, 16) or not 1 <= planes <= 4:
        raise SpecError("unsupported: a prior for other images")
    transforms = [0] if planes < 3 else [0, 3] if bits == 16 else [0, 3, 4]
    if transform not in transforms or not 1 <= parts <= 63 or parts & 20 == 16:
        raise SpecError("corrupt: the transform or the parts of a prior")
    taps = (11, 17, 21, 21)
    kinds = range(min(planes + (transform == 4), 4))
    nodes = 32 if bits == 8 else 48

    def signed(number: int) -> list[int]:
        """Return so many numbers of 2 bytes."""
        return [value for (value,) in struct.iter_unpack("<h", file.take(2 * number))]

    coefficients, filters, weights = {}, {}, {}
    states: dict[tuple[int, int, int, int], tuple[int, int]] = {}
    if parts & 1:
        coefficients = {(k, row): signed(taps[k]) for k in kinds for row in range(13)}
    if parts & 2:
        filters = {k: [16 * value for value in signed(taps[k])] for k in kinds}
    if parts & 4:
        cap = read_count_cap(file)
        known = read_known_states(file, sum(PRIOR_SLOTS) * len(kinds) * nodes, cap)
        states = by_place(known, range(7), len(kinds), nodes)
    if parts & 8:
        rows = [(i, k, row, n) for i in (0, 1) for k in kinds for row in range(13)
                for n in range(nodes)]  # fmt: skip
        standard = [58982 // 14] * 7 + [0]
        weights = {
            place: [start + 16 * value for start, value in zip(standard, signed(8), strict=True)]
            for place in rows
        }
        if any(abs(weight) > 65536 for row in weights.values() for weight in row):
            raise SpecError("corrupt: a weight of a prior")
    if parts & 16:
        known = read_later_states(file, sum(LATER_PRIOR_SLOTS) * len(kinds) * nodes, cap)
        states |= by_place(known, range(7, 15), len(kinds), nodes)
    learning, full_weights = read_full_weights(file, kinds, nodes) if parts & 32 else (None, {})
    if not file.at_end:
        raise SpecError("corrupt: bytes behind a prior")
    key = (bits, planes, transform)
    return Prior(key, coefficients, filters, states, weights, full_weights, learning)


def read_full_weights(
    file: ByteReader, kinds: range, nodes: int
) -> tuple[tuple[int, int, int], dict[tuple[int, int, int, int], list[int]]]:
    """Read both paces, the count limit and the weights of 15 contexts (6.4)."""
    final, start, limit = file.take(3)
    if final > 15 or start > 63 or limit == 0:
        raise SpecError("corrupt: how full weights learn")
    standard = [58982 // 45] * 15 + [0]
    weights = {}
    for place in product(range(3), kinds, range(13), range(nodes)):
        stored = struct.unpack("16b", file.take(16))
        weights[place] = [
            first + 256 * value for first, value in zip(standard, stored, strict=True)
        ]
        if any(abs(weight) > 32768 for weight in weights[place]):
            raise SpecError("corrupt: a full weight of a prior")
    return (final, start, limit), weights


def by_place(
    known: dict[int, tuple[int, int]], contexts: range, kinds: int, nodes: int
) -> dict[tuple[int, int, int, int], tuple[int, int]]:
    """Return the known states of some contexts by context, kind, node and slot (6.4)."""
    slots = (PRIOR_SLOTS + LATER_PRIOR_SLOTS)[contexts[0] : contexts[-1] + 1]
    ends = list(accumulate(kinds * nodes * each for each in slots))
    states = {}
    for index, state in known.items():
        place = bisect_right(ends, index)
        rest, slot = divmod(index - ends[place] + kinds * nodes * slots[place], slots[place])
        states[contexts[place], *divmod(rest, nodes), slot] = state
    return states
