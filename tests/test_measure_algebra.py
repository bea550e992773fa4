"""Mixtures, correlated normals and densities between the centres of cells."""

import numpy as np
import pytest

import wgf

COV = np.array([[0.5, 0.2], [0.2, 0.4]])


def plane(cells=64, **options):
    return wgf.Mesh(x=wgf.Axis(-6, 6, cells, **options), y=wgf.Axis(-6, 6, cells))


def test_a_correlated_normal_has_its_moments():
    found = wgf.Density.normal(plane(), (0.3, -0.2), cov=COV)
    assert found.mass == pytest.approx(1.0, abs=1e-14)
    # the box ends beyond eight deviations; midpoint sums of a normal converge spectrally, and the
    # average over a cell adds h^2/12 to a variance
    spread = COV + np.eye(2) * (12 / 64) ** 2 / 12
    assert np.allclose(found.mean(), (0.3, -0.2), atol=1e-6)
    assert np.allclose(found.covariance(), spread, atol=1e-6)
    # without correlation it is the product of normals, whose cell averages are exact
    diagonal = wgf.Density.normal(plane(), 0.3, cov=np.diag([0.36, 0.25]))
    product = wgf.Density.normal(plane(), 0.3, (0.6, 0.5))
    assert np.abs(diagonal.values - product.values).max() < 1e-6 * product.values.max()


def test_a_correlated_normal_is_wrapped_on_a_period():
    mesh = plane(periodic=True)
    one, two = (wgf.Density.normal(mesh, (x, 0.0), cov=COV) for x in (5.5, -6.5))
    assert np.allclose(one.values, two.values, rtol=1e-10, atol=1e-16)
    shifted = wgf.Density.normal(mesh, (5.5 - 12 * 8 / 64, 0.0), cov=COV)
    assert np.allclose(np.roll(shifted.values, 8, axis=0), one.values, rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "neither std and cov given"),
        ({"std": 1.0, "cov": COV}, "both std and cov given"),
        ({"cov": [[1.0, 2.0], [2.0, 1.0]]}, "least eigenvalue is -1"),
        ({"cov": [[1.0, 0.1], [0.0, 1.0]]}, "must be symmetric"),
        ({"cov": 1e-4 * COV}, "refine the mesh"),
        ({"cov": [1.0, 1.0]}, "normal cov: shape"),
    ],
)
def test_a_matrix_that_is_no_covariance_is_refused(arguments, told):
    with pytest.raises(wgf.InputError, match=told):
        wgf.Density.normal(plane(), 0.0, **arguments)


def test_mixtures_of_densities_and_of_particles():
    a, b = wgf.Density.normal(plane(), 1.0, 0.5), wgf.Density.normal(plane(), -1.0, cov=COV)
    both = 0.25 * a + b * 0.75
    assert np.array_equal(both.values, 0.25 * a.values + 0.75 * b.values)
    assert both.mass == pytest.approx(1.0, abs=1e-14)
    c, d = a.sample(10, 0), b.sample(20, 1)
    both = 0.25 * c + 0.75 * d
    assert both.size == 30 and both.mass == pytest.approx(1.0, abs=1e-14)
    assert np.allclose(both.mean(), 0.25 * c.mean() + 0.75 * d.mean(), atol=1e-14)
    moving = wgf.Particles([[0.0]], velocities=[[1.0]])
    assert (moving + moving).velocities.tolist() == [[1.0], [1.0]]


def test_what_cannot_be_mixed_is_refused():
    a, other = wgf.Density.normal(plane(), 0.0, 0.5), wgf.Density.normal(plane(32), 0.0, 0.5)
    with pytest.raises(wgf.InputError, match="does not lie in the same place"):
        a + other
    with pytest.raises(wgf.InputError, match="does not lie in the same place"):
        a + a.sample(3, 0)
    with pytest.raises(wgf.InputError, match="density factor: -1 is too small"):
        -1 * a
    with pytest.raises(wgf.InputError, match="dimensions 1 and 2 differ"):
        wgf.Particles([[0.0]]) + wgf.Particles([[0.0, 1.0]])
    with pytest.raises(wgf.InputError, match="velocities are those of one summand"):
        wgf.Particles([[0.0]]) + wgf.Particles([[0.0]], velocities=[[1.0]])
    with pytest.raises(TypeError):
        a + 1.0


def test_interpolation_is_exact_for_linear_densities_and_of_order_2():
    mesh = plane(16)
    linear = wgf.Density.from_function(mesh, lambda p: 20 + p[:, 0] - 2 * p[:, 1])
    points = np.random.default_rng(0).uniform(-5.5, 5.5, (50, 2))
    assert np.allclose(linear.interpolate(points), 20 + points[:, 0] - 2 * points[:, 1], rtol=1e-13)
    assert np.array_equal(linear.interpolate(mesh.points()), linear.values.ravel())
    # constant between a wall and the next centre, nothing outside
    assert linear.interpolate([[-6.0, 0.375]])[0] == linear.interpolate([[-5.625, 0.375]])[0]
    assert linear.interpolate([[6.1, 0.0], [0.0, -7.0]]).tolist() == [0.0, 0.0]

    def error(cells):
        found = wgf.Density.normal(plane(cells), 0.0, 1.0)
        values = np.exp(-0.5 * (points**2).sum(axis=1)) / (2 * np.pi)
        return np.abs(found.interpolate(points) - values).max()

    assert 3.3 < error(64) / error(128) < 4.7


def test_interpolation_crosses_a_seam():
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 4, periodic=True))
    density = wgf.Density(mesh, [1.0, 2.0, 3.0, 4.0])
    # between the last centre, .875, and the first one behind the seam, 1.125
    assert np.allclose(density.interpolate([[0.0], [1.0], [0.9375], [-0.125]]), [2.5, 2.5, 3.25, 4])
