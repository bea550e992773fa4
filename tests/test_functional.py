"""First variations against differences of the value, gradients against differences of those."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import functionals, functionals_and_densities

import wgf


@settings(max_examples=150)
@given(functionals_and_densities())
def test_first_variation_is_the_derivative_of_the_value(case):
    """d/de F(rho + e in cell j) = h^d F'(rho)_j, for every feature, loss and term."""
    functional, density = case
    variation = functional.first_variation(density)
    assert variation.shape == density.mesh.shape
    generator = np.random.default_rng(0)
    direction = generator.random(density.mesh.shape)
    step = 1e-5

    def value(e):
        return functional.value(wgf.Density(density.mesh, density.values + e * direction))

    # one-sided: the density stays non-negative; combined so that the error is of order step^2
    slope = (4 * value(step) - value(2 * step) - 3 * value(0)) / (2 * step)
    exact = np.sum(variation * direction) * density.mesh.cell_volume
    # round-off of F over the step, and third derivatives of a loss times step^2
    scale = sum(abs(v) for v in functional.parts(density).values()) + abs(exact) + 1
    assert slope == pytest.approx(exact, abs=1e-7 * scale)


@settings(max_examples=150)
@given(functionals())
def test_gradient_is_the_derivative_of_the_first_variation(case):
    functional, names = case
    generator = np.random.default_rng(1)
    domain = wgf.Mesh(**{name: wgf.Axis(-3, 3, 1) for name in names})
    particles = wgf.Particles(generator.uniform(0.1, 1.2, size=(5, len(names))), domain=domain)
    points = generator.uniform(0.2, 1.0, size=(7, len(names)))
    gradient = functional.gradient(particles, points)
    step = 1e-5
    for i in range(len(names)):
        shift = np.zeros(len(names))
        shift[i] = step
        ahead = functional.first_variation(particles, points + shift)
        back = functional.first_variation(particles, points - shift)
        # third derivatives times step^2 and round-off over step; no point of these cases lies
        # within a step of the kink of a ReLU
        scale = 1 + np.abs(ahead).max() + np.abs(gradient).max()
        assert np.allclose((ahead - back) / (2 * step), gradient[:, i], rtol=0, atol=1e-7 * scale)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("bias", [False, True])
def test_gradient_of_neurons_with_fifty_inputs(activation, bias):
    generator = np.random.default_rng(2)
    x = generator.normal(size=(30, 50)) / 7
    functional = wgf.Risk(wgf.Neurons(x, activation, bias=bias), wgf.Squared(x[:, 0])) + wgf.Ridge(
        0.1
    )
    particles = wgf.Particles(generator.normal(size=(8, 51 + bias)))
    gradient = functional.gradient(particles)
    direction = generator.normal(size=particles.points.shape)
    step = 1e-6
    ahead = functional.first_variation(particles, particles.points + step * direction)
    back = functional.first_variation(particles, particles.points - step * direction)
    exact = (gradient * direction).sum(axis=1)
    assert np.allclose((ahead - back) / (2 * step), exact, rtol=1e-6, atol=1e-7)


def test_velocity_at_the_kink_has_least_norm():
    functional = wgf.L1(0.5, "x1") + wgf.Potential(lambda p: 2 * p[:, 0], lambda p: 2 + 0 * p)
    particles = wgf.Particles([[0.0], [1.0], [-1.0]])
    assert np.allclose(functional.gradient(particles).ravel(), [1.5, 2.5, 1.5])
    weak = wgf.L1(3.0, "x1") + wgf.Potential(lambda p: 2 * p[:, 0], lambda p: 2 + 0 * p)
    assert weak.gradient(particles)[0, 0] == 0.0


@settings(max_examples=100)
@given(functionals_and_densities())
def test_a_density_is_its_cells_as_points(case):
    """The amplitude collapse and the blocks change nothing but the order of the sums."""
    functional, density = case
    value = functional.value(density)
    scale = sum(abs(v) for v in functional.parts(density).values())
    assert functional.value(density.quadrature()) == pytest.approx(value, abs=1e-12 * (1 + scale))


def test_parts_carry_the_names_of_the_terms():
    functional = wgf.Ridge(1.0) + wgf.L1(2.0, "x1") + wgf.Ridge(3.0)
    particles = wgf.Particles([[2.0]])
    assert functional.parts(particles) == {"ridge": 2.0, "l1": 4.0, "ridge_2": 6.0}
    assert functional.value(particles) == 12.0


def test_sign_of_the_flow():
    """The flow is descent: the poster's printed sign would be ascent."""
    x = np.linspace(-1, 1, 10)
    functional = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(3 * x)))
    mesh = wgf.Mesh(a=wgf.Axis(-2, 2, 20), w=wgf.Axis(-2, 2, 20))
    start = wgf.Density.normal(mesh, 0.4, 0.4)
    for begin in (start, start.quadrature()):
        run = wgf.solve(wgf.GradientFlow(functional), begin, until=0.5)
        assert np.all(np.diff(run.diagnostics["objective"]) < 0)


def test_output_scale():
    """R(alpha s) / alpha^2: for the squared loss with target 0 the scale cancels."""
    x = np.linspace(-1, 1, 5)
    phi = wgf.Neurons(x, "tanh")
    particles = wgf.Particles(np.random.default_rng(0).normal(size=(4, 2)))
    plain = wgf.Risk(phi, wgf.Squared(np.zeros(5)))
    scaled = wgf.Risk(phi, wgf.Squared(np.zeros(5)), scale=7.0)
    assert scaled.value(particles) == pytest.approx(plain.value(particles), rel=1e-14)
    assert np.allclose(scaled.gradient(particles), plain.gradient(particles), rtol=1e-13)


def test_a_risk_predicts_at_new_inputs():
    points = np.random.default_rng(0).normal(size=(5, 3))
    inputs, new = np.eye(2), np.array([[0.5, 2.0], [-1.0, 0.3], [0.0, 0.0]])
    for features in (wgf.Neurons(inputs, "tanh"), wgf.Filter.gaussian(inputs, 0.7)):
        risk = wgf.Risk(features, wgf.Squared([0.0, 1.0]), scale=2.0)
        expected = 2.0 * features.at(new).values(points).mean(axis=0)
        assert np.allclose(risk.predict(wgf.Particles(points), new), expected, rtol=1e-14)
        with pytest.raises(wgf.InputError, match="give inputs of as many components"):
            risk.predict(wgf.Particles(points), new[:, 0])
    risk = wgf.Risk(wgf.Features(lambda p: p), wgf.Squared([0.0, 1.0]))
    with pytest.raises(wgf.InputError, match="inputs: .* has none that could be others"):
        risk.predict(wgf.Particles(points[:, :2]), new)
