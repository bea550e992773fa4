"""Best amplitudes at given positions: closed forms, optimality, the duality gap."""

import numpy as np
import pytest

import wgf
from wgf.theory import baseline


def problem(generator, k, n, loss, penalty):
    x = generator.normal(size=(n, 2))
    rest = generator.normal(size=(k, 2))
    if loss == "squared":
        loss = wgf.Squared(generator.normal(size=n))
    else:
        loss = wgf.Logistic(generator.choice([-1.0, 1.0], n))
    risk = wgf.Risk(wgf.Neurons(x, "tanh"), loss)
    return (risk + wgf.L1(penalty, axes="a") if penalty else risk), rest


def test_soft_threshold_is_the_minimum_for_orthonormal_features():
    """n samples, one a position: ``c_i = sgn(y_i) (|y_i| - penalty)_+``."""
    y = np.array([2.0, -0.3, 0.1, -1.5])
    unit = wgf.Features(lambda p: np.eye(4)[np.rint(p[:, 0]).astype(int)], amplitude=True)
    unit.measure_size(2)
    unit.names = ("w", "x")
    F = wgf.Risk(unit, wgf.Squared(y, weights=1.0)) + wgf.L1(0.5, axes="w")
    found = baseline.minimise(F, np.arange(4.0))
    np.testing.assert_allclose(found.amplitudes, [1.5, 0, 0, -1.0], atol=1e-14)
    assert found.value == pytest.approx(0.5 * (0.25 + 0.09 + 0.01 + 0.25) + 0.5 * 2.5, rel=1e-14)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("k", [3, 40])
def test_gap_and_optimality(loss, k):
    generator = np.random.default_rng(k)
    F, rest = problem(generator, k, 25, loss, 0.02)
    found = baseline.minimise(F, rest)
    assert 0 <= found.gap <= 1e-12 * (1 + found.value)
    risk = F.risks[0]
    matrix = risk.features.unit(rest).T
    slope = matrix.T @ risk.residual(matrix @ found.amplitudes)
    on = found.amplitudes != 0
    assert 0 < on.sum() < k or k == 3
    np.testing.assert_allclose(slope[on], -0.02 * np.sign(found.amplitudes[on]), atol=1e-7)
    assert np.abs(slope).max() <= 0.02 * (1 + 1e-6)


def test_without_penalty_it_is_least_squares():
    generator = np.random.default_rng(0)
    risk, rest = problem(generator, 5, 30, "squared", 0)
    matrix = risk.features.unit(rest).T
    found = baseline.minimise(risk, rest)
    residual = matrix @ found.amplitudes - risk.loss.y
    assert np.abs(matrix.T @ residual).max() <= 1e-12


def test_frozen_flow_on_amplitudes_tends_to_the_baseline():
    filters, x = wgf.Filter.dirichlet(4), (np.arange(9) + 0.5) / 9
    y = filters.unit(np.array([[0.21], [0.63]])).T @ np.array([0.6, -0.4])
    F = wgf.Risk(filters, wgf.Squared(y, weights=1 / 0.1)) + wgf.L1(1.0, axes="w")
    start = wgf.Particles(np.stack([0 * x, x], axis=1))
    flow = wgf.GradientFlow(F, frozen=("x",))
    run = wgf.solve(flow, start, 200.0)
    # weights 1/m of the particles are taken up by their amplitudes
    least = baseline.minimise(F, x).value
    assert run.diagnostics["objective"][-1] == pytest.approx(least, abs=1e-9)


@pytest.mark.parametrize(
    "functional",
    [
        wgf.Ridge(1.0),
        wgf.Risk(wgf.Filter.dirichlet(1), wgf.Squared(np.zeros(3))) + wgf.Ridge(1.0),
        wgf.Risk(wgf.Filter.dirichlet(1), wgf.Squared(np.zeros(3))) + wgf.L1(1.0),
    ],
)
def test_other_functionals_are_refused(functional):
    with pytest.raises(wgf.InputError, match="baseline: .* give"):
        baseline.minimise(functional, np.zeros(3))
