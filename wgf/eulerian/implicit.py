"""Implicit finite volumes: unsplit, of order 2 in time, positive and falling for any step."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from wgf import checks
from wgf.eulerian import unsplit_kernels
from wgf.eulerian.rest import unconvex
from wgf.eulerian.slab import Slab
from wgf.eulerian.state import DescentStepper
from wgf.eulerian.sweep import Moved, Sweeps
from wgf.flows import GradientFlow
from wgf.functional import forms
from wgf.measures.density import Density
from wgf.stepping import Diagnosis, Method, Trial
from wgf.stepping.control import Control

# distance of one step from two halves, in units of the mass, when nothing is given
TOLERANCE = 1e-4
# largest error in units of what a step changes, and the part of the tolerance below which it need
# not fall: a mode that decays is followed at its own size
RELATIVE, FINEST = 0.02, 1e-3
# smallest tolerance: the solves are known to about a tenth of it
SMALLEST_TOLERANCE = 1e-10
# largest growth of a step under error control
GROWTH = 4.0
# part of the mass that may move in a step towards rest before the next one is shortened, and the
# growth of steps otherwise: where F has several minima, the run is to end in that of the flow
SETTLING = 0.2
# fraction of its first residual to which Newton's method goes within a step towards rest
SETTLING_FALL = 1e-2
# growth of steps towards rest: where F is not convex, where it is, and of a linear equation, whose
# long steps are as right as its short ones
SETTLING_GROWTH = {"bent": 4.0, "convex": 4.0, "linear": 1e6}


class ImplicitFiniteVolume(Method):
    """Implicit upwind finite volumes for a `wgf.Density`, along all axes at once.

    An implicit Euler step solves ``rho1 + dt div f(rho1) = rho0`` with the first variation of all
    terms at the new density and the upwind flux, or that of Scharfetter and Gummel with an entropy:
    an M-matrix in a given potential, so that the step is positive, conservative, and lets F fall
    for a convex functional. Two half steps and one whole step are extrapolated to order 2; the
    correction of the fluxes is limited on every face such that no cell falls below 0 (Zalesak
    1979), and left out where F would rise.

    The unknowns are the model output and the interaction potential, found by Newton's method with
    exact products with the Jacobian (GMRES); each product is one linear solve.

    Parameters
    ----------
    step : float, optional
        Length of the steps. A step is shorter where it lands on an output time, where its solve
        fails and where F would rise beyond round-off, see the column ``rejected``. Towards a
        stationary state it is that of the first step only.
    tolerance : float, optional
        Distance of one step from two half steps in L1, in units of the mass, which chooses the
        steps instead; 1e-4 if neither is given. Where a step changes little it is at most a
        fiftieth of the change, so that slow modes keep their rates.
    growth : float, optional
        1, as steps do not grow.

    Notes
    -----
    Towards a stationary state the steps are those of implicit Euler, which grow as the state comes
    to rest: pseudo-transient continuation into Newton's method. Diffusion along several axes is
    solved for by sparse factors, and on more than 150,000 cells (15,000 in space) along one axis
    after the other; the distance of one step from two then also measures the splitting. Under MPI
    every rank holds the whole mesh.
    """

    title = "implicit finite volume"
    flow = GradientFlow
    remedies: ClassVar = {
        forms.General: "gives no derivative of its first variation, which an implicit step needs, "
        "use wgf.FiniteVolume()",
    }
    forms = (forms.Composed, forms.Linear, forms.Local, forms.Pairwise)

    def __init__(
        self, step: float | None = None, tolerance: float | None = None, *, growth: float = 1
    ):
        self.step = self.tolerance = None
        if step is not None:
            self.step = checks.number("implicit finite volume step", step, above=0)
        if tolerance is not None:
            self.tolerance = checks.number(
                "implicit finite volume tolerance", tolerance, minimum=SMALLEST_TOLERANCE
            )
        if step is not None and tolerance is not None:
            raise checks.InputError(
                f"implicit finite volume: step {step:g} and tolerance {tolerance:g} both choose "
                "the steps, give one of them"
            )
        if checks.number("implicit finite volume growth", growth) != 1:
            raise checks.InputError(
                f"implicit finite volume growth: {growth:g}, but steps no longer grow, leave it "
                "out and give a tolerance for steps that follow the flow"
            )

    def check(self, flow: GradientFlow, start: Density) -> None:
        powers = [t for t in flow.functional.of_form(forms.Power) if t.form().strength]
        if len(powers) > 1:
            raise checks.InputError(
                f"implicit finite volume: {len(powers)} power entropies, give at most one"
            )

    def stepper(self, flow: GradientFlow, start: Density, world: Any) -> ImplicitStepper:
        return ImplicitStepper(self, flow, start, world)

    def __repr__(self):
        if self.step is not None:
            return f"ImplicitFiniteVolume({self.step:g})"
        given = "" if self.tolerance is None else f"tolerance={self.tolerance:g}"
        return f"ImplicitFiniteVolume({given})"


class Steps(Control):
    """Steps of a given length, under error control, or growing towards rest.

    Parameters
    ----------
    step : float
        First step.
    tolerance : float or None
        Of the error estimate; None for steps of a given length.
    """

    saved = ("step",)

    def __init__(self, step: float, tolerance: float | None):
        self.step, self.tolerance = step, tolerance
        self.longest = np.inf if tolerance else step
        self.settles, self.shape = False, "bent"

    def propose(self, limit: float) -> float:
        return min(limit, self.step)

    def floor(self, time: float, limit: float) -> float:
        return super().floor(time, min(limit, 1.0))

    def judge(self, dt: float, trial: Trial, rejected: int) -> bool:
        made = dt if trial.made is None else trial.made
        if trial.failed or trial.rise > 0:
            self.step = (0.25 if self.settles else 0.5) * made
            return False
        if self.settles:
            self._settle(made, trial, rejected)
        elif self.tolerance:
            return self._follow(dt, trial.error, rejected)
        elif rejected == 0 and dt == self.step:
            self.step = min(self.longest, 2 * dt)
        return True

    def _settle(self, dt, trial, rejected):
        factor = SETTLING_GROWTH[self.shape]
        if self.shape == "bent":
            factor = min(factor, max(0.25, SETTLING / max(trial.error, 1e-300)))
        if rejected:
            factor = min(1.0, factor)
        elif not trial.easy:
            factor = min(1.25, factor)
        self.step = dt * factor

    def _follow(self, dt, error, rejected):
        # the distance of one step from two is of order 2 in the step
        factor = 0.9 * max(error, 1e-10) ** -0.5
        # the comparison is false for NaN
        if not error <= 1.0:
            self.step = dt * (max(0.1, factor) if np.isfinite(error) else 0.1)
            return False
        # a step cut short by an output time says nothing about the next one
        if dt == self.step or factor < 1.0:
            self.step = dt * min(GROWTH if rejected == 0 else 1.0, factor)
        return True


class ImplicitStepper(DescentStepper):
    """One run of `ImplicitFiniteVolume`."""

    def __init__(
        self, method: ImplicitFiniteVolume, flow: GradientFlow, start: Density, world: Any = None
    ):
        tolerance = method.tolerance
        if method.step is None and tolerance is None:
            tolerance = TOLERANCE
        # a step is solved for as a whole, by every rank
        slab = Slab(start.mesh, None, whole_planes=True)
        super().__init__(Steps(method.step or np.inf, tolerance), slab, flow, start)
        self.sweeps = Sweeps(self.discrete, self.mobilities)
        self.control.shape = "bent" if unconvex(self.discrete) else "convex"
        if self.sweeps.linear:
            self.control.shape = "linear"
        if method.step is None:
            # a first step that moves a small part of the mass
            rate = self.sweeps.change(self.values, self.outputs) / max(self.values.sum(), 1e-300)
            known = np.isfinite(rate) and rate > 0
            self.control.step = tolerance / rate if known else np.inf
        self.newton = 0
        self.lost = self.sweeps.dissipation(self.values, self.outputs)
        self.begin(self.lost)

    def settle(self) -> None:
        super().settle()
        self.control.settles = True

    def attempt(self, dt: float) -> Trial:
        made = min(dt, self.sweeps.longest(self.values, self.outputs))
        fall = SETTLING_FALL if self.settles else 0.0
        whole = self.sweeps.solve(self.values, self.outputs, made, fall)
        if whole is None:
            return Trial(failed=True)
        trial = self._settled(made, whole) if self.settles else self._extrapolated(made, whole)
        trial.made = None if made == dt else made
        return trial

    def _settled(self, dt, whole: Moved) -> Trial:
        """Return the trial of an implicit Euler step."""
        trial = self._judged(dt, whole.values, whole.outputs, whole.count)
        trial.easy = self.sweeps.easy(whole.count)
        trial.error = float(np.abs(whole.values - self.values).sum() / self.values.sum())
        return trial

    def _extrapolated(self, dt, whole: Moved) -> Trial:
        """Return the trial of two half steps, extrapolated by the whole step."""
        half = self.sweeps.solve(self.values, self.outputs, 0.5 * dt)
        both = None if half is None else self.sweeps.solve(half.values, half.outputs, 0.5 * dt)
        if both is None:
            return Trial(failed=True)
        count = max(whole.count, half.count, both.count)
        found = np.empty_like(both.values)
        unsplit_kernels.limited(
            both.values, self.sweeps.left, self.sweeps.right,
            dt * (0.5 * (half.flux + both.flux) - whole.flux), np.empty_like(found), found,
        )  # fmt: skip
        trial = self._judged(dt, found, self.discrete.outputs(found), count)
        if trial.rise > 0:
            trial = self._judged(dt, both.values, both.outputs, count)
        trial.error = self._error(trial.result[0], both.values - whole.values)
        return trial

    def _error(self, values, difference):
        """Return the error of a step to `values` in units of what is allowed."""
        tolerance = self.control.tolerance or TOLERANCE
        mass = float(self.values.sum())
        change = float(np.abs(values - self.values).sum())
        allowed = max(FINEST * tolerance * mass, min(tolerance * mass, RELATIVE * change))
        return float(np.abs(difference).sum()) / allowed

    def _judged(self, dt, values, outputs, count):
        trial = self.judged(dt, values, outputs, self.row["objective"])
        trial.result = values, count, *trial.result
        return trial

    def commit(self, trial: Trial) -> None:
        self.values, self.newton, self.outputs, self.mass, self.parts = trial.result
        before, self.lost = self.lost, self.sweeps.dissipation(self.values, self.outputs)
        trial.dissipation = self.lost if self.settles else 0.5 * (before + self.lost)

    def resumed(self) -> None:
        self.lost = self.sweeps.dissipation(self.values, self.outputs)

    def diagnose(self) -> Diagnosis:
        variation = self.discrete.variation(self.values, self.outputs, np.empty_like(self.values))
        gap = self.discrete.gap(self.values, variation.values)
        return self.diagnosed(variation, gap=gap, newton=self.newton)
