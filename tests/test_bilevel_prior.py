"""Priors of the bilevel coder: the section of a codebook, training, and files that need them."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from made_images import glyphs, noise, slope
from small_codebooks import (
    bilevel_book,
    codebook_file,
    made_bilevel_prior,
    made_prior,
    prior_book,
    section,
)

import softcomp_codec
from softcomp_codec import (
    CodebookNotFoundError,
    bilevel_coder,
    bilevel_training,
    container,
)
from softcomp_codec.bilevel_coder import Context, Settings, n_states, n_weight_rows
from softcomp_codec.bilevel_prior import BilevelPrior
from softcomp_codec.codebook import SECTION_BILEVEL_PRIOR, SECTION_RECORD, Codebook
from softcomp_codec.container import Header
from softcomp_codec.errors import CorruptStreamError, ScfError, TruncatedStreamError
from softcomp_codec.training import TrainingOptions

PRIORS_ONLY = TrainingOptions(train_shapes=False)
KEYS = [(0, 0), (28, 28), (1, 1), (64, 3), (64, 64)]
RECORD = section(SECTION_RECORD, b'{"name":"x"}')


def digit(seed, side=16):
    """A tiny image that resembles the others: one of two letters in the middle, and some dirt."""
    array = np.zeros((side, side), bool)
    rows, columns = np.mgrid[:side, :side]
    centre = side // 2 + int(noise((1,), 3, seed)[0]) - 1
    ring = (rows - centre) ** 2 + (columns - centre) ** 2
    if seed % 2:
        array |= (ring < 26) & (ring > 8)
    else:
        array |= (abs(rows - columns) < 2) & (ring < 40)
    return array ^ (noise((side, side), 60, seed) == 0)


@cache
def trained(what):
    """A codebook of tiny images of one size, or of lines of several, without shapes."""
    if what == "digits":
        images = [digit(seed) for seed in range(120)]
    else:
        images = [glyphs(40, 200 + 3 * seed, seed) for seed in range(24)]
    return softcomp_codec.train(images, name=f"bilevel-{what}", holdout=0, options=PRIORS_ONLY)


# --- the section ----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
def test_section_comes_back(key):
    prior = made_bilevel_prior(key)
    again = BilevelPrior.from_bytes(prior.to_bytes())
    assert again.key == key
    assert again.shape == (None if key == (0, 0) else key)
    assert list(again.contexts) == list(prior.contexts)
    assert again.count_cap == prior.count_cap
    for name in ("used", "log_odds", "count_classes", "weights", "states_table", "weights_table"):
        assert np.array_equal(getattr(again, name), getattr(prior, name))
    assert again.to_bytes() == prior.to_bytes()
    book = bilevel_book(prior)
    assert Codebook.from_bytes(book.to_bytes()).identifier == book.identifier


def test_states_and_weights_are_where_they_should_be():
    contexts = tuple(Context(1 << index, 0, 4) for index in range(5))
    used = np.zeros(n_states(contexts), np.uint8)
    used[128 + 2 * 16 + 3] = 1  # slot 3 of context 2
    rows = n_weight_rows(None)
    weights = np.zeros((rows, 6), np.int16)
    weights[7, 5] = 3
    weights[1, 0] = -2
    prior = BilevelPrior(
        (0, 0), contexts, 5, np.packbits(used), np.array([8], np.int8),
        np.array([15], np.uint8), weights.reshape(-1),
    )  # fmt: skip
    (place,) = np.flatnonzero(prior.states_table != 1 << 31)
    assert place == 163
    state = int(prior.states_table[place])
    assert state & 1023 == 5
    assert abs((state >> 10) / (1 << 22) - 0.731) < 0.001  # 1 / (1 + exp(-1))
    table = prior.weights_table.reshape(rows, 8)
    standard = 34952 // 5
    assert table[0].tolist() == [standard] * 5 + [0, 0, 0]
    assert table[7].tolist() == [standard] * 5 + [768, 0, 0]
    assert table[1, 0] == standard - 512
    stored = prior.to_bytes()[-2 * 6 * rows :]  # by context, then by row
    assert np.frombuffer(stored, "<i2").reshape(6, rows)[5, 7] == 3


def test_truncated_sections():
    data = made_bilevel_prior().to_bytes()
    for length in [*range(100), *range(100, len(data), 97), len(data) - 1]:
        with pytest.raises(TruncatedStreamError):
            BilevelPrior.from_bytes(data[:length])


def test_trailing_bytes():
    with pytest.raises(CorruptStreamError, match="does not end where it should"):
        BilevelPrior.from_bytes(made_bilevel_prior().to_bytes() + b"\0")


def hit(place, value, n_bytes=1):
    data = bytearray(made_bilevel_prior().to_bytes())
    data[place : place + n_bytes] = value.to_bytes(n_bytes, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (hit(0, 5), "images of 0 x 5"),
        (hit(1, 5), "images of 5 x 0"),
        (hit(0, 65 | 65 << 8, 2), "images of 65 x 65"),
        (hit(2, 4), "4 contexts, expected 5 to 15"),
        (hit(2, 16), "16 contexts"),
        (hit(10, 0x80), "a context that is none"),
        (hit(14, 0x10), "a context that is none"),
        (hit(15, 3), "a context that is none"),
        (hit(15, 21), "a context that is none"),
        (hit(68, 0), "count cap of 0"),
    ],
)
def test_heads_that_cannot_be(data, message):
    with pytest.raises(CorruptStreamError, match=message):
        BilevelPrior.from_bytes(data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"log_odds": -64}, "a state that is none"),
        ({"log_odds": 64}, "a state that is none"),
        ({"log_odds": -128}, "a state that is none"),
        ({"count_classes": 16}, "a state that is none"),
        ({"weights": 257}, "a weight is too large"),
        ({"weights": -32768}, "a weight is too large"),
    ],
)
def test_values_that_cannot_be(changes, message):
    prior = made_bilevel_prior()
    for name, value in changes.items():
        array = getattr(prior, name).copy()
        array[-1] = value
        prior = replace(prior, **{name: array})
    with pytest.raises(CorruptStreamError, match=message):
        BilevelPrior.from_bytes(prior.to_bytes())


def test_hostile_sizes():
    """Contexts of 2^22 slots are refused before anything is allocated."""
    head = bytes([0, 0, 15]) + (bytes(12) + bytes([20])) * 15
    with pytest.raises(CorruptStreamError, match="states, expected at most"):
        BilevelPrior.from_bytes(head + bytes([1]))
    head = bytes([0, 0, 5]) + (bytes(12) + bytes([19])) * 5
    with pytest.raises(TruncatedStreamError):
        BilevelPrior.from_bytes(head + bytes([1]) + b"\xff" * 100)


def test_order_of_sections():
    first, second = made_bilevel_prior().to_bytes(), made_bilevel_prior((28, 28)).to_bytes()

    def content(*priors, before=b""):
        sections = (section(SECTION_BILEVEL_PRIOR, data) for data in priors)
        return codebook_file(RECORD + before + b"".join(sections))

    assert Codebook.from_bytes(content(first, second)).kinds == ("bilevel",)
    for priors in ((second, first), (first, first)):
        with pytest.raises(CorruptStreamError, match="canonical form"):
            Codebook.from_bytes(content(*priors))
    gray = section(4, made_prior().to_bytes())
    assert Codebook.from_bytes(content(first, before=gray)).kinds == ("gray8", "bilevel")
    with pytest.raises(CorruptStreamError, match="a part are needed"):
        Codebook.from_bytes(content())


def test_noise_in_sections():
    """Any damage of a prior is found, or it is another prior that decodes something."""
    good = made_bilevel_prior((28, 28)).to_bytes()
    header = Header(container.MODES[0], 28, 28, container.BILEVEL, b"", 0)
    for seed in range(200):
        place, value = noise((2,), 1 << 30, seed).tolist()
        bad = bytearray(good)
        bad[place % (len(good) if seed % 2 else 70)] ^= value % 255 + 1
        try:
            prior = BilevelPrior.from_bytes(bytes(bad))
        except ScfError:
            continue
        assert prior.to_bytes() == bytes(bad)
        if prior.key == (28, 28):
            found, _ = bilevel_coder.decode_payload(b"\x55\xaa\x0f" * 9, header, True, prior)
            assert found.shape == (28, 28)


# --- what fits, and files -------------------------------------------------------------------------


def test_fits():
    book = bilevel_book(made_bilevel_prior((28, 28)))
    fitting = {mode.name for mode in container.MODES.values() if book.fits(mode)}
    assert fitting == {"bilevel", "bilevel, shape (H, W, 1)"}
    assert book.bilevel_prior(28, 28).key == (28, 28)
    assert book.bilevel_prior(28, 29) is None
    both = bilevel_book(made_bilevel_prior(), made_bilevel_prior((28, 28)))
    assert both.bilevel_prior(28, 28).key == (28, 28)
    assert both.bilevel_prior(28, 29).key == (0, 0)
    assert not prior_book(made_prior()).fits(container.MODES[0])


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (27, 28), (1, 1), (90, 80), (300, 200)])
@pytest.mark.parametrize("effort", [1, 5, 9])
def test_priors_of_noise_come_back(shape, effort):
    """What a prior knows may be wrong; the picture is right."""
    book = bilevel_book(made_bilevel_prior(), made_bilevel_prior((28, 28)))
    array = glyphs(*shape[:2]).reshape(shape)
    data = softcomp_codec.encode(array, codebook=book, effort=effort, coder="bilevel")
    found = softcomp_codec.decode(data, codebooks=[book])
    assert found.shape == shape
    assert np.array_equal(found, array)
    prior = book.bilevel_prior(*shape[:2])
    payload = bilevel_coder.encode_payload(array, prior=prior)
    if payload is not None:
        mode = container.MODES[0 if len(shape) == 2 else 4]
        header = Header(mode, shape[1], shape[0], container.BILEVEL, b"", 0)
        found, complete = bilevel_coder.decode_payload(payload, header, prior=prior)
        assert complete
        assert np.array_equal(found, array)


def test_a_prior_that_is_wrong_is_left_out():
    book = bilevel_book(made_bilevel_prior(step=1), made_bilevel_prior((28, 28), step=1))
    for array in (glyphs(28, 28), glyphs(60, 60), glyphs(400, 400)):
        with_it = softcomp_codec.encode(array, codebook=book)
        assert len(with_it) <= len(softcomp_codec.encode(array, codebook=None)) + 20
        assert not container.read_header(with_it).codebook_reference


def test_frozen_priors_stay_as_they_are():
    for prior, array in (
        (made_bilevel_prior((28, 28)), glyphs(28, 28)),
        (made_bilevel_prior(), glyphs(50, 60)),
        (made_bilevel_prior(), glyphs(100, 100)),
    ):
        before = prior.states_table.copy(), prior.weights_table.copy()
        first = bilevel_coder.encode_payload(array, prior=prior)
        assert bilevel_coder.encode_payload(array, prior=prior) == first
        assert np.array_equal(prior.states_table, before[0])
        assert np.array_equal(prior.weights_table, before[1])


def test_positional_payloads_have_no_head():
    prior = made_bilevel_prior((28, 28))
    assert Settings.of_prior(prior).to_byte() == b""
    header = Header(container.MODES[0], 28, 28, container.BILEVEL, b"", 0)
    said = bilevel_coder.describe_payload(b"", header, prior)
    assert said["positional"]
    assert said["frozen"]


def test_settings_of_another_number_of_contexts():
    prior = made_bilevel_prior()
    header = Header(container.MODES[0], 9, 9, container.BILEVEL, b"", 0)
    with pytest.raises(CorruptStreamError, match="6 contexts, expected 5 to 5"):
        bilevel_coder.decode_payload(b"\x06\0\0", header, prior=prior)


# --- training -------------------------------------------------------------------------------------


def test_tiny_images_of_one_size():
    book = trained("digits")
    assert list(book.bilevel_priors) == [(16, 16)]
    assert not book.parts
    held_out = [digit(seed) for seed in range(1000, 1030)]
    files = softcomp_codec.encode_many(held_out, codebook=book)
    without = softcomp_codec.encode_many(held_out, codebook=None)
    assert sum(map(len, files)) < sum(map(len, without)) - 4 * len(files)
    for data, array in zip(files, held_out, strict=True):
        assert np.array_equal(softcomp_codec.decode(data, codebooks=[book]), array)
    assert sum(bool(container.read_header(data).codebook_reference) for data in files) > 20


def test_lines_of_any_size():
    book = trained("lines")
    assert list(book.bilevel_priors) == [(0, 0)]
    for array in (glyphs(41, 300, 77), ~glyphs(41, 300, 77), glyphs(40, 60, 5)):
        with_it = softcomp_codec.encode(array, codebook=book)
        assert len(with_it) < len(softcomp_codec.encode(array, codebook=None))
        assert np.array_equal(softcomp_codec.decode(with_it, codebooks=[book]), array)
        with pytest.raises(CodebookNotFoundError):
            softcomp_codec.decode(with_it)
    again = Codebook.from_bytes(book.to_bytes())
    assert again.identifier == book.identifier
    assert np.array_equal(softcomp_codec.decode(with_it, codebooks=[again]), array)
    embedded = softcomp_codec.encode(array, codebook=book, embed_codebook=True)
    assert np.array_equal(softcomp_codec.decode(embedded), array)


def test_order_and_threads_do_not_matter():
    images = [glyphs(40, 200 + 3 * seed, seed) for seed in range(24)]
    again = softcomp_codec.train(
        images[::-1], name="bilevel-lines", holdout=0, options=PRIORS_ONLY, workers=3
    )
    assert again.identifier == trained("lines").identifier


def test_sizes_and_the_rest():
    """Frequent tiny sizes have priors of their own; gray images do not matter."""
    images = [(digit(seed), container.MODES[0]) for seed in range(70)]
    images += [(glyphs(30, 90 + seed, seed), container.MODES[0]) for seed in range(30)]
    images += [(slope(16, 16, seed), container.MODES[1]) for seed in range(3)]
    report = {}
    with ThreadPoolExecutor(2) as pool:
        priors = bilevel_training.train_bilevel_priors(
            images, pool=pool, workers=2, progress=lambda *_: None, report=report
        )
    assert set(priors) <= {(0, 0), (16, 16)}
    assert set(report) == {"bilevel images of any size", "bilevel images of 16 x 16"}
    for label, entry in report.items():
        assert entry["chosen_bytes"] == min(entry["bytes"].values()) or not entry["parts"], label


def test_noise_teaches_nothing():
    images = [noise((20, 24), 2, seed) == 1 for seed in range(8)]
    with pytest.raises(ValueError, match="teach nothing"):
        softcomp_codec.train(images, name="noise", holdout=0, options=PRIORS_ONLY)


def test_one_image_is_too_few():
    with pytest.raises(ValueError, match="teach nothing"):
        softcomp_codec.train([glyphs(90, 90)], name="one", holdout=0, options=PRIORS_ONLY)


def test_large_images_are_cut(monkeypatch):
    monkeypatch.setattr(bilevel_training, "SMALLEST_CROP", 1000)
    monkeypatch.setattr(bilevel_training, "TRAINING_PIXELS", 4000)
    with ThreadPoolExecutor(1) as pool:
        trainer = bilevel_training.PriorTrainer((0, 0), pool, 1, lambda *_: None)
        arrays = [~glyphs(90, 50, seed) for seed in range(4)]
        pictures = trainer.pictures(arrays)
    assert [picture.shape for picture in pictures] == [(20, 50)] * 4
    assert np.array_equal(pictures[0] == 0, arrays[0][35:55])


# --- the command line -----------------------------------------------------------------------------


def test_show_and_info(tmp_path, monkeypatch):
    monkeypatch.setenv("SOFTCOMP_CODEBOOK_PATH", str(tmp_path))
    testing = pytest.importorskip("typer.testing")
    cli = pytest.importorskip("softcomp_codec.cli.app")
    app, runner = cli.build_app(), testing.CliRunner()
    for what, array in (("digits", digit(2000)), ("lines", glyphs(40, 300, 78))):
        book = trained(what)
        book.save(tmp_path / f"{what}.scfb")
        shown = runner.invoke(app, ["codebook", "show", str(tmp_path / f"{what}.scfb")])
        assert shown.exit_code == 0
        assert "bilevel coder" in shown.output
        shown = runner.invoke(app, ["codebook", "show", str(tmp_path / f"{what}.scfb"), "--json"])
        (prior,) = json.loads(shown.output)["bilevel_priors"].values()
        assert prior["known_states"] > 0
        data = softcomp_codec.encode(array, codebook=book)
        (tmp_path / "a.scf").write_bytes(data)
        (tmp_path / "b.scf").write_bytes(softcomp_codec.encode(array, codebook=None))
        said = runner.invoke(app, ["info", "--json", str(tmp_path / "a.scf")])
        assert said.exit_code == 0
        details = json.loads(said.output)["details"]
        assert details["positional"] == (what == "digits")
        assert details["prior"]
        text = runner.invoke(app, ["info", str(tmp_path / "a.scf")]).output
        assert "the codebook's" in text
        text = runner.invoke(app, ["info", str(tmp_path / "b.scf")]).output
        assert "neutral" in text
        refused = runner.invoke(app, ["explain", str(tmp_path / "a.scf")])
        assert refused.exit_code != 0
