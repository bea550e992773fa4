"""What all methods for particles share: what they take, and one stepper of their state."""

import json
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from wgf.functional.forms import Composed, General, Linear, Local, Pairwise
from wgf.functional.kinks import Kinks
from wgf.lagrangian.empirical import EmpiricalFunctional
from wgf.lagrangian.products import Products, feature_products
from wgf.measures.particles import Particles
from wgf.stepping import Diagnosis, Error, Fixed, Method, Rest, Stepper, Trial
from wgf.stepping.control import Control


class ParticleMethod(Method):
    """Base of all methods for particles."""

    measure = "particles"
    forms = (Composed, Linear, Pairwise, General)
    remedies: ClassVar[dict[Any, str]] = {
        Local: "needs a density or noise, use wgf.Langevin for wgf.Entropy and a wgf.Density "
        "for the rest"
    }

    def kinks(self, flow: Any, start: Particles) -> Kinks:
        """Return the kinks of the functional; those that no method takes are refused."""
        names = flow.functional.axis_names(start)
        return Kinks(flow.functional, names, np.array(flow.mobilities(names)))

    def check(self, flow: Any, start: Particles) -> None:
        self.kinks(flow, start)


class Stored(Fixed):
    """Steps of a given length, which is stored with the run."""

    saved = ("step",)
    step = 0.0

    def __init__(self, step: float, landing: str = "cut"):
        self.step, self.landing = step, landing


def noise_of(seed: int) -> np.random.Generator:
    """Return the generator of a run's noise, which repeats no number that a start was drawn with.

    A start of the same seed draws from the stream `seed` or ``[seed, 3]``, batches from
    ``[seed, 1]``.
    """
    return np.random.default_rng([seed, 2])


class ParticleStepper(Stepper):
    """Particles, the functional at them, and its gradient.

    Subclasses build their state after this constructor and then call `enter`.

    Attributes
    ----------
    points : array of shape ``(m, d)``
        The own particles of a rank, as all arrays here.
    gradient : array of shape ``(m, d)``
        Of the smooth part of the first variation.
    """

    def __init__(
        self,
        flow: Any,
        start: Particles,
        world: Any,
        control: Control,
        products: Callable[[Any], Products] = feature_products,
    ):
        super().__init__(control)
        self.flow = flow
        self.empirical = EmpiricalFunctional(flow, start, world, products)
        self.partition, self.timed = self.empirical.partition, self.empirical.timed
        self.points = self.empirical.confine(start.points[self.partition.own])
        self.velocities = self.gradient = self.generator = None

    def enter(self) -> None:
        """Evaluate the start and fill its row."""
        self.evaluate()
        self.begin(self.dissipation)

    def evaluate(self) -> None:
        """Evaluate output, gradient and dissipation at the current points and time."""
        empirical = self.empirical
        empirical.move(self.time)
        self.outputs = empirical.outputs(self.points)
        self.gradient = empirical.smooth_gradient(self.points, self.outputs, self.gradient)
        self.dissipation = self.dissipated()

    def dissipated(self) -> float:
        """Return the rate at which the energy falls at the current points."""
        return self.empirical.dissipation(self.points, self.gradient)

    def commit(self, trial: Trial) -> None:
        before, gained = self.dissipation, self.gained()
        if trial.result is not None:
            self.place(trial.result)
        self.evaluate()
        trial.dissipation = 0.5 * (before + self.dissipation)
        trial.explicit = self.risen(gained)

    def resumed(self) -> None:
        if self.timed:
            self.evaluate()

    def gained(self) -> float:
        """Return by how much F of the points rose since the last row by its strengths alone."""
        return self.gained_between(self.row["t"], self.time, self.points, self.outputs)

    def gained_between(self, begin: float, end: float, points: np.ndarray, outputs: list) -> float:
        """Return by how much F of some points rises between two times by its strengths alone."""
        if not self.timed:
            return 0.0
        values = []
        for time in (begin, end):
            self.empirical.move(time)
            values.append(sum(self.empirical.parts(points, outputs, timed=True).values()))
        return values[1] - values[0]

    def risen(self, gained: float) -> float:
        """Return the mean rate of that over a step, `gained` being that of its beginning."""
        # the mean of both ends is exact up to the product of both changes
        return 0.5 * (gained + self.gained()) / (self.time - self.row["t"]) if self.timed else 0.0

    def rest(self) -> Rest:
        return self.rest_of(self.dissipation)

    def place(self, state: np.ndarray) -> None:
        """Put the particles where an attempt ended."""
        self.points = self.empirical.confine(state)

    def diagnose(self) -> Diagnosis:
        return Diagnosis(self.empirical.mass, self.empirical.parts(self.points, self.outputs))

    @property
    def measure(self) -> Particles | None:
        """The current particles (a copy), None where no snapshots are kept."""
        known = self.velocities is not None
        points = self.partition.gathered(self.points)
        velocities = self.partition.gathered(self.velocities) if known else None
        if points is None:
            return None
        return Particles(points, self.empirical.all_weights, velocities, self.empirical.domain)

    @property
    def generator_state(self) -> str:
        """State of the generator, so that a continued run draws the numbers that it would have."""
        return json.dumps(self.generator.bit_generator.state)

    @generator_state.setter
    def generator_state(self, text: str) -> None:
        self.generator.bit_generator.state = json.loads(text)


class AdaptiveStepper(ParticleStepper):
    """Steps whose error is below a tolerance, or fixed steps.

    Subclasses give `order`, the exponent of the step in the error.
    """

    order = 1

    def __init__(
        self, flow: Any, start: Particles, world: Any, step: float | None, tolerance: float
    ):
        control = Error(1.0, self.order) if step is None else Stored(step)
        super().__init__(flow, start, world, control)
        self.fixed, self.tolerance = step is not None, tolerance
        # what counts as one along every coordinate of the state
        self.scales = start.scales

    def enter(self) -> None:
        super().enter()
        if not self.fixed:
            # a first step moves no coordinate by more than a small fraction of its size
            scale = self.tolerance ** (1.0 / (self.order + 1)) * self.scales
            fastest = self.partition.largest(np.abs(self.velocity) / scale)
            self.control.step = float(1.0 / max(fastest, 1e-300))

    @property
    def state(self) -> np.ndarray:
        """What the method integrates: the points."""
        return self.points

    @property
    def velocity(self) -> np.ndarray:
        """Velocity of the current state, without kinks."""
        return -self.empirical.mobility * self.gradient

    def velocity_at(self, state: np.ndarray) -> np.ndarray:
        """Return the velocity of another state."""
        empirical = self.empirical
        points = empirical.confine(state)
        return -empirical.mobility * empirical.smooth_gradient(points, empirical.outputs(points))

    def error(self, difference: np.ndarray) -> float:
        """Return the largest error of a coordinate in units of the tolerance."""
        return self.partition.largest(np.abs(difference) / (self.tolerance * self.scales))
