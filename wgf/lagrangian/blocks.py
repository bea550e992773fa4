"""Work by fixed blocks on as many threads as there are: the bits do not depend on their number."""

import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from wgf.lagrangian.kernels import get_num_threads
from wgf.parallel.threads import one_library_thread


def power_of_two(columns, entries, least, most):
    """Return how many rows, a power of two, have at most `entries` numbers, within limits."""
    return max(least, min(most, 1 << (max(1, entries // columns)).bit_length() - 1))


def power_blocks(rows, columns, entries, least, most):
    """Yield slices of so many rows, so that whole blocks of larger ones hold whole ones."""
    step = power_of_two(columns, entries, least, most)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def each(work, blocks):
    """Return ``work(block)`` for every block, in their order; `work` calls no parallel kernel."""
    blocks = list(blocks)
    threads = min(get_num_threads(), len(blocks))
    with one_library_thread():
        if threads < 2:
            return [work(block) for block in blocks]
        # numpy's ways with overflow are those of a thread
        ways = np.geterr()

        def alike(block):
            with np.errstate(**ways):
                return work(block)

        return list(_pool(threads).map(alike, blocks))


class Scratch(threading.local):
    """Arrays that every thread keeps: fresh memory costs more than what is computed in it.

    `columns` are pairs of a number of columns and a type. A call gives one array for each, with the
    rows of a slice.
    """

    def __init__(self, *columns):
        self.columns = columns
        self.arrays = [np.empty((0, 0))]

    def __call__(self, rows):
        count = rows.stop - rows.start
        if len(self.arrays[0]) < count:
            self.arrays = [np.empty((count, width), kind) for width, kind in self.columns]
        return [array[:count] for array in self.arrays]


@functools.cache
def _pool(threads):
    return ThreadPoolExecutor(threads, thread_name_prefix="wgf")


# threads do not live on in a forked process
os.register_at_fork(after_in_child=_pool.cache_clear)
