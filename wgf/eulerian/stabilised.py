"""The method `StabilisedFiniteVolume`: long steps under error control where diffusion acts."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from wgf import checks
from wgf.eulerian import flux_kernels
from wgf.eulerian.faces import Faces
from wgf.eulerian.flux import Flux
from wgf.eulerian.legendre import NOTHING, Legendre
from wgf.eulerian.rodas import Rodas
from wgf.eulerian.slab import Slab
from wgf.eulerian.state import DescentStepper
from wgf.eulerian.variation import Variation
from wgf.flows import GradientFlow
from wgf.functional import forms
from wgf.measures.density import Density
from wgf.stepping import Diagnosis, Error, Method, Trial
from wgf.stepping.control import SMALLEST_STEP

# smallest tolerance: below it the error estimate is round-off
SMALLEST_TOLERANCE = 1e-12
# share of a run in which a start may relax
STIFFEST = 1e-6


class StabilisedFiniteVolume(Method):
    """Finite volumes of second order with long steps under error control, for a `wgf.Density`.

    In the plane and in space a step is one of the stabilised explicit method of Runge, Kutta and
    Legendre (order 2): it makes as many visits of the mesh as diffusion asks for, about the square
    root of the number of plain explicit steps that it replaces. On one axis, in a potential that
    does not depend on the density, it is a linearly implicit one (RODAS, order 4).

    The flux is that of Scharfetter and Gummel, with the limited reconstruction of
    `wgf.FiniteVolume` where drift outweighs diffusion, and central in ``rho^m`` for a power
    entropy: of second order for every strength of the entropy, and 0 on the Gibbs density. Mass is
    conserved to round-off, and the density stays non-negative.

    Parameters
    ----------
    tolerance : float, optional
        Largest error of a step: the mass that it misplaces over the whole mass. By default
        ``1 / n^2`` with the largest number ``n`` of cells along an axis, between 1e-7 and 1e-3;
        a tenth of it on one axis.

    Notes
    -----
    A step after which ``F`` has risen beyond round-off is redone with half the length. The
    potential of risks and interactions is that of the middle of a step, found by a step of half
    the length; the error estimate uses the potentials at both ends. The column ``dissipation`` is
    the mean of those at both ends of the step. Cells with less than 1e-10 of the largest density
    do not shorten the step. Every rank of several does the whole work. Sources: Meyer, Balsara &
    Aslam 2014; Carrillo, Chertock & Huang 2015; Hairer & Wanner, Solving Ordinary Differential
    Equations II.

    Examples
    --------
    >>> import wgf
    >>> flow = wgf.GradientFlow(wgf.Ridge(1.0) + wgf.Entropy(1.0))
    >>> start = wgf.Density.normal(wgf.Mesh(x=wgf.Axis(-6, 6, 200)), 1.0, 0.5)
    >>> end = wgf.solve(flow, start, 1.0, method=wgf.StabilisedFiniteVolume()).final
    >>> bool(abs(end.mean()[0] - 0.36788) < 1e-4)
    True
    """

    title = "stabilised finite volume"
    flow = GradientFlow
    remedies: ClassVar[dict[Any, str]] = {
        forms.Local: "has no largest rate that is known, use wgf.FiniteVolume() or "
        "wgf.ImplicitFiniteVolume",
        forms.General: "has no largest rate that is known, use wgf.FiniteVolume()",
    }
    forms = (forms.Composed, forms.Linear, forms.Diffusion, forms.Power, forms.Pairwise)

    def __init__(self, tolerance: float | None = None):
        if tolerance is not None:
            tolerance = checks.number(
                f"{self.title} tolerance", tolerance, minimum=SMALLEST_TOLERANCE
            )
        self.tolerance = tolerance

    def check(self, flow: GradientFlow, start: Density) -> None:
        rates = flow.mobilities(start.names)
        powers = [term.form() for term in flow.functional.of_form(forms.Power)]
        fast = [form for form in powers if form.strength and form.exponent < 1.0]
        if not fast:
            return
        others = len(flow.functional.terms) > len(powers)
        if others or not Faces(start.mesh.shape, start.mesh.periodic, rates).line:
            raise checks.InputError(
                f"{self.title}: fast diffusion with exponent {fast[0].exponent:g} has no largest "
                "explicit step, use wgf.ImplicitFiniteVolume"
            )

    def stepper(self, flow: GradientFlow, start: Density, world: Any) -> StabilisedStepper:
        return StabilisedStepper(self, flow, start)

    def __repr__(self):
        given = "" if self.tolerance is None else f"tolerance={self.tolerance:g}"
        return f"StabilisedFiniteVolume({given})"


class StabilisedControl(Error):
    """Error control of steps that stability may bound, and that are halved where ``F`` rises.

    Parameters
    ----------
    stepper : StabilisedStepper
    """

    def __init__(self, stepper: StabilisedStepper):
        super().__init__(np.inf, Legendre.order)
        self.stepper = stepper

    def floor(self, time: float, limit: float) -> float:
        return SMALLEST_STEP * max(time, STIFFEST * limit)

    def propose(self, limit: float) -> float:
        return min(super().propose(limit), self.stepper.longest())

    def judge(self, dt: float, trial: Trial, rejected: int) -> bool:
        self.order = self.stepper.engine.order
        if trial.error <= 1.0 and trial.rise > 0:
            self.step = 0.5 * dt
            return False
        return super().judge(dt, trial, rejected)


class StabilisedStepper(DescentStepper):
    """One run of `StabilisedFiniteVolume`.

    Attributes
    ----------
    flux : Flux
        In the potential of the current state.
    engine : Legendre or Rodas
        What makes the next step.
    gain : array of shape ``(cells,)`` or None
        What every cell gains in a unit of time, None where it is not known.
    """

    saved: ClassVar[dict[str, str]] = {"most": "most"}

    def __init__(self, method: StabilisedFiniteVolume, flow: GradientFlow, start: Density):
        # every rank has all cells: a stage would wait for its neighbours some hundred times a step
        super().__init__(StabilisedControl(self), Slab(start.mesh), flow, start)
        discrete, mesh = self.discrete, start.mesh
        self.values[self.values <= NOTHING * self.values.max()] = 0.0
        self.faces = Faces(mesh.shape, mesh.periodic, np.array(self.mobilities) / mesh.spacing**2)
        self.tolerance = method.tolerance or usual_tolerance(self.faces)
        self.moving = bool(discrete.operators or discrete.pairs)
        self.still = not (self.moving or len(discrete.profiles) or discrete.given is not None)
        strengths = [energy.strength for energy in discrete.energies]
        exponents = [energy.exponent for energy in discrete.energies]
        self.flux, self._midway, self._other = (
            Flux(self.faces, discrete.diffusion, strengths, exponents, potential)
            for potential in [self._potential(self.values, self.outputs)] * 3
        )
        self._legendre = Legendre(self.faces, self.flux.powered)
        self._rodas = None
        if self.faces.line and not self.moving and not self.flux.balanced:
            self._rodas = Rodas(self.faces)
        self._candidate = np.empty_like(self.values)
        self.gain = None
        self._fit()
        self.control.step = self.engine.first(self.flux, self.values)
        self.begin(self.lost)

    @property
    def most(self) -> float:
        """The outflow rate to which those of nearly empty cells are lowered."""
        return self.flux.most

    @most.setter
    def most(self, value: float) -> None:
        self.flux.slow_to(float(value))

    def resumed(self) -> None:
        self.gain = None
        self._fit()

    def longest(self) -> float:
        """Return the longest step from the current state that is stable."""
        return self.engine.longest(self.flux, self.values)

    def _potential(self, values, outputs):
        """Return the first variation without entropies, None where there is none."""
        if self.still:
            return None
        result = np.empty(values.size)
        self.discrete.first_variation(outputs, result)
        for term in self.discrete.pairs:
            result += self.discrete.around(term, values)
        return result

    def _fitted(self, flux, values):
        """Make a flux fit a density; return what makes the next step from there."""
        limited = flux.limiter.look(values)
        if self._rodas is not None and not limited:
            return self._rodas
        flux.slow(values)
        return self._legendre

    def _fit(self):
        """Make everything fit the current density."""
        before = self.flux.most
        self.engine = self._fitted(self.flux, self.values)
        if self.flux.limiter.used or self.flux.most != before:
            self.gain = None
        self.powers = self.flux.powers(self.values)
        self.variation = self.flux.potential
        for energy in self.discrete.energies:
            self.variation = self.variation + energy.slope(self.values)
        volume = self.slab.mesh.cell_volume
        self.lost = volume * self.flux.dissipation(self.values, self.powers, self.variation)

    def attempt(self, dt: float) -> Trial:
        new, flux, engine = self._candidate, self.flux, self.engine
        if self.moving:
            engine.step(flux, self.values, self.powers, 0.5 * dt, new)
            flux = self._midway
            flux.set(self._potential(new, self.discrete.outputs(new)))
            self._fitted(flux, new)
        engine.step(flux, self.values, self.powers, dt, new)
        outputs, after = self.discrete.outputs(new), self.flux
        if self.moving:
            after = self._other
            after.set(self._potential(new, outputs))
            self._fitted(after, new)
        if engine is self._rodas:
            error, gain = engine.error, None
        else:
            if self.gain is None:
                self.gain = self.flux.net(self.values, self.powers)
            gain = after.net(new, after.powers(new))
            error = flux_kernels.step_error(self.values, new, self.gain, gain, dt)
        error /= self.tolerance * self.mass / self.slab.mesh.cell_volume
        if not error <= 1.0:
            return Trial(error=error)
        trial = self.judged(dt, new, outputs, self.row["objective"])
        trial.error, trial.result = error, (*trial.result, after, gain)
        return trial

    def commit(self, trial: Trial) -> None:
        self.values, self._candidate = self._candidate, self.values
        self.outputs, self.mass, self.parts, after, self.gain = trial.result
        if self.moving:
            self.flux, self._other = after, self.flux
        before = self.lost
        self._fit()
        trial.dissipation = 0.5 * (before + self.lost)

    def diagnose(self) -> Diagnosis:
        return self.diagnosed(Variation.stored(self.variation, self.discrete.shape))


def diffuses(form: forms.Form) -> bool:
    """Return whether a term of a form is an entropy or a power entropy that acts."""
    return isinstance(form, forms.Diffusion | forms.Power) and form.strength > 0


def usual_tolerance(faces: Faces) -> float:
    """Return the tolerance that leaves the error in time below that of a smooth flow in space."""
    found = float(np.clip(1.0 / max(faces.counts, default=1) ** 2.0, 1e-7, 1e-3))
    return 0.1 * found if faces.line else found
