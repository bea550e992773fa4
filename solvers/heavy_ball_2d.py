"""Heavy ball on the line: neurons phi(w) = tanh(w x) with momentum, in the phase space (w, v).

The density rho(w, r) of neurons and their velocities solves the nonlinear kinetic Fokker-Planck
equation

    dt rho + r dw rho - dw F'(mu) dr rho = friction dr(r rho + temperature dr rho),
    F(mu) = 1/(2 n) sum_k (∫ tanh(w x_k) dmu - y_k)^2 + decay/2 ∫ w^2 dmu,

mu being its marginal in w. F oscillates; what falls is E = F + ∫ r^2/2 drho + temperature
∫ rho log rho. The particles are the underdamped Langevin equation. The mesh calls the velocity v_w.
"""

import numpy as np
import wgf.cli

import wgf


def setup(*, cells=128, until=20.0, friction=0.3, temperature=0.02, decay=0.1):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells along w and along the velocity.
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
    features = wgf.Features(lambda w: np.tanh(w * x))
    F = wgf.Risk(features, wgf.Squared(0.8 * np.sin(3 * x))) + wgf.Ridge(decay)
    mesh = wgf.phase_space(wgf.Mesh(w=wgf.Axis(-4, 4, cells)), speed=2.0, cells=cells)
    start = wgf.Density.normal(mesh, mean=(-1, 0), std=(0.4, 0.15))
    flow = wgf.HeavyBall(F, friction, temperature)

    def report(solutions):
        """Return by how much F rose in all, and that E did not on the mesh."""
        lines = []
        for side, solution in solutions.items():
            for letter, name in (("F", "objective"), ("E", "lyapunov")):
                column = solution.diagnostics[name]
                rises = np.maximum(np.diff(column), 0).sum()
                ends = f"{column[0]:.5f} to {column[-1]:.5f}"
                lines.append(f"{side}: {letter} from {ends}, rises of {rises:.1e} in all")
        return "\n".join(lines)

    return {
        "flow": flow,
        "start": start,
        "until": until,
        "every": until / 20,
        "methods": {"particles": wgf.Baoab(0.02)},
        "particles": 4000,
        "report": report,
    }


if __name__ == "__main__":
    wgf.cli.main(setup)
