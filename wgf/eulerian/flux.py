"""Stored fluxes of a density in a potential that stays while a step is made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wgf.eulerian import flux_kernels as kernels
from wgf.eulerian import limited_kernels
from wgf.eulerian.faces import Faces

# drift that crosses a cell in less than this share of its diffusion is resolved
RESOLVED = 0.1


class Flux:
    """Coefficients of the fluxes in one potential, and what the kernels make of them.

    Parameters
    ----------
    faces : Faces
    eps : float
        Strength of the entropy.
    strengths, exponents : sequence of float
        Of the power entropies.
    potential : array of shape ``(cells,)`` or None
        First variation without entropies; None for none at all.

    Attributes
    ----------
    potential : array of shape ``(cells,)``
    most : float
        The outflow rate to which those of nearly empty cells are lowered, infinite where none is.
    balanced : bool
        Whether drift and power entropies meet, which asks for a flux of both.
    """

    def __init__(
        self,
        faces: Faces,
        eps: float,
        strengths: Sequence[float] = (),
        exponents: Sequence[float] = (),
        potential: np.ndarray | None = None,
    ):
        self.faces, self.eps = faces, float(eps)
        self.strengths = np.array(strengths, dtype=float)
        self.exponents = np.array(exponents, dtype=float)
        self.powered = self.strengths.size > 0
        self.linear = potential is not None or eps > 0 or not self.powered
        moving, used = faces.strides.size, self.linear
        self.ahead = np.zeros(moving * faces.total if used else 0)
        self.back = np.zeros(moving * faces.total if used else 0)
        self.stay = np.zeros(faces.cells if used else 0)
        self.wrapped = np.zeros((3, faces.last.size))
        self.wrapped[2] = faces.rates[faces.axis_of]
        self.inflow = np.zeros((2, faces.closing.size))
        self.inflow[1] = self.wrapped[2][faces.seen]
        self.steepest, self.most, self.limiter = 0.0, np.inf, Limiter(self)
        self.potential = np.zeros(faces.cells) if potential is None else potential
        if self.linear:
            self.set(self.potential)

    @property
    def balanced(self) -> bool:
        return self.powered and self.steepest > 0

    def slow(self, values: np.ndarray) -> None:
        """Make the coefficients fit a density: nearly empty cells do not set the step.

        Where there is next to no density, rates above the greatest one elsewhere are lowered to
        it; both coefficients of a face by one factor, so that the Gibbs density stays at rest.
        """
        faces = self.faces
        if self.linear:
            geometry = faces.strides, faces.counts, faces.last, faces.first
            needed = kernels.fastest_in_use(values, self.rates, *geometry)
            if needed > self.most or 2 * needed < self.most:
                self.slow_to(1.2 * needed)

    def slow_to(self, most: float) -> None:
        """Lower the rates of nearly empty cells to `most`, infinite for none."""
        if self.most < np.inf:
            self.set(self.potential)
        self.most = most
        if self.linear and most < np.inf:
            faces = self.faces
            kernels.slow_down(
                self.rates, most, faces.strides, faces.counts, faces.last, faces.first, faces.pad,
                *self._by_axis(), self.wrapped, self.stay,
            )  # fmt: skip
            self._close()

    def _by_axis(self):
        shape = self.faces.strides.size, self.faces.total
        return self.ahead.reshape(shape), self.back.reshape(shape)

    def _close(self):
        """Spread the coefficients of the faces that close a period over the cells beside them."""
        faces = self.faces
        if faces.last.size:
            ahead, back = (coefficients[faces.seen] for coefficients in self.wrapped[:2])
            self.inflow[0] = np.where(faces.from_first, back, ahead)

    def set(self, potential: np.ndarray) -> None:
        """Take the coefficients of another potential."""
        faces, self.potential = self.faces, potential
        kernels.coefficients(
            potential, faces.strides, faces.counts, faces.rates, self.eps, faces.pad,
            *self._by_axis(), self.stay,
        )  # fmt: skip
        kernels.closing_coefficients(
            potential, faces.last, faces.first, self.wrapped[2], self.eps, *self.wrapped[:2],
            self.stay,
        )  # fmt: skip
        self.rates, self.most = self.stay.copy(), np.inf
        self._close()
        self.steepest = kernels.steepest(potential, faces.strides, faces.counts)

    @property
    def problem(self) -> tuple:
        """The arrays that the kernels read."""
        faces = self.faces
        opened = faces.opened if self.powered else np.zeros(0)
        return (
            self.linear, self.ahead, self.back, self.stay, opened, faces.strides, faces.pad,
            faces.edges, faces.closing, faces.partners, self.inflow, self.strengths, self.exponents,
        )  # fmt: skip

    @property
    def closings(self) -> tuple:
        """The faces that close a period."""
        faces = self.faces
        return faces.axis_of, faces.last, faces.first, *self.wrapped

    def powers(self, values: np.ndarray) -> np.ndarray:
        """Return ``sum s rho^m``, empty without power entropies."""
        result = np.empty(values.size if self.powered else 0)
        if result.size:
            kernels.powers(values, self.strengths, self.exponents, result)
        return result

    def stiffness(self, values: np.ndarray) -> float:
        """Return a bound on the decay rates: twice the greatest outflow rate of a cell."""
        found = 2 * self.stay.max(initial=0.0)
        if self.powered:
            slopes = self.exponents * self.strengths * values.max() ** (self.exponents - 1)
            found += 4 * self.faces.rates.sum() * slopes.sum()
        return float(found)

    def net(self, values: np.ndarray, powers: np.ndarray) -> np.ndarray:
        """Return what every cell gains in a unit of time."""
        result = np.empty(values.size)
        padded = self.faces.padded(values if self.linear else values[:0]), self.faces.padded(powers)
        kernels.net_gain(self.problem, self.closings, *padded, result)
        if self.limiter.used:
            self.limiter.add(values, result)
        return result

    def dissipation(self, values: np.ndarray, powers: np.ndarray, variation: np.ndarray) -> float:
        """Return the sum over faces of flux times fall of the first variation.

        `variation` is the first variation, that of the entropy left out.
        """
        faces, xi = self.faces, variation
        if self.eps:
            with np.errstate(divide="ignore"):
                xi = xi + self.eps * np.log(values)
        extra = np.empty((0, 0))
        if self.limiter.used:
            extra = np.zeros((faces.strides.size, faces.cells))
            extra[self.limiter.places] = self.limiter.fluxes(values)
        padded = faces.padded(values if self.linear else values[:0]), faces.padded(powers)
        found = kernels.dissipation(
            self.problem, self.closings, values, *padded, xi, faces.counts, faces.rates, extra
        )
        # at rest only round-off is left of it
        return max(found, 0.0)


class Limiter:
    """The faces at which drift outweighs diffusion, and what the limited flux adds there.

    Attributes
    ----------
    used : bool
        Whether there are any.
    chosen : array of int
        The numbers of the faces.
    speed : float
        The largest sum of drift velocities over the spacing in a cell.
    """

    def __init__(self, flux: Flux):
        self.flux, self.speed, self.used = flux, 0.0, False
        self.chosen = self._chosen = np.empty(0, dtype=np.int64)

    def look(self, values: np.ndarray) -> bool:
        """Choose the faces for a density; return whether there are any."""
        flux, faces = self.flux, self.flux.faces
        self.used = flux.balanced or flux.steepest > RESOLVED * flux.eps
        if self.used and flux.eps > 0 and not flux.balanced:
            drift, diffusion, excess = limited_kernels.balance(
                flux.potential, values, faces.strides, faces.counts, faces.rates, flux.eps
            )
            self.used = (
                excess > limited_kernels.EXCESS and drift > limited_kernels.OUTWEIGHS * diffusion
            )
        if not self.used:
            return False
        geometry = faces.geometry
        if not self._chosen.size:
            self._chosen = np.empty(geometry[0].size, dtype=np.int64)
            self._terms, self._speeds = np.empty((geometry[0].size, 5)), np.empty(faces.cells)
        count, self.speed = limited_kernels.select(
            flux.potential, values, geometry, flux.eps, flux.strengths, flux.exponents,
            self._chosen, self._terms, self._speeds,
        )  # fmt: skip
        self.chosen, self.terms = self._chosen[:count], self._terms[:count]
        self.used = count > 0
        return self.used

    @property
    def arrays(self) -> tuple:
        """What the kernels read."""
        flux = self.flux
        return (
            flux.faces.geometry, self.chosen, self.terms, flux.eps, flux.strengths, flux.exponents,
        )  # fmt: skip

    @property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """The moving axis of every chosen face, and the cell that it is ahead of."""
        geometry = self.flux.faces.geometry
        return geometry[5][self.chosen], geometry[0][self.chosen]

    def fluxes(self, values: np.ndarray) -> np.ndarray:
        """Return what is added at the chosen faces."""
        geometry, chosen, *others = self.arrays
        found = np.empty(chosen.size)
        limited_kernels.corrections(values, geometry, chosen, *others, found)
        return found

    def add(self, values: np.ndarray, net: np.ndarray) -> None:
        """Add what cells gain in a unit of time."""
        geometry, chosen, *_ = self.arrays
        limited_kernels.scatter_fluxes(self.fluxes(values), geometry, chosen, net)
