"""How far a measure can be from the global minimum, by Fenchel duality.

For ``F(mu) = R(∫ a psi(x) dmu) + penalty ∫ |a| dmu`` every vector ``p`` with
``|<p, psi(x)>| <= penalty`` at all positions ``x`` bounds the minimum from below,
``min F >= -R*(p)``. The residual of a run, scaled until it is such a vector, is one; the supremum
over the positions is bounded and not only sampled, see `wgf.supremum`. For ReLU neurons and
``penalty/2 ∫ (a^2 + |w|^2) dmu`` the inequality ``(a^2 + |w|^2)/2 >= |a| |w|`` gives the same bound
with positions on the unit sphere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wgf import checks
from wgf.functional.functional import Functional
from wgf.measures.base import Measure
from wgf.stepping.stop import Condition
from wgf.theory.problem import is_relu, penalties
from wgf.theory.supremum import supremum

HAVE_ONE = (
    "one risk of filters or neurons with a squared or logistic loss and, beside it, an l1 penalty "
    "on the amplitude alone, or a ridge penalty on all coordinates of ReLU neurons"
)


class Certificate:
    """A bound on ``F(mu) - min F``, and the optimality conditions at ``mu``.

    Attributes
    ----------
    value : float
        ``F(mu)``.
    lower : float
        ``min F`` over all measures is not below this.
    gap : float
        ``value - lower >= F(mu) - min F``.
    relative : float
        ``gap / |value|``.
    slack : float
        A bound on the least ``F'(mu)`` at amplitude 1: ``penalty - sup |<R', psi>|``. A minimiser
        has 0; below 0 mass is missing somewhere.
    mean_variation : float
        ``∫ F'(mu) dmu``, which is 0 at a minimiser.
    where : array
        Position at which ``|<R', psi>|`` is largest.
    """

    rigorous = True

    def __init__(
        self,
        value: float,
        lower: float,
        slack: float,
        mean_variation: float,
        where: np.ndarray,
    ):
        self.value, self.lower = float(value), float(lower)
        self.gap = max(self.value - self.lower, 0.0)
        self.relative = self.gap / max(abs(self.value), 1e-300)
        self.slack, self.mean_variation, self.where = slack, mean_variation, where

    def __repr__(self):
        return (
            f"{type(self).__name__}(value={self.value:.9g}, lower={self.lower:.9g}, "
            f"gap={self.gap:.3g}, slack={self.slack:.3g}, mean_variation={self.mean_variation:.3g})"
        )

    def __str__(self):
        bound = "at most" if self.rigorous else "estimated"
        return f"F = {self.value:.7g}, {bound} {self.gap:.2g} ({self.relative:.2g} F) above min F"


class GapEstimate(Certificate):
    """Like `Certificate`, with a supremum that was only sampled: an estimate, not a bound."""

    rigorous = False


def certificate(
    run: Any, functional: Any = None, box: Any = None, tolerance: float = 1e-10
) -> Certificate:
    """Return a bound on ``F(mu) - min F`` over all measures.

    Parameters
    ----------
    run : Solution, stored run, Density or Particles
        Of a run, the final measure.
    functional : Functional or flow, optional
        Needed unless `run` is what `wgf.solve` returned.
    box : (lower, upper), optional
        Where the positions of smooth neurons lie, by default the domain of the measure; the
        minimum is that over measures there.
    tolerance : float
        Largest relative distance between the largest value seen and the bound of the supremum.

    Returns
    -------
    Certificate

    Raises
    ------
    InputError
        For a functional without a certificate, and for positions of more than three coordinates.
    """
    measure, functional = _problem(run, functional)
    risk, penalty = _parts(functional, measure)
    domain = measure.domain
    if box is None and domain is not None and not is_relu(risk.features):
        box = (domain.lower[1:], domain.upper[1:])
    output = risk.output(measure)
    top = supremum(risk.features, risk.residual(output), box, tolerance)
    return _bound(Certificate, functional, measure, risk, penalty, output, top.bound, top.where)


def certificates(solutions: dict[str, Any], tolerance: float = 1e-10) -> str:
    """Return the certificates of solutions by name as lines, for the report of a script."""
    found = {side: certificate(run, tolerance=tolerance) for side, run in solutions.items()}
    return "\n".join(f"{side:10} {proof}" for side, proof in found.items())


def gap_estimate(run: Any, functional: Any = None, starts: int = 64, seed: int = 0) -> GapEstimate:
    """Return an estimate of the same gap in any dimension: the supremum is searched, not bounded.

    Local ascent of ``|<R', psi(x)>|`` from the positions of the measure's heaviest points and from
    random ones (ReLU neurons: directions on the sphere). It may miss the supremum, and the number
    may then be too small.

    Parameters
    ----------
    run, functional
        As for `certificate`.
    starts : int
        Number of random positions, and of positions of the measure's heaviest points.
    seed : int

    Returns
    -------
    GapEstimate
    """
    measure, functional = _problem(run, functional)
    risk, penalty = _parts(functional, measure)
    output = risk.output(measure)
    residual = risk.residual(output)
    tops = [_ascend(risk, residual, x) for x in _places(risk, measure, starts, seed)]
    value, where = max(tops, key=lambda pair: pair[0])
    return _bound(GapEstimate, functional, measure, risk, penalty, output, value, where)


def certified(relative: float, every: int = 20, box: Any = None) -> Condition:
    """Return a condition for ``solve(..., stop=...)``: the certified gap is small enough.

    Parameters
    ----------
    relative : float
        Largest ``gap / |F|``.
    every : int
        Steps between two certificates, each of which costs about as much as a few steps; the state
        at every snapshot is looked at, too.
    box
        As for `certificate`.

    Raises
    ------
    InputError
        At the start of the run, for a functional without a certificate.
    """
    return _Certified(relative, every, box)


class _Certified(Condition):
    looks = True

    def __init__(self, relative, every, box):
        self.relative = checks.number("certified relative gap", relative, above=0)
        self.every = checks.whole("certified every", every, minimum=1)
        self.box = box

    def prepare(self, flow, start):
        _parts(flow.functional, _positions(start))

    def holds(self, state):
        if state.steps % self.every and not state.snapshot:
            return False
        found = certificate(state.measure, state.flow, self.box, tolerance=0.01 * self.relative)
        return found.relative <= self.relative

    def __repr__(self):
        return f"certified({self.relative:g})"


def _problem(run, functional):
    """Return the measure and the functional."""
    measure = getattr(run, "final", run)
    if not isinstance(measure, Measure):
        raise checks.InputTypeError(
            f"certificate: {type(run).__name__} is neither a run nor a measure, give what "
            "wgf.solve returned"
        )
    functional = functional or getattr(run, "functional", None)
    functional = getattr(functional, "functional", functional)
    if not isinstance(functional, Functional):
        raise checks.InputTypeError(
            "certificate functional: a stored run or a measure does not hold it, give the "
            "wgf.Functional or the flow"
        )
    return _positions(measure), functional


def _positions(measure):
    """Return the measure that the functional is of: with momentum that of the positions."""
    return measure.half(0) if measure.has_velocities else measure


def _parts(functional, measure):
    """Return the risk and the strength of the penalty, or refuse."""
    risks = functional.risks
    relu = bool(risks) and is_relu(risks[0].features)
    l1, ridge, others = penalties(functional, functional.axis_names(measure), ridge=relu)
    trouble = None
    if len(risks) != 1:
        trouble = f"{len(risks)} risks"
    elif not hasattr(risks[0].loss, "conjugate"):
        trouble = f"the loss {risks[0].loss!r}"
    elif not risks[0].features.amplitude:
        trouble = f"features without an amplitude ({risks[0].features!r})"
    elif others:
        trouble = f"the term {others[0]!r}"
    elif l1 and relu:
        trouble = "an l1 penalty on the amplitude of ReLU neurons, whose inner weights are free,"
    elif not l1 + ridge:
        trouble = "no penalty"
    if trouble:
        raise checks.InputError(f"certificate: {trouble} has none, give {HAVE_ONE}")
    return risks[0], l1 + ridge


def _bound(kind, functional, measure, risk, penalty, output, top, where):
    """Return the certificate with the best multiple of the residual as dual vector."""
    from scipy.optimize import minimize_scalar

    residual = risk.residual(output)

    def dual(factor):
        return -risk.loss.conjugate(risk.scale * factor * residual) / risk.scale**2

    longest = penalty / top if top > 0 else 1.0
    best = max(dual(factor) for factor in (0.0, min(longest, 1.0), longest))
    options = {"bounds": (0.0, longest), "method": "bounded", "options": {"xatol": 1e-14}}
    searched = -float(minimize_scalar(lambda factor: -dual(factor), **options).fun)
    if np.isfinite(searched):
        best = max(best, searched)
    value = functional.value(measure)
    # ∫ F' dmu = <R', s> + ∫ V dmu, V being of degree 1 or, for ReLU and ridge, 2
    penalties = value - risk.value_of(output)
    mean = float(residual @ output) + penalties
    return kind(value, best, penalty - top, mean, where)


def _places(risk, measure, starts, seed):
    """Yield positions to start from: those of the heaviest points, and random ones."""
    starts = checks.whole("gap estimate starts", starts, minimum=1)
    generator = np.random.default_rng(checks.whole("gap estimate seed", seed))
    points, weights = measure.points, measure.weights
    heavy = np.argsort(-np.abs(weights * points[:, 0]), kind="stable")[:starts]
    rest = points[:, 1:]
    spread = rest.std(axis=0) + 1e-12
    random = rest.mean(axis=0) + spread * generator.normal(size=(starts, rest.shape[1]))
    for x in np.concatenate([rest[heavy], random]):
        if not is_relu(risk.features):
            yield x
        elif x.any():
            yield x / np.linalg.norm(x)


def _ascend(risk, residual, x):
    """Return the largest ``|<residual, unit>|`` found uphill from `x`, and where."""
    from scipy.optimize import minimize

    features, sphere = risk.features, is_relu(risk.features)

    def downhill(x):
        length = np.linalg.norm(x) if sphere else 1.0
        value, slope = features.unit_pullback(x[None, :] / length, residual)
        value, slope = value[0], slope[0]
        if sphere:
            direction = x / length
            slope = (slope - direction * (slope @ direction)) / length
        return -abs(value), -np.sign(value) * slope

    found = minimize(downhill, x, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    where = found.x / np.linalg.norm(found.x) if sphere else found.x
    return -float(found.fun), where
