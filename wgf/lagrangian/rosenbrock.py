"""Linearly implicit steps of order 3 for stiff particles, exact at the kinks of an l1 penalty.

The Jacobian of all velocities is block diagonal but for the model outputs. With ``M`` the mobility,
``H_i`` the Hessian of the first variation at a particle, ``G_i`` the derivatives of its features
and ``D`` the curvature of the loss it is

    ∂v_i/∂theta_j = -M (H_i δ_ij + G_i D G_j^T weight_j),

so a step costs one small inverse per particle and one factorisation of the size of the output
(Woodbury's formula). Where a kink, a wall or the flow itself holds a coordinate, its mobility is 0
for the length of a step.
"""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from wgf import checks
from wgf.flows import GradientFlow
from wgf.lagrangian.empirical import EmpiricalFunctional, ParticleStepper, share_of
from wgf.lagrangian.kernels import PARTICLES_PER_BLOCK, blocks_of
from wgf.measures.particles import Particles

GAMMA = 0.5
# a growing mode of rate k is resolved if 1 - gamma h k is not below this: the method then has
# exp(h k) within 2 percent
MARGIN = 0.5
GROWTH, SHRINK = 5.0, 0.1
# scale of a coordinate: shares of the spread of the cloud and of its own distance from the centre
FLOOR, RELATIVE = 0.1, 0.1
# spread of a uniform distribution over a period
UNIFORM = 12**-0.5
# a product of step and rate beyond which the sum with the identity loses the identity
LARGEST_PRODUCT = 1e11
TINY_PIVOT = 1e-13
MOST_REJECTED = 200
# e-folds in which a mode of the size of round-off would have shown
PATIENCE = 45.0
# most numbers of a Jacobian, 1 GiB, and most rows of a dense factorisation
MOST_ENTRIES, MOST_ROWS = 1 << 27, 1 << 12
# a matrix product is worth its overhead for blocks of more rows
FEW_ROWS = 8
# steps that an implicit run takes, for the choice between methods
TYPICAL_STEPS = 100
EPS = np.finfo(float).eps


def rodas3(velocity, first, solve, points, root):
    """Return ``(points, error)`` after one step of RODAS3, of order 3 with an estimate of order 2.

    L-stable and stiffly accurate. Vectors are in units of `root`: ``velocity(points)`` and `first`,
    the one at the start, are divided by it, and ``solve(b)`` solves ``(1/(gamma h) - J) K = b``;
    ``solve.step`` is ``h``. Source: Sandu, Verwer, Blom, Spee, Carmichael & Potra 1997.
    """
    h = solve.step
    k1 = solve(first)
    k2 = solve(first + 4 / h * k1)
    k3 = solve(velocity(points + root * (2 * k1)) + (k1 - k2) / h)
    shift = 2 * k1 + k3
    k4 = solve(velocity(points + root * shift) + (k1 - k2 - 8 / 3 * k3) / h)
    return points + root * (shift + k4), root * k4


class Linearised:
    """Solves ``(1/(gamma h) + M (H + G D G^T weights)) K = b`` for any step ``h``.

    Unknowns are in units of the square root of the mobility, in which ``M H`` is symmetric and
    its eigenvalues are rates, whatever the units of the axes.

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
        if coupling.shape[2] == 0:
            coupling = np.zeros((*coupling.shape[:2], 1))
        m, d, n = coupling.shape
        root = np.ascontiguousarray(root.T)
        blocks = np.ascontiguousarray(hessians.transpose(1, 2, 0)) * root * root[:, None]
        self.blocks = 0.5 * (blocks + blocks.swapaxes(0, 1))
        coupling = np.ascontiguousarray(coupling.swapaxes(0, 1)) * root[:, :, None]
        if len(share.cuts) * d < n:
            # the product with its transpose has a lower rank than there are outputs
            whole = share.whole(coupling.swapaxes(0, 1).reshape(m, d * n)).reshape(-1, n)
            triangle = np.linalg.qr(whole.T, mode="r").T
            own = triangle[share.own.start * d : share.own.stop * d]
            coupling = np.ascontiguousarray(own.reshape(m, d, -1).swapaxes(0, 1))
        self.coupling = coupling
        self.step = None

    def rate(self):
        """Return a bound on the largest rate of the linearised flow."""
        own = np.sqrt(np.max(np.sum(self.blocks**2, axis=(0, 1))))
        joint = self.share.sum(self.weights * np.sum(self.coupling**2, axis=(0, 2)))
        return self.share.largest(own) + joint

    def bend(self, direction):
        """Return the second derivative of ``F`` along a direction of shape ``(m, d)``."""
        along = np.ascontiguousarray(direction.T)[:, :, None]
        own = np.sum(along * applied(self.blocks, along), axis=(0, 2))
        joint = self._total(self.coupling, along * self.weights[:, None])
        return self.share.sum(self.weights * own) + float(joint @ joint)

    def factor(self, step, tolerated=0):
        """Prepare to solve for a step and return whether it resolves all growing modes.

        So many may be `tolerated`; `unresolved` says how many there are, None if no step of that
        length can be solved for.
        """
        self.unresolved = None
        scaled = GAMMA * step * self.blocks
        diagonal = np.arange(len(scaled))
        scaled[diagonal, diagonal] += 1.0 - MARGIN
        inverse, pivots = swept(scaled)
        if self._broken(pivots):
            return False
        growing = int(self.share.sum(np.sum(pivots < 0, axis=0).astype(float)))
        unresolved = 0
        if growing:
            # by Haynsworth's formula: the coupling turns round some growing modes of the blocks
            turned = np.linalg.eigvalsh(self._inner(inverse, step)[1])
            unresolved = growing - int(np.sum(turned < 0))
        scaled[diagonal, diagonal] += MARGIN
        self.inverse, pivots = swept(scaled)
        if self._broken(pivots):
            return False
        self.step, self.definite = step, not growing
        self.solved, inner = self._inner(self.inverse, step)
        try:
            self.inner = cho_factor(inner) if self.definite else np.linalg.inv(inner)
        except LinAlgError:
            return False
        self.unresolved = unresolved
        return unresolved <= tolerated

    def _broken(self, pivots):
        return self.share.largest(float(not np.isfinite(pivots).all())) > 0

    def _inner(self, inverse, step):
        """Return ``inverse G`` and ``1 + gamma h G^T weights inverse G``."""
        solved = applied(inverse, self.coupling)
        n = self.coupling.shape[2]
        total = self._total(self.coupling, solved * self.weights[:, None]).reshape(n, n)
        return solved, np.eye(n) + GAMMA * step * 0.5 * (total + total.T)

    def _total(self, left, right):
        """Return ``sum_i left_i^T right_i`` over all particles, block after block, flat."""
        size, (_, m, n), k = PARTICLES_PER_BLOCK, left.shape, right.shape[2]
        full = m // size
        result = np.zeros((blocks_of(m), n, k))
        for x, y in zip(left, right):
            if full:
                rows = x[: full * size].reshape(full, size, n).swapaxes(1, 2)
                result[:full] += rows @ y[: full * size].reshape(full, size, k)
            if m > full * size:
                result[full] += x[full * size :].T @ y[full * size :]
        return self.share.ranks.column_sums(result.reshape(-1, n * k))

    def __call__(self, b):
        """Return ``K`` of the shape ``(m, d)``."""
        found = applied(self.inverse, np.ascontiguousarray(b.T)[:, :, None])
        output = self._total(self.coupling, found * self.weights[:, None])
        if self.definite:
            output = cho_solve(self.inner, output, check_finite=False)
        else:
            output = self.inner @ output
        scale = GAMMA * self.step
        return scale * (found[:, :, 0] - scale * (self.solved @ output)).T


def swept(matrices):
    """Return inverses and pivots of symmetric matrices, shapes ``(d, d, m)`` and ``(d, m)``.

    By the sweep operator: the pivots are those of ``L D L^T``, so their signs are the inertia. They
    are NaN where a matrix has no such factors, or loses all digits in finding them.
    """
    a = matrices.copy()
    pivots = np.empty(a.shape[1:])
    for k in range(len(a)):
        pivot = a[k, k].copy()
        tiny = TINY_PIVOT * (1.0 + np.abs(matrices[k, k]))
        pivots[k] = np.where(np.abs(pivot) > tiny, pivot, np.nan)
        row, column = a[k] / pivots[k], a[:, k].copy()
        a -= column[:, None] * row
        a[k], a[:, k] = row, row
        a[k, k] = -1.0 / pivots[k]
    return -a, pivots


def applied(matrices, right):
    """Return ``matrices_i right_i`` for shapes ``(d, d, m)`` and ``(d, m, n)``."""
    if len(right) > FEW_ROWS:
        product = matrices.transpose(2, 0, 1) @ right.swapaxes(0, 1)
        return np.ascontiguousarray(product.swapaxes(0, 1))
    result = matrices[:, 0, :, None] * right[0]
    for j in range(1, len(right)):
        result += matrices[:, j, :, None] * right[j]
    return result


class Held:
    """Which coordinates are held, and the signs that ``|theta|`` has for the length of a step.

    A kink holds a coordinate at 0 whose force is no larger than the strength of the kink;
    otherwise it leaves in the direction of the force. A wall holds what is pushed against it.

    Attributes
    ----------
    signs : array of shape ``(m, d)``
        Derivative of ``|theta|`` along axes with a kink, 0 where a coordinate is held.
    free : array of bool, shape ``(m, d)``
    slope : array of shape ``(m, d)``
        Element of least norm of the gradient of the first variation.
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
            column = points[:, k]
            inward = np.where(column <= axis.lower, -self.slope[:, k], np.inf)
            inward = np.where(column >= axis.upper, self.slope[:, k], inward)
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

    def missed(self, later, start, end, landed, solve, mobility):
        """Return ``(own, others, left, power)``: what a step with fixed signs and bounds got wrong.

        A coordinate that is held where it landed is right, but what it overshot in the share
        `left` of the step moved the `others` (the linearised response). One that goes on from its
        kink, or was held too long, did not move meanwhile: its `own` error. It is that at the end
        of the step and grows like the `power` of the time since the event.
        """
        over, way = end - landed, np.abs(end - start)
        crossed = over != 0
        late = later.free & ~self.free & (mobility > 0)
        pull = np.where(later.free, np.abs(later.slope), 0.0)
        left = np.divide(np.abs(over), way, out=np.zeros(way.shape), where=crossed)
        np.divide(pull, pull - self.drive, out=left, where=late)
        power = np.where(late, 2, 1)
        own = solve.step / power * mobility * pull * left * (crossed | late)
        others = np.zeros(own.shape)
        if solve.share.largest(float(crossed.any())) > 0:
            root = np.sqrt(mobility)
            extra = np.divide(over * left, root, out=np.zeros(own.shape), where=crossed)
            response = solve(extra / (GAMMA * solve.step)) - extra
            others = np.where(crossed, 0.0, np.abs(root * response))
        return own, others, left, power


def walls(domain):
    """Return pairs of the number of an axis with walls and the axis."""
    return [] if domain is None else [(k, a) for k, a in enumerate(domain.axes) if not a.periodic]


class Ruler:
    """Scales of the coordinates, taken from the cloud itself: the same numbers in any units.

    Along an axis it is the spread of a uniform distribution over the period, or the root mean
    square distance of the cloud from the mean of the start (from 0 where there is a kink), the
    largest so far.
    """

    def __init__(self, empirical, points):
        self.share, self.domain = empirical.share, empirical.domain
        self.root = np.sqrt(empirical.mobility)
        count, mass = len(self.share.cuts), self.share.sum(empirical.weights)
        even = np.full(len(points), 1.0 / count)
        self.weights = empirical.weights / mass if mass > 0 else even
        self.even = even
        self.centre = np.where(empirical.kink > 0, 0.0, self._means(self.weights, points))
        self.reach = self.around(points)

    def _means(self, weights, values):
        return np.array([self.share.sum(weights * column) for column in values.T])

    def around(self, points):
        """Return the scales that include those of a cloud, shape ``(d,)``."""
        found = np.sqrt(self._means(self.weights, (points - self.centre) ** 2))
        for k, axis in enumerate(self.domain.axes if self.domain is not None else ()):
            if axis.periodic:
                found[k] = axis.length * UNIFORM
        return np.maximum(found, getattr(self, "reach", 0.0))

    def scales(self, points):
        """Return the scale of every coordinate of a cloud, shape ``(m, d)``."""
        reach = self.around(points)
        # what is round-off of the motion along another axis is none
        moving = self.root > 0
        joint = np.max(reach[moving] / self.root[moving], initial=0.0)
        reach = np.maximum(reach, 1e-8 * self.root * joint)
        return FLOOR * reach + RELATIVE * np.abs(points - self.centre)

    def norm(self, error, scales):
        """Return the root mean square of the error in units of the scales, of the worst axis."""
        share = np.divide(error, scales, out=np.zeros(error.shape), where=error != 0)
        return float(np.sqrt(np.max(self._means(self.even, share**2))))


def differences(gradient, points, reach, domain):
    """Return derivatives of ``gradient: (m, d) -> (m, d)``, by differences inside the walls."""
    result = np.empty((*points.shape, points.shape[1]))
    step = 6e-6 * np.maximum(reach, np.abs(points))
    bounds = dict(walls(domain))
    for k in range(points.shape[1]):
        ahead, back = points.copy(), points.copy()
        ahead[:, k] += step[:, k]
        back[:, k] -= step[:, k]
        if k in bounds:
            np.minimum(ahead[:, k], bounds[k].upper, out=ahead[:, k])
            np.maximum(back[:, k], bounds[k].lower, out=back[:, k])
        width = (ahead[:, k] - back[:, k])[:, None]
        result[:, :, k] = (gradient(ahead) - gradient(back)) / width
    return result


def linearised(empirical, points, outputs, mobility, reach):
    """Return the `Linearised` flow at the points, whose coordinates have the scales `reach`."""
    functional = empirical.functional
    m, d = points.shape
    hessians, coupling = np.zeros((m, d, d)), np.empty((m, d, sum(map(len, outputs))))
    # blocks of particles are the same on any number of ranks
    for start in range(0, m, PARTICLES_PER_BLOCK):
        rows, low = slice(start, start + PARTICLES_PER_BLOCK), 0
        for risk, output in zip(functional.risks, outputs):
            columns = slice(low, low + len(output))
            low = columns.stop
            bend = np.sqrt(risk.loss.curvature(risk.scale * output))
            residual = risk.residual(output)
            slopes, hessian = risk.features.derivatives(points[rows], residual, reach)
            coupling[rows, :, columns] = slopes * bend
            hessians[rows] += hessian
    for term in functional.terms:
        if term.linear and term.smooth:
            slope = lambda near, term=term: term.slope(near, empirical.names)  # noqa: E731
            hessians += differences(slope, points, reach, empirical.domain)
    return Linearised(hessians, coupling, empirical.weights, np.sqrt(mobility), empirical.share)


def refusal(flow, start):
    """Return why `Rosenbrock` does not take a flow from a start, None if it does."""
    functional, size = flow.functional, 0
    flow.axis_names(start)
    for name, term in zip(functional.part_names, functional.terms):
        if term.composed:
            if term.features.kinked:
                return f"the gradient of {term.features!r} jumps, use wgf.RungeKutta()"
            if not hasattr(term.loss, "curvature"):
                return f"{term.loss!r} gives no curvature(s), define it or use wgf.RungeKutta()"
            size += term.features.size
        elif not term.linear:
            return (
                f"the term {name} couples particles other than by a model output, use "
                "wgf.RungeKutta() or wgf.ForwardBackward()"
            )
    (m, d), rows = start.points.shape, min(size, start.points.size)
    entries = m * d * size + blocks_of(m) * rows**2
    if entries > MOST_ENTRIES or rows > MOST_ROWS:
        return (
            f"{m} particles and {size} outputs make a Jacobian of {entries:.2g} numbers and "
            f"{rows} dense rows, use wgf.RungeKutta() or wgf.ForwardBackward()"
        )
    return None


def stiff(flow, start, until=np.inf):
    """Return whether explicit steps would cost more than implicit ones.

    Explicit steps are bounded by the largest rate of the linearised flow, at the start or at the
    lowest point of ``F`` along the velocity there: from small amplitudes the rates grow. The
    answer depends on the problem alone.

    Parameters
    ----------
    flow : GradientFlow
    start : Particles
    until : float
        Time of the flow; infinite for a stationary state.
    """
    if refusal(flow, start) is not None:
        return False
    empirical = EmpiricalFunctional(flow, start, share_of(flow, len(start.points)))
    points = empirical.confine(start.points[empirical.share.own])
    with np.errstate(all="ignore"):
        rate = fastest(empirical, points)
    (m, d), n = start.points.shape, sum(risk.features.size for risk in flow.functional.risks)
    rank = min(n, m * d)
    # in gradients: stages, second derivatives and, cheaper per number, the linear algebra
    cost = 10 + d + (rank + rank**2 / (m * d)) / 10
    return bool(rate * until > TYPICAL_STEPS * cost)


def fastest(empirical, points):
    """Return the largest rate at the points and at the lowest point along the velocity there."""
    outputs = empirical.outputs(points)
    gradient = empirical.smooth_gradient(points, outputs)
    held = Held(points, gradient, empirical.kink, empirical.domain)
    ruler = Ruler(empirical, points)
    reach = np.where(ruler.reach > 0, ruler.reach, 1.0)
    flow = linearised(empirical, points, outputs, empirical.mobility * held.free, reach)
    rate = flow.rate()
    downhill = -np.sqrt(empirical.mobility) * held.slope
    fall = empirical.share.sum(empirical.weights * np.sum(downhill**2, axis=1))
    bend = flow.bend(downhill)
    if not bend > 0 or not fall > 0:
        return rate
    lower = points + fall / bend * np.sqrt(empirical.mobility) * downhill
    lower = empirical.confine(held.landed(lower, empirical.domain))
    everywhere = np.broadcast_to(empirical.mobility, points.shape)
    later = linearised(empirical, lower, empirical.outputs(lower), everywhere, reach).rate()
    return max(rate, later) if np.isfinite(later) else rate


class Rosenbrock:
    """Linearly implicit steps of order 3 for ``theta_i' = -∇F'(mu)(theta_i)``: stiff particles.

    The step follows the accuracy and not the stability: when fast coordinates are at rest the steps
    are as long as the slow ones allow. Kinks of l1 penalties are exact: a coordinate stays at 0
    as long as the force is no larger than the strength. Steps that raise ``F`` are rejected.

    Parameters
    ----------
    tolerance : float
        Largest error of a step: root mean square over the particles, of the worst axis, relative to
        a tenth of the spread of the cloud along the axis (rms distance from the mean of the
        start, from 0 where there is a kink) plus a tenth of the particle's own distance.

    Notes
    -----
    Second derivatives come from the features, from differences of the gradient where they give
    none. With ``n`` outputs a step costs three gradients and ``m d^2 + m d n + m d n^2 + n^3``
    operations, linear in the number of particles. It refuses features whose gradient jumps,
    interactions and other terms whose Jacobian has no such form. Source of the method RODAS3:
    Sandu et al. 1997.
    """

    needs = "particles, and features with second derivatives"

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


class _Stepper(ParticleStepper):
    order = 3

    def __init__(self, method, flow, start):
        super().__init__(method, flow, start)
        self.share = self.empirical.share
        self.ruler = Ruler(self.empirical, self.points)
        # number of growing modes that need not be resolved, e-folds for which none showed, and the
        # shortest step that did not resolve them
        self.tolerated, self.waited, self.failed = 0, 0.0, np.inf
        rate = self._linearise()
        self.step = 1.0 / rate if rate > 0 else np.inf

    def _first_step(self):
        return 0.0

    def _enter(self, dt, previous, rejected):
        super()._enter(dt, previous, rejected)
        empirical = self.empirical
        self.held = Held(self.points, self.gradient, empirical.kink, empirical.domain)
        squares = self.held.slope**2 @ empirical.mobility
        self.dissipation = empirical.share.sum(empirical.weights * squares)
        mean = self.dissipation if previous is None else 0.5 * (previous + self.dissipation)
        self.row["dissipation"] = mean
        self.jacobian = None

    def _linearise(self):
        """Linearise the flow at the current points, once, and return its largest rate."""
        if self.jacobian is None:
            self.mobility = self.empirical.mobility * self.held.free
            reach = np.where(self.ruler.reach > 0, self.ruler.reach, 1.0)
            self.jacobian = linearised(
                self.empirical, self.points, self.outputs, self.mobility, reach
            )
            self.rate = self.jacobian.rate()
        return self.rate

    def advance(self, limit):
        """Make one step of at most `limit` and return its row of diagnostics.

        Raises
        ------
        NumericalError
            If second derivatives are not finite or no step is accepted.
        """
        with np.errstate(all="ignore"):
            rate = self._linearise()
            if not np.isfinite(rate):
                raise checks.NumericalError(
                    f"rosenbrock: the second derivatives at t={self.time:g} are not finite, check "
                    "features and potentials or use wgf.RungeKutta()"
                )
            dt, points, rejected = self._accepted(limit, LARGEST_PRODUCT / max(rate, 1e-300))
            previous = self.dissipation
            self.time += dt
            self.points = points
            self.ruler.reach = self.ruler.around(self.points)
            self._enter(dt, previous, rejected)
        return self.row

    def _accepted(self, limit, longest):
        """Return the accepted step, the points after it and the number of rejected ones."""
        cut = 0.0
        for rejected in range(MOST_REJECTED):
            dt = min(limit, self.step, longest)
            if self.time + dt == self.time:
                break
            if not self.jacobian.factor(dt, self.tolerated):
                unresolved = self.jacobian.unresolved
                if unresolved is None or self.waited < PATIENCE:
                    self.failed, self.step = dt, 0.5 * dt
                    continue
                self.tolerated, self.waited = unresolved, 0.0
            points, factor, event = self._attempt(dt)
            if points is None:
                self.step = factor * dt
                self.tolerated, self.waited = 0, 0.0
                # the step after the event may be as long as that before
                cut = dt if event else cut
                continue
            # a mode that grows unseen for so many e-folds is not there: its symmetry is exact
            unseen = factor >= GROWTH and dt <= self.failed
            self.waited = self.waited + dt / self.failed if unseen else 0.0
            # a step cut short by an output time says nothing about the next one
            if dt == self.step or factor < 1.0:
                self.step = max(cut, dt * min(factor, GROWTH if rejected == 0 or cut else 1.0))
            return dt, points, rejected
        raise checks.NumericalError(
            f"step: dt={dt:g} at t={self.time:g} after {rejected} rejections is too small, look at "
            "the diagnostics of the last steps"
        )

    def _attempt(self, dt):
        """Return ``(points, factor of the next step, whether an event cut it)``; None: rejected."""
        empirical, held, root = self.empirical, self.held, np.sqrt(self.mobility)
        bias = empirical.kink * held.signs

        def velocity(points):
            points = empirical.confine(points)
            return -root * (empirical.smooth_gradient(points, empirical.outputs(points)) + bias)

        end, error = rodas3(velocity, -root * held.slope, self.jacobian, self.points, root)
        landed = held.landed(end, empirical.domain)
        scales = self.ruler.scales(landed) * self.method.tolerance
        size = self.ruler.norm(error, scales)
        factor = 0.9 * max(size, 1e-10) ** (-1.0 / self.order)
        if not size <= 1.0:
            return None, max(SHRINK, factor) if size < np.inf else SHRINK, False
        confined = empirical.confine(landed)
        outputs = empirical.outputs(confined)
        value = float(sum(empirical.parts(confined, outputs).values()))
        if not value <= self.row["objective"] and not self._rounded(value):
            return None, 0.5, False
        gradient = empirical.smooth_gradient(confined, outputs)
        later = Held(confined, gradient, empirical.kink, empirical.domain)
        found = held.missed(later, self.points, end, landed, self.jacobian, empirical.mobility)
        if self.ruler.norm(np.abs(error) + found[0] + found[1], scales) <= 1.0:
            return confined, factor, False
        return None, self._until_event(np.abs(end - landed), found, scales), True

    def _until_event(self, over, found, scales):
        """Return the largest share of a step that misses little.

        A single event is met at its time; many are not met one by one.
        """
        own, others, left, power = found
        joint = self.ruler.norm(others, scales)
        weight = over * left
        total = max(self.share.sum(weight.sum(axis=1)), 1e-300)
        low, high = 0.0, 0.9
        for _ in range(20):
            middle = 0.5 * (low + high)
            grown = np.maximum(middle - 1.0 + left, 0.0) / np.maximum(left, 1e-300)
            joined = self.share.sum((weight * grown**2).sum(axis=1)) / total
            fits = self.ruler.norm(own * grown**power, scales) + joint * joined <= 0.5
            low, high = (middle, high) if fits else (low, middle)
        return max(low, 1e-3)

    def _rounded(self, value):
        """Return whether a rise of the objective to `value` is round-off."""
        empirical, noise = self.empirical, 0.0
        for risk, output in zip(empirical.functional.risks, self.outputs):
            noise += abs(risk.value_of(output))
            noise += float(np.abs(risk.residual(output)) @ np.abs(output))
            noise += EPS * float(risk.loss.curvature(risk.scale * output) @ output**2)
        for term in empirical.functional.terms:
            if term.linear:
                values = np.abs(term.potential(self.points, empirical.names))
                noise += self.share.sum(empirical.weights * values)
        return value - self.row["objective"] <= 16 * EPS * noise

    def restart(self):
        """Return everything but the particles that a bit-identical continuation needs."""
        kept = {name: getattr(self, name) for name in ("tolerated", "waited", "failed")}
        scales = {"centre": self.ruler.centre, "reach": self.ruler.reach}
        return {**super().restart(), **kept, **scales}

    def restore(self, saved):
        """Continue from what `restart` returned, the particles being the start."""
        super().restore(saved)
        self.tolerated = int(saved["tolerated"])
        self.waited, self.failed = float(saved["waited"]), float(saved["failed"])
        self.ruler.centre = np.array(saved["centre"])
        self.ruler.reach = np.array(saved["reach"])
        self.jacobian = None
