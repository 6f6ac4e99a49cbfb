"""Sets of images in one file: writing, reading, adding, and what is left of damaged ones."""

import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from made_images import colours, figure, glyphs, noise, slope
from PIL import Image
from small_codebooks import bundle, gray_codebook, named, small_codebook, tiny_codebook

import softcomp_codec
from softcomp_codec import (
    CodebookNotFoundError,
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
    container,
    set_format,
    set_writer,
)
from softcomp_codec.container import Segment
from softcomp_codec.set_format import Index


def mixed():
    """Images of several modes and sizes: tiny ones that share blocks, and others."""
    images = [figure(9, 9, seed) for seed in range(20)]
    images += [glyphs(12, 11, seed) for seed in range(5)]
    images += [slope(70, 61), colours(20, 17), noise((8, 8), 65536).astype(np.uint16)]
    return [*images, slope(9, 9)[:, :, None]]


def write(path, images, **options):
    options.setdefault("codebook", None)
    softcomp_codec.write_set(path, images, **options)
    return path


def same(found, image):
    return found.dtype == image.dtype and found.shape == image.shape and (found == image).all()


@pytest.fixture
def mixed_set(tmp_path):
    return write(tmp_path / "set.scf", mixed())


# --- round trips --------------------------------------------------------------------------------


def test_every_image_comes_back(mixed_set):
    images = mixed()
    with softcomp_codec.open_set(mixed_set) as found:
        assert len(found) == len(images)
        assert found.names == [str(index) for index in range(len(images))]
        for index in (*range(len(images)), -1):
            assert same(found.read(index), images[index])
        assert same(found.read("7"), images[7])
        assert found.damage == ()
        found.verify()


def test_pillow_images_by_index_and_name(tmp_path):
    images = {"a/b.png": slope(9, 9), "c d.png": glyphs(8, 9), "e": colours(40, 50)}
    path = write(tmp_path / "set.scf", images.values(), names=images)
    with softcomp_codec.open_set(path) as found:
        assert found.names == list(images)
        assert "c d.png" in found
        assert "c" not in found
        assert 0 not in found
        assert [found.index(name) for name in images] == [0, 1, 2]
        for index, (name, array) in enumerate(images.items()):
            for image in (found[name], found[index], found[index - 3]):
                assert same(np.asarray(image), array)
        assert [(name, image.mode) for name, image in found.items()] == [
            ("a/b.png", "L"), ("c d.png", "1"), ("e", "RGB"),
        ]  # fmt: skip
        assert [image.size for image in found] == [(9, 9), (9, 8), (50, 40)]
        with pytest.raises(KeyError):
            found["f"]
        with pytest.raises(IndexError):
            found[3]
        with pytest.raises(IndexError):
            found.read(-4)


def test_an_image_that_pillow_cannot_hold_is_read_as_an_array(mixed_set):
    with softcomp_codec.open_set(mixed_set) as found:
        with pytest.raises(OSError, match="Pillow"):
            found[-1]
        assert same(found.read(-1), mixed()[-1])


def test_frames_stay_together(tmp_path):
    frames = [slope(30, 31, seed) for seed in range(3)]
    with softcomp_codec.SetWriter(tmp_path / "set.scf", codebook=None) as writer:
        writer.add(slope(5, 5))
        writer.add_frames(frames, "stack")
    with softcomp_codec.open_set(tmp_path / "set.scf") as found:
        assert same(found.read("stack"), np.stack(frames))
        assert found["stack"].n_frames == 3
        assert found.header("stack").n_frames == 3


def test_palettes_are_kept(tmp_path):
    image = Image.fromarray(colours(20, 30)).quantize(7)
    path = write(tmp_path / "set.scf", [image, image])
    with softcomp_codec.open_set(path) as found:
        assert found[1].mode == "P"
        assert found[1].convert("RGB").tobytes() == image.convert("RGB").tobytes()


def test_metadata_stand_in_the_image(tmp_path):
    tagged = Image.fromarray(slope(9, 9, 3))
    tagged.info.update(dpi=(72, 72), exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    with softcomp_codec.SetWriter(tmp_path / "set.scf", codebook=None) as writer:
        writer.add(slope(9, 9, 0))
        writer.add(slope(9, 9, 1), metadata={"comment": b"one"})
        writer.add(slope(9, 9, 2))
        writer.add(tagged)
        writer.add(tagged, metadata=False)
    with softcomp_codec.open_set(tmp_path / "set.scf") as found:
        assert found[1].info["comment"] == b"one"
        assert found[3].info["dpi"] == (72, 72)
        assert found[3].info["exif"] == tagged.info["exif"]
        assert "dpi" not in found[4].info
        assert [same(found.read(index), slope(9, 9, index)) for index in range(4)] == [True] * 4
        assert found.header(2).segments == ()
        again = softcomp_codec.SetWriter(tmp_path / "again.scf", codebook=None)
        with again:
            for name, image in found.items():
                again.add(image, name)
    with softcomp_codec.open_set(tmp_path / "again.scf") as found:
        assert found["3"].info["dpi"] == (72, 72)
    with Image.open(tmp_path / "again.scf") as image:
        image.seek(1)
        assert image.info["image_name"] == "1"
        image.save(tmp_path / "one.scf")
    with Image.open(tmp_path / "one.scf") as image:
        assert image.info["comment"] == b"one"
        assert "image_name" not in image.info


def test_files_are_added_as_they_are(tmp_path, empty_store):
    book = tiny_codebook(9)
    images = [figure(9, 9, seed) for seed in range(3)]
    embedding = softcomp_codec.encode(images[0], codebook=book, embed_codebook=True)
    referring = softcomp_codec.encode(images[1], codebook=book, metadata={"comment": b"kept"})
    plain = softcomp_codec.encode(images[2], codebook=None)
    checked = softcomp_codec.encode(images[2], codebook=None, file_check=True)
    with softcomp_codec.SetWriter(tmp_path / "set.scf", codebook=book) as writer:
        for data in (embedding, referring, plain):
            writer.add_file(data)
        with pytest.raises(ValueError, match="file check"):
            writer.add_file(checked)
        with pytest.raises(ScfError):
            writer.add_file(plain[:5])
    with softcomp_codec.open_set(tmp_path / "set.scf") as found:
        assert len(found) == 3
        assert all(same(found.read(index), image) for index, image in enumerate(images))
        assert found.file(0) == embedding
        assert found.file(2) == plain
        assert found[1].info["comment"] == b"kept"


def test_files_of_single_images(mixed_set):
    images = mixed()
    with softcomp_codec.open_set(mixed_set) as found:
        for index, image in enumerate(images):
            assert same(softcomp_codec.decode(found.file(index)), image)
            header = found.header(index)
            assert header.shape == image.shape


def test_a_set_of_nothing(tmp_path):
    path = write(tmp_path / "set.scf", [])
    with softcomp_codec.open_set(path) as found:
        assert len(found) == 0
        assert list(found) == found.names == []
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(path)


def test_bytes_do_not_depend_on_threads_or_on_how_images_arrive(tmp_path):
    one = write(tmp_path / "one.scf", mixed(), threads=1).read_bytes()
    assert write(tmp_path / "four.scf", iter(mixed()), threads=4).read_bytes() == one


def test_batches_bound_what_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(set_writer, "BATCH_IMAGES", 4)
    writer = softcomp_codec.SetWriter(tmp_path / "set.scf", codebook=None)
    with writer:
        for index in range(10):
            writer.add(figure(9, 9, index))
            assert len(writer._pending) < 4
    with softcomp_codec.open_set(tmp_path / "set.scf") as found:
        assert [entry.n_images for entry in found.entries] == [4, 4, 2]


def test_tiny_images_cost_little_around_their_payloads(tmp_path):
    images = [figure(9, 9, seed) for seed in range(64)]
    path = write(tmp_path / "set.scf", images, codebook=tiny_codebook(9), embed_codebook=False)
    with softcomp_codec.open_set(path, codebooks=[tiny_codebook(9)]) as found:
        payloads = sum(
            len(data) - container.read_header(data).payload_offset
            for data in (found.file(index) for index in range(64))
        )
        assert path.stat().st_size - found.head.n_bytes - payloads <= 3.5 * 64


# --- codebooks ----------------------------------------------------------------------------------


def test_a_private_codebook_is_embedded_once(tmp_path, empty_store):
    images = [figure(9, 9, seed) for seed in range(20)] + [slope(100, 90)]
    path = write(tmp_path / "set.scf", images, codebook=tiny_codebook(9))
    with softcomp_codec.open_set(path) as found:
        assert found.head.segment_of_codebook() == tiny_codebook(9).to_bytes()
        assert all(same(found.read(index), image) for index, image in enumerate(images))
        single = found.file(3)
        with pytest.raises(CodebookNotFoundError):
            softcomp_codec.decode(single)
        assert same(softcomp_codec.decode(found.file(3, embed_codebook=True)), images[3])


def test_a_codebook_that_is_referred_to_must_be_there(tmp_path, empty_store):
    images = [figure(9, 9, seed) for seed in range(3)]
    book = tiny_codebook(9)
    path = write(tmp_path / "set.scf", images, codebook=book, embed_codebook=False)
    with softcomp_codec.open_set(path) as found:
        assert found.head.segment_of_codebook() is None
        assert found.names == ["0", "1", "2"]
        with pytest.raises(CodebookNotFoundError, match=book.name):
            found.read(0)
    with softcomp_codec.open_set(path, codebooks=[book]) as found:
        assert same(found.read(0), images[0])
    book.save(tmp_path / "beside.scfb")
    with softcomp_codec.open_set(path) as found:
        assert same(np.asarray(found[1]), images[1])


def test_large_images_use_the_set_codebook_too(tmp_path, empty_store):
    book = small_codebook("gray8")
    image = slope(72, 72, 5)
    path = write(tmp_path / "set.scf", [image], codebook=book, coder="shapes")
    with softcomp_codec.open_set(path) as found:
        assert found.header(0).codebook_reference == book.identifier[:8]
        assert found.header(0).segments == ()
        assert same(np.asarray(found[0]), image)
        assert same(found.read(0), image)


def test_an_image_that_needs_no_codebook_says_so(tmp_path, empty_store):
    image = noise((9, 9)).astype(np.uint8)
    path = write(tmp_path / "set.scf", [image, figure(9, 9)], codebook=tiny_codebook(9))
    with softcomp_codec.open_set(path) as found:
        assert [bool(found.header(i).codebook_reference) for i in range(2)] == [False, True]
        assert same(found.read(0), image)


def test_bundled_codebooks_are_chosen_and_not_embedded(tmp_path, monkeypatch):
    books = [tiny_codebook(9), tiny_codebook(7)]
    bundle(monkeypatch, books)
    images = [figure(9, 9, s) for s in range(20)] + [figure(7, 7, s) for s in range(6)]
    path = write(tmp_path / "set.scf", images, codebook="auto")
    with softcomp_codec.open_set(path) as found:
        assert found.head.codebook_reference == books[0].identifier[:8]
        assert found.head.segment_of_codebook() is None
        assert found.header(0).codebook_reference == books[0].identifier[:8]
        assert found.header(25).codebook_reference == books[1].identifier[:4]
        assert all(same(found.read(index), image) for index, image in enumerate(images))
    embedding = write(tmp_path / "e.scf", images, codebook="auto", embed_codebook=True)
    with softcomp_codec.open_set(embedding) as found:
        assert found.head.segment_of_codebook() == books[0].to_bytes()


# --- adding -------------------------------------------------------------------------------------


def add(path, images, names=None, **options):
    with softcomp_codec.SetWriter(path, append=True, codebook=None, **options) as writer:
        for index, image in enumerate(images):
            writer.add(image, names[index] if names else None)


def test_adding_keeps_every_byte(mixed_set):
    before = mixed_set.read_bytes()
    add(mixed_set, [slope(9, 9, 77)])
    add(mixed_set, [slope(9, 9, 78), slope(60, 60)], ["x", "y"])
    after = mixed_set.read_bytes()
    assert after.startswith(before)
    images = [*mixed(), slope(9, 9, 77), slope(9, 9, 78), slope(60, 60)]
    with softcomp_codec.open_set(mixed_set) as found:
        assert found.names[-4:] == ["28", "29", "x", "y"]
        assert all(same(found.read(index), image) for index, image in enumerate(images))
        found.verify()


def test_adding_costs_its_images_and_a_small_index(mixed_set):
    size = mixed_set.stat().st_size
    for seed in range(20):
        add(mixed_set, [figure(9, 9, seed)])
    single = len(softcomp_codec.encode(figure(9, 9), codebook=None))
    assert mixed_set.stat().st_size - size < 20 * (single + 40)


def test_adding_to_a_set_with_a_codebook_uses_it(tmp_path, empty_store):
    book = tiny_codebook(9)
    path = write(tmp_path / "set.scf", [figure(9, 9)], codebook=book)
    with softcomp_codec.SetWriter(path, append=True) as writer:
        writer.add(figure(9, 9, 5))
    with softcomp_codec.open_set(path) as found:
        assert found.header(1).codebook_reference == book.identifier[:8]
        assert same(found.read(1), figure(9, 9, 5))
    with pytest.raises(ValueError, match="cannot be added to with 'other'"):
        softcomp_codec.SetWriter(path, append=True, codebook=named(book, "other"))


def test_adding_needs_a_set(tmp_path):
    with pytest.raises(FileNotFoundError):
        softcomp_codec.SetWriter(tmp_path / "none.scf", append=True)
    (tmp_path / "no.scf").write_bytes(softcomp_codec.encode(slope(9, 9), codebook=None))
    with pytest.raises(CorruptStreamError, match="not a set"):
        softcomp_codec.SetWriter(tmp_path / "no.scf", append=True)


def test_a_failed_addition_is_taken_back(mixed_set, monkeypatch):
    before = mixed_set.read_bytes()

    def images():
        yield slope(50, 50)
        raise RuntimeError

    monkeypatch.setattr(set_writer, "BATCH_IMAGES", 1)
    with pytest.raises(RuntimeError):
        write(mixed_set, images(), append=True)
    assert mixed_set.read_bytes() == before


def test_two_cannot_add_at_once(mixed_set):
    pytest.importorskip("fcntl")
    with (
        softcomp_codec.SetWriter(mixed_set, append=True, codebook=None),
        pytest.raises(OSError, match="somebody else"),
    ):
        softcomp_codec.SetWriter(mixed_set, append=True)


@pytest.mark.parametrize("n_lost", [1, 9, 40])
def test_adding_after_a_cut(mixed_set, n_lost):
    add(mixed_set, [slope(9, 9, 77)])
    data = mixed_set.read_bytes()
    mixed_set.write_bytes(data[:-n_lost])
    with pytest.raises(TruncatedStreamError):
        softcomp_codec.SetWriter(mixed_set, append=True)
    add(mixed_set, [slope(9, 9, 78)], ["new"], recover=True)
    with softcomp_codec.open_set(mixed_set) as found:
        assert same(found.read("new"), slope(9, 9, 78))
        assert found.index("new") in (len(mixed()), len(mixed()) + 1)
        found.verify()


def test_nothing_is_added_to_a_damaged_set(mixed_set):
    with softcomp_codec.open_set(mixed_set) as found:
        second = found.entries[1]
    data = bytearray(mixed_set.read_bytes())
    data[second.offset + 20] ^= 1
    mixed_set.write_bytes(data[:-3])
    with pytest.raises(CorruptStreamError, match="damaged, not only cut off"):
        softcomp_codec.SetWriter(mixed_set, append=True, recover=True)
    assert mixed_set.read_bytes() == data[:-3]


# --- names --------------------------------------------------------------------------------------

BAD_NAMES = [
    "", "/a", "a//b", "a/", ".", "..", "../a", "a/../b", "a/./b", "a\0b", "a\nb", "a\x7fb",
    "a\x85b", "a\\b", "\ud800", "x" * 1025,
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_lead_elsewhere_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="name"), softcomp_codec.SetWriter(
        tmp_path / "set.scf"
    ) as writer:  # fmt: skip
        writer.add(slope(9, 9), name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in BAD_NAMES if name and name[0] != "\ud800"])
@pytest.mark.parametrize("n_images", [1, 2])
def test_such_names_are_not_believed(tmp_path, monkeypatch, name, n_images):
    monkeypatch.setattr(set_writer, "check_name", lambda name: name)
    names = [name, "ok"][:n_images]
    path = write(tmp_path / "set.scf", [slope(9, 9)] * n_images, names=names)
    with softcomp_codec.open_set(path) as found:
        with pytest.raises(CorruptStreamError):
            _ = found.names
        with pytest.raises(CorruptStreamError):
            found.read(0)


@pytest.mark.parametrize("names", [["a", "a"], ["1", None], [None, "0"]])
def test_equal_names_are_refused(tmp_path, names):
    writer = softcomp_codec.SetWriter(tmp_path / "set.scf")
    writer.add(slope(9, 9), names[0])
    with pytest.raises(ValueError, match="already"):
        writer.add(slope(9, 9), names[1])
    assert len(writer) == 1
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_equal_names_in_a_file_are_corrupt(tmp_path):
    path = tmp_path / "set.scf"
    writer = softcomp_codec.SetWriter(path, codebook=None)
    for _ in range(2):
        writer.add(slope(9, 9), "a")
        writer._names.clear()
    writer.close()
    with softcomp_codec.open_set(path) as found:
        assert len(found.names) == 2
        with pytest.raises(CorruptStreamError, match="two images"):
            found["a"]
        with pytest.raises(CorruptStreamError, match="one name"):
            found.verify()


def test_names_of_a_group_cost_little(tmp_path):
    images = [figure(9, 9, index) for index in range(64)]
    names = [f"some/folder/of/images/{index:05}.png" for index in range(64)]
    named = write(tmp_path / "named.scf", images, names=names).stat().st_size
    numbered = write(tmp_path / "numbered.scf", images).stat().st_size
    assert named - numbered <= 64 * 6.5


def test_long_and_foreign_names(tmp_path):
    names = ["ä/" + "x" * 255 + str(index) for index in range(20)] + ["日本.png", " ", "a:b"]
    images = [figure(9, 9, index) for index in range(len(names))]
    path = write(tmp_path / "set.scf", images, names=names)
    with softcomp_codec.open_set(path) as found:
        assert found.names == names
        assert same(found.read("日本.png"), images[20])


# --- damage -------------------------------------------------------------------------------------


def whole_blocks(contents, end):
    """Numbers of the images in blocks that end before a byte."""
    return {
        entry.position + k
        for entry in contents
        if entry.offset + entry.n_bytes <= end
        for k in range(entry.n_images)
    }


def test_a_cut_set_gives_back_what_is_whole(mixed_set):
    data, images = mixed_set.read_bytes(), mixed()
    with softcomp_codec.open_set(mixed_set) as found:
        entries, head = found.entries, found.head.n_bytes
    for end in range(len(data)):
        cut = BytesIO(data[:end])
        with pytest.raises(ScfError) as caught:
            softcomp_codec.open_set(cut)
        assert isinstance(caught.value, TruncatedStreamError)
        cut.seek(0)
        if end < head:
            with pytest.raises(ScfError):
                softcomp_codec.open_set(cut, recover=True)
            continue
        with softcomp_codec.open_set(cut, recover=True) as found:
            assert found.damage
            assert {int(name) for name in found.names} == whole_blocks(entries, end)
            if end % 50 == 0:
                assert all(same(found.read(name), images[int(name)]) for name in found.names)


def test_no_flipped_bit_passes(tmp_path):
    images = [figure(9, 9, seed) for seed in range(4)] + [slope(20, 20)]
    path = write(tmp_path / "set.scf", images, names=["a", "b", "c", "d", "e"])
    data = path.read_bytes()
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(ScfError):
            softcomp_codec.open_set(BytesIO(flipped)).verify()
        try:
            found = softcomp_codec.open_set(BytesIO(flipped), recover=True)
        except ScfError:
            continue  # its head is damaged
        assert found.damage
        for name in found.names:
            assert same(found.read(name), images["abcde".index(name)])


def test_one_damaged_block_leaves_the_others(mixed_set):
    images = mixed()
    with softcomp_codec.open_set(mixed_set) as found:
        entries = found.entries
    for entry in entries:
        for place in (entry.offset + 1, entry.offset + entry.n_bytes // 2):
            data = bytearray(mixed_set.read_bytes())
            data[place] ^= 0x41
            lost = set(range(entry.position, entry.position + entry.n_images))
            found = softcomp_codec.open_set(BytesIO(data))
            with pytest.raises(CorruptStreamError):
                found.read(entry.position)
            others = set(range(len(images))) - lost
            assert all(same(found.read(index), images[index]) for index in sorted(others)[::7])
            rest = softcomp_codec.open_set(BytesIO(data), recover=True)
            assert {int(name) for name in rest.names} == others
            last = max(others)
            assert same(rest.read(str(last)), images[last])


def test_a_damaged_index_is_rebuilt_on_demand(mixed_set):
    data = bytearray(mixed_set.read_bytes())
    data[-10] ^= 1
    with pytest.raises(TruncatedStreamError, match="no index at its end"):
        softcomp_codec.open_set(BytesIO(data))
    with softcomp_codec.open_set(BytesIO(data), recover=True) as found:
        assert len(found) == len(mixed())
        assert found.damage


def rebuilt(data, change):
    """A set whose index says something else, with the right CRC."""
    length = int.from_bytes(data[-8:-4], "little")
    start = len(data) - length
    return data[:start] + set_format.write_index(change(set_format.read_index(data[start:], start)))


@pytest.mark.parametrize(
    "change",
    [
        lambda i: Index(i.n_images + 1, 0, i.blocks),
        lambda i: Index(i.n_images, 5, i.blocks),
        lambda i: Index(i.n_images, 1 << 39, i.blocks),
        lambda i: Index(i.n_images, 0, i.blocks[:-1]),
        lambda i: Index(i.n_images, 0, (*i.blocks, (1 << 39, 1, False))),
        lambda i: Index(i.n_images, 0, (*i.blocks, (0, 0, False))),
        lambda i: Index(i.n_images, 0, tuple((n, k, True) for n, k, _ in i.blocks)),
        lambda i: Index(i.n_images, 0, tuple((n, k ^ 1, f) for n, k, f in i.blocks)),
        lambda i: Index(
            i.n_images,
            0,
            ((i.blocks[0][0] + 1, *i.blocks[0][1:]), (i.blocks[1][0] - 1, *i.blocks[1][1:]),
             *i.blocks[2:]),
        ),
    ],
)  # fmt: skip
def test_an_index_that_lies_is_found_out(mixed_set, change):
    data = rebuilt(mixed_set.read_bytes(), change)
    if data == mixed_set.read_bytes():
        pytest.skip("it says the same")
    try:
        found = softcomp_codec.open_set(BytesIO(data))
        lies = [None for index in (0, 1) if _fails(found, index)]
        assert lies
    except ScfError:
        pass
    whole = softcomp_codec.open_set(BytesIO(data), recover=True)
    assert len(whole) == len(mixed())


def _fails(found, index):
    with pytest.raises(ScfError):
        found.read(index)
    return True


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\0", b"\0\0", b"\0\xff", b"\0\x01", b"\0\x00\x01", b"\0\0\x01\x80\x80",
        b"\0\0\x01\0\x09", b"\0\0\x01\x09\x09", b"\0\0\x1d\x09\x09", b"\0\0\x01\x09\x09\0",
        b"\0\0\x01\x09\x09\x01\0\x00", b"\0\0\x01\x09\x09\x01\0\x11",
        b"\0\0\x01\x09\x09\x01\0\x02\0",
        b"\0\0\x01\x09\x09\x01\0\x02\x03" + bytes(12), b"\0\0\x01\x09\x09\x01\0\x02\x01" + bytes(8),
        b"\0\0\x01\x09\x09\x01\0\x02\x01" + bytes(8) + b"\0\x21", b"\0\0\x0c\x09\x09\x01\0\x02\x01",
        b"\0\0\x01\x80\x80\x02\x80\x80\x02\x01\0\x02\x01" + bytes(8) + b"\0\0",
        b"\0\0\x01\x09\x09\x01\xc0\x02\x01" + bytes(8) + b"\0\0",
        b"\0\0\x01\x09\x09\x01\0\x02\x01" + bytes(8) + b"\xff\x7f\0",
        b"\0\x10\x01\x09\x09\x01\0\x02\x01" + bytes(8) + b"\x02\x01\x07",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [set_format.IMAGE_BLOCK, set_format.GROUP_BLOCK])
def test_hostile_blocks_are_errors(kind, content):
    block = set_format.write_block(kind, content)
    n_images = 1 if kind == set_format.IMAGE_BLOCK else 2
    head = set_format.write_head(b"", [])
    index = set_format.write_index(Index(n_images, 0, ((len(block), n_images, False),)))
    found = softcomp_codec.open_set(BytesIO(head + block + index))
    for use in (found.read, found.__getitem__):
        with pytest.raises(ScfError):
            use(0)
    softcomp_codec.open_set(BytesIO(head + block + index), recover=True)


def test_an_image_of_a_set_has_no_file_check(tmp_path):
    file = softcomp_codec.encode(slope(9, 9), codebook=None, file_check=True)
    block = set_format.write_image_block(0, None, file, of_set=False)
    index = set_format.write_index(Index(1, 0, ((len(block), 1, False),)))
    found = softcomp_codec.open_set(BytesIO(set_format.write_head(b"", []) + block + index))
    with pytest.raises(CorruptStreamError, match="file check"):
        found.read(0)


def test_unknown_blocks(tmp_path, mixed_set):
    data = mixed_set.read_bytes()
    with softcomp_codec.open_set(mixed_set) as found:
        start = found.head.n_bytes
    length = int.from_bytes(data[-8:-4], "little")
    index = set_format.read_index(data[-length:], 0)
    for kind, readable in ((0x90, True), (0x42, False)):
        extra = container.write_segment(Segment(kind, b"news"))
        blocks = ((len(extra), 0, False), *index.blocks)
        new = data[:start] + extra + data[start:-length]
        new += set_format.write_index(Index(index.n_images, 0, blocks))
        with softcomp_codec.open_set(BytesIO(new)) as found:
            found.verify()
        with softcomp_codec.open_set(BytesIO(new), recover=True) as found:
            assert bool(found.damage) != readable


def test_heads(mixed_set):
    data = mixed_set.read_bytes()
    for head in (b"", b"\xf7SC", b"\xf7SB\x08", data[:3] + b"\x18" + data[4:]):
        with pytest.raises(ScfError):
            softcomp_codec.open_set(BytesIO(head))
    for segments in ([Segment(container.SEGMENT_PALETTE, b"")], [Segment(0x86, b"book")]):
        with pytest.raises(ScfError):
            softcomp_codec.open_set(BytesIO(set_format.write_head(b"", segments) + bytes(40)))
    with pytest.raises(CorruptStreamError, match="not a set"):
        softcomp_codec.open_set(BytesIO(softcomp_codec.encode(slope(9, 9), codebook=None)))
    with pytest.raises(UnsupportedStreamError, match="open_set"):
        softcomp_codec.decode(data)


# --- other users --------------------------------------------------------------------------------


def test_pickled_sets_open_again(mixed_set):
    with softcomp_codec.open_set(mixed_set, codebooks=[gray_codebook()]) as found:
        again = pickle.loads(pickle.dumps(found))
        with again:
            assert same(again.read(3), mixed()[3])
        with mixed_set.open("rb") as stream, pytest.raises(TypeError, match="pickled"):
            pickle.dumps(softcomp_codec.open_set(stream))


def test_threads_share_a_set(mixed_set):
    images = mixed()
    with softcomp_codec.open_set(mixed_set) as found, ThreadPoolExecutor(16) as pool:
        order = list(noise((200,), len(images)))
        arrays = pool.map(found.read, order)
        assert all(same(array, images[index]) for index, array in zip(order, arrays, strict=True))


def test_an_array_is_the_callers_own(mixed_set):
    with softcomp_codec.open_set(mixed_set) as found:
        found.read(0)[:] = 0
        assert same(found.read(0), mixed()[0])


def test_only_what_is_asked_for_is_read(mixed_set, monkeypatch):
    from softcomp_codec import set_reader

    with softcomp_codec.open_set(mixed_set) as found:
        read = []
        real = set_reader.SetFile.read
        monkeypatch.setattr(
            set_reader.SetFile, "read",
            lambda self, start, n: read.append((start, n)) or real(self, start, n),
        )  # fmt: skip
        found.read(0)
        entry = found.entries[0]
        assert read == [(entry.offset, entry.n_bytes)]


def test_closed_sets(mixed_set):
    found = softcomp_codec.open_set(mixed_set)
    found.close()
    with pytest.raises(ValueError, match="closed"):
        found.read(0)
    writer = softcomp_codec.SetWriter(mixed_set.with_name("n.scf"))
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.add(slope(9, 9))


def test_pillow_opens_the_first_image(tmp_path):
    images = {"a": slope(9, 8), "b": colours(20, 30), "c": glyphs(9, 9)}
    path = write(tmp_path / "set.scf", images.values(), names=images)
    with Image.open(path) as image:
        assert (image.format, image.mode, image.size, image.n_frames) == ("SCF", "L", (8, 9), 3)
        assert image.info["image_name"] == "a"
        assert same(np.asarray(image), images["a"])
        image.seek(1)
        assert (image.mode, image.size, image.info["image_name"]) == ("RGB", (30, 20), "b")
        assert same(np.asarray(image), images["b"])
        image.seek(2)
        assert same(np.asarray(image), images["c"])
        assert image.tell() == 2
        with pytest.raises(EOFError):
            image.seek(3)
        image.seek(0)
        assert same(np.asarray(pickle.loads(pickle.dumps(image))), images["a"])
    with Image.open(path) as image:
        image.verify()
    with Image.open(BytesIO(path.read_bytes())) as image:
        image.seek(1)
        assert same(np.asarray(image), images["b"])
    damaged = bytearray(path.read_bytes())
    damaged[40] ^= 1
    with pytest.raises(ScfError), Image.open(BytesIO(damaged)) as image:
        image.verify()


# --- interruptions ------------------------------------------------------------------------------


def _bytes_in(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


_PACKING = """
import sys, numpy as np, softcomp_codec
from softcomp_codec import set_writer
set_writer.BATCH_IMAGES = 2
append = sys.argv[2] == "append"
with softcomp_codec.SetWriter(sys.argv[1], codebook=None, append=append) as writer:
    print("ready", flush=True)
    for seed in range(9000):
        writer.add(np.full((20, 20), seed % 256, np.uint8), f"new-{seed}")
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
@pytest.mark.parametrize("how", ["new", "append"])
def test_killed_writers_leave_nothing_that_claims_to_be_whole(tmp_path, how):
    path = tmp_path / "set.scf"
    old = mixed()[:3]
    if how == "append":
        write(path, old)
    size = _bytes_in(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", _PACKING, path, how], stdout=subprocess.PIPE)
    with process:
        process.stdout.readline()
        give_up = time.monotonic() + 20
        while _bytes_in(tmp_path) < size + 20_000 and time.monotonic() < give_up:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    if how == "new":
        assert not path.exists()
        return
    with pytest.raises(TruncatedStreamError):
        softcomp_codec.open_set(path)
    with softcomp_codec.open_set(path, recover=True) as found:
        assert len(found) > 3
        assert all(same(found.read(index), image) for index, image in enumerate(old))
        assert found.read(3).max() == 0


_LIMITED = """
import resource, signal, sys, numpy as np, softcomp_codec
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
rng = np.random.default_rng(0)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
try:
    softcomp_codec.{call}
except OSError as error:
    print(error.errno, error.filename)
"""


@pytest.mark.skipif(os.name == "nt", reason="no limits of file sizes")
@pytest.mark.parametrize("append", [False, True])
def test_a_full_disk_is_a_clear_error(tmp_path, append):
    path = tmp_path / "set.scf"
    if append:
        write(path, mixed()[:3])
    before = path.read_bytes() if append else None
    images = "(rng.integers(0, 256, (100, 100), np.uint8) for _ in range(9))"
    call = f"write_set({str(path)!r}, {images}, codebook=None, append={append})"
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED.format(call=call)], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    number, name = done.stdout.split()
    assert int(number) == 27  # EFBIG; a full disk is ENOSPC
    assert name == str(path)
    assert [each.name for each in tmp_path.iterdir()] == (["set.scf"] if append else [])
    if append:
        assert path.read_bytes() == before


def test_write_protected_files_stay(mixed_set):
    before = mixed_set.read_bytes()
    mixed_set.chmod(0o444)
    if os.access(mixed_set, os.W_OK):
        pytest.skip("this user may write everything")
    for options in ({}, {"append": True}):
        with pytest.raises(PermissionError):
            write(mixed_set, [slope(9, 9)], **options)
    assert mixed_set.read_bytes() == before


def test_a_folder_is_no_set(tmp_path):
    with pytest.raises(OSError, match="file of its own"):
        write(tmp_path, [])
    with pytest.raises(OSError, match="none"):
        write(tmp_path / "none" / "set.scf", [])


def test_bad_options(tmp_path):
    with pytest.raises(TypeError, match="embed_codebook"):
        softcomp_codec.SetWriter(tmp_path / "a.scf", embed_codebook="yes")
    with pytest.raises(CodebookNotFoundError):
        softcomp_codec.SetWriter(tmp_path / "a.scf", codebook="no such")
    with pytest.raises(ValueError, match="effort"):
        write(tmp_path / "a.scf", [slope(9, 9)], effort=12)
    with pytest.raises(ValueError, match="frames"):
        softcomp_codec.SetWriter(tmp_path / "a.scf").add_frames([])
    with pytest.raises(ValueError, match="shorter"):
        write(tmp_path / "a.scf", [slope(9, 9)], names=[])
    assert list(tmp_path.iterdir()) == []
