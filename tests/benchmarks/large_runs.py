"""Large runs of tanh neurons that learn from 1000 samples: time a step, memory, disk.

    python tests/benchmarks/large_runs.py [--small] [--steps 150] [--folder FOLDER]

A run of 256 cells an axis over (a, w, b) with a snapshot after each tenth of its steps, stored,
and one of 1024 x 1024 cells over (a, w) until t = 1; both by the default method, finite volumes of
second order. Prints a Markdown table. The runs are stored under the folder given, by default a
temporary one, and removed; the largest memory is that of the process so far, so the smaller run
comes first.
"""

import argparse
import pathlib
import resource
import sys
import tempfile
import time

import numpy as np
import speed

import wgf

SNAPSHOTS = 10


def regression(cells, names):
    """Return flow and start: neurons that learn a wave from 1000 samples."""
    x = np.random.default_rng(0).uniform(-1, 1, speed.SAMPLES)
    neurons = wgf.Neurons(x, "tanh", bias="b" in names)
    risk = wgf.Risk(neurons, wgf.Squared(np.sin(3 * x)))
    mesh = wgf.Mesh(**{name: wgf.Axis(-4, 4, cells) for name in names})
    start = wgf.Density.normal(mesh, 0.2, 1.0)
    return wgf.GradientFlow(risk + wgf.L1(1e-3, "a")), start


def row(text, flow, start, folder, until=None, steps=None):
    """Solve until a time, or for about so many steps, and return a line of the table."""
    times = []
    if until is None:
        stepper = wgf.FiniteVolume().prepare(flow, start)
        until = steps * stepper.advance(1.0)["dt"]
        del stepper
    path = pathlib.Path(folder) / "run"
    run = wgf.solve(
        flow,
        start,
        until,
        every=until / SNAPSHOTS,
        save=path,
        overwrite=True,
        progress=lambda row: times.append(time.perf_counter()),
    )
    done = len(times) - 1
    size = sum(file.stat().st_size for file in path.glob("snapshots/*")) / len(run.times)
    # the median leaves out the steps that wait for a snapshot
    return (
        f"| {text} | {until:.3g} | {done} | {np.median(np.diff(times)):.3g} | "
        f"{times[-1] - times[0]:.3g} | {len(run.times)} | {size / 1e6:.3g} | {peak():.2f} |"
    )


def peak():
    """Return the largest memory of this process in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--steps", type=int, default=150, help="of the run in three dimensions")
    parser.add_argument("--folder", help="where the runs are stored for the time being")
    chosen = parser.parse_args()
    plane, volume = (64, 24) if chosen.small else (1024, 256)
    print(speed.machine() + "\n")
    print("| run | until | steps | s a step | s in all | snapshots | MB each | largest GiB |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        flow, start = regression(plane, "aw")
        print(row(f"{plane}² (a, w)", flow, start, folder, until=1.0), flush=True)
        flow, start = regression(volume, "awb")
        print(row(f"{volume}³ (a, w, b)", flow, start, folder, steps=chosen.steps), flush=True)


if __name__ == "__main__":
    main()
