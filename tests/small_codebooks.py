"""Codebooks for the tests: trained on a few synthetic images, or made by hand."""

import hashlib
from dataclasses import replace
from functools import cache

import numpy as np
from made_images import figure, images, made_past, noise

import softcomp_codec
from softcomp_codec import bilevel_coder, codebook_store, coefficient_coder
from softcomp_codec.bilevel_coder import Context
from softcomp_codec.bilevel_prior import BilevelPrior
from softcomp_codec.bundled import MAGIC
from softcomp_codec.codebook import Codebook, KindBook, built_in_part, rounded_states
from softcomp_codec.codebook_store import BundledFile
from softcomp_codec.coefficient_prior import CoefficientPrior
from softcomp_codec.container import write_varint
from softcomp_codec.context_prior import (
    COUNT_CLASSES,
    LATER,
    TAPS_BY_KIND,
    ContextPrior,
    n_full_weights,
    n_kinds_of,
    n_prior_nodes,
    n_prior_weights,
)
from softcomp_codec.kernels.context_kernels import N_LEVELS
from softcomp_codec.kernels.tiny_kernels import N_NODES, N_TAPS
from softcomp_codec.shapes import shape_set
from softcomp_codec.tiny_prior import N_WEIGHT_ROWS, N_WEIGHTS, TinyPrior, n_nodes_of
from softcomp_codec.tiny_training import train_prior
from softcomp_codec.training import TrainingOptions

QUICK = TrainingOptions(
    max_side=6, n_candidates=400, max_shapes=200, use_indicator=False, train_priors=False
)
"""Shapes in every plane, whether they pay or not."""

CHOOSING = TrainingOptions(max_side=6, n_candidates=400, max_shapes=200, train_priors=False)
"""Shapes where the indicator says that they pay."""

ODD_TABLE = tuple(2 + at % 7 for at in range(64))
"""A quantiser table that is none of libjpeg's."""

GRAY = (8, 1, 0)
"""Images of one plane of 8 bits, without colour transform."""


@cache
def small_codebook(kind, seed=0):
    """A codebook trained on a dozen images of 24 x 24."""
    return softcomp_codec.train(
        images(kind, 12, seed), name=f"small-{kind}-{seed}", holdout=0, options=QUICK
    )


@cache
def reference_codebook(kind):
    """A codebook for the reference settings, of a few images of 24 x 24."""
    return softcomp_codec.train(
        images(kind, 6), name=f"reference-{kind}", holdout=0, settings="reference"
    )


def named(book, name):
    """The same codebook under another name, so with another ID."""
    return replace(book, record={**book.record, "name": name})


def gray_codebook(name="taught", probability=600):
    """A gray codebook without shapes, of about 1 KB, whose states expect 1s or 0s."""
    plane = built_in_part(1, 0).planes[0]
    states = plane.full_states.copy()
    states[:, 1:] = probability << 16 | 20
    taught = replace(plane, low_states=states, full_states=states)
    return Codebook({"name": name}, {1: KindBook(0, (taught,))})


def with_windows(book, kind, index, windows, code_lengths=None):
    """A codebook whose plane `index` of a kind has other shapes, by default all equally likely."""
    part = book.parts[kind]
    plane = part.planes[index]
    if code_lengths is None:
        n_bits = max(1, len(windows).bit_length())
        code_lengths = np.full(len(windows) + 1, n_bits, np.uint8)
    shapes = shape_set(windows, code_lengths, plane.shapes.gap_lengths)
    planes = list(part.planes)
    planes[index] = replace(plane, shapes=shapes)
    return Codebook(book.record, {**book.parts, kind: KindBook(part.transform, tuple(planes))})


def noisy_states(low_bits, n_contexts, noise):
    """States as they come back from a file, from int64 noise 0..2**31 - 1."""
    return rounded_states(noise((n_contexts, 1 << low_bits), 1 << 31).astype(np.uint32) * 2)


def made_prior(key=GRAY, *, seed=0, n_known=50):
    """A prior of the context coder with all parts but those of 15 contexts, of noise."""
    used = np.zeros(n_prior_nodes(key), np.uint8)
    used[:: len(used) // n_known] = 1
    n_known = int(used.sum())
    taps = sum(TAPS_BY_KIND[: n_kinds_of(key)])
    return ContextPrior(
        *key,
        least_squares=(noise((N_LEVELS * taps,), 2000, seed) - 1000).astype(np.int16),
        filters=(noise((taps,), 2000, seed) - 1000).astype(np.int16),
        count_cap=30,
        used=np.packbits(used),
        log_odds=(noise((n_known,), 127, seed) - 63).astype(np.int8),
        count_classes=noise((n_known,), len(COUNT_CLASSES), seed).astype(np.uint8),
        weights=(noise((n_prior_weights(key),), 200, seed) - 100).astype(np.int16),
    )


def made_full_prior(key=GRAY, *, seed=0, n_known=50):
    """A prior of the context coder with all parts, of noise."""
    used = np.zeros(n_prior_nodes(key, LATER), np.uint8)
    used[:: len(used) // n_known] = 1
    return replace(
        made_prior(key, seed=seed, n_known=n_known),
        later_used=np.packbits(used),
        later_log_odds=(noise((int(used.sum()),), 31, seed) - 15).astype(np.int8),
        paces=(3, 20),
        count_limit=200,
        full_weights=(noise((n_full_weights(key),), 20, seed) - 10).astype(np.int8),
    )


def made_bilevel_prior(key=(0, 0), *, seed=0, step=7, digits=8):
    """A prior of the bilevel coder of five contexts, of noise: every `step`-th state is known."""
    positional = key != (0, 0)
    contexts = tuple(
        Context(each.window, each.reach | (0x0FFF0000 if positional else 0), digits + index % 3)
        for index, each in enumerate(bilevel_coder.standard_contexts(5, 1 << 12))
    )
    used = np.zeros(bilevel_coder.n_states(contexts), np.uint8)
    used[::step] = 1
    n_known = int(used.sum())
    rows = bilevel_coder.n_weight_rows(key if positional else None)
    return BilevelPrior(
        key,
        contexts,
        30,
        np.packbits(used),
        (noise((n_known,), 127, seed) - 63).astype(np.int8),
        noise((n_known,), len(COUNT_CLASSES), seed).astype(np.uint8),
        (noise((rows * 6,), 60, seed) - 30).astype(np.int16),
    )


def bilevel_book(*priors, name="bilevel by hand"):
    """A codebook of priors of the bilevel coder alone."""
    return Codebook({"name": name}, {}, bilevel_priors={prior.key: prior for prior in priors})


def prior_book(*priors, name="by hand"):
    """A codebook of priors alone."""
    return Codebook({"name": name}, {}, {}, {prior.key: prior for prior in priors})


def made_tiny_prior(size=(6, 5), *, seed=0, inverted=False, slot_bits=6):
    """A prior of the tiny coder, of noise."""
    height, width = size
    n_weights = N_WEIGHT_ROWS * N_NODES * N_WEIGHTS
    odds = noise((n_nodes_of(slot_bits),), 255, seed) - 127
    odds[noise(odds.shape, 3, seed + 1) > 0] = 0
    return TinyPrior(
        height, width, inverted, slot_bits,
        coefficients=(noise((height * width * N_TAPS,), 3000, seed) - 1000).astype(np.int16),
        log_odds=odds.astype(np.int8),
        weights=(noise((n_weights,), 40, seed) - 10).astype(np.int8),
    )  # fmt: skip


def made_coefficient_prior(n_components=3, *, seed=0, step=11, weights=True, pasts=None):
    """A prior of pictures that were JPEGs once, of noise: every `step`-th state is known."""
    used = np.zeros(coefficient_coder.n_states(n_components), np.uint8)
    used[::step] = 1
    n_known = int(used.sum())
    if pasts is None:
        past = made_past((1, 2) if n_components == 3 else None, (3, 5), 83)
        pasts = (past, replace(past, tables=(ODD_TABLE,) * n_components))
    n_weights = coefficient_coder.n_weights(n_components) if weights else 0
    return CoefficientPrior(
        n_components, pasts, 30, np.packbits(used),
        (noise((n_known,), 127, seed) - 63).astype(np.int8),
        noise((n_known,), len(COUNT_CLASSES), seed).astype(np.uint8),
        (noise((n_weights,), 40, seed) - 20).astype(np.int8),
    )  # fmt: skip


def tiny_book(*priors, name="by hand"):
    """A codebook of priors of the tiny coder alone."""
    return Codebook({"name": name}, {}, tiny={prior.key: prior for prior in priors})


@cache
def tiny_codebook(side, n_images=100):
    """A codebook trained on figures of side x side for the tiny coder."""
    pictures = np.stack([figure(side, side, seed) for seed in range(n_images)])
    return tiny_book(train_prior(pictures), name=f"tiny-{side}")


def section(kind, data):
    """A section of a codebook's serialisation (SPEC 6.2)."""
    return bytes([kind]) + write_varint(len(data)) + data


def codebook_file(serialised, *, method=0, packed=None, identifier=None, length=None, version=0):
    """The bytes of a .scfb file around a serialisation; each field can be made wrong."""
    if identifier is None:
        identifier = hashlib.sha256(serialised).digest()
    packed = serialised if packed is None else packed
    length = len(serialised) if length is None else length
    return MAGIC + bytes([version << 4 | method]) + identifier + write_varint(length) + packed


def bundle(monkeypatch, books):
    """Let codebooks be those that travel with the package."""
    files = tuple(BundledFile.of(book) for book in books)
    monkeypatch.setattr(codebook_store, "bundled_files", lambda: files)
