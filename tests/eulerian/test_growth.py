"""Wasserstein-Fisher-Rao on the mesh: exact growth, decay for any step, dissipation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import unbalanced_flows_and_densities

import wgf


def circle_problem(cells, penalty=0.06):
    filters = wgf.Filter.dirichlet(3)
    truth = np.array([[0.6, 0.2], [-0.4, 0.55], [0.3, 0.8]])
    y = filters.output(truth, np.ones(3))
    functional = wgf.Risk(filters, wgf.Squared(y, weights=1 / penalty)) + wgf.L1(1.0, "w")
    mesh = wgf.Mesh(w=wgf.Axis(-2, 2, 2), x=wgf.Axis(0, 1, cells, periodic=True))
    return functional, mesh


def test_growth_of_a_linear_functional_is_exact():
    """F = ∫ V dnu: rho(t) = rho(0) exp(-4 growth V t), whatever the step."""
    mesh = wgf.Mesh(x=wgf.Axis(-1, 1, 30))
    potential = wgf.Potential(lambda p: np.sin(3 * p[:, 0]) + 0.2)
    start = wgf.Density.normal(mesh, 0.0, 0.5)
    flow = wgf.FisherRao(potential, growth=0.7, transport=0.0)
    run = wgf.solve(flow, start, until=0.9, method=wgf.GrowthSplitting(step=0.4))
    rate = 4 * 0.7 * 0.9 * (np.sin(3 * mesh.centers("x")) + 0.2)
    # three steps, each exponential rounded once
    assert np.allclose(run.final.values, start.values * np.exp(-rate), rtol=1e-14)


def test_total_mass_against_the_logistic_equation():
    """phi = 1, R = (s - y)^2 / 2: the mass obeys s' = -4 (s - y) s, a logistic equation."""
    y, until = 2.0, 0.5
    functional = wgf.Risk(
        wgf.Features(lambda p: np.ones((len(p), 1))), wgf.Squared([y], weights=1.0)
    )
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 4))
    start = wgf.Density(mesh, np.full(4, 0.3))
    exact = y / (1 + (y / 0.3 - 1) * np.exp(-4 * y * until))
    steps, errors = np.array([0.05, 0.025, 0.0125]), []
    for step in steps:
        method = wgf.GrowthSplitting(step=step)
        run = wgf.solve(wgf.FisherRao(functional, transport=0.0), start, until=until, method=method)
        errors.append(abs(run.final.mass - exact))
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] >= 1.9


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    step=st.sampled_from([1e-3, 1e-1, 1.0, 30.0, 1e3]),
    transport=st.sampled_from([0.0, 1e-3, 1.0]),
)
def test_the_objective_never_rises(seed, step, transport):
    """Growth alone takes any step; with transport the step is cut, never the law."""
    functional, mesh = circle_problem(16)
    generator = np.random.default_rng(seed)
    values = generator.random(mesh.shape) * (generator.random(mesh.shape) < 0.7)
    flow = wgf.FisherRao(functional, growth=generator.uniform(0.1, 2), transport=transport)
    stepper = wgf.GrowthSplitting(step=step).prepare(flow, wgf.Density(mesh, values))
    before = stepper.row["objective"]
    for _ in range(4):
        row = stepper.advance(step)
        # F is of order 1 and known to a few units in its last place
        assert row["objective"] <= before + 1e-13 * abs(before)
        assert stepper.values.min() >= 0
        if transport == 0:
            assert row["dt"] == step and row["rejected"] == 0
        before = row["objective"]


STEPS = st.floats(-4, 3).map(lambda exponent: 10.0**exponent)


def never_rises(problem, step):
    """Make three implicit steps of exactly the length asked and check the law."""
    flow, density = problem
    stepper = wgf.GrowthSplitting(step=step, implicit=True).prepare(flow, density)
    before = stepper.row
    for _ in range(3):
        row = stepper.advance(step)
        parts = [abs(row[name]) for name in flow.functional.part_names]
        parts += [abs(before[name]) for name in flow.functional.part_names]
        # F is a sum of parts, each known to some units in its last place
        assert row["objective"] <= before["objective"] + 1e-13 * sum(parts)
        assert row["dt"] == step and row["rejected"] == 0
        assert np.isfinite(stepper.values).all() and stepper.values.min() >= 0
        if flow.growth == 0:
            assert row["mass"] == pytest.approx(before["mass"], rel=1e-12)
        before = row


@settings(max_examples=60, deadline=None, derandomize=True)
@given(problem=unbalanced_flows_and_densities(), step=STEPS)
def test_implicit_steps_of_any_length_never_raise_the_objective(problem, step):
    never_rises(problem, step)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(problem=unbalanced_flows_and_densities(), step=STEPS)
def test_a_thousand_implicit_steps_never_raise_the_objective(problem, step):
    never_rises(problem, step)


def test_implicit_steps_converge_to_the_explicit_ones():
    functional, mesh = circle_problem(32)
    start = wgf.Density(mesh, np.full(mesh.shape, 0.2))
    flow = wgf.FisherRao(functional, growth=0.2, transport=1e-3)
    fine = wgf.solve(flow, start, until=0.4, method=wgf.GrowthSplitting(step=5e-4, order=1)).final
    steps, errors = np.array([0.1, 0.05, 0.025]), []
    for step in steps:
        method = wgf.GrowthSplitting(step=step, implicit=True)
        run = wgf.solve(flow, start, until=0.4, method=method)
        errors.append(np.abs(run.final.values - fine.values).sum() * mesh.cell_volume)
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] >= 0.9


def test_features_with_and_without_an_amplitude_in_one_functional():
    """Two risks, one of the signed output and one of the mass: J* holds both."""
    functional, mesh = circle_problem(16)
    ones = wgf.Features(lambda p: np.ones((len(p), 1)))
    functional = functional + wgf.Risk(ones, wgf.Squared([2.0], weights=3.0))
    flow = wgf.FisherRao(functional, transport=0.0)
    start = wgf.Density(mesh, np.full(mesh.shape, 0.2))
    steps, errors = np.array([0.02, 0.01, 0.005]), []
    fine = wgf.solve(flow, start, until=0.2, method=wgf.GrowthSplitting(step=5e-4)).final.values
    for step in steps:
        run = wgf.solve(flow, start, until=0.2, method=wgf.GrowthSplitting(step=step))
        errors.append(np.abs(run.final.values - fine).max())
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] >= 1.9


def test_dissipation_identity():
    """F(0) - F(t) = ∫∫ 4 growth J'^2 + transport |∇J'|^2 with a residual of order 2 in dt."""
    functional, mesh = circle_problem(32)
    start = wgf.Density(mesh, np.full(mesh.shape, 0.2))
    steps, residuals = np.array([0.01, 0.005, 0.0025]), []
    for step in steps:
        flow = wgf.FisherRao(functional, growth=0.2, transport=1e-3)
        run = wgf.solve(flow, start, until=0.2, method=wgf.GrowthSplitting(step=step))
        columns = run.diagnostics
        assert columns["dt"].max() <= step * (1 + 1e-12)
        budget = np.sum(columns["dt"] * columns["dissipation"])
        residuals.append(abs(columns["objective"][0] - columns["objective"][-1] - budget))
    assert np.polyfit(np.log(steps), np.log(residuals), 1)[0] >= 1.8


def test_spikes_reach_the_optimum_over_the_cells():
    functional, mesh = circle_problem(64)
    start = wgf.Density(mesh, np.full(mesh.shape, 0.05))
    flow = wgf.FisherRao(functional, transport=1e-3)
    run = wgf.solve(flow, start, until=150.0)
    variation = functional.first_variation(run.final)
    # optimality: J' >= 0 everywhere, 0 where there is mass
    assert variation.min() >= -1e-4
    assert abs(np.sum(variation * run.final.values) * mesh.cell_volume) <= 1e-6


def test_refusals():
    functional, mesh = circle_problem(8)
    density = wgf.Density(mesh, np.ones(mesh.shape))
    risk = functional.terms[0]
    with pytest.raises(wgf.InputError, match="ridge is not homogeneous of degree 1"):
        wgf.solve(wgf.FisherRao(risk + wgf.Ridge(1.0)), density, until=1.0)
    wide = wgf.Mesh(w=wgf.Axis(-3, 3, 2), x=mesh.axes[1])
    with pytest.raises(wgf.InputError, match="1.5 is no sign"):
        wgf.solve(wgf.FisherRao(functional), wgf.Density(wide, np.ones(wide.shape)), until=1.0)
    with pytest.raises(wgf.InputError, match="potential is not homogeneous of degree 1"):
        wave = wgf.Potential(lambda p: p[:, 0] ** 2)
        wgf.solve(wgf.FisherRao(risk + wave), density, until=1.0)
    with pytest.raises(wgf.InputError, match="l1 is not homogeneous of degree 1"):
        wgf.solve(wgf.FisherRao(risk + wgf.L1(1.0)), density, until=1.0)
    with pytest.raises(wgf.InputError, match="entropy has no growth step, use wgf.GradientFlow"):
        wgf.solve(wgf.FisherRao(functional + wgf.Entropy(0.1)), density, until=1.0)
    with pytest.raises(wgf.InputError, match="ridge is not homogeneous of degree 1"):
        wgf.solve(wgf.FisherRao(risk + wgf.Ridge(1.0)), density.quadrature(), until=1.0)
    with pytest.raises(wgf.InputTypeError, match="growth flow"):
        wgf.GrowthSplitting(implicit=True).prepare(wgf.GradientFlow(functional), density)
    with pytest.raises(wgf.InputError, match="nothing to do"):
        wgf.FisherRao(functional, growth=0, transport=0)
    with pytest.raises(wgf.InputError, match="growth: -1"):
        wgf.FisherRao(functional, growth=-1)


@pytest.mark.parametrize("implicit", [False, True])
def test_numbers_that_overflow_are_told(implicit):
    """Features whose squares are no numbers: the run ends with the step, not with NaN."""
    huge = wgf.Features(lambda p: np.full((len(p), 1), 1e160))
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 8))
    flow = wgf.FisherRao(wgf.Risk(huge, wgf.Squared([1.0])))
    method = wgf.GrowthSplitting(step=0.1, implicit=implicit)
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(wgf.NumericalError, match="objective: inf at t=0 with dt=0, check the"),
    ):
        method.prepare(flow, wgf.Density.uniform(mesh)).advance(0.1)


@pytest.mark.parametrize("growth", [0.0, 1.0])
def test_nan_during_a_run_is_an_error(growth):
    """Features that overflow on the right: no mass is there at the start, but it comes."""
    features = wgf.Features(lambda p: np.where(p > 2.0, np.nan, -p))
    functional = wgf.Risk(features, wgf.Squared([-9.0], weights=1.0))
    mesh = wgf.Mesh(x=wgf.Axis(0, 4, 41))
    values = np.zeros(41)
    values[3] = 1.0
    flow = wgf.FisherRao(functional, growth=growth)
    with pytest.raises(wgf.NumericalError, match="nan at t=.* with dt=.*, check the features"):
        wgf.solve(flow, wgf.Density(mesh, values), until=1.0, method=wgf.GrowthSplitting())
