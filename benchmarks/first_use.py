"""What the first picture of a kind takes after an installation, while its kernels are compiled.

    python benchmarks/first_use.py [--kinds rgb,jpeg-past] [--out results/first-use.md]

Each kind is encoded in a new process with an empty cache of kernels, decoded in another with an
empty one, and both once more with what those have left there. CPU seconds of the process and wall
seconds are measured from before Numba and the library are imported until the picture is coded;
Pillow and NumPy are loaded before. Pictures come from the bundled samples. Other work on the
machine makes all figures larger, CPU seconds too: the load that it had is told.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from provenance import describe_machine
from table_text import table

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "softcomp_codec" / "samples"
TARGET = 12
"""Wall seconds that no first picture may take on a quiet machine of two cores."""


def _sample(name: str) -> Image.Image:
    with Image.open(SAMPLES / f"{name}.png") as opened:
        opened.load()
        return opened.copy()


def _photo() -> Image.Image:
    """Return colours that no JPEG decoder gives: the shades of one picture by those of another."""
    retina = np.asarray(_sample("retina"), np.int64)[:256, :256]
    shade = np.asarray(_sample("microscopy"), np.int64)
    return Image.fromarray(((retina * 2 + shade[:, :, None]) // 3).astype(np.uint8))


def _with_alpha() -> Image.Image:
    photo = _photo()
    photo.putalpha(_sample("microscopy"))
    return photo


def _jpeg_past() -> Image.Image:
    stream = BytesIO()
    _sample("retina").save(stream, "JPEG", quality=85)
    with Image.open(stream) as opened:
        opened.load()
        return opened.copy()


def _sixteen_bits() -> Any:
    gray = np.asarray(_sample("microscopy"), np.uint16)
    rows, columns = np.indices(gray.shape)
    return gray * 97 + ((rows * 7 + columns * 3) % 97).astype(np.uint16)


KINDS: dict[str, Callable[[], Any]] = {
    "bilevel": lambda: _sample("typed-page"),
    "tiny-bilevel": lambda: _sample("digit-2"),
    "tiny-gray": lambda: _sample("shirt"),
    "gray": lambda: _sample("microscopy"),
    "palette": lambda: _photo().quantize(64),
    "rgb": _photo,
    "few-colours": lambda: _photo().quantize(16).convert("RGB"),
    "rgba": _with_alpha,
    "jpeg-past": _jpeg_past,
    "16-bit": _sixteen_bits,
    "float": lambda: np.asarray(_sample("microscopy"), np.float32) * np.float32(1.37),
    "set": lambda: [_sample(f"digit-{number}") for number in (2, 3, 7)],
}


def code(kind: str, what: str, file: Path) -> None:
    """Encode or decode one picture, and print what it took: the work of a new process."""
    picture = KINDS[kind]()
    processor, clock = time.process_time(), time.perf_counter()
    from numba.core import dispatcher as numba_dispatcher

    class_: Any = numba_dispatcher.Dispatcher
    kernels: dict[str, float] = {}
    compile_one = class_.compile

    def timed(dispatcher: Any, signature: Any) -> Any:
        n_before, begun = len(dispatcher.overloads), time.thread_time()
        hits = sum(dispatcher.stats.cache_hits.values())
        try:
            return compile_one(dispatcher, signature)
        finally:
            is_new = len(dispatcher.overloads) > n_before
            loaded = sum(dispatcher.stats.cache_hits.values()) > hits
            if is_new and not loaded and hasattr(dispatcher._cache, "_impl"):
                name = dispatcher.py_func.__name__
                kernels[name] = kernels.get(name, 0) + time.thread_time() - begun

    class_.compile = timed
    import softcomp_codec

    coder = ""
    if what == "encode" and kind == "set":
        softcomp_codec.write_set(file, picture)
    elif what == "encode":
        file.write_bytes(softcomp_codec.encode(picture))
    elif kind == "set":
        with softcomp_codec.open_set(file) as images:
            list(images)
    else:
        softcomp_codec.decode(file.read_bytes())
    facts = {"cpu": time.process_time() - processor, "wall": time.perf_counter() - clock}
    if kind != "set":
        from softcomp_codec import container

        coder = container.CODER_NAMES[softcomp_codec.read_header(file.read_bytes()).coder]
    print(json.dumps({**facts, "kernels": kernels, "coder": coder}))


def run(kind: str, what: str, file: Path, cache: Path) -> dict[str, Any]:
    """Return what a new process took."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", kind, what, str(file)],
        env={**os.environ, "SOFTCOMP_NUMBA_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(kind: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Return what encoding and decoding took, first and afterwards."""
    file, rows = folder / f"{kind}.scf", {}
    for what in ("encode", "decode"):
        cache = folder / f"{kind}-{what}"
        cache.mkdir()
        rows[what] = run(kind, what, file, cache)
        rows[f"{what} again"] = run(kind, what, file, cache)
    return rows


def report(found: dict[str, dict[str, dict[str, Any]]], load: str) -> str:
    """Return the whole document."""
    rows, lists = [], []
    for kind, measured in found.items():
        coder = measured["decode"]["coder"]
        row: list[object] = [kind, coder or "-"]
        for what in ("encode", "decode"):
            for each in (measured[what], measured[f"{what} again"]):
                row += [f"{each['cpu']:.1f}", f"{each['wall']:.1f}"]
            kernels = sorted(measured[what]["kernels"].items(), key=lambda pair: -pair[1])
            names = ", ".join(f"`{name}` {seconds:.1f}" for name, seconds in kernels)
            lists.append(f"- {kind}, {what}: {names}")
        rows.append(row)
    columns = ["kind", "coder"]
    for what in ("encode", "decode"):
        columns += [f"{what}: CPU s", "wall s", "again: CPU s", "wall s"]
    late = [
        f"{kind} {what}"
        for kind, measured in found.items()
        for what in ("encode", "decode")
        if measured[what]["wall"] > TARGET
    ]
    verdict = f"Slower than {TARGET} s: {', '.join(late) or 'none'}.\n"
    return "\n".join([
        "# First use\n",
        f"{describe_machine()}- load of the machine: {load}\n",
        (__doc__ or "").split("\n\n", 2)[2],
        table(columns, rows, left=2),
        verdict,
        "## Kernels compiled, with CPU seconds\n",
        "\n".join(lists) + "\n",
    ])  # fmt: skip


def _load() -> float:
    """Return how many processes wanted a core in the last minute, 0 where that is not known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kinds", default=",".join(KINDS), help="some of them, with commas")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "first-use.md")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.one:
        kind, what, file = chosen.one
        code(kind, what, Path(file))
        return
    found, loads = {}, [_load()]
    with tempfile.TemporaryDirectory() as name:
        for kind in chosen.kinds.split(","):
            found[kind] = measure(kind, Path(name))
            loads.append(_load())
            seconds = [f"{what} {each['wall']:.1f} s" for what, each in found[kind].items()]
            print(f"{kind}: {', '.join(seconds)}", file=sys.stderr, flush=True)
    text = report(found, f"{min(loads):.1f} to {max(loads):.1f} processes, this one included")
    print(text)
    chosen.out.write_text(text)


if __name__ == "__main__":
    main()
