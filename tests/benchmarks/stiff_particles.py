"""Stiff particles: the default of wgf.solve against SciPy's BDF on a smoothed problem.

    python tests/benchmarks/stiff_particles.py [--peer PARTICLES] [--clock processor]

Three spikes behind a low-pass filter of order 5 are recovered from 12, 200 and 2,000 particles, in
the metric dw^2 + dx^2, to t=300. BDF (rtol 1e-5, atol 1e-7, with the Jacobian written out) solves
the problem in which |w| is smoothed at 1e-6, for at most 200 particles unless asked: its dense
matrices cost the cube of their number. wgf takes the penalty as it is and chooses its method
itself. The first table has steps, time, the ratio of the times and how far the objective ends above
the certified minimum, for starts at w=0. The second one has the largest distance from the path of
the flow with the kink, by Radau between the events at which amplitudes vanish or leave 0, and where
the objective ends, for other starts.
"""

import argparse
import pathlib
import sys
import warnings

import numpy as np
import speed
from scipy.integrate import solve_ivp

import wgf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lagrangian"))
import test_rosenbrock as spikes

SMOOTHED, UNTIL = 1e-6, 300.0
SIZES = 12, 200, 2000
PATHS = [("+.3", 12), ("-.3", 12), ("+-.3", 12), ("random", 12), ("one-sided", 6)]


def smoothed(m):
    """Return right side and Jacobian of the flow of `m` particles with |w| smoothed."""
    features, y, _ = spikes.spikes()

    def parts(z):
        w, x = z[:m], z[m:]
        unit = features.unit(x[:, None])
        slope = features.unit_gradient(x[:, None])[:, :, 0]
        return w, x, unit, slope, ((w / m) @ unit - y) / spikes.LAMBDA

    def velocity(t, z):
        w, _, unit, slope, residual = parts(z)
        along = unit @ residual + w / np.sqrt(w**2 + SMOOTHED**2)
        return -np.concatenate([along, w * (slope @ residual)])

    def jacobian(t, z):
        w, x, unit, slope, residual = parts(z)
        rows = np.concatenate([unit, w[:, None] * slope])
        result = rows @ rows.T / (m * spikes.LAMBDA)
        i = np.arange(m)
        result[i, i] += SMOOTHED**2 / (w**2 + SMOOTHED**2) ** 1.5
        result[i, m + i] += slope @ residual
        result[m + i, i] += slope @ residual
        result[m + i, m + i] += w * features.unit_hessian(x[:, None], residual)[:, 0, 0]
        return -result

    return velocity, jacobian


def timed(now, run):
    """Return what `run` gives and the shortest of three times."""
    times = []
    for _ in range(3):
        begin = now()
        found = run()
        times.append(now() - begin)
    return found, min(times)


def minimum(most, now):
    """Print the first table; BDF runs up to the given number of particles."""
    _, _, flow = spikes.spikes()
    print("| particles | method | steps | seconds | of BDF | F - min F |")
    print("|---|---|---|---|---|---|")
    for m in SIZES:
        points = spikes.spike_starts(m)["0"]
        velocity, jacobian = smoothed(m)

        def ours(points=points):
            return wgf.solve(flow, wgf.Particles(points), until=UNTIL)

        def peer(velocity=velocity, jacobian=jacobian, points=points):
            state = points.T.ravel()
            return solve_ivp(
                velocity, (0.0, UNTIL), state, "BDF", rtol=1e-5, atol=1e-7, jac=jacobian
            )

        run, seconds = timed(now, ours)
        objective = run.diagnostics["objective"]
        rows = [(run.problem["method"], len(objective) - 1, seconds, objective[-1])]
        theirs = np.nan
        if m <= most:
            found, theirs = timed(now, peer)
            end = wgf.Particles(found.y[:, -1].reshape(2, m).T)
            value = flow.functional.value(end)
            rows.append(("BDF, smoothed", len(found.t) - 1, theirs, value))
        for name, steps, time, value in rows:
            excess = value - spikes.LEAST
            print(f"| {m} | {name} | {steps} | {time:.4f} | {time / theirs:.2f} | {excess:.1e} |")


def paths():
    """Print the second table."""
    _, _, flow = spikes.spikes()
    times = [0.02, 0.3, 3.0]
    print("\n| start | particles | method | largest distance from the path | F at t=300 |")
    print("|---|---|---|---|---|")
    for name, m in PATHS:
        points = spikes.spike_starts(m)[name]
        run = wgf.solve(flow, wgf.Particles(points), until=UNTIL, at=times)
        exact = spikes.reference(points, times)
        apart = max(
            float(np.abs(found.points - wanted).max())
            for found, wanted in zip(run.snapshots[1:], exact)
        )
        value = run.diagnostics["objective"][-1]
        print(f"| {name} | {m} | {run.problem['method']} | {apart:.1e} | {value:.8f} |")


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer", type=int, default=200, help="most particles of BDF")
    parser.add_argument("--clock", choices=speed.CLOCKS, default="wall")
    asked = parser.parse_args()
    # some starts are one-sided on purpose
    warnings.simplefilter("ignore", wgf.StartWarning)
    minimum(asked.peer, speed.CLOCKS[asked.clock])
    paths()


if __name__ == "__main__":
    main()
