"""Worker processes and threads: pickled images, loaders, forks after threads, caches of kernels."""

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import softcomp_codec
from softcomp_codec.kernels import jit

POSIX = os.name == "posix"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Files of some small pictures, and their samples."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(5)
    arrays = [rng.integers(0, 9, (12, 10), np.uint8) for _ in range(6)]
    paths = []
    for index, array in enumerate(arrays):
        paths.append(folder / f"{index}.scf")
        paths[-1].write_bytes(softcomp_codec.encode(array, codebook=None))
    return paths, arrays


def run(script, *arguments, **variables):
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env=os.environ | variables,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


# The pattern of a loader of training data: a dataset goes to each worker when that starts, and then
# numbers go there and arrays come back. Only the dataset's module imports softcomp_codec.
LOADER = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import numpy as np
import softcomp_codec
from PIL import Image

class Dataset:
    def __init__(self, paths):
        self.paths = paths
        self.opened = Image.open(paths[0])  # pickled with it

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        if index == 0:
            return np.asarray(self.opened)
        with Image.open(self.paths[index]) as image:
            return np.asarray(image)

def start(dataset):
    global here
    here = dataset

def fetch(index):
    return here[index]

def total(array):
    return int(array.sum())

if __name__ == "__main__":
    dataset = Dataset(sys.argv[2:])
    if sys.argv[1] == "spawn":
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(2, context, initializer=start, initargs=(dataset,))
    else:
        assert np.asarray(dataset[1]).size  # kernels, and threads below, before the fork
        softcomp_codec.encode_many([dataset[1]] * 4, threads=4, codebook=None)
        context = multiprocessing.get_context("fork")
        pool = ProcessPoolExecutor(2, context, initializer=start, initargs=(dataset,))
    with pool:
        print(*map(total, pool.map(fetch, range(len(dataset)))))
"""


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_loader(method, pictures, tmp_path):
    if method == "fork" and sys.platform != "linux":
        pytest.skip("fork is for Linux")
    paths, arrays = pictures
    script = tmp_path / "loader.py"
    script.write_text(LOADER)
    assert run(script, method, *paths) == [str(int(array.sum())) for array in arrays]


def test_opened_images_can_be_pickled(pictures):
    paths, arrays = pictures
    with Image.open(paths[0]) as image:
        again = pickle.loads(pickle.dumps(image))
        image.load()
        once_more = pickle.loads(pickle.dumps(image))
    for each in (again, once_more):
        assert np.array_equal(np.asarray(each), arrays[0])


def test_pickled_codebooks_and_headers(pictures):
    paths, _ = pictures
    header = softcomp_codec.read_header(paths[0].read_bytes())
    assert pickle.loads(pickle.dumps(header)) == header


def test_16_threads(pictures):
    paths, arrays = pictures

    def open_and_save(index):
        with Image.open(paths[index % len(paths)]) as image:
            found = np.asarray(image)
        data = softcomp_codec.encode(found, codebook=None)
        assert data == paths[index % len(paths)].read_bytes()
        return np.array_equal(found, arrays[index % len(paths)])

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(open_and_save, range(96)))


def test_one_image_opened_by_16_threads(pictures):
    paths, arrays = pictures
    with Image.open(paths[0]) as image, ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: np.asarray(image).copy(), range(32)))
    assert all(np.array_equal(each, arrays[0]) for each in found)


DASK = """
import sys
import dask
import numpy as np

def read(path):
    import softcomp_codec
    from PIL import Image
    with Image.open(path) as image:
        return int(np.asarray(image).sum())

if __name__ == "__main__":
    jobs = [dask.delayed(read)(path) for path in sys.argv[1:]]
    print(*dask.compute(*jobs, scheduler="processes", num_workers=2))
"""


def test_dask_workers(pictures, tmp_path):
    pytest.importorskip("dask")
    paths, arrays = pictures
    script = tmp_path / "by_dask.py"
    script.write_text(DASK)
    assert run(script, *paths) == [str(int(array.sum())) for array in arrays]


# ---- The cache of compiled kernels ---------------------------------------------------------------

COMPILES = """
import sys
import numpy as np
from kernel_of_two_types import add_up

for name in sys.argv[1:]:
    kind = np.int64 if name == "int" else np.float64
    print(add_up(np.arange(5, dtype=kind) * kind(1.5 if kind is np.float64 else 1)))
print(sum(add_up.stats.cache_hits.values()))
"""

KERNEL = """
import numpy as np
from softcomp_codec.kernels.jit import kernel

@kernel
def add_up(array):
    total = array[0]
    for index in range(1, array.size):
        total += array[index]
    return total
"""


def test_fresh_processes_that_start_at_once_share_an_empty_cache(tmp_path):
    (tmp_path / "kernel_of_two_types.py").write_text(KERNEL)
    (tmp_path / "program.py").write_text(COMPILES)
    cache = tmp_path / "cache"

    def start(*kinds):
        return subprocess.Popen(
            [sys.executable, tmp_path / "program.py", *kinds],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"SOFTCOMP_NUMBA_CACHE": str(cache)},
        )

    processes = [start(kind) for kind in ["int", "float"] * 4]
    for kind, process in zip(["int", "float"] * 4, processes, strict=True):
        assert process.communicate()[0].split()[0] == ("10" if kind == "int" else "15.0")
        assert process.returncode == 0
    assert not [path for path in cache.rglob("*") if ".tmp." in path.name]
    start("int", "float").communicate()  # what the index lost
    assert start("int", "float").communicate()[0].split() == ["10", "15.0", "2"]


def test_an_index_that_two_processes_wrote_leads_to_no_foreign_code(tmp_path):
    """Each knows nothing of what the other saves; Numba's own files would mix them up."""

    class Hasty(jit._Files):
        def _load_index(self):
            return {}

    names = {"cache_path": str(tmp_path), "filename_base": "kernel", "source_stamp": "1"}
    for key, data in (("of int64", "code 1"), ("of float64", "code 2"), ("of int64", "code 1")):
        Hasty(**names).save(key, data)
    files = jit._Files(**names)
    assert files.load("of int64") == "code 1"
    assert files.load("of float64") in (None, "code 2")
    files.save("of float64", "code 2")
    assert [files.load(key) for key in ("of int64", "of float64")] == ["code 1", "code 2"]
    (tmp_path / "kernel.nbi").unlink()
    assert files.load("of int64") is None


@pytest.mark.skipif(not POSIX or sys.platform == "darwin", reason="fork is for Linux")
def test_a_fork_amid_the_work_of_threads(pictures, tmp_path):
    """Locks that a thread held when its process forked must not stop the child for ever."""
    script = tmp_path / "forks.py"
    script.write_text(
        "import os, sys, threading, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "import numpy as np, softcomp_codec\n"
        "from softcomp_codec import codebook_store\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "expected = softcomp_codec.decode(data)\n"
        "with codebook_store._lock:\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        again = softcomp_codec.decode(data)\n"
        "        codebook_store.list_codebooks()\n"
        "        softcomp_codec.encode_many([again] * 4, threads=2)\n"
        "        os._exit(0 if np.array_equal(again, expected) else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert run(script, pictures[0][0]) == ["0"]
