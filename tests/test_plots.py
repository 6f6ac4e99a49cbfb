"""The pictures of codebooks and coded images: that they are drawn, of what, and without Matplotlib
one helpful line."""

import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from made_images import (
    KINDS,
    SHAPES_OF_MODES,
    colours,
    image,
    images,
    jpeg_colours,
    noise,
    slope,
    top_of,
    typical,
)
from PIL import Image
from small_codebooks import made_prior, prior_book, with_windows

import softcomp_codec
from softcomp_codec import plots, tracing

pytest.importorskip("matplotlib", reason="plots need Matplotlib: pip install '.[bench]'")
testing = pytest.importorskip("typer.testing")
pytest.importorskip("rich")

from softcomp_codec.cli.app import build_app  # noqa: E402


def run(*args, code=0):
    result = testing.CliRunner().invoke(build_app(), [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result.output


def opened(data):
    """The picture; it must show something."""
    with Image.open(BytesIO(data)) as picture:
        picture.load()
    assert picture.format == "PNG"
    assert min(picture.size) > 100
    assert len(np.unique(np.asarray(picture.convert("L")))) > 10
    return picture


def trace_of(array, book=None, coder="shapes"):
    data = softcomp_codec.encode(array, codebook=book, coder=coder)
    return tracing.trace_file(data, codebooks=[book] if book else [])


@pytest.mark.parametrize("kind", KINDS)
def test_codebooks_are_drawn(kind, books):
    opened(plots.draw_codebook(books[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_codebooks_of_the_reference_settings_are_drawn(kind):
    book = softcomp_codec.train(images(kind, 8), name="published", holdout=0, settings="reference")
    opened(plots.draw_codebook(book))


def test_shapes_are_drawn_with_their_uses(books):
    book = books["bilevel"]
    ((_, shapes, uses),) = plots._named_shapes(book)
    recorded = book.record["planes"]["bilevel"]["most_used"]
    assert list(uses.items()) == [tuple(pair) for pair in recorded]
    assert list(uses.values()) == sorted(uses.values(), reverse=True)
    assert len(uses) == min(128, len(shapes))


@pytest.mark.parametrize(
    "entry", [None, 5, {"most_used": 5}, {"most_used": [[0]]}, {"most_used": [[10**9, 1]]},
              {"most_used": [[-1, 1]]}, {"most_used": [["a", 1]]}]
)  # fmt: skip
def test_records_of_other_trainers_are_drawn_without_uses(entry, books):
    book = books["bilevel"]
    other = softcomp_codec.Codebook({**book.record, "planes": {"bilevel": entry}}, book.parts)
    assert plots._named_shapes(other)[0][2] == {}
    opened(plots.draw_codebook(other))


def test_large_shapes_and_no_shapes_are_drawn(books):
    windows = [np.ones(size, np.uint16) for size in ((1, 1), (28, 28), (2, 90), (200, 1))]
    large = with_windows(books["bilevel"], 0, 0, windows)
    assert opened(plots.draw_codebook(large)).height < 1500
    empty = with_windows(books["bilevel"], 0, 0, [], np.array([1], np.uint8))
    opened(plots.draw_codebook(empty))


def test_without_shapes_there_is_nothing_to_draw(tmp_path):
    prior_book(made_prior()).save(tmp_path / "priors.scfb")
    output = run("codebook", "show", tmp_path / "priors.scfb", "--plot", tmp_path / "a.png", code=1)
    assert "no shapes to draw" in output
    assert not (tmp_path / "a.png").exists()


def test_the_commonest_shapes_have_the_shortest_codewords(books):
    windows = [np.ones((1, width), np.uint16) for width in (1, 2, 3, 4)]
    lengths = np.array([3, 1, 3, 4, 4], np.uint8)
    shapes = with_windows(books["bilevel"], 0, 0, windows, lengths).parts[0].planes[0].shapes
    assert plots.commonest_shapes(shapes, 3).tolist() == [1, 2, 0]


@pytest.mark.parametrize("side", [24, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_coded_pictures_are_drawn(kind, side, books):
    for book in (None, books[kind]):
        opened(plots.draw_trace(trace_of(image(kind, side, side + 9, 3), book), "a title"))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (9, 9, 1)])
def test_odd_pictures_are_drawn(shape):
    opened(plots.draw_trace(trace_of(np.full(shape, 7, np.uint8)), "a title"))


def test_a_stored_picture_is_drawn():
    noise = np.random.default_rng(1).integers(0, 256, (30, 30)).astype(np.uint8)
    trace = trace_of(noise)
    assert not trace.planes
    opened(plots.draw_trace(trace, "a title"))


@pytest.mark.parametrize(("dtype", "n_planes"), SHAPES_OF_MODES)
def test_pictures_of_every_mode_are_drawn(dtype, n_planes):
    shape = (17, 12) if n_planes is None else (17, 12, n_planes)
    array = noise(shape, top_of(dtype) + 1).astype(dtype)
    before = array.copy()
    opened(plots.draw_trace(trace_of(array), "a title"))
    assert np.array_equal(array, before)


@pytest.mark.parametrize("array", [
    slope(70, 80), typical((30, 40, 2), np.uint8), colours(70, 80), jpeg_colours(30, 40),
    typical((30, 40, 4), np.uint16), np.dstack([jpeg_colours(30, 40), slope(30, 40)]),
])  # fmt: skip
def test_context_files_are_drawn(array):
    trace = trace_of(array, coder="context")
    assert trace.coder == "context"
    opened(plots.draw_trace(trace, "a title"))


# ---- The commands --------------------------------------------------------------------------------


@pytest.fixture
def files(books, tmp_path):
    """A picture and a codebook."""
    picture, book = tmp_path / "letters.png", tmp_path / "letters.scfb"
    Image.fromarray(image("bilevel", 64, 64, 5)).save(picture)
    books["bilevel"].save(book)
    return picture, book


def test_the_commands_write_plots(files, tmp_path):
    picture, book = files
    plot = tmp_path / "plots" / "a.png"
    assert "drawn to" in run("explain", picture, "--codebook", book, "--plot", plot)
    opened(plot.read_bytes())
    assert "drawn to" in run("codebook", "show", book, "--plot", tmp_path / "b.png")
    opened((tmp_path / "b.png").read_bytes())


def test_plots_never_replace_without_force(files, tmp_path):
    picture, book = files
    plot = tmp_path / "precious.png"
    plot.write_bytes(b"precious")
    for command in (["explain", picture], ["codebook", "show", book]):
        assert "--force" in run(*command, "--plot", plot, code=1)
        assert plot.read_bytes() == b"precious"
        run(*command, "--plot", plot, "-f")
        opened(plot.read_bytes())
        plot.write_bytes(b"precious")


def test_plots_are_png(files, tmp_path):
    assert ".png" in run("explain", files[0], "--plot", tmp_path / "a.jpg", code=2)


def test_without_matplotlib_there_is_one_helpful_line(files, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for command in (["explain", files[0]], ["codebook", "show", files[1]]):
        text = run(*command, "--plot", tmp_path / "a.png", code=1)
        assert text.count("\n") == 1
        assert "pip install 'softcomp-codec[bench]'" in text
        assert not (tmp_path / "a.png").exists()
        run(*command)


def test_matplotlib_is_loaded_for_plots_only(files):
    code = (
        "import sys\n"
        "from softcomp_codec.cli.app import build_app\n"
        f"build_app()(['explain', {str(files[0])!r}], standalone_mode=False)\n"
        "import softcomp_codec.plots\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
