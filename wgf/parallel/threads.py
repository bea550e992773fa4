"""Threads of the linear algebra library: one, so that the bits do not depend on their number.

The library splits a product among its threads and then adds in another order. wgf gives it one
thread and shares blocks of fixed size among its own.
"""

import contextlib
import functools
import sys
import threading


@contextlib.contextmanager
def one_library_thread():
    """Let the linear algebra library work on one thread; also a decorator."""
    _limit.take()
    try:
        yield
    finally:
        _limit.give_back()


class _Limit:
    """The limit, which the first of all callers in any thread sets and the last one lifts."""

    def __init__(self):
        self.lock, self.callers, self.limiter = threading.Lock(), 0, None

    def take(self):
        with self.lock:
            if self.callers == 0:
                # looking for libraries takes longer than limiting them, and scipy brings its own
                controller = _controller("scipy.linalg" in sys.modules)
                self.limiter = controller.limit(limits=1, user_api="blas")
            self.callers += 1

    def give_back(self):
        with self.lock:
            self.callers -= 1
            if self.callers == 0:
                self.limiter.restore_original_limits()
                self.limiter = None


_limit = _Limit()


@functools.cache
def _controller(with_scipy):
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
