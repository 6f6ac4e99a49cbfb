"""The few-colour prior: its bytes, what it does to images, training it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_images import colours, glyphs, noise, slope

import softcomp_codec
from softcomp_codec import container, few_colour_coder, few_colour_training, planes
from softcomp_codec.codebook import Codebook
from softcomp_codec.container import Header
from softcomp_codec.errors import CodebookNotFoundError, CorruptStreamError, ScfError
from softcomp_codec.few_colour_coder import COMPONENTS, EXPLICIT
from softcomp_codec.few_colour_prior import ALL_PARTS, MATCHES, STATES, FewColourPrior
from softcomp_codec.palettes import Palette
from softcomp_codec.training import TrainingOptions

SYMBOLS = noise((6, 8, 8), 6, 99).astype(np.uint8)
COLOURS = noise((6, 4), 256, 98).astype(np.uint8)


def picture(seed, height=48, width=48, n_planes=3):
    """Symbols that the whole set shares, at random places."""
    page = np.zeros((height, width), np.uint8)
    places = noise((12, 3), 1 << 20, seed)
    for symbol, row, column in places:
        top, left = row % (height - 8), column % (width - 8)
        page[top : top + 8, left : left + 8] = SYMBOLS[symbol % 6]
    return COLOURS[page][:, :, :n_planes]


def prior_of(n_pictures=4, **options):
    pictures = [(3, few_colour_coder.keys_of(picture(seed))) for seed in range(n_pictures)]
    prior = FewColourPrior.of(pictures)
    return prior.variant(**options) if options else prior


def book_of(prior, name="few"):
    return Codebook({"name": name}, {}, few_colour=prior)


def test_serialisation():
    pictures = [
        (1, few_colour_coder.keys_of(glyphs(20, 21).astype(np.uint8) * 9)),
        (2, few_colour_coder.keys_of(np.dstack([slope(9, 8), slope(9, 8, 2)]))),
        (3, few_colour_coder.keys_of(colours(10, 12))),
        (4, few_colour_coder.keys_of(picture(3, n_planes=4))),
    ]
    prior = FewColourPrior.of(pictures).variant(STATES, 7)
    again = FewColourPrior.from_bytes(prior.to_bytes())
    assert again.to_bytes() == prior.to_bytes()
    assert (again.parts, again.count_cap) == (STATES, 7)
    assert [each.kind for each in again.pictures] == [EXPLICIT, COMPONENTS, COMPONENTS, EXPLICIT]
    for found, (n_planes, keys) in zip(again.pictures, pictures, strict=True):
        assert found.n_planes == n_planes
        assert np.array_equal(found.keys, keys)


def test_models_are_the_same_however_they_came_about():
    """Decoding the pictures leaves the models that coding them leaves."""
    prior = prior_of()
    read = FewColourPrior.from_bytes(prior.to_bytes())
    for n_contexts in (10, 4, 14):
        one, two = prior.model(n_contexts), read.model(n_contexts)
        for name in ("states", "weights", "curves", "matches", "guesses", "history", "progress"):
            assert np.array_equal(getattr(one, name), getattr(two, name)), name


def test_a_model_belongs_to_its_caller():
    prior = prior_of()
    first = prior.model(10)
    first.states[:] = 0
    first.weights[:] = 0
    assert prior.model(10).states.any()
    assert prior.model(10).weights.any()


@pytest.mark.parametrize("parts", range(4))
@pytest.mark.parametrize("effort", [1, 5, 9])
def test_round_trips(parts, effort):
    prior = prior_of(parts=parts, count_cap=1 + parts)
    for array in (
        picture(50), picture(51, n_planes=4), noise((9, 9, 3), 256).astype(np.uint8) & 0xF0,
        picture(52)[:, :, 0], picture(53, 100, 300), picture(54)[:1], np.zeros((1, 1, 2), np.uint8),
    ):  # fmt: skip
        mode = planes.mode_of_array(array)
        payload = few_colour_coder.encode_payload(array, mode, effort=effort, prior=prior)
        if payload is None:
            continue
        header = Header(mode, array.shape[1], array.shape[0], container.FEW_COLOUR, b"", 0)
        found, complete = few_colour_coder.decode_payload(payload, header, prior=prior)
        assert complete
        np.testing.assert_array_equal(found, array, strict=True)


def test_a_prior_knows_symbols_and_colours():
    array = picture(77)
    mode = planes.mode_of_array(array)
    sizes = [
        len(few_colour_coder.encode_payload(array, mode, prior=prior))
        for prior in (None, prior_of(parts=0), prior_of(parts=STATES), prior_of(parts=ALL_PARTS))
    ]
    assert sizes[3] < sizes[0] // 2
    assert sizes[3] < sizes[2] < sizes[0]


@pytest.mark.parametrize("effort", [1, 5])
def test_files(effort):
    book = book_of(prior_of())
    arrays = [picture(seed) for seed in (60, 61)]
    data = softcomp_codec.encode(arrays[0], codebook=book, effort=effort)
    header = container.read_header(data)
    assert header.coder == container.FEW_COLOUR
    assert header.codebook_reference == book.identifier[:8]
    again = Codebook.from_bytes(book.to_bytes())
    assert again.identifier == book.identifier
    assert np.array_equal(softcomp_codec.decode(data, codebooks=[again]), arrays[0])
    with pytest.raises(CodebookNotFoundError):
        softcomp_codec.decode(data)
    embedded = softcomp_codec.encode(arrays[0], codebook=book, embed_codebook=True)
    assert np.array_equal(softcomp_codec.decode(embedded), arrays[0])
    frames = softcomp_codec.encode_frames(arrays, codebook=book, effort=effort)
    found = softcomp_codec.decode_frames(frames, codebooks=[again])
    assert all(map(np.array_equal, found, arrays))


def test_palette_images():
    palette = Palette("RGB", COLOURS[:, :3].tobytes())
    indices = noise((48, 48), 3, 5).astype(np.uint8)
    for seed in range(9):
        indices[seed * 5 : seed * 5 + 8, 3:11] = SYMBOLS[seed % 6][: 48 - seed * 5]
    book = book_of(prior_of())
    data = softcomp_codec.encode(palette.image(indices), codebook=book)
    assert container.read_header(data).codebook_reference
    assert np.array_equal(softcomp_codec.decode(data, codebooks=[book]), indices)


def test_another_prior_does_not_decode_wrongly():
    data = softcomp_codec.encode(picture(60), codebook=book_of(prior_of()), reference_bytes=4)
    other = book_of(prior_of(3))
    object.__setattr__(other, "identifier", container.read_header(data).codebook_reference + b"x")
    with pytest.raises(ScfError):
        softcomp_codec.decode(data, codebooks=[other])


GOOD = prior_of(1).to_bytes()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "parts and count cap"),
        (b"\4\1\1", "parts 04h"),
        (b"\3\0\1", "count cap 0"),
        (b"\3\x3d\1", "count cap 61"),
        (b"\3\1\0", "no pictures"),
        (b"\3\1\x81\x20", "number of pictures is 4097"),
        (b"\3\1\1\x20\1\1", "kind 2"),
        (b"\3\1\1\x10\1\1", "0 planes"),
        (b"\3\1\1\x05\1\1", "5 planes"),
        (b"\3\1\1\x01\0\1", "no pixels"),
        (b"\3\1\1\x01\1\0", "no pixels"),
        (b"\3\1\1\x11\1\1\0", "no colours"),
        (b"\3\1\1\x11\1\1\2", "number of colours is 2"),
        (b"\3\1\1\x01\x81\x80\x40", "height is 1048577"),
        (b"\3\1\1\x01\x80\x08\x81\x08", "width is 1025"),
        (b"\3\1\2\x01\x80\x08\x80\x08\x01\1\1", "height is 1, expected at most 0"),
        (b"\3\1\2\x01\1\1", "kind and planes"),
    ],
)
def test_hostile_bytes(data, message):
    with pytest.raises(ScfError, match=message):
        FewColourPrior.from_bytes(data)


def test_damaged_code_is_found_at_its_use():
    for data in (GOOD[:-2], GOOD + b"\0", GOOD[:40]):
        prior = FewColourPrior.from_bytes(data)
        for _ in range(2):
            with pytest.raises(CorruptStreamError):
                prior.model(10)


@given(st.integers(0, 8 * len(GOOD) - 1))
def test_bit_flips(bit):
    damaged = bytearray(GOOD)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        prior = FewColourPrior.from_bytes(bytes(damaged))
        prior.model(10)
    except ScfError:
        return
    assert prior.to_bytes() == bytes(damaged)


# --- training -----------------------------------------------------------------------------------


def trained(arrays, workers=1):
    report = {}
    with ThreadPoolExecutor(workers) as pool:
        prior = few_colour_training.train_few_colour_prior(
            [(array, planes.mode_of_array(array), None) for array in arrays],
            pool=pool, progress=lambda *_: None, report=report,
        )  # fmt: skip
    return prior, report


def test_training_keeps_what_pays():
    prior, report = trained([picture(seed) for seed in range(8)])
    assert prior.parts & MATCHES
    entry = report["few-colour"]
    assert entry["chosen_bytes"] < entry["bytes"]["untrained"] // 2
    assert entry["held_out_images"] == 2
    assert entry["pictures"] == len(prior.outlines) == 8


def test_training_does_without(monkeypatch):
    """Where too little is saved, and for photographs and too few pictures."""
    monkeypatch.setattr(few_colour_training, "LEAST_GAIN", 1)
    prior, report = trained([picture(seed) for seed in range(8)])
    assert prior is None
    assert report["few-colour"]["pictures"] == 0
    assert report["few-colour"]["parts"] == "none"
    assert trained([colours(30, 30, seed) for seed in range(8)]) == (None, {})
    assert trained([picture(seed) for seed in range(3)]) == (None, {})


def test_large_pictures_are_cut():
    keys = few_colour_coder.keys_of(np.zeros((700, 900), np.uint8))
    keys[400:500, 600:700] = np.arange(100)
    crop = few_colour_training._busiest(keys)
    assert crop.shape == (256, 256)
    assert (crop != keys[0, 0]).sum() > 9000


def test_codebooks_are_the_same_in_any_order():
    arrays = [picture(seed) for seed in range(8)]
    options = TrainingOptions(train_shapes=False)
    books = [
        softcomp_codec.train(images, name="x", workers=workers, holdout=0, options=options)
        for images, workers in ((arrays, 1), (arrays[::-1], 2))
    ]
    assert books[0].identifier == books[1].identifier
    assert books[0].few_colour is not None
    assert "few colours" in books[0].kinds


def test_palette_images_teach():
    palette = Palette("RGB", COLOURS[:, :3].tobytes())
    pages = [(noise((48, 48), 3, seed) == 0).astype(np.uint8) for seed in range(6)]
    for seed, page in enumerate(pages):
        for symbol in range(5):
            page[symbol * 9 : symbol * 9 + 8, seed : seed + 8] = SYMBOLS[symbol]
    book = softcomp_codec.train([palette.image(page) for page in pages], name="x", holdout=0)
    assert book.few_colour is not None
    assert not book.parts
    data = softcomp_codec.encode(palette.image(pages[0]), codebook=book)
    assert np.array_equal(softcomp_codec.decode(data, codebooks=[book]), pages[0])
