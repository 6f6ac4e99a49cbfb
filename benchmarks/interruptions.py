"""Kill `scf encode` at random moments, fill its disk, make it read-only; nothing may be lost.

    python benchmarks/interruptions.py [--kills 50] [--pictures 30] [--seed 1] [--out FILE.md]

Each kill (SIGKILL) meets a run of its own on a fresh copy of made pictures, in turns with -o, with
--in-place --delete-source, and when decoding with --delete-source. After it every finished file
must be whole and of its source, every source must be there or its finished file verified, and a
run with --resume must complete the work and leave no temporary file. The full disk is a small
tmpfs where mounting is permitted, else a limit of file sizes; the read-only mount is the same
tmpfs, else a folder without permission (as another user than root).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

import softcomp_codec  # noqa: F401  (Pillow opens .scf)

SCF = (sys.executable, "-m", "softcomp_codec")
FASTEST = ("--codebook", "none", "--effort", "1")


class FaultError(Exception):
    """Something was lost, or claims to be whole and is not."""


@dataclass
class Outcome:
    """What the kills met.

    Attributes
    ----------
    before, during, after : int
        Runs that were killed before the first file was done, amid the work, and after all of it.
    leftovers : int
        Temporary files that kills left behind; all of them were cleaned up afterwards.
    files : int
        Finished files that were checked after kills.
    """

    before: int = 0
    during: int = 0
    after: int = 0
    leftovers: int = 0
    files: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)


def make_pictures(folder: Path, count: int, seed: int, side: int = 160) -> None:
    """Write pictures of several sizes, in folders of ten."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        place = folder / str(index // 10)
        place.mkdir(parents=True, exist_ok=True)
        height, width = rng.integers(side // 4, side, 2)
        rows, columns = np.indices((height, width))
        noise = rng.integers(0, 16, (height, width))
        array = ((rows * 2 + columns + noise) % 256).astype(np.uint8)
        Image.fromarray(array).save(place / f"{index:03}.png", dpi=(96, 96))


def pixels(path: Path) -> tuple[str, tuple[int, int], bytes]:
    """Return mode, size and samples."""
    with Image.open(path) as image:
        return image.mode, image.size, image.tobytes()


@dataclass(frozen=True)
class Scenario:
    """One way to convert a folder.

    Attributes
    ----------
    name : str
    command : str
        ``encode`` or ``decode``.
    options : tuple of str
        The text ``OUT`` stands for the folder of the outputs.
    in_place : bool
        Whether outputs go beside their sources, which are deleted.
    """

    name: str
    command: str
    options: tuple[str, ...]
    in_place: bool

    @property
    def suffixes(self) -> tuple[str, str]:
        """Suffixes of sources and of outputs."""
        return (".png", ".scf") if self.command == "encode" else (".scf", ".png")

    def arguments(self, source: Path, out: Path, *more: str) -> list[str]:
        """Return the arguments of ``scf``."""
        options = [str(out) if each == "OUT" else each for each in self.options]
        fastest = FASTEST if self.command == "encode" else ()
        return [self.command, str(source), *options, "-j", "2", *fastest, *more]


SCENARIOS = (
    Scenario("encode -o OUT", "encode", ("-o", "OUT"), False),
    Scenario(
        "encode --in-place --delete-source", "encode", ("--in-place", "--delete-source"), True
    ),
    Scenario(
        "decode --in-place --delete-source", "decode", ("--in-place", "--delete-source"), True
    ),
)


def check(originals: Path, source: Path, out: Path, scenario: Scenario) -> tuple[int, int]:
    """Return how many files are finished and how many temporary ones are left.

    Raises
    ------
    FaultError
        A file that is not whole, or a source without a finished file that is gone.
    """
    before, after = scenario.suffixes
    place = source if scenario.in_place else out
    finished = {path.relative_to(place).with_suffix("") for path in place.rglob(f"*{after}")}
    wanted = {path.relative_to(originals).with_suffix("") for path in originals.rglob("*.png")}
    if unknown := finished - wanted:
        raise FaultError(f"outputs of no source: {sorted(map(str, unknown))}")
    for name in finished:
        try:
            same = pixels(place / f"{name}{after}") == pixels(originals / f"{name}.png")
        except OSError as error:
            raise FaultError(f"{name}{after} is not whole: {error}") from error
        if not same:
            raise FaultError(f"{name}{after} holds another picture")
    for name in wanted:
        path = source / f"{name}{before}"
        if not path.exists():
            if not scenario.in_place or name not in finished:
                raise FaultError(f"{path} is gone")
        elif pixels(path) != pixels(originals / f"{name}.png"):
            raise FaultError(f"{path} has changed")
    files = [path for path in {source, place} for path in path.rglob("*") if path.is_file()]
    temporary = [path for path in files if path.name.startswith(".scf-")]
    strange = [path for path in files if path.suffix not in (".png", ".scf", ".tmp")]
    if strange:
        raise FaultError(f"strange files: {strange}")
    return len(finished), len(set(temporary))


def fresh_copy(originals: Path, encoded: Path, folder: Path, scenario: Scenario) -> Path:
    """Return a folder of sources for one run."""
    source = folder / "in"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(originals if scenario.command == "encode" else encoded, source)
    return source


def kill_at_random(
    folder: Path, kills: int, n_pictures: int, seed: int, *, report: bool = True
) -> Outcome:
    """Kill as many runs; raises `FaultError` where anything is lost."""
    moments = random.Random(seed)
    originals, encoded, work = folder / "originals", folder / "encoded", folder / "work"
    make_pictures(originals, n_pictures, seed)
    run(["encode", str(originals), "-o", str(encoded), *FASTEST])  # and compiles the kernels
    spans = {}
    for scenario in SCENARIOS[:kills]:
        source, out = fresh_copy(originals, encoded, work, scenario), work / "out"
        begun = time.monotonic()
        process = start(scenario.arguments(source, out))
        wait_for_output(process, source if scenario.in_place else out, scenario.suffixes[1])
        first = time.monotonic()
        process.wait()
        spans[scenario] = time.monotonic() - begun, time.monotonic() - first
    outcome = Outcome()
    for number in range(kills):
        scenario = SCENARIOS[number % len(SCENARIOS)]
        source, out = fresh_copy(originals, encoded, work, scenario), work / "out"
        process = start(scenario.arguments(source, out))
        place = source if scenario.in_place else out
        if moments.random() < 0.9:  # else at any moment, the start of Python included
            wait_for_output(process, place, scenario.suffixes[1])
            time.sleep(moments.uniform(0, spans[scenario][1]))
        else:
            time.sleep(moments.uniform(0, spans[scenario][0]))
        process.send_signal(signal.SIGKILL)
        process.wait()
        n_finished, n_left = check(originals, source, out, scenario)
        if n_finished == 0:
            outcome.before += 1
        elif process.returncode == -signal.SIGKILL and n_finished < n_pictures:
            outcome.during += 1
        else:
            outcome.after += 1
        outcome.leftovers += n_left
        outcome.files += n_finished
        outcome.by_kind[scenario.name] += 1
        run(scenario.arguments(source, out, "--resume"))
        if check(originals, source, out, scenario) != (n_pictures, 0):
            raise FaultError(f"--resume did not complete {scenario.name}")
        if report:
            print(
                f"kill {number + 1}: {scenario.name}: {n_finished} done, {n_left} left over",
                flush=True,
            )
    return outcome


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start ``scf``, whose output is nobody's business."""
    return subprocess.Popen(
        [*SCF, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def wait_for_output(process: subprocess.Popen[bytes], place: Path, suffix: str) -> None:
    """Wait until the first output is there, or the process has ended."""
    while process.poll() is None and next(place.rglob(f"*{suffix}"), None) is None:
        time.sleep(0.005)


def run(arguments: list[str], code: int = 0, **options: object) -> str:
    """Run ``scf`` and return what it says on stderr; raises where the exit code is another."""
    done = subprocess.run(
        [*SCF, *arguments], capture_output=True, text=True, check=False, **options
    )  # type: ignore[call-overload]
    if done.returncode != code:
        raise FaultError(f"scf {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}")
    return str(done.stderr)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Mount a tmpfs; yields whether that was permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = (
        sys.platform == "linux"
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        ).returncode
        == 0
    )
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=False)


def limit_file_size(size: int) -> None:
    """Let files of this process grow to a size only, with an error instead of a signal."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def full_disk(folder: Path, n_pictures: int, seed: int, *, may_mount: bool = True) -> str:
    """Encode onto a disk that is too small; return which one it was and what was said."""
    originals, disk = folder / "full-originals", folder / "disk"
    make_pictures(originals, n_pictures, seed)
    scenario = SCENARIOS[0]
    with small_disk(disk, 1 << 17) if may_mount else contextlib.nullcontext(False) as mounted:
        if mounted:
            disk_of = "tmpfs of 128 KiB"
            said = run(scenario.arguments(originals, disk / "out"), code=1)
            text = "No space left on device"
        else:
            disk_of = "limit of file sizes of 4 KiB"
            said = run(
                scenario.arguments(originals, disk / "out"),
                code=1,
                preexec_fn=lambda: limit_file_size(4096),
            )
            text = "File too large"
        if said.count(text) < 1:
            raise FaultError(f"the full disk is not told: {said}")
        n_finished, n_left = check(originals, originals, disk / "out", scenario)
        if n_left or not 0 < n_finished < n_pictures:
            raise FaultError(f"full disk: {n_finished} files, {n_left} temporary ones")
        first = next(line for line in said.splitlines() if text in line)
    n_failed = n_pictures - n_finished
    return f"{disk_of}: {n_finished} files whole, {n_failed} failed, none half; {_short(first)}"


def read_only_disk(folder: Path, n_pictures: int, seed: int) -> str:
    """Encode in place on a disk that is read-only; return which one it was and what was said."""
    disk = folder / "read-only"
    scenario = SCENARIOS[1]
    with small_disk(disk, 1 << 24) as mounted:
        originals, source = folder / "read-only-originals", disk / "in"
        make_pictures(originals, n_pictures, seed)
        shutil.copytree(originals, source)
        options: dict[str, object] = {}
        if mounted:
            name, text = "read-only tmpfs", "Read-only file system"
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        else:
            name, text = "folders without permission", "Permission denied"
            for place in source.rglob("*"):
                if place.is_dir():
                    place.chmod(0o555)
            if hasattr(os, "geteuid") and os.geteuid() == 0:
                options = {"user": "nobody"}
        try:
            said = run(scenario.arguments(source, disk / "out"), code=1, **options)
        finally:
            if not mounted:
                for place in source.rglob("*"):
                    if place.is_dir():
                        place.chmod(0o755)
        if said.count(text) != n_pictures:
            raise FaultError(f"the read-only disk is not told for each file: {said}")
        if check(originals, source, disk / "out", scenario) != (0, 0):
            raise FaultError("something was written")
        first = next(line for line in said.splitlines() if text in line)
    return f"{name}: nothing written, all {n_pictures} sources there; {_short(first)}"


def _short(line: str) -> str:
    return f"`scf: error: ...: {line.rpartition(': ')[2]}`"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pictures", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a Markdown file, such as results/...md")
    chosen = parser.parse_args()
    from provenance import describe_machine

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        outcome = kill_at_random(folder, chosen.kills, chosen.pictures, chosen.seed)
        full = full_disk(folder, chosen.pictures, chosen.seed)
        read_only = read_only_disk(folder, 10, chosen.seed)
    kinds = ", ".join(f"{count} `{kind}`" for kind, count in outcome.by_kind.items())
    text = (
        "# Interrupted conversions\n\n"
        f"{describe_machine()}"
        f"- by `python benchmarks/interruptions.py --kills {chosen.kills} --pictures "
        f"{chosen.pictures} --seed {chosen.seed}`\n\n"
        f"`kill -9` at {chosen.kills} random moments ({kinds}): {outcome.before} before the first "
        f"file was done, {outcome.during} amid the work, {outcome.after} after it. "
        f"{outcome.files:,} finished files were checked after the kills: all whole, no source "
        f"lost. {outcome.leftovers} temporary files were left behind, and removed by --resume, "
        "which completed every run.\n\n"
        f"Full disk, {full}\n\nRead-only disk, {read_only}\n"
    )
    print(text)
    if chosen.out is not None:
        chosen.out.write_text(text)


if __name__ == "__main__":
    main()
