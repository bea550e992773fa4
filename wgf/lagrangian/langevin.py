"""Noise for particles: the entropy of the functional as Brownian motion."""

from typing import Any, ClassVar

import numpy as np

from wgf import checks
from wgf.functional.forms import Diffusion, Local
from wgf.lagrangian.particles import ParticleMethod, ParticleStepper, Stored, noise_of
from wgf.measures.particles import Particles
from wgf.stepping import Trial


class Langevin(ParticleMethod):
    """Euler-Maruyama for ``dtheta_i = -∇F'(mu)(theta_i) dt + sqrt(2 eps) dB_i``.

    ``eps`` is the strength of the functional's `wgf.Entropy` and ``F'`` that of all other terms;
    an l1 penalty acts by its exact flow. Weak order 1 in the step.

    Parameters
    ----------
    step : float
        Largest step.
    seed : int
        Seed of the one generator of the run; its state is stored, so that a continued run draws
        the numbers that it would have drawn.

    Notes
    -----
    Particles have no density: the reported objective leaves the entropy out.
    """

    title = "langevin"
    forms = (*ParticleMethod.forms, Diffusion)
    remedies: ClassVar[dict[Any, str]] = {
        Local: "needs a density, use wgf.ImplicitFiniteVolume on a wgf.Density"
    }

    def __init__(self, step: float = 1e-2, seed: int = 0):
        self.step = checks.number("langevin step", step, above=0)
        self.seed = checks.whole("langevin seed", seed)

    def stepper(self, flow: Any, start: Particles, world: Any) -> "_Stepper":
        """Return a stepper for `flow` from the particles `start`."""
        return _Stepper(self, flow, start, world)

    def __repr__(self):
        return f"Langevin(step={self.step:g}, seed={self.seed})"


class _Stepper(ParticleStepper):
    saved: ClassVar[dict[str, str]] = {"generator": "generator_state"}
    remedy = "take a smaller step"

    def __init__(self, method, flow, start, world):
        super().__init__(flow, start, world, Stored(method.step))
        self.generator = noise_of(method.seed)
        noise = flow.functional.of_form(Diffusion)
        self.diffusion = sum(term.form().strength for term in noise)
        # noise raises the objective, which of particles has no entropy
        self.balanced = not self.diffusion
        self.enter()

    def attempt(self, dt: float) -> Trial:
        empirical = self.empirical
        noise = self.partition.normal(self.generator, self.points.shape[1])
        spread = np.sqrt(2 * dt * self.diffusion * empirical.mobility)
        points = self.points - dt * empirical.mobility * self.gradient + spread * noise
        return Trial(empirical.kinks.prox(points, dt))

    def place(self, state: np.ndarray) -> None:
        """Put the particles at `state`, reflected at walls as often as it takes."""
        domain = self.empirical.domain
        super().place(state if domain is None else domain.reflect(state)[0])
