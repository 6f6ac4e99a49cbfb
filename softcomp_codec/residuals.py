"""Prediction of a plane and mapping of the residuals (SPEC 5.3 to 5.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .errors import CorruptStreamError
from .kernels import residual_kernels, status
from .kernels.residual_kernels import GAP, MED, NO_PREDICTOR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .layers import Layer
    from .planes import Plane

PREDICTOR_NAMES = {NO_PREDICTOR: "none", MED: "MED", GAP: "GAP with error feedback"}


def map_residuals(plane: Plane, predictor: int, sample_range: tuple[int, int]) -> Layer:
    """Predict every sample and map its residual; inverse of `unmap_residuals`.

    Parameters
    ----------
    plane : ndarray, int32, shape (H, W), values in `sample_range`
    predictor : {NO_PREDICTOR, MED, GAP}
    sample_range : (int, int)
        Lowest and highest sample.

    Returns
    -------
    ndarray, uint16, shape (H, W), values 0..highest - lowest
    """
    mapped = np.empty(plane.shape, np.uint16)
    residual_kernels.map_residuals(plane, predictor, *sample_range, mapped)
    return mapped


def unmap_residuals(
    mapped: Layer, predictor: int, sample_range: tuple[int, int], n_rows: int | None = None
) -> NDArray[np.int32]:
    """Return the plane of mapped residuals; inverse of `map_residuals`.

    Only the first `n_rows` rows are restored where given, the rest is the lowest sample nearest 0.
    """
    plane = np.zeros(mapped.shape, np.int32)
    rows = mapped.shape[0] if n_rows is None else n_rows
    code, position = residual_kernels.unmap_residuals(mapped, predictor, *sample_range, plane, rows)
    if code != status.OK:
        row, column = divmod(int(position), mapped.shape[1])
        raise CorruptStreamError(
            f"row {row}, column {column}: {status.MESSAGES[code]} "
            f"{sample_range[0]}..{sample_range[1]}"
        )
    return plane
