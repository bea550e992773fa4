"""Paths of the particles in the three experiments of Chizat & Bach 2018.

    python examples/trajectories.py figures/trajectories
    python examples/trajectories.py figures/trajectories --quick

- `spikes.png`: ten particles on the torus find five spikes. Amplitude and position of each against
  time, beside the true ones, and the gap to the minimum proved by the certificate.
- `relu.png`: 5, 10 and 100 ReLU neurons with two inputs, each drawn as ``|a| w``, its path from
  a small sphere towards the rays of a teacher of five; how many of ten starts reach all rays.
- `sigmoid.png`: twenty sigmoid neurons with two inputs and a teacher of two, in the plane of the
  inner weights; the size of a dot tells the output weight. As sigmoid(-z) = 1 - sigmoid(z), the
  places opposite the teacher's serve with the other sign.

The problems are those of `solvers/spikes_2d.py`, `relu_3d.py` and `sigmoid_3d.py`. The folder given
receives the figures and, in `runs/`, the runs drawn with their snapshots.
"""

import argparse
import pathlib
import warnings
from types import SimpleNamespace

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import wgf
from wgf import plot
from wgf.command import runner

SOLVERS = pathlib.Path(__file__).resolve().parent.parent / "solvers"
NEGATIVE, POSITIVE = plot.COLOURS[:2]


def problem(name, **values):
    """Return the names in a solver script, and its flow."""
    setup = runner.load_setup(SOLVERS / f"{name}.py")
    return SimpleNamespace(**setup.__globals__), runner.build(setup, values).flow


def solved(flow, points, times, method, path=None):
    """Return the run from a cloud of particles, with snapshots at the times."""
    start = wgf.Particles(points)
    with warnings.catch_warnings():
        # five particles may well lie on one side, which is part of what is shown
        warnings.simplefilter("ignore", wgf.StartWarning)
        return wgf.solve(
            flow, start, times[-1], at=times, method=method, save=path, overwrite=path is not None
        )


def spikes(m=10, until=50.0, path=None):
    """Particles at rest, evenly over the torus."""
    script, flow = problem("spikes_2d")
    points = np.column_stack([np.zeros(m), (np.arange(m) + 0.5) / m])
    times = np.geomspace(1e-5, 1, 120) * until
    return script, solved(flow, points, times, wgf.ForwardBackward(), path)


def relu(m, seed, until=20000.0, radius=0.03, path=None):
    """Particles on a small sphere, drawn at random."""
    script, flow = problem("relu_3d")
    points = np.random.default_rng(seed).normal(size=(m, 3))
    points *= radius / np.linalg.norm(points, axis=1, keepdims=True)
    times = np.geomspace(1e-4, 1, 160) * until
    # neurons jump where an input changes sides, and a tight error control would chase every jump
    return script, solved(flow, points, times, wgf.RungeKutta(1e-3), path)


def sigmoid(m=20, seed=1, until=20000.0, path=None):
    """Particles with normal inner weights, at rest in the output weight."""
    # a small penalty, so that the teacher itself is next to the minimum
    script, flow = problem("sigmoid_3d", penalty=1e-4)
    inner = np.random.default_rng(seed).normal(size=(m, 2))
    points = np.column_stack([np.zeros(m), inner])
    times = np.geomspace(1e-4, 1, 160) * until
    return script, solved(flow, points, times, wgf.ForwardBackward(), path)


def reached(script, run):
    """Return whether all rays hold half of the teacher's weight and little lies elsewhere."""
    weights, _, astray = script.rays(run.final, within=5.0)
    share = 1 / len(script.ANGLES)
    return bool(weights.min() > 0.5 * share and astray < 0.1)


def paths(run):
    """Return the points of all snapshots, shape ``(times, particles, axes)``."""
    return np.stack([snapshot.points for snapshot in run.snapshots])


def coloured(points):
    """Return the colour of every particle by the sign of its first axis."""
    return [POSITIVE if value > 0 else NEGATIVE for value in points[:, 0]]


def figure_of_spikes(script, run, certificate):
    """Amplitudes and positions against time on a log axis, beside the true spikes."""
    figure = Figure(figsize=(8.4, 3.4))
    amplitude, position = figure.subplots(1, 2)
    moved, times, count = paths(run), run.times, len(run.final.points)
    for i, colour in enumerate(coloured(run.final.points)):
        amplitude.plot(times[1:], moved[1:, i, 0] / count, color=colour, lw=1)
        position.scatter(
            times[1:], moved[1:, i, 1] % 1, s=0.8 + 60 * np.abs(moved[1:, i, 0]) / count,
            color=colour, linewidths=0,
        )  # fmt: skip
    for x, w in zip(script.POSITIONS, script.spikes(0)):
        colour = POSITIVE if w > 0 else NEGATIVE
        position.axhline(x, color=colour, lw=0.8, ls=":")
    # for the legend alone
    for sign, colour in (("positive", POSITIVE), ("negative", NEGATIVE)):
        amplitude.plot([], [], color=colour, label=f"{sign} at the end")
    position.plot([], [], color="0.4", lw=0.8, ls=":", label="true")
    amplitude.set(xscale="log", xlabel="time t", ylabel="amplitude w / m")
    amplitude.legend(loc="upper left")
    position.set(xscale="log", xlabel="time t", ylabel="position x", ylim=(0, 1))
    position.set_title("width of a line: |w|")
    position.legend(loc="center left", bbox_to_anchor=(0, 0.48))
    gap = f"proved: F is at most {certificate.gap:.1g} above its minimum"
    amplitude.set_title(f"{count} particles, {gap}")
    return figure


def figure_of_relu(script, runs):
    """Paths of |a| w for several numbers of particles, with the teacher's rays."""
    figure = Figure(figsize=(9.6, 3.5))
    for ax, (count, run) in zip(figure.subplots(1, len(runs), sharex=True, sharey=True), runs):
        moved = paths(run)
        arms = np.abs(moved[..., :1]) * moved[..., 1:]
        for direction, sign in zip(script.circle(script.ANGLES), script.SIGNS):
            colour = POSITIVE if sign > 0 else NEGATIVE
            ax.plot(*(np.outer((0, 4), direction).T), color=colour, lw=1, ls=":")
        for i, colour in enumerate(coloured(run.final.points)):
            ax.plot(*arms[:, i].T, color=colour, lw=0.6, alpha=0.5)
            ax.plot(*arms[-1, i], color=colour, marker="o", ms=3)
        value = run.diagnostics["objective"][-1]
        ax.set(
            title=f"m = {count}, F = {value:.1g}", xlabel="|a| w1", xlim=(-3, 3.4), ylim=(-2, 3.4)
        )
        ax.set_aspect("equal")
    ax = figure.axes[0]
    ax.set_ylabel("|a| w2")
    for name, colour in (("a > 0", POSITIVE), ("a < 0", NEGATIVE)):
        ax.plot([], [], color=colour, marker="o", ms=3, label=name)
    ax.plot([], [], color="0.4", ls=":", label="teacher")
    ax.legend(loc="lower left")
    return figure


def figure_of_sigmoid(script, run):
    """Paths of the inner weights with the teacher's, and the output weights against time."""
    figure = Figure(figsize=(8.4, 3.6))
    plane, ax = figure.subplots(1, 2)
    moved, count = paths(run), len(run.final.points)
    for i, colour in enumerate(coloured(run.final.points)):
        plane.plot(*moved[:, i, 1:].T, color=colour, lw=0.6, alpha=0.5)
        size = 4 + 120 * abs(moved[-1, i, 0]) / count
        plane.scatter(*moved[-1, i, 1:], s=size, color=colour, alpha=0.7, linewidths=0)
        ax.plot(run.times[1:], moved[1:, i, 0] / count, color=colour, lw=1)
    for point, sign in zip(script.TEACHER, script.OUTPUT):
        colours = (POSITIVE, NEGATIVE) if sign > 0 else (NEGATIVE, POSITIVE)
        for place, colour, marker in zip((point, -point), colours, "+x"):
            plane.plot(*place, color=colour, marker=marker, ms=14, mew=2)
    for marker, label in zip("+x", ("teacher", "opposite")):
        plane.plot([], [], color="0.4", marker=marker, ls="", ms=10, mew=2, label=label)
    plane.set(xlabel="w1", ylabel="w2", title="inner weights, size of a dot: |a|")
    plane.legend(loc="upper right")
    for name, colour in (("a > 0 at the end", POSITIVE), ("a < 0", NEGATIVE)):
        ax.plot([], [], color=colour, label=name)
    ax.set(xscale="log", xlabel="time t", ylabel="output weight a / m", title=f"{count} particles")
    ax.legend(loc="upper left")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="where figures and runs go")
    parser.add_argument("--quick", action="store_true", help="shorter runs, fewer seeds")
    options = parser.parse_args()
    with matplotlib.rc_context(plot.STYLE):
        everything(options)


def everything(options):
    """Solve and draw the three experiments."""
    store = options.folder / "runs"
    store.mkdir(parents=True, exist_ok=True)
    late = 2000.0 if options.quick else 20000.0

    script, run = spikes(path=store / "spikes")
    certificate = wgf.certificate(run)
    print(f"spikes: {certificate}")
    figure_of_spikes(script, run, certificate).savefig(options.folder / "spikes.png", dpi=150)

    shown = []
    for count in (5, 10, 100):
        good = []
        for seed in range(2 if options.quick else 10):
            path = store / f"relu_{count}" if seed == 0 else None
            script, run = relu(count, seed, late, path=path)
            good.append(reached(script, run))
            if seed == 0:
                shown.append((count, run))
        print(f"ReLU, m = {count}: all five rays reached from {sum(good)} of {len(good)} starts")
    figure_of_relu(script, shown).savefig(options.folder / "relu.png", dpi=150)

    script, run = sigmoid(until=late, path=store / "sigmoid")
    print(f"sigmoid: {wgf.certificate(run, box=([-6, -6], [6, 6]), tolerance=1e-4)}")
    figure_of_sigmoid(script, run).savefig(options.folder / "sigmoid.png", dpi=150)
    print(options.folder)


if __name__ == "__main__":
    main()
