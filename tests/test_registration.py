import importlib
import importlib.util
import inspect
import mimetypes
import re
import sys
import textwrap
from importlib.machinery import SourceFileLoader

import numpy as np
import pytest
from imageio import config
from PIL import Image
from plugin_files import run_python, stored_file

import softcomp_codec
from softcomp_codec import container, registration

# Finds the format through each library by each of its names, without encoding anything.
FIND = """
image = Image.open(io.BytesIO(DATA))
assert (image.format, image.size) == ("SCF", (1, 1))
assert Image.registered_extensions()[".scf"] == "SCF"
for hint in ({"plugin": "SCF"}, {"extension": ".scf"}, {"plugin": "pillow"}, {}):
    assert imageio.v3.improps(DATA, **hint).shape == (1, 1)
    if hint:
        imageio.v3.imopen("<bytes>", "w", **{"extension": ".scf", **hint}).close()
for name in ("SCF", "scf", ".scf", "x.scf"):
    assert len(imageio.v2.get_reader(DATA, format=name)) == 1
    imageio.v2.get_writer("<bytes>", format=name).close()
print("found")
"""

# The call that the format promises, and the way back.
USE = """
image = Image.linear_gradient("L").resize((9, 9))
data = imageio.imwrite("<bytes>", image, format="SCF", codebook=None)
assert Image.open(io.BytesIO(data)).tobytes() == image.tobytes()
assert imageio.v3.imread(data).tobytes() == image.tobytes()
print("works")
"""

IMPORTS = {
    "ours, Pillow, imageio": "import softcomp_codec, PIL.Image, imageio.v2, imageio.v3",
    "Pillow, ours, imageio": "import PIL.Image, softcomp_codec, imageio.v2, imageio.v3",
    "imageio, ours": "import imageio.v2, imageio.v3, softcomp_codec",
    "config, ours, imageio": "import imageio.config, softcomp_codec, imageio.v2, imageio.v3",
    "ours, config": "import softcomp_codec, imageio.config, imageio.v2, imageio.v3",
    "all formats of Pillow first": (
        "from PIL import Image; Image.init(); import softcomp_codec, imageio.v2, imageio.v3"
    ),
    "our plugin modules first": (
        "import softcomp_codec.imageio_plugin, softcomp_codec.pillow_plugin, imageio.v2, imageio.v3"
    ),
}


@pytest.mark.parametrize("imports", IMPORTS.values(), ids=IMPORTS.keys())
def test_import_orders(imports):
    data = stored_file(np.zeros((1, 1), np.uint8), 1)
    setting = f"{imports}\nimport io\nfrom PIL import Image\nimport imageio\nDATA = {data!r}\n"
    output, _ = run_python(setting + FIND)
    assert output.strip() == "found"


def test_use_in_a_fresh_process():
    output, _ = run_python("import softcomp_codec, imageio.v3, io; from PIL import Image\n" + USE)
    assert output.strip() == "works"


def test_import_is_light():
    _, times = run_python("import softcomp_codec", "-X", "importtime")
    modules = set(re.findall(r"\| +([\w.]+)$", times, re.MULTILINE))
    assert "softcomp_codec.registration" in modules
    heavy = {name for name in modules if name.split(".")[0] in ("numpy", "numba", "imageio")}
    assert heavy == set()


def test_what_pillow_knows():
    factory, accept = Image.OPEN["SCF"]
    assert inspect.isfunction(factory)
    assert accept(container.MAGIC + bytes(13))
    assert not accept(b"\x89PNG\r\n\x1a\n")
    assert not accept(container.MAGIC[:2])
    assert Image.registered_extensions()[".scf"] == "SCF"
    assert Image.MIME["SCF"] == "image/x-scf"
    assert {"SCF"} <= set(Image.SAVE) & set(Image.SAVE_ALL)
    assert mimetypes.guess_type("x.scf") == ("image/x-scf", None)


def test_what_imageio_knows():
    plugin = config.known_plugins["SCF"]
    assert not plugin.is_legacy
    assert plugin.plugin_class.__name__ == "ScfPlugin"
    (extension,) = config.known_extensions[".scf"]
    assert extension.priority == ["SCF", "pillow"]
    assert extension in config.extension_list
    assert list(config.known_plugins)[:2] == ["pillow", "SCF"]
    assert len(config.known_plugins) == len(set(config.known_plugins)) > 30


def counts():
    return (
        Image.ID.count("SCF"),
        len(config.known_extensions[".scf"]),
        sum(known.extension == ".scf" for known in config.extension_list),
        len(config.known_plugins),
        sum(isinstance(finder, registration._ConfigWatcher) for finder in sys.meta_path),
    )


def test_register_again():
    before = counts()
    assert before[:3] == (1, 1, 1)
    assert before[4] == 0
    for _ in range(3):
        softcomp_codec.register()
    assert counts() == before


def test_register_repairs(monkeypatch):
    monkeypatch.delitem(config.known_plugins, "SCF")
    monkeypatch.delitem(config.known_extensions, ".scf")
    monkeypatch.setattr(config, "extension_list", [])
    monkeypatch.delitem(Image.EXTENSION, ".scf")
    softcomp_codec.register()
    assert "SCF" in config.known_plugins
    assert [known.extension for known in config.extension_list] == [".scf"]
    assert Image.EXTENSION[".scf"] == "SCF"


def test_an_imageio_of_the_future_is_no_reason_to_fail(monkeypatch):
    monkeypatch.delitem(config.known_plugins, "SCF")
    monkeypatch.delattr(config, "PluginConfig")
    with pytest.warns(RuntimeWarning, match=r"cannot register \.scf .*PluginConfig"):
        softcomp_codec.register()


# The hook on the import of imageio.config


def run_hook(code):
    output, _ = run_python("import sys, softcomp_codec\n" + textwrap.dedent(code))
    return output.split()


def test_hook_leaves_no_trace():
    assert run_hook("""
        from softcomp_codec.registration import _ConfigWatcher
        def waiting():
            return sum(isinstance(finder, _ConfigWatcher) for finder in sys.meta_path)
        softcomp_codec.register()
        print(waiting())
        import imageio.config as config
        print(waiting(), type(config.__loader__).__name__, type(config.__spec__.loader).__name__)
        import inspect, importlib
        assert "known_plugins" in inspect.getsource(config)
        assert importlib.reload(config) is config
        print("SCF" in config.known_plugins, ".scf" in config.known_extensions, waiting())
        """) == ["1", "0", "SourceFileLoader", "SourceFileLoader", "True", "True", "0"]


def test_hook_survives_a_look_at_the_spec():
    assert run_hook("""
        import importlib.util, os
        folder = os.path.dirname(importlib.util.find_spec("imageio").origin)
        for _ in range(2):  # find_spec("imageio.config") would import the package first
            spec = importlib._bootstrap._find_spec("imageio.config", [folder])
        print(spec.name, os.path.basename(spec.origin), spec.submodule_search_locations is None)
        print("known_plugins" in spec.loader.get_source("imageio.config"))
        print(importlib.util.find_spec("imageio").name, "imageio" in sys.modules)
        found = importlib.util.find_spec("imageio.config")
        print(type(found.loader).__name__)
        import imageio.config
        print("SCF" in imageio.config.known_plugins)
        """) == ["imageio.config", "__init__.py", "False", "True", "imageio", "False",
                 "SourceFileLoader", "True"]  # fmt: skip


def test_hook_survives_a_failed_import():
    assert run_hook("""
        sys.modules["numpy"] = None
        try:
            import imageio
        except ImportError:
            print("failed")
        for name in [name for name in sys.modules if name == "numpy" or name.startswith("imageio")]:
            del sys.modules[name]
        import imageio
        print("SCF" in imageio.config.known_plugins)
        """) == ["failed", "True"]


@pytest.mark.parametrize("place", ["0", "1"])
def test_hook_among_other_hooks(place):
    """Two hooks that each ask all finders but themselves must not ask each other for ever."""
    assert run_hook(
        """
        class Curious:
            asked = 0
            def find_spec(self, name, path=None, target=None):
                Curious.asked += name == "imageio.config"
                assert Curious.asked < 50
                for finder in sys.meta_path:
                    if finder is not self and (spec := finder.find_spec(name, path, target)):
                        return spec
        sys.meta_path.insert(PLACE, Curious())
        import imageio.config
        print("SCF" in imageio.config.known_plugins, Curious.asked > 0)
        """.replace("PLACE", place)
    ) == ["True", "True"]


def test_hook_and_threads():
    assert run_hook("""
        from concurrent.futures import ThreadPoolExecutor
        from threading import Barrier
        import importlib
        barrier = Barrier(8)
        def work(number):
            barrier.wait()
            if number % 2:
                importlib.import_module("imageio.config")
            softcomp_codec.register()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        import imageio.config as config
        from softcomp_codec.registration import _ConfigWatcher
        print("SCF" in config.known_plugins, len(config.known_extensions[".scf"]))
        print(sum(known.extension == ".scf" for known in config.extension_list))
        print(sum(isinstance(finder, _ConfigWatcher) for finder in sys.meta_path))
        """) == ["True", "1", "1", "0"]


def test_loaders_of_this_process_are_the_real_ones():
    assert isinstance(config.__loader__, SourceFileLoader)
    assert isinstance(importlib.util.find_spec("imageio.config").loader, SourceFileLoader)
