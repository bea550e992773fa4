"""The faces of a mesh along the axes on which something moves, as kernels see them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from wgf.eulerian import flux_kernels as kernels


class Faces:
    """The faces of a mesh along its moving axes.

    Parameters
    ----------
    shape : tuple of int
    periodic : sequence of bool
    rates : sequence of float
        Mobility over the square of the spacing for every axis; 0 where nothing moves.

    Attributes
    ----------
    strides, counts : arrays of int
        Of the moving axes.
    rates : array of float
        Of the moving axes.
    pad : int
        Cells before the first and after the last in a padded array.
    line : bool
        Whether all cells lie on one line along the only moving axis.
    last, first, axis_of : arrays of int
        The two cells and the number of the moving axis of every face that closes a period.
    """

    def __init__(self, shape: tuple[int, ...], periodic: Sequence[bool], rates: Sequence[float]):
        self.cells = int(np.prod(shape))
        moving = [k for k, n in enumerate(shape) if n > 1 and rates[k] > 0]
        self.strides = np.array([int(np.prod(shape[k + 1 :])) for k in moving], dtype=np.int64)
        self.counts = np.array([shape[k] for k in moving], dtype=np.int64)
        self.rates = np.array([float(rates[k]) for k in moving])
        self.wraps = [bool(periodic[k]) for k in moving]
        self.pad = 8 * -(-int(self.strides.max(initial=1)) // 8)
        self.total = self.cells + 2 * self.pad
        self.line = len(moving) == 1 and self.counts[0] == self.cells
        self._shape, self._moving = shape, moving
        self._index = index = np.arange(self.cells).reshape(shape)
        axes, last, first = [], [], []
        for k, axis in enumerate(moving):
            if self.wraps[k]:
                last.append(np.take(index, -1, axis).ravel())
                first.append(np.take(index, 0, axis).ravel())
                axes.append(np.full(last[-1].size, k))
        self.axis_of, self.last, self.first = (
            np.concatenate([np.empty(0, dtype=np.int64), *part]) for part in (axes, last, first)
        )
        # every closing face is seen from both sides, in the order of the cells
        cells = np.concatenate([self.last, self.first])
        order = np.argsort(cells, kind="stable")
        self.seen = np.concatenate([np.arange(self.last.size)] * 2)[order]
        self.from_first = (np.arange(cells.size) < self.last.size)[order]
        self.closing = cells[order]
        self.partners = np.concatenate([self.first, self.last])[order]
        blocks = -(-self.cells // kernels.CELLS_PER_BLOCK)
        self.edges = np.searchsorted(self.closing, np.arange(blocks + 1) * kernels.CELLS_PER_BLOCK)

    @functools.cached_property
    def opened(self) -> np.ndarray:
        """The rate of the face ahead of every cell along every moving axis, 0 without one."""
        opened = np.zeros((len(self._moving), self.total))
        for k, axis in enumerate(self._moving):
            inner = np.full(self._shape, self.rates[k])
            inner[(slice(None),) * axis + (-1,)] = 0.0
            opened[k, self.pad : self.pad + self.cells] = inner.ravel()
        return opened.ravel()

    @functools.cached_property
    def geometry(self) -> tuple[np.ndarray, ...]:
        """``(here, there, before, beyond, rates, axis)`` of every face.

        The two cells beside it, the ones before and beyond these, which are themselves at a wall,
        the rate and the number of the moving axis.
        """
        lists: list[list[np.ndarray]] = [[] for _ in range(6)]
        for k, axis in enumerate(self._moving):
            cells = np.moveaxis(self._index, axis, 0)
            if self.wraps[k]:
                parts = [cells, *(np.roll(cells, shift, 0) for shift in (-1, 1, -2))]
            else:
                n = len(cells)
                at = np.arange(n - 1)
                places = at, at + 1, np.maximum(at - 1, 0), np.minimum(at + 2, n - 1)
                parts = [cells[place] for place in places]
            for found, part in zip(lists, parts):
                # in the order of the array: neighbours lie close in memory
                found.append(np.moveaxis(part, 0, axis).ravel())
            lists[4].append(np.full(lists[0][-1].size, self.rates[k]))
            lists[5].append(np.full(lists[0][-1].size, k))
        return tuple(np.concatenate(part) for part in lists)

    def room(self, used: bool = True) -> np.ndarray:
        """Return a padded array of zeros, empty if not `used`."""
        return np.zeros(self.total if used else 0)

    def padded(self, values: np.ndarray) -> np.ndarray:
        """Return a padded copy of the cells, empty for no cells."""
        room = self.room(values.size > 0)
        if room.size:
            room[self.pad : self.pad + self.cells] = values
        return room
