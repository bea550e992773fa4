"""Gradient descent with all samples and a fixed step; matrix products for wide ReLU networks."""

from typing import Any, ClassVar

import numpy as np

from wgf import checks
from wgf.functional.activations import RELU
from wgf.functional.features import FeatureMap, Neurons
from wgf.lagrangian import blocks
from wgf.lagrangian.blocks import Scratch
from wgf.lagrangian.particles import ParticleMethod, ParticleStepper
from wgf.lagrangian.products import Products, feature_products
from wgf.measures.particles import Particles
from wgf.parallel.threads import each
from wgf.stepping import Diagnosis, Fixed, Trial

# blocks of 4 MiB at most: large enough for a product at full speed, enough of them to share among
# threads and processes
BLOCK = 1 << 19, 16, 4096


def row_blocks(rows, columns):
    """Yield slices of rows of at most 4 MiB."""
    return blocks.power_blocks(rows, columns, *BLOCK)


class RectifiedProducts(Products):
    """Output and gradient of ReLU neurons by one matrix product each.

    The output leaves the activation pattern behind, one bit per neuron and sample, and that is all
    the gradient needs: ``d/dw = a sum_k residual_k 1{w . x_k > 0} x_k``, and by homogeneity
    ``d/da = w . (d/dw) / a``. The arguments ``w . x_k`` exist for one block of rows at a time.

    Attributes
    ----------
    pattern : array of uint8, shape ``(m, ceil(n / 8))``
        Signs at the points of the last `output`, packed.
    """

    def __init__(self, features: Neurons):
        super().__init__(features)
        inputs = features.inputs
        if features.bias:
            inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
        self.inputs = np.ascontiguousarray(inputs)
        self.pattern = None
        self.together = blocks.power_of_two(max(self.inputs.shape), *BLOCK)
        n, d = self.inputs.shape
        self.scratch = Scratch((n, float), (n, bool), (d, float))

    def _blocks(self, rows):
        return row_blocks(rows, max(self.inputs.shape))

    def output(self, points, weights):
        """Return ``sum_i weights_i a_i relu(w_i . x_k)`` and remember the pattern."""
        self.pattern = np.empty((len(points), (self.size + 7) // 8), dtype=np.uint8)
        moments = points[:, 0] * weights

        def work(rows):
            arguments, active, _ = self.scratch(rows)
            np.matmul(points[rows, 1:], self.inputs.T, out=arguments)
            np.greater(arguments, 0, out=active)
            self.pattern[rows] = np.packbits(active, axis=1)
            np.maximum(arguments, 0, out=arguments)
            return moments[rows] @ arguments

        parts = each(work, self._blocks(len(points)))
        return self.total(np.array(parts).reshape(-1, self.size))

    def gradient(self, points, residual, out=None):
        """Return the gradient at the points of the last `output`, in `out` if there is one."""
        result = np.empty_like(points) if out is None else out

        def work(rows):
            slope, _, product = self.scratch(rows)
            active = np.unpackbits(self.pattern[rows], axis=1, count=self.size)
            np.multiply(active.view(np.int8), residual, out=slope)
            np.matmul(slope, self.inputs, out=product)
            np.einsum("ij,ij->i", product, points[rows, 1:], out=result[rows, 0])
            np.multiply(product, points[rows, :1], out=result[rows, 1:])

        each(work, self._blocks(len(points)))
        return result

    def flipped(self, pattern: np.ndarray) -> int:
        """Return the number of own signs in which `pattern` differs from the current one."""

        def work(rows):
            return int(np.unpackbits(self.pattern[rows] ^ pattern[rows]).sum(dtype=np.int64))

        return sum(each(work, self._blocks(len(pattern))))


def products_with_signs(features: FeatureMap) -> Products:
    """Return the fastest products for `features`; those of ReLU neurons remember their signs."""
    if isinstance(features, Neurons) and features.sigma is RELU:
        return RectifiedProducts(features)
    return feature_products(features)


class GradientDescent(ParticleMethod):
    """Gradient descent ``theta_i+ = theta_i - step ∇F'(mu)(theta_i)`` with all samples.

    Parameters
    ----------
    step : float
        Fixed step in the time of the flow; the last one before an output time is cut to land on it.

    Notes
    -----
    Time is that of ``theta_i' = -∇F'(mu)(theta_i)``. For particles of weight ``1/m``, frozen
    amplitudes ``a = ±1`` and ``F = Risk(Neurons(x, "relu"), Squared(y, weights=1), scale=sqrt(m))``
    this is ``w_r+ = w_r - step ∂L/∂w_r`` with ``L = 1/2 sum_k (u_k - y_k)^2`` and
    ``u = m^{-1/2} sum_r a_r relu(w_r . x)``, and ``F = L / m``: the algorithm of Du, Zhai, Poczos &
    Singh 2018, section 3, with the same step.

    Beside the usual columns a run reports ``moved``, the largest distance of a particle from its
    start, and for ReLU neurons ``flipped``, the share of the signs of ``w_r . x_k`` that are not
    those of the start. ReLU neurons cost two matrix products a step and, beyond the particles,
    their gradient, two bits a particle and sample, and a few blocks of 4 MiB a thread. Blocks of
    particles are shared among the threads and summed in their order: the bits do not depend on
    how many threads there are.
    """

    title = "gradient descent"
    smooth = True

    def __init__(self, step: float):
        self.step = checks.number("gradient descent step", step, above=0)

    @property
    def remedies(self) -> dict[Any, str]:
        """What to do about a form that it does not take, and about a kink."""
        kink = f"use wgf.ForwardBackward(step={self.step:g})"
        return {**ParticleMethod.remedies, "kink": kink}

    def stepper(self, flow: Any, start: Particles, world: Any) -> "_Stepper":
        """Return a stepper for `flow` from the particles `start`."""
        return _Stepper(self, flow, start, world)

    def __repr__(self):
        return f"GradientDescent({self.step:g})"


class _Stepper(ParticleStepper):
    """One run: the particles, where they began, and the signs of ReLU neurons there."""

    saved: ClassVar[dict[str, str]] = {"origin": "all_origins"}

    def __init__(self, method, flow, start, world):
        # a remainder that differs from the step by accumulated rounding is one step
        control = Fixed(method.step, landing="merge")
        super().__init__(flow, start, world, control, products_with_signs)
        self.remedy = f"reached with the step {method.step:g}, take a shorter one"
        # a step changes the points in place
        self.origin, self.points = self.points, self.points.copy()
        self.gradient = np.empty_like(self.points)
        # the first products of ReLU neurons, or None
        found = (p for p in self.empirical.products if isinstance(p, RectifiedProducts))
        self.rectified = next(found, None)
        self.first_pattern = None
        self.enter()

    def evaluate(self) -> None:
        super().evaluate()
        if self.first_pattern is None and self.rectified is not None:
            self.first_pattern = self.rectified.pattern

    def attempt(self, dt: float) -> Trial:
        factor = -dt * self.empirical.mobility

        def work(rows):
            self.gradient[rows] *= factor
            self.points[rows] += self.gradient[rows]

        each(work, row_blocks(*self.points.shape))
        return Trial(self.points)

    def dissipated(self) -> float:
        empirical, gradient = self.empirical, self.gradient
        lost = np.empty(len(gradient))

        def work(rows):
            squares = np.einsum("ij,ij,j->i", gradient[rows], gradient[rows], empirical.mobility)
            lost[rows] = empirical.weights[rows] * squares

        each(work, row_blocks(*gradient.shape))
        return self.partition.sum(lost)

    def diagnose(self) -> Diagnosis:
        found = super().diagnose()
        found.more["moved"] = self._moved()
        if self.rectified is not None:
            flipped = self.partition.total(self.rectified.flipped(self.first_pattern))
            found.more["flipped"] = flipped / (len(self.partition) * self.rectified.size)
        return found

    def _moved(self):
        """Return the largest distance of a particle from its start, the short way on periods."""
        domain = self.empirical.domain

        def work(rows):
            shift = self.points[rows] - self.origin[rows]
            if domain is not None:
                shift = domain.nearest(shift)
            return float(np.einsum("ij,ij->i", shift, shift).max())

        found = max(each(work, row_blocks(*self.points.shape)), default=0.0)
        return self.partition.largest(found) ** 0.5

    @property
    def all_origins(self) -> np.ndarray | None:
        """Where all particles began, None where no snapshots are kept."""
        return self.partition.gathered(self.origin)

    @all_origins.setter
    def all_origins(self, rows: np.ndarray) -> None:
        self.origin = np.array(rows)[self.partition.own]

    def resumed(self) -> None:
        if self.rectified is not None:
            current = self.rectified.pattern
            self.rectified.output(self.origin, self.empirical.weights)
            self.first_pattern, self.rectified.pattern = self.rectified.pattern, current
