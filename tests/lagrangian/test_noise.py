"""Steps that noisy particles choose, walls that reflect them, and the numbers they draw."""

import numpy as np
import pytest
from scipy.special import ndtr

import wgf
from wgf.lagrangian.partition import ParticlePartition
from wgf.lagrangian.walls import diffused


@pytest.mark.parametrize("stiffness", [1.0, 1e3, 1e8])
def test_langevin_chooses_its_step_from_the_curvature(stiffness):
    """The variance in a parabola is eps / k: too large by 2.5 % and the error of 4,000 samples."""
    flow = wgf.GradientFlow(wgf.Ridge(stiffness) + wgf.Entropy(0.1))
    start = wgf.Particles(np.random.default_rng(0).normal(size=(4000, 1)) * stiffness**-0.5)
    run = wgf.solve(flow, start, until=6 / stiffness)
    # four standard errors
    assert run.final.covariance()[0, 0] == pytest.approx(
        0.1 / stiffness, rel=0.025 + 4 * np.sqrt(2 / 4000)
    )
    assert len(run.diagnostics["t"]) < 200


def test_langevin_finds_a_curvature_that_it_does_not_see_at_the_start():
    """V = x^4/4 from one point, where the curvature is 0: <x^2> of exp(-x^4/4 eps)."""
    flow = wgf.GradientFlow(wgf.Potential(lambda p: 0.25 * p[:, 0] ** 4) + wgf.Entropy(1.0))
    run = wgf.solve(flow, wgf.Particles(np.zeros((4000, 1))), until=4.0)
    x = np.linspace(-6, 6, 4001)
    density = np.exp(-(x**4) / 4)
    exact = density @ x**2 / density.sum()
    # the square of x has a standard deviation below its mean
    assert np.mean(run.final.points**2) == pytest.approx(exact, rel=0.025 + 4 / np.sqrt(4000))


def test_free_diffusion_takes_few_steps():
    flow = wgf.GradientFlow(wgf.Entropy(1.0))
    run = wgf.solve(flow, wgf.Particles(np.zeros((2000, 2))), until=1e6)
    assert np.mean(run.final.points**2) == pytest.approx(2e6, rel=4 / np.sqrt(2000))
    assert len(run.diagnostics["t"]) < 300


@pytest.mark.parametrize("stiffness", [1.0, 1e6])
def test_baoab_chooses_its_step_from_the_curvature(stiffness):
    flow = wgf.HeavyBall(wgf.Ridge(stiffness), friction=stiffness**0.5, temperature=0.2)
    cloud = wgf.Particles(np.random.default_rng(3).normal(size=(4000, 1)) * stiffness**-0.5)
    run = wgf.solve(flow, wgf.maxwellian(cloud, 0.2), until=6 * stiffness**-0.5)
    assert run.final.covariance()[0, 0] == pytest.approx(
        0.2 / stiffness, rel=0.01 + 4 * np.sqrt(2 / 4000)
    )
    assert len(run.diagnostics["t"]) < 100


def test_the_heavy_ball_iteration_chooses_its_step():
    """x'' = -k x without friction: (x, r) turns with the frequency sqrt(k)."""
    flow = wgf.HeavyBall(wgf.Ridge(1e4), friction=1.0)
    run = wgf.solve(flow, wgf.Particles([[1.0]]), until=0.05, method=wgf.HeavyBallParticles())
    frequency = np.sqrt(1e4 - 0.25)
    exact = np.exp(-0.025) * (np.cos(0.05 * frequency) + np.sin(0.05 * frequency) / 2 / frequency)
    # of order 1 in a step of a twentieth
    assert run.final.points[0, 0] == pytest.approx(exact, abs=0.2)
    assert len(run.diagnostics["t"]) < 150


@pytest.mark.parametrize(
    "flow, method, words",
    [
        (wgf.GradientFlow(wgf.Ridge(250.0) + wgf.Entropy(0.1)), wgf.Langevin(0.01), "langevin"),
        (wgf.HeavyBall(wgf.Ridge(5e4), 1.0, 0.1), wgf.Baoab(0.01), "baoab"),
        (wgf.HeavyBall(wgf.Ridge(5e4), 1.0), wgf.HeavyBallParticles(0.01), "heavy ball"),
    ],
)
def test_unstable_steps_are_refused(flow, method, words):
    start = wgf.Particles(np.linspace(-1, 1, 50)[:, None])
    with pytest.raises(wgf.InputError, match=f"{words} step: 0.01 is unstable where the") as caught:
        wgf.solve(flow, start, until=1.0, method=method)
    assert "\n" not in str(caught.value)
    assert type(method)(None).prepare(flow, start).row["t"] == 0.0


@pytest.mark.parametrize("flow", [wgf.GradientFlow, lambda F: wgf.HeavyBall(F, 0.1)])
def test_hills_are_not_unstable(flow):
    """Where the force drives apart, no step is: the curvature is negative."""
    functional = wgf.Ridge(1.0) + wgf.Potential(lambda p: -50 * np.sum(p**2, axis=1))
    start = wgf.Particles(np.linspace(-1, 1, 50)[:, None])
    gradient = flow is wgf.GradientFlow
    method = wgf.Langevin(0.05) if gradient else wgf.Baoab(0.5)
    flow = flow(functional + wgf.Entropy(0.1) if gradient else functional)
    method.prepare(flow, start)


def test_a_step_at_one_wall_has_the_law_of_reflected_motion():
    """Drift -1 from x=.3 for a time .5, eps=1: the known transition density above a wall at 0."""
    x, drift, time, eps, count = 0.3, -1.0, 0.5, 1.0, 400_000

    box = wgf.Mesh(x=wgf.Axis(0, 40, 4))
    particles = ParticlePartition(count)
    generator = np.random.default_rng(1)
    ends = diffused(
        np.full((count, 1), x), np.full((count, 1), drift * time), np.array([2 * eps * time]),
        box, generator, particles,
    )[:, 0]  # fmt: skip
    # P(X <= y) = N((y - x - b t)/s) - exp(b y / eps) N((-y - x - b t)/s), Harrison 1985
    y, s = np.linspace(0.02, 3, 40), np.sqrt(2 * eps * time)
    exact = ndtr((y - x - drift * time) / s) - np.exp(drift * y / eps) * ndtr(
        (-y - x - drift * time) / s
    )
    found = np.searchsorted(np.sort(ends), y) / count
    # four standard errors of a frequency
    assert np.abs(found - exact).max() < 4 * 0.5 / np.sqrt(count)


@pytest.mark.parametrize("step", [0.003, 0.03, 1.0, 1e4])
def test_between_two_walls_the_gibbs_density_stays(step):
    """V = 3 x, eps = 1/2 on [0, 1]: exp(-6 x), for steps of any length, up to both walls."""
    box, count = wgf.Mesh(x=wgf.Axis(0, 1, 50)), 100_000
    flow = wgf.GradientFlow(
        wgf.Potential(lambda p: 3 * p[:, 0], lambda p: np.full(p.shape, 3.0)) + wgf.Entropy(0.5)
    )
    levels = (np.arange(count) + 0.5) / count
    start = wgf.Particles(-np.log1p(levels * np.expm1(-6))[:, None] / 6, domain=box)
    end = wgf.solve(flow, start, until=5 * step, method=wgf.Langevin(step, seed=2)).final.points
    edges = np.array([0, 0.02, 0.1, 0.3, 0.6, 0.9, 0.98, 1])
    exact = np.diff(np.expm1(-6 * edges) / np.expm1(-6))
    found = np.histogram(end, edges)[0] / count
    assert np.all(np.abs(found - exact) < 4.5 * np.sqrt(exact / count))
    assert np.mean((end == 0) | (end == 1)) == 0


def test_the_density_at_a_wall_is_of_order_one_in_the_step():
    """V = 2 x^2 on [-1, 1]: the frequency next to the walls."""
    box, count, eps = wgf.Mesh(x=wgf.Axis(-1, 1, 50)), 200_000, 1.0
    flow = wgf.GradientFlow(wgf.Ridge(4.0) + wgf.Entropy(eps))
    x = np.linspace(-1, 1, 20_001)
    below = np.concatenate([[0.0], np.cumsum(np.exp(-2 * (0.5 * (x[1:] + x[:-1])) ** 2 / eps))])
    below /= below[-1]
    start = wgf.Particles(
        np.interp((np.arange(count) + 0.5) / count, below, x)[:, None], domain=box
    )
    exact = 2 * np.interp(-0.95, x, below)
    for step in (0.04, 0.01):
        method = wgf.Langevin(step, seed=1)
        run = wgf.solve(flow, start, until=1.0, every=0.2, method=method)
        found = np.mean([np.mean(np.abs(s.points) > 0.95) for s in run.snapshots[1:]])
        # five snapshots that forget each other within a time of .1; the variance of the scheme is
        # too large by 4 step / 2, which at the wall is exp(2 (2 step)) = 1 + 4 step
        error = 4 / np.sqrt(5 * exact * count)
        assert abs(found / exact - 1 - 4 * step) < error + step


def test_an_l1_penalty_at_a_wall_leaves_no_atom():
    box = wgf.Mesh(w=wgf.Axis(0, 1, 10))
    flow = wgf.GradientFlow(wgf.L1(2.0, "w") + wgf.Entropy(0.5))
    start = wgf.Particles(np.linspace(0.01, 0.99, 4000)[:, None], domain=box)
    end = wgf.solve(flow, start, until=1.0).final.points
    assert not np.any(end == 0)
    exact = 0.25 - 1 / np.expm1(4.0)
    assert end.mean() == pytest.approx(exact, abs=4 * 0.25 / np.sqrt(4000))


def test_a_wall_that_holds_a_particle_takes_its_force():
    """Pushed against a wall nothing moves and nothing is dissipated."""
    box = wgf.Mesh(x=wgf.Axis(-1, 1, 4))
    push = wgf.Potential(lambda p: -p[:, 0], lambda p: np.full(p.shape, -1.0))
    start = wgf.Particles([[1.0], [0.0]], domain=box)
    for method in (wgf.RungeKutta(), wgf.GradientDescent(0.1), wgf.ForwardBackward()):
        run = wgf.solve(wgf.GradientFlow(push), start, until=2.0, every=0.5, method=method)
        assert run.diagnostics["dissipation"][0] == pytest.approx(0.5)
        assert run.diagnostics["dissipation"][-1] == 0.0
        assert np.all(run.final.points == 1.0)


@pytest.mark.parametrize("seed", [0, 7])
def test_no_run_draws_the_numbers_of_its_start(seed):
    """Sampled points, Maxwellian velocities and the noise of both methods are not correlated."""
    mesh = wgf.Mesh(x=wgf.Axis(-8, 8, 400))
    cloud = wgf.Density.normal(mesh, 0.0, 1.0).sample(5000, seed=seed)
    cloud = wgf.maxwellian(wgf.Particles(cloud.points), 1.0, seed=seed)
    flow = wgf.GradientFlow(wgf.Entropy(1.0))
    moved = wgf.solve(flow, cloud, 0.1, method=wgf.Langevin(0.1, seed)).final.points
    heavy = wgf.HeavyBall(wgf.Ridge(0.0), 1.0, 1.0)
    kicked = wgf.solve(heavy, cloud, 0.1, method=wgf.Baoab(0.1, seed)).final.velocities
    first = np.random.default_rng(seed).normal(size=(5000, 1))
    noises = [
        cloud.points, cloud.velocities, moved - cloud.points,
        kicked - np.exp(-0.1) * cloud.velocities, first,
    ]  # fmt: skip
    correlations = np.corrcoef(np.hstack(noises).T)
    # what the start was drawn with and the noise of a run; the two runs draw the same
    assert np.abs(correlations[np.ix_([0, 1, 4], [2, 3])]).max() < 5 / np.sqrt(5000)


@pytest.mark.parametrize("method", [wgf.Langevin(seed=3), wgf.Baoab(seed=3)])
def test_chosen_steps_go_on_after_a_break(tmp_path, method):
    quartic = wgf.Potential(lambda p: 0.25 * np.sum(p**4, axis=1))
    start = wgf.Particles(np.linspace(-1, 1, 40).reshape(20, 2))
    flow = (
        wgf.GradientFlow(quartic + wgf.Entropy(0.3))
        if isinstance(method, wgf.Langevin)
        else wgf.HeavyBall(quartic, 1.0, 0.3)
    )
    options = {"method": method, "every": 0.25, "save": tmp_path / "run"}
    wgf.solve(flow, start, 0.5, **options)
    resumed = wgf.solve(flow, start, 1.0, resume=True, **options)
    whole = wgf.solve(flow, start, 1.0, method=method, every=0.25)
    assert np.array_equal(resumed.final.points, whole.final.points)
    assert np.array_equal(resumed.diagnostics["dt"], whole.diagnostics["dt"])
