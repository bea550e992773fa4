"""Where the lazy regime ends and the mean-field flow begins: one model, many output scales.

    python examples/lazy_crossover.py figures/lazy
    python examples/lazy_crossover.py figures/lazy --quick

The system of solvers/lazy_2d.py, ReLU neurons of two inputs with amplitudes frozen at ±1, solved as
a density and as particles for output scales alpha from 1/2 to 64. With a large alpha the measure
hardly moves, by about 1/alpha, and the output follows the linear system of the first Gram matrix,
which alone sets the loss. With a small one the neurons travel as far as they are wide spread, their
Gram matrix changes, and the loss leaves the one that the linear system foretells.
"""

import argparse
import pathlib
import sys

import numpy as np

import wgf
from wgf.plot import COLOURS, drawing
from wgf.theory import tangent

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "solvers"))
import lazy_2d


def solve(alpha, cells, until, every):
    """Return the two solutions at one output scale by side."""
    system = lazy_2d.setup(cells=cells, until=until, every=every, alpha=alpha)
    flow, methods = system["flow"], system["methods"]
    return {
        "density": wgf.solve(flow, system["start"], until, every=every),
        "particles": wgf.solve(
            flow, system["particles"], until, every=every, method=methods["particles"]
        ),
    }


def measure(solution, alpha, features, y):
    """Return the numbers that the picture shows."""
    start, final = solution.snapshots[0], solution.final
    return {
        "path length": lazy_2d.path_length(solution),
        "loss": alpha**2 * solution.diagnostics["objective"][-1],
        "off the linear system": lazy_2d.linear_error(solution, features, alpha, y),
        "Gram matrix changed": np.linalg.norm(
            tangent.gram(features, final) - tangent.gram(features, start), 2
        ),
    }


def draw(alphas, found, linear_loss, ends, path):
    """Draw the quantities against alpha, and the mass on the a = +1 copy for three scales."""
    with drawing((11, 6.2), path) as figure:
        grid = figure.add_gridspec(2, 12)
        names = ("path length", "loss", "off the linear system")
        for k, name in enumerate(names):
            axes = figure.add_subplot(grid[0, 4 * k : 4 * k + 4])
            for side, colour, mark in (
                ("density", COLOURS[0], "-"),
                ("particles", COLOURS[1], "o"),
            ):
                values = [row[name] for row in found[side]]
                axes.loglog(alphas, values, mark, color=colour, label=side, mfc="none")
            if name == "loss":
                # each side has the Gram matrix of its own cells or points
                for side, colour in (("density", COLOURS[0]), ("particles", COLOURS[1])):
                    label = f"linear system, {side}"
                    axes.axhline(linear_loss[side], ls="--", lw=1, color=colour, label=label)
            else:
                last = found["density"][-1][name]
                axes.loglog(
                    alphas, last * alphas[-1] / alphas, ":", color="grey", label="1 / alpha"
                )
            axes.set_xlabel("output scale alpha")
            axes.set_title({"loss": "loss at the end, ½ |u − y|²"}.get(name, name))
            axes.legend()
        for k, (title, values, mesh) in enumerate(ends):
            axes = figure.add_subplot(grid[1, 3 * k : 3 * k + 3])
            first, second = mesh.axes
            axes.imshow(
                np.sqrt(values),
                origin="lower",
                extent=(second.lower, second.upper, first.lower, first.upper),
                cmap="viridis",
            )
            axes.set(title=title, xlim=(-5, 5), ylim=(-5, 5), xlabel="w2", ylabel="w1")


def positive_copy(density):
    """Return cell averages and mesh of the neurons with a = +1."""
    return density.values[-1], density.mesh.sub(("w1", "w2"))


def main():
    """Solve at every output scale, print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="a coarse mesh and few scales")
    choice = parser.parse_args()
    cells, every, until = (32, 0.05, 4.0) if choice.quick else (64, 0.02, 6.0)
    alphas = np.array([0.5, 2.0, 16.0]) if choice.quick else 2.0 ** np.arange(-1, 7)
    samples = 6
    features, y = wgf.Neurons(lazy_2d.inputs(samples), "relu"), lazy_2d.targets(samples)
    found, ends = {"density": [], "particles": []}, []
    for alpha in alphas:
        solutions = solve(float(alpha), cells, until, every)
        for side, solution in solutions.items():
            found[side].append(measure(solution, float(alpha), features, y))
        final = solutions["density"].final
        if not ends:
            ends.append(("start, a = +1", *positive_copy(solutions["density"].snapshots[0])))
        if alpha in (alphas[0], alphas[len(alphas) // 3], alphas[-1]):
            ends.append((f"end, a = +1, alpha = {alpha:g}", *positive_copy(final)))
    matrices = {
        "density": tangent.face_gram(features, solutions["density"].snapshots[0]),
        "particles": tangent.gram(features, solutions["particles"].snapshots[0]),
    }
    gaps = {k: tangent.linear_flow(matrix, y, [until])[0] - y for k, matrix in matrices.items()}
    linear_loss = {side: 0.5 * gap @ gap for side, gap in gaps.items()}
    print(f"{'alpha':>7} {'side':>10} " + " ".join(f"{name:>22}" for name in found["density"][0]))
    for k, alpha in enumerate(alphas):
        for side, rows in found.items():
            values = " ".join(f"{value:22.5g}" for value in rows[k].values())
            print(f"{alpha:7g} {side:>10} {values}")
    for side, loss in linear_loss.items():
        print(f"loss of the linear system, {side}: {loss:.5g}")
    choice.folder.mkdir(parents=True, exist_ok=True)
    path = choice.folder / "lazy_crossover.png"
    draw(alphas, found, linear_loss, ends, path)
    print(path)


if __name__ == "__main__":
    main()
