"""The decorator of every kernel: compiled without the GIL, cached by the content of all kernels.

Numba's own cache does not notice an edit in another file, and an upgrade may leave machine code of
the older release in place: pixels would silently decode wrongly. Ours lives in a folder named
after a hash of every kernel source, so stale code cannot be found. Where no folder can be written
the kernels compile in every process instead of failing.
"""

import hashlib
import os
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from numba import __version__ as numba_version
from numba import njit
from numba.core import caching, types
from numba.core import config as numba_config
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from platformdirs import user_cache_path

from ..collector import collector_rests

config: Any = numba_config

_OFF = ("0", "off", "no")


@cache
def source_stamp() -> str:
    """Return a hash of all kernel sources, of Numba's version and of how it compiles."""
    settings = (numba_version, config.BOUNDSCHECK, config.OPT)
    digest = hashlib.sha256(repr(settings).encode())
    package = files(__package__)
    for entry in sorted(package.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".py"):
            digest.update(entry.name.encode() + b"\0" + entry.read_bytes())
    return digest.hexdigest()[:24]


@cache
def cache_folder() -> str | None:
    """Return the folder of compiled kernels, None where caching is off or nothing is writable.

    ``SOFTCOMP_NUMBA_CACHE`` may be 0 (no caching) or a folder; ``NUMBA_CACHE_DIR`` is honoured;
    else the user's cache folder.
    """
    choice = os.environ.get("SOFTCOMP_NUMBA_CACHE", "")
    if choice.lower() in _OFF:
        return None
    try:
        if choice not in ("", "1"):
            base = Path(choice)
        elif config.CACHE_DIR:
            base = Path(config.CACHE_DIR) / "softcomp_codec"
        else:
            base = user_cache_path("softcomp-codec", appauthor=False) / "kernels"
        folder = base / source_stamp()
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except (OSError, RuntimeError):
        return None
    return str(folder)


def has_compiled_kernels() -> bool:
    """Whether this machine has compiled some of these kernels before."""
    folder = cache_folder()
    return folder is not None and any(name.endswith(".nbi") for name in os.listdir(folder))


class _Locator(caching._CacheLocator):
    """Tells Numba where a kernel's machine code lives."""

    def __init__(self, py_func: Callable[..., Any], folder: str) -> None:
        self._line = py_func.__code__.co_firstlineno
        self._folder = folder

    def get_cache_path(self) -> str:
        return self._folder

    def get_source_stamp(self) -> str:
        return source_stamp()

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], _py_file: str) -> "_Locator | None":
        folder = cache_folder()
        return None if folder is None else cls(py_func, folder)


class _Files(caching.IndexDataCacheFile):
    """Index and machine code of a kernel, safe where processes compile it at the same time.

    Numba numbers the files of machine code. Two processes that compile one kernel for two types of
    arguments may both take number 1, and the index would lead to the code of the other type. Here
    the name of a file follows from what it is for; what an index loses that way is compiled again.
    """

    def save(self, key: Any, data: Any) -> None:
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        name = f"{self._index_name.removesuffix('.nbi')}.{digest}.nbc"
        self._save_data(name, data)
        overloads = self._load_index()
        if overloads.get(key) != name:
            overloads[key] = name
            self._save_index(overloads)


def _make_cache(py_func: Callable[..., Any]) -> Any:
    base: Any = caching.FunctionCache
    implementation = type("Implementation", (base._impl_class,), {"_locator_classes": (_Locator,)})

    def load_overload(self: Any, *arguments: Any) -> Any:
        with collector_rests:  # the first one also loads half of Numba
            return base.load_overload(self, *arguments)

    members = {"_impl_class": implementation, "load_overload": load_overload}
    kernel_cache = type("KernelCache", (base,), members)
    made: Any = kernel_cache(py_func)
    made._cache_file = _Files(
        cache_path=made._cache_path,
        filename_base=made._impl.filename_base,
        source_stamp=made._impl.locator.get_source_stamp(),
    )
    return made


_LEFT_OUT = ("InlineClosureLikes", "NopythonRewrites")


class _Pipeline(CompilerBase):
    """Numba's passes without those that search for what no kernel has.

    Closures and generators to inline, and arithmetic on whole arrays.
    """

    def define_pipelines(self) -> list[Any]:
        """Return the passes in order."""
        manager: Any = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.passes = [each for each in manager.passes if each[0].__name__ not in _LEFT_OUT]
        manager._finalized = False
        manager.finalize()
        return [manager]

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        """Compile a function, and what it calls."""
        with collector_rests:
            return super().compile_extra(func)


def _compiled(py_func: Callable[..., Any], **options: Any) -> Any:
    decorator: Any = njit
    return decorator(
        nogil=True, error_model="numpy", no_cfunc_wrapper=True, pipeline_class=_Pipeline, **options
    )(py_func)


def kernel(py_func: Callable[..., Any]) -> Any:
    """Compile a kernel at its first call; the decorator of every public kernel."""
    dispatcher: Any = _compiled(py_func)
    if cache_folder() is not None and not config.DISABLE_JIT:
        try:
            dispatcher._cache = _make_cache(py_func)
        except (AttributeError, RuntimeError, OSError):
            return dispatcher
    return dispatcher


def inlined(py_func: Callable[..., Any]) -> Any:
    """Compile a helper into the kernels that call it, and for nobody else.

    It has no entry from Python, which would take twice the helper's own time to compile, and is
    compiled for the types of its arguments alone, not once more for each constant.
    """
    dispatcher: Any = _compiled(py_func, no_cpython_wrapper=True)
    if config.DISABLE_JIT:
        return dispatcher
    template_for = dispatcher.get_call_template

    def get_call_template(args: Any, kws: Any) -> Any:
        plain = {name: types.unliteral(each) for name, each in kws.items()}
        return template_for(tuple(types.unliteral(each) for each in args), plain)

    def refuse(*_: Any, **__: Any) -> Any:
        raise TypeError(f"{py_func.__name__} can only be called by kernels")

    dispatcher.get_call_template = get_call_template
    # without an entry, a call would jump to address 0
    dispatcher._insert = lambda *_, **__: None
    dispatcher._compile_for_args = refuse
    return dispatcher
