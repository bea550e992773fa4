"""Threads of the linear algebra library: one, so that the bits do not depend on their number.

The library splits a product among its threads and then adds in another order. wgf gives it one
thread and shares blocks of fixed size among its own.
"""

import contextlib
import functools
import sys


@contextlib.contextmanager
def one_library_thread():
    """Let the linear algebra library work on one thread; also a decorator."""
    # looking for libraries takes longer than telling them, and scipy may bring its own
    with _controller("scipy.linalg" in sys.modules).limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _controller(with_scipy):
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
