"""Convergence studies: sizes, gaps, slopes, what is stored of them and drawn."""

import csv

import h5py
import numpy as np
import pytest

import wgf
from wgf.comparison.study import particle_rate, slope, summarise
from wgf.record.solution import Solution


def run_of(measure, objective, output, method="FiniteVolume(order=2)", times=(0.0, 1.0)):
    solution = Solution({"axes": list(measure.names), "method": method})
    for t in times:
        rows = {"t": [t], "dt": [0.0], "mass": [measure.mass], "objective": [objective]}
        solution.append(t, measure, np.asarray(output, dtype=float), rows)
    return solution


def mesh_of(dimension, cells):
    names = ("a", "w1", "w2")[:dimension]
    return wgf.Mesh(**{name: wgf.Axis(-4, 4, cells) for name in names})


@pytest.fixture(scope="module")
def flat():
    """Normals on finer and finer meshes, and clouds drawn from the finest, in the plane."""
    exact = wgf.Density.normal(mesh_of(2, 64), (0.3, -0.2), 0.7)
    runs = [
        run_of(wgf.Density.normal(mesh_of(2, n), (0.3, -0.2), 0.7), 1 + h**2, [h**2, 1])
        for n, h in ((8, 1.0), (16, 0.5), (32, 0.25))
    ]
    for m in (30, 120, 480):
        for seed in range(4):
            runs.append(run_of(exact.sample(m, seed), 1 + m**-0.5, [m**-0.5, 1], "RungeKutta()"))
    return wgf.compare(run_of(exact, 1.0, [0, 1]), *runs, limit=400)


def test_rows_and_sizes(flat):
    table = flat.table
    assert table["kind"].tolist() == ["density"] * 3 + ["particles"] * 12
    np.testing.assert_allclose(table["size"][:3], [1.0, 0.5, 0.25])
    assert table["count"][:3].tolist() == [64, 256, 1024]
    assert table["size"][3:].tolist() == np.repeat([30, 120, 480], 4).tolist()
    np.testing.assert_allclose(table["objective_gap"][0], 0.5)
    np.testing.assert_allclose(table["output_rms"][:3], np.array([1, 1 / 4, 1 / 16]) / np.sqrt(2))
    first = flat.sweep("particles", "w1_a")
    assert first["repeats"].tolist() == [4, 4, 4]
    assert np.all((first["low"] < first["mean"]) & (first["mean"] < first["high"]))


def test_slopes_and_expected_rates(flat):
    fits = {(fit["kind"], fit["quantity"]): fit for fit in flat.fits}
    assert fits["density", "output_rms"]["slope"] == pytest.approx(2.0, abs=1e-10)
    assert fits["density", "output_rms"]["expected"] == 2.0
    assert fits["particles", "output_rms"]["slope"] == pytest.approx(-0.5, abs=1e-10)
    # a cell average spread over its cell is of second order; 8 cells are a coarse start
    assert fits["density", "mmd"]["slope"] == pytest.approx(2.0, abs=0.3)
    # four repeats leave a quarter of noise in each of three means
    for quantity in ("mmd", "energy", "w1_a"):
        assert fits["particles", quantity]["slope"] == pytest.approx(-0.5, abs=0.2)
        assert fits["particles", quantity]["expected"] == -0.5
    assert particle_rate("w1", 1) == particle_rate("w1", 2) == -0.5
    assert particle_rate("w1", 3) == -1 / 3
    text = str(flat)
    assert "64 x 64 cells" in text and "(expected)" in text
    row = next(line for line in text.splitlines() if line.startswith("output_rms "))
    assert row.split() == ["output_rms", "2.00", "(2.00)", "-0.50", "(-0.50)"]


def test_stored_and_drawn(flat, tmp_path):
    flat.save(tmp_path / "study.csv")
    with open(tmp_path / "study.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["kind"] for row in rows] == flat.table["kind"].tolist()
    np.testing.assert_array_equal([float(row["w1"]) for row in rows], flat.table["w1"])
    flat.save(tmp_path / "study.h5")
    with h5py.File(tmp_path / "study.h5") as file:
        assert file.attrs["time"] == 1.0 and "64 x 64" in file.attrs["reference"]
        np.testing.assert_array_equal(file["runs/mmd"], flat.table["mmd"])
        assert file["runs/kind"].asstr()[0] == "density"
        assert file["fits/slope"].shape == (len(flat.fits),)
        np.testing.assert_array_equal(file["particles_mmd/size"], [30, 120, 480])
    with pytest.raises(wgf.InputError, match=r"neither \.csv nor \.h5"):
        flat.save(tmp_path / "study.txt")
    figure = flat.plot(tmp_path / "study.png")
    assert (tmp_path / "study.png").stat().st_size > 10_000
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert "slope 2.00" in texts


@pytest.mark.parametrize("dimension", [1, 3])
def test_other_dimensions_and_meshes(dimension, tmp_path):
    exact = wgf.Density.normal(mesh_of(dimension, 15), 0.0, 0.8)
    coarse = wgf.Density.normal(mesh_of(dimension, 10), 0.0, 0.8)
    clouds = [run_of(exact.sample(m, 0), 1.0, [0]) for m in (20, 80)]
    found = wgf.compare(run_of(exact, 1.0, [0]), run_of(coarse, 1.1, [1]), *clouds, limit=200)
    fits = {(fit["kind"], fit["quantity"]): fit for fit in found.fits}
    assert ("density", "w1") not in fits
    assert fits["particles", "w1"]["expected"] == pytest.approx(-1 / max(dimension, 2))
    assert (found.table["w1_bound"] == 0).all() == (dimension == 1)
    found.plot(tmp_path / "study.png")


def test_the_last_common_time_counts():
    exact = wgf.Density.normal(mesh_of(1, 16), 0.0, 0.8)
    one = run_of(exact, 1.0, [0], times=(0.0, 1.0, 2.0, 3.0))
    two = run_of(exact, 1.0, [0], times=(0.0, 1.0, 2.0))
    three = run_of(exact, 1.0, [0], times=(0.0, 2.0, 3.0))
    assert wgf.compare(one, two, three).time == 2.0
    with pytest.raises(wgf.InputError, match="no common time"):
        wgf.compare(one, two, run_of(exact, 1.0, [0], times=(7.0,)))
    with pytest.raises(wgf.InputTypeError, match="compare 3: int is not a run"):
        wgf.compare(one, two, 5)
    other = run_of(wgf.Density.uniform(mesh_of(2, 4)), 1.0, [0])
    with pytest.raises(wgf.InputError, match="axes"):
        wgf.compare(one, two, other)


def test_confidence_bands():
    """Student's interval of the logarithms covers the truth about 95 times in a hundred."""
    generator = np.random.default_rng(0)
    values = np.exp(generator.normal(size=(400, 5)))
    covered = 0
    for row in values:
        found = summarise([7] * 5, row)
        covered += found["low"][0] <= 1.0 <= found["high"][0]
    # 380 expected, standard deviation 4.4
    assert 365 <= covered <= 395
    np.testing.assert_allclose(summarise([1, 2], [3.0, 4.0])["low"], [3.0, 4.0], rtol=1e-14)
    assert summarise([1, 1], [0.0, 2.0])["mean"] == 1.0
    assert slope([1, 2, 4], [0.0, 1.0, 0.0]) is None
    assert slope([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2.0)


def test_unbalanced_runs_are_compared_by_the_flat_norm(tmp_path):
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 20))
    runs = []
    for size in (1.0, 1.5, 1.25):
        run = run_of(wgf.Density(mesh, np.full(20, size)), 1.0, [0])
        run.problem["flow"] = "FisherRao(F, growth=1.0, transport=1.0)"
        runs.append(run)
    found = wgf.compare(*runs)
    assert "w1" not in found.table and "mmd" not in found.table
    # more mass everywhere: nothing is worth moving
    np.testing.assert_allclose(found.table["flat_x"], [0.5, 0.25], rtol=1e-9)
    assert "flat_x" in str(found)
    figure = found.plot(tmp_path / "flat.png")
    assert "flat norm along x" in {ax.get_title() for ax in figure.axes}
