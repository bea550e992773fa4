"""A distance of the user's own is one value outside the package, in comparisons and in studies."""

import csv

import h5py
import numpy as np
import pytest

import wgf
from wgf.distances import standard
from wgf.record.solution import Solution

LINE = wgf.Mesh(x=wgf.Axis(-4, 4, 64))


def run_of(measures, flow="GradientFlow(F)", method="FiniteVolume(order=2)"):
    solution = Solution({"axes": ["x"], "flow": flow, "method": method})
    for k, measure in enumerate(measures):
        rows = {"t": [float(k)], "dt": [0.0], "mass": [measure.mass], "objective": [1.0 + k]}
        solution.append(float(k), measure, None, rows)
    return solution


def mean_gap(first, second):
    return abs(first.mean()[0] - second.mean()[0]), 0.25


MEANS = wgf.Distance(
    "means",
    mean_gap,
    label="gap of means",
    meaning="of the measures' means",
    unit="in units of the axis",
    rate=-0.75,
    order=1.0,
)
HALVES = wgf.Distance(
    "halves",
    lambda a, b, axis: abs(a.quantiles(axis, [0.9])[0] - b.quantiles(axis, [0.9])[0]),
    per_axis=True,
    title="upper decile along {axis}",
)


def normal(mean, mesh=LINE):
    return wgf.Density.normal(mesh, mean, 0.5)


def test_a_comparison_measures_prints_stores_and_draws_it(tmp_path):
    a = run_of([normal(0.0), normal(0.0)])
    b = run_of([normal(0.5), normal(1.0).quadrature()])
    found = wgf.compare(a, b, distances=[MEANS, HALVES])
    # a truncated normal keeps its mean to the tail beyond six deviations
    np.testing.assert_allclose(found.table["means"], [0.5, 1.0], rtol=1e-6)
    np.testing.assert_allclose(found.table["means_bound"], 0.25)
    assert found.table["halves_x"][0] == pytest.approx(0.5, abs=0.01)
    assert not {"w1_x", "w2_x"} & set(found.table)
    head, first, _, note = str(found).splitlines()
    assert "gap of means" in head and "halves(x)" in head and "5.00e-01" in first
    assert "gap of means: of the measures' means, in units of the axis" in note
    assert found.at_end() == {"means": pytest.approx(1.0), "means_bound": 0.25}
    assert found.sentence() == "whole measures at t = 1: gap of means 1 ± 0.2"
    found.save(tmp_path / "pair.csv")
    with open(tmp_path / "pair.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["means"]) for row in rows] == found.table["means"].tolist()
    figure = found.plot(tmp_path / "pair.png")
    assert "halves" in {ax.get_ylabel() for ax in figure.axes}


def test_a_study_fits_prints_stores_and_draws_it(tmp_path):
    runs = [run_of([normal(0.1 * h, wgf.Mesh(x=wgf.Axis(-4, 4, 64 // h)))]) for h in (2, 4, 8)]
    clouds = [run_of([normal(m**-0.75).quadrature()]) for m in (16, 81)]
    found = wgf.compare(run_of([normal(0.0)]), *runs, *clouds, distances=[*standard.STUDY, MEANS])
    assert {"w1_x", "w1", "energy", "mmd", "means"} <= set(found.table)
    fits = {(each["kind"], each["quantity"]): each for each in found.fits}
    # cells as wide as two deviations move the mean by a few thousandths
    assert fits["density", "means"]["slope"] == pytest.approx(1.0, rel=5e-3)
    assert fits["density", "means"]["expected"] == 1.0
    assert found.expected("particles", "means") == -0.75
    line = next(row for row in str(found).splitlines() if row.startswith("means "))
    assert line.split()[1:3] == ["1.00", "(1.00)"]
    found.save(tmp_path / "study.h5")
    with h5py.File(tmp_path / "study.h5") as file:
        np.testing.assert_array_equal(file["runs/means"], found.table["means"])
        assert file["density_means/mean"].shape == (3,)
    figure = found.plot(tmp_path / "study.png")
    assert "gap of means" in {ax.get_title() for ax in figure.axes}


def test_a_distance_that_does_not_apply_is_left_out():
    never = wgf.Distance("never", mean_gap, applies=lambda first, second: False)
    found = wgf.compare(run_of([normal(0)]), run_of([normal(1)]), distances=[never, MEANS])
    assert "never" not in found.table and "means" in found.table


def test_the_limit_reaches_a_distance_of_pieces():
    seen = []

    def counted(first, second, limit):
        seen.append(limit)
        return 0.0

    own = wgf.Distance("counted", counted, pieces=True)
    wgf.compare(run_of([normal(0)]), run_of([normal(1)]), distances=[own], limit=17)
    assert seen == [17]


@pytest.mark.parametrize(
    ("distances", "error", "match"),
    [
        ("w1", wgf.InputTypeError, "str is not a list"),
        ([mean_gap], wgf.InputTypeError, "function does not fit here, give a wgf.Distance"),
        ([MEANS, MEANS], wgf.InputError, "two are called means, rename"),
        ([wgf.Distance("t", mean_gap)], wgf.InputError, "t is a column already"),
        ([wgf.Distance("three", lambda a, b: (1, 2, 3))], wgf.InputError, "3 numbers"),
        ([wgf.Distance("text", lambda a, b: "far")], wgf.InputTypeError, "not an array"),
    ],
)
def test_bad_distances(distances, error, match):
    with pytest.raises(error, match=match):
        wgf.compare(run_of([normal(0)]), run_of([normal(1)]), distances=distances)


def test_bad_names_and_functions():
    with pytest.raises(wgf.InputError, match="'my distance' is not an identifier"):
        wgf.Distance("my distance", mean_gap)
    with pytest.raises(wgf.InputTypeError, match="3 cannot be called"):
        wgf.Distance("three", 3)
