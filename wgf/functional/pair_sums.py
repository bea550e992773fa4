"""Sums over pairs of points without a double loop: a grid for what is far, pairs for what is near.

``sum_j w_j f(x_i - x_j)`` is split by a smooth cut of the displacement, ``f = c f + (1 - c) f``,
where ``c`` is 1 at 0 and vanishes, to 2e-7, beyond `REACH` cells of a grid. The near part is summed
over pairs in neighbouring bins. The far part is smooth on the scale of a cell: weights are spread
on the grid by polynomials of degree ``ORDER - 1``, convolved with the table of ``(1 - c) f`` by the
fast Fourier transform, and read off by the same polynomials. So ``f`` may be any function that is
smooth away from 0, singular or not at 0; it is evaluated N times for each of a few neighbours
instead of N times for each of N.

Every sum is compared with the direct one at `SAMPLES` of the points: beyond `TOLERANCE` of the
largest entry it is refused. One thread does all of it, and a point's sum does not depend on what
other points are asked for: any number of threads and ranks gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# the cut is erfc((s - CENTRE) / WIDTH) / 2, s the distance in cells
WIDTH, REACH = 2.5, 18.0
CENTRE = REACH / 2
# points of the polynomials, along each axis
ORDER = 12
# cells of the grid along each axis, by the number of axes, for at most so many sources
CELLS = {1: ((1 << 62, 1 << 14),), 2: ((5_000, 256), (1 << 62, 512))}
# fewer pairs are summed one by one
LEAST = 1 << 21
SAMPLES, TOLERANCE = 24, 1e-6
# candidates for near pairs and displacements of the table that are looked at at once; pairs of the
# direct sum
BLOCK, PAIRS_PER_BLOCK = 1 << 18, 1 << 20
# spacings of the grid are powers of this, so that its table serves many steps
RATIO = 2.0**0.125


class PairSums:
    """Sums of one function of displacements, with the last table that was made.

    Parameters
    ----------
    function : callable
        Maps displacements ``(k, d)`` to rows ``(k, columns)``, finite away from 0.
    columns : int
    """

    def __init__(self, function: Callable[[np.ndarray], np.ndarray], columns: int) -> None:
        self.function, self.columns = function, columns
        self._key: tuple = ()
        self._spectra: list[np.ndarray] = []

    def __call__(
        self, points: np.ndarray, sources: np.ndarray, weights: np.ndarray
    ) -> np.ndarray | None:
        """Return the sums at the points, shape ``(k, columns)``, None where it does not pay or fit.

        Parameters
        ----------
        points : array of shape ``(k, d)``
            Within the box of the sources.
        sources : array of shape ``(n, d)``
        weights : array of shape ``(n,)``
        """
        count, dimension = sources.shape
        if dimension not in CELLS or count * count < LEAST:
            return None
        lower, upper = sources.min(axis=0), sources.max(axis=0)
        if (upper == lower).any() or (points < lower).any() or (points > upper).any():
            return None
        cells = next(size for most, size in CELLS[dimension] if count <= most)
        spacing = RATIO ** np.ceil(np.log((upper - lower) / (cells - ORDER)) / np.log(RATIO))
        grid = _Grid(lower, spacing, cells)
        chosen = sources[:: -(-count // SAMPLES)]
        with np.errstate(all="ignore"):
            exact = direct(self.function, self.columns, chosen, sources, weights)
            found = self._sums(grid, np.concatenate([points, chosen]), sources, weights)
        off = np.abs(found[len(points) :] - exact).max()
        # not for a NaN either
        return found[: len(points)] if off <= TOLERANCE * np.abs(exact).max() else None

    def _sums(self, grid, points, sources, weights):
        spectra = self._table(grid)
        from scipy import fft

        sizes = (2 * grid.cells,) * len(grid.spacing)
        density = fft.rfftn(grid.spread(sources, weights), s=sizes)
        inside = (slice(grid.cells),) * len(sizes)
        places = grid.places(points)
        result = self._near(grid, points, sources, weights)
        for k, spectrum in enumerate(spectra):
            result[:, k] += grid.read(fft.irfftn(density * spectrum, s=sizes)[inside], places)
        return result

    def _table(self, grid):
        """Return the transforms of ``(1 - c) f`` on the displacements of a grid, one a column."""
        key = grid.cells, *grid.spacing
        if self._key != key:
            from scipy import fft, special

            size, dimension = 2 * grid.cells, len(grid.spacing)
            steps = np.rint(fft.fftfreq(size) * size)
            shape, values = (size,) * dimension, np.empty((size**dimension, self.columns))
            rows = max(1, BLOCK // size ** (dimension - 1))
            for start in range(0, size, rows):
                first = steps[start : start + rows]
                axes = np.meshgrid(first, *[steps] * (dimension - 1), indexing="ij")
                index = np.stack([axis.ravel() for axis in axes], axis=1)
                far = 0.5 * special.erfc((CENTRE - np.sqrt(np.sum(index**2, axis=1))) / WIDTH)
                part = self.function(index * grid.spacing) * far[:, None]
                low = start * size ** (dimension - 1)
                values[low : low + len(part)] = part
            self._spectra = [fft.rfftn(values[:, k].reshape(shape)) for k in range(self.columns)]
            self._key = key
        return self._spectra

    def _near(self, grid, points, sources, weights):
        """Return the sums of ``c f`` over the sources within reach."""
        from scipy import special

        bins = _Bins(grid, sources)
        ordered, kept = sources[bins.order], weights[bins.order]
        result = np.zeros((len(points), self.columns))
        # along each axis by itself, in cells of the grid
        here = [np.ascontiguousarray(axis) for axis in (points / grid.spacing).T]
        there = [np.ascontiguousarray(axis) for axis in (ordered / grid.spacing).T]
        for first, last, target, source in bins.pairs(points):
            square = sum((a[target] - b[source]) ** 2 for a, b in zip(here, there))
            close = np.flatnonzero(square < REACH**2)
            target, source = target[close], source[close]
            cut = 0.5 * special.erfc((np.sqrt(square[close]) - CENTRE) / WIDTH)
            values = self.function(points[target] - ordered[source])
            share = cut * kept[source]
            for k in range(self.columns):
                part = np.bincount(target - first, values[:, k] * share, last - first)
                result[first:last, k] += part
        return result


def direct(function, columns, points, sources, weights, nearest=None) -> np.ndarray:
    """Return the sums one pair after the other; `nearest` maps displacements on periods."""
    result = np.zeros((len(points), columns))
    # a power of two: any rank's share of the points is made of whole blocks
    rows = 1 << min(8, max(1, PAIRS_PER_BLOCK // len(sources)).bit_length() - 1)
    for start in range(0, len(points), rows):
        block = points[start : start + rows, None, :] - sources[None, :, :]
        if nearest is not None:
            block = nearest(block)
        values = function(block.reshape(-1, points.shape[1]))
        values = values.reshape(block.shape[0], len(sources), columns)
        result[start : start + rows] = np.sum(values * weights[None, :, None], axis=1)
    return result


class _Grid:
    """A uniform grid that covers the sources, with room for the polynomials at its ends."""

    def __init__(self, lower, spacing, cells):
        self.lower, self.spacing, self.cells = lower, spacing, cells
        self.before = ORDER // 2 - 1
        # nodes 0 … ORDER - 1 and the products of their differences
        nodes = np.arange(ORDER)
        apart = nodes[:, None] - nodes[None, :]
        self.nodes, self.scale = nodes, np.prod(apart + np.eye(ORDER), axis=1)

    def places(self, points):
        """Return the first node of each point along every axis, and the factors of its nodes."""
        scaled = (points - self.lower) / self.spacing
        first = np.floor(scaled)
        # where the point lies among its nodes
        apart = (scaled - first + self.before)[:, :, None] - self.nodes
        factors = np.empty(apart.shape)
        # products of all differences but one, from the left and from the right
        left = np.ones(apart.shape[:2])
        for k in range(ORDER):
            factors[:, :, k] = left
            left = left * apart[:, :, k]
        right = np.ones(apart.shape[:2])
        for k in reversed(range(ORDER)):
            factors[:, :, k] *= right / self.scale[k]
            right = right * apart[:, :, k]
        return first.astype(np.intp), factors

    def _flat(self, first):
        """Return the flat index of the first node of each point."""
        return first[:, 0] if first.shape[1] == 1 else first[:, 0] * self.cells + first[:, 1]

    def spread(self, sources, weights):
        """Return the weights spread on the grid."""
        first, factors = self.places(sources)
        start, size = self._flat(first), self.cells ** first.shape[1]
        total = np.zeros(size)
        for i in range(ORDER):
            share = weights * factors[:, 0, i]
            if first.shape[1] == 1:
                total += np.bincount(start + i, share, size)
                continue
            index = (start + i * self.cells)[:, None] + self.nodes
            total += np.bincount(index.ravel(), (share[:, None] * factors[:, 1]).ravel(), size)
        return total.reshape((self.cells,) * first.shape[1])

    def read(self, values, places):
        """Return the polynomials through the values on the grid, at the places of points."""
        first, factors = places
        start, values = self._flat(first), np.ascontiguousarray(values).ravel()
        total = np.zeros(len(start))
        for i in range(ORDER):
            if first.shape[1] == 1:
                total += factors[:, 0, i] * values[start + i]
                continue
            rows = values[(start + i * self.cells)[:, None] + self.nodes]
            total += factors[:, 0, i] * np.einsum("ij,ij->i", rows, factors[:, 1])
        return total


class _Bins:
    """Sources sorted by squares of half the side of the reach, so that near ones lie together."""

    def __init__(self, grid, sources):
        self.lower, self.side = grid.lower, grid.spacing * (REACH / 2)
        # two empty ones at either end
        self.count = int(np.ceil(2 * grid.cells / REACH)) + 5
        index = self._index(sources)
        self.order = np.argsort(index, kind="stable")
        every = np.arange(self.count ** sources.shape[1] + 1)
        self.starts = np.searchsorted(index[self.order], every)

    def _index(self, points):
        bins = np.floor((points - self.lower) / self.side).astype(np.intp) + 2
        return bins[:, 0] if bins.shape[1] == 1 else bins[:, 0] * self.count + bins[:, 1]

    def pairs(self, points):
        """Yield ``(first, last, target, source)``: pairs of blocks of points with sources."""
        index = self._index(points)
        rows = np.arange(-2, 3) * self.count if points.shape[1] > 1 else (0,)
        # five bins of a row are one run of sources
        begin = np.stack([self.starts[index + row - 2] for row in rows], axis=1)
        lengths = np.stack([self.starts[index + row + 3] for row in rows], axis=1) - begin
        ends = np.cumsum(lengths.sum(axis=1))
        first = 0
        while first < len(points):
            before = ends[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(ends, before + BLOCK, side="right")))
            runs = lengths[first:last].ravel()
            total = np.cumsum(runs)
            offset = np.repeat(begin[first:last].ravel() - (total - runs), runs)
            target = np.repeat(np.arange(first, last), lengths[first:last].sum(axis=1))
            yield first, last, target, np.arange(len(target)) + offset
            first = last
