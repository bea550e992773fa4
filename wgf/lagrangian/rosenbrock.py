"""Linearly implicit steps of order 3 for stiff particles, exact at the kinks of an l1 penalty.

Where a kink, a wall or the flow itself holds a coordinate, its mobility is 0 for the length of a
step; `wgf.lagrangian.linearised` says what a step costs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from wgf import checks
from wgf.functional.forms import Composed, Form, Linear
from wgf.lagrangian.empirical import EmpiricalFunctional
from wgf.lagrangian.held import Held, Ruler
from wgf.lagrangian.kernels import blocks_of
from wgf.lagrangian.linearised import linearised
from wgf.lagrangian.particles import ParticleMethod, ParticleStepper
from wgf.measures.particles import Particles
from wgf.parallel.threads import one_library_thread
from wgf.stepping import Trial, require
from wgf.stepping.control import Control

GROWTH, SHRINK = 5.0, 0.1
# a product of step and rate beyond which the sum with the identity loses the identity
LARGEST_PRODUCT = 1e11
# e-folds in which a mode of the size of round-off would have shown
PATIENCE = 45.0
# most numbers of a Jacobian, 1 GiB, and most rows of a dense factorisation
MOST_ENTRIES, MOST_ROWS = 1 << 27, 1 << 12
# steps that an implicit run takes, for the choice between methods
TYPICAL_STEPS = 100
# most numbers of a Jacobian that is made for the choice alone, 256 MiB
MOST_LOOKED_AT = 1 << 25
# times in which the first velocity changes that a flow takes to come to rest
TO_REST = 1e3
EPS = np.finfo(float).eps


class Rosenbrock(ParticleMethod):
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
    Sandu, Verwer, Blom, Spee, Carmichael & Potra 1997.
    """

    title = "rosenbrock"
    forms = (Composed, Linear)
    remedies: ClassVar[dict[Any, str]] = {
        **ParticleMethod.remedies,
        Form: "couples particles other than by a model output, use wgf.RungeKutta() or "
        "wgf.ForwardBackward()",
    }

    def __init__(self, tolerance: float = 1e-2):
        self.tolerance = checks.number("rosenbrock tolerance", tolerance, above=0)

    def check(self, flow: Any, start: Particles) -> None:
        trouble = _trouble(flow, start, self.kinks(flow, start))
        if trouble:
            raise checks.InputError(f"rosenbrock: {trouble}")

    def stepper(self, flow: Any, start: Particles, world: Any) -> _Stepper:
        return _Stepper(flow, start, world, self.tolerance)

    def __repr__(self):
        return f"Rosenbrock(tolerance={self.tolerance:g})"


def _trouble(flow, start, kinks):
    """Return why `Rosenbrock` does not take a flow whose forms it takes, None if it does."""
    size = 0
    if kinks.term is not None:
        return f"the term {kinks.term.name} has a prox of its own, use wgf.ForwardBackward()"
    for risk in flow.functional.risks:
        if risk.features.kinked:
            return f"the gradient of {risk.features!r} jumps, use wgf.RungeKutta()"
        if getattr(risk.loss, "curvature", None) is None:
            return f"{risk.loss!r} gives no curvature(s), define it or use wgf.RungeKutta()"
        size += risk.features.size
    (m, d), rows = start.points.shape, min(size, start.points.size)
    entries = m * d * size + blocks_of(m) * rows**2
    if entries > MOST_ENTRIES or rows > MOST_ROWS:
        return (
            f"{m} particles and {size} outputs make a Jacobian of {entries:.2g} numbers and "
            f"{rows} dense rows, use wgf.RungeKutta() or wgf.ForwardBackward()"
        )
    return None


def stiff(flow: Any, start: Particles, until: float = np.inf) -> bool:
    """Return whether explicit steps would cost more than implicit ones.

    Explicit steps are bounded by the largest rate of the linearised flow, at the start or at the
    lowest point of ``F`` along the velocity there: from small amplitudes the rates grow. The
    answer depends on the problem alone and costs a few gradients.

    Parameters
    ----------
    flow : GradientFlow
    start : Particles
    until : float
        Time of the flow; infinite for a stationary state, to which the way is taken to be a
        thousand of the times in which the velocity at the start would fall by 1/e.
    """
    try:
        require(Rosenbrock(), flow, start)
    except checks.InputError:
        return False
    n = sum(risk.features.size for risk in flow.functional.risks)
    if start.points.size * n > MOST_LOOKED_AT:
        return False
    empirical = EmpiricalFunctional(flow, start)
    with one_library_thread(), np.errstate(all="ignore"):
        rate, slow = _rates(empirical, empirical.confine(start.points))
    if until == np.inf and slow > 0:
        until = TO_REST / slow
    m, d = start.points.shape
    rank = min(n, m * d)
    # in gradients: stages, second derivatives and, cheaper per number, the linear algebra
    cost = 10 + d + (rank + rank**2 / (m * d)) / 10
    return bool(rate * until > TYPICAL_STEPS * cost)


def _rates(empirical, points):
    """Return the largest rate at the points and downhill of them, and that of the velocity there.

    Downhill is the lowest point along the velocity; the rate of the velocity is that at which it
    changes.
    """
    outputs = empirical.outputs(points)
    gradient = empirical.smooth_gradient(points, outputs)
    held = Held(points, gradient, empirical.kinks.strength, empirical.domain)
    flow = linearised(empirical, points, outputs, empirical.mobility * held.free)
    rate = flow.rate()
    downhill = -np.sqrt(empirical.mobility) * held.slope
    fall = empirical.partition.sum(empirical.weights * np.sum(downhill**2, axis=1))
    bend = flow.bend(downhill)
    if not bend > 0 or not fall > 0:
        return rate, 0.0
    lower = points + fall / bend * np.sqrt(empirical.mobility) * downhill
    lower = empirical.confine(held.landed(lower, empirical.domain))
    everywhere = np.broadcast_to(empirical.mobility, points.shape)
    later = linearised(empirical, lower, empirical.outputs(lower), everywhere).rate()
    return (max(rate, later) if np.isfinite(later) else rate), bend / fall


def rodas3(velocity, first, solve, points, root):
    """Return ``(points, error)`` after one step of RODAS3, of order 3 with an estimate of order 2.

    L-stable and stiffly accurate. Vectors are in units of `root`: ``velocity(points)`` and `first`,
    the one at the start, are divided by it, and ``solve(b)`` solves ``(1/(gamma h) - J) K = b``;
    ``solve.step`` is ``h``.
    """
    h = solve.step
    k1 = solve(first)
    k2 = solve(first + 4 / h * k1)
    k3 = solve(velocity(points + root * (2 * k1)) + (k1 - k2) / h)
    shift = 2 * k1 + k3
    k4 = solve(velocity(points + root * shift) + (k1 - k2 - 8 / 3 * k3) / h)
    return points + root * (shift + k4), root * k4


@dataclass
class _Outcome:
    """How an attempt ended: the points if it is accepted, and what it says of the next step.

    Attributes
    ----------
    points : array or None
    factor : float
        Of the next step.
    event : bool
        Whether a kink or a wall was met within the step, which then is cut there.
    unresolved : bool
        Whether growing modes are too fast for the step, or it could not be solved for.
    """

    points: np.ndarray | None
    factor: float
    event: bool = False
    unresolved: bool = False


class _Control(Control):
    """Steps that follow the error, growing modes, and events at kinks and walls.

    Parameters
    ----------
    longest : callable
        Returns the longest step that the linearised flow allows.

    Attributes
    ----------
    tolerated : float
        Number of growing modes that need not be resolved.
    waited : float
        E-folds for which none of them showed.
    failed : float
        The shortest step that did not resolve them.
    """

    saved = ("step", "tolerated", "waited", "failed")

    def __init__(self, longest: Callable[[], float]):
        self.step, self.longest = np.inf, longest
        self.tolerated, self.waited, self.failed = 0.0, 0.0, np.inf
        self.cut = 0.0

    def propose(self, limit: float) -> float:
        longest = self.longest()
        return min(limit, self.step, longest)

    def judge(self, dt: float, trial: Trial, rejected: int) -> bool:
        found = trial.result
        if found.unresolved:
            self.failed, self.step = dt, 0.5 * dt
            return False
        if found.points is None:
            self.step = found.factor * dt
            self.tolerated, self.waited = 0.0, 0.0
            # the step after the event may be as long as that before
            self.cut = dt if found.event else self.cut
            return False
        # a mode that stays unseen for this many e-folds is absent: its symmetry is exact
        unseen = found.factor >= GROWTH and dt <= self.failed
        self.waited = self.waited + dt / self.failed if unseen else 0.0
        # a step cut short by an output time says nothing about the next one
        if dt == self.step or found.factor < 1.0:
            most = GROWTH if rejected == 0 or self.cut else 1.0
            self.step = max(self.cut, dt * min(found.factor, most))
        self.cut = 0.0
        return True


class _Stepper(ParticleStepper):
    saved: ClassVar[dict[str, str]] = {"centre": "centre", "reach": "reach"}

    def __init__(self, flow, start, world, tolerance):
        super().__init__(flow, start, world, _Control(self._longest))
        self.tolerance = tolerance
        self.ruler = Ruler(self.empirical, self.points)
        with np.errstate(all="ignore"):
            self.enter()
            self._longest()
        self.control.step = 1.0 / self.rate if self.rate > 0 else np.inf

    @property
    def centre(self):
        """Centre from which the ruler measures."""
        return self.ruler.centre

    @centre.setter
    def centre(self, values):
        self.ruler.centre = np.array(values)

    @property
    def reach(self):
        """Scales of the ruler."""
        return self.ruler.reach

    @reach.setter
    def reach(self, values):
        self.ruler.reach = np.array(values)

    def resumed(self) -> None:
        self.evaluate()

    def dissipated(self) -> float:
        empirical = self.empirical
        self.held = Held(self.points, self.gradient, empirical.kinks.strength, empirical.domain)
        self.jacobian = None
        return self.partition.sum(empirical.weights * (self.held.slope**2 @ empirical.mobility))

    def place(self, state: _Outcome) -> None:
        self.points = state.points
        self.ruler.reach = self.ruler.around(self.points)

    def _longest(self):
        """Linearise the flow at the current points, once, and return the longest step."""
        if self.jacobian is None:
            self.mobility = self.empirical.mobility * self.held.free
            with np.errstate(all="ignore"):
                flow = linearised(self.empirical, self.points, self.outputs, self.mobility)
                self.jacobian, self.rate = flow, flow.rate()
            if not np.isfinite(self.rate):
                raise checks.NumericalError(
                    f"rosenbrock: the second derivatives at t={self.time:g} are not finite, check "
                    "features and potentials or use wgf.RungeKutta()"
                )
        return LARGEST_PRODUCT / max(self.rate, 1e-300)

    def attempt(self, dt: float) -> Trial:
        control = self.control
        with np.errstate(all="ignore"):
            if not self.jacobian.factor(dt, control.tolerated):
                if self.jacobian.unresolved is None or control.waited < PATIENCE:
                    return Trial(_Outcome(None, 0.5, unresolved=True))
                control.tolerated, control.waited = float(self.jacobian.unresolved), 0.0
            return Trial(self._tried(dt))

    def _tried(self, dt):
        """Return how a step ended that can be solved for."""
        empirical, held, root = self.empirical, self.held, np.sqrt(self.mobility)
        bias = empirical.kinks.strength * held.signs

        def velocity(points):
            points = empirical.confine(points)
            return -root * (empirical.smooth_gradient(points, empirical.outputs(points)) + bias)

        end, error = rodas3(velocity, -root * held.slope, self.jacobian, self.points, root)
        landed = held.landed(end, empirical.domain)
        scales = self.ruler.scales(landed) * self.tolerance
        size = self.ruler.norm(error, scales)
        # the error estimate is of order 3
        factor = 0.9 * max(size, 1e-10) ** (-1.0 / 3)
        if not size <= 1.0:
            return _Outcome(None, max(SHRINK, factor) if size < np.inf else SHRINK)
        confined = empirical.confine(landed)
        outputs = empirical.outputs(confined)
        value = float(sum(empirical.parts(confined, outputs).values()))
        if not value <= self.row["objective"] and not self._rounded(value):
            return _Outcome(None, 0.5)
        gradient = empirical.smooth_gradient(confined, outputs)
        later = Held(confined, gradient, empirical.kinks.strength, empirical.domain)
        found = held.missed(later, self.points, end, landed, self.jacobian, empirical.mobility)
        if self.ruler.norm(np.abs(error) + found[0] + found[1], scales) <= 1.0:
            return _Outcome(confined, factor)
        return _Outcome(None, self._until_event(np.abs(end - landed), found, scales), True)

    def _until_event(self, over, found, scales):
        """Return the largest fraction of a step that misses little.

        A single event is met at its time; many are not met one by one.
        """
        own, others, left, power = found
        joint = self.ruler.norm(others, scales)
        weight = over * left
        total = max(self.partition.sum(weight.sum(axis=1)), 1e-300)
        low, high = 0.0, 0.9
        for _ in range(20):
            middle = 0.5 * (low + high)
            grown = np.maximum(middle - 1.0 + left, 0.0) / np.maximum(left, 1e-300)
            joined = self.partition.sum((weight * grown**2).sum(axis=1)) / total
            fits = self.ruler.norm(own * grown**power, scales) + joint * joined <= 0.5
            low, high = (middle, high) if fits else (low, middle)
        return max(low, 1e-3)

    def _rounded(self, value):
        """Return whether a rise of the objective to `value` is round-off."""
        empirical, noise = self.empirical, 0.0
        for risk, output in zip(empirical.risks, self.outputs):
            noise += abs(risk.value_of(output))
            noise += float(np.abs(risk.residual(output)) @ np.abs(output))
            noise += EPS * float(risk.loss.curvature(risk.scale * output) @ output**2)
        for _, term, form in empirical.terms:
            if isinstance(form, Linear):
                values = np.abs(term.potential(self.points, empirical.names))
                noise += self.partition.sum(empirical.weights * values)
        return value - self.row["objective"] <= 16 * EPS * noise
