import os
import stat
import sys
from pathlib import Path

import pytest

from softcomp_codec.atomic_files import write_atomically

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
not_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)


@pytest.mark.parametrize("kind", [str, Path])
def test_new_and_existing_file(tmp_path, kind):
    path = tmp_path / "x.scf"
    for data in (b"first", b"", b"x" * 100_000, bytearray(b"third"), memoryview(b"fourth")):
        write_atomically(kind(path), data)
        assert path.read_bytes() == bytes(data)
        assert list(tmp_path.iterdir()) == [path]


def test_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_atomically("x.scf", b"data")
    assert (tmp_path / "x.scf").read_bytes() == b"data"


@pytest.mark.parametrize("broken", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyboardInterrupt()])
def test_a_failure_changes_nothing(tmp_path, monkeypatch, broken, error):
    path = tmp_path / "x.scf"
    path.write_bytes(b"old")

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(type(error)):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_data_that_are_no_bytes(tmp_path):
    path = tmp_path / "x.scf"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "text")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_name_the_file(tmp_path):
    for path, error in (
        (tmp_path / "no folder" / "x.scf", FileNotFoundError),
        (tmp_path, (IsADirectoryError, PermissionError)),
    ):
        with pytest.raises(error) as caught:
            write_atomically(path, b"data")
        assert str(path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@posix
def test_permission_bits(tmp_path):
    path = tmp_path / "x.scf"
    previous = os.umask(0o027)
    try:
        write_atomically(path, b"new")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        for mode in (0o600, 0o755, 0o666):
            path.chmod(mode)
            write_atomically(path, b"again")
            assert stat.S_IMODE(path.stat().st_mode) == mode
    finally:
        os.umask(previous)


@posix
@not_root
def test_write_protection(tmp_path):
    path = tmp_path / "x.scf"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(PermissionError, match=r"write-protected.*x\.scf"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


@posix
def test_symbolic_links(tmp_path):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "y.scf", tmp_path / "x.scf"
    link.symlink_to(target)
    for data in (b"through a link to nothing", b"through a link to a file"):
        write_atomically(link, data)
        assert link.is_symlink()
        assert target.read_bytes() == data
        assert list(target.parent.iterdir()) == [target]


@posix
def test_devices_stay_devices(tmp_path):
    write_atomically(os.devnull, b"data")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(pipe, b"data")
        assert os.read(reader, 10) == b"data"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
