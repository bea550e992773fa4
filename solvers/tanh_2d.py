"""Regression with tanh neurons of one input: smooth features, smooth penalty, smooth start.

The measure mu lives on theta = (a, w), the outer and the inner weight of a neuron, and flows along

    dt mu = div(mu grad F'(mu)),
    F(mu) = 1/(2 n) sum_k (∫ a tanh(w x_k) dmu - sin(3 x_k))^2 + decay/2 ∫ |theta|^2 dmu

with n samples x_k spread evenly over [-1, 1]. The start is a normal density. Everything is smooth
and stays away from the walls: the case in which density and particles agree best.
"""

import numpy as np
import wgf.cli

import wgf


def setup(*, cells=128, until=10.0, every=0.5, samples=40, decay=1e-3):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells along a and along w.
    until : float
        End time.
    every : float
        Time between snapshots.
    samples : int
        Number of samples.
    decay : float
        Strength of the ridge penalty.
    """
    x = np.linspace(-1, 1, samples)
    F = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(3 * x))) + wgf.Ridge(decay)
    mesh = wgf.Mesh(a=wgf.Axis(-5, 5, cells), w=wgf.Axis(-5, 5, cells))
    start = wgf.Density.normal(mesh, mean=(0.3, 0.5), std=0.5)
    return {"flow": wgf.GradientFlow(F), "start": start, "until": until, "every": every}


if __name__ == "__main__":
    wgf.cli.main(setup)
