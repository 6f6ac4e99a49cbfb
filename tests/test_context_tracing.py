"""Where the bits of the context coder's files went, sample by sample."""

import json

import numpy as np
import pytest
from made_images import SHAPES_OF_MODES, colours, jpeg_colours, slope, typical
from PIL import Image
from small_codebooks import made_prior, prior_book

import softcomp_codec
from softcomp_codec import coder_choice, container, context_coder, tracing

TONE_MODES = [form for form in SHAPES_OF_MODES if form[0] is not np.bool_]


def traced(array, effort=5, book=None):
    data = softcomp_codec.encode(array, effort=effort, coder="context", codebook=book)
    assert softcomp_codec.read_header(data).coder == container.CONTEXT
    return data, tracing.trace_file(data, codebooks=[book] if book else [])


def raw_costs(data, book=None):
    """The bits of each sample before they are brought to whole bytes, and those of the tiles."""
    header, payload = container.read_file(data)
    said = context_coder.describe_payload(payload, header)
    costs = np.zeros(said.costs_shape(header.height, header.width))
    priors = book.context_priors(header.mode) if book else {}
    array, _ = context_coder.decode_payload(payload, header, priors=priors, costs=costs)
    return array, costs, 8 * (len(payload) - context_coder.count_head_bytes(payload, header))


def check(array, effort=5, book=None):
    """What holds of every trace: the parts add up, and are the coder's own bits."""
    data, trace = traced(array, effort, book)
    assert np.array_equal(trace.array, array)
    assert trace.coder == "context"
    total = sum(n_bits for _, parts in trace.parts for _, n_bits in parts)
    assert total == pytest.approx(8 * len(data))
    for plane in trace.planes:
        assert plane.sample_costs.shape == array.shape[:2]
        assert plane.sample_costs.min() >= 0
        assert plane.sample_costs.sum() == pytest.approx(plane.n_bits)
        if plane.limits.lowest == plane.limits.highest:
            assert plane.n_bits == 0
    found, costs, n_bits = raw_costs(data, book)
    assert np.array_equal(found, array)
    assert costs.sum() == pytest.approx(n_bits, abs=40 * n_tiles(data), rel=0.001)
    return trace


def n_tiles(data):
    header, payload = container.read_file(data)
    return context_coder.describe_payload(payload, header).n_tiles


@pytest.mark.parametrize("effort", [1, 5, 9])
@pytest.mark.parametrize("form", TONE_MODES, ids=str)
def test_the_parts_add_up(form, effort):
    dtype, n_planes = form
    shape = (40, 48) if n_planes is None else (40, 48, n_planes)
    trace = check(typical(shape, dtype), effort)
    assert len(trace.planes) == (n_planes or 1)


@pytest.mark.parametrize("effort", [5, 7])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_log_odds_that_add_up(dtype, effort, monkeypatch):
    monkeypatch.setattr(context_coder, "MIXED_PIXELS", 1000)
    array = typical((40, 48, 3), dtype)
    check(array, effort)
    header, payload = container.read_file(traced(array, effort)[0])
    assert context_coder.describe_payload(payload, header).summed


def test_a_cheap_half_costs_less():
    array = slope(64, 64).copy()
    array[:, 32:] = 90
    (plane,) = check(array).planes
    assert plane.sample_costs[:, :32].sum() > 10 * plane.sample_costs[:, 34:].sum()


def test_planes_are_named_after_the_colour_transform():
    names = [plane.name for plane in check(colours(40, 40)).planes]
    assert names == ["R", "G - R", "B - (R + G) / 2"]
    trace = check(jpeg_colours(40, 40))
    assert [plane.name for plane in trace.planes] == ["Y", "Cb", "Cr", "corrections"]
    assert trace.planes[3].n_bits == 0
    with_alpha = np.dstack([jpeg_colours(40, 40), slope(40, 40)])
    assert [plane.name for plane in check(with_alpha).planes][-2:] == ["corrections", "alpha"]
    assert [plane.name for plane in check(typical((30, 30, 2), np.uint8)).planes][-1] == "alpha"


def test_tiles_are_put_together(monkeypatch):
    array = slope(60, 50)
    whole = check(array).planes[0]
    monkeypatch.setattr(context_coder, "TILE_PIXELS", 1000)
    monkeypatch.setattr(context_coder, "TILE_SIDE", 25)
    data, trace = traced(array)
    assert n_tiles(data) == 4
    check(array)
    assert trace.planes[0].n_bits > whole.n_bits  # each tile learns anew
    assert np.array_equal(trace.planes[0].sample_costs > 0, whole.sample_costs > 0)


def test_priors_are_followed():
    book = prior_book(made_prior())
    data = softcomp_codec.encode(slope(40, 40), effort=4, coder="context", codebook=book)
    assert softcomp_codec.read_header(data).codebook_reference
    assert check(slope(40, 40), 4, book).codebook == "by hand"
    neutral = tracing.trace_file(softcomp_codec.encode(slope(40, 40), effort=4, codebook=None))
    assert neutral.codebook == ""


def test_nothing_is_noted_otherwise():
    array = slope(30, 30)
    data = softcomp_codec.encode(array, coder="context", codebook=None)
    header, payload = container.read_file(data)
    assert np.array_equal(context_coder.decode_payload(payload, header)[0], array)


# ---- The commands --------------------------------------------------------------------------------


def run(*args, code=0):
    testing = pytest.importorskip("typer.testing")
    pytest.importorskip("rich")
    from softcomp_codec.cli.app import build_app

    result = testing.CliRunner().invoke(build_app(), [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result.output


def test_explain_is_about_what_encode_writes(tmp_path):
    picture = tmp_path / "colours.png"
    Image.fromarray(colours(150, 140)).save(picture)
    run("encode", picture, "--codebook", "none")
    size = picture.with_suffix(".scf").stat().st_size
    for path in (picture, picture.with_suffix(".scf")):
        explained = json.loads(run("explain", path, "--codebook", "none", "--json"))
        assert (explained["coder"], explained["file_bytes"]) == ("context", size)
        bits = sum(sum(parts.values()) for parts in explained["bits"].values())
        assert bits == pytest.approx(8 * size, abs=10)
        assert [plane["name"] for plane in explained["planes"]][1:] == ["G - R", "B - (R + G) / 2"]
    text = run("explain", picture, "--codebook", "none")
    for part in ("zero or not", "signs", "sizes", "bits a sample"):
        assert part in text
    assert "low layer" in run("explain", picture, "--codebook", "none", "--coder", "shapes")
    assert "--coder bzip" in run("explain", picture, "--coder", "bzip", code=2)
    sizes = [
        json.loads(run("explain", picture, "--effort", effort, "--json"))["file_bytes"]
        for effort in (1, 9)
    ]
    assert sizes[1] < sizes[0]


def test_pictures_of_other_coders_are_explained_by_shapes(tmp_path, monkeypatch):
    picture = tmp_path / "gray.png"
    Image.fromarray(slope(150, 140)).save(picture)
    monkeypatch.setattr(tracing, "EXPLAINED", (container.STORED, container.SHAPES))
    assert json.loads(run("explain", picture, "--json"))["coder"] == "shapes"
    path = tmp_path / "context.scf"
    path.write_bytes(softcomp_codec.encode(slope(150, 140), codebook=None))
    text = " ".join(run("explain", path, code=1).split())
    assert "files of the context coder cannot be explained, only those of: stored, shapes" in text


def test_info_says_what_the_prior_has(tmp_path, monkeypatch):
    monkeypatch.setattr(coder_choice, "TRIAL_EFFORT", 10)  # the prior, whether or not it pays
    book = prior_book(made_prior())
    for effort, parts in (
        (4, ["least squares", "filters", "states up to count 30"]),
        (5, ["least squares", "filters", "states up to count 30", "weights"]),
    ):
        path = tmp_path / f"effort-{effort}.scf"
        path.write_bytes(
            softcomp_codec.encode(slope(40, 40), effort=effort, coder="context", codebook=book)
        )
        assert "prior +" not in run("info", "--header", path)
        assert json.loads(run("info", path, "--json"))["details"]["prior"] is None
        assert "which is missing" in run("info", path)
        book.save(tmp_path / "hand.scfb")
        found = run("info", path, "--json", "--codebook", tmp_path / "hand.scfb")
        assert json.loads(found)["details"]["prior"] == parts
        assert "filters, states" in run("info", path)  # found beside the file
        (tmp_path / "hand.scfb").unlink()
    plain = tmp_path / "plain.scf"
    plain.write_bytes(softcomp_codec.encode(slope(150, 150), codebook=None))
    assert json.loads(run("info", plain, "--json"))["details"]["prior"] == []
