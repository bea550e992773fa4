"""Forward-backward splitting for particles in a functional with an l1 penalty."""

import numpy as np

from wgf import checks
from wgf.flows import GradientFlow
from wgf.lagrangian.runge_kutta import AdaptiveStepper
from wgf.measures.particles import Particles


class ForwardBackward:
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
        Largest difference in one coordinate, relative to ``1 + |theta|``.

    Notes
    -----
    Source: Chizat & Bach 2018, section 2 (forward-backward step for non-smooth V).
    """

    needs = "particles"

    def __init__(self, step=None, tolerance=1e-5):
        self.step = None if step is None else checks.number("forward-backward step", step, above=0)
        self.tolerance = checks.number("forward-backward tolerance", tolerance, above=0)

    def prepare(self, flow, start):
        """Return a stepper for `flow` from the particles `start`."""
        checks.instance("forward-backward flow", flow, GradientFlow)
        checks.instance("forward-backward start", start, Particles)
        return _Stepper(self, flow, start)

    def __repr__(self):
        return f"ForwardBackward(step={self.step!r}, tolerance={self.tolerance:g})"


class _Stepper(AdaptiveStepper):
    order = 2

    def _first_step(self):
        return super()._first_step() if self.method.step is None else self.method.step

    def _attempt(self, dt):
        empirical = self.empirical
        velocity = -empirical.mobility * self.gradient
        first = empirical.prox(self.points + dt * velocity, dt)
        if self.method.step is not None:
            return first, 0.9**self.order
        later = self._velocity(first)
        points = empirical.prox(self.points + 0.5 * dt * (velocity + later), dt)
        moved = self._norm(first - self.points)
        # below this the differences are round-off and say nothing of the curvature
        known = moved > 1e-13 * self._norm(self.points)
        stiffness = dt * self._norm(later - velocity) / moved if known else 0.0
        return points, max(self._error(points - first, self.points), stiffness**self.order)

    def _norm(self, vectors):
        """Norm in which the Hessian of F is symmetric: weights over mobilities."""
        empirical = self.empirical
        inverse = np.divide(
            1.0, empirical.mobility, where=empirical.mobility > 0, out=np.zeros(vectors.shape[1])
        )
        return float(np.sqrt(empirical.share.sum(empirical.weights * (vectors**2 @ inverse))))
