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
    if getattr(_held, "depth", 0):
        # an outer call of this thread holds the limit
        yield
        return
    # looking for libraries takes longer than telling them, and scipy may bring its own
    with _controller("scipy.linalg" in sys.modules).limit(limits=1, user_api="blas"):
        _held.depth = 1
        try:
            yield
        finally:
            _held.depth = 0


_held = threading.local()


@functools.cache
def _controller(with_scipy):
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
