"""Wasserstein-Fisher-Rao on a mesh: transport and an implicit, exact-sign growth step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from wgf import checks
from wgf.eulerian import kernels
from wgf.eulerian.explicit import FiniteVolume, Upwind
from wgf.eulerian.growth_equation import GrowthEquation
from wgf.eulerian.slab import Slab
from wgf.eulerian.state import DescentStepper
from wgf.eulerian.sweep import Sweeps
from wgf.eulerian.variation import Variation
from wgf.flows import FisherRao
from wgf.functional import forms
from wgf.measures.density import Density
from wgf.stepping import Diagnosis, Energy, Method, Rest, Trial

NO_GROWTH = "has no growth step, use wgf.GradientFlow"


class GrowthSplitting(Method):
    """Strang splitting of growth and transport for `wgf.FisherRao` on a density.

    Growth over a time ``tau`` is ``rho1 = rho0 exp(-4 growth tau J*)`` with ``J*`` the first
    variation at the discrete gradient of the loss between the two model outputs, so that
    ``F1 - F0 <= sum h^d J* (rho1 - rho0) <= 0`` for any ``tau``; the equation for the new output
    has as many unknowns as the output and is solved by Newton's method. Transport is a step of
    `FiniteVolume`, or one of `ImplicitFiniteVolume`, which never raises ``F`` either.

    Parameters
    ----------
    step : float, optional
        Largest step. By default the growth rate limits it: ``4 growth |J'| dt <= 0.5`` in the
        mean square over the measure.
    order : {1, 2}
        Of the explicit transport, whose largest step also bounds that of the splitting.
    implicit : bool
        Implicit transport, of first order in time and space: ``F`` falls in steps of any length.

    Notes
    -----
    Growth and implicit transport are cut in parts where Newton's method asks for it, so that the
    step given is the step made.
    """

    title = "growth"
    flow = FisherRao
    remedies = dict.fromkeys((forms.Local, forms.Pairwise, forms.General), NO_GROWTH)
    forms = (forms.Composed, forms.Linear)

    def __init__(self, step: float | None = None, order: int = 2, implicit: bool = False):
        self.step = None if step is None else checks.number("growth step", step, above=0)
        self.transport = FiniteVolume(order)
        self.implicit = checks.flag("growth splitting implicit", implicit)

    def check(self, flow: FisherRao, start: Density) -> None:
        flow.check(start)

    def stepper(self, flow: FisherRao, start: Density, world: Any) -> GrowthStepper:
        return GrowthStepper(self, flow, start, world)

    def __repr__(self):
        how = "implicit=True" if self.implicit else f"order={self.transport.order}"
        return f"GrowthSplitting(step={self.step!r}, {how})"


class Splitting(Energy):
    """Steps of a length that follows the state, halved while an attempt fails.

    The explicit transport within a step is judged as a step of `FiniteVolume` is.

    Parameters
    ----------
    courant : float
    longest : callable
        Returns the largest step from the current state.
    """

    def __init__(self, courant: float, longest: Callable[[], float]):
        super().__init__(courant)
        self.longest = longest
        self._halved: float | None = None

    def propose(self, limit: float) -> float:
        return min(limit, self.longest()) if self._halved is None else self._halved

    def judge(self, dt: float, trial: Trial, rejected: int) -> bool:
        accepted = not trial.failed and not trial.rise > 0
        self._halved = None if accepted else 0.5 * dt
        return accepted

    def transports(self, dt: float, trial: Trial) -> bool:
        """Return whether the transport within a step is accepted, and learn from it."""
        return super().judge(dt, trial, 1)


class ExplicitTransport:
    """Transport within a step by upwind fluxes, judged by `Splitting`."""

    def __init__(self, stepper: GrowthStepper):
        order = stepper.method.transport.order
        self.upwind = Upwind(stepper.discrete, stepper.mobilities, order, stores=True)
        self.discrete, self.control, self.judged = stepper.discrete, stepper.control, stepper.judged

    def rate(self, values, potential, outputs) -> tuple[float, float]:
        """Return the dissipation and the largest outflow rate of a state."""
        return self.upwind.rate_of(values, Variation.stored(potential, self.discrete.shape))

    def move(self, values, potential, outputs, dt):
        """Return the density and the outputs after a time `dt`, None if that is too long."""
        before = sum(self.discrete.parts(values, outputs)[1].values())
        variation = Variation.stored(potential, self.discrete.shape)
        trial = self.upwind.attempt(values, variation, dt, before, self.judged)
        if not self.control.transports(dt, trial):
            return None
        return self.upwind.exchange(values), trial.result[0]


class ImplicitTransport:
    """Transport within a step by implicit sweeps, cut in parts where they do not converge."""

    def __init__(self, stepper: GrowthStepper):
        self.sweeps = Sweeps(stepper.discrete, stepper.mobilities)

    def rate(self, values, potential, outputs) -> tuple[float, float]:
        """Return the dissipation of a state; no outflow bounds the step."""
        return float(self.sweeps.dissipation(values, outputs)), 0.0

    def move(self, values, potential, outputs, dt):
        """Return the density and the outputs after a time `dt`, None if that is too long."""
        left = part = dt
        while left > 0:
            part = min(part, left)
            found = self.sweeps.solve(values, outputs, part)
            if found is None:
                part *= 0.5
                if not part > 1e-12 * dt:
                    return None
                continue
            values, outputs = found.values, found.outputs
            left = left - part if part < left else 0.0
            part *= 2.0
        return values.copy(), outputs


class GrowthStepper(DescentStepper):
    """One run of `GrowthSplitting`.

    Attributes
    ----------
    values, potential : arrays of shape ``(cells,)``
        Cell averages and the first variation on the slab.
    equation : GrowthEquation or None
        None if the first variation does not depend on the density.
    """

    saved: ClassVar = {"dissipation": "dissipation"}

    def __init__(self, method: GrowthSplitting, flow: FisherRao, start: Density, world: Any = None):
        slab = Slab.where_it_fits(start.mesh, None if method.implicit else world)
        super().__init__(Splitting(method.transport.courant, self._longest), slab, flow, start)
        self.method, self.flow = method, flow
        self.transport = (ImplicitTransport if method.implicit else ExplicitTransport)(self)
        self.potential = kernels.empty(self.values.size)
        self.discrete.first_variation(self.outputs, self.potential)
        self.equation = GrowthEquation(self.discrete) if self.discrete.operators else None
        # the state before an attempt that is not accepted yet
        self._before: tuple | None = None
        self.dissipation = self._transport_loss() + self._growth_loss()
        self.begin(self.dissipation)

    def _evaluate(self):
        """Evaluate the outputs and the first variation of the density."""
        self.outputs = self.discrete.outputs(self.values)
        self.discrete.first_variation(self.outputs, self.potential)

    def _growth_loss(self):
        """Return ``4 growth ∫ J'^2 dnu`` of the current state."""
        own = self.slab.own
        square = self.slab.sum(self.values[own] * self.potential[own] ** 2)
        return 4 * self.flow.growth * (square * self.discrete.mesh.cell_volume)

    def _transport_loss(self):
        if self.flow.transport == 0:
            return 0.0
        loss, self.control.largest_outflow = self.transport.rate(
            self.values, self.potential, self.outputs
        )
        return loss

    def _longest(self):
        """Return the largest step: that of the method or of the growth, and of the outflow."""
        self.finite(0.0, objective=self.row["objective"], dissipation=self.dissipation)
        bound = self.method.step
        if bound is None:
            mass = max(self.row["mass"], 1e-300)
            mean = np.sqrt(max(self._growth_loss(), 0.0) * 4 * self.flow.growth / mass)
            bound = 0.5 / max(mean, 1e-300)
        if self.flow.transport > 0:
            outflow = max(self.control.largest_outflow, 1e-300)
            bound = min(bound, self.control.courant / outflow)
        return bound

    def attempt(self, dt: float) -> Trial:
        if self._before is None:
            outflow = self.control.largest_outflow
            self._before = self.values.copy(), self.potential.copy(), self.outputs, outflow
        else:
            values, potential, self.outputs, self.control.largest_outflow = self._before
            self.values[:], self.potential[:] = values, potential
        if not self._split(dt):
            return Trial(failed=True)
        trial = self.judged(dt, self.values, self.outputs, self.row["objective"])
        trial.result = dt, *trial.result[1:]
        return trial

    def commit(self, trial: Trial) -> None:
        self._before = None
        dt, self.mass, self.parts = trial.result
        begin, self.dissipation = self.dissipation, self._transport_loss() + self._growth_loss()
        self.finite(dt, dissipation=self.dissipation)
        trial.dissipation = 0.5 * (begin + self.dissipation)

    def diagnose(self) -> Diagnosis:
        return self.diagnosed(Variation.stored(self.potential, self.slab.shape))

    def rest(self) -> Rest:
        return self.rest_of(self.dissipation)

    def _split(self, dt):
        """Do half of the growth, the transport, and the other half in place; tell of success."""
        if self.flow.transport == 0:
            return self._grow(dt)
        return self._grow(0.5 * dt) and self._move(dt) and self._grow(0.5 * dt)

    def _move(self, dt):
        """Do the transport over `dt` in place; return whether the step was accepted."""
        moved = self.transport.move(self.values, self.potential, self.outputs, dt)
        if moved is None:
            return False
        self.values, self.outputs = moved
        self.discrete.first_variation(self.outputs, self.potential)
        return True

    def _grow(self, time):
        """Do the growth over `time` in place; return whether the equation could be solved."""
        rate = 4 * self.flow.growth * time
        if rate == 0:
            return True
        if self.equation is None:
            # the first variation is that of the linear terms alone
            self.values *= np.exp(-rate * self.potential)
        while self.equation is not None and rate > 0:
            # F decays in every part of the growth, however long; parts in which no mass grows by
            # more than a factor of e^2 keep Newton's method quick
            lowest = -self.slab.largest(-self.potential.min())
            self.finite(time, first_variation=lowest)
            falling = -self.potential[self.values > 0].min(initial=0.0)
            part = min(rate, 2.0 / max(self.slab.largest(falling), 1e-300))
            exponent = None
            while exponent is None:
                exponent = self.equation.solve(self.outputs, self.values, part)
                part = part if exponent is not None else 0.25 * part
                if not part > 1e-12 * rate:
                    return False
            self.values *= np.exp(exponent)
            self._evaluate()
            rate = rate - part if part < rate else 0.0
        self._evaluate()
        lost = float(not np.isfinite(self.values[self.slab.own]).all())
        return self.slab.largest(lost) == 0
