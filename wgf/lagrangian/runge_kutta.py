"""Adaptive Runge-Kutta for particles in a smooth functional."""

from typing import Any

from scipy.integrate import RK45

from wgf import checks
from wgf.lagrangian.particles import AdaptiveStepper, ParticleMethod
from wgf.measures.particles import Particles
from wgf.stepping import Trial


class RungeKutta(ParticleMethod):
    """Dormand-Prince 5(4) with error control for ``theta_i' = -∇F'(mu)(theta_i)``.

    Parameters
    ----------
    tolerance : float, optional
        Largest error of a coordinate in one step, in units of a quarter of the axis,
        without a domain of the spread of the start. Default 1e-8, and
        1e-5 for features whose gradient jumps (ReLU), where a high-order error estimate would
        only chase the jumps.
    """

    title = "runge-kutta"
    timed = True
    smooth = True

    def __init__(self, tolerance: float | None = None):
        if tolerance is not None:
            tolerance = checks.number("runge-kutta tolerance", tolerance, above=0)
        self.tolerance = tolerance

    def stepper(self, flow: Any, start: Particles, world: Any) -> "DormandPrince":
        """Return a stepper for `flow` from the particles `start`."""
        tolerance = self.tolerance or (1e-5 if flow.functional.kinked else 1e-8)
        stepper = DormandPrince(flow, start, world, None, tolerance)
        stepper.enter()
        return stepper

    def __repr__(self):
        return f"RungeKutta(tolerance={self.tolerance!r})"


class DormandPrince(AdaptiveStepper):
    """Steps of the Dormand-Prince formula of order 5 for any state."""

    order = 5

    def attempt(self, dt: float) -> Trial:
        # the tableau is scipy's; the first stage is the velocity known from the last step
        slopes = [self.velocity]
        for row, node in zip(RK45.A[1:], RK45.C[1:]):
            self.empirical.move(self.time + node * dt)
            shift = sum(c * k for c, k in zip(row, slopes) if c)
            slopes.append(self.velocity_at(self.state + dt * shift))
        state = self.state + dt * sum(c * k for c, k in zip(RK45.B, slopes) if c)
        if self.fixed:
            return Trial(state)
        self.empirical.move(self.time + dt)
        slopes.append(self.velocity_at(state))
        difference = dt * sum(c * k for c, k in zip(RK45.E, slopes) if c)
        return Trial(state, error=self.error(difference))
