"""Priors of the context coder: the section of a codebook, training, and files that need them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import reference_decoder
from file_builder import file_of
from made_images import image, jpeg_colours, noise, slope, typical
from reference_decoder_context_prior import read_prior
from small_codebooks import (
    GRAY,
    bundle,
    codebook_file,
    made_full_prior,
    made_prior,
    prior_book,
    section,
)

import softcomp_codec
from softcomp_codec import (
    CodebookNotFoundError,
    coder_choice,
    container,
    context_coder,
    context_training,
    planes,
    prior_choice,
)
from softcomp_codec.codebook import SECTION_PRIOR, SECTION_RECORD, Codebook
from softcomp_codec.container import Header, read_header
from softcomp_codec.context_coder import PRIOR_CONTEXTS, SLOTS, Model
from softcomp_codec.context_prior import (
    LATER,
    ContextPrior,
    n_full_weights,
    n_prior_nodes,
)
from softcomp_codec.context_tables import tables
from softcomp_codec.errors import CorruptStreamError, ScfError, UnsupportedStreamError
from softcomp_codec.kernels.context_kernels import LINE
from softcomp_codec.training import TrainingOptions

ARRAYS = (
    "least_squares", "filters", "used", "log_odds", "count_classes", "weights", "later_used",
    "later_log_odds", "full_weights",
)  # fmt: skip
PRIORS_ONLY = TrainingOptions(low_bits=8, max_side=1, n_candidates=0, max_shapes=0)
MODES = ("gray8", "gray16", "rgb8", "rgba8")


def textured(height, width, seed):
    """A smooth texture that is much alike in all images, int64 0..255."""
    grain = noise((height + 8, width + 8), 40, seed).astype(np.int64)
    for _ in range(2):
        grain = (2 * grain + np.roll(grain, 1, 0) + 3 * np.roll(grain, 1, 1)) // 3
    rows, columns = np.mgrid[:height, :width]
    return (grain[4:-4, 4:-4] // 3 + 2 * rows + columns) % 256


def picture(mode, seed, side=48):
    """An image of one of `MODES`."""
    first = textured(side, side, seed)
    if mode == "gray8":
        return first.astype(np.uint8)
    if mode == "gray16":
        return (first * 37 + noise((side, side), 16, seed)).astype(np.uint16)
    others = [(first + noise((side, side), 5, seed + i)) % 256 for i in (1, 2)]
    if mode == "rgba8":
        others.append(255 - (first > 128) * 100)
    return np.stack([first, *others], axis=2).astype(np.uint8)


@cache
def trained(mode):
    """A codebook with a prior for a mode, and without shapes."""
    pictures = [picture(mode, seed) for seed in range(8)]
    return softcomp_codec.train(pictures, name=f"prior-{mode}", holdout=0, options=PRIORS_ONLY)


def coder_of(data):
    return container.read_header(data).coder


# --- the section ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", [GRAY, (8, 2, 0), (8, 3, 3), (8, 3, 4), (8, 4, 0), (16, 1, 0), (16, 3, 3)]
)
def test_section_comes_back(key):
    prior = made_full_prior(key)
    again = ContextPrior.from_bytes(prior.to_bytes())
    assert again.key == key
    for name in (*ARRAYS, "paces", "count_cap", "count_limit"):
        assert np.array_equal(getattr(again, name), getattr(prior, name))
    for name in ("states_table", "later_states_table", "weights_table", "full_weights_table"):
        assert np.array_equal(getattr(again, name), getattr(prior, name))
    assert again.to_bytes() == prior.to_bytes()
    book = prior_book(prior)
    assert Codebook.from_bytes(book.to_bytes()).identifier == book.identifier


@pytest.mark.parametrize("part", ["least_squares", "filters", "weights"])
def test_single_parts(part):
    prior = replace(ContextPrior(*GRAY), **{part: getattr(made_prior(), part)})
    again = ContextPrior.from_bytes(prior.to_bytes())
    assert [again.has_least_squares, again.has_filters, again.has_states, again.has_weights] == [
        part == name for name in ("least_squares", "filters", "states", "weights")
    ]


def test_states_are_where_their_bits_say():
    """Bits go by context, kind of plane, node and slot; the kernel's states by slot and node."""
    key = (8, 3, 3)
    used = np.zeros(n_prior_nodes(key), np.uint8)
    slots = SLOTS[0]
    kind, node, slot = 1, 5, 7
    used[(kind * 32 + node) * slots + slot] = 1
    prior = ContextPrior(
        *key, count_cap=5, used=np.packbits(used),
        log_odds=np.array([8], np.int8), count_classes=np.array([15], np.uint8),
    )  # fmt: skip
    (place,) = np.flatnonzero(prior.states_table != 1 << 31)
    assert place == (kind * slots + slot) * 32 + node
    state = int(prior.states_table[place])
    assert state & 1023 == 5
    assert abs((state >> 10) / (1 << 22) - 0.731) < 0.001  # 1 / (1 + exp(-1))


def states_by_node(model):
    """Return a model's states by slot and node; in memory the frequent nodes come first."""
    flat = model.states.reshape(-1)
    slots = np.arange(model.states.shape[1], dtype=np.uint64) * np.uint64(LINE)
    return flat[slots[:, None] + model.steps].reshape(-1)


@pytest.mark.parametrize("wide", [False, True])
def test_every_state_has_a_place_of_its_own(wide):
    model = Model(3, 2, wide=wide)
    model.states[:] = np.arange(model.states.size).reshape(model.states.shape)
    assert np.array_equal(np.sort(states_by_node(model)), np.arange(model.states.size))
    assert model.states.ctypes.data % (4 * LINE) == 0


def test_states_of_later_contexts():
    """They follow those of the first ones in the kernel, and start with the count cap."""
    key = (8, 3, 3)
    used = np.zeros(n_prior_nodes(key, LATER), np.uint8)
    before = SLOTS[7] * 3 * 32
    kind, node, slot = 2, 4, 9
    used[before + (kind * 32 + node) * SLOTS[8] + slot] = 1
    prior = replace(
        made_full_prior(key), later_used=np.packbits(used), later_log_odds=np.array([-2], np.int8)
    )
    for n_contexts in (1, 7, 8, 9, 15):
        model = Model(n_contexts, 3, wide=False, prior=prior)
        states = states_by_node(model)
        (places,) = np.nonzero(states[n_prior_nodes(key) :] != 1 << 31)
        assert places.tolist() == [before + (kind * SLOTS[8] + slot) * 32 + node] * (n_contexts > 8)
        first = prior.states_table[: sum(SLOTS[: min(n_contexts, 7)]) * 3 * 32]
        assert np.array_equal(states[: len(first)], first)
    state = int(states[n_prior_nodes(key) + places[0]])
    assert state & 1023 == prior.count_cap
    assert abs((state >> 10) / (1 << 22) - 0.269) < 0.001  # 1 / (1 + exp(1))


@pytest.mark.parametrize("n_contexts", range(1, 16))
def test_parts_by_contexts(n_contexts):
    """Weights are for 7 contexts, full ones with their paces and count limit for 15."""
    prior = made_full_prior()
    model = Model(n_contexts, 1, wide=False, prior=prior)
    plain = Model(n_contexts, 1, wide=False)
    weights = {7: prior.weights_table, 15: prior.full_weights_table}.get(n_contexts, plain.weights)
    assert np.array_equal(model.weights, weights)
    learning = ((3, 20 << 12), 200) if n_contexts == 15 else (plain.paces, plain.count_limit)
    assert (model.paces, model.count_limit) == learning
    names = prior.part_names_for(n_contexts, summed=False)
    assert ("weights" in names) == (n_contexts == 7)
    assert ("weights of 15 contexts" in names) == (n_contexts == 15)
    assert ("states of contexts 7 to 14" in names) == (n_contexts > 7)
    assert "states up to count 30" in names


@pytest.mark.parametrize("n_contexts", range(4, 13))
def test_parts_where_log_odds_add_up(n_contexts):
    """States count a quarter, with rates by what they have seen; weights are not used."""
    prior = made_full_prior()
    model = Model(n_contexts, 1, wide=False, summed=True, prior=prior)
    mixed = Model(n_contexts, 1, wide=False, prior=prior)
    summed, known = model.states.astype(np.int64), mixed.states.astype(np.int64)
    summed = np.where(summed >= 1 << 31, summed - (1 << 32), summed)
    counts = known & 1023
    rates = np.where(counts == 0, 1696, np.maximum(600, 1696 - 45 * counts))
    assert np.array_equal((summed & 4095)[:, :-1], rates[:, :-1])
    stretch = tables().stretch.astype(np.int64)
    assert np.array_equal((summed >> 12)[:, :-1], 64 * stretch[known >> 20][:, :-1])
    assert not summed[:, -1].any()
    assert np.array_equal(model.filters, mixed.filters)
    assert np.array_equal(model.least_squares, mixed.least_squares)
    names = prior.part_names_for(n_contexts, summed=True)
    assert "weights" not in names
    assert ("states of contexts 7 to 14" in names) == (n_contexts > 7)


@pytest.mark.parametrize("effort", [3, 5, 8])
def test_priors_of_images_whose_log_odds_add_up(effort):
    array = slope(40, 50)
    mode = planes.mode_of_array(array)
    priors = {0: made_full_prior()}
    payload = context_coder.encode_payload(array, mode, effort=effort, priors=priors, summed=True)
    header = Header(mode, 50, 40, container.CONTEXT, b"", 0)
    found, complete = context_coder.decode_payload(payload, header, priors=priors)
    assert complete
    assert np.array_equal(found, array)


def test_a_section_without_the_later_parts_is_as_before():
    """Codebooks of before keep their bytes, so their IDs."""
    data = made_prior().to_bytes()
    assert data[3] == 15
    assert made_full_prior().to_bytes()[: len(data)] == data[:3] + bytes([63]) + data[4:]
    again = ContextPrior.from_bytes(data)
    assert not again.has_later_states
    assert not again.has_full_weights


def test_sizes():
    assert n_prior_nodes((8, 3, 3)) == sum(SLOTS[:PRIOR_CONTEXTS]) * 3 * 32
    assert n_prior_nodes((8, 3, 3), LATER) == sum(SLOTS[PRIOR_CONTEXTS:]) * 3 * 32
    assert n_prior_nodes((16, 1, 0)) == sum(SLOTS[:PRIOR_CONTEXTS]) * 48


def test_truncated_sections():
    data = made_full_prior().to_bytes()
    for length in [*range(40), *range(40, len(data), 997), len(data) - 1]:
        with pytest.raises(ScfError):
            ContextPrior.from_bytes(data[:length])


def test_trailing_bytes():
    with pytest.raises(CorruptStreamError, match="1 bytes follow its last part"):
        ContextPrior.from_bytes(made_full_prior().to_bytes() + b"\0")


@pytest.mark.parametrize(
    "head", [(1, 1, 0, 1), (8, 0, 0, 1), (8, 5, 0, 1), (9, 1, 0, 1), (255,) * 4]
)
def test_images_that_are_unknown(head):
    with pytest.raises(UnsupportedStreamError, match="are unknown"):
        ContextPrior.from_bytes(bytes(head) + bytes(10_000))


@pytest.mark.parametrize(
    "head",
    [
        (8, 1, 3, 1),
        (8, 3, 1, 1),
        (16, 3, 4, 1),
        (8, 1, 0, 0),
        (8, 1, 0, 16),
        (8, 1, 0, 49),
        (8, 1, 0, 64),
        (8, 1, 0, 128),
        (8, 1, 0, 255),
    ],
)
def test_heads_that_cannot_be(head):
    with pytest.raises(CorruptStreamError, match="colour transform"):
        ContextPrior.from_bytes(bytes(head) + bytes(10_000))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count_cap": 0}, "count cap of 0"),
        ({"log_odds": -64}, "a state that is none"),
        ({"log_odds": 64}, "a state that is none"),
        ({"log_odds": -128}, "a state that is none"),
        ({"count_classes": 16}, "a state that is none"),
        ({"weights": 4097}, "a weight is too large"),
        ({"weights": -32768}, "a weight is too large"),
        ({"later_log_odds": 16}, "a state that is none"),
        ({"later_log_odds": -16}, "a state that is none"),
        ({"later_log_odds": -128}, "a state that is none"),
        ({"paces": (16, 0)}, "paces 16, 0, count limit 200"),
        ({"paces": (0, 64)}, "paces 0, 64, count limit 200"),
        ({"count_limit": 0}, "paces 3, 20, count limit 0"),
        ({"full_weights": 123}, "a weight of 15 contexts is too large"),
        ({"full_weights": 127}, "a weight of 15 contexts is too large"),
    ],
)
def test_values_that_cannot_be(changes, message):
    prior = made_full_prior()
    for name, value in changes.items():
        array = getattr(prior, name)
        if name in ARRAYS:
            value_ = array.copy()
            value_[-1 if name == "weights" else 3] = value
            value = value_  # noqa: PLW2901
        prior = replace(prior, **{name: value})
    with pytest.raises(CorruptStreamError, match=message):
        ContextPrior.from_bytes(prior.to_bytes())


RECORD = section(SECTION_RECORD, b'{"name":"x"}')


def test_hostile_sizes():
    """A section that claims more than is there allocates nothing."""
    used = b"\xff" * (n_prior_nodes(GRAY) // 8)
    with pytest.raises(ScfError):
        ContextPrior.from_bytes(bytes([*GRAY, 4, 60]) + used)
    later = b"\xff" * (n_prior_nodes(GRAY, LATER) // 8)
    with pytest.raises(ScfError):
        ContextPrior.from_bytes(bytes([*GRAY, 20, 60]) + bytes(len(used)) + later)
    claim = RECORD + bytes([SECTION_PRIOR]) + container.write_varint(1 << 25) + bytes([8, 1, 0, 1])
    with pytest.raises(ScfError):
        Codebook.from_bytes(codebook_file(claim))


def test_the_reference_decoder_reads_priors_too():
    """Both readers accept the same sections, and refuse the same."""
    for key in (GRAY, (8, 3, 4), (16, 1, 0)):
        good = made_full_prior(key).to_bytes()
        assert read_prior(good).key == key
        learning = len(good) - n_full_weights(key) - 3
        places = [*range(8), *range(learning - 2, learning + 5), len(good) - 1]
        for place in [*places, *noise((40,), len(good)).tolist()]:
            bad = bytearray(good)
            bad[place] ^= 0x55
            try:
                ContextPrior.from_bytes(bytes(bad))
            except ScfError:
                with pytest.raises(reference_decoder.SpecError):
                    read_prior(bytes(bad))
            else:
                read_prior(bytes(bad))


@pytest.mark.parametrize("effort", [1, 4, 5, 6, 9])
@pytest.mark.parametrize("mode", MODES)
def test_the_reference_decoder_decodes_with_priors(mode, effort):
    array = picture(mode, 109, 22)
    header, payload = coded(array, trained(mode), effort)
    check_by_the_reference_decoder(array, header, payload, trained(mode))


@pytest.mark.parametrize("key", [GRAY, (8, 2, 0), (8, 3, 4), (8, 4, 4), (16, 1, 0), (16, 4, 3)])
def test_the_reference_decoder_decodes_with_any_prior(key):
    shape = (18, 17) if key[1] == 1 else (18, 17, key[1])
    array = typical(shape, np.uint8)
    if key[0] == 16:
        array = array.astype(np.uint16) * np.uint16(97)
    if key[2] == planes.LATTICE:
        array[:, :, :3] = jpeg_colours(18, 17)
    book = prior_book(made_full_prior(key, n_known=30_000))
    for effort in (5, 7, 9):
        check_by_the_reference_decoder(array, *coded(array, book, effort), book)


def coded(array, book, effort):
    """The header and payload of an image that starts with a prior, whether or not it pays."""
    mode = planes.mode_of_array(array)
    priors = book.context_priors(mode)
    payload = context_coder.encode_payload(array, mode, effort=effort, priors=priors)
    assert context_coder.transform_of(payload) in priors
    plain = context_coder.encode_payload(array, mode, effort=effort)
    assert plain != payload
    return read_header(file_of(array, payload, coder=container.CONTEXT, book=book)), payload


def check_by_the_reference_decoder(array, header, payload, book):
    data = container.write_file(header, payload)
    assert np.array_equal(softcomp_codec.decode(data, codebooks=[book]), array)
    picture = reference_decoder.decode(data, [book.to_bytes()])
    assert picture.samples == planes.canonical_samples(array, header.mode)
    missing = container.write_file(replace(header, codebook_reference=b""), payload)
    with pytest.raises(reference_decoder.SpecError):
        reference_decoder.decode(missing, [])


def test_order_of_sections():
    gray, colour = made_prior().to_bytes(), made_prior((8, 3, 3)).to_bytes()

    def content(*priors):
        return codebook_file(RECORD + b"".join(section(SECTION_PRIOR, data) for data in priors))

    assert Codebook.from_bytes(content(gray, colour)).kinds == ("gray8", "rgb8")
    for priors in ((colour, gray), (gray, gray)):
        with pytest.raises(CorruptStreamError, match="canonical form"):
            Codebook.from_bytes(content(*priors))
    with pytest.raises(CorruptStreamError, match="a part are needed"):
        Codebook.from_bytes(content())


# --- what fits, and files -------------------------------------------------------------------------


def test_fits():
    book = prior_book(made_prior((16, 1, 0)))
    fitting = {mode.name for mode in container.MODES.values() if book.fits(mode)}
    assert fitting == {"gray16", "gray16, shape (H, W, 1)"}
    assert book.kinds == ("gray16",)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("side", [48, 300])
def test_files_need_their_codebook(mode, side):
    book = trained(mode)
    array = picture(mode, 100, side)
    without = softcomp_codec.encode(array, codebook=None)
    data = softcomp_codec.encode(array, codebook=book)
    assert len(data) < len(without)
    assert coder_of(data) == container.CONTEXT
    assert container.read_header(data).codebook_reference
    found = softcomp_codec.decode(data, codebooks=[book])
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)
    again = Codebook.from_bytes(book.to_bytes())
    assert np.array_equal(softcomp_codec.decode(data, codebooks=[again]), array)
    with pytest.raises(CodebookNotFoundError):
        softcomp_codec.decode(data)
    with pytest.raises(CodebookNotFoundError):
        softcomp_codec.decode(data, codebooks=[prior_book(made_prior((16, 1, 0)), made_prior())])
    embedded = softcomp_codec.encode(array, codebook=book, embed_codebook=True)
    assert np.array_equal(softcomp_codec.decode(embedded), array)


@pytest.mark.parametrize("effort", [1, 4, 5, 6, 9])
@pytest.mark.parametrize("mode", ["gray8", "rgb8"])
def test_every_effort(mode, effort):
    array = picture(mode, 101)
    data = softcomp_codec.encode(array, codebook=trained(mode), effort=effort)
    assert np.array_equal(softcomp_codec.decode(data, codebooks=[trained(mode)]), array)


@pytest.mark.parametrize("side", [60, 200])
@pytest.mark.parametrize("effort", [6, 8, 9])
def test_more_effort_makes_no_file_larger(side, effort):
    """Not even beside a prior that knows 7 contexts alone, as those of before."""
    (prior,) = trained("gray8").priors.values()
    first = {name: getattr(prior, name) for name in ARRAYS[:6]}
    old = prior_book(ContextPrior(*GRAY, count_cap=prior.count_cap, **first))
    array = picture("gray8", 119, side)
    sizes = [
        len(softcomp_codec.encode(array, codebook=old, effort=each, coder="context"))
        for each in (5, effort)
    ]
    assert sizes[1] <= sizes[0]


def test_a_prior_that_is_wrong_is_left_out():
    """A prior of noise makes no file larger, nor the reference to it."""
    bad = prior_book(made_prior(n_known=100_000), made_prior((8, 3, 3), n_known=100_000))
    for mode in ("gray8", "rgb8"):
        for side in (30, 300):
            array = picture(mode, 102, side)
            data = softcomp_codec.encode(array, codebook=bad)
            assert data == softcomp_codec.encode(array, codebook=None)


def test_another_transform_starts_neutral():
    """A codebook whose prior is for another colour transform is not named."""
    book = prior_book(made_prior((8, 3, 4)))
    array = picture("rgb8", 103)
    data = softcomp_codec.encode(array, codebook=book, coder="context")
    assert data == softcomp_codec.encode(array, codebook=None, coder="context")


def test_a_file_that_names_a_codebook_without_a_prior_for_it():
    """The models then start as without a codebook (SPEC 6.4)."""
    array = picture("rgb8", 104)
    plain = softcomp_codec.encode(array, codebook=None, coder="context")
    header, payload = container.read_file(plain)
    book = prior_book(made_prior((8, 3, 4)))
    named = replace(header, codebook_reference=book.identifier[:8])
    data = container.write_file(named, payload)
    assert np.array_equal(softcomp_codec.decode(data, codebooks=[book]), array)


def test_a_codebook_that_does_not_fit():
    array = picture("gray8", 105)
    data = softcomp_codec.encode(array, codebook=trained("gray8"))
    header, payload = container.read_file(data)
    for other in (prior_book(made_prior((16, 1, 0))), prior_book(made_prior(), name="noise")):
        forged = replace(header, codebook_reference=other.identifier[:8])
        with pytest.raises(CorruptStreamError, match=r"no part for|checksum|tile 0"):
            softcomp_codec.decode(container.write_file(forged, payload), codebooks=[other])


def test_shapes_with_a_codebook_of_priors_alone():
    array = image("gray8")
    plain = softcomp_codec.encode(array, codebook=None, coder="shapes")
    assert softcomp_codec.encode(array, codebook=prior_book(made_prior()), coder="shapes") == plain
    header, payload = container.read_file(plain)
    book = prior_book(made_prior())
    forged = replace(header, codebook_reference=book.identifier[:8])
    with pytest.raises(CorruptStreamError, match="by the shapes coder"):
        softcomp_codec.decode(container.write_file(forged, payload), codebooks=[book])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("side", [48, 300])
def test_auto_compares_bundled_codebooks(mode, side, monkeypatch):
    """What helps most on the middle of the image is taken; noise is not."""
    bad = prior_book(made_prior(n_known=100_000), made_prior((8, 3, 3), n_known=100_000))
    bundled = (bad, trained(mode), trained("gray16"))
    bundle(monkeypatch, bundled)
    array = picture(mode, 108, side)
    data = softcomp_codec.encode(array)
    assert data == softcomp_codec.encode(array, codebook=trained(mode))
    assert np.array_equal(softcomp_codec.decode(data), array)
    other = noise(array.shape, 200).astype(array.dtype)
    data = softcomp_codec.encode(other)
    assert len(data) <= len(softcomp_codec.encode(other, codebook=None)) + 40


@pytest.fixture
def large_images(monkeypatch):
    """Images of 150 x 150 count as large; returns the bundled codebooks."""
    monkeypatch.setattr(coder_choice, "AUTO_PIXELS", 150 * 150 - 1)
    bad = prior_book(made_prior(n_known=100_000), made_prior((8, 3, 3), n_known=100_000))
    bundled = (bad, *map(trained, MODES))
    bundle(monkeypatch, bundled)
    return bundled


@pytest.mark.parametrize("mode", MODES)
def test_auto_chooses_priors_for_large_images(mode, large_images):
    array = picture(mode, 110, 150)
    data = softcomp_codec.encode(array)
    assert data == softcomp_codec.encode(array, codebook=trained(mode))
    assert len(data) < len(softcomp_codec.encode(array, codebook=None))
    assert np.array_equal(softcomp_codec.decode(data), array)
    below = coder_choice.TRIAL_EFFORT - 1
    assert softcomp_codec.encode(array, effort=below) == softcomp_codec.encode(
        array, codebook=None, effort=below
    )


@pytest.mark.parametrize("mode", MODES)
def test_large_images_that_no_prior_suits(mode, large_images):
    """Of noise, which is stored or nearly so, a part may mislead; by less than a header."""
    like = picture(mode, 111, 150)
    for samples, spare in ((noise(like.shape, 200), 40), (np.full(like.shape, 7), 0)):
        array = samples.astype(like.dtype)
        plain = softcomp_codec.encode(array, codebook=None)
        assert len(softcomp_codec.encode(array)) <= len(plain) + spare


def test_priors_for_another_transform_are_not_tried(large_images):
    array = jpeg_colours(150, 150)
    mode = planes.mode_of_array(array)
    assert prior_choice.likely_codebook([array], mode, large_images) is None
    lattice = prior_book(made_prior((8, 3, 4)))
    assert prior_choice.likely_codebook([array], mode, (*large_images, lattice)) is lattice
    assert not prior_choice.prior_pays(array, mode, lattice.context_priors(mode))
    assert softcomp_codec.encode(array) == softcomp_codec.encode(array, codebook=None)


def test_large_frames(large_images):
    arrays = [picture("gray8", seed, 150) for seed in range(112, 118)]
    data = softcomp_codec.encode_frames(arrays)
    assert container.read_header(data).codebook_name == "prior-gray8"
    for found, array in zip(softcomp_codec.decode_frames(data), arrays, strict=True):
        assert np.array_equal(found, array)


def test_frames():
    book = trained("gray8")
    arrays = [picture("gray8", 106), noise((48, 48), 256).astype(np.uint8), picture("gray8", 107)]
    data = softcomp_codec.encode_frames(arrays, codebook=book)
    for found, array in zip(
        softcomp_codec.decode_frames(data, codebooks=[book]), arrays, strict=True
    ):
        assert np.array_equal(found, array)


# --- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["gray8", "gray16", "rgb8"])
def test_order_and_threads_do_not_matter(mode):
    pictures = [picture(mode, seed) for seed in (4, 0, 7, 2, 5, 1, 6, 3)]
    book = softcomp_codec.train(
        pictures, name=f"prior-{mode}", holdout=0, options=PRIORS_ONLY, workers=3
    )
    assert book.identifier == trained(mode).identifier


def test_record():
    entry = trained("gray16").record["priors"]["gray16"]
    assert entry["training_images"] == 8
    assert entry["held_out_images"] == 2
    assert entry["chosen_bytes"] == min(entry["bytes"].values()) < entry["bytes"]["untrained"]
    (prior,) = trained("gray16").priors.values()
    assert entry["parts"] == prior.part_names
    later = entry["bytes_of_15_contexts"]
    assert min(later.values()) < later["first_parts"]
    assert prior.has_full_weights


def test_parts_of_the_trial_are_trained_again():
    """The images held out teach the final prior too; what paid is measured once."""
    pictures = [picture("gray8", seed) for seed in range(8)]
    book = softcomp_codec.train(pictures, name="x", holdout=0.25, options=PRIORS_ONLY)
    (prior,), (without_report,) = book.priors.values(), trained("gray8").priors.values()
    entry = book.record["priors"]["gray8"]
    assert entry["training_images"] == 8
    assert entry["held_out_images"] == 1
    assert entry["parts"] == prior.part_names
    assert np.array_equal(prior.least_squares, without_report.least_squares)
    assert np.array_equal(prior.used, without_report.used)


def with_alpha(array, alpha):
    return np.dstack([array, np.full(array.shape[:2], alpha, np.uint8)])


UNCODED = {
    "gray as RGB": ("gray8", (8, 1, 0), lambda array: np.dstack([array] * 3)),
    "gray as RGBA": ("gray8", (8, 1, 0), lambda array: with_alpha(np.dstack([array] * 3), 9)),
    "opaque": ("rgb8", (8, 3, planes.RED_DIFFERENCE), lambda array: with_alpha(array, 255)),
}


@pytest.mark.parametrize("shown", UNCODED)
def test_components_that_are_not_coded_are_not_learnt(shown):
    """A codebook of pictures whose components are alike, or constant, serves such pictures."""
    mode, key, show = UNCODED[shown]
    pictures = [show(picture(mode, seed, 150)) for seed in range(6)]
    book = softcomp_codec.train(pictures[1:], name="x", holdout=0, options=PRIORS_ONLY)
    assert list(book.priors) == [key]
    data = softcomp_codec.encode(pictures[0], codebook=book)
    assert container.read_header(data).codebook_reference
    assert len(data) < len(softcomp_codec.encode(pictures[0], codebook=None))
    assert np.array_equal(softcomp_codec.decode(data, codebooks=[book]), pictures[0])
    report = softcomp_codec.train(pictures, name="x", holdout=0.5, options=PRIORS_ONLY).record
    n_raw = pictures[0].size * report["report"]["images"]
    assert report["report"]["raw_bytes"] == n_raw


def test_nothing_learned():
    random = [noise((20, 20), 1 << 16, seed).astype(np.uint16) for seed in range(4)]
    with pytest.raises(ValueError, match="teach nothing"):
        softcomp_codec.train(random[:1], name="x")


def test_images_that_others_do_not_resemble():
    """Training on noise leaves out what does not pay."""
    arrays = [noise((40, 40), 256, seed).astype(np.uint8) for seed in range(4)]
    book = softcomp_codec.train(arrays, name="x", holdout=0, options=PRIORS_ONLY)
    for prior in book.priors.values():
        assert not prior.has_states
        assert not prior.has_full_weights


@pytest.mark.parametrize("n_altered", [0, 40])
@pytest.mark.parametrize("alpha", [False, True], ids=["rgb", "rgba"])
def test_decoded_jpegs(alpha, n_altered):
    """The lattice has a plane more than the picture; with alpha two planes are of one kind."""
    pictures = []
    for seed in range(6):
        picture = jpeg_colours(40, 40 + seed)
        picture.reshape(-1)[: n_altered * 3 : 3] ^= 1
        if alpha:
            picture = np.dstack([picture, image("gray8", 40, 40 + seed, seed)])
        pictures.append(picture)
    book = softcomp_codec.train(pictures, name="jpegs", holdout=0.5, options=PRIORS_ONLY)
    for prior in book.priors.values():
        assert prior.transform == planes.LATTICE
        assert prior.n_kinds == 4
    for effort in (1, 5, 9):
        data = softcomp_codec.encode(
            pictures[0], codebook=book, coder="context", effort=effort, embed_codebook=True
        )
        assert np.array_equal(softcomp_codec.decode(data, codebooks=[book]), pictures[0])


def test_without_priors():
    options = replace(PRIORS_ONLY, train_priors=False)
    book = softcomp_codec.train(
        [picture("gray8", 1), picture("gray8", 2)], name="x", holdout=0, options=options
    )
    assert not book.priors
    assert "priors" not in book.record
    with pytest.raises(ValueError, match="cannot train on gray16"):
        softcomp_codec.train([picture("gray16", 1)], name="x", options=options)


def test_large_sets_are_sampled(monkeypatch):
    monkeypatch.setattr(context_training, "TRAINING_SAMPLES", 5000)
    monkeypatch.setattr(context_training, "SMALLEST_CROP", 1000)
    arrays = [picture("gray8", seed) for seed in range(10)]
    mode = planes.mode_of_array(arrays[0])
    with ThreadPoolExecutor(1) as pool:
        pictures = context_training._pictures(arrays, mode, planes.NO_TRANSFORM, pool)
    assert 2000 <= sum(each.n_samples for each in pictures) <= 5000


@pytest.mark.parametrize("size", [1, 2, 5])
def test_solution_of_the_normal_equations(size):
    """Against exact fractions: A x = b for a well-conditioned A."""
    wanted = [(-1) ** i * 4096 * (i + 1) // 2 for i in range(size)]
    matrix = [[1_000_000_007 * (i == j) + 1000 * (i + j) for j in range(size)] for i in range(size)]
    rows = [
        [x << 20 for x in row] + [sum(x * w for x, w in zip(row, wanted, strict=True)) << 6]
        for row in matrix
    ]
    found = context_training._solve(rows)
    assert all(abs(x - w) <= 1 for x, w in zip(found, wanted, strict=True))
