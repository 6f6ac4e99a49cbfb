"""What ``scf info`` lists of metadata."""

import json
import re

import pytest
from metadata_files import EXIF, FULL, ICC, XMP
from plugin_files import encoded, encoded_frames, picture

from softcomp_codec.metadata import Metadata

testing = pytest.importorskip("typer.testing")

from softcomp_codec.cli.app import build_app  # noqa: E402
from softcomp_codec.cli.metadata_lines import metadata_facts, metadata_lines  # noqa: E402

GRAY = picture("L", 9, 7)


def run(*arguments):
    result = testing.CliRunner().invoke(build_app(), [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_info_lists_metadata(tmp_path):
    path = tmp_path / "x.scf"
    path.write_bytes(encoded(GRAY, metadata=FULL))
    shown = run("info", "--header", path)
    for line in (
        rf"EXIF +{len(EXIF)} bytes",
        rf"ICC profile +{len(ICC)} bytes",
        rf"XMP +{len(XMP)} bytes",
        r"comment +11 bytes",
        r"resolution +299\.9994 x 72 dpi",
        r"pixel aspect +2, 1",
        r"gamma +0\.45455",
        r"transparent +17",
        r"background +1, 2, 3, 4",
        r"text +Autor, Title",
        r"shown +for ever",
        r"durations +33\.5 ms a frame",
    ):
        assert re.search(line, shown), (line, shown)
    facts = json.loads(run("info", "--json", path))["metadata"]
    assert facts["text"] == {"Autor": "Jürgen 日本", "Title": "a title"}
    assert (facts["exif_bytes"], facts["dpi"], facts["loop"]) == (len(EXIF), [299.9994, 72], 0)
    assert facts["durations"] == [33.5]


def test_info_lists_times_of_frames(tmp_path):
    path = tmp_path / "x.scf"
    kept = Metadata(durations=(10, None, 20.5), loop=4, transparency=b"\1\2")
    path.write_bytes(encoded_frames([GRAY] * 3, metadata=kept))
    shown = run("info", path)
    assert re.search(r"durations +10 to 20\.5 ms, 30\.5 ms together, none of 1 frames", shown)
    assert re.search(r"shown +4 times", shown)
    assert json.loads(run("info", "--json", path))["metadata"] == {
        "transparency": [1, 2],
        "loop": 4,
        "durations": [10, None, 20.5],
    }


def test_nothing_is_listed_of_no_metadata(tmp_path):
    assert metadata_facts(Metadata()) == {}
    assert metadata_lines({}) == []
    path = tmp_path / "x.scf"
    path.write_bytes(encoded(GRAY))
    assert json.loads(run("info", "--json", path))["metadata"] == {}
