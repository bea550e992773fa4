"""Walls of the domain as particles meet them: who is stopped, and reflected Brownian motion."""

import math

import numpy as np

# longest drift, and standard deviation of the noise, between two reflections: fraction of the axis
PART = 0.125
# after this many parts of a step the law between two walls is stationary
MOST_PARTS = 512


def walls(domain):
    """Return pairs of the number of an axis with walls and the axis."""
    return [] if domain is None else [(k, a) for k, a in enumerate(domain.axes) if not a.periodic]


def stopped(points, slope, domain):
    """Return which coordinates, on a wall, the force ``-slope`` presses against it."""
    found = np.zeros(points.shape, dtype=bool)
    for k, axis in walls(domain):
        low = (points[:, k] <= axis.lower) & (slope[:, k] > 0)
        found[:, k] = low | (points[:, k] >= axis.upper) & (slope[:, k] < 0)
    return found


def diffused(points, drift, variance, domain, generator, particles):
    """Return the points after a drift and Brownian motion, reflected at walls.

    At one wall the result has exactly the law of reflected Brownian motion with this drift: the
    lowest point of a path between its two ends is drawn, too, and the path is pushed up by what it
    lacks (Lepingle 1995). So that no path reaches both walls, a long step is made in parts.

    Parameters
    ----------
    points, drift : arrays of shape ``(m, d)``
    variance : array of shape ``(d,)``
        Of the noise along every axis.
    domain : Mesh or None
    generator : numpy.random.Generator
    particles : ParticlePartition
    """
    axes = [
        (k, axis)
        for k, axis in walls(domain)
        # without a drift the reflected end of a path has the law
        if variance[k] > 0 and particles.largest(np.abs(drift[:, k])) > 0
    ]
    needed = 1.0
    for k, axis in axes:
        length = PART * axis.length
        most = particles.largest(np.abs(drift[:, k])) / length
        needed = max(needed, most, variance[k] / length**2)
    parts = math.ceil(min(needed, MOST_PARTS))
    share = min(1.0, MOST_PARTS / needed) / parts
    once = np.array([k not in dict(axes) for k in range(len(variance))])
    result = points
    for part in range(parts):
        # an axis that needs no parts makes the whole step in the first one
        time = np.where(once, float(part == 0), share)
        noise = particles.normal(generator, points.shape[1])
        moved = result + time * drift + np.sqrt(time * variance) * noise
        if axes:
            waiting = particles.exponential(generator, len(axes))
        for column, (k, axis) in enumerate(axes):
            side = np.where(result[:, k] - axis.lower < axis.upper - result[:, k], 1.0, -1.0)
            wall = np.where(side > 0, axis.lower, axis.upper)
            before, after = side * (result[:, k] - wall), side * (moved[:, k] - wall)
            spread = 2 * share * variance[k] * waiting[:, column]
            lowest = 0.5 * (before + after - np.sqrt((after - before) ** 2 + spread))
            moved[:, k] = wall + side * (after + np.maximum(-lowest, 0.0))
        result = moved if domain is None else domain.reflect(moved)[0]
    return result
