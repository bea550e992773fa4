"""How a term looks: a closed set of forms that methods know, while the set of terms is open.

A term says by `wgf.Term.form` which of these it is; a method says which of them it takes; a
functional bound to a mesh or to points interprets each of them in one place.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Form:
    """What all forms have: the term itself."""

    term: object

    def scaled(self, term: object, factor: float) -> "Form":
        """Return the form of `term`, which is this term times a number."""
        return dataclasses.replace(self, term=term)


class Composed(Form):
    """``R(scale ∫ phi dmu) / scale^2``, a loss of the model output: `wgf.Risk`."""


class Linear(Form):
    """``∫ V dmu``: the term gives ``potential(points, names)`` and, where smooth, ``slope``."""


@dataclass(frozen=True, eq=False)
class Separable(Linear):
    """``∫ sum_i V(theta_i) dmu`` over some axes: `wgf.L1`, `wgf.Ridge`.

    Attributes
    ----------
    profile : callable
        ``V`` of the coordinates of one axis.
    mask : callable
        Of the axis names: 1 for the axes on which the term acts and 0 for all others.
    kink : float
        Strength of ``|theta_i|`` in ``V``: the jump of its derivative at 0 is twice that.
    """

    profile: Callable[[np.ndarray], np.ndarray]
    mask: Callable[[tuple[str, ...]], np.ndarray]
    kink: float = 0.0

    def scaled(self, term: object, factor: float) -> "Form":
        def profile(values):
            return factor * self.profile(values)

        return Separable(term, profile, self.mask, factor * self.kink)


class Given(Linear):
    """``∫ V dmu`` with ``V`` given at the points: `wgf.Potential`."""


@dataclass(frozen=True, eq=False)
class Local(Form):
    """``∫ U(rho)`` of a density: the term gives ``energy(rho)`` and ``slope(rho)``, ``U'``."""


@dataclass(frozen=True, eq=False)
class Diffusion(Local):
    """``strength ∫ rho log rho``: `wgf.Entropy`, which particles feel as noise."""

    strength: float

    def scaled(self, term: object, factor: float) -> "Form":
        return dataclasses.replace(self, term=term, strength=factor * self.strength)


@dataclass(frozen=True, eq=False)
class Power(Local):
    """``strength / (exponent - 1) ∫ rho^exponent``: `wgf.PowerEntropy`."""

    strength: float
    exponent: float

    scaled = Diffusion.scaled


class Pairwise(Form):
    """``1/2 ∫∫ W(theta - theta') dmu dmu``: `wgf.Interaction`."""


@dataclass(frozen=True, eq=False)
class General(Form):
    """Any other term: it gives value, first variation and gradient of a measure.

    Attributes
    ----------
    supports : tuple of str
        Kinds of measures on which the term is defined.
    """

    supports: tuple[str, ...] = ("density", "particles")
