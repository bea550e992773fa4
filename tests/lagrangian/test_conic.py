"""Conic particles against the full flow they project: two independent solvers must agree."""

import numpy as np
import pytest

import wgf

FREQUENCIES = np.random.default_rng(0).normal(size=(6, 2))
TARGET = np.random.default_rng(1).normal(size=6) + 1
PENALTY = 0.1


def features(points):
    """2-homogeneous and smooth: the squares of six linear forms."""
    return (points @ FREQUENCIES.T) ** 2


def slopes(points):
    return 2 * (points @ FREQUENCIES.T)[:, :, None] * FREQUENCIES


def direction(angles):
    return np.column_stack([np.cos(angles[:, 0]), np.sin(angles[:, 0])])


def circle_slopes(angles):
    turned = np.column_stack([-np.sin(angles[:, 0]), np.cos(angles[:, 0])])
    return np.einsum("knd,kd->kn", slopes(direction(angles)), turned)[:, :, None]


def full_problem():
    return wgf.Risk(wgf.Features(features, slopes), wgf.Squared(TARGET)) + wgf.Ridge(2 * PENALTY)


def circle_problem():
    risk = wgf.Risk(
        wgf.Features(lambda t: features(direction(t)), circle_slopes), wgf.Squared(TARGET)
    )
    return risk + wgf.Potential(lambda t: np.full(len(t), PENALTY), np.zeros_like)


@pytest.mark.parametrize("retraction", ["mirror", "canonical"])
def test_the_projection_of_the_full_flow(retraction):
    """h2 of the flow on R^2 is the conic flow with growth = transport = 1, to 1e-8 and below."""
    points = np.random.default_rng(2).normal(size=(7, 2)) * 0.5
    start = wgf.Particles(points)
    full = wgf.solve(
        wgf.GradientFlow(full_problem()), start, until=1.0, method=wgf.RungeKutta(1e-12)
    ).final
    projected = wgf.radial_projection(full)
    angles = np.arctan2(points[:, 1], points[:, 0])[:, None]
    conic_start = wgf.Particles(angles, wgf.radial_projection(start).weights)
    steps, errors = np.array([0.2, 0.1, 0.05]), []
    for step in steps:
        run = wgf.solve(
            wgf.FisherRao(circle_problem()),
            conic_start,
            until=1.0,
            method=wgf.Conic(retraction, step=step),
        ).final
        weights = np.abs(run.weights - projected.weights).max()
        errors.append(max(weights, np.abs(direction(run.points) - projected.points).max()))
    # the fixed step is of order 5
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] >= 4.5
    assert errors[-1] <= 1e-8


def circle(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def neuron_problems(penalty):
    """Return the flow of neurons on signs and angles and the one on (a, w1, w2).

    The activation z^2 / |w| is positively homogeneous of degree 1 like that of ReLU, but smooth, so
    that integrators keep their order.
    """
    x = np.random.default_rng(0).normal(size=(8, 2))
    loss = wgf.Squared(np.random.default_rng(1).normal(size=8) + 1.0, weights=0.1)

    def unit(w):
        # the number of features is asked for at the origin
        return (w @ x.T) ** 2 / np.maximum(np.hypot(*w.T), 1e-300)[:, None]

    def slope(w):
        z, norm = (w @ x.T)[:, :, None], np.hypot(w[:, 0], w[:, 1])[:, None, None]
        return 2 * z * x / norm - z**2 * w[:, None, :] / norm**3

    def turning(angles):
        turned = circle(angles[:, 0] + np.pi / 2)
        return np.einsum("knd,kd->kn", slope(circle(angles[:, 0])), turned)[:, :, None]

    full = wgf.Risk(wgf.Features(unit, slope, amplitude=True), loss) + wgf.Ridge(penalty)
    angular = wgf.Features(lambda t: unit(circle(t[:, 0])), turning, amplitude=True)
    small = wgf.Risk(angular, loss) + wgf.L1(penalty, axes="x1")
    return wgf.FisherRao(small, growth=0.5, transport=1.0), wgf.GradientFlow(full)


def test_the_projection_of_balanced_neurons():
    """|a| = |w| stays, and |a||w| on signs and angles is the conic flow with growth = 1/2."""
    flow, whole = neuron_problems(penalty=0.1)
    generator = np.random.default_rng(4)
    angles, radii = generator.uniform(-np.pi, np.pi, 9), generator.uniform(0.3, 0.9, 9)
    signs = np.where(np.arange(9) % 2, 1.0, -1.0)
    begin = wgf.Particles(np.column_stack([signs * radii, radii[:, None] * circle(angles)]))
    run = wgf.solve(whole, begin, until=1.0, method=wgf.RungeKutta(1e-12)).final
    balance = np.abs(run.points[:, 0]) - np.hypot(run.points[:, 1], run.points[:, 2])
    # rounding and the tolerance of the integrator
    assert np.abs(balance).max() <= 1e-11
    projected, steps, errors = wgf.neuron_projection(run, 4), np.array([0.2, 0.1, 0.05]), []
    start = wgf.neuron_projection(begin, 4)
    start = wgf.Particles(start.points, start.weights)
    for step in steps:
        small = wgf.solve(flow, start, until=1.0, method=wgf.Conic(step=step)).final
        turned = small.points[:, 1] - projected.points[:, 1]
        turned = np.abs((turned + np.pi) % (2 * np.pi) - np.pi).max()
        errors.append(max(turned, np.abs(small.weights - projected.weights).max()))
        assert np.array_equal(small.points[:, 0], signs)
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] >= 4.5
    assert errors[-1] <= 1e-8
    assert np.abs(start.weights - projected.weights).max() > 1e-2


def test_mass_alone_is_logistic():
    functional = wgf.Risk(
        wgf.Features(lambda p: np.ones((len(p), 1)), lambda p: np.zeros((len(p), 1, 1))),
        wgf.Squared([2.0], weights=1.0),
    )
    start = wgf.Particles([[0.1], [0.7]], [0.1, 0.2])
    run = wgf.solve(wgf.FisherRao(functional), start, until=0.5)
    exact = 2.0 / (1 + (2.0 / 0.3 - 1) * np.exp(-4 * 2.0 * 0.5))
    assert run.final.mass == pytest.approx(exact, rel=1e-7)
    assert run.final.weights[1] / run.final.weights[0] == pytest.approx(2.0, rel=1e-12)


def test_signed_copies_stay_apart():
    filters = wgf.Filter.dirichlet(3)
    y = filters.output(np.array([[1.0, 0.3]]), np.ones(1))
    functional = wgf.Risk(filters, wgf.Squared(y, weights=10.0)) + wgf.L1(1.0, "w")
    start = wgf.Particles([[1.0, 0.25], [-1.0, 0.6]], [0.2, 0.2])
    run = wgf.solve(wgf.FisherRao(functional, transport=0.1), start, until=3.0)
    assert np.array_equal(run.final.points[:, 0], [1.0, -1.0])
    assert run.final.points[0, 1] == pytest.approx(0.3, abs=1e-4)
    assert run.final.weights[1] < 1e-4
    assert (np.diff(run.diagnostics["objective"]) <= 1e-12).all()


def test_a_weight_of_zero_is_refused():
    start = wgf.Particles([[0.1], [0.7]], [0.0, 0.2])
    flow = wgf.FisherRao(wgf.Potential(lambda p: p[:, 0]))
    with pytest.raises(wgf.InputError, match="weight 0 cannot grow"):
        wgf.solve(flow, start, until=1.0)
