"""The implicit step along one axis, and along all of them one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wgf.eulerian import implicit_kernels
from wgf.eulerian.discrete import DiscreteFunctional, Outputs
from wgf.eulerian.krylov import gmres, norm
from wgf.eulerian.lines import Lines
from wgf.eulerian.variation import Variation

NEWTON_LIMIT = 25
KRYLOV_LIMIT = 60
TOLERANCE = 1e-12
EASY = 8


class Moved(NamedTuple):
    """A density after an implicit step, its outputs, and the Newton steps that it took."""

    values: np.ndarray
    outputs: Outputs
    count: int


class Sweeps:
    """The implicit step along every axis on which something moves.

    Parameters
    ----------
    discrete : DiscreteFunctional
    mobilities : sequence of float
        Factor of the velocity for every axis.
    """

    def __init__(self, discrete: DiscreteFunctional, mobilities: Sequence[float]):
        mesh, wraps = discrete.mesh, discrete.slab.wraps
        missing = 4 - mesh.dimension
        rates = np.concatenate([np.zeros(missing), np.array(mobilities) / mesh.spacing**2])
        self.axes = [
            Sweep(discrete, axis, wraps[axis], rates[axis])
            for axis in range(missing, 4)
            if rates[axis] > 0 and mesh.shape[axis - missing] > 1
        ]

    def solve(self, values: np.ndarray, outputs: Outputs, dt: float) -> Moved | None:
        """Return the state after a step, None if Newton's method fails along an axis."""
        found, count = Moved(values, outputs, 0), 0
        for sweep in self.axes:
            found = sweep.solve(found.values, found.outputs, dt)
            if found is None:
                return None
            count += found.count
        return found._replace(count=count)

    def easy(self, count: int) -> bool:
        """Return whether so few Newton steps mean that a longer step may succeed."""
        return count <= EASY * max(1, len(self.axes))

    @property
    def lost(self) -> float:
        """Mean dissipation of the last step, up to its order."""
        return sum(sweep.lost for sweep in self.axes)

    def dissipation(self, values: np.ndarray, outputs: Outputs) -> float:
        """Return the dissipation of a state."""
        return sum(sweep.dissipation(values, outputs) for sweep in self.axes)


class Sweep:
    """The implicit step along one axis: the nonlinear system and its Jacobian.

    The unknown is the vector of all new model outputs, followed by the new interaction potential.
    """

    def __init__(self, discrete, axis, periodic, rate):
        self.discrete = discrete
        self.slab, self.axis = discrete.slab, axis
        self.lines = (*self.slab.lines(axis), periodic)
        self.rate = rate
        self.sizes = [operator.features.size for operator in discrete.operators]
        self.sizes += [discrete.mesh.cells] if discrete.pairs else []
        self._solver = Lines(self.lines, discrete.diffusion, discrete.energies)
        self.lost = 0.0

    def _split(self, unknown):
        """Return the model outputs and the interaction potential (or None)."""
        pieces = self._pieces(unknown)
        return (pieces[:-1], pieces[-1]) if self.discrete.pairs else (pieces, None)

    def _pieces(self, unknown):
        return np.split(unknown, np.cumsum(self.sizes)[:-1]) if self.sizes else []

    def _measured(self, values, outputs=None):
        """Return the vector of model outputs and interaction potential of a density."""
        pieces = list(self.discrete.outputs(values) if outputs is None else outputs)
        if self.discrete.pairs:
            pieces.append(self._interaction(values))
        return np.concatenate(pieces) if pieces else np.zeros(0)

    def _interaction(self, values):
        return sum(term.potential(self.discrete.mesh, values) for term in self.discrete.pairs)

    def _potential(self, unknown):
        """Return the first variation between the old state and the state of `unknown`."""
        outputs, around = self._split(unknown)
        result = np.empty_like(self._old)
        residuals = map(step_residual, self.discrete.risks, self._old_outputs, outputs)
        self.discrete.variation_of(list(residuals), result)
        if around is not None:
            result += 0.5 * (self._old_around + around)
        return result

    def _change(self, unknown, direction):
        """Return the derivative of `_potential` along `direction`."""
        outputs, _ = self._split(unknown)
        shifts, around = self._split(direction)
        result, part = np.zeros_like(self._old), np.empty_like(self._old)
        risks, nothing = self.discrete.risks, np.zeros(sum(self.discrete.shape))
        for risk, operator, old, s, v in zip(
            risks, self.discrete.operators, self._old_outputs, outputs, shifts
        ):
            unit = operator.variation(residual_slope(risk, old, s, v))
            variation = Variation(operator.amplitude, unit, nothing, self.discrete.shape)
            result += variation.fill(part)
        if around is not None:
            result += 0.5 * around
        return result

    def solve(self, values: np.ndarray, outputs: Outputs, dt: float) -> Moved | None:
        """Return the state after the step, None if Newton's method does not converge."""
        self._old, self._old_outputs, self._step = values, outputs, dt * self.rate
        self._old_lines = self.slab.turn(self.axis, values)
        unknown = self._measured(values, outputs)
        if self.discrete.pairs:
            self._old_around = self._split(unknown)[1]
        scale = self._scales(unknown)
        state = self._evaluate(unknown)
        size = np.inf if state is None else norm(state[1] / scale)
        count = 0
        while state is not None and size > TOLERANCE:
            if count == NEWTON_LIMIT or not np.isfinite(size):
                return None
            forcing = min(0.1, max(1e-3, 0.1 * size), 1.0)
            shift = self._newton_shift(unknown, state[1], scale, forcing)
            # a trial takes its place in memory
            state = None
            count += 1
            found = self._search(unknown, shift, size, scale)
            if found is None:
                # round-off of a stiff system stops the fall: good enough if close
                if size > 1e3 * TOLERANCE:
                    return None
                state = self._evaluate(unknown)
                break
            unknown, state, size = found
        if state is None:
            return None
        density, _, potential = state
        self._old_lines = None
        self.lost = self._loss(density, potential)
        return Moved(density, self.discrete.outputs(density), count)

    def _scales(self, unknown):
        targets = [risk.loss.target for risk in self.discrete.risks]
        scales = []
        for k, piece in enumerate(self._pieces(unknown)):
            size = norm(piece)
            if k < len(targets) and targets[k] is not None:
                size = max(size, norm(np.asarray(targets[k])))
            scales.append(np.full(piece.size, max(size, 1e-300)))
        return np.concatenate(scales) if scales else np.zeros(0)

    def _evaluate(self, unknown):
        """Return ``(density, residual, potential)``; the lines stay linearised there."""
        potential = self._potential(unknown)
        # the turned potential is given back before the result is turned
        result = self._solver.solve(
            self._old_lines, self.slab.turn(self.axis, potential), self._step
        )
        if self.slab.largest(float(result is None)):
            return None
        density = self.slab.turn_back(self.axis, result)
        return density, unknown - self._measured(density), potential

    def _newton_shift(self, unknown, residual, scale, forcing):
        def product(direction):
            direction = direction * scale
            change = self._change(unknown, direction)
            moved = self._solver.linearised(self.slab.turn(self.axis, change), self._step)
            moved = self.slab.turn_back(self.axis, moved)
            return (direction - self._measured(moved)) / scale

        return -scale * gmres(product, residual / scale, forcing, KRYLOV_LIMIT)

    def _search(self, unknown, shift, size, scale):
        """Return the new ``(unknown, state, size)`` along the Newton direction, or None."""
        fraction = 1.0
        while fraction > 1e-3:
            trial = unknown + fraction * shift
            state = self._evaluate(trial)
            if state is not None:
                new = norm(state[1] / scale)
                if new <= (1.0 - 0.1 * fraction) * size:
                    return trial, state, new
            state = None
            fraction *= 0.5
        return None

    def _loss(self, density, potential):
        before, n, after, periodic = self.lines
        for energy in self.discrete.energies:
            potential = potential + energy.slope(density)
        if not np.isfinite(potential).all():
            potential = np.where(np.isfinite(potential), potential, 0.0)
        density, potential = (self.slab.turn(self.axis, v) for v in (density, potential))
        loss = np.zeros(before * after)
        unused = np.zeros((2, loss.size * n))
        implicit_kernels.add_fluxes(
            density, potential, before, n, after, periodic, self.rate, self.discrete.diffusion,
            *unused, loss,
        )  # fmt: skip
        (lost,) = self.slab.sums((loss, self.slab.line_cuts(self.axis)))
        return lost * self.discrete.mesh.cell_volume

    def dissipation(self, values: np.ndarray, outputs: Outputs) -> float:
        """Return the dissipation of a state along this axis."""
        potential = np.empty(values.size)
        self.discrete.first_variation(outputs, potential)
        if self.discrete.pairs:
            potential += self._interaction(values)
        return self._loss(values, potential)


def discrete_residual(risk, old, new):
    """Return the discrete gradient of ``R(scale s) / scale^2`` between two outputs."""
    s0, s1 = risk.scale * old, risk.scale * new
    # the correction of a short step is of third order and below round-off
    if norm(s1 - s0) <= 1e-5 * (norm(s0) + norm(s1)):
        return risk.loss.gradient(0.5 * (s0 + s1)) / risk.scale
    return risk.loss.discrete_gradient(s0, s1) / risk.scale


def step_residual(risk, old, new):
    """Return the mean of the discrete gradient and of the gradient at the end."""
    return 0.5 * (discrete_residual(risk, old, new) + risk.residual(new))


def residual_slope(risk, old, new, direction):
    """Return the derivative of `step_residual` in the new output along `direction`."""
    length = norm(direction)
    if length == 0:
        return np.zeros_like(direction)
    shift = 1e-4 * max(norm(new - old), 1e-3 * (norm(new) + norm(old)), 1e-150) / length
    ahead = step_residual(risk, old, new + shift * direction)
    back = step_residual(risk, old, new - shift * direction)
    return (ahead - back) / (2 * shift)
