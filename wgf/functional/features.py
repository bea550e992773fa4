"""Features ``phi(theta)``, a vector of ``n`` samples for each parameter ``theta``.

A feature map declares its axes (`names`), whether the first of them is an amplitude
(``phi(a, rest) = a unit(rest)``) and its homogeneity; the solvers exploit the amplitude and never
form a matrix of size cells times samples.
"""

import copy

import numpy as np

from wgf import checks
from wgf.functional.activations import ACTIVATIONS, Activation, activation_of
from wgf.functional.feature_map import BLOCK_ENTRIES, FeatureMap
from wgf.functional.filters import Dirichlet, Filter, Gaussian
from wgf.functional.user import Differences, UserFunction

__all__ = [
    "ACTIVATIONS",
    "BLOCK_ENTRIES",
    "Dirichlet",
    "FeatureMap",
    "Features",
    "Filter",
    "Gaussian",
    "Neurons",
]


class Neurons(FeatureMap):
    """Neurons ``phi_k(a, w, b) = a sigma(w·x_k + b)`` of a two-layer network.

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
        """Return ``w·x + b``, shape ``(k, n)``."""
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
