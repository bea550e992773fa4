"""The scripts with noise and interaction on coarse meshes, density against particles."""

import numpy as np
import pytest
from test_solvers import solve


def test_fokker_planck_relaxes_along_y():
    solutions, _, _ = solve("fokker_planck_2d", particles=2000, cells=64, until=1.0)
    variance = 0.1 + (0.3**2 - 0.1) * np.exp(-2.0)
    mesh, cloud = (solutions[side].final for side in ("mesh", "particles"))
    assert mesh.mean()[1] == pytest.approx(0.5 * np.exp(-1.0), abs=0.01)
    assert mesh.covariance()[1, 1] == pytest.approx(variance, rel=0.05)
    # four standard errors of 2000 particles
    assert cloud.mean() == pytest.approx(mesh.mean(), abs=4 * np.sqrt(0.15 / 2000))
    energy = solutions["mesh"].diagnostics["objective"]
    assert np.all(np.diff(energy) <= 1e-13)


def test_aggregation_keeps_its_centre_and_spreads_as_its_particles():
    solutions, _, _ = solve("aggregation_diffusion_2d", particles=200, cells=32, until=1.0)
    mesh, cloud = (solutions[side].final for side in ("mesh", "particles"))
    assert mesh.mean() == pytest.approx(0.0, abs=1e-12)
    # the logarithm adds 1 and the noise 4 noise to the second moment: m' = -2 m + 1 + 4 noise
    rest = (1 + 4 * 0.02) / 2
    moment = rest + (0.6**2 + 0.3**2 - rest) * np.exp(-2.0)
    assert np.trace(mesh.covariance()) == pytest.approx(moment, rel=0.03)
    # the particles drift as a whole by the noise; 200 of them know a variance to about 10 %
    assert np.trace(cloud.covariance()) == pytest.approx(moment, rel=0.2)
