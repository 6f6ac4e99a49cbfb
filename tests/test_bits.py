"""Bits, Huffman's and Golomb's codes alone, against bit strings written by hand."""

import naive
import numpy as np
import pytest
from helpers_of_kernels import standing_alone
from hypothesis import given
from hypothesis import strategies as st

from softcomp_codec import golomb, huffman
from softcomp_codec.bitstream import BitReader, BitWriter
from softcomp_codec.errors import CorruptStreamError, TruncatedStreamError
from softcomp_codec.kernels import bit_kernels

read_codeword = standing_alone(bit_kernels.read_codeword)
write_golomb = standing_alone(bit_kernels.write_golomb)
golomb_length = standing_alone(bit_kernels.golomb_length)
read_golomb = standing_alone(bit_kernels.read_golomb)
gap_symbol = standing_alone(bit_kernels.gap_symbol)


def packed(bits):
    """Bytes of a bit string with spaces, padded with 0."""
    bits = bits.replace(" ", "")
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def as_array(bits):
    return np.frombuffer(packed(bits), np.uint8).copy()


def shown(data, n_bits):
    return "".join(f"{byte:08b}" for byte in bytes(data))[:n_bits]


# --- bits ---------------------------------------------------------------------------------------

FIELDS = [(5, 3), (0, 1), (1, 1), (0x2A5, 10), (0, 0), (1, 16), (7, 3)]
FIELD_BITS = "101 0 1 1010100101 0000000000000001 111"


def test_bits_go_from_bit_7_down():
    writer = BitWriter()
    for value, n_bits in FIELDS:
        writer.write(value, n_bits)
    assert writer.position == 34
    assert writer.to_bytes() == packed(FIELD_BITS)


def test_bits_come_back():
    reader = BitReader(packed(FIELD_BITS))
    assert [reader.read(n_bits, "field") for _, n_bits in FIELDS] == [v for v, _ in FIELDS]
    assert reader.position == 34


def test_nothing_written_is_no_bytes():
    assert BitWriter().to_bytes() == b""
    reader = BitReader(b"")
    assert reader.read(0, "field") == 0
    reader.skip_padding()
    assert reader.position == 0


@pytest.mark.parametrize(("value", "n_bits"), [(8, 3), (1, 0), (-1, 4), (1 << 24, 24)])
def test_numbers_that_do_not_fit(value, n_bits):
    with pytest.raises(ValueError, match=rf"{value} does not fit into {n_bits} bits"):
        BitWriter().write(value, n_bits)


def test_reading_past_the_end():
    reader = BitReader(packed("1011 0110"))
    reader.read(6, "first")
    with pytest.raises(TruncatedStreamError, match="bit 6: predictor needs 3 bits, only 2 are"):
        reader.read(3, "predictor")
    assert reader.read(2, "rest") == 0b10
    with pytest.raises(TruncatedStreamError, match="bit 8: flag needs 1 bits, only 0"):
        reader.read(1, "flag")


def test_padding_must_be_zero():
    reader = BitReader(packed("101 00000 111 00100"))
    reader.read(3, "field")
    reader.skip_padding()
    assert reader.position == 8
    reader.skip_padding()  # nothing to skip at a whole byte
    assert reader.position == 8
    reader.read(3, "field")
    with pytest.raises(CorruptStreamError, match="bit 11: padding bits are not 0"):
        reader.skip_padding()


def test_buffer_grows_and_stays_zero_behind_position():
    writer = BitWriter()
    writer.write(0b101, 3)
    buffer = writer.reserve(100_000)
    assert len(buffer) * 8 >= 100_003
    assert buffer[0] == 0b1010_0000
    assert not buffer[1:].any()
    writer.position = 100_003
    assert len(writer.to_bytes()) == 12_501


numbers = st.integers(0, 40).flatmap(
    lambda n_bits: st.tuples(st.integers(0, (1 << n_bits) - 1), st.just(n_bits))
)


@given(st.lists(numbers, max_size=30))
def test_any_numbers_come_back(fields):
    writer = BitWriter()
    for value, n_bits in fields:
        writer.write(value, n_bits)
    data = writer.to_bytes()
    assert data == packed("".join(format(v, f"0{n}b") for v, n in fields if n))
    reader = BitReader(data)
    assert [reader.read(n_bits, "field") for _, n_bits in fields] == [v for v, _ in fields]
    reader.skip_padding()
    assert reader.position == 8 * len(data)


# --- Huffman ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        # The example of RFC 1951, section 3.2.2
        ([3, 3, 3, 3, 3, 2, 4, 4], "010 011 100 101 110 00 1110 1111"),
        ([1], "0"),
        ([1, 1], "0 1"),
        ([2, 1, 2], "10 0 11"),
        ([4, 1, 4, 2], "1100 0 1101 10"),  # incomplete: 111 is no codeword
        ([24, 1], "1" + "0" * 23 + " 0"),
    ],
)
def test_canonical_codewords(lengths, words):
    lengths = np.array(lengths, np.uint8)
    found = huffman.codewords(lengths)
    assert [format(w, f"0{n}b") for w, n in zip(found, lengths, strict=True)] == words.split()
    table = huffman.decode_table(lengths)
    for symbol, word in enumerate(words.split()):
        assert read_codeword(as_array("110" + word), 3, *table) == (
            symbol,
            3 + len(word),
        )


@pytest.mark.parametrize(
    ("counts", "lengths"),
    [
        ([7], [1]),
        ([3, 3], [1, 1]),
        ([0, -5, 1, 1], [2, 2, 2, 2]),  # less than 1 counts as 1
        ([1, 1, 2, 4], [3, 3, 2, 1]),
        ([4, 2, 1, 1], [1, 2, 3, 3]),
        ([5, 9, 12, 13, 16, 45], [4, 4, 3, 3, 3, 1]),  # Cormen et al., Introduction to Algorithms
        ([2, 2, 1, 1], [2, 2, 2, 2]),
    ],
)
def test_code_lengths(counts, lengths):
    assert huffman.code_lengths(counts).tolist() == lengths


def test_code_lengths_stop_at_24():
    fibonacci = [1, 1]
    while len(fibonacci) < 60:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    lengths = huffman.code_lengths(fibonacci)
    assert lengths.max() == 24
    assert sum(1 << (24 - int(n)) for n in lengths) == 1 << 24  # complete: Kraft's sum is 1
    assert (np.diff(lengths.astype(int)) <= 0).all()
    assert huffman.is_prefix_code(lengths)
    assert huffman.code_lengths(fibonacci[:24]).max() == 23
    assert huffman.code_lengths(fibonacci[:25]).max() == 24


@pytest.mark.parametrize(
    ("lengths", "valid"),
    [
        ([], False),
        ([1], True),
        ([1, 1], True),
        ([1, 1, 24], False),
        ([1, 2, 2], True),
        ([1, 2, 2, 24], False),
        ([0, 1], False),
        ([25], False),
        ([255], False),
        ([24, 24, 24], True),
        ([8] * 256, True),
        ([8] * 257, False),
    ],
)
def test_prefix_codes(lengths, valid):
    assert huffman.is_prefix_code(np.array(lengths, np.uint8)) is valid


@given(st.lists(st.integers(-1, 3000), min_size=1, max_size=80))
def test_huffman_codes_are_complete_and_optimal(counts):
    lengths = huffman.code_lengths(counts)
    weights = [max(1, count) for count in counts]
    if len(counts) > 1:
        assert sum(1 << (24 - int(n)) for n in lengths) == 1 << 24
    heap = sorted(weights)
    optimum = weights[0] if len(counts) == 1 else 0
    while len(heap) > 1:
        merged = heap[0] + heap[1]
        optimum += merged
        heap = sorted([*heap[2:], merged])
    assert sum(int(n) * w for n, w in zip(lengths, weights, strict=True)) == optimum


@given(st.lists(st.integers(1, 1 << 30), min_size=1, max_size=60), st.data())
def test_huffman_round_trip(counts, data):
    lengths = huffman.code_lengths(counts)
    symbols = data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=20))
    words = naive.canonical_codewords(lengths.tolist())
    assert [format(w, f"0{n}b") for w, n in zip(huffman.codewords(lengths), lengths, strict=True)] \
        == words  # fmt: skip
    bits = "".join(words[symbol] for symbol in symbols)
    stream, position, table = as_array(bits), 0, huffman.decode_table(lengths)
    for symbol in symbols:
        found, position = read_codeword(stream, position, *table)
        assert found == symbol
    assert position == len(bits)


def test_codewords_that_do_not_exist():
    table = huffman.decode_table(np.array([2, 2], np.uint8))  # 00 and 01
    assert read_codeword(as_array("01" + "1" * 30), 2, *table)[0] == -2
    assert read_codeword(as_array("10" + "0" * 22), 0, *table)[0] == -2
    assert read_codeword(as_array("11111111 11111111"), 0, *table) == (-1, 16)
    assert read_codeword(np.zeros(0, np.uint8), 0, *table) == (-1, 0)
    longest = huffman.decode_table(np.array([24], np.uint8))
    assert read_codeword(as_array("0" * 24), 0, *longest) == (0, 24)
    assert read_codeword(as_array("0" * 16), 0, *longest) == (-1, 16)


# --- Golomb -------------------------------------------------------------------------------------

GOLOMB = [
    (1, 0, "0"),
    (1, 1, "10"),
    (1, 5, "111110"),
    (2, 0, "0 0"),
    (2, 1, "0 1"),
    (2, 2, "10 0"),
    (3, 0, "0 0"),
    (3, 1, "0 10"),
    (3, 2, "0 11"),
    (3, 3, "10 0"),
    (4, 7, "10 11"),
    (5, 0, "0 00"),
    (5, 1, "0 01"),
    (5, 2, "0 10"),
    (5, 3, "0 110"),
    (5, 4, "0 111"),
    (5, 5, "10 00"),
    (10, 42, "11110 010"),
    (10, 7, "0 1101"),
    (512, 511, "0 111111111"),
    (1023, 0, "0 000000000"),
    (1023, 1, "0 0000000010"),
    (1023, 1022, "0 1111111111"),
    (1023, 1023, "10 000000000"),
]


@pytest.mark.parametrize(("parameter", "value", "bits"), GOLOMB)
def test_golomb_codewords(parameter, value, bits):
    n_bits = len(bits.replace(" ", ""))
    buffer = np.zeros(8, np.uint8)
    assert write_golomb(buffer, 5, value, parameter) == 5 + n_bits
    assert shown(buffer, 5 + n_bits) == "00000" + bits.replace(" ", "")
    assert golomb_length(value, parameter) == n_bits
    assert naive.golomb(value, parameter) == bits.replace(" ", "")
    assert read_golomb(as_array("11111" + bits + "1"), 5, parameter) == (
        value,
        5 + n_bits,
    )


@given(st.integers(1, golomb.MAX_PARAMETER), st.integers(0, 5000))
def test_golomb_round_trip_and_truncation(parameter, value):
    bits = naive.golomb(value, parameter)
    assert golomb_length(value, parameter) == len(bits)
    buffer = np.zeros(len(bits) // 8 + 1, np.uint8)
    assert write_golomb(buffer, 0, value, parameter) == len(bits)
    assert shown(buffer, len(bits)) == bits
    assert read_golomb(buffer, 0, parameter) == (value, len(bits))
    lead = -len(bits) % 8 + 1  # the last bit of the codeword is the first one missing
    cut = as_array("0" * lead + bits[:-1])
    assert read_golomb(cut, lead, parameter)[0] == -1


def test_golomb_of_ones_only_is_truncated():
    assert read_golomb(np.full(9, 0xFF, np.uint8), 0, 3) == (-1, 72)


@given(st.lists(st.integers(0, 3000), max_size=40))
def test_best_parameter(gaps):
    lengths = huffman.code_lengths(list(range(153, 0, -1)))
    parameter, golomb_bits, trained_bits = golomb.best_parameter(np.array(gaps, np.int64), lengths)
    costs = [sum(len(naive.golomb(gap, m)) for gap in gaps) for m in golomb.PARAMETERS.tolist()]
    assert golomb_bits == min(costs)
    assert parameter == golomb.PARAMETERS[costs.index(min(costs))]  # the smallest of equals
    assert trained_bits == sum(len(naive.trained_gap(gap, lengths.tolist())) for gap in gaps)


def test_parameters_fit_their_field():
    assert golomb.PARAMETERS[0] == 1
    assert golomb.PARAMETERS[-1] == golomb.MAX_PARAMETER == 1023
    assert (np.diff(golomb.PARAMETERS) > 0).all()


@pytest.mark.parametrize(
    ("gap", "symbol", "n_extra"),
    [
        (0, 0, 0),
        (127, 127, 0),
        (128, 128, 7),
        (255, 128, 7),
        (256, 129, 8),
        (511, 129, 8),
        (1 << 31, 152, 31),
        ((1 << 32) - 1, 152, 31),
    ],
)
def test_symbols_of_gaps(gap, symbol, n_extra):
    assert gap_symbol(np.int64(gap)) == (symbol, n_extra)
