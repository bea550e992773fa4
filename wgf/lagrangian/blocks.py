"""Fixed blocks of rows, and memory that every thread keeps for them."""

import threading

import numpy as np


def power_of_two(columns, entries, least, most):
    """Return how many rows, a power of two, have at most `entries` numbers, within limits."""
    return max(least, min(most, 1 << (max(1, entries // columns)).bit_length() - 1))


def power_blocks(rows, columns, entries, least, most):
    """Yield slices of so many rows, so that whole blocks of larger ones hold whole ones."""
    step = power_of_two(columns, entries, least, most)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


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
