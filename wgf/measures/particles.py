"""Weighted particles."""

import numpy as np

from wgf import checks
from wgf.measures.base import BLOCK_ROWS, Measure, indices
from wgf.measures.mesh import VELOCITY, Axis, Mesh

# particles whose moments are formed at once: one row each of as many numbers as there are functions
MOMENT_ROWS = 512


class Particles(Measure):
    """Weighted points ``sum_i weights_i delta(points_i)``.

    Parameters
    ----------
    points : array of shape ``(m, d)``
    weights : array of shape ``(m,)``, optional
        Non-negative; default ``1/m``.
    velocities : array of shape ``(m, d)``, optional
        For flows with momentum.
    domain : Mesh, optional
        Names the axes and gives their walls and periods; without it the points move in ``R^d``.

    Raises
    ------
    InputError
        For wrong shapes, NaN, negative weights and points beyond a wall of the domain.
    """

    kind = "particles"

    def __init__(self, points, weights=None, velocities=None, domain=None):
        self.points = checks.array("particle points", points, shape=(None, None))
        m, d = self.points.shape
        if m < 1 or d < 1:
            raise checks.InputError(
                f"particle points: shape {self.points.shape} is empty, give at least one particle"
            )
        self.weights = (
            np.full(m, 1.0 / m)
            if weights is None
            else checks.array("particle weights", weights, shape=(m,))
        )
        if self.weights.min() < 0:
            where = int(self.weights.argmin())
            raise checks.InputError(
                f"particle weights: {self.weights[where]:g} at index {where} is negative, give "
                "weights >= 0"
            )
        self.velocities = (
            None
            if velocities is None
            else checks.array("particle velocities", velocities, shape=(m, d))
        )
        self.domain = domain
        if domain is not None:
            checks.instance("particle domain", domain, Mesh)
            if domain.dimension != d:
                raise checks.InputError(
                    f"particle points: {d} columns do not fit the domain's axes "
                    f"{', '.join(domain.names)}, give {domain.dimension}"
                )
            outside = int((domain.locate(self.points) < 0).sum())
            if outside:
                raise checks.InputError(
                    f"particle points: {outside} of {m} lie beyond a wall of {domain}, move them "
                    "or enlarge the box"
                )
            self.points = domain.confine(self.points)

    @property
    def names(self):
        """Axis names, or None for particles without a domain."""
        return None if self.domain is None else self.domain.names

    @property
    def point(self):
        """One of the points, shape ``(1, dimension)``."""
        return self.points[:1]

    @property
    def size(self):
        """Number of particles."""
        return len(self.points)

    @property
    def dimension(self):
        """Number of axes."""
        return self.points.shape[1]

    @property
    def resolution(self):
        """Number of particles ``m``."""
        return self.size

    @property
    def extent(self):
        """The size in words."""
        return f"{self.size} particles"

    @property
    def mass(self):
        """Total mass ``sum_i weights_i``."""
        return float(self.weights.sum())

    def scaled(self, factor):
        return Particles(self.points, factor * self.weights, self.velocities, self.domain)

    def joined(self, other):
        if (self.velocities is None) != (other.velocities is None):
            raise checks.InputError(
                "particles sum: velocities are those of one summand alone, give both of them some"
            )
        if self.dimension != other.dimension:
            raise checks.InputError(
                f"particles sum: dimensions {self.dimension} and {other.dimension} differ, add "
                "particles along the same axes"
            )
        rows = [(each.points, each.weights, each.velocities) for each in (self, other)]
        points, weights, moving = zip(*rows)
        velocities = None if self.velocities is None else np.concatenate(moving)
        return Particles(np.concatenate(points), np.concatenate(weights), velocities, self.domain)

    def blocks(self, rows=BLOCK_ROWS):
        """Yield ``(points, weights)`` block by block."""
        for start in range(0, len(self.points), rows):
            stop = start + rows
            yield self.points[start:stop], self.weights[start:stop]

    def amplitude_moments(self):
        """Return ``(points, moments)``: the other coordinates and ``weight * a`` of each."""
        return self.points[:, 1:], self.weights * self.points[:, 0]

    def mean(self):
        """Weighted mean, shape ``(dimension,)``."""
        return self.weights @ self.points / self.mass

    def covariance(self):
        """Weighted covariance, shape ``(dimension, dimension)``."""
        centred = self.points - self.mean()
        return centred.T @ (centred * self.weights[:, None]) / self.mass

    def marginal(self, *axes):
        """Return the particles seen along some axes only, given by their names or numbers."""
        index = list(indices(self, axes))
        domain = self.domain and self.domain.sub([self.names[i] for i in index])
        return Particles(self.points[:, index], self.weights, domain=domain)

    def quantiles(self, axis, levels):
        """Return where the shares `levels` of the mass are reached along an axis."""
        column = self.points[:, self.index(axis)]
        order = np.argsort(column)
        shares = np.cumsum(self.weights[order]) / self.mass
        return column[order[np.minimum(np.searchsorted(shares, levels), len(order) - 1)]]

    def coordinates(self, axis):
        """Return one coordinate of every particle."""
        return self.points[:, self.index(axis)]

    def shaped(self, values):
        """Return one number per particle as it is."""
        return values

    def distribution(self):
        """Return ``(x, shares)``: the distribution function on one axis jumps where an x repeats.

        See `wgf.Density.distribution`.
        """
        order = np.argsort(self.points[:, 0], kind="stable")
        shares = np.concatenate([[0.0], np.cumsum((self.weights / self.weights.sum())[order])])
        shares = np.repeat(shares / shares[-1], 2)[1:-1]
        return np.repeat(self.points[order, 0], 2), shares

    def moments(self, functions):
        """Return ``∫ f_1(x_1) f_2(x_2) … dmu``; see `wgf.Density.moments`."""
        total = 0.0
        for points, weights in self.blocks(MOMENT_ROWS):
            first, *others = (f(x, 0.0) for f, x in zip(functions, points.T))
            product = np.ones((len(weights), 1))
            for factor in others:
                product = np.einsum("kj,ik->kji", product, factor).reshape(len(weights), -1)
            total = total + (first * weights) @ product
        return total.reshape([len(first), *map(len, others)])

    @property
    def has_velocities(self):
        """Whether every particle has a velocity."""
        return self.velocities is not None

    def half(self, which):
        """Return the particles at their positions (0), without velocities, or at these (1)."""
        if which == 0:
            return Particles(self.points, self.weights, domain=self.domain)
        if self.velocities is None:
            raise checks.InputError(
                "phase space: the particles have no velocities, see wgf.maxwellian"
            )
        return Particles(self.velocities, self.weights)

    def in_phase_space(self):
        """Return the same particles as points ``(theta, r)`` of the phase space, shape ``(m, 2d)``.

        The axes of the velocities are called ``v_`` and the name of the position's.
        """
        if self.velocities is None:
            raise checks.InputError(
                "phase space: these particles have no velocities, give them some, for example "
                "by wgf.maxwellian"
            )
        domain, m = None, len(self.points)
        if self.domain is not None and self.points.shape[1] <= 2:
            reach = 1.001 * max(float(np.abs(self.velocities).max()), 1e-300)
            axes = dict(zip(self.names, self.domain.axes))
            axes.update({VELOCITY + name: Axis(-reach, reach, 1) for name in self.names})
            domain = Mesh(**axes)
        points = np.concatenate([self.points, self.velocities], axis=1).reshape(m, -1)
        return Particles(points, self.weights, domain=domain)

    def histogram(self, mesh):
        """Return the density of the particles' mass in the cells of `mesh`.

        On a phase space that of positions and velocities.
        """
        checks.instance("histogram mesh", mesh, Mesh)
        if mesh.phase and self.velocities is not None:
            return self.in_phase_space().histogram(mesh)
        if mesh.dimension != self.points.shape[1]:
            raise checks.InputError(
                f"histogram: a mesh of {mesh.dimension} axes does not fit particles in dimension "
                f"{self.points.shape[1]}, give one axis a coordinate"
            )
        cells = mesh.locate(self.points)
        outside = int((cells < 0).sum())
        if outside:
            raise checks.InputError(
                f"histogram: {outside} of {len(cells)} particles lie outside {mesh}, enlarge it"
            )
        mass = np.bincount(cells, weights=self.weights, minlength=mesh.cells)
        return Measure.kinds["density"](mesh, (mass / mesh.cell_volume).reshape(mesh.shape))

    def __repr__(self):
        m, d = self.points.shape
        return f"Particles({m} in dimension {d}, mass={self.mass:.6g})"
