"""Particles with momentum against exact moments, the heavy-ball iteration, and repetition."""

import numpy as np
import pytest
from many_threads import on_threads
from momentum import gaussian, orders, square_moments, square_neuron

import wgf


def cloud(count, seed=0):
    """Return particles with exactly the moments (0.25, 0, 0.3) of the square neuron's start."""
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(count, 2))
    z -= z.mean(axis=0)
    z = z @ np.linalg.inv(np.linalg.cholesky(z.T @ z / count)).T * [0.5, np.sqrt(0.3)]
    return wgf.Particles(z[:, :1], velocities=z[:, 1:])


def moments(particles):
    u, r = particles.points[:, 0], particles.velocities[:, 0]
    w = particles.weights
    return np.array([w @ u**2, w @ (u * r), w @ r**2])


def test_noiseless_moments_converge_with_order_two():
    exact = square_moments([0.25, 0, 0.3], 0.7, 0.0, 1.0)
    flow, start = wgf.HeavyBall(square_neuron(), 0.7), cloud(200)
    # without noise the moments of any particles solve the equations
    errors = [
        np.abs(moments(wgf.solve(flow, start, 1.0, method=wgf.Baoab(dt)).final) - exact).max()
        for dt in 0.1 / 2 ** np.arange(4)
    ]
    assert np.all(orders(errors) > 1.8)
    assert errors[-1] < 1e-3


def test_iteration_converges_with_order_one():
    exact = square_moments([0.25, 0, 0.3], 0.7, 0.0, 1.0)
    flow, start = wgf.HeavyBall(square_neuron(), 0.7), cloud(200)
    errors = []
    for step in 0.05 / 2 ** np.arange(4):
        run = wgf.solve(flow, start, 1.0, method=wgf.HeavyBallParticles(step))
        errors.append(np.abs(moments(run.final) - exact).max())
    assert np.all(orders(errors) > 0.8)


def test_iteration_is_that_of_the_books():
    """theta_{k+1} = theta_k + b (theta_k - theta_{k-1}) - eta theta_k, written out."""
    step, friction = 0.1, 0.5
    flow, start = wgf.HeavyBall(wgf.Ridge(1.0), friction), wgf.Particles([[1.0]])
    run = wgf.solve(flow, start, 1.0, every=step, method=wgf.HeavyBallParticles(step))
    before = theta = 1.0
    for snapshot in run.snapshots[1:]:
        theta, before = theta + (1 - friction * step) * (theta - before) - step**2 * theta, theta
        assert snapshot.points[0, 0] == pytest.approx(theta, rel=1e-12)


def test_noisy_moments():
    exact = square_moments([0.25, 0, 0.3], 0.7, 0.3, 1.0)
    flow, count = wgf.HeavyBall(square_neuron(), 0.7, 0.3), 40_000
    run = wgf.solve(flow, cloud(count), 1.0, method=wgf.Baoab(0.02, seed=1))
    # four standard errors of a second moment of a normal; the step's bias is below 1e-3
    assert moments(run.final) == pytest.approx(exact, abs=4 * np.sqrt(2 / count) + 1e-3)


def test_weak_order_two():
    """Second moments in a parabola: the exact map of a step's moments, without sampling.

    One step maps ``z`` to ``M z`` plus noise of covariance ``S``: read off the method itself with
    particles at unit vectors and its own generator.
    """
    friction, temperature, until = 0.8, 0.5, 1.0
    flow = wgf.HeavyBall(wgf.Ridge(1.3), friction, temperature)
    begin = np.diag([0.5, 0.6])
    exact = gaussian(np.array([[1.3]]), friction, temperature, np.zeros(2), begin, until)[1]
    errors = []
    for step in 0.2 / 2 ** np.arange(4):
        method, count = wgf.Baoab(step, seed=5), 3
        start = wgf.Particles([[0.0], [1.0], [0.0]], velocities=[[0.0], [0.0], [1.0]])
        stepper = method.prepare(flow, start)
        noise = np.random.default_rng([5, 2]).normal(size=(count, 1))
        stepper.advance(step)
        found = np.hstack([stepper.points, stepper.velocities])
        # what the noise of particle 0 did, a unit of it, is what it did to the others
        kick = found[0] / noise[0]
        matrix = (found - noise * kick)[1:].T
        covariance = begin
        for _ in range(round(until / step)):
            covariance = matrix @ covariance @ matrix.T + np.outer(kick, kick)
        errors.append(np.abs(covariance - exact).max())
    assert np.all(orders(errors) > 1.8)


def test_weak_order_two_of_interacting_particles(figure):
    """Many particles, so that the sampling error of 2e-3 stays below the bias of the steps."""
    exact = square_moments([0.25, 0, 0.3], 0.7, 0.3, 2.0)
    flow, start = wgf.HeavyBall(square_neuron(), 0.7, 0.3), cloud(400_000)
    errors = [
        np.abs(moments(wgf.solve(flow, start, 2.0, method=wgf.Baoab(dt)).final) - exact).max()
        for dt in (0.4, 0.2, 0.1)
    ]
    # measured 0.21, 0.041, 0.010
    assert np.all(orders(errors) > 1.7)
    figure(f"BAOAB, nonlinear F: errors {np.array(errors)}, orders {orders(errors).round(2)}")


def test_energy_is_conserved_without_friction_and_lost_with_it():
    errors, budget = [], []
    for friction in (0.0, 0.7):
        for step in 0.1 / 2 ** np.arange(3):
            flow = wgf.HeavyBall(square_neuron(), friction)
            columns = wgf.solve(flow, cloud(50), 3.0, method=wgf.Baoab(step)).diagnostics
            energy = columns["objective"] + columns["kinetic"]
            np.testing.assert_allclose(columns["lyapunov"], energy, rtol=1e-14)
            residual = np.abs(columns["residual"]).max()
            (errors if friction == 0 else budget).append(residual)
            if friction == 0:
                assert np.abs(energy - energy[0]).max() == pytest.approx(residual, rel=1e-6)
            else:
                assert np.all(columns["dissipation"] >= 0)
                # F oscillates: it rises somewhere although E falls
                assert np.diff(columns["objective"]).max() > 0
    assert np.all(orders(errors) > 1.8)
    assert np.all(orders(budget) > 1.8)


def test_walls_turn_velocities_round():
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 4), y=wgf.Axis(0, 1, 4, periodic=True))
    start = wgf.Particles([[0.9, 0.9]], velocities=[[1.0, 1.0]], domain=mesh)
    flow = wgf.HeavyBall(wgf.Potential(lambda p: 0 * p[:, 0]), 0.0)
    final = wgf.solve(flow, start, 0.5).final
    assert final.points[0] == pytest.approx([0.6, 0.4])
    assert final.velocities[0] == pytest.approx([-1.0, 1.0])


def test_l1_penalty_holds_particles_at_zero():
    """The proximal map of the iteration puts coordinates to rest at 0 exactly."""
    flow = wgf.HeavyBall(
        wgf.L1(1.0) + wgf.Potential(lambda p: 0.5 * p[:, 0], lambda p: 0 * p + 0.5), 2.0
    )
    run = wgf.solve(flow, wgf.Particles([[0.3], [-0.2]]), 20.0, method=wgf.HeavyBallParticles(0.05))
    assert np.array_equal(run.final.points, [[0.0], [0.0]])


@pytest.mark.parametrize("method", [wgf.Baoab(0.05, seed=3), wgf.HeavyBallParticles(0.05)])
def test_continues_with_the_same_numbers(tmp_path, method):
    temperature = 0.4 if isinstance(method, wgf.Baoab) else 0.0
    flow = wgf.HeavyBall(square_neuron(), 1.0, temperature)
    options = {"method": method, "every": 0.23, "save": tmp_path / "run"}
    wgf.solve(flow, cloud(7), 0.46, **options)
    resumed = wgf.solve(flow, cloud(7), 1.0, resume=True, **options)
    whole = wgf.solve(flow, cloud(7), 1.0, method=method, every=0.23)
    assert np.array_equal(resumed.final.points, whole.final.points)
    assert np.array_equal(resumed.final.velocities, whole.final.velocities)
    assert np.array_equal(resumed.diagnostics["residual"], whole.diagnostics["residual"])
    stored = wgf.open_run(tmp_path / "run")
    assert np.array_equal(stored.final.velocities, whole.final.velocities)


def neurons(n=40, m=15):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(n, 3))
    risk = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(x[:, 0])))
    return wgf.HeavyBall(risk + wgf.Ridge(0.01), 0.5), wgf.Particles(generator.normal(size=(m, 4)))


BATCHED = [wgf.Baoab(0.05, seed=3, batch=7, look=4), wgf.HeavyBallParticles(0.05, 3, 7, 4)]


@pytest.mark.parametrize("method", [wgf.Baoab, wgf.HeavyBallParticles])
def test_all_samples_in_a_batch(method):
    flow, start = neurons()
    every = wgf.solve(flow, start, 2.0, method=method(0.1, batch=40, look=5))
    whole = wgf.solve(flow, start, 2.0, method=method(0.1))
    np.testing.assert_allclose(every.final.points, whole.final.points, rtol=0, atol=1e-12)
    assert len(every.diagnostics["t"]) == 5
    # energy taken by friction between two rows, the mean over the steps
    lost = (whole.diagnostics["dissipation"] * whole.diagnostics["dt"]).sum()
    assert (every.diagnostics["dissipation"] * every.diagnostics["dt"]).sum() == pytest.approx(lost)


@pytest.mark.parametrize("method", BATCHED)
def test_batches_learn(method):
    flow, start = neurons()
    columns = wgf.solve(flow, start, 30.0, method=method).diagnostics
    assert columns["objective"][-1] < 0.2 * columns["objective"][0]


@pytest.mark.parametrize("method", BATCHED)
def test_batches_continue_bit_by_bit_on_any_threads(tmp_path, method):
    flow, start = neurons(m=600)
    options = {"method": method, "every": 0.5}
    whole = wgf.solve(flow, start, 2.0, **options)
    wgf.solve(flow, start, 1.0, save=tmp_path / "run", **options)
    with on_threads(3):
        run = wgf.solve(flow, start, 2.0, save=tmp_path / "run", resume=True, **options)
    assert np.array_equal(run.final.points, whole.final.points)
    assert np.array_equal(run.final.velocities, whole.final.velocities)


def test_rate_at_the_start_knows_the_noise():
    """``gamma (∫ |r|^2 drho - d T)``: nothing for a Maxwellian, and what the first steps lose."""
    temperature, friction, start = 0.3, 0.7, cloud(100_000)
    flow = wgf.HeavyBall(wgf.Ridge(1.0), friction, temperature)
    assert wgf.Baoab().prepare(flow, start).row["dissipation"] == pytest.approx(0.0, abs=1e-12)
    hot = wgf.Particles(start.points, velocities=2 * start.velocities)
    columns = wgf.solve(flow, hot, 0.01, method=wgf.Baoab(0.01)).diagnostics
    assert columns["dissipation"][0] == pytest.approx(friction * 3 * 0.3, rel=1e-12)
    # noise of the mean: r dW summed, 2 sqrt(gamma T) 1.1 / sqrt(m dt) = 0.03; the force adds 0.01
    assert columns["dissipation"][1] == pytest.approx(friction * 3 * 0.3, abs=0.15)


def test_default_methods():
    flow = wgf.HeavyBall(wgf.Ridge(1.0), 1.0)
    run = wgf.solve(flow, wgf.Particles([[1.0]]), 0.1)
    assert run.problem["method"] == "Baoab(step=0.01, seed=0)"
    assert run.final.velocities[0, 0] < 0
    assert run.problem["axes"] == ["x1", "v_x1"]
