"""Sparse deconvolution on the torus: spikes seen through an ideal low-pass filter.

The measure mu lives on theta = (w, x), an amplitude and a position on the torus [0, 1), and flows
along

    dt mu = div(mu grad F'(mu)),
    F(mu) = 1/(2 penalty) |∫ w psi(x) dmu - y|^2 + ∫ |w| dmu,

where psi(x) are the real Fourier coefficients up to order 7 of a unit mass at x, scaled to
|psi(x)| = 1, and y those of three positive and two negative spikes of random sizes that add up
to 1. The start is spread evenly over the torus with amplitudes next to 0 of both signs.

The curvature of F along x is about a thousand times that along w; the flow is taken in the metric
dw^2 + 100 dx^2, which changes the speed and not the minimisers. Snapshots are evenly spaced in
the logarithm of time. The report bounds the distance of each side from the global minimum by a
certificate: particles reach it, a density only up to the width of its cells. Source of the
experiment: Chizat & Bach 2018, positions from its poster.
"""

import numpy as np
import wgf.cli
from wgf.duality import certificates

import wgf

POSITIONS = np.array([0.130, 0.267, 0.693, 0.770, 0.950])


def spikes(draw):
    """Return the amplitudes of the true spikes for the random draw number `draw`."""
    generator = np.random.default_rng(draw)
    signs = generator.permutation([1.0, 1.0, 1.0, -1.0, -1.0])
    sizes = generator.uniform(0.5, 1.5, len(signs))
    return signs * sizes / sizes.sum()


def setup(*, cells=128, until=20.0, penalty=0.06, draw=0):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells along x; along w there is one more.
    until : float
        End time.
    penalty : float
        Weight of the penalty against the fit.
    draw : int
        Number of the random draw of signs and sizes.
    """
    filters = wgf.Filter.dirichlet(7)
    y = spikes(draw) @ filters.unit(POSITIONS[:, None])
    F = wgf.Risk(filters, wgf.Squared(y, weights=1 / penalty)) + wgf.L1(1.0, axes="w")
    flow = wgf.GradientFlow(F, mobility={"x": 0.01})

    # an odd number of cells along w has a cell centre at 0, where the penalty gathers mass
    mesh = wgf.Mesh(w=wgf.Axis(-4, 4, cells // 2 * 2 + 1), x=wgf.Axis(0, 1, cells, periodic=True))
    near = 1.5 * mesh.axis("w").spacing
    start = wgf.Density.uniform(mesh, w=(-near, near))
    return {
        "flow": flow,
        "start": start,
        "until": until,
        "at": np.geomspace(1e-3, 1, 16) * until,
        "report": certificates,
    }


if __name__ == "__main__":
    wgf.cli.main(setup)
