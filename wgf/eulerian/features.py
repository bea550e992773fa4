"""Products with the feature matrix of the cells: stored, compressed, or made again in blocks."""

import numpy as np

from wgf.eulerian import kernels
from wgf.eulerian.slab import Slab
from wgf.measures.base import BLOCK_ROWS
from wgf.parallel.threads import one_library_thread

FEATURE_BYTES = 2 << 30
OUTPUT_BLOCKS = 256
COMPRESSION = 1e-13
NARROWEST = 64
# the feature matrix is divided into parts of at least this many rows
ROWS_TOGETHER = 16


class FeatureOperator:
    """Products with the feature matrix of the cells, the amplitude axis taken out.

    For ``phi = a unit(rest)`` only ``unit`` on the mesh of the other axes is needed: a matrix of
    rest cells times samples. It is kept as ``basis @ mix`` when its numerical rank is well below
    the number of samples, as it stands when it fits in `memory` bytes, and made again block by
    block otherwise. Features with a parity on a mesh around 0 need the rows of one half only: the
    other rows, in opposite order, equal them up to the sign. The rows are divided evenly.

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
        if self.stored and (not slab.divided or compressible(self.rows, features.size)):
            self.matrix = self._rows(0, self.rows)
        found = compress(self._blocks, self.rows, features.size, memory)
        if found is not None:
            self.matrix, self.mix = found
            self.rank, self.stored = len(self.mix), True
        self.shares = [_Share(self, *edges) for edges in self._edges()]
        if self.stored and slab.divided:
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
        """Return how the matrix is kept and its whole size."""
        rows, samples = self.rows, self.features.size
        whole = f"{rows} x {samples}, {8e-6 * rows * samples:.3g} MB"
        if self.rank is not None:
            size = 8e-6 * self.rank * (rows + samples)
            return f"compressed to rank {self.rank}, {size:.3g} MB, from {whole}"
        return f"stored, {whole}" if self.stored else f"recomputed in blocks, {whole}"

    def moments_of(self, values, amplitude, parity=None):
        """Return the numbers here that the rows of the matrix are multiplied with.

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

        if not slab.accumulate(self.moments, add):
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
            result += self.slab.column_sums(partials)
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
    """The rows ``low … high`` of the feature matrix between two edges that are worked on here."""

    def __init__(self, operator, start, stop):
        slab = operator.slab
        blocks = min(OUTPUT_BLOCKS, stop - start)
        self.width = -(-(stop - start) // blocks)
        self.pack = -(-ROWS_TOGETHER // self.width)
        dealt = slab.dealt(blocks, self.pack)
        own = slab.part_of(dealt)
        self.count = own.stop - own.start
        rows = np.minimum(start + dealt.bounds * self.width, stop)
        self.low, self.high = (
            min(start + edge * self.width, stop) for edge in (own.start, own.stop)
        )
        if operator.features.amplitude:
            # the sum of the moments is completed in one place, the variation needed everywhere
            self.moments = slab.hand_out(operator.rows, rows)
            self.variation = slab.collect(rows, (start, stop, start))
        else:
            self.moments, self.variation = slab.hand_out(None, rows), slab.collect(rows, None)
        self._partials = np.empty((0, 0))

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

    if not compressible(rows, samples):
        return None
    width, largest = NARROWEST, _highest_rank(rows, samples)
    generator = np.random.default_rng(0)
    with one_library_thread():
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
