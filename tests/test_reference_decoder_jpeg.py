"""The package and the decoder written from SPEC.md alone agree on coder 7 (SPEC 5J)."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
import reference_decoder as reference
import reference_decoder_jpeg as jpeg
from made_images import noise
from PIL import Image
from reference_decoder_numbers import ArithmeticDecoder
from test_reference_decoder import outcome

import softcomp_codec

write = reference.write_varint
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


@pytest.mark.parametrize("seed", range(16))
def test_random_codes(seed, monkeypatch):
    """Codes that no encoder makes: all magnitudes, counts that are not found, wrong edges."""
    draw = random.Random(seed)
    colour = seed % 4 > 0
    head, kinds = random_head(draw, colour)
    height, width = draw.randrange(1, 18), draw.randrange(1, 18)
    codes = [random_code(draw), random_code(draw)]

    def payload():
        start = head + bytes([kinds])
        return start + (write(len(codes[0])) + codes[0] + codes[1] if kinds else codes[0])

    mode = 2 if colour else 1
    header = reference.Header(JPEG_PAST, mode, width, height, b"", 0, None, None, None, payload())
    EndlessDecoder.made = []
    samples = b""
    with monkeypatch.context() as patch:
        patch.setattr(jpeg, "ArithmeticDecoder", EndlessDecoder)
        try:
            samples = reference.canonical_samples(header, reference.decode_jpeg_past(header))
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
    file += struct.pack("<I", zlib.crc32(described + samples)) + payload()
    assert outcome(lambda: reference.decode(file)) == expected
    assert outcome(lambda: softcomp_codec.decode(file)) == expected
