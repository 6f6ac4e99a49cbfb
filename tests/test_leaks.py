"""A short run of the benchmark that looks for leaks."""

import importlib.util
import mmap
import sys
from pathlib import Path

import pytest

if not Path("/proc/self/statm").exists():
    pytest.skip("memory is read from /proc", allow_module_level=True)

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "leaks.py"
_spec = importlib.util.spec_from_file_location("leaks", SCRIPT)
leaks = importlib.util.module_from_spec(_spec)
sys.modules["leaks"] = leaks
_spec.loader.exec_module(leaks)


def test_nothing_leaks(capsys):
    assert leaks.main(["--rounds", "60"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("+0 open files") == len(printed.splitlines()) == 7


def test_a_leak_is_noticed(tmp_path):
    kept = []

    def leaking(_index):
        kept.append((tmp_path / "x").open("wb"))
        memory = mmap.mmap(-1, 1_000_000)  # never what the process has had already
        memory.write(b"x" * len(memory))
        kept.append(memory)

    n_bytes, n_files = leaks.measure(leaking, 50)
    for each in kept[::2]:
        each.close()
    assert n_files == 45
    assert n_bytes > leaks.ALLOWED_BYTES
