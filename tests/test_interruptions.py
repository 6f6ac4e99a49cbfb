"""A small version of benchmarks/interruptions.py: kills, a full disk, a read-only one."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import interruptions

pytest.importorskip("typer")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL and limits of POSIX")


def test_kills_lose_nothing(tmp_path):
    outcome = interruptions.kill_at_random(tmp_path, 2, 8, seed=2, report=False)
    assert outcome.before + outcome.during + outcome.after == 2


def test_a_full_disk_is_told_and_leaves_whole_files(tmp_path):
    said = interruptions.full_disk(tmp_path, 10, seed=1, may_mount=False)
    assert "File too large" in said


def test_a_read_only_disk_is_told(tmp_path):
    if os.geteuid() == 0 and not (os.access("/", os.W_OK) and sys.platform == "linux"):
        pytest.skip("root may write everywhere, and cannot mount")
    assert "nothing written" in interruptions.read_only_disk(tmp_path, 2, seed=1)


def test_faults_are_seen(tmp_path):
    """The check itself: it must notice what it is there for."""
    originals, source, out = (tmp_path / name for name in ("originals", "in", "out"))
    interruptions.make_pictures(originals, 2, 1)
    interruptions.make_pictures(source, 2, 1)
    scenario = interruptions.SCENARIOS[0]
    assert interruptions.check(originals, source, out, scenario) == (0, 0)
    (out / "0").mkdir(parents=True)
    (out / "0" / "000.scf").write_bytes(b"")
    with pytest.raises(interruptions.FaultError, match=r"000\.scf is not whole"):
        interruptions.check(originals, source, out, scenario)
    interruptions.Image.open(source / "0" / "001.png").save(out / "0" / "000.scf")
    with pytest.raises(interruptions.FaultError, match="another picture"):
        interruptions.check(originals, source, out, scenario)
    interruptions.Image.open(source / "0" / "000.png").save(out / "0" / "000.scf")
    (out / "0" / ".scf-0000.tmp").touch()
    assert interruptions.check(originals, source, out, scenario) == (1, 1)
    (source / "0" / "000.png").unlink()
    with pytest.raises(interruptions.FaultError, match="is gone"):
        interruptions.check(originals, source, out, scenario)
    in_place = interruptions.SCENARIOS[1]
    with pytest.raises(interruptions.FaultError, match="is gone"):
        interruptions.check(originals, source, out, in_place)
    (out / "0" / "000.scf").rename(source / "0" / "000.scf")
    assert interruptions.check(originals, source, out, in_place) == (1, 0)
    (source / "strange").touch()
    with pytest.raises(interruptions.FaultError, match="strange"):
        interruptions.check(originals, source, out, in_place)
