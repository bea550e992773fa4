"""Sparse deconvolution in the plane: sources on the torus seen through an ideal low-pass filter.

The measure mu lives on theta = (w, x1, x2), an amplitude and a position on the torus [0, 1)^2, and
flows along

    dt mu = div(mu grad F'(mu)),
    F(mu) = 1/(2 penalty) |∫ w psi(x) dmu - y|^2 + ∫ |w| dmu,

where psi(x) are the real Fourier coefficients up to order 2 along each axis, |psi(x)| = 1, and y
those of two positive sources and a negative one. The start is spread evenly over the torus with
amplitudes next to 0 of both signs; the flow is taken in the metric dw^2 + 100 |dx|^2. The report
bounds the distance of each side from the global minimum by a certificate.
"""

import functools

import numpy as np
import wgf.cli
from wgf.duality import certificates

import wgf

SOURCES = np.array([[0.22, 0.31], [0.71, 0.24], [0.55, 0.78]])
AMPLITUDES = np.array([0.4, -0.35, 0.25])


def setup(*, cells=32, until=20.0, penalty=0.06):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells along x1 and along x2; along w there is one more.
    until : float
        End time.
    penalty : float
        Weight of the penalty against the fit.
    """
    filters = wgf.Filter.dirichlet(2, dimension=2)
    y = AMPLITUDES @ filters.unit(SOURCES)
    F = wgf.Risk(filters, wgf.Squared(y, weights=1 / penalty)) + wgf.L1(1.0, axes="w")
    flow = wgf.GradientFlow(F, mobility={"x1": 0.01, "x2": 0.01})

    torus = {name: wgf.Axis(0, 1, cells, periodic=True) for name in ("x1", "x2")}
    # an odd number of cells along w has a cell centre at 0, where the penalty gathers mass
    mesh = wgf.Mesh(w=wgf.Axis(-12, 12, cells // 2 * 2 + 1), **torus)
    near = 1.5 * mesh.axis("w").spacing
    start = wgf.Density.uniform(mesh, w=(-near, near))

    # particles at rest above an even grid of positions, 8 to an axis
    grid = (np.arange(8) + 0.5) / 8
    x1, x2 = np.meshgrid(grid, grid, indexing="ij")
    points = np.column_stack([np.zeros(x1.size), x1.ravel(), x2.ravel()])
    return {
        "flow": flow,
        "start": start,
        "until": until,
        "at": np.geomspace(1e-3, 1, 16) * until,
        "particles": wgf.Particles(points, domain=mesh),
        "report": functools.partial(certificates, tolerance=1e-8),
    }


if __name__ == "__main__":
    wgf.cli.main(setup)
