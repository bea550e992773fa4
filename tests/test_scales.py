"""The same dimensionless numbers in any units of time, length, mass and objective.

A problem in one unit of each is written in others: lengths `L`, times `T`, masses `m`, objectives
`E`. The mobility, or the mass of the heavy ball, takes up what the equation asks for.
"""

import numpy as np
import pytest

import wgf

UNITS = {
    "time": {"T": (1e-12, 1e-6, 1e6, 1e12)},
    "length": {"L": (1e-12, 1e-6, 1e6, 1e12)},
    "mass": {"m": (1e-12, 1e-6, 1e6, 1e12)},
    "objective": {"E": (1e-12, 1e-6, 1e6, 1e12)},
}
CASES = [
    (f"{name} {value:g}", {key: value})
    for name, units in UNITS.items()
    for key, values in units.items()
    for value in values
]


class Units:
    """One problem in units of choice: a well with a nonlinear output on one walled axis."""

    def __init__(self, L=1.0, T=1.0, m=1.0, E=1.0, offset=0.0):
        self.L, self.T, self.m, self.E, self.offset = L, T, m, E, offset

    def mesh(self, cells=48, sides=(-3, 3)):
        low, high = (self.offset * self.L + side * self.L for side in sides)
        return wgf.Mesh(x=wgf.Axis(low, high, cells))

    def reduced(self, points):
        return (points[:, 0] - self.offset * self.L) / self.L

    def functional(self, entropy=0.0, kink=0.0, gradient=True):
        L, m, E = self.L, self.m, self.E

        def phi(points):
            return np.tanh(self.reduced(points))[:, None] / m

        def phi_gradient(points):
            return (1 - np.tanh(self.reduced(points)) ** 2)[:, None, None] / (m * L)

        def well(points):
            return E / m * 0.5 * self.reduced(points) ** 2

        def well_gradient(points):
            return (E / m * self.reduced(points) / L)[:, None]

        F = wgf.Risk(
            wgf.Features(phi, phi_gradient if gradient else None),
            wgf.Squared([0.5], weights=E),
        ) + wgf.Potential(well, well_gradient if gradient else None)
        if entropy:
            F = F + wgf.Entropy(entropy * E / m)
        if kink:
            F = F + wgf.L1(kink * E / (m * L))
        return F

    @property
    def mobility(self):
        return {"x": self.L**2 * self.m / (self.E * self.T)}

    def density(self, **options):
        unit = wgf.Density.normal(self.mesh(**options), (self.offset + 0.8) * self.L, 0.4 * self.L)
        return wgf.Density(unit.mesh, self.m * unit.values)

    def particles(self, count=12):
        points = self.offset * self.L + self.L * np.linspace(0.2, 1.5, count)[:, None]
        return wgf.Particles(points, np.full(count, self.m / count), domain=self.mesh())

    def moments(self, measure):
        mean = (measure.mean()[0] - self.offset * self.L) / self.L
        return np.array([mean, measure.covariance()[0, 0] / self.L**2, measure.mass / self.m])


def solved(units, side, method, until=0.6, **terms):
    """Return dimensionless moments at the end, objective and number of steps."""
    flow = wgf.GradientFlow(units.functional(**terms), mobility=units.mobility)
    start = units.density() if side == "mesh" else units.particles()
    run = wgf.solve(flow, start, until * units.T, every=0.3 * units.T, method=method(units))
    columns = run.diagnostics
    objective = columns["objective"][-1]
    if terms.get("entropy") and side == "mesh":
        # log rho counts in units of m / L
        shift = terms["entropy"] * units.E / units.m * run.final.mass
        objective -= shift * np.log(units.m / units.L)
    assert len(run.times) == 3
    return np.array([*units.moments(run.final), objective / units.E]), len(columns["t"])


FLOWS = {
    "FiniteVolume 2": ("mesh", lambda u: wgf.FiniteVolume(2), {}),
    "FiniteVolume 1": ("mesh", lambda u: wgf.FiniteVolume(1), {}),
    "FiniteVolume entropy": ("mesh", lambda u: wgf.FiniteVolume(2), {"entropy": 0.1}),
    "FiniteVolume kink": ("mesh", lambda u: wgf.FiniteVolume(2), {"kink": 0.1}),
    "Implicit": ("mesh", lambda u: wgf.ImplicitFiniteVolume(0.02 * u.T, 1), {}),
    "Implicit entropy": (
        "mesh",
        lambda u: wgf.ImplicitFiniteVolume(0.02 * u.T, 1),
        {"entropy": 0.1},
    ),
    "Stabilised": ("mesh", lambda u: wgf.StabilisedFiniteVolume(), {"entropy": 0.1}),
    "Stabilised drift": ("mesh", lambda u: wgf.StabilisedFiniteVolume(), {"entropy": 1e-4}),
    "RungeKutta": ("particles", lambda u: wgf.RungeKutta(), {}),
    "RungeKutta differences": ("particles", lambda u: wgf.RungeKutta(), {"gradient": False}),
    "ForwardBackward": ("particles", lambda u: wgf.ForwardBackward(), {}),
    "ForwardBackward kink": ("particles", lambda u: wgf.ForwardBackward(), {"kink": 0.1}),
    "GradientDescent": ("particles", lambda u: wgf.GradientDescent(0.02 * u.T), {}),
    "Langevin": ("particles", lambda u: wgf.Langevin(0.02 * u.T), {"entropy": 0.1}),
}
DEFAULTS = ("mesh", "particles")
# explicit steps follow the same arithmetic in any units; an error control may take another step
TOLERANCE = 1e-6


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize(("case", "units"), CASES, ids=[case for case, _ in CASES])
def test_a_method_gives_the_same_numbers_in_any_units(name, case, units):
    side, method, terms = FLOWS[name]
    expected, steps = solved(Units(), side, method, **terms)
    found, count = solved(Units(**units), side, method, **terms)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)
    # no unit makes a run crawl
    assert count <= 1.2 * steps + 2


@pytest.mark.parametrize("side", DEFAULTS)
@pytest.mark.parametrize("terms", [{}, {"kink": 0.1}, {"entropy": 0.1}], ids=str)
@pytest.mark.parametrize(("case", "units"), CASES, ids=[case for case, _ in CASES])
def test_the_default_gives_the_same_numbers_in_any_units(side, terms, case, units):
    if side == "particles" and "entropy" in terms:
        terms = {}
    expected, _ = solved(Units(), side, lambda u: None, **terms)
    found, _ = solved(Units(**units), side, lambda u: None, **terms)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("name", [n for n in FLOWS if "kink" not in n])
@pytest.mark.parametrize(("offset", "bound"), [(1e3, 1e-6), (1e6, 1e-6), (1e9, 1e-3)])
def test_an_offset_of_the_axis_changes_nothing(name, offset, bound):
    side, method, terms = FLOWS[name]
    expected, _ = solved(Units(), side, method, **terms)
    found, _ = solved(Units(offset=offset), side, method, **terms)
    # coordinates hold 16 digits: at 1e9 lengths a width is known to 1e-7 of a cell
    np.testing.assert_allclose(found, expected, rtol=bound, atol=bound)


def unbalanced(units, side):
    """Return moments and objective of a Fisher-Rao flow, whose growth rate is 4 growth J'."""
    rate = units.m / (units.E * units.T)
    flow = wgf.FisherRao(units.functional(), growth=0.3 * rate, transport=units.mobility["x"] * 0.5)
    start = units.density() if side == "mesh" else units.particles()
    run = wgf.solve(flow, start, 0.5 * units.T)
    objective = run.diagnostics["objective"][-1] / units.E
    return np.array([*units.moments(run.final), objective])


@pytest.mark.parametrize("side", DEFAULTS)
@pytest.mark.parametrize(("case", "units"), CASES, ids=[case for case, _ in CASES])
def test_unbalanced_flows_give_the_same_numbers_in_any_units(side, case, units):
    expected = unbalanced(Units(), side)
    np.testing.assert_allclose(
        unbalanced(Units(**units), side), expected, rtol=TOLERANCE, atol=TOLERANCE
    )


def heavy(units, side):
    """Return moments and energies of a heavy ball; velocities count in L / T."""
    L, T, m, E = units.L, units.T, units.m, units.E
    mobility = {"x": L**2 * m / (E * T**2)}
    temperature = 0.2 * E / m
    flow = wgf.HeavyBall(units.functional(), 0.5 / T, temperature, mobility=mobility)
    if side == "mesh":
        phase = wgf.phase_space(units.mesh(24), 4.5 * L / T, 32)
        start = wgf.maxwellian(units.density(cells=24), temperature * mobility["x"], phase)
        method = wgf.KineticFiniteVolume()
    else:
        start, method = units.particles(), wgf.Baoab(0.02 * T)
    run = wgf.solve(flow, start, 0.4 * T, method=method)
    final = wgf.positions(run.final)
    kinetic = run.diagnostics["kinetic"][-1] / E
    return np.array([*units.moments(final), run.diagnostics["objective"][-1] / E, kinetic])


@pytest.mark.parametrize("side", DEFAULTS)
@pytest.mark.parametrize(("case", "units"), CASES, ids=[case for case, _ in CASES])
def test_the_heavy_ball_gives_the_same_numbers_in_any_units(side, case, units):
    expected = heavy(Units(), side)
    np.testing.assert_allclose(
        heavy(Units(**units), side), expected, rtol=TOLERANCE, atol=TOLERANCE
    )
