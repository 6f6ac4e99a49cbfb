"""Type hints as others see them: a program that uses the public names passes mypy --strict."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

import softcomp_codec

pytest.importorskip("mypy")

PROGRAM = """
from pathlib import Path

import numpy as np
import softcomp_codec
from numpy.typing import NDArray
from PIL import Image
from softcomp_codec import (
    Codebook,
    CodebookError,
    CodebookMismatchError,
    CodebookNotFoundError,
    CorruptStreamError,
    ScfError,
    TruncatedStreamError,
    UnsupportedStreamError,
)


def there_and_back(path: Path) -> bool:
    with Image.open(path) as image:
        data: bytes = softcomp_codec.encode(image, codebook="auto", effort=3, file_check=True)
    array: NDArray[np.uint8] = np.zeros((4, 5), np.uint8)
    files: list[bytes] = softcomp_codec.encode_many([array, array], threads=2)
    stack: bytes = softcomp_codec.encode_frames([array, array])
    frames = softcomp_codec.decode_frames(stack)
    header = softcomp_codec.read_header(data)
    try:
        found = softcomp_codec.decode(data)
    except CodebookNotFoundError as error:
        raise SystemExit(str(error)) from error
    except (CorruptStreamError, TruncatedStreamError, UnsupportedStreamError) as error:
        raise SystemExit(str(error)) from error
    except (CodebookError, CodebookMismatchError, ScfError) as error:
        raise SystemExit(str(error)) from error
    width: int = header.width
    return bool((found == array).all()) and len(frames) + len(files) + width > 0


def own_codebook(images: list[NDArray[np.uint8]]) -> Codebook:
    book: Codebook = softcomp_codec.train(images, name="own", holdout=0)
    softcomp_codec.register_codebook(book)
    book.save("own.scfb")
    again: Codebook = softcomp_codec.load_codebook("own.scfb")
    softcomp_codec.register()
    softcomp_codec.warmup()
    version: str = softcomp_codec.__version__
    return again if version else book
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an environment in which the package lies as pip would install it."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=os.name != "nt")
    found = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([found, "-c", code], capture_output=True, text=True, check=True)
    site_packages = Path(done.stdout.strip())
    (site_packages / "others.pth").write_text(f"{Path(np.__file__).parents[1]}\n")
    package = Path(softcomp_codec.__file__).parent
    nothing_compiled = shutil.ignore_patterns("__pycache__", "*.png", "codebooks")
    shutil.copytree(package, site_packages / "softcomp_codec", ignore=nothing_compiled)
    return found


def check(python, tmp_path, program):
    path = tmp_path / "program.py"
    path.write_text(program)
    return subprocess.run(
        [
            sys.executable,
            *("-m", "mypy", "--strict", "--no-error-summary", "--config-file", ""),
            *("--python-executable", str(python)),
            *("--cache-dir", str(tmp_path.parent / "mypy"), str(path)),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    ).stdout


def test_a_typed_program(python, tmp_path):
    assert check(python, tmp_path, PROGRAM) == ""


def test_wrong_uses_are_seen(python, tmp_path):
    said = check(
        python,
        tmp_path,
        "import softcomp_codec\n"
        "softcomp_codec.encode([[1]], effort='much')\n"
        "softcomp_codec.decode(b'').shapes\n"
        "softcomp_codec.nonesuch\n"
        "reveal_type(softcomp_codec.decode(b''))\n",
    )
    assert 'Argument "effort" to "encode" has incompatible type "str"' in said
    assert '"shapes"' in said
    assert '"nonesuch"' in said
    assert "ndarray" in said


def test_every_public_name_is_exported_and_there():
    assert sorted(softcomp_codec.__all__) == softcomp_codec.__dir__()
    for name in softcomp_codec.__all__:
        assert getattr(softcomp_codec, name) is not None
    with pytest.raises(AttributeError, match="nonesuch"):
        softcomp_codec.nonesuch  # noqa: B018
