"""The functional on a mesh against the plain formulas of `Functional`."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import functionals_and_densities

import wgf
from wgf.eulerian.discrete import DiscreteFunctional
from wgf.eulerian.features import FeatureOperator


@settings(max_examples=100)
@given(functionals_and_densities())
def test_values_and_first_variation_are_those_of_the_functional(case):
    functional, density = case
    if isinstance(functional, wgf.Term):
        functional = wgf.Functional([functional])
    discrete = DiscreteFunctional(functional, density.mesh)
    values = density.values.ravel()
    outputs = discrete.outputs(values)
    mass, parts = discrete.parts(values, outputs)
    exact = functional.parts(density)
    # sums of a few hundred terms in another order
    assert mass == pytest.approx(density.mass, rel=1e-13)
    scale = sum(abs(value) for value in exact.values()) + 1e-3
    for name, value in exact.items():
        assert parts[name] == pytest.approx(value, rel=1e-11, abs=1e-12 * scale)
    result = np.empty(density.mesh.cells)
    discrete.first_variation(outputs, result)
    expected = functional.first_variation(density).ravel()
    assert np.allclose(result, expected, rtol=1e-10, atol=1e-11 * (1 + np.abs(expected).max()))


def operator_case(compressed):
    x = np.linspace(-1, 1, 200)
    features = wgf.Neurons(x, "tanh" if compressed else "relu", bias=True)
    mesh = wgf.Mesh(a=wgf.Axis(-2, 2, 3), w=wgf.Axis(-3, 3, 24), b=wgf.Axis(-1, 1, 20))
    return features, mesh, FeatureOperator(features, mesh)


@pytest.mark.parametrize("compressed", [True, False])
def test_compression_keeps_thirteen_digits(compressed):
    features, mesh, operator = operator_case(compressed)
    assert (operator.rank is not None) == compressed
    generator = np.random.default_rng(0)
    density = wgf.Density(mesh, generator.random(mesh.shape))
    exact = features.output(density.points, density.weights)
    matrix = features.unit(operator.rest.points())
    norm = np.linalg.norm(matrix, 2)
    moments = density.amplitude_moments()[1]
    allowed = 2e-13 * norm * np.linalg.norm(moments) + 1e-13 * np.abs(exact).max()
    assert np.abs(operator.output(density.values.ravel()) - exact).max() <= allowed
    residual = generator.normal(size=features.size)
    error = np.abs(operator.variation(residual) - matrix @ residual).max()
    assert error <= 2e-13 * norm * np.linalg.norm(residual) + 1e-12


def test_text_tells_how_the_matrix_is_kept():
    features, mesh, compressed = operator_case(True)
    rank = compressed.rank
    size = 8e-6 * rank * (240 + 200)
    told = f"compressed to rank {rank}, {size:.3g} MB, from 240 x 200, 0.384 MB"
    assert str(compressed) == told
    assert str(operator_case(False)[2]) == "stored, 480 x 200, 0.768 MB"
    assert str(FeatureOperator(features, mesh, memory=1000)).startswith("recomputed in blocks, 240")


@pytest.mark.parametrize("compressed", [True, False])
def test_output_and_variation_are_adjoint(compressed):
    """<residual, output(rho)> = h^d <a g(residual), rho>: what the energy law rests on."""
    features, mesh, operator = operator_case(compressed)
    generator = np.random.default_rng(1)
    values = generator.random(mesh.cells)
    residual = generator.normal(size=features.size)
    left = residual @ operator.output(values)
    moments = operator.amplitude @ values.reshape(3, -1) * mesh.cell_volume
    assert left == pytest.approx(moments @ operator.variation(residual), rel=1e-12)


def test_a_matrix_too_large_is_made_block_by_block(monkeypatch):
    features, mesh, stored = operator_case(False)
    monkeypatch.setattr("wgf.eulerian.features.FEATURE_BYTES", 16 * 200 * 100)
    operator = FeatureOperator(features, mesh, memory=1000)
    assert operator.matrix is None and operator.rank is None
    values = np.random.default_rng(2).random(mesh.cells)
    assert np.allclose(operator.output(values), stored.output(values), rtol=1e-13, atol=1e-13)
    residual = np.linspace(-1, 1, features.size)
    assert np.array_equal(operator.variation(residual), stored.variation(residual))


@pytest.mark.parametrize("cells", [(24, 30), (25, 31)])
@pytest.mark.parametrize("samples", [40, 200])
def test_half_of_the_features_of_a_parity_is_enough(cells, samples):
    generator = np.random.default_rng(3)
    features = wgf.Neurons(generator.normal(size=(samples, 2)), "tanh")
    w1, w2 = (wgf.Axis(-3, 3, n) for n in cells)
    mesh = wgf.Mesh(a=wgf.Axis(-1, 2, 5), w1=w1, w2=w2)
    aside = wgf.Mesh(a=mesh.axes[0], w1=w1, w2=wgf.Axis(-3, 3.5, cells[1]))
    values, residual = generator.random(mesh.cells), generator.normal(size=samples)
    half = FeatureOperator(features, mesh)
    assert half.rows == (np.prod(cells) + 1) // 2
    assert FeatureOperator(features, aside).rows == np.prod(cells)
    expected = values @ features.values(mesh.points()) * mesh.cell_volume
    # the sums are taken in another order, and the compressed matrix keeps thirteen digits
    bound = 1e-12 * np.abs(values).sum() * mesh.cell_volume
    np.testing.assert_allclose(half.output(values), expected, rtol=0, atol=bound)
    rest = mesh.sub(("w1", "w2")).points()
    expected = features.unit(rest) @ residual
    bound = 1e-12 * np.abs(residual).sum()
    np.testing.assert_allclose(half.variation(residual), expected, rtol=0, atol=bound)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_features_have_the_parity_they_claim(activation, bias):
    generator = np.random.default_rng(4)
    features = wgf.Neurons(generator.normal(size=(6, 2)), activation, bias=bias)
    rest = generator.normal(size=(50, 2 + bias))
    there, back = features.unit(rest), features.unit(-rest)
    signs = [sign for sign in (-1, 1) if np.allclose(back, sign * there)]
    assert signs == ([] if features.parity is None else [features.parity])
