"""The hyperbolic tangent of the kernels against that of NumPy."""

import numpy as np

from wgf.lagrangian import kernels


def tanh(x):
    found, none = np.empty((1, x.size)), np.zeros(1)
    kernels.activate(x[None, :], none, none, kernels.TANH, found, np.zeros(x.size))
    return found[0]


def test_tanh_is_right_to_a_few_units_in_the_last_place():
    sizes = np.concatenate([np.logspace(-300, 2, 4001), np.linspace(0, 25, 40001), [1e300, np.inf]])
    x = np.concatenate([sizes, -sizes])
    found = tanh(x)
    # rounded products and a quotient, five of them one after the other
    np.testing.assert_allclose(found, np.tanh(x), rtol=6e-16, atol=0)
    assert np.all(np.abs(found) <= 1)


def test_tanh_of_no_number_is_none():
    found = tanh(np.array([np.nan, 0.0]))
    assert np.isnan(found[0]) and found[1] == 0


def test_tanh_is_odd_to_the_last_bit():
    x = np.random.default_rng(0).normal(scale=3.0, size=1000)
    assert np.array_equal(tanh(-x), -tanh(x))
