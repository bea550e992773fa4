"""The functional of weighted particles, shared among ranks: values, gradients, bookkeeping."""

import json

import numpy as np

from wgf import checks, parallel
from wgf.functional.functional import least_norm
from wgf.lagrangian import kernels
from wgf.lagrangian.products import feature_products
from wgf.measures.particles import Particles

# particles whose noise is drawn at once
DRAWN = 1 << 16


class Share:
    """The particles of one rank: whole blocks of the kernels, so that the sums are the same.

    Parameters
    ----------
    particles : int
    ranks : Serial or Ranks, optional
        One process by default.
    block : int
        Particles that stay together, a multiple of those of the kernels.

    Raises
    ------
    InputError
        For more ranks than blocks of particles.
    """

    def __init__(self, particles, ranks=None, block=kernels.PARTICLES_PER_BLOCK):
        self.ranks = ranks = parallel.Serial() if ranks is None else ranks
        blocks = kernels.blocks_of(particles)
        if ranks.size > blocks:
            raise checks.InputError(
                f"mpi: {ranks.size} ranks for {blocks} blocks of {kernels.PARTICLES_PER_BLOCK} "
                f"particles, start at most {blocks} or take more particles"
            )
        self.cuts = parallel.Partition.dealt(particles, block, ranks.size)
        # the sums are those of the smallest blocks, whatever stays together
        self.cuts.block = kernels.PARTICLES_PER_BLOCK
        self.own = self.cuts.own(ranks.rank)

    def sum(self, values):
        """Return the sum over all particles, given one number for each of its own."""
        return self.ranks.sums((values, self.cuts))[0]

    def largest(self, values):
        """Return the largest number of all particles."""
        return self.ranks.largest(float(np.max(values)))

    def normal(self, generator, columns):
        """Draw normal numbers for all particles and return the own rows.

        Every rank draws them all, block after block: the numbers are those of one process.
        """
        result = np.empty((self.own.stop - self.own.start, columns))
        for low in range(0, len(self.cuts), DRAWN):
            high = min(low + DRAWN, len(self.cuts))
            drawn = generator.normal(size=(high - low, columns))
            a, b = max(low, self.own.start), min(high, self.own.stop)
            if a < b:
                result[a - self.own.start : b - self.own.start] = drawn[a - low : b - low]
        return result

    def whole(self, values):
        """Return the rows of all particles on every rank."""
        columns = values.shape[1]
        return self.ranks.whole(values.ravel(), (self.cuts * columns).bounds).reshape(-1, columns)

    def gathered(self, values):
        """Return the rows of all particles where snapshots are kept, None elsewhere."""
        columns = values.shape[1]
        whole = self.ranks.gather(values.ravel(), (self.cuts * columns).bounds)
        return None if whole is None else whole.reshape(-1, columns)


def share_of(flow, particles, together=0):
    """Return the `Share` of this rank, in blocks of at least `together` particles.

    It is all of them for a `wgf.PopulationRisk`, whose pairs of particles are one matrix, and where
    features without a kernel make fewer blocks than there are ranks.
    """
    ranks, block = parallel.world(), max(kernels.PARTICLES_PER_BLOCK, together)
    for term in flow.functional.terms:
        if term.composed:
            block = max(block, feature_products(term.features).together)
        elif not (term.linear or term.local or term.pairwise):
            ranks = parallel.Serial()
    if block > kernels.PARTICLES_PER_BLOCK and ranks.size > -(-particles // block):
        ranks = parallel.Serial()
    return Share(particles, ranks, block)


class EmpiricalFunctional:
    """A functional of particles that all methods for particles share.

    Parameters
    ----------
    flow : GradientFlow
    start : Particles
    share : Share, optional
        The particles of this rank, by default all; all points and weights are theirs.
    """

    def __init__(self, flow, start, share=None):
        self.functional = flow.functional
        self.names = self.functional.axis_names(start)
        self.share = Share(len(start.points)) if share is None else share
        self.all_weights = start.weights
        self.weights = start.weights[self.share.own]
        self.domain = start.domain
        self.mobility = np.array(flow.mobilities(self.names))
        self.kink = self.functional.kink_strength(self.names)
        self.products = [
            feature_products(risk.features, self.share) for risk in self.functional.risks
        ]

    def cloud(self, points):
        """Return points and weights as the terms read them, of all particles if pairs act."""
        weights = self.weights
        if any(term.pairwise for term in self.functional.terms):
            points, weights = self.share.whole(points), self.all_weights
        return _Cloud(points, weights, self.domain)

    def potential(self, points, outputs):
        """Return the first variation of risks and linear terms at the points."""
        result = np.zeros(len(points))
        for product, risk, output in zip(self.products, self.functional.risks, outputs):
            result += product.potential(points, risk.residual(output))
        for term in self.functional.terms:
            if term.linear:
                result += term.potential(points, self.names)
        return result

    def outputs(self, points):
        """Return the model output of every risk."""
        return [product.output(points, self.weights) for product in self.products]

    def parts(self, points, outputs):
        """Return the value of every term by name."""
        found = {}
        risks = self.functional.risks
        measure = None
        for name, term in zip(self.functional.part_names, self.functional.terms):
            if term.composed:
                found[name] = term.value_of(outputs[risks.index(term)])
            elif term.linear:
                found[name] = self.share.sum(self.weights * term.potential(points, self.names))
            elif term.pairwise:
                measure = measure or self.cloud(points)
                around = term.variation_at(measure, points, self.names)
                found[name] = 0.5 * self.share.sum(self.weights * around)
            elif not term.local:
                measure = measure or self.cloud(points)
                found[name] = term.value_at(measure)
        return found

    def smooth_gradient(self, points, outputs, out=None):
        """Return the gradient of the smooth part of the first variation, shape ``(m, d)``.

        It goes into the array `out` if there is one: fresh memory costs as much as some sums.
        """
        result = out
        for k, (product, risk) in enumerate(zip(self.products, self.functional.risks)):
            residual = risk.residual(outputs[k])
            part = product.gradient(points, residual, None if k else out)
            result = np.add(result, part, out=result) if k else part
        if not self.products:
            result = np.empty(points.shape) if out is None else out
            result[...] = 0.0
        cloud = self.cloud(points)
        for term in self.functional.terms:
            if term.smooth and not term.composed and not term.local:
                result += term.gradient_at(cloud, points, self.names)
        return result

    def dissipation(self, points, gradient):
        """Return ``∫ mobility |∇F'|^2 dmu`` with the least-norm element at kinks."""
        slope = least_norm(gradient, points, self.kink)
        return self.share.sum(self.weights * (slope**2 @ self.mobility))

    def prox(self, points, step):
        """Return the exact flow of the l1 penalties over a time `step`: a soft threshold."""
        if not self.kink.any():
            return points
        return np.sign(points) * np.maximum(np.abs(points) - step * self.mobility * self.kink, 0)

    def confine(self, points):
        """Return `points` wrapped on periods and stopped at walls."""
        return points if self.domain is None else self.domain.confine(points)

    def reflect(self, points):
        """Return `points` wrapped on periods and reflected once at walls."""
        if self.domain is None:
            return points
        points = np.array(points)
        for i, axis in enumerate(self.domain.axes):
            if not axis.periodic:
                column = np.abs(points[:, i] - axis.lower) + axis.lower
                points[:, i] = axis.upper - np.abs(axis.upper - column)
        return self.domain.confine(points)


class _Cloud:
    """Points and weights as the terms read them, without the checks of `Particles`."""

    def __init__(self, points, weights, domain):
        self.points, self.weights, self.domain = points, weights, domain
        self.mass = float(weights.sum())

    def blocks(self):
        yield self.points, self.weights


def refuse_local(method, flow):
    """Raise `InputError` if a term of the functional has no gradient at single points."""
    for name, term in zip(flow.functional.part_names, flow.functional.terms):
        if term.local:
            raise checks.InputError(
                f"{method!r}: the term {name} needs a density or noise, use wgf.Langevin for "
                "wgf.Entropy and a wgf.Density for the rest"
            )


class ParticleStepper:
    """State and bookkeeping that the steppers of all particle methods share.

    Subclasses give ``_attempt(dt)``, which returns ``(points, error)`` with the error in units of
    the tolerance, and `order` of the error in the step.
    """

    order = 1
    noisy = False

    def __init__(self, method, flow, start):
        if not self.noisy:
            refuse_local(method, flow)
        self.method = method
        self.empirical = EmpiricalFunctional(flow, start, share_of(flow, len(start.points)))
        self.points = self.empirical.confine(start.points[self.empirical.share.own])
        self.time = 0.0
        self.step = self.gradient = None
        self._enter(0.0, None, 0)
        if self.step is None:
            self.step = self._first_step()

    def _enter(self, dt, previous, rejected):
        """Evaluate output, gradient and diagnostics of the current points."""
        empirical = self.empirical
        self.outputs = empirical.outputs(self.points)
        self.gradient = empirical.smooth_gradient(self.points, self.outputs, self.gradient)
        parts = empirical.parts(self.points, self.outputs)
        self.dissipation = empirical.dissipation(self.points, self.gradient)
        mean = self.dissipation if previous is None else 0.5 * (previous + self.dissipation)
        row = {"t": self.time, "dt": dt, "mass": empirical.share.sum(empirical.weights)}
        row["objective"] = float(sum(parts.values()))
        row.update(parts)
        row.update(dissipation=mean, rejected=rejected)
        self.row = row

    def _first_step(self):
        """Return a first step that moves no coordinate by more than a small share."""
        speed = np.abs(self.gradient * self.empirical.mobility)
        scale = self.method.tolerance ** (1.0 / (self.order + 1)) * (1.0 + np.abs(self.points))
        return float(min(1.0, 1.0 / max(self.empirical.share.largest(speed / scale), 1e-300)))

    @property
    def measure(self):
        """The current particles (a copy), on ranks that keep no snapshots None."""
        empirical = self.empirical
        points = empirical.share.gathered(self.points)
        if points is None:
            return None
        return Particles(points, empirical.all_weights, domain=empirical.domain)

    @property
    def output(self):
        """Model output of the first risk, or None."""
        return self.outputs[0] if self.outputs else None

    def restart(self):
        """Return everything but the particles that a bit-identical continuation needs."""
        return {
            "time": self.time,
            "step": self.step,
            **{f"row_{name}": value for name, value in self.row.items()},
        }

    def restore(self, saved):
        """Continue from what `restart` returned, the particles being the start."""
        self.time = float(saved["time"])
        self.step = float(saved["step"])
        self.row = {name: float(saved[f"row_{name}"]) for name in self.row}


class Seeded:
    """Lets a stepper continue with the numbers that its `generator` would have drawn."""

    def restart(self):
        """Return everything but the particles that a bit-identical continuation needs."""
        state = json.dumps(self.generator.bit_generator.state)
        return {**super().restart(), "generator": state}

    def restore(self, saved):
        """Continue from what `restart` returned, the particles being the start."""
        super().restore(saved)
        self.generator.bit_generator.state = json.loads(saved["generator"])
