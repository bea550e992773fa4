"""Gradient descent: the network of DZPS18 written out, other features, output times, bad input."""

import numpy as np
import pytest

import wgf
from wgf.theory import tangent


def network(n=30, d=20, width=200, seed=0, **options):
    """Return labels, particles and flow of the network of DZPS18 for normalised inputs."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = generator.normal(size=n)
    features = wgf.Neurons(x, "relu", **options)
    points = generator.normal(size=(width, len(features.names)))
    points[:, 0] = generator.choice([-1.0, 1.0], size=width)
    risk = wgf.Risk(features, wgf.Squared(y, weights=1.0), scale=width**0.5)
    return features, y, wgf.Particles(points), wgf.GradientFlow(risk, frozen=("a",))


def plain_descent(x, y, a, w, step, epochs):
    """Gradient descent on ``1/2 |u - y|^2`` exactly as DZPS18 write it; returns w and losses."""
    w, m, losses = w.copy(), len(w), []
    for epoch in range(epochs + 1):
        z = w @ x.T
        u = a @ np.maximum(z, 0) / np.sqrt(m)
        losses.append(0.5 * np.sum((u - y) ** 2))
        if epoch < epochs:
            w -= step * a[:, None] * (((z > 0) * (u - y)) @ x) / np.sqrt(m)
    return w, np.array(losses)


def test_weights_one_over_m_and_scale_root_m_are_the_network_of_the_paper():
    """The same step in the same time: w_r' = -∂L/∂w_r, and F = L / m."""
    features, y, start, flow = network()
    run = wgf.solve(flow, start, until=20.0, method=wgf.GradientDescent(0.5))
    w, losses = plain_descent(features.inputs, y, start.points[:, 0], start.points[:, 1:], 0.5, 40)
    # the same sums in another order, 40 times
    np.testing.assert_allclose(run.final.points[:, 1:], w, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(run.final.points[:, 0], start.points[:, 0])
    np.testing.assert_allclose(200 * run.diagnostics["objective"], losses, rtol=1e-9, atol=1e-13)


def test_the_columns_of_distance_and_flips_are_those_of_the_end_states():
    features, _, start, flow = network()
    run = wgf.solve(flow, start, until=10.0, every=3.0, method=wgf.GradientDescent(0.5))
    for t, state in zip(run.times, run.snapshots):
        row = int(np.argmin(np.abs(run.diagnostics["t"] - t)))
        assert run.diagnostics["moved"][row] == pytest.approx(
            tangent.moved(start, state), rel=1e-12
        )
        assert run.diagnostics["flipped"][row] == tangent.flipped(features, start, state)
    assert run.diagnostics["flipped"][-1] > 0.01


@pytest.mark.parametrize("bias", [False, True])
def test_products_against_the_formulas_of_the_features(bias, monkeypatch):
    """Blocks of 16 rows, so that 100 rows end in a partial one; all axes move."""
    monkeypatch.setattr("wgf.lagrangian.gradient_descent.BLOCK", (1, 16, 4096))
    from wgf.lagrangian.gradient_descent import RectifiedProducts

    features, y, start, _ = network(width=100, bias=bias)
    products, gradient = RectifiedProducts(features), np.empty_like(start.points)
    output = products.output(start.points, start.weights)
    np.testing.assert_allclose(output, features.output(start.points, start.weights), atol=1e-13)
    products.gradient(start.points, y, gradient)
    # sums of 30 terms of order 1
    np.testing.assert_allclose(
        gradient, features.potential_gradient(start.points, y), rtol=0, atol=1e-12
    )


def test_any_smooth_functional_and_a_step_that_lands_on_output_times():
    x = np.linspace(-1, 1, 12)
    functional = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(x)) + wgf.Ridge(0.1)
    start = wgf.Particles(np.random.default_rng(0).normal(size=(30, 2)))
    run = wgf.solve(wgf.GradientFlow(functional), start, until=1.0, method=wgf.GradientDescent(0.1))
    points = start.points
    for _ in range(10):
        points = points - 0.1 * functional.gradient(wgf.Particles(points))
    np.testing.assert_allclose(run.final.points, points, rtol=1e-11)
    # ten tenths are ten steps, not eleven
    assert len(run.diagnostics["t"]) == 11
    assert "flipped" not in run.diagnostics


def test_a_restart_continues_bit_for_bit():
    _, _, start, flow = network()
    method = wgf.GradientDescent(0.5)
    whole = method.prepare(flow, start)
    for _ in range(3):
        whole.advance(1.0)
    again = method.prepare(flow, whole.measure)
    again.restore(whole.restart())
    assert again.row == whole.row
    assert again.advance(1.0) == whole.advance(1.0)
    np.testing.assert_array_equal(again.points, whole.points)


def test_the_number_of_threads_changes_nothing():
    from threadpoolctl import threadpool_limits

    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            _, _, start, flow = network(n=333, d=77, width=5000)
            run = wgf.solve(flow, start, until=3.0, method=wgf.GradientDescent(1.0))
        found.append(run)
    assert np.array_equal(found[0].diagnostics["objective"], found[1].diagnostics["objective"])
    assert np.array_equal(found[0].final.points, found[1].final.points)


def test_distances_are_the_short_way_round_a_period():
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 4, periodic=True))
    drift = wgf.Potential(lambda p: -p[:, 0], lambda p: -np.ones_like(p))
    start = wgf.Particles([[0.9]], domain=mesh)
    run = wgf.solve(wgf.GradientFlow(drift), start, until=0.2, method=wgf.GradientDescent(0.1))
    assert run.final.points[0, 0] == pytest.approx(0.1)
    assert run.diagnostics["moved"][-1] == pytest.approx(0.2)


@pytest.mark.parametrize("step", [0.0, -1.0, np.nan, "1", None])
def test_bad_steps(step):
    with pytest.raises(wgf.InputError, match="gradient descent step"):
        wgf.GradientDescent(step)


def test_a_penalty_with_a_kink_and_a_density_are_refused():
    method = wgf.GradientDescent(0.1)
    with pytest.raises(wgf.InputError, match=r"l1 is not smooth.*ForwardBackward\(step=0.1\)"):
        method.prepare(wgf.GradientFlow(wgf.L1(1.0, "x1")), wgf.Particles([[1.0]]))
    density = wgf.Density.normal(wgf.Mesh(x=wgf.Axis(-1, 1, 8)), 0, 0.3)
    with pytest.raises(wgf.InputTypeError, match="gradient descent start"):
        method.prepare(wgf.GradientFlow(wgf.Ridge(1.0)), density)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_step_beyond_stability_ends_with_a_sentence():
    _, _, start, flow = network()
    with pytest.raises(wgf.NumericalError, match="with the step 500, take a shorter one"):
        wgf.solve(flow, start, until=1e6, method=wgf.GradientDescent(500.0))
