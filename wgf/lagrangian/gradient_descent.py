"""Gradient descent with all samples and a fixed step; matrix products for wide ReLU networks."""

import numpy as np

from wgf import checks
from wgf.flows import GradientFlow
from wgf.functional.features import Neurons
from wgf.lagrangian import blocks
from wgf.lagrangian.blocks import Rooms, each
from wgf.lagrangian.empirical import EmpiricalFunctional, refuse_local, share_of
from wgf.lagrangian.products import sum_of_blocks
from wgf.measures.particles import Particles

# blocks of 4 MiB at most: large enough for a product at full speed, enough of them to share among
# threads and ranks
BLOCK = 1 << 19, 16, 4096


def row_blocks(rows, columns):
    """Yield slices of rows of at most 4 MiB."""
    return blocks.power_blocks(rows, columns, *BLOCK)


class RectifiedProducts:
    """Output and gradient of ReLU neurons by one matrix product each.

    The output leaves the activation pattern behind, one bit a neuron and sample, and that is all
    the gradient needs: ``d/dw = a sum_k residual_k 1{w . x_k > 0} x_k``, and by homogeneity
    ``d/da = w . (d/dw) / a``. The arguments ``w . x_k`` exist for one block of rows at a time.

    Attributes
    ----------
    pattern : array of uint8, shape ``(m, ceil(n / 8))``
        Signs at the points of the last `output`, packed.
    """

    def __init__(self, features, share=None):
        self.share = share
        inputs = features.inputs
        if features.bias:
            inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
        self.inputs = np.ascontiguousarray(inputs)
        self.size = features.size
        self.pattern = None
        self.together = blocks.power_of_two(max(self.inputs.shape), *BLOCK)
        n, d = self.inputs.shape
        self.rooms = Rooms((n, float), (n, bool), (d, float))

    def _blocks(self, rows):
        return row_blocks(rows, max(self.inputs.shape))

    def output(self, points, weights):
        """Return ``sum_i weights_i a_i relu(w_i . x_k)`` and remember the pattern."""
        self.pattern = np.empty((len(points), (self.size + 7) // 8), dtype=np.uint8)
        moments = points[:, 0] * weights

        def work(rows):
            arguments, active, _ = self.rooms(rows)
            np.matmul(points[rows, 1:], self.inputs.T, out=arguments)
            np.greater(arguments, 0, out=active)
            self.pattern[rows] = np.packbits(active, axis=1)
            np.maximum(arguments, 0, out=arguments)
            return moments[rows] @ arguments

        return sum_of_blocks(self.share, each(work, self._blocks(len(points))), self.size)

    def gradient(self, points, residual, out=None):
        """Return the gradient at the points of the last `output`, in `out` if there is one."""
        result = np.empty_like(points) if out is None else out

        def work(rows):
            slope, _, product = self.rooms(rows)
            active = np.unpackbits(self.pattern[rows], axis=1, count=self.size)
            np.multiply(active.view(np.int8), residual, out=slope)
            np.matmul(slope, self.inputs, out=product)
            np.einsum("ij,ij->i", product, points[rows, 1:], out=result[rows, 0])
            np.multiply(product, points[rows, :1], out=result[rows, 1:])

        each(work, self._blocks(len(points)))
        return result

    def flipped(self, pattern):
        """Return the share of signs in which `pattern` differs from the current one."""

        def work(rows):
            return int(np.unpackbits(self.pattern[rows] ^ pattern[rows]).sum(dtype=np.int64))

        found, total = sum(each(work, self._blocks(len(pattern)))), len(pattern)
        if self.share is not None:
            # whole numbers: their order does not matter
            ranks, total = self.share.ranks, len(self.share.cuts)
            found = ranks.sums((np.array([float(found)]), ranks.partition(1)))[0]
        return found / (total * self.size)


class GradientDescent:
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

    needs = "particles and a smooth functional"

    def __init__(self, step):
        self.step = checks.number("gradient descent step", step, above=0)

    def prepare(self, flow, start):
        """Return a stepper for `flow` from the particles `start`."""
        checks.instance("gradient descent flow", flow, GradientFlow)
        checks.instance("gradient descent start", start, Particles)
        for name, term in zip(flow.functional.part_names, flow.functional.terms):
            if not term.smooth:
                raise checks.InputError(
                    f"gradient descent: the term {name} is not smooth and this method needs its "
                    f"gradient, use wgf.ForwardBackward(step={self.step:g})"
                )
        refuse_local(self, flow)
        return _Stepper(self, flow, start)

    def __repr__(self):
        return f"GradientDescent({self.step:g})"


class _Batch(EmpiricalFunctional):
    """The functional of the particles, ReLU neurons by products that tell their signs."""

    def __init__(self, flow, start):
        rectified = [r.features for r in flow.functional.risks if _rectified(r.features)]
        together = max([RectifiedProducts(f).together for f in rectified], default=0)
        super().__init__(flow, start, share_of(flow, len(start.points), together))
        self.products = [
            RectifiedProducts(risk.features, self.share) if _rectified(risk.features) else product
            for risk, product in zip(self.functional.risks, self.products)
        ]

    @property
    def rectified(self):
        """The first products of ReLU neurons, or None."""
        return next((p for p in self.products if isinstance(p, RectifiedProducts)), None)

    def dissipation(self, points, gradient):
        lost = np.empty(len(points))

        def work(rows):
            squares = np.einsum("ij,ij,j->i", gradient[rows], gradient[rows], self.mobility)
            lost[rows] = self.weights[rows] * squares

        each(work, row_blocks(*points.shape))
        return self.share.sum(lost)


def _rectified(features):
    return isinstance(features, Neurons) and features.activation == "relu"


class _Stepper:
    """One run of `GradientDescent`: the particles and what their diagnostics need."""

    def __init__(self, method, flow, start):
        self.method = method
        self.empirical = _Batch(flow, start)
        self.share = self.empirical.share
        self.origin = self.empirical.confine(start.points[self.share.own])
        self.points = self.origin.copy()
        self.gradient = np.empty_like(self.points)
        self.time = 0.0
        self.first_pattern = None
        self._enter(0.0, None)

    def _enter(self, dt, previous):
        """Evaluate output, gradient and diagnostics of the current points."""
        empirical = self.empirical
        self.outputs = empirical.outputs(self.points)
        parts = empirical.parts(self.points, self.outputs)
        self.gradient = empirical.smooth_gradient(self.points, self.outputs, self.gradient)
        self.dissipation = empirical.dissipation(self.points, self.gradient)
        mean = self.dissipation if previous is None else 0.5 * (previous + self.dissipation)
        self.row = {"t": self.time, "dt": dt, "mass": self.share.sum(empirical.weights)}
        self.row["objective"] = float(sum(parts.values()))
        self.row.update(parts)
        self.row.update(dissipation=mean, rejected=0, moved=self._moved())
        rectified = empirical.rectified
        if rectified is not None:
            if self.first_pattern is None:
                self.first_pattern = rectified.pattern
            self.row["flipped"] = rectified.flipped(self.first_pattern)

    def _moved(self):
        """Return the largest distance of a particle from its start, the short way on periods."""
        domain = self.empirical.domain

        def work(rows):
            shift = self.points[rows] - self.origin[rows]
            if domain is not None:
                for k, axis in enumerate(domain.axes):
                    if axis.periodic:
                        shift[:, k] -= axis.length * np.round(shift[:, k] / axis.length)
            return float(np.einsum("ij,ij->i", shift, shift).max())

        found = max(each(work, row_blocks(*self.points.shape)), default=0.0)
        return self.share.ranks.largest(found) ** 0.5

    def advance(self, limit):
        """Make one step of at most `limit` and return its row of diagnostics.

        Raises
        ------
        NumericalError
            If the functional is not finite after the step.
        """
        # a remainder that differs from the step by accumulated rounding is one step
        dt = limit if limit <= self.method.step * (1 + 1e-9) else self.method.step
        factor = -dt * self.empirical.mobility

        def work(rows):
            self.gradient[rows] *= factor
            self.points[rows] += self.gradient[rows]

        each(work, row_blocks(*self.points.shape))
        self.points = self.empirical.confine(self.points)
        self.time += dt
        self._enter(dt, self.dissipation)
        if not np.isfinite(self.row["objective"]):
            raise checks.NumericalError(
                f"gradient descent: the objective is {self.row['objective']} at t={self.time:g} "
                f"with the step {self.method.step:g}, take a shorter one"
            )
        return self.row

    @property
    def measure(self):
        """The current particles (a copy), on ranks that keep no snapshots None."""
        points, empirical = self.share.gathered(self.points), self.empirical
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
            "origin": self.share.gathered(self.origin),
            **{f"row_{name}": value for name, value in self.row.items()},
        }

    def restore(self, saved):
        """Continue from what `restart` returned, the particles being the start."""
        self.time = float(saved["time"])
        self.origin = np.array(saved["origin"])[self.share.own]
        rectified = self.empirical.rectified
        if rectified is not None:
            current = rectified.pattern
            rectified.output(self.origin, self.empirical.weights)
            self.first_pattern, rectified.pattern = rectified.pattern, current
        self.row = {name: float(saved[f"row_{name}"]) for name in self.row}
