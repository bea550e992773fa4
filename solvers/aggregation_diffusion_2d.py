"""Aggregation and diffusion in the plane: particles that attract and repel each other.

    dt rho = div(rho grad(W * rho)) + noise Laplace(rho),    W(z) = |z|^2 / 2 - log |z|,

the Wasserstein gradient flow of ``1/2 ∫∫ W rho rho + noise ∫ rho log rho``. Without noise the
density tends to the uniform one, mass / pi on the unit disc; noise smooths its edge.
"""

import numpy as np
import wgf.cli

import wgf


def kernel(displacements):
    """Return ``|z|^2 / 2 - log |z|``."""
    square = np.sum(displacements**2, axis=1)
    return 0.5 * square - 0.5 * np.log(square)


def slope(displacements):
    """Return the gradient of `kernel`."""
    square = np.sum(displacements**2, axis=1, keepdims=True)
    return displacements - displacements / square


def setup(*, cells=48, until=2.0, noise=0.02):
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
    F = wgf.Interaction(kernel, slope) + wgf.Entropy(noise)
    mesh = wgf.Mesh(x=wgf.Axis(-2, 2, cells), y=wgf.Axis(-2, 2, cells))
    start = wgf.Density.normal(mesh, mean=(0.0, 0.0), std=(0.6, 0.3))
    methods = {"mesh": wgf.FiniteVolume(), "particles": wgf.Langevin(0.01)}
    return {
        "flow": wgf.GradientFlow(F),
        "start": start,
        "until": until,
        "every": until / 10,
        "methods": methods,
    }


if __name__ == "__main__":
    wgf.cli.main(setup)
