"""Certificates: the supremum is a bound, and the gap is never below the true excess."""

import numpy as np
import pytest

import wgf
from wgf.theory import baseline
from wgf.theory.supremum import supremum


def spikes(generator, loss="squared", order=3, count=3):
    filters = wgf.Filter.dirichlet(order)
    signal = generator.normal(size=count) @ filters.unit(generator.random((count, 1)))
    if loss == "squared":
        loss = wgf.Squared(signal, weights=generator.uniform(1, 20))
    else:
        loss = wgf.Logistic(np.where(signal >= 0, 1.0, -1.0))
    strength = generator.uniform(0.02, 0.5) * (1.0 if hasattr(loss, "weights") else 0.1)
    return wgf.Risk(filters, loss) + wgf.L1(strength, axes="w"), filters


@pytest.mark.parametrize("dimension, order", [(1, 7), (2, 2), (3, 1)])
def test_supremum_of_a_dirichlet_kernel(dimension, order):
    """``<psi(x0), psi(x)>`` is largest at ``x0``, where it is 1."""
    filters = wgf.Filter.dirichlet(order, dimension)
    x0 = np.linspace(0.31, 0.77, dimension)[None, :]
    top = supremum(filters, filters.unit(x0)[0], tolerance=1e-8)
    assert 1 - 1e-8 <= top.value <= 1 + 1e-12 and 1 - 1e-12 <= top.bound <= 1 + 2e-8
    np.testing.assert_allclose(top.where, x0[0], atol=1e-3)


def test_supremum_of_a_gaussian_and_of_neurons():
    filters = wgf.Filter.gaussian([0.3], 0.1)
    top = supremum(filters, np.array([-2.0]))
    assert top.value == pytest.approx(2, rel=1e-9) and top.bound >= 2
    neurons = wgf.Neurons([1.0], "tanh", bias=True)
    top = supremum(neurons, np.array([1.0]), box=((-1, -0.5), (2, 0.5)))
    assert top.value == pytest.approx(np.tanh(2.5), rel=1e-6) and top.bound >= np.tanh(2.5)


@pytest.mark.parametrize("inputs", [1, 2, 3])
def test_supremum_on_the_sphere(inputs):
    """One sample: ``max |relu(e . x)| = |x|``; many: not below what random directions reach."""
    generator = np.random.default_rng(inputs)
    x = generator.normal(size=(1, inputs))
    top = supremum(wgf.Neurons(x, "relu"), np.array([-1.5]), tolerance=1e-6)
    length = 1.5 * np.linalg.norm(x)
    assert length * (1 - 1e-6) <= top.value <= top.bound <= length * (1 + 1e-5)
    features = wgf.Neurons(generator.normal(size=(30, inputs)), "relu")
    residual = generator.normal(size=30)
    top = supremum(features, residual, tolerance=1e-4)
    e = generator.normal(size=(20000, inputs))
    e /= np.linalg.norm(e, axis=1, keepdims=True)
    seen = np.abs(features.unit(e) @ residual).max()
    assert 0.99 * top.bound <= seen <= top.bound and top.value <= top.bound <= 1.001 * top.value


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_the_gap_is_never_below_the_excess(loss):
    """100 random problems a loss: random measures, and their true excess over a fine grid."""
    generator = np.random.default_rng(1)
    grid = (np.arange(4000) / 4000)[:, None]
    for _ in range(100):
        functional, filters = spikes(generator, loss)
        risk, penalty = functional.risks[0], functional.terms[1].strength
        least = baseline.minimise_matrix(filters.unit(grid[::20]).T, risk, penalty, 1e-9)
        on = np.abs(least.amplitudes) > 0
        amplitudes, x = least.amplitudes[on], grid[::20][on, 0]
        noise = generator.choice([0.0, 1e-3, 0.3])
        amplitudes = amplitudes * (1 + noise * generator.normal(size=len(x)))
        points = np.stack([len(x) * amplitudes, x], axis=1) if len(x) else np.zeros((1, 2))
        found = wgf.certificate(wgf.Particles(points), functional)
        # the grid's minimum is not below the minimum: the excess over it is a lower bound
        assert found.gap >= functional.value(wgf.Particles(points)) - least.value - 1e-12
        assert found.gap <= 1e-12 + found.value - found.lower


def test_a_converged_run_is_certified():
    """Order 7 and five spikes: particles stop within 1e-6 of the global minimum, proved."""
    filters = wgf.Filter.dirichlet(7)
    x = np.array([0.130, 0.267, 0.693, 0.770, 0.950])
    y = np.array([0.21, -0.18, 0.2, 0.24, -0.17]) @ filters.unit(x[:, None])
    F = wgf.Risk(filters, wgf.Squared(y, weights=1 / 0.06)) + wgf.L1(1.0, axes="w")
    places = (np.arange(20) + 0.5) / 20
    start = wgf.Particles(np.stack([0 * places, places], axis=1))
    run = wgf.solve(
        wgf.GradientFlow(F, mobility={"x": 0.01}), start, 1e3, stop=wgf.certified(1e-6, every=100)
    )
    assert run.status == "stopped"
    found = wgf.certificate(run)
    assert found.rigorous and found.relative <= 1e-6 and abs(found.mean_variation) < 1e-6
    estimate = wgf.gap_estimate(run)
    assert not estimate.rigorous and estimate.gap <= found.gap + 1e-12


def test_relu_with_ridge_against_the_convex_problem_on_the_circle():
    generator = np.random.default_rng(3)
    x, penalty = generator.normal(size=(12, 2)), 0.05
    features = wgf.Neurons(x, "relu")
    risk = wgf.Risk(features, wgf.Squared(np.sin(2 * x[:, 0])))
    angle = np.arange(720) * np.pi / 360
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    least = baseline.minimise_matrix(features.unit(circle).T, risk, penalty, 1e-10)
    on = np.flatnonzero(least.amplitudes)
    # balanced neurons |a| = |w| carry the amplitudes at the cost penalty |c|
    root = np.sqrt(len(on) * np.abs(least.amplitudes[on]))
    points = np.column_stack([np.sign(least.amplitudes[on]) * root, root[:, None] * circle[on]])
    found = wgf.certificate(wgf.Particles(points), risk + wgf.Ridge(penalty), tolerance=1e-8)
    assert found.value == pytest.approx(least.value, rel=1e-9)
    # the grid is off by (pi / 720)^2 / 2 at most in each direction
    assert 0 <= found.relative <= 1e-3


def risk_of(features):
    return wgf.Risk(features, wgf.Squared(np.zeros(features.size)))


@pytest.mark.parametrize(
    "functional, dimension, match",
    [
        (risk_of(wgf.Filter.dirichlet(1)), 2, "no penalty has none, give one risk"),
        (risk_of(wgf.Filter.dirichlet(1)) + wgf.Ridge(1.0), 2, "the term Ridge"),
        (risk_of(wgf.Filter.dirichlet(1)) + wgf.L1(1.0), 2, "the term L1"),
        (risk_of(wgf.Neurons([[1.0, 2.0]], "relu")) + wgf.L1(1.0, axes="a"), 3, "are free"),
        (risk_of(wgf.Neurons([1.0], "tanh")) + wgf.L1(1.0, axes="a"), 2, "give the measure a dom"),
        (risk_of(wgf.Neurons(np.ones((1, 5)), "tanh")) + wgf.L1(1.0, axes="a"), 6, "gap_estimate"),
        (wgf.L1(1.0), 2, "0 risks has none"),
    ],
)
def test_functionals_without_a_certificate(functional, dimension, match):
    measure = wgf.Particles(np.ones((2, dimension)))
    with pytest.raises(wgf.InputError, match=match):
        wgf.certificate(measure, functional)


def test_bad_input():
    functional, _ = spikes(np.random.default_rng(0))
    start = wgf.Particles(np.zeros((2, 2)))
    with pytest.raises(wgf.InputError, match="does not hold it"):
        wgf.certificate(start)
    with pytest.raises(wgf.InputError, match="int is neither a run nor a measure"):
        wgf.certificate(3, functional)
    with pytest.raises(wgf.InputError, match="certified relative gap: 0"):
        wgf.certified(0)
    with pytest.raises(wgf.InputError, match="no penalty has none"):
        risk = wgf.Functional([functional.risks[0]])
        wgf.solve(wgf.GradientFlow(risk), start, 1.0, stop=wgf.certified(1e-3))
