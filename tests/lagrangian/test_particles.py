"""Particle methods against exact solutions, the kernels against the plain formulas, walls."""

import numpy as np
import pytest

import wgf


def quadratic_neuron():
    features = wgf.Features(lambda u: u**2, lambda u: 2 * u[:, None, :])
    return wgf.Risk(features, wgf.Squared([1.0], weights=2.0))


def test_quadratic_neuron_from_a_quadrature_start():
    """M(t) and every particle u_i(t) = u_i(0) sqrt(M(t) / M0) to 1e-8."""
    mesh = wgf.Mesh(u=wgf.Axis(-10, 10, 300))
    start = wgf.Density.normal(mesh, 0.5, 0.5).quadrature()
    run = wgf.solve(wgf.GradientFlow(quadratic_neuron()), start, until=0.3, every=0.1)
    first = start.weights @ start.points[:, 0] ** 2
    for t, particles, output in zip(run.times, run.snapshots, run.outputs):
        moment = 1 / (1 + (1 / first - 1) * np.exp(-8 * t))
        assert output[0] == pytest.approx(moment, abs=1e-8)
        # the outermost particles, of no weight, are stopped by the walls
        exact = np.clip(start.points * np.sqrt(moment / first), -10, 10)
        assert np.abs(particles.points - exact).max() <= 1e-7


def test_the_start_at_the_origin_is_stuck():
    start = wgf.Particles(np.zeros((3, 1)))
    run = wgf.solve(wgf.GradientFlow(quadratic_neuron()), start, until=5.0)
    assert np.array_equal(run.final.points, np.zeros((3, 1)))
    assert run.diagnostics["objective"][-1] == 1.0


def test_linear_feature_in_five_dimensions():
    ridge, until, d = 0.7, 0.8, 5
    generator = np.random.default_rng(3)
    y, points = generator.normal(size=d), generator.normal(size=(40, d))
    features = wgf.Features(lambda w: w, lambda w: np.broadcast_to(np.eye(d), (len(w), d, d)))
    functional = wgf.Risk(features, wgf.Squared(y, weights=1.0)) + wgf.Ridge(ridge)
    run = wgf.solve(wgf.GradientFlow(functional), wgf.Particles(points), until=until)
    mean, rest = points.mean(axis=0), y / (1 + ridge)
    later = rest + (mean - rest) * np.exp(-(1 + ridge) * until)
    exact = np.exp(-ridge * until) * (points - mean) + later
    # 1e-8 a step relative to 1 + |theta|, a few dozen steps
    assert np.abs(run.final.points - exact).max() <= 1e-6


def test_l1_alone_is_the_soft_threshold():
    points = np.linspace(-2, 2, 41)[:, None]
    run = wgf.solve(wgf.GradientFlow(wgf.L1(1.0, "x1")), wgf.Particles(points), until=0.7)
    exact = np.sign(points) * np.maximum(np.abs(points) - 0.7, 0)
    # the prox is the exact flow; only the sum of the steps is rounded
    assert np.abs(run.final.points - exact).max() <= 1e-13


@pytest.mark.parametrize("tolerance, allowed", [(1e-4, 1e-2), (1e-6, 1e-4)])
def test_forward_backward_on_a_lasso(tolerance, allowed):
    """phi = w, R = (s - y)^2 / 2, V = strength |w|, one particle: w' = y - w - strength."""
    strength, y, until = 0.3, 1.0, 1.5
    features = wgf.Features(lambda w: w, lambda w: np.ones((len(w), 1, 1)))
    functional = wgf.Risk(features, wgf.Squared([y], weights=1.0)) + wgf.L1(strength, "x1")
    method = wgf.ForwardBackward(tolerance=tolerance)
    start = wgf.Particles([[0.0]])
    run = wgf.solve(wgf.GradientFlow(functional), start, until=until, method=method)
    exact = (y - strength) * (1 - np.exp(-until))
    assert run.final.points[0, 0] == pytest.approx(exact, abs=allowed)
    last = wgf.solve(wgf.GradientFlow(functional), start, until=60.0, method=method)
    # stationary points of the scheme are those of the flow, whatever the step
    assert last.final.points[0, 0] == pytest.approx(y - strength, abs=1e-9)


def test_forward_backward_is_of_order_one_with_a_fixed_step():
    strength, y, until = 0.3, 1.0, 1.0
    features = wgf.Features(lambda w: w, lambda w: np.ones((len(w), 1, 1)))
    functional = wgf.Risk(features, wgf.Squared([y], weights=1.0)) + wgf.L1(strength, "x1")
    exact = (y - strength) * (1 - np.exp(-until))
    steps, errors = np.array([0.1, 0.05, 0.025]), []
    for step in steps:
        method = wgf.ForwardBackward(step=step)
        run = wgf.solve(
            wgf.GradientFlow(functional), wgf.Particles([[0.0]]), until=until, method=method
        )
        errors.append(abs(run.final.points[0, 0] - exact))
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] >= 0.9


def test_particles_stop_at_walls_and_wrap_on_periods():
    domain = wgf.Mesh(x=wgf.Axis(-1, 1, 4), y=wgf.Axis(0, 1, 4, periodic=True))
    start = wgf.Particles([[0.5, 0.9], [-0.5, 0.1]], domain=domain)
    drift = wgf.Potential(lambda p: -p[:, 0] - p[:, 1], lambda p: -np.ones_like(p))
    run = wgf.solve(wgf.GradientFlow(drift), start, until=2.0)
    assert np.allclose(run.final.points, [[1.0, 0.9], [1.0, 0.1]], atol=1e-9)


def test_weights_do_not_change_the_velocity():
    """One particle of weight 1 moves like two halves of it."""
    functional = quadratic_neuron()
    whole = wgf.solve(wgf.GradientFlow(functional), wgf.Particles([[0.4]]), until=0.3)
    halves = wgf.solve(
        wgf.GradientFlow(functional), wgf.Particles([[0.4], [0.4]], [0.5, 0.5]), until=0.3
    )
    assert np.allclose(whole.final.points[0], halves.final.points, rtol=1e-12)


def test_frozen_columns_do_not_move():
    x = np.linspace(-1, 1, 10)
    functional = wgf.Risk(wgf.Neurons(x, "relu"), wgf.Squared(x**2))
    start = wgf.Particles(np.random.default_rng(0).normal(size=(20, 2)))
    run = wgf.solve(wgf.GradientFlow(functional, frozen=("w",)), start, until=1.0)
    assert np.array_equal(run.final.points[:, 1], start.points[:, 1])
    assert np.abs(run.final.points[:, 0] - start.points[:, 0]).max() > 1e-3


def test_runge_kutta_refuses_a_non_smooth_term():
    with pytest.raises(wgf.InputError, match="l1 is not smooth.*ForwardBackward"):
        wgf.solve(
            wgf.GradientFlow(wgf.L1(1.0, "x1")),
            wgf.Particles([[1.0]]),
            until=1.0,
            method=wgf.RungeKutta(),
        )
