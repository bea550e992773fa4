"""Adaptive Runge-Kutta for particles in a smooth functional."""

import numpy as np
from scipy.integrate import RK45

from wgf import checks
from wgf.flows import GradientFlow
from wgf.lagrangian.empirical import ParticleStepper
from wgf.measures.particles import Particles

SMALLEST_STEP = 1e-14


class AdaptiveStepper(ParticleStepper):
    """Accepts steps whose error is below the tolerance; subclasses give ``_attempt(dt)``."""

    def advance(self, limit):
        """Make one step of at most `limit` and return its row of diagnostics.

        Raises
        ------
        NumericalError
            If the functional is not finite or the step shrinks to nothing.
        """
        rejected = 0
        while True:
            dt = min(limit, self.step)
            if not dt > SMALLEST_STEP * max(self.time, limit):
                raise checks.NumericalError(
                    f"step: dt={dt:g} at t={self.time:g} after {rejected} rejections is too "
                    "small, look at the diagnostics of the last steps"
                )
            points, error = self._attempt(dt)
            factor = 0.9 * max(error, 1e-10) ** (-1.0 / self.order)
            if error <= 1.0:
                break
            rejected += 1
            self.step = dt * (max(0.1, factor) if np.isfinite(error) else 0.1)
        # a step cut short by an output time says nothing about the next one
        if dt == self.step or factor < 1.0:
            self.step = dt * min(4.0, factor) if rejected == 0 else min(dt, dt * factor)
        previous = self.dissipation
        self.time += dt
        self.points = self._confine(points)
        self._enter(dt, previous, rejected)
        checks.finite_objective(self.row, dt, "check the features and potentials for overflow")
        return self.row

    def _confine(self, points):
        return self.empirical.confine(points)

    def _velocity(self, points):
        empirical = self.empirical
        confined = empirical.confine(points)
        gradient = empirical.smooth_gradient(confined, empirical.outputs(confined))
        return -empirical.mobility * gradient

    def _error(self, difference, points):
        """Return the largest error of a coordinate in units of the tolerance."""
        scale = self.method.tolerance * (1.0 + np.abs(points))
        return self.empirical.share.largest(np.abs(difference) / scale)


class RungeKutta:
    """Dormand-Prince 5(4) with error control for ``theta_i' = -∇F'(mu)(theta_i)``.

    Parameters
    ----------
    tolerance : float, optional
        Largest error of a coordinate in one step, relative to ``1 + |theta|``. Default 1e-8, and
        1e-5 for features whose gradient jumps (ReLU), where a high-order error estimate would
        only chase the jumps.
    """

    needs = "particles and a smooth functional"

    def __init__(self, tolerance=None):
        if tolerance is not None:
            tolerance = checks.number("runge-kutta tolerance", tolerance, above=0)
        self.tolerance = tolerance

    def prepare(self, flow, start):
        """Return a stepper for `flow` from the particles `start`."""
        checks.instance("runge-kutta flow", flow, GradientFlow)
        checks.instance("runge-kutta start", start, Particles)
        for name, term in zip(flow.functional.part_names, flow.functional.terms):
            if not term.smooth:
                raise checks.InputError(
                    f"runge-kutta: the term {name} is not smooth and this method needs its "
                    "gradient, use wgf.ForwardBackward()"
                )
        tolerance = self.tolerance or (1e-5 if flow.functional.kinked else 1e-8)
        return _Stepper(RungeKutta(tolerance), flow, start)

    def __repr__(self):
        return f"RungeKutta(tolerance={self.tolerance!r})"


class _Stepper(AdaptiveStepper):
    order = 5

    def _attempt(self, dt):
        # the tableau is scipy's; the first stage is the velocity known from the last step
        slopes = [-self.empirical.mobility * self.gradient]
        for row in RK45.A[1:]:
            shift = sum(c * k for c, k in zip(row, slopes) if c)
            slopes.append(self._velocity(self.points + dt * shift))
        points = self.points + dt * sum(c * k for c, k in zip(RK45.B, slopes) if c)
        slopes.append(self._velocity(points))
        difference = dt * sum(c * k for c, k in zip(RK45.E, slopes) if c)
        return points, self._error(difference, self.points)
