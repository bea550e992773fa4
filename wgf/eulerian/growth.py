"""Wasserstein-Fisher-Rao on a mesh: upwind transport and an implicit, exact-sign growth step."""

import numpy as np

from wgf import checks, parallel
from wgf.eulerian.explicit import ROUND_OFF, SMALLEST_STEP, ExplicitStepper, FiniteVolume
from wgf.eulerian.growth_equation import GrowthEquation
from wgf.eulerian.implicit import sweeps_of
from wgf.eulerian.slab import Slab
from wgf.flows import FisherRao
from wgf.measures.density import Density


class GrowthSplitting:
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

    needs = "a density"

    def __init__(self, step=None, order=2, implicit=False):
        self.step = None if step is None else checks.number("growth step", step, above=0)
        self.transport = FiniteVolume(order)
        self.implicit = checks.flag("growth splitting implicit", implicit)

    def prepare(self, flow, start):
        """Return a stepper for `flow` from the density `start`."""
        checks.instance("growth flow", flow, FisherRao)
        checks.instance("growth start", start, Density)
        flow.check(start)
        return (ImplicitGrowthStepper if self.implicit else GrowthStepper)(self, flow, start)

    def __repr__(self):
        how = "implicit=True" if self.implicit else f"order={self.transport.order}"
        return f"GrowthSplitting(step={self.step!r}, {how})"


class GrowthStepper(ExplicitStepper):
    """One run of `GrowthSplitting`; the transport is that of `ExplicitStepper`."""

    # the growth reads the first variation of every cell
    stores = True

    def __init__(self, method, flow, start):
        self.flow = flow
        self.splitting = method
        self.equation = None
        super().__init__(method.transport, flow, start)
        if self.discrete.operators:
            self.equation = GrowthEquation(self.discrete)
        self.dissipation = self.row["dissipation"] + self._growth_loss()
        self.row["dissipation"] = self.dissipation

    def _slab(self, flow):
        ranks, whole_planes = parallel.world(), self.splitting.implicit
        # two copies on a line are one block: all ranks then do all of its little work
        few = ranks.size > Slab.most(self.mesh, whole_planes)
        return Slab(self.mesh, None if few else ranks, whole_planes)

    @property
    def potential(self):
        """The first variation at the cells."""
        return self.variation.values

    def _growth_loss(self):
        """Return ``4 growth ∫ J'^2 dnu`` of the current state."""
        own = self.slab.own
        share = self.slab.sum(self.values[own] * self.potential[own] ** 2) * self.mesh.cell_volume
        return 4 * self.flow.growth * share

    def _state(self):
        return (
            self.values.copy(),
            self.potential.copy(),
            self.outputs,
            self.row,
            self.time,
            self._largest_outflow,
        )

    def _restore_state(self, state):
        values, potential, self.outputs, self.row, self.time, self._largest_outflow = state
        self.values[:] = values
        self.potential[:] = potential

    def _limit(self):
        """Return the largest step, by what the method says or by the growth, and the outflow."""
        bound = self.splitting.step
        if bound is None:
            mass = max(self.row["mass"], 1e-300)
            mean = np.sqrt(max(self._growth_loss(), 0.0) * 4 * self.flow.growth / mass)
            bound = 0.5 / max(mean, 1e-300)
        if self.flow.transport > 0:
            bound = min(bound, self.method.courant / max(self._largest_outflow, 1e-300))
        return bound

    def advance(self, limit):
        """Make one step of at most `limit` and return its row of diagnostics.

        Raises
        ------
        NumericalError
            If the functional is not finite, the growth equation cannot be solved, or the step
            shrinks to nothing.
        """
        before, state, rejected = self.row, self._state(), 0
        self._check(0.0, objective=before["objective"], dissipation=self.dissipation)
        dt = min(limit, self._limit())
        begin = self.dissipation
        while True:
            if not dt > SMALLEST_STEP * max(self.time, limit):
                raise checks.NumericalError(
                    f"step: dt={dt:g} at t={self.time:g} after {rejected} rejections is too "
                    "small, look at the diagnostics of the last steps"
                )
            if self._try(dt, before):
                break
            self._restore_state(state)
            rejected += 1
            dt *= 0.5
        self.time = state[4] + dt
        loss = self._transport_loss() + self._growth_loss()
        self._check(dt, dissipation=loss)
        mass, parts = self.discrete.parts(self.values, self.outputs)
        self.dissipation = loss
        self.row = self._make_row(dt, mass, parts, 0.5 * (begin + loss), rejected)
        return self.row

    def _check(self, dt, **values):
        """Raise `NumericalError` for a value that is not finite."""
        for name, value in values.items():
            if not np.isfinite(value):
                raise checks.NumericalError(
                    f"{name}: {value} at t={self.time:g} with dt={dt:g}, check the features and "
                    "potentials for overflow"
                )

    def _transport_loss(self):
        if self.flow.transport == 0:
            return 0.0
        loss, self._largest_outflow = self._transport(
            self.values, self.variation, self.values, self._stage, 0.0, 0.0
        )
        return loss

    def _try(self, dt, before):
        moving = self.flow.transport > 0
        share = 0.5 * dt if moving else dt
        if not self._grow(share):
            return False
        if moving and not (self._move(dt) and self._grow(share)):
            return False
        parts = self.discrete.parts(self.values, self.outputs)[1]
        scale, objective = sum(abs(part) for part in parts.values()), sum(parts.values())
        self._check(dt, objective=objective)
        return objective <= before["objective"] + ROUND_OFF * scale

    def _move(self, dt):
        """Do the transport over `dt` in place; return whether the step was accepted."""
        # the energy control of the transport starts from the objective after the growth
        parts = self.discrete.parts(self.values, self.outputs)[1]
        self.row = {**self.row, "objective": sum(parts.values())}
        accepted = self._attempt(dt)
        if accepted is None:
            return False
        self.values, self._candidate = self._candidate, self.values
        self._take_variation()
        self.outputs = accepted[0]
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
            lowest = -self.slab.ranks.largest(-self.potential.min())
            self._check(time, **{"first variation": lowest})
            falling = -self.potential[self.values > 0].min(initial=0.0)
            part = min(rate, 2.0 / max(self.slab.ranks.largest(falling), 1e-300))
            exponent = None
            while exponent is None:
                exponent = self.equation.solve(self.outputs, self.values, part)
                part = part if exponent is not None else 0.25 * part
                if not part > 1e-12 * rate:
                    return False
            self.values *= np.exp(exponent)
            self.outputs = self.discrete.outputs(self.values)
            self.discrete.first_variation(self.outputs, self.potential)
            rate = rate - part if part < rate else 0.0
        self.outputs = self.discrete.outputs(self.values)
        self.discrete.first_variation(self.outputs, self.potential)
        lost = float(not np.isfinite(self.values[self.slab.own]).all())
        return self.slab.ranks.largest(lost) == 0

    def restart(self):
        return {**super().restart(), "dissipation": self.dissipation}

    def restore(self, saved):
        super().restore(saved)
        self.dissipation = float(saved["dissipation"])


class ImplicitGrowthStepper(GrowthStepper):
    """One run of `GrowthSplitting` with implicit transport."""

    def _transport(self, density, potential, base, result, dt, keep):
        """Return the dissipation of the current state: nothing moves here."""
        if not hasattr(self, "sweeps"):
            self.sweeps = sweeps_of(self.discrete, self.flow.mobilities(self.mesh.names))
        return float(sum(sweep.dissipation(density, self.outputs) for sweep in self.sweeps)), 0.0

    def _limit(self):
        # the outflow bounds nothing here
        self._largest_outflow = 0.0
        return super()._limit()

    def _move(self, dt):
        left = part = dt
        while left > 0:
            part = min(part, left)
            found = self.values, self.outputs
            for sweep in self.sweeps:
                found = sweep.solve(*found[:2], part)
                if found is None:
                    break
            if found is None:
                part *= 0.5
                if not part > 1e-12 * dt:
                    return False
                continue
            self.values, self.outputs = found[0].copy(), found[1]
            left = left - part if part < left else 0.0
            part *= 2.0
        self.discrete.first_variation(self.outputs, self.potential)
        return True
