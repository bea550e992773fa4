"""Noise for particles: the entropy of the functional as Brownian motion."""

from typing import Any, ClassVar

import numpy as np

from wgf import checks
from wgf.functional.forms import Diffusion, Local
from wgf.lagrangian import curvature
from wgf.lagrangian.particles import ParticleMethod, ParticleStepper, Stored, noise_of
from wgf.lagrangian.walls import diffused, walls
from wgf.measures.particles import Particles
from wgf.stepping import Trial
from wgf.stepping.control import Control

# of the fastest rate times a chosen step: the variance in a parabola is too large by half of it
SHARE = 0.05
# a step with more than that is made again
UNSTABLE = 1.0
GROWTH = 2.0
# of the noise of one step, in units of the spread of the cloud
NOISE = 0.25


class Langevin(ParticleMethod):
    """Euler-Maruyama for ``dtheta_i = -∇F'(mu)(theta_i) dt + sqrt(2 eps) dB_i``.

    ``eps`` is the strength of the functional's `wgf.Entropy` and ``F'`` that of all other terms;
    an l1 penalty acts by its exact flow. Weak order 1 in the step.

    Parameters
    ----------
    step : float, optional
        Largest step. By default it follows the curvature and the noise: a twentieth of the
        shortest time in which the force changes, which leaves variances in a parabola 2.5 percent
        too large, and so short that the noise of a step is at most a quarter of the spread.
    seed : int
        Seed of the one generator of the run; its state is stored, so that a continued run draws
        the numbers that it would have drawn.

    Raises
    ------
    InputError
        At the start of the run, for a step with which the curvature there is unstable.

    Notes
    -----
    Particles have no density: the reported objective leaves the entropy out. At a wall every step
    has the law of reflected Brownian motion with the drift of its beginning, so that densities are
    of order 1 in the step up to the wall. Source of the reflection: Lepingle 1995.
    """

    title = "langevin"
    timed = True
    forms = (*ParticleMethod.forms, Diffusion)
    remedies: ClassVar[dict[Any, str]] = {
        Local: "needs a density, use wgf.ImplicitFiniteVolume on a wgf.Density"
    }

    def __init__(self, step: float | None = None, seed: int = 0):
        self.step = None if step is None else checks.number("langevin step", step, above=0)
        self.seed = checks.whole("langevin seed", seed)

    def stepper(self, flow: Any, start: Particles, world: Any) -> "_Stepper":
        """Return a stepper for `flow` from the particles `start`."""
        return _Stepper(self, flow, start, world)

    def __repr__(self):
        step = None if self.step is None else f"{self.step:g}"
        return f"Langevin(step={step}, seed={self.seed})"


class Following(Control):
    """Steps that are a fraction of the shortest time in which the force changes.

    The error of a trial is the product of its step and the fastest rate that it met.
    """

    saved = ("step",)

    def __init__(self, step: float):
        self.step = step

    def propose(self, limit: float) -> float:
        return min(limit, self.step)

    def judge(self, dt: float, trial: Trial, rejected: int) -> bool:
        # the comparison is false for NaN
        if not trial.error <= UNSTABLE:
            self.step = 0.5 * dt
            return False
        longest = SHARE * dt / max(trial.error, 1e-300)
        if longest < self.step:
            self.step = longest
        elif dt == self.step:
            # no step is longer than that of one more doubling
            self.step = min(longest, GROWTH * dt)
        return True


class _Stepper(ParticleStepper):
    saved: ClassVar[dict[str, str]] = {"generator": "generator_state"}
    remedy = "take a smaller step"

    def __init__(self, method, flow, start, world):
        control = Following(np.inf) if method.step is None else Stored(method.step)
        super().__init__(flow, start, world, control)
        self.chosen, self.scales = method.step is None, start.scales
        self.generator = noise_of(method.seed)
        self.diffusion = self._diffusion(0.0)
        noise = flow.functional.of_form(Diffusion)
        # noise raises the objective, which of particles has no entropy
        self.balanced = not any(term.timed or term.form().strength for term in noise)
        empirical = self.empirical
        # a kink that no particle can cross is a drift
        strength = empirical.kinks.strength
        self.bias = np.zeros(len(strength))
        for k, axis in walls(empirical.domain):
            side = float(axis.lower >= 0) - float(axis.upper <= 0)
            self.bias[k] = side * strength[k]
        self.enter()
        rates = curvature.rates(empirical, self.points, self.gradient, self.scales)
        if self.chosen:
            control.step = self._longest(max(rates.fastest, self._at_kinks()))
        else:
            largest = 2 / max(rates.decay, 1e-300)
            rates.refuse("langevin", method.step, method.step * rates.decay, largest)

    def _diffusion(self, time):
        """Return the strength of the noise at a time."""
        noise = self.flow.functional.of_form(Diffusion)
        return sum(term.at(time).form().strength for term in noise)

    def _at_kinks(self):
        """Return the rate at which particles settle at a kink."""
        kinks = np.where(self.bias, 0.0, self.empirical.kinks.strength)
        rate = float(np.max(self.empirical.mobility * kinks**2))
        return rate / self.diffusion if rate > 0 and self.diffusion > 0 else 0.0

    def _longest(self, rate):
        """Return the longest step for a rate and the noise."""
        # the noise of a step, in units of the spread of the cloud or of an axis
        empirical = self.empirical
        count, variance = len(empirical.partition), 2 * self.diffusion * empirical.mobility
        spread = self.scales**2
        for k, column in enumerate(self.points.T):
            centre = empirical.partition.sum(column) / count
            around = empirical.partition.sum((column - centre) ** 2) / count
            spread[k] = max(spread[k], around)
        time = np.divide(spread, variance, out=np.full(len(spread), np.inf), where=variance > 0)
        return min(SHARE / max(rate, 1e-300), NOISE**2 * float(time.min()))

    def attempt(self, dt: float) -> Trial:
        empirical = self.empirical
        if self.timed:
            self._move(self.time + 0.5 * dt)
        drift = -dt * empirical.mobility * (self.gradient + self.bias)
        variance = 2 * dt * self.diffusion * empirical.mobility
        points = diffused(
            self.points, drift, variance, empirical.domain, self.generator, self.partition
        )
        if empirical.kinks.strength.any() or empirical.kinks.term is not None:
            points = np.where(self.bias, points, empirical.kinks.prox(points, dt))
        points = empirical.confine(points)
        outputs = empirical.outputs(points)
        if self.timed:
            self._move(self.time + dt)
        trial = Trial((points, outputs, empirical.smooth_gradient(points, outputs)))
        if self.chosen:
            rate = curvature.steepest(
                empirical, points, trial.result[2], self.points, self.gradient
            )
            trial.error = dt * max(rate, self._at_kinks())
            trial.error = max(trial.error, SHARE * dt / self._longest(0.0))
        return trial

    def _move(self, time):
        """Take the strengths of another time."""
        self.empirical.move(time)
        self.diffusion = self._diffusion(time)

    def commit(self, trial: Trial) -> None:
        before, gained = self.dissipation, self.gained()
        self.points, self.outputs, self.gradient = trial.result
        self.dissipation = self.dissipated()
        trial.dissipation = 0.5 * (before + self.dissipation)
        trial.explicit = self.risen(gained)

    def resumed(self) -> None:
        super().resumed()
        if self.timed:
            self._move(self.time)
