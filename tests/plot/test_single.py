"""To the question: a measure, a panel or a column by itself, and what notebooks show."""

import numpy as np
import pytest
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

import wgf


@pytest.fixture(scope="module")
def run():
    mesh = wgf.Mesh(x=wgf.Axis(-2, 2, 24), y=wgf.Axis(-2, 2, 16, periodic=True))
    start = wgf.Density.normal(mesh, 0.5, 0.3)
    return wgf.solve(wgf.GradientFlow(wgf.Ridge(1.0)), start, 0.5, every=0.1)


def test_a_density_is_drawn_into_axes_of_ones_own(run):
    ax = Figure().subplots()
    drawn = run.final.plot(ax=ax, norm=Normalize(0, 2))
    assert drawn in ax.images and drawn.norm.vmax == 2
    assert np.array_equal(drawn.get_array(), run.final.values.T)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    other = Figure().subplots()
    assert np.array_equal(run.final.plot(("y", "x"), ax=other).get_array(), run.final.values)
    assert (other.get_xlabel(), other.get_ylabel()) == ("y", "x")
    steps = run.final.plot("y", ax=Figure().subplots())
    assert np.array_equal(steps.get_data().values, run.final.marginal("y").values)


def test_particles_are_drawn(run, tmp_path):
    cloud = run.final.sample(40, seed=0)
    drawn = cloud.plot(ax=Figure().subplots())
    assert np.array_equal(np.asarray(drawn.get_offsets()), cloud.points)
    figure = wgf.Particles(cloud.points).plot(path=tmp_path / "cloud.png")
    assert figure.axes[0].get_xlabel() == "x1" and (tmp_path / "cloud.png").exists()


def test_a_column_and_a_panel_of_a_run(run):
    ax = Figure().subplots()
    line = run.plot("objective", ax=ax)
    assert np.array_equal(line.get_ydata(), run.diagnostics["objective"])
    assert ax.get_ylabel() == "objective" and ax.get_xlabel() == "time t"
    figure = run.plot("joint")
    assert "the end, with marginals" in [ax.get_title() for ax in figure.axes]
    assert len(run.plot().axes) > 8


def test_unknown_parts_are_refused(run):
    with pytest.raises(wgf.InputError, match="plot"):
        run.plot("objektive")
    with pytest.raises(wgf.InputError, match="plot surface: this panel does not apply"):
        run.plot("surface")
    with pytest.raises(wgf.InputError, match="plot axes: 3 axes do not make a picture"):
        run.final.plot(("x", "y", "x"))
    with pytest.raises(wgf.InputError, match="plot axes"):
        run.final.plot(("x", "z"))


def test_notebooks_show_pictures_and_tables(run):
    assert run.final.plot()._repr_png_()[:4] == b"\x89PNG"
    text = run.final._repr_html_()
    assert "24 x 16 cells" in text and "<th>y</th><td>-2 … 2, periodic</td>" in text
    text = run._repr_html_()
    assert "6 snapshots" in text and "done" in text and "<th>objective</th>" in text
    cloud = wgf.Particles([[1.0], [3.0]])
    assert "<th>x1</th><td>1 … 3</td>" in cloud._repr_html_()


def test_notebooks_show_what_was_solved_and_compared(run):
    assert "24 x 16 cells" in run.final.mesh._repr_html_()
    assert "<th>y</th><td>-2 … 2, periodic, cells of 0.25</td>" in run.final.mesh._repr_html_()
    F = wgf.Ridge(1.0) + wgf.Entropy(0.1)
    assert "<tr><th>ridge</th><td>Ridge(1.0" in F._repr_html_() and "entropy" in F._repr_html_()
    found = wgf.compare(run, run)
    text = found._repr_html_()
    # heads, and a row a time, as they are printed
    assert text.count("<tr>") == 1 + len(run.times) and "<th>W1(x)</th>" in text
    study = wgf.compare(run, run, run)
    assert study._repr_html_().count("<table>") == 1 + bool(study.fits)
    assert study.reference.split(" ")[0] in study._repr_html_()
