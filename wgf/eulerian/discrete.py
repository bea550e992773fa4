"""The functional on a mesh: values and first variation at the cell centres, fast and in place.

All integrals are sums over cell centres, ``s = h^d sum_j phi(theta_j) rho_j``; with the first
variation ``xi_j`` of that discrete functional the upwind scheme dissipates it exactly
(Carrillo, Chertock & Huang 2015).
"""

import itertools

import numpy as np

from wgf import checks
from wgf.eulerian import kernels
from wgf.eulerian.slab import Slab
from wgf.eulerian.variation import Variation
from wgf.measures.base import BLOCK_ROWS
from wgf.parallel.ranks import Partition

FEATURE_BYTES = 2 << 30
OUTPUT_BLOCKS = 256
COMPRESSION = 1e-13
NARROWEST = 64
# ranks share the feature matrix by so many rows at least
ROWS_TOGETHER = 16


class FeatureOperator:
    """Products with the feature matrix of the cells, the amplitude axis taken out.

    For ``phi = a unit(rest)`` only ``unit`` on the mesh of the other axes is needed: a matrix of
    rest cells times samples. It is kept as ``basis @ mix`` when its numerical rank is well below
    the number of samples, as it stands when it fits in `memory` bytes, and made again block by
    block otherwise. Features with a parity on a mesh around 0 need the rows of one half only: the
    others, in opposite order, are those up to the sign. Every rank keeps an equal share of them.

    Attributes
    ----------
    rows : int
        Number of rows of the matrix.
    rank : int or None
        Number of columns of `basis`, None if the matrix is not compressed.
    """

    def __init__(self, features, mesh, memory=FEATURE_BYTES, slab=None):
        self.features = features
        self.slab = slab = Slab(mesh) if slab is None else slab
        self.volume = mesh.cell_volume
        if features.amplitude:
            self.amplitude = slab.along(mesh.axes[0].centers)
            self.rest = mesh.sub(mesh.names[1:]) if mesh.dimension > 1 else None
        else:
            self.amplitude = np.ones(1)
            self.rest = mesh
        cells = self.rest.cells if self.rest is not None else 1
        self.moments = np.empty(cells if features.amplitude else 0)
        folds = features.amplitude and features.parity and _is_around_zero(self.rest)
        self.mirrored = cells // 2 if folds else 0
        self.rows = cells - self.mirrored
        self.matrix = self.mix = self.rank = None
        self.stored = 8 * self.rows * features.size <= memory
        divided = slab.ranks.size > 1
        if self.stored and (not divided or compressible(self.rows, features.size)):
            self.matrix = self._rows(0, self.rows)
        found = compress(self._blocks, self.rows, features.size, memory)
        if found is not None:
            self.matrix, self.mix = found
            self.rank, self.stored = len(self.mix), True
        self.shares = [_Share(self, *edges) for edges in self._edges()]
        if self.stored and divided:
            (share,) = self.shares
            whole, own = self.matrix, slice(share.low, share.high)
            self.matrix = self._rows(own.start, own.stop) if whole is None else whole[own].copy()

    def _rows(self, start, stop):
        if self.rest is None:
            return self.features.unit(np.zeros((1, 0)))
        matrix = np.empty((stop - start, self.features.size))
        # the same blocks for every part of the rows, so that the bits are the same
        for low in range(start // BLOCK_ROWS * BLOCK_ROWS, stop, BLOCK_ROWS):
            points = self.rest.points(low, min(low + BLOCK_ROWS, self.rows))
            for rows in self.features.row_blocks(len(points)):
                a, b = max(low + rows.start, start), min(low + rows.stop, stop)
                if a < b:
                    unit = self.features.unit(points[rows])
                    first = low + rows.start
                    matrix[a - start : b - start] = unit[a - first : b - first]
        return matrix

    def _blocks(self):
        """Yield ``(start, stop, matrix)``: everything at once if stored."""
        for start, stop in self._edges():
            yield start, stop, self._rows(start, stop) if self.matrix is None else self.matrix

    def _edges(self):
        """Return the rows at which the matrix is cut: none if it is stored."""
        step = self.rows
        if not self.stored:
            step = max(1, FEATURE_BYTES // (16 * self.features.size))
        starts = range(0, self.rows, step)
        return [(start, min(start + step, self.rows)) for start in starts]

    def held(self, share):
        """Return the rows of a share: of the basis if there is one, of the matrix if not."""
        return self._rows(share.low, share.high) if self.matrix is None else self.matrix

    def __str__(self):
        """Return how the matrix is kept and the size of that, over all ranks."""
        rows, samples = self.rows, self.features.size
        whole = f"{rows} x {samples}, {8e-6 * rows * samples:.3g} MB"
        if self.rank is not None:
            size = 8e-6 * self.rank * (rows + samples)
            return f"compressed to rank {self.rank}, {size:.3g} MB, from {whole}"
        return f"stored, {whole}" if self.stored else f"recomputed in blocks, {whole}"

    def moments_of(self, values, amplitude, parity=None):
        """Return the own numbers that the rows of the matrix are multiplied with.

        `amplitude` is that of the operator or a function of it, `parity` that of what is summed,
        by default that of the features.
        """
        slab, rest = self.slab, self.moments.size
        if not self.features.amplitude:
            return values[slab.own]

        def add(chunk):
            kernels.add_amplitude_moments(
                values, amplitude, rest, self.moments[chunk], chunk.start,
                slab.own.start, slab.own.stop,
            )  # fmt: skip

        slab.ranks.accumulate(self.moments, add)
        # the last rank has added to the sum of all others
        if slab.ranks.rank < slab.ranks.size - 1:
            return self.moments[:0]
        kept, half = self.moments[: self.rows], self.mirrored
        kept[:half] += (parity or self.features.parity or 1) * self.moments[self.rows :][::-1]
        return kept

    def output(self, values):
        """Return ``∫ phi dmu`` of the flat cell averages `values`, shape ``(n,)``."""
        moments = self.moments_of(values, self.amplitude)
        columns = self.features.size if self.rank is None else self.rank
        result = np.zeros(columns)
        for share in self.shares:
            partials = share.partials(columns)
            kernels.features_output(
                self.held(share), share.moments.fetch(moments), partials, share.width
            )
            result += self.slab.ranks.column_sums(partials)
        if self.rank is not None:
            result = mixed(self.mix, result)
        return result * self.volume

    def variation(self, residual):
        """Return ``<residual, unit>`` on the cells without the amplitude axis."""
        if self.rank is not None:
            coefficients = np.empty(self.rank)
            kernels.products_of_rows(self.mix, residual, 0, self.rank, coefficients)
            residual = coefficients
        amplitude = self.features.amplitude
        result = np.empty(self.moments.size if amplitude else int(np.prod(self.slab.shape)))
        for share in self.shares:
            own = np.empty(share.high - share.low)
            kernels.features_variation(self.held(share), residual, own)
            share.variation.fill(own, result)
        if self.mirrored:
            result[self.rows :] = self.features.parity * result[: self.mirrored][::-1]
        return result


def _is_around_zero(mesh):
    """Return whether every cell has one opposite to it."""
    return mesh is not None and all(axis.lower == -axis.upper for axis in mesh.axes)


class _Share:
    """The rows ``low … high`` of the feature matrix between two edges that this rank works on."""

    def __init__(self, operator, start, stop):
        slab = operator.slab
        ranks = slab.ranks
        blocks = min(OUTPUT_BLOCKS, stop - start)
        self.width = -(-(stop - start) // blocks)
        self.pack = -(-ROWS_TOGETHER // self.width)
        self.blocks = Partition.dealt(blocks, self.pack, ranks.size)
        own = self.blocks.own(ranks.rank)
        self.count = own.stop - own.start
        bounds = [min(start + int(block) * self.width, stop) for block in self.blocks.bounds]
        self.low, self.high = bounds[ranks.rank], bounds[ranks.rank + 1]
        wanted = [[(low, high, 0)] for low, high in itertools.pairwise(bounds)]
        if operator.features.amplitude:
            owners = np.array([0] * ranks.size + [operator.rows])
            cells = [[(start, stop, start)]] * ranks.size
        else:
            owners, cells = slab.cells.bounds, slab.wanted
        self.moments = ranks.exchange(owners, wanted)
        self._partials = np.empty((0, 0))
        self.variation = ranks.exchange(np.array(bounds), cells)

    def partials(self, columns):
        """Return room for the sum of every block, the same each time."""
        if self._partials.shape[1] != columns:
            self._partials = np.empty((self.count, columns))
        return self._partials


def mixed(mix, coefficients):
    """Return ``coefficients @ mix`` summed in a fixed order."""
    result = np.empty(mix.shape[1])
    kernels.add_rows(mix, coefficients, 0, len(mix), result)
    return result


def compressible(rows, samples):
    """Return whether a feature matrix is large enough for `compress`."""
    return samples >= NARROWEST and _highest_rank(rows, samples) >= 16


def _highest_rank(rows, samples):
    return int(0.6 * min(rows, samples))


def compress(blocks, rows, samples, memory):
    """Factor the feature matrix into ``basis @ mix`` with an error of 1e-13 of its norm.

    A randomised range finder with doubling (Halko, Martinsson & Tropp 2011), then a singular
    value decomposition of the small factor. One thread only, so that the bits do not depend on
    how many there are; the generator has a fixed seed.

    Parameters
    ----------
    blocks : callable
        Yields ``(start, stop, matrix)`` over all rows.
    rows, samples : int
    memory : int
        Largest size of the basis in bytes.

    Returns
    -------
    (basis, mix) of shapes ``(rows, r)`` and ``(r, samples)``, or None when it does not pay:
    fewer than 64 samples or a rank above six tenths of the smaller dimension.
    """
    from scipy.linalg import qr, svd
    from threadpoolctl import threadpool_limits

    if not compressible(rows, samples):
        return None
    width, largest = NARROWEST, _highest_rank(rows, samples)
    generator = np.random.default_rng(0)
    with threadpool_limits(1, "blas"):
        while True:
            width = min(width, largest + 16)
            if 8 * rows * width > memory:
                return None
            probe = generator.normal(size=(samples, width))
            image = np.empty((rows, width))
            for start, stop, matrix in blocks():
                image[start:stop] = matrix @ probe
            basis = qr(image, mode="economic", overwrite_a=True)[0]
            mix = np.zeros((basis.shape[1], samples))
            for start, stop, matrix in blocks():
                mix += basis[start:stop].T @ matrix
            left, values, right = svd(mix, full_matrices=False)
            rank = int(np.count_nonzero(values > COMPRESSION * values[0]))
            # the spectrum must have fallen well inside the probed width to trust the range
            if rank <= min(largest, width - 8):
                return np.ascontiguousarray(basis @ left[:, :rank]), (
                    values[:rank, None] * right[:rank]
                )
            # singular values fall no faster than geometrically from here: hopeless cases end early
            fall = np.log(max(values[-1] / values[0], COMPRESSION)) / len(values)
            if width > largest or np.log(COMPRESSION) < largest * fall:
                return None
            width *= 2


class DiscreteFunctional:
    """A functional on a mesh.

    Parameters
    ----------
    functional : Functional
    mesh : Mesh
    slab : Slab, optional
        The part of the mesh that this rank holds, by default all of it. All arrays over cells are
        those of the slab.

    Attributes
    ----------
    shape : tuple of four ints
        The slab's shape with missing axes in front.
    masses, ends : arrays of shape ``(rows,)`` and ``(2, rows)``
        Sums of the own rows and the densities at both ends of them when `parts` was last asked for.
    """

    def __init__(self, functional, mesh, slab=None):
        for name, term in zip(functional.part_names, functional.terms):
            if term.particles_only:
                raise checks.InputError(
                    f"mesh: the term {name} has no form on a mesh, use particles or a wgf.Risk"
                )
        self.functional = functional
        self.mesh = mesh
        self.slab = Slab(mesh) if slab is None else slab
        self.shape = self.slab.shape
        self.rows = int(np.prod(self.shape[:3]))
        self.operators = [
            FeatureOperator(risk.features, mesh, slab=self.slab) for risk in functional.risks
        ]
        self.axis_terms, self.given = [], {}
        for name, term in zip(functional.part_names, functional.terms):
            if term.linear and hasattr(term, "profile"):
                self.axis_terms.append((name, self._profile(term)))
            elif term.linear:
                self.given[name] = self._given(term)
        terms = functional.terms
        entropies = [term for term in terms if term.local and hasattr(term, "strength")]
        self.powers = [term for term in entropies if hasattr(term, "exponent") and term.strength]
        self.diffusion = sum(t.strength for t in entropies if not hasattr(t, "exponent"))
        self.pairs = [term for term in terms if term.pairwise]
        count = len(self.axis_terms)
        self.profiles = np.zeros((count, sum(self.shape)))
        for k, (_, profile) in enumerate(self.axis_terms):
            self.profiles[k] = profile
        self.profile_sum = self.profiles.sum(axis=0)
        self.given_sum = sum(self.given.values())
        own = self.slab.last - self.slab.first
        self._sums, self.ends = np.empty((own, count + 1)), np.empty((2, own))

    def _profile(self, term):
        mask = term.mask(self.mesh.names)
        parts = [np.zeros(1)] * (4 - self.mesh.dimension)
        parts += [on * term.profile(axis.centers) for axis, on in zip(self.mesh.axes, mask)]
        parts[self.slab.axis] = self.slab.along(parts[self.slab.axis])
        return np.concatenate(parts)

    def _given(self, term):
        def potential(start, stop):
            return term.potential(self.mesh.points(start, stop), self.mesh.names)

        return self.slab.filled(potential, BLOCK_ROWS)

    def outputs(self, values):
        """Return the model output of every risk for the flat cell averages `values`."""
        return [operator.output(values) for operator in self.operators]

    def parts(self, values, outputs):
        """Return ``(mass, {name: value})`` of the flat cell averages `values`."""
        slab, volume = self.slab, self.mesh.cell_volume
        kernels.axis_integrals(values, self.profiles, self.shape, self._sums, self.ends, slab.first)
        sums = slab.ranks.column_sums(self._sums) * volume
        found = {name: sums[k + 1] for k, (name, _) in enumerate(self.axis_terms)}
        products = np.empty(len(self._sums))
        own = values[slab.own]
        for name, given in self.given.items():
            kernels.row_products(own, given[slab.own], self.shape[3], products)
            found[name] = slab.ranks.sums((products, slab.rows))[0] * volume
        for name, term in zip(self.functional.part_names, self.functional.terms):
            if term.composed:
                found[name] = term.value_of(outputs[self.functional.risks.index(term)])
            elif term.local:
                found[name] = slab.sum(term.energy(own)) * volume
            elif term.pairwise:
                around = self.around(term, values)[slab.own]
                found[name] = 0.5 * slab.sum(own * around) * volume
        return float(sums[0]), {n: float(found[n]) for n in self.functional.part_names}

    @property
    def masses(self):
        return self._sums[:, 0]

    def around(self, term, values):
        """Return the potential of an interaction."""
        potential = term.potential(self.mesh, self.slab.whole(values))
        return potential if self.slab.ranks.size == 1 else self.slab.part(potential)

    def gap(self, values, variation):
        """Return a bound on ``F - min F`` over the densities of the same mass if F is convex.

        ``<F'(mu), mu> - mass min F'(mu)``, infinite while cells that diffusion fills are empty;
        `variation` is ``F'`` without the entropy.
        """
        if self.diffusion:
            with np.errstate(divide="ignore"):
                variation = variation + self.diffusion * np.log(values)
        values, variation = values[self.slab.own], variation[self.slab.own]
        lowest = -self.slab.ranks.largest(-variation.min())
        if not np.isfinite(lowest):
            return np.inf
        return self.slab.sum(values * (variation - lowest)) * self.mesh.cell_volume

    def add_nonlinear(self, values, result):
        """Add the first variations of power entropies and interactions to `result`.

        That of the entropy is left out: it belongs to the flux.
        """
        for term in self.powers:
            result += term.slope(values)
        for term in self.pairs:
            result += self.around(term, values)

    @property
    def factors(self):
        """Whether the first variation is one unit times an amplitude, plus profiles."""
        simple = not (self.given or self.powers or self.pairs or self.diffusion)
        return simple and len(self.operators) < 2

    def variation(self, values, outputs, room=None):
        """Return the first variation (that of the entropy left out) as a `Variation`.

        It is stored in the array `room`, or left in factors without one.
        """
        if room is None:
            residuals = [r.residual(s) for r, s in zip(self.functional.risks, outputs)]
            (factors,) = self._variations(residuals)
            return factors
        self.first_variation(outputs, room)
        self.add_nonlinear(values, room)
        return Variation.stored(room, self.shape)

    def first_variation(self, outputs, result):
        """Fill `result` (flat) with ``F'(mu)`` of risks and potentials at the cell centres."""
        risks = self.functional.risks
        self.variation_of([risk.residual(s) for risk, s in zip(risks, outputs)], result)

    def variation_of(self, residuals, result):
        """Fill `result` with the first variation, the residual of every risk being given."""
        for k, variation in enumerate(self._variations(residuals)):
            if k == 0:
                variation.fill(result)
            else:
                result += variation.fill(np.empty_like(result))
        if self.given:
            result += self.given_sum

    def _variations(self, residuals):
        """Yield the first variations of the risks, the profiles with the first of them."""
        profiles = self.profile_sum
        if not self.operators:
            yield Variation(np.zeros(self.rows), np.zeros(self.shape[3]), profiles, self.shape)
        for operator, residual in zip(self.operators, residuals):
            unit = operator.variation(residual)
            yield Variation(operator.amplitude, unit, profiles, self.shape)
            profiles = np.zeros_like(profiles)
