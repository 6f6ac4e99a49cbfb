"""Measure huge images: time and memory of encoding, decoding and of crops, in fresh processes.

    python benchmarks/huge_images.py [--side 20000] [--cases gray bilevel rgb gray16] [--effort 5]
                                     [--folder DIR] [--threads 2] [--out FILE.md]

Images are made from a seed: waves and edges with noise, a part without noise, a part of noise
alone. Each step is a process of its own: it reads its input, codes a small image so that kernels
are loaded, runs, and reports the time, the most memory that the whole process ever had (input and
output arrays included), and a hash of the samples, which must be that of the image made.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from provenance import describe_machine

import softcomp_codec
from softcomp_codec import worker_threads
from softcomp_codec.atomic_files import write_atomically

BAND = 500
CROP = 512
N_CROPS = 9
LIMIT_MIB = 3 * 1024
STEPS = ("encode", "decode", "crop", "pillow-save", "pillow-open")

CASES = {
    "gray": ("gray 8", 1, np.uint8, ()),
    "bilevel": ("bilevel", 1, np.bool_, ()),
    "rgb": ("RGB 8", 2, np.uint8, (3,)),
    "gray16": ("gray 16", 2, np.uint16, ()),
}
"""Name, by what the side is divided, sample type and channels."""


def make_image(case: str, side: int) -> NDArray[Any]:
    """Return the image of a case, made band by band."""
    _, divisor, dtype, channels = CASES[case]
    side //= divisor
    image = np.empty((side, side, *channels), dtype)
    columns = np.arange(side, dtype=np.float32)
    for top in range(0, side, BAND):
        rows = np.arange(top, min(top + BAND, side), dtype=np.float32)[:, None]
        rng = np.random.default_rng([side, top])
        shade = 110 + 40 * np.sin(columns / 97 + rows / 211) + 25 * np.sin(columns / 13 - rows / 17)
        shade += 40 * ((columns // 640 + rows // 480) % 2)
        noise = rng.standard_normal(shade.shape, np.float32) * 5
        noise *= (columns + 2 * rows) % (side / 3) > side / 8
        shade += noise
        pure = (columns % 4000 > 3700) & (rows % 4000 > 3700)
        shade = np.where(pure, rng.integers(0, 256, shade.shape), shade)
        shade = np.clip(shade, 0, 255)
        band = image[top : top + len(rows)]
        if case == "gray16":
            band[:] = shade * 40 + rng.integers(0, 30, shade.shape)
        elif case == "rgb":
            for channel, tint in enumerate((1.0, 0.9, 0.75)):
                band[:, :, channel] = shade * tint + rng.integers(0, 3, shade.shape)
        elif case == "bilevel":
            band[:] = shade > 150
        else:
            band[:] = shade
    return image


def digest(array: NDArray[Any]) -> str:
    """Return a hash of an array's samples, taken band by band."""
    found = hashlib.sha256()
    for top in range(0, len(array), BAND):
        found.update(np.ascontiguousarray(array[top : top + BAND]))
    return found.hexdigest()


def run_step(step: str, case: str, folder: Path, effort: int, threads: int) -> dict[str, Any]:
    """Run one step in this process and return what it tells."""
    worker_threads.thread_limit.set(threads)
    raw, scf = folder / f"{case}.npy", folder / f"{case}.scf"
    if step == "make":
        array = make_image(case, int(os.environ["HUGE_SIDE"]))
        np.save(raw, array)
        return {"hash": digest(array), "bytes": array.nbytes, "shape": array.shape}
    small = np.ascontiguousarray(np.load(raw, mmap_mode="r")[:300, :300])
    softcomp_codec.decode(softcomp_codec.encode(small, effort=effort))
    if step == "encode":
        array = np.load(raw)
        start, start_cpu = time.perf_counter(), time.process_time()
        data = softcomp_codec.encode(array, effort=effort)
        told = measured(start, start_cpu)
        write_atomically(scf, data)
        return {**told, "bytes": len(data), "coder": softcomp_codec.read_header(data).coder}
    if step == "crop":
        return crops(scf, np.load(raw, mmap_mode="r"))
    if step == "decode":
        data = scf.read_bytes()
        start, start_cpu = time.perf_counter(), time.process_time()
        array = softcomp_codec.decode(data)
        return {**measured(start, start_cpu), "hash": digest(array)}
    Image.MAX_IMAGE_PIXELS = None
    if step == "pillow-save":
        image = Image.fromarray(np.load(raw))
        start, start_cpu = time.perf_counter(), time.process_time()
        image.save(folder / f"{case}-pillow.scf", effort=effort)
        told = measured(start, start_cpu)
        return {**told, "same": (folder / f"{case}-pillow.scf").read_bytes() == scf.read_bytes()}
    start, start_cpu = time.perf_counter(), time.process_time()
    image = Image.open(folder / f"{case}-pillow.scf")
    image.load()
    return {**measured(start, start_cpu), "hash": pillow_digest(image)}


def measured(start: float, start_cpu: float) -> dict[str, float]:
    """Return what has passed since, and the most memory so far."""
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - start_cpu,
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def pillow_digest(image: Image.Image) -> str:
    """Return `digest` of a Pillow image, cropped band by band."""
    found = hashlib.sha256()
    for top in range(0, image.height, BAND):
        band = image.crop((0, top, image.width, min(top + BAND, image.height)))
        samples = np.asarray(band)  # of mode 1 its bytes are 0 and 255
        found.update(np.ascontiguousarray(samples != 0 if image.mode == "1" else samples))
    return found.hexdigest()


def crops(scf: Path, image: NDArray[Any]) -> dict[str, Any]:
    """Open and read crops at several places, each from a newly opened file."""
    height, width = image.shape[:2]
    rng = np.random.default_rng(1)
    times, same = [], True
    for _ in range(N_CROPS):
        top, left = (int(rng.integers(0, side - CROP)) for side in (height, width))
        start = time.perf_counter()
        with softcomp_codec.open(scf) as opened:
            part = opened.read((left, top, left + CROP, top + CROP))
        times.append(time.perf_counter() - start)
        same &= np.array_equal(part, image[top : top + CROP, left : left + CROP])
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": sorted(times)[N_CROPS // 2], "worst": max(times), "mib": mib, "same": same}


def run_in_process(step: str, case: str, arguments: argparse.Namespace, folder: Path) -> Any:
    """Run a step in a fresh process."""
    command = [
        sys.executable, __file__, "--step", step, "--cases", case, "--folder", str(folder),
        "--effort", str(arguments.effort), "--threads", str(arguments.threads),
    ]  # fmt: skip
    environment = {**os.environ, "HUGE_SIDE": str(arguments.side)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{case}, {step}: {result.stderr}")
    return json.loads(result.stdout)


def measure_case(case: str, arguments: argparse.Namespace, folder: Path) -> tuple[str, bool]:
    """Return a row of the table, and whether all that is demanded holds."""
    made = run_in_process("make", case, arguments, folder)
    steps = [step for step in STEPS if not (case == "gray16" and step.startswith("pillow"))]
    told = {step: run_in_process(step, case, arguments, folder) for step in steps}
    hashes = {each["hash"] for each in told.values() if "hash" in each}
    exact = hashes == {made["hash"]} and all(each.get("same", True) for each in told.values())
    most = max(each["mib"] for each in told.values())
    ratio = told["decode"]["seconds"] / told["crop"]["seconds"]
    worst = told["decode"]["seconds"] / told["crop"]["worst"]
    cells = [
        f"{CASES[case][0]} {made['shape'][1]:,} x {made['shape'][0]:,}",
        f"{made['bytes'] / told['encode']['bytes']:.2f}",
        *(
            f"{told[step]['seconds']:.1f} s, {told[step]['mib']:,.0f} MiB" if step in told else "-"
            for step in STEPS
            if step != "crop"
        ),
        f"{1000 * told['crop']['seconds']:.0f} ms (worst {1000 * told['crop']['worst']:.0f}), "
        f"{told['crop']['mib']:,.0f} MiB",
        f"1/{ratio:.0f} (worst 1/{worst:.0f})",
        "yes" if exact else "NO",
    ]
    good = exact and most < LIMIT_MIB and (case != "gray" or worst > 50)
    return "| " + " | ".join(cells) + " |", good


def main() -> int:
    """Measure all cases, print and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--effort", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="for the files; default: a temporary one")
    parser.add_argument("--step", choices=("make", *STEPS), help=argparse.SUPPRESS)
    out = Path(__file__).parent / "results/huge-images.md"
    parser.add_argument("--out", type=Path, default=out)
    arguments = parser.parse_args()
    if arguments.step:
        told = run_step(
            arguments.step, arguments.cases[0], arguments.folder, arguments.effort,
            arguments.threads,
        )  # fmt: skip
        print(json.dumps(told))
        return 0
    lines = [
        "| image | ratio | encode | decode | Pillow save | Pillow open | crop 512 x 512 "
        "| crop / decode | exact |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    all_good = True
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for case in arguments.cases:
            line, good = measure_case(case, arguments, Path(folder))
            print(line, flush=True)
            lines.append(line)
            all_good &= good
            for path in Path(folder).iterdir():
                path.unlink()
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(
        "# Huge images\n\n"
        f"Written by `benchmarks/huge_images.py`, effort {arguments.effort}, "
        f"{arguments.threads} threads. Times are those on the clock, memory is the most that the "
        "whole process had, arrays and interpreter included. Crops are read from newly opened "
        f"files: the median of {N_CROPS} places.\n\n"
        f"{describe_machine()}\n" + "\n".join(lines) + "\n"
    )
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
