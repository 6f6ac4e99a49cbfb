"""Compiling all kernels ahead of the first picture."""

from __future__ import annotations

from functools import partial
from itertools import product
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from . import (
    bilevel_coder,
    codebook_store,
    container,
    context_coder,
    few_colour_coder,
    jpeg_past_coder,
    jpeg_unrounded_coder,
    planes,
    quantiser_tables,
    shapes,
    shapes_coder,
    tiny_coder,
    tiny_training,
    training,
)
from .bitstream import BitReader, BitWriter
from .codebook import built_in_part, kind_of
from .container import Header
from .decoder import decode
from .encoder import encode
from .jpeg_emulation import FANCY, Past, render
from .jpeg_unrounded_coder import Unrounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from .codebook import Codebook
    from .container import Mode
    from .jpeg_emulation import Coefficients

_SIDE = 24
_JPEG_SIDE = 96


def warmup(progress: Callable[[str, int, int], None] | None = None) -> float:
    """Train on, encode and decode tiny images of every kind, so that all kernels are compiled.

    Compiled kernels are kept on disk where that is possible, so that later processes only load
    them. Call it, or the command ``scf warmup``, after an installation or in an image's build.

    Parameters
    ----------
    progress : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    float
        Seconds that it took.
    """
    start = perf_counter()
    tell = progress or _silent
    stages = _stages()
    for done, (name, compile_all) in enumerate(stages):
        tell(name, done, len(stages))
        compile_all()
    tell("done", len(stages), len(stages))
    return perf_counter() - start


def warm_backwards() -> None:
    """Do what `warmup` does, the last stage first.

    A second process that begins at the other end leaves in the cache what the first one has not
    come to.
    """
    for _, compile_all in reversed(_stages()):
        compile_all()


def _stages() -> list[tuple[str, Callable[[], object]]]:
    """Return what there is to compile, by name."""
    images = list(_tiny_images())
    stages: list[tuple[str, Callable[[], object]]] = [("shapes", _warm_shapes)]
    for array in images:
        mode = planes.mode_of_array(array)
        for effort, summed in (
            (1, False),
            (5, False),
            (7, False),
            (9, False),
            (5, True),
            (7, True),
        ):
            compile_them = partial(_warm_context, array, mode, effort, summed)
            stages.append((f"{mode.name} images", compile_them))
        stages.append((f"{mode.name} images", partial(_warm_others, array, mode)))
    stages.append(("JPEG pasts", _warm_jpeg_past))
    stages.append(("training", partial(training.train, images[:1], name="warmup", holdout=0)))
    stages.append(("tiny images", partial(_warm_tiny, images[1])))
    return stages


def _silent(stage: str, done: int, total: int) -> None:
    pass


def _tiny_images() -> Iterator[NDArray[Any]]:
    """A disc, a slope, three slopes as colours, and a slope of 16 bits."""
    rows, columns = np.mgrid[0:_SIDE, 0:_SIDE]
    slope = (3 * rows + 2 * columns + rows * columns % 7).astype(np.uint8)
    yield (rows - 12) ** 2 + (columns - 12) ** 2 < 60
    yield slope
    yield np.stack([slope, slope[::-1], slope.T], axis=2)
    yield slope.astype(np.uint16) * np.uint16(257)


def _books_for(mode: Mode) -> Iterator[Codebook | None]:
    """No codebook, and the first bundled one with shapes: others take the same kernels."""
    yield None
    books = codebook_store.bundled_codebooks(mode)
    yield from [book for book in books if mode.kind in book.parts][:1]


def _warm_context(array: NDArray[Any], mode: Mode, effort: int, summed: bool) -> None:
    """Code an image by contexts, whether or not that pays; `summed`: as a large one."""
    context = context_coder.encode_payload(array, mode, effort=effort, summed=summed)
    if context is not None:
        header = Header(mode, _SIDE, _SIDE, container.CONTEXT, b"", 0)
        _check(np.array_equal(context_coder.decode_payload(context, header)[0], array))


def _warm_others(array: NDArray[Any], mode: Mode) -> None:
    """Code an image in all other ways, whether or not they pay."""
    if mode.bits_per_sample == 1:
        payload = bilevel_coder.encode_payload(array)
        assert payload is not None
        header = Header(mode, _SIDE, _SIDE, container.BILEVEL, b"", 0)
        _check(np.array_equal(bilevel_coder.decode_payload(payload, header)[0], array))
    if mode.channel_axis:
        colours = planes.split_planes(array, mode)
        lattice = planes.transform_colours(colours, planes.LATTICE)
        _check(np.array_equal(planes.restore_colours(lattice, planes.LATTICE), colours))
    if mode.bits_per_sample == 8:
        few = few_colour_coder.encode_payload(array // 64, mode)
        assert few is not None  # four values a component
        header = Header(mode, _SIDE, _SIDE, container.FEW_COLOUR, b"", 0)
        _check(np.array_equal(few_colour_coder.decode_payload(few, header)[0], array // 64))
    if mode.kind is None:
        return
    for book, effort in product(_books_for(mode), (1, 9)):
        payload = shapes_coder.encode_payload(array, mode, book, effort=effort)
        header = Header(mode, _SIDE, _SIDE, container.SHAPES, b"", 0)
        restored, _ = shapes_coder.decode_payload(payload, header, book)
        _check(np.array_equal(restored, array))
        _check(np.array_equal(decode(encode(array, codebook=book, effort=effort)), array))


def _warm_tiny(slope: NDArray[Any]) -> None:
    """Train the tiny coder on a few turned images, and code one."""
    corner = slope[:8, :8]
    turned = np.stack([corner + np.uint8(shade) for shade in range(tiny_training.FEWEST_IMAGES)])
    prior = tiny_training.train_prior(turned)
    payload = tiny_coder.encode_payload(corner, prior)
    assert payload is not None  # of images that it was trained on
    tiny_coder.suits(corner, payload)
    header = Header(container.MODES[1], 8, 8, container.TINY, b"", 0)
    _check(np.array_equal(tiny_coder.decode_payload(payload, header, prior)[0], corner))


def _warm_jpeg_past() -> None:
    """Decode made coefficients as libjpeg does, and look for them."""
    rows, columns = np.mgrid[0:_JPEG_SIDE, 0:_JPEG_SIDE]
    tables = (quantiser_tables.libjpeg_table(quantiser_tables.LUMA, 80),) * 3
    for sampling in ((2, 2), (1, 1)):
        past = Past(sampling, (0, 0), (False, False), FANCY, tables)
        coefficients = []
        for component in range(3):
            shape = past.block_shape(component, _JPEG_SIDE, _JPEG_SIDE)
            blocks = np.zeros((*shape, 64), np.int16)
            for at in (0, 1, 8, 9, 18, 33):
                places = (rows + 3 * columns + at + component) % 7
                blocks[:, :, at] = (places[: shape[0], : shape[1]] - 3) * (4 if at < 2 else 1)
            coefficients.append(blocks)
        picture = render(past, coefficients, _JPEG_SIDE, _JPEG_SIDE)
        picture[40:44] = 255 - picture[40:44]
        for array in (picture, np.ascontiguousarray(picture[:, :, 0])):
            mode = planes.mode_of_array(array)
            payload = jpeg_past_coder.encode_payload(array, mode)
            if payload is not None:
                jpeg_past_coder.most_bytes_of_far_smaller(array, mode)
                _check_jpeg_past(array, mode, payload)
        if sampling == (1, 1):
            _warm_unrounded(past, coefficients)


def _warm_unrounded(past: Past, coefficients: list[Coefficients]) -> None:
    """Decode coefficients as decoders do that do not round samples, and look for them."""
    for decoder in jpeg_unrounded_coder.DECODERS:
        found = Unrounded(past, decoder, coefficients)
        picture = jpeg_unrounded_coder.render(found, _JPEG_SIDE, _JPEG_SIDE)
        mode = planes.mode_of_array(picture)
        payloads = jpeg_unrounded_coder.write_payloads(picture, found, [None], effort=5)
        for payload in payloads:
            _check_jpeg_past(picture, mode, payload)


def _check_jpeg_past(array: NDArray[Any], mode: Mode, payload: bytes) -> None:
    """Decode a picture of JPEGs, which must be the given one."""
    header = Header(mode, _JPEG_SIDE, _JPEG_SIDE, container.JPEG_PAST, b"", 0)
    _check(np.array_equal(jpeg_past_coder.decode_payload(payload, header)[0], array))


def _warm_shapes() -> None:
    """Match and paint shapes, which tiny images may do without."""
    disc = next(_tiny_images()).astype(np.uint16)
    book = built_in_part(kind_of(container.MODES[0]), planes.NO_TRANSFORM).planes[0]
    placements = shapes.match_shapes(disc, book.shapes, book.cell_value)
    assert placements is not None  # a single cell is a shape
    n_bits, parameter = shapes.placement_bits(placements, book.shapes)
    writer = BitWriter()
    shapes.write_placements(writer, placements, book.shapes, parameter, n_bits)
    painted = np.zeros_like(disc)
    shapes.read_placements(BitReader(writer.to_bytes()), book.shapes, parameter, 1, painted)
    _check(np.array_equal(painted, disc))


def _check(same: bool) -> None:
    if not same:
        raise AssertionError("a tiny image was not restored exactly; please report this")
