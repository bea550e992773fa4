"""Extensions: each is one piece of code outside the package, without an edit inside it."""

import numpy as np
import pytest

import wgf
from wgf.functional import forms
from wgf.measures.particles import Particles
from wgf.stepping import Diagnosis, Fixed, Method, Stepper, Trial, register
from wgf.stepping.stop import Condition

LINE = wgf.Mesh(x=wgf.Axis(-2, 2, 40))
PLANE = wgf.Mesh(x=wgf.Axis(-2, 2, 20), y=wgf.Axis(-2, 2, 16))


def bump(mesh=LINE, mean=0.3, std=0.5):
    return wgf.Density.normal(mesh, mean, std)


# local energies


class Square(wgf.LocalEnergy):
    """``strength ∫ rho^2``, the formula of ``PowerEntropy(strength, 2)``."""

    name = "square"

    def __init__(self, strength):
        self.strength = strength

    def energy(self, rho):
        return self.strength * rho**2

    def slope(self, rho):
        return 2 * self.strength * rho


class Bare(wgf.LocalEnergy):
    """The same of strength 0.05, without an attribute of that name."""

    name = "bare"

    def energy(self, rho):
        return 0.05 * rho**2

    def slope(self, rho):
        return 0.1 * rho


@pytest.mark.parametrize("own", [Square(0.05), Bare(), 0.5 * Square(0.1)], ids=repr)
@pytest.mark.parametrize(
    "method",
    [wgf.FiniteVolume(2), wgf.FiniteVolume(1), wgf.ImplicitFiniteVolume(0.02)],
    ids=repr,
)
@pytest.mark.parametrize("mesh", [LINE, PLANE], ids=["line", "plane"])
def test_a_local_energy_acts_as_the_built_in_of_its_formula(own, method, mesh):
    def end(term):
        flow = wgf.GradientFlow(wgf.Ridge(1.0) + term)
        return wgf.solve(flow, bump(mesh), 0.2, method=method)

    found, expected = end(own), end(wgf.PowerEntropy(0.05, 2))
    # steps agree to the round-off of a difference quotient, densities then to that of the sums;
    # an implicit step ends at the tolerance of its own Newton iteration
    bound = 1e-11 if isinstance(method, wgf.FiniteVolume) else 1e-9
    scale = expected.final.values.max()
    assert np.abs(found.final.values - expected.final.values).max() <= bound * scale
    assert found.diagnostics["objective"][-1] == pytest.approx(
        expected.diagnostics["objective"][-1], rel=1e-9
    )
    # the energy acts: without it the density ends elsewhere
    without = wgf.solve(wgf.GradientFlow(wgf.Ridge(1.0)), bump(mesh), 0.2, method=method)
    assert np.abs(found.final.values - without.final.values).max() > 1e-3 * scale


def test_a_local_energy_is_refused_for_particles_in_one_sentence():
    flow = wgf.GradientFlow(wgf.Ridge(1.0) + Bare())
    with pytest.raises(wgf.InputError, match=r"the term bare .*wgf\.Density"):
        wgf.solve(flow, bump().sample(20, 0), 0.1)
    for method in (wgf.RungeKutta(), wgf.ForwardBackward(), wgf.Langevin(0.01)):
        with pytest.raises(wgf.InputError, match="the term bare"):
            wgf.solve(flow, bump().sample(20, 0), 0.1, method=method)


# general terms


class Variance(wgf.Term):
    """``1/2 ∫ |theta - mean|^2 dmu`` of a measure of mass 1."""

    name = "variance"

    def _mean(self, measure):
        return sum(weights @ points for points, weights in measure.blocks()) / measure.mass

    def value_at(self, measure):
        mean = self._mean(measure)
        return 0.5 * sum(
            float(weights @ np.sum((points - mean) ** 2, axis=1))
            for points, weights in measure.blocks()
        )

    def variation_at(self, measure, points, names):
        return 0.5 * np.sum((points - self._mean(measure)) ** 2, axis=1)

    def gradient_at(self, measure, points, names):
        return points - self._mean(measure)


@pytest.mark.parametrize("mesh", [LINE, PLANE], ids=["line", "plane"])
def test_a_general_term_moves_both_sides_as_the_interaction_of_its_formula(mesh):
    pairs = wgf.Interaction(lambda z: 0.5 * np.sum(z**2, axis=1), lambda z: z)
    start = bump(mesh)
    for begin in (start, start.quadrature()):
        own, known = (wgf.solve(wgf.GradientFlow(F), begin, 0.5) for F in (Variance(), pairs))
        np.testing.assert_allclose(own.final.mean(), known.final.mean(), atol=1e-3)
        np.testing.assert_allclose(
            own.final.covariance(), known.final.covariance(), atol=1e-3 * start.covariance().max()
        )
        assert "variance" in own.diagnostics
    # the variance of the particles falls by exp(-2 t)
    fall = own.final.covariance()[0, 0] / begin.covariance()[0, 0]
    assert fall == pytest.approx(np.exp(-1.0), rel=1e-6)


def test_a_general_term_that_a_method_does_not_take_is_refused_in_one_sentence():
    flow = wgf.GradientFlow(Variance())
    with pytest.raises(wgf.InputError, match="implicit finite volume: the term variance"):
        wgf.solve(flow, bump(), 0.1, method=wgf.ImplicitFiniteVolume(0.1))


# kinks


class GroupL1(wgf.Term):
    """``strength ∫ |theta| dmu`` with the Euclidean norm over all axes."""

    name = "group_l1"
    smooth = False

    def __init__(self, strength):
        self.strength = strength

    def value_at(self, measure):
        return self.strength * sum(
            float(weights @ np.linalg.norm(points, axis=1)) for points, weights in measure.blocks()
        )

    def variation_at(self, measure, points, names):
        return self.strength * np.linalg.norm(points, axis=1)

    def prox(self, points, step):
        length = np.linalg.norm(points, axis=1, keepdims=True)
        shrunk = np.maximum(length - step * self.strength, 0)
        return points * np.divide(shrunk, length, out=np.zeros_like(length), where=length > 0)


class NonNegative(wgf.Term):
    """0 where every coordinate is at least 0, infinite elsewhere."""

    name = "nonnegative"
    smooth = False

    def value_at(self, measure):
        return 0.0 if all((points >= 0).all() for points, _ in measure.blocks()) else np.inf

    def variation_at(self, measure, points, names):
        return np.where((points >= 0).all(axis=1), 0.0, np.inf)

    def prox(self, points, step):
        return np.maximum(points, 0)


def well(*centre):
    centre = np.array(centre)
    return wgf.Potential(lambda p: 0.5 * np.sum((p - centre) ** 2, axis=1), lambda p: p - centre)


@pytest.mark.parametrize(
    ("kink", "centre", "minimiser"),
    [
        # the minimiser of |p - c|^2 / 2 + s |p| is c shortened by s
        (GroupL1(1.0), (3.0, 4.0), (2.4, 3.2)),
        (GroupL1(6.0), (3.0, 4.0), (0.0, 0.0)),
        (0.5 * GroupL1(2.0), (3.0, 4.0), (2.4, 3.2)),
        (NonNegative(), (-1.0, 2.0), (0.0, 2.0)),
    ],
)
def test_forward_backward_reaches_the_minimiser_of_a_kink(kink, centre, minimiser):
    start = wgf.Particles(np.random.default_rng(0).uniform(0.5, 2.0, (7, 2)))
    run = wgf.solve(wgf.GradientFlow(well(*centre) + kink), start, 30.0)
    np.testing.assert_allclose(run.final.points, np.tile(minimiser, (7, 1)), atol=1e-8)
    assert run.diagnostics["dissipation"][-1] <= 1e-10


def test_a_method_that_needs_gradients_refuses_a_kink():
    start = wgf.Particles(np.ones((3, 2)))
    flow = wgf.GradientFlow(well(1.0, 1.0) + GroupL1(1.0))
    with pytest.raises(wgf.InputError, match="group_l1 is not smooth"):
        wgf.solve(flow, start, 1.0, method=wgf.RungeKutta())


def test_a_mesh_says_that_it_cannot_take_an_infinite_kink():
    flow = wgf.GradientFlow(well(-1.0, 2.0) + NonNegative())
    with pytest.raises(wgf.InputError):
        wgf.solve(flow, bump(PLANE), 0.1)


# activations and losses


def test_an_activation_of_the_user_serves_both_sides():
    softplus = wgf.Activation(
        lambda z: np.logaddexp(0, z), lambda z: 0.5 * (1 + np.tanh(0.5 * z)), name="softplus"
    )
    x = np.linspace(-1, 1, 12)
    risk = wgf.Risk(wgf.Neurons(x, softplus), wgf.Squared(np.abs(x)))
    mesh = wgf.Mesh(a=wgf.Axis(-3, 3, 48), w=wgf.Axis(-3, 3, 48))
    start = wgf.Density.normal(mesh, 0.3, 0.4)
    by_hand = wgf.Features(lambda p: p[:, :1] * np.logaddexp(0, p[:, 1:] * x), amplitude=False)
    F = wgf.Risk(by_hand, wgf.Squared(np.abs(x)))
    assert risk.value(start) == pytest.approx(F.value(start), rel=1e-12)
    density = wgf.solve(wgf.GradientFlow(risk), start, 1.0)
    cloud = wgf.solve(wgf.GradientFlow(risk), start.quadrature(), 1.0)
    assert density.diagnostics["objective"][-1] == pytest.approx(
        cloud.diagnostics["objective"][-1], rel=2e-2
    )
    assert "softplus" in repr(risk)


class LogCosh(wgf.Loss):
    """``mean log cosh(s - y)``."""

    def __init__(self, y):
        self.target = np.asarray(y, dtype=float)
        self.size = len(self.target)

    def value(self, s):
        return float(np.mean(np.log(np.cosh(s - self.target))))

    def gradient(self, s):
        return np.tanh(s - self.target) / self.size


def test_a_loss_of_the_user_serves_both_sides_and_every_method():
    x = np.linspace(-1, 1, 12)
    F = wgf.Risk(wgf.Neurons(x, "tanh"), LogCosh(np.sin(3 * x)))
    mesh = wgf.Mesh(a=wgf.Axis(-5, 5, 24), w=wgf.Axis(-5, 5, 24))
    start = wgf.Density.normal(mesh, 0.3, 0.5)
    ends = [
        wgf.solve(wgf.GradientFlow(F), begin, 0.5, method=method).diagnostics["objective"][-1]
        for begin, method in (
            (start, None),
            (start, wgf.ImplicitFiniteVolume(0.05)),
            (start.quadrature(), None),
        )
    ]
    assert max(ends) - min(ends) < 3e-2 * min(ends)


# methods and flows


class _Steps(Stepper):
    """Explicit Euler for particles, on public pieces alone."""

    def __init__(self, flow, start, step):
        super().__init__(Fixed(step))
        self.flow, self.now = flow, start
        self.begin(self._rate())

    def _slope(self):
        return self.flow.functional.gradient(self.now)

    def _rate(self):
        return float(self.now.weights @ np.sum(self._slope() ** 2, axis=1))

    def attempt(self, dt):
        moved = self.now.points - dt * self._slope()
        rate = self._rate()
        return Trial(Particles(moved, self.now.weights, domain=self.now.domain), rate)

    def commit(self, trial):
        self.now = trial.result

    def diagnose(self):
        return Diagnosis(self.now.mass, self.flow.functional.parts(self.now))

    @property
    def measure(self):
        return self.now


class Euler(Method):
    title = "euler"
    measure = "particles"
    forms = (forms.Composed, forms.Linear, forms.Pairwise, forms.General)
    smooth = True

    def __init__(self, step=0.01):
        self.step = step

    def stepper(self, flow, start, world):
        return _Steps(flow, start, self.step)

    def __repr__(self):
        return f"Euler({self.step})"


def test_a_particle_method_is_one_file(tmp_path):
    flow = wgf.GradientFlow(wgf.Ridge(1.0))
    start = wgf.Particles(np.array([[1.0], [-0.5]]))
    run = wgf.solve(flow, start, 1.0, every=0.25, method=Euler(0.01), save=tmp_path / "run")
    np.testing.assert_allclose(run.final.points, start.points * 0.99**100, rtol=1e-12)
    # the error of the budget is of the order of the step
    assert abs(run.diagnostics["residual"][-1]) < 0.02 * run.diagnostics["objective"][0]
    # it lands, and stores and continues bit by bit, as the built-in methods do
    np.testing.assert_array_equal(run.times, [0, 0.25, 0.5, 0.75, 1.0])
    wgf.solve(flow, start, 0.5, every=0.25, method=Euler(0.01), save=tmp_path / "half")
    more = wgf.solve(
        flow, start, 1.0, every=0.25, method=Euler(0.01), save=tmp_path / "half", resume=True
    )
    assert np.array_equal(more.final.points, run.final.points)
    assert np.array_equal(more.diagnostics["residual"], run.diagnostics["residual"])
    with pytest.raises(wgf.InputError, match="euler: the term l1 is not smooth"):
        wgf.solve(wgf.GradientFlow(wgf.L1(1.0)), start, 1.0, method=Euler())
    with pytest.raises(wgf.InputError, match="euler: the term entropy"):
        wgf.solve(wgf.GradientFlow(wgf.Entropy(1.0)), start, 1.0, method=Euler())
    with pytest.raises(wgf.InputError, match="euler start: Density"):
        wgf.solve(flow, bump(), 1.0, method=Euler())


class _Donor(Stepper):
    """First-order upwind on one axis, on public pieces alone."""

    def __init__(self, flow, start, courant):
        super().__init__(Fixed(self._longest))
        self.flow, self.now, self.courant = flow, start, courant
        self.begin(self._fluxes()[1])

    def _fluxes(self):
        mesh, rho = self.now.mesh, self.now.values
        speed = -np.diff(self.flow.functional.first_variation(self.now)) / mesh.spacing[0]
        flux = np.where(speed > 0, rho[:-1], rho[1:]) * speed
        return flux, float(mesh.cell_volume * np.sum(flux * speed)), np.abs(speed).max()

    def _longest(self):
        return self.courant * 0.5 * self.now.mesh.spacing[0] / max(self._fluxes()[2], 1e-300)

    def attempt(self, dt):
        flux, rate, _ = self._fluxes()
        change = np.diff(np.concatenate([[0.0], flux, [0.0]])) / self.now.mesh.spacing[0]
        return Trial(wgf.Density(self.now.mesh, self.now.values - dt * change), rate)

    def commit(self, trial):
        self.now = trial.result

    def diagnose(self):
        return Diagnosis(self.now.mass, self.flow.functional.parts(self.now))

    @property
    def measure(self):
        return self.now


class Donor(Method):
    title = "donor cell"

    def __init__(self, courant=0.9):
        self.courant = courant

    def stepper(self, flow, start, world):
        return _Donor(flow, start, self.courant)


def test_an_explicit_integrator_is_one_file():
    flow, start = wgf.GradientFlow(wgf.Ridge(1.0)), bump()
    own = wgf.solve(flow, start, 0.5, method=Donor())
    built_in = wgf.solve(flow, start, 0.5, method=wgf.FiniteVolume(1))
    assert own.final.mass == pytest.approx(1.0, abs=1e-14)
    # the same scheme with other steps: the difference is of the order of the step
    assert np.abs(own.final.values - built_in.final.values).max() < 0.02
    assert np.all(np.diff(own.diagnostics["objective"]) < 0)


class Ascent(wgf.GradientFlow):
    """A flow of its own kind: the measure climbs."""


def test_a_flow_finds_its_registered_method():
    class Climb(Euler):
        flow = Ascent

        def stepper(self, flow, start, world):
            return _Steps(wgf.GradientFlow(-flow.functional), start, self.step)

    register(Ascent, "particles", lambda flow, start: Climb(0.01))
    start = wgf.Particles(np.array([[1.0], [-0.5]]))
    run = wgf.solve(Ascent(wgf.Ridge(1.0)), start, 0.5)
    np.testing.assert_allclose(run.final.points, start.points * 1.01**50, rtol=1e-12)
    with pytest.raises(wgf.InputError, match="has no method for density"):

        class Other:
            functional = wgf.Functional([wgf.Ridge(1.0)])

        wgf.solve(Other(), bump(), 1.0)


# stop conditions, loops


class Tight(Condition):
    """Ends when the spread of the measure has fallen below a bound."""

    looks = True

    def __init__(self, bound):
        self.bound = bound

    def holds(self, state):
        return state.measure.covariance()[0, 0] < self.bound


def test_stop_conditions_are_of_one_kind():
    flow, start = wgf.GradientFlow(wgf.Ridge(1.0)), bump()
    run = wgf.solve(flow, start, 5.0, stop=Tight(0.1))
    assert run.status == "stopped" and run.times[-1] < 2.0
    assert run.final.covariance()[0, 0] < 0.1 <= start.covariance()[0, 0]
    by_row = wgf.solve(flow, start, 5.0, stop=lambda row: row["objective"] < 0.05)
    assert by_row.status == "stopped" and by_row.diagnostics["objective"][-1] < 0.05


def test_a_loop_of_the_user_sees_every_state_of_solve():
    flow, start = wgf.GradientFlow(wgf.Ridge(1.0)), bump()
    run = wgf.solve(flow, start, 0.5, every=0.1)
    times, rows, kept = [], [], []
    for state in wgf.iterate(flow, start, 0.5, every=0.1):
        times.append(state.time)
        rows.append(dict(state.row))
        if state.snapshot:
            kept.append(state.measure)
    assert np.array_equal(times, run.diagnostics["t"])
    for name, column in run.diagnostics.items():
        assert np.array_equal([row[name] for row in rows], column), name
    assert len(kept) == len(run.snapshots)
    assert all(np.array_equal(a.values, b.values) for a, b in zip(kept, run.snapshots))
    for time, measure, row in wgf.iterate(flow, start):
        assert time == row["t"] and measure.mass == pytest.approx(1.0)
        if time > 0.2:
            break


# the algebra of functionals


def test_functionals_add_and_scale_with_their_names():
    x = np.linspace(-1, 1, 5)
    risk = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(x))
    F, G = risk + wgf.L1(0.1, "a"), wgf.Ridge(0.2) + wgf.Entropy(0.3)
    mesh = wgf.Mesh(a=wgf.Axis(-2, 2, 12), w=wgf.Axis(-2, 2, 10))
    start = wgf.Density.normal(mesh, 0.3, 0.5)
    parts = {**F.parts(start), **G.parts(start)}
    total = sum([F, G])
    assert total.part_names == ("risk", "l1", "ridge", "entropy")
    assert total.value(start) == pytest.approx(F.value(start) + G.value(start), rel=1e-14)
    for made, factors in (
        (0.5 * total, (0.5, 0.5, 0.5, 0.5)),
        (total * np.float64(2), (2, 2, 2, 2)),
        (F - G, (1, 1, -1, -1)),
        (-total, (-1, -1, -1, -1)),
        (0.5 * F + 3 * G, (0.5, 0.5, 3, 3)),
        (-(0.25 * risk) + G, (-0.25, 1, 1)),
    ):
        found = made.parts(start)
        for name, factor in zip(made.part_names, factors):
            assert found[name] == pytest.approx(factor * parts[name], rel=1e-12), (name, factor)
        np.testing.assert_allclose(
            (2.0 * made).first_variation(start), 2 * made.first_variation(start), rtol=1e-12
        )
    pair = wgf.Interaction(lambda z: np.sum(z**2, axis=1)) + wgf.Potential(lambda p: p[:, 0])
    scaled = 3 * (pair + Variance() + Square(0.5))
    assert scaled.part_names == ("interaction", "potential", "variance", "square")
    assert scaled.value(start) == pytest.approx(
        3 * (pair + Variance() + Square(0.5)).value(start) / 3 * 3, rel=1e-12
    )
    for wrong in ("2", True, None, 1j):
        with pytest.raises(TypeError):
            _ = wrong * F
    with pytest.raises(TypeError):
        _ = F - 1
    with pytest.raises(wgf.InputError, match="nan is not finite"):
        _ = float("nan") * F


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_half_a_functional_moves_half_as_fast(factor):
    x = np.linspace(-1, 1, 5)
    F = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(x)) + wgf.Ridge(0.1)
    mesh = wgf.Mesh(a=wgf.Axis(-2, 2, 24), w=wgf.Axis(-2, 2, 24))
    start = wgf.Density.normal(mesh, 0.3, 0.4)
    for begin in (start, start.sample(30, 0)):
        slow = wgf.solve(wgf.GradientFlow(F), begin, 1.0).diagnostics["objective"][-1]
        fast = wgf.solve(wgf.GradientFlow(factor * F), begin, 1.0 / factor)
        # the same flow with other steps
        assert fast.diagnostics["objective"][-1] == pytest.approx(factor * slow, rel=2e-3)


def test_a_negative_entropy_is_a_functional_and_not_a_flow():
    F = wgf.Ridge(1.0) - wgf.Entropy(0.1)
    assert np.isfinite(F.value(bump()))
    with pytest.raises(wgf.InputError, match=r"the term entropy has the strength -0\.1"):
        wgf.solve(wgf.GradientFlow(F), bump(), 0.1)
