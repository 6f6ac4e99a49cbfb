"""Pictures that were JPEGs once: emulation, recovery, coefficients, corrections (SPEC 5J)."""

import io
from dataclasses import replace

import numpy as np
import pytest
from made_images import decoded_jpeg, made_past, noise
from PIL import Image

import softcomp_codec
from softcomp_codec import (
    coefficient_coder,
    container,
    jpeg_past_coder,
    jpeg_recovery,
    jpeg_samples_coder,
    planes,
    quantiser_tables,
    worker_threads,
)
from softcomp_codec.container import Header
from softcomp_codec.errors import CorruptStreamError, ScfError, TruncatedStreamError
from softcomp_codec.jpeg_emulation import REPLICATION, convert_colours
from softcomp_codec.jpeg_recovery import Recovered

SUBSAMPLINGS = {0: (1, 1), 1: (1, 2), 2: (2, 2)}
"""Pillow's number of each."""


def photograph(height, width, seed=0):
    """Smooth shapes with edges and a little noise, (H, W, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    planes_ = []
    for channel in range(3):
        plane = 90 + 50 * channel // 2 + (3 * y + (2 + channel) * x) % 97
        disc = (y - height // 2) ** 2 + (x - width // 3) ** 2 < (height // 3) ** 2
        planes_.append(np.where(disc, plane // 2 + 30, plane) + noise(y.shape, 5, seed + channel))
    return np.clip(np.stack(planes_, axis=2), 0, 255).astype(np.uint8)


def through_jpeg(picture, **options):
    """What Pillow decodes of its own JPEG, and that file's bytes."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", **options)
    return np.asarray(Image.open(stream)).copy(), len(stream.getvalue())


def header_of(picture, payload=b""):
    mode = planes.mode_of_array(picture)
    return Header(mode, picture.shape[1], picture.shape[0], container.JPEG_PAST, b"", 0)


def made_payload(n=0, sampling=(2, 2), phase=(3, 5), quality=80, size=(45, 52)):
    past = made_past(sampling, phase, quality)
    picture, coefficients = decoded_jpeg(past, *size, seed=n)
    boxes = [
        (np.zeros(shape, np.int32), np.full(shape, 255, np.int32))
        for shape in (past.component_shape(i, *size) for i in range(past.n_components))
    ]
    picture[10:20, 10:30] ^= 1
    recovered = Recovered(past, coefficients, boxes, (1.0,) * past.n_components)
    return picture, jpeg_past_coder.write_payload(picture, recovered)


@pytest.mark.parametrize(("quality", "corner"), [(70, (5, 11)), (90, (0, 0)), (96, (9, 2))])
@pytest.mark.parametrize("subsampling", [0, 1, 2, "gray"])
def test_decoded_jpegs_are_recognised(quality, subsampling, corner):
    original = photograph(168, 200, quality)
    if subsampling == "gray":
        decoded, _ = through_jpeg(original[:, :, 1], quality=quality)
    else:
        decoded, _ = through_jpeg(original, quality=quality, subsampling=subsampling)
    picture = np.ascontiguousarray(decoded[corner[0] :, corner[1] :])
    found = jpeg_recovery.recover(picture, 5)
    assert found is not None
    mcu = [8 * by for by in SUBSAMPLINGS.get(subsampling, (1, 1))]
    assert found.past.sampling == SUBSAMPLINGS.get(subsampling, (1, 1))
    assert found.past.phase == tuple(at % by for at, by in zip(corner, mcu, strict=True))
    assert min(found.exact) > 0.5
    data = softcomp_codec.encode(picture, codebook=None)
    assert softcomp_codec.read_header(data).coder == container.JPEG_PAST
    assert np.array_equal(softcomp_codec.decode(data), picture)
    others = softcomp_codec.encode(picture, codebook=None, coder="context")
    assert len(data) < (0.95 if subsampling == "gray" else 0.8) * len(others)


@pytest.mark.parametrize("optimize", [{}, {"optimize": True}, {"progressive": True}])
def test_whole_jpegs_become_smaller_than_their_files(optimize):
    picture, n_bytes = through_jpeg(photograph(256, 320), quality=90, subsampling=2, **optimize)
    data = softcomp_codec.encode(picture, codebook=None)
    assert np.array_equal(softcomp_codec.decode(data), picture)
    assert len(data) < 0.95 * n_bytes


def test_two_generations_edits_and_stretches_stay_exact():
    once, _ = through_jpeg(photograph(128, 160), quality=85)
    twice, _ = through_jpeg(np.ascontiguousarray(once[3:, 6:]), quality=92)
    edited = once.copy()
    edited[40:60, 30:90] = 200
    stretched = np.clip(once.astype(int) * 5 // 4 - 20, 0, 255).astype(np.uint8)
    resized = np.asarray(Image.fromarray(once).resize((120, 100)))
    dark = once // 6
    for picture in (twice, edited, stretched, resized, dark, 255 - dark):
        for effort in (1, 5):
            data = softcomp_codec.encode(picture, codebook=None, effort=effort)
            assert np.array_equal(softcomp_codec.decode(data), picture)


def test_more_edits_stay_exact():
    """Painted over, framed, with a logo, turned, mirrored, brightened, other colours, sharpened."""
    once, _ = through_jpeg(photograph(136, 168), quality=80, subsampling=2)
    framed = np.full((150, 190, 3), 255, np.uint8)
    framed[9:145, 7:175] = once
    logo = once.copy()
    logo[100:, 120:] = noise(logo[100:, 120:].shape, 256, 3)
    lines = once.copy()
    lines[::5] = 0
    two = np.concatenate([once, through_jpeg(photograph(136, 100, 5), quality=95)[0]], axis=1)
    pictures = [framed, logo, lines, two, np.rot90(once), once[:, ::-1], once[:, :, ::-1]]
    pictures += [np.minimum(once, 255 - 9) + 9, once & 0xFC, np.repeat(once, 2, axis=0)]
    for picture in map(np.ascontiguousarray, pictures):
        for coder in ("auto", "jpeg-past"):
            data = softcomp_codec.encode(picture, codebook=None, coder=coder)
            assert np.array_equal(softcomp_codec.decode(data), picture)
        others = softcomp_codec.encode(picture, codebook=None, coder="pixels")
        assert len(softcomp_codec.encode(picture, codebook=None)) <= len(others)


def repeated_samples(original, sampling, quality=85):
    """What a decoder without interpolation makes of a JPEG of halved chroma."""
    planes_ = [np.asarray(plane) for plane in Image.fromarray(original).convert("YCbCr").split()]
    components = []
    for index, plane in enumerate(planes_):
        by = sampling if index else (1, 1)
        coded, _ = through_jpeg(plane[:: by[0], :: by[1]], quality=quality)
        components.append(coded.repeat(by[0], axis=0).repeat(by[1], axis=1).astype(np.int32))
    return convert_colours(*components)


@pytest.mark.parametrize("sampling", [(1, 2), (2, 1), (2, 2)])
@pytest.mark.parametrize("corner", [(0, 0), (5, 11)])
def test_repeated_samples_are_recognised(sampling, corner):
    decoded = repeated_samples(photograph(160, 192), sampling)
    picture = np.ascontiguousarray(decoded[corner[0] :, corner[1] :])
    found = jpeg_recovery.recover(picture, 5)
    assert found.past.upsampling == REPLICATION
    assert found.past.sampling == sampling
    assert found.past.phase == tuple(at % (8 * by) for at, by in zip(corner, sampling, strict=True))
    data = softcomp_codec.encode(picture, codebook=None)
    assert softcomp_codec.read_header(data).coder == container.JPEG_PAST
    assert np.array_equal(softcomp_codec.decode(data), picture)
    others = softcomp_codec.encode(picture, codebook=None, coder="pixels")
    assert len(data) < 0.8 * len(others)


@pytest.mark.parametrize("subsampling", [1, 2])
@pytest.mark.parametrize("corner", [(0, 0), (3, 0), (0, 7), (3, 7)])
def test_samples_of_what_has_no_coefficients(subsampling, corner):
    decoded, _ = through_jpeg(photograph(150, 170), quality=100, subsampling=subsampling)
    picture = np.ascontiguousarray(decoded[corner[0] :, corner[1] :])
    found = jpeg_recovery.recover(picture, 5)
    assert isinstance(found, jpeg_recovery.Unsampled)
    data = softcomp_codec.encode(picture, codebook=None, coder="jpeg-past")
    header, payload = container.read_file(data)
    assert header.coder == container.JPEG_PAST
    assert payload[0] == jpeg_samples_coder.EXTENSION
    assert np.array_equal(softcomp_codec.decode(data), picture)
    facts = jpeg_past_coder.describe_payload(payload, header)
    assert facts["subsampling"] == {1: "4:2:2", 2: "4:2:0"}[subsampling]
    assert sum(facts["sample_bytes"]) + facts["correction_bytes"] < len(payload)
    others = softcomp_codec.encode(picture, codebook=None, coder="pixels")
    assert len(data) < 0.97 * len(others)


def test_hostile_samples():
    decoded, _ = through_jpeg(photograph(96, 96), quality=100, subsampling=2)
    decoded[40:43, 20:40] ^= 1
    header = header_of(decoded)
    payload = jpeg_past_coder.encode_payload(decoded, header.mode)
    assert payload[0] == jpeg_samples_coder.EXTENSION
    assert payload[4] == 8
    for position, value, error in (
        (1, payload[1] | 0x80, "flags"), (1, payload[1] | 8, "flags"), (1, 1, "flags"),
        (2, 2, "phase"), (3, 2, "phase"), (4, 1, "corrections"), (4, 0, "follow"),
    ):  # fmt: skip
        bad = bytearray(payload)
        bad[position] = value
        with pytest.raises(CorruptStreamError, match=error):
            jpeg_past_coder.decode_payload(bytes(bad), header)
    for length in range(0, len(payload), 41):
        with pytest.raises(ScfError):
            jpeg_past_coder.decode_payload(payload[:length], header)
    with pytest.raises(CorruptStreamError, match="follow"):
        jpeg_past_coder.decode_payload(payload + b"\0", header)
    with pytest.raises(CorruptStreamError, match="flags"):
        jpeg_past_coder.decode_payload(payload, header_of(decoded[:, :, 0]))


def test_what_is_far_smaller_is_not_coded_otherwise(monkeypatch):
    from softcomp_codec import context_coder

    picture, _ = through_jpeg(photograph(200, 220), quality=75, subsampling=2)
    expected = softcomp_codec.encode(picture, codebook=None)
    rough, _ = through_jpeg(noise((160, 160), 256).astype(np.uint8), quality=98)

    def fail(*args, **options):
        raise AssertionError("coded as pixels")

    monkeypatch.setattr(context_coder, "encode_payload", fail)
    assert softcomp_codec.encode(picture) == softcomp_codec.encode(picture, codebook=None)
    assert softcomp_codec.encode(picture) == expected
    with pytest.raises(AssertionError, match="coded as pixels"):
        softcomp_codec.encode(rough)
    with pytest.raises(softcomp_codec.CodebookNotFoundError):
        softcomp_codec.encode(picture, codebook="no-such-book")


def test_others_are_left_alone():
    rough = noise((96, 96, 3), 256).astype(np.uint8)
    for picture in (
        photograph(160, 160),
        photograph(160, 160)[:, :, 0],
        rough,
        rough[:, :, 0],
        np.zeros((64, 64, 3), np.uint8),
        np.full((80, 80), 77, np.uint8),
        np.repeat(photograph(96, 96)[:, :, :1], 3, axis=2),
        np.tile(np.arange(128, dtype=np.uint8), (128, 1)),
    ):
        assert jpeg_recovery.recover(np.ascontiguousarray(picture), 5) is None


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (15, 400), (16, 256), (64, 64), (65, 63)])
def test_any_size(size):
    picture, _ = through_jpeg(photograph(*size), quality=80)
    data = softcomp_codec.encode(picture, codebook=None)
    assert np.array_equal(softcomp_codec.decode(data), picture)


def test_the_same_on_any_number_of_threads():
    picture, _ = through_jpeg(photograph(120, 200), quality=97, subsampling=1)
    files = []
    for threads in (1, 3):
        token = worker_threads.thread_limit.set(threads)
        files.append(softcomp_codec.encode(picture, codebook=None))
        worker_threads.thread_limit.reset(token)
    assert files[0] == files[1]


@pytest.mark.parametrize("sampling", [None, (1, 1), (1, 2), (2, 1), (2, 2)])
@pytest.mark.parametrize("upsampling", [0, 1])
def test_payloads_of_any_past(sampling, upsampling):
    for n, phase in enumerate(((0, 0), (7, 3), (5, 7))):
        past = replace(made_past(sampling, phase, 50 + n), upsampling=upsampling * bool(sampling))
        picture, coefficients = decoded_jpeg(past, 33 + n, 41, seed=n)
        picture[4:9] = noise(picture[4:9].shape, 256, n)
        boxes = [
            (noise(shape, 256, n).astype(np.int32), noise(shape, 256, 9).astype(np.int32))
            for shape in (past.component_shape(i, 33 + n, 41) for i in range(past.n_components))
        ]
        recovered = Recovered(past, coefficients, boxes, (0.0,) * past.n_components)
        payload = jpeg_past_coder.write_payload(picture, recovered)
        decoded, complete = jpeg_past_coder.decode_payload(payload, header_of(picture))
        assert complete
        assert np.array_equal(decoded, picture)


@pytest.mark.parametrize("largest", [0, 1, 40, 2047, 32767])
@pytest.mark.parametrize("n_components", [1, 3])
def test_coefficients_of_any_size(largest, n_components):
    shapes = [(5, 6), (3, 3), (3, 3)][:n_components]
    sampling = [(1, 1), (2, 2), (2, 2)][:n_components]
    steps = [(1,) * 64, (65535,) * 64, tuple(range(1, 65))][:n_components]
    blocks = [
        (noise((*shape, 64), 2 * largest + 1, n) - largest).astype(np.int16)
        for n, shape in enumerate(shapes)
    ]
    blocks[0][0, 0] = -32768 if largest == 32767 else -largest
    code = coefficient_coder.encode_coefficients(blocks, steps, sampling)
    decoded = coefficient_coder.decode_coefficients(code, shapes, steps, sampling)
    assert all(np.array_equal(a, b) for a, b in zip(blocks, decoded, strict=True))
    with pytest.raises(CorruptStreamError, match="follow"):
        coefficient_coder.decode_coefficients(code + b"\0", shapes, steps, sampling)
    if largest:
        with pytest.raises(ScfError):
            coefficient_coder.decode_coefficients(code[: len(code) // 2], shapes, steps, sampling)


def test_tables():
    for kind in (quantiser_tables.LUMA, quantiser_tables.CHROMA):
        for quality in (1, 30, 50, 77, 97, 100):
            table = quantiser_tables.libjpeg_table(kind, quality)
            for tables in ((table,), (table, (65535,) + (1,) * 63, (65535,) + (1,) * 63)):
                written = quantiser_tables.write_tables(tables)
                reader = container.ByteReader(written, "tables")
                assert quantiser_tables.read_tables(reader, len(tables)) == tables
                assert reader.offset == len(written)
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", quality=77)
    with Image.open(stream) as image:
        written = {tuple(table) for table in image.quantization.values()}
    assert written == {quantiser_tables.libjpeg_table(kind, 77) for kind in (0, 1)}


def test_truncated():
    picture, payload = made_payload()
    header = header_of(picture)
    for length in range(0, len(payload), 7):
        with pytest.raises(ScfError):
            jpeg_past_coder.decode_payload(payload[:length], header)
    shown, complete = jpeg_past_coder.decode_payload(payload[:-9], header, allow_truncated=True)
    assert not complete
    assert shown.shape == picture.shape


def test_hostile():
    picture, payload = made_payload()
    header = header_of(picture)
    for position, value, error in (
        (0, 3, "coder 7 with number"),
        (1, 0x80, "flags"),
        (1, payload[1] & ~1, "flags"),
        (2, 16, "phase"),
        (3, 16, "phase"),
        (4, 201, "quantiser table 201"),
        (4, 255, "quantiser table 255"),
        (7, 0x10, "corrections"),
    ):
        bad = bytearray(payload)
        bad[position] = value
        with pytest.raises(CorruptStreamError, match=error):
            jpeg_past_coder.decode_payload(bytes(bad), header)
    zero = payload[:4] + b"\xfe" + bytes(64) + payload[5:]
    with pytest.raises(CorruptStreamError, match="step 0"):
        jpeg_past_coder.decode_payload(zero, header)
    with pytest.raises(TruncatedStreamError, match="bytes are left"):
        jpeg_past_coder.decode_payload(payload[:8] + b"\xff\xff\x7f" + payload[10:], header)


def test_damage_gives_the_exact_picture_or_an_error():
    # a few bits tell of samples that the picture does not show
    picture, _ = through_jpeg(photograph(72, 80), quality=80)
    data = softcomp_codec.encode(picture, codebook=None)
    assert softcomp_codec.read_header(data).coder == container.JPEG_PAST
    n_noticed = 0
    for bit in noise((300,), 8 * (len(data) - 12), 5) + 8 * 12:
        bad = bytearray(data)
        bad[bit >> 3] ^= 1 << (bit & 7)
        try:
            assert np.array_equal(softcomp_codec.decode(bytes(bad)), picture)
        except ScfError:
            n_noticed += 1
    assert n_noticed >= 290


def test_what_info_says():
    picture, _ = through_jpeg(photograph(96, 128), quality=85, subsampling=1)
    header, payload = container.read_file(softcomp_codec.encode(picture, codebook=None))
    facts = jpeg_past_coder.describe_payload(payload, header)
    assert facts["subsampling"] == "4:2:2"
    assert facts["grid"] == {"rows": 0, "columns": 0}
    assert len(facts["tables"]) == 3
    assert 0 < facts["coefficient_bytes"] <= len(payload)
    assert facts["qualities"] == facts["nearest_qualities"] == [85, 85, 85]
    assert len(facts["exact_blocks"]) == 3
    assert all(0.9 < share <= 1 for share in facts["exact_blocks"])
    assert 0.9 < facts["exact_pixels"] <= 1
