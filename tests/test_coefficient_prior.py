"""The prior of pictures that were JPEGs once: its bytes, what it does, training it (SPEC 6.9)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from made_images import decoded_jpeg, made_past, slope
from small_codebooks import (
    ODD_TABLE,
    bundle,
    codebook_file,
    made_coefficient_prior,
    made_prior,
    prior_book,
    section,
)

import softcomp_codec
from softcomp_codec import coefficient_coder, coefficient_training, container, jpeg_past_coder
from softcomp_codec.cli import codebook as codebook_command
from softcomp_codec.codebook import SECTION_FEW_COLOUR, SECTION_JPEG_PASTS, SECTION_RECORD, Codebook
from softcomp_codec.coefficient_prior import MAX_PASTS, CoefficientPrior, by_nodes
from softcomp_codec.container import MODES, Header
from softcomp_codec.context_prior import COUNT_CLASSES
from softcomp_codec.errors import (
    CodebookNotFoundError,
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
)
from softcomp_codec.jpeg_recovery import Recovered
from softcomp_codec.training import TrainingOptions

PRIORS_ONLY = TrainingOptions(train_shapes=False)


def book_of(*priors, name="pasts"):
    return Codebook({"name": name}, {}, jpeg_pasts={prior.key: prior for prior in priors})


def picture_of(seed, *, colour=True, past=None):
    """A picture that was a JPEG once; those of a set are alike."""
    return decoded_jpeg(past or made_past((1, 1) if colour else None, (0, 0), 80), 80, 96, seed)[0]


@cache
def trained(colour=True, n_images=12):
    return softcomp_codec.train(
        [picture_of(seed, colour=colour) for seed in range(n_images)],
        name="once", holdout=0, options=PRIORS_ONLY,
    )  # fmt: skip


@pytest.mark.parametrize("n_components", [1, 3])
@pytest.mark.parametrize("weights", [False, True])
def test_serialisation(n_components, weights):
    prior = made_coefficient_prior(n_components, weights=weights)
    again = CoefficientPrior.from_bytes(prior.to_bytes())
    assert again.to_bytes() == prior.to_bytes()
    assert again.pasts == prior.pasts
    assert again.tables == (ODD_TABLE,)
    assert np.array_equal(again.states_table, prior.states_table)
    assert (again.weights_table is None) == (not weights)
    book = book_of(prior)
    found = Codebook.from_bytes(book.to_bytes())
    assert found.identifier == book.identifier
    assert found.kinds == ("gray8" if n_components == 1 else "rgb8",)
    for mode in MODES.values():
        serves = mode.identifier in ((1, 3) if n_components == 1 else (2,))
        assert found.fits(mode) == serves
        assert (found.jpeg_past_prior(mode) is not None) == serves


def test_states_are_where_their_bits_say():
    """Nodes by context become contexts by node, each state once."""
    for n_components in (1, 3):
        n_states = coefficient_coder.n_states(n_components)
        places = by_nodes(np.arange(n_states), n_components)
        assert np.array_equal(np.sort(places), np.arange(n_states))
        for bit in (5, 77_777, n_states - 3):
            used = np.zeros(n_states, np.uint8)
            used[bit] = 1
            prior = replace(
                made_coefficient_prior(n_components), used=np.packbits(used),
                log_odds=np.array([20], np.int8), count_classes=np.array([3], np.uint8),
            )  # fmt: skip
            table = prior.states_table
            assert np.flatnonzero(table != coefficient_coder.NEUTRAL).tolist() == [places[bit]]
            assert table[places[bit]] & 1023 == COUNT_CLASSES[3]


@pytest.mark.parametrize("n_components", [1, 3])
def test_round_trips(n_components):
    for seed, sampling in enumerate(((1, 1), (1, 2), (2, 2), (2, 1))):
        past = made_past(sampling if n_components == 3 else None, (seed, 5), 60 + seed)
        past = replace(past, tables=(past.tables[0], *(ODD_TABLE,) * (n_components - 1)))
        array, coefficients = decoded_jpeg(past, 33, 41, seed)
        boxes = [
            (np.zeros(shape, np.int32), np.full(shape, 255, np.int32))
            for shape in (past.component_shape(i, 33, 41) for i in range(n_components))
        ]
        recovered = Recovered(past, coefficients, boxes, (1.0,) * n_components)
        prior = made_coefficient_prior(n_components, seed=seed)
        payload = jpeg_past_coder.write_payload(array, recovered, prior)
        header = Header(MODES[1 if n_components == 1 else 2], 41, 33, container.JPEG_PAST, b"", 0)
        found, complete = jpeg_past_coder.decode_payload(payload, header, prior=prior)
        assert complete
        assert np.array_equal(found.reshape(array.shape), array)
        facts = jpeg_past_coder.describe_payload(payload, header, prior)
        assert facts["tables"] == [list(table) for table in past.tables]
        if n_components == 3:
            with pytest.raises(CorruptStreamError, match="the codebook has 0"):
                jpeg_past_coder.decode_payload(payload, header)


@pytest.mark.parametrize("colour", [False, True])
def test_training_pays_and_is_reported(colour):
    book = trained(colour)
    (prior,) = book.jpeg_pasts.values()
    assert prior.n_components == (3 if colour else 1)
    assert len(prior.pasts) == 1
    report = book.record["priors"][prior.label]
    assert report["chosen_bytes"] == min(report["bytes"].values())
    assert 10 * report["chosen_bytes"] < 9 * report["bytes"]["untrained"]
    array = picture_of(777, colour=colour)
    data = softcomp_codec.encode(array, codebook=book)
    header = container.read_header(data)
    assert header.coder == container.JPEG_PAST
    assert header.codebook_reference == book.identifier[:8]
    assert np.array_equal(softcomp_codec.decode(data, codebooks=[book]), array)
    payload = container.read_file(data)[1]
    assert jpeg_past_coder.describe_payload(payload, header, prior)["prior"]
    assert 100 * len(data) < 95 * len(softcomp_codec.encode(array, codebook=None))
    with pytest.raises(CodebookNotFoundError):
        softcomp_codec.decode(data)
    summary = codebook_command.summary(book)["jpeg_pasts"][prior.label]
    assert summary["known_states"] == len(prior.log_odds) > 0
    lines = dict(codebook_command.facts(book))
    assert "usual JPEG" in lines[prior.label]
    assert "bytes" in lines[f"{prior.label}, trial"]


def test_a_prior_that_does_not_pay_is_left_out():
    array = picture_of(5)
    data = softcomp_codec.encode(array, codebook=book_of(made_coefficient_prior(step=1)))
    assert container.read_header(data).codebook_reference == b""
    assert data == softcomp_codec.encode(array, codebook=None)


def test_auto_finds_the_codebook(monkeypatch):
    others = [
        prior_book(made_prior((8, 3, 0)), name="without"),
        book_of(made_coefficient_prior(step=1), name="of noise"),
        book_of(made_coefficient_prior(1), name="gray"),
    ]
    bundle(monkeypatch, [others[0], trained(), *others[1:]])
    for effort in (1, 5):
        data = softcomp_codec.encode(picture_of(600 + effort), effort=effort)
        assert container.read_header(data).codebook_reference == trained().identifier[:8]
        assert np.array_equal(softcomp_codec.decode(data), picture_of(600 + effort))
    bundle(monkeypatch, others)
    data = softcomp_codec.encode(picture_of(700))
    assert data == softcomp_codec.encode(picture_of(700), codebook=None)


@pytest.mark.parametrize(
    ("share", "scale", "n_codes"),
    [(1 << 20, 1 << 20, 2), (1 << 20, 0, 1), (0, 0, 2)],
    ids=["small", "clear", "unclear"],
)
def test_large_pictures_are_coded_once_where_a_part_tells_enough(
    monkeypatch, share, scale, n_codes
):
    """Elsewhere with the prior and without; the file is the same here, where the prior pays."""
    array = picture_of(810)
    expected = softcomp_codec.encode(array, codebook=trained(), coder="jpeg-past")
    whole = []
    encode_coefficients = coefficient_coder.encode_coefficients

    def note(blocks, tables, sampling, prior):
        if blocks[0].shape[0] * 8 >= array.shape[0]:
            whole.append(prior is not None)
        return encode_coefficients(blocks, tables, sampling, prior)

    monkeypatch.setattr(jpeg_past_coder, "LARGE_TRIAL", scale)
    monkeypatch.setattr(jpeg_past_coder, "TRIAL_BLOCKS", 24)
    monkeypatch.setattr(jpeg_past_coder, "CLEAR_SHARE", share)
    monkeypatch.setattr(coefficient_coder, "encode_coefficients", note)
    assert softcomp_codec.encode(array, codebook=trained(), coder="jpeg-past") == expected
    assert len(whole) == n_codes
    assert whole.count(True) == 1


def test_frames():
    arrays = [picture_of(seed) for seed in (800, 801)] + [np.zeros((80, 96, 3), np.uint8)]
    data = softcomp_codec.encode_frames(arrays, codebook=trained())
    frames = container.read_header(data).frames
    assert [frame.coder for frame in frames[:2]] == [container.JPEG_PAST] * 2
    found = softcomp_codec.decode_frames(data, codebooks=[trained()])
    assert all(np.array_equal(a, b) for a, b in zip(found, arrays, strict=True))


def test_order_threads_and_views_do_not_matter():
    images = [picture_of(seed) for seed in range(12)]
    again = softcomp_codec.train(
        [np.asfortranarray(array) for array in images[::-1]],
        name="once", holdout=0, options=PRIORS_ONLY, workers=3,
    )  # fmt: skip
    assert again.identifier == trained().identifier


def test_images_coded_by_their_past_teach_no_other_prior():
    assert not trained().priors
    assert not trained(colour=False).priors
    mixed = [picture_of(seed, colour=False) for seed in range(8)]
    mixed += [slope(80, 96, seed) for seed in range(4)]
    book = softcomp_codec.train(mixed, name="mixed", holdout=0, options=PRIORS_ONLY)
    assert book.jpeg_pasts
    assert "gray8" in book.record["priors"]


def test_parts_of_the_trial_are_trained_again(monkeypatch):
    """The images held out teach the final prior too; each image is searched once."""
    n_searched = []
    recover_past = jpeg_past_coder.recover_past

    def counting(*arguments):
        n_searched.append(1)
        return recover_past(*arguments)

    monkeypatch.setattr(jpeg_past_coder, "recover_past", counting)
    images = [picture_of(seed) for seed in range(12)]
    book = softcomp_codec.train(images, name="once", holdout=0.25, options=PRIORS_ONLY)
    encodings = 2 * book.record["report"]["images"]  # with and without the codebook
    assert len(n_searched) == len(images) + encodings
    (prior,) = book.jpeg_pasts.values()
    (without_report,) = trained().jpeg_pasts.values()
    entry = book.record["priors"][prior.label]
    assert entry["parts"] == prior.part_names
    assert entry["training_images"] == entry["searched_images"] == 12
    assert np.array_equal(prior.used, without_report.used)
    assert np.array_equal(prior.log_odds, without_report.log_odds)


def test_sets_without_pasts_teach_nothing():
    with ThreadPoolExecutor(1) as pool:

        def priors_of(images):
            pairs = [(array, MODES[1 if array.ndim == 2 else 2]) for array in images]
            return coefficient_training.train_coefficient_priors(
                pairs, pool=pool, progress=lambda *_: None, report={}
            )

        photographs = [slope(80, 96, seed) for seed in range(12)]
        assert not priors_of(photographs)
        assert not priors_of([picture_of(seed) for seed in range(3)])
        assert not priors_of([slope(20, 20, seed) for seed in range(50)])
        assert not priors_of([*photographs, *(picture_of(s, colour=False) for s in range(3))])
        assert not priors_of([])


# --- hostile ones ---------------------------------------------------------------------------------


def test_truncated_and_extended_sections():
    data = made_coefficient_prior(1, step=1000).to_bytes()
    for length in [*range(150), *range(150, len(data), 4999), len(data) - 1]:
        with pytest.raises((TruncatedStreamError, CorruptStreamError)):
            CoefficientPrior.from_bytes(data[:length])
    with pytest.raises(CorruptStreamError, match="2 bytes follow"):
        CoefficientPrior.from_bytes(data + b"\0\0")


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, 0, "0 components"),
        (0, 2, "2 components"),
        (0, 255, "255 components"),
        (1, MAX_PASTS + 1, "17 pasts"),
        (2, 1, "flags"),
        (2, 0x40, "flags"),
        (2, 2, "subsampling"),
        (3, 8, "phase 8"),
        (5, 201, "quantiser table 201"),
        (6, 0, "count cap of 0"),
    ],
)
def test_heads_that_cannot_be(offset, value, message):
    prior = made_coefficient_prior(1, step=1000, pasts=(made_past(None, (1, 2), 80),))
    data = bytearray(prior.to_bytes())
    data[offset] = value
    with pytest.raises(CorruptStreamError, match=message):
        CoefficientPrior.from_bytes(bytes(data))


@pytest.mark.parametrize(("odds", "count"), [(64, 0), (-64, 0), (-128, 0), (0, 16), (0, 255)])
def test_states_that_cannot_be(odds, count):
    prior = made_coefficient_prior(1, step=1000, weights=False)
    bad = replace(
        prior, log_odds=np.full_like(prior.log_odds, odds),
        count_classes=np.full_like(prior.count_classes, count),
    )  # fmt: skip
    with pytest.raises(CorruptStreamError, match="a state that is none"):
        CoefficientPrior.from_bytes(bad.to_bytes())


def test_weights_that_cannot_be():
    data = made_coefficient_prior(1, step=1000, weights=False).to_bytes()
    assert data[-1] == 0
    with pytest.raises(CorruptStreamError, match="2 sets of weights"):
        CoefficientPrior.from_bytes(data[:-1] + b"\2")
    with pytest.raises(TruncatedStreamError, match="weights"):
        CoefficientPrior.from_bytes(data[:-1] + b"\1")


def test_sections_in_order_and_once():
    record = section(SECTION_RECORD, b'{"name":"x"}')
    parts = [
        section(SECTION_JPEG_PASTS, made_coefficient_prior(n, step=1000).to_bytes()) for n in (1, 3)
    ]
    assert sorted(Codebook.from_bytes(codebook_file(record + b"".join(parts))).jpeg_pasts) == [1, 3]
    for wrong in (parts[::-1], [parts[0], parts[0]]):
        with pytest.raises(CorruptStreamError, match="canonical"):
            Codebook.from_bytes(codebook_file(record + b"".join(wrong)))
    context = section(4, made_prior().to_bytes())
    with pytest.raises(CorruptStreamError, match="canonical"):
        Codebook.from_bytes(codebook_file(record + parts[0] + context))
    with pytest.raises(ScfError):
        Codebook.from_bytes(codebook_file(record + section(SECTION_FEW_COLOUR, b"") + parts[0]))
    # libjpeg's table written out is another serialisation of the same past
    table = made_past(None, (0, 0), 80).tables[0]
    plain = made_coefficient_prior(1, step=1000, pasts=(made_past(None, (0, 0), 80),)).to_bytes()
    written = plain[:5] + b"\xfe" + bytes(table) + plain[6:]
    with pytest.raises(CorruptStreamError, match="canonical"):
        Codebook.from_bytes(codebook_file(record + section(SECTION_JPEG_PASTS, written)))
