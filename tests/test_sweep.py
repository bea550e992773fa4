"""Sweeps: the members are single runs, the table is theirs, and nothing is lost or overwritten."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from test_mpi import MPIEXEC, needs_mpi

import wgf
from wgf.command import cli

SCRIPT = '''"""A well: ``∂t mu = ∇·(mu ∇V)``, ``V = k x^2 / 2``."""
import wgf

def setup(*, stiffness=1.0, cells=16, until=0.4):
    """Return a well."""
    mesh = wgf.Mesh(x=wgf.Axis(-3, 3, cells))
    flow = wgf.GradientFlow(wgf.Ridge(stiffness))
    start = wgf.Density.normal(mesh, 0.5, 0.5)
    return {"flow": flow, "start": start, "until": until, "every": 0.2, "particles": 20}

if __name__ == "__main__":
    wgf.cli.main(setup)
'''


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "well.py"
    path.write_text(SCRIPT)
    return path


def opened(path):
    xarray = pytest.importorskip("xarray")
    return xarray.open_dataset(path)


def test_the_table_holds_what_single_runs_find(script, tmp_path):
    vary = {"stiffness": [0.5, 1.0], "cells": [16, 24]}
    wgf.sweep(script, vary=vary, seeds=range(2), out="all", jobs=1)
    with opened("all/sweep.h5") as table:
        assert dict(table.sizes) == {"stiffness": 2, "cells": 2, "seed": 2, "side": 2, "time": 3}
        for stiffness in vary["stiffness"]:
            mesh = wgf.Mesh(x=wgf.Axis(-3, 3, 24))
            start, flow = wgf.Density.normal(mesh, 0.5, 0.5), wgf.GradientFlow(wgf.Ridge(stiffness))
            for seed in (0, 1):
                for side, begin in (("mesh", start), ("particles", start.sample(20, seed))):
                    run = wgf.solve(flow, begin, 0.4, every=0.2)
                    place = {"stiffness": stiffness, "cells": 24, "seed": seed, "side": side}
                    at = table.sel(place)
                    assert float(at.objective) == run.diagnostics["objective"][-1]
                    columns = run.diagnostics["objective"][
                        np.isin(run.diagnostics["t"], [0, 0.2, 0.4])
                    ]
                    assert np.array_equal(at.objective_history, columns)
                    assert str(at.status.values) == "done"
    # a side without chance runs once per point
    assert len(list(pathlib.Path("all/members").glob("*/mesh/manifest.jsonl"))) == 4
    assert len(list(pathlib.Path("all/members").glob("*/particles/manifest.jsonl"))) == 8


def test_processes_and_interruptions_change_no_bit(script):
    vary = ["--vary", "stiffness=0.5,1,2", "--seeds", "0:3"]
    assert (
        cli.status(argv=["sweep", "well.py", *vary, "--jobs", "1", "--out", "one", "--quiet"]) == 0
    )
    command = [sys.executable, "-m", "wgf", "sweep", "well.py", *vary]
    command += ["--jobs", "2", "--out", "two", "--quiet"]
    for _ in range(2):
        process = subprocess.Popen(command, start_new_session=True)
        # killed with all its members as soon as some are finished
        limit = time.monotonic() + 60
        while not list(pathlib.Path("two").glob("members/*/*.json")):
            assert process.poll() is None or process.returncode == 0
            assert time.monotonic() < limit
            if process.poll() is not None:
                break
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finished = {p: p.stat().st_mtime_ns for p in pathlib.Path("two").glob("members/*/*.json")}
    assert finished
    assert subprocess.run(command, timeout=120).returncode == 0
    assert all(path.stat().st_mtime_ns == when for path, when in finished.items())
    with opened("one/sweep.h5") as one, opened("two/sweep.h5") as two:
        assert one.equals(two)


def test_a_failure_is_recorded_and_does_not_end_the_sweep(script, capsys):
    argv = ["sweep", "well.py", "--vary", "stiffness=1,-1", "--method", "mesh", "--out", "some"]
    assert cli.status(argv=argv) == 0
    told = capsys.readouterr()
    assert "stiffness=-1.0" in told.out + told.err and "ridge strength: -1" in told.out + told.err
    with opened("some/sweep.h5") as table:
        found = table.squeeze()
        assert list(found.status.values) == ["done", "failed"]
        assert np.isfinite(found.objective[0]) and np.isnan(found.objective[1])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--vary", "stifness=1,2"], "no option 'stifness', did you mean stiffness"),
        (["--vary", "stiffness=a,2"], "'a' is not a number"),
        (["--vary", "stiffness="], "stiffness"),
        (["--seeds", "3:3"], "seed has no value"),
        (["--jobs", "0"], "jobs"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(script, capsys, words, told):
    assert cli.status(argv=["sweep", "well.py", *words, "--out", "none"]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("wgf: error:") == 1 and error.count("\n") == 1
    assert not pathlib.Path("none").exists()


def test_a_sweep_of_other_options_is_not_overwritten(script, capsys):
    argv = ["sweep", "well.py", "--method", "mesh", "--out", "all", "--quiet", "--vary"]
    assert cli.status(argv=[*argv, "stiffness=1,2"]) == 0
    before = pathlib.Path("all/sweep.h5").read_bytes()
    assert cli.status(argv=[*argv, "stiffness=1,3"]) == 2
    assert "choose another path" in capsys.readouterr().err
    assert pathlib.Path("all/sweep.h5").read_bytes() == before
    note = json.loads(pathlib.Path("all/sweep.json").read_text())
    script.write_text(SCRIPT + "\n# changed\n")
    assert cli.status(argv=[*argv, "stiffness=1,2"]) == 2
    assert json.loads(pathlib.Path("all/sweep.json").read_text()) == note


OBSERVED = SCRIPT.replace('"particles": 20}', '"particles": 20, **OBSERVE}').replace(
    "def setup",
    """def pair(measure, t):
    return [measure.mean()[0], t]

OBSERVE = {"observe": {"middle": lambda m, t: m.mean()[0], "pair": pair}, "observe_every": 0.1}

def setup""",
)


def test_observables_are_in_the_table_at_times_of_their_own(script):
    script.write_text(OBSERVED)
    wgf.sweep(script, vary={"stiffness": [0.5, 1.0]}, seeds=range(2), out="all", jobs=1)
    with opened("all/sweep.h5") as table:
        assert np.allclose(table.observed, [0.0, 0.1, 0.2, 0.3, 0.4], rtol=1e-15)
        assert table.middle.dims == ("stiffness", "seed", "side")
        assert table.middle_history.dims == ("stiffness", "seed", "side", "observed")
        assert table.pair_history.dims == (*table.middle_history.dims, "pair_index1")
        run = wgf.open_run("all/members/000002/particles")
        here = table.sel(stiffness=1.0, seed=0, side="particles")
        known = run.diagnostics["middle"][~np.isnan(run.diagnostics["middle"])]
        assert np.array_equal(here.middle_history, known) and float(here.middle) == known[-1]
        assert float(here.pair[1]) == 0.4 and np.array_equal(here.pair_history[:, 1], here.observed)
        assert table.objective_history.dims[-1] == "time"


def whole(path):
    """Return the table of a sweep and the columns of all its runs."""
    with opened(pathlib.Path(path) / "sweep.h5") as table:
        held = table.load()
    runs = sorted(pathlib.Path(path).glob("members/*/*/manifest.jsonl"))
    return held, {
        str(run.parent.relative_to(path)): (
            wgf.open_run(run.parent).diagnostics,
            wgf.open_run(run.parent).final,
        )
        for run in runs
    }


def same(one, two):
    (table, runs), (other, others) = whole(one), whole(two)
    assert table.identical(other) and list(runs) == list(others) and len(runs) > 0
    for name, (columns, final) in runs.items():
        found, end = others[name]
        assert all(np.array_equal(columns[key], found[key]) for key in columns)
        assert final.kind == end.kind
        for (points, weights), (here, held) in zip(final.blocks(), end.blocks()):
            assert np.array_equal(points, here) and np.array_equal(weights, held)


WORDS = ["--vary", "stiffness=0.5,1", "--seeds", "0:3", "--quiet"]


@needs_mpi
@pytest.mark.parametrize("runner", ["mpi4py", "mpi4py.futures"])
def test_ranks_give_the_same_files(script, runner):
    assert cli.status(argv=["sweep", "well.py", *WORDS, "--jobs", "1", "--out", "one"]) == 0
    command = [MPIEXEC, "-n", "3", sys.executable, "-m", runner, "-m", "wgf", "sweep", "well.py"]
    command += [*WORDS, "--engine", "mpi", "--out", "two"]
    done = subprocess.run(command, timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(pathlib.Path("two").absolute() / "sweep.h5")
    same("one", "two")
    # every member was a world of its own
    for path in pathlib.Path("two").glob("members/*/*/manifest.jsonl"):
        assert wgf.open_run(path.parent).provenance["ranks"] == 1


@needs_mpi
def test_bad_input_ends_all_ranks(script):
    command = [MPIEXEC, "-n", "2", sys.executable, "-m", "mpi4py", "-m", "wgf", "sweep", "well.py"]
    command += ["--vary", "stifness=1", "--engine", "mpi", "--out", "none"]
    done = subprocess.run(command, timeout=60, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("wgf: error: sweep: the script has no") == 1


def test_a_dask_cluster_gives_the_same_files(script):
    distributed = pytest.importorskip("distributed")
    assert cli.status(argv=["sweep", "well.py", *WORDS, "--jobs", "1", "--out", "one"]) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": None}
        with distributed.LocalCluster(**options, local_directory="dask") as cluster:
            dask = ["--engine", "dask", "--scheduler", cluster.scheduler_address]
            assert cli.status(argv=["sweep", "well.py", *WORDS, *dask, "--out", "two"]) == 0
    same("one", "two")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--engine", "mpi"], "engine: mpi has one rank"),
        (["--engine", "dask"], "scheduler: None with the engine dask, give its address"),
        (["--scheduler", "tcp://here:1"], "scheduler: tcp://here:1 with the engine processes"),
        (["--engine", "mpi", "--jobs", "2"], "jobs: 2 with the engine mpi"),
        (["--engine", "none"], "invalid choice: 'none'"),
    ],
)
def test_engines_that_cannot_be_had_are_refused(script, capsys, words, told):
    assert cli.status(argv=["sweep", "well.py", "--out", "none", *words]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1 and not pathlib.Path("none").exists()


def test_a_run_that_is_stopped_is_observed_at_its_end(script):
    stop = '"particles": 20, "stop": lambda row: row["t"] > 0.15, **OBSERVE}'
    script.write_text(OBSERVED.replace('"particles": 20, **OBSERVE}', stop))
    wgf.sweep(script, out="all", method="mesh", jobs=1)
    run = wgf.open_run("all/members/000000/mesh")
    assert run.status == "stopped" and 0.15 < run.times[-1] < 0.2
    with opened("all/sweep.h5") as table:
        assert float(table.middle.squeeze()) == run.final.mean()[0]
        assert np.allclose(table.pair.squeeze(), [run.final.mean()[0], run.times[-1]], rtol=1e-15)
        assert np.allclose(table.observed, [0.0, 0.1])
