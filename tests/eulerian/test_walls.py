"""What the columns say of the walls and of the energy identity."""

import numpy as np
import pytest

import wgf


@pytest.mark.parametrize("method", [wgf.FiniteVolume(), wgf.ImplicitFiniteVolume(1e-3)])
def test_wall_columns_of_a_uniform_density_that_leans_on_a_wall(method):
    """Density 1/2 under ``V = -3 x``: the walls hold 2 cells, the upper one holds back 3 rho."""
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 20), y=wgf.Axis(0, 2, 5), z=wgf.Axis(0, 1, 4, periodic=True))
    flow = wgf.GradientFlow(wgf.Potential(lambda p: -3 * p[:, 0]), frozen="y")
    row = method.prepare(flow, wgf.Density.uniform(mesh)).row
    assert row["wall_x"] == pytest.approx(0.1, rel=1e-12)
    assert row["blocked_x"] == pytest.approx(3.0, rel=1e-12)
    assert not {"wall_y", "wall_z", "blocked_y", "blocked_z"} & set(row)


def drift(cells, start, method=None):
    mesh = wgf.Mesh(x=wgf.Axis(-1, 1, cells))
    flow = wgf.GradientFlow(wgf.Potential(lambda p: -p[:, 0]))
    begin = wgf.Density.uniform(mesh, x=start)
    return wgf.solve(flow, begin, 1.5, method=method)


def test_reaching_a_wall_warns_once_and_starting_there_does_not():
    with pytest.warns(wgf.BoxWarning, match="walls of x.*enlarge the axis") as found:
        run = drift(64, (-0.5, 0.0))
    assert len(found) == 1
    assert run.diagnostics["wall_x"][-1] == pytest.approx(1.0, abs=0.1)
    drift(64, (-1.0, 1.0))


def test_residual_of_the_energy_identity_is_of_third_order():
    """``F(t) - F(0) + ∫ dissipation`` by the means of the two stages.

    For a loss quadratic in the density a step leaves ``dt^2/8 F''(L1 - L0, L1 - L0)`` with the two
    stages' changes ``L0`` and ``L1``: of order 4, and of order 3 over a time.
    """
    mesh = wgf.Mesh(u=wgf.Axis(-3, 3, 60))
    risk = wgf.Risk(wgf.Features(lambda p: p**2), wgf.Squared([1.0], weights=2.0))
    flow, start = wgf.GradientFlow(risk), wgf.Density.normal(mesh, 0.8, 0.3)
    residuals = []
    for every in (0.004, 0.002):
        run = wgf.solve(flow, start, 0.2, every=every)
        columns = run.diagnostics
        np.testing.assert_allclose(columns["dt"][1:], every, rtol=1e-9)
        total = columns["objective"] - columns["objective"][0]
        total += np.cumsum(columns["dt"] * columns["dissipation"])
        np.testing.assert_allclose(columns["residual"], total, atol=1e-13)
        residuals.append(abs(columns["residual"][-1]))
    assert residuals[0] / residuals[1] == pytest.approx(8, rel=0.15)
    assert residuals[1] <= 1e-3 * columns["objective"][0]


def test_residual_goes_on_after_a_resume(tmp_path):
    mesh = wgf.Mesh(x=wgf.Axis(-2, 2, 40))
    flow, start = wgf.GradientFlow(wgf.Ridge(1.0)), wgf.Density.normal(mesh, 0.5, 0.2)
    whole = wgf.solve(flow, start, 0.4, every=0.1)
    wgf.solve(flow, start, 0.2, every=0.1, save=tmp_path / "run")
    run = wgf.solve(flow, start, 0.4, every=0.1, save=tmp_path / "run", resume=True)
    assert np.array_equal(run.diagnostics["residual"], whole.diagnostics["residual"])
