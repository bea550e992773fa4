"""Phase spaces: axes, marginals, velocities of particles, and their way through a store."""

import numpy as np
import pytest

import wgf

LINE = wgf.Mesh(x=wgf.Axis(-2, 2, 16))
PLANE = wgf.Mesh(a=wgf.Axis(-1, 1, 6), b=wgf.Axis(0, 1, 4, periodic=True))


def test_axes_of_a_phase_space():
    mesh = wgf.phase_space(PLANE, speed=(2.0, 3.0), cells=(5, 7))
    assert mesh.names == ("a", "b", "v_a", "v_b")
    assert mesh.shape == (6, 4, 5, 7)
    assert mesh.axis("v_b") == wgf.Axis(-3, 3, 7)
    places, box = mesh.phase
    assert places == PLANE and box.names == ("v_a", "v_b")
    assert LINE.phase is None and PLANE.phase is None
    assert wgf.Mesh(v_x=wgf.Axis(0, 1, 2), x=wgf.Axis(0, 1, 2)).phase is None


def test_samples_of_a_phase_space_have_velocities():
    mesh = wgf.phase_space(LINE, 3.0, 24)
    start = wgf.Density.normal(mesh, (0.5, -1.0), (0.3, 0.4))
    cloud = start.sample(5000, seed=0)
    assert cloud.domain == LINE and cloud.velocities.shape == (5000, 1)
    # four standard errors
    assert cloud.velocities.mean() == pytest.approx(-1.0, abs=4 * 0.4 / np.sqrt(5000))
    cells = wgf.Density(mesh, start.values).quadrature()
    assert cells.in_phase_space().histogram(mesh).values == pytest.approx(start.values)
    assert cloud.histogram(mesh).mass == pytest.approx(1.0)
    assert cloud.in_phase_space().names == ("x", "v_x")


def test_marginals():
    mesh = wgf.phase_space(PLANE, 4.0, 12)
    start = wgf.Density.normal(mesh, (0.2, 0.5, 1.0, 0.0), (0.3, 0.2, 0.5, 0.7))
    places, speeds = wgf.positions(start), wgf.velocities(start)
    assert places.names == ("a", "b") and speeds.names == ("v_a", "v_b")
    assert places.mass == pytest.approx(start.mass, rel=1e-14)
    assert speeds.mean() == pytest.approx([1.0, 0.0], abs=1e-4)
    cloud = start.sample(100, seed=1)
    assert np.array_equal(wgf.velocities(cloud).points, cloud.velocities)
    assert wgf.positions(cloud).velocities is None


def test_maxwellian():
    mesh = wgf.phase_space(LINE, 4.0, 64)
    places = wgf.Density.uniform(LINE)
    hot = wgf.maxwellian(places, 0.5, mesh)
    # sums of a normal over its cells are spectrally exact
    assert wgf.velocities(hot).covariance()[0, 0] == pytest.approx(0.5, rel=1e-6)
    assert wgf.positions(hot).values == pytest.approx(places.values, rel=1e-13)
    cold = wgf.velocities(wgf.maxwellian(places, 0.0, mesh))
    assert cold.mass == pytest.approx(1.0) and np.count_nonzero(cold.values) == 2
    cloud = wgf.maxwellian(places.sample(4000, 0), 0.5, seed=3)
    assert cloud.velocities.var() == pytest.approx(0.5, abs=0.5 * 4 * np.sqrt(2 / 4000))
    assert not wgf.maxwellian(cloud, 0.0).velocities.any()


CASES = [
    (
        lambda: wgf.phase_space(wgf.Mesh(**dict.fromkeys("abc", LINE.axes[0])), 1, 4),
        "3 axes .* 6, a mesh has at most 4, use particles",
    ),
    (lambda: wgf.phase_space(LINE, 0.0, 4), "speed: 0 is too small"),
    (lambda: wgf.phase_space(LINE, (1.0, 2.0), 4), "2 numbers for 1 axes"),
    (lambda: wgf.phase_space(LINE, 1.0, 0), "cells: 0 is too small"),
    (lambda: wgf.maxwellian(wgf.Density.uniform(LINE), 1.0, LINE), "is no phase space of"),
    (lambda: wgf.maxwellian(wgf.Density.uniform(LINE), -1.0), "temperature: -1"),
    (lambda: wgf.maxwellian(wgf.Density.uniform(LINE), (1.0, 2.0)), "2 numbers for 1 axes"),
    (lambda: wgf.positions(wgf.Density.uniform(LINE)), "hold no velocities"),
    (lambda: wgf.velocities(wgf.Particles([[0.0]])), "no velocities"),
    (lambda: wgf.Particles([[0.0]]).in_phase_space(), "no velocities"),
]


@pytest.mark.parametrize("call, message", CASES)
def test_bad_input(call, message):
    with pytest.raises(wgf.InputError, match=message):
        call()
