"""Loops on as many threads as a test asks for, however few the processors and small the loops."""

import contextlib
from unittest import mock

from wgf.parallel import threads


@contextlib.contextmanager
def on_threads(count):
    """Share every loop among so many threads."""
    with mock.patch.object(threads, "GRAIN", 1e-3), threads.using(count):
        yield
