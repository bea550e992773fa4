"""Explicit upwind finite volumes with a step that follows the outflow and the energy."""

from __future__ import annotations

from typing import Any

import numpy as np

from wgf import checks
from wgf.eulerian import implicit_kernels, kernels, transport_kernels
from wgf.eulerian.discrete import DiscreteFunctional
from wgf.eulerian.slab import Slab
from wgf.eulerian.state import DescentStepper
from wgf.eulerian.variation import Variation
from wgf.flows import GradientFlow
from wgf.functional import forms
from wgf.measures.density import Density
from wgf.stepping import Diagnosis, Energy, Method, Trial


class FiniteVolume(Method):
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
        Fraction of the largest step that keeps every cell non-negative, at most 1.

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

    title = "finite volume"
    flow = GradientFlow

    def __init__(self, order: int = 2, courant: float = 0.9):
        self.order = checks.choice("finite volume order", order, (1, 2))
        self.courant = checks.number("finite volume courant", courant, above=0, maximum=1)

    def check(self, flow: GradientFlow, start: Density) -> None:
        for term in flow.functional.of_form(forms.Power):
            if term.form().exponent < 1.0:
                raise checks.InputError(
                    f"finite volume: fast diffusion with exponent {term.form().exponent:g} has no "
                    "largest explicit step, use wgf.ImplicitFiniteVolume"
                )

    def stepper(self, flow: GradientFlow, start: Density, world: Any) -> ExplicitStepper:
        return ExplicitStepper(self, flow, start, world)

    def __repr__(self):
        return f"FiniteVolume(order={self.order}, courant={self.courant:g})"


class ExplicitStepper(DescentStepper):
    """One run of `FiniteVolume`.

    Attributes
    ----------
    variation : Variation
        First variation of the current state.
    """

    # whether the first variation is stored even if it factors
    stores = False

    def __init__(self, method: FiniteVolume, flow: GradientFlow, start: Density, world: Any = None):
        # the fluxes of diffusion are made line by line
        diffuses = any(t.form().strength for t in flow.functional.of_form(forms.Diffusion))
        slab = Slab(start.mesh, world, whole_planes=diffuses)
        super().__init__(Energy(method.courant), slab, flow, start)
        self.upwind = Upwind(self.discrete, self.mobilities, method.order, self.stores)
        self._room = self.upwind.room()
        self.variation = self.discrete.variation(self.values, self.outputs, self._room)
        loss, self.control.largest_outflow = self.upwind.rate_of(self.values, self.variation)
        self.begin(loss)

    def attempt(self, dt: float) -> Trial:
        state = self.values, self.variation
        return self.upwind.attempt(*state, dt, self.row["objective"], self.judged)

    def commit(self, trial: Trial) -> None:
        self.values = self.upwind.exchange(self.values)
        self.outputs, self.mass, self.parts = trial.result
        self.variation = self.discrete.variation(self.values, self.outputs, self._room)

    def diagnose(self) -> Diagnosis:
        return self.diagnosed(self.variation)


class Upwind:
    """Explicit transport of a density by its own first variation.

    Parameters
    ----------
    discrete : DiscreteFunctional
    mobilities : sequence of float
        Factor of the velocity for every axis.
    order : {1, 2}
    stores : bool
        Whether the first variation is stored even if it factors.

    Attributes
    ----------
    stage, candidate : arrays of shape ``(cells,)``
        The density after the first stage of an attempt and after all of them.
    """

    def __init__(self, discrete: DiscreteFunctional, mobilities: list, order: int, stores: bool):
        self.discrete, self.slab, self.order = discrete, discrete.slab, order
        spacing, missing = discrete.mesh.spacing, 4 - discrete.mesh.dimension
        self.rates = np.concatenate([np.zeros(missing), np.array(mobilities) / spacing**2])
        self.rate = self.rates.sum()
        cells = int(np.prod(self.slab.shape))
        self.stage, self.candidate = kernels.empty(cells), kernels.empty(cells)
        self.stored = stores or not discrete.factors
        self._between = self.room() if order == 2 else None
        self._scratch = transport_kernels.room(self.slab.shape)
        self._kind = transport_kernels.kind_of(self.slab.shape, order)
        rows = self.slab.last - self.slab.first
        self._outflow, self._loss = np.empty(rows), np.empty(rows)
        self._blocks = np.arange(0, rows, kernels.ROWS_PER_BLOCK)

    def room(self) -> np.ndarray | None:
        """Return a new array for a first variation, None if that is left in factors."""
        return kernels.empty(self.stage.size) if self.stored else None

    def rate_of(self, values: np.ndarray, variation: Variation) -> tuple[float, float]:
        """Return the dissipation and the largest outflow rate of a state."""
        return self.transport(values, variation, values, self.stage, 0.0, 0.0)

    def attempt(self, values, variation, dt, objective, judged) -> Trial:
        """Try a step from a state of a given objective.

        `judged` is that of `DescentStepper`. The trial has no result if the outflow is too large.
        """
        second = self.order == 2
        target = self.stage if second else self.candidate
        dissipation, largest = self.transport(values, variation, values, target, dt, 0.0)
        if dt * largest > 1.0:
            return Trial(outflow=largest)
        self.slab.renew(target)
        if second:
            outputs = self.discrete.outputs(target)
            between = self.discrete.variation(target, outputs, self._between)
            lost, largest = self.transport(target, between, values, self.candidate, dt, 0.5)
            if dt * largest > 1.0:
                return Trial(outflow=largest)
            dissipation = 0.5 * (dissipation + lost)
            self.slab.renew(self.candidate)
        outputs = self.discrete.outputs(self.candidate)
        owed = 0.0 if self.discrete.diffusion else 0.5 * dt * dissipation
        trial = judged(dt, self.candidate, outputs, objective - owed, dissipation=dissipation)
        trial.dissipation, trial.outflow = dissipation, largest
        return trial

    def exchange(self, values: np.ndarray) -> np.ndarray:
        """Return the density of the attempt and take the memory of the one before."""
        values, self.candidate = self.candidate, values
        return values

    def transport(self, density, variation, base, result, dt, keep) -> tuple[float, float]:
        """Do one stage; return its dissipation and the largest outflow rate."""
        if self.discrete.diffusion:
            return self._diffuse(density, variation.values, base, result, dt, keep)
        slab = self.slab
        transport_kernels.transport(
            density, variation.arrays, base, result, slab.shape, slab.periodic, self.rates, dt,
            keep, self._kind, self._outflow, self._loss, slab.first, slab.last, self._scratch,
        )  # fmt: skip
        largest = slab.largest(float(self._outflow.max()))
        losses = np.add.reduceat(self._loss, self._blocks)
        (loss,) = slab.sums((losses, slab.blocks))
        largest = largest * self.order + self.discrete.stiffness(density, self.rate)
        return loss * self.discrete.mesh.cell_volume, largest

    def _diffuse(self, density, potential, base, result, dt, keep):
        """Do one stage with the Scharfetter-Gummel flux."""
        slab, volume = self.slab, self.discrete.mesh.cell_volume
        net, outflow = np.zeros(density.size), np.zeros(density.size)
        dissipation = 0.0
        for axis in np.flatnonzero(self.rates):
            before, n, after = slab.lines(axis)
            if n == 1:
                continue
            loss = np.zeros(before * after)
            lines = [slab.turn(axis, values) for values in (density, potential, net, outflow)]
            implicit_kernels.add_fluxes(
                *lines[:2], before, n, after, slab.wraps[axis],
                self.rates[axis], self.discrete.diffusion, *lines[2:], loss,
            )  # fmt: skip
            net, outflow = (slab.turn_back(axis, values) for values in lines[2:])
            (lost,) = slab.sums((loss, slab.line_cuts(axis)))
            dissipation += lost * volume
        kernels.combine(result, base, density, net, dt, keep)
        largest = slab.largest(float(outflow.max()))
        return dissipation, largest + self.discrete.stiffness(density, self.rate)
