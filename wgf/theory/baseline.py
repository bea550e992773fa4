"""The convex baseline: the best amplitudes at given positions, to a duality gap of 1e-12.

``min_c R(sum_i c_i psi(x_i)) + penalty |c|_1`` (or no penalty): what is left of the problem when
the positions do not move. An active-set method: the position that violates optimality most joins
the support, Newton's method solves on the support, amplitudes that reach 0 leave it; the duality
gap decides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from wgf import checks
from wgf.functional.functional import Functional
from wgf.functional.losses import Squared
from wgf.functional.terms import Risk
from wgf.theory.problem import penalties

NEWTON_STEPS = 50


class Baseline(NamedTuple):
    """What `minimise` found.

    Attributes
    ----------
    amplitudes : array of shape ``(k,)``
    value : float
        The least value.
    gap : float
        Duality gap: no amplitudes have a value below ``value - gap``.
    """

    amplitudes: np.ndarray
    value: float
    gap: float

    def __repr__(self):
        return f"Baseline(value={self.value:.12g}, gap={self.gap:.2g})"


def minimise(functional: Functional, positions: ArrayLike, tolerance: float = 1e-12) -> Baseline:
    """Return the `Baseline`: least value of `functional` over the amplitudes at `positions`.

    Parameters
    ----------
    functional : Functional
        One `wgf.Risk` of features with an amplitude and, if wanted, l1 penalties on it.
    positions : array of shape ``(k, d')``
        All coordinates but the amplitude.
    tolerance : float
        Largest duality gap, relative to ``1 + |value|``.

    Returns
    -------
    Baseline

    Raises
    ------
    InputError
        For another functional.
    NumericalError
        If the gap does not fall to the tolerance.
    """
    risk, penalty = _parts(functional)
    features = risk.features
    positions = checks.array("baseline positions", positions, dimensions=(1, 2))
    positions = positions.reshape(len(positions), -1)
    return minimise_matrix(features.unit(positions).T, risk, penalty, tolerance)


def minimise_matrix(
    matrix: ArrayLike, risk: Risk, penalty: float, tolerance: float = 1e-12
) -> Baseline:
    """Return the `Baseline` for features of shape ``(n, k)``, one column per position.

    Raises
    ------
    NumericalError
        If the gap does not fall to the tolerance.
    """
    matrix = np.ascontiguousarray(matrix)
    if penalty == 0:
        if isinstance(risk.loss, Squared):
            return _least_squares(matrix, risk)
        raise checks.InputError(
            "baseline: the minimum of this loss without a penalty may not exist, add wgf.L1"
        )
    c = np.zeros(matrix.shape[1])
    signs = np.zeros(matrix.shape[1])
    for _ in range(10 * matrix.shape[1] + 100):
        residual = risk.residual(matrix @ c)
        slope = matrix.T @ residual
        value = risk.value_of(matrix @ c) + penalty * float(np.abs(c).sum())
        gap = value - _dual(risk, penalty, residual, np.abs(slope).max())
        if gap <= tolerance * (1 + abs(value)):
            return Baseline(c, value, max(gap, 0.0))
        joins = int(np.where(signs == 0, np.abs(slope), -1.0).argmax())
        if abs(slope[joins]) > penalty:
            signs[joins] = -np.sign(slope[joins])
        before = c
        c, signs = _on_support(matrix, risk, penalty, c, signs)
        if np.array_equal(before, c):
            break
    raise checks.NumericalError(
        f"baseline: the duality gap stays at {gap:.2g}, ask for a larger tolerance"
    )


def _parts(functional):
    risks = checks.instance("baseline functional", functional, Functional).risks
    if len(risks) != 1:
        raise checks.InputError(f"baseline: {len(risks)} risks do not fit, give one")
    if not risks[0].features.amplitude:
        raise checks.InputError(
            f"baseline: {risks[0].features!r} has no amplitude, give filters or neurons"
        )
    l1, _, others = penalties(functional, risks[0].features.names)
    if others:
        raise checks.InputError(
            f"baseline: the term {others[0]!r} does not fit, give an l1 penalty on the amplitude"
        )
    return risks[0], l1


def _least_squares(matrix, risk):
    root = np.sqrt(risk.loss.weights)[:, None]
    wanted = root[:, 0] * risk.loss.target / risk.scale
    c = np.linalg.lstsq(root * matrix, wanted, rcond=None)[0]
    return Baseline(c, risk.value_of(matrix @ c), 0.0)


def _dual(risk, penalty, residual, top):
    factor = min(1.0, penalty / top) if top > 0 else 1.0
    return -risk.loss.conjugate(risk.scale * factor * residual) / risk.scale**2


def _on_support(matrix, risk, penalty, c, signs):
    """Return minimiser and signs on the support of `signs`, which shrinks when one reaches 0."""
    c, signs = c.copy(), signs.copy()
    for _ in range(NEWTON_STEPS + len(c)):
        on = np.flatnonzero(signs)
        if not len(on):
            break
        step = _newton_step(matrix[:, on], risk, penalty, c[on], signs[on])
        moved = c[on] + step
        crossed = moved * signs[on] < 0
        if crossed.any():
            # up to the first amplitude that reaches 0, which leaves
            share = np.full(len(on), np.inf)
            share[crossed] = -c[on][crossed] / step[crossed]
            first = int(share.argmin())
            c[on] += share[first] * step
            c[on[first]] = signs[on[first]] = 0.0
            continue
        c[on] = moved
        if np.abs(step).max() <= 1e-15 * (1 + np.abs(moved).max()):
            break
    return c, signs


def _newton_step(columns, risk, penalty, c, signs):
    """Return the step to the minimiser of the quadratic model, shortened until the value falls."""
    output = columns @ c
    root = np.sqrt(risk.loss.curvature(risk.scale * output))[:, None]
    residual = risk.residual(output)
    # columns that depend on the others slide along until one amplitude reaches 0
    tiny = 1e-9 * np.linalg.norm(root * columns)
    r = np.linalg.qr(np.vstack([root * columns, tiny * np.eye(len(c))]), mode="r")
    push = np.linalg.solve(r.T, columns.T @ residual + penalty * signs)
    step = -np.linalg.solve(r, push)

    def value(share):
        moved = c + share * step
        return risk.value_of(columns @ moved) + penalty * float(signs @ moved)

    share, begin = 1.0, value(0.0)
    while share > 1e-6 and value(share) > begin + 1e-15 * (1 + abs(begin)):
        share *= 0.5
    return share * step
