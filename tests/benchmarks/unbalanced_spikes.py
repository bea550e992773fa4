"""Time to a certified gap: spikes on positions alone against spikes on amplitudes and positions.

    python tests/benchmarks/unbalanced_spikes.py [--small]

The sparse deconvolution of solvers/spikes_2d.py is solved as an unbalanced flow on 512 cells and
as the flow on 161 x 512 cells of (w, x), both with implicit steps, until the duality gap over the
positions of the cells is at most 1e-4. Spikes between those positions leave a gap over the whole
circle (`wgf.certificate`) that no flow on these cells closes; a third run, unbalanced on four times
the cells, goes on until that one is at most 1e-4. Prints a Markdown table with the times, the runs
taking turns, and their ratios.
"""

import pathlib
import statistics
import sys
import time

import numpy as np

import wgf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "solvers"))
import spikes_2d

PENALTY, GAP, TURNS = 0.06, 1e-4, 3


def problem():
    """Return features, data and functional."""
    filters = wgf.Filter.dirichlet(7)
    y = spikes_2d.spikes(0) @ filters.unit(spikes_2d.POSITIONS[:, None])
    risk = wgf.Risk(filters, wgf.Squared(y, weights=1 / PENALTY))
    return filters, y, risk + wgf.L1(1.0, axes="w")


def races(functional, amplitudes, positions):
    """Return ``{name: (method, flow, start)}``."""
    circle = wgf.Axis(0, 1, positions, periodic=True)
    pair = wgf.Axis(-2, 2, 2)
    signs = wgf.Mesh(w=pair, x=circle)
    fine = wgf.Mesh(w=pair, x=circle.refined(4))
    plane = wgf.Mesh(w=wgf.Axis(-4, 4, amplitudes), x=circle)
    near = 1.5 * plane.axis("w").spacing
    method = wgf.GrowthSplitting(step=3.0, implicit=True)
    flow = wgf.FisherRao(functional, growth=1.0, transport=3e-4)
    return {
        "signs and x": (method, flow, wgf.Density(signs, np.full(signs.shape, 0.1 / 4))),
        "w and x": (
            wgf.ImplicitFiniteVolume(0.1),
            wgf.GradientFlow(functional, mobility={"x": 0.01}),
            wgf.Density.uniform(plane, w=(-near, near)),
        ),
        "signs and x, certified": (
            method,
            flow,
            wgf.Density(fine, np.full(fine.shape, 0.1 / 4)),
        ),
    }


def duality_gap(objective, output, y, matrix):
    """Return ``F`` minus the value of the dual at the residual, scaled to be admissible."""
    residual = (y - output) / PENALTY
    residual = residual / max(1.0, np.abs(matrix @ residual).max())
    return objective - (residual @ y - 0.5 * PENALTY * residual @ residual)


def run(method, flow, start, y, matrix):
    """Return the time, the steps, the gaps over cells and circle and the objective at the end.

    Without a `matrix` the gap over the circle ends the run.
    """
    begin = time.perf_counter()
    stepper = method.prepare(flow, start)
    steps, gap = 0, np.inf
    while gap > GAP and steps < 5000:
        row = stepper.advance(1e9)
        if matrix is None:
            gap = wgf.certificate(stepper.measure, flow).gap
        else:
            gap = duality_gap(row["objective"], stepper.output, y, matrix)
        steps += 1
    spent = time.perf_counter() - begin
    return spent, steps, gap, wgf.certificate(stepper.measure, flow).gap, row["objective"]


def main():
    """Print the table."""
    amplitudes, positions = (41, 128) if "--small" in sys.argv[1:] else (161, 512)
    filters, y, functional = problem()
    circle = wgf.Axis(0, 1, positions, periodic=True)
    matrix = filters.unit(circle.centers[:, None])
    contestants = races(functional, amplitudes, positions)
    found = {name: [] for name in contestants}
    for turn in range(TURNS + 1):
        for name, (method, flow, start) in contestants.items():
            result = run(method, flow, start, y, None if "certified" in name else matrix)
            if turn:  # the first turn compiles
                found[name].append(result)
    print("| unknown | cells | steps | gap asked | gap over the circle | F | seconds |")
    print("|---|---|---|---|---|---|---|")
    medians = {}
    for name, results in found.items():
        medians[name] = statistics.median(result[0] for result in results)
        cells = contestants[name][2].mesh.shape
        _, steps, gap, whole, objective = results[-1]
        print(
            f"| {name} | {cells[0]} x {cells[1]} | {steps} | {gap:.1e} | {whole:.1e} | "
            f"{objective:.6f} | {medians[name]:.3f} |"
        )
    print()
    for name in ("signs and x", "signs and x, certified"):
        print(f"{name}, time over that of w and x: {medians[name] / medians['w and x']:.4f}")


if __name__ == "__main__":
    main()
