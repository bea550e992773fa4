"""A picture of next to nothing is a picture: no mass, one cell, one particle, no room to move."""

import numpy as np
import pytest
from matplotlib.colors import Normalize
from test_pixels import run_of

import wgf
from wgf import plot

F = wgf.Ridge(1.0) + wgf.Entropy(0.1)


def mesh(dimension, cells=4):
    return wgf.Mesh(**{name: wgf.Axis(0, 1, cells) for name in "xyz"[:dimension]})


def empty(dimension):
    box = mesh(dimension)
    return wgf.Density(box, np.zeros(box.shape))


def weightless(dimension):
    points = np.random.default_rng(0).random((3, dimension))
    return wgf.Particles(points, np.zeros(3), domain=mesh(dimension))


def one_cell(dimension):
    return wgf.Density.uniform(mesh(dimension, 1))


def one_particle(dimension):
    return wgf.Particles(np.full((1, dimension), 0.3), domain=mesh(dimension))


CASES = [(empty, 1), (empty, 2), (empty, 3), (weightless, 2), (one_cell, 2), (one_particle, 1)]


@pytest.mark.parametrize("make, dimension", CASES)
def test_next_to_nothing_is_drawn(make, dimension, tmp_path):
    measure = make(dimension)
    run = run_of(measure)
    plot.run(run, tmp_path / "sheet.png", F)
    measure.plot(path=tmp_path / "measure.png")
    plot.movie(run, tmp_path / "film.gif")
    assert all((tmp_path / name).stat().st_size for name in ("sheet.png", "measure.png"))
    assert "mass" in measure._repr_html_()
    if measure.mass > 0:
        wgf.compare(run, run).plot(tmp_path / "comparison.png")
    else:
        with pytest.raises(wgf.InputError, match="has no mass, nothing to compare"):
            wgf.compare(run, run)


def test_an_empty_density_has_no_support():
    figure = plot.run(run_of(empty(2), empty(2)), functional=wgf.Ridge(1.0))
    (ax,) = (ax for ax in figure.axes if ax.get_title().startswith("level lines"))
    assert np.isnan(np.asarray(ax.images[0].get_array())).all()


def test_differences_have_symmetric_colours():
    box = wgf.Mesh(x=wgf.Axis(0, 2, 20), y=wgf.Axis(0, 2, 30))
    first, second = (wgf.Density.normal(box, m, s) for m, s in ((0.7, 0.3), (1.3, 0.5)))
    figure = wgf.compare(run_of(first, first), run_of(second, second)).plot()
    difference = (first.values - second.values).T
    (drawn,) = (
        ax.images[0]
        for ax in figure.axes
        if ax.images and np.array_equal(ax.images[0].get_array(), difference)
        if ax.get_subplotspec().is_last_col()
    )
    assert isinstance(drawn.norm, Normalize)
    assert drawn.norm.vmax == -drawn.norm.vmin == np.abs(difference).max()
    # nothing is white: what is equal has the middle of the colours
    np.testing.assert_allclose(drawn.cmap(drawn.norm(0.0)), 1.0, atol=1 / 255)
