"""Transport in several dimensions: closed forms within the bound, rates of the bound, refusals."""

import sys

import numpy as np
import pytest

import wgf
from wgf.distances.marginals import wasserstein_1, wasserstein_2
from wgf.distances.transport import cut, torus_distances


def mesh_of(dimension, cells, half=5.0, periodic=False):
    names = ("x", "y", "z")[:dimension]
    return wgf.Mesh(**{name: wgf.Axis(-half, half, cells, periodic) for name in names})


@pytest.mark.parametrize(("dimension", "cells"), [(1, 200), (2, 40), (3, 16)])
def test_gaussians_within_the_bound(dimension, cells):
    """``W2^2 = |difference of means|^2 + sum_i (s_i - t_i)^2`` for axis-parallel normals."""
    mesh, other = mesh_of(dimension, cells), mesh_of(dimension, cells + 7)
    mean = np.array([0.8, -0.4, 0.3])[:dimension]
    first = wgf.Density.normal(mesh, 0.0, 0.6)
    second = wgf.Density.normal(other, mean, 1.0)
    exact = np.sqrt(mean @ mean + dimension * 0.4**2)
    value, bound = wgf.wasserstein(first, second, limit=1000)
    # a cell as uniform mass adds h^2 / 12 to a variance: that much the densities are not normal
    h = mesh.spacing[0]
    assert abs(value - exact) <= bound + h**2 / 12 / 0.6 * dimension
    assert abs(value - exact) < 0.05
    # a translate of the same measure, in W1 and W2
    moved = wgf.Density.normal(mesh, mean.round() / 2 + mesh.spacing[0] * 2, 0.6)
    shift = np.linalg.norm(mean.round() / 2 + mesh.spacing[0] * 2)
    for power in (1, 2):
        value, bound = wgf.wasserstein(first, moved, power, limit=1000)
        assert abs(value - shift) <= bound + h**2


def test_a_cell_is_uniform_mass():
    """A square of width h against a Dirac at its centre: ``W2 = h / sqrt(6)``."""
    mesh = mesh_of(2, 10)
    values = np.zeros(mesh.shape)
    values[3, 4] = 1.0
    centre = wgf.Particles([[-5 + 3.5, -5 + 4.5]])
    for limit, asked in ((1, 1.0), (64, 0.02), (1024, 0.002)):
        value, bound = wgf.wasserstein(wgf.Density(mesh, values), centre, limit=limit)
        assert abs(value - 1 / np.sqrt(6)) <= bound * (1 + 1e-12)
        assert abs(value - 1 / np.sqrt(6)) <= asked
        # halved evenly into squares: half the diagonal of a sub-cell over sqrt(3)
        side = 1 / np.sqrt(limit)
        assert bound == pytest.approx(side * np.sqrt(2) / 2 / np.sqrt(3), rel=1e-12)
    # the mean distance from the centre of the unit square
    exact = (np.sqrt(2) + np.arcsinh(1)) / 6
    value, bound = wgf.wasserstein(wgf.Density(mesh, values), centre, power=1, limit=1024)
    assert abs(value - exact) <= min(bound, 1e-3)


@pytest.mark.parametrize("periodic", [False, True])
def test_products_add_the_squares_of_the_exact_distances_on_each_axis(periodic):
    mesh = mesh_of(2, 24, half=1.0, periodic=periodic)
    first, second = (
        wgf.Density.normal(mesh, m, s) for m, s in (((-0.7, 0), 0.2), ((0.6, 0.2), 0.4))
    )
    period = 2.0 if periodic else None
    exact = np.sqrt(
        sum(wasserstein_2(first.marginal(n), second.marginal(n), period) ** 2 for n in ("x", "y"))
    )
    value, bound = wgf.wasserstein(first, second, limit=800)
    assert abs(value - exact) <= bound
    assert value == pytest.approx(exact, rel=0.02)


def test_pieces_converge_like_their_number_to_one_over_the_dimension():
    for dimension, cells in ((2, 32), (3, 16)):
        density = wgf.Density.normal(mesh_of(dimension, cells), 0.0, 0.8)
        limits = np.array([64, 512, 4096])
        bounds = [cut(density, limit)[2] for limit in limits]
        slope = np.polyfit(np.log(limits), np.log(bounds), 1)[0]
        # optimal quantisation has this rate (Zador); the sizes of the pieces fluctuate
        assert slope == pytest.approx(-1 / dimension, abs=0.05)


def test_cutting_keeps_mass_mean_and_variance():
    generator = np.random.default_rng(1)
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 7), y=wgf.Axis(-2, 3, 5))
    density = wgf.Density(mesh, generator.random(mesh.shape) * (generator.random(mesh.shape) > 0.4))
    cloud = wgf.Particles(generator.normal(size=(500, 2)), generator.random(500))
    for measure, extra in ((density, mesh.spacing**2 / 12), (cloud, 0.0)):
        total = np.diag(measure.covariance()) + extra
        for limit in (1, 10, 100, 1000):
            points, weights, displacement = cut(measure, limit)
            assert len(points) <= limit
            assert weights.sum() == pytest.approx(1.0, rel=1e-14)
            mean = weights @ points
            np.testing.assert_allclose(mean, measure.mean(), atol=1e-13)
            # the variance of the whole is that of the centres and that within the pieces
            centres = weights @ ((points - mean) ** 2).sum(axis=1)
            assert centres + displacement**2 == pytest.approx(total.sum(), rel=1e-12)
    assert displacement == 0.0


@pytest.mark.parametrize("periodic", [False, True])
def test_particles_against_linear_programming(periodic):
    from scipy.optimize import linprog

    generator = np.random.default_rng(3)
    domain = mesh_of(2, 4, half=1.0, periodic=periodic)
    a, b = (
        wgf.Particles(generator.uniform(-1, 1, (k, 2)), generator.random(k), domain=domain)
        for k in (6, 5)
    )
    cost = torus_distances(a.points, b.points, [2.0 * periodic] * 2)
    rows, columns = np.kron(np.eye(6), np.ones(5)), np.kron(np.ones(6), np.eye(5))
    marginals = np.concatenate([a.weights / a.mass, b.weights / b.mass])
    for power in (1, 2):
        found = linprog((cost**power).ravel(), A_eq=np.vstack([rows, columns]), b_eq=marginals)
        value, bound = wgf.wasserstein(a, b, power)
        assert bound == 0.0
        # the linear program is solved to 1e-9
        assert value**power == pytest.approx(found.fun, abs=1e-8)


def test_one_axis_is_exact_and_measures_are_normalised():
    mesh = mesh_of(1, 30)
    density = wgf.Density.normal(mesh, 0.3, 1.0)
    cloud = wgf.Particles(density.sample(20, seed=0).points, np.full(20, 7.0))
    assert wgf.wasserstein(density, cloud, 1) == (wasserstein_1(density, cloud), 0.0)
    mesh = mesh_of(2, 10)
    uniform = wgf.Density(mesh, np.ones(mesh.shape))
    assert wgf.wasserstein(uniform, wgf.Density(mesh, 5 * uniform.values), limit=100).value == 0.0


def test_equal_points_are_not_cut_for_ever():
    cloud = wgf.Particles(np.repeat([[0.1, 0.2], [0.3, 0.4]], 50, axis=0))
    points, weights, displacement = cut(cloud, 10)
    assert len(points) == 2 and displacement == 0.0
    np.testing.assert_allclose(weights, 0.5)


def test_refusals(monkeypatch):
    flat, cloud = wgf.Particles(np.zeros((3, 2))), wgf.Particles(np.zeros((3, 1)))
    with pytest.raises(wgf.InputError, match="2 and 1 axes do not compare"):
        wgf.wasserstein(flat, cloud)
    with pytest.raises(wgf.InputError, match="power: 3 is neither"):
        wgf.wasserstein(flat, flat, power=3)
    with pytest.raises(wgf.InputTypeError, match="int does not fit"):
        wgf.wasserstein(flat, 3)
    empty = wgf.Density(mesh_of(2, 4), np.zeros((4, 4)))
    with pytest.raises(wgf.InputError, match="no mass"):
        wgf.wasserstein(flat, empty)
    one, two = (wgf.Density.uniform(mesh_of(2, 4, periodic=p)) for p in (True, False))
    with pytest.raises(wgf.InputError, match="periods"):
        wgf.wasserstein(one, two)
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(wgf.InputError, match=r'pip install "\.\[compare\]"'):
        wgf.wasserstein(flat, flat)


def test_independent_particles_approach_in_w1_like_the_root_in_one_dimension():
    density = wgf.Density.normal(mesh_of(1, 200), 0, 1)
    counts = [10, 100, 1000, 10000, 100000]
    means = [
        np.mean([wasserstein_1(density, density.sample(m, seed)) for seed in range(20)])
        for m in counts
    ]
    # asked: -1/2 within 0.05 over four decades; twenty repeats leave 10 % of noise in a mean
    assert np.polyfit(np.log(counts), np.log(means), 1)[0] == pytest.approx(-0.5, abs=0.05)
