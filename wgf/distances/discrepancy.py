"""Distances that need no transport plan: kernels, slices, negative Sobolev norms.

Each of them takes densities and particles in any combination, meshes may differ, and normalises
both measures to mass 1.
"""

import functools

import numpy as np
from numpy.typing import ArrayLike

from wgf import checks
from wgf.distances.marginals import mean_square, periods, pieces, wasserstein_1, wasserstein_2
from wgf.distances.transport import LIMIT, Bounded, cut
from wgf.measures.base import Measure
from wgf.measures.particles import Particles

ROWS = 512


def energy_distance(first: Measure, second: Measure, limit: int = LIMIT) -> float:
    """Return ``D`` with ``D^2 = 2 E|X - Y| - E|X - X'| - E|Y - Y'|``.

    On one axis ``D^2 = 2 ∫ (F - G)^2 dx`` is evaluated exactly. In more dimensions the measures
    are cut into at most `limit` pieces, see `transport.cut`, with an error of second order in
    their size. A periodic axis is a circle in the plane: ``|X - Y|`` is the length of the chord,
    for which the distance is a metric.

    Parameters
    ----------
    first, second : Density or Particles
    limit : int
        Largest number of pieces a measure is cut into.

    Returns
    -------
    float
        In the square root of the unit of the axes.
    """
    checks.whole("energy_distance limit", limit, minimum=1)
    period = periods(first, second)
    if len(period) == 1 and not period.any():
        width, start, stop = pieces(first, second)
        return float(np.sqrt(2 * np.sum(width * mean_square(start, stop))))
    (x, a, _), (y, b, _) = cut(first, limit), cut(second, limit)
    x, y = _on_circles(x, period), _on_circles(y, period)
    square = 2 * _mean_distance(x, a, y, b)
    square -= _mean_distance(x, a, x, a) + _mean_distance(y, b, y, b)
    return float(np.sqrt(max(square, 0.0)))


def _on_circles(points, period):
    columns = []
    for column, length in zip(points.T, period):
        if length:
            angle, radius = 2 * np.pi * column / length, length / (2 * np.pi)
            columns += [radius * np.cos(angle), radius * np.sin(angle)]
        else:
            columns.append(column)
    return np.stack(columns, axis=1)


def _mean_distance(x, a, y, b):
    from scipy.spatial.distance import cdist

    return sum(a[k : k + ROWS] @ (cdist(x[k : k + ROWS], y) @ b) for k in range(0, len(x), ROWS))


def mmd(first: Measure, second: Measure, width: ArrayLike | None = None) -> float:
    """Return the maximum mean discrepancy for the kernel ``exp(-sum_i (x_i - y_i)^2 / 2 s_i^2)``.

    ``MMD^2 = ∫∫ k d(mu - nu) d(mu - nu)``. Cells are integrated exactly, a periodic axis has the
    kernel of all its images. For `m` independent draws of ``mu``, the mean of ``MMD^2`` is
    ``(E k(X, X) - E k(X, X')) / m`` exactly, in every dimension.

    Parameters
    ----------
    first, second : Density or Particles
    width : float or array of shape ``(d,)``, optional
        ``s``; by default the standard deviations of `first`.

    Returns
    -------
    float
        Without unit, at most ``sqrt(2)`` on the line.
    """
    period = periods(first, second)
    if width is None:
        width = default_width(first)
    width = checks.array("mmd width", width, dimensions=(0, 1))
    if width.ndim and len(width) != len(period):
        raise checks.InputError(
            f"mmd width: {len(width)} numbers for {len(period)} axes, give one or one an axis"
        )
    if not width.min() > 0:
        raise checks.InputError(f"mmd width: {width.min():g} is not positive, give widths > 0")
    width = np.broadcast_to(width, period.shape)
    square = sum(
        sign * kernel_mean(one, two, width, period)
        for sign, one, two in ((1, first, first), (1, second, second), (-2, first, second))
    )
    return float(np.sqrt(max(square, 0.0)))


def default_width(measure: Measure) -> np.ndarray:
    """Return the standard deviation along every axis, 1 where it is 0."""
    spread = np.sqrt(np.maximum(np.diag(measure.covariance()), 0))
    return np.where(spread > 0, spread, 1.0)


def kernel_mean(first: Measure, second: Measure, width: np.ndarray, period: np.ndarray) -> float:
    """Return ``E k(X, Y)`` of the Gaussian kernel, see `mmd`; cells are integrated exactly."""
    if first.kind != "density":
        first, second = second, first
    total = 0.0
    if first.kind == "density":
        kernels = [
            functools.partial(_kernel, axis.centers, h, deviation=s, period=p)
            for axis, h, s, p in zip(first.mesh.axes, first.widths, width, period)
        ]
        return float(
            np.sum(first.values * second.moments(kernels)) / first.values.sum() / second.mass
        )
    for points, weights in second.blocks(ROWS):
        factor = 1.0
        for i, (s, p) in enumerate(zip(width, period)):
            factor = factor * _kernel(points[:, i], 0.0, first.points[:, i], 0.0, s, p)
        total += weights @ (factor @ first.weights)
    return float(total / first.mass / second.mass)


def _kernel(x, cell, y, other, deviation, period):
    """Return the kernel between `x` and `y`, shape ``(k, l)``, averaged over cells so wide.

    Width 0 stands for points. Averages are differences of the kernel's antiderivatives, of the
    second one where both `x` and `y` are centres of cells.
    """
    from scipy.special import ndtr

    root = np.sqrt(2 * np.pi)

    def bell(step):
        return np.exp(-0.5 * (step / deviation) ** 2)

    def once(step):
        h = cell or other
        low, high = ndtr((step - 0.5 * h) / deviation), ndtr((step + 0.5 * h) / deviation)
        return root * deviation / h * (high - low)

    def twice(step):
        """Second antiderivative, which grows on one side only."""
        return deviation * (root * step * ndtr(step / deviation) + deviation * bell(step))

    def both(step):
        plus, minus, near = 0.5 * (cell + other), 0.5 * (cell - other), -np.abs(step)
        total = twice(near + plus) - twice(near + minus) - twice(near - minus) + twice(near - plus)
        return total / (cell * other)

    average = (bell, once, both)[int(cell > 0) + int(other > 0)]
    step = np.subtract.outer(x, y)
    if not period:
        return average(step)
    step = np.mod(step, period)
    # beyond nine widths the kernel is below round-off
    reach = int(np.ceil(9 * deviation / period)) + 1
    return sum(average(step + k * period) for k in range(-reach, reach + 1))


def sliced_wasserstein(
    first: Measure,
    second: Measure,
    power: int = 2,
    directions: int = 64,
    seed: int = 0,
    limit: int = 20000,
) -> Bounded:
    """Return the sliced distance ``SW_p^p = mean over directions e of W_p^p(mu·e, nu·e)``.

    Cheap and weaker than `wgf.wasserstein`: for watching a run, not for a rate. In the plane the
    directions are evenly spaced, in higher dimension drawn with `seed`.

    Returns
    -------
    Bounded
        ``(value, bound)``; the bound is that of the pieces, see `transport.cut`, and does not
        hold what more directions would change.

    Raises
    ------
    InputError
        On a torus, where lines do not project.
    """
    if power not in (1, 2):
        raise checks.InputError(f"sliced power: {power!r} is neither 1 nor 2, choose one")
    checks.whole("sliced directions", directions, minimum=1)
    period = periods(first, second)
    if period.any():
        raise checks.InputError(
            "sliced: a periodic axis has no projection, use wgf.wasserstein or wgf.mmd"
        )
    distance = wasserstein_1 if power == 1 else wasserstein_2
    d = len(period)
    if d == 1:
        return Bounded(distance(first, second), 0.0)
    if d == 2:
        angles = np.pi * np.arange(directions) / directions
        unit = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    else:
        unit = np.random.default_rng(seed).normal(size=(directions, d))
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    (x, a, left), (y, b, right) = cut(first, limit), cut(second, limit)
    total = sum(
        distance(Particles((x @ e)[:, None], a), Particles((y @ e)[:, None], b)) ** power
        for e in unit
    )
    return Bounded(float(total / directions) ** (1 / power), left + right)


def sobolev_norm(
    first: Measure,
    second: Measure,
    order: float | None = None,
    modes: int | tuple[int, ...] | None = None,
) -> float:
    """Return ``|mu - nu|`` in the homogeneous Sobolev space of negative order on a box.

    ``|sigma|^2 = sum_k sigma_k^2 / lambda_k^order`` with the coefficients in the orthonormal
    eigenfunctions of ``-Δ`` (cosines between walls, Fourier modes on a period) and its eigenvalues
    ``lambda_k > 0``. Both measures are integrated against every mode exactly, a cell as uniform
    mass; the sum is cut at `modes` along each axis. On one axis between walls order 1 is
    ``∫ (F - G)^2 dx``. Points have a finite norm for orders above ``d / 2``.

    Parameters
    ----------
    first, second : Density or Particles
        On the same box; at least one with a mesh or domain.
    order : float, optional
        Default ``(d + 1) / 2``, the order of `energy_distance`.
    modes : int or tuple of int, optional
        Default: the cells of the mesh, of the finer one if there are two.

    Returns
    -------
    float
    """
    period = periods(first, second)
    domains = [m.domain for m in (first, second) if m.domain is not None]
    if not domains:
        raise checks.InputError(
            "sobolev norm: neither measure has a domain, give the particles a domain=Mesh(...)"
        )
    box = domains[0]
    if not all(
        np.allclose(box.lower, m.lower) and np.allclose(box.upper, m.upper) for m in domains
    ):
        raise checks.InputError(
            f"sobolev norm: the boxes {domains[0]} and {domains[1]} differ, compare on one box"
        )
    order = 0.5 * (len(period) + 1) if order is None else order
    order = checks.number("sobolev order", order, above=0)
    count = np.max([m.shape for m in domains], axis=0) if modes is None else modes
    count = np.broadcast_to(np.asarray(count), (len(period),))
    for n in count:
        checks.whole("sobolev modes", int(n), minimum=2)
    modes = [functools.partial(_modes, axis, int(n)) for n, axis in zip(count, box.axes)]
    difference = first.moments(modes) / first.mass - second.moments(modes) / second.mass
    eigenvalues = 0.0
    for n, axis in zip(count, box.axes):
        eigenvalues = np.add.outer(eigenvalues, _frequencies(axis, int(n)) ** 2)
    eigenvalues.flat[0] = np.inf
    return float(np.sqrt(np.sum(difference**2 / eigenvalues**order)))


def _frequencies(axis, count):
    """Square roots of the eigenvalues of one axis: sines and cosines share theirs."""
    k = np.arange(count)
    return 2 * np.pi * ((k + 1) // 2) / axis.length if axis.periodic else np.pi * k / axis.length


def _modes(axis, count, points, width):
    """Return the orthonormal eigenfunctions, averaged over cells, shape ``(count, points)``."""
    frequency = _frequencies(axis, count)
    phase = np.outer(frequency, points - axis.lower)
    if axis.periodic:
        phase[2::2] -= 0.5 * np.pi
    wave = np.cos(phase) * np.sqrt(2 / axis.length)
    wave[0] = np.sqrt(1 / axis.length)
    return wave * np.sinc(0.5 * frequency * width / np.pi)[:, None]
