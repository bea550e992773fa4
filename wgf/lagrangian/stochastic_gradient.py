"""Stochastic gradient descent on fresh or finite data."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from wgf import checks
from wgf.functional.features import Neurons
from wgf.functional.losses import Squared
from wgf.functional.terms import Risk
from wgf.lagrangian.empirical import EmpiricalFunctional
from wgf.lagrangian.particles import ParticleMethod, ParticleStepper, noise_of
from wgf.measures.particles import Particles
from wgf.stepping import Fixed, Trial

LOOKS = 100


class StochasticGradient(ParticleMethod):
    """``theta_i+ = prox(theta_i - eta_k (∇g_k(theta_i) + ∇V(theta_i)))`` over batches of samples.

    ``g_k = <R_k', phi_k>`` is the first variation of the risk over the samples of batch ``k``,
    drawn anew every step: without replacement from the samples of the functional's `wgf.Risk`, or
    fresh ones for `wgf.PopulationRisk` and from `data`. An l1 penalty acts by its prox.

    Parameters
    ----------
    step : float
        ``eta`` in the time of the flow; positive.
    batch : int
        Samples a step.
    schedule : callable, optional
        ``k -> factor`` of the step, ``k`` the number of steps done; constant 1 by default.
    data : callable, optional
        ``(generator, batch) -> (x, y)``: fresh inputs and targets for the neurons of the
        functional's risk with its squared loss.
    seed : int
        Seed of the one generator of the run, whose state is stored.
    look : int, optional
        Steps between two rows of diagnostics, which evaluate the functional itself. By default one
        pass through the samples, or 100 steps of fresh ones.

    Notes
    -----
    Time is that of the flow: a run until ``t`` makes about ``t / eta`` steps. The last step before
    an output time is cut to land on it. Source: Chizat & Bach 2018, section 4.
    """

    title = "stochastic gradient"

    def __init__(
        self,
        step: float,
        batch: int,
        schedule: Callable[[int], float] | None = None,
        data: Callable[[np.random.Generator, int], tuple] | None = None,
        seed: int = 0,
        look: int | None = None,
    ):
        self.step = checks.number("stochastic gradient step", step, above=0)
        self.batch = checks.whole("stochastic gradient batch", batch, minimum=1)
        for what, call in (("schedule", schedule), ("data", data)):
            if call is not None and not callable(call):
                raise checks.InputTypeError(
                    f"stochastic gradient {what}: {call!r} cannot be called, give a function"
                )
        self.schedule, self.data = schedule, data
        self.seed = checks.whole("stochastic gradient seed", seed)
        self.look = None if look is None else checks.whole("look", look, minimum=1)

    def check(self, flow: Any, start: Particles) -> None:
        super().check(flow, start)
        Batches(flow, self.batch, self.data)

    def stepper(self, flow: Any, start: Particles, world: Any) -> "_Stepper":
        """Return a stepper for `flow` from the particles `start`."""
        return _Stepper(self, flow, start, world)

    def __repr__(self):
        names = [getattr(f, "__name__", f and "function") for f in (self.schedule, self.data)]
        return (
            f"StochasticGradient({self.step:g}, {self.batch}, schedule={names[0]}, "
            f"data={names[1]}, seed={self.seed}, look={self.look})"
        )


class Batches:
    """Gradients of a flow's functional over random batches of its samples.

    Parameters
    ----------
    flow : GradientFlow or HeavyBall
    batch : int
    data : callable, optional
        Of fresh samples, see `StochasticGradient`.

    Raises
    ------
    InputError
        Without one risk of which a batch can be drawn.
    """

    def __init__(self, flow: Any, batch: int, data: Callable | None = None):
        self.batch, self.data = batch, data
        sampled = [term for term in flow.functional.terms if term.sampled]
        if len(sampled) != 1:
            raise checks.InputError(
                f"batch: {len(sampled)} terms with samples, give one wgf.Risk or wgf.PopulationRisk"
            )
        self.sampled = risk = sampled[0]
        if data is None:
            risk.draw(np.random.default_rng(0), batch)
        elif not (
            isinstance(risk, Risk)
            and isinstance(risk.features, Neurons)
            and isinstance(risk.loss, Squared)
        ):
            raise checks.InputError(
                f"stochastic gradient data: {risk!r} cannot take fresh samples, use "
                "wgf.Neurons with wgf.Squared"
            )

    @property
    def steps(self) -> int:
        """Steps of one pass through the samples, a hundred if they are fresh."""
        if self.data is not None or not isinstance(self.sampled, Risk):
            return LOOKS
        return max(1, self.sampled.features.size // self.batch)

    def _draw(self, generator):
        if self.data is None:
            return self.sampled.draw(generator, self.batch)
        x, y = self.data(generator, self.batch)
        risk = self.sampled
        weight = float(np.sum(risk.loss.weights)) / self.batch
        return Risk(risk.features.at(x), Squared(y, weights=weight), risk.scale)

    def gradient(
        self, empirical: EmpiricalFunctional, points: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Return the gradient of the smooth part of ``F'`` over a new batch, shape ``(m, d)``."""
        risk = self._draw(generator)
        products = empirical.products_of(risk.features)
        residual = risk.residual(products.output(points, empirical.weights))
        slope = products.gradient(points, residual)
        return empirical.add_slopes(slope, points, besides=(self.sampled,))


class _Stepper(ParticleStepper):
    """One run: between two rows of diagnostics it makes `look` steps."""

    saved: ClassVar[dict[str, str]] = {
        "step": "step",
        "generator": "generator_state",
        "count": "count",
    }

    def __init__(self, method, flow, start, world):
        # an attempt makes many steps, at most as far as an output time
        super().__init__(flow, start, world, Fixed(math.inf))
        self.batches = Batches(flow, method.batch, method.data)
        self.generator = noise_of(method.seed)
        self.schedule, self.step, self.count = method.schedule, method.step, 0
        self.look = method.look or self.batches.steps
        self.remedy = f"reached with the step {method.step:g}, take a shorter one"
        self.enter()

    def attempt(self, dt: float) -> Trial:
        made = 0.0
        for _ in range(self.look):
            factor = 1.0 if self.schedule is None else self.schedule(self.count)
            step = self.step * checks.number("schedule", factor, above=0)
            left = dt - made
            # a remainder that differs from the step by accumulated rounding is one step
            step = left if left <= step * (1 + 1e-9) else step
            self._iterate(step)
            self.count += 1
            made += step
            if made >= dt:
                break
        return Trial(made=made)

    def _iterate(self, step):
        """Make one step with a batch of its own."""
        empirical, points = self.empirical, self.points
        slope = self.batches.gradient(empirical, points, self.generator)
        self.place(empirical.kinks.prox(points - step * empirical.mobility * slope, step))

    def resumed(self) -> None:
        self.count = int(self.count)
