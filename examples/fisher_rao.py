"""Spikes found by two flows: one on amplitudes and positions, one on positions alone.

    python examples/fisher_rao.py figures/fisher_rao
    python examples/fisher_rao.py figures/fisher_rao --quick

The sparse deconvolution of solvers/spikes_2d.py, solved as a density of amplitudes w and positions
x and projected by ∫ w mu(dw, ·), beside the unbalanced flow (Wasserstein-Fisher-Rao) of a signed
measure on positions, which starts from the projected start. Both go to the same minimum. Their
paths differ: mass that moves along w at the speed of -F' makes the projection grow at a rate that
falls with the amplitude, while the unbalanced flow grows in proportion to what is there.
"""

import argparse
import pathlib
import sys
import time

import numpy as np

import wgf
from wgf.plot import COLOURS, copies, drawing

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "solvers"))
import spikes_2d

SIDES = ("(w, x), projected", "positions alone")
SHADES = (COLOURS[2], COLOURS[3])


def solve(cells, until):
    """Return the two runs by side, their times, and the bound on the least F over the circle."""
    flow = spikes_2d.setup(cells=cells)["flow"]
    mesh = wgf.Mesh(w=wgf.Axis(-8, 8, 161), x=wgf.Axis(0, 1, cells, periodic=True))
    near = 1.5 * mesh.axis("w").spacing
    thin = wgf.Density.uniform(mesh, w=(-near, near))
    at = until * np.geomspace(1e-4, 1, 120)
    found, spent = {}, {}
    begin = time.perf_counter()
    full = wgf.solve(flow, thin, until, at=at, method=wgf.ImplicitFiniteVolume())
    spent[SIDES[0]] = time.perf_counter() - begin
    found[SIDES[0]] = wgf.projected(full, wgf.amplitude_projection)
    flow = wgf.FisherRao(flow.functional, growth=1.0, transport=3e-4)
    start = found[SIDES[0]].snapshots[0]
    begin = time.perf_counter()
    found[SIDES[1]] = wgf.solve(flow, start, until, at=at)
    spent[SIDES[1]] = time.perf_counter() - begin
    lower = max(wgf.certificate(run.final, flow).lower for run in found.values())
    return found, spent, lower


def draw(found, lower, path):
    """Draw both measures over time, objectives, masses, and the spikes at the end."""
    with drawing((11, 7.4), path) as figure:
        upper, under = figure.subfigures(2, 1, height_ratios=[1.1, 1])
        for ax, (side, run) in zip(upper.subplots(1, 2, sharey=True), found.items()):
            copies.history(ax, run, "x")
            ax.set_title(side)
            for position in spikes_2d.POSITIONS:
                ax.axhline(position, color="0.3", lw=0.6, ls=":")
        left, middle, right = under.subplots(1, 3)
        for (side, run), colour in zip(found.items(), SHADES):
            t = run.diagnostics["t"]
            left.loglog(t[1:], (run.diagnostics["objective"] - lower)[1:], color=colour, label=side)
            masses = np.array([copies.copies_of(measure) for measure in run.snapshots])
            middle.semilogx(run.times[1:], masses[1:, 1], color=colour, label=side)
            middle.semilogx(run.times[1:], -masses[1:, 0], color=colour)
        left.set(
            xlabel="time t",
            xlim=(run.times[1], run.times[-1]),
            ylabel="F − lower bound of the least F",
        )
        middle.axhline(0, color="0.6", lw=0.6)
        middle.set(xlabel="time t", ylabel="mass of the copies, the negative one below 0")
        left.legend()
        middle.legend()
        ending(right, found)


def ending(ax, found):
    """Draw the mass found near each true spike beside the truth."""
    truth = spikes_2d.spikes(0)
    ax.axhline(0, color="0.6", lw=0.6)
    ax.vlines(spikes_2d.POSITIONS, 0, truth, color="0.75", lw=7, label="truth")
    for (side, run), colour, shift in zip(found.items(), SHADES, (-0.008, 0.008)):
        rows = np.array(spikes(run.final))
        ax.vlines(rows[:, 0] + shift, 0, rows[:, 1], color=colour, lw=2, label=side)
    ax.set(xlabel="x", ylabel="amplitude at the end", xlim=(0, 1))
    ax.legend(fontsize=7, loc="upper center")


def spikes(measure, radius=0.03):
    """Return position and amplitude of the signed mass within `radius` of each true spike."""
    points, masses = measure.points, np.sign(measure.points[:, 0]) * measure.weights
    found = []
    for position in spikes_2d.POSITIONS:
        offset = (points[:, 1] - position + 0.5) % 1.0 - 0.5
        near = np.abs(offset) < radius
        total = masses[near].sum()
        found.append((position + offset[near] @ masses[near] / total, total))
    return found


def main():
    """Solve, print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="a coarse mesh and a short time")
    choice = parser.parse_args()
    cells, until = (48, 20.0) if choice.quick else (256, 100.0)
    found, spent, lower = solve(cells, until)
    print(f"{'':>20} {'F at the end':>13} {'F - min F <':>12} {'mass':>7} {'seconds':>8}")
    for side, run in found.items():
        value = run.diagnostics["objective"][-1]
        mass = sum(copies.copies_of(run.final))
        print(f"{side:>20} {value:13.6f} {value - lower:12.2e} {mass:7.4f} {spent[side]:8.2f}")
    difference = wgf.compare(*found.values()).table["flat_x"][-1]
    print(f"flat norm of the difference at the end: {difference:.2e}")
    choice.folder.mkdir(parents=True, exist_ok=True)
    path = choice.folder / "fisher_rao.png"
    draw(found, lower, path)
    print(path)


if __name__ == "__main__":
    main()
