"""Noise for particles against exact moments, and that it can be repeated."""

import numpy as np
import pytest

import wgf


def test_ornstein_uhlenbeck_moments():
    """Mean and variance within four standard errors of 20 000 particles, plus the step's bias."""
    count, until, step = 20_000, 0.5, 0.01
    start = wgf.Particles(np.full((count, 1), 2.0))
    flow = wgf.GradientFlow(wgf.Ridge(1.0) + wgf.Entropy(0.5))
    run = wgf.solve(flow, start, until, method=wgf.Langevin(step, seed=1))
    variance = 0.5 * (1 - np.exp(-2 * until))
    assert run.final.mean()[0] == pytest.approx(
        2 * np.exp(-until), abs=4 * np.sqrt(variance / count) + step
    )
    assert run.final.covariance()[0, 0] == pytest.approx(
        variance, abs=variance * (4 * np.sqrt(2 / count) + 2 * step)
    )


def test_quadratic_neuron_with_noise():
    """phi = u^2, R = (s - 1)^2: M' = -8 M (M - 1) + 2 eps, on particles and on the mesh."""
    eps, until = 0.3, 0.3
    functional = wgf.Risk(wgf.Features(lambda u: u**2), wgf.Squared([1.0], weights=2.0))
    flow = wgf.GradientFlow(functional + wgf.Entropy(eps))
    moment, dt = 0.5, 1e-5
    for _ in range(round(until / dt)):
        moment += dt * (-8 * moment * (moment - 1) + 2 * eps)
    mesh = wgf.Mesh(u=wgf.Axis(-6, 6, 300))
    start = wgf.Density.normal(mesh, 0.5, 0.5)
    run = wgf.solve(flow, start, until)
    # the discrete second moment is that of the cell centres: second order in h = 0.04
    assert run.outputs[-1][0] == pytest.approx(moment, abs=2e-3)
    cloud = wgf.solve(flow, start.sample(20_000, seed=0), until, method=wgf.Langevin(2e-3, seed=1))
    assert cloud.outputs[-1][0] == pytest.approx(moment, abs=0.03)


def test_continues_with_the_same_numbers(tmp_path):
    start = wgf.Particles(np.zeros((5, 2)))
    flow = wgf.GradientFlow(wgf.Ridge(1.0) + wgf.Entropy(1.0))
    options = {"method": wgf.Langevin(0.05, seed=3), "every": 0.5, "save": tmp_path / "run"}
    wgf.solve(flow, start, 0.5, **options)
    resumed = wgf.solve(flow, start, 1.0, resume=True, **options)
    whole = wgf.solve(flow, start, 1.0, method=wgf.Langevin(0.05, seed=3), every=0.5)
    assert np.array_equal(resumed.final.points, whole.final.points)


def test_walls_hold():
    mesh = wgf.Mesh(x=wgf.Axis(-1, 1, 4))
    start = wgf.Particles(np.zeros((200, 1)), domain=mesh)
    run = wgf.solve(wgf.GradientFlow(wgf.Entropy(1.0)), start, 0.5)
    assert np.abs(run.final.points).max() <= 1
