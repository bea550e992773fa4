"""All pictures of the README and of docs, made again.

    python examples/gallery.py docs
    python examples/gallery.py docs --only spikes limit

Solves the systems in solvers/ at moderate size and draws each in the way that shows it best. All
of them together take about ten minutes, and momentum as much again.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

import wgf
from wgf import plot
from wgf.command import runner

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "solvers"))
import spikes_2d

ROOT = pathlib.Path(__file__).resolve().parent.parent
SMALL = 100


def solved(script, sides=("mesh", "particles"), **values):
    """Return the solutions of a solver script by side, and its functional."""
    system = runner.build(runner.load_setup(ROOT / "solvers" / f"{script}.py"), values)
    found = {
        side.name: wgf.solve(
            *(system.flow, side.start, system.until),
            every=system.every,
            at=system.at,
            method=side.method,
        )
        for side in runner.sides(system, runner.Settings())
        if side.name in sides
    }
    return found, system.flow.functional


def ecg(folder):
    """Two runs beside each other: the picture of the README."""
    found, _ = solved("ecg_2d")
    save(wgf.compare(found["mesh"], found["particles"]).plot(), folder / "ecg.png", 110)


def spikes(folder):
    """The sheet of a density with the level lines of the first variation, and a film."""
    found, functional = solved("spikes_2d", ("mesh",))
    truth = spikes_2d.POSITIONS, spikes_2d.spikes(0)
    save(plot.run(found["mesh"], functional=functional, truth=truth), folder / "spikes.png")
    plot.movie(found["mesh"], folder / "spikes.gif", rate=4)


def relu(folder):
    """Particles in space."""
    found, _ = solved("relu_3d", ("particles",), until=100.0)
    save(plot.run(found["particles"]), folder / "relu.png")


def wdbc(folder):
    """A density in space: projections and slices with level lines."""
    found, functional = solved("wdbc_3d", ("mesh",))
    save(plot.run(found["mesh"], functional=functional), folder / "wdbc.png")


def study(folder):
    """A convergence study of both sides against a fine mesh."""
    fine, _ = solved("tanh_2d", ("mesh",), cells=192, until=2.0)
    runs = [solved("tanh_2d", ("mesh",), cells=n, until=2.0)[0]["mesh"] for n in (24, 48, 96)]
    start = fine["mesh"].snapshots[0]
    flow = runner.build(
        runner.load_setup(ROOT / "solvers" / "tanh_2d.py"), {"cells": 192, "until": 2.0}
    ).flow
    for m in (50, 200, 800, 3200):
        runs += [wgf.solve(flow, start.sample(m, seed), 2.0) for seed in range(6)]
    save(wgf.compare(fine["mesh"], *runs).plot(), folder / "study.png")


def limit(folder):
    """The many-particle limit."""
    drawn_by("many_particle_limit", folder / "limit.png")


def paths(folder):
    """Paths of the particles in the experiments of Chizat & Bach 2018."""
    with tempfile.TemporaryDirectory() as work:
        script = ROOT / "examples" / "trajectories.py"
        subprocess.run([sys.executable, str(script), work], check=True)
        for name in ("relu", "spikes", "sigmoid"):
            shrink(pathlib.Path(work) / f"{name}.png", folder / f"paths_{name}.png", 1080)


def momentum(folder):
    """Momentum beside the gradient flow."""
    drawn_by("momentum", folder / "momentum.png")


def speed(folder):
    """Draw the table of times in docs/speed.md, measured with tests/benchmarks/speed.py."""
    text = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (.+?) \| ([12]) \| (.+?) \| (.+?) \| (.+?) – (.+?) \| wgf \|", text, re.M
    )
    with plot.drawing((9.6, 3.2)) as figure:
        meshes, names = (list(dict.fromkeys(row[i] for row in rows)) for i in (0, 2))
        for ax, order in zip(figure.subplots(1, 2, sharey=True), "12"):
            for number, (name, colour, marker) in enumerate(zip(names, plot.COLOURS, "osD^vP")):
                found = [row for row in rows if row[1:3] == (order, name)]
                middle, low, high = (np.array([row[i] for row in found], float) for i in (3, 4, 5))
                at = [
                    meshes.index(row[0]) + 0.15 * (number - (len(names) - 1) / 2) for row in found
                ]
                around = (middle - low, high - middle)
                ax.errorbar(at, middle, around, fmt=marker, ms=5, lw=1, color=colour, label=name)
            ax.axhline(1, color="0.4", lw=0.8)
            ax.set(yscale="log", xlim=(-0.5, len(meshes) - 0.5), title=f"order {order}")
            sizes = [f"{mesh.split()[0]}{'²³'[mesh.count('×') - 1]}" for mesh in meshes]
            ax.set_xticks(range(len(meshes)), sizes)
            ticks = [1, 2, 5, 10, 20, 100, 1000]
            ax.set_yticks(ticks, map(str, ticks))
            ax.set_yticks([], minor=True)
        figure.axes[0].set_ylabel("time of a step / that of wgf")
        figure.axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
        save(figure, folder / "speed.png", 110)


def drawn_by(example, path, width=1215):
    """Keep the picture that an example draws itself."""
    with tempfile.TemporaryDirectory() as work:
        script = ROOT / "examples" / f"{example}.py"
        subprocess.run([sys.executable, str(script), work], check=True)
        shrink(pathlib.Path(work) / f"{example}.png", path, width)


def save(figure, path, dpi=SMALL):
    """Write a figure at a resolution fit for a page."""
    figure.savefig(path, dpi=dpi)
    shrink(path, path)


def shrink(source, path, width=None):
    """Write a picture with 256 colours, which figures look the same with, and so many pixels."""
    with Image.open(source) as image:
        image = image.convert("RGB")
    if width is not None:
        image = image.resize((width, image.height * width // image.width), Image.LANCZOS)
    image.quantize(256, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)


PICTURES = {
    call.__name__: call for call in (ecg, spikes, relu, wdbc, study, limit, paths, momentum, speed)
}


def main():
    """Make the pictures asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=list(PICTURES))
    choice = parser.parse_args()
    choice.folder.mkdir(parents=True, exist_ok=True)
    for name in choice.only:
        PICTURES[name](choice.folder)
        print(*sorted(map(str, choice.folder.glob(f"{name}*"))), sep="\n", flush=True)


if __name__ == "__main__":
    main()
