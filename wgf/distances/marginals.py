"""Exact distances between measures on one axis: cells are uniform mass, particles are points.

The distribution function of a density is piecewise linear, and so is its quantile function; those
of particles are steps. ``W1 = ∫ |F - G| dx`` and ``W2^2 = ∫ (F^-1 - G^-1)^2 dq`` are then
integrals of piecewise polynomials and are evaluated without error beyond round-off.
"""

import numpy as np

from wgf import checks
from wgf.measures.base import Measure, measured


def _mass_checked(measure):
    measured("distance", measure)
    if not measure.mass > 0:
        raise checks.InputError(f"distance: {measure!r} has no mass, nothing to compare")
    return measure


def distribution(measure: Measure) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(x, shares)``: the distribution function of a measure on one axis, of mass 1.

    It interpolates linearly between these pairs, and jumps where an ``x`` repeats; with the two
    exchanged it is the quantile function. See `interpolate`.
    """
    measured("distance", measure)
    if measure.dimension != 1:
        raise checks.InputError(
            f"distance: {measure!r} has {measure.dimension} axes, take a marginal along one"
        )
    return _mass_checked(measure).distribution()


def interpolate(x: np.ndarray, y: np.ndarray, at: np.ndarray, after: bool) -> np.ndarray:
    """Interpolate the pairs ``(x, y)``, constant outside; at a jump from the right or the left."""
    high = np.searchsorted(x, at, side="right" if after else "left")
    high = np.clip(high, 1, len(x) - 1)
    low = high - 1
    width = x[high] - x[low]
    # a jump at the very end has no pair beyond it
    beyond = (at >= x[low] if after else at > x[low]).astype(float)
    share = np.divide(at - x[low], width, where=width > 0, out=beyond)
    return y[low] + np.clip(share, 0, 1) * (y[high] - y[low])


def periods(first: Measure, second: Measure) -> np.ndarray:
    """Return the period of every axis that two measures share, 0 where there is none.

    Raises
    ------
    InputError
        For measures without mass, of different dimensions, or on different tori.
    """
    sizes = [_mass_checked(measure).dimension for measure in (first, second)]
    if sizes[0] != sizes[1]:
        raise checks.InputError(
            f"distance: {sizes[0]} and {sizes[1]} axes do not compare, take marginals along the "
            "axes they share, with momentum particles.in_phase_space() or wgf.positions"
        )
    found = [
        [measure.period(k) or 0.0 for k in range(sizes[0])]
        for measure in (first, second)
        if measure.domain is not None
    ]
    if len(found) == 2 and not np.allclose(*found, rtol=1e-12):
        raise checks.InputError(
            f"distance: the periods {found[0]} and {found[1]} differ, compare measures on one torus"
        )
    return np.array(found[0] if found else [0.0] * sizes[0])


def pieces(first: Measure, second: Measure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return widths and the difference of two distributions at both ends of each piece."""
    a, b = distribution(first), distribution(second)
    x = np.union1d(a[0], b[0])
    start, stop = (
        interpolate(*a, at, after) - interpolate(*b, at, after)
        for at, after in ((x[:-1], True), (x[1:], False))
    )
    return np.diff(x), start, stop


def wasserstein_1(first: Measure, second: Measure, period: float | None = None) -> float:
    """Return ``W1`` of two measures in one dimension, each normalised to mass 1.

    Parameters
    ----------
    first, second : Density or Particles
    period : float, optional
        Length of the circle, by default the period of the measures. There
        ``W1 = min_c ∫ |F - G - c| dx``, reached at the median of ``F - G``.

    Returns
    -------
    float
        In units of the axis.
    """
    width, start, stop = pieces(first, second)
    period = _circle(first, second, period)
    if period is None:
        return float(np.sum(width * _mean_absolute(start, stop)))
    outside = period - width.sum()
    width = np.append(width, max(outside, 0.0))
    start, stop = np.append(start, 0.0), np.append(stop, 0.0)
    shift = _median(width, start, stop)
    return float(np.sum(width * _mean_absolute(start - shift, stop - shift)))


def _circle(first, second, period):
    """Return the length of the circle on which two measures live, None on a line."""
    return (periods(first, second)[0] or None) if period is None else period


def _mean_absolute(start, stop):
    """Return the mean of ``|f|`` for ``f`` linear from `start` to `stop`."""
    same = start * stop >= 0
    total = np.abs(start) + np.abs(stop)
    crossing = np.divide(start**2 + stop**2, 2 * total, where=total > 0, out=np.zeros_like(total))
    return np.where(same, 0.5 * total, crossing)


def mean_square(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Return the mean of ``f^2`` for ``f`` linear from `start` to `stop`."""
    return (start**2 + start * stop + stop**2) / 3


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


def wasserstein_2(first: Measure, second: Measure, period: float | None = None) -> float:
    """Return ``W2`` of two measures in one dimension, each normalised to mass 1.

    On a circle of length `period`, by default the period of the measures, the quantile functions
    are shifted against each other by the amount that costs least; the cost is convex in the shift
    and is minimised to 1e-10.
    """
    (xa, qa), (xb, qb) = distribution(first), distribution(second)
    period = _circle(first, second, period)
    if period is None:
        return float(np.sqrt(max(_squared_cost(qa, xa, qb, xb), 0.0)))
    from scipy.optimize import minimize_scalar

    def cost(shift):
        q = np.concatenate([qb + k for k in (-2, -1, 0, 1, 2)]) - shift
        x = np.concatenate([xb + k * period for k in (-2, -1, 0, 1, 2)])
        inside = (q > -0.5) & (q < 1.5)
        first = max(int(np.argmax(inside)) - 1, 0)
        last = len(q) - max(int(np.argmax(inside[::-1])) - 1, 0)
        return _squared_cost(qa, xa, q[first:last], x[first:last])

    best = minimize_scalar(cost, bounds=(-1, 1), method="bounded", options={"xatol": 1e-10})
    return float(np.sqrt(max(min(best.fun, cost(0.0)), 0.0)))


def _squared_cost(qa, xa, qb, xb):
    """Return ``∫_0^1 (A(q) - B(q))^2 dq`` of two piecewise linear quantile functions."""
    q = np.unique(np.clip(np.concatenate([qa, qb, [0.0, 1.0]]), 0.0, 1.0))
    start, stop = (
        interpolate(qa, xa, at, after) - interpolate(qb, xb, at, after)
        for at, after in ((q[:-1], True), (q[1:], False))
    )
    return float(np.sum(np.diff(q) * mean_square(start, stop)))
