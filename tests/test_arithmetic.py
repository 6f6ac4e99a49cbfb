"""The adaptive arithmetic coder alone: by hand, against its naive twin, and its exact end."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_images import CONTENTS, filled, noise
from small_codebooks import noisy_states

from softcomp_codec.arithmetic import (
    ArithmeticDecoder,
    ArithmeticEncoder,
    neutral_states,
    worst_size,
)
from softcomp_codec.errors import CorruptStreamError
from softcomp_codec.kernels import entropy_kernels
from softcomp_codec.kernels.entropy_kernels import N_CONTEXTS, N_ENERGIES, VIRTUAL_BYTES

ONE_BIT = neutral_states(1, N_ENERGIES)


def coded(*layers):
    """Code of the low layers of (mapped, low_bits, states), one behind the other."""
    encoder = ArithmeticEncoder(sum(worst_size(mapped.shape, n) for mapped, n, _ in layers))
    for layer in layers:
        encoder.encode(*layer)
    return encoder.finish()


def decoded(code, *layers, offset=0):
    """The decoder after it has filled in all low layers, and the mapped residuals."""
    decoder = ArithmeticDecoder(np.frombuffer(code, np.uint8).copy(), offset)
    found, n_samples = [], []
    for mapped, low_bits, states in layers:
        found.append(mapped >> low_bits << low_bits)
        n_samples.append(decoder.decode(found[-1], low_bits, states))
    return decoder, found, n_samples


def naive_code(*layers):
    """The naive twin's code of the same layers."""
    return naive.encode_low_layers(
        [(mapped.tolist(), low_bits, states.tolist()) for mapped, low_bits, states in layers]
    )


def bits(text):
    """A low layer of single bits, in one row, without a shape layer."""
    return np.array([[int(bit) for bit in text]], np.uint16), 1, ONE_BIT


# --- by hand ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        # P = 2^21, so p = 32768 and middle = 7FFFFFFF.
        ("1", ""),  # 0..7FFFFFFF holds 0: no byte
        ("0", "80"),  # 80000000..FFFFFFFF
        # After a 0: P = 2^21 - (2^21 * 43690 >> 16) = 699072, so p = 10923 and n = 1.
        # middle = 80000000 + 7FFF * 10923 + (FFFF * 10923 >> 16) = 80000000 + 1555_7FFF
        ("01", "80"),  # 80000000..95557FFF
        ("00", "96"),  # 95558000..FFFFFFFF: the least with one byte is 96000000
        # After a 1 all six neighbours are 1: E = 8, class 4, so P = 2^21 again.
        ("11", ""),  # 0..3FFFFFFF
        ("10", "40"),  # 40000000..7FFFFFFF
        # Class 4 after its 1: P = 2^21 + ((2^22 - 1 - 2^21) * 43690 >> 16) = 3495231, so p = 54612.
        # middle = 3FFF * 54612 + (FFFF * 54612 >> 16) = 3554FFFF
        ("111", ""),  # 0..3554FFFF
        ("110", "36"),  # 35550000..3FFFFFFF
        # After 1, 0: W = N = 0, WW = 1, E = 1, class 1, which has seen nothing.
        ("101", "40"),  # 40000000..5FFFFFFF
        ("100", "60"),  # 60000000..7FFFFFFF
        # After 0, 0: P = 699072 - (699072 * 26214 >> 16) = 419448, so p = 6553 and n = 2.
        # middle = 95558000 + 6AAA * 6553 + (7FFF * 6553 >> 16) = 95558000 + AAA_1DC6
        ("001", "96"),  # 95558000..9FFF9DC6
        ("000", "a0"),  # 9FFF9DC7..FFFFFFFF
    ],
)
def test_first_bytes_by_hand(text, code):
    assert coded(bits(text)) == bytes.fromhex(code)
    assert naive_code(bits(text)) == bytes.fromhex(code)
    decoder, (found,), _ = decoded(bytes.fromhex(code), bits(text))
    assert found.tolist() == [[int(bit) for bit in text]]
    decoder.check_end()


def test_the_least_likely_bits_cost_eleven_bits_each():
    sure = np.full((16, 2), np.uint32(0xFFFFFC00 | 255))  # P is as high as it can be
    layer = np.zeros((1, 64), np.uint16), 1, sure
    assert coded(layer) == naive_code(layer)
    assert len(coded(layer)) <= worst_size((1, 64), 1)
    ones = np.ones((1, 64), np.uint16), 1, sure
    assert coded(ones) == b""


# --- contexts -----------------------------------------------------------------------------------

LAST_OF_CLASSES = (0, 2, 4, 7, 11, 15, 20, 27, 36, 49, 66, 90, 130, 200, 350)


def counted(mapped, low_bits, n_contexts):
    """How many samples the kernel sees in each context."""
    counts = np.zeros((n_contexts, 1 << low_bits, 2), np.int64)
    entropy_kernels.count_low_layer(np.array(mapped, np.uint16), low_bits, counts)
    return counts[:, 1].sum(axis=1).tolist()


def contexts_of(mapped, low_bits, *, beside_shapes):
    """The naive twin's contexts; the kernel must see as many samples in each."""
    n_contexts = N_CONTEXTS if beside_shapes else N_ENERGIES
    numbers = naive.contexts(mapped, low_bits, beside_shapes)
    flat = np.concatenate(numbers)
    assert counted(mapped, low_bits, n_contexts) == np.bincount(flat, minlength=n_contexts).tolist()
    return numbers


def test_energy_classes_by_hand():
    """In one row W = N = NW = NE = NN, so that the third sample's E is 7 W + WW."""
    for index, last in enumerate(LAST_OF_CLASSES):
        for before, number in ((last, index), (last + 1, index + 1)):
            ((first, _, third),) = contexts_of([[before, 0, 0]], 9, beside_shapes=False)
            assert (first, third) == (0, number)
    assert contexts_of([[510, 510, 0]], 9, beside_shapes=False) == [[0, 15, 15]]


@pytest.mark.parametrize(
    ("row", "column", "weights"),
    [
        # What the samples of a picture of 3 x 3 add to E of one of them, row by row.
        (0, 0, [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
        (0, 1, [[8, 0, 0], [0, 0, 0], [0, 0, 0]]),  # WW, N, NW, NE, NN = W
        (0, 2, [[1, 7, 0], [0, 0, 0], [0, 0, 0]]),  # N, NW, NE, NN = W
        (1, 0, [[7, 1, 0], [0, 0, 0], [0, 0, 0]]),  # W, WW, NW, NN = N
        (1, 1, [[1, 3, 1], [3, 0, 0], [0, 0, 0]]),  # WW = W, NN = N
        (1, 2, [[0, 1, 4], [1, 2, 0], [0, 0, 0]]),  # NE, NN = N
        (2, 0, [[1, 0, 0], [6, 1, 0], [0, 0, 0]]),  # W, WW, NW = N
        (2, 1, [[0, 1, 0], [1, 2, 1], [3, 0, 0]]),  # WW = W
        (2, 2, [[0, 0, 1], [0, 1, 3], [1, 2, 0]]),  # NE = N
    ],
)
def test_energies_by_hand(row, column, weights):
    for (i, j), weight in np.ndenumerate(weights):
        for value in (1, 5, 40):
            mapped = np.zeros((3, 3), int)
            mapped[i, j] = value
            found = contexts_of(mapped.tolist(), 9, beside_shapes=False)[row][column]
            assert found == np.searchsorted(LAST_OF_CLASSES, weight * value)


def test_contexts_beside_shapes_by_hand():
    """With L = 2: neighbours on all sides count by their high layer, those before by E as well."""
    mapped = [
        [3, 4, 0],
        [0, 9, 8],
        [0, 0, 31],
    ]
    # High layer:  0 1 0    neighbours that are not 0:  2 2 3
    #              0 2 2                                2 3 3
    #              0 0 7                                1 3 2
    # E: 0, 8 * 3 = 24, 7 * 4 + 3 = 31;
    #    7 * 3 + 4 = 25, 3 * 4 + 3 + 0 + 3 * 0 = 15, 4 * 0 + 4 + 2 * 9 + 0 = 22;
    #    3 + 9 = 12, 2 * 9 + 0 + 8 + 4 = 30, 3 * 8 + 9 = 33.
    q = [[0, 7, 8], [7, 5, 7], [5, 8, 8]]
    k = [[1, 1, 2], [1, 2, 2], [1, 2, 1]]
    h = [[0, 1, 0], [0, 2, 2], [0, 0, 3]]
    expected = 16 * (4 * np.array(h) + k) + q
    assert contexts_of(mapped, 2, beside_shapes=True) == expected.tolist()
    assert contexts_of(mapped, 5, beside_shapes=False) == q


# --- round trips --------------------------------------------------------------------------------

SHAPES = [(1, 1), (1, 2), (3, 1), (5, 7), (13, 11), (2, 31), (16, 16)]


@st.composite
def low_layers(draw):
    """One to three low layers with or without a shape layer, trained or not."""
    shape = draw(st.sampled_from(SHAPES))
    layers = []
    for _ in range(draw(st.integers(1, 3))):
        low_bits = draw(st.integers(1, 9))
        n_contexts = draw(st.sampled_from([N_ENERGIES, N_CONTEXTS]))
        seed = draw(st.integers(0, 99))
        low = filled(shape, draw(st.sampled_from(CONTENTS)), (1 << low_bits) - 1, seed)
        high = filled(shape, draw(st.sampled_from(CONTENTS)), 6, seed + 1) * (
            n_contexts == N_CONTEXTS
        )
        states = neutral_states(low_bits, n_contexts)
        if draw(st.booleans()):
            states = noisy_states(low_bits, n_contexts, lambda s, n, seed=seed: noise(s, n, seed))
        layers.append(((high << low_bits | low).astype(np.uint16), low_bits, states))
    return layers


@given(low_layers(), st.integers(0, 3))
def test_round_trip_equals_naive_twin(layers, offset):
    before = [states.copy() for *_, states in layers]
    code = coded(*layers)
    assert code == naive_code(*layers)
    decoder, found, n_samples = decoded(b"\xa5" * offset + code, *layers, offset=offset)
    for layer, values, states in zip(layers, found, before, strict=True):
        assert np.array_equal(values, layer[0])
        assert np.array_equal(layer[2], states)  # the codebook's states never change
    assert n_samples == [mapped.size for mapped, *_ in layers]
    decoder.check_end()
    assert decoder._position <= offset + len(code) + VIRTUAL_BYTES


@given(low_layers())
def test_the_code_must_end_where_it_ends(layers):
    code = coded(*layers)
    decoder, _, _ = decoded(code + b"\0", *layers)
    with pytest.raises(CorruptStreamError, match=f"byte {len(code)}: 1 bytes follow the end"):
        decoder.check_end()
    for other in (code + b"\x01", code + b"\xff\xff", *([code[:-1], code[:-2]] if code else [])):
        assert not _accepted_as_the_same(other, layers)


def _accepted_as_the_same(code, layers):
    decoder, found, n_samples = decoded(code, *layers)
    if n_samples != [mapped.size for mapped, *_ in layers]:
        return False
    try:
        decoder.check_end()
    except CorruptStreamError:
        return False
    return all(np.array_equal(a, layer[0]) for a, layer in zip(found, layers, strict=True))


@pytest.mark.parametrize("n_less", [1, 2])
def test_less_is_truncated(n_less):
    """More than four bytes behind the end are never taken as zeros."""
    layer = np.ones((5, 7), np.uint16), 1, np.full((16, 2), np.uint32(26 << 26 | 30))
    code = coded(layer)
    assert code == bytes(3)  # so zeros in their place would be right
    _, _, (n_samples,) = decoded(code[:-n_less], layer)
    assert n_samples < 35


@pytest.mark.parametrize("kept", [0, 1, 7, 100])
def test_far_too_short_stops_early(kept):
    """Not all samples are invented from the zeros behind the end."""
    layer = noise((64, 64), 512).astype(np.uint16), 9, neutral_states(9, N_ENERGIES)
    _, found, (n_samples,) = decoded(coded(layer)[:kept], layer)
    assert n_samples < 64 * 64
    assert not found[0].ravel()[n_samples + 1 :].any()


@pytest.mark.parametrize("low_bits", range(1, 10))
def test_worst_size_is_never_exceeded(low_bits):
    """States that are wrong about every bit, and very sure."""
    states = neutral_states(low_bits, N_ENERGIES)
    states[:] = 65535 << 16 | 255
    for shape in ((1, 1), (1, 300), (300, 1), (30, 40)):
        low = np.zeros(shape, np.uint16)
        code = coded((low, low_bits, states))
        assert len(code) <= worst_size(shape, low_bits)
        decoder, (found,), _ = decoded(code, (low, low_bits, states))
        assert not found.any()
        decoder.check_end()
