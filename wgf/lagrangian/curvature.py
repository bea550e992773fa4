"""How stiff the force on particles is: curvatures of the first variation, without Hessians.

Rates are eigenvalues of ``M ∂(∇F')``, the linearised velocity with its sign turned round, of all
particles together. Differences of the gradient give its products with vectors, whatever the form
of the terms.
"""

from typing import NamedTuple

import numpy as np

from wgf import checks
from wgf.functional import forms

# of the scale of an axis: longest displacement of a difference
DISPLACED = 1e-3
ITERATIONS = 12
# fraction and number of the particles that take part in a mode of a few close pairs
FEW, CLOSE = 0.05, 8


class Rates(NamedTuple):
    """Extreme rates of the linearised flow.

    Attributes
    ----------
    fastest : float
        Largest rate in absolute value, of a joint mode or of a single particle.
    decay : float
        Largest rate of decay, 0 if there is none; from below.
    """

    fastest: float
    decay: float

    def refuse(self, what: str, step: float, product: float, largest: float) -> None:
        """Refuse a step whose `product` with the rate of decay (or a root of it) is too large.

        Raises
        ------
        InputError
            If the product exceeds 2; `largest` is the step for which it is 2.
        """
        if product > 2:
            raise checks.InputError(
                f"{what} step: {step:g} is unstable where the curvature is {self.decay:.3g}, give "
                f"at most {largest:.2g} or leave it out"
            )


def _norm(empirical, vectors):
    return np.sqrt(empirical.partition.sum(empirical.weights * np.sum(vectors**2, axis=1)))


def mean_square(empirical, vectors):
    """Return the mean square length of the rows of all particles, each counted once."""
    total = empirical.partition.sum(np.sum(vectors**2, axis=1))
    return total / len(empirical.partition)


def steepest(empirical, points, gradient, before, old):
    """Return the largest rate that two states and their gradients show.

    Differences of the gradient over displacements, of a particle that moved less than most over
    the root mean square displacement.
    """
    root = np.sqrt(empirical.mobility)
    moving = root > 0
    shift = points - before
    if empirical.domain is not None:
        shift = empirical.domain.nearest(shift)
    shift = shift[:, moving] / root[moving]
    change = (gradient - old)[:, moving] * root[moving]
    typical = mean_square(empirical, shift)
    if not typical > 0:
        return 0.0
    length = np.maximum(np.sum(shift**2, axis=1), typical)
    return np.sqrt(empirical.partition.largest(np.sum(change**2, axis=1) / length))


def rates(empirical, points, gradient, scales):
    """Return the `Rates` at the points by a power iteration with differences.

    Parameters
    ----------
    empirical : EmpiricalFunctional
    points, gradient : arrays of shape ``(m, d)``
    scales : array of shape ``(d,)``
        Length that counts as one along every axis.
    """
    root = np.sqrt(empirical.mobility)
    vector = root * gradient
    vector = vector / max(_norm(empirical, vector), 1e-300)
    # all modes take part, the same on every rank
    noise = empirical.partition.normal(np.random.default_rng(0), len(scales))
    noise = np.where(root > 0, noise, 0.0)
    vector = vector + noise / max(_norm(empirical, noise), 1e-300)
    fastest, quotient, joined = _iterated(empirical, points, gradient, scales, vector, 0.0)
    if quotient < 0:
        # the fastest mode grows: shifted by its rate, the one that decays most is the fastest
        quotient, joined = _iterated(empirical, points, gradient, scales, vector, fastest)[1:]
    # near the singularity of a kernel there is always a pair that is too close for any step
    few = max(FEW, CLOSE / len(empirical.partition))
    if joined < few and any(isinstance(form, forms.Pairwise) for _, _, form in empirical.terms):
        quotient = 0.0
    return Rates(fastest, max(quotient, 0.0))


def _iterated(empirical, points, gradient, scales, vector, shift):
    """Return the largest rate met, and of the last mode its Rayleigh quotient and extent.

    The extent is the fraction of the particles that take part in it.
    """
    root, particles = np.sqrt(empirical.mobility), empirical.partition
    fastest, quotient, joined = 0.0, 0.0, 1.0
    for _ in range(ITERATIONS):
        size = particles.largest(np.abs(root * vector) / scales)
        if not 0 < size < np.inf:
            break
        moved = empirical.confine(points + DISPLACED / size * root * vector)
        made = moved - points
        if empirical.domain is not None:
            # a wall makes a displacement shorter
            made = empirical.domain.nearest(made)
        made = np.divide(made, root, out=np.zeros_like(made), where=root > 0)
        change = empirical.smooth_gradient(moved, empirical.outputs(moved)) - gradient
        change = root * change
        length, found = _norm(empirical, made), _norm(empirical, change)
        if not length > 0 or not np.isfinite(found):
            break
        # the round-off of the gradient is no curvature
        noise = 1e-8 * _norm(empirical, root * gradient)
        if found <= noise:
            quotient = 0.0
            break
        inner = particles.sum(empirical.weights * np.sum(made * change, axis=1))
        quotient = inner / length**2
        typical = mean_square(empirical, made)
        squares = np.sum(made**2, axis=1)
        own = np.sum(change**2, axis=1) / np.maximum(squares, typical)
        joined = typical**2 * len(particles) / particles.sum(squares**2)
        fastest = max(fastest, found / length, np.sqrt(particles.largest(own)))
        vector = change + shift * made
    return float(fastest), float(quotient), joined
