"""Regression with ReLU neurons of two inputs: a student learns a teacher of five neurons.

The measure mu lives on theta = (a, w1, w2), the outer weight and the inner weights of a neuron,
and flows along

    dt mu = div(mu grad F'(mu)),
    F(mu) = 1/(2 n) sum_k (∫ a max(w . x_k, 0) dmu - y_k)^2.

The n inputs are spread evenly over the unit circle, which determines a positively homogeneous
function. The teacher's neurons point in the five directions of Chizat & Bach 2018, the first with
output weight -1/5 and the others with 1/5. Since relu(u) - relu(-u) = u, neurons that face each
other can share their output in many ways; with these signs no other way is as short as the
teacher's, and the rays of the teacher are where the mass has to go. The start is a small normal
density round 0, so that its support separates small spheres from large ones, as the convergence
theorem asks for ReLU. The report tells what reached the rays.
"""

import numpy as np
import wgf.cli

import wgf

ANGLES = np.deg2rad([-86.3, -32.1, 23.2, 53.1, 141.2])
SIGNS = np.array([-1.0, 1.0, 1.0, 1.0, 1.0])


def circle(angles):
    """Return the unit vectors at `angles`, shape ``(k, 2)``."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def rays(measure, within=10.0):
    """Return what of the output weights ``∫ |a| |w| dmu`` points along the teacher's rays.

    Parameters
    ----------
    measure : Density or Particles
        On (a, w1, w2).
    within : float
        Largest angle to the nearest ray, in degrees, of what counts as on it.

    Returns
    -------
    weights, angles : array
        On each ray, with the teacher's sign: the weight, and its mean angle from the ray in
        degrees.
    astray : float
        The weight of the rest.
    """
    a, w = measure.points[:, 0], measure.points[:, 1:]
    weights = measure.weights * a * np.hypot(*w.T)
    turns = (np.arctan2(w[:, 1], w[:, 0])[:, None] - ANGLES + np.pi) % (2 * np.pi) - np.pi
    nearest = np.abs(turns).argmin(axis=1)
    turn = np.rad2deg(np.take_along_axis(turns, nearest[:, None], axis=1)[:, 0])
    found = (np.abs(turn) < within) & (weights * SIGNS[nearest] > 0)
    shares = np.where(found, np.abs(weights), 0.0)
    totals = np.bincount(nearest, shares, len(ANGLES))
    sums = np.bincount(nearest, shares * turn, len(ANGLES))
    means = np.divide(sums, totals, out=np.full(len(ANGLES), np.nan), where=totals > 0)
    return totals, means, float(np.abs(weights[~found]).sum())


def report(solutions):
    """Return a table of the teacher's rays and what reached them."""
    lines = ["weight and angle found on the rays, in degrees"]
    lines.append(" " * 10 + "".join(f"{angle:>16.1f}" for angle in np.rad2deg(ANGLES)))
    for side, solution in solutions.items():
        weights, angles, astray = rays(solution.final)
        cells = "".join(f"{w:>9.3f}{a:>+7.2f}" for w, a in zip(weights, angles))
        lines.append(f"{side:10}{cells}  elsewhere {astray:.3f}")
    return "\n".join(lines)


def setup(*, cells=48, until=2000.0, samples=64, spread=0.15):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells along every axis.
    until : float
        End time.
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
        "at": np.geomspace(1e-3, 1, 16) * until,
        "report": report,
        # a particle in every cell would be a hundred thousand
        "particles": 2000,
    }


if __name__ == "__main__":
    wgf.cli.main(setup)
