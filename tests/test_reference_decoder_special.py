"""The package and the decoder written from SPEC.md alone agree on coders 3, 4 and 6."""

import random
import struct
import zlib
from contextlib import suppress
from itertools import product

import numpy as np
import pytest
import reference_decoder as reference
import reference_decoder_few_colour as few_colour
from file_builder import file_of
from made_images import colours, figure, glyphs, noise, slope
from PIL import Image
from reference_decoder_container import canonical_samples
from reference_decoder_numbers import ArithmeticDecoder, write_varint
from small_codebooks import (
    bilevel_book,
    codebook_file,
    made_bilevel_prior,
    made_tiny_prior,
    section,
    tiny_book,
)
from test_reference_decoder import outcome

import softcomp_codec
from softcomp_codec import bilevel_coder, container, few_colour_coder, planes, tiny_coder
from softcomp_codec.codebook import Codebook
from softcomp_codec.palettes import palette_of

write = write_varint
BILEVEL, FEW_COLOUR, TINY = 3, 4, 6


def file_around(coder, mode, sides, payload, *, samples=b"", book=None, segments=b""):
    """Return a file of a payload, its checksum that of samples; palettes lie in segments."""
    width, height = sides
    identifier = book.identifier[:4] if book else b""
    flags = bool(book) | 4 * bool(segments)
    described = struct.pack("<BII", mode, width, height)
    head = b"\xf7SC" + bytes([flags, coder << 5 | mode]) + write(width) + write(height)
    tail = segments + b"\x00" * bool(segments) + payload
    if segments:
        found = reference.read_header(head + identifier + bytes(4) + tail).palette
        described += found.description()
    return head + identifier + struct.pack("<I", zlib.crc32(described + samples)) + tail


def segment(kind, content):
    body = bytes([kind]) + write(len(content)) + content
    return body + struct.pack("<I", zlib.crc32(body))


def both(file, books=()):
    """Return the outcomes of both decoders."""
    packed = [book.to_bytes() for book in books]
    return (
        outcome(lambda: reference.decode(file, packed)),
        outcome(lambda: softcomp_codec.decode(file, codebooks=books)),
    )


def least_code(decoder):
    """Return the code with the last bytes that an encoder would write (4.4)."""
    n_bytes = decoder.end() - decoder.dropped
    least = -(-decoder.low >> (32 - 8 * n_bytes))
    return decoder.data[: decoder.dropped] + least.to_bytes(n_bytes, "big")


def decode_uncut(file, book):
    """Return canonical samples, the code that gives them, and all divisions of the decoder."""
    codes, divisions = [], []
    split = ArithmeticDecoder.split

    def recorded(decoder, middle):
        divisions.append((decoder, decoder.dropped, middle, decoder.high))
        return split(decoder, middle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArithmeticDecoder, "finish", lambda d: codes.append((d, least_code(d))))
        patch.setattr(ArithmeticDecoder, "split", recorded)
        header = reference.read_header(file)
        codebook = reference.read_codebook(book.to_bytes()) if book else None
        try:
            decoded = reference.decode_payload(header, codebook)
        except reference.SpecError:
            return None, None, []
    ours, code = codes[-1]
    divisions = [each[1:] for each in divisions if each[0] is ours]
    return canonical_samples(header, decoded), code, divisions


def random_code(rng, length):
    """Return the bytes of an arithmetic code that no encoder would write."""
    code = rng.choice([rng.randbytes(length), bytes(length), rng.randbytes(9) + bytes(length)])
    return rng.choice([code, code, code[: length // 3] + b"\xff" * length])


def agree_on_any_code(coder, mode, sides, head, code, *, book=None, segments=b"", rng=None):
    """Decode a code, ended as an encoder would, by both; return whether it is a good one.

    With a generator also some codes that lie directly at or above the middle of a division, where
    the least difference between the decoders' probabilities shows.
    """
    options = {"book": book, "segments": segments}
    books = [book] if book else []
    file = file_around(coder, mode, sides, head + code, **options)
    samples, ended, divisions = decode_uncut(file, book)
    for dropped, middle, high in rng.sample(divisions, min(8, len(divisions))) if rng else ():
        at = (min(middle + rng.randrange(2), high)).to_bytes(4, "big")
        near = code[:dropped] + at + rng.choice([bytes(1), rng.randbytes(5)])
        near += bytes(len(code))
        agree_on_any_code(coder, mode, sides, head, near, **options)
    if samples is None:
        assert both(file, books) == (None, None)
        return False
    file = file_around(coder, mode, sides, head + ended, samples=samples, **options)
    ours, theirs = both(file, books)
    assert ours is not None
    assert ours[1] == samples
    assert ours == theirs
    assert both(file + b"\x00", books) == (None, None)
    if ended:
        ours, theirs = both(file[:-1], books)
        assert ours == theirs
    return True


def book_of(kind, content):
    """Return a codebook of one section and a training record."""
    record = section(1, b'{"name":"any"}')
    return Codebook.from_bytes(codebook_file(record + section(kind, content)))


def sides_of(rng, most=12):
    return rng.choice([(rng.randint(1, most), rng.randint(1, most)), (1, most), (most, 1)])


# --- the tiny coder -----------------------------------------------------------------------------


def any_tiny_prior(rng):
    """Return the bytes of a prior (6.6), chosen at random."""
    height, width = rng.choice([(1, 1), (2, 9), (9, 3), (7, 7), (8, 8)])
    slot_bits = rng.choice([6, 7])
    numbers = 19 * height * width
    most = rng.choice([300, 2000, 32767])
    out = bytes([height, width, rng.randrange(2), slot_bits])
    out += struct.pack(f"<{numbers}h", *(rng.randint(-most // 2, most) for _ in range(numbers)))
    bits = rng.choice([bytes, rng.randbytes, lambda n: b"\xff" * n])(36 << slot_bits)
    out += bits
    known = int.from_bytes(bits, "big").bit_count()
    most = rng.choice([10, 127])
    out += bytes((rng.randint(1, most) * rng.choice([-1, 1])) % 256 for _ in range(known))
    steepness = rng.choice([8, 30, 127])
    return out + bytes(rng.randint(-steepness // 4, steepness) % 256 for _ in range(64000))


@pytest.mark.parametrize("seed", range(4))
def test_any_tiny_payload(seed):
    rng = random.Random(seed)
    content = any_tiny_prior(rng)
    book = book_of(6, content)
    sides = content[1], content[0]
    for _ in range(3):
        code = random_code(rng, 30 * sides[0] * sides[1] + 8)
        agree_on_any_code(TINY, rng.choice([1, 3]), sides, b"", code, book=book, rng=rng)


@pytest.mark.parametrize("inverted", [False, True])
def test_tiny_images(inverted):
    book = tiny_book(*(made_tiny_prior(size, inverted=inverted) for size in ((9, 7), (12, 12))))
    for seed, size in product(range(3), ((9, 7), (12, 12))):
        for draw in (figure, slope, lambda *_: noise((9, 7)).astype(np.uint8)):
            array = draw(*size, seed)
            payload = tiny_coder.encode_payload(array, book.tiny[array.shape])
            if payload is None:
                continue
            file = file_of(array, payload, coder=container.TINY, book=book, reference_bytes=4)
            assert both(file, [book]) == ((array.shape, array.tobytes()),) * 2


def test_tiny_coder_without_its_prior():
    book = tiny_book(made_tiny_prior((9, 7)))
    for coded_with, sides in ((None, (7, 9)), (book, (9, 7))):
        file = file_around(TINY, 1, sides, b"", samples=bytes(63), book=coded_with)
        assert both(file, [book]) == (None, None)


# --- the bilevel coder --------------------------------------------------------------------------


def any_bilevel_prior(rng, size):
    """Return the bytes of a prior (6.5), chosen at random."""
    number = rng.randint(5, 15)
    contexts = []
    for _ in range(number):
        sparse = rng.getrandbits(63) & rng.getrandbits(63) & rng.getrandbits(63)
        reach = rng.getrandbits(28) & rng.getrandbits(28)
        contexts.append((rng.choice([sparse, 0x2001C003]), rng.choice([reach, 0]),
                         rng.randint(4, 8)))  # fmt: skip
    states = 128 + sum(1 << digits for _, _, digits in contexts)
    marked = [rng.random() < 0.5 for _ in range(states)]
    bits = bytearray((states + 7) // 8)
    for index, one in enumerate(marked):
        bits[index >> 3] |= one << (7 - index % 8)
    rows = 1024 + 64 + (size[0] * size[1] or 256)
    most = rng.choice([20, 33])
    weights = (rng.randint(-most, most) for _ in range(rows * (number + 1)))
    out = bytes([*size, number]) + b"".join(struct.pack("<QIB", *each) for each in contexts)
    out += bytes([rng.choice([1, 30, 255])]) + bits
    out += bytes(rng.randint(-63, 63) % 256 for _ in range(sum(marked)))
    out += bytes(rng.randrange(16) for _ in range(sum(marked)))
    return out + struct.pack(f"<{rows * (number + 1)}h", *weights), number


@pytest.mark.parametrize("seed", range(12))
def test_any_bilevel_payload(seed):
    rng = random.Random(seed)
    sides = rng.choice([sides_of(rng), (rng.randint(66, 140), 26), (20, 20)])
    settings = rng.randint(5, 15) | rng.choice([0, 16, 32, 32, 48])
    head, book = bytes([settings]), None
    if seed % 3:
        size = (sides[1], sides[0]) if seed % 3 == 1 and max(sides) <= 64 else (0, 0)
        content, number = any_bilevel_prior(rng, size)
        book = book_of(5, content)
        head = b"" if size[0] else bytes([settings & 48 | rng.choice([0, 64]) | number])
    code = random_code(rng, 3 * sides[0] * sides[1] + 8)
    agree_on_any_code(BILEVEL, rng.choice([0, 4]), sides, head, code, book=book, rng=rng)


@pytest.mark.parametrize("effort", [1, 5, 9])
def test_bilevel_images(effort):
    book = bilevel_book(made_bilevel_prior(), made_bilevel_prior((20, 23)))
    blank = np.zeros((40, 150), bool)
    blank[33:36, 40:80] = True
    for array in (glyphs(20, 23), glyphs(9, 31, 5)[:, :, None], blank, ~blank):
        for prior in (None, book.bilevel_prior(*array.shape[:2])):
            payload = bilevel_coder.encode_payload(array, effort=effort, prior=prior)
            if payload is None:
                continue
            used = book if prior else None
            file = file_of(array, payload, coder=container.BILEVEL, book=used)
            samples = planes.canonical_samples(array, planes.mode_of_array(array))
            assert both(file, [book]) == ((array.shape, samples),) * 2


@pytest.mark.parametrize("settings", range(0, 256, 3))
def test_settings_of_a_bilevel_payload(settings):
    """With a prior of five contexts, and without one."""
    book = bilevel_book(made_bilevel_prior())
    code = bytes.fromhex("9d04775ea02c8812") * 4
    for used in (None, book):
        head = bytes([settings])
        known = settings < 128 and settings & 15 >= 5
        fits = settings & 15 == 5 if used else settings & 64 == 0
        assert agree_on_any_code(BILEVEL, 0, (16, 3), head, code, book=used) is (known and fits)


# --- the few-colour coder and palettes ----------------------------------------------------------


def any_few_colour_prior(rng):
    """Return the bytes of a prior (6.7), its pictures those of a random code."""
    parts, cap = rng.randrange(4), rng.choice([1, 9, 60])
    codes = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ArithmeticDecoder, "finish", lambda decoder: codes.append(least_code(decoder))
        )
        while not codes:
            number = rng.choice([1, 1, 2])
            head = bytes([parts, cap]) + write(number)
            for _ in range(number):
                kind, (width, height) = rng.randrange(2), sides_of(rng, 9)
                head += bytes([kind << 4 | rng.randint(1, 4)]) + write(height) + write(width)
                head += write(1) * kind
            prior = few_colour.read_few_colour_prior(head + random_code(rng, 4000))
            with suppress(reference.SpecError):
                few_colour.prior_models(prior, 10)
    return head + codes[0]


def any_palette(rng):
    """Return the segments of a palette image, chosen at random."""
    components = rng.choice([3, 4])
    number = rng.choice([0, 1, 5, 256])
    colours = bytes(rng.choice([0, 1, 80, 255]) for _ in range(number * components))
    out = segment(1, bytes([components << 1]) + write(number) + colours)
    form = rng.randrange(3)
    if form == 1:
        out += segment(2, bytes([0, rng.randrange(256)]))
    if form == 2:
        number = rng.choice([0, 3, 256])
        alphas = bytes(rng.choice([0, 128, 255]) for _ in range(rng.randint(0, number)))
        out += segment(2, b"\x01" + write(number) + alphas)
    return out


@pytest.mark.parametrize("seed", range(16))
def test_any_few_colour_payload(seed):
    rng = random.Random(seed)
    book = book_of(7, any_few_colour_prior(rng)) if seed % 2 else None
    for mode in rng.sample([1, 2, 3, 7, 8, 12, 12], 3):
        sides = sides_of(rng, 10)
        kind = 1 if mode == 12 else rng.randrange(2)
        head = bytes([kind << 4 | rng.randint(1, 14)])
        if kind == 1 and mode != 12:
            head += write(rng.choice([1, 1, min(2, sides[0] * sides[1])]))
        code = random_code(rng, 40 * sides[0] * sides[1] + 300)
        segments = any_palette(rng) if mode == 12 else b""
        agree_on_any_code(
            FEW_COLOUR, mode, sides, head, code, book=book, segments=segments, rng=rng
        )


@pytest.mark.parametrize("effort", range(1, 10))
def test_few_colour_images(effort):
    shades = np.uint8([9, 80, 255])
    page = glyphs(17, 21, effort)
    for array in (
        page.astype(np.uint8) * 200,
        np.repeat(page[:, :, None], 3, axis=2) * shades,
        noise((6, 9, 4), 3, effort).astype(np.uint8) * 100,
        (noise((12, 5, 2), 256, effort) & 0xC0).astype(np.uint8),
        slope(9, 11, effort)[:, :, None],
        colours(9, 8, effort),
        np.tile(colours(4, 5, effort), (3, 3, 1)),
    ):
        mode = planes.mode_of_array(array)
        payload = few_colour_coder.encode_payload(array, mode, effort=effort)
        file = file_of(array, payload, coder=container.FEW_COLOUR)
        assert both(file) == ((array.shape, array.tobytes()),) * 2


@pytest.mark.parametrize("seed", range(6))
def test_palette_images(seed):
    rng = random.Random(seed)
    array = noise((9, 14), rng.choice([2, 7, 256]), seed).astype(np.uint8)
    array[5:] = array[:4]
    page = Image.fromarray(array)
    components = rng.choice([3, 4])
    number = rng.choice([1, 7, 100, 256])
    palette = bytes((3 * index + index % components * 20) % 256
                    for index in range(number * components))  # fmt: skip
    page.putpalette(palette, "RGB" if components == 3 else "RGBA")
    transparency = rng.choice([None, 3, bytes(range(number))])
    if transparency is not None:
        page.info["transparency"] = transparency
    header = reference.read_header(softcomp_codec.encode(page, codebook=None))
    assert header.mode == 12
    payload = few_colour_coder.encode_payload(
        np.asarray(page), container.PALETTE, effort=rng.randint(1, 9), palette=palette_of(page)
    )
    for coder in ("auto", "context", "few-colour"):
        file = softcomp_codec.encode(page, codebook=None, coder=coder)
        assert both(file) == ((array.shape, array.tobytes()),) * 2
    file = softcomp_codec.encode(page, codebook=None, coder="few-colour")
    rest = len(file) - len(reference.read_header(file).payload)
    file = file[:4] + bytes([FEW_COLOUR << 5 | 12]) + file[5:rest] + payload
    assert both(file) == ((array.shape, array.tobytes()),) * 2


@pytest.mark.parametrize(
    ("palette", "transparency", "good"),
    [
        (b"\x06\x01\x09\x08\x07", None, True),
        (b"\x08\x01\x09\x08\x07\x06", None, True),
        (b"\x06\x00", b"\x01\x00", True),
        (b"\x06\x02\x09\x08\x07", None, False),
        (b"\x06\x01\x09\x08\x07\x06", None, False),
        (b"\x0a\x00", None, False),
        (b"\x04\x00", None, False),
        (b"\x07\x00", None, False),
        (b"\x06\x81\x02" + bytes(771), None, False),
        (b"", None, False),
        (b"\x06\x00", b"\x00\xff", True),
        (b"\x06\x00", b"\x00", False),
        (b"\x06\x00", b"\x00\x01\x01", False),
        (b"\x06\x00", b"\x01\x02\x07", True),
        (b"\x06\x00", b"\x01\x02\x07\x07\x07", False),
        (b"\x06\x00", b"\x01\x80\x02", True),
        (b"\x06\x00", b"\x01\x81\x02", False),
        (b"\x06\x00", b"\x02", False),
        (b"\x06\x00", b"", False),
    ],
)
def test_fields_of_a_palette(palette, transparency, good):
    segments = segment(1, palette)
    if transparency is not None:
        segments += segment(2, transparency)
    if not good:
        file = file_around(0, 1, (1, 1), b"\x05", samples=b"\x05")
        file = file[:3] + b"\x04\x0c" + file[5:-1] + segments + b"\x00\x05"
        assert both(file) == (None, None)
        return
    file = file_around(0, 12, (1, 1), b"\x05", samples=b"\x05", segments=segments)
    assert both(file) == (((1, 1), b"\x05"),) * 2
    twice = file.replace(segments, segments + segments)
    assert both(twice) == (None, None)


@pytest.mark.parametrize("components", [3, 4])
@pytest.mark.parametrize("number", [1, 2, 40, 256])
def test_any_coded_palette(components, number):
    rng = random.Random(number + components)
    head = bytes([components << 1 | 1]) + write(number)
    code = random_code(rng, 9 * number + 9)
    for end in range(len(code) + 1):
        segments = segment(1, head + code[:end])
        try:
            file = file_around(0, 12, (1, 1), b"\x05", samples=b"\x05", segments=segments)
        except reference.SpecError:
            continue
        assert both(file) == (((1, 1), b"\x05"),) * 2
        return
    pytest.fail("the code has no end")


# --- codes near those of images -----------------------------------------------------------------


def strip(seed):
    """Return a wide page, blank of one colour or the other but for a few pixels."""
    rng = random.Random(seed)
    width = rng.choice([66, 87, 100, 112, 161])
    page = np.full((30, width), bool(seed % 2))
    page[0, : width // 2] ^= True
    for row in (25, 27, 29):
        page[row, rng.randrange(width)] ^= True
    return page


@pytest.mark.parametrize("seed", range(4))
def test_codes_near_those_of_bilevel_images(seed):
    rng = random.Random(seed)
    book = bilevel_book(made_bilevel_prior()) if seed > 1 else None
    prior = book.bilevel_prior(30, 1) if book else None
    page = strip(seed)
    payload = bilevel_coder.encode_payload(page, effort=rng.randint(1, 9), prior=prior)
    inverted_back = bytes([(payload[0] | 32) ^ rng.choice([0, 16])])
    code = payload[1:] + bytes(2000)
    agree_on_any_code(BILEVEL, 0, page.shape[::-1], inverted_back, code, book=book, rng=rng)


@pytest.mark.parametrize("seed", range(6))
def test_codes_near_those_of_few_colour_images(seed):
    rng = random.Random(seed)
    book = book_of(7, any_few_colour_prior(rng)) if seed % 2 else None
    shades = noise((3, 4), 256, seed).astype(np.uint8)
    planes_of_image = rng.randint(1, 4)
    array = shades[noise((9, 14), 3, seed)][:, :, :planes_of_image]
    array[4:] = array[:5]
    array[2, 3:6] += np.uint8(seed)
    mode = planes.mode_of_array(array)
    prior = book.few_colour if book else None
    payload = few_colour_coder.encode_payload(array, mode, effort=rng.randint(1, 9), prior=prior)
    head = 1 + payload[0] // 16
    code = payload[head:] + bytes(2000)
    agree_on_any_code(
        FEW_COLOUR, mode.identifier, (14, 9), payload[:head], code, book=book, rng=rng
    )


@pytest.mark.parametrize("seed", range(2))
def test_codes_near_those_of_tiny_images(seed):
    rng = random.Random(seed)
    prior = made_tiny_prior((9, 7), seed=seed, inverted=bool(seed))
    payload = tiny_coder.encode_payload(figure(9, 7, seed), prior)
    book = tiny_book(prior)
    agree_on_any_code(TINY, 1, (7, 9), b"", payload + bytes(900), book=book, rng=rng)


# --- damaged files ------------------------------------------------------------------------------


def files_to_damage():
    """Return small files of each coder and mode 12, with their codebooks."""
    page = glyphs(12, 14)
    bilevel = bilevel_book(made_bilevel_prior(), made_bilevel_prior((9, 9)))
    tiny = tiny_book(made_tiny_prior((6, 5)))
    small = np.asarray(figure(6, 5))
    coded = np.repeat(page[:, :, None], 3, axis=2) * np.uint8([9, 80, 255])
    indexed = Image.fromarray(page.astype(np.uint8))
    indexed.putpalette(bytes(range(9)), "RGB")
    indexed.info["transparency"] = b"\x07\x08"
    files = [(softcomp_codec.encode(indexed, codebook=None), None)]
    for array, coder, payload, book in (
        (page, BILEVEL, bilevel_coder.encode_payload(page), None),
        (page, BILEVEL, bilevel_coder.encode_payload(page, prior=bilevel.bilevel_prior(12, 14)),
         bilevel),
        (small, TINY, tiny_coder.encode_payload(small, tiny.tiny[6, 5]), tiny),
        (coded, FEW_COLOUR, few_colour_coder.encode_payload(coded, planes.mode_of_array(coded)),
         None),
    ):  # fmt: skip
        files.append((file_of(array, payload, coder=coder, book=book), book))
    return files


@pytest.mark.parametrize("number", range(5))
def test_damaged_special_files(number):
    """A flipped, missing or additional byte anywhere; the same picture, or both refuse it."""
    file, book = files_to_damage()[number]
    books = [book] if book else []
    whole = both(file, books)
    assert whole[0] is not None
    assert whole[0] == whole[1]
    rng = random.Random(number)
    header = reference.read_header(file)
    start = len(file) - len(header.payload)
    for _ in range(25):
        position = rng.choice([rng.randrange(start), rng.randrange(start, len(file))])
        cut = rng.choice([0, 1, 1, 2])
        damaged = file[:position] + rng.randbytes(rng.randrange(2)) + file[position + cut :]
        try:
            found = reference.read_header(damaged)
            if found.width * found.height > 1 << 12:
                continue
        except reference.SpecError:
            pass
        ours, theirs = both(damaged, books)
        assert ours == theirs
        assert ours in (None, whole[0])


def test_frames_of_special_coders():
    """Frames with a codebook and without."""
    pages = [glyphs(9, 12, seed) for seed in range(3)]
    grays = [page.astype(np.uint8) * 90 for page in pages]
    tiny = tiny_book(made_tiny_prior((9, 12)))
    for frames, coder, book in (
        (pages, "bilevel", None),
        (grays, "few-colour", None),
        (grays, "tiny", tiny),
    ):
        file = softcomp_codec.encode_frames(frames, coder=coder, codebook=book)
        theirs = softcomp_codec.decode_frames(file, codebooks=[book] if book else [])
        ours = reference.decode_frames(file, [book.to_bytes()] if book else [])
        assert len(ours) == len(theirs) == 3
        for picture, array in zip(ours, theirs, strict=True):
            mode = planes.mode_of_array(array)
            assert picture.samples == planes.canonical_samples(array, mode)


def test_flags_of_frames():
    """Only coders that do without a codebook may set the flag of the built-in prior."""
    page = glyphs(6, 5)
    tiny = made_tiny_prior((6, 5))
    book = Codebook({"name": "two"}, {}, tiny={(6, 5): tiny},
                    bilevel_priors={(0, 0): made_bilevel_prior()})  # fmt: skip
    gray = figure(6, 5)
    for array, coder, payload, good in (
        (page, BILEVEL, bilevel_coder.encode_payload(page), True),
        (gray, TINY, tiny_coder.encode_payload(gray, tiny), False),
    ):
        mode = planes.mode_of_array(array)
        samples = planes.canonical_samples(array, mode)
        for flag in (0, 1):
            file = file_of(array, payload, coder=coder, book=book)
            header = reference.read_header(file)
            checksum = struct.pack("<I", header.checksum)
            table = b"\x01" + bytes([coder << 5 | flag]) + write(len(payload)) + checksum
            start = len(file) - len(payload)
            file = file[:3] + bytes([file[3] | 4]) + file[4:start] + segment(5, table)
            file += b"\x00" + payload
            expected = (array.shape, samples) if bool(flag) == good else None
            assert both(file, [book]) == (expected, expected)


# --- sections of codebooks ----------------------------------------------------------------------


def sections_to_damage(rng):
    """Return a section of each kind, and where its first fields and its last bytes lie."""
    bilevel, number = any_bilevel_prior(rng, rng.choice([(0, 0), (3, 4)]))
    few = any_few_colour_prior(rng)
    return [(5, bilevel, 3 + 13 * number + 1), (6, any_tiny_prior(rng), 4), (7, few, 8)]


@pytest.mark.parametrize("seed", range(60))
def test_damaged_sections(seed):
    """Both read a damaged prior, or both refuse it."""
    rng = random.Random(seed)
    for kind, content, first in sections_to_damage(rng):
        position = rng.choice([rng.randrange(first), rng.randrange(len(content))])
        byte = rng.choice([b"", b"\x00", b"\x80", b"\xff", rng.randbytes(1), b"\x01\x01"])
        damaged = content[:position] + byte + content[position + 1 :]
        record = section(1, b'{"name":"any"}')
        file = codebook_file(record + section(kind, damaged))
        read = []
        for reader in (reference.read_codebook, Codebook.from_bytes):
            with suppress(reference.SpecError, softcomp_codec.ScfError):
                reader(file)
                read.append(reader)
        assert len(read) != 1, (kind, position, byte, read)


def test_order_of_sections():
    """Kinds ascend, and sizes within a kind; the few-colour prior is there once."""
    rng = random.Random(5)
    sections = [(kind, content) for kind, content, _ in sections_to_damage(rng)]
    other = any_bilevel_prior(rng, (5, 4))[0]
    bilevel, tiny, few = sections
    orders = {
        (bilevel, tiny, few): True,
        (bilevel, (5, other), tiny): True,
        ((5, other), bilevel, tiny): False,
        (bilevel, bilevel): False,
        (tiny, bilevel): False,
        (few, few): False,
        (few, tiny): False,
        (few,): True,
        (): False,
    }
    for order, good in orders.items():
        record = section(1, b'{"name":"any"}')
        file = codebook_file(record + b"".join(section(*each) for each in order))
        read = 0
        for reader in (reference.read_codebook, Codebook.from_bytes):
            with suppress(reference.SpecError, softcomp_codec.ScfError):
                reader(file)
                read += 1
        assert read == 2 * good


def test_codebooks_that_do_not_fit():
    """Coder 3 needs its prior, coder 4 starts as without a codebook."""
    book = tiny_book(made_tiny_prior((6, 5)))
    page = glyphs(6, 5)
    gray = page.astype(np.uint8)
    for array, coder, payload in (
        (page, BILEVEL, bilevel_coder.encode_payload(page)),
        (gray, FEW_COLOUR, few_colour_coder.encode_payload(gray, planes.mode_of_array(gray))),
    ):
        without = both(file_of(array, payload, coder=coder))
        assert without[0] is not None
        with_book = both(file_of(array, payload, coder=coder, book=book), [book])
        assert with_book == ((None, None) if coder == BILEVEL else without)
