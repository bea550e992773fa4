"""Implicit steps of the flow: unsplit, or one axis after the other where that is too large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wgf.eulerian.discrete import DiscreteFunctional, Outputs
from wgf.eulerian.krylov import gmres, norm
from wgf.eulerian.lines import Lines
from wgf.eulerian.unsplit import Coupled, Downhill, Faces
from wgf.eulerian.variation import Variation

NEWTON_LIMIT = 25
KRYLOV_LIMIT = 60
TOLERANCE = 1e-12
# Newton steps after which a longer step may succeed
EASY = 8
# largest meshes whose sparse factors are made, for two and for more axes
LARGEST_FACTORS = 150_000, 15_000


class Moved(NamedTuple):
    """A density after an implicit step, its outputs, the fluxes, and the Newton steps it took.

    The fluxes are those of all faces, axis after axis.
    """

    values: np.ndarray
    outputs: Outputs
    flux: np.ndarray
    count: int


class Sweeps:
    """An implicit Euler step of the flow on a whole mesh.

    Along all axes at once, by lines along the only axis that moves, in the order of the potential
    where nothing diffuses, by sparse factors otherwise. Larger meshes with diffusion in several
    axes are swept along one axis after the other.

    Parameters
    ----------
    discrete : DiscreteFunctional
        Of a slab that holds the whole mesh.
    mobilities : sequence of float
        Factor of the velocity for every axis.
    """

    def __init__(self, discrete: DiscreteFunctional, mobilities: Sequence[float]):
        mesh, slab = discrete.mesh, discrete.slab
        missing = 4 - mesh.dimension
        rates = np.concatenate([np.zeros(missing), np.array(mobilities) / mesh.spacing**2])
        whole = Faces(slab.shape, slab.wraps, rates, discrete.diffusion)
        parted = len(whole.axes) > 1 and not self._fits(discrete, whole)
        groups = [[axis] for axis in whole.axes] if parted else [whole.axes]
        self.sweeps, self.faces = [], []
        for axes in groups:
            only = np.where(np.isin(np.arange(4), axes), rates, 0.0)
            faces = Faces(slab.shape, slab.wraps, only, discrete.diffusion)
            if axes:
                self.sweeps.append(Sweep(discrete, faces))
            self.faces.append(faces)
        # whether the equation is linear in the density, and solved for at once
        terms = discrete.operators, discrete.pairs, discrete.energies
        self.linear = not any(terms) and len(self.sweeps) < 2
        self.left = np.concatenate([each.left for each in self.faces])
        self.right = np.concatenate([each.right for each in self.faces])

    @staticmethod
    def _fits(discrete, faces):
        most = LARGEST_FACTORS[0 if len(faces.axes) == 2 else 1]
        moving = int(np.prod(faces.shape))
        return not (discrete.diffusion or discrete.energies) or moving <= most

    def solve(
        self, values: np.ndarray, outputs: Outputs, dt: float, fall: float = 0.0
    ) -> Moved | None:
        """Return the state after a step, None if Newton's method fails.

        The method ends early where its residual fell below a fraction `fall` of the first one: the
        density then is moved in a potential that is nearly that at the end.
        """
        found, fluxes = Moved(values, outputs, np.zeros(0), 0), []
        count = 0
        for sweep in self.sweeps:
            found = sweep.solve(found.values, found.outputs, dt, fall)
            if found is None:
                return None
            fluxes.append(found.flux)
            count += found.count
        flux = np.concatenate(fluxes) if fluxes else np.zeros(0)
        return found._replace(flux=flux, count=count)

    def easy(self, count: int) -> bool:
        """Return whether so few Newton steps mean that a longer step may succeed."""
        return count <= EASY * max(1, len(self.sweeps))

    def longest(self, values: np.ndarray, outputs: Outputs) -> float:
        """Return the longest step that can be solved for."""
        return min((each.longest(values, outputs) for each in self.sweeps), default=np.inf)

    def dissipation(self, values: np.ndarray, outputs: Outputs) -> float:
        """Return the dissipation of a state."""
        return sum(sweep.dissipation(values, outputs) for sweep in self.sweeps)

    def change(self, values: np.ndarray, outputs: Outputs) -> float:
        """Return the rate at which mass changes its cell, in cells' densities."""
        net = np.zeros_like(values)
        for sweep in self.sweeps:
            net += sweep.net(values, outputs)
        return float(np.abs(net).sum())


class Sweep:
    """The implicit step across some faces: the nonlinear system and its Jacobian.

    The unknown is the vector of all new model outputs, followed by the new interaction potential.
    """

    def __init__(self, discrete: DiscreteFunctional, faces: Faces):
        self.discrete, self.faces = discrete, faces
        self.sizes = [operator.features.size for operator in discrete.operators]
        self.sizes += [discrete.mesh.cells] if discrete.pairs else []
        self._solver = self._chosen()

    def _chosen(self):
        discrete, faces = self.discrete, self.faces
        if len(faces.axes) == 1:
            (axis,) = faces.axes
            lines = (*discrete.slab.lines(axis), faces.periodic[axis])
            return Lines(lines, faces.axis_rates[0], discrete.diffusion, discrete.energies)
        if discrete.diffusion or discrete.energies:
            return Coupled(faces, discrete.energies)
        return Downhill(faces)

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

    def _potential(self, unknown, values):
        """Return the first variation at `unknown`, shaped as `values`."""
        outputs, around = self._split(unknown)
        result = np.empty_like(values)
        self.discrete.first_variation(list(outputs), result)
        if around is not None:
            result += around
        return result

    def _change(self, unknown, direction):
        """Return the derivative of `_potential` along `direction`."""
        outputs, _ = self._split(unknown)
        shifts, around = self._split(direction)
        result, part = np.zeros_like(self._old), np.empty_like(self._old)
        risks, nothing = self.discrete.risks, np.zeros(sum(self.discrete.shape))
        for risk, operator, s, v in zip(risks, self.discrete.operators, outputs, shifts):
            unit = operator.variation(residual_slope(risk, s, v))
            variation = Variation(operator.amplitude, unit, nothing, self.discrete.shape)
            result += variation.fill(part)
        if around is not None:
            result += around
        return result

    def solve(
        self, values: np.ndarray, outputs: Outputs, dt: float, fall: float = 0.0
    ) -> Moved | None:
        """Return the state after the step, None if Newton's method does not converge."""
        self._old, self._step = values, dt
        unknown = self._measured(values, outputs)
        scale = self._scales(unknown)
        state = self._evaluate(unknown)
        size = np.inf if state is None else norm(state[1] / scale)
        count, enough = 0, max(TOLERANCE, fall * size)
        while state is not None and size > enough:
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
        density, _, potential, measured = state
        flux = self.faces.terms(density, self._with_slopes(potential, density))[3]
        return Moved(density, list(self._split(measured)[0]), flux, count)

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
        """Return ``(density, residual, potential, measured)``; the solver stays linearised there.

        `measured` is what `_measured` finds of the density.
        """
        potential = self._potential(unknown, self._old)
        density = self._solver.solve(self._old, potential, self._step)
        if density is None:
            return None
        measured = self._measured(density)
        return density, unknown - measured, potential, measured

    def _newton_shift(self, unknown, residual, scale, forcing):
        def product(direction):
            direction = direction * scale
            change = self._change(unknown, direction)
            moved = self._solver.linearised(change, self._step)
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

    def _with_slopes(self, potential, density):
        """Return the potential plus the slopes of energies of the density."""
        for energy in self.discrete.energies:
            potential = potential + energy.slope(density)
        return potential

    def _variation(self, values, outputs):
        return self._with_slopes(self._potential(self._measured(values, outputs), values), values)

    def longest(self, values: np.ndarray, outputs: Outputs) -> float:
        """Return the longest step that can be solved for."""
        return self._solver.longest(
            values, lambda: self._potential(self._measured(values, outputs), values)
        )

    def dissipation(self, values: np.ndarray, outputs: Outputs) -> float:
        """Return the dissipation of a state across these faces."""
        found = self.faces.dissipation(values, self._variation(values, outputs))
        return found * self.discrete.mesh.cell_volume

    def net(self, values: np.ndarray, outputs: Outputs) -> np.ndarray:
        """Return the rate of change of every cell by the fluxes across these faces."""
        flux = self.faces.terms(values, self._variation(values, outputs))[3]
        return self.faces.gained(flux, values.size)


def discrete_residual(risk, old, new):
    """Return the discrete gradient of ``R(scale s) / scale^2`` between two outputs."""
    s0, s1 = risk.scale * old, risk.scale * new
    # the correction of a short step is of third order and below round-off
    if norm(s1 - s0) <= 1e-5 * (norm(s0) + norm(s1)):
        return risk.loss.gradient(0.5 * (s0 + s1)) / risk.scale
    return risk.loss.discrete_gradient(s0, s1) / risk.scale


def residual_slope(risk, output, direction):
    """Return the derivative of ``R'(scale s) / scale`` in the output along `direction`."""
    length = norm(direction)
    if length == 0:
        return np.zeros_like(direction)
    shift = 1e-4 * max(norm(output), 1e-150) / length
    ahead = risk.residual(output + shift * direction)
    back = risk.residual(output - shift * direction)
    return (ahead - back) / (2 * shift)
