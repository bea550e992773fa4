"""Explicit upwind finite volumes with a step that follows the outflow and the energy."""

import numpy as np

from wgf import checks, parallel
from wgf.eulerian import implicit_kernels, kernels, transport_kernels
from wgf.eulerian.discrete import DiscreteFunctional
from wgf.eulerian.slab import Slab, SlabStepper
from wgf.eulerian.walls import Walls
from wgf.flows import GradientFlow
from wgf.measures.density import Density

# F is a sum of parts, each known to a few units in the last place
ROUND_OFF = 2e-14
SMALLEST_STEP = 1e-14


class FiniteVolume:
    """Explicit upwind finite volumes for a `wgf.Density`.

    The face velocity is ``u = -(xi_R - xi_L) / h`` with ``xi`` the first variation of the
    discrete functional, the flux is upwind, so ``dF/dt = -h^d sum_faces u^2 rho_upwind``.
    Mass is conserved to round-off and the density stays non-negative.

    Parameters
    ----------
    order : {1, 2}
        1: forward Euler with first-order upwind. 2: monotonised-central reconstruction with the
        two-stage strong-stability-preserving Runge-Kutta method.
    courant : float
        Share of the largest step that keeps every cell non-negative, at most 1.

    Notes
    -----
    The step is the smallest of the outflow bound ``courant / max_j sum_axes outflow_j`` (half of
    it for order 2) and the step of the energy control: a step whose decrease of ``F`` is less than
    half of the dissipated ``dt h^d sum u^2 rho``, beyond round-off, is redone with half the step.
    Source: Carrillo, Chertock & Huang 2015.

    With `wgf.Entropy` the flux is that of Scharfetter and Gummel, which is central where diffusion
    dominates a cell and upwind where drift does, and keeps the Gibbs density exactly; the energy
    control then asks only that ``F`` does not rise. Fast diffusion, whose stiffness has no bound,
    is refused.
    """

    needs = "a density"

    def __init__(self, order=2, courant=0.9):
        self.order = checks.choice("finite volume order", order, (1, 2))
        self.courant = checks.number("finite volume courant", courant, above=0, maximum=1)

    def prepare(self, flow, start):
        """Return a stepper for `flow` from the density `start`."""
        checks.instance("finite volume flow", flow, GradientFlow)
        checks.instance("finite volume start", start, Density)
        flow.functional.axis_names(start)
        for term in flow.functional.terms:
            if getattr(term, "exponent", 2.0) < 1.0:
                raise checks.InputError(
                    f"finite volume: fast diffusion with exponent {term.exponent:g} has no largest "
                    "explicit step, use wgf.ImplicitFiniteVolume"
                )
        return ExplicitStepper(self, flow, start)

    def __repr__(self):
        return f"FiniteVolume(order={self.order}, courant={self.courant:g})"


class ExplicitStepper(SlabStepper):
    """One run of `FiniteVolume`: the state and the step control.

    Attributes
    ----------
    time : float
    row : dict of float
        Diagnostics of the current state and of the step that led to it.
    output : array or None
        Model output of the first risk.
    variation : Variation
        First variation of the current state.
    """

    # whether the first variation is stored even if it factors
    stores = False

    def __init__(self, method, flow, start):
        self.method = method
        self.mesh = start.mesh
        self.slab = slab = self._slab(flow)
        self.discrete = DiscreteFunctional(flow.functional, start.mesh, slab)
        mobility = np.array(flow.mobilities(start.names))
        missing = 4 - self.mesh.dimension
        self.rates = np.concatenate([np.zeros(missing), mobility / self.mesh.spacing**2])
        self.wraps = (False,) * missing + tuple(bool(p) for p in self.mesh.periodic)
        self.walls = Walls(slab, mobility)
        self.time = 0.0
        cells = int(np.prod(slab.shape))
        self.values, self._stage, self._candidate = (kernels.empty(cells) for _ in range(3))
        factors = self.discrete.factors and not self.stores
        self._rooms = (None, None) if factors else (kernels.empty(cells), kernels.empty(cells))
        self._scratch = transport_kernels.room(slab.shape)
        self.values[:] = slab.begin(start)
        rows = slab.last - slab.first
        self._outflow, self._loss = np.empty(rows), np.empty(rows)
        self._blocks = np.arange(0, rows, kernels.ROWS_PER_BLOCK)
        self.energy_step = np.inf
        self._enter()

    def _slab(self, flow):
        """Return the part of this rank; the fluxes of diffusion are made line by line."""
        diffuses = any(term.name == "entropy" and term.strength for term in flow.functional.terms)
        return Slab(self.mesh, parallel.world(), whole_planes=diffuses)

    def _enter(self):
        """Evaluate everything that follows from the density."""
        self.outputs, mass, parts = self._evaluate(self.values)
        self.variation = self.discrete.variation(self.values, self.outputs, self._rooms[0])
        loss, self._largest_outflow = self._transport(
            self.values, self.variation, self.values, self._stage, 0.0, 0.0
        )
        self.row = self._make_row(0.0, mass, parts, loss, 0)

    def _make_row(self, dt, mass, parts, dissipation, rejected):
        row = {"t": self.time, "dt": dt, "mass": mass, "objective": sum(parts.values())}
        row.update(parts)
        row.update(dissipation=dissipation, rejected=rejected)
        row.update(
            self.walls.columns(
                self.values, self.variation, self.discrete.masses, self.discrete.ends
            )
        )
        return row

    def _evaluate(self, values):
        outputs = self.discrete.outputs(values)
        mass, parts = self.discrete.parts(values, outputs)
        return outputs, mass, parts

    def _transport(self, density, variation, base, result, dt, keep):
        """Do one stage; return its dissipation and the largest outflow rate."""
        if self.discrete.diffusion:
            return self._diffuse(density, variation.values, base, result, dt, keep)
        slab, second = self.slab, self.method.order == 2
        transport_kernels.transport(
            density, variation.arrays, base, result, slab.shape, slab.periodic, self.rates, dt,
            keep, second, self._outflow, self._loss, slab.first, slab.last, self._scratch,
        )  # fmt: skip
        largest = slab.ranks.largest(float(self._outflow.max()))
        losses = np.add.reduceat(self._loss, self._blocks)
        (loss,) = slab.ranks.sums((losses, slab.blocks))
        largest = largest * self.method.order + self._stiffness(density)
        return loss * self.mesh.cell_volume, largest

    def _diffuse(self, density, potential, base, result, dt, keep):
        """Do one stage with the Scharfetter-Gummel flux."""
        slab = self.slab
        net, outflow = np.zeros(density.size), np.zeros(density.size)
        dissipation = 0.0
        for axis in np.flatnonzero(self.rates):
            before, n, after = slab.lines(axis)
            if n == 1:
                continue
            loss = np.zeros(before * after)
            lines = [slab.turn(axis, values) for values in (density, potential, net, outflow)]
            implicit_kernels.add_fluxes(
                *lines[:2], before, n, after, self.wraps[axis],
                self.rates[axis], self.discrete.diffusion, *lines[2:], loss,
            )  # fmt: skip
            net, outflow = (slab.turn_back(axis, values) for values in lines[2:])
            (lost,) = slab.ranks.sums((loss, slab.line_cuts(axis)))
            dissipation += lost * self.mesh.cell_volume
        kernels.combine(result, base, density, net, dt, keep)
        largest = slab.ranks.largest(float(outflow.max()))
        return dissipation, largest + self._stiffness(density)

    def _stiffness(self, density):
        """Return the largest decay rate of a cell by the power entropies."""
        total = 0.0
        for term in self.discrete.powers:
            m = term.exponent
            highest = self.slab.ranks.largest(float(density.max()))
            total += 2 * term.strength * m * highest ** (m - 1) * self.rates.sum()
        return total

    def advance(self, limit):
        """Make one step of at most `limit` and return its row of diagnostics.

        Raises
        ------
        NumericalError
            If the functional is not finite or the step shrinks to nothing.
        """
        rejected = 0
        while True:
            bound = self.method.courant / max(self._largest_outflow, 1e-300)
            dt = min(limit, bound, self.energy_step)
            if not dt > SMALLEST_STEP * max(self.time, limit):
                raise checks.NumericalError(
                    f"step: dt={dt:g} at t={self.time:g} after {rejected} rejections is too "
                    "small, look at the diagnostics of the last steps"
                )
            accepted = self._attempt(dt)
            if accepted is not None:
                break
            rejected += 1
        outputs, mass, parts, dissipation = accepted
        self.values, self._candidate = self._candidate, self.values
        self._take_variation()
        self.outputs = outputs
        self.time += dt
        if rejected == 0 and dt == self.energy_step:
            self.energy_step *= 1.5
        self.row = self._make_row(dt, mass, parts, dissipation, rejected)
        return self.row

    def _attempt(self, dt):
        """Try a step; return what belongs to the new state or None after adapting the step."""
        first_only = self.method.order == 1
        target = self._candidate if first_only else self._stage
        dissipation, largest = self._transport(
            self.values, self.variation, self.values, target, dt, 0.0
        )
        if dt * largest > 1.0:
            self._largest_outflow = largest
            return None
        self.slab.renew(target)
        if not first_only:
            stage_outputs = self.discrete.outputs(self._stage)
            variation = self.discrete.variation(self._stage, stage_outputs, self._rooms[1])
            second_dissipation, largest = self._transport(
                self._stage, variation, self.values, self._candidate, dt, 0.5
            )
            if dt * largest > 1.0:
                self._largest_outflow = largest
                return None
            dissipation = 0.5 * (dissipation + second_dissipation)
            self.slab.renew(self._candidate)
        outputs, mass, parts = self._evaluate(self._candidate)
        objective = sum(parts.values())
        for name, value in (("objective", objective), ("dissipation", dissipation)):
            if not np.isfinite(value):
                raise checks.NumericalError(
                    f"{name}: {value} at t={self.time:g} with dt={dt:g}, check the features and "
                    "potentials for overflow"
                )
        scale = sum(abs(part) for part in parts.values())
        owed = 0.0 if self.discrete.diffusion else 0.5 * dt * dissipation
        if objective > self.row["objective"] - owed + ROUND_OFF * scale:
            self.energy_step = 0.5 * dt
            return None
        self._largest_outflow = largest
        self._next = self.discrete.variation(self._candidate, outputs, self._rooms[1])
        return outputs, mass, parts, dissipation

    def _take_variation(self):
        """Let the first variation of the accepted state be the current one."""
        self.variation, self._rooms = self._next, self._rooms[::-1]

    def restart(self):
        """Return everything but the density that a bit-identical continuation needs."""
        return {
            "time": self.time,
            "energy_step": self.energy_step,
            "largest_outflow": self._largest_outflow,
            **{f"row_{name}": value for name, value in self.row.items()},
        }

    def restore(self, saved):
        """Continue from what `restart` returned, the density being the start."""
        self.time = float(saved["time"])
        self.energy_step = float(saved["energy_step"])
        self._largest_outflow = float(saved["largest_outflow"])
        self.row = {name: float(saved[f"row_{name}"]) for name in self.row}
