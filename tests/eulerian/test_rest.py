"""Rest is judged on the state alone: no unit, no constant and no step matters."""

import numpy as np
import pytest

import wgf
from wgf.eulerian.rest import downhill, relative_entropy

WELL = wgf.Potential(lambda p: 0.5 * p[:, 0] ** 2)


def test_relative_entropy_is_that_of_gaussians():
    """``KL(N(m, s^2) | N(0, 1)) = (m^2 + s^2 - 1) / 2 - log s``."""
    mesh = wgf.Mesh(x=wgf.Axis(-9, 9, 600))
    x, width = mesh.centers("x"), mesh.spacing[0]
    rho = 3 * np.exp(-0.5 * (x - 0.4) ** 2 / 0.49) / np.sqrt(2 * np.pi * 0.49)
    found = relative_entropy(rho, 1e6 + 0.5 * x**2, (0,)) * width
    # sums over smooth densities that vanish at the ends are exact; 1e6 leaves ten digits
    assert found == pytest.approx(3 * (0.5 * (0.16 + 0.49 - 1) - np.log(0.7)), rel=1e-9)


def test_relative_entropy_keeps_the_mass_of_frozen_slices():
    xi = np.array([[0.0, np.log(3.0)], [1.0, 1.0], [np.inf, np.inf]])
    rho = np.array([[3.0, 1.0], [5.0, 5.0], [0.0, 0.0]])
    assert relative_entropy(rho, xi, (1,)) < 1e-14
    assert relative_entropy(rho, xi, (0, 1)) > 0.1


def test_mass_goes_downhill_to_its_own_well():
    xi = np.array([2.0, 1.0, 3.0, 5.0, 0.0, np.inf])
    rho = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    # cells 0 to 2 end at 1.0, cells 3 and 4 at 0.0
    assert downhill(rho, xi, (0,), (False,)) == pytest.approx(1 + 0 + 2 + 5 + 0)
    assert downhill(rho, xi, (), (False,)) == 0.0
    # round the period cell 5, which is empty, is the steepest neighbour of none
    assert downhill(rho, xi, (0,), (True,)) == pytest.approx(8.0)


@pytest.mark.filterwarnings("ignore:box")
@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("method", [wgf.FiniteVolume(), wgf.ImplicitFiniteVolume(0.1)])
def test_neither_units_nor_constants_matter(method, noise):
    """Scaled lengths, times and energies: the same number of steps and the same state."""
    found = []
    for length, constant in ((1.0, 0.0), (1.0, 1e6), (2.0**-20, 0.0), (2.0**20, 0.0)):
        well = wgf.Potential(lambda p, c=constant, u=length: c + 0.5 * (p[:, 0] / u) ** 2)
        scaled = method
        if isinstance(method, wgf.ImplicitFiniteVolume):
            scaled = wgf.ImplicitFiniteVolume(0.1 * length**2)
        mesh = wgf.Mesh(x=wgf.Axis(-4 * length, 4 * length, 41))
        start = wgf.Density.normal(mesh, length, 0.3 * length)
        flow = wgf.GradientFlow(well + wgf.Entropy(noise))
        run = wgf.solve(flow, start, "stationary", method=scaled)
        assert run.status == "done"
        found.append(run.final.values * length)
        column = "kl_gap" if noise else "gap"
        assert run.diagnostics[column][-1] < 1e-6 < run.diagnostics[column][0]
    for values in found[1:]:
        # round-off of a constant of 1e6 and steps that it shifts
        assert np.abs(values - found[0]).sum() <= 1e-4 * found[0].sum()


def test_the_message_says_what_is_bounded():
    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, 40))
    start = wgf.Density.normal(mesh, 1.0, 0.5)
    spread = WELL + wgf.Entropy(0.3)
    pull = wgf.Interaction(lambda z: 0.5 * z[:, 0] ** 2)
    push = wgf.Interaction(lambda z: np.exp(-0.5 * z[:, 0] ** 2))
    for functional, words in (
        (spread, "bounds F - min F"),
        (spread + push, "bounds F - min F"),
        (spread + pull, "bounds nothing, since interaction is not known to be convex"),
        (WELL, "bounds how much lower the flow ends"),
    ):
        flow = wgf.GradientFlow(functional)
        run = wgf.solve(flow, start, "stationary", method=wgf.ImplicitFiniteVolume(0.1))
        assert run.status == "done" and words in run.message


def test_the_gap_bounds_the_distance_to_the_minimum():
    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, 40))
    flow = wgf.GradientFlow(WELL + wgf.Entropy(0.3))
    run = wgf.solve(flow, wgf.Density.normal(mesh, 1.0, 0.5), "stationary")
    above = run.diagnostics["objective"] - run.diagnostics["objective"][-1]
    assert (above <= run.diagnostics["kl_gap"] * (1 + 1e-9) + 1e-12).all()


def test_particles_rest():
    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, 40))
    cloud = wgf.Density.normal(mesh, 1.0, 0.5).sample(20, seed=0)
    run = wgf.solve(wgf.GradientFlow(1e6 * wgf.Ridge(1.0)), cloud, "stationary")
    # F falls as exp(-2t), and so does the dissipation: 2t e^-2t is at most 1e-9
    assert run.status == "done" and run.diagnostics["t"][-1] == pytest.approx(12.0e-6, rel=0.2)
    with pytest.raises(wgf.InputError, match="never rest"):
        flow = wgf.GradientFlow(WELL + wgf.Entropy(0.3))
        wgf.solve(flow, cloud, "stationary", method=wgf.Langevin(0.1))
