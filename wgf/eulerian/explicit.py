"""Explicit upwind finite volumes with a step that follows the outflow and the energy."""

from __future__ import annotations

from typing import Any

from wgf import checks
from wgf.eulerian.discrete import DiscreteFunctional
from wgf.eulerian.slab import Slab, SlabStepper
from wgf.eulerian.upwind import Upwind
from wgf.eulerian.walls import Walls
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


class ExplicitStepper(SlabStepper):
    """One run of `FiniteVolume`.

    Attributes
    ----------
    values : array of shape ``(cells,)``
        Cell averages on the slab.
    variation : Variation
        First variation of the current state.
    """

    # whether the first variation is stored even if it factors
    stores = False

    def __init__(self, method: FiniteVolume, flow: GradientFlow, start: Density, world: Any = None):
        super().__init__(Energy(method.courant))
        # the fluxes of diffusion are made line by line
        diffuses = any(t.form().strength for t in flow.functional.of_form(forms.Diffusion))
        self.slab = Slab(start.mesh, world, whole_planes=diffuses)
        self.discrete = DiscreteFunctional(flow.functional, start.mesh, self.slab)
        mobilities = flow.mobilities(start.names)
        self.upwind = Upwind(self.discrete, mobilities, method.order, self.stores)
        self.walls = Walls(self.slab, mobilities)
        self.values = self.slab.begin(start)
        self.outputs = self.discrete.outputs(self.values)
        self.mass, self.parts = self.discrete.parts(self.values, self.outputs)
        self._room = self.upwind.room()
        self.variation = self.discrete.variation(self.values, self.outputs, self._room)
        loss, self.control.largest_outflow = self.upwind.rate_of(self.values, self.variation)
        self.begin(loss)

    def attempt(self, dt: float) -> Trial:
        return self.upwind.attempt(
            self.values, self.variation, dt, self.row["objective"], self.finite
        )

    def commit(self, trial: Trial) -> None:
        self.values = self.upwind.exchange(self.values)
        self.outputs, self.mass, self.parts = trial.result
        self.variation = self.discrete.variation(self.values, self.outputs, self._room)

    def diagnose(self) -> Diagnosis:
        masses, ends = self.discrete.masses, self.discrete.ends
        walls = self.walls.columns(self.values, self.variation, masses, ends)
        return Diagnosis(self.mass, self.parts, more=walls)
