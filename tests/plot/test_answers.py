"""Panels answer: first variations flat at rest, spikes with their truth, both runs seen."""

import numpy as np
import pytest
from test_pixels import run_of

import wgf
from wgf import plot
from wgf.plot import panels, variations

ENTROPIES = (wgf.Entropy(0.1), wgf.PowerEntropy(0.1, 2.0))


def at_rest(cells):
    """Return the potential with an entropy and the density at which F' is constant."""
    mesh = wgf.Mesh(x=wgf.Axis(-2, 2, cells), y=wgf.Axis(-2, 2, cells))
    square = np.sum(mesh.points() ** 2, axis=1).reshape(mesh.shape)
    values = np.exp(-0.5 * square / 0.1)
    return wgf.Ridge(1.0) + wgf.Entropy(0.1), wgf.Density(mesh, values)


def test_the_first_variation_with_an_entropy_is_flat_at_rest():
    F, density = at_rest(40)
    box = panels.bounds([[("", density)]], (1, 0))
    values, rest, nodes, spread = variations.sampled(F, density, (1, 0), box)
    # round-off of values of order 1
    assert spread < 1e-14 and np.ptp(values) < 1e-13 and np.ptp(rest) > 1
    assert values.shape == tuple(map(len, nodes))
    figure = plot.run(run_of(density, density), functional=F)
    lines = next(ax for ax in figure.axes if ax.get_title().startswith("level lines"))
    assert not any(hasattr(found, "levels") for found in lines.collections)
    moved = wgf.Density(density.mesh, np.roll(density.values, 3, axis=0))
    figure = plot.run(run_of(density, moved), functional=F)
    lines = next(ax for ax in figure.axes if ax.get_title().startswith("level lines"))
    assert any(hasattr(found, "levels") for found in lines.collections)


@pytest.mark.parametrize("entropy", ENTROPIES, ids=["log", "square"])
@pytest.mark.parametrize("names", ["x", "xy"])
def test_first_variations_with_mass_at_walls_and_of_particles(names, entropy):
    """The margin around the mass leaves the mesh; particles have no density to vary."""
    mesh = wgf.Mesh(**{name: wgf.Axis(-1, 1, 20) for name in names})
    density = wgf.Density.normal(mesh, 0, 0.5)
    cloud = density.sample(50, 0)
    for F in (entropy + wgf.Ridge(1.0), wgf.Interaction(lambda z: np.sum(z**2, axis=1)) + entropy):
        for measure in (density, cloud):
            figure = plot.run(run_of(measure, measure), functional=F)
            notes = [text.get_text() for ax in figure.axes for text in ax.texts]
            (note,) = (text for text in notes if text.startswith("F'"))
            assert ("without entropy" in note) == (measure is cloud)


def test_values_at_the_nodes_are_those_of_the_functional():
    F, density = at_rest(30)
    F = F + wgf.Interaction(lambda z: np.cos(z).sum(axis=1))
    box = (np.array([-1.0, -0.5]), np.array([1.0, 0.5]))
    values, _, (up, right), _ = variations.sampled(F, density, (1, 0), box)
    grid = np.stack(np.meshgrid(right, up), axis=-1).reshape(-1, 2)
    where = density.mesh.locate(grid)
    direct = F.first_variation(density).ravel()[where].reshape(values.shape)
    np.testing.assert_allclose(values, direct, atol=1e-12)
    assert up.min() > -1.1 and up.max() < 1.1 and np.abs(right).max() < 0.6


def spikes_run(kind):
    mesh = wgf.Mesh(w=wgf.Axis(-2.05, 2.05, 41), x=wgf.Axis(0, 1, 100))
    truth = np.array([0.205, 0.705]), np.array([1.0, -0.5])
    points = np.array([[1.0, 0.205], [-1.0, 0.705]])
    cloud = wgf.Particles(points, [1.0, 0.5], domain=mesh)
    measure = cloud if kind == "particles" else cloud.histogram(mesh)
    return run_of(measure, measure), truth


@pytest.mark.parametrize("kind", ["density", "particles"])
def test_amplitudes_are_drawn_beside_the_truth(kind):
    run, truth = spikes_run(kind)
    figure = plot.run(run, truth=truth)
    ax = next(ax for ax in figure.axes if ax.get_title() == "amplitude by position")
    by = {found.get_label(): found.get_segments() for found in ax.collections}
    np.testing.assert_allclose([s[1] for s in by["truth"]], np.stack(truth, axis=1))
    # bins of particles are a 256th wide, cells a 100th
    np.testing.assert_allclose(
        [s[1] for s in by[kind]],
        np.stack(truth, axis=1),
        atol=2 / 256 if kind != "density" else 1e-12,
    )


def test_a_spread_out_amplitude_is_told_by_its_width():
    mesh = wgf.Mesh(w=wgf.Axis(-2.05, 2.05, 41), x=wgf.Axis(0, 1, 100))
    wide = wgf.Density.uniform(mesh, w=(0.5, 1.5), x=(0.2, 0.6))
    middle, size, low, high = panels.spikes(plot.views.Signed(wgf.amplitude_projection(wide)))
    np.testing.assert_allclose([middle[0], size[0], low[0], high[0]], [0.4, 1.0, 0.2, 0.6])


def test_both_densities_of_a_comparison_are_seen():
    mesh = wgf.Mesh(x=wgf.Axis(0, 2, 20), y=wgf.Axis(0, 2, 30))
    first, second = (wgf.Density.normal(mesh, m, 0.3) for m in (0.7, 1.3))
    figure = wgf.compare(run_of(first, first), run_of(second, second)).plot()
    shown = [ax for ax in figure.axes if ax.images]
    drawn = [np.asarray(ax.images[0].get_array()) for ax in shown]
    for expected in (first.values, second.values, first.values - second.values):
        assert any(np.array_equal(values, expected.T) for values in drawn)
    labels = {text.get_text() for ax in figure.axes for text in ax.texts}
    assert {"density 1", "density 2"} <= labels
    # x to the right and on one scale with y
    assert {ax.get_xlabel() for ax in shown[-2:]} == {"x"}
    assert all(ax.get_aspect() == 1 for ax in shown)


def test_two_clouds_have_two_colours():
    cloud = [wgf.Particles(np.random.default_rng(k).normal(size=(30, 2))) for k in range(2)]
    runs = []
    for each in cloud:
        run = run_of(
            wgf.Particles(each.points, domain=wgf.Mesh(x=wgf.Axis(-9, 9, 1), y=wgf.Axis(-9, 9, 1)))
        )
        runs.append(run)
    figure = wgf.compare(*runs).plot()
    colours = {
        tuple(found.get_facecolor()[0])
        for ax in figure.axes
        for found in ax.collections
        if len(found.get_offsets()) == 30
    }
    assert len(colours) == 2
    assert {"particles 1", "particles 2"} <= {t.get_text() for ax in figure.axes for t in ax.texts}


def test_times_are_chosen_by_how_far_the_mass_has_moved():
    mesh = wgf.Mesh(x=wgf.Axis(-3, 13, 320))
    # at rest up to 10, then at an even speed up to 20
    centres = [0.0] * 10 + list(np.linspace(0, 10, 11))
    run = run_of(*(wgf.Density.normal(mesh, m, 0.2) for m in centres))
    panels_ = [panel for panel in plot.PANELS if panel.name == "measures"]
    titles = [ax.get_title() for ax in plot.run(run, panels=panels_).axes]
    assert titles[:4] == ["t = 0", "t = 12", "t = 17", "t = 20"]


def test_predictions_are_drawn_against_data_without_an_abscissa():
    generator = np.random.default_rng(0)
    F = wgf.Risk(wgf.Neurons(generator.normal(size=(30, 2)), "tanh"), wgf.Squared(np.arange(30.0)))
    run = wgf.solve(wgf.GradientFlow(F), wgf.Particles(generator.normal(size=(9, 3))), 0.1)
    numbers = plot.figure_numbers(plot.run(run))
    fit = next(held for held in numbers.values() if "exact" in held)
    assert np.array_equal(fit["particles"]["x"], np.arange(30.0))
    assert np.array_equal(fit["particles"]["y"], run.outputs[-1])


def test_fourier_coefficients_are_stems():
    filters = wgf.Filter.dirichlet(3)
    y = filters.output(np.array([[1.0, 0.3]]), np.ones(1))
    flow = wgf.GradientFlow(wgf.Risk(filters, wgf.Squared(y)) + wgf.L1(0.1, "w"))
    mesh = wgf.Mesh(w=wgf.Axis(-2, 2, 17), x=wgf.Axis(0, 1, 16, periodic=True))
    run = wgf.solve(flow, wgf.Density.uniform(mesh, w=(-0.5, 0.5)), 0.2)
    (ax,) = (ax for ax in plot.run(run).axes if ax.get_xlabel() == "Fourier coefficient")
    by = {found.get_label(): np.array(found.get_segments()) for found in ax.collections}
    assert np.array_equal(by["data"][:, 1, 1], y)
    assert np.array_equal(by["density"][:, 1, 1], run.outputs[-1])
