"""Sweeps: the members are single runs, the table is theirs, and nothing is lost or overwritten."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

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
