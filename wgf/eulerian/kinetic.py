"""The kinetic equation of the heavy ball on a mesh of positions and velocities."""

from __future__ import annotations

import functools
import math
import warnings
from typing import Any, ClassVar

import numpy as np

from wgf import checks
from wgf.eulerian import kinetic_kernels as kernels
from wgf.eulerian.discrete import DiscreteFunctional
from wgf.eulerian.slab import Slab
from wgf.eulerian.state import SlabStepper
from wgf.flows import HeavyBall
from wgf.functional import forms
from wgf.measures.density import Density
from wgf.measures.mesh import Axis, Mesh
from wgf.stepping import Diagnosis, Fixed, Method, Trial

# fraction of a Maxwellian beyond the velocity box from which the box is said to be too small
TAIL = 1e-8
# entries of the transition matrix below this are no neighbours
NEGLIGIBLE = 1e-40
SAVED_MATRICES = 8


class KineticFiniteVolume(Method):
    """Strang splitting of the kinetic equation for a `wgf.Density` on a `wgf.phase_space`.

    One step is, symmetrically: half of friction and noise, half of the free transport
    ``∂t rho + r·∇_theta rho = 0``, the force ``-∇F'(mu)``, and the two halves again in reverse.
    Each of the three is conservative and keeps the density non-negative for any step:

    - Transport moves every line of positions by ``r dt / 2`` and force every line of velocities by
      ``-∇F' dt``, in flux form with polynomials of degree four of which only positivity is
      enforced. A wall of the positions turns the velocity round.
    - Friction and noise solve the equations of the Scharfetter-Gummel flux in ``r`` exactly in
      time, by the exponential of their M-matrix, so that the Maxwellian is exact to round-off.
      At temperature 0 the velocities are contracted by ``exp(-gamma dt)`` in flux form.

    Second order in the step and in the cells. The force is the central difference of the first
    variation of the discrete functional.

    Parameters
    ----------
    step : float, optional
        Largest step. By default the shortest time in which the fastest velocity crosses a cell,
        at most 0.2 / friction.

    Notes
    -----
    The energy E of `wgf.HeavyBall` falls in friction and noise in every step, by exactly what the
    column ``dissipation`` says. Transport and force conserve E only to the order of the scheme:
    the column ``residual`` is the sum of what they change, of order ``dt^2`` over a fixed time
    plus the error of the mesh, so E may rise in a step that dissipates less than that.

    Warns
    -----
    BoxWarning
        If a Maxwellian of the flow's temperature has more than 1e-8 of its mass beyond the
        velocities of the mesh, or is narrower than a cell.
    """

    title = "kinetic"
    flow = HeavyBall
    remedies: ClassVar = {forms.Local: "is a pressure that it does not have, leave it out"}
    forms = (forms.Composed, forms.Linear, forms.Pairwise, forms.General)

    def __init__(self, step: float | None = None):
        self.step = None if step is None else checks.number("kinetic step", step, above=0)

    def check(self, flow: HeavyBall, start: Density) -> None:
        if flow.schedule is not None:
            raise checks.InputError(
                "heavy ball: the temperature depends on time, which this method does not follow, "
                "use wgf.Baoab() for particles"
            )
        box = start.mesh.phase[1]
        for name, axis in zip(box.names, box.axes):
            if axis.periodic or abs(axis.lower + axis.upper) > 1e-12 * axis.length:
                raise checks.InputError(
                    f"heavy ball start: the velocities {name} in [{axis.lower:g}, {axis.upper:g}] "
                    "are not symmetric with walls, build the mesh by wgf.phase_space"
                )

    def stepper(self, flow: HeavyBall, start: Density, world: Any) -> KineticStepper:
        warn_of_velocities(*start.mesh.phase, flow)
        return KineticStepper(self, flow, start, world)

    def __repr__(self):
        return f"KineticFiniteVolume(step={self.step!r})"


def warn_of_velocities(places: Mesh, box: Mesh, flow: HeavyBall) -> None:
    """Warn if the box of velocities cannot hold a Maxwellian of the flow's temperature."""
    from scipy.special import ndtr, ndtri

    for name, axis, mobility in zip(box.names, box.axes, flow.mobilities(places.names)):
        variance = flow.temperature * mobility
        spread = math.sqrt(variance)
        if spread == 0 or flow.friction == 0:
            continue
        tail = 2 * float(ndtr(-axis.upper / spread))
        if tail > TAIL:
            warnings.warn(
                f"box: {tail:.2g} of a Maxwellian of temperature {variance:g} lies beyond "
                f"the velocities {name} of [-{axis.upper:g}, {axis.upper:g}], give a speed of "
                f"{-spread * float(ndtri(0.5 * TAIL)):.3g}",
                checks.BoxWarning,
                stacklevel=4,
            )
        if axis.spacing > spread:
            warnings.warn(
                f"box: cells of {axis.spacing:.3g} along {name} are wider than the Maxwellian of "
                f"temperature {variance:g}, give {math.ceil(2 * axis.length / spread)} "
                "cells or the temperature 0",
                checks.BoxWarning,
                stacklevel=4,
            )


def transition_matrix(axis: Axis, rate: float, temperature: float) -> np.ndarray:
    """Return the probabilities ``P[i, j]`` of going from cell `j` to cell `i` of the velocities.

    ``P = exp(rate L)`` with ``L`` the Scharfetter-Gummel matrix of ``∂_r (r rho + T ∂_r rho)``,
    summed with numbers of one sign only and then squared: every entry is non-negative, every
    column sums to 1 as closely as numbers allow, and the discrete Maxwellian does not change.
    """
    n, h = axis.cells, axis.spacing
    z = axis.edges[1:-1] * h / temperature
    generator = np.zeros((n, n))
    index = np.arange(n - 1)
    generator[index + 1, index] = temperature / h**2 * _bernoulli(z)
    generator[index, index + 1] = temperature / h**2 * _bernoulli(-z)
    leaving = generator.sum(axis=0)
    largest = float(leaving.max(initial=0.0))
    halvings = max(0, math.ceil(math.log2(max(rate * largest, 1e-300))))
    part = rate / 2**halvings
    generator[np.arange(n), np.arange(n)] = largest - leaving
    term, matrix = np.eye(n), np.eye(n)
    for k in range(1, 40):
        term = term @ generator * (part / k)
        matrix = matrix + term
        if term.max() <= 1e-18 * matrix.max():
            break
    matrix *= math.exp(-part * largest)
    for _ in range(halvings):
        matrix = matrix @ matrix
        matrix /= matrix.sum(axis=0)
    matrix[matrix < NEGLIGIBLE] = 0.0
    for j in range(n):
        _close(matrix[:, j])
    return matrix


def _close(column):
    """Make the exact sum of a column 1: correct entries of falling size by what is missing."""
    column /= math.fsum(column)
    for size in (1e-1, 1e-3, 1e-6):
        i = int(np.argmin(np.abs(np.log(np.maximum(column, 1e-300) / size))))
        column[i] += math.fsum((1.0, *(-column)))


def _bernoulli(z):
    """Return ``z / (exp(z) - 1)``."""
    small = np.abs(z) < 1e-8
    with np.errstate(over="ignore"):
        return np.where(small, 1.0 - 0.5 * z, z / np.expm1(np.where(small, 1.0, z)))


class KineticStepper(SlabStepper):
    """One run of `KineticFiniteVolume`.

    Attributes
    ----------
    values : array of shape ``(cells,)``
        Cell averages on the slab.
    marginal, potential : arrays of shape ``(positions,)``
        Density of the positions, and ``F'`` of it.
    """

    def __init__(
        self, method: KineticFiniteVolume, flow: HeavyBall, start: Density, world: Any = None
    ):
        # positions are dealt out in whole planes; what depends on them alone is known everywhere
        slab = Slab(start.mesh, world, whole_planes=True)
        super().__init__(Fixed(self.longest_step, "even"), slab, start)
        self.method, self.flow = method, flow
        self.mesh = start.mesh
        self.places, self.box = self.mesh.phase
        self.shape = self.slab.shape[self.slab.axis :]
        self.positions = self.slab.cells // self.box.cells
        self.own = self.slab.part_of(self.positions)
        self.discrete = DiscreteFunctional(flow.functional, self.places)
        self.matrices = {}
        self.potential = np.empty(self.places.cells)
        self.mobility = flow.mobilities(self.places.names)
        halves = [
            0.5 * axis.centers**2 / mobility if mobility else np.zeros(axis.cells)
            for axis, mobility in zip(self.box.axes, self.mobility)
        ]
        self.energies = functools.reduce(np.add.outer, halves).ravel()
        self._evaluate()
        self.begin(self.loss())

    def _evaluate(self):
        """Evaluate the marginal of the positions, the model output and the first variation."""
        parts = self.values.reshape(-1, self.box.cells)
        marginal = parts.sum(axis=1) * self.box.cell_volume
        self.marginal = self.slab.gathered(marginal, self.positions)
        self.outputs = self.discrete.outputs(self.marginal)
        self.discrete.first_variation(self.outputs, self.potential)
        self.discrete.add_nonlinear(self.marginal, self.potential)

    def force(self) -> np.ndarray:
        """Return ``-∇F'(mu)`` at every position, shape ``(axes, cells)``."""
        shape = self.places.shape
        potential, found = self.potential.reshape(shape), []
        for k, axis in enumerate(self.places.axes):
            if axis.cells == 1:
                found.append(np.zeros(self.places.cells))
            elif axis.periodic:
                ahead, back = np.roll(potential, -1, axis=k), np.roll(potential, 1, axis=k)
                found.append((back - ahead).ravel() / (2 * axis.spacing))
            else:
                order = 2 if axis.cells > 2 else 1
                slope = np.gradient(potential, axis.spacing, axis=k, edge_order=order)
                found.append(-slope.ravel())
        return np.array(found)

    def kinetic(self) -> float:
        """Return ``∫ |r|^2 / 2 drho``."""
        parts = self.values.reshape(-1, self.box.cells)
        energy = np.einsum("ij,j->i", parts, self.energies)
        return self.slab.sums((energy, self.positions))[0] * self.mesh.cell_volume

    def entropy(self) -> float:
        """Return ``∫ rho log rho``."""
        partials = np.empty(self.values.size // self.box.cells)
        kernels.entropy(self.values, partials)
        return self.slab.sums((partials, self.positions))[0] * self.mesh.cell_volume

    def loss(self) -> float:
        """Return the rate ``gamma ∫ M |r / M + T ∇_r log rho|^2 drho`` of the current state."""
        total = 0.0
        for k, axis, mobility in self._moving():
            before, n, after = self._velocity_lines(k)
            losses = np.empty(before * after)
            kernels.friction_loss(
                self.values, before, n, after, axis.spacing, axis.lower,
                self.flow.temperature * mobility, losses,
            )  # fmt: skip
            (lost,) = self.slab.sums((losses, self.slab.cells // n))
            total += lost / mobility
        return self.flow.friction * total * self.mesh.cell_volume

    def _moving(self):
        """Return ``(k, axis of the velocity, mobility)`` of the axes that are not frozen."""
        each = zip(range(self.places.dimension), self.box.axes, self.mobility)
        return [found for found in each if found[2] > 0]

    def _velocity_lines(self, k):
        shape, at = self.shape, self.places.dimension + k
        return math.prod(shape[:at]), shape[at], math.prod(shape[at + 1 :])

    def attempt(self, dt: float) -> Trial:
        lost = self._rub(0.5 * dt)
        self._drift(0.5 * dt)
        self._evaluate()
        force = self.force()
        if not np.isfinite(force).all():
            raise checks.NumericalError(
                f"force: not finite at t={self.time:g} with dt={dt:g}, {self.remedy}"
            )
        self._kick(dt * force)
        self._drift(0.5 * dt)
        lost += self._rub(0.5 * dt)
        self._evaluate()
        return Trial(dissipation=lost / dt)

    def longest_step(self) -> float:
        """Return the step of the method, or that of the mesh and the friction."""
        if self.method.step is not None:
            return self.method.step
        steps = [self.places.axes[k].spacing / axis.upper for k, axis, _ in self._moving()]
        return min([*steps, 0.2 / max(self.flow.friction, 1e-300)])

    def _drift(self, time):
        d = self.places.dimension
        for k, axis, _ in self._moving():
            place = self.places.axes[k]
            if place.cells == 1 and place.periodic:
                continue
            shifts = axis.centers * (time / place.spacing)
            shifts = 0.5 * (shifts - shifts[::-1])
            values, shape, cut = self.values, list(self.shape), k == 0 and self.slab.divided
            if cut:
                # what reaches the own cells from those of others, which is done twice
                reach = math.ceil(np.abs(shifts).max()) + kernels.REACH + 1
                values, begin = self.slab.widened(values, reach)
                shape[0] = values.size // math.prod(shape[1:])
            kernels.drift(
                values, math.prod(shape[:k]), shape[k], math.prod(shape[k + 1 : d + k]),
                axis.cells, math.prod(shape[d + k + 1 :]), place.periodic, shifts,
            )  # fmt: skip
            if cut:
                self.values = values[begin : begin + self.values.size].copy()

    def _kick(self, change):
        cells = self.values.size // self.box.cells
        for k, axis, mobility in self._moving():
            before, n, after = self._velocity_lines(k)
            shifts = change[k, self.own] * (mobility / axis.spacing)
            kernels.kick(self.values, cells, before // cells, n, after, shifts)

    def _rub(self, dt):
        """Let friction and noise act for a time `dt`; return the energy they take."""
        friction, temperature = self.flow.friction, self.flow.temperature
        if friction == 0:
            return 0.0
        before = self._thermal()
        for k, axis, mobility in self._moving():
            lines = self._velocity_lines(k)
            if temperature == 0:
                kernels.contract(self.values, *lines, math.exp(-friction * dt))
            else:
                kernels.spread(self.values, *lines, *self._transition(axis, mobility, dt))
        return before - self._thermal()

    def _thermal(self):
        energy = self.kinetic()
        if self.flow.temperature > 0:
            energy += self.flow.temperature * self.entropy()
        return energy

    def _transition(self, axis, mobility, dt):
        # steps that differ by round-off share a matrix, the same one after a restart
        dt = float(f"{dt:.10e}")
        key, temperature = (axis, mobility, dt), self.flow.temperature * mobility
        found = self.matrices.pop(key, None)
        if found is None:
            matrix = transition_matrix(axis, self.flow.friction * dt, temperature)
            full = matrix > 0
            first = full.argmax(axis=1)
            last = axis.cells - full[:, ::-1].argmax(axis=1)
            found = matrix, first, last
        self.matrices[key] = found
        while len(self.matrices) > SAVED_MATRICES:
            self.matrices.pop(next(iter(self.matrices)))
        return found

    def diagnose(self) -> Diagnosis:
        mass, parts = self.discrete.parts(self.marginal, self.outputs)
        kinetic, entropy = self.kinetic(), self.entropy()
        energies = {"kinetic": kinetic, "entropy": entropy}
        energies["lyapunov"] = sum(parts.values()) + kinetic
        if self.flow.temperature > 0:
            energies["lyapunov"] += self.flow.temperature * entropy
        return Diagnosis(mass, parts, energies, self._walls())

    def _walls(self):
        """Return the mass at the walls of every axis and the flux that they hold back."""
        pairs, names, d, force = [], [], self.places.dimension, None
        for k, (name, axis) in enumerate(zip(self.mesh.names, self.mesh.axes)):
            mobility = self.mobility[k % d]
            if axis.periodic or axis.cells == 1 or mobility == 0:
                continue
            names.append((name, axis))
            for end, sign in ((0, -1), (-1, 1)):
                layer, cuts = self._layer(k, end)
                if k < d:
                    # towards a wall goes every velocity of its sign
                    speed, at = self.box.axes[k].centers, d + k - 1
                else:
                    force = self.force() if force is None else force
                    speed, at = mobility * force[k - d, self.own], 0
                    speed -= self.flow.friction * axis.centers[end]
                    layer = layer.reshape(len(speed), -1)
                speed = speed.reshape([-1] + [1] * (layer.ndim - at - 1))
                held = layer * np.maximum(sign * speed, 0)
                pairs += [(layer.ravel(), cuts), (held.ravel(), cuts)]
        sums, volume = iter(self.slab.sums(*pairs) if pairs else ()), self.mesh.cell_volume
        found = {}
        for name, axis in names:
            ends = [next(sums) for _ in range(4)]
            found[f"wall_{name}"] = (ends[0] + ends[2]) * volume
            found[f"blocked_{name}"] = (ends[1] + ends[3]) / axis.spacing * volume
        return found

    def _layer(self, k, end):
        """Return the own cells at an end of axis `k` and the partition of all of them."""
        values = self.values.reshape(self.shape)
        if k > 0:
            return values.take(end, axis=k), self.slab.cells // self.shape[k]
        cuts = self.slab.end_of(math.prod(self.shape[1:]), last=end != 0)
        own = self.slab.part_of(cuts)
        plane = values[end if own.stop > own.start else slice(0, 0)]
        return plane.reshape(-1, *self.shape[2:]), cuts
