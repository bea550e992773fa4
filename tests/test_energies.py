"""Entropies and interactions: values, variations, refusals."""

import numpy as np
import pytest

import wgf


def quadratic(z):
    return 0.5 * np.sum(z**2, axis=1)


@pytest.fixture
def density():
    mesh = wgf.Mesh(x=wgf.Axis(-1, 1, 6), y=wgf.Axis(0, 1, 5, periodic=True))
    return wgf.Density(mesh, np.random.default_rng(0).random(mesh.shape) + 0.1)


TERMS = [
    wgf.Entropy(0.7),
    wgf.PowerEntropy(0.7, 0.5),
    wgf.PowerEntropy(0.7, 2.5),
    wgf.Interaction(lambda z: np.exp(-np.sum(z**2, axis=1))),
]


@pytest.mark.parametrize("term", TERMS, ids=repr)
def test_first_variation_is_the_derivative(term, density):
    direction = np.random.default_rng(1).normal(size=density.values.shape)
    shift = 1e-6
    ahead = term.value(wgf.Density(density.mesh, density.values + shift * direction))
    back = term.value(wgf.Density(density.mesh, density.values - shift * direction))
    variation = term.first_variation(density)
    product = np.sum(variation * direction) * density.mesh.cell_volume
    assert (ahead - back) / (2 * shift) == pytest.approx(product, rel=1e-6)


def test_kernels_are_averaged_over_cells():
    """-log |z|: the mean over a cell, 1 - log(h / 2) at the origin, and what follows elsewhere."""
    mesh = wgf.Mesh(x=wgf.Axis(-1, 1, 20))
    values = np.zeros(20)
    values[7] = 1 / mesh.cell_volume
    term = wgf.Interaction(lambda z: -np.log(np.abs(z[:, 0])))
    found = term.first_variation(wgf.Density(mesh, values))
    # eight Gauss points in each quarter of the cell resolve the logarithm to a few thousandths
    assert found[7] == pytest.approx(1 - np.log(0.05), abs=5e-3)
    ends = np.array([0.45, 0.55])
    exact = -np.diff(ends * np.log(ends) - ends)[0] / 0.1
    # midpoints of sixteen parts of the cell: (h / 16)^2 / (24 r^2) = 7e-6
    assert found[12] == pytest.approx(exact, abs=1e-5)


def test_interaction_of_particles():
    """Quadratic attraction: the force is the distance from the mean."""
    points = np.random.default_rng(2).normal(size=(30, 2))
    cloud = wgf.Particles(points)
    slope = wgf.Interaction(quadratic).gradient(cloud)
    assert slope == pytest.approx(points - points.mean(axis=0), abs=1e-8)
    run = wgf.solve(wgf.GradientFlow(wgf.Interaction(quadratic)), cloud, until=1.0)
    exact = points.mean(axis=0) + np.exp(-1.0) * (points - points.mean(axis=0))
    assert run.final.points == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: wgf.Entropy(-1), "entropy strength: -1 is too small"),
        (lambda: wgf.PowerEntropy(-1, 2), "power entropy strength"),
        (lambda: wgf.PowerEntropy(1, 0), "power entropy exponent: 0 is too small"),
        (lambda: wgf.PowerEntropy(1, 1), "use wgf.Entropy"),
        (lambda: wgf.Interaction(3), "cannot be called"),
        (lambda: wgf.Interaction(lambda z: z[:, 0]), "give a symmetric kernel"),
        (lambda: wgf.Interaction(lambda z: np.full(len(z), np.inf)), "singular at 0 only"),
    ],
)
def test_bad_terms(make, message):
    with pytest.raises(wgf.InputError, match=message):
        make()


def test_refusals(density):
    cloud = density.sample(10, seed=0)
    porous = wgf.GradientFlow(wgf.PowerEntropy(1.0, 2.0))
    fast = wgf.GradientFlow(wgf.PowerEntropy(1.0, 0.5))
    with pytest.raises(wgf.InputError, match="needs a density"):
        wgf.solve(porous, cloud, until=1.0)
    with pytest.raises(wgf.InputError, match="use wgf.Langevin"):
        wgf.solve(wgf.GradientFlow(wgf.Entropy(1.0)), cloud, until=1.0, method=wgf.RungeKutta())
    with pytest.raises(wgf.InputError, match="use wgf.ImplicitFiniteVolume"):
        wgf.solve(fast, density, until=1.0)
    with pytest.raises(wgf.InputError, match="no density"):
        wgf.Entropy(1.0).value(cloud)
