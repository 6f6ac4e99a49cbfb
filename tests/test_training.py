"""Training: the same codebook however the images come, and codebooks that pay."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_images import KINDS, image, images, noise, pictures
from PIL import Image
from small_codebooks import CHOOSING, QUICK

import softcomp_codec
from softcomp_codec import mining
from softcomp_codec.codebook import Codebook
from softcomp_codec.training import TrainingOptions, train


def quick(pictures_, **options):
    return train(pictures_, **{"name": "quick", "holdout": 0, "options": QUICK, **options})


def assert_useful(book, pictures_):
    """The codebook survives its file, and codes pictures exactly."""
    loaded = Codebook.from_bytes(book.to_bytes())
    assert loaded.identifier == book.identifier
    for effort in (1, 5):
        for picture in pictures_:
            data = softcomp_codec.encode(picture, codebook=book, effort=effort)
            found = softcomp_codec.decode(data, codebooks=[loaded])
            assert found.dtype == np.asarray(picture).dtype
            assert np.array_equal(found, picture)


# --- the same codebook --------------------------------------------------------------------------


@pytest.mark.parametrize("options", [QUICK, CHOOSING], ids=["shapes", "choosing"])
@pytest.mark.parametrize("kind", KINDS)
def test_order_workers_and_container_do_not_matter(kind, options):
    pictures_ = images(kind, 11)

    def trained(some, **more):
        return quick(some, holdout=0.2, options=options, **more)

    first = trained(pictures_)
    shuffled = pictures_.copy()
    random.Random(5).shuffle(shuffled)
    assert trained(shuffled).to_bytes() == first.to_bytes()
    assert trained(pictures_, workers=2).to_bytes() == first.to_bytes()
    generated = (picture for picture in shuffled)
    assert trained(generated, workers=3).identifier == first.identifier
    assert trained(map(Image.fromarray, pictures_)).identifier == first.identifier
    assert trained(pictures_[1:]).identifier != first.identifier


def test_the_third_axis_does_not_matter():
    for kind in ("bilevel", "gray8"):
        pictures_ = images(kind, 5)
        book = quick([picture[:, :, None] for picture in pictures_])
        assert book.identifier == quick(pictures_).identifier


def test_the_memory_layout_does_not_matter():
    pictures_ = images("rgb8", 5)
    frozen = [picture.copy() for picture in pictures_]
    for picture in frozen:
        picture.setflags(write=False)
    book = quick(frozen)
    assert book.identifier == quick([np.asfortranarray(p) for p in pictures_]).identifier
    assert book.identifier == quick([np.repeat(p, 2, axis=1)[:, ::2] for p in pictures_]).identifier


def test_a_generator_that_uses_one_buffer_again():
    pictures_ = images("gray8", 5)

    def one_buffer():
        buffer = np.empty_like(pictures_[0])
        for picture in pictures_:
            buffer[:] = picture
            yield buffer

    assert quick(one_buffer()).identifier == quick(pictures_).identifier


def test_name_source_and_options_are_part_of_the_id():
    pictures_ = images("gray8", 5)
    plain = quick(pictures_)
    others = [
        quick(pictures_, name="other"),
        quick(pictures_, source="elsewhere"),
        quick(pictures_, options=replace(QUICK, n_candidates=399)),
        quick(pictures_, holdout=0.5),
    ]
    assert len({book.identifier for book in [plain, *others]}) == 5


# --- record and report --------------------------------------------------------------------------


def test_record():
    pictures_ = [*images("gray8", 4), image("gray8", 9, 40), *images("bilevel", 3, height=5)]
    book = quick(pictures_, name="mixed", source="by hand")
    record = book.record
    assert (record["name"], record["source"], record["images"]) == ("mixed", "by hand", 8)
    assert record["modes"] == {
        "bilevel": {"images": 3, "smallest": [5, 24], "largest": [5, 24]},
        "gray8": {"images": 5, "smallest": [9, 24], "largest": [24, 40]},
    }
    assert record["options"]["n_candidates"] == 400
    assert len(bytes.fromhex(record["manifest"])) == 32
    assert "report" not in record
    assert Codebook.from_bytes(book.to_bytes()).record == record


def test_report_is_of_the_images_held_out():
    book = quick(images("gray8", 20), holdout=0.2)
    report = book.record["report"]
    assert report["images"] == 4
    assert report["raw_bytes"] == 4 * 24 * 24
    assert 0 < report["file_bytes"] < report["file_bytes_without_codebook"] < report["raw_bytes"]


@pytest.mark.parametrize(("n_images", "holdout", "reported"), [
    (1, 0.5, None), (2, 0.5, 1), (9, 0.1, 1), (10, 0.1, 1), (5, 0.5, 2), (3, 0.33, 1),
])  # fmt: skip
def test_share_of_the_report(n_images, holdout, reported):
    record = quick(images("gray8", n_images), holdout=holdout).record
    assert record.get("report", {"images": None})["images"] == reported


def test_a_kind_that_is_held_out_entirely():
    """The trial's codebook has no part for it; the final one has."""
    for seed in range(6):
        book = quick([*images("gray8", 3), image("rgb8", seed=seed)], holdout=0.25)
        assert book.kinds == ("gray8", "rgb8")
        assert book.record["report"]["images"] == 1


def test_progress():
    seen = []
    quick(
        images("rgb8", 10), holdout=0.1, workers=2,
        progress=lambda stage, done, total: seen.append((stage, done, total)),
    )  # fmt: skip
    assert all(isinstance(stage, str) and 0 <= done <= total for stage, done, total in seen)
    assert any(stage.startswith("held-out trial: ") for stage, _, _ in seen)
    finished = {stage for stage, done, total in seen if done == total}
    assert {stage for stage, _, _ in seen} == finished


# --- what is trained ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_similar_images_become_smaller(books, kind):
    fresh = images(kind, 12, seed=3)
    with_book = softcomp_codec.encode_many(fresh, codebook=books[kind])
    without = softcomp_codec.encode_many(fresh, codebook=None)
    assert sum(map(len, with_book)) < sum(map(len, without))
    assert_useful(books[kind], fresh[:3])


def test_images_of_several_kinds():
    pictures_ = [picture for kind in KINDS for picture in images(kind, 4)]
    book = quick(pictures_)
    assert book.kinds == KINDS
    assert_useful(book, pictures_[::3])
    alone = quick(images("gray8", 4))
    assert book.parts[1].transform == alone.parts[1].transform
    assert np.array_equal(
        book.planes_of("gray8")[0].shapes.cells, alone.planes_of("gray8")[0].shapes.cells
    )


def constant(kind, value, size=(6, 9)):
    dtype = bool if kind == "bilevel" else np.uint8
    return np.full((*size, 3) if kind == "rgb8" else size, value).astype(dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0, 1, 255])
def test_images_of_one_colour(kind, value):
    pictures_ = [constant(kind, value)] * 3
    book = quick(pictures_, holdout=0.34)
    assert_useful(book, [*pictures_, image(kind)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1)])
def test_tiny_images(kind, size):
    pictures_ = [constant(kind, 1, size), constant(kind, 0, size), image(kind, *size)]
    assert_useful(quick(pictures_), [*pictures_, image(kind)])


@pytest.mark.parametrize("kind", KINDS)
def test_one_image(kind):
    assert_useful(quick([image(kind)], holdout=0.5), [image(kind), image(kind, seed=5)])


def test_images_of_different_sizes():
    pictures_ = [image("gray8", height, width) for height, width in ((3, 90), (70, 2), (24, 24))]
    assert_useful(quick(pictures_), [*pictures_, image("gray8", 40, 40)])


@settings(max_examples=8)
@given(st.lists(pictures(), min_size=1, max_size=4))
def test_any_images(pictures_):
    assert_useful(quick(pictures_), pictures_)


@pytest.mark.parametrize("low_bits", range(1, 10))
def test_low_bits(low_bits):
    options = TrainingOptions(low_bits=low_bits, max_side=4, n_candidates=50)
    book = quick(images("rgb8", 2, height=9), options=options)
    for plane in book.planes_of("rgb8"):
        assert plane.low_bits == min(low_bits, plane.sample_bits)
        assert (plane.n_shapes > 0) == (low_bits < plane.sample_bits)
    assert_useful(book, images("rgb8", 2, height=9))


@pytest.mark.parametrize("low_bits", [0, 1])
def test_few_low_bits_of_gray(low_bits):
    options = TrainingOptions(low_bits=low_bits, max_side=2, n_candidates=50)
    book = quick(images("gray8", 2, height=9), options=options)
    (plane,) = book.planes_of("gray8")
    assert plane.low_bits == low_bits
    assert plane.n_shapes >= 255 >> low_bits
    assert_useful(book, images("gray8", 2, height=9))


def test_no_low_bits_of_colours():
    """U and V have 9 bits, so they need one low bit at least (SPEC 6.3)."""
    options = TrainingOptions(low_bits=0, max_side=2, n_candidates=50)
    assert_useful(quick(images("rgb8", 2, height=9), options=options), images("rgb8", 2, height=9))


def test_few_shapes():
    options = replace(QUICK, n_candidates=500, max_shapes=3)
    book = quick(images("bilevel", 6), options=options)
    assert 1 < book.planes_of("bilevel")[0].n_shapes <= 3 + 1
    assert_useful(book, images("bilevel", 2))


@pytest.mark.parametrize("n_candidates", [0, 1])
def test_no_candidates(n_candidates):
    options = TrainingOptions(n_candidates=n_candidates, use_indicator=False)
    book = quick(images("bilevel", 3), options=options)
    assert 1 <= book.planes_of("bilevel")[0].n_shapes <= 1 + n_candidates
    assert_useful(book, images("bilevel", 2))


def test_a_codebook_for_other_kinds_is_left_out(books):
    picture = image("gray8")
    assert softcomp_codec.encode(picture, codebook=books["rgb8"]) == softcomp_codec.encode(
        picture, codebook=None
    )


# --- mining -------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_mining_equals_naive_twin(workers):
    high = [noise((7, 9), 3, seed).astype(np.uint16) for seed in range(4)]
    counts = sum((naive.dense_windows(layer.tolist(), 3) for layer in high), start=type(
        naive.dense_windows([[0]], 1))())  # fmt: skip
    expected = {window: n for window, n in counts.items() if n >= 2}
    with ThreadPoolExecutor(workers) as pool:
        found = mining.mine_windows(high, 3, 10**6, pool, workers, lambda done, total: None)
        best = mining.mine_windows(high, 3, 10, pool, workers, lambda done, total: None)
    assert {tuple(map(tuple, window.tolist())): count for count, window in found} == expected
    ranks = [count * (np.count_nonzero(window) - 1) for count, window in found]
    assert ranks == sorted(ranks, reverse=True)
    assert [(n, w.tolist()) for n, w in best] == [(n, w.tolist()) for n, w in found[:10]]


def test_mining_of_full_tables(monkeypatch):
    """Where the windows do not fit, those that occur more often are kept."""
    high = [noise((12, 12), 2, seed).astype(np.uint16) for seed in range(6)]
    with ThreadPoolExecutor(1) as pool:
        everything = mining.mine_windows(high, 4, 10**6, pool, 1, lambda done, total: None)
        monkeypatch.setattr(mining, "TABLE", 256)
        one = mining.mine_windows(high, 4, 10**6, pool, 1, lambda done, total: None)
    with ThreadPoolExecutor(2) as pool:
        two = mining.mine_windows(high, 4, 10**6, pool, 2, lambda done, total: None)
    assert 0 < len(one) <= 128 < len(everything)
    threshold = min(count for count, _ in one)
    kept = [(n, w.tolist()) for n, w in everything if n >= threshold]
    assert [(n, w.tolist()) for n, w in one] == kept
    assert [(n, w.tolist()) for n, w in two] == kept


# --- options that cannot be ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ""}, "codebook name '', expected 1 to 64 printable characters"),
        ({"name": "x" * 65}, "expected 1 to 64 printable characters"),
        ({"name": "a\nb"}, r"codebook name 'a\\nb', expected"),
        ({"name": "\ud800"}, "expected 1 to 64 printable characters"),
        ({"holdout": -0.1}, r"holdout is -0.1, expected 0 to 0.5"),
        ({"holdout": 0.51}, r"holdout is 0.51"),
        ({"holdout": float("nan")}, "holdout is nan"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        quick(images("gray8", 2), **options)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("low_bits", -1),
        ("low_bits", 10),
        ("max_side", -1),
        ("n_candidates", -1),
        ("max_shapes", -1),
        ("min_uses", 0),
    ],
)
def test_training_options_that_cannot_be(option, value):
    with pytest.raises(ValueError, match=f"{option} is {value}, expected "):
        TrainingOptions(**{option: value})


def test_names_that_can_be():
    for name in ("x", "é" * 64, "象 scanner-7"):
        assert quick([image("gray8", 4, 4)], name=name).name == name


def test_no_images():
    for nothing in ([], (), iter([])):
        with pytest.raises(ValueError, match="no images to train on"):
            quick(nothing)


def test_images_that_the_format_does_not_hold():
    with pytest.raises(TypeError, match="cannot encode an array of dtype complex128"):
        quick([image("gray8"), np.zeros((3, 3), complex)])
    with pytest.raises(TypeError, match="cannot train on float64"):
        quick([image("gray8"), np.zeros((3, 3))])
    with pytest.raises(TypeError, match="cannot train on float32"):
        quick([Image.new("F", (3, 3))])
    with pytest.raises(ValueError, match="empty array"):
        quick([np.zeros((0, 3), np.uint8)])


def test_planes_of_a_kind_without_a_part(books):
    assert books["gray8"].planes_of("rgb8") == ()


@pytest.mark.parametrize("workers", [0, -1])
def test_at_least_one_worker(workers):
    pictures_ = images("gray8", 2)
    assert quick(pictures_, workers=workers).identifier == quick(pictures_).identifier
