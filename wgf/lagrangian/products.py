"""Products of the features of particles with weights and with a residual, as fast as they can be.

Few weights a neuron, filters on the line: fused kernels. Many: matrix products. A feature map
without a kernel of its own is evaluated by its own formulas in blocks of rows.
"""

import numpy as np

from wgf.functional.features import BLOCK_ENTRIES as FEATURE_ENTRIES
from wgf.functional.features import Dirichlet, FeatureMap, Filter, Gaussian, Neurons
from wgf.lagrangian import kernels
from wgf.lagrangian.blocks import Scratch, power_blocks
from wgf.parallel import sum_of_rows
from wgf.parallel.threads import each, one_library_thread

# more weights per neuron, a bias included, are for matrix products
FUSED_WEIGHTS = 3
# most activations that an output keeps for the gradient
KEPT_ENTRIES = 1 << 27
# most particles of a block whose features are evaluated by their own formulas
GENERAL_BLOCK = 1024


class Products:
    """Base of all products with features: `output`, `gradient` and `potential`.

    Attributes
    ----------
    together : int
        Particles in a block whose sum is one row.
    total : callable
        Sums one row per block over all particles; a partition of the particles replaces it.
    """

    together = kernels.PARTICLES_PER_BLOCK

    def __init__(self, features: FeatureMap):
        self.features, self.size = features, features.size
        self.total = sum_of_rows

    def output(self, points: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return ``sum_i weights_i phi(points_i)`` over all particles."""
        raise TypeError(f"{type(self).__name__} gives no output, define it")

    def gradient(
        self, points: np.ndarray, residual: np.ndarray, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the gradient of ``<residual, phi>`` at the points, in `out` if there is one."""
        raise TypeError(f"{type(self).__name__} gives no gradient, define it")

    def potential(self, points: np.ndarray, residual: np.ndarray) -> np.ndarray:
        """Return ``<residual, phi>`` at the points, for features with an amplitude."""
        # the derivative in the amplitude a of <r, phi> = a <r, unit>
        return points[:, 0] * self.gradient(points, residual)[:, 0]


def feature_products(features: FeatureMap) -> Products:
    """Return the fastest products for `features`."""
    if isinstance(features, Neurons) and features.sigma.code is not None:
        if len(features.names) > 1 + FUSED_WEIGHTS:
            return _Wide(features)
        columns = np.zeros((FUSED_WEIGHTS, features.size))
        p = features.inputs.shape[1]
        columns[:p] = features.inputs.T
        if features.bias:
            columns[p] = 1.0
        pair = kernels.neuron_output, kernels.neuron_gradient
        return _Fused(features, *pair, (tuple(columns), features.sigma.code))
    if isinstance(features, Dirichlet) and features.dimension == 1:
        scale = np.full(features.size, np.sqrt(2.0))
        scale[0] = 1.0
        pair = kernels.dirichlet_output, kernels.dirichlet_gradient
        return _Fused(features, *pair, (features.order,), scale=scale / np.sqrt(features.size))
    if isinstance(features, Gaussian) and features.samples.shape[1] == 1:
        samples = features.samples[:, 0]
        order = np.argsort(samples, kind="stable")
        pair = kernels.gaussian_output, kernels.gaussian_gradient
        return _Fused(features, *pair, (samples[order], features.std), order=order)
    return _General(features)


class _General(Products):
    """Products with any features by their own formulas, block after block.

    Several threads work on blocks of filters; the user's own functions are called by one.
    """

    # samples drawn of the features have other blocks, but none is longer
    together = GENERAL_BLOCK

    def __init__(self, features):
        super().__init__(features)
        self.each = each if isinstance(features, Filter) else _one_by_one

    def _blocks(self, rows):
        return power_blocks(rows, self.features.size, FEATURE_ENTRIES, 1, GENERAL_BLOCK)

    def output(self, points, weights):
        features = self.features

        def work(rows):
            return features.output(points[rows], weights[rows])

        parts = self.each(work, self._blocks(len(points)))
        return self.total(np.array(parts).reshape(-1, features.size))

    def gradient(self, points, residual, out=None):
        result = np.empty(np.shape(points)) if out is None else out

        def work(rows):
            result[rows] = self.features.potential_gradient(points[rows], residual)

        self.each(work, self._blocks(len(points)))
        return result

    def potential(self, points, residual):
        result = np.empty(len(points))

        def work(rows):
            result[rows] = self.features.potential(points[rows], residual)

        self.each(work, self._blocks(len(points)))
        return result


def _one_by_one(work, blocks):
    with one_library_thread():
        return [work(block) for block in blocks]


class _Fused(Products):
    """Products by a pair of kernels; `arguments` go first, `order` sorts the samples.

    All features with kernels have an amplitude, the first coordinate.
    """

    def __init__(self, features, output, gradient, arguments, order=None, scale=1.0):
        super().__init__(features)
        self.kernels, self.arguments, self.scale = (output, gradient), arguments, scale
        self.order = np.arange(self.size) if order is None else order

    def output(self, points, weights):
        partials = np.empty((kernels.blocks_of(len(points)), self.size))
        self.kernels[0](*self.arguments, points, weights, partials)
        result = np.empty(self.size)
        result[self.order] = self.total(partials) * self.scale
        return result

    def gradient(self, points, residual, out=None):
        result = np.empty_like(points) if out is None else out
        self.kernels[1](*self.arguments, points, (residual * self.scale)[self.order], result)
        return result


class _Wide(Products):
    """Products with neurons of many inputs: matrix products, and kernels for the rest in cache.

    A gradient at the points of the last output needs the same activations: they are kept if they
    are at most `KEPT_ENTRIES` numbers, 1 GiB, with the points that they belong to. Where the points
    are others the activations are computed again. The memory is used again by the next output.
    """

    def __init__(self, features):
        super().__init__(features)
        self.bias, self.activation = features.bias, features.sigma.code
        self.inputs = np.ascontiguousarray(features.inputs)
        self.coordinates = self.inputs.shape[1]
        self.kept, self.points = np.empty((0, self.size)), np.empty((0, 0))
        self.scratch = Scratch((self.size, float), (self.size, float))

    def output(self, points, weights):
        if len(points) * self.size > KEPT_ENTRIES:
            self.kept = np.empty((0, self.size))
        elif len(points) != len(self.kept):
            self.kept, self.points = np.empty((len(points), self.size)), np.empty(points.shape)
        moments = points[:, 0] * weights
        parts = np.zeros((kernels.blocks_of(len(points)), self.size))

        def work(block):
            part = parts[block.start // kernels.PARTICLES_PER_BLOCK]
            for rows in self._within(block):
                space, activated = self.scratch(rows)
                if len(self.kept):
                    self.points[rows], activated = points[rows], self.kept[rows]
                self._activate(points[rows], moments[rows], space, activated, part)

        each(work, self._blocks(points), self._nanoseconds(len(points)))
        return self.total(parts)

    def gradient(self, points, residual, out=None):
        result = np.empty(points.shape) if out is None else out
        p = self.coordinates

        def work(block):
            for rows in self._within(block):
                slopes, sums = self._slopes(rows, points[rows], residual)
                np.matmul(slopes, self.inputs, out=result[rows, 1 : 1 + p])
                result[rows, 0] = sums[:, 0]
                if self.bias:
                    result[rows, -1] = sums[:, 1]

        each(work, self._blocks(points), self._nanoseconds(len(points)))
        return result

    def potential(self, points, residual):
        result = np.empty(len(points))

        def work(block):
            for rows in self._within(block):
                values = self._slopes(rows, points[rows], residual)[1][:, 0]
                result[rows] = points[rows, 0] * values

        each(work, self._blocks(points), self._nanoseconds(len(points)))
        return result

    def _nanoseconds(self, rows):
        """Return roughly how long one thread takes for a number of particles."""
        return rows * self.size * (1.0 + 0.05 * self.coordinates)

    def _blocks(self, points):
        return power_blocks(len(points), 1, self.together, 1, self.together)

    def _within(self, block):
        """Yield slices of a block whose activations fit in cache with their slopes."""
        for rows in power_blocks(
            block.stop - block.start, self.size, FEATURE_ENTRIES, 1, self.together
        ):
            yield slice(block.start + rows.start, block.start + rows.stop)

    def _activate(self, points, moments, space, activated, part):
        """Fill `activated`, by way of `space`, and add its sum to `part`."""
        np.matmul(points[:, 1 : 1 + self.coordinates], self.inputs.T, out=space)
        shifts = points[:, -1].copy() if self.bias else np.zeros(len(points))
        kernels.activate(space, shifts, moments, self.activation, activated, part)

    def _slopes(self, rows, points, residual):
        """Return the slopes times residual and amplitudes, and what `kernels.slopes` sums."""
        slopes, activated = self.scratch(rows)
        if len(self.kept) >= rows.stop and np.array_equal(self.points[rows], points):
            activated = self.kept[rows]
        else:
            none = np.zeros(len(points))
            self._activate(points, none, slopes, activated, np.zeros(self.size))
        sums = np.empty((len(points), 2))
        amplitudes = points[:, 0].copy()
        kernels.slopes(activated, amplitudes, self.activation, residual, slopes, sums)
        return slopes, sums
