"""Stochastic gradients: unbiased, exact in limits, reproducible, continued bit by bit."""

import numpy as np
import pytest

import wgf


def problem(n=40, p=3, m=15, activation="tanh", seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, p))
    risk = wgf.Risk(wgf.Neurons(x, activation), wgf.Squared(np.sin(x[:, 0])))
    return risk, wgf.Particles(generator.normal(size=(m, p + 1)))


def test_all_samples_in_a_batch_are_gradient_descent():
    risk, start = problem()
    flow = wgf.GradientFlow(risk + wgf.Ridge(0.01))
    every = wgf.StochasticGradient(0.1, 40, look=5)
    run = wgf.solve(flow, start, 2.0, method=every)
    descent = wgf.solve(flow, start, 2.0, method=wgf.GradientDescent(0.1))
    np.testing.assert_allclose(run.final.points, descent.final.points, rtol=0, atol=1e-13)


@pytest.mark.parametrize("population", [False, True])
def test_the_batch_gradient_is_unbiased(population):
    """The mean over many draws within 4.5 standard errors of the gradient of the functional."""
    risk, start = problem(activation="relu")
    if population:
        generator = np.random.default_rng(1)
        risk = wgf.PopulationRisk(generator.normal(size=3), generator.normal(size=(3, 3)), 0.7)
    draws = []
    generator = np.random.default_rng(2)
    for _ in range(4000):
        batch = risk.draw(generator, 8)
        draws.append(batch.gradient(start)[:3])
    draws = np.array(draws)
    error = np.abs(draws.mean(axis=0) - risk.gradient(start)[:3])
    assert np.all(error <= 4.5 * draws.std(axis=0) / np.sqrt(len(draws)) + 1e-12)


def test_fresh_data_reach_the_teacher():
    """A teacher of one neuron, data drawn anew every step: the population loss goes down."""
    risk = wgf.PopulationRisk.normalised([1.0], [[0.6, 0.8]])
    start = wgf.Particles(0.3 * np.random.default_rng(0).normal(size=(10, 3)))
    method = wgf.StochasticGradient(0.05, 20, schedule=lambda k: 1 / (1 + k / 500))
    run = wgf.solve(wgf.GradientFlow(risk), start, 40.0, method=method)
    assert run.diagnostics["objective"][-1] < 1e-3


def test_data_of_the_user():
    risk, start = problem(activation="relu", p=2)

    def data(generator, batch):
        x = generator.normal(size=(batch, 2))
        return x, np.maximum(x[:, 0], 0)

    method = wgf.StochasticGradient(0.02, 10, data=data)
    final = wgf.solve(wgf.GradientFlow(risk), start, 20.0, method=method).final
    x, y = data(np.random.default_rng(9), 5000)
    fresh = wgf.Risk(wgf.Neurons(x, "relu"), wgf.Squared(y))
    assert fresh.value(final) < 0.1 * fresh.value(start)


@pytest.mark.filterwarnings("ignore:start")
def test_l1_acts_by_its_prox():
    """Without slope from the data the amplitudes shrink by ``strength * time`` exactly."""
    features = wgf.Neurons(np.zeros((4, 1)), "relu")
    F = wgf.Risk(features, wgf.Squared(np.ones(4))) + wgf.L1(0.5, axes="a")
    start = wgf.Particles([[1.0, 2.0], [-0.3, 1.0]])
    run = wgf.solve(wgf.GradientFlow(F), start, 1.0, method=wgf.StochasticGradient(0.1, 2))
    np.testing.assert_allclose(run.final.points, [[0.5, 2.0], [0.0, 1.0]], atol=1e-15)


def test_continues_bit_by_bit(tmp_path):
    risk, start = problem()
    flow, method = wgf.GradientFlow(risk), wgf.StochasticGradient(0.05, 7, seed=3, look=4)
    whole = wgf.solve(flow, start, 2.0, every=0.5, method=method)
    wgf.solve(flow, start, 1.0, every=0.5, method=method, save=tmp_path / "run")
    run = wgf.solve(flow, start, 2.0, every=0.5, method=method, save=tmp_path / "run", resume=True)
    assert np.array_equal(run.final.points, whole.final.points)
    again = wgf.solve(flow, start, 2.0, every=0.5, method=method)
    assert np.array_equal(again.final.points, whole.final.points)


def test_bad_input():
    risk, start = problem()
    with pytest.raises(wgf.InputError, match="batch: 41 of 40 samples, give at most 40"):
        wgf.StochasticGradient(0.1, 41).prepare(wgf.GradientFlow(risk), start)
    with pytest.raises(wgf.InputError, match="stochastic gradient step: 0 is too small"):
        wgf.StochasticGradient(0, 4)
    with pytest.raises(wgf.InputError, match="0 terms with samples"):
        wgf.StochasticGradient(0.1, 4).prepare(wgf.GradientFlow(wgf.Ridge(1.0)), start)
    filters = wgf.Filter.dirichlet(2)
    risk = wgf.Risk(filters, wgf.Squared(np.zeros(5)))
    with pytest.raises(wgf.InputError, match="has no samples to draw from"):
        wgf.StochasticGradient(0.1, 4).prepare(
            wgf.GradientFlow(risk), wgf.Particles(np.zeros((3, 2)))
        )
    with pytest.raises(wgf.InputError, match="cannot take fresh samples"):
        wgf.StochasticGradient(0.1, 4, data=lambda g, b: None).prepare(
            wgf.GradientFlow(risk), wgf.Particles(np.zeros((3, 2)))
        )
