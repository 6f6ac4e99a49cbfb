"""What numba, processes and installations can do to a codec; each case in processes of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from importlib.resources import files
from pathlib import Path

import pytest

import softcomp_codec

PACKAGE = Path(softcomp_codec.__file__).parent
SITE = PACKAGE.parent
CHECKOUT = Path(__file__).parent.parent
POSIX = os.name == "posix"

PICTURES = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import numpy as np
from made_images import colours, glyphs, slope
"""


def run(code, *, site=SITE, **environment):
    """Run code in a new interpreter that takes the package from `site`; returns what it prints."""
    variables = {**os.environ, "PYTHONPATH": str(site), **environment}
    check = f"import softcomp_codec\nassert softcomp_codec.__file__.startswith({str(site)!r})\n"
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", check + code],
        env={name: value for name, value in variables.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def copied(site):
    """Copy the package to a folder as an installation would put it."""
    nothing_compiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, site / "softcomp_codec", ignore=nothing_compiled)
    target = site / "softcomp_codec" / "codebooks"
    target.mkdir(exist_ok=True)
    for entry in files("softcomp_codec.codebooks").iterdir():
        if entry.is_file():
            (target / entry.name).write_bytes(entry.read_bytes())
    return site


# --- stale machine code -------------------------------------------------------------------------

ONE_PICTURE = (
    PICTURES
    + """
from softcomp_codec.kernels.jit import cache_folder
# Spots at a distance that only Golomb's code suits, so that its cost decides on the bytes
picture = np.zeros((90, 91), bool)
picture.ravel()[::130] = True
data = softcomp_codec.encode(picture, codebook=None, effort=1, coder="shapes")
assert (softcomp_codec.decode(data) == picture).all()
header = softcomp_codec.read_header(data)
print(data[header.payload_offset :].hex(), cache_folder())
"""
)

OLD = "return value // parameter + 1 + width"
NEW = "return value // parameter + 9 + width"
EDITED = Path("kernels", "bit_kernels.py")
"""The cost of Golomb's code: a helper that a kernel of another file calls."""


def edited(package):
    """Change a helper in place; neither size nor time of the file give it away."""
    path = package / EDITED
    before = path.stat()
    text = path.read_text(encoding="utf-8")
    assert text.count(OLD) == 1
    path.write_text(text.replace(OLD, NEW), encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)


def assert_new_code_runs(site, upgrade, tmp_path):
    cache = str(tmp_path / "kernels")
    data, folder = run(ONE_PICTURE, site=site, SOFTCOMP_NUMBA_CACHE=cache).split()
    assert Path(folder).parent == Path(cache)
    compiled = sorted(entry.name for entry in Path(folder).iterdir())
    assert any(name.endswith(".nbi") for name in compiled)
    upgrade()
    new_data, new_folder = run(ONE_PICTURE, site=site, SOFTCOMP_NUMBA_CACHE=cache).split()
    assert new_folder != folder
    assert new_data != data, "machine code of the old release was run"
    assert sorted(entry.name for entry in Path(folder).iterdir()) == compiled


def test_a_helper_in_another_file_is_edited_in_place(tmp_path):
    site = copied(tmp_path / "site")
    assert_new_code_runs(site, lambda: edited(site / "softcomp_codec"), tmp_path)


@pytest.mark.skipif("SCF_TEST_WHEELS" not in os.environ, reason="takes long; set SCF_TEST_WHEELS=1")
def test_a_wheel_is_upgraded_in_place(tmp_path):
    major = int(metadata.version("setuptools").split(".")[0])
    if major < 77 or not (CHECKOUT / "pyproject.toml").exists():
        pytest.skip("needs setuptools 77 and a checkout")
    source, site = tmp_path / "source", tmp_path / "site"
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("softcomp_codec", "codebooks"):
        shutil.copytree(CHECKOUT / folder, source / folder, ignore=skipped)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)

    def install():
        pip = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps"]
        pip += ["--no-index", "--upgrade", "--target", str(site), str(source)]
        done = subprocess.run(pip, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, done.stderr

    def upgrade():
        shutil.rmtree(source / "build", ignore_errors=True)
        edited(source / "softcomp_codec")
        install()

    install()
    assert_new_code_runs(site, upgrade, tmp_path)


def test_settings_of_numba_have_caches_of_their_own(tmp_path):
    code = "from softcomp_codec.kernels.jit import cache_folder; print(cache_folder())"
    cache = str(tmp_path)
    folders = {
        run(code, SOFTCOMP_NUMBA_CACHE=cache, **settings)
        for settings in ({}, {"NUMBA_BOUNDSCHECK": "1"}, {"NUMBA_OPT": "1"})
        if os.environ.keys().isdisjoint(settings)
    }
    assert len(folders) == 3 - ("NUMBA_BOUNDSCHECK" in os.environ) - ("NUMBA_OPT" in os.environ)
    assert run(code, SOFTCOMP_NUMBA_CACHE="0").strip() == "None"


HELPERS = """
import gc
from softcomp_codec.kernels.jit import inlined, kernel

@inlined
def helper(value, limit):
    return min(value, limit)

@kernel
def caller(value):
    return helper(value, 3) + helper(value, 5)

for _ in range(2):
    try:
        helper(1, 2)
        raise AssertionError("called")
    except TypeError as error:
        assert "helper" in str(error)
    assert caller(4) == 7
assert len(helper.signatures) == 1, helper.signatures
assert gc.isenabled()

@kernel
def wrong(value):
    return value.nothing_of_the_kind

gc.disable()
for compiled in (caller, wrong):
    try:
        compiled(2.5)
    except Exception:
        assert compiled is wrong
    assert not gc.isenabled()
gc.enable()
try:
    wrong(1)
except Exception:
    pass
assert gc.isenabled()
print("works")
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="nothing is compiled")
def test_helpers_have_no_entry_and_the_collector_is_left_as_it_was(tmp_path):
    script = tmp_path / "helpers.py"  # Numba wants a file
    script.write_text(HELPERS, encoding="utf-8")
    code = f"import runpy; runpy.run_path({str(script)!r})"
    assert run(code, SOFTCOMP_NUMBA_CACHE="0").strip() == "works"


ALLOCATION = """
import numpy as np
from softcomp_codec.kernels.allocation import empty_array, zero_array
from softcomp_codec.kernels.jit import kernel

@kernel
def made(n, other):
    one, two = zero_array(n, np.uint16), zero_array((n, 3), other.dtype)
    three = empty_array((2, n, n), np.int64)
    for i in range(n):
        three[1, i, i] = i
    return one, two, three

for n in (0, 1, 5):
    one, two, three = made(n, np.ones(2, np.int16))
    assert (one.shape, one.dtype, one.any()) == ((n,), np.uint16, False)
    assert (two.shape, two.dtype, two.any()) == ((n, 3), np.int16, False)
    assert (three.shape, three.dtype) == ((2, n, n), np.int64)
    assert three.flags.c_contiguous and three[1].trace() == n * (n - 1) // 2
print("works")
"""


def test_arrays_that_kernels_make(tmp_path):
    script = tmp_path / "allocation.py"
    script.write_text(ALLOCATION, encoding="utf-8")
    code = f"import runpy; runpy.run_path({str(script)!r})"
    assert run(code, SOFTCOMP_NUMBA_CACHE="0").strip() == "works"


# --- nowhere to write ---------------------------------------------------------------------------

NO_RIGHTS = """
import os
import sys

def there_and_back():
    import numpy
    import softcomp_codec
    assert softcomp_codec.__file__.startswith({site!r}), softcomp_codec.__file__
    picture = numpy.arange(80, dtype=numpy.uint8).reshape(8, 10)
    data = softcomp_codec.encode(picture, codebook=None, effort=1)
    assert (softcomp_codec.decode(data) == picture).all()

if os.getuid() == 0:
    # Python itself may be readable for root only: load all of it before the rights are dropped.
    there_and_back()
    import numba
    numba.njit(lambda array: array.sum())(sys.modules["numpy"].zeros(3))
    for name in list(sys.modules):
        if name.partition(".")[0] == "softcomp_codec":
            del sys.modules[name]
    os.setgroups([])
    os.setgid({uid})
    os.setuid({uid})
for name in {none!r}:
    os.environ.pop(name, None)
if {home!r}:
    os.environ["HOME"] = {home!r}
there_and_back()
from softcomp_codec.kernels.jit import __file__, cache_folder
assert not os.access(os.path.dirname(__file__), os.W_OK)
assert cache_folder() is None, cache_folder()
assert os.listdir(os.curdir) == [], os.listdir(os.curdir)
print("works")
"""
HOMES = ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "NUMBA_CACHE_DIR", "SOFTCOMP_NUMBA_CACHE")


@pytest.mark.skipif(not POSIX, reason="POSIX rights")
def test_a_read_only_installation_without_a_home():
    """As a user that has no entry in the list of users, as containers run programs."""
    # Not in pytest's folder, which only its owner may enter.
    base = Path(tempfile.mkdtemp(prefix="scf-test-"))
    try:
        site, here = copied(base / "site"), base / "here"
        here.mkdir()
        here.chmod(0o777)
        base.chmod(0o755)
        for path in site.rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        # A user that has an entry finds a home without the variable.
        home = "" if os.getuid() == 0 else str(base / "no home")
        if home:
            base.chmod(0o555)
        code = NO_RIGHTS.format(uid=54321, site=str(site), none=HOMES, home=home)
        variables = {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            env={**os.environ, **variables},
            cwd=here,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "works\n"
    finally:
        for path in [base, *base.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(base)


@pytest.mark.parametrize("value", ["0", "off", "NO"])
def test_caching_can_be_switched_off(tmp_path, value):
    code = "from softcomp_codec.kernels.jit import *; print(cache_folder(), has_compiled_kernels())"
    assert run(code, SOFTCOMP_NUMBA_CACHE=value).split() == ["None", "False"]


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    code = "from softcomp_codec.kernels import jit, bit_kernels; print(jit.cache_folder())"
    cache = str(tmp_path / "file" / "below")
    assert run(code, SOFTCOMP_NUMBA_CACHE=cache).strip() == "None"


def test_numba_cache_dir_is_honoured(tmp_path):
    code = "from softcomp_codec.kernels import jit, bit_kernels; print(jit.cache_folder())"
    folder = run(code, SOFTCOMP_NUMBA_CACHE=None, NUMBA_CACHE_DIR=str(tmp_path)).strip()
    assert Path(folder).parent == tmp_path / "softcomp_codec"


# --- processes and threads ----------------------------------------------------------------------

POOLS = (
    PICTURES
    + """
import multiprocessing
import softcomp_codec
from concurrent.futures import ThreadPoolExecutor

PICTURES = [maker(40, 40, seed) for maker in (glyphs, slope, colours) for seed in range(2)]

def there_and_back(index):
    data = softcomp_codec.encode(PICTURES[index], codebook=None)
    assert (softcomp_codec.decode(data) == PICTURES[index]).all()
    return data

if __name__ == "__main__":
    indices = range(len(PICTURES))
    expected = softcomp_codec.encode_many(PICTURES, threads=2, codebook=None)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(there_and_back, list(indices) * 10)) == expected * 10
    for method in sys.argv[1:]:
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(there_and_back, indices, chunksize=1) == expected
        print(method)
"""
)


@pytest.mark.skipif(not POSIX, reason="fork is POSIX")
def test_pools_of_processes(tmp_path):
    """Kernels and threads have been used before the processes start."""
    script = tmp_path / "pools.py"
    script.write_text(POOLS, encoding="utf-8")
    methods = ["spawn", "fork"] if sys.platform == "linux" else ["spawn"]
    done = subprocess.run(
        [sys.executable, str(script), *methods],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == methods


# --- signatures ---------------------------------------------------------------------------------

SIGNATURES = (
    PICTURES
    + """
import ast
import importlib
import pkgutil
import softcomp_codec
from softcomp_codec import container, decoder, kernels, reference_training, shapes_coder, tracing
from softcomp_codec import training
from small_codebooks import small_codebook

def layouts(picture):
    frozen = picture.copy()
    frozen.setflags(write=False)
    yield from (picture, frozen, np.asfortranarray(picture), picture[::-1], picture[:, ::2])
    yield picture[:1, :1]

for kind, maker, n_planes in (("bilevel", glyphs, 1), ("gray8", slope, 1), ("rgb8", colours, 3)):
    book = small_codebook(kind)
    loaded = softcomp_codec.Codebook.from_bytes(book.to_bytes())
    for picture in layouts(maker(40, 40, 99)):
        for shape in {picture.shape, (*picture.shape[:2], n_planes)}:
            for effort in (1, 5, 9):
                for choice, embed in ((None, False), (book, False), (loaded, True)):
                    data = softcomp_codec.encode(
                        picture.reshape(shape), codebook=choice, effort=effort, coder="shapes",
                        embed_codebook=embed,
                    )
                    for bytes_ in (data, bytearray(data), memoryview(data)):
                        found = softcomp_codec.decode(bytes_, codebooks=[loaded])
                        assert (found == picture.reshape(shape)).all()
                    if effort == 5 and choice is None:
                        few = picture.reshape(shape) // 64 * 64 if n_planes > 1 else picture
                        data = softcomp_codec.encode(few, codebook=None, coder="few-colour")
                        assert (softcomp_codec.decode(memoryview(data)) == few).all()
                    if softcomp_codec.read_header(data).coder == container.SHAPES:
                        tracing.trace_file(data, codebooks=[loaded])
    frozen = [picture.copy() for picture in (maker(9, 9), maker(20, 20))]
    for picture in frozen:
        picture.setflags(write=False)
    training.train(frozen, name="x", holdout=0.5, workers=2)
    for scheme in (2, 3) if kind == "rgb8" else (0,):
        reference = training.train(
            frozen, name="x", holdout=0, settings="reference",
            options=reference_training.ReferenceOptions(scheme_id=scheme),
        )
        for picture in layouts(maker(40, 40, 99)):
            data = softcomp_codec.encode(picture, codebook=reference)
            assert (softcomp_codec.decode(data, codebooks=[reference]) == picture).all()

# The context coder, both widths, and the lattice of decoded JPEGs
from softcomp_codec import context_coder
from made_images import jpeg_colours, typical
makers = [slope, colours, jpeg_colours]
makers += [lambda h, w, s, n=n: typical((h, w, n), np.uint8, s) for n in (1, 2, 4)]
makers += [lambda h, w, s, n=n: typical((h, w, n)[: 2 + (n > 0)], np.uint16, s) for n in range(5)]
n_coded = 0
for maker in makers:
    for picture in layouts(maker(40, 40, 99)):
        for effort, largest in ((1, 1 << 18), (5, 1 << 18), (5, 0), (7, 1 << 18), (7, 0), (9, 0)):
            context_coder.MIXED_PIXELS = largest  # log-odds add up in larger images
            data = softcomp_codec.encode(picture, coder="context", effort=effort)
            n_coded += softcomp_codec.read_header(data).coder == container.CONTEXT
            for bytes_ in (data, bytearray(data), memoryview(data)):
                assert (softcomp_codec.decode(bytes_) == picture).all()
            head = softcomp_codec.read_header(data).payload_offset
            decoder.decode_file(data[: max(head, len(data) - 9)], allow_truncated=True)
assert n_coded > 90, n_coded
context_coder.MIXED_PIXELS = 1 << 18

# The coder of decoded JPEGs, whole, cut out and edited
from made_images import decoded_jpeg, made_past
n_coded = 0
for sampling in (None, (1, 1), (1, 2), (2, 1), (2, 2)):
    original, _ = decoded_jpeg(made_past(sampling, (0, 0), 80), 144, 160, seed=3)
    original[60:70, 30:99] = 255 - original[60:70, 30:99]
    for picture in (*layouts(original), original[3:, 5:]):
        data = softcomp_codec.encode(picture, coder="jpeg-past")
        n_coded += softcomp_codec.read_header(data).coder == container.JPEG_PAST
        assert (softcomp_codec.decode(data) == picture).all()
assert n_coded >= 15, n_coded

# The same of decoders that round pixels alone
from made_images import scaled_jpeg, unrounded_jpeg
from softcomp_codec.kernels import unrounded_kernels
n_coded = {bytes([2, 0]): 0, bytes([2, 1]): 0}
for made in (unrounded_jpeg, scaled_jpeg):
    original, _ = made(made_past((1, 1), (0, 0), 80), 144, 160, seed=3)
    original[60:70, 30:99] = 255 - original[60:70, 30:99]
    for picture in (*layouts(original), original[3:, 5:]):
        data = softcomp_codec.encode(picture, coder="jpeg-past")
        header = softcomp_codec.read_header(data)
        if header.coder == container.JPEG_PAST:
            n_coded[data[header.payload_offset:][:2]] += 1
        for bytes_ in (data, bytearray(data), memoryview(data)):
            assert (softcomp_codec.decode(bytes_) == picture).all()
assert min(n_coded.values()) >= 3, n_coded
for name in ("invert_exact_blocks", "invert_scaled_blocks", "convert_unrounded"):
    assert len(getattr(unrounded_kernels, name).signatures) == 1, name

# The tiny coder, of a codebook just trained and of one from a file
from made_images import figure
from softcomp_codec.kernels import tiny_kernels
frozen = [figure(9, 9, seed) for seed in range(70)]
for picture in frozen:
    picture.setflags(write=False)
for images in (frozen, [np.asfortranarray(picture) for picture in frozen]):
    book = training.train(images, name="x", holdout=0, options=training.TrainingOptions(
        train_shapes=False))
    loaded = softcomp_codec.Codebook.from_bytes(book.to_bytes())
    for picture in layouts(figure(9, 9, 99)):
        for choice in (book, loaded):
            data = softcomp_codec.encode(picture, codebook=choice, coder="tiny")
            for bytes_ in (data, bytearray(data), memoryview(data)):
                assert (softcomp_codec.decode(bytes_, codebooks=[choice]) == picture).all()
    assert book.tiny and softcomp_codec.read_header(
        softcomp_codec.encode(frozen[3], codebook=book)).coder == container.TINY
for name in ("code_image", "learn_image"):
    n_signatures = len(getattr(tiny_kernels, name).signatures)
    print("tiny_kernels." + name, n_signatures)
    assert n_signatures == 1, (name, n_signatures)

from softcomp_codec.kernels import context_kernels
for key, code_plane in context_kernels.CODE_PLANE.items():
    n_signatures = len(code_plane.signatures)
    if not key[3]:  # tracing is for reports
        print("context_kernels.code_plane" + "-".join(map(str, key)), n_signatures)
        assert n_signatures == 1, (key, n_signatures)

for info in pkgutil.iter_modules(kernels.__path__):
    module = importlib.import_module(f"softcomp_codec.kernels.{info.name}")
    with open(module.__file__, encoding="utf-8") as stream:
        tree = ast.parse(stream.read())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and any(
            getattr(decorator, "id", "") == "kernel" for decorator in node.decorator_list
        ):
            print(f"{info.name}.{node.name}", len(getattr(module, node.name).signatures))
"""
)


LATTICE_KERNELS = ("split_pixels", "merge_pixels", "count_exact")


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="nothing is compiled")
def test_kernels_have_few_signatures():
    """Read-only, reversed and Fortran arrays are brought into one layout before the kernels."""
    lines = [line.split() for line in run(SIGNATURES).splitlines()]
    counts = {name: int(count) for name, count in lines}
    assert len(counts) > 10
    assert {name: count for name, count in counts.items() if count > 2} == {}
    assert {name: count for name, count in counts.items() if count < 1} == {}
    planes = [n for name, n in counts.items() if name.startswith("context_kernels.code_plane")]
    assert planes == [1] * 12
    assert counts["few_colour_kernels.code_pixels"] == 1
    lattice = {name: n for name, n in counts.items() if name.startswith("lattice_kernels.")}
    assert lattice.keys() >= {f"lattice_kernels.{name}" for name in LATTICE_KERNELS}
    assert set(lattice.values()) == {1}


ONCE = """
import numpy as np
import softcomp_codec
softcomp_codec.decode(softcomp_codec.encode(np.eye(40, dtype=np.uint8) * 200, coder="context"))
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="nothing is compiled")
def test_a_second_process_compiles_nothing(tmp_path):
    """What a kernel's closure holds is part of its key in the cache: the same in every process."""
    found = []
    for _ in range(2):
        run(ONCE, SOFTCOMP_NUMBA_CACHE=str(tmp_path))
        found.append(sorted(path.name for path in tmp_path.rglob("*.nbc")))
    assert any("code_plane" in name for name in found[0])
    assert found[0] == found[1]
