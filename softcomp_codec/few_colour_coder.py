"""The few-colour coder: whole pixels from their neighbours and from repeats (SPEC 5E).

A pixel is one number, its key. Encoder and decoder run the same kernel.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import tiles
from .container import ByteReader, write_varint
from .context_tables import tables
from .errors import CorruptStreamError, TruncatedStreamError
from .kernels import entropy_kernels, few_colour_kernels, status
from .kernels.few_colour_kernels import (
    CURVE_POINTS,
    MARGIN,
    MARGIN_ROWS,
    MAX_INPUTS,
    MAX_PIXEL_CONTEXTS,
    N_CURVES,
    N_RANK_ROWS,
    N_VALUE_ROWS,
    PIXEL_ROWS,
    WORST_BYTES,
)
from .palettes import Palette

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .container import Header, Mode, Payload
    from .few_colour_prior import FewColourPrior
    from .tiles import Box, Tile

    Keys = NDArray[np.uint32]

CONTEXTS_BY_EFFORT = {1: 6, 2: 7, 3: 8, 4: 9, 5: 10, 6: 11, 7: 12, 8: 13, 9: 14}
"""Contexts of a pixel."""

COMPONENTS, EXPLICIT = 0, 1
"""How new colours are coded: by components, or as places in a palette."""

MAX_COLOURS = 1 << 16
"""Largest palette of the format (SPEC 5E.1)."""

LARGEST_TRIED = 1 << 13
"""Images of more colours are coded by components."""

RATE_LIMIT = 60
"""Counts of states stop here."""

START_WEIGHT = 39321
"""Sum of the first weights of all contexts in each set, in 65536ths."""

LEAST_BITS, MOST_BITS = 12, 22
"""Of the numbers of states of one context, as a power of two."""

MOST_MATCH_BITS, MOST_GUESS_BITS = 18, 16

SMALLEST_GRAY = 4096
SMALL_PIXELS = 1 << 14
"""`auto` leaves out gray images of fewer pixels, and tries most colour images up to the latter."""

MOST_PIXELS = 1 << 24
TILE_PIXELS = 1 << 22
"""Images of more than the former are cut into tiles of about the latter (SPEC 5E.1)."""

OPAQUE = 0xFF000000
WHITE = 0xFFFFFFFF


def _bits(number: int, least: int, most: int) -> int:
    return min(most, max(least, number.bit_length()))


class Model:
    """The adaptive state: neutral, or as a codebook's prior leaves it.

    Attributes
    ----------
    history : ndarray
        Keys of what was coded before with their margins, where matches may lie.
    """

    def __init__(self, n_contexts: int, n_pixels: int) -> None:
        self.n_contexts = n_contexts
        self.n_value_contexts = min(few_colour_kernels.MAX_VALUE_CONTEXTS, n_contexts + 2)
        most = max(n_contexts, self.n_value_contexts)
        self.table_bits = _bits(3 * n_pixels, LEAST_BITS, MOST_BITS)
        n_states = (most << self.table_bits) + few_colour_kernels.N_PLAIN_STATES
        self.states: NDArray[np.uint32] = np.full(n_states, 1 << 31, np.uint32)
        weights: NDArray[np.int32] = np.zeros(
            (PIXEL_ROWS + N_VALUE_ROWS + N_RANK_ROWS, MAX_INPUTS), np.int32
        )
        weights[:PIXEL_ROWS, : n_contexts + 2] = START_WEIGHT // n_contexts
        middle = PIXEL_ROWS + N_VALUE_ROWS
        n_values = self.n_value_contexts
        weights[PIXEL_ROWS:middle, : n_values + 2] = START_WEIGHT // n_values
        weights[middle:, :n_contexts] = START_WEIGHT // n_contexts
        self.weights = weights.reshape(-1)
        squash = tables().squash
        curve = np.append(squash[::128], squash[-1]).astype(np.int32)
        assert len(curve) == CURVE_POINTS
        self.curves = np.tile(curve, N_CURVES)
        match_bits = _bits(n_pixels, 8, MOST_MATCH_BITS)
        self.matches: NDArray[np.int32] = np.zeros(2 << match_bits, np.int32)
        guess_bits = _bits(n_pixels, 8, MOST_GUESS_BITS)
        self.guesses: NDArray[np.int32] = np.zeros(1 << guess_bits, np.int32)
        self.history: Keys = np.zeros(0, np.uint32)
        self.progress: NDArray[np.int64] = np.zeros(1, np.int64)

    def copy(self) -> Model:
        """Return a model of the same state, which adapts by itself."""
        twin = copy(self)
        for name in ("states", "weights", "curves", "matches", "guesses", "progress"):
            setattr(twin, name, getattr(self, name).copy())
        return twin


@dataclass
class Coder:
    """One arithmetic code with the model that it adapts.

    Attributes
    ----------
    interval : ndarray
        low, high, code value and position.
    """

    model: Model
    data: NDArray[np.uint8]
    interval: NDArray[np.int64]
    decoding: bool

    @classmethod
    def to_encode(cls, model: Model, n_bytes: int) -> Coder:
        """Return a coder whose code may take so many bytes."""
        data: NDArray[np.uint8] = np.empty(n_bytes, np.uint8)
        return cls(model, data, np.array([0, 0xFFFFFFFF, 0, 0], np.int64), False)

    @classmethod
    def to_decode(cls, model: Model, data: bytes) -> Coder:
        """Return a coder of a code."""
        code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        interval = np.array([0, 0xFFFFFFFF, code, 4], np.int64)
        return cls(model, np.frombuffer(bytearray(data), np.uint8), interval, True)

    def run(
        self, shape: tuple[int, int], keys: Keys | None, n_values: int, palette: Keys
    ) -> tuple[int, int, Keys]:
        """Code one grid of keys; return (status, row, keys). `keys` is None for decoding."""
        model = self.model
        n_rows, n_columns = shape
        start = len(model.history)
        padded = (n_rows + MARGIN_ROWS + 1, n_columns + 2 * MARGIN)
        n_cells = padded[0] * padded[1]
        buffer: Keys = np.zeros(start + n_cells, np.uint32)
        buffer[:start] = model.history
        grid = buffer[start:].reshape(padded)
        inside = (slice(MARGIN_ROWS, -1), slice(MARGIN, -MARGIN))
        outside = int(palette[0]) if len(palette) else (WHITE if n_values & 1 else 0)
        grid[:MARGIN_ROWS] = outside
        ranks: NDArray[np.int32] = np.zeros(n_cells if len(palette) else 0, np.int32)
        order = np.argsort(palette, kind="stable")
        ascending = np.concatenate([palette[order].astype(np.int64), order])
        if keys is not None:
            grid[inside] = keys
            if len(palette):
                places = order[np.searchsorted(palette[order], keys)]
                ranks.reshape(padded)[inside] = places
        geometry = (
            start, n_rows, n_columns, n_values, model.n_contexts, model.n_value_contexts,
            model.table_bits, RATE_LIMIT,
        )  # fmt: skip
        stretch, squash, rates = tables()[:3]
        result, row = few_colour_kernels.code_pixels(
            buffer, ranks, geometry, palette, ascending, model.states, model.weights, model.curves,
            model.matches, model.guesses, stretch, squash, rates, self.interval, self.data,
            self.decoding, model.progress,
        )  # fmt: skip
        model.history = buffer
        return int(result), int(row), grid[inside]

    def read(self, shape: tuple[int, int], n_values: int, palette: Keys) -> Keys:
        """Decode one grid of keys; `TruncatedStreamError` or `CorruptStreamError`."""
        result, row, keys = self.run(shape, None, n_values, palette)
        if result == status.TRUNCATED:
            raise TruncatedStreamError(f"the code ends at row {row} of {shape[0]}")
        if result != status.OK:
            raise CorruptStreamError(f"row {row}: {status.MESSAGES[result]}")
        return keys

    def end(self) -> int:
        """Return where a code that was decoded so far must end (SPEC 4.4)."""
        return int(entropy_kernels.end_of_arithmetic(self.interval[:2], int(self.interval[3])))

    def finish(self) -> bytes:
        """Return the code of all that was encoded."""
        end = entropy_kernels.finish_arithmetic(
            self.interval[:2].copy(), self.data, int(self.interval[3])
        )
        return self.data[: int(end)].tobytes()


def keys_of(array: NDArray[Any]) -> Keys:
    """Return alpha, green, red and blue of each pixel as one number (SPEC 5E.2)."""
    stack = array.reshape(*array.shape[:2], -1).astype(np.uint32)
    n_planes = stack.shape[2]
    red, green, blue = (stack[:, :, i if n_planes > 2 else 0] for i in range(3))
    alpha = stack[:, :, -1] if n_planes in (2, 4) else np.uint32(255)
    keys: Keys = alpha << np.uint32(24) | green << np.uint32(16) | red << np.uint32(8) | blue
    return keys


def array_of(keys: Keys, n_planes: int) -> NDArray[np.uint8]:
    """Return the pixels (H, W, planes) of keys; inverse of `keys_of`."""
    shifts = {1: (0,), 2: (0, 24), 3: (8, 16, 0), 4: (8, 16, 0, 24)}[n_planes]
    return np.stack([(keys >> np.uint32(shift)).astype(np.uint8) for shift in shifts], axis=2)


def in_tree_order(keys: Keys) -> Keys:
    """Return colours so that those alike have leading bits of their places in common (SPEC 5E.4).

    The list is cut in two at the median of the component that varies most, and so on.
    """
    wide = keys.astype(np.int64)
    alpha, green, red, blue = (wide >> shift & 255 for shift in (24, 16, 8, 0))
    axes = np.stack(
        [2 * alpha, (2 * red + 5 * green + blue) >> 2, 2 * (red - green), 2 * (blue - green)]
    )
    out = np.arange(len(keys))
    todo = [(0, len(keys))]
    while todo:
        first, last = todo.pop()
        size = last - first
        if size < 2:
            continue
        part = out[first:last]
        points = axes[:, part]
        axis = int(np.argmax(points.max(axis=1) - points.min(axis=1)))
        out[first:last] = part[np.lexsort((keys[part], *points[::-1], points[axis]))]
        half = 1 << ((size - 1).bit_length() - 1)
        todo += [(first, first + half), (first + half, last)]
    return keys[out]


def encode_payload(
    array: NDArray[Any],
    mode: Mode,
    *,
    effort: int = 5,
    palette: Palette | None = None,
    prior: FewColourPrior | None = None,
) -> bytes | None:
    """Return the payload of an image (SPEC 5E); inverse of `decode_payload`.

    Parameters
    ----------
    array : ndarray
        Samples of `mode`, which has 8 bits a sample.
    mode : Mode
    effort : int
        1 to 9.
    palette : Palette, optional
        Of a palette image.
    prior : FewColourPrior, optional
        A codebook's prior.

    Returns
    -------
    bytes, or None where the samples themselves are smaller.
    """
    known = None if palette is None else (palette.keys(), palette.tree())

    def encode(tile: Tile) -> bytes | None:
        part = tile.of(array)
        if known is None:
            return encode_keys(keys_of(part), mode.n_planes, effort=effort, prior=prior)
        keys, tree = known
        return _encode(keys[part], 1, tree, CONTEXTS_BY_EFFORT[effort], prior, known=True)

    return tiles.encode_tiles(array, mode, tile_grid(*array.shape[:2]), encode)


def tile_grid(height: int, width: int) -> list[Tile]:
    """Return the tiles of an image, row by row (SPEC 5E.1)."""
    most = height * width if height * width <= MOST_PIXELS else TILE_PIXELS
    return tiles.tile_grid(height, width, most)


def encode_keys(
    keys: Keys, n_planes: int, *, effort: int = 5, prior: FewColourPrior | None = None
) -> bytes | None:
    """Return the payload of an image of keys without palette; see `encode_payload`."""
    n_contexts = CONTEXTS_BY_EFFORT[effort]
    colours = distinct_colours(keys)
    tried = []
    if len(colours) <= LARGEST_TRIED:
        tried.append(_encode(keys, n_planes, colours, n_contexts, prior))
    if 32 * len(colours) > keys.size or len(colours) > 256 or not tried:
        tried.append(_encode(keys, n_planes, None, n_contexts, prior))
    return min((each for each in tried if each is not None), key=len, default=None)


def distinct_colours(keys: Keys) -> Keys:
    """Return the different keys of an image in ascending order."""
    flat = keys.reshape(-1)
    fresh = np.ones(len(flat), np.bool_)
    fresh[1:] = flat[1:] != flat[:-1]
    return np.unique(flat[fresh])


def _encode(
    keys: Keys,
    n_values: int,
    colours: Keys | None,
    n_contexts: int,
    prior: FewColourPrior | None,
    *,
    known: bool = False,
) -> bytes | None:
    """Return a payload, with its colours if there are any and the decoder does not know them."""
    height, width = keys.shape
    raw_size = keys.size * n_values
    model = _start(prior, n_contexts, keys.size)
    n_colours = 0 if colours is None or known else len(colours)
    coder = Coder.to_encode(model, raw_size + 4 * n_colours + 2 * WORST_BYTES)
    kind = COMPONENTS if colours is None else EXPLICIT
    head = bytes([kind << 4 | n_contexts])
    palette: Keys = np.zeros(0, np.uint32)
    if colours is not None:
        palette = colours
        if not known:
            head += write_varint(n_colours)
            result, _, _ = coder.run((1, n_colours), colours[None], n_values, palette[:0])
            if result != status.OK:
                return None
            palette = in_tree_order(colours)
    result, _, _ = coder.run((height, width), keys, n_values, palette)
    return head + coder.finish() if result == status.OK else None


def _start(prior: FewColourPrior | None, n_contexts: int, n_pixels: int) -> Model:
    return Model(n_contexts, n_pixels) if prior is None else prior.model(n_contexts)


@dataclass(frozen=True)
class PayloadFacts:
    """What a payload, or its first tile that is coded, says before its pixels.

    See `describe_payload`.

    Attributes
    ----------
    n_contexts : int
    n_colours : int or None
        Colours of the payload's own palette.
    new_colours : str
        How pixels are coded that are none of the candidates.
    """

    n_contexts: int
    n_colours: int | None
    new_colours: str


def describe_payload(payload: bytes, header: Header) -> PayloadFacts:
    """Return what a payload says before its pixels."""
    grid = tile_grid(header.height, header.width)
    reader = ByteReader(payload, "payload")
    entries = tiles.read_directory(payload, reader, header, grid, in_part=True)
    coded = [each for each in zip(entries, grid, strict=True) if not each[0].is_raw]
    if not coded:
        raise CorruptStreamError("payload: no tile is coded")
    entry, tile = coded[0]
    reader = ByteReader(payload[entry.start : entry.end], "payload")
    kind, n_contexts, n_colours = _read_head(reader, _header_of(tile, header))
    way = "by components" if kind == COMPONENTS else "as places in a palette"
    return PayloadFacts(n_contexts, n_colours or None, way)


def _read_head(reader: ByteReader, header: Header) -> tuple[int, int, int]:
    """Return (kind, contexts, number of colours in the payload)."""
    kind, n_contexts = divmod(reader.take(1, "settings")[0], 16)
    in_palette = header.mode.pillow_mode == "P"
    if kind > EXPLICIT or (in_palette and kind != EXPLICIT):
        raise CorruptStreamError(f"payload, byte 0: kind {kind} of {header.mode.name} pixels")
    if not 1 <= n_contexts <= MAX_PIXEL_CONTEXTS:
        raise CorruptStreamError(
            f"payload, byte 0: {n_contexts} contexts, expected 1..{MAX_PIXEL_CONTEXTS}"
        )
    n_colours = 0
    if kind == EXPLICIT and not in_palette:
        n_colours = reader.varint(
            "number of colours", min(MAX_COLOURS, header.width * header.height)
        )
        if n_colours == 0:
            raise CorruptStreamError("payload, byte 1: a palette of no colours")
    return kind, n_contexts, n_colours


def decode_payload(
    payload: Payload,
    header: Header,
    allow_truncated: bool = False,
    prior: FewColourPrior | None = None,
    box: Box | None = None,
) -> tuple[NDArray[Any], bool]:
    """Return (array, whether it is complete); inverse of `encode_payload` (SPEC 5E).

    Of a `box` only the tiles that it touches are read.

    Raises
    ------
    CorruptStreamError, TruncatedStreamError
        The latter not with `allow_truncated`: the last rows are 0 then.
    """
    grid = tile_grid(header.height, header.width)
    try:
        reader = ByteReader(payload, "payload")
        in_part = allow_truncated or box is not None
        entries = tiles.read_directory(payload, reader, header, grid, in_part=in_part)
    except TruncatedStreamError:
        if allow_truncated:
            return np.zeros(header.shape, np.uint8), False
        raise

    def decode(index: int, data: bytes) -> tuple[NDArray[Any], bool]:
        where = "payload" if len(grid) == 1 else f"payload, tile {index}"
        return _decode_tile(data, _header_of(grid[index], header), allow_truncated, prior, where)

    return tiles.decode_tiles(payload, header, grid, entries, decode, allow_truncated, box)


def _header_of(tile: Tile, header: Header) -> Header:
    """Return the header of a tile as that of an image of its own."""
    height, width = tile.shape
    return replace(header, width=width, height=height)


def _decode_tile(
    payload: bytes,
    header: Header,
    allow_truncated: bool,
    prior: FewColourPrior | None,
    where: str,
) -> tuple[NDArray[Any], bool]:
    """Return (array of a tile, whether it is complete)."""
    mode = header.mode
    palette = Palette.from_header(header)
    shape = (header.height, header.width)
    reader = ByteReader(payload, where)
    try:
        _, n_contexts, n_colours = _read_head(reader, header)
    except TruncatedStreamError:
        if allow_truncated:
            return np.zeros(header.shape, np.uint8), False
        raise
    model = _start(prior, n_contexts, header.width * header.height)
    coder = Coder.to_decode(model, payload[reader.offset :])
    keys: Keys = np.zeros(shape, np.uint32)
    result, row = status.TRUNCATED, 0
    try:
        if palette is not None:
            colours = palette.tree()
        else:
            colours = read_colours(coder, n_colours, mode.n_planes)
        n_values = 1 if palette is not None else mode.n_planes
        result, row, keys = coder.run(shape, None, n_values, colours)
    except CorruptStreamError:  # of the colours; what a cut leaves of them may be any
        if not allow_truncated:
            raise
    complete = result == status.OK
    if complete:
        end = coder.end()
        if len(coder.data) > end and not allow_truncated:
            raise CorruptStreamError(
                f"{where}: {len(coder.data) - end} bytes follow the end of its code"
            )
        complete = len(coder.data) == end
    elif result != status.TRUNCATED and not allow_truncated:
        raise CorruptStreamError(f"{where}, row {row}: {status.MESSAGES[result]}")
    if not complete and not allow_truncated:
        raise TruncatedStreamError(f"{where}: its code ends at row {row} of {shape[0]}")
    array = _array_of_mode(keys, mode, palette)
    if result != status.OK:
        array[row:] = 0
    return array, complete


def _array_of_mode(keys: Keys, mode: Mode, palette: Palette | None) -> NDArray[np.uint8]:
    """Return the samples of keys, indices where there is a palette."""
    if palette is not None:
        return palette.indices(keys)
    array = array_of(keys, mode.n_planes)
    return np.ascontiguousarray(array if mode.channel_axis else array[:, :, 0])


def read_colours(coder: Coder, n_colours: int, n_values: int) -> Keys:
    """Decode a list of colours, if there is any, and return it in tree order (SPEC 5E.1)."""
    none: Keys = np.zeros(0, np.uint32)
    if n_colours == 0:
        return none
    found = coder.read((1, n_colours), n_values, none)[0]
    if (np.diff(found.astype(np.int64)) <= 0).any():
        raise CorruptStreamError("payload: its colours are not in ascending order")
    return in_tree_order(found.copy())


def encode_row(samples: NDArray[np.uint8]) -> bytes:
    """Return the code of a list of colours (N, components), without a head (SPEC 3.1)."""
    keys = keys_of(samples[None])
    n_values = samples.shape[1]
    coder = Coder.to_encode(Model(CONTEXTS_BY_EFFORT[5], keys.size), WORST_BYTES * (keys.size + 2))
    coder.run((1, keys.size), keys, n_values, keys[0, :0])
    return coder.finish()


def decode_row(data: bytes, n_colours: int, n_values: int) -> NDArray[np.uint8]:
    """Return a list of colours (N, components); inverse of `encode_row`.

    `CorruptStreamError` where the data end early or late.
    """
    coder = Coder.to_decode(Model(CONTEXTS_BY_EFFORT[5], n_colours), data)
    none: Keys = np.zeros(0, np.uint32)
    result, _, keys = coder.run((1, n_colours), None, n_values, none)
    end = coder.end()
    if result != status.OK or end != len(data):
        raise CorruptStreamError("segment palette: its code is damaged")
    row: NDArray[np.uint8] = array_of(keys, n_values)[0]
    return row


def may_win(arrays: Sequence[NDArray[Any]]) -> bool:
    """Whether images look as if this coder could make them smaller: a test of a sample of rows.

    The share of equal neighbours tells: a quarter in colour images, a sixteenth in small ones,
    where trying costs little; half in gray ones, whose neighbours are often equal by chance.
    """
    height, width, *planes = arrays[0].shape
    gray = planes in ([], [1])
    if gray and height * width < SMALLEST_GRAY:
        return False
    sixteenths = 8 if gray else 1 if height * width <= SMALL_PIXELS else 4
    n_equal = n_tested = 0
    for array in arrays[:4]:
        step = max(1, height // 64)
        rows = keys_of(array[step // 2 :: step])
        n_equal += int((rows[:, 1:] == rows[:, :-1]).sum())
        n_tested += rows.shape[0] * (rows.shape[1] - 1)
    return 16 * n_equal >= sixteenths * n_tested
