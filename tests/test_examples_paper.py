"""The examples on many particles in their quick form."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import h5py
import pytest

import wgf

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "examples"


def run(name, *options):
    command = [sys.executable, str(EXAMPLES / name), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_excess_loss_quick_and_continued(tmp_path):
    first = run("excess_loss.py", tmp_path, "--quick")
    assert first.returncode == 0, first.stderr
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert len(rows) == 13
    by = {(row["panel"], row["m"], row["repeat"]): row for row in rows}
    for repeat in range(3):
        found = by["deconvolution", 14, repeat]
        # 14 particles reach the global minimum, and the certificate proves it
        assert found["gap"] < 1e-8
        assert found["convex"] - found["lower"] > 0.01
    assert by["relu", 3, 0]["flow"] > 0.1 and by["relu", 33, 0]["flow"] < 1e-4
    assert by["relu", 33, 0]["convex"] > 0.5
    with h5py.File(tmp_path / "results.h5") as file:
        assert file["deconvolution/flow"].shape == (9,)
    assert (tmp_path / "excess_loss.png").stat().st_size > 10_000
    again = run("excess_loss.py", tmp_path, "--quick")
    assert again.returncode == 0 and "0run" in again.stderr.replace("0/0", "0run")
    assert again.stdout == first.stdout


def test_success_needs_more_particles_than_spikes():
    """One problem: 3 particles cannot carry five spikes, 20 find them."""
    script = load("excess_loss")
    few, many = (script.deconvolution(m, 1) for m in (3, 20))
    assert few["flow"] - many["lower"] > 1e-2
    assert many["flow"] - many["lower"] == pytest.approx(0, abs=1e-8)


def test_a_one_sided_start_fails_on_particles_and_refined_meshes():
    script = load("one_sided_start")
    for title, bounds in script.STARTS.items():
        group = script.runs(bounds, meshes=(48,), particles=100, until=4.0)
        bad = "one-sided" in title
        for run in group.values():
            first, last = run.diagnostics["objective"][[0, -1]]
            assert bool(run.warned) == bad
            # dead neurons leave the loss of an empty network, 5/8; the good start leaves nothing
            assert last > 0.4 if bad else last < 1e-3 * first


def test_paths_of_the_three_experiments(tmp_path):
    script = load("trajectories")
    rays, few = script.relu(5, 0, until=2000.0)
    _, many = script.relu(100, 0, until=2000.0)
    # five neurons from this start end in a local minimum, a hundred reach all five rays
    assert not script.reached(rays, few) and script.reached(rays, many)
    names, run = script.spikes()
    certificate = wgf.certificate(run)
    assert certificate.relative < 1e-9
    paths = script.paths(run)
    assert paths.shape == (121, 10, 2)
    figure = script.figure_of_spikes(names, run, certificate)
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in figure.axes)
    figure = script.figure_of_relu(rays, [(5, few), (100, many)])
    assert len(figure.axes) == 2
    names, run = script.sigmoid(until=50.0)
    assert len(script.figure_of_sigmoid(names, run).axes) == 2
