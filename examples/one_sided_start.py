"""A start on one side stays in a local minimum; one round 0 finds the global one.

    python examples/one_sided_start.py figures/start

One ReLU neuron with output weight -1 is to be learned from inputs of both signs. The flow conserves
a^2 - w^2 along every path: neurons that start with a > |w| end at w = 0, where they are dead, and
never change the sign of a. The support of such a start lies in a half space, and `wgf.solve` warns
of it. The upwind scheme spreads the support a little; refined meshes fail as the particles do.

The folder given receives the figure.
"""

import argparse
import pathlib
import warnings

import numpy as np

import wgf
from wgf import plot

STARTS = {
    "one-sided: a > |w|": {"a": (0.8, 1.2), "w": (0.3, 0.7)},
    "round 0": {"a": (-0.5, 0.5), "w": (-0.5, 0.5)},
}
UNTIL = 10.0


def flow():
    """Return the flow of one-input ReLU neurons that learn ``-relu(x)``."""
    x = np.array([-2.0, -1.0, 1.0, 2.0])
    return wgf.GradientFlow(wgf.Risk(wgf.Neurons(x, "relu"), wgf.Squared(-np.maximum(x, 0))))


def density(cells, bounds):
    """Return the uniform start on a mesh."""
    mesh = wgf.Mesh(a=wgf.Axis(-3, 3, cells), w=wgf.Axis(-3, 3, cells))
    return wgf.Density.uniform(mesh, **bounds)


def runs(bounds, meshes=(32, 64, 128), particles=400, until=UNTIL):
    """Return the runs from one start by name: particles, and densities on several meshes."""
    draw = density(meshes[-1], bounds).sample(particles, seed=0)
    starts = {f"{particles} particles": draw}
    starts |= {f"mesh {cells}²": density(cells, bounds) for cells in meshes}
    found = {}
    for name, start in starts.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # neurons that die jump: a tighter error control would chase every single jump
            method = wgf.GradientDescent(0.02) if isinstance(start, wgf.Particles) else None
            found[name] = wgf.solve(flow(), start, until, method=method)
        found[name].warned = [str(w.message) for w in caught if w.category is wgf.StartWarning]
    return found


def draw(found, path):
    """Draw the objectives against time, one panel a start."""
    with plot.drawing((8, 3.4), path, dpi=150) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for ax, (title, group) in zip(panels, found.items()):
            for (name, run), colour in zip(group.items(), plot.COLOURS):
                columns = run.diagnostics
                ax.plot(columns["t"][1:], columns["objective"][1:], color=colour, label=name)
            ax.set(xscale="log", yscale="log", title=title, xlabel="time t", xlim=(1e-2, UNTIL))
        panels[0].set_ylabel("objective F")
        panels[0].legend()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="where the figure goes")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    found = {title: runs(bounds) for title, bounds in STARTS.items()}
    for title, group in found.items():
        print(title)
        for name, run in group.items():
            values = run.diagnostics["objective"]
            print(f"  {name:15} F from {values[0]:.3g} to {values[-1]:.3g} at t = {UNTIL:g}")
        for message in group[next(iter(group))].warned:
            print(f"  warning: {message}")
    draw(found, folder / "one_sided_start.png")
    print(folder / "one_sided_start.png")


if __name__ == "__main__":
    main()
