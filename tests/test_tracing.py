"""Where the bits of files went: the parts add up, and the boxes paint the shape layer."""

import json
from dataclasses import replace

import numpy as np
import pytest
from made_images import CONTENTS, KINDS, filled, image, images
from PIL import Image
from small_codebooks import QUICK

import softcomp_codec
from softcomp_codec import container, shapes, tracing
from softcomp_codec.codebook import Codebook, KindBook


def unlike(book):
    """The same codebook, but bad at coding planes without shapes."""
    parts = {}
    for kind, part in book.parts.items():
        planes = []
        for plane in part.planes:
            states = plane.full_states.copy()
            states[:, 1:] = 60_000 << 16 | 255
            low_states = states if plane.low_bits == plane.sample_bits else plane.low_states
            planes.append(replace(plane, full_states=states, low_states=low_states))
        parts[kind] = KindBook(part.transform, tuple(planes))
    return Codebook(book.record, parts)


@pytest.fixture(scope="module")
def shaped_books():
    """Codebooks with which pictures of each kind get shapes in every plane."""
    books = {}
    for kind in KINDS:
        pictures = images(kind, 12, height=48, width=48)
        books[kind] = unlike(
            softcomp_codec.train(pictures, name=f"shaped-{kind}", holdout=0, options=QUICK)
        )
    return books


def explained(array, book=None, effort=5):
    data = softcomp_codec.encode(array, codebook=book, effort=effort, coder="shapes")
    trace = tracing.trace_file(data, codebooks=[book] if book else [])
    return data, trace


def total_bits(trace):
    return sum(n_bits for _, parts in trace.parts for _, n_bits in parts)


def check(data, trace, array, book):
    """What holds of every trace."""
    assert np.array_equal(trace.array, array)
    assert trace.file_bytes == len(data)
    assert total_bits(trace) == pytest.approx(8 * len(data))
    for index, plane in enumerate(trace.planes):
        assert plane.sample_costs.shape == plane.layer.shape
        end_mark = 0
        painted = np.zeros_like(plane.layer)
        if book is not None and len(plane.placed):
            known = next(iter(book.parts.values())).planes[index].shapes
            end_mark = int(known.code_lengths[-1])
            for shape, (top, left, height, width) in zip(plane.placed, plane.boxes, strict=True):
                painted[top : top + height, left : left + width] = known.window(shape)
            assert np.array_equal(painted, plane.layer)
        cost = plane.sample_costs.sum()
        assert cost == pytest.approx(plane.n_bits - end_mark, abs=40, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_add_up(kind, books):
    for seed in range(4):
        array = image(kind, 40, 56, seed)
        for book in (None, books[kind]):
            check(*explained(array, book), array, book)


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_paint_the_shape_layer(kind, shaped_books):
    array = image(kind, 48, 48, 3)
    data, trace = explained(array, shaped_books[kind], effort=4)  # never without the codebook
    assert trace.codebook == f"shaped-{kind}"
    assert any(len(plane.boxes) for plane in trace.planes)
    check(data, trace, array, shaped_books[kind])


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (5, 7)])
def test_small_and_odd_pictures(size, content):
    for dtype, top in ((bool, 1), (np.uint8, 255)):
        array = filled(size, content, top).astype(dtype)
        check(*explained(array), array, None)


def test_a_stored_file_has_no_planes():
    noise = filled((20, 20), "noise", 255).astype(np.uint8)
    data, trace = explained(noise)
    assert trace.coder == "stored"
    assert trace.planes == ()
    assert dict(trace.parts[0][1]) == {"stored samples": 8 * noise.size}
    check(data, trace, noise, None)


def test_planes_are_named_after_the_colour_transform(shaped_books):
    _, trace = explained(image("rgb8", 40, 40), shaped_books["rgb8"])
    assert trace.transform != "none"
    assert [plane.name for plane in trace.planes][1:] == ["R - G", "B - G"]


def test_the_first_frame_is_explained(books):
    frames = images("gray8", 3)
    data = softcomp_codec.encode_frames(frames, codebook=books["gray8"])
    trace = tracing.trace_file(data, codebooks=[books["gray8"]])
    assert np.array_equal(trace.array, frames[0])
    header, payload = container.read_file(data)
    assert trace.payload_bytes == len(container.frame_payload(header, payload, 0))


def test_placements_of_another_encoder_are_not_made_up(shaped_books, monkeypatch):
    book = shaped_books["bilevel"]
    data = softcomp_codec.encode(image("bilevel", 48, 48, 3), codebook=book, effort=4)

    def single_cells(layer, known, _):
        cell = next(i for i in range(len(known)) if known.window(i).shape == (1, 1))
        n_cells = int(np.count_nonzero(layer))
        gaps = np.diff(np.flatnonzero(layer), prepend=-1) - 1
        return replace(
            original(np.zeros_like(layer), known, 0),
            placed=np.full(n_cells, cell, np.int32),
            gaps=gaps.astype(np.int64),
        )

    original = shapes.match_shapes
    monkeypatch.setattr(shapes, "match_shapes", single_cells)
    with pytest.raises(softcomp_codec.ScfError, match="not where this release's encoder puts"):
        tracing.trace_file(data, codebooks=[book])


def test_damage_is_an_error(books):
    data = bytearray(softcomp_codec.encode(image("gray8", 40, 40), codebook=books["gray8"]))
    data[-3] ^= 1
    with pytest.raises(softcomp_codec.ScfError):
        tracing.trace_file(bytes(data), codebooks=[books["gray8"]])


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_the_reference_coder_are_refused(kind):
    pictures = images(kind, 12, height=32, width=32)
    book = softcomp_codec.train(pictures, name="published", holdout=0, settings="reference")
    data = softcomp_codec.encode(pictures[0], codebook=book)
    assert softcomp_codec.read_header(data).coder == container.REFERENCE
    with pytest.raises(softcomp_codec.UnsupportedStreamError, match="reference coder cannot be"):
        tracing.trace_file(data, codebooks=[book])


# ---- scf explain ---------------------------------------------------------------------------------


def run(*args, code=0):
    testing = pytest.importorskip("typer.testing")
    pytest.importorskip("rich")
    from softcomp_codec.cli.app import build_app

    result = testing.CliRunner().invoke(build_app(), [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def letters_book():
    """A codebook of one page of letters at many places, which pays for that page."""
    page = image("bilevel", 40, 40, 3)
    pages = [np.roll(page, (i % 5 - 2, i // 5 - 2), axis=(0, 1)) for i in range(25)]
    return softcomp_codec.train(pages, name="letters", holdout=0)


@pytest.fixture
def picture(tmp_path, letters_book):
    """A page of letters, and beside it the codebook."""
    path = tmp_path / "letters.png"
    Image.fromarray(image("bilevel", 40, 40, 3)).save(path)
    letters_book.save(tmp_path / "letters.scfb")
    return path


def test_explain_says_where_the_bits_went(picture):
    text = run("explain", picture, "--codebook", picture.with_suffix(".scfb"))
    assert "codebook  letters" in text
    assert "placed" in text
    for part in ("shapes", "locations", "header and settings"):
        assert part in text


def test_explain_of_an_scf_file_is_the_same(picture):
    book = picture.with_suffix(".scfb")
    run("encode", picture, "--codebook", book, "--coder", "shapes")
    of_picture = json.loads(run("explain", picture, "--codebook", book, "--json"))
    of_file = json.loads(run("explain", picture.with_suffix(".scf"), "--json"))
    assert of_file.pop("file") != of_picture.pop("file")
    assert of_file == of_picture
    n_bits = sum(sum(parts.values()) for parts in of_file["bits"].values())
    assert n_bits == pytest.approx(8 * picture.with_suffix(".scf").stat().st_size, abs=3)


def test_explain_refuses_what_is_no_picture(tmp_path):
    assert "no picture" in run("explain", __file__, code=1)
    assert "absent.png" in run("explain", tmp_path / "absent.png", code=1)


def test_explain_refuses_files_of_the_reference_coder(picture):
    book = picture.with_name("published.scfb")
    pages = [image("bilevel", 40, 40, seed) for seed in range(8)]
    softcomp_codec.train(pages, name="published", holdout=0, settings="reference").save(book)
    run("encode", picture, "--codebook", book)
    for path in (picture.with_suffix(".scf"), picture):
        text = run("explain", path, "--codebook", book, code=1)
        assert text.count("\n") == 1
        assert "reference coder cannot be explained" in " ".join(text.split())
