"""Cell averages along one axis, of which `wgf.Density` multiplies products, and between cells."""

import itertools

import numpy as np

from wgf import checks


def per_axis(what, value, mesh):
    value = checks.array(what, value, dimensions=(0, 1))
    if value.ndim and len(value) != mesh.dimension:
        raise checks.InputError(
            f"{what}: {len(value)} numbers for {mesh.dimension} axes, give one or one an axis"
        )
    return np.broadcast_to(value, (mesh.dimension,))


# tails may be smaller than any number, and a deviation so small that an edge is infinitely far
@np.errstate(over="ignore", under="ignore")
def normal_shares(axis, mean, std):
    """Return the mass of a normal in the cells of an axis, wrapped on a period."""
    from scipy.special import ndtr

    shifts = np.zeros(1)
    if axis.periodic:
        # beyond two periods a wrapped normal is uniform: it differs by exp(-2 (pi std / length)^2)
        if std > 2 * axis.length:
            return np.full(axis.cells, 1.0 / axis.cells)
        if not axis.lower <= mean <= axis.upper:
            mean = axis.lower + np.mod(mean - axis.lower, axis.length)
        # the tail after 9 deviations is below round-off
        images = int(np.ceil(1 + 9 * std / axis.length))
        shifts = np.arange(-images, images + 1) * axis.length
    edges = (axis.edges[:, None] - mean + shifts) / std
    # differences are taken on the side of the mean where ndtr is small: no cancellation
    left, right = edges[:-1], edges[1:]
    upper = np.where(left > 0, ndtr(-left), ndtr(right))
    lower = np.where(left > 0, ndtr(-right), ndtr(left))
    return np.maximum(upper - lower, 0).sum(axis=1)


def interval_fractions(axis, low, high):
    """Return the length of every cell that lies in an interval, wrapped on a period."""
    edges = axis.edges
    if not axis.periodic:
        return np.maximum(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0)
    # of an interval longer than the period nothing is counted twice
    high = min(high, low + axis.length)
    shift = axis.length * np.floor((low - axis.lower) / axis.length)
    low, high = low - shift, high - shift
    total = np.zeros(axis.cells)
    for image in (0.0, axis.length):
        parts = np.minimum(edges[1:] + image, high) - np.maximum(edges[:-1] + image, low)
        total += np.maximum(parts, 0)
    return total


def correlated(mesh, mean, covariance):
    """Return a normal density up to a factor, wrapped on periods, as a function of points.

    Raises
    ------
    InputError
        For a matrix that is no covariance, or one that the cells do not resolve.
    """
    d = mesh.dimension
    covariance = checks.array("normal cov", covariance, shape=(d, d))
    low = np.linalg.eigvalsh(covariance)[0]
    if not np.allclose(covariance, covariance.T, rtol=1e-12, atol=0) or low <= 0:
        raise checks.InputError(
            f"normal cov: its least eigenvalue is {low:g} and it must be symmetric and positive "
            "definite, give such a matrix"
        )
    precision = np.linalg.inv(covariance)
    images = []
    for k, (name, axis) in enumerate(zip(mesh.names, mesh.axes)):
        width, sharp = np.diff(axis.edges).max(), precision[k, k] ** -0.5
        if sharp < 0.5 * width:
            raise checks.InputError(
                f"normal cov: along {name} it has the deviation {sharp:.3g} with the other axes "
                f"fixed and a cell is {width:.3g} wide, refine the mesh"
            )
        # the tail after 9 deviations is below round-off
        count = int(np.ceil(1 + 9 * covariance[k, k] ** 0.5 / axis.length)) * axis.periodic
        images.append(np.arange(-count, count + 1) * (axis.upper - axis.lower))

    def value(points):
        total = np.zeros(len(points))
        for shift in itertools.product(*images):
            apart = points - mean + np.array(shift)
            total += np.exp(-0.5 * np.einsum("ki,ij,kj->k", apart, precision, apart))
        return total

    return value


def multilinear(mesh, values, points):
    """Return values of cells at points, linear between centres and 0 outside the box."""
    corners = []
    for axis, at in zip(mesh.axes, points.T):
        centers, n = axis.centers, axis.cells
        if axis.periodic:
            length = axis.upper - axis.lower
            at = axis.lower + np.mod(at - axis.lower, length)
            centers = np.concatenate([centers[-1:] - length, centers, centers[:1] + length])
        inside = (at >= axis.lower) & (at <= axis.upper)
        low = np.clip(np.searchsorted(centers, at, side="right") - 1, 0, max(len(centers) - 2, 0))
        high = np.minimum(low + 1, len(centers) - 1)
        gap = np.where(high > low, centers[high] - centers[low], 1.0)
        fraction = np.clip((at - centers[low]) / gap, 0.0, 1.0)
        cells = [(each - axis.periodic) % n for each in (low, high)]
        corners.append([(cells[0], inside * (1 - fraction)), (cells[1], inside * fraction)])
    total = np.zeros(len(points))
    for corner in itertools.product(*corners):
        cells, parts = zip(*corner)
        total += values[cells] * np.prod(parts, axis=0)
    return total
