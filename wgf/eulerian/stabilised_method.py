"""The method `StabilisedFiniteVolume`: long explicit steps, as many stages as they need."""

from __future__ import annotations

from typing import Any

import numpy as np

from wgf import checks
from wgf.eulerian.discrete import DiscreteFunctional
from wgf.eulerian.field import MeshField
from wgf.eulerian.slab import Slab, SlabStepper
from wgf.eulerian.stabilised import Faces, StabilisedIntegrator
from wgf.eulerian.walls import Walls
from wgf.flows import GradientFlow
from wgf.functional import forms
from wgf.measures.density import Density
from wgf.stepping import Diagnosis, Method, Trial
from wgf.stepping.control import Control

# F is a sum of parts, each known to a few units in the last place
ROUND_OFF = 2e-14


class StabilisedFiniteVolume(Method):
    """Stabilised explicit finite volumes for a `wgf.Density`: Runge-Kutta-Legendre of order 2.

    A step makes as many visits of the mesh as diffusion asks for, about the square root of the
    number of plain explicit steps that it replaces. Fluxes are those of Scharfetter and Gummel,
    limited ones of second order where drift outweighs diffusion, and central ones of the power
    entropies: the Gibbs density stays at rest. Mass is conserved to round-off and the density
    stays non-negative.

    Parameters
    ----------
    tolerance : float, optional
        Largest error of a step: the mass that it misplaces over the whole mass. By default
        ``1 / n^2`` with the largest number of cells along an axis, between 1e-7 and 1e-3: below
        the error in space of a smooth flow.

    Notes
    -----
    A step after which ``F`` has risen beyond round-off is redone with half the length. The
    potential of risks and interactions is that of the middle of a step, found by a step of half
    the length; the error estimate uses the potentials at both ends. Source: Meyer, Balsara &
    Aslam 2014.
    """

    title = "stabilised finite volume"
    flow = GradientFlow
    forms = (forms.Composed, forms.Linear, forms.Diffusion, forms.Power, forms.Pairwise)

    def __init__(self, tolerance: float | None = None):
        if tolerance is not None:
            tolerance = checks.number(f"{self.title} tolerance", tolerance, minimum=1e-12)
        self.tolerance = tolerance

    def check(self, flow: GradientFlow, start: Density) -> None:
        for term in flow.functional.of_form(forms.Power):
            if term.form().exponent < 1.0:
                raise checks.InputError(
                    f"{self.title}: fast diffusion with exponent {term.form().exponent:g} has no "
                    "largest explicit step, use wgf.ImplicitFiniteVolume"
                )

    def stepper(self, flow: GradientFlow, start: Density, world: Any) -> StabilisedStepper:
        return StabilisedStepper(self, flow, start)

    def __repr__(self):
        given = "" if self.tolerance is None else f"tolerance={self.tolerance:g}"
        return f"StabilisedFiniteVolume({given})"


class IntegratorControl(Control):
    """The error control of an integrator, and the energy that must not rise."""

    saved = ("step",)

    def __init__(self, integrator: StabilisedIntegrator):
        self.integrator = integrator

    @property
    def step(self) -> float:
        """The length of a step that nothing cuts."""
        return self.integrator.step

    @step.setter
    def step(self, value: float) -> None:
        self.integrator.step = value

    def propose(self, limit: float) -> float:
        return self.integrator.propose(limit)

    def judge(self, dt: float, trial: Trial, rejected: int) -> bool:
        if trial.rise > 0:
            self.step = 0.5 * dt
            return False
        return self.integrator.judge(dt, trial.error)


class StabilisedStepper(SlabStepper):
    """One run of `StabilisedFiniteVolume`."""

    saved = {"most": "most"}

    def __init__(self, method: StabilisedFiniteVolume, flow: GradientFlow, start: Density):
        self.slab = Slab(start.mesh)
        self.discrete = DiscreteFunctional(flow.functional, start.mesh, self.slab)
        mobilities = flow.mobilities(start.names)
        mesh = start.mesh
        faces = Faces(mesh.shape, mesh.periodic, np.array(mobilities) / mesh.spacing**2)
        field = MeshField(self.discrete)
        self.integrator = StabilisedIntegrator(
            faces, field, self.slab.begin(start), method.tolerance
        )
        super().__init__(IntegratorControl(self.integrator))
        self.walls = Walls(self.slab, mobilities)
        self.stages = 0
        self._evaluate(self.values)
        self.begin(self.integrator.dissipation())

    @property
    def values(self) -> np.ndarray:
        """Cell averages."""
        return self.integrator.values

    @property
    def most(self) -> float:
        """The rate above which those of nearly empty cells are lowered."""
        return self.integrator.flux.most

    @most.setter
    def most(self, value: float) -> None:
        self.integrator.restored(float(value))

    def _evaluate(self, values: np.ndarray) -> None:
        self.outputs = self.discrete.outputs(values)
        self.mass, self.parts = self.discrete.parts(values, self.outputs)

    def attempt(self, dt: float) -> Trial:
        error = self.integrator.attempt(dt)
        if not error <= self.integrator.tolerance:
            return Trial(error=error)
        new = self.integrator.candidate
        outputs = self.discrete.outputs(new)
        mass, parts = self.discrete.parts(new, outputs)
        objective = sum(parts.values())
        self.finite(dt, objective=objective)
        allowed = self.row["objective"] + ROUND_OFF * sum(abs(part) for part in parts.values())
        fell = (self.row["objective"] - objective) / dt
        return Trial((outputs, mass, parts), fell, error=error, rise=objective - allowed)

    def commit(self, trial: Trial) -> None:
        self.outputs, self.mass, self.parts = trial.result
        before = self.integrator.stages
        self.integrator.accept()
        self.stages = before - self.stages

    def diagnose(self) -> Diagnosis:
        variation = self.discrete.variation(self.values, self.outputs, np.empty(self.values.size))
        walls = self.walls.columns(self.values, variation, self.discrete.masses, self.discrete.ends)
        return Diagnosis(self.mass, self.parts, more=walls)
