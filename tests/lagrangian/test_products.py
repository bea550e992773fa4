"""Products of features with weights and residuals against the formulas of the features."""

import numpy as np
import pytest
from many_threads import on_threads

import wgf
from wgf.lagrangian import products
from wgf.lagrangian.products import feature_products

ACTIVATIONS = ["relu", "tanh", "sigmoid"]


def agree(found, features, points, weights, residual):
    # sums of 600 terms of order 1 in another order
    close = {"rtol": 1e-11, "atol": 1e-11}
    np.testing.assert_allclose(
        found.output(points, weights), features.output(points, weights), **close
    )
    for _ in range(2):
        np.testing.assert_allclose(
            found.gradient(points, residual), features.potential_gradient(points, residual), **close
        )
        np.testing.assert_allclose(
            found.potential(points, residual), features.potential(points, residual), **close
        )
        # a point that is not where the output was
        points[300, -1] += 0.25


def case(features, seed=0):
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(600, len(features.names)))
    points[:, -1] = np.abs(points[:, -1]) % 1.0
    return features, points, generator.random(600), generator.normal(size=features.size)


@pytest.mark.parametrize(
    "features",
    [
        wgf.Neurons(np.linspace(-1, 2, 17), "tanh"),
        wgf.Neurons(np.linspace(-1, 2, 17), "sigmoid", bias=True),
        wgf.Neurons(np.linspace(-1, 2, 34).reshape(17, 2), "relu"),
        wgf.Neurons(np.linspace(-1, 2, 34).reshape(17, 2), "relu", bias=True),
        wgf.Neurons(np.sin(np.arange(51.0)).reshape(17, 3), "tanh"),
        wgf.Filter.dirichlet(7),
        wgf.Filter.gaussian(np.array([0.9, 0.1, 0.4, 0.2, 0.6]), 0.05),
    ],
    ids=repr,
)
def test_fused_kernels_against_the_formulas(features):
    fused = feature_products(features)
    assert type(fused).__name__ == "_Fused"
    agree(fused, *case(features))


@pytest.mark.parametrize("kept", [0, 1 << 20], ids=["computed again", "kept"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_matrix_products_against_the_formulas(activation, bias, kept, monkeypatch):
    monkeypatch.setattr(products, "KEPT_ENTRIES", kept)
    # two products a block
    monkeypatch.setattr(products, "FEATURE_ENTRIES", 128 * 17)
    inputs = np.sin(np.arange(17.0 * 9)).reshape(17, 9)
    features = wgf.Neurons(inputs, activation, bias=bias)
    wide = feature_products(features)
    assert type(wide).__name__ == "_Wide"
    agree(wide, *case(features))
    assert len(wide.kept) == (600 if kept else 0)


def test_activations_that_are_kept_are_those_computed_again(monkeypatch):
    features, points, weights, residual = case(wgf.Neurons(np.eye(12), "tanh"))
    kept, fresh = feature_products(features), feature_products(features)
    kept.output(points, weights)
    assert np.array_equal(kept.gradient(points, residual), fresh.gradient(points, residual))
    # fewer points use what there is room for
    assert np.array_equal(
        kept.gradient(points[:256], residual), fresh.gradient(points, residual)[:256]
    )


@pytest.mark.parametrize("inputs", [2, 12])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bits_do_not_depend_on_the_number_of_threads(activation, inputs):
    x = np.random.default_rng(1).normal(size=(50, inputs))
    features, points, weights, residual = case(wgf.Neurons(x, activation))
    found = []
    for count in (1, 2, 5):
        with on_threads(count):
            product = feature_products(features)
            found.append((product.output(points, weights), product.gradient(points, residual)))
    for output, gradient in found:
        assert np.array_equal(output, found[0][0]) and np.array_equal(gradient, found[0][1])


def test_gradients_go_into_the_array_that_is_given():
    features = [
        wgf.Neurons(np.eye(3)[:, :2], "tanh"),
        wgf.Neurons(np.eye(12), "relu"),
        wgf.Filter.dirichlet(2, dimension=2),
    ]
    for each in features:
        _, points, _, residual = case(each)
        product, room = feature_products(each), np.full(points.shape, np.nan)
        assert product.gradient(points, residual, room) is room
        assert np.array_equal(room, product.gradient(points, residual))
