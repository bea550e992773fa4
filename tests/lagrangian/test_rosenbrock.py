"""Linearly implicit steps for particles: exact solutions, kinks, walls, units, refusals."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import wgf
from wgf.driver import default_method
from wgf.lagrangian.linearised import Linearised
from wgf.lagrangian.partition import ParticlePartition
from wgf.lagrangian.rosenbrock import Rosenbrock, stiff

LAMBDA = 0.06
# some starts are one-sided on purpose
pytestmark = pytest.mark.filterwarnings("ignore::wgf.StartWarning")

# of `spikes`, by wgf.certificate with a gap of 1e-9
LEAST = 0.89549292


def spikes():
    """Return features, data and flow of three spikes behind a low-pass filter of order 5."""
    features = wgf.Filter.dirichlet(5)
    y = features.output(np.array([[0.5, 0.15], [0.3, 0.44], [-0.2, 0.88]]), np.ones(3))
    functional = wgf.Risk(features, wgf.Squared(y, weights=1 / LAMBDA)) + wgf.L1(1.0, "w")
    return features, y, wgf.GradientFlow(functional)


def spike_starts(m):
    """Return starts of `m` particles by name."""
    x, generator = (np.arange(m) + 0.5) / m, np.random.default_rng(1)
    return {
        "0": np.stack([0 * x, x], axis=1),
        "+.3": np.stack([0 * x + 0.3, x], axis=1),
        "-.3": np.stack([0 * x - 0.3, x], axis=1),
        "+-.3": np.stack([0.3 * (-1.0) ** np.arange(m), x], axis=1),
        "random": np.stack([generator.normal(size=m), generator.random(m)], axis=1),
        "one-sided": np.stack([1 + generator.random(m), x], axis=1),
    }


def reference(start, times, relative=1e-9):
    """Return the spikes at `times` by SciPy's Radau between events, where signs change.

    Independent of the method under test: plain formulas, the signs of |w| fixed between the
    events, which are zeros of free amplitudes and forces on held ones that reach 1.
    """
    features, y, _ = spikes()
    m = len(start)
    w, x = start[:, 0].copy(), start[:, 1].copy()

    def forces(w, x):
        unit = features.unit(x[:, None])
        slope = features.unit_gradient(x[:, None])[:, :, 0]
        residual = ((w / m) @ unit - y) / LAMBDA
        return unit @ residual, w * (slope @ residual)

    found, t = [], 0.0
    while len(found) < len(times):
        first = forces(w, x)[0]
        leaving = np.where(np.abs(first) > 1, -np.sign(first), 0.0)
        signs = np.where(w == 0, leaving, np.sign(w))

        def velocity(t, z, signs=signs):
            along, across = forces(z[:m], z[m:])
            return -np.concatenate([np.where(signs != 0, along + signs, 0.0), across])

        def event(i, signs=signs):
            def free(t, z):
                return signs[i] * z[i] + 1e-13

            def held(t, z):
                return abs(forces(z[:m], z[m:])[0][i]) - 1 - 1e-12

            chosen = free if signs[i] else held
            chosen.terminal, chosen.direction = True, -1 if signs[i] else 1
            return chosen

        piece = solve_ivp(
            velocity, (t, times[len(found)]), np.concatenate([w, x]), "Radau",
            rtol=relative, atol=1e-2 * relative, events=[event(i) for i in range(m)],
        )  # fmt: skip
        t, w, x = piece.t[-1], piece.y[:m, -1].copy(), piece.y[m:, -1].copy()
        if piece.status == 0:
            found.append(np.stack([w, x], axis=1))
        for i in range(m):
            if piece.status == 1 and len(piece.t_events[i]):
                # a released amplitude needs a sign
                w[i] = 0.0 if signs[i] else -1e-14 * np.sign(forces(w, x)[0][i])
    return found


def quadratic_neuron(gradient=True):
    features = wgf.Features(lambda u: u**2, (lambda u: 2 * u[:, None, :]) if gradient else None)
    return wgf.Risk(features, wgf.Squared([1.0], weights=2.0))


def fixed_steps(functional, start, until, steps):
    """Return the points after equal steps, without error control."""
    stepper = Rosenbrock(tolerance=1e9).prepare(wgf.GradientFlow(functional), start)
    stepper.control.step = np.inf
    for _ in range(steps):
        stepper.advance(until / steps)
    return stepper.points


def orders(functional, start, exact, until, steps):
    errors = [np.abs(fixed_steps(functional, start, until, n) - exact).max() for n in steps]
    return np.log(np.divide(errors[:-1], errors[1:])) / np.log(np.divide(steps[1:], steps[:-1]))


@pytest.mark.parametrize("gradient", [True, False])
def test_order_three_on_the_quadratic_neuron(gradient):
    """M(t) = 1 / (1 + (1/M0 - 1) e^{-8t}), u_i(t) = u_i(0) sqrt(M(t) / M0)."""
    points, until = np.linspace(-1.5, 1.0, 7)[:, None], 0.4
    first = np.mean(points**2)
    moment = 1 / (1 + (1 / first - 1) * np.exp(-8 * until))
    exact = points * np.sqrt(moment / first)
    start = wgf.Particles(points)
    found = orders(quadratic_neuron(gradient), start, exact, until, (20, 40, 80))
    assert found.min() >= 2.85


def test_order_three_on_the_linear_feature():
    ridge, until, d = 0.7, 0.8, 5
    generator = np.random.default_rng(3)
    y, points = generator.normal(size=d), generator.normal(size=(40, d))
    features = wgf.Features(lambda w: w, lambda w: np.broadcast_to(np.eye(d), (len(w), d, d)))
    functional = wgf.Risk(features, wgf.Squared(y, weights=1.0)) + wgf.Ridge(ridge)
    mean, rest = points.mean(axis=0), y / (1 + ridge)
    later = rest + (mean - rest) * np.exp(-(1 + ridge) * until)
    exact = np.exp(-ridge * until) * (points - mean) + later
    found = orders(functional, wgf.Particles(points), exact, until, (4, 8, 16))
    assert found.min() >= 2.85


def test_order_three_on_a_network_with_logistic_loss():
    generator = np.random.default_rng(4)
    features = wgf.Neurons(generator.normal(size=(15, 2)), "tanh", bias=True)
    labels = np.sign(generator.normal(size=15))
    functional = wgf.Risk(features, wgf.Logistic(labels)) + wgf.Ridge(0.1)
    start = wgf.Particles(generator.normal(size=(9, 4)))
    flow = wgf.GradientFlow(functional)
    exact = wgf.solve(flow, start, until=2.0, method=wgf.RungeKutta(1e-12)).final.points
    found = orders(functional, start, exact, 2.0, (8, 16, 32))
    assert found.min() >= 2.8


FEATURES = {
    "tanh": lambda g: wgf.Neurons(g.normal(size=(6, 2)), "tanh"),
    "tanh with bias": lambda g: wgf.Neurons(g.normal(size=(6, 2)), "tanh", bias=True),
    "sigmoid": lambda g: wgf.Neurons(g.normal(size=6), "sigmoid", bias=True),
    "dirichlet": lambda g: wgf.Filter.dirichlet(3),
    "dirichlet in space": lambda g: wgf.Filter.dirichlet(2, dimension=3),
    "gaussian": lambda g: wgf.Filter.gaussian(g.normal(size=7), 0.6),
    "gaussian in the plane": lambda g: wgf.Filter.gaussian(g.normal(size=(7, 2)), 0.6),
}


@pytest.mark.parametrize("kind", FEATURES)
def test_second_derivatives_of_features(kind):
    """Against differences of the gradient, whose own error is 1e-9 of the largest entry."""
    generator = np.random.default_rng(5)
    features = FEATURES[kind](generator)
    points = generator.normal(size=(4, len(features.names)))
    residual = generator.normal(size=features.size)
    slopes, hessian = features.derivatives(points, residual)
    step = 1e-6
    for k in range(points.shape[1]):
        shift = step * np.eye(points.shape[1])[k]
        ahead, back = points + shift, points - shift
        slope = (features.values(ahead) - features.values(back)) / (2 * step)
        assert np.abs(slopes[:, k] - slope).max() <= 1e-8 * np.abs(slopes).max()
        gradients = [features.potential_gradient(p, residual) for p in (ahead, back)]
        column = (gradients[0] - gradients[1]) / (2 * step)
        assert np.abs(hessian[:, :, k] - column).max() <= 1e-8 * np.abs(hessian).max()


@pytest.mark.parametrize("gradient, error", [(True, 1e-9), (False, 1e-5)])
@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_second_derivatives_of_own_features_in_any_unit(gradient, error, unit):
    """phi = cos(x / unit): differences whose step follows the scale of the coordinate."""
    slope = lambda x: -np.sin(x / unit)[:, None, :] / unit  # noqa: E731
    features = wgf.Features(lambda x: np.cos(x / unit), slope if gradient else None)
    points = unit * np.linspace(0.1, 3.0, 8)[:, None]
    features = features.on(wgf.Particles(points))
    hessian = features.derivatives(points, np.ones(1))[1][:, 0, 0]
    assert np.abs(hessian + np.cos(points[:, 0] / unit) / unit**2).max() <= error / unit**2


@pytest.mark.parametrize("m, d, n", [(7, 1, 3), (300, 2, 5), (4, 3, 40), (5, 10, 3), (6, 2, 0)])
def test_the_solve_is_that_of_the_dense_matrix(m, d, n):
    generator = np.random.default_rng(6)
    root = generator.random((m, d))
    root[0, 0] = 0.0
    weights = generator.random(m)
    weights[-1] = 0.0
    factors = generator.normal(size=(m, d, d))
    hessians = factors @ factors.swapaxes(1, 2)
    coupling, step = generator.normal(size=(m, d, n)), 0.3
    solve = Linearised(hessians, coupling, weights, root, ParticlePartition(m))
    assert solve.factor(step)
    rows = (root[:, :, None] * coupling).reshape(m * d, n)
    dense = rows @ rows.T * np.repeat(weights, d)
    for i in range(m):
        own = slice(i * d, (i + 1) * d)
        dense[own, own] += root[i][:, None] * hessians[i] * root[i]
    b = generator.normal(size=(m, d))
    exact = np.linalg.solve(np.eye(m * d) / (0.5 * step) + dense, b.ravel())
    assert np.abs(solve(b).ravel() - exact).max() <= 1e-12 * np.abs(exact).max()
    assert solve.rate() >= np.abs(np.linalg.eigvals(dense)).max()


def test_growing_modes_are_resolved_unless_the_outputs_turn_them_round():
    """One particle, H = -1: 1 - step/2 at least 1/2; with G D G^T = 2 nothing grows."""
    for coupling, step, resolved in ((0.0, 0.9, True), (0.0, 1.1, False), (2.0, 50.0, True)):
        coupling = np.full((1, 1, 1), np.sqrt(coupling))
        solve = Linearised(
            -np.ones((1, 1, 1)), coupling, np.ones(1), np.ones((1, 1)), ParticlePartition(1)
        )
        assert solve.factor(step) is resolved
    # K = b / (1 / (gamma h) + 1)
    assert solve(np.ones((1, 1)))[0, 0] == pytest.approx(1 / (1 / 25 + 1), rel=1e-13)


def test_leaving_a_saddle_takes_the_exact_time():
    """V = x^4/4 - x^2/2 from 1e-6: x^2 = 1 / (1 + (1/x0^2 - 1) e^{-2t})."""
    potential = wgf.Potential(lambda x: (x**4 / 4 - x**2 / 2)[:, 0], lambda x: x**3 - x)
    start, until = wgf.Particles([[1e-6], [-1e-3]]), 14.0
    method = Rosenbrock(tolerance=1e-4)
    run = wgf.solve(wgf.GradientFlow(potential), start, until=until, method=method)
    exact = np.sign(start.points) / np.sqrt(1 + (start.points**-2 - 1) * np.exp(-2 * until))
    # a tenth of the tolerance in every e-fold of the 14
    assert np.abs(run.final.points - exact).max() <= 2e-3


def test_symmetries_that_are_exact_do_not_bound_the_step():
    """Coincident particles, whose distance would grow, and a saddle: 1e6 e-folds in 200 steps."""
    features = wgf.Features(lambda u: u**2, lambda u: 2 * u[:, None, :])
    functional = wgf.Risk(features, wgf.Squared([1.0])) + wgf.Potential(
        lambda u: -3.0 * np.abs(u[:, 0]) ** 1.5, lambda u: -4.5 * np.sign(u) * np.sqrt(np.abs(u))
    )
    saddle = wgf.Potential(lambda x: (x**4 / 4 - x**2 / 2)[:, 0], lambda x: x**3 - x)
    for term, points in ((functional, [[2.0], [2.0]]), (saddle, [[0.0], [1.5]])):
        start = wgf.Particles(points)
        run = wgf.solve(wgf.GradientFlow(term), start, until=1e6, method=Rosenbrock())
        assert len(run.diagnostics["t"]) <= 250
        assert run.final.points[0] == (0.0 if term is saddle else run.final.points[1])
    assert run.final.points[1, 0] == pytest.approx(1.0, abs=1e-12)


def test_l1_alone_is_the_soft_threshold():
    points = np.linspace(-2, 2, 41)[:, None]
    flow, start = wgf.GradientFlow(wgf.L1(1.0, "x1")), wgf.Particles(points)
    run = wgf.solve(flow, start, until=0.7, method=Rosenbrock())
    exact = np.sign(points) * np.maximum(np.abs(points) - 0.7, 0)
    # nothing couples the particles: one step, whatever crosses in it
    assert np.abs(run.final.points - exact).max() <= 1e-13
    assert len(run.diagnostics["t"]) <= 3


def test_lasso_leaves_the_kink_and_rests_exactly():
    """phi = w, R = (s - y)^2 / 2, V = strength |w|, one particle: w' = y - w - strength."""
    strength, y, until = 0.3, 1.0, 1.5
    features = wgf.Features(lambda w: w, lambda w: np.ones((len(w), 1, 1)))
    functional = wgf.Risk(features, wgf.Squared([y], weights=1.0)) + wgf.L1(strength, "x1")
    flow, start = wgf.GradientFlow(functional), wgf.Particles([[0.0]])
    run = wgf.solve(flow, start, until=until, method=Rosenbrock(1e-4))
    exact = (y - strength) * (1 - np.exp(-until))
    assert run.final.points[0, 0] == pytest.approx(exact, abs=1e-4)
    last = wgf.solve(flow, start, until=1e6, method=Rosenbrock())
    assert last.final.points[0, 0] == pytest.approx(y - strength, abs=1e-14)
    assert last.diagnostics["dissipation"][-1] <= 1e-24
    held = wgf.Risk(features, wgf.Squared([0.2], weights=1.0)) + wgf.L1(strength, "x1")
    rest = wgf.solve(wgf.GradientFlow(held), start, until=5.0, method=Rosenbrock())
    assert rest.final.points[0, 0] == 0.0
    assert np.all(rest.diagnostics["dissipation"] == 0.0)


def test_a_path_through_the_kink():
    """w' = y - w - sign(w) strength from -1: through 0 at log(1 + 1/(y + strength))."""
    strength, y, until = 0.3, 1.0, 1.5
    features = wgf.Features(lambda w: w, lambda w: np.ones((len(w), 1, 1)))
    functional = wgf.Risk(features, wgf.Squared([y], weights=1.0)) + wgf.L1(strength, "x1")
    through = np.log((1 + y + strength) / (y + strength))
    exact = (y - strength) * (1 - np.exp(-(until - through)))
    for tolerance in (1e-2, 1e-4, 1e-6):
        flow, start = wgf.GradientFlow(functional), wgf.Particles([[-1.0]])
        run = wgf.solve(flow, start, until=until, method=Rosenbrock(tolerance))
        assert run.final.points[0, 0] == pytest.approx(exact, abs=tolerance)


@pytest.mark.parametrize("m, most", [(12, 40), (200, 60), (2000, 80)])
def test_stiff_spikes_reach_the_certified_minimum(m, most):
    """A hundred steps are allowed; explicit ones take 1.5 million."""
    _, _, flow = spikes()
    start = wgf.Particles(spike_starts(m)["0"])
    assert stiff(flow, start, until=300.0)
    run = wgf.solve(flow, start, until=300.0, method=Rosenbrock())
    objective = run.diagnostics["objective"]
    assert abs(objective[-1] - LEAST) <= 1e-8
    assert len(objective) - 1 <= most
    assert np.diff(objective).max() <= 1e-14
    found = wgf.certificate(run)
    assert found.gap <= 1e-8


@pytest.mark.parametrize("name, m", [("+-.3", 12), ("random", 12), ("one-sided", 6)])
def test_paths_are_those_of_the_flow_with_the_kink(name, m):
    """Against an independent solver with events; errors fall with the tolerance."""
    _, _, flow = spikes()
    points, times = spike_starts(m)[name], [0.02, 0.3, 3.0]
    exact = reference(points, times)
    for tolerance in (1e-2, 1e-4):
        method = Rosenbrock(tolerance)
        run = wgf.solve(flow, wgf.Particles(points), until=3.0, at=times, method=method)
        for found, wanted in zip(run.snapshots[1:], exact):
            spread = np.sqrt(np.mean(wanted[:, 0] ** 2)), 12**-0.5
            # a step may err by a tenth of the tolerance times the spread, in the mean
            # over the particles; there are 30 to 300 steps
            error = np.abs(found.points - wanted).max(axis=0) / spread
            assert error.max() <= 2 * tolerance


@pytest.mark.parametrize("name", ["0", "+.3", "-.3", "+-.3", "random", "one-sided"])
def test_many_crossings_cost_few_steps_and_never_raise_the_objective(name):
    _, _, flow = spikes()
    start = wgf.Particles(spike_starts(200)[name])
    run = wgf.solve(flow, start, until=300.0, method=Rosenbrock())
    objective = run.diagnostics["objective"]
    assert np.diff(objective).max() <= 1e-14 * objective[0]
    assert len(objective) <= 150
    assert run.diagnostics["dissipation"][-1] <= 1e-10


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
@pytest.mark.parametrize("samples", [10, 200])
def test_smooth_paths_agree_with_runge_kutta(activation, samples):
    generator = np.random.default_rng(7)
    x = generator.normal(size=(samples, 2))
    functional = wgf.Risk(
        wgf.Neurons(x, activation), wgf.Squared(np.sin(x[:, 0])), scale=2.0
    ) + wgf.Ridge(1e-3, ("a",))
    flow = wgf.GradientFlow(functional, frozen="w2", mobility={"a": 3.0})
    weights = generator.random(30)
    weights[3] = 0.0
    start = wgf.Particles(generator.normal(size=(30, 3)), weights / weights.sum())
    exact = wgf.solve(flow, start, until=5.0, method=wgf.RungeKutta(1e-10)).final.points
    for tolerance in (1e-2, 1e-4):
        run = wgf.solve(flow, start, until=5.0, method=Rosenbrock(tolerance))
        assert np.abs(run.final.points - exact).max() <= 3 * tolerance
        assert np.array_equal(run.final.points[:, 2], start.points[:, 2])


@pytest.mark.parametrize("power", [-40, 40])
def test_steps_do_not_depend_on_units(power):
    """Lengths, amplitudes, energies and times in other units, powers of 2: the same steps."""
    generator = np.random.default_rng(8)
    samples, y = np.linspace(-1, 1, 9), generator.normal(size=9)
    points = generator.normal(size=(14, 2)) * [0.5, 0.7]
    found = []
    for length, amplitude, energy, time in ((1, 1, 1, 1), 2.0 ** (power * np.array([1, -2, 1, 1]))):
        features = wgf.Filter.gaussian(samples * length, 0.3 * length)
        loss = wgf.Squared(y * amplitude, weights=energy * amplitude**-2)
        functional = wgf.Risk(features, loss) + wgf.L1(0.3 * energy / amplitude, "w")
        mobility = {"w": amplitude**2 / (energy * time), "x": length**2 / (energy * time)}
        flow = wgf.GradientFlow(functional, mobility=mobility)
        start = wgf.Particles(points * [amplitude, length])
        until = 50.0 * time
        run = wgf.solve(flow, start, until=until, method=Rosenbrock())
        found.append((run.diagnostics["dt"] / time, run.final.points / [amplitude, length]))
        assert stiff(flow, start, until)
    assert len(found[0][0]) == len(found[1][0])
    assert np.allclose(found[0][0], found[1][0], rtol=1e-6, atol=0)
    assert np.allclose(found[0][1], found[1][1], rtol=0, atol=1e-9)


def test_walls_hold_and_release():
    """V = -x pushes to the wall at 1; V = x^2/2 along a period stops nowhere."""
    mesh = wgf.Mesh(x=wgf.Axis(-1, 1, 4))
    push = wgf.Potential(lambda x: -x[:, 0], lambda x: -np.ones(x.shape))
    start = wgf.Particles([[-0.5], [0.2], [1.0]], domain=mesh)
    run = wgf.solve(wgf.GradientFlow(push), start, until=3.0, at=[0.5], method=Rosenbrock())
    assert np.abs(run.snapshots[1].points[:, 0] - [0.0, 0.7, 1.0]).max() <= 1e-12
    assert np.array_equal(run.final.points[:, 0], np.ones(3))
    stepper = Rosenbrock().prepare(wgf.GradientFlow(push), run.final)
    assert stepper.advance(1.0)["dissipation"] == 0.0
    # an output that pulls all particles: those at the wall leave when the mean has passed y
    features = wgf.Features(lambda x: x, lambda x: np.ones((len(x), 1, 1)))
    pull = wgf.Risk(features, wgf.Squared([0.9], weights=1.0))
    start = wgf.Particles([[-0.5], [-1.0]], domain=mesh)
    run = wgf.solve(wgf.GradientFlow(pull), start, until=40.0, method=Rosenbrock(1e-4))
    # both move alike until the first stops at the wall; the second goes on to the mean of .9
    assert np.abs(run.final.points[:, 0] - [1.0, 0.8]).max() <= 1e-5


def test_a_released_coordinate_starts_in_time():
    """Two amplitudes, one held until the force of the other's approach exceeds the strength."""
    # F = (u - 2)^2/2 + (v - u)^2/2 + |v|, v = 0 until u = 1 by phi = (u, v - u) of one particle
    features = wgf.Features(
        lambda z: np.stack([z[:, 0], z[:, 1] - z[:, 0]], axis=1),
        lambda z: np.broadcast_to([[1.0, 0.0], [-1.0, 1.0]], (len(z), 2, 2)),
    )
    functional = wgf.Risk(features, wgf.Squared([2.0, 0.5], weights=1.0)) + wgf.L1(1.0, "x2")

    def velocity(t, z, free):
        outer, inner = z[0] - 2.0, z[1] - z[0] - 0.5
        return [-outer + inner, -(inner + 1.0) if free else 0.0]

    def release(t, z, free):
        return z[0] + 0.5 - 1.0

    release.terminal = True
    precise = {"rtol": 1e-11, "atol": 1e-13}
    held = solve_ivp(velocity, (0, 3), [-1.0, 0.0], args=(False,), events=release, **precise)
    free = solve_ivp(velocity, (held.t[-1], 3), held.y[:, -1], args=(True,), **precise)
    assert 0.1 < held.t[-1] < 2.0
    flow, start = wgf.GradientFlow(functional), wgf.Particles([[-1.0, 0.0]])
    for tolerance in (1e-2, 1e-4):
        run = wgf.solve(flow, start, until=3.0, method=Rosenbrock(tolerance))
        assert np.abs(run.final.points[0] - free.y[:, -1]).max() <= tolerance


def test_a_period_and_a_mesh_of_spikes_give_the_same_minimum():
    _, _, flow = spikes()
    mesh = wgf.Mesh(w=wgf.Axis(-20, 20, 4), x=wgf.Axis(0, 1, 4, periodic=True))
    start = wgf.Particles(spike_starts(30)["random"], domain=mesh)
    run = wgf.solve(flow, start, until=300.0, method=Rosenbrock())
    assert abs(run.diagnostics["objective"][-1] - LEAST) <= 1e-8


def test_continued_runs_are_those_never_stopped(tmp_path):
    _, _, flow = spikes()
    start = wgf.Particles(spike_starts(12)["random"])
    whole = wgf.solve(flow, start, until=3.0, at=[0.5, 2.0], method=Rosenbrock())
    path = tmp_path / "run"
    stop = lambda row: row["t"] >= 0.5  # noqa: E731
    times = {"until": 3.0, "at": [0.5, 2.0], "method": Rosenbrock(), "save": path}
    wgf.solve(flow, start, stop=stop, **times)
    again = wgf.solve(flow, start, resume=True, **times)
    assert np.array_equal(again.final.points, whole.final.points)
    assert np.array_equal(again.diagnostics["objective"], whole.diagnostics["objective"])


@pytest.mark.parametrize("seed", range(20))
def test_random_problems_never_rise(seed):
    """Random losses, penalties, mobilities, weights, starts and coincident particles."""
    generator = np.random.default_rng(seed)
    n, m = generator.integers(1, 30), generator.integers(1, 25)
    x = generator.normal(size=(n, 2)) * 10 ** generator.uniform(-1, 1)
    y = generator.normal(size=n) * 10 ** generator.uniform(-2, 2)
    loss = wgf.Logistic(np.sign(y)) if seed % 3 == 0 else wgf.Squared(y)
    functional = wgf.Risk(wgf.Neurons(x, "tanh"), loss) + wgf.L1(
        10 ** generator.uniform(-3, 1), ("a",) if seed % 2 else None
    )
    scale = 10 ** generator.uniform(-2, 2)
    mobility = {name: 10 ** generator.uniform(-8, 8) for name in ("a", "w1", "w2")}
    points = generator.normal(size=(m, 3)) * [scale, 1, 1]
    points[: m // 3] = points[-1]
    points[generator.random(points.shape) < 0.2] = 0.0
    flow = wgf.GradientFlow(functional, mobility=mobility)
    start = wgf.Particles(points, generator.random(m))
    run = wgf.solve(flow, start, until=10 ** generator.uniform(-4, 4), method=Rosenbrock())
    objective = run.diagnostics["objective"]
    assert np.diff(objective).max() <= 1e-13 * objective[0]
    assert len(objective) <= 2000


def test_the_choice_depends_on_rates_and_time():
    _, _, flow = spikes()
    start = wgf.Particles(spike_starts(12)["0"])
    assert stiff(flow, start)
    assert not stiff(flow, start, until=1e-3)
    ridge = wgf.GradientFlow(wgf.Ridge(1.0))
    cloud = wgf.Particles(np.linspace(-1, 1, 9)[:, None])
    assert not stiff(ridge, cloud, until=10.0)
    assert stiff(wgf.GradientFlow(wgf.Ridge(1e6)), cloud, until=10.0)
    # what the method does not take is not stiff
    interacting = wgf.GradientFlow(wgf.Ridge(1e6) + wgf.Interaction(lambda z: (z**2)[:, 0]))
    assert not stiff(interacting, cloud, until=10.0)


@pytest.mark.parametrize("m", [12, 200])
def test_the_default_is_chosen_by_the_problem(m):
    """Hundreds of random particles cross w = 0; short and easy problems stay explicit."""
    _, _, flow = spikes()
    for points in spike_starts(m).values():
        start = wgf.Particles(points)
        for until in (300.0, "stationary"):
            assert repr(default_method(flow, start, until)) == "Rosenbrock(tolerance=0.01)"
        assert isinstance(default_method(flow, start, 1e-3), wgf.ForwardBackward)
    cloud = wgf.Particles(np.linspace(-1, 1, 9)[:, None])
    for until in (10.0, "stationary"):
        easy = wgf.GradientFlow(wgf.Ridge(1.0))
        assert isinstance(default_method(easy, cloud, until), wgf.RungeKutta)
    run = wgf.solve(flow, wgf.Particles(spike_starts(m)["random"]), until=300.0)
    assert len(run.diagnostics["t"]) <= 100
    assert run.problem["method"] == "Rosenbrock(tolerance=0.01)"


def test_a_later_end_keeps_the_method_of_the_stored_run(tmp_path):
    _, _, flow = spikes()
    start = wgf.Particles(spike_starts(12)["0"])
    options = {"every": 0.02, "save": tmp_path / "run"}
    first = wgf.solve(flow, start, until=0.02, **options)
    longer = wgf.solve(flow, start, until=0.04, resume=True, **options)
    assert isinstance(default_method(flow, start, 10.0), Rosenbrock)
    again = wgf.solve(
        flow,
        start,
        until=10.0,
        at=[0.02, 0.04],
        save=tmp_path / "run",
        resume=True,
        stop=lambda row: row["t"] > 0.05,
    )
    assert again.problem["method"] == longer.problem["method"] == first.problem["method"]
    assert first.problem["method"].startswith("ForwardBackward")


@pytest.mark.parametrize(
    "functional, words",
    [
        (lambda x: wgf.Risk(wgf.Neurons(x, "relu"), wgf.Squared(x)), "jumps, use wgf.RungeKutta"),
        (
            lambda x: wgf.Ridge(1.0) + wgf.Interaction(lambda z: np.sum(z**2, axis=1)),
            "the term interaction couples particles",
        ),
        (lambda x: wgf.Ridge(1.0) + wgf.Entropy(0.1), "the term entropy needs a density or noise"),
    ],
)
def test_refusals_are_one_sentence(functional, words):
    flow = wgf.GradientFlow(functional(np.linspace(-1, 1, 5)))
    with pytest.raises(wgf.InputError, match=words) as caught:
        wgf.solve(flow, wgf.Particles(np.ones((3, 2))), until=1.0, method=Rosenbrock())
    assert str(caught.value).startswith("rosenbrock: ") and "\n" not in str(caught.value)


def test_bad_arguments():
    with pytest.raises(wgf.InputError, match="rosenbrock tolerance: 0 is too small"):
        Rosenbrock(0.0)
    _, _, flow = spikes()
    mesh = wgf.Mesh(w=wgf.Axis(-1, 1, 4), x=wgf.Axis(0, 1, 4, periodic=True))
    with pytest.raises(wgf.InputTypeError, match="rosenbrock start: Density does not fit"):
        wgf.solve(flow, wgf.Density.uniform(mesh), until=1.0, method=Rosenbrock())


def test_second_derivatives_that_are_not_finite_are_told():
    potential = wgf.Potential(lambda x: 0.5 * x[:, 0] ** 2, lambda x: np.where(x > 1, np.inf, x))
    start = wgf.Particles([[1.0 - 1e-9]])
    with pytest.raises(wgf.NumericalError, match="second derivatives at t=0 are not finite"):
        wgf.solve(wgf.GradientFlow(potential), start, until=1.0, method=Rosenbrock())
