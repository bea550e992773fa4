"""Stochastic gradient descent on fresh or finite data."""

import numpy as np

from wgf import checks
from wgf.flows import GradientFlow
from wgf.functional.features import Neurons
from wgf.functional.losses import Squared
from wgf.functional.terms import Risk
from wgf.lagrangian.empirical import ParticleStepper, Seeded, feature_products
from wgf.measures.particles import Particles

LOOKS = 100


class StochasticGradient:
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

    needs = "particles"

    def __init__(self, step, batch, schedule=None, data=None, seed=0, look=None):
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

    def prepare(self, flow, start):
        """Return a stepper for `flow` from the particles `start`."""
        checks.instance("stochastic gradient flow", flow, GradientFlow)
        checks.instance("stochastic gradient start", start, Particles)
        return _Stepper(self, flow, start, Batches(flow, self.batch, self.data))

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

    def __init__(self, flow, batch, data=None):
        self.batch, self.data = batch, data
        sampled = [term for term in flow.functional.terms if hasattr(term, "draw")]
        if len(sampled) != 1:
            raise checks.InputError(
                f"batch: {len(sampled)} terms with samples, give one wgf.Risk or wgf.PopulationRisk"
            )
        self.sampled = risk = sampled[0]
        self.others = [t for t in flow.functional.terms if t is not risk and t.smooth]
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
    def steps(self):
        """Steps of one pass through the samples, a hundred if they are fresh."""
        if self.data is not None or not isinstance(self.sampled, Risk):
            return LOOKS
        return max(1, self.sampled.features.size // self.batch)

    def _draw(self, generator):
        if self.data is None:
            return self.sampled.draw(generator, self.batch)
        x, y = self.data(generator, self.batch)
        features = self.sampled.features
        weight = float(np.sum(self.sampled.loss.weights)) / self.batch
        return Risk(
            Neurons(x, features.activation, bias=features.bias),
            Squared(y, weights=weight),
            self.sampled.scale,
        )

    def gradient(self, empirical, points, generator):
        """Return the gradient of the smooth part of ``F'`` over a new batch, shape ``(m, d)``."""
        risk = self._draw(generator)
        products = feature_products(risk.features, empirical.share)
        residual = risk.residual(products.output(points, empirical.weights))
        slope = products.gradient(points, residual)
        cloud = empirical.cloud(points) if self.others else None
        for term in self.others:
            slope += term.gradient_at(cloud, points, empirical.names)
        return slope


class _Stepper(Seeded, ParticleStepper):
    """One run: between two rows of diagnostics it makes `look` steps."""

    def __init__(self, method, flow, start, batches):
        self.batches = batches
        self.generator = np.random.default_rng(method.seed)
        self.count = 0
        self.look = batches.steps if method.look is None else method.look
        super().__init__(method, flow, start)

    def _first_step(self):
        return self.method.step

    def _iterate(self, dt):
        """Make one step of length `dt` with a batch of its own."""
        empirical, points = self.empirical, self.points
        slope = self.batches.gradient(empirical, points, self.generator)
        moved = empirical.prox(points - dt * empirical.mobility * slope, dt)
        self.points = empirical.confine(moved)

    def advance(self, limit):
        """Make up to `look` steps within the time `limit` and return a row of diagnostics.

        Raises
        ------
        NumericalError
            If the functional is not finite.
        """
        spent = 0.0
        for _ in range(self.look):
            factor = 1.0 if self.method.schedule is None else self.method.schedule(self.count)
            dt = self.method.step * checks.number("schedule", factor, above=0)
            left = limit - spent
            # a remainder that differs from the step by accumulated rounding is one step
            dt = left if left <= dt * (1 + 1e-9) else dt
            self._iterate(dt)
            self.count += 1
            spent += dt
            if spent >= limit:
                break
        self.time += spent
        self._enter(spent, self.dissipation, 0)
        if not np.isfinite(self.row["objective"]):
            raise checks.NumericalError(
                f"stochastic gradient: the objective is {self.row['objective']} at "
                f"t={self.time:g} with the step {self.method.step:g}, take a shorter one"
            )
        return self.row

    def restart(self):
        """Return everything but the particles that a bit-identical continuation needs."""
        return {**super().restart(), "count": self.count}

    def restore(self, saved):
        """Continue from what `restart` returned, the particles being the start."""
        super().restore(saved)
        self.count = int(saved["count"])
