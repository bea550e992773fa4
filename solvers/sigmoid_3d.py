"""Regression with sigmoid neurons of two inputs: a student learns a teacher of two neurons.

The measure mu lives on theta = (a, w1, w2), the output weight and the inner weights of a neuron,
and flows along

    dt mu = div(mu grad F'(mu)),
    F(mu) = 1/(2 n) sum_k (∫ a sigmoid(w . x_k) dmu - y_k)^2 + penalty ∫ |a| dmu.

The inputs are normal. The teacher has a negative neuron at (0.73, -0.60) and a positive one at
(-0.75, -1.72), the places of Chizat & Bach 2018. As sigmoid(-z) = 1 - sigmoid(z), the neurons
opposite with the other sign do as well, and the student uses both. The start has normal inner
weights and output weights next to 0 of both signs, so that its support separates a = -r from
a = +r. The report bounds the distance of each side from the minimum over the box.
"""

import functools

import numpy as np
import wgf.cli
from wgf.duality import certificates

import wgf

TEACHER = np.array([[0.73, -0.60], [-0.75, -1.72]])
OUTPUT = np.array([-1.0, 1.0])


def setup(*, cells=32, until=3000.0, samples=100, penalty=1e-3, seed=0):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells along w1 and w2; along a there is one more.
    until : float
        End time.
    samples : int
        Number of inputs.
    penalty : float
        Strength of the penalty on the output weights.
    seed : int
        Seed of the inputs.
    """
    x = np.random.default_rng(seed).normal(size=(samples, 2))
    neurons = wgf.Neurons(x, "sigmoid")
    y = OUTPUT @ neurons.unit(TEACHER)
    F = wgf.Risk(neurons, wgf.Squared(y)) + wgf.L1(penalty, axes="a")
    inner = {name: wgf.Axis(-5, 5, cells) for name in ("w1", "w2")}
    # an odd number of cells along a has a cell centre at 0, where the penalty gathers mass
    mesh = wgf.Mesh(a=wgf.Axis(-6, 6, cells // 2 * 2 + 1), **inner)
    near = 1.5 * mesh.axis("a").spacing
    plane = wgf.Density.normal(mesh.sub(("w1", "w2")), mean=0, std=1)
    flat = wgf.Density.uniform(mesh.sub("a"), a=(-near, near))
    start = wgf.Density(mesh, np.multiply.outer(flat.values, plane.values))

    generator = np.random.default_rng(seed + 1)
    weights = np.clip(generator.normal(size=(200, 2)), -4.9, 4.9)
    points = np.column_stack([np.zeros(200), weights])
    return {
        "flow": wgf.GradientFlow(F),
        "start": start,
        "until": until,
        "at": np.geomspace(1e-2, 1, 12) * until,
        "particles": wgf.Particles(points, domain=mesh),
        "report": functools.partial(certificates, tolerance=1e-6),
    }


if __name__ == "__main__":
    wgf.cli.main(setup)
