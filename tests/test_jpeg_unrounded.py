"""Pictures whose JPEG decoder rounded pixels alone (SPEC 5J.9): search, payloads, damage."""

import io
from dataclasses import replace

import numpy as np
import pytest
from file_builder import file_of
from made_images import (
    jpeg_colours,
    made_past,
    noise,
    pixels_of_fractions,
    slope,
    unrounded_jpeg,
)
from PIL import Image

import softcomp_codec
from softcomp_codec import (
    coefficient_coder,
    container,
    jpeg_past_coder,
    jpeg_unrounded_coder,
    jpeg_unrounded_recovery,
    planes,
)
from softcomp_codec.container import Header, write_varint
from softcomp_codec.errors import CorruptStreamError, ScfError, TruncatedStreamError
from softcomp_codec.jpeg_pasts import write_past
from softcomp_codec.jpeg_unrounded_recovery import Unrounded
from softcomp_codec.samples import list_samples

TELLING = 20
"""Coefficients that are enough to tell a step."""


def header_of(picture):
    mode = planes.mode_of_array(picture)
    return Header(mode, picture.shape[1], picture.shape[0], container.JPEG_PAST, b"", 0)


def payload_of(picture, past, coefficients):
    (payload,) = jpeg_unrounded_coder.write_payloads(picture, Unrounded(past, coefficients), [None])
    return payload


def decoded(payload, picture):
    """What a payload decodes to, at the size of a picture."""
    array, complete = jpeg_past_coder.decode_payload(payload, header_of(picture))
    assert complete
    return array


def small():
    """A small picture, what it is made of, and its payload."""
    past = made_past((1, 1), (3, 5), 60)
    picture, coefficients = unrounded_jpeg(past, 14, 17, seed=2)
    picture[5:8, 9:13] ^= 0x55
    return picture, past, coefficients, payload_of(picture, past, coefficients)


def code_of(file):
    """The coder of a file, and the first byte of its payload."""
    header = softcomp_codec.read_header(file)
    return header.coder, file[header.payload_offset]


def is_unrounded(file):
    return code_of(file) == (container.JPEG_PAST, jpeg_unrounded_coder.EXTENSION)


def steps_that_differ(found, past, coefficients):
    """Steps found otherwise than they are, of frequencies with enough coefficients."""
    return [
        (component, at, table[at], right[at])
        for component, (table, right, blocks) in enumerate(
            zip(found.tables, past.tables, coefficients, strict=True)
        )
        for at in range(64)
        if table[at] != right[at] and np.count_nonzero(blocks[:, :, at]) >= TELLING
    ]


def whole_blocks(picture, phase):
    """Which blocks that are shown wholly are neither black nor white anywhere.

    Those around them are left out.
    """
    top, left = (8 - each for each in phase)
    n_down, n_across = (picture.shape[0] - top) // 8, (picture.shape[1] - left) // 8
    grid = picture[top : top + 8 * n_down, left : left + 8 * n_across]
    grid = grid.reshape(n_down, 8, n_across, 8, 3)
    n_around = [-(-(each + at) // 8) - 2 for each, at in zip(picture.shape, phase, strict=False)]
    whole = ((grid > 0) & (grid < 255)).all(axis=(1, 3, 4))
    return whole[: n_around[0], : n_around[1]]


# Finding them


@pytest.mark.parametrize("shift", range(8))
def test_made_pictures_are_recognised(shift):
    phase, quality = (shift, (5 * shift + 3) % 8), 70 + 3 * shift
    past = made_past((1, 1), phase, quality)
    picture, coefficients = unrounded_jpeg(past, 88 + shift, 101 - shift, seed=shift)
    found = jpeg_unrounded_recovery.recover(picture)
    assert found is not None
    assert found.past.phase == phase
    assert found.past.sampling == (1, 1)
    assert steps_that_differ(found.past, past, coefficients) == []
    for table, right_table, blocks, right in zip(
        found.past.tables, past.tables, found.coefficients, coefficients, strict=True
    ):
        values, right_values = blocks * np.array(table), right * np.array(right_table)
        whole = whole_blocks(picture, phase)
        assert whole.sum() > 80
        assert np.array_equal(values[1:-1, 1:-1][whole], right_values[1:-1, 1:-1][whole])
    assert jpeg_past_coder.find_past(picture, planes.mode_of_array(picture)) == found.past
    effort = (1, 5, 9)[shift % 3]
    file = softcomp_codec.encode(picture, codebook=None, effort=effort)
    assert is_unrounded(file)
    assert np.array_equal(softcomp_codec.decode(file), picture)
    pixels = softcomp_codec.encode(picture, codebook=None, effort=effort, coder="pixels")
    assert code_of(pixels)[0] != container.JPEG_PAST
    assert len(file) < 0.7 * len(pixels)


def test_own_tables_are_recognised():
    luma = tuple(3 + (at // 8 + at % 8) * 2 + at % 3 for at in range(64))
    chroma = tuple(5 + (at // 8 + at % 8) for at in range(64))
    past = replace(made_past((1, 1), (6, 1), 80), tables=(luma, chroma, chroma))
    picture, coefficients = unrounded_jpeg(past, 120, 130, seed=5)
    found = jpeg_unrounded_recovery.recover(picture)
    assert found is not None
    assert found.past.phase == (6, 1)
    assert steps_that_differ(found.past, past, coefficients) == []


@pytest.mark.parametrize("effort", [1, 5, 9])
def test_edited_and_clipped_pictures(effort):
    picture, _ = unrounded_jpeg(made_past((1, 1), (2, 7), 80), 110, 99, seed=effort, clipped=6)
    assert (picture == 0).any()
    assert (picture == 255).any()
    picture[30:50, 40:70] = noise((20, 30, 3), 256, effort)
    picture[80:90, 10:60] = 255
    picture[3:20, 80:] = 0
    file = softcomp_codec.encode(picture, codebook=None, effort=effort)
    assert is_unrounded(file)
    assert np.array_equal(softcomp_codec.decode(file), picture)
    pixels = softcomp_codec.encode(picture, codebook=None, effort=effort, coder="pixels")
    assert len(file) < 0.9 * len(pixels)


def test_codebooks_do_not_matter_to_the_picture():
    picture, _ = unrounded_jpeg(made_past((1, 1), (4, 0), 85), 96, 100, seed=3)
    file = softcomp_codec.encode(picture)
    assert is_unrounded(file)
    assert np.array_equal(softcomp_codec.decode(file), picture)


def test_gray_pictures_are_never_taken():
    gray = np.ascontiguousarray(unrounded_jpeg(made_past((1, 1), (2, 7), 80), 96, 96)[0][:, :, 1])
    assert jpeg_unrounded_recovery.recover(gray) is None
    for picture in (gray, gray[:, :, None]):
        for coder in ("auto", "jpeg-past"):
            file = softcomp_codec.encode(picture, codebook=None, coder=coder)
            assert not is_unrounded(file)
            assert np.array_equal(softcomp_codec.decode(file), picture)
    same = np.repeat(gray[:, :, None], 3, axis=2)
    assert np.array_equal(softcomp_codec.decode(softcomp_codec.encode(same)), same)


def test_decoders_that_round_samples_stay_with_the_other_layout():
    smooth = jpeg_colours(120, 136) // 2 + noise((120, 136, 3), 4).astype(np.uint8)
    for quality in (75, 92):
        stream = io.BytesIO()
        Image.fromarray(smooth).save(stream, "JPEG", quality=quality, subsampling=0)
        picture = np.asarray(Image.open(stream)).copy()
        file = softcomp_codec.encode(picture, codebook=None)
        assert code_of(file) == (container.JPEG_PAST, jpeg_past_coder.EXTENSION)


def never_jpegs():
    """Pictures that no JPEG decoder made."""
    rows, columns = np.mgrid[:130, :120]
    gradients = np.stack([rows + columns // 3, 2 * rows % 256, 255 - columns], axis=2)
    yield gradients.astype(np.uint8)
    yield np.stack([rows * columns // 61, columns * 2, rows], axis=2).astype(np.uint8)
    yield (gradients // 2 + noise((130, 120, 3), 5)).astype(np.uint8)
    for n_values in (2, 7, 50, 256):
        yield noise((96, 96, 3), n_values, n_values).astype(np.uint8)
    for value in (0, 99, 255):
        yield np.full((80, 72, 3), value, np.uint8)
    yield jpeg_colours(100, 100)
    yield np.stack([slope(100, 110, seed) for seed in range(3)], axis=2)
    yield np.repeat(slope(100, 110)[:, :, None], 3, axis=2)
    blocks = noise((13, 14, 3), 256).astype(np.uint8)
    yield blocks.repeat(8, axis=0).repeat(8, axis=1)
    for path in list_samples().values():
        with Image.open(path) as image:
            yield np.asarray(image.convert("RGB"))


def test_others_are_left_alone():
    n_pictures = 0
    for picture in never_jpegs():
        assert jpeg_unrounded_recovery.recover(picture) is None
        n_pictures += 1
    assert n_pictures > 25


# Payloads


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 9), (9, 1), (8, 8), (7, 16), (17, 23), (33, 8), (40, 41)]
)
def test_any_size_and_phase(size):
    for shift in range(8):
        past = made_past((1, 1), (shift, (3 * shift + size[1]) % 8), 40 + 7 * shift)
        picture, coefficients = unrounded_jpeg(past, *size, seed=shift, clipped=shift % 3)
        assert np.array_equal(decoded(payload_of(picture, past, coefficients), picture), picture)
        picture[size[0] // 3 :] = noise(picture[size[0] // 3 :].shape, 256, shift)
        assert np.array_equal(decoded(payload_of(picture, past, coefficients), picture), picture)


@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white(level):
    past = made_past((1, 1), (2, 3), 75)
    picture, coefficients = unrounded_jpeg(past, 19, 22)
    picture[:] = level
    payload = payload_of(picture, past, coefficients)
    assert np.array_equal(decoded(payload, picture), picture)
    coefficients = [np.zeros_like(each) for each in coefficients]
    coefficients[0][:, :, 0] = 32767 if level else -32768
    payload = payload_of(picture, past, coefficients)
    assert np.array_equal(decoded(payload, picture), picture)
    assert len(payload) < 100


def test_nothing_is_left_of_what_the_prediction_tells():
    past = made_past((1, 1), (0, 0), 80)
    picture, coefficients = unrounded_jpeg(past, 80, 80)
    facts = jpeg_past_coder.describe_payload(
        payload_of(picture, past, coefficients), header_of(picture)
    )
    assert facts["remainder_bytes"] < 500 < facts["coefficient_bytes"]
    picture[40] ^= 1
    more = jpeg_past_coder.describe_payload(
        payload_of(picture, past, coefficients), header_of(picture)
    )
    assert more["coefficient_bytes"] == facts["coefficient_bytes"]
    assert more["remainder_bytes"] > facts["remainder_bytes"] + 10


def test_wide_pictures():
    past = made_past((1, 1), (3, 2), 80)
    picture, coefficients = unrounded_jpeg(past, 16, 3000, seed=1)
    assert np.array_equal(decoded(payload_of(picture, past, coefficients), picture), picture)


@pytest.mark.parametrize("step", [1, 255, 65535])
@pytest.mark.parametrize("largest", [1, 2047, 32767])
def test_extreme_coefficients(step, largest):
    past = replace(made_past((1, 1), (5, 1), 80), tables=((step,) * 64,) * 3)
    shape = (*past.block_shape(0, 19, 13), 64)
    coefficients = [
        (noise(shape, 2 * largest + 1, index) - largest).astype(np.int16) for index in range(3)
    ]
    coefficients[1][0, 0, :9] = -32768
    for picture in (
        noise((19, 13, 3), 256, step).astype(np.uint8),
        (noise((19, 13, 3), 2, step) * 255).astype(np.uint8),
        pixels_of_fractions(past, coefficients, 19, 13),
    ):
        payload = payload_of(picture, past, coefficients)
        assert np.array_equal(decoded(payload, picture), picture)


def test_what_needs_more_than_pixels_is_not_coded(monkeypatch):
    picture, past, coefficients, _ = small()
    found = Unrounded(past, coefficients)
    monkeypatch.setattr(jpeg_unrounded_coder.coefficient_coder, "encode_coefficients",
                        lambda *_: None)  # fmt: skip
    assert jpeg_unrounded_coder.write_payloads(picture, found, [None]) == []
    assert jpeg_past_coder.encode_smallest(
        picture, planes.mode_of_array(picture), found, None, effort=5
    ) is None  # fmt: skip


def test_what_payloads_say():
    picture, past, _, payload = small()
    facts = jpeg_past_coder.describe_payload(payload, header_of(picture))
    assert facts["subsampling"] == "4:4:4"
    assert facts["repeated_samples"] is False
    assert facts["grid"] == {"rows": 3, "columns": 5}
    assert facts["tables"] == [list(table) for table in past.tables]
    assert facts["qualities"] == [60] * 3
    assert facts["prior"] is False
    head = 1 + len(write_past(past)) + len(write_varint(facts["coefficient_bytes"]))
    assert head + facts["coefficient_bytes"] + facts["remainder_bytes"] == len(payload)


# Bad ones


def test_every_truncation():
    picture, _, _, payload = small()
    header = header_of(picture)
    for length in range(len(payload)):
        try:
            # what is left may be the code of another picture
            array, _ = jpeg_past_coder.decode_payload(payload[:length], header)
        except TruncatedStreamError:
            shown, complete = jpeg_past_coder.decode_payload(payload[:length], header, True)
            assert not complete
            assert shown.shape == picture.shape
        else:
            assert length > len(payload) - 4
            assert not np.array_equal(array, picture)
        with pytest.raises(ScfError):
            softcomp_codec.decode(file_of(picture, payload[:length], coder=container.JPEG_PAST))
    with pytest.raises(CorruptStreamError, match="1 bytes follow the end of the remainders"):
        jpeg_past_coder.decode_payload(payload + b"\0", header)


def test_damage_gives_the_exact_picture_or_an_error():
    picture, _, _, payload = small()
    file = file_of(picture, payload, coder=container.JPEG_PAST)
    header = header_of(picture)
    n_noticed = 0
    for bit in range(8 * (len(file) - len(payload)), 8 * len(file)):
        bad = bytearray(file)
        bad[bit >> 3] ^= 1 << (bit & 7)
        try:
            assert np.array_equal(softcomp_codec.decode(bytes(bad)), picture)
        except ScfError:
            n_noticed += 1
        try:  # without the checksum
            array, _ = jpeg_past_coder.decode_payload(bytes(bad[-len(payload) :]), header)
        except ScfError:
            continue
        assert array.shape == picture.shape
        assert array.dtype == np.uint8
    # where the JPEG ends does not change what is shown, the same table may have two names
    assert n_noticed >= 8 * len(payload) - 16


def test_hostile_heads():
    picture, past, _, payload = small()
    header = header_of(picture)
    fractions = "samples with fractions of a gray or subsampled picture"
    for position, value, error in (
        (0, 3, "coder 7 with number 3, expected 0, 1 or 2"),
        (1, 0, "flags"),
        (1, 3, fractions),
        (1, 5, fractions),
        (1, 7, fractions),
        (1, 0x21, fractions),
        (1, 0x41, "flags"),
        (1, 0x81, "flags"),
        (2, 8, "phase"),
        (3, 8, "phase"),
        (4, 200, "quantiser table 200"),
        (4, 255, "quantiser table 255"),
    ):
        bad = bytearray(payload)
        bad[position] = value
        with pytest.raises(CorruptStreamError, match=error):
            jpeg_past_coder.decode_payload(bytes(bad), header)
    assert payload[1] & 0x27 == 1
    for flags in (payload[1] ^ 8, payload[1] ^ 16):  # on which nothing depends that is shown
        assert np.array_equal(decoded(payload[:1] + bytes([flags]) + payload[2:], picture), picture)
    start = 1 + len(write_past(past))
    with pytest.raises(TruncatedStreamError, match="bytes are left"):
        jpeg_past_coder.decode_payload(payload[:start] + b"\xff\x7f" + payload[start + 2 :], header)
    with pytest.raises(CorruptStreamError):
        jpeg_past_coder.decode_payload(payload[:start] + b"\0" + payload[start + 2 :], header)


@pytest.mark.parametrize("flags", [0, 1, 3])
def test_gray_headers(flags):
    picture, _, _, payload = small()
    for gray in (picture[:, :, 0], picture[:, :, :1]):
        bad = payload[:1] + bytes([flags]) + payload[2:]
        with pytest.raises(CorruptStreamError):
            jpeg_past_coder.decode_payload(bad, header_of(gray))


@pytest.mark.parametrize("level", [0, 255])
def test_remainders_that_leave_the_pixels(level):
    """Black pixels' remainders on a white prediction, and the other way round."""
    past = made_past((1, 1), (0, 0), 75)
    shape = (*past.block_shape(0, 9, 9), 64)
    coefficients = [np.zeros(shape, np.int16) for _ in range(3)]
    codes = []
    for value in (-32768, 32767) if level else (32767, -32768):
        coefficients[0][:, :, 0] = value
        codes.append(
            coefficient_coder.encode_coefficients(coefficients, past.tables, past.all_sampling)
        )
        if len(codes) == 1:
            payload = payload_of(np.full((9, 9, 3), level, np.uint8), past, coefficients)
    head = bytes([jpeg_unrounded_coder.EXTENSION]) + write_past(past)
    tail = payload[len(head) + 1 + len(codes[0]) :]
    assert payload == head + write_varint(len(codes[0])) + codes[0] + tail
    picture = np.full((9, 9, 3), level, np.uint8)
    assert np.array_equal(decoded(payload, picture), picture)
    with pytest.raises(CorruptStreamError, match=r"row 0: a pixel is outside 0\.\.255"):
        decoded(head + write_varint(len(codes[1])) + codes[1] + tail, picture)


def test_random_payloads():
    picture, past, _, payload = small()
    header = header_of(picture)
    start = 1 + len(write_past(past))
    for seed in range(200):
        length = 1 + int(noise((1,), 200, seed)[0])
        rest = noise((length,), 256, seed).astype(np.uint8).tobytes()
        try:
            jpeg_past_coder.decode_payload(payload[:start] + rest, header)
        except ScfError:
            continue
