"""Finding codebooks: every place, short references that match several, and what is missing."""

import hashlib
import json
import os
import shutil
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from made_images import image
from small_codebooks import bundle, gray_codebook, named

import softcomp_codec
from softcomp_codec import codebook_store, container
from softcomp_codec.bundled import INDEX, bundled_folder
from softcomp_codec.codebook import Codebook
from softcomp_codec.codebook_store import (
    PATH_VARIABLE,
    BundledFile,
    bundled_codebooks,
    bundled_files,
    find_codebooks,
    list_codebooks,
    load_codebook,
    register_codebook,
    served_modes,
)
from softcomp_codec.decoder import decode_file
from softcomp_codec.errors import (
    CodebookError,
    CodebookMismatchError,
    CodebookNotFoundError,
    CorruptStreamError,
)

GRAY = image("gray8", seed=99)
PLAIN = np.zeros((40, 40), np.uint8)
"""Coded with any codebook at effort 1, which does not compare with none."""


@pytest.fixture
def book(books):
    return books["gray8"]


@pytest.fixture
def file(book):
    data = softcomp_codec.encode(GRAY, codebook=book)
    assert softcomp_codec.read_header(data).codebook_reference == book.identifier[:4]
    return data


def saved(book, folder, name="some.scfb"):
    folder.mkdir(parents=True, exist_ok=True)
    book.save(folder / name)
    return folder / name


# --- places, one by one -------------------------------------------------------------------------


def test_embedded(empty_store, book):
    data = softcomp_codec.encode(GRAY, codebook=book, embed_codebook=True)
    decoded = decode_file(data)
    assert np.array_equal(decoded.array, GRAY)
    assert decoded.codebook.identifier == book.identifier


def test_given_by_the_caller(empty_store, book, file):
    assert np.array_equal(softcomp_codec.decode(file, codebooks=[book]), GRAY)
    assert np.array_equal(softcomp_codec.decode_many([file], codebooks=(book,))[0], GRAY)


def test_registered(empty_store, book, file):
    register_codebook(book)
    assert np.array_equal(softcomp_codec.decode(file), GRAY)
    assert [(stored.origin, stored.path) for stored in list_codebooks()] == [("registered", "")]


def test_bundled(empty_store, monkeypatch, book, file):
    bundle(monkeypatch, (book,))
    assert np.array_equal(softcomp_codec.decode(file), GRAY)
    assert [stored.origin for stored in list_codebooks()] == ["bundled"]


def test_folders_of_the_environment(empty_store, monkeypatch, tmp_path, book, other_books, file):
    saved(other_books["gray8"], tmp_path / "one")
    path = saved(book, tmp_path / "two")
    folders = [tmp_path / "one", tmp_path / "none", tmp_path / "two"]
    monkeypatch.setenv(PATH_VARIABLE, os.pathsep.join(["", *map(str, folders), ""]))
    assert np.array_equal(softcomp_codec.decode(file), GRAY)
    found = list_codebooks()
    assert [stored.origin for stored in found] == ["$SOFTCOMP_CODEBOOK_PATH"] * 2
    assert found[1].path == str(path)


def test_user_folder(empty_store, book, file):
    saved(book, empty_store)
    assert np.array_equal(softcomp_codec.decode(file), GRAY)
    assert [stored.origin for stored in list_codebooks()] == ["user"]


def test_beside_the_file(empty_store, monkeypatch, tmp_path, book, file):
    saved(book, tmp_path / "pictures")
    source = tmp_path / "pictures" / "x.scf"
    assert np.array_equal(decode_file(file, source=str(source)).array, GRAY)
    assert list_codebooks() == []
    monkeypatch.chdir(tmp_path / "pictures")
    assert np.array_equal(decode_file(file, source="x.scf").array, GRAY)
    with pytest.raises(CodebookNotFoundError):
        softcomp_codec.decode(file)


# --- order --------------------------------------------------------------------------------------


def test_order_of_the_list(empty_store, monkeypatch, tmp_path, book):
    variants = [named(book, f"variant {index}") for index in range(4)]
    saved(variants[3], empty_store)
    saved(variants[2], tmp_path / "path")
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "path"))
    bundle(monkeypatch, (variants[1],))
    register_codebook(variants[0])
    assert [stored.book.name for stored in list_codebooks()] == [b.name for b in variants]
    origins = ["registered", "bundled", "$SOFTCOMP_CODEBOOK_PATH", "user"]
    assert [stored.origin for stored in list_codebooks()] == origins


def test_order_of_the_search(empty_store, monkeypatch, tmp_path):
    """Of several that match a short reference the caller's comes first, folders come last."""
    first, second = colliding_codebooks()
    header = container.Header(container.MODES[1], 1, 1, 1, first.identifier[:4], 0)
    saved(second, empty_store)
    assert names(find_codebooks(header)) == [second.name]
    register_codebook(first)
    assert names(find_codebooks(header)) == [first.name]  # folders are not opened
    bundle(monkeypatch, (second,))
    assert names(find_codebooks(header)) == [first.name, second.name]
    assert names(find_codebooks(header, extra=[second])) == [second.name, first.name]
    embedded = container.Segment(container.SEGMENT_CODEBOOK, second.to_bytes())
    assert names(find_codebooks(replace(header, segments=(embedded,)))) == [second.name]


def names(books):
    return [book.name for book in books]


def test_all_folders_are_searched_for_short_references(empty_store, monkeypatch, tmp_path):
    first, second = colliding_codebooks()
    saved(first, tmp_path / "path")
    saved(second, empty_store)
    saved(first, tmp_path / "pictures")
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "path"))
    header = container.Header(container.MODES[1], 1, 1, 1, first.identifier[:4], 0)
    found = find_codebooks(header, source=str(tmp_path / "pictures" / "x.scf"))
    assert names(found) == [first.name, second.name]


def test_an_embedded_codebook_hides_all_others(empty_store, book, other_books, file):
    """Another one than the file refers to is an error, even where the right one is at hand."""
    header, payload = container.read_file(file)
    segment = container.Segment(container.SEGMENT_CODEBOOK, other_books["gray8"].to_bytes())
    data = container.write_file(replace(header, segments=(segment,)), payload)
    expected = (
        f"the embedded codebook has ID {other_books['gray8'].identifier.hex()}, "
        f"the file refers to {book.identifier[:4].hex()}"
    )
    with pytest.raises(CodebookError, match=expected):
        softcomp_codec.decode(data, codebooks=[book])
    damaged = container.Segment(container.SEGMENT_CODEBOOK, book.to_bytes()[:-3])
    data = container.write_file(replace(header, segments=(damaged,)), payload)
    with pytest.raises(CorruptStreamError, match="codebook"):
        softcomp_codec.decode(data, codebooks=[book])


# --- missing and wrong ones ---------------------------------------------------------------------


def test_a_missing_codebook_names_id_name_and_places(empty_store, monkeypatch, tmp_path, book):
    picture = image("gray8", 70, 70)
    data = softcomp_codec.encode(picture, codebook=book, effort=1, coder="shapes")
    reference = softcomp_codec.read_header(data).codebook_reference
    assert reference == book.identifier[:8]  # 4,096 bytes or more
    monkeypatch.setenv(PATH_VARIABLE, os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")]))
    with pytest.raises(CodebookNotFoundError) as caught:
        decode_file(data, source=str(tmp_path / "pictures" / "x.scf"))
    error = caught.value
    assert isinstance(error, CodebookError)
    assert isinstance(error, OSError)
    assert error.reference == reference
    assert error.name == book.name
    assert error.searched == (
        "registered in this process",
        "bundled with the package",
        f"$SOFTCOMP_CODEBOOK_PATH {tmp_path / 'a'}",
        f"$SOFTCOMP_CODEBOOK_PATH {tmp_path / 'b'}",
        f"user {empty_store}",
        f"beside the file {(tmp_path / 'pictures').resolve()}",
    )
    text = str(error)
    assert text.startswith(f"codebook {reference.hex()} (named 'small-gray8-0') was not found; ")
    positions = [text.index(place) for place in error.searched]
    assert positions == sorted(positions)


def test_a_missing_codebook_without_a_name(empty_store, file):
    with pytest.raises(CodebookNotFoundError, match=r"codebook [0-9a-f]{8} was not found; sea"):
        softcomp_codec.decode(file)


def test_size_and_name_need_no_codebook(empty_store, book):
    header = softcomp_codec.read_header(
        softcomp_codec.encode(image("gray8", 70, 71), codebook=book, effort=1, coder="shapes")
    )
    assert (header.width, header.height, header.codebook_name) == (71, 70, book.name)


def test_a_codebook_of_another_kind(empty_store, books, file):
    header, payload = container.read_file(file)
    wrong = replace(header, codebook_reference=books["bilevel"].identifier[:4])
    with pytest.raises(
        CorruptStreamError, match="codebook 'small-bilevel-0' has no part for gray8 pictures"
    ):
        softcomp_codec.decode(container.write_file(wrong, payload), codebooks=[books["bilevel"]])


def test_a_wrong_codebook_is_noticed(empty_store, other_books, file):
    """The reference is made to fit; only the picture can tell."""
    header, payload = container.read_file(file)
    other = other_books["gray8"]
    wrong = replace(header, codebook_reference=other.identifier[:4])
    with pytest.raises(CorruptStreamError):
        softcomp_codec.decode(container.write_file(wrong, payload), codebooks=[other])


def test_wrong_states_are_noticed_by_the_checksum(empty_store):
    """Another codebook without shapes decodes to another picture, without any other sign."""
    sure, unsure = gray_codebook("sure", 600), gray_codebook("unsure", 33000)
    data = softcomp_codec.encode(PLAIN, codebook=sure, effort=1, coder="shapes")
    header, payload = container.read_file(data)
    assert header.codebook_reference
    wrong = replace(header, codebook_reference=unsure.identifier[:4])
    with pytest.raises(CorruptStreamError) as caught:
        softcomp_codec.decode(container.write_file(wrong, payload), codebooks=[unsure])
    assert "checksum" in str(caught.value) or "payload" in str(caught.value)


# --- several matches ----------------------------------------------------------------------------

_COLLIDING = []


def colliding_codebooks():
    """Two codebooks of different content whose IDs begin with the same four bytes."""
    if not _COLLIDING:
        by_prefix = {}
        for name, _, digest in _variants(600):
            by_prefix[digest[:4]] = name
        other = next(found for found in _variants(33000) if found[2][:4] in by_prefix)
        _COLLIDING.append(gray_codebook(by_prefix[other[2][:4]], 600))
        _COLLIDING.append(gray_codebook(other[0], other[1]))
    return _COLLIDING


def _variants(probability, n_most=1 << 20):
    """(name, probability, ID) of codebooks that differ in their names."""
    head, tail = gray_codebook("@@@@@@", probability).serialised.split(b"@@@@@@")
    for index in range(n_most if probability > 600 else 1 << 16):
        name = f"{index:06x}"
        yield name, probability, hashlib.sha256(head + name.encode() + tail).digest()


def test_the_checksum_decides_between_several(empty_store):
    first, second = colliding_codebooks()
    assert first.identifier[:4] == second.identifier[:4]
    assert first.identifier != second.identifier
    for book in (first, second):
        data = softcomp_codec.encode(
            PLAIN, codebook=book, reference_bytes=4, effort=1, coder="shapes"
        )
        assert softcomp_codec.read_header(data).codebook_reference == book.identifier[:4]
        for order in ([first, second], [second, first]):
            decoded = decode_file(data, codebooks=order)
            assert np.array_equal(decoded.array, PLAIN)
            assert decoded.codebook is book


def test_none_of_several_fits(empty_store):
    books = colliding_codebooks()
    data = softcomp_codec.encode(
        PLAIN, codebook=books[0], reference_bytes=4, effort=1, coder="shapes"
    )
    header, payload = container.read_file(data)
    damaged = container.write_file(replace(header, checksum=header.checksum ^ 1), payload)
    with pytest.raises(CodebookMismatchError) as caught:
        softcomp_codec.decode(damaged, codebooks=books)
    text = str(caught.value)
    assert text.startswith(f"2 codebooks match {books[0].identifier[:4].hex()} and none decodes")
    for book in books:
        assert f"{book.name} ({book.identifier.hex()})" in text
    assert "last failure: " in text
    assert isinstance(caught.value.__cause__, CorruptStreamError)


def test_longer_references_tell_them_apart(empty_store):
    first, second = colliding_codebooks()
    for n_bytes in (8, 32):
        data = softcomp_codec.encode(
            PLAIN, codebook=first, reference_bytes=n_bytes, effort=1, coder="shapes"
        )
        assert softcomp_codec.read_header(data).codebook_reference == first.identifier[:n_bytes]
        assert np.array_equal(softcomp_codec.decode(data, codebooks=[second, first]), PLAIN)
        with pytest.raises(CodebookNotFoundError):
            softcomp_codec.decode(data, codebooks=[second])


# --- load_codebook ------------------------------------------------------------------------------


def test_by_name_id_and_path(empty_store, book):
    path = saved(book, empty_store)
    identifier = book.identifier.hex()
    for choice in (book.name, identifier, identifier[:8], identifier.upper(), str(path), path):
        assert load_codebook(choice).identifier == book.identifier
    assert load_codebook(book) is book


def test_by_a_name_that_looks_like_an_id(empty_store, book):
    register_codebook(named(book, "deadbeef"))
    assert load_codebook("deadbeef").name == "deadbeef"


@pytest.mark.parametrize("choice", ["nothing", "", "0123456", "0123456789abcdef", "gray8"])
def test_names_that_do_not_exist(empty_store, book, choice):
    register_codebook(book)
    with pytest.raises(CodebookNotFoundError) as caught:
        load_codebook(choice)
    assert repr(choice) in str(caught.value) or not choice
    assert "registered in this process; bundled with the package; user " in str(caught.value)


def test_ids_need_eight_digits(empty_store, book):
    register_codebook(book)
    with pytest.raises(CodebookNotFoundError):
        load_codebook(book.identifier.hex()[:7])


def test_paths_that_do_not_exist(empty_store, tmp_path):
    for choice in (tmp_path / "no.scfb", str(tmp_path / "no.scfb"), "no.scfb", tmp_path / "no"):
        with pytest.raises(CodebookNotFoundError, match="no"):
            load_codebook(choice)
    (tmp_path / "folder.scfb").mkdir()
    with pytest.raises(CodebookNotFoundError, match=r"folder\.scfb"):
        load_codebook(tmp_path / "folder.scfb")


def test_a_damaged_file_is_named(empty_store, tmp_path, book):
    path = tmp_path / "bad.scfb"
    path.write_bytes(book.to_bytes()[:-1])
    with pytest.raises(CorruptStreamError, match=r"bad\.scfb: codebook"):
        load_codebook(path)
    with pytest.raises(CorruptStreamError, match=r"bad\.scfb: codebook"):
        softcomp_codec.encode(GRAY, codebook=path)


def test_one_name_with_several_contents(empty_store, book, other_books):
    register_codebook(named(book, "scanner"))
    register_codebook(named(other_books["gray8"], "scanner"))
    with pytest.raises(CodebookError, match="2 codebooks are called 'scanner'; name one by ID: ") \
            as caught:  # fmt: skip
        load_codebook("scanner")
    for found in list_codebooks():
        assert found.book.identifier.hex()[:16] in str(caught.value)
        assert load_codebook(found.book.identifier.hex()[:16]) is found.book


def test_one_codebook_in_several_places(empty_store, monkeypatch, tmp_path, book):
    saved(book, empty_store)
    saved(book, tmp_path / "path")
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "path"))
    assert load_codebook(book.name).identifier == book.identifier


def test_encode_by_every_choice(empty_store, book):
    path = saved(book, empty_store)
    data = softcomp_codec.encode(GRAY, codebook=book)
    for choice in (book.name, book.identifier.hex(), str(path), path):
        assert softcomp_codec.encode(GRAY, codebook=choice) == data
    with pytest.raises(CodebookNotFoundError, match="'unknown'"):
        softcomp_codec.encode(GRAY, codebook="unknown")


def test_auto_does_not_take_the_users_codebooks(empty_store, book):
    saved(book, empty_store)
    register_codebook(book)
    assert softcomp_codec.encode(GRAY) == softcomp_codec.encode(GRAY, codebook=None)


def test_auto_takes_bundled_codebooks(empty_store, monkeypatch, books):
    bundle(monkeypatch, tuple(books.values()))
    for kind, book in books.items():
        picture = image(kind, seed=99)
        assert softcomp_codec.encode(picture) == softcomp_codec.encode(picture, codebook=book)


# --- folders in a bad state ---------------------------------------------------------------------


def test_damaged_files_do_not_hide_others(empty_store, book, file):
    folder = empty_store
    saved(book, folder, "m.scfb")
    (folder / "a.scfb").write_bytes(b"")
    (folder / "b.scfb").write_bytes(b"no codebook at all")
    (folder / "c.scfb").write_bytes(book.to_bytes()[:-5])
    (folder / "d.scfb").mkdir()
    (folder / "e.scfb").symlink_to(folder / "nowhere")
    (folder / "f.txt").write_bytes(book.to_bytes())
    (folder / "z.scfb").write_bytes(b"\xf7SB\x10")
    assert [Path(stored.path).name for stored in list_codebooks()] == ["m.scfb"]
    assert np.array_equal(softcomp_codec.decode(file), GRAY)
    assert load_codebook(book.name).identifier == book.identifier


def test_folders_that_are_none(empty_store, monkeypatch, tmp_path, file):
    (tmp_path / "file").write_bytes(b"x")
    monkeypatch.setenv(PATH_VARIABLE, os.pathsep.join([str(tmp_path / "file"), "relative", "."]))
    assert list_codebooks() == []
    with pytest.raises(CodebookNotFoundError, match=r"\$SOFTCOMP_CODEBOOK_PATH relative"):
        softcomp_codec.decode(file)


# --- caching ------------------------------------------------------------------------------------


def test_one_object_for_one_content(empty_store, tmp_path, book):
    first = load_codebook(saved(book, tmp_path / "a"))
    assert load_codebook(saved(book, tmp_path / "b", "other.scfb")) is first
    assert load_codebook(tmp_path / "a" / "some.scfb") is first
    data = softcomp_codec.encode(GRAY, codebook=book, embed_codebook=True)
    assert decode_file(data).codebook is first


def test_a_replaced_file_is_read_again(empty_store, tmp_path, book, other_books):
    path = saved(book, tmp_path)
    assert load_codebook(path).identifier == book.identifier
    saved(other_books["gray8"], tmp_path)
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    assert load_codebook(path).identifier == other_books["gray8"].identifier


def test_threads_share_one_object(empty_store, tmp_path, book):
    paths = [saved(book, tmp_path / str(index)) for index in range(8)]
    barrier = threading.Barrier(8)
    found = []

    def load(path):
        barrier.wait()
        found.append(load_codebook(path))

    threads = [threading.Thread(target=load, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in found}) == 1


@pytest.fixture
def eager_threads():
    """Threads take turns much more often than usual."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_registering_while_others_list(empty_store, eager_threads, book):
    """No thread may see the dictionary change while it walks through it."""
    variants = [named(book, f"variant {index}") for index in range(600)]
    failures = []
    done = threading.Event()

    def walk():
        while not done.is_set():
            try:
                list_codebooks()
            except RuntimeError as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=walk) for _ in range(3)]
    for thread in threads:
        thread.start()
    for variant in variants:
        register_codebook(variant)
        time.sleep(1e-4)
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(list_codebooks()) == 600


# --- what travels with the package --------------------------------------------------------------


def test_bundled_codebooks_are_readable():
    found = bundled_codebooks()
    assert names(found) == sorted(names(found))
    assert len({book.identifier for book in found}) == len(found)
    listed = [stored for stored in list_codebooks() if stored.origin == "bundled"]
    for stored in listed:
        assert Codebook.load(stored.path).identifier == stored.book.identifier
        assert load_codebook(stored.book.identifier.hex()) is stored.book


def test_index_of_the_bundled_codebooks_is_true():
    """A stale index would hide a codebook from `auto`; build.py writes it."""
    index = json.loads((bundled_folder() / INDEX).read_bytes())
    assert set(index) == {file.name for file in bundled_files()}
    for file in bundled_files():
        assert index[file.name]["id"] == file.identifier.hex() == file.book.identifier.hex()
        assert file.book.name == file.name
        assert set(index[file.name]["modes"]) == file.modes == served_modes(file.book)


def test_bundled_codebooks_load_when_needed(monkeypatch, book):
    loaded = []
    files = [
        BundledFile(name, bytes([index]) * 32, frozenset({index}), partial(loaded.append, name))
        for index, name in enumerate(("bilevel", "gray"))
    ]
    files.append(BundledFile.of(book))
    monkeypatch.setattr(codebook_store, "bundled_files", lambda: tuple(files))
    assert np.array_equal(softcomp_codec.decode(softcomp_codec.encode(GRAY, codebook=book)), GRAY)
    assert codebook_store.bundled_codebooks(container.MODES[2]) == ()
    assert load_codebook(book.name).identifier == book.identifier
    assert not loaded


@pytest.mark.parametrize("index", [None, "{}", "wrong ID"])
def test_codebooks_without_a_true_index(monkeypatch, tmp_path, book, index):
    book.save(tmp_path / f"{book.name}.scfb")
    if index is not None:
        wrong = json.dumps({book.name: {"id": "00" * 32, "modes": []}})
        (tmp_path / INDEX).write_text("{}" if index == "{}" else wrong)
    monkeypatch.setattr(codebook_store, "bundled_folder", lambda: tmp_path)
    monkeypatch.setattr(codebook_store, "bundled_files", codebook_store.bundled_files.__wrapped__)
    assert [each.identifier for each in bundled_codebooks(container.MODES[1])] == [book.identifier]


def test_user_folder_is_named_after_the_package():
    folder = codebook_store.user_folder()
    assert folder.name == "codebooks"
    assert "softcomp-codec" in str(folder)


def test_a_user_without_a_home(monkeypatch, book, file):
    """As in a container that runs as a user without an entry, and without HOME."""

    def no_home(*arguments, **options):
        raise RuntimeError("could not determine the home directory for '~/.local/share'")

    monkeypatch.setattr(codebook_store, "user_data_path", no_home)
    monkeypatch.setattr(codebook_store, "_registered", {})
    assert isinstance(list_codebooks(), list)
    with pytest.raises(CodebookNotFoundError, match="registered in this process; bundled"):
        softcomp_codec.decode(file)
    with pytest.raises(CodebookNotFoundError, match="'nothing'"):
        load_codebook("nothing")


def test_copies_of_a_file_work_elsewhere(empty_store, tmp_path, book, file):
    """Copying a codebook with its time stamp must not confuse the cache."""
    path = saved(book, tmp_path / "a")
    copy = Path(shutil.copy2(path, tmp_path / "copy.scfb"))
    assert load_codebook(copy) is load_codebook(path)
