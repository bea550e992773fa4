"""Runge-Kutta-Legendre steps of order 2: long explicit steps without a linear system.

A step of ``s`` stages costs ``s`` visits of the mesh and is stable for ``(s^2 + s - 2) / lambda``
with ``lambda`` the stiffness of diffusion. Source: Meyer, Balsara & Aslam 2014.
"""

from __future__ import annotations

import functools

import numpy as np

from wgf.eulerian import flux_kernels, legendre_kernels, limited_kernels, positivity_kernels
from wgf.eulerian.faces import Faces
from wgf.eulerian.flux import Flux

MOST_STAGES = 59
# largest share of a cell that drift may cross in a step where it outweighs diffusion
COURANT = 0.5
# share of the largest density below which there is none: far below what a sum can see
NOTHING = 1e-200
# cells from which the threads share a stage
SHARED_CELLS = 1 << 15


@functools.cache
def stage_factors(stages: int) -> np.ndarray:
    """Return ``(mu, nu, tilde, gamma)`` of every stage of a step of an odd number of stages.

    ``Y_j = Y_0 + dt L P_j`` with ``P_j = mu P_{j-1} + nu P_{j-2} + tilde Y_{j-1} + gamma Y_0``:
    the step is one sum of face fluxes of the mean density ``P_s``, and conserves as one.
    """
    j = np.arange(stages + 1, dtype=float)
    b = np.full(stages + 1, 1 / 3)
    b[2:] = (j[2:] ** 2 + j[2:] - 2) / (2 * j[2:] * (j[2:] + 1))
    width = 4 / (stages**2 + stages - 2)
    factors = np.zeros((stages, 4))
    factors[0, 2] = width / 3
    for k in range(2, stages + 1):
        mu = (2 * k - 1) / k * b[k] / b[k - 1]
        nu = -(k - 1) / k * b[k] / b[k - 2]
        factors[k - 1] = mu, nu, mu * width, -(1 - b[k - 1]) * mu * width
    return factors


def reach(stages: int) -> float:
    """Return the largest stable ``dt lambda`` of a step of a given number of stages."""
    return (stages**2 + stages - 2) / 2


def stages_for(stiffness: float) -> int:
    """Return the least odd number of stages, at least 3, that bears ``dt lambda``."""
    wanted = int(np.ceil((np.sqrt(9 + 8 * stiffness) - 1) / 2))
    return max(3, wanted + 1 - wanted % 2)


class Legendre:
    """Steps of order 2 from one density to another, without control.

    Parameters
    ----------
    faces : Faces
    powered : bool
        Whether there are power entropies.

    Attributes
    ----------
    order : int
        Exponent of the step in the error of a step.
    """

    order = 3

    def __init__(self, faces: Faces, powered: bool):
        self.faces, self.shared = faces, faces.cells >= SHARED_CELLS
        self.p, self.p_old = faces.room(), faces.room()
        self.w, self.w_old = faces.room(powered), faces.room(powered)
        self.net, self._moved = np.empty(faces.cells), np.empty((faces.strides.size, faces.cells))

    def first(self, flux: Flux, values: np.ndarray) -> float:
        """Return a first step, which the error estimate then judges."""
        return reach(5) / max(flux.stiffness(values), 1e-300)

    def longest(self, flux: Flux, values: np.ndarray) -> float:
        """Return the longest step that stability and drift allow."""
        longest = reach(MOST_STAGES) / max(flux.stiffness(values), 1e-300)
        if flux.limiter.used:
            longest = min(longest, COURANT / max(flux.limiter.speed, 1e-300))
        return longest

    def step(
        self, flux: Flux, values: np.ndarray, powers: np.ndarray, dt: float, result: np.ndarray
    ) -> None:
        """Fill `result` with the density after a step; it is not negative."""
        if not self.faces.strides.size:
            result[:] = values
            return
        stages = stages_for(dt * max(flux.stiffness(values), 1e-300))
        problem, added = flux.problem, None
        arrays = values, powers, self.p, self.p_old, self.w, self.w_old, dt, stage_factors(stages)
        if flux.limiter.used:
            added = limited_kernels.limited_legendre(
                problem, flux.closings, *arrays, flux.limiter.arrays, self.net
            )
        else:
            do = legendre_kernels.shared_legendre if self.shared else legendre_kernels.legendre
            do(problem, *arrays)
            flux_kernels.net_gain(problem, flux.closings, self.p, self.w, self.net)
        nothing = NOTHING * values.max()
        if flux_kernels.end_of_step(values, self.net, dt, nothing, result) < 0:
            self._limit(flux, values, powers, dt, added, result)

    def _limit(self, flux, values, powers, dt, added, result):
        """Take back outflow where the density fell below 0, or blend with a positive step."""
        faces, problem, closings = self.faces, flux.problem, flux.closings
        shape = faces.strides.size, faces.cells
        moved = self._fluxes(flux, dt, added)
        if positivity_kernels.lift(result, moved, faces.strides, faces.counts):
            return
        moved, up, down = self._fluxes(flux, dt, added), np.empty(shape), np.empty(shape)
        positivity_kernels.implicit_rates(problem, closings, values, powers, dt, up, down)
        low, new, flow = values, np.empty(faces.cells), np.empty(faces.cells)
        for k, (stride, n) in enumerate(zip(faces.strides, faces.counts)):
            before = faces.cells // int(stride * n)
            positivity_kernels.low_order(
                low, up[k], down[k], faces.wraps[k], before, int(n), int(stride), flow, new
            )
            moved[k] -= flow
            low, new = new, np.empty(faces.cells)
        positivity_kernels.limit(low, moved, faces.strides, faces.counts, result)

    def _fluxes(self, flux, dt, added):
        """Return what crossed the faces in the last step."""
        result = self._moved
        flux_kernels.fluxes(flux.problem, flux.closings, self.p, self.w, dt, result)
        if added is not None:
            result[flux.limiter.places] += dt * added
        return result
