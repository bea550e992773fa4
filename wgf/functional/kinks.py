"""Kinks of a functional: what its terms do that are not differentiable in the point."""

from collections.abc import Callable

import numpy as np

from wgf import checks
from wgf.functional import forms

# where the profile of a penalty along axes is compared with its kink
PROBE = np.array([-2.0, -0.5, 1.0, 3.0])
# a step this much shorter than the points are large balances its error with the round-off
ROOT_OF_ROUND_OFF = 1e-8


def least_norm(slope: np.ndarray, points: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Return the least-norm element of ``slope + strength ∂|points|``, coordinate by coordinate."""
    at_kink = np.sign(slope) * np.maximum(np.abs(slope) - strength, 0)
    return np.where(points == 0, at_kink, slope + strength * np.sign(points))


class Kinks:
    """Proximal steps and least-norm slopes of the terms that are not smooth.

    All l1 penalties act together, by a soft threshold, and then one term by its own `Term.prox`.

    Parameters
    ----------
    functional : Functional
    names : tuple of str
        Of the axes.
    mobility : array of shape ``(d,)``, optional
        Factor of the velocity along every axis, 1 by default.

    Attributes
    ----------
    strength : array of shape ``(d,)``
        Summed strength of the l1 penalties.
    term : Term or None
        The term with a prox of its own.

    Raises
    ------
    InputError
        For a term that is not smooth and gives no prox, for two terms with a prox of their own,
        and for one where the mobility differs between axes.
    """

    def __init__(self, functional, names: tuple[str, ...], mobility: np.ndarray | None = None):
        self.mobility = np.ones(len(names)) if mobility is None else np.asarray(mobility)
        self.strength = np.zeros(len(names))
        named = dict(zip(functional.part_names, functional.terms))
        own = {name: term for name, term in named.items() if term.proximal}
        for name, term in named.items():
            if not term.smooth and name not in own:
                self.strength = self.strength + _strength(name, term, names)
        if len(own) > 1:
            raise checks.InputError(
                f"functional: the terms {' and '.join(own)} each have a prox of their own, write "
                "one term with the prox of their sum"
            )
        self.term = next(iter(own.values()), None)
        if own and np.ptp(self.mobility):
            raise checks.InputError(
                f"flow mobility: the term {next(iter(own))} has a prox of its own, which does not "
                f"know that the axes move by the factors {self.mobility.tolist()}, give one factor "
                "for all axes"
            )

    def prox(self, points: np.ndarray, step: float) -> np.ndarray:
        """Return the points after an implicit step of length `step` by the kinks alone.

        Raises
        ------
        InputError
            If a term's own prox moves what an l1 penalty holds at 0: one after the other, the two
            are then not the prox of the sum.
        """
        kinked = self.strength.any()
        if kinked:
            shrink = step * self.mobility * self.strength
            points = np.sign(points) * np.maximum(np.abs(points) - shrink, 0)
        if self.term is None:
            return points
        found = checks.returned("prox", self.term.prox(points, step * self.mobility[0]))
        if found.shape != points.shape:
            raise checks.InputError(
                f"prox: shape {found.shape} for points of shape {points.shape}, return one row per "
                "point"
            )
        if kinked and ((found * points <= 0) & (found != 0))[:, self.strength > 0].any():
            raise checks.InputError(
                f"prox: that of the term {self.term.name} moves coordinates which an l1 penalty "
                "holds at 0, write one term with the prox of their sum"
            )
        return found

    def slope(
        self,
        points: np.ndarray,
        gradient: np.ndarray,
        largest: Callable[[np.ndarray], float] = np.max,
    ) -> np.ndarray:
        """Return the least-norm element of all slopes, given the gradient of the smooth terms.

        `largest` returns the largest number of an array, over all points.
        """
        if self.term is None:
            return least_norm(gradient, points, self.strength)
        if not self.mobility[0]:
            return gradient
        # (x - prox(x - s g, s)) / s tends to that element as s falls; s is such that no point moves
        # by more than a small fraction of its size, first by the gradient, then by the kink, too
        size = ROOT_OF_ROUND_OFF * (1.0 + largest(np.abs(points)))
        step = size / max(1.0, largest(np.abs(gradient)))
        for _ in range(2):
            ahead = points - step * self.mobility * gradient
            slope = (points - self.prox(ahead, step)) / (step * self.mobility)
            step = min(step, size / max(1.0, largest(np.abs(slope))))
        return slope


def _strength(name, term, names):
    """Return the strength of ``|theta_i|`` for every axis in a term without a prox of its own."""
    form, kink = term.form(), term.kink(names)
    known = kink.any()
    if isinstance(form, forms.Separable):
        known = np.allclose(form.profile(PROBE), form.kink * np.abs(PROBE), rtol=1e-12)
    if not known:
        raise checks.InputError(
            f"functional: the term {name} is not smooth and gives no prox, define "
            "prox(points, step)"
        )
    return kink
