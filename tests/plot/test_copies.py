"""Figures and comparisons of signed measures on two copies: their difference is what is shown."""

import numpy as np
import pytest

import wgf
from wgf import plot
from wgf.measures.signed import copies_of
from wgf.plot import panels
from wgf.plot.views import Signed


def problem(dimension):
    filters = wgf.Filter.dirichlet(2, dimension=dimension)
    truth = np.array([[1.0, 0.2, 0.3], [-0.7, 0.6, 0.8]])[:, : 1 + dimension]
    risk = wgf.Risk(filters, wgf.Squared(filters.output(truth, np.ones(2)), weights=20.0))
    circle = wgf.Axis(0, 1, 16, periodic=True)
    positions = dict.fromkeys(filters.names[1:], circle)
    mesh = wgf.Mesh(w=wgf.Axis(-2, 2, 2), **positions)
    flow = wgf.FisherRao(risk + wgf.L1(1.0, "w"), growth=0.5, transport=1e-3)
    return flow, wgf.Density(mesh, np.full(mesh.shape, 0.1))


@pytest.fixture(params=[1, 2], scope="module")
def runs(request, tmp_path_factory):
    """A stored run of densities and one of particles."""
    flow, start = problem(request.param)
    found = []
    for name, begin in (("mesh", start), ("cloud", start.sample(60, seed=0))):
        path = tmp_path_factory.mktemp("runs") / name
        wgf.solve(flow, begin, until=2.0, every=0.5, save=path)
        found.append(wgf.open_run(path))
    return found


def test_a_stored_run_keeps_the_signed_measure(runs):
    flow, start = problem(len(runs[0].final.names) - 1)
    final = wgf.solve(flow, start, until=2.0, every=0.5).final
    assert np.array_equal(wgf.signed.difference(final), wgf.signed.difference(runs[0].final))
    names = [name for name in final.names if name != "w"]
    seen = Signed(final).marginal(*range(len(names)))
    assert np.allclose(seen.values, wgf.signed.difference(final), rtol=1e-14)
    assert seen.mesh.shape == (16,) * len(names)


def test_figures(runs, tmp_path):
    for run, name in zip(runs, ("mesh.png", "cloud.png")):
        figure = plot.run(run, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 10_000
        labels = {text for ax in figure.axes for text in (ax.get_xlabel(), ax.get_ylabel())}
        assert "mass of the two copies" in labels
        # no axis of signs is drawn
        assert "w" not in labels
    figure = wgf.compare(*runs).plot(tmp_path / "comparison.png")
    labels = {ax.get_ylabel() for ax in figure.axes}
    assert "flat norm of the difference" in labels


def test_films(runs, tmp_path):
    from PIL import Image

    for run, name in zip(runs, ("mesh.gif", "cloud.gif")):
        plot.movie(run, tmp_path / name, frames=3)
        with Image.open(tmp_path / name) as film:
            assert film.n_frames == 3


def test_the_line_panel_holds_the_signed_mass():
    from matplotlib.figure import Figure

    flow, start = problem(1)
    final = wgf.solve(flow, start, until=2.0).final
    ax = Figure().subplots()
    panels.line_panel(ax, [("density", Signed(final))], 0, "x")
    drawn = {patch.get_label(): patch.get_data() for patch in ax.patches}
    total = sum((step.values * np.diff(step.edges)).sum() for step in drawn.values())
    below, above = copies_of(final)
    # densities: what both copies share has cancelled
    assert total == pytest.approx(above - below, rel=1e-12)
    assert drawn["positive"].values.min() >= 0 >= drawn["negative"].values.max()


def test_comparison_has_flat_norms_of_the_positions_alone(runs):
    comparison = wgf.compare(*runs)
    names = [name for name in runs[0].final.names if name != "w"]
    found = [name for name in comparison.table if name.startswith(("flat_", "w1_", "w2_"))]
    assert found == [f"flat_{name}" for name in names]
    first, second = runs[0].snapshots[-1], runs[1].snapshots[-1]
    direct = wgf.flat_distance(first, second, 1, reach=0.1, period=1.0)
    assert comparison.table[found[0]][-1] == direct > 0
    assert f"flat({names[0]})" in str(comparison) and "mass density" in str(comparison)
    same = wgf.compare(runs[0], runs[0]).table
    assert np.all(same[found[0]] == 0)


def test_a_projected_run_against_the_unbalanced_one():
    """The amplitudes' flow and that on positions end in the same minimum: compare sees it."""
    flow, start = problem(1)
    mesh = wgf.Mesh(w=wgf.Axis(-6, 6, 49), x=start.mesh.axes[1])
    wide = wgf.Density.uniform(mesh, w=(-0.4, 0.4))
    # enough mass in every column for amplitudes within the box
    wide = wgf.Density(mesh, 16 * wide.values)
    full = wgf.GradientFlow(flow.functional, mobility={"x": 1e-3})
    method = wgf.ImplicitFiniteVolume(0.01)
    run = wgf.solve(full, wide, until=60.0, every=30.0, method=method)
    other = wgf.solve(flow, start, until=60.0, every=30.0)
    seen = wgf.projected(run, wgf.amplitude_projection)
    assert seen.final.mesh == start.mesh and "mass" not in seen.diagnostics
    table = wgf.compare(seen, other).table
    assert table["objective_gap"][-1] < 1e-3
    # the same spikes in the same cells: the mass outside them is all that differs
    assert table["flat_x"][-1] < 0.02 * other.final.mass
    moved = wgf.flat_distance(start, other.final, 1, reach=0.1, period=1.0)
    assert moved > 0.9 * other.final.mass
    with pytest.raises(wgf.InputTypeError, match="projected projection: 3 cannot be called"):
        wgf.projected(run, 3)
