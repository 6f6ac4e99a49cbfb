"""Rest for the collector of cyclic garbage, while nothing that is allocated can be garbage."""

import gc
import threading


class _CollectorRests:
    """Keeps the collector from running; nestable, on any number of threads.

    Modules that are imported and code that is compiled stay alive: searching them for garbage takes
    a sixth of the time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._was_on = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._n_inside:
                self._was_on = gc.isenabled()
                gc.disable()
            self._n_inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if not self._n_inside and self._was_on:
                gc.enable()


collector_rests = _CollectorRests()
