"""All pictures of the README and of docs/gallery.md, made again.

    python examples/gallery.py docs
    python examples/gallery.py docs --only spikes limit

Solves the systems in solvers/ at moderate size and draws each in the way that shows it best. All
of them together take about ten minutes, and momentum as much again.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

from PIL import Image

import wgf
from wgf import plot, runner

ROOT = pathlib.Path(__file__).resolve().parent.parent
SMALL = 75


def solved(script, sides=("mesh", "particles"), **values):
    """Return the solutions of a solver script by side, and its functional."""
    system = runner.build(runner.load_setup(ROOT / "solvers" / f"{script}.py"), values)
    settings = argparse.Namespace(method="both", particles=None, seed=0, order=None)
    begin, found = runner.starts(system, settings), {}
    methods = runner.methods(system, settings, begin)
    for side in sides:
        found[side] = wgf.solve(
            system.flow,
            begin[side],
            system.until,
            every=system.every,
            at=system.at,
            method=methods[side],
        )
    return found, system.flow.functional


def ecg(folder):
    """Two runs beside each other: the picture of the README."""
    found, _ = solved("ecg_2d")
    save(wgf.compare(found["mesh"], found["particles"]).plot(), folder / "ecg.png", 110)


def spikes(folder):
    """The sheet of a density with the level lines of the first variation, and a film."""
    found, functional = solved("spikes_2d", ("mesh",))
    save(plot.run(found["mesh"], functional=functional), folder / "spikes.png")
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
    call.__name__: call for call in (ecg, spikes, relu, wdbc, study, limit, paths, momentum)
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
