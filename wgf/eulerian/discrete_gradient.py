"""Discrete gradients of a risk between two model outputs."""

import numpy as np

from wgf.eulerian.krylov import norm


def discrete_residual(risk, old, new):
    """Return the discrete gradient of ``R(scale s) / scale^2`` between two outputs."""
    s0, s1 = risk.scale * old, risk.scale * new
    # the correction of a short step is of third order and below round-off
    if norm(s1 - s0) <= 1e-5 * (norm(s0) + norm(s1)):
        return risk.loss.gradient(0.5 * (s0 + s1)) / risk.scale
    return risk.loss.discrete_gradient(s0, s1) / risk.scale


def step_residual(risk, old, new):
    """Return the mean of the discrete gradient and of the gradient at the end."""
    return 0.5 * (discrete_residual(risk, old, new) + risk.residual(new))


def residual_slope(risk, old, new, direction):
    """Return the derivative of `step_residual` in the new output along `direction`."""
    length = norm(direction)
    if length == 0:
        return np.zeros_like(direction)
    shift = 1e-4 * max(norm(new - old), 1e-3 * (norm(new) + norm(old)), 1e-150) / length
    ahead = step_residual(risk, old, new + shift * direction)
    back = step_residual(risk, old, new - shift * direction)
    return (ahead - back) / (2 * shift)
