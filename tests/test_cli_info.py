"""``scf info`` of every coder, as text and as JSON."""

import io
import json
import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from cli_commands import run
from file_builder import file_of
from made_images import decoded_jpeg, figure, made_past, noise, unrounded_jpeg
from PIL import Image
from small_codebooks import tiny_codebook

import softcomp_codec
from softcomp_codec import codebook_store, container, jpeg_past_coder, jpeg_unrounded_coder
from softcomp_codec.cli import codebook_files
from softcomp_codec.jpeg_recovery import Recovered
from softcomp_codec.jpeg_unrounded_coder import Unrounded
from softcomp_codec.samples import list_samples

pytestmark = pytest.mark.usefixtures("nothing_of_the_user")


def test_info_without_the_codebook(coded, book):
    text = run("info", coded)
    for part in ("28 x 28, bilevel", "shapes", book.identifier.hex()[:8], "MISSING", "version 0"):
        assert part in text
    assert "not without the codebook" in run("info", "--details", coded)


def test_info_as_json(coded, book, book_file):
    path = coded.with_name("plain.scf")
    path.write_bytes(softcomp_codec.encode(np.zeros((30, 40, 3), np.uint8)))
    first, second = map(json.loads, run("info", "--json", coded, path).splitlines())
    assert (first["width"], first["height"], first["mode"]) == (28, 28, "bilevel")
    assert first["codebook"] == {"id": book.identifier.hex()[:8], "name": None, "found": None}
    assert first["file_check"] == "ok"
    assert first["file_bytes"] == coded.stat().st_size
    assert first["header_bytes"] + first["payload_bytes"] == first["file_bytes"]
    assert [segment["name"] for segment in first["segments"]] == ["file check"]
    assert first["details"] is None
    assert second["codebook"] is None
    assert second["file_check"] is None
    assert second["raw_bytes"] == 3600
    shutil.copy(book_file, coded.parent)
    assert json.loads(run("info", "--json", coded))["codebook"]["found"].startswith("beside")


def test_info_details(coded, book_file, tmp_path):
    text = run("info", "--details", "--codebook", book_file, coded)
    assert "given by --codebook" in text
    assert "predictor none; low layer of 0 bits, shape layer of 1" in text
    facts = json.loads(run("info", "--json", "--codebook", book_file, coded))
    assert facts["details"]["planes"][0]["shapes"] > 0
    colours = tmp_path / "colours.scf"
    colours.write_bytes(softcomp_codec.encode(np.zeros((30, 40, 3), np.uint8), coder="shapes"))
    text = run("info", colours)
    assert "colour transform" in text
    assert "plane 2" in text
    stored = tmp_path / "stored.scf"
    stored.write_bytes(softcomp_codec.encode(np.zeros((1, 1), np.uint8)))
    assert "none of this coder" in run("info", stored)
    assert "none of this coder" not in run("info", "--header", stored)


def test_info_details_of_the_bilevel_coder(tmp_path):
    path = tmp_path / "page.scf"
    page = np.ones((600, 600), bool)
    page[300:330, 200:400] = np.indices((30, 200)).sum(axis=0) % 9 < 4
    path.write_bytes(softcomp_codec.encode(page, codebook=None))
    text = run("info", path)
    for line in (
        r"coder +bilevel",
        r"contexts +14 a decision",
        r"background +ones",
        r"even blocks +at once",
        r"states at the start +neutral",
    ):
        assert re.search(line, text), (line, text)


def test_info_details_of_a_jpeg_past(tmp_path):
    own = replace(made_past((2, 2), (3, 5), 85), tables=(tuple(range(2, 66)),) * 3)
    for past, table in (
        (made_past((2, 2), (3, 5), 85), "libjpeg's table of quality 85: 5 3 3 5 7 12 15 18 /"),
        (own, "a table of its own, nearest to quality "),
    ):
        decoded, coefficients = decoded_jpeg(past, 96, 112)
        shapes = [past.component_shape(index, 96, 112) for index in range(3)]
        boxes = [(np.zeros(s, np.int32), np.full(s, 255, np.int32)) for s in shapes]
        recovered = Recovered(past, coefficients, boxes, (1.0,) * 3)
        payload = jpeg_past_coder.write_payload(decoded, recovered)
        path = tmp_path / "past.scf"
        path.write_bytes(file_of(decoded, payload, coder=container.JPEG_PAST))
        text = " ".join(run("info", path).split())
        assert "JPEG past 4:2:0" in text
        assert "first block 3 rows above and 5 columns before" in text
        assert table in text
        assert "exact blocks 100.0 %, 100.0 %, 100.0 %; pixels 100.00 %" in text
        details = json.loads(run("info", "--json", path))["details"]
        assert details["exact_blocks"] == [1.0] * 3
        assert details["tables"][0] == list(past.tables[0])
    stream = io.BytesIO()
    slopes = np.add.outer(np.arange(96), np.arange(112))[:, :, None] // np.arange(2, 5)
    picture = (slopes + 60 + noise((96, 112, 3), 5)).astype(np.uint8)
    Image.fromarray(picture).save(stream, "JPEG", quality=100, subsampling=2)
    array = np.asarray(Image.open(stream))
    path.write_bytes(softcomp_codec.encode(array, codebook=None, coder="jpeg-past"))
    text = " ".join(run("info", path).split())
    assert "JPEG past 4:2:0, without its coefficients" in text
    assert "samples luma " in text


@pytest.mark.parametrize(("decoder", "name"), [(0, "exact"), (1, "scaled")])
def test_info_details_of_samples_that_were_not_rounded(tmp_path, decoder, name):
    past = made_past((1, 1), (3, 5), 85)
    picture, coefficients = unrounded_jpeg(past, 48, 40)
    found = Unrounded(past, decoder, coefficients)
    (payload,) = jpeg_unrounded_coder.write_payloads(picture, found, [None], 5)
    path = tmp_path / "past.scf"
    path.write_bytes(file_of(picture, payload, coder=container.JPEG_PAST))
    text = " ".join(run("info", path).split())
    assert f"JPEG past 4:4:4, samples not rounded by its {name} decoder grid" in text
    assert "first block 3 rows above and 5 columns before" in text
    assert "libjpeg's table of quality 85: 5 3 3 5 7 12 15 18 /" in text
    assert "models at the start neutral" in text
    details = json.loads(run("info", "--json", path))["details"]
    n_coefficients, n_left = details["coefficient_bytes"], details["remainder_bytes"]
    assert f"coefficients {n_coefficients:,} bytes remainders {n_left:,} bytes" in text
    assert details["decoder"] == name
    assert 0 < details["exact_pixels"] < 1
    assert len(payload) - 16 < n_coefficients + n_left < len(payload)
    assert details["subsampling"] == "4:4:4"
    assert details["tables"] == [list(table) for table in past.tables]


def test_info_details_of_the_context_coder(tmp_path):
    path = tmp_path / "colours.scf"
    array = np.zeros((30, 40, 4), np.uint8)
    array[:, :, 0] = np.arange(40) * 5
    array[:, :, 3] = 9
    path.write_bytes(softcomp_codec.encode(array, coder="context"))
    text = run("info", path)
    for line in (
        r"coder +context",
        r"colour transform +red difference",
        r"contexts +7 a decision, their log-odds mixed",
        r"tiles +1\b",
        r"plane 0 +samples 0\.\.195",
        r"plane 1 +samples -195\.\.0",
        r"plane 2 +samples -97\.\.0",
        r"plane 3 +9 everywhere",
    ):
        assert re.search(line, text), (line, text)
    assert json.loads(run("info", "--json", path))["details"] == {
        "colour_transform": "red difference",
        "contexts": 7,
        "log_odds": "mixed",
        "tiles": 1,
        "prior": [],
        "planes": [
            {"lowest": 0, "highest": 195, "scale": 0},
            {"lowest": -195, "highest": 0, "scale": 0},
            {"lowest": -97, "highest": 0, "scale": 0},
            {"lowest": 9, "highest": 9, "scale": 0},
        ],
    }
    assert "contexts" not in run("info", "--header", path)
    deep = np.tile(np.arange(40, dtype=np.uint16) * np.uint16(300), (30, 1))
    path.write_bytes(softcomp_codec.encode(deep, effort=9, coder="context"))
    text = run("info", path)
    assert "samples 0..11700, in units of 16" in text
    assert "15 a decision" in text
    assert "colour transform" not in text
    data = softcomp_codec.encode(deep)
    path.write_bytes(data[: softcomp_codec.read_header(data).payload_offset + 1])
    assert "payload, byte 1" in run("info", path, code=1)


def test_files_of_the_tiny_coder(tmp_path):
    tiny = tiny_codebook(12)
    tiny.save(tmp_path / "tiny.scfb")
    path = tmp_path / "figure.scf"
    array = figure(12, 12, 5001)
    path.write_bytes(softcomp_codec.encode(array, codebook=tiny, coder="tiny"))
    facts = json.loads(run("info", "--json", path))
    assert facts["coder"] == "tiny"
    assert facts["details"] == {"code_bytes": facts["payload_bytes"], "adaptive": False}
    assert "by the codebook's frozen tables" in " ".join(run("info", path).split())
    text = run("explain", path, code=1)
    assert "files of the tiny coder cannot be explained" in " ".join(text.split())
    assert "known states" in run("codebook", "show", tmp_path / "tiny.scfb")


def test_info_indicator_of_planes_image_and_set(coded, book, book_file, tmp_path):
    facts = json.loads(run("info", "--json", "--indicator", "--codebook", book_file, coded))
    plane, image = facts["indicator"]["planes"][0], facts["indicator"]["image"]
    assert plane == image
    assert plane["placements"] == facts["details"]["planes"][0]["shapes"]
    assert (
        plane["location_bits"] + plane["codeword_bits"]
        == (facts["details"]["planes"][0]["shape_bits"])
    )
    saved = plane["bits_without_shapes"] - plane["codeword_bits"]
    assert plane["indicator"] == round(saved / plane["placements"], 3)
    assert plane["pays"] == (plane["location_cost"] < plane["indicator"])
    text = run("info", "--indicator", "--codebook", book_file, coded, coded)
    assert "shapes pay" in text
    assert "all 2 files" in text
    twice = run("info", "--indicator", "--json", "--codebook", book_file, coded, coded)
    assert json.loads(twice.splitlines()[-1])["set"]["placements"] == 2 * plane["placements"]


def test_info_indicator_where_there_are_no_shapes(coded, tmp_path):
    assert "MISSING" not in run("info", "--indicator", coded, code=1)
    colours = tmp_path / "colours.scf"
    colours.write_bytes(softcomp_codec.encode(np.zeros((30, 40, 3), np.uint8), coder="context"))
    assert "none: no shapes coder wrote it" in run("info", "--indicator", colours)
    colours.write_bytes(softcomp_codec.encode(np.zeros((30, 40, 3), np.uint8), coder="shapes"))
    text = run("info", "--indicator", colours)
    assert "indicator, plane 2" in text
    assert "no shapes: the codebook has none here" in text
    colours.write_bytes(softcomp_codec.encode(np.zeros((1, 1), np.uint8)))
    assert "none: no shapes coder wrote it" in run("info", "--indicator", colours)


def test_info_sees_the_embedded_codebook(digit, book, tmp_path):
    path = tmp_path / "a.scf"
    with Image.open(digit) as image:
        path.write_bytes(softcomp_codec.encode(image, codebook=book, embed_codebook=True))
    assert "embedded in the file" in run("info", path)


def test_info_of_other_files(coded, book_file, tmp_path):
    text = run("info", list_samples()["digit-2"], tmp_path / "none.scf", book_file, coded, code=1)
    assert "not an .scf file" in text
    assert "No such file" in text
    assert "scf codebook show" in text
    assert "28 x 28" in text


def test_info_looks_where_decoding_looks(tmp_path, monkeypatch):
    monkeypatch.setenv("SOFTCOMP_CODEBOOK_PATH", os.pathsep.join(["one", "", "two"]))
    source = tmp_path / "a.scf"
    places = list(codebook_files.places(source))
    assert places[0][0] == "bundled"
    assert places[1:] == list(codebook_store._folders(str(source)))
