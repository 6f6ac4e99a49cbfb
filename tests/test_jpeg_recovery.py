"""The parts of the search for quantised coefficients: grid, steps, intervals, blocks."""

import io

import numpy as np
import pytest
from made_images import noise
from PIL import Image

from softcomp_codec import jpeg_recovery, quantiser_estimation, quantiser_tables
from softcomp_codec.jpeg_emulation import FANCY, Past, invert_transform, round_samples, upsample
from softcomp_codec.kernels import block_search_kernels
from softcomp_codec.quantiser_tables import CHROMA, LUMA, libjpeg_table

GRAY = (1, 1)
FREQUENCIES = np.add.outer(np.arange(8), np.arange(8)).reshape(64)


def made_coefficients(n, table, seed=0):
    """Quantised coefficients as of busy pictures: smaller the higher the frequency."""
    sizes = 180 // (1 + FREQUENCIES) ** 2 + 24
    draws = noise((n, 64), 1 << 16, seed) % (2 * sizes + 1) - sizes
    return (np.sign(draws) * (np.abs(draws) // np.array(table))).astype(np.int16)


def samples_of(coefficients, table):
    """(n, 64) samples of blocks, as libjpeg decodes them."""
    n = len(coefficients)
    fine = invert_transform(coefficients.reshape(1, n, 64), table, (8, 8 * n))
    plane = round_samples(fine, np.zeros_like(fine))
    return np.ascontiguousarray(plane.reshape(8, n, 8).transpose(1, 0, 2).reshape(n, 64))


def search(low, high, table, n_steps, parts=1):
    found, exact = np.zeros(low.shape, np.int16), np.zeros(len(low), bool)
    ends = np.linspace(0, len(low), parts + 1).astype(np.int64)
    for part in range(parts):
        block_search_kernels.search_blocks(
            low + high, low, high, np.array(table, np.int64), jpeg_recovery.basis(), n_steps,
            jpeg_recovery.SEARCHED_STEP, np.ones(len(low), bool), False, found, exact,
            ends[part : part + 2],
        )  # fmt: skip
    return found, exact


@pytest.mark.parametrize("kind", [LUMA, CHROMA])
def test_steps_are_told_by_samples(kind):
    for quality in (30, 60, 75, 85, 90, 93, 95, 97, 98):
        table = libjpeg_table(kind, quality)
        samples = samples_of(made_coefficients(600, table, quality), table)
        inside = (samples.min(axis=1) > 0) & (samples.max(axis=1) < 255)
        transformed = quantiser_estimation.transform(2 * samples[inside] - 256)
        estimated, found = quantiser_estimation.estimate_table(transformed, kind)
        assert (estimated, found) == (table, quality)


def test_steps_of_other_encoders():
    table = tuple(2 + (3 * k) % 5 for k in range(64))
    samples = samples_of(made_coefficients(900, table), table)
    inside = (samples.min(axis=1) > 0) & (samples.max(axis=1) < 255)
    transformed = quantiser_estimation.transform(2 * samples[inside] - 256)
    estimated, _ = quantiser_estimation.estimate_table(transformed, LUMA)
    assert sum(a == b for a, b in zip(estimated, table, strict=True)) >= 62
    hinted, _ = quantiser_estimation.estimate_table(transformed, LUMA, hints=[table])
    assert hinted == table


def test_a_jpeg_of_a_jpeg_has_the_later_steps():
    table = libjpeg_table(LUMA, 97)
    coefficients = made_coefficients(600, table, 11)
    coefficients[:, 3:20] = coefficients[:, 3:20] // 2 * 2
    transformed = quantiser_estimation.transform(2 * samples_of(coefficients, table) - 256)
    assert quantiser_estimation.estimate_table(transformed, LUMA)[0] == table


def test_broken_blocks_do_not_change_steps():
    table = libjpeg_table(LUMA, 80)
    samples = samples_of(made_coefficients(300, table), table)
    samples[::20] = noise(samples[::20].shape, 200, 3)
    transformed = quantiser_estimation.transform(2 * samples - 256)
    assert quantiser_estimation.estimate_table(transformed, LUMA)[0] == table


def test_chroma_that_tells_nothing_has_the_quality_of_luma():
    nothing = np.zeros((0, 64), np.int32)
    estimated, quality = quantiser_estimation.estimate_table(nothing, CHROMA, 62)
    assert (estimated, quality) == (libjpeg_table(CHROMA, 62), 62)


def test_the_transform_is_that_of_cosines():
    samples = noise((5, 64), 256).astype(np.int32)
    u = np.arange(8)
    cosines = np.cos((2 * u[None, :] + 1) * u[:, None] * np.pi / 16) / 2
    cosines[0] /= np.sqrt(2)
    expected = np.einsum("vy,nyx,ux->nvu", cosines, samples.reshape(5, 8, 8) - 128.0, cosines)
    found = quantiser_estimation.transform(2 * samples - 256) / 4096
    assert np.abs(found - expected.reshape(5, 64)).max() < 0.5
    basis = jpeg_recovery.basis() / 4096
    assert np.abs((samples - 128) @ basis.T - expected.reshape(5, 64)).max() < 0.5


def test_zeros_are_counted_on_every_grid():
    plane = noise((40, 41), 7, 2).astype(np.int32) + 100
    counts = quantiser_estimation.zeros_by_grid(plane, 3, 5, 3)
    for row in range(8):
        for column in range(8):
            part = plane[3 + row : 27 + row, 5 + column : 29 + column]
            blocks = part.reshape(3, 8, 3, 8).transpose(0, 2, 1, 3).reshape(9, 64)
            transformed = quantiser_estimation.transform(2 * blocks - 256)[:, 1:]
            near = np.abs(np.abs(transformed) - 3686) < 100
            few = (np.abs(transformed) < 3686).sum()
            assert abs(counts[row, column] - few) <= near.sum()


@pytest.mark.parametrize("quality", [75, 85, 90, 93, 96, 97])
def test_blocks_are_found_exactly(quality):
    table = libjpeg_table(LUMA, quality)
    coefficients = made_coefficients(300, table, 7)
    samples = samples_of(coefficients, table)
    found, exact = search(samples, samples, table, 200)
    assert exact.mean() > 0.93
    assert np.array_equal(samples_of(found, table)[exact], samples[exact])
    # clamped samples are known by an end only
    inside = exact & (samples.min(axis=1) > 0) & (samples.max(axis=1) < 255)
    assert (found == coefficients)[inside].mean() > 0.999


def test_more_steps_find_more_blocks():
    table = libjpeg_table(LUMA, 98)
    samples = samples_of(made_coefficients(200, table, 9), table)
    shares = [search(samples, samples, table, n_steps)[1].mean() for n_steps in (0, 10, 60)]
    assert shares[0] < shares[1] < shares[2]


def test_the_same_blocks_in_any_parts():
    table = libjpeg_table(LUMA, 97)
    samples = samples_of(made_coefficients(64, table, 5), table)
    low, high = samples - noise(samples.shape, 2, 1), samples + noise(samples.shape, 2, 2)
    low, high = low.clip(0, 255).astype(np.int32), high.clip(0, 255).astype(np.int32)
    once, again = (search(low, high, table, 30, parts) for parts in (1, 5))
    assert np.array_equal(once[0], again[0])
    assert np.array_equal(once[1], again[1])


def test_what_lies_within_is_called_exact():
    table = libjpeg_table(LUMA, 90)
    middle = noise((100, 64), 256, 8).astype(np.int32)
    low, high = (middle - 6).clip(0, 255), (middle + 6).clip(0, 255)
    found, exact = search(low, high, table, 20)
    shown = samples_of(found, table)
    assert np.array_equal(((shown >= low) & (shown <= high)).all(axis=1), exact)


@pytest.mark.parametrize("sampling", [(1, 1), (1, 2), (2, 1), (2, 2)])
@pytest.mark.parametrize("phase", [(0, 0), (0, 4), (3, 5), (6, 7)])
def test_intervals_hold_the_samples(sampling, phase):
    height, width = 37, 43
    past = Past(sampling, phase, (phase != (0, 0),) * 2, FANCY, (libjpeg_table(LUMA, 90),) * 3)
    shape = past.component_shape(1, height, width)
    y, x = np.mgrid[: shape[0], : shape[1]]
    for values in (noise(shape, 256, 4), 90 + 2 * y + 3 * x + noise(shape, 9, 5)):
        plane = values.clip(0, 255).astype(np.int32)
        seen = upsample(past, 1, plane, height, width)
        doubt = noise(seen.shape, 5, 6) == 0
        box = tuple(np.where(doubt, end, seen).astype(np.int32) for end in (0, 255))
        (low, high), n_against = jpeg_recovery._component_box(past, box)
        assert n_against == 0
        assert low.shape == shape
        assert (low <= plane).all()
        assert (plane <= high).all()
        rows, columns = (
            slice(start // by + 3, (start + side) // by - 3)
            for start, side, by in zip(phase, (height, width), sampling, strict=True)
        )
        assert (high - low)[rows, columns].mean() < (60 if sampling == (1, 1) else 12)


def test_wrong_samplings_contradict():
    past = Past((1, 2), (0, 0), (False, False), FANCY, (libjpeg_table(LUMA, 90),) * 3)
    seen = upsample(past, 1, noise((40, 24), 200, 3).astype(np.int32), 40, 48)
    for sampling in ((2, 2), (2, 1), (1, 2)):
        wrong = Past(sampling, (0, 0), (False, False), FANCY, past.tables)
        _, n_against = jpeg_recovery._component_box(wrong, (seen, seen))
        assert (n_against > 400) == (sampling != (1, 2))


@pytest.mark.parametrize("corner", [(0, 0), (3, 6), (7, 1)])
@pytest.mark.parametrize("quality", [60, 80, 92])
def test_the_grid_of_gray_jpegs(corner, quality):
    y, x = np.mgrid[:150, :170]
    waves = 128 + 50 * np.sin(x * y / 300.0) + 30 * np.cos((x - 2 * y) / 5.0)
    picture = (waves + noise(y.shape, 12, quality)).clip(0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(stream)).astype(np.int32)
    part = np.ascontiguousarray(decoded[corner[0] :, corner[1] :])
    assert jpeg_recovery.find_grid(part) == corner
    assert jpeg_recovery.find_grid(picture.astype(np.int32)) is None


def test_tables_are_within_what_is_scored():
    for kind in (LUMA, CHROMA):
        for quality in range(1, 101):
            table = quantiser_tables.libjpeg_table(kind, quality)
            assert max(table) <= quantiser_estimation.LARGEST_STEP
