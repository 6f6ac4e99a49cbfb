"""Making ``.scf`` known to Pillow, imageio and `mimetypes`, without loading NumPy or Numba.

Importing ``imageio.config`` imports NumPy. Where it is not loaded yet, a finder waits on
``sys.meta_path`` until somebody imports it, registers the format then, and removes itself.
"""

from __future__ import annotations

import importlib
import mimetypes
import sys
import warnings
from threading import Lock, local
from typing import IO, TYPE_CHECKING, Any

from PIL import Image

from .container import MAGIC, is_set

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from PIL import ImageFile

FORMAT = "SCF"
EXTENSION = ".scf"
MIME_TYPE = "image/x-scf"

_HEAD_BYTES = 4
_CONFIG = "imageio.config"


def register() -> None:
    """Register ``.scf`` with Pillow and imageio; ``import softcomp_codec`` calls it.

    Calling it again does no harm, and repairs a registration that somebody removed.
    """
    Image.register_open(FORMAT, _open, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_save_all(FORMAT, _save_all)
    Image.register_extension(FORMAT, EXTENSION)
    Image.register_mime(FORMAT, MIME_TYPE)
    mimetypes.add_type(MIME_TYPE, EXTENSION)
    _watcher.start()
    if sys.modules.get(_CONFIG) is not None:
        # waits where another thread is in the middle of importing it
        _register_with_imageio(importlib.import_module(_CONFIG))


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _open(stream: IO[bytes], filename: str | bytes) -> ImageFile.ImageFile:
    start = stream.tell()
    head = stream.read(_HEAD_BYTES)
    stream.seek(start)
    if is_set(head):
        from .set_plugin import SetImageFile

        return SetImageFile(stream, filename)
    from .pillow_plugin import ScfImageFile

    return ScfImageFile(stream, filename)


def _save(image: Image.Image, stream: IO[bytes], filename: str | bytes) -> None:
    from .pillow_plugin import save

    save(image, stream, filename)


def _save_all(image: Image.Image, stream: IO[bytes], filename: str | bytes) -> None:
    from .pillow_plugin import save_all

    save_all(image, stream, filename)


def _register_with_imageio(config: ModuleType) -> None:
    """Add plugin and extension; with one of them alone imageio may write a TIFF as ``.scf``."""
    try:
        if FORMAT not in config.known_plugins:
            plugin = config.PluginConfig(
                name=FORMAT,
                class_name="ScfPlugin",
                module_name="softcomp_codec.imageio_plugin",
            )
            _insert_after_pillow(config.known_plugins, plugin)
        formats = config.known_extensions.setdefault(EXTENSION, [])
        if not any(FORMAT in known.priority for known in formats):
            extension = config.FileExtension(
                name="Soft compression image",
                extension=EXTENSION,
                priority=[FORMAT, "pillow"],
            )
            config.extension_list.append(extension)
            formats.insert(0, extension)
    except Exception as error:  # an import of imageio must not fail because of us
        warnings.warn(
            f"cannot register {EXTENSION} with this version of imageio: {error!r}",
            RuntimeWarning,
            stacklevel=2,
        )
    _watcher.stop()


def _insert_after_pillow(plugins: dict[str, Any], plugin: Any) -> None:
    """Add our plugin behind Pillow's, in whose order imageio tries them when it has no hint.

    At the end, every array that Pillow cannot hold would first import and try some 30 old plugins.
    """
    names = list(plugins)
    plugins[FORMAT] = plugin
    for name in names[names.index("pillow") + 1 :] if "pillow" in names else ():
        plugins[name] = plugins.pop(name)


class _ConfigWatcher:
    """A finder on ``sys.meta_path`` that lets `_register_with_imageio` follow an import."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._thread = local()

    def start(self) -> None:
        """Put the finder in front of the others, once."""
        with self._lock:
            if self not in sys.meta_path:
                sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Remove the finder."""
        with self._lock:
            if self in sys.meta_path:
                sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the other finders' spec of ``imageio.config``, its loader wrapped."""
        if fullname != _CONFIG or getattr(self._thread, "searching", False):
            return None
        self._thread.searching = True  # other finders may ask all finders, this one too
        try:
            spec = self._others_spec(fullname, path, target)
        finally:
            self._thread.searching = False
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _RegisteringLoader(spec.loader)  # type: ignore[assignment]
        return spec

    def _others_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    return spec
        return None


class _RegisteringLoader:
    """Wrap the loader of ``imageio.config`` for one execution; the module keeps the real one."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave creation to the real loader."""
        return self._loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        """Put the real loader back, execute the module, register."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _register_with_imageio(module)

    def __getattr__(self, name: str) -> Any:
        if name == "_loader":
            raise AttributeError(name)
        return getattr(self._loader, name)


_watcher = _ConfigWatcher()
