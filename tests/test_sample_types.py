"""Every Pillow mode and every type of samples, bit for bit, both ways."""

import warnings
from io import BytesIO
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import reference_decoder
from PIL import Image

import softcomp_codec
from softcomp_codec import container, sample_map
from softcomp_codec.container import SAMPLE_TYPES, Header, Segment, array_mode
from softcomp_codec.encoder import encode_frames
from softcomp_codec.errors import CorruptStreamError, ScfError, UnsupportedStreamError
from softcomp_codec.planes import canonical_samples
from softcomp_codec.sample_forms import FRACTIONS, MULTIPLES, from_unsigned, on_ladder, to_unsigned
from softcomp_codec.sample_map import Mapping, SampleMap, list_of
from softcomp_codec.training import TrainingOptions

softcomp_codec.register()

TYPES = list(SAMPLE_TYPES)
PILLOW_MODES = [
    "1",
    "L",
    "LA",
    "La",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBa",
    "RGBX",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I;16",
    "I;16B",
    "I;16L",
    "I;16N",
    "I",
    "F",
]
SHAPES = [(7, 9), (7, 9, 1), (5, 6, 2), (5, 6, 3), (5, 6, 4), (4, 3, 5), (3, 2, 70), (1, 1)]


def any_bits(dtype: str, shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    """Return samples of random bits: of floating-point numbers also NaNs of all kinds."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    size = np.dtype(dtype).itemsize
    raw = rng.integers(0, 256, (*shape, size)).astype(np.uint8)
    return raw.view(dtype).reshape(shape)


def ramp(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers that grow from pixel to pixel."""
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def extremes(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the least, the largest and the strangest numbers of a type, in turn."""
    if dtype == "bool":
        values = [False, True]
    elif dtype.startswith("float"):
        limits = np.finfo(dtype)
        values = [
            0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, limits.max, limits.min, limits.tiny,
            limits.smallest_subnormal, -limits.smallest_subnormal, 1.0, limits.eps,
        ]  # fmt: skip
    else:
        bounds = np.iinfo(dtype)
        values = [bounds.min, bounds.max, 0, 1, bounds.max // 2, bounds.max - 1]
    return np.resize(np.array(values, dtype), shape)


def constant(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return one number everywhere."""
    return np.full(shape, 1, dtype)


CONTENTS = [any_bits, ramp, extremes, constant]


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """Check type, shape and every bit."""
    expected = expected.astype(expected.dtype.newbyteorder("="))
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: content.__name__)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", TYPES)
def test_arrays_come_back_bit_for_bit(dtype, shape, content):
    array = content(dtype, shape)
    data = softcomp_codec.encode(array)
    assert_same(softcomp_codec.decode(data), array)
    assert len(data) <= array.nbytes + 32


@pytest.mark.parametrize("dtype", TYPES)
def test_large_arrays_come_back_in_whole_and_in_part(dtype):
    array = np.add.outer(np.arange(150) // 7, np.arange(170) // 2).astype(dtype)
    array[:40] = any_bits(dtype, (40, 170))
    data = softcomp_codec.encode(array, effort=1)
    assert_same(softcomp_codec.decode(data), array)
    with softcomp_codec.open(data) as opened:
        assert (opened.dtype, opened.shape) == (array.dtype, array.shape)
        assert_same(opened.read((3, 30, 90, 61)), array[30:61, 3:90])


@pytest.mark.parametrize("dtype", ["int64", "uint32", "float64", "float32"])
def test_many_different_numbers_in_steps(dtype):
    rng = np.random.default_rng(8)
    array = (rng.permutation(300 * 280).reshape(300, 280) * 91 + 17).astype(dtype)
    assert_same(softcomp_codec.decode(softcomp_codec.encode(array, effort=1)), array)
    assert_same(
        softcomp_codec.decode(softcomp_codec.encode(array * 3 - 7, effort=1)), array * 3 - 7
    )


def test_parts_of_tiles():
    rows, columns = np.indices((1100, 1000))
    wave = (np.sin(rows / 50) * columns).astype(np.float32)
    with softcomp_codec.open(softcomp_codec.encode(wave, effort=1)) as opened:
        assert_same(opened.read((100, 500, 300, 700)), wave[500:700, 100:300])


@pytest.mark.parametrize("dtype", TYPES)
def test_any_order_of_bytes_and_any_strides(dtype):
    array = any_bits(dtype, (8, 6, 3))
    swapped = array.astype(array.dtype.newbyteorder(">"))
    assert_same(softcomp_codec.decode(softcomp_codec.encode(swapped)), array)
    sliced = array[::-1, ::2, ::-1]
    sliced.flags.writeable = False
    assert_same(softcomp_codec.decode(softcomp_codec.encode(sliced)), sliced)
    assert_same(softcomp_codec.decode(softcomp_codec.encode(array.transpose(1, 0, 2))),
                array.transpose(1, 0, 2))  # fmt: skip


@pytest.mark.parametrize("dtype", TYPES)
def test_many_components(dtype):
    array = any_bits(dtype, (2, 3, 4096))
    assert_same(softcomp_codec.decode(softcomp_codec.encode(array)), array)
    smooth = np.add.outer(np.arange(40), np.arange(9)).astype(dtype)
    array = np.repeat(np.repeat(smooth[:, None], 30, axis=1), 3, axis=2)
    assert_same(softcomp_codec.decode(softcomp_codec.encode(array)), array)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 3), np.complex64), np.zeros((3, 3), object), np.zeros((3, 3), "U1"),
        np.zeros((3, 3), np.longdouble), np.zeros((2, 2, 4097), np.uint8),
        np.zeros((2, 2, 2, 2), np.float32), np.zeros(3, np.int8), np.zeros((3, 3), "M8[s]"),
    ],
    ids=lambda array: f"{array.dtype}-{array.ndim}",
)  # fmt: skip
def test_what_is_no_picture_is_refused(array):
    with pytest.raises(TypeError, match="cannot encode an array of dtype"):
        softcomp_codec.encode(array)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (4, 4, 0), (0, 0, 3)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8"])
def test_empty_arrays_are_refused(dtype, shape):
    with pytest.raises(ValueError, match="empty"):
        softcomp_codec.encode(np.zeros(shape, dtype))


# --- Pillow -------------------------------------------------------------------------------------


def pillow_images(mode: str, size: tuple[int, int] = (13, 9)) -> list[Image.Image]:
    """Return images of a mode: random, constant and smooth ones."""
    blank = Image.new(mode, size)
    n_bytes = len(blank.tobytes())
    rng = np.random.default_rng(7)
    images = [
        Image.frombytes(mode, size, rng.integers(0, 256, n_bytes).astype(np.uint8).tobytes()),
        blank,
        Image.frombytes(mode, size, (np.arange(n_bytes) // 4).astype(np.uint8).tobytes()),
    ]
    if mode in ("P", "PA"):
        for index, image in enumerate(images):
            image.putpalette(rng.integers(0, 256, 3 * 200).astype(np.uint8).tobytes())
            if index == 1:
                image.info["transparency"] = 3
    return images


def assert_same_image(found: Image.Image, expected: Image.Image) -> None:
    """Check mode, size, samples, palette and transparency."""
    assert (found.mode, found.size) == (expected.mode, expected.size)
    assert found.tobytes() == expected.tobytes()
    assert found.getpalette(None) == expected.getpalette(None) or expected.mode not in ("P", "PA")
    assert found.info.get("transparency") == expected.info.get("transparency")


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_pillow_keeps_every_mode(mode, tmp_path):
    for image in pillow_images(mode):
        path = tmp_path / "image.scf"
        image.save(path)
        with Image.open(path) as found:
            assert found.mode == mode  # before it is loaded
            found.load()
            assert_same_image(found, image)


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_pillow_keeps_frames_of_every_mode(mode, tmp_path):
    images = [image for image in pillow_images(mode) if not image.info]
    if mode in ("P", "PA"):
        images[1].putpalette(images[0].getpalette())
    path = tmp_path / "frames.scf"
    images[0].save(path, save_all=True, append_images=images[1:])
    with Image.open(path) as found:
        assert found.n_frames == len(images)
        for index, image in enumerate(images):
            found.seek(index)
            found.load()
            assert_same_image(found, image)


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_sets_keep_every_mode(mode, tmp_path):
    images = pillow_images(mode)
    softcomp_codec.write_set(tmp_path / "set.scf", images)
    with softcomp_codec.open_set(tmp_path / "set.scf") as found:
        for index, image in enumerate(images):
            assert_same_image(found[index], image)


def test_palettes_keep_their_alpha_and_their_transparency(tmp_path):
    image = pillow_images("PA")[0]
    image.putpalette(bytes(range(200)), "RGBA")
    image.info["transparency"] = bytes([1, 2, 255, 7])
    image.save(tmp_path / "image.scf")
    with Image.open(tmp_path / "image.scf") as found:
        found.load()
        assert_same_image(found, image)
        assert found.im.getpalettemode() == "RGBA"
    shown = iio.imread(tmp_path / "image.scf")
    assert shown.shape == (9, 13, 4)
    assert np.array_equal(shown[:, :, 3], np.asarray(image)[:, :, 1])


def test_float_bits_pass_through_pillow(tmp_path):
    array = extremes("float32", (5, 6))
    Image.fromarray(array).save(tmp_path / "image.scf")
    with Image.open(tmp_path / "image.scf") as found:
        assert_same(np.asarray(found), array)


# --- imageio ------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: content.__name__)
@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 1), (5, 6, 2), (5, 6, 3), (5, 6, 4)], ids=str)
@pytest.mark.parametrize("dtype", TYPES)
def test_imageio_keeps_every_type(dtype, shape, content, tmp_path):
    array = content(dtype, shape)
    iio.imwrite(tmp_path / "image.scf", array)
    assert_same(iio.imread(tmp_path / "image.scf"), array)
    properties = iio.improps(tmp_path / "image.scf")
    assert (properties.dtype, properties.shape) == (array.dtype, array.shape)


@pytest.mark.parametrize("dtype", TYPES)
def test_imageio_keeps_many_components_and_stacks(dtype, tmp_path):
    array = any_bits(dtype, (4, 5, 9))
    iio.imwrite(tmp_path / "image.scf", array, is_batch=False)
    assert_same(iio.imread(tmp_path / "image.scf"), array)
    iio.imwrite(tmp_path / "stack.scf", array, is_batch=True)
    assert_same(iio.imread(tmp_path / "stack.scf"), array)


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_imageio_writes_pillow_images(mode, tmp_path):
    image = pillow_images(mode)[0]
    iio.imwrite(tmp_path / "image.scf", image)
    with Image.open(tmp_path / "image.scf") as found:
        found.load()
        assert_same_image(found, image)


@pytest.mark.parametrize("dtype", ["complex64", "object"])
def test_imageio_refuses_what_is_no_picture(dtype, tmp_path):
    with pytest.raises((TypeError, OSError)):
        iio.imwrite(tmp_path / "image.scf", np.zeros((3, 3), dtype))
    assert not (tmp_path / "image.scf").exists()


# --- frames -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
def test_frames_share_a_map(dtype):
    frames = [any_bits(dtype, (6, 7, 2), seed) for seed in range(3)]
    data = encode_frames(frames)
    for found, frame in zip(softcomp_codec.decode_frames(data), frames, strict=True):
        assert_same(found, frame)


def test_frames_of_wide_samples_follow_each_other():
    rng = np.random.default_rng(3)
    first = rng.integers(-(2**30), 2**30, (40, 50)).astype(np.int32)
    frames = [first, first + 1, first + 2]
    data = encode_frames(frames)
    assert len(data) < 1.4 * len(softcomp_codec.encode(first))
    for found, frame in zip(softcomp_codec.decode_frames(data), frames, strict=True):
        assert_same(found, frame)
    with softcomp_codec.open(data) as opened:
        assert_same(opened.read((5, 6, 20, 30), frame=2), frames[2][6:30, 5:20])


def test_frames_of_different_modes_are_refused():
    images = [pillow_images(mode)[0] for mode in ("CMYK", "RGBA")]
    with pytest.raises(ValueError, match="alike"):
        encode_frames(images)


# --- what is simpler costs less -----------------------------------------------------------------


def texture(shape: tuple[int, int] = (160, 180)) -> np.ndarray:
    """Return a smooth picture with noise, 8 bits."""
    rng = np.random.default_rng(11)
    rows, columns = np.indices(shape)
    wave = 100 + 60 * np.sin(rows / 17) * np.cos(columns / 23)
    return (wave + rng.normal(0, 4, shape)).round().clip(0, 255).astype(np.uint8)


def size(array: np.ndarray) -> int:
    """Return the bytes of a file, which decodes."""
    data = softcomp_codec.encode(array)
    assert_same(softcomp_codec.decode(data), array)
    return len(data)


def test_gray_colours_cost_as_little_as_gray():
    gray = texture()
    assert size(np.stack([gray] * 3, axis=2)) <= 1.01 * size(gray)
    opaque = np.full_like(gray, 255)
    assert size(np.stack([gray, gray, gray, opaque], axis=2)) <= 1.01 * size(gray)
    assert size(np.stack([gray, opaque], axis=2)) <= 1.01 * size(gray)


@pytest.mark.parametrize(
    "like",
    [
        lambda gray: gray.astype(np.int32),
        lambda gray: gray.astype(np.float32),
        lambda gray: gray.astype(np.float64),
        lambda gray: (gray / 255).astype(np.float32),
        lambda gray: gray / 255,
        lambda gray: (gray / 255).astype(np.float16),
        lambda gray: gray.astype(np.float32) * np.float32(1 / 255),
        lambda gray: gray.astype(np.float32) / np.float32(127.5) - 1,
        lambda gray: gray.astype(np.uint16) * 257,
        lambda gray: gray.astype(np.uint16) << 8,
        lambda gray: gray.astype(np.int64) * 1000 - 5,
    ],
)
def test_few_numbers_cost_as_little_as_their_8_bits(like):
    gray = texture()
    assert size(like(gray)) <= 1.01 * size(gray) + 700


@pytest.mark.parametrize(
    "like",
    [
        lambda deep: deep << 4,
        lambda deep: (deep.astype(np.uint32) * 65535 // 4095).astype(np.uint16),
        lambda deep: deep.astype(np.int32) - 1000,
        lambda deep: deep.astype(np.float32),
        lambda deep: deep.astype(np.float64) / 4095,
    ],
)
def test_deep_samples_cost_as_little_as_they_hold(like):
    deep = texture().astype(np.uint16) * 16
    deep += np.random.default_rng(2).integers(0, 16, deep.shape).astype(np.uint16)
    assert size(like(deep)) <= 1.02 * size(deep) + 200


def test_two_tones_cost_as_little_as_bits():
    bits = texture() > 100
    assert size(bits.astype(np.uint8) * 255) <= size(bits) + 40
    assert size(np.repeat(bits[:, :, None], 3, axis=2)) <= size(bits) + 40


def test_floats_are_really_compressed():
    smooth = texture().astype(np.float32)
    for _ in range(3):
        smooth = (smooth + np.roll(smooth, 1, 0) + np.roll(smooth, 1, 1)) / np.float32(3.1)
    assert size(smooth) < 0.85 * smooth.nbytes


# --- codebooks ----------------------------------------------------------------------------------


def test_codebooks_serve_coded_pictures():
    rng = np.random.default_rng(4)
    images = [
        Image.fromarray(np.cumsum(rng.integers(0, 3, (40, 30, 4)), axis=0).astype(np.uint8), "CMYK")
        for _ in range(7)
    ]
    options = TrainingOptions(train_shapes=False)
    book = softcomp_codec.train(images[1:], name="print", holdout=0, options=options)
    data = softcomp_codec.encode(images[0], codebook=book)
    assert softcomp_codec.read_header(data).codebook_reference
    assert len(data) < len(softcomp_codec.encode(images[0], codebook=None))
    assert_same(softcomp_codec.decode(data, codebooks=[book]), np.asarray(images[0]))


@pytest.mark.parametrize("array", [np.zeros((9, 9), np.float32), np.zeros((9, 9, 6), np.uint8)],
                         ids=["float32", "components"])  # fmt: skip
def test_codebooks_are_not_trained_on_other_samples(array):
    with pytest.raises(TypeError, match="cannot train on"):
        softcomp_codec.train([array] * 4, name="none", holdout=0)


# --- parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
def test_the_order_of_numbers_is_kept(dtype):
    if dtype == "bool":
        return
    array = any_bits(dtype, (4000,))
    numbers = to_unsigned(array, dtype)
    assert from_unsigned(numbers, dtype).tobytes() == array.tobytes()
    finite = array[np.isfinite(array)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        order = np.argsort(to_unsigned(finite, dtype), kind="stable")
        assert (np.diff(finite[order].astype(np.longdouble)) >= 0).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_ladders_are_rounded_once(dtype):
    from fractions import Fraction

    steps = np.random.default_rng(5).integers(-(2**11), 2**11, 300)
    for denominator in (1, 3, 255, 65535):
        found = on_ladder(steps, dtype, FRACTIONS, denominator)
        for step, number in zip(steps.tolist(), found, strict=True):
            exact = Fraction(step, denominator)
            ulps = [np.nextafter(number, np.array(way, dtype)) for way in (-np.inf, np.inf)]
            error = abs(Fraction(float(number)) - exact)
            assert all(error <= abs(Fraction(float(each)) - exact) for each in ulps)
    unit = np.array(0.1, dtype)
    bits = int(unit.view(f"uint{8 * unit.itemsize}"))
    found = on_ladder(steps, dtype, MULTIPLES, bits)
    exact = [Fraction(int(step)) * Fraction(float(unit)) for step in steps]
    for number, value in zip(found, exact, strict=True):
        ulps = [np.nextafter(number, np.array(way, dtype)) for way in (-np.inf, np.inf)]
        error = abs(Fraction(float(number)) - value)
        assert all(error <= abs(Fraction(float(each)) - value) for each in ulps)


@pytest.mark.parametrize(
    "numbers",
    [[5], [0, 1], list(range(0, 4096, 16)), [0, 2**31, 2**32 - 1], [1, 2, 9, 1000, 5000, 2**20]],
    ids=str,
)
def test_lists_come_back(numbers):
    assert list_of(numbers).listed == numbers
    mode = array_mode("uint32", None)
    found = SampleMap(mode, 16, ((1, list_of(numbers)),))
    header = Header(mode, 1, 1, 0, b"", 0, found.to_segments())
    assert SampleMap.from_header(header) == found
    array = np.array(numbers, np.uint32)[:, None]
    assert_same(found.restore(found.apply(array)), array)


# --- damage -------------------------------------------------------------------------------------


def samples_of_files() -> list[bytes]:
    gray = texture((20, 30))
    return [
        softcomp_codec.encode(array)
        for array in (
            (gray / 255).astype(np.float32), gray.astype(np.int64) * 999,
            any_bits("float64", (5, 6, 3)), np.stack([gray] * 3, axis=2),
            extremes("float32", (40, 30)), (gray.astype(np.uint16) << 4),
            any_bits("int8", (5, 5, 6)),
        )
    ]  # fmt: skip


def with_segment(data: bytes, kind: int, content: bytes) -> bytes:
    """Return a file with other data in a segment."""
    header, payload = container.read_file(data)
    out = bytearray(container.write_header(Header(
        container.MODES[1], header.width, header.height, header.coder, header.codebook_reference,
        header.checksum,
    )))  # fmt: skip
    out[3] |= 4
    out[4] = header.coder << 5 | header.mode.identifier
    own = {container.SEGMENT_ARRAY: None, container.SEGMENT_SAMPLE_MAP: None}
    if header.mode.identifier == container.ARRAY:
        own[container.SEGMENT_ARRAY] = container.write_array_mode(header.mode)
    own[container.SEGMENT_SAMPLE_MAP] = header.segment(container.SEGMENT_SAMPLE_MAP)
    own[kind] = content
    for each, value in own.items():
        if value is not None:
            out += container.write_segment(Segment(each, value))
    return bytes(out) + b"\0" + payload


def segments_of(data: bytes) -> list[tuple[int, bytes]]:
    header, _ = container.read_file(data)
    found = []
    if header.mode.identifier == container.ARRAY:
        found.append((container.SEGMENT_ARRAY, container.write_array_mode(header.mode)))
    mapping = header.segment(container.SEGMENT_SAMPLE_MAP)
    if mapping is not None:
        found.append((container.SEGMENT_SAMPLE_MAP, mapping))
    return found


@pytest.mark.parametrize("index", range(7))
def test_damaged_segments_end_in_our_errors(index):
    data = samples_of_files()[index]
    expected = softcomp_codec.decode(data)
    rng = np.random.default_rng(index)
    for kind, content in segments_of(data):
        assert_same(softcomp_codec.decode(with_segment(data, kind, content)), expected)
        changed = [content[:n] for n in range(len(content))]
        changed += [content + b"\0", content + content, b"\xff" * len(content), b"\xff" * 40]
        for place in range(min(len(content), 60)):
            for bit in range(8):
                flipped = bytearray(content)
                flipped[place] ^= 1 << bit
                changed.append(bytes(flipped))
        changed += [rng.integers(0, 256, 12).astype(np.uint8).tobytes() for _ in range(50)]
        for other in changed:
            try:
                found = softcomp_codec.decode(with_segment(data, kind, other))
            except ScfError:
                continue
            assert found.tobytes() == expected.tobytes()
            assert found.shape == expected.shape


def header_with(mode: container.Mode, content: bytes) -> Header:
    return Header(mode, 4, 4, 0, b"", 0, (Segment(container.SEGMENT_SAMPLE_MAP, content),))


@pytest.mark.parametrize(
    ("dtype", "content"),
    [
        ("uint8", b""), ("uint8", b"\x03\x01\0"), ("uint8", b"\x08\x01\0"), ("uint8", b"\x01\0\0"),
        ("uint8", b"\x01\x02\0"), ("uint8", b"\x01\x01\0\0"), ("uint8", b"\x01\x01\x01\x05"),
        ("uint8", b"\x01\x01\x02\0"), ("uint8", b"\x00\x01\0"), ("uint16", b"\x01\x01\0"),
        ("uint8", b"\x01\x01\x05"), ("uint8", b"\x01\x01\x13\0\x01\x01"),
        ("float32", b"\x01\x01\x13\0\0\0\0\0\x01\x01"),
        ("float32", b"\x01\x01\x13\0\0\x80\x7f\0\x01\x01"),
        ("float32", b"\x01\x01\x23\0\0\x01\x01"), ("uint8", b"\x01\x01\x03\0\0\x01"),
        ("uint8", b"\x01\x01\x03\0\x01\0"), ("uint8", b"\x01\x01\x03\0\x01\x41"),
        ("uint8", b"\x01\x01\x04\0\0\0"), ("uint8", b"\x01\x01\x04\0\x01\x05"),
        ("uint8", b"\x01\x01\x04\0\x81\x80\x04\0"),
    ],
    ids=str,
)  # fmt: skip
def test_maps_that_cannot_be_are_corrupt(dtype, content):
    with pytest.raises(CorruptStreamError):
        _ = header_with(array_mode(dtype, None), content).sample_map


def test_huge_lists_are_refused_before_they_are_made():
    one = list_of(list(range(1 << 16)))
    mode = array_mode("uint32", 4096)
    with pytest.raises(CorruptStreamError, match="lists of more than"):
        _ = header_with(mode, b"\x02" + (b"\x01" + one.write("uint32")) * 4096).sample_map


def test_coded_samples_without_a_number_are_corrupt():
    found = SampleMap(array_mode("uint32", None), 8, ((1, list_of([3, 9])),))
    with pytest.raises(CorruptStreamError, match="a coded sample is 2"):
        found.restore(np.array([[2]], np.uint8))
    assert found.restore(np.array([[2]], np.uint8), strict=False).tolist() == [[9]]
    line = SampleMap(
        array_mode("uint8", 5), 8, ((5, Mapping(sample_map.LINE, 250, step=3, n_bits=8)),)
    )
    with pytest.raises(CorruptStreamError, match="has 2 numbers"):
        line.restore(np.full((1, 1, 5), 2, np.uint8))


def test_arrays_with_a_mode_of_their_own_are_not_described():
    for content, error in [
        (b"\x01\0", CorruptStreamError), (b"\x01\x03", CorruptStreamError),
        (b"\x0a\0", CorruptStreamError), (b"\x0c\x02", UnsupportedStreamError),
        (b"\x03\x81\x20", CorruptStreamError), (b"", CorruptStreamError),
        (b"\x03\0\0", CorruptStreamError),
    ]:  # fmt: skip
        with pytest.raises(error):
            container.read_array_mode(content)


def test_plain_files_have_no_map():
    gray = texture()
    for array in (gray, np.stack([gray, gray[::-1], gray[:, ::-1]], axis=2), gray[:5, :9]):
        header, _ = container.read_file(softcomp_codec.encode(array, codebook=None))
        assert header.segments == ()
        assert header.sample_map is None
        assert header.as_coded is header


def test_the_command_line_tells_what_a_file_holds(tmp_path: Path):
    from typer.testing import CliRunner

    from softcomp_codec.cli.app import build_app

    path = tmp_path / "image.scf"
    path.write_bytes(softcomp_codec.encode((texture() / 255).astype(np.float32)))
    result = CliRunner().invoke(build_app(), ["info", str(path)])
    assert "float32, Pillow's mode F, coded as gray8" in result.output
    assert "integers divided by 255" in result.output


def test_images_open_lazily():
    stream = BytesIO()
    Image.fromarray(texture().astype(np.float32)).save(stream, "SCF")
    with Image.open(BytesIO(stream.getvalue())) as image:
        assert (image.mode, image.size) == ("F", (180, 160))


# --- the plain decoder --------------------------------------------------------------------------


def assert_decoded_plainly(data: bytes, expected: list[np.ndarray]) -> None:
    """Check that the decoder written from SPEC.md alone reads the same samples."""
    for picture, array in zip(reference_decoder.decode_frames(data), expected, strict=True):
        assert picture.shape == array.shape
        mode = softcomp_codec.read_header(data).mode
        assert picture.mode == mode.identifier
        assert picture.samples == canonical_samples(array, mode)


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: content.__name__)
@pytest.mark.parametrize("shape", [(7, 9), (5, 6, 3), (3, 2, 70), (1, 1)], ids=str)
@pytest.mark.parametrize("dtype", TYPES)
def test_the_plain_decoder_reads_every_type(dtype, shape, content):
    array = content(dtype, shape)
    assert_decoded_plainly(softcomp_codec.encode(array, codebook=None), [array])


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_the_plain_decoder_reads_every_mode(mode):
    for image in pillow_images(mode):
        data = softcomp_codec.encode(image, codebook=None)
        assert_decoded_plainly(data, [softcomp_codec.decode(data)])


@pytest.mark.parametrize(
    "like",
    [
        lambda gray: (gray / 255).astype(np.float32),
        lambda gray: gray / 100,
        lambda gray: (gray // 16 / 15).astype(np.float16),
        lambda gray: gray.astype(np.float32) * np.float32(0.1),
        lambda gray: np.where(gray < 120, np.nan, gray).astype(np.float32),
        lambda gray: np.stack([gray] * 3, axis=2),
        lambda gray: (gray > 99).astype(np.uint8) * np.uint8(255),
        lambda gray: gray.astype(np.uint16) << 5,
        lambda gray: (gray.astype(np.uint32) * 70001 // 7).astype(np.uint32),
        lambda gray: np.sqrt(gray.astype(np.float32)),
    ],
)
def test_the_plain_decoder_reads_every_kind_of_map(like):
    array = like(texture((30, 40)))
    assert_decoded_plainly(softcomp_codec.encode(array, codebook=None), [array])
    frames = [array, array[::-1].copy(), array]
    assert_decoded_plainly(encode_frames(frames, codebook=None), frames)
