"""The two measures: a density of cell averages on a mesh, and weighted particles.

Both read as weighted points: `blocks` yields ``(points, weights)`` a few thousand rows at a time,
so that a functional written once serves the two.
"""

import functools
import math

import numpy as np

from wgf import checks
from wgf.measures.mesh import MOST_CELLS, VELOCITY, Axis, Mesh

BLOCK_ROWS = 1 << 14
# cells of a density that are made, summed or written at once: whole planes
BLOCK_CELLS = 1 << 17


class Density:
    """Cell averages ``rho_j >= 0`` on a mesh; cell ``j`` carries the mass ``rho_j h^d``.

    Parameters
    ----------
    mesh : Mesh
    values : array of shape ``mesh.shape``
        Cell averages, finite and non-negative. Those of `normal` and `uniform` are products of one
        factor an axis, multiplied when they are asked for.

    Raises
    ------
    InputError
        For a wrong shape, NaN or infinite values and negative values.
    """

    def __init__(self, mesh, values):
        self.mesh = checks.instance("density mesh", mesh, Mesh)
        self.values = checks.array("density values", values, shape=mesh.shape)
        if self.values.size and self.values.min() < 0:
            where = np.unravel_index(int(self.values.argmin()), mesh.shape)
            raise checks.InputError(
                f"density values: {self.values[where]:g} at index {tuple(map(int, where))} is "
                "negative, give cell averages >= 0"
            )

    @classmethod
    def product(cls, mesh, factors):
        """Return the outer product of `factors`, which together have the axes of the mesh."""
        largest = math.prod(float(checks.array("density values", f).max()) for f in factors)
        checks.number("density values", largest, minimum=0)
        made = cls.__new__(cls)
        made.mesh, made._factors = mesh, factors
        return made

    @functools.cached_property
    def values(self):
        """Cell averages, shape ``mesh.shape``."""
        return _outer(self._factors)

    @property
    def block(self):
        """Cells that are read at once: some planes of the first axis."""
        plane = self.mesh.cells // self.mesh.shape[0]
        return plane * max(1, BLOCK_CELLS // plane)

    def read(self, start, stop):
        """Return the cell averages ``start … stop`` in array order, without making the others."""
        if "values" in self.__dict__:
            return self.values.reshape(-1)[start:stop]
        plane = self.mesh.cells // self.mesh.shape[0]
        low, high = start // plane, -(-stop // plane)
        planes = _outer([self._factors[0][low:high], *self._factors[1:]])
        return planes.reshape(-1)[start - low * plane : stop - low * plane]

    def pieces(self, block=None):
        """Yield ``(start, stop, values)``: the cells in array order, block by block."""
        block = self.block if block is None else block
        for start in range(0, self.mesh.cells, block):
            stop = min(start + block, self.mesh.cells)
            yield start, stop, self.read(start, stop)

    @classmethod
    def normal(cls, mesh, mean, std):
        """Return the product of normals truncated at walls, wrapped on periods, of unit mass.

        The cell averages are exact (differences of the error function), `mean` and `std` are
        numbers or one number an axis.
        """
        checks.instance("density mesh", mesh, Mesh)
        mean = _per_axis("normal mean", mean, mesh)
        std = _per_axis("normal std", std, mesh)
        factors = []
        for axis, name, m, s in zip(mesh.axes, mesh.names, mean, std):
            s = checks.number(f"normal std along {name}", s, above=0)
            mass = _normal_shares(axis, m, s)
            if not mass.sum() > 0:
                raise checks.InputError(
                    f"normal mean: {m:g} along {name} leaves no mass in "
                    f"[{axis.lower:g}, {axis.upper:g}], move it or enlarge the box"
                )
            factors.append(mass / mass.sum() / axis.spacing)
        return cls.product(mesh, factors)

    @classmethod
    def uniform(cls, mesh, **bounds):
        """Return the uniform density of unit mass on the box ``name=(lower, upper)``.

        Axes without bounds are filled. Cells cut by the box get their share exactly.
        """
        checks.instance("density mesh", mesh, Mesh)
        checks.positions_of("uniform bounds", bounds, mesh.names)
        factors = []
        for name, axis in zip(mesh.names, mesh.axes):
            given = bounds.get(name, (axis.lower, axis.upper))
            try:
                low, high = given
            except (TypeError, ValueError):
                raise checks.InputTypeError(
                    f"uniform {name}: {given!r} is no pair of bounds, give (lower, upper)"
                ) from None
            low = checks.number(f"uniform {name} lower", low)
            high = checks.number(f"uniform {name} upper", high, above=low)
            edges = axis.edges
            shares = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
            mass = np.maximum(shares, 0)
            if not mass.sum() > 0:
                raise checks.InputError(
                    f"uniform {name}: [{low:g}, {high:g}] lies outside "
                    f"[{axis.lower:g}, {axis.upper:g}], move it or enlarge the box"
                )
            factors.append(mass / mass.sum() / axis.spacing)
        return cls.product(mesh, factors)

    @classmethod
    def from_function(cls, mesh, function, nodes=3):
        """Return cell averages of ``function: (k, d) -> (k,)`` by Gauss-Legendre quadrature.

        `nodes` points an axis and cell (1: value at the centre); nothing is normalised.
        """
        checks.instance("density mesh", mesh, Mesh)
        checks.whole("from_function nodes", nodes, minimum=1, maximum=100)
        if not callable(function):
            raise checks.InputTypeError(
                f"from_function: {function!r} cannot be called, give a function of the points"
            )
        offsets, shares = np.polynomial.legendre.leggauss(nodes)
        values = np.empty(mesh.cells)
        for start in range(0, mesh.cells, BLOCK_ROWS):
            centers = mesh.points(start, start + BLOCK_ROWS)
            total = np.zeros(len(centers))
            for index in np.ndindex(*(nodes,) * mesh.dimension):
                index = list(index)
                shifted = centers + 0.5 * mesh.spacing * offsets[index]
                sample = checks.array("from_function values", function(shifted))
                if sample.shape != total.shape:
                    raise checks.InputError(
                        f"from_function: shape {sample.shape} for {len(centers)} points, return "
                        "one value a point"
                    )
                total += np.prod(0.5 * shares[index]) * sample
            values[start : start + BLOCK_ROWS] = total
        return cls(mesh, values.reshape(mesh.shape))

    @property
    def names(self):
        """Axis names, in array order."""
        return self.mesh.names

    @property
    def domain(self):
        """The mesh, whose walls and periods also hold for particles drawn from the density."""
        return self.mesh

    @property
    def mass(self):
        """Total mass ``h^d sum_j rho_j``."""
        return float(sum(v.sum() for _, _, v in self.pieces()) * self.mesh.cell_volume)

    @property
    def points(self):
        """Cell centres, shape ``(cells, dimension)``."""
        return self.mesh.points()

    @property
    def weights(self):
        """Mass of every cell, shape ``(cells,)``."""
        return self.values.ravel() * self.mesh.cell_volume

    def blocks(self):
        """Yield ``(points, weights)`` of the cells in array order, block by block."""
        for start, stop, values in self.pieces(BLOCK_ROWS):
            yield self.mesh.points(start, stop), values * self.mesh.cell_volume

    def amplitude_moments(self):
        """Return ``(points, moments)``: the other axes and ``∫ a rho da`` over the first axis."""
        first = self.mesh.axes[0]
        moments = first.centers @ self.values.reshape(first.cells, -1) * self.mesh.cell_volume
        if self.mesh.dimension == 1:
            return np.zeros((1, 0)), moments
        return self.mesh.sub(self.names[1:]).points(), moments

    def mean(self):
        """Mean of the cell centres weighted by mass, shape ``(dimension,)``."""
        return np.array([_axis_mean(self, name) for name in self.names])

    def covariance(self):
        """Covariance of the weighted cell centres, shape ``(dimension, dimension)``."""
        mean, total = self.mean(), np.zeros((self.mesh.dimension,) * 2)
        for points, weights in self.blocks():
            total += (points - mean).T @ ((points - mean) * weights[:, None])
        return total / self.mass

    def marginal(self, *names):
        """Return the density of the axes called `names`, in that order."""
        index = checks.positions_of("marginal", names, self.names)
        if not index:
            raise checks.InputError("marginal: no axis named, give at least one")
        others = tuple(i for i in range(self.mesh.dimension) if i not in index)
        volume = np.prod(self.mesh.spacing[list(others)])
        values = self.values.sum(axis=others) * volume
        kept = sorted(index)
        return Density(self.mesh.sub(names), values.transpose([kept.index(i) for i in index]))

    def sample(self, m, seed):
        """Return `m` independent particles of equal weight, drawn uniformly within the cells.

        Those of a density on a phase space have velocities.
        """
        m = checks.whole("sample m", m, minimum=1, maximum=MOST_CELLS)
        checks.whole("sample seed", seed)
        if not self.mass > 0:
            raise checks.InputError("sample: the density has no mass, give a positive density")
        generator = np.random.default_rng(seed)
        cumulated = np.cumsum(self.values.ravel())
        cells = np.searchsorted(cumulated, generator.random(m) * cumulated[-1], side="right")
        index = np.unravel_index(np.minimum(cells, self.mesh.cells - 1), self.mesh.shape)
        corner = self.mesh.lower + self.mesh.spacing * np.stack(index, axis=1)
        points = corner + self.mesh.spacing * generator.random((m, self.mesh.dimension))
        return _particles(points, np.full(m, self.mass / m), self.mesh)

    def quadrature(self):
        """Return one particle at the centre of every cell that is not empty, with its mass."""
        weights = self.weights
        full = weights > 0
        return _particles(self.mesh.points()[full], weights[full], self.mesh)

    def __repr__(self):
        return f"Density({self.mesh}, mass={self.mass:.6g})"


class Particles:
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
    def mass(self):
        """Total mass ``sum_i weights_i``."""
        return float(self.weights.sum())

    def blocks(self):
        """Yield ``(points, weights)`` block by block."""
        for start in range(0, len(self.points), BLOCK_ROWS):
            stop = start + BLOCK_ROWS
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

    def marginal(self, *names):
        """Return the particles seen along the axes called `names` only."""
        if self.domain is None:
            raise checks.InputError(
                "marginal: these particles have no named axes, give them a domain=Mesh(...)"
            )
        index = checks.positions_of("marginal", names, self.names)
        return Particles(self.points[:, list(index)], self.weights, domain=self.domain.sub(names))

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
        return Density(mesh, (mass / mesh.cell_volume).reshape(mesh.shape))

    def __repr__(self):
        m, d = self.points.shape
        return f"Particles({m} in dimension {d}, mass={self.mass:.6g})"


def _particles(points, weights, mesh):
    """Return particles of `mesh`, those of a phase space as positions and velocities."""
    if mesh.phase is None:
        return Particles(points, weights, domain=mesh)
    half = mesh.dimension // 2
    return Particles(points[:, :half], weights, points[:, half:], mesh.phase[0])


def _per_axis(what, value, mesh):
    value = checks.array(what, value, dimensions=(0, 1))
    if value.ndim and len(value) != mesh.dimension:
        raise checks.InputError(
            f"{what}: {len(value)} numbers for {mesh.dimension} axes, give one or one an axis"
        )
    return np.broadcast_to(value, (mesh.dimension,))


def _normal_shares(axis, mean, std):
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
    with np.errstate(over="ignore"):
        edges = (axis.edges[:, None] - mean + shifts) / std
    # differences are taken on the side of the mean where ndtr is small: no cancellation
    left, right = edges[:-1], edges[1:]
    upper = np.where(left > 0, ndtr(-left), ndtr(right))
    lower = np.where(left > 0, ndtr(-right), ndtr(left))
    return np.maximum(upper - lower, 0).sum(axis=1)


def _outer(factors):
    values = factors[0]
    for factor in factors[1:]:
        values = np.multiply.outer(values, factor)
    return values


def _axis_mean(density, name):
    marginal = density.marginal(name)
    return float(marginal.mesh.centers(name) @ marginal.weights / density.mass)
