"""Features ``phi(theta)``, a vector of ``n`` samples for each parameter ``theta``.

A feature map declares its axes (`names`), whether the first of them is an amplitude
(``phi(a, rest) = a unit(rest)``) and its homogeneity; the solvers exploit the amplitude and never
form a matrix of size cells times samples.
"""

import copy
import math

import numpy as np

from wgf import checks
from wgf.functional.activations import ACTIVATIONS, Activation, activation_of
from wgf.functional.user import Differences, UserFunction

__all__ = ["ACTIVATIONS", "FeatureMap", "Features", "Filter", "Neurons"]

BLOCK_ENTRIES = 1 << 18
MOST_SAMPLES = 1 << 31


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


class Neurons(FeatureMap):
    """Neurons ``phi_k(a, w, b) = a sigma(w . x_k + b)`` of a two-layer network.

    Parameters
    ----------
    x : array of shape ``(n,)`` or ``(n, p)``
        Inputs.
    activation : {"relu", "tanh", "sigmoid"} or Activation
        ``sigma``; ``relu'(0) = 0``, ``sigmoid(z) = 1 / (1 + exp(-z))``.
    bias : bool
        Whether the neurons have a bias ``b``, the last axis.

    Notes
    -----
    Axes: ``a, w`` (one input) or ``a, w1, …, wp``, then ``b``. Source: Chizat & Bach 2018,
    sections 4.2 and 4.3.
    """

    amplitude = True

    def __init__(self, x, activation: str | Activation, bias: bool = False):
        self.x = checks.array("neuron inputs x", x, dimensions=(1, 2))
        if self.x.size == 0:
            raise checks.InputError(
                f"neuron inputs x: shape {self.x.shape} is empty, give at least one input"
            )
        self.inputs = self.x.reshape(len(self.x), -1)
        self.sigma = activation_of(activation)
        self.activation = self.sigma.name
        self.bias = checks.flag("neuron bias", bias)
        self.size, p = self.inputs.shape
        self.names = (
            ("a",)
            + (("w",) if p == 1 else tuple(f"w{i + 1}" for i in range(p)))
            + (("b",) if self.bias else ())
        )
        self.kinked, self.parity = self.sigma.kinked, self.sigma.parity
        self.homogeneity = "full" if self.sigma.homogeneous else "partial"
        self.abscissa = self.inputs[:, 0] if p == 1 else None

    def at(self, x) -> "Neurons":
        """Return the same neurons at other inputs."""
        return Neurons(x, self.sigma, bias=self.bias)

    def subset(self, samples):
        return self.at(self.x[samples])

    def arguments(self, rest):
        """Return ``w . x + b``, shape ``(k, n)``."""
        p = self.inputs.shape[1]
        z = rest[:, :p] @ self.inputs.T
        return z + rest[:, p:] if self.bias else z

    def unit(self, rest):
        return self.sigma.value(self.arguments(rest))

    def unit_gradient(self, rest):
        slope = self.sigma(self.arguments(rest))[1]
        gradient = slope[:, :, None] * self.inputs
        return np.concatenate([gradient, slope[:, :, None]], axis=2) if self.bias else gradient

    def unit_pullback(self, rest, residual):
        value, slope = self.sigma(self.arguments(rest))
        slope = slope * residual
        gradient = slope @ self.inputs
        if self.bias:
            gradient = np.concatenate([gradient, slope.sum(axis=1, keepdims=True)], axis=1)
        return value @ residual, gradient

    def unit_hessian(self, rest, residual):
        if self.sigma.bend is None:
            return super().unit_hessian(rest, residual)
        bend = self.sigma.bend(*self.sigma(self.arguments(rest))) * residual
        inputs = self.inputs
        if self.bias:
            inputs = np.concatenate([inputs, np.ones((self.size, 1))], axis=1)
        return (inputs.T * bend[:, None, :]) @ inputs

    def curvature_bound(self, residual):
        if self.sigma.steepest is None:
            return None
        squares = np.sum(self.inputs**2, axis=1) + self.bias
        return float(self.sigma.steepest * (np.abs(residual) @ squares))

    def __repr__(self):
        tail = ", bias=True" if self.bias else ""
        return f"Neurons({checks.fingerprint(self.x)}, {self.sigma!r}{tail})"


class Filter(FeatureMap):
    """Translates of a filter, ``phi(w, x) = w psi(. - x)``, for recovering spikes.

    Build one with `Filter.dirichlet` or `Filter.gaussian`. Axes: ``w, x`` on the line or the
    torus, ``w, x1, x2`` in the plane.
    """

    amplitude = True
    homogeneity = "partial"

    @classmethod
    def dirichlet(cls, order, dimension=1):
        """Ideal low-pass filter on the torus ``[0, 1)^dimension``.

        The features are the Fourier coefficients up to `order`, orthonormal and scaled so that
        ``|psi(x)| = 1``: ``n = (2 order + 1)^dimension`` numbers hold the signal exactly.
        """
        return Dirichlet(order, dimension)

    @classmethod
    def gaussian(cls, samples, std):
        """Gaussian filter seen at `samples`: ``psi_k(x) = exp(-|samples_k - x|^2 / 2 std^2)``.

        `samples` has the shape ``(n,)`` or, in the plane, ``(n, 2)``.
        """
        return Gaussian(samples, std)

    def _name_positions(self, dimension):
        self.names = ("w",) + (
            ("x",) if dimension == 1 else tuple(f"x{i + 1}" for i in range(dimension))
        )


class Dirichlet(Filter):
    """The ideal low-pass filter, see `Filter.dirichlet`."""

    def __init__(self, order, dimension):
        self.order = checks.whole("dirichlet order", order, minimum=0)
        self.dimension = checks.whole("dirichlet dimension", dimension, minimum=1, maximum=3)
        self.size = (2 * self.order + 1) ** self.dimension
        if self.size > MOST_SAMPLES:
            raise checks.InputError(
                f"dirichlet order: {self.order} makes {self.size} features, give an order with at "
                f"most {MOST_SAMPLES}"
            )
        self._name_positions(self.dimension)

    def _factors(self, x):
        """Features of one coordinate and their derivatives, each ``(k, 2 order + 1)``."""
        frequency = 2 * np.pi * np.arange(1, self.order + 1)
        angle = x[:, None] * frequency
        scale = 1 / math.sqrt(2 * self.order + 1)
        cosine, sine = math.sqrt(2) * np.cos(angle), math.sqrt(2) * np.sin(angle)
        one = np.ones((len(x), 1))
        value = np.concatenate([one, cosine, sine], axis=1) * scale
        slope = np.concatenate([0 * one, -frequency * sine, frequency * cosine], axis=1) * scale
        return value, slope

    def _product(self, factors):
        result = factors[0]
        for factor in factors[1:]:
            result = (result[:, :, None] * factor[:, None, :]).reshape(len(result), -1)
        return result

    def unit(self, rest):
        return self._product([self._factors(rest[:, i])[0] for i in range(self.dimension)])

    def unit_gradient(self, rest):
        pairs = [self._factors(rest[:, i]) for i in range(self.dimension)]
        columns = [
            self._product([pair[i == j] for j, pair in enumerate(pairs)])
            for i in range(self.dimension)
        ]
        return np.stack(columns, axis=2)

    def unit_hessian(self, rest, residual):
        # the second derivative of every factor is -frequency^2 times it
        frequency = 2 * np.pi * np.arange(1, self.order + 1)
        square = np.concatenate([[0.0], frequency, frequency]) ** 2
        pairs = [self._factors(rest[:, i]) for i in range(self.dimension)]
        triples = [(value, slope, -square * value) for value, slope in pairs]
        result = np.empty((*rest.shape, self.dimension))
        for i, j in np.ndindex(result.shape[1:]):
            orders = [(k == i) + (k == j) for k in range(self.dimension)]
            product = self._product([triple[n] for triple, n in zip(triples, orders)])
            result[:, i, j] = product @ residual
        return result

    def curvature_bound(self, residual):
        # every derivative of psi has the same norm at every position
        squares = (2 * np.pi * np.arange(1, self.order + 1)) ** 2
        share = 2 / (2 * self.order + 1)
        pure, mixed = share * np.sum(squares**2), (share * np.sum(squares)) ** 2
        d = self.dimension
        return float(np.linalg.norm(residual) * np.sqrt(d * pure + d * (d - 1) * mixed))

    def __repr__(self):
        tail = f", dimension={self.dimension}" if self.dimension > 1 else ""
        return f"Filter.dirichlet({self.order}{tail})"


class Gaussian(Filter):
    """The Gaussian filter at samples, see `Filter.gaussian`."""

    def __init__(self, samples, std):
        samples = checks.array("gaussian samples", samples, dimensions=(1, 2))
        if samples.size == 0:
            raise checks.InputError(
                f"gaussian samples: shape {samples.shape} is empty, give at least one sample"
            )
        self.samples = samples.reshape(len(samples), -1)
        self.std = checks.number("gaussian std", std, above=0)
        self.size = len(samples)
        self._name_positions(self.samples.shape[1])
        self.abscissa = self.samples[:, 0] if self.samples.shape[1] == 1 else None

    def at(self, inputs):
        return Gaussian(inputs, self.std)

    def subset(self, samples):
        return self.at(self.samples[samples])

    def _displacements(self, rest):
        return self.samples[None, :, :] - rest[:, None, :]

    def unit(self, rest):
        square = (self._displacements(rest) ** 2).sum(axis=2)
        return np.exp(-0.5 * square / self.std**2)

    def unit_gradient(self, rest):
        return self.unit(rest)[:, :, None] * self._displacements(rest) / self.std**2

    def unit_hessian(self, rest, residual):
        z = self._displacements(rest) / self.std
        weights = self.unit(rest) * residual
        spread = np.swapaxes(z * weights[:, :, None], 1, 2) @ z
        return (spread - weights.sum(axis=1)[:, None, None] * np.eye(z.shape[2])) / self.std**2

    def curvature_bound(self, residual):
        return float(np.abs(residual).sum() / self.std**2)

    def __repr__(self):
        return f"Filter.gaussian({checks.fingerprint(self.samples)}, {self.std:g})"


class Features(FeatureMap):
    """The user's own features.

    Parameters
    ----------
    function : callable ``(k, d) -> (k, n)``
        ``phi`` at `k` points; with ``amplitude=True`` it is given the coordinates after the first
        and the first one multiplies its result.
    gradient : callable ``(k, d) -> (k, n, d)``, optional
        Derivatives of `function`. Without it differences are used, with steps that fit the axes
        of the measure and the precision of the result (relative error about 1e-10 in double
        precision). The mesh solver needs no gradient. A gradient that is not that of `function`
        is refused at the start of a run of particles.
    amplitude : bool
        Whether the first axis is an amplitude.

    Notes
    -----
    A run calls the functions on one thread, and the linear algebra library has one while it lasts,
    so that the same run gives the same bits on any machine with the same processor.
    """

    def __init__(self, function, gradient=None, amplitude=False):
        self.function = UserFunction("features function", function)
        self.gradient = gradient and UserFunction("features gradient", gradient)
        self.differences = Differences()
        self.amplitude = checks.flag("features amplitude", amplitude)
        self.homogeneity = "partial" if amplitude else "none"
        self._size = None

    @property
    def size(self):
        """Number of samples, known once the function was called."""
        return 1 if self._size is None else self._size

    def measure_size(self, dimension, point=None):
        """Call the function once, at a point or at the origin, to learn the number of samples."""
        if self._size is None:
            point = np.zeros((1, dimension)) if point is None else point
            rest = point[:, int(self.amplitude) :]
            try:
                self.unit(rest)
            except checks.InputError as error:
                if not isinstance(error.__cause__, ValueError | IndexError):
                    raise
                # most often the function wants another number of coordinates
                after = " after the amplitude" if self.amplitude else ""
                raise checks.InputError(
                    f"features function: given the shape {rest.shape}, one column per axis{after}, "
                    f"it raised '{str(error.__cause__).strip()}', give a measure with the axes "
                    "that the function takes"
                ) from error.__cause__
        return self._size

    def on(self, measure):
        """Return the features with derivatives that fit the axes of a measure."""
        found = copy.copy(self)
        first = int(self.amplitude)
        found.differences = Differences(measure, slice(first, None))
        if self.gradient is not None and measure.kind == "particles":
            found.differences.require(
                "features gradient", self.unit, self.unit_gradient,
                measure.points[:, first:], self.function.precision,
            )  # fmt: skip
        return found

    def unit(self, rest):
        values = self.function(rest)
        if values.ndim != 2 or len(values) != len(rest):
            raise checks.InputError(
                f"features function: shape {values.shape} for {len(rest)} points, return an array "
                f"of shape ({len(rest)}, n)"
            )
        self._size = values.shape[1]
        return values

    def unit_gradient(self, rest):
        if self.gradient is not None:
            values = self.gradient(rest)
            if values.ndim != 3 or values.shape[::2] != rest.shape:
                raise checks.InputError(
                    f"features gradient: shape {values.shape} for points of shape {rest.shape}, "
                    f"return an array of shape ({len(rest)}, n, {rest.shape[1]})"
                )
            return values
        return self.differences(self.unit, rest, self.function.precision)

    def unit_hessian(self, rest, residual):
        # differences of differences ask for a longer step
        given = self.gradient is not None
        precision = self.gradient.precision if given else self.function.precision ** (2 / 3)
        return self.differences(lambda near: self.unit_pullback(near, residual)[1], rest, precision)

    def __repr__(self):
        return f"Features({self.function.name}{', amplitude=True' if self.amplitude else ''})"
