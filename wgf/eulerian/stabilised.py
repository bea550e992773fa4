"""Stabilised explicit integration: Runge-Kutta-Legendre steps of order 2 under error control.

A step of ``s`` stages costs ``s`` visits of the mesh and is stable for ``(s^2 + s - 2) / lambda``
with ``lambda`` the stiffness of diffusion: long steps without a linear system. Source: Meyer,
Balsara & Aslam 2014.
"""

import functools

import numpy as np

from wgf.eulerian import limited_kernels
from wgf.eulerian import stabilised_kernels as kernels

MOST_STAGES = 59
# largest share of a cell that drift may cross in a step where it outweighs diffusion
COURANT = 0.5
SAFETY, SHRINK, GROWTH = 0.85, 0.2, 4.0
# share of the largest density below which there is none: far below what a sum can see
NOTHING = 1e-200


@functools.cache
def stage_factors(stages):
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


def reach(stages):
    """Return the largest ``dt lambda`` that a step of so many stages bears."""
    return (stages**2 + stages - 2) / 2


def stages_for(stiffness):
    """Return the least odd number of stages, at least 3, that bears ``dt lambda``."""
    wanted = int(np.ceil((np.sqrt(9 + 8 * stiffness) - 1) / 2))
    return max(3, wanted + 1 - wanted % 2)


def usual_tolerance(counts):
    """Return the tolerance that leaves the error in time below that of a smooth flow in space.

    ``1 / n^2`` with the largest number of cells along a moving axis, between 1e-7 and 1e-3.
    """
    return float(np.clip(1.0 / max(counts, default=1) ** 2.0, 1e-7, 1e-3))


class Faces:
    """The faces of a mesh along the axes on which something moves, as the kernels see them.

    Parameters
    ----------
    shape : tuple of int
    periodic : sequence of bool
    rates : sequence of float
        Mobility over the square of the spacing for every axis; 0 where nothing moves.

    Attributes
    ----------
    strides, counts : arrays of int
        Of the moving axes.
    pad : int
        Cells before the first and after the last in a padded array.
    """

    def __init__(self, shape, periodic, rates):
        self.cells = int(np.prod(shape))
        moving = [k for k, n in enumerate(shape) if n > 1 and rates[k] > 0]
        self.strides = np.array([int(np.prod(shape[k + 1 :])) for k in moving], dtype=np.int64)
        self.counts = np.array([shape[k] for k in moving], dtype=np.int64)
        self.rates = np.array([float(rates[k]) for k in moving])
        self.wraps = [bool(periodic[k]) for k in moving]
        self.pad = 8 * -(-int(self.strides.max(initial=1)) // 8)
        self.total = self.cells + 2 * self.pad
        index = np.arange(self.cells).reshape(shape)
        axes, last, first, opened = [], [], [], np.zeros((len(moving), self.total))
        for k, axis in enumerate(moving):
            inner = np.full(shape, self.rates[k])
            inner[(slice(None),) * axis + (-1,)] = 0.0
            opened[k, self.pad : self.pad + self.cells] = inner.ravel()
            if self.wraps[k]:
                last.append(np.take(index, -1, axis).ravel())
                first.append(np.take(index, 0, axis).ravel())
                axes.append(np.full(last[-1].size, k))
        self.opened = opened.ravel()
        self.axis_of, self.last, self.first = (
            np.concatenate([np.empty(0, dtype=np.int64), *part]) for part in (axes, last, first)
        )
        # every closing face is seen from both sides, in the order of the cells
        cells = np.concatenate([self.last, self.first])
        order = np.argsort(cells, kind="stable")
        self.seen = np.concatenate([np.arange(self.last.size)] * 2)[order]
        self.from_first = (np.arange(cells.size) < self.last.size)[order]
        self.closing = cells[order]
        self.partners = np.concatenate([self.first, self.last])[order]
        blocks = -(-self.cells // kernels.CELLS_PER_BLOCK)
        self.edges = np.searchsorted(self.closing, np.arange(blocks + 1) * kernels.CELLS_PER_BLOCK)

        self._index, self._moving = index, moving

    @functools.cached_property
    def geometry(self):
        """``(here, there, before, beyond, rates, axis)`` of every face.

        The two cells beside it, the ones before and beyond these, which are themselves at a wall,
        the rate and the number of the moving axis.
        """
        lists = [[] for _ in range(6)]
        for k, axis in enumerate(self._moving):
            cells = np.moveaxis(self._index, axis, 0)
            if self.wraps[k]:
                parts = cells, *(np.roll(cells, shift, 0) for shift in (-1, 1, -2))
            else:
                n = len(cells)
                at = np.arange(n - 1)
                places = at, at + 1, np.maximum(at - 1, 0), np.minimum(at + 2, n - 1)
                parts = [cells[place] for place in places]
            for found, part in zip(lists, parts):
                # in the order of the array: neighbours lie close in memory
                found.append(np.moveaxis(part, 0, axis).ravel())
            lists[4].append(np.full(lists[0][-1].size, self.rates[k]))
            lists[5].append(np.full(lists[0][-1].size, k))
        return tuple(np.concatenate(part) for part in lists)

    def room(self, used=True):
        """Return a padded array of zeros, empty if not `used`."""
        return np.zeros(self.total if used else 0)


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
    """

    def __init__(self, faces, eps, strengths=(), exponents=(), potential=None):
        self.faces, self.eps = faces, float(eps)
        self.strengths = np.array(strengths, dtype=float)
        self.exponents = np.array(exponents, dtype=float)
        self.linear = potential is not None or eps > 0 or not self.strengths.size
        moving, used = faces.strides.size, self.linear
        self.ahead = np.zeros(moving * faces.total if used else 0)
        self.back = np.zeros(moving * faces.total if used else 0)
        self.stay = np.zeros(faces.cells if used else 0)
        self.wrapped = np.zeros((3, faces.last.size))
        self.wrapped[2] = faces.rates[faces.axis_of]
        self.inflow = np.zeros((2, faces.closing.size))
        self.inflow[1] = self.wrapped[2][faces.seen]
        self.steepest, self.most, self.limiter = 0.0, np.inf, Limiter(self)
        if self.linear:
            self.set(np.zeros(faces.cells) if potential is None else potential)

    def use(self, values):
        """Make the coefficients fit a density: nearly empty cells do not set the step.

        Where there is next to no density, rates above the greatest one elsewhere are lowered to
        it; both coefficients of a face by one factor, so that the Gibbs density stays at rest.
        """
        faces = self.faces
        if self.linear:
            geometry = faces.strides, faces.counts, faces.last, faces.first
            needed = kernels.fastest_in_use(values, self.rates, *geometry)
            if needed > self.most or 2 * needed < self.most < np.inf or self.most == np.inf:
                if self.most < np.inf:
                    self.set(self.potential)
                self.most = 1.2 * needed
                kernels.slow_down(
                    self.rates, self.most, *geometry, faces.pad, *self._by_axis(), self.wrapped,
                    self.stay,
                )  # fmt: skip
                self._close()
        return self.limiter.look(values)

    def _by_axis(self):
        shape = self.faces.strides.size, self.faces.total
        return self.ahead.reshape(shape), self.back.reshape(shape)

    def _close(self):
        """Spread the coefficients of the faces that close a period over the cells beside them."""
        faces = self.faces
        if faces.last.size:
            ahead, back = (coefficients[faces.seen] for coefficients in self.wrapped[:2])
            self.inflow[0] = np.where(faces.from_first, back, ahead)

    def set(self, potential):
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
    def problem(self):
        """The arrays that the kernels read."""
        faces = self.faces
        return (
            self.linear, self.ahead, self.back, self.stay, faces.opened, faces.strides, faces.pad,
            faces.edges, faces.closing, faces.partners, self.inflow, self.strengths, self.exponents,
        )  # fmt: skip

    @property
    def closings(self):
        """The faces that close a period."""
        faces = self.faces
        return faces.axis_of, faces.last, faces.first, *self.wrapped

    def powers(self, values):
        """Return ``sum s rho^m``."""
        result = np.empty(values.size if self.strengths.size else 0)
        if result.size:
            kernels.powers(values, self.strengths, self.exponents, result)
        return result

    def stiffness(self, values):
        """Return a bound on the decay rates: twice the greatest outflow rate of a cell."""
        found = 2 * self.stay.max(initial=0.0)
        if self.strengths.size:
            highest = values.max()
            slopes = self.exponents * self.strengths * highest ** (self.exponents - 1)
            found += 4 * self.faces.rates.sum() * slopes.sum()
        return float(found)

    def net(self, values, powers):
        """Return what every cell gains in a unit of time."""
        faces, result = self.faces, np.empty(values.size)
        padded = [faces.room(self.linear), faces.room(powers.size > 0)]
        for room, part in zip(padded, (values, powers)):
            if room.size:
                room[faces.pad : faces.pad + faces.cells] = part
        kernels.net_gain(self.problem, self.closings, *padded, result)
        self.limiter.add(values, result)
        return result


class Limiter:
    """The faces at which drift outweighs diffusion, and what the limited flux adds there.

    Attributes
    ----------
    speed : float
        The largest sum of drift velocities over the spacing in a cell.
    """

    def __init__(self, flux):
        self.flux, self.speed, self.used = flux, 0.0, False
        self.chosen = self._chosen = np.empty(0, dtype=np.int64)

    def look(self, values):
        """Choose the faces for a density; return whether there are any."""
        flux, faces = self.flux, self.flux.faces
        # a cell that drift crosses in less than a tenth of its diffusion is resolved
        self.used = flux.steepest > 0.1 * flux.eps
        if self.used and flux.eps > 0:
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
    def arrays(self):
        """What the kernels read."""
        flux = self.flux
        return (
            flux.faces.geometry, self.chosen, self.terms, flux.eps, flux.strengths, flux.exponents,
        )  # fmt: skip

    def add(self, values, net):
        """Add what cells gain in a unit of time."""
        if self.used:
            geometry, chosen, *others = self.arrays
            found = np.empty(chosen.size)
            limited_kernels.corrections(values, geometry, chosen, *others, found)
            limited_kernels.scatter_fluxes(found, geometry, chosen, net)


class Legendre:
    """Steps of order 2 from one density to another, without control.

    Parameters
    ----------
    faces : Faces
    powered : bool
        Whether there are power entropies.
    shared : bool
        Whether the threads share a stage.
    """

    def __init__(self, faces, powered, shared=False):
        self.faces, self.shared = faces, shared
        self.p, self.p_old = faces.room(), faces.room()
        self.w, self.w_old = faces.room(powered), faces.room(powered)
        self.net, self._moved = np.empty(faces.cells), np.empty((faces.strides.size, faces.cells))

    def step(self, flux, values, powers, dt, stages, result):
        """Fill `result` with the density after a step; it is not negative."""
        problem, added = flux.problem, None
        arrays = values, powers, self.p, self.p_old, self.w, self.w_old, dt, stage_factors(stages)
        if flux.limiter.used:
            added = limited_kernels.limited_legendre(
                problem, flux.closings, *arrays, flux.limiter.arrays, self.net
            )
        else:
            kernels.legendre(problem, *arrays, self.shared)
            kernels.net_gain(problem, flux.closings, self.p, self.w, self.net)
        nothing = NOTHING * values.max()
        if kernels.end_of_step(values, self.net, dt, nothing, result) < 0:
            self._limit(flux, values, powers, dt, added, result)

    def _limit(self, flux, values, powers, dt, added, result):
        """Take back outflow where the density fell below 0, or blend with a positive step."""
        faces, problem, closings = self.faces, flux.problem, flux.closings
        shape = faces.strides.size, faces.cells
        moved = self._fluxes(flux, dt, added)
        if kernels.lift(result, moved, faces.strides, faces.counts):
            return
        moved, up, down = self._fluxes(flux, dt, added), np.empty(shape), np.empty(shape)
        kernels.implicit_rates(problem, closings, values, powers, dt, up, down)
        low, new, flow = values, np.empty(faces.cells), np.empty(faces.cells)
        for k, (stride, n) in enumerate(zip(faces.strides, faces.counts)):
            before = faces.cells // int(stride * n)
            kernels.low_order(
                low, up[k], down[k], faces.wraps[k], before, int(n), int(stride), flow, new
            )
            moved[k] -= flow
            low, new = new, np.empty(faces.cells)
        kernels.limit(low, moved, faces.strides, faces.counts, result)

    def _fluxes(self, flux, dt, added):
        """Return what crossed the faces in the last step."""
        faces, result = self.faces, self._moved
        kernels.fluxes(flux.problem, flux.closings, self.p, self.w, dt, result)
        if added is not None:
            chosen = flux.limiter.chosen
            result[faces.geometry[5][chosen], faces.geometry[0][chosen]] += dt * added
        return result


class StabilisedIntegrator:
    """A density under error control.

    Parameters
    ----------
    faces : Faces
    field : object
        Gives ``eps``, ``strengths``, ``exponents``, ``moving`` (whether the potential depends on
        the density) and ``potential(values)``, which is None where there is none.
    values : array of shape ``(cells,)``
    tolerance : float, optional
        Largest error of a step in the mass that it misplaces, over the mass; see
        `usual_tolerance`.

    Attributes
    ----------
    time : float
    values : array
    stages, steps, rejected : int
        Counts since the start.
    """

    def __init__(self, faces, field, values, tolerance=None):
        self.faces, self.field = faces, field
        self.tolerance = usual_tolerance(faces.counts) if tolerance is None else tolerance
        make = functools.partial(Flux, faces, field.eps, field.strengths, field.exponents)
        self.flux = make(field.potential(values))
        self.other = self.midway = self.flux
        if field.moving:
            self.midway, self.other = (make(field.potential(values)) for _ in range(2))
        self.method = Legendre(faces, self.flux.strengths.size > 0)
        self.values = np.where(values > NOTHING * values.max(), values, 0.0)
        self.mass = float(values.sum())
        self.powers = self.flux.powers(self.values)
        self.flux.use(self.values)
        self.gain = self.flux.net(self.values, self.powers)
        self.time, self.stages, self.steps, self.rejected = 0.0, 0, 0, 0
        self._candidate = np.empty_like(self.values)
        self.step = reach(5) / max(self.flux.stiffness(self.values), 1e-300)

    def advance(self, limit):
        """Make one step of at most `limit` and return its length."""
        while True:
            stiffness = max(self.flux.stiffness(self.values), 1e-300)
            dt = min(limit, self.step, reach(MOST_STAGES) / stiffness)
            if self.flux.limiter.used:
                dt = min(dt, COURANT / max(self.flux.limiter.speed, 1e-300))
            error = self.attempt(dt, stages_for(dt * stiffness))
            # NaN is an error, too
            factor = SHRINK
            if error == 0.0:
                factor = GROWTH
            elif error > 0.0:
                factor = min(max(SAFETY * (self.tolerance / error) ** (1 / 3), SHRINK), GROWTH)
            if error <= self.tolerance:
                break
            self.rejected += 1
            self.step = dt * min(factor, 0.9)
        if dt >= self.step or factor < 1.0:
            self.step = dt * factor
        self.accept()
        self.time += dt
        self.steps += 1
        return dt

    def attempt(self, dt, stages):
        """Make a step without taking it; return its error."""
        new, flux = self._candidate, self.flux
        if self.field.moving:
            half = stages_for(reach(stages) / 2)
            self.method.step(flux, self.values, self.powers, 0.5 * dt, half, new)
            self.stages += half
            flux = self.midway
            flux.set(self.field.potential(new))
            flux.use(new)
        self.method.step(flux, self.values, self.powers, dt, stages, new)
        self.stages += stages
        if self.field.moving:
            flux = self.other
            flux.set(self.field.potential(new))
        flux.use(new)
        self._next = flux.powers(new), flux
        self._next = (*self._next, flux.net(new, self._next[0]))
        error = kernels.step_error(self.values, new, self.gain, self._next[2], dt)
        return error / self.mass

    def accept(self):
        """Take the step that was attempted."""
        self.values, self._candidate = self._candidate, self.values
        self.powers, flux, self.gain = self._next
        self.flux, self.other = flux, self.flux

    def run(self, until):
        """Advance to a time."""
        while self.time < until * (1 - 1e-14):
            self.advance(until - self.time)
        return self.values
