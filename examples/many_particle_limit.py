"""Particles approach the density: distance against their number, down to the floor of the mesh.

    python examples/many_particle_limit.py figures/limit
    python examples/many_particle_limit.py figures/limit --quick

Three of the solver scripts: spikes on the torus, tanh neurons, ReLU neurons in three dimensions.
Each is solved once on every mesh, and for every number m of particles with several independent
draws from the same start. At the end the distances between clouds and densities are taken:

- W1, exact transport between the particles and the cells as uniform mass (needs POT);
- the maximum mean discrepancy for a Gaussian kernel as wide as the density.

Independent particles fall like m^(-1/2) in the second, in any dimension, and in W1 like m^(-1/2)
in the plane (up to a logarithm) and m^(-1/3) in space. No cloud comes nearer to a mesh than the
mesh is to the limit: the dotted floors are the distance of the densities from a cloud that starts
with one particle in every cell of a mesh at least as fine as the finest. Floors of W1 that the
pieces of the transport do not resolve are left out.

The folder given receives the figure, and its numbers as CSV and HDF5.
"""

import argparse
import pathlib

import numpy as np

import wgf
from wgf import plot
from wgf.command import runner
from wgf.comparison.study import particle_rate, slope, summarise
from wgf.distances.discrepancy import default_width
from wgf.plot.sheets import band, name_sizes
from wgf.record import tables

SOLVERS = pathlib.Path(__file__).resolve().parent.parent / "solvers"
# name: script, end time, meshes, and meshes and end time of the quick form
PROBLEMS = {
    "spikes": ("spikes_2d", 0.1, (32, 64, 128), (16, 32), 0.05),
    "tanh": ("tanh_2d", 4.0, (24, 48, 96), (16, 32), 2.0),
    "ReLU": ("relu_3d", 40.0, (16, 32, 64), (12, 20), 10.0),
}
METRICS = {"w1": "W1", "mmd": "maximum mean discrepancy"}
COUNTS = (32, 128, 512, 2048)
SHADES = ("#9ecae1", "#4292c6", "#08306b")


def system(script, cells, until):
    """Return flow and start on a mesh; the start is the same measure on every mesh."""
    setup = runner.load_setup(SOLVERS / f"{script}.py")
    found = setup(cells=cells, until=until)
    start = found["start"]
    if script == "spikes_2d":
        # the script's start is as wide as three cells
        start = wgf.Density.uniform(start.mesh, w=(-0.3, 0.3))
    return found["flow"], start


def deterministic(script, cells, until):
    """Return one particle in every cell that matters of a mesh finer than those compared."""
    _, start = system(script, cells * (3 if "_2d" in script else 1), until)
    cloud = start.quadrature()
    kept = cloud.weights > 1e-7 * cloud.weights.max()
    return wgf.Particles(cloud.points[kept], cloud.weights[kept], domain=cloud.domain)


def distances(density, cloud, width, limit):
    """Return the distances by metric, and how far W1 may be off."""
    transported = wgf.wasserstein(density, cloud, power=1, limit=limit)
    return {
        "w1": transported.value,
        "w1_bound": transported.bound,
        "mmd": wgf.mmd(density, cloud, width),
    }


def measure(script, until, meshes, counts, repeats, limit):
    """Return rows of one problem: ``cells, h, m, seed, w1, mmd``; m = 0 is the floor."""
    densities = []
    for cells in meshes:
        flow, start = system(script, cells, until)
        densities.append(wgf.solve(flow, start, until).final)
    # flow and start of the finest mesh, the last one, serve all particles
    width = default_width(densities[-1])
    clouds = [(0, 0, deterministic(script, meshes[-1], until))]
    clouds += [(m, seed, start.sample(m, seed)) for m in counts for seed in range(repeats)]
    rows = []
    for m, seed, cloud in clouds:
        final = wgf.solve(flow, cloud, until).final
        for density in densities:
            # the floor is worth more pieces than a draw
            found = distances(density, final, width, limit if m else 2 * limit)
            cells, h = density.mesh.shape[-1], float(np.prod(density.mesh.spacing))
            h **= 1 / density.mesh.dimension
            rows.append({"cells": cells, "h": h, "m": m, "seed": seed, **found})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def curves(rows, metric):
    """Return ``[(cells, sweep over m, floor)]`` for every mesh, NaN for a floor not resolved."""
    found = []
    for cells in np.unique(rows["cells"]):
        mine = rows["cells"] == cells
        drawn = mine & (rows["m"] > 0)
        sweep = summarise(rows["m"][drawn], rows[metric][drawn])
        row = np.flatnonzero(mine & (rows["m"] == 0))[0]
        floor = float(rows[metric][row])
        if metric == "w1" and floor < 1.5 * rows["w1_bound"][row]:
            # what is left is mostly the size of the pieces
            floor = np.nan
        found.append((int(cells), sweep, floor))
    return found


def fitted(sweep, floor):
    """Return the slope over the numbers of particles that the floor does not reach yet."""
    above = ~(sweep["mean"] <= 2 * floor)
    return slope(sweep["size"][above], sweep["mean"][above])


def draw(found, path):
    """Draw a column a problem and a row a metric."""
    with plot.drawing((3.6 * len(found), 6.4), path, dpi=150) as figure:
        grid = figure.subplots(len(METRICS), len(found), sharex=True, squeeze=False)
        for row, (metric, title) in zip(grid, METRICS.items()):
            for ax, (name, (dimension, rows)) in zip(row, found.items()):
                panel(ax, curves(rows, metric), particle_rate(metric, dimension))
                if metric == "w1":
                    ax.set_title(f"{name}, {dimension} dimensions")
                else:
                    ax.set_xlabel("particles m")
            row[0].set_ylabel(f"{title} to the density")
        figure.supxlabel(
            "dotted: distance of the density on each mesh from the limit; "
            "bands: 95 % of the mean over draws",
            fontsize=8,
        )
    return figure


def panel(ax, lines, rate):
    """Draw the curves of one problem and metric, the expected rate above them."""
    shades = SHADES[-len(lines) :]
    for (cells, sweep, floor), shade in zip(lines, shades):
        band(ax, sweep, shade, f"{cells}")
        if np.isfinite(floor):
            ax.axhline(floor, color=shade, ls=":", lw=1.2)
    _, sweep, floor = lines[-1]
    sizes = sweep["size"]
    top = 1.5 * max(line[1]["mean"][0] for line in lines)
    name = f"$m^{{-1/{round(-1 / rate)}}}$"
    ax.plot(sizes, top * (sizes / sizes[0]) ** rate, "--", color=plot.COLOURS[1], label=name)
    found = fitted(sweep, floor)
    if found is not None:
        ax.text(0.04, 0.04, f"finest mesh: slope {found:.2f}", transform=ax.transAxes, fontsize=8)
    name_sizes(ax, sizes)
    low, high = ax.get_ylim()
    # room for the text below the curves and the legend above them
    ax.set_ylim(0.6 * low, 2.0 * high)
    ax.legend(fontsize=7, labelspacing=0.3, loc="upper right", title="cells an axis")


def table(found):
    """Return slopes, expected rates and floors in words."""
    lines = ["problem  metric  cells   slope in m   expected    floor   nearest cloud"]
    for name, (dimension, rows) in found.items():
        for metric in METRICS:
            for cells, sweep, floor in curves(rows, metric):
                rate = fitted(sweep, floor)
                shown = "at the floor" if rate is None else f"{rate:.2f}"
                lines.append(
                    f"{name:<8} {metric:<6} {cells:6d} {shown:>12} "
                    f"{particle_rate(metric, dimension):10.2f} {floor:8.1e} "
                    f"{sweep['mean'].min():15.2e}"
                )
    return "\n".join(lines)


def main():
    """Solve, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="coarse meshes, few particles")
    parser.add_argument("--repeats", type=int, help="draws of each cloud (default 8; quick 3)")
    choice = parser.parse_args()
    choice.folder.mkdir(parents=True, exist_ok=True)
    counts = (16, 64, 256) if choice.quick else COUNTS
    repeats = choice.repeats or (3 if choice.quick else 8)
    limit = 400 if choice.quick else 2000
    found = {}
    for name, (script, until, meshes, coarse, early) in PROBLEMS.items():
        meshes, until = (coarse, early) if choice.quick else (meshes, until)
        dimension = int(script[-2])
        found[name] = dimension, measure(script, until, meshes, counts, repeats, limit)
    print(table(found))
    figure = choice.folder / "many_particle_limit.png"
    plot.write_numbers(draw(found, figure), figure.with_suffix(".csv"))
    tables.write(figure.with_suffix(".h5"), {(name,): rows for name, (_, rows) in found.items()})
    print(figure)


if __name__ == "__main__":
    main()
