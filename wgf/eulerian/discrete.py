"""The functional on a mesh: values and first variation at the cell centres, fast and in place.

All integrals are sums over cell centres, ``s = h^d sum_j phi(theta_j) rho_j``; with the first
variation ``xi_j`` of that discrete functional the upwind scheme dissipates it exactly
(Carrillo, Chertock & Huang 2015).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from wgf import checks
from wgf.eulerian import kernels
from wgf.eulerian.energies import OwnEnergy, PowerEnergy
from wgf.eulerian.features import FeatureOperator
from wgf.eulerian.slab import Slab
from wgf.eulerian.variation import Variation
from wgf.functional import forms
from wgf.functional.functional import Functional
from wgf.measures.base import BLOCK_ROWS
from wgf.measures.density import Density
from wgf.measures.mesh import Mesh

Outputs = list[np.ndarray]


class DiscreteFunctional:
    """A functional bound to a mesh, where each form of a term gets its meaning.

    Parameters
    ----------
    functional : Functional
    mesh : Mesh
    slab : Slab, optional
        The part of the mesh that is held here, by default all of it. All arrays over cells are
        those of the slab.

    Attributes
    ----------
    shape : tuple of four ints
        The slab's shape with missing axes in front.
    diffusion : float
        Strength of the entropies, whose first variation belongs to the flux.
    energies : list of PowerEnergy and OwnEnergy
        The other energies of the density.
    pairs : list of Term
        Interactions.
    general : list of (name, Term)
        Terms of any other form.
    masses, ends : arrays of shape ``(rows,)`` and ``(2, rows)``
        Sums of the own rows and the densities at both ends of them when `parts` was last asked for.
    """

    def __init__(self, functional: Functional, mesh: Mesh, slab: Slab | None = None):
        # strengths that depend on time change in terms of its own
        self.functional, self.mesh = functional.at(0.0) if functional.timed else functional, mesh
        functional = self.functional
        self.slab = Slab(mesh) if slab is None else slab
        self.shape = self.slab.shape
        self.risks, self.operators = functional.risks, []
        self.energies, self.pairs, self.general = [], [], []
        self.diffusion, self.given = 0.0, None
        # how each term is evaluated; those along axes are summed together with the mass
        self._values, self._along, self._units = {}, {}, {}
        for name, term in zip(functional.part_names, functional.terms):
            self._bind(name, term, term.form())
        rows, count = self.slab.last - self.slab.first, len(self._along)
        self.profiles = np.array([*self._along.values()]).reshape(count, sum(self.shape))
        self.profile_sum = self.profiles.sum(axis=0)
        self._constant = self.given
        if functional.timed:
            self.move(0.0)
        self._sums, self.ends = np.empty((rows, count + 1)), np.empty((2, rows))

    def _bind(self, name, term, form):
        match form:
            case forms.Composed():
                value = functools.partial(self._risk, term, len(self.operators))
                self.operators.append(FeatureOperator(term.features, self.mesh, slab=self.slab))
            case forms.Separable():
                self._along[name] = self._profile(form)
                return
            case forms.Linear():
                if term.timed:
                    term.strength = 1.0
                    self._units[name] = term, self._given(term)
                    self._values[name] = functools.partial(self._scaled, *self._units[name])
                    return
                given = self._given(term)
                self.given = given if self.given is None else self.given + given
                value = functools.partial(self._integral, given)
            case forms.Local():
                if isinstance(form, forms.Diffusion):
                    self.diffusion += form.strength
                elif not isinstance(form, forms.Power):
                    term = OwnEnergy(name, term)
                    self.energies.append(term)
                elif form.strength or term.timed:
                    self.energies.append(PowerEnergy(term, form))
                value = functools.partial(self._energy, term)
            case forms.Pairwise():
                self.pairs.append(term)
                value = functools.partial(self._interaction, term)
            case _:
                self.general.append((name, term))
                value = functools.partial(self._general, term)
        self._values[name] = value

    def move(self, time: float) -> None:
        """Give the terms the strengths that they have at a time."""
        self.diffusion, at = 0.0, list(self._along)
        for name, term in zip(self.functional.part_names, self.functional.terms):
            if term.timed:
                term.strength = term.schedule(time)
            form = term.form()
            if isinstance(form, forms.Diffusion):
                self.diffusion += form.strength
            elif term.timed and name in self._along:
                self.profiles[at.index(name)] = self._profile(form)
        for energy in self.energies:
            if isinstance(energy, PowerEnergy):
                energy.strength = energy.term.strength
        self.profile_sum = self.profiles.sum(axis=0)
        parts = [term.strength * unit for term, unit in self._units.values()]
        if parts:
            self.given = sum(parts) if self._constant is None else self._constant + sum(parts)

    def _scaled(self, term, unit, values, outputs):
        return term.strength * self._integral(unit, values, outputs)

    def _profile(self, form):
        mask = form.mask(self.mesh.names)
        parts = [np.zeros(1)] * (4 - self.mesh.dimension)
        parts += [on * form.profile(axis.centers) for axis, on in zip(self.mesh.axes, mask)]
        parts[self.slab.axis] = self.slab.along(parts[self.slab.axis])
        return np.concatenate(parts)

    def _given(self, term):
        def potential(start, stop):
            values = term.potential(self.mesh.points(start, stop), self.mesh.names)
            # infinite where no mass may be: such a number has differences and keeps mass out
            return np.minimum(values, np.finfo(np.float64).max)

        return self.slab.filled(potential, BLOCK_ROWS)

    def _risk(self, term, k, values, outputs):
        return term.value_of(outputs[k])

    def _integral(self, given, values, outputs):
        products, own = np.empty(len(self._sums)), self.slab.own
        held, given = values[own], given[own]
        kernels.row_products(held, given, self.shape[3], products)
        if np.isnan(products).any():
            # a potential may be infinite where there is no mass
            kernels.row_products(held, np.where(held > 0, given, 0.0), self.shape[3], products)
        return self.slab.sums((products, self.slab.rows))[0] * self.mesh.cell_volume

    def _energy(self, term, values, outputs):
        return self.slab.sum(term.energy(values[self.slab.own])) * self.mesh.cell_volume

    def _interaction(self, term, values, outputs):
        own = self.slab.own
        around = self.around(term, values)[own]
        return 0.5 * self.slab.sum(values[own] * around) * self.mesh.cell_volume

    def _general(self, term, values, outputs):
        return term.value_at(self._density(values))

    def _density(self, values):
        """Return the density of the whole mesh, a copy, that a term of any form is given."""
        found = Density.__new__(Density)
        found.mesh = self.mesh
        found.values = np.array(self.slab.whole(values)).reshape(self.mesh.shape)
        return found

    @functools.cached_property
    def _centers(self):
        return self.mesh.points()

    def outputs(self, values: np.ndarray) -> Outputs:
        """Return the model output of every risk for the flat cell averages `values`."""
        return [operator.output(values) for operator in self.operators]

    def parts(self, values: np.ndarray, outputs: Outputs) -> tuple[float, dict[str, float]]:
        """Return ``(mass, {name: value})`` of the flat cell averages `values`."""
        slab = self.slab
        kernels.axis_integrals(values, self.profiles, self.shape, self._sums, self.ends, slab.first)
        mass, *sums = (slab.column_sums(self._sums) * self.mesh.cell_volume).tolist()
        found = dict(zip(self._along, sums))
        for name, value in self._values.items():
            found[name] = float(value(values, outputs))
        return mass, {name: found[name] for name in self.functional.part_names}

    @property
    def masses(self) -> np.ndarray:
        return self._sums[:, 0]

    def around(self, term, values: np.ndarray) -> np.ndarray:
        """Return the potential of an interaction."""
        potential = term.potential(self.mesh, self.slab.whole(values))
        return self.slab.part(potential) if self.slab.divided else potential

    def gap(self, values: np.ndarray, variation: np.ndarray) -> float:
        """Return a bound on ``F - min F`` over the densities of the same mass if F is convex.

        ``<F'(mu), mu> - mass min F'(mu)``, infinite while cells that diffusion fills are empty;
        `variation` is ``F'`` without the entropy.
        """
        if self.diffusion:
            with np.errstate(divide="ignore"):
                variation = variation + self.diffusion * np.log(values)
        values, variation = values[self.slab.own], variation[self.slab.own]
        lowest = -self.slab.largest(-variation.min())
        if not np.isfinite(lowest):
            return np.inf
        with np.errstate(invalid="ignore"):
            above = np.where(values > 0, values * (variation - lowest), 0.0)
        return self.slab.sum(above) * self.mesh.cell_volume

    def cancelled(self, outputs: Outputs, mass: float) -> float:
        """Return, in units of the relative round-off, how much ``F`` may lose by cancellation.

        A risk is small where its output meets the data, an interaction where all mass is together:
        what they are made of is then known better than they are.
        """
        total = 0.0
        for risk, output in zip(self.risks, outputs):
            target = 0.0 if risk.loss.target is None else np.abs(risk.loss.target) / risk.scale
            total += float(np.abs(risk.residual(output)) @ (np.abs(output) + target))
        for term in self.pairs:
            total += term.largest(self.mesh) * mass**2
        return total

    def stiffness(self, values: np.ndarray, rate: float) -> float:
        """Return the largest decay rate of a cell by the energies, `rate` that of the axes."""
        return sum(energy.stiffness(values, rate, self.slab) for energy in self.energies)

    def add_nonlinear(self, values: np.ndarray, result: np.ndarray) -> None:
        """Add the first variations of energies, interactions and general terms to `result`.

        That of the entropy is left out: it belongs to the flux.
        """
        for energy in self.energies:
            result += energy.slope(values)
        for term in self.pairs:
            result += self.around(term, values)
        if self.general:
            density = self._density(values)
            for name, term in self.general:
                found = term.variation_at(density, self._centers, self.mesh.names)
                found = checks.returned(f"{name} variation", found)
                if found.shape != (self.mesh.cells,):
                    raise checks.InputError(
                        f"{name} variation: shape {found.shape} for {self.mesh.cells} points, "
                        "return one value per point"
                    )
                result += self.slab.part(found)

    @property
    def factors(self) -> bool:
        """Whether the first variation is one unit times an amplitude, plus profiles."""
        stored = self.energies or self.pairs or self.general or self.diffusion or self._units
        stored = stored or self.functional.timed
        return not stored and self.given is None and len(self.operators) < 2

    def variation(self, values: np.ndarray, outputs: Outputs, room: Any = None) -> Variation:
        """Return the first variation (that of the entropy left out) as a `Variation`.

        It is stored in the array `room`, or left in factors without one.
        """
        if room is None:
            residuals = [r.residual(s) for r, s in zip(self.risks, outputs)]
            (factors,) = self._variations(residuals)
            return factors
        self.first_variation(outputs, room)
        self.add_nonlinear(values, room)
        return Variation.stored(room, self.shape)

    def first_variation(self, outputs: Outputs, result: np.ndarray) -> None:
        """Fill `result` (flat) with ``F'(mu)`` of risks and potentials at the cell centres."""
        self.variation_of([risk.residual(s) for risk, s in zip(self.risks, outputs)], result)

    def variation_of(self, residuals: Outputs, result: np.ndarray) -> None:
        """Fill `result` with the first variation, the residual of every risk being given."""
        for k, variation in enumerate(self._variations(residuals)):
            if k == 0:
                variation.fill(result)
            else:
                result += variation.fill(np.empty_like(result))
        if self.given is not None:
            result += self.given

    def _variations(self, residuals) -> Iterator[Variation]:
        """Yield the first variations of the risks, the profiles with the first of them."""
        profiles = self.profile_sum
        if not self.operators:
            rows = int(np.prod(self.shape[:3]))
            yield Variation(np.zeros(rows), np.zeros(self.shape[3]), profiles, self.shape)
        for operator, residual in zip(self.operators, residuals):
            unit = operator.variation(residual)
            yield Variation(operator.amplitude, unit, profiles, self.shape)
            profiles = np.zeros_like(profiles)
