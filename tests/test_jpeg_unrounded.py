"""Pictures whose JPEG decoder rounded pixels alone (SPEC 5J.9): search, payloads, damage."""

import io
from dataclasses import replace

import numpy as np
import pytest
from file_builder import file_of
from made_images import (
    colours,
    jpeg_colours,
    made_coefficients,
    made_past,
    noise,
    pixels_of_fractions,
    pixels_of_scaled,
    scaled_jpeg,
    slope,
    unrounded_jpeg,
)
from PIL import Image

import softcomp_codec
from softcomp_codec import (
    container,
    jpeg_past_coder,
    jpeg_unrounded_coder,
    jpeg_unrounded_recovery,
    planes,
)
from softcomp_codec.container import Header, write_varint
from softcomp_codec.errors import CorruptStreamError, ScfError, TruncatedStreamError
from softcomp_codec.jpeg_pasts import write_past
from softcomp_codec.jpeg_unrounded_coder import Unrounded
from softcomp_codec.kernels.unrounded_kernels import EXACT, SCALED
from softcomp_codec.samples import list_samples

TELLING = 20
"""Coefficients that are enough to tell a step."""

MADE = {EXACT: unrounded_jpeg, SCALED: scaled_jpeg}
"""How a picture of each decoder is made."""

BOTH = pytest.mark.parametrize("decoder", [EXACT, SCALED], ids=["exact", "scaled"])


def header_of(picture):
    mode = planes.mode_of_array(picture)
    return Header(mode, picture.shape[1], picture.shape[0], container.JPEG_PAST, b"", 0)


def payload_of(picture, past, coefficients, decoder=EXACT, effort=1):
    found = Unrounded(past, decoder, coefficients)
    (payload,) = jpeg_unrounded_coder.write_payloads(picture, found, [None], effort)
    return payload


def decoded(payload, picture):
    """What a payload decodes to, at the size of a picture."""
    array, complete = jpeg_past_coder.decode_payload(payload, header_of(picture))
    assert complete
    return array


def small(decoder=EXACT):
    """A small picture, what it is made of, and its payload."""
    past = made_past((1, 1), (3, 5), 60)
    picture, coefficients = MADE[decoder](past, 14, 17, seed=2)
    picture[5:8, 9:13] ^= 0x55
    return picture, past, coefficients, payload_of(picture, past, coefficients, decoder)


def context_of(payload, picture):
    """Where a payload's part of the context coder begins."""
    facts = jpeg_past_coder.describe_payload(payload, header_of(picture))
    return len(payload) - facts["remainder_bytes"]


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


@BOTH
@pytest.mark.parametrize("shift", range(8))
def test_made_pictures_are_recognised(shift, decoder):
    phase, quality = (shift, (5 * shift + 3) % 8), 70 + 3 * shift
    past = made_past((1, 1), phase, quality)
    picture, coefficients = MADE[decoder](past, 88 + shift, 101 - shift, seed=shift)
    found = jpeg_unrounded_recovery.recover(picture)
    assert found is not None
    assert found.decoder == decoder
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


@BOTH
@pytest.mark.parametrize("seed", range(6))
def test_tables_are_told_from_those_that_divide_them(seed, decoder):
    """Half of the steps of quality 80 are five times those of 96, which fit as many blocks."""
    past = made_past((1, 1), (2, 7), 80)
    picture, _ = MADE[decoder](past, 110, 99, seed=seed)
    found = jpeg_unrounded_recovery.recover(picture)
    assert (found.past.tables, found.decoder) == (past.tables, decoder)


@BOTH
@pytest.mark.parametrize("quality", [60, 75, 86])
def test_tables_that_were_rounded_down_are_recognised(quality, decoder):
    tables = [
        tuple(max(2, step * (200 - 2 * quality) // 100) for step in table)
        for table in made_past((1, 1), (0, 0), 50).tables
    ]
    past = replace(made_past((1, 1), (1, 4), 80), tables=tuple(tables))
    coefficients = busy_coefficients(past, 120, 136)
    pixels_of = {EXACT: pixels_of_fractions, SCALED: pixels_of_scaled}[decoder]
    found = jpeg_unrounded_recovery.recover(pixels_of(past, coefficients, 120, 136))
    assert (found.past.tables, found.decoder) == (past.tables, decoder)


def busy_coefficients(past, height, width):
    """Coefficients of which most up to the sixth diagonal are not 0, but are few steps."""
    coefficients = made_coefficients(past, height, width)
    is_low = np.add.outer(np.arange(8), np.arange(8)).reshape(-1) < 6
    for index, blocks in enumerate(coefficients):
        few = noise(blocks.shape, 5, index) - 2
        blocks[:, :, 1:] = (few * is_low)[:, :, 1:] // (1 + (index > 0))
    return coefficients


@pytest.mark.parametrize("percent", [7, 13])
def test_pictures_of_another_decoder_are_left_alone(percent, monkeypatch):
    """A tenth of the pixels in blocks with details must be those of a decoder."""
    picture, _ = scaled_jpeg(made_past((1, 1), (2, 7), 80), 100, 99, seed=1)
    other = picture ^ 1
    other[:percent] = picture[:percent]
    monkeypatch.setattr(jpeg_unrounded_recovery, "render", lambda *_: other)
    assert (jpeg_unrounded_recovery.recover(picture) is None) == (percent < 10)


@BOTH
@pytest.mark.parametrize("effort", [1, 5, 9])
def test_edited_and_clipped_pictures(effort, decoder):
    picture, _ = MADE[decoder](made_past((1, 1), (2, 7), 80), 110, 99, seed=effort, clipped=6)
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
        decoder = shift % 2
        past = made_past((1, 1), (shift, (3 * shift + size[1]) % 8), 40 + 7 * shift)
        picture, coefficients = MADE[decoder](past, *size, seed=shift, clipped=shift % 3)
        picture &= 0x7F  # or the samples themselves may be smaller
        payload = payload_of(picture, past, coefficients, decoder, 1 + shift)
        assert np.array_equal(decoded(payload, picture), picture)
        picture[size[0] // 3 :] = noise(picture[size[0] // 3 :].shape, 16, shift)
        payload = payload_of(picture, past, coefficients, decoder, 9 - shift)
        assert np.array_equal(decoded(payload, picture), picture)


@BOTH
@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white(level, decoder):
    past = made_past((1, 1), (2, 3), 75)
    picture, coefficients = MADE[decoder](past, 19, 22)
    picture[:] = level
    payload = payload_of(picture, past, coefficients, decoder)
    assert np.array_equal(decoded(payload, picture), picture)
    coefficients = [np.zeros_like(each) for each in coefficients]
    coefficients[0][:, :, 0] = 32767 if level else -32768
    payload = payload_of(picture, past, coefficients, decoder)
    assert np.array_equal(decoded(payload, picture), picture)
    assert len(payload) < 100


def rendered_of(past, decoder, coefficients, height, width):
    return jpeg_unrounded_coder.render(Unrounded(past, decoder, coefficients), height, width)


@BOTH
def test_nothing_is_left_of_what_the_decoder_makes(decoder):
    past = made_past((1, 1), (0, 0), 80)
    _, coefficients = MADE[decoder](past, 80, 80)
    picture = rendered_of(past, decoder, coefficients, 80, 80)

    def facts_of(picture):
        payload = payload_of(picture, past, coefficients, decoder)
        return jpeg_past_coder.describe_payload(payload, header_of(picture))

    facts = facts_of(picture)
    assert facts["remainder_bytes"] < 500 < facts["coefficient_bytes"]
    assert facts["exact_pixels"] == 1
    picture[40] ^= 1
    more = facts_of(picture)
    assert more["coefficient_bytes"] == facts["coefficient_bytes"]
    assert more["remainder_bytes"] > facts["remainder_bytes"] + 10
    assert more["exact_pixels"] == round(79 / 80, 4)


@pytest.mark.parametrize("seed", range(8))
def test_made_pictures_are_those_of_the_decoders(seed):
    past = made_past((1, 1), (seed, 7 - seed), 30 + 9 * seed)
    for decoder, made in MADE.items():
        picture, coefficients = made(past, 61, 50, seed=seed, clipped=seed % 2 * 3)
        right, other = (
            rendered_of(past, each, coefficients, 61, 50) for each in (decoder, 1 - decoder)
        )
        if decoder == SCALED:
            assert np.array_equal(picture, right)
        else:  # which has 4096ths
            assert (picture == right).all(axis=2).mean() > 0.99
            assert np.abs(picture.astype(int) - right).max() <= 1
        assert (picture == other).all(axis=2).mean() < 0.9


def test_wide_pictures():
    past = made_past((1, 1), (3, 2), 80)
    picture, coefficients = unrounded_jpeg(past, 16, 3000, seed=1)
    assert np.array_equal(decoded(payload_of(picture, past, coefficients), picture), picture)


def test_pictures_of_several_tiles():
    past = made_past((1, 1), (5, 3), 80)
    picture, coefficients = scaled_jpeg(past, 1100, 1000, seed=1)
    picture[540:560, 300:600] ^= 1
    picture[100:140, 900:] = noise((40, 100, 3), 256)
    payload = payload_of(picture, past, coefficients, SCALED)
    assert np.array_equal(decoded(payload, picture), picture)
    file = file_of(picture, payload, coder=container.JPEG_PAST)
    assert np.array_equal(softcomp_codec.decode(file), picture)
    found = jpeg_unrounded_recovery.recover(picture)
    assert (found.decoder, found.past.tables, found.past.phase) == (SCALED, past.tables, (5, 3))
    assert steps_that_differ(found.past, past, coefficients) == []
    # a tile's check finds what is wrong
    bad = bytearray(payload)
    bad[context_of(payload, picture) + 2] ^= 1
    with pytest.raises(CorruptStreamError, match="tile 0"):
        jpeg_past_coder.decode_payload(bytes(bad), header_of(picture))
    with pytest.raises(TruncatedStreamError):
        jpeg_past_coder.decode_payload(payload[:-1], header_of(picture))
    with pytest.raises(CorruptStreamError):
        jpeg_past_coder.decode_payload(payload + b"\0", header_of(picture))


def random_coefficients(past, height, width, largest):
    shape = (*past.block_shape(0, height, width), 64)
    coefficients = [
        (noise(shape, 2 * largest + 1, index) - largest).astype(np.int16) for index in range(3)
    ]
    coefficients[1][0, 0, :9] = -32768
    return coefficients


@BOTH
@pytest.mark.parametrize("step", [1, 255, 65535])
@pytest.mark.parametrize("largest", [1, 2047, 32767])
def test_extreme_coefficients(step, largest, decoder):
    past = replace(made_past((1, 1), (5, 1), 80), tables=((step,) * 64,) * 3)
    coefficients = random_coefficients(past, 19, 13, largest)
    rendered = rendered_of(past, decoder, coefficients, 19, 13)
    if decoder == SCALED:
        assert np.array_equal(rendered, pixels_of_scaled(past, coefficients, 19, 13))
    for picture in (rendered, rendered ^ 1, noise((19, 13, 3), 20, step).astype(np.uint8)):
        payload = payload_of(picture, past, coefficients, decoder)
        assert np.array_equal(decoded(payload, picture), picture)


def test_pictures_of_noise_are_not_coded():
    picture, past, coefficients, _ = small()
    picture = noise(picture.shape, 256).astype(np.uint8)
    found = Unrounded(past, EXACT, coefficients)
    assert jpeg_unrounded_coder.write_payloads(picture, found, [None], 5) == []
    assert jpeg_past_coder.encode_smallest(
        picture, planes.mode_of_array(picture), found, None, effort=5
    ) is None  # fmt: skip


@pytest.mark.parametrize(
    ("module", "name"), [("coefficient_coder", "encode_coefficients"),
                         ("context_coder", "encode_payload")]
)  # fmt: skip
def test_what_is_too_large_is_not_coded(monkeypatch, module, name):
    picture, past, coefficients, _ = small()
    found = Unrounded(past, EXACT, coefficients)
    monkeypatch.setattr(getattr(jpeg_unrounded_coder, module), name, lambda *_, **__: None)
    assert jpeg_unrounded_coder.write_payloads(picture, found, [None], 5) == []
    assert jpeg_past_coder.encode_smallest(
        picture, planes.mode_of_array(picture), found, None, effort=5
    ) is None  # fmt: skip


@BOTH
def test_what_payloads_say(decoder):
    picture, past, _, payload = small(decoder)
    facts = jpeg_past_coder.describe_payload(payload, header_of(picture))
    assert facts["subsampling"] == "4:4:4"
    assert facts["repeated_samples"] is False
    assert facts["grid"] == {"rows": 3, "columns": 5}
    assert facts["tables"] == [list(table) for table in past.tables]
    assert facts["qualities"] == [60] * 3
    assert facts["prior"] is False
    assert facts["decoder"] == {EXACT: "exact", SCALED: "scaled"}[decoder]
    assert 0.8 < facts["exact_pixels"] < 1
    head = 2 + len(write_past(past)) + len(write_varint(facts["coefficient_bytes"]))
    assert head + facts["coefficient_bytes"] + facts["remainder_bytes"] == len(payload)


# Bad ones


@BOTH
def test_every_truncation(decoder):
    picture, _, _, payload = small(decoder)
    header = header_of(picture)
    n_behind = jpeg_past_coder.describe_payload(payload, header)["remainder_bytes"]
    for length in range(len(payload)):
        try:
            # what is left may be the code of another picture
            array, _ = jpeg_past_coder.decode_payload(payload[:length], header)
        except TruncatedStreamError:
            shown, complete = jpeg_past_coder.decode_payload(payload[:length], header, True)
            assert not complete
            assert shown.shape == picture.shape
            assert shown.any() == (length >= len(payload) - n_behind)
        else:
            assert length > len(payload) - 4
            assert not np.array_equal(array, picture)
        with pytest.raises(ScfError):
            softcomp_codec.decode(file_of(picture, payload[:length], coder=container.JPEG_PAST))
    for more in (b"\0", b"\xff", bytes(40)):
        with pytest.raises(CorruptStreamError, match="follow the end of its code") as caught:
            jpeg_past_coder.decode_payload(payload + more, header)
        assert not isinstance(caught.value, TruncatedStreamError)


@BOTH
def test_damage_gives_the_exact_picture_or_an_error(decoder):
    picture, _, _, payload = small(decoder)
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
        (1, 2, "decoder 2, expected 0 or 1"),
        (1, 128, "decoder 128"),
        (1, 255, "decoder 255"),
        (2, 0, "flags"),
        (2, 3, fractions),
        (2, 5, fractions),
        (2, 7, fractions),
        (2, 0x21, fractions),
        (2, 0x41, "flags"),
        (2, 0x81, "flags"),
        (3, 8, "phase"),
        (4, 8, "phase"),
        (5, 200, "quantiser table 200"),
        (5, 255, "quantiser table 255"),
    ):
        bad = bytearray(payload)
        bad[position] = value
        with pytest.raises(CorruptStreamError, match=error):
            jpeg_past_coder.decode_payload(bytes(bad), header)
    assert payload[2] & 0x27 == 1
    for flags in (payload[2] ^ 8, payload[2] ^ 16):  # on which nothing depends that is shown
        assert np.array_equal(decoded(payload[:2] + bytes([flags]) + payload[3:], picture), picture)
    try:  # of which it is not
        array = decoded(payload[:1] + bytes([SCALED]) + payload[2:], picture)
    except ScfError:
        pass
    else:
        assert not np.array_equal(array, picture)
    start = 2 + len(write_past(past))
    with pytest.raises(TruncatedStreamError, match="bytes are left"):
        jpeg_past_coder.decode_payload(payload[:start] + b"\xff\x7f" + payload[start + 2 :], header)
    with pytest.raises(CorruptStreamError):
        jpeg_past_coder.decode_payload(payload[:start] + b"\0" + payload[start + 2 :], header)


@pytest.mark.parametrize("flags", [0, 1, 3])
def test_gray_headers(flags):
    picture, _, _, payload = small()
    for gray in (picture[:, :, 0], picture[:, :, :1]):
        bad = payload[:2] + bytes([flags]) + payload[3:]
        with pytest.raises(CorruptStreamError):
            jpeg_past_coder.decode_payload(bad, header_of(gray))


@BOTH
def test_hostile_context_payloads(decoder):
    picture, _, _, payload = small(decoder)
    header = header_of(picture)
    start = context_of(payload, picture)
    head, rest = payload[:start], payload[start:]
    assert rest[0] >> 4 in (0, 3)  # the transform
    for bad, error in (
        (b"", TruncatedStreamError),
        (rest[:1], TruncatedStreamError),
        (bytes([rest[0] & 0xF0]) + rest[1:], CorruptStreamError),
        (bytes([0x40 | rest[0] & 15]) + rest[1:], CorruptStreamError),
        (bytes([0x10 | rest[0] & 15]) + rest[1:], CorruptStreamError),
        (bytes([0xF0 | rest[0] & 15]) + rest[1:], CorruptStreamError),
        (rest[:1] + b"\x08" + rest[2:], CorruptStreamError),
    ):
        with pytest.raises(error):
            jpeg_past_coder.decode_payload(head + bad, header)
    for first in range(1, len(rest)):
        with pytest.raises(ScfError):
            softcomp_codec.decode(file_of(picture, head + rest[first:], coder=header.coder))


@BOTH
def test_the_picture_may_be_any_other(decoder):
    """Each transform, narrowed and constant planes, whatever the rendered picture."""
    past = made_past((1, 1), (3, 5), 60)
    _, coefficients = MADE[decoder](past, 21, 30)
    other = np.repeat(slope(21, 30)[:, :, None], 3, axis=2)
    for constant in (other, other // 9 + 40, np.full_like(other, 7), colours(21, 30)):
        payload = payload_of(constant, past, coefficients, decoder, effort=9)
        assert np.array_equal(decoded(payload, constant), constant)


def test_random_payloads():
    picture, past, _, payload = small()
    header = header_of(picture)
    start = 2 + len(write_past(past))
    for seed in range(200):
        length = 1 + int(noise((1,), 200, seed)[0])
        rest = noise((length,), 256, seed).astype(np.uint8).tobytes()
        try:
            jpeg_past_coder.decode_payload(payload[:start] + rest, header)
        except ScfError:
            continue
