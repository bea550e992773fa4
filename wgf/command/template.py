"""A commented solver script to start from; see ``wgf new``."""

import pathlib
import re

from wgf import checks

TEXT = '''"""One line on the system solved here.

The measure mu lives on theta = (a, w) and flows along

    dt mu = div(mu grad F'(mu)),
    F(mu) = 1/(2 n) sum_k (∫ a sin(w x_k) dmu - y_k)^2 + decay/2 ∫ |theta|^2 dmu.

The first line above is what --help shows.
"""

import numpy as np

import wgf
import wgf.cli


def setup(*, cells=64, until=5.0, every=0.5, decay=1e-3):
    """Return what to run; every argument becomes an option of the same name.

    Parameters
    ----------
    cells : int
        Cells along a and along w.
    until : float
        End time.
    every : float
        Time between snapshots.
    decay : float
        Strength of the ridge penalty.
    """
    # the data: inputs and what the model is to return there
    x = np.linspace(-1, 1, 40)
    y = np.tanh(3 * x)

    # the feature phi(theta) = a unit(w): an array of shape (k, 1) to one of shape (k, n).
    # There are wgf.Neurons and wgf.Filter as well; without amplitude=True the function is given
    # all coordinates.
    def unit(w):
        return np.sin(w * x)

    features = wgf.Features(unit, amplitude=True)

    # the functional: a loss of the model output, and penalties (wgf.L1, wgf.Ridge, wgf.Potential)
    F = wgf.Risk(features, wgf.Squared(y)) + wgf.Ridge(decay)

    # the box must hold all mass at all times; wgf.Axis(0, 1, cells, periodic=True) is a circle
    mesh = wgf.Mesh(a=wgf.Axis(-5, 5, cells), w=wgf.Axis(-5, 5, cells))
    start = wgf.Density.normal(mesh, mean=(0.3, 1.0), std=0.5)

    def report(solutions):
        """Return what to print at the end; solutions are by name, "mesh" and "particles"."""
        lines = []
        for side, solution in solutions.items():
            worst = np.abs(solution.outputs[-1] - y).max()
            lines.append(f"{side}: largest error {worst:.3f}")
        return "\\n".join(lines)

    return {
        "flow": wgf.GradientFlow(F),
        "start": start,
        "until": until,
        "every": every,  # or "at": the times of the snapshots
        "particles": 500,  # how many to draw from the start; leave it out to take one a cell
        "report": report,
    }


if __name__ == "__main__":
    wgf.cli.main(setup)
'''


def write(path):
    """Write the template to a new file, with ``.py`` added to a bare name, and return its path.

    Raises
    ------
    InputError
        If the file exists, its folder does not, or its name cannot be imported.
    """
    path = pathlib.Path(path)
    if path.suffix != ".py":
        path = path.with_name(path.name + ".py")
    if not re.fullmatch(r"[A-Za-z_]\w*", path.stem):
        raise checks.InputError(
            f"new: {path.name} is no name of a Python module, use letters, digits and underscores"
        )
    if not path.parent.is_dir():
        raise checks.InputError(f"new: no folder {path.parent}, create it")
    try:
        # "x" refuses a file that exists, even one made since
        with open(path, "x", encoding="utf-8") as stream:
            stream.write(TEXT)
    except FileExistsError:
        raise checks.InputError(f"new: {path} exists, choose another name") from None
    return path
