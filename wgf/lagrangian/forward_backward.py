"""Forward-backward splitting for particles in a functional with kinks."""

from typing import Any

import numpy as np

from wgf import checks
from wgf.lagrangian.particles import AdaptiveStepper, ParticleMethod
from wgf.measures.particles import Particles
from wgf.stepping import Trial


class ForwardBackward(ParticleMethod):
    """Forward step in the smooth part, exact flow (soft threshold) in the l1 penalty.

    ``theta* = prox(theta - dt g(theta))``, ``theta+ = prox(theta - dt/2 (g(theta) + g(theta*)))``
    with ``g`` the gradient of the smooth part: of order 2 away from kinks, and stationary exactly
    at the stationary points of the flow. The step follows the difference of the two, and stays
    below ``|theta* - theta| / |g(theta*) - g(theta)|``, the inverse of the curvature met: an error
    estimate alone would let stiff modes hover at the tolerance for ever.

    Parameters
    ----------
    step : float, optional
        Fixed step of the plain first-order iteration ``theta+ = theta*`` instead.
    tolerance : float
        Largest difference in one coordinate, in units of a quarter of the axis, without a domain of
        the spread of the start.

    Notes
    -----
    A term with a kink of its own acts by its `wgf.Term.prox`, after the soft threshold. Such a step
    is implicit in the term and, unlike that of the l1 penalty, not its exact flow: of order 1.
    Source: Chizat & Bach 2018, section 2 (forward-backward step for non-smooth V).
    """

    title = "forward-backward"
    timed = True

    def __init__(self, step: float | None = None, tolerance: float = 1e-5):
        self.step = None if step is None else checks.number("forward-backward step", step, above=0)
        self.tolerance = checks.number("forward-backward tolerance", tolerance, above=0)

    def stepper(self, flow: Any, start: Particles, world: Any) -> "_Stepper":
        """Return a stepper for `flow` from the particles `start`."""
        stepper = _Stepper(flow, start, world, self.step, self.tolerance)
        stepper.enter()
        return stepper

    def __repr__(self):
        return f"ForwardBackward(step={self.step!r}, tolerance={self.tolerance:g})"


class _Stepper(AdaptiveStepper):
    order = 2

    def attempt(self, dt: float) -> Trial:
        # the gradient is that of both ends, the kink that of the middle
        self.empirical.move(self.time + 0.5 * dt)
        prox, velocity = self.empirical.kinks.prox, self.velocity
        first = prox(self.points + dt * velocity, dt)
        if self.fixed:
            return Trial(first)
        self.empirical.move(self.time + dt)
        later = self.velocity_at(first)
        points = prox(self.points + 0.5 * dt * (velocity + later), dt)
        moved = self._norm(first - self.points)
        # below this the differences are round-off and say nothing of the curvature
        known = moved > 1e-13 * self._norm(self.points)
        stiffness = dt * self._norm(later - velocity) / moved if known else 0.0
        return Trial(points, error=max(self.error(points - first), stiffness**self.order))

    def _norm(self, vectors):
        """Norm in which the Hessian of F is symmetric: weights over mobilities."""
        empirical = self.empirical
        inverse = np.divide(
            1.0, empirical.mobility, where=empirical.mobility > 0, out=np.zeros(vectors.shape[1])
        )
        return float(np.sqrt(self.partition.sum(empirical.weights * (vectors**2 @ inverse))))
