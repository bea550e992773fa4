"""Implicit steps of all lines along one axis, with or without energies of the density."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wgf.eulerian import implicit_kernels as kernels
from wgf.eulerian.energies import PowerEnergy

NEWTON_LIMIT = 200


class Lines:
    """Lines that are moved implicitly, and what they are linearised around.

    Parameters
    ----------
    shape : (before, n, after, periodic)
        How the lines lie in the array.
    rate : float
        Mobility over the square of the width.
    eps : float
        Diffusion.
    energies : list of PowerEnergy and OwnEnergy
        Each makes the lines nonlinear.
    """

    def __init__(self, shape: tuple[int, int, int, bool], rate: float, eps: float, energies: list):
        self.shape, self.rate, self.eps, self.energies = shape, rate, eps, energies
        before, n, after, _ = shape
        panels = -(-before * after // kernels.LANES), n, kernels.LANES
        # outflow coefficients and moved densities
        self.linear = tuple(np.empty(panels) for _ in range(3))
        # the density, U' and U'' / factor; the progress of Newton's method
        size = panels if energies else (1, n, kernels.LANES)
        self.tables = tuple(np.zeros(size) for _ in range(3))
        numbers, flags = np.empty((2, *size[::2])), np.zeros((2, *size[::2]), dtype=bool)
        self.newton = (*numbers, *flags)
        self.power = energies[0] if len(energies) == 1 else None
        if not isinstance(self.power, PowerEnergy):
            self.power = None
        self.factor = self.power.strength * self.power.exponent if self.power else 1.0
        # where U' is infinite at 0, Newton's method starts farther from it
        self.floor = 1e-10 if any(each.singular for each in energies) else 1e-30

    def longest(self, rho: np.ndarray, potential: Callable[[], np.ndarray]) -> float:
        """Return the longest step that can be solved for: any."""
        return np.inf

    def solve(self, old: np.ndarray, potential: np.ndarray, dt: float) -> np.ndarray | None:
        """Return the density moved in `potential`, None if Newton's method fails in a line."""
        result, step = np.empty_like(old), dt * self.rate

        def do(stage, factor=self.factor):
            kernels.implicit_lines(
                old, potential, *self.shape, step, self.eps, stage, factor, self.floor,
                *self.tables, *self.newton, result, *self.linear,
            )  # fmt: skip

        if not self.energies:
            do(2, 0.0)
            return result
        _, previous, done, failed = self.newton
        previous[:], failed[:] = np.inf, False
        do(0)
        for _ in range(NEWTON_LIMIT):
            self._tabulate()
            do(1)
            if done.all():
                break
        for stage in (2, 3):
            self._tabulate()
            do(stage)
        return None if failed.any() or not done.all() else result

    def _tabulate(self):
        rho, slope, curve = self.tables
        if self.power is not None:
            kernels.power_energy(rho, self.power.strength, self.power.exponent, slope, curve)
            return
        slope[:] = sum(each.slope(rho) for each in self.energies)
        curve[:] = sum(each.curvature(rho) for each in self.energies)

    def linearised(self, change: np.ndarray, dt: float) -> np.ndarray:
        """Return the change of the density that a `change` of the first variation causes."""
        moved = np.empty_like(change)
        kernels.linearised_lines(change, *self.shape, dt * self.rate, *self.linear, moved)
        return moved
