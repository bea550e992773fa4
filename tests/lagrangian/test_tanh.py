"""The hyperbolic tangent of the kernels against that of NumPy."""

import numpy as np

from wgf.lagrangian import kernels


def test_tanh_is_right_to_a_few_units_in_the_last_place():
    sizes = np.concatenate([np.logspace(-300, 2, 4001), np.linspace(0, 25, 40001), [1e300, np.inf]])
    x = np.concatenate([sizes, -sizes])
    found = x.copy()
    kernels.activate(found, kernels.TANH)
    # three rounded quotients and products one after the other
    np.testing.assert_allclose(found, np.tanh(x), rtol=6e-16, atol=0)
    assert np.all(np.abs(found) <= 1)


def test_tanh_of_no_number_is_none():
    found = np.array([np.nan, 0.0])
    kernels.activate(found, kernels.TANH)
    assert np.isnan(found[0]) and found[1] == 0
