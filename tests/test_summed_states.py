"""States whose log-odds add up: vectors against the plain arithmetic of SPEC 5C.10."""

from itertools import pairwise

import numpy as np
import pytest

from softcomp_codec.kernels import summed_states
from softcomp_codec.kernels.jit import kernel

TOP = (1 << 19) - 1
FEW, MANY = 7, 8
SUMS = {FEW: summed_states.sum_seven_states, MANY: summed_states.sum_eight_states}
MOVES = {FEW: summed_states.move_seven_states, MANY: summed_states.move_eight_states}


def kernels_of(n_states):
    sum_states, move_states = SUMS[n_states], MOVES[n_states]

    @kernel
    def find_sum(states, slots, start, step):
        return sum_states(states, slots, start, step)

    @kernel
    def move_by(states, slots, start, step, kept, moving, error):
        moving = summed_states.moving_vectors(moving)
        move_states(states, slots, start, step, kept, moving, error)

    def move(*places, error):
        move_by(*places, summed_states.MOVING, error)

    return find_sum, move


def stored(odds, rates):
    return (np.array(odds, np.int64) << 12 | np.array(rates)).astype(np.uint32)


def moved(odds, rate, error):
    """What SPEC 5C.10 says of L and r."""
    odds = min(max(odds + ((rate * error + 4096) >> 13), -TOP), TOP)
    return odds, rate - ((rate - 100) >> 7)


@pytest.mark.parametrize("n_states", [FEW, MANY])
@pytest.mark.parametrize("error", [32752, -32752, 16, -16, 0, 9999])
def test_any_states(n_states, error):
    find_sum, move = kernels_of(n_states)
    generator = np.random.default_rng(n_states)
    start, step = np.uint64(3), np.uint64(5)
    odds = generator.integers(-TOP, TOP + 1, n_states)
    odds[:3] = TOP, -TOP, 0
    rates = generator.integers(100, 1697, n_states)
    rates[:4] = 1696, 1696, 100, 227
    slots = np.zeros(16, np.uint32)
    slots[3 : 3 + n_states] = generator.permutation(n_states) * 16
    places = slots[3 : 3 + n_states] + 5
    states = np.full(16 * (n_states + 1), 0xDEADBEEF, np.uint32)
    states[places] = stored(odds, rates)
    untouched = np.setdiff1d(np.arange(len(states)), places)
    kept = np.full(16, -1, np.int32)
    for _ in range(40):
        total = sum(4096 * int(each) + int(rate) for each, rate in zip(odds, rates, strict=True))
        assert find_sum(states, slots, start, step) == total
        move(states, slots, start, step, kept, error=np.int32(error))
        pairs = [moved(int(each), int(rate), error) for each, rate in zip(odds, rates, strict=True)]
        odds, rates = zip(*pairs, strict=True)
        assert np.array_equal(states[places], stored(odds, rates))
    assert np.all(states[untouched] == 0xDEADBEEF)


@pytest.mark.parametrize("n_states", [FEW, MANY])
def test_lanes_without_a_context(n_states):
    """They share a state of 0, which adds nothing and stays."""
    find_sum, move = kernels_of(n_states)
    slots = np.zeros(16, np.uint32)
    slots[:4] = 16, 32, 48, 64
    states = np.zeros(80, np.uint32)
    states[16:] = stored(1000, 1696)
    kept = np.zeros(16, np.int32)
    kept[:4] = -1
    none = np.uint64(0)
    assert find_sum(states, slots, none, none) == 4 * (4096 * 1000 + 1696)
    move(states, slots, none, none, kept, error=np.int32(30000))
    assert not states[:16].any()
    odds, rate = moved(1000, 1696, 30000)
    assert np.array_equal(states[[16, 32, 48, 64]], stored([odds] * 4, [rate] * 4))


def test_rates_fall_to_the_least():
    _, move = kernels_of(FEW)
    slots = np.arange(16, dtype=np.uint32)
    states = np.full(16, stored(0, 1696), np.uint32)
    kept = np.full(16, -1, np.int32)
    seen = [1696]
    for _ in range(2000):
        move(states, slots, np.uint64(0), np.uint64(0), kept, error=np.int32(0))
        seen.append(int(states[0]) & 4095)
    assert all(before >= after for before, after in pairwise(seen))
    assert seen[-1] == 227
