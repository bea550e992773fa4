"""Densities: cell averages on a mesh."""

import functools
import math

import numpy as np

from wgf import checks
from wgf.measures.base import BLOCK_ROWS, Measure, indices
from wgf.measures.mesh import MOST_CELLS, Mesh
from wgf.measures.particles import Particles
from wgf.measures.profiles import (
    correlated,
    interval_fractions,
    multilinear,
    normal_shares,
    per_axis,
)

# cells of a density that are made, summed or written at once: whole planes
BLOCK_CELLS = 1 << 17


class Density(Measure):
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

    kind = "density"

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
    def normal(cls, mesh, mean, std=None, cov=None):
        """Return a normal density truncated at walls, wrapped on periods, of unit mass.

        `mean` and `std` are numbers or one number per axis; the cell averages of a product of
        normals are exact (differences of the error function). With a covariance `cov` of shape
        ``(d, d)`` in place of `std` they are those of Gauss-Legendre quadrature.

        Raises
        ------
        InputError
            For a density that leaves no mass in the box, for a matrix that is not symmetric and
            positive definite, and for one that the cells do not resolve.
        """
        checks.instance("density mesh", mesh, Mesh)
        mean = per_axis("normal mean", mean, mesh)
        if (std is None) == (cov is None):
            raise checks.InputError(
                f"normal std: {'neither' if std is None else 'both'} std and cov given, give one"
            )
        if cov is not None:
            found = cls.from_function(mesh, correlated(mesh, mean, cov))
            mass = checks.number("normal mass in the box", found.mass, above=0)
            return cls(mesh, found.values / mass)
        std = per_axis("normal std", std, mesh)
        factors = []
        for axis, name, m, s in zip(mesh.axes, mesh.names, mean, std):
            s = checks.number(f"normal std along {name}", s, above=0)
            mass = normal_shares(axis, m, s)
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

        Axes without bounds are filled. Cells cut by the box get their fraction exactly. Along a
        periodic axis the bounds may lie across the seam.
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
            mass = interval_fractions(axis, low, high)
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

    def interpolate(self, points):
        """Return the density at points: linear between the centres of cells.

        Constant between a wall and the next centre, periodic across a seam, 0 outside the box.

        Parameters
        ----------
        points : array of shape ``(k, d)``

        Returns
        -------
        array of shape ``(k,)``
        """
        points = checks.array("interpolate points", points, shape=(None, self.dimension))
        return multilinear(self.mesh, self.values, points)

    def scaled(self, factor):
        return Density(self.mesh, factor * self.values)

    def joined(self, other):
        return Density(self.mesh, self.values + other.values)

    @property
    def names(self):
        """Axis names, in array order."""
        return self.mesh.names

    @property
    def domain(self):
        """The mesh, whose walls and periods also hold for particles drawn from the density."""
        return self.mesh

    @property
    def point(self):
        """One of the points, shape ``(1, dimension)``."""
        return self.mesh.points(0, 1)

    @property
    def size(self):
        """Number of cells."""
        return self.mesh.cells

    @property
    def dimension(self):
        """Number of axes."""
        return self.mesh.dimension

    @property
    def resolution(self):
        """Cell width ``h``, the geometric mean over the axes."""
        return math.prod(self.mesh.spacing) ** (1 / self.dimension)

    @property
    def extent(self):
        """The size in words."""
        return f"{' x '.join(map(str, self.mesh.shape))} cells"

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

    def marginal(self, *axes):
        """Return the density of some axes, in the order given by their names or numbers."""
        index = indices(self, axes)
        others = tuple(i for i in range(self.mesh.dimension) if i not in index)
        volume = np.prod(self.mesh.spacing[list(others)])
        values = self.values.sum(axis=others) * volume
        kept = sorted(index)
        mesh = self.mesh.sub([self.names[i] for i in index])
        return Density(mesh, values.transpose([kept.index(i) for i in index]))

    def quantiles(self, axis, levels):
        """Return where the shares `levels` of the mass are reached along an axis.

        The mass of a cell counts as uniform within it.
        """
        marginal = self.marginal(axis)
        shares = np.concatenate([[0.0], np.cumsum(marginal.weights)]) / marginal.mass
        return np.interp(levels, shares, marginal.mesh.axes[0].edges)

    def coordinates(self, axis):
        """Return the centres of the cells along one axis."""
        return self.mesh.axes[self.index(axis)].centers

    def shaped(self, values):
        """Return one number per cell in the shape of the mesh."""
        return values.reshape(self.mesh.shape)

    @property
    def widths(self):
        """Lengths over which the mass of a cell spreads along the axes: two copies are points."""
        widths = self.mesh.spacing.copy()
        widths[0] *= not self.signed
        return widths

    def distribution(self):
        """Return ``(x, shares)``: the distribution function on one axis is linear in between."""
        shares = np.concatenate([[0.0], np.cumsum(self.weights / self.weights.sum())])
        return self.mesh.axes[0].edges, shares / shares[-1]

    def moments(self, functions):
        """Return ``∫ f_1(x_1) f_2(x_2) … dmu`` for all combinations of functions, one per axis.

        Parameters
        ----------
        functions : sequence of callable
            ``f_i(positions, width)`` of shape ``(k_i, n)``: the values at points, for a width
            above 0 the means over cells.

        Returns
        -------
        array of shape ``(k_1, k_2, …)``
        """
        result = self.values * self.mesh.cell_volume
        widths = self.widths
        for i, (axis, function) in enumerate(zip(self.mesh.axes, functions)):
            factor = function(axis.centers, widths[i])
            result = np.moveaxis(np.tensordot(factor, result, axes=(1, i)), 0, i)
        return result

    @property
    def has_velocities(self):
        """Whether half of the axes are those of velocities."""
        return self.mesh.phase is not None

    def half(self, which):
        """Return the marginal of the positions (0) or of the velocities (1) in phase space."""
        if not self.has_velocities:
            raise checks.InputError(
                f"phase space: the axes ({', '.join(self.names)}) hold no velocities, give a "
                "density on wgf.phase_space"
            )
        return self.marginal(*self.mesh.phase[which].names)

    def in_phase_space(self):
        """Return the density itself: its axes hold the velocities already."""
        return self

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


def _particles(points, weights, mesh):
    """Return particles of `mesh`, those of a phase space as positions and velocities."""
    if mesh.phase is None:
        return Particles(points, weights, domain=mesh)
    half = mesh.dimension // 2
    return Particles(points[:, :half], weights, points[:, half:], mesh.phase[0])


def _outer(factors):
    values = factors[0]
    # the tails of a product may be smaller than any number: 0 is right there
    with np.errstate(under="ignore"):
        for factor in factors[1:]:
            values = np.multiply.outer(values, factor)
    return values


def _axis_mean(density, name):
    marginal = density.marginal(name)
    return float(marginal.mesh.centers(name) @ marginal.weights / density.mass)
