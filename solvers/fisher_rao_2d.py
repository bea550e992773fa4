"""Three sources in the plane from low frequencies, as an unbalanced flow on positions alone.

A non-negative measure nu on the torus [0, 1)^2 evolves by the Wasserstein-Fisher-Rao flow

    dt nu = transport div(nu grad J') - 4 growth J' nu,
    J(nu) = 1/(2 penalty) |∫ psi dnu - y|^2 + |nu|,

with the ideal low-pass filter of order 2 along each axis (25 numbers) and three sources.
"""

import numpy as np
import wgf.cli

import wgf

SOURCES = np.array([[0.2, 0.25], [0.75, 0.4], [0.4, 0.8]])
MASSES = np.array([0.4, 0.35, 0.25])


def setup(*, cells=64, until=200.0, every=20.0, penalty=0.02, transport=1e-3):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells along each axis.
    until : float
        End time.
    every : float
        Time between snapshots.
    penalty : float
        Strength of the total variation.
    transport : float
        Coefficient of the transport, that of the growth being 1.
    """
    plane = wgf.Filter.dirichlet(2, dimension=2)

    def unit(x):
        return plane.unit(x)

    def slope(x):
        return plane.unit_gradient(x)

    y = MASSES @ plane.unit(SOURCES)
    functional = wgf.Risk(
        wgf.Features(unit, slope), wgf.Squared(y, weights=1 / penalty)
    ) + wgf.Potential(lambda x: np.ones(len(x)), lambda x: np.zeros_like(x))
    circle = wgf.Axis(0, 1, cells, periodic=True)
    mesh = wgf.Mesh(x1=circle, x2=circle)
    start = wgf.Density(mesh, np.full(mesh.shape, 0.1))
    # particles gather at the sources: a quarter as many along each axis come to the same state
    few = wgf.Axis(0, 1, max(cells // 4, 8), periodic=True)
    coarse = wgf.Mesh(x1=few, x2=few)
    particles = wgf.Density(coarse, np.full(coarse.shape, 0.1)).quadrature()
    flow = wgf.FisherRao(functional, growth=1.0, transport=transport)

    def report(solutions):
        lines = ["source        x1      x2     mass   (truth)"]
        for name, solution in solutions.items():
            lines.append(name)
            points, weights = solution.final.points, solution.final.weights
            for k, (source, mass) in enumerate(zip(SOURCES, MASSES)):
                offset = (points - source + 0.5) % 1.0 - 0.5
                near = (np.abs(offset) < 0.12).all(axis=1)
                total = weights[near].sum()
                found = source + weights[near] @ offset[near] / max(total, 1e-300)
                lines.append(
                    f"{k + 1:6d}    {found[0]:.4f}  {found[1]:.4f}  {total:.4f}   "
                    f"({source[0]:.2f}, {source[1]:.2f}, {mass:.2f})"
                )
        return "\n".join(lines)

    return {
        "flow": flow,
        "start": start,
        "until": until,
        "every": every,
        "particles": particles,
        "report": report,
    }


if __name__ == "__main__":
    wgf.cli.main(setup)
