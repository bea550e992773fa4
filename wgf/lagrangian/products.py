"""Products of the features of particles with weights and with a residual, as fast as they can be.

Few weights a neuron, filters on the line: fused kernels. Many: matrix products. A feature map
without a kernel of its own is evaluated by its own formulas in blocks of rows.
"""

import numpy as np

from wgf import parallel
from wgf.functional.features import BLOCK_ENTRIES as FEATURE_ENTRIES
from wgf.functional.features import Filter, Neurons
from wgf.lagrangian import kernels
from wgf.lagrangian.blocks import Rooms, each, power_blocks
from wgf.parallel.threads import one_library_thread

ACTIVATIONS = {"relu": kernels.RELU, "tanh": kernels.TANH, "sigmoid": kernels.SIGMOID}
# more weights a neuron, a bias included, are for matrix products
FUSED_WEIGHTS = 3
# most activations that an output keeps for the gradient
KEPT_ENTRIES = 1 << 27
# most particles of a block whose features are evaluated by their own formulas
GENERAL_BLOCK = 1024


def feature_products(features, share=None):
    """Return the fastest object with `output`, `gradient` and `potential` for `features`.

    A gradient goes into the array `out` if there is one. `share` says which particles are those of
    this rank, by default all.
    """
    if isinstance(features, Neurons):
        if len(features.names) > 1 + FUSED_WEIGHTS:
            return _Wide(features, share)
        columns = np.zeros((FUSED_WEIGHTS, features.size))
        p = features.inputs.shape[1]
        columns[:p] = features.inputs.T
        if features.bias:
            columns[p] = 1.0
        arguments = tuple(columns), ACTIVATIONS[features.activation]
        return _Fused(share, features, kernels.neuron_output, kernels.neuron_gradient, arguments)
    if isinstance(features, Filter) and features.names == ("w", "x"):
        if hasattr(features, "order"):
            scale = np.full(features.size, np.sqrt(2.0))
            scale[0] = 1.0
            return _Fused(
                share,
                features,
                kernels.dirichlet_output,
                kernels.dirichlet_gradient,
                (features.order,),
                scale=scale / np.sqrt(features.size),
            )
        samples = features.samples[:, 0]
        order = np.argsort(samples, kind="stable")
        return _Fused(
            share,
            features,
            kernels.gaussian_output,
            kernels.gaussian_gradient,
            (samples[order], features.std),
            order=order,
        )
    return _General(features, share)


class _General:
    """Products with any features by their own formulas, block after block.

    Blocks of the features of this package are worked on by several threads; the user's own
    functions are called by one.
    """

    # samples drawn of the features have other blocks, but none is longer
    together = GENERAL_BLOCK

    def __init__(self, features, share=None):
        self.features = features
        self.share = share
        self.each = each if isinstance(features, Neurons | Filter) else _one_by_one

    def _blocks(self, rows):
        return power_blocks(rows, self.features.size, FEATURE_ENTRIES, 1, GENERAL_BLOCK)

    def output(self, points, weights):
        features = self.features

        def work(rows):
            return features.output(points[rows], weights[rows])

        return sum_of_blocks(self.share, self.each(work, self._blocks(len(points))), features.size)

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


def sum_of_blocks(share, parts, size):
    """Return the sum of one vector a block of particles, in the order of all blocks."""
    parts = np.array(parts).reshape(-1, size)
    if share is None or share.ranks.size == 1:
        return parts.sum(axis=0)
    return share.ranks.column_sums(parts)


class _Fused:
    """Products by a pair of kernels; `arguments` go first, `order` sorts the samples.

    All features with kernels have an amplitude, the first coordinate.
    """

    together = kernels.PARTICLES_PER_BLOCK

    def __init__(self, share, features, output, gradient, arguments, order=None, scale=1.0):
        self.share = share
        self.ranks = parallel.Serial() if share is None else share.ranks
        self.size = features.size
        self.kernels = output, gradient
        self.arguments = arguments
        self.order = np.arange(self.size) if order is None else order
        self.scale = scale

    def output(self, points, weights):
        partials = np.empty((kernels.blocks_of(len(points)), self.size))
        self.kernels[0](*self.arguments, points, weights, partials)
        result = np.empty(self.size)
        total = self.ranks.column_sums(partials)
        result[self.order] = total * self.scale
        return result

    def gradient(self, points, residual, out=None):
        result = np.empty_like(points) if out is None else out
        self.kernels[1](*self.arguments, points, (residual * self.scale)[self.order], result)
        return result

    def potential(self, points, residual):
        # the derivative in the amplitude a of <r, phi> = a <r, unit>
        return points[:, 0] * self.gradient(points, residual)[:, 0]


class _Wide:
    """Products with neurons of many inputs: matrix products, and kernels for the rest in cache.

    A gradient at the points of the last output needs the same activations: they are kept if they
    are at most `KEPT_ENTRIES` numbers, 1 GiB, with the points that they belong to. Where the points
    are others the activations are computed again. The memory is used again by the next output.
    """

    together = kernels.PARTICLES_PER_BLOCK

    def __init__(self, features, share=None):
        self.share = share
        self.bias = features.bias
        self.inputs = np.ascontiguousarray(features.inputs)
        self.size, self.coordinates = self.inputs.shape
        self.activation = ACTIVATIONS[features.activation]
        self.kept, self.points = np.empty((0, self.size)), np.empty((0, 0))
        self.rooms = Rooms((self.size, float), (self.size, float))

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
                room, activated = self.rooms(rows)
                if len(self.kept):
                    self.points[rows], activated = points[rows], self.kept[rows]
                self._activate(points[rows], moments[rows], room, activated, part)

        each(work, self._blocks(points))
        return sum_of_blocks(self.share, parts, self.size)

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

        each(work, self._blocks(points))
        return result

    def potential(self, points, residual):
        result = np.empty(len(points))

        def work(block):
            for rows in self._within(block):
                values = self._slopes(rows, points[rows], residual)[1][:, 0]
                result[rows] = points[rows, 0] * values

        each(work, self._blocks(points))
        return result

    def _blocks(self, points):
        return power_blocks(len(points), 1, self.together, 1, self.together)

    def _within(self, block):
        """Yield slices of a block whose activations fit in cache with their slopes."""
        for rows in power_blocks(
            block.stop - block.start, self.size, FEATURE_ENTRIES, 1, self.together
        ):
            yield slice(block.start + rows.start, block.start + rows.stop)

    def _activate(self, points, moments, room, activated, part):
        """Fill `activated`, by way of `room`, and add its sum to `part`."""
        np.matmul(points[:, 1 : 1 + self.coordinates], self.inputs.T, out=room)
        shifts = points[:, -1].copy() if self.bias else np.zeros(len(points))
        kernels.activate(room, shifts, moments, self.activation, activated, part)

    def _slopes(self, rows, points, residual):
        """Return the slopes times residual and amplitudes, and what `kernels.slopes` sums."""
        slopes, activated = self.rooms(rows)
        if len(self.kept) >= rows.stop and np.array_equal(self.points[rows], points):
            activated = self.kept[rows]
        else:
            none = np.zeros(len(points))
            self._activate(points, none, slopes, activated, np.zeros(self.size))
        sums = np.empty((len(points), 2))
        amplitudes = points[:, 0].copy()
        kernels.slopes(activated, amplitudes, self.activation, residual, slopes, sums)
        return slopes, sums
