"""The functional bound to weighted particles: the one place where forms are read at points."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from wgf.functional import forms
from wgf.functional.kinks import Kinks
from wgf.lagrangian.partition import ParticlePartition
from wgf.lagrangian.products import Products, feature_products
from wgf.lagrangian.walls import stopped
from wgf.measures.particles import Particles


class EmpiricalFunctional:
    """A functional of particles that all methods for particles share.

    Parameters
    ----------
    flow : GradientFlow, FisherRao or HeavyBall
    start : Particles
    world : Serial or Ranks, optional
        Who shares the particles; all points and weights below are those of one rank.
    products : callable
        Of a feature map; it returns its `Products`.

    Notes
    -----
    Terms that see all particles at once (`forms.General`) are evaluated by every rank alone: their
    pairs of particles may be one matrix. A `forms.Diffusion` has no value at points; it is noise.
    """

    def __init__(
        self,
        flow: Any,
        start: Particles,
        world: Any = None,
        products: Callable[[Any], Products] = feature_products,
    ):
        functional = flow.functional.on(start)
        self.functional, self.timed = functional, functional.timed
        self.names = functional.axis_names(start)
        self._read(functional)
        self.risks = functional.risks
        self.products = [products(risk.features) for risk in self.risks]
        kinds = {type(form) for _, _, form in self.terms}
        general = any(issubclass(kind, forms.General) for kind in kinds)
        # pairs act between the particles of all processes
        self.gathers = any(issubclass(kind, forms.Pairwise) for kind in kinds)
        block = max((each.together for each in self.products), default=0)
        self.partition = ParticlePartition(start.size, world, block, divided=not general)
        for each in self.products:
            each.total = self.partition.column_sums
        self.all_weights = start.weights
        self.weights = start.weights[self.partition.own]
        self.domain = start.domain
        self.mobility = np.array(flow.mobilities(self.names))
        self.kinks = Kinks(functional, self.names, self.mobility)

    def _read(self, functional):
        found = zip(functional.part_names, functional.terms)
        self.terms = [
            (name, term, term.form())
            for name, term in found
            if not isinstance(term.form(), forms.Local)
        ]

    def move(self, time: float) -> None:
        """Give the terms the strengths that they have at a time."""
        if self.timed:
            functional = self.functional.at(time)
            self._read(functional)
            self.kinks = Kinks(functional, self.names, self.mobility)

    @property
    def mass(self) -> float:
        """Total mass of all particles."""
        return self.partition.sum(self.weights)

    def products_of(self, features) -> Products:
        """Return the products of other features, summed over all particles."""
        found = feature_products(features)
        found.total = self.partition.column_sums
        return found

    def outputs(self, points: np.ndarray) -> list[np.ndarray]:
        """Return the model output of every risk."""
        return [product.output(points, self.weights) for product in self.products]

    def parts(
        self, points: np.ndarray, outputs: list[np.ndarray], timed: bool = False
    ) -> dict[str, float]:
        """Return the value of every term by name, or of those whose strength depends on time."""
        found, outputs, seen = {}, iter(outputs), self._seen(points)
        for name, term, form in self.terms:
            if timed and not term.timed:
                continue
            match form:
                case forms.Composed():
                    value = term.value_of(next(outputs))
                case forms.Linear():
                    value = self.partition.sum(self.weights * term.potential(points, self.names))
                case forms.Pairwise():
                    around = term.variation_at(seen, points, self.names)
                    value = 0.5 * self.partition.sum(self.weights * around)
                case _:
                    value = term.value_at(seen)
            found[name] = value
        return found

    def potential(self, points: np.ndarray, outputs: list[np.ndarray]) -> np.ndarray:
        """Return the first variation at the points, shape ``(m,)``."""
        result, seen = np.zeros(len(points)), self._seen(points)
        for product, risk, output in zip(self.products, self.risks, outputs):
            result += product.potential(points, risk.residual(output))
        for _, term, form in self.terms:
            if isinstance(form, forms.Linear):
                result += term.potential(points, self.names)
            elif not isinstance(form, forms.Composed):
                result += term.variation_at(seen, points, self.names)
        return result

    def smooth_gradient(
        self, points: np.ndarray, outputs: list[np.ndarray], out: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the gradient of the smooth part of the first variation, shape ``(m, d)``.

        It goes into the array `out` if there is one: fresh memory costs as much as some sums.
        """
        result = out
        for k, (product, risk) in enumerate(zip(self.products, self.risks)):
            part = product.gradient(points, risk.residual(outputs[k]), None if k else out)
            result = np.add(result, part, out=result) if k else part
        if not self.products:
            result = np.empty(points.shape) if out is None else out
            result[...] = 0.0
        return self.add_slopes(result, points)

    def add_slopes(self, result: np.ndarray, points: np.ndarray, besides: Iterable = ()):
        """Add the slopes of the smooth terms but those of risks and `besides`; return the sum."""
        seen = self._seen(points)
        for _, term, form in self.terms:
            if term.smooth and term not in besides and not isinstance(form, forms.Composed):
                result += term.gradient_at(seen, points, self.names)
        return result

    def dissipation(self, points: np.ndarray, gradient: np.ndarray) -> float:
        """Return ``∫ mobility |∇F'|^2 dmu`` with the least-norm element at kinks and walls."""
        slope = self.kinks.slope(points, gradient, self.partition.largest)
        if self.domain is not None:
            slope = np.where(stopped(points, slope, self.domain), 0.0, slope)
        return self.partition.sum(self.weights * (slope**2 @ self.mobility))

    def confine(self, points: np.ndarray) -> np.ndarray:
        """Return `points` wrapped on periods and stopped at walls."""
        return points if self.domain is None else self.domain.confine(points)

    def _seen(self, points):
        """Return the particles as terms read them: all of them if pairs act."""
        weights = self.weights
        if self.gathers:
            points, weights = self.partition.whole(points), self.all_weights
        return _Seen(points, weights, self.domain, self.names)


class _Seen(Particles):
    """Particles under the axis names of the functional, made in every step without checks."""

    names = None

    def __init__(self, points, weights, domain, names):
        self.points, self.weights, self.domain, self.names = points, weights, domain, names
        self.velocities = None
