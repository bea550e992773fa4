"""Exact distances on one axis against closed forms and general transport."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wgf
from wgf.distances.marginals import wasserstein_1, wasserstein_2


def spike(x):
    return wgf.Particles([[x]])


def cell(index, cells=10):
    values = np.zeros(cells)
    values[index] = cells
    return wgf.Density(wgf.Mesh(x=wgf.Axis(0, 1, cells)), values)


def test_a_cell_is_uniform_mass():
    """Cell of width h against a Dirac at its centre: W1 = h/4, W2 = h/sqrt(12)."""
    assert wasserstein_1(cell(3), spike(0.35)) == pytest.approx(0.1 / 4, rel=1e-12)
    assert wasserstein_2(cell(3), spike(0.35)) == pytest.approx(0.1 / np.sqrt(12), rel=1e-12)
    assert wasserstein_1(cell(3), cell(7)) == pytest.approx(0.4, rel=1e-12)


def test_gaussians():
    mesh = wgf.Mesh(x=wgf.Axis(-9, 9, 600))
    normal = wgf.Density.normal(mesh, 0, 1)
    shifted, wide = wgf.Density.normal(mesh, 0.5, 1), wgf.Density.normal(mesh, 0, 1.5)
    assert wasserstein_1(normal, shifted) == pytest.approx(0.5, abs=1e-10)
    assert wasserstein_2(normal, shifted) == pytest.approx(0.5, abs=1e-6)
    # cells as uniform mass add h^2 / 12 to both variances
    h = mesh.spacing[0]
    assert wasserstein_2(normal, wide) == pytest.approx(0.5, abs=h**2)
    assert wasserstein_1(normal, wide) == pytest.approx(0.5 * np.sqrt(2 / np.pi), abs=h**2)


def test_the_circle():
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 10, True))
    uniform = wgf.Density(mesh, np.ones(10))
    assert wasserstein_1(uniform, spike(0.3), 1.0) == pytest.approx(0.25, rel=1e-12)
    assert wasserstein_2(uniform, spike(0.3), 1.0) == pytest.approx(np.sqrt(1 / 12), rel=1e-9)
    assert wasserstein_1(spike(0.05), spike(0.9), 1.0) == pytest.approx(0.15)
    assert wasserstein_2(spike(0.05), spike(0.9), 1.0) == pytest.approx(0.15, rel=1e-6)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.booleans())
def test_particles_against_linear_programming(seed, periodic):
    from scipy.optimize import linprog

    generator = np.random.default_rng(seed)
    a = wgf.Particles(generator.random((5, 1)), generator.random(5))
    b = wgf.Particles(generator.random((4, 1)), generator.random(4))
    distance = np.abs(a.points - b.points.T)
    if periodic:
        distance = np.minimum(distance, 1 - distance)
    rows = np.kron(np.eye(5), np.ones(4))
    columns = np.kron(np.ones(5), np.eye(4))
    marginals = np.concatenate([a.weights / a.mass, b.weights / b.mass])
    for power, found in (
        (1, wasserstein_1(a, b, 1.0 if periodic else None)),
        (2, wasserstein_2(a, b, 1.0 if periodic else None) ** 2),
    ):
        cost = (distance**power).ravel()
        exact = linprog(cost, A_eq=np.vstack([rows, columns]), b_eq=marginals).fun
        # the linear program is solved to 1e-9
        assert found == pytest.approx(exact, abs=1e-8)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.booleans())
def test_metric_axioms(seed, periodic):
    generator = np.random.default_rng(seed)
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 12, periodic))
    a, b = (wgf.Density(mesh, generator.random(12)) for _ in range(2))
    c = wgf.Particles(generator.random((7, 1)))
    period = 1.0 if periodic else None
    for distance in (wasserstein_1, wasserstein_2):
        ab, ba = distance(a, b, period), distance(b, a, period)
        assert ab == pytest.approx(ba, abs=1e-7)
        assert distance(a, a, period) == pytest.approx(0, abs=1e-7)
        assert ab <= distance(a, c, period) + distance(c, b, period) + 1e-7
    assert wasserstein_1(a, b, period) <= wasserstein_2(a, b, period) + 1e-7


def test_sampling_rate():
    """Independent particles approach the density in W1 like m^(-1/2) in one dimension."""
    mesh = wgf.Mesh(x=wgf.Axis(-5, 5, 200))
    density = wgf.Density.normal(mesh, 0, 1)
    counts, errors = [100, 1000, 10000], []
    for m in counts:
        found = [wasserstein_1(density, density.sample(m, seed)) for seed in range(20)]
        errors.append(np.mean(found))
    # twenty repeats leave a few per cent of noise in each mean
    assert np.polyfit(np.log(counts), np.log(errors), 1)[0] == pytest.approx(-0.5, abs=0.05)


def test_refusals():
    with pytest.raises(wgf.InputError, match="2 axes"):
        wasserstein_1(wgf.Particles(np.zeros((3, 2))), spike(0.0))
    empty = wgf.Density(wgf.Mesh(x=wgf.Axis(0, 1, 3)), np.zeros(3))
    with pytest.raises(wgf.InputError, match="no mass"):
        wasserstein_1(empty, spike(0.0))


def test_measures_on_a_circle_are_measured_on_it():
    """Two spikes on both sides of the seam, without a word on the period."""
    circle = wgf.Mesh(x=wgf.Axis(0, 1, 20, periodic=True))
    low, high = (wgf.Particles([[x]], domain=circle) for x in (0.05, 0.9))
    across = wgf.Density.uniform(circle, x=(0.85, 0.95)), wgf.Density.uniform(circle, x=(0, 0.1))
    for first, second in ((low, high), across):
        assert wasserstein_1(first, second) == pytest.approx(0.15)
        assert wasserstein_2(first, second) == pytest.approx(0.15, rel=1e-6)
        assert wgf.flat_distance(first, second, reach=0.3) == pytest.approx(0.5)
    # a circle that is asked for counts, and particles without one lie on a line
    free = wgf.Particles(low.points), wgf.Particles(high.points)
    assert wasserstein_1(*free) == pytest.approx(0.85)
    assert wasserstein_1(*free, 1.0) == pytest.approx(0.15)
