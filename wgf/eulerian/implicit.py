"""Implicit finite volumes: the functional falls for any step."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from wgf import checks
from wgf.eulerian.slab import Slab
from wgf.eulerian.state import DescentStepper
from wgf.eulerian.sweep import Sweeps
from wgf.flows import GradientFlow
from wgf.functional import forms
from wgf.measures.density import Density
from wgf.stepping import Diagnosis, Halving, Method, Trial


class ImplicitFiniteVolume(Method):
    """Implicit upwind finite volumes for a `wgf.Density`, one axis after the other.

    Along each axis the density solves the implicit upwind equation in the first variation of

    - the risk by the mean of a discrete gradient, ``g · (s1 - s0) = R(s1) - R(s0)``, and of
      ``R'(s1)``, which damps what is stiff where the former alone would reflect it,
    - interactions by the mean of both ends,
    - potentials as they are, power entropies and energies of your own at the new density,
    - the entropy by the Scharfetter-Gummel flux,

    so that ``F1 - F0 <= -dt h^d sum u^2 rho`` in every sub-step, for a convex loss and any step.
    The fixed points are those of the flow, not of the splitting. The unknowns are the model output
    and the interaction potential, found by Newton's method with exact products with the Jacobian
    (GMRES); each product is one linear M-matrix solve per line, in arithmetic that cannot lose
    positivity.

    Parameters
    ----------
    step : float
        First step; positive.
    growth : float
        Factor by which the step grows when the nonlinear solve was easy, at least 1. With 1 the
        step is never longer than `step`: the way to a given accuracy in time, of first order.

    Notes
    -----
    A step is halved while the nonlinear solve does not converge or ``F`` rises beyond round-off.
    Source of the scheme without the risk: Bailo, Carrillo & Hu.
    """

    title = "implicit finite volume"
    flow = GradientFlow
    remedies: ClassVar = {
        forms.General: "gives no derivative of its first variation, which an implicit step needs, "
        "use wgf.FiniteVolume()",
    }
    forms = (forms.Composed, forms.Linear, forms.Local, forms.Pairwise)

    def __init__(self, step: float, growth: float = 2.0):
        self.step = checks.number("implicit finite volume step", step, above=0)
        self.growth = checks.number("implicit finite volume growth", growth, minimum=1)

    def check(self, flow: GradientFlow, start: Density) -> None:
        powers = [t for t in flow.functional.of_form(forms.Power) if t.form().strength]
        if len(powers) > 1:
            raise checks.InputError(
                f"implicit finite volume: {len(powers)} power entropies, give at most one"
            )

    def stepper(self, flow: GradientFlow, start: Density, world: Any) -> ImplicitStepper:
        return ImplicitStepper(self, flow, start, world)

    def __repr__(self):
        return f"ImplicitFiniteVolume(step={self.step:g}, growth={self.growth:g})"


class ImplicitStepper(DescentStepper):
    """One run of `ImplicitFiniteVolume`."""

    def __init__(
        self, method: ImplicitFiniteVolume, flow: GradientFlow, start: Density, world: Any = None
    ):
        # an interaction makes a field of unknowns, which is solved for as a whole
        pairs = flow.functional.of_form(forms.Pairwise)
        slab = Slab(start.mesh, None if pairs else world, whole_planes=True)
        super().__init__(Halving(method.step, method.growth), slab, flow, start)
        self.sweeps = Sweeps(self.discrete, self.mobilities)
        self.newton = 0
        self.begin(self.sweeps.dissipation(self.values, self.outputs))

    def attempt(self, dt: float) -> Trial:
        found = self.sweeps.solve(self.values, self.outputs, dt)
        if found is None:
            return Trial(failed=True)
        trial = self.judged(dt, found.values, found.outputs, self.row["objective"])
        trial.result = found.values, found.count, *trial.result
        trial.dissipation, trial.easy = self.sweeps.lost, self.sweeps.easy(found.count)
        return trial

    def commit(self, trial: Trial) -> None:
        self.values, self.newton, self.outputs, self.mass, self.parts = trial.result

    def diagnose(self) -> Diagnosis:
        variation = self.discrete.variation(self.values, self.outputs, np.empty_like(self.values))
        gap = self.discrete.gap(self.values, variation.values)
        return self.diagnosed(variation, gap=gap, newton=self.newton)
