"""Upwind fluxes down the first variation: one explicit stage, and a step of one or two."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from wgf.eulerian import implicit_kernels, kernels, transport_kernels
from wgf.eulerian.discrete import DiscreteFunctional
from wgf.eulerian.variation import Variation
from wgf.stepping import Trial

# F is a sum of parts, each known to a few units in the last place
ROUND_OFF = 2e-14


class Upwind:
    """Explicit transport of a density by its own first variation.

    Parameters
    ----------
    discrete : DiscreteFunctional
    mobilities : sequence of float
        Factor of the velocity for every axis.
    order : {1, 2}
    stores : bool
        Whether the first variation is stored even if it factors.

    Attributes
    ----------
    stage, candidate : arrays of shape ``(cells,)``
        The density after the first stage of an attempt and after all of them.
    """

    def __init__(
        self,
        discrete: DiscreteFunctional,
        mobilities: Sequence[float],
        order: int,
        stores: bool = False,
    ):
        self.discrete, self.slab, self.order = discrete, discrete.slab, order
        spacing, missing = discrete.mesh.spacing, 4 - discrete.mesh.dimension
        self.rates = np.concatenate([np.zeros(missing), np.array(mobilities) / spacing**2])
        self.rate = self.rates.sum()
        cells = int(np.prod(self.slab.shape))
        self.stage, self.candidate = kernels.empty(cells), kernels.empty(cells)
        self.stored = stores or not discrete.factors
        self._between = self.room() if order == 2 else None
        self._scratch = transport_kernels.room(self.slab.shape)
        rows = self.slab.last - self.slab.first
        self._outflow, self._loss = np.empty(rows), np.empty(rows)
        self._blocks = np.arange(0, rows, kernels.ROWS_PER_BLOCK)

    def room(self) -> np.ndarray | None:
        """Return a new array for a first variation, None if that is left in factors."""
        return kernels.empty(self.stage.size) if self.stored else None

    def rate_of(self, values: np.ndarray, variation: Variation) -> tuple[float, float]:
        """Return the dissipation and the largest outflow rate of a state."""
        return self.transport(values, variation, values, self.stage, 0.0, 0.0)

    def attempt(
        self,
        values: np.ndarray,
        variation: Variation,
        dt: float,
        objective: float,
        finite: Callable[..., None],
    ) -> Trial:
        """Try a step from a state of a given objective.

        The result are outputs, mass and parts of `candidate`, None where the outflow is too large.
        `finite` refuses numbers that are not.
        """
        second = self.order == 2
        target = self.stage if second else self.candidate
        dissipation, largest = self.transport(values, variation, values, target, dt, 0.0)
        if dt * largest > 1.0:
            return Trial(outflow=largest)
        self.slab.renew(target)
        if second:
            outputs = self.discrete.outputs(target)
            between = self.discrete.variation(target, outputs, self._between)
            lost, largest = self.transport(target, between, values, self.candidate, dt, 0.5)
            if dt * largest > 1.0:
                return Trial(outflow=largest)
            dissipation = 0.5 * (dissipation + lost)
            self.slab.renew(self.candidate)
        outputs = self.discrete.outputs(self.candidate)
        mass, parts = self.discrete.parts(self.candidate, outputs)
        reached = sum(parts.values())
        finite(dt, objective=reached, dissipation=dissipation)
        scale = sum(abs(part) for part in parts.values())
        owed = 0.0 if self.discrete.diffusion else 0.5 * dt * dissipation
        allowed = objective - owed + ROUND_OFF * scale
        return Trial((outputs, mass, parts), dissipation, outflow=largest, rise=reached - allowed)

    def exchange(self, values: np.ndarray) -> np.ndarray:
        """Return the density of the attempt and take the memory of the one before."""
        values, self.candidate = self.candidate, values
        return values

    def transport(self, density, variation, base, result, dt, keep) -> tuple[float, float]:
        """Do one stage; return its dissipation and the largest outflow rate."""
        if self.discrete.diffusion:
            return self._diffuse(density, variation.values, base, result, dt, keep)
        slab, second = self.slab, self.order == 2
        transport_kernels.transport(
            density, variation.arrays, base, result, slab.shape, slab.periodic, self.rates, dt,
            keep, second, self._outflow, self._loss, slab.first, slab.last, self._scratch,
        )  # fmt: skip
        largest = slab.largest(float(self._outflow.max()))
        losses = np.add.reduceat(self._loss, self._blocks)
        (loss,) = slab.sums((losses, slab.blocks))
        largest = largest * self.order + self.discrete.stiffness(density, self.rate)
        return loss * self.discrete.mesh.cell_volume, largest

    def _diffuse(self, density, potential, base, result, dt, keep):
        """Do one stage with the Scharfetter-Gummel flux."""
        slab, volume = self.slab, self.discrete.mesh.cell_volume
        net, outflow = np.zeros(density.size), np.zeros(density.size)
        dissipation = 0.0
        for axis in np.flatnonzero(self.rates):
            before, n, after = slab.lines(axis)
            if n == 1:
                continue
            loss = np.zeros(before * after)
            lines = [slab.turn(axis, values) for values in (density, potential, net, outflow)]
            implicit_kernels.add_fluxes(
                *lines[:2], before, n, after, slab.wraps[axis],
                self.rates[axis], self.discrete.diffusion, *lines[2:], loss,
            )  # fmt: skip
            net, outflow = (slab.turn_back(axis, values) for values in lines[2:])
            (lost,) = slab.sums((loss, slab.line_cuts(axis)))
            dissipation += lost * volume
        kernels.combine(result, base, density, net, dt, keep)
        largest = slab.largest(float(outflow.max()))
        return dissipation, largest + self.discrete.stiffness(density, self.rate)
