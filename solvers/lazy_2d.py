"""ReLU neurons of two inputs from the mean-field to the lazy regime: the output scale alpha.

The measure mu lives on theta = (a, w1, w2). The amplitudes stay at a = -1 and a = +1, two signed
copies of the plane of the inner weights, and mu flows along

    dt mu = div_w(mu grad_w F'(mu)),
    F(mu) = 1/(2 alpha^2) sum_k (u_k - y_k)^2,      u_k = alpha ∫ a max(w . x_k, 0) dmu.

The start, w normal and both signs alike, has u = 0. Its velocity is of order 1/alpha, and as
alpha grows the output follows the linear system u' = H (y - u), H the Gram matrix of the start
(Du, Zhai, Poczos & Singh 2018). alpha = 1 is the mean-field model; m particles with alpha = sqrt(m)
are the network of that paper. The report compares each side with its linear system.
"""

import numpy as np
import wgf.cli

import wgf
from wgf import tangent


def inputs(samples):
    """Return unit vectors spread over a little less than the half circle, shape ``(k, 2)``.

    Opposite and equal inputs are avoided: they would make the Gram matrix singular.
    """
    angles = np.pi * (np.arange(samples) + 0.3) / samples
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def targets(samples):
    """Return the labels, a wave of height 1."""
    return np.sin(2 * np.pi * (np.arange(samples) + 0.5) / samples)


def path_length(solution):
    """Return the Wasserstein length of the path of mu, ``∫ (∫ |v|^2 dmu)^(1/2) dt``."""
    columns = solution.diagnostics
    return float(np.sum(np.sqrt(columns["dissipation"][1:]) * columns["dt"][1:]))


def linear_error(solution, features, alpha, y):
    """Return the largest ``|u - u_linear| / |y|`` over the snapshots.

    The linear system has the Gram matrix of the run's own start: of the faces for a density.
    """
    start = solution.snapshots[0]
    see = tangent.face_gram if isinstance(start, wgf.Density) else tangent.gram
    exact = tangent.linear_flow(see(features, start), y, solution.times)
    gap = np.linalg.norm(alpha * solution.outputs - exact, axis=1)
    return float(gap.max() / np.linalg.norm(y))


def setup(*, cells=96, until=6.0, every=0.05, alpha=4.0, samples=6):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells along w1 and along w2.
    until : float
        End time.
    every : float
        Time between snapshots, which also bounds the step.
    alpha : float
        Output scale.
    samples : int
        Number of inputs.
    """
    features = wgf.Neurons(inputs(samples), "relu")
    y = targets(samples)
    F = wgf.Risk(features, wgf.Squared(y, weights=1.0), scale=alpha)
    mesh = wgf.Mesh(a=wgf.Axis(-2, 2, 2), w1=wgf.Axis(-6, 6, cells), w2=wgf.Axis(-6, 6, cells))
    # the two cells along a are centred at -1 and +1 and get half of the mass each
    start = wgf.Density.normal(mesh, mean=0, std=1)

    def report(solutions):
        lines = [f"{'':10} {'loss at end':>12} {'path length':>12} {'off linear':>12}"]
        for side, solution in solutions.items():
            loss = alpha**2 * solution.diagnostics["objective"][-1]
            error = linear_error(solution, features, alpha, y)
            lines.append(f"{side:10} {loss:12.4g} {path_length(solution):12.4g} {error:12.4g}")
        return "\n".join(lines)

    return {
        "flow": wgf.GradientFlow(F, frozen=("a",)),
        "start": start,
        "until": until,
        "every": every,
        "particles": start.quadrature(),
        # the velocity of a ReLU neuron jumps: a tighter tolerance would chase every single jump
        "methods": {"particles": wgf.RungeKutta(tolerance=1e-3)},
        "report": report,
    }


if __name__ == "__main__":
    wgf.cli.main(setup)
