"""The thread policy: how many threads there may be, and which loops are worth them.

A loop of little work runs on the caller's thread. A larger one is cut into parts, which the threads
of `wgf.parallel.pool` take as they come; the parts depend on the number of threads, the blocks
within them do not, and neither do the bits.

The linear algebra library splits a product among its threads and then adds in another order: it is
given one thread, and wgf shares blocks of fixed size among its own.
"""

import contextlib
import contextvars
import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from wgf import checks
from wgf.parallel.pool import inside, pool
from wgf.parallel.processors import processors
from wgf.parallel.ranks import launched

# nanoseconds of one thread's work from which a second one pays, and so on: to call a sleeping
# thread and to wait for its last part takes 10 to 50 microseconds
GRAIN = 100_000
# parts of a loop for each thread, so that those that come late or are held up do less
PARTS = 4
# settings of other libraries that limit the threads here as well, the first one that is set
LIMITS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")

_asked: contextvars.ContextVar[int | None] = contextvars.ContextVar("threads", default=None)


@functools.cache
def default() -> int:
    """Return how many threads are used where nobody asks: of ranks one each, else all processors.

    ``NUMBA_NUM_THREADS`` and ``OMP_NUM_THREADS`` are heeded, up to the number of processors.
    """
    for name in LIMITS:
        text = os.environ.get(name, "").split(",")[0].strip()
        if text.isdigit() and int(text) > 0:
            return min(int(text), processors())
    return 1 if launched()[1] > 1 else processors()


def number() -> int:
    """Return the largest number of threads that loops of the caller may use."""
    return _asked.get() or default()


@contextlib.contextmanager
def using(count: int | None = None) -> Iterator[None]:
    """Let loops within use at most a given number of threads, which end with their last user."""
    before = _asked.set(number() if count is None else count)
    try:
        with pool.held():
            yield
    finally:
        _asked.reset(before)


def checked(count: Any) -> int | None:
    """Return the number of threads that a user asks for, no more than there are processors.

    Raises
    ------
    InputError
        For anything but a whole number from 1 on.
    """
    return None if count is None else min(checks.whole("threads", count, minimum=1), processors())


def most_parts() -> int:
    """Return the largest number of parts that a loop is cut into."""
    return PARTS * number()


def worth(work: float) -> int:
    """Return for how many threads a loop is, 1 if it is not worth a second one.

    Parameters
    ----------
    work : float
        Nanoseconds that one thread would take, roughly.
    """
    threads = min(number(), int(work / GRAIN))
    return 1 if threads < 2 or inside() else threads


def share(work: Callable[[int, int], object], threads: int, parts: int, nanoseconds: float) -> None:
    """Call ``work(part, parts)`` for every part on the given threads, or ``work(0, 1)`` alone.

    The way that has lately taken less time for its `nanoseconds` is taken.
    """
    balance, began = pool.balance, time.perf_counter()
    if balance.shares and parts > 1:
        pool.share(lambda part: work(part, parts), parts, threads)
    else:
        work(0, 1)
    balance.count(time.perf_counter() - began, nanoseconds)


def shared(work: Callable[..., float], most: Callable[..., int] | None = None) -> Callable:
    """Decorate a kernel that does one of several parts of a loop, and share the parts.

    Parameters
    ----------
    work : callable
        Given the arguments, returns roughly how many nanoseconds one thread would take.
    most : callable, optional
        Given the arguments, returns the largest number of parts.

    Returns
    -------
    callable
        Takes the arguments of the kernel but the last two, `part` and `parts`.
    """

    def decorate(kernel):
        @functools.wraps(getattr(kernel, "py_func", kernel))
        def loop(*arguments):
            nanoseconds = work(*arguments)
            threads = worth(nanoseconds)
            if threads == 1:
                kernel(*arguments, 0, 1)
                return
            parts = PARTS * threads if most is None else min(PARTS * threads, most(*arguments))
            share(lambda part, parts: kernel(*arguments, part, parts), threads, parts, nanoseconds)

        loop.kernel = kernel
        return loop

    return decorate


def each(work: Callable, items: Iterable, nanoseconds: float | None = None) -> list:
    """Return ``work(item)`` for every item, in their order, on as many threads as pay.

    Parameters
    ----------
    work : callable
    items : iterable
    nanoseconds : float, optional
        What all of it takes one thread, roughly; by default every item is worth a thread.
    """
    items = list(items)
    nanoseconds = GRAIN * len(items) if nanoseconds is None else nanoseconds
    threads = min(worth(nanoseconds), len(items))
    with one_library_thread():
        if threads < 2:
            return [work(item) for item in items]
        found: list = [None] * len(items)
        # numpy's ways with overflow are those of a context
        context = contextvars.copy_context()

        def some(part, parts):
            for k in range(part * len(items) // parts, (part + 1) * len(items) // parts):
                found[k] = context.copy().run(work, items[k])

        share(some, threads, len(items), nanoseconds)
    return found


@contextlib.contextmanager
def one_library_thread() -> Iterator[None]:
    """Let the linear algebra library work on one thread; also a decorator."""
    _limit.take()
    try:
        yield
    finally:
        _limit.give_back()


class _Limit:
    """The limit, which the first of all callers in any thread sets and the last one lifts."""

    def __init__(self):
        self.lock, self.callers, self.limiter = threading.Lock(), [], None

    def take(self):
        with self.lock:
            if not self.callers:
                # looking for libraries takes longer than limiting them, and scipy brings its own
                controller = _controller("scipy.linalg" in sys.modules)
                self.limiter = controller.limit(limits=1, user_api="blas")
            self.callers.append(threading.get_ident())

    def give_back(self):
        with self.lock:
            self.callers.remove(threading.get_ident())
            self._lift()

    def _lift(self):
        if not self.callers and self.limiter is not None:
            self.limiter.restore_original_limits()
            self.limiter = None

    def after_fork(self):
        """Forget the callers in threads that do not live on; the lock may have been theirs."""
        self.lock = threading.Lock()
        self.callers = [each for each in self.callers if each == threading.get_ident()]
        self._lift()


_limit = _Limit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_limit.after_fork)


@functools.cache
def _controller(with_scipy):
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
