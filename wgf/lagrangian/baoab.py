"""Particles with momentum: the underdamped Langevin equation and the heavy-ball iteration."""

import json
import math
from typing import Any

import numpy as np

from wgf import checks
from wgf.flows import HeavyBall
from wgf.lagrangian import curvature
from wgf.lagrangian.particles import ParticleMethod, ParticleStepper, noise_of
from wgf.lagrangian.stochastic_gradient import Batches
from wgf.measures.particles import Particles
from wgf.stepping import Diagnosis, Fixed, Trial

# of the scale of an axis: longest way of a step that is chosen
CROSSED = 0.25


class _WithMomentum(ParticleMethod):
    """What both methods are given."""

    flow = HeavyBall
    timed = True

    def __init__(
        self,
        step: float | None = None,
        seed: int = 0,
        batch: int | None = None,
        look: int | None = None,
    ):
        what = self.title
        self.step = None if step is None else checks.number(f"{what} step", step, above=0)
        self.seed = checks.whole(f"{what} seed", seed)
        self.batch = None if batch is None else checks.whole(f"{what} batch", batch, minimum=1)
        self.look = None if look is None else checks.whole(f"{what} look", look, minimum=1)

    def check(self, flow: HeavyBall, start: Particles) -> None:
        super().check(flow, start)
        if self.batch is not None:
            Batches(flow, self.batch)

    def __repr__(self):
        told = {"batch": self.batch, "look": self.look}
        tail = "".join(f", {k}={v}" for k, v in told.items() if v is not None)
        step = None if self.step is None else f"{self.step:g}"
        return f"{type(self).__name__}(step={step}, seed={self.seed}{tail})"


class Baoab(_WithMomentum):
    """Splitting of the underdamped Langevin equation for `wgf.HeavyBall`, weak order 2.

    Half a kick by the force, half a drift, friction and noise exactly, half a drift, half a kick:
    one gradient a step. Without noise this is a second-order method for the heavy ball, and
    without friction the velocity Verlet method.

    Parameters
    ----------
    step : float, optional
        Largest step. By default it follows the force: a tenth of the shortest period over 2 pi, at
        most a fifth of ``1 / friction``, and so short that no step crosses a quarter of the spread.
    seed : int
        Seed of the generators of the run; their state is stored, so that a continued run draws the
        numbers that it would have drawn.
    batch : int, optional
        Samples a step, drawn anew for every gradient as `wgf.StochasticGradient` does; all of them
        by default.
    look : int, optional
        Steps between two rows of diagnostics, which evaluate the functional itself: 1 by default,
        with batches one pass through the samples, or 100 steps of fresh ones.

    Raises
    ------
    InputError
        At the start of the run, for a step with which the curvature there is unstable.

    Notes
    -----
    Particles without velocities start at rest, see `wgf.maxwellian`. A wall reverses the
    velocity. At a kink of an l1 penalty the force is the element of least norm. Particles have no
    density: the column ``lyapunov`` leaves the entropy out, and ``dissipation`` is the energy that
    friction takes, less what the noise gives; ``residual`` holds what random batches give and take.
    Source of the splitting: Leimkuhler & Matthews.
    """

    title = "baoab"

    def check(self, flow: HeavyBall, start: Particles) -> None:
        super().check(flow, start)
        term = self.kinks(flow, start).term
        if term is not None:
            raise checks.InputError(
                f"baoab: the term {term.name} is not smooth and this method needs a force, use "
                "wgf.HeavyBallParticles"
            )

    def stepper(self, flow: HeavyBall, start: Particles, world: Any) -> "_Splitting":
        """Return a stepper for `flow` from the particles `start`."""
        return _Splitting(self, flow, start, world)


class HeavyBallParticles(_WithMomentum):
    """Heavy-ball iteration ``theta_{k+1} = theta_k + b (theta_k - theta_{k-1}) - eta ∇F'``.

    With ``eta = h^2`` and ``b = 1 - gamma h`` it follows `wgf.HeavyBall` of friction ``gamma`` at
    temperature 0 with the step ``h``, to first order. An l1 penalty acts by its proximal map.

    Parameters
    ----------
    step : float, optional
        ``h``, at most ``1 / gamma``; the last step before a snapshot may be shorter. By default a
        twentieth of the shortest period over 2 pi, at most a tenth of ``1 / gamma``.
    seed, batch, look
        As for `Baoab`.

    Notes
    -----
    The velocity is ``r_k = (theta_k - theta_{k-1}) / h``.
    """

    title = "heavy ball"

    def check(self, flow: HeavyBall, start: Particles) -> None:
        super().check(flow, start)
        if flow.temperature > 0 or flow.schedule is not None:
            raise checks.InputError(
                f"heavy ball iteration: it has no noise for the temperature {flow.temperature:g}, "
                "use wgf.Baoab"
            )
        if self.step is not None and flow.friction * self.step > 1:
            raise checks.InputError(
                f"heavy ball step: {self.step:g} with friction {flow.friction:g} makes the "
                f"momentum negative, give at most {1 / flow.friction:g}"
            )

    def stepper(self, flow: HeavyBall, start: Particles, world: Any) -> "_Iteration":
        """Return a stepper for `flow` from the particles `start`."""
        return _Iteration(self, flow, start, world)


class _MomentumStepper(ParticleStepper):
    """State and bookkeeping of both methods: positions, velocities and the gradient there.

    Subclasses give ``step(dt)``, which moves particles, calls `evaluate` and returns the energy
    that friction took.
    """

    remedy = "take a smaller step"

    def __init__(self, method, flow, start, world):
        # an attempt makes `look` equal steps, at most as far as an output time
        super().__init__(flow, start, world, Fixed(math.inf))
        # time of the last step within an attempt
        self.now = 0.0
        self.scales, self.chosen = start.scales, method.step is None
        self.longest = method.step
        self.velocities = np.zeros(self.points.shape)
        if start.velocities is not None:
            self.velocities[:] = start.velocities[self.partition.own]
        self.mobility = self.empirical.mobility
        # frozen axes take no part, whatever the velocities along them
        self.moving = (self.mobility > 0).astype(float)
        self.inverse = np.divide(1.0, self.mobility, out=np.zeros_like(self.moving),
                                 where=self.mobility > 0)  # fmt: skip
        self.saved, self.batches = {"longest": "longest"} if self.chosen else {}, None
        self.look = method.look or 1
        self.generator = noise_of(method.seed)
        if method.batch is not None:
            self.saved["batches"] = "batches_state"
            self.batches = Batches(flow, method.batch)
            self.look = method.look or self.batches.steps
            # the generator of the batches, and its state before it drew the last one
            self.draws, self.batches_state = np.random.default_rng([method.seed, 1]), None
        noise = flow.temperature * float(self.empirical.mass * self.moving.sum())
        self._look_at_curvature(method)
        self.evaluate()
        self.begin(flow.friction * (2 * self.kinetic() - noise))

    def _look_at_curvature(self, method):
        """Choose the first step, or refuse one that is unstable at the start."""
        empirical = self.empirical
        gradient = empirical.smooth_gradient(self.points, empirical.outputs(self.points))
        rates = curvature.rates(empirical, self.points, gradient, self.scales)
        if self.chosen:
            self.longest = self.chosen_step(rates.fastest)
        else:
            momentum = 2 - self.lag * self.flow.friction * method.step
            # a step h is stable for h^2 times the curvature below twice the momentum and 1
            product = method.step * math.sqrt(2 * rates.decay / momentum)
            largest = 2 / max(product, 1e-300) * method.step
            rates.refuse(method.title, method.step, product, largest)

    def chosen_step(self, rate: float) -> float:
        """Return the step for the largest rate at which the force changes."""
        flow, fraction = self.flow, self.fraction
        bounds = [
            fraction / math.sqrt(max(rate, 1e-300)),
            2 * fraction / max(flow.friction, 1e-300),
        ]
        # nothing crosses the scale on which the force was looked at
        speeds = np.sqrt(np.maximum(self._mean_squares(), flow.temperature * self.mobility))
        fastest = float(np.max(self.moving * speeds / self.scales))
        return min(*bounds, CROSSED / max(fastest, 1e-300))

    def _mean_squares(self):
        """Return the mean square of the velocities along every axis."""
        total = [self.partition.sum(column**2) for column in self.velocities.T]
        return np.array(total) / len(self.partition)

    def kinetic(self):
        """Return ``∫ sum_i r_i^2 / (2 M_i) drho``."""
        squares = self.velocities**2 @ self.inverse
        return 0.5 * self.partition.sum(self.empirical.weights * squares)

    def evaluate(self) -> None:
        """Evaluate the gradient at the points, over a new batch if there are any."""
        empirical = self.empirical
        empirical.move(self.now)
        if self.batches is None:
            self.outputs = empirical.outputs(self.points)
            self.gradient = empirical.smooth_gradient(self.points, self.outputs)
        else:
            self.batches_state = json.dumps(self.draws.bit_generator.state)
            self.gradient = self.batches.gradient(empirical, self.points, self.draws)

    def attempt(self, dt: float) -> Trial:
        # as many equal steps as lead to the output time
        count = max(1, math.ceil(dt / self.longest - 1e-9))
        dt, count = dt / count, min(count, self.look)
        before = self.points, self.gradient
        lost, gained, self.now = 0.0, 0.0, self.time
        for k in range(count):
            states = self.points, self.outputs
            last, self.now = self.now, self.time + (k + 1) * dt
            lost += self.step(dt)
            both = states, (self.points, self.outputs)
            gained += sum(self.gained_between(last, self.now, *state) for state in both)
        if self.chosen and self.batches is None:
            rate = curvature.steepest(self.empirical, self.points, self.gradient, *before)
            wanted = self.chosen_step(rate)
            # the step is changed where it must be: equal steps keep what the scheme keeps
            if wanted < 0.5 * self.longest or wanted > 4.0 * self.longest:
                self.longest = min(wanted, 2.0 * self.longest)
        made = count * dt
        return Trial(made=made, dissipation=lost / made, explicit=0.5 * gained / made)

    def step(self, dt: float) -> float:
        """Make one step and return the energy that friction took."""
        raise TypeError(f"{type(self).__name__} makes no step, define step(dt)")

    def commit(self, trial: Trial) -> None:
        """Leave the state where the steps of the attempt ended."""

    def diagnose(self) -> Diagnosis:
        if self.batches is not None:
            # over all samples: steps saw a batch only
            self.outputs = self.empirical.outputs(self.points)
        found = super().diagnose()
        kinetic = self.kinetic()
        energy = float(sum(found.parts.values())) + kinetic
        found.energies = {"kinetic": kinetic, "lyapunov": energy}
        return found

    def place(self, state: np.ndarray) -> None:
        """Put the particles at `state`, wrapped on periods; a wall reverses the velocity."""
        self.points, domain = state, self.empirical.domain
        if domain is not None:
            self.points, turned = domain.reflect(state)
            np.negative(self.velocities, out=self.velocities, where=turned)

    def resumed(self) -> None:
        self.now = self.time
        if self.batches is None:
            super().resumed()
        if self.batches is not None:
            self.draws.bit_generator.state = json.loads(self.batches_state)
            self.evaluate()


class _Splitting(_MomentumStepper):
    # of the step in units of the shortest time; and whether the friction makes it unstable earlier
    fraction, lag = 0.1, 0.0

    def __init__(self, method, flow, start, world):
        super().__init__(method, flow, start, world)
        self.saved["generator"] = "generator_state"

    def _kick(self, time):
        slope = self.empirical.kinks.slope(self.points, self.gradient)
        self.velocities = self.velocities - time * self.mobility * slope

    def _drift(self, time):
        self.place(self.points + time * self.moving * self.velocities)

    def _rub(self, dt):
        """Let friction and noise act; return the energy they take."""
        flow = self.flow
        if flow.friction == 0:
            return 0.0
        before = self.kinetic()
        self.velocities = np.exp(-flow.friction * dt * self.moving) * self.velocities
        temperature = flow.temperature_at(self.now - 0.5 * dt)
        if temperature > 0:
            variance = -np.expm1(-2 * flow.friction * dt) * temperature * self.mobility
            noise = self.partition.normal(self.generator, self.points.shape[1])
            self.velocities += np.sqrt(variance) * noise
        return before - self.kinetic()

    def step(self, dt: float) -> float:
        self._kick(0.5 * dt)
        self._drift(0.5 * dt)
        lost = self._rub(dt)
        self._drift(0.5 * dt)
        self.evaluate()
        self._kick(0.5 * dt)
        return lost


class _Iteration(_MomentumStepper):
    fraction, lag = 0.05, 1.0

    def step(self, dt: float) -> float:
        friction, before = self.flow.friction, self.points
        rate = friction * 2 * self.kinetic()
        momentum = (1 - friction * dt) * self.moving * self.velocities
        points = before + dt * (momentum - dt * self.mobility * self.gradient)
        points = self.empirical.kinks.prox(points, dt**2)
        self.velocities = np.where(self.moving, (points - before) / dt, self.velocities)
        self.place(points)
        self.evaluate()
        return 0.5 * dt * (rate + friction * 2 * self.kinetic())
