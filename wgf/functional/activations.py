"""Activations of neurons: one object answers all that depends on the activation."""

import math
from collections.abc import Callable

import numpy as np

from wgf import checks

PROBE = np.array([-2.3, -0.7, -0.1, 0.2, 0.9, 1.7])


class Activation:
    """A scalar function ``sigma`` with its derivative, for `wgf.Neurons`.

    Parameters
    ----------
    function, slope : callable
        ``sigma`` and ``sigma'``, applied to every entry of an array.
    name : str
        What reports call it.
    kinked : bool
        Whether the derivative jumps, see `FeatureMap.kinked`.
    parity : {-1, 1}, optional
        ``sigma(-z) = parity sigma(z)``, with which a mesh around 0 needs half of its features.
    steepest : float, optional
        A bound on ``|sigma''|``, with which `wgf.certificate` bounds the optimality gap.

    Attributes
    ----------
    homogeneous : bool
        Whether ``sigma(c z) = c sigma(z)`` for ``c > 0``, as for ReLU.
    code : int or None
        Number of the activation in the kernels for particles, None if they do not have it.

    Raises
    ------
    InputError
        For the name of a built-in activation and for a function that lacks the parity.
    """

    homogeneous = False
    code: int | None = None
    # sigma'' of sigma and sigma', None if it is not known
    bend: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None

    def __init__(
        self,
        function: Callable[[np.ndarray], np.ndarray],
        slope: Callable[[np.ndarray], np.ndarray],
        name: str,
        kinked: bool = False,
        parity: int | None = None,
        steepest: float | None = None,
    ):
        for what, call in (("function", function), ("slope", slope)):
            if not callable(call):
                raise checks.InputTypeError(
                    f"activation {what}: {call!r} cannot be called, give a function of an array"
                )
        self.function, self.slope = function, slope
        if not isinstance(name, str) or not name or name in ACTIVATIONS:
            raise checks.InputError(
                f"activation name: {checks.shown(name)} is empty, not a text or the name of a "
                "built-in activation, give another name"
            )
        self.name = name
        self.kinked = checks.flag("activation kinked", kinked)
        self.parity, self.steepest = parity, steepest
        if parity is not None:
            self.parity = checks.choice("activation parity", parity, (-1, 1))
        if steepest is not None:
            self.steepest = checks.number("activation steepest", steepest, minimum=0)
        value = self(PROBE)[0]
        if self.parity and not np.allclose(self.value(-PROBE), self.parity * value, atol=1e-12):
            raise checks.InputError(
                f"activation parity: {name} does not have the parity {self.parity}, leave it out"
            )

    def value(self, z: np.ndarray) -> np.ndarray:
        """Return ``sigma(z)``."""
        return self._of("function", z)

    def __call__(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``sigma(z)`` and ``sigma'(z)``."""
        return self.value(z), self._of("slope", z)

    def _of(self, what, z):
        values = checks.returned(f"activation {what}", getattr(self, what)(z))
        if values.shape != z.shape:
            raise checks.InputError(
                f"activation {what}: shape {values.shape} for arguments of shape {z.shape}, return "
                "one value per argument"
            )
        return values

    def __repr__(self):
        return f"Activation({self.name!r})"


class _BuiltIn(Activation):
    """An activation of the kernels, whose derivative follows from its value."""

    def __init__(self, name, code, value, slope, **facts):
        self.name, self.code, self.value, self._slope = name, code, value, slope
        self.kinked, self.parity, self.steepest = False, None, None
        vars(self).update(facts)

    def __call__(self, z):
        value = self.value(z)
        return value, self._slope(value)

    def __repr__(self):
        return repr(self.name)


# the codes are those of `wgf.lagrangian.kernels`; relu'(0) = 0
RELU = _BuiltIn(
    *("relu", 0, lambda z: np.maximum(z, 0), lambda value: (value > 0).astype(np.float64)),
    kinked=True,
    homogeneous=True,
)
TANH = _BuiltIn(
    *("tanh", 1, np.tanh, lambda value: 1 - value**2),
    parity=-1,
    steepest=4 / (3 * math.sqrt(3)),
    bend=lambda value, slope: -2 * value * slope,
)
SIGMOID = _BuiltIn(
    *("sigmoid", 2, lambda z: 0.5 * (1 + np.tanh(0.5 * z)), lambda value: value * (1 - value)),
    steepest=1 / (6 * math.sqrt(3)),
    bend=lambda value, slope: (1 - 2 * value) * slope,
)
ACTIVATIONS = {each.name: each for each in (RELU, TANH, SIGMOID)}


def activation_of(value: str | Activation) -> Activation:
    """Return the activation that was given as such or by its name."""
    if isinstance(value, Activation):
        return value
    return ACTIVATIONS[checks.one_of("neuron activation", value, ACTIVATIONS)]
