"""Fixtures that several test files share, and how long hypothesis may search."""

import os

import pytest
from hypothesis import HealthCheck, settings

_COMMON = {
    "deadline": None,
    "database": None,
    "suppress_health_check": (HealthCheck.too_slow, HealthCheck.filter_too_much),
}
settings.register_profile("quick", max_examples=40, derandomize=True, **_COMMON)
settings.register_profile("long", max_examples=1000, **_COMMON)
settings.load_profile(os.environ.get("SCF_HYPOTHESIS", "quick"))


class Books(dict):
    """Codebooks by kind; hypothesis shows the arguments of a test, so they are short."""

    def __repr__(self):
        return f"<codebooks of {', '.join(self)}>"


def _trained(seed):
    from made_images import KINDS
    from small_codebooks import small_codebook

    return Books({kind: small_codebook(kind, seed) for kind in KINDS})


@pytest.fixture(scope="session")
def books():
    """A small codebook of each kind of image, by the kind's name."""
    return _trained(0)


@pytest.fixture(scope="session")
def other_books():
    """Codebooks of the same kinds, trained on other images."""
    return _trained(7)


@pytest.fixture
def empty_store(monkeypatch, tmp_path):
    """No codebook anywhere; returns the user's folder, which does not exist yet."""
    from small_codebooks import bundle

    from softcomp_codec import codebook_store

    folder = tmp_path / "user" / "codebooks"
    monkeypatch.setattr(codebook_store, "_registered", {})
    bundle(monkeypatch, ())
    monkeypatch.setattr(codebook_store, "user_folder", lambda: folder)
    monkeypatch.delenv(codebook_store.PATH_VARIABLE, raising=False)
    return folder
