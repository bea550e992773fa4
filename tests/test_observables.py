"""Observables: columns of the user, in memory, on the disk, under ranks and after a resume."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from test_mpi import MPIEXEC, needs_mpi

import wgf
from wgf.command import cli

MESH = wgf.Mesh(x=wgf.Axis(-4, 4, 32))
FLOW = wgf.GradientFlow(wgf.Ridge(1.0))
START = wgf.Density.normal(MESH, 0.5, 0.4)


def second(measure, t):
    """Return the second moment."""
    points, weights = next(iter(measure.blocks()))
    return weights @ points[:, 0] ** 2


def both(measure, t):
    """Return the mean and the time."""
    return np.array([measure.mean()[0], t])


OBSERVE = {"second": second, "both": both}


@pytest.mark.parametrize("start", [START, START.sample(30, seed=0)], ids=["mesh", "particles"])
def test_columns_hold_what_the_functions_return_at_every_row(start, tmp_path):
    rows = []
    run = wgf.solve(
        FLOW, start, 0.5, every=0.25, observe=OBSERVE, save=tmp_path / "run", progress=rows.append
    )
    count = len(run.diagnostics["t"])
    assert run.diagnostics["second"].shape == (count,)
    assert run.diagnostics["both"].shape == (count, 2)
    assert np.array_equal(run.diagnostics["both"][:, 1], run.diagnostics["t"])
    at = np.searchsorted(run.diagnostics["t"], run.times)
    for k, row in enumerate(at):
        measure = run.snapshots[k]
        assert run.diagnostics["second"][row] == second(measure, 0.0)
        assert run.diagnostics["both"][row, 0] == measure.mean()[0]
    assert [row["second"] for row in rows] == run.diagnostics["second"].tolist()
    stored = wgf.open_run(tmp_path / "run")
    for name in run.diagnostics:
        assert np.array_equal(stored.diagnostics[name], run.diagnostics[name])
    # what is observed changes nothing else
    bare = wgf.solve(FLOW, start, 0.5, every=0.25)
    for name, column in bare.diagnostics.items():
        assert np.array_equal(column, run.diagnostics[name])


def test_a_second_moment_follows_its_equation():
    # under V = x²/2 the second moment of particles is that of the start times exp(-2t), up to the
    # tolerance 1e-6 per step of the Runge-Kutta method
    start = START.quadrature()
    run = wgf.solve(FLOW, start, 1.0, observe={"second": second})
    t, found = run.diagnostics["t"], run.diagnostics["second"]
    assert np.allclose(found, found[0] * np.exp(-2 * t), rtol=1e-4)


def test_times_of_their_own_are_landed_on():
    run = wgf.solve(FLOW, START, 0.6, every=0.3, observe=OBSERVE, observe_every=0.2)
    seen = ~np.isnan(run.diagnostics["second"])
    assert np.array_equal(run.diagnostics["t"][seen], [0.0, 0.2, 0.4, 0.6])
    assert np.array_equal(np.isnan(run.diagnostics["both"]).any(axis=1), ~seen)
    assert np.array_equal(run.times, [0.0, 0.3, 0.6])
    run = wgf.solve(FLOW, START, 0.6, observe=OBSERVE, observe_every=[0.1, 0.5])
    seen = ~np.isnan(run.diagnostics["second"])
    assert np.array_equal(run.diagnostics["t"][seen], [0.0, 0.1, 0.5, 0.6])


def test_a_run_stops_on_what_is_observed():
    run = wgf.solve(
        FLOW, START, 5.0, observe={"second": second}, stop=lambda row: row["second"] < 0.2
    )
    assert run.status == "stopped" and run.diagnostics["second"][-1] < 0.2
    assert (run.diagnostics["second"][:-1] >= 0.2).all()


@pytest.mark.parametrize("observe_every", [None, 0.1])
def test_a_resumed_run_has_the_bits_of_the_straight_one(tmp_path, observe_every):
    what = {"every": 0.25, "observe": OBSERVE, "observe_every": observe_every}
    straight = wgf.solve(FLOW, START, 1.0, **what)
    halted = []

    def stop(row):
        halted.append(row["t"])
        return row["t"] > 0.6

    wgf.solve(FLOW, START, 1.0, save=tmp_path / "run", stop=stop, **what)
    assert halted[-1] < 1.0
    resumed = wgf.solve(FLOW, START, 1.0, save=tmp_path / "run", resume=True, **what)
    for name, column in straight.diagnostics.items():
        assert np.array_equal(column, resumed.diagnostics[name], equal_nan=True), name
        stored = wgf.open_run(tmp_path / "run").diagnostics[name]
        assert np.array_equal(column, stored, equal_nan=True), name


def test_a_run_is_resumed_with_its_observables_alone(tmp_path):
    wgf.solve(FLOW, START, 0.5, save=tmp_path / "run", observe=OBSERVE)
    for observe in (None, {"second": second}):
        with pytest.raises(wgf.InputError, match="observables of the stored run were second, both"):
            wgf.solve(FLOW, START, 1.0, save=tmp_path / "run", resume=True, observe=observe)
    wgf.solve(FLOW, START, 0.5, save=tmp_path / "bare")
    with pytest.raises(wgf.InputError, match="were none, now they are second"):
        again = {"save": tmp_path / "bare", "resume": True}
        wgf.solve(FLOW, START, 1.0, observe={"second": second}, **again)


def raising(measure, t):
    if t > 0.3:
        raise ZeroDivisionError("nothing to divide by")
    return 1.0


def growing(measure, t):
    return np.zeros(2 if t > 0.3 else 1)


def undefined(measure, t):
    return np.nan if t > 0.3 else 1.0


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (raising, r"^observe: f raised ZeroDivisionError \(nothing to divide by\) at t=0\.\d+"),
        (growing, r"^observe: f has the shape \(2,\) at t=0\.\d+ and had \(1,\) before"),
        (undefined, r"^observe: f is NaN at t=0\.\d+"),
        (lambda m, t: "x" if t > 0.3 else 1, r"^observe: f at t=0\.\d+: str is not an array"),
    ],
)
def test_a_failure_is_a_sentence_and_the_last_snapshot_stays(tmp_path, function, told):
    with pytest.raises(wgf.NumericalError, match=told) as caught:
        wgf.solve(FLOW, START, 1.0, every=0.1, observe={"f": function}, save=tmp_path / "run")
    assert "\n" not in str(caught.value)
    run = wgf.open_run(tmp_path / "run")
    assert run.status == "failed" and run.times[-1] == 0.3


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"observe": second}, "is not a dictionary"),
        ({"observe": {"a b": second}}, "'a b' is not a name"),
        ({"observe": {"time": second}}, "a file uses the name time itself"),
        ({"observe": {"x_index1": second}}, "a file uses the name x_index1 itself"),
        ({"observe": {"mass": second}}, "mass is a column of every run"),
        ({"observe": {"f": 3.0}}, "f is 3.0, which cannot be called"),
        ({"observe": {"f": lambda m, t: np.zeros(10**5)}}, "f has 100000 numbers at t=0"),
        ({"observe": {"f": lambda m, t: np.nan}}, "f is NaN at t=0"),
        ({"observe": {"f": lambda m: 1.0}}, "f raised TypeError"),
        ({"observe_every": 0.1}, "there is no observable"),
        ({"observe": OBSERVE, "observe_every": -1}, "observe_every: -1 is too small"),
        ({"observe": OBSERVE, "observe_every": [2.0]}, "observe_every: 2 lies outside"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(tmp_path, more, told):
    with pytest.raises(wgf.InputError, match=told):
        wgf.solve(FLOW, START, 1.0, save=tmp_path / "run", **more)
    assert not (tmp_path / "run").exists()


def test_times_of_observables_do_not_go_with_an_end_that_is_not_known():
    with pytest.raises(wgf.InputError, match="'stationary' does not go with .*observe_every"):
        wgf.solve(FLOW, START, "stationary", observe=OBSERVE, observe_every=0.1)


SCRIPT = '''"""A well: ``∂t mu = ∇·(mu ∇V)``, ``V = x^2 / 2``."""
import numpy as np
import wgf

def setup(*, until=0.5, bad=False):
    """Return a well."""
    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, 32))
    start = wgf.Density.normal(mesh, 0.5, 0.4)
    return {
        "flow": wgf.GradientFlow(wgf.Ridge(1.0)), "start": start, "until": until, "every": 0.25,
        "particles": 20, "observe_every": 0.125,
        "observe": {
            "spread": lambda measure, t: np.nan if bad and t > 0.3 else np.std(measure.mean() - t),
            "both": lambda measure, t: np.array([measure.mean()[0], t]),
        },
    }
'''


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "well.py"
    path.write_text(SCRIPT)
    return path


def test_a_script_returns_observables_and_every_tool_reads_them(script, capsys):
    xarray = pytest.importorskip("xarray")
    assert cli.status(argv=["run", "well.py", "--out", "all", "--quiet"]) == 0
    assert (pathlib.Path("all") / "comparison.png").is_file()
    for side in ("mesh", "particles"):
        assert cli.status(argv=["inspect", f"all/{side}"]) == 0
        told = capsys.readouterr().out
        assert "observables both" in told.replace("spread ", "") and "both        [" in told
        assert cli.status(argv=["plot", f"all/{side}", "--data", "numbers.csv"]) == 0
        assert "observables | time t,both[1]" in pathlib.Path("numbers.csv").read_text()
        run = wgf.open_run(f"all/{side}")
        with xarray.open_dataset(f"all/{side}/run.h5", group="diagnostics") as columns:
            assert np.array_equal(columns.both, run.diagnostics["both"], equal_nan=True)
            assert columns.both.dims[0] == "step"
    assert cli.status(argv=["pack", "all/mesh", "-o", "one.h5"]) == 0
    with xarray.open_dataset("one.h5", group="diagnostics") as columns:
        assert columns.both.shape == run_shape("all/mesh")
    assert cli.status(argv=["verify", "all/mesh"]) == 0


def run_shape(path):
    return wgf.open_run(path).diagnostics["both"].shape


def test_the_command_line_tells_of_an_observable_that_fails(script, capsys):
    argv = ["run", "well.py", "--bad", "--method", "mesh", "--out", "bad", "--quiet"]
    assert cli.status(argv=argv) == 3
    error = capsys.readouterr().err
    assert "observe: spread is NaN at t=0.375" in error and error.count("\n") == 1
    assert "last good snapshot" in error


def test_resume_goes_on_with_the_observables_of_the_script(script):
    straight = ["run", "well.py", "--method", "mesh", "--quiet", "--no-plot", "--out"]
    assert cli.status(argv=[*straight, "whole"]) == 0
    assert cli.status(argv=[*straight, "part"]) == 0
    # as if the run had been killed after its second snapshot
    part = pathlib.Path("part")
    lines = (part / "manifest.jsonl").read_text().splitlines(keepends=True)
    (part / "manifest.jsonl").write_text("".join(lines[:2]))
    (part / "snapshots" / "000002.h5").unlink()
    assert cli.status(argv=["resume", "part", "well.py", "--quiet"]) == 0
    one, two = wgf.open_run("whole").diagnostics, wgf.open_run("part").diagnostics
    for name in one:
        assert np.array_equal(one[name], two[name], equal_nan=True)


RANKS = """
import sys
import numpy as np, wgf
from wgf import parallel

calls = []

def second(measure, t):
    calls.append(t)
    points, weights = next(iter(measure.blocks()))
    return np.array([weights @ points[:, 0] ** 2, t])

mesh = wgf.Mesh(x=wgf.Axis(-4, 4, 160), y=wgf.Axis(-4, 4, 16))
start = wgf.Density.normal(mesh, 0.5, 0.4)
flow = wgf.GradientFlow(wgf.Ridge(1.0))
for name, begin in (("density", start), ("cloud", start.sample(600, seed=0))):
    what = {"every": 0.25, "observe": {"second": second}, "observe_every": 0.1}
    run = wgf.solve(flow, begin, 0.5, save=sys.argv[1] + name, **what)
    assert not np.isnan(run.diagnostics["second"][-1]).any()
assert bool(calls) == (parallel.world().rank == 0)
"""


@needs_mpi
def test_two_ranks_observe_the_bits_of_one(tmp_path):
    (tmp_path / "ranks.py").write_text(RANKS)
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("PMI", "OMPI", "SLURM"))}
    for command, name in (
        ([sys.executable, "ranks.py"], "one/"),
        ([MPIEXEC, "-n", "2", sys.executable, "-m", "mpi4py", "ranks.py"], "two/"),
    ):
        done = subprocess.run(
            [*command, name], cwd=tmp_path, env=plain, timeout=120, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    for side in ("density", "cloud"):
        one = wgf.open_run(tmp_path / "one" / side).diagnostics
        two = wgf.open_run(tmp_path / "two" / side).diagnostics
        for name in one:
            assert np.array_equal(one[name], two[name], equal_nan=True), name


def test_what_is_observed_is_in_the_problem(tmp_path):
    run = wgf.solve(FLOW, START, 0.1, observe=OBSERVE, save=tmp_path / "run")
    assert run.problem["observables"] == ["second", "both"]
    assert json.loads(json.dumps(run.problem)) == wgf.open_run(tmp_path / "run").problem
