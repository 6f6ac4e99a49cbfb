"""Work on threads: order of results and errors, limits, and grids."""

import threading

import pytest

from softcomp_codec import worker_threads
from softcomp_codec.worker_threads import all_on_threads, on_threads, on_wavefront, thread_limit


@pytest.fixture(params=[1, 2, 5])
def n_threads(request):
    token = thread_limit.set(request.param)
    yield request.param
    thread_limit.reset(token)


def test_results_are_in_order(n_threads):
    assert on_threads(lambda item: 2 * item, range(50)) == list(range(0, 100, 2))
    assert on_threads(lambda item: item, []) == []
    assert all_on_threads(lambda: "a", lambda: 2) == ["a", 2]


def test_the_first_error_is_raised(n_threads):
    def fail(item):
        if item in (3, 4, 7):
            raise ValueError(item)
        return item

    for _ in range(20):
        with pytest.raises(ValueError, match="3"):
            on_threads(fail, range(9))


def test_the_limit_holds_on_all_threads(n_threads):
    met = threading.Barrier(n_threads)

    def look(_):
        met.wait(20)
        return thread_limit.get(), threading.get_ident()

    found = on_threads(look, range(n_threads))
    assert {limit for limit, _ in found} == {n_threads}
    assert len({ident for _, ident in found}) == n_threads


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (5, 3), (4, 4)])
def test_grids_are_done_from_above_and_from_the_left(n_threads, shape):
    done = set()

    def work(row, column):
        assert not row or (row - 1, column) in done
        assert not column or (row, column - 1) in done
        done.add((row, column))

    on_wavefront(work, *shape)
    assert len(done) == shape[0] * shape[1]
    with pytest.raises(AssertionError):
        on_wavefront(lambda row, column: work(row + 9, column), *shape)


def test_one_thread_starts_no_other(monkeypatch):
    monkeypatch.setattr(worker_threads, "ThreadPoolExecutor", None)
    token = thread_limit.set(1)
    assert on_threads(abs, [-1, 2]) == [1, 2]
    on_wavefront(lambda row, column: None, 2, 2)
    thread_limit.reset(token)
