"""``scf`` as a whole, ``verify``, ``warmup``, ``demo``, and how all commands print."""

import os
import subprocess
import sys

import numpy as np
import pytest
from cli_commands import damage, run, run_process
from PIL import Image

import softcomp_codec
from softcomp_codec.cli import console, demo, warmup
from softcomp_codec.cli.__main__ import main
from softcomp_codec.samples import list_samples

pytestmark = pytest.mark.usefixtures("nothing_of_the_user")

compiled = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="takes long without compiled kernels"
)


# ---- The whole -----------------------------------------------------------------------------------


def test_version():
    assert run("--version") == f"scf {softcomp_codec.__version__}\n"


def test_help_names_every_command():
    text = run("--help")
    for name in (
        "demo",
        "encode",
        "decode",
        "info",
        "verify",
        "bench",
        "train",
        "codebook",
        "warmup",
    ):
        assert name in text


def test_unknown_commands_and_options_are_usage_errors():
    assert "frobnicate" in run("frobnicate", code=2)
    assert "--frobnicate" in run("info", "--frobnicate", code=2)


def test_without_typer_there_is_one_helpful_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "pip install 'softcomp-codec[cli]'" in message


@pytest.mark.parametrize("args", [["--help"], ["info", "--header", "--json"], ["encode", "--help"]])
def test_help_and_info_load_neither_numba_nor_numpy(args, tmp_path):
    if args[0] == "info":
        path = tmp_path / "a.scf"
        path.write_bytes(softcomp_codec.encode(np.zeros((8, 8), np.uint8)))
        args = [*args, str(path)]
    code = (
        "import sys, atexit\n"
        "from softcomp_codec.cli.__main__ import main\n"
        "atexit.register(lambda: print({'numba', 'numpy'} & set(sys.modules), file=sys.stderr))\n"
        f"sys.argv = ['scf', *{args!r}]\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"


def test_errors_are_one_line_on_stderr_and_results_go_to_stdout(digit, tmp_path):
    out, err = run_process("encode", digit, tmp_path / "none.png", code=1)
    assert err == f"scf: error: {tmp_path / 'none.png'}: there is no such file\n"
    assert "1 picture encoded" in out
    assert "\x1b" not in out + err


def test_debug_shows_the_traceback(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"no picture")
    assert "Traceback" not in run_process("encode", path, code=1)[1]
    assert "Traceback" in run_process("--debug", "encode", path, code=1)[1]


def test_file_names_cannot_harm_the_terminal(tmp_path):
    path = tmp_path / "\x1b[31mred\udcff.png"
    try:
        path.write_bytes(b"no picture")
    except (OSError, UnicodeError):
        pytest.skip("the file system has no such names")
    assert "\\x1b[31mred\\xff" in run("encode", path, code=1).replace("\\udcff", "\\xff")


# ---- verify --------------------------------------------------------------------------------------


def test_verify_whole_files_and_folders(coded, book_file):
    plain = coded.parent / "deep" / "plain.scf"
    plain.parent.mkdir()
    plain.write_bytes(softcomp_codec.encode(np.zeros((9, 9), np.uint8)))
    text = run("verify", coded.parent, "--codebook", book_file)
    assert "2 pictures verified" in text
    assert f"{coded}: ok (picture and file check)" in text
    assert f"{plain}: ok" in text


def test_verify_finds_damage(coded, book_file, tmp_path):
    plain = tmp_path / "plain.scf"
    plain.write_bytes(softcomp_codec.encode(np.arange(256, dtype=np.uint8).reshape(16, 16)))
    whole = plain.read_bytes()
    for data in (whole[:-1], whole[:5], b"", whole + b"\0", whole[:8] + b"\xff" + whole[9:]):
        plain.write_bytes(data)
        assert "1 DAMAGED" in run("verify", plain, code=1)
    damage(coded)
    assert "file check" in run("verify", coded, code=1)
    assert "1 DAMAGED" in run("verify", coded, "--codebook", book_file, code=1)


def test_verify_without_the_codebook(coded, book, digit):
    text = run("verify", coded)
    assert "file check ok, picture not checked" in text
    assert "1 by the file check only" in text
    with Image.open(digit) as image:
        coded.write_bytes(softcomp_codec.encode(image, codebook=book))
    text = run("verify", coded, code=1)
    assert "NOT CHECKED" in text
    assert "1 not checked" in text


def test_verify_a_missing_file(tmp_path):
    assert "No such file" in run("verify", tmp_path / "none.scf", code=1)


# ---- warmup and demo -----------------------------------------------------------------------------


def test_warmup_says_how_long_it_took():
    assert "all kernels are ready" in run("warmup")


@compiled
def test_demo_in_a_process_of_its_own():
    out, _ = run_process("demo")
    lines = out.splitlines()
    for name in list_samples():
        assert any(line.split()[0] == name for line in lines)
    assert "total" in lines[-2]
    assert lines[-1] == "Pillow and imageio both returned the exact pixels of every sample."


@pytest.mark.parametrize("library", ["Pillow", "imageio"])
def test_demo_fails_if_a_pixel_differs(library, monkeypatch):
    def trial(name, path, folder):
        same = {"Pillow": True, "imageio": True, library: False}
        return demo.Trial(name, "L", "1 x 1", 1, 1, 1, "stored", same["Pillow"], same["imageio"])

    monkeypatch.setattr(demo, "note_compiling", lambda: False)
    monkeypatch.setattr(demo, "try_sample", trial)
    text = run("demo", code=1)
    assert f"{library} did not return the exact pixels" in text
    assert "both returned" not in text


@compiled
def test_the_first_run_says_that_it_compiles(monkeypatch, tmp_path):
    monkeypatch.setattr("softcomp_codec.kernels.jit.has_compiled_kernels", lambda: False)
    assert "scf: compiling kernels, once" in run("warmup")


@compiled
@pytest.mark.parametrize(
    "code", ["raise SystemExit(3)", "import time; time.sleep(999)", "print(1)"]
)
def test_the_second_process_may_end_as_it_likes(code, capfd, monkeypatch):
    started = []
    popen = subprocess.Popen

    def noting(*args, **options):
        started.append(popen(*args, **options))
        return started[0]

    monkeypatch.setattr(warmup.subprocess, "Popen", noting)
    with warmup.helping(code, wanted=True):
        pass
    assert started[0].poll() is not None
    assert capfd.readouterr() == ("", "")


@compiled
def test_there_is_no_second_process_unless_it_helps(monkeypatch):
    monkeypatch.setattr(warmup.subprocess, "Popen", None)
    with warmup.helping("", wanted=False):
        pass
    monkeypatch.setattr(warmup.os, "cpu_count", lambda: 1)
    with warmup.helping("", wanted=True):
        pass
    monkeypatch.setattr(warmup.os, "cpu_count", lambda: 2)
    monkeypatch.setattr("softcomp_codec.kernels.jit.cache_folder", lambda: None)
    with warmup.helping("", wanted=True):
        pass


@compiled
def test_the_samples_backwards():
    demo.code_backwards()


# ---- What is printed -----------------------------------------------------------------------------


def test_printable_escapes_controls_only():
    assert console.printable("a b\nÄ\x1b[0m\x07") == "a b\nÄ\\x1b[0m\\x07"


def test_errors_without_text_still_say_something():
    assert console.describe_error(ValueError()) == "ValueError"
    assert console.describe_error(KeyError("x")) == "KeyError: 'x'"
    assert console.describe_error(FileNotFoundError(2, "No such file", "a")) == "a: No such file"


def test_tables_are_not_cut_where_piped(capsys):
    console.print_table([("name", "left"), ("n", "right")], [("x" * 500, "1")])
    out = capsys.readouterr().out
    assert "x" * 500 in out
    assert all(line == line.rstrip() for line in out.splitlines())
