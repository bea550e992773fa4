"""Implicit finite volumes: the functional falls for any step."""

import math

import numpy as np

from wgf import checks, parallel
from wgf.eulerian import implicit_kernels
from wgf.eulerian.discrete import DiscreteFunctional
from wgf.eulerian.explicit import ROUND_OFF
from wgf.eulerian.slab import Slab, SlabStepper
from wgf.eulerian.variation import Variation
from wgf.eulerian.walls import Walls
from wgf.flows import GradientFlow
from wgf.measures.density import Density

SMALLEST_STEP = 1e-14
NEWTON_LIMIT = 25
KRYLOV_LIMIT = 60
TOLERANCE = 1e-12
EASY = 8


class ImplicitFiniteVolume:
    """Implicit upwind finite volumes for a `wgf.Density`, one axis after the other.

    Along each axis the density solves the implicit upwind equation in the first variation of

    - the risk by the mean of a discrete gradient, ``g · (s1 - s0) = R(s1) - R(s0)``, and of
      ``R'(s1)``, which damps what is stiff where the former alone would reflect it,
    - interactions by the mean of both ends,
    - potentials as they are, power entropies at the new density,
    - the entropy by the Scharfetter-Gummel flux,

    so that ``F1 - F0 <= -dt h^d sum u^2 rho`` in every sub-step, for a convex loss and any step.
    The fixed points are those of the flow, not of the splitting. The unknowns are the model output
    and the interaction potential, found by Newton's method with exact products with the Jacobian
    (GMRES); each product is one linear M-matrix solve a line, in arithmetic that cannot lose
    positivity.

    Parameters
    ----------
    step : float
        First step; positive.
    growth : float
        Factor by which the step grows when the nonlinear solve was easy, at least 1. With 1 the
        step is never longer than `step`: the way to a given accuracy in time, of first order.

    Notes
    -----
    A step is halved while the nonlinear solve does not converge or ``F`` rises beyond round-off.
    Source of the scheme without the risk: Bailo, Carrillo & Hu.
    """

    needs = "a density"

    def __init__(self, step, growth=2.0):
        self.step = checks.number("implicit finite volume step", step, above=0)
        self.growth = checks.number("implicit finite volume growth", growth, minimum=1)

    def prepare(self, flow, start):
        """Return a stepper for `flow` from the density `start`."""
        checks.instance("implicit finite volume flow", flow, GradientFlow)
        checks.instance("implicit finite volume start", start, Density)
        flow.functional.axis_names(start)
        powers = [t for t in flow.functional.terms if hasattr(t, "exponent") and t.strength]
        if len(powers) > 1:
            raise checks.InputError(
                f"implicit finite volume: {len(powers)} power entropies, give at most one"
            )
        return ImplicitStepper(self, flow, start)

    def __repr__(self):
        return f"ImplicitFiniteVolume(step={self.step:g}, growth={self.growth:g})"


class ImplicitStepper(SlabStepper):
    """One run of `ImplicitFiniteVolume`: the state and the step control.

    Attributes
    ----------
    time : float
    row : dict of float
        Diagnostics of the current state and of the step that led to it.
    """

    def __init__(self, method, flow, start):
        self.method = method
        self.mesh = start.mesh
        # an interaction makes a field of unknowns, which every rank solves for
        pairs = any(term.pairwise for term in flow.functional.terms)
        ranks = parallel.Serial() if pairs else parallel.world()
        self.slab = Slab(start.mesh, ranks, whole_planes=True)
        self.discrete = DiscreteFunctional(flow.functional, start.mesh, self.slab)
        mobility = np.array(flow.mobilities(start.names))
        self.sweeps = sweeps_of(self.discrete, mobility)
        self.walls = Walls(self.slab, mobility)
        self.time = 0.0
        self.step = method.step
        self.values = self.slab.begin(start)
        self.outputs = self.discrete.outputs(self.values)
        mass, parts = self.discrete.parts(self.values, self.outputs)
        dissipation = sum(sweep.dissipation(self.values, self.outputs) for sweep in self.sweeps)
        self.row = self._make_row(0.0, mass, parts, dissipation, 0, 0)

    def _make_row(self, dt, mass, parts, dissipation, rejected, solves):
        row = {"t": self.time, "dt": dt, "mass": mass, "objective": sum(parts.values())}
        row.update(parts)
        room = np.empty_like(self.values)
        variation = self.discrete.variation(self.values, self.outputs, room)
        walls = self.walls.columns(self.values, variation, self.discrete.masses, self.discrete.ends)
        gap = self.discrete.gap(self.values, variation.values)
        row.update(dissipation=dissipation, rejected=rejected, gap=gap, newton=solves, **walls)
        return row

    def advance(self, limit):
        """Make one step of at most `limit` and return its row of diagnostics.

        Raises
        ------
        NumericalError
            If the functional is not finite or the step shrinks to nothing.
        """
        rejected = 0
        while True:
            dt = min(limit, self.step)
            if not dt > SMALLEST_STEP * max(self.time, min(limit, 1.0)):
                raise checks.NumericalError(
                    f"step: dt={dt:g} at t={self.time:g} after {rejected} rejections is too "
                    "small, look at the diagnostics of the last steps"
                )
            accepted = self._attempt(dt)
            if accepted is not None:
                break
            rejected += 1
            self.step = 0.5 * dt
        values, outputs, mass, parts, solves = accepted
        lost = sum(sweep.lost for sweep in self.sweeps)
        self.values, self.outputs = values, outputs
        self.time += dt
        if rejected == 0 and dt == self.step and solves <= EASY * max(1, len(self.sweeps)):
            longest = np.inf if self.method.growth > 1 else self.method.step
            self.step = min(longest, dt * max(self.method.growth, 1.25))
        self.row = self._make_row(dt, mass, parts, lost, rejected, solves)
        return self.row

    def _attempt(self, dt):
        """Try a step; return the new state or None if it is to be redone with a smaller one."""
        values, outputs, solves = self.values, self.outputs, 0
        for sweep in self.sweeps:
            found = sweep.solve(values, outputs, dt)
            if found is None:
                return None
            values, outputs, count = found
            solves += count
        mass, parts = self.discrete.parts(values, outputs)
        objective = sum(parts.values())
        if not np.isfinite(objective):
            raise checks.NumericalError(
                f"objective: {objective} at t={self.time:g} with dt={dt:g}, check the features and "
                "potentials for overflow"
            )
        scale = sum(abs(part) for part in parts.values())
        if objective > self.row["objective"] + ROUND_OFF * scale:
            return None
        return values, outputs, mass, parts, solves

    def restart(self):
        """Return everything but the density that a bit-identical continuation needs."""
        return {
            "time": self.time,
            "step": self.step,
            **{f"row_{name}": value for name, value in self.row.items()},
        }

    def restore(self, saved):
        """Continue from what `restart` returned, the density being the start."""
        self.time = float(saved["time"])
        self.step = float(saved["step"])
        self.row = {name: float(saved[f"row_{name}"]) for name in self.row}


def sweeps_of(discrete, mobilities):
    """Return the implicit step along every axis on which something moves."""
    mesh = discrete.mesh
    missing = 4 - mesh.dimension
    periodic = (False,) * missing + tuple(bool(p) for p in mesh.periodic)
    rates = np.concatenate([np.zeros(missing), np.array(mobilities) / mesh.spacing**2])
    return [
        _Sweep(discrete, axis, periodic[axis], rates[axis])
        for axis in range(4)
        if rates[axis] > 0 and ((1,) * missing + mesh.shape)[axis] > 1
    ]


class _Sweep:
    """The implicit step along one axis: the nonlinear system and its Jacobian.

    The unknown is the vector of all new model outputs, followed by the new interaction potential.
    """

    def __init__(self, discrete, axis, periodic, rate):
        self.discrete = discrete
        self.slab, self.axis = discrete.slab, axis
        self.lines = (*self.slab.lines(axis), periodic)
        self.rate = rate
        self.eps = discrete.diffusion
        self.power = (0.0, 2.0)
        if discrete.powers:
            self.power = (discrete.powers[0].strength, discrete.powers[0].exponent)
        self.sizes = [operator.features.size for operator in discrete.operators]
        self.sizes += [discrete.mesh.cells] if discrete.pairs else []
        before, n, after, _ = self.lines
        lanes = implicit_kernels.LANES
        panels = -(-before * after // lanes)
        self._a, self._b, self._moved = (np.empty((panels, n, lanes)) for _ in range(3))
        self._failed = np.empty((panels, lanes), dtype=bool)
        self.lost = 0.0

    def _split(self, unknown):
        """Return the model outputs and the interaction potential (or None)."""
        pieces = np.split(unknown, np.cumsum(self.sizes)[:-1]) if self.sizes else []
        if self.discrete.pairs:
            return pieces[:-1], pieces[-1]
        return pieces, None

    def _join(self, values, outputs):
        pieces = list(outputs)
        if self.discrete.pairs:
            pieces.append(self._interaction(values))
        return np.concatenate(pieces) if pieces else np.zeros(0)

    def _interaction(self, values):
        return sum(term.potential(self.discrete.mesh, values) for term in self.discrete.pairs)

    def _measured(self, values):
        return self._join(values, self.discrete.outputs(values))

    def _potential(self, unknown):
        """Return the first variation between the old state and the state of `unknown`."""
        outputs, around = self._split(unknown)
        result = np.empty_like(self._old)
        self.discrete.variation_of(self._residuals(outputs), result)
        if around is not None:
            result += 0.5 * (self._old_around + around)
        return result

    def _residuals(self, outputs):
        risks = self.discrete.functional.risks
        return [step_residual(*each) for each in zip(risks, self._old_outputs, outputs)]

    def _change(self, unknown, direction):
        """Return the derivative of `_potential` along `direction`."""
        outputs, _ = self._split(unknown)
        shifts, around = self._split(direction)
        result, part = np.zeros_like(self._old), np.empty_like(self._old)
        risks, nothing = self.discrete.functional.risks, np.zeros(sum(self.discrete.shape))
        for risk, operator, old, s, v in zip(
            risks, self.discrete.operators, self._old_outputs, outputs, shifts
        ):
            unit = operator.variation(residual_slope(risk, old, s, v))
            variation = Variation(operator.amplitude, unit, nothing, self.discrete.shape)
            result += variation.fill(part)
        if around is not None:
            result += 0.5 * around
        return result

    def _transport(self, potential, dt):
        """Return the density moved in `potential`, or None without convergence."""
        result = np.empty_like(self._old_lines)
        implicit_kernels.implicit_lines(
            self._old_lines, self.slab.turn(self.axis, potential), *self.lines,
            dt * self.rate, self.eps, *self.power,
            result, self._a, self._b, self._moved, self._failed,
        )  # fmt: skip
        failed = self.slab.ranks.largest(float(self._failed.any()))
        return None if failed else self.slab.turn_back(self.axis, result)

    def solve(self, values, outputs, dt):
        """Return ``(density, outputs, Newton steps)`` after the step, or None."""
        self._old, self._old_outputs, self._step = values, outputs, dt * self.rate
        self._old_lines = self.slab.turn(self.axis, values)
        unknown = self._join(values, outputs)
        if self.discrete.pairs:
            self._old_around = self._split(unknown)[1]
        scale = self._scales(unknown)
        state = self._evaluate(unknown, dt)
        size = np.inf if state is None else norm(state[1] / scale)
        count = 0
        while state is not None and size > TOLERANCE:
            if count == NEWTON_LIMIT or not np.isfinite(size):
                return None
            forcing = min(0.1, max(1e-3, 0.1 * size), 1.0)
            shift = self._newton_shift(unknown, state[1], scale, forcing)
            # a trial takes its place in memory
            state = None
            count += 1
            found = self._search(unknown, shift, size, scale, dt)
            if found is None:
                # round-off of a stiff system stops the fall: good enough if close
                if size > 1e3 * TOLERANCE:
                    return None
                state = self._evaluate(unknown, dt)
                break
            unknown, state, size = found
        if state is None:
            return None
        density = state[0]
        self._old_lines = None
        self._note(density, state[2], dt)
        return density, self.discrete.outputs(density), count

    def _scales(self, unknown):
        pieces = np.split(unknown, np.cumsum(self.sizes)[:-1]) if self.sizes else []
        targets = [risk.loss.target for risk in self.discrete.functional.risks]
        scales = []
        for k, piece in enumerate(pieces):
            size = norm(piece)
            if k < len(targets) and targets[k] is not None:
                size = max(size, norm(np.asarray(targets[k])))
            scales.append(np.full(piece.size, max(size, 1e-300)))
        return np.concatenate(scales) if scales else np.zeros(0)

    def _evaluate(self, unknown, dt):
        """Return ``(density, residual, potential)``; the lines stay linearised there."""
        potential = self._potential(unknown)
        density = self._transport(potential, dt)
        if density is None:
            return None
        return density, unknown - self._measured(density), potential

    def _newton_shift(self, unknown, residual, scale, forcing):
        def product(direction):
            direction = direction * scale
            change = self._change(unknown, direction)
            moved = np.empty_like(self._old_lines)
            implicit_kernels.linearised_lines(
                self.slab.turn(self.axis, change),
                *self.lines, self._step, self._a, self._b, self._moved, moved,
            )  # fmt: skip
            moved = self.slab.turn_back(self.axis, moved)
            return (direction - self._measured(moved)) / scale

        return -scale * gmres(product, residual / scale, forcing, KRYLOV_LIMIT)

    def _search(self, unknown, shift, size, scale, dt):
        """Return the new ``(unknown, state, size)`` along the Newton direction, or None."""
        share = 1.0
        while share > 1e-3:
            trial = unknown + share * shift
            state = self._evaluate(trial, dt)
            if state is not None:
                new = norm(state[1] / scale)
                if new <= (1.0 - 0.1 * share) * size:
                    return trial, state, new
            state = None
            share *= 0.5
        return None

    def _note(self, density, potential, dt):
        """Remember the mean dissipation of the step, up to its order."""
        self.lost = self._loss(density, potential)

    def _loss(self, density, potential):
        before, n, after, periodic = self.lines
        if self.power[0]:
            potential = potential + sum(term.slope(density) for term in self.discrete.powers)
        if not np.isfinite(potential).all():
            potential = np.where(np.isfinite(potential), potential, 0.0)
        density, potential = (self.slab.turn(self.axis, v) for v in (density, potential))
        loss = np.zeros(before * after)
        unused = np.zeros((2, loss.size * n))
        implicit_kernels.add_fluxes(
            density, potential, before, n, after, periodic, self.rate, self.eps, *unused, loss
        )
        (lost,) = self.slab.ranks.sums((loss, self.slab.line_cuts(self.axis)))
        return lost * self.discrete.mesh.cell_volume

    def dissipation(self, values, outputs):
        """Return the dissipation of a state along this axis."""
        potential = np.empty(values.size)
        self.discrete.first_variation(outputs, potential)
        if self.discrete.pairs:
            potential += self._interaction(values)
        return self._loss(values, potential)


def discrete_residual(risk, old, new):
    """Return the discrete gradient of ``R(scale s) / scale^2`` between two outputs."""
    s0, s1 = risk.scale * old, risk.scale * new
    # the correction of a short step is of third order and below round-off
    if norm(s1 - s0) <= 1e-5 * (norm(s0) + norm(s1)):
        return risk.loss.gradient(0.5 * (s0 + s1)) / risk.scale
    return risk.loss.discrete_gradient(s0, s1) / risk.scale


def step_residual(risk, old, new):
    """Return the mean of the discrete gradient and of the gradient at the end."""
    return 0.5 * (discrete_residual(risk, old, new) + risk.residual(new))


def residual_slope(risk, old, new, direction):
    """Return the derivative of `step_residual` in the new output along `direction`."""
    length = norm(direction)
    if length == 0:
        return np.zeros_like(direction)
    shift = 1e-4 * max(norm(new - old), 1e-3 * (norm(new) + norm(old)), 1e-150) / length
    ahead = step_residual(risk, old, new + shift * direction)
    back = step_residual(risk, old, new - shift * direction)
    return (ahead - back) / (2 * shift)


def norm(vector):
    """Return the Euclidean norm, summed in one fixed order."""
    return math.sqrt(np.add.reduce(vector * vector))


def gmres(product, right, tolerance, limit):
    """Return `x` with ``|right - product(x)| <= tolerance |right|``, sums in one fixed order."""
    size = norm(right)
    if size == 0:
        return np.zeros_like(right)
    limit = min(limit, right.size)
    basis, vector = np.empty((min(limit, 8), right.size)), right / size
    # the Hessenberg matrix turned upper triangular by one rotation a column
    triangle, rotations = np.zeros((limit, limit)), []
    target = [size]
    for k in range(limit):
        if k == len(basis):
            basis = np.concatenate([basis, np.empty_like(basis)])
        basis[k] = vector
        vector = product(vector)
        known = basis[: k + 1]
        column = np.zeros(k + 1)
        for _ in range(2):
            shares = np.sum(known * vector, axis=1)
            vector = vector - np.sum(shares[:, None] * known, axis=0)
            column += shares
        below, whole = norm(vector), norm(column)
        if not np.isfinite(below + whole):
            # the linearised solve overflowed: no direction, so that the step is halved
            return np.zeros_like(right)
        for i, (cosine, sine) in enumerate(rotations):
            upper, lower = column[i], column[i + 1]
            column[i : i + 2] = cosine * upper + sine * lower, cosine * lower - sine * upper
        length = math.hypot(column[k], below)
        if length == 0.0:
            # a product of nothing: what is known already is the best
            target.pop()
            break
        rotations.append((column[k] / length, below / length))
        column[k] = length
        triangle[: k + 1, k] = column
        cosine, sine = rotations[-1]
        target[k:] = cosine * target[k], -sine * target[k]
        if abs(target[k + 1]) <= tolerance * size or below <= 1e-14 * whole:
            break
        vector = vector / below
    known = len(rotations)
    weights = np.linalg.solve(triangle[:known, :known], target[:known])
    return np.sum(weights[:, None] * basis[:known], axis=0)
