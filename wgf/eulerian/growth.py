"""Wasserstein-Fisher-Rao on a mesh: upwind transport and an implicit, exact-sign growth step."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from wgf import checks
from wgf.eulerian import kernels
from wgf.eulerian.explicit import ROUND_OFF, SMALLEST_STEP, ExplicitStepper, FiniteVolume
from wgf.eulerian.implicit import discrete_residual, sweeps_of
from wgf.eulerian.slab import Slab
from wgf.flows import FisherRao
from wgf.measure import Density


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

    def __init__(self, method, flow, start):
        self.flow = flow
        self.splitting = method
        self.equation = None
        super().__init__(method.transport, flow, start)
        if self.discrete.operators:
            self.equation = _GrowthEquation(self.discrete)
        self.dissipation = self.row["dissipation"] + self._growth_loss()
        self.row["dissipation"] = self.dissipation

    def _slab(self, flow):
        # products with the features are made for the whole mesh at once, so on every rank
        return Slab(self.mesh)

    def _growth_loss(self):
        """Return ``4 growth ∫ J'^2 dnu`` of the current state."""
        share = float(np.sum(self.values * self.potential**2)) * self.mesh.cell_volume
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
            If the growth equation cannot be solved or the step shrinks to nothing.
        """
        before, state, rejected = self.row, self._state(), 0
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
        mass, parts = self.discrete.parts(self.values, self.outputs)
        self.dissipation = loss
        self.row = self._make_row(dt, mass, parts, 0.5 * (begin + loss), rejected)
        return self.row

    def _transport_loss(self):
        if self.flow.transport == 0:
            return 0.0
        loss, self._largest_outflow = self._transport(
            self.values, self.potential, self.values, self._stage, 0.0, 0.0
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
        scale = sum(abs(part) for part in parts.values())
        return sum(parts.values()) <= before["objective"] + ROUND_OFF * scale

    def _move(self, dt):
        """Do the transport over `dt` in place; return whether the step was accepted."""
        # the energy control of the transport starts from the objective after the growth
        parts = self.discrete.parts(self.values, self.outputs)[1]
        self.row = {**self.row, "objective": sum(parts.values())}
        accepted = self._attempt(dt)
        if accepted is None:
            return False
        self.values, self._candidate = self._candidate, self.values
        self.potential, self._other_potential = self._other_potential, self.potential
        self.outputs = accepted[0]
        return True

    def _grow(self, time):
        """Do the growth over `time` in place; return whether the equation could be solved."""
        rate = 4 * self.flow.growth * time
        if rate == 0:
            return True
        linear = np.empty_like(self.potential)
        self._linear_potential(linear)
        if self.equation is None:
            self.values *= np.exp(-rate * linear)
        while self.equation is not None and rate > 0:
            # F decays in every part of the growth, however long; parts in which no mass grows by
            # more than a factor of e^2 keep Newton's method quick
            falling = -self.potential[self.values > 0].min(initial=0.0)
            part = min(rate, 2.0 / max(falling, 1e-300))
            exponent = None
            while exponent is None:
                exponent = self.equation.solve(self.outputs, self.values, linear, part)
                part = part if exponent is not None else 0.25 * part
                if not part > 1e-12 * rate:
                    return False
            self.values *= np.exp(exponent)
            self.outputs = self.discrete.outputs(self.values)
            self.discrete.first_variation(self.outputs, self.potential)
            rate = rate - part if part < rate else 0.0
        self.outputs = self.discrete.outputs(self.values)
        self.discrete.first_variation(self.outputs, self.potential)
        return bool(np.isfinite(self.values).all())

    def _linear_potential(self, result):
        """Fill `result` with the potential of the linear terms at the cell centres."""
        discrete = self.discrete
        kernels.first_variation(
            result,
            np.zeros(discrete.rows),
            np.zeros(discrete.shape[3]),
            discrete.profile_sum,
            discrete.given_sum,
            discrete.shape,
        )

    def restart(self):
        return {**super().restart(), "dissipation": self.dissipation}

    def restore(self, saved):
        super().restore(saved)
        self.dissipation = float(saved["dissipation"])


class ImplicitGrowthStepper(GrowthStepper):
    """One run of `GrowthSplitting` with implicit transport."""

    def __init__(self, method, flow, start):
        super().__init__(method, flow, start)
        self.sweeps = sweeps_of(self.discrete, flow.mobilities(start.names))

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


class _GrowthEquation:
    """The exponent ``-rate J*`` of a growth step.

    The change ``d`` of the model outputs, one after the other in one vector, solves
    ``d = ∫ phi (exp(-rate J*) - 1) dnu`` with ``J* = V + <g(s, s + d), phi>`` and ``g`` the
    discrete gradient of the losses, by Newton's method.
    """

    def __init__(self, discrete):
        operators = discrete.operators
        self.risks = discrete.functional.risks
        self.volume = discrete.mesh.cell_volume
        self.ends = np.cumsum([operator.features.size for operator in operators])[:-1]
        matrices = [operator.dense() for operator in operators]
        self.amplitude = operators[0].amplitude
        if any(len(operator.amplitude) != len(self.amplitude) for operator in operators):
            # features with and without an amplitude: all are written for every cell
            matrices = [
                np.multiply.outer(operator.amplitude, matrix).reshape(-1, matrix.shape[1])
                for operator, matrix in zip(operators, matrices)
            ]
            self.amplitude = np.ones(1)
        self.matrix = np.hstack(matrices)
        targets = [(risk.loss.target, risk.scale) for risk in self.risks]
        sizes = [np.linalg.norm(target) / scale for target, scale in targets if target is not None]
        self.target_size = sum(sizes)
        self.largest = np.abs(self.matrix).max()

    def potential(self, d):
        """Return ``J*`` on the cells for a change ``d`` of the outputs."""
        s = np.split(self.output, self.ends)
        ends = np.split(self.output + d, self.ends)
        gradient = np.concatenate([discrete_residual(*each) for each in zip(self.risks, s, ends)])
        return self.linear + np.multiply.outer(self.amplitude, self.matrix @ gradient)

    def curvature(self, d):
        """Return half the curvature of the losses in the middle."""
        middle = np.split(self.output + 0.5 * d, self.ends)
        found = [r.loss.curvature(r.scale * s) for r, s in zip(self.risks, middle)]
        return 0.5 * np.concatenate(found)

    def evaluate(self, d, rate):
        """Return the exponent and the change of the outputs that it makes."""
        # a trial of the line search may overshoot: bounded, it is merely rejected
        exponent = np.minimum(-rate * self.potential(d), 300.0)
        change = self.amplitude @ (self.copies * np.expm1(exponent))
        return exponent, self.volume * (change @ self.matrix)

    def solve(self, outputs, values, linear, rate, tolerance=1e-13, most=60):
        """Return the exponent on the cells, None without convergence.

        The Jacobian is ``1 + rate A D`` with ``A = ∫ phi phi^T exp(-rate J*) dnu`` and ``D`` half
        the curvature of the losses.
        """
        self.output = s = np.concatenate(outputs)
        self.copies = values.reshape(len(self.amplitude), -1)
        self.linear = linear.reshape(self.copies.shape)
        d = np.zeros_like(s)
        exponent, target = self.evaluate(d, rate)
        error = np.linalg.norm(target - d)
        # an output is known to the round-off of the sum that makes it, and matters beside the data
        floor = self.target_size + self.volume * self.copies.sum() * self.largest + 1e-300
        for _ in range(most):
            size = np.linalg.norm(s) + np.linalg.norm(d) + floor
            if error <= tolerance * size:
                return exponent.ravel()
            weight = self.volume * (self.amplitude**2 @ (self.copies * np.exp(exponent)))
            gram = self.matrix.T @ (weight[:, None] * self.matrix)
            root = np.sqrt(rate * self.curvature(d))
            # symmetric form of the Jacobian, positive definite however long the step
            factor = cho_factor(np.eye(len(s)) + root[:, None] * gram * root)
            residual = target - d
            move = residual - gram @ (root * cho_solve(factor, root * residual))
            damping = 1.0
            while True:
                trial = d + damping * move
                trial_exponent, trial_target = self.evaluate(trial, rate)
                trial_error = np.linalg.norm(trial_target - trial)
                if trial_error < error or damping < 1e-8:
                    break
                damping *= 0.5
            if not trial_error < error:
                # round-off stalls the residual a little above the tolerance
                return exponent.ravel() if error <= 1e-10 * size else None
            d, exponent, target, error = trial, trial_exponent, trial_target, trial_error
        return None
