"""Heavy ball in the plane: tanh neurons (a, w) with momentum, in a phase space of four axes.

The density rho(a, w, r_a, r_w) solves the nonlinear kinetic Fokker-Planck equation

    dt rho + r·grad rho - grad F'(mu)·grad_r rho = friction div_r(r rho + temperature grad_r rho),
    F(mu) = 1/(2 n) sum_k (∫ a tanh(w x_k) dmu - y_k)^2 + decay/2 ∫ |theta|^2 dmu,

mu being its marginal in theta = (a, w). The mesh is coarse: four axes of 24 cells are a third of a
million of them. The particles are the same equation as a noisy system with momentum.
"""

import numpy as np
import wgf.cli

import wgf


def setup(*, cells=24, until=4.0, friction=1.0, temperature=0.1, decay=0.05):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells along each of the four axes.
    until : float
        End time.
    friction : float
        Friction of the velocities.
    temperature : float
        Variance of the velocities in equilibrium.
    decay : float
        Strength of the ridge penalty.
    """
    x = np.linspace(-1, 1, 40)
    F = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(3 * x))) + wgf.Ridge(decay)
    places = wgf.Mesh(a=wgf.Axis(-4, 4, cells), w=wgf.Axis(-4, 4, cells))
    mesh = wgf.phase_space(places, speed=2.4, cells=cells)
    start = wgf.Density.normal(mesh, mean=(0.3, 0.5, 0, 0), std=(0.6, 0.6, 0.32, 0.32))
    flow = wgf.HeavyBall(F, friction, temperature)
    methods = {"mesh": wgf.KineticFiniteVolume(0.1), "particles": wgf.Baoab(0.02)}
    return {
        "flow": flow,
        "start": start,
        "until": until,
        "every": until / 8,
        "methods": methods,
        "particles": 4000,
    }


if __name__ == "__main__":
    wgf.cli.main(setup)
