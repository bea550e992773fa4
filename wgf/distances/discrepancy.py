"""Distances that need no transport plan: kernels, slices, negative Sobolev norms.

Each of them takes densities and particles in any combination, meshes may differ, and normalises
both measures to mass 1.
"""

import numpy as np

from wgf import checks
from wgf.distances.marginals import Distribution, periods, pieces, wasserstein_1, wasserstein_2
from wgf.distances.transport import LIMIT, Bounded, cut
from wgf.measures.density import Density
from wgf.measures.particles import Particles

ROWS = 512


def energy_distance(first, second, limit=LIMIT):
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
        width, start, stop = pieces(Distribution.of(first), Distribution.of(second))
        return float(np.sqrt(2 * np.sum(width * (start**2 + start * stop + stop**2) / 3)))
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


def mmd(first, second, width=None):
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


def default_width(measure):
    """Return the standard deviation along every axis, 1 where it is 0."""
    spread = np.sqrt(np.maximum(np.diag(measure.covariance()), 0))
    return np.where(spread > 0, spread, 1.0)


def kernel_mean(first, second, width, period):
    """Return ``E k(X, Y)`` of the Gaussian kernel, see `mmd`; cells are integrated exactly."""
    if isinstance(second, Density) and not isinstance(first, Density):
        first, second = second, first
    if isinstance(second, Density):
        values = second.values
        for i, (one, two) in enumerate(zip(first.mesh.axes, second.mesh.axes)):
            factor = _cells_cells(one, two, width[i], period[i])
            values = np.moveaxis(np.tensordot(factor, values, axes=(1, i)), 0, i)
        return float(np.sum(first.values * values) / first.values.sum() / second.values.sum())
    total = 0.0
    for k in range(0, len(second.points), ROWS):
        points, weights = second.points[k : k + ROWS], second.weights[k : k + ROWS]
        if isinstance(first, Density):
            factors = [
                _points_cells(points[:, i], axis, width[i], period[i])
                for i, axis in enumerate(first.mesh.axes)
            ]
            total += weights @ contract(factors, first.values) / first.values.sum()
        else:
            factor = 1.0
            for i in range(points.shape[1]):
                step = np.subtract.outer(points[:, i], first.points[:, i])
                factor = factor * _images(_bell, step, width[i], period[i])
            total += weights @ (factor @ first.weights) / first.mass
    return float(total / second.mass)


def contract(factors, values):
    """Return ``sum_j values_j prod_i factors_i[k, j_i]`` for every row ``k``."""
    result = np.tensordot(factors[0], values, axes=(1, 0))
    for factor in factors[1:]:
        result = np.einsum("kj,kj...->k...", factor, result)
    return result


def _images(function, step, width, period):
    """Sum ``function(step, width)`` over all images that count; period 0 has only one."""
    if not period:
        return function(step, width)
    step = np.mod(step, period)
    # beyond nine widths the kernel is below round-off
    reach = int(np.ceil(9 * width / period)) + 1
    return sum(function(step + k * period, width) for k in range(-reach, reach + 1))


def _bell(step, width):
    return np.exp(-0.5 * (step / width) ** 2)


def _points_cells(points, axis, width, period):
    """Return the kernel averaged over each cell, shape ``(points, cells)``."""
    from scipy.special import ndtr

    def average(step, width):
        low = ndtr((step - 0.5 * axis.spacing) / width)
        high = ndtr((step + 0.5 * axis.spacing) / width)
        return np.sqrt(2 * np.pi) * width / axis.spacing * (high - low)

    return _images(average, np.subtract.outer(points, axis.centers), width, period)


def _cells_cells(one, two, width, period):
    """Return the kernel averaged over pairs of cells, shape ``(cells, cells)``."""
    from scipy.special import ndtr

    def twice(step):
        """Second antiderivative of the kernel, which grows on one side only."""
        return width * (np.sqrt(2 * np.pi) * step * ndtr(step / width) + width * _bell(step, width))

    plus, minus = 0.5 * (one.spacing + two.spacing), 0.5 * (one.spacing - two.spacing)

    def average(step, _width):
        near = -np.abs(step)
        total = twice(near + plus) - twice(near + minus) - twice(near - minus) + twice(near - plus)
        return total / (one.spacing * two.spacing)

    return _images(average, np.subtract.outer(one.centers, two.centers), width, period)


def sliced_wasserstein(first, second, power=2, directions=64, seed=0, limit=20000):
    """Return the sliced distance ``SW_p^p = mean over directions e of W_p^p(mu . e, nu . e)``.

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


def sobolev_norm(first, second, order=None, modes=None):
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
    difference = _coefficients(first, box, count) - _coefficients(second, box, count)
    eigenvalues = 0.0
    for n, axis in zip(count, box.axes):
        frequency = _frequencies(axis, int(n))
        eigenvalues = np.add.outer(eigenvalues, frequency**2)
    eigenvalues.flat[0] = np.inf
    return float(np.sqrt(np.sum(difference**2 / eigenvalues**order)))


def _frequencies(axis, count):
    """Square roots of the eigenvalues of one axis: sines and cosines share theirs."""
    k = np.arange(count)
    return 2 * np.pi * ((k + 1) // 2) / axis.length if axis.periodic else np.pi * k / axis.length


def _modes(axis, count, points):
    """Return the orthonormal eigenfunctions at the points, shape ``(points, count)``."""
    phase = np.outer(points - axis.lower, _frequencies(axis, count))
    if axis.periodic:
        phase[:, 2::2] -= 0.5 * np.pi
    wave = np.cos(phase) * np.sqrt(2 / axis.length)
    wave[:, 0] = np.sqrt(1 / axis.length)
    return wave


def _coefficients(measure, box, count):
    """Integrate the modes of the box exactly against a measure of mass 1."""
    if isinstance(measure, Density):
        values = measure.values / measure.values.sum()
        for i, axis in enumerate(measure.mesh.axes):
            frequency = _frequencies(box.axes[i], int(count[i]))
            smear = np.sinc(0.5 * frequency * axis.spacing / np.pi)
            wave = _modes(box.axes[i], int(count[i]), axis.centers) * smear
            values = np.moveaxis(np.tensordot(wave, values, axes=(0, i)), 0, i)
        return values
    total = 0.0
    for k in range(0, len(measure.points), ROWS):
        points, weights = measure.points[k : k + ROWS], measure.weights[k : k + ROWS]
        waves = [
            _modes(axis, int(n), points[:, i]) for i, (axis, n) in enumerate(zip(box.axes, count))
        ]
        product = waves[-1]
        for wave in waves[-2:0:-1]:
            product = np.einsum("kj,k...->kj...", wave, product)
        first = waves[0] * weights[:, None]
        if len(waves) == 1:
            total = total + first.sum(axis=0)
        else:
            total = total + np.tensordot(first, product, axes=(0, 0))
    return total / measure.mass
