"""What shells complete, asked as their scripts ask."""

import os
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("typer")

from softcomp_codec.cli.app import build_app

SCF = "import sys; from softcomp_codec.cli.__main__ import main; sys.argv[0] = 'scf'; main()"


@pytest.fixture
def scf(monkeypatch, capsys, tmp_path):
    """A function that runs ``scf`` with variables and returns what it prints."""

    def run(*arguments, **variables):
        with monkeypatch.context() as patched:
            for name, value in variables.items():
                patched.setenv(name, value)
            patched.setattr(sys, "argv", ["scf", *arguments])
            with pytest.raises(SystemExit):
                build_app()(prog_name="scf")
        return capsys.readouterr().out

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    return run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(shell, scf):
    script = scf("--show-completion", shell)
    assert f"_SCF_COMPLETE=complete_{shell}" in script


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("scf enc", {"encode"}),
        ("scf encode --codebook mnist", {"mnist", "mnist-binary", "mnist-binary-127"}),
        ("scf encode --codebook n", {"none"}),
        ("scf encode --coder t", {"tiny"}),
        ("scf encode --delete", {"--delete-source", "--delete-lossy"}),
        ("scf decode --format t", {"tif", "tiff", "tga"}),
        ("scf explain --coder s", {"shapes"}),
        ("scf bench --codebook re", {"retina"}),
        ("scf codebook show ret", {"retina"}),
    ],
)
def test_answers(line, expected, scf):
    words = line.split()
    bash = scf(_SCF_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1))
    assert set(bash.split()) == expected
    zsh = scf(_SCF_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=line)
    assert all(f'"{word}"' in zsh for word in expected)
    fish = scf(
        _SCF_COMPLETE="complete_fish",
        _TYPER_COMPLETE_ARGS=line,
        _TYPER_COMPLETE_FISH_ACTION="get-args",
    )
    assert {each.split("\t")[0] for each in fish.splitlines()} == expected


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes(tmp_path, scf):
    program = tmp_path / "scf"
    program.write_text(f"#!{sys.executable}\n{SCF}\n")
    program.chmod(0o755)
    script = tmp_path / "completion.bash"
    script.write_text(scf("--show-completion", "bash"))
    done = subprocess.run(
        ["bash", "-c", f"source {script}; COMP_WORDS=(scf war); COMP_CWORD=1; "
         "_scf_completion scf; echo ${COMPREPLY[@]}"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.stdout == "warmup\n"


def test_a_codebook_that_cannot_be_read_does_not_stop_completion(monkeypatch):
    from softcomp_codec import codebook_store
    from softcomp_codec.cli.completion import complete_codebook

    def fail():
        raise OSError("the disk is gone")

    monkeypatch.setattr(codebook_store, "list_codebooks", fail)
    assert [name for name, _ in complete_codebook("")] == ["auto", "none"]
