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
from made_images import noise
from reference_decoder_jpeg import fine_block

from softcomp_codec.jpeg_emulation import invert_transform

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


@pytest.mark.parametrize("magnitude", [60, 2000, 29999, 30001, 60000, 500000, 1 << 30])
def test_small_and_large_coefficients_are_transformed_alike(magnitude):
    """32 bits hold the sums of blocks up to some magnitude."""
    step = max(1, magnitude // 20000)
    for seed in range(12):
        draws = noise((64,), 1 << 16, seed) - (1 << 15)
        draws[noise((64,), 8, seed + 50) < seed % 8] = 0
        if seed > 8:  # all of it in one coefficient
            draws[:] = 0
            draws[seed * 7 % 64] = 1 if seed % 2 else -1
        size = max(1, int(np.abs(draws.astype(int)).sum()))
        block = np.clip(draws * magnitude // (size * step), -32767, 32767).astype(np.int16)
        fine = invert_transform(block.reshape(1, 1, 64), (step,) * 64, (8, 8))
        assert fine.tolist() == fine_block(block.tolist(), [step] * 64)
