"""The collector of garbage rests while modules load and kernels compile, and runs again after."""

import gc
import subprocess
import sys

import pytest

from softcomp_codec.collector import collector_rests


@pytest.fixture(autouse=True)
def _as_before():
    was_on = gc.isenabled()
    yield
    (gc.enable if was_on else gc.disable)()


def test_it_runs_again_after_the_last_one_left():
    gc.enable()
    with collector_rests:
        assert not gc.isenabled()
        with collector_rests:
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_runs_again_after_an_error():
    gc.enable()
    with pytest.raises(ValueError, match="bad"), collector_rests:
        raise ValueError("bad")
    assert gc.isenabled()


def test_what_was_off_stays_off():
    gc.disable()
    with collector_rests:
        pass
    assert not gc.isenabled()


FIRST_USES = {
    "Pillow opens": "Image.open(stream).load()",
    "Pillow saves": "Image.new('L', (9, 7)).save(io.BytesIO(), 'SCF')",
    "imageio opens": "iio.imread(stream, plugin='SCF')",
    "imageio saves": "iio.imwrite(io.BytesIO(), image, extension='.scf', plugin='SCF')",
    "decode": "softcomp_codec.decode(stream.getvalue())",
}
PROCESS = """
import gc, io, sys
import imageio.v3 as iio
from PIL import Image
import softcomp_codec
stream = io.BytesIO(bytes.fromhex({file!r}))
import numpy as np
image = np.zeros((7, 9), np.uint8)
{use}
print(gc.isenabled(), "numba" in sys.modules)
"""


@pytest.mark.parametrize("use", FIRST_USES.values(), ids=FIRST_USES)
def test_it_runs_after_the_first_use(use):
    import numpy as np

    import softcomp_codec

    page = np.add.outer(np.arange(40), np.arange(30)).astype(np.uint8)
    text = PROCESS.format(file=softcomp_codec.encode(page, codebook=None).hex(), use=use)
    found = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=300
    )
    assert found.stdout.split() == ["True", "True"]
