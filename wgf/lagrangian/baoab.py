"""Particles with momentum: the underdamped Langevin equation and the heavy-ball iteration."""

import json

import numpy as np

from wgf import checks
from wgf.flows import HeavyBall
from wgf.functional import least_norm
from wgf.lagrangian.empirical import EmpiricalFunctional
from wgf.measure import Particles


class Baoab:
    """Splitting of the underdamped Langevin equation for `wgf.HeavyBall`, weak order 2.

    Half a kick by the force, half a drift, friction and noise exactly, half a drift, half a kick:
    one gradient a step. Without noise this is a second-order method for the heavy ball, and
    without friction the velocity Verlet method.

    Parameters
    ----------
    step : float
        Largest step.
    seed : int
        Seed of the one generator of the run; its state is stored, so that a continued run draws
        the numbers that it would have drawn.

    Notes
    -----
    Particles without velocities start at rest, see `wgf.maxwellian`. A wall turns the velocity
    round. At a kink of an l1 penalty the force is the element of least norm. Particles have no
    density: the column ``lyapunov`` leaves the entropy out, and ``dissipation`` is the energy that
    friction takes, less what the noise gives. Source of the splitting: Leimkuhler & Matthews.
    """

    needs = "particles"

    def __init__(self, step=1e-2, seed=0):
        self.step = checks.number("baoab step", step, above=0)
        self.seed = checks.whole("baoab seed", seed)

    def prepare(self, flow, start):
        """Return a stepper for `flow` from the particles `start`."""
        checks.instance("baoab flow", flow, HeavyBall)
        checks.instance("baoab start", start, Particles)
        return _Splitting(self, flow, start)

    def __repr__(self):
        return f"Baoab(step={self.step:g}, seed={self.seed})"


class HeavyBallParticles:
    """Heavy-ball iteration ``theta_{k+1} = theta_k + b (theta_k - theta_{k-1}) - eta ∇F'``.

    With ``eta = h^2`` and ``b = 1 - gamma h`` it follows `wgf.HeavyBall` of friction ``gamma`` at
    temperature 0 with the step ``h``, to first order. An l1 penalty acts by its proximal map.

    Parameters
    ----------
    step : float
        ``h``, at most ``1 / gamma``; the last step before a snapshot may be shorter.

    Notes
    -----
    The velocity is ``r_k = (theta_k - theta_{k-1}) / h``.
    """

    needs = "particles"

    def __init__(self, step=1e-2):
        self.step = checks.number("heavy ball step", step, above=0)

    def prepare(self, flow, start):
        """Return a stepper for `flow` from the particles `start`."""
        checks.instance("heavy ball flow", flow, HeavyBall)
        checks.instance("heavy ball start", start, Particles)
        if flow.temperature > 0:
            raise checks.InputError(
                f"heavy ball iteration: it has no noise for the temperature {flow.temperature:g}, "
                "use wgf.Baoab"
            )
        if flow.friction * self.step > 1:
            raise checks.InputError(
                f"heavy ball step: {self.step:g} with friction {flow.friction:g} makes the "
                f"momentum negative, give at most {1 / flow.friction:g}"
            )
        return _Iteration(self, flow, start)

    def __repr__(self):
        return f"HeavyBallParticles(step={self.step:g})"


class _MomentumStepper:
    """State and bookkeeping of both methods: positions, velocities and the gradient there."""

    def __init__(self, method, flow, start):
        self.method, self.flow = method, flow
        self.empirical = EmpiricalFunctional(flow, start)
        self.points = self.empirical.confine(start.points)
        known = start.velocities is not None
        self.velocities = start.velocities.copy() if known else np.zeros(start.points.shape)
        self.time = 0.0
        self._enter(0.0, flow.friction * 2 * self.kinetic())

    def kinetic(self):
        """Return ``∫ |r|^2 / 2 drho``."""
        return 0.5 * float(np.sum(self.empirical.weights * np.sum(self.velocities**2, axis=1)))

    def _enter(self, dt, dissipation):
        """Evaluate output, gradient and diagnostics of the current state."""
        empirical = self.empirical
        self.outputs = empirical.outputs(self.points)
        self.gradient = empirical.smooth_gradient(self.points, self.outputs)
        parts = empirical.parts(self.points, self.outputs)
        kinetic, objective = self.kinetic(), float(sum(parts.values()))
        row = {"t": self.time, "dt": dt, "mass": float(empirical.weights.sum())}
        row["objective"] = objective
        row.update(parts)
        row.update(kinetic=kinetic, lyapunov=objective + kinetic)
        row.update(dissipation=dissipation, rejected=0)
        self.row = row

    def _check(self, dt):
        if not np.isfinite(self.row["objective"]):
            raise checks.NumericalError(
                f"objective: {self.row['objective']} at t={self.time:g} with dt={dt:g}, take a "
                "smaller step"
            )

    def _step(self, limit):
        # as many equal steps as lead to the limit
        return limit / max(1, int(np.ceil(limit / self.method.step - 1e-9)))

    def _move(self, points):
        """Put the particles at `points`, wrapped on periods; a wall turns the velocity round."""
        domain = self.empirical.domain
        if domain is None:
            self.points = points
            return
        for i, axis in enumerate(domain.axes):
            if axis.periodic:
                continue
            way = np.mod(points[:, i] - axis.lower, 2 * axis.length)
            back = way > axis.length
            points[:, i] = axis.lower + np.where(back, 2 * axis.length - way, way)
            self.velocities[back, i] *= -1
        self.points = domain.confine(points)

    @property
    def measure(self):
        """The current particles with their velocities (a copy)."""
        return Particles(
            self.points.copy(),
            self.empirical.weights,
            self.velocities.copy(),
            self.empirical.domain,
        )

    @property
    def output(self):
        """Model output of the first risk, or None."""
        return self.outputs[0] if self.outputs else None

    def restart(self):
        """Return everything but the particles that a bit-identical continuation needs."""
        return {"time": self.time, **{f"row_{name}": value for name, value in self.row.items()}}

    def restore(self, saved):
        """Continue from what `restart` returned, the particles being the start."""
        self.time = float(saved["time"])
        self.row = {name: float(saved[f"row_{name}"]) for name in self.row}


class _Splitting(_MomentumStepper):
    def __init__(self, method, flow, start):
        self.generator = np.random.default_rng(method.seed)
        super().__init__(method, flow, start)

    def _kick(self, time):
        slope = least_norm(self.gradient, self.points, self.empirical.kink)
        self.velocities = self.velocities - time * slope

    def advance(self, limit):
        """Make one step of at most `limit` and return its row of diagnostics."""
        dt, flow = self._step(limit), self.flow
        self._kick(0.5 * dt)
        self._move(self.points + 0.5 * dt * self.velocities)
        before = self.kinetic()
        if flow.friction > 0:
            self.velocities = np.exp(-flow.friction * dt) * self.velocities
            if flow.temperature > 0:
                share = np.sqrt(-np.expm1(-2 * flow.friction * dt) * flow.temperature)
                self.velocities += share * self.generator.normal(size=self.points.shape)
        dissipation = (before - self.kinetic()) / dt
        self._move(self.points + 0.5 * dt * self.velocities)
        self.time += dt
        # the second kick needs the new gradient, the row what follows it
        self._enter(dt, dissipation)
        self._kick(0.5 * dt)
        kinetic = self.kinetic()
        self.row.update(kinetic=kinetic, lyapunov=self.row["objective"] + kinetic)
        self._check(dt)
        return self.row

    def restart(self):
        """Return everything but the particles that a bit-identical continuation needs."""
        state = json.dumps(self.generator.bit_generator.state)
        return {**super().restart(), "generator": state}

    def restore(self, saved):
        """Continue from what `restart` returned, the particles being the start."""
        super().restore(saved)
        self.generator.bit_generator.state = json.loads(saved["generator"])


class _Iteration(_MomentumStepper):
    def advance(self, limit):
        """Make one step of at most `limit` and return its row of diagnostics."""
        dt, friction = self._step(limit), self.flow.friction
        rate = friction * 2 * self.kinetic()
        before = self.points
        momentum = (1 - friction * dt) * self.velocities
        points = before + dt * (momentum - dt * self.gradient)
        points = self.empirical.prox(points, dt**2)
        self.velocities = (points - before) / dt
        self._move(points)
        self.time += dt
        mean = 0.5 * (rate + friction * 2 * self.kinetic())
        self._enter(dt, mean)
        self._check(dt)
        return self.row
