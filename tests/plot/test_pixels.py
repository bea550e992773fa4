"""Pictures are true at every pixel: a spike of one cell is there at any resolution."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import wgf
from wgf import plot
from wgf.plot import film, pixels
from wgf.record.solution import Solution

SPIKES = 20
CELLS = (100, 267, 1000, 4096)


def run_of(*measures, **problem):
    """Return a run that was not solved: measures at the times 0, 1, …"""
    solution = Solution({"axes": list(measures[0].names), **problem})
    for k, measure in enumerate(measures):
        rows = {"t": [k], "dt": [1.0], "mass": [measure.mass], "objective": [2.0 - 0.1 * k]}
        solution.append(float(k), measure, None, rows | {"dissipation": [0.1]})
    return solution


def places(cells):
    """Return the cells of twenty spikes along an axis."""
    return ((np.arange(SPIKES) + 0.5) / SPIKES * cells).astype(int)


def spiky(cells, extra=None):
    """Return a density on ``(w, x)``, or with an axis between, of twenty cells of equal mass."""
    axes = {"w": wgf.Axis(-2, 2, 40), **(extra or {}), "x": wgf.Axis(0, 1, cells)}
    mesh = wgf.Mesh(**axes)
    values = np.zeros(mesh.shape)
    middle = (4,) if extra else ()
    for k, column in enumerate(places(cells)):
        values[(10 + k, *middle, column)] = 1.0
    return wgf.Density(mesh, values)


def pixel_rows(figure):
    """Return the pixels of a figure, the lowest row first."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[::-1, :, :3].astype(int)


def is_drawn(picture, ax, points):
    """Return for each point whether it, or a pixel that it touches, is far from white."""
    found = []
    for x, y in np.floor(ax.transData.transform(points)).astype(int):
        around = picture[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        found.append(around.min() < 128)
    return np.array(found)


def images_that_show_the_spikes(figure):
    """Count the images of a figure, after asserting that every spike is there in each."""
    picture, count = pixel_rows(figure), 0
    for ax in figure.axes:
        if not ax.images:
            continue
        (drawn,) = ax.images
        rows, columns = np.nonzero(np.asarray(drawn.get_array()))
        centres = [0.5 * (edges[1:] + edges[:-1]) for edges in drawn.edges]
        points = np.column_stack([centres[1][columns], centres[0][rows]])
        # the difference of equal densities is empty; along w and y spikes share their places
        assert len(points) in (0, SPIKES) and is_drawn(picture, ax, points).all()
        count += len(points) > 0
    return count


@pytest.mark.parametrize("cells", CELLS)
def test_every_spike_is_on_the_sheet(cells):
    density = spiky(cells)
    figure = plot.run(run_of(density, density))
    # two times and the end with its marginals
    assert images_that_show_the_spikes(figure) == 3


@pytest.mark.parametrize("cells", CELLS)
def test_every_spike_is_in_the_comparison(cells):
    density = spiky(cells)
    table = {"t": np.array([0.0, 1.0]), "w1_x": np.array([0.0, 0.1])}
    runs = run_of(density, density), run_of(density, density)
    figure = plot.comparison(*runs, ("density 1", "density 2"), table)
    # both densities at two times; their difference is 0
    assert images_that_show_the_spikes(figure) == 2 * 2


@pytest.mark.parametrize("cells", CELLS)
def test_every_spike_is_in_the_film(cells):
    density = spiky(cells)
    figure = Figure(figsize=(8, 3.6), dpi=100, layout="constrained")
    film._Scene(run_of(density, density), np.arange(2)).draw(figure, 1)
    assert images_that_show_the_spikes(figure) == 1


@pytest.mark.parametrize("cells", CELLS)
def test_every_spike_is_in_projections_from_space(cells):
    density = spiky(cells, {"y": wgf.Axis(0, 1, 8)})
    measures = next(panel for panel in plot.PANELS if panel.name == "measures")
    figure = plot.run(run_of(density, density), panels=[measures])
    assert images_that_show_the_spikes(figure) == 2 * 3


@pytest.mark.parametrize("cells", CELLS)
def test_every_spike_is_in_marginals_and_histories(cells):
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, cells))
    values = np.zeros(cells)
    values[places(cells)] = 1.0
    # steps are drawn as outlines
    sides, centres = mesh.axes[0].edges[places(cells)], mesh.axes[0].centers[places(cells)]
    line = wgf.Density(mesh, values)
    copies = wgf.Mesh(w=wgf.Axis(-2, 2, 2), x=mesh.axes[0])
    signed = wgf.Density(copies, np.stack([0 * values, values]))
    for run in (run_of(line, line), run_of(signed, signed, flow="FisherRao")):
        figure = plot.run(run)
        picture = pixel_rows(figure)
        first = figure.axes[0]
        top = first.get_ylim()[1] / 1.05
        # at half the height, with white between the spikes
        assert is_drawn(picture, first, np.column_stack([sides, 0 * sides + top / 2])).all()
        between = 0.5 * (centres[1:] + centres[:-1])
        assert not is_drawn(picture, first, np.column_stack([between, 0 * between + top / 2])).any()
    history = next(ax for ax in figure.axes if ax.get_title() == "the signed measure over time")
    assert is_drawn(picture, history, np.column_stack([0 * centres + 0.5, centres])).all()


def test_a_prolonged_density_gives_the_same_picture():
    rng = np.random.default_rng(0)
    coarse = wgf.Mesh(w=wgf.Axis(-2, 2, 16), x=wgf.Axis(0, 1, 256))
    fine = wgf.Mesh(w=wgf.Axis(-2, 2, 16), x=wgf.Axis(0, 1, 2048))
    values = rng.random(coarse.shape) ** 8
    panels = [panel for panel in plot.PANELS if panel.name == "measures"]
    pictures = []
    for mesh, factor in ((coarse, 1), (fine, 8)):
        density = wgf.Density(mesh, np.repeat(values, factor, axis=1))
        figure = plot.run(run_of(density, density), panels=panels)
        # the line above says how many cells there are
        figure.subfigs[0].texts[0].set_text("")
        pictures.append(pixel_rows(figure))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_the_value_of_a_pixel_is_the_largest_that_it_covers():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(13, 29))
    values[3, 4] = np.nan
    rows = pixels.covered(np.arange(14.0), np.linspace(0, 13, 6))
    columns = pixels.covered(np.arange(30.0) ** 1.5, np.linspace(29**1.5, 0, 8))
    found = pixels.largest(values, rows, columns)
    for i, (top, bottom) in enumerate(zip(*rows)):
        for j, (left, right) in enumerate(zip(*columns)):
            block = values[top:bottom, left:right]
            assert abs(found[i, j]) == np.nanmax(np.abs(block)) and found[i, j] in block
    # the last interval towards 0 covers the first cells
    assert columns[0][-1] == 0 and columns[1][0] == 29
    assert np.isnan(pixels.largest(np.full((2, 2), np.nan), ([0], [2]), ([0], [2]))).all()


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_images_are_written_in_every_format(ending, tmp_path):
    density = spiky(512)
    plot.run(run_of(density, density), tmp_path / f"sheet.{ending}")
    assert (tmp_path / f"sheet.{ending}").stat().st_size > 10_000
