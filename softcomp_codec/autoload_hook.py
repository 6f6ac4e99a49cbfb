"""Registers ``.scf`` as soon as Pillow or imageio is imported.

``python -m softcomp_codec autoload --enable`` puts a copy of this file into a folder of packages;
it belongs to softcomp_codec, works without it, and imports nothing but `sys` when Python starts.
"""

import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WATCHED = frozenset(("PIL.Image", "imageio.config"))


def start() -> None:
    """Watch for the imports, once."""
    if "softcomp_codec" in sys.modules or any(map(_is_ours, sys.meta_path)):
        return
    if _WATCHED.isdisjoint(sys.modules):
        finder: Any = ScfAutoloadFinder()
        sys.meta_path.insert(0, finder)
    else:
        _register()


def _is_ours(finder: object) -> bool:
    return type(finder).__name__ == ScfAutoloadFinder.__name__


def _register() -> None:
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_ours(finder)]
    try:
        import softcomp_codec  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "softcomp_codec":
            _warn(error)
        # else it was uninstalled
    except Exception as error:  # an import of Pillow must not fail because of us
        _warn(error)


def _warn(error: Exception) -> None:
    import warnings

    warnings.warn(f"softcomp_codec cannot be loaded: {error!r}", RuntimeWarning, stacklevel=2)


class ScfAutoloadFinder:
    """Lets the registration follow the first import of Pillow or imageio."""

    def __init__(self) -> None:
        self._searching: set[int] = set()

    def find_spec(self, fullname: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """Return the other finders' spec of a watched module, its loader wrapped."""
        thread = get_ident()
        if fullname not in _WATCHED or thread in self._searching:
            return None
        self._searching.add(thread)  # other finders may ask all finders, this one too
        try:
            spec = self._others_spec(fullname, path, target)
        finally:
            self._searching.discard(thread)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader)
        return spec

    def _others_spec(self, fullname: str, path: "Any", target: "Any") -> "Any":
        for finder in list(sys.meta_path):
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    return spec
        return None


class _Loader:
    """Wraps a loader for one execution; the module keeps the real one."""

    def __init__(self, loader: "Any") -> None:
        self._loader = loader

    def create_module(self, spec: "Any") -> "Any":
        """Leave creation to the real loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: "Any") -> None:
        """Put the real loader back, execute the module, register."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _register()

    def __getattr__(self, name: str) -> "Any":
        if name == "_loader":
            raise AttributeError(name)
        return getattr(self._loader, name)
