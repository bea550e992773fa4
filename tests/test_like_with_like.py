"""Comparisons set like beside like, and say where they cannot."""

import numpy as np
import pytest

import wgf
from wgf.record.solution import Solution

LINE = wgf.Mesh(x=wgf.Axis(-4, 4, 32))


def run_of(measure, parts, flow="GradientFlow(F)", terms=None, names=("x",)):
    problem = {"axes": list(names), "flow": flow, "method": "FiniteVolume(order=2)"}
    solution = Solution(problem | {"terms": list(terms or parts)})
    for time in (0.0, 1.0):
        rows = {
            "t": [time],
            "dt": [0.0],
            "mass": [measure.mass],
            "objective": [sum(parts.values())],
        }
        rows |= {name: [value * (1 + time)] for name, value in parts.items()}
        solution.append(time, measure, None, rows)
    return solution


def normal(mean=0.0, mesh=LINE):
    return wgf.Density.normal(mesh, mean, 0.5)


def test_objectives_are_sums_of_the_parts_that_both_runs_have():
    density = run_of(normal(), {"ridge": 1.0, "entropy": -0.4})
    cloud = run_of(normal().sample(50, 0), {"ridge": 1.1}, terms=("ridge", "entropy"))
    found = wgf.compare(density, cloud)
    table = found.table
    assert table["objective_a"].tolist() == [1.0, 2.0]
    np.testing.assert_allclose(table["objective_gap"], 0.1 / 1.1, rtol=1e-14)
    assert table["entropy_a"].tolist() == [-0.4, -0.8] and np.isnan(table["entropy_b"]).all()
    head, row, *_ = str(found).splitlines()
    assert "entropy density" in head and "entropy particles" in head and " –" in row
    assert "F: sum of the parts that all runs have (ridge), without entropy" in str(found)
    # like runs are compared with all that they have
    alike = wgf.compare(density, run_of(normal(), {"ridge": 1.0, "entropy": -0.1}))
    assert "entropy_a" not in alike.table and alike.table["objective_gap"][0] == pytest.approx(
        1 / 3
    )


def test_a_study_leaves_out_the_same_parts():
    density = run_of(normal(), {"ridge": 1.0, "entropy": -0.4})
    clouds = [run_of(normal().sample(m, 0), {"ridge": 1 + m**-0.5}) for m in (16, 64)]
    found = wgf.compare(density, *clouds)
    np.testing.assert_allclose(found.table["objective"], [2.5, 2.25])
    np.testing.assert_allclose(found.table["objective_gap"], [0.2, 1 / 9])
    assert np.isnan(found.table["entropy"]).all() and "without entropy" in str(found)


def test_objectives_without_a_common_part_are_not_compared():
    found = wgf.compare(run_of(normal(), {"ridge": 1.0}), run_of(normal(), {"potential": 2.0}))
    assert np.isnan(found.table["objective_gap"]).all()
    assert "no part in common" in str(found)


def test_flows_that_differ_are_named():
    a, b = run_of(normal(), {"ridge": 1.0}), run_of(normal(), {"ridge": 1.0}, "HeavyBall(F, 2.0)")
    text = str(wgf.compare(a, b))
    assert "the flows differ:\n  density 1: GradientFlow(F)\n  density 2: HeavyBall(F, 2.0)" in text
    assert "HeavyBall(F, 2.0)" in str(wgf.compare(a, a, b))
    assert "differ" not in str(wgf.compare(a, a)).replace("difference", "")


def test_masses_that_differ_are_shown():
    a = run_of(normal(), {"ridge": 1.0})
    half = wgf.Density(LINE, 0.5 * normal().values)
    found = wgf.compare(a, run_of(half, {"ridge": 1.0}))
    head = str(found).splitlines()[0]
    assert "mass density 1" in head and "the masses differ (0.5 to 1)" in str(found)
    assert found.table["w1_x"][0] == pytest.approx(0.0, abs=1e-14)
    assert "mass" not in str(wgf.compare(a, a))
    assert "mass" in str(wgf.compare(a, a, run_of(half, {"ridge": 1.0}))).splitlines()[1]


def test_the_floor_of_cells_against_their_centres_is_told():
    """Cells of width h are h / 4 from points at their centres in W1, h / sqrt(12) in W2."""
    h = 0.25
    a = run_of(normal(), {"ridge": 1.0})
    # of a density that is known by its cells alone
    points = wgf.Density(LINE, normal().values).quadrature()
    found = wgf.compare(a, run_of(points, {"ridge": 1.0}))
    np.testing.assert_allclose(found.table["w1_x"], h / 4, rtol=1e-12)
    np.testing.assert_allclose(found.table["w2_x"], h / np.sqrt(12), rtol=1e-9)
    assert "floor of cells against points at their centres: W1(x) 0.0625, W2(x) 0.0722" in str(
        found
    )
    assert "floor" not in str(wgf.compare(a, run_of(normal().sample(50, 0), {"ridge": 1.0})))


def test_two_copies_are_points_and_not_intervals():
    """A density on the signs -1, +1 and its quadrature differ by nothing along the signs."""
    mesh = wgf.Mesh(a=wgf.Axis(-2, 2, 2), x=wgf.Axis(0, 1, 40))
    values = np.outer([0.3, 0.7], np.ones(40)) / 2
    density = wgf.Density(mesh, values)
    found = wgf.compare(
        run_of(density, {"risk": 1.0}, names=("a", "x")),
        run_of(density.quadrature(), {"risk": 1.0}, names=("a", "x")),
    )
    # round-off of shares; W2 is a root of it
    np.testing.assert_allclose(found.table["w1_a"], 0.0, atol=1e-14)
    np.testing.assert_allclose(found.table["w2_a"], 0.0, atol=1e-7)
    ends = found.at_end(limit=500)
    # what is left is the way within cells of x: h / 4 of W1, h / sqrt(12) of W2
    assert abs(ends["w1"] - 1 / 160) <= ends["w1_bound"] and ends["w1"] < 1 / 80
    assert abs(ends["w2"] - 1 / 40 / np.sqrt(12)) <= ends["w2_bound"]
    assert ends["mmd"] < 1e-3
    # a shift of mass p from one sign to the other costs 2 p
    moved = wgf.Density(mesh, np.outer([0.4, 0.6], np.ones(40)) / 2)
    other = run_of(moved, {"risk": 1.0}, names=("a", "x"))
    table = wgf.compare(run_of(density, {"risk": 1.0}, names=("a", "x")), other).table
    assert table["w1_a"][0] == pytest.approx(0.2, rel=1e-12)


def test_limits_of_accuracy_stay_out_of_a_fit_and_are_told():
    reference = run_of(normal(), {"ridge": 1.0})
    centred = [run_of(normal(m).quadrature(), {"ridge": 1.0 + m}) for m in (0.0, 0.0)]
    clouds = [run_of(normal().sample(m, 0), {"ridge": 1 + m**-0.5}) for m in (8, 64, 512)]
    far = wgf.Particles(np.full((2, 1), 3.9))
    found = wgf.compare(reference, *centred, *clouds, run_of(far, {"ridge": 2.0}))
    count = centred[0].final.size
    assert found.table["w1_x_floor"][0] == pytest.approx(0.0625)
    assert np.isnan(found.table["w1_x_floor"][2:]).all()
    assert found.left_out["particles", "w1_x"] == {count: "below twice the floor"}
    assert found.left_out["particles", "mmd"] == {2: "above half of the largest value"}
    fits = {each["quantity"]: each for each in found.fits}
    assert fits["w1_x"]["sizes"] == 4 and fits["mmd"]["sizes"] == 4
    text = str(found)
    assert f"not fitted, below twice the floor: w1_x of particles at m = {count}" in text
    assert "not fitted, above half of the largest value: mmd of particles at m = 2" in text


def test_a_slope_from_two_runs_says_so():
    reference = run_of(normal(mesh=LINE), {"ridge": 1.0})
    coarse = [
        run_of(normal(mesh=wgf.Mesh(x=wgf.Axis(-4, 4, n))), {"ridge": 1 + 1 / n})
        for n in (8, 16, 24)
    ]
    two = wgf.compare(reference, *coarse[:2])
    assert all(np.isnan(each["error"]) for each in two.fits)
    assert "two runs give a slope without an error" in str(two) and "± ?" in str(two)
    three = wgf.compare(reference, *coarse)
    assert all(np.isfinite(each["error"]) for each in three.fits)
    assert "without an error" not in str(three)
    assert "the reference is not twice as fine as density at h = 0.3333" in str(three)
    rates = two.success("density", "objective_gap", below=0.1)
    assert rates["size"].tolist() == [0.5, 1.0] and rates["rate"].tolist() == [1.0, 0.0]
