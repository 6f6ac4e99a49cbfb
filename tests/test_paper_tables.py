"""The paper's tables, on a few small synthetic images."""

import gzip
import os
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from made_images import CONTENTS, filled, image
from PIL import Image

pytest.importorskip("imagecodecs", reason="tables need imagecodecs: pip install '.[bench]'")
pytest.importorskip("matplotlib", reason="tables need Matplotlib: pip install '.[bench]'")
pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="takes long without compiled kernels"
)

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))

import measuring  # noqa: E402
import paper_tables  # noqa: E402
import peers  # noqa: E402

import softcomp_codec  # noqa: E402
from softcomp_codec import container, reference_coder  # noqa: E402
from softcomp_codec.planes import mode_of_array  # noqa: E402

N_TEST = 2
"""Test images of each class or set."""

PEERS = ("PNG", "JPEG 2000", "JPEG-LS", "Arithmetic coding", "WebP lossless", "JPEG XL, effort 7",
         "JPEG XL, effort 9")  # fmt: skip
AUTO = ("SCF auto, effort 1", "SCF auto, effort 5", "SCF auto, effort 9")


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes(), mtime=0))


def write_labelled(folder, kind, scale):
    for part, n_images, seed in (("train", 40, 0), ("t10k", 10 * N_TEST, 1000)):
        pictures = [image(kind, 28, 28, seed + i) * np.uint8(scale) for i in range(n_images)]
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", np.stack(pictures))
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", np.arange(n_images) % 10)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder like that of ``--data``, with Fashion-MNIST in its folder fashion."""
    folder = tmp_path_factory.mktemp("data")
    write_labelled(folder / "mnist", "bilevel", 255)
    write_labelled(folder / "fashion", "gray8", 1)
    for name in ("drive", "ph2"):
        for part, seed in (("train", 0), ("test", 50)):
            (folder / name / part).mkdir(parents=True)
            for index in range(N_TEST):
                picture = Image.fromarray(image("rgb8", 60, 70, seed + index))
                picture.save(folder / name / part / f"{index}.png")
    return folder


@pytest.fixture(autouse=True)
def no_commit(monkeypatch):
    """What git says does not matter here."""
    monkeypatch.setattr("table_text.describe_machine", lambda *_: "- a machine\n")


def run(table, data, out, *more):
    paper_tables.main([
        "--table", table, "--data", str(data), "--fashion-mnist", str(data / "fashion"),
        "--out", str(out), "-j", "1", *more,
    ])  # fmt: skip
    suffix = "-reduced" if "--images" in more else ""
    with Image.open(out / f"table-{table}{suffix}.png") as plot:
        plot.load()
        assert min(plot.size) > 300
    return (out / f"table-{table}{suffix}.md").read_text()


def section(text, heading):
    return re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)[1]


def rows(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells[2:]}


@pytest.mark.parametrize("table", ["2", "4", "binary"])
def test_tables_of_classes(table, data, tmp_path, capsys):
    text = run(table, data, tmp_path, "--without-reference")
    assert capsys.readouterr().out.strip() == text.strip()
    summary = rows(section(text, "All test images"))
    assert set(summary) == {"SCF default", *AUTO, *PEERS}
    assert len({summary[name]["codebook bytes"] for name in ("SCF default", *AUTO)}) == 1
    raw = 10 * N_TEST * 28 * 28 // (8 if table == "binary" else 1)
    assert f"Raw: {raw:,} bytes." in text
    for row in summary.values():
        size = int(row["file bytes"].replace(",", ""))
        assert float(row["ratio by totals"]) == pytest.approx(raw / size, abs=0.001)
        counted = int(row["counted bits"].replace(",", ""))
        assert float(row["ratio by totals, counted"]) == pytest.approx(8 * raw / counted, abs=0.001)
    assert counted == 8 * size  # the last one is a peer
    by_class = rows(section(text, "Ratio by totals, by class"))
    assert len(by_class) == 10
    if table != "2":
        matrix = rows(section(text, "SCF default: ratio by totals, real files"))
        for name in by_class:
            assert matrix[name][name] == by_class[name]["SCF default"]
    assert "Reduced run" not in text
    assert "Left out by option" in text


def test_table_of_photographs(data, tmp_path, monkeypatch):
    trained = []
    train = softcomp_codec.train

    def noted(*args, **options):
        book = train(*args, **options)
        trained.append(book)
        return book

    monkeypatch.setattr(softcomp_codec, "train", noted)
    text = run("3", data, tmp_path)
    for name in ("DRIVE", "PH2"):
        expected = {"SCF default", "SCF reference", *AUTO, "JPEG-LS, green diff.", *PEERS}
        expected.add(paper_tables.WITHOUT_PASTS)
        assert set(rows(section(text, name))) == expected
    reference = [book for book in trained if book.reference]
    assert [book.name for book in reference] == ["DRIVE, SCF reference", "PH2, SCF reference"]
    assert reference[0].reference[2].scheme.name == "mode i"
    assert "the default is" in section(text, "Beside the authors' code")


@pytest.mark.parametrize("table", ["2", "binary"])
def test_the_column_of_the_reference_settings(table, data, tmp_path):
    text = run(table, data, tmp_path, "--images", "1", "--train-images", "2")
    assert "Left out by option" not in text
    row = rows(section(text, "All test images"))["SCF reference"]
    size, counted = (int(row[name].replace(",", "")) for name in ("file bytes", "counted bits"))
    assert 0 < counted < 8 * size
    by_class = rows(section(text, "Ratio by totals, by class"))
    assert all(float(each["SCF reference"]) > 0 for each in by_class.values())
    if table == "binary":
        matrix = rows(section(text, "SCF reference: ratio by totals, real files"))
        assert all(matrix[name][name] == by_class[name]["SCF reference"] for name in by_class)


@pytest.mark.parametrize("kind", ["bilevel", "gray8", "rgb8"])
def test_reference_bits_are_counted_as_the_authors_count(kind, tmp_path):
    pictures = [image(kind, 28, 28, i) for i in range(6)]
    book = softcomp_codec.train(pictures, name="published", holdout=0, settings="reference")
    book.save(tmp_path / "published.scfb")
    part = next(iter(book.reference.values()))
    expected = [reference_coder.count_bits(a, mode_of_array(a), part) for a in pictures]
    spec = measuring.CodecSpec(measuring.SCF_REFERENCE, kind, str(tmp_path / "published.scfb"))
    with measuring.Meter(1) as meter:
        measured = meter.measure(spec, pictures)
    assert measured.counted_bits.tolist() == expected


def test_the_authors_figure_stands_beside_the_same_images_only(data, tmp_path, monkeypatch):
    monkeypatch.setitem(paper_tables.table_text.AUTHORS, "3", ("first", N_TEST, "DRIVE", 1.5))
    text = run("3", data, tmp_path, "--without-reference")
    beside = rows(section(text, "Beside the authors' code"))["SCF default"]
    summary = rows(section(text, "DRIVE"))["SCF default"]
    assert "gives a mean of ratios of 1.500" in text
    assert beside["mean of ratios, counted"] == summary["mean of ratios, counted"]
    assert beside["file bytes"] == summary["file bytes"]


def test_reduced_runs_say_so(data, tmp_path):
    text = run(
        "binary", data, tmp_path, "--images", "1", "--train-images", "2", "--without-reference"
    )
    assert "Reduced run: only the first 1 test images of each class" in text
    assert "only the first 2 training images" in text
    assert "Not compared: that takes the first 10 test images of each class" in text
    assert not (tmp_path / "table-binary.md").exists()


def test_processes_give_the_same_figures(data):
    arrays = [image("gray8", 28, 28, i) for i in range(5)]
    spec = measuring.CodecSpec("jpegls", "gray8")
    with measuring.Meter(1) as one, measuring.Meter(2) as two:
        found, same = one.measure(spec, arrays), two.measure(spec, arrays)
    assert np.array_equal(found.file_bytes, same.file_bytes)
    assert np.array_equal(found.raw_bits, [28 * 28 * 8] * 5)


@pytest.mark.parametrize("kind", ["bilevel", "gray8", "rgb8"])
def test_peers_are_lossless(kind):
    shape = (9, 17, 3) if kind == "rgb8" else (9, 17)
    dtype, top = (bool, 1) if kind == "bilevel" else (np.uint8, 255)
    pictures = [filled(shape, content, top).astype(dtype) for content in CONTENTS]
    pictures += [image(kind, 80, 70)]
    for peer in peers.peers_for(kind).values():
        for array in pictures:
            again = peer.decode(peer.encode(array))
            assert again.dtype == array.dtype, peer.name
            assert np.array_equal(again, array), peer.name


def test_a_file_that_is_not_exact_ends_the_run(monkeypatch):
    wrong = peers.Peer("PNG", "", lambda _: b"x", lambda _: np.zeros((2, 2), np.uint8))
    monkeypatch.setattr(peers, "peers_for", lambda _: {"png": wrong})
    measuring._codec.cache_clear()
    with pytest.raises(SystemExit, match="did not come back exactly"), measuring.Meter(1) as meter:
        meter.measure(measuring.CodecSpec("png", "gray8"), [np.ones((2, 2), np.uint8)])
    measuring._codec.cache_clear()


def test_the_default_column_is_the_shapes_coder(tmp_path):
    pictures = [image("gray8", 130, 130, i) for i in range(3)]
    book = softcomp_codec.train(pictures, name="shapes", holdout=0)
    book.save(tmp_path / "shapes.scfb")
    coders = {}
    for key in (measuring.SCF_DEFAULT, measuring.SCF_PIXELS, *measuring.SCF_AUTO.values()):
        codec = measuring._codec(measuring.CodecSpec(key, "gray8", str(tmp_path / "shapes.scfb")))
        data = codec.encode(pictures[0])
        coders[key] = softcomp_codec.read_header(data).coder
        assert np.array_equal(codec.decode(data), pictures[0])
    assert coders.pop(measuring.SCF_DEFAULT) == container.SHAPES
    assert set(coders.values()) == {container.CONTEXT}


def test_means_and_totals():
    measured = measuring.Measured(*(np.array(values, float) for values in (
        [800, 800], [50, 25], [80, 160], [1, 1], [1, 3],
    )))  # fmt: skip
    assert measured.total_ratio == pytest.approx(1600 / 600)
    assert measured.mean_ratio == pytest.approx(3)
    assert measured.counted_total_ratio == pytest.approx(1600 / 240)
    assert measured.counted_mean_ratio == pytest.approx(7.5)
    assert measured.select(slice(1)).mean_ratio == pytest.approx(2)
    assert len(measuring.Measured.together([measured, measured])) == 4
    assert measured.encode_speed == pytest.approx(0.0001)


def test_missing_data_is_named(tmp_path):
    for table in ("2", "binary"):
        with pytest.raises(SystemExit, match="gz is missing"):
            run(table, tmp_path, tmp_path)
    with pytest.raises(SystemExit, match="holds no PNG images"):
        run("3", tmp_path, tmp_path)


def test_missing_libraries_are_named(data, tmp_path, monkeypatch):
    monkeypatch.setattr("softcomp_codec.peers.find_spec", lambda _: None)
    monkeypatch.setattr(paper_tables, "find_spec", lambda _: None)
    with pytest.raises(SystemExit, match=r"imagecodecs: pip install .*; matplotlib: pip install"):
        run("2", data, tmp_path)
