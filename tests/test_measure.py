"""Densities and particles: exact cell averages, marginals, samples, histograms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from strategies import densities, meshes

import wgf

CASES = meshes().flatmap(densities)


@settings(max_examples=60)
@given(CASES)
def test_marginals_keep_mass_and_mean(density):
    for i, name in enumerate(density.names):
        marginal = density.marginal(name)
        assert marginal.mass == pytest.approx(density.mass, rel=1e-13)
        assert marginal.mean()[0] == pytest.approx(density.mean()[i], rel=1e-12, abs=1e-12)
    reverse = density.marginal(*density.names[::-1])
    assert np.allclose(reverse.values, density.values.transpose(), rtol=1e-14)


@settings(max_examples=60)
@given(CASES)
def test_quadrature_and_histogram_invert_each_other(density):
    particles = density.quadrature()
    assert (particles.weights > 0).all()
    again = particles.histogram(density.mesh)
    assert np.allclose(again.values, density.values, rtol=1e-14)
    assert np.allclose(particles.covariance(), density.covariance(), rtol=1e-10, atol=1e-12)


def test_normal_has_exact_cell_averages():
    mesh = wgf.Mesh(x=wgf.Axis(-1, 2, 17), y=wgf.Axis(0, 5, 9))
    density = wgf.Density.normal(mesh, (0.3, 1.0), (0.4, 2.0))
    factors = []
    for axis, m, s in zip(mesh.axes, (0.3, 1.0), (0.4, 2.0)):
        mass = np.diff(ndtr((axis.edges - m) / s))
        factors.append(mass / mass.sum() / axis.spacing)
    assert np.allclose(density.values, np.multiply.outer(*factors), rtol=1e-12)
    assert density.mass == pytest.approx(1.0, rel=1e-14)


def test_normal_far_in_the_tail_does_not_cancel():
    mesh = wgf.Mesh(x=wgf.Axis(-1, 12, 13))
    values = wgf.Density.normal(mesh, 0.0, 1.0).values
    # mass of [10, 11]: the survival function, not a difference of two ones
    assert values[11] == pytest.approx((ndtr(-10.0) - ndtr(-11.0)) / ndtr(1.0), rel=1e-10)


def test_normal_wraps_round_a_period():
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 20, periodic=True))
    values = wgf.Density.normal(mesh, 0.0, 0.2).values
    assert np.allclose(values, values[::-1], rtol=1e-12)
    wide = wgf.Density.normal(mesh, 0.3, 3.0).values
    assert np.allclose(wide, 1.0, atol=1e-12)


def test_uniform_gives_cut_cells_their_share():
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 4), y=wgf.Axis(0, 1, 2))
    density = wgf.Density.uniform(mesh, x=(0.125, 0.5))
    assert np.allclose(density.values[:, 0], np.array([0.125, 0.25, 0, 0]) / 0.375 / 0.25)
    assert density.mass == pytest.approx(1.0)


@pytest.mark.parametrize("nodes, order", [(1, 2), (2, 4)])
def test_from_function_has_the_order_of_its_rule(nodes, order):
    errors = []
    for n in (10, 20):
        mesh = wgf.Mesh(x=wgf.Axis(0, 2, n))
        exact = np.diff(np.exp(mesh.axes[0].edges)) / mesh.spacing[0]
        found = wgf.Density.from_function(mesh, lambda p: np.exp(p[:, 0]), nodes=nodes)
        errors.append(np.abs(found.values - exact).max())
    assert np.log2(errors[0] / errors[1]) >= order - 0.1


def test_sample_has_the_right_law():
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 5), y=wgf.Axis(0, 1, 4))
    values = np.random.default_rng(0).random(mesh.shape)
    values[2] = 0.0
    density = wgf.Density(mesh, values)
    m = 40000
    particles = density.sample(m, seed=3)
    expected = density.weights / density.mass
    found = particles.histogram(mesh).weights / density.mass
    assert found.reshape(mesh.shape)[2].sum() == 0.0
    # five standard errors of a binomial share
    assert (np.abs(found - expected) <= 5 * np.sqrt(expected / m) + 1e-15).all()
    offset = particles.points[:, 0] / mesh.spacing[0] % 1
    assert abs(offset.mean() - 0.5) <= 5 / np.sqrt(12 * m)
    assert particles.mass == pytest.approx(density.mass)
    again = density.sample(m, seed=3)
    assert np.array_equal(particles.points, again.points)


@settings(max_examples=50)
@given(st.integers(0, 10**6))
def test_particles_know_mean_and_covariance(seed):
    generator = np.random.default_rng(seed)
    points, weights = generator.normal(size=(9, 3)), generator.random(9)
    particles = wgf.Particles(points, weights)
    assert np.allclose(particles.mean(), np.average(points, axis=0, weights=weights))
    exact = np.cov(points.T, aweights=weights, ddof=0)
    assert np.allclose(particles.covariance(), exact)


def test_default_weights():
    assert np.array_equal(wgf.Particles(np.zeros((4, 2))).weights, np.full(4, 0.25))


@pytest.mark.parametrize("periodic", [False, True])
def test_particles_at_the_centres_have_point_values_where_they_are_known(periodic):
    """Spectral accuracy instead of order 2, for moments that are known exactly."""
    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, 64, periodic=periodic))

    def bell(points):
        return np.exp(-0.5 * ((points[:, 0] - 0.3) / 0.4) ** 2) / (0.4 * np.sqrt(2 * np.pi))

    for density in (wgf.Density.normal(mesh, 0.3, 0.4), wgf.Density.from_function(mesh, bell)):
        cloud = density.quadrature()
        assert cloud.mass == pytest.approx(density.mass, rel=1e-14)
        x, weights = cloud.points[:, 0], cloud.weights / cloud.mass
        # the tail beyond the walls is 1e-20; round-off of 64 numbers
        assert weights @ np.cos(x) == pytest.approx(np.exp(-0.08) * np.cos(0.3), abs=1e-13)
        averages = wgf.Density(mesh, density.values).quadrature()
        error = averages.weights @ np.cos(averages.points[:, 0]) - np.exp(-0.08) * np.cos(0.3)
        # a twenty-fourth of the width squared times the second derivative
        assert abs(error) > 1e-4


def test_cells_too_coarse_for_point_values_give_their_mass():
    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, 10))
    for density in (
        wgf.Density.normal(mesh, 0.3, 0.01),
        wgf.Density.from_function(mesh, lambda p: 1.0 * (p[:, 0] > 0.37)),
        wgf.Density.uniform(mesh, x=(0.1, 0.5)),
    ):
        cloud = density.quadrature()
        full = density.weights > 0
        assert np.array_equal(cloud.weights, density.weights[full])


def test_a_density_of_a_lambda_can_be_pickled():
    import pickle

    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, 10))
    density = wgf.Density.from_function(mesh, lambda p: np.exp(-(p[:, 0] ** 2)))
    assert np.array_equal(pickle.loads(pickle.dumps(density)).values, density.values)
