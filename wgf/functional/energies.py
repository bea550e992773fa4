"""Terms of the functional that depend on the density itself or on pairs of points."""

import numpy as np

from wgf import checks
from wgf.functional import forms
from wgf.functional.functional import Term, Weighted
from wgf.functional.pair_sums import PairSums, direct
from wgf.functional.user import UserFunction
from wgf.measures.base import BLOCK_ROWS


class LocalEnergy(Term):
    """``∫ U(rho)``: subclasses give ``energy(rho)`` and ``slope(rho)``, which is ``U'``.

    Both are given arrays of cell averages and return arrays of the same shape; ``name`` is the
    column in reports. The flow is ``∂t rho = ∇·(rho ∇U'(rho))``; ``rho U''(rho)`` must be bounded.
    """

    def form(self):
        return forms.Local(self)

    def value_at(self, measure):
        """Return ``h^d sum_j U(rho_j)``."""
        mesh = self._mesh(measure)
        return float(np.sum(self.energy(measure.values.ravel())) * mesh.cell_volume)

    def variation_at(self, measure, points, names):
        """Return ``U'(rho)`` of the cells in which `points` lie."""
        mesh = self._mesh(measure)
        cells = mesh.locate(points)
        if cells.min() < 0:
            raise checks.InputError(
                f"points: {int((cells < 0).sum())} of {len(cells)} lie outside {mesh}, where there "
                "is no density, move them"
            )
        return self.slope(measure.values.ravel()[cells])

    def gradient_at(self, measure, points, names):
        """Refuse: cell averages have no gradient at a point, and particles have no density."""
        raise checks.InputError(
            f"{self.name}: its first variation has no gradient at single points, "
            "use wgf.FiniteVolume or wgf.ImplicitFiniteVolume on a density"
        )

    def _mesh(self, measure):
        mesh = getattr(measure, "mesh", None)
        if mesh is None:
            raise checks.InputError(
                f"{self.name}: particles have no density to integrate, use a wgf.Density "
                "(Particles.histogram makes one)"
            )
        return mesh


class Entropy(Weighted, LocalEnergy):
    """``strength ∫ rho log rho``, whose flow is diffusion ``∂t rho = strength Δ rho``.

    Particles feel it as noise, see `wgf.Langevin`.

    Parameters
    ----------
    strength : float
        ``eps >= 0``.
    """

    name = "entropy"

    def form(self):
        return forms.Diffusion(self, self.strength)

    def __init__(self, strength):
        self.strength = checks.number("entropy strength", strength, minimum=0)

    def energy(self, rho):
        """Return ``strength rho log rho``."""
        return self.strength * rho * np.log(np.where(rho > 0, rho, 1.0))

    def slope(self, rho):
        """Return ``strength (log rho + 1)``, ``-inf`` in empty cells."""
        if self.strength == 0:
            return np.zeros(np.shape(rho))
        with np.errstate(divide="ignore"):
            return self.strength * (np.log(rho) + 1.0)

    def __repr__(self):
        return f"Entropy({self.strength!r})"


class PowerEntropy(Weighted, LocalEnergy):
    """``strength / (m - 1) ∫ rho^m``, whose flow is ``∂t rho = strength Δ rho^m``.

    ``m > 1`` is the porous medium equation, ``0 < m < 1`` fast diffusion.

    Parameters
    ----------
    strength : float
        At least 0.
    exponent : float
        ``m``, positive and not 1.

    Raises
    ------
    InputError
        For a negative strength, and for an exponent that is not positive or is 1.
    """

    name = "power_entropy"

    def form(self):
        return forms.Power(self, self.strength, self.exponent)

    def __init__(self, strength, exponent):
        self.strength = checks.number("power entropy strength", strength, minimum=0)
        self.exponent = checks.number("power entropy exponent", exponent, above=0)
        if self.exponent == 1:
            raise checks.InputError(
                "power entropy exponent: 1 is the limit rho log rho, use wgf.Entropy"
            )

    def energy(self, rho):
        """Return ``strength / (m - 1) rho^m``."""
        return self.strength / (self.exponent - 1) * rho**self.exponent

    def slope(self, rho):
        """Return ``strength m / (m - 1) rho^(m - 1)``."""
        if self.strength == 0:
            return np.zeros(np.shape(rho))
        with np.errstate(divide="ignore"):
            power = np.power(rho, self.exponent - 1)
        return self.strength * self.exponent / (self.exponent - 1) * power

    def __repr__(self):
        return f"PowerEntropy({self.strength!r}, {self.exponent!r})"


class Interaction(Weighted):
    """``1/2 ∫∫ W(theta - theta') dmu dmu`` for a symmetric kernel ``W(z) = W(-z)``.

    Parameters
    ----------
    kernel : callable ``(k, d) -> (k,)``
        ``W`` of displacements; it may be infinite at 0 only.
    gradient : callable ``(k, d) -> (k, d)``, optional
        ``∇W``; without it particles use central differences.
    strength : float, optional
        Factor of the kernel.

    Raises
    ------
    InputError
        For a kernel that is not symmetric or not finite away from 0.

    Notes
    -----
    On a mesh the kernel is averaged over the cell of each displacement, which regularises a
    singularity at 0, and the sums are convolutions by the fast Fourier transform. On periodic axes
    the nearest image of a point acts. Particles do not act on themselves.

    Sums among 1500 particles and more in one or two dimensions without periods are split into near
    pairs and a grid, see `wgf.functional.pair_sums`: within 1e-6 of the largest, as comparison with
    the direct sum at some of the points shows each time; where that fails the direct sum is taken.
    """

    name = "interaction"

    def form(self):
        return forms.Pairwise(self)

    def scaled(self, factor):
        found = super().scaled(factor)
        found._tables, found._sums = {}, {}
        return found

    def __init__(self, kernel, gradient=None, strength=1.0):
        self.strength = checks.number("interaction strength", strength)
        self.kernel = UserFunction("interaction kernel", kernel)
        self.given_gradient = gradient and UserFunction("interaction gradient", gradient)
        self._tables, self._sums = {}, {}
        for dimension in (1, 2, 3, 4):
            probe = np.random.default_rng(dimension).normal(size=(64, dimension))
            try:
                values = self._evaluate(probe), self._evaluate(-probe)
            except Exception:  # a kernel may be written for one dimension only: tried again in use
                continue
            self._check_values(*values)

    def _evaluate(self, displacements):
        with np.errstate(all="ignore"):
            values = self.kernel(displacements)
        if values.shape != (len(displacements),):
            raise checks.InputError(
                f"interaction kernel: shape {values.shape} for {len(displacements)} displacements, "
                "return one value per displacement"
            )
        return values if self.strength == 1 else self.strength * values

    @staticmethod
    def _check_values(values, mirrored):
        finite = np.isfinite(values)
        if not finite.all():
            raise checks.InputError(
                f"interaction kernel: {values[int(np.argmin(finite))]} away from 0 is not finite, "
                "give a kernel that is singular at 0 only"
            )
        if np.abs(values - mirrored).max(initial=0.0) > 1e-9 * np.abs(values).max(initial=0.0):
            worst = int(np.argmax(np.abs(values - mirrored)))
            raise checks.InputError(
                f"interaction kernel: W(z) = {values[worst]:g} but W(-z) = {mirrored[worst]:g}, "
                "give a symmetric kernel"
            )

    def table(self, mesh):
        """Return ``W`` averaged over the cell of every displacement, in the order of the FFT."""
        if mesh not in self._tables:
            self._tables = {mesh: _Convolution(self, mesh)}
        return self._tables[mesh]

    def potential(self, mesh, values):
        """Return ``∫ W(theta - theta') rho dtheta'`` at the cell centres, flat."""
        return self.table(mesh).apply(values)

    def value_at(self, measure):
        """Return ``1/2 ∫∫ W dmu dmu``."""
        mesh = getattr(measure, "mesh", None)
        if mesh is not None:
            values = measure.values.ravel()
            return 0.5 * float(np.sum(values * self.potential(mesh, values))) * mesh.cell_volume
        around = self.variation_at(measure, measure.points, None)
        return 0.5 * float(np.sum(measure.weights * around))

    def variation_at(self, measure, points, names):
        """Return ``∫ W(points - theta') dmu``."""
        mesh = getattr(measure, "mesh", None)
        if mesh is not None and points.shape == (mesh.cells, mesh.dimension):
            if np.array_equal(points, mesh.points()):
                return self.potential(mesh, measure.values.ravel())
        return self._pairs(measure, points, self._apart, 1)[:, 0]

    def gradient_at(self, measure, points, names):
        """Return ``∫ ∇W(points - theta') dmu``, shape ``(k, d)``."""
        return self._pairs(measure, points, self._pull, points.shape[1])

    def _apart(self, displacements):
        """Return ``W``, 0 for a point and itself."""
        values = self._evaluate(displacements)
        values[~displacements.any(axis=1)] = 0.0
        return values[:, None]

    def _pull(self, displacements):
        """Return ``∇W``, 0 for a point and itself, where symmetry says so."""
        if self.given_gradient is not None:
            with np.errstate(all="ignore"):
                values = self.given_gradient(displacements)
            if values.shape != displacements.shape:
                raise checks.InputError(
                    f"interaction gradient: shape {values.shape} for displacements of shape "
                    f"{displacements.shape}, return one row per displacement"
                )
            values *= self.strength
        else:
            values = np.empty(displacements.shape)
            distance = np.sqrt(np.sum(displacements**2, axis=1))
            # the step stays well inside the distance to a singularity at 0
            step = self.kernel.precision ** (1 / 3) * np.where(distance > 0, distance, 1.0)
            for i in range(displacements.shape[1]):
                shift = np.zeros(displacements.shape)
                shift[:, i] = step
                ahead, back = displacements + shift, displacements - shift
                width = ahead[:, i] - back[:, i]
                values[:, i] = (self._evaluate(ahead) - self._evaluate(back)) / width
        values[~displacements.any(axis=1)] = 0.0
        return values

    def _pairs(self, measure, points, function, columns):
        sources, weights = measure.points, measure.weights
        domain = getattr(measure, "domain", None)
        found = None
        if domain is None or not any(domain.periodic):
            key = function.__name__, columns
            sums = self._sums.setdefault(key, PairSums(function, columns))
            found = sums(points, sources, weights)
        if found is None:
            nearest = None if domain is None else domain.nearest
            found = direct(function, columns, points, sources, weights, nearest)
        return found

    def __repr__(self):
        tail = f", strength={self.strength:.17g}" if self.strength != 1 else ""
        return f"Interaction({self.kernel.name}{tail})"


class _Convolution:
    """Products with the cell-averaged kernel of one mesh by the fast Fourier transform."""

    def __init__(self, term, mesh):
        from scipy import fft

        self.mesh = mesh
        self.fft = fft
        # with walls twice the cells, so that the ends do not meet
        self.sizes = [n if wrap else 2 * n for n, wrap in zip(mesh.shape, mesh.periodic)]
        steps = [np.rint(fft.fftfreq(size) * size) for size in self.sizes]
        grid = np.meshgrid(*steps, indexing="ij")
        index = np.stack([g.ravel() for g in grid], axis=1)
        d = mesh.dimension
        table = self._averages(term, index, 2, 1)
        near = np.max(np.abs(index), axis=1) <= 1
        # an even number of nodes an axis misses the singularity; few in space, or they are millions
        table[near] = self._averages(term, index[near], *((8, 4), (8, 4), (4, 2), (4, 1))[d - 1])
        table = table.reshape(self.sizes)
        mirrored = np.roll(np.flip(table), 1, axis=tuple(range(table.ndim)))
        table = 0.5 * (table + mirrored)
        if not np.isfinite(table).all():
            raise checks.InputError(
                "interaction kernel: not finite on the mesh away from 0, give a kernel that is "
                "singular at 0 only"
            )
        self.largest = float(np.abs(table).max())
        self.spectrum = fft.rfftn(table) * mesh.cell_volume

    def _averages(self, term, index, nodes, parts):
        """Return the mean of the kernel over cells by composite Gauss-Legendre quadrature."""
        x, w = np.polynomial.legendre.leggauss(nodes)
        places = ((x[None, :] + 1) / 2 + np.arange(parts)[:, None]).ravel() / parts - 0.5
        shares = np.tile(w / 2, parts) / parts
        total = np.zeros(len(index))
        for start in range(0, len(index), BLOCK_ROWS):
            block = index[start : start + BLOCK_ROWS]
            for node in np.ndindex(*(len(places),) * self.mesh.dimension):
                node = list(node)
                shifted = (block + places[node]) * self.mesh.spacing
                values = term._evaluate(self.mesh.nearest(shifted))
                total[start : start + BLOCK_ROWS] += np.prod(shares[node]) * values
        return total

    def apply(self, values):
        """Return the convolution with the flat cell averages `values`, flat."""
        spectrum = self.fft.rfftn(values.reshape(self.mesh.shape), s=self.sizes)
        spectrum *= self.spectrum
        full = self.fft.irfftn(spectrum, s=self.sizes)
        return np.ascontiguousarray(full[tuple(slice(n) for n in self.mesh.shape)]).ravel()
