"""Synthetic images for the tests: the same samples on every machine and with every NumPy."""

import numpy as np
from hypothesis import strategies as st

from softcomp_codec.jpeg_emulation import Past, render
from softcomp_codec.quantiser_estimation import cosines
from softcomp_codec.quantiser_tables import CHROMA, LUMA, libjpeg_table

KINDS = ("bilevel", "gray8", "rgb8")
SIDES = (1, 2, 3, 5, 7, 8, 11, 16, 17, 23, 31)

_GLYPHS = [
    np.array([[int(cell) for cell in row] for row in glyph.split()], bool)
    for glyph in (
        "011110 110011 110011 111111 110011 110011",
        "111111 110000 111100 000011 110011 011110",
        "110011 110011 011110 001100 001100 001100",
        "000110 001110 011110 110110 111111 000110",
    )
]


def noise(shape, n_values=256, seed=0):
    """Independent samples 0..n_values - 1 (int64), from SplitMix64."""
    index = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64)
    word = (index + np.uint64(seed) * np.uint64(1 << 32)) * np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    word ^= word >> np.uint64(31)
    return ((word >> np.uint64(33)) % np.uint64(n_values)).astype(np.int64).reshape(shape)


def glyphs(height, width, seed=0):
    """Bilevel: a few letters at random places, as scanned text has."""
    page = np.zeros((height, width), bool)
    for letter, row, column in noise((3 + height * width // 200, 3), 1 << 20, seed):
        glyph = _GLYPHS[letter % len(_GLYPHS)]
        top, left = row % height, column % width
        window = page[top : top + glyph.shape[0], left : left + glyph.shape[1]]
        window |= glyph[: window.shape[0], : window.shape[1]]
    return page


def slope(height, width, seed=0):
    """Gray: a slope with glyphs in relief and a little noise."""
    rows, columns = np.mgrid[:height, :width]
    tilt = noise((2,), 5, seed)
    gray = 40 + tilt[0] * rows + tilt[1] * columns + 60 * glyphs(height, width, seed)
    return (gray + noise((height, width), 4, seed + 1)).clip(0, 255).astype(np.uint8)


def figure(height, width, seed=0):
    """Gray: a shaded disc with a bright rim and a little noise, on a black ground."""
    rows, columns = np.mgrid[:height, :width]
    top, left, size, shade = noise((4,), 1 << 20, seed) % (3, 3, 3, 80)
    reach = max(2, min(height, width) // 2 - 2 + size)
    distance = (rows - height // 2 + top - 1) ** 2 + (columns - width // 2 + left - 1) ** 2
    inside = distance < reach * reach
    gray = 60 + shade + 6 * columns + 60 * (distance > (reach - 2) ** 2)
    return ((gray + noise((height, width), 4, seed + 1)) * inside).clip(0, 255).astype(np.uint8)


def colours(height, width, seed=0):
    """RGB: three components that resemble each other."""
    green = slope(height, width, seed).astype(np.int64)
    small = noise((height, width, 2), 3, seed + 2)
    stack = np.stack([green + 20 + small[:, :, 0], green, green - 30 - small[:, :, 1]], axis=2)
    return stack.clip(0, 255).astype(np.uint8)


def jpeg_colours(height, width, seed=0):
    """RGB: a decoded JPEG, by libjpeg's conversion of triples that do not clip (SPEC 5.2.1)."""
    y = 60 + slope(height, width, seed).astype(np.int64) // 2
    rows, columns = np.mgrid[:height, :width]
    cb, cr = ((rows // 3 + columns // 5 + noise((height, width), 2, seed + i)) % 24 - 12
              for i in range(2))  # fmt: skip
    red = y + ((91881 * cr + 32768) >> 16)
    green = y + ((-22554 * cb - 46802 * cr + 32768) >> 16)
    blue = y + ((116130 * cb + 32768) >> 16)
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def image(kind, height=24, width=24, seed=0):
    """An image of one of `KINDS`."""
    return {"bilevel": glyphs, "gray8": slope, "rgb8": colours}[kind](height, width, seed)


def images(kind, n_images, seed=0, height=24, width=24):
    """Similar images, to train on."""
    return [image(kind, height, width, 1000 * seed + index) for index in range(n_images)]


def filled(shape, content, top, seed=0):
    """int64 values 0..top of one of `CONTENTS`."""
    if content == "lowest":
        return np.zeros(shape, np.int64)
    if content == "highest":
        return np.full(shape, top, np.int64)
    if content == "noise":
        return noise(shape, top + 1, seed)
    if content == "extremes":
        return noise(shape, 2, seed) * top
    if content == "sparse":
        return noise(shape, top + 1, seed) * (noise(shape, 13, seed + 1) == 0)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    values = (rows * 3 + columns * 2 + seed) % (2 * top + 1)
    values = np.minimum(values, 2 * top - values)
    return values if len(shape) == 2 else np.repeat(values[:, :, None], shape[2], axis=2)


CONTENTS = ("lowest", "highest", "noise", "extremes", "sparse", "slope")

SHAPES_OF_KINDS = (
    (np.bool_, None),
    (np.uint8, None),
    (np.uint8, 3),
    (np.uint8, 1),
    (np.bool_, 1),
)
"""Sample type and third axis of the modes 0 to 4, which have a kind."""

SHAPES_OF_MODES = (
    *SHAPES_OF_KINDS,
    (np.uint16, None),
    (np.uint16, 1),
    (np.uint8, 2),
    (np.uint8, 4),
    (np.uint16, 3),
    (np.uint16, 4),
    (np.uint16, 2),
)
"""The same of all modes."""


def top_of(dtype):
    """The largest sample of a type."""
    return 1 if dtype is np.bool_ else int(np.iinfo(dtype).max)


def typical(shape, dtype, seed=0):
    """A slope with glyphs and noise in every plane, in 16-bit samples in both of their bytes."""
    stack = [slope(*shape[:2], seed + index) for index in range(int(np.prod(shape[2:])))]
    array = np.stack(stack, axis=2).astype(dtype)
    if dtype is np.uint16:
        array = array * np.uint16(256) + array[::-1, ::-1]
    return array.reshape(shape)


@st.composite
def pictures(draw, sides=SIDES, shapes=SHAPES_OF_KINDS):
    """Arrays of every mode that has a kind, of awkward sizes and of every content."""
    dtype, n_planes = draw(st.sampled_from(shapes))
    height, width = draw(st.sampled_from(sides)), draw(st.sampled_from(sides))
    shape = (height, width) if n_planes is None else (height, width, n_planes)
    seed = draw(st.integers(0, 1000))
    content = draw(st.sampled_from((*CONTENTS, "typical")))
    if content != "typical":
        return filled(shape, content, top_of(dtype), seed).astype(dtype)
    if (dtype, n_planes) not in SHAPES_OF_KINDS:
        return typical(shape, dtype, seed)
    kind = "bilevel" if dtype is np.bool_ else "rgb8" if n_planes == 3 else "gray8"
    return image(kind, height, width, seed).reshape(shape)


def made_past(sampling, phase, quality, upsampling=0):
    """A past with libjpeg's tables of a quality; gray where `sampling` is None."""
    tables = [libjpeg_table(LUMA, quality)]
    if sampling:
        tables += [libjpeg_table(CHROMA, quality)] * 2
    cut = (phase != (0, 0),) * 2
    return Past(sampling or (1, 1), phase, cut, int(upsampling), tuple(tables))


def decoded_jpeg(past, height, width, seed=0):
    """A picture that libjpeg would decode, and its coefficients: slopes with some detail."""
    coefficients = made_coefficients(past, height, width, seed)
    return render(past, coefficients, height, width), coefficients


def made_coefficients(past, height, width, seed=0):
    """Quantised coefficients of each component: slopes with some detail."""
    coefficients = []
    for component in range(past.n_components):
        down, across = past.block_shape(component, height, width)
        frequency = np.add.outer(np.arange(8), np.arange(8)).reshape(-1)
        spread = 300 // (1 + frequency) ** 2 // (1 + 2 * (component > 0))
        blocks = (noise((down, across, 64), 65536, 3 * seed + component) - 32768) * spread >> 15
        blocks[:, :, 0] += 60 * (np.add.outer(3 * np.arange(down), 2 * np.arange(across)) % 9 - 4)
        steps = np.array(past.tables[component])
        coefficients.append(((blocks + steps // 2) // steps).astype(np.int16))
    return coefficients


COSINE_BITS = 14


def unrounded_jpeg(past, height, width, seed=0, clipped=0):
    """A picture by an exact decoder that rounds pixels alone, and its coefficients (SPEC 5J.9).

    One block in `clipped` is black or white, others not; 0: none.
    """
    coefficients = _clipped_coefficients(past, height, width, seed, clipped)
    return pixels_of_fractions(past, coefficients, height, width), coefficients


def scaled_jpeg(past, height, width, seed=0, clipped=0):
    """The same by the scaled decoder."""
    coefficients = _clipped_coefficients(past, height, width, seed, clipped)
    return pixels_of_scaled(past, coefficients, height, width), coefficients


def _clipped_coefficients(past, height, width, seed, clipped):
    coefficients = made_coefficients(past, height, width, seed)
    if clipped:
        luma = coefficients[0]
        kinds = noise(luma.shape[:2], 2 * clipped, seed + 7)
        for kind, level in ((0, -1600), (1, 1600)):
            luma[:, :, 0] = np.where(kinds == kind, level // past.tables[0][0], luma[:, :, 0])
    return coefficients


def pixels_of_fractions(past, coefficients, height, width):
    """The pixels of coefficients, in arithmetic that rounds nothing before them."""
    basis = cosines(COSINE_BITS).astype(np.int64)

    def samples_of(scaled):
        return basis.T @ scaled @ basis

    y, cb, cr = _shown_planes(past, coefficients, height, width, samples_of)
    n_bits = 2 * COSINE_BITS + 16
    y = (y + (128 << 2 * COSINE_BITS)) * 65536 + (1 << (n_bits - 1))
    rgb = [y + 91881 * cr, y - 22554 * cb - 46802 * cr, y + 116130 * cb]
    return np.clip(np.stack(rgb, axis=2) >> n_bits, 0, 255).astype(np.uint8)


def pixels_of_scaled(past, coefficients, height, width):
    """The pixels of coefficients by the scaled decoder (SPEC 5J.9)."""
    scales = np.array([16384, 22725, 21407, 19266, 16384, 12873, 8867, 4520])
    scales = (np.multiply.outer(scales, scales) + 8192) >> 14

    def samples_of(scaled):
        columns = _scaled_transform(((scaled * scales + 2048) >> 12).transpose(1, 0, 2))
        rows = _scaled_transform(np.stack(columns, axis=0).transpose(2, 1, 0))
        return np.clip(np.stack(rows, axis=2), -(1 << 20), 1 << 20)

    y, cb, cr = _shown_planes(past, coefficients, height, width, samples_of)
    y = y + 4112
    green = (-(2819 * cb >> 12) - (5850 * cr >> 12)) >> 1
    rgb = [y + (11445 * cr >> 13), y + green, y + (14514 * cb >> 13)]
    return np.clip(np.stack(rgb, axis=2) >> 5, 0, 255).astype(np.uint8)


def _scaled_transform(s):
    """Eight outputs of eight inputs, each of any shape."""

    def times(factor, values):
        return 2 * (values * factor >> 16)

    sum_04, sum_26, sum_17, sum_35 = s[0] + s[4], s[2] + s[6], s[1] + s[7], s[3] + s[5]
    z = times(46341, s[2] - s[6]) - sum_26
    p, q, d = times(60547, s[1] - s[7]), times(25080, s[3] - s[5]), sum_17 - sum_35
    even = [sum_04 + sum_26, s[0] - s[4] + z, s[0] - s[4] - z, sum_04 - sum_26]
    odd = [sum_17 + sum_35, p + q - sum_17 - sum_35]
    odd += [times(46341, d) - odd[1], odd[0] - times(46341, p - q - d)]
    first = [even[0] + odd[0], even[1] + odd[1], even[2] + odd[2], even[3] - odd[3]]
    return [*first, even[3] + odd[3], even[2] - odd[2], even[1] - odd[1], even[0] - odd[0]]


def _shown_planes(past, coefficients, height, width, samples_of):
    """What is shown of the samples that (n, 8, 8) coefficients times their steps give."""
    planes = []
    for blocks, steps in zip(coefficients, past.tables, strict=True):
        n_down, n_across = blocks.shape[:2]
        scaled = (blocks.astype(np.int64) * np.array(steps)).reshape(-1, 8, 8)
        plane = samples_of(scaled).reshape(n_down, n_across, 8, 8).transpose(0, 2, 1, 3)
        plane = plane.reshape(8 * n_down, 8 * n_across)
        planes.append(plane[past.phase[0] :, past.phase[1] :][:height, :width])
    return planes
