"""Momentum beside the gradient flow in its quick form: rows, figure, continuing after a break."""

import json
import pathlib
import subprocess
import sys

import h5py
import numpy as np

EXAMPLE = pathlib.Path(__file__).resolve().parent.parent / "examples" / "momentum.py"


def run(folder):
    command = [sys.executable, str(EXAMPLE), str(folder), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_quick_form(tmp_path):
    first = run(tmp_path)
    results = tmp_path / "results.jsonl"
    lines = results.read_text().splitlines()
    assert len(lines) == 12
    with h5py.File(tmp_path / "results.h5") as file:
        for problem, level in (("spikes", 3), ("relu", 2)):
            steps, m = file[problem]["steps"][:], file[problem]["m"][:]
            assert steps.shape == (6, 4, 4)
            # a lower level is never reached earlier
            assert np.all(steps[..., 1:] >= steps[..., :-1])
            flow, momentum = steps[m == 20, 0, level], steps[m == 20, 2, level]
            # enough particles: both get there, momentum in fewer steps
            assert np.median(momentum) < 0.5 * np.median(flow) < np.inf
            best = file[problem]["best"][:]
            # nothing lies below the minimum
            assert best.min() > -1e-8
        # six particles for five spikes: no run succeeds
        spikes = file["spikes"]
        assert np.all(spikes["best"][:][spikes["m"][:] == 6] > 1e-4)
    assert (tmp_path / "momentum.png").stat().st_size > 10_000
    # a line cut short is made again
    results.write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:40])
    assert run(tmp_path) == first
    again = [json.loads(line) for line in results.read_text().splitlines()]
    assert again == [json.loads(line) for line in lines]
