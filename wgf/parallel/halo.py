"""Whole planes of a divided array, with the planes of other ranks beside the own ones."""

from __future__ import annotations

import itertools

import numpy as np

from wgf.parallel.partition import Partition
from wgf.parallel.ranks import Serial


class Halo:
    """The planes of the slowest axis in which a rank works: those of its own cells and others.

    Parameters
    ----------
    ranks : Serial or Ranks
    cells : Partition
        Of all cells.
    planes : int
    depth : int
        Planes of other ranks on either side.
    wraps : bool
        Whether the axis is periodic.

    Attributes
    ----------
    low, high : int
        The planes of this rank; below 0 and above `planes` those of a period.
    """

    def __init__(self, ranks: Serial, cells: Partition, planes: int, depth: int, wraps: bool):
        self.ranks, self.cells, self.planes = ranks, cells, planes
        self.plane, self.depth, self.wraps = len(cells) // planes, depth, wraps
        self.low, self.high = self._range(ranks.rank)
        pieces = [self._pieces(rank) for rank in range(ranks.size)]
        self.wanted = [[piece[:3] for piece in p] for p in pieces]
        # the own cells lie where they belong
        others = [[piece[:3] for piece in p if not piece[3]] for p in pieces]
        self.beside = ranks.exchange(cells.bounds, others)

    def _range(self, rank, depth=None):
        """Return the planes that a rank holds, or those that lie at most `depth` from its own.

        The latter without any plane twice.
        """
        if self.ranks.size == 1:
            return 0, self.planes
        beside = self.depth if depth is None else depth
        own = self.cells.own(rank)
        low, high = own.start // self.plane - beside, -(-own.stop // self.plane) + beside
        if not self.wraps:
            return max(low, 0), min(high, self.planes)
        return (low, high) if depth is None or high - low < self.planes else (0, self.planes)

    def _pieces(self, rank, depth=None):
        """Return the cells that a rank holds as pieces ``(low, high, place, own)``."""
        total = len(self.cells)
        low, high = (edge * self.plane for edge in self._range(rank, depth))
        own = self.cells.own(rank)
        cuts = {low, high, own.start, own.stop}
        cuts |= {turn * total for turn in range(low // total, high // total + 1)}
        cuts = sorted(cut for cut in cuts if low <= cut <= high)
        pairs = itertools.pairwise(cuts)
        return [(a % total, a % total + b - a, a - low, a == own.start) for a, b in pairs]

    def widened(self, own: np.ndarray, depth: int) -> tuple[np.ndarray, int]:
        """Return the cells of all planes at most `depth` from the own ones, and where those begin.

        On a period that this reaches round, the planes are those of the array, in their order.
        """
        low, high = self._range(self.ranks.rank, depth)
        wanted = [
            [piece[:3] for piece in self._pieces(rank, depth)] for rank in range(self.ranks.size)
        ]
        found = np.empty((high - low) * self.plane)
        self.ranks.exchange(self.cells.bounds, wanted).fill(own, found)
        return found, self.cells.own(self.ranks.rank).start - low * self.plane
