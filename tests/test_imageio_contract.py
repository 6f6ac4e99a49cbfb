"""What imageio asks of a plugin, as its test of the OpenCV plugin does: nine parts.

Written anew for SCF, in every mode of Pillow's that the format holds and with arrays beyond them.
"""

import io

import imageio.v3 as iio
import numpy as np
import pytest
from metadata_files import FULL
from PIL import Image
from plugin_files import any_image, picture

from softcomp_codec.container import PILLOW_MODES

OPTIONS = {"codebook": None}
SCF = {"plugin": "SCF"}
ARRAYS = {
    mode: picture(mode) for mode in ("1", "L", "LA", "RGB", "RGBA", "I;16", "rgb16", "rgba16")
}


@pytest.fixture(params=ARRAYS)
def array(request):
    return ARRAYS[request.param]


@pytest.fixture
def path(array, tmp_path):
    iio.imwrite(tmp_path / "x.scf", array, **SCF, **OPTIONS)
    return tmp_path / "x.scf"


@pytest.fixture
def stack(array):
    return np.stack([array, array[::-1], array[:, ::-1]])


@pytest.fixture
def stack_path(stack, tmp_path):
    iio.imwrite(tmp_path / "stack.scf", stack, is_batch=True, duration=[1, 2, 3], **SCF, **OPTIONS)
    return tmp_path / "stack.scf"


def assert_same(found, expected):
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(found, expected)


def test_reading(path, array):
    assert_same(iio.imread(path, **SCF), array)
    with iio.imopen(path, "r", **SCF) as file:
        assert_same(file.read(), array)
        assert_same(file.read(index=0), array)
        assert_same(file.read(index=...), array[np.newaxis])


def test_bytes(path, array):
    data = path.read_bytes()
    for source in (data, io.BytesIO(data)):
        assert_same(iio.imread(source, **SCF), array)


def test_multi(stack_path, stack):
    assert_same(iio.imread(stack_path, **SCF), stack)
    assert_same(iio.imread(stack_path, index=..., **SCF), stack)
    for index in range(3):
        assert_same(iio.imread(stack_path, index=index, **SCF), stack[index])
    for index in (3, -1):
        with pytest.raises(ValueError, match=f"index is {index}, the file holds 3"):
            iio.imread(stack_path, index=index, **SCF)


def test_iter(stack_path, path, stack, array):
    for found, expected in zip(iio.imiter(stack_path, **SCF), stack, strict=True):
        assert_same(found, expected)
    (found,) = iio.imiter(path, **SCF)
    assert_same(found, array)


def test_write(tmp_path, array, stack):
    target = tmp_path / "y.scf"
    iio.imwrite(target, array, **SCF)
    assert_same(iio.imread(target), array)
    for given in (stack, list(stack), tuple(stack)):
        iio.imwrite(target, given, is_batch=True, **SCF)
        assert_same(iio.imread(target, index=..., **SCF), stack)
    if array.dtype == np.uint8:
        iio.imwrite(target, [np.uint8(each.tolist()) for each in stack], is_batch=True, **SCF)
        assert_same(iio.imread(target, index=..., **SCF), stack)


def test_write_bytes(array, stack):
    data = iio.imwrite("<bytes>", array, extension=".scf", **SCF)
    assert_same(iio.imread(data, **SCF), array)
    target = io.BytesIO()
    iio.imwrite(target, stack, is_batch=True, **SCF)
    assert_same(iio.imread(target.getvalue(), index=..., **SCF), stack)
    assert not target.closed


def test_batch(array):
    for given, n_images in ((array, 1), ([array], 1), ([array, array], 2)):
        data = iio.imwrite("<bytes>", given, extension=".scf", **SCF, **OPTIONS)
        properties = iio.improps(data, index=..., **SCF)
        assert (properties.is_batch, properties.n_images) == (True, n_images)
    thin = iio.imwrite("<bytes>", np.stack([array] * 2), extension=".scf", is_batch=True, **SCF)
    assert iio.improps(thin, **SCF).shape == (2, *array.shape)
    with pytest.raises(ValueError, match="must be alike"):
        iio.imwrite("<bytes>", [array, array[1:]], extension=".scf", **SCF)


def test_props(path, stack_path, array, stack):
    single = iio.improps(path, **SCF)
    assert (single.shape, single.dtype, single.is_batch) == (array.shape, array.dtype, False)
    assert single.n_images is None
    whole = iio.improps(stack_path, **SCF)
    assert (whole.shape, whole.dtype, whole.is_batch) == (stack.shape, array.dtype, True)
    assert whole.n_images == 3
    one = iio.improps(stack_path, index=1, **SCF)
    assert (one.shape, one.n_images, one.is_batch) == (array.shape, None, False)
    with pytest.raises(ValueError, match="index is 3"):
        iio.improps(stack_path, index=3, **SCF)


def test_metadata(path, stack_path):
    assert iio.immeta(path, **SCF)["n_frames"] == 1
    assert "duration" not in iio.immeta(path, **SCF)
    assert iio.immeta(stack_path, **SCF)["duration"] == [1, 2, 3]
    assert [iio.immeta(stack_path, index=i, **SCF)["duration"] for i in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="index is 3"):
        iio.immeta(stack_path, index=3, **SCF)
    with iio.imopen(path, "r", **SCF) as file:
        assert file.metadata() == file.metadata(exclude_applied=False)


@pytest.mark.parametrize("mode", [mode for mode in PILLOW_MODES if mode != "PA"])  # alpha is lost
def test_every_mode_of_pillow_through_imageios_pillow_plugin(mode, tmp_path):
    """What Pillow wrote, read by both plugins; metadata are the same."""
    image = any_image(mode, 21, 15)
    kept = {key: value for key, value in FULL.items() if key != "transparency"}
    image.save(tmp_path / "x.scf", metadata=kept)
    by_pillow = iio.imread(tmp_path / "x.scf", plugin="pillow")
    assert np.array_equal(by_pillow.ravel(), iio.imread(tmp_path / "x.scf", **SCF).ravel())
    for plugin in ("pillow", "SCF"):
        found = iio.immeta(tmp_path / "x.scf", plugin=plugin)
        assert {key: found[key] for key in kept} == kept
    with Image.open(tmp_path / "x.scf") as opened:
        assert opened.tobytes() == image.tobytes()
