"""Priors of the tiny coder: the section of a codebook, and training."""

import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from made_images import colours, figure, noise, slope
from small_codebooks import codebook_file, made_prior, made_tiny_prior, section, tiny_book

import softcomp_codec
from softcomp_codec import container, tiny_coder, tiny_training
from softcomp_codec.cli import codebook as codebook_command
from softcomp_codec.codebook import SECTION_RECORD, SECTION_TINY, Codebook
from softcomp_codec.container import MODES
from softcomp_codec.errors import CorruptStreamError, ScfError, TruncatedStreamError
from softcomp_codec.kernels.tiny_kernels import N_CONTEXTS, N_NODES, N_TAPS
from softcomp_codec.tiny_prior import N_WEIGHT_ROWS, N_WEIGHTS, TinyPrior, n_nodes_of
from softcomp_codec.tiny_training import FEWEST_IMAGES, logarithms, train_prior
from softcomp_codec.training import TrainingOptions

PRIORS_ONLY = TrainingOptions(train_shapes=False)


def figures(n_images, first=0, side=9):
    return [figure(side, side, first + seed) for seed in range(n_images)]


@cache
def trained():
    return softcomp_codec.train(figures(200), name="figures", holdout=0, options=PRIORS_ONLY)


# --- the section ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 64), (64, 1), (7, 5)])
@pytest.mark.parametrize("slot_bits", [6, 8])
def test_section_comes_back(size, slot_bits):
    prior = made_tiny_prior(size, inverted=size[0] > 1, slot_bits=slot_bits)
    again = TinyPrior.from_bytes(prior.to_bytes())
    assert (again.key, again.inverted, again.slot_bits) == (size, size[0] > 1, slot_bits)
    for name in ("coefficients", "log_odds", "weights"):
        assert np.array_equal(getattr(again, name), getattr(prior, name))
    assert again.to_bytes() == prior.to_bytes()
    assert again.n_known == np.count_nonzero(prior.log_odds) > 0
    book = tiny_book(prior)
    found = Codebook.from_bytes(book.to_bytes())
    assert found.identifier == book.identifier
    assert found.kinds == ("gray8",)
    assert found.tiny_prior(MODES[1], *size) is found.tiny_prior(MODES[3], *size) is not None
    for mode in (0, 2, 5, 7):
        assert not found.fits(MODES[mode])
        assert found.tiny_prior(MODES[mode], *size) is None
    assert found.tiny_prior(MODES[1], size[0] + 1, size[1]) is None


def test_log_odds_are_where_their_bits_say():
    """Bits go by context, node and slot; the kernel's table by context, slot and node."""
    odds = np.zeros(n_nodes_of(6), np.int8)
    context, node, slot = 3, 5, 7
    odds[(context * N_NODES + node) * 64 + slot] = -9
    prior = replace(made_tiny_prior(), log_odds=odds)
    (place,) = np.flatnonzero(prior.states_table)
    assert place == (context * 64 + slot) * N_NODES + node
    assert prior.states_table[place] == -9


def test_weights_lie_in_lanes():
    weights = np.arange(N_WEIGHT_ROWS * N_NODES * N_WEIGHTS).astype(np.int8)
    table = replace(made_tiny_prior(), weights=weights).weights_table.reshape(-1, 12)
    assert np.array_equal(table[:, :N_WEIGHTS].reshape(-1), weights)
    assert not table[:, N_WEIGHTS:].any()


def test_truncated_and_extended_sections():
    data = made_tiny_prior((2, 3)).to_bytes()
    for length in [*range(40), *range(40, len(data), 997), len(data) - 1]:
        with pytest.raises(TruncatedStreamError):
            TinyPrior.from_bytes(data[:length])
    with pytest.raises(CorruptStreamError, match="2 bytes follow"):
        TinyPrior.from_bytes(data + b"\0\0")


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, 0, "sides are 1 to 64"),
        (0, 65, "sides are 1 to 64"),
        (1, 0, "sides are 1 to 64"),
        (1, 255, "sides are 1 to 64"),
        (2, 2, "flags 02h"),
        (2, 128, "flags 80h"),
        (3, 5, "5 bits of a slot"),
        (3, 17, "17 bits of a slot"),
        (3, 255, "255 bits of a slot"),
    ],
)
def test_heads_that_cannot_be(offset, value, message):
    data = bytearray(made_tiny_prior((2, 3)).to_bytes())
    data[offset] = value
    with pytest.raises(CorruptStreamError, match=message):
        TinyPrior.from_bytes(bytes(data))


@pytest.mark.parametrize("odds", [0, -128])
def test_log_odds_that_cannot_be(odds):
    prior = made_tiny_prior((2, 3))
    data = bytearray(prior.to_bytes())
    first = 4 + 2 * 6 * N_TAPS + n_nodes_of(6) // 8
    data[first : first + 1] = struct.pack("b", odds)
    with pytest.raises(CorruptStreamError, match="log-odds that are none"):
        TinyPrior.from_bytes(bytes(data))


def test_sections_in_order_and_once():
    priors = [made_tiny_prior((2, 3)), made_tiny_prior((3, 2)), made_tiny_prior((3, 3))]
    record = section(SECTION_RECORD, b'{"name":"x"}')
    parts = [section(SECTION_TINY, prior.to_bytes()) for prior in priors]
    assert sorted(Codebook.from_bytes(codebook_file(record + b"".join(parts))).tiny) == [
        (2, 3), (3, 2), (3, 3),
    ]  # fmt: skip
    for wrong in (parts[::-1], [parts[0], parts[0]], [parts[1], parts[0], parts[2]]):
        with pytest.raises(CorruptStreamError, match="canonical"):
            Codebook.from_bytes(codebook_file(record + b"".join(wrong)))
    context = section(4, made_prior().to_bytes())
    with pytest.raises(CorruptStreamError, match="canonical"):
        Codebook.from_bytes(codebook_file(record + parts[0] + context))
    with pytest.raises(ScfError):
        Codebook.from_bytes(codebook_file(parts[0]))


def test_sizes():
    assert n_nodes_of(6) == N_CONTEXTS * 32 * 64


# --- training -------------------------------------------------------------------------------------


def test_logarithms():
    table = logarithms()
    exact = 256 * np.log(np.arange(len(table)) + 0.4)
    assert np.abs(table - exact).max() < 0.5001
    assert table[0] == -235


def test_training_pays_and_is_reported():
    book = trained()
    assert list(book.tiny) == [(9, 9)]
    assert not book.priors  # superfluous beside it
    report = book.record["tiny"]["gray8, 9 x 9"]
    assert report["held_out_images"] == 50
    assert report["training_images"] == 200
    assert 10 * report["bytes"] < 9 * report["bytes_of_context_coder"]
    others = figures(40, 9000)
    files = [softcomp_codec.encode(array, codebook=book) for array in others]
    assert all(container.read_header(data).coder == container.TINY for data in files)
    plain = [softcomp_codec.encode(array, codebook=None) for array in others]
    assert 10 * sum(map(len, files)) < 9 * sum(map(len, plain))


def test_what_is_said_of_it():
    summary = codebook_command.summary(trained())
    (entry,) = summary["tiny"].values()
    assert entry["known_states"] == trained().tiny[9, 9].n_known > 0
    lines = dict(codebook_command.facts(trained()))
    assert "known states" in lines["gray8, 9 x 9, tiny coder"]
    assert "bytes" in lines["gray8, 9 x 9, tiny trial"]


def test_order_threads_and_views_do_not_matter():
    images = figures(80)
    first = softcomp_codec.train(images, name="a", holdout=0, options=PRIORS_ONLY)
    again = softcomp_codec.train(
        [np.asfortranarray(array) for array in images[::-1]],
        name="a", holdout=0, options=PRIORS_ONLY, workers=3,
    )  # fmt: skip
    assert first.tiny
    assert first.identifier == again.identifier


def test_inverted_images_cost_the_same():
    """Figures on a white ground are the same as on a black one."""
    images = np.stack(figures(80))
    plain, inverted = train_prior(images), train_prior(255 - images)
    assert (plain.inverted, inverted.inverted) == (False, True)
    for name in ("coefficients", "log_odds", "weights"):
        assert np.array_equal(getattr(plain, name), getattr(inverted, name))
    array = figure(9, 9, 777)
    assert tiny_coder.encode_payload(array, plain) == tiny_coder.encode_payload(
        255 - array, inverted
    )


def test_noise_and_small_sets_teach_nothing():
    with ThreadPoolExecutor(1) as pool:

        def tiny_of(images):
            report = {}
            pairs = [(array, MODES[2 if array.ndim == 3 else 1]) for array in images]
            found = tiny_training.train_tiny_priors(
                pairs, pool=pool, workers=1, progress=lambda *_: None, report=report
            )
            return found, report

        random = [noise((8, 8), 256, seed).astype(np.uint8) for seed in range(FEWEST_IMAGES)]
        found, report = tiny_of(random)
        assert not found
        assert report["gray8, 8 x 8"]["training_images"] == FEWEST_IMAGES
        assert tiny_of(figures(FEWEST_IMAGES - 1)) == ({}, {})
        assert tiny_of([slope(8, 65, seed) for seed in range(FEWEST_IMAGES)]) == ({}, {})
        assert tiny_of([colours(8, 8, seed) for seed in range(FEWEST_IMAGES)]) == ({}, {})


def test_several_sizes_keep_the_context_prior():
    images = figures(70) + figures(70, side=11) + [slope(40, 40, seed) for seed in range(8)]
    book = softcomp_codec.train(images, name="sizes", holdout=0, options=PRIORS_ONLY)
    assert sorted(book.tiny) == [(9, 9), (11, 11)]
    for array in (figure(9, 9, 800), figure(11, 11, 800), slope(40, 40, 800)):
        data = softcomp_codec.encode(array, codebook=book)
        assert np.array_equal(softcomp_codec.decode(data, codebooks=[book]), array)


def test_equal_images_alone():
    """Every prediction is exact, and every decision certain."""
    images = np.stack([figure(8, 8, 1)] * FEWEST_IMAGES)
    prior = train_prior(images)
    payload = tiny_coder.encode_payload(images[0], prior)
    assert len(payload) < 8
    black = train_prior(np.zeros((FEWEST_IMAGES, 1, 64), np.uint8))
    assert len(tiny_coder.encode_payload(np.zeros((1, 64), np.uint8), black)) < 3
