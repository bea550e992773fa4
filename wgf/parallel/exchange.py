"""Parts of a divided array on their way to the ranks that want them, or by blocks to rank 0."""

import itertools

import numpy as np


class Exchange:
    """Copies of parts of a divided array to the ranks that want them.

    Parameters
    ----------
    parallel : Serial or Ranks
    bounds : array
        Of the divided array.
    wanted : list
        For every rank what it wants: a list of ``(low, high, place)``, entries ``low … high`` of
        the whole array and where they go in its own result.
    """

    def __init__(self, parallel, bounds, wanted):
        self.parallel = parallel
        self.length = max((at + high - low for low, high, at in wanted[parallel.rank]), default=0)
        me, bounds = parallel.rank, [int(b) for b in bounds]
        self.copies, self.sends, self.receives = [], [], []
        for low, high, at in wanted[me]:
            for owner in range(parallel.size):
                a, b = max(low, bounds[owner]), min(high, bounds[owner + 1])
                if a >= b:
                    continue
                target = slice(at + a - low, at + b - low)
                if owner == me:
                    self.copies.append((slice(a - bounds[me], b - bounds[me]), target))
                else:
                    self.receives.append((owner, target))
        for rank in range(parallel.size):
            for low, high, _ in wanted[rank] if rank != me else ():
                a, b = max(low, bounds[me]), min(high, bounds[me + 1])
                if a < b:
                    self.sends.append((rank, slice(a - bounds[me], b - bounds[me])))

    def fill(self, own, result):
        """Put what this rank wants into `result`, given its `own` entries."""
        for source, target in self.copies:
            result[target] = own[source]
        sends = [(rank, own[source]) for rank, source in self.sends]
        receives = [(rank, result[target]) for rank, target in self.receives]
        self.parallel._swap(sends, receives)
        return result

    def fetch(self, own):
        """Return what this rank wants, given its `own` entries, without a copy if it has it."""
        if len(self.copies) == 1 and not self.sends and not self.receives:
            return own[self.copies[0][0]]
        return self.fill(own, np.empty(self.length))


class Stream:
    """A divided array that rank 0 takes block after block and never has as a whole.

    Parameters
    ----------
    ranks : Ranks
    own : array
        Entries of this rank; not to be changed before the end.
    bounds : array
    block : int
        Entries taken at once.
    """

    def __init__(self, ranks, own, bounds, block):
        self.ranks, self.own, self.bounds = ranks, own, [int(bound) for bound in bounds]
        self.edges = iter(
            [(low, min(low + block, self.bounds[-1])) for low in range(0, self.bounds[-1], block)]
        )

    def _pieces(self, low, high):
        """Yield ``(rank, entries of the block, entries of the rank)`` for all that have some."""
        for rank, (begin, end) in enumerate(itertools.pairwise(self.bounds)):
            a, b = max(low, begin), min(high, end)
            if a < b:
                yield rank, slice(a - low, b - low), slice(a - begin, b - begin)

    def take(self):
        """Yield ``(start, stop, entries)`` in their order on rank 0."""
        for low, high in self.edges:
            found = np.empty(high - low)
            for rank, place, source in self._pieces(low, high):
                if rank == self.ranks.rank:
                    found[place] = self.own[source]
                else:
                    self.ranks.communicator.Recv(found[place], rank)
            yield low, high, found

    def finish(self):
        """Take what was left on rank 0, send everything on the others."""
        if self.ranks.rank == 0:
            for _ in self.take():
                pass
            return
        for low, high in self.edges:
            for rank, _, source in self._pieces(low, high):
                if rank == self.ranks.rank:
                    self.ranks.communicator.Send(self.own[source], 0)
                    self.ranks._count("snapshots", self.own[source].nbytes)
