"""Implicit steps of all lines along one axis, with or without an energy of the density."""

from __future__ import annotations

import numpy as np

from wgf.eulerian import implicit_kernels as kernels
from wgf.eulerian.discrete import DiscreteFunctional
from wgf.eulerian.energies import PowerEnergy


class PowerLines:
    """Lines whose energy is a power of the density, or that have none.

    Parameters
    ----------
    shape : (before, n, after, periodic)
        How the lines lie in the array.
    eps : float
        Diffusion.
    energies : list of PowerEnergy
        At most one.
    """

    def __init__(self, shape: tuple[int, int, int, bool], eps: float, energies: list):
        self.shape, self.eps, self.energies = shape, eps, energies
        before, n, after, _ = shape
        lanes = kernels.LANES
        self.panels = -(-before * after // lanes), n, lanes
        # the linearised lines: outflow coefficients and moved densities
        self.lines = tuple(np.empty(self.panels) for _ in range(3))
        self.failed = np.empty((self.panels[0], lanes), dtype=bool)
        self.power = [(each.strength, each.exponent) for each in energies] or [(0.0, 2.0)]

    def solve(self, old: np.ndarray, potential: np.ndarray, step: float) -> tuple[np.ndarray, bool]:
        """Return the density moved in `potential`, and whether a line failed to converge."""
        result = np.empty_like(old)
        kernels.implicit_lines(
            old, potential, *self.shape, step, self.eps, *self.power[0], result, *self.lines,
            self.failed,
        )  # fmt: skip
        return result, bool(self.failed.any())

    def linearised(self, change: np.ndarray, step: float) -> np.ndarray:
        """Return the change of the density that a `change` of the first variation causes."""
        moved = np.empty_like(change)
        kernels.linearised_lines(change, *self.shape, step, *self.lines, moved)
        return moved


class TabulatedLines(PowerLines):
    """Lines with any energies: ``U'`` and ``U''`` are evaluated outside the kernels."""

    def __init__(self, shape: tuple[int, int, int, bool], eps: float, energies: list):
        super().__init__(shape, eps, [])
        self.energies = energies

    def solve(self, old: np.ndarray, potential: np.ndarray, step: float) -> tuple[np.ndarray, bool]:
        rho, slope, curve = (np.zeros(self.panels) for _ in range(3))
        self.failed[:] = False
        largest, previous = np.zeros(self.failed.shape), np.full(self.failed.shape, np.inf)
        done = np.zeros_like(self.failed)
        # Newton's method starts from positive cells; where U' is infinite at 0, not too close to it
        floor = 1e-10 if any(each.singular for each in self.energies) else 1e-30

        def do(stage):
            if stage:
                slope[:] = sum(each.slope(rho) for each in self.energies)
                curve[:] = sum(each.curvature(rho) for each in self.energies)
            kernels.tabulated_lines(
                old, potential, *self.shape, step, self.eps, stage, floor, rho, slope, curve, largest,
                previous, done, *self.lines, self.failed,
            )  # fmt: skip

        do(0)
        for _ in range(kernels.NEWTON_STEPS):
            do(1)
            if done.all():
                break
        self.failed |= ~done
        do(2)
        do(3)
        result = np.empty_like(old)
        kernels.panels_to_lines(rho, *self.shape[:3], result)
        return result, bool(self.failed.any())


def solver_of(discrete: DiscreteFunctional, shape: tuple[int, int, int, bool]) -> PowerLines:
    """Return the solver of lines that the energies of a functional ask for."""
    energies = discrete.energies
    known = all(isinstance(each, PowerEnergy) for each in energies)
    return (PowerLines if known else TabulatedLines)(shape, discrete.diffusion, energies)
