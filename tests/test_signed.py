"""Projections of homogeneous problems and the flat norm, against values known in closed form."""

import numpy as np
import pytest

import wgf
from wgf.measures.signed import difference


def test_amplitude_projection_keeps_the_model_output():
    filters = wgf.Filter.dirichlet(2)
    mesh = wgf.Mesh(w=wgf.Axis(-2, 3, 25), x=wgf.Axis(0, 1, 16, True))
    density = wgf.Density(mesh, np.random.default_rng(0).random(mesh.shape))
    risk = wgf.Risk(filters, wgf.Squared(np.zeros(5)))
    for measure in (density, density.sample(50, seed=1)):
        projected = wgf.amplitude_projection(measure)
        assert np.allclose(risk.output(measure), risk.output(projected), rtol=0, atol=1e-13)
        penalty = wgf.L1(1.0, "w")
        assert penalty.value(projected) == pytest.approx(penalty.value(measure), rel=1e-13)
    assert difference(wgf.amplitude_projection(density)).shape == (16,)


def test_radial_projection_of_a_ring():
    angles = np.linspace(0, 2 * np.pi, 7)[:-1]
    points = 3 * np.column_stack([np.cos(angles), np.sin(angles)])
    projected = wgf.radial_projection(wgf.Particles(points))
    assert projected.mass == pytest.approx(9.0)
    assert np.allclose(projected.points, points / 3)


def test_flat_norm_of_two_spikes():
    """Moving one unit by d costs d / reach, up to 2 for destroying and creating it."""
    axis = wgf.Axis(0, 1, 100)
    masses = np.zeros(100)
    masses[20], masses[45] = 1.0, -1.0
    assert wgf.flat_norm(masses, axis, reach=0.5) == pytest.approx(0.5)
    assert wgf.flat_norm(masses, axis, reach=0.1) == pytest.approx(2.0)
    masses[45] = 0.0
    assert wgf.flat_norm(masses, axis, reach=0.1) == pytest.approx(1.0)


def test_flat_norm_goes_round_the_circle():
    masses = np.zeros(50)
    masses[1], masses[48] = 1.0, -1.0
    assert wgf.flat_norm(masses, wgf.Axis(0, 1, 50, True), reach=1.0) == pytest.approx(3 / 50)
    assert wgf.flat_norm(masses, wgf.Axis(0, 1, 50), reach=1.0) == pytest.approx(47 / 50)


def test_neuron_projection_keeps_output_and_penalty_on_the_cone():
    generator = np.random.default_rng(0)
    angles, radii = generator.uniform(-np.pi, np.pi, 20), generator.uniform(0.2, 1.0, 20)
    signs = generator.choice([-1.0, 1.0], 20)
    w = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    neurons = wgf.Particles(np.column_stack([signs * radii, w]), generator.random(20))
    projected = wgf.neuron_projection(neurons, 8)
    x = generator.normal(size=(5, 2))
    unit = np.maximum(np.cos(projected.points[:, 1:] - np.arctan2(x[:, 1], x[:, 0])), 0)
    output = (projected.weights * projected.points[:, 0]) @ (unit * np.hypot(*x.T))
    full = wgf.Risk(wgf.Neurons(x, "relu"), wgf.Squared(np.zeros(5))).output(neurons)
    assert np.allclose(output, full, rtol=0, atol=1e-13)
    assert projected.mass == pytest.approx(wgf.Ridge(1.0).value(neurons), rel=1e-13)


def test_neuron_projection_of_a_density():
    """27 points a cell: the mass of |a||w| to O(h^2), the angles to the width of a cell."""
    mesh = wgf.Mesh(**{name: wgf.Axis(-1, 1, 24) for name in ("a", "w1", "w2")})
    projected = wgf.neuron_projection(wgf.Density.uniform(mesh, a=(0, 1)), 4)
    # means of a and |w| over [0, 1] and the square of side 2
    exact = 0.5 * (np.sqrt(2) + np.log(1 + np.sqrt(2))) / 3
    assert projected.mass == pytest.approx(exact, rel=1e-3)
    assert np.all(projected.values[0] == 0)
    # four quadrants, equal by symmetry
    assert np.allclose(projected.values[1], projected.values[1].mean(), rtol=1e-12)


def test_refusals():
    with pytest.raises(wgf.InputError, match="has 2 axes, give a, w1, w2"):
        wgf.neuron_projection(wgf.Particles(np.ones((3, 2))), 8)
    with pytest.raises(wgf.InputError, match="every neuron is 0"):
        wgf.neuron_projection(wgf.Particles(np.zeros((3, 3))), 8)
    with pytest.raises(wgf.InputError, match="neuron projection cells: 0"):
        wgf.neuron_projection(wgf.Particles(np.ones((3, 3))), 0)
    with pytest.raises(wgf.InputError, match="every amplitude is 0"):
        wgf.amplitude_projection(wgf.Particles(np.zeros((3, 2))))
    with pytest.raises(wgf.InputError, match="at the origin"):
        wgf.radial_projection(wgf.Particles(np.zeros((3, 2))))
    with pytest.raises(wgf.InputError, match="reach: 0"):
        wgf.flat_norm(np.zeros(4), wgf.Axis(0, 1, 4), reach=0.0)


def test_flat_distance_of_particles_and_of_cells():
    left, right = wgf.Particles([[0.2]], [2.0]), wgf.Particles([[0.3]], [1.5])
    # one and a half units move by a tenth, half a unit goes
    assert wgf.flat_distance(left, right, reach=0.5) == pytest.approx(1.5 * 0.2 + 0.5)
    # creating costs 1 a unit, so that nothing moves farther than twice the reach
    assert wgf.flat_distance(left, right, reach=0.01) == pytest.approx(3.5)
    across = wgf.Particles([[0.95]], [2.0])
    assert wgf.flat_distance(left, across, reach=1.0, period=1.0) == pytest.approx(2 * 0.25)
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 4))
    even = wgf.Density(mesh, np.ones(4))
    # quarter points of the cells: 1/16 from the nearest of them on average
    nodes = wgf.Particles(mesh.centers("x")[:, None], np.full(4, 0.25))
    assert wgf.flat_distance(even, nodes, reach=1.0) == pytest.approx(1 / 16)


def test_flat_distance_counts_copies_with_their_sign():
    mesh = wgf.Mesh(w=wgf.Axis(-2, 2, 2), x=wgf.Axis(0, 1, 10))
    values = np.zeros((2, 10))
    values[:, 3] = 5.0
    both = wgf.Density(mesh, values)
    nothing = wgf.Density(mesh, np.zeros((2, 10)))
    assert wgf.flat_distance(both, nothing, 1, reach=0.1) == 0
    spike = wgf.Particles([[-1.0, 0.5]], [0.7], domain=mesh)
    assert wgf.flat_distance(both, spike, 1, reach=0.1) == pytest.approx(0.7)
