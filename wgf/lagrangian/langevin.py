"""Noise for particles: the entropy of the functional as Brownian motion."""

import numpy as np

from wgf import checks
from wgf.flows import GradientFlow
from wgf.lagrangian.empirical import ParticleStepper, Seeded
from wgf.measures.particles import Particles


class Langevin:
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

    needs = "particles"

    def __init__(self, step=1e-2, seed=0):
        self.step = checks.number("langevin step", step, above=0)
        self.seed = checks.whole("langevin seed", seed)

    def prepare(self, flow, start):
        """Return a stepper for `flow` from the particles `start`."""
        checks.instance("langevin flow", flow, GradientFlow)
        checks.instance("langevin start", start, Particles)
        for name, term in zip(flow.functional.part_names, flow.functional.terms):
            if term.local and not is_entropy(term):
                raise checks.InputError(
                    f"langevin: the term {name} needs a density, use "
                    "wgf.ImplicitFiniteVolume on a wgf.Density"
                )
        return _Stepper(self, flow, start)

    def __repr__(self):
        return f"Langevin(step={self.step:g}, seed={self.seed})"


def is_entropy(term):
    """Return whether a term is the entropy that noise stands for."""
    return term.local and not hasattr(term, "exponent") and hasattr(term, "strength")


class _Stepper(Seeded, ParticleStepper):
    noisy = True

    def __init__(self, method, flow, start):
        self.generator = np.random.default_rng(method.seed)
        self.diffusion = sum(t.strength for t in flow.functional.terms if is_entropy(t))
        super().__init__(method, flow, start)

    def _first_step(self):
        return self.method.step

    def advance(self, limit):
        """Make one step of at most `limit` and return its row of diagnostics."""
        dt = min(limit, self.step)
        empirical = self.empirical
        noise = empirical.share.normal(self.generator, self.points.shape[1])
        spread = np.sqrt(2 * dt * self.diffusion * empirical.mobility)
        points = self.points - dt * empirical.mobility * self.gradient + spread * noise
        previous = self.dissipation
        self.time += dt
        self.points = empirical.reflect(empirical.prox(points, dt))
        self._enter(dt, previous, 0)
        checks.finite_objective(self.row, dt, "take a smaller step")
        return self.row
