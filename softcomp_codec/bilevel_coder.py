"""The bilevel coder: black and white pixels by mixed templates of neighbours (SPEC 5D).

pixels -> tiles -> windows, contexts and decisions -> bits, and back. Encoder and decoder run the
same kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import planes, tiles
from .container import ByteReader
from .context_tables import tables
from .errors import CorruptStreamError, TruncatedStreamError
from .kernels import bilevel_kernels, entropy_kernels, status
from .kernels.bilevel_kernels import (
    ADAPT_STATES,
    ADAPT_WEIGHTS,
    BLOCK,
    BLOCK_MARGIN,
    CURVE_POINTS,
    LEFT,
    N_NEAR,
    N_REACH,
    N_RUNS,
    N_TRUST,
    RIGHT,
    ROWS_ABOVE,
    SPARE_BYTES,
)
from .kernels.vectors import LANES
from .tiles import Tile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .bilevel_prior import BilevelPrior
    from .container import Header, Payload
    from .tiles import Box

    Pixels = NDArray[np.uint8]


class Context(NamedTuple):
    """What one context looks at (SPEC 5D.3).

    Attributes
    ----------
    window : int
        Mask of the 63 pixels around.
    reach : int
        Mask of the lengths and the position.
    digits : int
        Its slots are 2**digits.
    """

    window: int
    reach: int
    digits: int


_LOOKS = (
    (0x000000002001C003, 0x0F0F),
    (0x00000200F803E007, 0x0000),
    (0x00080F81FC07F00F, 0x0000),
    (0x00000000007FFFFF, 0x0000),
    (0x1C7F3FE3FE1FFC1F, 0x0000),
    (0x000000002001C003, 0x0000),
    (0x000181F07F87FC0F, 0x0000),
    (0x0000000FFFFFFFFF, 0x0000),
    (0x3E3E0F80F803E003, 0x0000),
    (0x000001E07E03F807, 0x0000),
    (0x00000000F803E003, 0xFFFF),
    (0x0000000000018001, 0x0000),
    (0x1C1C07007001C001, 0x0000),
    (0x000000007003E003, 0x0000),
    (0x00003C03F00FE007, 0x0000),
)
"""Masks of window and reach of the standard contexts, of which the first so many are used."""

LEAST_CONTEXTS, MAX_CONTEXTS = 5, len(_LOOKS)
CONTEXTS_BY_EFFORT = {1: 5, 2: 6, 3: 7, 4: 10, 5: 14, 6: 15, 7: 15, 8: 15, 9: 15}

FEWEST_DIGITS, MOST_DIGITS = 6, 20
"""Of the number of a slot, without a prior."""

START_WEIGHT = 34952
"""Sum of the first weights of all contexts in each set, in 65536ths."""

COUNT_LIMIT = 100
"""Counts of states stop here."""

PACE = 6
"""Of the weights, in 64ths."""

MOST_PIXELS = 1 << 24
TILE_PIXELS = 1 << 22
"""Images of more than the former are cut into tiles of about the latter (SPEC 5D.1)."""

BLOCK_PIXELS = 1 << 18
"""Smaller images are coded pixel by pixel where no prior has learned about blocks."""

FROZEN_PIXELS = 1 << 12
"""Images of up to so many pixels leave a prior as it is: copying it would cost more time."""

INVERTED, BY_BLOCKS, FROZEN = 0x10, 0x20, 0x40
_FLAGS = INVERTED | BY_BLOCKS | FROZEN

NOTHING_COUNTED: NDArray[np.uint32] = np.zeros(0, np.uint32)


@dataclass(frozen=True)
class Settings:
    """What a payload says before its tiles (SPEC 5D.1).

    Attributes
    ----------
    n_contexts : int
    inverted : bool
        Whether ones are the background.
    by_blocks : bool
        Whether blocks are coded at once where all around is alike.
    frozen : bool
        Whether the prior's states stay as they are.
    positional : bool
        Whether all this is the prior's, for images of its size, and no byte says it.
    """

    n_contexts: int
    inverted: bool = False
    by_blocks: bool = False
    frozen: bool = False
    positional: bool = False

    @classmethod
    def of_prior(cls, prior: BilevelPrior) -> Settings:
        """Return those of a positional prior, which no payload states."""
        return cls(len(prior.contexts), frozen=True, positional=True)

    def to_byte(self) -> bytes:
        """Return the payload's first byte; nothing for those of a positional prior."""
        if self.positional:
            return b""
        flags = INVERTED * self.inverted | BY_BLOCKS * self.by_blocks | FROZEN * self.frozen
        return bytes([flags | self.n_contexts])


def standard_contexts(n_contexts: int, n_pixels: int) -> list[Context]:
    """Return the contexts of a tile without a prior; small ones have small tables (SPEC 5D.3)."""
    most = min(max(n_pixels.bit_length() - 2, FEWEST_DIGITS), MOST_DIGITS)
    return [
        Context(window, reach, min(window.bit_count() + reach.bit_count() + 2, most))
        for window, reach in _LOOKS[:n_contexts]
    ]


def n_weight_rows(shape: tuple[int, int] | None) -> int:
    """Return the rows of all sets of weights; `shape` is a positional prior's."""
    return N_NEAR + N_TRUST + (N_REACH if shape is None else shape[0] * shape[1])


class Model:
    """The states and weights of one tile at its start: neutral, or a codebook's prior."""

    def __init__(
        self, settings: Settings, n_pixels: int, prior: BilevelPrior | None = None
    ) -> None:
        self.settings = settings
        self.pace = PACE
        self.adapting = 0 if settings.frozen else ADAPT_STATES | ADAPT_WEIGHTS
        if prior is None:
            self.contexts = standard_contexts(settings.n_contexts, n_pixels)
            self.states: NDArray[np.uint32] = np.full(n_states(self.contexts), 1 << 31, np.uint32)
            self.weights = start_weights(settings.n_contexts, n_weight_rows(None))
        else:
            self.contexts = list(prior.contexts)
            self.states, self.weights = prior.states_table, prior.weights_table
            if not settings.frozen:
                self.states, self.weights = self.states.copy(), self.weights.copy()
        self.masks = context_arrays(tuple(self.contexts)) if prior is None else prior.masks
        self.curves = _FROZEN_CURVES
        if not settings.frozen:
            squash = tables().squash
            self.curves = np.tile(np.append(squash[::128], squash[-1]), N_NEAR)

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.states)


_FROZEN_CURVES: NDArray[np.int32] = np.zeros(N_NEAR * CURVE_POINTS, np.int32)


def n_states(contexts: Sequence[Context]) -> int:
    """Return how many states there are, those of blocks among them."""
    return N_RUNS + sum(1 << context.digits for context in contexts)


def start_weights(n_contexts: int, n_rows: int) -> NDArray[np.int32]:
    """Return the weights of all rows at the start without a prior."""
    first: NDArray[np.int32] = np.zeros(n_lanes(n_contexts), np.int32)
    first[:n_contexts] = START_WEIGHT // n_contexts
    return np.tile(first, n_rows)


def n_lanes(n_contexts: int) -> int:
    """Return the weights of a row, the constant's and unused ones among them."""
    return LANES if n_contexts < LANES else 2 * LANES


def context_arrays(contexts: tuple[Context, ...]) -> tuple[NDArray[np.uint64], ...]:
    """Return the kernel's arrays: windows, reaches, shifts, first slots."""
    slots = list(accumulate((1 << context.digits for context in contexts), initial=N_RUNS))
    return (
        np.array([context.window for context in contexts], np.uint64),
        np.array([context.reach for context in contexts], np.uint64),
        np.array([64 - context.digits for context in contexts], np.uint64),
        np.array(slots[:-1], np.uint64),
    )


def encode_payload(
    array: NDArray[Any], *, effort: int = 5, prior: BilevelPrior | None = None
) -> bytes | None:
    """Return the payload of a bilevel image (SPEC 5D); inverse of `decode_payload`.

    Parameters
    ----------
    array : ndarray, bool
        (H, W) or (H, W, 1).
    effort : int
        1 to 9; a prior has its own number of contexts.
    prior : BilevelPrior, optional
        A codebook's for images of this size.

    Returns
    -------
    bytes, or None where the samples themselves are smaller.
    """
    height, width = array.shape[:2]
    settings = choose_settings(array.reshape(height, width).view(np.uint8), effort, prior)

    def encode(tile: Tile) -> bytes | None:
        pixels = pixels_of(tile.of(array))
        if settings.inverted:
            pixels = pixels ^ np.uint8(1)
        return code_tile(Model(settings, pixels.size, prior), pixels)

    mode = planes.mode_of_array(array)
    code = tiles.encode_tiles(array, mode, tile_grid(height, width), encode)
    return None if code is None else settings.to_byte() + code


def pixels_of(array: NDArray[Any]) -> Pixels:
    """Return an image's pixels, each 0 or 1: a True of another library may be any other byte."""
    plane = array.reshape(array.shape[:2]).view(np.uint8)
    pixels: Pixels = np.not_equal(plane, 0).view(np.uint8)
    return pixels


def choose_settings(pixels: Pixels, effort: int, prior: BilevelPrior | None) -> Settings:
    """Return the settings that an image is coded with; any byte but 0 is a 1."""
    if prior is not None and prior.shape is not None:
        return Settings.of_prior(prior)
    n_border = 2 * sum(pixels.shape)
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    inverted = n_border < 2 * sum(int(np.count_nonzero(edge)) for edge in edges)
    if prior is not None:
        frozen = pixels.size <= FROZEN_PIXELS
        return Settings(len(prior.contexts), inverted, by_blocks=True, frozen=frozen)
    return Settings(CONTEXTS_BY_EFFORT[effort], inverted, pixels.size >= BLOCK_PIXELS)


def decode_payload(
    payload: Payload,
    header: Header,
    allow_truncated: bool = False,
    prior: BilevelPrior | None = None,
    box: Box | None = None,
) -> tuple[NDArray[Any], bool]:
    """Return (array, whether it is complete); inverse of `encode_payload` (SPEC 5D).

    Of a `box` only the tiles that it touches are read.

    Raises
    ------
    CorruptStreamError, TruncatedStreamError
        The latter not with `allow_truncated`: missing pixels are 0 then.
    """
    reader = ByteReader(payload, "payload")
    grid = tile_grid(header.height, header.width)
    try:
        settings = _read_settings(reader, prior)
        in_part = allow_truncated or box is not None
        entries = tiles.read_directory(payload, reader, header, grid, in_part=in_part)
    except TruncatedStreamError:
        if allow_truncated:
            return np.zeros(header.shape, planes.dtype_of(header.mode)), False
        raise

    def decode(index: int, data: bytes) -> tuple[NDArray[Any], bool]:
        height, width = grid[index].shape
        model = Model(settings, height * width, prior)
        pixels, complete, known = _decode_tile(model, data, height, width, index, allow_truncated)
        if settings.inverted:
            pixels = pixels ^ np.uint8(1)
        pixels[known:] = 0
        array = pixels.astype(np.bool_).reshape(height, width, *header.shape[2:])
        return array, complete

    return tiles.decode_tiles(payload, header, grid, entries, decode, allow_truncated, box)


def describe_payload(payload: bytes, header: Header, prior: BilevelPrior | None) -> dict[str, Any]:
    """Return what a payload says before its pixels; `prior` is that of the file's codebook."""
    settings = _read_settings(ByteReader(payload, "payload"), prior)
    return {
        "contexts": settings.n_contexts,
        "tiles": len(tile_grid(header.height, header.width)),
        "inverted": settings.inverted,
        "by_blocks": settings.by_blocks,
        "frozen": settings.frozen,
        "positional": settings.positional,
        "prior": prior is not None,
    }


def tile_grid(height: int, width: int) -> list[Tile]:
    """Return the tiles of an image, row by row (SPEC 5D.1)."""
    most = height * width if height * width <= MOST_PIXELS else TILE_PIXELS
    return tiles.tile_grid(height, width, most)


def _read_settings(reader: ByteReader, prior: BilevelPrior | None) -> Settings:
    if prior is not None and prior.shape is not None:
        return Settings.of_prior(prior)
    byte = reader.take(1, "settings")[0]
    n_contexts = byte & 15
    if byte & 0x80 or (prior is None and byte & FROZEN):
        raise CorruptStreamError(f"payload, byte 0: settings {byte:02x}h")
    expected = (LEAST_CONTEXTS, MAX_CONTEXTS)
    if prior is not None:
        expected = (len(prior.contexts),) * 2
    if not expected[0] <= n_contexts <= expected[1]:
        raise CorruptStreamError(
            f"payload, byte 0: {n_contexts} contexts, expected {expected[0]} to {expected[1]}"
        )
    return Settings(n_contexts, *(bool(byte & flag) for flag in (INVERTED, BY_BLOCKS, FROZEN)))


def _run(
    model: Model,
    pixels: Pixels,
    interval: NDArray[np.int64],
    data: NDArray[np.uint8],
    *,
    decoding: bool,
    counts: NDArray[np.uint32] = NOTHING_COUNTED,
) -> tuple[int, int]:
    """Code the pixels within their margins; return (status, row)."""
    settings = model.settings
    height, width = pixels.shape[0] - ROWS_ABOVE, pixels.shape[1] - LEFT - RIGHT
    geometry = (
        height, width, settings.n_contexts, COUNT_LIMIT, int(settings.by_blocks),
        int(settings.positional), model.adapting, model.pace,
    )  # fmt: skip
    n_lines = width + 1 + 2 * (-(-width // BLOCK) + BLOCK_MARGIN)
    lines: NDArray[np.int64] = np.empty(n_lines, np.int64)
    stretch, squash, rates = tables()[:3]
    result, row = bilevel_kernels.code_bilevel(
        pixels.reshape(-1), geometry, *model.masks, model.states, model.weights, model.curves,
        stretch, squash, rates, lines, interval, data, decoding, counts,
    )  # fmt: skip
    return int(result), int(row)


def code_tile(
    model: Model, tile: Pixels, counts: NDArray[np.uint32] = NOTHING_COUNTED
) -> bytes | None:
    """Return the code of a tile, whose background is 0; None where it would exceed the samples.

    `counts` takes in how often each state met a 0 and a 1, if it is not empty.
    """
    padded = _with_margins(*tile.shape)
    padded[ROWS_ABOVE:, LEFT:-RIGHT] = tile
    raw_size = tile.shape[0] * (-(-tile.shape[1] // 8))
    data: NDArray[np.uint8] = np.empty(raw_size + 2 * SPARE_BYTES, np.uint8)
    interval = np.array([0, 0xFFFFFFFF, 0, 0], np.int64)
    result, _ = _run(model, padded, interval, data, decoding=False, counts=counts)
    if result != status.OK:
        return None
    end = entropy_kernels.finish_arithmetic(interval[:2].copy(), data, int(interval[3]))
    return data[: int(end)].tobytes()


def _decode_tile(
    model: Model, data: bytes, height: int, width: int, index: int, allow_truncated: bool
) -> tuple[Pixels, bool, int]:
    """Return (pixels, whether they are complete, rows that are there); inverse of `code_tile`."""
    padded = _with_margins(height, width)
    code = np.frombuffer(bytearray(data), np.uint8)  # writable, as the kernel's other users
    first = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
    interval = np.array([0, 0xFFFFFFFF, first, 4], np.int64)
    result, row = _run(model, padded, interval, code, decoding=True)
    complete = result == status.OK
    if complete:
        end = int(entropy_kernels.end_of_arithmetic(interval[:2], int(interval[3])))
        if len(data) > end and not allow_truncated:
            raise CorruptStreamError(
                f"payload, tile {index}: {len(data) - end} bytes follow the end of its code"
            )
        complete = len(data) == end
    if result not in (status.OK, status.TRUNCATED) and not allow_truncated:
        raise CorruptStreamError(f"payload, tile {index}, row {row}: {status.MESSAGES[result]}")
    if not complete and not allow_truncated:
        raise TruncatedStreamError(f"payload, tile {index}: its code ends at row {row} of {height}")
    return padded[ROWS_ABOVE:, LEFT : LEFT + width], complete, row


def _with_margins(height: int, width: int) -> Pixels:
    return np.zeros((height + ROWS_ABOVE, width + LEFT + RIGHT), np.uint8)
