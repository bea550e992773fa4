"""What all features have in common: declared axes, an amplitude, sums in blocks of rows."""

import numpy as np

from wgf import checks
from wgf.functional.user import Differences

BLOCK_ENTRIES = 1 << 18


class FeatureMap:
    """Base of all features: subclasses give `unit` and `unit_gradient`.

    Attributes
    ----------
    names : tuple of str or None
        Axis names in array order; None takes the names of the measure.
    amplitude : bool
        Whether the first axis multiplies ``unit`` of the others.
    homogeneity : {"none", "partial", "full"}
        ``partial``: ``phi = a unit(x)``; ``full``: 2-homogeneous in all coordinates
        (Chizat & Bach 2018, section 3).
    kinked : bool
        Whether the gradient jumps (ReLU): adaptive integrators then use a looser tolerance.
    size : int
        Number of samples ``n``.
    parity : {-1, 1} or None
        ``unit(-rest) = parity unit(rest)``, so that a mesh around 0 needs half of its features.
    """

    names = None
    amplitude = False
    parity = None
    homogeneity = "none"
    kinked = False
    abscissa = None

    def subset(self, samples):
        """Return the features of these samples only, an array of indices.

        Raises
        ------
        InputError
            For features that are not those of single samples.
        """
        raise checks.InputError(
            f"batch: {self!r} has no samples to draw from, use wgf.Neurons or Filter.gaussian"
        )

    def at(self, inputs):
        """Return the same features at other inputs.

        Raises
        ------
        InputError
            For features that are not those of single inputs.
        """
        raise checks.InputError(
            f"inputs: {self!r} has none that could be others, use wgf.Neurons or Filter.gaussian"
        )

    def on(self, measure):
        """Return the features as they are evaluated along the axes of a measure."""
        return self

    def unit(self, rest):
        """Features at amplitude 1, ``(k, d') -> (k, n)``."""
        raise TypeError(f"{type(self).__name__} gives no unit(rest), define it")

    def unit_gradient(self, rest):
        """Derivatives of `unit`, ``(k, d') -> (k, n, d')``."""
        raise TypeError(f"{type(self).__name__} gives no unit_gradient(rest), define it")

    def curvature_bound(self, residual):
        """Return a bound on the norm of the Hessian of ``<residual, unit>``, None if unknown."""
        return None

    def unit_pullback(self, rest, residual):
        """Return ``(unit . residual, d/d rest of it)``, shapes ``(k,)`` and ``(k, d')``."""
        value = self.unit(rest) @ residual
        return value, np.einsum("knd,n->kd", self.unit_gradient(rest), residual)

    def unit_hessian(self, rest, residual):
        """Return the Hessian of ``<residual, unit>``, shape ``(k, d', d')``.

        Here by differences of `unit_pullback`.
        """
        return Differences()(lambda near: self.unit_pullback(near, residual)[1], rest)

    def _split(self, points):
        points = np.asarray(points, dtype=np.float64)
        if self.amplitude:
            return points[:, 0], points[:, 1:]
        return np.ones(len(points)), points

    def values(self, points):
        """Return ``phi`` at `points`, ``(k, d) -> (k, n)``."""
        amplitude, rest = self._split(points)
        return amplitude[:, None] * self.unit(rest)

    def row_blocks(self, rows):
        """Yield slices of rows whose features fit in cache."""
        step = max(1, BLOCK_ENTRIES // max(1, self.size))
        for start in range(0, rows, step):
            yield slice(start, min(start + step, rows))

    def output(self, points, weights):
        """Return ``sum_i weights_i phi(points_i)``, shape ``(n,)``, in blocks of rows."""
        amplitude, rest = self._split(points)
        moments = amplitude * weights
        total = np.zeros(self.size)
        for rows in self.row_blocks(len(rest)):
            total += moments[rows] @ self.unit(rest[rows])
        return total

    def potential(self, points, residual):
        """Return ``<residual, phi(points)>``, shape ``(k,)``, in blocks of rows."""
        amplitude, rest = self._split(points)
        result = np.empty(len(rest))
        for rows in self.row_blocks(len(rest)):
            result[rows] = amplitude[rows] * (self.unit(rest[rows]) @ residual)
        return result

    def potential_gradient(self, points, residual):
        """Return the gradient of `potential` in the point, shape ``(k, d)``."""
        amplitude, rest = self._split(points)
        result = np.empty(np.shape(points))
        for rows in self.row_blocks(len(rest)):
            value, slope = self.unit_pullback(rest[rows], residual)
            if self.amplitude:
                result[rows, 0] = value
                result[rows, 1:] = amplitude[rows, None] * slope
            else:
                result[rows] = slope
        return result

    def derivatives(self, points, residual):
        """Return those of ``phi``, shape ``(k, d, n)``, and the Hessian of `potential`.

        The latter has the shape ``(k, d, d)``.
        """
        amplitude, rest = self._split(points)
        slope = np.swapaxes(self.unit_gradient(rest), 1, 2)
        hessian = self.unit_hessian(rest, residual)
        if not self.amplitude:
            return slope, hessian
        gradient = np.empty((*points.shape, slope.shape[2]))
        gradient[:, 0] = self.unit(rest)
        np.multiply(amplitude[:, None, None], slope, out=gradient[:, 1:])
        bordered = np.zeros((*points.shape, points.shape[1]))
        np.multiply(amplitude[:, None, None], hessian, out=bordered[:, 1:, 1:])
        bordered[:, 0, 1:] = bordered[:, 1:, 0] = slope @ residual
        return gradient, bordered
