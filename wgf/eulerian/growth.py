"""Wasserstein-Fisher-Rao on a mesh: upwind transport and an implicit, exact-sign growth step."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from wgf import checks
from wgf.eulerian import kernels
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
            # the energy control of the transport starts from the objective after the growth
            parts = self.discrete.parts(self.values, self.outputs)[1]
            self.row = {**self.row, "objective": sum(parts.values())}
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

    def _grow(self, time):
        """Do the growth over `time` in place; return whether the equation could be solved."""
        rate = 4 * self.flow.growth * time
        if rate == 0:
            return True
        linear = np.empty_like(self.potential)
        self._linear_potential(linear)
        if not self.discrete.operators:
            self.values *= np.exp(-rate * linear)
        else:
            risks = self.discrete.functional.risks
            while rate > 0:
                # F decays in every part of the growth, however long; parts in which no mass
                # grows by more than a factor of e^2 keep Newton's method quick
                falling = -self.potential[self.values > 0].min(initial=0.0)
                part = min(rate, 2.0 / max(falling, 1e-300))
                exponent = None
                while exponent is None:
                    exponent = solve_growth(
                        self.discrete.operators, risks, self.outputs, self.values, linear, part
                    )
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


def solve_growth(operators, risks, outputs, values, linear, rate):
    """Return the exponent ``-rate J*`` of a growth step, or None without convergence.

    The change ``d`` of the model output solves ``d = ∫ phi (exp(-rate J*) - 1) dnu`` with
    ``J* = V + <g(s, s + d), phi>`` and ``g`` the discrete gradient of the loss. One risk only.
    """
    equation = _GrowthEquation(operators[0], risks[0], outputs[0], values, linear)
    return equation.solve(np.zeros_like(outputs[0]), rate)[1]


class _GrowthEquation:
    """Newton's method for the change of the model output in one growth step."""

    def __init__(self, operator, risk, output, values, linear):
        self.matrix = operator.dense()
        self.amplitude = operator.amplitude
        self.volume = operator.volume
        self.risk = risk
        self.output = output
        self.copies = values.reshape(len(self.amplitude), -1)
        self.linear = linear.reshape(self.copies.shape)

    def potential(self, d):
        """Return ``J*`` on the cells for a change ``d`` of the output."""
        scale, s = self.risk.scale, self.output
        gradient = self.risk.loss.discrete_gradient(scale * s, scale * (s + d)) / scale
        return self.linear + np.multiply.outer(self.amplitude, self.matrix @ gradient)

    def evaluate(self, d, rate):
        """Return the exponent and the change of the output that it makes."""
        # a trial of the line search may overshoot: bounded, it is merely rejected
        exponent = np.minimum(-rate * self.potential(d), 300.0)
        change = self.amplitude @ (self.copies * np.expm1(exponent))
        return exponent, self.volume * (change @ self.matrix)

    def solve(self, d, rate, tolerance=1e-13, most=60):
        """Return ``(d, exponent)``, the exponent None without convergence.

        The Jacobian is ``1 + rate A D`` with ``A = ∫ phi phi^T exp(-rate J*) dnu`` and ``D`` half
        the curvature of the loss in the middle.
        """
        s, scale = self.output, self.risk.scale
        exponent, target = self.evaluate(d, rate)
        error = np.linalg.norm(target - d)
        for _ in range(most):
            size = np.linalg.norm(s) + np.linalg.norm(d) + 1e-300
            if error <= tolerance * size:
                return d, exponent.ravel()
            weight = self.volume * (self.amplitude**2 @ (self.copies * np.exp(exponent)))
            gram = self.matrix.T @ (weight[:, None] * self.matrix)
            root = np.sqrt(0.5 * rate * self.risk.loss.curvature(scale * (s + 0.5 * d)))
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
                return d, exponent.ravel() if error <= 1e-10 * size else None
            d, exponent, target, error = trial, trial_exponent, trial_target, trial_error
        return d, None
