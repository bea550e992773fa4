"""Energies of the density as methods on a mesh see them: slope, curvature, stiffness."""

from __future__ import annotations

import numpy as np

from wgf import checks
from wgf.eulerian.implicit_kernels import NEAR_ONE
from wgf.eulerian.slab import Slab
from wgf.functional import forms
from wgf.functional.energies import LocalEnergy

# relative step of the difference quotient: its error and round-off are both about 1e-13
DIFFERENCE = 2.0**-10


class PowerEnergy:
    """``strength / (m - 1) rho^m``, which kernels know."""

    convex = True

    def __init__(self, term: LocalEnergy, form: forms.Power):
        self.term, self.energy, self._slope = term, term.energy, term.slope
        self.strength, self.exponent = form.strength, form.exponent
        # whether U' is infinite at 0
        self.singular = self.exponent < 1

    def slope(self, rho: np.ndarray) -> np.ndarray:
        """Return ``U'``, near the exponent 1 less ``strength m / (m - 1)``.

        Differences alone move a density; near 1 they are lost in a constant that tends to infinity.
        """
        power = self.exponent - 1.0
        if abs(power) > NEAR_ONE or self.strength == 0:
            return self._slope(rho)
        with np.errstate(divide="ignore", over="ignore"):
            return self.strength * self.exponent / power * np.expm1(power * np.log(rho))

    def curvature(self, rho: np.ndarray) -> np.ndarray:
        """Return ``U''``."""
        with np.errstate(divide="ignore"):
            return self.strength * self.exponent * np.power(rho, self.exponent - 2.0)

    def stiffness(self, values: np.ndarray, rate: float, slab: Slab) -> float:
        """Return twice the largest ``rho U''`` times a rate."""
        m = self.exponent
        highest = slab.largest(float(values.max()))
        return 2 * self.strength * m * highest ** (m - 1) * rate


class OwnEnergy:
    """Energy and slope that a user wrote, given copies of cell averages.

    Raises
    ------
    InputError
        For functions that do not return one number per density.
    """

    convex = False

    def __init__(self, name: str, term: LocalEnergy):
        self.name, self.term = name, term
        with np.errstate(all="ignore"):
            self.energy(np.array([0.25, 0.5, 1.0]))
            # whether U' is infinite at 0
            self.singular = not np.isfinite(self.slope(np.array([0.0, 0.5, 1.0]))).all()

    def _asked(self, what, function, rho):
        found = checks.returned(f"{self.name} {what}", function(np.array(rho).ravel()))
        if found.shape != (rho.size,):
            raise checks.InputError(
                f"{self.name} {what}: shape {found.shape} for {rho.size} densities, return one "
                "value per density"
            )
        return found.reshape(rho.shape)

    def energy(self, rho: np.ndarray) -> np.ndarray:
        """Return ``U``."""
        return self._asked("energy", self.term.energy, rho)

    def slope(self, rho: np.ndarray) -> np.ndarray:
        """Return ``U'``."""
        return self._asked("slope", self.term.slope, rho)

    def curvature(self, rho: np.ndarray) -> np.ndarray:
        """Return ``U''``, 0 at 0."""
        positive = rho > 0
        return np.divide(self._stiff(rho), rho, out=np.zeros_like(rho), where=positive)

    def _stiff(self, rho):
        """Return ``rho U''`` by a difference quotient of fourth order."""
        with np.errstate(all="ignore"):
            one, two = (
                self.slope(rho * (1 + k * DIFFERENCE)) - self.slope(rho * (1 - k * DIFFERENCE))
                for k in (1, 2)
            )
            found = (8 * one - two) / (12 * DIFFERENCE)
        return np.where(np.isfinite(found), found, 0.0)

    def stiffness(self, values: np.ndarray, rate: float, slab: Slab) -> float:
        """Return twice the largest ``rho U''`` times a rate."""
        return 2 * slab.largest(float(self._stiff(values).max(initial=0.0))) * rate
