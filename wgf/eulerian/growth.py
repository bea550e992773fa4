"""Wasserstein-Fisher-Rao on a mesh: upwind transport and an implicit, exact-sign growth step."""

import numpy as np
from scipy.linalg import solve

from wgf import checks
from wgf.eulerian.explicit import ROUND_OFF, SMALLEST_STEP, ExplicitStepper, FiniteVolume
from wgf.flows import FisherRao
from wgf.measure import Density


class GrowthSplitting:
    """Strang splitting of growth and transport for `wgf.FisherRao` on a density.

    Growth over a time ``tau`` is ``rho1 = rho0 exp(-4 growth tau J*)`` with ``J*`` the first
    variation at the discrete gradient of the loss between the two model outputs, so that
    ``F1 - F0 <= sum h^d J* (rho1 - rho0) <= 0`` for any ``tau``; the equation for the new output
    has as many unknowns as the output and is solved by Newton's method. Transport is a step of
    `FiniteVolume`.

    Parameters
    ----------
    step : float, optional
        Largest step. By default the growth rate limits it: ``4 growth |J'| dt <= 0.5`` in the
        mean square over the measure.
    order : {1, 2}
        Of the transport.
    """

    needs = "a density"

    def __init__(self, step=None, order=2):
        self.step = None if step is None else checks.number("growth step", step, above=0)
        self.transport = FiniteVolume(order)

    def prepare(self, flow, start):
        """Return a stepper for `flow` from the density `start`."""
        checks.instance("growth flow", flow, FisherRao)
        checks.instance("growth start", start, Density)
        flow.check(start)
        return GrowthStepper(self, flow, start)

    def __repr__(self):
        return f"GrowthSplitting(step={self.step!r}, order={self.transport.order})"


class GrowthStepper(ExplicitStepper):
    """One run of `GrowthSplitting`; the transport is that of `ExplicitStepper`."""

    def __init__(self, method, flow, start):
        self.flow = flow
        self.splitting = method
        self._mass = 0.0
        super().__init__(method.transport, flow, start)
        self.dissipation = self.row["dissipation"] + self._growth_loss()
        self.row["dissipation"] = self.dissipation

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
        if self.splitting.step is not None:
            return self.splitting.step
        mass = max(self.row["mass"], 1e-300)
        mean = np.sqrt(max(self._growth_loss(), 0.0) * 4 * self.flow.growth / mass)
        return 0.5 / max(mean, 1e-300)

    def advance(self, limit):
        """Make one step of at most `limit` and return its row of diagnostics.

        Raises
        ------
        NumericalError
            If the growth equation cannot be solved or the step shrinks to nothing.
        """
        before, state, rejected = self.row, self._state(), 0
        dt = min(limit, self._limit())
        if self.flow.transport > 0:
            dt = min(dt, self.method.courant / max(self._largest_outflow, 1e-300))
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
        if moving:
            self.energy_step = np.inf
            accepted = None
            if dt * self._outflow_now() <= 1.0:
                accepted = self._attempt(dt)
            if accepted is None:
                return False
            self.values, self._candidate = self._candidate, self.values
            self.potential, self._other_potential = self._other_potential, self.potential
            self.outputs = accepted[0]
            if not self._grow(share):
                return False
        parts = self.discrete.parts(self.values, self.outputs)[1]
        scale = sum(abs(part) for part in parts.values())
        return sum(parts.values()) <= before["objective"] + ROUND_OFF * scale

    def _outflow_now(self):
        mass, parts = self.discrete.parts(self.values, self.outputs)
        self.row = {**self.row, "objective": sum(parts.values())}
        return self._largest_outflow

    def _grow(self, time):
        """Do the growth over `time` in place; return whether the equation could be solved."""
        rate = 4 * self.flow.growth * time
        if rate == 0:
            return True
        linear = np.empty_like(self.potential)
        operators, risks = self.discrete.operators, self.discrete.functional.risks
        zero = [np.zeros_like(output) for output in self.outputs]
        self._potential_of([np.zeros_like(z) for z in zero], linear)
        if not operators:
            self.values *= np.exp(-rate * linear)
        else:
            old = self.outputs
            exponent = solve_growth(operators, risks, old, self.values, linear, rate)
            if exponent is None:
                return False
            self.values *= np.exp(exponent)
        if not np.isfinite(self.values).all():
            return False
        self.outputs = self.discrete.outputs(self.values)
        self.discrete.first_variation(self.outputs, self.potential)
        return True

    def _potential_of(self, residuals, result):
        """Fill `result` with the linear terms plus the features against `residuals`."""
        result[:] = 0.0
        discrete = self.discrete
        profiles = np.zeros(discrete.shape)
        start = 0
        for axis, n in enumerate(discrete.shape):
            shape = [1] * 4
            shape[axis] = n
            profiles += discrete.profile_sum[start : start + n].reshape(shape)
            start += n
        result += profiles.ravel()
        if discrete.given_sum.size:
            result += discrete.given_sum
        for operator, residual in zip(discrete.operators, residuals):
            if residual.any():
                result += np.multiply.outer(
                    operator.amplitude, operator.variation(residual)
                ).ravel()

    def restart(self):
        return {**super().restart(), "dissipation": self.dissipation}

    def restore(self, saved):
        super().restore(saved)
        self.dissipation = float(saved["dissipation"])


def solve_growth(operators, risks, outputs, values, linear, rate, tolerance=1e-13, most=60):
    """Return the exponent ``-rate J*`` of the growth step, or None without convergence.

    Newton's method on the change of the model output ``d``: ``d = ∫ phi (exp(-rate J*) - 1) dnu``,
    ``J* = V + <g(s, s + d), phi>`` with ``g`` the discrete gradient of the loss. The Jacobian is
    ``1 + rate A D`` with ``A = ∫ phi phi^T exp(-rate J*) dnu`` and ``D`` half the curvature of the
    loss in the middle. One risk only.
    """
    operator, risk, s = operators[0], risks[0], outputs[0]
    matrix = operator.dense()
    amplitude = operator.amplitude
    scale = risk.scale
    copies = values.reshape(len(amplitude), -1)
    linear = linear.reshape(copies.shape)

    def evaluate(d):
        gradient = risk.loss.discrete_gradient(scale * s, scale * (s + d)) / scale
        exponent = -rate * (linear + np.multiply.outer(amplitude, matrix @ gradient))
        exponent = np.minimum(exponent, 700.0)
        change = copies * np.expm1(exponent)
        return exponent, operator.volume * ((amplitude @ change) @ matrix)

    d = np.zeros_like(s)
    exponent, target = evaluate(d)
    error = np.linalg.norm(target - d)
    size = np.linalg.norm(s) + np.linalg.norm(target) * 0
    for _ in range(most):
        if error <= tolerance * (size + np.linalg.norm(d) + 1e-300):
            return exponent.ravel()
        weight = operator.volume * (amplitude**2 @ (copies * np.exp(exponent)))
        gram = matrix.T @ (weight[:, None] * matrix)
        half = 0.5 * risk.loss.curvature(scale * (s + 0.5 * d))
        jacobian = np.eye(len(s)) + rate * gram * half
        move = solve(jacobian, target - d)
        damping = 1.0
        while True:
            trial, trial_target = evaluate(d + damping * move)
            trial_error = np.linalg.norm(trial_target - d - damping * move)
            if trial_error < error or damping < 1e-6:
                break
            damping *= 0.5
        if not trial_error < error:
            # round-off stalls the residual a little above the tolerance
            return exponent.ravel() if error <= 1e-10 * (size + np.linalg.norm(d)) else None
        d, exponent, target, error = d + damping * move, trial, trial_target, trial_error
    return None
