"""``scf bench``, the peers and `benchmarks/peer_tables.py`, on a few small synthetic images."""

import json
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from made_images import (
    CONTENTS,
    SHAPES_OF_MODES,
    decoded_jpeg,
    filled,
    image,
    made_past,
    noise,
    top_of,
    typical,
)
from PIL import Image, features

import softcomp_codec
from softcomp_codec import comparison, container, peers, worker_threads
from softcomp_codec.planes import mode_of_array

typer_testing = pytest.importorskip("typer.testing")
pytest.importorskip("rich")

from softcomp_codec.cli.app import build_app  # noqa: E402

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))

pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="takes long without compiled kernels"
)
needs_imagecodecs = pytest.mark.skipif(
    find_spec("imagecodecs") is None, reason="needs imagecodecs: pip install '.[bench]'"
)


def scf(*arguments):
    return typer_testing.CliRunner().invoke(build_app(), ["bench", *map(str, arguments)])


@pytest.fixture
def pictures(tmp_path):
    """A folder with pictures of several modes."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(2):
        Image.fromarray(image("gray8", 40, 50, index)).save(folder / f"gray-{index}.png")
    Image.fromarray(image("rgb8", 40, 50)).save(folder / "rgb.png")
    Image.fromarray(image("bilevel", 40, 50)).save(folder / "bilevel.png")
    Image.fromarray(noise((20, 30), 4096).astype(np.uint16)).save(folder / "deep.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def only_pillow(monkeypatch):
    """No imagecodecs and no programs, as after `pip install '.[cli]'`."""
    monkeypatch.setattr(peers, "find_spec", lambda _: None)
    monkeypatch.setattr(peers.shutil, "which", lambda _: None)


# ---- Peers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "n_planes"), SHAPES_OF_MODES)
def test_every_peer_of_every_mode_is_lossless(dtype, n_planes):
    tail = () if n_planes is None else (n_planes,)
    arrays = [filled((9, 17, *tail), content, top_of(dtype)).astype(dtype) for content in CONTENTS]
    arrays += [typical((70, 80, *tail), dtype)] if dtype is not np.bool_ else []
    mode = mode_of_array(arrays[0])
    found = peers.peers_for(mode)
    assert found or find_spec("imagecodecs") is None
    for peer in found.values():
        for array in arrays:
            again = peer.decode(peer.encode(array))
            assert (again.dtype, again.shape) == (array.dtype, array.shape), peer.name
            assert np.array_equal(again, array), peer.name


def test_invisible_colours_are_kept():
    array = noise((16, 16, 4)).astype(np.uint8)
    array[:8, :, 3] = 0
    for peer in peers.peers_for(mode_of_array(array)).values():
        assert np.array_equal(peer.decode(peer.encode(array)), array), peer.name


def test_modes_that_a_format_cannot_hold_have_a_reason():
    deep = mode_of_array(np.zeros((2, 2, 3), np.uint16))
    reasons = peers.refusals(deep)
    assert reasons["PNG"] == "Pillow keeps 16 bits of gray only"
    if features.check("webp"):
        assert reasons["WebP lossless"] == "8 bits a sample only"
    assert not set(reasons) & {peer.name for peer in peers.peers_for(deep).values()}
    assert not peers.refusals(mode_of_array(np.zeros((2, 2, 3), np.uint8)))


def test_what_is_missing_is_named(only_pillow):
    lacking = [str(each) for each in peers.missing_peers()]
    assert "JPEG-LS, JPEG 2000, JPEG XL: need imagecodecs: pip install 'softcomp-codec[bench]'" in (
        lacking
    )
    assert any("pbmtojbg" in line for line in lacking)
    assert not any("pbmtojbg" in str(each) for each in peers.missing_peers(bilevel=False))


@pytest.mark.skipif(peers.shutil.which("pbmtojbg") is None, reason="needs jbigkit-bin")
def test_jbig1_takes_part_with_bilevel_images_only():
    assert "jbig1" in peers.peers_for(mode_of_array(np.zeros((2, 2), bool)))
    assert "jbig1" not in peers.peers_for(mode_of_array(np.zeros((2, 2), np.uint8)))
    with pytest.raises(OSError, match="jbgtopbm: "):
        peers.peers_for(mode_of_array(np.zeros((2, 2), bool)))["jbig1"].decode(b"nothing")


# ---- Comparisons ---------------------------------------------------------------------------------


def fake(name, encode=lambda array: b"1234", decode=None, **options):
    return comparison.Contender(name, encode, decode, **options)


def test_totals_turns_and_medians(monkeypatch):
    arrays = [image("gray8", 20, 30, index) for index in range(2)]
    order = []

    def codec(name):
        state = {}

        def encode(array):
            order.append(name)
            state["array"] = array
            return b"x" * len(order)

        return fake(name, encode, lambda _: state["array"])

    clock = iter(range(1000))
    monkeypatch.setattr(comparison, "cpu_seconds", lambda: next(clock) / 2)
    moves = []
    groups = comparison.compare(
        arrays, [codec("a"), codec("b")], with_peers=False, repeats=3,
        progress=lambda *move: moves.append(move),
    )  # fmt: skip
    assert len(groups) == 1
    assert order[-12:] == ["a", "b", "b", "a", "b", "a", "a", "b", "a", "b", "b", "a"]
    a, b = groups[0].outcomes
    assert [len(a.encode_seconds), len(a.encode_seconds[0])] == [2, 3]
    assert groups[0].raw_bytes == 1200
    assert groups[0].encode_speed(a) == pytest.approx(1200 / 1e6)
    assert len(a.file_bytes) == len(b.file_bytes) == 2
    assert moves[-1] == ("", 6, 6)


def test_a_picture_that_changes_is_found():
    wrong = fake("wrong", decode=lambda _: np.zeros((20, 30), np.uint8))
    group = comparison.compare([image("gray8", 20, 30)], [wrong], with_peers=False)[0]
    assert group.outcomes[0].refusal == "image 1 did not come back exactly"
    assert group.outcomes[0].is_fault
    assert group.best_peer is None


def test_codecs_that_fail_or_are_too_small_are_out():
    def fail(_):
        raise ValueError("no")

    array = image("gray8", 20, 30)
    failing = fake("failing", fail, is_peer=True)
    narrow = fake("narrow", decode=lambda _: array, max_side=29, is_peer=True)
    group = comparison.compare([array], [failing, narrow], with_peers=False)[0]
    assert group.outcome("failing").refusal == "failed: no"
    assert group.outcome("narrow").refusal == "no side above 29, an image has 30 x 20"
    assert group.outcome("failing").is_fault
    assert not group.outcome("narrow").is_fault
    group = comparison.compare([array], [fake("ours", fail)], with_peers=False)[0]
    assert (group.outcomes[0].refusal, group.outcomes[0].is_fault) == ("failed: no", True)


def test_groups_add_up_even_with_one_name():
    arrays = [image("gray8", 20, 30, index) for index in range(3)]
    ours = [comparison.scf(1)]
    parts = [comparison.compare(part, ours)[0] for part in (arrays[:1], arrays[1:])]
    whole = comparison.together("whole", parts)
    expected = sum(len(softcomp_codec.encode(array, effort=1)) for array in arrays)
    assert whole.outcome("SCF, effort 1").total_bytes == expected
    assert (whole.n_images, whole.raw_bytes) == (3, 1800)
    best = whole.best_peer
    assert best.total_bytes == sum(each.outcome(best.name).total_bytes for each in parts)


def test_threads_are_limited_while_measuring(monkeypatch):
    array = filled((1100, 1100), "slope", 255).astype(np.uint8)
    numbers = []
    pool = worker_threads.ThreadPoolExecutor

    def counted(number):
        numbers.append(number)
        return pool(number)

    monkeypatch.setattr(worker_threads, "ThreadPoolExecutor", counted)
    monkeypatch.setattr(worker_threads.os, "cpu_count", lambda: 4)
    sizes = set()
    for threads in (1, 2):
        group = comparison.compare([array], [comparison.scf(1)], with_peers=False, threads=threads)
        sizes.add(group[0].outcomes[0].total_bytes)
    assert set(numbers) == {1}  # beside the thread that asks
    assert len(sizes) == 1
    assert worker_threads.thread_limit.get() is None


# ---- The command ---------------------------------------------------------------------------------


def test_json_holds_real_sizes(pictures):
    result = scf(pictures, "--json", "--repeat", 1, "--effort", 1, "--codebook", "none")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["images"] == 5
    assert {"numpy", "numba", "pillow", "Python", "softcomp-codec"} <= set(report["versions"])
    names = [group["name"] for group in report["groups"]]
    assert names == ["bilevel", "gray16", "gray8", "rgb8", "all images"]
    for group in report["groups"]:
        able = [each for each in group["codecs"] if "bytes" in each]
        assert {each["name"] for each in able} >= {"SCF, effort 1", "SCF, effort 1, no codebook"}
        best = min((each for each in able if each["is_peer"]), key=lambda each: each["bytes"])
        assert group["best_peer"] == best["name"]
        for each in able:
            assert each["ratio"] == pytest.approx(group["raw_bytes"] / each["bytes"])
            assert each["to_best_peer"] == pytest.approx(each["bytes"] / best["bytes"])
            assert min(each["encode_mb_per_s"], each["decode_mb_per_s"]) > 0
    gray = {each["name"]: each for each in report["groups"][2]["codecs"]}
    arrays = [image("gray8", 40, 50, index) for index in range(2)]
    expected = sum(len(softcomp_codec.encode(array, effort=1)) for array in arrays)
    assert gray["SCF, effort 1"]["bytes"] == expected
    if features.check("webp"):
        deep = {each["name"]: each for each in report["groups"][1]["codecs"]}
        assert deep["WebP lossless"]["refusal"] == "8 bits a sample only"


def test_the_table_and_the_reasons(pictures, tmp_path):
    output = tmp_path / "table.md"
    result = scf(pictures / "deep.png", "--repeat", 1, "--out", output)
    assert result.exit_code == 0, result.output
    for effort in (1, 5, 9):
        assert re.search(rf"SCF, effort {effort} +[\d,]+ +\d", result.stdout)
    text = output.read_text()
    assert "## gray16: 1 image, 1,200 raw bytes" in text
    assert "numba" in text
    assert "| SCF, effort 9 | " in text
    if features.check("webp"):
        assert re.search(r"WebP lossless +- +- +- +- +-", result.stdout)
        assert "WebP lossless: 8 bits a sample only" in result.stdout
        assert "- no figures for WebP lossless: 8 bits a sample only" in text
    before = output.read_bytes()
    refused = scf(pictures, "--out", output)
    assert refused.exit_code == 1
    assert "exists already" in refused.output
    assert output.read_bytes() == before


def test_jpeg_pasts_have_rows_without_them(tmp_path):
    decoded, _ = decoded_jpeg(made_past((2, 2), (0, 0), 85), 96, 112)
    Image.fromarray(decoded).save(tmp_path / "decoded.png")
    options = ("--no-peers", "--json", "--repeat", 1, "--effort", 5, "--codebook", "none")
    codecs = json.loads(scf(tmp_path, *options).stdout)["groups"][0]["codecs"]
    sizes = {each["name"]: each["bytes"] for each in codecs}
    assert list(sizes) == [
        "SCF, effort 5", "SCF, effort 5, without JPEG pasts", "SCF, effort 5, no codebook"
    ]  # fmt: skip
    found = softcomp_codec.encode(decoded)
    assert softcomp_codec.read_header(found).coder == container.JPEG_PAST
    assert sizes["SCF, effort 5"] == len(found)
    assert sizes["SCF, effort 5, without JPEG pasts"] > 1.2 * len(found)


@needs_imagecodecs
def test_all_peers_are_there(pictures):
    result = scf(pictures / "rgb.png", "--repeat", 1, "--effort", 1)
    for name in ("JPEG-LS", "JPEG 2000", "JPEG XL, effort 3", "JPEG XL, effort 7",
                 "JPEG XL, effort 9"):  # fmt: skip
        assert re.search(rf"{name}( \*)? +[\d,]+ +\d", result.stdout), name
    assert len(re.findall(r" \* ", result.stdout)) == 1


def test_without_imagecodecs_the_others_are_compared(pictures, only_pillow):
    result = scf(pictures / "rgb.png", pictures / "bilevel.png", "--repeat", 1, "--effort", 1)
    assert result.exit_code == 0, result.output
    assert "pip install 'softcomp-codec[bench]'" in result.stdout
    assert "left out: JBIG1" in result.stdout
    assert "PNG" in result.stdout
    assert "JPEG XL, effort" not in result.stdout


def test_without_peers(pictures):
    result = scf(pictures / "rgb.png", "--repeat", 1, "--effort", 1, "--no-peers")
    assert result.exit_code == 0, result.output
    assert "PNG" not in result.stdout
    assert re.search(r"SCF, effort 1 +[\d,]+ +[\d.]+ +- ", result.stdout)


def test_a_named_codebook_stands_beside_auto(pictures, tmp_path, books):
    books["gray8"].save(tmp_path / "mine.scfb")
    result = scf(pictures / "gray-0.png", "--repeat", 1, "--effort", 5, "--no-peers",
                 "--codebook", tmp_path / "mine.scfb")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"SCF, effort 5, {books['gray8'].name}" in result.stdout
    assert "bytes are not counted" in result.stdout


def test_bad_inputs_are_named(pictures, tmp_path):
    assert scf(pictures / "notes.txt", "--no-peers").exit_code == 1
    missing = scf(tmp_path / "nothing.png", pictures / "rgb.png", "--no-peers", "--effort", 1)
    assert missing.exit_code == 1
    assert "nothing.png" in missing.stderr
    assert "SCF, effort 1" in missing.stdout
    unknown = scf(pictures, "--codebook", "nowhere-to-be-found")
    assert unknown.exit_code == 1
    assert "nowhere-to-be-found" in unknown.stderr


def test_an_inexact_codec_ends_with_1(pictures, monkeypatch):
    wrong = fake("wrong", decode=lambda _: np.zeros((1, 1), np.uint8))
    monkeypatch.setattr(comparison, "scf", lambda *_: wrong)
    result = scf(pictures / "rgb.png", "--no-peers")
    assert result.exit_code == 1
    assert "did not come back exactly" in result.stdout


# ---- benchmarks/peer_tables.py -------------------------------------------------------------------


@pytest.fixture
def data(tmp_path):
    """A folder like that of ``--data``, with three of the sets."""
    folder = tmp_path / "data"
    sets = {
        "kodak": [image("rgb8", 24, 36, index) for index in range(4)],
        "cells-gray/train": [image("gray8", 30, 30, index) for index in range(4)],
        "cells-gray/test": [image("gray8", 30, 30, 50 + index) for index in range(3)],
        "ct16/train": [noise((20, 20), 99).astype(np.uint16)],
        "ct16/test": [noise((20, 20), 99, 1).astype(np.uint16)],
    }
    for name, arrays in sets.items():
        (folder / name).mkdir(parents=True)
        for index, array in enumerate(arrays):
            Image.fromarray(array).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture
def peer_tables(monkeypatch):
    import peer_tables

    monkeypatch.setattr(peer_tables, "describe_machine", lambda *_: "- a machine\n")
    monkeypatch.setattr(peer_tables, "MOSAIC", (50, 70))
    return peer_tables


def table(text, name):
    section = re.search(rf"^## {name}[^\n]*\n(.*?)(?=^## |\Z)", text, re.M | re.S)[1]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip(" *\\") for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells[2:]}


@needs_imagecodecs
def test_peer_tables_with_training(data, tmp_path, peer_tables, capsys):
    peer_tables.main([
        "--data", str(data), "--sets", "kodak,cells-gray,ct16", "--train", "-j", "1",
        "--effort", "1", "--out", str(tmp_path),
    ])  # fmt: skip
    text = (tmp_path / "peers-trained-reduced.md").read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    targets = table(text, "Targets")
    assert list(targets) == ["kodak", "cells-gray", "ct16"]
    for name, row in targets.items():
        found = table(text, name)
        ours, theirs = (int(found[each]["bytes"].replace(",", ""))
                        for each in (row["codec"], "JPEG XL, effort 9"))  # fmt: skip
        assert float(row["found"]) == pytest.approx(ours / theirs, abs=1e-4)
        assert row[""].startswith("reached" if ours / theirs <= float(row["target"]) else "missed")
    assert targets["kodak"]["codec"] == "SCF, effort 1, trained"
    assert targets["ct16"]["codec"] in ("SCF, effort 1", "SCF, effort 1, trained")
    assert "## kodak, rgb8: 4 images, 10,368 raw bytes" in text
    assert "codebook kodak, half 2: trained on 2 images" in text
    assert "## mosaic of 70 x 50, 1 thread: 1 image" in text
    assert "## mosaic of 70 x 50, 2 threads: 1 image" in text
    assert "WebP lossless: 8 bits a sample only" in text


def test_peer_tables_of_some_images_without_training(data, tmp_path, peer_tables):
    peer_tables.main([
        "--data", str(data), "--sets", "cells-gray", "--images", "2", "--effort", "1",
        "--out", str(tmp_path), "--without-mosaic",
    ])  # fmt: skip
    text = (tmp_path / "peers-reduced.md").read_text()
    assert "Reduced run: only the first 2 test images" in text
    assert "No codebooks were trained" in text
    assert "cells-gray, gray8: 2 images" in text
    assert "mosaic of" not in text
    with pytest.raises(SystemExit):
        peer_tables.main(["--data", str(data), "--sets", "nothing"])


def test_verdicts(peer_tables):
    verdicts = [peer_tables.Verdict("kodak", "", 0.9, found) for found in (0.9, 0.81, 0.99, None)]
    assert [each.text for each in verdicts] == [
        "reached, 0.0 % below", "reached, 10.0 % below", "missed by 10.0 %", "not compared",
    ]  # fmt: skip


def test_mosaics_have_their_size(peer_tables):
    tiles = [image("rgb8", 24, 36, 0), image("rgb8", 36, 24, 1)]
    made = peer_tables.mosaic(tiles, 50, 70)
    assert made.shape == (50, 70, 3)
    assert np.array_equal(made[:24, :36], tiles[0])
    assert np.array_equal(made[:24, 36:], np.rot90(tiles[1])[:, :34])
