"""Kinks of the user's own beside the l1 penalty: minimisers, the budget of the energy, refusals."""

import numpy as np
import pytest

import wgf
from wgf.functional import forms


class Group(wgf.Term):
    """``strength ∫ |theta| dmu`` with the Euclidean norm over all axes."""

    name = "group"
    smooth = False

    def __init__(self, strength):
        self.strength = strength

    def value_at(self, measure):
        return self.strength * sum(w @ np.linalg.norm(p, axis=1) for p, w in measure.blocks())

    def variation_at(self, measure, points, names):
        return self.strength * np.linalg.norm(points, axis=1)

    def prox(self, points, step):
        length = np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-300)
        return points * np.maximum(1 - step * self.strength / length, 0)


class AtLeastOne(Group):
    """0 where every coordinate is at least 1."""

    name = "bound"

    def value_at(self, measure):
        return 0.0 if measure.points.min() >= 1 else np.inf

    def prox(self, points, step):
        return np.maximum(points, 1.0)


class Bare(Group):
    """A kink without a prox."""

    name = "bare"
    prox = wgf.Term.prox


class Elastic(wgf.L1):
    """An l1 penalty with a square, whose kink is not all of it."""

    def profile(self, values):
        return self.strength * (np.abs(values) + values**2)


def well(*centre):
    centre = np.array(centre)
    return wgf.Potential(lambda p: 0.5 * np.sum((p - centre) ** 2, axis=1), lambda p: p - centre)


START = wgf.Particles(np.random.default_rng(0).uniform(1.5, 2.5, (5, 2)))
METHODS = [
    wgf.ForwardBackward(),
    wgf.ForwardBackward(step=0.05),
    wgf.Langevin(0.05),
    wgf.StochasticGradient(0.05, 1),
]


def sparse_group(centre, strength, group):
    """Minimiser of ``|p - c|^2 / 2 + strength |p|_1 + group |p|``: threshold after threshold."""
    soft = np.sign(centre) * np.maximum(np.abs(centre) - strength, 0)
    return soft * max(1 - group / np.linalg.norm(soft), 0)


@pytest.mark.filterwarnings("ignore:start")
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_every_proximal_method_reaches_the_minimiser(method):
    centre = np.array([3.0, 0.3])
    F = well(*centre) + wgf.L1(0.5) + Group(1.0)
    if isinstance(method, wgf.StochasticGradient):
        # a risk without slope, of which the batches are drawn
        F = F + wgf.Risk(wgf.Neurons(np.zeros((4, 1)), "relu"), wgf.Squared(np.ones(4)))
    run = wgf.solve(wgf.GradientFlow(F), START, 40.0, method=method)
    expected = sparse_group(centre, 0.5, 1.0)
    assert expected[1] == 0
    np.testing.assert_allclose(run.final.points, np.tile(expected, (5, 1)), atol=1e-8)


def test_a_kink_with_momentum():
    F = wgf.HeavyBall(well(3.0, 4.0) + Group(1.0), 2.0)
    run = wgf.solve(F, START, 40.0, method=wgf.HeavyBallParticles(0.02))
    np.testing.assert_allclose(run.final.points, np.tile([2.4, 3.2], (5, 1)), atol=1e-8)
    with pytest.raises(wgf.InputError, match="baoab: the term group is not smooth"):
        wgf.solve(F, START, 1.0)


def test_the_energy_falls_by_the_dissipation():
    """The slope is exact to 1e-7; the budget closes with order 1, an implicit step in the kink."""
    flow = wgf.GradientFlow(well(1.0, 2.0) + Group(0.7))
    row = wgf.ForwardBackward().prepare(flow, START).row
    length = np.linalg.norm(START.points, axis=1, keepdims=True)
    slope = START.points - [1.0, 2.0] + 0.7 * START.points / length
    # the step of the difference quotient is 1e-8 of the points, the round-off as much
    assert row["dissipation"] == pytest.approx(np.mean(np.sum(slope**2, axis=1)), rel=1e-6)
    np.testing.assert_allclose(flow.functional.gradient(START), slope, atol=1e-6)
    residuals = [
        np.abs(wgf.solve(flow, START, 2.0, method=wgf.ForwardBackward(tolerance=tolerance))
               .diagnostics["residual"]).max()
        for tolerance in (1e-4, 1e-6)
    ]  # fmt: skip
    # measured 1.1e-3 and 8.4e-5: steps fall with the root of the tolerance
    assert residuals[1] < 0.12 * residuals[0] < 2e-4


def test_at_a_kink_the_slope_has_least_norm():
    """Two particles at 0: one that the smooth part cannot move, and one on the way down."""
    at_rest = wgf.Functional([well(0.3, 0.4), Group(1.0)])
    assert np.abs(at_rest.gradient(wgf.Particles([[0.0, 0.0]]))).max() == 0
    pulled = wgf.Functional([well(3.0, 4.0), Group(1.0)])
    np.testing.assert_allclose(
        pulled.gradient(wgf.Particles([[0.0, 0.0]])), [[-2.4, -3.2]], atol=1e-6
    )
    bounded = wgf.Functional([well(0.0, 3.0), AtLeastOne(1.0)])
    np.testing.assert_allclose(
        bounded.gradient(wgf.Particles([[1.0, 1.0]])), [[0.0, -2.0]], atol=1e-6
    )


@pytest.mark.parametrize(
    ("F", "mobility", "words"),
    [
        (Group(1.0) + AtLeastOne(1.0), {}, "terms group and bound each have a prox"),
        (Group(1.0) + Group(2.0), {}, "terms group and group_2 each have a prox"),
        (Group(1.0), {"x1": 0.5}, "term group has a prox of its own, which does not know"),
        (well(0.0, 0.0) + Bare(1.0), {}, "term bare is not smooth and gives no prox"),
        (0.5 * Elastic(1.0), {}, "term l1 is not smooth and gives no prox"),
    ],
)
@pytest.mark.parametrize("method", METHODS[:3], ids=repr)
def test_what_no_prox_solves_is_refused(F, mobility, words, method):
    with pytest.raises(wgf.InputError, match=words):
        wgf.solve(wgf.GradientFlow(F, mobility=mobility), START, 1.0, method=method)


def test_a_prox_that_leaves_the_kink_of_the_l1_penalty_is_refused():
    """At least 1 after the soft threshold is not the prox of both: 0 would move to 1."""
    flow = wgf.GradientFlow(well(-1.0, -1.0) + wgf.L1(1.0) + AtLeastOne(1.0))
    with pytest.raises(wgf.InputError, match="prox: that of the term bound moves coordinates"):
        wgf.solve(flow, wgf.Particles([[1.0, 1.0]]), 5.0, method=wgf.ForwardBackward(step=2.0))


def test_one_mobility_of_all_axes_is_another_time():
    F = well(1.0, 2.0) + Group(0.7)
    both = [
        wgf.solve(wgf.GradientFlow(F, mobility=mobility), START, until, method=method)
        for mobility, until, method in (
            ({}, 2.0, wgf.ForwardBackward(step=0.1)),
            ({"x1": 2.0, "x2": 2.0}, 1.0, wgf.ForwardBackward(step=0.05)),
        )
    ]
    np.testing.assert_allclose(both[0].final.points, both[1].final.points, rtol=1e-12)
    np.testing.assert_allclose(
        2 * both[0].diagnostics["dissipation"], both[1].diagnostics["dissipation"], rtol=1e-6
    )


def test_multiples_of_forms_are_forms_of_multiples():
    l1, entropy = Elastic(2.0).form(), wgf.Entropy(2.0).form()
    assert l1.scaled(None, 0.5).kink == 1.0
    assert l1.scaled(None, 0.5).profile(np.array([-2.0]))[0] == pytest.approx(6.0)
    assert entropy.scaled(None, 0.5).strength == 1.0
    assert wgf.PowerEntropy(2.0, 3.0).form().scaled(None, 0.5).exponent == 3.0
    assert isinstance((2 * Group(1.0)).terms[0].form(), forms.General)


def test_growth_refuses_kinks_along_axes_that_move():
    flow = wgf.FisherRao(well(0.0, 0.0) + wgf.L1(1.0))
    with pytest.raises(wgf.InputError, match="conic: the functional has a kink along an axis"):
        wgf.solve(flow, START, 1.0)
