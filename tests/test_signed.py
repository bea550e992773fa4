"""Projections of homogeneous problems and the flat norm, against values known in closed form."""

import numpy as np
import pytest

import wgf
from wgf.signed import difference


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


def test_refusals():
    with pytest.raises(wgf.InputError, match="every amplitude is 0"):
        wgf.amplitude_projection(wgf.Particles(np.zeros((3, 2))))
    with pytest.raises(wgf.InputError, match="at the origin"):
        wgf.radial_projection(wgf.Particles(np.zeros((3, 2))))
    with pytest.raises(wgf.InputError, match="reach: 0"):
        wgf.flat_norm(np.zeros(4), wgf.Axis(0, 1, 4), reach=0.0)
