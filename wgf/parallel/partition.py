"""Who owns which entries of a divided sequence, and sums that do not depend on that."""

import numpy as np


class Partition:
    """A sequence dealt out to the ranks in one run of entries per rank, in whole blocks.

    Parameters
    ----------
    bounds : array of ``size + 1`` ints
        Where the runs begin and the last one ends.
    block : int
        Entries whose sum is one partial sum; no block lies on two ranks.
    """

    def __init__(self, bounds, block=1):
        self.bounds, self.block = np.asarray(bounds), int(block)

    @classmethod
    def dealt(cls, entries, block, size):
        """Return the partition that deals blocks out to `size` ranks as evenly as they allow."""
        blocks = -(-entries // block)
        return cls(np.minimum(np.arange(size + 1) * blocks // size * block, entries), block)

    def __mul__(self, factor):
        """Return the partition of a sequence with `factor` numbers for every entry."""
        return Partition(self.bounds * factor, self.block * factor)

    def __floordiv__(self, count):
        """Return the partition of groups of `count` entries, the last one perhaps smaller."""
        return Partition(-(-self.bounds // count), max(1, self.block // count))

    def __len__(self):
        return int(self.bounds[-1])

    def own(self, rank):
        """Return the slice of the entries that a rank owns."""
        return slice(int(self.bounds[rank]), int(self.bounds[rank + 1]))

    def partial_sums(self, values):
        """Return the sums over the blocks of the own entries `values`."""
        if self.block == 1:
            return values
        if 0 < len(values) < self.block:
            return values.sum(keepdims=True)
        whole = len(values) // self.block * self.block
        sums = values[:whole].reshape(-1, self.block).sum(axis=1)
        return sums if whole == len(values) else np.append(sums, values[whole:].sum())


def sum_of_rows(rows):
    """Return the sum of the rows, added one after the other."""
    if rows.shape[1] > 8 or not len(rows):
        return rows.sum(axis=0)
    # the same order; numpy spends far longer on adding short rows
    return np.array([np.add.accumulate(column)[-1] for column in rows.T])
