"""Conic particles: weights that grow and positions that move, for `wgf.FisherRao`."""

import numpy as np
from scipy.integrate import RK45

from wgf import checks
from wgf.flows import FisherRao
from wgf.lagrangian.empirical import EmpiricalFunctional, share_of
from wgf.lagrangian.runge_kutta import AdaptiveStepper
from wgf.measures.particles import Particles

RETRACTIONS = ("mirror", "canonical")


class Conic:
    """Particles ``(r, x)`` of mass ``r^2``: ``r' = -2 growth J' r``, ``x' = -transport ∇J'``.

    Parameters
    ----------
    retraction : {"mirror", "canonical"}
        Coordinate of the mass in which a step is straight: ``log r`` (mass stays positive for any
        step) or ``r`` itself.
    step : float, optional
        Fixed step of the fifth-order Dormand-Prince formula, without error control.
    tolerance : float
        Largest error of a coordinate in one step otherwise, relative to ``1 + |coordinate|``.
    """

    needs = "particles"

    def __init__(self, retraction="mirror", step=None, tolerance=1e-8):
        self.retraction = checks.one_of("conic retraction", retraction, RETRACTIONS)
        self.step = None if step is None else checks.number("conic step", step, above=0)
        self.tolerance = checks.number("conic tolerance", tolerance, above=0)

    def prepare(self, flow, start):
        """Return a stepper for `flow` from the particles `start`."""
        checks.instance("conic flow", flow, FisherRao)
        checks.instance("conic start", start, Particles)
        start = _signs(flow, start)
        flow.check(start)
        if not start.weights.min() > 0:
            raise checks.InputError(
                f"conic start: the weight {start.weights.min():g} cannot grow, leave such "
                "particles out"
            )
        return _Stepper(self, flow, start)

    def __repr__(self):
        return (
            f"Conic(retraction={self.retraction!r}, step={self.step!r}, "
            f"tolerance={self.tolerance:g})"
        )


def _signs(flow, start):
    """Return the particles with amplitudes -1 and +1 if they were drawn within two such cells."""
    domain = start.domain
    if not flow.signed or domain is None or list(domain.axes[0].centers) != [-1.0, 1.0]:
        return start
    points = start.points.copy()
    points[:, 0] = np.where(points[:, 0] > 0, 1.0, -1.0)
    return Particles(points, start.weights, domain=domain)


class _Stepper(AdaptiveStepper):
    """State: one row ``(u, x)`` a particle, ``u = log r`` or ``r``; `points` holds these rows."""

    order = 5

    def __init__(self, method, flow, start):
        self.method = method
        self.flow = flow
        self.empirical = EmpiricalFunctional(flow, start, share_of(flow, len(start.points)))
        own = self.empirical.share.own
        radius = np.sqrt(start.weights[own])
        column = np.log(radius) if method.retraction == "mirror" else radius
        self.points = np.column_stack([column, self.empirical.confine(start.points[own])])
        self.time = 0.0
        self.step = method.step
        self._enter(0.0, None, 0)
        if self.step is None:
            speed = np.abs(self.velocity)
            scale = method.tolerance ** (1 / 6) * (1 + np.abs(self.points))
            fastest = self.empirical.share.largest(speed / scale)
            self.step = float(min(1.0, 1.0 / max(fastest, 1e-300)))

    def _open(self, rows):
        """Return weights and positions of state rows, positions confined."""
        column = rows[:, 0]
        weights = np.exp(2 * column) if self.method.retraction == "mirror" else column**2
        return weights, self.empirical.confine(rows[:, 1:])

    def _evaluate(self, rows):
        """Return ``(weights, x, outputs, J', velocity of the rows)``."""
        empirical = self.empirical
        weights, x = self._open(rows)
        empirical.weights = weights
        outputs = empirical.outputs(x)
        gradient = empirical.smooth_gradient(x, outputs)
        potential = empirical.potential(x, outputs)
        velocity = np.empty_like(rows)
        factor = 1.0 if self.method.retraction == "mirror" else rows[:, 0]
        velocity[:, 0] = -2 * self.flow.growth * potential * factor
        velocity[:, 1:] = -empirical.mobility * gradient
        return weights, x, outputs, potential, velocity

    def _enter(self, dt, previous, rejected):
        empirical = self.empirical
        weights, x, self.outputs, potential, self.velocity = self._evaluate(self.points)
        self.points[:, 1:] = x
        parts = empirical.parts(x, self.outputs)
        moving = np.divide(
            self.velocity[:, 1:] ** 2,
            empirical.mobility,
            where=empirical.mobility > 0,
            out=np.zeros_like(x),
        )
        squares = 4 * self.flow.growth * potential**2 + moving.sum(axis=1)
        self.dissipation = empirical.share.sum(weights * squares)
        mean = self.dissipation if previous is None else 0.5 * (previous + self.dissipation)
        self.row = {"t": self.time, "dt": dt, "mass": empirical.share.sum(weights)}
        self.row["objective"] = float(sum(parts.values()))
        self.row.update(parts)
        self.row.update(dissipation=mean, rejected=rejected)

    @property
    def measure(self):
        """The current particles (a copy), on ranks that keep no snapshots None."""
        rows = self.empirical.share.gathered(self.points)
        if rows is None:
            return None
        weights, x = self._open(rows)
        return Particles(x, weights, domain=self.empirical.domain)

    def _confine(self, rows):
        return np.column_stack([rows[:, 0], self.empirical.confine(rows[:, 1:])])

    def _attempt(self, dt):
        slopes = [self.velocity]
        for row in RK45.A[1:]:
            shift = sum(c * k for c, k in zip(row, slopes) if c)
            slopes.append(self._evaluate(self.points + dt * shift)[4])
        rows = self.points + dt * sum(c * k for c, k in zip(RK45.B, slopes) if c)
        if self.method.step is not None:
            return rows, 0.9**self.order
        slopes.append(self._evaluate(rows)[4])
        difference = dt * sum(c * k for c, k in zip(RK45.E, slopes) if c)
        return rows, self._error(difference, self.points)

    def restart(self):
        return {**super().restart(), "rows": self.empirical.share.gathered(self.points)}

    def restore(self, saved):
        self.points = np.array(saved["rows"])[self.empirical.share.own]
        super().restore(saved)
        self._evaluate_state()

    def _evaluate_state(self):
        row = self.row
        self._enter(0.0, None, 0)
        self.row = row
