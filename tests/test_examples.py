"""Every example runs, with warnings as errors; each checks the pixels itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
LAST_WORDS = {
    "save_and_open.py": "as gray:",
    "with_imageio.py": "mask: bilevel",
    "train_a_codebook.py": "with the codebook inside:",
    "convert_folder.py": "bytes of PNG became",
}

pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="takes long without compiled kernels"
)


def test_every_example_is_tested():
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    assert scripts == LAST_WORDS.keys() | {"make_samples.py"}


@pytest.mark.parametrize("name", LAST_WORDS)
def test_example_runs(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert LAST_WORDS[name] in done.stdout.splitlines()[-1]
    assert not list(tmp_path.iterdir())
