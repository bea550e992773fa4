"""Starts that separate and starts that do not; what becomes of the latter."""

import numpy as np
import pytest

import wgf
from wgf.theory.separation import half_space, one_sided


def spikes():
    filters = wgf.Filter.dirichlet(3)
    y = np.array([0.5, -0.5]) @ filters.unit(np.array([[0.2], [0.7]]))
    return wgf.Risk(filters, wgf.Squared(y, weights=20.0)) + wgf.L1(1.0, axes="w")


def relu(p=2):
    x = np.random.default_rng(0).normal(size=(9, p))
    return wgf.Functional([wgf.Risk(wgf.Neurons(x, "relu"), wgf.Squared(x[:, 0]))])


@pytest.mark.parametrize("signs, found", [((1, 1), True), ((-1, -1), True), ((1, -1), False)])
def test_amplitudes_of_one_sign(signs, found):
    points = np.stack([np.repeat(signs, 5), np.tile(np.linspace(0, 0.8, 5), 2)], axis=1)
    trouble = one_sided(wgf.GradientFlow(spikes()), wgf.Particles(points))
    assert (trouble is not None) == found
    if found:
        assert "does not separate w = -r from w = +r" in trouble


def test_amplitudes_at_0_or_frozen_are_fine():
    at_zero = wgf.Particles(np.stack([np.zeros(5), np.linspace(0, 0.8, 5)], axis=1))
    assert one_sided(wgf.GradientFlow(spikes()), at_zero) is None
    above = wgf.Particles(np.ones((3, 2)))
    assert one_sided(wgf.GradientFlow(spikes(), frozen=("w",)), above) is None


def test_half_space():
    generator = np.random.default_rng(0)
    points = generator.normal(size=(200, 3))
    assert half_space(points) is None
    direction = np.array([1.0, -2.0, 0.5])
    inside = points[points @ direction > 0.1]
    normal = half_space(inside)
    assert np.all(inside @ normal > 0)


def test_relu_on_one_side_of_the_weights():
    flow = wgf.GradientFlow(relu())
    generator = np.random.default_rng(1)
    around = wgf.Particles(generator.normal(size=(60, 3)))
    assert one_sided(flow, around) is None
    aside = wgf.Particles(np.abs(generator.normal(size=(60, 3))) * [1, 1, 1] + [-0.5, 0, 0])
    assert "separate a small sphere" in one_sided(flow, aside)
    mesh = wgf.Mesh(**{name: wgf.Axis(-2, 2, 16) for name in ("a", "w1", "w2")})
    assert one_sided(flow, wgf.Density.normal(mesh, 0, 0.3)) is None
    shifted = wgf.Density.uniform(mesh, w1=(0.5, 1.0))
    assert "separate a small sphere" in one_sided(flow, shifted)


def test_solve_warns_of_a_one_sided_start():
    start = wgf.Particles(np.stack([np.full(5, 0.8), np.linspace(0, 0.8, 5)], axis=1))
    with pytest.warns(wgf.StartWarning, match="every amplitude w is positive"):
        wgf.solve(wgf.GradientFlow(spikes()), start, 0.1)
