"""Fixtures that several test files share, and how long hypothesis may search."""

import os
import shutil
from pathlib import Path

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


# For the tests of commands


@pytest.fixture
def nothing_of_the_user(monkeypatch, tmp_path):
    """Neither the user's codebooks nor settings of the terminal may change what is tested."""
    monkeypatch.setenv("SOFTCOMP_CODEBOOK_PATH", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "no-data"))
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def book():
    """A codebook of one digit at many places, which pays for that digit."""
    import numpy as np
    from PIL import Image

    import softcomp_codec
    from softcomp_codec.samples import list_samples
    from softcomp_codec.training import TrainingOptions

    with Image.open(list_samples()["digit-2"]) as opened:
        digit = np.asarray(opened)
    images = [np.roll(digit, (i % 5 - 2, i // 5 - 2), axis=(0, 1)) for i in range(25)]
    options = TrainingOptions(train_priors=False)
    return softcomp_codec.train(images, name="twos", holdout=0, options=options)


@pytest.fixture
def book_file(book, tmp_path):
    path = tmp_path / "books" / "twos.scfb"
    path.parent.mkdir()
    book.save(path)
    return path


@pytest.fixture
def digit(tmp_path):
    """A copy of a sample in a folder of its own."""
    from softcomp_codec.samples import list_samples

    folder = tmp_path / "pictures"
    folder.mkdir()
    return Path(shutil.copy(list_samples()["digit-2"], folder / "digit.png"))


@pytest.fixture
def coded(digit, book, tmp_path):
    """The digit as .scf with a codebook that is found nowhere."""
    from PIL import Image

    import softcomp_codec

    path = tmp_path / "coded" / "digit.scf"
    path.parent.mkdir()
    with Image.open(digit) as image:
        path.write_bytes(softcomp_codec.encode(image, codebook=book, file_check=True))
    assert softcomp_codec.read_header(path.read_bytes()).codebook_reference
    return path
