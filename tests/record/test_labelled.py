"""Runs as labelled arrays: every number under its name, with its coordinates."""

import numpy as np
import pytest

import wgf

FLOW = wgf.GradientFlow(wgf.Ridge(1.0))


def begin():
    mesh = wgf.Mesh(x=wgf.Axis(-2, 2, 8), mass=wgf.Axis(-1, 1, 6))
    return wgf.Density.normal(mesh, 0.3, 0.4)


def test_a_density_has_its_cells_and_times():
    run = wgf.solve(FLOW, begin(), 0.2, every=0.1)
    found = run.to_xarray()
    # an axis that is called like a column gives way
    assert found.density.dims == ("time", "x", "axis_mass")
    assert np.array_equal(found.density.sel(time=0.1), run.at(0.1).values)
    assert np.array_equal(found.x, run.final.mesh.centers("x"))
    assert found.density.attrs["units"] == "mass per unit x x mass"
    for name, column in run.diagnostics.items():
        assert np.array_equal(found["step_time" if name == "t" else name], column), name
    assert found.objective.dims == ("step",) and found.attrs["status"] == "done"
    assert np.array_equal(run.to_pandas()["objective"], run.diagnostics["objective"])


def test_particles_have_named_components(tmp_path):
    x = np.linspace(-1, 1, 7)
    F = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(x)))
    start = wgf.Particles(np.random.default_rng(0).normal(size=(5, 2)))
    wgf.solve(wgf.GradientFlow(F), start, 0.2, every=0.1, save=tmp_path / "run")
    run = wgf.open_run(tmp_path / "run")
    found = run.to_xarray()
    assert list(found.component.values) == ["a", "w"]
    last = found.points.sel(time=0.2, component="w")
    assert np.array_equal(last, run.final.points[:, 1])
    assert found.weights.dims == ("time", "particle")
    assert np.array_equal(found.output, run.outputs) and np.array_equal(found.target, run.target)
    found.to_netcdf(tmp_path / "again.nc", engine="h5netcdf")


def test_what_is_not_installed_is_told(monkeypatch):
    run = wgf.solve(FLOW, begin(), 0.1)
    monkeypatch.setitem(__import__("sys").modules, "xarray", None)
    with pytest.raises(wgf.InputError, match=r'xarray is not installed, .*"\.\[view\]"'):
        run.to_xarray()
