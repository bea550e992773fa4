"""Panels are values: built in or a user's own, they draw what a view answers."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import wgf
from wgf import plot


@pytest.fixture(scope="module")
def run():
    mesh = wgf.Mesh(x=wgf.Axis(-2, 2, 32))
    flow = wgf.GradientFlow(wgf.Ridge(1.0))
    return wgf.solve(flow, wgf.Density.normal(mesh, 0.5, 0.3), 0.5, every=0.1)


def mean_over_time(ax, view):
    times, measures = view.over_time()
    ax.set_title("the mean")
    return ax.plot(times, [measure.mean()[0] for measure in measures], label="mean")


def test_a_panel_of_ones_own_needs_no_edit(run):
    mine = plot.Panel("mean", mean_over_time, lambda view: len(view.names) == 1)
    figure = plot.run(run, panels=[mine])
    (held,) = plot.figure_numbers(figure).values()
    assert np.array_equal(held["mean"]["x"], run.times)
    # the mean of a potential's flow follows its characteristics, here e^-t
    assert held["mean"]["y"][-1] == pytest.approx(0.5 * np.exp(-0.5), rel=2e-2)
    titles = [ax.get_title() for ax in plot.run(run, panels=[*plot.PANELS, mine]).axes]
    assert "the mean" in titles and "t = 0" in titles


def test_a_registered_panel_is_on_every_sheet_it_applies_to(run, monkeypatch):
    monkeypatch.setattr(plot.sheets, "PANELS", list(plot.PANELS))
    plot.register(plot.Panel("mean", mean_over_time, lambda view: view.kind == "density"))
    assert "the mean" in [ax.get_title() for ax in plot.run(run).axes]
    cloud = wgf.solve(wgf.GradientFlow(wgf.Ridge(1.0)), run.snapshots[0].sample(9, 0), 0.5)
    assert "the mean" not in [ax.get_title() for ax in plot.run(cloud).axes]
    with pytest.raises(wgf.InputError, match="there is a panel called 'mean', give it another"):
        plot.register(plot.Panel("mean", mean_over_time))
    with pytest.raises(wgf.InputTypeError, match="register panel"):
        plot.register(mean_over_time)


def test_panels_that_do_not_apply_are_told(run):
    never = plot.Panel("never", mean_over_time, lambda view: False)
    with pytest.raises(wgf.InputError, match="panels: none applies to this run"):
        plot.run(run, panels=[never])
    with pytest.raises(wgf.InputTypeError, match="panel"):
        plot.run(run, panels=[mean_over_time])


def test_the_built_in_panels_draw_into_axes_of_ones_own(run):
    for place in ((0.1, 0.1, 0.8, 0.8), None):
        figure = Figure()
        ax = figure.add_axes(place) if place else figure.subplots()
        fans = next(panel for panel in plot.PANELS if panel.name == "fans")
        drawn = fans.draw(ax, plot.View([("density", run)]))
        assert [ax.get_ylabel() for ax in drawn] == ["x"] and drawn[0] in figure.axes
