"""Linearly implicit integration on one axis: RODAS steps of order 4 under error control."""

import numpy as np

from wgf.eulerian import rosenbrock_kernels as kernels
from wgf.eulerian import stabilised_kernels
from wgf.eulerian.discrete import DiscreteFunctional
from wgf.eulerian.field import MeshField
from wgf.eulerian.stabilised import usual_tolerance

SAFETY, SHRINK, GROWTH = 0.9, 0.2, 6.0


class LineIntegrator:
    """A density on one axis in a potential that does not depend on it, with any entropies.

    Parameters
    ----------
    field : object
        As of `wgf.eulerian.stabilised.StabilisedIntegrator`, with ``moving`` False.
    values : array of shape ``(n,)``
    rate : float
        Mobility over the square of the spacing.
    periodic : bool
    tolerance : float, optional
        Largest error of a step in the mass that it misplaces, over the mass; see
        `wgf.eulerian.stabilised.usual_tolerance`.
    """

    def __init__(self, field, values, rate, periodic, tolerance=None):
        n = values.size
        self.periodic = bool(periodic)
        self.tolerance = usual_tolerance([n]) if tolerance is None else tolerance
        self.strengths = np.array(field.strengths, dtype=float)
        self.exponents = np.array(field.exponents, dtype=float)
        potential = field.potential(values)
        potential = np.zeros(n) if potential is None else potential
        self.opened = np.full(n, float(rate))
        self.opened[-1] *= self.periodic
        self.ahead, self.back = np.empty(n), np.empty(n)
        cells = np.arange(n)
        stabilised_kernels.closing_coefficients(
            potential, cells, np.roll(cells, -1), self.opened, float(field.eps),
            self.ahead, self.back, np.zeros(n),
        )  # fmt: skip
        self.values, self.mass = values.copy(), float(values.sum())
        self._new, self._room = np.empty(n), np.zeros((9, n))
        self._stages, self._flows = np.empty((2, kernels.STAGES, n))
        self.time, self.steps, self.rejected = 0.0, 0, 0
        self.step = self._first_step()

    def _first_step(self):
        flux, none = np.empty(self.values.size), np.empty(0)
        w = none
        if self.strengths.size:
            w = np.empty(self.values.size)
            stabilised_kernels.powers(self.values, self.strengths, self.exponents, w)
        kernels.line_fluxes(self.values, w, self.ahead, self.back, self.opened, flux)
        speed = np.abs(flux - np.roll(flux, 1)).sum() / self.mass
        return 0.1 * self.tolerance**0.25 / max(speed, 1e-300)

    def advance(self, limit):
        """Make one step of at most `limit` and return its length."""
        while True:
            dt = min(limit, self.step)
            arrays = self._new, self._room, self._stages, self._flows
            error = kernels.rodas(
                self.values, self.ahead, self.back, self.opened, self.strengths, self.exponents,
                dt, self.periodic, *arrays,
            )  # fmt: skip
            error /= self.mass
            factor = SHRINK
            if error == 0.0:
                factor = GROWTH
            elif error > 0.0:
                factor = min(max(SAFETY * (self.tolerance / error) ** 0.25, SHRINK), GROWTH)
            if error <= self.tolerance:
                break
            self.rejected += 1
            self.step = dt * min(factor, 0.9)
        if self._new.min() < 0:
            kernels.limit_line(self.values, dt, self.periodic, *arrays)
        if dt >= self.step or factor < 1.0:
            self.step = dt * factor
        self.values, self._new = self._new, self.values
        self.time += dt
        self.steps += 1
        return dt

    def run(self, until):
        """Advance to a time."""
        while self.time < until * (1 - 1e-14):
            self.advance(until - self.time)
        return self.values


def line_integrator(flow, start, tolerance=None):
    """Return a `LineIntegrator` of a gradient flow from a density on one axis."""
    mesh = start.mesh
    field = MeshField(DiscreteFunctional(flow.functional, mesh))
    (mobility,) = flow.mobilities(mesh.names)
    rate = mobility / mesh.spacing[0] ** 2
    return LineIntegrator(field, start.values, rate, mesh.periodic[0], tolerance)
