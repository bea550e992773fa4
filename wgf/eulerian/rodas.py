"""Linearly implicit steps of order 4 on one line: RODAS with tridiagonal solves."""

from __future__ import annotations

import numpy as np

from wgf.eulerian import rodas_kernels as kernels
from wgf.eulerian.faces import Faces
from wgf.eulerian.flux import Flux


class Rodas:
    """Steps of order 4 along one line in a potential that stays, without control.

    Parameters
    ----------
    faces : Faces
        Of one line.

    Attributes
    ----------
    order : int
        Exponent of the step in the error estimate, which is that of a method of order 3.
    error : float
        Of the last step, estimated and summed over the cells.
    """

    order = 4

    def __init__(self, faces: Faces):
        n = faces.cells
        self.faces, self.periodic = faces, faces.wraps[0]
        self.opened = np.full(n, float(faces.rates[0]))
        self.opened[-1] *= self.periodic
        self._room = np.zeros((9, n))
        self._stages, self._flows = np.empty((2, kernels.STAGES, n))
        self.error = 0.0

    def first(self, flux: Flux, values: np.ndarray) -> float:
        """Return a first step, which the error estimate then judges."""
        speed = np.abs(flux.net(values, flux.powers(values))).sum()
        return 0.01 * float(values.sum()) / max(speed, 1e-300)

    def longest(self, flux: Flux, values: np.ndarray) -> float:
        """Return the longest step: there is none."""
        return np.inf

    def step(
        self, flux: Flux, values: np.ndarray, powers: np.ndarray, dt: float, result: np.ndarray
    ) -> None:
        """Fill `result` with the density after a step; it is not negative."""
        ahead, back = (self._along(flux, k) for k in range(2))
        self.error = kernels.rodas(
            values, ahead, back, self.opened, flux.strengths, flux.exponents, dt, self.periodic,
            result, self._room, self._stages, self._flows,
        )  # fmt: skip
        if not result.min() >= 0:
            kernels.limit_line(
                values, dt, self.periodic, result, self._room, self._stages, self._flows
            )

    def _along(self, flux, which):
        """Return the coefficients ahead of (0) or back to (1) every cell; there may be none."""
        pad, n = self.faces.pad, self.faces.cells
        found = np.zeros(n)
        if flux.linear:
            found[:] = (flux.ahead, flux.back)[which][pad : pad + n]
            if self.periodic:
                found[-1] = flux.wrapped[which, 0]
        return found
