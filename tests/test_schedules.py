"""Strengths that depend on time: exact solutions, budgets, restarts and refusals on both sides."""

import numpy as np
import pytest

import wgf


def annealed(t):
    return 0.1 + 0.5 * np.exp(-t)


def variance(first, time):
    """Solve ``s' = -2 s + 2 annealed(t)``, the variance in V = x^2/2."""
    return (
        first * np.exp(-2 * time)
        + (np.exp(-time) - np.exp(-2 * time))
        + 0.1 * (1 - np.exp(-2 * time))
    )


def test_annealed_ornstein_uhlenbeck_on_a_mesh():
    """A Gaussian of known variance: second order in the cells."""
    errors = []
    for cells in (50, 100, 200):
        mesh = wgf.Mesh(x=wgf.Axis(-6, 6, cells))
        start = wgf.Density.normal(mesh, 0.5, 0.6)
        flow = wgf.GradientFlow(wgf.Ridge(1.0) + wgf.Entropy(annealed))
        run = wgf.solve(flow, start, until=1.0)
        exact = variance(start.covariance()[0, 0], 1.0)
        errors.append(abs(run.final.covariance()[0, 0] - exact))
    assert np.log2(errors[0] / errors[2]) / 2 > 1.7
    assert errors[-1] < 1e-3


@pytest.mark.parametrize("method", [None, wgf.Langevin(0.01, seed=1)])
def test_annealed_ornstein_uhlenbeck_of_particles(method):
    count = 20_000
    start = wgf.Particles(0.6 * np.random.default_rng(5).normal(size=(count, 1)))
    flow = wgf.GradientFlow(wgf.Ridge(1.0) + wgf.Entropy(annealed))
    run = wgf.solve(flow, start, until=1.0, method=method)
    exact = variance(start.covariance()[0, 0], 1.0)
    # 2.5 % by the steps that are chosen, and four standard errors
    assert run.final.covariance()[0, 0] == pytest.approx(exact, rel=0.025 + 4 * (2 / count) ** 0.5)


def test_a_growing_penalty_of_particles_and_of_a_density():
    """x' = -(1 + t) x: x exp(-t - t^2/2), by a ridge and by a potential."""
    points = np.linspace(-1, 1, 9)[:, None]
    factor = np.exp(-1.5)
    for term in (
        wgf.Ridge(lambda t: 1 + t),
        wgf.Potential(lambda p: 0.5 * np.sum(p**2, axis=1), lambda p: p, lambda t: 1 + t),
    ):
        flow = wgf.GradientFlow(term)
        run = wgf.solve(flow, wgf.Particles(points), until=1.0)
        # the tolerance of a step, 1e-8, times the steps
        assert np.abs(run.final.points - factor * points).max() < 1e-6
        mesh = wgf.Mesh(x=wgf.Axis(-3, 3, 200))
        start = wgf.Density.normal(mesh, 0.5, 0.4)
        final = wgf.solve(flow, start, until=1.0).final
        assert final.mean()[0] == pytest.approx(factor * start.mean()[0], abs=2e-3)


def test_a_kink_whose_strength_grows():
    """x' = -t sign(x): from x the zero is reached at sqrt(2 x)."""
    flow = wgf.GradientFlow(wgf.L1(lambda t: t))
    points = np.array([[-0.3], [0.1], [1.0]])
    run = wgf.solve(flow, wgf.Particles(points), until=1.0)
    assert isinstance(run.problem["method"], str) and "ForwardBackward" in run.problem["method"]
    exact = np.sign(points) * np.maximum(np.abs(points) - 0.5, 0)
    assert np.abs(run.final.points - exact).max() < 1e-3


def test_an_interaction_whose_strength_falls():
    """Attraction s(t) |z|^2 / 2 of unit mass: distances from the mean fall by exp(-int s)."""

    def square(z):
        return 0.5 * np.sum(z**2, axis=1)

    term = wgf.Interaction(square, lambda z: z, strength=lambda t: np.exp(-t))
    factor = np.exp(-(1 - np.exp(-1.0)))
    points = np.linspace(-1, 2, 7)[:, None]
    run = wgf.solve(wgf.GradientFlow(term), wgf.Particles(points), until=1.0)
    assert np.abs(run.final.points - 0.5 - factor * (points - 0.5)).max() < 1e-6
    mesh = wgf.Mesh(x=wgf.Axis(-3, 3, 120))
    start = wgf.Density.normal(mesh, 0.0, 0.6)
    final = wgf.solve(wgf.GradientFlow(term), start, until=1.0).final
    wanted = factor**2 * start.covariance()[0, 0]
    assert final.covariance()[0, 0] == pytest.approx(wanted, abs=2e-2)


def test_a_power_entropy_in_its_own_time():
    """Strength s(t): the Barenblatt profile at the time int s."""
    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, 100))
    start = wgf.Density.normal(mesh, 0.0, 0.6)
    plain = wgf.GradientFlow(wgf.PowerEntropy(1.0, 2.0))
    timed = wgf.GradientFlow(wgf.PowerEntropy(lambda t: 2 * t, 2.0))
    exact = wgf.solve(plain, start, until=0.25).final.values
    found = wgf.solve(timed, start, until=0.5).final.values
    # the steps differ, so do their errors of second order
    assert np.abs(found - exact).max() < 2e-3


@pytest.mark.parametrize("kind", ["density", "particles", "momentum"])
def test_the_energy_budget_has_its_explicit_part(kind):
    """F(t) - F(0) = -lost + gained: closes as the steps get shorter."""
    risk = wgf.Ridge(lambda t: 2 + np.sin(3 * t))
    if kind == "density":
        flow = wgf.GradientFlow(risk + wgf.Entropy(annealed))
        runs = [
            wgf.solve(flow, wgf.Density.normal(wgf.Mesh(x=wgf.Axis(-5, 5, n)), 1.0, 0.5), 1.0)
            for n in (50, 100)
        ]
    elif kind == "particles":
        flow, start = wgf.GradientFlow(risk), wgf.Particles(np.linspace(-1, 2, 9)[:, None])
        runs = [
            wgf.solve(flow, start, 1.0, every=h, method=wgf.RungeKutta(1e-3)) for h in (0.05, 0.025)
        ]
    else:
        flow = wgf.HeavyBall(risk, 0.5)
        start = wgf.Particles(np.linspace(-1, 2, 9)[:, None])
        runs = [wgf.solve(flow, start, 1.0, method=wgf.Baoab(h)) for h in (0.05, 0.025)]
    left = [abs(run.diagnostics["residual"][-1]) for run in runs]
    gained = [run.diagnostics["explicit"] @ run.diagnostics["dt"] for run in runs]
    assert abs(gained[-1]) > 0.1
    assert left[1] < 0.5 * left[0] and left[1] < 0.05 * abs(gained[-1])


def test_a_cooling_bath_of_the_heavy_ball():
    """Free particles: C' = -2 gamma C + 2 gamma T(t)."""
    count, friction = 20_000, 1.0
    flow = wgf.HeavyBall(wgf.Ridge(0.0), friction, annealed)
    cloud = wgf.Particles(np.zeros((count, 1)))
    start = wgf.maxwellian(cloud, 0.36)
    run = wgf.solve(flow, start, 1.0, method=wgf.Baoab(0.05))
    exact = variance(np.mean(start.velocities**2), 1.0)
    found = np.mean(run.final.velocities**2)
    assert found == pytest.approx(exact, rel=0.005 + 4 * (2 / count) ** 0.5)


CASES = {
    "mesh": lambda: (
        wgf.GradientFlow(wgf.Ridge(lambda t: 1 + t) + wgf.Entropy(annealed)),
        wgf.Density.normal(wgf.Mesh(x=wgf.Axis(-5, 5, 40)), 0.5, 0.4), None,
    ),
    "potential": lambda: (
        wgf.GradientFlow(
            wgf.Potential(lambda p: p[:, 0] ** 2, strength=annealed)
            + wgf.Interaction(lambda z: z[:, 0] ** 2, strength=annealed)
        ),
        wgf.Density.normal(wgf.Mesh(x=wgf.Axis(-5, 5, 40)), 0.5, 0.4), None,
    ),
    "langevin": lambda: (
        wgf.GradientFlow(wgf.Ridge(lambda t: 1 + t) + wgf.Entropy(annealed)),
        wgf.Particles(np.linspace(-1, 1, 20)[:, None]), None,
    ),
    "runge-kutta": lambda: (
        wgf.GradientFlow(wgf.Ridge(lambda t: 1 + t)),
        wgf.Particles(np.linspace(-1, 1, 20)[:, None]), None,
    ),
    "forward-backward": lambda: (
        wgf.GradientFlow(wgf.Ridge(1.0) + wgf.L1(annealed)),
        wgf.Particles(np.linspace(-1, 1, 20)[:, None]), None,
    ),
    "baoab": lambda: (
        wgf.HeavyBall(wgf.Ridge(lambda t: 1 + t), 1.0, annealed),
        wgf.Particles(np.linspace(-1, 1, 20)[:, None]), None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_resuming_equals_never_stopping(tmp_path, name):
    flow, start, method = CASES[name]()
    options = {"method": method, "every": 0.25, "save": tmp_path / "run"}
    wgf.solve(flow, start, 0.5, **options)
    resumed = wgf.solve(flow, start, 1.0, resume=True, **options)
    whole = wgf.solve(flow, start, 1.0, method=method, every=0.25)
    assert np.array_equal(resumed.final.points, whole.final.points)
    assert np.array_equal(resumed.final.weights, whole.final.weights)
    for column in whole.diagnostics:
        assert np.array_equal(resumed.diagnostics[column], whole.diagnostics[column]), column


def test_another_schedule_is_another_problem(tmp_path):
    start = wgf.Particles(np.linspace(-1, 1, 5)[:, None])

    def flow(rate):
        return wgf.GradientFlow(wgf.Ridge(lambda t: 1 + rate * t))

    wgf.solve(flow(1.0), start, 0.5, save=tmp_path / "run")
    with pytest.raises(wgf.InputError, match="the flow of the stored run was"):
        wgf.solve(flow(2.0), start, 1.0, save=tmp_path / "run", resume=True)


TERMS = {
    "entropy": wgf.Entropy,
    "power entropy": lambda s: wgf.PowerEntropy(s, 2.0),
    "ridge": wgf.Ridge,
    "l1": wgf.L1,
    "potential": lambda s: wgf.Potential(lambda p: p[:, 0] ** 2, strength=s),
    "interaction": lambda s: wgf.Interaction(lambda z: z[:, 0] ** 2, strength=s),
    "heavy ball": lambda s: wgf.HeavyBall(wgf.Ridge(1.0), 1.0, s),
}


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_a_bad_strength_names_its_time(name, value):
    with pytest.raises(wgf.InputError, match=f"{name} .* at t=0: ") as caught:
        TERMS[name](lambda t: value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_a_strength_that_turns_bad_names_its_time(value):
    flow = wgf.GradientFlow(wgf.Ridge(lambda t: 1.0 if t < 0.5 or t >= 1 else value))
    for start in (
        wgf.Particles([[1.0]]),
        wgf.Density.normal(wgf.Mesh(x=wgf.Axis(-2, 2, 20)), 0.5, 0.4),
    ):
        with pytest.raises(wgf.InputError, match=r"ridge strength at t=0\.[5-9]\d*: "):
            wgf.solve(flow, start, until=0.9, every=0.05)


def test_methods_that_do_not_follow_refuse_in_one_sentence():
    timed = wgf.Ridge(annealed)
    particles = wgf.Particles([[1.0]])
    density = wgf.Density.normal(wgf.Mesh(x=wgf.Axis(-2, 2, 20)), 0.5, 0.4)
    phase = wgf.phase_space(density.mesh, 3.0, 20)
    for flow, start, method in (
        (wgf.GradientFlow(timed), density, wgf.ImplicitFiniteVolume(0.1)),
        (wgf.GradientFlow(timed), particles, wgf.Rosenbrock()),
        (wgf.GradientFlow(timed), particles, wgf.GradientDescent(0.1)),
        (wgf.FisherRao(timed), density, None),
        (wgf.HeavyBall(timed, 1.0), wgf.maxwellian(density, 1.0, phase), None),
        (wgf.HeavyBall(wgf.Ridge(1.0), 1.0, annealed), wgf.maxwellian(density, 1.0, phase), None),
    ):
        with pytest.raises(wgf.InputError, match="depends on time, which this") as caught:
            wgf.solve(flow, start, until=1.0, method=method)
        assert "\n" not in str(caught.value)
    with pytest.raises(wgf.InputError, match="'stationary' has no meaning with a strength"):
        wgf.solve(wgf.GradientFlow(timed), particles, until="stationary")


def test_multiples_and_values_are_those_of_the_start():
    start = wgf.Particles([[2.0]])
    term = wgf.Ridge(lambda t: 1 + t)
    assert (3 * term).value(start) == pytest.approx(6.0)
    assert (3 * term).at(2.0).value(start) == pytest.approx(18.0)
    assert "at t=0, 1, 10" in repr(term)
