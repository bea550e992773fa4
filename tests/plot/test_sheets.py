"""Sheets, films and the numbers in them, on small runs of one to three axes."""

import csv

import h5py
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import wgf
from wgf import plot
from wgf.plot import panels
from wgf.plot.histories import SHOWN
from wgf.plot.style import log_spaced, panel_times
from wgf.record.solution import Solution


def runs(dimension, at=None):
    """Return a density run and a particle run of a small regression, and its functional."""
    x = np.linspace(-1, 1, 12)
    if dimension == 1:
        F = wgf.Risk(wgf.Features(lambda p: np.tanh(p * x)), wgf.Squared(np.sin(x)))
    else:
        inputs = x if dimension == 2 else np.stack([x, x**2], axis=1)
        F = wgf.Risk(wgf.Neurons(inputs, "tanh"), wgf.Squared(np.sin(x)))
    F = F + wgf.Ridge(1e-2)
    names = F.risks[0].features.names or ("u",)
    mesh = wgf.Mesh(**{name: wgf.Axis(-2.5, 2.5, 24 if dimension < 3 else 8) for name in names})
    start = wgf.Density.normal(mesh, 0.3, 0.5)
    flow = wgf.GradientFlow(F)
    at = np.linspace(0, 1, 5) if at is None else at
    return wgf.solve(flow, start, 1.0, at=at), wgf.solve(flow, start.sample(60, 0), 1.0, at=at), F


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.filterwarnings("ignore:box")
def test_sheets_show_what_the_run_holds(dimension, tmp_path):
    density, cloud, F = runs(dimension)
    for solution, functional in ((cloud, None), (density, F)):
        figure = plot.run(solution, tmp_path / "sheet.png", functional)
        with Image.open(tmp_path / "sheet.png") as image:
            assert min(image.size) > 600
        for axes in figure.axes:
            # no empty frame: something is drawn wherever axes are shown
            drawn = axes.lines + axes.collections + axes.images + axes.patches + axes.texts
            assert drawn or not axes.axison
        labels = {line.get_label() for axes in figure.axes for line in axes.lines}
        assert {"objective F", "risk", "ridge", "F(0) − F(t)", "∫ dissipation dt"} <= labels
        titles = {axes.get_title() for axes in figure.axes}
        assert "t = 0" in titles and "where the mass is" in titles
        if dimension == 2:
            assert "the end, with marginals" in titles
            assert ("level lines of F' and the support" in titles) == (functional is not None)


def test_numbers_are_those_of_the_run(tmp_path):
    density, cloud, F = runs(2)
    numbers = plot.figure_numbers(plot.run(density, None, F))
    first = next(panel for panel in numbers if panel.startswith("01"))
    image = numbers[first]["image"]
    grid = density.snapshots[0]
    assert np.array_equal(image["value"], grid.values.ravel())
    np.testing.assert_allclose(np.stack([image["y"], image["x"]], axis=1), grid.points, atol=1e-12)
    history = next(held for held in numbers.values() if "objective F" in held)
    assert np.array_equal(history["objective F"]["y"], density.diagnostics["objective"])
    lines = next(held for name, held in numbers.items() if "level lines" in name)
    level, curve = next((n, c) for n, c in lines.items() if n.startswith("level"))
    # contours interpolate linearly between nodes
    points = np.stack([curve["y"], curve["x"]], axis=1)
    values = F.first_variation(density.final, points)
    assert np.allclose(values, float(level.split()[1]), atol=1e-3)
    dots = plot.figure_numbers(plot.run(cloud))
    first = next(held for name, held in dots.items() if name.startswith("01"))
    assert np.array_equal(
        np.stack([first["particles"]["y"], first["particles"]["x"]], axis=1),
        cloud.snapshots[0].points,
    )


def test_numbers_as_files(tmp_path):
    density, _, _ = runs(3)
    figure = plot.run(density)
    numbers = plot.figure_numbers(figure)
    plot.write_numbers(figure, tmp_path / "sheet.csv")
    with open(tmp_path / "sheet.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == sum(len(c["x"]) for held in numbers.values() for c in held.values())
    plot.write_numbers(figure, tmp_path / "sheet.h5")
    with h5py.File(tmp_path / "sheet.h5") as file:
        assert len(file) == len(numbers)
        held = next(group for name, group in file.items() if name.startswith("01"))
        np.testing.assert_array_equal(
            held["image/value"], density.snapshots[0].marginal("a", "w1").values.ravel()
        )
    with pytest.raises(wgf.InputError, match=r"neither \.csv nor \.h5"):
        plot.write_numbers(figure, tmp_path / "sheet.xls")


def test_numbers_of_every_kind_of_artist():
    figure = Figure()
    flat, space = figure.add_subplot(121), figure.add_subplot(122, projection="3d")
    flat.stairs([1, 2], [0, 1, 3], label="steps")
    flat.fill_between([0, 1], [0, 0], [1, 2], label="band")
    flat.plot([0, 1], [5, 6])
    flat.plot([0, 1], [7, 8])
    flat.set_ylabel("height/m")
    space.scatter([1], [2], [3], label="cloud")
    flat_numbers, space_numbers = plot.figure_numbers(figure).values()
    assert flat_numbers["steps"]["x"].tolist() == [0.5, 2.0]
    assert flat_numbers["line 2"]["y"].tolist() == [7, 8]
    assert flat_numbers["band"]["y"].max() == 2
    assert [space_numbers["cloud"][c].tolist() for c in "xyz"] == [[1], [2], [3]]


def test_time_is_logarithmic_where_snapshots_are():
    assert log_spaced(np.concatenate([[0], np.geomspace(1e-3, 1, 16)]))
    assert not log_spaced(np.linspace(0, 100, 101))
    assert not log_spaced([0.0, 1.0])
    assert panel_times(np.linspace(0, 10, 101)).tolist() == [0, 0.1, 1, 10]
    times = np.linspace(0, 10, 101)
    # a straight fall has done a fifth at 2 and seven tenths at 7
    assert panel_times(times, (times, 3 - 0.1 * times)).tolist() == [0, 2, 7, 10]
    # what never falls is shown on a log scale
    assert panel_times(times, (times, times)).tolist() == [0, 0.1, 1, 10]
    density, _, _ = runs(2, at=np.geomspace(1e-3, 1, 9))
    figure = plot.run(density)
    scales = {ax.get_xlabel(): ax.get_xscale() for ax in figure.axes}
    assert scales["time t"] == "log"


def test_particles_in_many_dimensions_are_drawn_along_every_axis(tmp_path):
    generator = np.random.default_rng(0)
    F = wgf.Risk(wgf.Neurons(generator.normal(size=(9, 6)), "tanh"), wgf.Squared(np.ones(9)))
    start = wgf.Particles(generator.normal(size=(20, 7)))
    run = wgf.solve(wgf.GradientFlow(F), start, 1.0, every=0.25)
    figure = plot.run(run, tmp_path / "sheet.png", F)
    labels = [ax.get_ylabel() for ax in figure.axes]
    assert {"a", *(f"w{k}" for k in range(1, 7))} <= set(labels)
    plot.movie(run, tmp_path / "film.gif", frames=2)


def test_the_surface_of_a_ball_of_mass():
    mesh = wgf.Mesh(a=wgf.Axis(0, 6, 6), w1=wgf.Axis(0, 3, 3), w2=wgf.Axis(0, 4, 4))
    values = np.zeros(mesh.shape)
    values[1:3, 0, 3] = 1.0
    figure = Figure()
    run = Solution()
    run.append(0.0, wgf.Density(mesh, values), None, {})
    panels.surface(figure.add_subplot(), plot.View([("density", run)]))
    (series,) = plot.figure_numbers(figure).values()
    corners = np.stack([series["90% of the mass"][c] for c in "zxy"], axis=1)
    # two cubes beside each other have ten faces, here 1 < a < 3, 0 < w1 < 1, 3 < w2 < 4
    assert len(corners) == 4 * 10
    np.testing.assert_array_equal(corners.min(axis=0), [1, 0, 3])
    np.testing.assert_array_equal(corners.max(axis=0), [3, 1, 4])
    fine = wgf.Density.normal(wgf.Mesh(**{n: wgf.Axis(-1, 1, 90) for n in "xyz"}), 0.1, 0.3)
    masses, edges = panels.coarse(fine, 40)
    assert masses.shape == (30, 30, 30)
    assert masses.sum() == pytest.approx(fine.values.sum()) and edges[0][-1] == 1


def test_labels_are_drawn_as_two_distributions():
    generator = np.random.default_rng(0)
    labels = np.where(generator.random(50) < 0.4, 1.0, -1.0)
    inputs = generator.normal(size=50) + labels
    F = wgf.Risk(wgf.Neurons(inputs, "tanh"), wgf.Logistic(labels)) + wgf.Ridge(1e-2)
    # without the places of the inputs there is no curve to draw
    F.risks[0].features.abscissa = None
    start = wgf.Particles(generator.normal(size=(20, 2)))
    found = plot.figure_numbers(plot.run(wgf.solve(wgf.GradientFlow(F), start, 1.0)))
    counts = next(held for held in found.values() if "label +1" in held)
    assert counts["label +1"]["y"].sum() == np.sum(labels > 0)
    assert counts["label -1"]["y"].sum() == np.sum(labels < 0)


def test_quantiles_of_cells_and_points():
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 10))
    uniform = wgf.Density.uniform(mesh)
    np.testing.assert_allclose(uniform.quantiles(0, SHOWN), [0.05, 0.25, 0.5, 0.75, 0.95])
    cloud = wgf.Particles(np.arange(1, 101)[::-1, None] / 100.0)
    np.testing.assert_allclose(cloud.quantiles(0, SHOWN), [0.05, 0.25, 0.5, 0.75, 0.95], atol=0.011)


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.filterwarnings("ignore:box")
def test_films(dimension, tmp_path):
    density, cloud, _ = runs(dimension)
    for solution in (density, cloud):
        plot.movie(solution, tmp_path / "film.gif", rate=5)
        with Image.open(tmp_path / "film.gif") as film:
            assert film.n_frames == len(solution.times)
            assert film.info["duration"] == 200
            first = np.asarray(film.convert("RGB"))
            film.seek(film.n_frames - 1)
            assert (np.asarray(film.convert("RGB")) != first).any()
    plot.movie(cloud, tmp_path / "short.gif", frames=2)
    with Image.open(tmp_path / "short.gif") as film:
        assert film.n_frames == 2


def test_films_need_a_known_ending_and_its_program(tmp_path, monkeypatch):
    density, _, _ = runs(1)
    with pytest.raises(wgf.InputError, match=r"neither \.gif nor \.mp4"):
        plot.movie(density, tmp_path / "film.avi")
    with pytest.raises(wgf.InputError, match="rate: 0 is too small"):
        plot.movie(density, tmp_path / "film.gif", rate=0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(wgf.InputError, match="no ffmpeg"):
        plot.movie(density, tmp_path / "film.mp4")
    # a stand-in that takes every frame and says how much that was
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\nfor last; do :; done\n/usr/bin/wc -c > "$last"\n')
    program.chmod(0o755)
    plot.movie(density, tmp_path / "film.mp4", frames=3)
    assert int((tmp_path / "film.mp4").read_text()) == 3 * 800 * 360 * 3
    program.write_text("#!/bin/sh\necho no such codec >&2\nexit 1\n")
    with pytest.raises(wgf.InputError, match="no such codec"):
        plot.movie(density, tmp_path / "film.mp4")
