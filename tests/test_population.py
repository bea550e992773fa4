"""The population loss against Monte Carlo, differences, and a quadrature in the plane."""

import numpy as np
import pytest

import wgf
from wgf.functional.population import arc_cosine


def pair(dimension, seed=0):
    generator = np.random.default_rng(seed)
    teacher = wgf.PopulationRisk(generator.normal(size=4), generator.normal(size=(4, dimension)))
    return teacher, wgf.Particles(generator.normal(size=(7, dimension + 1)))


def test_kernel_of_special_pairs():
    """``|u|^2 / 2`` for equal, 0 for opposite, ``1 / 2 pi`` for orthogonal unit vectors."""
    u = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]])
    v = np.array([[3.0, 4.0], [-3.0, -4.0], [0.0, 1.0]])
    kernel = arc_cosine(u, v)[0]
    assert kernel[0, 0] == pytest.approx(12.5, rel=1e-15)
    assert abs(kernel[0, 1]) < 1e-14
    assert kernel[1, 2] == pytest.approx(1 / (2 * np.pi), rel=1e-15)
    assert not kernel[2].any()


def test_against_monte_carlo():
    """Four standard errors of a million samples."""
    risk, measure = pair(3)
    x = np.random.default_rng(5).normal(size=(10**6, 3))
    student = np.maximum(x @ measure.points[:, 1:].T, 0) @ (measure.weights * measure.points[:, 0])
    squares = 0.5 * (student - np.maximum(x @ risk.directions.T, 0) @ risk.amplitudes) ** 2
    assert abs(squares.mean() - risk.value(measure)) < 4 * squares.std() / 1e3


def test_against_a_quadrature_on_the_circle():
    """In the plane ``E`` over the radius is 2: a risk on many directions is the same functional."""
    risk, measure = pair(2)
    n = 4000
    angle = 2 * np.pi * (np.arange(n) + 0.5) / n
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    y = np.maximum(x @ risk.directions.T, 0) @ risk.amplitudes
    sampled = wgf.Risk(wgf.Neurons(x, "relu"), wgf.Squared(y, weights=2 / n))
    assert risk.value(measure) == pytest.approx(sampled.value(measure), rel=1e-6)
    np.testing.assert_allclose(risk.gradient(measure), sampled.gradient(measure), atol=1e-3)


@pytest.mark.parametrize("dimension", [1, 2, 50])
def test_gradient_by_differences(dimension):
    risk, measure = pair(dimension)
    generator = np.random.default_rng(1)
    points = generator.normal(size=(5, dimension + 1))
    gradient = risk.gradient(measure, points)
    direction = generator.normal(size=points.shape)
    shift = 1e-6 * direction
    change = risk.first_variation(measure, points + shift)
    change -= risk.first_variation(measure, points - shift)
    found = np.sum(gradient * direction, axis=1)
    np.testing.assert_allclose(change / 2e-6, found, rtol=1e-6, atol=1e-7)


def test_the_flow_falls_and_finds_a_teacher_of_one_neuron():
    """A teacher of one neuron, ten students; the last ones on the far side leave slowly."""
    risk = wgf.PopulationRisk.normalised([1.0], [[0.6, 0.8]])
    generator = np.random.default_rng(0)
    start = wgf.Particles(0.3 * generator.normal(size=(10, 3)))
    run = wgf.solve(wgf.GradientFlow(risk), start, 60.0)
    values = run.diagnostics["objective"]
    assert np.all(np.diff(values) <= 1e-12) and values[-1] < 2e-5


def test_it_is_refused_on_a_mesh():
    risk, _ = pair(1)
    mesh = wgf.Mesh(a=wgf.Axis(-1, 1, 4), w1=wgf.Axis(-1, 1, 4))
    with pytest.raises(wgf.InputError, match="population has no form on a mesh, use particles"):
        wgf.solve(wgf.GradientFlow(risk), wgf.Density.uniform(mesh), 1.0)
    with pytest.raises(wgf.InputError, match="population amplitudes"):
        wgf.PopulationRisk([1.0, 2.0], [[1.0, 0.0]])
