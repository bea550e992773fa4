"""Fokker-Planck equation of a double well in the plane.

    dt rho = div(rho grad V) + noise Laplace(rho),
    V(x, y) = x^4 / 4 - x^2 / 2 + y^2 / 2,

the Wasserstein gradient flow of ``∫ V rho + noise ∫ rho log rho``. The density settles within each
well in a time of order 1 and crosses the barrier slowly: the mean of x decays at the rate 0.0335453
for noise 0.1. The particles are the Langevin equation with the same noise.
"""

import numpy as np
import wgf.cli

import wgf


def potential(points):
    """Return the double well along x and a parabola along y."""
    x, y = points.T
    return x**4 / 4 - x**2 / 2 + y**2 / 2


def slope(points):
    """Return the gradient of `potential`."""
    x, y = points.T
    return np.stack([x**3 - x, y], axis=1)


def setup(*, cells=96, until=10.0, noise=0.1):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells along either axis.
    until : float
        End time.
    noise : float
        Strength of the entropy.
    """
    flow = wgf.GradientFlow(wgf.Potential(potential, slope) + wgf.Entropy(noise))
    mesh = wgf.Mesh(x=wgf.Axis(-2.5, 2.5, cells), y=wgf.Axis(-2.5, 2.5, cells))
    start = wgf.Density.normal(mesh, mean=(0.8, 0.5), std=0.3)
    methods = {"mesh": wgf.ImplicitFiniteVolume(), "particles": wgf.Langevin(0.01)}
    return {"flow": flow, "start": start, "until": until, "every": until / 20, "methods": methods}


if __name__ == "__main__":
    wgf.cli.main(setup)
