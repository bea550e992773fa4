"""Kernel distances, slices and Sobolev norms against closed forms, each other and their rates."""

import numpy as np
import pytest

import wgf
from wgf.distances.discrepancy import kernel_mean


def mesh_of(dimension, cells, half=5.0, periodic=False):
    names = ("x", "y", "z")[:dimension]
    return wgf.Mesh(**{name: wgf.Axis(-half, half, cells, periodic) for name in names})


@pytest.mark.parametrize(("dimension", "cells"), [(1, 120), (2, 60), (3, 24)])
def test_mmd_of_gaussians(dimension, cells):
    """``E k(X, Y) = prod_i s / sqrt(v_i) exp(-d_i^2 / 2 v_i)``, ``v = s^2 + s_X^2 + s_Y^2``."""
    first = wgf.Density.normal(mesh_of(dimension, cells), 0.0, 0.8)
    second = wgf.Density.normal(mesh_of(dimension, cells + 3), 0.5, 1.0)
    width = 0.7

    def mean(one, two, shift):
        v = width**2 + one**2 + two**2
        return (width / np.sqrt(v) * np.exp(-0.5 * shift**2 / v)) ** dimension

    exact = np.sqrt(mean(0.8, 0.8, 0) + mean(1, 1, 0) - 2 * mean(0.8, 1, 0.5))
    # cells add h^2 / 12 to each variance, which changes the terms by less than h^2 / 6
    tolerance = dimension * first.mesh.spacing[0] ** 2 / 6 / exact
    assert wgf.mmd(first, second, width) == pytest.approx(exact, abs=0.2 * tolerance)


def test_cells_are_integrated_exactly():
    """Kernel means of two meshes and of points agree with those of fine sub-divisions."""
    generator = np.random.default_rng(0)
    for periodic in (False, True):
        domain = wgf.Mesh(x=wgf.Axis(0, 1, 4, periodic), y=wgf.Axis(-1, 1, 3))
        other = wgf.Mesh(x=wgf.Axis(0, 1, 3, periodic), y=wgf.Axis(-1, 1, 5))
        first = wgf.Density(domain, generator.random(domain.shape))
        second = wgf.Density(other, generator.random(other.shape))

        def fine(density):
            values = density.values.repeat(20, axis=0).repeat(20, axis=1)
            return wgf.Density(density.mesh.refined(20), values).quadrature()

        width, period = np.array([0.3, 0.5]), np.array([1.0 * periodic, 0.0])
        exact = kernel_mean(first, second, width, period)
        # midpoint rule with 20 nodes a cell and axis: h^2 / 24 of the second derivatives
        for one, two in ((first, fine(second)), (fine(first), second)):
            assert kernel_mean(one, two, width, period) == pytest.approx(exact, rel=2e-4)
        assert kernel_mean(fine(first), fine(second), width, period) == pytest.approx(
            exact, rel=4e-4
        )
        assert wgf.mmd(first, first) < 1e-7


def test_mmd_of_independent_particles_has_its_exact_mean():
    """``E MMD^2 = (E k(X, X) - E k(X, X')) / m`` at every number and dimension."""
    for dimension in (1, 2, 3):
        density = wgf.Density.normal(mesh_of(dimension, 16), 0.0, 1.0)
        width = np.full(dimension, 1.0)
        spread = 1 - kernel_mean(density, density, width, np.zeros(dimension))
        for m in (10, 200):
            squares = [wgf.mmd(density, density.sample(m, s), 1.0) ** 2 for s in range(60)]
            # sixty repeats: the relative noise of the mean is 1 / sqrt(60) times one to two
            assert np.mean(squares) * m == pytest.approx(spread, rel=0.3)


def test_mmd_rate_over_four_decades():
    density = wgf.Density.normal(mesh_of(2, 20), 0.0, 1.0)
    counts = [10, 100, 1000, 10000, 100000]

    # against its own draws the cloud's self-term is the cost: the mesh sums it in this width
    def discrepancy(m, seed):
        return wgf.mmd(density, density.sample(m, seed).histogram(density.mesh), 3.0)

    means = [np.mean([discrepancy(m, seed) for seed in range(20)]) for m in counts]
    # asked: -1/2 within 0.05; twenty repeats leave 10 % of noise in a mean
    assert np.polyfit(np.log(counts), np.log(means), 1)[0] == pytest.approx(-0.5, abs=0.05)


def test_energy_distance():
    point, other = wgf.Particles([[0.2]]), wgf.Particles([[0.9]])
    assert wgf.energy_distance(point, other) == pytest.approx(np.sqrt(2 * 0.7), rel=1e-12)
    uniform = wgf.Density.uniform(wgf.Mesh(x=wgf.Axis(0, 1, 10)))
    # 2 ∫ F^2 dx
    assert wgf.energy_distance(uniform, wgf.Particles([[1.0]])) == pytest.approx(np.sqrt(2 / 3))
    # translates far apart in the plane differ like points
    mesh = mesh_of(2, 40, half=20.0)
    first, second = (wgf.Density.uniform(mesh, x=(c, c + 1), y=(0, 1)) for c in (-19, 18))
    within = 0.5214054331647207  # mean distance of two points of the unit square
    found = wgf.energy_distance(first, second, limit=400)
    far = np.mean(np.abs(37 + np.subtract.outer(*[np.linspace(0, 1, 50)] * 2)))
    # the mean over the pairs of pieces leaves out their own distance, of second order in all
    assert found**2 == pytest.approx(2 * far - 2 * within, rel=2e-3)
    # chords of a circle of length 1
    domain = wgf.Mesh(x=wgf.Axis(0, 1, 4, True))
    one, two = wgf.Particles([[0.1]], domain=domain), wgf.Particles([[0.6]], domain=domain)
    assert wgf.energy_distance(one, two) == pytest.approx(np.sqrt(2 / np.pi))


def test_pieces_of_the_energy_distance_converge_with_second_order():
    mesh = mesh_of(2, 16, half=1.0)
    first = wgf.Density.normal(mesh, 0.2, 0.3)
    cloud = first.sample(50, seed=1)
    limits = [64, 256, 1024]
    fine = wgf.energy_distance(first, cloud, limit=16384) ** 2
    errors = [abs(wgf.energy_distance(first, cloud, limit=k) ** 2 - fine) for k in limits]
    # second order in the size of a piece is first order in their number
    assert np.polyfit(np.log(limits), np.log(errors), 1)[0] < -0.85


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_sliced_distance_of_a_translate(dimension):
    """``SW2^2 = |v|^2 / d``, here up to the choice of directions in space."""
    shift = np.array([0.9, -0.3, 0.6])[:dimension]
    cloud = wgf.Particles(np.random.default_rng(0).normal(size=(300, dimension)))
    moved = wgf.Particles(cloud.points + shift)
    value, bound = wgf.sliced_wasserstein(cloud, moved, directions=200)
    exact = np.linalg.norm(shift) / np.sqrt(dimension)
    # two hundred drawn directions leave 1 / sqrt(200) of noise; in the plane they are exact
    assert value == pytest.approx(exact, rel=0.07 if dimension == 3 else 1e-9)
    assert bound == 0.0
    if dimension == 2:
        density = wgf.Density.normal(mesh_of(2, 30), 0.0, 1.0)
        farther = wgf.Density.normal(mesh_of(2, 37), shift, 1.0)
        value, bound = wgf.sliced_wasserstein(density, farther, directions=16, limit=4000)
        assert abs(value - exact) <= bound
        assert value <= wgf.wasserstein(density, farther, limit=500).value + bound


def test_sobolev_norm_of_one_axis_is_the_integral_of_squared_distributions():
    mesh = wgf.Mesh(x=wgf.Axis(-1, 2, 30))
    uniform, point = wgf.Density.uniform(mesh), wgf.Particles([[-1.0]], domain=mesh)
    # ∫ (1 - F)^2 over length 3 is 1; the sum over k of 6 / (pi k)^2 is cut at 20000
    assert wgf.sobolev_norm(uniform, point, modes=20000) == pytest.approx(1.0, abs=3e-5)
    generator = np.random.default_rng(2)
    cloud = wgf.Particles(generator.uniform(-1, 2, (40, 1)), generator.random(40), domain=mesh)
    normal = wgf.Density.normal(mesh, 0.4, 0.5)
    half = wgf.energy_distance(normal, cloud) / np.sqrt(2)
    assert wgf.sobolev_norm(normal, cloud, order=1, modes=20000) == pytest.approx(half, rel=1e-4)
    # the same on the circle, up to the constant that costs least
    ring = wgf.Mesh(x=wgf.Axis(0, 1, 8, True))
    one, two = (wgf.Particles([[x]], domain=ring) for x in (0.1, 0.4))
    # F - G is 1 over 0.3: its variance is 0.3 * 0.7
    found = wgf.sobolev_norm(one, two, order=1, modes=20001)
    assert found == pytest.approx(np.sqrt(0.21), rel=1e-4)


def test_sobolev_norm_of_a_wave_and_across_meshes():
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 200, True), y=wgf.Axis(0, 2, 100))
    x, y = mesh.points().T
    wave = 0.3 * np.cos(2 * np.pi * 3 * x) * np.cos(np.pi * 2 * y / 2)
    flat = wgf.Density.uniform(mesh)
    first = wgf.Density(mesh, flat.values * (1 + wave.reshape(mesh.shape)))
    for order in (1.0, 1.5):
        eigenvalue = (6 * np.pi) ** 2 + np.pi**2
        exact = 0.3 * 0.5 * 0.5 * np.sqrt(2) / eigenvalue ** (order / 2)
        # cell values at the centres and cells as steps: second order, (6 pi / 200)^2 / 24
        assert wgf.sobolev_norm(first, flat, order) == pytest.approx(exact, rel=1e-3)
    coarse = wgf.Mesh(x=wgf.Axis(0, 1, 10, True), y=wgf.Axis(0, 2, 5))
    one = wgf.Density(coarse, np.random.default_rng(0).random(coarse.shape))
    fine = wgf.Density(coarse.refined(3), one.values.repeat(3, axis=0).repeat(3, axis=1))
    # the same measure on another mesh
    assert wgf.sobolev_norm(one, fine) < 1e-14
    # particles: the cells' own draws approach them
    clouds = [wgf.sobolev_norm(one, one.sample(m, seed=0), modes=30) for m in (100, 10000)]
    assert clouds[1] < 0.2 * clouds[0]


def test_refusals():
    flat = wgf.Particles(np.zeros((3, 2)))
    ring = wgf.Density.uniform(mesh_of(2, 4, periodic=True))
    with pytest.raises(wgf.InputError, match="width: 3 numbers for 2 axes"):
        wgf.mmd(flat, flat, [1, 2, 3])
    with pytest.raises(wgf.InputError, match="width: 0 is not positive"):
        wgf.mmd(flat, flat, 0.0)
    with pytest.raises(wgf.InputError, match="periodic axis has no projection"):
        wgf.sliced_wasserstein(flat, ring)
    with pytest.raises(wgf.InputError, match="power: 0 is neither"):
        wgf.sliced_wasserstein(flat, flat, power=0)
    with pytest.raises(wgf.InputError, match="neither measure has a domain"):
        wgf.sobolev_norm(flat, flat)
    with pytest.raises(wgf.InputError, match="differ, compare on one box"):
        wgf.sobolev_norm(*(wgf.Density.uniform(mesh_of(2, 4, half=h)) for h in (1.0, 2.0)))
    with pytest.raises(wgf.InputError, match="order: 0 is too small"):
        wgf.sobolev_norm(ring, ring, order=0)
    with pytest.raises(wgf.InputError, match="modes: 1 is too small"):
        wgf.sobolev_norm(ring, ring, modes=1)
