"""The coder of tiny gray images of a size that a codebook was trained for (SPEC 5F).

All that an image is coded with is the codebook's and stays as it is: nothing is set up, copied or
adapted for an image, so that thousands a second can be coded, on any number of threads.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .container import TINY, codes_mode
from .context_tables import tables
from .errors import CorruptStreamError, TruncatedStreamError
from .kernels import status, tiny_kernels
from .kernels.tiny_kernels import MAX_SIDE, WORST_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .container import Header, Mode
    from .tiny_prior import TinyPrior

_ENERGIES = 2048

MOST_EXPANSION = 4

SUITS_SHARE, SUITS_PARTS = 11, 8
"""Part of the rough cost that a payload may need at most to suit its image."""

_NOTHING: NDArray[np.int32] = np.zeros(1, np.int32)


@lru_cache(maxsize=1)
def bit_lengths() -> NDArray[np.int64]:
    """Return the number of bits of 0..2047, more than any energy."""
    return np.array([energy.bit_length() for energy in range(_ENERGIES)], np.int64)


def serves(mode: Mode, height: int, width: int) -> bool:
    """Whether the coder knows images of a mode and size, given a codebook for them."""
    return codes_mode(TINY, mode) and max(height, width) <= MAX_SIDE


def encode_payload(array: NDArray[Any], prior: TinyPrior) -> bytes | None:
    """Return the payload of an image (SPEC 5F); inverse of `decode_payload`.

    Parameters
    ----------
    array : ndarray, uint8
        Of the prior's size, in either shape of gray images.
    prior : TinyPrior

    Returns
    -------
    bytes, or None where they would be more than four times those of the samples.
    """
    image = np.array(array, np.uint8).reshape(-1)
    room = MOST_EXPANSION * len(image) + (WORST_BYTES + 1) * prior.width
    data: NDArray[np.uint8] = np.empty(room, np.uint8)
    result, _, end = _code(image, prior, data, decoding=False)
    return data[:end].tobytes() if result == status.OK else None


def decode_payload(
    payload: bytes, header: Header, prior: TinyPrior, allow_truncated: bool = False
) -> tuple[NDArray[np.uint8], bool]:
    """Return (array, whether it is complete); inverse of `encode_payload` (SPEC 5F).

    Raises
    ------
    CorruptStreamError, TruncatedStreamError
        The latter not with `allow_truncated`: rows that are missing are 0 then.
    """
    image: NDArray[np.uint8] = np.zeros(prior.height * prior.width, np.uint8)
    data = np.frombuffer(bytearray(payload), np.uint8)  # writable, as the encoder's
    result, row, end = _code(image, prior, data, decoding=True)
    array = image.reshape(header.shape)
    if result == status.OK and end == len(data):
        return array, True
    if allow_truncated:
        return array, False
    if result == status.OK and end < len(data):
        raise CorruptStreamError(f"payload: {len(data) - end} bytes follow the end of its code")
    if result not in (status.OK, status.TRUNCATED):
        raise CorruptStreamError(f"payload, row {row}: {status.MESSAGES[result]}")
    raise TruncatedStreamError(f"payload: its code ends at row {row} of {prior.height}")


def suits(array: NDArray[Any], payload: bytes) -> bool:
    """Whether a payload is so small for its image that other coders need not be tried."""
    image = np.array(array, np.uint8).reshape(-1)
    rough = int(tiny_kernels.rough_cost(image, array.shape[1], bit_lengths()))
    return 8 * len(payload) * SUITS_PARTS <= SUITS_SHARE * rough


def _code(
    image: NDArray[np.uint8], prior: TinyPrior, data: NDArray[np.uint8], *, decoding: bool
) -> tuple[int, int, int]:
    """Return (status, row, where the code ends)."""
    geometry = (prior.height, prior.width, prior.slot_bits, int(prior.inverted), 0, 0)
    result, row, end = tiny_kernels.code_image(
        image, geometry, prior.coefficients, prior.states_table, prior.weights_table,
        bit_lengths(), tables().squash, _NOTHING, data, int(decoding),
    )  # fmt: skip
    return int(result), int(row), int(end)
