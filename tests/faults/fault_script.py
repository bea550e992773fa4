"""A small regression for tests that call the command line in their own process."""

import numpy as np
import wgf.cli

import wgf


def setup(
    *,
    cells=8,
    until=0.4,
    every=0.1,
    activation="tanh",
    l1=0.0,
    scale=1.0,
    mean=(0.3, 0.5),
    name=None,
):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells along both axes.
    """
    x = np.linspace(-1, 1, 5)
    F = wgf.Risk(wgf.Neurons(x, activation), wgf.Squared(scale * x))
    if l1:
        F = F + wgf.L1(l1, axes="a")
    mesh = wgf.Mesh(a=wgf.Axis(-2, 2, cells), w=wgf.Axis(-2, 2, cells))
    start = wgf.Density.normal(mesh, mean=mean, std=0.5)
    return {"flow": wgf.GradientFlow(F), "start": start, "until": until, "every": every}


if __name__ == "__main__":
    wgf.cli.main(setup)
