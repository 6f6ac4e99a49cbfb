"""The compressible indicator: its arithmetic, what it measures, and what training makes of it."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_images import KINDS, image, images
from small_codebooks import CHOOSING, QUICK, gray_codebook, with_windows

import softcomp_codec
from softcomp_codec import mining, planes, training
from softcomp_codec.codebook import built_in_part, kind_of
from softcomp_codec.golomb import PARAMETERS
from softcomp_codec.indicator import Indicator, bits_saved, image_indicators, total
from softcomp_codec.kernels.residual_kernels import MED
from softcomp_codec.kernels.shape_kernels import NEW_ZERO_VALUE
from softcomp_codec.plane_training import MAX_ROUNDS
from softcomp_codec.training import TrainingOptions


def indicators(array, book):
    return image_indicators(array, planes.mode_of_array(array), book)


# --- arithmetic ---------------------------------------------------------------------------------


def test_thresholds_by_hand():
    """Ten locations of 35 bits may cost 80 - 40 bits, against raw samples 60 - 40."""
    part = Indicator(10, 35, 40, 80, 60)
    assert part.location_cost == 3.5
    assert part.against_fallback == 4
    assert part.against_raw == 2
    assert part.pays


@pytest.mark.parametrize(("location_bits", "pays"), [(39, True), (40, False), (41, False)])
def test_shapes_must_save_a_bit(location_bits, pays):
    assert Indicator(10, location_bits, 40, 80).pays == pays


def test_shapes_dearer_than_what_they_replace():
    part = Indicator(4, 0, 30, 10)
    assert part.against_fallback == -5
    assert not part.pays


def test_nothing_placed():
    """The end mark alone; it pays where the empty plane costs more without shapes."""
    for fallback_bits, pays in ((0, False), (3, False), (4, True)):
        part = Indicator(0, 0, 3, fallback_bits)
        assert part.location_cost == part.against_fallback == part.against_raw == 0
        assert part.pays == pays


@given(st.integers(1, 500), *[st.integers(0, 3000)] * 3, st.integers(-3000, 3000))
def test_a_split_pays_where_its_locations_are_cheap_enough(n_placed, where, which, low, more):
    whole_bits = low + which + more
    part = Indicator(n_placed, where, which, whole_bits - low)
    assert part.pays == (where + which + low < whole_bits)
    assert part.pays == (n_placed * part.location_cost < whole_bits - low - which)
    assert (part.against_fallback > part.location_cost) == part.pays


def test_total():
    parts = [Indicator(1, 2, 3, 4, 5), Indicator(0, 0, 1, 7), Indicator(20, 30, 40, -50, 60)]
    assert total(parts) == total(iter(parts)) == Indicator(21, 32, 44, -39, 65)
    assert total(parts[:1]) == parts[0]
    assert total([]) == Indicator(0, 0, 0, 0, 0)
    assert type(total(parts).n_placed) is int  # for JSON


def test_total_is_not_the_mean_of_parts():
    """A plane that pays much outweighs one that does not."""
    good, bad = Indicator(10, 10, 10, 100), Indicator(10, 50, 10, 40)
    assert good.pays
    assert not bad.pays
    assert total([good, bad]).pays
    assert total([good, bad]).against_fallback == 6


def test_bits_saved_by_hand():
    """Cells are worth 2 bits: 7 * 2 - 3 * 2 = 8 bits, 1 * 2 - 4 = -2 bits, nothing."""
    uses, fresh = np.array([3, 1, 0]), np.array([7, 1, 0])
    saved = bits_saved(uses, fresh, np.array([2, 4, 24], np.uint8), 512)
    assert saved.dtype == np.int64
    assert saved.tolist() == [8 * 256, -2 * 256, 0]


def test_bits_saved_of_large_sets():
    uses, fresh = np.array([10**9]), np.array([10**10])
    saved = bits_saved(uses, fresh, np.array([24], np.uint8), 3072)
    assert saved.tolist() == [3072 * 10**10 - 256 * 24 * 10**9]


# --- images -------------------------------------------------------------------------------------


def plane_indicator(plane, lowest, highest, book):
    """The indicator of a plane from the naive twins; None where a cell has no shape."""
    mapped = naive.map_residuals(plane, book.predictor, lowest, highest)
    layer = [[value >> book.low_bits for value in row] for row in mapped]
    shapes = [book.shapes.window(index).tolist() for index in range(len(book.shapes))]
    lengths = book.shapes.code_lengths.tolist()
    placed = naive.match(layer, shapes, lengths, book.cell_value, NEW_ZERO_VALUE)
    if placed is None:
        return None
    gaps = [gap for _, gap in placed]
    gap_lengths = book.shapes.gap_lengths.tolist()
    trained = sum(len(naive.trained_gap(gap, gap_lengths)) for gap in gaps)
    by_golomb = min(sum(len(naive.golomb(gap, m)) for gap in gaps) for m in PARAMETERS.tolist())
    beside = b""
    if book.low_bits:
        beside = naive.encode_low_layers([(mapped, book.low_bits, book.low_states.tolist())])
    if book.predictor == 0:
        mapped = naive.map_residuals(plane, MED, lowest, highest)
    without = naive.encode_low_layers([(mapped, book.sample_bits, book.full_states.tolist())])
    n_filled = sum(value != 0 for row in layer for value in row)
    return Indicator(
        len(placed),
        by_golomb if by_golomb + 10 < trained else trained,
        sum(lengths[shape] for shape, _ in placed) + lengths[-1],
        8 * (len(without) - len(beside)),
        n_filled * (book.sample_bits - book.low_bits),
    )


def expected_indicators(array, part):
    mode = planes.mode_of_array(array)
    components = planes.transform_colours(planes.split_planes(array, mode), part.transform)
    ranges = planes.plane_ranges(mode, part.transform)
    return [
        plane_indicator(plane.tolist(), *sample_range, book)
        for plane, sample_range, book in zip(components, ranges, part.planes, strict=True)
    ]


def test_a_row_by_hand():
    part = built_in_part(0, 0)
    assert [part.planes[0].shapes.window(i).shape for i in (0, 1)] == [(1, 1), (1, 2)]
    (found,) = indicators(np.array([[0, 1, 1, 0, 0, 1]], bool), None)
    # 1 x 2 at gap 1 and 1 x 1 at gap 2, codewords of 5 bits, the end mark 6; both gaps 7 bits,
    # for which naming Golomb's parameter, 10 bits, would not pay.
    assert (found.n_placed, found.location_bits, found.codeword_bits) == (2, 14, 16)
    # MED predicts W, so changes remain: 0 1 0 1 0 1.
    states = part.planes[0].full_states.tolist()
    code = naive.encode_low_layers([([[0, 1, 0, 1, 0, 1]], 1, states)])
    assert (found.fallback_bits, found.raw_bits) == (8 * len(code), 3)


@pytest.mark.parametrize("kind", KINDS)
def test_images_equal_naive_twins(kind, books):
    part = books[kind].parts[KINDS.index(kind)]
    n_placed = 0
    for height, width, seed in ((16, 19, 3), (1, 30, 4), (11, 1, 5)):
        array = image(kind, height, width, seed)
        found = indicators(array, books[kind])
        assert found == expected_indicators(array, part)
        n_placed += sum(plane.n_placed for plane in found)
    assert n_placed >= 20


def test_the_built_in_prior(books):
    for array in (image("bilevel", 15, 22), image("bilevel", 15, 22)[:, :, None]):
        assert indicators(array, None) == expected_indicators(array, built_in_part(0, 0))
    assert indicators(image("gray8"), None) == [None]
    assert indicators(image("rgb8"), None) == [None] * 3


def test_planes_without_shapes(books):
    assert indicators(image("gray8"), gray_codebook()) == [None]
    book = books["rgb8"]
    kind = kind_of(planes.mode_of_array(image("rgb8")))
    some = with_windows(book, kind, 1, [], np.array([1], np.uint8))
    found = indicators(image("rgb8"), some)
    assert found[1] is None
    assert [found[0], found[2]] == indicators(image("rgb8"), book)[::2]


def test_planes_that_the_shapes_do_not_cover(books):
    book = with_windows(books["bilevel"], 0, 0, [np.ones((1, 2), np.uint16)])
    assert indicators(np.array([[1, 1, 0, 1]], bool), book) == [None]
    (found,) = indicators(np.array([[1, 1, 0, 0]], bool), book)
    assert (found.n_placed, found.raw_bits) == (1, 2)


def test_an_empty_image(books):
    book = books["bilevel"]
    (found,) = indicators(np.zeros((9, 9), bool), book)
    end_mark = int(book.parts[0].planes[0].shapes.code_lengths[-1])
    assert (found.n_placed, found.location_bits, found.raw_bits) == (0, 0, 0)
    assert found.codeword_bits == end_mark


# --- training -----------------------------------------------------------------------------------


def trained(pictures, options=CHOOSING, **more):
    return training.train(pictures, **{"name": "t", "holdout": 0, "options": options, **more})


@pytest.fixture(scope="module")
def chosen():
    """Codebooks of each kind, shapes where they pay."""
    return {kind: trained(images(kind, 12)) for kind in KINDS}


def entries_of(book):
    """(plane book, what the record says of it) of a codebook of one kind."""
    (kind,) = book.kinds
    return list(zip(book.planes_of(kind), book.record["planes"].values(), strict=True))


def split_bits(entry):
    """Bits of each split that training tried, by low bits, shapes only where they pay."""
    return {int(low_bits): trial["chosen_bits"] for low_bits, trial in entry["splits"].items()}


def indicator_of(trial, entry):
    """The indicator of all images of a trial, shapes in each of them."""
    return Indicator(
        trial["placements"],
        trial["location_bits"],
        trial["codeword_bits"],
        entry["without_shapes_bits"] - trial["low_layer_bits"],
    )


def test_gray_images_whose_shapes_do_not_pay(chosen):
    ((plane, entry),) = entries_of(chosen["gray8"])
    assert (plane.low_bits, plane.n_shapes) == (8, 0)
    assert set(split_bits(entry).values()) == {entry["without_shapes_bits"]}
    assert not any(indicator_of(trial, entry).pays for trial in entry["splits"].values())
    assert "shapes" not in entry
    assert "round_bits" not in entry


def test_bilevel_images_whose_shapes_pay(chosen):
    ((plane, entry),) = entries_of(chosen["bilevel"])
    assert (plane.low_bits, plane.predictor) == (0, 0)
    assert plane.n_shapes > 1
    assert split_bits(entry)[0] < entry["without_shapes_bits"]
    (trial,) = entry["splits"].values()
    assert indicator_of(trial, entry).pays


def test_bilevel_images_whose_shapes_do_not_pay():
    """Lines across: MED knows all but the first column, and a line's place costs more."""
    rows = np.arange(64)[:, None] // np.arange(3, 15) % 2
    pictures = [np.repeat(row[:, None], 64, axis=1).astype(bool) for row in rows.T]
    ((plane, entry),) = entries_of(trained(pictures))
    assert split_bits(entry)[0] >= entry["without_shapes_bits"]
    assert (plane.low_bits, plane.n_shapes) == (1, 0)
    assert plane.predictor == MED


def test_gray_images_whose_shapes_pay():
    """The same few boxes of exact height on black: nothing that six neighbours tell."""
    box = image("gray8", 12, 9, 3) // 2 + 100
    pictures = []
    for index in range(12):
        picture = np.zeros((40, 40), np.uint8)
        picture[index : index + 12, 2 * index : 2 * index + 9] = box
        pictures.append(picture)
    ((plane, entry),) = entries_of(trained(pictures))
    bits = split_bits(entry)
    assert plane.n_shapes > 0
    assert sum(n_bits < entry["without_shapes_bits"] for n_bits in bits.values()) > 1
    assert bits[plane.low_bits] == min(bits.values()) < max(bits.values())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_recorded_total_is_chosen(kind, seed):
    book = trained(images(kind, 6, seed, 16, 20))
    for plane, entry in entries_of(book):
        bits = {**split_bits(entry), plane.sample_bits: entry["without_shapes_bits"]}
        tried = {1: (0,), 8: (4, 6, 7), 9: (4, 5, 7, 8)}[plane.sample_bits]
        assert sorted(bits) == sorted([*tried, plane.sample_bits])
        assert plane.low_bits == min(bits, key=lambda low_bits: (bits[low_bits], -low_bits))
        assert (plane.n_shapes > 0) == (plane.low_bits < plane.sample_bits)


@pytest.mark.parametrize("kind", ["bilevel", "gray8"])
def test_trials_of_one_image_equal_naive_twins(kind):
    """One image both teaches and is coded, so the trials used the final states and shapes."""
    picture = image(kind, 20, 20, 2)
    ((plane, entry),) = entries_of(trained([picture]))
    top = 1 if kind == "bilevel" else 255
    predictor = plane.predictor or MED
    mapped = naive.map_residuals(picture.astype(int).tolist(), predictor, 0, top)
    states = plane.full_states.tolist()
    code = naive.encode_low_layers([(mapped, plane.sample_bits, states)])
    assert entry["without_shapes_bits"] == 8 * len(code)
    for low_bits in entry["splits"]:
        options = TrainingOptions(int(low_bits), max_side=6, n_candidates=400, max_shapes=200)
        fixed = trained([picture], options)
        (expected,) = expected_indicators(picture, fixed.parts[KINDS.index(kind)])
        part = indicator_of(entry["splits"][low_bits], entry)
        assert part.n_placed == expected.n_placed
        assert part.location_bits == expected.location_bits
        assert part.codeword_bits == expected.codeword_bits
        assert part.fallback_bits == expected.fallback_bits


@pytest.mark.parametrize("kind", KINDS)
def test_the_record_counts_what_the_codebook_places(kind, books):
    measured = [indicators(picture, books[kind]) for picture in images(kind, 12)]
    for index, (_, entry) in enumerate(entries_of(books[kind])):
        part = total(image_[index] for image_ in measured)
        assert entry["shapes"]["placements"] == part.n_placed
        assert entry["shapes"]["location_bits"] == part.location_bits
        assert entry["shapes"]["codeword_bits"] == part.codeword_bits


def test_cells_are_covered_once(books):
    ((plane, entry),) = entries_of(books["bilevel"])
    assert entry["shapes"]["covered_cells"] == sum(p.sum() for p in images("bilevel", 12))
    assert plane.predictor == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["bilevel", "gray8"])
def test_rounds_fall_until_the_last(kind, seed):
    book = trained(images(kind, 12, seed), QUICK)
    ((_, entry),) = entries_of(book)
    first, *rounds = entry["round_bits"]
    assert first > 0
    improved = rounds[-1] < min(rounds[:-1])
    falling = rounds if improved else rounds[:-1]
    assert falling == sorted(set(falling), reverse=True)
    assert len(rounds) == MAX_ROUNDS or not improved
    shapes = entry["shapes"]
    assert shapes["location_bits"] + shapes["codeword_bits"] == min(rounds)


def test_most_used_shapes(books):
    assert mining.most_used([3, 0, 7, 3, 9]) == [[4, 9], [2, 7], [0, 3], [3, 3], [1, 0]]
    counts = list(range(1000))
    assert mining.most_used(counts) == [[n, n] for n in range(999, 999 - mining.N_REPORTED, -1)]
    ((plane, entry),) = entries_of(books["bilevel"])
    shapes = [shape for shape, _ in entry["most_used"]]
    assert len(set(shapes)) == len(shapes) == min(plane.n_shapes, mining.N_REPORTED)
    lengths = plane.shapes.code_lengths[shapes].astype(int)  # made of these counts
    assert (np.diff(lengths) >= 0).all()


def test_the_record_is_of_the_whole_set():
    """A report on images held out trains twice; the record keeps the second training."""
    pictures = images("bilevel", 12)
    assert trained(pictures, holdout=0.25).record["planes"] == trained(pictures).record["planes"]


def test_no_trials_without_the_indicator():
    for kind, low_bits in (("bilevel", 0), ("gray8", 4)):
        ((plane, entry),) = entries_of(trained(images(kind, 4), QUICK))
        assert plane.low_bits == low_bits
        assert plane.n_shapes > 0
        assert "splits" not in entry
    options = TrainingOptions(low_bits=8, max_side=6, n_candidates=400)
    ((plane, entry),) = entries_of(trained(images("gray8", 4), options))
    assert (plane.low_bits, plane.n_shapes) == (8, 0)
    assert "splits" not in entry


@pytest.mark.parametrize("kind", KINDS)
def test_choosing_does_not_cost(kind, chosen, books):
    """Like the small codebooks, but for the choice; other images show what it is worth."""
    fresh = images(kind, 12, seed=3)
    with_choice = softcomp_codec.encode_many(fresh, codebook=chosen[kind])
    with_shapes = softcomp_codec.encode_many(fresh, codebook=books[kind])
    assert sum(map(len, with_choice)) <= sum(map(len, with_shapes))
