"""The tiny coder: files of images of a trained size, and data that are damaged."""

from dataclasses import replace

import naive_tiny
import numpy as np
import pytest
from file_builder import checksum, file_of
from hypothesis import given
from hypothesis import strategies as st
from made_images import CONTENTS, colours, figure, filled, glyphs, noise, slope
from small_codebooks import made_tiny_prior, small_codebook, tiny_book, tiny_codebook

import softcomp_codec
from softcomp_codec import container, tiny_coder, tracing
from softcomp_codec.container import MODES, Header
from softcomp_codec.context_tables import tables
from softcomp_codec.errors import (
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
)

SIDE = 12


def natural(seed=0, side=SIDE):
    """An image like those that taught `tiny_codebook`."""
    return figure(side, side, 5000 + seed)


def header_of(array):
    mode = MODES[1] if array.ndim == 2 else MODES[3]
    height, width = array.shape[:2]
    return Header(mode, width, height, container.TINY, b"1234", checksum(array))


def coder_of(data):
    return container.read_header(data).coder


def check_round_trip(array, prior):
    payload = tiny_coder.encode_payload(array, prior)
    if payload is None:
        return None
    found, complete = tiny_coder.decode_payload(payload, header_of(array), prior)
    assert complete
    assert found.dtype == np.uint8
    assert np.array_equal(found, array)
    return payload


# --- payloads -------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("inverted", [False, True])
def test_any_content_by_any_prior(content, inverted):
    """Priors of noise foresee the wrong thing everywhere."""
    for size in ((1, 1), (1, 9), (9, 1), (2, 2), (3, 64), (64, 3), (13, 12)):
        prior = made_tiny_prior(size, inverted=inverted)
        array = filled(size, content, 255).astype(np.uint8)
        check_round_trip(array, prior)


@given(st.integers(0, 1 << 20), st.sampled_from([2, 3, 17, 256]))
def test_noise_by_noise(seed, n_values):
    array = noise((7, 8), n_values, seed).astype(np.uint8)
    check_round_trip(array, made_tiny_prior((7, 8), seed=seed % 5))


@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("odds", [-127, 127])
def test_extreme_priors(weight, odds):
    """Every decision is as good as certain, and often wrong."""
    prior = made_tiny_prior((8, 8))
    prior = replace(
        prior,
        coefficients=np.full_like(prior.coefficients, 32767 if odds > 0 else -32768),
        log_odds=np.full_like(prior.log_odds, odds),
        weights=np.full_like(prior.weights, weight),
    )
    flat = [np.full((8, 8), value, np.uint8) for value in (0, 1, 254, 255)]
    payloads = [check_round_trip(array, prior) for array in flat]
    assert any(payload is not None for payload in payloads)
    for array in (noise((8, 8)).astype(np.uint8), slope(8, 8)):
        check_round_trip(array, prior)


def test_every_value_from_every_prediction():
    """All residuals, and all ways in which the range ends the questions."""
    prior = made_tiny_prior((2, 1))
    zero = np.zeros_like(prior.coefficients)
    zero[19 + 1] = 4096  # the second row is predicted by the one above
    prior = replace(prior, coefficients=zero)
    for first in (0, 1, 2, 3, 127, 128, 253, 254, 255):
        for second in range(256):
            check_round_trip(np.array([[first], [second]], np.uint8), prior)


def test_what_was_learned_is_small():
    """The trained prior takes less than half of what other coders take without a codebook."""
    book = tiny_codebook(SIDE)
    images = [natural(seed) for seed in range(20)]
    own = sum(len(softcomp_codec.encode(array, codebook=book)) for array in images)
    plain = sum(len(softcomp_codec.encode(array, codebook=None)) for array in images)
    assert 10 * own < 9 * plain


@pytest.mark.parametrize("inverted", [False, True])
def test_the_plain_decoder_agrees(inverted):
    priors = [
        (made_tiny_prior(size, seed=seed, inverted=inverted), noise(size, n_values, seed))
        for seed, size in enumerate([(1, 1), (5, 9), (9, 5), (2, 64), (12, 13)])
        for n_values in (3, 256)
    ]
    trained_prior = tiny_codebook(SIDE).tiny[SIDE, SIDE]
    priors += [(trained_prior, picture) for picture in (natural(9), slope(SIDE, SIDE))]
    for prior, picture in priors:
        array = picture.astype(np.uint8)
        payload = check_round_trip(array, prior)
        assert payload is not None
        plain = naive_tiny.Decoder(payload, prior, tables().squash).picture()
        assert plain == array.tolist()


def test_shape_with_an_axis_of_one():
    book = tiny_codebook(SIDE)
    array = natural()[:, :, None]
    data = softcomp_codec.encode(array, codebook=book)
    assert coder_of(data) == container.TINY
    found = softcomp_codec.decode(data, codebooks=[book])
    assert found.shape == array.shape
    assert np.array_equal(found, array)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("coder", ["auto", "tiny"])
@pytest.mark.parametrize("effort", [1, 5, 9])
def test_files(coder, effort):
    book = tiny_codebook(SIDE)
    array = natural(3)
    data = softcomp_codec.encode(array, codebook=book, coder=coder, effort=effort)
    assert coder_of(data) == container.TINY
    header = softcomp_codec.read_header(data)
    assert header.codebook_reference == book.identifier[:4]
    assert header.payload_offset == 15
    assert np.array_equal(softcomp_codec.decode(data, codebooks=[book]), array)
    assert np.array_equal(
        softcomp_codec.decode(
            softcomp_codec.encode(array, codebook=book, embed_codebook=True, file_check=True)
        ),
        array,
    )


def test_other_sizes_and_modes_are_left_to_the_others():
    book = tiny_codebook(SIDE)
    pictures = [
        slope(SIDE, SIDE + 1),
        slope(65, 65),
        colours(SIDE, SIDE),
        glyphs(SIDE, SIDE),
        natural().astype(np.uint16) * 16 + natural()[::-1] % 16,  # else they would be mapped to 8
    ]
    for array in pictures:
        data = softcomp_codec.encode(array, codebook=book)
        assert coder_of(data) != container.TINY
        assert softcomp_codec.read_header(data).codebook_reference == b""
        assert np.array_equal(softcomp_codec.decode(data), array)
        assert coder_of(softcomp_codec.encode(array, codebook=book, coder="tiny")) == 0
    for codebook in (None, small_codebook("gray8")):
        data = softcomp_codec.encode(natural(), codebook=codebook, coder="tiny")
        assert coder_of(data) == container.STORED


def test_no_expansion():
    book = tiny_codebook(SIDE)
    for content in CONTENTS:
        array = filled((SIDE, SIDE), content, 255).astype(np.uint8)
        for coder in ("auto", "tiny"):
            for effort in (1, 5, 9):
                data = softcomp_codec.encode(array, codebook=book, coder=coder, effort=effort)
                assert len(data) <= array.nbytes + 32
                assert np.array_equal(softcomp_codec.decode(data, codebooks=[book]), array)


def test_auto_takes_what_is_smallest():
    """Images unlike the trained ones are coded in other ways, too."""
    book = tiny_codebook(SIDE)
    flat = np.full((SIDE, SIDE), 77, np.uint8)
    sizes = {
        coder: len(softcomp_codec.encode(flat, codebook=book, coder=coder))
        for coder in ("auto", "tiny", "context")
    }
    assert sizes["auto"] <= min(sizes.values())
    assert coder_of(softcomp_codec.encode(flat, codebook=book)) != container.TINY


def test_frames():
    book = tiny_codebook(SIDE)
    images = [natural(1), np.full((SIDE, SIDE), 9, np.uint8), natural(2), noise((SIDE, SIDE))]
    images = [array.astype(np.uint8) for array in images]
    data = softcomp_codec.encode_frames(images, codebook=book)
    header = softcomp_codec.read_header(data)
    assert [frame.coder for frame in header.frames][::2] == [container.TINY] * 2
    for found, array in zip(
        softcomp_codec.decode_frames(data, codebooks=[book]), images, strict=True
    ):
        assert np.array_equal(found, array)


def test_many_on_threads():
    book = tiny_codebook(SIDE)
    images = [natural(seed) for seed in range(40)]
    images[7] = slope(9, 30)
    expected = [softcomp_codec.encode(array, codebook=book) for array in images]
    for threads in (1, 2, 5, 64):
        data = softcomp_codec.encode_many(iter(images), codebook=book, threads=threads)
        assert data == expected
        found = softcomp_codec.decode_many(iter(data), codebooks=[book], threads=threads)
        assert all(map(np.array_equal, found, images))
    assert softcomp_codec.encode_many([], codebook=book) == []
    assert softcomp_codec.decode_many([]) == []


def test_read_only_and_strided_arrays():
    book = tiny_codebook(SIDE)
    wide = np.repeat(natural(4), 2, axis=1)
    wide.flags.writeable = False
    data = softcomp_codec.encode(wide[:, ::2], codebook=book)
    assert np.array_equal(softcomp_codec.decode(data, codebooks=[book]), natural(4))


# --- damage ---------------------------------------------------------------------------------------


def test_truncated_and_extended_payloads():
    prior = tiny_codebook(SIDE).tiny[SIDE, SIDE]
    array = natural(5)
    payload = tiny_coder.encode_payload(array, prior)
    header = header_of(array)
    for n_bytes in range(len(payload)):
        found, complete = tiny_coder.decode_payload(payload[:n_bytes], header, prior, True)
        assert found.shape == array.shape
        assert not np.array_equal(found, array)
        if not complete:  # the bytes may be all that another picture takes
            with pytest.raises((TruncatedStreamError, CorruptStreamError)):
                tiny_coder.decode_payload(payload[:n_bytes], header, prior)
    for more in (b"\0", b"\xff" * 3, payload):
        with pytest.raises(CorruptStreamError, match="bytes follow"):
            tiny_coder.decode_payload(payload + more, header, prior)


def test_every_bit_counts():
    book = tiny_codebook(SIDE)
    array = natural(6)
    data = softcomp_codec.encode(array, codebook=book, file_check=False)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        try:
            found = softcomp_codec.decode(bytes(damaged), codebooks=[book])
        except ScfError:
            continue
        assert np.array_equal(found, array)


@given(st.binary(max_size=300))
def test_any_payload(payload):
    prior = made_tiny_prior((9, 9))
    header = header_of(np.zeros((9, 9), np.uint8))
    try:
        found, complete = tiny_coder.decode_payload(payload, header, prior)
    except ScfError:
        return
    assert complete
    assert tiny_coder.encode_payload(found, prior) == payload


def test_sample_beyond_the_range():
    """The last bits of a size can lead beyond 255, or to the background."""
    prior = made_tiny_prior((4, 4))
    header = header_of(np.zeros((4, 4), np.uint8))
    messages = set()
    for seed in range(400):
        try:
            payload = noise((60,), 256, seed).astype(np.uint8).tobytes()
            tiny_coder.decode_payload(payload, header, prior)
        except CorruptStreamError as error:
            messages.add(str(error).split(":", 1)[1])
    assert any("outside the range" in message for message in messages)


def test_the_coder_needs_a_codebook():
    array = natural(7)
    payload = tiny_coder.encode_payload(array, tiny_codebook(SIDE).tiny[SIDE, SIDE])
    data = file_of(array, payload, coder=container.TINY)
    with pytest.raises(CorruptStreamError, match="the tiny coder needs a codebook"):
        softcomp_codec.decode(data)


def test_codebook_without_this_size():
    book = tiny_codebook(SIDE)
    other = tiny_book(made_tiny_prior((5, 5)))
    data = softcomp_codec.encode(natural(8), codebook=book)
    header, payload = container.read_file(data)
    wrong = container.write_file(replace(header, codebook_reference=other.identifier[:4]), payload)
    with pytest.raises(CorruptStreamError, match="no part for gray8 pictures of 12 x 12"):
        softcomp_codec.decode(wrong, codebooks=[other])
    shapes = file_of(natural(8), b"123", coder=container.SHAPES, book=book)
    with pytest.raises(CorruptStreamError, match="by the shapes coder"):
        softcomp_codec.decode(shapes, codebooks=[book])


@pytest.mark.parametrize("identifier", [0, 2, 4, 5, 7, 8])
def test_modes_of_the_coder(identifier):
    header = header_of(np.zeros((4, 4), np.uint8))
    data = container.write_file(replace(header, mode=MODES[identifier]), b"12")
    with pytest.raises(UnsupportedStreamError, match=r"coder 6 \(tiny\) does not code"):
        softcomp_codec.read_header(data)


def test_explain_refuses():
    data = softcomp_codec.encode(natural(), codebook=tiny_codebook(SIDE))
    with pytest.raises(UnsupportedStreamError, match="files of the tiny coder"):
        tracing.trace_file(data, codebooks=[tiny_codebook(SIDE)])
