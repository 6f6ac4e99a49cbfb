"""Make the test vectors, or check that they can still be made.

    python tests/vectors/make_vectors.py --check    compare with the files here; writes nothing
    python tests/vectors/make_vectors.py            write what is missing; changes nothing
    python tests/vectors/make_vectors.py --train    train the codebooks anew, before a release only

A vector that was released never changes; see README.md in this folder.
"""

import argparse
import hashlib
import json
import struct
import sys
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import file_builder  # noqa: E402
import numpy as np  # noqa: E402
from file_builder import Settings, file_of, payload_of  # noqa: E402
from made_images import (  # noqa: E402
    KINDS,
    colours,
    decoded_jpeg,
    figure,
    glyphs,
    images,
    jpeg_colours,
    made_past,
    noise,
    scaled_jpeg,
    slope,
    unrounded_jpeg,
)
from small_codebooks import (  # noqa: E402
    GRAY,
    QUICK,
    bilevel_book,
    codebook_file,
    made_bilevel_prior,
    made_coefficient_prior,
    made_full_prior,
    made_prior,
    made_tiny_prior,
    named,
    prior_book,
    section,
    tiny_book,
)

import softcomp_codec  # noqa: E402
from softcomp_codec import (  # noqa: E402
    arithmetic,
    bilevel_coder,
    container,
    context_coder,
    few_colour_coder,
    jpeg_past_coder,
    jpeg_unrounded_coder,
    planes,
    reference_coder,
    residuals,
    set_format,
    tiles,
    tiny_coder,
)
from softcomp_codec.bitstream import BitWriter  # noqa: E402
from softcomp_codec.codebook import Codebook, built_in_part, kind_of  # noqa: E402
from softcomp_codec.container import (  # noqa: E402
    MODES,
    Frame,
    Header,
    Segment,
    write_file,
    write_header,
    write_segment,
    write_varint,
)
from softcomp_codec.context_prior import ContextPrior  # noqa: E402
from softcomp_codec.few_colour_prior import FewColourPrior  # noqa: E402
from softcomp_codec.jpeg_recovery import Recovered  # noqa: E402
from softcomp_codec.jpeg_unrounded_coder import Unrounded  # noqa: E402
from softcomp_codec.kernels.entropy_kernels import N_ENERGIES  # noqa: E402
from softcomp_codec.metadata import Metadata  # noqa: E402
from softcomp_codec.palettes import Palette  # noqa: E402
from softcomp_codec.sample_map import (  # noqa: E402
    CONSTANT,
    COPY,
    FRACTIONS,
    LINE,
    MULTIPLES,
    PLAIN,
    Mapping,
    SampleMap,
    list_of,
)
from softcomp_codec.tiny_training import train_prior  # noqa: E402

NONE, MED, GAP = range(3)
DEFAULT = {
    "bilevel": Settings(NONE, 0, default=True),
    "gray8": Settings(MED, 8, default=True),
}
"""What the built-in prior says."""


def trained(kind):
    """The codebook of a kind, trained on a dozen synthetic images."""
    return softcomp_codec.train(
        images(kind, 12, 31), name=f"vectors-{kind}", source="made_images.py", holdout=0,
        options=QUICK,
    )  # fmt: skip


def trained_reference(kind):
    """The codebook of a kind under the reference settings."""
    return softcomp_codec.train(
        images(kind, 4, 31), name=f"vectors-reference-{kind}", source="made_images.py", holdout=0,
        settings="reference",
    )  # fmt: skip


def trained_tiny():
    """The codebook of the tiny coder: figures of 9 x 9, and noise for inverted 6 x 5."""
    figures = np.stack([figure(9, 9, seed) for seed in range(100)])
    noisy = made_tiny_prior((6, 5), inverted=True)
    return tiny_book(train_prior(figures), noisy, name="vectors-tiny")


def stored_tiny():
    """The codebook of the tiny coder in this folder."""
    return Codebook.load(HERE / "books" / "tiny.scfb")


def reference_books():
    """The codebooks for the reference settings in this folder, by kind."""
    folder = HERE / "books"
    return {kind: Codebook.load(folder / f"reference-{kind}.scfb") for kind in KINDS}


def uncompressed(book):
    """A codebook's file; another version of the compressor may give other bytes."""
    return codebook_file(book.serialised)


def prior_books():
    """Codebooks of priors of the context coder, all parts together and one by one."""
    parts = {
        "coefficients": ("least_squares",),
        "filters": ("filters",),
        "weights": ("weights",),
        "both": ("least_squares", "filters"),
    }

    def only(key, which, seed):
        made = made_prior(key, seed=seed)
        return ContextPrior(*key, **{name: getattr(made, name) for name in parts[which]})

    return {
        "prior-gray": prior_book(made_prior(GRAY, seed=1, n_known=20_000), name="vectors-prior"),
        "prior-parts": prior_book(
            only((8, 2, 0), "weights", 2), only((8, 3, 3), "both", 3), only((8, 3, 4), "both", 4),
            only((8, 4, 4), "filters", 5), only((16, 1, 0), "coefficients", 6),
            name="vectors-priors",
        ),
        "prior-full": prior_book(made_full_prior(GRAY, seed=8, n_known=2000), name="vectors-full"),
        "prior-jpegs": Codebook(
            {"name": "vectors-jpegs"}, {}, jpeg_pasts={1: made_coefficient_prior(1, step=61)}
        ),
    }  # fmt: skip


def stored_books():
    """The codebooks in this folder, by kind."""
    return {kind: Codebook.load(HERE / "books" / f"{kind}.scfb") for kind in KINDS}


def defaults(book, kind):
    return tuple(
        Settings(plane.predictor, plane.low_bits, default=True) for plane in book.planes_of(kind)
    )


def stored(array, **fields):
    """A file of the stored coder."""
    mode = planes.mode_of_array(array)
    samples = planes.canonical_samples(array, mode)
    return file_of(array, samples, coder=container.STORED, **fields)


# --- valid --------------------------------------------------------------------------------------


def valid_files(books):
    """{name: (file, pictures)}; nothing depends on what the encoder would choose."""
    bilevel, gray, rgb = (books[kind] for kind in KINDS)
    files = {}

    def add(name, array, settings, **options):
        built = {k: options.pop(k) for k in ("transform", "choose") if k in options}
        book = options.get("book")
        payload = payload_of(array, settings, book=book, **built)
        files[name] = file_of(array, payload, **options), [array]

    def first_fitting(fitting):
        return fitting[0][0]

    page = glyphs(24, 37, 3)
    add("bilevel-built-in", page, [DEFAULT["bilevel"]])
    spots = np.zeros((40, 41), bool)
    spots.ravel()[::97] = True
    add("bilevel-golomb", spots, [Settings(NONE, 0, 67)])
    add("bilevel-predicted", glyphs(17, 19, 4), [Settings(MED, 1)])
    add("bilevel-golomb-1023-gap-0", np.ones((3, 3), bool), [Settings(NONE, 0, 1023)])
    add("bilevel-axis-codebook", glyphs(24, 24, 5)[:, :, None], defaults(bilevel, "bilevel"),
        book=bilevel, reference_bytes=4)  # fmt: skip
    add("bilevel-codebook-odd-cover", glyphs(24, 24, 6), [Settings(NONE, 0, 9)], book=bilevel,
        reference_bytes=4, choose=first_fitting)  # fmt: skip

    add("gray-built-in-med", slope(21, 34, 1), [DEFAULT["gray8"]])
    add("gray-gap-feedback", np.vstack([slope(30, 25, 2), np.full((20, 25), 77, np.uint8)]),
        [Settings(GAP, 8)])  # fmt: skip
    add("gray-axis-no-predictor", noise((9, 13, 1), 20).astype(np.uint8), [Settings(NONE, 8)])
    add("gray-extremes", (noise((12, 12), 2) * 255).astype(np.uint8), [Settings(MED, 8)])
    name = Segment(container.SEGMENT_CODEBOOK_NAME, gray.name.encode())
    add("gray-codebook-name", slope(70, 66, 7), defaults(gray, "gray8"), book=gray,
        segments=(name,))  # fmt: skip
    add("gray-codebook-golomb-gap", slope(24, 24, 8), [Settings(GAP, 4, 30)], book=gray)
    add("gray-codebook-six-low-bits", slope(24, 24, 9), [Settings(MED, 6)], book=gray)
    add("gray-codebook-eight-low-bits", slope(24, 24, 9), [Settings(MED, 8)], book=gray)
    add("gray-one-pixel", np.array([[200]], np.uint8), [DEFAULT["gray8"]])
    add("gray-one-row", slope(1, 200, 1), [Settings(GAP, 8)])
    add("gray-one-column", slope(200, 1, 1), [Settings(GAP, 8)])

    for transform in planes.SHAPES_TRANSFORMS:
        label = planes.TRANSFORM_NAMES[transform]
        add(f"rgb-{label.replace(' ', '-')}", colours(13, 17, transform),
            [Settings(MED, bits) for bits in ([8, 8, 8] if transform == 0 else [8, 9, 9])],
            transform=transform)  # fmt: skip
    own = rgb.parts[2].transform
    embedded = Segment(container.SEGMENT_CODEBOOK, uncompressed(rgb))
    add("rgb-embedded-codebook", colours(24, 24, 3), defaults(rgb, "rgb8"), transform=own,
        book=rgb, reference_bytes=32, segments=(embedded,), file_check=True)  # fmt: skip
    other = (own + 1) % 3
    bits = [plane.sample_bits for plane in built_in_part(2, other).planes]
    add("rgb-codebook-of-another-transform", colours(8, 9, 4),
        [Settings(GAP, n_bits) for n_bits in bits], transform=other, book=rgb)  # fmt: skip

    add("segments-unknown", slope(8, 8, 1), [DEFAULT["gray8"]],
        segments=(Segment(0x81, b"Exif"), Segment(0xFE, bytes(130)), Segment(0x80, b"")),
        file_check=True)  # fmt: skip
    data, _ = files["gray-one-pixel"]
    files["segments-none"] = (
        data[:3] + b"\x04" + data[4:11] + b"\0" + data[11:],
        [np.array([[200]], np.uint8)],
    )
    for label, array in (
        ("stored-bilevel", noise((5, 11), 2).astype(bool)),
        ("stored-bilevel-axis", noise((3, 8, 1), 2).astype(bool)),
        ("stored-gray", noise((7, 5), 256).astype(np.uint8)),
        ("stored-gray-axis", noise((1, 3, 1), 256).astype(np.uint8)),
        ("stored-rgb", noise((4, 6, 3), 256).astype(np.uint8)),
        ("stored-gray16", noise((7, 5), 65536).astype(np.uint16)),
        ("stored-gray16-axis", noise((3, 2, 1), 65536).astype(np.uint16)),
        ("stored-gray16-extremes", (noise((4, 4), 2) * 65535).astype(np.uint16)),
        ("stored-la", noise((5, 3, 2), 256).astype(np.uint8)),
        ("stored-rgba", noise((3, 5, 4), 256).astype(np.uint8)),
        ("stored-rgb16", noise((4, 3, 3), 65536).astype(np.uint16)),
        ("stored-rgba16", noise((2, 3, 4), 65536).astype(np.uint16)),
        ("stored-la16", noise((1, 6, 2), 65536).astype(np.uint16)),
    ):
        files[label] = stored(array), [array]
    files |= files_of_mixing_coders() | metadata_files() | further_files() | map_files()
    for kind, book in reference_books().items():
        for index, array in enumerate(images(kind, 2, 31)):
            mode = planes.mode_of_array(array)
            part = book.reference[kind_of(mode)]
            payload = reference_coder.encode_payload(array, mode, part)
            files[f"reference-{kind}-{index}"] = (
                file_of(array, payload, coder=container.REFERENCE, book=book), [array]
            )  # fmt: skip
    files["frames"] = framed([slope(24, 24, 1), slope(24, 24, 2), noise((24, 24), 256)], gray)
    files["frames-one"] = framed([slope(5, 6, 1)], None)
    files["frames-gray16"] = stored_frames(noise((3, 4, 5), 65536).astype(np.uint16))
    return files


def files_of_mixing_coders():
    """Files of the coders that mix the predictions of contexts."""
    files = (
        context_files()
        | summed_files()
        | prior_files()
        | bilevel_files()
        | tiny_files(stored_tiny())
    )
    files |= few_colour_files() | palette_files() | tile_files() | following_files()
    return files | jpeg_past_files() | unrounded_files()


def context_files():
    """Files of the context coder, some at several efforts."""
    files = {}
    alpha = slope(26, 31, 9)
    for label, array, efforts in (
        ("gray", slope(26, 31, 4), (1, 5, 9)),
        ("rgb", colours(26, 31, 5), (1, 5, 9)),
        ("lattice", jpeg_colours(26, 31, 6), (5, 9)),
        ("lattice-alpha", np.dstack([jpeg_colours(26, 31, 7), alpha]), (5,)),
        ("la", np.dstack([slope(26, 31, 8), alpha]), (4,)),
        ("rgba", np.dstack([colours(26, 31, 3), alpha]), (7,)),
        ("gray16", slope(26, 31, 2).astype(np.uint16) * 257, (1, 5, 9)),
        ("rgb16", colours(26, 31, 1).astype(np.uint16) * 100, (8,)),
    ):
        for effort in efforts:
            mode = planes.mode_of_array(array)
            payload = context_coder.encode_payload(array, mode, effort=effort)
            files[f"context-{label}-{effort}"] = (
                file_of(array, payload, coder=container.CONTEXT), [array]
            )  # fmt: skip
    return files


def summed_files():
    """Files of the context coder whose log-odds add up, without and with a codebook's prior."""
    files = {}
    books = prior_books()
    alpha = slope(26, 31, 9)
    spot = np.zeros((40, 50), np.uint8)
    spot[30, 20:23] = 255
    for label, array, efforts, book in (
        ("gray", slope(26, 31, 4), (3, 5, 8), None),
        ("spot", spot, (5,), None),
        ("rgb", colours(26, 31, 5), (4, 6), None),
        ("lattice-alpha", np.dstack([jpeg_colours(26, 31, 7), alpha]), (5,), None),
        ("rgba", np.dstack([colours(26, 31, 3), alpha]), (7,), None),
        ("gray16", slope(26, 31, 2).astype(np.uint16) * 257, (5, 8), None),
        ("prior-gray", slope(26, 31, 6), (3, 5), "prior-gray"),
        ("prior-full", slope(26, 31, 3), (5, 7), "prior-full"),
        ("prior-rgb", colours(26, 31, 2), (5,), "prior-parts"),
        ("prior-gray16", slope(26, 31, 1).astype(np.uint16) * 257, (6,), "prior-parts"),
    ):
        for effort in efforts:
            mode = planes.mode_of_array(array)
            known = books[book] if book else None
            payload = context_coder.encode_payload(
                array, mode, effort=effort, summed=True,
                priors=known.context_priors(mode) if known else None,
            )  # fmt: skip
            files[f"context-summed-{label}-{effort}"] = (
                file_of(array, payload, coder=container.CONTEXT, book=known), [array]
            )  # fmt: skip
    pictures = [slope(15, 17, 3), slope(15, 17, 3) ^ 1, slope(15, 17, 5)]
    files["frames-follow-summed-5"] = following(pictures, 5, summed=True), pictures
    return files


def prior_files():
    """Files of the context coder whose models start with a codebook's prior."""
    files = {}
    books = prior_books()
    alpha = slope(20, 23, 9)
    for label, book, array, efforts in (
        ("gray", "prior-gray", slope(20, 23, 4), (1, 5, 9)),
        ("full", "prior-full", slope(20, 23, 3), (5, 7, 9)),
        ("la", "prior-parts", np.dstack([slope(20, 23, 8), alpha]), (5, 6)),
        ("rgb", "prior-parts", colours(20, 23, 5), (5,)),
        ("lattice", "prior-parts", jpeg_colours(20, 23, 6), (5,)),
        ("lattice-alpha", "prior-parts", np.dstack([jpeg_colours(20, 23, 7), alpha]), (9,)),
        ("rgba", "prior-parts", np.dstack([colours(20, 23, 3), alpha]), (5,)),
        ("gray16", "prior-parts", slope(20, 23, 2).astype(np.uint16) * 257, (5,)),
    ):
        for effort in efforts:
            mode = planes.mode_of_array(array)
            priors = books[book].context_priors(mode)
            payload = context_coder.encode_payload(array, mode, effort=effort, priors=priors)
            files[f"context-prior-{label}-{effort}"] = (
                file_of(array, payload, coder=container.CONTEXT, book=books[book]), [array]
            )  # fmt: skip
    return files


def prior_of_noise():
    """A codebook of two priors of the bilevel coder: for any size, and for 28 x 28."""
    priors = made_bilevel_prior(), made_bilevel_prior((28, 28), seed=1)
    return bilevel_book(*priors, name="vectors-bilevel-priors")


def bilevel_files():
    """Files of the bilevel coder: contexts, blocks, both backgrounds, both kinds of prior."""
    page = np.zeros((90, 210), bool)
    page[20:50, 100:180] = glyphs(30, 80, 11)
    page[80, 3:150] = True
    book = prior_of_noise()
    small = glyphs(28, 28, 12)
    general, positional = (book.bilevel_prior(*shape) for shape in ((1, 1), (28, 28)))
    files = {}
    for label, array, settings, prior in (
        ("five", glyphs(33, 47, 13), bilevel_coder.Settings(5), None),
        ("fifteen", glyphs(33, 47, 13)[:, :, None], bilevel_coder.Settings(15), None),
        ("seven-inverted", ~glyphs(20, 90, 14), bilevel_coder.Settings(7, inverted=True), None),
        ("eight-blocks", page, bilevel_coder.Settings(8, by_blocks=True), None),
        ("twelve-blocks-inverted", ~page, bilevel_coder.Settings(12, True, True), None),
        ("prior", page, bilevel_coder.Settings(5, by_blocks=True), general),
        ("prior-frozen", glyphs(21, 40, 15), bilevel_coder.Settings(5, frozen=True), general),
        ("prior-positional", small, bilevel_coder.Settings.of_prior(positional), positional),
    ):
        pixels = bilevel_coder.pixels_of(array) ^ np.uint8(settings.inverted)
        model = bilevel_coder.Model(settings, pixels.size, prior)
        payload = settings.to_byte() + bilevel_coder.code_tile(model, pixels)
        files[f"bilevel-coder-{label}"] = (
            file_of(array, payload, coder=container.BILEVEL, book=book if prior else None),
            [array],
        )
    return files


def tiny_files(book):
    """Files of the tiny coder, of images like those that it was trained on, and unlike them."""
    files = {}
    for label, array in (
        ("figure", figure(9, 9, 500)),
        ("axis", figure(9, 9, 501)[:, :, None]),
        ("slope", slope(9, 9, 1)),
        ("noise", noise((9, 9), 256).astype(np.uint8)),
        ("inverted", slope(6, 5, 2)),
        ("inverted-extremes", 255 * noise((6, 5), 2).astype(np.uint8)),
    ):
        payload = tiny_coder.encode_payload(array, book.tiny[array.shape[:2]])
        files[f"tiny-{label}"] = (
            file_of(array, payload, coder=container.TINY, book=book, reference_bytes=4), [array]
        )  # fmt: skip
    return files


def few_picture(height, width, n_planes, seed):
    """Rectangles and repeats of a few colours."""
    table = noise((9, n_planes), 256, seed).astype(np.uint8)
    tile = noise((5, 6), 9, seed + 1) * (noise((5, 6), 3, seed + 2) == 0)
    indices = np.tile(tile, (height // 5 + 1, width // 6 + 1))[:height, :width].copy()
    indices[height // 3 : height // 2] = 7
    indices[:, width // 2 : width // 2 + 4] = noise((height, 4), 9, seed + 3)
    return table[indices]


def few_colour_files():
    """Files of the few-colour coder, of both kinds, some at several efforts, and with a prior."""
    files = {}
    shaded = (noise((26, 31), 3)[:, :, None] == 0) * colours(26, 31, 2)
    pictures = [few_picture(26, 31, n_planes, 5) for n_planes in (1, 2, 3, 4)]
    for label, array, efforts in (
        ("gray", pictures[0][:, :, 0], (1, 5, 9)),
        ("gray-axis", pictures[0], (3,)),
        ("la", pictures[1], (2, 8)),
        ("rgb", pictures[2], (1, 5, 9)),
        ("rgba", pictures[3], (4, 6, 7)),
        ("rgb-shaded", shaded, (1, 5, 9)),
        ("rgba-shaded", np.dstack([shaded, slope(26, 31, 3)]), (5,)),
        ("la-shaded", np.dstack([slope(26, 31, 1), slope(26, 31, 3)]), (5,)),
        ("gray-many", slope(40, 40, 1), (5,)),
    ):
        mode = planes.mode_of_array(array)
        for effort in efforts:
            payload = few_colour_coder.encode_payload(array, mode, effort=effort)
            files[f"few-colour-{label}-{effort}"] = (
                file_of(array, payload, coder=container.FEW_COLOUR), [array]
            )  # fmt: skip
    keys = [(n, few_colour_coder.keys_of(few_picture(20, 22, n, 8))) for n in (1, 2, 3, 4)]
    keys.append((3, few_colour_coder.keys_of(colours(9, 8, 2))))
    prior = FewColourPrior.of(keys)
    array = few_picture(30, 28, 3, 8)
    for parts in range(4):
        book = Codebook({"name": "few"}, {}, few_colour=prior.variant(parts, 1 + 3 * parts))
        for effort in (5, 9) if parts == 3 else (5,):
            payload = few_colour_coder.encode_payload(
                array, planes.mode_of_array(array), effort=effort, prior=book.few_colour
            )
            embedded = Segment(container.SEGMENT_CODEBOOK, uncompressed(book))
            files[f"few-colour-prior-{parts}-{effort}"] = (
                file_of(array, payload, coder=container.FEW_COLOUR, book=book,
                        segments=(embedded,)), [array]
            )  # fmt: skip
    return files


def jpeg_past_files():
    """Decoded JPEGs of every subsampling, whole or cut out, some touched up, one by a prior."""
    files = {}
    book = prior_books()["prior-jpegs"]
    for n, (sampling, phase, quality, touched) in enumerate(
        (
            (None, (0, 0), 90, False),
            (None, (3, 6), 60, True),
            ((1, 1), (0, 0), 75, False),
            ((1, 2), (1, 9), 97, True),
            ((2, 1), (12, 2), 85, True),
            ((2, 2), (0, 0), 90, False),
            ((2, 2), (15, 4), 30, True),
            (None, (2, 3), 0, True),
        )
    ):
        height, width = 37 + n, 46 - n
        prior = None if quality else book.jpeg_pasts[1]
        past = made_past(sampling, phase, quality or 50, upsampling=n == 6)
        if prior:
            past = replace(past, tables=prior.tables)
        picture, coefficients = decoded_jpeg(past, height, width, seed=n)
        if touched:
            picture[5:9, 4:20] = 255 - picture[5:9, 4:20]
        boxes = [
            (np.zeros(shape, np.int32), np.full(shape, 255, np.int32))
            for shape in (past.component_shape(i, height, width) for i in range(past.n_components))
        ]
        recovered = Recovered(past, coefficients, boxes, (1.0,) * past.n_components)
        payload = jpeg_past_coder.write_payload(picture, recovered, prior)
        data = file_of(picture, payload, coder=container.JPEG_PAST, book=book if prior else None)
        label = "gray" if sampling is None else f"{4 // sampling[1]}{sampling[0]}"
        label += "-prior" * bool(prior)
        files[f"jpeg-past-{n}-{label}"] = data, [picture]
    return files


def unrounded_files():
    """Pictures by decoders that round pixels alone: cut out, clipped, touched up, own tables."""
    files = {}
    own = tuple(3 + (7 * at) % 50 for at in range(64))
    for n, (decoder, effort, phase, clipped, touched, tables) in enumerate(
        (
            (0, 1, (0, 0), 0, False, None),
            (0, 9, (5, 2), 3, True, None),
            (0, 5, (1, 7), 0, True, (own, own[::-1], (9,) * 64)),
            (1, 5, (0, 0), 0, False, None),
            (1, 1, (6, 3), 3, True, None),
            (1, 9, (7, 1), 0, True, (own, (65535,) * 64, own)),
        ),
        start=8,
    ):
        height, width = 37 - n, 28 + n
        past = made_past((1, 1), phase, 50 + 4 * n)
        if tables:
            past = replace(past, tables=tables)
        made = scaled_jpeg if decoder else unrounded_jpeg
        picture, coefficients = made(past, height, width, seed=n, clipped=clipped)
        if touched:
            picture[5:9, 4:20] = 255 - picture[5:9, 4:20]
            picture[20:24, 10:16] = noise((4, 6, 3), 256, n)
        (payload,) = jpeg_unrounded_coder.write_payloads(
            picture, Unrounded(past, decoder, coefficients), [None], effort
        )
        data = file_of(picture, payload, coder=container.JPEG_PAST)
        files[f"jpeg-past-{n}-unrounded" + "-scaled" * decoder] = data, [picture]
    return files


def palette_files():
    """Palette images with every form of palette and transparency."""
    files = {}
    indices = noise((24, 23), 40, 3) * (noise((24, 23), 4, 4) == 0)
    indices[9:, 11:] = 39
    indices = indices.astype(np.uint8)
    smooth = bytes(min(3 * i + k, 255) for i in range(40) for k in range(3))
    rough = noise((40, 4), 256, 9).astype(np.uint8).tobytes()
    for label, palette in (
        ("smooth", Palette("RGB", smooth)),
        ("short", Palette("RGB", smooth[:30], 7)),
        ("equal", Palette("RGB", bytes(120), b"\0\x80\xff\xff")),
        ("alpha", Palette("RGBA", rough)),
        ("none", Palette("RGB", b"", b"")),
    ):
        crc = container.checksum(container.PALETTE, 23, 24, indices.tobytes(), palette)
        for coder in (container.STORED, container.CONTEXT, container.FEW_COLOUR):
            payload = {
                container.STORED: indices.tobytes,
                container.CONTEXT: lambda: context_coder.encode_payload(indices, container.PALETTE),
                container.FEW_COLOUR: lambda palette=palette: few_colour_coder.encode_payload(
                    indices, container.PALETTE, palette=palette
                ),
            }[coder]()
            header = Header(container.PALETTE, 23, 24, coder, b"", crc, palette.to_segments())
            name = f"palette-{label}-{container.CODER_NAMES[coder]}"
            files[name] = write_file(header, payload), [indices]
    return files


def mapped(array, mode, sample_map, *, effort=2, palette=None, is_stored=False):
    """A file with a sample map, None where it is the natural one or none."""
    chosen = sample_map or SampleMap.natural(mode)
    coded = array if chosen is None else chosen.apply(array)
    coded_mode = mode if chosen is None else chosen.coded
    if is_stored:
        coder, payload = container.STORED, planes.canonical_samples(coded, coded_mode)
    elif coded_mode.bits_per_sample == 1:
        coder, payload = container.BILEVEL, bilevel_coder.encode_payload(coded, effort=effort)
    else:
        coder = container.CONTEXT
        payload = context_coder.encode_payload(coded, coded_mode, effort=effort)
    segments = () if palette is None else palette.to_segments()
    segments += () if chosen is None else chosen.to_segments()
    crc = planes.checksum_of(array, mode, palette)
    header = Header(mode, array.shape[1], array.shape[0], coder, b"", crc, segments)
    return write_file(header, payload), [array]


def further_files():
    """Further modes, and arrays of all types."""
    files = {}
    height, width = 9, 11
    palette = Palette("RGBA", bytes(range(160)), b"\1\2")
    for mode in container.FURTHER_MODES.values():
        if mode.bits_per_sample == 32:
            continue
        shape = (height, width, mode.n_planes) if mode.channel_axis else (height, width)
        array = slope(height, width * mode.n_planes, mode.identifier).astype(planes.dtype_of(mode))
        array = array.reshape(shape)
        own = palette if mode.has_palette else None
        files[f"mode-{mode.identifier}"] = mapped(array, mode, None, palette=own)
    smooth = slope(12, 70, 5).reshape(12, 14, 5)
    for name, n_bits in container.SAMPLE_TYPES.items():
        array = smooth > 99 if n_bits == 1 else (smooth.astype(np.int64) * 101).astype(name)
        mode = container.array_mode(name, 5)
        files[f"array-{name}-stored"] = mapped(array, mode, None, is_stored=True)
        if n_bits > 16:
            line = Mapping(LINE, 0, step=1, n_bits=n_bits)
            files[f"array-{name}"] = mapped(array, mode, SampleMap(mode, 16, ((5, line),)))
    return files


def map_files():
    """Every form of a sample map."""
    files = {}
    height, width = 9, 11
    rows = np.arange(height * width).reshape(height, width)
    gray = slope(height, width, 3).astype(np.uint8)
    rgb = MODES[2]
    files["map-copies"] = mapped(
        np.dstack([gray, gray * 0 + 7, gray]),
        rgb,
        SampleMap(rgb, 8, ((1, Mapping(PLAIN)), (1, Mapping(CONSTANT, 7)), (1, Mapping(COPY, 0)))),
    )
    files["map-no-colours"] = mapped(
        np.dstack([gray, gray[::-1], gray[:, ::-1]]),
        rgb,
        SampleMap(rgb, 8, ((3, Mapping(PLAIN)),), uncoloured=True),
    )
    files["map-two-tones"] = mapped(
        (gray > 60).astype(np.uint8) * np.uint8(200),
        MODES[1],
        SampleMap(MODES[1], 1, ((1, Mapping(LINE, 0, step=200, n_bits=1)),)),
    )
    wide, single, double = (container.array_mode(t, None) for t in ("int32", "float32", "float64"))
    near = [6 * k + (k % 5) for k in range(99)]
    array = (np.array(near, np.uint32)[rows] ^ np.uint32(1 << 31)).view(np.int32)
    files["map-list-near"] = mapped(array, wide, SampleMap(wide, 8, ((1, list_of(near)),)))
    even = list(range(40, 139))
    array = (np.array(even, np.uint32)[rows] ^ np.uint32(1 << 31)).view(np.int32)
    files["map-list-even"] = mapped(array, wide, SampleMap(wide, 8, ((1, list_of(even)),)))
    far = [k * k * k * 4001 for k in range(99)]
    array = (np.array(far, np.uint32)[rows] ^ np.uint32(1 << 31)).view(np.int32)
    files["map-list-far"] = mapped(array, wide, SampleMap(wide, 16, ((1, list_of(far)),)))
    fractions = Mapping(LINE, -9, FRACTIONS, 255, step=3, n_bits=9)
    array = ((rows * 3 - 9) / 255).astype(np.float32)
    files["map-fractions"] = mapped(array, single, SampleMap(single, 16, ((1, fractions),)))
    unit = np.float64(0.1)
    steps = [5 * k - 40 for k in range(99)]
    listed = list_of(steps, MULTIPLES, int(unit.view(np.uint64)))
    array = np.array(steps)[rows] * unit
    files["map-multiples"] = mapped(array, double, SampleMap(double, 8, ((1, listed),)))
    many = container.array_mode("uint8", 70)
    array = np.add.outer(gray, np.arange(70) % 9).astype(np.uint8)
    files["map-seventy-planes"] = mapped(array, many, None, effort=5)
    line = SampleMap(wide, 16, ((1, Mapping(LINE, 1 << 31, step=1, n_bits=30)),))
    pictures = [(rows * rows * 90001 + 77 * k).astype(np.int32) for k in range(3)]
    coded = [line.apply(picture) for picture in pictures]
    payloads = [
        context_coder.encode_payload(
            each, line.coded, effort=5, previous=coded[k - 1] if k else None
        )
        for k, each in enumerate(coded)
    ]
    frames = tuple(
        Frame(container.CONTEXT, False, len(payload), planes.checksum_of(picture, wide), k > 0)
        for k, (payload, picture) in enumerate(zip(payloads, pictures, strict=True))
    )
    header = Header(
        wide, width, height, container.CONTEXT, b"", frames[0].checksum, line.to_segments(), frames
    )
    files["map-frames-following"] = write_file(header, b"".join(payloads)), pictures
    return files


def tile_files():
    """Bilevel images of two tiles by the context coder: constant planes, and both tiles raw."""
    full = np.ones((1025, 1024), bool)
    page = np.zeros((1025, 1024), bool)
    page[500:530, 90:170] = glyphs(30, 80, 21)
    grid = context_coder.tile_grid(*page.shape)
    raw = bytes([5, 0]) + b"".join(
        struct.pack("<I", tiles.tile_check(MODES[0], (1024, 1025), tile, packed(tile.of(page))))
        + b"\0"
        for tile in grid
    )
    raw += b"".join(packed(tile.of(page)) for tile in grid)
    constant = context_coder.encode_payload(full, MODES[0], summed=False)
    return {
        "context-tiles": (file_of(full, constant, coder=container.CONTEXT), [full]),
        "context-tiles-raw": (file_of(page, raw, coder=container.CONTEXT), [page]),
    }


def packed(pixels):
    return np.packbits(pixels, axis=1).tobytes()


def following_files():
    """Frames of the context coder of which the second and the third follow."""
    files = {}
    for label, first, efforts in (
        ("gray", slope(12, 15, 3), (1, 5, 9)),
        ("la", np.dstack([slope(12, 15, 8), slope(12, 15, 9)]), (5,)),
        ("rgb", colours(12, 15, 5), (5, 9)),
        ("gray16", slope(12, 15, 2).astype(np.uint16) * 257, (5, 9)),
    ):
        for effort in efforts:
            pictures = [first, (first ^ (first >> 1 & 3)), first[::-1].copy()]
            files[f"frames-follow-{label}-{effort}"] = following(pictures, effort), pictures
    return files


def following(pictures, effort, *, summed=False):
    mode = planes.mode_of_array(pictures[0])
    payloads, frames = [], []
    for index, picture in enumerate(pictures):
        previous = pictures[index - 1] if index else None
        payload = context_coder.encode_payload(
            picture, mode, effort=effort, previous=previous, summed=summed
        )
        crc = file_builder.checksum(picture)
        frames.append(Frame(container.CONTEXT, False, len(payload), crc, follows=index > 0))
        payloads.append(payload)
    return file_of(pictures[0], b"".join(payloads), coder=container.CONTEXT, frames=tuple(frames))


def metadata_files():
    """Files with metadata of every kind, plain and deflated by hand, and with times of frames."""
    array = slope(5, 6, 1)
    full = Metadata(
        exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0", icc_profile=b"profile", xmp=b"<x/>",
        dpi=(299.9994, 72), aspect=(2, 1), gamma=0.45455, chromaticity=tuple(range(8)), srgb=0,
        transparency=(1, 2, 65535), background=-3, comment=b"\0\xff",
        text={"XML:com.adobe.xmp": "<x/>", "dpi": "text", "\xdc": "\u65e5"}, loop=3,
        durations=(40,),
    )  # fmt: skip
    several = Metadata(transparency=7, loop=0, durations=(1, None, 33.3))
    content = b"x" * 300
    blocks = b"\x01" + struct.pack("<HH", 300, 300 ^ 0xFFFF) + content
    deflated = Segment(container.SEGMENT_EXIF | container.DEFLATED, write_varint(300) + blocks)
    key = Segment(container.SEGMENT_PROPERTIES, b"\x05later\x01\x02\x05title\x03\x01t")
    files = {}
    for label, segments in (("all", plain(full)), ("deflated", (deflated, key))):
        files[f"metadata-{label}"] = stored(array, segments=segments), [array]
    frames = [slope(5, 6, seed).astype(np.uint16) * 255 for seed in range(3)]
    files["metadata-times"] = stored_frames(frames, plain(several))
    return files


def plain(metadata):
    """The segments of metadata, none deflated: builds of zlib differ."""
    return tuple(
        Segment(kind, data)
        for kind, data in (
            (container.SEGMENT_EXIF, metadata.exif),
            (container.SEGMENT_ICC, metadata.icc_profile),
            (container.SEGMENT_XMP, metadata.xmp),
            (container.SEGMENT_PROPERTIES, metadata._properties()),
            (container.SEGMENT_TIMING, metadata._timing()),
        )
        if data
    )


def stored_frames(pictures, segments=()):
    """Frames of the stored coder."""
    payloads = [picture.astype("<u2").tobytes() for picture in pictures]
    frames = tuple(
        Frame(container.STORED, False, len(payload), file_builder.checksum(picture))
        for picture, payload in zip(pictures, payloads, strict=True)
    )
    data = file_of(
        pictures[0], b"".join(payloads), coder=container.STORED, frames=frames, segments=segments
    )
    return data, list(pictures)


def framed(pictures, book):
    """Frames: with the codebook, by the built-in prior, and stored."""
    pictures = [picture.astype(np.uint8) for picture in pictures]
    payloads, frames = [], []
    for index, picture in enumerate(pictures):
        settings = defaults(book, "gray8") if book and index == 0 else (Settings(MED, 8),)
        own = book if index == 0 else None
        payload = payload_of(picture, settings, book=own)
        if index == 2:
            payload = picture.tobytes()
        built_in = book is not None and index == 1
        crc = file_builder.checksum(picture)
        frames.append(Frame(int(index != 2), built_in, len(payload), crc))
        payloads.append(payload)
    data = file_of(
        pictures[0], b"".join(payloads), book=book, reference_bytes=4, frames=tuple(frames)
    )
    return data, pictures


# --- invalid ------------------------------------------------------------------------------------


def bits(*fields):
    """Bytes of bit strings with spaces, padded with 0."""
    text = "".join(fields).replace(" ", "")
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


def invalid_files(books):
    """{name: bytes}; what each must give is in test_vectors.py."""
    bilevel, gray, rgb = (books[kind] for kind in KINDS)
    picture = slope(9, 7, 1)
    payload = payload_of(picture, [DEFAULT["gray8"]])
    good = file_of(picture, payload)
    head, start = good[:3], 7

    def hit(position, value, data=good):
        return data[:position] + bytes([value]) + data[position + 1 :]

    def gray_file(*fields, low=b"", **header):
        return file_of(picture, bits(*fields) + low, **header)

    def page_file(*fields, size=(4, 6), **header):
        return file_of(np.zeros(size, bool), bits(*fields), **header)

    def segments(*pieces, data=good):
        return head + bytes([data[3] | 4]) + data[4:11] + b"".join(pieces) + b"\0" + data[11:]

    name = write_segment(Segment(container.SEGMENT_CODEBOOK_NAME, b"x"))
    damaged_crc = name[:-1] + bytes([name[-1] ^ 1])
    check = file_of(picture, payload, file_check=True)
    paged = np.zeros((2, 9), bool)
    frame = Frame(1, False, len(payload), file_builder.checksum(picture))
    frames = file_of(picture, payload * 2, frames=(frame, frame))
    coloured = payload_of(colours(4, 4), [Settings(MED, 8)] * 3)
    tiled = tile_files()["context-tiles"][0]
    deep = noise((3, 3), 65536).astype(np.uint16)
    stored_deep, coded_deep = (
        Frame(coder, False, 18, file_builder.checksum(deep))
        for coder in (container.STORED, container.SHAPES)
    )
    files = {
        "context-summed-3": _summed(3),
        "context-summed-13": _summed(13),
        "magic-foreign": hit(2, 0x44),
        "magic-of-a-codebook": hit(2, 0x42),
        "magic-truncated": good[:2],
        "nothing": b"",
        "version-1": hit(3, 0x10),
        "version-15": hit(3, 0xF0),
        "flag-of-sets": hit(3, 0x08),
        "mode-5": hit(4, 1 << 5 | 5),
        **_invalid_maps(picture),
        "mode-30": hit(4, 1 << 5 | 30),
        "mode-31": hit(4, 1 << 5 | 31),
        "mode-12": hit(4, 12),
        "mode-8-of-the-reference-coder": hit(4, 5 << 5 | 8),
        "mode-5-in-a-frame-of-the-shapes-coder": file_of(
            deep, bytes(36), coder=container.STORED, frames=(stored_deep, coded_deep)
        ),
        "frames-follow-nothing": _following(picture, (True, False)),
        "frames-follow-by-another-coder": _following(picture, (False, True), container.SHAPES),
        "tiles-check-wrong": tiled[:-5] + bytes([tiled[-5] ^ 1]) + tiled[-4:],
        "tiles-too-short": tiled[:-1],
        "tiles-too-long": tiled + b"\0",
        "stored-gray16-too-short": stored(deep)[:-1],
        "stored-gray16-of-the-other-byte-order": file_of(
            deep, deep.astype(">u2").tobytes(), coder=container.STORED
        ),
        "coder-3": hit(4, 3 << 5 | 1),
        "coder-7": hit(4, 7 << 5 | 1),
        "mode-of-another-shape": hit(4, 1 << 5 | 3),
        "width-0": hit(5, 0),
        "height-0": hit(6, 0),
        "width-too-large": good[:5] + write_varint(2**31) + good[6:],
        "width-not-shortest": good[:5] + b"\x87\0" + good[6:],
        "width-of-ten-bytes": good[:5] + b"\x80" * 9 + b"\x01" + good[6:],
        "size-of-terabytes": good[:5] + write_varint(2**31 - 1) * 2 + good[7:],
        "width-one-more": hit(5, 8),
        "header-truncated": good[:9],
        "payload-truncated": good[:-5],
        "payload-missing": good[:11],
        "payload-too-long": good + b"\0",
        "payload-flipped": hit(len(good) - 6, good[-6] ^ 0x10),
        "checksum-wrong": hit(start, good[start] ^ 1),
        "segments-truncated": segments(name)[:14],
        "segment-checksum-wrong": segments(damaged_crc),
        "segment-too-long": segments(b"\x89" + write_varint(2**31) + b"x"),
        "segment-critical-unknown": segments(write_segment(Segment(0x42, b""))),
        "segment-tiles": segments(write_segment(Segment(4, b"\x08\x08"))),
        "segment-name-without-codebook": segments(name),
        "segment-codebook-without-reference": segments(
            write_segment(Segment(container.SEGMENT_CODEBOOK, uncompressed(gray)))
        ),
        "file-check-wrong": check[:-1] + bytes([check[-1] ^ 1]),
        "file-check-second": segments(
            write_segment(Segment(0xFE, b"")), write_segment(Segment(0x88, bytes(4)))
        ),
        "file-check-of-three-bytes": segments(write_segment(Segment(0x88, bytes(3)))),
        "frames-truncated": frames[:-2],
        "frames-too-long": frames + b"\0",
        "frames-length-wrong": file_of(
            picture, payload * 2, frames=(replace(frame, n_bytes=frame.n_bytes - 1), frame)
        ),
        "frames-coder-of-the-first-differs": _table(
            good, b"\x01\0" + write_varint(len(payload)) + good[7:11], payload
        ),
        "frames-none": _table(good, b"\0", payload),
        "frames-stored-by-the-built-in-prior": file_of(
            picture, payload + picture.tobytes(), book=gray,
            frames=(replace(frame, built_in=True),
                    Frame(0, True, picture.size, frame.checksum)),
        ),
        "stored-too-short": stored(paged)[:-1],
        "stored-too-long": stored(paged) + b"\0",
        "stored-padding-bits": stored(paged)[:-1] + b"\x01",
        "stored-with-reference": stored(paged, book=gray),
        "settings-predictor-3": gray_file("0 11 1000"),
        "settings-nine-low-bits": gray_file("0 01 1001"),
        "settings-truncated": page_file("0 00 0000 0"),
        "transform-3": file_of(colours(4, 4), bits("11 0 01 1000 0 01 1000")),
        "padding-bits": gray_file("1 0000001", low=payload[1:]),
        "sample-outside": file_of(colours(4, 4), _planes_of(511), checksum=0),
        "component-outside": file_of(colours(4, 4), _planes_of(None), checksum=0),
        "checksum-of-colours-wrong": file_of(colours(4, 4), coloured, checksum=1),
        # bilevel, built-in: shapes of 5 or 6 bits, the first is 1 x 1; gaps of 7 or 8 bits
        "gap-truncated": page_file("1 00000 01"),
        "gap-beyond-the-plane": page_file("1 00000 0011000"),
        "gap-golomb-without-end": page_file("0 00 0000 0000000001 00000 111111111111111111"),
        "shape-outside-right": page_file("1 00001 0000101"),
        "shape-outside-below": page_file("1 00010 0010011"),
        "shape-value-too-large": file_of(
            picture, _too_large(gray), book=gray, reference_bytes=4
        ),
        "shape-contradicts": file_of(
            np.zeros((4, 24), np.uint8), _contradiction(gray), book=gray, reference_bytes=4
        ),
        "codeword-of-no-shape": gray_file("0 01 0111 0000000000", "1" * 30),
        "end-mark-missing": page_file("1"),
        "end-bits-not-zero": page_file("1 111111 1"),
        "end-bytes-follow": page_file("1 111111 0") + b"\0",
        "codebook-unknown": file_of(picture, payload, codebook_reference=b"none"),
        "codebook-of-another-kind": file_of(picture, payload, book=bilevel, reference_bytes=4),
        "codebook-embedded-another": file_of(
            picture, payload, book=gray,
            segments=(Segment(container.SEGMENT_CODEBOOK, uncompressed(rgb)),),
        ),
        "codebook-embedded-damaged": file_of(
            picture, payload, book=gray,
            segments=(Segment(container.SEGMENT_CODEBOOK, uncompressed(gray)[:-1]),),
        ),
        "codebook-wrong": file_of(
            picture, payload_of(picture, defaults(gray, "gray8"), book=gray)[:-4] + b"none",
            book=gray,
        ),
    }  # fmt: skip
    return {f"{key}.scf": data for key, data in files.items()} | {
        f"{key}.scfb": data for key, data in _invalid_books(gray).items()
    }


def _invalid_maps(picture):
    """Files with array descriptions and sample maps that cannot be."""
    samples = picture.tobytes()
    size = picture.shape[1], picture.shape[0]
    crc = container.checksum(MODES[1], *size, samples)

    def file(kind, data, mode=MODES[1], payload=samples):
        palette = (Segment(container.SEGMENT_PALETTE, b"\x06\0"),) if mode.has_palette else ()
        segments = (*palette, Segment(kind, data))
        return write_file(Header(mode, *size, container.STORED, b"", crc, segments), payload)

    def described(data):
        plain = file(container.SEGMENT_ARRAY, data)
        return plain[:4] + bytes([container.ARRAY]) + plain[5:]

    kind = container.SEGMENT_SAMPLE_MAP
    listed = b"\1\1" + list_of([1, 2]).write("uint8")
    return {
        "array-in-another-mode": file(container.SEGMENT_ARRAY, b"\3\0"),
        "array-of-a-mode": described(b"\1\3"),
        "array-of-an-unknown-type": described(b"\x0c\0"),
        "array-too-long": described(b"\3\0\0"),
        "map-of-a-copy-of-itself": file(kind, b"\1\1\2\0"),
        "map-of-a-ladder-of-integers": file(kind, b"\1\1\x13\0\1\1"),
        "map-of-indices": file(kind, b"\1\1\0", container.PALETTE),
        "map-place-without-number": file(kind, listed),
        "map-too-short": file(kind, listed[:-1]),
        "map-without-planes": file(kind, b"\1\1\1\0"),
    }


def _summed(n_contexts):
    """A file whose log-odds are to add up, of so many contexts."""
    array = slope(9, 9)
    payload = context_coder.encode_payload(array, planes.mode_of_array(array), summed=True)
    assert payload is not None
    other = bytes([payload[0] & 0xF0 | n_contexts]) + payload[1:]
    return file_of(array, other, coder=container.CONTEXT)


def _following(picture, follows, coder=container.CONTEXT):
    """Two frames of which some say that they follow."""
    payload = context_coder.encode_payload(picture, planes.mode_of_array(picture))
    crc = file_builder.checksum(picture)
    frames = tuple(
        Frame(each, False, len(payload), crc, follows=own)
        for each, own in zip((container.CONTEXT, coder), follows, strict=True)
    )
    return file_of(picture, payload * 2, coder=container.CONTEXT, frames=frames)


def _table(good, data, payload):
    segment = write_segment(Segment(container.SEGMENT_FRAMES, data))
    return good[:3] + b"\x04" + good[4:11] + segment + b"\0" + payload


def _planes_of(mapped):
    """Planes after the green difference: G 255, the others this mapped residual everywhere.

    None: R - G = 255, so that red would be 510 (SPEC 5.2).
    """
    ranges = planes.plane_ranges(MODES[2], planes.GREEN_DIFFERENCE)
    writer = BitWriter()
    writer.write(planes.GREEN_DIFFERENCE, 2)
    low_layers = []
    for sample_range, n_bits in zip(ranges, (8, 9, 9), strict=True):
        plane = np.full((4, 4), 255, np.int32)
        residual = residuals.map_residuals(plane, MED, sample_range)
        if mapped is not None and n_bits == 9:
            residual[:] = mapped
        writer.write(0, 1)
        writer.write(MED, 2)
        writer.write(n_bits, 4)
        low_layers.append((residual, n_bits, arithmetic.neutral_states(n_bits, N_ENERGIES)))
    return writer.to_bytes() + file_builder.low_code(*low_layers)


def _placed(book, settings, pairs):
    (plane,) = book.planes_of("gray8")
    writer = BitWriter()
    file_builder.write_settings(writer, settings, plane)
    file_builder.write_placements(writer, pairs, plane, settings.parameter)
    return writer.to_bytes()


def _too_large(book):
    """With seven low bits cells are 0 or 1; the codebook's largest single cell is 15."""
    (plane,) = book.planes_of("gray8")
    index = next(i for i in range(plane.n_shapes) if plane.shapes.window(i).max() > 1)
    return _placed(book, Settings(MED, 7, 3), [(index, 0)])


def _contradiction(book):
    """A column of cells, and beside it a shape that reaches over it with other values."""
    (plane,) = book.planes_of("gray8")
    windows = [plane.shapes.window(i) for i in range(plane.n_shapes)]
    first = next(i for i, w in enumerate(windows) if w.shape[0] > 1 and w.shape[1] == 1)
    height = windows[first].shape[0]
    # In row 1 the cells left of the column are free, and a wide shape meets the column.
    wide = next(
        i for i, w in enumerate(windows)
        if w.shape[0] <= 4 - 1 and w.shape[1] > 1 and plane.shapes.anchors[i] == 0
        and w[0, 1] != windows[first][1, 0]
    )  # fmt: skip
    assert height <= 4
    before_row_1 = 24 - 4 - 1
    return _placed(book, Settings(MED, 4, 3), [(first, 4), (wide, before_row_1 + 3)])


def _invalid_books(book):
    content = book.serialised
    plane = section(2, _part_bytes(book))
    spaced = json.dumps(book.record, sort_keys=True, ensure_ascii=False).encode()
    return {
        "book-id-wrong": codebook_file(content, identifier=bytes(32)),
        "book-truncated": codebook_file(content)[:300],
        "book-version-1": codebook_file(content, version=1),
        "book-compression-2": codebook_file(content, method=2),
        "book-length-too-large": codebook_file(content, length=1 << 27),
        "book-section-unknown": codebook_file(content + section(0x7F, b"")),
        "book-section-ancillary": codebook_file(content + section(0x80, b"")),
        "book-record-twice": codebook_file(section(1, b'{"name":"x"}') + content),
        "book-record-with-spaces": codebook_file(section(1, spaced) + plane),
        "book-without-record": codebook_file(plane),
        "book-content-truncated": codebook_file(content[:-5]),
        "book-xz-damaged": codebook_file(content, method=1, packed=b"\xfd7zXZ\0" + bytes(40)),
    }


# --- regressions --------------------------------------------------------------------------------


def regression_files(books):
    """{name: bytes} of what once broke the program."""
    (plane,) = (section(2, _part_bytes(books["gray8"])),)

    def with_record(record):
        return codebook_file(section(1, record) + plane)

    depth = 991
    gray = books["gray8"]
    huge = Header(MODES[0], 65535, 65535, container.SHAPES, b"", 0)
    line = Header(MODES[1], 2**31 - 1, 1, container.SHAPES, b"", 0)
    return {
        "record-half-a-surrogate-pair.scfb": with_record(b'{"name":"\\ud800"}'),
        "record-too-deep-to-write.scfb": with_record(
            b'{"a":' + b"[" * depth + b"]" * depth + b',"name":"x"}'
        ),
        "record-nan.scfb": with_record(b'{"a":NaN,"name":"x"}'),
        "page-of-gigabytes.scf": write_file(huge, b"\xfe"),
        "line-of-gigabytes.scf": write_file(line, b"\xfe"),
        "frame-table-ends-early.scf": _table(
            write_header(Header(MODES[1], 7, 9, 1, b"", 0)), b"\x02\x20\x01\0\0\0\0", b"x"
        ),
        "codebook-of-another-name.scfb": codebook_file(
            named(gray, "other").serialised, identifier=gray.identifier
        ),
    }


def _part_bytes(book):
    content = book.serialised
    at = 1
    length, shift = 0, 0
    while True:
        byte = content[at]
        at += 1
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    at += length + 1
    while content[at] >= 128:
        at += 1
    return content[at + 1 :]


# --- sets ---------------------------------------------------------------------------------------


def set_files():
    """{name: (bytes, names, images)} of sets, block by block."""
    gray = [noise((2, 3), 256, seed).astype(np.uint8) for seed in range(3)]
    letters = [glyphs(9, 12, seed) for seed in range(2)]
    colour = colours(5, 4)
    names = ("a/1.png", "a/2.png", "\u00e4")
    blocks = [
        _group(0, gray, [(container.STORED, False)] * 3, [each.tobytes() for each in gray],
               names=names, share=2),
        write_segment(Segment(0x90, b"unknown, and skipped")),
        set_format.write_image_block(3, "b.png", stored(colour), of_set=False),
    ]  # fmt: skip
    more = [
        _group(4, letters, [(container.BILEVEL, False)] * 2,
               [bilevel_coder.encode_payload(each) for each in letters], share=1),
    ]  # fmt: skip
    head = set_format.write_head(b"", ())
    data = head + b"".join(blocks) + _index(4, 0, blocks, [(3, True), (0, False), (1, True)])
    start = len(head) + sum(map(len, blocks))
    data += b"".join(more)
    data += _index(6, len(data) - start, more, [(2, False)])
    files = {"added-to": (data, [*names, "b.png", "4", "5"], [*gray, colour, *letters])}

    book = stored_tiny()
    figures = [figure(9, 9, 500 + seed) for seed in range(3)]
    payloads = [tiny_coder.encode_payload(each, book.tiny[9, 9]) for each in figures]
    payloads[1] = figures[1].tobytes()
    coders = [(container.TINY, False), (container.STORED, False), (container.TINY, False)]
    single = softcomp_codec.container.write_file(
        Header(MODES[1], 9, 9, container.TINY, book.identifier[:8],
               container.checksum(MODES[1], 9, 9, figures[0].tobytes())), payloads[0],
    )  # fmt: skip
    blocks = [
        _group(0, figures, coders, payloads, reference=book.identifier[:8], of_set=True),
        _group(3, figures, coders, payloads, reference=book.identifier[:4]),
        set_format.write_image_block(6, None, single, of_set=True),
        set_format.write_image_block(7, None, single, of_set=False),
    ]
    name = Segment(container.SEGMENT_CODEBOOK_NAME, book.name.encode())
    data = set_format.write_head(book.identifier[:8], (name,)) + b"".join(blocks)
    data += _index(8, 0, blocks, [(3, False), (3, False), (1, False), (1, False)])
    pictures = [*figures, *figures, figures[0], figures[0]]
    files["codebooks"] = (data, [str(index) for index in range(8)], pictures)
    return files


def _group(position, pictures, coders, payloads, *, names=None, share=3, reference=b"",
           of_set=False):  # fmt: skip
    mode, (height, width) = planes.mode_of_array(pictures[0]), pictures[0].shape
    samples = [planes.canonical_samples(picture, mode) for picture in pictures]
    checksums = [
        container.checksum(mode, width, height, b"".join(samples[first : first + share]))
        for first in range(0, len(pictures), share)
    ]
    return set_format.write_group_block(
        set_format.GroupBlock(
            position, names, of_set, reference, mode, width, height, share, tuple(checksums),
            tuple(coders), tuple(payloads),
        )
    )  # fmt: skip


def _index(n_images, previous, blocks, listed):
    entries = [(len(block), *entry) for block, entry in zip(blocks, listed, strict=True)]
    return set_format.write_index(set_format.Index(n_images, previous, tuple(entries)))


# --- files --------------------------------------------------------------------------------------


def all_files(books):
    """{path in this folder: bytes} of everything that is frozen."""
    files = {f"books/{kind}.scfb": uncompressed(book) for kind, book in books.items()}
    files["books/bilevel-priors.scfb"] = uncompressed(prior_of_noise())
    for kind, book in reference_books().items():
        files[f"books/reference-{kind}.scfb"] = uncompressed(book)
    files |= {f"books/{name}.scfb": uncompressed(book) for name, book in prior_books().items()}
    files["books/tiny.scfb"] = uncompressed(stored_tiny())
    for name, (data, pictures) in valid_files(books).items():
        mode = planes.mode_of_array(pictures[0])
        files[f"valid/{name}.scf"] = data
        files[f"valid/{name}.bin"] = b"".join(
            planes.canonical_samples(picture, mode) for picture in pictures
        )
    for name, (data, names, pictures) in set_files().items():
        files[f"sets/{name}.scf"] = data
        files[f"sets/{name}.txt"] = "\n".join(names).encode()
        files[f"sets/{name}.bin"] = b"".join(
            planes.canonical_samples(picture, planes.mode_of_array(picture)) for picture in pictures
        )
    files |= {f"invalid/{name}": data for name, data in invalid_files(books).items()}
    files |= {f"regressions/{name}": data for name, data in regression_files(books).items()}
    return files


def encoder_lines():
    """What the encoder and the trainer make today: (name, hash) lines that may change."""
    lines = {}
    for kind in KINDS:
        lines[f"trained {kind}"] = trained(kind).identifier.hex()
        lines[f"trained reference {kind}"] = trained_reference(kind).identifier.hex()
        book = Codebook.load(HERE / "books" / f"{kind}.scfb")
        for effort in (1, 5, 9):
            for label, choice in (("none", None), ("codebook", book)):
                data = softcomp_codec.encode_many(
                    images(kind, 3, 77), codebook=choice, effort=effort, coder="shapes"
                )
                digest = hashlib.sha256(b"".join(data)).hexdigest()
                lines[f"encoded {kind} {label} effort {effort}"] = digest
        data = softcomp_codec.encode_frames(
            images(kind, 3, 77), codebook=book, file_check=True, coder="shapes"
        )
        lines[f"encoded {kind} frames"] = hashlib.sha256(data).hexdigest()
    lines["trained tiny"] = trained_tiny().identifier.hex()
    return [f"{digest}  {name}" for name, digest in lines.items()]


def hash_lines(files):
    return [f"{hashlib.sha256(files[path]).hexdigest()}  {path}" for path in sorted(files)]


def write_list(name, lines):
    (HERE / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare; write nothing")
    parser.add_argument("--train", action="store_true", help="train the codebooks anew")
    parser.add_argument("--replace", action="store_true", help="also change files that exist")
    arguments = parser.parse_args()
    if arguments.train:
        for kind in KINDS:
            (HERE / "books").mkdir(exist_ok=True)
            (HERE / "books" / f"{kind}.scfb").write_bytes(uncompressed(trained(kind)))
            reference = uncompressed(trained_reference(kind))
            (HERE / "books" / f"reference-{kind}.scfb").write_bytes(reference)
        (HERE / "books" / "tiny.scfb").write_bytes(uncompressed(trained_tiny()))
    files = all_files(stored_books())
    differing = [
        path
        for path, data in files.items()
        if not (HERE / path).exists() or (HERE / path).read_bytes() != data
    ]
    if arguments.check:
        for path in differing:
            print(f"{path}: missing, or it would be made differently")
        return 1 if differing else 0
    for path in differing:
        target = HERE / path
        if target.exists() and not arguments.replace:
            print(f"{path}: exists and would be made differently; left as it is")
            continue
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(files[path])
        print(f"{path}: written, {len(files[path])} bytes")
    finds = (HERE / "regressions").iterdir()
    paths = {*files, *(path.relative_to(HERE).as_posix() for path in finds)}
    frozen = {path: (HERE / path).read_bytes() for path in paths}
    write_list("hashes.txt", hash_lines(frozen))
    write_list("encoder_hashes.txt", encoder_lines())
    return 0


if __name__ == "__main__":
    sys.exit(main())
