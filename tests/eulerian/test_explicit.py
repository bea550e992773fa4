"""The explicit mesh solver: exact solutions with their order of accuracy, conservation laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.special import ndtr
from strategies import functionals_and_densities

import wgf

REQUIRED_ORDER = {1: 0.9, 2: 1.8}


def l1_distance(density, exact):
    return np.abs(density.values - exact.values).sum() * density.mesh.cell_volume


def solve_on(functional, start, until, order):
    method = wgf.FiniteVolume(order=order)
    return wgf.solve(wgf.GradientFlow(functional), start, until=until, method=method)


def slope(cells, errors):
    """Return the observed order over all refinements (least squares in logarithms)."""
    return -np.polyfit(np.log(cells), np.log(errors), 1)[0]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("penalty", [0.0, 0.4])
def test_quadratic_neuron(order, penalty):
    """phi = u^2, R = (s - 1)^2, V = penalty u^2: the density is scaled by sqrt(M(t) / M0)."""
    functional = wgf.Risk(wgf.Features(lambda u: u**2), wgf.Squared([1.0], weights=2.0))
    functional = functional + wgf.Ridge(2 * penalty)
    until, moment, rest = 0.2, 0.5, 1 - penalty / 2
    # M' = -8 M (M - rest), a logistic equation
    later = rest / (1 + (rest / moment - 1) * np.exp(-8 * rest * until))
    scale = np.sqrt(later / moment)
    cells, errors = [100, 200, 400], []
    for n in cells:
        mesh = wgf.Mesh(u=wgf.Axis(-6, 6, n))
        run = solve_on(functional, wgf.Density.normal(mesh, 0.5, 0.5), until, order)
        errors.append(l1_distance(run.final, wgf.Density.normal(mesh, 0.5 * scale, 0.5 * scale)))
    assert slope(cells, errors) >= REQUIRED_ORDER[order]


@pytest.mark.parametrize("order", [1, 2])
def test_linear_feature(order):
    """phi = w, R = (s - y)^2 / 2, V = ridge w^2 / 2: every point is known."""
    ridge, y, mean, std, until = 0.7, 1.0, -0.5, 0.5, 0.5
    functional = wgf.Risk(wgf.Features(lambda w: w), wgf.Squared([y], weights=1.0))
    functional = functional + wgf.Ridge(ridge)
    rest = y / (1 + ridge)
    later = rest + (mean - rest) * np.exp(-(1 + ridge) * until)
    cells, errors = [150, 300, 600], []
    for n in cells:
        mesh = wgf.Mesh(w=wgf.Axis(-4, 4, n))
        run = solve_on(functional, wgf.Density.normal(mesh, mean, std), until, order)
        exact = wgf.Density.normal(mesh, later, std * np.exp(-ridge * until))
        errors.append(l1_distance(run.final, exact))
    assert slope(cells, errors) >= REQUIRED_ORDER[order]


def test_linear_feature_in_two_dimensions():
    """The same in the plane, one feature a coordinate: no error of the splitting kind remains."""
    ridge, until, std = 0.5, 0.4, 0.4
    y, mean = np.array([0.6, -0.4]), np.array([-0.3, 0.5])
    functional = wgf.Risk(wgf.Features(lambda w: w), wgf.Squared(y, weights=1.0))
    functional = functional + wgf.Ridge(ridge)
    rest = y / (1 + ridge)
    later = rest + (mean - rest) * np.exp(-(1 + ridge) * until)
    cells, errors = [40, 80, 160], []
    for n in cells:
        mesh = wgf.Mesh(p=wgf.Axis(-2.5, 2.5, n), q=wgf.Axis(-2.5, 2.5, n))
        run = solve_on(functional, wgf.Density.normal(mesh, mean, std), until, 2)
        exact = wgf.Density.normal(mesh, later, std * np.exp(-ridge * until))
        errors.append(l1_distance(run.final, exact))
    assert slope(cells, errors) >= 1.8


def l1_alone(mesh, until, mean=0.3, std=0.6):
    """Return the exact cell masses of a normal moved by the soft threshold of strength 1."""
    edges = mesh.axes[0].edges
    shifted = edges + np.where(edges < 0, -until, until)
    return np.diff(ndtr((shifted - mean) / std))


@pytest.mark.parametrize("order", [1, 2])
def test_l1_alone(order):
    """V = |w|: everything moves to 0 at speed 1 and stays; the Dirac is in the middle cell."""
    until = 0.5
    cells, errors = [101, 201, 401], []
    for n in cells:
        mesh = wgf.Mesh(w=wgf.Axis(-4, 4, n))
        run = solve_on(wgf.L1(1.0, "w"), wgf.Density.normal(mesh, 0.3, 0.6), until, order)
        errors.append(np.abs(run.final.weights - l1_alone(mesh, until)).sum())
    assert slope(cells, errors) >= REQUIRED_ORDER[order]


@pytest.mark.parametrize("order", [1, 2])
def test_l1_alone_fills_the_dirac(order):
    """The mass in the cell at 0 at h = t / 50 is that of the Dirac to 1 %."""
    until, n = 0.5, 801
    mesh = wgf.Mesh(w=wgf.Axis(-4.005, 4.005, n))
    assert mesh.spacing[0] == pytest.approx(until / 50)
    run = solve_on(wgf.L1(1.0, "w"), wgf.Density.normal(mesh, 0.3, 0.6), until, order)
    dirac = ndtr((until - 0.3) / 0.6) - ndtr((-until - 0.3) / 0.6)
    assert run.final.weights[n // 2] == pytest.approx(dirac, rel=0.01 + mesh.spacing[0])
    assert run.final.weights[n // 2] == pytest.approx(l1_alone(mesh, until)[n // 2], rel=0.01)


@settings(max_examples=200)
@given(functionals_and_densities())
def test_invariants(case):
    """Non-negative, conservative, never rising: 200 random functionals and densities."""
    functional, start = case
    for order in (1, 2):
        method = wgf.FiniteVolume(order=order)
        stepper = method.prepare(wgf.GradientFlow(functional), start)
        before = stepper.row
        for _ in range(4):
            row = stepper.advance(0.1)
            # each part of F is a sum, known to a few units in its last place
            scale = sum(abs(row[name]) for name in functional_parts(functional))
            assert row["objective"] <= before["objective"] + 1e-13 * scale
            assert abs(row["mass"] - start.mass) <= 1e-13 * start.mass
            assert stepper.values.min() >= 0.0
            before = row


def functional_parts(functional):
    single = isinstance(functional, wgf.Term)
    return (wgf.Functional([functional]) if single else functional).part_names


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    "shape", [(2, 1, 1, 1), (3, 1, 4, 5), (2, 3, 1, 1), (1, 1, 2, 1), (2, 1, 3)]
)
def test_nothing_is_read_that_was_not_written(shape, order):
    mesh = wgf.Mesh(**{name: wgf.Axis(0, 1, n) for name, n in zip("pqrs", shape)})
    start = wgf.Density(mesh, np.random.default_rng(1).random(shape) + 0.1)
    ends = []
    for left_behind in (0.0, 777.0, np.nan):
        # a term that is stored, and one that is left in factors
        for F in (wgf.Ridge(1.0), wgf.Potential(lambda p: np.sin(3 * p.sum(axis=1)))):
            stepper = wgf.FiniteVolume(order).prepare(wgf.GradientFlow(F), start)
            for room in (stepper.upwind._scratch, stepper.upwind.stage, stepper.upwind.candidate):
                room[...] = left_behind
            for _ in range(4):
                row = stepper.advance(0.1)
            assert row["mass"] == pytest.approx(start.mass, rel=1e-14)
            ends.append(stepper.values.copy())
    assert all(np.array_equal(end, ends[k % 2]) for k, end in enumerate(ends))


@pytest.mark.parametrize("order", [1, 2])
def test_constant_first_variation_moves_nothing(order):
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 12, True), y=wgf.Axis(-1, 1, 7))
    values = np.random.default_rng(1).random(mesh.shape)
    flat = wgf.Potential(lambda p: np.full(len(p), 3.0))
    run = solve_on(flat, wgf.Density(mesh, values), 1.0, order)
    assert np.array_equal(run.final.values, values)


def test_frozen_axis_keeps_its_marginal():
    x = np.linspace(-1, 1, 10)
    functional = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(3 * x)))
    mesh = wgf.Mesh(a=wgf.Axis(-2, 2, 20), w=wgf.Axis(-2, 2, 24))
    start = wgf.Density.normal(mesh, 0.3, 0.4)
    run = wgf.solve(wgf.GradientFlow(functional, frozen=("w",)), start, until=0.5)
    before, after = start.marginal("w").values, run.final.marginal("w").values
    assert np.allclose(before, after, rtol=0, atol=1e-14)
    assert np.abs(run.final.values - start.values).max() > 1e-3


def test_mobility_rescales_time():
    """With mobility c on every axis the flow at time t is the plain one at time c t."""
    functional = wgf.Ridge(1.0)
    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, 80))
    start = wgf.Density.normal(mesh, 0.5, 0.8)
    slow = wgf.solve(wgf.GradientFlow(functional, mobility={"x": 0.5}), start, until=1.0)
    plain = wgf.solve(wgf.GradientFlow(functional), start, until=0.5)
    assert np.allclose(slow.final.values, plain.final.values, rtol=1e-12, atol=1e-15)


def test_dissipation_is_the_decrease_of_the_objective():
    """F(0) - F(t) = ∫ dissipation dt, to the order of the time integrator."""
    x = np.linspace(-1, 1, 20)
    functional = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(3 * x))) + wgf.Ridge(1e-2)
    residuals = []
    for n in (20, 40, 80):
        mesh = wgf.Mesh(a=wgf.Axis(-4, 4, n), w=wgf.Axis(-4, 4, n))
        run = solve_on(functional, wgf.Density.normal(mesh, (0.3, 0.5), 0.5), 2.0, 2)
        columns = run.diagnostics
        budget = np.sum(columns["dt"] * columns["dissipation"])
        residuals.append(abs(columns["objective"][0] - columns["objective"][-1] - budget))
    assert slope([20, 40, 80], residuals) >= 1.8


def test_lands_on_output_times():
    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, 50))
    start = wgf.Density.normal(mesh, 1.0, 0.5)
    run = wgf.solve(wgf.GradientFlow(wgf.Ridge(1.0)), start, until=1.0, every=0.3)
    assert np.array_equal(run.times, [0.0, 0.3, 0.6, 0.9, 1.0])
    assert run.status == "done" and len(run.snapshots) == 5
    assert np.isin(run.times, run.diagnostics["t"]).all()


def test_nan_during_a_run_is_an_error():
    """Features that overflow on the right: no mass is there at the start, but it comes."""
    features = wgf.Features(lambda p: np.where(p > 2.0, np.nan, -p))
    functional = wgf.Risk(features, wgf.Squared([-9.0], weights=1.0))
    mesh = wgf.Mesh(x=wgf.Axis(0, 4, 41))
    values = np.zeros(41)
    values[3] = 1.0
    with pytest.raises(wgf.NumericalError, match="t=.*dt="):
        wgf.solve(wgf.GradientFlow(functional), wgf.Density(mesh, values), until=1.0)


def test_mesh_and_particles_agree_on_tanh():
    """A smooth 2-D problem: objective to 1e-4 at 128^2, output at order >= 1.8."""
    x = np.linspace(-1, 1, 20)
    functional = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(3 * x))) + wgf.Ridge(1e-2)
    flow = wgf.GradientFlow(functional)

    def mesh(n):
        return wgf.Mesh(a=wgf.Axis(-4, 4, n), w=wgf.Axis(-4, 4, n))

    # particles at the nodes of the trapezoidal rule, weighted by the values of the start: spectral
    # accuracy, 32^2 and 64^2 of them agree to 1e-11
    points = mesh(32).points()
    weights = np.exp(-0.5 * ((points - [0.3, 0.5]) ** 2).sum(axis=1) / 0.5**2)
    nodes = wgf.Particles(points, weights / weights.sum(), domain=mesh(32))
    reference = wgf.solve(flow, nodes, until=1.0)
    cells, errors = [32, 64, 128, 256], []
    for n in cells:
        run = wgf.solve(flow, wgf.Density.normal(mesh(n), (0.3, 0.5), 0.5), until=1.0)
        errors.append(np.sqrt(np.mean((run.outputs[-1] - reference.outputs[-1]) ** 2)))
        gap = run.diagnostics["objective"][-1] - reference.diagnostics["objective"][-1]
        assert n != 128 or abs(gap) <= 1e-4
    assert slope(cells, errors) >= 1.8
