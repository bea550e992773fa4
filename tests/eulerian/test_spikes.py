"""Sparse deconvolution to its minimum over the mesh by the implicit solver."""

import numpy as np

import wgf

PENALTY = 0.06
POSITIONS = np.array([0.130, 0.267, 0.693, 0.770, 0.950])


def spikes(shape, draw=0):
    """Return flow and start of sparse deconvolution and the least F on the mesh's positions."""
    generator = np.random.default_rng(draw)
    signs = generator.permutation([1.0, 1.0, 1.0, -1.0, -1.0])
    sizes = generator.uniform(0.5, 1.5, 5)
    filters = wgf.Filter.dirichlet(7)
    y = (signs * sizes / sizes.sum()) @ filters.unit(POSITIONS[:, None])
    F = wgf.Risk(filters, wgf.Squared(y, weights=1 / PENALTY)) + wgf.L1(1.0, axes="w")
    flow = wgf.GradientFlow(F, mobility={"x": 0.01})
    mesh = wgf.Mesh(w=wgf.Axis(-4, 4, shape[0]), x=wgf.Axis(0, 1, shape[1], periodic=True))
    near = 1.5 * mesh.axis("w").spacing
    start = wgf.Density.uniform(mesh, w=(-near, near))
    return flow, start, lasso(filters.unit(mesh.centers("x")[:, None]).T, y)


def lasso(matrix, y):
    """Return ``min_c |matrix c - y|^2 / (2 penalty) + |c|_1`` by accelerated thresholding.

    The model output and the penalty of a density only see ``c(x) = ∫ w rho dw`` and ``∫ |w| rho``,
    and the mass is enough to carry the minimiser: this is the minimum over the mesh.
    """
    gram, image = matrix.T @ matrix, matrix.T @ y
    bound = np.linalg.eigvalsh(gram)[-1]
    c = z = np.zeros(matrix.shape[1])
    t = 1.0
    for _ in range(20000):
        forward = z - (gram @ z - image) / bound
        new = np.sign(forward) * np.maximum(np.abs(forward) - PENALTY / bound, 0)
        later = 1.0 if (z - new) @ (new - c) > 0 else (1 + np.sqrt(1 + 4 * t * t)) / 2
        z = new + (t - 1) / later * (new - c)
        c, t = new, later
    fit = matrix @ c - y
    residual = -fit / PENALTY
    scaled = residual / max(1.0, np.abs(matrix.T @ residual).max())
    value = 0.5 / PENALTY * np.sum(fit**2) + np.abs(c).sum()
    # the dual value proves that this is the minimum
    assert value - (scaled @ y - 0.5 * PENALTY * scaled @ scaled) <= 1e-10
    return value


def steps_to(shape, share):
    """Return the accepted steps until ``F`` is within `share` of its minimum on the mesh."""
    flow, start, least = spikes(shape)
    stepper = wgf.ImplicitFiniteVolume(0.1).prepare(flow, start)
    stepper.settle()
    for count in range(1, 101):
        row = stepper.advance(1e9)
        assert row["objective"] >= least * (1 - 1e-9)
        if row["objective"] - least <= share * least:
            return count
    return np.inf


def test_spikes_settle_in_few_steps():
    """At most 100 accepted steps to a gap of 1e-6 of F, and twice as many on 4 times the cells."""
    coarse, fine = steps_to((161, 128), 1e-6), steps_to((321, 256), 1e-6)
    print(f"steps to a gap of 1e-6 of F: {coarse} at 161 x 128, {fine} at 321 x 256")
    assert coarse <= 100 and fine <= 2 * coarse
