"""Cell averages along one axis, of which `wgf.Density` multiplies products."""

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

    # beyond two periods a wrapped normal is uniform: it differs by exp(-2 (pi std / length)^2)
    if axis.periodic and std > 2 * axis.length:
        return np.full(axis.cells, 1.0 / axis.cells)
    edges = _images(axis, axis.edges, mean, std)
    # differences are taken on the side of the mean where ndtr is small: no cancellation
    left, right = edges[:-1], edges[1:]
    upper = np.where(left > 0, ndtr(-left), ndtr(right))
    lower = np.where(left > 0, ndtr(-right), ndtr(left))
    return np.maximum(upper - lower, 0).sum(axis=1)


@np.errstate(over="ignore", under="ignore")
def normal_values(axis, mean, std):
    """Return a normal at the centres of the cells of an axis, wrapped on a period."""
    if axis.periodic and std > 2 * axis.length:
        return np.full(axis.cells, 1.0 / axis.length)
    places = _images(axis, axis.centers, mean, std)
    return np.exp(-0.5 * places**2).sum(axis=1) / (np.sqrt(2 * np.pi) * std)


def _images(axis, points, mean, std):
    """Return how many deviations points lie from the mean and from its images on a period."""
    shifts = np.zeros(1)
    if axis.periodic:
        if not axis.lower <= mean <= axis.upper:
            mean = axis.lower + np.mod(mean - axis.lower, axis.length)
        # the tail after 9 deviations is below round-off
        images = int(np.ceil(1 + 9 * std / axis.length))
        shifts = np.arange(-images, images + 1) * axis.length
    return (points[:, None] - mean + shifts) / std


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
