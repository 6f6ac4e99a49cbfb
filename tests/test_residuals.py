"""Prediction and mapping: against the naive twins, and back again."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_images import CONTENTS, filled

from softcomp_codec.errors import CorruptStreamError
from softcomp_codec.kernels.residual_kernels import GAP, MED, NO_PREDICTOR
from softcomp_codec.residuals import PREDICTOR_NAMES, map_residuals, unmap_residuals

RANGES = [(0, 1), (0, 255), (-255, 255)]
SIDES = [1, 2, 3, 5, 7, 13, 19]
predictors = st.sampled_from([NO_PREDICTOR, MED, GAP])


@st.composite
def planes(draw):
    """(plane, range): constant, slopes, noise and extremes of awkward sizes."""
    lowest, highest = draw(st.sampled_from(RANGES))
    shape = draw(st.sampled_from(SIDES)), draw(st.sampled_from(SIDES))
    values = filled(
        shape, draw(st.sampled_from(CONTENTS)), highest - lowest, draw(st.integers(0, 99))
    )
    return (values + lowest).astype(np.int32), (lowest, highest)


@given(planes(), predictors)
def test_equals_naive_twin_and_comes_back(plane_and_range, predictor):
    plane, sample_range = plane_and_range
    mapped = map_residuals(plane, predictor, sample_range)
    assert mapped.dtype == np.uint16
    assert mapped.tolist() == naive.map_residuals(plane.tolist(), predictor, *sample_range)
    assert np.array_equal(unmap_residuals(mapped, predictor, sample_range), plane)


@given(planes(), predictors)
def test_any_mapped_residuals(plane_and_range, predictor):
    """Every value below the range's width has a sample; others are corrupt where they first lie."""
    values, (lowest, highest) = plane_and_range
    mapped = (values - lowest).astype(np.uint16)
    plane = unmap_residuals(mapped, predictor, (lowest, highest))
    assert plane.tolist() == naive.unmap_residuals(mapped.tolist(), predictor, lowest, highest)
    row, column = mapped.shape[0] // 2, mapped.shape[1] // 2
    mapped[row, column] = highest - lowest + 1 + row
    assert naive.unmap_residuals(mapped.tolist(), predictor, lowest, highest) == (row, column)
    with pytest.raises(
        CorruptStreamError,
        match=rf"row {row}, column {column}: .*outside the range.* {lowest}\.\.{highest}",
    ):
        unmap_residuals(mapped, predictor, (lowest, highest))


@pytest.mark.parametrize("predictor", PREDICTOR_NAMES)
@pytest.mark.parametrize("sample_range", RANGES)
@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_no_samples(predictor, sample_range, shape):
    mapped = map_residuals(np.zeros(shape, np.int32), predictor, sample_range)
    assert mapped.shape == shape
    assert unmap_residuals(mapped, predictor, sample_range).shape == shape


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("sample_range", RANGES)
def test_feedback_of_many_samples(content, sample_range):
    """A context's counters are halved at 128 samples (SPEC 5.5)."""
    lowest, highest = sample_range
    plane = (filled((53, 37), content, highest - lowest) + lowest).astype(np.int32)
    mapped = map_residuals(plane, GAP, sample_range)
    assert mapped.tolist() == naive.map_residuals(plane.tolist(), GAP, *sample_range)
    assert np.array_equal(unmap_residuals(mapped, GAP, sample_range), plane)


@pytest.mark.parametrize(
    ("sample_range", "prediction", "samples", "mapped"),
    [
        # e:                  0  -1   1  -2   2, and then only + is possible
        ((0, 255), 2, [2, 1, 3, 0, 4, 5, 6, 255], [0, 1, 2, 3, 4, 5, 6, 255]),
        # only - is possible
        ((0, 255), 254, [254, 253, 255, 252, 0], [0, 1, 2, 3, 255]),
        ((0, 255), 0, [0, 1, 255], [0, 1, 255]),
        ((-255, 255), 0, [0, -1, 1, -255, 255], [0, 1, 2, 509, 510]),
        ((-255, 255), -253, [-253, -254, -252, -255, -251, -250], [0, 1, 2, 3, 4, 5]),
        ((0, 1), 0, [0, 1], [0, 1]),
        ((0, 1), 1, [1, 0], [0, 1]),
    ],
)
def test_mapping_by_hand(sample_range, prediction, samples, mapped):
    """In a plane of two columns MED predicts the second sample of row 0 by the first."""
    for sample, expected in zip(samples, mapped, strict=True):
        plane = np.array([[prediction, sample]], np.int32)
        assert map_residuals(plane, MED, sample_range)[0, 1] == expected


@pytest.mark.parametrize(
    ("rows", "prediction"),
    [
        ([[1, 5], [2, 0]], 5),  # NW <= min(W, N): the larger
        ([[9, 5], [2, 0]], 2),  # NW >= max(W, N): the smaller
        ([[4, 5], [2, 0]], 3),  # between them: W + N - NW
    ],
)
def test_med_by_hand(rows, prediction):
    plane = np.array(rows, np.int32)
    plane[1, 1] = prediction
    assert map_residuals(plane, MED, (0, 255))[1, 1] == 0


@pytest.mark.parametrize("predictor", PREDICTOR_NAMES)
def test_only_some_rows(predictor):
    plane = filled((9, 8), "noise", 255).astype(np.int32)
    mapped = map_residuals(plane, predictor, (0, 255))
    for n_rows in (0, 1, 8, 9):
        found = unmap_residuals(mapped, predictor, (0, 255), n_rows)
        assert np.array_equal(found[:n_rows], plane[:n_rows])
        assert not found[n_rows:].any()


def test_mapping_is_a_bijection_at_every_prediction():
    for lowest, highest in RANGES:
        for prediction in (lowest, lowest + 1, (lowest + highest) // 2, highest):
            samples = np.arange(lowest, highest + 1)
            first = np.full_like(samples, prediction)
            plane = np.stack([first, samples], axis=1).astype(np.int32)
            plane[:, 0] = prediction
            mapped = [map_residuals(row[None], MED, (lowest, highest))[0, 1] for row in plane]
            assert sorted(mapped) == list(range(highest - lowest + 1))
