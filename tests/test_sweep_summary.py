"""What a sweep is summarised to: means with intervals that hold, rates, slopes, figures."""

import pathlib

import numpy as np
import pytest

import wgf
from wgf.command import cli
from wgf.comparison.statistics import fit, summarise
from wgf.comparison.sweeps import Summary
from wgf.record.grid import grid_image, read_grid

SIZES = np.array([10, 20, 40, 80])


def stored(folder, values, options=None, sides=(), status=None, **more):
    """Write the table of a sweep with these values at the end and return its directory."""
    folder.mkdir(exist_ok=True)
    (folder / "sweep.json").write_text("{}")
    options = {"particles": SIZES} if options is None else options
    dimensions = {**options, "seed": np.arange(values.shape[len(options)])}
    labels = (*dimensions, *(["side"] if sides else []))
    dimensions |= {"side": list(sides)} if sides else {}
    shape = tuple(len(each) for each in dimensions.values())
    status = np.full(shape, "done") if status is None else status
    variables = {"status": (labels, status), "error": (labels, values)}
    (folder / "sweep.h5").write_bytes(grid_image(dimensions | more, variables, {}))
    return folder


def test_a_grid_is_read_as_it_was_written(tmp_path):
    dimensions = {"a": np.array([1, 2]), "side": np.array(["mesh", "particles"])}
    variables = {"x": (("a", "side"), np.arange(4.0).reshape(2, 2)), "y": (("side",), np.ones(2))}
    path = tmp_path / "grid.h5"
    path.write_bytes(grid_image(dimensions, variables, {}))
    scales, found = read_grid(path)
    assert all(np.array_equal(scales[name], held) for name, held in dimensions.items())
    assert all(
        found[name][0] == labels and np.array_equal(found[name][1], held)
        for name, (labels, held) in variables.items()
    )


def test_means_intervals_and_the_slope_are_those_of_the_runs(tmp_path):
    generator = np.random.default_rng(0)
    values = SIZES[:, None] ** -0.5 * np.exp(0.1 * generator.normal(size=(4, 12)))
    found = Summary(stored(tmp_path, values), "error", rate=-0.5)
    assert found.x == "particles" and found.table["particles"].tolist() == SIZES.tolist()
    assert np.allclose(found.table["mean"], values.mean(axis=1), rtol=1e-14)
    # Student's quantile of 11 degrees of freedom
    half = 2.2009851600916384 * values.std(axis=1, ddof=1) / np.sqrt(12)
    assert np.allclose(found.table["high"] - found.table["mean"], half, rtol=1e-12)
    (line,) = found.fits
    assert line["runs"] == 48 and line["sizes"] == 4 and line["low"] < -0.5 < line["high"]
    text = str(found)
    assert "95 % interval of the mean by Student's t" in text and "standard error" in text
    geometric = Summary(tmp_path, "error", statistic="geometric").table["geometric"]
    assert np.allclose(geometric, np.exp(np.log(values).mean(axis=1)), rtol=1e-14)
    median = Summary(tmp_path, "error", statistic="median")
    assert np.array_equal(median.table["median"], np.median(values, axis=1))
    assert "bootstrap percentiles" in str(median)


def test_intervals_cover_the_truth_in_90_to_99_of_100_repetitions():
    generator = np.random.default_rng(1)
    means = slopes = medians = 0
    for _ in range(100):
        values = 3.0 + generator.normal(size=20)
        found = summarise(np.ones(20), values, "arithmetic")
        means += found["low"][0] <= 3.0 <= found["high"][0]
        found = summarise(np.ones(20), np.exp(values), "median", "bootstrap")
        medians += found["low"][0] <= np.exp(3.0) <= found["high"][0]
        sizes = np.repeat(SIZES, 10)
        found = fit(sizes, sizes**-0.5 * np.exp(0.3 * generator.normal(size=40)))
        slopes += found.low <= -0.5 <= found.high
    assert 90 <= means <= 99 and 90 <= slopes <= 99 and 90 <= medians <= 99


def test_what_is_near_a_floor_is_left_out_and_told(tmp_path):
    values = np.maximum(SIZES[:, None] ** -1.0, 0.03) * (1 + 1e-3 * np.arange(3))
    free = Summary(stored(tmp_path, values), "error").fits[0]
    found = Summary(tmp_path, "error", floor=0.016)
    assert found.fits[0]["slope"] == pytest.approx(-1.0, abs=1e-12) and found.fits[0]["sizes"] == 2
    assert free["slope"] > -0.8
    assert any("below twice the floor: particles = 40, 80" in note for note in found.notes)


def test_failures_are_counted_and_rates_have_intervals(tmp_path):
    values = np.array([[1.0, 2.0, np.nan, 0.1]])
    status = np.array([["done", "done", "failed", "done"]])
    found = Summary(stored(tmp_path, values, {"m": [3]}, status=status), "error", below=0.5)
    row = {name: column[0] for name, column in found.table.items()}
    assert row["repeats"] == 3 and row["failed"] == 1 and row["rate"] == 0.25
    # Wilson's interval of 1 of 4, from the formula by hand
    assert row["rate_low"] == pytest.approx(0.04559, abs=1e-5)
    assert row["rate_high"] == pytest.approx(0.69936, abs=1e-5)


def test_a_side_without_chance_counts_once(tmp_path):
    values = np.stack([np.full((4, 5), 2.0), 1 + np.arange(20.0).reshape(4, 5)], axis=2)
    found = Summary(stored(tmp_path, values, sides=("mesh", "particles")), "error")
    repeats = dict(zip(zip(found.table["particles"], found.table["side"]), found.table["repeats"]))
    assert repeats[10, "mesh"] == 1 and repeats[10, "particles"] == 5
    assert [each["runs"] for each in found.fits] == [4, 20]


SCRIPT = '''"""A sum: the mean of a draw."""
import wgf

def setup(*, until=0.01):
    """Return a few points of a normal distribution that hardly move."""
    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, 64))
    start = wgf.Density.normal(mesh, 0.0, 1.0)
    observe = {
        "error": lambda measure, t: abs(measure.mean()[0]),
        "pair": lambda measure, t: [abs(measure.mean()[0]), 1.0],
    }
    flow = wgf.GradientFlow(wgf.Ridge(1.0))
    return {"flow": flow, "start": start, "until": until, "observe": observe}
'''


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "draws.py").write_text(SCRIPT)
    found = wgf.sweep(
        folder / "draws.py",
        vary={"particles": [10, 40, 160]},
        seeds=range(8),
        out=folder / "out",
        method="particles",
        jobs=1,
    )
    return found


def test_the_command_line_prints_and_draws_a_sweep(swept, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = [str(swept.path), "--y", "error", "--rate", "-0.5", "--below", "0.1", "--data", "t.h5"]
    assert cli.status(argv=["table", *argv]) == 0
    told = capsys.readouterr().out
    assert "mean of error" in told and "Wilson" in told and "slope of" in told
    # the standard deviation of a mean falls like m^(-1/2): the slope within three standard errors
    line = swept.summary("error").fits[0]
    assert abs(line["slope"] + 0.5) < 3 * line["error"]
    assert cli.status(argv=["plot", *argv[:-1], "n.csv", "--x", "particles", "--out", "f.png"]) == 0
    assert pathlib.Path("f.png").stat().st_size > 1000
    assert pathlib.Path("n.csv").read_text().startswith("panel,series")
    capsys.readouterr()
    assert cli.status(argv=["table", str(swept.path), "--y", "pair[1]"]) == 0
    assert "mean of pair[1]" in capsys.readouterr().out
    figure = swept.summary("error", rate=-0.5).plot()
    (ax,) = figure.axes
    assert ax.get_xscale() == ax.get_yscale() == "log" and len(ax.lines) == 2
    assert ax.get_ylim()[0] > 1e-5


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--y", "eror"], "no column 'eror', did you mean error"),
        (["--x", "cells"], "x: cells is not a varied option of numbers, choose from these: part"),
        (["--statistic", "mode"], "statistic: 'mode' is unknown"),
        (["--statistic", "median", "--interval", "t"], "'t' does not go with the median"),
        (["--y", "pair"], "y: pair has 2 components, give one of them, pair[0]"),
        (["--y", "pair[2]"], "y: pair has 2 components"),
        (["--y", "error[0]"], "y: error is a number, leave [0] out"),
    ],
)
def test_bad_names_are_refused_in_one_sentence(swept, capsys, words, told):
    assert cli.status(argv=["table", str(swept.path), *words]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_a_run_is_no_sweep(tmp_path, capsys):
    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, 16))
    start = wgf.Density.normal(mesh, 0.5, 0.5)
    wgf.solve(wgf.GradientFlow(wgf.Ridge(1.0)), start, 0.1, save=tmp_path / "run")
    assert cli.status(argv=["plot", str(tmp_path / "run"), "--x", "cells"]) == 2
    assert "is not a sweep, leave --x out" in capsys.readouterr().err
    assert cli.status(argv=["table", str(tmp_path / "run")]) == 2
    assert "is not a sweep, give the directory of one" in capsys.readouterr().err
