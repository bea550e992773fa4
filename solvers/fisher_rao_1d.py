"""Sparse deconvolution on the circle as an unbalanced flow on positions alone.

A signed measure nu = nu(+1) - nu(-1) on the circle evolves by the Wasserstein-Fisher-Rao flow

    dt nu = transport div(nu grad J') - 4 growth J' nu,
    J(nu) = 1/(2 penalty) |∫ psi dnu - y|^2 + |nu|,

the projection of the flow on amplitudes and positions (w, x). Low-pass filter of order 7, five
spikes of random sign (Chizat & Bach 2018, figure 1, in one dimension less).
"""

import numpy as np
import wgf.cli

import wgf

POSITIONS = np.array([0.13, 0.267, 0.693, 0.77, 0.95])


def setup(*, cells=512, until=100.0, every=10.0, penalty=0.06, transport=3e-4, truth=0):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells of the circle.
    until : float
        End time.
    every : float
        Time between snapshots.
    penalty : float
        Strength of the total variation.
    transport : float
        Coefficient of the transport, that of the growth being 1.
    truth : int
        Seed of the signs and amplitudes.
    """
    generator = np.random.default_rng(truth)
    amplitudes = generator.choice([-1, 1], 5) * generator.uniform(0.5, 1.5, 5)
    amplitudes /= np.abs(amplitudes).sum()
    filters = wgf.Filter.dirichlet(7)
    y = filters.output(np.column_stack([amplitudes, POSITIONS]), np.ones(5))
    functional = wgf.Risk(filters, wgf.Squared(y, weights=1 / penalty)) + wgf.L1(1.0, axes="w")
    mesh = wgf.Mesh(w=wgf.Axis(-2, 2, 2), x=wgf.Axis(0, 1, cells, periodic=True))
    # a tenth of the mass sought, spread evenly over both copies
    start = wgf.Density(mesh, np.full(mesh.shape, 0.1 / 4))
    flow = wgf.FisherRao(functional, growth=1.0, transport=transport)

    def report(solutions):
        lines = ["spike   position  amplitude   (truth)"]
        for name, solution in solutions.items():
            lines += [name, *spikes(solution.final, amplitudes)]
        return "\n".join(lines)

    return {"flow": flow, "start": start, "until": until, "every": every, "report": report}


def spikes(measure, amplitudes, radius=0.03):
    """Return a line for the mass within `radius` of each true spike."""
    points, weights = measure.points, measure.weights
    lines = []
    for k, (position, truth) in enumerate(zip(POSITIONS, amplitudes)):
        offset = (points[:, 1] - position + 0.5) % 1.0 - 0.5
        near = (np.abs(offset) < radius) & (points[:, 0] == np.sign(truth))
        mass = weights[near].sum()
        found = position + offset[near] @ weights[near] / max(mass, 1e-300)
        lines.append(
            f"{k + 1:5d} {found:10.4f} {np.sign(truth) * mass:10.4f}   ({position:.4f}, "
            f"{truth:.4f})"
        )
    return lines


if __name__ == "__main__":
    wgf.cli.main(setup)
