"""Whole trees of files: what is converted, what is left alone, and that nothing is lost."""

import errno
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from cli_commands import run
from PIL import Image

import softcomp_codec
from softcomp_codec import atomic_files
from softcomp_codec.cli import batch, encode, file_progress, safe_files, trees
from softcomp_codec.samples import list_samples

pytestmark = pytest.mark.usefixtures("nothing_of_the_user")

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX files")
not_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)


def gray(seed, size=(9, 7)):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 5, size, np.uint8) * np.uint8(40))


def names_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def pixels(path):
    with Image.open(path) as image:
        image.load()
        return image.mode, image.size, image.tobytes(), image.info.get("dpi")


def write_idx(path, images):
    import gzip

    data = b"\0\0\x08\x03" + struct.pack(">III", *images.shape) + images.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def tree(tmp_path):
    """Pictures of several formats, arrays, an idx file, and files that are no pictures."""
    folder = tmp_path / "in"
    (folder / "deep" / "er").mkdir(parents=True)
    gray(1).save(folder / "a.png", dpi=(300, 300))
    gray(2).convert("RGB").save(folder / "deep" / "b.tif")
    gray(3).quantize(4).save(folder / "deep" / "c.gif")
    gray(4).convert("RGB").save(folder / "deep" / "er" / "d.jpg")
    np.save(folder / "deep" / "e.npy", np.arange(24, dtype=">u2").reshape(4, 6))
    write_idx(folder / "digits-idx3-ubyte.gz", np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    (folder / "labels-idx1-ubyte.gz").write_bytes(b"\x1f\x8b no images")
    (folder / "README.md").write_text("read me")
    (folder / "deep" / "done.scf").write_bytes(softcomp_codec.encode(np.zeros((2, 2), np.uint8)))
    (folder / ".hidden").mkdir()
    gray(5).save(folder / ".hidden" / "f.png")
    return folder


ENCODED = [
    "a.scf", "deep", "deep/b.scf", "deep/c.scf", "deep/e.scf", "deep/er", "deep/er/d.scf",
    "digits-idx3-ubyte.scf",
]  # fmt: skip


def test_a_tree_there_and_back(tree, tmp_path):
    for path in tree.rglob("*"):
        os.utime(path, ns=(1_600_000_001_000_000_000, 1_500_000_000_123_456_000))
    out, back = tmp_path / "out", tmp_path / "back"
    text = run("encode", "-j", 2, "--verify", tree, "-o", out)
    assert names_below(out) == ENCODED
    assert "6 pictures encoded" in text
    assert "3 files left alone, no pictures by name: " in text
    for name in ("README.md", "deep/done.scf", "labels-idx1-ubyte.gz"):
        assert str(tree / name) in text
    assert "hidden files and folders left alone: 1 (--hidden" in text
    assert "1 picture came from lossy files (JPEG)" in text
    text = run("decode", "-j", 2, "--verify", out, "-o", back)
    assert "6 pictures decoded" in text
    assert pixels(back / "a.png")[:3] == pixels(tree / "a.png")[:3]
    assert pixels(back / "a.png")[3] == pytest.approx((300, 300), abs=0.01)
    for name, source in (("deep/b.png", "deep/b.tif"), ("deep/er/d.png", "deep/er/d.jpg")):
        assert pixels(back / name)[:3] == pixels(tree / source)[:3]
    with Image.open(back / "deep" / "c.png") as one, Image.open(tree / "deep" / "c.gif") as other:
        assert one.mode == other.mode
        assert one.convert("RGB").tobytes() == other.convert("RGB").tobytes()
    array = np.asarray(Image.open(back / "deep" / "e.png"))
    assert np.array_equal(array, np.load(tree / "deep" / "e.npy"))
    with Image.open(back / "digits-idx3-ubyte.tif") as stack:
        frames = []
        for index in range(stack.n_frames):
            stack.seek(index)
            frames.append(np.asarray(stack))
    assert np.array_equal(np.stack(frames).ravel(), np.arange(60))
    for path in (*out.rglob("*.scf"), *back.rglob("*.png"), *back.rglob("*.tif")):
        assert path.stat().st_mtime_ns == 1_500_000_000_123_456_000, path


def test_hidden_files_on_request(tree, tmp_path):
    run("encode", tree, "-o", tmp_path / "out", "--hidden")
    assert names_below(tmp_path / "out") == sorted([*ENCODED, ".hidden", ".hidden/f.scf"])


def test_in_place_with_suffixes_appended(tree):
    before = names_below(tree)
    run("encode", tree, "--in-place", "--append-suffix")
    added = [
        f"{name}.scf"
        for name in before
        if name.endswith((".png", ".tif", ".gif", ".jpg", ".npy", "idx3-ubyte.gz"))
        and not name.startswith(".")
    ]
    assert names_below(tree) == sorted([*before, *added])
    for name in ("a.png", "deep/b.tif"):
        (tree / name).unlink()
    text = run("decode", tree / "a.png.scf", tree / "deep" / "b.tif.scf")
    assert pixels(tree / "a.png")[0] == "L"
    assert (tree / "deep" / "b.tif.png").exists(), text
    assert "exclude each other" in run("encode", tree, "--in-place", "-o", tree / "x", code=2)


def test_the_same_file_named_twice_is_one(tree, tmp_path):
    text = run("encode", tree / "a.png", tree / "a.png", "-o", tmp_path / "out")
    assert "1 picture encoded" in text


# ---- Names that collide --------------------------------------------------------------------------


def test_collisions_are_found_before_anything_is_written(tree, tmp_path):
    gray(6).save(tree / "a.bmp")
    gray(6).save(tree / "deep" / "b.png")
    text = run("encode", tree, "-o", tmp_path / "out", code=1)
    assert f"{tree / 'a.bmp'} and {tree / 'a.png'} would both become" in text
    assert "2 collisions of names; nothing was written" in text
    assert not (tmp_path / "out").exists()
    run("encode", tree, "-o", tmp_path / "out", "--append-suffix")
    assert "a.bmp.scf" in names_below(tmp_path / "out")


@pytest.mark.parametrize("names", [("a.png", "A.png"), ("\u00e9.png", "e\u0301.png")])
def test_names_that_some_file_systems_take_for_the_same(names, tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in names:
        gray(1).save(folder / name)
    if len(list(folder.iterdir())) == 1:
        pytest.skip("this file system takes them for the same")
    monkeypatch.setattr(batch, "ignores_case", lambda folder: True)
    text = run("encode", folder, "-o", tmp_path / "out", code=1)
    assert "here the same" in text
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(batch, "ignores_case", trees.ignores_case)
    assert not trees.ignores_case(tmp_path / "not" / "there")
    assert (
        unicodedata.normalize("NFC", names[0]).casefold()
        == unicodedata.normalize("NFC", names[1]).casefold()
    )
    run("encode", folder, "-o", tmp_path / "out")
    assert len(names_below(tmp_path / "out")) == 2


def test_ignores_case_asks_the_file_system(tmp_path, monkeypatch):
    real = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: real(path) or path.name.isupper())
    assert trees.ignores_case(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_another_input_is_refused(tmp_path):
    path = tmp_path / "digits-idx3.scf"
    path.write_bytes(softcomp_codec.encode(np.zeros((2, 2), np.uint8)))
    before = path.read_bytes()
    write_idx(tmp_path / "digits-idx3", np.zeros((2, 3, 4), np.uint8))
    text = run("encode", tmp_path / "digits-idx3", path, "--append-suffix", "--force", code=1)
    assert "digits-idx3.scf, which is an input, too" in text
    assert path.read_bytes() == before
    assert (tmp_path / "digits-idx3.scf.scf").exists()


# ---- Links, special and unreadable files ---------------------------------------------------------


@posix
def test_links_and_special_files(tree, tmp_path):
    (tree / "link.png").symlink_to(tree / "a.png")
    (tree / "loop").symlink_to(tree)
    (tree / "broken.png").symlink_to(tree / "nowhere.png")
    os.mkfifo(tree / "pipe.png")
    text = run("encode", tree, "-o", tmp_path / "out", code=1)
    assert "2 links to folders and other special files left alone" in text
    assert f"{tree / 'broken.png'}: there is no such file" in text
    assert "7 pictures encoded" in text
    assert pixels(tmp_path / "out" / "link.scf") == pixels(tree / "a.png")


@posix
@not_root
def test_a_folder_that_cannot_be_read(tree, tmp_path):
    (tree / "deep").chmod(0)
    try:
        text = run("encode", tree, "-o", tmp_path / "out", code=1)
    finally:
        (tree / "deep").chmod(0o755)
    assert "Permission denied" in text
    assert "2 pictures encoded" in text


def test_a_folder_that_cannot_be_listed_is_a_failure(tree, tmp_path, monkeypatch):
    real = os.scandir

    def scandir(place):
        if os.fspath(place).endswith("deep"):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(place))
        return real(place)

    monkeypatch.setattr(os, "scandir", scandir)
    text = run("encode", tree, "-o", tmp_path / "out", code=1)
    assert f"{tree / 'deep'}: Permission denied" in text
    assert "2 pictures encoded" in text
    assert "1 failed" in text


@posix
def test_permissions(tmp_path):
    for name, mode in (("a", 0o640), ("b", 0o755), ("c", 0o444)):
        gray(1).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.png").chmod(mode)
        run("encode", tmp_path / f"{name}.png")
        expected = mode & 0o666 | 0o200
        assert (tmp_path / f"{name}.scf").stat().st_mode & 0o777 == expected


# ---- Inputs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.uint8).reshape(3, 4),
        np.arange(36, dtype=np.uint16).reshape(3, 4, 3),
        np.arange(300, dtype=np.uint8).reshape(5, 6, 10),
        np.asfortranarray(np.arange(24, dtype=np.uint8).reshape(2, 3, 4)),
        np.arange(12).reshape(3, 4) % 3 == 0,
    ],
)
def test_arrays(array, tmp_path):
    np.save(tmp_path / "a.npy", array)
    run("encode", "--verify", tmp_path / "a.npy")
    run("decode", tmp_path / "a.scf", "-o", tmp_path / "again.npy")
    again = np.load(tmp_path / "again.npy")
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert np.array_equal(again, array)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5, np.uint8), "1 axes"),
        (np.zeros((0, 4), np.uint8), "no samples"),
        (np.zeros((1, 4, 9), np.uint8), "a stack of one"),
        (np.array([[{}]], object), "no array that can be read"),
    ],
)
def test_arrays_that_are_no_pictures(array, message, tmp_path):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    assert message in run("encode", tmp_path / "a.npy", code=1)


def test_pictures_of_several_sizes_are_refused(tmp_path):
    gray(1, (64, 64)).convert("RGBA").save(tmp_path / "a.ico", sizes=[(16, 16), (32, 32)])
    assert "2 sizes or layers" in run("encode", tmp_path / "a.ico", code=1)


def test_animations_keep_their_times(tmp_path):
    frames = [gray(seed).convert("RGB") for seed in range(3)]
    frames[0].save(
        tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=[10, 20, 30], loop=2
    )
    run("encode", "--verify", tmp_path / "a.png")
    assert "TIFF cannot keep its" in run("decode", tmp_path / "a.scf", code=1)
    run("decode", tmp_path / "a.scf", "-o", tmp_path / "again.png")
    with Image.open(tmp_path / "again.png") as image:
        assert (image.n_frames, image.info["loop"]) == (3, 2)
        for index, frame in enumerate(frames):
            image.seek(index)
            assert image.info["duration"] == 10 * (index + 1)
            assert image.tobytes() == frame.tobytes()
    run("decode", tmp_path / "a.scf", "--drop-metadata")
    assert (tmp_path / "a.tif").exists()


def test_what_imageio_reads_needs_leave_to_drop_metadata(tmp_path, monkeypatch):
    from imageio import config
    from imageio.core import imopen as openers

    class Reader:
        def __enter__(self):
            return self

        def __exit__(self, *args):
            pass

        def iter(self):
            return iter([np.arange(12, dtype=np.uint16).reshape(3, 4)])

    asked = []

    def imopen(path, mode, *, plugin):
        asked.append(plugin)
        if plugin != "tifffile":
            raise ImportError(plugin)
        return Reader()

    assert ".lsm" in config.known_extensions
    monkeypatch.setattr(openers, "imopen", imopen)
    path = tmp_path / "a.lsm"
    path.write_bytes(b"of a microscope")
    assert "what its format tells besides cannot be kept" in run("encode", path, code=1)
    run("encode", "--verify", "--drop-metadata", path)
    assert "tifffile" in asked
    assert "pillow" not in asked
    found = softcomp_codec.decode((tmp_path / "a.scf").read_bytes())
    assert np.array_equal(found, np.arange(12).reshape(3, 4))


# ---- Lossy files -----------------------------------------------------------------------------


def test_what_jpegs_take_is_said(tmp_path):
    y, x = np.mgrid[0:96, 0:128]
    layers = [(90 + 40 * np.sin(x * y / (400.0 + 90 * k)) + x // 2) for k in range(3)]
    picture = Image.fromarray(np.clip(np.stack(layers, axis=2), 0, 255).astype(np.uint8))
    (tmp_path / "in" / "deep").mkdir(parents=True)
    paths = [tmp_path / "in" / name for name in ("one.jpg", "deep/two.jpg", "deep/three.jpg")]
    for quality, path in zip((75, 85, 90), paths, strict=True):
        picture.save(path, quality=quality)
    text = " ".join(run("encode", paths[0], "-o", tmp_path / "one.scf").split())
    before, size = paths[0].stat().st_size, (tmp_path / "one.scf").stat().st_size
    assert size < before
    part = f"{before:,} bytes as JPEG, {size:,} as .scf ({size / before:.2f} of it)"
    assert part in text
    assert text.count("decoded pixels are kept") == 1
    assert "came from lossy files" not in text
    text = " ".join(run("encode", tmp_path / "in", "-o", tmp_path / "out").split())
    before = sum(path.stat().st_size for path in paths)
    size = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.scf"))
    assert f"3 pictures came from lossy files (JPEG), {before:,} bytes" in text
    assert f"take {size:,} as .scf ({size / before:.2f} of it)" in text
    assert "as JPEG," not in text


# ---- Verifying and deleting ----------------------------------------------------------------------


def test_delete_source_deletes_what_is_verified(tree):
    text = run("encode", tree, "--in-place", "--delete-source")
    left = names_below(tree)
    assert "a.scf" in left
    assert "a.png" not in left
    assert "deep/b.tif" not in left
    assert "deep/er/d.jpg" in left, "a JPEG cannot be made again from its pixels"
    assert "README.md" in left
    assert "5 sources deleted" in text
    assert "lossy files were not deleted (--delete-lossy does)" in text
    text = run("encode", tree, "--in-place", "--delete-source", "--delete-lossy", "--resume")
    assert "0 pictures encoded; 1 done before; 1 source deleted" in text
    assert "deep/er/d.jpg" not in names_below(tree)
    text = run("decode", tree, "--in-place", "--delete-source")
    assert "7 pictures decoded" in text
    assert "7 sources deleted" in text
    assert not list(tree.rglob("*.scf"))


def test_nothing_is_written_or_deleted_where_the_written_file_differs(tmp_path, monkeypatch):
    source = tmp_path / "a.png"
    gray(1).save(source)
    wrong = softcomp_codec.encode(np.asarray(gray(2)))
    real = encode.write_output

    def write_output(target, data, **options):
        real(target, wrong, **options)

    monkeypatch.setattr(encode, "write_output", write_output)
    for option in ("--verify", "--delete-source"):
        text = run("encode", option, source, code=1)
        assert "VERIFICATION FAILED, nothing was written: the pixels differ" in text
        assert names_below(tmp_path) == ["a.png"]


@pytest.mark.parametrize("where", ["mode", "palette", "metadata", "damage", "frames"])
def test_verification_sees_every_difference(where, tmp_path):
    from softcomp_codec.cli.sources import differences, read_source

    path = tmp_path / "a.png"
    image = gray(1).quantize(4)
    image.save(path, dpi=(300, 300))
    source = read_source(path)
    again = source.frames[0].copy()
    if where == "mode":
        again = again.convert("RGB")
    elif where == "palette":
        again.putpalette([1, 2, 3] * 4)
    elif where == "metadata":
        again.info.pop("dpi")
    more = {"save_all": True, "append_images": [again]} if where == "frames" else {}
    again.save(tmp_path / "a.scf", **more)
    data = (tmp_path / "a.scf").read_bytes()
    if where == "damage":
        with pytest.raises(softcomp_codec.ScfError):
            differences(data[:-1], source)
        assert differences(data, source) is None
        return
    expected = {
        "mode": "mode and size are RGB",
        "palette": "the palette differs",
        "metadata": "DPI differ",
        "frames": "2 frames instead of 1",
    }[where]
    assert expected in differences(data, source)


@posix
def test_links_are_not_deleted(tmp_path):
    gray(1).save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    text = run("encode", tmp_path / "b.png", "--delete-source")
    assert "is a symbolic link, which is left where it is" in text
    assert names_below(tmp_path) == ["a.png", "b.png", "b.scf"]


def test_a_source_that_changes_meanwhile_is_kept(tmp_path, monkeypatch):
    source = tmp_path / "a.png"
    gray(1).save(source)
    real = encode.write_output

    def write_output(target, data, **options):
        real(target, data, **options)
        gray(2).save(source)

    monkeypatch.setattr(encode, "write_output", write_output)
    assert "changed while it was converted" in run("encode", source, "--delete-source", code=1)
    assert source.exists()


def test_a_codebook_that_only_the_command_knows_deletes_nothing(tmp_path):
    book = softcomp_codec.train([np.asarray(gray(s, (16, 16))) for s in range(9)], name="own",
                                holdout=0)  # fmt: skip
    book.save(tmp_path / "own.scfb")
    source = tmp_path / "a.png"
    gray(1, (16, 16)).save(source)
    args = ["encode", source, "--codebook", tmp_path / "own.scfb", "--delete-source"]
    assert "in none of the usual places" in " ".join(run(*args, code=2).replace("│", " ").split())
    assert source.exists()
    run(*args, "--embed-codebook")
    assert not source.exists()
    run("decode", tmp_path / "a.scf")
    assert source.exists()


# ---- Resuming ------------------------------------------------------------------------------------


def test_resume_does_what_is_missing_or_damaged(tree, tmp_path):
    out = tmp_path / "out"
    run("encode", tree, "-o", out)
    assert "6 failed" in run("encode", tree, "-o", out, code=1)
    (out / "a.scf").unlink()
    (out / "deep" / "b.scf").write_bytes((out / "deep" / "b.scf").read_bytes()[:-1])
    (out / "deep" / "c.scf").write_bytes(b"")
    leftover = out / "deep" / f".scf-{'0' * 16}.tmp"
    leftover.write_bytes(b"half")
    for more in ([], ["--verify"]):
        text = run("encode", tree, "-o", out, "--resume", *more)
        assert ("3 pictures encoded" if not more else "0 pictures encoded") in text
        assert f"{6 if more else 3} done before" in text
    assert names_below(out) == ENCODED
    run("verify", out)


def test_resume_does_not_trust_a_file_of_another_picture(tmp_path):
    source, target = tmp_path / "a.png", tmp_path / "a.scf"
    gray(1).save(source)
    target.write_bytes(softcomp_codec.encode(np.asarray(gray(2))))
    other = target.read_bytes()
    text = run("encode", source, "--resume", code=1)
    assert "exists already, but the pixels differ; --force replaces it" in text
    assert target.read_bytes() == other
    target.write_bytes(b"a diary")
    assert "is no .scf file" in run("encode", source, "--resume", "--delete-source", code=1)
    assert source.exists()
    run("encode", source, "--force")
    assert pixels(target)[:3] == pixels(source)[:3]
    gray(3).save(source)  # edited since: the times differ
    os.utime(source, ns=(1, 1_700_000_000_000_000_000))
    assert "the pixels differ" in run("encode", source, "--resume", code=1)
    run("encode", source, "--resume", "--force")
    assert pixels(target)[:3] == pixels(source)[:3]


def test_resume_of_decoding(tree, tmp_path):
    out, back = tmp_path / "out", tmp_path / "back"
    run("encode", tree, "-o", out)
    run("decode", out, "-o", back)
    (back / "a.png").write_bytes((back / "a.png").read_bytes()[:50])
    (back / "deep" / "b.png").unlink()
    text = run("decode", out, "-o", back, "--resume")
    assert "2 pictures decoded" in text
    assert "4 done before" in text
    text = run("decode", out, "-o", back, "--resume", "--verify")
    assert "0 pictures decoded" in text
    assert "6 done before" in text
    gray(9).save(back / "a.png")
    assert "it holds another picture" in run("decode", out, "-o", back, "--resume", code=1)


@posix
def test_leftovers_of_the_living_stay(tmp_path):
    with atomic_files._temporary_file(str(tmp_path)) as (path, _):
        assert atomic_files.remove_leftovers(tmp_path) == 0
        assert os.path.exists(path)
    left = tmp_path / f".scf-{'f' * 16}.tmp"
    left.touch()
    (tmp_path / ".scf-mine.tmp").touch()
    assert atomic_files.remove_leftovers(tmp_path) == 1
    assert names_below(tmp_path) == [".scf-mine.tmp"]


def test_two_runs_at_once_do_not_clash(tmp_path):
    targets = [tmp_path / f"{index}.scf" for index in range(8)]
    errors = []

    def work(data):
        for target in targets:
            try:
                atomic_files.write_atomically(target, data, replace=False)
            except FileExistsError as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(bytes([i]) * 4000,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 24
    for target in targets:
        assert len(set(target.read_bytes())) == 1
        assert target.stat().st_size == 4000
    assert len(list(tmp_path.iterdir())) == 8


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP])
def test_file_systems_without_hard_links(code, tmp_path, monkeypatch):
    def link(source, target):
        raise OSError(code, "no links here", source, None, target)

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "a.scf"
    atomic_files.write_atomically(path, b"first", replace=False)
    with pytest.raises(FileExistsError):
        atomic_files.write_atomically(path, b"second", replace=False)
    assert path.read_bytes() == b"first"
    assert names_below(tmp_path) == ["a.scf"]


# ---- Interruptions -------------------------------------------------------------------------------


@pytest.fixture
def ctrl_c():
    """The usual handler of Ctrl-C, which a shell takes from what it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_finishes_what_was_begun(ctrl_c):
    started = threading.Event()

    def work(number):
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)
            started.set()
            time.sleep(0.05)
        return number

    seen = []
    results = batch.run_all(range(10_000), work, threads=1, label="x")
    with pytest.raises(KeyboardInterrupt):
        seen.extend(results)
    assert started.is_set()
    assert seen[:3] == [(0, 0), (1, 1), (2, 2)]
    assert len(seen) < 10_000
    assert signal.getsignal(signal.SIGINT) is ctrl_c


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_says_what_is_done(number, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(40):
        gray(index, (40, 40)).save(folder / f"{index:02}.png")
    code = (
        "import signal, sys, threading, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from softcomp_codec.cli import encode as e\n"
        "real = e.encode_file\n"
        "def slow(*a, **k):\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(0.1)\n"
        "    return real(*a, **k)\n"
        "e.encode_file = slow\n"
        f"sys.argv = ['scf', 'encode', {str(folder)!r}, '-o', {str(tmp_path / 'out')!r},"
        " '-j', '1', '--codebook', 'none']\n"
        "from softcomp_codec.cli.__main__ import main\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == batch.INTERRUPTED, err
    assert "interrupted: finishing the files that were begun" in err
    assert "INTERRUPTED" in out
    assert "not begun (--resume goes on)" in out
    n_done = len(list((tmp_path / "out").glob("*.scf")))
    assert 0 < n_done < 40
    assert f"{n_done} picture" in out
    assert not list((tmp_path / "out").glob(".*"))
    text = run("encode", folder, "-o", tmp_path / "out", "--resume", "--codebook", "none")
    assert f"{n_done} done before" in text


# ---- Progress ------------------------------------------------------------------------------------


def test_progress_tells_speed_and_ratio():
    assert file_progress.so_far(0, 0, 1.0) == ""
    assert file_progress.so_far(3_200_000, 1_000_000, 1.0) == "3.2 MB/s, ratio 3.200"
    assert file_progress.so_far(999, 0, 1.0) == "999 B/s"
    assert file_progress.per_second(123_456) == "123 kB/s"
    assert file_progress.per_second(5e12) == "5000 GB/s"


def test_the_plan_of_many_files_is_quick(tmp_path):
    """A tenth of the 10,000 files that must not take long."""
    for folder in range(10):
        (tmp_path / "in" / str(folder)).mkdir(parents=True)
        for index in range(100):
            (tmp_path / "in" / str(folder) / f"{index}.png").touch()
    begun = time.process_time()
    plan = batch.make_plan(
        [tmp_path / "in"],
        tmp_path / "out",
        target_name=lambda path: path.with_suffix(".scf").name,
        is_wanted=lambda path: path.suffix == ".png",
        is_file_name=lambda path: False,
        force=False,
    )
    assert len(plan.jobs) == 1000
    assert plan.jobs[0].target == tmp_path / "out" / "0" / "0.scf"
    assert time.process_time() - begun < 2


def test_summary_of_a_tally():
    tally = safe_files.Tally(3, 2, 1, 4, interrupted=True)
    assert tally.parts(10) == [
        "2 done before",
        "1 source deleted",
        "4 failed",
        "INTERRUPTED, 1 not begun (--resume goes on)",
    ]
    assert safe_files.Tally(3).parts(3) == []


def test_samples_there_and_back(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("boot", "digit-2"):
        shutil.copy(list_samples()[name], folder)
    run("encode", folder, "-o", tmp_path / "out", "--verify", "-j", 2)
    run("decode", tmp_path / "out", "-o", tmp_path / "back")
    for path in folder.iterdir():
        assert pixels(tmp_path / "back" / path.name) == pixels(path)
