"""``python -m softcomp_codec autoload`` in an environment of its own, and what it leaves behind."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import PIL
import pytest

import softcomp_codec
from softcomp_codec import autoload

PACKAGES = [Path(PIL.__file__).parents[1], Path(softcomp_codec.__file__).parents[1]]
OPENS = (
    "import sys; assert 'PIL' not in sys.modules\n"
    "from PIL import Image; print(Image.EXTENSION.get('.scf'))"
)
FINDERS = (
    "import sys; from PIL import Image\n"
    "print([type(f).__name__ for f in sys.meta_path if 'Autoload' in type(f).__name__])"
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The Python of a virtual environment, which sees the packages of this one."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site_packages = Path(
        subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
        .stdout.strip()
    )  # fmt: skip
    (site_packages / "others.pth").write_text("".join(f"{path}\n" for path in PACKAGES))
    return python, site_packages


def run(python, *arguments, code=0, **variables):
    done = subprocess.run(
        [python, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "error"} | variables,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def command(environment, *arguments, code=0):
    return run(environment[0], "-m", "softcomp_codec", "autoload", *arguments, code=code)


def test_enable_status_disable(environment):
    python, folder = environment
    before = sorted(folder.iterdir())
    assert "autoload is disabled" in command(environment, "--status", code=1)
    assert run(python, "-c", OPENS) == "None\n"
    assert command(environment, "--enable") == f"autoload enabled in {folder}\n"
    assert command(environment, "--enable") == f"autoload was enabled already in {folder}\n"
    assert "autoload is enabled" in command(environment, "--status")
    assert run(python, "-c", OPENS) == "SCF\n"
    assert run(python, "-I", "-c", OPENS) == "SCF\n"
    assert run(python, "-c", FINDERS) == "[]\n"
    known = "import imageio.v3; from imageio import config; print('SCF' in config.known_plugins)"
    assert run(python, "-c", known) == "True\n"
    loaded = "import sys; print({'softcomp_codec', 'PIL', 'importlib.util'} & set(sys.modules))"
    assert "PIL" not in run(python, "-c", loaded)
    assert run(python, "-c", f"import softcomp_codec\n{FINDERS}") == "[]\n"
    names = {path.name for path in folder.iterdir()} - {path.name for path in before}
    assert names - {"__pycache__"} == {
        f"softcomp_codec_autoload.{suffix}" for suffix in ("py", "pth", "start")
    }
    assert (folder / "softcomp_codec_autoload.start").read_text() == (
        "softcomp_codec_autoload:start\n"
    )
    assert command(environment, "--disable") == f"autoload disabled in {folder}\n"
    assert command(environment, "--disable") == f"autoload was not enabled in {folder}\n"
    assert {path for path in folder.iterdir() if path.name != "__pycache__"} == set(before)
    assert run(python, "-c", OPENS) == "None\n"


def test_spawned_workers_open_files(environment, tmp_path):
    python, _ = environment
    command(environment, "--enable")
    try:
        image = "from PIL import Image; Image.new('L', (3, 2), 7)"
        run(python, "-c", f"{image}.save({str(tmp_path / 'a.scf')!r})")
        (tmp_path / "program.py").write_text(
            "import multiprocessing\n"
            "from PIL import Image\n"
            "def size(path):\n"
            "    with Image.open(path) as image:\n"
            "        return image.size, image.getpixel((0, 0))\n"
            "if __name__ == '__main__':\n"
            "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
            f"        print(pool.map(size, [{str(tmp_path / 'a.scf')!r}]))\n"
        )
        assert run(python, tmp_path / "program.py") == "[((3, 2), 7)]\n"
    finally:
        command(environment, "--disable")


def test_nothing_breaks_when_the_package_is_gone(environment):
    python, folder = environment
    command(environment, "--enable")
    paths = folder / "others.pth"
    text = paths.read_text()
    try:
        paths.write_text(f"{PACKAGES[0]}\n")
        # softcomp_codec may be beside Pillow; an entry of None hides it as if it were uninstalled
        hide = "import sys; sys.modules['softcomp_codec'] = None\n"
        assert run(python, "-c", hide + OPENS) == "None\n"
        (folder / "softcomp_codec_autoload.py").unlink()
        assert run(python, "-c", "print(1)") == "1\n"
    finally:
        paths.write_text(text)
        command(environment, "--disable")


def test_a_package_that_cannot_be_loaded_is_a_warning(environment, tmp_path):
    python, _ = environment
    command(environment, "--enable")
    try:
        (tmp_path / "softcomp_codec.py").write_text("raise OSError('broken')")
        code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{OPENS}"
        text = run(python, "-c", code, PYTHONWARNINGS="default")
        assert text.startswith("None\n")
        assert "RuntimeWarning: softcomp_codec cannot be loaded: OSError('broken')" in text
    finally:
        command(environment, "--disable")


def test_the_hook_is_renewed(environment):
    _, folder = environment
    command(environment, "--enable")
    (folder / "softcomp_codec_autoload.py").write_text("def start(): pass\n")
    assert "is of another release; --enable renews it" in command(environment, "--status", code=1)
    assert "autoload enabled" in command(environment, "--enable")
    assert "autoload is enabled" in command(environment, "--status")
    command(environment, "--disable")


def test_the_users_folder(environment, monkeypatch, tmp_path, capsys):
    assert "does not look into the user's folder" in command(
        environment, "--user", "--enable", code=1
    )
    monkeypatch.setattr(autoload.site, "ENABLE_USER_SITE", True)
    monkeypatch.setattr(autoload.site, "getusersitepackages", lambda: str(tmp_path / "user"))
    assert autoload.main(["--user", "--enable"]) == 0
    assert len(list((tmp_path / "user").iterdir())) == 3
    assert "when it is started again" in capsys.readouterr().err.replace("\n", " ")
    assert autoload.main(["--user", "--status"]) == 0
    assert autoload.main(["--user", "--disable"]) == 0
    assert list((tmp_path / "user").iterdir()) == []


def test_a_folder_that_cannot_be_written_to(monkeypatch, tmp_path, capsys):
    def fail(path, data):
        raise PermissionError(13, "Permission denied", os.fspath(path))

    monkeypatch.setattr(autoload, "packages_folder", lambda *, user: tmp_path)
    monkeypatch.setattr(autoload, "write_atomically", fail)
    monkeypatch.setattr(autoload.site, "ENABLE_USER_SITE", True)
    assert autoload.main(["--enable"]) == 1
    text = capsys.readouterr().err
    assert f"autoload: error: {tmp_path}" in text
    assert "Permission denied" in text
    assert "--user takes your own folder" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["--enable", "--disable"]])
def test_wrong_usage(arguments):
    with pytest.raises(SystemExit) as left:
        autoload.main(arguments)
    assert left.value.code == 2


def test_without_arguments_it_is_scf():
    done = subprocess.run(
        [sys.executable, "-m", "softcomp_codec", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"scf {softcomp_codec.__version__}\n"
