"""Problems with momentum whose solutions are known."""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import wgf


def square_neuron():
    """Return ``F = (∫ u^2 dmu - 1)^2``."""
    features = wgf.Features(lambda u: u**2, lambda u: 2 * u[:, None, :])
    return wgf.Risk(features, wgf.Squared([1.0], weights=2.0))


def square_moments(begin, friction, temperature, until):
    """Return ``∫ (u^2, u r, r^2) drho`` at `until`, from an ODE solved to round-off."""

    def slope(t, y):
        a, b, c = y
        noise = 2 * friction * temperature
        return [
            2 * b,
            c - friction * b - 4 * a * (a - 1),
            -2 * friction * c - 8 * b * (a - 1) + noise,
        ]

    options = {"rtol": 1e-12, "atol": 1e-13, "method": "DOP853"}
    return solve_ivp(slope, (0, until), begin, **options).y[:, -1]


def second_moments(measure):
    """Return ``∫ (u^2, u r, r^2) drho`` of a density on a phase space of two axes."""
    u, r = measure.points.T
    w = measure.weights
    return np.array([w @ u**2, w @ (u * r), w @ r**2])


def gaussian(stiffness, friction, temperature, mean, covariance, until):
    """Return mean and covariance of ``(theta, r)`` in the potential ``theta.K theta / 2``.

    ``z' = A z`` with noise ``Q = diag(0, 2 gamma T)``: the covariance is ``S* + e^{tA} (S0 - S*)
    e^{tA^T}`` with the stationary ``S* = T diag(K^-1, 1)``.
    """
    d = len(stiffness)
    one = np.eye(d)
    flow = expm(until * np.block([[0 * one, one], [-stiffness, -friction * one]]))
    rest = temperature * np.block([[np.linalg.inv(stiffness), 0 * one], [0 * one, one]])
    return flow @ mean, rest + flow @ (covariance - rest) @ flow.T


def normal_density(mesh, mean, covariance):
    """Return the cell averages of a normal density."""
    inverse = np.linalg.inv(covariance)
    scale = 1 / np.sqrt(np.linalg.det(2 * np.pi * covariance))

    def function(points):
        offset = points - mean
        return scale * np.exp(-0.5 * np.einsum("ki,ij,kj->k", offset, inverse, offset))

    return wgf.Density.from_function(mesh, function, nodes=2)


def orders(errors):
    """Return the orders of successive halvings."""
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def l1(density, values):
    """Return the L1 distance of a density from cell values."""
    return float(np.abs(density.values - values).sum() * density.mesh.cell_volume)
