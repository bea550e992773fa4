"""Stationary states and rates against known values, on the problems of benchmarks/rest.py."""

import numpy as np
import pytest
import rest

import wgf

# boxes are those of the published values
pytestmark = pytest.mark.filterwarnings("ignore:box")


# the exact means are .183062 and 0; near the onset, at .4569, the mean is that of KL^(1/2)
@pytest.mark.parametrize("eps, exact", [(0.447808, 0.183062), (0.5026, 0.0)])
@pytest.mark.parametrize("begin", [1.0, 0.3])
def test_two_wells_with_attraction(eps, exact, begin):
    run = rest.at_rest(*rest.two_well(eps, begin))
    assert run.status == "done" and "bounds nothing, since interaction" in run.message
    # asked: 2e-3, which is what 100 cells leave
    assert run.final.mean()[0] == pytest.approx(exact, abs=2e-3)


@pytest.mark.parametrize("coupling, exact", [(2.2, 0.41338851), (3, 0.72415872), (6, 0.90215278)])
def test_noisy_oscillators(coupling, exact):
    run = rest.at_rest(*rest.oscillators(coupling))
    assert run.status == "done"
    # asked: 2e-4
    assert rest.order_parameter(run.final) == pytest.approx(exact, abs=2e-4)


@pytest.mark.parametrize("c", [0.0, 0.5, 0.95])
def test_correlated_gaussians(c):
    """Rest is where the flow vanishes on all axes at once; one long step is nearly there."""
    flow, start, gibbs = rest.correlated(c, 40)
    run = rest.at_rest(flow, start)
    assert run.status == "done" and "bounds F - min F" in run.message
    # asked: 1e-3
    assert rest.distance(run.final, gibbs) < 1e-5
    assert run.final.values.min() >= 0 and run.final.mass == pytest.approx(1, rel=3e-15)
    # implicit Euler divides a mode of rate r by 1 + 1e3 r; the slowest has r = 1 / (1 + c) at least
    assert rest.contraction(c, 40) < 2e-3


@pytest.mark.parametrize("steps", [0.01, 1.0, 1e6])
def test_the_first_step_does_not_matter(steps):
    flow, start, gibbs = rest.correlated(0.5, 24)
    assert rest.distance(rest.at_rest(flow, start, steps).final, gibbs) < 1e-5


def test_neurons_with_an_entropy():
    flow, start = rest.regression(cells=30)
    run = rest.at_rest(flow, start)
    # asked: 1e-3
    assert run.status == "done" and rest.distance(run.final, rest.fixed_point(start)) < 1e-3


@pytest.mark.parametrize("eps, exact", [(0.1, 3.35452873e-2), (0.3, 0.238022428)])
def test_relaxation_rate_of_a_double_well(eps, exact):
    """By default options of the method; 200 cells leave a few parts in ten thousand."""
    found = rest.measured_rate(eps, wgf.ImplicitFiniteVolume())
    assert found == pytest.approx(exact, rel=3e-3)


def test_a_given_step_is_never_exceeded():
    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, 60))
    flow = wgf.GradientFlow(wgf.Potential(rest.double_well) + wgf.Entropy(0.3))
    start = wgf.Density.normal(mesh, 1.0, 0.3)
    run = wgf.solve(flow, start, 1.0, method=wgf.ImplicitFiniteVolume(0.03))
    # 33 steps and one that lands
    assert run.diagnostics["dt"].max() <= 0.03 * (1 + 1e-12)
    assert len(run.diagnostics["t"]) == 35
    assert np.sum(run.diagnostics["rejected"]) == 0


def test_a_run_that_cannot_reach_its_tolerance_is_not_done():
    """A wall without end between two halves: mass cannot pass, and that is no rest of F."""
    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, 40))

    def walled(points):
        return np.where(np.abs(points[:, 0]) < 0.5, np.inf, 0.5 * points[:, 0] ** 2)

    flow = wgf.GradientFlow(wgf.Potential(walled) + wgf.Entropy(0.3))
    start = wgf.Density.uniform(mesh, x=(1.0, 3.0))
    with pytest.warns(wgf.StationaryWarning, match="F no longer falls, but eps KL"):
        run = rest.at_rest(flow, start)
    assert run.status == "stopped" and run.final.mass == pytest.approx(start.mass, rel=1e-14)
