"""Losses: gradient, convexity, conjugate and discrete gradient."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import losses

import wgf

CASES = st.integers(1, 8).flatmap(lambda n: st.tuples(losses(n), st.just(n), st.integers(0, 999)))


@given(CASES)
def test_gradient_and_curvature(case):
    loss, n, seed = case
    generator = np.random.default_rng(seed)
    s, direction = generator.normal(size=n) * 2, generator.normal(size=n)
    step = 1e-4
    slope = (loss.value(s + step * direction) - loss.value(s - step * direction)) / (2 * step)
    # third derivatives are below 1: step^2 / 6, and round-off of R over the step
    assert slope == pytest.approx(loss.gradient(s) @ direction, abs=1e-7 * (1 + loss.value(s)))
    bend = (loss.gradient(s + step * direction) - loss.gradient(s - step * direction)) / (2 * step)
    assert np.allclose(bend, loss.curvature(s) * direction, atol=1e-6)


@given(CASES)
def test_discrete_gradient(case):
    """g . (s1 - s0) = R(s1) - R(s0), and g = R'(s) when the two are one."""
    loss, n, seed = case
    generator = np.random.default_rng(seed)
    s0 = generator.normal(size=n) * 3
    s1 = s0 + generator.normal(size=n) * 10.0 ** -generator.integers(0, 4)
    g = loss.discrete_gradient(s0, s1)
    change = loss.value(s1) - loss.value(s0)
    assert g @ (s1 - s0) == pytest.approx(change, abs=1e-13 * (1 + loss.value(s0)))
    assert np.allclose(loss.discrete_gradient(s0, s0), loss.gradient(s0), rtol=1e-12)


@given(CASES)
def test_fenchel_young(case):
    """R(s) + R*(p) >= s . p, with equality at p = R'(s)."""
    loss, n, seed = case
    generator = np.random.default_rng(seed)
    s, other = generator.normal(size=n) * 3, generator.normal(size=n) * 3
    p = loss.gradient(s)
    scale = 1 + loss.value(s) + loss.value(other)
    assert loss.value(s) + loss.conjugate(p) == pytest.approx(s @ p, abs=1e-12 * scale)
    assert loss.value(other) + loss.conjugate(p) >= other @ p - 1e-12 * scale


def test_values_by_hand():
    assert wgf.Squared([1.0, 3.0]).value(np.array([2.0, 1.0])) == pytest.approx((1 + 4) / 4)
    assert wgf.Squared([1.0, 3.0], 2.0).value(np.array([2.0, 1.0])) == pytest.approx(5.0)
    logistic = wgf.Logistic([1.0, -1.0])
    assert logistic.value(np.zeros(2)) == pytest.approx(np.log(2))
    # no overflow far out
    assert logistic.value(np.array([-1e4, 1e4])) == pytest.approx(1e4)
    assert logistic.conjugate(np.array([0.3, 0.0])) == np.inf
