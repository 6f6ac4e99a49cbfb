"""The package and the decoder written from SPEC.md alone agree on coder 7 (SPEC 5J)."""

import io
import random
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import reference_decoder as reference
import reference_decoder_context
import reference_decoder_jpeg as jpeg
import reference_decoder_jpeg_coefficients as coefficients
from file_builder import file_of
from made_images import (
    made_past,
    noise,
    pixels_of_scaled,
    scaled_jpeg,
    slope,
    unrounded_jpeg,
)
from PIL import Image
from reference_decoder_container import Header, canonical_samples
from reference_decoder_numbers import ArithmeticDecoder, write_varint
from reference_decoder_tiles import read_tiles_of
from small_codebooks import made_coefficient_prior
from test_reference_decoder import outcome

import softcomp_codec
from softcomp_codec import (
    coefficient_coder,
    coefficient_training,
    context_coder,
    jpeg_past_coder,
    jpeg_unrounded_coder,
)
from softcomp_codec.codebook import Codebook
from softcomp_codec.coefficient_prior import CoefficientPrior
from softcomp_codec.container import MODES
from softcomp_codec.errors import ScfError
from softcomp_codec.jpeg_pasts import write_past
from softcomp_codec.jpeg_unrounded_coder import Unrounded

write = write_varint
JPEG_PAST = 7


def decoded_picture(colour, quality=80, subsampling=2, side=64):
    """What Pillow decodes of a JPEG, 4:2:0 or gray; smaller ones are not looked for."""
    y, x = np.mgrid[0:side, 0:side]
    slopes = [70 + 40 * k + y + (2 - k) * x // 2 for k in range(3)]
    disc = (y - 30) ** 2 + (x - 20) ** 2 < 200
    planes = [np.where(disc, slope // 2, slope) + noise(y.shape, 9, 0) for slope in slopes]
    picture = np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    image = Image.fromarray(picture if colour else picture[:, :, 0])
    options = {"subsampling": subsampling} if colour else {}
    image.save(stream, "JPEG", quality=quality, **options)
    return np.asarray(Image.open(stream)).copy()


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("colour", [False, True])
def test_pictures(colour, edited):
    picture = decoded_picture(colour)
    if edited:
        picture[10:14, 20:30] ^= 3
    file = softcomp_codec.encode(picture, codebook=None, coder="jpeg-past")
    assert reference.read_header(file).coder == JPEG_PAST
    assert reference.decode(file).samples == picture.tobytes()


@pytest.mark.parametrize("subsampling", [1, 2])
@pytest.mark.parametrize("corner", [(0, 0), (1, 1)])
def test_samples_without_coefficients(subsampling, corner):
    picture = decoded_picture(True, 100, subsampling, 68)[corner[0] :, corner[1] :].copy()
    picture[20:23, 30:34] ^= 1
    file = softcomp_codec.encode(picture, codebook=None, coder="jpeg-past")
    header = reference.read_header(file)
    assert (header.coder, header.payload[0]) == (JPEG_PAST, 1)
    assert reference.decode(file).samples == picture.tobytes()
    for position in (1, 2, 3, 4, 5, len(header.payload) // 2, len(header.payload) - 1):
        bad = bytearray(file)
        bad[len(file) - len(header.payload) + position] ^= 0x15
        found = outcome(lambda bad=bad: reference.decode(bytes(bad)))
        assert outcome(lambda bad=bad: softcomp_codec.decode(bytes(bad))) == found


def retouched(picture):
    """The picture with spots that no JPEG has, and with black and white ones."""
    picture = picture.copy()
    picture[9:14, 6:17] = noise(picture[9:14, 6:17].shape, 256, 3)
    picture[20:22, 3:9] ^= 3
    picture[3:7, 20:30] = 0
    picture[15:19, 18:27] = 255
    return picture


MADE = unrounded_jpeg, scaled_jpeg
"""How pictures of both decoders are made, by their number."""

BOTH = pytest.mark.parametrize("decoder", [0, 1], ids=["exact", "scaled"])


def unrounded_file(picture, past, blocks, decoder=0, effort=1, book=None):
    """A file of coefficients and what they leave (SPEC 5J.9)."""
    prior = book.jpeg_pasts[3] if book else None
    found = Unrounded(past, decoder, blocks)
    (payload,) = jpeg_unrounded_coder.write_payloads(picture, found, [prior], effort)
    return file_of(picture, payload, coder=JPEG_PAST, book=book)


OWN_TABLE = tuple(2 + (5 * at) % 61 for at in range(64))
QUALITY_70 = made_past((1, 1), (0, 0), 70).tables


@pytest.mark.parametrize(
    ("phase", "size", "tables", "clipped"),
    [
        ((0, 0), (32, 40), QUALITY_70, 0),
        ((3, 5), (29, 33), QUALITY_70, 3),
        ((7, 1), (30, 35), (OWN_TABLE, (7,) * 64, (7,) * 64), 0),
        ((6, 2), (1, 30), QUALITY_70, 0),
        ((1, 7), (30, 1), (OWN_TABLE, OWN_TABLE[::-1], (99,) * 64), 0),
        ((4, 4), (24, 31), ((1,) * 64,) * 3, 2),
    ],
)
@pytest.mark.parametrize("edited", [False, True])
@BOTH
def test_samples_that_were_not_rounded(phase, size, tables, clipped, edited, decoder):
    past = replace(made_past((1, 1), phase, 70), tables=tables)
    picture, blocks = MADE[decoder](past, *size, seed=phase[0], clipped=clipped)
    effort = (1, 5, 9)[sum(phase) % 3]
    file = unrounded_file(retouched(picture) if edited else picture, past, blocks, decoder, effort)
    header = reference.read_header(file)
    assert (header.coder, *header.payload[:2]) == (JPEG_PAST, 2, decoder)
    if not edited and not clipped:  # little is left
        assert len(header.payload) < 2000
    samples = (retouched(picture) if edited else picture).tobytes()
    assert reference.decode(file).samples == samples
    assert softcomp_codec.decode(file).tobytes() == samples


@BOTH
def test_a_found_past_of_samples_that_were_not_rounded(decoder):
    picture, _ = MADE[decoder](made_past((1, 1), (2, 5), 80), 67, 70)
    picture[30:40, 20:50] ^= 1
    file = softcomp_codec.encode(picture, codebook=None, coder="jpeg-past")
    header = reference.read_header(file)
    assert (header.coder, *header.payload[:2]) == (JPEG_PAST, 2, decoder)
    assert reference.decode(file).samples == picture.tobytes()


def rendered_by_reference(past, decoder, blocks, height, width):
    """What the reference decoder makes of coefficients, which it is given as a code."""
    code = coefficient_coder.encode_coefficients(blocks, past.tables, past.all_sampling)
    payload = bytes([2, decoder]) + write_past(past) + write(len(code)) + code
    return jpeg.decode_jpeg(
        payload, height, width, True, None, None, lambda rest, rendered: rendered
    )


@BOTH
@pytest.mark.parametrize("step", [1, 255, 65535])
@pytest.mark.parametrize("largest", [1, 2047, 32768])
def test_extreme_coefficients_of_samples_that_were_not_rounded(step, largest, decoder):
    past = replace(made_past((1, 1), (5, 1), 80), tables=((step,) * 64,) * 3)
    shape = (*past.block_shape(0, 19, 13), 64)
    blocks = [(noise(shape, 2 * largest, index) - largest).astype(np.int16) for index in range(3)]
    for index, value in enumerate((-32768, 32767)):  # all at their limits in one block
        for each in blocks:
            each[index, 0] = value
    planes = rendered_by_reference(past, decoder, blocks, 19, 13)
    picture = np.array(planes, np.uint8).transpose(1, 2, 0)
    found = Unrounded(past, decoder, blocks)
    assert np.array_equal(jpeg_unrounded_coder.render(found, 19, 13), picture)
    if decoder:
        assert np.array_equal(pixels_of_scaled(past, blocks, 19, 13), picture)
    for shown in (picture, picture ^ 1):
        file = unrounded_file(shown, past, blocks, decoder, 5)
        assert reference.decode(file).samples == shown.tobytes()
        assert np.array_equal(softcomp_codec.decode(file), shown)


@BOTH
def test_tiles_of_samples_that_were_not_rounded(decoder, monkeypatch):
    """Tiles follow their part of the rendered picture; one is raw, one constant."""
    monkeypatch.setattr(context_coder, "TILE_PIXELS", 300)
    monkeypatch.setattr(
        reference_decoder_context, "read_tiles_of",
        lambda file, header, *_: read_tiles_of(file, header, 300, 300),
    )  # fmt: skip
    past = made_past((1, 1), (3, 5), 70)
    picture, blocks = MADE[decoder](past, 45, 28, seed=1, clipped=4)
    picture[:9] = noise((9, 28, 3), 256, 3)
    picture[36:] = 7
    file = unrounded_file(picture, past, blocks, decoder, 5)
    assert reference.decode(file).samples == picture.tobytes()
    assert np.array_equal(softcomp_codec.decode(file), picture)
    header = reference.read_header(file)
    start = len(file) - len(header.payload)
    for position in range(len(header.payload) - 700, len(header.payload), 97):
        bad = bytearray(file)
        bad[start + position] ^= 0x15
        found = outcome(lambda bad=bad: reference.decode(bytes(bad)))
        assert outcome(lambda bad=bad: softcomp_codec.decode(bytes(bad))) == found


def test_large_pictures_of_samples_that_were_not_rounded():
    """More than 2^20 pixels are two tiles, here of constant planes: SPEC 7.1 says where."""
    past = made_past((1, 1), (0, 0), 70)
    shape = (*past.block_shape(0, 1100, 1000), 64)
    blocks = [np.zeros(shape, np.int16)] * 3
    picture = np.full((1100, 1000, 3), 9, np.uint8)
    file = unrounded_file(picture, past, blocks, 1, 5)
    assert np.array_equal(softcomp_codec.decode(file), picture)
    assert reference.decode(file).samples == picture.tobytes()


@BOTH
@pytest.mark.parametrize("weights", [False, True])
def test_samples_that_were_not_rounded_with_a_codebook(weights, decoder):
    prior = made_coefficient_prior(3, seed=4, step=7, weights=weights)
    book = Codebook({"name": "noise"}, {}, jpeg_pasts={prior.key: prior})
    past = replace(made_past((1, 1), (5, 6), 70), tables=(QUALITY_70[0], *2 * (prior.tables[0],)))
    picture, blocks = MADE[decoder](past, 27, 26, clipped=3)
    file = unrounded_file(retouched(picture), past, blocks, decoder, book=book)
    assert reference.decode(file, [book.to_bytes()]).samples == retouched(picture).tobytes()
    assert np.array_equal(softcomp_codec.decode(file, codebooks=[book]), retouched(picture))
    with pytest.raises(reference.SpecError):
        reference.decode(file)


class EndlessDecoder(ArithmeticDecoder):
    """Decodes anything and says afterwards which code would have ended there."""

    made: list[bytes]

    def finish(self):
        n_bytes = self.end() - self.dropped
        zero_bits = 32 - 8 * n_bytes
        last = (-(-self.low >> zero_bits)).to_bytes(n_bytes, "big") if n_bytes else b""
        EndlessDecoder.made.append(self.data[: self.dropped] + last)


def random_head(draw, colour):
    """Return a payload up to its kinds of corrections, and these."""
    flags = draw.randrange(64) | 1 if colour else draw.choice((0, 8, 16, 24))
    sides = draw.randrange(8 << (flags >> 1 & 1)), draw.randrange(8 << (flags >> 2 & 1))
    head = bytes([0, flags, *sides])
    for index in range(3 if colour else 1):
        table = draw.choice((draw.randrange(200), 254, 255 if index else 254))
        head += bytes([table])
        if table == 254:
            head += b"".join(write(draw.choice((1, 3, 20, 65535))) for _ in range(64))
    return head, draw.randrange(16 if colour else 2)


def random_code(draw):
    """Return bytes that decode to few or to many coefficients."""
    likely = draw.random()
    return b"".join(
        b"\xff\xff" if draw.random() < likely else draw.randbytes(1) for _ in range(3000)
    )


def check_random_codes(colour, height, width, codes, payload_of, monkeypatch):
    """Both decoders make the same of random codes, or refuse them.

    `payload_of` makes a payload of codes, which here end where they should.
    """
    mode = 2 if colour else 1
    header = Header(JPEG_PAST, mode, width, height, b"", 0, None, None, None, payload_of(codes))
    EndlessDecoder.made = []
    samples = b""
    with monkeypatch.context() as patch:
        patch.setattr(jpeg, "ArithmeticDecoder", EndlessDecoder)
        patch.setattr(reference_decoder_context, "ArithmeticDecoder", EndlessDecoder)
        try:
            samples = canonical_samples(header, reference.decode_jpeg_past(header))
        except reference.SpecError:
            samples = None
    if samples is None:
        samples = bytes(width * height * (3 if colour else 1))
        expected = None
    else:
        codes = EndlessDecoder.made
        expected = ((height, width, 3) if colour else (height, width)), samples
    described = struct.pack("<BII", mode, width, height)
    file = b"\xf7SC\0" + bytes([JPEG_PAST << 5 | mode]) + write(width) + write(height)
    file += struct.pack("<I", zlib.crc32(described + samples)) + payload_of(codes)
    assert outcome(lambda: reference.decode(file)) == expected
    assert outcome(lambda: softcomp_codec.decode(file)) == expected
    return expected is not None


@pytest.mark.parametrize("seed", range(16))
def test_random_codes(seed, monkeypatch):
    """Codes that no encoder makes: all magnitudes, counts that are not found, wrong edges."""
    draw = random.Random(seed)
    colour = seed % 4 > 0
    head, kinds = random_head(draw, colour)
    height, width = draw.randrange(1, 18), draw.randrange(1, 18)

    def payload_of(codes):
        start = head + bytes([kinds])
        return start + (write(len(codes[0])) + codes[0] + codes[1] if kinds else codes[0])

    codes = [random_code(draw), random_code(draw)]
    check_random_codes(colour, height, width, codes, payload_of, monkeypatch)


def test_random_codes_of_samples_that_were_not_rounded(monkeypatch):
    n_decoded = 0
    for seed in range(24):
        draw = random.Random(seed)
        head = bytes([2, seed % 2]) + bytes(
            [draw.choice((1, 9, 17, 25)), draw.randrange(8), draw.randrange(8)]
        )
        for index in range(3):
            table = draw.choice((draw.randrange(200), 254, 255 if index else 254))
            head += bytes([table])
            if table == 254:
                head += b"".join(write(draw.choice((1, 3, 20, 65535))) for _ in range(64))
        height, width = draw.randrange(1, 12), draw.randrange(1, 12)
        n_contexts = draw.randrange(1, 16)
        middle = bytes([draw.choice((0, 0x30)) | n_contexts, 0])
        codes = [random_code(draw), draw.randbytes(3000)]
        if seed % 3:  # nearly no residual, which leaves the range of no component
            codes[1] = b"".join(
                draw.randbytes(1) if draw.random() < 0.01 else b"\xff" for _ in range(3000)
            )
        n_decoded += check_random_codes(
            True, height, width, codes,
            lambda codes, head=head, middle=middle: (
                head + write(len(codes[0])) + codes[0] + middle + codes[1]
            ),
            monkeypatch,
        )  # fmt: skip
    assert 4 <= n_decoded <= 20


def test_places_that_only_rounded_samples_have():
    picture, blocks = unrounded_jpeg(made_past((1, 1), (2, 5), 80), 20, 20)
    file = unrounded_file(picture, made_past((1, 1), (2, 5), 80), blocks)
    start = len(file) - len(reference.read_header(file).payload)
    assert file[start : start + 3] == b"\2\0\x19"
    for decoder in (*range(1, 5), 127, 128, 255):
        bad = file[: start + 1] + bytes([decoder]) + file[start + 2 :]
        assert outcome(lambda bad=bad: reference.decode(bad)) is None
        assert outcome(lambda bad=bad: softcomp_codec.decode(bad)) is None
    for flags in (*range(0x18), 0x1B, 0x1D, 0x1F, 0x39, 0x59, 0x99):
        bad = file[: start + 2] + bytes([flags]) + file[start + 3 :]
        found = outcome(lambda bad=bad: reference.decode(bad))
        assert found is None or not flags & 0x26
        assert outcome(lambda bad=bad: softcomp_codec.decode(bad)) == found


@BOTH
def test_bad_context_payloads_of_samples_that_were_not_rounded(decoder):
    past = made_past((1, 1), (2, 5), 80)
    _, blocks = MADE[decoder](past, 16, 17)
    picture = np.stack([slope(16, 17, seed) for seed in range(3)], axis=2)
    file = unrounded_file(picture, past, blocks, decoder, 5)
    header = softcomp_codec.read_header(file)
    facts = jpeg_past_coder.describe_payload(file[header.payload_offset :], header)
    start = len(file) - facts["remainder_bytes"]
    bad = [file[:length] for length in (*range(start, start + 4), len(file) - 9, len(file) - 1)]
    bad += [file + more for more in (b"\0", b"\xff", bytes(9))]
    bad += [
        file[:place] + bytes([value]) + file[place + 1 :]
        for place in (start, start + 1)
        for value in (*range(0, 256, 15), 0x41, 0x45, 0x4F, 0x31, 0x35, 7, 8)
    ]
    for each in bad:
        found = outcome(lambda each=each: reference.decode(each))
        assert outcome(lambda each=each: softcomp_codec.decode(each)) == found
        assert found is None or each == file


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("colour", [False, True])
def test_pictures_with_a_codebook(colour, weights):
    picture = decoded_picture(colour)
    book = trained_book(colour, weights=weights)
    file = softcomp_codec.encode(picture, codebook=book, coder="jpeg-past")
    header = reference.read_header(file)
    assert (header.coder, header.reference) == (JPEG_PAST, book.identifier[:8])
    assert reference.decode(file, [book.to_bytes()]).samples == picture.tobytes()
    with pytest.raises(reference.SpecError):
        reference.decode(file)


def trained_book(colour, *, weights):
    """A codebook of this picture itself."""
    picture = decoded_picture(colour)
    with ThreadPoolExecutor(1) as pool:
        (prior,) = coefficient_training.train_coefficient_priors(
            [(picture, MODES[2 if colour else 1])] * 5, pool=pool,
            progress=lambda *_: None, report={},
        ).values()  # fmt: skip
    assert len(prior.weights)
    if not weights:
        prior = replace(prior, weights=prior.weights[:0])
    return Codebook({"name": "itself"}, {}, jpeg_pasts={prior.key: prior})


@pytest.mark.parametrize("seed", range(4))
def test_random_codes_with_a_codebook(seed):
    """The package's decoder and the plain one find the same, or that nothing fits."""
    draw = random.Random(seed)
    prior = made_coefficient_prior(3, seed=seed, step=5, weights=seed % 2 > 0)
    plain = coefficients.read_jpeg_prior(prior.to_bytes())
    assert plain.tables == [list(table) for table in prior.tables]
    blocks = [
        np.array([[draw.randrange(-3, 4) * (draw.random() < 0.2) for _ in range(64)]] * 6)
        .reshape(2, 3, 64).astype(np.int16)
        for _ in range(3)
    ]  # fmt: skip
    blocks[0][1, 1, :9] = (300, -70, 31, 15, -9, 6, 5, 90, -41)
    steps = [tuple(range(1, 65)), prior.tables[0], prior.tables[0]]
    code = coefficient_coder.encode_coefficients(blocks, steps, [(1, 1)] * 3, prior)
    arithmetic = ArithmeticDecoder(code)
    before = None
    for index, table in enumerate(steps):
        component = coefficients.Component(16, 24, 0, 0, list(table))
        start = coefficients.KnownStart(plain, index)
        coefficients.CoefficientReader(arithmetic, component, before, start).read()
        found = [[block.coefficients for block in row] for row in component.blocks]
        assert found == blocks[index].tolist()
        before = component
    arithmetic.finish()


def test_priors_that_are_none():
    data = made_coefficient_prior(1, step=1000).to_bytes()
    assert coefficients.read_jpeg_prior(data).components == 1
    for bad in (b"\2" + data[1:], data[:1] + b"\x11" + data[2:], data + b"\0", data[:-1], b""):
        with pytest.raises(reference.SpecError):
            coefficients.read_jpeg_prior(bad)
        with pytest.raises(ScfError):
            CoefficientPrior.from_bytes(bad)
