"""Exact distances between measures on one axis: cells are uniform mass, particles are points.

The distribution function of a density is piecewise linear and its quantile function, too; those
of particles are steps. ``W1 = ∫ |F - G| dx`` and ``W2^2 = ∫ (F^-1 - G^-1)^2 dq`` are then
integrals of piecewise polynomials and are evaluated without error beyond round-off.
"""

import numpy as np

from wgf import checks
from wgf.measures.density import Density
from wgf.measures.particles import Particles


class Distribution:
    """Distribution function of a measure on one axis, normalised to mass 1.

    Attributes
    ----------
    positions, left, right : arrays of shape ``(k,)``
        Increasing break points and the value of the function just before and just after each.
    """

    def __init__(self, positions, left, right):
        self.positions, self.left, self.right = positions, left, right

    @classmethod
    def of(cls, measure):
        """Return the distribution of a `Density` or `Particles` in one dimension."""
        checks.instance("distance", measure, (Density, Particles))
        dimension = len(measure.names) if measure.names else measure.points.shape[1]
        if dimension != 1:
            raise checks.InputError(
                f"distance: {measure!r} has {dimension} axes, take a marginal along one"
            )
        if not measure.mass > 0:
            raise checks.InputError(f"distance: {measure!r} has no mass, nothing to compare")
        weights = measure.weights / measure.weights.sum()
        if isinstance(measure, Density):
            steps = np.concatenate([[0.0], np.cumsum(weights)])
            steps /= steps[-1]
            return cls(measure.mesh.axes[0].edges, steps, steps)
        order = np.argsort(measure.points[:, 0], kind="stable")
        steps = np.concatenate([[0.0], np.cumsum(weights[order])])
        steps /= steps[-1]
        return cls(measure.points[order, 0], steps[:-1], steps[1:])

    def at(self, x):
        """Return the values just before and just after the points `x`."""
        first = np.searchsorted(self.positions, x, side="left")
        last = np.searchsorted(self.positions, x, side="right") - 1
        return self._between(x, first - 1, first), self._between(x, last, last + 1)

    def _between(self, x, low, high):
        """Interpolate from the break `low` to the break `high`, constant outside."""
        k = len(self.positions)
        inside = (low >= 0) & (high < k)
        a, b = np.clip(low, 0, k - 1), np.clip(high, 0, k - 1)
        start, stop = self.right[a], self.left[b]
        width = self.positions[b] - self.positions[a]
        share = np.divide(x - self.positions[a], width, where=width > 0, out=np.zeros_like(width))
        value = start + np.clip(share, 0, 1) * (stop - start)
        return np.where(inside, value, np.where(low < 0, 0.0, 1.0))

    def quantile_breaks(self):
        """Return ``(q, x)``: the quantile function interpolates linearly between these pairs."""
        q = np.stack([self.left, self.right], axis=1).ravel()
        return q, np.repeat(self.positions, 2)


def periods(first, second):
    """Return the period of every axis that two measures share, 0 where there is none.

    Raises
    ------
    InputError
        For measures without mass, of different dimensions, or on different tori.
    """
    sizes, found = [], []
    for measure in (first, second):
        checks.instance("distance", measure, (Density, Particles))
        if not measure.mass > 0:
            raise checks.InputError(f"distance: {measure!r} has no mass, nothing to compare")
        domain = measure.domain
        sizes.append(measure.points.shape[1] if domain is None else domain.dimension)
        if domain is not None:
            found.append([axis.length if axis.periodic else 0.0 for axis in domain.axes])
    if sizes[0] != sizes[1]:
        raise checks.InputError(
            f"distance: {sizes[0]} and {sizes[1]} axes do not compare, take marginals along the "
            "axes they share, with momentum particles.in_phase_space() or wgf.positions"
        )
    if len(found) == 2 and not np.allclose(*found, rtol=1e-12):
        raise checks.InputError(
            f"distance: the periods {found[0]} and {found[1]} differ, compare measures on one torus"
        )
    return np.array(found[0] if found else [0.0] * sizes[0])


def pieces(first, second):
    """Return widths and the difference of two distributions at both ends of each piece."""
    x = np.union1d(first.positions, second.positions)
    before = first.at(x)[0] - second.at(x)[0]
    after = first.at(x)[1] - second.at(x)[1]
    return np.diff(x), after[:-1], before[1:]


def wasserstein_1(first, second, period=None):
    """Return ``W1`` of two measures in one dimension, each normalised to mass 1.

    Parameters
    ----------
    first, second : Density or Particles
    period : float, optional
        Length of the circle. There ``W1 = min_c ∫ |F - G - c| dx``, reached at the median of
        ``F - G``.

    Returns
    -------
    float
        In units of the axis.
    """
    a, b = Distribution.of(first), Distribution.of(second)
    width, start, stop = pieces(a, b)
    if period is None:
        return float(np.sum(width * _mean_absolute(start, stop)))
    outside = period - width.sum()
    width = np.append(width, max(outside, 0.0))
    start, stop = np.append(start, 0.0), np.append(stop, 0.0)

    def cost(shift):
        return float(np.sum(width * _mean_absolute(start - shift, stop - shift)))

    return cost(_median(width, start, stop))


def _mean_absolute(start, stop):
    """Return the mean of ``|f|`` for ``f`` linear from `start` to `stop`."""
    same = start * stop >= 0
    total = np.abs(start) + np.abs(stop)
    crossing = np.divide(start**2 + stop**2, 2 * total, where=total > 0, out=np.zeros_like(total))
    return np.where(same, 0.5 * total, crossing)


def _median(width, start, stop):
    """Return a median of a piecewise linear function: half of the length lies below it."""
    low, high = np.minimum(start, stop), np.maximum(start, stop)

    def below(level):
        share = np.divide(level - low, high - low, where=high > low, out=np.zeros_like(low))
        return np.sum(width * np.where(high > low, np.clip(share, 0, 1), low <= level))

    half = 0.5 * width.sum()
    levels = np.unique(np.concatenate([low, high]))
    first, last = 0, len(levels) - 1
    while first < last:
        middle = (first + last) // 2
        if below(levels[middle]) >= half:
            last = middle
        else:
            first = middle + 1
    top = levels[first]
    bottom = levels[max(first - 1, 0)]
    under, over = below(bottom), below(top)
    if over <= under or under >= half:
        return top
    # between two levels the length below grows linearly, apart from jumps at their ends
    inner = below(np.nextafter(top, -np.inf))
    if inner <= half:
        return top
    return bottom + (top - bottom) * (half - under) / (inner - under)


def wasserstein_2(first, second, period=None):
    """Return ``W2`` of two measures in one dimension, each normalised to mass 1.

    On a circle of length `period` the quantile functions are shifted against each other by the
    amount that costs least; the cost is convex in the shift and is minimised to 1e-10.
    """
    a, b = Distribution.of(first), Distribution.of(second)
    if period is None:
        return float(np.sqrt(max(_squared_cost(*a.quantile_breaks(), *b.quantile_breaks()), 0.0)))
    from scipy.optimize import minimize_scalar

    qa, xa = a.quantile_breaks()
    qb, xb = b.quantile_breaks()

    def cost(shift):
        q = np.concatenate([qb + k for k in (-2, -1, 0, 1, 2)]) - shift
        x = np.concatenate([xb + k * period for k in (-2, -1, 0, 1, 2)])
        inside = (q > -0.5) & (q < 1.5)
        first = max(int(np.argmax(inside)) - 1, 0)
        last = len(q) - max(int(np.argmax(inside[::-1])) - 1, 0)
        return _squared_cost(qa, xa, q[first:last], x[first:last])

    found = minimize_scalar(cost, bounds=(-1, 1), method="bounded", options={"xatol": 1e-10})
    return float(np.sqrt(max(min(found.fun, cost(0.0)), 0.0)))


def _squared_cost(qa, xa, qb, xb):
    """Return ``∫_0^1 (A(q) - B(q))^2 dq`` of two piecewise linear quantile functions."""
    q = np.unique(np.clip(np.concatenate([qa, qb, [0.0, 1.0]]), 0.0, 1.0))
    start = _quantile(qa, xa, q[:-1], after=True) - _quantile(qb, xb, q[:-1], after=True)
    stop = _quantile(qa, xa, q[1:], after=False) - _quantile(qb, xb, q[1:], after=False)
    return float(np.sum(np.diff(q) * (start**2 + start * stop + stop**2) / 3))


def _quantile(q, x, at, after):
    """Interpolate the pairs ``(q, x)``, which may repeat q, from the right or from the left."""
    high = np.searchsorted(q, at, side="right" if after else "left")
    high = np.clip(high, 1, len(q) - 1)
    low = high - 1
    width = q[high] - q[low]
    share = np.divide(at - q[low], width, where=width > 0, out=np.zeros_like(width))
    return x[low] + np.clip(share, 0, 1) * (x[high] - x[low])
