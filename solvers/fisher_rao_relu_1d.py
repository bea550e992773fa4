"""ReLU neurons of two inputs as an unbalanced flow on their directions alone.

A neuron a max(w . x, 0) on the balanced cone |a| = |w| is a sign, an angle and a mass |a||w|. With
the penalty p/2 (a^2 + |w|^2) the cone is invariant, and the flow on (a, w1, w2), projected by this
mass on signs and angles, is the Wasserstein-Fisher-Rao flow

    dt nu = d/dangle (nu d/dangle J') - 2 J' nu,
    J(nu) = 1/(2 n) sum_k (∫ sign max(e(angle) . x_k, 0) dnu - y_k)^2 + p |nu|,

one dimension instead of three. The inputs and the teacher's directions are those of relu_3d, the
output weights +1/5 and -1/5 in turn. With --full N the flow on N^3 cells is solved, too, from a
shell of one cell's width round the cone; the circle then starts from the projection of this shell,
and the two ends are compared.
"""

import numpy as np
import wgf.cli
from relu_3d import ANGLES, circle

import wgf

SIGNS = np.array([1.0, -1.0, 1.0, -1.0, 1.0])
RADIUS, SPREAD, BOX = 0.7, 0.12, 2.0


def problems(penalty, samples):
    """Return the flow on directions and the flow on ``(a, w1, w2)``."""
    x = circle(2 * np.pi * (np.arange(samples) + 0.5) / samples)
    loss = wgf.Squared(np.maximum(x @ circle(ANGLES).T, 0) @ SIGNS / len(SIGNS))

    def unit(angles):
        return np.maximum(circle(angles[:, 0]) @ x.T, 0)

    def slope(angles):
        active = circle(angles[:, 0]) @ x.T > 0
        return (active * (circle(angles[:, 0] + np.pi / 2) @ x.T))[:, :, None]

    risk = wgf.Risk(wgf.Features(unit, slope, amplitude=True), loss)
    flow = wgf.FisherRao(risk + wgf.L1(penalty, axes="a"), growth=0.5, transport=1.0)
    full = wgf.Risk(wgf.Neurons(x, "relu"), loss) + wgf.Ridge(penalty)
    return flow, wgf.GradientFlow(full)


def shell(cells):
    """Return a density of unit mass round the cone, of the width of a cell."""
    axis = wgf.Axis(-BOX, BOX, cells)
    mesh = wgf.Mesh(a=axis, w1=axis, w2=axis)

    def profile(points):
        outer, inner = np.abs(points[:, 0]), np.hypot(points[:, 1], points[:, 2])
        off, along = (outer - inner) / axis.spacing, ((outer + inner) / 2 - RADIUS) / SPREAD
        return np.exp(-0.5 * (off**2 + along**2))

    density = wgf.Density.from_function(mesh, profile)
    return wgf.Density(mesh, density.values / density.mass)


def even(cells):
    """Return the projection of a thin shell: even over signs and angles."""
    radii = np.linspace(0, BOX, 2001)
    weights = radii * np.exp(-0.5 * ((radii - RADIUS) / SPREAD) ** 2)
    angle = wgf.Axis(-np.pi, np.pi, cells, periodic=True)
    mesh = wgf.Mesh(a=wgf.Axis(-2, 2, 2), angle=angle)
    mass = weights @ radii**2 / weights.sum()
    return wgf.Density(mesh, np.full(mesh.shape, mass / (4 * angle.length)))


def distance(first, second, scale):
    """Return ``|first - second| / |second|`` in total variation, smoothed by a normal of `scale`.

    The scale is the standard deviation of the angle.
    """
    cells = second.mesh.shape[1]
    frequency = np.arange(cells // 2 + 1)
    factor = np.exp(-0.5 * (scale * frequency) ** 2)
    change = np.fft.rfft(first.values - second.values, axis=1) * factor
    moved = np.abs(np.fft.irfft(change, cells, axis=1)).sum()
    return float(moved * second.mesh.cell_volume / second.mass)


def setup(*, cells=360, until=20.0, every=1.0, penalty=0.01, samples=64, full=0, scale=0.1):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells of the circle of angles.
    until : float
        End time.
    every : float
        Time between snapshots.
    penalty : float
        Strength of the total variation.
    samples : int
        Number of inputs.
    full : int
        Cells along every axis of the flow on (a, w1, w2) to compare with, 0 for none.
    scale : float
        Angle (radians) over which measures are smoothed before they are compared.
    """
    flow, whole = problems(penalty, samples)
    begin = shell(full) if full else None
    start = wgf.neuron_projection(begin, cells) if full else even(cells)

    def report(solutions):
        if "mesh" not in solutions:
            return "projection: the flow on the cells of the circle was not solved"
        circular = solutions["mesh"]
        run = wgf.solve(whole, begin, until)
        projected = wgf.neuron_projection(run.final, cells)
        high, low = (s.diagnostics["objective"][-1] for s in (run, circular))
        return (
            f"projection of {full}^3 cells against the circle at t = {until:g}\n"
            f"total variation, smoothed by {scale:g}: "
            f"{distance(projected, circular.final, scale):.3%}\n"
            f"objective: {high:.6f} and {low:.6f}, difference {high / low - 1:.3%}"
        )

    system = {"flow": flow, "start": start, "until": until, "every": every}
    return system | {"report": report} if full else system


if __name__ == "__main__":
    wgf.cli.main(setup)
