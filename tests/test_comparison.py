"""Comparison of runs: the table against hand-made runs, and the figures drawn from it."""

import numpy as np
import pytest

import wgf
from wgf import plot
from wgf.comparison import sentence
from wgf.distances import transport
from wgf.record.solution import Solution


def run_of(measures, objective, outputs=None, target=None):
    solution = Solution({"axes": list(measures[0].names)}, target=target)
    for k, measure in enumerate(measures):
        output = None if outputs is None else outputs[k]
        rows = {"t": [float(k)], "dt": [0.0], "mass": [measure.mass], "objective": [objective[k]]}
        rows.update(risk=[objective[k]], dissipation=[1.0 / (1 + k)], rejected=[0])
        solution.append(float(k), measure, output, rows)
    return solution


def pair(dimension):
    names = ("w", "x1", "x2", "x3")[:dimension]
    mesh = wgf.Mesh(**{name: wgf.Axis(-1, 1, 6 if dimension > 2 else 20) for name in names})
    densities = [wgf.Density.normal(mesh, 0.1 * k, 0.3) for k in range(3)]
    n = 30
    outputs = [np.sin(np.arange(n) / 5) * (k + 1) for k in range(3)]
    a = run_of(densities, [3.0, 2.0, 1.0], outputs, target=outputs[-1] + 0.1)
    clouds = [density.sample(50, seed=0) for density in densities]
    b = run_of(clouds, [3.0, 2.2, 1.5], [o + 0.5 for o in outputs], target=outputs[-1] + 0.1)
    return a, b


def test_table(monkeypatch):
    a, b = pair(2)
    comparison = wgf.compare(a, b)
    table = comparison.table
    assert comparison.labels == ("density", "particles")
    assert np.array_equal(table["t"], [0, 1, 2])
    assert np.allclose(table["objective_gap"], [0, 0.2 / 2.2, 0.5 / 1.5])
    assert np.allclose(table["output_rms"], 0.5)
    assert set(table) >= {"w1_w", "w2_w", "w1_x1", "w2_x1", "mass_a"}
    one = wgf.Particles(b.final.points[:, :1], b.final.weights)
    assert table["w1_w"][2] == pytest.approx(
        wgf.distances.marginals.wasserstein_1(a.final.marginal("w"), one), rel=1e-12
    )
    lines = str(comparison).split("\n")
    assert len(lines) == 5 and "F density" in lines[0] and "W1(x1)" in lines[0]
    assert len({len(line) for line in lines[:4]}) == 1
    monkeypatch.setattr(wgf.comparison.pair, "ROWS", 2)
    lines = str(comparison).split("\n")
    assert [line.split()[0] for line in lines[1:3]] == ["0", "2"]
    assert lines[-1].startswith("2 of 3 times")


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_whole_measures_at_the_end(dimension, monkeypatch):
    a, b = pair(dimension)
    found = wgf.compare(a, b).at_end(limit=300)
    value, bound = wgf.wasserstein(a.final, b.final, power=1, limit=300)
    assert (found["w1"], found["w1_bound"]) == (value, bound)
    assert (bound == 0) == (dimension == 1)
    assert found["w1"] <= found["w2"] + 1e-12
    assert found["mmd"] == wgf.mmd(a.final, b.final)
    text = sentence(found, 2.0)
    assert text.startswith("whole measures at t = 2: W1 ") and "energy distance" in text
    assert ("±" in text) == (dimension > 1)
    # without POT what needs it is left out
    monkeypatch.setattr(transport, "available", lambda: False)
    assert ("w1" in wgf.compare(a, b).at_end()) == (dimension == 1)
    assert sentence({}, 2.0) == ""


def test_only_common_times_count():
    a, b = pair(1)
    b.times = np.array([0.0, 0.7, 2.0])
    assert np.array_equal(wgf.compare(a, b).table["t"], [0.0, 2.0])
    b.times = np.array([5.0, 6.0, 7.0])
    with pytest.raises(wgf.InputError, match="no common time"):
        wgf.compare(a, b)


def test_refusals():
    a, _ = pair(1)
    b, _ = pair(2)
    with pytest.raises(wgf.InputError, match=r"the axes \(w\) and \(w, x1\) differ"):
        wgf.compare(a, b)
    with pytest.raises(wgf.InputTypeError, match="compare b: int is not a run"):
        wgf.compare(a, 3)


@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
def test_figures_of_every_dimension(tmp_path, dimension):
    a, b = pair(dimension)
    figure = wgf.compare(a, b).plot(tmp_path / "comparison.png")
    assert (tmp_path / "comparison.png").stat().st_size > 10_000
    texts = {text for axes in figure.axes for text in (axes.get_xlabel(), axes.get_ylabel())}
    assert {"time t", "objective F", "w"} <= texts
    for solution, name in ((a, "density.png"), (b, "cloud.png")):
        plot.run(solution, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 10_000
    for axes in figure.axes:
        # no empty frame: something is drawn wherever axes are shown
        drawn = axes.lines + axes.collections + axes.images + axes.patches + axes.texts
        assert drawn or not axes.axison


def test_a_run_without_output_or_with_one_snapshot(tmp_path):
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 10))
    solution = run_of([wgf.Density.uniform(mesh)], [1.0])
    plot.run(solution, tmp_path / "one.png")
    assert (tmp_path / "one.png").exists()
