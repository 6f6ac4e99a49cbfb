"""The bundled samples are what ``examples/make_samples.py`` draws."""

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

from softcomp_codec.samples import list_samples

SCRIPT = Path(__file__).parent.parent / "examples" / "make_samples.py"


@pytest.fixture(scope="module")
def script():
    """The script as a module that draws only once."""
    spec = importlib.util.spec_from_file_location("make_samples", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    images = module.draw_all()
    module.draw_all = lambda: images
    return module


def run_script(script, monkeypatch, *args):
    monkeypatch.setattr("sys.argv", [str(SCRIPT), *args])
    return script.main()


def test_drawing_again_gives_the_same_pixels(script, monkeypatch, capsys):
    folder = list_samples()["boot"].parent
    code = run_script(script, monkeypatch, "--check", "--output", str(folder))
    out = capsys.readouterr().out
    assert code == 0, out
    assert out.count("the same pixels") == len(list_samples())


def test_the_check_finds_what_differs(script, monkeypatch, capsys, tmp_path):
    for path in list_samples().values():
        with Image.open(path) as image:
            if path.stem == "boot":
                image.putpixel((3, 3), 255)
            if path.stem != "bag":
                image.save(tmp_path / path.name)
    Image.new("L", (1, 1)).save(tmp_path / "extra.png")
    assert run_script(script, monkeypatch, "--check", "--output", str(tmp_path)) == 1
    out = capsys.readouterr().out
    for line in ("boot.png: DIFFERENT", "bag.png: MISSING", "extra.png: not drawn"):
        assert line in out


def test_writing_and_checking_agree(script, monkeypatch, tmp_path):
    assert run_script(script, monkeypatch, "--output", str(tmp_path)) == 0
    assert run_script(script, monkeypatch, "--check", "--output", str(tmp_path)) == 0


def test_there_is_a_sample_of_each_mode():
    modes = set()
    for path in list_samples().values():
        with Image.open(path) as image:
            modes.add(image.mode)
    assert modes == {"1", "L", "RGB"}


def test_samples_are_small_and_listed_by_name():
    samples = list_samples()
    assert list(samples) == sorted(samples)
    assert sum(path.stat().st_size for path in samples.values()) < 400_000


@pytest.mark.parametrize("name", ["retina", "digits-sheet"])
def test_names_lead_to_files(name):
    assert list_samples()[name].is_file()
