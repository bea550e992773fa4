"""Regression with ReLU neurons of two inputs: a student learns a teacher of five neurons.

The measure mu lives on theta = (a, w1, w2), the outer weight and the inner weights of a neuron,
and flows along

    dt mu = div(mu grad F'(mu)),
    F(mu) = 1/(2 n) sum_k (∫ a max(w . x_k, 0) dmu - y_k)^2.

The n inputs are spread evenly over the unit circle, which determines a positively homogeneous
function. The teacher's neurons point in the five directions of Chizat & Bach 2018, with output
weights +1/5 and -1/5 in turn. The start is a small normal density round 0, so that its support
separates small spheres from large ones, as the convergence theorem asks for ReLU.
"""

import numpy as np

import wgf
import wgf.cli

ANGLES = np.deg2rad([-86.3, -32.1, 23.2, 53.1, 141.2])
SIGNS = np.array([1.0, -1.0, 1.0, -1.0, 1.0])


def circle(angles):
    """Return the unit vectors at `angles`, shape ``(k, 2)``."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def setup(*, cells=48, until=200.0, every=10.0, samples=64, spread=0.25):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells along every axis.
    until : float
        End time.
    every : float
        Time between snapshots.
    samples : int
        Number of inputs.
    spread : float
        Standard deviation of the start.
    """
    x = circle(2 * np.pi * (np.arange(samples) + 0.5) / samples)
    y = np.maximum(x @ circle(ANGLES).T, 0) @ SIGNS / len(SIGNS)
    F = wgf.Risk(wgf.Neurons(x, "relu"), wgf.Squared(y))
    mesh = wgf.Mesh(**{name: wgf.Axis(-3, 3, cells) for name in ("a", "w1", "w2")})
    start = wgf.Density.normal(mesh, mean=0, std=spread)
    return {
        "flow": wgf.GradientFlow(F),
        "start": start,
        "until": until,
        "every": every,
        # a particle in every cell would be a hundred thousand
        "particles": 2000,
    }


if __name__ == "__main__":
    wgf.cli.main(setup)
