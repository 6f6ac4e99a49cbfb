"""What SPEC 5J makes of the coefficients of JPEG files, beside what Pillow decodes."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))

import jpeg_emulation
from jpeg_files import read_jpeg

N_FILES = 300
SEED = 7


@pytest.fixture(scope="module")
def files():
    pictures = [jpeg_emulation.drawn_picture()]
    return list(jpeg_emulation.made_files(N_FILES, SEED, pictures))


@pytest.mark.parametrize("layout", jpeg_emulation.LAYOUTS)
def test_pictures_are_those_of_pillow(files, layout):
    of_layout = [made for made in files if made.layout == layout]
    assert {made.coding for made in of_layout} == set(jpeg_emulation.CODINGS)
    for made in of_layout:
        found, expected = jpeg_emulation.emulated(made.data), jpeg_emulation.by_pillow(made.data)
        assert np.array_equal(found, expected), (made.coding, made.quality, made.shape)


def test_other_tables_and_layouts_are_among_them(files):
    read = [read_jpeg(made.data) for made in files]
    assert {each.is_progressive for each in read} == {False, True}
    assert {each.sampling for each in read} == {(1, 1), (1, 2), (2, 2), (2, 1)}
    assert min(min(made.shape) for made in files) < 8
    assert max(max(made.shape) for made in files) > 180


def test_one_coefficient_of_a_file():
    stream = io.BytesIO()
    Image.new("L", (8, 8), 128 + 10).save(stream, "JPEG", quality=50)
    file = read_jpeg(stream.getvalue())
    assert file.table_of(0)[:3] == (16, 11, 10)
    assert file.coefficients_of(0)[0, 0, 0] == 5  # 8 * 10 / 16
    assert not file.coefficients_of(0)[0, 0, 1:].any()
