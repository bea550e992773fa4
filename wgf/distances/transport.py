"""Exact Wasserstein distances in several dimensions, with a bound on what discretising costs.

A cell is uniform mass and a particle is a point. Both measures are cut into pieces, each piece is
moved to its centre of mass, and the transport between the centres is solved exactly by the network
simplex method of POT. If piece ``i`` has mass ``w_i`` and variance ``s_i^2`` (the trace of its
covariance), the cut moves the measure by at most ``sqrt(sum_i w_i s_i^2)`` in W2, hence in W1, and
by the triangle inequality the distance changes by no more than the sum over both measures. For a
box cut evenly that is half the diagonal of a sub-cell divided by ``sqrt(3)``.
"""

import heapq
import importlib.util
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from wgf import checks
from wgf.distances.marginals import periods, wasserstein_1, wasserstein_2
from wgf.measures.base import Measure

LIMIT = 4000
# the network simplex needs a few pivots per point; a healthy problem never reaches this many
PIVOTS = 10**9


class Bounded(NamedTuple):
    """A distance and how far the exact one may be from it.

    Attributes
    ----------
    value, bound : float
        The exact distance lies in ``[value - bound, value + bound]``.
    """

    value: float
    bound: float


def wasserstein(first: Measure, second: Measure, power: int = 2, limit: int = LIMIT) -> Bounded:
    """Return ``W_p`` of two measures, each normalised to mass 1, with an error bound.

    Parameters
    ----------
    first, second : Density or Particles
        In the same dimension; meshes may differ. Where an axis is periodic the cost is that of
        the torus.
    power : {1, 2}
        ``p`` in ``W_p^p = min ∫ |x - y|^p dgamma``.
    limit : int
        Largest number of pieces that a measure is cut into; fewer particles are not cut. Time
        grows like ``limit^2`` (4000 against 4000: a few seconds), and so does memory on a torus.

    Returns
    -------
    Bounded
        ``(value, bound)`` in units of the axes. On one axis the value is exact and the bound 0.

    Raises
    ------
    InputError
        For measures without mass or of different dimensions, and where POT is not installed.
    NumericalError
        If the network simplex method does not end.
    """
    if power not in (1, 2):
        raise checks.InputError(f"wasserstein power: {power!r} is neither 1 nor 2, choose one")
    checks.whole("wasserstein limit", limit, minimum=1)
    period = periods(first, second)
    if len(period) == 1:
        exact = wasserstein_1 if power == 1 else wasserstein_2
        return Bounded(exact(first, second), 0.0)
    x, a, left = cut(first, limit)
    y, b, right = cut(second, limit)
    return Bounded(_simplex(x, a, y, b, period, power), left + right)


def available() -> bool:
    """Return whether POT is installed, which transport in several dimensions needs."""
    return importlib.util.find_spec("ot") is not None


def _simplex(x, a, y, b, period, power):
    try:
        import ot
    except ImportError:
        raise checks.InputError(
            f"wasserstein: POT is not installed, {checks.install('compare')}"
        ) from None
    with warnings.catch_warnings():
        # the solver's own warning is replaced by the error below
        warnings.simplefilter("ignore")
        if period.any():
            cost = torus_distances(x, y, period) ** power
            value, log = ot.emd2(a, b, cost, numItermax=PIVOTS, log=True)
        else:
            metric = "euclidean" if power == 1 else "sqeuclidean"
            value, log = ot.emd2_lazy(
                x, y, a, b, metric=metric, numItermax=PIVOTS, log=True, return_matrix=False
            )
    if log["warning"] is not None:
        raise checks.NumericalError(f"wasserstein: {log['warning']}, lower the limit of pieces")
    return float(max(value, 0.0)) ** (1 / power)


def torus_distances(x: np.ndarray, y: np.ndarray, period: ArrayLike) -> np.ndarray:
    """Return the distances ``(k, l)`` of the rows of `x` and `y`; period 0 is a line."""
    square = np.zeros((len(x), len(y)))
    for i, length in enumerate(period):
        step = np.abs(np.subtract.outer(x[:, i], y[:, i]))
        if length:
            np.mod(step, length, out=step)
            np.minimum(step, length - step, out=step)
        square += step**2
    return np.sqrt(square)


def cut(measure: Measure, limit: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return ``(points, weights, displacement)``: at most `limit` pieces of a measure of mass 1.

    The piece that contributes most to ``sum_i w_i s_i^2`` is halved next, through its mean along
    the axis of its largest variance, until the limit is reached: heavy cells are subdivided and
    thin tails stay in one piece.
    """
    if measure.kind == "density":
        whole = _Box(measure, [(0, n, 0.0, 1.0) for n in measure.mesh.shape])
    elif measure.size <= limit:
        full = measure.weights > 0
        return measure.points[full], measure.weights[full] / measure.mass, 0.0
    else:
        whole = _Cloud(measure.points, measure.weights)
    total = whole.mass
    heap, count = [(-whole.mass * whole.variances.sum(), 0, whole)], 1
    while len(heap) < limit and heap[0][0] < 0:
        _, _, piece = heapq.heappop(heap)
        for half in piece.halves():
            if half.mass > 0:
                # the counter settles ties, because pieces have no order
                heapq.heappush(heap, (-half.mass * half.variances.sum(), count, half))
                count += 1
    pieces = [piece for _, _, piece in heap]
    weights = np.array([piece.mass for piece in pieces])
    square = sum(-cost for cost, _, _ in heap) / total
    points = np.array([piece.mean for piece in pieces])
    return points, weights / weights.sum(), float(np.sqrt(max(square, 0.0)))


class _Box:
    """A block of cells, or part of a cell along an axis where the block is one cell wide."""

    def __init__(self, density, ranges):
        self.density, self.ranges = density, ranges
        block = density.values[tuple(slice(low, high) for low, high, _, _ in ranges)]
        share = np.prod([stop - start for _, _, start, stop in ranges])
        self.mass = float(block.sum()) * float(share)
        d = len(ranges)
        self.mean, self.variances = np.zeros(d), np.zeros(d)
        if not self.mass > 0:
            return
        for i, (low, high, start, stop) in enumerate(ranges):
            axis = density.mesh.axes[i]
            h, within = axis.spacing, float(density.widths[i] > 0) / 12
            if high - low == 1:
                self.mean[i] = axis.lower + h * (low + 0.5 * (start + stop))
                self.variances[i] = (h * (stop - start)) ** 2 * within
                continue
            line = block.sum(axis=tuple(j for j in range(d) if j != i))
            line = line / line.sum()
            index = np.arange(low, high) + 0.5
            middle = float(line @ index)
            self.mean[i] = axis.lower + h * middle
            self.variances[i] = h**2 * (float(line @ (index - middle) ** 2) + within)

    def halves(self):
        """Return the two boxes on either side of the mean along the longest axis."""
        i = int(np.argmax(self.variances))
        low, high, start, stop = self.ranges[i]
        if high - low == 1:
            middle = 0.5 * (start + stop)
            parts = (low, high, start, middle), (low, high, middle, stop)
        else:
            axis = self.density.mesh.axes[i]
            middle = round((self.mean[i] - axis.lower) / axis.spacing)
            middle = min(max(middle, low + 1), high - 1)
            parts = (low, middle, 0.0, 1.0), (middle, high, 0.0, 1.0)
        for part in parts:
            yield _Box(self.density, [*self.ranges[:i], part, *self.ranges[i + 1 :]])


class _Cloud:
    """A subset of the particles."""

    def __init__(self, points, weights):
        self.points, self.weights = points, weights
        self.mass = float(weights.sum())
        d = points.shape[1]
        self.mean, self.variances = np.zeros(d), np.zeros(d)
        if self.mass > 0:
            share = weights / self.mass
            self.mean = share @ points
            # equal points have variance 0, which rounding would miss
            spread = np.ptp(points, axis=0) > 0
            self.variances = np.where(spread, share @ (points - self.mean) ** 2, 0.0)

    def halves(self):
        """Return the two clouds on either side of the mean along the longest axis."""
        i = int(np.argmax(self.variances))
        below = self.points[:, i] <= self.mean[i]
        for side in (below, ~below):
            yield _Cloud(self.points[side], self.weights[side])
