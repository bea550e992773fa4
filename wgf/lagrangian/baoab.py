"""Particles with momentum: the underdamped Langevin equation and the heavy-ball iteration."""

import json
import math

import numpy as np

from wgf import checks
from wgf.flows import HeavyBall
from wgf.functional.functional import least_norm
from wgf.lagrangian.empirical import EmpiricalFunctional, Seeded, share_of
from wgf.lagrangian.stochastic_gradient import Batches
from wgf.measures.particles import Particles


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
        Seed of the generators of the run; their state is stored, so that a continued run draws the
        numbers that it would have drawn.
    batch : int, optional
        Samples a step, drawn anew for every gradient as `wgf.StochasticGradient` does; all of them
        by default.
    look : int, optional
        Steps between two rows of diagnostics, which evaluate the functional itself: 1 by default,
        with batches one pass through the samples, or 100 steps of fresh ones.

    Notes
    -----
    Particles without velocities start at rest, see `wgf.maxwellian`. A wall turns the velocity
    round. At a kink of an l1 penalty the force is the element of least norm. Particles have no
    density: the column ``lyapunov`` leaves the entropy out, and ``dissipation`` is the energy that
    friction takes, less what the noise gives; ``residual`` holds what random batches give and take.
    Source of the splitting: Leimkuhler & Matthews.
    """

    needs = "particles"

    def __init__(self, step=1e-2, seed=0, batch=None, look=None):
        self.step = checks.number("baoab step", step, above=0)
        _sampling(self, "baoab", seed, batch, look)

    def prepare(self, flow, start):
        """Return a stepper for `flow` from the particles `start`."""
        checks.instance("baoab flow", flow, HeavyBall)
        checks.instance("baoab start", start, Particles)
        return _Splitting(self, flow, start)

    def __repr__(self):
        return f"Baoab(step={self.step:g}, {_told(self)})"


class HeavyBallParticles:
    """Heavy-ball iteration ``theta_{k+1} = theta_k + b (theta_k - theta_{k-1}) - eta ∇F'``.

    With ``eta = h^2`` and ``b = 1 - gamma h`` it follows `wgf.HeavyBall` of friction ``gamma`` at
    temperature 0 with the step ``h``, to first order. An l1 penalty acts by its proximal map.

    Parameters
    ----------
    step : float
        ``h``, at most ``1 / gamma``; the last step before a snapshot may be shorter.
    seed, batch, look
        As for `Baoab`.

    Notes
    -----
    The velocity is ``r_k = (theta_k - theta_{k-1}) / h``.
    """

    needs = "particles"

    def __init__(self, step=1e-2, seed=0, batch=None, look=None):
        self.step = checks.number("heavy ball step", step, above=0)
        _sampling(self, "heavy ball", seed, batch, look)

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
        return f"HeavyBallParticles(step={self.step:g}, {_told(self)})"


def _sampling(method, what, seed, batch, look):
    method.seed = checks.whole(f"{what} seed", seed)
    method.batch = None if batch is None else checks.whole(f"{what} batch", batch, minimum=1)
    method.look = None if look is None else checks.whole(f"{what} look", look, minimum=1)


def _told(method):
    told = {"batch": method.batch, "look": method.look}
    return f"seed={method.seed}" + "".join(f", {k}={v}" for k, v in told.items() if v is not None)


class _MomentumStepper:
    """State and bookkeeping of both methods: positions, velocities and the gradient there.

    Subclasses give ``_step(dt)``, which moves particles, calls `_slope` and returns the energy
    that friction took.
    """

    def __init__(self, method, flow, start):
        self.method, self.flow = method, flow
        self.empirical = empirical = EmpiricalFunctional(
            flow, start, share_of(flow, len(start.points))
        )
        own = empirical.share.own
        self.points = empirical.confine(start.points[own])
        known = start.velocities is not None
        self.velocities = start.velocities[own].copy() if known else np.zeros(self.points.shape)
        self.mobility = empirical.mobility
        # frozen axes take no part, whatever the velocities along them
        self.moving = (self.mobility > 0).astype(float)
        self.inverse = np.divide(1.0, self.mobility, out=np.zeros_like(self.moving),
                                 where=self.mobility > 0)  # fmt: skip
        self.batches = None if method.batch is None else Batches(flow, method.batch)
        # the generator of the batches, and its state before it drew the last one
        self.draws = np.random.default_rng([method.seed, 1])
        self.drawn = None
        self.look = method.look or (1 if self.batches is None else self.batches.steps)
        self.time = 0.0
        mass = empirical.share.sum(empirical.weights)
        noise = flow.temperature * float(mass * self.moving.sum())
        self._slope()
        self._enter(0.0, flow.friction * (2 * self.kinetic() - noise))

    def kinetic(self):
        """Return ``∫ sum_i r_i^2 / (2 M_i) drho``."""
        squares = self.velocities**2 @ self.inverse
        return 0.5 * self.empirical.share.sum(self.empirical.weights * squares)

    def _slope(self):
        """Evaluate the gradient at the points, over a new batch if there are any."""
        empirical = self.empirical
        if self.batches is None:
            self.outputs = empirical.outputs(self.points)
            self.gradient = empirical.smooth_gradient(self.points, self.outputs)
        else:
            self.drawn = json.dumps(self.draws.bit_generator.state)
            self.gradient = self.batches.gradient(empirical, self.points, self.draws)

    def _enter(self, dt, dissipation):
        """Fill the row of diagnostics of the current state."""
        empirical = self.empirical
        if self.batches is not None:
            self.outputs = empirical.outputs(self.points)
        parts = empirical.parts(self.points, self.outputs)
        kinetic, objective = self.kinetic(), float(sum(parts.values()))
        row = {"t": self.time, "dt": dt, "mass": empirical.share.sum(empirical.weights)}
        row["objective"] = objective
        row.update(parts)
        row.update(kinetic=kinetic, lyapunov=objective + kinetic)
        row.update(dissipation=dissipation, rejected=0)
        self.row = row

    def advance(self, limit):
        """Make up to `look` steps within the time `limit` and return a row of diagnostics.

        Raises
        ------
        NumericalError
            If the functional is not finite.
        """
        # as many equal steps as lead to the limit
        count = max(1, math.ceil(limit / self.method.step - 1e-9))
        dt, count = limit / count, min(count, self.look)
        lost = sum(self._step(dt) for _ in range(count))
        self.time += count * dt
        self._enter(count * dt, lost / (count * dt))
        checks.finite_objective(self.row, dt, "take a smaller step")
        return self.row

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
        """The current particles with their velocities, on ranks that keep no snapshots None."""
        empirical = self.empirical
        points, velocities = map(empirical.share.gathered, (self.points, self.velocities))
        if points is None:
            return None
        return Particles(points, empirical.all_weights, velocities, empirical.domain)

    @property
    def output(self):
        """Model output of the first risk, or None."""
        return self.outputs[0] if self.outputs else None

    def restart(self):
        """Return everything but the particles that a bit-identical continuation needs."""
        saved = {"time": self.time, **{f"row_{name}": value for name, value in self.row.items()}}
        return saved if self.batches is None else {**saved, "batches": self.drawn}

    def restore(self, saved):
        """Continue from what `restart` returned, the particles being the start."""
        self.time = float(saved["time"])
        self.row = {name: float(saved[f"row_{name}"]) for name in self.row}
        if self.batches is not None:
            self.draws.bit_generator.state = json.loads(saved["batches"])
            self._slope()


class _Splitting(Seeded, _MomentumStepper):
    def __init__(self, method, flow, start):
        self.generator = np.random.default_rng(method.seed)
        super().__init__(method, flow, start)

    def _kick(self, time):
        slope = least_norm(self.gradient, self.points, self.empirical.kink)
        self.velocities = self.velocities - time * self.mobility * slope

    def _drift(self, time):
        self._move(self.points + time * self.moving * self.velocities)

    def _rub(self, dt):
        """Let friction and noise act; return the energy they take."""
        flow = self.flow
        if flow.friction == 0:
            return 0.0
        before = self.kinetic()
        self.velocities = np.exp(-flow.friction * dt * self.moving) * self.velocities
        if flow.temperature > 0:
            share = -np.expm1(-2 * flow.friction * dt) * flow.temperature * self.mobility
            noise = self.empirical.share.normal(self.generator, self.points.shape[1])
            self.velocities += np.sqrt(share) * noise
        return before - self.kinetic()

    def _step(self, dt):
        self._kick(0.5 * dt)
        self._drift(0.5 * dt)
        lost = self._rub(dt)
        self._drift(0.5 * dt)
        self._slope()
        self._kick(0.5 * dt)
        return lost


class _Iteration(_MomentumStepper):
    def _step(self, dt):
        friction, before = self.flow.friction, self.points
        rate = friction * 2 * self.kinetic()
        momentum = (1 - friction * dt) * self.moving * self.velocities
        points = before + dt * (momentum - dt * self.mobility * self.gradient)
        points = self.empirical.prox(points, dt**2)
        self.velocities = np.where(self.moving, (points - before) / dt, self.velocities)
        self._move(points)
        self._slope()
        return 0.5 * dt * (rate + friction * 2 * self.kinetic())
