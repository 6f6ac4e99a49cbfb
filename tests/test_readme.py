"""The code of the README runs, and its commands and options exist."""

import re
import shutil
from pathlib import Path

import pytest

from softcomp_codec import codebook_store
from softcomp_codec.samples import list_samples

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_python_code_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(codebook_store, "_registered", {})
    shutil.copy(list_samples()["microscopy"], "photo.png")
    names = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert "(256, 256) L" in capsys.readouterr().out
    assert (tmp_path / "copy.scf").exists()


def test_the_commands_exist():
    testing = pytest.importorskip("typer.testing")
    from softcomp_codec.cli.app import build_app

    text = "".join(blocks("bash"))
    lines = [line.split("#")[0].split() for line in text.splitlines()]
    for line in lines:
        assert line[0] == "scf"
        command = line[1:3] if line[1] == "codebook" else line[1:2]
        result = testing.CliRunner().invoke(build_app(), [*command, "--help"])
        assert result.exit_code == 0
        for option in line:
            assert not option.startswith("-") or option in result.output, (line, option)


def test_the_set_up_commands_are_there():
    assert "    pip install '.[cli]' && scf demo\n" in README
    assert "    pip install '.[test]' && pytest\n" in README
