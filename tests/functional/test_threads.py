"""A batch's images among threads: each once, all threads at work, no error lost."""

import multiprocessing
import threading
from contextlib import contextmanager

import pytest
import torch

from anatpaste_aug.functional._numba.threads import run_in_threads


@contextmanager
def torch_threads(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 64])
def test_every_image_is_worked_on_once(threads, count):
    done = []
    with torch_threads(threads):
        run_in_threads(lambda begin, end: done.extend(range(begin, end)), count)
    assert sorted(done) == list(range(count))


@pytest.mark.parametrize(("threads", "count", "at_once"), [(3, 12, 3), (3, 2, 2), (1, 12, 1)])
def test_as_many_threads_as_torch_has_work_side_by_side(threads, count, at_once):
    met, local, names = threading.Barrier(at_once, timeout=60), threading.local(), set()

    def work(begin, end):
        names.add(threading.get_ident())
        if begin < end and not hasattr(local, "met"):
            local.met = met.wait()  # raises where the others do not come

    with torch_threads(threads):
        run_in_threads(work, count)
    assert threading.get_ident() in names  # the caller's own thread does not stand by
    assert len(names) == at_once


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this platform has no fork")
def test_threads_work_in_a_process_that_was_forked_after_they_had():
    def work(results):
        done = []
        run_in_threads(lambda begin, end: done.extend(range(begin, end)), 64)
        results.put(sorted(done))

    with torch_threads(3):
        run_in_threads(lambda begin, end: None, 64)
        context = multiprocessing.get_context("fork")
        results = context.SimpleQueue()
        process = context.Process(target=work, args=(results,))
        process.start()
        process.join(60)
    assert process.exitcode == 0
    assert results.get() == list(range(64))


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("wrong", range(8))
def test_an_error_in_any_share_reaches_the_caller(threads, wrong):
    def work(begin, end):
        if wrong in range(begin, end):
            raise ZeroDivisionError

    with torch_threads(threads), pytest.raises(ZeroDivisionError):
        run_in_threads(work, 8)
