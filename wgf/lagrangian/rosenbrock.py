"""Linearly implicit steps of order 3 for stiff particles, exact at the kinks of an l1 penalty.

The Jacobian of all velocities is block diagonal but for the model outputs: with ``H_i`` the
Hessian of the first variation at a particle, ``G_i`` the derivatives of its features and ``D`` the
curvature of the loss

    dv_i/dtheta_j = -M (H_i δ_ij + G_i D G_j^T weight_j),

so that a step costs one small inverse a particle and one factorisation of the size of the output
(Woodbury). At a kink, at a wall and on a frozen axis a coordinate is held: its mobility is 0 for
the length of a step.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from wgf import checks
from wgf.flows import GradientFlow
from wgf.lagrangian.empirical import ParticleStepper, share_of
from wgf.lagrangian.kernels import PARTICLES_PER_BLOCK, blocks_of
from wgf.measures.particles import Particles

# RODAS3 (Sandu et al. 1997): order 3 with an estimate of order 2, L-stable and stiffly accurate
GAMMA = 0.5
# a growing mode is resolved: its rate times the step is at most MARGIN / GAMMA
MARGIN = 0.5
GROWTH = 5.0
SHRINK = 0.1
# most entries of an array of derivatives, 1 GiB
MOST_ENTRIES = 1 << 27
# most rows of a dense factorisation
MOST_ROWS = 4096
# spread of a uniform distribution over a period
UNIFORM = 12**-0.5
SMALLEST_STEP = 1e-14
# scale of a coordinate: shares of the spread of the cloud and of its own distance from the centre
FLOOR, RELATIVE = 0.05, 0.05
# beyond this product of step and rate a sum with the identity loses the identity
LARGEST_PRODUCT = 1e11
TINY_PIVOT = 1e-13
EPS = np.finfo(float).eps


def rodas3(velocity, first, solve, points, root):
    """Return ``(points, error)`` after one step; vectors are in units of the square root `root`.

    ``velocity(points)`` is divided by `root`, `first` is that at the start, and ``solve(b)``
    solves ``(1 / (gamma h) - J) K = b`` with ``velocity = points' / root``; `solve.step` is ``h``.
    """
    h = solve.step
    k1 = solve(first)
    k2 = solve(first + 4 / h * k1)
    k3 = solve(velocity(points + root * (2 * k1)) + (k1 - k2) / h)
    shift = 2 * k1 + k3
    k4 = solve(velocity(points + root * shift) + (k1 - k2 - 8 / 3 * k3) / h)
    return points + root * (shift + k4), root * k4


class Linearised:
    """Factors ``1 + gamma h M (H + G D G^T weights)`` for any step ``h``.

    Parameters
    ----------
    hessians : array of shape ``(m, d, d)``
    coupling : array of shape ``(m, d, n)``
        ``G`` times the square root of ``D``.
    weights : array of shape ``(m,)``
    root : array of shape ``(m, d)``
        Square roots of the mobilities, 0 for coordinates that are held.
    share : Share
    """

    def __init__(self, hessians, coupling, weights, root, share):
        self.share, self.weights = share, weights
        root = np.ascontiguousarray(root.T)
        self.blocks = np.ascontiguousarray(hessians.transpose(1, 2, 0)) * root * root[:, None]
        self.blocks = 0.5 * (self.blocks + self.blocks.swapaxes(0, 1))
        m, d, n = coupling.shape
        coupling = np.ascontiguousarray(coupling.swapaxes(0, 1)) * root[:, :, None]
        if compressed(len(share.cuts), d, n):
            # a rank of m d at most: the same product from a square triangle
            whole = share.whole(np.swapaxes(coupling, 0, 1).reshape(m, d * n))
            triangle = np.linalg.qr(whole.reshape(-1, n).T, mode="r").T
            own = slice(share.own.start * d, share.own.stop * d)
            coupling = triangle[own].reshape(m, d, -1).swapaxes(0, 1)
        self.coupling = np.ascontiguousarray(coupling)
        self.step = None

    def rate(self):
        """Return a bound on the largest rate of the linearised flow."""
        own = np.sqrt(np.sum(self.blocks**2, axis=(0, 1)))
        joint = self.share.sum(self.weights * np.sum(self.coupling**2, axis=(0, 2)))
        return self.share.largest(own) + joint

    def factor(self, step):
        """Prepare ``self(b)`` and return whether all growing modes are resolved."""
        scaled = GAMMA * step * self.blocks
        diagonal = np.arange(len(scaled))
        scaled[diagonal, diagonal] += 1.0 - MARGIN
        inverse, pivots = swept(scaled)
        if self._broken(pivots):
            return False
        growing = self.share.sum(np.sum(pivots < 0, axis=0).astype(float))
        if growing:
            # by Haynsworth's formula the coupling must turn round every growing mode of a block
            turned = np.linalg.eigvalsh(self._inner(inverse, step)[1])
            if np.sum(turned < 0) != growing:
                return False
        scaled[diagonal, diagonal] += MARGIN
        self.inverse, pivots = swept(scaled)
        if self._broken(pivots):
            return False
        self.solved, inner = self._inner(self.inverse, step)
        self.step, self.definite = step, not growing
        self.inner = np.linalg.inv(inner) if growing else cho_factor(inner)
        return True

    def _broken(self, pivots):
        return self.share.largest(float(not np.isfinite(pivots).all())) > 0

    def _inner(self, inverse, step):
        """Return ``inverse G`` and ``1 + gamma h G^T weights inverse G``."""
        solved = applied(inverse, self.coupling)
        n = self.coupling.shape[2]
        total = self._total(self.coupling, solved * self.weights[:, None]).reshape(n, n)
        return solved, np.eye(n) + GAMMA * step * 0.5 * (total + total.T)

    def _total(self, left, right):
        """Return ``sum_i left_i^T right_i`` over all particles, block after block."""
        size, parts = PARTICLES_PER_BLOCK, blocks_of(left.shape[1])
        n, k = left.shape[2], right.shape[2]
        full = left.shape[1] // size
        result = np.zeros((parts, n, k))
        for x, y in zip(left, right):
            if full:
                a, b = x[: full * size].reshape(full, size, n), y[: full * size]
                result[:full] += a.swapaxes(1, 2) @ b.reshape(full, size, k)
            if parts > full:
                result[full] += x[full * size :].T @ y[full * size :]
        return self.share.ranks.column_sums(result.reshape(parts, n * k))

    def __call__(self, b):
        """Solve ``(1 / (gamma h) - J) K = b``, both of shape ``(m, d)``."""
        right = np.ascontiguousarray(b.T)[:, :, None]
        found = applied(self.inverse, right)
        output = self._total(self.coupling, found * self.weights[:, None])
        output = cho_solve(self.inner, output) if self.definite else self.inner @ output
        found = found[:, :, 0] - GAMMA * self.step * (self.solved @ output)
        return GAMMA * self.step * found.T


def compressed(particles, d, outputs):
    """Return whether the coupling is of a smaller rank than its number of outputs."""
    return particles * d < outputs


def swept(matrices):
    """Return inverses and pivots of symmetric matrices, shapes ``(d, d, m)`` and ``(d, m)``.

    By the sweep operator: the pivots are those of ``L D L^T``, and their signs are the inertia. A
    matrix that needs an exchange of rows has pivots that are not finite.
    """
    a = matrices.copy()
    d = len(a)
    pivots = np.empty(a.shape[1:])
    size = np.abs(a[np.arange(d), np.arange(d)]) + 1.0
    for k in range(d):
        pivot = a[k, k].copy()
        pivots[k] = np.where(np.abs(pivot) > TINY_PIVOT * size[k], pivot, np.nan)
        row = a[k] / pivots[k]
        column = a[:, k].copy()
        a -= column[:, None] * row
        a[k], a[:, k] = row, row
        a[k, k] = -1.0 / pivots[k]
    return -a, pivots


def applied(inverse, right):
    """Return ``inverse_i right_i`` for shapes ``(d, d, m)`` and ``(d, m, n)``."""
    if len(right) > 8:
        product = inverse.transpose(2, 0, 1) @ right.swapaxes(0, 1)
        return np.ascontiguousarray(product.swapaxes(0, 1))
    result = inverse[:, 0, :, None] * right[0]
    for j in range(1, len(right)):
        result += inverse[:, j, :, None] * right[j]
    return result


class Held:
    """Which coordinates are held, and the signs that ``|theta|`` has for the length of a step.

    At a kink 0 holds a coordinate whose force is no larger than the strength of the kink; otherwise
    it leaves with the sign of the force. A wall holds what is pushed against it.

    Attributes
    ----------
    signs : array of shape ``(m, d)``
        Derivative of ``|theta|`` along axes with a kink, 0 where 0 holds.
    free : array of bool, shape ``(m, d)``
    slope : array of shape ``(m, d)``
        Element of least norm of the first variation's gradient.
    drive : array of shape ``(m, d)``
        How much the force on a held coordinate exceeds what holds it: not above 0.
    """

    def __init__(self, points, gradient, kink, domain):
        at = (points == 0) & (kink > 0)
        leaving = -np.sign(gradient) * (np.abs(gradient) > kink)
        self.signs = np.where(at, leaving, np.sign(points)) * (kink > 0)
        self.free = ~(at & (self.signs == 0))
        self.slope = np.where(self.free, gradient + kink * self.signs, 0.0)
        self.drive = np.where(self.free, 0.0, np.abs(gradient) - kink)
        for k, axis in walls(domain):
            inward = np.where(points[:, k] <= axis.lower, -self.slope[:, k], np.inf)
            inward = np.where(points[:, k] >= axis.upper, self.slope[:, k], inward)
            stopped = inward < 0
            self.free[stopped, k] = False
            self.drive[stopped, k] = inward[stopped]
            self.slope[stopped, k] = 0.0

    def landed(self, points, domain):
        """Return `points` with those that crossed a kink or a wall put on it."""
        result = np.where(self.free & (self.signs * points < 0), 0.0, points)
        for k, axis in walls(domain):
            np.clip(result[:, k], axis.lower, axis.upper, out=result[:, k])
        return result

    def missed(self, later, start, end, landed, mobility, step):
        """Return ``(size, time, power)`` of what the fixed signs and bounds of a step got wrong.

        What a coordinate overshot, or did not move since it was held too long, is `size` at the
        end of the step and grows from 0 at the share `time` of it like ``time^power``.
        """
        size = np.abs(end - landed)
        overshot = size > 0
        way = np.where(overshot, np.abs(end - start), 1.0)
        time = np.where(overshot, 1.0 - size / way, 1.0)
        late = later.free & ~self.free & (mobility > 0)
        if late.any():
            pull = np.abs(later.slope[late])
            time[late] = -self.drive[late] / (pull - self.drive[late])
            shares = np.broadcast_to(mobility, size.shape)[late]
            size[late] += 0.5 * step * shares * pull * (1.0 - time[late])
        return size, time, np.where(late, 2, 1)


def walls(domain):
    """Return pairs of the number of an axis with walls and the axis."""
    return [] if domain is None else [(k, a) for k, a in enumerate(domain.axes) if not a.periodic]


def hessian_of(gradient, points, reach, domain):
    """Return derivatives of ``gradient: (m, d) -> (m, d)``, by differences inside the walls."""
    m, d = points.shape
    result = np.empty((m, d, d))
    step = 6e-6 * np.maximum(reach, np.abs(points))
    for k in range(d):
        ahead, back = points.copy(), points.copy()
        ahead[:, k] += step[:, k]
        back[:, k] -= step[:, k]
        for j, axis in walls(domain):
            if j == k:
                np.minimum(ahead[:, k], axis.upper, out=ahead[:, k])
                np.maximum(back[:, k], axis.lower, out=back[:, k])
        width = (ahead[:, k] - back[:, k])[:, None]
        result[:, :, k] = (gradient(ahead) - gradient(back)) / width
    return result


def linearised(empirical, points, outputs, mobility, reach):
    """Return the `Linearised` flow at the points, whose coordinates have the scales `reach`."""
    functional, share = empirical.functional, empirical.share
    m, d = points.shape
    sizes = [len(output) for output in outputs]
    hessians, coupling = np.zeros((m, d, d)), np.empty((m, d, sum(sizes)))
    # blocks of all ranks are the same
    for start in range(0, m, PARTICLES_PER_BLOCK):
        rows = slice(start, start + PARTICLES_PER_BLOCK)
        low = 0
        for risk, output in zip(functional.risks, outputs):
            own = slice(low, low + len(output))
            low = own.stop
            residual = risk.residual(output)
            bend = np.sqrt(risk.loss.curvature(risk.scale * output))
            hessians[rows] += risk.features.potential_hessian(points[rows], residual, reach)
            coupling[rows, :, own] = risk.features.values_gradient(points[rows]) * bend
    for term in functional.terms:
        if term.linear and term.smooth:
            slope = lambda near, term=term: term.slope(near, empirical.names)  # noqa: E731
            hessians += hessian_of(slope, points, reach, empirical.domain)
    return Linearised(hessians, coupling, empirical.weights, np.sqrt(mobility), share)


def refusal(flow, start):
    """Return why a flow is not for this method, or None."""
    functional = flow.functional
    size = 0
    for name, term in zip(functional.part_names, functional.terms):
        if term.composed:
            if term.features.kinked:
                return f"the gradient of {term.features!r} jumps, use wgf.ForwardBackward()"
            if not hasattr(term.loss, "curvature"):
                return f"{term.loss!r} gives no curvature(s), define it or use wgf.RungeKutta()"
            term.check(flow.axis_names(start))
            size += term.features.size
        elif not term.linear:
            return (
                f"the term {name} has a Jacobian that is not block diagonal, use wgf.RungeKutta() "
                "or wgf.ForwardBackward()"
            )
    m, d = start.points.shape
    rows = min(size, m * d)
    entries = m * d * size + blocks_of(m) * rows**2
    if entries > MOST_ENTRIES or rows > MOST_ROWS:
        return (
            f"{m} particles and {size} outputs make a Jacobian of {entries:.2g} numbers, use "
            "wgf.ForwardBackward() or fewer samples"
        )
    return None


class Rosenbrock:
    """Linearly implicit steps of order 3, for stiff particles, with or without an l1 penalty.

    Parameters
    ----------
    tolerance : float
        Largest error of a step: the root mean square over the particles, relative to a RULER of
        the spread of the cloud along the axis.
    """

    needs = "particles and features with two derivatives"

    def __init__(self, tolerance=1e-2):
        self.tolerance = checks.number("rosenbrock tolerance", tolerance, above=0)

    def prepare(self, flow, start):
        """Return a stepper for `flow` from the particles `start`."""
        checks.instance("rosenbrock flow", flow, GradientFlow)
        checks.instance("rosenbrock start", start, Particles)
        trouble = refusal(flow, start)
        if trouble:
            raise checks.InputError(f"rosenbrock: {trouble}")
        return _Stepper(self, flow, start)

    def __repr__(self):
        return f"Rosenbrock(tolerance={self.tolerance:g})"


class Ruler:
    """Scales of the coordinates, from the cloud itself: the same numbers in any units.

    Along an axis it is the period, or the root mean square distance from the mean of the start
    (from 0 where there is a kink), the largest so far.
    """

    def __init__(self, empirical, points, kink):
        self.share, self.domain = empirical.share, empirical.domain
        self.root = np.sqrt(empirical.mobility)
        mass = self.share.sum(empirical.weights)
        self.weights = empirical.weights / mass if mass > 0 else np.full(
            len(points), 1.0 / len(self.share.cuts)
        )
        self.centre = np.where(kink > 0, 0.0, self._mean(points))
        self.reach = self.around(points)

    def _mean(self, values):
        return np.array([self.share.sum(self.weights * column) for column in values.T])

    def around(self, points):
        """Return the scales of points about the centre of the start."""
        found = np.sqrt(self._mean((points - self.centre) ** 2))
        for k, axis in enumerate(self.domain.axes if self.domain is not None else ()):
            if axis.periodic:
                found[k] = axis.length * UNIFORM
        return found

    def include(self, points):
        self.reach = np.maximum(self.reach, self.around(points))

    def scales(self, points):
        """Return the scale of every coordinate at `points`, shape ``(m, d)``."""
        reach = np.maximum(self.reach, self.around(points))
        # motion along one axis that is round-off of the motion along another
        moving = self.root > 0
        joint = np.max(reach[moving] / self.root[moving], initial=0.0)
        reach = np.maximum(reach, 1e-8 * self.root * joint)
        return FLOOR * reach + RELATIVE * np.abs(points - self.centre)

    def norm(self, error, scales):
        """Return the largest root mean square of an axis."""
        share = np.divide(error, scales, out=np.zeros(error.shape), where=error != 0)
        squares = [self.share.sum(column**2) for column in share.T]
        return float(np.sqrt(max(squares) / len(self.share.cuts)))


class _Stepper(ParticleStepper):
    order = 3

    def __init__(self, method, flow, start):
        super().__init__(method, flow, start)
        empirical = self.empirical
        self.ruler = Ruler(empirical, self.points, empirical.kink)
        self._settle(self.gradient)
        self.jacobian = None
        self.step = self._linearise().rate()
        self.step = 1.0 / self.step if self.step > 0 else np.inf

    def _first_step(self):
        return 0.0

    def _settle(self, gradient):
        empirical = self.empirical
        self.held = Held(self.points, gradient, empirical.kink, empirical.domain)

    def _linearise(self):
        if self.jacobian is None:
            empirical = self.empirical
            self.mobility = empirical.mobility * self.held.free
            reach = np.where(self.ruler.reach > 0, self.ruler.reach, 1.0)
            self.jacobian = linearised(
                empirical, self.points, self.outputs, self.mobility, reach
            )
            self.fastest = self.jacobian.rate()
        return self.jacobian

    def advance(self, limit):
        """Make one step of at most `limit` and return its row of diagnostics."""
        rejected, later = 0, 0.0
        jacobian = self._linearise()
        while True:
            dt = min(limit, self.step)
            if self.fastest > 0:
                dt = min(dt, LARGEST_PRODUCT / self.fastest)
            if not dt > SMALLEST_STEP * max(self.time, limit if limit < 1e3 else 0):
                raise checks.NumericalError(
                    f"step: dt={dt:g} at t={self.time:g} after {rejected} rejections is too "
                    "small, look at the diagnostics of the last steps"
                )
            if not jacobian.factor(dt):
                self.step = 0.5 * dt
                rejected += 1
                continue
            factor, landed = self._attempt(dt)
            if landed is not None:
                break
            rejected += 1
            if factor < 0:
                later, factor = dt, -factor
            self.step = factor * dt
        if dt == self.step or factor < 1:
            self.step = max(later, dt * min(factor, GROWTH))
        previous = self.dissipation
        self.time += dt
        self.points = self.empirical.confine(landed)
        self.ruler.include(self.points)
        self._enter(dt, previous, rejected)
        self._settle(self.gradient)
        self.jacobian = None
        return self.row

    def _attempt(self, dt):
        empirical, held, points = self.empirical, self.held, self.points
        domain = empirical.domain
        root = np.sqrt(self.mobility)
        bias = empirical.kink * held.signs

        def velocity(where):
            where = empirical.confine(where)
            slope = empirical.smooth_gradient(where, empirical.outputs(where))
            return -root * (slope + bias)

        with np.errstate(all="ignore"):
            end, error = rodas3(velocity, -root * held.slope, self.jacobian, points, root)
        landed = held.landed(end, domain)
        scales = self.ruler.scales(landed) * self.method.tolerance
        smooth = self.ruler.norm(np.abs(error), scales)
        factor = 0.9 * max(smooth, 1e-10) ** (-1 / 3)
        if not smooth <= 1.0:
            return (max(SHRINK, factor) if smooth < np.inf else SHRINK), None
        outputs = empirical.outputs(landed)
        value = float(sum(empirical.parts(landed, outputs).values()))
        if not value <= self.row["objective"] + self._allowance():
            return 0.5, None
        gradient = empirical.smooth_gradient(landed, outputs)
        later = Held(landed, gradient, empirical.kink, domain)
        size, time, power = held.missed(later, points, end, landed, empirical.mobility, dt)
        if self.ruler.norm(np.abs(error) + size, scales) <= 1.0:
            return factor, landed
        # the longest step that misses little: one event is met at its time, many are not
        low, high = 0.0, 0.9
        for _ in range(30):
            middle = 0.5 * (low + high)
            grown = np.maximum(middle - time, 0.0) / np.maximum(1 - time, 1e-300)
            fits = self.ruler.norm(size * grown**power, scales) <= 0.5
            low, high = (middle, high) if fits else (low, middle)
        return -max(low, 1e-3), None

    def _allowance(self):
        parts = [value for name, value in self.row.items() if name in self.empirical.functional.part_names]
        noise = sum(abs(value) for value in parts)
        for risk, output in zip(self.empirical.functional.risks, self.outputs):
            noise += float(np.abs(risk.residual(output)) @ np.abs(output))
        return 16 * EPS * noise
