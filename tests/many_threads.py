"""Loops on as many threads as a test asks for, however few the processors and small the loops."""

import contextlib
from unittest import mock

from wgf.parallel import threads
from wgf.parallel.pool import Balance


@contextlib.contextmanager
def on_threads(count):
    """Share every loop among a given number of threads, also where that does not pay."""
    small = mock.patch.object(threads, "GRAIN", 1e-3)
    with small, mock.patch.object(Balance, "count", lambda *_: None), threads.using(count):
        yield
