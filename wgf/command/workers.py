"""Processes that do one job after the other; one that dies is replaced, the rest go on."""

import multiprocessing
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent import futures
from multiprocessing import connection, reduction

import threadpoolctl

from wgf import checks
from wgf.parallel.engines import Pool
from wgf.parallel.processors import processors

# a worker of a pool may be given several jobs at once, of which it does one after the other
_turn = threading.Lock()


def can_be_sent(*arguments: object) -> bool:
    """Return whether another process can be given the arguments, functions by their name."""
    main = sys.modules["__main__"]
    if any(getattr(each, "__module__", "") == "__main__" for each in arguments):
        # what was typed into a session is in no file that the process could import
        if not hasattr(main, "__file__"):
            return False
    try:
        reduction.ForkingPickler.dumps(arguments)
    except Exception:
        return False
    return True


def results(
    make: Callable, arguments: tuple, take: Callable, count: int
) -> Iterator[tuple[object, object]]:
    """Yield ``(job, result)`` as jobs are done, in whatever order; None where a worker died.

    Parameters
    ----------
    make : callable
        Called once per process with `arguments`; returns the function that does a job.
    arguments : tuple
    take : callable
        Returns the next job whenever a worker is free, None if there is none so far: the loop
        over the results may have found more by the next time.
    count : int
        Number of processes; 0 does all jobs in this one.
    """
    if count == 0:
        work = make(*arguments)
        while (job := take()) is not None:
            yield job, work(job)
        return
    idle, busy = [], {}
    try:
        while True:
            while len(busy) < count and (job := take()) is not None:
                worker = idle.pop() if idle else _Worker(make, arguments, count)
                worker.pipe.send(job)
                busy[worker.pipe] = worker, job
            if not busy:
                return
            for pipe in connection.wait(list(busy)):
                worker, job = busy.pop(pipe)
                try:
                    result = pipe.recv()
                    idle.append(worker)
                except (EOFError, OSError):
                    result = None
                if isinstance(result, Exception):
                    raise result
                yield job, result
    finally:
        for worker in [*idle, *(worker for worker, _ in busy.values())]:
            worker.process.kill()


class _Worker:
    """A process and the pipe to it."""

    def __init__(self, make, arguments, count):
        # a fork would inherit locks of threads that it does not have
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        threads = max(1, processors() // count)
        self.process = context.Process(target=_serve, args=(other, make, arguments, threads))
        self.process.start()
        other.close()


def pooled(
    pool: Pool, make: Callable, arguments: tuple, take: Callable
) -> Iterator[tuple[object, object]]:
    """Yield ``(job, result)`` as the workers of a pool do them; otherwise as `results`."""
    made, waiting = (uuid.uuid4().hex, make, arguments), {}
    try:
        while True:
            # one that waits for every one that is done: no worker is idle in between
            while len(waiting) < 2 * pool.count and (job := take()) is not None:
                waiting[pool.executor.submit(_do, made, job, pool.threads)] = job
            if not waiting:
                return
            for future in futures.wait(waiting, return_when=futures.FIRST_COMPLETED).done:
                job, error = waiting.pop(future), future.exception()
                if error is None:
                    yield job, future.result()
                elif isinstance(error, checks.InputError) or not _lost(error):
                    raise error
                else:
                    yield job, None
    finally:
        for future in waiting:
            future.cancel()


def _lost(error):
    """Return whether an exception says that the worker is gone."""
    return type(error).__name__ in ("KilledWorker", "CommClosedError", "BrokenExecutor")


_held: dict[str, Callable] = {}


def _made(name, make, arguments):
    """Return what does the jobs of a pool: made once per worker and pool."""
    if name not in _held:
        _held.clear()
        _held[name] = make(*arguments)
    return _held[name]


def _do(made, job, threads):
    """Do a job on a worker of a pool."""
    with _turn:
        if threads is not None:
            _limit_threads(threads)
        return _made(*made)(job)


def _limit_threads(threads):
    os.environ.setdefault("NUMBA_NUM_THREADS", str(threads))
    threadpoolctl.threadpool_limits(threads)


def _serve(pipe, make, arguments, threads):
    """Do jobs until the pipe ends, on a fraction of the machine."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit_threads(threads)
    try:
        work = make(*arguments)
    except Exception as error:
        pipe.send(error)
        return
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(work(job))


def _end_with_parent():
    """End this process, whatever it does, as soon as its parent is gone."""
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
