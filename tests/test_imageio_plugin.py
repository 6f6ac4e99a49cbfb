import gc
import io
import os
import warnings
import zipfile
from pathlib import Path

import imageio
import imageio.v2 as iio2
import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image
from plugin_files import (
    PILLOW_MODES,
    CountingBytes,
    ReadOnly,
    WriteOnly,
    encoded,
    encoded_frames,
    noise,
    picture,
    run_python,
    stored_file,
    taught_codebook,
    taught_picture,
)

import softcomp_codec
from softcomp_codec import codebook_store, container, decoder, encoder
from softcomp_codec.errors import (
    CodebookNotFoundError,
    CorruptStreamError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from softcomp_codec.imageio_plugin import ScfPlugin

ARRAYS = {
    "bilevel": picture("1"),
    "gray": picture("L"),
    "rgb": picture("RGB"),
    "gray, one channel": picture("L")[:, :, np.newaxis],
    "bilevel, one channel": picture("1")[:, :, np.newaxis],
    "one pixel": picture("L", 1, 1),
    "noise": noise("RGB"),
    "16-bit gray": picture("I;16"),
    "16-bit gray, one channel": picture("I;16")[:, :, np.newaxis],
    "gray with alpha": picture("LA"),
    "rgb with alpha": picture("RGBA"),
    "16-bit rgb": picture("rgb16"),
    "16-bit rgb with alpha": picture("rgba16"),
    "16-bit gray with alpha": picture("la16"),
}
OPTIONS = {"codebook": None}


@pytest.fixture(params=ARRAYS.values(), ids=ARRAYS.keys())
def array(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.scf"


@pytest.fixture
def gray_path(path):
    path.write_bytes(encoded(picture("L")))
    return path


@pytest.fixture
def no_codebooks(monkeypatch, tmp_path):
    monkeypatch.setattr(codebook_store, "_registered", {})
    monkeypatch.setattr(codebook_store, "user_folder", lambda: tmp_path / "no such folder")
    monkeypatch.delenv("SOFTCOMP_CODEBOOK_PATH", raising=False)


def assert_same(found, expected):
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(found, expected)


# Round trips, and the many ways to name source, target and plugin


@pytest.mark.parametrize("hint", [{}, {"plugin": "SCF"}, {"extension": ".scf"}])
def test_round_trip_of_a_file(array, path, hint):
    assert iio.imwrite(path, array, **hint, **OPTIONS) is None
    assert path.read_bytes() == encoded(array)
    for source in (path, str(path), path.as_uri()):
        assert_same(iio.imread(source, **hint), array)


def test_round_trip_of_bytes(array):
    data = iio.imwrite("<bytes>", array, extension=".scf", **OPTIONS)
    assert data == encoded(array)
    assert data == iio.imwrite("<bytes>", array, plugin="SCF", **OPTIONS)
    for source in (data, memoryview(data), io.BytesIO(data)):
        assert_same(iio.imread(source), array)
        assert_same(iio.imread(source, plugin="SCF"), array)
        assert_same(iio.imread(source, extension=".scf"), array)


def test_round_trip_with_the_default_codebook(array):
    assert_same(iio.imread(iio.imwrite("<bytes>", array, extension=".scf")), array)


def test_file_objects_stay_open(array, path):
    stream = io.BytesIO()
    iio.imwrite(stream, array, plugin="SCF", **OPTIONS)
    assert stream.getvalue() == encoded(array)
    assert_same(iio.imread(stream, plugin="SCF"), array)
    assert not stream.closed
    path.write_bytes(stream.getvalue())
    with path.open("rb") as file:
        assert_same(iio.imread(file, extension=".scf"), array)
        assert not file.closed


def test_streams_that_cannot_seek(array):
    stream = WriteOnly()
    stream.close = lambda: None
    iio.imwrite(stream, array, plugin="SCF", **OPTIONS)
    assert stream.pieces == [encoded(array)]
    with iio.imopen(ReadOnly(stream.getvalue()), "r", plugin="SCF") as file:
        assert file.properties().shape == array.shape
        assert_same(file.read(), array)
        assert_same(file.read(), array)


def test_member_of_a_zip_file(array, tmp_path):
    target = f"{tmp_path}/set.zip/inside/x.scf"
    iio.imwrite(target, array, **OPTIONS)
    assert_same(iio.imread(target), array)
    with zipfile.ZipFile(tmp_path / "set.zip") as archive:
        assert archive.read("inside/x.scf") == encoded(array)


def test_foreign_file_names(array, tmp_path):
    for name in ("x.scf.part", "x.SCF", "no-extension"):
        iio.imwrite(tmp_path / name, array, plugin="SCF", **OPTIONS)
        assert_same(iio.imread(tmp_path / name), array)
    for name in ("x.png", "x.foo"):
        with pytest.raises(OSError, match="can not handle") as caught:
            iio.imwrite(tmp_path / name, array, plugin="SCF", **OPTIONS)
        assert "extension='.scf'" in str(caught.value.__cause__)
        iio.imwrite(tmp_path / name, array, plugin="SCF", extension=".scf", **OPTIONS)
        assert (tmp_path / name).read_bytes() == encoded(array)


def test_a_mistyped_extension_does_not_become_a_file_of_ours(tmp_path, monkeypatch):
    others = {key: imageio.config.known_plugins[key] for key in ("pillow", "SCF")}
    monkeypatch.setattr("imageio.core.imopen.known_plugins", others)
    with pytest.raises(OSError, match="Could not find a backend"):
        iio.imwrite(tmp_path / "x.scd", picture("L"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_through_imageios_pillow_plugin(mode):
    array = picture(mode)
    data = iio.imwrite("<bytes>", array, plugin="pillow", extension=".scf", **OPTIONS)
    assert data == encoded(array)
    assert_same(iio.imread(data, plugin="pillow"), array)
    two = np.stack([array, array])
    data = iio.imwrite("<bytes>", two, plugin="pillow", extension=".scf", is_batch=True, **OPTIONS)
    assert data == encoded_frames(two)
    assert_same(iio.imread(data, plugin="pillow", index=...), two)


def test_pillow_reads_what_imageio_writes(path):
    iio.imwrite(path, picture("RGB"))
    with Image.open(path) as image:
        assert_same(np.asarray(image), picture("RGB"))


@pytest.mark.parametrize("form", ["I;16", "la16", "rgb16", "rgba16"])
def test_byte_orders(form, path):
    array = picture(form)
    swapped = array.astype(array.dtype.newbyteorder("S"))
    for given in (swapped, swapped[::-1, ::-1].copy()[::-1, ::-1], array.astype("<u2")):
        iio.imwrite(path, given, **OPTIONS)
        assert path.read_bytes() == encoded(array)
        found = iio.imread(path)
        assert_same(found, array)
        assert found.dtype.isnative
    iio.imwrite(path, [swapped, array], **OPTIONS)
    assert path.read_bytes() == encoded_frames([array, array])
    imageio.v2.imwrite(path, swapped, format="SCF", **OPTIONS)
    assert path.read_bytes() == encoded(array)


@pytest.mark.parametrize("form", ["la16", "rgb16", "rgba16"])
def test_arrays_that_pillow_cannot_hold_without_a_hint(form):
    """imageio asks its Pillow plugin first, which passes such a file on to ours."""
    array = picture(form)
    for source in (encoded(array), io.BytesIO(encoded(array))):
        assert_same(iio.imread(source), array)
    with pytest.raises(OSError, match="can not handle"):
        iio.imread(encoded(array), plugin="pillow")


# imageio.v2


@pytest.mark.parametrize("name", ["SCF", "scf", "Scf", ".scf", ".SCF", "x.scf", None])
def test_v2_formats(name, path):
    for array in (
        picture("L"), picture("RGB"), picture("L")[:, :, np.newaxis],
        *(picture(form) for form in ("I;16", "LA", "RGBA", "rgb16", "rgba16", "la16")),
    ):  # fmt: skip
        imageio.v2.imwrite(path, array, format=name, **OPTIONS)
        assert path.read_bytes() == encoded(array)
        assert_same(np.asarray(iio2.imread(path, format=name)), array)


def test_plain_imageio_functions(path):
    imageio.imwrite(path, picture("L"), format="SCF")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert_same(np.asarray(imageio.imread(path)), picture("L"))


def test_v2_multi_image_functions(array, path):
    iio2.mimwrite(path, [array], format="SCF", **OPTIONS)
    assert path.read_bytes() == encoded(array)
    assert [image.shape for image in iio2.mimread(path, format="SCF")] == [array.shape]
    iio2.mimwrite(path, [array, array], format="SCF", **OPTIONS)
    assert path.read_bytes() == encoded_frames([array, array])
    for image in iio2.mimread(path, format="SCF"):
        assert_same(np.asarray(image), array)


def test_v2_volumes(path):
    volume = np.stack([picture("L", seed=seed) for seed in range(3)])
    for some in (volume, volume[:1]):
        iio2.volwrite(path, some, format="SCF", **OPTIONS)
        assert path.read_bytes() == encoded_frames(some)
        assert_same(np.asarray(iio2.volread(path, format="SCF")), some)


def test_several_volumes_are_refused(path):
    volume = np.stack([picture("RGB")] * 3)
    with pytest.raises(TypeError, match=r"cannot encode .* shape \(3, 17, 23, 3\)"):
        iio2.mvolwrite(path, [volume, volume], format="SCF")
    assert not path.exists()


def test_v2_reader_and_writer(path):
    array = picture("L")
    with iio2.get_writer(path, format="SCF", **OPTIONS) as writer:
        writer.append_data(array)
    assert path.read_bytes() == encoded(array)
    with iio2.get_reader(path, format="SCF") as reader:
        assert len(reader) == 1
        assert_same(np.asarray(reader.get_data(0)), array)
        assert reader.get_data(0).meta["coder"] == "context"
        assert [image.shape for image in reader] == [array.shape]
        assert reader.get_meta_data()["mode"] == "gray8"
        with pytest.raises(ValueError, match="index is 1"):
            reader.get_data(1)


def test_v2_writer_without_image(path):
    with iio2.get_writer(path, format="SCF"):
        pass
    assert not path.exists()


# Reading


def test_index(array, path):
    iio.imwrite(path, array, **OPTIONS)
    for index in (0, np.int64(0), None):
        assert_same(iio.imread(path, index=index), array)
    assert_same(iio.imread(path, index=...), array[np.newaxis])
    for index in (1, -1, 7):
        for read in (iio.imread, iio.improps, iio.immeta):
            with pytest.raises(ValueError, match=f"index is {index}, the file holds 1 image"):
                read(path, index=index)
    with pytest.raises(TypeError):
        iio.imread(path, index="0")


def test_iter(array, path):
    iio.imwrite(path, array, **OPTIONS)
    (found,) = iio.imiter(path)
    assert_same(found, array)


def test_arrays_can_be_changed(array, path):
    iio.imwrite(path, array, **OPTIONS)
    for index in (0, ...):
        iio.imread(path, index=index)[...] = 0


def test_properties_and_metadata_need_no_pixels(array, path, monkeypatch):
    iio.imwrite(path, array, **OPTIONS)
    monkeypatch.setattr(decoder, "decode_file", None)
    single, stack = iio.improps(path), iio.improps(path, index=...)
    assert (single.shape, single.dtype, single.is_batch) == (array.shape, array.dtype, False)
    assert single.n_images is None
    assert (stack.shape, stack.dtype, stack.is_batch) == ((1, *array.shape), array.dtype, True)
    assert stack.n_images == 1
    header = container.read_header(path.read_bytes())
    expected = {
        "mode": header.mode.name,
        "coder": container.CODER_NAMES[header.coder],
        "n_frames": 1,
        "scf_version": 0,
    }
    for index in (0, None, ...):
        assert iio.immeta(path, index=index) == expected
    assert iio.immeta(path, exclude_applied=False) == expected


def test_opening_does_not_read_the_payload():
    stream = CountingBytes(stored_file(noise("L", 500, 400), 1))
    with iio.imopen(stream, "r", plugin="SCF") as file:
        assert file.properties().shape == (400, 500)
        assert stream.n_read < 1000


def test_a_missing_codebook_matters_to_read_only(path, no_codebooks):
    book = taught_codebook()
    path.write_bytes(softcomp_codec.encode(taught_picture(), codebook=book))
    assert iio.improps(path).shape == (64, 80)
    metadata = iio.immeta(path)
    assert metadata["codebook_id"] == book.identifier[:8].hex()
    assert metadata["codebook_name"] == "always-five"
    with pytest.raises(CodebookNotFoundError, match="always-five"):
        iio.imread(path)
    assert_same(iio.imread(path, codebooks=[book]), taught_picture())
    assert_same(next(iio.imiter(path, codebooks=[book])), taught_picture())
    book.save(path.with_name("b.scfb"))
    assert_same(iio.imread(path), taught_picture())
    with path.open("rb") as stream:
        assert_same(iio.imread(stream, plugin="SCF"), taught_picture())
        assert_same(iio.imread(stream), taught_picture())


def test_foreign_data(tmp_path):
    path = tmp_path / "x.scf"
    for data in (b"", b"\xf7S", b"GIF89a and so on", b"anything"):
        path.write_bytes(data)
        with pytest.raises(OSError, match="can not handle the given uri"):
            iio.imread(path, plugin="SCF")
        with pytest.raises(RuntimeError, match="can not handle the given uri"):
            iio2.imread(path, format="SCF")


def test_other_formats_under_our_extension(tmp_path):
    """The plugin passes on a request that it cannot handle, unharmed."""
    array = picture("RGB")
    data = iio.imwrite("<bytes>", array, extension=".png")
    path = tmp_path / "x.scf"
    path.write_bytes(data)
    for source in (path, data, io.BytesIO(data)):
        assert_same(iio.imread(source, extension=".scf"), array)
        gc.collect()


def test_folder(tmp_path):
    (tmp_path / "x.scf").mkdir()
    with pytest.raises(OSError, match=r"\w"):
        iio.imread(tmp_path / "x.scf")


def test_bad_data_keep_their_error_and_message(gray_path):
    data = gray_path.read_bytes()
    for bad, error, text in (
        (data[:40], TruncatedStreamError, "payload"),
        (data[:7], TruncatedStreamError, "header"),
        (data + b"\0", CorruptStreamError, "follow"),
        (data[:3] + b"\xf0" + data[4:], UnsupportedStreamError, "version 15"),
        (data[:4] + b"\x3e" + data[5:], UnsupportedStreamError, "mode 30"),
    ):
        gray_path.write_bytes(bad)
        for hint in ({}, {"plugin": "SCF"}):
            with pytest.raises(error, match=text):
                iio.imread(gray_path, **hint)


def test_truncated_anywhere(array):
    data = encoded(array)
    for length in range(len(data)):
        with pytest.raises(OSError, match=r"\w"):
            iio.imread(data[:length], plugin="SCF")


def test_closed_plugin(gray_path):
    with iio.imopen(gray_path, "r", plugin="SCF") as file:
        assert isinstance(file, ScfPlugin)
        assert file.read().shape == (17, 23)
    file.close()
    for use in (file.read, file.metadata, lambda: file.write(picture("L"))):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_nothing_is_left_open(gray_path, tmp_path):
    damaged = tmp_path / "damaged.scf"
    damaged.write_bytes(gray_path.read_bytes() + b"\0")
    foreign = tmp_path / "foreign.scf"
    foreign.write_bytes(b"no picture at all")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        iio.imread(gray_path)
        iio.improps(gray_path)
        with pytest.raises(CorruptStreamError):
            iio.imread(damaged)
        with pytest.raises(OSError, match="can not handle"):
            iio.imread(foreign, plugin="SCF")
        iio.imopen(gray_path, "r", plugin="SCF")
        iio.imwrite(tmp_path / "y.scf", picture("L"))
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


# Writing


def test_stacks_and_lists(array, path):
    for one in ([array], (array,), array[np.newaxis]):
        iio.imwrite(path, one, is_batch=True, **OPTIONS)
        assert path.read_bytes() == encoded(array)
    iio.imwrite(path, [array], **OPTIONS)
    assert path.read_bytes() == encoded(array)
    iio.imwrite(path, array, is_batch=False, **OPTIONS)
    assert path.read_bytes() == encoded(array)
    two = np.stack([array, array])
    for several in ([array, array], two, list(two)):
        iio.imwrite(path, several, is_batch=True, **OPTIONS)
        assert path.read_bytes() == encoded_frames([array, array])
    for nothing in ([], two[:0]):
        with pytest.raises(ValueError, match="no images"):
            iio.imwrite(path, nothing, is_batch=True)
    assert path.read_bytes() == encoded_frames([array, array])


def test_stacks_are_guessed(path):
    gray, rgb = picture("L"), picture("RGB")
    for one, expected in ((gray[np.newaxis], gray), (rgb[np.newaxis], rgb)):
        iio.imwrite(path, one, **OPTIONS)
        assert path.read_bytes() == encoded(expected)
    for several in (np.stack([gray] * 3), np.stack([rgb] * 3), [rgb, rgb, rgb]):
        iio.imwrite(path, several, **OPTIONS)
        assert path.read_bytes() == encoded_frames(several)
    with pytest.raises(ValueError, match="must be alike"):
        iio.imwrite(path, [rgb, gray, rgb])
    iio.imwrite(path, np.stack([gray] * 3), is_batch=False)
    assert_same(iio.imread(path), np.stack([gray] * 3))
    assert iio.improps(path).n_images is None


def test_rows_of_a_list_are_no_images(path):
    rows = list(picture("L"))
    iio.imwrite(path, rows, **OPTIONS)
    assert path.read_bytes() == encoded(picture("L"))


def test_array_subclasses_strides_and_pillow_images(path):
    gray = picture("L")
    for given, expected in (
        (gray[::-2, ::2], gray[::-2, ::2]),
        (np.asfortranarray(gray), gray),
        (iio2.imread(iio.imwrite("<bytes>", gray, extension=".png")), gray),
        (Image.fromarray(picture("RGB")), picture("RGB")),
    ):
        iio.imwrite(path, given, **OPTIONS)
        assert_same(iio.imread(path), expected)
    iio.imwrite(path, Image.new("P", (4, 4)))
    assert_same(iio.imread(path), np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (np.zeros((4, 4), np.complex64), TypeError),
        (np.zeros((4, 4), object), TypeError),
        (np.zeros((4, 4, 2), "M8[s]"), TypeError),
        (np.zeros(4, np.uint8), TypeError),
        (np.zeros((0, 4), np.uint8), ValueError),
    ],
)
def test_arrays_that_cannot_be(bad, error, path):
    with pytest.raises(error, match="cannot encode"):
        iio.imwrite(path, bad)
    assert not path.exists()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"effort": 10}, ValueError),
        ({"effort": "9"}, TypeError),
        ({"file_check": 1}, TypeError),
        ({"reference_bytes": 3}, ValueError),
        ({"codebook": "no-such-book"}, CodebookNotFoundError),
        ({"quality": 90, "efort": 5}, TypeError),
    ],
)
def test_options_that_cannot_be(options, error, gray_path):
    before = gray_path.read_bytes()
    with pytest.raises(error, match=r"effort|file_check|reference_bytes|no-such-book"):
        iio.imwrite(gray_path, picture("L", seed=5), **options)
    assert gray_path.read_bytes() == before


def test_options_reach_the_encoder(path):
    book = taught_codebook()
    for options in (
        {"codebook": None, "effort": 1},
        {"codebook": book, "reference_bytes": 32},
        {"codebook": book, "embed_codebook": True},
        {"codebook": "none", "file_check": True},
    ):
        iio.imwrite(path, taught_picture(), **options)
        assert path.read_bytes() == encoded(taught_picture(), **options)
        iio2.imwrite(path, taught_picture(), format="SCF", **options)
        assert path.read_bytes() == encoded(taught_picture(), **options)


@pytest.mark.parametrize("stage", ["encoding", "writing"])
def test_an_existing_file_survives_a_failed_write(gray_path, monkeypatch, stage):
    before = gray_path.read_bytes()

    def fail(*arguments, **options):
        raise OSError("the disk is full")

    if stage == "encoding":
        monkeypatch.setattr(encoder, "encode_pictures", fail)
    else:
        monkeypatch.setattr(os, "fsync", fail)
    for write in (iio.imwrite, iio2.imwrite):
        with pytest.raises(OSError, match="disk is full"):
            write(gray_path, picture("L", seed=5))
    assert gray_path.read_bytes() == before
    assert list(gray_path.parent.iterdir()) == [gray_path]


def test_a_failed_write_can_be_repeated(path):
    with iio.imopen(path, "w", plugin="SCF") as file:
        with pytest.raises(TypeError):
            file.write(np.zeros((4, 4), complex))
        file.write(picture("L"), **OPTIONS)
    assert path.read_bytes() == encoded(picture("L"))


def test_failed_write_to_a_zip_file(tmp_path):
    with pytest.raises(TypeError):
        iio.imwrite(f"{tmp_path}/set.zip/x.scf", np.zeros((4, 4), complex))
    assert not (tmp_path / "set.zip").exists()


def test_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    iio.imwrite("~/x.scf", picture("L"), **OPTIONS)
    assert_same(iio.imread(Path("~/x.scf").expanduser()), picture("L"))


def test_properties_in_a_fresh_process_load_no_numba(gray_path):
    code = (
        "import sys, softcomp_codec, imageio.v3 as iio\n"
        f"print(iio.improps({str(gray_path)!r}).shape, 'numba' in sys.modules)"
    )
    output, _ = run_python(code)
    assert output.strip() == "(17, 23) False"
